"""EfficientNet-Lite, a backbone made for edge devices, whose ImageNet weights are public.

Sources: Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019
(https://arxiv.org/abs/1905.11946), Table 1 and section 3.3; the Lite variants and their factors are those of
Google's code (github.com/tensorflow/tpu, models/official/efficientnet/lite): no squeeze-and-excitation, ReLU6 in the
place of Swish, so that 8 bits hold every activation; first and last stage and the stem are not scaled with the others.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))  # fmt: skip
"""Table 1: blocks, kernel, stride of the first block, expansion, channels."""
_FACTORS = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))
"""Of width and depth, for Lite0 to Lite4."""
_LAST_OF = (2, 4, 6)  # the stages that end at 1/8, 1/16 and 1/32
_EPS = 1e-3  # of batch normalisation, which the public weights were trained with


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that trains in float32 where a CPU's autocast says bfloat16.

    Its backward pass in bfloat16 has no fast kernel on a CPU and takes the larger part of a training step there (see
    ``benchmarks/depthwise.py``). Anywhere else, and in eval mode, it is the plain convolution: no cast enters a graph
    that is exported.

    Args:
        channels: of input and output.
        kernel: side of the square kernel, odd; the padding is half of it.
        stride: 1 or 2.

    Shape:
        (N, channels, H, W) → (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))
        return super().forward(x)


class InvertedResidual(nn.Module):
    """Mobile inverted bottleneck (Sandler et al., MobileNetV2, CVPR 2018, section 3.3), without squeeze-and-excitation.

    A 1×1 convolution widens the map, a depthwise one sees around, a 1×1 convolution without activation narrows it; the
    input is added where it has the output's shape.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: side of the depthwise kernel, odd.
        stride: 1 or 2.
        expansion: how many times wider the map is inside; at 1 nothing widens it.

    Shape:
        (N, in_channels, H, W) → (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.adds = stride == 1 and in_channels == out_channels
        self.expand = _conv_bn(nn.Conv2d(in_channels, hidden, 1, bias=False)) if expansion > 1 else nn.Identity()
        self.depthwise = _conv_bn(DepthwiseConv2d(hidden, kernel, stride))
        self.project = _conv_bn(nn.Conv2d(hidden, out_channels, 1, bias=False), relu6=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))  # (N, expansion·in, H/s, W/s)
        y = self.project(y)  # (N, out, H/s, W/s)
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier, as a backbone.

    The padding is half the kernel on every side. TensorFlow, in which the public weights were trained, pads by the
    input's size instead ("same"): at stride 2, more on the right and at the bottom. Both are one and the same on sides
    of 32·n + 1 pixels; elsewhere a halving looks one pixel further to the left and up, which fine-tuning takes up.
    Fixed padding is faster, and graphs of any size export as they are.

    Args:
        variant: 0 to 4, for Lite0 to Lite4.
        width: 64: as published. The channels go with it, in steps of 8; the stem has half of it.

    Attributes:
        channels: channels of the three maps that `forward` returns; of Lite0 40, 112 and 320.
        mean, std: of RGB in 0…1, what the public weights take their input to be normalised by.
        timm_name: the same network in the library timm, with TensorFlow's padding.

    Shape:
        (N, 3, H, W) → three maps at 1/8, 1/16 and 1/32, each size rounded up.
    """

    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, variant: int = 0, width: int = 64) -> None:
        super().__init__()
        if width % 2 or width < 2:
            raise ValueError(f"EfficientNet-Lite's width must be even and positive, not {width}; 64 is as published")
        wider, deeper = _FACTORS[variant]
        self.timm_name = f"tf_efficientnet_lite{variant}"
        self.width = width
        channels = width // 2
        self.stem = _conv_bn(nn.Conv2d(3, channels, 3, 2, 1, bias=False))
        self.stages = nn.ModuleList()
        for i, (blocks, kernel, stride, expansion, c) in enumerate(_STAGES):
            fixed = i in (0, len(_STAGES) - 1)
            out, stage = _in_eights(c * wider * width / 64), nn.Sequential()
            for j in range(blocks if fixed else math.ceil(blocks * deeper)):
                stage.append(InvertedResidual(channels, out, kernel, 1 if j else stride, expansion))
                channels = out
            self.stages.append(stage)
        at = [_in_eights(_STAGES[i][-1] * wider * width / 64) for i in _LAST_OF]
        self.channels = (at[0], at[1], at[2])
        _init(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)  # (N, 32, H/2, W/2)
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)  # H/2, H/4, H/8, H/16, H/16, H/32, H/32
            if i in _LAST_OF:
                maps.append(x)
        return maps  # (N, 40, H/8, W/8), (N, 112, H/16, W/16), (N, 320, H/32, W/32)

    def timm_key(self, key: str) -> str:
        """The name that timm gives to an entry of this network's state: ``stages.1.0.expand.conv.weight`` is there
        ``blocks.1.0.conv_pw.weight``."""
        parts = key.split(".")
        if parts[0] == "stem":
            return ".".join(["conv_stem" if parts[1] == "conv" else "bn1", *parts[2:]])
        block, layer, part = parts[1:3], parts[3], parts[4]
        layers = ("expand", "depthwise", "project") if block[0] != "0" else ("depthwise", "project")
        conv = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl" if len(layers) == 3 else "conv_pw"}
        name = conv[layer] if part == "conv" else f"bn{layers.index(layer) + 1}"
        return ".".join(["blocks", *block, name, *parts[5:]])


def _conv_bn(conv: nn.Conv2d, relu6: bool = True) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, bn=nn.BatchNorm2d(conv.out_channels, eps=_EPS))
    if relu6:
        parts["relu"] = nn.ReLU6(inplace=True)
    return nn.Sequential(parts)


def _in_eights(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth below, at least 8: how EfficientNet rounds widths."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _init(module: nn.Module) -> None:
    """He et al., normal, fan-out **of a group**, as in EfficientNet's own code.

    `layers.init_weights` counts a depthwise convolution's fan-out over all channels: of a thousand channels its outputs
    would start with a variance near `_EPS`, which batch normalisation could not bring back to 1.
    """
    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            fan_out = m.kernel_size[0] * m.kernel_size[1] * m.out_channels // m.groups
            nn.init.normal_(m.weight, 0.0, math.sqrt(2 / fan_out))
