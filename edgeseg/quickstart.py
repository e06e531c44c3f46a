"""The README's first command: what a finished network sees, then the same network learning street scenes from nothing.

Within the first minute there is a picture to look at. Then scenes are rendered, two tables of counts say what is easy,
Cross-CBAM-M is trained from random weights, and all three are scored on scenes that none of them has seen. Training is
a number of steps, declared beforehand in a recipe, so that its result does not hang on how fast or busy a machine is.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeseg import plots
from edgeseg.data import open_data
from edgeseg.data.labels import CAMVID, ClassTable
from edgeseg.data.streets import Streets, drive
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.training.distributed import join_group
from edgeseg.training.optim import precise_bn
from edgeseg.training.recipes import Recipe, get_recipe
from edgeseg.training.run import Run, start_run
from edgeseg.training.runlog import RunLog
from edgeseg.training.train import (
    CHECKPOINT,
    WEIGHTS,
    alone_in,
    evaluate,
    plain_batches,
    train_one_epoch,
    training_step,
)
from edgeseg.training.trivial import fit_lookup_tables

FINISHED = "cross_cbam_m.streets"
SETTINGS = ("streets_cpu", "streets_small")
"""Recipes, the first one preferred."""

TEST_SCENES = 200
PATIENCE = 6.0
"""Minutes of training above which the next setting is taken."""

_TIMED, _WARM = 10, 2  # steps for an estimate, the first of which prepare and do not count


@dataclass(frozen=True)
class _Rendered:
    """Scenes that are in memory already, as a data set."""

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    table: ClassTable = CAMVID

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.images[index], self.labels[index]

    def arrays(self, progress: bool = True) -> tuple[np.ndarray, np.ndarray]:
        return self.images, self.labels


@dataclass(frozen=True)
class _Plan:
    """What is trained, and why.

    Args:
        recipe: its budget is a number of steps.
        step_seconds: that one step took in a trial.
        why: one sentence.
    """

    recipe: Recipe
    step_seconds: float
    why: str

    @property
    def minutes(self) -> float:
        return self.recipe.iterations * self.step_seconds / 60


def run_quickstart(
    out: str | Path = "runs/quickstart",
    minutes: float | None = None,
    seed: int = 0,
    device: str | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    """Show, render, train, score, draw.

    Args:
        out: folder for everything that is written; an earlier quickstart in it is replaced.
        minutes: that training may take, by an estimate before it starts: a smaller setting is taken, and then fewer
            steps, where this machine would take longer. Default: `PATIENCE` decides on the setting, and no step is left
            out.
        seed: of the scenes' order, the augmentation and the weights.
        device: default: CUDA where there is one, else the CPU.
        steps: of training by the first setting, however long that takes; default: the setting's own.

    Returns:
        The report, also in ``report.json``: mIoU in percent of the network and of both baselines, steps done and
        planned.

    Raises:
        KeyboardInterrupt: before the first step, or again after training was ended so: the first Ctrl-C in training
            ends that alone.
        TrainingError: another process trains in this folder.
    """
    with alone_in(Path(out)):
        return _run(Path(out), minutes, seed, device, steps)


def _run(out: Path, minutes: float | None, seed: int, device: str | None, steps: int | None) -> dict[str, Any]:
    started = time.perf_counter()
    for name in (CHECKPOINT, WEIGHTS, "log.jsonl", "report.json", "quickstart.png", "curves.png"):
        (out / name).unlink(missing_ok=True)
    print(f"1/5  what a finished network, {FINISHED}, sees on streets that are new to it")
    print(f"     look at {_first_look(out)}")
    recipes = [_setting(name, seed, steps) for name in (SETTINGS if steps is None else SETTINGS[:1])]
    count, size = recipes[0].data_count, recipes[0].data_size
    print(f"2/5  rendering {count} training and {TEST_SCENES} test scenes, {_by(size)} pixels")
    train, test = _render("train", recipes[0], count), _render("test", recipes[0], TEST_SCENES)
    print("3/5  what is easy: counting classes by a pixel's colour, then by colour and place")
    colour, position = _baselines(train, test)
    print(f"     mIoU {colour:.1f} % and {position:.1f} %")
    device = str(join_group(device)[2])
    plan = _plan(recipes, train, minutes, device)
    print(f"4/5  training {plan.recipe.model} from random weights: {plan.why}")
    print("     Ctrl-C ends the training, and what it has learnt by then is scored and drawn")
    log = RunLog(out)
    run = _train(plan.recipe, train, device, log)
    print("5/5  scoring and drawing")
    scores = log.scores(run.step, run.epoch, evaluate(run.ema.model, test, plan.recipe), test.table)
    _draw(out, test, scores["miou"])
    summary = {
        **{key: scores[key] for key in ("miou", "pixel_accuracy", "per_class_iou")},
        "baseline_colour": round(colour, 2), "baseline_position": round(position, 2),
        "model": plan.recipe.model, "data": "streets", "split": "test", "images": len(test),
        "size": list(size or ()), "seed": seed, "steps": run.step, "steps_planned": plan.recipe.iterations,
        "setting": plan.recipe.name, "why": plan.why, "step_seconds": round(plan.step_seconds, 4),
        "training_minutes": round(run.seconds / 60, 2),
        "total_minutes": round((time.perf_counter() - started) / 60, 2), "recipe": plan.recipe.as_json(),
    }  # fmt: skip
    log.report(summary)
    print(_story(summary, out))
    return summary


# what is shown at once ------------------------------------------------------------------------------------------------


def _first_look(out: Path) -> Path:
    """The finished network's picture of three test scenes and a frame of the drive, none of them chosen by hand."""
    scenes, segmenter = Streets("test", TEST_SCENES), load_segmenter(FINISHED)
    images = {f"test scene {i}": scenes[i][0] for i in (0, len(scenes) // 2, len(scenes) - 1)}
    images["the drive of `edgeseg live streets`"] = next(drive())[0]
    seen = [plots.overlay(image, segmenter.predict(image), scenes.table) for image in images.values()]
    figure = plots.picture_grid([list(images.values()), seen], [list(images)], below=0.7)
    handles = plots.class_patches(range(len(scenes.table)), scenes.table)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False)
    figure.suptitle(f"Streets that {FINISHED} has not seen, and what it sees in them", fontsize=11)
    return plots.save(figure, out / "first_look.png")


# what is easy ---------------------------------------------------------------------------------------------------------


def _render(split: str, recipe: Recipe, count: int | None) -> _Rendered:
    scenes = open_data("streets", split, size=recipe.data_size, count=count)
    images, labels = scenes.arrays(progress=True)  # type: ignore[union-attr]
    return _Rendered(images, labels, list(scenes.names))


def _baselines(train: _Rendered, test: _Rendered) -> list[float]:
    """mIoU in percent by a pixel's colour, and by its colour and place."""
    tables = fit_lookup_tables(train.images, train.labels, len(train.table))
    return [100 * score(table.predict, test, progress=False).miou for table in tables]


# how much is trained --------------------------------------------------------------------------------------------------


def _setting(name: str, seed: int, steps: int | None) -> Recipe:
    recipe = replace(get_recipe(name), seed=seed, precise_bn_frames=True)  # 0.7 points more than of crops, on val
    return recipe if steps is None else replace(recipe, iterations=steps)


def _plan(recipes: list[Recipe], train: _Rendered, minutes: float | None, device: str) -> _Plan:
    """The first recipe that this machine trains within the time, else the last, by ten steps of each."""
    limit, slower = PATIENCE if minutes is None else minutes, ""
    for recipe in recipes:
        plan = _Plan(recipe, _step_seconds(recipe, train, device), "")
        if plan.minutes <= limit or recipe is recipes[-1]:
            break
        slower = f"{recipe.name} would take {_told(plan.minutes)} here, more than {limit:g}, so "
    if minutes is not None and plan.minutes > minutes:
        plan = replace(plan, recipe=replace(plan.recipe, iterations=max(1, int(60 * minutes / plan.step_seconds))))
    why = f"{plan.recipe.iterations} steps by {plan.recipe.name}, about {_told(plan.minutes)} on this machine"
    return replace(plan, why=slower + why)


def _step_seconds(recipe: Recipe, train: _Rendered, device: str) -> float:
    """Mean time of a step, by ten of them on weights that are thrown away."""
    few = slice(0, _TIMED * recipe.batch)
    part = _Rendered(train.images[few], train.labels[few], train.names[few])
    run = start_run(recipe, part, torch.device(device))
    run.train_mode()
    for number, (keys, raw) in enumerate(islice(run.samples.batches(run.stream, 0), _TIMED)):
        if number == _WARM:
            started = time.perf_counter()
        training_step(run, keys, raw).item()  # waits for the device
        run.ema.update(run.model, number)
    return (time.perf_counter() - started) / (_TIMED - _WARM)


def _told(minutes: float) -> str:
    return "a minute" if minutes < 1.5 else f"{minutes:.0f} minutes"


# training -------------------------------------------------------------------------------------------------------------


def _train(recipe: Recipe, train: _Rendered, device: str, log: RunLog) -> Run:
    """Train to the last step, or to Ctrl-C, and write the averaged weights."""
    run = start_run(recipe, train, torch.device(device))
    computes = str(run.dtype).removeprefix("torch.")
    log.start(recipe=recipe.as_json(), start=run.start, computes=computes, images=len(train))
    batches = run.samples.batches(run.stream, 0)
    try:
        while run.progress < 1:
            train_one_epoch(run, batches, log)
    except KeyboardInterrupt:
        if not run.step:
            raise
        print(f"\nended by Ctrl-C after {run.step} of {recipe.iterations} steps; once more stops it", file=sys.stderr)
    precise_bn(run.ema.model, plain_batches(run))
    log.weights(run.ema.model, recipe, run.table, run.step, run.start, recipe.data_size)
    return run


# what came out --------------------------------------------------------------------------------------------------------


def _draw(out: Path, test: _Rendered, miou: float) -> None:
    segmenter = load_segmenter(out / WEIGHTS)
    chosen = np.linspace(0, len(test) - 1, 4).astype(int)
    rows = [(test.images[i], test.labels[i], segmenter.predict(test.images[i])) for i in chosen]
    title = f"Cross-CBAM-M on street scenes it has not seen: mIoU {miou:.1f} %"
    plots.save(plots.panel(rows, test.table, title), out / "quickstart.png")


def _story(r: dict[str, Any], out: Path) -> str:
    classes = "  ".join(f"{name} {iou:.0f}" for name, iou in r["per_class_iou"].items() if iou is not None)
    done = f"{r['steps']} steps" if r["steps"] == r["steps_planned"] else f"{r['steps']} of {r['steps_planned']} steps"
    return f"""
mIoU on {r["images"]} unseen scenes, eleven classes, {_by(r["size"])} pixels, seed {r["seed"]}
  one pixel's colour      {r["baseline_colour"]:6.2f} %
  colour and place        {r["baseline_position"]:6.2f} %
  {r["model"]:<22}  {r["miou"]:6.2f} %   after {done} by {r["setting"]}
  {classes}
{r["total_minutes"]:.1f} minutes in all. Written to {out}/
  quickstart.png          image, truth, prediction and errors: look at it now
  first_look.png          what the finished network sees
  curves.png              loss and learning rate
  weights.safetensors     the trained network
  report.json, log.jsonl  every number
Next
  edgeseg predict PICTURE.jpg --model {out}/weights.safetensors
  edgeseg train streets_cpu iterations=5000 --out runs/longer
"""


def _by(size: Any) -> str:
    return "×".join(str(v) for v in size)
