"""A data set and a recipe with which a whole run takes a second, and what runs left behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.training.checkpoint import read_checkpoint
from edgeseg.training.recipe import Recipe
from edgeseg.training.run import Run, start_run

TABLE = ClassTable("toy", ("left", "right", "dot"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
TINY = Recipe(
    "tiny", switches={"width": 8, "aspp_channels": 16}, iterations=6, batch=4, crop=(64, 64), lr=0.02, ema=0.9,
    scale=(0.8, 1.25), brightness=0.2, class_crop=0.5,
)  # fmt: skip


class Toy:
    """Left half dark, right half bright, a blue dot: learnable in seconds. Sizes may differ."""

    def __init__(self, n: int = 6, sizes: Sequence[tuple[int, int]] = ((64, 64),)) -> None:
        self.table, self.names, self.sizes = TABLE, [f"toy{i}" for i in range(n)], sizes

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= i < len(self):
            raise IndexError(i)
        h, w = self.sizes[i % len(self.sizes)]
        rng = np.random.default_rng(i)
        label = np.zeros((h, w), np.uint8)
        label[:, w // 2 :] = 1
        y, x = rng.integers(8, h - 24), rng.integers(8, w - 24)
        label[y : y + 16, x : x + 16] = 2
        image = np.uint8([[60, 60, 60], [190, 190, 190], [40, 40, 230]])[label]
        image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
        label[:2] = VOID
        return image, label


def write_pairs(root: Path, n: int = 4) -> None:
    """The toy data as a folder of pairs with its class file."""
    for i, (image, label) in enumerate(Toy(n)):
        for kind, array in (("images", image), ("labels", label)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / kind / f"{i}.png")
    classes = [{"name": name} for name in TABLE.names]
    (root / "classes.json").write_text(json.dumps({"classes": classes, "void": [VOID]}), encoding="utf-8")


def start(recipe: Recipe, **options: Any) -> Run:
    """A run at its first step, on the CPU."""
    return start_run(recipe, Toy(), torch.device("cpu"), **options)


def tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a run's checkpoint."""
    return read_checkpoint(folder / "checkpoint.safetensors")[1]


def log_rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Two states are equal to the bit."""
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key
