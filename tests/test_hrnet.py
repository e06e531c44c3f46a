"""HRNetV2: equal to an independent implementation, exact under activation checkpointing, public weights in and out."""

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgeseg.models.counts import training_memory
from edgeseg.models.hrnet import Exchange, HRNet
from edgeseg.models.public import load_public_backbone, load_public_state
from edgeseg.models.registry import create_model
from edgeseg.models.weights import WeightError

SMALL = {"width": 8, "modules": (1, 1, 1), "blocks": 1}


def images(n: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def stir(model: nn.Module) -> None:
    """Give every batch normalisation statistics and factors of its own, so that a mix-up cannot go unseen."""
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, scale, offset in (
                (module.running_mean, 0.2, -0.1), (module.running_var, 1.0, 0.5),
                (module.weight.data, 0.5, 0.25), (module.bias.data, 0.2, -0.1),
            ):  # fmt: skip
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * scale + offset)


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


def test_the_estimate_of_memory_by_hand_and_with_checkpointing():
    conv = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.ReLU(inplace=True))
    memory = training_memory(conv, (16, 32), batch=2)
    # kept: the input of the convolution, and its output, which the activation overwrote
    assert memory.kept == 2 * 16 * 32 * (3 + 8) * 4
    assert memory.state == 3 * 24 * 4
    with torch.device("meta"):
        plain = training_memory(create_model("hrnet", 20), (512, 1024))
        saving = training_memory(create_model("hrnet", 20, checkpointing=True), (512, 1024))
    assert plain.recomputed == 0
    assert saving.kept + saving.recomputed < 0.5 * plain.kept
    one, four = (training_memory(create_model("hrnet", 5, **SMALL), (64, 64), batch=n).kept for n in (1, 4))
    assert four == pytest.approx(4 * one, rel=0.01)  # but for the channels' means and variances
    assert "estimate" in str(plain)


# Public weights -------------------------------------------------------------------------------------------------------


def public_state(width: int = 18) -> dict[str, torch.Tensor]:
    """An ImageNet checkpoint in the public layout, head included, made by timm, which kept the official names."""
    timm = pytest.importorskip("timm", reason="timm has the public layout: pip install 'edgeseg[peers]'")
    model = timm.create_model(f"hrnet_w{width}")
    stir(model)
    return model.state_dict()


def test_a_public_checkpoint_loads_whole_and_the_head_is_listed_as_ignored(capsys, tmp_path):
    state = public_state()
    model = create_model("hrnet_w18", 5)
    path = tmp_path / "hrnetv2_w18_imagenet_pretrained.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    report = load_public_backbone(model, path)
    assert (len(report.loaded), report.missing) == (1830, [])
    assert {k.split(".")[0] for k in report.ignored} == {
        "incre_modules", "downsamp_modules", "final_layer", "classifier",
    }  # fmt: skip
    assert "loaded 1830, new 0, missing 0, ignored" in capsys.readouterr().out
    # timm's order is ours, so the names must give what the order gives
    by_order = list(state.values())[:1830]
    assert all(torch.equal(a, b) for a, b in zip(model.backbone.state_dict().values(), by_order, strict=True))


def test_timms_safetensors_files_load_too(tmp_path):
    state = public_state()
    save_file(state, tmp_path / "model.safetensors")
    model = create_model("hrnet_l_w18", 5)
    assert not load_public_backbone(model, tmp_path / "model.safetensors").missing
    assert torch.equal(model.backbone.stem2.conv.weight, state["conv2.weight"])


def test_old_checkpoints_without_batch_counters_load():
    state = {k: v for k, v in public_state().items() if not k.endswith("num_batches_tracked")}
    assert not load_public_state(HRNet(18), state).missing


def test_weights_of_another_width_or_depth_are_refused_and_change_nothing():
    state = public_state()
    damaged = {k: v for k, v in state.items() if k != "stage4.2.fuse_layers.3.0.1.0.weight"}
    wrong = (
        (HRNet(32), state, r"the checkpoint has width 18, this backbone width 32 \(a switch of the hrnet models\)"),
        (HRNet(18, modules=(1, 3, 2), blocks=2), state, r"[1-9]\d* entries too many"),
        (HRNet(18), damaged, r"missing 1 \(stage4.2.exchange.paths.3.0.1.conv.weight\)"),
        (HRNet(18), {"features.0.conv.weight": torch.zeros(1)}, "has no known width"),
    )
    for backbone, given, message in wrong:
        before = {k: v.clone() for k, v in backbone.state_dict().items()}
        with pytest.raises(WeightError, match=message):
            load_public_state(backbone, given, source="w18.pth")
        assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())


def test_a_model_without_such_a_backbone_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightError, match=re.escape("Conv2d has no STDC or HRNet backbone")):
        load_public_backbone(nn.Conv2d(1, 1, 1), tmp_path / "a.safetensors")
