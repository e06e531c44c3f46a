"""Lesson 09: what its exercises are compared with, what a branch costs, how far a module sees, what the log says."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn import functional

from edgeseg.course.lessons.lesson_08 import find_log
from edgeseg.files import parse_json
from edgeseg.metrics import VOID
from edgeseg.models import hrnet
from edgeseg.models.counts import count
from edgeseg.models.improved_hrnet import ConcatMaps, SegmentationHead
from edgeseg.models.layers import ConvBNReLU, resize
from edgeseg.plots import BLUE, GREEN, ORANGE, PURPLE
from edgeseg.training.tables import LEAST

SIDES = ("1/4", "1/8", "1/16", "1/32")
_COLORS = (ORANGE, BLUE, GREEN, PURPLE)
_T95: Mapping[int, float] = {3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}  # Student, two-sided 95 %, by n


# What the exercises are compared with ---------------------------------------------------------------------------------


class Path(nn.Module):
    """The convolutions from map ``source`` to map ``target`` of the package's exchange, without the resize.

    Args:
        channels: of all maps, finest first.
        source: place of the map that is read.
        target: place of the map that receives.

    Shape:
        (N, channels[source], h, w) → (N, channels[target], h', w'); upwards h' = h, downwards halved with every step.
    """

    def __init__(self, channels: Sequence[int], source: int, target: int) -> None:
        super().__init__()
        self.convs = hrnet._path(channels, source, target)

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class Exchange(hrnet.Exchange):
    """The package's, called with the maps one by one: ``exchange(x4, x8)``.

    Shape:
        maps (N, channels[i], h_i, w_i) → a list of as many of the same shapes.
    """

    def forward(self, *maps: Tensor) -> list[Tensor]:  # type: ignore[override]
        return super().forward(maps)


class Transition(nn.Module):
    """The package's step from one stage to the next.

    Args:
        before: channels of the maps that there are, finest first.
        after: channels of the maps that the next stage wants, one more.

    Shape:
        maps (N, before[i], h_i, w_i) → a list (N, after[i], …), the last one of half the coarsest map's size.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        kept = [nn.Identity() if b == a else ConvBNReLU(b, a) for b, a in zip(before, after, strict=False)]
        self.layers = nn.ModuleList([*kept, ConvBNReLU(before[-1], after[-1], stride=2)])

    def forward(self, *maps: Tensor) -> list[Tensor]:
        return [layer(x) for layer, x in zip(self.layers, (*maps, maps[-1]), strict=True)]


class ConcatHead(nn.Module):
    """HRNetV2's head, from the package's two parts.

    Args:
        channels: of the maps, finest first.
        num_classes: of the logits.

    Shape:
        maps (N, channels[i], h_i, w_i) → (N, num_classes, h_0, w_0).
    """

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.concat, self.head = ConcatMaps(), SegmentationHead(sum(channels), num_classes)

    def forward(self, *maps: Tensor) -> Tensor:
        return self.head(self.concat(maps))


def stem_and_layer1(blocks: int = 4) -> nn.Sequential:
    """The package's first layers: (N, 3, H, W) → (N, 256, H/4, W/4)."""
    whole = hrnet.HRNet(1, (1, 1, 1), blocks)
    return nn.Sequential(whole.stem1, whole.stem2, *whole.layer1)


