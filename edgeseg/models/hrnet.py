"""HRNetV2, the backbone of the Improved HRNet networks: four resolutions side by side that exchange what they see.

Source: Wang et al., Deep High-Resolution Representation Learning for Visual Recognition, TPAMI 2021
(https://arxiv.org/abs/1908.07919), section 3. Most networks go down to a small map and climb back up. This one keeps
the 1/4 map to the end, adds a coarser one at every stage, and lets all of them talk in every module::

    1/4   ── layer1 ──┬── stage2 ──── stage3 ×4 ──── stage4 ×3 ──▶  C
    1/8               └── stage2 ──┬─ stage3 ×4 ──── stage4 ×3 ──▶ 2C
    1/16                           └─ stage3 ×4 ──┬─ stage4 ×3 ──▶ 4C
    1/32                                          └─ stage4 ×3 ──▶ 8C

A module is four residual blocks per resolution and one exchange, `Exchange`, which is the idea of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from edgeseg.models.layers import ConvBNReLU, init_weights, resize

STEM_CHANNELS = 64
LAYER1_CHANNELS = 256


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al., 2016, Fig. 5 left): (N, C, h, w) → (N, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBNReLU(channels, channels)
        self.conv2 = ConvBNReLU(channels, channels, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x)) + x)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 beside a shortcut (He et al., 2016, Fig. 5 right): (N, in_channels, h, w) → (N, 4·mid, h, w).

    Args:
        in_channels: channels of the input.
        mid_channels: channels of the 3×3 convolution.
    """

    def __init__(self, in_channels: int, mid_channels: int) -> None:
        super().__init__()
        out_channels = 4 * mid_channels
        self.conv1 = ConvBNReLU(in_channels, mid_channels, kernel=1)
        self.conv2 = ConvBNReLU(mid_channels, mid_channels)
        self.conv3 = ConvBNReLU(mid_channels, out_channels, kernel=1, relu=False)
        projects = in_channels != out_channels
        self.downsample = ConvBNReLU(in_channels, out_channels, kernel=1, relu=False) if projects else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv3(self.conv2(self.conv1(x))) + self.downsample(x))


