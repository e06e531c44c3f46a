"""What depthwise convolutions in float32 are worth to training in bfloat16 on a CPU.

    python benchmarks/depthwise.py                          # EfficientNet-Lite0 on 4 crops of 192×256, half a minute
    python benchmarks/depthwise.py --batch 8 --crop 288x384

One step is a forward and a backward pass of the backbone under bfloat16 autocast. Both ways take turns, step by step,
so that whatever else the machine does meets both alike; medians are printed, and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from edgeseg.models.backbones import build_backbone
from edgeseg.models.efficientnet import DepthwiseConv2d
from edgeseg.text import parse_size


def main() -> None:
    """Time both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="efficientnet_lite0", help="one of the EfficientNet-Lites")
    parser.add_argument("--batch", type=int, default=4, help="crops per step")
    parser.add_argument("--crop", default="192x256", help="height x width")
    parser.add_argument("--steps", type=int, default=12, help="of each way, after one that is not counted")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    ways = {
        "float32": build_backbone(arguments.backbone).train(),
        "bfloat16": build_backbone(arguments.backbone).train(),
    }
    make_plain(ways["bfloat16"])
    x = torch.randn(arguments.batch, 3, *parse_size(arguments.crop)).contiguous(memory_format=torch.channels_last)
    for model in ways.values():
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        step(model, x)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(arguments.steps):
        for way, model in ways.items():
            seconds[way].append(step(model, x))
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    for way, median in medians.items():
        print(
            f"depthwise in {way}: {median:.3f} s a step, median of {arguments.steps}; fastest {min(seconds[way]):.3f} s"
        )
    print(f"ratio of the medians: {medians['bfloat16'] / medians['float32']:.2f}")


def make_plain(backbone: nn.Module) -> None:
    """Turn the depthwise convolutions into PyTorch's own, which compute in the type of autocast."""
    for module in backbone.modules():
        for name, child in module.named_children():
            if isinstance(child, DepthwiseConv2d):
                c, side = child.in_channels, child.kernel_size[0]
                setattr(module, name, nn.Conv2d(c, c, side, child.stride, side // 2, groups=c, bias=False))


def step(model: nn.Module, x: torch.Tensor) -> float:
    """Seconds of one forward and backward pass."""
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        maps = model(x)
    sum(y.float().square().mean() for y in maps).backward()
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
