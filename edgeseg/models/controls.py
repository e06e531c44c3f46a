"""What CCBAM and SE-ASPP are measured against: a module shows something only beside another in its place.

None of these is in the Cross-CBAM paper but the addition, which its Table 4 implies; `ASPP` is DeepLabV3's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.attention import ChannelAttention, SpatialAttention
from edgeseg.models.layers import ConvBNReLU, GlobalAvgPool

# in CCBAM's place: low (N, C, h, w) and high (N, C, h, w) → (N, C, h, w) ----------------------------------------------


class AddFusion(nn.Module):
    """The two maps' sum. No parameters."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        return low + high


class ConcatFusion(nn.Module):
    """The two maps side by side, and a 1×1 Conv-BN-ReLU back to C channels: 2C² + 2C parameters, more than CCBAM's.

    Args:
        channels: channels C of each map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = ConvBNReLU(2 * channels, channels, kernel=1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        return self.project(torch.cat([low, high], dim=1))


class OneSidedFusion(nn.Module):
    """One half of CCBAM: a map passes under the other's channel and spatial gates, and the other is added as it is.

    The paper's text says that "high-level semantic information" guides "low-level detail"; Eq. 2 guides both ways.

    Args:
        channels: channels C of each map.
        guide: ``"high"`` gates low, or ``"low"`` gates high.
        reduction: see `ChannelAttention`.
    """

    def __init__(self, channels: int, guide: str, reduction: int = 16) -> None:
        super().__init__()
        self.high_guides = guide == "high"
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention()

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        guide, guided = (high, low) if self.high_guides else (low, high)
        return guide + guided * self.channel(guide) * self.spatial(guide)  # gates (N, C, 1, 1) and (N, 1, h, w)


class UncrossedFusion(nn.Module):
    """CCBAM without the crossing: each map passes under its own channel gates, then its own spatial gate; their sum.

    It has exactly CCBAM's parameters and multiply-adds, so it tells what the crossing is worth.

    Args:
        channels: channels C of each map.
        reduction: see `ChannelAttention`.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel_low = ChannelAttention(channels, reduction)
        self.channel_high = ChannelAttention(channels, reduction)
        self.spatial_low = SpatialAttention()
        self.spatial_high = SpatialAttention()

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        low = low * self.channel_low(low)  # gate (N, C, 1, 1)
        high = high * self.channel_high(high)
        return low * self.spatial_low(low) + high * self.spatial_high(high)  # gates (N, 1, h, w)


# in SE-ASPP's place: (N, C, h, w) → (N, c, h, w) ----------------------------------------------------------------------


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al., DeepLabV3, 2017, section 3.3), which SE-ASPP is made from.

    Parallel convolutions, dilation 1 a 1×1 one, and the map's mean through a 1×1 convolution, laid over the whole map;
    all are concatenated, not added, and projected by a 1×1 convolution. DeepLabV3's rates are (1, 12, 24, 36), meant
    for a map at 1/8: on a map of fewer than 12 cells a side the outer taps of a 3×3 kernel meet padding only.

    Args:
        in_channels: channels C of the input.
        out_channels: channels c of branches and output.
        dilations: one branch each.
    """

    def __init__(self, in_channels: int, out_channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            ConvBNReLU(in_channels, out_channels, kernel=1 if d == 1 else 3, dilation=d) for d in dilations
        )
        self.pool = GlobalAvgPool()
        # no batch normalisation here: a map's mean is one value a channel, and a batch may be a single image
        self.pooled = nn.Conv2d(in_channels, out_channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.project = ConvBNReLU((len(dilations) + 1) * out_channels, out_channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.relu(self.pooled(self.pool(x)))  # (N, c, 1, 1)
        maps = [*(branch(x) for branch in self.branches), mean.expand(-1, -1, *x.shape[-2:])]
        return self.project(torch.cat(maps, dim=1))  # (N, (branches + 1)·c, h, w) → (N, c, h, w)


class PlainContext(nn.Sequential):
    """Two 3×3 Conv-BN-ReLU with as many parameters as a given module: neither dilations, nor gates, nor global means.

    Args:
        in_channels: channels C of the input.
        out_channels: channels c of the output.
        parameters: how many to have; met to within half a hidden channel, 0.1 % at the paper's widths.
    """

    def __init__(self, in_channels: int, out_channels: int, parameters: int) -> None:
        a_channel = 9 * (in_channels + out_channels) + 2  # a hidden channel's weights, and its batch normalisation
        hidden = max(1, round((parameters - 2 * out_channels) / a_channel))
        super().__init__(ConvBNReLU(in_channels, hidden), ConvBNReLU(hidden, out_channels))
