"""Lesson 02: pictures of a confusion matrix and of what becomes of it, and what its exercises are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from edgeseg.data.labels import CAMVID, ClassTable
from edgeseg.metrics import ConfusionMatrix, Scores
from edgeseg.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, colorize, error_map, with_legend

_SKY, _BUILDING, _POLE, _ROAD = range(4)  # CamVid's first four classes: those of the scene of `pole`
_WIDTHS = range(1, 41)


# What the exercises are compared with ---------------------------------------------------------------------------------


def confusion(pred: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """The package's own count of two (H, W) maps: (C, C) int64, rows true, columns predicted."""
    counted = ConfusionMatrix(classes)
    counted.update(pred, target)
    return counted.matrix


def strangers(ids: np.ndarray, classes: int) -> dict[int, int]:
    """Value → pixels of every value of a label that the package refuses; found by asking it about each."""
    wrong = {}
    for value in range(int(ids.min()), int(ids.max()) + 1):
        try:
            ConfusionMatrix(classes).update(np.zeros((1, 1), np.uint8), np.full((1, 1), value, np.int64))
        except ValueError:
            wrong[value] = int((ids == value).sum())
    return {value: count for value, count in wrong.items() if count}


def scores_of(matrix: np.ndarray) -> Scores:
    """What the package makes of counts (C, C)."""
    counted = ConfusionMatrix(len(matrix))
    counted.matrix = matrix.astype(np.int64)
    return counted.compute()


def iou_per_class(matrix: np.ndarray) -> np.ndarray:
    """(C,) IoU of counts (C, C); NaN for an absent class."""
    return np.array(scores_of(matrix).per_class_iou)


def mean_iou(matrix: np.ndarray) -> tuple[float, list[int]]:
    """mIoU of counts (C, C), and the ids of the absent classes."""
    scores = scores_of(matrix)
    return scores.miou, list(scores.absent)


def micro_iou(accuracy: float) -> float:
    """IoU over both of two classes at once, counted: class 0 is everywhere, and a share `accuracy` of it is found."""
    matrix = np.array([[accuracy, 1 - accuracy], [0.0, 0.0]])
    right, union = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return float(right.sum() / union.sum())


def two_means(matrices: np.ndarray) -> tuple[float, float]:
    """Of counts (N, C, C), one matrix an image: the images' mIoU averaged, and the mIoU of all images together."""
    return float(np.mean([scores_of(m).miou for m in matrices])), scores_of(matrices.sum(0)).miou


# Pictures -------------------------------------------------------------------------------------------------------------


def scene(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, table: ClassTable) -> Figure:
    """Image, truth, prediction and errors in a row, and the classes' colours; (H, W, 3) uint8 and twice (H, W) ids."""
    pictures = {
        "image": image,
        "truth": colorize(truth, table),
        "prediction": colorize(prediction, table),
        "errors (orange)": error_map(prediction, truth),
    }
    figure = Figure((9.6, 2.0), layout="constrained")
    for axis, (name, picture) in zip(figure.subplots(1, 4), pictures.items(), strict=True):
        _picture(axis, picture, name)
    return with_legend(figure, table, void=True)


