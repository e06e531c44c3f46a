"""A run becomes a finished weight: small file, own record, metric of that very file, and its golden output.

The golden output: a weight still gives what it gave when it was published, or says what has changed.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import edgeseg
from edgeseg.data.streets import dataset
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.models.weights import WeightError, read_weights
from edgeseg.models.zoo import WeightRecord, get_record, licence_text, list_weights
from edgeseg.training import publish
from edgeseg.training.network import RANDOM
from edgeseg.training.publish import (
    TOLERANCE,
    _data_text,
    _licence_of,
    _recipe_text,
    add_golden,
    golden_fault,
    golden_output,
    publish_run,
    verify_weight,
)
from edgeseg.training.recipes import get_recipe
from edgeseg.training.train import fit
from toy_runs import TINY, Toy

NAME = "cross_cbam_m.toy"
PROTOCOL = {"data": "toy", "split": "test", "definition": "toy"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of a run in ``run`` and of its weight in ``weights``, where weights are searched."""
    home = tmp_path_factory.mktemp("home")
    fit(replace(TINY, iterations=3), Toy(), None, home / "run", progress=False)
    publish_run(home / "run", NAME, Toy(3), PROTOCOL, folder=home / "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGESEG_WEIGHTS", str(home / "weights"))
        yield home


@pytest.fixture
def published(home):
    return WeightRecord.read(home / "weights" / f"{NAME}.json")


def test_a_published_weight_is_found_by_name_and_predicts(published):
    assert NAME in list_weights()
    mask = edgeseg.predict(NAME, Toy()[0][0])
    assert mask.shape == (64, 64)


def test_the_recorded_metric_is_that_of_the_file(published):
    scores = score(lambda image: edgeseg.predict(NAME, image), Toy(3), progress=False)
    assert published.metric["miou"] == scores.as_dict(Toy().table.names)["miou"]
    for key in ("data", "split", "definition", "size", "seeds", "ema", "tta"):
        assert key in published.metric


def test_the_file_is_half_precision_and_has_no_training_heads(published, home):
    meta, state = read_weights(home / "weights" / published.file, published.sha256)
    assert not [k for k in state if "aux" in k]
    assert all(v.dtype == torch.float16 for v in state.values() if v.ndim > 1 and v.is_floating_point())
    assert meta["provenance"]["recipe"] == "tiny"


def test_half_precision_changes_logits_by_its_rounding_alone(published, home):
    pixels = torch.from_numpy(Toy()[0][0]).permute(2, 0, 1)[None]
    _, state = read_weights(home / "weights" / published.file)
    roundings = sum(v.dtype == torch.float16 for v in state.values())
    with torch.inference_mode():
        full = load_segmenter(home / "run" / "weights.safetensors").logits(pixels)
        error = (load_segmenter(NAME).logits(pixels) - full).abs().max() / full.abs().max()
    assert error <= roundings**0.5 * torch.finfo(torch.float16).eps


def test_a_run_without_weights_is_refused(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"recipe": {}}))
    with pytest.raises(WeightError, match=r"weights\.safetensors"):
        publish_run(tmp_path, NAME, Toy(3), PROTOCOL, folder=tmp_path)


def test_a_name_or_licence_file_that_cannot_be_is_refused_before_anything_is_written(published, home, tmp_path):
    with pytest.raises(WeightError, match=r"name it cross_cbam_m\.TAG"):
        publish_run(home / "run", "mine", Toy(1), PROTOCOL, tmp_path)
    with pytest.raises(FileNotFoundError, match="absent.txt"):
        publish_run(home / "run", NAME, Toy(1), PROTOCOL, tmp_path, "MIT", tmp_path / "absent.txt")
    assert not list(tmp_path.iterdir())


def test_record_and_file_say_the_same_and_the_record_reads_line_by_line(published, home):
    path = home / "weights" / f"{NAME}.json"
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(asdict(published)))
    assert ' "seeds": [0],\n' in path.read_text(encoding="utf-8")
    meta, _ = read_weights(home / "weights" / published.file)
    assert published.classes == tuple(c["name"] for c in meta["classes"]) == Toy().table.names
    assert (published.mean, published.std) == (tuple(meta["mean"]), tuple(meta["std"])) == (TINY.mean, TINY.std)


