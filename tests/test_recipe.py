"""Fields of a recipe: data that the command line can change, each with its type and range, with errors that help."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeseg.training.batches import open_recipe
from edgeseg.training.recipe import FIELDS, Recipe, RecipeError, override
from edgeseg.training.recipes import get_recipe


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
        "scale=2,1", "scale=0,1", "aux_weight=-1", "backbone_lr=-1", "boundary_weight=-1", "weight_decay=-1",
        "clip=-1", "batch=0", "unweight=-1", "stages=5",
        "accumulate=0", "epochs=-1", "data_count=0", "seed=-1", "temperature=0", "loss_stride=0", "hue=0.7",
        "epochs=1e99", "minutes=1e99", "lr=1e99", "weight_decay=1e99", "precise_bn=100000000", "batch=100000000",
        "data_count=100000000", "lr=1e-9", "min_lr=1", "momentum=0", "loss=0ce", "switches={1: 2}",
        "switches={'width': {8}}", "switches={'width': b'8'}",
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_in_one_line_before_anything_is_read(text):
    with pytest.raises(RecipeError, match=text.partition("=")[0]) as refused:
        override(get_recipe("camvid_cpu"), [text])
    assert "\n" not in str(refused.value)


def test_every_number_of_a_recipe_has_a_range():
    numbers = {name: f for name, f in FIELDS.items() if type(f.default) in (int, float, tuple) and f.default != ()}
    assert len(numbers) > 30
    assert all(math.isfinite(f.low) for f in numbers.values())


@pytest.mark.parametrize(
    ("text", "listed"),
    [("weight_deca=1", "weight_decay"), ("loss=crossentropy", "ce, ohem, focal, sigmoid_focal, dice")],
)
def test_an_unknown_field_or_loss_lists_those_that_exist(text, listed):
    with pytest.raises(RecipeError, match=listed):
        override(get_recipe("camvid_cpu"), [text])


def test_numpys_numbers_are_numbers_and_are_written_as_such():
    recipe = Recipe("mine", iterations=np.int64(3), crop=(np.int64(64), 96), lr=np.float32(0.5))
    assert recipe.as_json() == Recipe("mine", iterations=3, crop=(64, 96), lr=0.5).as_json()


def test_other_data_leave_behind_a_size_and_a_count_that_they_have_not(tmp_path):
    streets = get_recipe("streets_cpu")
    own = override(streets, [f"data={tmp_path}"])
    assert (own.data_size, own.data_count) == (None, None)
    assert override(streets, [f"data={tmp_path}", "data_size=64,64"]).data_size == (64, 64)
    assert override(streets, ["data=cityscapes"]).data_size == streets.data_size
    assert override(streets, ["data=streets"]) == streets


@pytest.mark.parametrize(
    ("option", "cure"),
    [
        ("data_size=64,64", "data_size=none"),
        ("data_count=5", "data_count=none"),
        ("data_partial=True", "data_partial=false"),
    ],
)
def test_what_the_data_cannot_choose_is_refused_before_they_are_opened(tmp_path, option, cure):
    recipe = override(get_recipe("streets_cpu"), [f"data={tmp_path}", option])
    with pytest.raises(RecipeError, match=f"{option}.*set {cure}"):
        open_recipe(recipe)


def test_a_new_budget_replaces_the_old_one():
    changed = override(get_recipe("camvid_cpu"), ["minutes=5"])
    assert (changed.minutes, changed.epochs, changed.iterations) == (5.0, 0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"iterations": 1, "epochs": 1.0},
        {"iterations": 1, "batch": 6, "accumulate": 4},
        {"iterations": 1, "crop": (32, 48), "batch": 1},
        {"iterations": 1, "amp": "fp8"},
        {"iterations": 1, "lr": float("nan")},
        {"iterations": 1, "teacher": "x"},
        {"iterations": 1, "teacher_weight": 1.0},
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
