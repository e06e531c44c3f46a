"""Other people's real-time networks, as segmenters, so that the same `compile` and the same benchmark serve them all.

Their weights are random: speed does not depend on them, but mIoU says nothing and is not shown. Batch normalisation is
settled on a few scenes first, so that activations have the range of a trained network and no half-precision or integer
graph overflows that would not overflow in use.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from edgeseg.bench.plan import Network
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.inference import Segmenter
from edgeseg.models.layers import resize

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of RGB in 0…1 that these networks are usually given."""


@dataclass(frozen=True)
class Peer:
    """One network to compare with.

    Args:
        source: who made it, and what is needed.
        build: classes → module that gives logits at input size.
        package: module that must be importable; empty where edgeseg's own dependencies are enough.
    """

    source: str
    build: Callable[[int], nn.Module]
    package: str = ""


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


def list_peers() -> list[str]:
    """Names that `peer` builds, whether their package is installed or not."""
    return list(PEERS)


def why_not(name: str) -> str | None:
    """Why a peer cannot be built here, with the pip line; ``None`` if it can."""
    from importlib.util import find_spec

    package = _known(name).package
    if package and find_spec(package) is None:
        return f'it needs {package}: pip install "edgeseg[peers]"'
    return None


def peer(name: str, num_classes: int = 19, seed: int = 0) -> Network:
    """A peer with random weights.

    Args:
        name: one of `list_peers`.
        num_classes: classes; take those of the network that it is compared with, since argmax and the last resize
            depend on them.
        seed: of the weights.

    Raises:
        DeployError: an unknown name, or a package that is missing.
    """
    if reason := why_not(name):
        raise DeployError(f"peer {name}: {reason}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PEERS[name].build(num_classes)
    return untrained(name, model, seed, peer=True)


def untrained(name: str, model: nn.Module, seed: int, peer: bool = False) -> Network:
    """A network with the weights that it was made with, its batch normalisation settled on scenes, to be timed.

    Args:
        name: as it is shown.
        model: gives logits.
        seed: that its weights were drawn with.
        peer: see `edgeseg.bench.plan.Network`.
    """
    model.arch = name  # type: ignore[assignment]
    segmenter = Segmenter(_settled(model), *IMAGENET)
    return Network(name, segmenter, f"random, seed {seed}", peer)


def _settled(model: nn.Module, images: int = 4) -> nn.Module:
    """Running statistics from a few small scenes; the model in eval mode."""
    from edgeseg.data.streets import Streets

    scenes = Streets("train", images, size=(128, 256))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in IMAGENET)
    pixels = torch.stack([torch.from_numpy(scenes[i][0].copy()) for i in range(images)]).permute(0, 3, 1, 2)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.momentum = 1.0  # this batch's statistics, none of the past
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of dropout
        model.train()((pixels / 255 - mean) / std)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


# Networks -------------------------------------------------------------------------------------------------------------


def _lraspp(num_classes: int) -> nn.Module:
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    return PlainLogits(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes))


def _deeplab(num_classes: int) -> nn.Module:
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    return PlainLogits(deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes))


def _own(kind: str, backbone: str) -> Callable[[int], nn.Module]:
    def build(num_classes: int) -> nn.Module:
        from edgeseg.models import baselines

        return getattr(baselines, kind)(num_classes, backbone, aux=False)

    return build


def _smp(kind: str, encoder: str) -> Callable[[int], nn.Module]:
    def build(num_classes: int) -> nn.Module:
        import segmentation_models_pytorch as smp

        return PlainLogits(getattr(smp, kind)(encoder, encoder_weights=None, classes=num_classes), multiple=32)

    return build


_SMP = "segmentation_models_pytorch"
PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "lraspp_mobilenet_v3": Peer("torchvision", _lraspp),
        "deeplabv3_mobilenet_v3": Peer("torchvision", _deeplab),
        "stdc1_seg": Peer("Fan et al. 2021, built here", _own("STDCSeg", "stdc1")),
        "stdc2_seg": Peer("Fan et al. 2021, built here", _own("STDCSeg", "stdc2")),
        "pp_liteseg_t": Peer("Peng et al. 2022, built here", _own("PPLiteSeg", "stdc1")),
        "pp_liteseg_b": Peer("Peng et al. 2022, built here", _own("PPLiteSeg", "stdc2")),
        "smp_deeplabv3plus_mobilenet_v2": Peer(
            "segmentation_models.pytorch", _smp("DeepLabV3Plus", "mobilenet_v2"), _SMP
        ),
        "smp_fpn_mobilenet_v3": Peer(
            "segmentation_models.pytorch over timm", _smp("FPN", "timm-mobilenetv3_large_100"), _SMP
        ),
        "smp_unet_resnet18": Peer("segmentation_models.pytorch", _smp("Unet", "resnet18"), _SMP),
    }
)


def _known(name: str) -> Peer:
    if name not in PEERS:
        near = [p for p in PEERS if name in p] or difflib.get_close_matches(name, PEERS, 2, 0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise DeployError(f"no peer {name!r}; {hint}There are {', '.join(PEERS)}")
    return PEERS[name]
