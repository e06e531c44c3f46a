"""Segmenters and what runtimes make of them, made once for all tests; scenes; and how far an artefact is off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeseg.data.labels import CAMVID, ClassTable
from edgeseg.data.streets import Streets
from edgeseg.deploy import Artefact, compile, get_runtime
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models.registry import create_model
from small_networks import small_switches

SIZE = (64, 96)
LARGER = (192, 256)
CONVOLUTIONS = 49  # of Cross-CBAM-M, without its auxiliary head
HALF_THE_DIGITS = torch.finfo(torch.float32).eps ** 0.5  # 0.00035: no shorter format comes that near to float32


def needs(runtime: str, precision: str = "fp32") -> pytest.MarkDecorator:
    """Skips a test where a runtime cannot build a precision, with its own reason."""
    reason = get_runtime(runtime).why_not(precision)
    return pytest.mark.skipif(reason is not None, reason=f"{runtime} {precision}: {reason}")


# segmenters -----------------------------------------------------------------------------------------------------------


@cache
def trained_segmenter() -> Segmenter:
    return load_segmenter("cross_cbam_m.streets")


@cache
def narrow_segmenter() -> Segmenter:
    """A narrow Cross-CBAM with random weights and CamVid's classes."""
    torch.manual_seed(0)
    return Segmenter(
        create_model("cross_cbam_m", 11, **small_switches("cross_cbam_m")), (0.4,) * 3, (0.3,) * 3, None, CAMVID
    )


@cache
def tiny_segmenter() -> Segmenter:
    """Three convolutions with random weights and five classes."""
    torch.manual_seed(0)
    first, second, last = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 5, 1)
    table = ClassTable("five", tuple("abcde"), tuple((i, i, i) for i in range(5)))
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
    return Segmenter(network, (0.5,) * 3, (0.25,) * 3, None, table)


def spoilt(segmenter: Segmenter) -> Segmenter:
    """The same function in float, but one channel between stage 1 and stage 2 is 3000 times larger than it was.

    A ReLU passes factors on, so what stage 1 multiplies, stage 2 divides; with one range for all channels int8 has no
    steps left for the others. Of a Cross-CBAM.
    """
    changed = segmenter.reference()
    first, second = changed.model.backbone.stage1, changed.model.backbone.stage2
    for parameter in (first.bn.weight, first.bn.bias, second.conv.weight):
        parameter.data = parameter.data.clone()
    first.bn.weight.data[0] *= 3000
    first.bn.bias.data[0] *= 3000
    second.conv.weight.data[:, 0] /= 3000
    return changed


@contextmanager
def left_as_it_was(segmenter: Segmenter) -> Iterator[Segmenter]:
    """A caller's segmenter in use: half, in training mode, with gradients and a hook. Nothing of it may change."""
    callers = segmenter.reference().bfloat16().train()
    callers.model.register_forward_hook(lambda *_: None)
    for parameter in callers.parameters():
        parameter.grad = torch.ones_like(parameter)

    def state() -> list[Any]:
        tensors = [*callers.parameters(), *callers.buffers(), *(p.grad for p in callers.parameters())]
        facts = [(id(t), t.dtype, t.device, t.requires_grad) for t in tensors]
        hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in callers.modules()]
        return [facts, hooks, [t.double().sum().item() for t in tensors]]

    before = state()
    yield callers
    assert state() == before


# artefacts ------------------------------------------------------------------------------------------------------------


@cache
def compiled(segmenter: Segmenter, runtime: str, precision: str = "fp32", *graphs: str, **options: Any) -> Artefact:
    """A segmenter compiled at `SIZE` with four scenes to calibrate on; the graphs: default both."""
    images = street_images("train", 4) if precision == "int8" else None
    options |= {"device": "cpu"} if "device" in get_runtime(runtime).options else {}
    wanted = graphs or ("labels", "logits")
    return compile(segmenter, runtime, precision, SIZE, calibration=images, graphs=wanted, threads=1, **options)


# scenes ---------------------------------------------------------------------------------------------------------------


@cache
def street_pairs(split: str, count: int, size: tuple[int, int] = SIZE) -> list[tuple[np.ndarray, np.ndarray]]:
    data = Streets(split, count, size=size)
    return [data[i] for i in range(count)]


def street_images(split: str, count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    return [image for image, _ in street_pairs(split, count, size)]


def batch_of(image: np.ndarray) -> Tensor:
    """(H, W, 3) → (1, 3, H, W)."""
    return torch.from_numpy(image).permute(2, 0, 1)[None]


# how far an artefact is off -------------------------------------------------------------------------------------------


@torch.inference_mode()
def worst_error(artefact: Artefact, segmenter: Segmenter, count: int = 2) -> float:
    """Largest error of a logit, as a share of the largest logit, on test scenes of the artefact's size."""
    errors = []
    for image in street_images("test", count, artefact.size):
        x = segmenter.normalise(batch_of(image))
        expected = segmenter.model(x)
        errors.append(float((artefact.logits(x) - expected).abs().max() / expected.abs().max()))
    return max(errors)


@torch.inference_mode()
def same_where_decided(artefact: Artefact, segmenter: Segmenter, count: int = 2) -> bool:
    """Whether classes agree on test scenes wherever half of the logits' digits decide which one it is."""
    same = []
    for image in street_images("test", count, artefact.size):
        x = batch_of(image)
        logits = segmenter.logits(x)
        first, second = logits.topk(2, 1).values.unbind(1)
        decided = first - second > 2 * HALF_THE_DIGITS * logits.abs().max()
        assert decided.float().mean() > 0.5
        same.append(torch.equal(artefact.labels(x)[decided], segmenter(x)[decided]))
    return all(same)


def rounding(dtype: torch.dtype, layers: int) -> float:
    """What rounding in every layer adds up to: as independent errors do, by the root of their number."""
    return layers**0.5 * torch.finfo(dtype).eps


def miou(predict: Any, count: int, size: tuple[int, int]) -> float:
    """In percent, on test scenes."""
    matrix = ConfusionMatrix(11)
    for image, label in street_pairs("test", count, size):
        matrix.update(predict(image), label)
    return 100 * matrix.compute().miou
