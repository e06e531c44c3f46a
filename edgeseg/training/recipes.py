"""Recipes: every number of a training run, as data.

A recipe is a frozen dataclass; a variant is `dataclasses.replace(recipe, lr=0.02)`, from the command line `lr=0.02`.
One function per recipe says where its numbers come from.
"""

from __future__ import annotations

import ast
import difflib
import fnmatch
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
    data: str = "camvid"  # camvid, streets, or a folder of image/label pairs
    data_size: tuple[int, int] | None = None  # of rendered scenes
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
    warmup: int = 0  # iterations of linear warm-up
    # losses
    loss: str = "ce"  # of the main head: ce, ohem, focal, dice, or a sum such as "ohem + 0.5 dice"
    loss_stride: int = 1  # the main loss is taken at 1/stride of the label's size
    aux_loss: str = "ce"
    aux_weight: float = 0.4
    aux_stride: int = 8
    boundary_weight: float = 0.0  # > 0 adds the boundary head
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
    amp: str = "none"  # none, bf16, fp16
    channels_last: bool = True
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        budgets = [n for n in BUDGETS if getattr(self, n) > 0]
        if len(budgets) != 1:
            raise RecipeError(
                f"recipe {self.name}: set exactly one of iterations, epochs, minutes; set are {budgets or 'none'}"
            )
        if self.batch < 1 or self.accumulate < 1 or self.batch % self.accumulate:
            raise RecipeError(f"recipe {self.name}: batch {self.batch} is no multiple of accumulate {self.accumulate}")
        if min(self.crop) < 32:
            raise RecipeError(f"recipe {self.name}: crop {self.crop} is smaller than 32; the networks have stride 32")
        if self.batch // self.accumulate == 1 and min(self.crop) < 64:
            raise RecipeError(
                f"recipe {self.name}: one sample of crop {self.crop} leaves batch normalisation a single value per "
                "channel at 1/32; use a batch of 2 or more, or a crop of 64 or more"
            )
        if not 0 < self.scale[0] <= self.scale[1]:
            raise RecipeError(f"recipe {self.name}: scale {self.scale} must be 0 < smallest <= largest")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise RecipeError(
                    f"recipe {self.name}: {name} is {getattr(self, name)!r}; choose from {', '.join(allowed)}"
                )

    @property
    def augment(self) -> Augment:
        """The augmentation part of the recipe."""
        return Augment(**{f.name: getattr(self, f.name) for f in fields(Augment)})


BUDGETS = ("iterations", "epochs", "minutes")
_CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("poly", "cosine"),
    "class_weights": ("none", "enet", "median"),
    "amp": ("none", "bf16", "fp16"),
}


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

# recipes --------------------------------------------------------------------------------------------------------------

_RECIPES: dict[str, Callable[[], Recipe]] = {}
_STREETS_MEAN, _STREETS_STD = (0.412, 0.418, 0.430), (0.238, 0.250, 0.276)  # of 200 training scenes


def _recipe(function: Callable[[], Recipe]) -> Callable[[], Recipe]:
    _RECIPES[function.__name__] = function
    return function


@_recipe
def cross_cbam_camvid_paper() -> Recipe:
    """Cross-CBAM, section 4.2, on CamVid 960×720 from an ImageNet backbone.

    SGD 0.9, weight decay 5e-4, poly 0.9, lr 0.01 to 1e-4, batch 24, 10k iterations, crop 960×720 (W×H), scale 0.5–2.5,
    flip. The loss α·CE + (1−α)·focal gives neither α nor γ; read here as CE on the main and focal (γ 2) on the
    auxiliary head.
    """
    return Recipe(
        "cross_cbam_camvid_paper", split="trainval", val_split="test",
        iterations=10_000, batch=24, crop=(720, 960), scale=(0.5, 2.5),
        lr=0.01, min_lr=1e-4, decay_conv_only=False, aux_loss="focal", aux_weight=1.0, ema=0.0, amp="bf16",
    )  # fmt: skip


