"""Other people's networks under this package's contract: what trains, scores and compiles ours does the same for them.

Their libraries build them, torchvision and segmentation_models_pytorch, which the extra ``peers`` installs; both are
imported when a network is built, never before. Weights are random; an encoder's ImageNet weights come in from a file,
as for our own networks (`edgeseg.models.public`).

A network is cut in two: ``backbone``, which can be frozen, and the rest, whose last part is ``classifier``, which
starts anew for other classes. For torchvision's networks that is the whole head.

``aux=True`` adds torchvision's FCN head for training, which inference does without. It is torchvision's own for its
DeepLabV3. segmentation_models_pytorch has none (its ``aux_params`` classify whole images); its networks get the same
head on the encoder's last map but one, where the Improved HRNet paper's PSPNet has it. That paper's DeepLabv3+ and
SegFormer have none. Nor has LR-ASPP.
"""

from __future__ import annotations

from collections import OrderedDict
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
class Difference:
    """What a printed network has beside the library's, as its paper counts (`edgeseg.models.papers`).

    Args:
        what: in words.
        params: parameters, may be negative.
        operations: (stride of a map, operations at each of its places), negative where it has fewer; stride 0 is once
            an image.
    """

    what: str
    params: int = 0
    operations: tuple[tuple[int, int], ...] = ()

    def operations_at(self, size: tuple[int, int]) -> int:
        """Operations of one image of (H, W), multiples of the strides."""
        height, width = size
        return sum(n * (height // stride * (width // stride) if stride else 1) for stride, n in self.operations)


@dataclass(frozen=True)
class PrintedPeer:
    """A network that the Improved HRNet paper compares with, beside the library's.

    Args:
        printed: its name there.
        table: where.
        name: of the architecture here; empty where neither library has it.
        classes: 20 on Cityscapes, 21 on VOC.
        params: million parameters, to the digit as printed; empty where none are.
        gflops: of an image of `size`, as printed; empty where none are.
        tflops: of 1024×2048, as printed; empty where none are.
        aux: whether the printed parameters are those with the auxiliary head.
        differs: what the printed network has beside the library's.
        why_not: why it cannot be had.
    """

    printed: str
    table: str
    name: str = ""
    classes: int = 20
    params: str = ""
    gflops: str = ""
    tflops: str = ""
    aux: bool = False
    differs: tuple[Difference, ...] = ()
    why_not: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) that the GFLOPs are of."""
        return (512, 1024) if self.classes == 20 else (512, 512)


# A weight is a parameter and one operation at each place of the output; batch normalisation two a channel, and four.
_STEM = Difference("the stem's batch normalisation is not called", 0, ((2, -4 * 64),))


def _psp_differs(classes: int) -> tuple[Difference, ...]:
    after, classifier = 8 * 4096 * 512, -8 * 512 * classes
    auxiliary = 9 * 1024 * 256 + 4 * 256 + 256 * classes
    return (
        Difference("3×3 instead of 1×1 after the pyramid", after, ((8, after),)),
        Difference("1×1 classifier instead of 3×3", classifier, ((8, classifier),)),
        Difference("batch normalisation instead of a bias in the pyramid's 1×1 branch", 2 * 512 - 512, ((0, 4 * 512),)),
        Difference("the auxiliary head runs in eval mode, too", 0, ((8, auxiliary),)),
        _STEM,
    )


_PLAIN = 9 * 304 * 256 + 9 * 256 * 256
_SEPARABLE = {8: 9 * 256 + 256 * 256, 4: 9 * 304 + 304 * 256}
_DEEPLAB_DIFFERS = (
    Difference(
        "two 3×3 convolutions at 1/4 instead of separable ones at 1/8 and 1/4",
        _PLAIN - sum(_SEPARABLE.values()),
        ((4, _PLAIN + 4 * 256 - _SEPARABLE[4]), (8, -_SEPARABLE[8] - 4 * 256)),
    ),
    Difference("biases in front of batch normalisations", 2096),
    Difference("the mean of the image is no layer, so the tool sees none", 0, ((8, -2048), (0, -2048))),
)

_PSP, _R, _X = "smp_pspnet_resnet50", "smp_deeplabv3plus_resnet50", "smp_deeplabv3plus_xception65"
_PLUS_R = (*_DEEPLAB_DIFFERS, _STEM)
_ELSEWHERE = "neither library has it; quoted from its paper there"
PRINTED: tuple[PrintedPeer, ...] = (
    PrintedPeer("PSPNet", "Table IV", _PSP, 20, "48.957", "749.149", "2.996", True, _psp_differs(20)),
    PrintedPeer("PSPNet", "Table V", _PSP, 21, "48.958", "374.634", "", True, _psp_differs(21)),
    PrintedPeer("DeepLabv3+_R", "Table IV", _R, 20, "40.354", "732.532", "2.930", differs=_PLUS_R),
    PrintedPeer("DeepLabv3+_R", "Table V", _R, 21, "40.354", "366.275", differs=_PLUS_R),
    PrintedPeer("DeepLabv3+_X", "Table V", _X, 21, "54.714", "486.773", differs=_DEEPLAB_DIFFERS),
    PrintedPeer("SegFormer", "Table IV", "smp_segformer_b3", 20, "47.238", "286.349", "1.145"),
    PrintedPeer("SegFormer", "Table V", "smp_segformer_b3", 21, "47.239", "143.199"),
    PrintedPeer("SCTNet-S", "Table IV", params="4.6", why_not=_ELSEWHERE),
    PrintedPeer("SeaFormer-S", "Table IV", tflops="0.02", why_not=_ELSEWHERE),
    PrintedPeer("SeaFormer-B", "Table IV", tflops="0.03", why_not=_ELSEWHERE),
)
"""The other networks of the Improved HRNet paper's Tables IV and V. What differs was found by counting, and what runs
and what the tool sees in the authors' published code. With it, every printed number comes out to the last digit."""


class Peer(nn.Module):
    """A network that somebody else has built.

    A subclass sets `num_classes`, `backbone` and `encoder`, the backbone's name in its library, and gives `logits` and,
    where it can have an `aux_head`, `aux_map`.

    Shape:
        (N, 3, H, W) → in eval mode logits (N, classes, H, W), in train mode a dict of ``"out"``, the same, and
        ``"aux"``, a list with the auxiliary head's, where there is one. Any H, W ≥ 32.
    """

    num_classes: int
    backbone: nn.Module
    encoder: str
    multiple = 1
    """Of H and W that the network asks for: the image gets zeros, the mean colour, at the bottom and on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.aux_head: nn.Module | None = None

    def logits(self, maps: Any) -> Tensor:
        """What `backbone` gives for (N, 3, H, W), H and W multiples of `multiple` → (N, classes, h, w)."""
        raise NotImplementedError

    def aux_map(self, maps: Any) -> Tensor:
        """The map of the backbone that the auxiliary head sees."""
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
        maps = self.backbone(padded)
        logits = _of_image(self.logits(maps), padded, x)
        if not self.training:
            return logits
        head = self.aux_head
        return {"out": logits, "aux": [] if head is None else [_of_image(head(self.aux_map(maps)), padded, x)]}


class TorchvisionNetwork(Peer):
    """LR-ASPP (Howard et al., ICCV 2019) and DeepLabV3 (Chen et al., 2017) on MobileNetV3-Large, from torchvision.

    Args:
        num_classes: channels of the logits.
        network: one of `TORCHVISION`.
        aux: DeepLabV3's FCN head on the map at 1/8, for training only.

    Raises:
        ValueError: ``aux`` of LR-ASPP, which has none.
    """

    def __init__(self, num_classes: int = 19, network: str = "lraspp_mobilenet_v3", aux: bool = False) -> None:
        super().__init__()
        from torchvision.models import get_model

        self._two_maps = network.startswith("lraspp")
        if aux and self._two_maps:
            raise ValueError(f"{network}: torchvision's LR-ASPP has no auxiliary head; leave aux out")
        head = {} if self._two_maps else {"aux_loss": aux}
        net = get_model(TORCHVISION[network], weights=None, weights_backbone=None, num_classes=num_classes, **head)
        self.num_classes, self.encoder = num_classes, "mobilenet_v3_large"
        self.backbone, self.classifier = net.backbone, net.classifier
        if aux:
            self.aux_head = _named_classifier(net.aux_classifier)

    def logits(self, maps: Any) -> Tensor:
        return self.classifier(maps if self._two_maps else maps["out"])

    def aux_map(self, maps: Any) -> Tensor:
        return maps["aux"]


class SMPNetwork(Peer):
    """Networks of segmentation_models_pytorch, see `SMP`.

    Args:
        num_classes: channels of the logits.
        network: one of `SMP`.
        aux: torchvision's FCN head on the encoder's last map but one, for training only.
    """

    multiple = 32

    def __init__(self, num_classes: int = 19, network: str = "smp_segformer_b0", aux: bool = False) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        architecture, encoder, options = SMP[network]
        device = torch.get_default_device()
        with torch.device("cpu"):  # SegFormer reads values while it is built, and the device meta has none
            net: Any = smp.create_model(architecture, encoder, None, classes=num_classes, **options).to(device)
        self.num_classes, self.encoder = num_classes, encoder.removeprefix("tu-")
        self.backbone, self.decoder, self.classifier = net.encoder, net.decoder, net.segmentation_head
        if aux:
            from torchvision.models.segmentation.fcn import FCNHead

            self.aux_head = _named_classifier(FCNHead(net.encoder.out_channels[-2], num_classes))

    def logits(self, maps: Any) -> Tensor:
        return self.classifier(self.decoder(maps))

    def aux_map(self, maps: Any) -> Tensor:
        return maps[-2]


def _of_image(logits: Tensor, padded: Tensor, image: Tensor) -> Tensor:
    """Logits at any resolution of a padded image → those of the image, at its size."""
    if logits.shape[-2:] != padded.shape[-2:]:
        logits = resize(logits, padded.shape[-2:])
    return logits[..., : image.shape[-2], : image.shape[-1]]


def _named_classifier(head: nn.Module) -> nn.Module:
    """A head whose entries are a classifier's by name, so that all of it starts anew for other classes."""
    return nn.Sequential(OrderedDict(classifier=head))


def _normalises_one_value(module: nn.Module) -> bool:
    """Whether this is DeepLab's image pooling, as both libraries call it, with a batch normalisation in train mode."""
    return type(module).__name__ == "ASPPPooling" and any(
        isinstance(m, nn.BatchNorm2d) and m.training for m in module.modules()
    )
