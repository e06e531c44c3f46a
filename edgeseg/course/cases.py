"""Ways to try an exercise: what an answer is made with, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edgeseg.course.comparing import short


@dataclass(frozen=True)
class Case:
    """One way to try an exercise, see `case`."""

    args: tuple[Any, ...] = ()
    inputs: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    method: str = "forward"

    def given(self, generator: torch.Generator) -> list[Any]:
        """What a block is called with, in float64."""
        return [_input(x, generator) for x in self.inputs or ()]

    def call(self) -> str:
        """In words."""
        given = [short(a) for a in self.args] + [f"{k}={short(v)}" for k, v in self.kwargs.items()]
        if self.inputs is None:
            return f"({', '.join(given)})"
        return f"({', '.join(given)}) on inputs {', '.join(map(short, self.inputs))}"

    def tried(self) -> str:
        """How a message about it begins."""
        return f"Tried with {self.call()}. "


def case(*args: Any, inputs: Sequence[Any] | None = None, method: str = "forward", **kwargs: Any) -> Case:
    """One way to try an exercise.

    Args:
        args, kwargs: of a function; or of a block's constructor.
        inputs: of a block: shapes, which become random tensors, or tensors.
        method: of a block that is called with them.
    """
    return Case(args, None if inputs is None else tuple(inputs), kwargs, method)


def _input(given: Any, generator: torch.Generator) -> Any:
    if isinstance(given, Tensor):
        return given.double() if given.is_floating_point() else given
    return torch.randn(tuple(given), dtype=torch.float64, generator=generator)
