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
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.counts import ModuleCount, count

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
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

    def seconds(self, macs: float, moved: float, precision: str = "fp32") -> float:
        """The roofline's prediction for so many multiply-adds and bytes."""
        return max(2e-9 * macs / self.gflops[precision], 1e-9 * moved / self.gigabytes)

    def share(self, macs: float, ms: float, precision: str) -> float | None:
        """Share of the arithmetic peak that so many multiply-adds in such a time reach; ``None`` for integers.

        The peak is that of PyTorch's kernels: another runtime's may be better.
        """
        return 2e-6 * macs / ms / self.gflops[precision] if precision in self.gflops else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class ModuleTime:
    """One module of a network: what it costs, what it took, what it could take. Its children count for themselves.

    Args:
        name: path in the network; empty for the network itself.
        kind: what it is, with a convolution's kernel.
        macs, bytes_moved: of one image.
        ms: median time.
        predicted_ms: see `Peaks.seconds`.
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
        return self.ms / self.predicted_ms if self.predicted_ms else float("inf")


@dataclass(frozen=True)
class Roofline:
    """A network's modules beside a machine's peaks.

    Args:
        network: its name.
        size: (H, W) of the image.
        precision: that was computed in.
        peaks: of the machine.
        modules: in the order of the network.
        whole_ms: median of one pass without any timer inside.
        runs: passes that the medians are of.
    """

    network: str
    size: tuple[int, int]
    precision: str
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
        return 2e-6 * sum(m.macs for m in self.modules) / self.peaks.gflops[self.precision]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            **{k: v for k, v in asdict(self).items() if k != "modules"},
            "size": list(self.size),
            "predicted_ms": self.predicted_ms,
            "arithmetic_ms": self.arithmetic_ms,
            "sum_of_modules_ms": sum(m.ms for m in self.modules),
            "note": NOTE,
            "modules": [{**asdict(m), "gap": m.gap} for m in self.modules],
        }

    def table(self, rows: int = 15) -> str:
        """The modules that lose most time against the roofline, and the totals by kind."""
        return "\n".join([*_head(self), "", *_worst(self.modules, rows), "", *_by_kind(self.modules)])


def measure_roofline(
    model: nn.Module,
    size: tuple[int, int] = (512, 1024),
    name: str = "",
    precision: str = "fp32",
    threads: int | None = None,
    runs: int = 20,
    device: str = "cpu",
    peaks: Peaks | None = None,
) -> Roofline:
    """Time every module of a network as PyTorch runs it, in channels_last memory, beside the machine's peaks.

    Args:
        model: gives logits; is copied.
        size: (H, W) of the image.
        name: of the network, for the picture.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        threads: of the CPU; default: torch's.
        runs: passes, after a fifth as many that are not counted.
        device: e.g. ``"cuda"``.
        peaks: from `measure_peaks`; default: measured now.
    """
    with using_threads(threads if device == "cpu" else None):
        peaks = peaks or measure_peaks(device)
        counts = count(model, size, dtype=_DTYPES[precision])
        twin = copy.deepcopy(model).to(device=device, dtype=_DTYPES[precision]).eval()
        twin = twin.to(memory_format=torch.channels_last)
        x = torch.randn(1, 3, *size, device=device, dtype=_DTYPES[precision]).to(memory_format=torch.channels_last)
        whole = _median_ms(lambda: twin(x), runs, device)
        times = _module_times(twin, x, runs, device)
    modules = tuple(_row(c, twin, times.get(c.name, 0.0), peaks, precision) for c in counts.modules if c.bytes_moved)
    return Roofline(name or type(model).__name__, size, precision, peaks, modules, whole, runs)


def measure_peaks(device: str = "cpu", scale: float = 1.0) -> Peaks:
    """Best of several tries of large matrix products, convolutions and copies, with torch's present threads.

    Args:
        device: where.
        scale: of the sizes and the time; below 1 for tests, whose peaks mean nothing.
    """
    gflops, kernels = {}, {}
    precisions = ("fp32", "bf16") if device == "cpu" else ("fp32", "bf16", "fp16")
    for precision in precisions:
        tried = dict(_arithmetic(_DTYPES[precision], device, scale))
        kernels[precision] = max(tried, key=lambda k: tried[k])
        gflops[precision] = tried[kernels[precision]]
    streams = dict(_streams(device, scale))
    kernels["memory"] = max(streams, key=lambda k: streams[k])
    threads = torch.get_num_threads() if device == "cpu" else None
    where = torch.cuda.get_device_name() if device != "cpu" else "cpu"
    return Peaks(gflops, streams[kernels["memory"]], kernels, threads, where)


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Let torch use so many threads for a while; ``None``: as many as now."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Peaks ----------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _arithmetic(dtype: torch.dtype, device: str, scale: float) -> Iterator[tuple[str, float]]:
    """Kernels and the GFLOP/s that they reach."""
    # tens of milliseconds each, so that some runs are not interrupted; enough work for every core
    many = torch.get_num_threads() if device == "cpu" else 64
    n = max(64, int((1024 if device == "cpu" else 8192) * scale))
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    yield f"matrix product {n}×{n}", 2e-9 * n**3 / _best_seconds(lambda: a @ b, device, scale)
    channels, height, width = 128, max(8, int(64 * many * scale)), max(8, int(128 * scale))
    x = torch.randn(1, channels, height, width, device=device).to(dtype, memory_format=torch.channels_last)
    for kernel in (3, 1):
        conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False).to(device, dtype)
        conv = conv.to(memory_format=torch.channels_last)
        flops = 2e-9 * channels * channels * kernel**2 * height * width
        yield (
            f"convolution {kernel}×{kernel}, {channels} channels",
            flops / _best_seconds(partial(conv, x), device, scale),
        )


@torch.no_grad()
def _streams(device: str, scale: float) -> Iterator[tuple[str, float]]:
    """Kernels and the GB/s that they reach, written and read bytes added."""
    n = max(1 << 10, int((1 << 26) * scale))  # 256 MB each: beyond any cache
    a, b, c = (torch.ones(n, device=device) for _ in range(3))
    yield "copy", 8e-9 * n / _best_seconds(lambda: a.copy_(b), device, scale)
    yield "triad", 12e-9 * n / _best_seconds(lambda: torch.add(b, c, alpha=3.0, out=a), device, scale)


def _best_seconds(run: Callable[[], Any], device: str, scale: float) -> float:
    """The shortest of many runs: who else works on this machine only makes them longer."""
    run()
    found: list[float] = []
    while len(found) < 10 or sum(found) < 0.5 * scale:
        found.append(_seconds(run, device))
    return min(found)


def _median_ms(run: Callable[[], Any], runs: int, device: str) -> float:
    with torch.no_grad():
        for _ in range(_warm(runs)):
            run()
        return 1e3 * statistics.median(_seconds(run, device) for _ in range(runs))


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
        self.totals: dict[str, float] = {}
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
            name = self._stack[-1]
            self.totals[name] = self.totals.get(name, 0.0) + time.perf_counter() - self._last


@torch.no_grad()
def _module_times(model: nn.Module, x: Tensor, runs: int, device: str) -> dict[str, float]:
    """Median milliseconds of each module without its children."""
    clock = _Clock(device)
    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(partial(clock.enter, name)))
        hooks.append(module.register_forward_hook(clock.leave))
    passes: list[dict[str, float]] = []
    for _ in range(_warm(runs) + runs):
        clock.totals = {}
        model(x)
        passes.append(clock.totals)
    for hook in hooks:
        hook.remove()
    return {name: 1e3 * statistics.median(p[name] for p in passes[-runs:]) for name in passes[-1]}


def _row(counted: ModuleCount, model: nn.Module, ms: float, peaks: Peaks, precision: str) -> ModuleTime:
    arithmetic = 2e-9 * counted.macs / peaks.gflops[precision]
    memory = 1e-9 * counted.bytes_moved / peaks.gigabytes
    kind = _kind(model.get_submodule(counted.name), counted)
    bound = "arithmetic" if arithmetic > memory else "memory"
    return ModuleTime(counted.name, kind, counted.macs, counted.bytes_moved, ms, 1e3 * max(arithmetic, memory), bound)


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
    yield f"{r.network} {r.precision}, {r.size[0]}x{r.size[1]}, eager channels_last on {p.device}{threads}"
    yield f"peaks measured here: {flops}; memory {p.gigabytes:.1f} GB/s ({p.kernels['memory']})"
    timed = sum(m.ms for m in r.modules)
    yield (
        f"one pass {r.whole_ms:.1f} ms (modules together {timed:.1f} ms with timers between them); roofline "
        f"{r.predicted_ms:.1f} ms unfused, {r.arithmetic_ms:.1f} ms for the arithmetic alone: "
        f"{100 * r.arithmetic_ms / r.whole_ms:.0f} % of the arithmetic peak"
    )
    yield NOTE


def _worst(modules: Sequence[ModuleTime], rows: int) -> Iterator[str]:
    yield f"{'module':<36}{'kind':<18}{'GMAC':>8}{'MB':>8}{'ms':>9}{'roof ms':>9}{'gap':>7}{'lost ms':>9}  waits for"
    for m in sorted(modules, key=lambda m: m.predicted_ms - m.ms)[:rows]:
        name = m.name if len(m.name) < 36 else "…" + m.name[-34:]
        yield (
            f"{name or '(itself)':<36}{m.kind:<18}{m.macs / 1e9:>8.3f}{m.bytes_moved / 1e6:>8.1f}{m.ms:>9.3f}"
            f"{m.predicted_ms:>9.3f}{m.gap:>7.1f}{m.ms - m.predicted_ms:>9.3f}  {m.bound}"
        )


def _by_kind(modules: Sequence[ModuleTime]) -> Iterator[str]:
    yield f"{'kind':<36}{'modules':>8}{'GMAC':>9}{'MB':>9}{'ms':>9}{'roof ms':>9}{'gap':>7}"
    for kind, group in group_by_kind(modules):
        ms, roof = sum(m.ms for m in group), sum(m.predicted_ms for m in group)
        yield (
            f"{kind:<36}{len(group):>8}{sum(m.macs for m in group) / 1e9:>9.3f}"
            f"{sum(m.bytes_moved for m in group) / 1e6:>9.1f}{ms:>9.2f}{roof:>9.2f}{ms / roof:>7.1f}"
        )


def group_by_kind(modules: Sequence[ModuleTime]) -> list[tuple[str, list[ModuleTime]]]:
    """Modules by kind, the slowest kind first."""
    groups: dict[str, list[ModuleTime]] = {}
    for m in modules:
        groups.setdefault(m.kind, []).append(m)
    return sorted(groups.items(), key=lambda item: -sum(m.ms for m in item[1]))
