"""Figures of lesson 07: what losses look at, and what training does over its steps and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from edgeseg.plots import BLUE, DARK_GREY, GREEN, ORANGE, PURPLE, SKY, VERMILION

_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)  # Okabe and Ito
_STYLES = ("-", "--", "-.", ":")


def pictures(named: Mapping[str, np.ndarray], columns: int = 4, width: float = 9.4) -> Figure:
    """Pictures beside each other with their names above.

    Args:
        named: name → (H, W, 3) uint8, or (H, W) of numbers in 0…1, drawn from dark (0) to light (1).
        columns: pictures in a row.
        width: of the figure, inches.
    """
    rows = -(-len(named) // columns)
    height, across = next(iter(named.values())).shape[:2]
    figure = Figure((width, rows * (width / columns * height / across + 0.35)), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.axis("off")
    for axis, (name, picture) in zip(axes, named.items(), strict=False):  # the last row may stay half empty
        axis.imshow(picture, cmap="cividis", vmin=0, vmax=1)  # the limits are for numbers; colours have none
        axis.set_title(name, fontsize=9)
    return figure


def lines(
    named: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    log: bool = False,
    level: tuple[float, str] | None = None,
) -> Figure:
    """Curves over their index, apart by colour and by dashes.

    Args:
        named: name → values.
        xlabel, ylabel: of the axes.
        log: logarithmic y axis.
        level: height and name of a thin horizontal line.
    """
    figure = Figure((7.6, 3.0), layout="constrained")
    axis = figure.subplots()
    for (name, values), color, style in zip(named.items(), _COLORS, cycle(_STYLES), strict=False):
        axis.plot(values, color=color, ls=style, lw=1.5, label=name)
    if level is not None:
        axis.axhline(level[0], color=DARK_GREY, lw=1)
        place = ("axes fraction", "data")
        axis.annotate(level[1], (1, level[0]), (-2, 3), place, "offset points", ha="right", fontsize=8)
    if log:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid(alpha=0.25)
    axis.legend(frameon=False, fontsize=8)
    return figure


def shares_and_weights(names: Sequence[str], shares: Sequence[float], weights: Mapping[str, Sequence[float]]) -> Figure:
    """Left each class's share of the pixels in percent, right the weights that it would get.

    Args:
        names: of the classes.
        shares: in 0…1.
        weights: name of the rule → one weight a class.
    """
    figure = Figure((8.6, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(names))
    left.barh(rows, 100 * np.asarray(shares), color=_COLORS[0])
    left.set_yticks(rows, names, fontsize=8)
    left.invert_yaxis()
    left.set_xlabel("share of the valid pixels, %")
    for (rule, values), color, mark in zip(weights.items(), _COLORS[1:], "oD^v", strict=False):
        right.plot(values, rows, mark, color=color, label=rule)
    right.grid(alpha=0.25)
    right.set(xlabel="class weight (log scale)", xscale="log")
    right.legend(frameon=False, fontsize=8)
    return figure


def focus(image: np.ndarray, probability: np.ndarray, gamma: float) -> Figure:
    """Focal loss at one γ: its curve, where a prediction still counts, and how few pixels bear the loss.

    Args:
        image: (H, W, 3) uint8.
        probability: (H, W) of the true class in 0…1, NaN on void.
        gamma: focusing exponent.
    """
    figure = Figure((9.4, 2.9), layout="constrained")
    curve, picture, burden = figure.subplots(1, 3, width_ratios=(1, 1.35, 1))
    _focal_curve(curve, gamma)
    factor = (1 - probability) ** gamma
    seen = 0.25 * image.mean(2, keepdims=True) / 255 * np.ones(3)  # the scene, dark, under what counts
    strength = np.nan_to_num(factor)[..., None]
    picture.imshow(seen * (1 - strength) + strength * np.array([1.0, 0.78, 0.2]))
    picture.set_title(f"(1 − p)^γ: bright pixels count, γ = {gamma:g}", fontsize=9)
    picture.axis("off")
    valid = ~np.isnan(probability)
    _burden(burden, (factor * -np.log(np.maximum(probability, 1e-12)))[valid])
    return figure


def _focal_curve(axis: Axes, gamma: float) -> None:
    p = np.linspace(0.005, 1, 200)
    axis.plot(p, -np.log(p), color=DARK_GREY, lw=1.2, label="γ = 0: cross-entropy")
    axis.plot(p, (1 - p) ** gamma * -np.log(p), color=_COLORS[1], lw=2, ls="--", label=f"γ = {gamma:g}")
    axis.set(xlabel="p of the true class", ylabel="loss of the pixel", ylim=(0, 4))
    axis.legend(frameon=False, fontsize=8)


def _burden(axis: Axes, pixel: np.ndarray) -> None:
    """What share of the loss the hardest pixels bear."""
    borne = np.cumsum(np.sort(pixel)[::-1]) / pixel.sum()
    percent = 100 * np.arange(1, len(borne) + 1) / len(borne)
    half = percent[int(np.searchsorted(borne, 0.5))]
    axis.plot(percent, 100 * borne, color=_COLORS[0], lw=2)
    axis.plot([half, half], [0, 50], color=DARK_GREY, lw=1)
    axis.set(xlabel="hardest pixels, %", ylabel="share of the loss, %", xlim=(0, 40), ylim=(0, 101))
    axis.set_title(f"half of the loss: {half:.1f} % of the pixels", fontsize=9)


def seeds(scores: Mapping[str, Sequence[float]]) -> Figure:
    """Two ways of training, one dot a seed, dots of a seed joined; mean ± standard error beside them.

    Args:
        scores: name of the way → one score a seed, percent; two ways.
    """
    (a, first), (b, second) = scores.items()
    figure = Figure((8.6, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    for pair in zip(first, second, strict=True):
        left.plot((0, 1), pair, "o-", color=SKY, mec=BLUE, mfc="white", lw=1)
    for x, values in ((-0.15, first), (1.15, second)):
        left.errorbar(x, np.mean(values), standard_error(values), fmt="s", color=_COLORS[1], capsize=4)
    left.set_xticks((0, 1), (a, b))
    left.set(xlim=(-0.5, 1.5), ylabel="mIoU of unseen scenes, %")
    gains = np.subtract(second, first)
    right.bar(range(len(gains)), gains, color=SKY, edgecolor=BLUE)
    right.errorbar(len(gains) + 0.5, gains.mean(), standard_error(gains), fmt="s", color=_COLORS[1], capsize=4)
    right.axhline(0, color=DARK_GREY, lw=1)
    right.set_xticks([*range(len(gains)), len(gains) + 0.5], [*map(str, range(len(gains))), "mean ± s.e."])
    right.set(xlim=(-0.7, len(gains) + 1.2), xlabel="seed", ylabel=f"{b} minus {a}, points")
    return figure


def standard_error(values: Sequence[float] | np.ndarray) -> float:
    """Of the mean: the sample's standard deviation over √n."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5)
