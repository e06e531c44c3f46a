"""Cityscapes: 2975 training and 500 validation frames of 2048×1024 with fine labels, from the official folders.

Cordts et al., CVPR 2016. Two layouts are read:

=============  ====================================================================================================
layout         files of frame ``CITY_SEQUENCE_FRAME``
=============  ====================================================================================================
``official``   ``leftImg8bit/SPLIT/CITY/…_leftImg8bit.png``, ``gtFine/SPLIT/CITY/…_gtFine_labelTrainIds.png`` or
               ``…_gtFine_labelIds.png``, as the owners' two archives unpack
``prepared``   ``SPLIT/images/….png``, ``SPLIT/labels/….png``, as `prepare_cityscapes` writes them
=============  ====================================================================================================

The split is stated here, city by city: a copy with other cities or counts is refused, unless a part is asked for.
The 1525 test frames have no public labels. There is nothing to download without registration: `cityscapes_steps` says
how to get the archives.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.data.labels import (
    CITYSCAPES,
    CITYSCAPES20,
    CITYSCAPES20_LABEL_IDS,
    CITYSCAPES_LABEL_IDS,
    VOID,
    LabelError,
    class_lookup,
    match_classes,
)
from edgeseg.data.local import OWN, PARTLY, data_home, found_copies, has_own_classes, write_copy
from edgeseg.data.pairs import DataError, Pairs, check_size, folder_pairs, read_label, read_list
from edgeseg.files import read_json
from edgeseg.text import first_few

CITYSCAPES_CITIES: dict[str, dict[str, int]] = {
    "train": {
        "aachen": 174, "bochum": 96, "bremen": 316, "cologne": 154, "darmstadt": 85, "dusseldorf": 221, "erfurt": 109,
        "hamburg": 248, "hanover": 196, "jena": 119, "krefeld": 99, "monchengladbach": 94, "strasbourg": 365,
        "stuttgart": 196, "tubingen": 144, "ulm": 95, "weimar": 142, "zurich": 122,
    },
    "val": {"frankfurt": 267, "lindau": 59, "munster": 174},
}  # fmt: skip
"""Split → city → number of frames: 2975 and 500."""
CITYSCAPES_SIZE = (1024, 2048)
"""(H, W) of the official frames."""

_IMAGE = "_leftImg8bit.png"
_TRAIN_IDS = "_gtFine_labelTrainIds.png"
_LABEL_IDS = "_gtFine_labelIds.png"
_TABLES = {
    (19, _TRAIN_IDS): CITYSCAPES,
    (19, _LABEL_IDS): CITYSCAPES_LABEL_IDS,
    (20, _TRAIN_IDS): CITYSCAPES20,
    (20, _LABEL_IDS): CITYSCAPES20_LABEL_IDS,
}
_ANEW = "Remove the folder and prepare it anew."


@dataclass(frozen=True)
class CityscapesCopy:
    """A copy of Cityscapes on disk.

    Attributes:
        root: its folder.
        size: (H, W) of its frames.
        classes: 19; or 20, where a prepared copy's labels have a background class.
        prepared: whether `prepare_cityscapes` wrote it.
        partial: whether it was prepared as a part on purpose.
    """

    root: Path
    size: tuple[int, int] = CITYSCAPES_SIZE
    classes: int = 19
    prepared: bool = False
    partial: bool = False

    def folder(self, kind: str, split: str) -> Path:
        """The folder of a split's images (``leftImg8bit``) or labels (``gtFine``)."""
        if self.prepared:
            return self.root / split / ("images" if kind == "leftImg8bit" else "labels")
        return _tree(self.root, kind) / split

    def splits(self) -> tuple[str, ...]:
        """The labelled splits whose images are there."""
        return tuple(split for split in CITYSCAPES_CITIES if self.folder("leftImg8bit", split).is_dir())


class CityscapesPairs(Pairs):
    """Pairs that know the usual mistake: label ids in a file that is named after train ids."""

    def read_label(self, path: Path) -> np.ndarray:
        """As in `Pairs`, with the cure in the error."""
        try:
            return super().read_label(path)
        except LabelError as error:
            if path.name.endswith(_TRAIN_IDS) and _holds_label_ids(path):
                raise LabelError(
                    f"{path}: is named labelTrainIds but holds label ids (values 19 to 33; train ids are 0 to 18 and "
                    "255). Write it anew with csCreateTrainIdLabelImgs of cityscapesScripts, or delete all "
                    "*_labelTrainIds.png: the *_labelIds.png are read then."
                ) from error
            raise

    def size_cure(self, index: int, transposed: bool) -> str:
        """As in `Pairs`."""
        return "They are of two copies: unpack both archives again, or prepare the folder anew."


