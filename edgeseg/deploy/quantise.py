"""int8 without guessing: calibration images, what each layer costs, and what to leave in float.

Post-training quantisation writes weights and activations with 8 bits. Weights get one scale per output channel,
activations one range per tensor, taken from *calibration images*. Where that costs accuracy, `sensitivity` names the
layers, and a runtime's option ``keep`` leaves them in float. (OpenVINO's own tool searches for them itself:
``nncf.quantize_with_accuracy_control``.)

A layer has the name that PyTorch gives it inside the network, e.g. ``decoder.fuse8.spatial_low.conv``; the name of a
part (``decoder.fuse8``) stands for all convolutions in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.inference import Segmenter
from edgeseg.text import table, unknown

Pair = tuple[np.ndarray, np.ndarray]
_TRAINING = ("train", "trainval", "fold_train", "train_aug", "paper_train")
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


# calibration ----------------------------------------------------------------------------------------------------------


def calibration_images(
    segmenter: Segmenter,
    size: tuple[int, int],
    data: Sequence[Pair] | str | Path | None = None,
    split: str = "train",
    count: int = 64,
    seed: int = 0,
    progress: bool = True,
) -> list[np.ndarray]:
    """Images from which int8 takes its ranges: seeded picks from a training split, never from what is scored.

    Args:
        segmenter: the model; its classes choose the default data.
        size: (H, W) of the artefact; images of another size are resized (bilinear).
        data: a name or folder for `edgeseg.data.open_data`, or an open data set of training images (those of
            `open_data` know their split; of others the caller answers for it); ``None``: rendered street scenes, for
            models with CamVid's eleven classes. Take the data that the model will see: ranges from other data cost
            accuracy.
        split: of ``data`` where that is a name; a training split.
        count: images; all there are where the data set has fewer.
        seed: of the choice.
        progress: show a bar.

    Returns:
        (H, W, 3) uint8 RGB arrays.

    Raises:
        DeployError: no data for these classes, or a split that is kept for scoring.
    """
    if not isinstance(data, str | Path):  # an open data set may know which split it is
        split = getattr(data, "split", None) or split
    if split not in _TRAINING:
        raise DeployError(
            f"calibration on the {split} split would tune the model to what it is scored on; take a training split "
            f"({', '.join(_TRAINING)})"
        )
    if count < 1:
        raise DeployError(f"count = {count}: calibration needs at least one image; 32 to 128 are usual")
    images = _training_set(segmenter, size, data, split)
    chosen = np.sort(shuffled(len(images), seed)[:count])
    bar = tqdm(chosen, desc="calibration images", disable=not progress, leave=False)
    return [resized(images[int(i)][0], size) for i in bar]


def shuffled(length: int, seed: int = 0) -> np.ndarray:
    """The order in which a data set's images are taken to calibrate; the others follow those that are."""
    return np.random.default_rng(seed).permutation(length)


def _training_set(
    segmenter: Segmenter, size: tuple[int, int], data: Sequence[Pair] | str | Path | None, split: str
) -> Sequence[Pair]:
    from edgeseg.data.labels import class_lookup
    from edgeseg.data.streets import Streets

    if isinstance(data, str | Path):
        from edgeseg.data import open_data

        rendered_at = size if str(data) == "streets" else None  # files of any size will do, they are resized
        return open_data(str(data), split, size=rendered_at)  # type: ignore[return-value]
    if data is not None:
        return data
    if segmenter.table is None or class_lookup(segmenter.table.names, Streets.table.names) is None:
        raise DeployError(
            "calibration images: there is no built-in data set with this model's classes. Give its training data: "
            "calibration_images(segmenter, size, open_data('cityscapes')), or --calibration on the command line"
        )
    return Streets("train", size=size)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A writable copy of (H, W, 3) uint8 pixels at another size, bilinear."""
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


# which layers stay in float -------------------------------------------------------------------------------------------


def select_layers(layers: Iterable[str], keep: Sequence[str]) -> set[str]:
    """Those convolutions of a graph that ``keep`` names.

    Args:
        layers: names of all convolutions. A graph of a `Segmenter` has the network's own names below ``model.``, which
            ``keep`` need not say.
        keep: names of convolutions, or of parts that hold some.

    Raises:
        DeployError: a name that fits none; lists the near ones.
    """
    layers = list(layers)
    chosen: set[str] = set()
    for name in keep:
        found = {layer for layer in layers if f"{layer}.".startswith((f"{name}.", f"model.{name}."))}
        if not found:
            own = [layer.removeprefix("model.").split(".") for layer in layers]
            parts = dict.fromkeys(".".join(words[:i]) for words in own for i in range(1, len(words) + 1))
            top = [part for part in parts if "." not in part]
            near = [part for part in difflib.get_close_matches(name, parts, 3, 0.5) if part not in top]
            raise DeployError(f"keep: {unknown('convolution or part', name, [*near, *top])}")  # all are too many
        chosen |= found
    return chosen


# what each layer costs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerCost:
    """What quantising one convolution, or all, does to the result.

    Args:
        name: of the layer.
        logits_error: ‖quantised − float‖ / ‖float‖ over all logits of all images.
        disagreement: share of pixels with another class, 0…1.
        weights: number of weights.
    """

    name: str
    logits_error: float
    disagreement: float
    weights: int


@dataclass(frozen=True)
class Sensitivity:
    """Result of `sensitivity`.

    Args:
        layers: one per convolution, the costliest (in labels, then in logits) first.
        together: all of them quantised at once.
        images: number of images it was measured on.
    """

    layers: tuple[LayerCost, ...]
    together: LayerCost
    images: int

    @property
    def names(self) -> tuple[str, ...]:
        """The layers' names, the costliest first."""
        return tuple(layer.name for layer in self.layers)

    def table(self, rows: int | None = None) -> str:
        """Plain text: a line per layer, the costliest first (``rows`` of them), and last all layers together."""
        head = ("layer", "weights", "logits error %", "other class %")
        shown = (*self.layers[:rows], self.together)
        return table(
            head,
            [(c.name, f"{c.weights}", f"{100 * c.logits_error:.3f}", f"{100 * c.disagreement:.4f}") for c in shown],
        )


