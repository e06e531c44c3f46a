"""A run becomes a finished weight: small file, own record, metric of that very file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import edgeseg
from edgeseg.metrics import score
from edgeseg.models.records import list_weights
from edgeseg.models.weights import WeightError, read_weights
from edgeseg.training.publish import publish_run
from edgeseg.training.train import fit
from test_training import TINY, Toy

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


def test_half_precision_changes_hardly_a_pixel(published, tmp_path):
    image = Toy()[0][0]
    full = edgeseg.predict(tmp_path / "run" / "weights.safetensors", image)
    assert np.mean(full == edgeseg.predict("cross_cbam_m.toy", image)) > 0.99


def test_a_run_without_weights_is_refused(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"recipe": {}}))
    with pytest.raises(WeightError, match=r"weights\.safetensors"):
        publish_run(tmp_path, "cross_cbam_m.toy", Toy(3), PROTOCOL, folder=tmp_path)
