"""Runs in stages: what may change from one to the next, when, and that a cut changes nothing in any of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.plots import curves
from edgeseg.training import train
from edgeseg.training.optim import learning_rate
from edgeseg.training.recipe import Recipe, RecipeError, override
from edgeseg.training.stages import plan, stage_at
from edgeseg.training.train import TrainingError, fit
from toy_runs import TINY, Toy, assert_same, log_rows, tensors

STAGES = (
    {"iterations": 4, "lr": 0.05},
    {"iterations": 4, "batch": 2, "crop": (48, 64), "lr": 0.02, "warmup": 2, "ema": 0.5},
    {"epochs": 1.0, "scale": (1.0, 1.0), "flip": 0.0, "lr": 0.01, "accumulate": 2},
)
STAGED = replace(TINY, iterations=0, batch=4, min_lr=0.001, precise_bn=2, stages=STAGES)


def test_stages_begin_where_the_last_ends():
    stages = plan(STAGED, 8)
    assert [(s.number, s.first_step, s.first_sample, s.steps) for s in stages] == [
        (1, 0, 0, 4),
        (2, 4, 16, 4),
        (3, 8, 24, 2),
    ]
    assert [stage_at(stages, step).number for step in (0, 3, 4, 7, 8, 10, 99)] == [1, 1, 2, 2, 3, 3, 3]
    assert [s.recipe.batch for s in stages] == [4, 2, 4]  # what a stage does not say is the recipe's
    whole = plan(TINY, 8)
    assert len(whole) == 1
    assert whole[0].recipe is TINY


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iterations": 5}, "iterations beside stages, which have budgets of their own"),
        ({"stages": ({"iterations": 1}, {"epochs": 2, "clas_crop": 0.5})}, "stage 2 of 2: .*near: class_crop"),
        ({"stages": ({"iterations": 1, "model": "hrnet"},)}, "stage 1 of 1: it has no field 'model'"),
        ({"stages": ({"iterations": 1, "seed": 1},)}, "no field 'seed'"),
        ({"stages": ({"lr": 0.1},)}, "stage 1 of 1: .*exactly one of iterations, epochs, minutes; set are none"),
        ({"stages": ({"iterations": 1, "crop": (8, 8)},)}, "crop"),
        ({"stages": ({"iterations": 1, "scale": (2, 1)},)}, "stage 1 of 1.*smallest zoom first"),
        ({"stages": ({"iterations": 1, 3: 1},)}, "no field '3'"),
        ({"stages": (5,)}, "dicts"),
    ],
)
def test_what_cannot_be_a_stage_is_refused(changes, words):
    with pytest.raises(RecipeError, match=words):
        replace(STAGED, **changes)


def test_stages_come_from_the_command_line_and_from_a_report():
    told = override(TINY, ["stages=[{'epochs': 3, 'crop': (64, 96)}, {'epochs': 1.5}]"])
    assert (told.iterations, [s.epochs for s in told.in_stages()]) == (0, [3.0, 1.5])
    assert told.in_stages()[0].crop == (64, 96)
    read = Recipe(**{**told.as_json(), "stages": tuple(told.as_json()["stages"])})  # lists, as JSON has them
    assert read.in_stages()[0].crop == (64, 96)
    assert override(told, ["iterations=3"]).stages == ()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fit(STAGED, Toy(8), Toy(2), folder, progress=False)
    return folder


def test_every_stage_trains_by_its_own_numbers(tmp_path, monkeypatch):
    seen, step = [], train.training_step

    def watched(run, keys, raw):
        loss = step(run, keys, raw)
        lr = run.optimizer.param_groups[0]["lr"]
        seen.append((len(keys), run.augment.recipe.crop, run.augment.recipe.flip, lr, run.ema.decay))
        return loss

    monkeypatch.setattr(train, "training_step", watched)
    fit(STAGED, Toy(8), None, tmp_path, progress=False)
    assert [s[0] for s in seen] == [4] * 4 + [2] * 4 + [4] * 2
    assert [s[1] for s in seen] == [TINY.crop] * 4 + [(48, 64)] * 4 + [TINY.crop] * 2
    assert [s[2] for s in seen] == [TINY.flip] * 8 + [0.0] * 2
    first, second, third = STAGED.in_stages()
    wanted = [learning_rate(first, k, k / 4) for k in range(4)] + [learning_rate(second, k, k / 4) for k in range(4)]
    wanted += [learning_rate(third, k, k / 2) for k in range(2)]
    assert [s[3] for s in seen] == pytest.approx(wanted)
    assert [s[4] for s in seen] == [TINY.ema] * 4 + [0.5] * 4 + [TINY.ema] * 2


def test_the_log_and_the_curves_show_where_stages_begin(whole):
    rows = [row for row in log_rows(whole) if "stage" in row]
    assert [(r["stage"], r["step"], r["epoch"], r["lr"]) for r in rows] == [
        (1, 0, 0.0, 0.05),
        (2, 4, 2.0, 0.02),
        (3, 8, 3.0, 0.01),
    ]
    dotted = [line.get_xdata()[0] for line in curves(whole / "log.jsonl").axes[0].lines if line.get_linestyle() == ":"]
    assert dotted == [2.0, 3.0]
    report = json.loads((whole / "report.json").read_text())
    assert (report["steps"], report["epochs"]) == (10, 4.0)
    assert report["recipe"]["stages"][1]["crop"] == [48, 64]


@pytest.mark.parametrize("cut", [2, 4, 5, 8, 9])
def test_a_run_that_was_cut_in_any_stage_or_between_two_goes_on_bit_for_bit(whole, tmp_path, monkeypatch, cut):
    step = train.training_step

    def dying(run, keys, raw):
        if run.step == cut:
            raise KeyboardInterrupt
        return step(run, keys, raw)

    with monkeypatch.context() as patch:
        patch.setattr(train, "training_step", dying)
        with pytest.raises(KeyboardInterrupt):
            fit(STAGED, Toy(8), Toy(2), tmp_path, checkpoint_seconds=0, progress=False)
    fit(STAGED, Toy(8), Toy(2), tmp_path, resume=True, progress=False)
    assert_same(tensors(tmp_path), tensors(whole))
    assert [(r.get("step"), r.get("stage"), r.get("loss")) for r in log_rows(tmp_path)] == [
        (r.get("step"), r.get("stage"), r.get("loss")) for r in log_rows(whole)
    ]


def test_a_run_is_not_resumed_with_other_stages_and_its_end_is_the_same_again(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    other = replace(STAGED, stages=(*STAGES[:2], {"iterations": 9}))
    with pytest.raises(TrainingError, match="another recipe .stages"):
        fit(other, Toy(8), Toy(2), run, resume=True, progress=False)
    (run / "weights.safetensors").unlink()  # the end comes once more, by the last stage's numbers
    fit(STAGED, Toy(8), Toy(2), run, resume=True, progress=False)
    assert_same(tensors(run), tensors(whole))


def test_stages_that_change_nothing_are_one_run(tmp_path):
    even = replace(TINY, min_lr=TINY.lr, warmup=0, precise_bn=0)
    fit(replace(even, iterations=6), Toy(8), None, tmp_path / "one", progress=False)
    stages = ({"iterations": 2}, {"iterations": 4})
    fit(replace(even, iterations=0, stages=stages), Toy(8), None, tmp_path / "two", progress=False)
    assert_same(tensors(tmp_path / "one"), tensors(tmp_path / "two"))


class Mixed(Toy):
    """Images of two sizes: read by workers, padded in batches."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return (image, label) if index % 2 else (image[:-8], label[:-8])


