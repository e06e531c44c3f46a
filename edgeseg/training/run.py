"""A training run's state: how it starts, and which part of the network it trains at a given step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.data.labels import ClassTable, LabelError, match_classes
from edgeseg.models.records import find_weights
from edgeseg.models.registry import ARCHS, SUFFIX, TRAINING_SWITCHES, create_model
from edgeseg.models.weights import read_weights
from edgeseg.training.batches import Resident, Stream, Streamed
from edgeseg.training.distill import Teacher
from edgeseg.training.losses import class_weights
from edgeseg.training.objective import Objective
from edgeseg.training.optim import EMA, make_optimizer
from edgeseg.training.precision import compute_type
from edgeseg.training.recipes import Recipe, RecipeError

RANDOM = "random weights"


@dataclass
class Run:
    """Everything that changes while a run goes on, and what it needs to do so."""

    recipe: Recipe
    model: nn.Module  # what the optimiser updates
    objective: Objective
    optimizer: torch.optim.Optimizer
    ema: EMA
    scaler: torch.amp.GradScaler
    stream: Stream
    device: torch.device
    classes: tuple[str, ...]  # names, in the order of the logits
    start: str  # what the weights were at step 0, for the report
    teacher: Teacher | None = None
    step: int = 0
    seconds: float = 0.0  # spent training, over all parts of a run that was resumed
    loss_sum: float = 0.0  # since the last line of the log
    frozen: bool = field(init=False)  # whether the backbone is
    dtype: torch.dtype = field(init=False)  # of the matrix products, see training/precision.py
    forward: nn.Module = field(init=False)  # `model` inside DistributedDataParallel and torch.compile where used
    mean: Tensor = field(init=False)
    std: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.dtype = compute_type(self.recipe.amp, self.device)
        self.mean, self.std = (torch.tensor(v, device=self.device) for v in (self.recipe.mean, self.recipe.std))
        self._freeze(self.frozen_at(self.step))

    @property
    def epoch(self) -> float:
        """Epochs done: samples seen over samples there are."""
        return self.epoch_at(self.step)

    def epoch_at(self, step: int) -> float:
        """Epochs done when `step` steps are."""
        return step * self.recipe.batch / self.stream.length

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.stream.length // self.recipe.batch)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0…1."""
        if self.recipe.minutes:
            return min(1.0, self.seconds / (60 * self.recipe.minutes))
        total = self.recipe.iterations or self.recipe.epochs * self.stream.length / self.recipe.batch
        return min(1.0, self.step / max(1, round(total)))

    def frozen_at(self, step: int) -> bool:
        """Whether the step after `step` others leaves the backbone as it is: the step alone decides, also on resume."""
        return self.epoch_at(step) < self.recipe.freeze_epochs

    def fixed_backbone(self, model: nn.Module) -> nn.Module | None:
        """The backbone of a copy of the model if the last step left it as it was, else ``None``."""
        return backbone_of(model) if self.frozen_at(max(self.step - 1, 0)) else None

    def train_mode(self) -> None:
        """Put the model into train mode, a frozen backbone into eval mode."""
        self.forward.train()
        if self.frozen:
            backbone_of(self.model).eval()

    def enter_phase(self) -> None:
        """Freeze or unfreeze the backbone where the run has come to that; cheap at every other step."""
        if self.frozen_at(self.step) != self.frozen:
            self._freeze(not self.frozen)
            self.train_mode()

    def _freeze(self, frozen: bool) -> None:
        self.frozen = frozen
        if self.recipe.freeze_epochs:
            backbone_of(self.model).requires_grad_(not frozen)
        # anew for every phase: DistributedDataParallel settles when it is made which gradients it waits for
        self.forward = _wrapped(self.model, self.recipe, self.stream.world)


def _wrapped(model: nn.Module, recipe: Recipe, world: int) -> nn.Module:
    forward: nn.Module = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    if recipe.compile:
        # A compiled half-precision backward pass recomputes unrounded what `amax` looked at, finds no maximum in it and
        # divides by zero (seen on a CPU, torch 2.15): this option rounds it as the forward pass did.
        forward = torch.compile(forward, options={"emulate_precision_casts": True})  # type: ignore[assignment]
    return forward


