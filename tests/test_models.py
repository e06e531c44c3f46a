"""What every network must do, under every switch."""

import copy
import functools
import re

import pytest
import torch
from torch import nn

from edgeseg.models.attention import ChannelAttention, SpatialAttention
from edgeseg.models.registry import create_model
from small_networks import STRUCTURES, images, small_switches

CLASSES = 5
SWITCHED = {
    "width-512": ("cross_cbam_m", {"aspp_channels": 512}),
    "width-128": ("cross_cbam_m", {"aspp_channels": 128}),
    "width-32": ("cross_cbam_m", {"aspp_channels": 32}),
    "three-branches": ("cross_cbam_m", {"dilations": (1, 3, 5)}),
    "no-ccbam": ("cross_cbam_m", {"fusion": "add"}),
    "no-se-aspp": ("cross_cbam_m", {"context": "conv"}),
    "se-aspp-alone": ("cross_cbam_m", {"fusion": "none"}),
    "relu-before-sigmoid": ("cross_cbam_m", {"relu_before_sigmoid": True}),
    "no-aux": ("cross_cbam_m", {"aux": False}),
    **{f"{name}-boundary": (name, {"aux_boundary": True}) for name in ("cross_cbam_m", "stdc1_seg", "pp_liteseg_t")},
    "bfem": ("hrnet", {"bfem": True}),
    "parallel-strips": ("hrnet_s", {"strips": "parallel"}),
    "ccsf-alone": ("hrnet", {"ccsf": True}),
    **{
        f"{a}-{at}": ("hrnet", {"attention": a, "attention_at": at})
        for a in ("se", "eca", "cbam", "aam", "sp")
        for at in ("all", "concat")
    },
}
VARIANTS = {name: (name, {}) for name in STRUCTURES} | SWITCHED
every_variant = pytest.mark.parametrize("variant", VARIANTS)
every_structure = pytest.mark.parametrize("variant", STRUCTURES)


def build(variant: str) -> nn.Module:
    name, switches = VARIANTS[variant]
    torch.manual_seed(0)
    return create_model(name, CLASSES, **small_switches(name), **switches)


@functools.cache
def inferring(variant: str) -> nn.Module:
    """In eval mode, and built once: for tests that leave it as it is."""
    with torch.inference_mode(False):  # or its parameters would be of the first caller's mode
        return build(variant).eval()


def is_hrnet(variant: str) -> bool:
    return VARIANTS[variant][0].startswith("hrnet")


def aux_strides(variant: str) -> tuple[int, ...]:
    if variant == "no-aux" or is_hrnet(variant):
        return ()
    families = {"fcn": (16,), "_seg": (8, 16), "pp_liteseg": (16, 32)}
    return next((strides for part, strides in families.items() if part in variant), (32,))


@every_variant
def test_eval_gives_logits_at_input_size(variant):
    for size in ((32, 32), (33, 47), (97, 131)):
        with torch.inference_mode():
            logits = inferring(variant)(images(1, *size))
        assert logits.shape == (1, CLASSES, *size)
        assert logits.isfinite().all()


@every_variant
def test_train_gives_a_dict_of_maps_at_their_own_resolution(variant):
    out = build(variant)(images(2, 66, 95))
    stride = 4 if is_hrnet(variant) else 32 if "fcn" in variant or variant == "se-aspp-alone" else 8
    assert out["out"].shape == (2, CLASSES, -(-66 // stride), -(-95 // stride))
    assert [a.shape for a in out["aux"]] == [(2, CLASSES, -(-66 // s), -(-95 // s)) for s in aux_strides(variant)]
    assert set(out) == {"out", "aux"} | ({"boundary"} if "boundary" in variant else set())
    if "boundary" in variant:
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
    maps = [out["out"], *out["aux"], *([out["boundary"]] if "boundary" in out else [])]
    sum(t.square().sum() for t in maps).backward()
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


@every_structure
def test_one_image_of_32x32_cannot_train_and_the_message_says_what_can(variant):
    model = build(variant)
    with pytest.raises(ValueError, match="batch of two or more, a larger crop"):
        model(images(1, 32, 32))
    for module in model.modules():  # frozen batch norm can
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert model(images(1, 32, 32))["out"].isfinite().all()


@every_structure
def test_eval_is_deterministic(variant):
    with torch.inference_mode():
        assert torch.equal(inferring(variant)(images(1, 48, 64)), inferring(variant)(images(1, 48, 64)))


@every_structure
def test_too_small_an_image_is_refused(variant):
    for size in ((31, 64), (64, 31), (1, 1)):
        with pytest.raises(ValueError, match=r"resize or pad it to at least 32x32"):
            inferring(variant)(images(1, *size))


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (64, 64, 3)])
def test_what_is_no_batch_of_rgb_is_refused(shape):
    with pytest.raises(ValueError, match="edgeseg.predict"):
        inferring("cross_cbam_m")(torch.zeros(shape))


@every_structure
def test_state_dict_carries_the_whole_model(variant):
    first, second = build(variant), create_model(variant, CLASSES, **small_switches(variant))
    first(images(2, 64, 64))  # moves the running statistics
    second.load_state_dict(first.state_dict())
    with torch.inference_mode():
        assert torch.equal(first.eval()(images(1, 48, 64)), second.eval()(images(1, 48, 64)))


@every_structure
def test_channels_last_changes_nothing(variant):
    plain, x = inferring(variant), images(2, 50, 70)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        given = last(x.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(plain(x), given, rtol=1e-4, atol=1e-4)


# Export ---------------------------------------------------------------------------------------------------------------

# Ops that break or split an engine, or that quantisation and autocast choke on.
FORBIDDEN = re.compile(r"adaptive_max_pool|max\.dim|\bsplit|chunk|_aa\b|grid_sampler|nonzero|_unique")
# Every block that inference has, each in as few networks as can be: an export takes seconds.
EXPORTED = [
    "cross_cbam_m", "cross_cbam_s", "se-aspp-alone", "stdc1_fcn", "stdc1_seg", "pp_liteseg_t", "hrnet", "hrnet_s",
    "hrnet_m",
]  # fmt: skip


@pytest.mark.parametrize("variant", EXPORTED)
def test_export_with_dynamic_batch_and_size_equals_eager_and_avoids_forbidden_ops(variant):
    model = inferring(variant)
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
