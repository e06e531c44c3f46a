"""`Recipe`: every number of a training run, as data, and how a command line changes it.

A recipe is a frozen dataclass; a variant is `dataclasses.replace(recipe, lr=0.02)`, from the command line `lr=0.02`.
The recipes themselves are in `edgeseg.training.recipes`.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from edgeseg.training.augment import Augment


class RecipeError(ValueError):
    """A recipe, field or value that does not exist or cannot be."""


@dataclass(frozen=True)
class Recipe:
    """One training run. Sizes are (height, width) in pixels."""

    name: str
    model: str = "cross_cbam_m"
    switches: Mapping[str, Any] = field(default_factory=dict)  # of the model, e.g. {"dilations": (3, 5)}
    # data
    data: str = "camvid"  # a name that `open_data` knows, or a folder of image/label pairs
    data_size: tuple[int, int] | None = None  # of rendered scenes, or which prepared copy of Cityscapes to take
    data_count: int | None = None  # scenes to render
    split: str = "train"
    val_split: str | None = "val"  # None: no evaluation on the way
    mean: tuple[float, float, float] = (0.4119, 0.4251, 0.4327)  # of the RGB values in 0…1; CamVid's train split
    std: tuple[float, float, float] = (0.3071, 0.3116, 0.3072)
    # budget: exactly one of the three is positive
    iterations: int = 0
    epochs: float = 0.0
    minutes: float = 0.0  # of wall time; the schedule then follows the clock, and a rerun is not bit-identical
    # batch
    batch: int = 8  # samples per optimiser step, over all ranks
    accumulate: int = 1  # micro-batches a step is split into, for small memories
    crop: tuple[int, int] = (288, 384)
    # augmentation, see training/augment.py
    scale: tuple[float, float] = (0.5, 2.0)
    aspect: float = 0.0
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    class_crop: float = 0.0
    rotate: float = 0.0
    # optimiser
    optimizer: str = "sgd"  # sgd, adamw
    lr: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    decay_conv_only: bool = True  # no decay on BN and biases
    clip: float = 0.0  # largest gradient norm, 0: unlimited
    schedule: str = "poly"  # poly, cosine
    power: float = 0.9  # of poly
    min_lr: float = 1e-4
    tail: float = 0.0  # share of the budget, at its end, that runs at min_lr; the schedule fits into the rest
    warmup: int = 0  # iterations of warm-up: lr · ((step + 1) / warmup)^warmup_power
    warmup_power: float = 1.0  # 1: linear, 2: quadratic
    # Epochs (whatever the budget counts) in which the model's `.backbone` stays as it is: no gradient, no decay, no
    # momentum, and eval mode, so that its batch norms use and keep the statistics they came with. The rest of the
    # network trains; the learning rate follows the whole budget.
    freeze_epochs: float = 0.0
    # losses
    loss: str = "ce"  # of the main head: ce, ohem, focal, dice, or a sum such as "ohem + 0.5 dice"
    loss_stride: int = 1  # the main loss is taken at 1/stride of the label's size
    aux_loss: str = "ce"
    aux_weight: float = 0.4
    aux_stride: int = 8
    boundary_weight: float = 0.0  # > 0 adds the boundary head
    # distillation, see training/distill.py
    teacher: str | None = None  # a finished weight of the same classes: its name or file
    teacher_weight: float = 0.0  # of its term beside the main loss
    temperature: float = 1.0  # both distributions are softened by it
    class_weights: str = "none"  # none, enet, median: from the pixel counts of the training split
    # averaging
    ema: float = 0.999  # 0: off
    precise_bn: int = 0  # batches from which the BN statistics of the final weights are taken anew; 0: off
    # evaluation
    eval_size: tuple[int, int] | None = (
        None  # network input; None: the image's own size. Scored at the image's own size
    )
    eval_every: float = 0.0  # epochs between evaluations on val_split; 0: only at the end
    # execution
    amp: str = "none"  # none, bf16 (float32 on a CPU without such instructions), fp16
    channels_last: bool = True
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for wrong in self._faults():
            raise RecipeError(f"recipe {self.name}: {wrong}")

    def _faults(self) -> Iterator[str]:
        """What cannot be, each with its cure."""
        budgets = [n for n in BUDGETS if getattr(self, n) > 0]
        if len(budgets) != 1:
            yield f"set exactly one of iterations, epochs, minutes; set are {budgets or 'none'}"
        if self.batch < 1 or self.accumulate < 1 or self.batch % self.accumulate:
            yield f"batch {self.batch} is no multiple of accumulate {self.accumulate}"
        if min(self.crop) < 32:
            yield f"crop {self.crop} is smaller than 32; the networks have stride 32"
        if self.batch // self.accumulate == 1 and min(self.crop) < 64:
            yield (
                f"one sample of crop {self.crop} leaves batch normalisation a single value per channel at 1/32; use a "
                "batch of 2 or more, or a crop of 64 or more"
            )
        if not 0 < self.scale[0] <= self.scale[1]:
            yield f"scale {self.scale} must be 0 < smallest <= largest"
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                yield f"{name} is {getattr(self, name)}; give {low:g} to {high:g}"
        if (self.teacher is None) != (self.teacher_weight == 0):
            yield (
                f"teacher is {self.teacher} and teacher_weight {self.teacher_weight:g}; distillation needs both, e.g. "
                "teacher=cross_cbam_l.camvid teacher_weight=1"
            )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                yield f"{name} is {getattr(self, name)!r}; choose from {', '.join(allowed)}"
        if self.compile and self.switches.get("checkpointing"):
            yield (
                "compile=True already decides what to keep and what to compute again, so it does not go together with "
                "activation checkpointing; take compile=False, or leave checkpointing out of the switches"
            )

    @property
    def augment(self) -> Augment:
        """The augmentation part of the recipe."""
        return Augment(**{f.name: getattr(self, f.name) for f in fields(Augment)})

    def as_json(self) -> dict[str, Any]:
        """Every field as it comes back from a JSON file: tuples are lists."""
        return json.loads(json.dumps(asdict(self)))


BUDGETS = ("iterations", "epochs", "minutes")
_RANGES = {
    "teacher_weight": (0, 100), "temperature": (0.1, 100),
    "rotate": (0, 180), "tail": (0, 0.99), "warmup_power": (0, 10), "freeze_epochs": (0, math.inf),
}  # fmt: skip
_CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("poly", "cosine"),
    "class_weights": ("none", "enet", "median"),
    "amp": ("none", "bf16", "fp16"),
}


def differing(old: Mapping[str, Any], recipe: Recipe) -> dict[str, str]:
    """Fields in which a recipe is not the one in a run's files: field → ``"lr: 0.1 → 0.2"``.

    A field that an older run did not know yet was its default there.
    """
    new, default = recipe.as_json(), Recipe(recipe.name, iterations=1).as_json()
    was = {k: old.get(k, 0 if k in BUDGETS else default[k]) for k in new}
    return {k: f"{k}: {was[k]} → {new[k]}" for k in new if was[k] != new[k]}


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Apply ``field=value`` texts from a command line, e.g. ``["lr=0.02", "crop=288,384"]``.

    A budget given so replaces the recipe's own: ``minutes=5`` also sets iterations and epochs to 0.

    Raises:
        RecipeError: no such field (the message lists near names), or a value of another type.
    """
    types = typing.get_type_hints(Recipe)
    changes: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator:
            raise RecipeError(f"{text!r}: write field=value, e.g. lr=0.02")
        if key not in types:
            near = difflib.get_close_matches(key, types, 3, 0.5)
            hint = f"near: {', '.join(near)}" if near else f"fields: {', '.join(types)}"
            raise RecipeError(f"a recipe has no field {key!r}; {hint}")
        changes[key] = _parse(key, value, types[key])
    if set(changes) & set(BUDGETS):
        changes = {**dict.fromkeys(BUDGETS, 0), **changes}
    return replace(recipe, **changes)


