"""Lessons 10, 15, 19 and 20 in a real browser: pictures fit and can be read, a board is drawn on, a ride plays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason='drives the browser: pip install -e ".[browser]"')
pytest.importorskip("jupyterlab", reason='opens the lessons: pip install -e ".[course]"')

from lab import PANEL, Notebook, chromium, find_chromium, jupyterlab, lay_out
from playwright.sync_api import expect
from test_browser import answer_wrong_then_right, assert_it_ran, cells_of, first_exercise, lesson

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium or Chrome, e.g. apt-get install chromium"),
]

_FAULTY_PICTURES = """panel => {
    const found = [];
    for (const img of document.querySelectorAll(`${panel} .jp-OutputArea-output img`)) {
        const room = img.closest('.jp-OutputArea-output').getBoundingClientRect(), box = img.getBoundingClientRect();
        const cell = img.closest('.jp-Cell').querySelector('.jp-InputPrompt')?.textContent ?? '';
        if (!img.complete || !img.naturalWidth) { found.push(`${cell} did not come up`); continue; }
        if (box.width < 40) found.push(`${cell} is ${box.width} wide`);
        if (box.right > room.right + 1) found.push(`${cell} sticks out by ${Math.round(box.right - room.right)}`);
        const board = new OffscreenCanvas(img.naturalWidth, img.naturalHeight).getContext('2d');
        board.drawImage(img, 0, 0);
        const alpha = (x, y) => board.getImageData(x, y, 1, 1).data[3];
        const [right, bottom] = [img.naturalWidth - 1, img.naturalHeight - 1];
        const corners = [alpha(0, 0), alpha(right, 0), alpha(0, bottom), alpha(right, bottom)];
        if (Math.min(...corners) < 255) found.push(`${cell} is see-through: black letters on a dark page`);
    }
    return found;
}"""


@contextmanager
def opened(number: str, folder: Path) -> Iterator[Notebook]:
    """A lesson as a learner finds it, unsolved and beside the course's logs, run to its end."""
    name = lay_out(lesson(number), folder)
    env = {"EDGESEG_FAST": "1", "EDGESEG_THREADS": "1", "EDGESEG_PROGRESS": str(folder / "progress")}
    with jupyterlab(folder, env) as lab, chromium() as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()  # a context: two windows
        notebook = Notebook(page, lab, name)
        try:
            notebook.run_all()
            yield notebook
        finally:
            page.screenshot(path=str(folder / "last.png"))  # what a failure looks like; pytest keeps the folder


def place_of(number: str, text: str) -> int:
    """The place of a lesson's only code cell that holds a text."""
    cells = cells_of(lesson(number))
    (place,) = (i for i, c in enumerate(cells) if c["cell_type"] == "code" and text in "".join(c["source"]))
    return place


def a_ride_plays(notebook: Notebook) -> None:
    """Lesson 19: the loop of section 4 with the live page, looked at in a second window while it runs."""
    place = place_of("19", "print(summary.table())")
    ride = 'Capture(open_source("streets", size=size, fps=30))'
    notebook.write(
        place,
        "from edgeseg.live.display import Page\n"
        f"with closing(Page(0)) as live, closing({ride}) as capture:\n"
        '    print(live.url)\n    summary = watch(capture, segmenter, page=live, seconds=12)\nprint("over")',
    )
    cell = notebook.cell(place)
    cell.locator(".cm-content").click()
    notebook.page.keyboard.press("Control+Enter")
    said = cell.locator(".jp-Cell-outputArea")
    expect(said).to_contain_text("http://", timeout=30e3)
    window = notebook.page.context.new_page()
    window.goto(re.search(r"http://\S+", said.inner_text())[0], wait_until="commit")
    window.wait_for_function("document.images[0]?.naturalWidth > 0")
    street = {"x": 0, "y": 0, "width": 1280, "height": 500}  # above the line of figures, which change anyhow
    first = window.screenshot(clip=street)
    assert any(window.screenshot(clip=street) != first for _ in range(20)), "the picture stands still"
    window.close()
    expect(said).to_contain_text("over", timeout=60e3)


def outlines_are_drawn(notebook: Notebook) -> None:
    """Lesson 20: corners are clicked, the class is chosen, and what lies in the text box is read by the next cell."""
    place = place_of("20", "painter(drawn_on")
    board = notebook.cell(place).locator(".jp-RenderedHTMLCommon:has(canvas)")
    canvas, label, text = (board.locator(tag) for tag in ("canvas", "select", "textarea"))
    canvas.scroll_into_view_if_needed()
    box, (wide, high) = canvas.bounding_box(), canvas.evaluate("c => [c.width, c.height]")
    cells = notebook.page.locator(f"{PANEL} .jp-Cell").count()
    label.select_option("people")
    label.press("x")  # which would cut a cell of the notebook
    assert notebook.page.locator(f"{PANEL} .jp-Cell").count() == cells
    label.select_option("people")
    corners = [(0.25, 0.25), (0.75, 0.25), (0.5, 0.75)]
    for x, y in corners:
        canvas.click(position={"x": x * box["width"], "y": y * box["height"]})
    board.locator(".close").click()
    (shape,) = json.loads(text.input_value())["shapes"]
    assert shape["label"] == "people"
    assert shape["points"] == [pytest.approx([x * wide, y * high], abs=1.5) for x, y in corners]
    inside, outside = (
        canvas.evaluate("(c, [x, y]) => c.getContext('2d').getImageData(x, y, 1, 1).data[3]", [wide // 2, y])
        for y in (high // 2, high // 10)
    )
    assert inside > 50, "the outline is not filled"
    assert outside == 0
    below = place_of("20", "drawn = to_label(shapes, drawn_size, ids)")
    notebook.write(below, f"len(read_shapes('{text.input_value()}')[0])")
    assert notebook.run(below).strip().endswith("1")
    board.locator(".undo").click()
    assert json.loads(text.input_value())["shapes"] == []


MORE: Mapping[str, Callable[[Notebook], None]] = {"19": a_ride_plays, "20": outlines_are_drawn}


@pytest.mark.parametrize("number", ["10", "15", "19", "20"])
def test_a_lesson_fits_into_the_page_in_both_themes_an_exercise_is_answered_and_what_moves_moves(number, tmp_path):
    with opened(number, tmp_path) as notebook:
        assert_it_ran(notebook)
        notebook.unfold()
        for theme in ("JupyterLab Light", "JupyterLab Dark"):
            notebook.choose_theme(theme)
            assert not notebook.page.evaluate(_FAULTY_PICTURES, PANEL)
            assert not notebook.pale_texts()
        if exercise := first_exercise(lesson(number)):
            answer_wrong_then_right(notebook, exercise)
        if number in MORE:
            MORE[number](notebook)
        assert not notebook.complaints
        assert not notebook.elsewhere, "a lesson works without a network"
