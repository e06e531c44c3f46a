"""Quantisation: calibration from training images only, the costly layer is found, and leaving it in float helps."""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.data.labels import CITYSCAPES, ClassTable
from edgeseg.data.local import write_copy
from edgeseg.data.streets import Streets
from edgeseg.deploy import DeployError
from edgeseg.deploy.quantise import (
    LayerCost,
    Sensitivity,
    calibration_images,
    quantise_weight,
    search_mixed,
    select_layers,
    sensitivity,
)
from edgeseg.inference import Segmenter, load_segmenter
from small_segmenters import SHOWN, SIZE, images, scenes, small_segmenter

LAYERS = ["model.backbone.stage1.conv", "model.backbone.stage10.conv", "model.decoder.a.conv", "model.classifier"]
SPOILT = "backbone.stage2.conv"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return small_segmenter()


def spoil(segmenter: Segmenter) -> Segmenter:
    """The same function in float, but one channel between stage 1 and stage 2 is 3000 times larger than it was.

    A ReLU passes factors on, so what stage 1 multiplies, stage 2 divides; with one range for all channels int8 has no
    steps left for the others.
    """
    changed = copy.deepcopy(segmenter)
    first, second = changed.model.backbone.stage1, changed.model.backbone.stage2
    with torch.no_grad():
        first.bn.weight[0] *= 3000
        first.bn.bias[0] *= 3000
        second.conv.weight[:, 0] /= 3000
    return changed


@pytest.fixture(scope="module")
def spoilt(segmenter) -> Segmenter:
    return spoil(segmenter)


# calibration ----------------------------------------------------------------------------------------------------------


