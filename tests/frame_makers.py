"""Sources, screens and a network for the tests of live segmentation, and real videos."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgeseg.data.labels import ClassTable
from edgeseg.live.frames import Shot, SourceError

TABLE = ClassTable("toy", ("dark", "bright"), ((200, 0, 0), (0, 200, 0)))


class Blinks:
    """A source that gives a frame every ``pause`` seconds, and may fail, end or hang after ``until`` of them."""

    name = "blinks"
    paced = False

    def __init__(self, count=10_000, pause=0.0, live=False, size=(48, 64), fails=()):
        self.count, self.pause, self.live, self.size = count, pause, live, size
        self.fails = list(fails)  # what the n-th opening does after three frames: "end", "error", "refuse"
        self.opened = self.closed = 0

    def shots(self):
        self.opened += 1
        fail = self.fails.pop(0) if self.fails else ""
        if fail == "refuse":
            raise SourceError("blinks: cannot be opened (No such device). Plug it in.")
        try:
            for number in range(3 if fail else self.count):
                time.sleep(self.pause)
                image = np.full((*self.size, 3), 20, np.uint8)
                image[: self.size[0] // 2] = 200
                yield Shot(image, number / 25, 0.001)
            if fail == "error":
                raise SourceError("blinks: No such device. Plug it in.")
        finally:
            self.closed += 1


class Looks:
    """A screen that somebody always watches."""

    watched = True

    def __init__(self):
        self.pictures = []

    def show(self, picture):
        self.pictures = [picture]


def split(image):
    """The fastest network there is: bright or dark."""
    return (image[..., 0] > 100).astype(np.uint8)


def make_video(path, frames=50, size=(96, 128), codec="libx264", options=None):
    """A real video: the left edge tells the frame's number by its grey."""
    av = pytest.importorskip("av", reason='needs PyAV: pip install "edgeseg[video]"')
    noise = np.random.default_rng(0).integers(0, 256, (frames, size[0] // 2, size[1], 3), np.uint8)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec if codec in av.codec.codecs_available else "mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], "yuv420p"
        for number in range(frames):
            image = np.zeros((*size, 3), np.uint8)
            image[size[0] // 2 :] = noise[number]  # so that every frame takes many bytes
            image[:, :32] = 4 * number % 256
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
