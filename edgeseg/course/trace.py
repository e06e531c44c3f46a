"""What a block computes, step by step: which operation, in which layer, from which line, and with which numbers.

Two blocks that were given the same weights and inputs are compared by their steps' numbers, not by their names, so that
a block may be written in another order and in another way. A step's result can be exchanged for another while a block
runs: what follows from it tells whether it was the wrong one, see `edgeseg.course.blame`.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_SILENT = {  # make or look at a tensor, or give it another shape or type: no step of its own
    *("__get__", "__set__", "size", "dim", "numel", "detach", "clone", "contiguous", "to", "type", "float", "double"),
    *("view", "reshape", "flatten", "unsqueeze", "squeeze", "expand", "expand_as", "requires_grad_", "item", "__len__"),
    *("tensor", "as_tensor", "from_numpy", "arange", "zeros", "ones", "full", "zeros_like", "ones_like", "full_like"),
    *("cpu", "numpy", "data", "movedim", "__iter__"),
}
_WITH_SETTINGS = (nn.AvgPool2d, nn.MaxPool2d, nn.BatchNorm2d)
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_NAMES = {"__radd__": "add", "__rmul__": "mul", "__rsub__": "rsub", "add_": "add", "mul_": "mul", "relu_": "relu"}


@dataclass(frozen=True)
class Line:
    """A line of code, by file (of a notebook: a cell) and number."""

    file: str
    number: int

    def __str__(self) -> str:
        return linecache.getline(self.file, self.number).strip()


@dataclass(frozen=True)
class Step:
    """One operation that gave a tensor of numbers.

    Args:
        operation: PyTorch's name, e.g. ``"conv2d"``, ``"cat"``.
        layer: dotted name of the module that it ran in; empty for the block itself.
        module: that module; ``None`` for the block itself.
        shape: of the result.
        sums: four sums that tell its numbers from others'.
        lines: of the learner's code, innermost first; none where it is not theirs.
        given: the sums of every tensor that went in.
        parents: places of the steps whose results went in.
        value: the result itself, where it was kept.
    """

    operation: str
    layer: str
    module: nn.Module | None
    shape: tuple[int, ...]
    sums: tuple[float, ...]
    lines: tuple[Line, ...] = ()
    given: tuple[tuple[float, ...], ...] = ()
    parents: tuple[int, ...] = ()
    value: Tensor | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        where = f" in {self.layer}" if self.layer else ""
        return f"{describe(self)}{where} → {self.shape}"


@dataclass(frozen=True)
class Trace:
    """What a call gave, and how.

    Args:
        result: of the call.
        steps: in their order.
        makers: of a tensor or array by its id: itself (an id holds while it is kept), and places of the steps.
    """

    result: Any
    steps: list[Step]
    makers: Mapping[int, tuple[Any, tuple[int, ...]]]

    def made(self, value: Any) -> tuple[int, ...]:
        """Places of the steps that a tensor or array of the result comes from; none where it is not known."""
        return self.makers[id(value)][1] if id(value) in self.makers else ()


def record(
    call: Callable[..., Any], inputs: Sequence[Any], keep: bool = False, exchanged: Mapping[int, Tensor] | None = None
) -> Trace:
    """Run a module or function on inputs.

    Args:
        call: the module or function.
        inputs: its arguments.
        keep: whether steps hold their results.
        exchanged: place of a step → what it shall give instead.
    """
    stack: list[tuple[str, nn.Module | None]] = [("", None)]
    with _named_layers(call, stack), _Recorder(stack, keep, exchanged or {}) as recorder:
        result = call(*inputs)
    return Trace(result, recorder.steps, recorder.makers)


def describe(step: Step) -> str:
    """An operation with what a reader would look up: ``"conv2d 3×3, dilation 2"``, ``"cat of 2 tensors"``."""
    m = step.module
    if isinstance(m, nn.Conv2d) and step.operation == "conv2d":
        return f"conv2d {conv_settings(m)}"
    if isinstance(m, _WITH_SETTINGS):
        return f"{step.operation} ({m.extra_repr()})"
    if step.operation in ("cat", "stack"):
        return f"{step.operation} of {len(step.given)} tensors"
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

    def __init__(self, stack: list[tuple[str, nn.Module | None]], keep: bool, exchanged: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.makers: dict[int, tuple[Any, tuple[int, ...]]] = {}
        self._stack, self._keep, self._exchanged = stack, keep, exchanged
        self._sums: dict[int, tuple[Tensor, int, tuple[float, ...]]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", str(func))
        given = list(_tensors([*args, *(kwargs or {}).values()]))
        fed = tuple(self._sums_of(t) for t in given) if name not in _SILENT else ()
        parents = tuple(dict.fromkeys(p for t in given if id(t) in self.makers for p in self.makers[id(t)][1]))
        result = func(*args, **(kwargs or {}))
        if name == "__iter__":
            result = list(result)
            for tensor in result:
                self.makers[id(tensor)] = (tensor, parents)
            return iter(result)
        if name == "__setitem__":
            self._add(name.strip("_"), args[0], fed, parents)
            self.makers[id(args[0])] = (args[0], (len(self.steps) - 1,))
            return result
        if isinstance(result, np.ndarray):
            self.makers[id(result)] = (result, parents)
        several = isinstance(result, (tuple, list))
        for tensor in list(_tensors(result if several else [result])):
            indices = several and not tensor.is_floating_point()  # that max gives with its values: no step of their own
            if name not in _SILENT and not indices:
                new = self._add(_NAMES.get(name, name.strip("_")), tensor, fed, parents, given)
                if new is not tensor:
                    result = type(result)([new if t is tensor else t for t in result]) if several else new
                tensor = new
            places = parents if name in _SILENT or indices else (len(self.steps) - 1,)
            self.makers[id(tensor)] = (tensor, places)
        return result

    def _add(
        self, operation: str, tensor: Tensor, fed: Any, parents: tuple[int, ...], given: Sequence[Tensor] = ()
    ) -> Tensor:
        """Keep a step; returns its result, or what stands in its place."""
        other = self._exchanged.get(len(self.steps))
        if other is not None:
            other = other.reshape(tensor.shape).to(tensor.dtype)
            if any(tensor is t for t in given):  # changed in place
                tensor.data.copy_(other)
            else:
                tensor = other
        lines = tuple(learners_lines(traceback.walk_stack(sys._getframe(2))))
        value = tensor.detach().clone() if self._keep else None
        sums = self._sums_of(tensor)
        self.steps.append(Step(operation, *self._stack[-1], tuple(tensor.shape), sums, lines, fed, parents, value))
        return tensor

    def _sums_of(self, tensor: Tensor) -> tuple[float, ...]:
        version = -1 if tensor.is_inference() else tensor._version
        found = self._sums.get(id(tensor))
        if found is None or found[1] != version or version < 0:
            found = self._sums[id(tensor)] = (tensor, version, _sums(tensor.detach()))
        return found[2]


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


def alike(these: Sequence[tuple[float, ...]], those: Sequence[tuple[float, ...]]) -> np.ndarray:
    """(n, m) bool: which results hold the same numbers, whatever their shape, by their sums."""
    a, b = (np.array(x, dtype=float).reshape(-1, 4) for x in (these, those))
    scale = 1e-6 * (1e-3 + np.minimum(a[:, None, 1], b[None, :, 1]))
    with np.errstate(invalid="ignore"):
        apart = np.abs(a[:, None] - b[None])
    same: np.ndarray = ((apart <= scale[..., None]) | (np.isnan(a)[:, None] & np.isnan(b)[None])).all(-1)
    return same


def learners_lines(frames: Iterable[tuple[FrameType, int]]) -> list[Line]:
    """The lines of code that belong neither to this package nor to any that is installed, nor to Python itself.

    Args:
        frames: with the number of their line, innermost first; those from which `record` was called are left out.
    """
    lines = []
    for frame, number in frames:
        owner = frame.f_globals.get("__name__", "")
        if owner == __name__ and frame.f_code.co_name == "record":
            break
        file = frame.f_code.co_filename
        if owner.partition(".")[0] != "edgeseg" and not file.startswith(
            (*_INSTALLED, "<frozen", "<__array_function__")
        ):
            lines.append(Line(file, number))
    return lines


def file_of(answer: Any) -> str:
    """The file (of a notebook: the cell) that an answer is written in; of a class without code its parent's."""
    of = answer.__mro__ if isinstance(answer, type) else ()
    found = [f for c in of if not c.__module__.startswith("torch.") for f in vars(c).values()] if of else [answer]
    code = [inspect.unwrap(f).__code__ for f in found if isinstance(f, FunctionType)]
    return code[0].co_filename if code else ""


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
