"""Other people's real-time networks, as segmenters, so that the same `compile` and the same benchmark serve them all.

Their weights are random: speed does not depend on them, but mIoU says nothing and is not shown. Batch normalisation is
settled on a few scenes first, so that activations have the range of a trained network and no half-precision or integer
graph overflows that would not overflow in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from types import MappingProxyType

import torch
from torch import Tensor, nn

from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.inference import Segmenter
from edgeseg.models.layers import resize
from edgeseg.models.registry import create_model
from edgeseg.text import unknown

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of RGB in 0…1 that these networks are usually given."""
RANDOM = "random, seed 0"
"""What stands in the place of a weight's hash."""


@dataclass(frozen=True)
class Peer:
    """One network to compare with.

    Args:
        source: who made it, and where it is built.
        build: classes → module that gives logits at input size.
        package: module that must be importable; empty where edgeseg's own dependencies are enough.
    """

    source: str
    build: Callable[[int], nn.Module]
    package: str = ""

    def why_not(self) -> str | None:
        """Why it cannot be built here, with the pip line; ``None`` if it can."""
        if self.package and find_spec(self.package) is None:
            return f'it needs {self.package}: pip install "edgeseg[peers]"'
        return None


class PlainLogits(nn.Module):
    """A network that answers with a dict of ``"out"``, or at another size, as one that gives logits at input size.

    Args:
        net: the network.
        multiple: of H and W that it asks for: the image is padded with zeros at the bottom and on the right.

    Shape:
        (N, 3, H, W) → (N, classes, H, W).
    """

    def __init__(self, net: nn.Module, multiple: int = 1) -> None:
        super().__init__()
        self.net, self.multiple = net, multiple

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        padded = nn.functional.pad(x, (0, right, 0, below)) if below or right else x
        y = self.net(padded)
        logits = y["out"] if isinstance(y, Mapping) else y
        if logits.shape[-2:] != padded.shape[-2:]:
            logits = resize(logits, padded.shape[-2:])
        return logits[..., :height, :width]


def peer(name: str, num_classes: int) -> Segmenter:
    """One of `PEERS`, with random weights and as many classes as what it is compared with: argmax depends on them.

    Raises:
        DeployError: an unknown name, or a package that is missing.
    """
    if name not in PEERS:
        raise DeployError(unknown("peer", name, PEERS))
    if reason := PEERS[name].why_not():
        raise DeployError(f"peer {name}: {reason}")
    return untrained(name, PEERS[name].build, num_classes)


def untrained(name: str, build: Callable[[int], nn.Module], num_classes: int) -> Segmenter:
    """A network to be timed, under a name: random weights, always the same ones, batch normalisation settled."""
    from edgeseg.data.streets import Streets

    scenes = Streets("train", 4, size=(128, 256))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in IMAGENET)
    pixels = torch.stack([torch.from_numpy(scenes[i][0].copy()) for i in range(len(scenes))]).permute(0, 3, 1, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the weights
        model = build(num_classes)
        torch.manual_seed(0)  # of dropout
        torch.optim.swa_utils.update_bn([(pixels / 255 - mean) / std], model.train())
    model.arch = name  # type: ignore[assignment]
    return Segmenter(model, *IMAGENET)


def _torchvision(architecture: str, num_classes: int) -> nn.Module:
    from torchvision.models import get_model

    return PlainLogits(get_model(architecture, weights=None, weights_backbone=None, num_classes=num_classes))


def _smp(architecture: str, encoder: str, num_classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    return PlainLogits(smp.create_model(architecture, encoder, None, classes=num_classes), multiple=32)


_SMP = "segmentation_models_pytorch"
PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "lraspp_mobilenet_v3": Peer("torchvision", partial(_torchvision, "lraspp_mobilenet_v3_large"), "torchvision"),
        "deeplabv3_mobilenet_v3": Peer(
            "torchvision", partial(_torchvision, "deeplabv3_mobilenet_v3_large"), "torchvision"
        ),
        "stdc1_seg": Peer("Fan et al. 2021, built here", partial(create_model, "stdc1_seg", aux=False)),
        "stdc2_seg": Peer("Fan et al. 2021, built here", partial(create_model, "stdc2_seg", aux=False)),
        "pp_liteseg_t": Peer("Peng et al. 2022, built here", partial(create_model, "pp_liteseg_t", aux=False)),
        "pp_liteseg_b": Peer("Peng et al. 2022, built here", partial(create_model, "pp_liteseg_b", aux=False)),
        "smp_deeplabv3plus_mobilenet_v2": Peer(_SMP, partial(_smp, "DeepLabV3Plus", "mobilenet_v2"), _SMP),
        "smp_fpn_mobilenet_v3": Peer(f"{_SMP} over timm", partial(_smp, "FPN", "timm-mobilenetv3_large_100"), _SMP),
        "smp_unet_resnet18": Peer(_SMP, partial(_smp, "Unet", "resnet18"), _SMP),
    }
)
