"""Trees, hedges and grass; and what encloses them: fences and walls."""

from __future__ import annotations

import math
from random import Random

from edgeseg.data.streets.canvas import BUILDING, FENCE, NEAR, NOTHING, TREE, Canvas
from edgeseg.data.streets.thing import Color, scaled, vary

_LEAVES: tuple[Color, ...] = (
    (66, 92, 44),
    (54, 80, 46),
    (88, 104, 56),
    (76, 92, 62),
    (122, 98, 48),
    (98, 84, 56),
    (48, 66, 42),
)
_BARK: tuple[Color, ...] = ((84, 72, 58), (98, 92, 82), (70, 62, 54), (110, 108, 102))
"""Bark is as grey as a pole may be: the crown above tells them apart."""


class Tree:
    """A trunk with a lumpy crown, or with bare branches.

    Args:
        rng: source of every choice.
        x: metres right of the road's middle.
        z: metres along the street.
        size: 1 is a street tree of some seven metres.
    """

    kind = "tree"

    def __init__(self, rng: Random, x: float, z: float, size: float = 1.0) -> None:
        self.x, self.z = x, z
        self.bare = rng.random() < 0.28
        self.trunk = rng.uniform(2.0, 3.2) * size
        self.radius = rng.uniform(1.5, 2.8) * size
        self.width = rng.uniform(0.11, 0.2) * size
        self.leaves = vary(rng, rng.choice(_LEAVES), 11)
        self.bark = vary(rng, rng.choice(_BARK), 9)
        self.slim = rng.uniform(0.75, 1.5)
        self.lumps = [self._lump(rng, k / 24) for k in range(24)]
        self.specks = [
            (rng.uniform(0, 2 * math.pi), rng.uniform(0.72, 0.98), rng.uniform(0.04, 0.1)) for _ in range(30)
        ]
        self.branches = [self._branch(rng) for _ in range(7)] if self.bare else []

    @staticmethod
    def _lump(rng: Random, rank: float) -> tuple[float, float, float, float]:
        """A clump of leaves: right, up, radius (in crown radii), brightness; later ones are smaller and lighter."""
        angle = rng.uniform(0, 2 * math.pi)
        reach = rng.uniform(0.45, 0.75) if rank < 0.5 else rng.uniform(0.1, 0.6)
        up = math.sin(angle) * reach + (0.0 if rank < 0.5 else 0.45 * (rank - 0.4))
        radius = rng.uniform(0.26, 0.42) if rank < 0.5 else rng.uniform(0.12, 0.26)
        return math.cos(angle) * reach, up, radius, 0.62 + 0.5 * rank + rng.uniform(-0.07, 0.07)

    @staticmethod
    def _branch(rng: Random) -> tuple[float, float, float]:
        """Angle from upright, length in crown radii, start height as a share of the trunk."""
        return rng.gauss(0.0, 0.55), rng.uniform(0.8, 1.7), rng.uniform(0.55, 1.0)

    @property
    def order(self) -> float:
        return self.z

    @property
    def far_end(self) -> float:
        return self.z + 0.5

    def draw(self, canvas: Canvas) -> None:
        if canvas.distance(self.z) < NEAR:
            return
        at = canvas.column(self.x, self.z)
        if not -2.0 * canvas.width < at[0] < 3.0 * canvas.width:
            return
        bark = canvas.tone(self.bark, self.z)
        width = self.width
        outline = [(-width, 0.0), (-width * 0.7, self.trunk), (width * 0.7, self.trunk), (width, 0.0)]
        canvas.shape(at, outline, bark, TREE)
        if self.bare:
            self._bare_crown(canvas, at, bark)
        else:
            self._leafy_crown(canvas, at)

    def shade(self, canvas: Canvas) -> None:
        """A rough disc of shadow on the ground."""
        right, ahead = canvas.light.sun
        reach = self.trunk + self.radius
        x, z = self.x + right * reach, self.z + ahead * reach
        radius = self.radius * (0.7 if self.bare else 1.1)
        corners = []
        for k in range(9):
            angle = k * 2 * math.pi / 9
            swell = radius * (0.85 + 0.3 * self.specks[k][1] % 0.4)
            corners.append((x + swell * math.cos(angle), z + swell * math.sin(angle) * 1.3))
        if canvas.distance(z) > radius:
            canvas.shade(corners, 60 if self.bare else 100)
        if not self.bare:
            canvas.shade([(self.x - 0.1, self.z), (self.x + 0.1, self.z), (x + 0.1, z), (x - 0.1, z)], 90)

    def _leafy_crown(self, canvas: Canvas, at: tuple[float, float, float]) -> None:
        radius, middle = self.radius, self.trunk + self.radius * 0.75
        tall = radius * self.slim
        detail = canvas.fraction(radius, self.z) > 0.02
        dark = canvas.tone(scaled(self.leaves, 0.62), self.z)
        canvas.disc(at, 0.0, middle, radius * 0.72, dark, TREE, tall=self.slim)
        if detail:
            for k, (angle, _, size) in enumerate(self.specks):  # leaves on the rim of the large clumps
                right, up, lump, _ = self.lumps[k % 12]
                right, up = right + math.cos(angle) * lump * 0.97, up + math.sin(angle) * lump * 0.8
                canvas.disc(at, right * radius, middle + up * tall, size * radius, dark, TREE)
        for right, up, size, brightness in self.lumps if detail else self.lumps[::3]:
            color = canvas.tone(scaled(self.leaves, brightness), self.z, "crown")
            canvas.disc(at, right * radius, middle + up * tall, size * radius, color, TREE, tall=0.8)

    def _bare_crown(self, canvas: Canvas, at: tuple[float, float, float], bark: tuple[int, int, int]) -> None:
        detail = canvas.fraction(self.radius, self.z) > 0.03
        for angle, length, start in self.branches:
            base, along = self.trunk * start, length * self.radius * 0.62
            right, up = math.sin(angle) * along, base + math.cos(angle) * along * self.slim
            canvas.puff(at, right, up, self.radius * 0.42, bark, 42, TREE)
            canvas.puff(at, right * 1.35, up + 0.1 * along, self.radius * 0.3, bark, 36, TREE)
        for angle, length, start in self.branches:
            base, along, thick = self.trunk * start, length * self.radius * 0.62, self.width * 0.4
            self._branch_out(canvas, at, bark, (0.0, base), (angle, along, thick), 3 if detail else 1)

    def _branch_out(
        self,
        canvas: Canvas,
        at: tuple[float, float, float],
        bark: tuple[int, int, int],
        root: tuple[float, float],
        branch: tuple[float, float, float],
        levels: int,
    ) -> None:
        """A branch (angle from upright, length, half thickness), and the twigs that fork from it."""
        (x, y), (angle, length, thick) = root, branch
        tip = (x + math.sin(angle) * length, y + math.cos(angle) * length * self.slim)
        canvas.shape(at, [(x - thick, y), (x + thick, y), tip], bark, TREE)
        if levels > 1:
            for share, turn in ((0.55, -0.55), (0.75, 0.5)):
                fork = (x + (tip[0] - x) * share, y + (tip[1] - y) * share)
                twig = (angle + turn, length * 0.7, thick * 0.6)
                self._branch_out(canvas, at, bark, fork, twig, levels - 1)


