"""What lesson 15 stands on besides its exercises: numbers read back from pictures, gates held, a network cut in two."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeseg.course.lessons import lesson_15, lesson_15_frames
from edgeseg.data.labels import CAMVID
from edgeseg.explain import gates, grad_cam
from edgeseg.inference import Segmenter
from edgeseg.models.registry import create_model
from edgeseg.plots import heat_over, marked, strip
from small_networks import small_switches, stir


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    model = create_model("cross_cbam_m", 11, **small_switches("cross_cbam_m")).eval()
    stir(model)
    return Segmenter(model, (0.5,) * 3, (0.25,) * 3, table=CAMVID)


def noise(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_shares_are_read_back_from_the_pictures_that_hold_them(tmp_path):
    y, x = np.mgrid[:90, :120]
    image = np.repeat((60 + x)[..., None], 3, 2).astype(np.uint8)
    regions = [(y > 50) & (x < 60), x > 100]
    heats = [np.exp(-(((y - 60) / 20) ** 2) - ((x - 50) / 30) ** 2), (x / 120.0) ** 6]
    strip([image, *(marked(image, r) for r in regions)], ["photograph", "a", "b"]).save(
        tmp_path / "frame.jpg", quality=85
    )
    for file in lesson_15.STRIPS.values():
        strip([image, *(heat_over(image, h) for h in heats)]).save(tmp_path / f"{file}.jpg", quality=85)
    found = lesson_15.read_back(lesson_15.strips(tmp_path, {"b": 1, "a": 0}))
    true = [lesson_15.on_the_class(heats[i], regions[i]) for i in (1, 0)]
    assert abs(true[0] - true[1]) > 0.1
    assert list(found) == list(lesson_15.STRIPS)
    for shares in found.values():
        np.testing.assert_allclose(shares, true, atol=0.05)


def test_a_network_that_is_cut_goes_on_as_before_and_its_heat_maps_are_the_packages(segmenter):
    image, region = noise(), np.zeros((64, 96), bool)
    region[20:40, 30:60] = True
    maps, rest = lesson_15.cut(segmenter, image, "decoder.fuse8")
    np.testing.assert_array_equal(rest(maps)[0].argmax(0), segmenter.predict(image))
    assert not torch.equal(rest(maps * 2), rest(maps))
    for class_id in (0, 9):
        mine = lesson_15.heat_map(maps, rest, class_id, torch.from_numpy(region))
        theirs = grad_cam(segmenter, image, class_id, "decoder.fuse8", region).after[0]
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
    assert all(p.requires_grad and p.grad is None for p in segmenter.parameters())


def test_gates_are_held_still_and_let_go(segmenter):
    image = noise()
    before = gates(segmenter, image)["decoder.fuse8.channel_low"].values
    fixed = np.linspace(0, 1, len(before))
    with lesson_15.held_still(segmenter.model, {"decoder.fuse8.channel_low": fixed}):
        x = segmenter.normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
        held = segmenter.model(x)
    assert not torch.equal(held, segmenter.model(x))
    np.testing.assert_array_equal(gates(segmenter, image)["decoder.fuse8.channel_low"].values, before)


def test_every_layer_can_be_made_random_the_same_way_and_no_other(segmenter):
    names = [name for name, _ in segmenter.model.named_children()]
    one, two = (create_model("cross_cbam_m", 11, **small_switches("cross_cbam_m")) for _ in range(2))
    kept = two.classifier.weight.clone()
    for model in (one, two):
        lesson_15.randomise(model, "decoder")
    assert "decoder" in names
    pairs = list(zip(one.decoder.parameters(), two.decoder.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert torch.equal(two.classifier.weight, kept)


def test_without_camvid_one_rendered_label_is_moved_and_the_search_finds_it(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    _, data, what = lesson_15_frames.puzzle(3, (48, 120))
    assert "rendered" in what
    plain = lesson_15_frames.Streets("test", n=3, size=(48, 120))
    found = [lesson_15_frames.shift(plain[i][1], data[i][1]) for i in range(3)]
    assert found == [0, 22, 0]