def backbone_of(model: nn.Module) -> nn.Module:
    """The part of a network that can be frozen, its child ``backbone``.

    Raises:
        RecipeError: it has none.
    """
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise RecipeError(
            f"{getattr(model, 'arch', type(model).__name__)} has no part named backbone, so none can be frozen; set "
            "freeze_epochs=0"
        )
    return backbone


def start_run(
    recipe: Recipe,
    samples: Resident | Streamed,
    table: ClassTable,
    stream: Stream,
    device: torch.device,
    init: str | Path | None = None,
    backbone: str | Path | None = None,
) -> Run:
    """Model, losses and optimiser of a fresh run.

    Args:
        recipe: every number of the run.
        samples: the training data, for class weights.
        table: its classes.
        stream: this rank's share of it.
        device: where to train.
        init: a trained weight to go on from, see `fit`.
        backbone: a public checkpoint for the backbone alone, see `fit`.

    Raises:
        RecipeError: the recipe asks for what the model does not have.
    """
    torch.manual_seed(recipe.seed)
    model = _fresh(recipe, len(table)) if init is None else _trained(str(init), recipe, table)
    start = start_text(init)
    if backbone is not None:
        from edgeseg.models.public import load_public_backbone

        load_public_backbone(model, backbone)
        start = f"backbone {Path(backbone).name}"
    model = model.to(device)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if stream.world > 1 and device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    weights = None if recipe.class_weights == "none" else class_weights(samples.pixel_counts, recipe.class_weights)
    objective = Objective(recipe, weights, getattr(model, "align_corners", False)).to(device)
    optimizer = make_optimizer(model, recipe)
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.amp == "fp16")
    teacher = Teacher(recipe.teacher, table, recipe.mean, recipe.std).to(device) if recipe.teacher else None
    ema = EMA(model, recipe.ema)
    run = Run(recipe, model, objective, optimizer, ema, scaler, stream, device, table.names, start, teacher)
    torch.manual_seed(recipe.seed + stream.rank)  # dropout differs between ranks
    return run


def start_text(init: str | Path | None) -> str:
    """What a report says of the weights at step 0: a name, or a file with its folder, which says whose result it is."""
    if init is None:
        return RANDOM
    of_file = str(init).endswith(SUFFIX)
    return f"weight {'/'.join(Path(init).absolute().parts[-2:]) if of_file else init}"


def _fresh(recipe: Recipe, num_classes: int) -> nn.Module:
    arch = recipe.model.partition(".")[0]
    return create_model(recipe.model, num_classes, **{**recipe.switches, **_boundary_head(recipe, arch)})


def _trained(init: str, recipe: Recipe, table: ClassTable) -> nn.Module:
    """A trained weight to go on from. Prints what was loaded.

    Its heads start anew where the classes are others, or are the same in another order.
    """
    meta = read_weights(Path(init) if init.endswith(SUFFIX) else find_weights(init))[0]
    arch = meta["arch"]
    switches = {k: v for k, v in recipe.switches.items() if k in TRAINING_SWITCHES}  # the weight brings the others
    switches |= _boundary_head(recipe, arch)
    if arch in ARCHS and "aux" in ARCHS[arch].switches:
        switches["aux"] = recipe.aux_weight > 0  # the weight may have been published without
    try:
        known = [c["name"] for c in meta["classes"]]
        match_classes(known, table.names, init, "the training data", "The heads start anew.")
    except LabelError as other_classes:
        print(other_classes)
        return create_model(init, len(table), new_head=True, **switches)
    return create_model(init, verbose=True, **switches)


def _boundary_head(recipe: Recipe, arch: str) -> dict[str, Any]:
    """The switch of the boundary head where the recipe has a loss for it."""
    if not recipe.boundary_weight:
        return {}
    if arch in ARCHS and "aux_boundary" not in ARCHS[arch].switches:
        raise RecipeError(f"recipe {recipe.name}: {arch} has no boundary head; set boundary_weight=0")
    return {"aux_boundary": True}
