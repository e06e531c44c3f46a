"""Live frames: from cameras, video files, streams, folders, the endless drive; and always the newest of them.

`open_source` gives a source; `Capture` is a thread that reads it and keeps its newest frame.
"""

from __future__ import annotations

import itertools
import re
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.data.pairs import SUFFIXES, DataError, read_image
from edgeseg.live import csi
from edgeseg.text import Field, parse_fields, parse_size

FPS = 25.0
"""Frames per second of the drive, of a folder, and of a video that does not say."""

CAMERA_OPTIONS = MappingProxyType({"input_format": Field(str, ""), "video_size": Field(str, "")})
"""What a camera can be asked for: ``input_format`` (``mjpeg``: more frames a second than raw pictures over USB 2),
``video_size`` HxW before any scaling."""
STREAM_OPTIONS = MappingProxyType({"rtsp_transport": Field(str, "tcp", choices=("tcp", "udp"))})
"""What an rtsp:// address can be asked for: ``udp`` is less late, and loses packets."""

_DEVICE_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_BROKEN_IN_A_ROW = 100  # packets that cannot be decoded; a lost keyframe costs some dozens
_JUMP = 10.0  # seconds; a longer gap between two time stamps is a jump of the clock, not a pause


class SourceError(RuntimeError):
    """Frames that cannot be had, or no longer; the message names the source and says what to do."""


