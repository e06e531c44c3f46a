"""OpenVINO: Intel's runtime, the fastest here on x86 processors; runs on AMD and ARM too.

The graph comes from our ONNX and not from the ``ExportedProgram``, which OpenVINO reads too and runs equally fast: from
ONNX the operations can be traced to PyTorch's names, by which layers are left out of int8.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeseg.deploy.quantise import select_layers
from edgeseg.deploy.runtimes.base import DYNAMIC, DeployError, Graph, Runner, Runtime, lacking, without_telemetry
from edgeseg.deploy.runtimes.onnx import INPUT, export_onnx, layer_nodes
from edgeseg.machine import versions
from edgeseg.text import Field

_HINTS = {"fp32": "f32", "bf16": "bf16"}  # OpenVINO's names
_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "u8": "int8", "i8": "int8"}
_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_BIASED = "/WithoutBiases"  # a convolution with a bias becomes two operations
_FOLDED = ("Mul", "Div", "Add", "Sub", "BatchNormalization")
_IN_TURN = 14  # classes that compare_in_turn was seen to be faster with; with 19 OpenVINO no longer joins them
_HEAVY = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")


class OpenVINO(Runtime):
    """OpenVINO on the CPU.

    Precisions: fp32; bf16, weights stored in float32 and computed in bfloat16 (processors with AVX512-BF16 or AMX);
    int8 by NNCF, symmetric weights per channel, calibrated, with NNCF's fast bias correction.

    Options:
        keep: int8: names of convolutions or parts that stay in float, see `edgeseg.deploy.quantise`.
        rest: int8: what everything else computes in, ``"fp32"`` or ``"bf16"``.
        streams: images that are computed beside each other, each by its share of the threads, OpenVINO's mode
            for throughput: `Artefact.predict_batch` uses them all. 1 is its mode for latency.
    """

    name = "openvino"
    precisions = ("fp32", "bf16", "int8")
    suffix = ".xml"  # and a .bin beside it
    dynamic = DYNAMIC
    options: Mapping[str, Field] = MappingProxyType(
        {
            "keep": Field(tuple[str, ...], ()),
            "rest": Field(str, "fp32", choices=("fp32", "bf16")),
            "streams": Field(int, 1, 1, 256),
        }
    )

    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Running takes openvino; building also onnx and onnxscript, and nncf for int8."""
        needed = ["openvino"]
        if building:
            needed += ["onnx", "onnxscript"] + ["nncf"] * (precision == "int8")
        return lacking(needed, "export") or (_no_bf16() if precision == "bf16" else None)

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        openvino = without_telemetry("openvino")
        computes_in = options["rest"] if precision == "int8" else precision
        if computes_in == "bf16" and (reason := _no_bf16()):
            raise DeployError(f"rest=bf16: {reason}")
        hint = _HINTS[computes_in]
        source = export_onnx(graph)
        # without the conversion's clean-up NNCF would not see depthwise weights
        model = openvino.convert_model(io.BytesIO(source.SerializeToString()))
        kept: set[str] = set()
        if precision == "int8":
            layers = _layer_operations(model, source)
            kept = select_layers(layers, options["keep"])
            model = _quantised(model, [layers[name] for name in sorted(kept)], graph.calibration)
        if hint == "f32":
            compare_in_turn(model)
        try:
            openvino.save_model(model, path, compress_to_fp16=False)
        except RuntimeError as error:  # in its own words, whatever the reason
            cure = "Free some space, or set TMPDIR to another folder."
            raise DeployError(f"{path}: cannot be written. {cure}") from error
        runs = _what_runs(_compiled(path, hint, 1))
        _check(precision, hint, runs)
        return {
            "input_name": INPUT,
            "output_name": graph.name,
            "dtypes": runs,
            "kept": sorted(kept),
            "hint": hint,
            "streams": options["streams"],
            "versions": versions("openvino", "nncf") if precision == "int8" else versions("openvino"),
        }

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        streams = facts.get("streams", 1)  # the first release wrote none
        compiled = _compiled(path, facts["hint"], threads, streams)
        if (runs := _what_runs(compiled)) != facts["dtypes"]:
            raise DeployError(
                f"{path}: was built to compute in {facts['dtypes']}, but here it would in {runs}: another processor or "
                "OpenVINO. Export it here."
            )
        free: SimpleQueue[Any] = SimpleQueue()  # requests: one a stream is enough, each computes one input at a time
        for _ in range(streams):
            free.put(compiled.create_infer_request())

        def run(x: Tensor) -> Tensor:
            request = free.get()
            try:
                # the result is a copy: the next call may overwrite the request's own memory
                return torch.from_numpy(request.infer([x.contiguous().numpy()], share_inputs=True)[0])
            finally:
                free.put(request)

        return run


def _core() -> Any:
    return without_telemetry("openvino").Core()


