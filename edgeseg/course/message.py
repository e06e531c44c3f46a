"""How the course speaks in a notebook: a box with a coloured edge; plain text where there is no notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass

_EDGES = {"right": "#009E73", "open": "#999999", "wrong": "#D55E00"}  # apart for colour-blind readers too
_MARKS = {"right": "✓", "open": "○", "wrong": "✗"}


@dataclass(frozen=True)
class Verdict:
    """What `check` found.

    Args:
        state: ``"right"``, ``"open"`` (unwritten) or ``"wrong"``.
        title: the exercise.
        text: what to tell.
    """

    state: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{_MARKS[self.state]} {self.title}: {self.text}"

    def _repr_html_(self) -> str:
        style = (
            f"border-left:4px solid {_EDGES[self.state]};padding:.4em .8em;margin:.2em 0;white-space:pre-wrap;"
            "font-family:var(--jp-code-font-family,monospace);font-size:.92em;"
            "color:var(--jp-ui-font-color1,inherit);overflow-x:auto"
        )
        head = f"<b>{_MARKS[self.state]} {html.escape(self.title)}</b>"
        return f'<div style="{style}">{head}: {html.escape(self.text)}</div>'

    def show(self) -> None:
        """As a box in a notebook, else printed."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            print(self)
            return
        if get_ipython() is None:
            print(self)
        else:
            display(_Shown(self))


class _Shown:
    """What Jupyter displays: both forms, the plain one without quotes."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def __repr__(self) -> str:
        return str(self._verdict)

    def _repr_html_(self) -> str:
        return self._verdict._repr_html_()
