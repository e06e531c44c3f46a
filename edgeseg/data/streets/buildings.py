"""Buildings along the street: terraces with shops, houses with gables, offices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from edgeseg.data.streets.canvas import BUILDING, NEAR, SIGN, Canvas, Column
from edgeseg.data.streets.thing import Color, mixed, scaled, vary

WALLS: tuple[Color, ...] = (
    (148, 92, 72), (128, 80, 64), (180, 158, 118), (166, 146, 112), (212, 202, 182), (196, 192, 184), (138, 136, 132),
    (166, 156, 136), (96, 78, 68), (206, 186, 152), (118, 112, 108), (160, 170, 172),
)  # fmt: skip
_ROOFS: tuple[Color, ...] = ((82, 84, 92), (104, 84, 74), (132, 82, 64), (70, 68, 68))
_SHOP_FRONTS: tuple[Color, ...] = (
    (34, 64, 112), (120, 26, 34), (28, 76, 54), (44, 44, 48), (206, 62, 44), (224, 178, 48), (222, 222, 214),
    (88, 60, 110), (30, 110, 170),
)  # fmt: skip
_DOORS: tuple[Color, ...] = ((40, 52, 80), (112, 32, 34), (36, 66, 48), (60, 50, 42), (200, 196, 188), (30, 30, 34))

FLOOR = 3.05


@dataclass(frozen=True)
class _Bay:
    """One window axis on screen: its two edges and the inner edges of the window."""

    start: Column
    end: Column
    left: Column
    right: Column
    z: float


class Building:
    """A building whose front stands along the street.

    Args:
        rng: source of every choice.
        side: −1 left of the road, 1 right of it.
        edge: metres from the road's middle to the front.
        z: near end.
        length: metres along the street.
        use: ``"shop"``, ``"house"`` or ``"office"``.
    """

    kind = "building"

    def __init__(self, rng: Random, side: int, edge: float, z: float, length: float, use: str) -> None:
        self.side, self.x, self.z, self.length, self.use = side, side * edge, z, length, use
        floors = {"shop": (2, 4), "house": (2, 3), "office": (3, 6)}[use]
        self.floors = rng.randint(*floors)
        self.ground_floor = 3.6 if use == "shop" else FLOOR
        self.height = self.ground_floor + (self.floors - 1) * FLOOR + rng.uniform(0.3, 0.9)
        self.depth = rng.uniform(8.0, 12.0)
        self.pitched = use == "house" or (use == "shop" and rng.random() < 0.65)
        self.rise = rng.uniform(2.4, 4.2) if self.pitched else 0.0
        self.wall = vary(rng, rng.choice(WALLS), 13)
        self.trim = vary(rng, (222, 216, 204), 12) if rng.random() < 0.6 else scaled(self.wall, rng.uniform(0.7, 1.2))
        self.roof = vary(rng, rng.choice(_ROOFS), 10)
        self.bays = max(1, round(length / rng.uniform(2.2, 3.6)))
        self.window_width = rng.uniform(0.38, 0.6) if use != "office" else rng.uniform(0.62, 0.9)
        self.window_height = rng.uniform(0.42, 0.6)
        self.front = vary(rng, rng.choice(_SHOP_FRONTS), 8)
        self.lettering = (238.0, 236.0, 226.0) if sum(self.front) < 380 else (40.0, 40.0, 46.0)
        self.door_bay = rng.randrange(self.bays)
        self.door = vary(rng, rng.choice(_DOORS), 6)
        self.awning = use == "shop" and rng.random() < 0.22
        self.hanging = use == "shop" and rng.random() < 0.45
        self.hanging_z = z + length * rng.uniform(0.15, 0.85)
        self.hanging_color = vary(rng, rng.choice(_SHOP_FRONTS), 12)
        self.course = rng.random() < 0.6
        self.chimneys = [z + length * rng.uniform(0.1, 0.9) for _ in range(rng.randint(1, 2))] if self.pitched else []
        self.panes = [rng.random() for _ in range(23)]

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
        facing = "left" if self.side > 0 else "right"
        self._roof(canvas, near, far, facing)
        if canvas.distance(self.z) > NEAR:
            self._gable(canvas)
        start, end = canvas.column(self.x, near), canvas.column(self.x, far)
        self._front(canvas, start, end, near, far, facing)
        if abs(start[0] - end[0]) < 0.008 * canvas.height:
            return
        bays = self._bays(canvas, near)
        for floor in range(1, self.floors):
            self._floor(canvas, bays, floor, facing)
        if self.use == "shop":
            self._shop_front(canvas, bays, start, end, facing, near)
        else:
            self._floor(canvas, bays, 0, facing)
            self._door(canvas, bays, facing)
        if self.hanging and canvas.distance(self.hanging_z) > 2.5:
            self._hanging_sign(canvas)

    def shade(self, canvas: Canvas) -> None:
        """The shadow that it throws over the street."""
        right, ahead = canvas.light.sun
        reach = min(self.height, 14.0)
        if right * self.side >= 0:  # falls away from the street
            return
        corners = [(self.x, self.z), (self.x, self.z + self.length)]
        corners += [(x + right * reach, z + ahead * reach) for x, z in reversed(corners)]
        canvas.shade(corners, 105)

    def _roof(self, canvas: Canvas, near: float, far: float, facing: str) -> None:
        if not self.pitched:
            return
        ridge = self.x + self.side * self.depth / 2
        low, high = self.height, self.height + self.rise
        points = (
            *canvas.point(self.x, low, near), *canvas.point(self.x, low, far),
            *canvas.point(ridge, high, far), *canvas.point(ridge, high, near),
        )  # fmt: skip
        for z in self.chimneys:
            if z > near + 0.5:
                at = canvas.column(ridge, z)
                color = canvas.tone(scaled(self.wall, 0.85), z)
                canvas.box(at, -0.5, 0.5, high - 0.8, high + 1.3, color, BUILDING)
                canvas.box(at, -0.35, -0.1, high + 1.3, high + 1.7, canvas.tone((150, 90, 66), z), BUILDING)
                canvas.box(at, 0.1, 0.35, high + 1.3, high + 1.7, canvas.tone((150, 90, 66), z), BUILDING)
        canvas.polygon(points, canvas.tone(self.roof, near, facing), BUILDING)

    def _gable(self, canvas: Canvas) -> None:
        """The end wall that faces the camera; seen where there is a gap before this building."""
        at, out = canvas.column(self.x, self.z), self.side * self.depth
        outline = [(0.0, 0.0), (0.0, self.height), (out, self.height), (out, 0.0)]
        if self.pitched:
            outline.insert(2, (out / 2, self.height + self.rise))
        color = scaled(self.wall, 0.94)
        canvas.shape(at, outline, canvas.tone(color, self.z), BUILDING)
        if canvas.fraction(1.0, self.z) > 0.03:
            for floor in range(self.floors):
                low = floor * FLOOR + 1.1
                glass = self._glass(canvas, floor * 5 + 3, self.z)
                for middle in (0.3, 0.7):
                    canvas.box(at, out * middle - 0.5, out * middle + 0.5, low, low + 1.3, glass, None)

    def _front(self, canvas: Canvas, start: Column, end: Column, near: float, far: float, facing: str) -> None:
        """The wall, in slices where the air makes its far end paler."""
        length = far - near
        slices = max(1, min(4, round(2.2 * math.log(canvas.distance(far) / canvas.distance(near)))))
        columns = [canvas.column(self.x, near + length * k / slices) for k in range(1, slices)]
        edges = [start, *columns, end]
        for k in range(slices):
            z = near + length * (k + 0.3) / slices
            canvas.wall(edges[k], edges[k + 1], 0.0, self.height, canvas.tone(self.wall, z, facing), BUILDING)
        middle = near + 0.3 * length
        dark, light = canvas.tone(scaled(self.wall, 0.72), middle, facing), canvas.tone(self.trim, middle, facing)
        canvas.wall(start, end, 0.0, 0.45, dark, None)
        canvas.wall(start, end, self.height - 0.28, self.height, light if self.course else dark, None)
        if self.course and canvas.fraction(0.2, near) > 0.004:
            for floor in range(1, self.floors):
                level = self.ground_floor + (floor - 1) * FLOOR
                canvas.wall(start, end, level - 0.02, level + 0.14, light, None)

    def _bays(self, canvas: Canvas, near: float) -> list[_Bay]:
        step = self.length / self.bays
        inset = step * (1 - self.window_width) / 2
        bays = []
        for index in range(self.bays):
            z0, z1 = self.z + index * step, self.z + (index + 1) * step
            if z0 + inset < near:
                continue
            left, right = canvas.column(self.x, z0 + inset), canvas.column(self.x, z1 - inset)
            if not -canvas.width < left[0] < 2 * canvas.width:
                continue
            bays.append(_Bay(canvas.column(self.x, max(z0, near)), canvas.column(self.x, z1), left, right, z0))
        return bays

    def _floor(self, canvas: Canvas, bays: list[_Bay], floor: int, facing: str) -> None:
        base = (self.ground_floor + (floor - 1) * FLOOR) if floor else 0.0
        low, high = base + 0.85, base + 0.85 + self.window_height * FLOOR
        for index, bay in enumerate(bays):
            if floor == 0 and index == self.door_bay and self.use == "house":
                continue
            width = abs(bay.left[0] - bay.right[0]) / canvas.height
            if width < 0.003:
                continue
            if width > 0.009:
                frame = canvas.tone(self.trim, bay.z, facing)
                canvas.wall(bay.left, bay.right, low - 0.12, high + 0.1, frame, None)
            pane = floor * 7 + index * 3
            inner_left, inner_right = _inner(bay.left, bay.right, 0.08), _inner(bay.right, bay.left, 0.08)
            canvas.wall(inner_left, inner_right, low, high, self._glass(canvas, pane, bay.z), None)
            if width > 0.02:
                frame = canvas.tone(self.trim, bay.z, facing)
                middle = (low + high) / 2
                canvas.wall(inner_left, inner_right, middle - 0.04, middle + 0.04, frame, None)
                if self.panes[(pane + 5) % 23] < 0.4:
                    curtain = canvas.tone((188, 182, 172), bay.z, facing)
                    canvas.wall(inner_left, _inner(inner_left, inner_right, 0.22), low, high, curtain, None)

    def _glass(self, canvas: Canvas, pane: int, z: float) -> tuple[int, int, int]:
        """Dark inside, or a piece of the sky, or a lit room."""
        share = self.panes[pane % 23]
        light = canvas.light
        if light.lamps_on and share < 0.34:
            return canvas.glowing((232, 190 + 30 * share, 110 + 120 * share), z)
        if share > 0.62:
            sky = mixed(light.horizon, light.zenith, share)
            keep = 0.35 + 0.6 * (share - 0.3)
            return canvas.glowing(scaled(sky, keep), z)
        return canvas.tone((44 + 40 * share, 50 + 42 * share, 58 + 44 * share), z)

    def _door(self, canvas: Canvas, bays: list[_Bay], facing: str) -> None:
        if self.use != "house" or self.door_bay >= len(bays):
            return
        bay = bays[self.door_bay]
        canvas.wall(bay.left, bay.right, 0.1, 2.35, canvas.tone(self.trim, bay.z, facing), None)
        left, right = _inner(bay.left, bay.right, 0.12), _inner(bay.right, bay.left, 0.12)
        canvas.wall(left, right, 0.1, 2.1, canvas.tone(self.door, bay.z, facing), None)

    def _shop_front(
        self, canvas: Canvas, bays: list[_Bay], start: Column, end: Column, facing: str, near: float
    ) -> None:
        middle = near + 0.25 * (self.z + self.length - near)
        front = canvas.tone(self.front, middle, facing)
        canvas.wall(start, end, 0.0, 3.45, canvas.tone(scaled(self.front, 0.62), middle, facing), None)
        for index, bay in enumerate(bays):
            left, right = _inner(bay.start, bay.end, 0.06), _inner(bay.end, bay.start, 0.06)
            door = index == self.door_bay
            canvas.wall(left, right, 0.05 if door else 0.55, 2.5, self._shop_glass(canvas, index, bay.z), None)
            if door:
                canvas.wall(_inner(left, right, 0.45), _inner(left, right, 0.52), 0.05, 2.4, front, None)
        canvas.wall(start, end, 2.62, 3.4, front, None)
        letters = canvas.tone(self.lettering, middle, facing)
        for index, bay in enumerate(bays):
            if self.panes[(index * 5 + 2) % 23] < 0.75 and abs(bay.start[0] - bay.end[0]) > 0.012 * canvas.height:
                for k in range(4):
                    a, b = _inner(bay.start, bay.end, 0.1 + 0.2 * k), _inner(bay.start, bay.end, 0.22 + 0.2 * k)
                    canvas.wall(a, b, 2.82, 3.02 + 0.2 * self.panes[(index * 4 + k) % 23], letters, None)
        if self.awning:
            self._awning(canvas, facing)

    def _shop_glass(self, canvas: Canvas, index: int, z: float) -> tuple[int, int, int]:
        share = self.panes[(index * 3 + 1) % 23]
        if canvas.light.lamps_on and share < 0.7:
            return canvas.glowing((236, 214, 160 + 60 * share), z)
        return canvas.tone((52 + 60 * share, 56 + 56 * share, 60 + 50 * share), z)

    def _awning(self, canvas: Canvas, facing: str) -> None:
        near, far = canvas.nearest(self.z + 0.3), self.z + self.length - 0.3
        if far < near + 0.5:
            return
        out = self.x - self.side * 1.1
        points = (
            *canvas.point(self.x, 2.9, near), *canvas.point(self.x, 2.9, far),
            *canvas.point(out, 2.35, far), *canvas.point(out, 2.35, near),
        )  # fmt: skip
        canvas.polygon(points, canvas.tone(self.hanging_color, near, "up"), BUILDING)

    def _hanging_sign(self, canvas: Canvas) -> None:
        """A board that stands out from the wall: a sign, unlike the same colours flat on the shop front."""
        z = self.hanging_z
        at = canvas.column(self.x, z)
        out = -self.side
        canvas.box(at, out * 0.15, out * 0.95, 3.5, 4.3, canvas.tone(self.hanging_color, z), SIGN)
        canvas.box(at, out * 0.28, out * 0.82, 3.8, 4.0, canvas.tone(self.lettering, z), None)


def _inner(a: Column, b: Column, share: float) -> Column:
    """The column `share` of the way from a to b, near enough to perspective for a window frame."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