class Network(nn.Module):
    """A backbone that gives maps and a head that takes them, one by one; logits of the input's size.

    Shape:
        (N, 3, H, W) → (N, classes, H, W).
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.head(*self.backbone(x)), x.shape[-2:], align_corners=True)


# Maps that only carry a picture ---------------------------------------------------------------------------------------


def averaging(block: nn.Module) -> nn.Module:
    """Turn every convolution of a block into a mean of what it reads, so that a picture passes as a picture.

    Batch normalisation is as it starts, and nearly does nothing. Returns the block, in eval mode, changed in place.
    """
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    return block.eval()


def picture_maps(image: np.ndarray, channels: Sequence[int]) -> list[Tensor]:
    """The grey frame as the maps of a network: 1/4, 1/8, … of its size, every channel the same.

    Args:
        image: (H, W, 3) uint8.
        channels: of the maps, finest first.

    Returns:
        (1, channels[i], H / 2^(i+2), W / 2^(i+2)) each, 0…1.
    """
    grey = torch.from_numpy(image).float().mean(2)[None, None] / 255
    return [functional.avg_pool2d(grey, 4 * 2**i).expand(-1, c, -1, -1) for i, c in enumerate(channels)]


def averaged(label: np.ndarray, stride: int, classes: int) -> np.ndarray:
    """The truth after it has passed a coarse map: shares of the classes in each cell, resized back, the largest wins.

    Args:
        label: (H, W) class ids, sides divisible by ``stride``; void counts for no class.
        stride: side of a cell.
        classes: how many.

    Returns:
        (H, W) uint8 class ids.
    """
    ids = torch.from_numpy(label.astype(np.int64))
    known = functional.one_hot(ids.where(ids != VOID, torch.tensor(classes)), classes + 1)[..., :classes]
    shares = functional.avg_pool2d(known.permute(2, 0, 1)[None].float(), stride)
    return resize(shares, label.shape).argmax(1)[0].to(torch.uint8).numpy()


# How far a module sees ------------------------------------------------------------------------------------------------


def reach(module: nn.Module, channels: Sequence[int], size: tuple[int, int]) -> list[int]:
    """How many rows of the image, by way of each map, change the middle of a module's finest output.

    Args:
        module: maps, one by one → maps; made `averaging`, so that no path is silent by chance.
        channels: of the maps, finest first.
        size: (H, W) of the image, divisible by 32.

    Returns:
        for each map the image rows under those of its rows that have a gradient, at most H.
    """
    maps = [torch.ones(1, c, size[0] >> i + 2, size[1] >> i + 2, requires_grad=True) for i, c in enumerate(channels)]
    finest = averaging(module)(*maps)[0]
    finest[0, 0, finest.shape[2] // 2, finest.shape[3] // 2].backward()
    touched = [0 if m.grad is None else int((m.grad.abs().sum((0, 1, 3)) > 0).sum()) for m in maps]
    return [rows * 4 * 2**i for i, rows in enumerate(touched)]


def reach_picture(image: np.ndarray, place: tuple[int, int], alone: int, rows: Sequence[int]) -> Figure:
    """What one place of the 1/4 map hears of in one module, as squares over the frame.

    Args:
        image: (H, W, 3) uint8.
        place: (row, column) of the middle.
        alone: side of the square without an exchange, in pixels.
        rows: sides with it, by way of each map.
    """
    figure = Figure((8.4, 3.3), layout="constrained", dpi=90)
    panels = {"four blocks, no exchange": {"1/4": alone}, "with the exchange": dict(zip(SIDES, rows, strict=True))}
    for axis, (name, squares) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        axis.imshow(image)
        for (side, length), color in zip(squares.items(), _COLORS, strict=False):
            corner = (place[1] - length / 2, place[0] - length / 2)
            axis.add_patch(Rectangle(corner, length, length, fill=False, ec=color, lw=2.5, label=f"{side}: {length}"))
        axis.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
        axis.set_title(name, fontsize=10)
        axis.legend(title="map: pixels", title_fontsize=8, fontsize=8, loc="lower right", framealpha=0.9)
    return figure


# What a branch costs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BranchCost:
    """What the residual blocks of one branch of one module cost.

    Args:
        side: of the map, e.g. ``"1/8"``.
        weights: how many.
        macs: multiply-adds for one image.
        map_bytes: of maps, read and written by all operations one after another, float32.
        weight_bytes: read for one image.
    """

    side: str
    weights: int
    macs: int
    map_bytes: int
    weight_bytes: int


class _Fed(nn.Module):
    """A block that the counter can give an image: it sees a map of the image's height and width instead."""

    def __init__(self, block: nn.Module, channels: int) -> None:
        super().__init__()
        self.block, self.channels = block, channels

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x.new_empty(1, self.channels, *x.shape[-2:]))