# sources --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """One frame of a source.

    Args:
        image: (H, W, 3) uint8 RGB.
        time: seconds since the source's first frame, by the source's own clock.
        work: seconds that decoding or rendering took, without waiting for the data.
        number: position in the source from 0, dropped and missing frames counted too; of a `Capture`.
        ready: ``time.perf_counter()`` when it was there; of a `Capture`.
    """

    image: np.ndarray
    time: float
    work: float
    number: int = 0
    ready: float = 0.0


class Source:
    """What frames come from.

    Attributes:
        name: for messages and reports; holds no password.
        live: it sets the pace itself and has no end, so that an end is a lost connection.
        paced: its frames are to be shown at their own times, not as fast as they can be read.
        missing: frames so far that it should have given and could not: damaged ones, and gaps in a steady rate.
    """

    name: str
    live = False
    paced = False
    missing = 0

    def frames(self) -> Generator[Frame, None, None]:
        """Open the source and read it; closing the iterator closes the source."""
        raise NotImplementedError


def open_source(
    text: str,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    stall: float = 5.0,
    seed: int = 0,
    options: Iterable[str] = (),
) -> Source:
    """The source that a word names.

    Args:
        text: ``"0"`` or ``"/dev/video0"`` (camera), ``"csi://0"`` (a board's own, `CsiCamera`), a video file,
            ``"rtsp://…"`` or another address, a folder of pictures or one picture, or ``"streets"``
            (`edgeseg.data.streets.drive`; for a folder of that name write ``"./streets"``).
        size: (H, W) of the frames; the whole picture is scaled to it, its aspect is not kept. ``None``: the source's
            own, 360×480 for the drive.
        fps: the pace of files, folders and the drive, 0 for as fast as they can be read; for cameras what to ask the
            device for. ``None``: the source's own.
        stall: seconds after which a camera or an address that gives nothing is given up.
        seed: another drive.
        options: ``name=value``, see `CAMERA_OPTIONS` and `STREAM_OPTIONS`; other sources have none.

    Raises:
        ValueError, FileNotFoundError: a word that names nothing, a bad fps, an option that the source does not have.
    """
    if fps is not None and not 0 <= fps <= 1000:
        raise ValueError(f"fps = {fps}: give 0 (as fast as possible) to 1000")
    camera = text.isdigit() or bool(re.match(r"/dev/|video=", text))
    known = CAMERA_OPTIONS if camera else STREAM_OPTIONS if text.startswith("rtsp") else {}
    asked = _for_ffmpeg(parse_fields(options, known, without_password(text), "option"))
    if text == "streets":
        return _drive(size or (360, 480), fps, seed)
    if camera:
        return _camera(text, size, fps, stall, asked)
    if text.startswith("csi://"):
        return CsiCamera(text, size, fps, stall)
    if "://" in text:
        return VideoSource(text, size, fps, stall, options=asked)
    path = Path(text)
    if not path.exists():
        raise FileNotFoundError(
            f"{text}: no such file or folder. A source is a camera's number (0), a video file, an address "
            "(rtsp://…, http://…), a folder of pictures, or 'streets'"
        )
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return _folder(path, size, fps)
    return VideoSource(text, size, fps, stall)


def without_password(address: str) -> str:
    """``rtsp://me:secret@host/1?key=2`` → ``rtsp://***@host/1?***``: addresses appear in reports and on the page."""
    return re.sub(r"\?.*", "?***", re.sub(r"://[^/\s]*@", "://***@", address))


class ImageSource(Source):
    """Single images, (H, W, 3) uint8 RGB each, at a steady pace; 0: as fast as they can be read."""

    def __init__(self, name: str, images: Callable[[], Iterator[np.ndarray]], fps: float | None) -> None:
        self.name, self.paced = name, fps != 0
        self._images, self._fps = images, fps or FPS

    def frames(self) -> Generator[Frame, None, None]:
        images = self._images()
        for number in itertools.count():
            began = time.perf_counter()
            image = next(images, None)
            if image is None:
                return
            yield Frame(image, number / self._fps, time.perf_counter() - began)


def _drive(size: tuple[int, int], fps: float | None, seed: int) -> ImageSource:
    """A street without end, rendered as it goes."""
    from edgeseg.data.streets import drive

    drive(seed, size, fps or FPS)  # says at once what is wrong with a size or seed
    return ImageSource("streets", lambda: (image for image, _ in drive(seed, size, fps or FPS)), fps)


def _folder(path: Path, size: tuple[int, int] | None, fps: float | None) -> ImageSource:
    """The pictures of a folder in the order of their names (2 before 10), or a single picture."""
    files = [path] if path.is_file() else [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
    if not files:
        raise FileNotFoundError(f"{path}: holds no pictures ({', '.join(SUFFIXES)}). Give the folder with them.")
    files.sort(key=_natural)
    return ImageSource(str(path), lambda: (_read(file, size) for file in files), fps)


def _read(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    try:
        image = read_image(path)
    except DataError as error:
        raise SourceError(str(error)) from error
    if size is None or size == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key: digits by value, the rest by letter."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name.lower())]


# video ----------------------------------------------------------------------------------------------------------------


def import_av() -> Any:
    """PyAV.

    Raises:
        ImportError: with the pip line.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError('video needs PyAV: pip install "edgeseg[video]"') from error
    return av


@dataclass
class _Tally:
    """What became of the packets of one opening.

    Args:
        steady: whether one rate is promised.
    """

    steady: bool
    frames: int = 0
    undecoded: int = 0
    hidden: int = 0  # that the file says not to show: a video trimmed without encoding it again
    _place: int = -1  # by the time stamps, in frames
    _furthest: int = -1
    _in_line: int = 0

    def add(self, intervals: int) -> None:
        """A frame that comes so many intervals after the last."""
        self.frames += 1
        self._place += intervals
        self._furthest = max(self._furthest, self._place)  # .avi mixes up the time stamps of neighbours
        self._in_line += intervals == 1

    @property
    def missing(self) -> int:
        """Packets that could not be decoded; or gaps, which mean something where most frames follow at one interval."""
        steady = self.steady and 2 * self._in_line >= self.frames
        return max(self.undecoded, self._furthest + 1 - self.frames if steady else 0)


class VideoSource(Source):
    """A video file, a network stream or a camera, read by PyAV.

    An address with a known duration is a file that lies elsewhere; one without is live. That is only known when it is
    open, and so are `live` and `paced`.

    Args:
        address: what FFmpeg opens.
        size, fps: see `open_source`.
        stall: seconds that opening, and then each read, may take.
        device: FFmpeg's format of a camera, e.g. ``"v4l2"``; ``None`` for files and addresses.
        options: of FFmpeg, beside what is said here.

    Raises:
        ImportError: PyAV is missing; gives the pip line.
    """

    def __init__(
        self,
        address: str,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        stall: float = 5.0,
        device: str | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._av = import_av()
        self.name = without_password(address)
        self.live = device is not None or "://" in address
        self.paced = not self.live and fps != 0
        self._address, self._size, self._stall, self._device = address, size, stall, device
        self._fps = None if device else fps
        self._options = {"framerate": f"{fps:g}"} if device and fps else {}
        if address.startswith("rtsp"):
            self._options = {"rtsp_transport": "tcp", "fflags": "nobuffer"}
        self._options |= options

    def frames(self) -> Generator[Frame, None, None]:
        """Decoded frames in display order; those that are damaged or not there are counted in ``missing``.

        Raises:
            SourceError: it cannot be opened, holds no video, gives nothing for ``stall`` seconds, or is truncated.
        """
        with self._open() as container:
            if not container.streams.video:
                raise SourceError(f"{self.name}: holds no video. Give a video file or stream with a picture.")
            if self.live and self._device is None and container.duration:
                self.live, self.paced = False, self._fps != 0
            try:
                yield from self._timed(container, container.streams.video[0])
            except (self._av.error.FFmpegError, OSError) as error:
                raise SourceError(f"{self.name}: {self._why(error)}. {self._cure()}") from error

    def _open(self) -> AbstractContextManager[Any]:
        limits = (self._stall, self._stall) if self.live else None
        try:
            container: AbstractContextManager[Any] = self._av.open(
                self._address, format=self._device, options=self._options, timeout=limits
            )
            return container
        except (self._av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.name}: cannot be opened ({self._why(error)}). {self._cure()}") from error

    def _timed(self, container: Any, stream: Any) -> Iterator[Frame]:
        """Frames with their times; counts those that are not there."""
        interval = 1 / float(stream.average_rate or FPS)
        # a camera takes longer in the dark, and loses nothing
        tally = _Tally(self._device is None and stream.average_rate == stream.base_rate)
        earlier = self.missing
        first, seconds = 0.0, -interval
        for frame, work in self._decoded(container, stream, tally):
            began = time.perf_counter()
            if tally.frames == 0:
                first = frame.time or 0.0
            before, seconds = seconds, tally.frames * interval if frame.time is None else frame.time - first
            shown = tally.frames / self._fps if self._fps else seconds
            step = seconds - before
            tally.add(round(step / interval) if abs(step) < _JUMP else 1)
            self.missing = earlier + tally.missing
            yield Frame(self._picture(frame), shown, work + time.perf_counter() - began)
        if not self.live:
            absent, promised = self._absent_at_end(container, stream, tally, seconds + interval, interval)
            self.missing = earlier + tally.missing + absent
            self._refuse_loss(stream, tally, absent, seconds + interval, promised)

    def _decoded(self, container: Any, stream: Any, tally: _Tally) -> Iterator[tuple[Any, float]]:
        """PyAV's frames, and the seconds that each took to decode."""
        broken = 0
        for packet in container.demux(stream):
            tally.hidden += packet.is_discard
            began = time.perf_counter()
            try:
                frames = packet.decode()
            except self._av.error.FFmpegError as error:
                broken += 1
                tally.undecoded += 1
                if broken > _BROKEN_IN_A_ROW:
                    raise SourceError(f"{self.name}: cannot be decoded ({self._why(error)}). {self._cure()}") from error
                continue
            work = time.perf_counter() - began
            for frame in frames:
                broken = 0
                yield frame, work
                work = 0.0

    def _picture(self, frame: Any) -> np.ndarray:
        """RGB, of the wished size, upright: phones store portrait videos lying, with a note."""
        turns = round(getattr(frame, "rotation", 0) / 90) % 4  # an older PyAV does not tell
        height, width = self._size or (frame.height, frame.width)
        if self._size is not None and turns % 2:
            height, width = width, height
        image = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _absent_at_end(
        self, container: Any, stream: Any, tally: _Tally, seconds: float, interval: float
    ) -> tuple[int, float]:
        """Frames that the header promised and nothing told of, by their number or by the time; and the promised time.

        Not every format has such a number.

        Raises:
            SourceError: the file holds nothing.
        """
        if tally.frames == 0:
            raise SourceError(f"{self.name}: holds no frame that can be decoded. {self._cure()}")
        promised = float(stream.duration * stream.time_base) if stream.duration else 0.0
        if not promised and len(container.streams) == 1:
            promised = (container.duration or 0) / self._av.time_base
        if stream.frames:
            return max(0, stream.frames - tally.hidden - tally.frames - tally.missing), promised
        return (round((promised - seconds) / interval) if seconds < 0.98 * promised - 0.5 else 0), promised

    def _refuse_loss(self, stream: Any, tally: _Tally, absent: int, seconds: float, promised: float) -> None:
        """Raises a `SourceError` that says how much is lost, where the end is, or frames of which nothing tells."""
        if seconds >= 0.98 * promised - 0.5 and absent <= 2 + 0.02 * stream.frames:
            return
        of = f"{stream.frames} frames" if stream.frames else f"about {promised:.0f} s"
        raise SourceError(
            f"{self.name}: ended after {tally.frames} frames ({seconds:.1f} s) of {of}, {tally.missing + absent} could "
            "not be read: the file is truncated or damaged. Copy or record it again; what was there has been processed."
        )

    def _why(self, error: Exception) -> str:
        if isinstance(error, self._av.error.ExitError | TimeoutError):
            return f"no data for {self._stall:g} s"
        return getattr(error, "strerror", None) or str(error)

    def _cure(self) -> str:
        if self._device:
            return "Is the camera plugged in, allowed for you (Linux: group video), and free of other programs?"
        if "://" in self._address:
            return "Check address, network and sender: does another player show it?"
        return "Is it a video, and whole? Copy or record it again."


class CsiCamera(VideoSource):
    """A camera on a board's CSI port, by the board's own program.

    ``rpicam-vid`` on a Raspberry Pi, GStreamer's ``nvarguscamerasrc`` on a Jetson; without either, an error. Tested
    with stand-ins for the two programs, on no board. Arguments as `VideoSource`'s; ``address`` is ``csi://0``, size
    and fps are what the camera is asked for: 720×1280 and 30 by default.

    Raises:
        ValueError: no number of a camera. ImportError: PyAV is missing.
    """

    def __init__(
        self, address: str, size: tuple[int, int] | None = None, fps: float | None = None, stall: float = 5.0
    ) -> None:
        super().__init__(address, size, None, stall)
        self._number, self._asked = address.removeprefix("csi://"), (size or (720, 1280), fps or 30.0)
        if not self._number.isdigit():
            raise ValueError(f"{address}: give the number of the camera, e.g. csi://0")

    @contextmanager
    def _open(self) -> Iterator[Any]:
        program, form = csi.command(self._number, *self._asked)
        if not program:
            nor = " nor ".join(csi.PROGRAMS)
            raise SourceError(f"{self.name}: neither {nor} is installed. A USB camera is a number: 0")
        try:
            with csi.opened(self._av, program, form) as container:
                yield container
        except (self._av.error.FFmpegError, OSError) as error:
            told = f"{self.name}: {program[0]} gives no picture ({self._why(error)})"
            raise SourceError(f"{told}. Try it by itself: {' '.join(program)}") from error


def _for_ffmpeg(asked: Mapping[str, Any]) -> dict[str, str]:
    """FFmpeg writes a size as WxH."""
    given = {name: str(value) for name, value in asked.items()}
    if "video_size" in given:
        height, width = parse_size(given["video_size"])
        given["video_size"] = f"{width}x{height}"
    return given


def _camera(
    text: str, size: tuple[int, int] | None, fps: float | None, stall: float, options: Mapping[str, str]
) -> VideoSource:
    system = sys.platform
    if system not in _DEVICE_FORMATS:
        raise ValueError(f"{text}: cameras are read on Linux, macOS and Windows, not on {system}; give an address")
    if system == "win32" and text.isdigit():
        raise ValueError(
            f"camera {text}: Windows knows cameras by name; give 'video=NAME', as its device list shows it"
        )
    address = f"/dev/video{text}" if system == "linux" and text.isdigit() else text
    return VideoSource(address, size, fps, stall, _DEVICE_FORMATS[system], options)


# the newest frame -----------------------------------------------------------------------------------------------------

_LATE = 0.1  # seconds by which a paced source may lag and catch up; beyond, its clock is set anew
_LONGEST_PAUSE = 8.0  # seconds between two tries to reconnect
_GRACE = 1.0  # seconds after `stall` in which a source may say itself that nothing comes


class Capture:
    """Reads a source in a thread of its own; the newest frame takes the place of one that nobody has taken.

    The ``time`` of a live source's frames is by this machine's clock, since its own starts anew when it is reconnected.

    Args:
        source: what to read.
        every_frame: wait for the loop instead of dropping, and do not pace.
        stall: seconds without a frame after which the source counts as stalled.
        tries: how often a live source that worked once is opened again, until it works for ``stall`` seconds; each
            lost connection gets a line on standard error.

    Attributes:
        dropped: frames that a newer one replaced before anybody took them.
    """

    def __init__(self, source: Source, every_frame: bool = False, stall: float = 5.0, tries: int = 5) -> None:
        if not stall > 0 or tries < 0:
            raise ValueError(f"stall = {stall}, tries = {tries}: stall must be above 0 and tries at least 0")
        self.source, self.dropped = source, 0
        self._every_frame, self._stall, self._tries = every_frame, stall, tries
        self._condition = threading.Condition()
        self._slot: Frame | None = None
        self._error: Exception | None = None
        self._done = False
        self._count, self._number, self._failures = 0, -1, 0
        self._zero: float | None = None  # when the clock of a paced or live source showed 0
        self._expect_within(2 * stall)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeseg-capture", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the source has ended and its last frame is taken."""
        return self._done and self._slot is None and self._error is None

    def take(self) -> Frame | None:
        """The newest frame that nobody has taken yet; ``None`` when there is none within a fifth of a second.

        Raises:
            SourceError: the source failed or stalls, and tries to reconnect are used up.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._slot is not None or self._done, 0.2)
            taken, self._slot = self._slot, None
            self._condition.notify_all()
        if taken is None and self._error is not None:
            raise self._error
        if taken is None and self._hangs():
            raise SourceError(
                f"{self.source.name}: no frame for {self._stall:g} s, and no end. Check cable, network and sender; "
                "for more patience give a longer stall (--stall SECONDS)."
            )
        return taken

    def close(self) -> None:
        """Stop reading and join the thread, which closes the source."""
        self._stop.set()
        with self._condition:
            self._slot = None
            self._condition.notify_all()
        # a read ends by itself within `stall` seconds; a driver that hangs for ever must not hold up the program
        self._thread.join(0.1 if self._hangs() else self._stall + _GRACE)

    def _hangs(self) -> bool:
        return not self._done and time.monotonic() > self._deadline

    def _expect_within(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds + _GRACE

    # the thread

    def _run(self) -> None:
        try:
            self._read_on()
        except Exception as error:  # raised again in the thread that takes
            self._error = error
        with self._condition:
            self._done = True
            self._condition.notify_all()

    def _read_on(self) -> None:
        """Read until the end; open a live source again when its connection is lost."""
        while not self._stop.is_set():
            try:
                self._read_once()
                if self._stop.is_set() or not self.source.live:
                    return
                raise SourceError(f"{self.source.name}: the stream ended.")
            except SourceError as error:
                if self._stop.is_set():
                    return
                if not self._count or not self.source.live:
                    raise
                self._failures += 1
                if self._failures > self._tries:
                    tries = "try" if self._tries == 1 else "tries"
                    raise SourceError(f"{error} Given up after {self._tries} {tries} to reconnect.") from error
                pause = min(0.5 * 2**self._failures, _LONGEST_PAUSE)
                again = f"Opening it again in {pause:g} s (try {self._failures} of {self._tries})."
                print(error, again, file=sys.stderr)
                self._expect_within(pause + 2 * self._stall)
                self._stop.wait(pause)

    def _read_once(self) -> None:
        self._expect_within(2 * self._stall)  # to open it, and then for the first frame
        first = None
        with closing(self.source.frames()) as frames:
            for frame in frames:
                if self._every_frame and self.source.live:
                    raise ValueError(f"{self.source.name}: is live and cannot wait; every frame is for files only")
                if self.source.paced and not self._every_frame:
                    self._wait_until_due(frame.time)
                self._put(frame)
                if self._stop.is_set():
                    return
                self._expect_within(self._stall)
                first = first or time.monotonic()
                if time.monotonic() - first > self._stall:
                    self._failures = 0

    def _wait_until_due(self, seconds: float) -> None:
        ahead = 0.0 if self._zero is None else self._zero + seconds - time.perf_counter()
        if self._zero is None or not -_LATE < ahead < _JUMP:
            self._zero = time.perf_counter() - seconds
        elif ahead > 0:
            self._expect_within(ahead + self._stall)
            self._stop.wait(ahead)

    def _put(self, frame: Frame) -> None:
        ready, seconds = time.perf_counter(), frame.time
        if self.source.live:
            self._zero = self._zero or ready
            seconds = ready - self._zero
        with self._condition:
            if self._every_frame:
                self._condition.wait_for(lambda: self._slot is None or self._stop.is_set())
            elif self._slot is not None:
                self.dropped += 1
            # what seemed to be missing may yet come: neighbours in an .avi change places
            self._number = max(self._number + 1, self._count + self.source.missing)
            self._slot = Frame(frame.image, seconds, frame.work, self._number, ready)
            self._count += 1
            self._condition.notify_all()
