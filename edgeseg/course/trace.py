"""What a block computes, step by step: which operation, in which layer, from which line, and with which numbers.

Two blocks that were given the same weights and inputs are compared by their steps' numbers, not by their names, so that
a block may be written in another order and still be followed up to the step where it goes its own way.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_SILENT = {  # make or look at a tensor, or give it another shape or type: no step of its own
    *("__get__", "__set__", "size", "dim", "numel", "detach", "clone", "contiguous", "to", "type", "float", "double"),
    *("view", "reshape", "flatten", "unsqueeze", "squeeze", "expand", "expand_as", "requires_grad_", "item", "__len__"),
    *("tensor", "as_tensor", "from_numpy", "arange", "zeros", "ones", "full", "zeros_like", "ones_like"),
}
_WITH_SETTINGS = (nn.AvgPool2d, nn.MaxPool2d, nn.BatchNorm2d)
_NAMES = {"__radd__": "add", "__rmul__": "mul", "__rsub__": "rsub", "add_": "add", "mul_": "mul", "relu_": "relu"}


@dataclass(frozen=True)
class Step:
    """One operation that gave a tensor of numbers.

    Args:
        operation: PyTorch's name, e.g. ``"conv2d"``, ``"cat"``.
        layer: dotted name of the module that it ran in; empty for the block itself.
        module: that module; ``None`` for the block itself.
        shape: of the result.
        sums: four sums that tell its numbers from others'.
        line: of the learner's code; empty where it is not theirs.
        caller: the outermost such line, from which the layer was called.
        inputs: how many tensors went in.
        parents: places of the steps whose results went in.
    """

    operation: str
    layer: str
    module: nn.Module | None
    shape: tuple[int, ...]
    sums: tuple[float, ...]
    line: str = ""
    caller: str = ""
    inputs: int = 1
    parents: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" in {self.layer}" if self.layer else ""
        return f"{describe(self)}{where} → {self.shape}"

    def same_numbers(self, other: Step) -> bool:
        """Whether both results hold the same numbers, whatever their shape."""
        scale = 1e-6 * (1 + abs(self.sums[1]))
        return all(abs(a - b) <= scale for a, b in zip(self.sums, other.sums, strict=True))


def record(call: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Any, list[Step]]:
    """Run a module or function on inputs; returns its result and its steps."""
    stack: list[tuple[str, nn.Module | None]] = [("", None)]
    with _named_layers(call, stack), _Recorder(stack) as recorder:
        result = call(*inputs)
    return result, recorder.steps


def first_difference(mine: Sequence[Step], package: Sequence[Step]) -> tuple[int, Step | None, Step | None]:
    """How many of my steps give numbers that the package has too, my first that does not, and its first that I lack.

    A step of other numbers is excused if numbers that the package has follow from it: it is only written differently.
    """
    known = [any(m.same_numbers(p) for p in package) for m in mine]
    found = [any(p.same_numbers(m) for m in mine) for p in package]
    return sum(known), _first_without_excuse(mine, known), _first_without_excuse(package, found)


def _first_without_excuse(steps: Sequence[Step], known: Sequence[bool]) -> Step | None:
    excused = list(known)
    for i in reversed(range(len(steps))):
        if excused[i]:
            for parent in steps[i].parents:
                excused[parent] = True
    return next((s for s, fine in zip(steps, excused, strict=True) if not fine), None)


def describe(step: Step) -> str:
    """An operation with what a reader would look up: ``"conv2d 3×3, dilation 2"``, ``"cat of 2 tensors"``."""
    m = step.module
    if isinstance(m, nn.Conv2d) and step.operation == "conv2d":
        return f"conv2d {conv_settings(m)}"
    if isinstance(m, _WITH_SETTINGS):
        return f"{step.operation} ({m.extra_repr()})"
    if step.operation in ("cat", "stack"):
        return f"{step.operation} of {step.inputs} tensors"
    return step.operation


def conv_settings(conv: nn.Conv1d | nn.Conv2d) -> str:
    """What a convolution is set to, without what is as usual: ``"3×3, 64→32, stride 2, no bias"``."""
    k, s, d = conv.kernel_size, conv.stride, conv.dilation
    parts = ["×".join(map(str, k)), f"{conv.in_channels}→{conv.out_channels}"]
    parts += [f"stride {s[0]}"] if set(s) != {1} else []
    parts += [f"dilation {d[0]}"] if set(d) != {1} else []
    parts += [f"{conv.groups} groups"] if conv.groups > 1 else []
    parts += ["bias" if conv.bias is not None else "no bias"]
    return ", ".join(parts)


class _Recorder(TorchFunctionMode):
    """Keeps a `Step` for every call that reaches PyTorch."""

    def __init__(self, stack: list[tuple[str, nn.Module | None]]) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._stack = stack
        self._makers: dict[int, tuple[Tensor, tuple[int, ...]]] = {}  # by id, which holds while the tensor is kept

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", str(func))
        given = list(_tensors([*args, *(kwargs or {}).values()]))
        parents = tuple(p for t in given if id(t) in self._makers for p in self._makers[id(t)][1])
        several = isinstance(result, (tuple, list))
        for tensor in _tensors(result if several else [result]):
            indices = several and not tensor.is_floating_point()  # that max gives with its values: no step of their own
            if name not in _SILENT and not indices:
                self._add(_NAMES.get(name, name.strip("_")), tensor, len(given), parents)
            places = parents if name in _SILENT else (len(self.steps) - 1,)
            self._makers[id(tensor)] = (tensor, places)
        return result

    def _add(self, operation: str, tensor: Tensor, inputs: int, parents: tuple[int, ...]) -> None:
        lines = learners_lines(traceback.walk_stack(sys._getframe(2))) or [""]
        shape, sums = tuple(tensor.shape), _sums(tensor.detach())
        self.steps.append(Step(operation, *self._stack[-1], shape, sums, lines[0], lines[-1], inputs, parents))


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)


def _sums(tensor: Tensor) -> tuple[float, ...]:
    if tensor.is_meta:
        return 0.0, 0.0, 0.0, float(tensor.numel())
    values = tensor.double().flatten()
    places = torch.cos(torch.arange(values.numel(), dtype=torch.float64) * 0.7391)  # no two places weigh the same
    return float(values.sum()), float(values.abs().sum()), float((values * places).sum()), float(values.numel())


def learners_lines(frames: Iterable[tuple[FrameType, int]]) -> list[str]:
    """The lines of code that belong neither to PyTorch nor to this package.

    Args:
        frames: with the number of their line, innermost first; those from which `record` was called are left out.
    """
    lines = []
    for frame, number in frames:
        owner = frame.f_globals.get("__name__", "")
        if owner == __name__ and frame.f_code.co_name == "record":
            break
        if owner.partition(".")[0] not in ("torch", "edgeseg", "contextlib"):
            lines.append(linecache.getline(frame.f_code.co_filename, number).strip())
    return lines


@contextmanager
def _named_layers(call: Any, stack: list[tuple[str, nn.Module | None]]) -> Iterator[None]:
    """While this is open, the stack's top is the layer that runs."""

    def leave(*_: Any) -> None:  # returns nothing: what a hook returns takes the output's place
        stack.pop()

    block = getattr(call, "__self__", call)  # of a bound method
    handles = []
    for name, module in block.named_modules() if isinstance(block, nn.Module) else ():
        if name:
            handles.append(module.register_forward_pre_hook(lambda m, _, name=name: stack.append((name, m))))
            handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
