"""A small set-up of a user's own, and ``edgeseg`` run on it as a process that can hang or be killed.

What `fuzz.py` breaks and `kill.py` kills.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.cli import main as edgeseg_main

SIDE, PICTURES = 64, 3
NAMES = ("left", "right", "dot")
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
LIMIT = 60  # seconds that a command may take

TRAIN = (
    "data=data", "split=all", "val_split=none", "batch=2", "crop=64,64", "scale=1,1", "amp=none", "warmup=0",
    "class_weights=none", "boundary_weight=0", "switches={'width': 8, 'aspp_channels': 16}", "ema=0", "precise_bn=0",
    "eval_size=none",
)  # fmt: skip
"""Changes that make a recipe train on it in a second."""


def scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Left half dark, right half bright, a blue square: (H, W, 3) uint8 and (H, W) uint8 with some void."""
    rng = np.random.default_rng(number)
    label = np.zeros((SIDE, SIDE), np.uint8)
    label[:, SIDE // 2 :] = 1
    y, x = rng.integers(8, SIDE - 24, 2)
    label[y : y + 16, x : x + 16] = 2
    image = np.uint8([[60, 60, 60], [190, 190, 190], [40, 40, 230]])[label]
    image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    label[:2] = 255
    return image, label


def class_file() -> dict[str, Any]:
    """The sound class file."""
    return {"classes": [{"name": n, "color": list(c)} for n, c in zip(NAMES, COLORS, strict=True)], "void": [255]}


def make_sound(folder: Path) -> None:
    """Pictures, labels, class file; a weight trained for a few steps; the same as an ONNX artefact."""
    data = folder / "data"
    for kind in ("images", "labels"):
        (data / kind).mkdir(parents=True)
    for number in range(PICTURES):
        image, label = scene(number)
        Image.fromarray(image).save(data / "images" / f"p{number}.png")
        Image.fromarray(label).save(data / "labels" / f"p{number}.png")
    (data / "classes.json").write_text(json.dumps(class_file()), encoding="utf-8")
    for command in (
        ("train", "camvid_cpu", *TRAIN, "iterations=12", "--out", "run"),
        ("export", "run/weights.safetensors", "--size", f"{SIDE}x{SIDE}", "--out", "artefact"),
    ):
        code, text = run(command, folder)
        if code:
            raise SystemExit(f"the sound set-up fails: edgeseg {' '.join(command)}\n{text}")


def run(command: tuple[str, ...], folder: Path) -> tuple[int, str]:
    """Exit code and output of ``edgeseg COMMAND`` in a process of its own; code −1 after `LIMIT` seconds."""
    output = folder / "output.txt"
    child = os.fork()
    if not child:
        become(command, folder, output)
    ends = time.monotonic() + LIMIT
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), output.read_text(encoding="utf-8", errors="replace")
        if time.monotonic() > ends:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1, output.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.02)


def become(command: tuple[str, ...], folder: Path, output: Path) -> None:
    """The forked process: never returns. Python and torch are loaded already, which takes longer than a case."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        sys.stdout, sys.stderr = io.TextIOWrapper(os.fdopen(1, "wb", 0)), io.TextIOWrapper(os.fdopen(2, "wb", 0))
        sys.argv = ["edgeseg", *command]
        edgeseg_main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