def cityscapes_pairs(
    root: str | Path | None = None,
    split: str = "train",
    classes: int = 19,
    partial: bool = False,
    size: tuple[int, int] | None = None,
) -> Pairs:
    """Cityscapes as a data set.

    ``*_labelTrainIds.png`` are read where they exist, else ``*_labelIds.png``; a split must have one kind throughout.

    Args:
        root: a folder in one of the layouts above; ``None``: the first ``cityscapes*`` folder of the data home
            (``$EDGESEG_DATA``) by name, so ``cityscapes`` before ``cityscapes_1024x512``.
        split: ``"train"`` (2975 frames) or ``"val"`` (500).
        classes: 19, the benchmark's; or 20, with background as the last (see `edgeseg.data.labels.CITYSCAPES20`). Any
            copy gives both.
        partial: accept any cities of the split, and any number of their frames. A copy that was prepared so needs no
            word; images without labels, and cities of other splits, are refused all the same.
        size: (H, W) that the copy must have: (1024, 2048) are the official folders, all else is prepared. In the data
            home, copies of another size are passed over. ``None``: any.

    Raises:
        DataError: nothing found, cities or frames missing, images or labels without partner, mixed kinds of labels,
            another size.
    """
    if classes not in (19, 20):
        raise DataError(f"Cityscapes has no {classes} classes; choose 19, or 20 (with background)")
    if split == "test":
        raise DataError(
            "Cityscapes' test labels are not public: the label files that come with its images are void throughout. "
            "Score on val, or predict the images and send the result in (https://www.cityscapes-dataset.com/submit/)."
        )
    if split not in CITYSCAPES_CITIES:
        raise DataError(f"Cityscapes has no split {split!r}; choose one of {', '.join(CITYSCAPES_CITIES)}")
    copy = _found(root, size)
    if size is not None and size != copy.size:
        raise DataError(f"{copy.root}: holds frames of {_by(copy.size)}, not of {_by(size)}. {_prepare_at(size)}")
    pairs = _read_prepared(copy, split, classes) if copy.prepared else _read_official(copy, split, classes, partial)
    return pairs if size is None else check_size(pairs, size, _prepare_at(size))


def find_cityscapes(root: str | Path, classes: int | None = None) -> CityscapesCopy | None:
    """The copy of Cityscapes in a folder, also one level down; ``None`` without one, or where it has other classes, by
    number (19 or 20) or by a class file of its own."""
    for folder in (Path(root), Path(root) / "cityscapes", Path(root) / "Cityscapes"):
        about = read_json(folder / "classes.json")
        written = about.get("data") == "cityscapes"
        if not written and any(has_own_classes(place, CITYSCAPES.names) for place in (Path(root), folder)):
            return None
        if _tree(folder, "leftImg8bit").is_dir() or _tree(folder, "gtFine").is_dir():
            copy = CityscapesCopy(folder)
        elif written:
            copy = _prepared_copy(folder, about)
        else:
            continue
        return copy if classes in (None, copy.classes) else None
    return None


def cityscapes_splits(root: str | Path | None = None, partial: bool = False) -> tuple[str, ...]:
    """The splits to read: train and val; of a part, those that are there."""
    copy = _found(root)
    return copy.splits() if partial or copy.partial else tuple(CITYSCAPES_CITIES)


def prepare_cityscapes(
    source: str | Path,
    to: str | Path | None = None,
    size: tuple[int, int] = (512, 1024),
    classes: int = 19,
    partial: bool = False,
    stretch: bool = False,
    progress: bool = True,
) -> Path:
    """Write smaller copies of train and val, which are read several times faster. Run again, it goes on where it was.

    For this machine only: Cityscapes' licence forbids passing the data on, changed or not.

    Images shrink by area averaging; at half the size, the default, this is also the paper's bilinear interpolation
    (each pixel is the mean of four). Labels are mapped to train ids first and then shrunk by nearest neighbour.

    Args:
        source: the official folders.
        to: the folder to write; default ``cityscapes_WxH`` in the data home (``cityscapes20_WxH`` for 20 classes).
        size: (H, W) to write, in pixels.
        classes: 19 or 20, see `cityscapes_pairs`.
        partial: write whatever cities and frames are there; the copy then is read without further words.
        stretch: accept a size of another aspect than 1:2.
        progress: show a bar.

    Returns:
        The folder, which `cityscapes_pairs` and `edgeseg.data.pairs.folder_pairs` read.

    Raises:
        DataError: the source is no (whole) Cityscapes, the size would squash its frames, the folder holds another data
            set, or the disk is full.
    """
    copy = find_cityscapes(source)
    if copy is not None and copy.prepared:
        raise DataError(
            f"{copy.root}: was prepared already, and what is shrunk twice blurs. Give the official folders."
        )
    splits = copy.splits() if copy is not None and partial else tuple(CITYSCAPES_CITIES)
    if not splits:
        raise DataError(f"{source}: holds neither train nor val of Cityscapes. To get it, {cityscapes_steps()}")
    pairs = {split: cityscapes_pairs(source, split, classes, partial) for split in splits}
    height, width = size
    name = "cityscapes" if classes == 19 else f"cityscapes{classes}"
    folder = Path(to) if to is not None else data_home() / f"{name}_{width}x{height}"
    about, what = {"data": "cityscapes", "partial": partial}, f"Cityscapes {height}x{width} of {classes} classes"
    return write_copy(folder, pairs, size, about, what, stretch, progress)


