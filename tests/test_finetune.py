"""Fine-tuning: two classes of one's own from 20 images, from a finished weight and from scratch, at equal steps."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import edgeseg
from edgeseg.data.labels import VOID
from edgeseg.data.pairs import folder_pairs
from edgeseg.data.streets import Streets
from edgeseg.training.recipes import get_recipe
from edgeseg.training.train import fit

IMAGES, STEPS, SIZE = 20, 20, (128, 160)
WEIGHT = "cross_cbam_m.streets"


def own_data(root, count=IMAGES, size=SIZE):
    """A folder of pairs as a user has it: what one can drive or walk on, and the rest, in a world not trained on."""
    for split in ("train", "test"):
        scenes = Streets(split, count, size, seed=7, cache=False, traffic="right")
        flat = [scenes.table.index(name) for name in ("Road", "Pavement")]
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for i, (image, label) in enumerate(scenes):
            own = np.where(label == VOID, VOID, np.where(np.isin(label, flat), 0, 1)).astype(np.uint8)
            Image.fromarray(image).save(root / split / "images" / f"{i}.png")
            Image.fromarray(own).save(root / split / "labels" / f"{i}.png")
    (root / "classes.json").write_text(json.dumps({"classes": [{"name": "flat"}, {"name": "other"}], "void": [VOID]}))
    return folder_pairs(root, split="train"), folder_pairs(root, split="test")


def test_a_new_head_keeps_everything_below_it():
    trained = edgeseg.create_model(WEIGHT).state_dict()
    tuned = edgeseg.create_model(WEIGHT, num_classes=2, new_head=True).state_dict()
    assert tuned["classifier.weight"].shape[0] == 2
    assert all(tuned[k].equal(v) for k, v in trained.items() if "classifier" not in k)


@pytest.mark.slow
def test_fine_tuning_beats_training_from_scratch_at_equal_steps_and_seeds(tmp_path, capsys):
    train, test = own_data(tmp_path / "data")
    recipe = replace(
        get_recipe("streets_cpu"), name="own", data=str(tmp_path / "data"), minutes=0.0, iterations=STEPS, batch=4,
        crop=(96, 128), scale=(0.8, 1.25), warmup=5, ema=0.9, precise_bn=4, class_weights="none", amp="none",
    )  # fmt: skip
    for seed in (0, 1):
        miou = {}
        for init in (WEIGHT, None):
            out = tmp_path / f"{init}{seed}"
            report = fit(replace(recipe, seed=seed), train, test, out, device="cpu", init=init, progress=False)
            assert report["steps"] == STEPS
            miou[init] = report["scores"]["miou"]
        assert miou[WEIGHT] > miou[None], miou
    assert "new 4 (classifier.weight" in capsys.readouterr().out
