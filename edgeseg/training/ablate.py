"""Which change helps: variants of a recipe trained on the same seeds, and compared seed by seed.

Two variants of one seed start from the same random numbers and see the same samples in the same order, so their
difference moves less from seed to seed than either score does. `effects` gives its mean with the standard error: a
change whose error bar covers zero has shown nothing.

Scores are taken on the recipe's ``val_split``. To decide between variants there and then report the same split would
flatter; decide on a fold (CamVid's ``fold_train`` and ``fold_val``), report on a test set that decided nothing.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.data.labels import match_classes
from edgeseg.data.pairs import Dataset
from edgeseg.files import read_json
from edgeseg.plots import BLUE, DARK_GREY, GREY
from edgeseg.text import table
from edgeseg.training.checkpoint import checkpoint_meta, data_differences, data_identity
from edgeseg.training.network import check_network, start_text
from edgeseg.training.recipe import Recipe, RecipeError, differing, override
from edgeseg.training.train import CHECKPOINT, TrainingError, fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIXED = ("name", "data", "data_size", "data_count", "split", "val_split", "seed")
_NAME = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class Variant:
    """A recipe's change under test.

    Args:
        name: also of its folder: letters, digits and ``._+-``.
        changes: ``field=value`` as on the command line; everything but data, splits and seed.
        init: a weight's name or file to start from, ``None``: random weights.
    """

    name: str
    changes: tuple[str, ...] = ()
    init: str | None = None

    @classmethod
    def parse(cls, text: str) -> Variant:
        """``"NAME: field=value field=value init=WEIGHT"``; a name alone is the recipe as it is."""
        name, _, rest = (part.strip() for part in text.partition(":"))
        if not _NAME.fullmatch(name) or name.startswith("."):
            raise RecipeError(f"variant {text!r}: write NAME: field=value … init=WEIGHT, e.g. 'ohem: loss=ohem'")
        words = rest.split()
        inits = [w.removeprefix("init=") for w in words if w.startswith("init=")]
        return cls(name, tuple(w for w in words if not w.startswith("init=")), inits[-1] if inits else None)

    def recipe(self, base: Recipe, seed: int) -> Recipe:
        """What one seed of this variant trains by.

        Raises:
            RecipeError: no such field or value, or one that all variants must have in common.
        """
        shared = [c for c in self.changes if c.partition("=")[0] in _FIXED]
        if shared:
            raise RecipeError(f"variant {self.name}: {', '.join(shared)} would compare unlike things; leave it out")
        return replace(override(base, self.changes), seed=seed)


@dataclass(frozen=True)
class Effect:
    """A variant beside the first one. Points of mIoU, NaN where there is none; errors are standard errors."""

    variant: str
    miou: float  # mean over its seeds
    difference: float  # mean of its seeds' differences to the first variant
    error: float | None  # of that difference, ``None`` of a single seed
    differences: tuple[float, ...]  # seed by seed


def run_variants(
    base: Recipe,
    variants: Sequence[Variant],
    seeds: Sequence[int],
    data: Dataset,
    val: Dataset,
    out: str | Path,
    device: str | None = None,
    progress: bool = True,
) -> Iterator[dict[str, Any]]:
    """Train every variant on every seed, seed after seed; what is finished is read, what was cut is taken up.

    Args:
        base: what the variants change.
        variants: the first is what the others are compared with.
        seeds: of weights, order and augmentation.
        data: training set.
        val: what decides.
        out: one folder per run: ``VARIANT/seedN``.
        device: see `fit`.
        progress: show bars.

    Returns:
        Iterator of rows as runs end: variant, seed, scores in percent, steps, minutes, start, recipe.

    Raises:
        RecipeError: two variants of one name, or a variant that cannot be.
        UnknownModelError, WeightError: a variant's switch, start or teacher that there is not.
        TrainingError: a folder holds a run by another recipe, from another start or on other data.
        LabelError: a folder holds a run on other classes.
    """
    names = [v.name for v in variants]
    if len(set(names)) < len(names):
        raise RecipeError(f"variants {', '.join(names)}: give each a name of its own")
    jobs = [(v, seed, v.recipe(base, seed)) for seed in seeds for v in variants]  # all are checked before any runs
    for variant, seed, recipe in jobs:
        folder = Path(out) / variant.name / f"seed{seed}"
        if seed == jobs[0][1]:  # other seeds build the same network
            _named(variant, check_network, recipe, data.table, variant.init)
        _check_start(folder, variant.init)
        _finished(folder, recipe, variant.init, data, val)
    for variant, seed, recipe in jobs:
        folder = Path(out) / variant.name / f"seed{seed}"
        report = _finished(folder, recipe, variant.init, data, val)
        if report is None:
            report = fit(recipe, data, val, folder, device=device, init=variant.init, resume=True, progress=progress)
        kept = {k: report[k] for k in ("steps", "minutes", "start", "recipe")}
        yield {"variant": variant.name, "seed": seed, **report["scores"], **kept}


def _named(variant: Variant, check: Callable[..., None], *arguments: Any) -> None:
    """Run a check whose errors are to name the variant."""
    try:
        check(*arguments)
    except ValueError as error:
        raise RecipeError(f"variant {variant.name}: {error}") from error


def _check_start(folder: Path, init: str | None) -> None:
    """Refuse a run that is not finished and was begun from another start: going on would mix the two up."""
    path = folder / CHECKPOINT
    start = checkpoint_meta(path).get("start") if path.is_file() else None
    if start not in (None, start_text(init)):
        raise TrainingError(
            f"{folder} holds a run of another recipe or start ({start}, now {start_text(init)}); choose another folder "
            "(--out)"
        )


def _finished(folder: Path, recipe: Recipe, init: str | None, data: Dataset, val: Dataset) -> dict[str, Any] | None:
    """The report of a run that ended with a score; `fit` looks after one that did not."""
    path = folder / "report.json"
    if not path.is_file():
        return None
    report = read_json(path)
    if differing(report["recipe"], recipe) or report["start"] != start_text(init):
        raise TrainingError(f"{folder} holds a run of another recipe or start; choose another folder (--out)")
    cure = "Choose another folder (--out)."
    match_classes(report["classes"], data.table.names, str(folder), "the training data", cure)
    for part, now in (("training", data), ("validation", val)):
        others = data_differences(report.get("data", {}).get(part, {}), data_identity(now))
        if others:
            raise TrainingError(f"{folder} holds a run on other {part} data ({others}). {cure}")
    return report if "scores" in report else None


def effects(rows: Sequence[dict[str, Any]]) -> list[Effect]:
    """Every variant beside the first, over the seeds that both have finished.

    Args:
        rows: of `run_variants`; variants come in the order in which they appear.
    """
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        own = scores.setdefault(row["variant"], {})
        if row["miou"] is not None:  # else no pixel of the images has a class
            own[row["seed"]] = row["miou"]
    first = next(iter(scores.values()), {})
    found = []
    for name, own in scores.items():
        differences = tuple(own[seed] - first[seed] for seed in own if seed in first)
        error = statistics.stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else None
        found.append(Effect(name, _mean(own.values()), _mean(differences), error, differences))
    return found


def _mean(values: Collection[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def effects_table(found: Sequence[Effect]) -> str:
    """Effects as text, one line a variant."""
    rows = [[found[0].variant, _points(found[0].miou), "", ""]]
    for e in found[1:]:
        error = "" if e.error is None else f" ± {e.error:.2f}"
        each = "  ".join(f"{d:+.2f}" for d in e.differences)
        rows.append([e.variant, _points(e.miou), f"{_points(e.difference, '+')}{error}", each])
    return table(["variant", "mIoU %", "difference", "seed by seed"], rows, "<><<")


def _points(value: float, sign: str = "") -> str:
    return "–" if math.isnan(value) else f"{value:{sign}.2f}"


def effects_picture(found: Sequence[Effect], title: str = "") -> Figure:
    """Differences to the first variant: every seed a dot, the mean with one standard error."""
    from matplotlib.figure import Figure

    others = list(found[1:])
    figure = Figure((7.2, 1.5 + 0.45 * max(len(others), 1)), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color=DARK_GREY, lw=1)
    for place, e in enumerate(others):
        axis.plot(e.differences, [place] * len(e.differences), "o", color=GREY, ms=4)
        axis.errorbar(e.difference, place, xerr=e.error, fmt="D", color=BLUE, ms=6, capsize=4, lw=1.5)
    axis.set_yticks(range(len(others)), [e.variant for e in others])
    axis.set_ylim(len(others) - 0.5, -0.5)
    axis.set_xlabel(f"points of mIoU against {found[0].variant}: dots seeds, diamond mean ± standard error")
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    if title:
        axis.set_title(title, fontsize=10)
    return figure
