"""Cars, vans, buses and lorries as swept outlines: a side, a near end, wheels, glass and lamps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from edgeseg.data.streets.canvas import CAR, NEAR, Canvas, Column
from edgeseg.data.streets.thing import Color, mixed, scaled, vary

_PAINTS: tuple[Color, ...] = (
    (176, 178, 182), (52, 54, 60), (34, 34, 38), (36, 56, 104), (138, 28, 34), (208, 210, 210), (98, 104, 110),
    (46, 76, 66), (150, 140, 118), (70, 90, 130), (190, 44, 40),
)  # fmt: skip
_VAN_PAINTS: tuple[Color, ...] = ((222, 222, 220), (206, 208, 206), (60, 70, 96), (196, 52, 44), (224, 188, 60))
_BUS_PAINTS: tuple[Color, ...] = ((190, 34, 38), (58, 110, 170), (220, 214, 190), (60, 120, 84))


@dataclass(frozen=True)
class _Body:
    """Outline of one kind of vehicle; u runs from the tail (0) to the nose (length), y up.

    `tail` and `nose` are the profiles of the two ends from the ground up: (u from that end, y, part), where the part
    is what lies between this point and the next.
    """

    half_width: float
    length: float
    height: float
    waist: float
    taper: float
    tail: tuple[tuple[float, float, str], ...]
    nose: tuple[tuple[float, float, str], ...]
    windows: tuple[tuple[tuple[float, float], ...], ...]
    wheels: tuple[float, float]
    radius: float = 0.31


_BODIES: dict[str, _Body] = {
    "hatch": _Body(
        0.84, 3.9, 1.47, 0.93, 0.80,
        ((0.0, 0.26, "bumper"), (0.0, 0.55, "panel"), (0.06, 0.93, "glass"), (0.5, 1.42, "roof"), (0.7, 1.47, "end")),
        ((0.0, 0.24, "bumper"), (0.0, 0.52, "grille"), (0.12, 0.76, "bonnet"), (1.0, 0.96, "glass"),
         (1.75, 1.43, "roof"), (2.0, 1.47, "end")),
        (((0.35, 0.98), (0.72, 1.36), (1.55, 1.39), (1.55, 0.97)),
         ((1.65, 0.97), (1.65, 1.39), (2.1, 1.37), (2.75, 0.98))),
        (0.72, 3.15),
    ),
    "saloon": _Body(
        0.88, 4.5, 1.43, 0.94, 0.78,
        ((0.0, 0.26, "bumper"), (0.0, 0.54, "panel"), (0.06, 0.9, "bonnet"), (0.75, 0.97, "glass"),
         (1.4, 1.38, "roof"), (1.6, 1.43, "end")),
        ((0.0, 0.24, "bumper"), (0.0, 0.5, "grille"), (0.12, 0.75, "bonnet"), (1.15, 0.95, "glass"),
         (1.95, 1.39, "roof"), (2.2, 1.43, "end")),
        (((0.95, 0.98), (1.5, 1.34), (2.05, 1.36), (2.05, 0.97)),
         ((2.15, 0.97), (2.15, 1.36), (2.55, 1.34), (3.2, 0.98))),
        (0.85, 3.65),
    ),
    "estate": _Body(
        0.9, 4.6, 1.62, 1.02, 0.82,
        ((0.0, 0.3, "bumper"), (0.0, 0.6, "panel"), (0.05, 1.02, "glass"), (0.32, 1.56, "roof"), (0.5, 1.62, "end")),
        ((0.0, 0.28, "bumper"), (0.0, 0.58, "grille"), (0.12, 0.86, "bonnet"), (1.1, 1.04, "glass"),
         (1.8, 1.58, "roof"), (2.0, 1.62, "end")),
        (((0.3, 1.08), (0.5, 1.5), (1.7, 1.54), (1.7, 1.06)),
         ((1.8, 1.06), (1.8, 1.54), (2.65, 1.52), (3.3, 1.07))),
        (0.9, 3.7), 0.34,
    ),
    "van": _Body(
        0.97, 4.9, 2.1, 1.2, 0.95,
        ((0.0, 0.34, "bumper"), (0.0, 0.6, "panel"), (0.0, 1.2, "glass"), (0.04, 1.8, "panel"), (0.1, 2.1, "end")),
        ((0.0, 0.32, "bumper"), (0.0, 0.6, "grille"), (0.15, 0.95, "bonnet"), (0.75, 1.18, "glass"),
         (1.35, 1.95, "roof"), (1.6, 2.1, "end")),
        (((3.0, 1.2), (3.0, 1.85), (3.5, 1.85), (4.0, 1.22)),),
        (0.95, 3.95), 0.34,
    ),
    "bus": _Body(
        1.22, 9.5, 3.0, 1.2, 0.99,
        ((0.0, 0.34, "bumper"), (0.0, 0.75, "panel"), (0.0, 1.55, "glass"), (0.0, 2.45, "panel"), (0.05, 3.0, "end")),
        ((0.0, 0.32, "bumper"), (0.0, 0.7, "panel"), (0.0, 1.15, "glass"), (0.1, 2.5, "board"), (0.15, 3.0, "end")),
        tuple(((a, 1.3), (a, 2.4), (a + 1.35, 2.4), (a + 1.35, 1.3)) for a in (0.4, 1.95, 3.5, 5.05, 6.6, 8.0)),
        (2.2, 7.4), 0.46,
    ),
    "lorry": _Body(
        1.18, 7.5, 3.1, 1.2, 1.0,
        ((0.0, 0.55, "bumper"), (0.0, 0.85, "panel"), (0.0, 3.1, "end")),
        ((0.0, 0.35, "bumper"), (0.0, 0.8, "grille"), (0.02, 1.35, "glass"), (0.15, 2.2, "panel"), (0.6, 3.1, "end")),
        (((6.3, 1.4), (6.3, 2.15), (7.0, 2.15), (7.2, 1.4)),),
        (1.4, 6.4), 0.46,
    ),
}  # fmt: skip

_CIRCLE = tuple((math.cos(k * math.pi / 6), math.sin(k * math.pi / 6)) for k in range(12))


class Vehicle:
    """A vehicle that stands or drives along the street.

    Args:
        rng: source of every choice.
        x: metres right of the road's middle.
        z: near end, metres along the street.
        oncoming: its nose points to the camera.
        body: a key of the table above, or ``None`` for the usual mixture.
        speed: metres per second along the street, negative for oncoming traffic.
    """

    kind = "car"

    def __init__(
        self, rng: Random, x: float, z: float, oncoming: bool, body: str | None = None, speed: float = 0.0
    ) -> None:
        self.x, self.z, self.oncoming, self.speed = x, z, oncoming, speed
        names, weights = ("hatch", "saloon", "estate", "van", "bus", "lorry"), (39, 25, 20, 11, 3, 2)
        self.body_name = body or rng.choices(names, weights)[0]
        self.body = _BODIES[self.body_name]
        paints = {"van": _VAN_PAINTS, "bus": _BUS_PAINTS, "lorry": _VAN_PAINTS}.get(self.body_name, _PAINTS)
        self.paint = vary(rng, rng.choice(paints), 10)
        self.glint = rng.uniform(0.15, 0.5)
        self.moving = speed != 0.0
        self.plate_yellow = not oncoming

    @property
    def order(self) -> float:
        return self.z + 0.35 * self.body.length

    @property
    def far_end(self) -> float:
        return self.z + self.body.length

    def draw(self, canvas: Canvas) -> None:
        body = self.body
        if canvas.distance(self.z + body.length) < NEAR + 0.8:
            return
        near = max(self.z, canvas.camera.z + 1.1)
        at = canvas.column(self.x, near)
        reach = 2.5 * at[1]
        if at[0] + reach < -canvas.width or at[0] - reach > 2 * canvas.width:
            return
        self._underside(canvas)
        self._side(canvas, near)
        if near == self.z:
            self._near_end(canvas)

    def shade(self, canvas: Canvas) -> None:
        """The dark patch below it, and its shadow in the sun."""
        half, near, far = self.body.half_width, self.z - 0.25, self.z + self.body.length + 0.2
        if canvas.distance(far) < NEAR:
            return
        right, ahead = canvas.light.sun
        if canvas.light.strength:
            shift, slip = right * self.body.height * 0.8, ahead * self.body.height * 0.8
            left_x, right_x = min(-half, -half + shift), max(half, half + shift)
            canvas.shade(
                [(self.x + left_x, near + min(0, slip)), (self.x + right_x, near + min(0, slip)),
                 (self.x + right_x, far + max(0, slip)), (self.x + left_x, far + max(0, slip))], 105,
            )  # fmt: skip
        canvas.shade([(self.x - half, near), (self.x + half, near), (self.x + half, far), (self.x - half, far)], 150)

    def _half_width(self, y: float) -> float:
        body = self.body
        if y <= body.waist:
            return body.half_width
        return body.half_width * (1 - (1 - body.taper) * (y - body.waist) / (body.height - body.waist))

    def _profiles(self) -> tuple[list[tuple[float, float, str]], list[tuple[float, float, str]]]:
        """Near end and far end as (metres from the near end, y, part), both from the ground up."""
        body = self.body
        first, second = (body.nose, body.tail) if self.oncoming else (body.tail, body.nose)
        return list(first), [(body.length - u, y, part) for u, y, part in second]

    def _underside(self, canvas: Canvas) -> None:
        z = canvas.nearest(self.z + 0.5)
        at = canvas.column(self.x, z)
        half, radius = self.body.half_width, self.body.radius
        dark = canvas.tone((22, 22, 24), z)
        canvas.box(at, -half * 0.95, half * 0.95, radius * 0.6, 0.6, dark, CAR)
        if canvas.distance(self.z) > NEAR:
            for left in (-half + 0.02, half - 0.24):
                canvas.box(at, left, left + 0.22, 0.0, 0.5, dark, CAR)

    def _side(self, canvas: Canvas, near: float) -> None:
        toward = -1.0 if self.x + canvas.camera.bend * canvas.distance(near) ** 2 > canvas.camera.x else 1.0
        facing = "left" if toward < 0 else "right"
        near_profile, far_profile = self._profiles()
        outline = near_profile + far_profile[::-1]
        points: list[float] = []
        for u, y, _ in outline:
            z = max(self.z + u, near)
            points.extend(canvas.point(self.x + toward * self._half_width(y), y, z))
        middle = near + 0.4
        canvas.polygon(points, canvas.tone(self.paint, middle, facing), CAR)
        if canvas.fraction(1.0, near) < 0.012:
            return
        self._side_details(canvas, near, toward, facing)

    def _side_details(self, canvas: Canvas, near: float, toward: float, facing: str) -> None:
        body = self.body
        glass = self._glass(canvas, near + 1.0)
        for window in body.windows:
            points: list[float] = []
            for u, y in window:
                z = self.z + (body.length - u if self.oncoming else u)
                points.extend(canvas.point(self.x + toward * self._half_width(y), y, max(z, near)))
            canvas.polygon(points, glass, None)
        x = self.x + toward * body.half_width
        sill = canvas.tone(scaled(self.paint, 0.55), near + 0.5, facing)
        start, end = canvas.column(x, near), canvas.column(x, self.z + body.length)
        canvas.wall(start, end, body.radius * 0.85, body.radius * 0.85 + 0.14, sill, None)
        for u in body.wheels:
            middle = self.z + (body.length - u if self.oncoming else u)
            if middle > near + body.radius:
                self._wheel(canvas, x, middle)

    def _wheel(self, canvas: Canvas, x: float, middle: float) -> None:
        radius = self.body.radius
        for size, color, label in ((1.0, (24, 24, 26), CAR), (0.58, (136, 138, 140), None)):
            points: list[float] = []
            for cos, sin in _CIRCLE:
                points.extend(canvas.point(x, radius + radius * size * sin, middle + radius * size * cos))
            canvas.polygon(points, canvas.tone(color, middle), label)

    def _near_end(self, canvas: Canvas) -> None:
        profile, _ = self._profiles()
        paint = self.paint
        tones = {
            "panel": scaled(paint, 0.92),
            "bonnet": scaled(paint, 1.08),
            "roof": scaled(paint, 1.12),
            "grille": scaled(paint, 0.92),
        }
        tones |= {"bumper": mixed(paint, (40, 40, 42), 0.45), "board": (28, 28, 30)}
        detailed = canvas.fraction(1.0, self.z) > 0.012
        for (u0, y0, part), (u1, y1, _) in pairwise(profile):
            low, high = canvas.column(self.x, self.z + u0), canvas.column(self.x, self.z + u1)
            w0, w1 = self._half_width(y0), self._half_width(y1)
            facing = "up" if part in ("bonnet", "roof") else "front"
            color = canvas.tone(tones.get(part, paint), self.z + u0, facing)
            _strip(canvas, low, high, (w0, y0), (w1, y1), color, CAR)
            if part == "glass" and detailed:
                lift = (y1 - y0) * 0.1
                _strip(
                    canvas, low, high, (w0 * 0.9, y0 + lift), (w1 * 0.9, y1 - lift), self._glass(canvas, self.z), None
                )
        if detailed:
            self._lamps(canvas)

    def _lamps(self, canvas: Canvas) -> None:
        body, z = self.body, self.z
        at = canvas.column(self.x, z)
        half = body.half_width
        low = 0.55 if self.oncoming else 0.66
        lit = canvas.light.lamps_on and self.moving
        lamp = (255.0, 246.0, 214.0) if self.oncoming else (214.0, 30.0, 28.0)
        color = canvas.glowing(lamp, z) if lit else canvas.tone(scaled(lamp, 0.85), z)
        for left in (-half + 0.04, half - 0.3):
            canvas.box(at, left, left + 0.26, low, low + 0.18, color, None)
            if lit:
                canvas.glow(at, left + 0.13, low + 0.1, 0.75 if self.oncoming else 0.35, lamp)
        plate = (226, 190, 60) if self.plate_yellow else (226, 226, 220)
        canvas.box(at, -0.27, 0.27, 0.42, 0.54, canvas.tone(plate, z), None)
        if self.oncoming and body.height < 2.2:
            canvas.box(at, -half * 0.45, half * 0.45, 0.58, 0.7, canvas.tone((26, 26, 28), z), None)
        for side in (-1.0, 1.0):
            mirror = canvas.column(self.x + side * (half + 0.09), z + (1.3 if self.oncoming else body.length * 0.6))
            canvas.box(mirror, -0.08, 0.08, body.waist, body.waist + 0.16, canvas.tone(scaled(self.paint, 0.7), z), CAR)

    def _glass(self, canvas: Canvas, z: float) -> tuple[int, int, int]:
        sky = mixed(canvas.light.horizon, canvas.light.zenith, 0.5)
        dark = canvas.tone((38, 42, 48), z)
        return canvas.glowing(mixed(dark, sky, self.glint * 0.7), z)


def _strip(
    canvas: Canvas,
    low: Column,
    high: Column,
    bottom: tuple[float, float],
    top: tuple[float, float],
    color: tuple[int, int, int],
    label: int | None,
) -> None:
    """A band across the vehicle, between two columns on its middle line; ends are (half width, height)."""
    (w0, y0), (w1, y1) = bottom, top
    canvas.polygon(
        (low[0] - w0 * low[1], low[2] - y0 * low[1], low[0] + w0 * low[1], low[2] - y0 * low[1],
         high[0] + w1 * high[1], high[2] - y1 * high[1], high[0] - w1 * high[1], high[2] - y1 * high[1]),
        color, label,
    )  # fmt: skip


class CrossingCar:
    """A car seen from the side, at a junction or before a garage."""

    kind = "car"

    def __init__(self, rng: Random, x: float, z: float) -> None:
        self.x, self.z, self.speed = x, z, 0.0
        self.body = _BODIES[rng.choice(("hatch", "saloon", "estate", "van"))]
        self.paint = vary(rng, rng.choice(_PAINTS), 10)
        self.way = rng.choice((-1.0, 1.0))

    @property
    def order(self) -> float:
        return self.z

    @property
    def far_end(self) -> float:
        return self.z + 1.5

    def draw(self, canvas: Canvas) -> None:
        if canvas.distance(self.z) < 3 * NEAR:
            return
        body, at, z = self.body, canvas.column(self.x, self.z), self.z
        half = body.length / 2

        def place(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
            return [(self.way * (u - half), y) for u, y in points]

        outline = [(u, y) for u, y, _ in body.tail] + [(body.length - u, y) for u, y, _ in reversed(body.nose)]
        canvas.shape(at, place(outline), canvas.tone(self.paint, z), CAR)
        sky = mixed(canvas.light.horizon, canvas.light.zenith, 0.5)
        glass = canvas.glowing(mixed(canvas.tone((38, 42, 48), z), sky, 0.25), z)
        for window in body.windows:
            canvas.shape(at, place(list(window)), glass, None)
        for u in body.wheels:
            canvas.disc(at, self.way * (u - half), body.radius, body.radius, canvas.tone((24, 24, 26), z), CAR)
            canvas.disc(
                at, self.way * (u - half), body.radius, body.radius * 0.55, canvas.tone((136, 138, 140), z), None
            )

    def shade(self, canvas: Canvas) -> None:
        """The dark patch below it."""
        half = self.body.length / 2
        x, z = self.x, self.z
        canvas.shade([(x - half, z - 0.3), (x + half, z - 0.3), (x + half, z + 1.7), (x - half, z + 1.7)], 150)
