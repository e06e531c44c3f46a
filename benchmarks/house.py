"""The package as a picture: its rooms on their floors, with their lines of code and the imports between them.

    make house        # writes docs/images/house.png

An import that follows from others (a → b and b → c stand for a → c as well) is left out; everything may use the bottom
row, so arrows to it are left out too. Rooms and arrows are those that tests/test_house.py holds the package to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import networkx
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME / "tests"))

from test_house import ARROWS, FLOORS, MODULES, dotted, room  # noqa: E402

ABOUT = {
    "cli": "the commands",
    "quickstart": "the first command",
    "course": "what lessons call",
    "training": "makes a model good",
    "deploy": "makes it fast,\nproves it the same",
    "bench": "times it",
    "live": "frames in, maps out",
    "explain": "why it answers so",
    "inference": "picture → classes",
    "plots": "pictures",
    "models": "both papers' networks",
    "data": "sets, labels, streets",
    "metrics": "mIoU",
    "files": "safe files",
    "machine": "this machine",
    "text": "words, tables",
    "void": "255: no class",
}
COLORS = ("#e8eef7", "#e3f1ee", "#fdf0dc", "#fbe6e6", "#f3e8f3", "#e6f0d9", "#eeeeee")
WIDTH, HEIGHT, STEP = 1.62, 0.82, 1.45
ACROSS = {
    "cli": 5.6, "quickstart": 2.2, "course": 9.6, "explain": 1.6, "inference": 3.6, "plots": 7.4, "models": 3.6,
    "data": 7.4,
}  # fmt: skip
"""Centres of the rooms that would hide arrows in the middle of their row."""


def main() -> None:
    """Draw the picture into the file named on the command line."""
    out = Path(sys.argv[1])
    floors = [sorted(names - {"", "__main__"}, key=list(ABOUT).index) for names in FLOORS]
    lines = {name: 0 for floor in floors for name in floor}
    for path in MODULES:
        if room(dotted(path)) in lines:
            lines[room(dotted(path))] += path.read_text(encoding="utf-8").count("\n")
    places = {
        name: (ACROSS.get(name, 11 * (i + 1) / (len(floor) + 1)), -STEP * level)
        for level, floor in enumerate(floors)
        for i, name in enumerate(floor)
    }
    figure = Figure((11, 9.7), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(0, 11), ylim=(-STEP * (len(floors) - 1) - 0.75, 0.75))
    axis.axis("off")
    for source, target in _arrows(set(floors[-1])):
        _draw_arrow(axis, places[source], places[target])
    for level, floor in enumerate(floors):
        for name in floor:
            _draw_room(axis, places[name], name, lines[name], COLORS[level])
    total = sum(lines.values())
    axis.set_title(f"edgeseg: {total:,} lines. An arrow: imports; everything may import the bottom row", fontsize=13)
    figure.savefig(out, dpi=110)
    print(f"{out}: {len(lines)} rooms, {total} lines")


def _arrows(ground: set[str]) -> list[tuple[str, str]]:
    """Imports between rooms above the ground row, without those that follow from others."""
    pairs = {(room(a), room(b)) for a, targets in ARROWS.items() for b in targets}
    kept = [(a, b) for a, b in pairs if a != b and a in ABOUT and b in ABOUT and b not in ground]
    return sorted(networkx.transitive_reduction(networkx.DiGraph(kept)).edges)


def _draw_arrow(axis, start: tuple[float, float], end: tuple[float, float]) -> None:
    if start[1] == end[1]:  # neighbours
        side = WIDTH / 2 if end[0] > start[0] else -WIDTH / 2
        begin, finish = (start[0] + side, start[1]), (end[0] - side, end[1])
    else:
        begin, finish = (start[0], start[1] - HEIGHT / 2), (end[0], end[1] + HEIGHT / 2)
    style = {"arrowstyle": "-|>", "mutation_scale": 14, "color": "#8a94a3", "lw": 1.3, "shrinkA": 2, "shrinkB": 2}
    axis.add_patch(FancyArrowPatch(begin, finish, zorder=1, **style))


def _draw_room(axis, center: tuple[float, float], name: str, lines: int, color: str) -> None:
    x, y = center
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT,
        boxstyle="round,pad=0.02,rounding_size=0.08", fc=color, ec="#5b6573", lw=1.1, zorder=2,
    )  # fmt: skip
    axis.add_patch(box)
    axis.text(x, y + 0.2, f"{name}  {lines:,}", ha="center", va="center", fontsize=12, weight="bold", zorder=3)
    axis.text(x, y - 0.17, ABOUT[name], ha="center", va="center", fontsize=10, color="#333333", zorder=3)


if __name__ == "__main__":
    main()
