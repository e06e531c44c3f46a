"""ONNX, the format that every vendor's tools read, and ONNX Runtime, which runs it.

On a Jetson the same file becomes a TensorRT engine without any Python. JetPack brings the tool; build on the device
that will run the engine (commands from NVIDIA's manual, not tried here)::

    edgeseg export cross_cbam_m.streets --runtime onnx --size 512x1024 --out artefact          # anywhere
    /usr/src/tensorrt/bin/trtexec --onnx=artefact/labels.onnx --saveEngine=labels.engine --fp16 --skipInference
    /usr/src/tensorrt/bin/trtexec --loadEngine=labels.engine --useCudaGraph --useSpinWait --warmUp=30000 \\
        --duration=60 --iterations=1024

- int8: export with ``precision="int8", symmetric=True`` (TensorRT takes no zero points) and add ``--int8`` beside
  ``--fp16``; the scales are in the file, so that trtexec needs no calibration cache.
- A TensorRT that has given up ``--fp16`` (11) or warns of it: export with ``precision="fp16"`` and say
  ``--stronglyTyped`` in its place.
- Out of memory on 8 GB: add ``--memPoolSize=workspace:1024``.

Opset 18 is the default because TensorRT 10's parser (JetPack 6) reads all of it.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from edgeseg.deploy.quantise import select_layers
from edgeseg.deploy.runtimes.base import DYNAMIC, DeployError, Graph, Runner, Runtime, lacking, without_telemetry
from edgeseg.deploy.runtimes.graph import AXES, export_graph
from edgeseg.machine import versions
from edgeseg.text import Field

INPUT = "image"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_ACTIVATIONS = ("Relu", "Clip")  # a ReLU6 is a Clip: what lies above 6 must not widen the range of the 256 steps
_WHOLE = 2**31 - 1024  # bytes that one protobuf can hold


class OnnxRuntime(Runtime):
    """ONNX, run by ONNX Runtime on the CPU.

    Precisions: fp32; int8, static and per channel, of convolutions only, as quantise-dequantise pairs that other tools
    read too; fp16, a graph for TensorRT: ONNX Runtime's CPU kernels compute it in float32 (``runs`` in the facts).

    Options:
        opset: of the graph, 18 to 20.
        keep: int8: names of convolutions or parts that stay in float, see `edgeseg.deploy.quantise`.
        symmetric: int8: signed activations around zero, as TensorRT wants them. Slower on the CPU, where a ReLU then
            cannot be merged and half the convolutions run in float32 (``runs`` in the facts).
        provider: ``"cpu"``; ``"cuda"`` or ``"tensorrt"`` with onnxruntime-gpu (tensors still come from and go to the
            CPU). The last two are untested.
    """

    name = "onnx"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    suffix = ".onnx"
    dynamic: tuple[str, ...] = DYNAMIC
    options: Mapping[str, Field] = MappingProxyType(
        {
            "opset": Field(int, 18, 18, 20),
            "keep": Field(tuple[str, ...], ()),
            "symmetric": Field(bool, False),
            "provider": Field(str, "cpu", choices=tuple(_PROVIDERS)),
        }
    )

    def why_not(self, precision: str, building: bool = True) -> str | None:
        """Running takes onnxruntime; building also onnx and onnxscript."""
        needed = ("onnx", "onnxscript", "onnxruntime") if building else ("onnxruntime",)
        return lacking(needed, "export")

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        _provider(options["provider"])
        model = export_onnx(graph, "fp32" if precision == "int8" else precision, options["opset"])
        kept: set[str] = set()
        if precision == "int8":
            layers = layer_nodes(model)
            kept = select_layers(layers, options["keep"])
            model = _quantised(model, [layers[name] for name in kept], graph.calibration, options["symmetric"])
        names = {"input_name": INPUT, "output_name": graph.name}
        _describe(model, {**graph.about, **names})
        path.write_bytes(model.SerializeToString())
        runs = _what_runs(path)
        if precision == "int8" and not runs.get("int8"):
            raise DeployError(f"asked for int8, but ONNX Runtime runs {runs}; keep fewer layers in float")
        return {
            **names,
            **graph_facts(model),
            "runs": runs,
            "kept": sorted(kept),
            "provider": options["provider"],
            "versions": versions("onnx", "onnxscript", "onnxruntime"),
        }

    def open(self, path: Path, facts: Mapping[str, Any], threads: int | None = None) -> Runner:
        provider = _provider(facts["provider"])
        session = _session(path, threads, provider)
        if session.get_providers()[0] != provider:
            raise DeployError(
                f"{path}: {provider} was asked for, but ONNX Runtime took {session.get_providers()[0]}. Its CUDA "
                "libraries do not fit; or export with provider=cpu"
            )
        return lambda x: torch.from_numpy(session.run(None, {INPUT: x.contiguous().numpy()})[0])


def export_onnx(graph: Graph, precision: str = "fp32", opset: int = 18) -> Any:
    """A graph as a checked ONNX model, without the traces of source files that the exporter adds.

    Args:
        graph: its name becomes the output's; the input is called ``image``.
        precision: ``"fp32"`` or ``"fp16"``.
        opset: 18 to 20.

    Returns:
        An ``onnx.ModelProto``. Weights are called as in PyTorch, also where batch normalisation was folded into them.
    """
    import onnx

    exported = torch.onnx.export(
        export_graph(graph.module, graph.example, precision, graph.dims),
        dynamic_shapes=({axis: AXES[axis] for axis in graph.dims},) if graph.dims else None,  # their names in the file
        input_names=[INPUT],
        output_names=[graph.name],
        opset_version=opset,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert exported is not None
    model = exported.model_proto
    if model.ByteSize() > _WHOLE:
        raise DeployError("the model has more than 2 GB, which one ONNX file cannot hold; take another runtime")
    inside = model.graph
    for part in (*inside.node, *inside.value_info, *inside.input, *inside.output, *inside.initializer, inside, model):
        del part.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def _describe(model: Any, about: Mapping[str, Any]) -> None:
    """What a reader needs who has the file alone, as the file's metadata: texts, and JSON where it is more than one."""
    import onnx

    told = {key: value for key, value in about.items() if key not in ("format", "options")}
    if "classes" in told:
        told["classes"] = [entry["name"] for entry in told["classes"]]
    onnx.helper.set_model_props(
        model, {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in told.items()}
    )


