"""Data sets on this machine's disk, as several readers need them: archives fetched, copies found and written small.

A written copy has the layout that `edgeseg.data.pairs.folder_pairs` reads: ``SPLIT/images/NAME.png`` and
``SPLIT/labels/NAME.png``, ``SPLIT.txt`` with the names, and ``classes.json``. Writing it can be cut at any moment: run
again, it goes on, and ends the same to the byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.data.pairs import DataError, Dataset
from edgeseg.files import atomic_write, cache_folder, extract, fetch, no_space, read_json, write_json, write_lines

OWN = "Classes of your own need a classes.json in the folder: it is read as your own data then."
PARTLY = "For a part on purpose say so: partial=True, on the command line --partial, in a recipe data_partial=true."
Copy = TypeVar("Copy")


def data_home() -> Path:
    """The folder that holds data sets: ``$EDGESEG_DATA``, else this user's cache folder. It need not exist."""
    chosen = os.environ.get("EDGESEG_DATA")
    return Path(chosen).expanduser() if chosen else cache_folder("data")


def copies_at_home(prefix: str, find: Callable[[Path], Copy | None]) -> list[Copy]:
    """What ``find`` finds in those folders of the data home whose names begin so, in any case, in the names' order."""
    folders = [folder for folder in sorted(data_home().glob("*")) if folder.is_dir()]
    found = (find(folder) for folder in folders if folder.name.lower().startswith(prefix))
    return [copy for copy in found if copy is not None]


def found_copies(
    root: str | Path | None, prefix: str, find: Callable[[Path], Copy | None], what: str, get: str
) -> list[Copy]:
    """The copy of a data set that a folder holds, or all those in the data home where no folder is given.

    Args:
        root: the folder, or ``None``.
        prefix: what the names of its folders in the data home begin with.
        find: what a folder holds of it, ``None`` where nothing.
        what: the data set and how it is recognised, for the message.
        get: what to type to get it.

    Raises:
        DataError: there is none.
    """
    if root is not None:
        copy = find(Path(root))
        if copy is None:
            own = " (its classes.json names other classes)" if (Path(root) / "classes.json").is_file() else ""
            raise DataError(f"{root}: no {what}{own}. To get it: {get}")
        return [copy]
    copies = copies_at_home(prefix, find)
    if not copies:
        raise DataError(
            f"{data_home()}: no {prefix}* folder that holds {what}. Set EDGESEG_DATA to the folder that holds yours, "
            f"or give its path. To get it: {get}"
        )
    return copies


def has_own_classes(folder: Path, names: Sequence[str]) -> bool:
    """Whether a folder's class file says that it is no copy of a data set, whatever its folders are called.

    Args:
        folder: any folder.
        names: the data set's classes, whose file values are their positions.

    Raises:
        ValueError: a class file that is no JSON; names it.
    """
    if not (folder / "classes.json").is_file():
        return False
    entries = read_json(folder / "classes.json").get("classes")
    if not isinstance(entries, list):
        return True
    said = [(e.get("name"), e.get("id", i)) if isinstance(e, dict) else (e, i) for i, e in enumerate(entries)]
    return said != list(zip(names, range(len(names)), strict=True))


# archives -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Archive:
    """One file to fetch.

    Attributes:
        urls: addresses of the same file, in order of preference.
        filename: what it is called on disk.
        folder: sub-folder of the data set's folder that it is unpacked to; ``""`` for the folder itself.
        size: bytes, where known.
        md5: digest, where known.
    """

    urls: tuple[str, ...]
    filename: str
    folder: str = ""
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Source:
    """One way to get a data set.

    Attributes:
        folder: name of its folder in the data home.
        archives: the files to fetch.
        terms: whose the data are, and what may be done with them.
        find: what was unpacked in a folder, ``None`` where that is something else.
        then: what to type next, with ``{folder}`` in it.
    """

    folder: str
    archives: tuple[Archive, ...]
    terms: str
    find: Callable[[Path], Any]
    then: str = 'edgeseg data check "{folder}"'


