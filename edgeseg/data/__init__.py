"""Data sets: sequences of (H, W, 3) uint8 images and (H, W) uint8 labels with a class table.

`open_data` turns the name that a recipe or a command line gives into one of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.data.pairs import Pairs
    from edgeseg.data.streets import Streets

NAMES = ("camvid", "cityscapes", "cityscapes20", "voc", "streets")
"""Data sets that have a name; all others are folders."""


def open_data(
    name: str,
    split: str = "train",
    *,
    size: tuple[int, int] | None = None,
    count: int | None = None,
    definition: str = "A",
    classes: str | Path | None = None,
    partial: bool = False,
    **factors: Any,
) -> Pairs | Streets:
    """A data set by name.

    Args:
        name: ``"camvid"``, ``"cityscapes"`` (19 classes), ``"cityscapes20"`` (the Improved-HRNet paper's, with
            background), ``"voc"``, ``"streets"``, a folder that holds one of them, or one of image/label pairs. A
            folder that `prepare_cityscapes` wrote has the classes that it was written with.
        split: e.g. ``"train"``, ``"val"``, ``"test"``; see `voc_pairs` for VOC's.
        size: (H, W) of rendered scenes, in pixels; of Cityscapes, the copy to take (``None``: the first by name; see
            `cityscapes_pairs`). Other files keep their own size.
        count: scenes to render.
        definition: of CamVid's classes, see `labels.camvid`.
        classes: class file of a folder; default: its own ``classes.json``.
        partial: accept a part of Cityscapes or VOC, see `cityscapes_pairs` and `voc_pairs`.
        factors: of rendered scenes, e.g. ``fog="dense"``.

    Raises:
        DataError: no such data set, or one that is incomplete.
    """
    from edgeseg.data.pairs import DataError, find_splits, folder_pairs

    if name == "streets":
        from edgeseg.data.streets import Streets

        return Streets(split, count, size=size or (360, 480), **factors)
    if factors:
        raise DataError(f"{', '.join(factors)}: only rendered scenes (streets) have such switches")
    root = None if name in NAMES else name
    known = recognise(name)
    if known == "camvid":
        from edgeseg.data.camvid import camvid_pairs

        return camvid_pairs(root, split, definition)
    if known in ("cityscapes", "cityscapes20"):
        from edgeseg.data.cityscapes import cityscapes_pairs

        return cityscapes_pairs(root, split, 20 if known == "cityscapes20" else 19, partial, size)
    if known == "voc":
        from edgeseg.data.voc import voc_pairs

        return voc_pairs(root, split, partial=partial)
    if Path(name).is_dir():
        splits = find_splits(name)
        if not splits and split != "train":
            raise DataError(
                f"{name} has no splits, so no {split!r} either: list names in {split}.txt, or train with val_split=none"
            )
        return folder_pairs(name, classes=classes, split=split if splits else None)
    raise DataError(
        f"no data set {name!r}: give {', '.join(NAMES)}, or a folder of image/label pairs with a class file"
    )


def recognise(name: str | Path) -> str | None:
    """Which of `NAMES` a name or a folder stands for; ``None`` for other folders and names."""
    if str(name) in NAMES:
        return str(name)
    if not Path(name).is_dir():
        return None
    from edgeseg.data.camvid import find_camvid
    from edgeseg.data.cityscapes import find_cityscapes
    from edgeseg.data.voc import find_voc

    if find_camvid(name) is not None:
        return "camvid"
    cityscapes = find_cityscapes(name)
    if cityscapes is not None:
        return "cityscapes20" if cityscapes.classes == 20 else "cityscapes"
    return "voc" if find_voc(name) is not None else None
