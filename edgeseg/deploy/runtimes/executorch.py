"""ExecuTorch with XNNPACK: for arm64 phones and boards, without Python or PyTorch on the device.

The ``.pte`` file is what the C++, Android and iOS runtimes load. It is opened here by ExecuTorch's Python binding, so
that parity is measured on the file that ships. XNNPACK takes convolutions, resizes and most of the rest; average
pooling, global mean and maximum, sums and argmax stay with ExecuTorch's portable kernels (``ops_outside`` in the
facts). On x86 it is slower than eager PyTorch; on arm64 it was not measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.export import ExportedProgram

from edgeseg.deploy.runtimes.base import DeployError, Graph, Runner, Runtime, lacking, one_at_a_time
from edgeseg.deploy.runtimes.graph import compute_dtypes, export_graph
from edgeseg.machine import versions


class ExecuTorch(Runtime):
    """ExecuTorch, XNNPACK's kernels where they fit. fp32 only."""

    name = "executorch"
    precisions = ("fp32",)
    suffix = ".pte"

    def why_not(self, precision: str, building: bool = True) -> str | None:
        return lacking(("executorch",), "executorch")

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = export_graph(graph.module, graph.example, precision)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        outside = _operators(lowered.exported_program())
        delegated = outside.pop("executorch_call_delegate", 0)
        if not delegated:
            raise DeployError("XNNPACK took no part of the graph; please report this")
        path.write_bytes(lowered.to_executorch().buffer)
        return {
            "dtypes": compute_dtypes(program),
            "delegates": delegated,
            "ops_outside": dict(outside),
            "versions": versions("executorch", "torchao"),
        }

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        from executorch.runtime import Runtime as Executor

        program = Executor.get().load_program(path)
        loaded = program, program.load_method("forward")  # the method needs its program alive

        def run(x: Tensor) -> Tensor:
            return loaded[1].execute([x.contiguous()])[0]  # a copy: the next call overwrites the method's own memory

        return one_at_a_time(run)


def _operators(program: ExportedProgram) -> Counter[str]:
    """Operators of the lowered graph by name; what XNNPACK took counts as ``executorch_call_delegate``."""
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    names = Counter(getattr(target, "__name__", str(target)).removeprefix("aten.") for target in calls)
    del names["getitem"]
    return names
