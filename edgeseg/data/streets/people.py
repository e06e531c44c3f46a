"""Pedestrians and cyclists: the same people; the wheels below make the difference."""

from __future__ import annotations

from random import Random

from edgeseg.data.streets.canvas import BICYCLIST, NEAR, PEDESTRIAN, Canvas
from edgeseg.data.streets.thing import Color, scaled, vary

_SKIN: tuple[Color, ...] = ((208, 164, 138), (190, 142, 116), (132, 92, 70), (96, 66, 52))
_HAIR: tuple[Color, ...] = ((44, 34, 28), (84, 62, 42), (26, 24, 24), (150, 122, 84), (128, 126, 124))
_CLOTHES: tuple[Color, ...] = (
    (38, 40, 48), (60, 64, 76), (104, 34, 38), (40, 62, 104), (96, 92, 84), (176, 170, 160), (60, 78, 58),
    (190, 60, 50), (206, 178, 60), (30, 30, 32), (120, 98, 74),
)  # fmt: skip
_TROUSERS: tuple[Color, ...] = ((40, 46, 64), (34, 34, 36), (88, 80, 70), (62, 72, 92), (110, 106, 100))


class _Look:
    """Clothes and build of one person."""

    def __init__(self, rng: Random) -> None:
        self.height = rng.uniform(1.55, 1.88)
        self.broad = rng.uniform(0.85, 1.15)
        self.skin = vary(rng, rng.choice(_SKIN), 7)
        self.hair = vary(rng, rng.choice(_HAIR), 6)
        self.top = vary(rng, rng.choice(_CLOTHES), 12)
        self.trousers = vary(rng, rng.choice(_TROUSERS), 9)
        self.away = rng.random() < 0.5

    def head(
        self, canvas: Canvas, at: tuple[float, float, float], right: float, chin: float, z: float, label: int
    ) -> None:
        """Neck, face and hair above `chin`."""
        tall = self.height
        skin = canvas.tone(self.skin, z)
        canvas.box(at, right - 0.05, right + 0.05, chin - 0.07, chin + 0.06, skin, label)
        canvas.disc(at, right, chin + 0.065 * tall, 0.055 * tall, skin, label, tall=1.3)
        hair = canvas.tone(self.hair, z)
        if self.away:
            canvas.disc(at, right, chin + 0.078 * tall, 0.056 * tall, hair, label, tall=1.15)
        else:
            canvas.disc(at, right, chin + 0.105 * tall, 0.05 * tall, hair, label, tall=0.72)