def layer_nodes(model: Any) -> dict[str, str]:
    """Names of the convolutions in PyTorch → names of their nodes; the weights bring the former along."""
    return {n.input[1].removesuffix(".weight"): n.name for n in model.graph.node if n.op_type == "Conv"}


def graph_facts(model: Any) -> dict[str, Any]:
    """Opset, operators, types of the stored tensors, and how many convolutions take which type."""
    graph = model.graph
    stored = _stored(graph)
    quantised = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    dtypes: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type == "Conv":
            both = node.input[0] in quantised and node.input[1] in quantised
            dtypes["int8" if both else _float_name(stored.get(node.input[1], "float"))] += 1
    return {
        "opset": next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        "ops": dict(Counter(n.op_type for n in graph.node).most_common()),
        "stored": dict(Counter(stored.values()).most_common()),
        "dtypes": dict(dtypes),
    }


def _stored(graph: Any) -> dict[str, str]:
    """Element type of every tensor that the file holds."""
    from onnx import TensorProto

    return {i.name: TensorProto.DataType.Name(i.data_type).lower() for i in graph.initializer}


def _float_name(name: str) -> str:
    return "float32" if name == "float" else name


def _quantised(model: Any, excluded: Sequence[str], calibration: Sequence[Tensor], symmetric: bool) -> Any:
    """Quantise-dequantise pairs around every convolution but the excluded nodes.

    A ReLU is listed too so that its result, and not what it is about to cut off, sets the range.
    """
    import onnx

    without_telemetry("onnxruntime")
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.inputs: Iterator[Tensor] = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            x = next(self.inputs, None)
            return None if x is None else {INPUT: x.contiguous().numpy()}

    with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            copy.deepcopy(model),  # it is changed on the way
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", *_ACTIVATIONS],
            nodes_to_exclude=list(excluded),
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            # TensorRT's parser reads no DequantizeLinear of INT32, which is what a rounded bias becomes
            extra_options={"ActivationSymmetric": symmetric, "QuantizeBias": not symmetric},
        )
        quantised = onnx.load(path)
    _give_floats(quantised, model, excluded)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _give_floats(quantised: Any, original: Any, nodes: Sequence[str]) -> None:
    """Let these nodes read what they read before: the quantiser rounds every convolution's result, whoever reads it.

    It also merges an activation into the rounding and gives its name to what comes before; it is put back for these
    nodes.
    """
    from onnx import helper

    graph = quantised.graph
    reads = {node.name: node.input[0] for node in original.graph.node}
    cut = {node.output[0]: node for node in original.graph.node if node.op_type in _ACTIVATIONS}
    for name in {node.output[0] for node in graph.node if node.op_type in _ACTIVATIONS}:
        cut.pop(name, None)
    for node in [n for n in graph.node if n.name in nodes]:
        tensor = reads[node.name]
        if tensor in cut:
            again = f"{tensor}_for_{node.name}"
            position = list(graph.node).index(node)
            kind = cut[tensor].op_type
            bounds = [_constant(original.graph, name, f"{again}_{i}") for i, name in enumerate(cut[tensor].input[1:])]
            graph.initializer.extend(bounds)
            inputs = [tensor, *(bound.name for bound in bounds)]
            graph.node.insert(position, helper.make_node(kind, inputs, [again], name=f"{again}_{kind.lower()}"))
            tensor = again
        node.input[0] = tensor
    for kind in ("DequantizeLinear", "QuantizeLinear"):  # in this order: the second may have served the first alone
        read = {name for node in graph.node for name in node.input}
        for node in [n for n in graph.node if n.op_type == kind and not read & set(n.output)]:
            graph.node.remove(node)


