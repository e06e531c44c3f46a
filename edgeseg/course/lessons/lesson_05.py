"""Lesson 05: pictures of gates and masks, and the means to turn a trained network's gates down or round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from edgeseg.course import transfer
from edgeseg.models.cross_cbam import CCBAM
from edgeseg.plots import BLUE, ORANGE

_KINDS = {"what": ("channel_",), "where": ("spatial_",), "both": ("channel_", "spatial_")}  # modules of a CCBAM


class SwitchedCCBAM(CCBAM):
    """CCBAM whose two crossings can be undone, one by one; the weights are those of a CCBAM.

    Args:
        channels: channels of both maps.
        cross_channels: ``False``: each map gets its own channel gates.
        cross_space: ``False``: each map gets its own spatial gates.

    Shape:
        low and high (N, C, h, w) → (N, C, h, w).
    """

    def __init__(self, channels: int, cross_channels: bool = True, cross_space: bool = True) -> None:
        super().__init__(channels)
        self.cross_channels, self.cross_space = cross_channels, cross_space

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        from_low, from_high = self.channel_low(low), self.channel_high(high)  # (N, C, 1, 1) each
        if not self.cross_channels:
            from_low, from_high = from_high, from_low
        fused_high, fused_low = low * from_high, high * from_low  # (N, C, h, w) each
        gate_high, gate_low = self.spatial_high(fused_high), self.spatial_low(fused_low)  # (N, 1, h, w) each
        if not self.cross_space:
            gate_high, gate_low = gate_low, gate_high
        return fused_low * gate_high + fused_high * gate_low


def take_weights(own: nn.Module, trained: nn.Module, *inputs: Tensor) -> nn.Module:
    """Give a learner's block the weights of a trained one of the package, whatever its layers are called.

    Args:
        own: filled in place.
        trained: the package's block.
        inputs: on which both must then give the same in evaluation mode.

    Returns:
        ``own``.

    Raises:
        ValueError: under no pairing of the weights do the two agree.
    """
    with transfer.evaluating(own, trained), torch.no_grad():
        wanted = trained(*inputs)
        for way in transfer.pairings(own, trained, inputs):
            transfer.copy(way)
            if torch.allclose(own(*inputs), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max())):
                return own
    raise ValueError(f"{type(own).__name__} does not compute what {type(trained).__name__} computes")


def ccbam_parameters(channels: int, reduction: int = 16) -> int:
    """Parameters of the package's CCBAM, counted on a built block."""
    return sum(p.numel() for p in CCBAM(channels, reduction).parameters())


@contextmanager
def gate_strength(blocks: Iterable[nn.Module], strength: float, which: str = "both") -> Iterator[None]:
    """While this is open, gates of CCBAMs are drawn towards their own mean.

    Args:
        blocks: the package's CCBAMs.
        strength: 1 leaves the gates; at 0 every gate is its module's mean, so that nothing is selected any more.
        which: ``"what"`` for the channel gates, ``"where"`` for the spatial ones, ``"both"``.
    """

    def soften(_: nn.Module, __: Any, gate: Tensor) -> Tensor:
        return torch.lerp(gate.mean((1, 2, 3), keepdim=True), gate, strength)

    gates = [m for b in blocks for n, m in b.named_children() if n.startswith(_KINDS[which])]
    handles = [gate.register_forward_hook(soften) for gate in gates]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def picture_row(pictures: Mapping[str, np.ndarray | Tensor], columns: int = 3, width: float = 9.4) -> Figure:
    """Pictures side by side, each under its name.

    Args:
        pictures: (H, W, 3) uint8, or (h, w) values, which are drawn from dark (smallest) to light (largest).
        columns: in a row.
        width: of the figure in inches.
    """
    rows = -(-len(pictures) // columns)
    height, breadth = next(iter(pictures.values())).shape[:2]
    cell = width / columns
    figure = Figure((width, rows * (cell * height / breadth + 0.3)), layout="constrained", dpi=90)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.axis("off")
    for axis, (name, picture) in zip(axes, pictures.items(), strict=False):
        axis.imshow(np.asarray(picture), cmap="cividis", aspect="auto")
        axis.set_title(name, fontsize=9)
    return figure


def gate_maps(image: np.ndarray, gates: Mapping[str, Tensor], columns: int = 2) -> Figure:
    """Spatial gates as heat maps over the grey frame, each on its own scale: light is most open.

    Args:
        image: (H, W, 3) uint8.
        gates: (1, 1, h, w) each, by name.
        columns: maps in a row.
    """
    grey = image.mean(2)
    rows = -(-len(gates) // columns)
    figure = Figure((8.6, rows * 2.75), layout="constrained", dpi=90)
    axes = figure.subplots(rows, columns, squeeze=False)
    extent = (-0.5, grey.shape[1] - 0.5, grey.shape[0] - 0.5, -0.5)
    for axis, (name, gate) in zip(axes.flat, gates.items(), strict=True):
        axis.imshow(grey, cmap="gray")
        heat = axis.imshow(gate[0, 0].numpy(), cmap="viridis", alpha=0.7, extent=extent)
        axis.set_title(name, fontsize=9)
        axis.axis("off")
        figure.colorbar(heat, ax=axis, shrink=0.75).ax.tick_params(labelsize=8)
    return figure


def gate_bars(gates: Mapping[str, Tensor]) -> Figure:
    """Channel gates as bars, widest open first, one panel each.

    Args:
        gates: (1, C, 1, 1) each, by name.
    """
    figure = Figure((9.4, 2.4), layout="constrained", dpi=90)
    axes = figure.subplots(1, len(gates), sharey=True, squeeze=False)[0]
    for axis, (name, gate) in zip(axes, gates.items(), strict=True):
        values = gate.flatten().sort(descending=True).values.numpy()
        axis.bar(range(len(values)), values, width=1.0, color=BLUE)
        axis.axhline(0.5, color=ORANGE, lw=1.5)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("channels, sorted", fontsize=9)
        axis.set(ylim=(0, 1), xlim=(-0.5, len(values) - 0.5))
    axes[0].set_ylabel("gate", fontsize=9)
    return figure
