"""Distillation: a small network also learns what a finished, stronger one says of every pixel, and how it sees it.

Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2, pixel by pixel: the student's distribution
is drawn to the teacher's, both softened by a temperature T, with the factor T² that keeps the gradient's size.
Romero et al., FitNets, 2015, section 2.2: a convolution turns maps of the student into maps as wide as the teacher's,
which they are drawn to. Here it is 1×1, the maps are the backbones' at 1/16 and 1/32, and what is compared at every
place is a direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.data.labels import ClassTable, match_classes
from edgeseg.models.registry import SUFFIX, UnknownModelError, create_model
from edgeseg.models.weights import read_weights
from edgeseg.models.zoo import find_weights, list_weights
from edgeseg.text import unknown
from edgeseg.training.recipe import RecipeError

_MAPS = 2  # of a backbone, the coarsest: at 1/16 and 1/32


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
        maps: whether `told` has its backbone's maps, too.

    Raises:
        LabelError: a teacher of other classes, or of the same in another order.
        RecipeError: ``maps``, and its backbone has none at 1/16 and 1/32.
    """

    factor: Tensor
    shift: Tensor

    def __init__(
        self, weight: str, table: ClassTable, mean: Sequence[float], std: Sequence[float], maps: bool = False
    ) -> None:
        super().__init__()
        check_teacher(weight, table)
        self.model = create_model(weight).eval().requires_grad_(False)
        self.maps = map_channels(self.model) if maps else ()
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

    @torch.no_grad()
    def told(self, x: Tensor) -> dict[str, Any]:
        """What a loss compares a student with.

        Args:
            x: (N, 3, H, W) as the student sees it.

        Returns:
            ``{"teacher": (N, classes, H, W)}``, and under ``"teacher_maps"`` its backbone's maps at 1/16 and 1/32 if
            it was made with ``maps``.
        """
        if not self.maps:
            return {"teacher": self(x)}
        caught: list[Tensor] = []
        hook = self.model.get_submodule("backbone").register_forward_hook(
            lambda _, __, maps: caught.extend(maps[-_MAPS:])
        )
        try:
            return {"teacher": self(x), "teacher_maps": caught}
        finally:
            hook.remove()


def map_channels(model: nn.Module) -> tuple[int, ...]:
    """Channels of a backbone's maps at 1/16 and 1/32.

    Raises:
        RecipeError: it has no such maps.
    """
    channels = getattr(getattr(model, "backbone", None), "channels", ())
    if len(channels) < _MAPS:
        name = getattr(model, "arch", type(model).__name__)
        raise RecipeError(f"{name} has no backbone with maps at 1/16 and 1/32 to compare; set teacher_maps_weight=0")
    return tuple(channels[-_MAPS:])


class Adapters(nn.Module):
    """Turns a student's maps at 1/16 and 1/32 into maps as wide as its teacher's; a training-only part of the student.

    Args:
        channels: of the student's maps.
        wanted: of the teacher's.
    """

    def __init__(self, channels: Sequence[int], wanted: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in zip(channels, wanted, strict=True))
        self._caught: list[Tensor] = []

    def catch(self, _: nn.Module, __: Any, maps: Sequence[Tensor]) -> None:
        """A hook of the student's backbone."""
        if self.training:
            self._caught = list(maps[-_MAPS:])

    def add(self, _: nn.Module, __: Any, outputs: Any) -> Any:
        """A hook of the student: its outputs in training get ``"maps"``, (N, wanted, h, w) each."""
        if self.training:
            outputs["maps"] = [conv(found) for conv, found in zip(self.convs, self._caught, strict=True)]
            self._caught = []  # they hold the whole graph
        return outputs


def attach_adapters(model: nn.Module, teacher: Teacher) -> None:
    """Give a student its adapters, as its child ``aux_adapters``: they train, average and resume with it, and are left
    out of what is published, like every training-only head.
    """
    adapters = Adapters(map_channels(model), teacher.maps)
    model.add_module("aux_adapters", adapters)
    model.get_submodule("backbone").register_forward_hook(adapters.catch)
    model.register_forward_hook(adapters.add)