def cityscapes_steps() -> str:
    """How to get Cityscapes by hand, in one line: its owners ask for registration, so nothing can fetch it for you."""
    folder = data_home() / "cityscapes"
    archives = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
    commands = (
        "pip install cityscapesscripts",
        f'mkdir -p "{folder}"',
        f'cd "{folder}"',
        f"csDownload {' '.join(archives)}",
        *(f"python -m zipfile -e {archive} ." for archive in archives),
        "edgeseg data check cityscapes",
    )
    return (
        "register at https://www.cityscapes-dataset.com/register/ (free for research; its licence forbids passing the "
        f"data on, changed or not), then run: {' && '.join(commands)}"
    )


# for the test server --------------------------------------------------------------------------------------------------


def label_id_lookup(names: Sequence[str], network: str) -> np.ndarray:
    """What Cityscapes' test server wants for each of a network's classes, as cityscapesScripts scores it.

    Args:
        names: the network's classes in the order of its ids: the 19, or the 20 with background, in any order.
        network: its name, for the message.

    Returns:
        (256,) uint8: class id → label id. Background is 0, "unlabeled": the server counts it as a miss.

    Raises:
        LabelError: other classes.
    """
    table = CITYSCAPES20 if class_lookup(names, CITYSCAPES20.names) is not None else CITYSCAPES
    cure = "Cityscapes' test server takes predictions of its own classes only."
    to_table = match_classes(names, table.names, network, "Cityscapes", cure, any_order=True)
    label_ids = np.zeros(256, np.uint8)
    for label_id, class_id in CITYSCAPES_LABEL_IDS.ids.items():
        if class_id != VOID:
            label_ids[class_id] = label_id
    return label_ids[to_table]


def label_ids_file(image: Path) -> str:
    """The name of a prediction for the server: any that begins as the frame's, ``CITY_SEQUENCE_FRAME``.

    Raises:
        DataError: the image is not named like a frame.
    """
    frame = re.match(r"[^_]+_\d{6}_\d{6}(?=[_.])", image.name)
    if frame is None:
        raise DataError(
            f"{image}: the test server knows frames by names such as berlin_000000_000019_leftImg8bit.png. Give the "
            "official files under their own names."
        )
    return f"{frame[0]}_labelIds.png"


# the official folders -------------------------------------------------------------------------------------------------


def _tree(root: Path, kind: str) -> Path:
    """``leftImg8bit`` or ``gtFine``; some unpackers put a folder of the archive's name around it."""
    wrapped = root / f"{kind}_trainvaltest" / kind
    return wrapped if wrapped.is_dir() else root / kind


def _read_official(copy: CityscapesCopy, split: str, classes: int, partial: bool) -> Pairs:
    image_folder, label_folder = copy.folder("leftImg8bit", split), copy.folder("gtFine", split)
    images = _frames(image_folder, _IMAGE)
    _check_cities(images, image_folder, "leftImg8bit_trainvaltest.zip", split, partial)
    kind, labels = _labels(label_folder, images)
    _check_cities(labels, label_folder, "gtFine_trainvaltest.zip", split, partial)
    for found, others, what in ((images, labels, "images have no label"), (labels, images, "labels have no image")):
        alone = sorted(found.keys() - others.keys())
        if alone:
            raise DataError(
                f"{copy.root}: {len(alone)} of {len(found)} {split} {what} ({first_few(alone)}). Unpack both archives "
                "again, or remove what is not meant to count."
            )
    names = sorted(images)
    table = _TABLES[classes, kind]
    return CityscapesPairs([images[n] for n in names], [labels[n] for n in names], table, names, split)


def _frames(folder: Path, ending: str) -> dict[str, Path]:
    """Frame → file, of the files with this ending in a split's city folders; hidden files do not count."""
    if not folder.is_dir():
        return {}
    files = (f for city in folder.iterdir() if city.is_dir() for f in city.iterdir())
    return {f.name.removesuffix(ending): f for f in files if f.name.endswith(ending) and not f.name.startswith(".")}


