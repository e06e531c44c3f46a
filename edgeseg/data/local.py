"""Data sets on this machine's disk, as several readers need them: archives fetched, copies written small.

A copy has the layout that `edgeseg.data.pairs.folder_pairs` reads: ``SPLIT/images/NAME.png`` and
``SPLIT/labels/NAME.png``, ``SPLIT.txt`` with the names, and ``classes.json``. Writing it can be cut at any moment: run
again, it goes on, and ends the same to the byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.data.pairs import DataError, Dataset
from edgeseg.data.sources import Source
from edgeseg.files import atomic_write, extract, fetch, no_space, write_text


def fetch_archives(source: Source, folder: Path, progress: bool = True) -> None:
    """Download and unpack a source; what is there already is kept, what was cut is taken up.

    An archive that lies beside the folder, fetched by hand, is used and kept; one that was downloaded is removed once
    it is unpacked.

    Raises:
        DownloadError: see `edgeseg.files`.
    """
    for archive in source.archives:
        part = folder / archive.folder
        if part.is_dir() and any(part.iterdir()):
            continue  # unpacked in one step, so it is whole
        file = folder.parent / archive.filename
        brought = file.exists()
        fetch(archive.urls, file, size=archive.size, md5=archive.md5, progress=progress)
        extract(file, part, progress=progress)
        if not brought:
            file.unlink()


def write_copy(
    folder: Path,
    splits: Mapping[str, Dataset],
    size: tuple[int, int],
    about: Mapping[str, Any],
    what: str,
    progress: bool = True,
) -> Path:
    """Write data sets of one class table at one size; run again, it goes on where it was.

    Images shrink by area averaging, labels by nearest neighbour after they were mapped to class ids. Both are PNG.

    Args:
        folder: made where missing; if it holds anything, it must be this very copy.
        splits: split → data set.
        size: (H, W) to write, in pixels.
        about: what else ``classes.json`` says beside classes, void and size: what tells this copy from others.
        what: what this copy is called in an error message.
        progress: show a bar.

    Returns:
        The folder.

    Raises:
        DataError: the folder holds something else, a pair cannot be read, or the disk is full.
    """
    table, (height, width) = next(iter(splits.values())).table, size
    content = {**class_entries(table), **about, "size": [width, height]}
    class_file = folder / "classes.json"
    if folder.exists() and any(folder.iterdir()) and read_json(class_file) != content:
        raise DataError(f"{folder}: holds something else than {what}. Choose another folder.")
    with full_disk_named(folder):
        write_text(class_file, json.dumps(content, indent=1) + "\n")
        for split, name, image, label in _unwritten(splits, folder, progress):
            write_png(folder / split / "images" / f"{name}.png", _resized(image, size, is_label=False))
            write_png(folder / split / "labels" / f"{name}.png", _resized(label, size, is_label=True))
        for split, ds in splits.items():  # last: a folder with a list is whole
            write_text(folder / f"{split}.txt", "".join(f"{name}\n" for name in ds.names))
    return folder


def class_entries(table: ClassTable) -> dict[str, Any]:
    """What a class file says of a table whose files hold class ids, see `edgeseg.data.labels.read_class_file`."""
    classes = [{"name": n, "color": list(c)} for n, c in zip(table.names, table.colors, strict=True)]
    return {"classes": classes, "void": [VOID]}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty where there is no file, no JSON in it, or no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except ValueError:  # whoever needs the file says what is wrong with it
        return {}
    return content if isinstance(content, dict) else {}


def first_few(items: Sequence[str], count: int = 5) -> str:
    """The first of many names, for an error message."""
    return f"{', '.join(items[:count])}{', …' if len(items) > count else ''}"


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """A full disk becomes a `DataError` that says how to go on."""
    try:
        yield
    except OSError as error:
        if no_space(error):
            cure = "the disk is full. Free some space and run it again: it goes on from here."
            raise DataError(f"{folder}: {cure}") from error
        raise


def write_png(path: Path, image: Image.Image) -> None:
    """Write a PNG whole or not at all."""
    with atomic_write(path) as file:
        image.save(file, format="PNG")


def _unwritten(
    splits: Mapping[str, Dataset], folder: Path, progress: bool
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Split, name, image and label of every pair that is not in the folder yet."""
    from tqdm import tqdm

    jobs = [(split, i) for split, ds in splits.items() for i in range(len(ds))]
    for split, i in tqdm(jobs, desc="prepare", unit=" pairs", disable=not progress):
        name = splits[split].names[i]
        # the label is written last: where it is, the pair is whole
        if not os.path.exists(folder / split / "labels" / f"{name}.png"):
            yield split, name, *splits[split][i]


def _resized(picture: np.ndarray, size: tuple[int, int], is_label: bool) -> Image.Image:
    image, (height, width) = Image.fromarray(picture), size
    if (image.height, image.width) == size:
        return image
    shrinks = width <= image.width and height <= image.height
    smooth = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return image.resize((width, height), Image.Resampling.NEAREST if is_label else smooth)
