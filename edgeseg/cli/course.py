"""``edgeseg course …``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="For who teaches the course.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``mark`` a command of its own while it is the only one."""


@app.command("mark")
def mark(
    folder: Annotated[Path, typer.Argument(help="holds a folder for each learner: notebooks, or a progress folder")],
    out: Annotated[Path, typer.Option(help="table to write")] = Path("marks.csv"),
    lesson: Annotated[list[str] | None, typer.Option(help="two digits; repeat it for each; default: all")] = None,
    course: Annotated[Path, typer.Option(help="the course's own notebooks, to run kept answers in")] = Path("course"),
    timeout: Annotated[int, typer.Option(help="seconds for one cell", min=1)] = 60,
    limit: Annotated[int, typer.Option(help="seconds for one notebook", min=1)] = 600,
) -> None:
    """Run what learners handed in and write one row for each of their exercises.

    WARNING: this RUNS CODE THAT OTHER PEOPLE WROTE, with your rights and your files. Do it where nothing can be lost:
    in a container, a virtual machine, or an account of its own, without network and without your keys.

    A cell that does not end is stopped, its exercise's verdict is timeout. Verdicts are right, wrong, open, error and
    timeout; they say what the notebook's own checks found, and whoever edits a notebook can edit its checks.
    """
    from edgeseg.course.mark import VERDICTS, marks, write_csv

    table = []
    for found in marks(folder, lesson or (), course, timeout, limit):
        table.append(found)
        print(f"{found.learner}  {found.exercise}  {found.verdict:7}  {found.message[:90]}", flush=True)
    write_csv(table, out)
    counts = Counter(m.verdict for m in table)
    print(f"{out}: {len(table)} exercises; " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]))
