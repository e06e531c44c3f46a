"""A frozen backbone does not move by a bit, and moves afterwards; interrupted runs and half precision keep to that."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from edgeseg.inference import load_segmenter
from edgeseg.training import train
from edgeseg.training.network import backbone_of
from edgeseg.training.optim import learning_rate
from edgeseg.training.recipes import RecipeError
from edgeseg.training.train import fit
from toy_runs import TINY, Toy, assert_same, start, tensors

pytestmark = pytest.mark.filterwarnings("ignore:the backbone stays at its random weights")
FROZEN = replace(TINY, iterations=6, freeze_epochs=2.0)  # epochs of 1.5 steps: steps 0 to 2 are frozen, 3 to 5 are not


def part(tensors, prefix):
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@pytest.mark.parametrize(
    "change", [{}, {"optimizer": "adamw", "lr": 1e-3, "amp": "bf16"}, {"clip": 1.0, "accumulate": 2}]
)
def test_the_backbone_stays_bit_for_bit_while_the_rest_trains(tmp_path, change):
    recipe = replace(FROZEN, iterations=3, **change)
    before = start(recipe).model.state_dict()
    fit(recipe, Toy(), None, tmp_path, progress=False)
    after = tensors(tmp_path)
    backbone = part(before, "backbone.")
    assert any(key.endswith("running_var") for key in backbone)
    assert_same(part(after, "model.backbone."), backbone)
    assert_same(part(after, "ema.backbone."), backbone)
    rest = [k for k in before if not k.startswith("backbone.") and k.endswith(("weight", "running_mean"))]
    assert all(not torch.equal(after[f"model.{k}"], before[k]) for k in rest)


def test_the_backbone_moves_after_its_phase_weights_and_statistics(tmp_path):
    before = part(start(FROZEN).model.state_dict(), "backbone.")
    fit(FROZEN, Toy(), None, tmp_path, progress=False)
    after = part(tensors(tmp_path), "model.backbone.")
    assert all(not torch.equal(after[k], before[k]) for k in before if k.endswith(("conv.weight", "running_mean")))
    assert {int(v) for k, v in after.items() if k.endswith("num_batches_tracked")} == {3}


def test_the_optimiser_holds_all_parameters_and_keeps_no_state_of_frozen_ones(tmp_path):
    run = start(FROZEN)
    assert sum(len(g["params"]) for g in run.optimizer.param_groups) == len(list(run.model.parameters()))
    fit(replace(FROZEN, iterations=3), Toy(), None, tmp_path, progress=False)
    buffers = [k for k in tensors(tmp_path) if k.endswith("momentum_buffer")]
    assert len(buffers) == sum(not n.startswith("backbone.") for n, _ in run.model.named_parameters())


class InterruptedRunError(Exception):
    pass


@pytest.mark.parametrize("step", [2, 3, 5])  # within the frozen phase, at its end, after it
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_interrupted_in_any_phase_resumes_bit_for_bit(tmp_path, monkeypatch, step, optimizer):
    recipe, training_step = replace(FROZEN, optimizer=optimizer, lr=2e-3), train.training_step

    def dying(run, keys, raw):
        if run.step == step:
            raise InterruptedRunError
        return training_step(run, keys, raw)

    fit(recipe, Toy(), None, tmp_path / "whole", progress=False)
    monkeypatch.setattr(train, "training_step", dying)
    with pytest.raises(InterruptedRunError):
        fit(recipe, Toy(), None, tmp_path / "cut", checkpoint_seconds=0, progress=False)
    monkeypatch.undo()
    fit(recipe, Toy(), None, tmp_path / "cut", resume=True, progress=False)
    assert_same(tensors(tmp_path / "cut"), tensors(tmp_path / "whole"))


def test_precise_statistics_of_a_run_that_ends_frozen_leave_the_backbone_alone(tmp_path):
    recipe = replace(FROZEN, iterations=3, precise_bn=2)
    before = start(recipe).model.state_dict()
    fit(recipe, Toy(), None, tmp_path, progress=False)
    after = load_segmenter(tmp_path / "weights.safetensors").model.state_dict()
    assert_same(part(after, "backbone."), part(before, "backbone."))
    other = [k for k in before if k.endswith("running_mean") and not k.startswith("backbone.")]
    assert all(not torch.equal(after[k], before[k]) for k in other)


def test_freezing_counts_epochs_whatever_the_budget_counts():
    for budget in ({"minutes": 1.0}, {"epochs": 9.0}, {"iterations": 9}):
        run = start(replace(TINY, **{"iterations": 0, **budget, "freeze_epochs": 2.0}))
        assert [run.frozen_at(step) for step in range(5)] == [True, True, True, False, False]
    assert not any(start(TINY).frozen_at(step) for step in range(5))


def test_the_learning_rate_follows_the_whole_budget(tmp_path, monkeypatch):
    rates, training_step = [], train.training_step

    def noting(run, keys, raw):
        rates.append(run.optimizer.param_groups[0]["lr"])
        return training_step(run, keys, raw)

    monkeypatch.setattr(train, "training_step", noting)
    recipe = replace(FROZEN, schedule="cosine")
    fit(recipe, Toy(), None, tmp_path, progress=False)
    assert rates == [learning_rate(recipe, step, step / 6) for step in range(6)]


def test_evaluation_on_the_way_does_not_wake_the_backbone(tmp_path):
    recipe = replace(FROZEN, iterations=3, eval_every=0.5)
    fit(replace(recipe, eval_every=0.0), Toy(), None, tmp_path / "without", progress=False)
    fit(recipe, Toy(), Toy(2), tmp_path / "with", progress=False)
    assert_same(tensors(tmp_path / "with"), tensors(tmp_path / "without"))


def test_a_checkpointed_hrnet_trains_through_both_phases(tmp_path):
    switches = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "checkpointing": True}
    recipe = replace(FROZEN, model="hrnet_l", switches=switches)
    before = part(start(recipe).model.state_dict(), "backbone.")
    fit(replace(recipe, iterations=3), Toy(), None, tmp_path / "frozen", progress=False)
    assert_same(part(tensors(tmp_path / "frozen"), "model.backbone."), before)
    fit(recipe, Toy(), None, tmp_path / "both", progress=False)
    after = part(tensors(tmp_path / "both"), "model.backbone.")
    assert all(not torch.equal(after[k], before[k]) for k in before if k.endswith("running_mean"))
    assert {int(v) for k, v in after.items() if k.endswith("num_batches_tracked")} == {3}


def test_a_model_without_a_backbone_cannot_be_frozen():
    with pytest.raises(RecipeError, match="Linear has no part named backbone.*freeze_epochs=0"):
        backbone_of(torch.nn.Linear(1, 1))


def test_freezing_random_weights_is_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="stays at its random weights for 2 epochs"):
        fit(replace(FROZEN, iterations=1), Toy(), None, tmp_path / "run", progress=False)
    init = tmp_path / "run" / "weights.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(replace(FROZEN, iterations=1), Toy(), None, tmp_path / "second", init=init, progress=False)