def test_a_weight_trained_on_camvid_carries_its_terms_unless_others_are_stated(published, home, tmp_path):
    assert TINY.data == "camvid"
    assert published.licence == "CamVid research use"
    assert "research and teaching" in licence_text(NAME)
    record = publish_run(home / "run", NAME, Toy(1), PROTOCOL, licence="MIT", folder=tmp_path)
    assert (record.licence, record.licence_file) == ("MIT", None)
    assert not list(tmp_path.glob("*.txt"))


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


# golden output --------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(home, tmp_path, monkeypatch):
    """A folder with a copy of the weight, which is searched first."""
    monkeypatch.setenv("EDGESEG_WEIGHTS", str(tmp_path / "weights"))
    return shutil.copytree(home / "weights", tmp_path / "weights")


@pytest.fixture
def segmenter(weights):
    return load_segmenter(NAME)


def test_a_sound_weight_has_no_fault(weights):
    assert verify_weight(NAME) == []


def test_the_golden_output_names_scene_grid_and_tolerance_and_one_row_per_class(segmenter):
    out = json.loads(json.dumps(golden_output(segmenter)))
    assert (out["scene"], out["size"], out["grid"], out["tolerance"]) == (publish.SCENE, [96, 128], [3, 4], TOLERANCE)
    assert list(out["logits"]) == list(segmenter.table.names)
    assert {len(values) for values in out["logits"].values()} == {12}


def test_the_points_are_the_middles_of_the_grids_cells(segmenter):
    image = np.zeros((96, 128, 3), np.uint8)
    segmenter.logits = lambda x: torch.arange(96.0 * 128).reshape(1, 1, 96, 128)  # every value is its position
    values = publish._at_points(segmenter, image, (3, 4))[0]
    assert [divmod(int(v), 128) for v in values[:5]] == [(16, 16), (16, 48), (16, 80), (16, 112), (48, 16)]


@pytest.mark.parametrize("change", ["weight", "mean", "size"])
def test_other_logits_of_the_same_scene_are_the_codes_fault(segmenter, change):
    recorded = golden_output(segmenter)
    if change == "weight":
        segmenter.model.classifier.bias.data[1] += 3 * TOLERANCE
    elif change == "mean":
        segmenter.mean += 25
    else:
        segmenter.size = (64, 96)
    fault = golden_fault(segmenter, recorded)
    assert "the code around it has changed" in fault
    assert "reinstall edgeseg" in fault


def test_a_scene_that_is_drawn_otherwise_is_named_as_the_reason(segmenter, monkeypatch):
    recorded = golden_output(segmenter)
    monkeypatch.setattr(publish, "_scene", lambda size: np.full((*size, 3), 90, np.uint8))
    assert "is drawn otherwise here" in golden_fault(segmenter, recorded)
    assert f"generator {dataset.GENERATOR_VERSION}" in golden_fault(segmenter, recorded)


def test_a_change_within_the_tolerance_is_none(segmenter):
    recorded = golden_output(segmenter)
    segmenter.model.classifier.bias.data[1] += TOLERANCE / 2
    assert golden_fault(segmenter, recorded) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"classes": ("left", "dot", "right")}, "its record says classes"),
        ({"mean": (0.5, 0.4, 0.4)}, r"its record says mean \(0.5, 0.4, 0.4\)"),
        ({"std": (0.5, 0.4, 0.4)}, "its record says std"),
        ({"sha256": "0" * 64}, "SHA-256 differs"),
        ({"golden": {"scene": "lost"}}, "cannot be read .* edgeseg weights golden cross_cbam_m.toy"),
        ({"golden": {"size": [96, 128], "grid": [3, 4], "logits": {"left": [1.0]}}}, "gives 3 classes at 12 points"),
    ],
)
def test_verify_finds_what_a_record_says_wrongly(weights, change, fault):
    replace(get_record(NAME), **change).write(weights)
    (found,) = verify_weight(NAME)
    assert re.search(fault, found)


def test_verify_finds_a_flipped_byte_and_a_missing_weight(weights):
    path = weights / f"{NAME}.safetensors"
    blob = bytearray(path.read_bytes())
    blob[-9] ^= 1
    path.write_bytes(blob)
    assert "fetch or copy it again" in verify_weight(NAME)[0]
    assert "no weight 'cross_cbam_m.none'" in verify_weight("cross_cbam_m.none")[0]


def test_a_record_without_golden_output_gets_one(weights):
    replace(get_record(NAME), golden=None).write(weights)
    assert verify_weight(NAME) == []
    path = add_golden(NAME)
    assert WeightRecord.read(path).golden["tolerance"] == TOLERANCE
    assert verify_weight(NAME) == []
