"""From a module to an exported graph of one precision, and what such a graph really computes in."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgeseg.deploy.runtimes.base import DeployError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CONVOLUTIONS = ("conv2d", "conv1d", "convolution", "linear", "addmm", "mm", "bmm")


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
    return module if precision == "fp32" else InPrecision(module, DTYPES[precision])


def export_graph(module: nn.Module, example: Tensor, precision: str = "fp32") -> ExportedProgram:
    """``torch.export`` of a module at one static shape and precision, with the precision asserted.

    Raises:
        DeployError: the graph computes in another float type than asked for.
    """
    with torch.no_grad():
        program = torch.export.export(in_precision(module, precision).eval(), (example,))
    found = compute_dtypes(program)
    wanted = str(DTYPES[precision]).removeprefix("torch.")
    if set(found) != {wanted}:
        raise DeployError(f"asked for {precision}, but the graph computes in {dict(found)}; please report this")
    return program


def compute_dtypes(program: ExportedProgram) -> Counter[str]:
    """How many convolutions and matrix products of a graph give which float type, e.g. ``{"float16": 44}``."""
    found: Counter[str] = Counter()
    for node in program.graph.nodes:
        if node.op == "call_function" and _is_convolution(str(node.target)):
            found[str(_value(node.meta["val"]).dtype).removeprefix("torch.")] += 1
    return found


def _is_convolution(target: str) -> bool:
    """``"aten.conv2d.default"`` → True."""
    return target.split(".")[1:2][0] in _CONVOLUTIONS if "." in target else False


def _value(value: Tensor | Sequence[Tensor]) -> Tensor:
    return value if isinstance(value, Tensor) else value[0]
