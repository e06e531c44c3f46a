"""What the blocks of the Improved HRNet paper compute, written out a second time."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgeseg.models.improved_hrnet import BFEM, CCSF, FUSM, MSCA, MSCAN, ImprovedHRNet, SlowBatchNorm
from small_networks import SHALLOW

SMALL = {"width": 8, **SHALLOW}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def maps(*channels: int, size: int = 32) -> list[torch.Tensor]:
    return [torch.randn(2, c, size >> i, size * 3 // 2 >> i) for i, c in enumerate(channels)]


# blocks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strips", ["serial", "parallel"])
def test_msca_is_equation_2_with_serial_or_parallel_strips(strips):
    block = MSCA(8, strips)
    x = torch.randn(2, 8, 24, 26)
    local = block.local(x)
    seen = local if strips == "serial" else x
    expected = block.mix(local + sum(strip(seen) for strip in block.strips)) * x
    torch.testing.assert_close(block(x), expected)
    assert [[conv.kernel_size for conv in strip] for strip in block.strips] == [
        [(1, k), (k, 1)] for k in (7, 11, 21)
    ]  # fmt: skip


def test_a_fresh_mscan_block_is_close_to_the_identity():
    x = torch.randn(2, 16, 12, 12)
    assert (MSCAN(16).eval()(x) - x).std() < 0.1
    assert MSCAN(16).norm1.momentum == 3e-4


def test_bfem_feeds_the_coarse_map_from_both():
    block = BFEM((8, 16), blocks=1, bridge=1).eval()
    x3, x4 = maps(8, 16, size=16)
    a, b = block.rows3(x3), block.rows4(x4)
    torch.testing.assert_close(block(x3, x4)[0], block.fuse3(torch.cat([x3, a], 1)))
    torch.testing.assert_close(block(x3, x4)[1], block.fuse4(torch.cat([x4, b, block.bridge(a)], 1)))
    assert [type(m) for m in (block.rows3[1][-1], block.rows4[1][-1], block.bridge[1][-1])] == [SlowBatchNorm] * 3


def test_fusm_is_equation_3_with_the_resize_that_it_leaves_out():
    block = FUSM((8, 16, 32, 64)).eval()
    x1, x2, x3, x4 = maps(8, 16, 32, 64)

    def up(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, like.shape[-2:], mode="bicubic", align_corners=True)

    y = block.fuse3(torch.cat([x3, up(x4, x3)], 1))
    y = block.fuse2(torch.cat([x2, up(y, x2)], 1))
    torch.testing.assert_close(block([x1, x2, x3, x4]), torch.cat([x1, up(y, x1)], 1))
    assert block([x1, x2, x3, x4]).shape[1] == 8 + 16 + 32 + 64


def test_ccsf_normalises_as_the_authors_do():
    block = CCSF(12, 6)
    assert (block.bn.eps, block.bn.momentum, block.conv.bias) == (1e-3, 0.03, None)


# networks -------------------------------------------------------------------------------------------------------------


def test_the_backbone_is_a_direct_child_with_timms_1830_entries_first():
    with torch.device("meta"):
        for switches in ({}, {"bfem": True, "fusm": True, "ccsf": True, "attention": "aam"}):
            model = ImprovedHRNet(20, **switches)
            assert len(model.backbone.state_dict()) == 1830
            assert all(k.startswith("backbone.") for k in list(model.state_dict())[:1830])


def test_resizes_follow_the_decoder():
    x = torch.randn(1, 3, 64, 96)
    for fusm, mode in ((False, "bilinear"), (True, "bicubic")):
        model = ImprovedHRNet(5, fusm=fusm, **SMALL).eval()
        small = model.head(model.decoder(model.backbone(x)))
        torch.testing.assert_close(model(x), F.interpolate(small, (64, 96), mode=mode, align_corners=True))


def test_dead_attention_changes_what_is_computed_and_nothing_else():
    dead = ImprovedHRNet(5, fusm=True, attention="aam", dead_attention=True, **SMALL)
    alive = ImprovedHRNet(5, fusm=True, attention="aam", **SMALL)
    alive.load_state_dict(dead.state_dict())
    x = torch.randn(2, 3, 64, 64)
    assert not torch.allclose(dead.eval()(x), alive.eval()(x))
    dead(x).sum().backward()
    unused = {n.split(".")[1] for n, p in dead.named_parameters() if p.grad is None}
    assert unused == {"0", "1", "2"}  # of dead.attention
    assert not any(p.requires_grad for p in dead.attention[:3].parameters())


def test_bfem_sees_the_maps_before_attention_does():
    model = ImprovedHRNet(5, bfem=True, attention="eca", **SMALL).eval()
    seen = []
    model.bfem.register_forward_hook(lambda *_: seen.append("bfem"))
    for attend in (*model.attention, model.attention_concat):
        attend.register_forward_hook(lambda *_: seen.append("attention"))
    model(torch.randn(1, 3, 64, 64))
    assert seen == ["bfem", *["attention"] * 5]


def test_all_paths_start_with_gates_that_are_open():
    model, gates = ImprovedHRNet(11, attention="aam", fusm=True, **SMALL), []
    for module in model.modules():
        if isinstance(module, nn.Sigmoid):
            module.register_forward_hook(lambda _, __, out: gates.append(out))
    out = model(torch.randn(2, 3, 96, 128))
    assert len(gates) == 10
    assert all(0.1 < gate.mean() < 0.9 for gate in gates)
    assert out["out"].std() < 2
