"""What the blocks of the Cross-CBAM paper compute, written out a second time."""

import pytest
import torch
from torch import nn

from edgeseg.models.attention import ChannelAttention, SpatialAttention
from edgeseg.models.cross_cbam import CCBAM, SEASPP, CrossCBAM
from small_networks import images


def test_ccbam_is_equation_2_with_the_shared_mlp_on_each_pool():
    torch.manual_seed(0)
    block = CCBAM(32)
    nn.init.normal_(block.channel_low.excite.bias)  # so that adding it once or twice makes a difference
    low, high = torch.randn(2, 2, 32, 5, 7)

    def channel(attention: ChannelAttention, x: torch.Tensor) -> torch.Tensor:
        def mlp(pooled: torch.Tensor) -> torch.Tensor:
            return attention.excite(torch.relu(attention.squeeze(pooled)))

        return torch.sigmoid(mlp(x.amax((2, 3), keepdim=True)) + mlp(x.mean((2, 3), keepdim=True)))

    def spatial(attention: SpatialAttention, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(attention.conv(torch.stack([x.amax(1), x.mean(1)], 1)))

    f_high, f_low = low * channel(block.channel_high, high), high * channel(block.channel_low, low)
    expected = f_low * spatial(block.spatial_high, f_high) + f_high * spatial(block.spatial_low, f_low)
    torch.testing.assert_close(block(low, high), expected)


def test_se_aspp_adds_its_branches_and_projects_them_beside_the_gated_input():
    torch.manual_seed(0)
    block = SEASPP(16, 8, (1, 3, 5)).eval()
    x = torch.randn(2, 16, 6, 9)
    gate = torch.sigmoid(block.excite(torch.relu(block.squeeze(x.mean((2, 3), keepdim=True)))))
    expected = block.project(torch.cat([sum(branch(x) for branch in block.branches), x * gate], 1))
    torch.testing.assert_close(block(x), expected)
    assert [b.conv.kernel_size for b in block.branches] == [(1, 1), (3, 3), (3, 3)]
    assert [b.conv.dilation for b in block.branches] == [(1, 1), (3, 3), (5, 5)]


def test_se_aspp_refuses_no_branches_and_dilation_0():
    for dilations in ((), (0, 3)):
        with pytest.raises(ValueError, match="the paper takes"):
            SEASPP(16, 8, dilations)


def test_fresh_gates_are_open_and_fresh_logits_are_small():
    torch.manual_seed(0)
    model = CrossCBAM(11)
    gates = []
    for module in model.modules():
        if isinstance(module, nn.Sigmoid):
            module.register_forward_hook(lambda _, __, out: gates.append(out))
    out = model(images(2, 96, 128))
    assert len(gates) == 9  # SE, and two channel and two spatial gates in each of two fusions
    assert all(0.1 < gate.mean() < 0.9 for gate in gates)
    assert out["out"].std() < 2  # a first loss near log(11), not tens
