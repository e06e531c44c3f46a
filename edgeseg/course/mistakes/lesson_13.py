"""Known mistakes of lesson 13: Cityscapes and VOC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeseg.course.mistakes import Make
from edgeseg.metrics import VOID


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


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "13.1": {"background, which is void by then, is still in the last mean": _background_in_the_mean},
    "13.3": {
        "the share of right pixels is told, which is no mIoU": _of_frames(lambda n: np.trace(n.sum(0)) / n.sum()),
        "each frame has a mIoU of its own, and these are averaged": _of_frames(
            lambda n: np.mean([np.nanmean(_ious(one)) for one in n])
        ),
        "absent classes count as 0 in the mean": _of_frames(lambda n: np.nan_to_num(_ious(n.sum(0))).mean()),
    },
}
