"""Is it still the same model? Error, disagreement and mIoU of an artefact against the model it was made from.

A mean over all pixels, or over all classes, hides a thin class that is lost. So each class is judged too, on each
source of images by itself: how much its two maps have in common, how much of its IoU is lost, and whether it is still
given at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image

from edgeseg.data.labels import CAMVID, class_lookup, match_classes
from edgeseg.deploy.artefact import Artefact
from edgeseg.deploy.quantise import resized, shuffled
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.inference import Segmenter
from edgeseg.metrics import ConfusionMatrix

MINI_SET = 8
"""Images of each source in the mini-set."""
OWN_SET = 32
"""Images of a user's own data, where there are so many."""
LEAST_SHARE = 1e-3
"""Of all pixels (or of the labelled ones): where a class has less, a few of its pixels would decide."""
FOUND = 1.0
"""IoU in percent from which on a model counts as finding a class."""


@dataclass(frozen=True)
class Tolerance:
    """What an artefact of one precision may differ by.

    Args:
        max_abs_error: of the logits, relative to their largest absolute value where that is above 1.
        disagreement: share of pixels with another class.
        miou_gap: points of mIoU that may be lost.
        agreement: least IoU, 0…1, of the two maps of a class.
        class_gap: points of IoU that one class may lose.
    """

    max_abs_error: float
    disagreement: float
    miou_gap: float
    agreement: float = 0.0
    class_gap: float = np.inf


# agreement and class_gap: about three times what the worst class of the two finished weights was off by, on eight test
# scenes at 360×480. 1 − agreement and points lost were 0.004 and 0.05 in fp16 (ONNX), 0.028 and 0.4 in bf16 (eager and
# OpenVINO), 0.17 and 3.3 in int8 (ONNX and OpenVINO; 0.24 on CamVid's test frames). A lost class agrees by 0.
TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "fp32": Tolerance(1e-4, 1e-3, 0.05, 0.95, 0.5),
        "fp16": Tolerance(np.inf, 5e-3, 0.2, 0.95, 0.5),
        "bf16": Tolerance(np.inf, 3e-2, 0.5, 0.85, 1.5),
        "int8": Tolerance(np.inf, 1e-1, 1.0, 0.5, 10.0),
        "fp8": Tolerance(np.inf, 1e-1, 1.0, 0.5, 10.0),
    }
)


