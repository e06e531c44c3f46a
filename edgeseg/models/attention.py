"""Attention: the two gates that Cross-CBAM is made of, and the modules that the Improved HRNet paper compares.

The gates are factors in 0…1, for the caller to multiply with. The modules (section IV-C-1, Fig. 5 and 6 of that paper)
have one signature: ``ATTENTIONS[name](channels)`` gives (N, channels, h, w) → (N, out_channels, h, w). All but strip
pooling keep the width. The paper puts them at five places: on each of the backbone's four maps, and on their
concatenation. Hidden layers have an eighth of the channels and at least four, so that narrow networks work too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from edgeseg.models.layers import ConvBNReLU, GlobalAvgPool, GlobalMaxPool, resize

REDUCTION = 8
LEAST = 4  # hidden channels


# Gates of Cross-CBAM --------------------------------------------------------------------------------------------------


class ChannelAttention(nn.Module):
    """Which channels matter: one gate per channel (Cross-CBAM, section 3.2, Eq. 3, Fig. 4).

    Left open by the paper and chosen here: Eq. 3 ends without a sigmoid; CBAM, which it builds on, has one, and so does
    this. One MLP with biases serves both pools; it is called once, on the pools laid side by side, because calling a
    module twice breaks quantisation tools.

    Args:
        channels: channels w of the input.
        reduction: the hidden layer has ``w / reduction`` channels, and at least 4; 16 in the paper.
        relu_before_sigmoid: a published variant clips the logits at 0, so that gates lie in 0.5…1. Not in the paper.
        bias: of both convolutions.

    Shape:
        (N, w, h, w') → gate (N, w, 1, 1).
    """

    def __init__(
        self, channels: int, reduction: int = 16, relu_before_sigmoid: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        hidden = max(LEAST, channels // reduction)
        self.max_pool = GlobalMaxPool()
        self.avg_pool = GlobalAvgPool()
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(hidden, channels, 1, bias=bias)
        self.clip = nn.ReLU() if relu_before_sigmoid else nn.Identity()
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([self.max_pool(x), self.avg_pool(x)], dim=3)  # (N, w, 1, 2)
        logits = self.excite(self.relu(self.squeeze(pooled)))  # (N, w/r, 1, 2) → (N, w, 1, 2)
        return self.sigmoid(self.clip(logits.sum(dim=3, keepdim=True)))  # (N, w, 1, 1)


class SpatialAttention(nn.Module):
    """Where it matters: one gate per pixel (Cross-CBAM, section 3.2, Eq. 4, Fig. 5).

    The convolution over the channels' maximum and mean is 1×1, where CBAM has 7×7; it has a bias (forced).

    Args:
        relu_before_sigmoid: as in `ChannelAttention`.
        kernel: side of the convolution, odd.
        bias: of the convolution.

    Shape:
        (N, C, h, w) → gate (N, 1, h, w).
    """

    def __init__(self, relu_before_sigmoid: bool = False, kernel: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=bias)
        self.clip = nn.ReLU() if relu_before_sigmoid else nn.Identity()
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        described = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)  # (N, 2, h, w)
        return self.sigmoid(self.clip(self.conv(described)))  # (N, 1, h, w)


# Modules that Improved HRNet compares ---------------------------------------------------------------------------------


class Attention(nn.Module):
    """Base of all: knows its widths. The base itself changes nothing.

    Args:
        channels: channels of the input.

    Attributes:
        out_channels: channels of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x


class SE(Attention):
    """Squeeze-and-excitation: one gate per channel from all channels' means (Hu et al., 2018). No biases here."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        hidden = max(LEAST, channels // REDUCTION)
        self.pool = GlobalAvgPool()
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(hidden, channels, 1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.squeeze(self.pool(x)))  # (N, C/8, 1, 1)
        return x * self.sigmoid(self.excite(hidden))  # gate (N, C, 1, 1)


class ECA(Attention):
    """Efficient channel attention: one gate per channel from its neighbours' means (Wang et al., ECA-Net, 2020).

    A single one-dimensional convolution over the channels, of 3 or 5 weights in these networks: its width grows with
    log2 of the channels. "Neighbours" are channels of near numbers, an order that training makes meaningful.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        kernel = int(abs((math.log2(channels) + 1) / 2))
        kernel += kernel % 2 == 0
        self.pool = GlobalAvgPool()
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        sequence = self.pool(x).flatten(2).transpose(1, 2)  # (N, 1, C)
        gate = self.sigmoid(self.conv(sequence)).transpose(1, 2)  # (N, C, 1)
        return x * gate.unsqueeze(3)


class CBAM(Attention):
    """Channel gates, then one gate per pixel (Woo et al., 2018): the two halves of CCBAM without crossing."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.channel = ChannelAttention(channels, REDUCTION, bias=False)
        self.spatial = SpatialAttention(kernel=7, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.channel(x)  # gate (N, C, 1, 1)
        return x * self.spatial(x)  # gate (N, 1, h, w)


class AAM(Attention):
    """Axial attention: a gate per channel and row times a gate per channel and column (section III-D, Eq. 4 and 5).

    The map is averaged along each axis; both profiles pass one shared 1×1 convolution side by side, then each its own.
    It is coordinate attention (Hou et al., 2021) with ReLU for h-swish and without biases. Eq. 4's sums have one term
    too many; here they are means.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        hidden = max(LEAST, channels // REDUCTION)
        self.squeeze = ConvBNReLU(channels, hidden, kernel=1)
        self.excite_rows = nn.Conv2d(hidden, channels, 1, bias=False)
        self.excite_columns = nn.Conv2d(hidden, channels, 1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        rows = x.mean(3, keepdim=True)  # (N, C, h, 1)
        columns = x.mean(2, keepdim=True).transpose(2, 3)  # (N, C, w, 1)
        hidden = self.squeeze(torch.cat([rows, columns], dim=2))  # (N, C/8, h + w, 1)
        row_gate = self.sigmoid(self.excite_rows(hidden[:, :, :height]))  # (N, C, h, 1)
        column_gate = self.sigmoid(self.excite_columns(hidden[:, :, height:])).transpose(2, 3)  # (N, C, 1, w)
        return x * row_gate * column_gate


class StripPooling(nn.Module):
    """Context from squares and from whole rows and columns: (N, C, h, w) → (N, C, h, w) (Hou et al., SPNet, 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        mid = max(LEAST, channels // 4)
        self.enter_square = ConvBNReLU(channels, mid, kernel=1)
        self.enter_strip = ConvBNReLU(channels, mid, kernel=1)
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(side) for side in (20, 12))
        self.pooled = nn.ModuleList(ConvBNReLU(mid, mid, relu=False) for _ in self.pools)
        self.local = ConvBNReLU(mid, mid, relu=False)
        self.pool_rows, self.pool_columns = nn.AdaptiveAvgPool2d((1, None)), nn.AdaptiveAvgPool2d((None, 1))
        self.along_row = _conv_bn(mid, (1, 3))
        self.along_column = _conv_bn(mid, (3, 1))
        self.relu = nn.ReLU(inplace=True)
        self.leave_square = ConvBNReLU(mid, mid)
        self.leave_strip = ConvBNReLU(mid, mid)
        self.merge = ConvBNReLU(2 * mid, channels, kernel=1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        a = self.enter_square(x)  # (N, C/4, h, w)
        square = self.local(a)
        for pool, conv in zip(self.pools, self.pooled, strict=True):
            square = square + resize(conv(pool(a)), size, align_corners=True)
        b = self.enter_strip(x)  # (N, C/4, h, w)
        # (N, C/4, 1, w) + (N, C/4, h, 1): broadcasting expands both
        strip = self.along_row(self.pool_rows(b)) + self.along_column(self.pool_columns(b))
        both = torch.cat([self.leave_square(self.relu(square)), self.leave_strip(self.relu(strip))], dim=1)
        return self.relu(x + self.merge(both))


class SPHead(Attention):
    """Strip pooling as its authors' head, which halves the width: (N, C, h, w) → (N, C // 2, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.out_channels = max(LEAST, channels // 2)
        mid, narrow = max(LEAST, channels // 2), max(LEAST, channels // 4)
        self.reduce = ConvBNReLU(channels, mid, kernel=1)
        self.strips = nn.Sequential(StripPooling(mid), StripPooling(mid))
        self.conv = ConvBNReLU(mid, narrow)
        self.dropout = nn.Dropout2d(0.1)
        self.project = nn.Conv2d(narrow, self.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.dropout(self.conv(self.strips(self.reduce(x)))))


ATTENTIONS: Mapping[str, Callable[[int], Attention]] = {
    "none": Attention,
    "se": SE,
    "eca": ECA,
    "cbam": CBAM,
    "aam": AAM,
    "sp": SPHead,
}


def _conv_bn(channels: int, kernel: tuple[int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(nn.Conv2d(channels, channels, kernel, padding=padding, bias=False), nn.BatchNorm2d(channels))
