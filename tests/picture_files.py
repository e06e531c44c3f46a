"""Small pictures as bytes and as files, for tests of readers."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.data.labels import VOC


def encoded(picture: np.ndarray | list, kind: str = "png", palette: bool = False) -> bytes:
    """The file that holds a picture; with ``palette`` an indexed one in VOC's colours."""
    buffer, image = io.BytesIO(), Image.fromarray(np.asarray(picture, np.uint8))
    if palette:
        image.putpalette(VOC.palette.ravel().tolist())
    image.save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def fill(folder: Path, names: Iterable[str], ending: str, data: bytes) -> None:
    """The same bytes under many names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}{ending}").write_bytes(data)


def save(path: Path, picture: np.ndarray | Image.Image, **options: Any) -> Path:
    """What Pillow writes of a picture, in the format of the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(path, **options)
    return path