class Pedestrian:
    """Someone on foot.

    Args:
        rng: source of every choice.
        x: metres right of the road's middle.
        z: metres along the street.
    """

    kind = "pedestrian"

    def __init__(self, rng: Random, x: float, z: float) -> None:
        self.x, self.z = x, z
        self.look = _Look(rng)
        self.stride = rng.uniform(-0.2, 0.2)
        self.swing = rng.uniform(-0.1, 0.1)
        self.coat = rng.random() < 0.35
        self.bag = rng.random() < 0.4
        self.bag_color = vary(rng, rng.choice(_CLOTHES), 14)
        self.speed = rng.choice((-1.3, 1.3)) * rng.uniform(0.6, 1.1)

    @property
    def order(self) -> float:
        return self.z

    @property
    def far_end(self) -> float:
        return self.z + 0.3

    def draw(self, canvas: Canvas) -> None:
        if canvas.distance(self.z) < 1.5 * NEAR:
            return
        at, look, z = canvas.column(self.x, self.z), self.look, self.z
        if not -0.2 * canvas.width < at[0] < 1.2 * canvas.width:
            return
        tall, broad = look.height, look.broad
        legs, dark = canvas.tone(look.trousers, z), canvas.tone(scaled(look.trousers, 0.78), z)
        shoes = canvas.tone((36, 32, 30), z)
        hip, shoulder = 0.48 * tall, 0.82 * tall
        for sign, color in ((-1, dark), (1, legs)):
            foot = sign * self.stride
            outline = [(sign * 0.02, hip), (foot - 0.05, 0.08), (foot + 0.07, 0.08), (sign * 0.16 * broad, hip)]
            canvas.shape(at, outline, color, PEDESTRIAN)
            canvas.box(at, foot - 0.06, foot + 0.11, 0.0, 0.09, shoes, PEDESTRIAN)
        top, arms = canvas.tone(look.top, z), canvas.tone(scaled(look.top, 0.82), z)
        hem = 0.36 * tall if self.coat else hip - 0.04
        wide = 0.21 * broad
        for sign in (-1, 1):
            hand = sign * (wide + 0.07) + self.swing
            outline = [
                (sign * wide, shoulder), (sign * (wide + 0.07), shoulder - 0.1), (hand + 0.05, 0.45 * tall),
                (hand - 0.04, 0.45 * tall), (sign * (wide - 0.06), shoulder - 0.2),
            ]  # fmt: skip
            canvas.shape(at, outline, arms, PEDESTRIAN)
        body = [
            (-0.06, shoulder + 0.05), (-wide, shoulder), (-wide * 0.8, 0.6 * tall), (-wide * 0.95, hem),
            (wide * 0.95, hem), (wide * 0.8, 0.6 * tall), (wide, shoulder), (0.06, shoulder + 0.05),
        ]  # fmt: skip
        canvas.shape(at, body, top, PEDESTRIAN)
        if self.bag:
            canvas.box(at, wide * 0.2, wide * 1.5, 0.42 * tall, 0.58 * tall, canvas.tone(self.bag_color, z), PEDESTRIAN)
        look.head(canvas, at, 0.0, 0.855 * tall, z, PEDESTRIAN)

    def shade(self, canvas: Canvas) -> None:
        """Contact shadow, and the long one of a sunny day."""
        x, z = self.x, self.z
        canvas.shade([(x - 0.3, z - 0.2), (x + 0.3, z - 0.2), (x + 0.3, z + 0.3), (x - 0.3, z + 0.3)], 110)
        right, ahead = canvas.light.sun
        if canvas.light.strength:
            tip_x, tip_z = x + right * 1.7, z + ahead * 1.7
            canvas.shade([(x - 0.2, z), (x + 0.2, z), (tip_x + 0.2, tip_z), (tip_x - 0.2, tip_z)], 95)


