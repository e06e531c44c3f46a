"""In which number format a run computes: the recipe's, unless the processor would only imitate it."""

from __future__ import annotations

import warnings

import torch

from edgeseg.machine import has_bf16

_TYPES = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def compute_type(amp: str, device: torch.device) -> torch.dtype:
    """The type that a recipe's ``amp`` means on a device; float32 means no autocast.

    A CPU without bfloat16 instructions convolves in bfloat16 an order of magnitude slower than in float32, so there
    ``bf16`` becomes float32, with a warning: more exact and faster.

    Args:
        amp: ``none``, ``bf16`` or ``fp16``.
        device: where the run trains.
    """
    if amp == "bf16" and device.type == "cpu" and not has_bf16():
        warnings.warn(
            "this processor has no bfloat16 instructions: amp=bf16 computes in float32 here (amp=none says so itself)",
            stacklevel=2,
        )
        return torch.float32
    return _TYPES[amp]
