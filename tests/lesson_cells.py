"""Reads the lessons' sources, exercises solved, and runs the cells that a test needs as a kernel would."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "course" / "src").glob("[0-9][0-9]_*.py"))
_SOLUTION_LINES = re.compile(r"^[ \t]*### (?:BEGIN|END) SOLUTION[^\n]*\n?", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell of a lesson's source, solved."""

    kind: str
    text: str
    tags: frozenset[str]

    @property
    def exercises(self) -> list[str]:
        """Numbers of the exercises that this cell checks."""
        return re.findall(r"exercise=[\"'](\d\d\.\d+)[\"']", self.text)


@cache
def cells(source: Path) -> tuple[Cell, ...]:
    """The cells of a lesson, exercises solved."""
    import jupytext

    found = jupytext.read(source, fmt="py:percent").cells
    return tuple(
        Cell(c.cell_type, _SOLUTION_LINES.sub("", c.source), frozenset(c.metadata.get("tags", []))) for c in found
    )


def for_checks(source: Path) -> Iterator[tuple[int, Cell]]:
    """The cells that a lesson's checks stand on, in order: imports, references, exercises, checks."""
    wanted = {"setup", "reference", "exercise", "build", "check"}
    yield from ((i, c) for i, c in enumerate(cells(source)) if c.kind == "code" and c.tags & wanted)


def execute(text: str, name: str, scope: dict[str, Any]) -> None:
    """Run a cell as a kernel does: its lines can be looked up by its name."""
    name = f"<{name}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), scope)
