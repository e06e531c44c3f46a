"""TensorRT through Torch-TensorRT 2.8 to 2.14: one engine, in number types that are proved and not merely asked for.

Four traps, and what is done about them. (1) Asking for FP16: ``enabled_precisions`` was honoured up to 2.9, refused up
to 2.12, and is swallowed without a word since 2.13, as is every option that `compile` does not know; the engine is then
FP32. Here every option is checked against the installed version's signature, networks are strongly typed in all
versions (TensorRT then computes in the graph's own types), and the exported graph's types are counted. (2) An operation
without a converter silently splits the engine: here that is an error which names it. (3) uint8 inputs are converted,
but the C++ runtime then refuses to run them (its table of types has no uint8, core/util/trt_util.cpp): pixels are cast
just before the engine. (4) An engine belongs to one GPU and one TensorRT version: both are kept with it and compared
when it is opened.

What was tried, on a machine without a GPU: export, types, options, lowering, the converters' validators and the
partitioning (tests/test_tensorrt_coverage.py). **Untested**, because no GPU with TensorRT was at hand: building an
engine, saving, loading and running it, the cache, CUDA graphs, and int8 and fp8 beyond the quantised graph. They are
written as the documentation and the packages' source have them.
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import inspect
import operator
import platform
import re
import sys
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgeseg.deploy.runtimes.base import DeployError, Graph, Runner, Runtime
from edgeseg.deploy.runtimes.graph import DTYPES, compute_dtypes, dtype_name, export_graph
from edgeseg.files import cache_folder
from edgeseg.text import Field

QUANTISED = ("int8", "fp8")
FIRST_GPUS = MappingProxyType({"bf16": (8, 0), "fp8": (8, 9)})
"""Compute capability of the first GPUs that have a type. Orin is 8.7: it has bf16 and int8, and no fp8."""
_NOT_FOR_COMPILE = ("cuda_graphs", "rest")  # options of ours that torch_tensorrt.dynamo.compile never sees
_LAUNCH = threading.Lock()  # the switch for CUDA graphs is the process's, and an engine has one execution context


class TensorRT(Runtime):
    """One TensorRT engine for the whole graph, saved as an ``ExportedProgram`` that holds it (``.ep``).

    Options, under the names of ``torch_tensorrt.dynamo.compile`` except the last two:

    - ``optimization_level``: 0…5, how long to search for fast kernels; ``None``: TensorRT's default, 3.
    - ``hardware_compatible``: an engine for Ampere and later instead of this GPU alone; slower. Not on Jetson.
    - ``offload_module_to_cpu``: free the GPU of the PyTorch weights while building, for boards with 8 GB.
    - ``disable_tf32``: on by default, so that fp32 means it: TF32 keeps 10 bits of the mantissa.
    - ``workspace_size``: bytes that a layer may use; 0: no limit.
    - ``cuda_graphs``: replay the launches from a CUDA graph; for all engines of the process, see
      ``torch_tensorrt.runtime.set_cudagraphs_mode``.
    - ``rest``: what int8 and fp8 graphs compute in where nothing is quantised, ``"fp16"`` or ``"fp32"``.

    The timing cache, which makes a second build faster, lies under ``$EDGESEG_CACHE`` or the user's cache folder, in
    ``tensorrt/VERSION-GPU``. Tested and untested parts: see the module.
    """

    name = "tensorrt"
    precisions = ("fp32", "fp16", "bf16", "int8", "fp8")
    suffix = ".ep"
    device = "cuda"
    options: Mapping[str, Field] = MappingProxyType(
        {
            "optimization_level": Field(int | None, None, 0, 5),
            "hardware_compatible": Field(bool, False),
            "offload_module_to_cpu": Field(bool, False),
            "disable_tf32": Field(bool, True),
            "workspace_size": Field(int, 0, 0),
            "cuda_graphs": Field(bool, True),
            "rest": Field(str, "fp16", choices=("fp16", "fp32")),
        }
    )

    def why_not(self, precision: str, building: bool = True) -> str | None:
        if sys.platform == "darwin":
            return "there is no TensorRT for macOS; take onnx or eager"
        if torch.version.cuda is None:
            return f"it needs an NVIDIA GPU, and this PyTorch is built without CUDA; with a GPU: {_how_to_install()}"
        if not torch.cuda.is_available():
            return "it needs an NVIDIA GPU, and PyTorch finds none (see nvidia-smi); without one take onnx or openvino"
        for package in ("torch_tensorrt", "tensorrt"):
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed; {_how_to_install()}"
        if reason := _wrong_pair(torch.__version__, importlib.metadata.version("torch_tensorrt")):
            return reason
        if building and precision in QUANTISED and importlib.util.find_spec("modelopt") is None:
            return f"{precision} needs NVIDIA's quantiser; pip install nvidia-modelopt"
        if torch.cuda.get_device_capability() < FIRST_GPUS.get(precision, (0, 0)):
            return f"{torch.cuda.get_device_name()} has no {precision}; take fp16 or int8"
        return None

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Untested on a GPU from the compilation on; see the module."""
        import torch_tensorrt

        here = machine()
        timings = timing_cache(here)
        settings = compile_settings(signature(), options, timings, here["torch_tensorrt"])
        timings.parent.mkdir(parents=True, exist_ok=True)
        on_gpu = replace(graph, module=copy.deepcopy(graph.module).cuda(), example=graph.example.cuda())
        program, example = typed_program(on_gpu, precision, options["rest"])
        torch_tensorrt.save(compile_program(program, example, settings), str(path), arg_inputs=[example])
        return {
            **here,
            "dtypes": compute_dtypes(program),
            "engine_input": dtype_name(example.dtype),
            "quantised": quantised_tensors(program),
            "engines": 1,
            "tf32": precision == "fp32" and not options["disable_tf32"],
            "hardware_compatible": options["hardware_compatible"],
            "cuda_graphs": options["cuda_graphs"],
        }

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        """Untested on a GPU."""
        import torch_tensorrt

        check_machine(path, facts, machine())
        module = torch_tensorrt.load(str(path)).module()
        runtime, graphs = torch_tensorrt.runtime, bool(facts["cuda_graphs"])
        dtype = getattr(torch, facts["engine_input"])

        def run(x: Tensor) -> Tensor:
            with _LAUNCH:
                if runtime.get_cudagraphs_mode() != graphs:  # another artefact may have set it
                    runtime.set_cudagraphs_mode(graphs)
                return module(x.to(dtype))

        return run


