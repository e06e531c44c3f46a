"""`watch`: from a source of frames to class maps, live.

The times of one frame add up to its latency::

    capture   decode or render, in the capture thread; waiting for the data is not in it
    wait      in the one place for a frame, until the loop is free
    segment   image → class map; of a `Segmenter` also its parts preprocess, net and post. A compiled artefact with
              labels inside is one graph, and has no parts
    draw      overlay and legend; 0 when nobody looks

What a camera, its cable or a sender on the network hold back before a frame arrives here is not in these figures.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from edgeseg.data.labels import ClassTable
from edgeseg.inference import Segmenter
from edgeseg.live.display import Page, Painter, Recorder
from edgeseg.live.frames import Capture, Frame, SourceError
from edgeseg.machine import peak_memory, resident_memory
from edgeseg.text import table as text_table

Segment = Callable[[np.ndarray], np.ndarray]
"""(H, W, 3) uint8 RGB → (H, W) uint8 class ids: an `edgeseg.deploy.Artefact`, or any function."""

_PERCENTILES = {"median": 50, "p90": 90, "p99": 99, "max": 100}
_WARM_UP = 2
_KEPT = 20_000  # frames that the percentiles look back on: memory stays flat however long it runs


@dataclass(frozen=True)
class Summary:
    """What `watch` did.

    Args:
        source: its name.
        frames: segmented frames.
        dropped: frames that came while another was segmented; those of the warm-up too.
        missing: frames that the source should have given and could not, see `edgeseg.live.frames.Source`.
        seconds: from the end of the warm-up.
        fps: segmented frames per second.
        stages: milliseconds: stage → median, p90, p99 and max of the last 20 000 frames.
        peak_rss_mb: largest memory of the process so far, where the system tells it.
        ended: why, as a sentence.
        ok: whether it ended as it should, not by a lost source.
    """

    source: str
    frames: int
    dropped: int
    missing: int
    seconds: float
    fps: float
    stages: dict[str, dict[str, float]]
    peak_rss_mb: float | None
    ended: str
    ok: bool

    def table(self) -> str:
        """For the terminal."""
        memory = "" if self.peak_rss_mb is None else f", peak memory {self.peak_rss_mb:.0f} MB"
        rows = []
        for name, row in self.stages.items():
            part = "  " if name in ("preprocess", "net", "post") else ""
            rows.append((part + name, *(f"{row[key]:.1f}" for key in _PERCENTILES)))
        return (
            f"{self.source}: {self.frames} frames in {self.seconds:.1f} s = {self.fps:.1f} FPS, "
            f"{_unseen(self.dropped, self.missing)}{memory}; {self.ended}\n"
        ) + text_table(("ms", *_PERCENTILES), rows)


def watch(
    capture: Capture,
    segment: Segmenter | Segment,
    table: ClassTable | None = None,
    *,
    page: Page | None = None,
    recorder: Recorder | None = None,
    lines: Callable[[dict[str, Any]], None] | None = None,
    seconds: float | None = None,
    frames: int | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Segment what a source gives until it ends.

    ``with closing(Capture(open_source("0"))) as capture: watch(capture, segmenter, page=Page())``

    Args:
        capture: of the source; whoever made it closes it.
        segment: a `Segmenter`, an `Artefact`, or any function from an image to its class map.
        table: the classes; default: those of ``segment``.
        page: shows the pictures while somebody looks.
        recorder: gets every picture.
        lines: gets one dict per frame: ``frame``, ``time_s``, ``capture_ms``, ``wait_ms``, ``segment_ms``, ``draw_ms``,
            ``latency_ms`` (their sum), ``preprocess_ms``, ``net_ms`` and ``post_ms`` of a `Segmenter`, ``record_ms``
            with a recorder, ``dropped`` and ``missing`` so far, ``rss_mb`` where psutil is installed, ``classes``:
            name → share of the picture.
        seconds, frames: when to stop.
        stop: set it from anywhere to stop.

    Returns:
        The summary. A source lost on the way is in it: ``ok`` is false, and ``ended`` says what to do.

    Raises:
        SourceError: not even one frame came. ValueError: no classes, or a class map that does not fit its image.
    """
    table = table or getattr(segment, "table", None)
    if table is None:
        raise ValueError("the names and colours of the classes are not known; give table=ClassTable(…)")
    stop = stop or threading.Event()
    log = _Log(capture)
    output = _Output(table, page, recorder, lines, log)
    try:
        with timed(segment) as run:
            while not stop.is_set() and not capture.ended and not log.complete(frames, seconds):
                frame = capture.take()
                if frame is None:
                    continue
                if not log.frames:
                    for _ in range(_WARM_UP):
                        run(frame.image)
                    output.prepare(frame.image)
                    log.start()
                    frame = replace(frame, ready=log.began)
                label, stages = run(frame.image)
                log.add(output.write(frame, label, stages))
    except SourceError as error:
        if not log.frames:
            raise
        return log.summary(str(error), ok=False)
    return log.summary("the source ended" if capture.ended else "stopped as asked", ok=True)


