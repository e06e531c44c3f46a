"""Lesson 08: pictures of runs, splits and seeds, and what its exercises are compared with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from edgeseg.data.pairs import Dataset
from edgeseg.inference import both_ways
from edgeseg.metrics import VOID
from edgeseg.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, colorize, read_log, with_legend
from edgeseg.training.optim import learning_rate
from edgeseg.training.recipes import Recipe

# Test IoU % of the CamVid run of camvid_cpu_seed0.jsonl, input 540×720 (README, "What it reaches")
TEST_IOU: Mapping[str, float] = {
    **{"Sky": 89.3, "Building": 73.8, "Pole": 22.5, "Road": 92.9, "Pavement": 75.5, "Tree": 66.6, "SignSymbol": 30.1},
    **{"Fence": 25.9, "Car": 74.0, "Pedestrian": 32.8, "Bicyclist": 42.9},
}
# Share of all pixels in percent, counted over SegNet's split of CamVid at 480×360: train, val, test
SHARES: Mapping[str, tuple[float, float, float]] = {
    "Sky": (17.538, 9.336, 17.746),
    "Building": (24.215, 26.412, 25.586),
    "Pole": (1.023, 0.574, 1.224),
    "Road": (32.960, 29.455, 26.836),
    "Pavement": (4.671, 8.870, 9.638),
    "Tree": (10.124, 16.619, 11.702),
    "SignSymbol": (1.221, 0.908, 1.050),
    "Fence": (1.173, 3.131, 1.231),
    "Car": (6.107, 1.776, 4.130),
    "Pedestrian": (0.666, 0.662, 0.659),
    "Bicyclist": (0.304, 2.256, 0.197),
}


def find_log(name: str) -> Path:
    """A committed log of the course: from ``results`` beside or above the notebook.

    Raises:
        FileNotFoundError: there is none; says what to do.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        for path in (folder / "results" / name, folder / "course" / "results" / name):
            if path.is_file():
                return path
    raise FileNotFoundError(f"no results/{name} in or above {here}: copy the folder course/results beside this lesson")


# What the exercises are compared with ---------------------------------------------------------------------------------


