"""Is it still the same model? Error, disagreement and mIoU of an artefact against the model it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image

from edgeseg.data.labels import CAMVID, class_lookup, match_classes
from edgeseg.deploy.artefact import Artefact
from edgeseg.deploy.quantise import resized
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.inference import Segmenter
from edgeseg.metrics import ConfusionMatrix

MINI_SET = 8
"""Images of each source in the mini-set."""


@dataclass(frozen=True)
class Tolerance:
    """What an artefact of one precision may differ by.

    Args:
        max_abs_error: of the logits, relative to their largest absolute value where that is above 1.
        disagreement: share of pixels with another class.
        miou_gap: points of mIoU that may be lost.
    """

    max_abs_error: float
    disagreement: float
    miou_gap: float


TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "fp32": Tolerance(1e-4, 1e-3, 0.05),
        "fp16": Tolerance(np.inf, 5e-3, 0.2),
        "bf16": Tolerance(np.inf, 3e-2, 0.5),
        "int8": Tolerance(np.inf, 1e-1, 1.0),
        "fp8": Tolerance(np.inf, 1e-1, 1.0),
    }
)


@dataclass(frozen=True)
class Parity:
    """How far an artefact is from its model, on the same images.

    Args:
        max_abs_error: largest difference of a logit; ``None`` without a logits graph.
        largest_logit: the reference's largest absolute logit, for scale.
        disagreement: share of pixels where the classes differ, 0…1.
        miou: of the artefact, in percent; ``None`` where the mini-set has no labels for these classes.
        miou_reference: of the model.
        images: number of images.
        sources: what they are.
        exceeded: names of the figures outside the tolerance.
    """

    max_abs_error: float | None
    largest_logit: float
    disagreement: float
    miou: float | None
    miou_reference: float | None
    images: int
    sources: tuple[str, ...]
    exceeded: tuple[str, ...] = ()

    @property
    def miou_gap(self) -> float | None:
        """Points of mIoU lost; negative where the artefact happens to score better."""
        return None if self.miou is None or self.miou_reference is None else self.miou_reference - self.miou

    @property
    def passed(self) -> bool:
        """Whether all figures are within the tolerance."""
        return not self.exceeded

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with ``miou_gap`` and ``passed``."""
        return {**asdict(self), "miou_gap": self.miou_gap, "passed": self.passed}

    def __str__(self) -> str:
        error = (
            "–" if self.max_abs_error is None else f"{self.max_abs_error:.2e} (largest logit {self.largest_logit:.1f})"
        )
        gap = "–" if self.miou_gap is None else f"{self.miou_gap:+.3f} points of {self.miou_reference:.2f}"
        verdict = "within tolerance" if self.passed else f"OUTSIDE TOLERANCE: {', '.join(self.exceeded)}"
        return (
            f"max abs error {error}, disagreement {100 * self.disagreement:.4f} %, mIoU lost {gap}; "
            f"{self.images} images ({', '.join(self.sources)}): {verdict}"
        )


@dataclass(frozen=True)
class Sample:
    """One image of a mini-set: (H, W, 3) uint8, and its label (H, W) where the classes are the model's."""

    image: np.ndarray
    label: np.ndarray | None
    source: str


def mini_set(segmenter: Segmenter, size: tuple[int, int], count: int = MINI_SET) -> list[Sample]:
    """The images that every export is checked on: test scenes of streets, and CamVid's test frames where present.

    CamVid's frames are resized to the artefact's size (images bilinear, labels nearest). Labels come along where the
    segmenter has CamVid's eleven classes, with the class ids of the segmenter.

    Args:
        segmenter: says which classes.
        size: (H, W) of the images.
        count: images of each source.
    """
    from edgeseg.data.camvid import camvid_pairs
    from edgeseg.data.pairs import DataError
    from edgeseg.data.streets import Streets

    lookup = None if segmenter.table is None else class_lookup(CAMVID.names, segmenter.table.names)
    scenes = Streets("test", count, size=size)
    samples = [_sample(*scenes[i], size, lookup, "streets test") for i in range(count)]
    try:
        frames = camvid_pairs(split="test")
    except DataError:
        return samples
    picked = np.linspace(0, len(frames) - 1, count).astype(int)
    return samples + [_sample(*frames[int(i)], size, lookup, "CamVid test") for i in picked]


def check_parity(artefact: Artefact, segmenter: Segmenter, samples: Sequence[Sample] | None = None) -> Parity:
    """Compare an artefact with the model it was made from, within the tolerance of its precision.

    Args:
        artefact: of any runtime.
        segmenter: the reference, computed in float32 on the CPU; stays as it is.
        samples: images of the artefact's size; default: `mini_set`.

    Raises:
        DeployError: no samples.
        LabelError: the artefact has other classes than the model, or has them in another order.
    """
    known, wanted = (one.table.names if one.table else () for one in (artefact, segmenter))
    match_classes(known, wanted, "the artefact", "the model", "Compare it with the model that it was made from.")
    samples = mini_set(segmenter, artefact.size) if samples is None else samples
    if not samples:
        raise DeployError("parity of no images: give at least one sample")
    segmenter = segmenter.reference()
    with_logits = "logits" in artefact.about["graphs"]
    error, largest, differing, pixels = 0.0, 0.0, 0, 0
    labelled = wanted and any(sample.label is not None for sample in samples)
    matrices = [ConfusionMatrix(len(wanted)) for _ in ("artefact", "model")] if labelled else []
    with torch.inference_mode():
        for sample in samples:
            images = torch.from_numpy(sample.image).permute(2, 0, 1)[None].expand(artefact.batch, -1, -1, -1)
            expected = segmenter(images)
            got = artefact.labels(images.contiguous().to(artefact.device)).cpu()
            differing += int((got != expected).sum())
            pixels += expected.numel()
            if with_logits:
                x = segmenter.normalise(images)
                reference = segmenter.model(x)
                logits = artefact.logits(x.contiguous().to(artefact.device)).cpu()
                error = max(error, float((logits - reference).abs().max().nan_to_num(float("inf"))))
                largest = max(largest, float(reference.abs().max()))
            if sample.label is not None:
                matrices[0].update(got[0].numpy(), sample.label)
                matrices[1].update(expected[0].numpy(), sample.label)
    miou = tuple(100 * m.compute().miou for m in matrices) if matrices else (None, None)
    sources = tuple(dict.fromkeys(s.source for s in samples))
    parity = Parity(
        error if with_logits else None, largest, differing / pixels, miou[0], miou[1], len(samples), sources
    )
    return replace(parity, exceeded=tuple(_exceeded(parity, TOLERANCES[artefact.precision])))


def _sample(
    image: np.ndarray, label: np.ndarray, size: tuple[int, int], lookup: np.ndarray | None, source: str
) -> Sample:
    label = np.asarray(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))
    return Sample(resized(image, size), None if lookup is None else lookup[label], source)


def _exceeded(parity: Parity, tolerance: Tolerance) -> Iterator[str]:
    error = parity.max_abs_error
    if error is not None and not error <= tolerance.max_abs_error * max(1.0, parity.largest_logit):
        yield "max_abs_error"
    if parity.disagreement > tolerance.disagreement:
        yield "disagreement"
    if parity.miou_gap is not None and parity.miou_gap > tolerance.miou_gap:
        yield "miou_gap"
