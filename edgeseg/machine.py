"""What this machine is, and how busy: processor, memory, load, GPU, board, versions; who else works while we measure.

Everything is read only, and what cannot be read is ``None`` or left out: a laptop, a container and a Jetson tell
different things. Training and prediction need nothing but PyTorch here; what only measuring needs takes psutil.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeseg import __version__

PACKAGES = (
    "torch", "torchvision", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino", "nncf", "executorch", "ncnn",
    "pnnx", "torch-tensorrt", "tensorrt", "tensorrt-cu13", "nvidia-modelopt", "segmentation-models-pytorch", "timm",
)  # fmt: skip
FOREIGN_CORES = 0.15
"""Work of other processes, in cores, that is worth a warning; a quiet desktop's services stay below."""
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "asimd",
          "asimdhp", "asimddp", "bf16", "i8mm", "sve")  # fmt: skip


def has_bf16() -> bool:
    """Whether PyTorch convolves in bfloat16 by instructions of this CPU: AVX512-BF16 or AMX, on ARM its BF16."""
    import torch

    if not torch.backends.mkldnn.is_available():  # the library that has such convolutions
        return False
    if torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def usable_device(name: Any) -> Any:
    """The ``torch.device`` that a word names, tried out.

    Args:
        name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, …, or a ``torch.device``.

    Raises:
        ValueError: no such kind of device, or not on this machine.
    """
    import torch

    try:
        device = torch.device(name)
        if device.type != "meta":  # which holds no values
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # each kind of device has its own way to be absent
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"device {name}: cannot be used here ({reason}). Give cpu, or see edgeseg check.") from error
    return device


