"""Lesson 16: a machine whose times are known, the properties of an honest timer, and pictures of times.

All times are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import nn

from edgeseg.course.answers import Readings
from edgeseg.files import parse_json
from edgeseg.plots import BLUE, DARK_GREY, GREEN, GREY, ORANGE, SKY, VERMILION

Act = Callable[[], object]
Clock = Callable[[], float]
Stopwatch = Callable[[Act, Act, Clock], float]


# A machine to be fooled by --------------------------------------------------------------------------------------------


class Machine:
    """A make-believe machine: it computes nothing, and every millisecond of it is known.

    Args:
        work: milliseconds that each piece of work really takes, by name.
        launch: milliseconds that a program needs to hand one over.
        queue: work is handed over and done later, one piece after the other, as on a GPU; else `run` returns when it is
            done, as on a CPU.
        cold: factors of the first runs of all: with (5, 3) the first takes five times as long.
        hiccups: extra milliseconds by number of the run, counted from 0.
        busy: (from, to, factor): while another program runs, work takes so many times as long.

    Attributes:
        ran: names of all that was run, in order.
        readings: of the clock.
        events: (what, from, to), what is ``"launch"``, ``"work"`` or ``"wait"``.
    """

    def __init__(
        self,
        work: Mapping[str, float],
        *,
        launch: float = 0.0,
        queue: bool = False,
        cold: Sequence[float] = (),
        hiccups: Mapping[int, float] | None = None,
        busy: Iterable[tuple[float, float, float]] = (),
    ) -> None:
        self._work, self._launch, self._queue = work, launch, queue
        self._cold, self._hiccups, self._busy = cold, hiccups or {}, list(busy)
        self._now = self._free = 0.0  # of the program; when the queue will be empty
        self.ran: list[str] = []
        self.readings: list[float] = []
        self.events: list[tuple[str, float, float]] = []

    def clock(self) -> float:
        """Milliseconds since the machine was switched on."""
        self.readings.append(self._now)
        return self._now

    def run(self, name: str = "net") -> None:
        """Hand over one piece of work; without a queue also do it."""
        self._spend("launch", self._now + self._launch)
        begin, number = max(self._now, self._free), len(self.ran)
        factor = self._cold[number] if number < len(self._cold) else 1.0
        for start, end, slower in self._busy:
            factor *= slower if start <= begin < end else 1.0
        self._free = begin + self._work[name] * factor + self._hiccups.get(number, 0.0)
        self.events.append(("work", begin, self._free))
        self.ran.append(name)
        if not self._queue:
            self._now = self._free

    def wait(self) -> None:
        """Return when all work is done."""
        self._spend("wait", max(self._now, self._free))

    def _spend(self, what: str, until: float) -> None:
        if until > self._now:
            self.events.append((what, self._now, until))
        self._now = until


# What the exercises are compared with ---------------------------------------------------------------------------------


def stopwatch(run: Act, wait: Act, clock: Clock) -> float:
    """Time of one run in the clock's unit: nothing waits when it starts, nothing is left when it ends."""
    wait()
    started = clock()
    run()
    wait()
    return clock() - started


def measure(
    model: nn.Module, run: Act, wait: Act, clock: Clock, warm_up: int = 3, calls: int = 20
) -> list[float]:  # as long as the exercise's
    """Time of every call after some that do not count, the model in evaluation mode; its mode is put back.

    Times are in the clock's unit.
    """
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for _ in range(warm_up):
                run()
            return [stopwatch(run, wait, clock) for _ in range(calls)]
    finally:
        model.train(mode)


def take_turns(runs: Mapping[str, Act], wait: Act, clock: Clock, rounds: int) -> dict[str, list[float]]:
    """Times by name in the clock's unit, one a round: every variant once, each round beginning with the next one."""
    names = list(runs)
    found: dict[str, list[float]] = {name: [] for name in names}
    for r in range(rounds):
        first = r % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(stopwatch(runs[name], wait, clock))
    return found


