"""Known mistakes of lesson 14: ablations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from edgeseg.course.mistakes import Make


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
