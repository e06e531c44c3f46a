"""PyTorch itself: `Eager`, the reference, and `Inductor`, torch.compile with CUDA graphs on a GPU.

Both keep the graph as an ``ExportedProgram`` (``.pt2``), so that a saved artefact needs no model code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.deploy.runtimes.base import OPENING, DeployError, Runner, Runtime, one_at_a_time
from edgeseg.deploy.runtimes.graph import compute_dtypes, export_graph
from edgeseg.text import Field


class Eager(Runtime):
    """The graph as PyTorch runs it, operation by operation, in channels_last memory."""

    name = "eager"
    precisions = ("fp32", "fp16", "bf16")
    options: Mapping[str, Field] = MappingProxyType({"device": Field(str, "auto"), "channels_last": Field(bool, True)})

    def why_not(self, precision: str, building: bool = True) -> str | None:
        return None

    def build(
        self,
        module: nn.Module,
        example: Tensor,
        stem: Path,
        precision: str,
        calibration: Sequence[Tensor] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        device = _device(options["device"])
        program = export_graph(module, example, precision)
        torch.export.save(program, stem.with_suffix(".pt2"))
        return {**options, "device": device, "dtypes": dict(compute_dtypes(program))}

    def open(self, stem: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        module = self._module(stem, facts)
        return lambda x: module(x)

    def _module(self, stem: Path, facts: Mapping[str, Any]) -> nn.Module:
        try:
            with OPENING:
                module = torch.export.load(stem.with_suffix(".pt2")).module()
        except Exception as error:  # the reader raises a dozen kinds on bad bytes
            raise DeployError(
                f"{stem.with_suffix('.pt2')}: cannot be read ({str(error).splitlines()[0]}). Export the model again, "
                "with this version of PyTorch."
            ) from error
        layout = torch.channels_last if facts["channels_last"] else torch.contiguous_format
        return module.to(facts["device"]).to(memory_format=layout)


class Inductor(Eager):
    """The same graph through torch.compile, compiled when first run (seconds to minutes); CUDA graphs on a GPU."""

    name = "inductor"
    options: Mapping[str, Field] = MappingProxyType({**Eager.options, "cudagraphs": Field(bool, True)})

    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Both take a compiler: this runtime compiles when it first runs."""
        from torch._inductor.cpp_builder import get_cpp_compiler

        if torch.cuda.is_available():
            return None
        try:
            get_cpp_compiler()
        except Exception:
            return "torch.compile needs a C++ compiler on a CPU; install one (Debian: apt install g++)"
        return None

    def open(self, stem: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        module = self._module(stem, facts)
        graphs = facts["cudagraphs"] and facts["device"] != "cpu"
        compiled = torch.compile(module, dynamic=False, mode="reduce-overhead" if graphs else None)
        if not graphs:
            return lambda x: compiled(x)
        # CUDA graphs write every result into the same memory; a caller may keep what it was given
        return one_at_a_time(lambda x: compiled(x).clone())


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeployError(f"device={name}: PyTorch finds no CUDA device here; take device=cpu")
    return name