class Exchange(nn.Module):
    """Every resolution receives the sum of all of them (section 3.1, Fig. 3).

    The path from map j to map i: nothing where i = j; upwards (j coarser) a 1×1 convolution and a bilinear resize;
    downwards (j finer) one stride-2 convolution per halving. ReLU follows the sum.

    Args:
        channels: of the maps, finest first.

    Shape:
        maps (N, channels[i], h_i, w_i) → as many of the same shapes.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        places = range(len(channels))
        self.paths = nn.ModuleList(nn.ModuleList(_path(channels, j, i) for j in places) for i in places)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [self.relu(self._sum(maps, target)) for target in range(len(maps))]

    def _sum(self, maps: Sequence[Tensor], target: int) -> Tensor:
        size = maps[target].shape[-2:]
        paths: Any = self.paths[target]
        received = [path(x) for path, x in zip(paths, maps, strict=True)]
        coarser = [resize(x, size, align_corners=True) for x in received[target + 1 :]]
        return reduce(torch.add, received[: target + 1] + coarser)


def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    if source == target:
        return nn.Identity()
    if source > target:
        return ConvBNReLU(channels[source], channels[target], kernel=1, relu=False)
    halvings = [ConvBNReLU(channels[source], channels[source], stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, ConvBNReLU(channels[source], channels[target], stride=2, relu=False))


class HRModule(nn.Module):
    """Residual blocks on every resolution, then one exchange: maps → maps of the same shapes.

    Args:
        channels: of the maps, finest first.
        blocks: `BasicBlock`s per map.
    """

    def __init__(self, channels: Sequence[int], blocks: int = 4) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c) for _ in range(blocks))) for c in channels)
        self.exchange = Exchange(channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return self.exchange([branch(x) for branch, x in zip(self.branches, maps, strict=True)])


class HRNet(nn.Module):
    """HRNetV2 without a head (section 3, Table 1).

    Its state entries are those of the public networks, in their order and shapes: 1830 at the default depth.
    `edgeseg.models.public` reads their ImageNet weights.

    Args:
        width: channels C of the finest map: 48 in the Improved HRNet paper; public weights exist for 18, 32 and 48.
        modules: `HRModule`s in stages 2, 3 and 4.
        blocks: residual blocks per map in a module, and in layer1. The public "W18-Small-v2" has ``modules=(1, 3, 2),
            blocks=2``.
        checkpointing: in training, keep only what enters layer1 and each module, and compute the rest once more in the
            backward pass: less memory for about a third more time. Results are the same; the running statistics of
            batch normalisation move once.

    Attributes:
        channels: (C, 2C, 4C, 8C), the channels of the maps that `forward` returns.

    Shape:
        (N, 3, H, W) → four maps (N, C, H/4, W/4), (N, 2C, H/8, W/8), (N, 4C, H/16, W/16), (N, 8C, H/32, W/32), each
        size rounded up.

    Raises:
        ValueError: a width or depth below 1, or not three numbers of modules.
    """

    def __init__(
        self, width: int = 48, modules: Sequence[int] = (1, 4, 3), blocks: int = 4, checkpointing: bool = False
    ) -> None:
        super().__init__()
        if len(modules) != 3 or min(*modules, blocks, width) < 1:
            raise ValueError(
                f"HRNet needs three numbers of modules, blocks and a width of 1 or more, not modules {tuple(modules)}, "
                f"blocks {blocks}, width {width}; the published networks have (1, 4, 3), 4 and 18, 32 or 48"
            )
        self.channels = c = (width, 2 * width, 4 * width, 8 * width)
        self.checkpointing = checkpointing
        self.stem1 = ConvBNReLU(3, STEM_CHANNELS, stride=2)
        self.stem2 = ConvBNReLU(STEM_CHANNELS, STEM_CHANNELS, stride=2)
        widths = [STEM_CHANNELS, *[LAYER1_CHANNELS] * (blocks - 1)]
        self.layer1 = nn.Sequential(*(Bottleneck(w, LAYER1_CHANNELS // 4) for w in widths))
        self.transition1 = nn.ModuleList(
            [ConvBNReLU(LAYER1_CHANNELS, c[0]), ConvBNReLU(LAYER1_CHANNELS, c[1], stride=2)]
        )
        self.stage2 = nn.Sequential(*(HRModule(c[:2], blocks) for _ in range(modules[0])))
        self.transition2 = _one_more(c[:3])
        self.stage3 = nn.Sequential(*(HRModule(c[:3], blocks) for _ in range(modules[1])))
        self.transition3 = _one_more(c)
        self.stage4 = nn.Sequential(*(HRModule(c, blocks) for _ in range(modules[2])))
        init_weights(self)

    @property
    def checkpointed(self) -> list[nn.Module]:
        """The parts whose activations are computed twice instead of kept; none without ``checkpointing``."""
        return [self.layer1, *self.stage2, *self.stage3, *self.stage4] if self.checkpointing else []

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem2(self.stem1(x))  # (N, 64, H/4, W/4)
        maps = self._run(self.layer1, [x])  # (N, 256, H/4, W/4)
        for grow, stage in (
            (self.transition1, self.stage2),  # 1/4, 1/8
            (self.transition2, self.stage3),  # 1/4, 1/8, 1/16
            (self.transition3, self.stage4),  # 1/4, 1/8, 1/16, 1/32
        ):
            # each map through its own layer; the new, coarser one comes from the coarsest there was
            maps = [layer(maps[min(i, len(maps) - 1)]) for i, layer in enumerate(grow)]
            for module in stage:
                maps = self._run(module, maps)
        return maps

    def _run(self, module: nn.Module, maps: list[Tensor]) -> list[Tensor]:
        """One part of the network on a list of maps, checkpointed if so asked."""

        def run(*inputs: Tensor) -> list[Tensor]:
            return module(list(inputs)) if isinstance(module, HRModule) else [module(inputs[0])]

        if not (self.checkpointing and self.training):
            return run(*maps)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _without_bn_updates(module)

        return checkpoint(run, *maps, use_reentrant=False, context_fn=contexts)


def _one_more(channels: Sequence[int]) -> nn.ModuleList:
    """The maps there are go on as they are; a stride-2 convolution makes one more from the coarsest."""
    kept = [nn.Identity() for _ in channels[:-1]]
    return nn.ModuleList([*kept, ConvBNReLU(channels[-2], channels[-1], stride=2)])


@contextmanager
def _without_bn_updates(module: nn.Module) -> Iterator[None]:
    """Leaves the running statistics of batch normalisation as they are: for a second computation of the same batch."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [(m.momentum, m.num_batches_tracked) for m in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
