"""Torch-TensorRT without TensorRT and without a GPU: as far as its Python half goes.

A stand-in module takes the place of NVIDIA's `tensorrt`. Lowering, the converters' registry and validators and the
partitioner then really run (`compile(…, dryrun=True)`); converter bodies, the builder and engines cannot. As a script
it takes jobs as JSON and prints one line of JSON for each; tests run it as a process of its own, because a stand-in in
``sys.modules`` must meet no other test::

    python tests/tensorrt_standin.py '[{"model": "cross_cbam_m", "size": [360, 480], "precision": "fp16"}]'
"""

from __future__ import annotations

import contextlib
import enum
import importlib.machinery
import importlib.util
import io
import json
import logging
import os
import sys
import time
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Those whose members Torch-TensorRT compares or uses as keys, and which must therefore differ.
_ENUMS = {
    "DataType": "FLOAT HALF BF16 INT8 INT32 INT64 UINT8 BOOL FP8 FP4 INT4 E8M0",
    "DeviceType": "GPU DLA",
    "EngineCapability": "STANDARD SAFETY DLA_STANDALONE",
    "TensorFormat": "LINEAR CHW2 CHW4 CHW16 CHW32 HWC HWC8 HWC16 DHWC DHWC8 CDHW32 DLA_LINEAR DLA_HWC4",
    "TensorLocation": "DEVICE HOST",
    "TensorIOMode": "NONE INPUT OUTPUT",
    "HardwareCompatibilityLevel": "NONE AMPERE_PLUS SAME_COMPUTE_CAPABILITY",
    "TilingOptimizationLevel": "NONE FAST MODERATE FULL",
}
_ALIASES = {"float": "FLOAT", "float32": "FLOAT", "float16": "HALF", "half": "HALF", "bfloat16": "BF16"} | {
    name: name.upper() for name in ("int8", "int32", "int64", "uint8", "bool", "fp8", "fp4")
}


class _AnyClass(type):
    """A class with every attribute, each again such a class; ``X | None`` is X."""

    def __getattr__(cls, name: str) -> _AnyClass:
        return _made_up(cls, name)

    def __or__(cls, other: object) -> _AnyClass:
        return cls

    __ror__ = __or__


class _StandIn(types.ModuleType):
    def __getattr__(self, name: str) -> _AnyClass:
        if name == "tensorrt_rtx":  # its presence would choose another product
            raise AttributeError(name)
        return _made_up(self, name)


def _made_up(owner: Any, name: str) -> _AnyClass:
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    new = _AnyClass(name, (), {"__init__": lambda self, *args, **kwargs: None})
    setattr(owner, name, new)
    return new


def install(version: str = "11.1.0") -> types.ModuleType:
    """Put the stand-in in its place and import `torch_tensorrt`, without its C++ libraries, which want the real one."""
    if importlib.util.find_spec("tensorrt") is not None:
        raise RuntimeError("TensorRT is installed here; a stand-in has no place beside it")
    stand_in = _StandIn("tensorrt")
    stand_in.__version__, stand_in.__file__, stand_in.__path__ = version, __file__, []
    stand_in.__spec__ = importlib.machinery.ModuleSpec("tensorrt", loader=None, is_package=True)
    stand_in.__package__ = "tensorrt"
    for name, members in _ENUMS.items():
        setattr(stand_in, name, enum.Enum(name, members))
    for name, member in _ALIASES.items():
        setattr(stand_in, name, stand_in.DataType[member])
    stand_in.tensorrt = stand_in
    sys.modules["tensorrt"] = stand_in

    libraries = str(Path(importlib.util.find_spec("torch_tensorrt").origin).parent / "lib")
    real = os.path.isfile
    os.path.isfile = lambda path: not os.fspath(path).startswith(libraries) and real(path)
    try:
        with no_gpu():
            import torch_tensorrt
    finally:
        os.path.isfile = real
    logging.getLogger("torch_tensorrt").setLevel(logging.ERROR)
    return torch_tensorrt


