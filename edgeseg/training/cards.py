"""Model cards: what a weight can and cannot do, from its record and from scores taken anew.

`write_card` leaves ``NAME.md``, ``NAME.confusion.png`` and ``NAME.worst.jpg``. Nothing in a card is written by hand.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from edgeseg.data import NAMES, open_data, recognise
from edgeseg.data.datasets import known_options
from edgeseg.data.pairs import DataError, Dataset
from edgeseg.data.streets import Streets
from edgeseg.files import atomic_write
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.metrics import ConfusionMatrix, Scores
from edgeseg.models.zoo import WeightRecord, get_record, local_file
from edgeseg.training.card_pictures import confusion_picture, gallery_picture
from edgeseg.training.card_text import CardFacts, render_card

FACTORS: Mapping[str, Mapping[str, Any]] = {
    "dense fog": {"fog": "dense"},
    "night": {"night": True},
    "right-hand traffic": {"traffic": "right"},
}
"""Conditions of rendered scenes that no training scene has."""
WORST = 4
"""Frames in the gallery; of CamVid no more than a handful may be shown."""
APART = 5
"""Least distance in the gallery between two frames of recorded data, in the data set's order."""


@dataclass(frozen=True)
class Measured:
    """A data set's scores, and those of its images.

    Args:
        matrix: over all images.
        each: per image the mean IoU of the classes that its label holds, 0…1.
    """

    matrix: ConfusionMatrix
    each: tuple[float, ...]

    @property
    def scores(self) -> Scores:
        return self.matrix.compute()

    def worst(self, count: int, apart: int = 1) -> list[int]:
        """Indices of the images with the lowest mean IoU, lowest first; an image that is all void has none.

        Args:
            count: how many, at most.
            apart: least distance between two of them: a video's neighbours look alike.
        """
        chosen: list[int] = []
        for i in (int(i) for i in np.argsort(self.each, kind="stable") if not np.isnan(self.each[i])):
            if len(chosen) < count and all(abs(i - other) >= apart for other in chosen):
                chosen.append(i)
        return chosen


def measure(segmenter: Segmenter, data: Dataset, desc: str = "scoring", progress: bool = True) -> Measured:
    """Run a segmenter over a data set, keeping the matrix and every image's own score.

    Args:
        segmenter: with the classes of the data.
        data: pairs of (H, W, 3) uint8 image and (H, W) uint8 label.
        desc: text in front of the bar.
        progress: show a bar on stderr.
    """
    total, each = ConfusionMatrix(len(data.table)), []
    for i in tqdm(range(len(data)), desc=desc, unit="img", disable=not progress, leave=False):
        image, label = data[i]
        one = ConfusionMatrix(len(data.table))
        one.update(segmenter.predict(image), label)
        total.merge(one)
        each.append(_mean_of_labelled(one.compute()))
    return Measured(total, tuple(each))


def write_card(
    name: str,
    data: str = "streets",
    split: str = "test",
    out: str | Path = "docs/models",
    count: int = 200,
    size: tuple[int, int] | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Path:
    """Score a weight and write its model card.

    Args:
        name: of the weight.
        data: what to score it on, as `open_data` takes it.
        split: part of it.
        out: folder for the card and its pictures.
        count: rendered scenes of the plain test and of each of `FACTORS`.
        size: (H, W) of rendered scenes; default: the size that the record's metric was taken at.
        device: where the network runs.
        progress: show bars on stderr.

    Returns:
        The card's path.

    Raises:
        WeightError: no such weight, or a damaged one.
        DataError: no such data, or data of other classes.
    """
    record, segmenter = get_record(name), load_segmenter(name, device)
    size = size or _recorded_size(record)
    pairs = open_data(data, split, **known_options(data, size=size, count=count, definition=record.definition))
    _refuse_other_classes(record, pairs)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tested = measure(segmenter, pairs, f"{data} {split}", progress)
    rendered = recognise(data) == "streets"
    worst = tested.worst(WORST, 1 if rendered else APART)
    facts = CardFacts(
        record=record,
        file_bytes=local_file(name).stat().st_size,  # type: ignore[union-attr]  # it was loaded
        parameters=sum(p.numel() for p in segmenter.model.parameters()),
        data=recognise(data) or Path(data).name,
        split=split,
        images=len(pairs),
        seen=segmenter.size or pairs[0][1].shape,
        scored_at=pairs[0][1].shape,
        matrix=tested.matrix.matrix,
        scores=tested.scores,
        worst=[(pairs.names[i], tested.each[i]) for i in worst],
        factors=_held_out(segmenter, record, tested if rendered else None, count, size, progress),
        scenes=(count, size),
        command=_command(name, data, split, count, size, out),
        environment=f"Python {platform.python_version()}, torch {torch.__version__}, {device}",
    )
    shown = [(*pairs[i], segmenter.predict(pairs[i][0])) for i in worst]
    _write(out / f"{name}.confusion.png", confusion_picture(tested.matrix.matrix, record.classes))
    _write(out / f"{name}.worst.jpg", gallery_picture(shown, pairs.table, facts.worst))
    _write(out / f"{name}.md", render_card(facts).encode())
    return out / f"{name}.md"


def _held_out(
    segmenter: Segmenter,
    record: WeightRecord,
    plain: Measured | None,
    count: int,
    size: tuple[int, int],
    progress: bool,
) -> dict[str, Scores]:
    """Scores on rendered scenes, plain and under every held-out condition; empty where the classes are others."""
    if record.classes != Streets.table.names:
        return {}
    found = {"plain": plain.scores} if plain is not None else {}
    conditions: dict[str, Mapping[str, Any]] = {**({} if plain else {"plain": {}}), **FACTORS}
    for name, factors in conditions.items():
        scenes = Streets("test", count, size, cache=False, **factors)
        found[name] = measure(segmenter, scenes, f"streets, {name}", progress).scores
    return found


def _mean_of_labelled(scores: Scores) -> float:
    """Mean IoU of the classes that the label holds, NaN without any."""
    held = [iou for iou, pixels in zip(scores.per_class_iou, scores.support, strict=True) if pixels]
    return float(np.mean(held)) if held else float("nan")


def _recorded_size(record: WeightRecord) -> tuple[int, int]:
    height, width = record.metric.get("scored_at") or (360, 480)
    return int(height), int(width)


def _refuse_other_classes(record: WeightRecord, data: Dataset) -> None:
    if tuple(data.table.names) != tuple(record.classes):
        raise DataError(
            f"{record.name} knows the classes {', '.join(record.classes)}; the data have "
            f"{', '.join(data.table.names)}. Score it on data of its own classes"
        )


def _command(name: str, data: str, split: str, count: int, size: tuple[int, int], out: Path) -> str:
    """What to type to get the same card; a folder on this machine becomes a word."""
    where = "FOLDER" if out.is_absolute() else out.as_posix()
    what = data if data in NAMES else "FOLDER_OF_PAIRS"
    scenes = f"--count {count} --data-size {size[0]}x{size[1]}"
    return f"edgeseg weights card {name} --data {what} --split {split} {scenes} --out {where}"


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)
