"""STDC-Seg and PP-LiteSeg: what the papers' blocks compute, and what they cost."""

import pytest
import torch
from torch import nn

from edgeseg.models.baselines import SPPM, STDCFCN, UAFM, AttentionRefinement, FeatureFusion, PPLiteSeg, STDCSeg
from edgeseg.models.counts import count


@pytest.mark.parametrize(
    ("net", "backbone", "params"),
    [
        (STDCSeg, "stdc1", 8_274_739),
        (STDCSeg, "stdc2", 12_305_203),
        (PPLiteSeg, "stdc1", 8_027_699),
        (PPLiteSeg, "stdc2", 12_234_131),
    ],
)
def test_parameters_are_those_of_the_docstring(net, backbone, params):
    with torch.device("meta"):
        model = net(19, backbone)
    assert count(model, (64, 64)).params == params
    assert f"{params:,}" in net.__doc__


def test_stdc_seg_with_all_that_its_authors_code_registers_has_what_others_measured_on_it():
    imagenet_head = 8_443_552 - 5_318_304
    detail_heads = sum(c * 64 * 9 + 2 * 64 + 64 for c in (32, 64, 512))  # beside the one at 1/8
    with torch.device("meta"):
        totals = [sum(p.numel() for p in STDCSeg(8, b, aux_boundary=True).parameters()) for b in ("stdc1", "stdc2")]
    assert [f"{(t + imagenet_head + detail_heads) / 1e6:.2f}" for t in totals] == ["12.04", "16.07"]


def test_an_unknown_backbone_is_refused():
    for net in (STDCFCN, STDCSeg, PPLiteSeg):
        with pytest.raises(ValueError, match="there are stdc1, stdc2"):
            net(5, "resnet18")


def test_pp_liteseg_has_the_papers_decoder_widths():
    for backbone, widths in (("stdc1", (32, 64, 128)), ("stdc2", (64, 96, 128))):
        with torch.device("meta"):
            net = PPLiteSeg(19, backbone)
        assert tuple(f.project.conv.out_channels for f in (net.fuse8, net.fuse16, net.fuse32)) == widths


# Blocks ---------------------------------------------------------------------------------------------------------------


def test_attention_refinement_scales_channels_by_a_gate_from_their_means():
    block = AttentionRefinement(6, 8).eval()
    x = torch.randn(2, 6, 5, 7)
    y = block.conv(x)
    gate = torch.sigmoid(block.gate(y.mean((2, 3), keepdim=True)))
    torch.testing.assert_close(block(x), y * gate)


def test_feature_fusion_adds_the_gated_map_to_itself():
    block = FeatureFusion(10, 8).eval()
    detail, context = torch.randn(2, 6, 5, 7), torch.randn(2, 4, 5, 7)
    y = block.project(torch.cat([detail, context], 1))
    gate = torch.sigmoid(block.excite(torch.relu(block.squeeze(y.mean((2, 3), keepdim=True)))))
    torch.testing.assert_close(block(detail, context), y * (1 + gate))


def test_sppm_of_a_constant_map_is_one_vector_away_from_the_border():
    block = SPPM(6, 4).eval()
    y = block(torch.ones(1, 6, 8, 12))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(y, y[:, :, :1, :1].expand_as(y))


def test_uafm_is_a_weighted_mean_of_both_maps():
    block = UAFM(6, 4, 4).eval()
    block.project = nn.Identity()
    low, high = torch.randn(1, 6, 6, 8), torch.randn(1, 4, 3, 4)
    up = nn.functional.interpolate(high, (6, 8), mode="bilinear", align_corners=False)
    lateral = block.lateral(low)
    fused = block(low, high)
    assert (fused >= torch.minimum(up, lateral) - 1e-6).all()
    assert (fused <= torch.maximum(up, lateral) + 1e-6).all()
    described = torch.cat([up.mean(1, True), up.amax(1, True), lateral.mean(1, True), lateral.amax(1, True)], 1)
    gate = block.gate(described)
    torch.testing.assert_close(fused, up * gate + lateral * (1 - gate))
