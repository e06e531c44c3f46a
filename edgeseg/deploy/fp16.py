"""Is half precision safe for this model? Answered without TensorRT and without a GPU: `fp16_report`.

The exported graph is run twice over real images, operation by operation on the CPU: in float32, where every
operation's largest value is noted, and in half, where values that are not finite and classes that change are counted.
Half convolutions on a CPU are real half arithmetic with sums in float32; a GPU may also sum in half, which no CPU can
show. On a CPU without float16 instructions half is slow: 20 times float32 at 192×256, over 100 times at 512×1024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Interpreter, Node

from edgeseg.deploy.parity import LEAST_SHARE
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.deploy.runtimes.graph import DTYPES, export_graph
from edgeseg.inference import Segmenter, as_pixels
from edgeseg.text import table

AGREEMENT = 0.995
"""Least share of pixels that must keep their class."""


@dataclass(frozen=True)
class Peak:
    """The largest value that one operation gave.

    Args:
        layer: the module it belongs to, e.g. ``"model.decoder.fuse8.channel_low"``; empty: the segmenter itself.
        operation: e.g. ``"conv2d"``.
        largest: largest absolute value, in float32.
        share: of the type's largest finite number: at 1 it overflows.
    """

    layer: str
    operation: str
    largest: float
    share: float


@dataclass(frozen=True)
class Fp16Report:
    """What `fp16_report` found.

    Args:
        precision: ``"fp16"`` or ``"bf16"``.
        images: how many were run.
        agreement: share of pixels with the class that float32 gives, 0…1.
        not_finite: infinities and NaNs that any operation gave, over all images.
        first_not_finite: the first such operation's layer and name.
        peaks: every operation's largest value, nearest to overflow first.
        lost: classes that float32 gives to a thousandth of the pixels or more, and half to none of these.
    """

    precision: str
    images: int
    agreement: float
    not_finite: int
    first_not_finite: str | None
    peaks: tuple[Peak, ...]
    lost: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing infinite, enough pixels with the same class, and no class lost."""
        return self.not_finite == 0 and self.agreement >= AGREEMENT and not self.lost

    def table(self, rows: int = 8) -> str:
        """The layers nearest to overflow, as plain text."""
        head = ("layer", "operation", "largest value", f"% of {torch.finfo(DTYPES[self.precision]).max:.6g}")
        peaks = self.peaks[:rows]
        cells = [(p.layer or "(segmenter)", p.operation, f"{p.largest:.4g}", f"{100 * p.share:.3g}") for p in peaks]
        return table(head, cells, "<<>>")

    def __str__(self) -> str:
        verdict = "safe" if self.passed else "NOT SAFE; take bf16, or keep the layers below in float32"
        first = f", first in {self.first_not_finite}" if self.first_not_finite else ""
        lost = f", {', '.join(self.lost)} lost" if self.lost else ""
        return (
            f"{self.precision} on {self.images} images: {100 * self.agreement:.3f} % of the pixels keep their class, "
            f"{self.not_finite} values not finite{first}{lost}: {verdict}\n{self.table()}"
        )


def fp16_report(segmenter: Segmenter, images: Sequence[np.ndarray], precision: str = "fp16") -> Fp16Report:
    """Run a segmenter in half and in float32 and say how far apart they are.

    Args:
        segmenter: with preprocessing and argmax; stays as it is.
        images: (H, W, 3) uint8 RGB, all of one size; real ones, e.g. test scenes.
        precision: ``"fp16"``, or ``"bf16"``, the way out: float32's range with 8 bits of precision.

    Raises:
        DeployError: no images, or images of several sizes.
    """
    if precision not in ("fp16", "bf16"):
        raise DeployError(f"precision={precision!r}: choose fp16 or bf16")
    inputs = [torch.from_numpy(as_pixels(image)).permute(2, 0, 1)[None] for image in images]
    if len({x.shape for x in inputs}) != 1:
        raise DeployError("give at least one image, and all of one size: the graph is exported for it")
    segmenter = segmenter.reference()
    exact = _Watch(export_graph(segmenter, inputs[0], "fp32").module())
    half = _Watch(export_graph(segmenter, inputs[0], precision).module())
    given, kept = torch.zeros(256, dtype=torch.int64), torch.zeros(256, dtype=torch.int64)  # pixels of every class
    with torch.inference_mode():
        for x in inputs:
            expected = exact.run(x)
            given += torch.bincount(expected.flatten(), minlength=256)
            kept += torch.bincount(expected[expected == half.run(x)], minlength=256)
    pixels = int(given.sum())
    names = segmenter.table.names if segmenter.table else tuple(f"class {i}" for i in range(256))
    lost = tuple(name for i, name in enumerate(names) if given[i] >= LEAST_SHARE * pixels and not kept[i] and given[i])
    limit = torch.finfo(DTYPES[precision]).max
    peaks = [Peak(*_place(node), largest, largest / limit) for node, largest in exact.largest.items()]
    first = next(iter(half.broken), None)
    return Fp16Report(
        precision,
        len(inputs),
        int(kept.sum()) / pixels,
        sum(half.broken.values()),
        " ".join(filter(None, _place(first))) if first else None,
        tuple(sorted(peaks, key=lambda p: -p.largest)),
        lost,
    )


class _Watch(Interpreter):
    """Runs a graph and looks at every float tensor that an operation gives."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.largest: dict[Node, float] = {}
        self.broken: dict[Node, int] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function" and isinstance(result, Tensor) and result.is_floating_point():
            peak = float(result.abs().amax())
            if not np.isfinite(peak):
                self.broken[n] = self.broken.get(n, 0) + int((~result.isfinite()).sum())
            self.largest[n] = max(self.largest.get(n, 0.0), peak)
        return result


def _place(node: Node) -> tuple[str, str]:
    """(module, operation) of a node: ``("model.head.conv", "conv2d")``."""
    stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    layer = list(stack.values())[-1][0] if stack else ""
    return layer.removeprefix("module").removeprefix("."), str(node.target).split(".")[1]