def last_and_best(lines: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(epoch, mIoU) of the last and of the best scores in the lines of a log; of equal ones the first is the best."""
    scores = [(row["epoch"], row["miou"]) for row in map(json.loads, lines) if "miou" in row]
    return {"last": scores[-1], "best": max(scores, key=lambda s: s[1])}


def mean_and_error(scores: Sequence[float]) -> tuple[float, float]:
    """Mean, and its standard error: the deviation with n − 1, over the root of n."""
    values = np.asarray(scores, float)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float, float]:
    """Mean of b − a over the seeds that both have, and its standard error."""
    return mean_and_error([b[seed] - a[seed] for seed in sorted(set(a) & set(b))])


def flip_average(logits: Callable[[Tensor], Tensor], image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 ids of an (H, W, 3) uint8 image and its mirror image together, as `Segmenter.predict` has them."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    return both_ways(logits, x).argmax(1)[0].to(torch.uint8).numpy()


# Pictures -------------------------------------------------------------------------------------------------------------


def run(log: Path, budgets: Mapping[float, str] | None = None) -> Figure:
    """Loss, learning rate and validation scores of a run, from its log.

    Args:
        log: ``log.jsonl``.
        budgets: epochs → name: the learning rate that each budget would have given is drawn thin.
    """
    steps, scores = read_log(log)
    head = json.loads(log.read_text(encoding="utf-8").splitlines()[0])
    epochs = [row["epoch"] for row in steps]
    figure = Figure((9.6, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot(epochs, [row["loss"] for row in steps], color=BLUE, lw=0.8)
    left.set(xlabel="epoch", ylim=(0, None))
    left.set_title("training loss", fontsize=10)
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in head["recipe"].items()}
    recipe = Recipe(**given)
    for (budget, name), color in zip((budgets or {}).items(), (ORANGE, GREEN), strict=False):
        grid = np.linspace(0, budget, 200)
        per_epoch = head["images"] / recipe.batch
        rates = [learning_rate(recipe, round(e * per_epoch), e / budget) for e in grid]
        middle.plot(grid, rates, color=color, lw=3, alpha=0.55, label=name)
    middle.plot(epochs, [row["lr"] for row in steps], color="black", lw=1, label="as logged")
    middle.set(xlabel="epoch")
    middle.set_title("learning rate", fontsize=10)
    middle.legend(fontsize=8, frameon=False)
    _scores(right, scores)
    return figure


def classes(row: Mapping[str, Any]) -> Figure:
    """IoU of each class on val (a score line of the log) and on test, and how much of each split is of that class."""
    names = list(TEST_IOU)
    places = np.arange(len(names))
    figure = Figure((9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    val = [row["per_class_iou"][name] for name in names]
    left.hlines(places, val, list(TEST_IOU.values()), color=GREY, lw=2)
    left.plot(val, places, "o", color=ORANGE, label="val, 101 frames", ms=8)
    left.plot(list(TEST_IOU.values()), places, "s", color=BLUE, label="test, 233 frames", ms=7)
    left.set_yticks(places, names, fontsize=9)
    left.invert_yaxis()
    left.set(xlim=(0, 100), xlabel="IoU, percent")
    styles = (("train", "^", GREEN), ("val", "o", ORANGE), ("test", "s", BLUE))
    for k, (split, marker, color) in enumerate(styles):
        right.plot([SHARES[n][k] for n in names], places, marker, color=color, label=split, ms=7, alpha=0.85)
    right.set(xscale="log", xlabel="share of all pixels, percent (log)")
    right.set_xticks([0.2, 0.5, 1, 2, 5, 10, 20], ["0.2", "0.5", "1", "2", "5", "10", "20"])
    for axis in (left, right):
        axis.grid(axis="y", alpha=0.25)
        axis.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def frames(data: Dataset, chosen: Sequence[int], predict: Callable[[np.ndarray], np.ndarray]) -> Figure:
    """Some samples of a data set: image, truth and prediction, a column each."""
    figure = Figure((9.6, 5.8), layout="constrained")
    axes = figure.subplots(3, len(chosen), squeeze=False)
    for column, index in enumerate(chosen):
        image, truth = data[index]
        prediction = np.where(truth == VOID, np.uint8(VOID), predict(image))
        pictures = (image, colorize(truth, data.table), colorize(prediction, data.table))
        for axis, picture, name in zip(axes[:, column], pictures, ("image", "truth", "prediction"), strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if column == 0:
                axis.set_ylabel(name, fontsize=10)
        axes[0, column].set_title(data.names[index], fontsize=9)
    return with_legend(figure, data.table, void=True)


def best_of(looks: int, noise: float) -> Figure:
    """What choosing the best of several evaluations makes of a network that is always 60 % good.

    Args:
        looks: evaluations in a run.
        noise: standard deviation of one evaluation, points of mIoU.
    """
    draws = 60 + noise * np.random.default_rng(0).standard_normal((5000, looks))
    best = draws.max(1)
    figure = Figure((8.4, 2.8), layout="constrained")
    axis = figure.subplots()
    bins = np.linspace(60 - 4 * noise, 60 + 4.5 * noise, 60).tolist()
    axis.hist(draws[:, -1], bins, color=BLUE, alpha=0.6, label=f"the last one: {draws[:, -1].mean():.1f} on average")
    axis.hist(best, bins, color=VERMILION, alpha=0.6, label=f"the best of {looks}: {best.mean():.1f} on average")
    axis.axvline(60, color="black", lw=1, ls="--", label="the truth: 60")
    axis.set(xlabel="mIoU that is reported, percent", ylabel="runs of 5000")
    axis.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def seeds(a: Mapping[int, float], b: Mapping[int, float], names: tuple[str, str]) -> Figure:
    """Scores of two recipes over the same seeds: side by side with standard errors, and as differences."""
    common = sorted(set(a) & set(b))
    figure = Figure((9.6, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    for seed in common:
        left.plot([0, 1], [a[seed], b[seed]], "-", color=GREY, lw=1)
    for place, (scores, color) in enumerate(zip((a, b), (BLUE, ORANGE), strict=True)):
        values = [scores[s] for s in common]
        mean, error = mean_and_error(values)
        left.plot([place] * len(values), values, "o", color=color)
        side = place + (0.15 if place else -0.15)
        left.errorbar(side, mean, error, fmt="_", color=color, capsize=5, lw=2, ms=16)
        left.annotate(f"{mean:.2f} ± {error:.2f}", (side, mean), (10 if place else -10, 0), textcoords="offset points",
                      ha="left" if place else "right", va="center", fontsize=9)  # fmt: skip
    left.set_xticks([0, 1], list(names))
    left.set(xlim=(-0.9, 1.9), ylabel="mIoU, percent")
    mean, error = paired(a, b)
    right.axhline(0, color="black", lw=1)
    right.plot([str(s) for s in common], [b[s] - a[s] for s in common], "o", color=GREEN)
    right.axhspan(mean - error, mean + error, color=GREEN, alpha=0.2)
    right.axhline(mean, color=GREEN, lw=2)
    right.set(xlabel="seed", ylabel="difference, points")
    right.set_title(f"paired: {mean:+.2f} ± {error:.2f}", fontsize=10)
    return figure


def forgotten(distances: Mapping[str, tuple[float, float]]) -> Figure:
    """How far a run ends from the uninterrupted one, for what its checkpoint had lost: trained and averaged weights."""
    figure = Figure((8.4, 3.0), layout="constrained")
    axis = figure.subplots()
    places = np.arange(len(distances))
    floor = 1e-7
    for k, (name, color) in enumerate((("trained weights", BLUE), ("averaged weights", ORANGE))):
        values = [pair[k] for pair in distances.values()]
        axis.barh(places + 0.2 * (2 * k - 1), [max(v, floor) for v in values], 0.38, color=color, label=name)
        for place, value in zip(places, values, strict=True):
            text = "exactly 0" if value == 0 else f"{value:.1e}"
            axis.text(max(value, floor) * 1.3, place + 0.2 * (2 * k - 1), text, va="center", fontsize=8)
    axis.set_yticks(places, list(distances), fontsize=9)
    axis.invert_yaxis()
    axis.set(xscale="log", xlim=(floor / 2, 3), xlabel="relative distance from the uninterrupted run (log)")
    axis.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _scores(axis: Axes, scores: Sequence[Mapping[str, Any]]) -> None:
    epochs = [row["epoch"] for row in scores]
    curves = (("pixel_accuracy", "pixel accuracy", GREEN, "s--"), ("miou", "mIoU", VERMILION, "o-"))
    for key, name, color, style in curves:
        values = [row[key] for row in scores]
        axis.plot(epochs, values, style, color=color, ms=4)
        text, end = f"{name} {values[-1]:.1f}", (epochs[-1], values[-1])
        place = (0, -14) if values[-1] > 85 else (0, 6)  # clear of the title
        axis.annotate(text, end, place, textcoords="offset points", ha="right", fontsize=9, color=color)
    axis.set(xlabel="epoch", ylim=(0, 100))
    axis.set_title("on the validation split, percent", fontsize=10)
