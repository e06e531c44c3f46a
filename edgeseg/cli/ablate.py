"""``edgeseg ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.files import append_row


def ablate(
    name: Annotated[str, typer.Argument(help="a recipe, whose val_split decides; or one of the papers' tables")],
    changes: Annotated[list[str] | None, typer.Argument(help="field=value … for all variants")] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="'NAME: field=value … init=WEIGHT', repeated; the first is what others are held to. Of a table: the "
            "name of a row, to train only these"
        ),
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="data of a table: streets (the default), camvid, cityscapes or voc")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="0 to N−1, the same for every variant")] = 3,
    out: Annotated[Path | None, typer.Option(help="folder of the runs; default runs/ablate_NAME")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; default: CUDA where there is one")] = None,
    json: Annotated[
        Path | None, typer.Option(help="add a JSON line per run here; runs that stand there are not trained again")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="draw the differences here (.png)")] = None,
) -> None:
    """Train variants of a recipe on the same seeds and say what each changes, with its standard error.

    edgeseg ablate camvid_fold --variant plain --variant "streets: init=cross_cbam_m.streets" --seeds 3. A table of the
    papers brings its variants: edgeseg ablate cross_cbam_4 --seeds 5. Stopped, it goes on where it was; finished runs
    are read; --variant NAME trains only that row.
    """
    from edgeseg.plots import save
    from edgeseg.text import unknown
    from edgeseg.training.ablate import (
        Variant,
        effects,
        effects_picture,
        effects_table,
        read_record,
        run_variants,
        size_key,
    )
    from edgeseg.training.batches import open_recipe
    from edgeseg.training.recipes import RecipeError, get_recipe, list_recipes, override
    from edgeseg.training.runlog import told
    from edgeseg.training.tables import TABLES, scored_sizes, table_picture, table_recipe, table_text

    table = TABLES.get(name)
    if table is None and name not in list_recipes():
        raise RecipeError(unknown("table or recipe", name, [*TABLES, *list_recipes()]))
    if table is None and on is not None:
        raise RecipeError(f"--on chooses the data of a table; {name} is a recipe: say data=…, or leave it out")
    if table is None:
        base, variants = override(get_recipe(name), changes or []), [Variant.parse(text) for text in variant or ()]
        sizes, folder = None, out or Path("runs") / f"ablate_{name}"
    else:
        base = table_recipe(table, get_recipe(f"tables_{on or 'streets'}"), changes or [])
        variants = table.chosen(variant) if variant else table.variants
        sizes, folder = scored_sizes(base), out or Path("runs") / base.name
    if table is None and len(variants) < 2:
        raise RecipeError("nothing to compare: give --variant at least twice, e.g. --variant plain --variant 'a: lr=1'")
    data, val = open_recipe(base)
    if val is None:
        raise RecipeError(f"recipe {base.name} scores on nothing: set val_split, e.g. val_split=fold_val")
    known = read_record(json) if json is not None else []
    have, rows = {(row["variant"], row["seed"]) for row in known}, []
    for row in run_variants(base, variants, range(seeds), data, val, folder, device, sizes=sizes or (), known=known):
        rows.append(row)
        if json is not None and (row["variant"], row["seed"]) not in have:
            append_row(json, row)
        scores = [(f" at {size_key(size)}", row["at"][size_key(size)]) for size in sizes] if sizes else [("", row)]
        shown = ", ".join(f"{told(score['miou'])}{at}" for at, score in scores)
        print(f"{row['variant']}, seed {row['seed']}: mIoU {shown} after {row['steps']} steps")
    often = f"{seeds} paired seeds" if seeds > 1 else "one seed"
    note = f"{base.data} {base.split} → {base.val_split}, {rows[0]['steps']} steps of {base.batch}, {often}"
    if table is None or sizes is None:
        print(f"\n{note}\n{effects_table(effects(rows))}")
        figure = effects_picture(effects(rows), f"{name}: {note}")
    else:
        new = {(row["variant"], row["seed"]) for row in rows}
        rows += [row for row in table.rows(known) if (row["variant"], row["seed"]) not in new]
        print(f"\n{table.source}: {table.title}\n{note}\n{table_text(table, rows, base, len(data.table))}")
        figure = table_picture(table, rows, sizes, note=note)
    if picture is not None:
        print(f"picture: {save(figure, picture)}")