@torch.inference_mode()
def sensitivity(
    segmenter: Segmenter,
    images: Sequence[np.ndarray],
    calibration: Sequence[np.ndarray] | None = None,
    layers: Sequence[str] | None = None,
    progress: bool = True,
) -> Sensitivity:
    """Quantise one convolution at a time and look at the result: which layers cost accuracy?

    In plain PyTorch, whatever the runtime: int8 weights, symmetric, one scale per output channel; the layer's input as
    uint8 with the smallest and largest value seen on the calibration images. Runtimes choose ranges in their own ways,
    so their figures differ a little; the order of the layers is what counts.

    Args:
        segmenter: the model; stays as it is.
        images: (H, W, 3) uint8 to measure on; 4 to 8 do.
        calibration: images that the ranges come from; default: ``images``.
        layers: names of layers or parts; default: all.
        progress: show a bar. It takes (layers + 1) × images passes.

    Raises:
        DeployError: no images, or an unknown layer.
    """
    if not len(images):
        raise DeployError("sensitivity needs images; give calibration_images(segmenter, size, count=4)")
    segmenter = segmenter.reference(segmenter.mean.device)
    convolutions = {n: m for n, m in segmenter.model.named_modules() if isinstance(m, _CONVOLUTIONS)}
    chosen = set(convolutions) if layers is None else select_layers(convolutions, layers)
    ranges = _input_ranges(segmenter, convolutions, calibration if calibration is not None else images)
    convolutions = {n: m for n, m in convolutions.items() if n in chosen and n in ranges}  # training-only heads go
    inputs = [_as_input(image, segmenter) for image in images]
    reference = [segmenter.logits(x) for x in inputs]
    groups = {**{name: [name] for name in convolutions}, "all of these": list(convolutions)}
    costs = []
    for name, members in tqdm(groups.items(), desc="sensitivity", disable=not progress, leave=False):
        with _quantised([(convolutions[member], ranges[member]) for member in members]):
            error, disagreement = _difference(segmenter, inputs, reference)
        weights = sum(convolutions[member].weight.numel() for member in members)
        costs.append(LayerCost(name, error, disagreement, weights))
    ordered = sorted(costs[:-1], key=lambda cost: (-cost.disagreement, -cost.logits_error))
    return Sensitivity(tuple(ordered), costs[-1], len(images))


def _as_input(image: np.ndarray, segmenter: Segmenter) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].to(segmenter.mean.device)


def _input_ranges(
    segmenter: Segmenter, convolutions: dict[str, Any], images: Sequence[np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Smallest and largest input of every convolution that is run."""
    ranges: dict[str, tuple[float, float]] = {}

    def watch(name: str) -> Any:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = (float(v) for v in inputs[0].aminmax())
            before = ranges.get(name, (0.0, 0.0))  # zero must have an exact code: padding is made of it
            ranges[name] = min(low, before[0]), max(high, before[1])

        return look

    hooks = [m.register_forward_pre_hook(watch(n)) for n, m in convolutions.items()]
    for image in images:
        segmenter.logits(_as_input(image, segmenter))
    for hook in hooks:
        hook.remove()
    return ranges


@contextmanager
def _quantised(layers: Sequence[tuple[Any, tuple[float, float]]]) -> Iterator[None]:
    """These convolutions compute with weights and inputs that 8 bits can hold."""
    hooks, weights = [], [layer.weight.data for layer, _ in layers]
    for layer, (low, high) in layers:
        layer.weight.data = quantise_weight(layer.weight.data)
        scale = max((high - low) / 255, 1e-12)
        zero = min(255, max(0, round(-low / scale)))

        def shrink(_: nn.Module, inputs: tuple[Tensor, ...], scale: float = scale, zero: int = zero) -> tuple[Tensor]:
            return (torch.fake_quantize_per_tensor_affine(inputs[0], scale, zero, 0, 255),)

        hooks.append(layer.register_forward_pre_hook(shrink))
    try:
        yield
    finally:
        for (layer, _), weight in zip(layers, weights, strict=True):
            layer.weight.data = weight
        for hook in hooks:
            hook.remove()


def quantise_weight(weight: Tensor) -> Tensor:
    """Weights (out, …) rounded to 127 steps either side of zero, one scale per output channel; same shape and type."""
    scale = (weight.flatten(1).abs().amax(1) / 127).clamp(min=1e-12)
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -127, 127)


def _difference(segmenter: Segmenter, inputs: Sequence[Tensor], reference: Sequence[Tensor]) -> tuple[float, float]:
    """Relative error of the logits, and share of pixels with another class."""
    squared, norm, differing, pixels = 0.0, 0.0, 0, 0
    for x, expected in zip(inputs, reference, strict=True):
        got = segmenter.logits(x)
        squared += float((got - expected).double().square().sum())
        norm += float(expected.double().square().sum())
        differing += int((got.argmax(1) != expected.argmax(1)).sum())
        pixels += expected[:, 0].numel()
    return (squared / norm) ** 0.5 if norm else 0.0, differing / pixels
