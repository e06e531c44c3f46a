"""``edgeseg data``: get a data set, prepare it, check any data set. The work is in `edgeseg.data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.files import write_json
from edgeseg.text import parse_size

app = typer.Typer(no_args_is_help=True, help="Get, prepare and check data sets.")

_Definition = Annotated[
    str | None, typer.Option(help="CamVid's 11 classes: A, grouped from 32 (the default), or B, exact.")
]
_Partial = Annotated[bool, typer.Option("--partial", help="Cityscapes, VOC: a part of it is meant, accept it.")]


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Of a data set, e.g. camvid; one that must be fetched by hand says how.")],
    source: Annotated[
        str | None,
        typer.Option(
            help="CamVid: fastai (720x960, the default), segnet (360x480, definition A only) or owners (720x960)."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder to make; default: in $EDGESEG_DATA or the cache folder.")
    ] = None,
) -> None:
    """Download a data set: resumed, checked, unpacked safely."""
    from edgeseg.data import datasets
    from edgeseg.data.local import data_home, get_source

    chosen = datasets.find_source(name, source)
    typer.echo(f"{chosen.terms}\ndata home: {data_home()}")
    folder = get_source(chosen, to)
    splits = datasets.open_splits(folder) if datasets.recognise(folder) else {}  # SBD is no data set by itself
    typer.echo(f"{folder}: {', '.join(f'{split} {len(ds)}' for split, ds in splits.items()) or 'unpacked'}")
    typer.echo(f"next: {chosen.then.format(folder=folder)}")


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="Of a data set, e.g. camvid; an unknown name lists all.")],
    source: Annotated[
        Path | None, typer.Argument(help="Folder of the copy that was downloaded; VOC: default in the data home.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Folder to write; default: NAME_WxH in the data home.")] = None,
    size: Annotated[
        str | None, typer.Option(help="HxW to write, in pixels; default: CamVid 360x480, Cityscapes 512x1024.")
    ] = None,
    stretch: Annotated[bool, typer.Option("--stretch", help="Accept a size of another aspect.")] = False,
    definition: _Definition = None,
    classes: Annotated[int | None, typer.Option(help="Cityscapes: 19 (the default), or 20 with background.")] = None,
    sbd: Annotated[
        Path | None, typer.Option(help="VOC: folder of SBD; default: beside it or in the data home.")
    ] = None,
    partial: _Partial = False,
) -> None:
    """Write a data set so that it is read faster; run again, it goes on.

    CamVid and Cityscapes: smaller images, index labels, lists and a class file. VOC: SBD's .mat labels as PNG.
    """
    from edgeseg.data import datasets

    folder = datasets.prepare(
        name,
        source,
        to,
        size=parse_size(size) if size else None,
        stretch=stretch or None,
        definition=definition,
        classes=classes,
        sbd=sbd,
        partial=partial or None,
    )
    whole = folder if datasets.recognise(folder) else source or name  # of VOC, the labels alone are written
    typer.echo(f'written: {folder}\nnext: edgeseg data check "{whole}"')


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="A folder, or the name of a data set; an unknown name lists all.")],
    classes: Annotated[Path | None, typer.Option(help="Class file; default: classes.json in the folder.")] = None,
    definition: _Definition = None,
    partial: _Partial = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
) -> None:
    """Read every pair and report what is there and what is wrong. Exit code 1 if something is."""
    from edgeseg.data.check import check_data, in_two_splits
    from edgeseg.data.datasets import open_splits

    found = open_splits(data, classes=classes, definition=definition, partial=partial or None)
    reports = {split: check_data(ds) for split, ds in found.items()}
    shared = in_two_splits(found)
    for split, report in reports.items():
        typer.echo(f"{split}: {report.text()}")
    for problem in shared:
        typer.echo(f"problem: {problem}")
    parts = {split: report.to_dict() for split, report in reports.items()}
    write_json(json_file, {"data": data, "splits": parts, "problems": shared})
    if shared or any(report.problems for report in reports.values()):
        raise typer.Exit(1)
