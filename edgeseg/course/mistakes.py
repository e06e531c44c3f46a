"""Mistakes that are known: each is computed, so that an answer which gives the same in all cases is told by its cause.

What a line-by-line comparison cannot see in an answer that is written another way, its results often show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.metrics import VOID

Make = Callable[[Any], Any]  # the package's function or class → one with the mistake in it
_HEAD = "Exactly this comes out if"


def told(exercise: str, package: Any, agrees: Callable[[Any], bool]) -> str:
    """What a wrong answer does, in words; empty where it computes what no known mistake does.

    Args:
        exercise: its number, ``"07.1"``.
        package: what the answer should compute like.
        agrees: whether the answer computes the same as a function or class, in all cases.
    """
    words = (text for text, make in MISTAKES.get(exercise, {}).items() if agrees(make(package)))
    return next((f"{_HEAD} {text}." for text in words), "")


# Lessons 01 to 03 -----------------------------------------------------------------------------------------------------


def _depth_from_zero(project: Any) -> Any:
    def mistaken(points: Any, camera: Any, size: tuple[int, int]) -> np.ndarray:
        x, y, z = np.asarray(points, dtype=float).T
        scale = camera.focal * size[0] / z
        u = camera.vanish * size[1] + scale * (x - camera.x)
        return np.stack([u, camera.horizon * size[0] + scale * (camera.height - y)], axis=1)

    return mistaken


def _unknown_stays(_: Any) -> Any:
    def mistaken(raw: np.ndarray, train_ids: Mapping[int, int]) -> np.ndarray:
        return np.vectorize(lambda v: train_ids.get(int(v), v))(raw).astype(np.uint8)

    return mistaken


def _written_into(_: Any) -> Any:
    def mistaken(raw: np.ndarray, train_ids: Mapping[int, int]) -> np.ndarray:
        for label_id, train_id in train_ids.items():
            raw[raw == label_id] = train_id
        return raw

    return mistaken


def _in_turn(_: Any) -> Any:
    def mistaken(raw: np.ndarray, train_ids: Mapping[int, int]) -> np.ndarray:
        known, found = np.isin(raw, list(train_ids)), raw.copy()
        for label_id, train_id in train_ids.items():
            found[found == label_id] = train_id
        found[~known] = VOID
        return found

    return mistaken


def _edge(*sides: int) -> Make:
    def make(_: Any) -> Any:
        def mistaken(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
            centre = [0 if side in sides else 1 for side in (0, 1)]
            at = [(2 * np.arange(n) + c) * old // (2 * n) for n, c, old in zip(size, centre, label.shape, strict=True)]
            return label[at[0][:, None], at[1]]

        return mistaken

    return make


def _label_painted_as_image(paint: Any) -> Any:
    def mistaken(quads: Any, camera: Any, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        image, label = paint(quads, camera, size)
        covered = (label != paint([], camera, size)[1]).any(2, keepdims=True)
        return image, np.where(covered, image, label)

    return mistaken


def _counted_once(confusion: Any) -> Any:
    return lambda pred, target, classes: (confusion(pred, target, classes) > 0).astype(int)


def _over(axis: int) -> Make:
    def make(_: Any) -> Any:
        def mistaken(matrix: np.ndarray) -> np.ndarray:
            below = matrix.sum(axis)
            return np.divide(np.diag(matrix), below, out=np.full(len(matrix), np.nan), where=below > 0)

        return mistaken

    return make


def _absent_as_zero(mean_iou: Any) -> Any:
    def mistaken(matrix: np.ndarray) -> tuple[float, list[int]]:
        mean, absent = mean_iou(matrix)
        return mean * (len(matrix) - len(absent)) / len(matrix), absent

    return mistaken


def _size(beyond: Callable[[int, int], int]) -> Make:
    """The size where the kernel may stand over the end by so much, from its width and the stride."""

    def make(_: Any) -> Any:
        def mistaken(size: int, kernel: int, stride: int, padding: int) -> int:
            return (size + 2 * padding - kernel + beyond(kernel, stride)) // stride + 1

        return mistaken

    return make


# Lessons 04 and 06 ----------------------------------------------------------------------------------------------------


def _offsets(taps: Callable[[int, int], Sequence[int]]) -> Make:
    def make(_: Any) -> Any:
        def mistaken(dilations: Sequence[int], kernel: int = 3) -> list[int]:
            return sorted({sum(steps) for steps in product(*(taps(d, kernel) for d in dilations))})

        return mistaken

    return make


def _summed(_: Any) -> Any:
    def mistaken(x: Tensor, squeeze: Any, excite: Any) -> Tensor:
        hidden = F.linear(x.sum((2, 3)), *squeeze).relu()
        return x * F.linear(hidden, *excite).sigmoid()[:, :, None, None]

    return mistaken


def _macs(down: Sequence[int] = (), columns: bool = True, all_groups: bool = True) -> Make:
    def make(_: Any) -> Any:
        def mistaken(inputs: int, outputs: int, kernel: int, size: Any, stride: int = 1, groups: int = 1) -> int:
            height, width = (n // stride if side in down else -(-n // stride) for side, n in enumerate(size))
            places = height * width if columns else height
            return places * kernel**2 * (inputs // groups) * (outputs if all_groups else outputs // groups)

        return mistaken

    return make


def _one_step_only(coarse: int, fine: int) -> Make:
    return lambda _: lambda height, width: all(2 * -(-n // coarse) == -(-n // fine) for n in (height, width))


def _fewer(count: Callable[[int], int]) -> Make:
    return lambda right: lambda channels=256, classes=19: right(channels, classes) - count(classes)


# Lessons 07 and 08 ----------------------------------------------------------------------------------------------------


def _loss(terms: Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Make:
    """A loss with other `pixel_terms`."""

    def make(package: Any) -> Any:
        return type("Mistaken", (package,), {"pixel_terms": terms})

    return make


def _void_is_last(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return super(type(loss), loss).pixel_terms(logits, target.clamp(max=logits.shape[1] - 1))


def _pixels_counted(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    total, _ = super(type(loss), loss).pixel_terms(logits, target)
    return total, (target != VOID).to(total.dtype).sum()


def _void_in_the_sum(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    total, _ = super(type(loss), loss).pixel_terms(logits, target.masked_fill(target == VOID, 0))
    return total, (target != VOID).to(total.dtype).sum()


def _fading_alone(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    valid = target != VOID
    p = logits.softmax(1).movedim(1, -1)[valid].gather(1, target[valid][:, None])
    return ((1 - p) ** loss.gamma).sum(), valid.to(p.dtype).sum()


def _dice(void_in_p: bool = False, smooth_below: bool = True) -> Make:
    def terms(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        ids, over = torch.arange(logits.shape[1]).view(1, -1, 1, 1), (0, 2, 3)
        p, t = logits.softmax(1), (target[:, None] == ids).to(logits.dtype)
        p = p if void_in_p else p * (target != VOID)[:, None]
        below = p.sum(over) + t.sum(over) + loss.smooth * smooth_below
        present = t.sum(over) > 0
        overlap = (2 * (p * t).sum(over) + loss.smooth) / below
        return (1 - overlap)[present].sum(), present.to(p.dtype).sum()

    return _loss(terms)


def _bar(values: Tensor, share: float, limit: float) -> Tensor:
    """The loss from which on a pixel counts, of an image's valid losses (M,)."""
    return values.topk(max(1, math.ceil(share))).values[-1].clamp(max=limit)


