"""How the course speaks in a notebook: a box with a coloured edge; plain text where there is no notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass

from edgeseg.plots import GREEN, GREY, VERMILION

_EDGES = {"right": GREEN, "open": GREY, "wrong": VERMILION}
_SIGNS = {"right": "✓", "open": "○", "wrong": "✗"}


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"{_SIGNS[self.state]} {self.title}: {self.text}"

    def _repr_html_(self) -> str:
        style = (
            f"border-left:4px solid {_EDGES[self.state]};padding:.4em .8em;margin:.2em 0;white-space:pre-wrap;"
            "font-family:var(--jp-code-font-family,monospace);font-size:.92em;"
            "color:var(--jp-ui-font-color1,inherit);overflow-x:auto"
        )
        head = f"<b>{_SIGNS[self.state]} {html.escape(self.title)}</b>"
        return f'<div style="{style}">{head}: {html.escape(self.text)}</div>'

    def show(self) -> None:
        """As a box in a notebook, else printed."""
        try:
            from IPython.display import display
        except ImportError:
            print(self)
        else:
            display(self)  # which prints where no notebook runs
