"""Recipes: data that the command line can change, with errors that help."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest

from edgeseg.training.recipe import FIELDS
from edgeseg.training.recipes import Recipe, RecipeError, get_recipe, list_recipes, override


def test_every_recipe_builds_and_says_where_its_numbers_come_from():
    from edgeseg.training import recipes

    for name in list_recipes():
        assert get_recipe(name).name == name
        assert getattr(recipes, name).__doc__


def test_the_papers_camvid_recipe_has_its_printed_numbers():
    r = get_recipe("cross_cbam_camvid_paper")
    assert (r.batch, r.iterations, r.crop, r.scale) == (24, 10_000, (720, 960), (0.5, 2.5))
    assert (r.lr, r.min_lr, r.momentum, r.weight_decay, r.power) == (0.01, 1e-4, 0.9, 5e-4, 0.9)


def test_the_papers_cityscapes_recipe_has_its_printed_numbers():
    r = get_recipe("cross_cbam_cityscapes_paper")
    assert (r.batch, r.iterations, r.crop) == (16, 160_000, (512, 1024))


def test_the_improved_hrnet_recipes_have_the_papers_numbers():
    for name, model, epochs, crop, loss in (
        ("hrnet_cityscapes_paper", "hrnet_l", 300, (512, 1024), "focal + dice"),
        ("hrnet_voc_paper", "hrnet_s", 200, (512, 512), "ce"),
    ):
        r = get_recipe(name)
        assert (r.model, r.epochs, r.freeze_epochs, r.crop, r.loss) == (model, epochs, 50, crop, loss)
        assert (r.optimizer, r.momentum, r.schedule, r.lr, r.min_lr) == ("sgd", 0.9, "cosine", 0.004, 0.004 / 100)
    assert (get_recipe("hrnet_voc_paper").split, get_recipe("hrnet_voc_paper").val_split) == (
        "paper_train",
        "paper_val",
    )
    assert get_recipe("hrnet_cityscapes_paper").data == "cityscapes20"


def test_the_published_scripts_recipe_differs_from_the_papers_as_the_scripts_do():
    r = get_recipe("hrnet_cityscapes_published")
    assert (r.lr, r.min_lr) == (0.004 * r.batch / 16, 0.004 * r.batch / 16 / 100)
    assert (r.nesterov, r.weight_decay, r.decay_conv_only, r.freeze_epochs) == (True, 1e-4, False, 0)
    assert r.warmup_power == 2
    assert r.warmup * r.batch / 2975 == pytest.approx(3, abs=0.01)  # epochs
    assert r.tail * r.epochs == pytest.approx(15)
    assert (r.scale, r.aspect, r.rotate, r.mean, r.std) == ((0.5, 2.0), 0.3, 10.0, (0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_names_a_model_and_switches_that_exist(name):
    from edgeseg.models.registry import ARCHS

    recipe = get_recipe(name)
    assert recipe.model in ARCHS
    assert set(recipe.switches) <= set(ARCHS[recipe.model].switches)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("lr=0.02", "lr", 0.02),
        ("lr=1", "lr", 1.0),
        ("crop=288,384", "crop", (288, 384)),
        ("scale=0.5,2", "scale", (0.5, 2.0)),
        ("eval_size=none", "eval_size", None),
        ("val_split=none", "val_split", None),
        ("compile=true", "compile", True),
        ("amp=bf16", "amp", "bf16"),
        ("switches={'dilations': (3, 5)}", "switches", {"dilations": (3, 5)}),
    ],
)
def test_fields_are_parsed_by_their_type(text, field, value):
    changed = override(get_recipe("camvid_cpu"), [text])
    assert getattr(changed, field) == value
    assert type(getattr(changed, field)) is type(value)


@pytest.mark.parametrize("text", ["lr=fast", "crop=288", "crop=a,b", "batch=2.5", "compile=maybe", "epochs=", "lr"])
def test_a_value_of_another_type_is_refused(text):
    with pytest.raises(RecipeError):
        override(get_recipe("camvid_cpu"), [text])


@pytest.mark.parametrize(
    "text",
    [
        "eval_size=10,10", "data_size=10,10", "crop=16,64", "ema=2", "flip=3", "momentum=5", "std=0,0,0", "mean=-1,0,0",
        "scale=2,1", "scale=0,1", "aux_weight=-1", "boundary_weight=-1", "weight_decay=-1", "clip=-1", "batch=0",
        "accumulate=0", "epochs=-1", "data_count=0", "seed=-1", "temperature=0", "loss_stride=0", "hue=0.7",
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_in_one_line_before_anything_is_read(text):
    with pytest.raises(RecipeError, match=text.partition("=")[0]) as refused:
        override(get_recipe("camvid_cpu"), [text])
    assert "\n" not in str(refused.value)


def test_every_number_of_a_recipe_has_a_range():
    numbers = {name: f for name, f in FIELDS.items() if type(f.default) in (int, float, tuple)}
    assert len(numbers) > 30
    assert all(math.isfinite(f.low) for f in numbers.values())


def test_an_unknown_loss_lists_the_known_ones():
    with pytest.raises(RecipeError, match="ce, ohem, focal, dice"):
        override(get_recipe("camvid_cpu"), ["loss=crossentropy"])


def test_an_unknown_field_lists_near_names():
    with pytest.raises(RecipeError, match="weight_decay"):
        override(get_recipe("camvid_cpu"), ["weight_deca=1"])


def test_an_unknown_recipe_lists_those_that_exist():
    with pytest.raises(RecipeError, match="camvid_cpu"):
        get_recipe("camvid_cp")


def test_a_new_budget_replaces_the_old_one():
    changed = override(get_recipe("camvid_cpu"), ["minutes=5"])
    assert (changed.minutes, changed.epochs, changed.iterations) == (5.0, 0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"iterations": 1, "epochs": 1.0},
        {"iterations": 1, "batch": 6, "accumulate": 4},
        {"iterations": 1, "crop": (16, 64)},
        {"iterations": 1, "crop": (32, 48), "batch": 1},
        {"iterations": 1, "scale": (2.0, 1.0)},
        {"iterations": 1, "amp": "fp8"},
        {"iterations": 1, "optimizer": "adamm"},
        {"iterations": 1, "rotate": -5.0},
        {"iterations": 1, "tail": 1.0},
        {"iterations": 1, "freeze_epochs": -1.0},
        {"iterations": 1, "warmup_power": -1.0},
        {"iterations": 1, "lr": float("nan")},
        {"iterations": 1, "batch": 2.5},
        {"iterations": 1, "teacher": "x"},
        {"iterations": 1, "teacher_weight": 1.0},
        {"iterations": 1, "loss": "crossentropy"},
        {"iterations": 1, "aux_loss": "1.2.3 dice"},
    ],
)
def test_impossible_recipes_are_refused_with_their_name(bad):
    with pytest.raises(RecipeError, match="mine"):
        Recipe("mine", **bad)


def test_compiling_does_not_go_together_with_activation_checkpointing():
    with pytest.raises(RecipeError, match="compile=True.*checkpointing"):
        Recipe("mine", iterations=1, model="hrnet", compile=True, switches={"checkpointing": True})
    Recipe("mine", iterations=1, model="hrnet", compile=True, switches={"checkpointing": False})


def test_recipes_survive_json():
    for name in list_recipes():
        assert json.loads(json.dumps(asdict(get_recipe(name))))["name"] == name
