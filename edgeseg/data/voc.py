"""PASCAL VOC2012 and the Semantic Boundaries Dataset (SBD): 21 classes, 1464 or 10582 training pictures, 1449 for val.

Everingham et al., IJCV 2010; Hariharan et al., ICCV 2011. SBD labels more of VOC's pictures, without VOC's void border.

=========  ===========================================================================================================
data set   files of picture NAME
=========  ===========================================================================================================
VOC2012    ``VOCdevkit/VOC2012/``: ``JPEGImages/NAME.jpg``, ``SegmentationClass/NAME.png`` (palette, border 255),
           ``ImageSets/Segmentation/train.txt``, ``val.txt``
SBD        ``benchmark_RELEASE/dataset/``: ``cls/NAME.mat``, ``train.txt``, ``val.txt`` (needs scipy); or a folder
           ``SegmentationClassAug/NAME.png``, as `prepare_voc_sbd` writes it and as it is passed around
=========  ===========================================================================================================

Pictures are always VOC's. Where VOC has a label of its own (train, val), it is read and not SBD's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.data.labels import VOC
from edgeseg.data.local import (
    OWN,
    PARTLY,
    Archive,
    Source,
    copies_at_home,
    found_copies,
    full_disk_named,
    has_own_classes,
    indexed_picture,
    write_png,
)
from edgeseg.data.pairs import DataError, Pairs, read_list
from edgeseg.text import first_few

VOC_SPLITS = ("train", "val", "trainval", "train_aug", "paper_train", "paper_val")
VOC_COUNTS = {"train": 1464, "val": 1449}
SBD_COUNTS = {"train": 8498, "val": 2857}
TRAIN_AUG_COUNT = 10582
"""Pictures of (SBD train ∪ SBD val ∪ VOC train) − VOC val."""

_NAME = re.compile(r"\d{4}_\d{6}")
_LISTS = Path("ImageSets", "Segmentation")
_GET_SBD = "Get it: edgeseg data get sbd"


@dataclass(frozen=True)
class SBDCopy:
    """SBD's labels on disk.

    Attributes:
        folder: holds ``NAME.mat`` or ``NAME.png``.
        ending: ``".mat"`` or ``".png"``.
        lists: the folder of ``train.txt`` and ``val.txt``; ``None`` where the files themselves are the list.
    """

    folder: Path
    ending: str
    lists: Path | None


class VOCPairs(Pairs):
    """Pairs whose labels may also be SBD's ``.mat`` files."""

    def read_label(self, path: Path) -> np.ndarray:
        """As in `Pairs`."""
        return read_sbd_label(path) if path.suffix == ".mat" else super().read_label(path)

    def size_cure(self, index: int, transposed: bool) -> str:
        """As in `Pairs`; SBD's labels have VOC's sizes, so that one of the two copies is not what it should be."""
        if self.labels[index].parent.name == "SegmentationClass":
            return "One of them is damaged: get the data set again (edgeseg data get voc)."
        return "One of them is damaged: get both data sets again (edgeseg data get sbd, get voc)."


