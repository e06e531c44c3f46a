"""Parameter groups, learning-rate schedules, the moving average of weights, and what is done to it at the end."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from edgeseg.models.weights import is_aux_key, is_head_key
from edgeseg.training.network import backbone_of
from edgeseg.training.recipe import Recipe, RecipeError

LR_FACTOR = "lr_factor"
"""The key of a parameter group under which stands what the learning rate is multiplied by for it."""


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or AdamW over the trainable parameters; with `decay_conv_only` BN weights and all biases are not decayed.

    A backbone that is to be frozen for a while is among them: a parameter without a gradient is passed over, with
    neither decay nor momentum. Where the backbone has a rate of its own, its parameters make groups of their own.
    """
    apart = recipe.backbone_lr != 1
    backbone = set(backbone_of(model).parameters()) if apart else set()
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": decay, LR_FACTOR: factor}
        for factor in ((1.0, recipe.backbone_lr) if apart else (1.0,))
        for decay in (recipe.weight_decay, 0.0)
    ]
    for parameter in model.parameters():
        if parameter.requires_grad:
            plain = recipe.decay_conv_only and parameter.ndim <= 1
            groups[2 * (parameter in backbone) + plain]["params"].append(parameter)
    groups = [g for g in groups if g["params"]]
    if recipe.optimizer == "adamw":
        # one pass over memory instead of ten: on a CPU twice to four times as fast (benchmarks/step.py)
        fused = next(model.parameters()).device.type in ("cpu", "cuda")
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=fused)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set an iteration's learning rate, each group of `make_optimizer` to its multiple of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group[LR_FACTOR]


def learning_rate(recipe: Recipe, step: int, progress: float) -> float:
    """Learning rate of one iteration.

    ``cosine`` without tail and warm-up, and with iterations or epochs as budget, is the Improved HRNet paper's Eq. 8.
    ``poly`` runs between the two rates, min_lr + (lr − min_lr)·(1 − progress)^power, as in mmsegmentation, which the
    Cross-CBAM paper names. Its section 4.2 has lr "multiplied by" the power, which leaves min_lr as a floor: half-way
    from 0.01 to 1e-4 that would be 0.00536, and is 0.00541 here.

    Args:
        step: iterations done, for the warm-up.
        progress: 0…1, the share of the budget that is spent.
    """
    progress = min(max(progress / (1 - recipe.tail), 0.0), 1.0)
    if recipe.schedule == "cosine":
        lr = recipe.min_lr + (recipe.lr - recipe.min_lr) * 0.5 * (1 + math.cos(math.pi * progress))
    else:
        lr = recipe.min_lr + (recipe.lr - recipe.min_lr) * (1 - progress) ** recipe.power
    return lr * min(1.0, (step + 1) / recipe.warmup) ** recipe.warmup_power if recipe.warmup else lr


class EMA:
    """Exponential moving average of a model's parameters; its buffers are the model's latest.

    The decay rises as (1 + t) / (10 + t) to its final value, so that the random start is forgotten early.

    Args:
        model: the model to follow; a copy of it, in eval mode, is `.model`.
        decay: final decay per iteration; 0 copies the weights as they are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after iteration `step` (0, 1, …)."""
        average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))
        average(list(self.model.parameters()), list(model.parameters()), step)
        for own, latest in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(latest)


@torch.no_grad()
def unweight(model: nn.Module, offsets: Tensor) -> None:
    """Subtract from every classifier's bias; a class's logit is then lower by its offset everywhere.

    Args:
        model: is changed; auxiliary heads are left alone.
        offsets: (C,).
    """
    for bias in classifier_biases(model, len(offsets)):
        bias.sub_(offsets.to(bias.device))


def classifier_biases(model: nn.Module, classes: int) -> list[nn.Parameter]:
    """The biases that `unweight` subtracts from.

    Raises:
        RecipeError: there is none.
    """
    named = [(name, p) for name, p in model.named_parameters() if is_head_key(name) and not is_aux_key(name)]
    biases = [parameter for _, parameter in named if parameter.shape == (classes,)]
    if not biases:
        raise RecipeError("unweight: this network's classifier has no bias to subtract from; set unweight=0")
    return biases


@torch.no_grad()
def precise_bn(model: nn.Module, batches: Iterable[Tensor], fixed: nn.Module | None = None) -> None:
    """Replace BN's moving statistics by plain means over some training batches (Wu & Johnson 2021, section 3).

    The moving ones lag behind the weights, and those of averaged weights never belonged to them.

    Args:
        model: is left in eval mode.
        batches: normalised images (N, 3, H, W).
        fixed: a part of it that keeps the statistics it has: a backbone that is still frozen.
    """
    kept = set() if fixed is None else set(fixed.modules())
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m not in kept]
    momenta = [norm.momentum for norm in norms]
    model.train()
    if fixed is not None:
        fixed.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    for images in batches:
        model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