def get_source(source: Source, to: Path | None = None, progress: bool = True) -> Path:
    """Download and unpack a source; what is there already is kept, what was cut is taken up.

    An archive that lies beside the folder, fetched by hand, is used and kept; one that was downloaded is removed once
    it is unpacked.

    Args:
        source: what to get.
        to: the folder to make; default: the source's own in the data home.
        progress: show bars.

    Returns:
        The folder.

    Raises:
        DataError: the folder holds something else.
        DownloadError: see `edgeseg.files`.
    """
    folder = to or data_home() / source.folder
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
    if source.find(folder) is None:
        raise DataError(f"{folder}: holds something else than {source.folder}. Remove it, or choose another folder.")
    return folder


# copies ---------------------------------------------------------------------------------------------------------------


def write_copy(
    folder: Path,
    splits: Mapping[str, Dataset],
    size: tuple[int, int],
    about: Mapping[str, Any],
    what: str,
    stretch: bool = False,
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
        stretch: accept a size of another aspect than the images', or a larger one.
        progress: show a bar.

    Returns:
        The folder.

    Raises:
        DataError: the size would squash or enlarge the images, the folder holds something else, a pair cannot be read,
            or the disk is full.
    """
    from tqdm import tqdm

    first, (height, width) = next(iter(splits.values())), size
    content = {**class_entries(first.table), **about, "size": [width, height]}
    if not stretch:
        _refuse_to_squash(first.names[0], first[0][1].shape, size)
    if folder.exists() and any(folder.iterdir()) and read_json(folder / "classes.json") != content:
        raise DataError(f"{folder}: holds something else than {what}. Choose another folder.")
    if not stretch:
        _refuse_to_enlarge(first.names[0], first[0][1].shape, size)
    jobs = [(split, i) for split, ds in splits.items() for i in range(len(ds))]
    with full_disk_named(folder):
        write_json(folder / "classes.json", content)
        for split, i in tqdm(jobs, desc="prepare", unit=" pairs", disable=not progress):
            image_file, label_file = (
                folder / split / kind / f"{splits[split].names[i]}.png" for kind in ("images", "labels")
            )
            if not label_file.exists():  # it is written last: where it is, the pair is whole
                image, label = splits[split][i]
                write_png(image_file, _resized(image, size, is_label=False))
                write_png(label_file, _resized(label, size, is_label=True))
        for split, ds in splits.items():  # last: a folder with a list is whole
            write_lines(folder / f"{split}.txt", ds.names)
    return folder


def class_entries(table: ClassTable) -> dict[str, Any]:
    """What a class file says of a table whose files hold class ids, see `edgeseg.data.class_file.read_class_file`."""
    classes = [{"name": n, "color": list(c)} for n, c in zip(table.names, table.colors, strict=True)]
    return {"classes": classes, "void": [VOID]}


def indexed_picture(label: np.ndarray, palette: np.ndarray) -> Image.Image:
    """A label as a palette picture: looked at it shows colours, read it gives the class ids."""
    image = Image.fromarray(label)
    image.putpalette(palette.ravel().tolist())  # turns the grey picture into an indexed one; the values stay
    return image


def write_png(path: Path, image: Image.Image) -> None:
    """Write a PNG whole or not at all."""
    with atomic_write(path) as file:
        image.save(file, format="PNG")


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


def _refuse_to_squash(name: str, own: tuple[int, ...], size: tuple[int, int]) -> None:
    """A size has the image's aspect if rounding a side to whole pixels explains the difference."""
    if abs(size[0] * own[1] - size[1] * own[0]) >= max(own):
        raise DataError(
            f"{name} is {own[0]}x{own[1]} (height x width): at {size[0]}x{size[1]} it would be squashed. Give "
            f"{size[0]}x{round(size[0] * own[1] / own[0])}, or say that it is meant: stretch=True, on the command line "
            "--stretch."
        )


def _refuse_to_enlarge(name: str, own: tuple[int, ...], size: tuple[int, int]) -> None:
    """An enlarged copy would pass for one of that size, and shows no more."""
    if size[0] > own[0] or size[1] > own[1]:
        raise DataError(
            f"{name} is {own[0]}x{own[1]} (height x width): at {size[0]}x{size[1]} it would be blown up. Give a larger "
            "copy, or say that it is meant: stretch=True, on the command line --stretch."
        )


def _resized(picture: np.ndarray, size: tuple[int, int], is_label: bool) -> Image.Image:
    image, (height, width) = Image.fromarray(picture), size
    if (image.height, image.width) == size:
        return image
    shrinks = width <= image.width and height <= image.height
    smooth = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return image.resize((width, height), Image.Resampling.NEAREST if is_label else smooth)
