"""One scene: camera, light, and everything that stands in the street; and how it is drawn.

Factors, layout and weather come from separate random streams: a held-out factor changes what it names and nothing else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from edgeseg.data.streets import layout, road
from edgeseg.data.streets.buildings import Backdrop
from edgeseg.data.streets.canvas import NOTHING, ROAD, Camera, Canvas
from edgeseg.data.streets.finish import finish_picture
from edgeseg.data.streets.furniture import Clutter
from edgeseg.data.streets.light import Light, paint_sky, sample_light
from edgeseg.data.streets.road import Flat, Style
from edgeseg.data.streets.thing import Color, Thing, mixed, scaled, vary

FACTORS: dict[str, tuple[Any, ...]] = {
    "fog": ("mixed", "none", "light", "dense"),
    "night": (False, True),
    "traffic": ("left", "right"),
}
"""Switch → its values, the training distribution first. ``mixed`` fog is none to light."""

_DEPTH = 170.0  # metres of street that are laid out


def check_factors(factors: dict[str, Any]) -> dict[str, Any]:
    """Complete a choice of factors; an unknown name or value is an error that lists the valid ones."""
    for name, value in factors.items():
        if name not in FACTORS:
            raise ValueError(f"no factor {name!r} of street scenes; choose from {', '.join(FACTORS)}")
        if value not in FACTORS[name]:
            raise ValueError(f"factor {name} = {value!r}: choose from {', '.join(map(repr, FACTORS[name]))}")
    return {name: factors.get(name, values[0]) for name, values in FACTORS.items()}


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) as integers, each at least 32."""
    height, width = (int(v) for v in size)
    if min(height, width) < 32:
        raise ValueError(f"size = ({height}, {width}): street scenes need (H, W) of at least 32 pixels each")
    return height, width


@dataclass(frozen=True)
class Bonnet:
    """The camera car's own bonnet at the bottom of the picture: void."""

    high: float
    lean: float
    color: Color


@dataclass(frozen=True)
class Scene:
    """Everything about one picture but its size."""

    camera: Camera
    light: Light
    style: Style
    things: tuple[Thing, ...]
    flats: tuple[Flat, ...]
    bonnet: Bonnet | None
    factors: dict[str, Any]

    def metadata(self) -> dict[str, Any]:
        """Factors, weather, camera and the number of things in view by kind; plain values, ready for JSON."""
        camera, light = self.camera, self.light
        return {
            "factors": dict(self.factors),
            "hour": light.hour,
            "fog_per_meter": round(light.fog, 5),
            "sun": round(light.strength, 3),
            "camera": {
                "x_m": round(camera.x, 3),
                "height_m": round(camera.height, 3),
                "focal_heights": round(camera.focal, 4),
                "horizon": round(camera.horizon, 4),
                "vanish": round(camera.vanish, 4),
                "bend": round(camera.bend, 6),
            },
            "half_road_m": round(self.style.half_road, 3),
            "same_asphalt": max(abs(a - b) for a, b in zip(self.style.asphalt, self.style.paving, strict=True)) < 12,
            "bonnet": self.bonnet is not None,
            "counts": dict(sorted(Counter(t.kind for t in self.things if _in_view(camera, t)).items())),
        }


def _in_view(camera: Camera, thing: Thing) -> bool:
    """Whether some of a thing can be in a 4:3 picture, hidden or not."""
    ahead = thing.far_end - camera.z
    if ahead < 2.0 or ahead > 120.0:
        return False
    x = camera.vanish * 4 / 3 + camera.focal * (thing.x - camera.x + camera.bend * ahead * ahead) / ahead
    return 0.0 <= x <= 4 / 3


def make_scene(seed: int, split: int, index: int, **factors: Any) -> Scene:
    """Lay out the scene that (seed, split, index) names.

    Args:
        seed: the world.
        split: number of the split; part of the random stream's key, so that splits share nothing.
        index: number of the scene.
        **factors: see `FACTORS`.
    """
    chosen = check_factors(factors)
    rng, weather = (random_stream(seed, split, index, stream) for stream in range(2))
    light = sample_light(weather, chosen)
    style = road.sample_style(rng)
    camera = sample_camera(rng, style)
    things, flats = _fill_street(rng, style, camera)
    bonnet = _sample_bonnet(rng)
    return Scene(camera, light, style, tuple(things), tuple(flats), bonnet, chosen)


