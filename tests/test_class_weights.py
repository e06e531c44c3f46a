"""Class weights from pixel counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgeseg.training.losses import class_weights


def test_enet_weights_are_the_inverse_log_of_the_share():
    weight = class_weights([50, 30, 20, 0], "enet")
    assert weight.dtype == torch.float32
    assert weight.tolist() == pytest.approx([1 / math.log(1.1 + p) for p in (0.5, 0.3, 0.2, 0.0)])


def test_median_weights_count_only_the_images_that_hold_a_class():
    counts = np.array([[90, 10, 0], [50, 25, 25]])
    frequency = np.array([140 / 200, 35 / 200, 25 / 100])
    assert class_weights(counts, "median").tolist() == pytest.approx((0.25 / frequency).tolist())
    assert class_weights(counts.sum(0), "median").tolist() == pytest.approx([0.25, 1.0, 1.4])


def test_weights_can_be_left_out_and_wrong_kinds_are_named():
    assert class_weights([1, 2], "none") is None
    with pytest.raises(ValueError, match="'none', 'enet' or 'median'"):
        class_weights([1, 2], "sqrt")
    with pytest.raises(ValueError, match="no pixel"):
        class_weights([0, 0], "enet")


def test_camvids_median_weights_are_the_known_ones(camvid_root):
    from PIL import Image

    files = sorted((camvid_root / "train" / "labels").glob("*.png"))
    counts = np.array([np.bincount(np.asarray(Image.open(f)).ravel(), minlength=12)[:11] for f in files])
    known = [0.2793, 0.2017, 4.7865, 0.1490, 1.0, 0.4217, 3.8467, 1.9736, 0.7889, 6.3747, 8.8587]
    # the known ones divide by all pixels of an image, void included: half a per cent apart
    assert class_weights(counts, "median").tolist() == pytest.approx(known, rel=6e-3)
