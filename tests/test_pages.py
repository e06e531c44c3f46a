"""The pages that lead from a word or an equation to a lesson and to code: nothing that they name is missing."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from edgeseg.course.syllabus import SYLLABUS

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROMAN = ("I", "II", "III", "IV", "V", "VI")


def rows(page: str, columns: int) -> list[list[str]]:
    """Cells of a page's tables, without heads."""
    lines = [line for line in (DOCS / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not set(line) <= set("|- ")]
    assert {len(row) for row in cells} == {columns}
    return [row for row in cells if row[0] not in ("word", "in the paper")]


def test_every_lesson_that_a_page_names_is_there():
    named = [row[-1] for row in rows("glossary.md", 3)] + [row[2] for row in rows("where.md", 4)]
    for text in named:
        numbers = re.findall(r"\d\d", text)
        assert numbers or text in ("–", "[guide](training.md)"), text
        assert set(numbers) <= set(SYLLABUS), f"no lesson {text}"


def test_every_word_of_the_glossary_stands_once_and_in_order():
    words = [row[0] for row in rows("glossary.md", 3)]
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words))


@pytest.mark.parametrize("row", rows("where.md", 4), ids=lambda row: row[0])
def test_what_a_page_names_in_the_package_is_there(row):
    name = row[3].strip("`")
    module, _, last = name.rpartition(".")
    assert hasattr(import_module(module), last) or import_module(name), name


@pytest.mark.parametrize(
    ("part", "equations", "tables", "figures"),
    [("## Cross-CBAM", 6, "123456", 8), ("## Improved HRNet", 8, ROMAN, 11)],
)
def test_no_equation_table_or_figure_of_a_paper_is_left_out(part, equations, tables, figures):
    text = (DOCS / "where.md").read_text(encoding="utf-8").partition(part)[2].partition("\n## ")[0]
    assert numbers(text, r"Eqs? ") == set(map(str, range(1, equations + 1)))
    assert numbers(text, r"Tables? ") == set(tables)
    assert numbers(text, r"Figs? ") == set(map(str, range(1, figures + 1)))


def numbers(text: str, kind: str) -> set[str]:
    """Of ``Eqs 4 and 5``, ``Figs 9 to 11``, ``Tables IV to VI``: every single one."""
    found: set[str] = set()
    for first, joint, last in re.findall(kind.replace(" ", r"\.? ") + r"(\w+)(?: (and|to) ([\dIVX]+)\b)?", text):
        order = ROMAN if first in ROMAN else tuple(map(str, range(20)))
        ends = [order.index(n) for n in (first, last) if n]
        found |= {order[i] for i in (range(ends[0], ends[-1] + 1) if joint == "to" else ends)}
    return found


TEACHING = (DOCS.parent / "course" / "teaching.md").read_text(encoding="utf-8")


def test_every_exercise_of_a_plan_is_there():
    named = re.findall(r"\b(\d\d)\.(\d+)\b", TEACHING)
    assert named
    assert [f"{n}.{k}" for n, k in named if int(k) > len(SYLLABUS[n].exercises)] == []


def test_the_minutes_of_a_plan_are_those_of_its_lessons():
    whole = re.findall(r"^\| \d+ \| (\d\d), (\d\d) \| (\d+) \|", TEACHING, flags=re.MULTILINE)
    assert len(whole) >= 6
    assert [(a, b, SYLLABUS[a].minutes + SYLLABUS[b].minutes) for a, b, _ in whole] == [
        (a, b, int(minutes)) for a, b, minutes in whole
    ]


def test_two_weeks_hold_every_lesson():
    plan = TEACHING.partition("**Two weeks**")[2].partition("**One term**")[0]
    assert set(re.findall(r"\b\d\d\b", re.sub(r"\d+ \+ \d+|\| \d+ \|", "|", plan))) >= set(SYLLABUS)
