"""Lesson 20: own classes, from outlines to a clip: what checks compare with, the rides, training, the pictures."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from scipy import ndimage

from edgeseg.course.drawing import Shape
from edgeseg.course.mission import FRAME
from edgeseg.data.class_file import read_class_file
from edgeseg.data.labels import CAMVID, VOID, ClassTable
from edgeseg.data.pairs import SUFFIXES, Dataset, Pairs, folder_pairs
from edgeseg.data.streets import drive
from edgeseg.files import parse_json, read_text, write_json, write_lines
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.live.frames import Source
from edgeseg.metrics import score
from edgeseg.plots import BLUE, DARK_GREY, ORANGE, class_patches, colorize, picture_grid
from edgeseg.text import table as text_table
from edgeseg.training.recipe import Recipe
from edgeseg.training.recipes import get_recipe
from edgeseg.training.train import WEIGHTS, fit

Predict = Callable[[np.ndarray], np.ndarray]
Photos = Mapping[str, tuple[str, str]]
Report = Mapping[str, Any]

# rides through a town that nobody trained for -------------------------------------------------------------------------

RIDES: Mapping[str, tuple[str, int, bool]] = {
    **{f"night{n:02}": (f"street{n:02}", 200 + n, True) for n in range(1, 10)},
    "dusk02": ("street02", 202, False),
    "dusk07": ("street07", 207, False),
}
"""Recording → its street, the seed of that street, and whether it is night. Two streets were ridden twice."""


def photograph(name: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One photograph of a recording, ``"night06_00"``: (H, W, 3) uint8 and its label (H, W), CamVid's ids.

    Photographs are two seconds apart.
    """
    recording, _, number = name.rpartition("_")
    _, seed, night = RIDES[recording]
    return next(islice(drive(seed, size, fps=0.5, night=night), int(number), None))


def rides(folder: Path, photographs: int, size: tuple[int, int]) -> Path:
    """Write the recordings as a folder of own data: images, labels with CamVid's values 0 to 10, and their streets.

    Args:
        folder: made where missing.
        photographs: of each recording, two seconds apart.
        size: (H, W) in pixels.
    """
    for recording, (_, seed, night) in RIDES.items():
        frames = islice(drive(seed, size, fps=0.5, night=night), photographs)
        for number, (image, label) in enumerate(frames):
            for kind, pixels in (("images", image), ("labels", label)):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / kind / f"{recording}_{number:02}.png")
    write_json(folder / "places.json", {recording: street for recording, (street, *_) in RIDES.items()})
    return folder


def ride(seed: int, frames: int, size: tuple[int, int], fps: float, folder: Path) -> Path:
    """Write a drive at night as a folder of pictures: a clip for those who have none."""
    folder.mkdir(parents=True)
    for number, (image, _) in enumerate(islice(drive(seed, size, fps, night=True), frames)):
        Image.fromarray(image).save(folder / f"{number:03}.png")
    return folder


def own_copy(source: str | Path, folder: Path) -> Path:
    """Copy a folder of own data: what the lesson writes, the lists of the split, leaves the original as it is.

    Raises:
        ValueError: it has no class file.
    """
    if not (Path(source) / "classes.json").is_file():
        raise ValueError(f'{source}: write classes.json in it, such as {{"classes": ["other", "way", "people"]}}')
    shutil.copytree(source, folder)
    return folder


def photos_of(folder: Path) -> dict[str, tuple[str, str]]:
    """Name → (recording, place) of the photographs of a folder.

    A name is RECORDING_NUMBER; ``places.json`` says where a recording was made: a place, or a list of them. What it
    does not name is a place of its own.
    """
    listing = folder / "places.json"
    places = parse_json(read_text(listing)) if listing.is_file() else {}
    names = sorted(path.stem for path in (folder / "images").iterdir() if path.suffix.lower() in SUFFIXES)
    recordings = {name: name.rpartition("_")[0] or name for name in names}
    return {name: (recording, str(places.get(recording, recording))) for name, recording in recordings.items()}


COLORS = ((70, 70, 70), (86, 180, 233), (255, 190, 0), (213, 94, 0), (0, 158, 115), (204, 121, 167))


