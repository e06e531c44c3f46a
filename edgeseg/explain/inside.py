"""What a network's modules see and give on one image, without a trace left in the network: its gates, and the watching
that heat maps and receptive fields share.

Everything runs on modules of its own with the caller's weights (`edgeseg.inference.Segmenter`): mode, hooks, gradients
and ``requires_grad`` of what was handed in stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from edgeseg.inference import Segmenter, as_pixels, load_segmenter
from edgeseg.models.attention import AAM
from edgeseg.plots import BLUE, HEAT, ORANGE, heat_over
from edgeseg.text import unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Network = str | Path | nn.Module
"""A weight's name or file, the folder of a run, a `Segmenter`, or a model that `create_model` loaded with weights; any
other model becomes one by ``Segmenter(model, mean, std)``."""
Picture = str | Path | Image | np.ndarray
"""What `edgeseg.inference.as_pixels` takes."""


def own_copy(network: Network) -> Segmenter:
    """The network as a segmenter of its own: float32, in eval mode, on the device that it is on.

    Raises:
        ValueError: as in `edgeseg.inference.load_segmenter`.
    """
    on = next(network.parameters(), torch.empty(0)).device if isinstance(network, nn.Module) else "cpu"
    return load_segmenter(network, on).reference(on)


def find_module(model: nn.Module, name: str) -> nn.Module:
    """A module by its dotted name, as ``model.named_modules()`` gives it; empty: the network itself.

    Raises:
        ValueError: there is none; lists the modules at the place where the name goes astray.
    """
    found, path = model, ""
    for part in name.split(".") if name else ():
        children = dict(found.named_children())
        if part not in children:
            wrong = f"{path}{part}"
            raise ValueError(unknown("module", wrong, [f"{path}{child}" for child in children]))
        found, path = children[part], f"{path}{part}."
    return found


def pixels_of(segmenter: Segmenter, image: Picture) -> tuple[np.ndarray, Tensor]:
    """A picture as (H, W, 3) uint8, and as the batch (1, 3, H, W) on the segmenter's device."""
    pixels = as_pixels(image)
    return pixels, torch.from_numpy(pixels).to(segmenter.mean.device).permute(2, 0, 1)[None]


@contextmanager
def gradients_on() -> Iterator[None]:
    """Gradients can be asked for in here, whatever the caller has switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


# gates ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gate:
    """One gate on one image.

    Attributes:
        kind: ``"channels"``, ``"pixels"``, ``"rows"``, ``"columns"`` or ``"elements"``: what has a factor of its own.
        values: the factors, 0…1: (C,) of channels, (h, w) of pixels, (C, h) of rows, (C, w) of columns, (C, h, w) of
            elements.
    """

    kind: str
    values: np.ndarray


def gates(network: Network, image: Picture) -> dict[str, Gate]:
    """Every gate that a network opens and closes on an image: what its sigmoids give.

    That covers the attention of both papers and of the networks beside them: CCBAM and CBAM (channels, pixels), SE,
    ECA, SE-ASPP (channels), AAM (rows, columns). What is no ``nn.Sigmoid`` or ``nn.Hardsigmoid`` module is no gate.

    Args:
        network: see `Network`.
        image: see `Picture`.

    Returns:
        dotted name of the module that the sigmoid belongs to, e.g. ``"decoder.fuse8.channel_low"`` → gate, in the order
        in which they are computed. A module that has several adds their kind or number: ``"attention.0 rows"``.
    """
    segmenter = own_copy(network)
    modules = dict(segmenter.model.named_modules())
    seen: list[tuple[str, Tensor]] = []

    def keep(name: str, gate: Tensor) -> None:
        seen.append((name, gate.detach().clone()))

    for name, module in modules.items():
        if isinstance(module, nn.Sigmoid | nn.Hardsigmoid):
            owner = name.rpartition(".")[0]
            module.register_forward_hook(lambda _, __, gate, owner=owner: keep(owner, gate))
    with torch.inference_mode():
        segmenter.logits(pixels_of(segmenter, image)[1])
    found: dict[str, Gate] = {}
    for name, value in seen:
        own = [other for other in found if other.partition(" ")[0] == name]
        if isinstance(modules[name], AAM):
            kind = "columns" if own else "rows"
            found[f"{name} {kind}"] = Gate(kind, value[0, :, :, 0].cpu().numpy())
        else:
            found[f"{name} {len(own) + 1}" if own else name] = _gate(value[0])
    return found


def _gate(value: Tensor) -> Gate:
    """By its shape: (C, 1, 1) or (1, C) are channels, (1, h, w) are pixels."""
    if value.numel() == max(value.shape) and (value.ndim < 3 or value.shape[1:].numel() == 1):
        return Gate("channels", value.flatten().cpu().numpy())
    kind, value = ("pixels", value[0]) if value.shape[0] == 1 else ("elements", value)
    return Gate(kind, value.cpu().numpy())


def gates_figure(found: Mapping[str, Gate], image: Picture, columns: int = 3) -> Figure:
    """Gates as a picture: of pixels over the frame, of channels as bars, of rows and columns as maps.

    Args:
        found: of `gates`.
        image: the same as there.
        columns: gates in a row.

    Raises:
        ValueError: there are none.
    """
    from matplotlib.figure import Figure

    if not found:
        raise ValueError("no gates to draw: this network has no sigmoid inside")
    pixels = as_pixels(image)
    rows = -(-len(found) // columns)
    figure = Figure((3.3 * columns, 2.75 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.axis("off")
    for axis, (name, gate) in zip(axes.flat, found.items(), strict=False):
        low, high = gate.values.min(), gate.values.max()
        axis.set_title(
            f"{name}\n{len(gate.values)} {gate.kind}" if gate.kind == "channels" else f"{name}\n{gate.kind}", fontsize=8
        )
        _draw_gate(axis, gate, pixels)
        axis.set_xlabel(f"{low:.2f} to {high:.2f}", fontsize=8)
    return figure


def _draw_gate(axis: Axes, gate: Gate, image: np.ndarray) -> None:
    axis.tick_params(labelsize=7)
    if gate.kind == "channels":
        axis.bar(range(len(gate.values)), np.sort(gate.values)[::-1], width=1.0, color=BLUE)
        axis.axhline(0.5, color=ORANGE, lw=1)
        axis.set(ylim=(0, 1), xlim=(-0.5, len(gate.values) - 0.5))
    elif gate.kind in ("rows", "columns"):
        axis.imshow(gate.values, cmap=HEAT, aspect="auto", vmin=0, vmax=1, interpolation="nearest")
        axis.set_ylabel("channel", fontsize=8)
    else:
        values = gate.values if gate.kind == "pixels" else gate.values.mean(0)
        axis.imshow(heat_over(image, values - values.min()))
        axis.set(xticks=[], yticks=[])
