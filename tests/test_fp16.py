"""Half precision: what the report says of a network that is safe, and of one that is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from compiled_networks import left_as_it_was, street_images, trained_segmenter
from edgeseg.data.camvid import camvid_pairs
from edgeseg.deploy.fp16 import AGREEMENT, Fp16Report, fp16_report
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.inference import Segmenter

SIZE = (96, 128)


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return street_images("test", 2, SIZE)


@pytest.fixture(scope="module")
def trained() -> Segmenter:
    return trained_segmenter()


@pytest.fixture(scope="module")
def report(trained, scenes) -> Fp16Report:
    return fp16_report(trained, scenes)


def segmenter_around(*layers: nn.Module) -> Segmenter:
    return Segmenter(nn.Sequential(*layers), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_the_shipped_weight_is_safe_in_half_on_street_scenes(report):
    assert report.passed
    assert report.not_finite == 0
    assert report.agreement >= AGREEMENT
    assert report.peaks[0].share < 0.01  # a hundredth of the way to overflow


def test_the_shipped_weight_is_safe_in_half_on_camvid(trained, camvid_root):
    frames = camvid_pairs(camvid_root, "test")
    picked = [np.asarray(frames[i][0])[::3, ::3] for i in (0, len(frames) // 2)]  # every third pixel: 120×160
    report = fp16_report(trained, [np.ascontiguousarray(p) for p in picked])
    assert report.not_finite == 0
    assert report.agreement >= AGREEMENT


def test_the_float_type_with_float32s_range_is_safe_too_and_less_exact(trained, scenes, report):
    brain = fp16_report(trained, scenes, "bf16")
    assert brain.not_finite == 0
    assert brain.agreement <= report.agreement
    assert brain.peaks[0].share < 1e-30


def test_a_thin_class_that_half_loses_is_not_outvoted_by_the_rest():
    class Narrow(nn.Module):
        """Gives class 1 to red pixels by a margin that half cannot hold."""

        def __init__(self):
            super().__init__()
            self.score = nn.Conv2d(2, 2, 1, bias=False)
            self.score.weight = nn.Parameter(torch.tensor([[1, 0], [1, 1e-4]]).view(2, 2, 1, 1))

        def forward(self, x):
            red = (x[:, :1] > 1).to(x.dtype)
            return self.score(torch.cat([torch.ones_like(red), red], 1))

    image = np.zeros((*SIZE, 3), np.uint8)
    image[:4, :10, 0] = 255
    report = fp16_report(segmenter_around(Narrow()), [image])
    assert report.agreement >= AGREEMENT
    assert report.lost == ("class 1",)
    assert not report.passed
    assert "class 1 lost: NOT SAFE" in str(report)


def test_the_layer_that_overflows_is_named(scenes):
    large, quiet = nn.Conv2d(3, 4, 1, bias=False), nn.Conv2d(4, 5, 1)
    with torch.no_grad():
        large.weight.fill_(3e4)
    report = fp16_report(segmenter_around(nn.ReLU(), large, quiet), scenes)
    assert not report.passed
    assert report.not_finite > 0
    assert report.first_not_finite == "model.1 conv2d"
    first = report.peaks[0]
    assert "model.1" in {p.layer for p in report.peaks if p.share > 1}
    assert first.share == pytest.approx(first.largest / 65504)
    assert "NOT SAFE; take bf16" in str(report)
    assert report.table().splitlines()[1].split()[:2] == [first.layer, first.operation]


def test_peaks_are_the_largest_absolute_values_over_all_images():
    images = [np.full((*SIZE, 3), value, np.uint8) for value in (10, 200)]
    report = fp16_report(segmenter_around(nn.Conv2d(3, 2, 1)), images)
    assert next(p.largest for p in report.peaks if p.operation == "to") == 200


@pytest.mark.parametrize("images", [[], [np.zeros((64, 64, 3), np.uint8), np.zeros((64, 96, 3), np.uint8)]])
def test_no_images_or_several_sizes_are_refused(trained, images):
    with pytest.raises(DeployError, match="all of one size"):
        fp16_report(trained, images)


def test_a_callers_segmenter_comes_back_as_it_was(scenes):
    with left_as_it_was(segmenter_around(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))) as callers:
        fp16_report(callers, scenes)


def test_another_precision_is_refused(trained, scenes):
    with pytest.raises(DeployError, match="choose fp16 or bf16"):
        fp16_report(trained, scenes, "int8")
