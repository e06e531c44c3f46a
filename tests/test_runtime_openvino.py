"""OpenVINO computes in the type that was asked for, as the compiled model itself reports."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

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
from edgeseg.deploy import Artefact, DeployError, get_runtime
from edgeseg.deploy.runtimes.base import without_telemetry
from edgeseg.deploy.runtimes.openvino import compare_in_turn
from edgeseg.inference import Segmenter

pytestmark = needs("openvino")


@needs("openvino", "bf16")
def test_bf16_is_bf16_and_close():
    artefact = compiled(trained_segmenter(), "openvino", "bf16", "logits")
    assert artefact.about["graphs"]["logits"]["dtypes"] == {"bfloat16": CONVOLUTIONS}
    assert worst_error(artefact, trained_segmenter()) <= rounding(torch.bfloat16, CONVOLUTIONS)


def test_input_and_output_have_the_names_of_the_description():
    artefact = compiled(tiny_segmenter(), "openvino")
    for graph, facts in artefact.about["graphs"].items():
        model = without_telemetry("openvino").Core().read_model(artefact.folder / f"{graph}.xml")
        names = (model.inputs[0].any_name, model.outputs[0].any_name)
        assert names == (facts["input_name"], facts["output_name"]) == ("image", graph)


@needs("openvino", "int8")
def test_int8_is_int8_but_for_what_was_kept():
    kept = ("backbone.stage3", "decoder.lateral16")
    artefact = compiled(trained_segmenter(), "openvino", "int8", "labels", keep=kept)
    facts = artefact.about["graphs"]["labels"]
    layers = trained_segmenter().model.named_modules()
    names = [name for name, m in layers if isinstance(m, nn.Conv2d) and name.startswith(kept)]
    assert facts["kept"] == sorted(f"model.{name}" for name in names)
    # NNCF itself leaves the squeeze-and-excitation's convolutions on one pixel in float
    assert len(names) <= facts["dtypes"]["float32"] <= len(names) + 2
    assert sum(facts["dtypes"].values()) == CONVOLUTIONS


class Largest(nn.Module):
    """Whole numbers from the pixels: many of the five maps are equally large."""

    def forward(self, x):
        red, green, blue = (x.float() / 64).round().split(1, 1)
        return torch.cat([red, green, blue, red, green], 1).argmax(1).to(torch.int32)


@pytest.mark.parametrize("dims", [{}, {0: "batch", 2: "height", 3: "width"}], ids=["fixed", "open"])
def test_the_class_is_found_by_comparing_and_the_first_of_equal_ones_wins(tmp_path, dims):
    x = torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    source = torch.onnx.export(
        Largest(), (x,), dynamo=True, opset_version=18, verbose=False, input_names=["image"],
        dynamic_shapes=(dict.fromkeys(dims, torch.export.Dim.DYNAMIC),) if dims else None,
    )  # fmt: skip
    openvino = without_telemetry("openvino")
    model = openvino.convert_model(io.BytesIO(source.model_proto.SerializeToString()))
    compare_in_turn(model)
    assert "TopK" not in {operation.get_type_name() for operation in model.get_ops()}
    given = openvino.Core().compile_model(model, "CPU")([x.numpy()])[0]
    assert given.dtype == np.int32
    assert np.array_equal(given, Largest()(x).numpy())


class Smallest(nn.Module):
    def forward(self, x):
        return (x.float() / 64).round().argmin(1)


def test_an_argmin_stays_one():
    x = torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    source = torch.onnx.export(Smallest(), (x,), dynamo=True, opset_version=18, verbose=False)
    openvino = without_telemetry("openvino")
    model = openvino.convert_model(io.BytesIO(source.model_proto.SerializeToString()))
    compare_in_turn(model)
    assert np.array_equal(openvino.Core().compile_model(model, "CPU")([x.numpy()])[0], Smallest()(x).numpy())


def test_artefacts_in_float32_hold_no_topk_and_those_in_bfloat16_do():
    for precision, rest in (("fp32", None), ("int8", "fp32"), ("bf16", None)):
        if get_runtime("openvino").why_not(precision):
            continue
        options = {"rest": rest} if rest else {}
        artefact = compiled(trained_segmenter(), "openvino", precision, "labels", **options)
        model = without_telemetry("openvino").Core().read_model(artefact.folder / "labels.xml")
        assert ("TopK" in {operation.get_type_name() for operation in model.get_ops()}) == (precision == "bf16")


class Scaled(nn.Module):
    """Two convolutions; OpenVINO folds the factor into the second, which then bears the multiplication's name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 8, 3)
        self.factor = nn.Parameter(torch.rand(8, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).relu()) * self.factor


@needs("openvino", "int8")
def test_a_convolution_with_a_folded_factor_can_be_kept_by_name():
    segmenter = Segmenter(Scaled(), (0.5,) * 3, (0.25,) * 3)
    facts = compiled(segmenter, "openvino", "int8", "logits", keep=("second",)).about["graphs"]["logits"]
    assert facts["kept"] == ["second"]
    assert facts["dtypes"] == {"int8": 1, "float32": 1}


def test_a_model_that_would_run_in_another_type_is_refused():
    plain = compiled(tiny_segmenter(), "openvino")
    other = {name: {**facts, "dtypes": {"bfloat16": 3}} for name, facts in plain.about["graphs"].items()}
    with pytest.raises(DeployError, match="was built to compute in {'bfloat16': 3}, but here it would in .*float32"):
        Artefact(plain.folder, {**plain.about, "graphs": other}).logits(torch.zeros(1, 3, *SIZE))


def test_a_processor_without_bfloat16_is_told_so(monkeypatch):
    """The one answer of OpenVINO that this machine cannot be made to give."""
    monkeypatch.setattr("edgeseg.deploy.runtimes.openvino._capabilities", lambda: ["FP32", "INT8"])
    runtime = get_runtime("openvino")
    assert "no bfloat16 instructions" in str(runtime.why_not("bf16"))
    assert runtime.why_not("fp32") is None
