"""The pictures that lessons share: the network's map with today's block in colour, two pictures under a slider."""

from __future__ import annotations

import base64
import html
import io
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edgeseg.plots import DARK_GREY, ORANGE
from edgeseg.text import unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TODAY, _BUILT, _LATER = ORANGE, "#CFE2F3", "#F2F2F2"  # apart without colour too: their lightness differs
_ARROW = "#444444"


@dataclass(frozen=True)
class _Box:
    """One part of the map, in units of the grid: its middle and its size."""

    x: float
    y: float
    width: float
    height: float
    text: str


_CROSS_CBAM: Mapping[str, _Box] = {
    "image": _Box(0.5, 3.6, 0.9, 1.0, "image\n1/1"),
    "stage1": _Box(1.9, 3.6, 0.95, 1.0, "stage 1\nconv  1/2"),
    "stage2": _Box(3.2, 3.6, 0.95, 1.0, "stage 2\nconv  1/4"),
    "stage3": _Box(4.6, 3.6, 1.1, 1.0, "stage 3\nSTDC  1/8\n256"),
    "stage4": _Box(6.1, 3.6, 1.1, 1.0, "stage 4\nSTDC  1/16\n512"),
    "stage5": _Box(7.6, 3.6, 1.1, 1.0, "stage 5\nSTDC  1/32\n1024"),
    "SE-ASPP": _Box(7.6, 1.6, 1.3, 0.9, "SE-ASPP\n1/32, 256"),
    "CCBAM 16": _Box(6.1, 1.6, 1.1, 0.9, "CCBAM\n1/16, 256"),
    "CCBAM 8": _Box(4.6, 1.6, 1.1, 0.9, "CCBAM\n1/8, 256"),
    "head": _Box(3.0, 1.6, 1.35, 0.9, "256→128\nclassifier"),
    "mask": _Box(0.9, 1.6, 1.3, 0.9, "class map\n1/1"),
    "aux": _Box(9.3, 3.6, 1.15, 0.9, "aux head\ntraining only"),
}
_PATH = ("image", "stage1", "stage2", "stage3", "stage4", "stage5", "SE-ASPP", "CCBAM 16", "CCBAM 8", "head", "mask")
_ARROWS = (*pairwise(_PATH), ("stage4", "CCBAM 16"), ("stage3", "CCBAM 8"), ("stage5", "aux"))
_ON_ARROWS: Mapping[tuple[str, str], str] = {
    **dict.fromkeys((("SE-ASPP", "CCBAM 16"), ("CCBAM 16", "CCBAM 8"), ("head", "mask")), "resize"),
    ("stage4", "CCBAM 16"): "1×1",
}
_PARTS: Mapping[str, tuple[str, ...]] = {
    "backbone": ("stage1", "stage2", "stage3", "stage4", "stage5"),
    "SE-ASPP": ("SE-ASPP",),
    "CCBAM": ("CCBAM 16", "CCBAM 8"),
    "decoder": ("CCBAM 16", "CCBAM 8", "head"),
    "aux": ("aux",),
    "image": ("image",),
    "mask": ("mask",),
    "all": tuple(_CROSS_CBAM),
}


