"""``edgeseg data``: get a data set, prepare it, check any data set. The work is in `edgeseg.data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.cli.options import parse_size, write_json

app = typer.Typer(no_args_is_help=True, help="Get, prepare and check data sets.")

_Definition = Annotated[str, typer.Option(help="CamVid's 11 classes: A, grouped from 32, or B, exact.")]


def _must_be_camvid(name: str) -> None:
    if name.lower() != "camvid":
        raise ValueError(
            f"no data set {name!r} to fetch or prepare; there is: camvid. Own folders need neither: edgeseg data check"
        )


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Data set: camvid.")],
    source: Annotated[
        str, typer.Option(help="fastai (960x720), segnet (480x360, definition A only) or owners (960x720).")
    ] = "fastai",
    to: Annotated[
        Path | None, typer.Option(help="Folder to make; default: in $EDGESEG_DATA or the cache folder.")
    ] = None,
) -> None:
    """Download a data set: resumed, checked, unpacked safely."""
    from edgeseg.data import camvid, sources

    _must_be_camvid(name)
    typer.echo(f"{sources.CAMVID_TERMS}\ndata home: {sources.data_home()}")
    copy = camvid.get_camvid(source, to)
    counts = {split: len(camvid.camvid_pairs(copy.root, split)) for split in ("train", "val", "test")}
    typer.echo(f"CamVid ({copy.layout}) in {copy.root}: " + ", ".join(f"{k} {n}" for k, n in counts.items()))
    typer.echo(f'next: edgeseg data check "{copy.root}"')
    if copy.grouped is None:
        typer.echo(f'or, smaller and faster to read: edgeseg data prepare camvid "{copy.root}"')


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="Data set: camvid.")],
    source: Annotated[Path, typer.Argument(help="Folder of the copy that was downloaded.")],
    to: Annotated[Path | None, typer.Option(help="Folder to write; default: camvid_WxH in the data home.")] = None,
    size: Annotated[str, typer.Option(help="HxW to write, in pixels.")] = "360x480",
    definition: _Definition = "A",
) -> None:
    """Write a data set as images, index labels, lists and a class file; run again, it goes on."""
    from edgeseg.data import camvid

    _must_be_camvid(name)
    folder = camvid.prepare_camvid(source, to, parse_size(size), definition)
    typer.echo(f'written: {folder}\nnext: edgeseg data check "{folder}"')


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="A folder, or camvid.")],
    classes: Annotated[Path | None, typer.Option(help="Class file; default: classes.json in the folder.")] = None,
    definition: _Definition = "A",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
) -> None:
    """Read every pair and report what is there and what is wrong. Exit code 1 if something is."""
    from edgeseg.data import report as reports

    results: dict[str, Any] = {}
    found = _splits(data, classes, definition)
    for split, ds in found.items():
        result = reports.check(ds)
        results[split] = result.to_dict()
        typer.echo(_table(split, result))
    shared = _in_two_splits(found)
    for problem in shared:
        typer.echo(f"problem: {problem}")
    write_json(json_file, {"data": data, "splits": results, "problems": shared})
    if shared or any(part["problems"] for part in results.values()):
        raise typer.Exit(1)


def _splits(data: str, classes: Path | None, definition: str) -> dict[str, Any]:
    """Split → data set. A folder is taken for CamVid if it looks like it and no class file says otherwise."""
    from edgeseg.data import camvid, pairs

    root = None if data.lower() == "camvid" and not Path(data).is_dir() else Path(data)
    if root is None or (classes is None and root.is_dir() and camvid.find_camvid(root) is not None):
        return {split: camvid.camvid_pairs(root, split, definition) for split in ("train", "val", "test")}
    splits: list[str | None] = [*pairs.find_splits(root)] or [None]
    return {split or "all": pairs.folder_pairs(root, classes, split) for split in splits}


def _in_two_splits(found: dict[str, Any]) -> list[str]:
    """Images that two splits share: their scores would be too good."""
    names, problems = list(found), []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = sorted(p.name for p in set(found[first].images) & set(found[second].images))
            if both:
                problems.append(f"{len(both)} images are in both {first} and {second} ({', '.join(both[:5])})")
    return problems


def _table(split: str, report: Any) -> str:
    sizes = ", ".join(
        f"{w}x{h}" + (f" ({n})" if len(report.sizes) > 1 else "") for (h, w), n in sorted(report.sizes.items())
    )
    names = (*report.table.names, "void")
    wide = max(map(len, names))
    lines = [f"{split}: {report.samples} pairs, {sizes or 'none readable'}", f"  {'class':{wide}}  share %  images"]
    for name, share, images in zip(names, report.share, report.images_with_class, strict=True):
        lines.append(f"  {name:{wide}}  {share:7.2f}  {images:6d}")
    lines.append(
        "  mean " + " ".join(f"{v:.4f}" for v in report.mean) + "  std " + " ".join(f"{v:.4f}" for v in report.std)
    )
    absent = [n for n, images in zip(report.table.names, report.images_with_class, strict=False) if images == 0]
    if absent:
        lines.append(f"  note: never seen: {', '.join(absent)}")
    if report.all_void:
        lines.append(f"  note: {len(report.all_void)} images are void throughout: {', '.join(report.all_void[:5])}")
    lines += [f"  problem: {problem}" for problem in report.problems]
    return "\n".join(lines)
