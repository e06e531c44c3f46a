"""What a time was measured on: processor, clocks, load, GPU, board, versions; and who else was working meanwhile.

Everything is read only, and what cannot be read is ``None`` or left out: a laptop, a container and a Jetson tell
different things.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "nncf",
    "executorch",
    "torch-tensorrt",
    "tensorrt",
    "tensorrt-cu13",
    "nvidia-modelopt",
    "segmentation-models-pytorch",
    "timm",
)
FOREIGN_CORES = 0.15
"""Work of other processes, in cores, that is worth a warning; a quiet desktop's services stay below."""
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "asimd",
          "asimdhp", "asimddp", "bf16", "i8mm", "sve")  # fmt: skip


def describe_environment(threads: int | None = None) -> dict[str, Any]:
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
        "versions": _versions(),
        "commit": _commit(),
    }
    return {key: value for key, value in facts.items() if value not in (None, {}, [])}


def physical_cores() -> int:
    """Physical cores that this process may use: its affinity, without hyper-threads, within its container's quota."""
    allowed = _allowed()
    cores = {_read(f"/sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list") or str(n) for n in allowed}
    quota = (_read("/sys/fs/cgroup/cpu.max") or "max").split()
    limit = int(quota[0]) / int(quota[1]) if len(quota) == 2 and quota[0] != "max" else float("inf")
    return max(1, min(len(cores), int(limit) if limit != float("inf") else len(cores)))


def load_average() -> float | None:
    """Processes that were running or waiting, mean of the last minute; ``None`` on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


class Watch:
    """How many cores other processes use while this and some of its children work (Linux; else ``None``).

    The hypervisor's share ("steal") counts as others': a neighbour on the same machine slows a measurement too.

    Args:
        pids: the processes that belong to the measurement.
    """

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._pids = (os.getpid(), *pids)
        self._start = self._read()

    def foreign_cores(self) -> float | None:
        """Cores that others have kept busy on average since this object was made."""
        now = self._read()
        if now is None or self._start is None or now[2] <= self._start[2]:
            return None
        busy, own, wall = (a - b for a, b in zip(now, self._start, strict=True))
        return max(0.0, round((busy - own) / wall, 2))

    def _read(self) -> tuple[float, float, float] | None:
        """Seconds: of all cores' work, of our processes' work, of the clock."""
        first = (_read("/proc/stat") or "").partition("\n")[0].split()
        if len(first) < 9:
            return None
        tick = os.sysconf("SC_CLK_TCK")
        user, nice, system, _, _, irq, softirq, steal = map(int, first[1:9])
        own = sum(_process_ticks(pid) for pid in self._pids)
        return (user + nice + system + irq + softirq + steal) / tick, own / tick, time.monotonic()


def warnings(threads: int, before: float | None, foreign: float | None) -> list[str]:
    """What stood in the way of a measurement, in words; empty when the machine was quiet.

    Args:
        threads: that the measurement used.
        before: the load average before anything was compiled.
        foreign: `Watch.foreign_cores` at its end.
    """
    found = []
    if before is not None and before > threads:
        found.append(
            f"the load average was {before:.2f} before the start, more than the {threads} threads that are measured: "
            "measure again on a quiet machine"
        )
    if foreign is not None and foreign > FOREIGN_CORES:
        found.append(f"others kept {foreign:.2f} cores busy meanwhile: these times are too long")
    if threads > physical_cores():
        found.append(f"{threads} threads on {physical_cores()} physical cores: they wait for each other")
    return found


def peak_memory(pid: int | None = None) -> float | None:
    """Largest resident memory of a process so far, in MB (1e6 bytes).

    Linux's VmHWM: unlike ``getrusage`` it does not start from the parent's memory.
    """
    for line in (_read(f"/proc/{pid or 'self'}/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    if pid is not None or platform.system() == "Windows":
        return None
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def free_memory() -> float | None:
    """Share of the machine's memory that is still available (Linux; else ``None``)."""
    lines = (line.split() for line in (_read("/proc/meminfo") or "").splitlines())
    sizes = {fields[0]: int(fields[1]) for fields in lines if len(fields) > 1}
    if "MemAvailable:" not in sizes or not sizes.get("MemTotal:"):
        return None
    return sizes["MemAvailable:"] / sizes["MemTotal:"]


# Parts ----------------------------------------------------------------------------------------------------------------


def _cpu(threads: int | None) -> dict[str, Any]:
    info = _read("/proc/cpuinfo") or ""
    fields = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in info.splitlines()) if v}
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    # what Linux shows in kHz; virtual machines show none
    clocks = [int(t) // 1000 for t in (_read(p / "scaling_cur_freq") for p in _cpufreq()) if t and t.isdigit()]
    governors = sorted({t for t in (_read(p / "scaling_governor") for p in _cpufreq()) if t})
    memory = (_read("/proc/meminfo") or "").split()
    return {
        "model": fields.get("model name") or _board() or platform.processor() or platform.machine(),
        "logical_cores": os.cpu_count(),
        "allowed_cores": len(_allowed()),
        "physical_cores": physical_cores(),
        "threads": threads,
        "flags": [f for f in _FLAGS if f in flags],
        "virtual_machine": "hypervisor" in flags,
        "clocks_mhz": clocks,
        "governors": governors,
        "memory_gb": round(int(memory[1]) * 1024 / 1e9, 1) if memory[:1] == ["MemTotal:"] else None,
    }


def _gpu() -> dict[str, Any] | None:
    import torch

    if not torch.cuda.is_available():
        return None
    fields = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.limit,pstate"
    told = _run("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits")
    return {
        "name": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32": {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32},
        **dict(zip(fields.split(","), [p.strip() for p in (told or "").split("\n")[0].split(",")], strict=False)),
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


def _versions() -> dict[str, str]:
    from edgeseg import __version__

    found = {"edgeseg": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """The commit of a source checkout, with ``+changes`` where files differ from it; ``None`` when installed."""
    home = Path(__file__).resolve().parents[2]
    if not (home / ".git").exists():
        return None
    commit = _run("git", "-C", str(home), "rev-parse", "HEAD")
    changed = _run("git", "-C", str(home), "--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changed else commit


def _temperatures() -> Mapping[str, float]:
    """°C by name of the sensor."""
    found = {}
    for zone in sorted(Path("/sys/class/thermal").glob("thermal_zone*")):
        name, value = _read(zone / "type"), _read(zone / "temp")
        if name and value and value.lstrip("-").isdigit():
            found[name] = int(value) / 1000
    return found


def _board() -> str | None:
    text = _read("/proc/device-tree/model")
    return text.rstrip("\0") if text else None


def _allowed() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _cpufreq() -> list[Path]:
    return sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))


def _process_ticks(pid: int) -> int:
    """User and system time of one process with all its threads; 0 when it has ended."""
    text = _read(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split() if text else []  # behind the name, which may hold spaces
    return int(fields[11]) + int(fields[12]) if len(fields) > 12 else 0


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _run(*command: str) -> str | None:
    """What a command prints, ``None`` where it is missing, fails or takes more than ten seconds."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None
