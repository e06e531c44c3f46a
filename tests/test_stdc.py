"""The STDC module: its widths and strides."""

import pytest
import torch

from edgeseg.models.stdc import STDCModule


@pytest.mark.parametrize("stride", [1, 2])
def test_stdc_module_halves_widths_along_the_chain(stride):
    module = STDCModule(24, 64, stride)
    assert module(torch.randn(2, 24, 9, 7)).shape == (2, 64, -(-9 // stride), -(-7 // stride))
    branches = (module.branch1, module.branch2, module.branch3, module.branch4)
    assert [b.conv.out_channels for b in branches] == [32, 16, 8, 8]
