"""How good is a segmentation? One exact confusion matrix over a whole split, and what follows from it.

Counts are integers and are summed before anything is divided: over images, batches and ranks, in any order, the result
is the same to the last digit. Scores averaged per image, or an IoU over all classes at once (which is only acc / (2 −
acc)), are other numbers and not comparable.

Void (255 in the target) is left out, whatever is predicted there. Predictions must be resized to the label's size
before the argmax, and be class ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from tqdm.auto import tqdm

from edgeseg import text
from edgeseg.void import VOID

IntArray = np.ndarray | Tensor


class LabelledImages(Protocol):
    """What `score` needs of a data set: samples (image (H, W, 3) uint8, label (H, W) uint8), a class table, file
    names."""

    @property
    def table(self) -> Sized: ...

    @property
    def names(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class Scores:
    """Result of a `ConfusionMatrix` over C classes; shares are in 0…1, NaN where there is nothing to divide.

    Attributes:
        miou: mean of `per_class_iou` over the classes that are not absent.
        per_class_iou: C values, intersection / union = TP / (TP + FP + FN); NaN for an absent class.
        pixel_accuracy: share of the valid pixels that are right.
        mean_accuracy: mean over the classes in the target of the share of their pixels that is right.
        support: C target pixels per class.
        absent: ids of the classes neither in the target nor predicted (union 0). A class that is only predicted is not
            absent: its IoU is 0 and counts.
        boundary_f1: C values of `BoundaryF1`, or ``None`` if it was not asked for.
        widths: C mean widths in pixels, see `BoundaryF1.widths`; ``None`` as above.
        objects: (small ones found, large ones whole), see `Objects`, or ``None`` if they were not asked for.
        sizes: the distinct (H, W) of the targets, the smallest area first.
    """

    miou: float
    per_class_iou: tuple[float, ...]
    pixel_accuracy: float
    mean_accuracy: float
    support: tuple[int, ...]
    absent: tuple[int, ...]
    boundary_f1: tuple[float, ...] | None = None
    widths: tuple[float, ...] | None = None
    objects: tuple[float, float] | None = None
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def scored_at(self) -> list[int] | dict[str, Any]:
        """For JSON: [H, W] of the targets; of several sizes ``{"smallest": …, "largest": …, "sizes": how many}``."""
        if len(self.sizes) < 2:
            return list(*self.sizes)
        return {"smallest": list(self.sizes[0]), "largest": list(self.sizes[-1]), "sizes": len(self.sizes)}

    @property
    def thin(self) -> tuple[int, ...]:
        """Ids of the thin classes: on average narrower than a thirtieth of the images' height.

        On CamVid's test frames, 12 pixels: poles, signs and pedestrians. Empty where `widths` was not measured.
        """
        height = min((size[0] for size in self.sizes), default=0)
        return tuple(i for i, width in enumerate(self.widths or ()) if width < height / 30)

    def as_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """For JSON: shares as percent with two decimals, NaN as ``None``; per-class values by class name."""
        self._check(names)
        result: dict[str, Any] = {
            "miou": percent(self.miou),
            "per_class_iou": {n: percent(v) for n, v in zip(names, self.per_class_iou, strict=True)},
            "pixel_accuracy": percent(self.pixel_accuracy),
            "mean_accuracy": percent(self.mean_accuracy),
            "support": dict(zip(names, self.support, strict=True)),
            "absent": [names[i] for i in self.absent],
        }
        if self.boundary_f1 is not None:
            result["boundary_f1"] = percent(mean_of_present(self.boundary_f1))
            result["per_class_boundary_f1"] = {n: percent(v) for n, v in zip(names, self.boundary_f1, strict=True)}
            result["thin"] = [names[i] for i in self.thin]
            result["thin_iou"] = percent(mean_of_present([self.per_class_iou[i] for i in self.thin]))
        if self.objects is not None:
            result["small_found"], result["large_whole"] = map(percent, self.objects)
        return result

    def table(self, names: Sequence[str]) -> str:
        """Plain text: a line per class with IoU %, target pixels % and, if measured, boundary F1 %, then the means."""
        self._check(names)
        pixels = [n / max(sum(self.support), 1) for n in self.support]
        columns = [self.per_class_iou, pixels, *([] if self.boundary_f1 is None else [self.boundary_f1])]
        rows = [[name, *map(_cell, shares)] for name, *shares in zip(names, *columns, strict=True)]
        rows.append(["mean", _cell(self.miou), "", *(_cell(mean_of_present(column)) for column in columns[2:])])
        for name, share in (("pixel accuracy", self.pixel_accuracy), ("mean accuracy", self.mean_accuracy)):
            rows.append([name, _cell(share), *[""] * (len(columns) - 1)])
        shown = text.table(["class", "IoU %", "pixels %", "boundary F1 %"][: len(columns) + 1], rows)
        absent = ", ".join(names[i] for i in self.absent)
        return f"{shown}\nabsent (in neither target nor prediction): {absent}" if absent else shown

    def _check(self, names: Sequence[str]) -> None:
        if len(names) != len(self.per_class_iou):
            raise ValueError(f"{len(names)} class names for scores of {len(self.per_class_iou)} classes")


class ConfusionMatrix:
    """Pixels by true class (row) and predicted class (column), exact in int64.

    Args:
        num_classes: C, 1 to 254; 255 is void.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = _checked_classes(num_classes)
        self.matrix = np.zeros((num_classes, num_classes), np.int64)
        self._sizes: set[tuple[int, int]] = set()

    def update(self, pred: IntArray, target: IntArray) -> None:
        """Count one image or batch.

        Args:
            pred: (H, W) or (N, H, W) integer class ids, array or tensor on any device.
            target: the same shape, class ids and void 255.

        Raises:
            TypeError: a float input (logits or probabilities: take the argmax first).
            ValueError: shapes differ, or a value is out of range; nothing is counted then.
        """
        joint = _joint_histogram(*_checked(pred, target))
        classes = self.num_classes
        _refuse(np.flatnonzero(joint[classes:VOID].any(1)) + classes, "target", classes, joint)
        valid = joint[:classes]
        _refuse(np.flatnonzero(valid[:, classes:].any(0)) + classes, "prediction", classes, joint)
        self.matrix += valid[:, :classes]
        self._sizes.add((int(target.shape[-2]), int(target.shape[-1])))

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another set of images.

        Raises:
            ValueError: a matrix of another number of classes.
        """
        if other.num_classes != self.num_classes:
            raise ValueError(f"matrices of {self.num_classes} and {other.num_classes} classes cannot be added")
        self.matrix += other.matrix
        self._sizes |= other._sizes

    def all_reduce(self) -> None:
        """Sum over all ranks, in place; without a process group there is nothing to do."""
        self.matrix = _summed_over_ranks(self.matrix)
        if _in_group():
            shares: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(shares, self._sizes)
            self._sizes = set().union(*shares)

    def compute(self) -> Scores:
        """Scores of everything counted so far."""
        right = np.diag(self.matrix)
        support, predicted = self.matrix.sum(1), self.matrix.sum(0)
        union = support + predicted - right
        iou = _divide(right, union)
        return Scores(
            miou=mean_of_present(iou),
            per_class_iou=tuple(iou.tolist()),
            pixel_accuracy=float(_divide(right.sum(), support.sum())),
            mean_accuracy=mean_of_present(_divide(right, support)),
            support=tuple(support.tolist()),
            absent=tuple(np.flatnonzero(union == 0).tolist()),
            sizes=tuple(sorted(self._sizes, key=lambda size: (size[0] * size[1], size))),
        )


class BoundaryF1:
    """F1 of the class boundaries with a tolerance of a few pixels: how well outlines lie, thin things included.

    A boundary pixel has a valid direct neighbour (4-neighbourhood) of another class; its own class is the boundary's.
    Neither the image border nor void makes one, and void pixels are taken out of the prediction as well. A predicted
    boundary pixel is right, and a true one found, if one of the same class lies within `radius` pixels (Euclidean) in
    the other map. Counts are summed over all images before precision, recall and F1 are formed per class (Csurka et
    al., What is a good evaluation measure for semantic segmentation?, 2013, averages over images instead; the matching
    by dilation with a disk is that of Perazzi et al., the DAVIS benchmark, 2016). NaN for a class without any boundary
    in either map.

    Args:
        num_classes: C, 1 to 254.
        radius: tolerance in pixels.
    """

    def __init__(self, num_classes: int, radius: int = 3) -> None:
        self.num_classes, self.radius = _checked_classes(num_classes), radius
        self.counts = np.zeros((4, num_classes), np.int64)  # predicted, of these right; true, of these found
        reach = range(-radius, radius + 1)
        self._disk = [(dy, dx) for dy in reach for dx in reach if dy * dy + dx * dx <= radius * radius]

    def update(self, pred: IntArray, target: IntArray) -> None:
        """Count one image or batch; arguments and errors as in `ConfusionMatrix.update`."""
        ConfusionMatrix(self.num_classes).update(pred, target)  # the same checks of types, shapes and values
        pred, target = (_numpy(x) for x in _checked(pred, target))
        for p, t in zip(pred.reshape(-1, *pred.shape[-2:]), target.reshape(-1, *target.shape[-2:]), strict=True):
            found, true = boundary_classes(np.where(t == VOID, np.uint8(VOID), p)), boundary_classes(t)
            pairs = ((found, self._near(found, true)), (true, self._near(true, found)))
            for i, (boundary, matched) in enumerate(pairs):
                self.counts[2 * i] += np.bincount(boundary.ravel(), minlength=256)[: self.num_classes]
                self.counts[2 * i + 1] += np.bincount(boundary[matched], minlength=256)[: self.num_classes]

    def _near(self, boundary: np.ndarray, other: np.ndarray) -> np.ndarray:
        """(H, W) bool: boundary pixels with one of the same class in `other` within the radius."""
        r = self.radius
        other = np.pad(np.where(other == VOID, np.uint8(254), other), r, constant_values=254)  # "none" unlike VOID
        matched = np.zeros(boundary.shape, bool)
        for dy, dx in self._disk:
            matched |= boundary == other[r + dy : other.shape[0] - r + dy, r + dx : other.shape[1] - r + dx]
        return matched

    def all_reduce(self) -> None:
        """Sum over all ranks, in place; without a process group there is nothing to do."""
        self.counts = _summed_over_ranks(self.counts)

    def compute(self) -> tuple[float, ...]:
        """C values of F1 in 0…1: 2·precision·recall / (precision + recall)."""
        predicted, right, true, found = self.counts
        precision, recall = _divide(right, predicted), _divide(found, true)
        f1 = np.nan_to_num(_divide(2 * precision * recall, precision + recall))  # a boundary on one side only: 0
        return tuple(np.where(predicted + true > 0, f1, np.nan).tolist())

    def widths(self, support: Sequence[int]) -> tuple[float, ...]:
        """C mean widths of the classes in pixels: a strip of width w shows two of every w pixels at its two sides.

        Args:
            support: C target pixels per class; a class without a boundary in the target is NaN wide.
        """
        return tuple(_divide(2 * np.asarray(support), self.counts[2]).tolist())


class Objects:
    """How many objects a prediction finds: small ones at all, and large ones whole.

    An object is a component of one class in the target, connected over the four sides of its pixels. A small one has
    fewer than `small` pixels and is found if at least half of them are right; a large one has at least the share
    `large` of the image and is whole if at least nine in ten are. Every object counts once, whatever its class.

    Args:
        num_classes: C, 1 to 254.
        small: pixels.
        large: share of the image's pixels, 0…1.
    """

    def __init__(self, num_classes: int, small: int = 100, large: float = 0.02) -> None:
        self.num_classes, self.small, self.large = _checked_classes(num_classes), small, large
        self.counts = np.zeros(4, np.int64)  # small, of these found; large, of these whole

    def update(self, pred: IntArray, target: IntArray) -> None:
        """Count one image; arguments (H, W) and errors as in `ConfusionMatrix.update`.

        Raises:
            ImportError: SciPy, which finds the components, is missing.
        """
        ConfusionMatrix(self.num_classes).update(pred, target)  # the same checks of types, shapes and values
        label = _scipy_ndimage().label
        pred, target = (_numpy(x) for x in _checked(pred, target))
        for value in np.setdiff1d(np.unique(target), [VOID]):
            number, count = label(target == value)
            area = np.bincount(number.ravel(), minlength=count + 1)[1:]
            right = np.bincount(number[pred == value], minlength=count + 1)[1:]
            small, large = area < self.small, area >= self.large * target.size
            found, whole = small & (2 * right >= area), large & (10 * right >= 9 * area)
            self.counts += [small.sum(), found.sum(), large.sum(), whole.sum()]

    def all_reduce(self) -> None:
        """Sum over all ranks, in place; without a process group there is nothing to do."""
        self.counts = _summed_over_ranks(self.counts)

    def compute(self) -> tuple[float, float]:
        """Shares in 0…1 of small objects found and of large objects whole; NaN where there is none."""
        small, large = _divide(self.counts[1::2], self.counts[::2]).tolist()
        return small, large


def _scipy_ndimage() -> Any:
    try:
        from scipy import ndimage
    except ImportError as error:
        raise ImportError('objects are found by SciPy, which is missing: pip install "edgeseg[ablate]"') from error
    return ndimage


def score(
    segment: Callable[[np.ndarray], IntArray],
    pairs: LabelledImages,
    boundary: bool = False,
    progress: bool = True,
    desc: str = "scoring",
    objects: bool = False,
) -> Scores:
    """Run a segmenter over a data set and score it with one confusion matrix.

    In a process group every rank takes its share of the samples, and all get the scores of the whole set.

    Args:
        segment: image (H, W, 3) uint8 → class ids (H, W), integer, at the image's own size.
        pairs: the data set.
        boundary: also measure `BoundaryF1` at 3 pixels (about 3 ms per 480×360 image).
        progress: show a bar.
        desc: text in front of the bar.
        objects: also count `Objects`.

    Raises:
        TypeError, ValueError, RuntimeError: of the segmenter, or a prediction that does not fit its label; names the
            sample's file, or the sample where its data set has no files.
    """
    classes = len(pairs.table)
    matrix, edges, found = ConfusionMatrix(classes), BoundaryF1(classes), Objects(classes)
    counted: list[Any] = [matrix, *([edges] if boundary else []), *([found] if objects else [])]
    rank, world = (dist.get_rank(), dist.get_world_size()) if _in_group() else (0, 1)
    for i in tqdm(range(rank, len(pairs), world), desc=desc, unit="img", disable=not progress, leave=False):
        image, label = pairs[i]
        try:
            pred = segment(image)
            for counter in counted:
                counter.update(pred, label)
        except (TypeError, ValueError, RuntimeError) as error:
            if (sample := _sample(pairs, i)) in str(error):
                raise
            raise _renamed(error, f"{sample}: {error}") from error
    for counter in counted:
        counter.all_reduce()
    scores = matrix.compute()
    if boundary:
        scores = replace(scores, boundary_f1=edges.compute(), widths=edges.widths(scores.support))
    return replace(scores, objects=found.compute()) if objects else scores


def size_words(sizes: Sequence[int] | Mapping[str, Any]) -> str:
    """``"360×480"``, or ``"3 sizes from 120×160 to 720×960"``: in words what `Scores.scored_at` gives."""
    if isinstance(sizes, Mapping):
        smallest, largest = size_words(sizes["smallest"]), size_words(sizes["largest"])
        return f"{sizes['sizes']} sizes from {smallest} to {largest}"
    return "×".join(map(str, sizes))


def _sample(pairs: LabelledImages, i: int) -> str:
    """The sample's file, or its name where the data set has no files."""
    files = getattr(pairs, "images", None)
    return str(files[i] if files else pairs.names[i])