def _ohem(kept: Callable[[Any, Tensor, Tensor], Tensor]) -> Make:
    """Another choice of an image's pixels, from its losses (H, W) and where they are valid."""

    def of_all(loss: Any, pixel: Tensor, target: Tensor) -> Tensor:
        pairs = zip(pixel, target != VOID, strict=True)
        return torch.stack([valid & kept(loss, one, valid) if valid.any() else valid for one, valid in pairs])

    return lambda package: type("Mistaken", (package,), {"kept": of_all})


def _limit(loss: Any) -> float:
    return -math.log(loss.threshold)


def _smallest(loss: Any, pixel: Tensor, valid: Tensor) -> Tensor:
    hard, k = pixel >= _limit(loss), math.ceil(loss.keep * int(valid.sum()))
    return hard if (hard & valid).sum() >= k else pixel >= pixel[valid].kthvalue(k).values


def _rate(poly: Callable[[float, float], float] | None = None, lowest: float = 1) -> Make:
    def make(_: Any) -> Any:
        def mistaken(recipe: Any, step: int, progress: float) -> float:
            t = min(1.0, progress)
            shape = (1 + math.cos(math.pi * t)) / 2
            if recipe.schedule == "poly":
                shape = poly(t, recipe.power) if poly else (1 - t) ** recipe.power
            rate = recipe.min_lr + shape * (recipe.lr - lowest * recipe.min_lr)
            return float(rate * min(1.0, (step + 1) / max(recipe.warmup, 1)))

        return mistaken

    return make


