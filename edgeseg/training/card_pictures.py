"""A model card's pictures: the confusion matrix in numbers, and the frames where a network fails worst."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgeseg.data.labels import ClassTable
from edgeseg.plots import panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BYTES = 300_000
"""Of one picture: cards are kept in the repository."""


def confusion_picture(matrix: np.ndarray, names: Sequence[str]) -> bytes:
    """A confusion matrix as PNG: every row in percent of the pixels that truly are of its class.

    Args:
        matrix: (C, C) pixels by true (row) and predicted (column) class.
        names: C class names; beside each, its share of all pixels.
    """
    from matplotlib.figure import Figure

    count, support = len(names), matrix.sum(1)
    share = 100 * matrix / np.maximum(support, 1)[:, None]
    figure = Figure((3.0 + 0.62 * count, 2.0 + 0.55 * count), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.argwhere(share >= 0.5):
        color = "white" if share[row, column] > 60 else "black"
        weight = "bold" if row == column else "normal"
        axis.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=color, weight=weight)
    of_all = 100 * support / max(int(support.sum()), 1)
    axis.set_xticks(range(count), names, rotation=45, ha="left", rotation_mode="anchor")
    axis.set_yticks(range(count), [f"{n}  ({p:.1f} %)" for n, p in zip(names, of_all, strict=True)])
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("predicted class; numbers: percent of the true class's pixels, empty below 0.5")
    axis.set_ylabel("true class (share of all pixels)")
    return _encoded(figure, "png", 110)


def gallery_picture(
    rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    table: ClassTable,
    captions: Sequence[tuple[str, float]],
) -> bytes:
    """The worst frames as JPEG, each as image, truth, prediction and errors.

    Args:
        rows: (image, truth, prediction) each; (H, W, 3) uint8 and twice (H, W) class ids.
        table: names and colours.
        captions: (name, mean IoU in 0…1) each.
    """
    figure = panel(rows, table, names=[f"{name}\nmIoU {100 * value:.1f} %" for name, value in captions])
    for dpi, quality in ((110, 88), (110, 80), (100, 75), (90, 70), (80, 60)):
        blob = _encoded(figure, "jpeg", dpi, quality)
        if len(blob) <= MOST_BYTES:
            break
    return blob


def _encoded(figure: Figure, kind: str, dpi: int, quality: int | None = None) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=dpi, pil_kwargs=None if quality is None else {"quality": quality})
    return out.getvalue()