def write_classes(folder: Path, spec: Mapping[str, Any]) -> ClassTable:
    """Write ``classes.json`` with colours that are easy to tell apart, unless the folder has one; and read it."""
    path = folder / "classes.json"
    if not path.exists():
        classes = [{"color": COLORS[i % len(COLORS)], **entry} for i, entry in enumerate(spec["classes"])]
        write_json(path, {**spec, "classes": classes})
    return read_class_file(path)


def write_split(folder: Path, train: Sequence[str], val: Sequence[str]) -> tuple[Pairs, Pairs]:
    """Write ``train.txt`` and ``val.txt``, and open both parts."""
    write_lines(folder / "train.txt", sorted(train))
    write_lines(folder / "val.txt", sorted(val))
    return folder_pairs(folder, split="train"), folder_pairs(folder, split="val")


def as_own(label: np.ndarray, table: ClassTable) -> np.ndarray:
    """(H, W) CamVid ids as the classes of a table that reads CamVid's label files."""
    return table.encode(label, "the label")


def own_table(own: Own) -> ClassTable:
    """The table that `class_file` and `write_classes` make of CamVid's classes."""
    with tempfile.TemporaryDirectory() as folder:
        return write_classes(Path(folder), class_file(CAMVID.names, own))


def some_frames(source: Source, numbers: Sequence[int]) -> dict[int, np.ndarray]:
    """Frames (H, W, 3) of a source by their number; those that it has."""
    with closing(source.frames()) as frames:
        seen = enumerate(islice(frames, max(numbers) + 1))
        return {number: frame.image for number, frame in seen if number in numbers}


# class file -----------------------------------------------------------------------------------------------------------

Own = Mapping[str, Sequence[str]]


def class_file(old: Sequence[str], own: Own) -> dict[str, Any]:
    """What ``classes.json`` says so that label files of other classes are read as the own ones.

    Args:
        old: the names that the file values 0, 1, 2, … stand for.
        own: own class → the old names that it takes; what none takes is ``other``.
    """
    taken = {name for names in own.values() for name in names}
    groups = {"other": [name for name in old if name not in taken], **own}
    return {
        "classes": [{"name": name, "id": [old.index(o) for o in names]} for name, names in groups.items()],
        "void": [VOID],
    }


# outlines -------------------------------------------------------------------------------------------------------------


def to_label(shapes: Sequence[Shape], size: tuple[int, int], ids: Mapping[str, int]) -> np.ndarray:
    """Outlines as a label: later ones lie above, what none covers is void.

    Args:
        shapes: of `edgeseg.course.drawing.read_shapes`.
        size: (H, W).
        ids: label → class id, or `VOID`.

    Returns:
        (H, W) uint8.

    Raises:
        KeyError: a label that `ids` does not have.
    """
    canvas = Image.new("L", (size[1], size[0]), VOID)
    pen = ImageDraw.Draw(canvas)
    for shape in shapes:
        pen.polygon([(x, y) for x, y in shape["points"]], fill=ids[shape["label"]])
    return np.array(canvas)


DRAWN = json.dumps(
    {
        "shapes": [
            {"label": label, "points": points, "shape_type": "polygon"}
            for label, points in (
                ("other", [[0, 0], [320, 0], [320, 240], [0, 240]]),
                ("way", [[0, 156], [87, 137], [122, 137], [130, 133], [142, 122], [143, 128], [175, 130], [176, 115],
                         [209, 115], [212, 130], [263, 133], [277, 124], [320, 142], [320, 240], [0, 240]]),
                ("other", [[9, 52], [17, 52], [17, 182], [9, 182]]),
                ("people", [[122, 94], [128, 94], [128, 100], [132, 108], [129, 115], [129, 133], [126, 139],
                            [122, 139], [119, 133], [120, 115], [117, 108], [120, 102]]),
            )
        ],
        "imageHeight": 240,
        "imageWidth": 320,
    }
)  # fmt: skip
"""Outlines as the drawing board gives them, drawn by hand on the photograph ``night06_00`` of 240×320."""


# the split ------------------------------------------------------------------------------------------------------------