def branch_costs(block: type[nn.Module], width: int, size: tuple[int, int], blocks: int = 4) -> list[BranchCost]:
    """The four branches of a module of stage 4, counted.

    Args:
        block: built with a number of channels: (N, C, h, w) → (N, C, h, w).
        width: channels of the finest map.
        size: (H, W) of the image.
        blocks: in a branch.
    """
    costs = []
    for i, side in enumerate(SIDES):
        channels = width * 2**i
        fed = _Fed(nn.Sequential(*(block(channels) for _ in range(blocks))), channels)
        found = count(fed, (size[0] >> i + 2, size[1] >> i + 2))
        statistics_of_bn = sum(b.numel() * b.element_size() for b in fed.buffers() if b.is_floating_point())
        moved = sum(row.bytes_moved for row in found.modules if row.name)  # without the map that is made for it
        read = 4 * found.params + statistics_of_bn
        costs.append(BranchCost(side, found.params, found.macs, moved - read, read))
    return costs


def cost_bars(costs: Sequence[BranchCost]) -> Figure:
    """Weights, multiply-adds and bytes of the branches side by side."""
    figure = Figure((9.4, 2.9), layout="constrained", dpi=90)
    axes = figure.subplots(1, 3)
    sides = [c.side for c in costs]
    panels = {
        "weights (thousands)": [c.weights / 1e3 for c in costs],
        "multiply-adds (millions)": [c.macs / 1e6 for c in costs],
    }
    for axis, (name, values) in zip(axes, panels.items(), strict=False):
        axis.bar(sides, values, color=BLUE)
        axis.set_title(name, fontsize=10)
    maps, weights = [c.map_bytes / 1e6 for c in costs], [c.weight_bytes / 1e6 for c in costs]
    axes[2].bar(sides, maps, color=BLUE, label="maps")
    axes[2].bar(sides, weights, bottom=maps, color=ORANGE, label="weights")
    axes[2].set_title("bytes moved (MB)", fontsize=10)
    axes[2].legend(fontsize=8)
    for axis in axes:
        axis.margins(y=0.15)
        for bars in axis.containers if axis is not axes[2] else axes[2].containers[1:]:
            labels = [f"{b.get_y() + b.get_height():.0f}" for b in bars]
            axis.bar_label(bars, labels, fontsize=8, padding=2)
    return figure


# The stored log -------------------------------------------------------------------------------------------------------


def logged(variant: str, size: str, classes: str = "") -> dict[int, float]:
    """Seed → score in per cent of one row of the papers' tables on streets, as far as it was trained.

    Args:
        variant: its name, e.g. ``"hrnet"``.
        size: of the network's input, ``"192x256"`` or ``"384x512"``.
        classes: a class, for its IoU; empty: mIoU.
    """
    lines = find_log("tables_streets.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(parse_json, lines) if row["variant"] == variant]
    scores = {row["seed"]: row["at"][size] for row in rows}
    return {seed: at["per_class_iou"][classes] if classes else at["miou"] for seed, at in sorted(scores.items())}


def verdict(one: Mapping[int, float], other: Mapping[int, float]) -> str:
    """What paired seeds say of ``one − other``; no verdict with fewer than three.

    With three or more the 95 % interval of the mean difference by Student's t must leave zero out.
    """
    differences = [one[seed] - other[seed] for seed in sorted(one) if seed in other]
    n = len(differences)
    if not n:
        return "n = 0: not run yet"
    mean = statistics.fmean(differences)
    if n < LEAST:
        return f"{mean:+.2f}, n = {n}: no verdict below three paired seeds"
    half = _T95.get(n, 2.0) * statistics.stdev(differences) / math.sqrt(n)
    said = "within noise" if abs(mean) < half else "more" if mean > 0 else "less"
    return f"{mean:+.2f} ± {half:.2f} (95 %), n = {n}: {said}"
