"""The drawing board's JSON is read back as it was drawn, and so is LabelMe's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from edgeseg.course.drawing import painter, read_shapes

IMAGE = np.zeros((20, 30, 3), np.uint8)
DRAWN = {
    "version": "5.5.0",
    "flags": {},
    "shapes": [
        {"label": "way", "points": [[0, 0], [9.5, 0], [9, 9]], "group_id": None, "shape_type": "polygon", "flags": {}}
    ],
    "imagePath": "a.jpg",
    "imageData": None,
    "imageHeight": 20,
    "imageWidth": 30,
}

# as little of a browser as the script needs: a picture of 30x20, shown at twice its size, ten pixels from the left
BROWSER = """
const pen = new Proxy({}, {get: (t, k) => (k in t ? t[k] : () => {}), set: (t, k, v) => (t[k] = v, true)});
const parts = {
  canvas: {getContext: () => pen, width: 30, height: 20,
           getBoundingClientRect: () => ({left: 10, top: 0, width: 60, height: 40})},
  select: {value: "way"}, textarea: {}, img: {}, ".close": {}, ".undo": {},
};
globalThis.document = {getElementById: () => ({querySelector: name => parts[name]})};
"""
CLICKS = """
const click = (x, y) => parts.canvas.onclick({clientX: x, clientY: y});
click(10, 0); click(70, 0); parts[".close"].onclick();               // two corners are no outline
click(70, 40); click(10, 40); parts[".undo"].onclick(); parts[".close"].onclick();
parts.select.value = "people"; click(20, 10); click(30, 10); click(30, 20); parts[".close"].onclick();
parts[".undo"].onclick(); click(20, 10); click(30, 10); click(30, 21); parts[".close"].onclick(); click(50, 5);
console.log(parts.textarea.value);
"""


def test_labelme_s_file_and_its_text_give_the_same(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(DRAWN), encoding="utf-8")
    shapes, size = read_shapes(tmp_path / "a.json")
    assert size == (20, 30)
    assert shapes == [{"label": "way", "points": [[0, 0], [9.5, 0], [9, 9]]}]
    assert read_shapes(json.dumps(DRAWN)) == (shapes, size)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"imageHeight": None}, "no outlines"),
        ({"shapes": [{"points": []}]}, "no outlines"),
        ({"shapes": [{**DRAWN["shapes"][0], "shape_type": "rectangle"}]}, "a rectangle of 3 points; draw polygons"),
        ({"shapes": [{**DRAWN["shapes"][0], "points": [[0, 0], [1, 1]]}]}, "of 2 points"),
    ],
)
def test_what_is_no_polygon_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        read_shapes(json.dumps(DRAWN | change))
    with pytest.raises(ValueError, match="Copy the whole text"):
        read_shapes("{ half of it")


def test_the_board_is_the_same_at_every_run_and_needs_no_network():
    page = painter(IMAGE, ("way", "a<b"))._repr_html_()
    assert page == painter(IMAGE, ("way", "a<b"))._repr_html_()
    assert "<option>a&lt;b</option>" in page
    assert "http" not in page
    assert page.count("data:image/jpeg;base64,") == 1


@pytest.mark.skipif(shutil.which("node") is None, reason="runs the board's script in Node.js, which is missing")
def test_clicks_become_outlines_in_pixels_of_the_picture():
    script = re.search(r"<script>(.*)</script>", painter(IMAGE, ("way", "people"))._repr_html_(), re.DOTALL)[1]
    ran = subprocess.run(["node", "-e", BROWSER + script + CLICKS], capture_output=True, text=True, check=True)
    shapes, size = read_shapes(ran.stdout)
    assert size == (20, 30)
    assert shapes == [
        {"label": "way", "points": [[0, 0], [30, 0], [30, 20]]},
        {"label": "people", "points": [[5, 5], [10, 5], [10, 10.5]]},
    ]
