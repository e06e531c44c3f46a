"""How a run starts: networks with and without training-only heads, trained weights, public backbones."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace

import pytest
import torch

from edgeseg import cli
from edgeseg.files import file_hash
from edgeseg.inference import load_segmenter
from edgeseg.models.efficientnet import EfficientNetLite
from edgeseg.models.layers import resize
from edgeseg.models.weights import WeightError, read_weights
from edgeseg.training import train
from edgeseg.training.losses import Objective
from edgeseg.training.recipes import RecipeError
from edgeseg.training.run import start_run
from edgeseg.training.train import TrainingError, fit
from test_public import public_stdc
from toy_runs import TINY, Toy, assert_same, start, tensors

HRNET = replace(TINY, model="hrnet_s", switches={"width": 4, "modules": (1, 1, 1), "blocks": 1}, iterations=2)


@pytest.fixture
def public(tmp_path):
    """A checkpoint file in the public STDC layout, for a backbone of width 8."""
    torch.save({"state_dict": public_stdc((2, 2, 2), base=8)}, tmp_path / "stdc.pth")
    return tmp_path / "stdc.pth"


def test_a_network_without_auxiliary_heads_trains_and_its_weight_is_gone_on_from(tmp_path, capsys):
    assert HRNET.aux_weight > 0
    report = fit(HRNET, Toy(), Toy(2), tmp_path / "first", progress=False)
    assert report["start"] == "random weights"
    first = tmp_path / "first" / "weights.safetensors"
    report = fit(replace(HRNET, lr=0.0, min_lr=0.0), Toy(), None, tmp_path / "second", init=first, progress=False)
    assert "new 0, missing 0" in capsys.readouterr().out
    assert report["start"] == "weight first/weights.safetensors"
    before, after = (load_segmenter(tmp_path / run / "weights.safetensors").model for run in ("first", "second"))
    assert_same(dict(after.named_parameters()), dict(before.named_parameters()))


def test_without_auxiliary_logits_the_loss_is_the_main_one():
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 16, 16))
    with_aux = Objective(replace(TINY, aux_weight=0.4))
    alone = Objective(replace(TINY, aux_weight=0.0))
    outputs = {"out": logits, "aux": []}
    assert torch.equal(with_aux(outputs, target), alone(outputs, target))


def test_a_boundary_loss_asks_for_a_network_with_a_boundary_head():
    with pytest.raises(RecipeError, match="hrnet_s has no boundary head; set boundary_weight=0"):
        start(replace(HRNET, boundary_weight=1.0))
    assert start(replace(TINY, boundary_weight=1.0)).model.aux_boundary is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"switches": {"widht": 8}}, "no switch 'widht'"),
        ({"model": "cross_cbam_x"}, "cross_cbam_l"),
        ({"teacher": "cross_cbam_x.camvid", "teacher_weight": 1.0}, "cross_cbam_x.camvid"),
        ({"teacher": "cross_cbam_m", "teacher_weight": 1.0}, "teacher: no weight 'cross_cbam_m'"),
        ({"teacher": "cross_cbam_m.streets", "teacher_weight": 1.0}, "the training data has left, right, dot"),
        ({"switches": {"dilations": 5}}, "dilations=5: give numbers with commas"),
        ({"switches": {"dilations": (0, 3)}}, "dilations"),
        ({"switches": {"width": 7}}, "width must be even"),
        ({"switches": {"width": 10**18}}, "width"),
        ({"switches": {"aux": "no"}}, "aux='no': give true or false"),
        ({"model": "cross_cbam_m.streets"}, "architecture.*--init cross_cbam_m.streets"),
        ({"model": "run/weights.safetensors"}, "architecture.*--init run/weights.safetensors"),
    ],
)
def test_a_network_that_there_is_not_is_refused_before_any_data_are_read(change, message):
    class Unread(Toy):
        def __getitem__(self, i):
            pytest.fail("data are read")

    with pytest.raises(ValueError, match=message):
        start_run(replace(TINY, **change), Unread(), torch.device("cpu"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "stdc1_seg", "switches": {}}, "trains a stdc1_seg, .* is a cross_cbam_m; set model=cross_cbam_m"),
        ({"switches": {"width": 16}}, "was trained with width=8"),
    ],
)
def test_a_start_is_of_the_recipes_own_network(tmp_path, change, message):
    fit(replace(TINY, iterations=1), Toy(), None, tmp_path, progress=False)
    with pytest.raises(ValueError, match=message):
        start(replace(TINY, **change), init=tmp_path / "weights.safetensors")
    assert start(replace(TINY, switches={}), init=tmp_path / "weights.safetensors").model.switches["width"] == 8


def test_training_switches_of_the_recipe_reach_a_trained_weight(tmp_path):
    fit(HRNET, Toy(), None, tmp_path, progress=False)
    recipe = replace(HRNET, switches={**HRNET.switches, "checkpointing": True})
    run = start(recipe, init=tmp_path / "weights.safetensors")
    assert run.model.backbone.checkpointing


def test_a_public_backbone_is_loaded_and_named_in_every_report(tmp_path, public, capsys):
    report = fit(replace(TINY, iterations=2), Toy(), None, tmp_path / "run", backbone=public, progress=False)
    assert "stdc.pth: loaded" in capsys.readouterr().out
    told = f"backbone stdc.pth (sha256 {file_hash(public)[:16]}, 174 of 187 entries)"
    assert report["start"] == told
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])["start"] == told
    assert read_weights(tmp_path / "run" / "weights.safetensors")[0]["provenance"]["start"] == told


def test_a_frozen_public_backbone_is_still_the_public_one_at_the_end(tmp_path, public):
    recipe = replace(TINY, iterations=3, freeze_epochs=2.0)
    fit(recipe, Toy(), None, tmp_path / "run", backbone=public, progress=False)
    theirs, ours = torch.load(public, weights_only=True)["state_dict"], tensors(tmp_path / "run")
    assert torch.equal(ours["model.backbone.stage1.conv.weight"], theirs["features.0.conv.weight"])
    assert torch.equal(ours["ema.backbone.stage2.bn.running_var"], theirs["features.1.bn.running_var"])


def test_resuming_needs_the_public_file_no_more_and_still_names_it(tmp_path, public):
    recipe = replace(TINY, iterations=2)
    fit(recipe, Toy(), None, tmp_path / "run", backbone=public, progress=False)
    public.unlink()
    longer = replace(recipe, iterations=3)
    report = fit(longer, Toy(), None, tmp_path / "run", backbone=public, resume=True, progress=False)
    assert report["steps"] == 3
    assert report["start"].startswith("backbone stdc.pth (sha256 ")


def test_a_run_to_resume_is_refused_with_another_backbone_than_it_was_started_from(tmp_path, public):
    recipe, other = replace(TINY, iterations=2), tmp_path / "other.pth"
    fit(recipe, Toy(), None, tmp_path / "run", backbone=public, progress=False)
    fit(recipe, Toy(), None, tmp_path / "random", progress=False)
    other.write_bytes(public.read_bytes() + b"0")  # one byte more is another file
    before = tensors(tmp_path / "run")
    with pytest.raises(TrainingError, match=r"run was started from backbone stdc.pth \(sha256 .*leave --backbone out"):
        fit(recipe, Toy(), None, tmp_path / "run", backbone=other, resume=True, progress=False)
    assert_same(tensors(tmp_path / "run"), before)
    with pytest.raises(TrainingError, match="random was started from random weights, not from the backbone .*stdc.pth"):
        fit(recipe, Toy(), None, tmp_path / "random", backbone=public, resume=True, progress=False)


LITE = replace(
    TINY, model="cross_cbam_s", switches={"width": 8, "aspp_channels": 16}, mean=(0.5,) * 3, std=(0.5,) * 3,
    optimizer="adamw", lr=2e-3, backbone_lr=0.2, amp="bf16",
)  # fmt: skip


@pytest.fixture
def lite(tmp_path):
    """A file of EfficientNet-Lite0 at width 8, by timm's names."""
    backbone = EfficientNetLite(0, 8)
    torch.save({backbone.timm_key(key): value for key, value in backbone.state_dict().items()}, tmp_path / "lite.pth")
    return tmp_path / "lite.pth"


