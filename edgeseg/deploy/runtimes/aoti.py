"""AOTInductor: PyTorch's own compiler, ahead of time, into machine code for this processor.

The result needs PyTorch where it runs, but neither model code nor a compiler. It is machine code: it runs on processors
that have all instructions of the one it was built on (checked), and should come from people you trust.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from edgeseg.deploy.runtimes.base import DYNAMIC, DeployError, Graph, Runner, Runtime, with_threads
from edgeseg.deploy.runtimes.graph import compute_dtypes, export_graph
from edgeseg.deploy.runtimes.inductor import no_compiler
from edgeseg.text import Field

_VECTORS = ("avx", "amx", "fma", "f16c", "sse", "ssse", "bmi", "asimd", "sve", "neon", "fphp", "bf16", "i8mm")


class AOTInductor(Runtime):
    """AOTInductor on the CPU; takes 10 to 70 seconds per graph to build.

    Precisions: fp32; bf16, the network, its logits and the argmax in bfloat16, normalisation in float32. Logits of 8
    significant bits tie more often: 0.2 % of the pixels change class on ``cross_cbam_m.streets``, the mIoU by 0.02.

    Options:
        freeze: weights become constants of the code and are laid out for it; twice as fast or more.
    """

    name = "aoti"
    precisions = ("fp32", "bf16")
    suffix = ".pt2"
    dynamic = DYNAMIC
    options: Mapping[str, Field] = MappingProxyType({"freeze": Field(bool, True)})

    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Building takes a C++ compiler; running takes PyTorch alone."""
        return no_compiler() if building else None

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        program = export_graph(graph.module, graph.example, precision, graph.dims)
        # dynamic_threads: who runs it chooses the number of threads, not who builds it
        settings = {"freezing": options["freeze"], "cpp.dynamic_threads": True}
        with torch.no_grad():
            torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=settings)
        return {
            "dtypes": compute_dtypes(program),
            "freeze": options["freeze"],
            "machine": platform.machine(),
            "vectors": cpu_vectors(),
        }

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        _check_processor(path, facts)
        compiled = torch._inductor.aoti_load_package(str(path))
        return with_threads(lambda x: compiled(x.contiguous()), threads)


def cpu_vectors() -> list[str]:
    """Vector instruction sets of this processor by the kernel's names; empty where there is no ``/proc/cpuinfo``."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return sorted(flag for flag in flags.partition(":")[2].split() if flag.startswith(_VECTORS))


def _check_processor(path: Path, facts: Mapping[str, Any]) -> None:
    """Machine code for another processor would end this process without a word."""
    absent = sorted(set(facts["vectors"]) - set(cpu_vectors()))
    if facts["machine"] != platform.machine() or absent:
        what = f"instructions that this one lacks ({', '.join(absent)})" if absent else "another architecture"
        raise DeployError(
            f"{path}: is machine code for {facts['machine']} with {what}. Export it on the machine that runs it."
        )