def voc_pairs(
    root: str | Path | None = None,
    split: str = "train",
    sbd: str | Path | None = None,
    seed: int = 0,
    partial: bool = False,
) -> Pairs:
    """VOC2012 as a data set, with SBD's labels where the split asks for them.

    ==============================  ====================================================================================
    split                           pictures
    ==============================  ====================================================================================
    ``train``, ``val``              VOC's own, 1464 and 1449
    ``trainval``                    both, 2913
    ``train_aug``                   (SBD train ∪ SBD val ∪ VOC train) − VOC val, 10582
    ``paper_train``, ``paper_val``  the Improved-HRNet paper's: train_aug ∪ val, 12031, split at random into 10827 and
                                    1204, see `paper_split`. It mixes train_aug with VOC val: a score on ``paper_val``
                                    compares with no published score on VOC val
    ==============================  ====================================================================================

    Args:
        root: the folder ``VOC2012``, or one above it; ``None``: the first ``voc*`` folder of the data home
            (``$EDGESEG_DATA``) that serves.
        split: see above.
        sbd: SBD's folder, or a folder ``SegmentationClassAug``, or one above it; ``None``: ``SegmentationClassAug`` in
            VOC2012, else SBD beside VOC2012 or in the data home.
        seed: of the paper's split.
        partial: accept lists of any length.

    Raises:
        DataError: nothing found, lists of wrong length, or pictures or labels missing.
    """
    if split not in VOC_SPLITS:
        raise DataError(f"VOC has no split {split!r}; choose one of {', '.join(VOC_SPLITS)}")
    voc, labels = _found_voc(root), None
    train, val = (_listed(voc / _LISTS, part, VOC_COUNTS, partial) for part in ("train", "val"))
    names = {"train": train, "val": val, "trainval": train + val}
    if split not in names:
        labels = _found_sbd(voc, sbd)
        names["train_aug"] = _train_aug(labels, train, val, partial)
        names["paper_train"], names["paper_val"] = paper_split(names["train_aug"] + val, seed)
    return _pairs(voc, names[split], {*train, *val}, labels, split)


