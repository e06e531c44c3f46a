"""Distillation: a small network also learns what a finished, stronger one says of every pixel.

Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2, pixel by pixel: the student's distribution
is drawn to the teacher's, both softened by a temperature T, with the factor T² that keeps the gradient's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeseg.data.labels import ClassTable, match_classes
from edgeseg.models.registry import SUFFIX, UnknownModelError, create_model
from edgeseg.models.weights import read_weights
from edgeseg.models.zoo import find_weights, list_weights
from edgeseg.text import unknown


def check_teacher(weight: str, table: ClassTable) -> None:
    """Refuse a teacher by what its file says of itself.

    Raises:
        UnknownModelError, WeightError: there is none of that name, it is no trained weight, or its file is damaged.
        LabelError: it has other classes, or the same in another order.
    """
    if not weight.endswith(SUFFIX) and weight not in list_weights():
        missing = unknown("weight", weight, list_weights())
        raise UnknownModelError(f"teacher: {missing}; a weight file ends in {SUFFIX}")
    meta = read_weights(Path(weight) if weight.endswith(SUFFIX) else find_weights(weight))[0]
    cure = "Take a teacher of the same classes in the same order."
    match_classes([c["name"] for c in meta["classes"]], table.names, f"teacher {weight}", "the training data", cure)


class Teacher(nn.Module):
    """A finished weight that sees the student's batches; it keeps its weights and statistics.

    Args:
        weight: a weight's name or file.
        table: the student's classes, which must be the teacher's.
        mean, std: what the student's images are normalised with; the teacher gets its own.

    Raises:
        LabelError: a teacher of other classes, or of the same in another order.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, weight: str, table: ClassTable, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        check_teacher(weight, table)
        self.model = create_model(weight).eval().requires_grad_(False)
        own_mean, own_std = (torch.tensor(self.model.meta[k]) for k in ("mean", "std"))  # type: ignore[index]
        given_mean, given_std = torch.tensor(mean), torch.tensor(std)
        self.register_buffer("factor", (given_std / own_std).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", ((given_mean - own_mean) / own_std).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Teacher:
        """Stays in eval mode, whatever it is told."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) as the student sees it → (N, classes, H, W) logits."""
        return self.model(x * self.factor + self.shift)
