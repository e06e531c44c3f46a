"""Makes the course's notebooks out of their sources: two a lesson, exercises open and exercises solved.

    python course/build.py             write course/NN_name.ipynb and course/solutions/NN_name.ipynb
    python course/build.py 05 06       only these lessons
    python course/build.py --check     change nothing; exit 1 and name every notebook that its source would not give
    python course/build.py --run 05    write, execute in a fresh kernel, store text and small figures
    python course/build.py --run 05 --only solutions --fast     one of the two; small sizes, few steps
    python course/build.py --handout DIR      exercises alone, for a class: no folded solutions, no outputs

A source, ``course/src/NN_name.py``, is a percent script: ``# %%`` begins a cell, and jupytext opens it in Jupyter.
Between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` stands what the learner will write. Edit sources, not notebooks.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

try:
    import jupytext
    import nbformat
    from nbformat import NotebookNode

    from edgeseg.files import write_text
    from edgeseg.text import unknown
    from execution import CourseError, run, text_of  # beside this file
except ImportError as missing:
    raise SystemExit(f'{missing.name} is missing. Install the test tools: pip install -e ".[dev,course]"') from None

COURSE = Path(__file__).resolve().parent
KINDS = ("exercises", "solutions")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT = ("jupyter", "tags")  # of a cell's metadata
YOUR_TURN = 'raise NotImplementedError("your turn")'
FOLDED = "<details><summary>Solution</summary>\n\n```python\n{}\n```\n\n</details>"
_MARK = re.compile(r"^(?P<indent>[ \t]*)### (?P<side>BEGIN|END) SOLUTION[ \t]*$")
_FILE = r"[\w./-]+\.(?:png|jpe?g|svg|gif|md|html|ipynb|py|jsonl?|ya?ml)"
_LINK = re.compile(rf"(?:\]\(|\b(?:src|href)=\")(?!\d\d_\w+\.ipynb)(?={_FILE}[)\"#])")  # to a file that is no lesson


def sources(course: Path, numbers: Sequence[str] = ()) -> list[Path]:
    """The lessons' sources in order; of all lessons, or of those numbered."""
    found = {path.stem[:2]: path for path in sorted((course / "src").glob("[0-9][0-9]_*.py"))}
    for number in numbers:
        if number not in found:
            raise CourseError(f"{course / 'src'}: {unknown('lesson', number, found)}")
    return [path for number, path in found.items() if not numbers or number in numbers]


def target(source: Path, kind: str) -> Path:
    """Where a source's notebook of one kind lies."""
    course = source.parent.parent
    return (course / "solutions" if kind == "solutions" else course) / f"{source.stem}.ipynb"


# From source to cells -------------------------------------------------------------------------------------------------


def notebook(source: Path, kind: str) -> NotebookNode:
    """A lesson's notebook without outputs.

    Args:
        source: ``src/NN_name.py``.
        kind: ``"exercises"`` (open) or ``"solutions"``.

    Raises:
        CourseError: solution marks do not match, or stand where they must not.
    """
    cells, solved = [], []
    for i, cell in enumerate(jupytext.read(source, fmt="py:percent").cells):
        where = f"{source.name}, cell {i} ({_first_line(cell.source)!r})"
        tags = cell.metadata.get("tags", [])
        left_open, with_answer = split(cell.source, where)
        if (left_open != with_answer) != ("exercise" in tags):
            raise CourseError(f"{where}: ### BEGIN SOLUTION and the tag exercise belong together; one is missing")
        text = with_answer if kind == "solutions" else left_open
        if kind == "solutions" and cell.cell_type == "markdown":
            text = _LINK.sub(r"\g<0>../", text)  # solutions lie one folder deeper
        cells.append(_cell(cell.cell_type, text, {k: cell.metadata[k] for k in KEPT if k in cell.metadata}))
        if "exercise" in tags:
            solved.append(with_answer)
        if "help" in tags:
            if not solved:
                raise CourseError(f"{where}: a help cell, and no exercise since the last one")
            if kind == "exercises":
                cells.append(_cell("markdown", FOLDED.format("\n\n\n".join(solved)), {"tags": ["solution"]}))
            solved = []
    _name(cells, source.stem)
    made = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    made.nbformat_minor = 5
    return made


def split(text: str, where: str) -> tuple[str, str]:
    """A cell's text (with the solution left open, with the solution and without marks)."""
    left_open, solved, inside = [], [], False
    for line in text.splitlines():
        mark = _MARK.match(line)
        if mark is None:
            solved.append(line)
            if not inside:
                left_open.append(line)
            continue
        if (mark["side"] == "BEGIN") == inside:
            raise CourseError(f"{where}: ### BEGIN SOLUTION and ### END SOLUTION do not take turns")
        inside = not inside
        if inside:
            left_open.append(mark["indent"] + YOUR_TURN)
    if inside:
        raise CourseError(f"{where}: ### BEGIN SOLUTION without ### END SOLUTION")
    return "\n".join(left_open), "\n".join(solved)


def _cell(kind: str, text: str, metadata: dict) -> NotebookNode:
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return make(text, metadata=metadata)


