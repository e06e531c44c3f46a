"""What every network must do, on all of them, and what the papers' blocks compute."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import edgeseg
from edgeseg.models import layers
from edgeseg.models.attention import ChannelAttention, SpatialAttention
from edgeseg.models.cross_cbam import CCBAM, SEASPP
from edgeseg.models.layers import ConvBNReLU, check_input, init_weights, resize
from edgeseg.models.registry import ARCHS, UnknownModelError, create_model, list_models
from edgeseg.models.stdc import STDCModule
from small_networks import small

CLASSES = 5
# Every architecture, and Cross-CBAM and HRNet under every switch; small, so that a test takes milliseconds.
VARIANTS = {
    **{name: (name, {}) for name in ARCHS},
    "width-512": ("cross_cbam_m", {"aspp_channels": 512}),
    "width-128": ("cross_cbam_m", {"aspp_channels": 128}),
    "width-32": ("cross_cbam_m", {"aspp_channels": 32}),
    "three-branches": ("cross_cbam_m", {"dilations": (1, 3, 5)}),
    "no-ccbam": ("cross_cbam_m", {"use_ccbam": False}),
    "no-se-aspp": ("cross_cbam_m", {"use_se_aspp": False}),
    "se-aspp-alone": ("cross_cbam_m", {"use_ccbam": False, "decoder": False}),
    "relu-before-sigmoid": ("cross_cbam_m", {"relu_before_sigmoid": True}),
    "no-aux": ("cross_cbam_m", {"aux": False}),
    "boundary": ("cross_cbam_m", {"aux_boundary": True}),
    "bfem": ("hrnet", {"bfem": True}),
    "parallel-strips": ("hrnet_s", {"strips": "parallel"}),
    "ccsf-alone": ("hrnet", {"ccsf": True}),
    **{
        f"{a}-{at}": ("hrnet", {"attention": a, "attention_at": at})
        for a in ("se", "eca", "cbam", "aam", "sp")
        for at in ("all", "concat")
    },
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)
every_arch = pytest.mark.parametrize("variant", list(ARCHS))


def build(variant: str) -> nn.Module:
    name, switches = VARIANTS[variant]
    torch.manual_seed(0)
    return create_model(name, CLASSES, **small(name), **switches)


def is_hrnet(variant: str) -> bool:
    return VARIANTS[variant][0].startswith("hrnet")


def images(n: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def aux_strides(variant: str) -> tuple[int, ...]:
    if variant == "no-aux" or is_hrnet(variant):
        return ()
    families = {"fcn": (16,), "_seg": (8, 16), "pp_liteseg": (16, 32)}
    return next((strides for part, strides in families.items() if part in variant), (32,))


@every_variant
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 131), (360, 480)])
def test_eval_gives_logits_at_input_size(variant, size):
    with torch.inference_mode():
        logits = build(variant).eval()(images(1, *size))
    assert logits.shape == (1, CLASSES, *size)
    assert logits.isfinite().all()


@every_variant
def test_train_gives_a_dict_of_maps_at_their_own_resolution(variant):
    out = build(variant)(images(2, 66, 95))
    stride = 4 if is_hrnet(variant) else 32 if "fcn" in variant or variant == "se-aspp-alone" else 8
    assert out["out"].shape == (2, CLASSES, -(-66 // stride), -(-95 // stride))
    assert [a.shape for a in out["aux"]] == [(2, CLASSES, -(-66 // s), -(-95 // s)) for s in aux_strides(variant)]
    assert set(out) == {"out", "aux"} | ({"boundary"} if variant == "boundary" else set())
    if variant == "boundary":
        assert out["boundary"].shape == (2, 1, 9, 12)


@every_variant
def test_gradients_are_finite_and_reach_every_parameter(variant):
    model = build(variant)
    for module in model.modules():  # four hidden units as in these narrow networks may all be off by chance: open them
        if isinstance(module, (ChannelAttention, SpatialAttention)):
            for conv in module.children():
                if isinstance(conv, nn.Conv2d) and conv.bias is not None:
                    nn.init.constant_(conv.bias, 3)
    out = model(images(2, 64, 96))
    sum(
        t.square().sum() for t in (out["out"], *out["aux"], *([out["boundary"]] if "boundary" in out else []))
    ).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert not [n for n, p in model.named_parameters() if p.ndim == 4 and not p.grad.any()]


@every_variant
def test_what_inference_does_not_use_is_named_aux(variant):
    model = build(variant).eval()
    model(images(1, 64, 64)).square().sum().backward()
    unused = {n for n, p in model.named_parameters() if p.grad is None}
    assert unused == {n for n, _ in model.named_parameters() if n.startswith("aux")}


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "sp-all"])  # its strips there are single values
def test_one_image_trains(variant):
    out = build(variant)(images(1, 33, 32))
    assert out["out"].isfinite().all()


@every_arch
def test_one_image_of_32x32_cannot_train_and_the_message_says_what_can(variant):
    model = build(variant)
    with pytest.raises(ValueError, match="batch of two or more, a larger crop"):
        model(images(1, 32, 32))
    for module in model.modules():  # frozen batch norm can
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert model(images(1, 32, 32))["out"].isfinite().all()


@every_arch
def test_eval_is_deterministic(variant):
    model = build(variant).eval()
    with torch.inference_mode():
        assert torch.equal(model(images(1, 48, 64)), model(images(1, 48, 64)))


@every_arch
@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 1)])
def test_too_small_an_image_is_refused(variant, size):
    with pytest.raises(ValueError, match=r"resize or pad it to at least 32x32"):
        build(variant).eval()(images(1, *size))


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (64, 64, 3)])
def test_what_is_no_batch_of_rgb_is_refused(shape):
    with pytest.raises(ValueError, match="edgeseg.predict"):
        build("cross_cbam_m").eval()(torch.zeros(shape))


@every_arch
def test_state_dict_carries_the_whole_model(variant):
    first, second = build(variant), create_model(variant, CLASSES, **small(variant))
    first(images(2, 64, 64))  # moves the running statistics
    second.load_state_dict(first.state_dict())
    with torch.inference_mode():
        assert torch.equal(first.eval()(images(1, 48, 64)), second.eval()(images(1, 48, 64)))


@every_arch
def test_channels_last_changes_nothing(variant):
    model = build(variant).eval()
    with torch.inference_mode():
        plain = model(images(2, 50, 70))
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)(
            images(2, 50, 70).contiguous(memory_format=torch.channels_last)
        )
    torch.testing.assert_close(plain, last, rtol=1e-4, atol=1e-4)


# Ops that break or split an engine, or that quantisation and autocast choke on.
FORBIDDEN = re.compile(r"adaptive_max_pool|max\.dim|\bsplit|chunk|_aa\b|grid_sampler|nonzero|_unique")


@pytest.mark.parametrize("variant", [*ARCHS, "width-512", "no-ccbam", "se-aspp-alone", "relu-before-sigmoid"])
def test_export_with_dynamic_batch_and_size_equals_eager_and_avoids_forbidden_ops(variant):
    model = build(variant).eval()
    dims = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)  # named Dims with min=33 fail on torch 2.8
    program = torch.export.export(model, (images(2, 64, 96),), dynamic_shapes=(dims,))
    module = program.module()
    with torch.inference_mode():
        for shape in ((1, 33, 47), (3, 97, 131)):
            torch.testing.assert_close(module(images(*shape)), model(images(*shape)), rtol=1e-5, atol=1e-5)
    ops = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert ops  # the next line would hold for an empty graph too
    assert not {op for op in ops if FORBIDDEN.search(op)}


def test_forbidden_ops_would_be_found():
    class Bad(nn.Module):
        def forward(self, x):
            return nn.functional.adaptive_max_pool2d(x, 1) + x.chunk(3, 1)[0] + torch.max(x, 1, keepdim=True)[0]

    program = torch.export.export(Bad(), (images(1, 32, 32),))
    ops = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert len([op for op in ops if FORBIDDEN.search(op)]) == 3


def test_only_layers_calls_interpolate():
    folder = Path(layers.__file__).parent
    assert [p.name for p in folder.glob("*.py") if "interpolate(" in p.read_text("utf-8")] == ["layers.py"]


# Blocks ---------------------------------------------------------------------------------------------------------------


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


def test_relu_before_sigmoid_keeps_gates_at_one_half_or_more():
    x = torch.randn(4, 32, 6, 6)
    for gate in (ChannelAttention(32, relu_before_sigmoid=True)(x), SpatialAttention(relu_before_sigmoid=True)(x)):
        assert 0.5 <= gate.min() <= gate.max() <= 1
    assert ChannelAttention(32)(x).min() < 0.5


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


@pytest.mark.parametrize("stride", [1, 2])
def test_stdc_module_halves_widths_along_the_chain(stride):
    module = STDCModule(24, 64, stride)
    assert module(torch.randn(2, 24, 9, 7)).shape == (2, 64, -(-9 // stride), -(-7 // stride))
    branches = (module.branch1, module.branch2, module.branch3, module.branch4)
    assert [b.conv.out_channels for b in branches] == [32, 16, 8, 8]


def test_resize_hits_the_target_in_every_mode():
    x = torch.randn(1, 2, 5, 7)
    for mode in ("bilinear", "bicubic", "nearest"):
        assert resize(x, (11, 4), mode).shape == (1, 2, 11, 4)


def test_resize_aligns_pixel_areas_unless_corners_are_asked_for():
    step = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(resize(step, (1, 4)).flatten(), torch.tensor([0, 0.25, 0.75, 1]))
    torch.testing.assert_close(resize(step, (1, 4), align_corners=True).flatten(), torch.tensor([0, 1 / 3, 2 / 3, 1]))


def test_fresh_gates_are_open_and_fresh_logits_are_small():
    torch.manual_seed(0)
    model = create_model("cross_cbam_m", 11)
    gates = []
    for module in model.modules():
        if isinstance(module, nn.Sigmoid):
            module.register_forward_hook(lambda _, __, out: gates.append(out))
    out = model(images(2, 96, 128))
    assert len(gates) == 9  # SE, and two channel and two spatial gates in each of two fusions
    assert all(0.1 < gate.mean() < 0.9 for gate in gates)
    assert out["out"].std() < 2  # a first loss near log(11), not tens


def test_init_weights_resets_a_batch_norm():
    block = ConvBNReLU(3, 4)
    nn.init.constant_(block.bn.weight, 7)
    nn.init.constant_(block.bn.bias, 7)
    init_weights(block)
    assert (block.bn.weight == 1).all()
    assert (block.bn.bias == 0).all()


def test_check_input_accepts_the_smallest_image():
    check_input(torch.zeros(1, 3, 32, 32), nn.Identity())


# Registry -------------------------------------------------------------------------------------------------------------


def test_public_face_builds_and_lists_models():
    assert {"cross_cbam_m", "cross_cbam_l", "stdc1_fcn", "stdc2_fcn"} <= set(edgeseg.list_models())
    assert edgeseg.list_models("*_l") == ["cross_cbam_l", "hrnet_l"]
    model = edgeseg.create_model("cross_cbam_m", num_classes=7, dilations=(2, 4), width=16)
    assert (model.arch, model.num_classes, model.switches) == ("cross_cbam_m", 7, {"dilations": (2, 4), "width": 16})
    assert edgeseg.create_model("cross_cbam_m", width=16).num_classes == 19


@pytest.mark.parametrize(
    ("name", "switches", "message"),
    [
        ("cross_cbam", {}, "did you mean cross_cbam_m or cross_cbam_l"),
        ("resnet", {}, "there are cross_cbam_l, cross_cbam_m"),
        ("cross_cbam_m.nowhere", {}, "no weight 'cross_cbam_m.nowhere'"),
        ("cross_cbam_m", {"dilation": (1, 3)}, "did you mean dilations"),
        ("cross_cbam_m", {"zzz": 1}, "there are dilations, aspp_channels"),
        ("cross_cbam_m", {"backbone": "stdc2"}, "for 'stdc2' take cross_cbam_l"),
        ("hrnet_l_w18", {"width": 48}, "hrnet_l_w18 has width=18 for good; it is a switch of hrnet"),
        ("hrnet_s", {"attention": "aam"}, "for 'aam' take hrnet_m"),
        ("hrnet", {"attention": "axial"}, "(did you mean aam?); there are none, se, eca, cbam, aam, sp"),
        ("hrnet", {"attention": "se", "attention_at": "last"}, "choose 'all' (five places) or 'concat'"),
        ("hrnet", {"dead_attention": True}, "an attention that keeps the width"),
        ("hrnet", {"bfem": True, "strips": "both"}, "choose 'serial' (the paper) or 'parallel'"),
        ("cross_cbam_m", {"new_head": True}, "leave new_head out"),
        ("cross_cbam_m", {"num_classes": 0}, "1 or more"),
        ("cross_cbam_m", {"decoder": False}, "use_ccbam=False"),
        ("cross_cbam_m", {"width": 15}, "even and positive"),
    ],
)
def test_a_wrong_name_or_switch_is_refused_with_the_near_ones(name, switches, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        create_model(name, **switches)


def test_unknown_model_error_is_a_value_error():
    assert issubclass(UnknownModelError, ValueError)
    assert list_models("no such pattern") == []
