"""Batched augmentation: exact where it must be, keyed by (seed, epoch, sample), void outside the image."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgeseg.data.labels import VOID
from edgeseg.training.augment import POINTS, Augment, class_points
from edgeseg.training.recipe import Recipe

PLAIN = Recipe(
    "plain", iterations=1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), crop=(32, 40), scale=(1.0, 1.0), flip=0.0
)
RICH = replace(
    PLAIN, scale=(0.5, 2.0), aspect=0.1, flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05, grey=0.2,
    blur=0.3, class_crop=0.5,
)  # fmt: skip


def make_batch(n=4, height=32, width=40, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(0, 256, (n, 3, height, width), np.uint8))
    labels = rng.integers(0, classes, (n, height, width), np.uint8)
    labels[:, :3] = VOID
    points = np.stack([class_points(label, classes, i) for i, label in enumerate(labels)])
    return images, torch.from_numpy(labels), np.full((n, 2), (height, width)), points


def run(recipe, epochs=None, samples=None, batch=None):
    images, labels, sizes, points = batch or make_batch()
    n, augment = len(images), Augment(recipe)
    draw = augment.draw(epochs or [0] * n, samples or list(range(n)), sizes, points)
    return augment.apply(images, labels, draw), draw


def test_no_augmentation_returns_image_and_label_unchanged():
    images, labels, *_ = make_batch()
    (x, y), _ = run(PLAIN)
    torch.testing.assert_close(x, images.float() / 255, atol=1e-4, rtol=0)
    assert torch.equal(y, labels)


def test_a_certain_flip_mirrors_image_and_label_alike():
    images, labels, *_ = make_batch()
    (x, y), _ = run(replace(PLAIN, flip=1.0))
    torch.testing.assert_close(x, images.flip(3).float() / 255, atol=1e-4, rtol=0)
    assert torch.equal(y, labels.flip(2))


def test_what_lies_outside_the_image_is_void_and_zero():
    (x, y), _ = run(replace(PLAIN, scale=(0.5, 0.5)))
    outside = y == VOID
    assert 0.75 <= outside.float().mean() < 0.85  # three quarters, and the image's own three void rows
    assert (x.abs().sum(1)[outside] == 0).float().mean() > 0.9  # the image's own void keeps its colours


def test_zooming_in_makes_every_pixel_a_block():
    batch = make_batch(n=1, height=16, width=20)
    (_, y), _ = run(replace(PLAIN, scale=(2.0, 2.0)), batch=batch)
    assert torch.equal(y[0, ::2, ::2], batch[1][0])
    assert torch.equal(y[0, 1::2, 1::2], batch[1][0])


def test_a_draw_depends_on_seed_epoch_and_sample_and_on_nothing_else():
    (x, y), _ = run(RICH)
    images, labels, sizes, points = make_batch()
    order = [2, 0, 3, 1]
    shuffled = (images[order], labels[order], sizes, points[order])
    (x2, y2), _ = run(RICH, samples=order, batch=shuffled)
    torch.testing.assert_close(x2, x[order])
    assert torch.equal(y2, y[order])
    for other in ({"recipe": replace(RICH, seed=1)}, {"epochs": [1] * 4}, {"samples": [9, 8, 7, 6]}):
        assert not torch.equal(run(**{"recipe": RICH, **other})[0][0], x)


def test_switching_one_augmentation_off_leaves_the_others_draws_alone():
    _, full = run(RICH)
    _, without = run(replace(RICH, blur=0.0, hue=0.0))
    np.testing.assert_array_equal(full.rows, without.rows)
    np.testing.assert_array_equal(full.columns, without.columns)


def test_labels_are_never_interpolated():
    (_, y), _ = run(RICH)
    assert set(y.unique().tolist()) <= {0, 1, 2, 3, 4, VOID}


def test_grey_images_have_equal_channels():
    (x, y), _ = run(replace(PLAIN, grey=1.0))
    inside = (y != VOID)[:, None].expand_as(x)
    torch.testing.assert_close(x[:, :1].expand_as(x)[inside], x[inside])


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colours_spread_around_what_each_of_them_leaves_alone(name):
    """Brightness leaves black alone, contrast mid-grey, saturation every grey; each moves all other colours."""
    still = {"brightness": (0, 0, 0), "contrast": (127.5,) * 3, "saturation": (90, 90, 90)}[name]
    colours = torch.tensor([still, (140.0, 90.0, 60.0)]).view(2, 3, 1)
    augment = Augment(replace(PLAIN, **{name: 0.4}))
    *_, sizes, points = make_batch(16)
    matrix = torch.from_numpy(augment.draw([0] * 16, list(range(16)), sizes, points).color)
    kept, moved = (matrix[:, :, :3] @ (colour / 255) + matrix[:, :, 3:] for colour in colours)
    torch.testing.assert_close(kept, (colours[0] / 255).expand(16, 3, 1))
    assert 0.05 < float((moved - colours[1] / 255).abs().amax()) < 0.4


def test_hue_keeps_grey_and_brightness_sum():
    images, labels, sizes, points = make_batch()
    images = images[:, :1].expand(-1, 3, -1, -1).contiguous()
    (x, _), _ = run(replace(PLAIN, hue=0.5), batch=(images, labels, sizes, points))
    torch.testing.assert_close(x, images.float() / 255, atol=1e-4, rtol=0)


def test_blur_keeps_a_constant_image():
    images, labels, sizes, points = make_batch()
    (x, _), _ = run(replace(PLAIN, blur=1.0), batch=(torch.full_like(images, 51), labels, sizes, points))
    torch.testing.assert_close(x, torch.full_like(x, 0.2))


def zoomed_out(shrink, scale, image):
    """The whole of an image (3, h, w) uint8 as a recipe sees it at a zoom, (3, scale·h, scale·w) in 0…1."""
    height, width = image.shape[1:]
    crop, label = (round(scale * height), round(scale * width)), torch.zeros(1, height, width, dtype=torch.uint8)
    points = class_points(label[0].numpy(), 1, 0)[None]
    recipe = replace(PLAIN, crop=crop, scale=(scale, scale), shrink=shrink)
    (x, _), _ = run(recipe, batch=(image[None], label, np.array([[height, width]]), points))
    return x[0]


@pytest.mark.parametrize("shrink", ["area", "bilinear"])
@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_zooming_out_is_pytorchs_resize_by_area_or_bilinear_and_at_a_half_these_are_one(shrink, scale):
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 128, 160), np.uint8))
    resized = [torch.nn.functional.interpolate(image[None] / 255, scale_factor=scale, mode=m) for m in (shrink, "area")]
    x = zoomed_out(shrink, scale, image)
    torch.testing.assert_close(x, resized[0][0], atol=1e-4, rtol=0)
    assert torch.allclose(x, resized[1][0], atol=1e-4) == (shrink == "area" or scale == 0.5)


@pytest.mark.parametrize(("shrink", "seen"), [("area", 0.25), ("bilinear", 0.0)])
def test_by_area_a_zoom_of_a_quarter_sees_thin_lines_that_lie_between_its_places(shrink, seen):
    image = torch.zeros(3, 128, 160, dtype=torch.uint8)
    image[..., ::4] = 255
    x = zoomed_out(shrink, 0.25, image)
    torch.testing.assert_close(x, torch.full_like(x, seen), atol=1e-4, rtol=0)


def test_class_centred_crops_contain_the_rare_class_more_often():
    label = torch.zeros(1, 160, 160, dtype=torch.uint8)
    label[0, 64:69, 112:117] = 1
    image, sizes = torch.zeros(1, 3, 160, 160, dtype=torch.uint8), np.array([[160, 160]])
    points = class_points(label[0].numpy(), 2, 0)[None]

    def hits(chance):
        found = 0
        for sample in range(60):
            recipe = replace(PLAIN, crop=(32, 32), class_crop=chance)
            (_, y), _ = run(recipe, samples=[sample], batch=(image, label, sizes, points))
            found += bool((y == 1).any())
        return found

    assert hits(1.0) >= 24  # half of the crops are centred near class 1, the other half near class 0
    assert hits(0.0) <= 14


def test_class_points_lie_on_their_class_and_absent_classes_have_none():
    label = np.random.default_rng(0).integers(0, 4, (30, 40)).astype(np.uint8)
    label[label == 2] = VOID
    points = class_points(label, 5, key=7)
    assert points.shape == (5, POINTS, 2)
    for c in (0, 1, 3):
        assert (label[points[c, :, 0], points[c, :, 1]] == c).all()
    assert (points[[2, 4]] == -1).all()


def test_smaller_images_in_a_padded_batch_never_show_the_padding():
    images, labels, _, points = make_batch(n=2)
    images[1, :, 16:], labels[1, 16:] = 255, VOID
    sizes = np.array([[32, 40], [16, 40]])
    points[1] = class_points(labels[1].numpy(), 5, 1)
    (_, y), _ = run(replace(PLAIN, scale=(2.0, 2.0)), batch=(images, labels, sizes, points))
    assert (y[1] != VOID).float().mean() > 0.7  # only the image's own void rows


# rotation -------------------------------------------------------------------------------------------------------------


def by_degrees(degrees, sample=0, **others):
    """A recipe that turns this sample by exactly so much: its draw is known, so the largest angle is chosen.

    That may lie beyond what a recipe takes.
    """
    u = np.random.Generator(np.random.Philox(key=[0, sample])).random(18)[15]
    return SimpleNamespace(**{**vars(replace(PLAIN, **others)), "rotate": degrees / (2 * u - 1)})


def blocks(size=48, classes=5):
    """One square sample whose image says its label: blocks of 16 pixels, each in the grey of its class."""
    label = np.random.default_rng(1).integers(0, classes, (size // 16, size // 16)).repeat(16, 0).repeat(16, 1)
    label = torch.from_numpy(label.astype(np.uint8))[None]
    points = class_points(label[0].numpy(), classes, 0)[None]
    return (label * 50)[:, None].expand(-1, 3, -1, -1).contiguous(), label, np.array([[size, size]]), points


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("turns", [-1, 1, 2])
def test_quarter_turns_are_exact_and_positive_ones_anticlockwise(turns, flip):
    batch = blocks()
    (x, y), _ = run(by_degrees(90 * turns, crop=(48, 48), flip=flip), batch=batch)
    seen = batch[1].flip(2) if flip else batch[1]  # mirrored first, then turned
    assert torch.equal(y, torch.rot90(seen, turns, (1, 2)))
    torch.testing.assert_close(x[:, 0], torch.rot90(seen, turns, (1, 2)) * (50 / 255), atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_image_and_label_turn_alike(scale):
    (x, y), _ = run(by_degrees(17.0, crop=(64, 80), scale=(scale, scale)), batch=blocks(size=96))
    padded = torch.nn.functional.pad(y[:, None].float(), (3, 3, 3, 3), "replicate")
    highest, lowest = (torch.nn.functional.max_pool2d(p, 7, 1) for p in (padded, -padded))
    within = (highest == -lowest)[:, 0]  # away from edges, where the image is interpolated
    assert within.float().mean() > 0.2
    told = torch.where(y == VOID, 0, y * 50) / 255
    torch.testing.assert_close(x[:, 0][within], told[within], atol=2e-3, rtol=0)


def test_hardly_any_rotation_is_the_path_without():
    sharp = replace(RICH, blur=0.0)  # a blur reaches over the image's border, which stands elsewhere
    (x, y), without = run(sharp)
    (x2, y2), hardly = run(replace(sharp, rotate=1e-6))
    assert without.turn is None
    assert hardly.turn is not None
    same = y == y2
    assert same.float().mean() > 0.995
    torch.testing.assert_close(x2.movedim(1, 3)[same], x.movedim(1, 3)[same], atol=1e-3, rtol=0)


def test_rotation_leaves_the_other_draws_alone_and_keeps_to_its_limit():
    _, without = run(RICH, samples=list(range(40)), batch=make_batch(40))
    _, turned = run(replace(RICH, rotate=10.0), samples=list(range(40)), batch=make_batch(40))
    for name in ("scale", "color", "sigma"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(without, name))
    slant = np.degrees(np.arctan2(np.ptp(turned.turn.across, 1) / 39, np.ptp(turned.rows, 1) / 31))  # 40×32 places
    assert 8 < slant.max() <= 10.001
    assert len(np.unique(np.sign(turned.turn.across[:, 0]))) == 2


def test_a_turned_sample_never_shows_the_padding():
    images, labels, _, points = make_batch(n=2)
    images[1, :, 16:], labels[1, 16:] = 255, 4
    labels[1, :16] = 3
    sizes = np.array([[32, 40], [16, 40]])
    for seed in range(10):
        (x, y), _ = run(replace(PLAIN, rotate=40.0, scale=(0.7, 1.5), seed=seed), batch=(images, labels, sizes, points))
        assert set(y[1].unique().tolist()) <= {3, VOID}
        assert (x[1, :, y[1] == VOID] == 0).all()
