"""Cross-CBAM: SE-ASPP, CCBAM, the networks M and L, and the same decoder on other backbones.

Source: Zhang et al., Cross-CBAM: A Lightweight network for Scene Segmentation (https://arxiv.org/abs/2306.02306),
section 3. The text leaves much open; where it does, the docstring says what was chosen. "Forced" means that the
parameters and FLOPs printed in the paper's Tables 5 and 6 come out with this choice only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.attention import ChannelAttention, SpatialAttention
from edgeseg.models.backbones import build_backbone
from edgeseg.models.controls import ASPP, AddFusion, ConcatFusion, OneSidedFusion, PlainContext, UncrossedFusion
from edgeseg.models.layers import ConvBNReLU, FCNHead, GlobalAvgPool, check_input, init_weights, resize
from edgeseg.models.stdc import STDC
from edgeseg.text import unknown


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
        spatial_kernel: side of the spatial gates' convolution: 1 in the paper, 7 in CBAM.

    Shape:
        low (N, C, h, w), from the backbone, and high (N, C, h, w), from the decoder → (N, C, h, w).
    """

    def __init__(
        self, channels: int, reduction: int = 16, relu_before_sigmoid: bool = False, spatial_kernel: int = 1
    ) -> None:
        super().__init__()
        self.channel_low = ChannelAttention(channels, reduction, relu_before_sigmoid)
        self.channel_high = ChannelAttention(channels, reduction, relu_before_sigmoid)
        self.spatial_low = SpatialAttention(relu_before_sigmoid, spatial_kernel)
        self.spatial_high = SpatialAttention(relu_before_sigmoid, spatial_kernel)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        fused_high = low * self.channel_high(high)  # (N, C, h, w): F_high, low under high's channel gates
        fused_low = high * self.channel_low(low)  # (N, C, h, w): F_low, high under low's channel gates
        spatial_high = self.spatial_high(fused_high)  # (N, 1, h, w)
        spatial_low = self.spatial_low(fused_low)  # (N, 1, h, w)
        return fused_low * spatial_high + fused_high * spatial_low  # (N, C, h, w)


