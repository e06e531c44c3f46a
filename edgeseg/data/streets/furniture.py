"""Poles and what hangs on them: lamps, traffic lights, signs; bollards; bins."""

from __future__ import annotations

from random import Random

from edgeseg.data.streets.canvas import NEAR, NOTHING, POLE, SIGN, Canvas
from edgeseg.data.streets.thing import Color, scaled, vary

_METAL: tuple[Color, ...] = ((96, 98, 100), (60, 62, 66), (128, 128, 126), (84, 76, 66), (52, 66, 58))


class Post:
    """Anything upright and thin; the classes below hang things on it."""

    kind = "pole"

    def __init__(self, rng: Random, x: float, z: float) -> None:
        self.x, self.z = x, z
        self.inward = -1.0 if x > 0 else 1.0
        self.metal = vary(rng, rng.choice(_METAL), 9)
        self.thick = rng.uniform(0.04, 0.07)

    @property
    def order(self) -> float:
        return self.z

    @property
    def far_end(self) -> float:
        return self.z + 0.5

    def draw(self, canvas: Canvas) -> None:
        if canvas.distance(self.z) < 2 * NEAR:
            return
        at = canvas.column(self.x, self.z)
        if -0.5 * canvas.width < at[0] < 1.5 * canvas.width:
            self._draw_at(canvas, at)

    def shade(self, canvas: Canvas) -> None:
        """A thin line of shadow, where the sun makes one."""
        right, ahead = canvas.light.sun
        reach = 3.0
        thick = self.thick * 1.2
        x, z = self.x + right * reach, self.z + ahead * reach
        canvas.shade([(self.x - thick, self.z), (self.x + thick, self.z), (x + thick, z), (x - thick, z)], 80)

    def _upright(self, canvas: Canvas, at: tuple[float, float, float], height: float) -> tuple[int, int, int]:
        color = canvas.tone(self.metal, self.z)
        half = self.thick
        canvas.box(at, -half, half, 0.0, height, color, POLE)
        canvas.box(at, 0.3 * half, half, 0.0, height, canvas.tone(scaled(self.metal, 0.75), self.z), None)
        return color

    def _draw_at(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        raise NotImplementedError


class Lamp(Post):
    """A street lamp: a tall post with an arm over the road."""

    kind = "lamp"

    def __init__(self, rng: Random, x: float, z: float) -> None:
        super().__init__(rng, x, z)
        self.height = rng.uniform(5.5, 9.0)
        self.arm = rng.choice((0.0, rng.uniform(0.8, 2.2)))
        self.warm = rng.random() < 0.6

    def _draw_at(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        color = self._upright(canvas, at, self.height)
        half, end = self.thick, self.inward * self.arm
        canvas.box(at, -half * 1.7, half * 1.7, 0.0, 1.3, color, POLE)
        canvas.shape(
            at,
            [(-half, self.height), (end, self.height + 0.25), (end, self.height + 0.4), (half, self.height + 0.18)],
            color,
            POLE,
        )
        lit = canvas.light.lamps_on
        glass = (255.0, 214.0, 140.0) if self.warm else (236.0, 240.0, 250.0)
        head = canvas.glowing(glass, self.z) if lit else canvas.tone((170, 170, 168), self.z)
        left, right = (end - 0.3, end + 0.3) if self.arm else (-0.22, 0.22)
        low = self.height + (0.2 if self.arm else 0.0)
        canvas.box(at, left, right, low, low + (0.2 if self.arm else 0.5), head, POLE)
        if lit:
            canvas.glow(at, end, low, 1.1, glass)


class TrafficLight(Post):
    """A post with three lamps in a dark box."""

    kind = "traffic light"

    def __init__(self, rng: Random, x: float, z: float) -> None:
        super().__init__(rng, x, z)
        self.low = rng.uniform(2.1, 2.5)
        self.lamp = rng.randrange(3)
        self.board = rng.random() < 0.5

    def _draw_at(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        self._upright(canvas, at, self.low)
        low, z = self.low, self.z
        if self.board:
            canvas.box(at, -0.3, 0.3, low - 0.08, low + 1.15, canvas.tone((52, 54, 56), z), SIGN)
            canvas.box(at, -0.26, 0.26, low - 0.04, low + 1.11, canvas.tone((24, 24, 26), z), None)
        canvas.box(at, -0.19, 0.19, low, low + 1.05, canvas.tone((30, 31, 33), z), SIGN)
        colors = ((70, 226, 120), (250, 176, 40), (246, 52, 40))
        for k, color in enumerate(colors):
            shown = canvas.glowing(color, z) if k == self.lamp else canvas.tone(scaled(color, 0.22), z)
            canvas.disc(at, 0.0, low + 0.19 + 0.33 * k, 0.12, shown, None)
        if canvas.light.lamps_on:
            canvas.glow(at, 0.0, low + 0.19 + 0.33 * self.lamp, 0.45, colors[self.lamp])


class RoadSign(Post):
    """A post with one or two traffic signs: disc, triangle, plate or board."""

    kind = "sign"

    def __init__(self, rng: Random, x: float, z: float) -> None:
        super().__init__(rng, x, z)
        self.thick = rng.uniform(0.03, 0.045)
        self.low = rng.uniform(1.9, 2.5)
        self.plates = [
            rng.choice(("limit", "disc", "triangle", "plate", "board", "back")) for _ in range(rng.choice((1, 1, 2)))
        ]
        self.tint = vary(
            rng, rng.choice(((34, 78, 168), (30, 110, 70), (214, 190, 60), (226, 226, 220), (40, 62, 120))), 9
        )
        self.size = rng.uniform(0.3, 0.44)

    def _draw_at(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        size = self.size
        self._upright(canvas, at, self.low + 2 * size * len(self.plates))
        low = self.low
        for plate in self.plates:
            self._plate(canvas, at, plate, low + size)
            low += 2.1 * size

    def _plate(self, canvas: Canvas, at: tuple[float, float, float], plate: str, middle: float) -> None:
        size, z = self.size, self.z
        red, white = canvas.tone((204, 34, 38), z), canvas.tone((228, 228, 222), z)
        dark, tint = canvas.tone((36, 36, 40), z), canvas.tone(self.tint, z)
        if plate == "limit":
            canvas.disc(at, 0.0, middle, size, red, SIGN)
            canvas.disc(at, 0.0, middle, size * 0.74, white, None)
            canvas.box(at, -size * 0.4, -size * 0.08, middle - size * 0.3, middle + size * 0.3, dark, None)
            canvas.box(at, size * 0.08, size * 0.4, middle - size * 0.3, middle + size * 0.3, dark, None)
        elif plate == "disc":
            canvas.disc(at, 0.0, middle, size, tint, SIGN)
            canvas.shape(at, [(-0.12, middle - 0.25), (0.0, middle + 0.28), (0.12, middle - 0.25)], white, None)
        elif plate == "triangle":
            corners = [(-1.0, -0.8), (0.0, 0.95), (1.0, -0.8)]
            canvas.shape(at, [(a * size, middle + b * size) for a, b in corners], red, SIGN)
            canvas.shape(at, [(a * size * 0.62, middle - 0.1 * size + b * size * 0.6) for a, b in corners], white, None)
        elif plate == "board":
            canvas.box(at, -size * 1.7, size * 1.7, middle - size, middle + size, tint, SIGN)
            canvas.box(at, -size * 1.4, size * 1.2, middle + size * 0.25, middle + size * 0.5, white, None)
            canvas.box(at, -size * 1.4, size * 0.8, middle - size * 0.4, middle - size * 0.15, white, None)
        elif plate == "back":
            canvas.disc(at, 0.0, middle, size, canvas.tone((140, 140, 138), z), SIGN)
        else:
            canvas.box(at, -size, size, middle - size * 0.8, middle + size * 0.8, tint, SIGN)
            canvas.box(at, -size * 0.7, size * 0.7, middle - size * 0.15, middle + size * 0.2, white, None)


class Hoarding(Post):
    """An advertising board on two short legs, or a bus stop flag: a sign as large as a shop window."""

    kind = "sign"

    def __init__(self, rng: Random, x: float, z: float) -> None:
        super().__init__(rng, x, z)
        self.half = rng.uniform(0.45, 0.75)
        self.high = rng.uniform(1.6, 2.4)
        self.paint = tuple(rng.uniform(30, 225) for _ in range(3))
        self.second = tuple(rng.uniform(30, 225) for _ in range(3))

    def _draw_at(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        half, high, z = self.half, self.high, self.z
        metal = canvas.tone(self.metal, z)
        for foot in (-half * 0.8, half * 0.8):
            canvas.box(at, foot - 0.05, foot + 0.05, 0.0, 0.9, metal, POLE)
        canvas.box(at, -half, half, 0.7, 0.7 + high, metal, SIGN)
        canvas.box(at, -half * 0.88, half * 0.88, 0.78, 0.62 + high, canvas.tone(self.paint, z), None)
        canvas.box(at, -half * 0.6, half * 0.6, 0.9 + high * 0.3, 0.8 + high * 0.6, canvas.tone(self.second, z), None)


class Mast(Post):
    """A bare post: telegraph pole, flag pole, or bollard when it is short."""

    kind = "pole"

    def __init__(self, rng: Random, x: float, z: float, height: float) -> None:
        super().__init__(rng, x, z)
        self.height = height
        self.thick = rng.uniform(0.045, 0.085) if height > 2 else rng.uniform(0.05, 0.08)
        self.cross = height > 5 and rng.random() < 0.4

    def _draw_at(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        color = self._upright(canvas, at, self.height)
        if self.cross:
            canvas.box(at, -0.8, 0.8, self.height - 0.7, self.height - 0.58, color, POLE)
        if self.height < 2:
            canvas.box(
                at,
                -self.thick,
                self.thick,
                self.height - 0.2,
                self.height - 0.1,
                canvas.tone((224, 220, 210), self.z),
                None,
            )


class Clutter:
    """Bins, boxes, stalls and cabinets: things of no class (void)."""

    kind = "clutter"

    def __init__(self, rng: Random, x: float, z: float, size: float | None = None) -> None:
        self.x, self.z = x, z
        self.wide = size if size is not None else rng.uniform(0.3, 0.6)
        self.high = rng.uniform(0.9, 1.5) * (1.0 if size is None else 1.2)
        base: tuple[Color, ...] = (
            (44, 70, 52),
            (50, 50, 54),
            (150, 34, 36),
            (120, 118, 112),
            (64, 84, 120),
            (110, 96, 78),
        )
        self.color = vary(rng, rng.choice(base), 14)

    @property
    def order(self) -> float:
        return self.z

    @property
    def far_end(self) -> float:
        return self.z

    def draw(self, canvas: Canvas) -> None:
        if canvas.distance(self.z) < 2 * NEAR:
            return
        at = canvas.column(self.x, self.z)
        wide, high = self.wide, self.high
        canvas.box(at, -wide, wide, 0.0, high, canvas.tone(self.color, self.z), NOTHING)
        canvas.box(
            at, -wide * 1.08, wide * 1.08, high, high + 0.1, canvas.tone(scaled(self.color, 0.7), self.z), NOTHING
        )
        canvas.box(
            at, -wide * 0.6, wide * 0.6, high * 0.6, high * 0.8, canvas.tone(scaled(self.color, 1.3), self.z), None
        )

    def shade(self, canvas: Canvas) -> None:
        """Contact shadow."""
        wide = self.wide * 1.3
        canvas.shade(
            [
                (self.x - wide, self.z - 0.3),
                (self.x + wide, self.z - 0.3),
                (self.x + wide, self.z + 0.5),
                (self.x - wide, self.z + 0.5),
            ],
            120,
        )
