"""What a runtime is: how it turns a graph into files, and files into something that runs.

Every other module beside this one holds a runtime: a subclass of `Runtime`. What is tested is
what ships: `build` only writes files, and `open` is the only way to run them.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from edgeseg.text import Field, known_field, parse_fields

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")
Runner = Callable[[Tensor], Tensor]
OPENING = threading.Lock()
"""Held while files are opened: PyTorch's reader is not re-entrant, and what is silenced is the whole process."""


class DeployError(RuntimeError):
    """A graph that cannot be compiled, opened or run here; the message says why and what to do."""


def one_at_a_time(run: Runner) -> Runner:
    """A runner for any number of threads out of one that keeps its buffers from call to call."""
    lock = threading.Lock()

    def locked(x: Tensor) -> Tensor:
        with lock:
            return run(x)

    return locked


class Runtime(ABC):
    """One way to run a network.

    Attributes:
        name: e.g. ``"onnx"``.
        precisions: which of `PRECISIONS` it builds.
        options: what `build` can be told, with types, ranges and defaults; anything else is refused.
        device: where its runners take and give tensors, ``"cpu"`` or ``"cuda"``.
    """

    name: str
    precisions: tuple[str, ...]
    options: Mapping[str, Field] = MappingProxyType({})
    device: str = "cpu"

    @abstractmethod
    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Why it cannot build (or, with ``building=False``, run) here, with the cure; ``None`` if it can."""

    @abstractmethod
    def build(
        self,
        module: nn.Module,
        example: Tensor,
        stem: Path,
        precision: str,
        calibration: Sequence[Tensor] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Compile one graph into the files ``stem.*``.

        Args:
            module: one tensor in, one tensor out, float32, in eval mode, on the CPU; must not be changed.
            example: an input of the static shape that the graph will have: (N, 3, H, W) uint8 or float32.
            stem: path without suffix.
            precision: one of `precisions`.
            calibration: inputs like ``example`` from which int8 takes its ranges.
            options: all of `options`, defaults filled in.

        Returns:
            JSON-able facts about the graph as it is, not as it was asked for: element types, engines, versions.
        """

    @abstractmethod
    def open(self, stem: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        """Load the files ``stem.*``.

        Args:
            stem: path without suffix.
            facts: what `build` returned.
            threads: for CPU runtimes; ``None``: the runtime's choice.

        Returns:
            A function from a tensor on `device` to a tensor on `device`, int32 or float32 as the graph gives it. Any
            number of threads may call it at once (on a GPU: on one CUDA stream), and no later call changes a result.
        """

    def checked_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every option's value: the given one, else its default.

        Raises:
            DeployError: an option that this runtime does not have (lists the near ones), or a wrong value.
        """
        defaults = {name: option.default for name, option in self.options.items()}
        try:
            values = {
                name: known_field(name, self.options, self.name, "option").check(name, v) for name, v in given.items()
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

    def check(self, precision: str, building: bool = True) -> None:
        """Refuse a precision that this runtime does not build, or cannot build (run) on this machine.

        Raises:
            DeployError: with the cure.
        """
        if precision not in self.precisions:
            raise DeployError(f"{self.name} has no {precision}; it builds {', '.join(self.precisions)}")
        reason = self.why_not(precision, building)
        if reason:
            raise DeployError(f"{self.name} {precision} cannot run here: {reason}")


def lacking(packages: Sequence[str], extra: str) -> str | None:
    """Which of these packages are not installed, with the pip line of the extra that brings them; else ``None``."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f'{", ".join(absent)} not installed: pip install "edgeseg[{extra}]"' if absent else None


def versions(*packages: str) -> dict[str, str]:
    """Installed versions by name; those that are not installed are left out."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def silenced() -> Iterator[None]:
    """Swallow what exporters print, log and warn on their own; exceptions go through."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def new_file(stem: Path, suffix: str) -> Path:
    """``stem.suffix``, after making sure that it can be written: said before minutes are spent on its content.

    Raises:
        DeployError: the folder is read-only, missing or full.
    """
    path = stem.with_suffix(suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb"):
            pass
    except OSError as error:
        raise DeployError(f"{path}: cannot be written ({error.strerror}). Choose another folder.") from error
    return path


@contextmanager
def reading(path: Path, *others: Path, cure: str = "Export the model again.") -> Iterator[None]:
    """Turn whatever a reader raises on missing or damaged files into one error that names the file.

    Raises:
        DeployError: a file is missing, or ``path`` cannot be opened.
    """
    for file in (path, *others):
        if not file.is_file():
            raise DeployError(f"{file}: missing. {cure}")
    try:
        yield
    except DeployError:
        raise
    except Exception as error:  # every library has its own
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line for line in lines if line and not line.startswith("Exception from ")), type(error).__name__)
        raise DeployError(f"{path}: cannot be opened ({reason}). {cure}") from error


def size_of(*paths: Path) -> int:
    """Bytes of all these files."""
    return sum(os.path.getsize(path) for path in paths)
