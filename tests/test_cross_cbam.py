"""What the blocks of the Cross-CBAM paper compute, written out a second time."""

import pytest
import torch
from torch import nn

from edgeseg.models.attention import ChannelAttention, SpatialAttention
from edgeseg.models.controls import ASPP, OneSidedFusion, UncrossedFusion
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


# controls -------------------------------------------------------------------------------------------------------------


def _maps() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    low, high = torch.randn(2, 2, 32, 5, 7)
    return low, high


def test_a_one_sided_fusion_gates_one_map_by_the_other_and_adds_the_guide():
    low, high = _maps()
    for guide, (gating, gated) in (("high", (high, low)), ("low", (low, high))):
        block = OneSidedFusion(32, guide)
        expected = gating + gated * block.channel(gating) * block.spatial(gating)
        torch.testing.assert_close(block(low, high), expected)


def test_an_uncrossed_fusion_is_a_cbam_on_each_map_with_the_crossed_ones_parameters():
    low, high = _maps()
    block, crossed = UncrossedFusion(32), CCBAM(32)
    assert block.state_dict().keys() == crossed.state_dict().keys()
    block.load_state_dict(crossed.state_dict())
    gated = [x * c(x) for x, c in ((low, block.channel_low), (high, block.channel_high))]
    expected = gated[0] * block.spatial_low(gated[0]) + gated[1] * block.spatial_high(gated[1])
    torch.testing.assert_close(block(low, high), expected)
    # nothing of high reaches low's share: changing high changes the output by what high's own share changes
    moved = block(low, high + 1) - block(low, high)
    torch.testing.assert_close(moved, block(0 * low, high + 1) - block(0 * low, high))
    assert not torch.allclose(crossed(low, high + 1) - crossed(low, high), crossed(0 * low, high + 1))


def test_aspp_concatenates_what_se_aspp_adds():
    torch.manual_seed(0)
    block = ASPP(16, 8, (1, 2)).eval()
    x = torch.randn(2, 16, 6, 9)
    mean = torch.relu(block.pooled(x.mean((2, 3), keepdim=True))).expand(-1, -1, 6, 9)
    expected = block.project(torch.cat([*(branch(x) for branch in block.branches), mean], 1))
    torch.testing.assert_close(block(x), expected)


PARAMETERS = {  # of the module alone at the paper's widths; of a fusion, both together
    ("context", "se_aspp"): 6_097_664,
    ("context", "conv"): 262_656,
    ("context", "aspp"): 3_081_984,
    ("context", "plain"): 6_095_650,
    ("fusion", "ccbam"): 2 * 16_934,
    ("fusion", "add"): 0,
    ("fusion", "concat"): 2 * 131_584,
    ("fusion", "high_guides"): 16_934,
    ("fusion", "low_guides"): 16_934,
    ("fusion", "uncrossed"): 2 * 16_934,
}


@pytest.mark.parametrize(("switch", "value"), PARAMETERS)
def test_parameters_of_the_controls(switch, value):
    with torch.device("meta"):
        model = CrossCBAM(19, **{switch: value})
    parts = [model.context] if switch == "context" else [model.decoder.fuse16, model.decoder.fuse8]
    assert sum(p.numel() for part in parts for p in part.parameters()) == PARAMETERS[switch, value]


def test_aspp_at_deeplabs_rates_has_more_parameters_than_se_aspp():
    sizes = [
        sum(p.numel() for p in block.parameters()) for block in (ASPP(1024, 256, (1, 12, 24, 36)), SEASPP(1024, 256))
    ]
    assert sizes == [7_932_672, 6_097_664]


def test_the_plain_context_has_se_aspps_parameters_to_a_thousandth():
    assert abs(PARAMETERS["context", "plain"] / PARAMETERS["context", "se_aspp"] - 1) < 0.001


@pytest.mark.parametrize("channels", [128, 256, 512])
@pytest.mark.parametrize(("switch", "value"), [key for key in PARAMETERS if key != ("fusion", "ccbam")])
def test_every_control_gives_logits_at_every_width(switch, value, channels):
    model = CrossCBAM(5, width=8, aspp_channels=channels // 8, **{switch: value}).eval()
    assert model(images(1, 70, 97)).shape == (1, 5, 70, 97)


@pytest.mark.parametrize(("reduction", "parameters"), [(4, 66_182), (8, 33_350), (16, 16_934)])
def test_ccbams_reduction(reduction, parameters):
    assert sum(p.numel() for p in CCBAM(256, reduction).parameters()) == parameters


def test_cbams_kernel_costs_96_parameters_a_spatial_gate():
    size = [sum(p.numel() for p in CCBAM(256, spatial_kernel=k).parameters()) for k in (1, 7)]
    assert size[1] - size[0] == 2 * 2 * (49 - 1)


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        ({"fusion": "ccbma"}, "did you mean ccbam"),
        ({"context": "assp"}, "did you mean"),
        ({"fusion": "add", "reduction": 4}, "fusion='add' has no reduction"),
        ({"fusion": "uncrossed", "spatial_kernel": 7}, "fusion='uncrossed' has no spatial_kernel"),
        ({"fusion": "none", "relu_before_sigmoid": True}, "fusion='none' has no relu_before_sigmoid"),
        ({"spatial_kernel": 4}, "give an odd side"),
        ({"context": "conv", "dilations": (2, 4)}, "context='conv' has no dilations"),
        ({"context": "plain", "dilations": (2, 4)}, "context='plain' has no dilations"),
    ],
)
def test_a_switch_without_a_meaning_is_refused(switches, words):
    with pytest.raises(ValueError, match=words):
        CrossCBAM(3, width=8, **switches)
