"""The data sets that have a name: one record each, read by whoever asks for data, `open_data` before all.

A new one is its file, with a function that opens it, and its record in `DATASETS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.data.camvid import CAMVID_SOURCES, camvid_pairs, find_camvid, prepare_camvid
from edgeseg.data.cityscapes import (
    cityscapes_pairs,
    cityscapes_splits,
    cityscapes_steps,
    find_cityscapes,
    prepare_cityscapes,
)
from edgeseg.data.local import Source, data_home
from edgeseg.data.pairs import DataError, Dataset, Pairs, find_splits, folder_pairs
from edgeseg.data.streets import FACTORS, SPLITS, Streets
from edgeseg.data.voc import SBD_SOURCE, VOC_SOURCE, find_voc, prepare_voc_sbd, voc_pairs, voc_splits
from edgeseg.text import Field, unknown


@dataclass(frozen=True)
class Action:
    """Something that is done with a data set, and the options that it takes.

    Attributes:
        run: does it.
        options: name → what may be given.
    """

    run: Callable[..., Any]
    options: Mapping[str, Field] = field(default_factory=dict)

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Run with checked options; ``None`` counts as not given.

        Args:
            name: of the data set, for the message.
            arguments: handed on as they are.
            options: by name.

        Raises:
            DataError: an option that this data set does not have.
            ValueError: a value out of its range.
        """
        checked = {}
        for option, value in options.items():
            if value is None:
                continue
            if option not in self.options:
                raise DataError(unknown(f"option of {name}", option, self.options))
            checked[option] = self.options[option].check(option, str(value) if isinstance(value, Path) else value)
        return self.run(*arguments, **checked)


@dataclass(frozen=True)
class DataSet:
    """What the package knows of one data set.

    Attributes:
        name: what a recipe or a command line calls it.
        about: its classes and pictures, in a line.
        open: (folder or ``None`` for the data home, split, options) → pairs.
        splits: (folder or ``None``, whether a part is meant) → the splits there that share no picture.
        find: what a folder holds of it, ``None`` where nothing; itself ``None``: it lies in no folder.
        sources: where it is fetched from, the usual one first; empty where nothing can be.
        by_hand: how to get it where nothing can be fetched, in a line.
        prepare: (folder, folder to write or ``None``, options) → folder written; ``None``: there is nothing to prepare.
        prepares_at_home: whether `prepare` finds in the data home what it is given no folder of.
    """

    name: str
    about: str
    open: Action
    splits: Callable[[Path | None, bool], Sequence[str]]
    find: Callable[[Path], Any] | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    by_hand: Callable[[], str] = lambda: "it is drawn, not fetched"
    prepare: Action | None = None
    prepares_at_home: bool = False


def _open_folder(root: Path, split: str, classes: str | None = None) -> Pairs:
    splits = find_splits(root)
    if not splits and split not in ("train", "all", "test"):
        raise DataError(
            f"{root} has no splits, so no {split!r} either: list names in {split}.txt, or train with val_split=none"
        )
    pairs = folder_pairs(root, classes, split if splits else None)
    if not splits and split == "test":
        warnings.warn(
            f"{root} has no splits: all of its {len(pairs)} pairs are taken, those that a network may have been "
            "trained on too. To keep some apart list names in train.txt and test.txt.",
            stacklevel=4,
        )
    return pairs


_PARTIAL = Field(bool, False)
_STRETCH = Field(bool, False)
_DEFINITION = Field(str, "A", choices=("A", "B"))
_SIZE = tuple[int, int]
_COPY_SIZE = Field(_SIZE | None, None, low=1)
_CITYSCAPES = {"partial": _PARTIAL, "size": _COPY_SIZE}

