"""Cross-CBAM: SE-ASPP, CCBAM and the networks M and L.

Source: Zhang et al., Cross-CBAM: A Lightweight network for Scene Segmentation (https://arxiv.org/abs/2306.02306),
section 3. The text leaves much open; where it does, the docstring says what was chosen. "Forced" means that the
parameters and FLOPs printed in the paper's Tables 5 and 6 come out with this choice only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.attention import ChannelAttention, SpatialAttention
from edgeseg.models.layers import ConvBNReLU, FCNHead, GlobalAvgPool, check_input, init_weights, resize
from edgeseg.models.stdc import build_backbone


class SEASPP(nn.Module):
    """Squeeze-and-excitation atrous spatial pyramid pooling (section 3.3, Fig. 6).

    Parallel convolutions with different dilations are added up; beside them a squeeze-and-excitation gate re-weights
    the input's channels, in the place of ASPP's image pooling and its costly resize; both are concatenated and
    projected.

    Left open by the paper and chosen here: dilation 1 is a 1×1 convolution (stated for (1, 3), forced for (1, 3, 5));
    branches are added also when there are three (forced); the squeeze has ``out_channels`` channels, not
    ``in_channels / 16``, so it is ASPP's image-pool convolution kept and an expansion added (forced); the projection is
    3×3 (forced).

    Args:
        in_channels: channels C of the input, 1024 on STDC.
        out_channels: width c of the branches, the squeeze and the output: 128, 256 or 512 in Table 6.
        dilations: one branch each: (1, 3) in the paper's network, others in Table 5.

    Shape:
        (N, C, h, w) → (N, c, h, w).
    """

    def __init__(self, in_channels: int, out_channels: int, dilations: Sequence[int] = (1, 3)) -> None:
        super().__init__()
        if not dilations or min(dilations) < 1:
            raise ValueError(f"SEASPP needs dilations of 1 or more, not {tuple(dilations)}; the paper takes (1, 3)")
        self.branches = nn.ModuleList(
            ConvBNReLU(in_channels, out_channels, kernel=1 if d == 1 else 3, dilation=d) for d in dilations
        )
        self.pool = GlobalAvgPool()
        self.squeeze = nn.Conv2d(in_channels, out_channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(out_channels, in_channels, 1)
        self.sigmoid = nn.Sigmoid()
        self.project = ConvBNReLU(in_channels + out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = self.branches[0](x)  # (N, c, h, w)
        for branch in self.branches[1:]:
            pyramid = pyramid + branch(x)  # (N, c, h, w)
        squeezed = self.relu(self.squeeze(self.pool(x)))  # (N, c, 1, 1)
        gate = self.sigmoid(self.excite(squeezed))  # (N, C, 1, 1), in 0…1
        return self.project(torch.cat([pyramid, x * gate], dim=1))  # (N, c + C, h, w) → (N, c, h, w)


class CCBAM(nn.Module):
    """Cross convolutional block attention: two maps gate each other and are added (section 3.2, Eq. 2, Fig. 3).

    Left open by the paper and chosen here: low and high have attention modules of their own (forced).

    Args:
        channels: channels of both maps.
        reduction: see `ChannelAttention`.
        relu_before_sigmoid: see `ChannelAttention`.

    Shape:
        low (N, C, h, w), from the backbone, and high (N, C, h, w), from the decoder → (N, C, h, w).
    """

    def __init__(self, channels: int, reduction: int = 16, relu_before_sigmoid: bool = False) -> None:
        super().__init__()
        self.channel_low = ChannelAttention(channels, reduction, relu_before_sigmoid)
        self.channel_high = ChannelAttention(channels, reduction, relu_before_sigmoid)
        self.spatial_low = SpatialAttention(relu_before_sigmoid)
        self.spatial_high = SpatialAttention(relu_before_sigmoid)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        fused_high = low * self.channel_high(high)  # (N, C, h, w): F_high, low under high's channel gates
        fused_low = high * self.channel_low(low)  # (N, C, h, w): F_low, high under low's channel gates
        spatial_high = self.spatial_high(fused_high)  # (N, 1, h, w)
        spatial_low = self.spatial_low(fused_low)  # (N, 1, h, w)
        return fused_low * spatial_high + fused_high * spatial_low  # (N, C, h, w)


class AddFusion(nn.Module):
    """Plain addition in CCBAM's place, for the ablation of Table 4: low and high (N, C, h, w) → (N, C, h, w)."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        return low + high


