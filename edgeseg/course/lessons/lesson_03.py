"""Lesson 03: pictures of an STDC module's branches, of receptive fields and of what a backbone's maps hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from edgeseg.models.stdc import STDC, STDCModule
from edgeseg.plots import BLUE, DARK_GREY, GREEN, ORANGE, PURPLE, SKY, VERMILION

_COLORS = (BLUE, SKY, GREEN, ORANGE)  # branches 1 to 4, everywhere in the lesson


def branch_bars(channels: Sequence[int], parameters: Sequence[int], fields: Sequence[int]) -> Figure:
    """What each branch of a module gives, costs and sees, one panel each.

    Args:
        channels: that it adds to the output.
        parameters: of its convolution.
        fields: side of the square that one of its numbers depends on, in pixels of the module's input.
    """
    figure = Figure((9.0, 2.6), layout="constrained")
    names = [f"branch {i + 1}" for i in range(len(channels))]
    titles = ("gives: channels", "costs: weights", "sees: side in pixels")
    for axis, title, values in zip(figure.subplots(1, 3), titles, (channels, parameters, fields), strict=True):
        bars = axis.bar(names, values, color=_COLORS)
        axis.bar_label(bars, [f"{v:,}" for v in values], fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=8)
        axis.set_yticks([])
        axis.margins(y=0.15)
    return figure


def field_bars(fields: Mapping[str, Sequence[int]], size: tuple[int, int]) -> Figure:
    """Receptive fields of the four branches of every module, against an image's height and width.

    Args:
        fields: module's name → side in image pixels, branch 1 first.
        size: (H, W) of the image, drawn as lines.
    """
    figure = Figure((9.0, 3.2), layout="constrained")
    axis = figure.subplots()
    places = np.arange(len(fields))
    for branch, color in enumerate(_COLORS):
        values = [sides[branch] for sides in fields.values()]
        bars = axis.bar(places + 0.2 * (branch - 1.5), values, 0.19, color=color, label=f"branch {branch + 1}")
        axis.bar_label(bars, fontsize=8, rotation=90, padding=3)
    for side, name in zip(size, ("height", "width"), strict=True):
        axis.axhline(side, color=DARK_GREY, lw=1, ls="--")
        axis.text(-0.45, side + 8, f"{name} of a {size[0]}×{size[1]} image", fontsize=8)
    axis.set_xticks(places, list(fields), fontsize=9)
    axis.set(ylabel="side in image pixels", ylim=(0, 1.18 * max(max(v) for v in fields.values())))
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def field_on_image(image: np.ndarray, heat: Tensor, field: int, centre: tuple[int, int], stage: int) -> Figure:
    """Which pixels one place of a map depends on: the possible square, and where the influence really lies.

    Args:
        image: (H, W, 3) uint8.
        heat: (H, W) influence of every pixel, ≥ 0.
        field: side of the square that the layers allow, in pixels.
        centre: (row, column) in the image.
        stage: that the place belongs to.
    """
    side = square_holding(heat, centre, 0.9)
    height, width = heat.shape
    figure = Figure((9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(image)
    blocks = torch.nn.functional.avg_pool2d(heat[None, None], 5, stride=1, padding=2)[0, 0]
    right.imshow((blocks / blocks.max()).sqrt().numpy(), cmap="viridis", vmin=0, vmax=1)
    for axis in (left, right):
        axis.add_patch(_square(centre, side, PURPLE, "--"))
        axis.plot(centre[1], centre[0], "+", color=VERMILION, ms=10, mew=2)
        axis.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    left.add_patch(_square(centre, field, VERMILION, "-"))
    reach = field / 2 + 8  # the whole square is shown, also where it is larger than the image
    left.set(xlim=(min(0, centre[1] - reach), max(width, centre[1] + reach)))
    left.set(ylim=(max(height, centre[0] + reach), min(0, centre[0] - reach)))
    left.set_title(f"stage {stage}: could see {field}×{field} pixels (solid)", fontsize=10)
    right.set_title(f"90 % of the influence: {side}×{side} (dashed)", fontsize=10)
    return figure


def _square(centre: tuple[int, int], side: int, color: str, style: str) -> Rectangle:
    corner = (centre[1] - side / 2, centre[0] - side / 2)
    return Rectangle(corner, side, side, fill=False, ec=color, lw=2, ls=style)


def square_holding(heat: Tensor, centre: tuple[int, int], share: float) -> int:
    """Side of the smallest square around a centre that holds a share of all heat; outside lies none."""
    rows = (torch.arange(heat.shape[0]) - centre[0]).abs()[:, None]
    columns = (torch.arange(heat.shape[1]) - centre[1]).abs()[None]
    rings = torch.zeros(max(heat.shape) + 1, dtype=torch.float64)
    rings.index_add_(0, torch.maximum(rows, columns).flatten(), heat.double().flatten())
    radius = int((rings.cumsum(0) >= share * rings.sum()).nonzero()[0])
    return 2 * radius + 1


def branch_maps(backbone: STDC, image: Tensor) -> dict[str, list[Tensor]]:
    """What each branch of each module gives to its concatenation, branch 1 (pooled where the module pools) first.

    Args:
        backbone: the package's.
        image: (N, 3, H, W).

    Returns:
        ``"stage 3.1"``, the first module of stage 3, → its four maps, and so on.
    """
    found: dict[str, list[Tensor]] = {}

    def keep(module: nn.Module, args: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(module, STDCModule)
        x1 = module.branch1(args[0])
        maps = [module.branch2(module.down(x1))]
        maps.append(module.branch3(maps[-1]))
        maps.append(module.branch4(maps[-1]))
        found[names[module]] = [module.pool(x1), *maps]

    modules = [(name, m) for name, m in backbone.named_modules() if isinstance(m, STDCModule)]
    names = {m: f"stage {name[5]}.{int(name[7:]) + 1}" for name, m in modules}  # "stage3.0" → "stage 3.1"
    hooks = [m.register_forward_hook(keep) for m in names]
    backbone(image)
    for hook in hooks:
        hook.remove()
    return found


def in_a_row(pictures: Mapping[str, Any]) -> Figure:
    """Pictures side by side, each with its name above; (h, w, 3) in colour, (h, w) from dark (low) to bright (high)."""
    height, width = next(iter(pictures.values())).shape[:2]
    cell = 9.4 / len(pictures)
    figure = Figure((9.4, cell * height / width + 0.35), layout="constrained")
    for axis, (name, picture) in zip(figure.subplots(1, len(pictures)), pictures.items(), strict=True):
        axis.imshow(picture, cmap="viridis", aspect="auto")
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    return figure


def grid(rows: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Rows of pictures, each row with a name on the left and each picture with one above."""
    first = next(iter(rows.values()))
    height, width = next(iter(first.values())).shape[:2]
    cell = 9.2 / len(first)
    figure = Figure((9.4, len(rows) * (cell * height / width + 0.25)), layout="constrained")
    for axes, (name, row) in zip(figure.subplots(len(rows), len(first), squeeze=False), rows.items(), strict=True):
        for axis, (title, picture) in zip(axes, row.items(), strict=True):
            axis.imshow(picture, cmap="viridis", aspect="auto")
            axis.set_title(title, fontsize=9)
            axis.set(xticks=[], yticks=[])
        axes[0].set_ylabel(name, fontsize=9)
    return figure
