"""Lesson 04: pictures of dilated kernels and of gates; what exercise 04.3 is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from edgeseg.inference import Segmenter
from edgeseg.models.cross_cbam import SEASPP
from edgeseg.plots import BLUE, GREY, ORANGE

_REACH = 18  # cells that the picture of a chain shows to each side

Layer = tuple[Tensor, Tensor]  # weight (out, in) and bias (out,)


def squeeze_and_excite(x: Tensor, squeeze: Layer, excite: Layer) -> Tensor:
    """A map under the channel gates that `SEASPP` with these weights computes: (N, C, h, w) → (N, C, h, w)."""
    hidden = torch.relu(F.linear(x.mean((2, 3)), *squeeze))  # (N, c)
    return x * torch.sigmoid(F.linear(hidden, *excite))[:, :, None, None]


def dilated(image: np.ndarray, dilation: int, offsets: Sequence[int], stride: int = 32) -> Figure:
    """A 3×3 kernel with a dilation on the coarse map of a scene, and which cells a chain of layers sees.

    Args:
        image: (H, W, 3) uint8.
        dilation: of the kernel.
        offsets: along one side, of the cells that the chain depends on; 0 is the middle.
        stride: pixels per cell of the map.
    """
    figure = Figure((9.4, 3.1), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    _draw_taps(left, image, dilation, stride)
    left.set_title(f"3×3, dilation {dilation}: nine weights on the map at 1/{stride}", fontsize=10)
    span = max(offsets) - min(offsets) + 1
    cells = np.zeros((2 * _REACH + 1, 2 * _REACH + 1))
    inside = slice(_REACH + min(offsets), _REACH + max(offsets) + 1)
    cells[inside, inside] = 1
    cells[np.ix_([_REACH + o for o in offsets], [_REACH + o for o in offsets])] = 2
    right.imshow(cells, cmap=ListedColormap(["white", "#DDDDDD", BLUE]), vmin=0, vmax=2)
    right.axis("off")
    right.set_title(f"seen: {len(offsets) ** 2} of {span}×{span} cells", fontsize=10)
    return figure


def _draw_taps(axis: object, image: np.ndarray, dilation: int, stride: int) -> None:
    height, width = image.shape[:2]
    rows, columns = -(-height // stride), -(-width // stride)
    axis.imshow(image // 2 + 120)  # type: ignore[attr-defined]
    for row in (-dilation, 0, dilation):
        for column in (-dilation, 0, dilation):
            y, x = (rows // 2 + row) * stride, (columns // 2 + column) * stride
            cell = Rectangle((x, y), stride, stride, fc=ORANGE, ec="black", lw=1, alpha=0.8)
            axis.add_patch(cell)  # type: ignore[attr-defined]
    axis.set(xlim=(0, width), ylim=(height, 0))  # type: ignore[attr-defined]
    axis.set_xticks(range(0, width, stride), [])  # type: ignore[attr-defined]
    axis.set_yticks(range(0, height, stride), [])  # type: ignore[attr-defined]
    axis.grid(color="white", lw=0.5)  # type: ignore[attr-defined]
    axis.tick_params(length=0)  # type: ignore[attr-defined]
    axis.spines[:].set_visible(False)  # type: ignore[attr-defined]


def gate_clouds(images: Mapping[str, np.ndarray], gates: Mapping[str, Tensor]) -> Figure:
    """Scenes above; below, the first one's gates as a histogram, and every other scene's gates against the first one's.

    Args:
        images: name → (H, W, 3) uint8, all of one size.
        gates: the same names → (C,) in 0…1.
    """
    figure = Figure((9.4, 4.1), layout="constrained")
    above, below = figure.subplots(2, len(images), height_ratios=(3, 4))
    first = next(iter(gates))
    base = gates[first].numpy()
    for i, (name, image) in enumerate(images.items()):
        above[i].imshow(image)
        above[i].set_title(name, fontsize=10)
        above[i].axis("off")
        below[i].tick_params(labelsize=8)
        if i == 0:
            below[0].hist(base, bins=40, range=(0, 1), color=BLUE)
            below[0].set_xlabel("gate", fontsize=9)
            below[0].set_ylabel("channels", fontsize=9)
            continue
        values = gates[name].numpy()
        below[i].plot([0, 1], [0, 1], color=GREY, lw=1)
        below[i].plot(base, values, ".", color=ORANGE, ms=3)
        below[i].set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        below[i].set_xlabel(f"mean distance {np.abs(values - base).mean():.3f}", fontsize=9)
    return figure


def rate_bars(shares: Mapping[int, float], size: tuple[int, int]) -> Figure:
    """For every dilation, the share of a 3×3 kernel's weights that meet the map and not its zero padding.

    Args:
        shares: dilation → 0…1.
        size: (h, w) of the map.
    """
    figure = Figure((7.2, 2.6), layout="constrained")
    axis = figure.subplots()
    bars = axis.bar([str(d) for d in shares], [100 * s for s in shares.values()], color=BLUE)
    axis.bar_label(bars, fmt="%.0f", fontsize=9)
    axis.axhline(100 / 9, color=ORANGE, lw=1.5, ls="--")
    axis.text(len(shares) - 0.5, 50, "dashed: the middle weight alone", fontsize=9, ha="right")
    axis.set(xlabel=f"dilation, on a map of {size[0]}×{size[1]}", ylabel="percent in use", ylim=(0, 112))
    return figure


def gates_of(segmenter: Segmenter, image: np.ndarray) -> Tensor:
    """The gates (C,) that a trained network's SE-ASPP computes for one (H, W, 3) uint8 image."""
    found: list[Tensor] = []
    hook = _gate(segmenter).register_forward_hook(lambda _, __, gate: found.append(gate.flatten().cpu()))
    segmenter.predict(image)
    hook.remove()
    return found[0].clone()


def with_gate(segmenter: Segmenter, gate: Tensor | None) -> RemovableHandle:
    """Put a fixed gate (C,) in the place of the computed one (``None`` leaves that) until the handle is removed."""

    def replace(_: nn.Module, __: tuple[Tensor, ...], computed: Tensor) -> Tensor:
        return computed if gate is None else gate.to(computed).view_as(computed)

    return _gate(segmenter).register_forward_hook(replace)


def _gate(segmenter: Segmenter) -> nn.Module:
    context = segmenter.model.context
    assert isinstance(context, SEASPP)
    return context.sigmoid
