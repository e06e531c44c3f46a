"""The recipes: each says where its numbers come from, and has the papers' where it claims so."""

from __future__ import annotations

import math

import pytest

from edgeseg.training.optim import learning_rate
from edgeseg.training.recipe import Recipe, differing, loss_terms
from edgeseg.training.recipes import RecipeError, get_recipe, list_recipes


def test_every_recipe_builds_and_says_where_its_numbers_come_from():
    from edgeseg.training import recipes

    for name in list_recipes():
        assert get_recipe(name).name == name
        assert getattr(recipes, name).__doc__


CROSS_CBAM = {
    "model": "cross_cbam_m", "optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4,
    "schedule": "poly", "power": 0.9, "lr": 0.01, "min_lr": 1e-4,
}  # fmt: skip
HRNET = {
    "optimizer": "sgd", "momentum": 0.9, "schedule": "cosine", "lr": 0.004, "min_lr": 0.004 / 100, "freeze_epochs": 50,
}  # fmt: skip
PRINTED = {
    "cross_cbam_camvid_paper": CROSS_CBAM | {
        "data": "camvid", "data_size": (720, 960), "batch": 24, "iterations": 10_000, "crop": (720, 960),
        "scale": (0.5, 2.5),
    },
    "cross_cbam_cityscapes_paper": CROSS_CBAM | {
        "data": "cityscapes", "data_size": (1024, 2048), "batch": 16, "iterations": 160_000, "crop": (512, 1024),
        "eval_size": (512, 1024),
    },
    "hrnet_cityscapes_paper": HRNET | {
        "model": "hrnet_l", "data": "cityscapes20", "data_size": (512, 1024), "crop": (512, 1024),
        "shrink": "bilinear", "epochs": 300, "loss": "focal + dice", "eval_size": (512, 1024),
    },
    "hrnet_voc_paper": HRNET | {
        "model": "hrnet_s", "data": "voc", "split": "paper_train", "val_split": "paper_val", "crop": (512, 512),
        "epochs": 200, "loss": "ce",
    },
}  # fmt: skip
"""Recipe → what its paper prints: Cross-CBAM, sections 4.1 and 4.2; Improved HRNet, section IV and Table II."""
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # of the backbone that they start from
READ = {"loss": "0.5 ce", "aux_loss": "sigmoid_focal", "aux_weight": 0.5, "aux_stride": 8}
OURS = {"decay_conv_only": False, "ema": 0.0, "amp": "bf16", "flip": 0.5, **IMAGENET}
HRNET_OURS = {**OURS, "batch": 8, "weight_decay": 1e-4, "scale": (1.0, 1.0)}
CHOSEN = {
    "cross_cbam_camvid_paper": {**OURS, **READ, "split": "trainval", "val_split": "test", "shrink": "area"},
    "cross_cbam_cityscapes_paper": {**OURS, **READ, "scale": (0.125, 1.5), "shrink": "area"},
    "hrnet_cityscapes_paper": HRNET_OURS,
    "hrnet_voc_paper": HRNET_OURS,
}
"""Recipe → where the paper is silent or cannot be meant, as the recipe's own text says."""


@pytest.mark.parametrize("name", PRINTED)
def test_every_field_of_a_papers_recipe_is_printed_or_named_as_chosen(name):
    assert not PRINTED[name].keys() & CHOSEN[name].keys()
    expected = Recipe(name, **PRINTED[name], **CHOSEN[name])  # all else is what every recipe has
    assert differing(expected.as_json(), get_recipe(name)) == {}


def test_every_papers_recipe_is_held_against_its_paper():
    papers = {name.removesuffix("_mixed") for name in list_recipes() if "_paper" in name}
    assert papers == set(PRINTED)


@pytest.mark.parametrize("data", ["camvid", "cityscapes"])
def test_both_readings_of_the_cross_cbam_loss_are_recipes_and_differ_in_nothing_else(data):
    name = f"cross_cbam_{data}_paper"
    plain, mixed = get_recipe(name), get_recipe(f"{name}_mixed")
    assert differing(plain.as_json(), mixed).keys() == {"name", "loss", "aux_loss", "aux_weight"}
    assert [loss_terms(r.loss) for r in (plain, mixed)] == [[(0.5, "ce")], [(0.5, "ce"), (0.5, "sigmoid_focal")]]
    assert (mixed.aux_loss, mixed.aux_weight) == (mixed.loss, 0.4)


@pytest.mark.parametrize("name", ["hrnet_cityscapes_paper", "hrnet_voc_paper"])
def test_the_learning_rate_of_the_improved_hrnet_recipes_is_equation_8(name):
    recipe, total = get_recipe(name), 1000
    for iteration in range(0, total + 1, 50):
        equation = 0.00004 + 0.5 * (0.004 - 0.00004) * (1 + math.cos(math.pi * iteration / total))
        assert learning_rate(recipe, iteration, iteration / total) == pytest.approx(equation, rel=1e-12)


def test_the_published_scripts_recipe_differs_from_the_papers_as_the_scripts_do():
    r = get_recipe("hrnet_cityscapes_published")
    assert (r.lr, r.min_lr) == (0.004 * r.batch / 16, 0.004 * r.batch / 16 / 100)
    assert (r.nesterov, r.weight_decay, r.decay_conv_only, r.freeze_epochs) == (True, 1e-4, False, 0)
    assert r.warmup_power == 2
    assert r.warmup * r.batch / 2975 == pytest.approx(3, abs=0.01)  # epochs
    assert r.tail * r.epochs == pytest.approx(15)
    assert (r.scale, r.aspect, r.rotate, r.mean, r.std) == ((0.5, 2.0), 0.3, 10.0, (0, 0, 0), (1, 1, 1))
    assert (r.model, r.data, r.crop, r.loss, r.blur) == (
        "hrnet_l", "cityscapes20", (512, 1024), "0.5 focal + dice", 0.25,
    )  # fmt: skip
    assert r.shrink == "area"  # theirs smooths where it shrinks


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_names_a_model_and_switches_that_exist(name):
    from edgeseg.models.registry import ARCHS

    recipe = get_recipe(name)
    assert recipe.model in ARCHS
    assert set(recipe.switches) <= set(ARCHS[recipe.model].switches)


def test_an_unknown_recipe_lists_those_that_exist():
    with pytest.raises(RecipeError, match="camvid_cpu"):
        get_recipe("camvid_cp")