@_recipe
def cross_cbam_cityscapes_paper() -> Recipe:
    """Cross-CBAM, section 4.2, on Cityscapes: batch 16, 160k iterations, crop 512×1024.

    The paper prints a scale range of 0.125–0.5, with which a crop is never filled; this recipe has STDC-Seg's
    0.125–1.5. `open_data` does not read Cityscapes yet: give its folder of pairs as ``data``.
    """
    return Recipe(
        "cross_cbam_cityscapes_paper", data="cityscapes", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
        iterations=160_000, batch=16, crop=(512, 1024), scale=(0.125, 1.5), eval_size=(512, 1024),
        lr=0.01, min_lr=1e-4, decay_conv_only=False, aux_loss="focal", aux_weight=1.0, ema=0.0, amp="bf16",
    )  # fmt: skip


@_recipe
def camvid_scratch() -> Recipe:
    """CamVid 480×360 without pre-training, for a GPU: long, enlarged input, class-centred crops, OHEM, EMA. Untried."""
    return Recipe(
        "camvid_scratch", eval_size=(540, 720), eval_every=50,
        epochs=1000, batch=24, crop=(528, 720), scale=(0.75, 3.0), class_crop=0.5,
        brightness=0.4, contrast=0.4, saturation=0.4, hue=0.03, grey=0.05, blur=0.1,
        lr=0.04, nesterov=True, min_lr=4e-4, warmup=500, ema=0.9998, precise_bn=50,
        loss="ohem", loss_stride=2, aux_weight=0.4, amp="bf16", compile=True,
    )  # fmt: skip


@_recipe
def camvid_cpu() -> Recipe:
    """CamVid 480×360 without pre-training, for a CPU (about 100 core-minutes): the same ideas at a small crop."""
    return Recipe(
        "camvid_cpu", eval_size=(540, 720), eval_every=15,
        epochs=160, batch=8, crop=(288, 384), scale=(1.0, 2.5), class_crop=0.5,
        brightness=0.4, contrast=0.4, saturation=0.4, hue=0.02, grey=0.05, blur=0.1,
        lr=0.03, nesterov=True, min_lr=1e-4, warmup=100, ema=0.9995, precise_bn=30,
        class_weights="enet", loss_stride=2, aux_weight=0.4, amp="bf16",
    )  # fmt: skip


@_recipe
def streets_cpu() -> Recipe:
    """Synthetic street scenes in minutes on a CPU: what `edgeseg quickstart` runs."""
    return Recipe(
        "streets_cpu", data="streets", data_size=(288, 384), data_count=1500, mean=_STREETS_MEAN, std=_STREETS_STD,
        minutes=4.2, batch=8, crop=(192, 256), scale=(0.7, 1.3), class_crop=0.5,
        optimizer="adamw", lr=0.0015, weight_decay=0.01, schedule="cosine", min_lr=1e-5, warmup=60,
        ema=0.99, precise_bn=10, class_weights="enet", loss_stride=2, aux_weight=0.4, amp="bf16",
    )  # fmt: skip


@_recipe
def streets() -> Recipe:
    """Synthetic street scenes for hours or on a GPU. Untried."""
    return Recipe(
        "streets", data="streets", data_size=(360, 480), data_count=4000, mean=_STREETS_MEAN, std=_STREETS_STD,
        epochs=60, batch=16, crop=(360, 480), scale=(0.5, 2.0), class_crop=0.5,
        brightness=0.4, contrast=0.4, saturation=0.4, hue=0.02, grey=0.05, blur=0.1,
        lr=0.04, nesterov=True, min_lr=4e-4, warmup=200, ema=0.999, precise_bn=30,
        class_weights="enet", loss_stride=2, aux_weight=0.4, amp="bf16",
    )  # fmt: skip


def list_recipes(pattern: str = "*") -> list[str]:
    """Names of all recipes that match a shell pattern."""
    return sorted(fnmatch.filter(_RECIPES, pattern))


def summary(name: str) -> str:
    """First line of what a recipe says about itself."""
    return (_RECIPES[name].__doc__ or "").strip().splitlines()[0]


def get_recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        RecipeError: no such recipe; lists those that exist.
    """
    if name not in _RECIPES:
        near = difflib.get_close_matches(name, _RECIPES, 1, 0.5)
        raise RecipeError(
            f"no recipe {name!r}{f' (did you mean {near[0]}?)' if near else ''}; there are {', '.join(list_recipes())}"
        )
    return _RECIPES[name]()