def _the_models_own(ema_update: Any) -> Any:
    def mistaken(average: Any, model: Any, step: int, decay: float) -> Any:
        ema_update(average, model, step, decay)
        return model.state_dict()

    return mistaken


def _no_warm_up(ema_update: Any) -> Any:
    return lambda average, model, step, decay: ema_update(average, model, 10**9, decay)


def _steps_for_epochs(_: Any) -> Any:
    def mistaken(lines: Sequence[str]) -> dict[str, tuple[float, float]]:
        scores = [(row["step"], row["miou"]) for row in map(json.loads, lines) if "miou" in row]
        return {"last": scores[-1], "best": max(scores, key=lambda score: score[1])}

    return mistaken


def _flipped(way_there: tuple[int, ...], way_back: tuple[int, ...]) -> Make:
    def make(_: Any) -> Any:
        def mistaken(logits: Any, image: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(image).permute(2, 0, 1)[None]
            both = logits(x).softmax(1) + logits(x.flip(way_there)).softmax(1).flip(way_back)
            return both.argmax(1)[0].to(torch.uint8).numpy()

        return mistaken

    return make


# Lessons 10 and 11 ----------------------------------------------------------------------------------------------------


def _one_gate(rows: bool) -> Make:
    def forward(block: Any, x: Tensor) -> Tensor:
        hidden = block.squeeze(torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], dim=2))
        own, other = hidden.split(x.shape[2:], dim=2)
        if rows:
            return x * block.excite_rows(own).sigmoid()
        return x * block.excite_columns(other).sigmoid().transpose(2, 3)

    return lambda package: type("Mistaken", (package,), {"forward": forward})


