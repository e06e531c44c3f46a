"""What a runtime is: how it turns a graph into files, and files into something that runs.

What is tested is what ships: `Runtime.build` only writes files, and `Runtime.open` is the only way to run them.
`edgeseg.deploy.artefact` calls both, silences what libraries print meanwhile, and turns their errors into ours.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.text import Field, known_field, parse_fields

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")
DYNAMIC = ("batch", "size")
"""What of a graph's input may be left open: how many images, their height and width."""
Runner = Callable[[Tensor], Tensor]
_SILENCE = threading.RLock()
_THREADS = threading.RLock()  # of PyTorch's number of threads: a thread takes over the process's when it first asks


class DeployError(RuntimeError):
    """A graph that cannot be compiled, opened or run here; the message says why and what to do."""


@dataclass(frozen=True)
class Graph:
    """What a runtime is given to compile.

    Args:
        name: of the output, e.g. ``"logits"``.
        module: one tensor in, one tensor out, float32, in eval mode, on the CPU; must not be changed.
        example: an input of the shape that the graph will have: (N, 3, H, W) uint8 or float32.
        calibration: inputs like ``example`` from which int8 and fp8 take their ranges; empty for other precisions.
        about: what a reader of the file should know of input, output and classes, where a format has a place for it.
        dims: axes of the input that are left open → their ``torch.export.Dim``; the others are as ``example``'s.
    """

    name: str
    module: nn.Module
    example: Tensor
    calibration: Sequence[Tensor] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    dims: Mapping[int, Any] = field(default_factory=dict)


class Runtime(ABC):
    """One way to run a network.

    Attributes:
        name: of the runtime and of its module, e.g. ``"onnx"``.
        precisions: which of `PRECISIONS` it builds.
        suffix: of its files, e.g. ``".onnx"``.
        options: what `build` can be told, with types, ranges and defaults; anything else is refused.
        dynamic: which of `DYNAMIC` its graphs can leave open, by ``Graph.dims``.
        takes_batches: whether a graph can take more than one image.
        device: where its runners take and give tensors, ``"cpu"`` or ``"cuda"``.
        runs_in: where its files really run, if `open` only stands in for that: times taken here would be another's.
    """

    name: str
    precisions: tuple[str, ...]
    suffix: str
    options: Mapping[str, Field] = MappingProxyType({})
    dynamic: tuple[str, ...] = ()
    takes_batches: bool = True
    device: str = "cpu"
    runs_in: str = ""

    @abstractmethod
    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Why it cannot build (or, with ``building=False``, run) here, with the cure; ``None`` if it can."""

    def prepare(self) -> None:  # noqa: B027 (most need nothing)
        """Fetch what building needs from elsewhere, once and with progress; most runtimes need nothing."""

    @abstractmethod
    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Compile one graph into a file, and perhaps others beside it of the same stem.

        Args:
            graph: what to compile.
            path: the file to write, with `suffix`.
            precision: one of `precisions`.
            options: all of `options`, as `checked_options` gives them.

        Returns:
            JSON-able facts about the graph as it is, not as it was asked for: element types, engines, versions.
        """

    @abstractmethod
    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        """Load what `build` wrote.

        Args:
            path: the same as there.
            facts: what `build` returned.
            threads: for CPU runtimes; ``None``: the runtime's choice.

        Returns:
            A function from a tensor on `device` to a tensor on `device`, int32 or float32 as the graph gives it. Any
            number of threads may call it at once (on a GPU: on one CUDA stream), and no later call changes a result.
        """

    def check(self, precision: str, building: bool = True) -> None:
        """Refuse a precision that this runtime does not build, or cannot build (run) on this machine.

        Raises:
            DeployError: with the cure.
        """
        if precision not in self.precisions:
            raise DeployError(f"{self.name} has no {precision}; it builds {', '.join(self.precisions)}")
        if reason := self.why_not(precision, building):
            raise DeployError(f"{self.name} {precision} cannot run here: {reason}")

    def checked_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every option's value: the given one, else its default.

        Raises:
            DeployError: an option that this runtime does not have (lists the near ones), or a wrong value.
        """
        defaults = {name: option.default for name, option in self.options.items()}
        try:
            values = {
                name: known_field(name, self.options, self.name, "option").check(name, value)
                for name, value in given.items()
            }
        except ValueError as error:
            raise DeployError(f"{error}") from None
        return {**defaults, **values}

    def parse_options(self, texts: Iterable[str]) -> dict[str, Any]:
        """``["opset=18", "keep=head,context"]`` → ``{"opset": 18, "keep": ("head", "context")}``.

        Raises:
            DeployError: as `checked_options`, or a text without ``=``.
        """
        try:
            return parse_fields(texts, self.options, self.name, "option")
        except ValueError as error:
            raise DeployError(f"{error}") from None


def lacking(packages: Sequence[str], extra: str) -> str | None:
    """Which of these packages are not installed, with the pip line of the extra that brings them; else ``None``."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f'{", ".join(absent)} not installed: pip install "edgeseg[{extra}]"' if absent else None


def without_telemetry(module: str) -> Any:
    """Import a module of ONNX Runtime, OpenVINO or NNCF so that it reports to no one.

    As they come, all three look up hosts of their makers and leave an id in the user's home. ONNX Runtime reads the
    variable when it is loaded; the other two do without the package that reports where it cannot be imported.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module(module)


def one_at_a_time(run: Runner) -> Runner:
    """A runner for any number of threads out of one that keeps its buffers from call to call."""
    lock = threading.Lock()

    def locked(x: Tensor) -> Tensor:
        with lock:
            return run(x)

    return locked


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """So many of PyTorch's threads for a while; whoever wants another number waits, since it is the process's.

    Args:
        number: of threads; ``None``: as many as there are.
    """
    with _THREADS:
        before = torch.get_num_threads()
    if number is None or number == before:
        yield
        return
    with _THREADS:
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def with_threads(run: Runner, number: int | None) -> Runner:
    """A runner that uses so many of PyTorch's threads, see `torch_threads`."""

    def limited(x: Tensor) -> Tensor:
        with torch_threads(number):
            return run(x)

    return run if number is None else limited


@contextmanager
def silenced() -> Iterator[None]:
    """Swallow what libraries print, log and warn while they compile and open; exceptions go through.

    One thread at a time: what is silenced is the whole process, and PyTorch's reader of graphs is not re-entrant.
    """
    with _SILENCE:
        disabled = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(disabled)
