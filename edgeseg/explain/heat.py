"""Seg-Grad-CAM: what a class is seen by, before and after a module.

Vinogradova, Dibrov and Myers, Towards Interpretable Semantic Segmentation via Gradient-Weighted Class Activation
Mapping, AAAI 2020 (https://arxiv.org/abs/2002.11434), Eq. 1; the pictures before and after a module are those of the
Improved HRNet paper's Fig. 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from edgeseg.explain.inside import Network, Picture, find_module, gradients_on, own_copy, pixels_of
from edgeseg.inference import Segmenter
from edgeseg.models.layers import resize
from edgeseg.plots import heat_over, marked, picture_grid
from edgeseg.void import VOID

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class HeatMaps:
    """Heat maps of one class on one image at one module.

    Attributes:
        image: (H, W, 3) uint8.
        region: (H, W) bool, the pixels whose logits were asked for.
        class_name: the class; its id as text where the network knows no names.
        module: dotted name.
        before: (h, w) float32 of 0 and up, one per map that enters the module, in the order of its arguments.
        after: the same of what leaves it.
    """

    image: np.ndarray
    region: np.ndarray
    class_name: str
    module: str
    before: tuple[np.ndarray, ...]
    after: tuple[np.ndarray, ...]


def grad_cam(
    network: Network, image: Picture, of: str | int, module: str | None = None, region: np.ndarray | None = None
) -> HeatMaps:
    """Where a class is seen, in the maps that enter a module and in those that leave it.

    With y the sum of the class's logits over the region, and A¹ … A^K the channels of a map:
    L = ReLU(Σ_k α_k A^k), α_k = mean over the map of ∂y / ∂A^k. The derivative is over all ways from the map to the
    logits, those past the module too.

    Args:
        network: see `edgeseg.explain.Network`.
        image: see `edgeseg.explain.Picture`.
        of: the class, by name or id.
        module: dotted name as in ``model.named_modules()``, e.g. ``"decoder.fuse8"``; empty: the whole network.
            ``None``: the layer that classifies, so that ``before`` is what Fig. 8 shows, "before the fully connected
            classification layer".
        region: (H, W) bool, pixels of the image; default: those that the network gives the class.

    Returns:
        `HeatMaps`; not scaled, so that two can be compared. A map that the class does not depend on has zeros.

    Raises:
        ValueError: no such class or module, one that does not run in eval mode or sees no map, a class that the image
            is given nowhere (then say a region), or a region of another size or with no pixel.
    """
    segmenter = own_copy(network)
    pixels, batch = pixels_of(segmenter, image)
    module = _classifier(segmenter, batch) if module is None else module
    watch = _Watch(find_module(segmenter.model, module), module)
    with gradients_on():
        x = segmenter.normalise(batch).requires_grad_()
        logits: Tensor = segmenter.model(x)
        if logits.shape[2:] != batch.shape[2:]:
            logits = resize(logits, batch.shape[2:])
        class_id, name = _class(segmenter, of, logits.shape[1])
        chosen = _region(region, logits, class_id, name)
        # the gradients on the way are what is wanted, see _Watch; asking for the input's alone writes none anywhere
        torch.autograd.grad(logits[0, class_id][torch.from_numpy(chosen).to(logits.device)].sum(), x)
    return HeatMaps(pixels, chosen, name, module, *watch.heat_maps())


class _Watch:
    """Keeps every map (N, C, h, w) that enters or leaves a module, and the gradient that comes back to it.

    The module goes on with copies: an activation that works in place must not change what was seen.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.name, self.ran = name, False
        self.maps: tuple[list[Tensor], list[Tensor]] = [], []  # before, after
        self.gradients: dict[int, Tensor] = {}  # by id of the map
        module.register_forward_pre_hook(self._enter, with_kwargs=True)
        module.register_forward_hook(lambda _, __, output: tree_map(lambda t: self._seen(t, 1), output))

    def heat_maps(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Those before and those after.

        Raises:
            ValueError: the module did not run, or has no maps.
        """
        if not any(self.maps):
            why = "sees no map (N, C, h, w)" if self.ran else "does not run in eval mode: it is there for training only"
            raise ValueError(f"module {self.name!r} {why}. Choose one around it, or another.")
        before, after = (tuple(self._heat(one) for one in maps) for maps in self.maps)
        return before, after

    def _enter(self, _: nn.Module, args: Any, kwargs: Any) -> Any:
        self.ran = True
        return tree_map(lambda t: self._seen(t, 0), (args, kwargs))

    def _seen(self, value: Any, side: int) -> Any:
        if not isinstance(value, Tensor) or value.ndim != 4 or not value.requires_grad:
            return value
        kept = value.detach().clone()
        self.maps[side].append(kept)
        value.register_hook(lambda gradient: self.gradients.update({id(kept): gradient}))
        return value.clone()

    def _heat(self, seen: Tensor) -> np.ndarray:
        gradient = self.gradients.get(id(seen), torch.zeros_like(seen))
        weights = gradient.mean((2, 3), keepdim=True)  # (1, K, 1, 1)
        return (weights * seen).sum(1)[0].relu().cpu().numpy()


def _classifier(segmenter: Segmenter, batch: Tensor) -> str:
    """Name of the layer that classifies: the last convolution or linear layer that runs with one output per class.

    Raises:
        ValueError: none does.
    """
    ran: list[tuple[str, int]] = []
    layers = [(n, m) for n, m in segmenter.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [
        layer.register_forward_hook(lambda m, _, __, name=name: ran.append((name, m.weight.shape[0])))
        for name, layer in layers
    ]
    with torch.no_grad():
        classes = segmenter.model(segmenter.normalise(batch)).shape[1]
    for hook in hooks:
        hook.remove()
    found = [name for name, outputs in ran if outputs == classes]
    if not found:
        raise ValueError("no layer of this network gives one map per class: name the module to look at")
    return found[-1]


def class_heat(network: Network, image: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """What every class on a labelled image is seen by, in the map before the classifier (Improved HRNet, Fig. 8).

    Args:
        network: see `edgeseg.explain.Network`; must know its classes' names.
        image: (H, W, 3) uint8.
        label: (H, W) class ids, and 255; heat maps are of the pixels that have the class in truth.

    Returns:
        class → (H, W, 3) uint8, the heat map over the grey image on its own scale; those with at least a thousandth of
        the pixels, in the order of their ids.

    Raises:
        ValueError: as in `grad_cam`.
    """
    segmenter, pictures = own_copy(network), {}
    for class_id in shown_classes(label):
        maps = grad_cam(segmenter, image, class_id, None, label == class_id)
        pictures[maps.class_name] = heat_over(image, maps.before[0])
    return pictures


def shown_classes(label: np.ndarray) -> list[int]:
    """Ids of the classes that `class_heat` draws."""
    ids, counts = np.unique(label[label != VOID], return_counts=True)
    return [int(i) for i, count in zip(ids, counts, strict=True) if count >= label.size / 1000]


def _class(segmenter: Segmenter, of: str | int, count: int) -> tuple[int, str]:
    """Id and name of the class that was asked for."""
    names = segmenter.table.names if segmenter.table is not None else tuple(map(str, range(count)))
    if isinstance(of, str):
        if segmenter.table is None:
            raise ValueError(f"class {of!r}: this network knows no names; give the id, 0 to {count - 1}")
        class_id = segmenter.table.index(of)
        return class_id, names[class_id]
    if not 0 <= of < count:
        raise ValueError(f"class {of}: the network has the classes 0 to {count - 1}")
    return of, names[of]


def _region(region: np.ndarray | None, logits: Tensor, class_id: int, name: str) -> np.ndarray:
    """(H, W) bool."""
    size = tuple(logits.shape[2:])
    chosen = (logits[0].argmax(0) == class_id).cpu().numpy() if region is None else np.asarray(region, bool)
    if chosen.shape != size:
        raise ValueError(f"region is {chosen.shape}, the image {size}: give one value for each of its pixels")
    if not chosen.any():
        if region is not None:
            raise ValueError("region holds no pixel: give one where something is true")
        raise ValueError(
            f"the network gives no pixel of this image the class {name}: choose another, or say which pixels are meant "
            "(region=label == id)"
        )
    return chosen


def heat_figure(maps: Sequence[HeatMaps], names: Sequence[str] = ()) -> Figure:
    """Heat maps of several images or networks, a row each: photograph, region, before, after (Improved HRNet, Fig. 8).

    Each map is scaled to its own maximum.

    Args:
        maps: of `grad_cam`.
        names: one per row, on the left; default: class and module.
    """
    rows, heads = [], []
    for one in maps:
        both = (("before", one.before), ("after", one.after))
        labelled = [
            (f"{side} {i + 1}" if len(group) > 1 else side, heat)
            for side, group in both
            for i, heat in enumerate(group)
        ]
        rows.append([one.image, marked(one.image, one.region), *(heat_over(one.image, heat) for _, heat in labelled)])
        heads.append(["photograph", one.class_name, *(f"{head}, {_size(heat)}" for head, heat in labelled)])
    if all(row == heads[0] for row in heads):
        heads = heads[:1]
    return picture_grid(rows, heads, list(names) or [one.module or "the network" for one in maps])


def _size(heat: np.ndarray) -> str:
    return f"{heat.shape[0]}×{heat.shape[1]}"
