"""The ground: road, kerbs, pavements, verges and what is painted on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from edgeseg.data.streets.canvas import NEAR, PAVEMENT, ROAD, TREE, Canvas
from edgeseg.data.streets.thing import Color, scaled, vary

_HORIZON_Z = 900.0
PAINT: Color = (218, 216, 206)
YELLOW: Color = (206, 176, 70)


@dataclass(frozen=True)
class Style:
    """What stays the same along one street.

    Args:
        half_road: metres from the middle to the kerb.
        pavement: pavement widths, left and right.
        parking: whether cars park along the kerb, left and right.
        asphalt: colour of the road.
        paving: colour of the pavement; drawn from a distribution that overlaps the road's.
        kerb: colour of the kerb stones.
        verge: colour of what lies beyond the pavements, left and right.
        verge_label: and its class.
        marking: ``"dashes"``, ``"line"``, ``"double"`` or ``"none"`` along the middle.
        yellow: number of yellow lines along the kerb, 0 to 2.
        slabs: metres between joints in the pavement; 0 is asphalt.
    """

    half_road: float
    pavement: tuple[float, float]
    parking: tuple[bool, bool]
    asphalt: Color
    paving: Color
    kerb: Color
    verge: tuple[Color, Color]
    verge_label: tuple[int, int]
    marking: str
    yellow: int
    slabs: float

    def edge(self, side: int) -> float:
        """Metres from the middle of the road to the far edge of the pavement on one side (−1 left, 1 right)."""
        return self.half_road + self.pavement[side > 0]


@dataclass(frozen=True)
class Flat:
    """Something that lies on the ground, with (x, z) corners: side road, patch. Label ``None`` keeps the ground's."""

    corners: tuple[tuple[float, float], ...]
    color: Color
    label: int | None


def sample_style(rng: Random) -> Style:
    """Draw a street's cross-section and its materials."""
    parking = (rng.random() < 0.4, rng.random() < 0.5)
    half_road = rng.uniform(3.3, 4.4) + 1.0 * sum(parking)
    grey = rng.uniform(72, 122)
    asphalt = vary(rng, (grey, grey, grey * rng.uniform(0.96, 1.07)), 5)
    same = rng.random() < 0.4  # the same asphalt on both sides of the kerb: only the place tells them apart
    paved = grey + rng.uniform(-6, 8) if same else rng.uniform(84, 152)
    paving = vary(rng, (paved, paved * 0.985, paved * rng.uniform(0.9, 1.02)), 4)
    verges = [_verge(rng, paving) for _ in range(2)]
    return Style(
        half_road=half_road,
        pavement=(rng.uniform(1.8, 3.8), rng.uniform(1.8, 4.2)),
        parking=parking,
        asphalt=asphalt,
        paving=paving,
        kerb=vary(rng, scaled(paving, rng.uniform(0.98, 1.3)), 6),
        verge=(verges[0][0], verges[1][0]),
        verge_label=(verges[0][1], verges[1][1]),
        marking=rng.choice(("dashes", "dashes", "dashes", "line", "double", "none")),
        yellow=rng.choice((0, 0, 1, 2)),
        slabs=rng.choice((0.0, 0.0, 0.9, 1.5)) if not same else 0.0,
    )


def _verge(rng: Random, paving: Color) -> tuple[Color, int]:
    if rng.random() < 0.7:
        return vary(rng, rng.choice(((86, 108, 56), (104, 116, 66), (96, 92, 62))), 9), TREE
    return vary(rng, scaled(paving, rng.uniform(0.9, 1.1)), 5), PAVEMENT


def draw_ground(canvas: Canvas, style: Style) -> None:
    """Paint road, pavements and verges from the horizon to the camera."""
    half, left, right = style.half_road, style.edge(-1), style.edge(1)
    bands = (
        (-400.0, -left, style.verge[0], style.verge_label[0]),
        (right, 400.0, style.verge[1], style.verge_label[1]),
        (-left, -half, style.paving, PAVEMENT),
        (half, right, style.paving, PAVEMENT),
        (-half, half, style.asphalt, ROAD),
    )
    edges = _slices(canvas)
    for near, far in pairwise(edges):
        middle = near + 0.3 * (far - near)
        for x0, x1, color, label in bands:
            canvas.ground(((x0, near), (x1, near), (x1, far), (x0, far)), canvas.tone(color, middle, "up"), label)
            if canvas.light.fog > 0.02:  # finer steps of grey; the labels keep to the slices, whatever the weather
                for part in range(4):
                    z0, z1 = near + (far - near) * part / 4, near + (far - near) * (part + 1) / 4
                    shade = canvas.tone(color, (z0 + z1) / 2, "up")
                    canvas.ground(((x0, z0), (x1, z0), (x1, z1), (x0, z1)), shade, None)
        if middle - canvas.camera.z < 90:
            _kerbs(canvas, style, near, far)


def _slices(canvas: Canvas) -> list[float]:
    ratio = 1.19
    steps = math.ceil(math.log(_HORIZON_Z / NEAR) / math.log(ratio))
    return [canvas.camera.z + NEAR * ratio**k for k in range(steps + 1)]


