"""Where the time goes, and how far it is from what the machine could do.

Three things: the machine's peaks, measured; the time of each module of a network, measured; and the time that the
module's arithmetic and memory traffic would take at those peaks. The larger of the two is the roofline's prediction
(Williams et al., CACM 2009); measured over predicted is the gap.

Bytes are those of operations that are not fused (`edgeseg.models.counts`), which is how eager PyTorch runs: an upper
bound for what must come from memory. A map that is still in a cache from the operation before moves faster than
memory, so a gap below 1 is possible and says just that. A compiler that fuses moves less.
"""

from __future__ import annotations

import copy
import itertools
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgeseg.deploy.runtimes.graph import DTYPES
from edgeseg.models.counts import ModuleCount, count
from edgeseg.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from edgeseg.text import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KIND_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_TRIES, _LEAST_SECONDS = 10, 0.5  # of each kernel whose peak is sought, at least both
_SHOWN = 15  # modules in the text
_COLUMNS = ("GMAC", "MB", "ms", "roof ms", "gap")
NOTE = "bytes are an upper bound: no two operations fused, nothing found in a cache"


@dataclass(frozen=True)
class Peaks:
    """What a machine reached in the best of several tries, with the threads that a benchmark uses.

    Args:
        gflops: 1e9 floating-point operations a second by precision; a multiply-add is two.
        gigabytes: 1e9 bytes a second, read and written, of arrays much larger than the caches.
        kernels: what reached them.
        threads: of the CPU; ``None`` on a GPU.
        device: where.
    """

    gflops: dict[str, float]
    gigabytes: float
    kernels: dict[str, str]
    threads: int | None
    device: str

    def arithmetic_ms(self, macs: float, precision: str = "fp32") -> float:
        """What so many multiply-adds take at the peak."""
        return 2e-6 * macs / self.gflops[precision]

    def memory_ms(self, moved: float) -> float:
        """What so many bytes take at the peak."""
        return 1e-6 * moved / self.gigabytes


@dataclass(frozen=True)
class ModuleTime:
    """One module of a network: what it costs, what it took, what it could take. Its children count for themselves.

    Args:
        name: path in the network; empty for the network itself.
        kind: what it is, with a convolution's kernel.
        macs, bytes_moved: of one image.
        ms: median time.
        predicted_ms: of arithmetic and memory traffic at the machine's peaks the longer one.
        bound: ``"arithmetic"`` or ``"memory"``: what the prediction waits for.
    """

    name: str
    kind: str
    macs: int
    bytes_moved: int
    ms: float
    predicted_ms: float
    bound: str

    @property
    def gap(self) -> float:
        """Measured over predicted time."""
        return self.ms / self.predicted_ms

    @property
    def intensity(self) -> float:
        """Floating-point operations per byte."""
        return 2 * self.macs / self.bytes_moved

    @property
    def gflops(self) -> float:
        """1e9 floating-point operations a second that it reached."""
        return 2e-6 * self.macs / self.ms


