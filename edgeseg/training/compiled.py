"""Compiled training: what torch.compile must be told, and the proof that its gradients are those of eager training."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.training.distributed import mean_over_ranks

_NO_SLP = "-fno-tree-slp-vectorize"
_FEWEST = 32  # numbers in a tensor whose error means something by itself: one of a few numbers may be near 0 by chance
_NOTHING = torch.finfo(torch.float32).eps
"""The share of all gradients below which one is nothing but rounding, as that of a bias before a normalisation is."""
_FLOAT32 = 2**-4
"""The error of float32 gradients that counts as explained, the root of bfloat16's eps. A lost bit gives 1e-5, a lost
bit that makes another pixel the maximum 3e-2 in one tensor; wrong code gives 1."""


def compile_for_training(model: nn.Module, device: torch.device) -> nn.Module:
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
    # not dynamic: a second size of crops is code of its own, not slower code for both
    return torch.compile(model, dynamic=False, options=options)  # type: ignore[return-value]


def _sound_code() -> dict[str, Any]:
    """What keeps g++ from translating AVX-512 kernels wrongly.

    GCC 12.2 with ``-O3`` does so with PyTorch's transposition of 32×32 half-precision numbers, which gives garbage (see
    ``benchmarks/inductor_max.py``). Its vectoriser of straight-line code is at fault; these kernels are written in
    vectors already. A PyTorch that takes no flags beside its compiler's name gets vectors
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


def gradient_fault(
    model: nn.Module,
    forward: nn.Module,
    loss: Callable[[nn.Module, torch.dtype], Tensor],
    dtype: torch.dtype,
    device: torch.device,
) -> str:
    """Compare the gradients of one batch through the compiled model with eager ones.

    What rounding explains is measured: the same gradients in float32. As both kinds of rounding may fall differently at
    every number, the compiled gradients may part from the eager ones √2 times as far as those do from float32: over all
    parameters, and in every larger tensor, where the error over all is allowed too. Costs an eager step in `dtype` and
    one in float32; leaves weights, statistics, gradients (none) and random numbers as they are.

    Args:
        model: the eager model, in the mode that it trains in.
        forward: the same, compiled, with the same parameters.
        loss: the batch's, through a model, with matrix products in a type.
        dtype: what the run computes in.
        device: of the model.

    Returns:
        What is wrong, in one line; empty if nothing is.
    """
    twin, buffers = copy.deepcopy(model), [buffer.clone() for buffer in model.buffers()]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        eager = _gradients(twin, twin, loss, dtype)
        # twice as much is kept for the backward pass as in half precision: what a GPU cannot hold waits beside the CPU
        with torch.autograd.graph.save_on_cpu():
            reference = _gradients(twin, twin, loss, torch.float32) if dtype != torch.float32 else eager
        found = _gradients(model, forward, loss, dtype)
    with torch.no_grad():
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)
    return _beyond_rounding(found, eager, reference)


def _gradients(
    model: nn.Module, forward: nn.Module, loss: Callable[[nn.Module, torch.dtype], Tensor], dtype: torch.dtype
) -> dict[str, Tensor]:
    """The mean over the ranks of every parameter's gradient, from the same random numbers at every call."""
    torch.manual_seed(0)
    model.zero_grad(set_to_none=True)
    loss(forward, dtype).backward()
    gradients = {name: mean_over_ranks(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return gradients


def _beyond_rounding(found: dict[str, Tensor], eager: dict[str, Tensor], reference: dict[str, Tensor]) -> str:
    """What is wrong with `found`, see `gradient_fault`; where the reference is eager itself, against `_FLOAT32`."""
    if found.keys() != eager.keys():
        return f"{len(found)} parameters have gradients in compiled training, {len(eager)} in eager training"
    broken, also = (sum(not g.isfinite().all() for g in gradients.values()) for gradients in (found, eager))
    if broken:
        return f"compiled gradients are not finite in {broken} of {len(found)} parameters (eager ones in {also})"
    size = {name: _norm(gradient) for name, gradient in reference.items()}
    error = {name: _norm(gradient - reference[name]) for name, gradient in eager.items()}
    apart = {name: _norm(gradient - eager[name]) for name, gradient in found.items()}
    whole = _hypot(size)
    share = _FLOAT32 if reference is eager else _hypot(error) / (whole or 1.0)
    if not _hypot(apart) <= math.sqrt(2) * share * whole:
        return _too_far("", _hypot(apart), share * whole, whole)
    for name, gradient in found.items():
        if gradient.numel() < _FEWEST or size[name] <= _NOTHING * whole:
            continue
        explained = math.hypot(error[name], share * size[name])
        if not apart[name] <= math.sqrt(2) * explained:
            return _too_far(f" of {name}", apart[name], explained, size[name])
    return ""


def _too_far(whose: str, apart: float, explained: float, size: float) -> str:
    off, rounding = (f"{100 * value / (size or 1.0):.2g} %" for value in (apart, explained))
    return f"compiled gradients{whose} are {off} off the eager ones, where rounding explains {rounding}"


def _hypot(norms: dict[str, float]) -> float:
    return math.hypot(*norms.values())


def _norm(x: Tensor) -> float:
    return float(torch.linalg.vector_norm(x.double()))
