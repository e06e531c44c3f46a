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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.data.labels import match_classes
from edgeseg.data.pairs import Dataset
from edgeseg.files import read_json, read_rows, write_json
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.plots import BLUE, DARK_GREY, GREY
from edgeseg.text import table
from edgeseg.training.checkpoint import checkpoint_meta, data_differences, data_identity
from edgeseg.training.distributed import join_group
from edgeseg.training.network import check_network, start_text
from edgeseg.training.recipe import Recipe, RecipeError, differing, override
from edgeseg.training.train import CHECKPOINT, TrainingError, fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]
Size = tuple[int, int]
MEASURES = {
    "miou": "mIoU",
    "boundary_f1": "boundary F1",
    "thin_iou": "IoU of thin classes",
    "small_found": "small objects found",
    "large_whole": "large objects whole",
}
"""What runs are compared by, and its name in tables and pictures; all in percent."""

REPORT, SCORES = "report.json", "scores.json"
_FIXED = ("name", "data", "data_size", "data_count", "data_partial", "split", "val_split", "seed")
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
    sizes: Sequence[Size] = (),
    known: Sequence[Row] = (),
) -> Iterator[Row]:
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
        sizes: (H, W) of the network's input at which each run is scored, in detail; none: the recipe's ``eval_size``.
        known: rows of runs that are finished, perhaps on another machine: they are not trained again.

    Returns:
        Iterator of rows as runs end: variant, seed, scores in percent (with `sizes` those under ``at`` by size), steps,
        minutes, start, classes, data, recipe.

    Raises:
        RecipeError: two variants of one name, or a variant that cannot be.
        UnknownModelError, WeightError: a variant's switch, start or teacher that there is not.
        TrainingError: a folder, or a row, is of a run by another recipe, from another start or on other data.
        LabelError: a folder, or a row, is of a run on other classes.
    """
    names = [v.name for v in variants]
    if len(set(names)) < len(names):
        raise RecipeError(f"variants {', '.join(names)}: give each a name of its own")
    jobs = [_Job(v, seed, v.recipe(base, seed), Path(out)) for seed in seeds for v in variants]
    rows = {(row["variant"], row["seed"]): row for row in known}
    for job in jobs:  # all are checked before any runs
        if job.seed == jobs[0].seed:  # other seeds build the same network
            _named(job.variant, check_network, job.recipe, data.table, job.variant.init)
        _check_start(job.folder, job.variant.init)
        _finished(job, data, val, sizes, rows.get(job.key))
    for job in jobs:
        row = _finished(job, data, val, sizes, rows.get(job.key))
        yield row if row is not None else _run(job, data, val, sizes, device, progress)


@dataclass(frozen=True)
class _Job:
    """One variant on one seed."""

    variant: Variant
    seed: int
    recipe: Recipe
    out: Path

    @property
    def key(self) -> tuple[str, int]:
        return self.variant.name, self.seed

    @property
    def folder(self) -> Path:
        return run_folder(self.out, *self.key)


def run_folder(out: Path, variant: str, seed: int) -> Path:
    """Where `run_variants` trains one seed of a variant."""
    return out / variant / f"seed{seed}"


def _run(job: _Job, data: Dataset, val: Dataset, sizes: Sequence[Size], device: str | None, progress: bool) -> Row:
    """Train, or go on where a run was cut, and score."""
    if not sizes:
        _train(job, data, val, device, progress)
    elif not (job.folder / REPORT).is_file():
        _train(job, data, val if job.recipe.eval_every else None, device, progress)
    if sizes:
        segmenter, at = load_segmenter(job.folder, join_group(device)[2]), {}
        for size in sizes:
            segmenter.size = size
            desc = f"{job.variant.name} {size_key(size)}"
            scores = score(segmenter.predict, val, boundary=True, progress=progress, desc=desc, objects=True)
            at[size_key(size)] = scores.as_dict(val.table.names)
        write_json(job.folder / SCORES, {"at": at, "validation": data_identity(val)})
    row = _finished(job, data, val, sizes, None)
    if row is None:
        raise TrainingError(f"{job.folder}: the run ended without a score; delete the folder and start again")
    return row


def _train(job: _Job, data: Dataset, val: Dataset | None, device: str | None, progress: bool) -> None:
    fit(job.recipe, data, val, job.folder, device=device, init=job.variant.init, resume=True, progress=progress)


def read_record(path: Path) -> list[Row]:
    """The rows of `run_variants` that a file keeps, one a line; none where there is no such file.

    Raises:
        ValueError: a line that is no such row, perhaps of an earlier version; names file and line.
    """
    rows = read_rows(path)
    for number, row in enumerate(rows, 1):
        lacks = [key for key in ("variant", "seed", "start", "classes", "data", "recipe") if key not in row]
        if lacks:
            raise ValueError(f"{path}, line {number}: no row of a run: it lacks {', '.join(lacks)}. Give another file")
    return rows


def size_key(size: Size) -> str:
    """``(192, 256)`` → ``"192x256"``, as rows name it."""
    return f"{size[0]}x{size[1]}"


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


def _finished(job: _Job, data: Dataset, val: Dataset, sizes: Sequence[Size], known: Row | None) -> Row | None:
    """The row of a run that ended with all its scores, from a record or its folder; ``None``: there is work left."""
    for row, where, cure in (
        (known, f"the record of {job.variant.name}, seed {job.seed},", "Give another file (--json)."),
        (_row_in(job.folder, sizes), str(job.folder), "Choose another folder (--out)."),
    ):
        if row is not None:
            _check_row(row, job, data, val, where, cure)
            if all(size_key(size) in row.get("at", {}) for size in sizes) if sizes else "miou" in row:
                return {"variant": job.variant.name, "seed": job.seed, **row}
    return None


def _check_row(row: Row, job: _Job, data: Dataset, val: Dataset, where: str, cure: str) -> None:
    """Refuse what was trained otherwise than this job asks."""
    others = differing(row["recipe"], job.recipe)
    if others or row["start"] != start_text(job.variant.init):
        named = f" ({', '.join(others.values())})" if others else ""
        raise TrainingError(f"{where} holds a run of another recipe or start{named}. {cure}")
    match_classes(row["classes"], data.table.names, where, "the training data", cure)
    for part, now in (("training", data), ("validation", val)):
        differences = data_differences(row["data"].get(part, {}), data_identity(now))
        if differences:
            raise TrainingError(f"{where} holds a run on other {part} data ({differences}). {cure}")


def _row_in(folder: Path, sizes: Sequence[Size]) -> Row | None:
    """What a run's folder tells, without its variant and seed."""
    report = read_json(folder / REPORT)
    if not report:
        return None
    scores = {"at": {}} if sizes else report.get("scores", {})
    identity = dict(report.get("data", {}))
    if sizes and (detail := read_json(folder / SCORES)):
        scores, identity["validation"] = {"at": detail["at"]}, detail["validation"]
    kept = {k: report[k] for k in ("steps", "minutes", "start", "classes", "recipe")}
    return {**scores, **kept, "data": identity}


def effects(rows: Sequence[Row]) -> list[Effect]:
    """Every variant beside the first in mIoU, over the seeds that both have finished.

    Args:
        rows: of `run_variants` without sizes; variants come in the order in which they appear, seeds may in any.
    """
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        own = scores.setdefault(row["variant"], {})
        if row["miou"] is not None:  # else no pixel of the images has a class
            own[row["seed"]] = row["miou"]
    first = next(iter(scores.values()), {})
    return [Effect(name, _mean(own.values()), *paired(own, first)) for name, own in scores.items()]


def paired(own: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float | None, tuple[float, ...]]:
    """Differences of two variants' scores by seed: their mean, its standard error, and each, in the seeds' order."""
    differences = tuple(own[seed] - other[seed] for seed in sorted(own) if seed in other)
    error = statistics.stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else None
    return _mean(differences), error, differences


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