class Cyclist:
    """Someone on a bicycle, along the street or across it.

    Args:
        rng: source of every choice.
        x: metres right of the road's middle.
        z: metres along the street.
        along: seen from behind or in front, else from the side.
        rider: False leaves a parked bicycle.
    """

    kind = "cyclist"

    def __init__(self, rng: Random, x: float, z: float, along: bool = True, rider: bool = True) -> None:
        self.x, self.z, self.along, self.rider = x, z, along, rider
        self.look = _Look(rng)
        self.frame = vary(rng, rng.choice(((34, 34, 38), (150, 40, 40), (40, 70, 120), (170, 170, 168))), 9)
        self.pedal = rng.uniform(0.0, 0.22)
        self.toward = rng.choice((-1.0, 1.0))
        self.helmet = rng.random() < 0.45
        self.speed = 4.5 * rng.uniform(0.8, 1.1)

    @property
    def order(self) -> float:
        return self.z

    @property
    def far_end(self) -> float:
        return self.z + 1.0

    def draw(self, canvas: Canvas) -> None:
        if canvas.distance(self.z) < 2 * NEAR:
            return
        at = canvas.column(self.x, self.z)
        if not -0.2 * canvas.width < at[0] < 1.2 * canvas.width:
            return
        if self.along:
            self._seen_along(canvas, at)
        else:
            self._seen_aside(canvas, at)

    def shade(self, canvas: Canvas) -> None:
        """Contact shadow."""
        half = 0.3 if self.along else 0.85
        x, z = self.x, self.z
        canvas.shade([(x - half, z - 0.4), (x + half, z - 0.4), (x + half, z + 0.6), (x - half, z + 0.6)], 115)

    def _seen_along(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        z, look = self.z, self.look
        tyre, frame = canvas.tone((30, 30, 32), z), canvas.tone(self.frame, z)
        canvas.disc(at, 0.0, 0.34, 0.055, tyre, BICYCLIST, tall=6.2)
        canvas.box(at, -0.03, 0.03, 0.3, 0.95, frame, BICYCLIST)
        canvas.box(at, -0.29, 0.29, 0.98, 1.04, tyre, BICYCLIST)
        if not self.rider:
            return
        legs, dark = canvas.tone(look.trousers, z), canvas.tone(scaled(look.trousers, 0.78), z)
        for sign, color, down in ((-1, dark, 0.2 + self.pedal), (1, legs, 0.42 - self.pedal)):
            outline = [
                (sign * 0.04, 0.98), (sign * 0.06, down), (sign * 0.17, down), (sign * 0.22, 0.75), (sign * 0.19, 1.0),
            ]  # fmt: skip
            canvas.shape(at, outline, color, BICYCLIST)
            canvas.box(at, sign * 0.05, sign * 0.18, down - 0.07, down + 0.02, tyre, BICYCLIST)
        top, arms = canvas.tone(look.top, z), canvas.tone(scaled(look.top, 0.8), z)
        wide = 0.22 * look.broad
        for sign in (-1, 1):
            outline = [
                (sign * wide, 1.46),
                (sign * (wide + 0.1), 1.25),
                (sign * 0.28, 1.0),
                (sign * 0.2, 1.02),
                (sign * 0.14, 1.3),
            ]
            canvas.shape(at, outline, arms, BICYCLIST)
        body = [
            (-0.08, 1.55),
            (-wide, 1.47),
            (-wide * 0.8, 1.2),
            (-0.19, 0.93),
            (0.19, 0.93),
            (wide * 0.8, 1.2),
            (wide, 1.47),
            (0.08, 1.55),
        ]
        canvas.shape(at, body, top, BICYCLIST)
        self._head(canvas, at, 0.0, 1.56)

    def _seen_aside(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        z, look, way = self.z, self.look, self.toward
        tyre, frame = canvas.tone((30, 30, 32), z), canvas.tone(self.frame, z)
        for right in (-0.52, 0.52):
            canvas.ring(at, right, 0.34, 0.34, tyre, BICYCLIST)
        bars = [
            [(-0.52, 0.36), (-0.1, 0.36), (-0.16, 0.84)], [(-0.14, 0.78), (0.4, 0.8), (0.4, 0.74), (-0.12, 0.72)],
            [(-0.1, 0.36), (-0.04, 0.36), (0.42, 0.76), (0.36, 0.76)],
            [(0.5, 0.34), (0.55, 0.34), (0.42, 1.02), (0.37, 1.02)],
            [(0.3, 1.0), (0.52, 1.0), (0.52, 1.05), (0.3, 1.05)],
            [(-0.28, 0.86), (-0.02, 0.86), (-0.02, 0.92), (-0.28, 0.92)],
        ]  # fmt: skip
        for bar in bars:
            canvas.shape(at, [(way * a, b) for a, b in bar], frame, BICYCLIST)
        if not self.rider:
            return
        legs, dark = canvas.tone(look.trousers, z), canvas.tone(scaled(look.trousers, 0.78), z)
        top, arms = canvas.tone(look.top, z), canvas.tone(scaled(look.top, 0.8), z)
        parts = [
            ([(-0.2, 0.98), (-0.02, 0.95), (0.1, 0.62), (-0.06, 0.3), (-0.14, 0.3), (-0.02, 0.6)], dark),
            ([(-0.22, 1.0), (-0.02, 0.95), (0.24, 0.72), (0.08, 0.22), (0.0, 0.22), (0.1, 0.66)], legs),
            ([(-0.26, 0.92), (-0.05, 0.9), (0.24, 1.32), (0.22, 1.5), (0.08, 1.54), (-0.12, 1.3)], top),
            ([(0.12, 1.46), (0.24, 1.4), (0.46, 1.04), (0.38, 1.02), (0.18, 1.26)], arms),
        ]
        for outline, color in parts:
            canvas.shape(at, [(way * a, b) for a, b in outline], color, BICYCLIST)
        self._head(canvas, at, way * 0.24, 1.55)

    def _head(self, canvas: Canvas, at: tuple[float, float, float], right: float, chin: float) -> None:
        self.look.head(canvas, at, right, chin, self.z, BICYCLIST)
        if self.helmet:
            canvas.disc(
                at, right, chin + 0.19, 0.12, canvas.tone(scaled(self.frame, 1.2), self.z), BICYCLIST, tall=0.75
            )
