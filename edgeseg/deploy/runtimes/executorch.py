"""ExecuTorch with XNNPACK: for arm64 phones and boards, without Python or PyTorch on the device.

The ``.pte`` file is what the C++, Android and iOS runtimes load. It is opened here by ExecuTorch's Python binding, so
that parity is measured on the file that ships. XNNPACK takes convolutions, resizes and most of the rest; average
pooling, global mean and maximum, sums and argmax stay with ExecuTorch's portable kernels (``ops_outside`` in the
facts). On x86 it is slower than eager PyTorch; on arm64 it was not measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.deploy.runtimes.base import (
    OPENING,
    DeployError,
    Runner,
    Runtime,
    lacking,
    new_file,
    one_at_a_time,
    reading,
    silenced,
    size_of,
    versions,
)
from edgeseg.deploy.runtimes.graph import compute_dtypes, export_graph


class ExecuTorch(Runtime):
    """ExecuTorch, XNNPACK's kernels where they fit. fp32 only."""

    name = "executorch"
    precisions = ("fp32",)

    def why_not(self, precision: str, building: bool = True) -> str | None:
        return lacking(("executorch",), "executorch")

    def build(
        self,
        module: nn.Module,
        example: Tensor,
        stem: Path,
        precision: str,
        calibration: Sequence[Tensor] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        self.checked_options(options)
        path = new_file(stem, ".pte")
        program = export_graph(module, example, precision)
        with silenced():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            outside = _operators(lowered.exported_program())
            content = lowered.to_executorch().buffer
        delegated = outside.pop("executorch_call_delegate", 0)
        if not delegated:
            raise DeployError(f"{path}: XNNPACK took no part of the graph; please report this")
        path.write_bytes(content)
        return {
            "dtypes": dict(compute_dtypes(program)),
            "delegates": delegated,
            "ops_outside": dict(outside),
            "bytes": size_of(path),
            "versions": versions("executorch", "torchao"),
        }

    def open(self, stem: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        path = stem.with_suffix(".pte")
        with OPENING, reading(path, cure="Export the model again, with this version of ExecuTorch."), silenced():
            from executorch.runtime import Runtime as Executor

            program = Executor.get().load_program(path)
            loaded = program, program.load_method("forward")  # the method needs its program alive

        def run(x: Tensor) -> Tensor:
            return loaded[1].execute([x.contiguous()])[0]  # a copy: the next call overwrites the method's own memory

        return one_at_a_time(run)


def _operators(program: torch.export.ExportedProgram) -> Counter[str]:
    """Operators of the lowered graph by name; what XNNPACK took counts as ``executorch_call_delegate``."""
    found: Counter[str] = Counter()
    for node in program.graph.nodes:
        name = getattr(node.target, "__name__", str(node.target))
        if node.op == "call_function" and name != "getitem":
            found[name.removeprefix("aten.")] += 1
    return found
