"""Training on several processes: what ranks have to agree on. With one process everything here is a no-op."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from edgeseg.training.losses import Objective


def join_group(device: str | torch.device | None) -> tuple[int, int, torch.device]:
    """Rank, number of ranks and device of this process; joins torchrun's group where there is one."""
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return (dist.get_rank() if world > 1 else 0), world, chosen


def in_group() -> bool:
    """Whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized()


def global_loss(objective: Objective, outputs: dict[str, Any], target: Tensor) -> Tensor:
    """The loss of the batch over all ranks: the global sum over the global count of valid pixels.

    DistributedDataParallel averages gradients over ranks, so a rank's share is multiplied by their number.
    """
    if not in_group():
        return objective(outputs, target)
    sums, counts = objective.terms(outputs, target)
    counts = counts.detach()
    dist.all_reduce(counts)
    return (sums / counts.clamp(min=1)).sum() * dist.get_world_size()


def mean_over_ranks(value: Tensor) -> Tensor:
    """A 0-dim value averaged over the ranks."""
    if in_group():
        dist.all_reduce(value)
        value = value / dist.get_world_size()
    return value


def slowest_clock(seconds: float, device: torch.device) -> float:
    """The largest of the ranks' times, so that all stop at the same step."""
    if not in_group():
        return seconds
    clock = torch.tensor(seconds, device=device)
    dist.all_reduce(clock, dist.ReduceOp.MAX)
    return clock.item()


def same_buffers(model: nn.Module) -> None:
    """Give every rank the first one's buffers: statistics that were not synchronised differ between them."""
    if in_group():
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
