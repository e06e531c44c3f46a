"""Networks to compare with: STDC-FCN, STDC-Seg, PP-LiteSeg.

They stand on the backbones of `edgeseg.models.cross_cbam.CrossCBAM`, take and give what it does, and have its switches
``backbone``, ``aux``, ``aux_boundary``, ``dropout`` and ``width`` (the decoder's widths go with the backbone's).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.backbones import build_backbone
from edgeseg.models.layers import ConvBNReLU, FCNHead, GlobalAvgPool, check_input, init_weights, resize


class STDCFCN(nn.Module):
    """An FCN head on STDC's last map: the baseline of the Cross-CBAM paper's Table 4.

    The paper says no more than "FCN". Chosen here, after Long et al. (CVPR 2015) as segmentation libraries build it
    today: a 3×3 Conv-BN-ReLU to 256 channels, channel dropout, a 1×1 classifier, all at 1/32, and the auxiliary head on
    stage 4.

    Shape:
        As `CrossCBAM`, but ``"out"`` is (N, classes, H/32, W/32) and ``"aux"`` holds at most one
        (N, classes, H/16, W/16).
    """

    def __init__(
        self,
        num_classes: int = 19,
        backbone: str = "stdc1",
        aux: bool = True,
        dropout: float = 0.1,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = build_backbone(backbone, width)
        _, c16, c32 = self.backbone.channels
        self.head = FCNHead(c32, c32 // 4, num_classes, dropout=dropout)
        self.aux_head = FCNHead(c16, 64, num_classes, dropout=dropout) if aux else None
        init_weights(self)

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        _, f16, f32 = self.backbone(x)  # (N, 512, H/16, W/16), (N, 1024, H/32, W/32)
        logits = self.head(f32)  # (N, classes, H/32, W/32)
        if not self.training:
            return resize(logits, x.shape[-2:])  # (N, classes, H, W)
        aux = [] if self.aux_head is None else [self.aux_head(f16)]  # (N, classes, H/16, W/16)
        return {"out": logits, "aux": aux}


# STDC-Seg -------------------------------------------------------------------------------------------------------------


class AttentionRefinement(nn.Module):
    """BiSeNet's attention refinement module (Yu et al., ECCV 2018), which STDC-Seg takes over.

    A 3×3 Conv-BN-ReLU, then a gate per channel from the global mean.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.

    Shape:
        (N, in_channels, h, w) → (N, out_channels, h, w).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, out_channels)
        self.pool = GlobalAvgPool()
        self.gate = nn.Conv2d(out_channels, out_channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # (N, out, h, w)
        return x * self.sigmoid(self.gate(self.pool(x)))  # gate (N, out, 1, 1)


class FeatureFusion(nn.Module):
    """BiSeNet's feature fusion module (Yu et al., ECCV 2018), which STDC-Seg takes over.

    Both maps are concatenated and projected by a 1×1 Conv-BN-ReLU; the result is added to itself under a
    squeeze-and-excitation gate.

    Args:
        in_channels: channels of both maps together.
        out_channels: channels of the output; the gate's hidden layer has a quarter.

    Shape:
        detail (N, a, h, w) and context (N, in_channels - a, h, w) → (N, out_channels, h, w).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = ConvBNReLU(in_channels, out_channels, kernel=1)
        self.pool = GlobalAvgPool()
        self.squeeze = nn.Conv2d(out_channels, out_channels // 4, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(out_channels // 4, out_channels, 1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        x = self.project(torch.cat([detail, context], dim=1))  # (N, out, h, w)
        gate = self.sigmoid(self.excite(self.relu(self.squeeze(self.pool(x)))))  # (N, out, 1, 1)
        return x + x * gate


class STDCSeg(nn.Module):
    """STDC-Seg (Fan et al., Rethinking BiSeNet for Real-time Semantic Segmentation, CVPR 2021).

    From the paper: the backbone's 1/16 and 1/32 maps pass attention refinement, the global mean is added at 1/32, the
    context climbs to 1/8 and is fused there with the 1/8 map; a detail head on that map, in training only, learns the
    labels' edges. From the authors' code (github.com/MichaelFan01/STDC-Seg): all widths, a 3×3 convolution after each
    step up, nearest resizes inside, auxiliary heads on the context at 1/8 and 1/16.

    Chosen here: on maps of 1×1 (the gates, the global mean) a convolution with a bias stands for convolution and batch
    normalisation, which compute the same in inference but cannot train on one image; no dropout unless asked for, as
    in their code; logits are resized with ``align_corners=False``, theirs with True. The detail head is the switch
    ``aux_boundary``, off until a recipe has a loss for it.

    At width 64 and 19 classes inference needs 8,274,739 parameters (STDC1) and 12,305,203 (STDC2). The paper prints
    none. With all that their code registers besides (ImageNet's classifier, auxiliary and four detail heads) the same
    networks come to 12.04 and 16.07 million at 8 classes, which is what others have measured on that code.

    Shape:
        As `CrossCBAM`, but ``"aux"`` holds (N, classes, H/8, W/8) and (N, classes, H/16, W/16), or nothing.
    """

    def __init__(
        self,
        num_classes: int = 19,
        backbone: str = "stdc1",
        aux: bool = True,
        aux_boundary: bool = False,
        dropout: float = 0.0,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = build_backbone(backbone, width)
        c8, c16, c32 = self.backbone.channels
        c = 2 * width
        self.pool = GlobalAvgPool()
        self.mean_conv = _conv_relu(c32, c)
        self.refine32, self.refine16 = AttentionRefinement(c32, c), AttentionRefinement(c16, c)
        self.smooth16, self.smooth8 = ConvBNReLU(c, c), ConvBNReLU(c, c)
        self.fuse = FeatureFusion(c8 + c, 2 * c)
        self.head = FCNHead(2 * c, 2 * c, num_classes, dropout=dropout)
        heads = [FCNHead(c, 64, num_classes, dropout=dropout) for _ in range(2)]
        self.aux_head = nn.ModuleList(heads) if aux else None
        self.aux_boundary = FCNHead(c8, 64, 1, dropout=0.0) if aux_boundary else None
        init_weights(self)

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        f8, f16, f32 = self.backbone(x)  # (N, 256, H/8, W/8), (N, 512, H/16, W/16), (N, 1024, H/32, W/32)
        y32 = self.refine32(f32) + self.mean_conv(self.pool(f32))  # (N, c, H/32, W/32) + (N, c, 1, 1)
        y16 = self.smooth16(resize(y32, f16.shape[-2:], "nearest"))  # (N, c, H/16, W/16)
        y8 = self.smooth8(resize(self.refine16(f16) + y16, f8.shape[-2:], "nearest"))  # (N, c, H/8, W/8)
        logits = self.head(self.fuse(f8, y8))  # (N, classes, H/8, W/8)
        if not self.training:
            return resize(logits, x.shape[-2:])  # (N, classes, H, W)
        out: dict[str, Any] = {"out": logits, "aux": []}
        if self.aux_head is not None:
            out["aux"] = [head(y) for head, y in zip(self.aux_head, (y8, y16), strict=True)]
        if self.aux_boundary is not None:
            out["boundary"] = self.aux_boundary(f8)  # (N, 1, H/8, W/8)
        return out


# PP-LiteSeg -----------------------------------------------------------------------------------------------------------


def _conv_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """1×1, with a bias in the place of batch normalisation, which cannot train on a map of one value: see `STDCSeg`."""
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(in_channels, out_channels, 1), relu=nn.ReLU(inplace=True)))


class SPPM(nn.Module):
    """Simple pyramid pooling module of PP-LiteSeg.

    The map is averaged to 1×1, 2×2 and 4×4, each of them projected by a 1×1 Conv-BN-ReLU and resized back; the sum
    passes a 3×3 one. Chosen here: the 1×1 map's convolution has a bias in the place of batch normalisation, see
    `STDCSeg`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the branches and the output.

    Shape:
        (N, in_channels, h, w) → (N, out_channels, h, w).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList([GlobalAvgPool(), nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(4)])
        self.branches = nn.ModuleList(
            [
                _conv_relu(in_channels, out_channels),
                ConvBNReLU(in_channels, out_channels, kernel=1),
                ConvBNReLU(in_channels, out_channels, kernel=1),
            ]
        )
        self.project = ConvBNReLU(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        total = resize(self.branches[0](self.pools[0](x)), size)  # (N, out, h, w)
        for pool, branch in zip(self.pools[1:], self.branches[1:], strict=True):
            total = total + resize(branch(pool(x)), size)  # (N, out, h, w)
        return self.project(total)


class UAFM(nn.Module):
    """Unified attention fusion module of PP-LiteSeg with spatial attention.

    The high map is resized to the low one; the channels' mean and maximum of both make a gate α per pixel; high · α +
    low · (1 - α). The 3×3 convolutions on the low map and behind the sum, and the two that make the gate, are those of
    the authors' code.

    Args:
        low_channels: channels of the backbone's map.
        high_channels: channels of the decoder's map.
        out_channels: channels of the output.

    Shape:
        low (N, low_channels, h, w), high (N, high_channels, h', w') → (N, out_channels, h, w).
    """

    def __init__(self, low_channels: int, high_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lateral = ConvBNReLU(low_channels, high_channels)
        self.gate = nn.Sequential(ConvBNReLU(4, 2), ConvBNReLU(2, 1, relu=False), nn.Sigmoid())
        self.project = ConvBNReLU(high_channels, out_channels)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        low = self.lateral(low)  # (N, high, h, w)
        if high.shape[-2:] != low.shape[-2:]:
            high = resize(high, low.shape[-2:])  # (N, high, h, w)
        described = [t for y in (high, low) for t in (y.mean(1, keepdim=True), y.amax(1, keepdim=True))]
        gate = self.gate(torch.cat(described, dim=1))  # (N, 4, h, w) → (N, 1, h, w)
        return self.project(high * gate + low * (1 - gate))


class PPLiteSeg(nn.Module):
    """PP-LiteSeg (Peng et al., PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model, 2022).

    From the paper: encoder STDC1 (T) or STDC2 (B), SPPM, and a decoder that grows narrower towards the larger maps, of
    32, 64 and 128 channels (T) or 64, 96 and 128 (B) at 1/8, 1/16 and 1/32, fused by UAFMs with spatial attention. From
    the authors' code (PaddleSeg, configs/pp_liteseg): a UAFM also at 1/32, where SPPM's output meets the map that it
    came from; heads; an auxiliary head on each deeper UAFM.

    The paper prints no parameters. At 19 classes inference needs 8,027,699 (T) and 12,234,131 (B): 30.6 and 46.7 MiB
    at four bytes each. The authors' exported files have 31 MB (28.5 in another list) and 47 MB; without the UAFM at
    1/32 they would have 26 and 42.

    Args:
        channels: of the decoder at 1/8, 1/16 and 1/32; by default the paper's for this backbone.

    Shape:
        As `CrossCBAM`, but ``"aux"`` holds (N, classes, H/16, W/16) and (N, classes, H/32, W/32), or nothing.
    """

    def __init__(
        self,
        num_classes: int = 19,
        backbone: str = "stdc1",
        channels: Sequence[int] | None = None,
        aux: bool = True,
        aux_boundary: bool = False,
        dropout: float = 0.0,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = build_backbone(backbone, width)
        c8, c16, c32 = self.backbone.channels
        widths = _DECODERS[backbone] if channels is None else channels
        if len(widths) != 3:
            raise ValueError(f"channels={tuple(widths)}: give three, for 1/8, 1/16 and 1/32; or leave it out")
        d8, d16, d32 = (max(4, c * width // 64) for c in widths)
        self.context = SPPM(c32, 2 * width)
        self.fuse32 = UAFM(c32, 2 * width, d32)
        self.fuse16 = UAFM(c16, d32, d16)
        self.fuse8 = UAFM(c8, d16, d8)
        self.head = FCNHead(d8, d8, num_classes, dropout=dropout)
        heads = [FCNHead(d, 64, num_classes, dropout=dropout) for d in (d16, d32)]
        self.aux_head = nn.ModuleList(heads) if aux else None
        self.aux_boundary = FCNHead(c8, 64, 1, dropout=0.0) if aux_boundary else None
        init_weights(self)

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        f8, f16, f32 = self.backbone(x)  # (N, 256, H/8, W/8), (N, 512, H/16, W/16), (N, 1024, H/32, W/32)
        y32 = self.fuse32(f32, self.context(f32))  # (N, d32, H/32, W/32)
        y16 = self.fuse16(f16, y32)  # (N, d16, H/16, W/16)
        logits = self.head(self.fuse8(f8, y16))  # (N, classes, H/8, W/8)
        if not self.training:
            return resize(logits, x.shape[-2:])  # (N, classes, H, W)
        out: dict[str, Any] = {"out": logits, "aux": []}
        if self.aux_head is not None:
            out["aux"] = [head(y) for head, y in zip(self.aux_head, (y16, y32), strict=True)]
        if self.aux_boundary is not None:
            out["boundary"] = self.aux_boundary(f8)  # (N, 1, H/8, W/8)
        return out


_DECODERS = {"stdc1": (32, 64, 128), "stdc2": (64, 96, 128)}
