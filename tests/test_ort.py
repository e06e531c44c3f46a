"""ONNX: a checked graph that says what it computes in, the same result, and int8 with layers left in float."""

from __future__ import annotations

import pytest
import torch

from edgeseg.deploy import Artefact, DeployError, compile, get_runtime
from edgeseg.inference import Segmenter, load_segmenter
from small_segmenters import (
    SHOWN,
    SIZE,
    as_input,
    assert_bad_files_are_named,
    assert_same_in_float32,
    images,
    miou,
    rounding,
    small_segmenter,
    worst_error,
)

ABSENT = 'not installed: pip install "edgeseg[export]"'
onnx = pytest.importorskip("onnx", reason=f"onnx {ABSENT}")
pytest.importorskip("onnxscript", reason=f"onnxscript {ABSENT}")
pytest.importorskip("onnxruntime", reason=f"onnxruntime {ABSENT}")

KEPT = ("context", "classifier")
CONVOLUTIONS = 50  # of the small network, without its auxiliary head


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return small_segmenter()


@pytest.fixture(scope="module")
def plain(segmenter) -> Artefact:
    return compile(segmenter, "onnx", "fp32", SIZE, threads=1)


@pytest.fixture(scope="module")
def int8(segmenter) -> Artefact:
    return compile(
        segmenter, "onnx", "int8", SIZE, calibration=images("train", 4), graphs=("labels",), keep=KEPT, threads=1
    )


def graph_of(artefact: Artefact, name: str = "labels") -> onnx.GraphProto:
    return onnx.load(artefact.folder / f"{name}.onnx").graph


def test_the_small_network_is_the_same(plain, segmenter):
    assert_same_in_float32(plain, segmenter)


def test_the_file_has_one_static_input_and_opset_18(plain):
    facts = plain.describe()["graphs"]["labels"]
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


def test_int8_is_int8_but_for_what_was_kept(int8, segmenter):
    facts = int8.describe()["graphs"]["labels"]
    kept = [n for n, m in segmenter.model.named_modules() if isinstance(m, torch.nn.Conv2d) and n.startswith(KEPT)]
    assert facts["kept"] == sorted(f"model.{name}" for name in kept)
    assert facts["dtypes"] == {"int8": CONVOLUTIONS - len(kept), "float32": len(kept)}
    # those whose results are wanted unrounded cannot run in int8 either
    assert CONVOLUTIONS - 2 * len(kept) <= facts["runs"]["int8"] <= CONVOLUTIONS - len(kept)
    floats = [n for n in graph_of(int8).node if n.op_type == "Conv" and not n.input[1].endswith("Linear_Output")]
    assert {n.input[1] for n in floats} == {f"model.{name}.weight" for name in kept}


def test_weights_are_quantised_per_channel(int8):
    graph = graph_of(int8)
    scales = {i.name: i.dims for i in graph.initializer if i.name.endswith("stage2.conv.weight_scale")}
    assert list(scales.values()) == [[16]]  # one scale for each of 16 channels


def test_symmetric_int8_at_opset_20_has_no_zero_points_and_nothing_is_printed(segmenter, tmp_path, capfd):
    x = torch.rand(1, 3, *SIZE)
    get_runtime("onnx").build(segmenter.model, x, tmp_path / "g", "int8", [x], symmetric=True, opset=20)
    assert capfd.readouterr() == ("", "")
    model = onnx.load(tmp_path / "g.onnx")
    assert model.opset_import[0].version == 20
    points = [onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.name.endswith("zero_point")]
    assert len(points) > CONVOLUTIONS
    assert all((p == 0).all() and p.dtype in ("int8", "int32") for p in points)


def test_a_half_graph_is_half_and_close(segmenter):
    half = compile(segmenter, "onnx", "fp16", SIZE, threads=1)
    facts = half.describe()["graphs"]["labels"]
    assert facts["dtypes"] == {"float16": CONVOLUTIONS}
    assert facts["stored"]["float"] == 2  # mean and std: pixels are normalised in float32
    assert sum(facts["runs"].values()) == CONVOLUTIONS  # float32 on x86; ONNX Runtime has half kernels for some others
    assert worst_error(half, segmenter) <= rounding(torch.float16, CONVOLUTIONS)


def test_the_result_of_one_call_outlives_the_next(plain):
    first, second = (as_input(i) for i in images("test", 2))
    kept = plain.labels(first)
    copy = kept.clone()
    plain.labels(second)
    assert torch.equal(kept, copy)


def test_int8_wants_images_and_only_int8_keeps_layers(segmenter, tmp_path):
    room, x = get_runtime("onnx"), torch.zeros(1, 3, *SIZE)
    for none in (None, []):
        with pytest.raises(DeployError, match="int8 takes its ranges from images: give calibration="):
            room.build(segmenter.model, x, tmp_path / "g", "int8", none)
    with pytest.raises(DeployError, match="fp32 has none to keep"):
        room.build(segmenter.model, x, tmp_path / "g", "fp32", keep=KEPT)


def test_bad_options_are_refused(segmenter, tmp_path):
    room, x = get_runtime("onnx"), torch.zeros(1, 3, *SIZE)
    with pytest.raises(DeployError, match="opset=9: give a whole number from 18 to 20"):
        room.build(segmenter.model, x, tmp_path / "g", "fp32", opset=9)
    with pytest.raises(DeployError, match="provider=npu: give one of cpu, cuda, tensorrt"):
        room.build(segmenter.model, x, tmp_path / "g", "fp32", provider="npu")
    with pytest.raises(DeployError, match="has no CUDAExecutionProvider.*onnxruntime-gpu"):
        room.build(segmenter.model, x, tmp_path / "g", "fp32", provider="cuda")


def test_bad_files_are_named(plain, tmp_path):
    assert_bad_files_are_named(plain, ".onnx", tmp_path)


@pytest.mark.slow
def test_the_trained_network_is_the_same_in_float32_and_within_a_point_in_int8():
    segmenter = load_segmenter("cross_cbam_m.streets")
    assert_same_in_float32(compile(segmenter, "onnx", "fp32", SHOWN, threads=1), segmenter)
    int8 = compile(
        segmenter, "onnx", "int8", SHOWN, calibration=images("train", 16, SHOWN), graphs=("labels",), threads=1
    )
    assert abs(miou(segmenter.predict, 8, SHOWN) - miou(int8.predict, 8, SHOWN)) <= 1.0
