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

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from edgeseg.data.labels import ClassTable
from edgeseg.inference import Segmenter
from edgeseg.live.display import Painter, Recorder, Screen
from edgeseg.live.frames import Capture, Captured, Source, SourceError
from edgeseg.machine import peak_memory, resident_memory

Segment = Callable[[np.ndarray], np.ndarray]
"""(H, W, 3) uint8 RGB → (H, W) uint8 class ids: an `edgeseg.deploy.Artefact`, or any function."""

STAGES = ("capture", "wait", "preprocess", "net", "post", "segment", "draw", "latency", "record")
_WARM_UP = 2
_KEPT = 20_000  # frames that the percentiles look back on: memory stays flat however long it runs


@dataclass(frozen=True)
class Summary:
    """What `watch` did.

    Args:
        source: its name.
        frames: segmented frames.
        dropped: frames that came while another was segmented; those of the warm-up too.
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
    seconds: float
    fps: float
    stages: dict[str, dict[str, float]]
    peak_rss_mb: float | None
    ended: str
    ok: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    def table(self) -> str:
        """For the terminal."""
        memory = "" if self.peak_rss_mb is None else f", peak memory {self.peak_rss_mb:.0f} MB"
        lines = [
            f"{self.source}: {self.frames} frames in {self.seconds:.1f} s = {self.fps:.1f} FPS, "
            f"{self.dropped} dropped{memory}; {self.ended}",
            f"{'ms':<12}{'median':>9}{'p90':>9}{'p99':>9}{'max':>9}",
        ]
        for name, row in self.stages.items():
            part = "  " if name in ("preprocess", "net", "post") else ""
            lines.append(f"{part + name:<12}" + "".join(f"{row[key]:9.1f}" for key in ("median", "p90", "p99", "max")))
        return "\n".join(lines)


def watch(
    source: Source,
    segment: Segmenter | Segment,
    table: ClassTable | None = None,
    *,
    screens: Sequence[Screen] = (),
    recorder: Recorder | None = None,
    lines: Callable[[dict[str, Any]], None] | None = None,
    every_frame: bool = False,
    seconds: float | None = None,
    frames: int | None = None,
    stall: float = 5.0,
    tries: int = 5,
    stop: threading.Event | None = None,
    say: Callable[[str], None] | None = None,
) -> Summary:
    """Segment a source until it ends.

    Args:
        source: see `edgeseg.live.frames.open_source`.
        segment: a `Segmenter`, an `Artefact`, or any function from an image to its class map.
        table: the classes; default: those of ``segment``.
        screens: get every picture while somebody looks; see `edgeseg.live.display`.
        recorder: gets every picture.
        lines: gets one dict per frame: ``frame``, ``time_s``, ``capture_ms``, ``wait_ms``, ``segment_ms``, ``draw_ms``,
            ``latency_ms`` (their sum), ``preprocess_ms``, ``net_ms`` and ``post_ms`` of a `Segmenter`, ``record_ms``
            with a recorder, ``dropped`` so far, ``rss_mb`` with psutil, ``classes``: name → share of the picture.
        every_frame: process a file whole, however long it takes, instead of dropping what comes too fast.
        seconds, frames: when to stop.
        stall: seconds without a frame after which a source counts as stalled.
        tries: how often a live source is opened again.
        stop: set it from anywhere to stop.
        say: gets a line for every lost connection; default: standard error.

    Returns:
        The summary. A source lost on the way is in it: ``ok`` is false, and ``ended`` says what to do.

    Raises:
        SourceError: not even one frame came. ValueError: no classes, or a class map that does not fit its image.
    """
    table = table or getattr(segment, "table", None)
    if table is None:
        raise ValueError("the names and colours of the classes are not known; give table=ClassTable(…)")
    stop = stop or threading.Event()
    log = _Log(source.name)
    ended, ok = "the source ended", True
    with timed(segment) as timed_segment, Capture(source, every_frame, stall, tries, say) as capture:
        show = _Show(table, screens, recorder, log)

        def warm_up(image: np.ndarray) -> None:
            for _ in range(_WARM_UP):
                timed_segment(image)
            show.prepare(image)

        try:
            for captured in _taken(capture, warm_up, log, stop, seconds, frames):
                label, stages = timed_segment(captured.image)
                done = time.perf_counter()
                _check(label, captured.image)
                stages["capture"] = captured.work
                stages["wait"] = done - captured.ready - stages["segment"]
                shares = _shares(label)
                show(captured, label, shares, stages, capture.dropped, done)
                if lines is not None:
                    lines(_line(captured, stages, capture.dropped, shares, table))
                log.add(stages)
        except SourceError as error:
            if not log.frames:
                raise
            ended, ok = str(error), False
        if ok and not capture.ended:
            ended = "stopped as asked"
    return log.summary(capture.dropped, ended, ok)


@contextmanager
def timed(segment: Segmenter | Segment) -> Iterator[Callable[[np.ndarray], tuple[np.ndarray, dict[str, float]]]]:
    """``segment`` with a stopwatch.

    Yields:
        A function from an image to its class map and the seconds of ``"segment"``; for a `Segmenter` also of
        ``"preprocess"``, ``"net"`` and ``"post"``, which are the time before, in and after its model.
    """
    run = segment.predict if isinstance(segment, Segmenter) else segment
    marks: list[float] = []

    def mark(*_: Any) -> None:
        if segment.mean.device.type != "cpu":  # type: ignore[union-attr]
            torch.accelerator.synchronize()
        marks.append(time.perf_counter())

    def measure(image: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        marks.clear()
        began = time.perf_counter()
        label = run(image)
        ended = time.perf_counter()
        stages = {}
        if len(marks) == 2:
            stages = {"preprocess": marks[0] - began, "net": marks[1] - marks[0], "post": ended - marks[1]}
        return label, {**stages, "segment": ended - began}

    hooks: list[Any] = []
    if isinstance(segment, Segmenter):
        hooks = [segment.model.register_forward_pre_hook(mark), segment.model.register_forward_hook(mark)]
    try:
        yield measure
    finally:
        for hook in hooks:
            hook.remove()


class _Log:
    """Times of the last frames, and how fast they come."""

    def __init__(self, name: str) -> None:
        self.name, self.frames = name, 0
        self.began = time.perf_counter()
        self.smooth_fps = self.smooth_latency = 0.0
        self._rows = np.full((_KEPT, len(STAGES)), np.nan, np.float32)
        self._last = 0.0

    def start(self) -> None:
        """The warm-up is over."""
        self.began = self._last = time.perf_counter()

    def add(self, stages: dict[str, float]) -> None:
        """Seconds by stage of one frame."""
        self._rows[self.frames % _KEPT] = [1000 * stages.get(name, np.nan) for name in STAGES]
        self.frames += 1
        now = time.perf_counter()
        weight = max(0.1, 1 / self.frames)  # an average over about ten frames, of fewer at the start
        interval = (1 - weight) / self.smooth_fps + weight * (now - self._last) if self.smooth_fps else now - self._last
        self.smooth_fps = 1 / max(interval, 1e-6)
        self.smooth_latency += weight * (stages["latency"] - self.smooth_latency)
        self._last = now

    def summary(self, dropped: int, ended: str, ok: bool) -> Summary:
        seconds = self._last - self.began if self.frames else 0.0
        rows = self._rows[: self.frames]
        stages = {}
        for column, name in enumerate(STAGES):
            values = rows[:, column][~np.isnan(rows[:, column])]
            if len(values):
                marks = np.percentile(values, (50, 90, 99, 100))
                stages[name] = {
                    k: round(float(v), 3) for k, v in zip(("median", "p90", "p99", "max"), marks, strict=True)
                }
        fps = round(self.frames / seconds, 2) if seconds else 0.0
        return Summary(self.name, self.frames, dropped, round(seconds, 2), fps, stages, peak_memory(), ended, ok)


class _Show:
    """Paints where somebody looks or records, and closes the books on a frame's latency."""

    def __init__(self, table: ClassTable, screens: Sequence[Screen], recorder: Recorder | None, log: _Log) -> None:
        self._table, self._screens, self._recorder, self._log = table, screens, recorder, log
        self._painter: Painter | None = None

    def __call__(
        self,
        captured: Captured,
        label: np.ndarray,
        shares: dict[int, float],
        stages: dict[str, float],
        dropped: int,
        done: float,
    ) -> None:
        """Add draw, latency and record to the ``stages`` of a frame that was segmented at the time ``done``."""
        screens = [screen for screen in self._screens if screen.watched]
        picture = None
        if screens or self._recorder is not None:
            picture = self._paint(captured.image, label, shares, dropped)
            for screen in screens:
                screen.show(picture)
            stages["draw"] = time.perf_counter() - done
        else:
            stages["draw"] = 0.0
        stages["latency"] = sum(stages[name] for name in ("capture", "wait", "segment", "draw"))
        if self._recorder is not None and picture is not None:
            began = time.perf_counter()
            self._recorder.write(picture, captured.time)
            stages["record"] = time.perf_counter() - began

    def prepare(self, image: np.ndarray) -> None:
        """Load fonts and draw the legend before the clock runs, where there may be something to draw."""
        if self._screens or self._recorder is not None:
            self._painter = Painter(self._table, (image.shape[0], image.shape[1]))

    def _paint(self, image: np.ndarray, label: np.ndarray, shares: dict[int, float], dropped: int) -> np.ndarray:
        size = (image.shape[0], image.shape[1])
        if self._painter is None or self._painter.size != size:
            self._painter = Painter(self._table, size)
        log = self._log
        text = f"{log.smooth_fps:.1f} FPS · latency {1000 * log.smooth_latency:.0f} ms · {dropped} dropped"
        return self._painter.paint(image, label, shares, text)


