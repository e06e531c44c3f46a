"""Known mistakes of lesson 07: losses and training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from edgeseg.course.mistakes import Make
from edgeseg.metrics import VOID


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


MISTAKES: Mapping[str, Mapping[str, Make]] = {
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
}
