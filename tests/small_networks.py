"""Networks small enough for a test of milliseconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgeseg.models.registry import ARCHS

SHALLOW = {"modules": (1, 1, 1), "blocks": 1}
"""An HRNet with one of everything."""
OURS = [name for name, arch in ARCHS.items() if not arch.package]
"""The architectures that are built here."""
STRUCTURES = [name for name in OURS if not name.endswith("_w18")]
"""Of these, without those that differ from another in their width alone."""


def small_switches(name: str) -> dict[str, Any]:
    """Narrow where the name leaves the width open, shallow where it leaves the depth open."""
    switches = ARCHS[name].switches
    shallow = SHALLOW if "blocks" in switches else {}
    narrow = {"width": 8 if shallow else 16} if "width" in switches else {}
    return narrow | shallow


def images(n: int, height: int, width: int) -> torch.Tensor:
    """Noise, always the same: (n, 3, height, width)."""
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def stir(model: nn.Module) -> None:
    """Give every batch normalisation statistics and factors of its own, so that a mix-up cannot go unseen."""
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, scale, offset in (
                (module.running_mean, 0.2, -0.1), (module.running_var, 1.0, 0.5),
                (module.weight.data, 0.5, 0.25), (module.bias.data, 0.2, -0.1),
            ):  # fmt: skip
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * scale + offset)