def speed_up(reference: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """(p10, median, p90) of how many times as fast the other is, formed round by round."""
    ratios = np.asarray(reference, float) / np.asarray(other, float)
    low, median, high = np.percentile(ratios, (10, 50, 90))
    return float(low), float(median), float(high)


def least_time(macs: float, moved: float, gflops: float, gigabytes: float) -> tuple[float, str]:
    """Milliseconds that so many multiply-adds and bytes take at a machine's peaks, and which of the two decides."""
    arithmetic, memory = 1e3 * 2 * macs / (gflops * 1e9), 1e3 * moved / (gigabytes * 1e9)
    return max(arithmetic, memory), "arithmetic" if arithmetic > memory else "memory"


# The judgement --------------------------------------------------------------------------------------------------------

READINGS = Readings(
    right="d",
    because={
        "a": (
            "The two medians were met by different luck. Form speed_up(onnx, openvino) from the rounds: its 80 % reach "
            "from below 1 to well above. This log cannot say which of the two is faster."
        ),
        "b": "Look at its 80 %: the lower end lies below 1. In more than one round of ten eager was the faster one.",
        "c": (
            "Look at what the two logs say of their processors: the other has AVX-512, this one has not. Two machines "
            "differ, not two versions of PyTorch; both logs have the same one."
        ),
    },
)


def log_rounds(log: Path, size: tuple[int, int], measure: str = "net") -> dict[str, np.ndarray]:
    """A benchmark log's median of every round of Cross-CBAM-M, by runtime, precision and options.

    Args:
        log: written by ``edgeseg bench --json``.
        size: (H, W) of the run.
        measure: ``"net"`` or ``"e2e"``.

    Returns:
        By name, e.g. ``"openvino int8"``: (rounds,) milliseconds.
    """
    run, network = _run_of(log, size), "cross_cbam_m.streets"
    return {
        v["name"].removeprefix(f"{network} "): np.array([np.median(block["ms"]) for block in v[measure]["rounds"]])
        for v in run["variants"]
        if v["network"] == network
    }


def log_machine(log: Path, size: tuple[int, int]) -> str:
    """Processor, its instructions and PyTorch's version in a benchmark log."""
    about = _run_of(log, size)["environment"]
    cpu = about["cpu"]
    return f"{cpu['model']} ({', '.join(cpu['flags'])}), {cpu['threads']} threads, torch {about['versions']['torch']}"


def _run_of(log: Path, size: tuple[int, int]) -> dict[str, Any]:
    runs = parse_json(log.read_text(encoding="utf-8"))["runs"]
    return next(run for run in runs if tuple(run["size"]) == size)


# Pictures -------------------------------------------------------------------------------------------------------------


def timeline(machine: Machine, title: str = "") -> Figure:
    """What a make-believe machine did: the program above, the device below, and where the clock was read."""
    figure = Figure((9.0, 2.1), layout="constrained", dpi=90)
    axis = figure.subplots()
    rows = {"launch": (1, BLUE), "wait": (1, GREY), "work": (0, ORANGE)}
    for what, start, end in machine.events:
        y, color = rows[what]
        axis.barh(y, end - start, 0.5, left=start, color=color, edgecolor="white", zorder=2)
    for number, at in enumerate(machine.readings):
        axis.axvline(at, color=VERMILION, lw=1.4, ls="--", zorder=3)
        side, away = ("right", -3) if number % 2 == 0 else ("left", 3)
        axis.annotate(f"clock {at:g}", (at, 1.62), (away, 0), textcoords="offset points", ha=side, fontsize=8.5)
    axis.set_yticks([0, 1], ["the device", "your program"], fontsize=9)
    last = max(end for _, _, end in machine.events)
    axis.set(ylim=(-0.4, 1.9), xlim=(-0.12 * last, 1.1 * last))
    axis.set_xlabel("ms · blue: launching, grey: waiting, orange: working", fontsize=9)
    axis.set_title(title, fontsize=9.5, loc="left")
    return figure


def first_calls(times: Sequence[float]) -> Figure:
    """Times of the first calls of a fresh process, as bars; the line is the median of the second half."""
    figure = Figure((6.4, 2.5), layout="constrained", dpi=90)
    axis = figure.subplots()
    usual = float(np.median(times[len(times) // 2 :]))
    axis.bar(range(1, len(times) + 1), times, color=[VERMILION, *[BLUE] * (len(times) - 1)], width=0.75)
    axis.axhline(usual, color="black", lw=1, ls="--")
    axis.set_xticks(range(1, len(times) + 1))
    axis.set_xlabel("call since the kernel was started (dashed: median of the second half)", fontsize=9)
    axis.set_ylabel("ms", fontsize=9)
    return figure


def neighbour(begin: float = 600.0, end: float = 1200.0, factor: float = 1.5) -> Figure:
    """Two variants on a make-believe machine with a neighbour, timed one after the other and in turns.

    Args:
        begin, end: when the other program runs.
        factor: how much longer everything takes then.
    """
    figure = Figure((9.4, 2.7), layout="constrained", dpi=90)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (name, order) in zip(axes, _ORDERS.items(), strict=True):
        machine = Machine({"old": 20.0, "new": 16.0}, busy=[(begin, end, factor)])
        for piece in order:
            machine.run(piece)
        spans = [(start, stop) for what, start, stop in machine.events if what == "work"]
        found = {}
        for piece, color in (("old", GREY), ("new", BLUE)):
            mine = [s for s, ran in zip(spans, machine.ran, strict=True) if ran == piece]
            found[piece] = np.array([stop - start for start, stop in mine])
            axis.plot([start for start, _ in mine], found[piece], "o", ms=4, color=color, label=piece)
        axis.axvspan(begin, end, color=ORANGE, alpha=0.2, lw=0)
        ratio = np.median(found["old"] / found["new"])
        axis.set_title(f"{name}: median ratio {ratio:.2f} (true: 1.25)", fontsize=9.5)
        axis.set_xlabel("ms on the machine's clock; orange: the neighbour works", fontsize=9)
    axes[0].set_ylabel("ms of a run", fontsize=9)
    axes[0].legend(fontsize=8.5, frameon=False, loc="upper left")
    return figure


_ORDERS = {"one after the other": ["old"] * 30 + ["new"] * 30, "in turns": ["old", "new"] * 30}


def rounds(times: Mapping[str, Sequence[float]], reference: str) -> Figure:
    """Times of variants round by round, and beside them how many times as fast as the reference each was.

    Args:
        times: (rounds,) milliseconds by name.
        reference: one of the names.
    """
    figure = Figure((9.6, 0.55 * len(times) + 1.9), layout="constrained", dpi=90)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    colors = dict(zip(times, (GREY, BLUE, GREEN, ORANGE, SKY, DARK_GREY), strict=False))
    for name, found in times.items():
        left.plot(found, "-", color=colors[name], lw=1.2, label=name)
    left.set_ylim(bottom=0)
    left.set_xlabel("round", fontsize=9)
    left.set_ylabel("ms", fontsize=9)
    left.legend(fontsize=8, frameon=False, loc="lower right")
    _ratios(right, times, reference, colors)
    return figure


def _ratios(axis: Axes, times: Mapping[str, Sequence[float]], reference: str, colors: Mapping[str, str]) -> None:
    """A dot a round, a bar over 80 % of them, a tick at the median."""
    for y, (name, found) in enumerate(times.items()):
        ratios = np.asarray(times[reference]) / np.asarray(found)
        low, median, high = speed_up(times[reference], found)
        axis.plot(ratios, np.full(len(ratios), y), "o", ms=4, alpha=0.35, color=colors[name], mew=0)
        axis.plot([low, high], [y + 0.24] * 2, color="black", lw=1.4)
        axis.plot(median, y + 0.24, "|", color="black", ms=9, mew=2)
        axis.text(high, y + 0.3, f"  {median:.2f} ({low:.2f}–{high:.2f})", fontsize=8, va="center")
    axis.axvline(1, color=GREY, lw=0.8, ls=":")
    axis.set_yticks(range(len(times)), list(times), fontsize=8.5)
    axis.set_ylim(len(times) - 0.4, -0.5)
    axis.margins(x=0.25)
    axis.set_xlabel(f"times as fast as {reference}, round by round (bar: 80 %)", fontsize=8.5)


def four_times(said: Mapping[str, float], honest: Sequence[float], name: str) -> Figure:
    """Wrong times as bars, and below them the honest one with 80 % of its calls as a whisker.

    Args:
        said: wrong milliseconds by name.
        honest: milliseconds of all calls of the protocol.
        name: of that.
    """
    figure = Figure((8.6, 2.3), layout="constrained", dpi=90)
    axis = figure.subplots()
    low, median, high = (float(v) for v in np.percentile(honest, (10, 50, 90)))
    names, values = [*said, name], [*said.values(), median]
    axis.barh(range(len(names)), values, 0.62, color=[VERMILION] * len(said) + [GREEN])
    axis.errorbar(median, len(said), xerr=[[median - low], [high - median]], color="black", capsize=3, lw=1.2)
    for y, value in enumerate(values):
        share = "" if y == len(said) else f", ×{value / median:.2f}"
        axis.text(max(value, high if y == len(said) else 0), y, f"  {value:.1f} ms{share}", va="center", fontsize=9)
    axis.axvline(median, color=GREEN, lw=1, ls="--", zorder=0)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.25 * max(values))
    axis.set_xlabel("ms for one street", fontsize=9)
    return figure


def roofs(modules: Sequence[Any], gflops: float, gigabytes: float) -> Figure:
    """The roofline of a machine with a network's modules as dots; a dot's area is its time.

    Args:
        modules: of `edgeseg.bench.roofline.Roofline`.
        gflops: 1e9 operations a second at the best.
        gigabytes: 1e9 bytes a second at the best.
    """
    figure = Figure((7.6, 3.5), layout="constrained", dpi=90)
    axis = figure.subplots()
    busy = [m for m in modules if m.macs and m.ms]
    low, high = 0.5 * min(m.intensity for m in busy), 4 * max(m.intensity for m in busy)
    knee = gflops / gigabytes
    axis.plot([low, knee, high], [low * gigabytes, gflops, gflops], color="black", lw=1.8, zorder=1)
    longest = max(m.ms for m in busy)
    kinds = {"arithmetic": BLUE, "memory": ORANGE}
    for bound, color in kinds.items():
        some = [m for m in busy if m.bound == bound]
        sizes = [8 + 220 * m.ms / longest for m in some]
        places = [m.intensity for m in some], [m.gflops for m in some]
        axis.scatter(*places, s=sizes, color=color, alpha=0.6, lw=0, zorder=2)
    axis.set(xscale="log", yscale="log", xlim=(low, high))
    axis.set_xlabel("operations a byte", fontsize=9)
    axis.set_ylabel("1e9 operations a second", fontsize=9)
    handles = [Patch(color=color, alpha=0.6, label=f"waits for {bound}") for bound, color in kinds.items()]
    axis.legend(handles=handles, fontsize=8.5, frameon=False, loc="lower right", title="area: time", title_fontsize=8)
    axis.grid(alpha=0.25)
    return figure
