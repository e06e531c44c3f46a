"""`edgeseg course mark` says of every exercise what it is, and comes back whatever was handed in."""

from __future__ import annotations

import csv
import json
import sys

import pytest

pytest.importorskip("nbclient", reason='notebooks are run with nbclient: pip install -e ".[course]"')

import nbformat

from edgeseg.course import mark
from edgeseg.course.syllabus import SYLLABUS
from test_cli import edgeseg

SETUP = "from edgeseg import course\nfrom edgeseg.course.lessons import lesson_06 as ours"
CHECK = "{0} = course.check({0}, ours.{0}, course.case({1}), exercise='{2}')"
FITS, FASTER = CHECK.format("factor_fits", "60, 96", "06.1"), CHECK.format("faster", "120.0, 100.0", "06.5")
RIGHT = "def faster(speed, other):\n    return 100 * (speed / other - 1)"
STUB = "def factor_fits(height, width):\n    raise NotImplementedError('your turn')"
ENDLESS = "def factor_fits(height, width):\n    while True:\n        pass"
DEAF = """def factor_fits(height, width):
    import time
    while True:
        try:
            time.sleep(9)
        except KeyboardInterrupt:
            pass"""


def hand_in(folder, learner, *cells):
    (folder / learner).mkdir(parents=True)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in (SETUP, *cells)])
    nbformat.write(book, folder / learner / "06_cross_cbam.ipynb")


def verdicts(marks):
    return {(m.learner, m.exercise): m.verdict for m in marks}


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handed-in")
    hand_in(folder, "ada", "def factor_fits(height, width):\n    return True", FITS, RIGHT, FASTER)
    hand_in(folder, "ben", STUB, FITS, RIGHT.replace("100 *", "10 *"), FASTER)
    hand_in(folder, "cleo", ENDLESS, FITS, "def faster(speed, other)\n    return 1", FASTER)
    return list(mark.marks(folder, timeout=4, limit=120))


def test_each_exercise_gets_its_own_verdict(marks):
    found = verdicts(marks)
    assert len(marks) == 3 * len(SYLLABUS["06"].exercises)
    assert (found["ada", "06.1"], found["ada", "06.5"]) == ("right", "right")
    assert (found["ben", "06.1"], found["ben", "06.5"]) == ("open", "wrong")
    assert found["ada", "06.2"] == "error"


def test_an_endless_loop_is_stopped_and_the_rest_is_marked(marks):
    found = verdicts(marks)
    assert (found["cleo", "06.1"], found["cleo", "06.5"]) == ("timeout", "error")
    assert "SyntaxError" in next(m.message for m in marks if (m.learner, m.exercise) == ("cleo", "06.5"))
    assert "2, and should be 20" in next(m.message for m in marks if (m.learner, m.exercise) == ("ben", "06.5"))


def test_a_kernel_that_does_not_listen_is_killed(tmp_path):
    hand_in(tmp_path, "deaf", DEAF, FITS, RIGHT, FASTER)
    found = verdicts(mark.marks(tmp_path, timeout=4, limit=120))
    assert found["deaf", "06.1"] == found["deaf", "06.5"] == "timeout"


def test_kept_answers_are_run_in_the_courses_own_notebook(tmp_path):
    course, blocks = tmp_path / "course", tmp_path / "in" / "ada" / "blocks"
    hand_in(tmp_path, "course", STUB, FITS, RIGHT, FASTER)
    book = nbformat.read(course / "06_cross_cbam.ipynb", as_version=4)
    for cell, tag in zip(book.cells, ("setup", "exercise", "check", "exercise", "check"), strict=True):
        cell.metadata["tags"] = [tag]
    nbformat.write(book, course / "06_cross_cbam.ipynb")
    blocks.mkdir(parents=True)
    kept = "def factor_fits(height, width):\n    return True\n\n\nANSWER = factor_fits\n"
    (blocks / "exercise_06_1.py").write_text(kept)
    state = {"06.1": {"state": "right", "tries": 1}, "06.2": {"state": "wrong", "tries": 2}}
    (blocks.parent / "progress.json").write_text(json.dumps({"format": 1, "exercises": state}))
    assert verdicts(mark.marks(tmp_path / "in", course=course))["ada", "06.1"] == "right"
    with pytest.raises(mark.MarkError, match="--course"):
        list(mark.marks(tmp_path / "in"))


def test_the_command_warns_and_writes_a_table(tmp_path, monkeypatch, capsys, marks):
    monkeypatch.setattr(mark, "marks", lambda *_: iter([*marks, mark.Mark("=x", "06.1", "n", "wrong", "-1")]))
    code, out, _ = edgeseg(monkeypatch, capsys, "course", "mark", tmp_path, "--out", tmp_path / "marks.csv")
    assert code == 0
    assert "2 timeout" not in out.splitlines()[0]
    rows = list(csv.DictReader((tmp_path / "marks.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == ["learner", "exercise", "name", "verdict", "message"]
    assert (rows[-1]["learner"], rows[-1]["message"]) == ("'=x", "'-1")
    assert "OTHER PEOPLE" in edgeseg(monkeypatch, capsys, "course", "mark", "--help")[1]


def test_nothing_to_mark_and_nothing_to_mark_with_are_told(tmp_path, monkeypatch):
    with pytest.raises(mark.MarkError, match="nothing to mark"):
        list(mark.marks(tmp_path))
    monkeypatch.setitem(sys.modules, "nbclient", None)
    with pytest.raises(mark.MarkError, match=r"edgeseg\[course\]"):
        list(mark.marks(tmp_path))
