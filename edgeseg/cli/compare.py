"""``edgeseg compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.text import parse_size

if TYPE_CHECKING:
    import numpy as np

    from edgeseg.data.labels import ClassTable

    Frame = tuple[np.ndarray, np.ndarray | None]
    Segment = Callable[[np.ndarray], np.ndarray]

_LONGEST = 36  # signs of a network's name over its class map


def compare(
    images: Annotated[list[Path] | None, typer.Argument(help="pictures; or take frames of --data")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="a weight's name or file, or the folder of a run or of an artefact; repeat it for each"),
    ] = None,
    label: Annotated[
        list[Path] | None, typer.Option(help="label file of class ids, one per picture in the same order")
    ] = None,
    data: Annotated[str | None, typer.Option(help="name of a data set, or a folder of pairs")] = None,
    split: Annotated[str, typer.Option(help="part of the data set")] = "test",
    index: Annotated[list[int] | None, typer.Option(help="frame of the split, from 0; repeat it for each")] = None,
    data_size: Annotated[
        str | None, typer.Option(help="HxW of rendered scenes, or of the copy of CamVid or Cityscapes to take")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="below each class map, where it is wrong")] = False,
    size: Annotated[
        str | None, typer.Option(help="network input HxW, or 'native'; default: as edgeseg predict chooses it")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …; of weights, an artefact knows its own")] = "cpu",
    out: Annotated[Path, typer.Option(help="picture to write: .png, .jpg, .pdf or .svg")] = Path("compare.png"),
) -> None:
    """Show frames under several networks side by side, with truth and each one's mIoU where there is truth.

    A row per frame: photograph, truth, one class map per network. The mIoU is that of the classes which the frame
    holds. Networks must have the same classes; they are matched by name.
    """
    from edgeseg.explain.frames import compare as draw

    if not model:
        raise ValueError("name the networks to compare: --model cross_cbam_m.streets --model runs/mine")
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".pdf", ".svg"):
        raise ValueError(f"{out}: no picture's name; give one that ends in .png, .jpg, .pdf or .svg")
    networks, table = _networks(model, size, device)
    if data is not None:
        if images or label:
            raise ValueError("frames of --data have their own pictures and labels: leave the others away")
        frames, names = _frames_of(data, split, index, data_size, model[0], table)
    else:
        frames, names = _pictures(images or [], label or [], table)
    figure = draw(frames, networks, table, names, errors)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    print(f"{out}: {len(frames)} frame(s) under {', '.join(networks)}")


def _networks(models: Sequence[str], size: str | None, device: str) -> tuple[dict[str, Segment], ClassTable]:
    """Short name → what segments, in the classes of the first; and these."""
    from edgeseg.cli.predict import open_model
    from edgeseg.data.labels import match_classes

    networks: dict[str, Segment] = {}
    table: ClassTable | None = None
    for name in dict.fromkeys(models):
        segment, own = open_model(name, size, False, device)
        table = table or own
        cure = "Compare networks of the same classes"
        lookup = match_classes(own.names, table.names, name, models[0], f"{cure}.", any_order=True)
        networks[_short(name)] = partial(_mapped, segment, lookup)
    assert table is not None  # there is a model
    if len(networks) < len(set(models)):
        raise ValueError(f"two of the networks have one name, {', '.join(networks)}: rename a folder or give one less")
    return networks, table


def _mapped(
    segment: Callable[[np.ndarray], tuple[np.ndarray, list[str]]], lookup: np.ndarray, image: np.ndarray
) -> np.ndarray:
    return lookup[segment(image)[0]]


def _short(name: str) -> str:
    """A weight's name; of a path its end, without what every run's file is called."""
    path = Path(name)
    if path.name == "weights.safetensors":
        path = path.parent
    text = path.as_posix()
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"


def _pictures(images: Sequence[Path], labels: Sequence[Path], table: ClassTable) -> tuple[list[Frame], list[str]]:
    from edgeseg.data.pairs import read_label
    from edgeseg.inference import as_pixels

    if not images:
        raise ValueError("give pictures to compare on, or frames of a data set: --data streets --index 0")
    if labels and len(labels) != len(images):
        raise ValueError(f"{len(images)} pictures and {len(labels)} labels: give one --label per picture, or none")
    truths = [read_label(path, table) for path in labels]
    frames: list[Frame] = [(as_pixels(path), truth) for path, truth in zip_longest(images, truths)]
    for path, (image, truth) in zip(labels, frames, strict=False):
        if truth is not None and truth.shape != image.shape[:2]:
            (h, w), (high, wide) = truth.shape, image.shape[:2]
            raise ValueError(f"{path}: is {h}x{w}, its picture {high}x{wide} (height x width). Give its own label.")
    return frames, [path.stem for path in images]


def _frames_of(
    data: str, split: str, indices: Sequence[int] | None, data_size: str | None, model: str, table: ClassTable
) -> tuple[list[Frame], list[str]]:
    """Frames of a data set, labels in the networks' classes."""
    from edgeseg.data import open_data
    from edgeseg.data.labels import match_classes

    pairs = open_data(data, split, size=parse_size(data_size) if data_size else None)
    cure = "Take frames of data of their classes."
    lookup = match_classes(pairs.table.names, table.names, data, model, cure, any_order=True)
    frames: list[Frame] = []
    for i in indices or [0]:
        if not 0 <= i < len(pairs):
            raise ValueError(f"--index {i}: {data} {split} has the frames 0 to {len(pairs) - 1}")
        image, label = pairs[i]
        frames.append((image, lookup[label]))
    return frames, [pairs.names[i] for i in indices or [0]]
