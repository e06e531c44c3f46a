"""Resizing, starting values and the check of inputs, which every network shares."""

import torch
from torch import nn

from edgeseg.models.layers import ConvBNReLU, check_input, init_weights, resize


def test_resize_hits_the_target_in_every_mode():
    x = torch.randn(1, 2, 5, 7)
    for mode in ("bilinear", "bicubic", "nearest"):
        assert resize(x, (11, 4), mode).shape == (1, 2, 11, 4)


def test_resize_aligns_pixel_areas_unless_corners_are_asked_for():
    step = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(resize(step, (1, 4)).flatten(), torch.tensor([0, 0.25, 0.75, 1]))
    torch.testing.assert_close(resize(step, (1, 4), align_corners=True).flatten(), torch.tensor([0, 1 / 3, 2 / 3, 1]))


def test_init_weights_resets_a_batch_norm():
    block = ConvBNReLU(3, 4)
    nn.init.constant_(block.bn.weight, 7)
    nn.init.constant_(block.bn.bias, 7)
    init_weights(block)
    assert (block.bn.weight == 1).all()
    assert (block.bn.bias == 0).all()


def test_check_input_accepts_the_smallest_image():
    check_input(torch.zeros(1, 3, 32, 32), nn.Identity())
