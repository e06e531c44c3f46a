"""What stands where: a street is laid out block by block, each block from its own random stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from edgeseg.data.streets import road
from edgeseg.data.streets.barriers import Fence
from edgeseg.data.streets.buildings import Backdrop, Building
from edgeseg.data.streets.furniture import Clutter, Hoarding, Lamp, Mast, RoadSign, TrafficLight
from edgeseg.data.streets.people import Cyclist, Pedestrian
from edgeseg.data.streets.plants import Bush, Tree
from edgeseg.data.streets.road import Flat, Style
from edgeseg.data.streets.thing import Thing
from edgeseg.data.streets.vehicles import CrossingCar, Vehicle

BLOCK = 40.0
"""Metres of street that are laid out together."""

ZONES = {"terrace": 0.34, "houses": 0.26, "office": 0.07, "park": 0.28, "yard": 0.05}


@dataclass
class Block:
    """One stretch of street."""

    things: list[Thing] = field(default_factory=list)
    flats: list[Flat] = field(default_factory=list)


def lay_block(rng: Random, style: Style, start: float, length: float = BLOCK) -> Block:
    """Fill the street between `start` and `start + length`."""
    block = Block()
    block.flats += road.patches(rng, style, start, start + length)
    if rng.random() < 0.10:
        block.flats += road.zebra(style, start + rng.uniform(2, length - 5))
    for side in (-1, 1):
        _lay_side(rng, style, side, start, start + length, block)
        _furnish(rng, style, side, start, length, block.things)
        _park_cars(rng, style, side, start, length, block.things)
        _walk(rng, style, side, start, length, block.things)
    return block


def _lay_side(rng: Random, style: Style, side: int, start: float, end: float, block: Block) -> None:
    zone = rng.choices(list(ZONES), list(ZONES.values()))[0]
    if rng.random() < 0.25:
        mouth = rng.uniform(6.0, 9.0)
        at = rng.uniform(start + 2, end - mouth - 2)
        block.flats += road.side_road(rng, style, side, at, at + mouth)
        _fill(rng, zone, style, side, start, at - 0.5, block.things)
        _fill(rng, zone, style, side, at + mouth + 0.5, end, block.things)
        if rng.random() < 0.5:
            block.things.append(CrossingCar(rng, side * (style.half_road + rng.uniform(3.5, 9.0)), at + mouth * 0.6))
        block.things.append(Backdrop(rng, side * (style.edge(side) + 32), at + mouth, 46.0))
    else:
        _fill(rng, zone, style, side, start, end, block.things)


def _fill(rng: Random, zone: str, style: Style, side: int, start: float, end: float, things: list[Thing]) -> None:
    if end - start < 3:
        return
    edge = style.edge(side)
    if zone in ("terrace", "office"):
        setback = 0.0 if zone == "terrace" else rng.choice((0.0, rng.uniform(2, 6)))
        _row_of_buildings(
            rng, side, edge + setback, start, end, "shop" if zone == "terrace" else "office", 0.08, things
        )
        if setback:
            _enclose(rng, side, edge, start, end, things)
    elif zone == "houses":
        setback = rng.uniform(2.5, 6.0)
        _row_of_buildings(rng, side, edge + setback, start, end, "house", 0.8, things)
        _enclose(rng, side, edge, start, end, things)
        for _ in range(rng.randint(1, 4)):
            things.append(
                Tree(rng, side * (edge + rng.uniform(1.0, setback)), rng.uniform(start, end), rng.uniform(0.5, 0.8))
            )
    elif zone == "park":
        _enclose(rng, side, edge, start, end, things)
        for _ in range(round((end - start) / rng.uniform(2.6, 5.0))):
            things.append(
                Tree(rng, side * (edge + rng.uniform(1.2, 14.0)), rng.uniform(start, end), rng.uniform(0.9, 1.6))
            )
        things.append(Bush(rng, side * (edge + 16), start, end - start, rng.uniform(2.0, 4.0)))
    else:  # an open yard with parked cars
        _enclose(rng, side, edge, start, end, things)
        for _ in range(rng.randint(1, 4)):
            things.append(CrossingCar(rng, side * (edge + rng.uniform(4.0, 14.0)), rng.uniform(start, end)))
        _row_of_buildings(rng, side, edge + 18, start, end, "office", 0.2, things)


def _row_of_buildings(
    rng: Random, side: int, edge: float, start: float, end: float, use: str, gaps: float, things: list[Thing]
) -> None:
    z = start
    while z < end - 3.5:
        length = min(end - z, rng.uniform(5.5, 13.0) if use != "office" else rng.uniform(14, 26))
        kind = use if use != "shop" or rng.random() < 0.8 else "house"
        things.append(Building(rng, side, edge + rng.choice((0.0, 0.0, 0.3)), z, length, kind))
        z += length + (rng.uniform(1.5, 5.0) if rng.random() < gaps else 0.0)


def _enclose(rng: Random, side: int, edge: float, start: float, end: float, things: list[Thing]) -> None:
    """What divides a garden or park from the pavement."""
    x, length = side * (edge + 0.15), end - start
    choice = rng.random()
    if choice < 0.28:
        things.append(Fence(rng, x, start, length, "railing"))
    elif choice < 0.50:
        things.append(Fence(rng, x, start, length, "boards"))
    elif choice < 0.66:
        things.append(Fence(rng, x, start, length, "wall"))
        if rng.random() < 0.5:
            things.append(Bush(rng, side * (edge + 0.9), start, length, rng.uniform(1.2, 2.0)))
    elif choice < 0.88:
        things.append(Bush(rng, side * (edge + 0.7), start, length, rng.uniform(0.9, 2.2)))


def _furnish(rng: Random, style: Style, side: int, start: float, length: float, things: list[Thing]) -> None:
    """Lamps, signs, trees, bins and railings on one pavement."""
    kerb, back = side * (style.half_road + 0.35), side * (style.edge(side) - 0.3)

    def anywhere() -> float:
        return start + rng.uniform(0.0, length)

    _put_poles(rng, kerb, back, start, length, things)
    if rng.random() < 0.2:
        things.append(Hoarding(rng, side * (style.half_road + style.pavement[side > 0] * 0.6), anywhere()))
    if rng.random() < 0.5:
        first, gap = anywhere(), rng.uniform(7, 11)
        things += [
            Tree(rng, kerb + side * 0.3, first + k * gap, rng.uniform(0.7, 1.0)) for k in range(rng.randint(1, 3))
        ]
    for _ in range(rng.randint(1, 4)):
        things.append(Clutter(rng, rng.choice((kerb, back)), anywhere(), rng.choice((None, None, 0.75))))
    if rng.random() < 0.2:
        things.append(Fence(rng, kerb, anywhere(), rng.uniform(5, 12), "railing"))
    if rng.random() < 0.1:
        first, along = anywhere(), rng.random() < 0.4
        things += [Cyclist(rng, back, first + 0.9 * k, along, rider=False) for k in range(rng.randint(1, 3))]


def _put_poles(rng: Random, kerb: float, back: float, start: float, length: float, things: list[Thing]) -> None:
    def anywhere() -> float:
        return start + rng.uniform(0.0, length)

    for _ in range(rng.choice((1, 1, 2))):
        things.append(Lamp(rng, rng.choice((kerb, back)), anywhere()))
    if rng.random() < 0.35:
        things.append(Mast(rng, rng.choice((kerb, back)), anywhere(), rng.uniform(3.0, 8.0)))
    for _ in range(rng.randint(1, 3)):
        things.append(RoadSign(rng, rng.choice((kerb, kerb, back)), anywhere()))
    if rng.random() < 0.35:
        z = anywhere()
        things.append(TrafficLight(rng, kerb, z))
        things.append(TrafficLight(rng, -kerb, z + rng.uniform(-0.5, 6.0)))
    if rng.random() < 0.25:
        first, gap = anywhere(), rng.uniform(1.4, 2.2)
        things += [Mast(rng, kerb, first + k * gap, 0.95) for k in range(rng.randint(3, 7))]


def _park_cars(rng: Random, style: Style, side: int, start: float, length: float, things: list[Thing]) -> None:
    if not style.parking[side > 0] or rng.random() < 0.2:
        return
    z = start + rng.uniform(0, 6)
    while z < start + length - 6:
        if rng.random() < 0.75:
            oncoming = rng.random() < (0.75 if side > 0 else 0.15)
            car = Vehicle(rng, side * (style.half_road - 1.05), z, oncoming)
            things.append(car)
            z += car.body.length
        else:
            z += 5
        z += rng.uniform(0.8, 2.5)


def _walk(rng: Random, style: Style, side: int, start: float, length: float, things: list[Thing]) -> None:
    for _ in range(rng.choice((0, 1, 2, 2, 3, 5))):
        x = side * rng.uniform(style.half_road + 0.4, style.edge(side) - 0.3)
        z = start + rng.uniform(0, length)
        things.append(Pedestrian(rng, x, z))
        if rng.random() < 0.3:
            things.append(Pedestrian(rng, x + rng.uniform(0.5, 0.8), z + rng.uniform(-0.2, 0.3)))


def traffic(rng: Random, style: Style, camera_x: float, start: float, end: float) -> list[Thing]:
    """Moving vehicles and cyclists between two z, and someone who crosses."""
    things: list[Thing] = []
    if rng.random() < 0.55:
        things.append(Vehicle(rng, camera_x + rng.uniform(-0.3, 0.3), start + rng.uniform(7.5, 32), False, speed=9.0))
    oncoming_x = max(1.5, -camera_x)
    z = start + rng.uniform(6, 45)
    while z < end:
        things.append(Vehicle(rng, oncoming_x + rng.uniform(-0.2, 0.3), z, True, speed=-9.0))
        z += rng.uniform(9, 60)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        side = rng.choice((-1, -1, 1))
        x = side * (style.half_road - (2.6 if style.parking[side > 0] else 0.7))
        things.append(Cyclist(rng, x, start + rng.uniform(7, 36), along=rng.random() < 0.85))
    if rng.random() < 0.22:
        things.append(Pedestrian(rng, rng.uniform(-style.half_road, style.half_road), start + rng.uniform(10, 40)))
    return things


def skyline(rng: Random, z: float) -> list[Thing]:
    """Roofs and trees far behind everything."""
    things: list[Thing] = []
    x = -150.0
    while x < 150:
        width = rng.uniform(8, 24)
        far = z + rng.uniform(0, 30)
        if rng.random() < 0.5:
            things.append(Backdrop(rng, x + width / 2, far, width))
        else:
            things.append(Tree(rng, x + width / 2, far, rng.uniform(1.2, 2.2)))
        x += width * rng.uniform(0.5, 1.0)
    return things
