"""What a training step costs beside its forward and backward pass, on one thread.

    python benchmarks/step.py [streets] [field=value …] [--rounds 15]

The bare step is forward, loss and backward of a batch that is there already; the whole one is all that `edgeseg train`
does for it: samples, augmentation, optimiser, moving average, log. Both in turn; then the parts by themselves.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from edgeseg.training.batches import augmented, open_recipe
from edgeseg.training.distributed import global_loss
from edgeseg.training.recipe import Recipe, override
from edgeseg.training.recipes import get_recipe
from edgeseg.training.run import Run, start_run
from edgeseg.training.runlog import RunLog
from edgeseg.training.train import train_one_epoch

CPU = torch.device("cpu")


def main() -> None:
    """Read the options, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="streets")
    parser.add_argument("changes", nargs="*", metavar="field=value")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = get_recipe(options.recipe)
    recipe = override(replace(base, data_count=8 * base.batch), options.changes)
    with tempfile.TemporaryDirectory() as folder:
        times = step_seconds(recipe, options.rounds, RunLog(Path(folder), progress=False))
    bare = statistics.median(times["bare step"])
    print(f"torch {torch.__version__}, one thread, {recipe.model}, {recipe.batch} × {recipe.crop}, {recipe.amp}")
    for name, seconds in times.items():
        ratio = statistics.median(a / b for a, b in zip(seconds, times["bare step"], strict=True))
        print(f"{name:<16} {1000 * statistics.median(seconds):8.1f} ms   {ratio:6.3f} of the bare step")
    whole = statistics.median(times["whole step"])
    print(f"the whole step runs at {100 * bare / whole:.0f} % of the bare step's speed")


def step_seconds(recipe: Recipe, rounds: int, log: RunLog) -> dict[str, list[float]]:
    """Seconds of the bare step, the whole one and its parts, in turn."""
    data, _ = open_recipe(recipe)
    run = start_run(recipe, data, CPU)
    log.start()
    run.train_mode()
    batches = run.samples.batches(run.stream, 0)
    times: dict[str, list[float]] = {}
    for i in range(rounds + 2):
        keys, raw = next(batches)
        x, y = augmented(raw, keys, run.augment)
        parts: dict[str, Callable[[], object]] = {
            "bare step": lambda x=x, y=y: bare(run, x, y),  # type: ignore[misc]
            "optimiser": run.optimizer.step,
            "whole step": lambda: train_one_epoch(run, iter([next(batches)]), log),
            "samples": lambda: next(batches),
            "augmentation": lambda raw=raw, keys=keys: augmented(raw, keys, run.augment),  # type: ignore[misc]
            "moving average": lambda: run.ema.update(run.model, run.step),
        }
        for name, part in parts.items():
            started = time.perf_counter()
            part()
            if i > 1:  # the first ones warm up
                times.setdefault(name, []).append(time.perf_counter() - started)
        run.optimizer.zero_grad(set_to_none=True)
    return times


def bare(run: Run, x: torch.Tensor, y: torch.Tensor) -> None:
    """Forward, loss and backward."""
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", run.dtype, enabled=run.dtype != torch.float32):
        outputs = run.forward(x)
    global_loss(run.objective, outputs, y).backward()


if __name__ == "__main__":
    main()
