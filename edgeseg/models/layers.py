"""The few layers that every network here is made of.

Two habits are kept in one place. Resizing: `resize` is the only caller of ``interpolate``, always towards a target size
and with ``align_corners`` written out, because 720 / 32 is no integer and because the two conventions shift a map by
half a pixel. Global pooling: modules around ``mean`` and ``amax``, which counters can hook and every deployment
compiler accepts (``adaptive_max_pool2d`` splits a TensorRT engine).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_SIZE = 32


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless switched off, ReLU.

    The padding is ``dilation * (kernel // 2)``, so that stride 1 keeps the size and stride 2 gives ``ceil(size / 2)``.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: side of the square kernel, odd.
        stride: 1 or 2.
        dilation: spacing of the kernel's taps.
        groups: ``in_channels`` makes it depthwise.
        relu: ``False`` leaves the activation out.

    Shape:
        (N, in_channels, H, W) → (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        padding = dilation * (kernel // 2)
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False)
        parts: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, bn=nn.BatchNorm2d(out_channels))
        if relu:
            parts["relu"] = nn.ReLU(inplace=True)
        super().__init__(parts)


class GlobalAvgPool(nn.Module):
    """Mean over height and width: (N, C, H, W) → (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class GlobalMaxPool(nn.Module):
    """Maximum over height and width: (N, C, H, W) → (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=True)


class FCNHead(nn.Module):
    """3×3 Conv-BN-ReLU, channel dropout and a 1×1 classifier, on a map of any stride.

    The last convolution is called ``classifier`` in every network of this package: that is how a weight file with other
    classes is told apart (see `edgeseg.models.weights.load_weights`).

    Args:
        in_channels: channels of the map.
        mid_channels: channels between the two convolutions.
        num_classes: channels of the logits.
        dropout: probability of dropping a whole channel, in train mode.

    Shape:
        (N, in_channels, h, w) → (N, num_classes, h, w).
    """

    def __init__(self, in_channels: int, mid_channels: int, num_classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, mid_channels)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(mid_channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # (N, mid, h, w)
        return self.classifier(self.dropout(x))  # (N, classes, h, w)


def resize(x: Tensor, size: Sequence[int], mode: str = "bilinear", align_corners: bool = False) -> Tensor:
    """Resize a map to a target size.

    Args:
        x: (N, C, H, W).
        size: target (height, width), usually another map's ``shape[-2:]``.
        mode: ``"bilinear"``, ``"bicubic"`` or ``"nearest"``.
        align_corners: whether the corner pixels' centres coincide; has no meaning for ``"nearest"``.

    Returns:
        (N, C, size[0], size[1]).
    """
    corners = None if mode == "nearest" else align_corners
    return F.interpolate(x, size=(size[0], size[1]), mode=mode, align_corners=corners)


def init_weights(module: nn.Module) -> None:
    """Give every convolution and batch normalisation below ``module`` its starting values, in place.

    Convolutions before a batch normalisation (they have no bias): He et al., normal, fan-out. The others, which make
    gates and logits: variance 1 / fan-in and bias 0. Fan-out would start a 1×1 convolution with few outputs far too
    large (a standard deviation of 1.4 for two maps to one gate) and so with saturated sigmoids. Batch normalisation: 1
    and 0.
    """
    for m in module.modules():
        if isinstance(m, nn.Conv2d) and m.bias is None:
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(m, nn.Conv2d) and m.bias is not None:
            nn.init.kaiming_normal_(m.weight, mode="fan_in", nonlinearity="linear")
            nn.init.zeros_(m.bias)
        elif isinstance(m, nn.BatchNorm2d):
            nn.init.ones_(m.weight)
            nn.init.zeros_(m.bias)


def check_input(x: Tensor, model: nn.Module) -> None:
    """Refuse what the network cannot take, before a layer deep inside does it in other words.

    Skipped while a graph is being captured: a comparison there would pin a dynamic size.

    Args:
        x: what was given to the model.
        model: the model, of stride 32; asked for its batch normalisations where one of them would see a single value.

    Raises:
        ValueError: not (N, 3, H, W), H or W below 32, or a training batch of one image whose deepest map is 1×1.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(
            f"a model takes (N, 3, H, W) normalised RGB, not {tuple(x.shape)}; for one image as (H, W, 3) uint8 use "
            "edgeseg.predict(model, image)"
        )
    n, _, height, width = x.shape
    if height < MIN_SIZE or width < MIN_SIZE:
        raise ValueError(
            f"an image of {height}x{width} (HxW) is smaller than the network's stride; resize or pad it to at least "
            f"{MIN_SIZE}x{MIN_SIZE}"
        )
    if n == 1 and height == width == MIN_SIZE and any(_normalises_by_batch(m) for m in model.modules()):
        raise ValueError(
            "one image of 32x32 leaves a single value per channel at stride 32, and batch normalisation cannot train "
            "on it; take a batch of two or more, a larger crop, or model.eval()"
        )


def _normalises_by_batch(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