DATASETS: dict[str, DataSet] = {
    record.name: record
    for record in (
        DataSet(
            "camvid",
            "11 classes, 367 + 101 + 233 frames of 720x960 or smaller",
            Action(camvid_pairs, {"definition": _DEFINITION, "size": _COPY_SIZE}),
            lambda root, partial: ("train", "val", "test"),
            find_camvid,
            CAMVID_SOURCES,
            prepare=Action(
                prepare_camvid,
                {"size": Field(_SIZE, (360, 480), low=1), "definition": _DEFINITION, "stretch": _STRETCH},
            ),
        ),
        DataSet(
            "cityscapes",
            "19 classes, 2975 + 500 frames of 1024x2048",
            Action(partial(cityscapes_pairs, classes=19), _CITYSCAPES),
            cityscapes_splits,
            partial(find_cityscapes, classes=19),
            by_hand=cityscapes_steps,
            prepare=Action(
                prepare_cityscapes,
                {
                    "size": Field(_SIZE, (512, 1024), low=1),
                    "classes": Field(int, 19, choices=(19, 20)),
                    "partial": _PARTIAL,
                    "stretch": _STRETCH,
                },
            ),
        ),
        DataSet(
            "cityscapes20",
            "the same with background as the 20th class, as in the Improved HRNet paper",
            Action(partial(cityscapes_pairs, classes=20), _CITYSCAPES),
            cityscapes_splits,
            partial(find_cityscapes, classes=20),
            by_hand=cityscapes_steps,
        ),
        DataSet(
            "voc",
            "PASCAL VOC2012 with SBD's labels: 21 classes, 1464 or 10582 + 1449 pictures",
            Action(voc_pairs, {"sbd": Field(str | None), "seed": Field(int, 0, low=0), "partial": _PARTIAL}),
            lambda root, partial: voc_splits(root),
            find_voc,
            {"voc": VOC_SOURCE, "sbd": SBD_SOURCE},
            prepare=Action(prepare_voc_sbd, {"sbd": Field(str | None), "partial": _PARTIAL}),
            prepares_at_home=True,
        ),
        DataSet(
            "streets",
            "rendered scenes with CamVid's 11 classes; nothing to fetch",
            Action(
                lambda root, split, count=None, **options: Streets(split, count, **options),
                {
                    "size": Field(_SIZE, (360, 480), low=32),
                    "count": Field(int | None, None, low=1),
                    "seed": Field(int, 0, low=0),
                    **{name: Field(type(values[0]), values[0], choices=values) for name, values in FACTORS.items()},
                },
            ),
            lambda root, partial: tuple(SPLITS),
        ),
    )
}

NAMES = tuple(DATASETS)
"""Data sets that have a name; all others are folders."""

FOLDER = DataSet(
    "a folder of pairs",
    "images/, labels/ and classes.json",
    Action(_open_folder, {"classes": Field(str | None)}),
    lambda root, partial: find_splits(str(root)) or ["all"],
)


# opening --------------------------------------------------------------------------------------------------------------


def open_data(name: str | Path, split: str = "train", **options: Any) -> Pairs | Streets:
    """A data set by name.

    Args:
        name: one of `NAMES`: ``"camvid"``, ``"cityscapes"`` (19 classes), ``"cityscapes20"`` (the Improved-HRNet
            paper's, with background), ``"voc"``, ``"streets"``; or a folder that holds one of them, or image/label
            pairs, see `folder_pairs`. A folder that `prepare_cityscapes` wrote has the classes that it was written
            with; one that names classes of its own, in a ``classes.json``, is no named data set, whatever its layout.
        split: e.g. ``"train"``, ``"val"``, ``"test"``; see `voc_pairs` for VOC's. Of a folder without splits
            ``"train"`` and ``"all"`` are all pairs, and ``"test"`` too, with a warning; it has no other.
        options: ``None`` counts as not given. Of CamVid ``definition`` (see `labels.camvid`) and ``size``, the (H, W)
            of the copy to take; of Cityscapes ``size`` and ``partial``; of VOC ``partial``, ``sbd``, ``seed`` (see
            `voc_pairs`); of streets ``size`` in pixels, ``count``, ``seed`` and the factors, e.g. ``fog="dense"``; of a
            folder ``classes``, its class file where that is not ``classes.json`` in it.

    Raises:
        DataError: no such data set, one that is incomplete, or an option that it does not have.
        ValueError: an option's value out of range.
    """
    record, root = _record(name, options)
    return record.open(record.name, root, split, **options)


