"""``edgeseg streets``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.options import parse_size


def streets(
    out: Annotated[Path, typer.Argument(help="folder to write to")],
    count: Annotated[int, typer.Option(help="number of scenes")] = 16,
    size: Annotated[str, typer.Option(help="HxW in pixels")] = "360x480",
    split: Annotated[str, typer.Option(help="train, val or test: they share no scene")] = "train",
) -> None:
    """Render street scenes: images/, labels/ and a class file, a data set that `--data FOLDER` reads."""
    import json

    from PIL import Image
    from tqdm import tqdm

    from edgeseg.data import open_data

    scenes = open_data("streets", split, size=parse_size(size), count=count)
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    table = scenes.table
    classes = [{"name": n, "color": list(c)} for n, c in zip(table.names, table.colors, strict=True)]
    (out / "classes.json").write_text(json.dumps({"classes": classes, "void": [255]}, indent=1) + "\n", encoding="utf-8")
    for i, name in enumerate(tqdm(scenes.names, desc="rendering", unit="img")):
        image, label = scenes[i]
        Image.fromarray(image).save(out / "images" / f"{name}.png")
        Image.fromarray(label).save(out / "labels" / f"{name}.png")
    print(f"{len(scenes)} scenes in {out}")