def split(photos: Photos, seed: int = 0) -> tuple[list[str], list[str]]:
    """(train, val): no recording and no place on both sides, about a quarter in val.

    Args:
        photos: name → (recording, place).
        seed: another seed is another split.
    """
    group = {name: name for name in sorted(photos)}
    changed = True
    while changed:  # what shares a recording or a place takes the smallest name among them
        changed = False
        for part in (0, 1):
            least: dict[str, str] = {}
            for name, about in photos.items():
                least[about[part]] = min(group[name], least.get(about[part], group[name]))
            for name, about in photos.items():
                if group[name] != least[about[part]]:
                    group[name], changed = least[about[part]], True
    size = Counter(group.values())
    wanted, val = len(photos) / 4, set[str]()
    for one in np.random.default_rng(seed).permutation(sorted(size)).tolist():
        held = sum(size[g] for g in val)
        if abs(held + size[one] - wanted) < abs(held - wanted):
            val.add(one)
    parts = [sorted(name for name in photos if (group[name] in val) == held) for held in (False, True)]
    return parts[0], parts[1]


# training -------------------------------------------------------------------------------------------------------------

START = "cross_cbam_s.streets"


def recipe(weight: str, steps: int, batch: int, crop: tuple[int, int], seed: int = 0) -> Recipe:
    """A short run on few photographs, in which the start's own normalisation is kept.

    Args:
        weight: the start; its mean and deviation are taken.
        steps, batch, crop: of the run.
        seed: of order, augmentation and new heads.
    """
    start = load_segmenter(weight)
    (r, g, b), (dr, dg, db) = ((x.flatten() / 255).tolist() for x in (start.mean, start.std))
    return replace(
        get_recipe("camvid_fold"), name="own_classes", data="own", model=weight.partition(".")[0], iterations=steps,
        epochs=0.0, batch=batch, crop=crop, scale=(0.8, 1.6), eval_size=None, optimizer="adamw", lr=0.001,
        weight_decay=0.02, schedule="cosine", min_lr=1e-5, warmup=min(6, steps - 1), ema=0.9, precise_bn=4,
        amp="bf16", mean=(r, g, b), std=(dr, dg, db), seed=seed,
    )  # fmt: skip


def trained(how: Recipe, data: Dataset, out: Path, init: str | None, device: torch.device) -> Segmenter:
    """Train by a recipe, from a weight or from random ones, and open the result.

    Args:
        how: the recipe.
        data: the photographs.
        out: the folder of the run.
        init: a weight's name; ``None``: random weights.
        device: where.
    """
    with redirect_stdout(io.StringIO()) as said:
        fit(how, data, None, out, init=init, device=device, progress=False)
    print(said.getvalue().partition("\n")[0] or f"{len(data)} photographs, from random weights")
    return load_segmenter(out / WEIGHTS, device)


def put_together(weight: str, table: ClassTable, own: Own, device: torch.device | str = "cpu") -> Predict:
    """A finished weight's classes as the own ones, without a step of training.

    Args:
        weight: its name.
        table: the own classes, ``other`` among them.
        own: own class → names of the weight's classes.
        device: where.
    """
    segmenter = load_segmenter(weight, device)
    assert segmenter.table is not None
    owner = {old: table.index(new) for new, names in own.items() for old in names}
    lut = np.array([owner.get(name, table.index("other")) for name in segmenter.table.names], np.uint8)
    return lambda image: lut[segmenter.predict(image)]


def everywhere(class_id: int) -> Predict:
    """A "network" that sees one class everywhere."""
    return lambda image: np.full(image.shape[:2], class_id, np.uint8)


# nobody overlooked ----------------------------------------------------------------------------------------------------


def groups(where: np.ndarray, least: int = 1) -> Iterator[np.ndarray]:
    """Connected regions of an (H, W) bool array, over the four sides of a pixel: one (H, W) bool array each.

    Args:
        where: the pixels.
        least: smaller regions are passed over.
    """
    number, count = ndimage.label(where)
    area = np.bincount(number.ravel(), minlength=count + 1)
    return (number == i for i in range(1, count + 1) if area[i] >= least)


def overlooked(mask: np.ndarray, label: np.ndarray, class_id: int, least: int = 20) -> tuple[int, int]:
    """How many regions of a class are overlooked, and how many there are.

    A region is overlooked where less than half of its pixels are found. Beside crowds this counts a crowd once.

    Args:
        mask: (H, W) predicted ids.
        label: (H, W) true ids, void 255.
        class_id: which class.
        least: pixels that a region has at least, to count.
    """
    found = [float((mask[region] == class_id).mean()) for region in groups(label == class_id, least)]
    return sum(share < 0.5 for share in found), len(found)


