"""Two classes of one's own from 20 photographs: which start is worth what? The log that lesson 20 reads.

OMP_NUM_THREADS=1 EDGESEG_DATA=FOLDER python benchmarks/own_classes.py course/results/own_classes.jsonl

Real photographs: 20 frames of CamVid, drawn anew for every seed from `fold_train`, two own classes (way: road and
pavement; people: pedestrians and riders) beside *other*, scored on `fold_val`, another recording. Weights of rendered
streets have seen no photograph of CamVid. Rows that need no training are what a training must beat: *other*
everywhere, a table of colours and places of the same 20 frames, and the eleven classes of a finished weight put
together. One recipe for all starts, the lesson's, tuned for none. A row that the log has already is not made again; a
run that was cut is taken up (runs/own_classes).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.course.lessons import lesson_20 as lesson
from edgeseg.data import open_data
from edgeseg.data.labels import CAMVID, VOID, ClassTable
from edgeseg.data.pairs import Pairs
from edgeseg.metrics import score
from edgeseg.training.train import fit
from edgeseg.training.trivial import fit_lookup_tables

OWN = {"way": ("Road", "Pavement"), "people": ("Pedestrian", "Bicyclist")}
NAMES = ("other", *OWN)
PHOTOGRAPHS, STEPS, BATCH, CROP, SEEDS = 20, 60, 4, (192, 256), (0, 1, 2)
S, M = "cross_cbam_s.streets", "cross_cbam_m.streets"
STARTS: Mapping[str, tuple[str, str | None]] = {"S, streets": (S, S), "M, streets": (M, M), "S, random": (S, None)}
"""Name → the weight whose network and normalisation are taken, and the weight to start from."""


def own_pairs(split: str, names: tuple[str, ...] | None = None) -> Pairs:
    """Frames of a CamVid split, read as the own classes; all, or those named."""
    pairs = open_data("camvid", split)
    assert isinstance(pairs, Pairs)
    of = {CAMVID.index(old): NAMES.index(new) for new, group in OWN.items() for old in group} | {VOID: VOID}
    known = pairs.table
    table = ClassTable(
        "own", NAMES, lesson.COLORS[:3], ids={value: of.get(k, 0) for value, k in known.ids.items()},
        rgb={color: of.get(k, 0) for color, k in known.rgb.items()},
    )  # fmt: skip
    chosen = [i for i, name in enumerate(pairs.names) if names is None or name in names]
    images, labels = [pairs.images[i] for i in chosen], [pairs.labels[i] for i in chosen]
    return Pairs(images, labels, table, [pairs.names[i] for i in chosen], split)


def photographs(seed: int) -> tuple[str, ...]:
    """The names of the frames that a seed trains on."""
    names = sorted(open_data("camvid", "fold_train").names)
    return tuple(sorted(np.random.default_rng(seed).choice(names, PHOTOGRAPHS, replace=False).tolist()))


def untrained(val: Pairs, make: Callable[[], lesson.Predict]) -> dict[str, Any]:
    """Scores in percent of what needs no training."""
    return score(make(), val, progress=False).as_dict(val.table.names)


def looked_up(seed: int) -> lesson.Predict:
    """The table of colours and places of a seed's photographs."""
    images, labels = zip(*own_pairs("fold_train", photographs(seed)), strict=True)
    return fit_lookup_tables(np.stack(images), np.stack(labels), len(NAMES))[1].predict


def trained(val: Pairs, start: str, seed: int) -> dict[str, Any]:
    """Train one start on a seed's photographs; scores in percent, steps, minutes."""
    names, (like, init) = photographs(seed), STARTS[start]
    out = Path("runs/own_classes") / f"{start.replace(', ', '_')}_seed{seed}"
    recipe = lesson.recipe(like, STEPS, BATCH, CROP, seed)
    report = fit(recipe, own_pairs("fold_train", names), val, out, device="cpu", init=init, resume=True, progress=False)
    return {**report["scores"], "steps": report["steps"], "minutes": report["minutes"], "photographs": names}


def main(path: Path) -> None:
    """Make every row that the log does not have, one after another."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    done = {(row["start"], row["seed"]) for row in map(json.loads, lines)}
    val = own_pairs("fold_val")
    jobs: list[tuple[str, int | None, Callable[[], dict[str, Any]]]] = [
        ("other everywhere", None, partial(untrained, val, partial(lesson.everywhere, 0)))
    ]
    for weight, letter in ((S, "S"), (M, "M")):
        make = partial(lesson.put_together, weight, val.table, OWN)
        jobs.append((f"{letter}, classes put together", None, partial(untrained, val, make)))
    jobs += [("colours and places", s, partial(untrained, val, partial(looked_up, s))) for s in SEEDS]
    runs = [(start, seed) for start in STARTS for seed in SEEDS]
    jobs += [(start, seed, partial(trained, val, start, seed)) for start, seed in runs]
    for start, seed, scores in jobs:
        if (start, seed) in done:
            continue
        row = {"start": start, "seed": seed, **scores()}
        with path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
        print(f"{start}, seed {seed}: mIoU {row['miou']}, {row['per_class_iou']}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
