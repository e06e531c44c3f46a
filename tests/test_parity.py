"""Parity: what an artefact computes beside its model, on which images, and when that is too far off."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from compiled_networks import SIZE, compiled, left_as_it_was, narrow_segmenter, needs, tiny_segmenter, trained_segmenter
from edgeseg.data.labels import ClassTable
from edgeseg.deploy import Artefact, compile
from edgeseg.deploy.parity import TOLERANCES, ClassParity, Sample, check_parity, mini_set, own_samples
from edgeseg.inference import Segmenter

LABELLED = Sample(
    np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8),
    np.random.default_rng(1).integers(0, 5, SIZE, dtype=np.uint8),
    "noise",
)


def test_an_artefact_of_another_model_is_outside_the_tolerance():
    segmenter = tiny_segmenter()
    artefact = compiled(segmenter, "eager")
    torch.manual_seed(1)
    other = segmenter.reference()
    other.model[4] = torch.nn.Conv2d(32, 5, 1)
    good, bad = check_parity(artefact, segmenter, [LABELLED]), check_parity(artefact, other, [LABELLED])
    assert good.passed
    assert good.miou_gap == 0
    assert good.disagreement == 0
    assert not bad.passed
    assert {"max_abs_error", "disagreement"} <= set(bad.exceeded)
    assert "OUTSIDE TOLERANCE" in str(bad)
    assert bad.as_dict()["passed"] is False


def test_a_callers_segmenter_comes_back_as_it_was():
    artefact = compiled(narrow_segmenter(), "eager")
    with left_as_it_was(narrow_segmenter()) as callers:
        check_parity(artefact, callers, [LABELLED])


def test_the_mini_set_has_labels_where_the_classes_are_camvids():
    assert all(s.label is None for s in mini_set(tiny_segmenter(), SIZE, 2))
    samples = mini_set(trained_segmenter(), SIZE, 2)
    assert all(s.label.shape == SIZE and s.image.shape == (*SIZE, 3) for s in samples)
    assert samples[0].source == "streets test"


def test_nan_is_no_parity():
    segmenter = tiny_segmenter()
    broken = segmenter.reference()
    broken.model[4].bias = torch.nn.Parameter(torch.full((5,), float("nan")))
    parity = check_parity(compiled(broken, "eager"), segmenter, [LABELLED])
    assert "max_abs_error" in parity.exceeded
    assert parity.max_abs_error == float("inf")


def test_without_the_logits_graph_classes_alone_are_compared():
    artefact = compiled(tiny_segmenter(), "eager", "fp32", "labels")
    parity = check_parity(artefact, tiny_segmenter(), [LABELLED])
    assert (parity.max_abs_error, parity.disagreement) == (None, 0)


# class by class -------------------------------------------------------------------------------------------------------

OWN = ClassTable("own", ("floor", "wall", "lane"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def own_scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A floor, a wall and a thin lane, 3 % of the pixels: image and label."""
    rng = np.random.default_rng(seed)
    label = np.zeros(SIZE, np.uint8)
    label[: rng.integers(16, 32)] = 1
    column = rng.integers(8, SIZE[1] - 8)
    label[32:, column : column + 6] = 2
    image = np.uint8([[70, 60, 50], [150, 160, 170], [210, 200, 60]])[label]
    return np.clip(image + rng.normal(0, 10, image.shape), 0, 255).astype(np.uint8), label