def paper_split(names: Iterable[str], seed: int = 0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nine tenths and one tenth of the names, at random: of 12031, ``int(12031 * 0.9)`` = 10827 and 1204.

    The paper names neither seed nor order, so its own split is lost. This one is the same for every numpy, Python and
    machine: the sorted names are ranked by the raw 64-bit output of the Philox generator keyed with the seed, which
    numpy keeps fixed.

    Returns:
        Both parts, each sorted.
    """
    ordered = sorted(names)
    rank = np.argsort(np.random.Philox(key=seed).random_raw(len(ordered)), kind="stable")
    cut = int(len(ordered) * 0.9)
    first, second = (tuple(ordered[i] for i in sorted(part)) for part in (rank[:cut], rank[cut:]))
    return first, second


# finding --------------------------------------------------------------------------------------------------------------


def find_voc(root: str | Path) -> Path | None:
    """The folder ``VOC2012`` in or under a folder, ``None`` where there is none or it has classes of its own."""
    root = Path(root)
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (folder / "JPEGImages").is_dir() and (folder / _LISTS).is_dir():
            return None if any(has_own_classes(place, VOC.names) for place in (root, folder)) else folder
    return None


def voc_splits(root: str | Path | None = None) -> tuple[str, str]:
    """The splits to read that share no picture: train_aug and val where SBD is at hand, else train and val."""
    return "train" if _near(_found_voc(root), png=True) is None else "train_aug", "val"


def find_sbd(root: str | Path, png: bool = True) -> SBDCopy | None:
    """SBD's labels in or under a folder, ``None`` where there are none: PNG files, unless refused, before .mat."""
    root = Path(root)
    for folder in (root, root / "SegmentationClassAug"):
        if png and folder.name == "SegmentationClassAug" and folder.is_dir():
            return SBDCopy(folder, ".png", None)
    for folder in (root, root / "dataset", root / "benchmark_RELEASE" / "dataset"):
        if (folder / "cls").is_dir() and (folder / "train.txt").is_file():
            return SBDCopy(folder / "cls", ".mat", folder)
    return None


def _found_voc(root: str | Path | None) -> Path:
    what = "VOC2012 (folders JPEGImages, SegmentationClass, ImageSets)"
    return found_copies(root, "voc", find_voc, what, "edgeseg data get voc")[0]


def _found_sbd(voc: Path, root: str | Path | None, png: bool = True) -> SBDCopy:
    found = find_sbd(root, png) if root is not None else _near(voc, png)
    if found is None:
        layouts = "a folder SegmentationClassAug with PNG files, or " if png else ""
        raise DataError(
            f"{root or voc}: no SBD ({layouts}benchmark_RELEASE/dataset with cls/, train.txt and val.txt). {_GET_SBD}"
        )
    return found


def _near(voc: Path, png: bool) -> SBDCopy | None:
    """SBD in or beside VOC2012, or in the data home."""
    beside = (find_sbd(place, png) for place in (voc, voc.parent, voc.parent.parent))
    at_home = copies_at_home("sbd", lambda folder: find_sbd(folder, png))
    return next((copy for copy in (*beside, *at_home) if copy is not None), None)


# lists ----------------------------------------------------------------------------------------------------------------


def _listed(folder: Path, part: str, counts: dict[str, int], partial: bool) -> tuple[str, ...]:
    listing = folder / f"{part}.txt"
    if not listing.is_file():
        raise DataError(f"{listing}: no such file. Unpack the archive again.")
    names = tuple(read_list(listing))
    strange = [name for name in names if not _NAME.fullmatch(name)]
    if strange:
        raise DataError(
            f"{listing}: {first_few(strange)} is no picture of PASCAL VOC (2007_000032 is one). {OWN} Else unpack the "
            "archive again."
        )
    if not partial and len(names) != counts[part]:
        raise DataError(
            f"{listing}: lists {len(names)} names where {counts[part]} are right. Unpack the archive again. {PARTLY} "
            f"{OWN}"
        )
    return names


def _train_aug(labels: SBDCopy, train: Sequence[str], val: Sequence[str], partial: bool) -> tuple[str, ...]:
    """(SBD ∪ VOC train) − VOC val, sorted."""
    if labels.lists is not None:
        sbd = [name for part in SBD_COUNTS for name in _listed(labels.lists, part, SBD_COUNTS, partial)]
    else:
        sbd = [path.stem for path in labels.folder.glob("*.png") if not path.name.startswith(".")]
    names = tuple(sorted({*sbd, *train} - {*val}))
    if not partial and len(names) != TRAIN_AUG_COUNT:
        raise DataError(
            f"{labels.folder}: gives {len(names)} names with VOC's train list and without its val list, where "
            f"{TRAIN_AUG_COUNT} are right. If edgeseg data prepare voc was cut, run it again: it goes on from there; "
            f"else get the folder anew. {PARTLY}"
        )
    return names


def _pairs(voc: Path, names: Sequence[str], own: set[str], sbd: SBDCopy | None, split: str | None = None) -> Pairs:
    """Pairs of these names: VOC's label for those in ``own``, SBD's for the others."""
    images = [voc / "JPEGImages" / f"{name}.jpg" for name in names]
    labels = []
    for name in names:
        if sbd is None or name in own:
            labels.append(voc / "SegmentationClass" / f"{name}.png")
        else:
            labels.append(sbd.folder / f"{name}{sbd.ending}")
    _check_files(images, "edgeseg data get voc")
    _check_files(labels, "edgeseg data get voc, or get sbd")
    return VOCPairs(images, labels, VOC, names, split)


def _check_files(files: Sequence[Path], cure: str) -> None:
    folders = {file.parent for file in files}
    there = {folder: set(os.listdir(folder)) if folder.is_dir() else set() for folder in folders}
    missing = [str(file) for file in files if file.name not in there[file.parent]]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} listed files are missing ({first_few(missing, 3)}). The copy is "
            f"incomplete. Get it again: {cure}"
        )


# SBD's .mat files -----------------------------------------------------------------------------------------------------


def read_sbd_label(path: str | Path) -> np.ndarray:
    """One of SBD's ``cls/NAME.mat`` as (H, W) uint8 class ids 0…20.

    Raises:
        DataError: missing, truncated, no MATLAB file, one without ``GTcls.Segmentation``, or with values over 20.
        ImportError: scipy is not installed.
    """
    path = Path(path)
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(
            f'{path}: reading .mat files needs scipy: pip install "edgeseg[voc]". Once edgeseg data prepare voc has '
            "written them as PNG, nothing needs it any more."
        ) from error
    again = "Get it again: edgeseg data get sbd"
    if not path.is_file():
        raise DataError(f"{path}: no such file. {again}")
    try:
        with open(path, "rb") as file:
            content = loadmat(file, variable_names=["GTcls"]).get("GTcls")
    except Exception as error:  # on bad bytes scipy raises a dozen kinds
        raise DataError(f"{path}: no MATLAB file, or a truncated one ({error}). {again}") from error
    fields = getattr(content, "dtype", np.dtype(bool)).names or ()
    label = content["Segmentation"].item() if "Segmentation" in fields and content.size == 1 else None
    if not isinstance(label, np.ndarray) or label.ndim != 2 or not np.issubdtype(label.dtype, np.integer):
        raise DataError(
            f"{path}: holds no GTcls.Segmentation. Take the files of SBD's folder cls, not those of inst. {again}"
        )
    if label.size and not 0 <= int(label.min()) <= int(label.max()) < len(VOC):
        found = f"{label.min()} to {label.max()}"
        raise DataError(f"{path}: holds values {found}; VOC's classes are 0 to {len(VOC) - 1}. {again}")
    return label.astype(np.uint8)


