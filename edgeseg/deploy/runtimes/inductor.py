"""torch.compile: eager's files, compiled when they are first run; CUDA graphs on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from edgeseg.deploy.runtimes.base import Runner, one_at_a_time, silenced, with_threads
from edgeseg.deploy.runtimes.eager import Eager
from edgeseg.text import Field


class Inductor(Eager):
    """Eager's graph through torch.compile, which takes seconds to minutes at the first call.

    Options:
        device, channels_last: as of `Eager`.
        cudagraphs: replay the launches from a CUDA graph, on a GPU.
    """

    name = "inductor"
    options: Mapping[str, Field] = MappingProxyType({**Eager.options, "cudagraphs": Field(bool, True)})

    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Running takes a compiler."""
        return None if torch.cuda.is_available() else no_compiler()

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        graphs = facts["cudagraphs"] and facts["device"] != "cpu"
        mode = "reduce-overhead" if graphs else None
        compiled = torch.compile(self.loaded(path, facts), dynamic=bool(facts.get("dynamic")), mode=mode)
        # CUDA graphs write every result into the same memory; a caller may keep what it was given
        return one_at_a_time(lambda x: compiled(x).clone()) if graphs else with_threads(compiled, threads)


def no_compiler() -> str | None:
    """Why PyTorch's compiler makes no code for the CPU here, with the cure; ``None`` if it can."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        with silenced():
            get_cpp_compiler()
    except Exception:  # of several kinds
        return (
            "it needs a C++ compiler: apt install g++ (Debian, Ubuntu, JetPack), xcode-select --install (macOS), "
            "Visual Studio's build tools (Windows)"
        )
    return None
