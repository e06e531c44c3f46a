"""Sources, a network and real videos for the tests of live segmentation."""

from __future__ import annotations

import threading
from contextlib import closing

import numpy as np
import pytest

from edgeseg.data.labels import ClassTable
from edgeseg.live.frames import Capture, Frame, Source, SourceError
from edgeseg.live.loop import watch

TABLE = ClassTable("toy", ("dark", "bright"), ((200, 0, 0), (0, 200, 0)))


class GreySource(Source):
    """Gives ``count`` frames, half dark and half bright, as fast as they are taken; counts what it made and closed."""

    name = "grey"

    def __init__(self, count=10_000, size=(48, 64), paced=False):
        self.count, self.size, self.paced = count, size, paced
        self.made = self.opened = self.closed = 0
        self.another = threading.Condition()

    def frames(self):
        self.opened += 1
        try:
            for number in range(self.count):
                yield self.frame(number)
        finally:
            self.closed += 1

    def frame(self, number):
        image = np.full((*self.size, 3), 20, np.uint8)
        image[: self.size[0] // 2] = 200
        with self.another:
            self.made += 1
            self.another.notify_all()
        return Frame(image, number / 25, 0.001)


class LostCamera(GreySource):
    """A live source that gives three frames at an opening, the next when the last was seen, and then ends.

    Args:
        endings: of each opening: ``"error"`` or ``"end"`` after its frames, ``"refuse"`` before them, as later ones.
    """

    live = True

    def __init__(self, *endings):
        super().__init__(3)
        self.endings = list(endings)
        self._seen = threading.Semaphore(0)

    def seen(self, _):
        """To be told after each frame: the argument ``lines`` of `watch`."""
        self._seen.release()

    def frames(self):
        ending = self.endings[self.opened] if self.opened < len(self.endings) else "refuse"
        if ending == "refuse":
            self.opened += 1
            raise SourceError("grey: cannot be opened (No such device). Plug it in.")
        for frame in super().frames():
            yield frame
            self._seen.acquire(timeout=60)
        if ending == "error":
            raise SourceError("grey: No such device. Plug it in.")


class Spectator:
    """In place of a page: somebody always looks; keeps the newest picture."""

    watched = True
    picture = None

    def show(self, picture):
        self.picture = picture


def split(image):
    """The fastest network there is: bright or dark."""
    return (image[..., 0] > 100).astype(np.uint8)


def watch_source(source, segment=split, table=TABLE, every_frame=False, stall=5.0, tries=5, **options):
    """`watch` with a capture of its own."""
    with closing(Capture(source, every_frame, stall, tries)) as capture:
        return watch(capture, segment, table, **options)


def make_video(path, frames=50, size=(96, 128), codec="libx264", options=None, times=None):
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
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path, share):
    """The first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def damage(path, places=5, length=600):
    """Random bytes at several places of a file, beginning and end excepted."""
    content, random = bytearray(path.read_bytes()), np.random.default_rng(1)
    for start in random.integers(20_000, len(content) - 20_000, places):
        content[start : start + length] = random.bytes(length)
    path.write_bytes(content)
    return path
