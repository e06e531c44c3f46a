"""What the tests of the runtime rooms share: a small network, street scenes, how far an artefact is off, bad files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeseg.data.labels import CAMVID
from edgeseg.data.streets import Streets
from edgeseg.deploy import Artefact, DeployError, get_runtime
from edgeseg.deploy.artefact import normalised
from edgeseg.inference import Segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models.registry import create_model
from small_networks import small

SIZE = (64, 96)
SHOWN = (360, 480)  # what the trained network was trained on
HALF_THE_DIGITS = torch.finfo(torch.float32).eps ** 0.5  # 0.00035: no shorter format comes that near to float32


def small_segmenter() -> Segmenter:
    """A narrow Cross-CBAM with random weights and CamVid's classes."""
    torch.manual_seed(0)
    return Segmenter(create_model("cross_cbam_m", 11, **small("cross_cbam_m")), (0.4,) * 3, (0.3,) * 3, None, CAMVID)


@cache
def scenes(split: str, count: int, size: tuple[int, int] = SIZE) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rendered pairs of image and label."""
    data = Streets(split, count, size=size)
    return [data[i] for i in range(count)]


def images(split: str, count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    return [image for image, _ in scenes(split, count, size)]


def as_input(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


@torch.inference_mode()
def difference(artefact: Artefact, segmenter: Segmenter, count: int) -> tuple[float, float]:
    """Largest error of a logit, and share of pixels with the same class, on test scenes of the artefact's size."""
    errors, same = [], []
    for image in images("test", count, artefact.size):
        x = as_input(image)
        seen = normalised(segmenter, x)
        errors.append(float((artefact.logits(seen) - segmenter.model(seen)).abs().max()))
        same.append(float((artefact.labels(x) == segmenter(x)).float().mean()))
    return max(errors), float(np.mean(same))


@torch.inference_mode()
def worst_error(artefact: Artefact, segmenter: Segmenter, count: int = 2) -> float:
    """Largest error of a logit, as a share of the largest logit, on test scenes of the artefact's size."""
    errors = []
    for image in images("test", count, artefact.size):
        x = normalised(segmenter, as_input(image))
        expected = segmenter.model(x)
        errors.append(float((artefact.logits(x) - expected).abs().max() / expected.abs().max()))
    return max(errors)


@torch.inference_mode()
def assert_same_in_float32(artefact: Artefact, segmenter: Segmenter, count: int = 2) -> None:
    """Logits agree in half of their digits, and classes wherever these decide which one it is."""
    assert worst_error(artefact, segmenter, count) <= HALF_THE_DIGITS
    for image in images("test", count, artefact.size):
        x = as_input(image)
        logits = segmenter.model(normalised(segmenter, x))
        first, second = logits.topk(2, 1).values.unbind(1)
        decided = first - second > 2 * HALF_THE_DIGITS * logits.abs().max()
        assert decided.float().mean() > 0.5
        assert torch.equal(artefact.labels(x)[decided], segmenter(x)[decided])


def rounding(dtype: torch.dtype, layers: int) -> float:
    """What rounding in every layer adds up to: as independent errors do, by the root of their number."""
    return layers**0.5 * torch.finfo(dtype).eps


def miou(predict: Any, count: int, size: tuple[int, int]) -> float:
    """In percent, on test scenes."""
    matrix = ConfusionMatrix(11)
    for image, label in scenes("test", count, size):
        matrix.update(predict(image), label)
    return 100 * matrix.compute().miou


def assert_bad_files_are_named(artefact: Artefact, suffix: str, folder: Path) -> None:
    """A damaged file, an absent one and a place that cannot be written are errors that name the path."""
    room, facts = get_runtime(artefact.runtime), artefact.about["graphs"]["labels"]
    folder.mkdir(exist_ok=True)
    for file in artefact.folder.glob("labels.*"):
        (folder / f"broken{file.suffix}").write_bytes(file.read_bytes())
    broken = folder / f"broken{suffix}"
    whole = broken.read_bytes()
    for content in (b"not a model", whole[: len(whole) // 2]):
        broken.write_bytes(content)
        with pytest.raises(DeployError, match=r"broken\.\w+: cannot be opened .*Export the model again"):
            room.open(broken.with_suffix(""), facts)
    with pytest.raises(DeployError, match=r"absent\.\w+: missing"):
        room.open(folder / "absent", facts)
    (folder / "file").write_text("")
    with pytest.raises(DeployError, match=r"file.labels\.\w+: cannot be written .*Choose another folder"):
        room.build(small_segmenter().model, torch.zeros(1, 3, *SIZE), folder / "file" / "labels", "fp32")
