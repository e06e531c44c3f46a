"""Compiled training: the gradients of eager training, in whatever layout the numbers lie."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgeseg.machine import has_bf16
from edgeseg.models.layers import GlobalMaxPool
from edgeseg.training.compiled import compiled

CPU = torch.device("cpu")

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16 instructions")


class Largest(nn.Module):
    """Batch normalisation, ReLU and a global maximum, by value or by place."""

    def __init__(self, by_place: bool) -> None:
        super().__init__()
        self.bn, self.by_place, self.pool = nn.BatchNorm2d(32, affine=False), by_place, GlobalMaxPool()

    def forward(self, x):
        x = F.relu(self.bn(x))
        return x.flatten(2).max(2).values if self.by_place else self.pool(x).flatten(1)


@needs_bf16
@pytest.mark.parametrize("by_place", [False, True], ids=["amax", "max"])
def test_a_maximum_passes_back_what_it_does_in_eager(by_place):
    """NaN without the options: `amax` divides by no maxima, `max` by g++ lays its tiles down wrongly."""
    torch.manual_seed(0)
    x = torch.randn(2, 32, 8, 12).bfloat16().to(memory_format=torch.channels_last)
    model, gradients = Largest(by_place), []
    for forward in (model, compiled(model, CPU)):
        leaf = x.clone().requires_grad_()
        forward(leaf).float().square().sum().backward()
        gradients.append(leaf.grad.float())
    eager, through_compiler = gradients
    # an element is rounded a handful of times in either, by at most half of bfloat16's eps each
    torch.testing.assert_close(through_compiler, eager, rtol=8 * 2**-8, atol=8 * 2**-8 * float(eager.abs().max()))
