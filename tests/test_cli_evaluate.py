"""``edgeseg eval`` at several network inputs on the same labels, and its mean without a background class."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from edgeseg import cli, create_model
from edgeseg.models.weights import save_weights, weight_meta

NAMES, SIDES = ("road", "car", "background"), (64, 96)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pairs with a class file, and an untrained network for them."""
    root, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    (root / "classes.json").write_text(json.dumps({"classes": [{"name": name} for name in NAMES]}))
    for i in range(3):
        label = rng.integers(0, 3, (8, 12)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        Image.fromarray(label).save(root / "labels" / f"{i}.png")
        Image.fromarray(rng.integers(0, 256, (*SIDES, 3), np.uint8)).save(root / "images" / f"{i}.png")
    torch.manual_seed(0)  # weights of which one answers with one class only would show nothing
    model = create_model("cross_cbam_m", 3, width=8, aspp_channels=16)
    meta = weight_meta(NAMES, ((0, 0, 0), (9, 9, 9), (5, 5, 5)), "toy", (0.5,) * 3, (0.25,) * 3, (64, 96))
    save_weights(root / "weights.safetensors", model, meta)
    return root


@pytest.fixture
def evaluate(folder, tmp_path, monkeypatch, capsys):
    """Runs the command; returns its text and its JSON."""

    def run(*words):
        fixed = ["edgeseg", "eval", folder / "weights.safetensors", "--data", folder, "--split", "train"]
        words = [*fixed, "--json", tmp_path / "score.json", *words]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        return capsys.readouterr().out, json.loads((tmp_path / "score.json").read_text())

    return run


def test_one_size_gives_one_flat_result_as_ever(evaluate):
    for words, size in (([], [64, 96]), (["--size", "32x48"], [32, 48]), (["--size", "native"], [64, 96])):
        _, result = evaluate(*words)
        assert (result["size"], result["scored_at"], result["images"]) == (size, [64, 96], 3)
        assert {"miou", "per_class_iou", "model", "data", "split", "flip", "weights_sha256"} <= result.keys()
        assert "sizes" not in result


def test_a_folder_without_splits_is_scored_as_a_whole_and_said_so(evaluate, folder, tmp_path):
    for split in ("train", "all"):
        text, result = evaluate("--split", split)
        assert result["split"] == "all"
        assert f"3 images of {folder} all, " in text
    data = tmp_path / "listed"
    shutil.copytree(folder, data)
    (data / "test.txt").write_text("0\n2\n")
    text, result = evaluate("--data", data, "--split", "test")
    assert (result["split"], result["images"]) == ("test", 2)


def test_each_size_is_scored_on_the_same_labels_as_if_alone(evaluate):
    sizes = ("32x48", "native", "128x192")
    text, together = evaluate(*(word for size in sizes for word in ("--size", size)))
    assert [r["size"] for r in together["sizes"]] == [[32, 48], [64, 96], [128, 192]]
    assert together["scored_at"] == [64, 96]
    assert text.count("scored at 64×96") == 3
    for size, result in zip(sizes, together["sizes"], strict=True):
        _, alone = evaluate("--size", size)
        assert result.items() <= alone.items()
    supports = [r["support"] for r in together["sizes"]]
    assert supports[0] == supports[1] == supports[2]
    assert len({r["miou"] for r in together["sizes"]}) > 1


def test_images_of_many_sizes_are_said_to_be_so(evaluate, folder, tmp_path):
    data = tmp_path / "mixed"
    shutil.copytree(folder, data)
    for kind in ("images", "labels"):
        with Image.open(data / kind / "1.png") as picture:
            picture.crop((0, 0, 64, 48)).save(data / kind / "1.png")
    sizes = {"smallest": [48, 64], "largest": [64, 96], "sizes": 2}
    text, result = evaluate("--data", data)
    assert (result["scored_at"], result["size"]) == (sizes, [64, 96])
    assert "scored at 2 sizes from 48×64 to 64×96" in text
    assert evaluate("--data", data, "--size", "native")[1]["size"] == sizes


def test_a_last_class_named_background_is_also_left_out_of_a_second_mean(evaluate):
    text, result = evaluate()
    first_two = [result["per_class_iou"][name] for name in NAMES[:2]]
    assert result["miou_without_background"] == pytest.approx(np.mean(first_two), abs=0.01)
    assert result["miou"] == pytest.approx(np.mean([*first_two, result["per_class_iou"]["background"]]), abs=0.01)
    assert f"mean of the other 2 classes, background left out: {result['miou_without_background']}" in text


def test_other_tables_have_one_mean(evaluate, folder):
    other = {"classes": [{"name": name} for name in ("background", "road", "car")]}  # first, as VOC has it: it counts
    before = (folder / "classes.json").read_text()
    (folder / "classes.json").write_text(json.dumps(other))
    text, result = evaluate()
    (folder / "classes.json").write_text(before)
    assert "miou_without_background" not in result
    assert "left out" not in text