class Bush:
    """A row of shrubs or a hedge along the street."""

    kind = "bush"

    def __init__(self, rng: Random, x: float, z: float, length: float, height: float) -> None:
        self.x, self.z, self.length, self.height = x, z, length, height
        self.leaves = vary(rng, rng.choice(_LEAVES), 11)
        self.lumps = [(z + k, rng.uniform(0.8, 1.12), rng.uniform(0.72, 1.2)) for k in range(max(1, round(length)))]

    @property
    def order(self) -> float:
        return self.z + self.length

    @property
    def far_end(self) -> float:
        return self.z + self.length

    def draw(self, canvas: Canvas) -> None:
        facing = "left" if self.x > 0 else "right"
        for z, swell, brightness in reversed(self.lumps):
            near = canvas.nearest(z)
            if near > z + 0.8 or canvas.fraction(self.height, z) < 0.003:
                continue
            a, b = canvas.column(self.x, near), canvas.column(self.x, z + 1.05)
            high = self.height * swell
            canvas.wall(a, b, 0.0, high * 0.9, canvas.tone(scaled(self.leaves, 0.75), near, facing), TREE)
            light = canvas.tone(scaled(self.leaves, brightness), near, "crown")
            outward = 0.5 if self.x > 0 else -0.5
            canvas.disc(a, outward * 0.4, high * 0.78, 0.5, light, TREE, tall=0.5 * high)
            canvas.disc(b, outward * 0.2, high * 0.45, 0.3, light, TREE, tall=0.7)


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