@pytest.mark.filterwarnings("ignore:this processor has no bfloat16")
def test_a_run_from_a_backbone_killed_in_the_middle_resumes_bit_for_bit(tmp_path, lite, monkeypatch):
    class KilledError(Exception):
        pass

    def dying(run, keys, raw, step=train.training_step):
        if run.step == 4:
            raise KilledError
        return step(run, keys, raw)

    fit(LITE, Toy(), None, tmp_path / "whole", backbone=lite, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(train, "training_step", dying)
        with pytest.raises(KilledError):
            fit(LITE, Toy(), None, tmp_path / "cut", backbone=lite, checkpoint_seconds=0, progress=False)
    fit(LITE, Toy(), None, tmp_path / "cut", backbone=lite, resume=True, progress=False)
    assert_same(tensors(tmp_path / "cut"), tensors(tmp_path / "whole"))


def test_a_backbone_whose_weights_want_another_normalisation_is_warned_of(tmp_path, lite):
    recipe = replace(LITE, iterations=1, amp="none")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(recipe, Toy(), None, tmp_path / "right", backbone=lite, progress=False)
        fit(replace(recipe, mean=(0.4,) * 3), Toy(), None, tmp_path / "random", progress=False)
    with pytest.warns(UserWarning, match="another mean and deviation .* set mean=0.5,0.5,0.5 std=0.5,0.5,0.5"):
        fit(replace(recipe, mean=(0.4,) * 3), Toy(), None, tmp_path / "wrong", backbone=lite, progress=False)


def test_a_public_file_of_another_width_stops_the_run(tmp_path, public):
    with pytest.raises(WeightError, match="stdc.pth"):
        fit(replace(TINY, switches={"width": 16}), Toy(), None, tmp_path / "run", backbone=public, progress=False)


def test_a_weight_and_a_public_backbone_exclude_each_other(tmp_path, public):
    with pytest.raises(TrainingError, match="either init"):
        fit(TINY, Toy(), None, tmp_path / "run", init="cross_cbam_m.streets", backbone=public, progress=False)


def test_the_command_line_takes_a_backbone_and_names_a_missing_file(tmp_path, monkeypatch, capsys):
    words = ["edgeseg", "train", "streets_cpu", "data_count=2", "data_size=64,64", "val_split=none"]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "run"), "--backbone", "nowhere.pth"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "nowhere.pth" in capsys.readouterr().err


def test_training_resizes_logits_as_the_network_does_in_eval_mode():
    recipe = replace(TINY, loss="ce + dice", loss_stride=1)
    logits, target = torch.randn(1, 3, 5, 6), torch.randint(0, 3, (1, 20, 24))
    for corners in (False, True):
        sized = resize(logits, (20, 24), align_corners=corners)
        expected = Objective(recipe)({"out": sized, "aux": []}, target)
        actual = Objective(recipe, align_corners=corners)({"out": logits, "aux": []}, target)
        torch.testing.assert_close(actual, expected)
    for recipe, corners in ((HRNET, True), (TINY, False)):
        assert {loss.align_corners for _, loss in start(recipe).objective.main} == {corners}
