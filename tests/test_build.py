"""The course's builder: one source gives two notebooks, and a run stores what a page can show."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("jupytext", reason='notebooks are built with jupytext: pip install -e ".[dev]"')

from course_builder import build, execution
from lesson_cells import ROOT

TINY = '''\
# %% [markdown]
# # 05 · Tiny
# ![The two notebooks](results/tiny.png) and [the next lesson](06_next.ipynb)

# %% tags=["setup"]
import os, sys
from pathlib import Path

# %% [markdown]
# ### Exercise 05.1 · Half   ●○○○○ · 2 minutes

# %% tags=["exercise", "build"]
class Half:
    def __init__(self, x):
        """Keeps x."""
        ### BEGIN SOLUTION
        self.x = x
        ### END SOLUTION

    def __call__(self):
        ### BEGIN SOLUTION
        half = self.x / 2
        return half
        ### END SOLUTION

# %% tags=["check", "nbval-check-output"]
try:
    print(Half(3)())
except NotImplementedError as error:
    print(error)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# Divide.
# </details>

# %%
elsewhere = Path(os.environ["EDGESEG_PROGRESS"]).is_absolute()
print(Path.cwd().name, os.environ["EDGESEG_FAST"], os.environ.get("EDGESEG_DATA"), elsewhere)
'''
PICTURES = """
# %%
from PIL import Image
Image.effect_noise((300, 200), 90).convert("RGB")

# %%
print("noise", file=sys.stderr)
"""
SLIDER = """
# %%
import ipywidgets

def show(side=3):
    {}
    print(side)

