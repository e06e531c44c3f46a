"""The README's first command, in small: it runs through, writes what it says, and repeats itself over an old run."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from edgeseg import quickstart
from edgeseg.training.recipes import get_recipe
from edgeseg.training.trivial import fit_pixel_mlp


@pytest.fixture
def small(monkeypatch, tmp_path):
    recipe = replace(
        get_recipe("streets_cpu"), data_count=8, data_size=(64, 96), crop=(64, 64), batch=2, precise_bn=1, minutes=0.03,
        switches={"width": 8, "aspp_channels": 16},
    )  # fmt: skip
    monkeypatch.setattr(quickstart, "get_recipe", lambda name: recipe)
    monkeypatch.setattr(quickstart, "TEST_SCENES", 4)
    monkeypatch.setattr(quickstart, "fit_pixel_mlp", partial(fit_pixel_mlp, steps=20))
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "run"


def test_quickstart_writes_report_pictures_and_weights_and_replaces_an_earlier_one(small, capsys):
    small.mkdir()
    for name in ("checkpoint.safetensors", "log.jsonl"):
        (small / name).write_text("of an earlier quickstart")
    quickstart.run_quickstart(small, seed=1)
    report = json.loads((small / "report.json").read_text())
    assert {"miou", "baseline_colour", "baseline_position", "per_class_iou", "steps"} <= report.keys()
    assert (report["seed"], report["images"]) == (1, 4)
    assert 0 <= report["baseline_colour"] <= 100
    for name in ("quickstart.png", "curves.png", "weights.safetensors", "log.jsonl"):
        assert (small / name).stat().st_size > 0
    assert str(small) in capsys.readouterr().out
