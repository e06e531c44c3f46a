"""From a module to an exported graph of one precision, and what such a graph really computes in."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgeseg.deploy.runtimes.base import DeployError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
AXES = MappingProxyType({0: "batch", 2: "height", 3: "width"})
"""Axes of an input that may be left open."""
_MULTIPLYING = ("conv2d", "conv1d", "convolution", "linear", "addmm", "mm", "bmm")


class InPrecision(nn.Module):
    """A module that computes in another float type between its own input and output types.

    float32 (or uint8) in, float32 (or int32) out: who calls it need not know.

    Args:
        module: is copied, not changed.
        dtype: e.g. ``torch.float16``.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).eval().to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        y = self.module(x.to(self.dtype) if x.is_floating_point() else x)
        return y.float() if y.is_floating_point() else y


def in_precision(module: nn.Module, precision: str) -> nn.Module:
    """The module itself for fp32, an `InPrecision` around a copy for fp16 and bf16."""
    return module if precision == "fp32" else InPrecision(module, DTYPES[precision]).eval()


def export_graph(
    module: nn.Module, example: Tensor, precision: str = "fp32", dims: Mapping[int, Any] = MappingProxyType({})
) -> ExportedProgram:
    """``torch.export`` of a module at one shape and precision, with the precision asserted.

    Args:
        module: float32, in eval mode; is not changed.
        example: an input of that shape.
        precision: ``"fp32"``, ``"fp16"`` or ``"bf16"``.
        dims: axes that are left open → their ``torch.export.Dim``. Where the batch is one, the example needs two
            images: torch.export takes an axis of length 1 for a constant.

    Raises:
        DeployError: the graph computes in another float type than asked for, or the network pins an open axis.
    """
    shapes = (dict(dims),) if dims else None
    try:
        with torch.no_grad():
            program = torch.export.export(in_precision(module, precision), (example,), dynamic_shapes=shapes)
    except Exception as error:  # torch.export has several kinds
        if not dims:
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DeployError(
            f"this network cannot be exported with {' and '.join(AXES[axis] for axis in dims)} open ({first}). Leave "
            "--dynamic away, and export it once for every size and batch"
        ) from error
    found = compute_dtypes(program)
    if set(found) != {dtype_name(DTYPES[precision])}:
        raise DeployError(f"asked for {precision}, but the graph computes in {found}; please report this")
    return program


def compute_dtypes(program: ExportedProgram) -> dict[str, int]:
    """How many convolutions and matrix products of a graph give which float type, e.g. ``{"float16": 44}``."""
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    values = [node.meta["val"] for node in calls if str(node.target).partition(".")[2].split(".")[0] in _MULTIPLYING]
    return dict(Counter(dtype_name((v if isinstance(v, Tensor) else v[0]).dtype) for v in values))


def dtype_name(dtype: torch.dtype) -> str:
    """``torch.float16`` → ``"float16"``."""
    return str(dtype).removeprefix("torch.")