@dataclass(frozen=True)
class Roofline:
    """A network's modules, computed in float32, beside a machine's peaks.

    Args:
        network: its name.
        size: (H, W) of the image.
        peaks: of the machine.
        modules: in the order of the network.
        whole_ms: median of one pass without any timer inside.
        runs: passes that the medians are of.
    """

    network: str
    size: tuple[int, int]
    peaks: Peaks
    modules: tuple[ModuleTime, ...]
    whole_ms: float
    runs: int

    @property
    def predicted_ms(self) -> float:
        """Sum of the modules' predictions: every operation at its own roof, none fused."""
        return sum(m.predicted_ms for m in self.modules)

    @property
    def arithmetic_ms(self) -> float:
        """All multiply-adds at the machine's peak, memory for nothing: the least that any runtime can take."""
        return self.peaks.arithmetic_ms(sum(m.macs for m in self.modules))

    def shares(self, variants: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Share of the arithmetic peak that this network reaches under a benchmark's runtimes, by variant.

        The peak is that of PyTorch's kernels: another runtime's may be better. Integers have none.
        """
        macs = sum(m.macs for m in self.modules)
        return {
            v["name"]: self.peaks.arithmetic_ms(macs, v["precision"]) / v["net"]["median_ms"]
            for v in variants
            if v["network"] == self.network and v["precision"] in self.peaks.gflops
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            **{k: v for k, v in asdict(self).items() if k != "modules"},
            "size": list(self.size),
            "precision": "fp32",
            "predicted_ms": self.predicted_ms,
            "arithmetic_ms": self.arithmetic_ms,
            "sum_of_modules_ms": sum(m.ms for m in self.modules),
            "note": NOTE,
            "modules": [{**asdict(m), "gap": m.gap} for m in self.modules],
        }

    def text(self) -> str:
        """The modules that lose most time against the roofline, and the totals by kind."""
        slowest = sorted(self.modules, key=lambda m: m.predicted_ms - m.ms)[:_SHOWN]
        lost = [(m.name or "(itself)", m.kind, *_cells([m]), f"{m.ms - m.predicted_ms:.3f}", m.bound) for m in slowest]
        kinds = [(kind, str(len(group)), *_cells(group)) for kind, group in group_by_kind(self.modules)]
        worst = table(("module", "kind", *_COLUMNS, "lost ms", "waits for"), lost, "<<>>>>>><")
        return "\n".join([*_head(self), "", worst, "", table(("kind", "modules", *_COLUMNS), kinds)])


def measure_roofline(
    model: nn.Module, size: tuple[int, int], name: str, peaks: Peaks, runs: int = 20, device: str = "cpu"
) -> Roofline:
    """Time every module of a network as PyTorch runs it, in float32 and channels_last memory, beside the peaks.

    Args:
        model: gives logits; is copied.
        size: (H, W) of the image.
        name: of the network.
        peaks: from `measure_peaks`, with the same threads.
        runs: passes, after a fifth as many that are not counted.
        device: e.g. ``"cuda"``.
    """
    twin = copy.deepcopy(model).to(device, torch.float32).to(memory_format=torch.channels_last).eval()
    x = torch.randn(1, 3, *size, device=device).to(memory_format=torch.channels_last)
    with torch.no_grad():
        passes = [_seconds(partial(twin, x), device) for _ in range(_warm(runs) + runs)]
    times = _module_times(twin, x, runs, device)
    counted = [c for c in count(model, size).modules if c.bytes_moved]
    modules = tuple(_row(c, twin.get_submodule(c.name), times.get(c.name, 0.0), peaks) for c in counted)
    return Roofline(name, size, peaks, modules, 1e3 * statistics.median(passes[-runs:]), runs)


def measure_peaks(device: str = "cpu") -> Peaks:
    """Best of several tries of large matrix products, convolutions and copies, with torch's present threads."""
    gflops, kernels = {}, {}
    precisions = ("fp32", "bf16") if device == "cpu" else ("fp32", "bf16", "fp16")
    for precision in precisions:
        gflops[precision], kernels[precision] = max(_arithmetic(DTYPES[precision], device))
    gigabytes, kernels["memory"] = max(_streams(device))
    threads = torch.get_num_threads() if device == "cpu" else None
    where = torch.cuda.get_device_name() if device != "cpu" else "cpu"
    return Peaks(gflops, gigabytes, kernels, threads, where)


# Peaks ----------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _arithmetic(dtype: torch.dtype, device: str) -> Iterator[tuple[float, str]]:
    """GFLOP/s, and the kernel that reaches them."""
    # tens of milliseconds each, so that some runs are not interrupted; enough work for every core
    n, rows = (1024, 64 * torch.get_num_threads()) if device == "cpu" else (8192, 4096)
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    yield 2e-9 * n**3 / _best_seconds(lambda: a @ b, device), f"matrix product {n}×{n}"
    channels, width = 128, 128
    x = torch.randn(1, channels, rows, width, device=device).to(dtype, memory_format=torch.channels_last)
    for kernel in (3, 1):
        conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False).to(device, dtype)
        conv = conv.to(memory_format=torch.channels_last)
        seconds = _best_seconds(partial(conv, x), device)
        flops = 2e-9 * channels * channels * kernel**2 * rows * width
        yield flops / seconds, f"convolution {kernel}×{kernel}, {channels} channels"


@torch.no_grad()
def _streams(device: str) -> Iterator[tuple[float, str]]:
    """GB/s, written and read bytes added, and the kernel that reaches them."""
    n = 1 << 26  # 256 MB each: beyond any cache
    a, b, c = (torch.ones(n, device=device) for _ in range(3))
    yield 8e-9 * n / _best_seconds(lambda: a.copy_(b), device), "copy"
    yield 12e-9 * n / _best_seconds(lambda: torch.add(b, c, alpha=3.0, out=a), device), "triad"


def _best_seconds(run: Callable[[], Any], device: str) -> float:
    """The shortest of many runs: who else works on this machine only makes them longer."""
    run()
    found: list[float] = []
    while len(found) < _TRIES or sum(found) < _LEAST_SECONDS:
        found.append(_seconds(run, device))
    return min(found)


