"""Optimiser groups, learning-rate schedules, the moving average, precise batch normalisation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from edgeseg.models.registry import create_model
from edgeseg.training.losses import class_weights
from edgeseg.training.optim import (
    EMA,
    classifier_biases,
    learning_rate,
    make_optimizer,
    precise_bn,
    set_learning_rate,
    unweight,
)
from edgeseg.training.recipe import RecipeError
from edgeseg.training.recipes import get_recipe
from edgeseg.training.train import fit
from small_networks import small_switches
from toy_runs import TINY, Toy


def test_only_convolution_weights_decay():
    model = create_model("cross_cbam_m", 3, width=8, aspp_channels=16)
    optimizer = make_optimizer(model, TINY)
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, p in model.named_parameters():
        assert decay[id(p)] == (TINY.weight_decay if p.ndim > 1 else 0.0), name


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_backbone_learns_at_its_own_rate_and_decays_as_the_rest(optimizer):
    model = create_model("cross_cbam_m", 3, width=8, aspp_channels=16)
    made = make_optimizer(model, replace(TINY, optimizer=optimizer, backbone_lr=0.2))
    set_learning_rate(made, 0.5)
    groups = {id(p): g for g in made.param_groups for p in g["params"]}
    assert sum(len(g["params"]) for g in made.param_groups) == len(groups) == len(list(model.parameters()))
    for name, p in model.named_parameters():
        assert groups[id(p)]["lr"] == pytest.approx(0.1 if name.startswith("backbone.") else 0.5), name
        assert groups[id(p)]["weight_decay"] == (TINY.weight_decay if p.ndim > 1 else 0.0), name


def test_without_a_rate_of_its_own_the_backbone_changes_neither_groups_nor_rate():
    model = create_model("cross_cbam_m", 3, width=8, aspp_channels=16)
    made = make_optimizer(model, TINY)
    set_learning_rate(made, 0.5)
    assert [g["lr"] for g in made.param_groups] == [0.5, 0.5]
    assert [p for g in made.param_groups for p in g["params"]] == sorted(model.parameters(), key=lambda p: p.ndim <= 1)


def test_a_network_without_a_backbone_has_no_rate_for_it():
    with pytest.raises(RecipeError, match="Conv2d has no part named backbone.*freeze_epochs=0 backbone_lr=1"):
        make_optimizer(torch.nn.Conv2d(3, 3, 1), replace(TINY, backbone_lr=0.2))


def test_schedules_begin_warm_and_end_at_the_smallest_rate():
    for schedule in ("poly", "cosine"):
        recipe = replace(TINY, schedule=schedule, lr=0.1, min_lr=0.001, warmup=10)
        assert learning_rate(recipe, 0, 0.0) == pytest.approx(0.01)
        assert learning_rate(recipe, 10, 0.0) == pytest.approx(0.1)
        assert learning_rate(recipe, 1000, 1.0) == pytest.approx(0.001)
        rates = [learning_rate(recipe, 100, p / 20) for p in range(21)]
        assert rates == sorted(rates, reverse=True)


def test_the_cosine_is_equation_8_at_every_iteration():
    total, initial = 50, 0.004
    recipe = replace(TINY, iterations=total, schedule="cosine", lr=initial, min_lr=initial / 100)
    for iteration in range(total):
        equation = recipe.min_lr + 0.5 * (initial - recipe.min_lr) * (1 + math.cos(math.pi * iteration / total))
        assert learning_rate(recipe, iteration, iteration / total) == pytest.approx(equation, rel=1e-14)


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_poly_falls_with_a_power_of_what_is_left(power):
    recipe = replace(TINY, schedule="poly", power=power, lr=0.1, min_lr=0.001)
    for progress in (0.0, 0.3, 0.5, 0.99):
        assert learning_rate(recipe, 0, progress) == pytest.approx(0.001 + 0.099 * (1 - progress) ** power)


def test_poly_runs_between_the_rates_and_is_no_product_over_a_floor():
    recipe = get_recipe("cross_cbam_cityscapes_paper")
    product = max(recipe.min_lr, recipe.lr * (1 - 0.5) ** recipe.power)  # "multiplied by", section 4.2
    assert (round(learning_rate(recipe, 0, 0.5), 5), round(product, 5)) == (0.00541, 0.00536)


def test_warm_up_rises_linearly_or_by_another_power():
    recipe = replace(TINY, lr=0.1, warmup=10)
    squared = replace(recipe, warmup_power=2.0)
    for step in range(15):
        share = min(1.0, (step + 1) / 10)
        assert learning_rate(recipe, step, 0.0) == pytest.approx(0.1 * share)
        assert learning_rate(squared, step, 0.0) == pytest.approx(0.1 * share**2)


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_the_tail_runs_at_the_smallest_rate_and_the_schedule_fits_before_it(schedule):
    recipe = replace(TINY, schedule=schedule, lr=0.1, min_lr=0.001)
    short = replace(recipe, tail=0.25)
    for progress in (0.0, 0.2, 0.5, 0.74):
        assert learning_rate(short, 0, progress) == pytest.approx(learning_rate(recipe, 0, progress / 0.75))
    assert {learning_rate(short, 0, progress) for progress in (0.75, 0.9, 1.0)} == {0.001}


def test_the_average_follows_early_and_settles_late():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    ema = EMA(model, 0.99)
    torch.nn.init.ones_(model.weight)
    ema.update(model, 0)
    assert ema.model.weight.item() == pytest.approx(0.9)  # decay 1/10 at first
    ema.update(model, 10_000)
    assert ema.model.weight.item() == pytest.approx(0.9 + 0.1 * 0.01)


def test_the_average_has_the_latest_statistics():
    model = torch.nn.BatchNorm2d(3)
    ema = EMA(model, 0.99)
    model(torch.randn(2, 3, 4, 4) + 5)
    ema.update(model, 0)
    assert ema.model.running_mean.equal(model.running_mean)
    assert ema.model.num_batches_tracked == 1


def test_precise_bn_gives_the_plain_mean_of_the_batches():
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    batches = [torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(i)) + i for i in range(3)]
    precise_bn(model, batches)
    torch.testing.assert_close(model[0].running_mean, torch.stack(batches).mean((0, 1, 3, 4)))
    assert not model.training


def test_precise_bn_leaves_a_fixed_part_as_it_is():
    fixed, free = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    before = {k: v.clone() for k, v in fixed.state_dict().items()}
    batches = [torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(i)) + 2 for i in range(2)]
    precise_bn(torch.nn.Sequential(fixed, free), batches, fixed)
    assert all(torch.equal(v, before[k]) for k, v in fixed.state_dict().items())
    # what the second one saw came through the first one's fixed statistics: mean 0, variance 1
    torch.testing.assert_close(free.running_mean, torch.stack(batches).mean((0, 1, 3, 4)), rtol=1e-4, atol=0)
    assert free.momentum == 0.1


# one pass over memory -------------------------------------------------------------------------------------------------


def in_memory(tensor):
    """A tensor's numbers in the order in which they lie."""
    return torch.as_strided(tensor.detach(), (tensor.numel(),), (1,), tensor.storage_offset())


