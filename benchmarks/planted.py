"""Do the tests find faults? Plants them one by one in a copy of the package and runs the tests of their room.

    python benchmarks/planted.py [--only metrics]

Each fault is a single line that still runs, of the kind that gives plausible numbers. Exit code 1 where one is not
found. The exercises' own mutants, the other half, are run by tests/test_mutants.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent

# file, what stands there, what is planted, the tests of the room
FAULTS: tuple[tuple[str, str, str, str], ...] = (
    ("metrics.py", "union = support + predicted - right", "union = support + predicted", "metrics"),
    ("metrics.py", "np.asarray(values)[~np.isnan(values)]", "np.nan_to_num(np.asarray(values))", "metrics"),
    ("metrics.py", "self.matrix += other.matrix", "self.matrix = other.matrix", "metrics"),
    ("data/labels.py", "lookup[: len(known)] = [wanted.index(name) for name in known]", "pass", "class_names"),
    ("data/pairs.py", "6: Image.Transpose.ROTATE_270", "6: Image.Transpose.ROTATE_90", "pairs"),
    ("inference.py", "(images.to(self.mean.dtype) - self.mean) / self.std", "(images.to(self.mean.dtype)) / self.std",
     "inference"),
    ("inference.py", "logits(images.flip(3)).flip(3)", "logits(images.flip(3))", "inference"),
    ("models/cross_cbam.py", "fused_high = low * self.channel_high(high)", "fused_high = low * self.channel_high(low)",
     "cross_cbam papers checking"),
    ("models/attention.py", "x.amax(1, keepdim=True), x.mean(1, keepdim=True)",
     "x.mean(1, keepdim=True), x.amax(1, keepdim=True)", "attention models zoo"),
    ("training/losses.py", "valid = (target != VOID).to(logits.dtype)", "valid = (target >= 0).to(logits.dtype)",
     "losses"),
    ("training/losses.py", "(-torch.expm1(-loss)).clamp(min=1e-12)", "torch.exp(-loss).clamp(min=1e-12)", "losses"),
    ("training/optim.py", "own.copy_(latest)", "pass", "optim"),
    ("training/optim.py", "* (1 - progress) ** recipe.power", "* (1 - progress)", "optim"),
    ("training/augment.py", "np.where(u[:, 7] < recipe.flip, -1, 1)", "np.ones(len(u))", "augment"),
    ("training/augment.py", "contrast) * 0.5)[:, None]", "contrast) * 0.0)[:, None]", "augment"),
    ("training/batches.py", "in stream.keys(step)] for step in itertools.count(start)",
     "in stream.keys(step)] for step in itertools.count(0)", "train batches"),
    ("training/checkpoint.py", 'torch.set_rng_state(tensors["rng.cpu"])', "pass", "train"),
    ("deploy/parity.py", "self.alike.update(got, expected)", "self.alike.update(expected, expected)", "parity"),
    ("files.py", "except BaseException:  # KeyboardInterrupt too: the", "except OSError:  # the", "files"),
)  # fmt: skip


def found(file: str, old: str, new: str, rooms: str) -> bool:
    """Whether the tests of some rooms fail with a fault in place."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for folder in ("edgeseg", "tests", "course", "docs", "data_scripts"):
            shutil.copytree(HOME / folder, copy / folder, ignore=shutil.ignore_patterns("_build", "__pycache__"))
        for single in ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile"):
            shutil.copy(HOME / single, copy)
        path = copy / "edgeseg" / file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(old, new), encoding="utf-8")
        tests = [str(copy / "tests" / f"test_{room}.py") for room in rooms.split()]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *tests]
        environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{file}: the tests did not run\n{done.stdout[-2000:]}{done.stderr[-500:]}")
        return done.returncode == 1


def main() -> None:
    """Print a line a fault; exit code 1 where one was not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="faults of files whose name holds this")
    arguments = parser.parse_args()
    missed, tried = 0, 0
    for file, old, _, _ in FAULTS:
        if (count := (HOME / "edgeseg" / file).read_text(encoding="utf-8").count(old)) != 1:
            raise SystemExit(f"{file}: {old!r} stands there {count} times; give the fault another line")
    for file, old, new, rooms in FAULTS:
        if arguments.only not in file:
            continue
        caught = found(file, old, new, rooms)
        tried, missed = tried + 1, missed + (not caught)
        print(f"{'found' if caught else 'MISSED':6} {file}: {old} → {new}", flush=True)
    print(f"{tried - missed} of {tried} planted faults were found")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
