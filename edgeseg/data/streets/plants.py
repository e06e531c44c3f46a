"""Trees, leafy and bare, and hedges."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from random import Random

from edgeseg.data.streets.canvas import NEAR, TREE, Canvas
from edgeseg.data.streets.thing import Color, mixed, scaled, vary

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


@dataclass(frozen=True)
class _Crown:
    """Where the leaves of a crown are, in crown radii.

    Args:
        clumps: (right, up, radius, brightness), the later ones smaller and lighter.
        leaves: (angle, reach, radius), to be placed about the clumps.
    """

    clumps: tuple[tuple[float, float, float, float], ...]
    leaves: tuple[tuple[float, float, float], ...]


@functools.cache
def _crowns() -> tuple[_Crown, ...]:
    """Crowns that all trees share: drawing a new one for each tree would cost more than painting it."""
    rng, turn = Random(20), 2 * math.pi
    return tuple(
        _Crown(
            tuple(_clump(rng, k / 24) for k in range(24)),
            tuple((rng.uniform(0, turn), rng.uniform(0.72, 0.98), rng.uniform(0.04, 0.1)) for _ in range(30)),
        )
        for _ in range(64)
    )


def _clump(rng: Random, rank: float) -> tuple[float, float, float, float]:
    angle = rng.uniform(0, 2 * math.pi)
    reach = rng.uniform(0.45, 0.75) if rank < 0.5 else rng.uniform(0.1, 0.6)
    up = math.sin(angle) * reach + (0.0 if rank < 0.5 else 0.45 * (rank - 0.4))
    radius = rng.uniform(0.26, 0.42) if rank < 0.5 else rng.uniform(0.12, 0.26)
    return math.cos(angle) * reach, up, radius, 0.62 + 0.5 * rank + rng.uniform(-0.07, 0.07)


def _leaf_color(rng: Random) -> Color:
    """Green to brown, and often as grey as a wall or a road."""
    color = vary(rng, rng.choice(_LEAVES), 11)
    return mixed(color, (82.0, 80.0, 76.0), rng.uniform(0.0, 0.65))


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
        self.leaves = _leaf_color(rng)
        self.bark = vary(rng, rng.choice(_BARK), 9)
        self.slim = rng.uniform(0.75, 1.5)
        self.crown = rng.choice(_crowns())
        self.branches = [self._branch(rng) for _ in range(7)] if self.bare else []

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
            swell = radius * self.crown.leaves[k][1] * 1.1
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
            for k, (angle, _, size) in enumerate(self.crown.leaves):  # leaves on the rim of the large clumps
                right, up, lump, _ = self.crown.clumps[k % 12]
                right, up = right + math.cos(angle) * lump * 0.97, up + math.sin(angle) * lump * 0.8
                canvas.disc(at, right * radius, middle + up * tall, size * radius, dark, TREE)
        for right, up, size, brightness in self.crown.clumps if detail else self.crown.clumps[::3]:
            color = canvas.tone(scaled(self.leaves, brightness), self.z, "crown")
            canvas.disc(at, right * radius, middle + up * tall, size * radius, color, TREE, tall=0.8)
        if canvas.fraction(radius, self.z) > 0.1:
            self._leaves(canvas, at, middle, tall)

    def _leaves(self, canvas: Canvas, at: tuple[float, float, float], middle: float, tall: float) -> None:
        """Lighter and darker leaves on the clumps of a tree that is near enough to show them."""
        tones = [canvas.tone(scaled(self.leaves, factor), self.z, "crown") for factor in (0.74, 0.95, 1.2)]
        for k, (angle, reach, size) in enumerate(self.crown.leaves * 3):
            right, up, lump, _ = self.crown.clumps[(k * 7) % 24]
            turn = angle + 2.1 * (k // 30)
            right, up = right + math.cos(turn) * reach * lump * 0.8, up + math.sin(turn) * reach * lump * 0.6
            canvas.disc(at, right * self.radius, middle + up * tall, size * 0.36 * self.radius, tones[k % 3], TREE)

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
        self.leaves = _leaf_color(rng)
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