@dataclass(frozen=True)
class ClassParity:
    """One class of an artefact beside the model's, on the images of one source.

    Args:
        name: of the class.
        source: of the images.
        share: of their pixels that the model gives to it, 0…1.
        labelled: share of the labelled pixels that are of it, 0…1; 0 without labels.
        agreement: IoU, 0…1, of the artefact's map of it with the model's; 0 where neither has a pixel.
        iou: of the artefact with the labels, in percent; ``None`` where there is nothing to compare.
        iou_reference: of the model.
    """

    name: str
    source: str
    share: float
    labelled: float
    agreement: float
    iou: float | None
    iou_reference: float | None

    @property
    def gap(self) -> float | None:
        """Points of IoU lost; ``None`` where the labels are not enough to tell."""
        if self.iou is None or self.iou_reference is None or self.labelled < LEAST_SHARE:
            return None
        return self.iou_reference - self.iou

    @property
    def judged(self) -> bool:
        """Whether the model gives it, or finds what the labels have of it."""
        return self.share >= LEAST_SHARE or (self.labelled > 0 and (self.iou_reference or 0) >= FOUND)

    @property
    def vanished(self) -> bool:
        """Whether the model gives it and the artefact nowhere where the model does."""
        return self.judged and self.agreement == 0

    def exceeded(self, tolerance: Tolerance, foreign: bool) -> Iterator[str]:
        """What is outside the tolerance, with the class's name.

        Args:
            tolerance: of the precision.
            foreign: whether other images are better witnesses; what a network says of a world that it was not made for
                hangs on little, and only a class that vanishes counts.
        """
        if self.vanished:
            yield f"vanished: {self.name}"
        elif not foreign and self.share >= LEAST_SHARE and self.agreement < tolerance.agreement:
            yield f"agreement: {self.name}"
        if self.gap is not None and self.gap > tolerance.class_gap:
            yield f"class_gap: {self.name}"

    def __str__(self) -> str:
        ious = (f"{value:.1f}" for value in (self.iou_reference, self.iou) if value is not None)
        scored = f", IoU {' → '.join(ious)}" if self.iou is not None else ""
        return f"{self.name} ({100 * self.agreement:.2f} % alike on {self.source}{scored})"


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
        exceeded: names of the figures outside the tolerance, those of a class with its name.
        classes: every class that occurs, on every source by itself.
    """

    max_abs_error: float | None
    largest_logit: float
    disagreement: float
    miou: float | None
    miou_reference: float | None
    images: int
    sources: tuple[str, ...]
    exceeded: tuple[str, ...] = ()
    classes: tuple[ClassParity, ...] = ()

    @property
    def miou_gap(self) -> float | None:
        """Points of mIoU lost; negative where the artefact happens to score better."""
        return None if self.miou is None or self.miou_reference is None else self.miou_reference - self.miou

    @property
    def passed(self) -> bool:
        """Whether all figures are within the tolerance."""
        return not self.exceeded

    @property
    def worst(self) -> ClassParity | None:
        """Of the classes that are judged, the one whose two maps have the least in common."""
        return min((c for c in self.classes if c.judged), key=lambda c: c.agreement, default=None)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with ``miou_gap`` and ``passed``."""
        return {**asdict(self), "miou_gap": self.miou_gap, "passed": self.passed}

    def __str__(self) -> str:
        error = (
            "–" if self.max_abs_error is None else f"{self.max_abs_error:.2e} (largest logit {self.largest_logit:.1f})"
        )
        gap = "–" if self.miou_gap is None else f"{self.miou_gap:+.3f} points of {self.miou_reference:.2f}"
        worst = f"worst class {self.worst}" if self.worst else "no class to judge"
        verdict = "within tolerance" if self.passed else f"OUTSIDE TOLERANCE: {', '.join(self.exceeded)}"
        return (
            f"max abs error {error}, disagreement {100 * self.disagreement:.4f} %, mIoU lost {gap}, {worst}; "
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


def own_samples(
    segmenter: Segmenter, size: tuple[int, int], data: str | Path, calibrated: int = 0, count: int = OWN_SET
) -> list[Sample]:
    """Images of the data that a model is for: of its val or test split; else of those that did not calibrate, if any.

    Args:
        segmenter: says which classes; where the data have others, their labels are left out.
        size: (H, W) of the artefact; images of another size are resized.
        data: a name or folder for `edgeseg.data.open_data`. Of ``"streets"`` none are taken: `mini_set` has them.
        calibrated: how many images of its train split calibrated the artefact, as `calibration_images` picks them.
        count: images, evenly picked.

    Raises:
        DataError, LabelError: no such data, or data that cannot be read.
    """
    from edgeseg.data.datasets import open_splits, recognise

    if recognise(data) == "streets":
        return []
    splits = open_splits(data)
    split = next((name for name in ("val", "test") if name in splits), next(iter(splits)))
    images = splits[split]
    order, source = np.arange(len(images)), f"{data} {split}"
    if split not in ("val", "test"):
        order = np.sort(shuffled(len(images))[calibrated:])
        if not len(order):
            order, source = np.arange(len(images)), f"{source}, which calibrated it"
    lookup = None if segmenter.table is None else class_lookup(images.table.names, segmenter.table.names)
    picked = order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]
    return [_sample(*images[int(i)], size, lookup, source) for i in picked]


