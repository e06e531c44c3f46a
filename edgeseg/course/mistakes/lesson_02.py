"""Known mistakes of lesson 02: scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeseg.course.mistakes import Make


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


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "02.1": {"a pair of classes counts once, however many pixels have it": _counted_once},
    "02.3": {
        "a class's right pixels are divided by its true pixels alone, which is recall": _over(1),
        "a class's right pixels are divided by its predicted pixels alone, which is precision": _over(0),
    },
    "02.4": {"absent classes count as 0 in the mean": _absent_as_zero},
}