def _labels(folder: Path, images: dict[str, Path]) -> tuple[str, dict[str, Path]]:
    """The kind of label files to read, and frame → file."""
    train_ids = _frames(folder, _TRAIN_IDS)
    if not train_ids:
        return _LABEL_IDS, _frames(folder, _LABEL_IDS)
    lacking = sorted((images.keys() & _frames(folder, _LABEL_IDS).keys()) - train_ids.keys())
    if lacking:
        raise DataError(
            f"{folder}: {len(lacking)} of {len(images)} frames have *_labelIds.png but no *_labelTrainIds.png, which "
            f"others have ({first_few(lacking)}). Run csCreateTrainIdLabelImgs of cityscapesScripts to the end, or "
            "delete all *_labelTrainIds.png: the *_labelIds.png are read then."
        )
    return _TRAIN_IDS, train_ids


def _check_cities(files: dict[str, Path], folder: Path, archive: str, split: str, partial: bool) -> None:
    """The frames must be those of the official cities, all of them unless a part is asked for."""
    official, counts = CITYSCAPES_CITIES[split], Counter(path.parent.name for path in files.values())
    cure = f"Unpack {archive} there again. {PARTLY}"
    if not counts:
        raise DataError(f"{folder}: no frames. Unpack {archive} there; to get it, {cityscapes_steps()}")
    foreign = sorted(counts.keys() - official.keys())
    if foreign:
        raise DataError(
            f"{folder}: {first_few(foreign)} is no city of Cityscapes' {split} split ({', '.join(official)}). Move it "
            f"away. {OWN} Its layout is another: images/SPLIT and labels/SPLIT."
        )
    if partial:
        return
    missing = [city for city in official if city not in counts]
    if missing:
        raise DataError(f"{folder}: {len(missing)} of {len(official)} cities are missing: {first_few(missing)}. {cure}")
    off = [f"{city} has {counts[city]} of {n}" for city, n in official.items() if counts[city] != n]
    if off:
        total = f"{sum(counts.values())} frames where {sum(official.values())} are right"
        raise DataError(f"{folder}: {total}: {first_few(off)}. {cure}")


def _holds_label_ids(path: Path) -> bool:
    try:
        read_label(path, CITYSCAPES_LABEL_IDS)
    except ValueError:
        return False
    return True


# prepared copies ------------------------------------------------------------------------------------------------------


def _prepared_copy(folder: Path, about: dict[str, Any]) -> CityscapesCopy:
    try:
        width, height = about["size"]
        names = CITYSCAPES20.names if len(about["classes"]) == len(CITYSCAPES20) else CITYSCAPES.names
        if has_own_classes(folder, names):
            raise ValueError("other classes")
        return CityscapesCopy(folder, (height, width), len(about["classes"]), True, about["partial"])
    except (KeyError, TypeError, ValueError) as error:
        wrong = "not as edgeseg data prepare cityscapes writes it"
        raise DataError(f"{folder / 'classes.json'}: {wrong}. {_ANEW}") from error


def _read_prepared(copy: CityscapesCopy, split: str, classes: int) -> Pairs:
    listing, right = copy.root / f"{split}.txt", sum(CITYSCAPES_CITIES[split].values())
    if not listing.is_file():
        if copy.partial and not copy.folder("leftImg8bit", split).is_dir():
            raise DataError(f"{copy.root}: was prepared from a part of Cityscapes without {split}.")
        raise DataError(
            f"{copy.root}: its preparation was not finished (no {split}.txt). Run the same edgeseg data prepare "
            "cityscapes again: it goes on where it was."
        )
    listed = len(read_list(listing))
    if not copy.partial and listed != right:
        raise DataError(f"{listing}: lists {listed} frames where {right} are right. {_ANEW}")
    # reads copies of 19 and of 20 classes: 19 there and 255 here both say background
    table, background = (CITYSCAPES, VOID) if classes == 19 else (CITYSCAPES20, len(CITYSCAPES))
    return folder_pairs(copy.root, replace(table, ids={**table.ids, len(CITYSCAPES): background}), split)


def _found(root: str | Path | None, size: tuple[int, int] | None = None) -> CityscapesCopy:
    """The copy in a folder; without one the first in the data home, of this size where one is asked for."""
    what = "Cityscapes (folders leftImg8bit and gtFine)"
    copies = found_copies(root, "cityscapes", find_cityscapes, what, cityscapes_steps())
    return next((copy for copy in copies if copy.size == size), copies[0])


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _prepare_at(size: tuple[int, int]) -> str:
    if size == CITYSCAPES_SIZE:
        return "Give the official folders: they have that size."
    return f"Write it: edgeseg data prepare cityscapes FOLDER --size {_by(size)}, from the official folders."
