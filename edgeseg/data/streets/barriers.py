"""What divides gardens and parks from the pavement: fences, railings, low walls."""

from __future__ import annotations

import math
from random import Random

from edgeseg.data.streets.canvas import BUILDING, FENCE, Canvas
from edgeseg.data.streets.thing import Color, scaled, vary


class Fence:
    """A fence along the street: ``"boards"``, ``"railing"`` (see-through), or a low ``"wall"``, which is a building.

    Args:
        rng: source of every choice.
        x: metres right of the road's middle.
        z: near end.
        length: metres along the street.
        style: one of the three.
    """

    kind = "fence"

    def __init__(self, rng: Random, x: float, z: float, length: float, style: str) -> None:
        self.x, self.z, self.length, self.style = x, z, length, style
        self.height = {
            "boards": rng.uniform(1.2, 1.8),
            "railing": rng.uniform(0.95, 1.35),
            "wall": rng.uniform(0.6, 1.3),
        }[style]
        colors: dict[str, tuple[Color, ...]] = {
            "boards": ((118, 90, 62), (92, 84, 74), (140, 128, 108)),
            "railing": ((34, 36, 40), (120, 122, 124), (46, 60, 52)),
            "wall": ((140, 92, 74), (168, 152, 124), (150, 148, 142)),
        }
        self.color = vary(rng, rng.choice(colors[style]), 10)
        self.kind = "wall" if style == "wall" else "fence"

    @property
    def order(self) -> float:
        return self.z + self.length

    @property
    def far_end(self) -> float:
        return self.z + self.length

    def draw(self, canvas: Canvas) -> None:
        near, far = canvas.nearest(self.z), self.z + self.length
        if far < near + 0.3:
            return
        facing = "left" if self.x > 0 else "right"
        # panels are counted from the fence's own start, so that they stay where they are as the camera moves
        step = 3.0 if canvas.distance(near) < 25 else 9.0
        first, last = math.floor((near - self.z) / step) + 1, math.ceil(self.length / step)
        edges = [near, *(self.z + k * step for k in range(first, last)), far]
        for k in range(len(edges) - 2, -1, -1):
            self._panel(canvas, edges[k], edges[k + 1], facing)

    def _panel(self, canvas: Canvas, near: float, far: float, facing: str) -> None:
        a, b = canvas.column(self.x, near), canvas.column(self.x, far)
        color = canvas.tone(self.color, near, facing)
        if self.style != "railing":
            canvas.wall(a, b, 0.0, self.height, color, BUILDING if self.style == "wall" else FENCE)
            cap = canvas.tone(scaled(self.color, 1.18), near, "up")
            canvas.wall(a, b, self.height - 0.1, self.height, cap, None)
            if self.style == "boards":
                dark = canvas.tone(scaled(self.color, 0.75), near, facing)
                self._uprights(canvas, near, far, 0.5, 0.04, dark, None)
            return
        high = self.height
        film = (a[0], a[2] - 0.1 * a[1], b[0], b[2] - 0.1 * b[1], b[0], b[2] - high * b[1], a[0], a[2] - high * a[1])
        canvas.film(film, color, 90, FENCE)
        canvas.wall(a, b, high - 0.08, high, color, FENCE)
        canvas.wall(a, b, 0.1, 0.17, color, FENCE)
        self._uprights(canvas, near, far, 0.3, 0.06, color, FENCE)

    def _uprights(
        self,
        canvas: Canvas,
        near: float,
        far: float,
        gap: float,
        wide: float,
        color: tuple[int, int, int],
        label: int | None,
    ) -> None:
        if canvas.fraction(gap, near) * abs(self.x - canvas.camera.x) / canvas.distance(near) < 0.004:
            return
        z = self.z + gap * math.ceil((near - self.z) / gap)
        while z < far - wide:
            a, b = canvas.column(self.x, z), canvas.column(self.x, z + wide)
            canvas.wall(a, b, 0.1, self.height, color, label)
            z += gap
