"""Other people's networks under this package's contract: what trains, scores and compiles ours does the same for them.

Their libraries build them, torchvision and segmentation_models_pytorch, which the extra ``peers`` installs; both are
imported when a network is built, never before. Weights are random; an encoder's ImageNet weights come in from a file,
as for our own networks (`edgeseg.models.public`).

A network is cut in two: ``backbone``, which can be frozen, and the rest, whose last part is ``classifier``, which
starts anew for other classes. For torchvision's networks that is the whole head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.layers import check_input, resize

TORCHVISION: Mapping[str, str] = MappingProxyType(
    {
        "lraspp_mobilenet_v3": "lraspp_mobilenet_v3_large",
        "deeplabv3_mobilenet_v3": "deeplabv3_mobilenet_v3_large",
    }
)
"""Names here → torchvision's."""

# As far as the library's switches reach, the networks of the Improved HRNet paper: their encoders end at 1/8.
_PSPNET = {"encoder_depth": 5, "output_stride": 8}
_DEEPLAB = {"encoder_output_stride": 8, "decoder_aspp_separable": False}
SMP: Mapping[str, tuple[str, str, Mapping[str, Any]]] = MappingProxyType(
    {
        "smp_pspnet_resnet50": ("PSPNet", "resnet50", _PSPNET),
        "smp_deeplabv3plus_resnet50": ("DeepLabV3Plus", "resnet50", _DEEPLAB),
        "smp_deeplabv3plus_xception65": ("DeepLabV3Plus", "tu-xception65", _DEEPLAB),
        "smp_deeplabv3plus_mobilenet_v2": ("DeepLabV3Plus", "mobilenet_v2", {}),
        "smp_segformer_b0": ("Segformer", "mit_b0", {}),
        "smp_segformer_b3": ("Segformer", "mit_b3", {"decoder_segmentation_channels": 768}),
        "smp_fpn_mobilenet_v3": ("FPN", "tu-tf_mobilenetv3_large_100", {}),
        "smp_unet_resnet18": ("Unet", "resnet18", {}),
    }
)
"""Names here → segmentation_models_pytorch's network, encoder and options; encoders named ``tu-…`` are timm's."""


@dataclass(frozen=True)
class PrintedPeer:
    """A network that the Improved HRNet paper compares with, beside the library's.

    Args:
        printed: its name there.
        tables: where.
        name: of the architecture here; empty where neither library has it.
        classes: 20 on Cityscapes, 21 on VOC.
        params: million parameters, to the digit as printed; empty where none are.
        differs: what the printed network has beside the library's, with its parameters, which may be negative.
        why_not: why it cannot be had.
    """

    printed: str
    tables: str
    name: str = ""
    classes: int = 20
    params: str = ""
    differs: tuple[tuple[str, int], ...] = ()
    why_not: str = ""