def _fill_street(rng: Random, style: Style, camera: Camera) -> tuple[list[Thing], list[Flat]]:
    """Everything from behind the camera to the skyline, far things first; three in ten streets end at a junction."""
    things: list[Thing] = []
    flats: list[Flat] = []
    start = -rng.uniform(4.0, layout.BLOCK)
    closed = rng.uniform(38, 120) if rng.random() < 0.3 else None
    while start < (closed or _DEPTH):
        block = layout.lay_block(rng, style, start)
        things += block.things
        flats += block.flats
        start += layout.BLOCK
    things += layout.traffic(rng, style, camera.x, camera.z, 110.0)
    things += layout.skyline(rng, 190.0)
    for _ in range(rng.randint(2, 9)):  # what is too far to be told apart
        things.append(Clutter(rng, rng.uniform(-14, 14), rng.uniform(70, 170), rng.uniform(0.5, 2.0)))
    if closed is not None:
        things = [t for t in things if t.far_end < closed - 7] + _closing(rng, closed)
        flats = [f for f in flats if max(z for _, z in f.corners) < closed - 7]
        crossing = ((-90.0, closed - 7), (90.0, closed - 7), (90.0, closed - 1.5), (-90.0, closed - 1.5))
        flats.insert(0, Flat(crossing, style.asphalt, ROAD))
    things.sort(key=lambda thing: -thing.order)
    return things, flats


def random_stream(*key: int) -> Random:
    """A random generator for one purpose. `Random` rather than numpy's: scalar draws are ten times cheaper."""
    first, *rest = key
    words = np.random.SeedSequence(first, spawn_key=tuple(rest)).generate_state(4)
    return Random(int.from_bytes(words.astype("<u4").tobytes(), "little"))


def sample_camera(rng: Random, style: Style) -> Camera:
    """A camera behind the windscreen of a car in the left lane."""
    lane = -(style.half_road - (2.1 if style.parking[0] else 0.0)) / 2
    return Camera(
        x=lane + rng.uniform(-0.5, 0.5),
        z=0.0,
        height=rng.uniform(1.15, 1.6),
        focal=rng.uniform(1.05, 1.55),
        horizon=rng.uniform(0.43, 0.545),
        vanish=rng.uniform(0.38, 0.62),
        bend=rng.choice((0.0, rng.gauss(0.0, 0.0018))),
    )


def _closing(rng: Random, z: float) -> list[Thing]:
    """The far side of a T-junction."""
    things: list[Thing] = []
    x = -60.0
    while x < 60:
        width = rng.uniform(7, 18)
        things.append(Backdrop(rng, x + width / 2, z, width))
        x += width + rng.choice((0.0, 0.0, 3.0))
    return things


def _sample_bonnet(rng: Random) -> Bonnet | None:
    if rng.random() > 0.5:
        return None
    grey = rng.uniform(18, 120)
    return Bonnet(rng.uniform(0.02, 0.09), rng.uniform(-0.5, 0.5), vary(rng, (grey, grey, grey * 1.05), 8))


def render(scene: Scene, size: tuple[int, int], frame: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene.

    Args:
        scene: what stands where, under which light.
        size: (H, W) of the result; the same scene looks the same at every size.
        frame: number in a film; changes the sensor noise.

    Returns:
        image (H, W, 3) uint8 RGB, label (H, W) uint8 CamVid class ids, void 255.
    """
    canvas = Canvas(scene.camera, scene.light, check_size(size))
    paint_sky(scene.light, canvas.image, scene.camera.horizon)
    road.draw_ground(canvas, scene.style)
    for flat in scene.flats:
        road.draw_flat(canvas, flat)
    road.draw_marks(canvas, scene.style)
    for thing in scene.things:
        thing.draw(canvas)
    _cast_shadows(canvas, scene.things)
    if scene.bonnet is not None:
        _draw_bonnet(canvas, scene.bonnet)
    image, label = finish_picture(canvas, frame)
    if scene.factors["traffic"] == "right":  # the whole world mirrored
        image, label = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(label[:, ::-1])
    return image, label


def _cast_shadows(canvas: Canvas, things: tuple[Thing, ...]) -> None:
    sunny = canvas.light.strength > 0
    for thing in things:
        shade = getattr(thing, "shade", None)
        if shade is None or not -25.0 < canvas.distance(thing.far_end) < 70.0:
            continue
        if sunny or thing.kind in ("car", "pedestrian", "cyclist", "clutter"):
            shade(canvas)


def _draw_bonnet(canvas: Canvas, bonnet: Bonnet) -> None:
    """An arched edge with a strip of reflected sky along it."""
    width, height, near = canvas.width, canvas.height, canvas.camera.z + 1.5
    across = [k / 12 for k in range(13)]
    high = [bonnet.high * (1 - 0.5 * (2 * a - 1) ** 4 + bonnet.lean * (a - 0.5)) for a in across]

    def outline(share: float) -> list[float]:
        points = [value for a, h in zip(across, high, strict=True) for value in (a * width, height * (1 - share * h))]
        return [*points, width, height, 0, height]

    canvas.polygon(outline(1.0), canvas.glowing(mixed(bonnet.color, canvas.light.horizon, 0.35), near), NOTHING)
    canvas.polygon(outline(0.8), canvas.tone(scaled(bonnet.color, 1.15), near, "up"), None)
    canvas.polygon(outline(0.45), canvas.tone(bonnet.color, near, "up"), None)
