"""Marks what learners handed in: runs notebooks or kept answers, each exercise by itself, and never waits for ever.

This runs code that other people wrote, with the rights of who runs it. Do it where nothing can be lost.

Checks are non-strict, so that one wrong answer does not spoil the next ones: after it the package's own goes on. A cell
that fails or takes too long is told, its exercise's name bound to what the package has, and the next cell run.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.course import kernel
from edgeseg.course.syllabus import SYLLABUS
from edgeseg.files import parse_json, read_text, write_text

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode

VERDICTS = ("right", "wrong", "open", "error", "timeout")
_CHECK = re.compile(r"exercise=[\"'](\d\d\.\d+)[\"']")
_SAID = re.compile(r"[✓✗○] (\d\d\.\d+) (.*)")
_BOOK = re.compile(r"(\d\d)_\w+\.ipynb$")
_SIGNS = {"✓": "right", "✗": "wrong", "○": "open"}
_SKIPPED = {"slider", "predict"}  # nothing to mark there
_NEEDED = {"setup", "reference", "exercise", "build", "check"}
_FIRST = 60  # seconds more for the first cell, which imports PyTorch
_GRACE = 5  # seconds in which an interrupted kernel must answer


class MarkError(ValueError):
    """Nothing can be marked; the message says what to do."""


@dataclass(frozen=True)
class Mark:
    """What is found about one exercise of one learner.

    Args:
        learner: name of the folder.
        exercise: ``"05.3"``.
        name: of the exercise.
        verdict: one of `VERDICTS`.
        message: the first line of what `check` says, or of the error.
    """

    learner: str
    exercise: str
    name: str
    verdict: str
    message: str = ""


def marks(
    folder: Path, lessons: Sequence[str] = (), course: Path | None = None, timeout: int = 60, limit: int = 600
) -> Iterator[Mark]:
    """Run what lies in a folder's folders, one a learner, and say of every exercise what it is.

    A learner's folder holds notebooks ``NN_*.ipynb``, or ``blocks/`` and ``progress.json`` (as ``progress/`` has them).
    Answers in ``blocks/`` are put into the course's own notebooks; exercises without one are wrong if they were tried.

    Args:
        folder: of all learners.
        lessons: numbers; default: those of which something was handed in.
        course: the course's own notebooks; needed for ``blocks/``.
        timeout: seconds for one cell.
        limit: seconds for one notebook; then its kernel is killed.

    Raises:
        MarkError: there is nothing to mark, or nothing to mark it with.
    """
    _require_nbclient()
    learners = (
        [path for path in sorted(folder.iterdir()) if path.is_dir() and _handed_in(path)] if folder.is_dir() else []
    )
    if not learners:
        raise MarkError(
            f"{folder}: nothing to mark. Give the folder that holds a folder for each learner, with notebooks "
            "NN_name.ipynb in it, or with progress.json and blocks/"
        )
    for learner in learners:
        for number, book in _books(learner, lessons, course):
            found = _run(book, learner, number, timeout, limit)
            for k, name in enumerate(SYLLABUS[number].exercises):
                exercise = f"{number}.{k + 1}"
                verdict, message = found.get(exercise, ("error", "no check of this exercise was run"))
                yield Mark(learner.name, exercise, name, verdict, message)


def write_csv(marks: Sequence[Mark], path: Path) -> None:
    """One row a mark; a cell that a table program could take for a formula gets an apostrophe."""
    with tempfile.TemporaryFile("w+", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("learner", "exercise", "name", "verdict", "message"))
        for m in marks:
            row = (m.learner, m.exercise, m.name, m.verdict, m.message)
            writer.writerow([f"'{cell}" if cell[:1] in "=+-@\t" and cell else cell for cell in row])
        file.seek(0)
        write_text(path, file.read())


def _require_nbclient() -> None:
    try:
        import nbclient  # noqa: F401
    except ImportError:
        raise MarkError('marking needs nbclient, which runs notebooks: pip install "edgeseg[course]"') from None


# What was handed in ---------------------------------------------------------------------------------------------------


def _handed_in(learner: Path) -> bool:
    return any(_BOOK.match(p.name) for p in learner.iterdir()) or (learner / "progress.json").is_file()


def _books(learner: Path, lessons: Sequence[str], course: Path | None) -> Iterator[tuple[str, NotebookNode]]:
    """Numbers of lessons, and a notebook that holds the learner's answers."""
    import nbformat

    own = {path.name[:2]: path for path in sorted(learner.iterdir()) if _BOOK.match(path.name)}
    state = _progress(learner)
    numbers = sorted({*own, *(exercise[:2] for exercise in state)} & {n for n, e in SYLLABUS.items() if e.exercises})
    for number in numbers:
        if lessons and number not in lessons:
            continue
        if number in own:
            try:
                yield number, nbformat.read(own[number], as_version=4)
            except Exception as error:
                yield (
                    number,
                    nbformat.v4.new_notebook(metadata={"edgeseg": {"unreadable": f"{own[number].name}: {error}"}}),
                )
        else:
            yield number, _filled(number, learner, state, course)


