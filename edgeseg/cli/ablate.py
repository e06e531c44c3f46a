"""``edgeseg ablate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.files import append_row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from edgeseg.training.ablate import Row, Size, Variant
    from edgeseg.training.recipe import Recipe
    from edgeseg.training.tables import PaperTable


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
    heat: Annotated[
        Path | None,
        typer.Option(help="folder for a strip of heat maps per variant: what seed 0 sees each class by, on one frame"),
    ] = None,
) -> None:
    """Train variants of a recipe on the same seeds and say what each changes, with its standard error.

    edgeseg ablate camvid_fold --variant plain --variant "streets: init=cross_cbam_m.streets" --seeds 3. A table of the
    papers brings its variants: edgeseg ablate cross_cbam_4 --seeds 5. Stopped, it goes on where it was; finished runs
    are read; --variant NAME trains only that row.
    """
    from edgeseg.explain.strips import HeatStrips
    from edgeseg.plots import save
    from edgeseg.training.ablate import read_record, run_folder, run_variants
    from edgeseg.training.batches import open_recipe
    from edgeseg.training.recipes import RecipeError

    table, base, variants, sizes = _asked(name, changes or [], variant or [], on)
    folder = out or Path("runs") / (base.name if table else f"ablate_{name}")
    data, val = open_recipe(base)
    if val is None:
        raise RecipeError(f"recipe {base.name} scores on nothing: set val_split, e.g. val_split=fold_val")
    known = read_record(json) if json is not None else []
    have, rows = {(row["variant"], row["seed"]) for row in known}, []
    strips = HeatStrips(val, heat) if heat is not None else None
    for row in run_variants(base, variants, range(seeds), data, val, folder, device, sizes=sizes, known=known):
        rows.append(row)
        if json is not None and (row["variant"], row["seed"]) not in have:
            append_row(json, row)
        print(_line(row, sizes))
        run = run_folder(folder, row["variant"], row["seed"])
        if strips is not None and row["seed"] == 0 and run.is_dir():  # a row of the record was trained elsewhere
            print(f"heat maps: {strips.add(row['variant'], run)}")
    often = f"{seeds} paired seeds" if seeds > 1 else "one seed"
    note = f"{base.data} {base.split} → {base.val_split}, {rows[0]['steps']} steps of {base.batch}, {often}"
    figure = _table(table, rows, known, base, note) if table else _effects(rows, name, note)
    if picture is not None:
        print(f"picture: {save(figure, picture)}")


def _asked(
    name: str, changes: Sequence[str], words: Sequence[str], on: str | None
) -> tuple[PaperTable | None, Recipe, Sequence[Variant], Sequence[Size]]:
    """What is to be trained: the table if it is one, the recipe, its variants, and the sizes they are scored at."""
    from edgeseg.text import unknown
    from edgeseg.training.ablate import Variant
    from edgeseg.training.recipes import RecipeError, get_recipe, list_recipes, override
    from edgeseg.training.tables import TABLES, scored_sizes, table_recipe

    if name in TABLES:
        table = TABLES[name]
        base = table_recipe(table, get_recipe(f"tables_{on or 'streets'}"), changes)
        return table, base, table.chosen(words) if words else table.variants, scored_sizes(base)
    if name not in list_recipes():
        raise RecipeError(unknown("table or recipe", name, [*TABLES, *list_recipes()]))
    if on is not None:
        raise RecipeError(f"--on chooses the data of a table; {name} is a recipe: say data=…, or leave it out")
    base, variants = override(get_recipe(name), changes), [Variant.parse(text) for text in words]
    if len(variants) < 2:
        raise RecipeError("nothing to compare: give --variant at least twice, e.g. --variant plain --variant 'a: lr=1'")
    return None, base, variants, ()


def _line(row: Row, sizes: Sequence[Size]) -> str:
    """A run that ended, as it is told."""
    from edgeseg.training.ablate import size_key
    from edgeseg.training.runlog import told

    scores = [(f" at {size_key(size)}", row["at"][size_key(size)]) for size in sizes] or [("", row)]
    shown = ", ".join(f"{told(score['miou'])}{at}" for at, score in scores)
    return f"{row['variant']}, seed {row['seed']}: mIoU {shown} after {row['steps']} steps"


def _effects(rows: Sequence[Row], name: str, note: str) -> Figure:
    """Print what the variants of a recipe change; returns the picture."""
    from edgeseg.training.ablate import effects, effects_picture, effects_table

    print(f"\n{note}\n{effects_table(effects(rows))}")
    return effects_picture(effects(rows), f"{name}: {note}")


def _table(table: PaperTable, rows: Sequence[Row], known: Sequence[Row], base: Recipe, note: str) -> Figure:
    """Print a table of the papers with its findings, rows of the record that were not asked for too; its picture."""
    from edgeseg.training.tables import scored_sizes, table_picture, table_text

    new = {(row["variant"], row["seed"]) for row in rows}
    rows = [*rows, *(row for row in table.rows(known) if (row["variant"], row["seed"]) not in new)]
    print(f"\n{table.source}: {table.title}\n{note}\n{table_text(table, rows, base, len(rows[0]['classes']))}")
    return table_picture(table, rows, scored_sizes(base), note=note)