def _taken(
    capture: Capture,
    warm_up: Callable[[np.ndarray], None],
    log: _Log,
    stop: threading.Event,
    seconds: float | None,
    frames: int | None,
) -> Iterator[Captured]:
    """Frames until one of the ends; before the first, the network is warmed up on it."""
    while not stop.is_set() and not capture.ended:
        if log.frames and frames is not None and log.frames >= frames:
            return
        if log.frames and seconds is not None and time.perf_counter() - log.began >= seconds:
            return
        captured = capture.take()
        if captured is None:
            continue
        if not log.frames:
            warm_up(captured.image)
            log.start()
            captured = replace(captured, ready=log.began)
        yield captured


def _check(label: np.ndarray, image: np.ndarray) -> None:
    if not isinstance(label, np.ndarray) or label.shape != image.shape[:2] or label.dtype != np.uint8:
        got = f"{label.dtype} {label.shape}" if isinstance(label, np.ndarray) else type(label).__name__
        raise ValueError(f"the class map is {got} for an image of {image.shape[:2]}; segment must give (H, W) uint8")


def _shares(label: np.ndarray) -> dict[int, float]:
    """Class id → share of the picture, of those in it; void is 255."""
    counts = np.bincount(label.ravel(), minlength=256)
    return {int(i): float(counts[i] / label.size) for i in np.flatnonzero(counts)}


def _line(
    captured: Captured, stages: dict[str, float], dropped: int, shares: dict[int, float], table: ClassTable
) -> dict[str, Any]:
    line: dict[str, Any] = {"frame": captured.number, "time_s": round(captured.time, 3)}
    line |= {f"{name}_ms": round(1000 * stages[name], 3) for name in STAGES if name in stages}
    line["dropped"] = dropped
    if (memory := resident_memory()) is not None:
        line["rss_mb"] = memory
    line["classes"] = {table.names[i]: round(share, 4) for i, share in shares.items() if i < len(table)}
    return line
