"""A small drawing board for labels: outlines are clicked on a photograph, and come out as a labelling tool writes them.

The form is LabelMe's JSON (https://github.com/wkentaro/labelme): ``shapes``, each with a ``label`` and ``points``. So
what was drawn here and what was drawn there are read by the same `read_shapes`.
"""

from __future__ import annotations

import base64
import html
import io
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.files import parse_json, read_text
from edgeseg.plots import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

Shape = dict[str, Any]
_COLORS = (ORANGE, SKY, VERMILION, GREEN, PURPLE, BLUE)

# Points are pixels of the picture, whatever size it is shown at: the box that the browser gives it says the scale.
_SCRIPT = """
(() => {
  const root = document.getElementById("NAME"), canvas = root.querySelector("canvas"), pen = canvas.getContext("2d");
  const label = root.querySelector("select"), out = root.querySelector("textarea"), photo = root.querySelector("img");
  const colors = COLORS, done = [];
  let open = [];
  const trace = (points, color, closed) => {
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x, y));
    if (closed) { pen.closePath(); pen.globalAlpha = 0.45; pen.fillStyle = color; pen.fill(); pen.globalAlpha = 1; }
    pen.strokeStyle = color; pen.lineWidth = 2; pen.stroke();
    if (!closed) points.forEach(([x, y]) => { pen.fillStyle = color; pen.fillRect(x - 2, y - 2, 4, 4); });
  };
  const draw = () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    done.forEach(s => trace(s.points, colors[s.label], true));
    trace(open, colors[label.value], false);
    out.value = JSON.stringify({shapes: done, imageHeight: canvas.height, imageWidth: canvas.width});
  };
  canvas.onclick = event => {
    const box = canvas.getBoundingClientRect();
    open.push([(event.clientX - box.left) * canvas.width / box.width,
               (event.clientY - box.top) * canvas.height / box.height].map(v => Math.round(10 * v) / 10));
    draw();
  };
  root.querySelector(".close").onclick = () => {
    if (open.length > 2) { done.push({label: label.value, points: open, shape_type: "polygon"}); open = []; }
    draw();
  };
  root.querySelector(".undo").onclick = () => { if (open.length) open.pop(); else done.pop(); draw(); };
  label.onchange = draw;
  draw();
})();
"""


@dataclass(frozen=True)
class Painter:
    """What `painter` makes; the last line of a cell shows it."""

    image: Image.Image
    names: tuple[str, ...]
    wide: int

    def __repr__(self) -> str:
        return f"a drawing board of {self.image.height}x{self.image.width} for {', '.join(self.names)}"

    def _repr_html_(self) -> str:
        file = io.BytesIO()
        self.image.save(file, "JPEG", quality=85)
        data = base64.b64encode(file.getvalue()).decode()
        name = f"paint{uuid.uuid5(uuid.NAMESPACE_OID, data).hex[:8]}"  # the same at every run
        colors = {n: _COLORS[i % len(_COLORS)] for i, n in enumerate(self.names)}
        options = "".join(f"<option>{html.escape(n)}</option>" for n in self.names)
        over = "position:absolute;left:0;top:0;width:100%;height:100%;cursor:crosshair"
        script = _SCRIPT.replace("NAME", name).replace("COLORS", json.dumps(colors).replace("</", "<\\/"))
        # keys belong to the board, not to the notebook around it
        return (
            f'<div id="{name}" style="max-width:{self.wide}px" onkeydown="event.stopPropagation()">'
            f'<div style="position:relative;line-height:0"><img alt="the photograph to draw on" style="width:100%" '
            f'src="data:image/jpeg;base64,{data}"><canvas width="{self.image.width}" height="{self.image.height}" '
            f'aria-label="click to set the corners of an outline" style="{over}"></canvas></div>'
            f'<select aria-label="class of the outline">{options}</select> '
            '<button class="close">close outline</button> <button class="undo">undo</button>'
            '<textarea readonly rows="3" style="width:100%;box-sizing:border-box" '
            f'aria-label="the outlines as JSON: copy this"></textarea></div><script>{script}</script>'
        )


def painter(image: np.ndarray, names: Sequence[str], wide: int = 640) -> Painter:
    """A drawing board: click corners, choose the class, close the outline; copy the JSON below it.

    Args:
        image: (H, W, 3) uint8.
        names: the classes to choose from, and what is void.
        wide: how wide it is shown, in pixels of the screen.
    """
    return Painter(Image.fromarray(image), tuple(names), wide)


def read_shapes(source: str | Path) -> tuple[list[Shape], tuple[int, int]]:
    """Outlines from what `painter` or LabelMe wrote.

    Args:
        source: the JSON itself, or the file that holds it.

    Returns:
        dicts with ``label`` and ``points`` [[x, y], …] in pixels, in the order in which they were drawn; and the
        picture's (H, W).

    Raises:
        ValueError: no such JSON, or a shape that is no polygon.
        OSError: no such file.
    """
    is_text = isinstance(source, str) and source.lstrip().startswith("{")
    name, text = ("what was pasted", str(source)) if is_text else (str(source), read_text(Path(source)))
    try:
        spec = parse_json(text)
        size = int(spec["imageHeight"]), int(spec["imageWidth"])
        shapes = [{"label": s["label"], "points": s["points"], "kind": s["shape_type"]} for s in spec["shapes"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: no outlines ({error}). Copy the whole text below the drawing board, or give LabelMe's file"
        ) from error
    for shape in shapes:
        kind = shape.pop("kind")
        if kind != "polygon" or len(shape["points"]) < 3:
            raise ValueError(f"{name}: a {kind} of {len(shape['points'])} points; draw polygons, of 3 points or more")
    return shapes, size
