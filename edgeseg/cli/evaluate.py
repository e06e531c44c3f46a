"""``edgeseg eval``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.files import write_json
from edgeseg.text import parse_size

if TYPE_CHECKING:
    import numpy as np

    from edgeseg.data.labels import ClassTable
    from edgeseg.metrics import Scores

    View = tuple[Callable[[np.ndarray], np.ndarray], tuple[int, int] | None]  # image → class map, and the network input

NO_BACKGROUND = "miou_without_background"


def evaluate(
    model: Annotated[str, typer.Argument(help="a weight's name or file, or the folder of a run or of an artefact")],
    data: Annotated[
        str, typer.Option(help="name of a data set (an unknown one lists all), or a folder of pairs")
    ] = "camvid",
    split: Annotated[str, typer.Option(help="part of the data set")] = "test",
    definition: Annotated[
        str | None, typer.Option(help="of CamVid's 11 classes: A (grouped; the default) or B (exact)")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="network input HxW, or 'native'; default: as trained; may be repeated")
    ] = None,
    data_size: Annotated[
        str | None, typer.Option(help="HxW of rendered scenes, or of the copy of CamVid or Cityscapes to take")
    ] = None,
    count: Annotated[int | None, typer.Option(help="number of rendered scenes")] = None,
    partial_data: Annotated[
        bool, typer.Option("--partial", help="Cityscapes, VOC: a part of it is meant, accept it")
    ] = False,
    flip: Annotated[bool, typer.Option("--flip", help="average with the mirrored image")] = False,
    boundary: Annotated[bool, typer.Option("--boundary", help="also boundary F1 at 3 pixels")] = False,
    classes_by_number: Annotated[
        bool, typer.Option("--classes-by-number", help="where names are others: score the model's class 0 as class 0 …")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    json: Annotated[Path | None, typer.Option(help="also write the result here")] = None,
) -> None:
    """Score a model: mIoU from one confusion matrix over the whole split, at the labels' own size.

    An artefact (edgeseg export) is scored as it is, on images of its size. A weight's network may see several sizes, on
    the same labels: --size 512x1024 --size 1024x2048. To score at another label size, prepare the data at that size
    (edgeseg data prepare).

    Classes are matched by name: another order in the data is mapped, other names are refused.
    """
    from edgeseg.data import open_data
    from edgeseg.inference import find_model
    from edgeseg.metrics import score, size_words

    model = find_model(model)
    table, views, about = _artefact(model, size, flip) if Path(model).is_dir() else _weight(model, size, flip, device)
    rendered_at = parse_size(data_size) if data_size else None
    pairs = open_data(data, split, size=rendered_at, count=count, definition=definition, partial=partial_data or None)
    split = getattr(pairs, "split", split) or "all"  # of a folder without splits
    names = pairs.table.names
    lookup, matched = _match(model, table.names if table else (), data, names, classes_by_number)
    facts: dict[str, Any] = {
        "model": model,
        "data": data,
        "split": split,
        "images": len(pairs),
        "flip": flip,
        "definition": definition or "A" if data == "camvid" else pairs.table.name,
        "classes_matched": matched,
        **about,
    }
    results: list[dict[str, Any]] = []
    for segment, network_input in views:
        scores = score(partial(_mapped, segment, lookup), pairs, boundary=boundary)
        seen = list(network_input) if network_input else scores.scored_at
        facts["scored_at"] = scores.scored_at
        results.append({**scores.as_dict(names), **_without_background(scores, names), "size": seen})
        print(scores.table(names))
        if NO_BACKGROUND in results[-1]:
            mean = results[-1][NO_BACKGROUND]
            print(f"mean of the other {len(names) - 1} classes, background left out: {'–' if mean is None else mean}")
        sizes = f"network input {size_words(seen)}, scored at {size_words(scores.scored_at)}"
        print(f"{len(pairs)} images of {data} {split}, {sizes}")
    # one size: one flat object, as records have it
    write_json(json, {**results[0], **facts} if len(results) == 1 else {**facts, "sizes": results})


def _match(
    model: str, known: Sequence[str], data: str, names: Sequence[str], by_number: bool
) -> tuple[np.ndarray, str]:
    """(256,) uint8, the model's class ids → the data's, and whether that is by name or by number; tells what is odd."""
    import numpy as np

    from edgeseg.data.labels import class_lookup, match_classes

    countable = not known or len(known) == len(names)  # a model without names may have any number
    if by_number and countable and class_lookup(known, names) is None:
        scored_as = [f"{a} as {b}" for a, b in zip(known or range(len(names)), names, strict=True)]
        print(f"classes by number: {', '.join(scored_as)}")
        return np.arange(256, dtype=np.uint8), "by number"
    cure = "Score it on data of its own classes, or give the classes one name in the class file and in training"
    if countable:
        cure += "; to compare by number all the same: --classes-by-number"
    lookup = match_classes(known, names, model, data, f"{cure}.", any_order=True)
    if tuple(known) != tuple(names):
        print(f"{data} has the classes of {model} in another order: predictions are mapped by name")
    return lookup, "by name"


def _mapped(segment: Callable[[np.ndarray], np.ndarray], lookup: np.ndarray, image: np.ndarray) -> np.ndarray:
    return lookup[segment(image)]


def _weight(
    model: str, sizes: Sequence[str] | None, flip: bool, device: str
) -> tuple[ClassTable | None, list[View], dict[str, Any]]:
    """Classes of a trained network, a view for every network input asked for, and what identifies it."""
    from edgeseg.deploy.artefact import weights_hash
    from edgeseg.inference import load_segmenter

    segmenter = load_segmenter(model, device)
    inputs = [None if one == "native" else parse_size(one) for one in sizes] if sizes else [segmenter.size]

    def segment(network_input: tuple[int, int] | None, image: np.ndarray) -> np.ndarray:
        segmenter.size = network_input
        return segmenter.predict(image, flip)

    return segmenter.table, [(partial(segment, one), one) for one in inputs], {"weights_sha256": weights_hash(model)}


def _artefact(
    folder: str, sizes: Sequence[str] | None, flip: bool
) -> tuple[ClassTable | None, list[View], dict[str, Any]]:
    """The same of a compiled artefact: what is scored is the file that ships, one image at a time."""
    from edgeseg.deploy import Artefact

    if sizes or flip:
        raise ValueError(f"{folder} is compiled: leave --size and --flip away, or score the weight it was made from")
    artefact = Artefact.load(folder)
    about = {"runtime": artefact.runtime, "precision": artefact.precision, "artefact_sha256": artefact.about["files"]}
    seen = None if "size" in artefact.dynamic else tuple(artefact.about["network_size"])
    return artefact.table, [(lambda image: artefact.predict_batch([image])[0], seen)], about


def _without_background(scores: Scores, names: Sequence[str]) -> dict[str, float | None]:
    """The mean over all classes but a last one named background, in percent, where there is such a class.

    The Improved HRNet paper's Cityscapes has one: void pixels are its 20th class. This mean comes from the same
    matrix, so a road predicted on void is still an error; the official 19-class score leaves such pixels out.
    """
    from edgeseg.metrics import mean_of_present, percent

    if names[-1].lower() != "background":
        return {}
    return {NO_BACKGROUND: percent(mean_of_present(scores.per_class_iou[:-1]))}
