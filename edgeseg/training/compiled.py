"""Compiled training: what torch.compile must be told so that its gradients are those of eager training."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

_NO_SLP = "-fno-tree-slp-vectorize"


def compiled(model: nn.Module, device: torch.device) -> nn.Module:
    """A model through torch.compile, with eager's roundings and eager's random numbers.

    ``emulate_precision_casts``: a backward pass in half precision otherwise recomputes unrounded what ``amax`` looked
    at rounded, finds no maximum in it and divides by zero. ``fallback_random``: dropout drops what it would in eager.

    Args:
        model: also inside DistributedDataParallel. Is compiled at its first call; shares its weights with the result.
        device: where it computes.
    """
    options: dict[str, Any] = {"emulate_precision_casts": True, "fallback_random": True}
    if device.type == "cpu":
        options |= _sound_code()
    return torch.compile(model, options=options)  # type: ignore[return-value]


def _sound_code() -> dict[str, Any]:
    """What keeps g++ from translating AVX-512 kernels wrongly.

    GCC 12.2 with ``-O3`` does so with PyTorch's transposition of 32×32 half-precision numbers, which gives garbage (see
    ``benchmarks/inductor_max.py``). Its vectoriser of straight-line code is at fault; these kernels are written in
    vectors already and lose nothing without it. A PyTorch that takes no flags beside its compiler's name gets vectors
    of 256 bits, for which that transposition is not written: slower.
    """
    from torch._inductor import config, cpp_builder

    if sys.platform != "linux" or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return {}
    option = {"cpp.cxx": tuple(name and f"{name} {_NO_SLP}" for name in config.cpp.cxx)}
    try:
        with config.patch(option):
            cpp_builder.get_cpp_compiler()
    except RuntimeError:
        return {"cpp.simdlen": 256}
    return option
