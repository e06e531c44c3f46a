"""Known mistakes of lesson 00: an image's way into a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.course.mistakes import Make


def _reshaped(to_tensor: Any) -> Any:
    def mistaken(image: Any, mean: Any, std: Any) -> Any:
        right = to_tensor(image, mean, std)
        return right.permute(0, 2, 3, 1).reshape(right.shape)

    return mistaken


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "00.1": {"the axes are reshaped and not permuted: neighbours of one row become colours": _reshaped},
}
