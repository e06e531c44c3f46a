"""Improved HRNet: BFEM, CCSF, FUSM and the networks S, M and L on HRNetV2.

Source: Feng and Zhong, Backbone Feature Enhancement and Decoder Improvement in HRNet for Semantic Segmentation,
section III. The text leaves much open. "Forced" means that the parameters and FLOPs of the paper's Tables III, IV and V
come out with this choice only; "their code" is what the authors published (github.com/HanLeiFeng/HRNet_Series), which
was consulted where text and numbers do not decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.attention import ATTENTIONS, Attention
from edgeseg.models.hrnet import HRNet
from edgeseg.models.layers import check_input, init_weights, resize
from edgeseg.text import unknown

STRIPS = (7, 11, 21)
"""Lengths of MSCA's strip convolutions, beside a 5×5 one."""


class CCSF(nn.Sequential):
    """Cross-channel semantic fusion (Eq. 1): 1×1 convolution, batch normalisation, ReLU.

    Their code: no bias, and eps 1e-3 and momentum 0.03 in the normalisation.

    Args:
        in_channels: channels of the input, usually a concatenation.
        out_channels: channels of the output.

    Shape:
        (N, in_channels, h, w) → (N, out_channels, h, w).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.03)
        self.relu = nn.ReLU(inplace=True)


# BFEM -----------------------------------------------------------------------------------------------------------------


class SlowBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose running statistics move slowly, by 3e-4 a step: what SegNeXt and BFEM have.

    A class of its own because the paper's counting tool does not know the synchronised form that the authors used.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=3e-4)


class LayerScale(nn.Module):
    """One learned factor per channel, at first 0.01: a block starts close to the identity. (N, C, h, w) → the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 1e-2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class MSCA(nn.Module):
    """Multi-scale convolutional attention (Eq. 2, Fig. 2a; Guo et al., SegNeXt, 2022, Eq. 1 and 2).

    A 5×5 convolution and three pairs of strip convolutions, all depthwise, look at the map at four scales; a 1×1
    convolution over their sum gives a factor for every value of the input. (The paper calls the strips "strided".)

    Args:
        channels: C.
        strips: ``"serial"``: the strips read the 5×5 convolution's output (Eq. 2, SegNeXt); ``"parallel"``: they read
            the input (their code). The counts are the same.

    Shape:
        (N, C, h, w) → (N, C, h, w).
    """

    def __init__(self, channels: int, strips: str = "serial") -> None:
        super().__init__()
        if strips not in ("serial", "parallel"):
            raise ValueError(f"strips={strips!r}: choose 'serial' (the paper) or 'parallel' (the authors' code)")
        self.serial = strips == "serial"
        self.local = _depthwise(channels, (5, 5))
        self.strips = nn.ModuleList(
            nn.Sequential(_depthwise(channels, (1, k)), _depthwise(channels, (k, 1))) for k in STRIPS
        )
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        local = self.local(x)  # (N, C, h, w)
        seen = local if self.serial else x
        total = local
        for strip in self.strips:
            total = total + strip(seen)  # (N, C, h, w)
        return self.mix(total) * x


