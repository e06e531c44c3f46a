"""What glibc's allocator settings do for training on a CPU: whole steps of a recipe with and without them, in turn.

    python benchmarks/malloc.py [streets] [field=value …] [--rounds 5]

By default glibc gives memory above a threshold back to the system as soon as it is free, and gets it anew, zeroed page
by page, at the next step. The settings let a process keep it. Each round is two processes, one with and one without,
on one thread; the ratio is of their medians, pair by pair.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

SETTINGS = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}
_STEPS = """
import sys, tempfile, statistics, torch
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from step import step_seconds
from edgeseg.training.recipe import override
from edgeseg.training.recipes import get_recipe
from edgeseg.training.runlog import RunLog
torch.set_num_threads(1)
base = get_recipe(sys.argv[2])
recipe = override(replace(base, data_count=8 * base.batch), sys.argv[3:])
with tempfile.TemporaryDirectory() as folder:
    print(statistics.median(step_seconds(recipe, 8, RunLog(Path(folder), progress=False))["whole step"]))
"""


def main() -> None:
    """Read the options, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="streets")
    parser.add_argument("changes", nargs="*", metavar="field=value")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    plain = {k: v for k, v in os.environ.items() if k not in SETTINGS} | {"OMP_NUM_THREADS": "1"}
    ratios = []
    for k in range(options.rounds):
        without, with_ = (seconds(options, env) for env in (plain, plain | SETTINGS))
        ratios.append(without / with_)
        print(f"round {k + 1}: {1000 * without:.0f} ms a step without, {1000 * with_:.0f} ms with: {ratios[-1]:.3f}×")
    print(f"median {statistics.median(ratios):.3f}× as fast with {' '.join(f'{k}={v}' for k, v in SETTINGS.items())}")


def seconds(options: argparse.Namespace, env: dict[str, str]) -> float:
    """Median seconds of a whole step in a process of its own."""
    command = [sys.executable, "-c", _STEPS, str(Path(__file__).parent), options.recipe, *options.changes]
    return float(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.split()[-1])


if __name__ == "__main__":
    main()
