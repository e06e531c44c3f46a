"""`drive`: an endless, coherent ride along one street, for live demos and video."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from edgeseg.data.streets import layout, road
from edgeseg.data.streets.canvas import Camera
from edgeseg.data.streets.light import sample_light
from edgeseg.data.streets.people import Cyclist, Pedestrian
from edgeseg.data.streets.scene import Scene, check_factors, check_size, random_stream, render, sample_camera
from edgeseg.data.streets.thing import Mover, Thing
from edgeseg.data.streets.vehicles import Vehicle

_STREAM = 1000  # keys the random streams of drives; splits use 0, 1, 2
_AHEAD = 320.0  # metres laid out ahead: a house appears there a few pixels high, before the skyline
_BEHIND = 30.0  # metres kept behind the camera, for the shadows that still reach forward


def drive(
    seed: int = 0, size: tuple[int, int] = (360, 480), fps: float = 25.0, speed: float = 9.0, **factors: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Drive along a street without end.

    Args:
        seed: another seed is another street.
        size: (H, W) in pixels, each ≥ 32.
        fps: frames per second of the street's time.
        speed: metres per second of the camera.
        **factors: as for `Streets`, e.g. ``night=True``.

    Returns:
        Iterator of image (H, W, 3) uint8 RGB and label (H, W) uint8, void 255. Its memory is bounded: what lies
        behind the camera is forgotten.

    Raises:
        ValueError: unknown factor, size below 32, fps ≤ 0, speed < 0, negative seed.
    """
    if not fps > 0 or not speed >= 0 or not math.isfinite(fps) or not math.isfinite(speed):
        raise ValueError(f"fps = {fps}, speed = {speed}: fps must be above 0 and speed at least 0")
    if seed < 0:
        raise ValueError(f"seed = {seed}: give an integer ≥ 0")
    return _frames(_Ride(seed, fps, speed, check_factors(factors)), check_size(size))


def _frames(ride: _Ride, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    frame = 0
    while True:
        yield render(ride.scene(), size, frame)
        ride.advance()
        frame += 1


class _Ride:
    """The part of the street around the camera, and the clock."""

    def __init__(self, seed: int, fps: float, speed: float, factors: dict[str, Any]) -> None:
        self.seed, self.step, self.speed, self.factors = seed, 1.0 / fps, speed, factors
        rng = random_stream(seed, _STREAM, 0)
        self.light = sample_light(random_stream(seed, _STREAM, 1), factors)
        self.light = replace(self.light, fog=max(self.light.fog, 0.003))
        self.style = road.sample_style(rng)
        self.first_camera = replace(sample_camera(rng, self.style), bend=0.0, vanish=0.5)
        self.swing = [(rng.uniform(0.5, 1.2), rng.uniform(0.006, 0.02), rng.uniform(0, 6.28)) for _ in range(2)]
        self.skyline = layout.skyline(rng, _AHEAD + 30)
        self.skyline_depths = [thing.z for thing in self.skyline]
        self.blocks: deque[layout.Block] = deque()
        self.next_block = -1
        self.traffic_rng = random_stream(seed, _STREAM, 2)
        self.traffic: list[Mover] = []
        self.next_oncoming, self.next_cyclist = 15.0, 12.0
        self.z, self.time = 0.0, 0.0
        self._spawn_lead()
        self._extend()

    def advance(self) -> None:
        """Move camera, vehicles and people by one frame, lay out what comes, forget what has passed."""
        self.time += self.step
        self.z += self.speed * self.step
        for mover in self.traffic:
            mover.z += mover.speed * self.step
            if isinstance(mover, Cyclist):
                mover.pedal = 0.11 + 0.11 * math.sin(self.time * 7 + mover.x)
        for block in self.blocks:
            for thing in block.things:
                if isinstance(thing, Pedestrian):
                    thing.z += thing.speed * self.step
                    thing.stride = 0.2 * math.sin(self.time * 7 + thing.x * 5)
        self._keep_lead()
        self._extend()

    def scene(self) -> Scene:
        """What the camera sees now."""
        for thing, depth in zip(self.skyline, self.skyline_depths, strict=True):
            thing.z = self.z + depth
        things: list[Thing] = [thing for block in self.blocks for thing in block.things]
        things += self.traffic
        things += self.skyline
        things.sort(key=lambda thing: -thing.order)
        flats = tuple(flat for block in self.blocks for flat in block.flats)
        return Scene(self._camera(), self.light, self.style, tuple(things), flats, None, self.factors)

    def _camera(self) -> Camera:
        bend = sum(0.0009 * size * math.sin(self.z * rate + phase) for size, rate, phase in self.swing)
        sway = 0.12 * math.sin(self.z * 0.05)
        bump = 0.0012 * math.sin(self.z * 1.3) + 0.0008 * math.sin(self.z * 3.1)
        first = self.first_camera
        return replace(
            first, z=self.z, x=first.x + sway, horizon=first.horizon + bump, vanish=0.5 - 18 * bend, bend=bend
        )

    def _extend(self) -> None:
        while self.next_block * layout.BLOCK < self.z + _AHEAD:
            rng = random_stream(self.seed, _STREAM, 10 + self.next_block + 1)
            self.blocks.append(layout.lay_block(rng, self.style, self.next_block * layout.BLOCK))
            self.next_block += 1
        while self.blocks and (self.next_block - len(self.blocks) + 1) * layout.BLOCK < self.z - _BEHIND:
            self.blocks.popleft()
        self.traffic = [t for t in self.traffic if self.z - _BEHIND < t.far_end and t.z < self.z + _AHEAD + 60]
        self._spawn(self.traffic_rng)

    def _spawn(self, rng: Random) -> None:
        """Let oncoming cars and cyclists enter far ahead; the first ones fill the street at the start."""
        half = self.style.half_road
        while self.next_oncoming < self.z + _AHEAD:
            x = max(1.5, -self.first_camera.x) + rng.uniform(-0.2, 0.3)
            self.traffic.append(Vehicle(rng, x, self.next_oncoming, True, speed=-9.0))
            self.next_oncoming += rng.uniform(25, 130) * (1 + 9.0 / max(self.speed, 1.0)) / 2
        while self.next_cyclist < self.z + _AHEAD:
            x = -(half - (2.6 if self.style.parking[0] else 0.7))
            self.traffic.append(Cyclist(rng, x, self.next_cyclist))
            self.next_cyclist += rng.uniform(40, 160)

    def _spawn_lead(self) -> None:
        rng = self.traffic_rng
        self.lead = Vehicle(rng, self.first_camera.x, rng.uniform(14, 30), False, "saloon", speed=max(self.speed, 0.1))
        self.traffic.append(self.lead)

    def _keep_lead(self) -> None:
        """The car ahead goes a little faster and slower, and stays between eight and sixty metres away."""
        gap = self.lead.z - self.z
        wish = 26 + 14 * math.sin(self.time * 0.21)
        self.lead.speed = self.speed * (1 + max(-0.3, min(0.3, (wish - gap) * 0.02)))
