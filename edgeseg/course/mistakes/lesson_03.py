"""Known mistakes of lesson 03: convolutions and STDC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeseg.course.mistakes import Make


def _size(beyond: Callable[[int, int], int]) -> Make:
    """The size where the kernel may stand over the end by so much, from its width and the stride."""

    def make(_: Any) -> Any:
        def mistaken(size: int, kernel: int, stride: int, padding: int) -> int:
            return (size + 2 * padding - kernel + beyond(kernel, stride)) // stride + 1

        return mistaken

    return make


def _coarse_first(package: Any) -> Any:
    return type("Mistaken", (package,), {"forward": lambda block, x: package.forward(block, x)[::-1]})


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "03.1": {
        "the kernel's last place may hang over the end: the size is rounded up": _size(lambda k, s: s - 1),
        "a place counts wherever the kernel can begin, though it would end outside": _size(lambda k, s: k - 1),
    },
    "03.5": {"the maps come in reverse order, the coarse one first": _coarse_first},
}