def _constant(graph: Any, name: str, called: str) -> Any:
    """A stored number that a node reads, perhaps through casts, as float32 under another name."""
    from onnx import numpy_helper

    makers = {output: node for node in graph.node for output in node.output}
    while name in makers:
        name = makers[name].input[0]
    stored = next(tensor for tensor in graph.initializer if tensor.name == name)
    return numpy_helper.from_array(numpy_helper.to_array(stored).astype("float32"), called)


def _session(path: Path, threads: int | None, provider: str = _PROVIDERS["cpu"], optimised: Path | None = None) -> Any:
    onnxruntime = without_telemetry("onnxruntime")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or 0
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    # a waiting pool that spins steals the time of everything else on the machine, other models' timings included
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if optimised is not None:
        settings.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(str(path), settings, providers=[provider, _PROVIDERS["cpu"]])


def _what_runs(path: Path) -> dict[str, int]:
    """Types in which ONNX Runtime's CPU kernels compute the convolutions, from the graph as it has rewritten it."""
    import onnx

    with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
        optimised = Path(folder) / "optimised.onnx"
        _session(path, 1, optimised=optimised)
        graph = onnx.load(optimised).graph
    stored = _stored(graph)
    runs: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type.startswith("QLinearConv"):
            runs["int8"] += 1
        elif node.op_type in ("Conv", "FusedConv", "NhwcFusedConv"):
            runs[_float_name(stored.get(node.input[1], "float"))] += 1
    return dict(runs)


def _provider(name: str) -> str:
    """ONNX Runtime's name of a provider that is installed."""
    onnxruntime = without_telemetry("onnxruntime")
    if _PROVIDERS[name] not in onnxruntime.get_available_providers():
        raise DeployError(
            f"provider={name}: this onnxruntime has no {_PROVIDERS[name]}. With an NVIDIA GPU: pip uninstall "
            "onnxruntime, pip install onnxruntime-gpu; else take provider=cpu"
        )
    return _PROVIDERS[name]
