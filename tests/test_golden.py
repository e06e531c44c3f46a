"""The golden output: a weight still gives what it gave when it was published, or says what has changed."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.data.streets import dataset
from edgeseg.inference import load_segmenter
from edgeseg.models.zoo import WeightRecord, get_record
from edgeseg.training import publish as golden
from edgeseg.training.publish import TOLERANCE, add_golden, golden_fault, golden_output, verify_weight
from finished_weights import isolate_weights, put_weight

NAME = "cross_cbam_m.toy"


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    isolate_weights(monkeypatch, tmp_path)
    put_weight(tmp_path / "packaged")
    return tmp_path / "packaged"


@pytest.fixture
def segmenter(shelf):
    return load_segmenter(NAME)


def test_a_sound_weight_has_no_fault(shelf):
    assert verify_weight(NAME) == []


def test_the_golden_output_names_scene_grid_and_tolerance_and_one_row_per_class(segmenter):
    out = json.loads(json.dumps(golden_output(segmenter)))
    assert (out["scene"], out["size"], out["grid"], out["tolerance"]) == (golden.SCENE, [96, 128], [3, 4], TOLERANCE)
    assert list(out["logits"]) == list(segmenter.table.names)
    assert {len(values) for values in out["logits"].values()} == {12}


def test_the_points_are_the_middles_of_the_grids_cells(segmenter):
    image = np.zeros((96, 128, 3), np.uint8)
    segmenter.logits = lambda x: torch.arange(96.0 * 128).reshape(1, 1, 96, 128)  # every value is its position
    values = golden._at_points(segmenter, image, (3, 4))[0]
    assert [divmod(int(v), 128) for v in values[:5]] == [(16, 16), (16, 48), (16, 80), (16, 112), (48, 16)]


def test_the_number_of_threads_does_not_matter(segmenter):
    recorded = golden_output(segmenter)
    torch.set_num_threads(2)
    try:
        assert golden_fault(segmenter, recorded) is None
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("change", ["weight", "mean", "size"])
def test_other_logits_of_the_same_scene_are_the_codes_fault(segmenter, change):
    recorded = golden_output(segmenter)
    if change == "weight":
        segmenter.model.classifier.bias.data[3] += 3 * TOLERANCE
    elif change == "mean":
        segmenter.mean += 25
    else:
        segmenter.size = (64, 96)
    fault = golden_fault(segmenter, recorded)
    assert "the code around it has changed" in fault
    assert "reinstall edgeseg" in fault


def test_a_scene_that_is_drawn_otherwise_is_named_as_the_reason(segmenter, monkeypatch):
    recorded = golden_output(segmenter)
    monkeypatch.setattr(golden, "_scene", lambda size: np.full((*size, 3), 90, np.uint8))
    assert "is drawn otherwise here" in golden_fault(segmenter, recorded)
    assert f"generator {dataset.GENERATOR_VERSION}" in golden_fault(segmenter, recorded)


def test_a_change_within_the_tolerance_is_none(segmenter):
    recorded = golden_output(segmenter)
    segmenter.model.classifier.bias.data[3] += TOLERANCE / 2
    assert golden_fault(segmenter, recorded) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"classes": ("Sky",) * 11}, "its record says classes"),
        ({"mean": (0.5, 0.4, 0.4)}, r"its record says mean \(0.5, 0.4, 0.4\)"),
        ({"std": (0.5, 0.4, 0.4)}, "its record says std"),
        ({"sha256": "0" * 64}, "SHA-256 differs"),
        ({"golden": {"scene": "lost"}}, "cannot be read .* edgeseg weights golden cross_cbam_m.toy"),
        ({"golden": {"size": [96, 128], "grid": [3, 4], "logits": {"Sky": [1.0]}}}, "gives 11 classes at 12 points"),
    ],
)
def test_verify_finds_what_a_record_says_wrongly(shelf, change, fault):
    replace(get_record(NAME), **change).write(shelf)
    (found,) = verify_weight(NAME)
    assert re.search(fault, found)


def test_verify_finds_a_flipped_byte_and_a_missing_weight(shelf):
    path = shelf / f"{NAME}.safetensors"
    blob = bytearray(path.read_bytes())
    blob[-9] ^= 1
    path.write_bytes(blob)
    assert "fetch or copy it again" in verify_weight(NAME)[0]
    assert "no weight 'cross_cbam_m.none'" in verify_weight("cross_cbam_m.none")[0]


def test_a_record_without_golden_output_gets_one(shelf):
    put_weight(shelf, golden=None)
    assert verify_weight(NAME) == []
    path = add_golden(NAME)
    assert WeightRecord.read(path).golden["tolerance"] == TOLERANCE
    assert verify_weight(NAME) == []


def test_an_older_record_without_the_newer_fields_is_read(shelf):
    path = shelf / f"{NAME}.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for key in ("url", "golden", "licence_file"):
        values.pop(key)
    path.write_text(json.dumps(values), encoding="utf-8")
    assert get_record(NAME).golden is None
