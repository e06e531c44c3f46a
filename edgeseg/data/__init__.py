"""Data sets: sequences of (H, W, 3) uint8 images and (H, W) uint8 labels with a class table.

`open_data` turns the name that a recipe or a command line gives into one of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.data.pairs import Pairs
    from edgeseg.data.streets import Streets


def open_data(
    name: str,
    split: str = "train",
    *,
    size: tuple[int, int] | None = None,
    count: int | None = None,
    definition: str = "A",
    classes: str | Path | None = None,
    **factors: Any,
) -> Pairs | Streets:
    """A data set by name.

    Args:
        name: ``"camvid"``, ``"streets"``, a folder that holds CamVid, or one of image/label pairs.
        split: e.g. ``"train"``, ``"val"``, ``"test"``.
        size: (H, W) of rendered scenes, in pixels; files keep their own size.
        count: scenes to render.
        definition: of CamVid's classes, see `labels.camvid`.
        classes: class file of a folder; default: its own ``classes.json``.
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
    if name == "camvid":
        from edgeseg.data.camvid import camvid_pairs

        return camvid_pairs(split=split, definition=definition)
    if Path(name).is_dir():
        from edgeseg.data.camvid import camvid_pairs, find_camvid

        if find_camvid(name) is not None:
            return camvid_pairs(name, split, definition)
        splits = find_splits(name)
        if not splits and split != "train":
            raise DataError(
                f"{name} has no splits, so no {split!r} either: list names in {split}.txt, or train with val_split=none"
            )
        return folder_pairs(name, classes=classes, split=split if splits else None)
    raise DataError(f"no data set {name!r}: give camvid, streets, or a folder of image/label pairs with a class file")
