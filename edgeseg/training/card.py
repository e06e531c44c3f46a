"""Model cards: what a weight can and cannot do, from its record and from scores taken anew.

`write_card` leaves ``NAME.md``, ``NAME.confusion.png`` and ``NAME.worst.jpg``. Nothing in a card is written by hand.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgeseg.data import NAMES, open_data, recognise
from edgeseg.data.camvid import FAULTY_LABELS
from edgeseg.data.datasets import known_options
from edgeseg.data.labels import match_classes
from edgeseg.data.streets import Streets
from edgeseg.explain.frames import gallery, measure, worst_of
from edgeseg.files import write_text
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.metrics import ConfusionMatrix, Scores, score
from edgeseg.models.zoo import WeightRecord, get_record, local_file
from edgeseg.plots import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
_PAIRS = 8  # most-confused pairs that are listed
_WEAK = 40.0  # percent IoU under which a class is called weak
_NO_NEWS = 0.1  # percent points between recorded and fresh mIoU that are none
_CAMVID = (
    " The frames are quoted from CamVid for discussion: G. J. Brostow, J. Fauqueur, R. Cipolla: Semantic object "
    "classes in video: A high-definition ground truth database. Pattern Recognition Letters 30(2), 2009."
)


def write_card(
    name: str,
    data: str = "streets",
    split: str = "test",
    out: str | Path = "docs/models",
    count: int = 200,
    size: tuple[int, int] | None = None,
    device: str = "cpu",
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

    Returns:
        The card's path.

    Raises:
        WeightError: no such weight, or a damaged one.
        DataError: no such data.
        LabelError: data of other classes.
    """
    record, segmenter, out = get_record(name), load_segmenter(name, device), Path(out)
    recorded = record.metric.get("scored_at")
    size = size or (tuple(recorded) if isinstance(recorded, list | tuple) else (360, 480))
    pairs = open_data(data, split, **known_options(data, size=size, count=count, definition=record.definition))
    match_classes(record.classes, pairs.table.names, name, "the data", "Score it on data of its own classes (--data).")
    matrix, each = measure(segmenter, pairs, f"{data} {split}")
    worst = worst_of(each, WORST, 1 if recognise(data) == "streets" else APART)
    card = Card(
        record=record,
        file_bytes=local_file(name).stat().st_size,  # type: ignore[union-attr]  # it was loaded
        parameters=sum(p.numel() for p in segmenter.model.parameters()),
        data=recognise(data) or Path(data).name,
        split=split,
        images=len(pairs),
        seen=list(segmenter.size) if segmenter.size else matrix.compute().scored_at,
        scored_at=matrix.compute().scored_at,
        matrix=matrix,
        worst=[(pairs.names[i], each[i]) for i in worst],
        conditions=_held_out(segmenter, record, count, size),
        scenes=(count, size),
        command=_command(name, data, split, count, size, out),
        environment=f"Python {platform.python_version()}, torch {torch.__version__}, {device}",
    )
    out.mkdir(parents=True, exist_ok=True)
    save(confusion_picture(matrix.matrix, record.classes), out / f"{name}.confusion.png")
    gallery(segmenter, pairs, each, worst).savefig(out / f"{name}.worst.jpg", dpi=110)
    write_text(out / f"{name}.md", card.text())
    return out / f"{name}.md"


# measuring ------------------------------------------------------------------------------------------------------------


def _held_out(segmenter: Segmenter, record: WeightRecord, count: int, size: tuple[int, int]) -> dict[str, Scores]:
    """Scores on rendered scenes, plain and under every held-out condition; empty where the classes are others."""
    if record.classes != Streets.table.names:
        return {}
    found = {}
    for name, factors in {"plain": {}, **FACTORS}.items():
        scenes = Streets("test", count, size, cache=False, **factors)
        found[name] = score(segmenter.predict, scenes, desc=f"streets, {name}")
    return found


def _command(name: str, data: str, split: str, count: int, size: tuple[int, int], out: Path) -> str:
    """What to type to get the same card; a folder on this machine becomes a word."""
    where = "FOLDER" if out.is_absolute() else out.as_posix()
    what = data if data in NAMES else "FOLDER_OF_PAIRS"
    scenes = f"--count {count} --data-size {size[0]}x{size[1]}"
    return f"edgeseg weights card {name} --data {what} --split {split} {scenes} --out {where}"


