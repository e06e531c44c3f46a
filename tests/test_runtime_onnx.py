"""ONNX: a checked file that says what it computes in, half and int8 that are so, and layers left in float."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compiled_networks import (
    CONVOLUTIONS,
    SIZE,
    compiled,
    needs,
    rounding,
    street_images,
    tiny_segmenter,
    trained_segmenter,
    worst_error,
)
from edgeseg.data.labels import ClassTable
from edgeseg.data.pairs import read_image
from edgeseg.deploy import Artefact, DeployError, compile
from edgeseg.deploy.quantise import resized
from edgeseg.inference import Segmenter

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


def clipped_segmenter() -> Segmenter:
    """Three convolutions, of which the first goes in one channel far beyond what the ReLU6 lets through."""
    torch.manual_seed(0)
    first, second, last = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 8, 1), torch.nn.Conv2d(8, 5, 1)
    with torch.no_grad():
        first.bias[0] = 1000
    table = ClassTable("five", tuple("abcde"), tuple((i, i, i) for i in range(5)))
    network = torch.nn.Sequential(first, torch.nn.ReLU6(), second, torch.nn.ReLU(), last, torch.nn.Sigmoid())
    return Segmenter(network, (0.5,) * 3, (0.25,) * 3, None, table)


@pytest.mark.parametrize("keep", [(), ("2",)])  # kept in float, the second one reads the ReLU6 as it was
def test_what_a_relu6_cuts_off_does_not_widen_the_range_of_int8(keep):
    segmenter, images = clipped_segmenter(), street_images("train", 4)
    artefact = compile(segmenter, "onnx", "int8", SIZE, calibration=images, keep=keep)
    assert worst_error(artefact, segmenter) < 0.05


# Operators of ours that onnx-tensorrt's list has for floats (docs/operators.md of TensorRT 10.15, and of 9.2).
PARSED = {
    "Add", "ArgMax", "AveragePool", "Cast", "Concat", "Conv", "DequantizeLinear", "Div", "Mul", "QuantizeLinear",
    "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Resize", "Sigmoid", "Sub",
}  # fmt: skip


@pytest.mark.parametrize(("precision", "options"), [("fp32", {}), ("fp16", {}), ("int8", {"symmetric": True})])
def test_what_goes_to_a_board_is_on_the_list_of_tensorrts_parser(precision, options):
    graphs = ("labels",) if precision == "int8" else ("labels", "logits")
    artefact = compiled(trained_segmenter(), "onnx", precision, *graphs, **options)
    for name in graphs:
        graph = graph_of(artefact, name)
        assert {node.op_type for node in graph.node} <= PARSED
        for node in graph.node:
            told = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Resize":
                assert (told["mode"], told["coordinate_transformation_mode"]) == (b"linear", b"half_pixel")
                assert not told.get("antialias")
            if node.op_type.startswith("Reduce"):
                assert node.input[1] in {i.name for i in graph.initializer}
            if graph.input[0].name in node.input and name == "labels":
                assert node.op_type == "Cast"  # uint8 is taken at the border only


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


# without edgeseg ------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "onnx.md"


@pytest.mark.parametrize(("graph", "precision"), [("labels", "fp32"), ("labels", "int8"), ("logits", "fp32")])
def test_a_file_alone_says_what_it_takes_and_gives_as_the_description_does(graph, precision):
    artefact = compiled(trained_segmenter(), "onnx", precision, "labels", "logits")
    props = {p.key: p.value for p in onnx.load(artefact.folder / f"{graph}.onnx").metadata_props}
    about = {**artefact.about, **artefact.about["graphs"][graph]}
    assert json.loads(props.pop("classes")) == [c["name"] for c in about["classes"]]
    told = ("layout", "channel_order", "input_name", "output_name", "input_dtype", "input_values", "precision")
    assert [props[key] for key in told] == [about[key] for key in told]
    for key in ("mean", "std", "size", "network_size", "input_scale", "batch"):
        assert json.loads(props[key]) == about[key]
    assert "weights" not in props  # it was made from a network in memory
    (taken,), (given,) = (getattr(graph_of(artefact, graph), side) for side in ("input", "output"))
    assert (taken.name, given.name) == (props["input_name"], props["output_name"])
    kind = onnx.helper.tensor_dtype_to_np_dtype(taken.type.tensor_type.elem_type)
    assert kind == np.dtype(props["input_dtype"])


def test_a_file_alone_names_its_weight():
    artefact = compile("cross_cbam_m.streets", "onnx", size=SIZE, graphs=("labels",))
    props = {p.key: p.value for p in onnx.load(artefact.folder / "labels.onnx").metadata_props}
    assert (props["weights"], props["weights_sha256"]) == ("cross_cbam_m.streets", artefact.about["weights_sha256"])


@pytest.mark.parametrize("graph", ["labels", "logits"])
def test_the_pages_scripts_give_edgesegs_map(plain, graph, tmp_path, monkeypatch, capsys):
    """Of a photograph of another size that its EXIF turns: what is easily forgotten."""
    scripts = [block.split("```")[0] for block in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]
    (script,) = [text for text in scripts if f"artefact/{graph}.onnx" in text]
    monkeypatch.chdir(tmp_path)
    plain.save("artefact")
    exif = Image.Exif()
    exif[0x0112] = 6
    scene = street_images("test", 1, (128, 96))[0]
    Image.fromarray(scene).transpose(Image.Transpose.ROTATE_90).save("frame.jpg", exif=exif, quality=95)
    exec(builtins.compile(script, str(PAGE), "exec"), {})
    expected = trained_segmenter().predict(resized(read_image("frame.jpg"), SIZE))
    assert len(np.unique(expected)) > 3
    assert np.array_equal(np.asarray(Image.open("mask.png")), expected)
    assert capsys.readouterr().out
    assert len([line for line in script.splitlines() if line.strip()]) <= 22
