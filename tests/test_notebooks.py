"""What every lesson keeps to, and what the stored notebooks hold. A failing test says the cure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason='lessons are read with jupytext: pip install -e ".[dev]"')

from course_builder import build, execution
from edgeseg.course.syllabus import SYLLABUS
from lesson_cells import ROOT, SOURCES, cells, execute, for_checks

TAGS = {"setup", "reference", "exercise", "build", "check", "help", "predict", "slider", "nbval-check-output"}
HEADER = re.compile(r"^### Exercise (?P<key>\d\d\.\d+) · (?P<name>.+?) +(?P<stars>[●○]{5}) · \d+ minutes$", re.M)
FOLDED = re.compile(r"<details\b.*?</details>", re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[(?P<alt>[^\]]*)\]\([^)]*\)|<img\b(?P<html>[^>]*)>")
LINK = re.compile(rf"(?:\]\(|\b(?:src|href)=\")({build._FILE})[)\"#]")
MOST_LINES = 40  # of text that one output shows
ELSEWHERE = re.compile(r"(?<![\w.:/<])(?:/(?:home|root|tmp|work|usr|opt|mnt|Users|content)/|[A-Z]:[\\/]|~/)\w")
WIDTH = 84  # of a code cell on a laptop, with the list of files open; course/src/ruff.toml keeps to it, too
FORBIDDEN = {
    r"^\s*[!%]": "shell lines and magics: a lesson is plain Python",
    r"\bpip\b|\bconda\b": "installing: say in the text what is needed",
    r"\burllib\b|\brequests\b|\bdownload\b|https?://": "the network: lessons work offline",
    r"\bsubprocess\b|\bos\.system\b": "other programs",
    r"\bfilterwarnings\b|\bsimplefilter\b": "hiding warnings: remove their cause",
}

lessons = pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
notebooks = pytest.mark.parametrize(
    "path", [build.target(s, kind) for s in SOURCES for kind in build.KINDS], ids=lambda p: f"{p.parent.name}/{p.stem}"
)


@cache
def stored(path: Path) -> dict:
    """A notebook as it lies there."""
    if not path.exists():
        pytest.fail(f"{path.name} is missing: {rerun(path)}")
    return json.loads(path.read_text(encoding="utf-8"))


def code(path: Path) -> Iterator[tuple[int, dict]]:
    yield from ((i, c) for i, c in enumerate(stored(path)["cells"]) if c["cell_type"] == "code")


def rerun(path: Path) -> str:
    return f"python course/build.py --run {path.stem[:2]}"


def entry(source: Path):
    return SYLLABUS[source.stem[:2]]


def text_of(source: Path) -> str:
    return "\n\n".join(c.text for c in cells(source) if c.kind == "markdown")


def words(text: str) -> int:
    """Of running text: without formulas, blocks of code and tags; a name in `code` is one word."""
    for pattern in (FENCED, re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL), PICTURE, re.compile(r"<[^>]+>")):
        text = pattern.sub(" ", text)
    text = re.sub(r"`[^`\n]+`", " name ", text)
    text = re.sub(r"\]\([^)]*\)", " ", text)
    return sum(any(c.isalpha() for c in word) for word in text.split())


def running(text: str) -> str:
    """What a reader meets unasked: without folded text, headings and tables."""
    return "\n".join(line for line in FOLDED.sub("", text).splitlines() if not line.lstrip().startswith(("#", "|")))


# Stored notebooks are what their sources give, and were executed ------------------------------------------------------


def test_notebooks_equal_their_sources():
    assert build.stale(ROOT / "course") == [], "python course/build.py writes them anew"


@notebooks
def test_stored_outputs_are_of_this_code_in_full_mode(path):
    of = stored(path)["metadata"].get("edgeseg", {})
    now = execution.code_of(build.nbformat.read(path, as_version=4))
    assert of.get("code") == now, f"cells have changed since the outputs were made: {rerun(path)}"
    assert of["mode"] == "full", f"outputs are of fast mode: {rerun(path)}"


@notebooks
def test_outputs_hold_no_errors_noise_widgets_or_paths(path):
    for i, cell in code(path):
        for output in cell["outputs"]:
            kind, text = output["output_type"], json.dumps(output, ensure_ascii=False)
            assert kind != "error", f"cell {i} failed: {rerun(path)}"
            assert output.get("name") != "stderr", f"cell {i} wrote to standard error: {rerun(path)}"
            assert "widget-view" not in text, f"cell {i} holds a widget, dead without its kernel: {rerun(path)}"
            shown = "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
            assert len(shown.splitlines()) <= MOST_LINES, (
                f"cell {i} prints {len(shown.splitlines())} lines: end it otherwise"
            )
            assert not ELSEWHERE.search(shown), f"cell {i} shows a path of one machine: {shown}"
            assert "image/png" in text or execution.FIGURE not in text, (
                f"cell {i} shows a figure as text: {rerun(path)}"
            )
            assert "0+source" not in shown, (
                f"cell {i} ran without an installed edgeseg: pip install -e ., {rerun(path)}"
            )
            assert not re.search(r" at 0x[0-9a-f]{6}", shown), f"cell {i} shows an address in memory: end it otherwise"


@notebooks
def test_compared_cells_have_something_to_compare_with(path):
    for i, cell in code(path):
        if "nbval-check-output" not in cell["metadata"].get("tags", []):
            continue
        assert cell["outputs"], f"cell {i}, tagged nbval-check-output, has no output: {rerun(path)}, or drop the tag"
        counts = [o["execution_count"] for o in cell["outputs"] if "execution_count" in o]
        assert None not in [cell["execution_count"], *counts], f"cell {i} has no execution count: {rerun(path)}"


@lessons
def test_open_and_solved_notebooks_found_the_same(source):
    said = [
        [
            "".join(o.get("text", ""))
            for _, c in code(build.target(source, kind))
            if is_compared(c)
            for o in c["outputs"]
        ]
        for kind in build.KINDS
    ]
    assert said[0] == said[1], "the package's own and the solutions lead to other numbers: is one of them wrong?"


def is_compared(cell: dict) -> bool:
    return "nbval-check-output" in cell["metadata"].get("tags", []) and "check" not in cell["metadata"]["tags"]


@notebooks
def test_notebooks_are_small_and_start_with_python3(path):
    kernel = stored(path)["metadata"]["kernelspec"]
    size = path.stat().st_size
    assert size <= execution.LARGEST, f"{size / 1000:.0f} kB: fewer or smaller figures, then {rerun(path)}"
    assert kernel == build.METADATA["kernelspec"], "python course/build.py"


@notebooks
def test_links_lead_somewhere(path):
    for i, cell in enumerate(stored(path)["cells"]):
        for link in LINK.findall("".join(cell["source"])) if cell["cell_type"] == "markdown" else ():
            assert (path.parent / link).exists(), f"cell {i} links to {link}, which is not there (count from course/)"


# The lesson's form ----------------------------------------------------------------------------------------------------


@lessons
def test_the_lesson_is_on_the_syllabus_and_begins_as_agreed(source):
    number, about = source.stem[:2], (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(\d+\.\d+)\.', about, re.MULTILINE)[1]
    assert source.stem == f"{number}_{entry(source).slug}", "the file's name is number and slug of the syllabus"
    first, setup = cells(source)[:2]
    lines = first.text.splitlines()
    assert lines[0] == f"# {number} · {entry(source).title}", "the title is the syllabus's"
    assert entry(source).facts() in lines, f"the facts line is the syllabus's. Copy:\n{entry(source).facts()}"
    assert "setup" in setup.tags, "the second cell is tagged setup"
    begin = re.search(r'course\.begin\("(\d\d)", version="([\d.]+)"\)', setup.text)
    assert begin, f'the setup cell calls course.begin("{number}", version="{version}")'
    assert begin[1] == number
    assert begin[2] == version, f"written for edgeseg {begin[2]}: does it still hold? Then {version}"


@lessons
def test_exercises_are_those_of_the_syllabus(source):
    names = entry(source).exercises
    assert 4 <= len(names) <= 6, "a lesson has four to six exercises; write them into the syllabus"
    found = [(m["key"], m["name"]) for m in HEADER.finditer(text_of(source))]
    expected = [(f"{source.stem[:2]}.{k + 1}", name) for k, name in enumerate(names)]
    assert found == expected, "headers read `### Exercise 05.3 · Name   ●●○○○ · 10 minutes`, names as in the syllabus"
    assert text_of(source).count("### Exercise ") == len(names), "a header of an exercise is not in the agreed form"
    for header in HEADER.finditer(text_of(source)):
        assert header["stars"] == header["stars"].replace("○", "").ljust(5, "○"), f"{header['key']}: ● first, then ○"
        assert "●" in header["stars"], f"{header['key']}: at least one ●"


@lessons
def test_exercises_are_header_stub_check_and_help_in_this_order(source):
    steps = {"exercise": "E", "check": "C", "help": "P"}
    order, checked = "", []
    for cell in cells(source):
        order += "H" if cell.kind == "markdown" and HEADER.search(cell.text) else ""
        order += "".join(steps[tag] for tag in steps if tag in cell.tags)
        checked += cell.exercises
        assert bool(cell.exercises) == ("check" in cell.tags), f"tag check and course.check go together:\n{cell.text}"
        assert "<details" in cell.text or "help" not in cell.tags, f"help is folded (<details>):\n{cell.text}"
    assert re.fullmatch(r"(HE+C+P)*", order), f"each exercise is a header, stub, check, help; this lesson has {order}"
    assert checked == [f"{source.stem[:2]}.{k + 1}" for k in range(len(entry(source).exercises))]


@lessons
def test_a_lesson_is_short_and_text_comes_in_small_pieces(source):
    total = words(text_of(source))
    assert total <= 2500, f"{total} words, 2500 are allowed; folded text counts"
    piece, begin = "", ""
    kinds = cells(source)
    for cell in kinds:
        pieces = PICTURE.split(running(cell.text))[:: PICTURE.groups + 1] if cell.kind == "markdown" else [""]
        for k, text in enumerate(pieces):
            if k or cell.kind == "code":
                assert words(piece) <= 120, f"{words(piece)} words without code or a picture, from: {begin}"
                piece = ""
            begin = begin if piece.strip() else text.strip()[:60]
            piece += f"\n{text}"
    # what follows the last code cell is the lesson's end: summary, folded questions, what next


@lessons
def test_code_cells_are_short_and_fit_beside_the_list_of_files(source):
    for i, cell in enumerate(cells(source)):
        lines = [line for line in cell.text.splitlines() if line.strip()]
        if cell.kind == "code":
            most = 25 if "exercise" in cell.tags else 15  # a solution is folded; its cell shows the head alone
            assert len(lines) <= most, f"cell {i} has {len(lines)} lines, {most} are allowed:\n{cell.text}"
            wide = [line for line in lines if len(line) > WIDTH]
            assert not wide, f"cell {i} has lines of more than {WIDTH} characters:\n" + "\n".join(wide)


@lessons
def test_tags_are_known_and_sliders_tagged(source):
    for i, cell in enumerate(cells(source)):
        assert cell.tags <= TAGS, f"cell {i} has unknown tags {sorted(cell.tags - TAGS)}; known: {sorted(TAGS)}"
        uses = cell.kind == "code" and bool(re.search(r"\binteract(ive|_manual)?\(", cell.text))
        assert uses == ("slider" in cell.tags), f"cell {i}: interact and the tag slider belong together"


@lessons
def test_code_does_nothing_that_a_lesson_must_not(source):
    for i, cell in enumerate(cells(source)):
        if cell.kind == "code":
            for pattern, what in FORBIDDEN.items():
                found = re.search(pattern, cell.text, re.MULTILINE)
                assert not found, f"cell {i}, {found[0]!r}: not in a lesson: {what}"
        assert not ELSEWHERE.search(cell.text), f"cell {i} names a path of one machine:\n{cell.text}"


@lessons
def test_pictures_have_words_for_those_who_do_not_see_them(source):
    for i, cell in enumerate(cells(source)):
        for found in PICTURE.finditer(cell.text) if cell.kind == "markdown" else ():
            alt = found["alt"] or re.search(r'alt="([^"]+)"', found["html"] or "")
            assert alt, f"cell {i}: {found[0]} has no alt text; say what the picture shows"


@lessons
def test_folded_text_is_closed(source):
    for i, cell in enumerate(cells(source)):
        if cell.kind == "markdown":
            opened, closed = (len(re.findall(tag, cell.text)) for tag in ("<details", "</details>"))
            assert opened == closed == len(FOLDED.findall(cell.text)), f"cell {i}: <details> open, or inside another"


# Blocks ---------------------------------------------------------------------------------------------------------------


def definitions(source: Path) -> set[str]:
    """Names of all classes of a lesson, and of functions in cells tagged build."""
    found = set()
    for cell in cells(source):
        if cell.kind == "code":
            kinds = (ast.ClassDef, ast.FunctionDef) if "build" in cell.tags else (ast.ClassDef,)
            found |= {n.name for n in ast.parse(cell.text).body if isinstance(n, kinds)}
    return found


def test_no_block_is_defined_in_two_lessons():
    lessons_of: dict[str, list[str]] = {}
    for source in SOURCES:
        for name in definitions(source):
            lessons_of.setdefault(name, []).append(source.stem)
    twice = {name: places for name, places in lessons_of.items() if len(places) > 1}
    assert not twice, 'import it, or go on with the learner\'s: Name = course.mine("05.3", package.Name)'


@cache
def names_of_the_package() -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "edgeseg").rglob("*.py")]
    return {n.name for tree in trees for n in ast.walk(tree) if isinstance(n, (ast.ClassDef, ast.FunctionDef))}


@lessons
def test_blocks_carry_the_names_of_the_package(source):
    names = names_of_the_package()
    for i, cell in enumerate(cells(source)):
        if "build" in cell.tags:
            built = {n.name for n in ast.parse(cell.text).body if isinstance(n, (ast.ClassDef, ast.FunctionDef))}
            assert built, f"cell {i} is tagged build and defines nothing"
            assert built <= names, f"cell {i} is tagged build, and the package has no {sorted(built - names)}"


@lessons
def test_strict_mode_refuses_every_exercise_that_is_left_open(source, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path))
    monkeypatch.setenv("EDGESEG_FAST", "1")
    monkeypatch.setenv("EDGESEG_COURSE_STRICT", "1")
    open_cells = build.notebook(source, "exercises").cells
    opened = [c.source for c in open_cells if "solution" not in c.metadata.get("tags", [])]
    scope: dict = {"__name__": "__main__"}
    for i, cell in for_checks(source):
        name = f"open lesson {source.stem[:2]}, cell {i}"
        if "check" in cell.tags:
            with pytest.raises(AssertionError, match="not written yet"):
                execute(cell.text, name, scope)
            monkeypatch.setenv("EDGESEG_COURSE_STRICT", "0")  # go on with the package's own
            execute(cell.text, name, scope)
            monkeypatch.setenv("EDGESEG_COURSE_STRICT", "1")
        else:
            execute(opened[i], name, scope)


# Syllabus -------------------------------------------------------------------------------------------------------------


def test_the_readme_lists_every_lesson_with_its_minutes():
    readme = ROOT / "course" / "README.md"
    if not readme.exists():
        pytest.skip("course/README.md is not written yet")
    rows = [line for line in readme.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("|")]
    for number, of in SYLLABUS.items():
        row = next((r for r in rows if number in r and of.title in r), None)
        assert row, f"no row of course/README.md has {number} and {of.title!r}"
        assert re.search(rf"\b{of.minutes}\b", row.replace(number, "", 1)), f"{row}\nhas not {of.minutes} minutes"