class MSCAN(nn.Module):
    """Multi-scale convolutional attention block (Fig. 2b): attention, then a feed-forward part, each beside a shortcut.

    Forced: convolutions with biases, and four times the width inside the feed-forward part.

    Args:
        channels: C.
        strips: see `MSCA`.

    Shape:
        (N, C, h, w) → (N, C, h, w).
    """

    def __init__(self, channels: int, strips: str = "serial") -> None:
        super().__init__()
        self.norm1 = SlowBatchNorm(channels)
        self.attend = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.GELU(), MSCA(channels, strips), nn.Conv2d(channels, channels, 1)
        )
        self.scale1 = LayerScale(channels)
        self.norm2 = SlowBatchNorm(channels)
        self.feed_forward = nn.Sequential(
            nn.Conv2d(channels, 4 * channels, 1),
            _depthwise(4 * channels, (3, 3)),
            nn.GELU(),
            nn.Conv2d(4 * channels, channels, 1),
        )
        self.scale2 = LayerScale(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1(self.attend(self.norm1(x)))
        return x + self.scale2(self.feed_forward(self.norm2(x)))


class BFEM(nn.Module):
    """Backbone feature enhancement module (section III-B, Fig. 1): MSCAN blocks beside the two coarsest maps.

    Forced, and not in the text: a stem of two 3×3 convolutions before each row of blocks, SegNeXt's with stride 1.
    Their code: batch normalisation after each row; the coarse map also receives the finer one's enhanced features,
    halved by a convolution and passed through three more blocks.

    Args:
        channels: (C3, C4) of the 1/16 and the 1/32 map.
        blocks: MSCAN blocks beside each map.
        bridge: MSCAN blocks from the finer to the coarser map.
        strips: see `MSCA`.

    Shape:
        x3 (N, C3, h, w), x4 (N, C4, ⌈h/2⌉, ⌈w/2⌉) → two maps of the same shapes.
    """

    def __init__(self, channels: tuple[int, int], blocks: int = 5, bridge: int = 3, strips: str = "serial") -> None:
        super().__init__()
        c3, c4 = channels
        self.rows3 = nn.Sequential(_stem(c3), _blocks(c3, blocks, strips))
        down = nn.Conv2d(c3, c4, 3, stride=2, padding=1)
        self.bridge = nn.Sequential(down, _blocks(c4, bridge, strips))
        self.rows4 = nn.Sequential(_stem(c4), _blocks(c4, blocks, strips))
        self.fuse3 = CCSF(2 * c3, c3)
        self.fuse4 = CCSF(3 * c4, c4)

    def forward(self, x3: Tensor, x4: Tensor) -> tuple[Tensor, Tensor]:
        a = self.rows3(x3)  # (N, C3, h, w)
        b = self.rows4(x4)  # (N, C4, h/2, w/2)
        d = self.bridge(a)  # (N, C4, h/2, w/2)
        return self.fuse3(torch.cat([x3, a], dim=1)), self.fuse4(torch.cat([x4, b, d], dim=1))


def _stem(channels: int) -> nn.Sequential:
    half = channels // 2
    return nn.Sequential(
        nn.Conv2d(channels, half, 3, padding=1),
        SlowBatchNorm(half),
        nn.GELU(),
        nn.Conv2d(half, channels, 3, padding=1),
        SlowBatchNorm(channels),
    )


def _blocks(channels: int, count: int, strips: str) -> nn.Sequential:
    return nn.Sequential(*(MSCAN(channels, strips) for _ in range(count)), SlowBatchNorm(channels))


def _depthwise(channels: int, kernel: tuple[int, int]) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2), groups=channels)


# decoder --------------------------------------------------------------------------------------------------------------


class FUSM(nn.Module):
    """Flexible upsampling mechanism (section III-C, Eq. 3): from the coarsest map up, neighbours meet one by one.

    At each step the coarser map is resized bicubically (align_corners, their code), concatenated after the finer one
    and fused by `CCSF`; the last concatenation stays as it is. Eq. 3 leaves the last resize out; the text has it.

    Args:
        channels: of the four maps, finest first.

    Shape:
        four maps → (N, Σ channels, h_1, w_1), the finest one's size.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        _, c2, c3, c4 = channels
        self.fuse3 = CCSF(c3 + c4, c3 + c4)
        self.fuse2 = CCSF(c2 + c3 + c4, c2 + c3 + c4)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x1, x2, x3, x4 = maps
        y = self.fuse3(_joined(x3, x4))  # (N, C3 + C4, H/16, W/16)
        y = self.fuse2(_joined(x2, y))  # (N, C2 + C3 + C4, H/8, W/8)
        return _joined(x1, y)  # (N, C1 + C2 + C3 + C4, H/4, W/4)


def _joined(fine: Tensor, coarse: Tensor) -> Tensor:
    return torch.cat([fine, resize(coarse, fine.shape[-2:], "bicubic", align_corners=True)], dim=1)


class ConcatMaps(nn.Module):
    """HRNetV2's own decoder: all maps resized bilinearly to the finest one's size and concatenated."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = maps[0].shape[-2:]
        return torch.cat([maps[0], *(resize(x, size, align_corners=True) for x in maps[1:])], dim=1)


