"""Exercises that ask for something else than the package's numbers: a reading of what was shown, a design that holds.

`choose` takes one of several readings of a log or a picture and says what contradicts a wrong one; `prove` asks an
answer of one's own for properties. Both speak, note and go on as `check` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from edgeseg.course import repair
from edgeseg.course.message import conclude, tell
from edgeseg.text import unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Readings:
    """Readings of what a lesson has shown; one is right.

    Args:
        right: its key, e.g. ``"c"``.
        because: for every other key what contradicts it; this is shown to whoever chooses it.
    """

    right: str
    because: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.right in self.because or not self.because:
            raise ValueError(f"because: what contradicts each wrong reading, at least one, and not {self.right!r}")

    def reading(self) -> str:
        """The right one: what a notebook goes on with."""
        return self.right


def choose(answer: Callable[[], str], readings: Readings, *, exercise: str) -> Callable[[], str]:
    """Ask for one of several readings; a wrong one is answered with what contradicts it, never with the right one.

    Args:
        answer: the learner's function, which returns a key; unwritten as long as it raises `NotImplementedError`.
        readings: all there are.
        exercise: its number, ``"14.2"``.

    Returns:
        ``answer`` if it is right, else a function that returns the right key.

    Raises:
        AssertionError: it is unwritten or wrong, and ``EDGESEG_COURSE_STRICT=1``.
    """

    def is_right(chosen: Callable[[], str]) -> None:
        key, known = chosen(), sorted({readings.right, *readings.because})
        if not isinstance(key, str):
            kind = type(key).__name__
            given = "nothing" if key is None else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
            raise AssertionError(
                f"It returns {given}, and should return a reading's key: {', '.join(map(repr, known))}."
            )
        if key != readings.right:
            raise AssertionError(readings.because.get(key) or f"There is {unknown('reading', key, known)}.")

    return _judge(answer, readings.reading, (is_right,), exercise, "that is what was shown.", lambda _: "")


def prove(mine: T, package: T, *properties: Callable[[Any], None], exercise: str) -> T:
    """Ask an answer for properties, whatever it computes besides.

    Args:
        mine: the learner's function or class; unwritten as long as it raises `NotImplementedError`.
        package: one that has them all, with which the notebook goes on where the learner's has not.
        properties: called with the answer in this order; each raises `AssertionError` with a sentence for the learner.
        exercise: its number, ``"16.2"``.

    Returns:
        ``mine`` if every property holds, else ``package``.

    Raises:
        AssertionError: it is unwritten or lacks one, and ``EDGESEG_COURSE_STRICT=1``.
    """
    if not properties:
        raise ValueError("give at least one property")
    text = f"all {len(properties)} properties hold." if len(properties) > 1 else "the property holds."

    def accepts(changed: Any) -> bool:
        for holds in properties:
            holds(changed)
        return True

    return _judge(mine, package, properties, exercise, text, lambda wrong: repair.told(wrong, accepts))


def _judge(
    mine: T,
    package: T,
    properties: tuple[Callable[[Any], None], ...],
    exercise: str,
    praise: str,
    told: Callable[[Any], str],
) -> T:
    """Try properties, say what was found; `told` says where an answer is wrong, as far as it can be known."""
    if mine == package:  # the name was bound to it by an earlier run of this very cell
        return conclude(exercise, mine, package, "open")
    if not callable(mine):
        return conclude(
            exercise,
            mine,
            package,
            "wrong",
            "This must be a function or a class. Is def forgotten, or its name used twice?",
        )
    try:
        for holds in properties:
            holds(mine)
    except NotImplementedError:
        return conclude(exercise, mine, package, "open")
    except AssertionError as fault:
        said = str(fault) or "A property does not hold."
        return conclude(exercise, mine, package, "wrong", f"{said}\n{told(mine)}".rstrip())
    except Exception as error:
        said = f"It cannot be run. {tell(error)}"
        return conclude(exercise, mine, package, "wrong", f"{said}\n{told(mine)}".rstrip())
    return conclude(exercise, mine, package, "right", praise)
