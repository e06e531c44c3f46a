"""Where live pictures go: `Painter` draws overlay and legend, `Page` serves them to a browser, `Recorder` films them.

A page of the standard library instead of a window: a board without a monitor has no window, and its user has a browser.
"""

from __future__ import annotations

import html
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgeseg import plots
from edgeseg.data.labels import ClassTable
from edgeseg.live.frames import import_av

_BACK, _INK, _EDGE = (24, 26, 30), (235, 235, 235), (110, 114, 120)
_MOST_NAMES = 24  # a legend with more would hide the picture; then the largest classes are named
_LEAST_WIDTH = 320  # pixels; smaller pictures are enlarged by whole numbers, so that the words fit
_LEAST_SHARE = 0.0005  # of the picture, below which a class is not named


class Screen(Protocol):
    """Something that shows pictures.

    Attributes:
        watched: whether anybody looks; if not, nothing is drawn.
    """

    @property
    def watched(self) -> bool: ...
    def show(self, picture: np.ndarray) -> None:
        """Take the newest picture, (H, W, 3) uint8 RGB; must not block."""


class Painter:
    """Draws the classes over an image, and below it one line of figures and the legend of the classes in sight.

    Every class keeps its place in the legend, so that it does not jump when another comes or goes.

    Args:
        table: names and colours.
        size: (H, W) of the images.
    """

    def __init__(self, table: ClassTable, size: tuple[int, int]) -> None:
        self.table, self.size = table, size
        self._zoom = max(1, -(-_LEAST_WIDTH // size[1]))
        height, width = size[0] * self._zoom, size[1] * self._zoom
        self._letter = max(12, round(min(height, width) / 32))
        self._font = _font(self._letter)
        self._line = round(self._letter * 1.5)
        self._width = width + width % 2  # video wants even sides
        widest = max(self._font.getlength(name) for name in table.names)
        entry = min(round(widest) + 2 * self._line, self._width)
        self._columns = self._width // entry
        self._places = min(len(table), _MOST_NAMES)
        rows = -(-self._places // self._columns)
        self._entries = [self._entry(i, self._width // self._columns) for i in range(len(table))]
        strip = self._line * (rows + 1) + self._letter // 2
        self._height = height + strip + (height + strip) % 2

    def paint(self, image: np.ndarray, label: np.ndarray, shares: Mapping[int, float], text: str) -> np.ndarray:
        """One picture.

        Args:
            image: (H, W, 3) uint8 RGB.
            label: (H, W) uint8 class ids; void shows the image.
            shares: class id → its share of the picture.
            text: the line of figures.

        Returns:
            (H', W', 3) uint8, the same sides for every picture, both even.
        """
        picture = np.empty((self._height, self._width, 3), np.uint8)
        picture[:] = _BACK
        mixed = plots.overlay(image, label, self.table)
        if self._zoom > 1:
            mixed = mixed.repeat(self._zoom, 0).repeat(self._zoom, 1)
        height, width = mixed.shape[:2]
        picture[:height, :width] = mixed
        top = height + self._letter // 4
        picture[top : top + self._line] = self._text(text, self._width)
        for class_id, place in self._seats(shares):
            row, column = divmod(place, self._columns)
            entry = self._entries[class_id]
            y, x = top + (row + 1) * self._line, column * entry.shape[1]
            picture[y : y + self._line, x : x + entry.shape[1]] = entry
        return picture

    def _seats(self, shares: Mapping[int, float]) -> list[tuple[int, int]]:
        """(class id, place in the legend) of the classes in sight."""
        seen = [i for i, share in shares.items() if share >= _LEAST_SHARE and i < len(self.table)]
        if len(self.table) <= self._places:
            return [(i, i) for i in seen]
        largest = sorted(seen, key=lambda i: -shares[i])[: self._places]
        return [(i, place) for place, i in enumerate(sorted(largest))]

    def _entry(self, class_id: int, width: int) -> np.ndarray:
        """Coloured box and name, (line, width, 3)."""
        gap = self._letter // 2
        entry = self._text(self.table.names[class_id], width, indent=self._line + gap)
        pad = self._line // 6
        entry[pad : self._line - pad, gap : gap + self._line - 2 * pad] = _EDGE  # black shows on black, too
        entry[pad + 1 : self._line - pad - 1, gap + 1 : gap + self._line - 2 * pad - 1] = self.table.colors[class_id]
        return entry

    def _text(self, text: str, width: int, indent: int | None = None) -> np.ndarray:
        """One line of text on the background, cut with … where it does not fit."""
        indent = self._letter // 2 if indent is None else indent
        room = width - indent
        if self._font.getlength(text) > room:
            while text and self._font.getlength(text + "…") > room:
                text = text[:-1]
            text += "…"
        line = Image.new("RGB", (width, self._line), _BACK)
        ImageDraw.Draw(line).text((indent, self._line // 2), text, _INK, self._font, anchor="lm")
        return np.array(line)


class Page:
    """Shows the newest picture in a browser on this machine: ``http://127.0.0.1:PORT``.

    Only this machine can connect. From another: ``ssh -L 8080:127.0.0.1:8080 board``, then the same address there.

    Args:
        port: 0 for any free one.
        title: of the page.

    Raises:
        OSError: the port is taken; says what to do.
    """

    def __init__(self, port: int = 8080, title: str = "edgeseg live") -> None:
        self._condition = threading.Condition()
        self._picture: np.ndarray | None = None
        self._encoding = threading.Lock()
        self._jpeg = b""
        self._number = self._encoded = self._watchers = 0
        self.closed = False
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self, title))
        except (OSError, OverflowError) as error:
            raise OSError(
                f"port {port} cannot be used ({error}). Give another: --serve 0 takes any free one"
            ) from error
        self._server.daemon_threads = False  # closing the server then joins the threads of its visitors
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="edgeseg-page", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def watched(self) -> bool:
        """Whether a browser waits for pictures."""
        return self._watchers > 0

    def show(self, picture: np.ndarray) -> None:
        """Hand over the newest picture; whoever watches encodes it."""
        with self._condition:
            self._picture = picture
            self._number += 1
            self._condition.notify_all()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Counts as somebody who looks."""
        with self._condition:
            self._watchers += 1
        try:
            yield
        finally:
            with self._condition:
                self._watchers -= 1

    def next_jpeg(self, after: int | None = None, timeout: float = 1.0) -> tuple[int, bytes]:
        """The newest picture as JPEG, with its number.

        Args:
            after: number of the last picture that the visitor has; ``None``: all up to now.
            timeout: seconds to wait for a newer one; then the JPEG is empty.
        """
        with self._condition:
            after = self._number if after is None else after
            self._condition.wait_for(lambda: self._number > after or self.closed, timeout)
            number, picture = self._number, self._picture
        if self.closed or number <= after or picture is None:
            return after, b""
        with self._encoding:  # once for all who watch, and never while the loop waits
            if self._encoded != number:
                self._jpeg, self._encoded = jpeg(picture), number
            return number, self._jpeg

    def close(self) -> None:
        """Send the visitors away and free the port."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Recorder:
    """Writes pictures as a video, each at its source's time: H.264 where PyAV has it, else MPEG-4.

    An ``.mp4`` is written in fragments: after a power cut all but the last seconds can be played.

    Args:
        path: ``.mp4``, ``.mkv``, ``.mov`` or ``.avi``; an existing file is replaced.

    Raises:
        ValueError: another suffix. OSError: the file cannot be written. ImportError: no PyAV.
    """

    def __init__(self, path: str | Path) -> None:
        self._av = import_av()
        self.path = Path(path)
        if self.path.suffix.lower() not in (".mp4", ".mkv", ".mov", ".avi"):
            raise ValueError(f"{path}: a recording is .mp4, .mkv, .mov or .avi")
        options = {"flush_packets": "1"}
        if self.path.suffix.lower() in (".mp4", ".mov"):
            options["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = self._av.open(str(self.path), "w", options=options)
        except (self._av.error.FFmpegError, OSError) as error:
            raise OSError(f"{path}: cannot be written ({error.strerror}). Choose another place.") from error
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, picture: np.ndarray, seconds: float) -> None:
        """Append a picture, (H, W, 3) uint8 with even sides, at a time ≥ the last one's.

        Raises:
            OSError: e.g. the disk is full.
        """
        if self._stream is None:
            self._stream = self._add_stream(picture.shape[0], picture.shape[1])
        frame = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.time_base = _MILLISECOND
        frame.pts = self._last = max(round(seconds * 1000), self._last + 1)
        self._mux(frame)

    def close(self) -> None:
        """Finish the file; one without a picture is removed."""
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._stream is not None:
                container.mux(self._stream.encode(None))
        finally:
            container.close()
        if self._stream is None:
            self.path.unlink(missing_ok=True)

    def _mux(self, frame: Any) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (self._av.error.FFmpegError, OSError) as error:
            raise OSError(error.errno, f"{self.path}: recording failed ({error.strerror})", str(self.path)) from error

    def _add_stream(self, height: int, width: int) -> Any:
        codecs = self._av.codec.codecs_available
        name = "libx264" if "libx264" in codecs else "mpeg4"
        stream = self._container.add_stream(name, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = _MILLISECOND
        stream.codec_context.gop_size = 50
        if name == "libx264":  # cheap, and out at once: the network needs the processor more
            stream.options = {"preset": "ultrafast", "crf": "20", "tune": "zerolatency"}
        else:
            stream.codec_context.bit_rate = 8 * height * width
        return stream


def jpeg(picture: np.ndarray, quality: int = 80) -> bytes:
    """(H, W, 3) uint8 → JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()


_MILLISECOND = Fraction(1, 1000)
_HTML = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body{{margin:0;background:#18191e;display:grid;place-items:center;min-height:100vh}}
img{{max-width:100vw;max-height:100vh;min-width:min(100vw,960px)}}</style>
<img src="stream" alt="live segmentation: the camera's picture under the colours of its classes">
"""


def _handler(page: Page, title: str) -> Callable[..., BaseHTTPRequestHandler]:
    """Answers ``/`` (the page), ``/stream`` (endless JPEGs) and ``/frame.jpg`` (the next one)."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 2  # seconds; a visitor who does not read must not hold up closing

        def do_GET(self) -> None:
            host = self.headers.get("Host", "").partition(":")[0]
            if host not in ("127.0.0.1", "localhost"):  # else any web page could look through its own name's address
                self.send_error(403, "open it as http://127.0.0.1:PORT")
            elif self.path == "/":
                self._answer("text/html; charset=utf-8", _HTML.format(title=html.escape(title)).encode())
            elif self.path == "/frame.jpg":
                with page.watching():
                    _, picture = page.next_jpeg(timeout=2.0)
                if picture:
                    self._answer("image/jpeg", picture)
                else:
                    self.send_error(503, "no picture within 2 s")
            elif self.path == "/stream":
                with page.watching():
                    self._stream()
            else:
                self.send_error(404, "there is /, /stream and /frame.jpg")

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            number = 0
            try:
                self.wfile.write(b"--frame\r\n")
                while not page.closed:
                    number, picture = page.next_jpeg(number)
                    if picture:
                        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
                        # the next boundary at once: browsers show a part only when they have seen its end
                        self.wfile.write(head + picture + b"\r\n--frame\r\n")
            except OSError:
                self.close_connection = True  # the browser has gone

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal is for the figures."""

    return Handler


def _font(pixels: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib: the same everywhere, and with more than ASCII."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), pixels)