def _renamed(error: Exception, words: str) -> Exception:
    """The same kind of error with other words."""
    try:
        return type(error)(words)
    except TypeError:  # a kind that is made of more than words
        return RuntimeError(words)


def percent(share: float) -> float | None:
    """0…1 → percent with two decimals, NaN → ``None``: how every JSON file here writes a share."""
    return None if np.isnan(share) else round(100 * share, 2)


def mean_of_present(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    present = np.asarray(values)[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def _cell(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.2f}"


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b in float64, NaN where b is 0 (or NaN)."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)


def _checked_classes(num_classes: int) -> int:
    if not 1 <= num_classes <= 254:
        raise ValueError(f"num_classes {num_classes}: 1 to 254 fit beside void = 255")
    return num_classes


def _checked(pred: IntArray, target: IntArray) -> tuple[IntArray, IntArray]:
    """Both as uint8 on one device, after the checks of type, shape and range 0…255."""
    if tuple(pred.shape) != tuple(target.shape) or pred.ndim not in (2, 3):
        raise ValueError(
            f"prediction {tuple(pred.shape)} and target {tuple(target.shape)}: give two (H, W) or two (N, H, W) maps "
            "of one size; resize logits to the label's size before the argmax"
        )
    pred, target = _bytes(pred, "prediction"), _bytes(target, "target")
    if isinstance(pred, Tensor) and isinstance(target, Tensor) and pred.is_cuda:
        return pred, target.to(pred.device)
    return _numpy(pred), _numpy(target)


def _bytes(ids: IntArray, role: str) -> IntArray:
    """Integer ids as uint8."""
    if isinstance(ids, Tensor):
        integer = not (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool)
        is_bytes = ids.dtype == torch.uint8
    else:
        integer, is_bytes = np.issubdtype(ids.dtype, np.integer), ids.dtype == np.uint8
    if not integer:
        raise TypeError(f"{role} is {ids.dtype}: give integer class ids (of logits or probabilities, the argmax)")
    if is_bytes:
        return ids
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high > VOID:
        raise ValueError(f"{role} holds the value {low if low < 0 else high}: class ids are 0 and up, void is 255")
    return ids.to(torch.uint8) if isinstance(ids, Tensor) else ids.astype(np.uint8)


def _numpy(ids: IntArray) -> np.ndarray:
    return ids.detach().cpu().numpy() if isinstance(ids, Tensor) else ids


def _joint_histogram(pred: IntArray, target: IntArray) -> np.ndarray:
    """(256, 256) int64: how often each target byte meets each predicted byte; wrong values show up in it for free."""
    if isinstance(pred, Tensor) and isinstance(target, Tensor):
        index = target.int() * 256 + pred
        return torch.bincount(index.flatten(), minlength=65536).cpu().numpy().reshape(256, 256)
    # The narrower the index, the faster it is written and counted. With void wrapped round to row 0 it fits int16 for
    # up to 127 classes. torch counts as it stands what numpy would first make int64 of.
    row = _numpy(target) + np.uint8(1)
    pairs: np.ndarray = row.astype(np.int16 if row.max(initial=0) < 128 else np.int32)
    pairs *= 256
    pairs += _numpy(pred)
    counts = torch.bincount(torch.from_numpy(pairs).flatten(), minlength=65536).numpy().reshape(256, 256)
    return np.roll(counts, -1, axis=0)


def _refuse(wrong: np.ndarray, role: str, classes: int, joint: np.ndarray) -> None:
    if len(wrong):
        counts = joint.sum(1) if role == "target" else joint[:classes].sum(0)
        raise ValueError(
            f"{role} holds the value {wrong[0]} ({counts[wrong[0]]} pixels): class ids are 0 to {classes - 1}"
            + (", void is 255. Were the labels remapped?" if role == "target" else ". Is it a model of these classes?")
        )


def boundary_classes(label: np.ndarray) -> np.ndarray:
    """(H, W) uint8: the class of each boundary pixel (see `BoundaryF1`), 255 elsewhere."""
    edge = np.zeros(label.shape, bool)
    for a, b, edge_a, edge_b in (
        (label[1:], label[:-1], edge[1:], edge[:-1]),
        (label[:, 1:], label[:, :-1], edge[:, 1:], edge[:, :-1]),
    ):
        differ = (a != b) & (a != VOID) & (b != VOID)
        edge_a |= differ
        edge_b |= differ
    return np.where(edge, label, np.uint8(VOID))


def _summed_over_ranks(counts: np.ndarray) -> np.ndarray:
    if not _in_group():
        return counts
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    tensor = torch.from_numpy(counts.copy()).to(device)
    dist.all_reduce(tensor)
    return tensor.cpu().numpy()


def _in_group() -> bool:
    return dist.is_available() and dist.is_initialized()