def _name(cells: list[NotebookNode], stem: str) -> None:
    """Ids that stay when other cells come and go: from the heading above, the kind and the first line."""
    heading, seen = "", Counter()
    for cell in cells:
        first = _first_line(cell.source).split(" · ")[0]  # without an exercise's name, difficulty and minutes
        if cell.cell_type == "markdown" and first.startswith("#"):
            heading = first
        key = "\n".join((stem, heading, cell.cell_type, first))
        seen[key] += 1
        cell.id = hashlib.sha256(f"{key}\n{seen[key]}".encode()).hexdigest()[:12]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


# Files ----------------------------------------------------------------------------------------------------------------


def with_outputs(made: NotebookNode, path: Path) -> NotebookNode:
    """The notebook with the stored outputs of all cells that are still the same."""
    if not path.exists():
        return made
    try:
        old = nbformat.read(path, as_version=4)
    except Exception as error:
        raise CourseError(f"{path.name} cannot be read ({error}). Delete it and build again") from None
    stored = {key: cell for key, cell in zip(_keys(old), old.cells, strict=True) if cell.cell_type == "code"}
    for key, cell in zip(_keys(made), made.cells, strict=True):
        if key in stored:
            cell.outputs, cell.execution_count = stored[key].outputs, stored[key].execution_count
    if "edgeseg" in old.metadata:  # which code the outputs are of, see execution.py
        made.metadata["edgeseg"] = old.metadata["edgeseg"]
    return made


def _keys(book: NotebookNode) -> list[tuple[str, str, int]]:
    seen: Counter = Counter()
    keys = []
    for cell in book.cells:
        seen[cell.source] += 1
        keys.append((cell.cell_type, cell.source, seen[cell.source]))
    return keys


def write(book: NotebookNode, path: Path) -> None:
    """Write a notebook, whole or not at all, with the same line ends everywhere."""
    write_text(path, text_of(book))


def hand_out(chosen: Sequence[Path], folder: Path) -> None:
    """Write the exercises to a folder without their folded solutions and without outputs; the logs that they read, too.

    Raises:
        CourseError: the folder holds notebooks already, which might be somebody's work.
    """
    if any(folder.glob("*.ipynb")):
        raise CourseError(f"{folder} holds notebooks already, and nothing is overwritten: give an empty folder")
    for source in chosen:
        book = notebook(source, "exercises")
        book.cells = [c for c in book.cells if "solution" not in c.metadata.get("tags", [])]
        write(book, folder / f"{source.stem}.ipynb")
    for log in chosen[0].parents[1].glob("results/*.jsonl") if chosen else ():
        (folder / "results").mkdir(exist_ok=True)
        shutil.copy(log, folder / "results")


def stale(course: Path, numbers: Sequence[str] = ()) -> list[str]:
    """Which notebooks are not what their sources give, or have no source; in words."""
    found, expected = [], set()
    for source in sources(course, numbers):
        for kind in KINDS:
            path = target(source, kind)
            expected.add(path)
            if not path.exists():
                found.append(f"{path.relative_to(course).as_posix()} is missing")
            elif text_of(with_outputs(notebook(source, kind), path)) != path.read_text(encoding="utf-8"):
                found.append(f"{path.relative_to(course).as_posix()} is not what src/{source.name} gives")
    if not numbers:
        orphans = {*course.glob("*.ipynb"), *(course / "solutions").glob("*.ipynb")} - expected
        found += [f"{path.relative_to(course).as_posix()} has no source: delete it" for path in sorted(orphans)]
    return found


# Command line ---------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None, course: Path = COURSE) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="NN", help="two digits each; default: all")
    parser.add_argument("--check", action="store_true", help="change nothing, name the notebooks that differ")
    parser.add_argument("--run", action="store_true", help="execute and store outputs")
    parser.add_argument("--only", choices=KINDS, help="with --run: one of a lesson's two notebooks")
    parser.add_argument("--fast", action="store_true", help="with --run: EDGESEG_FAST=1")
    parser.add_argument("--handout", type=Path, metavar="DIR", help="exercises without solutions, to an empty folder")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            return _check(course, options.lessons)
        chosen = sources(course, options.lessons)
        if options.handout:
            hand_out(chosen, options.handout)
            return 0
        for source in chosen:
            for kind in KINDS:
                write(with_outputs(notebook(source, kind), target(source, kind)), target(source, kind))
        return _run(chosen, [options.only] if options.only else KINDS, options.fast) if options.run else 0
    except CourseError as error:
        return _tell([str(error)])


def _run(chosen: list[Path], kinds: Sequence[str], fast: bool) -> int:
    """Execute notebooks; all of them, whatever happens to one."""
    faults: list[str] = []
    for path, kind in ((target(source, kind), kind) for source in chosen for kind in kinds):
        book = nbformat.read(path, as_version=4)
        try:
            faults += run(book, path, fast, strict=kind == "solutions")
            write(book, path)
        except CourseError as error:
            faults.append(str(error))
    return _tell(faults)


def _check(course: Path, numbers: Sequence[str]) -> int:
    found = stale(course, numbers)
    return _tell([*found, "Cure: python course/build.py, then look at what changed"] if found else [])


def _tell(faults: list[str]) -> int:
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
