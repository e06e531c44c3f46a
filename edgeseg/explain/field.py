"""The effective receptive field: how far around a unit the picture really matters to it.

Luo, Li, Urtasun and Zemel, Understanding the Effective Receptive Field in Deep Convolutional Neural Networks, NeurIPS
2016 (https://arxiv.org/abs/1701.04128), section 2: the gradient of a map's centre unit with respect to the input. What
a network could see by its kernels alone is far larger than what counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from edgeseg.explain.inside import Network, Picture, find_module, gradients_on, own_copy
from edgeseg.inference import Segmenter, as_pixels
from edgeseg.plots import HEAT, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARE = 0.95
"""Of the mass that the measured width holds."""
_DECADES = 4  # of the mass that a picture shows, from its largest value down


@dataclass(frozen=True)
class ReceptiveField:
    """Of one unit.

    Attributes:
        mass: (H, W) float64, how much each pixel matters; sums to 1.
        centre: (y, x) of the unit, in pixels of the input.
    """

    mass: np.ndarray
    centre: tuple[float, float]

    def within(self) -> tuple[np.ndarray, np.ndarray]:
        """Sides in pixels of squares around the centre, growing, and the share of the mass that each holds."""
        y, x = (np.abs(np.arange(n) - c) for n, c in zip(self.mass.shape, self.centre, strict=True))
        distance = np.maximum(y[:, None], x[None, :])  # to the middle of the farther side
        steps, ring = np.unique(np.round(distance, 6), return_inverse=True)
        return 2 * steps + 1, np.bincount(ring.ravel(), self.mass.ravel()).cumsum()

    def side(self, share: float = SHARE) -> float:
        """Side in pixels of the smallest square around the unit that holds this share of the mass.

        Where the square reaches the border, the field goes on outside: measure on a larger input.
        """
        sides, held = self.within()
        return float(sides[min(int(np.searchsorted(held, share - 1e-9)), len(sides) - 1)])


def effective_receptive_field(
    network: Network,
    module: str,
    size: tuple[int, int] = (512, 512),
    images: Sequence[Picture] | None = None,
    n: int = 16,
    seed: int = 0,
) -> ReceptiveField:
    """Measure how far around its centre a module's map depends on the picture.

    A pixel's mass is the absolute gradient of the map's centre unit with respect to it, summed over its colours and
    averaged over pictures. The unit's channels are summed under random signs, so that they do not cancel out.

    Args:
        network: see `edgeseg.explain.Network`.
        module: dotted name of a module that gives one map (N, C, h, w); empty: the network, so its logits.
        size: (H, W) of the input, better too large than too small.
        images: pictures, brought to this size; ``None``: noise, as in the paper.
        n: pictures of noise.
        seed: of noise and signs.

    Raises:
        ValueError: no such module, one that gives no single map or does not run in eval mode, a unit that no pixel
            matters to, or no picture.
    """
    pictures = n if images is None else len(images)
    if pictures < 1:
        raise ValueError("a receptive field is averaged over pictures; give at least one")
    segmenter = own_copy(network)
    given: list[Any] = []

    def keep(_: nn.Module, __: Any, output: Any) -> Any:
        given.append(output)
        return output.clone() if isinstance(output, Tensor) else output  # what follows may work in place

    find_module(segmenter.model, module).register_forward_hook(keep)
    random = torch.Generator().manual_seed(seed)
    total, (height, width) = np.zeros(size), size
    for i in range(pictures):
        given.clear()
        with gradients_on():
            seen = torch.randn(1, 3, *size, generator=random) if images is None else _seen(segmenter, images[i], size)
            x = seen.to(segmenter.mean.device).requires_grad_()
            segmenter.model(x)
            out = _single_map(given, module)
            height, width = out.shape[2:]
            signs = torch.randint(0, 2, out.shape[1:2], generator=random).to(out) * 2 - 1
            unit = (out[0, :, height // 2, width // 2] * signs).sum()
            total += torch.autograd.grad(unit, x)[0][0].abs().sum(0).double().cpu().numpy()
    if not total.any():
        raise ValueError(f"module {module!r}: its centre depends on no pixel of {pictures} picture(s)")
    centre = ((height // 2 + 0.5) * size[0] / height - 0.5, (width // 2 + 0.5) * size[1] / width - 0.5)
    return ReceptiveField(total / total.sum(), centre)


def _seen(segmenter: Segmenter, image: Picture, size: tuple[int, int]) -> Tensor:
    pixels = Image.fromarray(as_pixels(image)).resize(size[::-1], Image.Resampling.BILINEAR)
    batch = torch.from_numpy(np.array(pixels)).to(segmenter.mean.device).permute(2, 0, 1)[None]
    return (batch - segmenter.mean) / segmenter.std


def _single_map(given: Sequence[Any], module: str) -> Tensor:
    if len(given) == 1 and isinstance(given[0], Tensor) and given[0].ndim == 4:
        return given[0]
    why = "does not run in eval mode" if not given else "gives no single map (N, C, h, w)"
    raise ValueError(f"module {module!r} {why}: choose one that does, inside or behind it")


def field_figure(fields: Mapping[str, ReceptiveField]) -> Figure:
    """Receptive fields side by side, each with the square that holds 95 % of its mass; then all as curves.

    Brightness is logarithmic, over four decades.

    Args:
        fields: by name, of one size.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    height, width = next(iter(fields.values())).mass.shape
    figure = Figure((2.6 * len(fields) + 3.4, max(2.6 * height / width + 0.9, 2.8)), layout="constrained")
    axes = figure.subplots(1, len(fields) + 1, width_ratios=[2.6] * len(fields) + [3.4], squeeze=False)[0]
    for axis, (name, field) in zip(axes, fields.items(), strict=False):
        _draw_field(axis, name, field)
    curves = axes[-1]
    for i, (name, field) in enumerate(fields.items()):
        sides, held = field.within()
        curves.plot(sides, 100 * held, label=name, lw=1.5, color=colormaps["viridis"](i / max(len(fields), 2)))
    curves.axhline(100 * SHARE, color=VERMILION, lw=0.8, ls="--")
    curves.set(
        xlabel="side of a square around the unit, pixels", ylabel="% of what matters", ylim=(0, 101), xlim=(0, None)
    )
    curves.legend(frameon=False, fontsize=8, loc="lower right")
    curves.grid(alpha=0.25)
    return figure


def _draw_field(axis: Axes, name: str, field: ReceptiveField) -> None:
    from matplotlib.patches import Rectangle

    level = np.log10(np.maximum(field.mass / field.mass.max(), 10.0**-_DECADES))
    side = field.side()
    corner = (field.centre[1] - side / 2, field.centre[0] - side / 2)
    axis.imshow(level, cmap=HEAT, vmin=-_DECADES, vmax=0)
    axis.add_patch(Rectangle(corner, side, side, fill=False, ec=SKY, lw=1.2))
    axis.set_title(f"{name}\n{100 * SHARE:.0f} % within {side:.0f} px", fontsize=9)
    axis.set(xticks=[], yticks=[])