# the graph ------------------------------------------------------------------------------------------------------------


def typed_program(graph: Graph, precision: str, rest: str = "fp16") -> tuple[ExportedProgram, Tensor]:
    """The graph that TensorRT is given, and the example as it takes it: uint8 pixels become floats, exactly.

    Module and example are on one device; for int8 and fp8 the module is quantised in place.

    Raises:
        DeployError: other types than asked for, or nothing quantised.
    """
    computes_in = rest if precision in QUANTISED else precision
    example = graph.example if graph.example.is_floating_point() else graph.example.to(DTYPES[computes_in])
    if precision not in QUANTISED:
        return export_graph(graph.module, example, precision), example
    quantise(graph.module, graph.calibration, precision, example.device)
    with import_module("modelopt.torch.quantization.utils").export_torch_mode():
        program = export_graph(graph.module, example, computes_in)
    if not quantised_tensors(program):
        raise DeployError(f"asked for {precision}, but nothing in the graph is quantised; please report this")
    return program, example


def quantise(module: nn.Module, calibration: Sequence[Tensor], precision: str, device: torch.device) -> None:
    """Let NVIDIA's modelopt put quantisers around convolutions, in place: weights per channel (int8), maps per tensor.

    Tried on a CPU with modelopt 0.47: fp8 calibrates, exports and becomes one engine in a dry run; int8 calibrates, and
    its export needs a GPU. Source: docs.pytorch.org/TensorRT, "Quantization (INT8 / FP8 / FP4)".
    """
    mtq = import_module("modelopt.torch.quantization")

    def run(model: nn.Module) -> None:
        for x in calibration:
            model(x.to(device))

    with torch.no_grad():
        mtq.quantize(module, mtq.INT8_DEFAULT_CFG if precision == "int8" else mtq.FP8_DEFAULT_CFG, forward_loop=run)


def quantised_tensors(program: ExportedProgram) -> int:
    """How many tensors of a graph pass a quantiser."""
    return sum(node.op == "call_function" and "quantize_op" in str(node.target) for node in program.graph.nodes)


# options --------------------------------------------------------------------------------------------------------------


def signature() -> Mapping[str, inspect.Parameter]:
    """The parameters of the installed ``torch_tensorrt.dynamo.compile``."""
    import torch_tensorrt

    return inspect.signature(torch_tensorrt.dynamo.compile).parameters