ipywidgets.interact(show, side=(1, 5));
"""


@pytest.fixture
def tiny(tmp_path):
    """A course of one lesson; its source."""
    source = tmp_path / "src" / "05_tiny.py"
    source.parent.mkdir()
    source.write_text(TINY, encoding="utf-8")
    return source


def code(book, tag):
    return next(c for c in book.cells if tag in c.metadata.get("tags", []))


def test_exercises_are_left_open_at_their_indent(tiny):
    text = code(build.notebook(tiny, "exercises"), "exercise").source
    assert text.count('\n        raise NotImplementedError("your turn")') == 2
    assert '"""Keeps x."""' in text
    assert "self.x" not in text
    assert "SOLUTION" not in text


def test_solutions_lose_their_marks_only(tiny):
    text = code(build.notebook(tiny, "solutions"), "exercise").source
    assert "SOLUTION" not in text
    assert "        half = self.x / 2\n        return half" in text


def test_a_folded_solution_follows_the_help_of_the_exercise_notebook(tiny):
    cells = build.notebook(tiny, "exercises").cells
    place = next(i for i, c in enumerate(cells) if "help" in c.metadata.get("tags", []))
    assert cells[place + 1].source.startswith("<details><summary>Solution</summary>\n\n```python\nclass Half:")
    assert "self.x / 2" in cells[place + 1].source
    assert not any("Solution</summary>" in c.source for c in build.notebook(tiny, "solutions").cells)


def test_a_handout_holds_help_and_no_solutions_and_overwrites_nothing(tiny, tmp_path, capsys):
    folder = tmp_path / "handout"
    assert build.main(["--handout", str(folder)], tiny.parent.parent) == 0
    text = (folder / "05_tiny.ipynb").read_text(encoding="utf-8")
    assert "Help</summary>" in text
    assert "Solution</summary>" not in text
    assert "self.x / 2" not in text
    assert build.main(["--handout", str(folder)], tiny.parent.parent) == 1
    assert "nothing is overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("        ### END SOLUTION\n\n    def", "\n    def", r"05_tiny.py, cell 3 \('class Half:'\): .* take turns"),
        ("        ### BEGIN SOLUTION\n        self", "        self", "cell 3 .* take turns"),
        ("        return half\n        ### END SOLUTION", "        return half", "without ### END SOLUTION"),
        ('["exercise", "build"]', '["build"]', "cell 3 .* belong together"),
        ('tags=["check", "nbval-check-output"]', 'tags=["exercise"]', "cell 4 .* belong together"),
        ("# # 05 · Tiny", '# # 05 · Tiny\n\n# %% [markdown] tags=["help"]\n# x', "no exercise since the last one"),
    ],
)
def test_a_source_that_is_not_right_is_refused_with_file_and_cell(tiny, old, new, message):
    assert old in TINY
    tiny.write_text(TINY.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(build.CourseError, match=message):
        build.notebook(tiny, "exercises")


def test_ids_stay_when_a_cell_is_inserted_and_when_minutes_change(tiny):
    before = [c.id for c in build.notebook(tiny, "exercises").cells]
    assert len(set(before)) == len(before)
    more = TINY.replace("# %% tags=", "# %% [markdown]\n# # Before\n# text\n\n# %%\nimport json\n\n# %% tags=", 1)
    tiny.write_text(more.replace("2 minutes", "3 minutes"), encoding="utf-8")
    after = [c.id for c in build.notebook(tiny, "exercises").cells]
    assert len(after) == len(before) + 2
    assert set(before) - set(after) == {before[1]}, "only the cell under the new heading may get another id"


def test_links_of_solutions_start_one_folder_deeper_but_between_notebooks(tiny):
    assert "(results/tiny.png)" in build.notebook(tiny, "exercises").cells[0].source
    text = build.notebook(tiny, "solutions").cells[0].source
    assert "(../results/tiny.png)" in text
    assert "(06_next.ipynb)" in text


def test_metadata_other_than_tags_is_left_out(tiny):
    tiny.write_text(TINY.replace("# %%\nprint", "# %% collapsed=true\nprint"), encoding="utf-8")
    book = build.notebook(tiny, "exercises")
    assert {key for c in book.cells for key in c.metadata} == {"tags"}
    assert book.metadata.kernelspec.name == "python3"


def test_check_names_what_is_missing_changed_and_without_a_source(tiny, tmp_path, capsys):
    def names():
        found = build.main(["--check"], tmp_path)
        return found, capsys.readouterr().err

    code_, said = names()
    assert code_ == 1
    assert "05_tiny.ipynb is missing" in said
    assert "solutions/05_tiny.ipynb is missing" in said
    assert build.main([], tmp_path) == 0
    assert names() == (0, "")
    before = (tmp_path / "05_tiny.ipynb").read_bytes()
    assert build.main(["05"], tmp_path) == 0
    assert (tmp_path / "05_tiny.ipynb").read_bytes() == before

    path = tmp_path / "solutions" / "05_tiny.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("self.x / 2", "self.x / 3"), encoding="utf-8")
    (tmp_path / "04_old.ipynb").write_text("{}", encoding="utf-8")
    code_, said = names()
    assert code_ == 1
    assert "solutions/05_tiny.ipynb is not what src/05_tiny.py gives" in said
    assert "04_old.ipynb has no source" in said
    assert "\n05_tiny" not in said
    assert "python course/build.py" in said


def test_outputs_stay_with_cells_that_did_not_change(tiny, tmp_path):
    build.main([], tmp_path)
    path = tmp_path / "05_tiny.ipynb"
    book = json.loads(path.read_text(encoding="utf-8"))
    for count, cell in enumerate(c for c in book["cells"] if c["cell_type"] == "code"):
        cell["execution_count"] = count + 1
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [f"{count}"]}]
    path.write_text(json.dumps(book), encoding="utf-8")
    tiny.write_text(TINY.replace("print(Half(3)())", "print(Half(4)())"), encoding="utf-8")
    build.main([], tmp_path)
    cells = [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in cells] == [1, 2, None, 4]
    assert [len(c["outputs"]) for c in cells] == [1, 1, 0, 1]
    assert build.stale(tmp_path) == []


def test_a_number_without_a_lesson_is_answered_with_those_that_exist(tiny, tmp_path, capsys):
    assert build.main(["7"], tmp_path) == 1
    assert "no lesson '7'" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.ipynb"))


def test_a_run_stores_text_and_small_pictures_and_reports_standard_error(tiny, tmp_path, capsys, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))  # whose pictures are not ours to publish
    tiny.write_text(TINY + PICTURES, encoding="utf-8")
    assert build.main(["--run", "--fast"], tmp_path) == 1
    said = capsys.readouterr()
    assert "05_tiny.ipynb, cell 9 writes to standard error (left out): noise" in said.err
    assert "slowest cells" in said.out
    shown = {}
    for kind in build.KINDS:
        book = json.loads(build.target(tiny, kind).read_text(encoding="utf-8"))
        cells = [c for c in book["cells"] if c["cell_type"] == "code"]
        assert [c["execution_count"] for c in cells] == [1, 2, 3, 4, 5, 6]
        shown[kind] = [c["outputs"][0]["text"] for c in (cells[2], cells[3])]
        png = base64.b64decode(cells[4]["outputs"][0]["data"]["image/png"])
        assert Image.open(io.BytesIO(png)).mode == "P"
        assert cells[5]["outputs"] == []
        assert "widgets" not in book["metadata"]
        assert book["metadata"]["edgeseg"]["mode"] == "fast"
    assert shown["exercises"] == [["your turn\n"], [f"{tmp_path.name} 1 None True\n"]]
    assert shown["solutions"] == [["1.5\n"], ["solutions 1 None True\n"]]
    assert build.stale(tmp_path) == []


def test_a_cell_that_fails_is_named_and_no_outputs_are_stored(tiny, tmp_path, capsys):
    tiny.write_text(TINY + "\n# %%\n1 / 0\n", encoding="utf-8")
    assert build.main(["--run", "--only", "solutions"], tmp_path) == 1
    said = capsys.readouterr().err
    assert "05_tiny.ipynb, cell 7 fails" in said
    assert "ZeroDivisionError" in said
    assert '"execution_count": null' in (tmp_path / "solutions" / "05_tiny.ipynb").read_text(encoding="utf-8")


def test_sliders_leave_nothing_and_their_errors_count(tiny, tmp_path, capsys):
    pytest.importorskip("ipywidgets", reason="sliders need the extra course")
    tiny.write_text(TINY + SLIDER.format("pass"), encoding="utf-8")
    assert build.main(["--run", "--only", "solutions"], tmp_path) == 0, capsys.readouterr().err
    book = json.loads((tmp_path / "solutions" / "05_tiny.ipynb").read_text(encoding="utf-8"))
    assert book["cells"][-1]["outputs"] == []
    assert book["cells"][-1]["execution_count"] == 5
    tiny.write_text(TINY + SLIDER.format("side / 0"), encoding="utf-8")
    assert build.main(["--run", "--only", "solutions"], tmp_path) == 1
    assert "cell 7 fails in its slider: ZeroDivisionError" in capsys.readouterr().err


def test_lessons_run_as_tests_and_stored_outputs_are_compared_where_tagged(tiny, tmp_path):
    pytest.importorskip("nbval", reason='notebooks run as tests with nbval: pip install -e ".[dev]"')
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment |= {"EDGESEG_FAST": "1", "EDGESEG_PROGRESS": str(tmp_path / "progress")}

    assert build.main(["--run", "--fast", "--only", "exercises"], tmp_path) == 0
    text = (tmp_path / "05_tiny.ipynb").read_text(encoding="utf-8")
    (tmp_path / "06_other.ipynb").write_text(text.replace("your turn\\n", "another turn\\n"), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "tests" / "nbval.ini"), "--rootdir", ".", "-n", "0"]
    done = subprocess.run([*command, "."], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "1 failed, 7 passed" in done.stdout, "exercises only, solutions apart"
    assert "06_other.ipynb::Cell 2" in done.stdout


def test_a_notebook_that_is_too_large_names_its_biggest_cells(tiny):
    book = build.notebook(tiny, "solutions")
    cell = next(c for c in book.cells if c.cell_type == "code")
    cell.outputs = [execution.nbformat.v4.new_output("stream", text="x" * 600_000)]
    (said,) = execution.too_large(book, tiny.with_suffix(".ipynb"))
    assert "500 are allowed" in said
    assert "cell 1 600 kB" in said
