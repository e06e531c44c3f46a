"""Counts agree with arithmetic by hand and with torch's own counter, and leave the model alone."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgeseg.models.counts import count, count_by_rules, training_memory
from edgeseg.models.layers import GlobalMaxPool
from edgeseg.models.papers import MMCV_SYNCBN_RULES
from edgeseg.models.registry import create_model
from small_networks import STRUCTURES, small_switches


def test_one_convolution_by_hand():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    counts = count(conv, (10, 20))
    pixels = 10 * 20
    assert counts.params == 3 * 9 * 8 + 8
    assert counts.macs == pixels * 8 * 27
    assert counts.activations == pixels * 8
    assert counts.bytes_moved == 4 * (pixels * 3 + (3 * 9 * 8 + 8) + pixels * 8)


def test_grouped_convolutions_and_matrix_products_by_hand():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise = nn.Conv2d(3, 3, 3, groups=3, padding=1, bias=False)
            self.linear = nn.Linear(3, 5)

        def forward(self, x):
            return self.linear(self.depthwise(x).mean((2, 3)))

    assert count(Net(), (32, 32)).macs == 32 * 32 * 3 * 9 + 3 * 5


@pytest.mark.parametrize("name", STRUCTURES)
def test_macs_are_half_of_torchs_own_flops(name):
    model = create_model(name, 11, **small_switches(name)).eval()
    with FlopCounterMode(display=False) as flops, torch.inference_mode():
        model(torch.zeros(1, 3, 97, 131))
    assert count(model, (97, 131)).macs * 2 == flops.get_total_flops()


def test_modules_add_up_to_the_totals_and_include_what_is_no_module():
    counts = count(create_model("cross_cbam_m", 11, width=16), (64, 96))
    for field in ("macs", "activations", "bytes_moved"):
        assert sum(getattr(row, field) for row in counts.modules) == getattr(counts, field)
    rows = {row.name: row for row in counts.modules}
    assert rows["decoder.fuse8"].activations == 5 * 64 * 8 * 12  # four products and a sum of two maps
    assert rows["context.squeeze"].macs == 256 * 256


def test_views_move_nothing():
    class View(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1)[:, 1:].unsqueeze(0)

    assert count(View(), (32, 32)).bytes_moved == 0


def test_aux_heads_count_as_parameters_of_training_only():
    counts = count(create_model("cross_cbam_m", 19, aux_boundary=True), (64, 64))
    assert counts.params == 11_616_895
    assert counts.params_with_aux == 11_616_895 + 591_187 + (256 * 64 * 9 + 2 * 64 + 64 + 1)
    assert "11,616,895" in str(counts)


def test_counting_leaves_the_model_as_it_was():
    model = create_model("cross_cbam_m", 5, width=16)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    count(model, (64, 64))
    count_by_rules(model, (64, 64), MMCV_SYNCBN_RULES)
    assert model.training
    assert all(torch.equal(v, before[k]) and v.device.type == "cpu" for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_too_small_a_size_is_refused():
    with pytest.raises(ValueError, match="at least 32x32"):
        count(create_model("cross_cbam_m", 5, width=16), (16, 16))


def test_mmcv_rules_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), GlobalMaxPool(), nn.Sigmoid()
    )
    pixels = 8 * 8
    expected = pixels * 4 * (3 + 1) + 0 + pixels * 4 + pixels * 4 + (pixels // 4) * 4 + 0
    assert count_by_rules(net, (8, 8), MMCV_SYNCBN_RULES) == expected


def test_the_estimate_of_memory_by_hand_and_with_checkpointing():
    conv = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.ReLU(inplace=True))
    memory = training_memory(conv, (16, 32), batch=2)
    # kept: the input of the convolution, and its output, which the activation overwrote
    assert memory.kept == 2 * 16 * 32 * (3 + 8) * 4
    assert memory.state == 3 * 24 * 4
    shallower = {"modules": (1, 2, 2)}
    with torch.device("meta"):
        plain = training_memory(create_model("hrnet", 20, **shallower), (256, 512))
        saving = training_memory(create_model("hrnet", 20, **shallower, checkpointing=True), (256, 512))
    assert plain.recomputed == 0
    assert saving.kept + saving.recomputed < 0.5 * plain.kept
    one, four = (
        training_memory(create_model("hrnet", 5, **small_switches("hrnet")), (64, 64), batch=n).kept for n in (1, 4)
    )
    assert four == pytest.approx(4 * one, rel=0.01)  # but for the channels' means and variances
    assert "estimate" in str(plain)