def test_calibration_images_are_seeded_picks_of_the_training_scenes(segmenter):
    chosen = calibration_images(segmenter, SIZE, count=3, seed=1, progress=False)
    again = calibration_images(segmenter, SIZE, count=3, seed=1, progress=False)
    other = calibration_images(segmenter, SIZE, count=3, seed=2, progress=False)
    assert all(np.array_equal(a, b) for a, b in zip(chosen, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(chosen, other, strict=True))
    assert {(i.shape, i.dtype.name) for i in chosen} == {((*SIZE, 3), "uint8")}


def test_an_open_data_set_is_taken_whole_and_resized(segmenter):
    pairs = scenes("train", 3, (48, 80))
    chosen = calibration_images(segmenter, SIZE, pairs, count=64, progress=False)
    assert [i.shape for i in chosen] == [(*SIZE, 3)] * 3
    same = calibration_images(segmenter, (48, 80), pairs, count=64, progress=False)
    assert all(np.array_equal(a, b) for a, (b, _) in zip(same, pairs, strict=True))


def test_what_is_scored_on_never_calibrates(segmenter):
    for data, split in ((Streets("test", 2, SIZE), "train"), (None, "val"), ("camvid", "test")):
        with pytest.raises(DeployError, match="would tune the model to what it is scored on; take a training split"):
            calibration_images(segmenter, SIZE, data, split)


@pytest.mark.parametrize("kind", [str, Path])
def test_the_train_split_of_a_folder_calibrates_at_any_size(segmenter, tmp_path, kind):
    splits = {split: Streets(split, 2, (48, 80)) for split in ("train", "val", "test")}
    write_copy(tmp_path, splits, (48, 80), {}, "scenes", progress=False)
    chosen = calibration_images(segmenter, (48, 80), kind(tmp_path), progress=False)
    assert all(np.array_equal(a, b) for a, (b, _) in zip(chosen, splits["train"], strict=True))
    assert [i.shape for i in calibration_images(segmenter, SIZE, kind(tmp_path), progress=False)] == [(*SIZE, 3)] * 2


def test_a_copy_of_cityscapes_calibrates_artefacts_of_other_sizes(segmenter, tmp_path):
    frames = Streets("train", 2, (48, 80))
    frames.table = CITYSCAPES
    about = {"data": "cityscapes", "partial": True}
    write_copy(tmp_path, {"train": frames}, (48, 80), about, "Cityscapes", progress=False)
    assert [i.shape for i in calibration_images(segmenter, SIZE, tmp_path, progress=False)] == [(*SIZE, 3)] * 2


def test_other_classes_need_other_data(segmenter):
    two = ClassTable("two", ("a", "b"), ((0, 0, 0), (1, 1, 1)))
    other = Segmenter(segmenter.model, (0.4,) * 3, (0.3,) * 3, None, two)
    with pytest.raises(DeployError, match=r"no built-in data set with this model's classes.*open_data\('cityscapes'\)"):
        calibration_images(other, SIZE)
    with pytest.raises(DeployError, match="count = 0"):
        calibration_images(segmenter, SIZE, count=0)


# names ----------------------------------------------------------------------------------------------------------------


def test_a_name_stands_for_its_convolution_or_for_all_in_a_part():
    assert select_layers(LAYERS, ["backbone.stage1"]) == {LAYERS[0]}
    assert select_layers(LAYERS, ["backbone", "classifier"]) == {*LAYERS[:2], LAYERS[3]}
    assert select_layers(LAYERS, ["model.decoder"]) == {LAYERS[2]}
    assert select_layers(LAYERS, "classifier,decoder") == {LAYERS[3], LAYERS[2]}
    assert select_layers(LAYERS, []) == set()


@pytest.mark.parametrize(("name", "near"), [("decodr", "decoder"), ("backbone.stage2", "backbone.stage1"), ("", "")])
def test_an_unknown_name_is_refused_with_near_ones(name, near):
    with pytest.raises(DeployError, match=f"no convolution or part '{name}'; near: .*{near}"):
        select_layers(LAYERS, [name])


# sensitivity ----------------------------------------------------------------------------------------------------------


def test_quantised_weights_are_within_half_a_step_of_their_own_channel():
    weight = torch.randn(8, 3, 3, 3) * torch.logspace(-3, 3, 8)[:, None, None, None]
    step = weight.flatten(1).abs().amax(1) / 127
    error = (quantise_weight(weight) - weight).flatten(1).abs().amax(1)
    assert (error <= 0.501 * step).all()
    assert len(quantise_weight(weight)[0].unique()) <= 255
    assert (quantise_weight(torch.zeros(2, 1, 1, 1)) == 0).all()


def test_a_good_network_loses_little_and_is_left_as_it_was(segmenter):
    before = copy.deepcopy(segmenter.state_dict())
    result = sensitivity(segmenter, images("train", 2), layers=["backbone.stage1", "classifier"], progress=False)
    assert set(result.names) == {"backbone.stage1.conv", "classifier"}
    assert all(0 < layer.logits_error < 0.1 for layer in result.layers)
    assert result.together.weights == sum(layer.weights for layer in result.layers)
    assert all(torch.equal(before[k], v) for k, v in segmenter.state_dict().items())
    assert not any(m._forward_pre_hooks for m in segmenter.modules())


def test_the_spoilt_layer_is_named_first_and_explains_the_whole_loss(spoilt):
    result = sensitivity(spoilt, images("test", 2), images("train", 2), progress=False)
    assert result.names[0] == SPOILT
    assert len(result.layers) == 50  # not the auxiliary head's, which is not run
    assert result.layers[0].disagreement > 5 * result.layers[1].disagreement
    assert result.together.disagreement > 0.5 * result.layers[0].disagreement


def test_the_table_has_the_costliest_layers_and_all_together():
    cost = LayerCost("a.conv", 0.01, 0.002, 9)
    result = Sensitivity((replace(cost, name="worst"), cost), LayerCost("all of these", 0.5, 0.25, 18), 4)
    lines = result.table(rows=1).splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == ["layer", "worst", "all of these"]
    assert lines[-1].split()[-2:] == ["50.000", "25.0000"]
    assert len(result.table().splitlines()) == 4


def test_no_images_and_unknown_layers_are_refused(segmenter):
    with pytest.raises(DeployError, match="sensitivity needs images"):
        sensitivity(segmenter, [])
    with pytest.raises(DeployError, match="near: classifier"):
        sensitivity(segmenter, images("train", 1), layers=["clasifier"])


# mixed precision ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "package", "kept"),
    # NNCF needs the layer before too: what it changes in that one, stage 2 alone cannot mend
    [("onnx", "onnxruntime", [SPOILT]), ("openvino", "nncf", [SPOILT, "backbone.stage1.conv"])],
)
def test_a_trained_network_that_int8_ruins_is_mended_by_the_layers_in_float(runtime, package, kept):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f'{package} is not installed: pip install "edgeseg[export]"')
    broken = spoil(load_segmenter("cross_cbam_m.streets"))
    calibration = images("train", 4, SHOWN)
    found = search_mixed(
        broken,
        runtime,
        SHOWN,
        calibration,
        scenes("test", 4, SHOWN),
        order=[SPOILT, "backbone.stage1.conv"],
        progress=False,
        threads=1,
    )
    assert list(found.kept) == kept
    assert found.gaps[0] > 20
    assert found.gaps[-1] <= 1
    facts = found.artefact.describe()["graphs"]
    assert facts["logits"]["kept"] == sorted(kept)
    assert facts["labels"]["kept"] == sorted(f"model.{name}" for name in kept)
    assert facts["labels"]["dtypes"]["int8"] >= 40
    assert SPOILT in str(found)


@pytest.mark.slow
def test_a_search_that_finds_nothing_says_what_was_tried(spoilt):
    pytest.importorskip("onnxruntime", reason='onnxruntime is not installed: pip install "edgeseg[export]"')
    pairs = [(image, spoilt.predict(image)) for image in images("test", 1)]
    with pytest.raises(DeployError, match=r"with 1 layers kept in float \(classifier\); 0.01 were allowed.*take bf16"):
        search_mixed(
            spoilt, "onnx", SIZE, images("train", 2), pairs, 0.01, order=["classifier"], progress=False, threads=1
        )
