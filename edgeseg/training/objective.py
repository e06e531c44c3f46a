"""The training loss of a whole network: main head, auxiliary heads, boundary head."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.training import losses
from edgeseg.training.distill import Distillation
from edgeseg.training.recipes import Recipe, RecipeError

_TERM = re.compile(r"^(?:([\d.]+)\s*\*?\s*)?([a-z]+)$")
_LOSSES = {"ce": losses.CrossEntropy, "ohem": losses.OHEM, "focal": losses.Focal, "dice": losses.Dice}
_WEIGHTED = ("ce", "ohem", "focal")  # take class weights


def make_losses(text: str, class_weights: Tensor | None, stride: int) -> list[tuple[float, losses.Loss]]:
    """``"ohem + 0.5 dice"`` → ``[(1.0, OHEM), (0.5, Dice)]``, each taken at 1/stride of the label's size."""
    found = []
    for part in text.split("+"):
        match = _TERM.match(part.strip())
        if not match or match[2] not in _LOSSES:
            raise RecipeError(
                f"loss {text!r}: write a sum of {', '.join(_LOSSES)} with optional factors, e.g. 'ohem + 0.5 dice'"
            )
        options: dict[str, Any] = {"weight": class_weights} if match[2] in _WEIGHTED else {}
        found.append((float(match[1] or 1), _LOSSES[match[2]](stride=stride, **options)))
    return found


class Objective(nn.Module):
    """Weighted sum of the losses of all heads.

    Args:
        recipe: names the losses, their weights and strides.
        class_weights: (C,) or None.
        align_corners: how the network resizes its logits, see `losses.Loss`.
    """

    def __init__(self, recipe: Recipe, class_weights: Tensor | None = None, align_corners: bool = False) -> None:
        super().__init__()
        main = make_losses(recipe.loss, class_weights, recipe.loss_stride)
        aux = [(w * recipe.aux_weight, m) for w, m in make_losses(recipe.aux_loss, class_weights, recipe.aux_stride)]
        self.main, self.aux = main, aux
        for _, loss in (*main, *aux):
            loss.align_corners = align_corners
        self.parts = nn.ModuleList(loss for _, loss in (*main, *aux))  # so that .to(device) moves the class weights
        self.boundary = losses.Boundary() if recipe.boundary_weight else None
        self.boundary_weight = recipe.boundary_weight
        distillation = Distillation(recipe.temperature, recipe.loss_stride, align_corners)
        self.distillation = distillation if recipe.teacher else None
        self.teacher_weight = recipe.teacher_weight

    def terms(self, outputs: dict[str, Any], target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, sums and normalisers of all terms: the loss is Σ weight · sum / count.

        Args:
            outputs: of a model in train mode, ``{"out": (N, C, h, w), "aux": [...], "boundary": ...}``, and under
                ``"teacher"`` a teacher's logits (N, C, H, W) where the recipe has one.
            target: (N, H, W) class ids, void 255.

        Returns:
            three (T,) tensors; sums and counts of several ranks add up, so that the loss is that of the whole batch.
        """
        calls = [(weight, loss, outputs["out"]) for weight, loss in self.main]
        for logits in outputs["aux"]:
            calls += [(weight, loss, logits) for weight, loss in self.aux]
        if self.boundary is not None:
            calls.append((self.boundary_weight, self.boundary, outputs["boundary"]))
        terms = [(weight, loss.terms(logits, target)) for weight, loss, logits in calls]
        if self.distillation is not None:
            terms.append((self.teacher_weight, self.distillation.terms(outputs["out"], outputs["teacher"], target)))
        weights, sums, counts = [], [], []
        for weight, term in terms:
            total, count = (t.reshape(-1).float() for t in term)
            weights.append(torch.full_like(total, weight))
            sums.append(total)
            counts.append(count)
        return torch.cat(weights), torch.cat(sums), torch.cat(counts)

    def forward(self, outputs: dict[str, Any], target: Tensor) -> Tensor:
        """The loss of one batch on one process."""
        weights, sums, counts = self.terms(outputs, target)
        return (weights * sums / counts.clamp(min=1)).sum()