class Backdrop:
    """A building that faces the camera: the end of a street, or the skyline."""

    kind = "building"

    def __init__(self, rng: Random, x: float, z: float, width: float) -> None:
        self.x, self.z, self.width = x, z, width
        self.floors = rng.randint(2, 4)
        self.height = self.floors * FLOOR + 0.7
        self.rise = rng.choice((0.0, rng.uniform(1.5, 3.5)))
        self.wall = vary(rng, rng.choice(WALLS), 13)
        self.roof = vary(rng, rng.choice(_ROOFS), 10)
        self.bays = max(2, round(width / rng.uniform(2.4, 3.6)))
        self.panes = [rng.random() for _ in range(17)]

    @property
    def order(self) -> float:
        return self.z

    @property
    def far_end(self) -> float:
        return self.z

    def draw(self, canvas: Canvas) -> None:
        if canvas.distance(self.z) < 2 * NEAR:
            return
        at, half = canvas.column(self.x, self.z), self.width / 2
        top = self.height + self.rise
        inset = min(half * 0.3, self.rise)
        roof = [(-half, self.height), (-half + inset, top), (half - inset, top), (half, self.height)]
        canvas.shape(at, roof, canvas.tone(self.roof, self.z), BUILDING)
        canvas.box(at, -half, half, 0.0, self.height, canvas.tone(self.wall, self.z), BUILDING)
        if canvas.fraction(1.0, self.z) < 0.008:
            return
        step = self.width / self.bays
        for floor in range(self.floors):
            low = floor * FLOOR + 0.9
            for bay in range(self.bays):
                left = -half + (bay + 0.25) * step
                share = self.panes[(floor * 5 + bay * 3) % 17]
                lit = canvas.light.lamps_on and share < 0.3
                dark = (50 + 70 * share, 56 + 72 * share, 64 + 76 * share)
                glass = canvas.glowing((230, 196, 130), self.z) if lit else canvas.tone(dark, self.z)
                canvas.box(at, left, left + 0.5 * step, low, low + 1.5, glass, None)
