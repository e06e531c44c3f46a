"""The two rasters that a scene is drawn into, and the pinhole camera in front of them.

Every shape goes through one call that fills the same polygon into the colour raster and into the label raster, both
supersampled; `Canvas.reduced` brings them to the final size: colours by averaging, labels by a vote that never invents
a class. World coordinates are metres: x to the right of the road's middle, y up from the ground, z forward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from edgeseg.data.labels import CAMVID, VOID
from edgeseg.data.streets.light import Color, Light

# Label raster values, ordered by how easily a class vanishes when the raster shrinks: of four pixels the second largest
# value wins, so that a pole needs half of a block and the sky three quarters.
_ORDER = (
    "Sky", "Void", "Building", "Road", "Tree", "Pavement", "Car", "Fence", "Pedestrian", "Bicyclist",
    "SignSymbol", "Pole",
)  # fmt: skip
SKY, NOTHING, BUILDING, ROAD, TREE, PAVEMENT, CAR, FENCE, PEDESTRIAN, BICYCLIST, SIGN, POLE = range(len(_ORDER))
_TO_CLASS_ID = np.array([VOID if name == "Void" else CAMVID.index(name) for name in _ORDER], np.uint8)

NEAR = 0.9
"""Metres before the camera at which shapes are cut off."""

_DRAWN_HEIGHT = 720

Column = tuple[float, float, float]
"""A vertical line in the world on the raster: its x, pixels per metre, and the y of its foot on the ground."""


@dataclass(frozen=True)
class Camera:
    """Pinhole camera that looks along the street.

    Args:
        x: metres right of the road's middle.
        z: metres along the street.
        height: metres above the ground.
        focal: focal length in image heights.
        horizon: y of the horizon in image heights from the top.
        vanish: x of the vanishing point in image widths from the left.
        bend: sideways shift of the street, metres per squared metre of distance: a bend in the road.
    """

    x: float
    z: float
    height: float
    focal: float
    horizon: float
    vanish: float
    bend: float = 0.0


class Canvas:
    """Colour and label raster of one view.

    Args:
        camera: where the view is taken from.
        light: weather and hour; turns surface colours into pixel colours.
        size: final (H, W).
    """

    def __init__(self, camera: Camera, light: Light, size: tuple[int, int]) -> None:
        self.camera, self.light, self.size = camera, light, size
        self.doublings = max(0, math.ceil(math.log2(_DRAWN_HEIGHT / size[0]) - 0.3)) if size[0] < _DRAWN_HEIGHT else 0
        self.doublings = min(self.doublings, 3)
        self.factor = 2**self.doublings
        self.height, self.width = size[0] * self.factor, size[1] * self.factor
        self.image = Image.new("RGB", (self.width, self.height))
        self.labels = Image.new("L", (self.width, self.height), SKY)
        self._paint = ImageDraw.Draw(self.image)
        self._glaze = ImageDraw.Draw(self.image, "RGBA")  # on an RGB raster this mode blends by alpha
        self._label = ImageDraw.Draw(self.labels)
        self.shadow = Image.new("L", (max(1, size[1] // 2), max(1, size[0] // 2)))
        self._shadow = ImageDraw.Draw(self.shadow)
        self.focal = camera.focal * self.height
        self.horizon = camera.horizon * self.height
        self.vanish = camera.vanish * self.width

    # projection -------------------------------------------------------------------------------------------------------

    def column(self, x: float, z: float) -> Column:
        """The vertical line over the ground point (x, z)."""
        camera = self.camera
        distance = z - camera.z
        scale = self.focal / distance
        right = x - camera.x + camera.bend * distance * distance
        return self.vanish + right * scale, scale, self.horizon + camera.height * scale

    def point(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Raster position of a world point."""
        column_x, scale, foot = self.column(x, z)
        return column_x, foot - y * scale

    def distance(self, z: float) -> float:
        """Metres ahead of the camera."""
        return z - self.camera.z

    def nearest(self, z: float) -> float:
        """z, moved to the near plane where it lies before it."""
        return max(z, self.camera.z + NEAR)

    def fraction(self, meters: float, z: float) -> float:
        """How many image heights so many metres cover at z: decides how much detail is worth drawing."""
        return meters * self.camera.focal / max(z - self.camera.z, NEAR)

    # colours ----------------------------------------------------------------------------------------------------------

    def tone(self, albedo: Sequence[float], z: float, facing: str = "front") -> tuple[int, int, int]:
        """Pixel colour of a surface: its own colour, lit, and veiled by the air in between."""
        light = self.light
        red, green, blue = light.gains[facing]
        keep = math.exp(-light.fog * (z - self.camera.z))
        veil = 1.0 - keep
        fog = light.fog_color
        return (
            int(albedo[0] * red * keep + fog[0] * veil),
            int(albedo[1] * green * keep + fog[1] * veil),
            int(albedo[2] * blue * keep + fog[2] * veil),
        )

    def glowing(self, color: Sequence[float], z: float) -> tuple[int, int, int]:
        """Pixel colour of something that shines by itself."""
        keep = math.exp(-self.light.fog * (z - self.camera.z))
        fog = self.light.fog_color
        return tuple(int(c * keep + f * (1.0 - keep)) for c, f in zip(color, fog, strict=True))  # type: ignore[return-value]

    # shapes -----------------------------------------------------------------------------------------------------------

    def polygon(self, points: Sequence[float], color: tuple[int, int, int], label: int | None) -> None:
        """Fill a flat list x0, y0, x1, y1, …; label ``None`` paints colour only, on a labelled shape."""
        self._paint.polygon(points, fill=color)
        if label is not None:
            self._label.polygon(points, fill=label)

    def film(self, points: Sequence[float], color: tuple[int, int, int], alpha: int, label: int | None) -> None:
        """Fill a polygon that one can see through (railings, spokes, reflections); alpha 0…255."""
        self._glaze.polygon(points, fill=(*color, alpha))
        if label is not None:
            self._label.polygon(points, fill=label)

    def wall(
        self, a: Column, b: Column, low: float, high: float, color: tuple[int, int, int], label: int | None
    ) -> None:
        """Fill the upright rectangle between two columns, from `low` to `high` metres."""
        self.polygon(
            (a[0], a[2] - low * a[1], b[0], b[2] - low * b[1], b[0], b[2] - high * b[1], a[0], a[2] - high * a[1]),
            color,
            label,
        )

    def shape(
        self, at: Column, outline: Sequence[tuple[float, float]], color: tuple[int, int, int], label: int | None
    ) -> None:
        """Fill an outline of (metres right, metres up) that stands upright at a column and faces the camera."""
        x, scale, foot = at
        points: list[float] = []
        for right, up in outline:
            points.append(x + right * scale)
            points.append(foot - up * scale)
        self.polygon(points, color, label)

    def box(
        self,
        at: Column,
        left: float,
        right: float,
        low: float,
        high: float,
        color: tuple[int, int, int],
        label: int | None,
    ) -> None:
        """Fill an upright rectangle that faces the camera."""
        x, scale, foot = at
        x0, x1 = x + min(left, right) * scale, x + max(left, right) * scale
        y0, y1 = foot - high * scale, foot - low * scale
        x1, y1 = (
            max(x0, x1 - 1),
            max(y0, y1 - 1),
        )  # the raster fills both end pixels: without this a pole is a pixel too wide
        self.polygon((x0, y0, x1, y0, x1, y1, x0, y1), color, label)

    def disc(
        self,
        at: Column,
        right: float,
        up: float,
        radius: float,
        color: tuple[int, int, int],
        label: int | None,
        tall: float = 1.0,
    ) -> None:
        """Fill an ellipse that faces the camera: `radius` metres wide, `radius * tall` high."""
        x, scale, foot = at
        x, y, rx, ry = x + right * scale, foot - up * scale, radius * scale, radius * tall * scale
        box = (x - rx, y - ry, x + rx, y + ry)
        self._paint.ellipse(box, fill=color)
        if label is not None:
            self._label.ellipse(box, fill=label)

    def puff(
        self, at: Column, right: float, up: float, radius: float, color: tuple[int, int, int], alpha: int, label: int
    ) -> None:
        """A disc that one can see through, such as twigs too thin to draw; alpha 0…255."""
        x, scale, foot = at
        x, y, r = x + right * scale, foot - up * scale, radius * scale
        self._glaze.ellipse((x - r, y - r, x + r, y + r), fill=(*color, alpha))
        self._label.ellipse((x - r, y - r, x + r, y + r), fill=label)

    def ring(self, at: Column, right: float, up: float, radius: float, color: tuple[int, int, int], label: int) -> None:
        """A wheel: rim, and spokes that one can see through."""
        x, scale, foot = at
        x, y, r = x + right * scale, foot - up * scale, radius * scale
        box = (x - r, y - r, x + r, y + r)
        self._glaze.ellipse(box, fill=(*color, 90))
        self._paint.ellipse(box, outline=color, width=max(1, round(0.05 * scale)))
        self._label.ellipse(box, fill=label)

    def ground(self, corners: Sequence[tuple[float, float]], color: tuple[int, int, int], label: int | None) -> None:
        """Fill a polygon of (x, z) corners that lies on the ground; corners before the near plane move onto it."""
        points: list[float] = []
        for x, z in corners:
            column_x, _, foot = self.column(x, self.nearest(z))
            points.append(column_x)
            points.append(foot)
        self.polygon(points, color, label)

    def shade(self, corners: Sequence[tuple[float, float]], darkness: int) -> None:
        """A shadow on the ground, (x, z) corners; softened and laid over the ground when the picture is finished."""
        reduce = 1.0 / (2 * self.factor)
        points: list[float] = []
        for x, z in corners:
            column_x, _, foot = self.column(x, self.nearest(z))
            points.append(column_x * reduce)
            points.append(foot * reduce)
        self._shadow.polygon(points, fill=darkness)

    def glow(self, at: Column, right: float, up: float, radius: float, color: Color) -> None:
        """A halo of light around a lamp, `radius` metres: discs of thin light, one inside the other."""
        x, scale, foot = at
        x, y = x + right * scale, foot - up * scale
        alpha = 9 if self.light.hour == "night" else 6
        fill = (int(color[0]), int(color[1]), int(color[2]), alpha)
        reach = min(radius * scale, 0.12 * self.height)
        for ring in range(16):
            r = reach * (1 - ring / 16) ** 1.3
            self._glaze.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    # result -----------------------------------------------------------------------------------------------------------

    def reduced(self) -> tuple[np.ndarray, np.ndarray]:
        """Colours (H, W, 3) uint8, averaged, and labels (H, W) uint8 class ids, voted."""
        image = self.image if self.factor == 1 else self.image.reduce(self.factor)
        codes = np.asarray(self.labels)
        for _ in range(self.doublings):
            codes = _second_largest_of_four(codes)
        return np.asarray(image), _TO_CLASS_ID[codes]


def _second_largest_of_four(codes: np.ndarray) -> np.ndarray:
    a, b, c, d = codes[::2, ::2], codes[::2, 1::2], codes[1::2, ::2], codes[1::2, 1::2]
    low_ab, high_ab, low_cd, high_cd = np.minimum(a, b), np.maximum(a, b), np.minimum(c, d), np.maximum(c, d)
    return np.maximum(np.minimum(high_ab, high_cd), np.maximum(low_ab, low_cd))
