"""Classes are compared by name wherever two lists of them meet; their number alone says nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from edgeseg import cli, create_model
from edgeseg.data.labels import VOID, ClassTable, LabelError, class_lookup, match_classes
from edgeseg.deploy.artefact import compile
from edgeseg.deploy.parity import Sample, check_parity, mini_set
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.models.weights import save_weights, weight_meta
from edgeseg.training.ablate import Variant, run_variants
from edgeseg.training.checkpoint import read_checkpoint
from edgeseg.training.publish import publish_run
from edgeseg.training.train import fit
from toy_runs import TABLE, TINY, Toy

NAMES, MOVED, OTHER = ("road", "car", "tree"), ("tree", "road", "car"), ("cat", "dog", "cow")
SIZE = (64, 96)
ONE_STEP = replace(TINY, iterations=1)


def toy(*names: str) -> Toy:
    """The toy data with these class names."""
    data = Toy()
    data.table = ClassTable("toy", names, TABLE.colors[: len(names)])
    return data


# the comparison -------------------------------------------------------------------------------------------------------


def test_a_lookup_takes_every_class_to_its_own_name_and_leaves_void():
    rng = np.random.default_rng(0)
    for count in (1, 2, 11, 254):
        known = [f"class {i}" for i in range(count)]
        wanted = [known[i] for i in rng.permutation(count)]
        there, back = class_lookup(known, wanted), class_lookup(wanted, known)
        assert [wanted[i] for i in there[:count]] == known
        assert np.array_equal(back[there], np.arange(256))
        assert there[VOID] == VOID


@pytest.mark.parametrize("other", [OTHER, NAMES[:2], (*NAMES, "sky"), ("road", "car", "Tree"), ()])
def test_other_names_have_no_lookup_and_are_refused_with_both_lists(other):
    assert class_lookup(other, NAMES) is None
    for any_order in (False, True):
        with pytest.raises(LabelError) as error:
            match_classes(other, NAMES, "the weight", "the data", "Take others.", any_order=any_order)
        said = f"the weight has {', '.join(other) or 'no class names'}; the data has road, car, tree. Take others."
        assert str(error.value).endswith(said)


def test_another_order_passes_only_where_it_is_mapped():
    assert np.array_equal(match_classes(NAMES, NAMES, "a", "b", ""), np.arange(256))
    assert match_classes(NAMES, MOVED, "a", "b", "", any_order=True)[:3].tolist() == [1, 2, 0]
    with pytest.raises(LabelError, match="the same names in another order"):
        match_classes(NAMES, MOVED, "a", "b", "")


# eval -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A network for three classes as a weight and as an artefact, and the same pairs under three class files."""
    root, rng = tmp_path_factory.mktemp("scored"), np.random.default_rng(0)
    images = rng.integers(0, 256, (3, *SIZE, 3), np.uint8)
    labels = rng.integers(0, 3, (3, 8, 12)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    for names in (NAMES, MOVED, OTHER):
        folder = root / names[0]
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True)
        (folder / "classes.json").write_text(json.dumps({"classes": names}))
        values = np.array([(MOVED if names == MOVED else NAMES).index(name) for name in NAMES], np.uint8)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(folder / "images" / f"{i}.png")
            Image.fromarray(values[label]).save(folder / "labels" / f"{i}.png")
    torch.manual_seed(0)  # weights of which one answers with one class only would show nothing
    model = create_model("cross_cbam_m", 3, width=8, aspp_channels=16)
    meta = weight_meta(NAMES, ((0, 0, 0), (9, 9, 9), (5, 5, 5)), "toy", (0.5,) * 3, (0.25,) * 3, SIZE)
    save_weights(root / "weights.safetensors", model, meta)
    segmenter = load_segmenter(root / "weights.safetensors")
    compile(segmenter, "eager", size=SIZE, device="cpu").save(root / "artefact")
    nameless = Segmenter(segmenter.model, (0.5,) * 3, (0.25,) * 3, SIZE)
    compile(nameless, "eager", size=SIZE, device="cpu").save(root / "nameless")
    return root


