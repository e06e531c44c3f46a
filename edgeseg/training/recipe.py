"""`Recipe`: every number of a training run, as data, and how a command line changes it.

A recipe is a frozen dataclass; a variant is `dataclasses.replace(recipe, lr=0.02)`, from the command line `lr=0.02`.
The recipes themselves are in `edgeseg.training.recipes`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgeseg.data.datasets import known_options
from edgeseg.data.pairs import DataError
from edgeseg.text import Field, known_field, parse_fields

BUDGETS = ("iterations", "epochs", "minutes")
LOSSES = ("ce", "ohem", "focal", "sigmoid_focal", "dice")
STAGED = frozenset({
    "iterations", "epochs", "batch", "accumulate", "crop", "scale", "shrink", "aspect", "flip", "brightness",
    "contrast", "saturation", "hue", "grey", "blur", "class_crop", "rotate", "lr", "clip", "schedule", "power",
    "min_lr", "tail", "warmup", "warmup_power", "ema",
})  # fmt: skip
"""What may change from stage to stage of a run: its budget, and what neither network nor data hang on."""
_TERM = re.compile(r"(?:(\d+\.?\d*|\.\d+)\s*\*?\s*)?([a-z_]+)")


class RecipeError(ValueError):
    """A recipe, field or value that does not exist or cannot be."""


def _of(default: Any, low: float = -math.inf, high: float = math.inf, choices: tuple[str, ...] = ()) -> Any:
    """A field with its default and what it may be, as `edgeseg.text.Field` has it."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class Recipe:
    """One training run. Sizes are (height, width) in pixels; probabilities and shares are 0…1."""

    name: str
    model: str = "cross_cbam_m"
    switches: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the model, e.g. {"dilations": (3, 5)}
    # data
    data: str = "camvid"  # a name that `open_data` knows, or a folder of image/label pairs
    data_size: tuple[int, int] | None = _of(None, 32, 8192)  # of rendered scenes, or which copy of CamVid or Cityscapes
    data_count: int | None = _of(None, 1, 1_000_000)  # scenes to render
    data_partial: bool = False  # a part of Cityscapes or VOC is meant
    split: str = "train"
    val_split: str | None = "val"  # None: no evaluation on the way
    mean: tuple[float, float, float] = _of((0.4119, 0.4251, 0.4327), 0, 1)  # of RGB in 0…1; CamVid's train split
    std: tuple[float, float, float] = _of((0.3071, 0.3116, 0.3072), 0.001, 1)
    # budget: exactly one of the three is positive
    iterations: int = _of(0, 0, 100_000_000)
    epochs: float = _of(0.0, 0, 1_000_000)
    # of wall time: the schedule follows the clock, and a rerun is not bit-identical
    minutes: float = _of(0.0, 0, 1_000_000)
    # A run in stages: field → value in each, a budget (iterations or epochs) and whatever of `STAGED` is not as below.
    # Schedule and warm-up begin anew with each, weights, averages and the optimiser's memory go on.
    stages: tuple[dict[str, Any], ...] = ()
    # batch
    batch: int = _of(8, 1, 65_536)  # samples per optimiser step, over all ranks
    accumulate: int = _of(1, 1, 65_536)  # micro-batches a step is split into, for small memories
    crop: tuple[int, int] = _of((288, 384), 32, 8192)  # what the model sees; the networks have stride 32
    # augmentation, by training/augment.py; jitters are half-widths (0.4: factors from 0.6 to 1.4)
    scale: tuple[float, float] = _of((0.5, 2.0), 0.01, 100)  # smallest and largest zoom, drawn log-uniformly
    # How zooms below 0.7 shrink. "area": from a half-size copy of means of four, which alone sees every pixel down to a
    # zoom of 1/4, so it is the default. "bilinear": from the four pixels around each place, as resizing without
    # smoothing does: below 1/2 pixels between the places are never seen, and fine texture aliases. At 1/2 both are the
    # same. It reaches training's zooms only: prepared copies shrink by area, `eval_size` and prediction bilinearly.
    shrink: str = _of("area", choices=("area", "bilinear"))
    aspect: float = _of(0.0, 0, 4)  # largest change of the width alone, log-uniform (0.1: from 1/1.1 to 1.1)
    flip: float = _of(0.5, 0, 1)  # probability of a horizontal flip
    brightness: float = _of(0.0, 0, 1)
    contrast: float = _of(0.0, 0, 1)
    saturation: float = _of(0.0, 0, 1)
    hue: float = _of(0.0, 0, 0.5)  # largest rotation around the grey axis, as a share of the full circle
    grey: float = _of(0.0, 0, 1)  # probability of a grey image
    blur: float = _of(0.0, 0, 1)  # probability of a Gaussian blur of 0.3 to 1.5 pixels
    # Probability that the crop contains a pixel of a class drawn uniformly from those in the image (before it is
    # rotated: a pixel in a corner may turn out of the crop).
    class_crop: float = _of(0.0, 0, 1)
    # Largest rotation of the crop's content about its centre, in degrees, uniform in both directions. 0 leaves the
    # faster path without slanted lines, and every other draw, as they are.
    rotate: float = _of(0.0, 0, 180)
    # optimiser
    optimizer: str = _of("sgd", choices=("sgd", "adamw"))
    lr: float = _of(0.01, 0, 100)
    momentum: float = _of(0.9, 0, 0.9999)  # of SGD
    nesterov: bool = False
    weight_decay: float = _of(5e-4, 0, 1)
    decay_conv_only: bool = True  # no decay on BN and biases
    clip: float = _of(0.0, 0)  # largest gradient norm, 0: unlimited
    schedule: str = _of("poly", choices=("poly", "cosine"))
    power: float = _of(0.9, 0, 10)  # of poly
    min_lr: float = _of(1e-4, 0, 100)
    tail: float = _of(0.0, 0, 0.99)  # share of the budget, at its end, at min_lr; the schedule fits into the rest
    warmup: int = _of(0, 0)  # iterations of warm-up: lr · ((step + 1) / warmup)^warmup_power
    warmup_power: float = _of(1.0, 0, 10)  # 1: linear, 2: quadratic
    # Epochs (whatever the budget counts) in which the model's `.backbone` stays as it is: no gradient, no decay, no
    # momentum, and eval mode, so that its batch norms use and keep the statistics they came with. The rest of the
    # network trains; the learning rate follows the whole budget.
    freeze_epochs: float = _of(0.0, 0)
    backbone_lr: float = _of(1.0, 0, 100)  # the model's `.backbone` learns at this many times the learning rate
    # losses
    loss: str = "ce"  # of the main head: one of LOSSES, or a sum such as "ohem + 0.5 dice"
    loss_stride: int = _of(1, 1, 32)  # the main loss is taken at 1/stride of the label's size
    aux_loss: str = "ce"
    aux_weight: float = _of(0.4, 0, 100)
    aux_stride: int = _of(8, 1, 32)
    boundary_weight: float = _of(0.0, 0, 100)  # > 0 adds the boundary head
    # distillation, see training/distill.py
    teacher: str | None = None  # a finished weight of the same classes: its name or file
    teacher_weight: float = _of(0.0, 0, 100)  # of its term beside the main loss
    teacher_maps_weight: float = _of(0.0, 0, 100)  # of the term that compares the backbones' maps at 1/16 and 1/32
    temperature: float = _of(1.0, 0.1, 100)  # both distributions are softened by it
    # from the pixel counts of the training split
    class_weights: str = _of("none", choices=("none", "enet", "median"))
    # Share of what they favour that is taken back at the end: the classifier's bias − unweight · log(weight). In
    # training they make rare classes count; afterwards they make the network give them more pixels than they have.
    unweight: float = _of(0.0, 0, 2)
    # averaging
    ema: float = _of(0.999, 0, 1)  # 0: off
    # batches from which the BN statistics of the final weights are taken anew; 0: off
    precise_bn: int = _of(0, 0, 100_000)
    precise_bn_frames: bool = False  # these are whole images at `eval_size`, as prediction sees them, not crops
    # evaluation: the network's input, None: the image's own size. Scored at the image's own size
    eval_size: tuple[int, int] | None = _of(None, 32, 8192)
    eval_every: float = _of(0.0, 0)  # epochs between evaluations on val_split; 0: only at the end
    # execution
    amp: str = _of("none", choices=("none", "bf16", "fp16"))  # bf16: float32 on a CPU without such instructions
    channels_last: bool = True
    compile: bool = False
    seed: int = _of(0, 0, 2**31 - 1)

    def __post_init__(self) -> None:
        try:
            for name, allowed in FIELDS.items():
                allowed.check(name, getattr(self, name))
            for wrong in self._faults():
                raise RecipeError(wrong)
        except ValueError as error:
            raise RecipeError(f"recipe {self.name}: {error}") from None

    def _faults(self) -> Iterator[str]:
        """What cannot be, although every field by itself could, each with its cure."""
        budgets = [n for n in BUDGETS if getattr(self, n) > 0]
        if self.stages:
            yield from self._stage_faults(budgets)
        elif len(budgets) != 1:
            yield f"set exactly one of {', '.join(BUDGETS)}; set are {', '.join(budgets) or 'none'}"
        if self.batch % self.accumulate:
            yield f"batch {self.batch} is no multiple of accumulate {self.accumulate}"
        if self.batch // self.accumulate == 1 and min(self.crop) < 64:
            yield (
                f"one sample of crop {self.crop} leaves batch normalisation a single value per channel at 1/32; use a "
                "batch of 2 or more, or a crop of 64 or more"
            )
        if self.precise_bn_frames and not self.precise_bn:
            yield "precise_bn_frames=true says which images, precise_bn=0 that there are none; set e.g. precise_bn=50"
        if self.unweight and self.class_weights == "none":
            yield "unweight takes class weights back, and there are none; set class_weights=enet, or unweight=0"
        if self.scale[0] > self.scale[1]:
            yield f"scale {self.scale}: give the smallest zoom first, then the largest"
        if self.min_lr > self.lr:
            yield f"lr={self.lr:g} would rise to min_lr={self.min_lr:g}; set min_lr to lr or less"
        if self.nesterov and self.optimizer == "sgd" and not self.momentum:
            yield "nesterov=true needs a momentum; set momentum=0.9, or nesterov=false"
        if not all(isinstance(name, str) for name in self.switches):
            yield f"switches={dict(self.switches)!r}: give names in quotes, e.g. {{'width': 32}}"
        try:
            self.as_json()
        except (TypeError, ValueError, AttributeError):
            yield f"switches={dict(self.switches)!r}: give numbers, words, true or false, and lists of them"
        if (self.teacher is None) != (self.teacher_weight == 0 and self.teacher_maps_weight == 0):
            yield (
                f"teacher is {self.teacher}, teacher_weight {self.teacher_weight:g} and teacher_maps_weight "
                f"{self.teacher_maps_weight:g}; distillation needs a teacher and a weight, e.g. "
                "teacher=cross_cbam_l.camvid teacher_weight=1"
            )
        if self.compile and self.switches.get("checkpointing"):
            yield (
                "compile=True already decides what to keep and what to compute again, so it does not go together with "
                "activation checkpointing; take compile=False, or leave checkpointing out of the switches"
            )
        for text in (self.loss, self.aux_loss):
            loss_terms(text)

    def _stage_faults(self, budgets: list[str]) -> Iterator[str]:
        if budgets:
            yield f"{' and '.join(budgets)} beside stages, which have budgets of their own; set one or the other"
        for number, changes in enumerate(self.stages, 1):
            try:
                for name in changes:
                    known_field(str(name), {name: FIELDS[name] for name in sorted(STAGED)}, "it")
                self._with(changes)
            except ValueError as error:
                yield f"stage {number} of {len(self.stages)}: {error}"

    def in_stages(self) -> tuple[Recipe, ...]:
        """The recipe that holds in each stage of a run; this one alone where there are none."""
        return tuple(self._with(changes) for changes in self.stages) or (self,)

    def _with(self, changes: Mapping[str, Any]) -> Recipe:
        return replace(self, stages=(), **{name: FIELDS[name].check(name, value) for name, value in changes.items()})

    def as_json(self) -> dict[str, Any]:
        """Every field as it comes back from a JSON file: tuples are lists, numpy's numbers Python's."""
        return json.loads(json.dumps(asdict(self), default=lambda number: number.item()))


