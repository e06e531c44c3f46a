"""Other people's real-time networks, as segmenters, so that the same `compile` and the same benchmark serve them all.

Their weights are random: speed does not depend on them, but mIoU says nothing and is not shown. Batch normalisation is
settled on a few scenes first, so that activations have the range of a trained network and no half-precision or integer
graph overflows that would not overflow in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from edgeseg.inference import Segmenter

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of RGB in 0…1 that these networks are usually given."""
RANDOM = "random, seed 0"
"""What stands in the place of a weight's hash."""
PEERS: Mapping[str, str] = MappingProxyType(
    {
        "lraspp_mobilenet_v3": "torchvision",
        "deeplabv3_mobilenet_v3": "torchvision",
        "stdc1_seg": "Fan et al. 2021, built here",
        "stdc2_seg": "Fan et al. 2021, built here",
        "pp_liteseg_t": "Peng et al. 2022, built here",
        "pp_liteseg_b": "Peng et al. 2022, built here",
        "smp_deeplabv3plus_mobilenet_v2": "segmentation_models_pytorch",
        "smp_fpn_mobilenet_v3": "segmentation_models_pytorch over timm",
        "smp_unet_resnet18": "segmentation_models_pytorch",
        "smp_segformer_b0": "segmentation_models_pytorch",
    }
)
"""The architectures that a benchmark adds when asked for peers, and who made each: those for real time."""


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
