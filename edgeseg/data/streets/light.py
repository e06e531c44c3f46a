"""Hour and weather: how bright each surface is, what colour the air has, what the sky looks like.

The state is global: it shifts every local colour of a picture together, so that a colour alone says little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.data.streets.noise import smooth_noise

Color = tuple[float, float, float]

_FOG = {"none": (0.0002, 0.0018), "light": (0.003, 0.012), "dense": (0.035, 0.07)}  # per metre


@dataclass(frozen=True)
class Light:
    """Weather and hour of one scene.

    Args:
        hour: ``"day"``, ``"dusk"`` or ``"night"``.
        sun: metres that the shadow of a post of one metre reaches, (right, forward); (0, 0) under an overcast sky.
        strength: 0 overcast … 1 hard sunlight.
        gains: surface direction (``up front left right`` is where it faces, ``crown`` is leaves) → RGB factor.
        fog: extinction per metre.
        fog_color: colour of the air far away.
        zenith: sky colour above.
        horizon: sky colour at the horizon.
        clouds: (cover −1…1, contrast, seed).
        exposure: RGB factors of the camera, white balance included.
        contrast: slope of the camera's curve.
        grain: standard deviation of sensor noise in grey levels.
        blur: blur radius in thousandths of the image height.
        seed: of grain and cloud noise.
    """

    hour: str
    sun: tuple[float, float]
    strength: float
    gains: dict[str, Color]
    fog: float
    fog_color: Color
    zenith: Color
    horizon: Color
    clouds: tuple[float, float, int]
    exposure: Color
    contrast: float
    grain: float
    blur: float
    seed: int

    @property
    def lamps_on(self) -> bool:
        """Street lamps, headlights and some windows are lit."""
        return self.hour != "day"


def sample_light(rng: Random, factors: dict[str, Any]) -> Light:
    """Draw weather and hour; the factors ``fog`` and ``night`` narrow the choice."""
    hour = "night" if factors["night"] else ("dusk" if rng.random() < 0.18 else "day")
    overcast = rng.random() < 0.38
    strength = 0.0 if overcast or hour != "day" else rng.uniform(0.45, 1.0)
    azimuth, reach = rng.uniform(-math.pi, math.pi), rng.uniform(0.5, 2.2)
    level = {"day": rng.uniform(0.62, 1.15), "dusk": rng.uniform(0.26, 0.5), "night": rng.uniform(0.15, 0.27)}[hour]
    zenith, horizon = _sky_colors(rng, hour, overcast)
    fog_kind = factors["fog"] if factors["fog"] != "mixed" else ("light" if rng.random() < 0.4 else "none")
    fog = rng.uniform(*_FOG[fog_kind])
    if fog_kind == "dense":
        strength = 0.0
    sun = (math.sin(azimuth) * reach, math.cos(azimuth) * reach) if strength else (0.0, 0.0)
    gains = _gains(rng, level, strength, azimuth, hour)
    haze = {"day": 1.0, "dusk": 0.85, "night": 0.8}[hour]
    fog_color = _blend((0.0, 0.0, 0.0), horizon, haze)
    if fog_kind == "dense":
        zenith = _blend(zenith, horizon, 0.75)
    warmth = rng.gauss(0.0, 0.055)
    gain = rng.uniform(0.9, 1.1)
    return Light(
        hour=hour,
        sun=sun,
        strength=strength,
        gains=gains,
        fog=fog,
        fog_color=fog_color,
        zenith=zenith,
        horizon=horizon,
        clouds=(
            rng.uniform(0.1, 0.7) if overcast else rng.uniform(-0.9, 0.3),
            rng.uniform(0.15, 1.0),
            rng.getrandbits(30),
        ),
        exposure=(gain * (1 + warmth), gain * (1 + rng.gauss(0.0, 0.02)), gain * (1 - warmth)),
        contrast=rng.uniform(1.0, 1.36),
        grain=rng.uniform(0.8, 3.2) * (1.6 if hour == "night" else 1.0),
        blur=rng.choice((0.0, rng.uniform(0.5, 2.2))),
        seed=rng.getrandbits(30),
    )


def _blend(a: Color, b: Color, share: float) -> Color:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def _sky_colors(rng: Random, hour: str, overcast: bool) -> tuple[Color, Color]:
    if hour == "night":
        glow = rng.uniform(22, 50)
        return (8 + glow * 0.2, 10 + glow * 0.2, 18 + glow * 0.3), (glow * 1.15, glow, glow * 1.05)
    if hour == "dusk":
        warm = rng.uniform(0.0, 1.0)
        base = rng.uniform(80, 150)
        return (base * 0.62, base * 0.72, base), (base * (1.05 + 0.55 * warm), base * (1.1 + 0.1 * warm), base * 1.05)
    if overcast:
        grey = rng.uniform(175, 255)
        return (grey * 0.93, grey * 0.96, grey), (grey * 1.02, grey * 1.03, grey * 1.03)
    blue = rng.uniform(0.0, 1.0)
    pale = rng.uniform(220, 255)
    return (190 - 105 * blue, 210 - 65 * blue, 242 - 18 * blue), (pale, pale * 1.01, pale * 1.03)


def _gains(rng: Random, level: float, strength: float, azimuth: float, hour: str) -> dict[str, Color]:
    """Brightness by surface direction: sky light from all sides, sunlight by the angle to the sun."""
    ambient = 1.0 - 0.36 * strength
    toward = {"up": 0.7, "front": math.cos(azimuth), "left": math.sin(azimuth), "right": -math.sin(azimuth)}
    open_sky = {"up": 1.0, "front": 0.9, "left": rng.uniform(0.78, 0.95), "right": rng.uniform(0.78, 0.95)}
    cool, warm = (0.96, 0.99, 1.05), (1.06, 1.0, 0.88)
    if hour == "night":
        cool = rng.choice(((1.25, 1.0, 0.7), (0.95, 1.0, 1.1)))  # sodium or white street light
    gains = {}
    for side, angle in toward.items():
        sun = 0.85 * strength * max(0.0, angle)
        sky = ambient * open_sky[side]
        gains[side] = tuple(level * (sky * c + sun * w) for c, w in zip(cool, warm, strict=True))
    gains["crown"] = tuple((a + b) / 2 for a, b in zip(gains["up"], gains["front"], strict=True))
    return gains  # type: ignore[return-value]


def paint_sky(light: Light, image: Image.Image, horizon: float) -> None:
    """Fill the raster down to the horizon (a share of its height) with gradient and clouds."""
    width, height = image.size
    rows = max(8, round(height * min(1.0, horizon + 0.06)))
    coarse_rows, coarse_columns = 60, 120
    up = np.linspace(1.0, 0.0, coarse_rows, dtype=np.float32)[:, None, None] ** 0.8
    sky = up * np.array(light.zenith, np.float32) + (1 - up) * np.array(light.horizon, np.float32)
    cover, contrast, seed = light.clouds
    if light.fog < 0.03:
        noise = smooth_noise(seed, coarse_rows, coarse_columns, stretch=2.2)
        amount = np.clip((noise + cover) * 1.3, 0, 1)[..., None] * contrast * (0.35 + 0.65 * up)
        white = np.array(light.horizon, np.float32) * (0.72 if cover > 0.45 else 1.06)
        sky = sky + amount * (white - sky) * (1 - 0.25 * np.clip(noise[..., None], 0, 1))
    small = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    image.paste(small.resize((width, rows), Image.Resampling.BILINEAR), (0, 0))
