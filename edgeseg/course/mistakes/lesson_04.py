"""Known mistakes of lesson 04: what a context module sees and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from edgeseg.course.mistakes import Make


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


MISTAKES: Mapping[str, Mapping[str, Make]] = {
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
}