def check_parity(artefact: Artefact, segmenter: Segmenter, samples: Sequence[Sample] | None = None) -> Parity:
    """Compare an artefact with the model it was made from, within the tolerance of its precision.

    Args:
        artefact: of any runtime.
        segmenter: the reference, computed in float32 on the CPU; stays as it is.
        samples: images of sizes that the artefact takes; default: `mini_set` of its own.

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
    error, largest = 0.0, 0.0
    names = wanted or tuple(f"class {i}" for i in range(254))
    counts = {sample.source: _Counts(len(names)) for sample in samples}
    with torch.inference_mode():
        for number, sample in enumerate(samples):
            several = 1 + number % 2 if "batch" in artefact.dynamic else artefact.batch  # an open one: 1, 2, 1 …
            images = torch.from_numpy(sample.image).permute(2, 0, 1)[None].expand(several, -1, -1, -1)
            expected = segmenter(images)
            got = artefact.labels(images.contiguous().to(artefact.device)).cpu()
            counts[sample.source].add(got.numpy(), expected.numpy(), sample.label if wanted else None)
            if with_logits:
                x = segmenter.normalise(images)
                reference = segmenter.model(x)
                logits = artefact.logits(x.contiguous().to(artefact.device)).cpu()
                error = max(error, float((logits - reference).abs().max().nan_to_num(float("inf"))))
                largest = max(largest, float(reference.abs().max()))
    tolerance = TOLERANCES[artefact.precision]
    together = _Counts(len(names))
    for one in counts.values():
        together.merge(one)
    miou, miou_reference = (_percent(m.compute().miou) if m.matrix.any() else None for m in together.scored)
    classes = tuple(c for source, one in counts.items() for c in one.classes(names, source))
    exceeded = []
    if with_logits and not error <= tolerance.max_abs_error * max(1.0, largest):
        exceeded.append("max_abs_error")
    if any(one.disagreement > tolerance.disagreement for one in counts.values()):
        exceeded.append("disagreement")
    if miou is not None and miou_reference is not None and miou_reference - miou > tolerance.miou_gap:
        exceeded.append("miou_gap")
    scored = {source for source, one in counts.items() if one.scored[1].matrix.any()}
    for c in classes:
        exceeded += c.exceeded(tolerance, foreign=bool(scored) and c.source not in scored)
    return Parity(
        max_abs_error=error if with_logits else None,
        largest_logit=largest,
        disagreement=together.disagreement,
        miou=miou,
        miou_reference=miou_reference,
        images=len(samples),
        sources=tuple(counts),
        exceeded=tuple(dict.fromkeys(exceeded)),
        classes=classes,
    )


class _Counts:
    """What an artefact and its model give on the images of one source."""

    def __init__(self, classes: int) -> None:
        self.alike = ConfusionMatrix(classes)  # the model's map by the artefact's
        self.scored = (ConfusionMatrix(classes), ConfusionMatrix(classes))  # the artefact, the model with the labels

    def add(self, got: np.ndarray, expected: np.ndarray, label: np.ndarray | None) -> None:
        """Count a batch (N, H, W) of one image with its label (H, W)."""
        self.alike.update(got, expected)
        if label is not None:
            for matrix, maps in zip(self.scored, (got, expected), strict=True):
                matrix.update(maps[0], label)

    def merge(self, other: _Counts) -> None:
        for mine, theirs in zip((self.alike, *self.scored), (other.alike, *other.scored), strict=True):
            mine.merge(theirs)

    @property
    def disagreement(self) -> float:
        matrix = self.alike.matrix
        return 1 - float(np.trace(matrix)) / float(matrix.sum())

    def classes(self, names: tuple[str, ...], source: str) -> Iterator[ClassParity]:
        """Those that the model gives, or the labels have."""
        alike, artefact, model = (m.compute() for m in (self.alike, *self.scored))
        pixels, labelled = sum(alike.support), max(1, sum(model.support))
        for i, name in enumerate(names):
            if alike.support[i] or model.support[i]:
                yield ClassParity(
                    name,
                    source,
                    alike.support[i] / pixels,
                    model.support[i] / labelled,
                    float(np.nan_to_num(alike.per_class_iou[i])),
                    _percent(artefact.per_class_iou[i]),
                    _percent(model.per_class_iou[i]),
                )


def _percent(share: float) -> float | None:
    return None if np.isnan(share) else 100 * share


def _sample(
    image: np.ndarray, label: np.ndarray, size: tuple[int, int], lookup: np.ndarray | None, source: str
) -> Sample:
    label = np.asarray(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))
    return Sample(resized(image, size), None if lookup is None else lookup[label], source)