def counted(truth: np.ndarray, prediction: np.ndarray, classes: int) -> Figure:
    """Two small maps (H, W) of class ids pixel by pixel, differences framed, and the matrix that they give."""
    matrix = confusion(prediction, truth, classes)
    figure = Figure((9.6, 2.7), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axis, ids, title in ((left, truth, "truth"), (middle, prediction, "prediction")):
        _picture(axis, ids, title, cmap="Blues", vmin=-1, vmax=classes + 1)
        for (row, column), value in np.ndenumerate(ids):
            axis.text(column, row, str(value), ha="center", va="center", fontsize=11)
            if truth[row, column] != prediction[row, column]:
                axis.add_patch(Rectangle((column - 0.45, row - 0.45), 0.9, 0.9, fill=False, ec=ORANGE, lw=3))
    _picture(right, np.where(np.eye(classes) > 0, 0.25, 0.0), "counted", cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(matrix):
        color = "black" if row == column or not value else VERMILION
        right.text(column, row, str(value), ha="center", va="center", fontsize=12, color=color)
    right.set_xticks(range(classes))
    right.set_yticks(range(classes))
    right.set(xlabel="predicted class", ylabel="true class")
    return figure


def heat(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts (C, C) as shares of each true class in percent, so that every row adds up to 100."""
    support = matrix.sum(1, keepdims=True)
    shares = 100 * np.divide(matrix, support, out=np.zeros(matrix.shape), where=support > 0)
    figure = Figure((7.4, 5.4), layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            color = "white" if share > 55 else "black"
            axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=9, color=color)
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=9)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.set_title("of 100 pixels of a true class, so many are called …", fontsize=10)
    return figure


def overlap(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, table: ClassTable, name: str) -> Figure:
    """One class of one image: what was found, missed and invented, and the IoU that follows."""
    chosen = table.index(name)
    is_true, is_found = truth == chosen, (prediction == chosen) & (truth != 255)
    parts = {
        "found (TP)": (is_true & is_found, BLUE),
        "missed (FN)": (is_true & ~is_found, ORANGE),
        "invented (FP)": (is_found & ~is_true, PURPLE),
    }
    picture = (0.25 * image + 0.75 * 255).astype(np.uint8)
    for mask, color in parts.values():
        picture[mask] = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    figure = Figure((9.6, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    _picture(left, image, "image")
    tp, fn, fp = (int(mask.sum()) for mask, _ in parts.values())
    _picture(right, picture, f"{name}: {tp} / ({tp} + {fn} + {fp}) = {tp / max(tp + fn + fp, 1):.2f}")
    patches = [Patch(color=color, label=label) for label, (_, color) in parts.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=10, frameon=False)
    return figure


def pole(width: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """A street with one pole, and a prediction that is right but for the pole standing too far to the right.

    Args:
        width: of the pole, pixels.
        shift: how far the predicted pole stands from the true one, pixels.

    Returns:
        prediction and truth, (96, 128) uint8 ids of CamVid's first four classes.
    """
    street = np.full((96, 128), _BUILDING, np.uint8)
    street[:26], street[70:] = _SKY, _ROAD
    maps = [street.copy(), street]
    for ids, left in zip(maps, (44 + shift, 44), strict=True):
        ids[10:80, left : left + width] = _POLE
    return maps[0], maps[1]


def shrink(width: int, shift: int) -> Figure:
    """The street of `pole`, its errors, and the scores at this and at every other width of the pole."""
    prediction, truth = pole(width, shift)
    curves = np.array([_pole_scores(w, shift) for w in _WIDTHS]).T
    here = _pole_scores(width, shift)
    figure = Figure((9.6, 3.0), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    _picture(left, colorize(truth, CAMVID), f"truth: pole of {width} px")
    _picture(middle, error_map(prediction, truth), f"errors: it stands {shift} px too far right")
    styles = (("pixel accuracy", BLUE, "-"), ("mIoU", ORANGE, "--"), ("IoU of Pole", GREEN, ":"))
    for (name, color, line), values, value in zip(styles, curves, here, strict=True):
        right.plot(_WIDTHS, values, line, color=color, lw=2, label=f"{name} {value:.1f}")
        right.plot(width, value, "o", color=color)
    right.set(xlabel="width of the pole, pixels", ylabel="percent", ylim=(-3, 103), xlim=(41, 0))
    right.legend(fontsize=9, frameon=False, loc="lower left")
    return figure


def bars(values: Mapping[str, float], title: str) -> Figure:
    """Named shares in 0…1 as horizontal bars in percent."""
    figure = Figure((8.4, 0.9 + 0.42 * len(values)), layout="constrained")
    axis = figure.subplots()
    names, numbers = list(values), [100 * v for v in values.values()]
    axis.barh(names, numbers, color=[BLUE if "mIoU" in n else GREY for n in names])
    for place, number in enumerate(numbers):
        axis.text(number + 1, place, f"{number:.1f}", va="center", fontsize=10)
    axis.set(xlim=(0, 108), xlabel="percent")
    axis.set_title(title, fontsize=10)
    axis.invert_yaxis()
    return figure


def images_apart(each: Sequence[float], mean: float, whole: float) -> Figure:
    """The mIoU of single images as dots, their mean, and the mIoU of all images together."""
    order = np.sort(100 * np.asarray(each))
    figure = Figure((8.4, 2.6), layout="constrained")
    axis = figure.subplots()
    axis.plot(order, np.arange(1, len(order) + 1), "o", color=GREY, label="one image each")
    for value, color, line, name in ((mean, ORANGE, "--", "their mean"), (whole, BLUE, "-", "one matrix over all")):
        axis.axvline(100 * value, color=color, ls=line, lw=2, label=f"{name}: {100 * value:.1f}")
    axis.set(xlabel="mIoU, percent", ylabel="images, sorted")
    axis.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _pole_scores(width: int, shift: int) -> tuple[float, float, float]:
    """Pixel accuracy, mIoU and the pole's IoU in percent."""
    scores = scores_of(confusion(*pole(width, shift), 4))
    return 100 * scores.pixel_accuracy, 100 * scores.miou, 100 * scores.per_class_iou[_POLE]


def _picture(axis: Axes, picture: np.ndarray, title: str, **how: Any) -> None:
    axis.imshow(picture, interpolation="nearest", **how)
    axis.set_title(title, fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
