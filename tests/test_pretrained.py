"""The weights that come with the package are whole, describe themselves, and see streets."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest

import edgeseg
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.models.weights import WeightError
from edgeseg.models.zoo import PACKAGED, get_record, licence_text, list_weights
from edgeseg.training.publish import verify_weight

NAMES = [path.name.removesuffix(".json") for path in sorted(PACKAGED.glob("*.json"))]


def test_the_default_weight_of_predict_is_there():
    assert "cross_cbam_m.streets" in list_weights()


@pytest.mark.parametrize("name", NAMES)
def test_every_record_names_its_file_by_hash(name):
    record = get_record(name)
    assert hashlib.sha256((PACKAGED / record.file).read_bytes()).hexdigest() == record.sha256


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gives_its_golden_output(name):
    assert get_record(name).golden is not None, "edgeseg weights golden NAME"
    assert verify_weight(name) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_weights_licence_can_be_read(name):
    assert len(licence_text(name)) > 500


def test_the_streets_weight_sees_streets():
    segmenter = load_segmenter("cross_cbam_m.streets")
    scores = score(segmenter.predict, Streets("test", 8, (288, 384), cache=False), progress=False)
    assert scores.pixel_accuracy > 0.89  # the record's is 0.933 over 200 scenes
    assert scores.miou > 0.55


def test_predict_by_name_gives_class_ids_at_the_images_own_size():
    image, _ = Streets("test", 1, (200, 300), cache=False)[0]
    mask = edgeseg.predict("cross_cbam_m.streets", image)
    assert mask.shape == (200, 300)
    assert mask.dtype == np.uint8
    assert mask.max() < 11


def test_a_flipped_byte_is_refused_with_the_files_name(tmp_path, monkeypatch):
    record = get_record("cross_cbam_m.streets")
    for suffix in (".json", ".safetensors"):
        shutil.copy(PACKAGED / f"cross_cbam_m.streets{suffix}", tmp_path)
    data = bytearray((tmp_path / record.file).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / record.file).write_bytes(data)
    monkeypatch.setenv("EDGESEG_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightError, match=record.file):
        edgeseg.create_model("cross_cbam_m.streets")


def test_another_class_count_needs_a_new_head(capsys):
    with pytest.raises(WeightError, match="new_head"):
        edgeseg.create_model("cross_cbam_m.streets", num_classes=2)
    edgeseg.create_model("cross_cbam_m.streets", num_classes=2, new_head=True)
    assert "new 2" in capsys.readouterr().out  # weight and bias of the classifier
