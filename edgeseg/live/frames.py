"""Live frames: from cameras, video files, streams, folders, the endless drive; and always the newest of them.

`open_source` gives a source; `Capture` is a thread that reads it and keeps its newest frame.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from PIL import Image

from edgeseg.data.pairs import SUFFIXES, DataError, read_image

FPS = 25.0
"""Frames per second of the drive, of a folder, and of a video that does not say."""

_DEVICE_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_BROKEN_IN_A_ROW = 100  # packets that cannot be decoded; a lost keyframe costs some dozens


class SourceError(RuntimeError):
    """Frames that cannot be had, or no longer; the message names the source and says what to do."""


@dataclass(frozen=True)
class Shot:
    """One frame of a source.

    Args:
        image: (H, W, 3) uint8 RGB.
        time: seconds since the source's first frame, by the source's own clock.
        work: seconds that decoding or rendering took, without waiting for the data.
    """

    image: np.ndarray
    time: float
    work: float


class Source(Protocol):
    """What frames come from.

    Attributes:
        name: for messages and reports; holds no password.
        live: it sets the pace itself and has no end, so that an end is a lost connection.
        paced: its frames are to be shown at their own times, not as fast as they can be read.
    """

    name: str
    live: bool
    paced: bool

    def shots(self) -> Generator[Shot, None, None]:
        """Open the source and read it; closing the iterator closes the source."""
        ...


def open_source(
    text: str, size: tuple[int, int] | None = None, fps: float | None = None, stall: float = 5.0, seed: int = 0
) -> Source:
    """The source that a word names.

    Args:
        text: ``"0"`` or ``"/dev/video0"`` (camera), a video file, ``"rtsp://…"`` or another address, a folder of
            pictures or one picture, or ``"streets"`` (`edgeseg.data.streets.drive`; for a folder of that name write
            ``"./streets"``).
        size: (H, W) of the frames; the whole picture is scaled to it, its aspect is not kept. ``None``: the source's
            own, 360×480 for the drive.
        fps: the pace of files, folders and the drive, 0 for as fast as they can be read; for cameras what to ask the
            device for. ``None``: the source's own.
        stall: seconds after which a camera or an address that gives nothing is given up.
        seed: another drive.

    Raises:
        ValueError, FileNotFoundError: a word that names nothing, or a bad fps.
    """
    if fps is not None and not 0 <= fps <= 1000:
        raise ValueError(f"fps = {fps}: give 0 (as fast as possible) to 1000")
    if text == "streets":
        return DriveSource(size or (360, 480), fps, seed)
    if text.isdigit() or re.match(r"/dev/|video=", text):
        return _camera(text, size, fps, stall)
    if "://" in text:
        return VideoSource(text, size, fps, stall)
    path = Path(text)
    if not path.exists():
        raise FileNotFoundError(
            f"{text}: no such file or folder. A source is a camera's number (0), a video file, an address "
            "(rtsp://…, http://…), a folder of pictures, or 'streets'"
        )
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return FolderSource(path, size, fps)
    return VideoSource(text, size, fps, stall)


def without_password(address: str) -> str:
    """``rtsp://me:secret@host/1?key=2`` → ``rtsp://***@host/1?***``: addresses appear in reports and on screens."""
    return re.sub(r"\?.*", "?***", re.sub(r"://[^/\s]*@", "://***@", address))


class DriveSource:
    """`edgeseg.data.streets.drive`: a street without end, rendered as it goes."""

    live = False
    name = "streets"

    def __init__(self, size: tuple[int, int] = (360, 480), fps: float | None = None, seed: int = 0) -> None:
        from edgeseg.data.streets import drive

        self.paced = fps != 0
        self._fps = fps or FPS
        self._frames = lambda: drive(seed, size, self._fps)
        self._frames()  # says at once what is wrong with a size or seed

    def shots(self) -> Generator[Shot, None, None]:
        """One rendered frame after the other, without end."""
        frames, number = self._frames(), 0
        while True:
            began = time.perf_counter()
            image, _ = next(frames)
            yield Shot(image, number / self._fps, time.perf_counter() - began)
            number += 1


