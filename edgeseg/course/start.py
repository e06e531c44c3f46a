"""`begin`: the first call of every lesson. It says what the lesson runs on, and makes it run the same way again."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from edgeseg import __version__
from edgeseg.course.syllabus import SYLLABUS
from edgeseg.text import unknown

T = TypeVar("T")


class LessonError(RuntimeError):
    """The lesson cannot begin; the message says what to do."""


@dataclass(frozen=True)
class Lesson:
    """Where a lesson runs.

    Args:
        number: of the lesson, two digits.
        device: ``cuda`` where there is one, else ``cpu``.
        fast: fewer steps and smaller sizes, set by ``EDGESEG_FAST=1``.
    """

    number: str
    device: torch.device
    fast: bool

    def pick(self, full: T, fast: T) -> T:
        """A number of steps, a size, …: the lesson's own, or the small one of fast mode."""
        return fast if self.fast else full

    def __str__(self) -> str:
        where = f"CPU, threads: {torch.get_num_threads()}"
        if self.device.type == "cuda":
            where = torch.cuda.get_device_name()
        mode = "\nFast mode: small sizes, few steps; numbers differ from the text." if self.fast else ""
        head = f"Lesson {self.number}: {SYLLABUS[self.number].title}"
        return f"{head}\nedgeseg {__version__} · torch {torch.__version__} · {where} · seed 0{mode}"


_running: Lesson | None = None


def begin(number: str, version: str) -> Lesson:
    """Check the package's version, seed everything, choose device, threads and mode; says what was chosen.

    The environment decides: ``EDGESEG_FAST=1`` for fast mode, ``EDGESEG_THREADS=N`` for the CPU's threads,
    ``EDGESEG_DEVICE=cpu`` to leave a GPU alone.

    Args:
        number: of the lesson, two digits.
        version: of edgeseg that the lesson was written for, ``"major.minor"``.

    Raises:
        LessonError: another version of edgeseg is installed, or there is no such lesson.
    """
    if number not in SYLLABUS:
        raise LessonError(unknown("lesson", number, SYLLABUS))
    _require_version(version)
    if threads := os.environ.get("EDGESEG_THREADS"):
        torch.set_num_threads(int(threads))
    device = os.environ.get("EDGESEG_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    _set_style()
    global _running
    lesson = _running = Lesson(number, torch.device(device), _switch("EDGESEG_FAST"))
    print(lesson)
    return lesson


def running() -> Lesson:
    """The lesson that has begun in this process.

    Raises:
        LessonError: none has.
    """
    if _running is None:
        raise LessonError("no lesson has begun: run the notebook's first cell, which calls course.begin")
    return _running


def is_strict() -> bool:
    """Whether an exercise that is unwritten or wrong is an error: ``EDGESEG_COURSE_STRICT=1``, for solved notebooks."""
    return _switch("EDGESEG_COURSE_STRICT")


def _switch(name: str) -> bool:
    return os.environ.get(name, "0").lower() not in ("", "0", "false", "no")


def _require_version(wanted: str) -> None:
    installed = __version__
    if installed != "0+source" and ".".join(installed.split(".")[:2]) != wanted:
        raise LessonError(
            f"this lesson was written for edgeseg {wanted} and {installed} is installed, whose classes may differ. "
            f'Take the lessons of {installed}, or: pip install "edgeseg[course]=={wanted}.*", then restart the kernel'
        )


def _set_style() -> None:
    """Figures that are small in the file, and white behind: readable on a light and on a dark page."""
    import matplotlib as mpl

    _draw_inline()
    mpl.rcParams.update({"figure.dpi": 90, "figure.facecolor": "white", "savefig.facecolor": "white"})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "image.interpolation": "nearest"})


def _draw_inline() -> None:
    """Let a kernel show figures that were made without pyplot, which would switch this on by itself."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        shell.enable_matplotlib("inline")
