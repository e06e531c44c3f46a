"""Lesson 06: what the exercises are compared with, and pictures of parameters and of the paper's Table 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import nn

from edgeseg.models.cross_cbam import Decoder
from edgeseg.models.layers import FCNHead
from edgeseg.models.stdc import STDC
from edgeseg.plots import BLUE, DARK_GREY, ORANGE

__all__ = ["Decoder", "factor_fits", "faster", "parameter_bars", "spare_parameters"]


def factor_fits(height: int, width: int) -> bool:
    """Whether twice a map's size is the next map's size, at both steps of the decoder, measured on a backbone."""
    with torch.no_grad():
        f8, f16, f32 = STDC((1, 1, 1), width=2).eval()(torch.zeros(1, 3, height, width))
    pairs = ((f32, f16), (f16, f8))
    return all(2 * small.shape[d] == large.shape[d] for small, large in pairs for d in (2, 3))


def spare_parameters(channels: int = 256, classes: int = 19) -> int:
    """Parameters that Tables 5 and 6 count and that inference does without, counted on built layers."""
    parts = [FCNHead(1024, 64, classes), nn.Conv2d(channels, classes, 1)]
    return sum(p.numel() for part in parts for p in part.parameters())


def faster(speed: float, other: float) -> float:
    """By how many percent ``speed`` frames per second exceed ``other``."""
    return 100 * (speed - other) / other


def parameter_bars(parts: Mapping[str, int], unneeded: Sequence[str]) -> Figure:
    """Parameters of a network's parts as bars; those that inference can do without in orange and hatched.

    Args:
        parts: parameters by name.
        unneeded: names of those that only training has.
    """
    figure = Figure((8.6, 0.36 * len(parts) + 0.7), layout="constrained", dpi=90)
    axis = figure.subplots()
    for row, (name, number) in enumerate(parts.items()):
        spare = name in unneeded
        axis.barh(row, number / 1e6, color=ORANGE if spare else BLUE, hatch="//" if spare else None, ec="white")
        axis.text(number / 1e6 + 0.05, row, f"{number:,}", va="center", fontsize=9)
    axis.set_yticks(range(len(parts)), list(parts), fontsize=9)
    axis.invert_yaxis()
    axis.set_xlabel("million parameters", fontsize=9)
    axis.margins(x=0.15)
    return figure


def speed_and_accuracy(rows: Mapping[str, tuple[float, float]], chosen: str, best: str) -> Figure:
    """mIoU over frames per second, with two rows marked.

    Args:
        rows: (mIoU %, frames per second) by name.
        chosen: the row that was adopted.
        best: the row with the best mIoU.
    """
    figure = Figure((7.4, 3.0), layout="constrained", dpi=90)
    axis = figure.subplots()
    for name, (miou, speed) in rows.items():
        color, mark = {chosen: (ORANGE, "s"), best: (BLUE, "D")}.get(name, (DARK_GREY, "o"))
        axis.plot(speed, miou, mark, color=color, ms=9)
        note = {chosen: "  adopted", best: "  best mIoU"}.get(name, "")
        axis.annotate(f"{name}{note}", (speed, miou), (8, 0), textcoords="offset points", va="center", fontsize=9)
    axis.set(xlabel="frames per second, as printed", ylabel="mIoU %, as printed")
    axis.margins(x=0.3, y=0.2)
    axis.grid(alpha=0.25)
    return figure
