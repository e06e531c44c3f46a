"""Mistakes that are known: each is computed, so that an answer which gives the same in all cases is told by its cause.

What a line-by-line comparison cannot see in an answer that is written another way, its results often show. One file a
lesson, ``MISTAKES = {"07.1": {"void pixels count …": …}}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

Make = Callable[[Any], Any]  # the package's function or class → one with the mistake in it
_HEAD = "Exactly this comes out if"


def known(exercise: str) -> Mapping[str, Make]:
    """The known mistakes of an exercise, by what they do, in words."""
    name = f"{__name__}.lesson_{exercise[:2]}"
    return import_module(name).MISTAKES.get(exercise, {}) if find_spec(name) else {}


def told(exercise: str, package: Any, agrees: Callable[[Any], bool]) -> str:
    """What a wrong answer does, in words; empty where it computes what no known mistake does.

    Args:
        exercise: its number, ``"07.1"``.
        package: what the answer should compute like.
        agrees: whether the answer computes the same as a function or class, in all cases.
    """
    words = (text for text, make in known(exercise).items() if agrees(make(package)))
    return next((f"{_HEAD} {text}." for text in words), "")
