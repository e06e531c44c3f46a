"""Known mistakes of lesson 01: scenes and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeseg.course.mistakes import Make
from edgeseg.metrics import VOID


def _depth_from_zero(project: Any) -> Any:
    def mistaken(points: Any, camera: Any, size: tuple[int, int]) -> np.ndarray:
        x, y, z = np.asarray(points, dtype=float).T
        scale = camera.focal * size[0] / z
        u = camera.vanish * size[1] + scale * (x - camera.x)
        return np.stack([u, camera.horizon * size[0] + scale * (camera.height - y)], axis=1)

    return mistaken


def _unknown_stays(_: Any) -> Any:
    def mistaken(raw: np.ndarray, train_ids: Mapping[int, int]) -> np.ndarray:
        return np.vectorize(lambda v: train_ids.get(int(v), v))(raw).astype(np.uint8)

    return mistaken


def _written_into(_: Any) -> Any:
    def mistaken(raw: np.ndarray, train_ids: Mapping[int, int]) -> np.ndarray:
        for label_id, train_id in train_ids.items():
            raw[raw == label_id] = train_id
        return raw

    return mistaken


def _in_turn(_: Any) -> Any:
    def mistaken(raw: np.ndarray, train_ids: Mapping[int, int]) -> np.ndarray:
        known, found = np.isin(raw, list(train_ids)), raw.copy()
        for label_id, train_id in train_ids.items():
            found[found == label_id] = train_id
        found[~known] = VOID
        return found

    return mistaken


def _edge(*sides: int) -> Make:
    def make(_: Any) -> Any:
        def mistaken(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
            centre = [0 if side in sides else 1 for side in (0, 1)]
            at = [(2 * np.arange(n) + c) * old // (2 * n) for n, c, old in zip(size, centre, label.shape, strict=True)]
            return label[at[0][:, None], at[1]]

        return mistaken

    return make


def _label_painted_as_image(paint: Any) -> Any:
    def mistaken(quads: Any, camera: Any, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        image, label = paint(quads, camera, size)
        covered = (label != paint([], camera, size)[1]).any(2, keepdims=True)
        return image, np.where(covered, image, label)

    return mistaken


def _void_in(total: bool = False, holding: bool = False) -> Make:
    """Void pixels are counted in the total of the shares, or among the pixels of the images that hold a class."""

    def make(shares_and_weights: Any) -> Any:
        def mistaken(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
            shares, weights = shares_and_weights(labels, classes)
            counts = np.stack([np.bincount(label.ravel(), minlength=256)[:classes] for label in labels])
            if holding:
                there = counts.sum(0) > 0
                pixels = (counts > 0).sum(0) * labels[0].size
                frequency = counts.sum(0)[there] / pixels[there]
                weights = np.ones(classes)
                weights[there] = np.median(frequency) / frequency
            return counts.sum(0) / labels.size if total else shares, weights

        return mistaken

    return make


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "01.1": {"depth is measured from the world's zero and not from the camera": _depth_from_zero},
    "01.2": {"the label is painted in the image's colours": _label_painted_as_image},
    "01.4": {
        "a value without a train id keeps its own number instead of becoming void": _unknown_stays,
        "the raw map itself is written to: what has no train id stays, and what was exchanged is read again": (
            _written_into
        ),
        "one exchange reads what an earlier one has written: compare with the raw ids": _in_turn,
    },
    "01.5": {
        "the corner of each new pixel is looked up and not its centre": _edge(0, 1),
        "the upper edge of each new pixel is looked up and not its centre": _edge(0),
        "the left edge of each new pixel is looked up and not its centre": _edge(1),
    },
    "01.6": {
        "void pixels are in the total of the shares": _void_in(total=True),
        "void pixels are among the pixels of the images that hold a class": _void_in(holding=True),
        "void pixels are in both totals": _void_in(total=True, holding=True),
    },
}
