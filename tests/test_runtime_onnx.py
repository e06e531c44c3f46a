"""ONNX: a checked file that says what it computes in, half and int8 that are so, and layers left in float."""

from __future__ import annotations

import pytest
import torch

from compiled_networks import (
    CONVOLUTIONS,
    SIZE,
    compiled,
    needs,
    rounding,
    tiny_segmenter,
    trained_segmenter,
    worst_error,
)
from edgeseg.deploy import Artefact, DeployError, compile

onnx = pytest.importorskip("onnx", reason='onnx not installed: pip install "edgeseg[export]"')
pytestmark = needs("onnx")

KEPT = ("context", "classifier")


def graph_of(artefact: Artefact, name: str = "labels") -> onnx.GraphProto:
    return onnx.load(artefact.folder / f"{name}.onnx").graph


@pytest.fixture(scope="module")
def plain() -> Artefact:
    return compiled(trained_segmenter(), "onnx")


@pytest.fixture(scope="module")
def int8() -> Artefact:
    return compiled(trained_segmenter(), "onnx", "int8", "labels", keep=KEPT)


def test_the_file_has_one_static_input_and_opset_18(plain):
    facts = plain.about["graphs"]["labels"]
    assert facts["opset"] == 18
    assert facts["dtypes"] == facts["runs"] == {"float32": CONVOLUTIONS}
    assert facts["ops"]["Conv"] == CONVOLUTIONS
    assert "BatchNormalization" not in facts["ops"]
    assert facts["bytes"] == (plain.folder / "labels.onnx").stat().st_size
    for name, kind in (("labels", onnx.TensorProto.UINT8), ("logits", onnx.TensorProto.FLOAT)):
        (tensor,) = graph_of(plain, name).input
        assert (tensor.name, tensor.type.tensor_type.elem_type) == ("image", kind)
        assert [d.dim_value for d in tensor.type.tensor_type.shape.dim] == [1, 3, *SIZE]
        assert [o.name for o in graph_of(plain, name).output] == [name]


def test_the_file_says_nothing_of_the_machine_that_made_it(plain):
    assert b".py" not in (plain.folder / "labels.onnx").read_bytes()


def test_int8_is_int8_but_for_what_was_kept(int8):
    facts = int8.about["graphs"]["labels"]
    layers = trained_segmenter().model.named_modules()
    kept = [name for name, m in layers if isinstance(m, torch.nn.Conv2d) and name.startswith(KEPT)]
    assert facts["kept"] == sorted(f"model.{name}" for name in kept)
    assert facts["dtypes"] == {"int8": CONVOLUTIONS - len(kept), "float32": len(kept)}
    # those whose results are wanted unrounded cannot run in int8 either
    assert CONVOLUTIONS - 2 * len(kept) <= facts["runs"]["int8"] <= CONVOLUTIONS - len(kept)
    floats = [n for n in graph_of(int8).node if n.op_type == "Conv" and not n.input[1].endswith("Linear_Output")]
    assert {n.input[1] for n in floats} == {f"model.{name}.weight" for name in kept}


def test_weights_are_quantised_per_channel(int8):
    weights = trained_segmenter().model.backbone.stage2.conv.weight
    scales = {i.name: i.dims for i in graph_of(int8).initializer if i.name.endswith("stage2.conv.weight_scale")}
    assert list(scales.values()) == [[len(weights)]]


def test_symmetric_int8_has_no_zero_points_and_opset_20_is_there():
    artefact = compiled(tiny_segmenter(), "onnx", "int8", "labels", symmetric=True, opset=20)
    model = onnx.load(artefact.folder / "labels.onnx")
    assert model.opset_import[0].version == 20
    points = [onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.name.endswith("zero_point")]
    assert len(points) > 3
    assert all((p == 0).all() and p.dtype == "int8" for p in points)


def test_symmetric_int8_leaves_biases_in_float_which_tensorrts_parser_reads():
    """Its list of operators has DequantizeLinear of INT8 and FP8, and none of INT32, which a rounded bias becomes."""
    artefact = compiled(trained_segmenter(), "onnx", "int8", "labels", symmetric=True)
    graph = graph_of(artefact)
    stored = {i.name: i.data_type for i in graph.initializer}
    constants = [stored[n.input[0]] for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in stored]
    assert constants == [onnx.TensorProto.INT8] * CONVOLUTIONS  # the weights
    assert onnx.TensorProto.INT32 not in stored.values()
    assert artefact.about["graphs"]["labels"]["dtypes"] == {"int8": CONVOLUTIONS}


def test_a_half_graph_is_half_and_close():
    half = compiled(trained_segmenter(), "onnx", "fp16")
    facts = half.about["graphs"]["labels"]
    assert facts["dtypes"] == {"float16": CONVOLUTIONS}
    assert facts["stored"]["float"] == 2  # mean and std: pixels are normalised in float32
    assert sum(facts["runs"].values()) == CONVOLUTIONS  # float32 on x86; ONNX Runtime has half kernels for some others
    assert worst_error(half, trained_segmenter()) <= rounding(torch.float16, CONVOLUTIONS)


def test_a_provider_that_is_not_installed_is_refused_with_the_cure():
    with pytest.raises(DeployError, match="has no CUDAExecutionProvider.*onnxruntime-gpu"):
        compile(tiny_segmenter(), "onnx", size=SIZE, provider="cuda")
