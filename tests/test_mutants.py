"""`check` tells right from wrong: every lesson's solved exercises pass, and every wrong answer is refused by name.

The wrong answers lie in ``tests/mutants/lesson_NN.py`` as ``MUTANTS = {"05.3": [Mutant(…), …]}``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason='lessons are read with jupytext: pip install -e ".[dev]"')

from edgeseg.course.syllabus import SYLLABUS
from lesson_cells import ROOT, SOURCES, execute, for_checks

AT_LEAST = 5  # wrong answers an exercise


def mutants(source: Path) -> dict:
    name = f"lesson_{source.stem[:2]}"
    path = ROOT / "tests" / "mutants" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"mutants.{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MUTANTS


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setenv("EDGESEG_FAST", "1")
    monkeypatch.delenv("EDGESEG_COURSE_STRICT", raising=False)
    monkeypatch.setattr("edgeseg.course.repair._SECONDS", 0.0)  # whether it is refused is asked here, not in which line


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_wrong_answers_are_refused_by_name_and_right_ones_pass(source, capsys):
    number = source.stem[:2]
    wrong = mutants(source)
    scope: dict = {"__name__": "__main__"}
    pending: dict[str, str] = {}  # exercise cells that the next check tests
    checked = []
    for i, cell in for_checks(source):
        name = f"lesson {number}, cell {i}"
        if "check" not in cell.tags:
            execute(cell.text, name, scope)
            if "exercise" in cell.tags:
                pending[name] = cell.text
            continue
        for exercise in cell.exercises:
            for mutant in wrong.get(exercise, ()):
                try_mutant(mutant, cell.text, name, pending, dict(scope), capsys)
        execute(cell.text, name, scope)
        said = capsys.readouterr().out
        assert said.count("✓") == len(cell.exercises), f"the solution is refused: {said}"
        checked += cell.exercises
        pending = {}
    expected = [f"{number}.{k + 1}" for k in range(len(SYLLABUS[number].exercises))]
    assert checked == expected, "exercises and checks of the lesson are not those of the syllabus"
    for exercise in expected:
        bad = [m for m in wrong.get(exercise, ()) if m.names]
        assert len(bad) >= AT_LEAST, f"{exercise} has {len(bad)} wrong answers; write {AT_LEAST}"


def try_mutant(mutant, check: str, name: str, pending: dict[str, str], scope: dict, capsys) -> None:
    holders = [k for k, text in pending.items() if mutant.old in text]
    assert len(holders) == 1, f"{mutant.what}: its text stands in {len(holders)} of the exercise's cells"
    text = pending[holders[0]]
    assert text.count(mutant.old) == 1, f"{mutant.what}: its text stands there {text.count(mutant.old)} times"
    execute(text.replace(mutant.old, mutant.new), f"{holders[0]}, {mutant.what}", scope)
    capsys.readouterr()
    execute(check, f"{name}, {mutant.what}", scope)
    said = capsys.readouterr().out
    if mutant.names:
        assert "✗" in said, f"{mutant.what}: passes, and is wrong"
        assert mutant.names in said, f"{mutant.what}: {mutant.names!r} is not named in\n{said}"
    else:
        assert "✓" in said, f"{mutant.what}: is right, and is refused:\n{said}"
