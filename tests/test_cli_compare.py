"""``edgeseg compare``: frames under several networks, from the shell, and one clear line where it cannot be."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from edgeseg import cli, create_model
from edgeseg.models.weights import save_weights, weight_meta

NAMES, COLORS, SIDES = ("road", "car", "tree"), ((9, 9, 9), (200, 0, 0), (0, 200, 0)), (64, 96)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two pairs with a class file; networks a and b of their classes, b in another order; c has others."""
    root, rng = tmp_path_factory.mktemp("home"), np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / "pairs" / kind).mkdir(parents=True)
    classes = [{"name": name, "color": color} for name, color in zip(NAMES, COLORS, strict=True)]
    (root / "pairs" / "classes.json").write_text(json.dumps({"classes": classes}))
    for i in range(2):
        label = rng.integers(0, 3, (8, 12)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        Image.fromarray(label).save(root / "pairs" / "labels" / f"{i}.png")
        Image.fromarray(rng.integers(0, 256, (*SIDES, 3), np.uint8)).save(root / "pairs" / "images" / f"{i}.png")
    for seed, (name, order) in enumerate((("a", NAMES), ("b", NAMES[::-1]), ("c", ("lane", "car", "tree")))):
        torch.manual_seed(seed)
        model = create_model("cross_cbam_m", 3, width=8, aspp_channels=16)
        (root / name).mkdir()
        save_weights(
            root / name / "weights.safetensors", model, weight_meta(order, COLORS, "toy", (0.5,) * 3, (0.25,) * 3)
        )
    return root


@pytest.fixture
def run(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["edgeseg", "compare", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def titles(monkeypatch):
    """What the last comparison says over its pictures, and what it shows under them."""
    from edgeseg.explain import frames

    seen = []

    def watched(rows, heads, *rest):
        seen.append((rows, heads))
        return comparison(rows, heads, *rest)

    comparison = frames.comparison
    monkeypatch.setattr(frames, "comparison", watched)
    return seen


def test_pictures_with_labels_are_compared_under_both_networks(run, home, titles):
    pictures = [f"pairs/images/{i}.png" for i in range(2)]
    labels = [word for i in range(2) for word in ("--label", f"pairs/labels/{i}.png")]
    code, out, err = run(*pictures, "--model", "a", "--model", "b/weights.safetensors", *labels, "--out", "shown/x.png")
    assert code == 0, err
    assert "shown/x.png: 2 frame(s) under a, b" in out.replace("\\", "/")
    rows, heads = titles[0]
    assert [head.partition("\n")[0] for head in heads[1]] == ["a", "b"]
    with Image.open("shown/x.png") as picture:
        assert picture.width > picture.height > 300
    from edgeseg.inference import load_segmenter

    own = load_segmenter("b").predict(pictures[0])
    np.testing.assert_array_equal(rows[0][2][1], 2 - own)  # b's order is the reverse of a's


def test_frames_of_a_data_set_bring_their_truth(run, titles):
    code, _, err = run(
        "--data", "pairs", "--split", "train", "--index", 1, "--model", "a", "--errors", "--out", "y.jpg"
    )
    assert code == 0, err
    rows, _ = titles[0]
    np.testing.assert_array_equal(rows[0][1], np.asarray(Image.open("pairs/labels/1.png")))


def test_without_truth_there_is_no_score(run, titles):
    assert run("pairs/images/0.png", "--model", "a")[0] == 0
    assert titles[0][1] == [["a"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pairs/images/0.png"], "name the networks to compare"),
        (["--model", "a"], "give pictures to compare on"),
        (["pairs/images/0.png", "--model", "a", "--model", "c"], "c has lane, car, tree; a has road, car, tree"),
        (["pairs/images/0.png", "--model", "nowhere"], "nowhere"),
        (["pairs/images/9.png", "--model", "a"], "pairs/images/9.png"),
        (["pairs/images/0.png", "--model", "a", "--errors"], "leave errors out"),
        (["pairs/images/0.png", "--model", "a", "--label", "a", "--label", "b"], "1 pictures and 2 labels"),
        (["pairs/images/0.png", "--model", "a", "--label", "pairs/images/1.png"], "pairs/images/1.png"),
        (["pairs/images/0.png", "--model", "a", "--out", "x"], "x: no picture's name"),
        (["pairs/images/0.png", "--model", "a", "--data", "pairs"], "leave the others away"),
        (
            ["--data", "pairs", "--split", "train", "--index", "2", "--model", "a"],
            "--index 2: pairs train has the frames 0 to 1",
        ),
        (["--data", "streets", "--index", "0", "--model", "a"], "streets has Sky, Building"),
        (["--data", "street", "--model", "a"], "did you mean streets"),
        (["pairs/images/0.png", "--model", "a", "--size", "9"], "write height x width"),
    ],
)
def test_what_cannot_be_compared_ends_in_one_line(run, words, said):
    code, _, err = run(*words)
    assert code == 2
    assert said in err.replace("\\", "/")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_a_label_of_another_size_is_refused(run, home):
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(home / "small.png")
    code, _, err = run("pairs/images/0.png", "--model", "a", "--label", "small.png")
    assert (code, "small.png: is 32x32, its picture 64x96" in err) == (2, True)