def open_splits(name: str | Path, **options: Any) -> dict[str, Dataset]:
    """The splits of a data set that share no picture, by name; of a folder without splits the whole, as ``all``.

    Arguments and errors as in `open_data`.
    """
    record, root = _record(name, options)
    splits = record.splits(root, bool(options.get("partial")))
    return {split: record.open(record.name, root, split, **options) for split in splits}


def known_options(name: str | Path, **options: Any) -> dict[str, Any]:
    """Those of the options that a data set has: for settings that are kept for several, as a recipe's are."""
    record, _ = _record(name, options)
    return {option: value for option, value in options.items() if option in record.open.options}


def recognise(name: str | Path) -> str | None:
    """Which of `NAMES` a name or a folder stands for; ``None`` for other folders and names."""
    if str(name).lower() in DATASETS:
        return str(name).lower()
    if not Path(name).is_dir():
        return None
    kept = (record for record in DATASETS.values() if record.find is not None)
    return next((record.name for record in kept if record.find(Path(name)) is not None), None)  # type: ignore[misc]


def folders_at_home() -> dict[str, list[Path]]:
    """Data set that lies in a folder → the folders of the data home that hold it."""
    held = [(recognise(folder), folder) for folder in sorted(data_home().glob("*")) if folder.is_dir()]
    names = [record.name for record in DATASETS.values() if record.find is not None]
    return {name: [folder for known, folder in held if known == name] for name in names}


def _record(name: str | Path, options: Mapping[str, Any]) -> tuple[DataSet, Path | None]:
    """The record of a data set, and its folder where that is given. A folder with a class file to it is a plain one."""
    root = None if str(name).lower() in DATASETS else Path(name)
    if root is not None and root.is_dir() and options.get("classes") is not None:
        return FOLDER, root
    known = recognise(name)
    if known is None and not Path(name).is_dir():
        raise DataError(f"{unknown('data set', str(name), NAMES)}; and there is no such folder of image/label pairs")
    return DATASETS[known] if known is not None else FOLDER, root


# getting and preparing ------------------------------------------------------------------------------------------------


def find_source(name: str, source: str | None = None) -> Source:
    """Where to get a data set, for `edgeseg.data.local.get_source`.

    Args:
        name: of the data set; or of one of its sources, such as ``sbd``.
        source: which of its sources; ``None``: the usual one.

    Raises:
        DataError: no such data set or source, or one that has to be fetched by hand: then it says how.
    """
    name = name.lower()
    for record in DATASETS.values():
        if name != record.name and name not in record.sources:
            continue
        if not record.sources:
            raise DataError(f"{name} cannot be fetched for you: {record.by_hand()}")
        chosen = source or (name if name in record.sources else next(iter(record.sources)))
        if chosen not in record.sources:
            raise DataError(unknown(f"source of {name}", chosen, record.sources))
        return record.sources[chosen]
    raise DataError(f"{unknown('data set', name, [*NAMES, 'sbd'])}. Own folders need not be fetched: {_CHECK}")


def prepare(
    name: str, source: str | Path | None = None, to: str | Path | None = None, progress: bool = True, **options: Any
) -> Path:
    """Write a data set so that it is read faster; run again, it goes on.

    Args:
        name: of the data set.
        source: the folder that holds it as it was fetched.
        to: the folder to write; default in the data home.
        progress: show a bar.
        options: of `prepare_camvid`, `prepare_cityscapes` or `prepare_voc_sbd`; ``None`` counts as not given.

    Returns:
        The folder that was written.

    Raises:
        DataError: nothing to prepare, an option that this data set does not have, and as in these functions.
    """
    record = DATASETS.get(name.lower())
    if record is None or record.prepare is None:
        names = [r.name for r in DATASETS.values() if r.prepare is not None]
        raise DataError(f"{unknown('data set', name, names)} to prepare. Own folders need no such step: {_CHECK}")
    if source is None and not record.prepares_at_home:
        raise DataError(f"prepare {record.name}: give the folder that holds it")
    action = Action(partial(record.prepare.run, progress=progress), record.prepare.options)
    return action(record.name, source, to, **options)


_CHECK = "edgeseg data check FOLDER"
