"""STDC-Seg and PP-LiteSeg: what the papers' blocks compute, what they cost, and that they train and export."""

import pytest
import torch
from torch import nn

from edgeseg.models.baselines import SPPM, STDCFCN, UAFM, AttentionRefinement, FeatureFusion, PPLiteSeg, STDCSeg
from edgeseg.models.counts import count
from edgeseg.models.weights import is_aux_key

NETS = {"stdc-seg": STDCSeg, "pp-liteseg": PPLiteSeg}
every_net = pytest.mark.parametrize("net", NETS)
AUX_STRIDES = {"stdc-seg": (8, 16), "pp-liteseg": (16, 32)}


def build(net: str, **switches) -> nn.Module:
    torch.manual_seed(0)
    return NETS[net](5, width=16, **switches)


def images(n: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


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


@every_net
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 131), (360, 480)])
def test_eval_gives_logits_at_input_size(net, size):
    with torch.inference_mode():
        logits = build(net).eval()(images(1, *size))
    assert logits.shape == (1, 5, *size)
    assert logits.isfinite().all()


@every_net
def test_train_gives_a_dict_of_maps_at_their_own_resolution(net):
    out = build(net, aux_boundary=True)(images(2, 66, 95))
    assert set(out) == {"out", "aux", "boundary"}
    assert out["out"].shape == (2, 5, 9, 12)
    assert out["boundary"].shape == (2, 1, 9, 12)
    assert [a.shape for a in out["aux"]] == [(2, 5, -(-66 // s), -(-95 // s)) for s in AUX_STRIDES[net]]
    assert build(net, aux=False)(images(2, 66, 95))["aux"] == []


@every_net
def test_gradients_reach_every_parameter_and_inference_leaves_out_exactly_aux(net):
    model = build(net, aux_boundary=True)
    out = model(images(2, 64, 96))
    sum(t.square().sum() for t in (out["out"], *out["aux"], out["boundary"])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.zero_grad(set_to_none=True)
    model.eval()(images(1, 64, 64)).square().sum().backward()
    unused = {n for n, p in model.named_parameters() if p.grad is None}
    assert unused == {n for n, _ in model.named_parameters() if is_aux_key(n)} != set()


@every_net
def test_one_image_trains(net):
    assert build(net)(images(1, 33, 32))["out"].isfinite().all()


@every_net
def test_export_with_dynamic_batch_and_size_equals_eager(net):
    model = build(net).eval()
    dims = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    module = torch.export.export(model, (images(2, 64, 96),), dynamic_shapes=(dims,)).module()
    with torch.inference_mode():
        for shape in ((1, 33, 47), (3, 97, 131)):
            torch.testing.assert_close(module(images(*shape)), model(images(*shape)), rtol=1e-5, atol=1e-5)


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