def _seconds(run: Callable[[], Any], device: str) -> float:
    _synchronise(device)
    started = time.perf_counter()
    run()
    _synchronise(device)
    return time.perf_counter() - started


def _synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _warm(runs: int) -> int:
    return max(1, runs // 5)


# Modules --------------------------------------------------------------------------------------------------------------


class _Clock:
    """Books the time between two hooks on the innermost module that runs, as the counts book operations."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.totals: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._last = 0.0

    def enter(self, name: str, *_: Any) -> None:
        self._book()
        self._stack.append(name)
        self._last = time.perf_counter()  # read last: the hook's own time belongs to nobody

    def leave(self, *_: Any) -> None:
        self._book()
        self._stack.pop()
        self._last = time.perf_counter()

    def _book(self) -> None:
        _synchronise(self.device)
        if self._stack:
            self.totals[self._stack[-1]] += time.perf_counter() - self._last


@torch.no_grad()
def _module_times(model: nn.Module, x: Tensor, runs: int, device: str) -> dict[str, float]:
    """Median milliseconds of each module without its children; of a copy of the caller's: the hooks stay."""
    clock = _Clock(device)
    for name, module in model.named_modules():
        module.register_forward_pre_hook(partial(clock.enter, name))
        module.register_forward_hook(clock.leave)
    passes: list[dict[str, float]] = []
    for _ in range(_warm(runs) + runs):
        clock.totals = defaultdict(float)
        model(x)
        passes.append(clock.totals)
    return {name: 1e3 * statistics.median(p[name] for p in passes[-runs:]) for name in passes[-1]}


def _row(counted: ModuleCount, module: nn.Module, ms: float, peaks: Peaks) -> ModuleTime:
    arithmetic, memory = peaks.arithmetic_ms(counted.macs), peaks.memory_ms(counted.bytes_moved)
    bound = "arithmetic" if arithmetic > memory else "memory"
    kind = _kind(module, counted)
    return ModuleTime(counted.name, kind, counted.macs, counted.bytes_moved, ms, max(arithmetic, memory), bound)


def _kind(module: nn.Module, counted: ModuleCount) -> str:
    if not isinstance(module, nn.Conv2d):
        return counted.kind
    size = "×".join(map(str, module.kernel_size))
    if module.groups > 1:
        return f"depthwise {size}" if module.groups == module.in_channels else f"grouped {size}"
    return f"conv {size}"


# Text -----------------------------------------------------------------------------------------------------------------


def _head(r: Roofline) -> Iterator[str]:
    p = r.peaks
    flops = ", ".join(f"{k} {v:,.0f} GFLOP/s ({p.kernels[k]})" for k, v in p.gflops.items())
    threads = f", {p.threads} thread" + "s" * (p.threads != 1) if p.threads else ""
    yield f"{r.network} fp32, {r.size[0]}x{r.size[1]}, eager channels_last on {p.device}{threads}"
    yield f"peaks measured here: {flops}; memory {p.gigabytes:.1f} GB/s ({p.kernels['memory']})"
    timed = sum(m.ms for m in r.modules)
    yield (
        f"one pass {r.whole_ms:.1f} ms (modules together {timed:.1f} ms with timers between them); roofline "
        f"{r.predicted_ms:.1f} ms unfused, {r.arithmetic_ms:.1f} ms for the arithmetic alone: "
        f"{100 * r.arithmetic_ms / r.whole_ms:.0f} % of the arithmetic peak"
    )
    yield NOTE


def _cells(group: Sequence[ModuleTime]) -> Iterator[str]:
    """The texts of `_COLUMNS` for some modules together."""
    ms, roof = sum(m.ms for m in group), sum(m.predicted_ms for m in group)
    yield f"{sum(m.macs for m in group) / 1e9:.3f}"
    yield f"{sum(m.bytes_moved for m in group) / 1e6:.1f}"
    yield from (f"{ms:.3f}", f"{roof:.3f}", f"{ms / roof:.1f}")


def group_by_kind(modules: Sequence[ModuleTime]) -> list[tuple[str, list[ModuleTime]]]:
    """Modules by kind, the slowest kind first."""
    groups: dict[str, list[ModuleTime]] = {}
    for m in modules:
        groups.setdefault(m.kind, []).append(m)
    return sorted(groups.items(), key=lambda item: -sum(m.ms for m in item[1]))


# Picture --------------------------------------------------------------------------------------------------------------


def roofline_picture(r: Roofline) -> Figure:
    """The roofline with a network's modules as dots, and beside it the time of each kind against its prediction.

    A dot's area is its time. Modules without arithmetic have no place on the left: they are on the right only.
    """
    from matplotlib.figure import Figure

    figure = Figure((12.5, 5.2), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    busy = [m for m in r.modules if m.macs and m.ms]
    _draw_roofs(left, r, [m.intensity for m in busy])
    _draw_modules(left, busy)
    _draw_kinds(right, group_by_kind(r.modules)[:10])
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    figure.suptitle(
        f"{r.network}, fp32, {r.size[0]}×{r.size[1]}, eager: {r.whole_ms:.0f} ms; "
        f"{100 * r.arithmetic_ms / r.whole_ms:.0f} % of the measured arithmetic peak",
        fontsize=11,
    )
    return figure


def _draw_roofs(axis: Axes, r: Roofline, intensities: Sequence[float]) -> None:
    speed = r.peaks.gigabytes
    low, high = 0.5 * min(intensities), 12 * max(*intensities, max(r.peaks.gflops.values()) / speed)
    for i, (precision, flops) in enumerate(sorted(r.peaks.gflops.items(), key=lambda item: item[1])):
        knee = flops / speed
        color, width = ("black", 1.8) if precision == "fp32" else (GREY, 1.1)
        axis.plot([low, knee, high], [low * speed, flops, flops], color=color, lw=width, zorder=1)
        # labels of two roofs close together stand one left and one right of the other
        place, side = (high * 0.97, "right") if i % 2 == 0 else (knee * 1.15, "left")
        axis.text(place, flops * 1.06, f"{precision} {flops:,.0f} GFLOP/s", ha=side, fontsize=8)
    middle = math.sqrt(low * min(r.peaks.gflops.values()) / speed)
    axis.text(middle, middle * speed * 1.25, f"memory {speed:.0f} GB/s", ha="right", fontsize=8)
    axis.set(xlim=(low, high), xscale="log", yscale="log")
    axis.set_xlabel("FLOP per byte (bytes unfused: an upper bound)", fontsize=9)
    axis.set_ylabel("GFLOP/s reached", fontsize=9)
    axis.grid(alpha=0.25)


def _draw_modules(axis: Axes, busy: Sequence[ModuleTime]) -> None:
    from matplotlib.patches import Patch

    longest = max(m.ms for m in busy)
    handles = []
    for (kind, group), color in zip(group_by_kind(busy), itertools.cycle(_KIND_COLORS)):
        areas = [8 + 260 * m.ms / longest for m in group]
        places = [m.intensity for m in group], [m.gflops for m in group]
        axis.scatter(*places, s=areas, color=color, alpha=0.65, edgecolor="white", linewidth=0.5, zorder=3)
        handles.append(Patch(color=color, label=kind, alpha=0.65))
    axis.legend(handles=handles, fontsize=8, frameon=False, loc="lower right", title="area: time", title_fontsize=8)
    slowest = sorted(busy, key=lambda m: -m.ms)[:6]
    for number, m in enumerate(slowest, 1):  # dots may coincide, so the names stand apart
        away = (5 + 8 * ((number - 1) % 3), 6)
        axis.annotate(str(number), (m.intensity, m.gflops), away, textcoords="offset points", fontsize=7, zorder=4)
    names = "\n".join(f"{number}  {m.name}  {m.ms:.1f} ms" for number, m in enumerate(slowest, 1))
    axis.text(0.33, 0.03, names, transform=axis.transAxes, va="bottom", fontsize=7.5, linespacing=1.35)


def _draw_kinds(axis: Axes, groups: Sequence[tuple[str, Sequence[ModuleTime]]]) -> None:
    rows = range(len(groups))
    measured, roof = ([sum(getattr(m, what) for m in g) for _, g in groups] for what in ("ms", "predicted_ms"))
    axis.barh([y - 0.19 for y in rows], measured, 0.36, color=BLUE, zorder=2, label="measured")
    axis.barh([y + 0.19 for y in rows], roof, 0.36, color=ORANGE, zorder=2, label="roofline")
    for y in rows:
        gap = f"  ×{measured[y] / roof[y]:.1f}"
        axis.text(max(measured[y], roof[y]), y, gap, va="center", fontsize=7.5)
    axis.set_yticks(rows, [f"{kind} ({len(group)})" for kind, group in groups])
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_xlabel("ms, all modules of a kind", fontsize=9)
    axis.legend(fontsize=8, frameon=False, loc="lower right")
    axis.grid(axis="x", alpha=0.25, zorder=0)