def physical_cores() -> int:
    """Physical cores that this process may use: its affinity, without hyper-threads, within its container's quota."""
    siblings = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    cores = {_read(siblings.format(n)) or str(n) for n in _allowed_logical()}
    quota, _, period = (_read("/sys/fs/cgroup/cpu.max") or "max").partition(" ")
    return len(cores) if quota == "max" else max(1, min(len(cores), int(quota) // int(period)))


def versions(*packages: str) -> dict[str, str]:
    """Installed versions by name; those that are not installed are left out."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def total_memory() -> float:
    """Bytes of the machine's memory; where the system does not say (Windows), 16 GB."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return 16e9


def peak_memory() -> float | None:
    """Largest resident memory of this process so far, in MB (1e6 bytes); ``None`` where the system does not tell it.

    Linux's VmHWM, which psutil does not have: unlike ``getrusage`` it does not start from the parent's memory.
    """
    if match := re.search(r"^VmHWM:\s+(\d+) kB", _read("/proc/self/status") or "", re.MULTILINE):
        return round(int(match[1]) * 1024 / 1e6, 1)
    if platform.system() == "Windows":
        return None
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


# With psutil ----------------------------------------------------------------------------------------------------------


def _psutil() -> Any:
    """psutil.

    Raises:
        ImportError: it is not installed; gives the pip line.
    """
    try:
        import psutil
    except ImportError as error:
        raise ImportError('measuring needs psutil: pip install "edgeseg[bench]"') from error
    return psutil


def resident_memory() -> float | None:
    """Memory of this process now, in MB (1e6 bytes); ``None`` without psutil: no reason to stop what runs."""
    with suppress(ImportError):
        return round(_psutil().Process().memory_info().rss / 1e6, 1)
    return None


def free_memory() -> float:
    """Share of the machine's memory that is still available."""
    memory = _psutil().virtual_memory()
    return memory.available / memory.total


def load_average() -> float:
    """Processes that were running or waiting, mean of the last minute."""
    return round(_psutil().getloadavg()[0], 2)


class Watch:
    """How many cores other processes use while this and some of its children work.

    The hypervisor's share ("steal") counts as others': a neighbour on the same machine slows a measurement too.

    Args:
        pids: the processes that belong to the measurement; they outlive it.
    """

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._own = [_psutil().Process(pid) for pid in (os.getpid(), *pids)]
        self._start = self._seconds()

    def foreign_cores(self) -> float:
        """Cores that others have kept busy on average since this object was made."""
        busy, own, wall = (now - then for now, then in zip(self._seconds(), self._start, strict=True))
        return max(0.0, round((busy - own) / wall, 2))

    def _seconds(self) -> tuple[float, float, float]:
        """Of all cores' work, of our processes' work, of the clock."""
        all_cores = _psutil().cpu_times()
        busy = sum(getattr(all_cores, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
        own = [process.cpu_times() for process in self._own]
        return busy, sum(t.user + t.system for t in own), time.monotonic()


def warnings(threads: int, before: float, foreign: float) -> list[str]:
    """What stood in the way of a measurement, in words; empty when the machine was quiet.

    Args:
        threads: that the measurement used.
        before: the load average before anything was compiled.
        foreign: `Watch.foreign_cores` at its end.
    """
    found = []
    if before > threads:
        found.append(
            f"the load average was {before:.2f} before the start, more than the {threads} threads that are measured: "
            "measure again on a quiet machine"
        )
    if foreign > FOREIGN_CORES:
        found.append(f"others kept {foreign:.2f} cores busy meanwhile: these times are too long")
    if threads > physical_cores():
        found.append(f"{threads} threads on {physical_cores()} physical cores: they wait for each other")
    return found


def describe_environment(threads: int) -> dict[str, Any]:
    """All that is known about this machine now, JSON-able.

    Args:
        threads: that the measurement uses, to be kept beside the cores.
    """
    facts = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _cpu(threads),
        "load": load_average(),
        "temperatures": _temperatures(),
        "gpu": _gpu(),
        "jetson": _jetson(),
        "versions": {"edgeseg": __version__, **versions(*PACKAGES)},
        "commit": _commit(),
    }
    return {key: value for key, value in facts.items() if value not in (None, {}, [])}


def _cpu(threads: int) -> dict[str, Any]:
    info = (line.partition(":") for line in (_read("/proc/cpuinfo") or "").splitlines())
    fields = {key.strip(): value.strip() for key, _, value in info if value}
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    scaling = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))  # none in virtual machines
    clocks = [_read(folder / "scaling_cur_freq") for folder in scaling]  # in kHz
    return {
        "model": fields.get("model name") or _board() or platform.processor() or platform.machine(),
        "logical_cores": os.cpu_count(),
        "allowed_cores": len(_allowed_logical()),
        "physical_cores": physical_cores(),
        "threads": threads,
        "flags": [f for f in _FLAGS if f in flags],
        "virtual_machine": "hypervisor" in flags,
        "clocks_mhz": [int(clock) // 1000 for clock in clocks if clock and clock.isdigit()],
        "governors": sorted({g for folder in scaling if (g := _read(folder / "scaling_governor"))}),
        "memory_gb": round(total_memory() / 1e9, 1),
    }


def _allowed_logical() -> set[int]:
    return set(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def _temperatures() -> Mapping[str, float]:
    """°C by name of chip and sensor, where the system tells them."""
    sensors: Mapping[str, Any] = getattr(_psutil(), "sensors_temperatures", dict)()
    return {f"{chip} {one.label}".strip(): one.current for chip, found in sensors.items() for one in found}


def _gpu() -> dict[str, Any] | None:
    import torch

    if not torch.cuda.is_available():
        return None
    fields = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.limit,pstate"
    told = _run("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits") or ""
    return {
        "name": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32": {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32},
        **dict(zip(fields.split(","), re.split(r"\s*,\s*", told.partition("\n")[0]), strict=False)),
    }


def _jetson() -> dict[str, Any] | None:
    release = _read("/etc/nv_tegra_release")
    if release is None:
        return None
    return {
        "board": _board(),
        "release": release.splitlines()[0],
        "jetpack": _run("dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"),
        "nvpmodel": _run("nvpmodel", "-q"),
        "jetson_clocks": _run("jetson_clocks", "--show"),
    }


def _board() -> str | None:
    text = _read("/proc/device-tree/model")
    return text.rstrip("\0") if text else None


def _commit() -> str | None:
    """The commit of a source checkout, with ``+changes`` where files differ from it; ``None`` when installed."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    commit = _run("git", "-C", str(checkout), "rev-parse", "HEAD")
    changed = _run("git", "-C", str(checkout), "--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changed else commit


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _run(*command: str) -> str | None:
    """What a command prints, ``None`` where it is missing, fails or takes more than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
