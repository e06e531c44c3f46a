"""A model card's text, in Markdown, from what was recorded and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.metrics import Scores, percent
from edgeseg.models.zoo import WeightRecord

PAIRS = 8  # most-confused pairs that are listed
WEAK = 40.0  # percent IoU under which a class is called weak
APART = 0.1  # percent points between recorded and fresh mIoU that are no news
_CAMVID = (
    "The frames are quoted from CamVid for discussion: G. J. Brostow, J. Fauqueur, R. Cipolla: Semantic object classes "
    "in video: A high-definition ground truth database. Pattern Recognition Letters 30(2), 2009."
)


@dataclass(frozen=True)
class CardFacts:
    """What a card says. Shares in 0…1, sizes (H, W) in pixels.

    Args:
        record: of the weight.
        file_bytes: size of its file.
        parameters: of the network.
        data, split, images: what it was scored on now.
        seen, scored_at: network input, and size of the labels.
        matrix: (C, C) pixels by true and predicted class.
        scores: of the matrix.
        worst: (name, mean IoU of the classes in its label) of the frames shown, worst first.
        factors: condition → scores on rendered scenes, "plain" first; empty where classes are others.
        scenes: number and size of the scenes of each condition.
        command: what to type to get this card again.
        environment: versions.
    """

    record: WeightRecord
    file_bytes: int
    parameters: int
    data: str
    split: str
    images: int
    seen: tuple[int, int]
    scored_at: tuple[int, int]
    matrix: np.ndarray
    scores: Scores
    worst: Sequence[tuple[str, float]]
    factors: Mapping[str, Scores]
    scenes: tuple[int, tuple[int, int]]
    command: str
    environment: str


def render_card(facts: CardFacts) -> str:
    """The card: what it is, score, classes, confusion, failures, held-out conditions, limits, how to rerun."""
    parts = (_head(facts), _score(facts), _classes(facts), _confusion(facts), _failures(facts), _held_out(facts))
    return "\n\n".join((*parts, _limits(facts), _rerun(facts))) + "\n"


def confused_pairs(matrix: np.ndarray, names: Sequence[str], most: int = PAIRS) -> list[tuple[str, str, float, float]]:
    """The commonest mistakes: (true class, predicted class, share of all wrong pixels, share of the true class's)."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    total, support = max(int(wrong.sum()), 1), np.maximum(matrix.sum(1), 1)
    order = [divmod(int(i), len(matrix)) for i in np.argsort(-wrong, axis=None, kind="stable")[:most]]
    return [(names[t], names[p], wrong[t, p] / total, wrong[t, p] / support[t]) for t, p in order if wrong[t, p]]


def _head(facts: CardFacts) -> str:
    record = facts.record
    rows = {
        "network": f"`{record.arch}`, {facts.parameters / 1e6:.2f} M parameters, without training-only heads",
        "classes": f"{len(record.classes)}: {', '.join(record.classes)} (definition {record.definition})",
        "trained on": record.data,
        "recipe": f"{record.recipe}; crop {_size(record.size)}; seed {', '.join(map(str, record.seeds))}",
        "input": f"RGB in 0…1, mean {_numbers(record.mean)}, std {_numbers(record.std)}; both are in the file",
        "file": f"`{record.file}`, {facts.file_bytes / 1e6:.1f} MB, SHA-256 `{record.sha256[:16]}…`",
        "licence": f"{record.licence}; the text: `edgeseg weights licence {record.name}`",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return (
        f"# {record.name}\n\n"
        "A network that gives every pixel of a street scene one of "
        f"{len(record.classes)} classes. This card is generated from the weight's record and from scores taken anew; "
        "the command is at its end.\n\n"
        f'```python\nmask = edgeseg.predict("{record.name}", image)  # (H, W) uint8 class ids\n```\n\n'
        f"| | |\n|---|---|\n{table}"
    )


def _score(facts: CardFacts) -> str:
    metric, fresh = facts.record.metric, percent(facts.scores.miou)
    recorded = f"The record says {metric['miou']:.2f} %"
    if not _as_recorded(facts):
        compared = f"{recorded}, on {_recorded_protocol(facts)}: another measurement."
    elif abs(metric["miou"] - (fresh or 0.0)) <= APART:
        compared = f"{recorded} for the same images: reproduced."
    else:
        compared = f"**{recorded} for the same images: not reproduced here.**"
    return (
        "## Score\n\n"
        f"**{fresh:.2f} % mIoU**, {percent(facts.scores.pixel_accuracy):.2f} % of the pixels, on {facts.data} "
        f"{facts.split}, {facts.images} images; network input {_size(facts.seen)}, scored at {_size(facts.scored_at)} "
        "(height×width). One confusion matrix over all images, void left out, single scale, no flip"
        f"{_averaged(facts.record)}. {compared}"
    )


def _as_recorded(facts: CardFacts) -> bool:
    metric = facts.record.metric
    sizes = [tuple(metric.get(key) or ()) for key in ("size", "scored_at")]
    about = (metric["data"], metric["split"], metric.get("images"))
    return about == (facts.data, facts.split, facts.images) and sizes == [tuple(facts.seen), tuple(facts.scored_at)]


def _recorded_protocol(facts: CardFacts) -> str:
    metric = facts.record.metric
    images = f", {metric['images']} images" if "images" in metric else ""
    return f"{metric['data']} {metric['split']}{images}, network input {_size(metric['size'])}"


def _averaged(record: WeightRecord) -> str:
    return ", averaged (EMA) weights" if record.metric["ema"] else ""


def _classes(facts: CardFacts) -> str:
    scores, total = facts.scores, max(sum(facts.scores.support), 1)
    rows = zip(facts.record.classes, scores.per_class_iou, scores.support, strict=True)
    lines = [f"| {name} | {_percent(iou)} | {pixels:,} | {_percent(pixels / total)} |" for name, iou, pixels in rows]
    return "## Per class\n\n| class | IoU % | labelled pixels | share % |\n|---|---|---|---|\n" + "\n".join(lines)


def _confusion(facts: CardFacts) -> str:
    lines = [
        f"| {true} | {predicted} | {_percent(errors)} | {_percent(own)} |"
        for true, predicted, errors, own in confused_pairs(facts.matrix, facts.record.classes)
    ]
    return (
        "## What it takes for what\n\n"
        f"![Confusion matrix, rows in percent]({facts.record.name}.confusion.png)\n\n"
        "The commonest mistakes, by their share of all wrong pixels:\n\n"
        "| truly | predicted | of all errors % | of the true class % |\n|---|---|---|---|\n" + "\n".join(lines)
    )


def _failures(facts: CardFacts) -> str:
    frames = ", ".join(f"`{name}` ({_percent(value)} %)" for name, value in facts.worst)
    quoted = f" {_CAMVID}" if facts.data == "camvid" else ""
    chosen = "" if facts.data == "streets" else ", near neighbours in a video left out"
    return (
        f"## Where it fails\n\n![The worst frames]({facts.record.name}.worst.jpg)\n\n"
        f"The {len(facts.worst)} worst of the {facts.images} images by the mean IoU of the classes in their label"
        f"{chosen}: {frames}.{quoted}"
    )


def _held_out(facts: CardFacts) -> str:
    head = "## Held-out conditions\n\n"
    if not facts.factors:
        return head + "Not measured: its classes are not those of the rendered street scenes."
    count, size = facts.scenes
    plain = next(iter(facts.factors.values()))
    lines = [
        f"| {name} | {_percent(s.miou)} | {_points(s, plain)} | {_percent(s.pixel_accuracy)} |"
        for name, s in facts.factors.items()
    ]
    return (
        f"{head}The same {count} rendered street scenes (test, {_size(size)}), plain and under conditions that no "
        "scene for training has:\n\n"
        "| condition | mIoU % | difference | pixel accuracy % |\n|---|---|---|---|\n" + "\n".join(lines)
    )


def _limits(facts: CardFacts) -> str:
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in limits(facts))


def limits(facts: CardFacts) -> list[str]:
    """What the weight is not good for, in sentences, as far as record and measurement show it."""
    record, data = facts.record, facts.record.data.lower()
    lines = []
    if data.startswith("streets") and ";" not in data:  # nor did it start from another weight
        lines.append("It has seen rendered scenes only, no photograph: on real streets it is worse than here.")
    if data.startswith("camvid"):
        lines.append(
            "It has learned one town, one camera and a few drives by day and at dusk: with another camera, country or "
            "season it is worse than here, by how much is not measured."
        )
    weak = [
        f"{n} {_percent(v)}"
        for n, v in zip(record.classes, facts.scores.per_class_iou, strict=True)
        if 100 * v < WEAK  # NaN is not
    ]
    if weak:
        lines.append(f"Not to be relied on, with less than {WEAK:.0f} % IoU: {', '.join(weak)}.")
    if facts.factors:
        plain, *others = facts.factors.items()
        drops = [f"{name} {_points(s, plain[1])}" for name, s in others]
        lines.append(f"Under conditions it was not trained for its mIoU changes by, in points: {', '.join(drops)}.")
    if len(record.seeds) == 1:
        lines.append("One seed was trained: how much another would differ is not known from this weight.")
    lines.append(
        f"It knows {len(record.classes)} classes and no doubt: what is none of them is given one all the same."
    )
    lines.append("It was made for teaching and research, not for decisions on which anybody's safety depends.")
    return lines


def _rerun(facts: CardFacts) -> str:
    return f"## Again\n\n```bash\n{facts.command}\n```\n\n{facts.environment}."


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"


def _points(scores: Scores, plain: Scores) -> str:
    """Difference of the mIoU in points, with a minus sign that prints as one."""
    return "–" if scores is plain else f"{100 * (scores.miou - plain.miou):+.1f}".replace("-", "−")


def _size(size: Sequence[int] | None) -> str:
    return "×".join(map(str, size)) if size else "not recorded"


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
