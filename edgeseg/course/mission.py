"""`board`: what the learner's own networks reach, lesson by lesson, against one aim; kept beside their progress.

The aim is the course's: 30 frames a second on one's own machine, and nobody overlooked.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from edgeseg.course import learner, start
from edgeseg.course.message import show
from edgeseg.files import parse_json, read_text, write_json
from edgeseg.text import table

AIM = "30 frames a second on this machine, nobody overlooked"
FRAME = 1000 / 30  # ms
_FILE = "board.json"
_SHARES = ("miou", "pedestrian")
_HEAD = ("lesson", "network", "mIoU", "Pedestrian", "ms a frame", "MB")


@dataclass(frozen=True)
class Row:
    """What one network reaches; ``None``: not measured in that lesson.

    Args:
        lesson: number.
        what: the network, in words.
        miou: mean IoU in per cent.
        pedestrian: IoU of Pedestrian in per cent.
        milliseconds: for one frame on this machine.
        megabytes: of the file that a device would need.
        fast: measured in fast mode: a sign that it runs, no result.
    """

    lesson: str
    what: str
    miou: float | None = None
    pedestrian: float | None = None
    milliseconds: float | None = None
    megabytes: float | None = None
    fast: bool = False

    def cells(self) -> tuple[str, ...]:
        """As text, under the board's columns."""
        figures = ((self.miou, ".1f"), (self.pedestrian, ".1f"), (self.milliseconds, ".1f"), (self.megabytes, ".1f"))
        told = ("–" if value is None else format(value, form) for value, form in figures)
        return (self.lesson, f"{self.what}{' (fast mode)' if self.fast else ''}", *told)


@dataclass(frozen=True)
class Board:
    """The mission's board; a notebook shows it as a card.

    Args:
        rows: in the order of the lessons.
    """

    rows: Sequence[Row]

    def best(self) -> str:
        """The aim beside the best figures so far."""
        counted = [row for row in self.rows if not row.fast]
        times = [row.milliseconds for row in counted if row.milliseconds is not None]
        seen = [row.pedestrian for row in counted if row.pedestrian is not None]
        speed = f"{1000 / min(times):.0f} frames a second" if times else "no time yet"
        people = f"{max(seen):.1f} % of Pedestrian" if seen else "no score yet"
        return f"Best so far: {speed} (the aim is 30), {people}."

    def __repr__(self) -> str:
        rows = [row.cells() for row in self.rows] or [("–",) * len(_HEAD)]
        return f"Mission: {AIM}\n{table(_HEAD, rows, '<<>>>>')}\n{self.best()}"

    def _repr_html_(self) -> str:
        rows = [_cells("th", _HEAD), *(_cells("td", row.cells()) for row in self.rows)]
        body = "".join(f"<tr>{cells}</tr>" for cells in rows)
        style = (
            "border:1px solid currentColor;border-radius:6px;padding:.5em .9em;display:inline-block;"
            "color:var(--jp-ui-font-color1,inherit)"
        )
        return f'<div style="{style}"><b>Mission: {AIM}</b><table>{body}</table><small>{self.best()}</small></div>'


def _cells(tag: str, texts: Sequence[str]) -> str:
    """Of one row: the first two are words, the others figures."""
    aligned = zip(("left", "left", *("right",) * 4), texts, strict=True)
    return "".join(f"<{tag} style='text-align:{side}'>{html.escape(text)}</{tag}>" for side, text in aligned)


def board(
    what: str = "",
    *,
    miou: float | None = None,
    pedestrian: float | None = None,
    milliseconds: float | None = None,
    megabytes: float | None = None,
) -> None:
    """Note what a network of this lesson reaches, and show the board. Without arguments: show it.

    A network's row is replaced when its lesson is run again.

    Args:
        what: the network in words; lesson and these words are a row's name.
        miou, pedestrian: per cent; NaN, of a class that no scene has, is not measured.
        milliseconds: for one frame on this machine.
        megabytes: of its file.

    Raises:
        ValueError: figures without words, or a figure that cannot be.
        LessonError: no lesson has begun.
    """
    figures = {"miou": miou, "pedestrian": pedestrian, "milliseconds": milliseconds, "megabytes": megabytes}
    rows = _read()
    if what or any(value is not None for value in figures.values()):
        row = _row(what, figures)
        rows = [r for r in rows if (r.lesson, r.what) != (row.lesson, row.what)] + [row]
        rows.sort(key=lambda r: r.lesson)
        write_json(learner.folder() / _FILE, {"format": 1, "rows": [asdict(r) for r in rows]})
    show(Board(rows))


def _row(what: str, figures: Mapping[str, float | None]) -> Row:
    if not what:
        raise ValueError('say in words whose figures these are: course.board("my network", miou=41.2)')
    absent = [name for name in _SHARES if (value := figures[name]) is not None and math.isnan(value)]
    figures = {**figures, **dict.fromkeys(absent)}
    for name, value in figures.items():
        highest = 100 if name in _SHARES else float("inf")
        if value is not None and not 0 <= value <= highest:
            raise ValueError(f"{name}={value} cannot be: give {'per cent' if highest == 100 else 'a positive number'}")
    lesson = start.running()
    told = {name: None if value is None else float(value) for name, value in figures.items()}
    return Row(lesson.number, what, **told, fast=lesson.fast)


def _read() -> list[Row]:
    path = learner.folder() / _FILE
    try:
        return [Row(**row) for row in parse_json(read_text(path))["rows"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        learner.put_aside(path, "the board begins anew")
        return []
