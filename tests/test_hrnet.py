"""HRNetV2: equal to an independent implementation, and exact under activation checkpointing."""

import pytest
import torch
from torch import nn

from edgeseg.models.hrnet import Exchange, HRNet
from edgeseg.models.registry import create_model
from small_networks import SHALLOW, images, stir

SMALL = {"width": 8, **SHALLOW}


# The network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [18, pytest.param(48, marks=pytest.mark.slow)])
def test_the_four_maps_equal_timms_with_the_same_weights(width):
    timm = pytest.importorskip("timm", reason="timm is the independent implementation: pip install 'edgeseg[peers]'")
    ours = HRNet(width).eval()
    stir(ours)
    theirs = timm.create_model(
        f"hrnet_w{width}", features_only=True, feature_location="", out_indices=(1, 2, 3, 4)
    ).eval()
    for module in theirs.modules():
        if isinstance(module, nn.Upsample):  # timm resizes by nearest inside the exchange
            module.mode, module.align_corners = "bilinear", True
    state = theirs.state_dict()
    assert len(state) == 1830
    assert [v.shape for v in state.values()] == [v.shape for v in ours.state_dict().values()]
    theirs.load_state_dict(dict(zip(state, ours.state_dict().values(), strict=True)))
    with torch.inference_mode():
        for mine, other in zip(ours(images(1, 128, 192)), theirs(images(1, 128, 192)), strict=True):
            assert (mine - other).abs().max() <= torch.finfo(torch.float32).eps ** 0.5 * other.abs().max()


def test_w48_has_the_published_size_and_w18_small_v2_its_depth():
    with torch.device("meta"):
        assert sum(p.numel() for p in HRNet(48).parameters()) == 65_325_120
        assert len(HRNet(18).state_dict()) == len(HRNet(32).state_dict()) == 1830
        small = HRNet(18, modules=(1, 3, 2), blocks=2)
    assert [len(s) for s in (small.layer1, small.stage2, small.stage3, small.stage4)] == [2, 1, 3, 2]


@pytest.mark.parametrize("size", [(32, 32), (97, 131), (360, 480)])
def test_the_maps_have_strides_4_to_32_and_doubling_widths(size):
    maps = HRNet(**SMALL).eval()(images(1, *size))
    for i, x in enumerate(maps):
        stride = 4 * 2**i
        assert x.shape == (1, 8 * 2**i, -(-size[0] // stride), -(-size[1] // stride))


def test_every_map_hears_every_other_in_one_exchange():
    exchange = Exchange((4, 8, 16)).eval()
    maps = [torch.randn(1, 4 * 2**i, 16 // 2**i, 24 // 2**i, requires_grad=True) for i in range(3)]
    for received in exchange(maps):
        grads = torch.autograd.grad(received.sum(), maps, retain_graph=True)
        assert all(g.abs().sum() > 0 for g in grads)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"modules": (1, 2)}, {"modules": (1, 0, 1)}, {"blocks": 0}])
def test_a_network_without_parts_is_refused(wrong):
    with pytest.raises(ValueError, match=r"the published networks have \(1, 4, 3\), 4 and 18, 32 or 48"):
        HRNet(**{**SMALL, **wrong})


# Activation checkpointing ---------------------------------------------------------------------------------------------


def test_checkpointing_changes_neither_result_nor_gradient_nor_running_statistics():
    plain = create_model("hrnet_s", 5, **SMALL)
    saving = create_model("hrnet_s", 5, **SMALL, checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    for _ in range(2):
        for model in (plain, saving):
            model(images(2, 64, 96))["out"].square().mean().backward()
    for (name, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad), name
    for (name, p), q in zip(plain.state_dict().items(), saving.state_dict().values(), strict=True):
        assert torch.equal(p, q), name


def test_checkpointing_really_computes_twice_and_only_in_training():
    model, calls = HRNet(**SMALL, checkpointing=True), []
    model.stage3[0].register_forward_pre_hook(lambda *_: calls.append(1))
    model(images(2, 64, 64))[0].sum().backward()
    assert len(calls) == 2
    model.eval()(images(1, 64, 64))
    assert len(calls) == 3


def test_checkpointing_leaves_frozen_batch_normalisation_alone():
    model = HRNet(**SMALL, checkpointing=True)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    model(images(2, 64, 64))[0].sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