@pytest.mark.parametrize("name", ["cross_cbam_m", "cross_cbam_s", "hrnet_s", "hrnet_l"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_lie_in_memory_as_their_parameters_do(name, accumulate):
    """PyTorch's fused kernels go through both side by side, and do not notice where they do not match."""
    model = create_model(name, 3, **small_switches(name)).to(memory_format=torch.channels_last)
    for seed in range(accumulate):
        torch.manual_seed(seed)
        x = torch.rand(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            model(x)["out"].float().square().mean().backward()
    for key, parameter in model.named_parameters():
        if parameter.grad is not None:
            marked = torch.arange(parameter.numel(), dtype=parameter.dtype).view(parameter.shape)
            orders = [in_memory(torch.empty_like(like).copy_(marked)) for like in (parameter, parameter.grad)]
            assert torch.equal(*orders), key


def test_the_fused_optimiser_is_the_plain_one(monkeypatch, tmp_path):
    recipe, plain = replace(TINY, optimizer="adamw", lr=1e-3), torch.optim.AdamW
    fit(recipe, Toy(), None, tmp_path / "fused", progress=False)
    monkeypatch.setattr(torch.optim, "AdamW", lambda groups, lr, fused: plain(groups, lr=lr, foreach=False))
    fit(recipe, Toy(), None, tmp_path / "plain", progress=False)
    fused, loops = (load_file(tmp_path / name / "weights.safetensors") for name in ("fused", "plain"))
    for key, value in loops.items():
        torch.testing.assert_close(fused[key], value, rtol=1e-3, atol=1e-4, msg=key)


# class weights taken back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cross_cbam_m", "hrnet", "stdc1_seg", "pp_liteseg_t", "stdc1_fcn"])
def test_every_logit_falls_by_its_class_offset_and_no_other_head_changes(name):
    model = create_model(name, 3, **small_switches(name)).eval()
    x, offsets = torch.rand(1, 3, 64, 64), torch.tensor([0.5, -0.25, 0.0])
    before, aux = model(x), {k: v.clone() for k, v in model.state_dict().items() if k.startswith("aux")}
    unweight(model, offsets)
    torch.testing.assert_close(model(x), before - offsets[:, None, None])
    assert all(torch.equal(model.state_dict()[k], v) for k, v in aux.items())


def test_a_run_takes_its_class_weights_back_at_its_end_and_says_at_its_start_where_it_cannot(tmp_path):
    recipe = replace(TINY, class_weights="enet")
    fit(recipe, Toy(), None, tmp_path / "kept", progress=False)
    fit(replace(recipe, unweight=0.5), Toy(), None, tmp_path / "back", progress=False)
    kept, back = (load_file(tmp_path / name / "weights.safetensors") for name in ("kept", "back"))
    counts = sum(torch.bincount(torch.from_numpy(Toy()[i][1]).flatten().int(), minlength=256)[:3] for i in range(6))
    offsets = 0.5 * class_weights(counts.numpy(), "enet").log()
    torch.testing.assert_close(back["classifier.bias"], kept["classifier.bias"] - offsets)
    assert all(torch.equal(back[k], v) for k, v in kept.items() if k != "classifier.bias")
    with pytest.raises(RecipeError, match="there are none"):
        replace(TINY, unweight=0.5)
    with pytest.raises(RecipeError, match="no bias"):
        classifier_biases(torch.nn.Conv2d(3, 3, 1), 3)
