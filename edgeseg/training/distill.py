"""Distillation: a small network also learns what a finished, stronger one says of every pixel.

Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2, pixel by pixel: the student's distribution
is drawn to the teacher's, both softened by a temperature T, with the factor T² that keeps the gradient's size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.data.labels import ClassTable, match_classes
from edgeseg.models.registry import create_model


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
        self.model = create_model(weight).eval().requires_grad_(False)
        known = [c["name"] for c in self.model.meta["classes"]]  # type: ignore[index]
        cure = "Take a teacher of the same classes in the same order."
        match_classes(known, table.names, f"teacher {weight}", "the training data", cure)
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
