"""Where results go: `Painter` draws overlay and legend, `Page` serves them to a browser, `Recorder` films them.

A page of the standard library instead of a window: a board without a monitor has no window, and its user has a browser.
"""

from __future__ import annotations

import html
import io
import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgeseg import plots
from edgeseg.data.labels import ClassTable
from edgeseg.live.frames import import_av

_MOST_NAMES = 24  # a legend with more would hide the picture; then the largest classes are named
_LEAST_WIDTH = 320  # pixels; smaller pictures are enlarged by whole numbers, so that the words fit
_LEAST_SHARE = 0.0005  # of the picture, below which a class is not named


class Painter:
    """Draws the classes over an image, and below it one line of figures and the legend of the classes in sight.

    Every class keeps its place in the legend, so that it does not jump when another comes or goes.

    Args:
        table: names and colours.
        size: (H, W) of the images.
    """

    def __init__(self, table: ClassTable, size: tuple[int, int]) -> None:
        import matplotlib

        self.table, self.size = table, size
        self._zoom = max(1, -(-_LEAST_WIDTH // size[1]))
        self._top, width = size[0] * self._zoom, size[1] * self._zoom
        letter = max(12, round(min(self._top, width) / 32))
        # the font that comes with matplotlib: the same everywhere, and with more than ASCII
        self._font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), letter)
        self._line, self._gap = round(letter * 1.5), letter // 2
        self._width = width + width % 2  # video wants even sides
        widest = round(max(self._font.getlength(name) for name in table.names))
        self._columns = self._width // min(widest + 2 * self._line, self._width)
        self._places = min(len(table), _MOST_NAMES)
        rows = -(-self._places // self._columns)
        height = self._top + self._line * (rows + 1) + self._gap
        self._height = height + height % 2

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
        canvas = Image.new("RGB", (self._width, self._height), plots.DISPLAY_BACKGROUND)
        mixed = plots.overlay(image, label, self.table)
        canvas.paste(Image.fromarray(mixed.repeat(self._zoom, 0).repeat(self._zoom, 1)))
        draw = ImageDraw.Draw(canvas)
        top, pad = self._top + self._gap // 2, self._line // 6
        self._write(draw, self._gap, top, text)
        for place, class_id in self._in_sight(shares):
            row, column = divmod(place, self._columns)
            x, y = self._gap + column * (self._width // self._columns), top + (row + 1) * self._line
            box = (x, y + pad, x + self._line - 2 * pad - 1, y + self._line - pad - 1)
            # with an edge, since black shows on black, too
            draw.rectangle(box, self.table.colors[class_id], plots.DISPLAY_LINE)
            self._write(draw, x + self._line, y, self.table.names[class_id])
        return np.array(canvas)

    def _in_sight(self, shares: Mapping[int, float]) -> list[tuple[int, int]]:
        """(place in the legend, class id) of the classes to name."""
        seen = [i for i, share in shares.items() if share >= _LEAST_SHARE and i < len(self.table)]
        if len(self.table) <= self._places:
            return [(i, i) for i in seen]
        return list(enumerate(sorted(sorted(seen, key=lambda i: -shares[i])[: self._places])))

    def _write(self, draw: ImageDraw.ImageDraw, x: int, y: int, text: str) -> None:
        draw.text((x, y + self._line // 2), text, plots.DISPLAY_TEXT, self._font, anchor="lm")


# the page in a browser ------------------------------------------------------------------------------------------------


_HERE, _EVERYWHERE = ("127.0.0.1", "localhost"), "0.0.0.0"


class Page:
    """Shows the newest picture in a browser on this machine: ``http://127.0.0.1:PORT``.

    Only this machine can connect. From another: ``ssh -L 8080:127.0.0.1:8080 board``, then the same address there; or
    another `host`, and then whoever has the address with its token. That is plain http: the network's other users can
    read token and pictures.

    Args:
        port: 0 for any free one.
        title: of the page.
        host: IPv4 address or name to serve on; ``"0.0.0.0"``: all of this machine's.

    Attributes:
        token: what an address beyond this machine must hold, new for every page; empty on 127.0.0.1.

    Raises:
        OSError: the port is taken, or the address is not this machine's; says what to do.
    """

    def __init__(self, port: int = 8080, title: str = "edgeseg live", host: str = _HERE[0]) -> None:
        self.token = "" if host in _HERE else secrets.token_urlsafe(16)
        self._host = host
        self._condition = threading.Condition()
        self._picture: np.ndarray | None = None  # the newest; none before the first and after the last
        self._number = self._watchers = 0
        try:
            self._server = ThreadingHTTPServer((host, port), partial(_Handler, self, title))
        except (OSError, OverflowError) as error:
            raise OSError(
                f"{host}, port {port} cannot be used ({error}). Give another port, --serve 0 takes any free one, and "
                "as --host an address of this machine"
            ) from error
        self._server.daemon_threads = False  # closing the server then joins the threads of its visitors
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="edgeseg-page", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is, with the token; of all addresses the one by this machine's name."""
        host = socket.gethostname() if self._host == _EVERYWHERE else self._host
        place = f"http://{host}:{self._server.server_address[1]}"
        return f"{place}/?token={self.token}" if self.token else place

    @property
    def watched(self) -> bool:
        """Whether a browser waits for pictures."""
        return self._watchers > 0

    def show(self, picture: np.ndarray) -> None:
        """Hand over the newest picture; the threads of those who watch encode it."""
        self._set(picture)

    def jpegs(self) -> Generator[bytes, None, None]:
        """The newest picture whenever there is another, until the page closes; meanwhile it is watched."""
        number = 0
        with self._condition:
            self._watchers += 1
        try:
            while True:
                with self._condition:
                    while self._number == number:
                        self._condition.wait()
                    number, picture = self._number, self._picture
                if picture is None:
                    return
                file = io.BytesIO()
                Image.fromarray(picture).save(file, "JPEG", quality=80)
                yield file.getvalue()
        finally:
            with self._condition:
                self._watchers -= 1

    def close(self) -> None:
        """Send the visitors away and free the port."""
        self._set(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _set(self, picture: np.ndarray | None) -> None:
        with self._condition:
            self._picture = picture
            self._number += 1
            self._condition.notify_all()


_HTML = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body{{margin:0;background:rgb{background}}}
img{{display:block;width:100vw;height:100vh;object-fit:contain}}</style>
<img src="{stream}" alt="live segmentation: the camera's picture under the colours of its classes">
"""


class _Handler(BaseHTTPRequestHandler):
    """Answers ``/`` (the page) and ``/stream`` (endless JPEGs)."""

    timeout = 2  # seconds; a visitor who does not read must not hold up closing

    def __init__(self, page: Page, title: str, *request: Any) -> None:
        self._page, self._title = page, title
        super().__init__(*request)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if refusal := self._refusal(query):
            self.send_error(403, refusal)
        elif path == "/":
            self._begin("text/html; charset=utf-8")
            stream = f"stream?token={self._page.token}" if self._page.token else "stream"
            text = _HTML.format(title=html.escape(self._title), background=plots.DISPLAY_BACKGROUND, stream=stream)
            self.wfile.write(text.encode())
        elif path == "/stream":
            self._begin("multipart/x-mixed-replace; boundary=frame")
            self._stream()
        else:
            self.send_error(404, "there is / and /stream")

    def _refusal(self, query: str) -> str:
        """Why a visitor sees nothing; empty if he may."""
        if self._page.token:
            given = parse_qs(query).get("token", [""])[0]
            known = secrets.compare_digest(given.encode(), self._page.token.encode())
            return "" if known else "open the address that edgeseg live printed, with its token"
        host = self.headers.get("Host", "").partition(":")[0]  # any web page could look through its own name's address
        return "" if host in _HERE else "open it as http://127.0.0.1:PORT"

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def _stream(self) -> None:
        try:
            self.wfile.write(b"--frame\r\n")
            with closing(self._page.jpegs()) as pictures:
                for picture in pictures:
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
                    # the next boundary at once: browsers show a part only when they have seen its end
                    self.wfile.write(head + picture + b"\r\n--frame\r\n")
        except OSError:
            self.close_connection = True  # the browser has gone

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal is for the figures."""


# files ----------------------------------------------------------------------------------------------------------------

_MILLISECOND = Fraction(1, 1000)


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
        try:
            self._container.mux(self._stream.encode(frame))
        except (self._av.error.FFmpegError, OSError) as error:
            raise OSError(error.errno, f"{self.path}: recording failed ({error.strerror})", str(self.path)) from error

    def close(self) -> None:
        """Finish the file; one without a picture is removed."""
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
        if self._stream is None:
            self.path.unlink(missing_ok=True)

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


@contextmanager
def json_lines(target: str, stop: threading.Event) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Writes each line at once, for whoever follows the file.

    Args:
        target: the file; ``-`` for standard output.
        stop: set when the reader of a pipe has gone.

    Raises:
        OSError: the file cannot be written.
    """
    with nullcontext(sys.stdout) if target == "-" else _create(Path(target)) as file:

        def write(line: dict[str, Any]) -> None:
            try:
                print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())  # or Python complains at exit
                stop.set()

        yield write


def _create(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror}). Choose another place.") from error
