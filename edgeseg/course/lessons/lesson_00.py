"""Lesson 00: its pictures, and what its exercises are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from edgeseg.data.labels import VOID
from edgeseg.models.layers import resize
from edgeseg.plots import BLUE, GREEN, GREY, ORANGE

# What the exercises are compared with ---------------------------------------------------------------------------------


def to_tensor(image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32, normalised."""
    middle, deviation = torch.tensor(mean), torch.tensor(std)
    colors = torch.from_numpy(image).float() / 255
    colors = (colors - middle) / deviation
    return colors.permute(2, 0, 1)[None]


def class_map(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """(1, C, h, w) logits → (H, W) uint8 class ids."""
    return resize(logits, size).argmax(1)[0].to(torch.uint8).cpu().numpy()


def confidence(logits: Tensor) -> Tensor:
    """Softmax probability of the likeliest class: (1, C, H, W) logits → (H, W) in 1/C … 1."""
    powers = (logits - logits.amax(1, keepdim=True)).exp()
    return powers.amax(1)[0] / powers.sum(1)[0]


def edges(ids: np.ndarray) -> np.ndarray:
    """(H, W) ids → (H, W) bool: a direct neighbour has another class; void and the image's border make no edge."""
    edge = np.zeros(ids.shape, bool)
    for a, b, edge_a, edge_b in (
        (ids[1:], ids[:-1], edge[1:], edge[:-1]),
        (ids[:, 1:], ids[:, :-1], edge[:, 1:], edge[:, :-1]),
    ):
        differ = (a != b) & (a != VOID) & (b != VOID)
        edge_a |= differ
        edge_b |= differ
    return edge


def frames_per_second(seconds: Sequence[float], warm_up: int = 3) -> float:
    """One over the median of the times after the warm-up."""
    return float(1 / np.median(list(seconds)[warm_up:]))


# Pictures -------------------------------------------------------------------------------------------------------------


def iou_bars(iou: Mapping[str, float], mean: float) -> Figure:
    """IoU of every class, best first, and their mean as a line; both in percent."""
    ordered = sorted(iou.items(), key=lambda item: item[1])
    figure = Figure((7.2, 3.4), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh([name for name, _ in ordered], [value for _, value in ordered], color=BLUE)
    axis.bar_label(bars, fmt="%.0f", padding=3, fontsize=9)
    axis.axvline(mean, color=ORANGE, lw=2)
    axis.text(mean + 1, 0, f"mean {mean:.1f}", color="black", fontsize=9, va="center")
    axis.set(xlim=(0, 105), xlabel="IoU in percent, 200 test scenes")
    return figure


def sizes(parts: Mapping[str, int], megabytes: Mapping[str, float]) -> Figure:
    """Left: parameters by part of the network. Right: how many megabytes some things take, by powers of ten."""
    figure = Figure((9.6, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    bars = left.barh(list(parts)[::-1], [n / 1e6 for n in parts.values()][::-1], color=BLUE)
    left.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
    left.set(xlabel="million parameters", xlim=(0, 1.25 * max(parts.values()) / 1e6))
    names = list(megabytes)[::-1]
    colors = [ORANGE if name.startswith("weights") else GREY for name in names]
    bars = right.barh(names, [megabytes[name] for name in names], color=colors)
    right.bar_label(bars, fmt="%.0f", padding=3, fontsize=9)
    right.set_xscale("log")
    right.set(xlabel="megabytes, a logarithmic axis", xlim=(3, 4 * max(megabytes.values())))
    return figure


def sure_and_unsure(image: np.ndarray, sure: np.ndarray, wrong: np.ndarray) -> Figure:
    """An image, its confidence map (dark = unsure), and the pixels that are wrong (orange)."""
    figure = Figure((9.6, 2.7), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(image)
    shown = axes[1].imshow(sure, cmap="cividis", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes[1], shrink=0.75, label="probability")
    axes[2].imshow(image // 3 + 150)
    axes[2].imshow(np.ma.masked_equal(wrong.astype(float), 0), cmap="Oranges", vmin=0, vmax=1.5)
    for axis, title in zip(axes, ("image", "how sure", "where it is wrong"), strict=True):
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    return figure


def times(seconds: Mapping[str, Sequence[float]], warm_up: int) -> Figure:
    """Time of each call in order, one panel a series; median and mean as lines, the warm-up in grey."""
    figure = Figure((9.6, 2.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(seconds), sharey=True))
    for axis, (name, series) in zip(axes, seconds.items(), strict=True):
        ms = 1000 * np.asarray(series)
        axis.plot(range(1, warm_up + 1), ms[:warm_up], "s", color=GREY, label="warm-up")
        axis.plot(range(warm_up + 1, len(ms) + 1), ms[warm_up:], "o", color=BLUE, label="counts")
        axis.axhline(float(np.median(ms[warm_up:])), color=ORANGE, lw=2, label="median of what counts")
        axis.axhline(float(ms.mean()), color=GREEN, lw=1.5, ls="--", label="mean of all")
        axis.set_title(name, fontsize=10)
        axis.set(xlabel="call")
    longest = 1000 * max(max(series) for series in seconds.values())
    axes[0].set(ylabel="milliseconds", ylim=(0, 1.1 * longest))
    axes[0].legend(fontsize=8, frameon=False, loc="lower left")
    return figure


def side_by_side(pictures: Mapping[str, np.ndarray]) -> Figure:
    """Pictures of one size in a row, each with its name above."""
    height, width = next(iter(pictures.values())).shape[:2]
    cell = 9.6 / max(3, len(pictures))
    figure = Figure((cell * len(pictures), cell * height / width + 0.4), layout="constrained")
    for axis, (name, picture) in zip(np.atleast_1d(figure.subplots(1, len(pictures))), pictures.items(), strict=True):
        axis.imshow(picture, interpolation="nearest")
        axis.set_title(name, fontsize=10)
        axis.axis("off")
    return figure
