"""The lessons in a real browser: they run, sliders move figures, exercises are answered, both themes can be read."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason='drives the browser: pip install -e ".[browser]"')
pytest.importorskip("jupyterlab", reason='opens the lessons: pip install -e ".[course]"')

from lab import ROOT, Notebook, chromium, find_chromium, jupyterlab, lay_out

LESSONS = ("00", "05", "07")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium or Chrome, e.g. apt-get install chromium"),
]


@dataclass(frozen=True)
class Exercise:
    """The first exercise of a lesson that tests/mutants knows a wrong answer to.

    Args:
        number: e.g. ``"05.1"``.
        answers: place of each of its cells, and what solves it.
        wrong: place of one of them, and a wrong answer.
        names: what `check` must say about the wrong one.
        check: place of the cell that calls `check`.
    """

    number: str
    answers: dict[int, str]
    wrong: tuple[int, str]
    names: str
    check: int


def lesson(number: str) -> Path:
    """The exercise notebook."""
    found = sorted((ROOT / "course").glob(f"{number}_*.ipynb"))
    assert len(found) == 1, f"{len(found)} notebooks of lesson {number}"
    return found[0]


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def tagged(cells: list[dict], tag: str) -> list[int]:
    return [i for i, cell in enumerate(cells) if tag in cell["metadata"].get("tags", [])]


def first_exercise(path: Path) -> Exercise | None:
    """None where a lesson has no exercises."""
    cells = cells_of(path)
    solved = {cell["id"]: "".join(cell["source"]) for cell in cells_of(path.parent / "solutions" / path.name)}
    pending = tagged(cells, "exercise")
    for check in tagged(cells, "check"):
        answers = {i: solved[cells[i]["id"]] for i in pending if i < check}
        pending = [i for i in pending if i > check]
        for number, mutants in wrong_answers(path.stem[:2]).items():
            if f'exercise="{number}"' not in "".join(cells[check]["source"]):
                continue
            for mutant in filter(lambda m: m.names, mutants):
                place = next(i for i, text in answers.items() if mutant.old in text)
                wrong = answers[place].replace(mutant.old, mutant.new)
                return Exercise(number, answers, (place, wrong), mutant.names, check)
    return None


def wrong_answers(number: str) -> dict:
    return importlib.import_module(f"mutants.lesson_{number}").MUTANTS


def answer_wrong_then_right(notebook: Notebook, exercise: Exercise) -> None:
    place, wrong = exercise.wrong
    for i, right in exercise.answers.items():
        notebook.write(i, wrong if i == place else right)
        notebook.run(i)
    said = notebook.run(exercise.check)
    assert f"✗ {exercise.number}" in said
    changed = set(wrong.splitlines()) - set(exercise.answers[place].splitlines())
    named = [exercise.names, *map(str.strip, changed)]  # the search may find the line before the steps are compared
    assert any(name in said for name in named), "the message does not name where the answer leaves the way"
    notebook.write(place, exercise.answers[place])
    notebook.run(place)
    assert f"✓ {exercise.number}" in notebook.run(exercise.check)


def assert_it_ran(notebook: Notebook) -> None:
    cells = notebook.code_cells()
    assert [cell.prompt for cell in cells] == [f"[{k + 1}]:" for k in range(len(cells))]
    assert not {f"{cell.prompt} {cell.first}": cell.faults for cell in cells if cell.faults}
    assert not notebook.complaints


def test_make_lab_opens_the_first_lesson():
    named = re.search(r"jupyterlab --LabApp.default_url=/lab/tree/(\S+)", (ROOT / "Makefile").read_text())
    assert (ROOT / named[1]).samefile(lesson("00"))


def test_pictures_and_guides_outside_of_the_lessons_folder_are_found_where_make_lab_begins(tmp_path):
    name = lay_out(lesson("14"), tmp_path)
    with jupyterlab(tmp_path) as lab, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        found = {}
        for screen in Notebook(page, lab, name).screens():
            found |= screen.evaluate(
                "() => Object.fromEntries([...document.querySelectorAll('.jp-MarkdownOutput img')]"
                ".map(img => [img.alt, img.complete && img.naturalWidth > 0]))"
            )
    assert len(found) == 3
    assert all(found.values()), found


@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_runs_its_slider_moves_an_exercise_is_answered_and_both_themes_can_be_read(number, tmp_path):
    path = lesson(number)
    name = lay_out(path, tmp_path)
    env = {"EDGESEG_FAST": "1", "EDGESEG_THREADS": "1", "EDGESEG_PROGRESS": str(tmp_path / "progress")}
    with jupyterlab(tmp_path, env) as lab, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        notebook = Notebook(page, lab, name)
        try:
            notebook.run_all()
            assert_it_ran(notebook)
            for i in tagged(cells_of(path), "slider"):
                notebook.move_slider(i)
            if exercise := first_exercise(path):
                answer_wrong_then_right(notebook, exercise)
            notebook.unfold()
            assert not notebook.pale_texts()
            notebook.choose_theme("JupyterLab Dark")
            assert not notebook.pale_texts()
            assert not notebook.elsewhere, "a lesson works without a network"
        finally:
            page.screenshot(path=str(tmp_path / "last.png"))  # what a failure looks like; pytest keeps the folder
