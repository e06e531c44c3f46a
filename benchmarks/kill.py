"""kill −9 at random moments of training and export: nothing is lost, changed, or half-written and still openable.

    python benchmarks/kill.py [--kills 50] [--seed 0]

Half of the kills fall on training runs that are resumed each time: weights and log must in the end be those of an
uninterrupted run, bit for bit, and at every moment its checkpoint must open or not be there. The other half fall
on exports, each into a folder of its own: that must then be missing, or open and be whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sound import SIDE, TRAIN, become, make_sound, run

from edgeseg.deploy import Artefact
from edgeseg.training.checkpoint import read_checkpoint

STEPS = 150
TRAINING = ("train", "camvid_cpu", *(change for change in TRAIN if change != "ema=0"), f"iterations={STEPS}",
            "ema=0.99", "class_crop=0.5", "--resume", "--checkpoint-minutes", "0.002")  # fmt: skip
EXPORT = ("export", "run/weights.safetensors", "--size", f"{SIDE}x{SIDE}")


def killed(command: tuple[str, ...], folder: Path, seconds: float) -> bool:
    """Run ``edgeseg COMMAND`` and kill it after some seconds; whether it had not ended by itself."""
    child = os.fork()
    if not child:
        become(command, folder, folder / "output.txt")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def timed(command: tuple[str, ...], folder: Path) -> float:
    """Seconds that ``edgeseg COMMAND`` takes when nobody kills it."""
    started = time.perf_counter()
    code, text = run(command, folder)
    if code:
        raise SystemExit(text)
    return time.perf_counter() - started


def result(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    """Hash of a run's weights, and its log without clocks and machine."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "environment")} for line in lines]
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest(), rows


def kill_training(folder: Path, kills: int, rng: np.random.Generator) -> list[str]:
    """Faults of runs that are killed so often in all: one after another, each resumed until it ends."""
    seconds = timed((*TRAINING, "--out", "whole"), folder)
    faults: list[str] = []
    hit, runs = 0, 0
    while hit < kills:
        name, before = f"cut{runs}", hit
        while hit < kills and killed((*TRAINING, "--out", name), folder, rng.uniform(0.05, 0.35) * seconds):
            hit += 1
            if (folder / name / "checkpoint.safetensors").exists():
                read_checkpoint(folder / name / "checkpoint.safetensors")
        faults += differences(folder, name, hit - before)
        runs += 1
    print(f"training: {hit} kills of {runs} runs of {STEPS} steps and {seconds:.1f} s: {len(faults)} faults")
    return faults


def differences(folder: Path, name: str, hit: int) -> list[str]:
    """In what a run that was killed so often, and now goes on to its end, is not the one that never was."""
    code, text = run((*TRAINING, "--out", name), folder)
    if code:
        return [f"training does not go on after {hit} kills: {text.strip().splitlines()[-1]}"]
    faults, (weights, rows), (cut_weights, cut_rows) = [], result(folder / "whole"), result(folder / name)
    if weights != cut_weights:
        faults.append(f"other weights after {hit} kills")
    if rows != cut_rows:
        differ = next((a, b) for a, b in zip([*rows, {}], [*cut_rows, {}], strict=False) if a != b)
        faults.append(f"another log after {hit} kills ({len(rows)} lines against {len(cut_rows)}): {differ}")
    if left := [p.name for p in (folder / name).iterdir() if p.name.startswith(".")]:
        faults.append(f"left behind: {left}")
    return faults


def kill_export(folder: Path, kills: int, rng: np.random.Generator) -> list[str]:
    """Faults of so many exports, each killed."""
    seconds = timed((*EXPORT, "--out", "exported"), folder)
    faults, missing, whole = [], 0, 0
    for number in range(kills):
        out = folder / f"export{number}"
        # the end, where the files are put in place, gets as many kills as all before
        share = rng.uniform(0, 1) if number % 2 else rng.uniform(0.9, 1.05)
        killed((*EXPORT, "--out", out.name), folder, share * seconds)
        if not out.exists():
            missing += 1
            continue
        try:
            Artefact.load(out)(np.zeros((SIDE, SIDE, 3), np.uint8))
            whole += 1
        except Exception as error:
            faults.append(f"half an artefact: {error}")
    print(f"export: {kills} kills in {seconds:.1f} s: {missing} left nothing, {whole} were whole, {len(faults)} faults")
    return faults


def main() -> None:
    """Print the faults; exit code 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of os.fork beside threads, of which there are none
    torch.set_num_threads(1)
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        make_sound(home)
        half = arguments.kills // 2
        faults = kill_training(home, half, rng) + kill_export(home, arguments.kills - half, rng)
    print("\n".join(faults) or "no faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