@pytest.mark.parametrize("data", [Toy(4), Mixed(4)], ids=["one size", "two"])
def test_precise_bn_takes_whole_images_if_asked(tmp_path, monkeypatch, data):
    kept = []
    monkeypatch.setattr(train, "precise_bn", lambda model, batches, fixed: kept.extend(batches))
    recipe = replace(TINY, iterations=1, batch=2, precise_bn=2, precise_bn_frames=True)
    fit(recipe, data, None, tmp_path / "own", workers=0, progress=False)
    images = torch.cat([torch.from_numpy(data[i][0]).permute(2, 0, 1).reshape(3, -1) for i in range(4)], 1).float()
    mean, std = (torch.tensor(v).view(3, 1) * 255 for v in (recipe.mean, recipe.std))
    pixels = torch.cat([batch.transpose(0, 1).reshape(3, -1) for batch in kept], 1)
    expected = ((images - mean) / std).numpy()
    np.testing.assert_allclose(np.sort(pixels.numpy(), 1), np.sort(expected, 1), atol=1e-5)
    kept.clear()
    fit(replace(recipe, eval_size=(96, 64)), data, None, tmp_path / "sized", workers=0, progress=False)
    assert {tuple(batch.shape[2:]) for batch in kept} == {(96, 64)}
    with pytest.raises(RecipeError, match="precise_bn=50"):
        replace(recipe, precise_bn=0)
