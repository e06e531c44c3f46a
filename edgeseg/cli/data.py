"""``edgeseg data``: get a data set, prepare it, check any data set. The work is in `edgeseg.data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.files import write_json
from edgeseg.text import parse_size

app = typer.Typer(no_args_is_help=True, help="Get, prepare and check data sets.")

_Definition = Annotated[str, typer.Option(help="CamVid's 11 classes: A, grouped from 32, or B, exact.")]
_Partial = Annotated[bool, typer.Option("--partial", help="Cityscapes, VOC: a part of it is meant, accept it.")]


def _known(name: str, names: tuple[str, ...], what: str) -> str:
    if name.lower() not in names:
        raise ValueError(
            f"no data set {name!r} to {what}; there is: {', '.join(names)}. Own folders need no such step: "
            "edgeseg data check"
        )
    return name.lower()


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Data set: camvid, voc, sbd (cityscapes: says how).")],
    source: Annotated[
        str, typer.Option(help="CamVid: fastai (960x720), segnet (480x360, definition A only) or owners (960x720).")
    ] = "fastai",
    to: Annotated[
        Path | None, typer.Option(help="Folder to make; default: in $EDGESEG_DATA or the cache folder.")
    ] = None,
) -> None:
    """Download a data set: resumed, checked, unpacked safely."""
    from edgeseg.data import sources

    name = _known(name, ("camvid", "voc", "sbd", "cityscapes"), "fetch")
    if name == "cityscapes":
        raise ValueError(f"Cityscapes cannot be fetched without registration: {sources.cityscapes_steps()}")
    terms = {"camvid": sources.CAMVID_TERMS, "voc": sources.VOC_TERMS, "sbd": sources.SBD_TERMS}[name]
    typer.echo(f"{terms}\ndata home: {sources.data_home()}")
    if name == "camvid":
        _get_camvid(source, to)
    elif name == "voc":
        _get_voc(to)
    else:
        _get_sbd(to)


def _get_camvid(source: str, to: Path | None) -> None:
    from edgeseg.data import camvid

    copy = camvid.get_camvid(source, to)
    counts = {split: len(camvid.camvid_pairs(copy.root, split)) for split in ("train", "val", "test")}
    typer.echo(f"CamVid ({copy.layout}) in {copy.root}: " + ", ".join(f"{k} {n}" for k, n in counts.items()))
    typer.echo(f'next: edgeseg data check "{copy.root}"')
    if copy.grouped is None:
        typer.echo(f'or, smaller and faster to read: edgeseg data prepare camvid "{copy.root}"')


def _get_voc(to: Path | None) -> None:
    from edgeseg.data import voc

    folder = voc.get_voc(to)
    counts = {split: len(voc.voc_pairs(folder, split)) for split in ("train", "val")}
    typer.echo(f"VOC2012 in {folder}: " + ", ".join(f"{k} {n}" for k, n in counts.items()))
    typer.echo(f'next: edgeseg data check "{folder}"\nor, for train_aug (10582): edgeseg data get sbd')


def _get_sbd(to: Path | None) -> None:
    from edgeseg.data import voc

    folder = voc.get_sbd(to)
    typer.echo(f"SBD in {folder}")
    typer.echo(f'next, once VOC2012 is there too: edgeseg data prepare voc --sbd "{folder}"')


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="Data set: camvid, cityscapes, voc.")],
    source: Annotated[
        Path | None, typer.Argument(help="Folder of the copy that was downloaded; VOC: default in the data home.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Folder to write; default: NAME_WxH in the data home.")] = None,
    size: Annotated[
        str | None, typer.Option(help="HxW to write, in pixels; default: CamVid 360x480, Cityscapes 512x1024.")
    ] = None,
    definition: _Definition = "A",
    classes: Annotated[int, typer.Option(help="Cityscapes: 19, or 20 with background.")] = 19,
    sbd: Annotated[
        Path | None, typer.Option(help="VOC: folder of SBD; default: beside it or in the data home.")
    ] = None,
    partial: _Partial = False,
) -> None:
    """Write a data set so that it is read faster; run again, it goes on.

    CamVid and Cityscapes: smaller images, index labels, lists and a class file. VOC: SBD's .mat labels as PNG.
    """
    name = _known(name, ("camvid", "cityscapes", "voc"), "prepare")
    if name == "voc":
        from edgeseg.data import voc

        folder = voc.prepare_voc_sbd(source, sbd, to, partial=partial)
        typer.echo(f'written: {folder}\nnext: edgeseg data check "{folder.parent if to is None else source or name}"')
        return
    if source is None:
        raise ValueError(f"prepare {name}: give the folder that holds it")
    if name == "camvid":
        from edgeseg.data import camvid

        folder = camvid.prepare_camvid(source, to, parse_size(size or "360x480"), definition)
    else:
        from edgeseg.data import cityscapes

        height_width = parse_size(size or "512x1024")
        folder = cityscapes.prepare_cityscapes(source, to, height_width, classes, partial=partial)
    typer.echo(f'written: {folder}\nnext: edgeseg data check "{folder}"')


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="A folder, or camvid, cityscapes, cityscapes20, voc.")],
    classes: Annotated[Path | None, typer.Option(help="Class file; default: classes.json in the folder.")] = None,
    definition: _Definition = "A",
    partial: _Partial = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
) -> None:
    """Read every pair and report what is there and what is wrong. Exit code 1 if something is."""
    from edgeseg.data import check as reports

    results: dict[str, Any] = {}
    found = _splits(data, classes, definition, partial)
    for split, ds in found.items():
        result = reports.check_data(ds)
        results[split] = result.to_dict()
        typer.echo(_table(split, result))
    shared = _in_two_splits(found)
    for problem in shared:
        typer.echo(f"problem: {problem}")
    write_json(json_file, {"data": data, "splits": results, "problems": shared})
    if shared or any(part["problems"] for part in results.values()):
        raise typer.Exit(1)


def _splits(data: str, classes: Path | None, definition: str, partial: bool) -> dict[str, Any]:
    """Split → data set. A folder is taken for a known data set if it looks like it and no class file says otherwise."""
    from edgeseg.data import camvid, cityscapes, open_data, pairs, recognise, voc

    is_folder = Path(data).is_dir()
    name = os.path.abspath(data) if is_folder else data.lower()
    known = recognise(name) if classes is None else None
    root = name if is_folder else None
    if known == "camvid":
        return {split: camvid.camvid_pairs(root, split, definition) for split in ("train", "val", "test")}
    if known in ("cityscapes", "cityscapes20"):
        splits = cityscapes.cityscapes_splits(root, partial)
        return {split: open_data(name, split, partial=partial) for split in splits}
    if known == "voc":
        return {split: open_data(name, split, partial=partial) for split in voc.voc_splits(root)}
    own: list[str | None] = [*pairs.find_splits(data)] or [None]
    return {split or "all": pairs.folder_pairs(data, classes, split) for split in own}


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
    sizes = _sizes(report.sizes)
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


def _sizes(sizes: dict[tuple[int, int], int]) -> str:
    """The sizes as width x height; of many (VOC has some thousand), the most frequent."""
    ordered = sorted(sizes) if len(sizes) <= 8 else sorted(sizes, key=lambda size: -sizes[size])[:8]
    shown = ", ".join(f"{w}x{h}" + (f" ({sizes[h, w]})" if len(sizes) > 1 else "") for h, w in ordered)
    return shown if len(sizes) <= 8 else f"{shown}, and {len(sizes) - 8} other sizes"