@contextlib.contextmanager
def no_gpu() -> Iterator[None]:
    """Answer the three questions about a GPU that are asked at import and by every compilation; be quiet meanwhile."""
    import torch

    answers = {
        "get_device_capability": lambda *args: (0, 0),
        "current_device": lambda: 0,
        "mem_get_info": lambda *args: (1, 1),
    }
    real = {name: getattr(torch.cuda, name) for name in answers}
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, function in real.items():
            setattr(torch.cuda, name, function)


def settings(**changes: Any) -> dict[str, Any]:
    """What edgeseg gives to ``torch_tensorrt.dynamo.compile``, as a dry run."""
    from edgeseg.deploy.runtimes.tensorrt import TensorRT, compile_settings, signature

    ours = compile_settings(signature(), TensorRT().checked_options({}), Path("unused"))
    return {**ours, "device": "cuda:0", "dryrun": True, **changes}


def control(model: Any) -> Any:
    """The network with PyTorch's own global max pool in the place of ours: TensorRT has no converter for it."""
    import torch

    from edgeseg.models.layers import GlobalMaxPool

    class TorchMaxPool(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.adaptive_max_pool2d(x, 1)

    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, GlobalMaxPool):
                setattr(module, name, TorchMaxPool())
    return model


def dry_run(job: dict[str, Any]) -> dict[str, Any]:
    """Partition one graph.

    Args:
        job: ``model``, ``size`` (H, W), ``precision``; further ``switches`` of the model, ``graph`` (``"labels"``,
            pixels → classes, or ``"logits"``), ``dynamic`` (batch 1 to 8), ``control`` (with a max pool that must not
            pass).

    Returns:
        The job with the engines' number, the operations ``outside``, the ``types`` of convolutions inside the engines,
        the number of ``operations`` inside, and seconds.
    """
    import torch
    import torch_tensorrt

    from edgeseg.deploy.runtimes.base import Graph
    from edgeseg.deploy.runtimes.tensorrt import engines_and_rest, typed_program
    from edgeseg.inference import Segmenter
    from edgeseg.models.registry import create_model

    started = time.perf_counter()
    model = create_model(job["model"], 11, **job.get("switches", {}))
    segmenter = Segmenter(control(model) if job.get("control") else model, (0.4, 0.4, 0.4), (0.25, 0.25, 0.25))
    module = segmenter if job.get("graph", "labels") == "labels" else segmenter.model
    example = torch.zeros(1, 3, *job["size"], dtype=torch.uint8 if module is segmenter else torch.float32)
    if job.get("dynamic"):
        program, example = _dynamic(module, example, job["precision"])
    else:
        program, example = typed_program(Graph("graph", module, example), job["precision"])
    with no_gpu(), torch.no_grad():
        full = not job.get("control")
        compiled = torch_tensorrt.dynamo.compile(program, inputs=[example], **settings(require_full_compilation=full))
    engines, outside = engines_and_rest(compiled)
    inside = [n for e in engines for n in getattr(compiled, e).graph.nodes if n.op == "call_function"]
    types_inside = Counter(str(n.meta["val"].dtype) for n in inside if "convolution" in str(n.target))
    return {
        **job,
        "engines": len(engines),
        "outside": dict(outside),
        "types": dict(types_inside),
        "operations": len(inside),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _dynamic(module: Any, example: Any, precision: str) -> tuple[Any, Any]:
    """The graph for batches of 1 to 8, which edgeseg does not ship (its artefacts have one size), but could."""
    import torch
    import torch_tensorrt

    from edgeseg.deploy.runtimes.graph import DTYPES, in_precision

    example = example.to(DTYPES[precision]).expand(2, -1, -1, -1).contiguous()
    with torch.no_grad():
        program = torch.export.export(
            in_precision(module, precision), (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=8)},)
        )
    shape = tuple(example.shape[1:])
    return program, torch_tensorrt.Input(
        min_shape=(1, *shape), opt_shape=(1, *shape), max_shape=(8, *shape), dtype=example.dtype
    )


def main() -> None:
    """Run the jobs of the first argument."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    install()
    for job in json.loads(sys.argv[1]):
        print(json.dumps(dry_run(job)), flush=True)


if __name__ == "__main__":
    main()
