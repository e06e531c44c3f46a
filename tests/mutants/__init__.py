"""Wrong answers to the lessons' exercises, one file a lesson, each with a word that `check`'s message must contain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """The solved exercise with one piece of text replaced.

    Args:
        what: in words.
        old: text of the solved exercise, found there exactly once.
        new: what stands in its place.
        names: what the message must name: a layer, an operation, a value; empty for an answer that is right as well
            (renamed, in another order, written in another way) and must pass.
    """

    what: str
    old: str
    new: str
    names: str = ""
