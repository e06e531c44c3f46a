"""Known mistakes: each is refused in its own lesson's check, and told in its own words."""

from __future__ import annotations

import importlib
import re

import pytest

pytest.importorskip("jupytext", reason='lessons are read with jupytext: pip install -e ".[dev]"')

from edgeseg import course
from edgeseg.course.mistakes import known, told
from edgeseg.course.syllabus import SYLLABUS
from lesson_cells import SOURCES, execute, for_checks


def exercises(source):
    """Of a lesson, those with known mistakes."""
    number = source.stem[:2]
    return {f"{number}.{k + 1}" for k in range(len(SYLLABUS[number].exercises)) if known(f"{number}.{k + 1}")}


LESSONS = [source for source in SOURCES if exercises(source)]


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setenv("EDGESEG_FAST", "1")
    monkeypatch.delenv("EDGESEG_COURSE_STRICT", raising=False)


class Learner:
    """The course's functions for who answers with a mistake."""

    def __init__(self, make):
        self.make = make

    def __getattr__(self, name):
        return getattr(course, name)

    def check(self, mine, package, *cases, **how):
        return course.check(self.make(package), package, *cases, **how)


@pytest.mark.parametrize("source", LESSONS, ids=lambda p: p.stem)
def test_every_known_mistake_is_told_in_its_own_words(source, capsys):
    scope: dict = {"__name__": "__main__"}
    seen = set()
    for i, cell in for_checks(source):
        for exercise in set(cell.exercises) & exercises(source) if "check" in cell.tags else ():
            seen.add(exercise)
            for words, make in known(exercise).items():
                capsys.readouterr()
                execute(cell.text, f"lesson {source.stem}, cell {i}, {words}", scope | {"course": Learner(make)})
                said = re.sub(r"\s+", " ", capsys.readouterr().out)
                assert f"Exactly this comes out if {words}." in said, said
        execute(cell.text, f"lesson {source.stem}, cell {i}", scope)
    assert seen == exercises(source)


def test_every_file_of_known_mistakes_belongs_to_a_lessons_exercises():
    files = sorted((SOURCES[0].parents[2] / "edgeseg" / "course" / "mistakes").glob("lesson_*.py"))
    assert [file.stem[-2:] for file in files] == [source.stem[:2] for source in LESSONS]
    for number in (file.stem[-2:] for file in files):
        listed = importlib.import_module(f"edgeseg.course.mistakes.lesson_{number}").MISTAKES
        assert {exercise[:2] for exercise in listed} == {number}
        assert len(listed) == len(exercises(next(p for p in SOURCES if p.stem[:2] == number)))


def test_what_no_known_mistake_gives_is_told_nothing():
    assert told("07.1", object, lambda mistake: False) == ""
    assert told("05.1", object, lambda mistake: True) == ""