def _conv_bn(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> int:
    """Parameters of a convolution without a bias and its batch normalisation."""
    return inputs * outputs * kernel * kernel // groups + 2 * outputs


def _psp_differs(classes: int) -> tuple[tuple[str, int], ...]:
    return (
        ("3×3 instead of 1×1 after the pyramid", _conv_bn(4096, 512, 3) - _conv_bn(4096, 512)),
        ("1×1 classifier instead of 3×3", -8 * 512 * classes),
        ("auxiliary head on the 1/8 map", _conv_bn(1024, 256, 3) + 257 * classes),
        ("batch normalisation instead of a bias in the pyramid's 1×1 branch", 2 * 512 - 512),
    )


_SEPARABLE = sum(_conv_bn(c, c, 3, c) - 2 * c + _conv_bn(c, 256) for c in (256, 304))
_DEEPLAB_DIFFERS = (
    ("two 3×3 convolutions instead of two separable ones", _conv_bn(304, 256, 3) + _conv_bn(256, 256, 3) - _SEPARABLE),
    ("biases in front of batch normalisations", 2096),
)

PRINTED: tuple[PrintedPeer, ...] = (
    PrintedPeer("PSPNet", "Table IV", "smp_pspnet_resnet50", 20, "48.957", _psp_differs(20)),
    PrintedPeer("PSPNet", "Table V", "smp_pspnet_resnet50", 21, "48.958", _psp_differs(21)),
    PrintedPeer("DeepLabv3+_R", "Tables IV, V", "smp_deeplabv3plus_resnet50", 20, "40.354", _DEEPLAB_DIFFERS),
    PrintedPeer("DeepLabv3+_X", "Table V", "smp_deeplabv3plus_xception65", 21, "54.714", _DEEPLAB_DIFFERS),
    PrintedPeer("SegFormer", "Table IV", "smp_segformer_b3", 20, "47.238"),
    PrintedPeer("SegFormer", "Table V", "smp_segformer_b3", 21, "47.239"),
    PrintedPeer("SCTNet-S", "Table IV", params="4.6", why_not="neither library has it; quoted from its paper there"),
    PrintedPeer("SeaFormer-S, -B", "Table IV", why_not="neither library has them; quoted from their paper there"),
)
"""The other networks of the Improved HRNet paper's Tables IV and V. What differs was found by counting: the corrections
bring every printed number of parameters to the last digit."""


class Peer(nn.Module):
    """A network that somebody else has built.

    A subclass sets `num_classes`, `backbone` and `encoder`, the backbone's name in its library, and gives `logits`.

    Shape:
        (N, 3, H, W) → in eval mode logits (N, classes, H, W), in train mode a dict of ``"out"``, the same, and
        ``"aux"``, an empty list. Any H, W ≥ 32.
    """

    num_classes: int
    backbone: nn.Module
    encoder: str
    multiple = 1
    """Of H and W that the network asks for: the image gets zeros, the mean colour, at the bottom and on the right."""

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), with H and W multiples of `multiple` → (N, classes, h, w)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        if self.training and len(x) == 1 and any(_normalises_one_value(m) for m in self.modules()):
            raise ValueError(
                "DeepLab's image pooling leaves a single value per channel of an image, and batch normalisation cannot "
                "train on one; take a batch of two or more, or model.eval()"
            )
        height, width = x.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        padded = nn.functional.pad(x, (0, right, 0, below)) if below or right else x
        logits = self.logits(padded)
        if logits.shape[-2:] != padded.shape[-2:]:
            logits = resize(logits, padded.shape[-2:])
        logits = logits[..., :height, :width]
        return {"out": logits, "aux": []} if self.training else logits


class TorchvisionNetwork(Peer):
    """LR-ASPP (Howard et al., ICCV 2019) and DeepLabV3 (Chen et al., 2017) on MobileNetV3-Large, from torchvision.

    Args:
        num_classes: channels of the logits.
        network: one of `TORCHVISION`.
    """

    def __init__(self, num_classes: int = 19, network: str = "lraspp_mobilenet_v3") -> None:
        super().__init__()
        from torchvision.models import get_model

        net = get_model(TORCHVISION[network], weights=None, weights_backbone=None, num_classes=num_classes)
        self.num_classes, self.encoder = num_classes, "mobilenet_v3_large"
        self.backbone, self.classifier = net.backbone, net.classifier
        self._two_maps = network.startswith("lraspp")

    def logits(self, x: Tensor) -> Tensor:
        maps = self.backbone(x)
        return self.classifier(maps if self._two_maps else maps["out"])


class SMPNetwork(Peer):
    """Networks of segmentation_models_pytorch, see `SMP`.

    Args:
        num_classes: channels of the logits.
        network: one of `SMP`.
    """

    multiple = 32

    def __init__(self, num_classes: int = 19, network: str = "smp_segformer_b0") -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        architecture, encoder, options = SMP[network]
        device = torch.get_default_device()
        with torch.device("cpu"):  # SegFormer reads values while it is built, and the device meta has none
            net: Any = smp.create_model(architecture, encoder, None, classes=num_classes, **options).to(device)
        self.num_classes, self.encoder = num_classes, encoder.removeprefix("tu-")
        self.backbone, self.decoder, self.classifier = net.encoder, net.decoder, net.segmentation_head

    def logits(self, x: Tensor) -> Tensor:
        return self.classifier(self.decoder(self.backbone(x)))


def _normalises_one_value(module: nn.Module) -> bool:
    """Whether this is DeepLab's image pooling, as both libraries call it, with a batch normalisation in train mode."""
    return type(module).__name__ == "ASPPPooling" and any(
        isinstance(m, nn.BatchNorm2d) and m.training for m in module.modules()
    )
