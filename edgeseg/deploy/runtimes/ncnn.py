"""NCNN, for the Raspberry Pi and other ARM boards and phones: C++ without dependencies, two small files.

pnnx turns the graph into ``.param`` (a text) and ``.bin`` (weights). The ``labels`` graph ends before the argmax, for
which NCNN has no layer: whoever runs the files takes the index of the largest of (classes, H, W), as `Ncnn.open` does.
Its input is float32, 0 to 255. int8 would take ncnn's own command-line tools, which no package brings: not built here.
Compared with the model and timed on x86; on ARM untested.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.deploy.runtimes.base import DeployError, Graph, Runner, Runtime, lacking
from edgeseg.machine import versions

_CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise", "Deconvolution", "InnerProduct")


class Ncnn(Runtime):
    """NCNN on the CPU, one image at a time.

    Precisions: fp32; fp16 stores weights in half, and computes in half where the processor can (ARMv8.2).
    """

    name = "ncnn"
    precisions = ("fp32", "fp16")
    suffix = ".param"
    dynamic = ("size",)
    takes_batches = False

    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Running takes ncnn; building also pnnx."""
        return lacking(("ncnn", "pnnx") if building else ("ncnn",), "ncnn")

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        labels = graph.name == "labels"
        module = _Scores(graph.module) if labels else graph.module
        with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
            traced = Path(folder) / "graph.pt"
            with torch.no_grad():
                torch.jit.trace(module, graph.example.float(), check_trace=False).save(str(traced))
            _convert(traced, tuple(graph.example.shape), precision == "fp16", bool(graph.dims))
            layers = _layers(traced.with_suffix(".ncnn.param"))
            path.write_bytes(traced.with_suffix(".ncnn.param").read_bytes())
            path.with_suffix(".bin").write_bytes(traced.with_suffix(".ncnn.bin").read_bytes())
        stored = "float16" if precision == "fp16" else "float32"
        return {
            "input_name": "in0",
            "output_name": "out0",
            "argmax": labels,  # still to be taken of what the file gives
            "dtypes": {stored: sum(layers[name] for name in _CONVOLUTIONS)},
            "half": precision == "fp16",
            "layers": dict(layers.most_common()),
            "versions": versions("ncnn", "pnnx"),
        }

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        import ncnn

        net = ncnn.Net()
        if threads is not None:
            net.opt.num_threads = threads
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
            setattr(net.opt, option, bool(facts["half"]))
        if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
            raise ValueError("ncnn cannot read it, or the .bin beside it")  # told with the file and the cure

        def run(x: Tensor) -> Tensor:
            pixels = np.ascontiguousarray(x[0].numpy(), np.float32)  # a Mat does not keep what it was made from alive
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(pixels))
            failed, found = extractor.extract("out0")
            if failed:
                raise DeployError(f"{path}: ncnn cannot run it ({failed}), most likely for want of memory")
            scores = np.array(found)  # (classes, h, w), a copy
            return torch.from_numpy(scores.argmax(0).astype(np.int32) if facts["argmax"] else scores)[None]

        return run


class _Scores(nn.Module):
    """A segmenter up to its argmax: (1, 3, H, W) pixels, 0…255 → (1, classes, H, W)."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, pixels: Tensor) -> Tensor:
        return self.segmenter.logits(pixels)  # type: ignore[operator]


def _convert(traced: Path, shape: tuple[int, ...], half: bool, any_size: bool) -> None:
    """Write ``NAME.ncnn.param`` and ``NAME.ncnn.bin`` beside a traced module.

    Given a second shape, pnnx leaves open what differs between the two.
    """
    import pnnx

    shapes = {"inputshape": shape}
    if any_size:
        shapes["inputshape2"] = (*shape[:2], shape[2] + 32, shape[3] + 64)
    texts = [f"{name}=[{','.join(map(str, sides))}]f32" for name, sides in shapes.items()]
    command = [pnnx.EXEC_PATH, traced.name, *texts, f"fp16={int(half)}"]
    done = subprocess.run(command, cwd=traced.parent, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not traced.with_suffix(".ncnn.bin").is_file():
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise DeployError(f"pnnx cannot convert the network: {last}. Take another runtime, e.g. onnx.")


def _layers(param: Path) -> Counter[str]:
    """How many layers of which kind a ``.param`` file has.

    Raises:
        DeployError: it has none that NCNN knows: pnnx writes what it cannot convert under PyTorch's name.
    """
    layers = Counter(line.split()[0] for line in param.read_text(encoding="utf-8").splitlines()[2:])
    if foreign := sorted(name for name in layers if "." in name or "::" in name):
        raise DeployError(f"ncnn has no layer for {', '.join(foreign)}. Take another runtime, e.g. onnx.")
    return layers