class CrossCBAM(nn.Module):
    """The Cross-CBAM segmentation network (section 3.4, Fig. 1).

    Left open by the paper and chosen here (all forced but the dropout): a 1×1 Conv-BN-ReLU brings a backbone map to the
    decoder's width only where the widths differ, so at 256 channels the 1/8 map enters raw; at 512 channels the map is
    brought to 256 after the first fusion; a 1×1 convolution to 128 channels stands before the classifier, unless the
    map has 128 already. The auxiliary head sits on stage 5 and exists in training only.

    What stands in the place of the two modules, for Table 4 and for controls that the paper does not have:

    ===========  ===================  ==================================================================
    switch       value                is
    ===========  ===================  ==================================================================
    ``context``  ``se_aspp``          `SEASPP`
    ..           ``conv``             a 1×1 Conv-BN-ReLU to the same width (Table 4's row of CCBAM alone)
    ..           ``aspp``             `ASPP`, of the same ``dilations``
    ..           ``plain``            `PlainContext` of as many parameters as `SEASPP` would have
    ``fusion``   ``ccbam``            `CCBAM`
    ..           ``none``             no decoder: the 1/32 map is classified at once (the row of SE-ASPP alone)
    ..           ``add``, ``concat``  `AddFusion`, `ConcatFusion`
    ..           ``high_guides``      `OneSidedFusion`: high's gates on low; ``low_guides`` the reverse
    ..           ``uncrossed``        `UncrossedFusion`
    ===========  ===================  ==================================================================

    These widths are STDC's, whose 1/8 map has 256 channels and comes out of 3×3 convolutions. Other backbones end a
    stage in a narrow map without activation (EfficientNet-Lite0: 40, 112 and 320 channels), and the paper's rule would
    cut the decoder down to 40 there. With ``one_width`` every width of the decoder is ``aspp_channels``: laterals bring
    each map to it, both fusions have it, and a 3×3 Conv-BN-ReLU of it stands before the classifier. 3×3, as nothing
    above 1/32 would else look beyond a pixel: laterals, gates and classifier are all 1×1. Not in the paper.

    Args:
        num_classes: classes.
        backbone: ``"stdc1"`` (M), ``"stdc2"`` (L), ``"efficientnet_lite0"`` (S) or another that
            `edgeseg.models.backbones.build_backbone` knows, such as ``"timm:NAME"``.
        dilations: SE-ASPP's branches, Table 5.
        aspp_channels: decoder width, Table 6: 128, 256 or 512; S has 96.
        one_width: see above.
        context, fusion: see above.
        reduction: see `ChannelAttention`.
        spatial_kernel, relu_before_sigmoid: see `CCBAM`.
        aux: build the auxiliary head.
        aux_boundary: build a training-only head of one channel on the 1/8 map, for a boundary loss. Not in the paper.
        dropout: channel dropout before the classifiers.
        width: the backbone's base width, 64 in the papers; smaller ones make small networks.

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
        one_width: bool = False,
        context: str = "se_aspp",
        fusion: str = "ccbam",
        reduction: int = 16,
        spatial_kernel: int = 1,
        relu_before_sigmoid: bool = False,
        aux: bool = True,
        aux_boundary: bool = False,
        dropout: float = 0.1,
        width: int = 64,
    ) -> None:
        super().__init__()
        fuse = _fusion(fusion, reduction, spatial_kernel, relu_before_sigmoid)
        self.num_classes = num_classes
        self.backbone = build_backbone(backbone, width)
        c8, c16, c32 = self.backbone.channels
        c = aspp_channels
        self.context = _context(context, c32, c, dilations)
        self.decoder = Decoder(c8, c16, c, fuse, one_width) if fuse is not None else None
        self.reduce: nn.Module
        if self.decoder is None:  # the 1/32 map is classified
            self.reduce, hidden = nn.Identity(), c
        elif one_width:
            self.reduce, hidden = ConvBNReLU(c, c), c
        else:
            self.reduce, hidden = _match(self.decoder.out_channels, c8 // 2), c8 // 2
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(hidden, num_classes, 1)
        self.aux_head = FCNHead(c32, 64, num_classes, dropout=dropout) if aux else None
        self.aux_boundary = FCNHead(c8, 64, 1, dropout=0.0) if aux_boundary else None
        for part in self.children():
            # a backbone has its own start; STDC's is drawn a second time, as in every run so far: a seed stays a seed
            if part is not self.backbone or isinstance(part, STDC):
                init_weights(part)

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        f8, f16, f32 = self.backbone(x)  # STDC: (N, 256, H/8, W/8), (N, 512, H/16, W/16), (N, 1024, H/32, W/32)
        y = self.context(f32)  # (N, c, H/32, W/32)
        if self.decoder is not None:
            y = self.decoder(f8, f16, y)  # (N, min(c, 256), H/8, W/8), or c channels with one_width
        logits = self.classifier(self.dropout(self.reduce(y)))  # (N, classes, H/8, W/8)
        if not self.training:
            return resize(logits, x.shape[-2:])  # (N, classes, H, W)
        out: dict[str, Any] = {"out": logits, "aux": []}
        if self.aux_head is not None:
            out["aux"].append(self.aux_head(f32))  # (N, classes, H/32, W/32)
        if self.aux_boundary is not None:
            out["boundary"] = self.aux_boundary(f8)  # (N, 1, H/8, W/8)
        return out


class Decoder(nn.Module):
    """Two fusions: the context meets the 1/16 map, and the result the 1/8 map. See `CrossCBAM` for the widths.

    Args:
        c8, c16: channels of the backbone's maps at 1/8 and 1/16.
        channels: channels of the context and of the fusion at 1/16.
        fuse: channels → a module that makes one map of two.
        one_width: whether the fusion at 1/8 has as many, also where its map has fewer.

    Shape:
        f8 (N, c8, H/8, W/8), f16 (N, c16, H/16, W/16), context (N, channels, h, w) → (N, out_channels, H/8, W/8).
    """

    def __init__(
        self,
        c8: int,
        c16: int,
        channels: int,
        fuse: Callable[[int], nn.Module] = CCBAM,
        one_width: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = channels if one_width else min(channels, c8)
        self.lateral16 = _match(c16, channels)
        self.fuse16 = fuse(channels)
        self.narrow = _match(channels, self.out_channels)
        self.lateral8 = _match(c8, self.out_channels)
        self.fuse8 = fuse(self.out_channels)

    def forward(self, f8: Tensor, f16: Tensor, context: Tensor) -> Tensor:
        y = resize(context, f16.shape[-2:])  # (N, c, H/16, W/16)
        y = self.narrow(self.fuse16(self.lateral16(f16), y))  # (N, out, H/16, W/16)
        y = resize(y, f8.shape[-2:])  # (N, out, H/8, W/8)
        return self.fuse8(self.lateral8(f8), y)  # (N, out, H/8, W/8)


def _match(in_channels: int, out_channels: int) -> nn.Module:
    """A 1×1 Conv-BN-ReLU where the widths differ, nothing where they do not."""
    return nn.Identity() if in_channels == out_channels else ConvBNReLU(in_channels, out_channels, kernel=1)


def _fusion(name: str, reduction: int, kernel: int, relu_before_sigmoid: bool) -> Callable[[int], nn.Module] | None:
    """What makes a fusion of a width; ``None`` for no decoder. Refuses switches of CCBAM that another would ignore."""
    made: Mapping[str, tuple[Callable[[int], nn.Module] | None, tuple[str, ...]]] = {
        "ccbam": (
            partial(CCBAM, reduction=reduction, relu_before_sigmoid=relu_before_sigmoid, spatial_kernel=kernel),
            ("reduction", "spatial_kernel", "relu_before_sigmoid"),
        ),
        "none": (None, ()),
        "add": (lambda _: AddFusion(), ()),
        "concat": (ConcatFusion, ()),
        "high_guides": (partial(OneSidedFusion, guide="high", reduction=reduction), ("reduction",)),
        "low_guides": (partial(OneSidedFusion, guide="low", reduction=reduction), ("reduction",)),
        "uncrossed": (partial(UncrossedFusion, reduction=reduction), ("reduction",)),
    }
    if name not in made:
        raise ValueError(unknown("fusion", name, made))
    if kernel % 2 == 0:
        raise ValueError(f"spatial_kernel={kernel}: give an odd side, e.g. 1 (the paper) or 7 (CBAM)")
    set_here = {"reduction": reduction != 16, "spatial_kernel": kernel != 1, "relu_before_sigmoid": relu_before_sigmoid}
    fuse, takes = made[name]
    for switch in (s for s, is_set in set_here.items() if is_set and s not in takes):
        raise ValueError(f"fusion={name!r} has no {switch}; leave it out")
    return fuse


def _context(name: str, in_channels: int, channels: int, dilations: Sequence[int]) -> nn.Module:
    """What stands between the backbone's 1/32 map and the decoder."""
    if name == "se_aspp":
        return SEASPP(in_channels, channels, dilations)
    if name == "aspp":
        return ASPP(in_channels, channels, dilations)
    if tuple(dilations) != (1, 3):
        raise ValueError(f"context={name!r} has no dilations; leave them out")
    if name == "conv":
        return ConvBNReLU(in_channels, channels, kernel=1)
    if name == "plain":
        with torch.device("meta"):
            wanted = sum(p.numel() for p in SEASPP(in_channels, channels).parameters())
        return PlainContext(in_channels, channels, wanted)
    raise ValueError(unknown("context", name, ("se_aspp", "conv", "aspp", "plain")))
