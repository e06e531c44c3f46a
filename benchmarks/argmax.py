"""Which way to the largest of the classes is the fastest under OpenVINO: its TopK, or comparisons one after another.

    python benchmarks/argmax.py [HxW] [CLASSES …]

Logits at 1/8 are enlarged eight times (bilinear) and give the class of every pixel, as at the end of the networks here.
The package compares up to 14 classes in float32. Both graphs take turns; printed are medians on one thread and their
ratio within each turn. Measure on a quiet machine.
"""

from __future__ import annotations

import io
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.deploy.runtimes.base import without_telemetry
from edgeseg.deploy.runtimes.openvino import compare_in_turn
from edgeseg.text import parse_size, table

STRIDE, TURNS = 8, 30


class _Head(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=float(STRIDE), mode="bilinear").argmax(1).to(torch.int32)


def _compiled(x: Tensor, hint: str, turned: bool) -> Any:
    openvino = without_telemetry("openvino")
    program = torch.onnx.export(_Head().eval(), (x,), dynamo=True, opset_version=18, verbose=False)
    model = openvino.convert_model(io.BytesIO(program.model_proto.SerializeToString()))
    if turned:
        compare_in_turn(model, most=x.shape[1])
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1}
    return openvino.Core().compile_model(model, "CPU", settings).create_infer_request()


def _row(classes: int, size: tuple[int, int], hint: str) -> list[str]:
    x = torch.randn(1, classes, size[0] // STRIDE, size[1] // STRIDE, generator=torch.Generator().manual_seed(0))
    requests = [_compiled(x, hint, turned) for turned in (False, True)]
    same = np.array_equal(*(request.infer([x.numpy()])[0].copy() for request in requests))
    seconds = np.empty((TURNS, 2))
    for turn in range(TURNS):
        for k, request in enumerate(requests):
            begin = time.perf_counter()
            request.infer([x.numpy()], share_inputs=True)
            seconds[turn, k] = time.perf_counter() - begin
    top, turned = 1000 * np.median(seconds, 0)
    ratio = np.median(seconds[:, 0] / seconds[:, 1])
    return [str(classes), hint, f"{top:.1f}", f"{turned:.1f}", f"{ratio:.2f}", "yes" if same else "NO"]


def main(size: str = "512x1024", *classes: str) -> None:
    """Print the table."""
    rows = [
        _row(count, parse_size(size), hint)
        for count in map(int, classes or ("2", "11", "14", "19"))
        for hint in ("f32", "bf16")
    ]
    print(f"{size}, one thread, {TURNS} turns")
    print(table(["classes", "hint", "TopK ms", "in turn ms", "ratio", "same"], rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