def _aam_operations(places: Callable[[int, int], int]) -> Make:
    """From the places at which the two last convolutions are computed."""
    return lambda _: lambda c, height, width: c * max(4, c // 8) * (height + width + places(height, width))


def _fewer_biases(of: Callable[[int, int], int]) -> Make:
    """So many parameters too few, from the channels and the number of lengths."""

    def make(count: Any) -> Any:
        def mistaken(channels: int, lengths: Sequence[int] = (7, 11, 21)) -> int:
            return count(channels, lengths) - of(channels, len(lengths))

        return mistaken

    return make


def _no_local_in_the_sum(package: Any) -> Any:
    def forward(block: Any, x: Tensor) -> Tensor:
        seen = block.local(x) if block.serial else x
        total = torch.stack([strip(seen) for strip in block.strips]).sum(0)
        return block.mix(total) * x

    return type("Mistaken", (package,), {"forward": forward})


def _always_serial(package: Any) -> Any:
    def init(block: Any, channels: int, strips: str = "serial") -> None:
        package.__init__(block, channels)

    return type("Mistaken", (package,), {"__init__": init})


# Lessons 13 and 14 ----------------------------------------------------------------------------------------------------


def _ious(matrix: np.ndarray) -> np.ndarray:
    """(C,), NaN for an absent class."""
    right = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - right
    return np.where(union > 0, right / np.maximum(union, 1), np.nan)


def _background_in_the_mean(three_means: Any) -> Any:
    def mistaken(matrix: np.ndarray) -> tuple[float, float, float]:
        valid = matrix.copy()
        valid[-1] = 0
        return *three_means(matrix)[:2], float(np.nanmean(_ious(valid)))

    return mistaken


def _of_frames(mean: Callable[[np.ndarray], float]) -> Make:
    """Another mean of the frames' counts (N, C, C)."""

    def make(_: Any) -> Any:
        def mistaken(predict: Any, frames: Any, classes: int) -> float:
            counts = np.zeros((len(frames), classes, classes), np.int64)
            for own, (image, label) in zip(counts, frames, strict=True):
                valid = label != VOID
                np.add.at(own, (label[valid], predict(image)[valid]), 1)
            return float(mean(counts))

        return mistaken

    return make


def _effect(scaled: Callable[[float, int], float]) -> Make:
    """Another error than the mean's, from that and the number of seeds."""

    def make(effect: Any) -> Any:
        def mistaken(log: Any, row: str, against: str) -> tuple[float, float, int]:
            mean, error, seeds = effect(log, row, against)
            return mean, scaled(error, seeds), seeds

        return mistaken

    return make


def _differences(of: Callable[[float, float], float], paired: bool) -> Make:
    def make(_: Any) -> Any:
        def mistaken(log: Any, row: str, against: str) -> tuple[float, float, int]:
            own, other = ([x for x in log if x["variant"] == name] for name in (row, against))
            pairs = [(a, b) for a, b in product(own, other) if not paired or a["seed"] == b["seed"]]
            d = [of(a["miou"], b["miou"]) for a, b in pairs]
            return float(np.mean(d)), float(np.std(d, ddof=1)) / math.sqrt(len(d)), len(d)

        return mistaken

    return make


def _holm(factor: Callable[[int, int], int]) -> Make:
    """Each p times a factor of the number of claims and its rank, by itself."""

    def make(_: Any) -> Any:
        def mistaken(p: Sequence[float]) -> list[float]:
            ranks = np.argsort(np.argsort(p))
            return [min(1.0, one * factor(len(p), int(rank))) for one, rank in zip(p, ranks, strict=True)]

        return mistaken

    return make


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "01.1": {"depth is measured from the world's zero and not from the camera": _depth_from_zero},
    "01.2": {"the label is painted in the image's colours": _label_painted_as_image},
    "01.4": {
        "a value without a train id keeps its own number instead of becoming void": _unknown_stays,
        "the raw map itself is written to: what has no train id stays, and what was exchanged is read again": (
            _written_into
        ),
        "one exchange reads what an earlier one has written: compare with the raw ids": _in_turn,
    },
    "01.5": {
        "the corner of each new pixel is looked up and not its centre": _edge(0, 1),
        "the upper edge of each new pixel is looked up and not its centre": _edge(0),
        "the left edge of each new pixel is looked up and not its centre": _edge(1),
    },
    "02.1": {"a pair of classes counts once, however many pixels have it": _counted_once},
    "02.3": {
        "a class's right pixels are divided by its true pixels alone, which is recall": _over(1),
        "a class's right pixels are divided by its predicted pixels alone, which is precision": _over(0),
    },
    "02.4": {"absent classes count as 0 in the mean": _absent_as_zero},
    "03.1": {
        "the kernel's last place may hang over the end: the size is rounded up": _size(lambda k, s: s - 1),
        "a place counts wherever the kernel can begin, though it would end outside": _size(lambda k, s: k - 1),
    },
    "04.1": {
        "a kernel begins at its cell and does not lie around it": _offsets(lambda d, k: [d * i for i in range(k)]),
        "a dilated kernel sees every place in between, too": _offsets(
            lambda d, k: range(-d * (k // 2), d * (k // 2) + 1)
        ),
    },
    "04.3": {"the squeeze is a sum and not a mean": _summed},
    "04.5": {
        "the size is rounded down where the stride does not divide it": _macs(down=(0, 1)),
        "the height is rounded down where the stride does not divide it": _macs(down=(0,)),
        "the width is rounded down where the stride does not divide it": _macs(down=(1,)),
        "one group is counted and not all of them": _macs(all_groups=False),
        "the places along one side are counted and not those along the other": _macs(columns=False),
    },
    "06.1": {
        "only the first step is looked at, from 1/32 to 1/16": _one_step_only(32, 16),
        "only the last step is looked at, from 1/16 to 1/8": _one_step_only(16, 8),
    },
    "06.4": {
        "batch normalisation has one parameter a channel and not two": _fewer(lambda classes: 64),
        "batch normalisation is left out": _fewer(lambda classes: 128),
        "one classifier has no bias": _fewer(lambda classes: classes),
        "no classifier has a bias": _fewer(lambda classes: 2 * classes),
    },
    "06.5": {
        "the time that is saved is told and not the speed that is gained": lambda _: lambda a, b: 100 * (1 - b / a),
        "the speed is told as percent of the other and not what is gained": lambda _: lambda a, b: 100 * a / b,
    },
    "07.1": {
        "void pixels count, as pixels of the last class": _loss(_void_is_last),
        "void pixels count, as pixels of class 0": _loss(
            lambda loss, logits, target: _void_is_last(loss, logits, target.masked_fill(target == VOID, 0))
        ),
        "the sum is divided by the number of pixels and not by the sum of their weights": _loss(_pixels_counted),
    },
    "07.2": {
        "void pixels are in the sum": _loss(_void_in_the_sum),
        "the fading (1 - p)^γ stands alone, without -log p": _loss(_fading_alone),
    },
    "07.3": {
        "the probabilities of void pixels are in the sum of p": _dice(void_in_p=True),
        "smooth is added above and not below": _dice(smooth_below=False),
    },
    "07.4": {
        "the number of pixels kept is rounded down": _ohem(
            lambda loss, x, valid: x >= _bar(x[valid], math.floor(loss.keep * int(valid.sum())), _limit(loss))
        ),
        "the higher of the two bars decides": _ohem(
            lambda loss, x, valid: x >= _bar(x[valid], loss.keep * int(valid.sum()), 1e9).clamp(min=_limit(loss))
        ),
        "losses are compared with the threshold itself: it is a probability, -log makes it a loss": _ohem(
            lambda loss, x, valid: x >= _bar(x[valid], loss.keep * int(valid.sum()), loss.threshold)
        ),
        "the threshold becomes a loss by exp(-threshold): it takes -log": _ohem(
            lambda loss, x, valid: x >= _bar(x[valid], loss.keep * int(valid.sum()), math.exp(-loss.threshold))
        ),
        "a pixel at the bar itself is left out": _ohem(
            lambda loss, x, valid: x > _bar(x[valid], loss.keep * int(valid.sum()), _limit(loss))
        ),
        "keep is a share of all pixels, void ones too": _ohem(
            lambda loss, x, valid: x >= _bar(x[valid], loss.keep * valid.numel(), _limit(loss))
        ),
        "the bar is the k-th smallest loss and not the k-th largest": _ohem(_smallest),
        "one pixel too many is kept: the bar is the loss of place k + 1": _ohem(
            lambda loss, x, valid: x >= _bar(x[valid], 1 + math.ceil(loss.keep * int(valid.sum())), _limit(loss))
        ),
    },
    "07.5": {
        "min_lr is added on top: the rate begins above lr": _rate(lowest=0),
        "the power is of the progress and not of what is left of it": _rate(lambda t, power: 1 - t**power),
    },
    "07.6": {
        "the model's own numbers are given back and not the average's": _the_models_own,
        "the average begins at the full decay and does not warm up": _no_warm_up,
    },
    "08.1": {"steps are told and not epochs": _steps_for_epochs},
    "08.4": {
        "the second part runs for all steps and not for those that are left": lambda whole: (
            lambda seed, kill_at, steps: whole(seed, kill_at, kill_at + steps)
        )
    },
    "08.5": {
        "the mirrored answer is not mirrored back": _flipped((3,), ()),
        "the image is turned upside down and not left to right": _flipped((2,), (2,)),
    },
    "10.3": {
        "only the rows' gate is applied": _one_gate(rows=True),
        "only the columns' gate is applied": _one_gate(rows=False),
    },
    "10.4": {
        "the width is counted for both gates": _aam_operations(lambda height, width: 2 * width),
        "the height is counted for both gates": _aam_operations(lambda height, width: 2 * height),
        "only one of the two gates' convolutions is counted, over its rows": _aam_operations(lambda height, _: height),
        "the gates' convolutions are left out": _aam_operations(lambda *_: 0),
    },
    "11.1": {
        "the strips' biases are left out": _fewer_biases(lambda c, n: 2 * n * c),
        "each pair of strips has one bias a channel and not two": _fewer_biases(lambda c, n: n * c),
        "all biases are left out": _fewer_biases(lambda c, n: (2 * n + 2) * c),
    },
    "11.2": {"what the 5×5 convolution gives is not added to what the strips give": _no_local_in_the_sum},
    "11.4": {"strips is not handed on: the attention is always serial": _always_serial},
    "13.1": {"background, which is void by then, is still in the last mean": _background_in_the_mean},
    "13.3": {
        "the share of right pixels is told, which is no mIoU": _of_frames(lambda n: np.trace(n.sum(0)) / n.sum()),
        "each frame has a mIoU of its own, and these are averaged": _of_frames(
            lambda n: np.mean([np.nanmean(_ious(one)) for one in n])
        ),
        "absent classes count as 0 in the mean": _of_frames(lambda n: np.nan_to_num(_ious(n.sum(0))).mean()),
    },
    "14.1": {
        "the spread of a single seed is told and not the error of the mean": _effect(lambda e, n: e * math.sqrt(n)),
        "the spread is divided by the number of seeds and not by its root": _effect(lambda e, n: e / math.sqrt(n)),
        "every run is set against every other one, whatever its seed": _differences(lambda a, b: a - b, paired=False),
        "differences are told as shares of the other score and not in points": _differences(
            lambda a, b: a / b - 1, paired=True
        ),
    },
    "14.2": {
        "1.96 of the normal distribution stands for Student's t, which is larger for few seeds": lambda _: (
            lambda spread, gain, *_: max(3, math.ceil((1.96 * spread / gain) ** 2))
        )
    },
    "14.5": {
        "a p is not raised to those before it": _holm(lambda claims, rank: claims - rank),
        "each p is multiplied by the number of all claims, as Bonferroni does": _holm(lambda claims, rank: claims),
    },
}
