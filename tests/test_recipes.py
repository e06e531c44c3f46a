"""The recipes: each says where its numbers come from, and has the papers' where it claims so."""

from __future__ import annotations

import pytest

from edgeseg.training.recipes import RecipeError, get_recipe, list_recipes


def test_every_recipe_builds_and_says_where_its_numbers_come_from():
    from edgeseg.training import recipes

    for name in list_recipes():
        assert get_recipe(name).name == name
        assert getattr(recipes, name).__doc__


def test_the_papers_camvid_recipe_has_its_printed_numbers():
    r = get_recipe("cross_cbam_camvid_paper")
    assert (r.batch, r.iterations, r.crop, r.scale) == (24, 10_000, (720, 960), (0.5, 2.5))
    assert r.data_size == (720, 960)
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


def test_an_unknown_recipe_lists_those_that_exist():
    with pytest.raises(RecipeError, match="camvid_cpu"):
        get_recipe("camvid_cp")
