"""Known mistakes of lesson 10: attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from edgeseg.course.mistakes import Make


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


MISTAKES: Mapping[str, Mapping[str, Make]] = {
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
}
