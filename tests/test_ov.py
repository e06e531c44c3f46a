"""OpenVINO: the same result, in the type that was asked for as the compiled model itself reports."""

from __future__ import annotations

import pytest
import torch
from torch import nn

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

for package in ("openvino", "onnx", "onnxscript"):
    pytest.importorskip(package, reason=f'{package} is not installed: pip install "edgeseg[export]"')

CONVOLUTIONS = 50  # of the small network, without its auxiliary head
needs_bf16 = pytest.mark.skipif(
    get_runtime("openvino").why_not("bf16") is not None, reason=str(get_runtime("openvino").why_not("bf16"))
)
needs_nncf = pytest.mark.skipif(
    get_runtime("openvino").why_not("int8") is not None, reason=str(get_runtime("openvino").why_not("int8"))
)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return small_segmenter()


@pytest.fixture(scope="module")
def plain(segmenter) -> Artefact:
    return compile(segmenter, "openvino", "fp32", SIZE, threads=1)


def test_the_small_network_is_the_same_and_runs_in_float32(plain, segmenter):
    assert_same_in_float32(plain, segmenter)
    assert plain.describe()["graphs"]["labels"]["dtypes"] == {"float32": CONVOLUTIONS}


@needs_bf16
def test_bf16_is_bf16_and_close(segmenter):
    artefact = compile(segmenter, "openvino", "bf16", SIZE, graphs=("logits",), threads=1)
    assert artefact.describe()["graphs"]["logits"]["dtypes"] == {"bfloat16": CONVOLUTIONS}
    assert worst_error(artefact, segmenter) <= rounding(torch.bfloat16, CONVOLUTIONS)


@needs_nncf
def test_int8_is_int8_but_for_what_was_kept_and_says_nothing(segmenter, capfd):
    kept = ("backbone.stage3", "decoder.lateral16")
    settings = {"calibration": images("train", 4), "graphs": ("labels",), "threads": 1}
    some = compile(segmenter, "openvino", "int8", SIZE, keep=kept, **settings)
    assert capfd.readouterr() == ("", "")
    facts = some.describe()["graphs"]["labels"]
    names = [n for n, m in segmenter.model.named_modules() if isinstance(m, torch.nn.Conv2d) and n.startswith(kept)]
    assert facts["kept"] == sorted(f"model.{name}" for name in names)
    # NNCF itself leaves the squeeze-and-excitation's convolutions on one pixel in float
    assert len(names) <= facts["dtypes"]["float32"] <= len(names) + 2
    assert sum(facts["dtypes"].values()) == CONVOLUTIONS
    some.labels(as_input(images("test", 1)[0]))


class Scaled(nn.Module):
    """Two convolutions; OpenVINO folds the factor into the second, which then bears the multiplication's name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 8, 3)
        self.factor = nn.Parameter(torch.rand(8, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).relu()) * self.factor


@needs_nncf
def test_a_convolution_with_a_folded_factor_can_be_kept_by_name(tmp_path):
    x = torch.rand(1, 3, 32, 32)
    facts = get_runtime("openvino").build(Scaled(), x, tmp_path / "g", "int8", [x], keep=("second",))
    assert facts["kept"] == ["second"]
    assert facts["dtypes"] == {"int8": 1, "float32": 1}


def test_a_model_that_would_run_in_another_type_is_refused(plain):
    facts = plain.about["graphs"]["labels"]
    with pytest.raises(DeployError, match="was built to compute in {'bfloat16': 50}, but here it would in .*float32"):
        get_runtime("openvino").open(plain.folder / "labels", {**facts, "dtypes": {"bfloat16": 50}})


def test_the_result_of_one_call_outlives_the_next(plain):
    first, second = (as_input(i) for i in images("test", 2))
    kept = plain.labels(first)
    copy = kept.clone()
    plain.labels(second)
    assert torch.equal(kept, copy)


def test_bad_options_and_int8_without_images_are_refused(segmenter, tmp_path):
    room, x = get_runtime("openvino"), torch.zeros(1, 3, *SIZE)
    with pytest.raises(DeployError, match="int8 takes its ranges from images: give calibration="):
        room.build(segmenter.model, x, tmp_path / "g", "int8")
    with pytest.raises(DeployError, match="rest=fp8: give one of fp32, bf16"):
        room.build(segmenter.model, x, tmp_path / "g", "int8", [x], rest="fp8")
    with pytest.raises(DeployError, match="bf16 has none to keep"):
        room.build(segmenter.model, x, tmp_path / "g", "bf16", keep=("context",))


def test_a_processor_without_bfloat16_is_told_so(monkeypatch):
    """The one answer of OpenVINO that this machine cannot be made to give."""
    monkeypatch.setattr("edgeseg.deploy.runtimes.openvino._capabilities", lambda: ["FP32", "INT8"])
    room = get_runtime("openvino")
    assert "no bfloat16 instructions" in str(room.why_not("bf16"))
    assert room.why_not("fp32") is None


def test_bad_files_are_named(plain, tmp_path):
    for suffix in (".xml", ".bin"):
        assert_bad_files_are_named(plain, suffix, tmp_path / suffix)


@pytest.mark.slow
@needs_nncf
def test_the_trained_network_is_the_same_in_float32_and_within_a_point_in_int8():
    segmenter = load_segmenter("cross_cbam_m.streets")
    assert_same_in_float32(compile(segmenter, "openvino", "fp32", SHOWN, threads=1), segmenter)
    int8 = compile(
        segmenter, "openvino", "int8", SHOWN, calibration=images("train", 16, SHOWN), graphs=("labels",), threads=1
    )
    assert abs(miou(segmenter.predict, 8, SHOWN) - miou(int8.predict, 8, SHOWN)) <= 1.0