def compared(
    ways: Mapping[str, Predict], data: Dataset, class_id: int, count: Callable[..., tuple[int, int]] = overlooked
) -> dict[str, dict[str, Any]]:
    """Each way's ``mIoU`` and one class's IoU, under its name, in percent; and ``overlooked``, (how many, of how many).

    Args:
        ways: name → what segments.
        data: the photographs.
        class_id: the class that is counted.
        count: an `overlooked`.
    """
    found = {}
    for name, predict in ways.items():
        scores = score(predict, data, progress=False)
        pairs = (data[i] for i in range(len(data)))
        lost = np.sum([count(predict(image), label, class_id) for image, label in pairs], axis=0)
        iou = {"mIoU": 100 * scores.miou, data.table.names[class_id]: 100 * scores.per_class_iou[class_id]}
        found[name] = {**iou, "overlooked": (int(lost[0]), int(lost[1]))}
    return found


def told(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What `compared` found, as a table."""
    rows = [
        (name, *(f"{v:.1f}" if isinstance(v, float) else f"{v[0]} of {v[1]}" for v in one.values()))
        for name, one in found.items()
    ]
    return text_table(("", *next(iter(found.values()))), rows, "<>>>")


# may it be released? --------------------------------------------------------------------------------------------------


def open_points(report: Report) -> list[str]:
    """What still speaks against a release: the names of the points that are not met, or were not measured.

    Args:
        report: ``train`` and ``val``, places; ``miou`` and the best ``baseline``; ``file_miou``, of the exported
            file; ``seeds``; ``ms`` for a frame; ``overlooked``, how many and of how many. ``None``: not measured.
    """

    def both(*names: str) -> bool:
        return all(report[name] is not None for name in names)

    met = {
        "split": both("train", "val") and not set(report["train"]) & set(report["val"]),
        "baseline": both("miou", "baseline") and report["miou"] > report["baseline"],
        "file": both("miou", "file_miou") and report["file_miou"] >= report["miou"] - 0.5,
        "seeds": both("seeds") and report["seeds"] >= 3,
        "speed": both("ms") and report["ms"] <= FRAME,
        "people": both("overlooked") and report["overlooked"][0] == 0,
    }
    return [name for name, fine in met.items() if not fine]


def read_log(path: Path) -> dict[str, list[dict[str, float]]]:
    """Start → a dict of mIoU and every class's IoU in percent for each seed, from ``own_classes.jsonl``."""
    found: dict[str, list[dict[str, float]]] = {}
    for line in read_text(path).splitlines():
        one = parse_json(line)
        found.setdefault(one["start"], []).append({"mIoU": one["miou"], **one["per_class_iou"]})
    return found


# pictures -------------------------------------------------------------------------------------------------------------


def row(pictures: Mapping[str, np.ndarray], table: ClassTable) -> Figure:
    """Photographs (H, W, 3) and class maps (H, W) side by side, each under its name, with a legend of the classes."""
    shown = [p if p.ndim == 3 else colorize(p, table) for p in pictures.values()]
    figure = picture_grid([shown], [list(pictures)], below=0.35)
    figure.set_dpi(75)  # noise of the night is large in a file
    void = any((p == VOID).any() for p in pictures.values() if p.ndim == 2)
    handles = class_patches(range(len(table)), table, void=void)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False)
    return figure


def dots(found: Mapping[str, Sequence[Mapping[str, float]]], columns: Sequence[str]) -> Figure:
    """Scores in percent, one line a start, one dot a seed, one panel a score.

    Args:
        found: start → its seeds' scores by name; one of an untrained start.
        columns: the names to show.
    """
    figure = Figure((9.0, 0.9 + 0.36 * len(found)), dpi=90, facecolor="white", layout="constrained")
    axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axis, column in zip(axes, columns, strict=True):
        for place, seeds in enumerate(found.values()):
            values = [seed[column] for seed in seeds]
            trained_once = len(values) > 1
            axis.plot(values, [place] * len(values), "o", color=BLUE if trained_once else DARK_GREY, ms=6, alpha=0.75)
            axis.plot([np.mean(values)] * 2, [place - 0.28, place + 0.28], color=ORANGE, lw=2, zorder=0)
            axis.text(np.mean(values), place - 0.36, f"{np.mean(values):.1f}", fontsize=8, ha="center", va="bottom")
        axis.set(xlim=(-4, 104), xlabel=f"{column}, percent")
        axis.grid(axis="x", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(found)), found)
    axes[0].set_ylim(len(found) - 0.5, -0.8)
    return figure
