"""``edgeseg eval``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.cli.options import parse_size, write_json


def evaluate(
    model: Annotated[str, typer.Argument(help="a weight's name or file")],
    data: Annotated[str, typer.Option(help="camvid, streets, or a folder of pairs")] = "camvid",
    split: Annotated[str, typer.Option(help="part of the data set")] = "test",
    definition: Annotated[str, typer.Option(help="of CamVid's 11 classes: A (grouped) or B (exact)")] = "A",
    size: Annotated[str | None, typer.Option(help="network input HxW, or 'native'; default: as trained")] = None,
    data_size: Annotated[str | None, typer.Option(help="HxW of rendered scenes")] = None,
    count: Annotated[int | None, typer.Option(help="number of rendered scenes")] = None,
    flip: Annotated[bool, typer.Option("--flip", help="average with the mirrored image")] = False,
    boundary: Annotated[bool, typer.Option("--boundary", help="also boundary F1 at 3 pixels")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    json: Annotated[Path | None, typer.Option(help="also write the result here")] = None,
) -> None:
    """Score a model: mIoU from one confusion matrix over the whole split, at the images' own size."""
    from edgeseg.data import open_data
    from edgeseg.inference import load_segmenter
    from edgeseg.metrics import score

    segmenter = load_segmenter(model, device)
    if size is not None:
        segmenter.size = None if size == "native" else parse_size(size)
    pairs = open_data(
        data, split, size=parse_size(data_size) if data_size else None, count=count, definition=definition
    )
    if segmenter.table is not None and len(segmenter.table) != len(pairs.table):
        raise ValueError(
            f"{model} knows {len(segmenter.table)} classes, {data} has {len(pairs.table)}: they cannot be compared"
        )
    scores = score(lambda image: segmenter.predict(image, flip), pairs, boundary=boundary)
    print(scores.table(pairs.table.names))
    own = pairs[0][1].shape
    result: dict[str, Any] = {
        **scores.as_dict(pairs.table.names),
        "model": model,
        "data": data,
        "split": split,
        "images": len(pairs),
        "size": list(segmenter.size or own),
        "scored_at": list(own),
        "flip": flip,
        "definition": definition if data == "camvid" else pairs.table.name,
        "weights_sha256": _sha256(model),
    }
    print(
        f"{result['images']} images of {data} {split}, network input {result['size']}, scored at {result['scored_at']}"
    )
    write_json(json, result)


def _sha256(model: str) -> str:
    from edgeseg.models.records import find_weights

    path = Path(model) if model.endswith(".safetensors") else find_weights(model)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
