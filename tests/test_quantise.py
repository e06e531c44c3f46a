"""Quantisation: calibration from training images only, names of layers, and which layer costs accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from compiled_networks import SIZE, left_as_it_was, narrow_segmenter, spoilt, street_images, street_pairs
from edgeseg.data.labels import CAMVID, CITYSCAPES, ClassTable
from edgeseg.data.local import write_copy
from edgeseg.data.pairs import Pairs
from edgeseg.data.streets import Streets
from edgeseg.deploy import DeployError
from edgeseg.deploy.quantise import (
    LayerCost,
    Sensitivity,
    calibration_images,
    quantise_weight,
    select_layers,
    sensitivity,
)
from edgeseg.inference import Segmenter

LAYERS = ["model.backbone.stage1.conv", "model.backbone.stage10.conv", "model.decoder.a.conv", "model.classifier"]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return narrow_segmenter()


# calibration ----------------------------------------------------------------------------------------------------------


def test_calibration_images_are_seeded_picks_of_the_training_scenes(segmenter):
    chosen = calibration_images(segmenter, SIZE, count=3, seed=1, progress=False)
    again = calibration_images(segmenter, SIZE, count=3, seed=1, progress=False)
    other = calibration_images(segmenter, SIZE, count=3, seed=2, progress=False)
    assert all(np.array_equal(a, b) for a, b in zip(chosen, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(chosen, other, strict=True))
    assert {(i.shape, i.dtype.name) for i in chosen} == {((*SIZE, 3), "uint8")}


def test_an_open_data_set_is_taken_whole_and_resized(segmenter):
    pairs = street_pairs("train", 3, (48, 80))
    chosen = calibration_images(segmenter, SIZE, pairs, count=64, progress=False)
    assert [i.shape for i in chosen] == [(*SIZE, 3)] * 3
    same = calibration_images(segmenter, (48, 80), pairs, count=64, progress=False)
    assert all(np.array_equal(a, b) for a, (b, _) in zip(same, pairs, strict=True))


def test_what_is_scored_on_never_calibrates(segmenter):
    opened = Pairs((), (), CAMVID, split="val")
    for data, split in ((Streets("test", 2, SIZE), "train"), (opened, "train"), (None, "val"), ("camvid", "test")):
        with pytest.raises(DeployError, match="would tune the model to what it is scored on; take a training split"):
            calibration_images(segmenter, SIZE, data, split)


@pytest.mark.parametrize("kind", [str, Path])
def test_the_train_split_of_a_folder_calibrates_at_any_size(segmenter, tmp_path, kind):
    splits = {split: Streets(split, 2, (48, 80)) for split in ("train", "val", "test")}
    write_copy(tmp_path, splits, (48, 80), {}, "scenes", progress=False)
    chosen = calibration_images(segmenter, (48, 80), kind(tmp_path), progress=False)
    assert all(np.array_equal(a, b) for a, (b, _) in zip(chosen, splits["train"], strict=True))
    assert [i.shape for i in calibration_images(segmenter, SIZE, kind(tmp_path), progress=False)] == [(*SIZE, 3)] * 2


def test_the_training_split_of_a_named_data_set_calibrates_and_is_the_default(segmenter):
    named = calibration_images(segmenter, SIZE, "streets", count=2, progress=False)
    default = calibration_images(segmenter, SIZE, count=2, progress=False)
    assert all(np.array_equal(a, b) for a, b in zip(named, default, strict=True))


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
    assert select_layers(LAYERS, []) == set()


@pytest.mark.parametrize(
    ("name", "near"),
    [("decodr", "did you mean decoder"), ("backbone.stage2", "did you mean .*backbone.stage1"), ("", "")],
)
def test_an_unknown_name_is_refused_with_near_ones_and_the_largest_parts(name, near):
    with pytest.raises(DeployError, match=f"no convolution or part '{name}'.*{near}.*backbone, decoder, classifier"):
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
    with left_as_it_was(segmenter) as callers:
        layers = ["backbone.stage1", "classifier"]
        result = sensitivity(callers, street_images("train", 2), layers=layers, progress=False)
    assert set(result.names) == {"backbone.stage1.conv", "classifier"}
    assert all(0 < layer.logits_error < 0.1 for layer in result.layers)
    assert result.together.weights == sum(layer.weights for layer in result.layers)


def test_the_spoilt_layer_is_named_first_and_explains_the_whole_loss(segmenter):
    result = sensitivity(spoilt(segmenter), street_images("test", 2), street_images("train", 2), progress=False)
    assert result.names[0] == "backbone.stage2.conv"
    assert len(result.layers) == 50  # not the auxiliary head's, which is not run
    assert result.layers[0].disagreement > 5 * result.layers[1].disagreement
    assert result.together.disagreement > 0.5 * result.layers[0].disagreement


def test_the_table_has_the_costliest_layers_and_all_together():
    cost = LayerCost("a.conv", 0.01, 0.002, 9)
    result = Sensitivity((replace(cost, name="worst"), cost), LayerCost("all of these", 0.5, 0.25, 18), 4)
    lines = result.table(rows=1).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["layer", "worst", "all of these"]
    assert lines[-1].split()[-2:] == ["50.000", "25.0000"]
    assert len(result.table().splitlines()) == 4


def test_no_images_and_unknown_layers_are_refused(segmenter):
    with pytest.raises(DeployError, match="sensitivity needs images"):
        sensitivity(segmenter, [])
    with pytest.raises(DeployError, match="did you mean classifier"):
        sensitivity(segmenter, street_images("train", 1), layers=["clasifier"])
