"""A run becomes a finished weight: small file, own record, metric of that very file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch

import edgeseg
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.models.weights import WeightError, read_weights
from edgeseg.models.zoo import WeightRecord, licence_text, list_weights
from edgeseg.training.publish import _data_text, _licence_of, _recipe_text, publish_run, verify_weight
from edgeseg.training.recipes import get_recipe
from edgeseg.training.train import RANDOM, fit
from toy_runs import TINY, Toy

PROTOCOL = {"data": "toy", "split": "test", "definition": "toy"}


@pytest.fixture
def published(tmp_path, monkeypatch):
    fit(replace(TINY, iterations=3), Toy(), None, tmp_path / "run", progress=False)
    record = publish_run(tmp_path / "run", "cross_cbam_m.toy", Toy(3), PROTOCOL, folder=tmp_path / "weights")
    monkeypatch.setenv("EDGESEG_WEIGHTS", str(tmp_path / "weights"))
    return record


def test_a_published_weight_is_found_by_name_and_predicts(published):
    assert "cross_cbam_m.toy" in list_weights()
    mask = edgeseg.predict("cross_cbam_m.toy", Toy()[0][0])
    assert mask.shape == (64, 64)


def test_the_recorded_metric_is_that_of_the_file(published):
    scores = score(lambda image: edgeseg.predict("cross_cbam_m.toy", image), Toy(3), progress=False)
    assert published.metric["miou"] == scores.as_dict(Toy().table.names)["miou"]
    for key in ("data", "split", "definition", "size", "seeds", "ema", "tta"):
        assert key in published.metric


def test_the_file_is_half_precision_and_has_no_training_heads(published, tmp_path):
    meta, state = read_weights(tmp_path / "weights" / published.file, published.sha256)
    assert not [k for k in state if "aux" in k]
    assert all(v.dtype == torch.float16 for v in state.values() if v.ndim > 1 and v.is_floating_point())
    assert meta["provenance"]["recipe"] == "tiny"


def test_half_precision_changes_logits_by_its_rounding_alone(published, tmp_path):
    pixels = torch.from_numpy(Toy()[0][0]).permute(2, 0, 1)[None]
    _, state = read_weights(tmp_path / "weights" / published.file)
    roundings = sum(v.dtype == torch.float16 for v in state.values())
    with torch.inference_mode():
        full = load_segmenter(tmp_path / "run" / "weights.safetensors").logits(pixels)
        error = (load_segmenter("cross_cbam_m.toy").logits(pixels) - full).abs().max() / full.abs().max()
    assert error <= roundings**0.5 * torch.finfo(torch.float16).eps


def test_a_run_without_weights_is_refused(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"recipe": {}}))
    with pytest.raises(WeightError, match=r"weights\.safetensors"):
        publish_run(tmp_path, "cross_cbam_m.toy", Toy(3), PROTOCOL, folder=tmp_path)


def test_a_published_weight_has_its_golden_output(published):
    assert list(published.golden["logits"]) == list(Toy().table.names)
    assert verify_weight("cross_cbam_m.toy") == []


def test_the_record_on_disk_is_the_one_returned_and_reads_line_by_line(published, tmp_path):
    path = tmp_path / "weights" / "cross_cbam_m.toy.json"
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(asdict(published)))
    assert WeightRecord.read(path).classes == published.classes
    assert ' "seeds": [0],\n' in path.read_text(encoding="utf-8")


def test_a_weight_trained_on_camvid_carries_its_terms_unless_others_are_stated(published, tmp_path):
    assert TINY.data == "camvid"
    assert published.licence == "CamVid research use"
    assert "research and teaching" in licence_text("cross_cbam_m.toy")
    record = publish_run(
        tmp_path / "run", "cross_cbam_m.toy", Toy(1), PROTOCOL, licence="MIT", folder=tmp_path / "other"
    )
    assert (record.licence, record.licence_file) == ("MIT", None)
    assert not list((tmp_path / "other").glob("*.txt"))


def test_only_data_of_known_terms_settle_a_licence():
    assert _licence_of("streets", RANDOM) == ("Apache-2.0", None)
    for data, start in (("streets", "weight x.safetensors"), ("cityscapes", RANDOM), ("some/folder", RANDOM)):
        with pytest.raises(WeightError, match="state it"):
            _licence_of(data, start)
    with pytest.raises(WeightError, match=r"by teacher x\.safetensors: its licence"):
        _licence_of("streets", RANDOM, "folder/x.safetensors")


def test_the_recorded_recipe_names_what_was_changed_and_no_folder():
    recipe = json.loads(json.dumps(asdict(replace(get_recipe("camvid_cpu"), seed=3))))
    assert _recipe_text(recipe) == "camvid_cpu"
    recipe = {**recipe, "epochs": 9, "data": "/somebody/home/camvid"}
    assert _recipe_text(recipe) == "camvid_cpu with epochs=9"
    recipe = {**recipe, "teacher": "/somebody/home/best.safetensors", "teacher_weight": 0.5}
    assert _recipe_text(recipe) == "camvid_cpu with epochs=9, teacher=best.safetensors, teacher_weight=0.5"
    assert _data_text(recipe, RANDOM) == "camvid, train"
    assert _data_text(recipe, "weight a.safetensors") == "camvid, train; start: weight a.safetensors"
