"""What the attention modules compute, written out a second time."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgeseg.models.attention import AAM, ATTENTIONS, CBAM, ECA, SE, ChannelAttention, SpatialAttention, SPHead


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_relu_before_sigmoid_keeps_gates_at_one_half_or_more():
    x = torch.randn(4, 32, 6, 6)
    for gate in (ChannelAttention(32, relu_before_sigmoid=True)(x), SpatialAttention(relu_before_sigmoid=True)(x)):
        assert 0.5 <= gate.min() <= gate.max() <= 1
    assert ChannelAttention(32)(x).min() < 0.5


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("channels", [18, 48, 270])
def test_every_attention_has_one_signature_and_tells_its_width(name, channels):
    attend = ATTENTIONS[name](channels)
    out = attend(torch.randn(2, channels, 12, 17))
    assert out.shape == (2, attend.out_channels, 12, 17)
    assert attend.out_channels == (channels // 2 if name == "sp" else channels)


@pytest.mark.parametrize("name", ["se", "eca", "cbam", "aam"])
def test_gates_lie_between_0_and_1(name):
    x = torch.rand(2, 16, 6, 9) + 0.1
    ratio = ATTENTIONS[name](16)(x) / x
    assert 0 < ratio.min() <= ratio.max() < 1


def test_aam_is_equations_4_and_5():
    attend = AAM(16).eval()
    x = torch.randn(2, 16, 5, 7)
    profile = torch.cat([x.mean(3), x.mean(2)], 2)  # (N, C, h + w)
    hidden = attend.squeeze(profile.unsqueeze(3)).squeeze(3)
    rows = torch.sigmoid(F.conv1d(hidden[:, :, :5], attend.excite_rows.weight.squeeze(3)))
    columns = torch.sigmoid(F.conv1d(hidden[:, :, 5:], attend.excite_columns.weight.squeeze(3)))
    torch.testing.assert_close(attend(x), torch.einsum("nchw,nch,ncw->nchw", x, rows, columns))


def test_aam_sees_along_its_axes_only():
    attend = AAM(16).eval()
    nn.init.constant_(attend.squeeze.bn.bias, 3)  # so that no hidden unit is off
    x = torch.randn(1, 16, 8, 8)
    changed = x.clone()
    changed[:, :, 2, 3] += 5
    moved = (attend(x) - attend(changed)).abs().sum((0, 1)) > 1e-6
    assert moved[2].all()
    assert moved[:, 3].all()
    moved[2], moved[:, 3] = False, False
    assert not moved.any()


def test_eca_gates_a_channel_by_its_neighbours():
    attend = ECA(48)
    x = torch.randn(2, 48, 5, 6)
    means = F.pad(x.mean((2, 3)), (1, 1))
    logits = sum(attend.conv.weight[0, 0, i] * means[:, i : i + 48] for i in range(3))
    torch.testing.assert_close(attend(x), x * torch.sigmoid(logits)[:, :, None, None])
    assert [ECA(c).conv.kernel_size for c in (18, 48, 96, 192, 384, 720)] == [(3,), (3,), (3,), (5,), (5,), (5,)]


def test_se_gates_from_all_means():
    attend = SE(32)
    x = torch.randn(2, 32, 5, 6)
    gate = torch.sigmoid(attend.excite(torch.relu(attend.squeeze(x.mean((2, 3), keepdim=True)))))
    torch.testing.assert_close(attend(x), x * gate)


def test_cbam_gates_channels_then_pixels_without_biases():
    attend = CBAM(32)
    assert [n for n, _ in attend.named_parameters() if n.endswith("bias")] == []
    x = torch.randn(2, 32, 9, 8)
    y = x * attend.channel(x)
    described = torch.stack([y.amax(1), y.mean(1)], 1)
    torch.testing.assert_close(attend(x), y * torch.sigmoid(F.conv2d(described, attend.spatial.conv.weight, padding=3)))


def test_hidden_layers_of_narrow_networks_have_four_channels():
    layers = SE(18).squeeze, AAM(18).squeeze.conv, CBAM(18).channel.squeeze
    assert [layer.out_channels for layer in layers] == [4, 4, 4]


def test_strip_pooling_sees_the_whole_row_and_column():
    attend = SPHead(32).eval()
    x = torch.randn(1, 32, 40, 48, requires_grad=True)
    attend(x)[0, :, 4, 5].sum().backward()
    assert (x.grad[0, :, 4].abs().sum(0) > 0).all()
    assert (x.grad[0, :, :, 5].abs().sum(0) > 0).all()