def compile_settings(
    known: Collection[str], options: Mapping[str, Any], timings: Path, version: str = ""
) -> dict[str, Any]:
    """The arguments of ``torch_tensorrt.dynamo.compile``, for one version of it with its `signature`.

    Raises:
        DeployError: the version does not have an option: it would swallow it.
    """
    settings = {k: v for k, v in options.items() if v is not None and k not in _NOT_FOR_COMPILE}
    settings |= {"timing_cache_path": str(timings), "require_full_compilation": True, "min_block_size": 1}
    if "use_explicit_typing" in known:  # 2.8 to 2.12; later versions know nothing else
        settings["use_explicit_typing"] = True
    if absent := [key for key in settings if key not in known]:
        raise DeployError(
            f"torch-tensorrt {version} does not have {', '.join(absent)} and would ignore it; leave it at its default"
        )
    return settings


def timing_cache(here: Mapping[str, str]) -> Path:
    """Where the timings of this GPU and TensorRT version are kept: they are not good for another."""
    return cache_folder("tensorrt", re.sub(r"[^A-Za-z0-9.]+", "-", f"{here['tensorrt']}-{here['gpu']}"), "timing.bin")


# the engine -----------------------------------------------------------------------------------------------------------


def compile_program(program: ExportedProgram, example: Tensor, settings: Mapping[str, Any]) -> nn.Module:
    """Build the engine of a `typed_program` and its example, with `compile_settings`.

    Raises:
        DeployError: an operation that TensorRT does not take; names it.
    """
    import torch_tensorrt

    build = torch_tensorrt.dynamo.compile
    with torch.no_grad():
        try:
            compiled = build(program, inputs=[example], **settings)
        except AssertionError:  # not fully supported; a dry run says what is left over
            partial = {**settings, "require_full_compilation": False, "dryrun": True}
            check_engine(build(program, inputs=[example], **partial))
            raise
    check_engine(compiled)
    return compiled


def engines_and_rest(compiled: nn.Module) -> tuple[list[str], Counter[str]]:
    """Names of the engines in a compiled (or partitioned) graph, and the operations that stayed outside them."""
    engines = [name for name, _ in compiled.named_children() if name.startswith("_run_on_acc")]
    others = [compiled, *(part for name, part in compiled.named_children() if name not in engines)]
    nodes = [n for graph in others if isinstance(graph, torch.fx.GraphModule) for n in graph.graph.nodes]
    calls = (n.target for n in nodes if n.op == "call_function" and n.target is not operator.getitem)
    return engines, Counter(map(str, calls))


def check_engine(compiled: nn.Module) -> None:
    """Refuse anything but one engine that holds the whole graph.

    Raises:
        DeployError: more or fewer engines, or operations outside; names them.
    """
    engines, rest = engines_and_rest(compiled)
    if len(engines) != 1 or rest:
        outside = ", ".join(f"{n} x {name}" for name, n in rest.most_common()) or "none"
        raise DeployError(
            f"the graph became {len(engines)} TensorRT engines instead of one; operations outside: {outside}. Replace "
            "them in the model by ones that TensorRT has (docs/jetson.md), or take the onnx runtime"
        )


# the machine ----------------------------------------------------------------------------------------------------------


def machine() -> dict[str, str]:
    """GPU and versions that an engine is bound to."""
    import tensorrt
    import torch_tensorrt

    major, minor = torch.cuda.get_device_capability()
    return {
        "gpu": torch.cuda.get_device_name(),
        "capability": f"{major}.{minor}",
        "tensorrt": str(tensorrt.__version__),
        "torch_tensorrt": str(torch_tensorrt.__version__),
    }


def check_machine(file: Path, facts: Mapping[str, Any], here: Mapping[str, str]) -> None:
    """Refuse an engine of another GPU or version, before TensorRT does so in its own words, or does not."""
    keys = ["tensorrt", "torch_tensorrt"]
    if not facts["hardware_compatible"] or float(here["capability"]) < 8:
        keys.append("gpu")
    other = [f"{key} {facts[key]} (here {here[key]})" for key in keys if facts[key] != here[key]]
    if other:
        raise DeployError(
            f"{file}: built for {', '.join(other)}. An engine runs only where it was built: run edgeseg export MODEL "
            "--runtime tensorrt on this machine"
        )


def _wrong_pair(torch_version: str, version: str) -> str | None:
    """Why these two cannot be loaded together: each Torch-TensorRT is compiled for one PyTorch."""
    ours, theirs = (".".join(v.split(".")[:2]) for v in (torch_version, version))
    if ours == theirs:
        return None
    return (
        f"torch-tensorrt {version} is made for torch {theirs}, and this is torch {torch_version}; "
        f'pip install "torch=={theirs}.*", or the torch-tensorrt of {ours} where there is one'
    )


def _how_to_install() -> str:
    return "on a Jetson follow docs/jetson.md" if "tegra" in platform.release() else 'pip install "edgeseg[tensorrt]"'
