"""STDC1 and STDC2, the backbones of Cross-CBAM.

Source: Fan et al., Rethinking BiSeNet for Real-time Semantic Segmentation, CVPR 2021
(https://arxiv.org/abs/2104.13188); Cross-CBAM paper, section 3.1, Eq. 1 and Table 1. The table gives a stage's stride-2
module a line of its own; here it is one of the stage's modules: STDC1 has (2, 2, 2) in stages 3, 4 and 5, STDC2 has (4,
5, 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.layers import ConvBNReLU, init_weights


class STDCModule(nn.Module):
    """Short-term dense concatenate module (Cross-CBAM paper, Eq. 1 and section 3.1).

    Four convolutions in a chain, each with half the width of the one before (the last two alike); all four results are
    concatenated. Small kernels deep in the chain see far, the wide first one keeps detail, at the cost of one 3×3
    convolution. With stride 2 the first convolution keeps its resolution, a depthwise convolution without activation
    halves it for the rest of the chain, and average pooling halves it for the concatenation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of 8.
        stride: 1 or 2.

    Shape:
        (N, in_channels, H, W) → (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        half, quarter, eighth = out_channels // 2, out_channels // 4, out_channels // 8
        self.branch1 = ConvBNReLU(in_channels, half, kernel=1)
        self.down = ConvBNReLU(half, half, stride=2, groups=half, relu=False) if stride == 2 else nn.Identity()
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()
        self.branch2 = ConvBNReLU(half, quarter)
        self.branch3 = ConvBNReLU(quarter, eighth)
        self.branch4 = ConvBNReLU(eighth, eighth)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.branch1(x)  # (N, C/2, H, W)
        x2 = self.branch2(self.down(x1))  # (N, C/4, H/s, W/s)
        x3 = self.branch3(x2)  # (N, C/8, H/s, W/s)
        x4 = self.branch4(x3)  # (N, C/8, H/s, W/s)
        return torch.cat([self.pool(x1), x2, x3, x4], dim=1)  # (N, C, H/s, W/s)


class STDC(nn.Module):
    """The STDC backbone: two convolutions and three stages of STDC modules.

    Args:
        modules: STDC modules in stages 3, 4 and 5.
        width: channels after stage 2; the stages have 4, 8 and 16 times as many. The papers use 64.

    Attributes:
        channels: channels of the three maps that `forward` returns.

    Shape:
        (N, 3, H, W) → three maps (N, 4·width, H/8, W/8), (N, 8·width, H/16, W/16), (N, 16·width, H/32, W/32), each size
        rounded up.
    """

    def __init__(self, modules: Sequence[int] = (2, 2, 2), width: int = 64) -> None:
        super().__init__()
        if width % 2 or width < 2:
            raise ValueError(f"STDC's width must be even and positive, not {width}; the papers use 64")
        self.channels = (4 * width, 8 * width, 16 * width)
        self.stage1 = ConvBNReLU(3, width // 2, stride=2)
        self.stage2 = ConvBNReLU(width // 2, width, stride=2)
        self.stage3 = _stage(width, self.channels[0], modules[0])
        self.stage4 = _stage(self.channels[0], self.channels[1], modules[1])
        self.stage5 = _stage(self.channels[1], self.channels[2], modules[2])
        init_weights(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stage2(self.stage1(x))  # (N, width, H/4, W/4)
        f8 = self.stage3(x)  # (N, 4·width, H/8, W/8)
        f16 = self.stage4(f8)  # (N, 8·width, H/16, W/16)
        f32 = self.stage5(f16)  # (N, 16·width, H/32, W/32)
        return [f8, f16, f32]


def _stage(in_channels: int, out_channels: int, modules: int) -> nn.Sequential:
    first = STDCModule(in_channels, out_channels, stride=2)
    return nn.Sequential(first, *(STDCModule(out_channels, out_channels) for _ in range(modules - 1)))


def stdc1(width: int = 64) -> STDC:
    """STDC1 ("STDCNet813"): 5,318,304 parameters at width 64."""
    return STDC((2, 2, 2), width)


def stdc2(width: int = 64) -> STDC:
    """STDC2 ("STDCNet1446"): 9,348,768 parameters at width 64."""
    return STDC((4, 5, 3), width)