@pytest.fixture
def evaluate(scored, tmp_path, monkeypatch, capsys):
    """Runs ``edgeseg eval`` of a model on one of the folders; returns exit status, both outputs and the JSON."""

    def run(model, names, *words):
        result = tmp_path / "score.json"
        result.unlink(missing_ok=True)
        words = ["edgeseg", "eval", scored / model, "--data", scored / names[0], "--split", "train", *words]
        monkeypatch.setattr(sys, "argv", [str(word) for word in (*words, "--json", result)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr(), json.loads(result.read_text()) if result.exists() else None

    return run


@pytest.mark.parametrize("model", ["weights.safetensors", "artefact"])
def test_the_order_of_the_datas_classes_changes_no_score(evaluate, model):
    _, said, _, plain = evaluate(model, NAMES)
    code, said_moved, _, moved = evaluate(model, MOVED)
    assert code == 0
    assert (moved["miou"], moved["pixel_accuracy"]) == (plain["miou"], plain["pixel_accuracy"])
    assert moved["per_class_iou"] == plain["per_class_iou"]
    assert len(set(plain["per_class_iou"].values())) == 3  # or a mix-up would not show
    assert list(moved["per_class_iou"]) == list(MOVED)
    assert "another order" not in said
    assert "another order" in said_moved
    assert (plain["classes_matched"], moved["classes_matched"]) == ("by name", "by name")


@pytest.mark.parametrize("model", ["weights.safetensors", "artefact"])
def test_other_names_are_refused_unless_numbers_are_asked_for(evaluate, model):
    code, _, error, result = evaluate(model, OTHER)
    assert (code, result) == (2, None)
    assert "road, car, tree" in error
    assert "cat, dog, cow" in error
    assert "--classes-by-number" in error
    assert len(error.strip().splitlines()) == 1
    code, said, _, result = evaluate(model, OTHER, "--classes-by-number")
    _, _, _, plain = evaluate(model, NAMES)
    assert code == 0
    assert result["miou"] == plain["miou"]
    assert "classes by number: road as cat, car as dog, tree as cow\n" in said
    assert result["classes_matched"] == "by number"
    _, _, _, moved = evaluate(model, MOVED, "--classes-by-number")
    assert (moved["miou"], moved["classes_matched"]) == (plain["miou"], "by name")  # names that agree always count


def test_a_model_without_names_is_scored_by_number_only(evaluate):
    code, _, error, _ = evaluate("nameless", NAMES)
    assert code == 2
    assert "has no class names" in error
    code, said, _, result = evaluate("nameless", NAMES, "--classes-by-number")
    assert code == 0
    assert "classes by number: 0 as road, 1 as car, 2 as tree\n" in said
    assert result["miou"] == evaluate("artefact", NAMES)[3]["miou"]


def test_another_number_of_classes_is_refused_whatever_is_asked_for(evaluate, scored):
    folder = scored / "four"
    folder.mkdir(exist_ok=True)
    for kind in ("images", "labels"):
        if not (folder / kind).exists():
            (folder / kind).symlink_to(scored / NAMES[0] / kind)
    (folder / "classes.json").write_text(json.dumps({"classes": [*NAMES, "sky"]}))
    code, _, error, _ = evaluate("weights.safetensors", ("four",), "--classes-by-number")
    assert code == 2
    assert "road, car, tree, sky" in error
    assert "--classes-by-number" not in error


# parity ------------------------------------------------------------------------------------------------------


def test_parity_with_a_model_of_other_names_is_refused(scored):
    from edgeseg.deploy import Artefact

    artefact, segmenter = Artefact.load(scored / "artefact"), load_segmenter(scored / "weights.safetensors")
    samples = [Sample(np.zeros((*SIZE, 3), np.uint8), None, "black")]
    assert check_parity(artefact, segmenter, samples).passed
    segmenter.table = replace(segmenter.table, names=MOVED)
    with pytest.raises(LabelError, match="road, car, tree; the model has tree, road, car"):
        check_parity(artefact, segmenter, samples)


def test_the_mini_sets_labels_follow_the_models_order():
    segmenter = load_segmenter("cross_cbam_m.streets")
    usual = mini_set(segmenter, SIZE, 1)[0].label
    names = segmenter.table.names
    segmenter.table = ClassTable("moved", names[::-1], segmenter.table.colors[::-1])
    moved = mini_set(segmenter, SIZE, 1)[0].label
    assert np.array_equal(moved[usual != VOID], len(names) - 1 - usual[usual != VOID])
    assert np.array_equal(moved == VOID, usual == VOID)


# training -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [MOVED, OTHER])
def test_a_start_of_other_names_keeps_the_body_and_no_head(tmp_path, capsys, names):
    still = replace(ONE_STEP, lr=0.0, min_lr=0.0)
    fit(ONE_STEP, toy(*NAMES), None, tmp_path / "first", progress=False)
    first = tmp_path / "first" / "weights.safetensors"
    capsys.readouterr()
    fit(still, toy(*names), None, tmp_path / "second", init=first, progress=False)
    said = capsys.readouterr().out
    assert f"road, car, tree; the training data has {', '.join(names)}" in said
    assert "The heads start anew." in said
    assert "new 0" not in said
    before, after = (load_segmenter(tmp_path / d / "weights.safetensors").model for d in ("first", "second"))
    assert not torch.equal(before.classifier.weight, after.classifier.weight)
    assert torch.equal(before.backbone.stage1.conv.weight, after.backbone.stage1.conv.weight)


@pytest.mark.parametrize("names", [MOVED, OTHER, ("road", "car")])
def test_a_run_is_not_resumed_on_other_classes(tmp_path, names):
    fit(ONE_STEP, toy(*NAMES), None, tmp_path, progress=False)
    with pytest.raises(LabelError, match=r"checkpoint\.safetensors has road, car, tree; the training data has"):
        fit(replace(ONE_STEP, iterations=2), toy(*names), None, tmp_path, resume=True, progress=False)
    assert fit(replace(ONE_STEP, iterations=2), toy(*NAMES), None, tmp_path, resume=True, progress=False)["steps"] == 2


def test_a_checkpoint_that_does_not_tell_its_classes_is_resumed(tmp_path):
    fit(ONE_STEP, toy(*NAMES), None, tmp_path, progress=False)
    meta, tensors = read_checkpoint(tmp_path / "checkpoint.safetensors")
    del meta["classes"]
    save_file(tensors, tmp_path / "checkpoint.safetensors", {"edgeseg": json.dumps(meta)})
    assert fit(replace(ONE_STEP, iterations=2), toy(*NAMES), None, tmp_path, resume=True, progress=False)["steps"] == 2


def test_validation_data_have_the_classes_of_the_training_data(tmp_path):
    with pytest.raises(LabelError, match="tree, road, car; the training data has road, car, tree"):
        fit(ONE_STEP, toy(*NAMES), toy(*MOVED), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_finished_variant_of_other_classes_is_not_taken_for_this_one(tmp_path):
    def train(names):
        data = toy(*names)
        return list(run_variants(ONE_STEP, [Variant("plain")], (0,), data, data, tmp_path, "cpu", progress=False))

    assert train(NAMES) == train(NAMES)
    with pytest.raises(LabelError, match="road, car, tree; the training data has tree, road, car"):
        train(MOVED)


@pytest.mark.parametrize("names", [MOVED, OTHER])
def test_a_weight_is_not_published_with_a_score_of_other_classes(tmp_path, names):
    fit(ONE_STEP, toy(*NAMES), None, tmp_path / "run", progress=False)
    protocol = {"data": "toy", "split": "test", "definition": "toy"}
    with pytest.raises(LabelError, match="road, car, tree; the data has"):
        publish_run(tmp_path / "run", "cross_cbam_m.toy", toy(*names), protocol, folder=tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