# getting and preparing ------------------------------------------------------------------------------------------------


_VOC_TERMS = (
    "PASCAL VOC2012: the pictures come from flickr and are under flickr's terms of use; cite Everingham, Van Gool, "
    "Williams, Winn, Zisserman, IJCV 2010. Use them for research, and do not pass copies on."
)
_SBD_TERMS = (
    "SBD: more labels for VOC's pictures; cite Hariharan, Arbeláez, Bourdev, Maji, Malik, Semantic contours from "
    "inverse detectors, ICCV 2011. The pictures are VOC's, under its terms."
)

VOC_SOURCE = Source("voc2012", (Archive(  # 17125 pictures, of which 2913 are labelled for segmentation, 2.0 GB
    (
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    ),
    "VOCtrainval_11-May-2012.tar", size=1_999_639_040, md5="6cd6e144f989b92b3379bac3b3de84fd",
),), _VOC_TERMS, find_voc, 'edgeseg data check "{folder}"\nor, for train_aug: edgeseg data get sbd')  # fmt: skip
SBD_SOURCE = Source("sbd", (Archive(  # labels of 11355 VOC pictures, 1.4 GB
    ("https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",),
    "benchmark.tgz", size=1_419_539_633, md5="82b4d87ceb2ed10f6038a1cba92111cb",
),), _SBD_TERMS, find_sbd, 'edgeseg data prepare voc --sbd "{folder}"  (once VOC2012 is there too)')  # fmt: skip


def prepare_voc_sbd(
    root: str | Path | None = None,
    to: str | Path | None = None,
    sbd: str | Path | None = None,
    partial: bool = False,
    progress: bool = True,
) -> Path:
    """Write SBD's .mat labels as palette PNG files, once: training then needs no scipy. Run again, it goes on.

    The 9118 pictures of train_aug that VOC does not label itself are written, unchanged in size and values.

    Args:
        root: VOC2012, as in `voc_pairs`.
        to: the folder to write; default ``SegmentationClassAug`` in VOC2012, where `voc_pairs` finds it.
        sbd: SBD with its .mat files; ``None``: beside VOC2012 or in the data home.
        partial: accept lists of any length.
        progress: show a bar.

    Returns:
        The folder.

    Raises:
        DataError: as in `voc_pairs` and `read_sbd_label`, or the disk is full.
    """
    from tqdm import tqdm

    voc = _found_voc(root)
    folder = Path(to) if to is not None else voc / "SegmentationClassAug"
    if folder.name != "SegmentationClassAug":
        raise DataError(f"{folder}: call the folder SegmentationClassAug; by this name it is recognised.")
    train, val = (_listed(voc / _LISTS, part, VOC_COUNTS, partial) for part in ("train", "val"))
    labels = _found_sbd(voc, sbd, png=False)
    names = [name for name in _train_aug(labels, train, val, partial) if name not in set(train)]
    pairs = _pairs(voc, names, set(), labels)
    with full_disk_named(folder):
        for i in tqdm(range(len(pairs)), desc="prepare", unit=" labels", disable=not progress):
            target = folder / f"{names[i]}.png"
            if target.exists():
                continue
            # the picture is read too: its size must be the label's
            write_png(target, indexed_picture(pairs[i][1], VOC.palette))
    return folder
