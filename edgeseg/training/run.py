"""A run: everything that changes while it goes on, and what it needs to do so; and how it comes to its first step."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgeseg.data.labels import ClassTable
from edgeseg.data.pairs import Dataset
from edgeseg.machine import has_bf16
from edgeseg.models.backbones import load_backbone
from edgeseg.training.augment import Augment
from edgeseg.training.batches import Resident, Stream, Streamed, load_samples
from edgeseg.training.checkpoint import data_identity
from edgeseg.training.compiled import compile_for_training
from edgeseg.training.distill import Teacher, attach_adapters
from edgeseg.training.losses import Objective, class_weights
from edgeseg.training.network import backbone_of, backbone_text, build_network, check_network, start_text
from edgeseg.training.optim import EMA, classifier_biases, make_optimizer
from edgeseg.training.recipe import Recipe
from edgeseg.training.stages import Stage, plan, stage_at

_TYPES = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Run:
    """Everything that changes while a run goes on, and what it needs to do so."""

    recipe: Recipe
    model: nn.Module  # what the optimiser updates
    objective: Objective
    optimizer: torch.optim.Optimizer
    ema: EMA
    scaler: torch.amp.GradScaler
    samples: Resident | Streamed
    stream: Stream  # this rank's share of them
    device: torch.device
    table: ClassTable  # the classes, in the order of the logits
    start: str  # what the weights were at step 0, for the report
    identity: dict[str, dict[str, Any]]  # of the training and the validation data, see `data_identity`
    teacher: Teacher | None = None
    step: int = 0
    seconds: float = 0.0  # spent training, over all parts of a run that was resumed
    loss_sum: float = 0.0  # since the last line of the log; on CUDA a tensor, for which nothing waits
    frozen: bool = field(init=False)  # whether the backbone is
    dtype: torch.dtype = field(init=False)  # of the matrix products
    stage: Stage = field(init=False)
    augment: Augment = field(init=False)
    unproven: bool = field(init=False)  # whether `forward` is compiled and not yet compared with eager
    forward: nn.Module = field(init=False)  # `model` inside DistributedDataParallel and torch.compile where used

    def __post_init__(self) -> None:
        self.dtype = compute_type(self.recipe.amp, self.device)
        self._enter(self.stream.stages[0])
        self._freeze(self.frozen_at(self.step))

    @property
    def epoch(self) -> float:
        """Epochs done: samples seen over samples there are."""
        return self.epoch_at(self.step)

    def epoch_at(self, step: int) -> float:
        """Epochs done when `step` steps are."""
        return self.stream.samples(step) / self.stream.length

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0…1."""
        last = self.stream.stages[-1]
        if last.steps is None:
            return min(1.0, self.seconds / (60 * self.recipe.minutes))
        return min(1.0, self.step / (last.first_step + last.steps))

    @property
    def stage_progress(self) -> float:
        """Share of the current stage's budget that is spent, 0…1: what its schedule follows."""
        return self.progress if self.stage.steps is None else self.stage.progress(self.step)

    def frozen_at(self, step: int) -> bool:
        """Whether the step after `step` others leaves the backbone as it is: the step alone decides, also on resume."""
        return self.epoch_at(step) < self.recipe.freeze_epochs

    def train_mode(self) -> None:
        """Put the model into train mode, a frozen backbone into eval mode."""
        self.forward.train()
        if self.frozen:
            backbone_of(self.model).eval()

    def enter_phase(self) -> None:
        """Go on to the next stage, freeze or unfreeze the backbone, where the run has come to that; else cheap."""
        stage = stage_at(self.stream.stages, self.step)
        if stage is not self.stage:
            self._enter(stage)
        if self.frozen_at(self.step) != self.frozen:
            self._freeze(not self.frozen)
            self.train_mode()

    def _enter(self, stage: Stage) -> None:
        self.stage, self.augment, self.ema.decay = stage, Augment(stage.recipe, self.device), stage.recipe.ema
        self.unproven = self.recipe.compile  # other crops are other code

    def _freeze(self, frozen: bool) -> None:
        self.frozen = frozen
        if self.recipe.freeze_epochs:
            backbone_of(self.model).requires_grad_(not frozen)
        # anew for every phase: DistributedDataParallel settles when it is made which gradients it waits for
        several = self.stream.world > 1
        forward: nn.Module = nn.parallel.DistributedDataParallel(self.model) if several else self.model
        self.forward = compile_for_training(forward, self.device) if self.recipe.compile else forward
        self.unproven = self.recipe.compile


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


def start_run(
    recipe: Recipe,
    data: Dataset,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    init: str | Path | None = None,
    backbone: str | Path | None = None,
    workers: int = 2,
    progress: bool = False,
) -> Run:
    """A run at its first step. What a recipe asks for in vain is refused before any data are read.

    Args:
        rank, world: this process and their number.
        recipe, data, device, init, backbone, workers, progress: see `fit`.

    Raises:
        RecipeError: the recipe asks for what the model does not have.
        ValueError: there is no data, or the ranks cannot share a batch.
    """
    table, stream = data.table, Stream(len(data), plan(recipe, len(data)), recipe.seed, rank, world)
    check_network(recipe, table, init)
    torch.manual_seed(recipe.seed)
    model = build_network(recipe, table, init)
    if recipe.unweight:
        classifier_biases(model, len(table))
    start = start_text(init)
    if backbone is not None:
        start = backbone_text(load_backbone(model, backbone))
    teacher = None
    if recipe.teacher:
        maps = recipe.teacher_maps_weight > 0
        teacher = Teacher(recipe.teacher, table, recipe.mean, recipe.std, maps).to(device)
        if maps:
            attach_adapters(model, teacher)
    samples = load_samples(data, device, workers, progress)
    model = model.to(device)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if world > 1 and device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    weights = None if recipe.class_weights == "none" else class_weights(samples.pixel_counts, recipe.class_weights)
    objective = Objective(recipe, weights, getattr(model, "align_corners", False)).to(device)
    optimizer = make_optimizer(model, recipe)
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.amp == "fp16")
    ema = EMA(model, recipe.ema)
    identity: dict[str, dict[str, Any]] = {"training": data_identity(data)}
    if isinstance(samples, Resident):  # counted already
        identity["training"]["pixels"] = samples.pixel_counts.tolist()
    run = Run(
        recipe, model, objective, optimizer, ema, scaler, samples, stream, device, table, start, identity, teacher
    )
    torch.manual_seed(recipe.seed + rank)  # dropout differs between ranks
    return run