# text -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """What a card says. Shares in 0…1, sizes (H, W) in pixels."""

    record: WeightRecord
    file_bytes: int
    parameters: int
    data: str  # what it was scored on now
    split: str
    images: int
    seen: list[int] | dict[str, Any]  # network input
    scored_at: list[int] | dict[str, Any]  # of the labels, see `edgeseg.metrics.Scores.scored_at`
    matrix: ConfusionMatrix
    worst: Sequence[tuple[str, float]]  # name and mean IoU of the frames shown, worst first
    conditions: Mapping[str, Scores]  # on rendered scenes, "plain" first; empty where the classes are others
    scenes: tuple[int, tuple[int, int]]  # number and size of those of each condition
    command: str  # what to type to get this card again
    environment: str  # versions

    @property
    def scores(self) -> Scores:
        """Of the matrix."""
        return self.matrix.compute()

    def text(self) -> str:
        """The card in Markdown."""
        name = self.record.name
        sections = {
            "Score": self._score(),
            "Per class": self._classes(),
            "What it takes for what": f"![Confusion matrix, rows in percent]({name}.confusion.png)\n\n"
            f"The commonest mistakes, by their share of all wrong pixels:\n\n{self._mistakes()}",
            "Where it fails": f"![The worst frames]({name}.worst.jpg)\n\n{self._failures()}",
            "Held-out conditions": self._held_out(),
            "Limits": "\n".join(f"- {line}" for line in self.limits()),
            "Again": f"```bash\n{self.command}\n```\n\n{self.environment}.",
        }
        return "\n\n".join([self._head(), *(f"## {head}\n\n{body}" for head, body in sections.items())]) + "\n"

    def limits(self) -> list[str]:
        """What the weight is not good for, in sentences, as far as record and measurement show it."""
        data, classes, scores = self.record.data.lower(), self.record.classes, self.scores
        lines = []
        if data.startswith("streets") and ";" not in data:  # nor did it start from another weight
            lines.append("It has seen rendered scenes only, no photograph: on real streets it is worse than here.")
        if data.startswith("camvid"):
            lines.append(
                "It has learned one town, one camera and a few drives by day and at dusk: with another camera, country "
                "or season it is worse than here, by how much is not measured."
            )
        per_class = zip(classes, scores.per_class_iou, strict=True)
        weak = [f"{name} {_percent(iou)}" for name, iou in per_class if 100 * iou < _WEAK]  # NaN is not
        if weak:
            lines.append(f"Not to be relied on, with less than {_WEAK:.0f} % IoU: {', '.join(weak)}.")
        drops = [f"{name} {self._points(s)}" for name, s in self.conditions.items() if name != "plain"]
        if drops:
            lines.append(f"Under conditions it was not trained for its mIoU changes by, in points: {', '.join(drops)}.")
        if len(self.record.seeds) == 1:
            lines.append("One seed was trained: how much another would differ is not known from this weight.")
        lines.append(f"It knows {len(classes)} classes and no doubt: what is none of them is given one all the same.")
        lines.append("It was made for teaching and research, not for decisions on which anybody's safety depends.")
        return lines

    def _head(self) -> str:
        record = self.record
        classes, seeds = ", ".join(record.classes), ", ".join(map(str, record.seeds))
        rows = {
            "network": f"`{record.arch}`, {self.parameters / 1e6:.2f} M parameters, without training-only heads",
            "classes": f"{len(record.classes)}: {classes} (definition {record.definition})",
            "trained on": record.data,
            "recipe": f"{record.recipe}; crop {_size(record.size)}; seed {seeds}",
            "input": f"RGB in 0…1, mean {_numbers(record.mean)}, std {_numbers(record.std)}; both are in the file",
            "file": f"`{record.file}`, {self.file_bytes / 1e6:.1f} MB, SHA-256 `{record.sha256[:16]}…`",
            "licence": f"{record.licence}; the text: `edgeseg weights licence {record.name}`",
        }
        return (
            f"# {record.name}\n\n"
            f"A network that gives every pixel of a street scene one of {len(record.classes)} classes. This card is "
            "generated from the weight's record and from scores taken anew; the command is at its end.\n\n"
            f'```python\nmask = edgeseg.predict("{record.name}", image)  # (H, W) uint8 class ids\n```\n\n'
            f"{_table('| | |', rows.items())}"
        )

    def _score(self) -> str:
        averaged = ", averaged (EMA) weights" if self.record.metric["ema"] else ""
        return (
            f"**{100 * self.scores.miou:.2f} % mIoU**, {100 * self.scores.pixel_accuracy:.2f} % of the pixels, on "
            f"{self.data} {self.split}, {self.images} images; network input {_size(self.seen)}, scored at "
            f"{_size(self.scored_at)} (height×width). One confusion matrix over all images, void left out, single "
            f"scale, no flip{averaged}. {self._beside_the_record()}"
        )

    def _beside_the_record(self) -> str:
        """Whether the recorded score is reproduced, where it is of the same images at the same sizes."""
        metric = self.record.metric
        recorded = f"The record says {metric['miou']:.2f} %"
        sizes = [metric.get(key) for key in ("size", "scored_at")]
        same_images = (metric["data"], metric["split"], metric.get("images")) == (self.data, self.split, self.images)
        if not same_images or sizes != [self.seen, self.scored_at]:
            images = f", {metric['images']} images" if "images" in metric else ""
            protocol = f"{metric['data']} {metric['split']}{images}, network input {_size(metric['size'])}"
            return f"{recorded}, on {protocol}: another measurement."
        if abs(metric["miou"] - 100 * self.scores.miou) <= _NO_NEWS:
            return f"{recorded} for the same images: reproduced."
        return f"**{recorded} for the same images: not reproduced here.**"

    def _classes(self) -> str:
        scores, total = self.scores, max(sum(self.scores.support), 1)
        rows = zip(self.record.classes, scores.per_class_iou, scores.support, strict=True)
        cells = ((name, _percent(iou), f"{pixels:,}", _percent(pixels / total)) for name, iou, pixels in rows)
        return _table("| class | IoU % | labelled pixels | share % |", cells)

    def _mistakes(self) -> str:
        pairs = confused_pairs(self.matrix.matrix, self.record.classes)
        cells = ((true, predicted, _percent(errors), _percent(own)) for true, predicted, errors, own in pairs)
        return _table("| truly | predicted | of all errors % | of the true class % |", cells)

    def _failures(self) -> str:
        frames = ", ".join(f"`{name}` ({_percent(value)} %)" for name, value in self.worst)
        quoted = _CAMVID if self.data == "camvid" else ""
        chosen = "" if self.data == "streets" else ", near neighbours in a video left out"
        known = "".join(
            f" `{n}`: {FAULTY_LABELS[n]}." for n, _ in self.worst if self.data == "camvid" and n in FAULTY_LABELS
        )
        return (
            f"The {len(self.worst)} worst of the {self.images} images by the mean IoU of the classes in their label"
            f"{chosen}: {frames}.{known}{quoted}"
        )

    def _held_out(self) -> str:
        if not self.conditions:
            return "Not measured: its classes are not those of the rendered street scenes."
        cells = (
            (name, _percent(s.miou), self._points(s), _percent(s.pixel_accuracy)) for name, s in self.conditions.items()
        )
        count, size = self.scenes
        return (
            f"The same {count} rendered street scenes (test, {_size(size)}), plain and under conditions that no scene "
            "for training has:\n\n" + _table("| condition | mIoU % | difference | pixel accuracy % |", cells)
        )

    def _points(self, scores: Scores) -> str:
        """Difference of the mIoU to the plain scenes' in points, with a minus sign that prints as one."""
        plain = self.conditions["plain"]
        return "–" if scores is plain else f"{100 * (scores.miou - plain.miou):+.1f}".replace("-", "−")