def _progress(learner: Path) -> dict[str, Any]:
    try:
        return dict(parse_json(read_text(learner / "progress.json"))["exercises"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _filled(number: str, learner: Path, state: dict[str, Any], course: Path | None) -> NotebookNode:
    """The course's own notebook with the kept answers in their places."""
    import nbformat

    found = sorted(course.glob(f"{number}_*.ipynb")) if course else []
    if not found:
        raise MarkError(
            f"{learner.name} handed in kept answers of lesson {number}; to run them give the folder of the course's "
            "own notebooks: --course course"
        )
    book = nbformat.read(found[0], as_version=4)
    cells = []
    for cell in book.cells:
        if cell.cell_type != "code" or not _NEEDED & set(cell.metadata.get("tags", [])):
            continue
        for exercise, name in _checked(cell.source):
            answer = learner / "blocks" / f"exercise_{exercise.replace('.', '_')}.py"
            if answer.is_file():
                text = (
                    f"import runpy\n{name} = runpy.run_path({str(answer.resolve())!r}, run_name='__main__')['ANSWER']"
                )
                cells.append(nbformat.v4.new_code_cell(text))
            elif state.get(exercise, {}).get("tries"):
                book.metadata.setdefault("edgeseg_tried", []).append(exercise)
        cells.append(cell)
    book.cells = cells
    return book


def _checked(text: str) -> list[tuple[str, str]]:
    """Of a cell: number of each exercise that it checks, and the name of the answer."""
    try:
        calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
    except SyntaxError:
        return []
    found = []
    for call in calls:
        numbers = [k.value.value for k in call.keywords if k.arg == "exercise" and isinstance(k.value, ast.Constant)]
        if numbers and call.args and isinstance(call.args[0], ast.Name):
            found.append((str(numbers[0]), call.args[0].id))
    return found


# Running --------------------------------------------------------------------------------------------------------------


@dataclass
class _Sheet:
    """What is known so far of one notebook."""

    found: dict[str, tuple[str, str]] = field(default_factory=dict)
    trouble: str = ""  # of a cell before the next check
    end: str = ""  # why the kernel ended early


def _run(book: NotebookNode, learner: Path, number: str, timeout: int, limit: int) -> dict[str, tuple[str, str]]:
    """Verdict and message of each exercise in a notebook."""
    numbers = [f"{number}.{k + 1}" for k in range(len(SYLLABUS[number].exercises))]
    unreadable = book.metadata.get("edgeseg", {}).get("unreadable")
    if unreadable:
        return dict.fromkeys(numbers, ("error", _first_line(unreadable)))
    sheet = _Sheet()
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as progress:
        shutil.copytree(learner, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ipynb", "progress*"))
        runner = kernel.client(book, Path(work), None)
        with runner.setup_kernel(env=_environment(progress)), _stopped_after(runner, limit):
            extra = _FIRST
            for i, cell in enumerate(book.cells):
                if cell.cell_type == "code" and not _SKIPPED & set(cell.metadata.get("tags", [])):
                    try:
                        _one(runner, cell, i, sheet, timeout + extra)
                    except _GoneError as gone:
                        sheet.end = f"before this a cell {gone}"
                        break
                    extra = 0
    tried = book.metadata.get("edgeseg_tried", ())
    for exercise in numbers:
        if exercise not in sheet.found and sheet.end:
            sheet.found[exercise] = "timeout", sheet.end
        if sheet.found.get(exercise, ("",))[0] == "open" and exercise in tried:
            sheet.found[exercise] = "wrong", "tried, and not kept as right"
    return sheet.found


class _GoneError(Exception):
    """The kernel is dead."""


def _environment(progress: str) -> dict[str, str]:
    changes = {"EDGESEG_PROGRESS": progress, "EDGESEG_FAST": "1", "EDGESEG_COURSE_STRICT": "0"}
    return dict(os.environ) | changes | {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "EDGESEG_DEVICE": "cpu"}


@contextmanager
def _stopped_after(runner: NotebookClient, seconds: float, grace: float = 0) -> Iterator[list[str]]:
    """While this is open the kernel may run, but no longer than so many seconds.

    It is interrupted first where there is a grace, and killed after it. What is given says ``"late"`` if so.
    """
    late: list[str] = []

    def stop(number: int) -> None:
        late.append("late")
        process = getattr(getattr(runner.km, "provisioner", None), "process", None)
        if process is not None and process.poll() is None:
            process.send_signal(number)

    end = getattr(signal, "SIGKILL", signal.SIGTERM)
    timers = [threading.Timer(seconds + grace, stop, (end,))]
    timers += [threading.Timer(seconds, stop, (signal.SIGINT,))] if grace and os.name == "posix" else []
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield late
    finally:
        for timer in timers:
            timer.cancel()


def _one(runner: NotebookClient, cell: NotebookNode, place: int, sheet: _Sheet, seconds: float) -> None:
    """Run a cell; what it says about its exercises, or what went wrong."""
    checked = _checked(cell.source) or [(number, "") for number in _CHECK.findall(cell.source)]
    try:
        verdict, message = _executed(runner, cell, place, seconds)
    except _GoneError as gone:
        sheet.found |= {exercise: ("timeout", str(gone)) for exercise, _ in checked}
        raise
    if not checked:
        sheet.trouble = sheet.trouble or message
        return
    said = _said(cell)
    for exercise, _ in checked:
        why = sheet.trouble or message or "its check says nothing"
        sheet.found[exercise] = said.get(exercise, (verdict or "error", why))
    sheet.trouble = ""
    if verdict:  # go on with the package's own
        import nbformat

        stubs = "".join(f"def {n}(*_, **__):\n    raise NotImplementedError\n" for _, n in checked if n)
        _executed(runner, nbformat.v4.new_code_cell(stubs + cell.source), place, seconds)


def _executed(runner: NotebookClient, cell: NotebookNode, place: int, seconds: float) -> tuple[str, str]:
    """Empty, or ``"error"`` or ``"timeout"`` and its message.

    Raises:
        _GoneError: the kernel is dead, or had to be killed.
    """
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    kept = runner.nb.cells[place]
    with _stopped_after(runner, seconds, _GRACE) as late:
        try:
            runner.execute_cell(cell, place)
        except CellExecutionError as error:
            if late:
                return "timeout", f"took more than {seconds:g} s"
            return "error", _first_line(f"{error.ename}: {error.evalue}")
        except DeadKernelError:
            raise _GoneError("took too long and could not be stopped" if late else "ended Python itself") from None
        finally:
            runner.nb.cells[place] = kept
    return "", ""


def _said(cell: NotebookNode) -> dict[str, tuple[str, str]]:
    """What the checks of a cell displayed: exercise → verdict, first line of its message."""
    found = {}
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        text = output.get("text", "") or data.get("text/plain", "")
        for line in text.splitlines():
            said = _SAID.match(line)
            if said:
                found[said[1]] = _SIGNS[line[0]], said[2]
    return found


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]