def _capabilities() -> list[str]:
    return list(_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _no_bf16() -> str | None:
    if "BF16" in _capabilities():
        return None
    return "this processor has no bfloat16 instructions (AVX512-BF16 or AMX); take fp32 or int8"


def _compiled(path: Path, hint: str, threads: int | None, streams: int = 1) -> Any:
    goal = "LATENCY" if streams == 1 else "THROUGHPUT"
    settings: dict[str, Any] = {"PERFORMANCE_HINT": goal, "INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": streams}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    return _core().compile_model(path, "CPU", settings)


def _layer_operations(model: Any, source: Any) -> dict[str, str]:
    """Names of the convolutions in PyTorch → names of their operations, which carry the names of the ONNX nodes.

    Where a factor or offset was folded in, the convolution is called after that, or anyhow and the offset after it; so
    the convolution is looked up behind either in the ONNX graph.
    """
    layer_of = {node: layer for layer, node in layer_nodes(source).items()}
    nodes = {name: node for node in source.graph.node for name in (node.name, node.output[0])}
    layers: dict[str, str] = {}
    for operation in model.get_ops():
        if operation.get_type_name() in _CONVOLUTIONS:
            behind = [_convolution_behind(nodes[name], nodes) for name in _names(operation) if name in nodes]
            layers.update((layer_of[node], operation.get_friendly_name()) for node in behind[:1] if node in layer_of)
    return layers


def _names(operation: Any) -> Iterator[str]:
    """Name of an operation and, as long as each is alone in reading the one before, of what adds a constant to it."""
    yield operation.get_friendly_name().removesuffix(_BIASED)
    readers = [reader.get_node() for reader in operation.output(0).get_target_inputs()]
    if len(readers) == 1 and readers[0].get_type_name() in ("Add", "Multiply"):
        types = {readers[0].input_value(i).get_node().get_type_name() for i in (0, 1)}
        if "Constant" in types:
            yield from _names(readers[0])


def _convolution_behind(node: Any, nodes: Mapping[str, Any]) -> str | None:
    """Name of the ONNX node before all factors and offsets; ``None`` where two maps meet on the way."""
    while node.op_type in _FOLDED:
        before = [nodes[name] for name in node.input if name in nodes]
        if len(before) != 1:
            return None
        node = before[0]
    return str(node.name)


def _quantised(model: Any, ignored: Sequence[str], calibration: Sequence[Tensor]) -> Any:
    nncf = without_telemetry("nncf")
    return nncf.quantize(
        model,
        nncf.Dataset([x.contiguous().numpy() for x in calibration]),
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        ignored_scope=nncf.IgnoredScope(names=list(ignored)) if ignored else None,
    )


def compare_in_turn(model: Any, most: int = _IN_TURN) -> None:
    """Write an argmax over few channels as comparisons in turn, in place; the first of equal ones wins, as before.

    OpenVINO joins them to one pass over the maps, where its own TopK in float32 takes twice as long
    (``benchmarks/argmax.py``). In bfloat16 TopK is the faster one: leave it there.

    Args:
        model: an ``openvino.Model``; an argmax over its axis 1 is what is looked for.
        most: classes; an argmax over more stays.
    """
    from openvino import opset13 as opset

    for top in [op for op in model.get_ops() if op.get_type_name() == "TopK" and op.get_axis() == 1]:
        values, indices = top.outputs()
        maps = top.input_value(0)
        classes = maps.get_partial_shape()[1]
        largest = top.get_attributes()["mode"] == "max"
        one = largest and not values.get_target_inputs() and indices.get_partial_shape()[1] == 1
        if not one or classes.is_dynamic or classes.get_length() > most:
            continue
        # by the index of one class each: what a Split gives is copied first
        first, *others = (opset.gather(maps, np.int64(c), np.int64(1)).output(0) for c in range(classes.get_length()))
        best, index = first, opset.constant(0.0, np.float32).output(0)
        for number, scores in enumerate(others, 1):
            larger = opset.greater(scores, best)
            index = opset.select(larger, opset.constant(float(number), np.float32), index).output(0)
            best = opset.maximum(best, scores).output(0)
        whole = opset.convert(index, indices.get_element_type())
        indices.replace(opset.unsqueeze(whole, np.int64(1)).output(0))


def _what_runs(compiled: Any) -> dict[str, int]:
    """Types in which convolutions and matrix products are executed, as the compiled model says itself."""
    runs: Counter[str] = Counter()
    for operation in compiled.get_runtime_model().get_ops():
        about = operation.get_rt_info()
        if "layerType" in about and about["layerType"].astype(str) in _HEAVY:
            found = about["runtimePrecision"].astype(str)
            runs[_NAMES.get(found, found)] += 1
    return dict(runs)


def _check(precision: str, hint: str, runs: Mapping[str, int]) -> None:
    """What was asked for is what runs."""
    wanted = {"fp32": {"float32"}, "bf16": {"bfloat16"}, "int8": {"int8", _NAMES[hint]}}[precision]
    if not set(runs) <= wanted or (precision == "int8" and "int8" not in runs):
        raise DeployError(f"asked for {precision}, but OpenVINO runs {runs}; please report this")
