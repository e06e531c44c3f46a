"""Frames to look at: one under several networks, and those that a network fails on worst."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from edgeseg.data.labels import ClassTable
from edgeseg.data.pairs import Dataset
from edgeseg.inference import Segmenter
from edgeseg.metrics import ConfusionMatrix, Scores
from edgeseg.plots import comparison, panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Segment = Callable[[np.ndarray], np.ndarray]
"""(H, W, 3) uint8 → (H, W) class ids: ``Segmenter.predict``, ``Artefact.predict``."""


def compare(
    frames: Sequence[tuple[np.ndarray, np.ndarray | None]],
    networks: Mapping[str, Segment],
    table: ClassTable,
    names: Sequence[str] = (),
    errors: bool = False,
) -> Figure:
    """The same frames under several networks (Cross-CBAM, Fig. 8; Improved HRNet, Fig. 9 to 11).

    A row per frame: photograph, truth, one class map per network, under its name and, where there is truth, the mean
    IoU of the classes that the frame holds.

    Args:
        frames: (H, W, 3) uint8 and (H, W) class ids or ``None``; truth of all frames or of none.
        networks: name → what segments, all of the table's classes in its order.
        table: names and colours.
        names: one per frame, on the left.
        errors: below every class map show where it is wrong.

    Raises:
        ValueError: no frame or network, truth of some frames only, or errors without truth.
    """
    if not frames or not networks:
        raise ValueError("a comparison needs a frame and a network; give at least one of each")
    known = sum(truth is not None for _, truth in frames)
    if known not in (0, len(frames)):
        raise ValueError(f"truth of {known} of {len(frames)} frames: give it of all or of none")
    if errors and not known:
        raise ValueError("errors can be shown where there is truth: give the frames' labels, or leave errors out")
    rows, heads = [], []
    for image, truth in frames:
        masks = [segment(image) for segment in networks.values()]
        rows.append((image, truth, masks))
        heads.append([_head(n, m, truth, len(table)) for n, m in zip(networks, masks, strict=True)])
    return comparison(rows, heads, table, names, errors)


def _head(name: str, mask: np.ndarray, truth: np.ndarray | None, classes: int) -> str:
    if truth is None:
        return name
    matrix = ConfusionMatrix(classes)
    matrix.update(mask, truth)
    return f"{name}\nmIoU {100 * mean_of_held(matrix.compute()):.1f} %"


def mean_of_held(scores: Scores) -> float:
    """Mean IoU of the classes that the label holds, 0…1, which is how one frame is scored; NaN where it is all void."""
    held = [iou for iou, pixels in zip(scores.per_class_iou, scores.support, strict=True) if pixels]
    return float(np.mean(held)) if held else float("nan")


# failures -------------------------------------------------------------------------------------------------------------


def measure(segmenter: Segmenter, data: Dataset, desc: str) -> tuple[ConfusionMatrix, list[float]]:
    """Run a segmenter over a data set.

    Args:
        segmenter: with the classes of the data.
        data: pairs of (H, W, 3) uint8 image and (H, W) uint8 label.
        desc: text in front of the bar.

    Returns:
        the matrix over all images, and of every image `mean_of_held`.
    """
    total, each = ConfusionMatrix(len(data.table)), []
    for i in tqdm(range(len(data)), desc=desc, unit="img", leave=False):
        image, label = data[i]
        one = ConfusionMatrix(len(data.table))
        one.update(segmenter.predict(image), label)
        total.merge(one)
        each.append(mean_of_held(one.compute()))
    return total, each


def worst_of(each: Sequence[float], n: int = 4, apart: int = 1) -> list[int]:
    """Indices of the images with the lowest mean IoU, lowest first; an image that is all void is none.

    Args:
        each: of `measure`.
        n: how many.
        apart: least distance between two of them: a video's neighbours look alike.
    """
    chosen: list[int] = []
    for i in (int(i) for i in np.argsort(each, kind="stable") if not np.isnan(each[i])):
        if len(chosen) < n and all(abs(i - other) >= apart for other in chosen):
            chosen.append(i)
    return chosen


def gallery(segmenter: Segmenter, data: Dataset, each: Sequence[float], chosen: Sequence[int]) -> Figure:
    """Image, truth, prediction and errors of some frames, under their names and scores.

    Args:
        segmenter, data, each: as in `measure`.
        chosen: indices of the frames.
    """
    rows = [(*data[i], segmenter.predict(data[i][0])) for i in chosen]
    names = [f"{data.names[i]}\nmIoU {100 * each[i]:.1f} %" for i in chosen]
    return panel(rows, data.table, names=names)


def failure_gallery(segmenter: Segmenter, data: Dataset, n: int = 4, apart: int = 1) -> Figure:
    """The frames that a network fails on worst, by the mean IoU of the classes in their label, worst first.

    Args:
        segmenter: with the classes of the data.
        data: its frames and labels.
        n: how many to show.
        apart: see `worst_of`.
    """
    _, each = measure(segmenter, data, "failures")
    return gallery(segmenter, data, each, worst_of(each, n, apart))
