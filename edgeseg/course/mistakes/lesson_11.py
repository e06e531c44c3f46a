"""Known mistakes of lesson 11: the backbone's enhancement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edgeseg.course.mistakes import Make


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


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "11.1": {
        "the strips' biases are left out": _fewer_biases(lambda c, n: 2 * n * c),
        "each pair of strips has one bias a channel and not two": _fewer_biases(lambda c, n: n * c),
        "all biases are left out": _fewer_biases(lambda c, n: (2 * n + 2) * c),
    },
    "11.2": {"what the 5×5 convolution gives is not added to what the strips give": _no_local_in_the_sum},
    "11.4": {"strips is not handed on: the attention is always serial": _always_serial},
}
