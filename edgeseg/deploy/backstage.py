"""What several runtime rooms do in the same way: ask for packages, keep exporters quiet, name files in errors."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgeseg.deploy.runtime import DeployError


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
