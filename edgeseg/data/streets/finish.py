"""From the two rasters to a photograph: ground texture, cast shadows, the camera's curve, blur and grain."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from edgeseg.data.labels import CAMVID
from edgeseg.data.streets.canvas import Canvas
from edgeseg.data.streets.noise import SHEET, cloud_sheet, fine_sheet

_PIVOT = {"day": 92.0, "dusk": 38.0, "night": 15.0}


def _by_class(values: dict[str, float], default: float) -> np.ndarray:
    table = np.full(256, default, np.float32)
    for name, value in values.items():
        table[CAMVID.index(name)] = value
    return table


# How rough a surface looks, as a share of its brightness: leaves sparkle, the sky does not.
_ROUGHNESS = _by_class(
    {"Tree": 0.085, "Sky": 0.004, "Building": 0.045, "Road": 0.035, "Pavement": 0.04, "Fence": 0.06}, 0.025
)
_LESS_WHERE_BRIGHT = np.linspace(1.2, 0.25, 256, dtype=np.float32)
_IS_GROUND = _by_class({"Road": 1.0, "Pavement": 1.0}, 0.0)


def finish_picture(canvas: Canvas, frame: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Develop the picture.

    Returns:
        image (H, W, 3) uint8 RGB, label (H, W) uint8 CamVid class ids, void 255.
    """
    pixels, label = canvas.reduced()
    light = canvas.light
    clear = np.float32(np.exp(-15.0 * light.fog))  # fog hides what is rough
    gain = _fine_noise(canvas.size, light.seed) * (_ROUGHNESS * clear)[label]
    gain *= _LESS_WHERE_BRIGHT[pixels[..., 1]]
    gain += 1.0
    _texture_ground(canvas, label, gain)
    exposure = np.array(light.exposure, np.float32) * np.float32(light.contrast)
    picture = pixels * gain[..., None]
    picture *= exposure
    picture += np.float32(_PIVOT[light.hour] * (1 - light.contrast))
    if light.blur:
        picture = _blurred(picture, light.blur * canvas.size[0] / 1000)
    picture += _fine_noise(canvas.size, light.seed // 7 + 1 + 7919 * frame)[..., None] * np.float32(light.grain)
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8), label


def _fine_noise(size: tuple[int, int], seed: int) -> np.ndarray:
    """(H, W) white noise, at a place that the seed chooses; weaker in small pictures, as shrinking makes it."""
    height, width = size
    top, left = seed % SHEET, (seed // SHEET) % SHEET
    rows, columns = (top + np.arange(height)) % SHEET, (left + np.arange(width)) % SHEET
    return fine_sheet()[rows[:, None], columns] * np.float32(min(1.0, height / 360))


def _texture_ground(canvas: Canvas, label: np.ndarray, gain: np.ndarray) -> None:
    """Lay worn asphalt, shadows and headlights over the ground pixels of `gain`, in place."""
    height, width = canvas.size
    camera = canvas.camera
    first = max(0, int(camera.horizon * height) + 2)
    if first >= height - 1:
        return
    rows = np.arange(first, height, dtype=np.float32) + 0.5
    ahead = camera.focal * camera.height * height / (rows - camera.horizon * height)  # metres of each row
    ahead = ahead[:, None]
    columns = (np.arange(width, dtype=np.float32) + 0.5 - camera.vanish * width)[None]
    across = columns * ahead / np.float32(camera.focal * height) - np.float32(camera.bend) * ahead * ahead
    across += np.float32(camera.x)
    along = ahead + np.float32(camera.z % 4096)
    sheet = cloud_sheet()
    fade = np.minimum(1.0, 14.0 / ahead)
    mask = SHEET - 1
    coarse = sheet[(along * 5).astype(np.int32) & mask, (across * 16).astype(np.int32) & mask]
    fine = sheet[(along * 21).astype(np.int32) & mask, (across * 34).astype(np.int32) & mask]
    wear = 1.0 + (0.07 * coarse * np.sqrt(fade) + 0.05 * fine * fade)
    wear *= 1.0 - _shadow(canvas)[first:] * np.float32(1 / 255)
    if canvas.light.hour == "night":
        beam = np.exp(-ahead / 14.0) * np.exp(-((across - camera.x) ** 2) / 9.0)
        wear *= 1.0 + 3.2 * beam
    ground = _IS_GROUND[label[first:]] * np.exp(-np.float32(canvas.light.fog) * ahead)
    gain[first:] *= 1.0 + (wear - 1.0) * ground


def _shadow(canvas: Canvas) -> np.ndarray:
    """(H, W) float32 darkness 0…255 of the ground, softened."""
    height, width = canvas.size
    soft = canvas.shadow.filter(ImageFilter.GaussianBlur(height / 240))
    return np.asarray(soft.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def _blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    whole = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return np.asarray(whole.filter(ImageFilter.GaussianBlur(radius)), np.float32)
