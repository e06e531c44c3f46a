"""Known mistakes of lesson 13: Cityscapes and VOC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeseg.course.lessons.lesson_02 import confusion, iou_per_class
from edgeseg.course.mistakes import Make


def _background_in_the_mean(three_means: Any) -> Any:
    def mistaken(matrix: np.ndarray) -> tuple[float, float, float]:
        valid = matrix.copy()
        valid[-1] = 0
        return *three_means(matrix)[:2], float(np.nanmean(iou_per_class(valid)))

    return mistaken


def _of_frames(mean: Callable[[np.ndarray], float]) -> Make:
    """Another mean of the frames' counts (N, C, C)."""

    def make(_: Any) -> Any:
        def mistaken(predict: Any, frames: Any, classes: int) -> float:
            return float(mean(np.stack([confusion(predict(image), label, classes) for image, label in frames])))

        return mistaken

    return make


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "13.1": {"background, which is void by then, is still in the last mean": _background_in_the_mean},
    "13.3": {
        "the share of right pixels is told, which is no mIoU": _of_frames(lambda n: np.trace(n.sum(0)) / n.sum()),
        "each frame has a mIoU of its own, and these are averaged": _of_frames(
            lambda n: np.mean([np.nanmean(iou_per_class(one)) for one in n])
        ),
        "absent classes count as 0 in the mean": _of_frames(lambda n: np.nan_to_num(iou_per_class(n.sum(0))).mean()),
    },
}
