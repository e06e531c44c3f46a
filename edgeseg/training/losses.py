"""Segmentation losses that treat void exactly and add up over batches and ranks.

Every loss is called as ``loss(logits, target)``: logits (N, C, h, w) at any resolution, target (N, H, W) integer class
ids with void 255. Labels stay as they are; logits are resized to them, or both go to 1/`stride` of the label size,
where a step moves fewer bytes.

``loss.terms(logits, target)`` gives ``(sum, count)``, both 0-dim, and the loss is sum / count, or 0 where nothing
counts. Sums and counts of two half-batches, or of two ranks, add up to those of the whole batch, so a trainer that
adds both gets the loss of the global batch however void is spread. The one loss that does not add up is `Dice`, see
there. `Objective` is the sum of a recipe's losses over all heads.

A target that is all void gives loss 0 and gradient 0. Nothing here waits for the device: no `.item()`, no boolean
indexing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.data.labels import VOID
from edgeseg.models.layers import resize
from edgeseg.training.recipe import Recipe, loss_terms

Terms = tuple[Tensor, Tensor]


class Loss(nn.Module):
    """Base of all losses: brings logits and target to one size and precision; a subclass writes `pixel_terms`.

    Args:
        stride: work at 1/stride of the label size, labels taken at the nearest pixel, logits resized bilinearly.

    Attributes:
        align_corners: of that resize; `Objective` sets it to what the network does in eval mode, because the two
            conventions lie up to half a cell of the logits apart.
    """

    align_corners = False

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"stride {stride}: give 1 for the label size, 2 for half of it, …")
        self.stride = stride

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of logits (N, C, h, w) and target (N, H, W)."""
        total, count = self.terms(logits, target)
        return total / count.clamp(min=1)

    def terms(self, logits: Tensor, target: Tensor) -> Terms:
        """``(sum, count)`` of the loss, see the module's text."""
        if logits.ndim != 4 or target.ndim != 3 or len(logits) != len(target):
            raise ValueError(
                f"logits {tuple(logits.shape)} and target {tuple(target.shape)}: give (N, C, h, w) logits and an "
                "(N, H, W) integer target of the same N"
            )
        if target.is_floating_point():
            raise TypeError(f"target is {target.dtype}: give integer class ids, void 255")
        if logits.dtype != torch.float64:  # float64 stays for gradient checks; halves are too coarse for sums of logs
            logits = logits.float()
        return self.sized_terms(logits, target)

    def sized_terms(self, logits: Tensor, target: Tensor) -> Terms:
        """Resize, then `pixel_terms`."""
        target = subsample(target, self.stride).long()
        if logits.shape[2:] != target.shape[1:]:
            logits = resize(logits, target.shape[1:], align_corners=self.align_corners)
        return self.pixel_terms(logits, target)

    def pixel_terms(self, logits: Tensor, target: Tensor) -> Terms:
        """Terms of float logits (N, C, H, W) and int64 target (N, H, W) of one size."""
        raise NotImplementedError