def _parse(key: str, text: str, kind: Any) -> Any:
    """One value of the field's type: number, word, true/false, none, tuple with commas, dict as Python writes it."""
    options = typing.get_args(kind) if type(None) in typing.get_args(kind) else (kind,)
    if text.lower() in ("none", "null") and type(None) in options:
        return None
    kind = next(o for o in options if o is not type(None))
    if kind is str:
        return text
    if kind is bool and text.lower() in ("true", "false", "yes", "no", "1", "0"):
        return text.lower() in ("true", "yes", "1")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    origin = typing.get_origin(kind)
    if origin is tuple:
        inner = typing.get_args(kind)
        if (
            isinstance(value, (tuple, list))
            and len(value) == len(inner)
            and all(isinstance(v, (int, float)) for v in value)
        ):
            return tuple(t(v) for t, v in zip(inner, value, strict=True))
    elif origin is not None:  # a mapping
        if isinstance(value, dict):
            return value
    elif not isinstance(value, bool) and (isinstance(value, int) or (kind is float and isinstance(value, float))):
        return kind(value)
    raise RecipeError(
        f"{key}={text}: not a {getattr(kind, '__name__', kind)}; the default is {getattr(_DEFAULTS, key)!r}"
    )


_DEFAULTS = Recipe("defaults", iterations=1)