def confused_pairs(matrix: np.ndarray, names: Sequence[str]) -> list[tuple[str, str, float, float]]:
    """The commonest mistakes: (true class, predicted class, share of all wrong pixels, share of the true class's)."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    total, support = max(int(wrong.sum()), 1), np.maximum(matrix.sum(1), 1)
    order = [divmod(int(i), len(matrix)) for i in np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]]
    return [(names[t], names[p], wrong[t, p] / total, wrong[t, p] / support[t]) for t, p in order if wrong[t, p]]


def _table(head: str, rows: Iterable[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join((head, "|" + "---|" * (head.count("|") - 1), *lines))


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"


def _size(size: Sequence[int] | Mapping[str, Any] | None) -> str:
    if isinstance(size, Mapping):
        return f"{size['sizes']} sizes from {_size(size['smallest'])} to {_size(size['largest'])}"
    return "×".join(map(str, size)) if size else "not recorded"


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"


# picture --------------------------------------------------------------------------------------------------------------


def confusion_picture(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """A confusion matrix: every row in percent of the pixels that truly are of its class.

    Args:
        matrix: (C, C) pixels by true (row) and predicted (column) class.
        names: C class names; beside each, its share of all pixels.
    """
    from matplotlib.figure import Figure

    count, support = len(names), matrix.sum(1)
    share = 100 * matrix / np.maximum(support, 1)[:, None]
    figure = Figure((3.0 + 0.62 * count, 2.0 + 0.55 * count), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.argwhere(share >= 0.5):
        color = "white" if share[row, column] > 60 else "black"
        weight = "bold" if row == column else "normal"
        axis.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=color, weight=weight)
    of_all = 100 * support / max(int(support.sum()), 1)
    axis.set_xticks(range(count), names, rotation=45, ha="left", rotation_mode="anchor")
    axis.set_yticks(range(count), [f"{n}  ({p:.1f} %)" for n, p in zip(names, of_all, strict=True)])
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("predicted class; numbers: percent of the true class's pixels, empty below 0.5")
    axis.set_ylabel("true class (share of all pixels)")
    return figure
