"""How the course speaks in a notebook: a box with a coloured edge; plain text where there is no notebook."""

from __future__ import annotations

import html
import re
import traceback
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from edgeseg.course import learner, trace
from edgeseg.course.start import is_strict
from edgeseg.plots import GREEN, GREY, VERMILION

T = TypeVar("T")
_EDGES = {"right": GREEN, "open": GREY, "wrong": VERMILION}
_SIGNS = {"right": "✓", "open": "○", "wrong": "✗"}
_RUNNING = "white-space:pre-wrap"
_SET = "white-space:pre;overflow-x:auto;margin:.4em 0"  # rows of a table, code: never broken, scrolled if they are wide
_COLUMNS = re.compile(r"^\s|\S\s{2,}\S")
_AGAIN = " (This is the package's own: run the cell with your answer, then this one.)"


@dataclass(frozen=True, repr=False)
class Verdict:
    """What was found about an answer.

    Args:
        state: ``"right"``, ``"open"`` (unwritten) or ``"wrong"``.
        title: the exercise.
        text: what to tell.
    """

    state: str
    title: str
    text: str

    def __repr__(self) -> str:
        return f"{_SIGNS[self.state]} {self.title}: {self.text}"

    def _repr_html_(self) -> str:
        style = (
            f"border-left:4px solid {_EDGES[self.state]};padding:.4em .8em;margin:.2em 0;"
            "font-family:var(--jp-code-font-family,monospace);font-size:.92em;"
            "color:var(--jp-ui-font-color1,inherit)"
        )
        head = f"<b>{_SIGNS[self.state]} {html.escape(self.title)}</b>: "
        parts = [
            f'<div style="{_SET if is_set else _RUNNING}">{html.escape(text)}</div>' for is_set, text in self._parts()
        ]
        parts[0] = parts[0].replace(">", f">{head}", 1)
        return f'<div style="{style}">{"".join(parts)}</div>'

    def _parts(self) -> list[tuple[bool, str]]:
        """The text in order, running words first: (whether its lines must stay as they are, lines)."""
        first, *others = self.text.split("\n")
        parts = [(False, first)]
        for is_set, lines in groupby(others, lambda line: bool(_COLUMNS.search(line))):
            text = "\n".join(lines)
            parts += [(is_set, text.strip("\n"))] if text.strip() else []
        return parts


def show(thing: Any) -> None:
    """Display in a notebook, else print."""
    try:
        from IPython.display import display
    except ImportError:
        print(thing)
    else:
        display(thing)  # which prints where no notebook runs


def conclude(exercise: str, mine: T, package: T, state: str, text: str = "") -> T:
    """Note and show what was found about an answer, and give back what the notebook goes on with.

    Args:
        exercise: its number, ``"05.3"``.
        mine, package: the learner's answer, and what stands in for it unless it is right.
        state: ``"right"``, ``"open"`` or ``"wrong"``.
        text: what was found; of an open exercise nothing.

    Raises:
        AssertionError: it is unwritten or wrong, and ``EDGESEG_COURSE_STRICT=1``.
    """
    said = {
        "right": f"{text} Going on with yours.",
        "open": f"not written yet; going on with the package's own.{_AGAIN if mine == package else ''}",
        "wrong": f"{text}\n\nGoing on with the package's own, so that the rest of the notebook runs.",
    }
    verdict = Verdict(state, f"{exercise} {getattr(mine, '__name__', mine)}", said[state])
    learner.note(exercise, state, mine)
    if is_strict() and state != "right":
        raise AssertionError(str(verdict))
    show(verdict)
    return mine if state == "right" else package


def tell(error: Exception) -> str:
    """An error's message with the learner's own line."""
    innermost_first = reversed(list(traceback.walk_tb(error.__traceback__)))
    lines = trace.learners_lines(innermost_first)
    where = f"\n    your line: {lines[0]}" if lines else ""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{where}"
