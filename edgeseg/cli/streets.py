"""``edgeseg streets``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.text import parse_size


def streets(
    out: Annotated[Path, typer.Argument(help="folder to write to, or a .png or .jpg file for a contact sheet")],
    count: Annotated[int, typer.Option(help="number of scenes")] = 16,
    size: Annotated[str, typer.Option(help="HxW in pixels")] = "360x480",
    split: Annotated[str, typer.Option(help="train, val or test: they share no scene")] = "train",
    seed: Annotated[int, typer.Option(help="another seed is another world")] = 0,
    fog: Annotated[str, typer.Option(help="mixed (as trained), or held out: see the error for a list")] = "mixed",
    night: Annotated[bool, typer.Option("--night", help="held-out hour")] = False,
    traffic: Annotated[str, typer.Option(help="side of the road: left (as trained) or right")] = "left",
    layout: Annotated[str, typer.Option(help="of the folder: pairs, or as cityscapes or voc have it")] = "pairs",
) -> None:
    """Render street scenes: images/, labels/ and a class file, a data set that training and `data check` read."""
    from edgeseg import plots
    from edgeseg.data.streets import Streets, write_streets

    scenes = Streets(split, count, parse_size(size), seed, cache=False, fog=fog, night=night, traffic=traffic)
    if out.suffix in (".png", ".jpg"):
        plots.contact_sheet([scenes[i] for i in range(len(scenes))], scenes.table).save(out)
    else:
        write_streets(scenes, out, layout=layout)
    print(f"{len(scenes)} scenes in {out}")
