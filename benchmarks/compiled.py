"""A recipe's training steps in eager and compiled, in turn, on one thread: images per second of both, and their ratio.

    python benchmarks/compiled.py [streets] [field=value …] [--rounds 10]

A step is that of `edgeseg train`: augmentation, forward, backward, optimiser, without reading data and averaging
weights. The first compiled step also compares its gradients with eager ones, and is not timed.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from dataclasses import replace

import torch

from edgeseg.training.batches import open_recipe
from edgeseg.training.recipe import Recipe, override
from edgeseg.training.recipes import get_recipe
from edgeseg.training.run import start_run
from edgeseg.training.train import training_step

CPU = torch.device("cpu")


def main() -> None:
    """Read the options, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="streets")
    parser.add_argument("changes", nargs="*", metavar="field=value")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = get_recipe(options.recipe)
    recipe = override(replace(base, data_count=2 * base.batch), options.changes)
    times = step_seconds(recipe, options.rounds)
    print(f"torch {torch.__version__}, one thread, {recipe.model}, {recipe.batch} × {recipe.crop}, {recipe.amp}")
    for name, seconds in times.items():
        print(f"{name:<9} {recipe.batch / statistics.median(seconds):6.2f} images/s")
    print(f"ratio     {statistics.median(a / b for a, b in zip(*times.values(), strict=True)):6.2f}")


def step_seconds(recipe: Recipe, rounds: int) -> dict[str, list[float]]:
    """Seconds of every step: eager and compiled in turn, on the same batches."""
    data, _ = open_recipe(recipe)
    runs = {name: start_run(replace(recipe, compile=name == "compiled"), data, CPU) for name in ("eager", "compiled")}
    batches = runs["eager"].samples.batches(runs["eager"].stream, 0)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i, (keys, raw) in enumerate(itertools.islice(batches, rounds + 2)):
        for name, run in runs.items():
            run.train_mode()
            started = time.perf_counter()
            training_step(run, keys, raw)
            if i > 1:  # the first steps compile and warm up
                times[name].append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
