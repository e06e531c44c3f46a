"""Pictures: class maps in colour, overlays, image/truth/prediction/error panels, training curves; and all colours.

Every function returns a PIL image, an array or a matplotlib figure; nothing is shown, and no global matplotlib state is
touched, so that they work alike in a script, a server and a notebook.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.data.local import indexed_picture
from edgeseg.files import parse_json, read_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# the colours of Okabe and Ito, which stay apart for colour-blind readers
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GREY, DARK_GREY = "#999999", "#777777"

# error maps, in RGB
RIGHT, WRONG, NOT_SCORED = (226, 232, 240), ImageColor.getrgb(VERMILION), (255, 255, 255)

# live pictures, in RGB
DISPLAY_BACKGROUND, DISPLAY_TEXT, DISPLAY_LINE = (24, 26, 30), (235, 235, 235), (110, 114, 120)


def colorize(label: np.ndarray, table: ClassTable) -> np.ndarray:
    """(H, W) class ids → (H, W, 3) uint8 in the classes' colours, void black."""
    return table.palette[label]


def overlay(image: np.ndarray, label: np.ndarray, table: ClassTable, alpha: float = 0.55) -> np.ndarray:
    """(H, W, 3) uint8 image under the colours of (H, W) class ids; void shows the image. Returns (H, W, 3) uint8."""
    mixed = (1 - alpha) * image + alpha * colorize(label, table)
    return np.where((label == VOID)[..., None], image, mixed).astype(np.uint8)


def error_map(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where a prediction is wrong: (H, W, 3) uint8, wrong orange, right light grey, void white."""
    out = np.where((prediction != target)[..., None], np.array(WRONG, np.uint8), np.array(RIGHT, np.uint8))
    out[target == VOID] = NOT_SCORED
    return out


def panel(
    rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    table: ClassTable,
    title: str = "",
    names: Sequence[str] = (),
) -> Figure:
    """Image, truth, prediction and error of several samples, with a legend of the classes.

    Args:
        rows: (image, truth, prediction) each; (H, W, 3) uint8 and twice (H, W) class ids.
        table: names and colours.
        title: above everything.
        names: one per row, on the left.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    height, width = rows[0][1].shape
    cell = 2.9
    figure = Figure((4 * cell, len(rows) * cell * height / width + 1.1), layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    for i, (image, truth, prediction) in enumerate(rows):
        pictures = (image, colorize(truth, table), colorize(prediction, table), error_map(prediction, truth))
        for axis, picture, head in zip(axes[i], pictures, ("image", "truth", "prediction", "errors"), strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if i == 0:
                axis.set_title(head, fontsize=10)
        if names:
            axes[i, 0].set_ylabel(names[i], fontsize=7)
    patches = [Patch(color=_hex(c), label=n) for n, c in zip(table.names, table.colors, strict=True)]
    patches += [Patch(color="black", label="void"), Patch(color=_hex(WRONG), label="wrong")]
    figure.legend(handles=patches, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def contact_sheet(pairs: Sequence[tuple[np.ndarray, np.ndarray]], table: ClassTable, columns: int = 4) -> Image.Image:
    """Samples of a data set side by side: a row of images above a row of their class maps, and so on.

    Args:
        pairs: (H, W, 3) uint8 image and (H, W) class ids each, all of one size.
        table: the colours.
        columns: samples in a row.
    """
    rows = []
    for start in range(0, len(pairs), columns):
        chosen = pairs[start : start + columns]
        blank = [np.full_like(pairs[0][0], 255)] * (columns - len(chosen))
        rows.append(np.hstack([image for image, _ in chosen] + blank))
        rows.append(np.hstack([colorize(label, table) for _, label in chosen] + blank))
    return Image.fromarray(np.vstack(rows))


def curves(log: str | Path) -> Figure:
    """Loss and learning rate of a run over its epochs, and mIoU where it was scored, from its ``log.jsonl``."""
    from matplotlib.figure import Figure

    steps, scores = read_log(log)
    figure = Figure((10 if scores else 5.4, 3.2), layout="constrained")
    axes = figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
    _loss_curve(axes[0], steps)
    if scores:
        _score_curve(axes[1], scores)
    for axis in axes:
        axis.grid(alpha=0.25)
    return figure


def _loss_curve(axis: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    axis.plot([r["epoch"] for r in steps], [r["loss"] for r in steps], color=BLUE, lw=1)
    axis.set(xlabel="epoch", ylabel="training loss")
    if any(r["loss"] > 0 for r in steps):
        axis.set_yscale("log")
    lr_axis = axis.twinx()
    lr_axis.plot([r["epoch"] for r in steps], [r["lr"] for r in steps], color=GREY, lw=1, ls="--")
    lr_axis.set_ylabel("learning rate (dashed)", color=DARK_GREY)


def _score_curve(axis: Axes, scores: Sequence[Mapping[str, Any]]) -> None:
    epochs = [r["epoch"] for r in scores]
    axis.plot(epochs, [r["miou"] for r in scores], "o-", color=VERMILION, label="mIoU")
    axis.plot(epochs, [r["pixel_accuracy"] for r in scores], "s--", color=GREEN, ms=4, label="pixel accuracy")
    last = (epochs[-1], scores[-1]["miou"])
    axis.annotate(f"{last[1]:.1f}", last, (-4, 6), textcoords="offset points", ha="right")
    axis.legend(frameon=False, fontsize=8)
    axis.set(xlabel="epoch", ylabel="percent", ylim=(0, 100))


def read_log(log: str | Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Training lines and score lines of a run's ``log.jsonl``; a null in it is NaN."""
    lines = [parse_json(line) for line in read_text(Path(log)).splitlines()]
    rows = [{key: math.nan if value is None else value for key, value in line.items()} for line in lines]
    return [r for r in rows if "loss" in r], [r for r in rows if "miou" in r]


def save(figure: Figure, path: str | Path, dpi: int = 110) -> Path:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=dpi)
    return Path(path)


def save_mask(label: np.ndarray, table: ClassTable, path: str | Path) -> Path:
    """Write (H, W) class ids as a palette PNG: its values are the ids, its look the classes' colours."""
    indexed_picture(label, table.palette).save(path, format="PNG")
    return Path(path)


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
