"""Recipes: data that the command line can change, with errors that help."""

from __future__ import annotations

from dataclasses import asdict

import pytest

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
    ],
)
def test_impossible_recipes_are_refused_with_their_name(bad):
    with pytest.raises(RecipeError, match="mine"):
        Recipe("mine", **bad)


def test_recipes_survive_json():
    import json

    for name in list_recipes():
        assert json.loads(json.dumps(asdict(get_recipe(name))))["name"] == name
