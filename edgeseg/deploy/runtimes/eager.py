"""PyTorch itself, the reference. The graph is kept as an ``ExportedProgram``: a saved artefact needs no model code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from edgeseg.deploy.runtimes.base import DYNAMIC, DeployError, Graph, Runner, Runtime, with_threads
from edgeseg.deploy.runtimes.graph import compute_dtypes, export_graph
from edgeseg.text import Field


class Eager(Runtime):
    """The graph as PyTorch runs it, operation by operation.

    Options:
        device: ``"cpu"``, ``"cuda"``, …; ``"auto"``: the GPU where there is one.
        channels_last: the memory layout of maps and weights.
    """

    name = "eager"
    precisions = ("fp32", "fp16", "bf16")
    suffix = ".pt2"
    dynamic = DYNAMIC
    options: Mapping[str, Field] = MappingProxyType({"device": Field(str, "auto"), "channels_last": Field(bool, True)})

    def why_not(self, precision: str, building: bool = True) -> str | None:
        return None

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        device = _device(options["device"])
        program = export_graph(graph.module, graph.example, precision, graph.dims)
        whole = io.BytesIO()  # on a full disk PyTorch's own writer ends the process
        torch.export.save(program, whole)
        path.write_bytes(whole.getbuffer())
        return {**options, "device": device, "dtypes": compute_dtypes(program)}

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        return with_threads(self.loaded(path, facts), threads)

    def loaded(self, path: Path, facts: Mapping[str, Any]) -> nn.Module:
        """The graph as a module, on its device and in its memory layout."""
        layout = torch.channels_last if facts["channels_last"] else torch.contiguous_format
        return torch.export.load(path).module().to(facts["device"]).to(memory_format=layout)


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeployError(f"device={name}: PyTorch finds no CUDA device here; take device=cpu")
    return name