@contextmanager
def timed(segment: Segmenter | Segment) -> Iterator[Callable[[np.ndarray], tuple[np.ndarray, dict[str, float]]]]:
    """``segment`` with a stopwatch.

    Yields:
        A function from an image to its class map and the seconds of ``"segment"``; for a `Segmenter` also of
        ``"preprocess"``, ``"net"`` and ``"post"``, which are the time before, in and after its model. Other threads
        may use the same `Segmenter` meanwhile.
    """
    run = segment.predict if isinstance(segment, Segmenter) else segment
    own = threading.local()  # a hook hears every thread that runs the model

    def note_time(*_: Any) -> None:
        if segment.mean.device.type != "cpu":  # type: ignore[union-attr]
            torch.accelerator.synchronize()
        if hasattr(own, "times"):
            own.times.append(time.perf_counter())

    def measure(image: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        own.times = [time.perf_counter()]
        label = run(image)
        own.times.append(time.perf_counter())
        parts = np.diff(own.times).tolist() if len(own.times) == 4 else ()
        stages = dict(zip(("preprocess", "net", "post"), parts, strict=False))
        return label, {**stages, "segment": own.times[-1] - own.times[0]}

    hooks: list[Any] = []
    if isinstance(segment, Segmenter):
        hooks = [segment.model.register_forward_pre_hook(note_time), segment.model.register_forward_hook(note_time)]
    try:
        yield measure
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and a service manager's polite end set: the frame at hand and the recording get finished."""
    stop = threading.Event()
    old = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class _Log:
    """Times of the last frames, and how fast they come."""

    def __init__(self, capture: Capture) -> None:
        self.frames, self.began = 0, 0.0
        self._capture, self._last = capture, 0.0
        self._milliseconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._recent: deque[tuple[float, float]] = deque(maxlen=10)  # when each was done, and its latency

    def start(self) -> None:
        """The warm-up is over."""
        self.began = self._last = time.perf_counter()

    def complete(self, frames: int | None, seconds: float | None) -> bool:
        """Whether this was all that was asked for."""
        enough = frames is not None and self.frames >= frames
        return self.frames > 0 and (enough or (seconds is not None and time.perf_counter() - self.began >= seconds))

    def add(self, stages: dict[str, float]) -> None:
        """Seconds by stage of one frame."""
        for name, value in stages.items():
            self._milliseconds[name].append(1000 * value)
        self.frames += 1
        self._last = time.perf_counter()
        self._recent.append((self._last, stages["latency"]))

    def lost(self) -> dict[str, int]:
        """Frames that were not segmented so far, by reason."""
        return {"dropped": self._capture.dropped, "missing": self._capture.source.missing}

    def figures(self) -> str:
        """The last ten frames in words."""
        times, latencies = zip(*self._recent, strict=True) if self._recent else ((), (0.0,))
        fps = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
        return f"{fps:.1f} FPS · latency {1000 * np.mean(latencies):.0f} ms · {_unseen(**self.lost())}"

    def summary(self, ended: str, ok: bool) -> Summary:
        stages = {}
        for name, values in self._milliseconds.items():
            found = np.percentile(values, list(_PERCENTILES.values())).round(3).tolist()
            stages[name] = dict(zip(_PERCENTILES, found, strict=True))
        seconds = self._last - self.began
        return Summary(
            source=self._capture.source.name,
            frames=self.frames,
            **self.lost(),
            seconds=round(seconds, 2),
            fps=round(self.frames / seconds, 2) if seconds else 0.0,
            stages=stages,
            peak_rss_mb=peak_memory(),
            ended=ended,
            ok=ok,
        )


@dataclass
class _Output:
    """Where the results of a frame go, and the end of the count of its latency."""

    table: ClassTable
    page: Page | None
    recorder: Recorder | None
    lines: Callable[[dict[str, Any]], None] | None
    log: _Log
    painter: Painter | None = None

    def prepare(self, image: np.ndarray) -> None:
        """Lay out the legend before the clock runs, where there may be something to draw."""
        if self.page or self.recorder:
            self.painter = Painter(self.table, image.shape[:2])

    def write(self, frame: Frame, label: np.ndarray, segmented: dict[str, float]) -> dict[str, float]:
        """Show, film and tell one frame; from the seconds of its segmentation, which has just ended, to all stages."""
        done = time.perf_counter()
        shares = _shares(label, frame.image)
        waited = done - frame.ready - segmented["segment"]
        stages = {"capture": frame.work, "wait": waited, **segmented, "draw": 0.0}
        page = self.page if self.page and self.page.watched else None
        if page or self.recorder:
            if self.painter is None or self.painter.size != label.shape:
                self.painter = Painter(self.table, label.shape)
            picture = self.painter.paint(frame.image, label, shares, self.log.figures())
            if page:
                page.show(picture)
            stages["draw"] = time.perf_counter() - done
        stages["latency"] = sum(stages[name] for name in ("capture", "wait", "segment", "draw"))
        if self.recorder:
            began = time.perf_counter()
            self.recorder.write(picture, frame.time)
            stages["record"] = time.perf_counter() - began
        if self.lines:
            self.lines(self._line(frame, stages, shares))
        return stages

    def _line(self, frame: Frame, stages: dict[str, float], shares: dict[int, float]) -> dict[str, Any]:
        names, rss = self.table.names, resident_memory()
        return {
            "frame": frame.number,
            "time_s": round(frame.time, 3),
            **{f"{name}_ms": round(1000 * seconds, 3) for name, seconds in stages.items()},
            **self.log.lost(),
            **({} if rss is None else {"rss_mb": rss}),
            "classes": {names[i]: round(share, 4) for i, share in shares.items() if i < len(names)},
        }


def _shares(label: np.ndarray, image: np.ndarray) -> dict[int, float]:
    """Class id → share of the picture, of those in it; void is 255."""
    if not isinstance(label, np.ndarray) or label.shape != image.shape[:2] or label.dtype != np.uint8:
        got = f"{label.dtype} {label.shape}" if isinstance(label, np.ndarray) else type(label).__name__
        raise ValueError(f"the class map is {got} for an image of {image.shape[:2]}; segment must give (H, W) uint8")
    counts = np.bincount(label.ravel(), minlength=256)
    return {int(i): float(counts[i] / label.size) for i in np.flatnonzero(counts)}


def _unseen(dropped: int, missing: int) -> str:
    return f"{dropped} dropped" + (f", {missing} missing in the source" if missing else "")
