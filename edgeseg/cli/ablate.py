"""``edgeseg ablate``."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.files import write_lines


def ablate(
    recipe: Annotated[str, typer.Argument(help="name of a recipe; its val_split decides")],
    changes: Annotated[list[str] | None, typer.Argument(help="field=value … for all variants")] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="'NAME: field=value … init=WEIGHT', may be repeated; the first is what others are held to"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="0 to N−1, the same for every variant")] = 3,
    out: Annotated[Path | None, typer.Option(help="folder of the runs; default runs/ablate_RECIPE")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; default: CUDA where there is one")] = None,
    json: Annotated[Path | None, typer.Option(help="write a JSON line per run here")] = None,
    picture: Annotated[Path | None, typer.Option(help="draw the differences here (.png)")] = None,
) -> None:
    """Train variants of a recipe on the same seeds and say what each changes, with its standard error.

    edgeseg ablate camvid_fold --variant plain --variant "streets: init=cross_cbam_m.streets" --seeds 3. Stopped, it
    goes on where it was; finished runs are read.
    """
    from edgeseg import plots
    from edgeseg.training.ablate import Variant, effects, effects_picture, effects_table, run_variants
    from edgeseg.training.batches import open_recipe
    from edgeseg.training.recipes import RecipeError, get_recipe, override
    from edgeseg.training.runlog import told

    base = override(get_recipe(recipe), changes or [])
    variants = [Variant.parse(text) for text in variant or ()]
    if len(variants) < 2:
        raise RecipeError("nothing to compare: give --variant at least twice, e.g. --variant plain --variant 'a: lr=1'")
    data, val = open_recipe(base)
    if val is None:
        raise RecipeError(f"recipe {recipe} scores on nothing: set val_split, e.g. val_split=fold_val")
    rows, folder = [], out or Path("runs") / f"ablate_{recipe}"
    for row in run_variants(base, variants, range(seeds), data, val, folder, device):
        rows.append(row)
        write_lines(json, [jsonlib.dumps(r) for r in rows])
        print(f"{row['variant']}, seed {row['seed']}: mIoU {told(row['miou'])} after {row['steps']} steps")
    found = effects(rows)
    print(f"\n{base.data} {base.split} → {base.val_split}, {rows[0]['steps']} steps\n{effects_table(found)}")
    if picture is not None:
        title = f"{recipe}, {base.data} {base.val_split}, {seeds} paired seeds"
        print(f"picture: {plots.save(effects_picture(found, title), picture)}")
