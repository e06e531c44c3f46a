"""`Capture`: a thread that reads a source and keeps its newest frame.

A camera does not wait for a network. Whoever queues its frames shows an ever older past; so there is one place for one
frame, a newer one replaces it, and what was replaced is counted. A frame then waits at most one frame time of the
source or one turn of the loop, whichever is shorter.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from edgeseg.deploy.sources import Shot, Source, SourceError

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
        source: see `edgeseg.deploy.sources`.
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