def subsample(target: Tensor, stride: int) -> Tensor:
    """Labels (N, H, W) → (N, ⌈H/stride⌉, ⌈W/stride⌉): of each cell the pixel at its centre."""
    if stride == 1:
        return target
    height, width = target.shape[1:]
    rows, cols = -(-height // stride), -(-width // stride)
    row = (torch.arange(rows, device=target.device) * 2 + 1) * height // (2 * rows)
    col = (torch.arange(cols, device=target.device) * 2 + 1) * width // (2 * cols)
    return target[:, row[:, None], col]


def _one_hot(target: Tensor, like: Tensor) -> Tensor:
    """(N, H, W) ids → (N, C, H, W) zeros and ones of `like`'s type and C; a void pixel is zero in all classes."""
    classes = torch.arange(like.shape[1], device=target.device).view(1, -1, 1, 1)
    return (target.unsqueeze(1) == classes).to(like.dtype)


class CrossEntropy(Loss):
    """Cross-entropy: Σ w·(−log p) / Σ w over the valid pixels, p and w the probability and weight of the true class.

    Args:
        weight: (C,) weights, e.g. from `class_weights`; ``None`` = all 1.
        stride: see `Loss`.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | Sequence[float] | None = None, stride: int = 1) -> None:
        super().__init__(stride)
        values = None if weight is None else torch.as_tensor(weight, dtype=torch.float32)
        self.register_buffer("weight", values, persistent=False)

    def pixel_terms(self, logits: Tensor, target: Tensor) -> Terms:
        """Sum and normaliser over all valid pixels."""
        weight, pixel = self.pixel_weight(logits, target), self.pixel_loss(logits, target)
        return (pixel * weight).sum(), weight.sum()

    def pixel_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """(N, H, W) losses; on void pixels any number."""
        return F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")

    def pixel_weight(self, logits: Tensor, target: Tensor) -> Tensor:
        """(N, H, W) weights of `logits`' type, 0 on void pixels."""
        valid = (target != VOID).to(logits.dtype)
        if self.weight is None:
            return valid
        if len(self.weight) != logits.shape[1]:
            raise ValueError(f"{len(self.weight)} class weights for {logits.shape[1]} classes: give one for each class")
        known = target.clamp(max=logits.shape[1] - 1)  # void needs some class to look up; `valid` takes it out again
        return self.weight.to(logits.dtype)[known] * valid


class Focal(CrossEntropy):
    """Focal loss: cross-entropy that fades on pixels already right (Lin et al., Focal Loss for Dense Object Detection,
    2017).

    ``softmax``: α·(1 − p)^γ·(−log p) with p the softmax probability of the true class; γ = 0 is cross-entropy.
    ``sigmoid``: the detector's form, a yes/no question per class, summed over the classes:
    α_t·(1 − p_t)^γ·(−log p_t), with α_t = α for the true class and 1 − α for the others (both 1 when α is ``None``).
    Both are divided by the (weighted) number of valid pixels. Lin et al. divide the sigmoid form by the number of
    anchors that belong to an object; here every valid pixel belongs to one class. mmsegmentation, whose only focal loss
    it is, takes the mean over all pixels, void among them, and classes instead: C · pixels / valid pixels times less.
    Its cross-entropy counts void pixels too, so beside that only the C stays. The Cross-CBAM paper, which uses both,
    prints no divisor. With our sum the question about the true class weighs the same for 11 classes as for 19, and
    terms of ranks add up; whoever wants their mean in a recipe divides the term's factor by the number of classes.

    Args:
        gamma: focusing exponent γ ≥ 0.
        alpha: factor α, see above.
        weight: (C,) class weights; a pixel counts as much as its true class.
        form: ``"softmax"`` or ``"sigmoid"``.
        stride: see `Loss`.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | None = None,
        weight: Tensor | Sequence[float] | None = None,
        form: str = "softmax",
        stride: int = 1,
    ) -> None:
        super().__init__(weight, stride)
        if form not in ("softmax", "sigmoid"):
            raise ValueError(f"focal form {form!r}: choose 'softmax' or 'sigmoid'")
        if gamma < 0:
            raise ValueError(f"gamma {gamma}: give 0 or more")
        self.gamma, self.alpha, self.form = gamma, alpha, form

    def pixel_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """(N, H, W) losses; on void pixels any number."""
        if self.form == "softmax":
            pixel = self._fade(super().pixel_loss(logits, target))
            return pixel if self.alpha is None else self.alpha * pixel
        truth = _one_hot(target, logits)
        each = self._fade(F.binary_cross_entropy_with_logits(logits, truth, reduction="none"))
        if self.alpha is not None:
            each = each * (self.alpha * truth + (1 - self.alpha) * (1 - truth))
        return each.sum(1)

    def _fade(self, loss: Tensor) -> Tensor:
        """(1 − p)^γ · loss for loss = −log p; away from 1 − p = 0, where a γ below 1 has no slope."""
        return (-torch.expm1(-loss)).clamp(min=1e-12) ** self.gamma * loss


class Dice(Loss):
    """Soft Dice loss: mean over the classes present of 1 − (2·Σpt + s) / (Σp + Σt + s), p softmax, t truth (0 or 1).

    Sums run over the valid pixels of the batch. A class without a valid pixel in the target is left out: its overlap is
    0 whatever the network says. Dice is no sum over images: ranks (or accumulated steps) average their own values.

    Args:
        smooth: s, in pixels, added above and below: keeps the slope small for classes of a few pixels (1, as in V-Net's
            followers; Milletari et al., V-Net, 2016, has the loss itself with squares below).
        stride: see `Loss`.
    """

    def __init__(self, smooth: float = 1.0, stride: int = 1) -> None:
        super().__init__(stride)
        self.smooth = smooth

    def pixel_terms(self, logits: Tensor, target: Tensor) -> Terms:
        """Sum of 1 − dice over the classes present, and their number."""
        over = (0, 2, 3)  # all pixels of the batch
        prob = logits.softmax(1) * (target != VOID).unsqueeze(1)
        truth = _one_hot(target, logits)
        pixels = truth.sum(over)
        dice = (2 * (prob * truth).sum(over) + self.smooth) / (prob.sum(over) + pixels + self.smooth)
        present = (pixels > 0).to(logits.dtype)
        return ((1 - dice) * present).sum(), present.sum()


class OHEM(CrossEntropy):
    """Cross-entropy over the hard pixels: true-class probability below `threshold`, at least `keep` of every image.

    Where fewer are hard, the bar drops to the loss that `keep` of the image's valid pixels reach (Shrivastava et al.,
    Online Hard Example Mining, 2016; per pixel in BiSeNet and STDC). Published code sorts every loss; here the bar is
    read off an 8×8-strided sample of the pixels (1/64, at least about 1000) with two standard deviations of margin, so
    the share kept is `keep` or slightly more. The bar is set image by image: batches and ranks add up exactly.

    Args:
        threshold: probability below which a pixel is hard.
        keep: least share of each image's valid pixels.
        weight: (C,) class weights, for the sum; which pixels are hard is decided without them.
        stride: see `Loss`.
    """

    def __init__(
        self,
        threshold: float = 0.7,
        keep: float = 1 / 16,
        weight: Tensor | Sequence[float] | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__(weight, stride)
        if not 0 < threshold <= 1 or not 0 < keep <= 1:
            raise ValueError(f"threshold {threshold} and keep {keep}: give both above 0 and at most 1")
        self.threshold, self.keep = threshold, keep

    def pixel_terms(self, logits: Tensor, target: Tensor) -> Terms:
        """Sum and normaliser over the pixels kept."""
        pixel = self.pixel_loss(logits, target)
        weight = self.pixel_weight(logits, target) * self.kept(pixel.detach(), target)
        return (pixel * weight).sum(), weight.sum()

    def kept(self, pixel: Tensor, target: Tensor) -> Tensor:
        """(N, H, W) bool: the pixels that count, from their losses −log p (N, H, W)."""
        valid = target != VOID
        bar = self._bar(pixel.masked_fill(~valid, -1.0)).clamp(max=-math.log(self.threshold))
        return valid & (pixel >= bar[:, None, None])

    def _bar(self, pixel: Tensor) -> Tensor:
        """(N,) loss that about `keep` of each image's valid pixels reach; void pixels hold −1."""
        step = max(1, min(8, int((pixel[0].numel() / 1024) ** 0.5)))
        sample = pixel[:, step // 2 :: step, step // 2 :: step].flatten(1).sort(1, descending=True).values
        wanted = self.keep * (sample >= 0).sum(1)
        if step > 1:
            wanted = wanted + 2 * wanted.sqrt()
        place = (wanted.ceil().long() - 1).clamp(0, sample.shape[1] - 1)
        return sample.gather(1, place[:, None])[:, 0]


class Boundary(Loss):
    """Binary loss for an edge head: where do the labels change? Weighted cross-entropy + Dice, mean over the images.

    The head gives one logit per cell, (N, 1, h, w). A cell of stride × stride pixels is an edge if the labels in it or
    one pixel around it differ: both sides of a boundary, thin things included; neither void nor the image border makes
    an edge, and cells that are all void count nowhere.

    After STDC's detail loss (Fan et al., Rethinking BiSeNet for Real-time Semantic Segmentation, 2021, section 3.3),
    whose published targets find only the side with the higher class id, and take void and the image border for edges.

    Args:
        stride: cell size, the reduction of the head (STDC's sits at 1/8).
        pos_weight: weight of an edge cell in the cross-entropy; 4 evens out the 20 % edge cells of CamVid at stride 8.
    """

    def __init__(self, stride: int = 8, pos_weight: float = 4.0) -> None:
        super().__init__(stride)
        self.pos_weight = pos_weight

    def sized_terms(self, logits: Tensor, target: Tensor) -> Terms:
        """Sum over the images and their number; an image that is all void is none."""
        if logits.shape[1] != 1:
            raise ValueError(f"edge logits have {logits.shape[1]} channels: an edge head gives (N, 1, h, w)")
        edge, valid = edges(target, self.stride)
        if logits.shape[2:] != edge.shape[1:]:
            logits = resize(logits, edge.shape[1:])
        edge, valid, logits = edge.to(logits.dtype), valid.to(logits.dtype), logits[:, 0]
        pixel = F.binary_cross_entropy_with_logits(logits, edge, reduction="none")
        weight = valid * (1 + (self.pos_weight - 1) * edge)
        cross_entropy = (pixel * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
        prob = logits.sigmoid() * valid
        overlap = (2 * (prob * edge).sum((1, 2)) + 1) / (prob.sum((1, 2)) + edge.sum((1, 2)) + 1)
        seen = valid.amax((1, 2))
        return ((cross_entropy + (1 - overlap)) * seen).sum(), seen.sum()


def edges(target: Tensor, stride: int = 1) -> Terms:
    """Edge cells of labels (N, H, W) → (edge, valid), both (N, ⌈H/stride⌉, ⌈W/stride⌉) float32 zeros and ones.

    An edge cell has a valid pixel, and two valid pixels in it or one pixel around it differ: highest ≠ lowest label.
    """
    height, width = target.shape[1:]
    padded = F.pad(target.float()[:, None], (0, -width % stride, 0, -height % stride), value=VOID)
    void = padded == VOID
    # max_pool pads with −∞: the image border is no edge
    highest = F.max_pool2d(padded.masked_fill(void, -1), stride + 2, stride, padding=1)
    lowest = -F.max_pool2d(-padded.masked_fill(void, VOID), stride + 2, stride, padding=1)
    valid = F.max_pool2d((~void).float(), stride)
    return ((highest != lowest).float() * valid)[:, 0], valid[:, 0]


def class_weights(counts: np.ndarray | Tensor | Sequence[int], kind: str = "enet") -> Tensor:
    """Class weights from training pixel counts, for `CrossEntropy`, `Focal` and `OHEM`.

    Args:
        counts: (C,) valid pixels of each class, or (images, C) of each class in each image; void is not counted.
        kind: ``"enet"``: 1 / ln(1.1 + share), the bounded form that from-scratch CamVid recipes use (Paszke et al.,
            ENet, 2016, with 1.02). ``"median"``: median frequency / frequency, where a class's frequency is its share
            of the pixels of those images that hold it; needs (images, C) counts for that, else all pixels count (Eigen
            and Fergus, 2015; SegNet). A class without a pixel gets 1 there.

    Returns:
        (C,) float32.
    """
    table = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    pixels = table.sum(0)
    if not pixels.sum() > 0:
        raise ValueError("class weights of no pixel at all: give the training labels' counts")
    if kind == "enet":
        weight = 1 / np.log(1.1 + pixels / pixels.sum())
    elif kind == "median":
        holding = ((table > 0) * table.sum(1, keepdims=True)).sum(0)
        frequency = pixels / np.maximum(holding, 1)
        weight = np.where(pixels > 0, np.median(frequency[pixels > 0]) / np.maximum(frequency, 1e-12), 1.0)
    else:
        raise ValueError(f"class weights {kind!r}: choose 'enet' or 'median'")
    return torch.from_numpy(weight.astype(np.float32))


_LOSSES: dict[str, tuple[type[Loss], dict[str, Any]]] = {
    "ce": (CrossEntropy, {}),
    "ohem": (OHEM, {}),
    "focal": (Focal, {}),
    "sigmoid_focal": (Focal, {"form": "sigmoid", "alpha": 0.5}),  # with γ 2, mmsegmentation's own
    "dice": (Dice, {}),
}


def _parts(text: str, class_weights: Tensor | None, stride: int) -> list[tuple[float, Loss]]:
    """``"ohem + 0.5 dice"`` → ``[(1.0, OHEM), (0.5, Dice)]``, each taken at 1/stride of the label's size."""
    found = []
    for factor, name in loss_terms(text):
        kind, options = _LOSSES[name]
        weight = {"weight": class_weights} if issubclass(kind, CrossEntropy) else {}
        found.append((factor, kind(stride=stride, **weight, **options)))
    return found


class Distillation(nn.Module):
    """T² · KL(teacher ‖ student) of the softened distributions, a mean over the pixels that have a label.

    Args:
        temperature: T > 0; above 1 the teacher's small probabilities count for more.
        stride: at 1/stride of the label's size, see `Loss`.
        align_corners: how the student's logits are resized to it, see there.
    """

    def __init__(self, temperature: float = 1.0, stride: int = 1, align_corners: bool = False) -> None:
        super().__init__()
        self.temperature, self.stride, self.align_corners = temperature, stride, align_corners

    def terms(self, logits: Tensor, teacher: Tensor, target: Tensor) -> Terms:
        """Sum over the pixels, and their number.

        Args:
            logits: the student's, (N, C, h, w) at any resolution.
            teacher: the teacher's, (N, C, H, W).
            target: (N, H, W) class ids, void 255.
        """
        valid = subsample(target, self.stride) != VOID
        truth = subsample(teacher.flatten(0, 1), self.stride).unflatten(0, teacher.shape[:2]).float()
        student = resize(logits.float(), valid.shape[1:], align_corners=self.align_corners)
        truth, student = ((z / self.temperature).log_softmax(1) for z in (truth, student))
        pixel = F.kl_div(student, truth, reduction="none", log_target=True).sum(1)
        return self.temperature**2 * (pixel * valid).sum(), valid.sum()


def map_terms(student: Tensor, teacher: Tensor) -> Terms:
    """1 − cosine between two maps at every place: sum over the places, and their number.

    A direction and no length: how large the values of a map are is the business of the batch norms behind it.

    Args:
        student, teacher: (N, C, h, w).
    """
    cosine = F.cosine_similarity(student.float(), teacher.float(), dim=1)  # (N, h, w)
    return (1 - cosine).sum(), torch.full((), float(cosine.numel()), device=cosine.device)


class Objective(nn.Module):
    """Weighted sum of the losses of all heads.

    Args:
        recipe: names the losses, their weights and strides.
        class_weights: (C,) or None.
        align_corners: how the network resizes its logits, see `Loss`.
    """

    def __init__(self, recipe: Recipe, class_weights: Tensor | None = None, align_corners: bool = False) -> None:
        super().__init__()
        self.main = _parts(recipe.loss, class_weights, recipe.loss_stride)
        aux = _parts(recipe.aux_loss, class_weights, recipe.aux_stride)
        self.aux = [(factor * recipe.aux_weight, loss) for factor, loss in aux]
        self.parts = nn.ModuleList(loss for _, loss in (*self.main, *self.aux))  # so that .to() moves class weights
        for _, loss in (*self.main, *self.aux):
            loss.align_corners = align_corners
        self.boundary, self.boundary_weight = Boundary(), recipe.boundary_weight
        self.distillation = Distillation(recipe.temperature, recipe.loss_stride, align_corners)
        self.teacher_weight, self.teacher_maps_weight = recipe.teacher_weight, recipe.teacher_maps_weight

    def terms(self, outputs: dict[str, Any], target: Tensor) -> Terms:
        """Weighted sums and counts of all terms: the loss is Σ sum / count.

        Args:
            outputs: of a model in train mode, ``{"out": (N, C, h, w), "aux": [...], "boundary": ...}``; where the
                recipe has a teacher also ``"teacher"``, its logits (N, C, H, W), and for its maps ``"maps"`` and
                ``"teacher_maps"``.
            target: (N, H, W) class ids, void 255.

        Returns:
            two (T,) float32 tensors; those of several ranks add up, so that the loss is that of the whole batch.
        """
        calls = [(weight, loss, outputs["out"]) for weight, loss in self.main]
        calls += [(weight, loss, logits) for logits in outputs["aux"] for weight, loss in self.aux]
        if self.boundary_weight:
            calls.append((self.boundary_weight, self.boundary, outputs["boundary"]))
        terms = [(weight, *loss.terms(logits, target)) for weight, loss, logits in calls]
        if self.teacher_weight:
            told = self.distillation.terms(outputs["out"], outputs["teacher"], target)
            terms.append((self.teacher_weight, *told))
        if self.teacher_maps_weight:
            pairs = list(zip(outputs["maps"], outputs["teacher_maps"], strict=True))
            terms += [(self.teacher_maps_weight / len(pairs), *map_terms(own, its)) for own, its in pairs]
        sums = torch.stack([weight * total.float() for weight, total, _ in terms])
        return sums, torch.stack([count.float() for *_, count in terms])

    def forward(self, outputs: dict[str, Any], target: Tensor) -> Tensor:
        """The loss of one batch on one process."""
        sums, counts = self.terms(outputs, target)
        return (sums / counts.clamp(min=1)).sum()
