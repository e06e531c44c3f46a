"""The pictures that lessons share: the network's map with today's block in colour, two pictures under a slider."""

from __future__ import annotations

import base64
import html
import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edgeseg.data.labels import ClassTable
from edgeseg.models.improved_hrnet import ImprovedHRNet
from edgeseg.models.registry import ARCHS
from edgeseg.plots import DARK_GREY, GREY, ORANGE
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


@dataclass(frozen=True)
class _Map:
    """A network as boxes and arrows.

    Attributes:
        boxes: by name.
        arrows: from box to box.
        words: beside an arrow.
        exchange: pairs of boxes joined by a thin line.
        parts: what a lesson calls them, and their boxes.
        size: of the figure in inches.
        limits: of the grid: (left, right), (bottom, top).
        rows: text in the left margin, by its height.
        font: size of the boxes' text.
    """

    boxes: Mapping[str, _Box]
    arrows: Sequence[tuple[str, str]]
    words: Mapping[tuple[str, str], str]
    parts: Mapping[str, Sequence[str]]
    size: tuple[float, float]
    limits: tuple[tuple[float, float], tuple[float, float]]
    exchange: Sequence[tuple[str, str]] = ()
    rows: Mapping[float, str] = field(default_factory=dict)
    font: float = 8.5


_CROSS_CBAM: Mapping[str, _Box] = {
    "image": _Box(0.5, 3.6, 0.9, 1.0, "image\n1/1"),
    "stage1": _Box(1.9, 3.6, 0.95, 1.0, "stage 1\nconv  1/2"),
    "stage2": _Box(3.2, 3.6, 0.95, 1.0, "stage 2\nconv  1/4"),
    "stage3": _Box(4.6, 3.6, 1.1, 1.0, "stage 3\nSTDC  1/8\n256"),
    "stage4": _Box(6.1, 3.6, 1.1, 1.0, "stage 4\nSTDC  1/16\n512"),
    "stage5": _Box(7.6, 3.6, 1.1, 1.0, "stage 5\nSTDC  1/32\n1024"),
    "SE-ASPP": _Box(7.6, 1.6, 1.1, 0.9, "SE-ASPP\n1/32, 256"),
    "CCBAM 16": _Box(6.1, 1.6, 0.95, 0.9, "CCBAM\n1/16, 256"),
    "CCBAM 8": _Box(4.6, 1.6, 0.95, 0.9, "CCBAM\n1/8, 256"),
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


_SMALL: Mapping[str, str] = {  # what stands in the boxes of S: EfficientNet-Lite0, and a decoder of one width
    "stage1": "stage 1\nLite0  1/2\n16",
    "stage2": "stage 2\nLite0  1/4\n24",
    "stage3": "stage 3\nLite0  1/8\n40",
    "stage4": "stage 4\nLite0  1/16\n112",
    "stage5": "stage 5\nLite0  1/32\n320",
    "SE-ASPP": "SE-ASPP\n1/32, 96",
    "CCBAM 16": "CCBAM\n1/16, 96",
    "CCBAM 8": "CCBAM\n1/8, 96",
    "head": "3×3, 96\nclassifier",
}


def _cross_cbam_map(small: bool) -> _Map:
    """Fig. 1 of the Cross-CBAM paper; ``small``: with the widths of S, which the paper does not have."""
    boxes = {n: replace(box, text=_SMALL.get(n, box.text) if small else box.text) for n, box in _CROSS_CBAM.items()}
    words = {**_ON_ARROWS, **({("stage3", "CCBAM 8"): "1×1"} if small else {})}
    return _Map(boxes, _ARROWS, words, _PARTS, (9.6, 2.9), ((0.0, 9.95), (1.05, 4.2)))


_ROW = 0.95  # from one resolution to the next coarser
_SIDES = ("1/4", "1/8", "1/16", "1/32")
_HRNET_PARTS: Mapping[str, tuple[str, ...]] = {  # how the names of their boxes begin
    "backbone": ("stem", "stage"),
    **{part: (part,) for part in ("BFEM", "attention", "FUSM", "concat", "CCSF", "head", "image", "mask")},
}
_Column = dict[int, tuple[str, str]]  # row → name of the box, text


def _hrnet_map(bfem: bool, fusm: bool, ccsf: bool, attention: str, attention_at: str, width: int) -> _Map:
    """Fig. 1 and 5 of the Improved HRNet paper: four resolutions as rows; arguments as of `ImprovedHRNet`."""
    at_maps = attention != "none" and attention_at == "all"
    columns = [*_backbone_columns(width), *_decoder_columns(bfem, at_maps, fusm, ccsf, attention.upper(), width)]
    places = {name: (x, row) for x, column in enumerate(columns) for row, (name, _) in column.items()}
    texts = {name: text for column in columns for name, text in column.values()}
    boxes = {n: _Box(x + 0.95, -row * _ROW, 0.74, 0.6, texts[n]) for n, (x, row) in places.items()}
    along = [[name for name, (_, r) in places.items() if r == row] for row in range(4)]  # from left to right
    arrows = [arrow for names in along for arrow in pairwise(names)]
    arrows += [("stage 1", "stage 2 1"), ("stage 2 1", "stage 3 2"), ("stage 3 2", "stage 4 3")]  # one resolution more
    arrows += [("BFEM 2", "BFEM 3")] if bfem else []
    climbs = [("FUSM 2", "FUSM 1"), ("FUSM 1", "FUSM 0")] if fusm else []
    arrows += [(along[3][-1], "FUSM 2"), *climbs] if fusm else [(names[-1], "concat") for names in along[1:]]
    parts = {part: [n for n in boxes if n.startswith(starts)] for part, starts in _HRNET_PARTS.items()}
    return _Map(
        boxes,
        arrows,
        words=dict.fromkeys(climbs, "resize"),
        parts={**{part: names for part, names in parts.items() if names}, "all": list(boxes)},
        size=(9.6 * (len(columns) + 0.4) / 12.4, 3.1),
        limits=((0.0, len(columns) + 0.4), (-3 * _ROW - 0.4, 0.4)),
        exchange=[
            (f"stage {s} {i}", f"stage {s + 1} {j}") for s in (2, 3) for i in range(s) for j in range(s) if i != j
        ],
        rows={-row * _ROW: side for row, side in enumerate(_SIDES) if row},
        font=7.5,
    )


def _backbone_columns(width: int) -> list[_Column]:
    stages: list[_Column] = []
    for stage in (2, 3, 4):
        texts = [f"stage {stage}\n{width}", *(str(width * 2**row) for row in range(1, stage))]
        stages.append({row: (f"stage {stage} {row}", text) for row, text in enumerate(texts)})
    return [{0: ("image", "image\n1/1")}, {0: ("stem", "stem\n1/4, 64")}, {0: ("stage 1", "stage 1\n256")}, *stages]


def _decoder_columns(bfem: bool, at_maps: bool, fusm: bool, ccsf: bool, gate: str, width: int) -> list[_Column]:
    sums = [width * sum(2**i for i in range(row, 4)) for row in range(4)]  # of a map and all coarser ones
    columns: list[_Column] = []
    if bfem:
        columns.append({row: (f"BFEM {row}", f"BFEM\n{width * 2**row}") for row in (2, 3)})
    if at_maps:
        columns.append({row: (f"attention {row}", gate) for row in range(4)})
    steps: _Column = {row: (f"FUSM {row}", f"CCSF\n{sums[row]}") for row in (1, 2)} if fusm else {}
    columns.append({0: ("FUSM 0" if fusm else "concat", f"concat\n{sums[0]}"), **steps})
    columns += [{0: ("CCSF", f"CCSF\n{sums[0]}")}] if ccsf else []
    columns += [{0: ("attention", gate)}] if gate != "NONE" else []
    return [*columns, {0: ("head", "1×1 and\nclassifier")}, {0: ("mask", "class\nmap 1/1")}]


def _map_of(network: str) -> _Map:
    variants = [name for name, arch in ARCHS.items() if arch.build is ImprovedHRNet]
    if network in ("cross_cbam", "cross_cbam_s"):
        return _cross_cbam_map(small=network == "cross_cbam_s")
    if network not in variants:
        raise ValueError(unknown("map of a network", network, ["cross_cbam", "cross_cbam_s", *variants]))
    usual = {"bfem": False, "fusm": False, "ccsf": False, "attention": "none", "attention_at": "all", "width": 48}
    return _hrnet_map(**{**usual, **ARCHS[network].fixed})


def network_map(*today: str, built: tuple[str, ...] = (), network: str = "cross_cbam") -> Figure:
    """A network as boxes and arrows: today's parts in orange, those built before in blue.

    Args:
        today: of Cross-CBAM (Fig. 1 of the paper) ``"image"``, ``"backbone"``, ``"SE-ASPP"``, ``"CCBAM"``,
            ``"decoder"``, ``"aux"``, ``"mask"``, ``"all"``; of an HRNet (Fig. 1 and 5 of the Improved HRNet paper)
            ``"image"``, ``"backbone"``, ``"BFEM"``, ``"attention"``, ``"FUSM"``, ``"CCSF"``, ``"head"``, ``"mask"``,
            ``"all"``, as far as it has them; the plain one has ``"concat"`` in FUSM's place.
        built: the same.
        network: ``"cross_cbam"`` (the paper's; the numbers are those of M), ``"cross_cbam_s"``, or an HRNet's name:
            ``"hrnet"``, ``"hrnet_s"``, ``"hrnet_m"``, ``"hrnet_l"``.

    Raises:
        ValueError: no such network, or a part that is not on its map.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    shown = _map_of(network)
    for part in (*today, *built):
        if part not in shown.parts:
            raise ValueError(unknown("part of the map", part, shown.parts))
    now, before = ({box for part in parts for box in shown.parts[part]} for parts in (today, built))
    figure = Figure(shown.size, layout="constrained")
    axis = figure.subplots()
    for start, end in shown.exchange:
        a, b = shown.boxes[start], shown.boxes[end]
        axis.plot((a.x + a.width / 2, b.x - b.width / 2), (a.y, b.y), color=GREY, lw=0.7, zorder=0)
    for start, end in shown.arrows:
        _arrow(axis, shown.boxes[start], shown.boxes[end], shown.words.get((start, end), ""))
    for name, box in shown.boxes.items():
        color = _TODAY if name in now else _BUILT if name in before else _LATER
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        edge, width = ("black", 2) if name in now else (DARK_GREY, 1)
        shape = "round,pad=0,rounding_size=.1"
        axis.add_patch(FancyBboxPatch(corner, box.width, box.height, shape, fc=color, ec=edge, lw=width))
        axis.text(box.x, box.y, box.text, ha="center", va="center", fontsize=shown.font)
    for y, text in shown.rows.items():
        axis.text(shown.limits[0][0] + 0.6, y, text, ha="left", va="center", fontsize=shown.font, color=_ARROW)
    axis.set(xlim=shown.limits[0], ylim=shown.limits[1], aspect="auto")
    axis.axis("off")
    return figure


def _arrow(axis: Axes, start: _Box, end: _Box, words: str) -> None:
    if start.x == end.x:
        side = 1 if end.y > start.y else -1
        a, b = (start.x, start.y + side * start.height / 2), (end.x, end.y - side * end.height / 2)
    else:
        side = 1 if end.x > start.x else -1
        a, b = (start.x + side * start.width / 2, start.y), (end.x - side * end.width / 2, end.y)
    axis.annotate("", b, a, arrowprops={"arrowstyle": "-|>", "color": _ARROW, "lw": 1.2})
    if words:
        x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
        align: dict[str, Any] = {"ha": "left", "va": "center"} if a[0] == b[0] else {"ha": "center", "va": "bottom"}
        axis.text(x + 0.08 * (a[0] == b[0]), y + 0.06 * (a[0] != b[0]), words, fontsize=8, color=_ARROW, **align)


def before_after(
    before: np.ndarray | Image.Image,
    after: np.ndarray | Image.Image,
    names: tuple[str, str] = ("before", "after"),
    table: ClassTable | None = None,
) -> BeforeAfter:
    """Two pictures of one size on top of each other, with a slider between them; works in a static page, too.

    Args:
        before: (H, W, 3) uint8 or PIL; seen on the left.
        after: the same; seen on the right.
        names: shown below.
        table: of the classes whose colours are in the pictures: they are named below.

    Raises:
        ValueError: the sizes differ.
    """
    pictures = [Image.fromarray(p) if isinstance(p, np.ndarray) else p.convert("RGB") for p in (before, after)]
    if pictures[0].size != pictures[1].size:
        sizes = " and ".join(f"{p.height}x{p.width}" for p in pictures)
        raise ValueError(f"the two pictures must have one size, not {sizes} (HxW)")
    return BeforeAfter(pictures[0], pictures[1], names, table)


@dataclass(frozen=True)
class BeforeAfter:
    """What `before_after` makes; the last line of a cell shows it."""

    before: Image.Image
    after: Image.Image
    names: tuple[str, str]
    table: ClassTable | None = None

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
            f"{self._legend()}</div>"
        )

    def _legend(self) -> str:
        if self.table is None:
            return ""
        entries = (
            '<span style="white-space:nowrap"><span style="display:inline-block;width:.8em;height:.8em;'
            f'border:1px solid;background:rgb{color}"></span> {html.escape(name)}</span>'
            for name, color in zip(self.table.names, self.table.colors, strict=True)
        )
        return f'<div style="display:flex;flex-wrap:wrap;gap:0 .8em;font-size:.85em">{"".join(entries)}</div>'


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