class SegmentationHead(nn.Module):
    """HRNetV2's head: 1×1 convolution (with a bias), batch normalisation, ReLU and a 1×1 classifier.

    Shape:
        (N, channels, h, w) → (N, num_classes, h, w).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.relu(self.bn(self.conv(x))))


# networks -------------------------------------------------------------------------------------------------------------


class ImprovedHRNet(nn.Module):
    """HRNetV2 with any of the paper's modules; S, M and L are three choices of them (section III-A, Fig. 1, Table III).

    ========  ====  ====  ====  ===========================
    network   BFEM  FUSM  CCSF  attention
    ========  ====  ====  ====  ===========================
    HRNet     –     –     –     –
    HRNet_S   yes   yes   yes   ECA on the concatenated map
    HRNet_M   –     yes   yes   AAM at all five places
    HRNet_L   –     yes   –     AAM at all five places
    ========  ====  ====  ====  ===========================

    BFEM comes before any attention, attention on the four maps before the decoder, CCSF on the concatenated map before
    its attention (forced). Widths follow the backbone's, so that all of it works at 18 and 32 too.

    Args:
        num_classes: classes; the paper has 20 on Cityscapes (19 and background) and 21 on VOC.
        width: the backbone's, see `HRNet`: 48 in the paper.
        bfem: enhance the two coarsest maps, see `BFEM`.
        fusm: decode by `FUSM`; otherwise by `ConcatMaps`. Resizes after it, logits included, are bicubic with it and
            bilinear without (their code).
        ccsf: a `CCSF` on the concatenated map.
        attention: a name in `edgeseg.models.attention.ATTENTIONS`.
        attention_at: ``"all"`` five places, or ``"concat"``: the concatenated map alone.
        strips: see `MSCA`. The default follows the paper.
        dead_attention: the authors' HRNet_L computes attention on the three finest maps and then goes on with the maps
            themselves; their parameters (18,228 at width 48) count and do nothing. The text and Fig. 1 use the results,
            and so does the default. ``True`` does as the code does.
        modules, blocks, checkpointing: see `HRNet`.

    Attributes:
        align_corners: how logits are resized to the input; training resizes them so too (always bilinearly, though).

    Shape:
        (N, 3, H, W) normalised RGB, H and W ≥ 32. In eval mode → logits (N, classes, H, W). In train mode → a dict:
        ``"out"`` (N, classes, H/4, W/4), and ``"aux"``, an empty list.

    Raises:
        ValueError: a switch that does not exist or has no meaning, or an input that is too small.
    """

    align_corners = True

    def __init__(
        self,
        num_classes: int = 20,
        width: int = 48,
        bfem: bool = False,
        fusm: bool = False,
        ccsf: bool = False,
        attention: str = "none",
        attention_at: str = "all",
        strips: str = "serial",
        dead_attention: bool = False,
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(unknown("attention", attention, ATTENTIONS))
        if attention_at not in ("all", "concat"):
            raise ValueError(f"attention_at={attention_at!r}: choose 'all' (five places) or 'concat' (the last)")
        if dead_attention and (attention_at != "all" or attention in ("none", "sp")):
            raise ValueError("dead_attention needs an attention that keeps the width, at 'all' places")
        self.num_classes = num_classes
        self.backbone = HRNet(width, modules, blocks, checkpointing)
        c1, c2, c3, c4 = self.backbone.channels
        self.bfem = BFEM((c3, c4), strips=strips) if bfem else None
        on_maps = ATTENTIONS[attention if attention_at == "all" else "none"]
        attends = [on_maps(c) for c in (c1, c2, c3, c4)]
        self.attention = nn.ModuleList(attends)
        self.dead_attention = dead_attention
        channels = [a.out_channels for a in attends]
        self.decoder = FUSM(channels) if fusm else ConcatMaps()
        self.ccsf = CCSF(sum(channels), sum(channels)) if ccsf else nn.Identity()
        self.attention_concat: Attention = ATTENTIONS[attention](sum(channels))
        self.head = SegmentationHead(self.attention_concat.out_channels, num_classes)
        self.resize_mode = "bicubic" if fusm else "bilinear"
        for part in (self.bfem, self.attention, self.decoder, self.ccsf, self.attention_concat, self.head):
            if part is not None:
                init_weights(part)
        if dead_attention:
            self.attention[:3].requires_grad_(False)  # nothing will ever ask for a gradient of theirs

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        maps = self.backbone(x)  # (N, C, H/4, W/4), (N, 2C, H/8, W/8), (N, 4C, H/16, W/16), (N, 8C, H/32, W/32)
        if self.bfem is not None:
            maps = [*maps[:2], *self.bfem(*maps[2:])]
        first = 3 if self.dead_attention else 0
        maps = [*maps[:first], *(attend(m) for attend, m in zip(self.attention[first:], maps[first:], strict=True))]
        y = self.ccsf(self.decoder(maps))  # (N, 15C, H/4, W/4)
        logits = self.head(self.attention_concat(y))  # (N, classes, H/4, W/4)
        if self.training:
            return {"out": logits, "aux": []}
        return resize(logits, x.shape[-2:], self.resize_mode, self.align_corners)  # (N, classes, H, W)
