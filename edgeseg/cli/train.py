"""``edgeseg train`` and ``edgeseg quickstart``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.text import table

if TYPE_CHECKING:
    from edgeseg.data.pairs import Dataset
    from edgeseg.training.recipe import Recipe

_Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; default: CUDA where there is one")]


def quickstart(
    out: Annotated[Path, typer.Option(help="folder for everything that is written")] = Path("runs/quickstart"),
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="longest training: where it would take longer, fewer steps; default: never fewer"),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="of training, however long they take")] = None,
    seed: Annotated[int, typer.Option(help="of weights, order and augmentation")] = 0,
    device: _Device = None,
) -> None:
    """Show what a finished network sees, then train it anew on rendered streets, beside trivial baselines.

    Ctrl-C in training ends it early: what was learnt is scored and drawn.
    """
    from edgeseg.quickstart import run_quickstart

    run_quickstart(out, minutes, seed, device, steps)


def train(
    recipe: Annotated[str, typer.Argument(help="name of a recipe, or 'list'")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="field=value …, e.g. lr=0.02 crop=288,384 epochs=50")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run; default runs/RECIPE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the folder's checkpoint")] = False,
    init: Annotated[str | None, typer.Option(help="start from this weight (name or file)")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="start the backbone from ImageNet weights: a file, an installed package, or timm")
    ] = None,
    device: _Device = None,
    workers: Annotated[int, typer.Option(help="reading processes, where the data does not fit into memory")] = 2,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="also write the log for TensorBoard")] = False,
    checkpoint_minutes: Annotated[float, typer.Option(help="time between checkpoints")] = 5.0,
) -> None:
    """Train by a recipe, on one process or under torchrun on several.

    Every field of the recipe can be changed: edgeseg train camvid_cpu lr=0.02 epochs=50. On several GPUs:
    torchrun --nproc-per-node 4 -m edgeseg train camvid_scratch
    """
    from edgeseg.training.batches import open_recipe
    from edgeseg.training.recipe import differing, override
    from edgeseg.training.recipes import get_recipe, list_recipes, summary
    from edgeseg.training.runlog import told
    from edgeseg.training.train import CHECKPOINT, WEIGHTS, fit

    if recipe == "list":
        print(table(("", ""), [(name, summary(name)) for name in list_recipes()], "<<"))
        return
    base, folder = get_recipe(recipe), out or Path("runs") / recipe
    chosen = override(base, changes or [])
    data, val = open_recipe(chosen)
    _say(f"{chosen.name}: {len(data)} images of {chosen.data} ({chosen.split}) → {folder}")
    if changed := differing(base.as_json(), chosen):
        _say("changed: " + ", ".join(changed.values()))
    try:
        report = fit(
            chosen, data, val, folder, device=device, init=init, backbone=backbone, resume=resume, workers=workers,
            tensorboard=tensorboard, checkpoint_seconds=60 * checkpoint_minutes,
        )  # fmt: skip
    except KeyboardInterrupt:
        kept = (folder / CHECKPOINT).exists()
        _say("the same command with --resume goes on from its checkpoint" if kept else "nothing was saved yet")
        raise
    scored = f"mIoU {told(report['scores']['miou'])} on {chosen.val_split}; " if "scores" in report else ""
    _say(f"{scored}weights: {folder / WEIGHTS}\nNext")
    for command in _next_commands(chosen, data, folder / WEIGHTS):
        _say(f"  {command}")


def _next_commands(recipe: Recipe, data: Dataset, weights: Path) -> list[str]:
    """What to do with a run's result: commands that work as they stand, but for the picture's name."""
    from edgeseg.data.datasets import known_options

    split, name = _split_to_score(recipe), shlex.quote(str(weights))
    scored = f"edgeseg eval {name} --data {shlex.quote(recipe.data)} --split {shlex.quote(split)}"
    if recipe.data_size and "size" in known_options(recipe.data, size=recipe.data_size):
        scored += " --data-size {}x{}".format(*recipe.data_size)
    if split == recipe.split:
        scored += "   # the very images it was trained on"
    height, width = recipe.eval_size or data[0][0].shape[:2]
    return [
        f"edgeseg predict PICTURE.jpg --model {name}",
        scored,
        f"edgeseg export {name} --size {height}x{width}",
    ]


def _split_to_score(recipe: Recipe) -> str:
    """The split that a run was scored on; without one the last that its data have, for others the one trained on."""
    from edgeseg.data.datasets import DATASETS, recognise
    from edgeseg.data.pairs import find_splits

    if recipe.val_split is not None:
        return recipe.val_split
    known = recognise(recipe.data)
    if known is None:
        splits = find_splits(recipe.data)
    else:
        splits = list(DATASETS[known].splits(None if recipe.data.lower() in DATASETS else Path(recipe.data), False))
    return splits[-1] if splits else recipe.split


def _say(text: str) -> None:
    """Print once, however many processes torchrun started."""
    if os.environ.get("RANK", "0") == "0":
        print(text)