class FolderSource:
    """The pictures of a folder in the order of their names (2 before 10), or a single picture."""

    live = False

    def __init__(self, path: Path, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        self.name = str(path)
        self.paced = fps != 0
        self._size, self._fps = size, fps or FPS
        files = [path] if path.is_file() else [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
        self._files = sorted(files, key=_natural)
        if not files:
            raise FileNotFoundError(f"{path}: holds no pictures ({', '.join(SUFFIXES)}). Give the folder with them.")

    def shots(self) -> Generator[Shot, None, None]:
        """Every picture once."""
        for number, path in enumerate(self._files):
            began = time.perf_counter()
            try:
                image = read_image(path)
            except DataError as error:
                raise SourceError(str(error)) from error
            if self._size not in (None, image.shape[:2]):
                height, width = self._size
                image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
            yield Shot(image, number / self._fps, time.perf_counter() - began)


class VideoSource:
    """A video file, a network stream or a camera, read by PyAV.

    An address with a known duration is a file that lies elsewhere; one without is live. That is only known when it is
    open, and so are `live` and `paced`.

    Args:
        address: what FFmpeg opens.
        size: (H, W) of the frames; ``None``: the video's own.
        fps: see `open_source`.
        stall: seconds that opening, and then each read, may take.
        device: FFmpeg's format of a camera, e.g. ``"v4l2"``; ``None`` for files and addresses.
        options: FFmpeg's options.
        label: the name in messages; default the address.

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
        options: dict[str, str] | None = None,
        label: str | None = None,
    ) -> None:
        self._av = import_av()
        self.name = label or without_password(address)
        self.live = device is not None or "://" in address
        self.paced = not self.live and fps != 0
        self._address, self._size, self._fps, self._stall, self._device = address, size, fps, stall, device
        self._options = options or {}
        if address.startswith("rtsp"):
            self._options = {"rtsp_transport": "tcp", "fflags": "nobuffer", **self._options}

    def shots(self) -> Generator[Shot, None, None]:
        """Decoded frames in display order; damaged packets are passed over.

        Raises:
            SourceError: it cannot be opened, holds no video, gives nothing for ``stall`` seconds, or is truncated.
        """
        container = self._open()
        try:
            yield from self._decode(container)
        finally:
            container.close()

    def _open(self) -> Any:
        limits = (self._stall, self._stall) if self.live else None
        try:
            container = self._av.open(self._address, format=self._device, options=self._options, timeout=limits)
        except (self._av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.name}: cannot be opened ({self._why(error)}). {self._cure()}") from error
        if not container.streams.video:
            container.close()
            raise SourceError(f"{self.name}: holds no video. Give a video file or stream with a picture.")
        if self.live and self._device is None and container.duration:
            self.live, self.paced = False, self._fps != 0
        return container

    def _decode(self, container: Any) -> Iterator[Shot]:
        stream = container.streams.video[0]
        interval = 1 / float(stream.average_rate or FPS)
        count, broken, first, seconds = 0, 0, 0.0, 0.0
        for packet in self._packets(container, stream):
            began = time.perf_counter()
            try:
                frames = packet.decode()
            except self._av.error.FFmpegError as error:
                broken += 1
                if broken > _BROKEN_IN_A_ROW:
                    raise SourceError(f"{self.name}: cannot be decoded ({self._why(error)}). {self._cure()}") from error
                continue
            for frame in frames:
                image = self._picture(frame)
                first = (frame.time or 0.0) if count == 0 else first
                seconds = count * interval if frame.time is None else frame.time - first
                yield Shot(image, count / self._fps if self._fps else seconds, time.perf_counter() - began)
                began = time.perf_counter()
                count, broken = count + 1, 0
        if not self.live:
            self._check_length(container, stream, count, seconds + interval)

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from container.demux(stream)
        except (self._av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.name}: {self._why(error)}. {self._cure()}") from error

    def _picture(self, frame: Any) -> np.ndarray:
        """RGB, of the wished size, upright: phones store portrait videos lying, with a note."""
        turns = round(getattr(frame, "rotation", 0) / 90) % 4  # an older PyAV does not tell
        height, width = self._size or (frame.height, frame.width)
        if self._size is not None and turns % 2:
            height, width = width, height
        image = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _check_length(self, container: Any, stream: Any, count: int, seconds: float) -> None:
        """A file that ends before the length in its header is truncated; not every format has such a length."""
        if count == 0:
            raise SourceError(f"{self.name}: holds no frame that can be decoded. {self._cure()}")
        promised = float(stream.duration * stream.time_base) if stream.duration else 0.0
        if not promised and len(container.streams) == 1:
            promised = (container.duration or 0) / self._av.time_base
        if count < 0.98 * stream.frames - 2 or seconds < 0.98 * promised - 0.5:
            of = f"{stream.frames} frames" if stream.frames else f"about {promised:.0f} s"
            raise SourceError(
                f"{self.name}: ended after {count} frames ({seconds:.1f} s) of {of}: the file is truncated. "
                "Copy or record it again; what was there has been processed."
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


def _camera(text: str, size: tuple[int, int] | None, fps: float | None, stall: float) -> VideoSource:
    system = "linux" if sys.platform.startswith("linux") else sys.platform
    if system not in _DEVICE_FORMATS:
        raise ValueError(f"{text}: cameras are read on Linux, macOS and Windows, not on {system}; give an address")
    if system == "linux" and text.isdigit():
        address = f"/dev/video{text}"
    elif system == "win32" and text.isdigit():
        raise ValueError(
            f"camera {text}: Windows knows cameras by name; give 'video=NAME', as its device list shows it"
        )
    else:
        address = text
    options = {"framerate": f"{fps:g}"} if fps else {}
    label = f"camera {text}" if text.isdigit() else text
    return VideoSource(address, size, None, stall, _DEVICE_FORMATS[system], options, label)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key: digits by value, the rest by letter."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name.lower())]


_LATE = 0.1  # seconds by which a paced source may lag and catch up; beyond, its clock is set anew
_EARLY = 10.0  # a longer gap between two time stamps is a jump of the clock, not a pause to wait for
_LONGEST_PAUSE = 8.0  # seconds between two tries to reconnect
_GRACE = 1.0  # seconds after `stall` in which a source may say itself that nothing comes


@dataclass(frozen=True)
class Captured:
    """A frame as the loop gets it.

    Args:
        image: (H, W, 3) uint8 RGB.
        number: position in the source from 0, dropped frames counted too.
        time: seconds by the source's clock; for live sources since the first frame.
        work: seconds it took to decode or render.
        ready: ``time.perf_counter()`` when it was there.
    """

    image: np.ndarray
    number: int
    time: float
    work: float
    ready: float


class Capture:
    """Reads a source in a thread of its own; a context manager.

    Args:
        source: see `edgeseg.live.frames`.
        every_frame: wait for the loop instead of dropping, and do not pace.
        stall: seconds without a frame after which the source counts as stalled.
        tries: how often a live source that worked once is opened again, until it works for ``stall`` seconds.
        say: gets a line for every lost connection.

    Attributes:
        dropped: frames that a newer one replaced before anybody took them.
    """

    def __init__(
        self,
        source: Source,
        every_frame: bool = False,
        stall: float = 5.0,
        tries: int = 5,
        say: Callable[[str], None] | None = None,
    ) -> None:
        if not stall > 0 or tries < 0:
            raise ValueError(f"stall = {stall}, tries = {tries}: stall must be above 0 and tries at least 0")
        self.source, self.dropped = source, 0
        self._every_frame, self._stall, self._tries = every_frame, stall, tries
        self._say = say or (lambda line: print(line, file=sys.stderr))
        self._condition = threading.Condition()
        self._slot: Captured | None = None
        self._error: Exception | None = None
        self._done = self._hangs = False
        self._count, self._began, self._flowed = 0, 0.0, 0.0
        self._zero: float | None = None  # when a paced source's clock showed 0
        self._deadline = time.monotonic() + 2 * stall + _GRACE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeseg-capture", daemon=True)
        self._thread.start()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether the source has ended and its last frame is taken."""
        return self._done and self._slot is None and self._error is None

    def take(self, timeout: float = 0.2) -> Captured | None:
        """The newest frame that nobody has taken yet; ``None`` when there is none within ``timeout`` seconds.

        Raises:
            SourceError: the source failed or stalls, and tries to reconnect are used up.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._slot is not None or self._done, timeout)
            taken, self._slot = self._slot, None
            self._condition.notify_all()
        if taken is None and self._error is not None:
            raise self._error
        if taken is None and not self._done and time.monotonic() > self._deadline:
            self._hangs = True
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
        self._thread.join(0.1 if self._hangs else self._stall + _GRACE)

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
        failures = 0
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
                failures = 1 if self._flowed > self._stall else failures + 1
                if failures > self._tries:
                    tries = "try" if self._tries == 1 else "tries"
                    raise SourceError(f"{error} Given up after {self._tries} {tries} to reconnect.") from error
                pause = min(0.5 * 2**failures, _LONGEST_PAUSE)
                self._say(f"{error} Opening it again in {pause:g} s (try {failures} of {self._tries}).")
                self._deadline = time.monotonic() + pause + 2 * self._stall + _GRACE
                self._stop.wait(pause)

    def _read_once(self) -> None:
        self._flowed, first = 0.0, None
        self._deadline = time.monotonic() + 2 * self._stall + _GRACE  # to open it, and then for the first frame
        with closing(self.source.shots()) as shots:
            for shot in shots:
                if self._every_frame and self.source.live:
                    raise ValueError(f"{self.source.name}: is live and cannot wait; every frame is for files only")
                if self.source.paced and not self._every_frame:
                    self._wait_until_due(shot.time)
                self._put(shot)
                if self._stop.is_set():
                    return
                self._deadline = time.monotonic() + self._stall + _GRACE
                first = first or time.monotonic()
                self._flowed = time.monotonic() - first

    def _wait_until_due(self, seconds: float) -> None:
        ahead = 0.0 if self._zero is None else self._zero + seconds - time.perf_counter()
        if self._zero is None or not -_LATE < ahead < _EARLY:
            self._zero = time.perf_counter() - seconds
        elif ahead > 0:
            self._deadline = time.monotonic() + ahead + self._stall + _GRACE
            self._stop.wait(ahead)

    def _put(self, shot: Shot) -> None:
        ready = time.perf_counter()
        if self._count == 0:
            self._began = ready
        seconds = ready - self._began if self.source.live else shot.time
        with self._condition:
            if self._every_frame:
                self._condition.wait_for(lambda: self._slot is None or self._stop.is_set())
            elif self._slot is not None:
                self.dropped += 1
            self._slot = Captured(shot.image, self._count, seconds, shot.work, ready)
            self._count += 1
            self._condition.notify_all()