class CrossCBAM(nn.Module):
    """The Cross-CBAM segmentation network (section 3.4, Fig. 1).

    Left open by the paper and chosen here (all forced but the dropout): a 1×1 Conv-BN-ReLU brings a backbone map to the
    decoder's width only where the widths differ, so at 256 channels the 1/8 map enters raw; at 512 channels the map is
    brought to 256 after the first fusion; a 1×1 convolution to 128 channels stands before the classifier, unless the
    map has 128 already. The auxiliary head sits on stage 5 and exists in training only.

    Table 4's networks: ``use_se_aspp=False`` puts a 1×1 convolution in SE-ASPP's place; ``use_ccbam=False`` adds the
    maps; ``decoder=False`` classifies the 1/32 map at once, as in the row that has SE-ASPP alone.

    Args:
        num_classes: classes.
        backbone: ``"stdc1"`` (M) or ``"stdc2"`` (L).
        dilations: SE-ASPP's branches, Table 5.
        aspp_channels: decoder width, Table 6: 128, 256 or 512.
        use_se_aspp: see above.
        use_ccbam: see above.
        decoder: see above; ``False`` asks for ``use_ccbam=False``, as there is nothing to fuse.
        relu_before_sigmoid: see `ChannelAttention`.
        aux: build the auxiliary head.
        aux_boundary: build a training-only head of one channel on the 1/8 map, for a boundary loss. Not in the paper.
        dropout: channel dropout before the classifiers.
        width: the backbone's base width, 64 in the paper; smaller ones make small networks.

    Shape:
        (N, 3, H, W) normalised RGB, H and W ≥ 32. In eval mode → logits (N, classes, H, W). In train mode → a dict:
        ``"out"`` (N, classes, H/8, W/8), ``"aux"`` a list of at most one (N, classes, H/32, W/32), and with
        ``aux_boundary`` also ``"boundary"`` (N, 1, H/8, W/8).

    Raises:
        ValueError: a switch that has no meaning, or an input that is too small.
    """

    def __init__(
        self,
        num_classes: int = 19,
        backbone: str = "stdc1",
        dilations: Sequence[int] = (1, 3),
        aspp_channels: int = 256,
        use_se_aspp: bool = True,
        use_ccbam: bool = True,
        decoder: bool = True,
        relu_before_sigmoid: bool = False,
        aux: bool = True,
        aux_boundary: bool = False,
        dropout: float = 0.1,
        width: int = 64,
    ) -> None:
        super().__init__()
        if use_ccbam and not decoder:
            raise ValueError("decoder=False leaves nothing to fuse; say use_ccbam=False with it")
        self.num_classes = num_classes
        self.backbone = build_backbone(backbone, width)
        c8, c16, c32 = self.backbone.channels
        c = aspp_channels
        self.context = SEASPP(c32, c, dilations) if use_se_aspp else ConvBNReLU(c32, c, kernel=1)
        self.decoder = _Decoder(c8, c16, c, use_ccbam, relu_before_sigmoid) if decoder else None
        last = self.decoder.out_channels if self.decoder is not None else c
        hidden = c8 // 2
        narrow = last == hidden or self.decoder is None
        self.reduce = nn.Identity() if narrow else ConvBNReLU(last, hidden, kernel=1)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(last if narrow else hidden, num_classes, 1)
        self.aux_head = FCNHead(c32, 64, num_classes, dropout=dropout) if aux else None
        self.aux_boundary = FCNHead(c8, 64, 1, dropout=0.0) if aux_boundary else None
        init_weights(self)

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        f8, f16, f32 = self.backbone(x)  # (N, 256, H/8, W/8), (N, 512, H/16, W/16), (N, 1024, H/32, W/32)
        y = self.context(f32)  # (N, c, H/32, W/32)
        if self.decoder is not None:
            y = self.decoder(f8, f16, y)  # (N, min(c, 256), H/8, W/8)
        logits = self.classifier(self.dropout(self.reduce(y)))  # (N, classes, H/8, W/8)
        if not self.training:
            return resize(logits, x.shape[-2:])  # (N, classes, H, W)
        out: dict[str, Any] = {"out": logits, "aux": []}
        if self.aux_head is not None:
            out["aux"].append(self.aux_head(f32))  # (N, classes, H/32, W/32)
        if self.aux_boundary is not None:
            out["boundary"] = self.aux_boundary(f8)  # (N, 1, H/8, W/8)
        return out


class _Decoder(nn.Module):
    """Two fusions: the context meets the 1/16 map, and the result the 1/8 map. See `CrossCBAM` for the widths."""

    def __init__(self, c8: int, c16: int, channels: int, use_ccbam: bool, relu_before_sigmoid: bool) -> None:
        super().__init__()
        self.out_channels = min(channels, c8)
        self.lateral16 = _match(c16, channels)
        self.fuse16 = _fusion(channels, use_ccbam, relu_before_sigmoid)
        self.narrow = _match(channels, self.out_channels)
        self.lateral8 = _match(c8, self.out_channels)
        self.fuse8 = _fusion(self.out_channels, use_ccbam, relu_before_sigmoid)

    def forward(self, f8: Tensor, f16: Tensor, context: Tensor) -> Tensor:
        y = resize(context, f16.shape[-2:])  # (N, c, H/16, W/16)
        y = self.narrow(self.fuse16(self.lateral16(f16), y))  # (N, min(c, 256), H/16, W/16)
        y = resize(y, f8.shape[-2:])  # (N, min(c, 256), H/8, W/8)
        return self.fuse8(self.lateral8(f8), y)  # (N, min(c, 256), H/8, W/8)


def _match(in_channels: int, out_channels: int) -> nn.Module:
    """A 1×1 Conv-BN-ReLU where the widths differ, nothing where they do not."""
    return nn.Identity() if in_channels == out_channels else ConvBNReLU(in_channels, out_channels, kernel=1)


def _fusion(channels: int, use_ccbam: bool, relu_before_sigmoid: bool) -> nn.Module:
    return CCBAM(channels, relu_before_sigmoid=relu_before_sigmoid) if use_ccbam else AddFusion()