def _fields() -> dict[str, Field]:
    kinds, own = typing.get_type_hints(Recipe), dataclasses.fields(Recipe)
    return {f.name: Field(kinds[f.name], getattr(Recipe, f.name, {}), **f.metadata) for f in own}


FIELDS: Mapping[str, Field] = _fields()
"""What every field of a recipe may be."""


def loss_terms(text: str) -> list[tuple[float, str]]:
    """``"ohem + 0.5 dice"`` → ``[(1.0, "ohem"), (0.5, "dice")]``.

    Raises:
        RecipeError: no sum of `LOSSES`.
    """
    terms = [_TERM.fullmatch(part.strip()) for part in text.split("+")]
    if not all(term and term[2] in LOSSES for term in terms):
        raise RecipeError(
            f"loss {text!r}: write a sum of {', '.join(LOSSES)} with optional factors, e.g. 'ohem + 0.5 dice'"
        )
    factors = [(float(term[1] or 1), term[2]) for term in terms if term]
    if not all(0 < factor <= 1000 for factor, _ in factors):
        raise RecipeError(f"loss {text!r}: give factors above 0 and up to 1000, and leave out what is not to count")
    return factors


def differing(old: Mapping[str, Any], recipe: Recipe) -> dict[str, str]:
    """Fields in which a recipe is not the one in a run's files: field → ``"lr: 0.1 → 0.2"``.

    A field that an older run did not know yet was its default there.
    """
    new, default = recipe.as_json(), Recipe(recipe.name, iterations=1).as_json()
    was = {k: old.get(k, 0 if k in BUDGETS else default[k]) for k in new}
    return {k: f"{k}: {was[k]} → {new[k]}" for k in new if was[k] != new[k]}


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Apply ``field=value`` texts from a command line, e.g. ``["lr=0.02", "crop=288,384"]``.

    A budget given so replaces the recipe's own: ``minutes=5`` also sets iterations and epochs to 0, and leaves no
    stages. So do data: other ones leave data_size and data_count behind where they have none to choose.

    Raises:
        RecipeError: no such field (the message lists near names), or a value that it cannot have.
    """
    try:
        changes = parse_fields(assignments, FIELDS, "a recipe")
    except ValueError as error:
        raise RecipeError(str(error)) from None
    if changes.keys() & set(BUDGETS):
        changes = {**dict.fromkeys(BUDGETS, 0), "stages": (), **changes}
    elif changes.get("stages"):
        changes = {**dict.fromkeys(BUDGETS, 0), **changes}
    if changes.get("data", recipe.data) != recipe.data:
        changes = {**dict.fromkeys(_options_without(changes["data"])), **changes}
    return replace(recipe, **changes)


def _options_without(data: str) -> list[str]:
    """Fields that choose among copies of a data set, and that this one knows nothing of."""
    try:
        known = known_options(data, size=True, count=True)
    except DataError:  # there is no such data set: said where it is opened
        return []
    return [f"data_{option}" for option in ("size", "count") if option not in known]
