"""What every object in a street has in common."""

from __future__ import annotations

from random import Random
from typing import Protocol

from edgeseg.data.streets.canvas import Canvas

Color = tuple[float, float, float]


class Thing(Protocol):
    """Something that stands in the street. It draws its own random choices once, when it is made."""

    kind: str
    x: float
    z: float

    @property
    def order(self) -> float:
        """Things with a larger order are drawn first."""

    @property
    def far_end(self) -> float:
        """z behind which nothing of it is left: once the camera has passed it, it can be forgotten."""

    def draw(self, canvas: Canvas) -> None:
        """Paint it into both rasters."""


class Mover(Thing, Protocol):
    """Something that moves along the street, in metres per second."""

    speed: float


def vary(rng: Random, color: Color, spread: float) -> Color:
    """A colour near `color`: lighter or darker as a whole, and each channel a little by itself."""
    shift = rng.gauss(0.0, spread)
    half = spread * 0.35
    return tuple(min(245.0, max(8.0, c + shift + rng.uniform(-half, half))) for c in color)  # type: ignore[return-value]


def scaled(color: Color, factor: float) -> Color:
    """The colour, `factor` times as bright."""
    return (color[0] * factor, color[1] * factor, color[2] * factor)


def mixed(a: Color, b: Color, share: float) -> Color:
    """`share` of b in a."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)
