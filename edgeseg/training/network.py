"""The network of a run: built by its recipe, or a trained weight to go on from; refused early where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgeseg.data.labels import ClassTable, LabelError, match_classes
from edgeseg.machine import total_memory
from edgeseg.models.backbones import BackboneSource, is_from
from edgeseg.models.registry import ARCHS, SUFFIX, TRAINING_SWITCHES, create_model, refuse_other_switches
from edgeseg.models.weights import read_weights
from edgeseg.models.zoo import find_weights
from edgeseg.training.distill import check_teacher, map_channels
from edgeseg.training.recipe import Recipe, RecipeError

RANDOM = "random weights"
_BACKBONE = "backbone "  # how the start of a run begins that had a pre-trained one


def build_network(recipe: Recipe, table: ClassTable, init: str | Path | None = None) -> nn.Module:
    """The network that a run trains, on the CPU.

    Args:
        recipe, init: see `edgeseg.training.train.fit`.
        table: the classes to be learnt.
    """
    return _fresh(recipe, len(table)) if init is None else _trained(str(init), recipe, table)


def check_network(recipe: Recipe, table: ClassTable, init: str | Path | None = None) -> None:
    """Refuse a recipe whose network, start or teacher cannot be, without reading data or allocating the network.

    Args:
        recipe, init: see `edgeseg.training.train.fit`.
        table: the classes to be learnt.

    Raises:
        RecipeError: a network that cannot be built or frozen, does not fit into memory, or is not the one of `init`.
        UnknownModelError: no such network, switch, weight or teacher.
        WeightError: `init` or the teacher is damaged.
        LabelError: a teacher of other classes.
    """
    if recipe.model not in ARCHS and (recipe.model.endswith(SUFFIX) or recipe.model.partition(".")[0] in ARCHS):
        raise RecipeError(
            f"recipe {recipe.name}: model={recipe.model} is a trained weight; name the architecture there, and the "
            f"weight to start from with --init {recipe.model}"
        )
    arch, switches = recipe.model, recipe.switches
    if init is not None:
        meta = _description(init)
        arch, switches = meta["arch"], {**meta["switches"], **_switches_beside(recipe, meta["arch"])}
        if arch != recipe.model and arch in ARCHS:
            raise RecipeError(
                f"recipe {recipe.name} trains a {recipe.model}, {init} is a {arch}; set model={arch}, or start from "
                "another weight"
            )
        refuse_other_switches(str(init), arch, meta["switches"], recipe.switches)
    try:
        with torch.device("meta"):
            model = create_model(arch, len(table), **{**switches, **_boundary_head(recipe, arch)})
    except (TypeError, RuntimeError, ArithmeticError, IndexError) as error:  # what torch says of impossible numbers
        given = ", ".join(f"{k}={v!r}" for k, v in switches.items())
        first = str(error).strip().partition("\n")[0]
        raise RecipeError(
            f"recipe {recipe.name}: no {arch} can be built with {given} ({first}); change them"
        ) from error
    parameters = sum(p.numel() for p in model.parameters())
    if 4 * parameters > total_memory():
        raise RecipeError(
            f"recipe {recipe.name}: {arch} would have {parameters} parameters, more than fit into memory; take a "
            "smaller one"
        )
    if recipe.freeze_epochs or recipe.backbone_lr != 1:
        backbone_of(model)  # refuses one that has none
    if recipe.teacher:
        check_teacher(recipe.teacher, table)
        if recipe.teacher_maps_weight:
            map_channels(model)  # refuses one that has none


def _description(init: str | Path) -> dict[str, Any]:
    """What a weight's file says of itself."""
    return read_weights(Path(init) if str(init).endswith(SUFFIX) else find_weights(str(init)))[0]


def start_text(init: str | Path | None) -> str:
    """What a report says of the weights at step 0: a name, or a file with its folder, which says whose result it is."""
    if init is None:
        return RANDOM
    of_file = str(init).endswith(SUFFIX)
    return f"weight {'/'.join(Path(init).absolute().parts[-2:]) if of_file else init}"


def backbone_text(source: BackboneSource) -> str:
    """The same of a run whose backbone alone had weights: which, by the hash of their file."""
    return f"{_BACKBONE}{source}"


def is_other_backbone(start: str, source: str | Path) -> bool:
    """Whether a run with this start cannot have been started from this backbone."""
    return not start.startswith(_BACKBONE) or not is_from(start.removeprefix(_BACKBONE), source)


def normalisation_fault(model: nn.Module, recipe: Recipe, start: str) -> list[str]:
    """What is to be said where a recipe normalises otherwise than the weights of its pre-trained backbone want."""
    backbone = getattr(model, "backbone", None)
    mean, std = getattr(backbone, "mean", None), getattr(backbone, "std", None)
    if not start.startswith(_BACKBONE) or mean is None or std is None or (mean, std) == (recipe.mean, recipe.std):
        return []
    fields = f"mean={','.join(map(str, mean))} std={','.join(map(str, std))}"
    return [f"the backbone's weights were trained with another mean and deviation of the input; set {fields}"]


def backbone_of(model: nn.Module) -> nn.Module:
    """The part of a network that can be frozen, its child ``backbone``.

    Raises:
        RecipeError: it has none.
    """
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise RecipeError(
            f"{getattr(model, 'arch', type(model).__name__)} has no part named backbone, so none can be frozen or have "
            "a learning rate; set freeze_epochs=0 backbone_lr=1"
        )
    return backbone


def _fresh(recipe: Recipe, num_classes: int) -> nn.Module:
    arch = recipe.model.partition(".")[0]
    return create_model(recipe.model, num_classes, **{**recipe.switches, **_boundary_head(recipe, arch)})


def _trained(init: str, recipe: Recipe, table: ClassTable) -> nn.Module:
    """A trained weight to go on from. Prints what was loaded.

    Its heads start anew where the classes are others, or are the same in another order.
    """
    meta = _description(init)
    switches = _switches_beside(recipe, meta["arch"])
    try:
        known = [c["name"] for c in meta["classes"]]
        match_classes(known, table.names, init, "the training data", "The heads start anew.")
    except LabelError as other_classes:
        print(other_classes)
        return create_model(init, len(table), new_head=True, **switches)
    return create_model(init, verbose=True, **switches)


def _switches_beside(recipe: Recipe, arch: str) -> dict[str, Any]:
    """The switches that a recipe adds to those which a trained weight brings."""
    switches = {k: v for k, v in recipe.switches.items() if k in TRAINING_SWITCHES}
    switches |= _boundary_head(recipe, arch)
    if arch in ARCHS and "aux" in ARCHS[arch].switches:
        switches["aux"] = recipe.aux_weight > 0  # the weight may have been published without
    return switches


def _boundary_head(recipe: Recipe, arch: str) -> dict[str, Any]:
    """The switch of the boundary head where the recipe has a loss for it."""
    if not recipe.boundary_weight:
        return {}
    if arch in ARCHS and "aux_boundary" not in ARCHS[arch].switches:
        raise RecipeError(f"recipe {recipe.name}: {arch} has no boundary head; set boundary_weight=0")
    return {"aux_boundary": True}
