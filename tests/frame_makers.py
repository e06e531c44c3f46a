"""Sources, a network and real videos for the tests of live segmentation."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

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


class NetworkCamera(BaseHTTPRequestHandler):
    """Answers as a network camera does: an endless row of JPEGs, for whoever knows its password.

    Each connection gives greys that count on in steps of 4 (every visitor but the first begins at its number × 60), and
    is cut in the middle of a picture. After `visits` of them it is gone.
    """

    protocol_version = "HTTP/1.0"
    visits, pictures = 2, 6
    visitors = 0  # of a class made for one server
    words = base64.b64encode(b"me:secret").decode()

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Basic {self.words}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        kind = type(self)
        number, kind.visitors = kind.visitors, kind.visitors + 1
        if number >= self.visits:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        for k in range(self.pictures + 1):
            file = io.BytesIO()
            Image.fromarray(np.full((48, 64, 3), 60 * number + 4 * k, np.uint8)).save(file, "JPEG")
            jpeg = file.getvalue()
            head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            self.wfile.write(head + (jpeg + b"\r\n" if k < self.pictures else jpeg[: len(jpeg) // 2]))
            threading.Event().wait(0.05)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def network_camera() -> Iterator[tuple[str, type[NetworkCamera]]]:
    """Serves one; its address with the password, and its class, which counts the visitors."""
    kind = type("Camera", (NetworkCamera,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://me:secret@127.0.0.1:{server.server_address[1]}/video", kind
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