def network_map(*today: str, built: tuple[str, ...] = ()) -> Figure:
    """Cross-CBAM as boxes and arrows (Fig. 1 of the paper): today's parts in orange, those built before in blue.

    Args:
        today: ``"image"``, ``"backbone"``, ``"SE-ASPP"``, ``"CCBAM"``, ``"decoder"``, ``"aux"``, ``"mask"``, ``"all"``.
        built: the same.

    Raises:
        ValueError: a part that is not on the map.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    for part in (*today, *built):
        if part not in _PARTS:
            raise ValueError(unknown("part of the map", part, _PARTS))
    now, before = ({box for part in parts for box in _PARTS[part]} for parts in (today, built))
    figure = Figure((9.6, 2.9), layout="constrained")
    axis = figure.subplots()
    for start, end in _ARROWS:
        _arrow(axis, _CROSS_CBAM[start], _CROSS_CBAM[end], _ON_ARROWS.get((start, end), ""))
    for name, box in _CROSS_CBAM.items():
        color = _TODAY if name in now else _BUILT if name in before else _LATER
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        edge, width = ("black", 2) if name in now else (DARK_GREY, 1)
        shape = "round,pad=0,rounding_size=.1"
        axis.add_patch(FancyBboxPatch(corner, box.width, box.height, shape, fc=color, ec=edge, lw=width))
        axis.text(box.x, box.y, box.text, ha="center", va="center", fontsize=8.5)
    axis.set(xlim=(0.0, 9.95), ylim=(1.05, 4.2), aspect="auto")
    axis.axis("off")
    return figure


def _arrow(axis: Axes, start: _Box, end: _Box, words: str) -> None:
    if start.x == end.x or start.y != end.y:
        a, b = (start.x, start.y - start.height / 2), (end.x, end.y + end.height / 2)
    else:
        side = 1 if end.x > start.x else -1
        a, b = (start.x + side * start.width / 2, start.y), (end.x - side * end.width / 2, end.y)
    axis.annotate("", b, a, arrowprops={"arrowstyle": "-|>", "color": _ARROW, "lw": 1.2})
    if words:
        x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
        align: dict[str, Any] = {"ha": "left", "va": "center"} if a[0] == b[0] else {"ha": "center", "va": "bottom"}
        axis.text(x + 0.08 * (a[0] == b[0]), y + 0.06 * (a[0] != b[0]), words, fontsize=8, color=_ARROW, **align)


def before_after(
    before: np.ndarray | Image.Image, after: np.ndarray | Image.Image, names: tuple[str, str] = ("before", "after")
) -> BeforeAfter:
    """Two pictures of one size on top of each other, with a slider between them; works in a static page, too.

    Args:
        before: (H, W, 3) uint8 or PIL; seen on the left.
        after: the same; seen on the right.
        names: shown below.

    Raises:
        ValueError: the sizes differ.
    """
    pictures = [Image.fromarray(p) if isinstance(p, np.ndarray) else p.convert("RGB") for p in (before, after)]
    if pictures[0].size != pictures[1].size:
        sizes = " and ".join(f"{p.height}x{p.width}" for p in pictures)
        raise ValueError(f"the two pictures must have one size, not {sizes} (HxW)")
    return BeforeAfter(pictures[0], pictures[1], names)


@dataclass(frozen=True)
class BeforeAfter:
    """What `before_after` makes; the last line of a cell shows it."""

    before: Image.Image
    after: Image.Image
    names: tuple[str, str]

    def __repr__(self) -> str:
        return f"{self.names[0]} | {self.names[1]}, {self.before.height}x{self.before.width}"

    def _repr_html_(self) -> str:
        name = f"cut{uuid.uuid5(uuid.NAMESPACE_OID, _data_url(self.after)).hex[:8]}"  # the same at every run
        left, right = (html.escape(n) for n in self.names)
        # arrow keys belong to the slider, not to the notebook around it
        return (
            f'<div style="max-width:{self.before.width}px"><div style="position:relative;line-height:0">'
            f'<img alt="{right}" src="{_data_url(self.after)}" style="width:100%">'
            f'<img alt="{left}" id="{name}" src="{_data_url(self.before)}" '
            'style="position:absolute;left:0;top:0;width:100%;clip-path:inset(0 50% 0 0)"></div>'
            '<input type="range" min="0" max="100" value="50" style="width:100%;margin:0" '
            f'aria-label="share of {left} that is seen" onkeydown="event.stopPropagation()" '
            f"oninput=\"document.getElementById('{name}').style.clipPath='inset(0 '+(100-this.value)+'% 0 0)'\">"
            f'<div style="display:flex;justify-content:space-between"><span>{left}</span><span>{right}</span></div>'
            "</div>"
        )


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