@cache
def own_segmenter() -> Segmenter:
    """Trained on such scenes until it finds all three classes."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 1)
    segmenter = Segmenter(nn.Sequential(*layers), (0.4,) * 3, (0.25,) * 3, None, OWN)
    images, labels = (np.stack(part) for part in zip(*map(own_scene, range(8)), strict=True))
    x = segmenter.normalise(torch.from_numpy(images).permute(0, 3, 1, 2))
    optimiser = torch.optim.Adam(segmenter.model.parameters(), 0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(segmenter.model(x), torch.from_numpy(labels).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1
    return segmenter


def own_set(name: str = "own", labelled: bool = True) -> list[Sample]:
    return [Sample(image, label if labelled else None, name) for image, label in map(own_scene, range(20, 26))]


def without_lanes() -> Segmenter:
    """The same network, but it never gives the lane."""
    broken = own_segmenter().reference()
    broken.model[4].bias = nn.Parameter(broken.model[4].bias - torch.tensor([0, 0, 1e4]))
    return broken


def calibrated(segmenter: Segmenter, images: list[np.ndarray]) -> Artefact:
    return compile(segmenter, "onnx", "int8", SIZE, calibration=images, graphs=("labels",), threads=1)


@needs("onnx")
@pytest.mark.parametrize("labelled", [True, False])
def test_a_class_that_vanishes_fails_whatever_the_precision(labelled):
    """Three pixels in a hundred are within what int8 may differ by; the lane is what the network is for."""
    images = [own_scene(seed)[0] for seed in range(8)]
    samples = own_set(labelled=labelled)
    good = check_parity(calibrated(own_segmenter(), images), own_segmenter(), samples)
    assert good.passed, str(good)
    bad = check_parity(calibrated(without_lanes(), images), own_segmenter(), samples)
    assert bad.disagreement < TOLERANCES["int8"].disagreement
    assert "vanished: lane" in bad.exceeded
    assert bad.worst.name == "lane"
    assert "worst class lane (0.00 % alike on own" in str(bad)
    assert ("IoU" in str(bad.worst)) == labelled
    assert json.loads(json.dumps(bad.as_dict()))["classes"][2]["name"] == "lane"


@needs("onnx")
def test_ranges_of_black_pictures_fail_also_where_they_are_what_the_user_gave():
    black = [np.zeros((*SIZE, 3), np.uint8)] * 4
    artefact = calibrated(own_segmenter(), black)
    assert not check_parity(artefact, own_segmenter(), own_set()).passed
    blacks = [Sample(image, np.zeros(SIZE, np.uint8), "black") for image in black * 8]
    verdict = check_parity(artefact, own_segmenter(), [*mini_set(own_segmenter(), SIZE, 2), *blacks])
    assert not verdict.passed, str(verdict)


def test_few_images_that_fail_are_not_outvoted_by_many_that_do_not():
    flat = Sample(np.full((*SIZE, 3), 60, np.uint8), None, "flat")
    artefact = compile(without_lanes(), "eager", size=SIZE, graphs=("labels",), device="cpu")
    verdict = check_parity(artefact, own_segmenter(), [flat] * 200 + own_set())
    assert {"vanished: lane", "class_gap: lane", "disagreement"} <= set(verdict.exceeded)


def found(share: float, labelled: float, agreement: float, iou: float | None, reference: float | None) -> list[str]:
    parity = ClassParity("lane", "own", share, labelled, agreement, iou, reference)
    return list(parity.exceeded(TOLERANCES["int8"], foreign=False))


@pytest.mark.parametrize(
    ("figures", "exceeded"),
    [
        ((0.01, 0.0, 0.0, None, None), ["vanished: lane"]),
        ((0.01, 0.0, 0.3, None, None), ["agreement: lane"]),
        ((0.01, 0.01, 0.9, 30.0, 50.0), ["class_gap: lane"]),
        ((0.0005, 0.0005, 0.0, 0.0, 20.8), ["vanished: lane"]),  # rare, but the model finds it
        ((0.0005, 0.0005, 0.0, 0.0, 0.0), []),  # neither finds it
        ((0.0005, 0.0, 0.0, None, None), []),  # a few stray pixels
        ((0.01, 0.01, 0.9, 49.0, 50.0), []),
    ],
)
def test_what_is_asked_of_a_class(figures, exceeded):
    assert found(*figures) == exceeded


@pytest.mark.parametrize("precision", TOLERANCES)
def test_every_precision_has_a_bound_for_a_class(precision):
    assert TOLERANCES[precision].agreement >= 0.5
    assert TOLERANCES[precision].class_gap <= 10


def own_folder(root, splits: dict[str, int], names=OWN.names) -> str:
    for split, count in splits.items():
        for i in range(count):
            for kind, picture in zip(("images", "labels"), own_scene(i), strict=True):
                folder = root / kind / split if split else root / kind
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(folder / f"{split}{i}.png")
    (root / "classes.json").write_text(json.dumps({"classes": list(names)}))
    return str(root)


@pytest.mark.parametrize(
    ("splits", "calibrated", "source", "count"),
    [
        ({"train": 3, "val": 2, "test": 4}, 3, "val", 2),
        ({"train": 3, "test": 4}, 3, "test", 4),
        ({"train": 5}, 3, "train", 2),
        ({"train": 3}, 64, "train, which calibrated it", 3),
        ({"": 5}, 3, "all", 2),
    ],
)
def test_own_data_are_what_did_not_calibrate_where_there_is_such(tmp_path, splits, calibrated, source, count):
    data = own_folder(tmp_path, splits)
    samples = own_samples(own_segmenter(), (32, 48), data, calibrated)
    assert {sample.source for sample in samples} == {f"{data} {source}"}
    assert len(samples) == count
    assert all(s.image.shape == (32, 48, 3) and s.label.shape == (32, 48) for s in samples)


def test_labels_of_other_classes_are_left_out_and_of_another_order_are_mapped(tmp_path):
    (tmp_path / "other").mkdir()
    other = own_folder(tmp_path / "other", {"": 1}, ("a", "b", "c"))
    assert own_samples(own_segmenter(), SIZE, other)[0].label is None
    (tmp_path / "turned").mkdir()
    turned = own_folder(tmp_path / "turned", {"": 1}, ("wall", "floor", "lane"))
    label = own_samples(own_segmenter(), SIZE, turned)[0].label
    assert np.array_equal(label, np.array([1, 0, 2])[own_scene(0)[1]])
    assert own_samples(own_segmenter(), SIZE, "streets") == []