def _kerbs(canvas: Canvas, style: Style, near: float, far: float) -> None:
    for side in (-1, 1):
        kerb = side * style.half_road
        a, b = canvas.column(kerb, near), canvas.column(kerb, far)
        face = canvas.tone(scaled(style.kerb, 0.8), near, "left" if side > 0 else "right")
        top = canvas.tone(style.kerb, near, "up")
        canvas.wall(a, b, 0.0, 0.06, face, PAVEMENT)
        canvas.ground(((kerb, near), (kerb + side * 0.14, near), (kerb + side * 0.14, far), (kerb, far)), top, PAVEMENT)
        for line in range(style.yellow):
            x = kerb - side * (0.25 + 0.2 * line)
            stripe = ((x, near), (x - side * 0.09, near), (x - side * 0.09, far), (x, far))
            canvas.ground(stripe, canvas.tone(YELLOW, near, "up"), None)


def draw_marks(canvas: Canvas, style: Style) -> None:
    """Paint the middle line and the joints of the paving; both stay where they are in the world."""
    start = canvas.camera.z + NEAR
    _middle_line(canvas, style, start)
    if style.slabs:
        joint = scaled(style.paving, 0.82)
        z = style.slabs * math.ceil(start / style.slabs)
        while z < start + 16:
            color = canvas.tone(joint, z, "up")
            for side in (-1, 1):
                x0, x1 = side * (style.half_road + 0.14), side * style.edge(side)
                canvas.ground(((x0, z), (x1, z), (x1, z + 0.04), (x0, z + 0.04)), color, None)
            z += style.slabs


def _middle_line(canvas: Canvas, style: Style, start: float) -> None:
    if style.marking == "none":
        return
    length, period = (1.8, 5.0) if style.marking == "dashes" else (5.0, 5.0)
    offsets = (-0.15, 0.15) if style.marking == "double" else (0.0,)
    z = period * math.floor(start / period)
    while z < start + 80:
        if z + length > start:
            color = canvas.tone(PAINT, max(z, start), "up")
            for x in offsets:
                stripe = ((x - 0.06, z), (x + 0.06, z), (x + 0.06, z + length), (x - 0.06, z + length))
                canvas.ground(stripe, color, None)
        z += period


def draw_flat(canvas: Canvas, flat: Flat) -> None:
    """Paint one flat thing unless all of it lies behind the camera."""
    nearest, farthest = min(z for _, z in flat.corners), max(z for _, z in flat.corners)
    if farthest > canvas.camera.z + NEAR:
        canvas.ground(flat.corners, canvas.tone(flat.color, canvas.nearest(nearest), "up"), flat.label)


def side_road(rng: Random, style: Style, side: int, z0: float, z1: float) -> list[Flat]:
    """A road that leaves the street between two z, with the dashes across its mouth."""
    kerb, out = side * style.half_road, side * 80.0
    corner = side * 1.6
    mouth = ((kerb, z0 - 1.6), (kerb + corner, z0), (out, z0), (out, z1), (kerb + corner, z1), (kerb, z1 + 1.6))
    flats = [Flat(mouth, style.asphalt, ROAD)]
    count = max(1, int((z1 - z0) / 1.2))
    for k in range(count):
        z = z0 + k * 1.2
        flats.append(Flat(_rectangle(kerb - side * 0.1, kerb + side * 0.1, z, z + 0.6), PAINT, None))
    return flats


def zebra(style: Style, z: float) -> list[Flat]:
    """White bars across the road."""
    bars, x = [], -style.half_road + 0.4
    while x < style.half_road - 0.5:
        bars.append(Flat(_rectangle(x, x + 0.5, z, z + 2.6), PAINT, None))
        x += 1.0
    return bars


def patches(rng: Random, style: Style, z0: float, z1: float) -> list[Flat]:
    """Mended asphalt, drain covers, an arrow: marks of use on the road."""
    flats = []
    for _ in range(rng.randint(0, 3)):
        x, z = rng.uniform(-style.half_road + 0.3, style.half_road - 1.8), rng.uniform(z0, z1)
        size = rng.uniform(0.5, 1.5)
        color = scaled(style.asphalt, rng.uniform(0.8, 1.15))
        flats.append(Flat(_rectangle(x, x + size, z, z + rng.uniform(0.6, 7.0)), color, None))
    if rng.random() < 0.5:
        x, z = rng.choice((-1.0, 1.0)) * (style.half_road - 0.5), rng.uniform(z0, z1)
        flats.append(Flat(_rectangle(x - 0.25, x + 0.25, z, z + 0.5), (48, 46, 44), None))
    if rng.random() < 0.18:
        x, z = -style.half_road / 2, rng.uniform(z0, z1)
        shaft, head = ((x - 0.1, z), (x + 0.1, z), (x + 0.1, z + 2.2), (x - 0.1, z + 2.2)), (
            (x - 0.45, z + 2.1), (x + 0.45, z + 2.1), (x, z + 3.6)
        )  # fmt: skip
        flats += [Flat(shaft, PAINT, None), Flat(head, PAINT, None)]
    return flats


def _rectangle(x0: float, x1: float, z0: float, z1: float) -> tuple[tuple[float, float], ...]:
    return ((x0, z0), (x1, z0), (x1, z1), (x0, z1))
