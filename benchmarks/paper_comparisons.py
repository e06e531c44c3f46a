"""The papers' tables of comparison for docs/papers.md: where each network lives, and what training it would cost.

Part of benchmarks/papers.py, which writes the page.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edgeseg.data.labels import CITYSCAPES20
from edgeseg.files import read_rows
from edgeseg.models.counts import count
from edgeseg.models.registry import create_model
from edgeseg.models.zoo import get_record
from edgeseg.training.recipes import Recipe, get_recipe
from edgeseg.training.tables import TABLES

HOME = Path(__file__).parent.parent
PRINTED = json.loads((HOME / "benchmarks" / "paper_tables.json").read_text(encoding="utf-8"))
NETWORKS = json.loads((HOME / "benchmarks" / "paper_networks.json").read_text(encoding="utf-8"))
RECORDS = {"streets": HOME / "course" / "results" / "tables_streets.jsonl"}  # by the data of `edgeseg ablate --on`


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of a page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


# costs ----------------------------------------------------------------------------------------------------------------


def forward_macs(recipe: Recipe, classes: int = 11) -> int:
    """Multiply-adds of one crop through the network."""
    return _forward_macs(recipe.model, tuple(recipe.switches.items()), recipe.crop, classes)


@functools.cache
def _forward_macs(name: str, switches: tuple[tuple[str, Any], ...], size: tuple[int, int], classes: int) -> int:
    with torch.device("meta"):
        model = create_model(name, classes, **dict(switches)).eval()
    return count(model, size).macs


def training_macs(recipe: Recipe) -> int:
    """Multiply-adds of a whole training: three passes, one forward and twice as much backward, over all crops."""
    return 3 * forward_macs(recipe, CLASSES[recipe.data]) * crops(recipe)


def crops(recipe: Recipe) -> int:
    """How many crops a recipe sees."""
    return recipe.iterations * recipe.batch or round(recipe.epochs * IMAGES[recipe.data])


IMAGES = {"camvid": 468, "cityscapes": 2975, "cityscapes20": 2975, "voc": 10_827}
CLASSES = {"camvid": 11, "cityscapes": 19, "cityscapes20": 20, "voc": 21}


@functools.cache
def pace() -> float:
    """Multiply-adds a second at which Cross-CBAM-M was trained for Table 4, on one thread."""
    recipe, variant = get_recipe("tables_streets"), TABLES["cross_cbam_4"].variants[-1]
    minutes = [row["minutes"] for row in read_rows(RECORDS["streets"]) if row["variant"] == variant.name]
    each = 3 * forward_macs(variant.recipe(recipe, 0)) * recipe.iterations * recipe.batch
    return each * len(minutes) / (60 * sum(minutes))


def hours(recipe: Recipe) -> str:
    """What a training would take at that pace."""
    return f"{training_macs(recipe) / pace() / 3600:,.0f} hours"


def costs() -> str:
    """What the papers' own trainings would cost: crops, and multiply-adds at three passes each."""
    rows = []
    for name in ("cross_cbam_camvid_paper", "cross_cbam_cityscapes_paper", "hrnet_cityscapes_paper", "hrnet_voc_paper"):
        recipe = get_recipe(name)
        height, width = recipe.crop
        macs = f"{training_macs(recipe) / 1e15:.0f}·10¹⁵"
        rows.append((f"`{name}`", recipe.model, f"{crops(recipe):,}", f"{height}×{width}", macs, hours(recipe)))
    return markdown(("recipe", "network", "crops", "of", "multiply-adds", "on one thread"), rows)


# comparisons ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A table in which a paper compares its networks with others.

    Args:
        paper, table: where it is in paper_tables.json.
        title: heading on the page.
        recipe: that trains a row's network here.
        split: on which it is then scored.
        inputs: of the network, there.
        heads: of the printed columns.
        ours: row → trained weight of ours that it can be held against.
    """

    paper: str
    table: str
    title: str
    recipe: str
    split: str
    inputs: tuple[str, ...]
    heads: tuple[str, ...]
    ours: Mapping[str, str]


COMPARISONS = (
    Comparison(
        "cross_cbam", "table2_cityscapes", "Cross-CBAM, Table 2: Cityscapes", "cross_cbam_cityscapes_paper",
        "val", ("512x1024", "768x1536"),
        ("network", "backbone", "input", "mIoU val", "mIoU test", "FPS"), {},
    ),
    Comparison(
        "cross_cbam", "table3_camvid", "Cross-CBAM, Table 3: CamVid", "cross_cbam_camvid_paper",
        "test", ("720x960",),
        ("network", "backbone", "mIoU", "FPS"), {"Cross-CBAM-M": "cross_cbam_m.camvid"},
    ),
    Comparison(
        "improved_hrnet", "table4_cityscapes", "Improved HRNet, Table IV: Cityscapes", "hrnet_cityscapes_paper",
        "val", ("512x1024", "1024x2048"),
        ("network", "mIoU 512×1024", "1024×2048", "params M", "GFLOPs 512×1024", "TFLOPs 1024×2048"), {},
    ),
    Comparison(
        "improved_hrnet", "table5_voc", "Improved HRNet, Table V: VOC2012 + SBD", "hrnet_voc_paper",
        "paper_val", ("512x512",),
        ("network", "mIoU 512×512", "params M", "GFLOPs 512×512"), {},
    ),
)  # fmt: skip


def comparisons(paper: str) -> Iterator[str]:
    """The comparison tables of a paper, with where each network lives and what its row would cost."""
    for c in COMPARISONS:
        if c.paper == paper:
            yield f"### {c.title}"
            yield f"`edgeseg train {c.recipe} model=NETWORK`, then `{scoring(c)}`. As printed, and here:"
            rows = [compared(c, row) for row in PRINTED[paper][c.table]["rows"]]
            yield markdown((*c.heads, "lives here as", "our mIoU"), rows)


def scoring(table: Comparison) -> str:
    """The command that scores a run of a comparison."""
    recipe = get_recipe(table.recipe)
    labels = f" --data-size {'x'.join(map(str, recipe.data_size))}" if recipe.data_size else ""
    inputs = " ".join(f"--size {size}" for size in table.inputs)
    return f"edgeseg eval runs/{table.recipe} --data {recipe.data} --split {table.split}{labels} {inputs}"


def compared(table: Comparison, row: Sequence[Any]) -> list[str]:
    """One row: as printed, where the network lives, and our value or what it would cost."""
    own = NETWORKS[table.paper][row[0]]
    printed = ["–" if value is None else str(value).replace("x", "×") if i else value for i, value in enumerate(row)]
    if "here" not in own:
        return [*printed, f"no ({own['elsewhere']})" if "elsewhere" in own else "no", "–"]
    recipe = replace(get_recipe(table.recipe), model=own["here"], switches=own.get("switches", {}))
    lives = [f"`{recipe.model}`", *([f"`switches={recipe.switches}`"] if recipe.switches else [])]
    value = f"not run: {hours(recipe)}"
    if row[0] in table.ours:
        value = f"{of_weight(table.ours[row[0]])}; the paper's recipe {value}"
    return [*printed, ", ".join([*lives, *([own["remark"]] if "remark" in own else [])]), value]


def of_weight(name: str) -> str:
    """A finished weight's score with what it was trained by and scored on."""
    record = get_record(name)
    (height, width), seeds = record.metric["size"], len(record.seeds)
    return (
        f"{record.metric['miou']:.1f} ([`{name}`](training.md), {seeds} seed{'s' * (seeds > 1)}, another recipe, no "
        f"ImageNet, input {height}×{width})"
    )


def classes_table() -> str:
    """Table VI, its class names put right: rows 4 to 11 are printed under others' names."""
    rows = PRINTED["improved_hrnet"]["table6_per_class_1024x2048"]["rows"]
    cells = []
    for name, (printed, *scores) in zip(CITYSCAPES20.names, rows, strict=True):
        best = max(scores)
        shown = [f"**{s:.2f}**" if s == best else f"{s:.2f}" for s in scores]
        cells.append((name if name == printed else f"{name} (printed: {printed})", *shown))
    return markdown(("class", *PRINTED["improved_hrnet"]["table6_per_class_1024x2048"]["columns"][1:]), cells)


def settings_table() -> str:
    """Table II beside the recipes that follow the text."""
    recipes = [get_recipe(name) for name in ("hrnet_voc_paper", "hrnet_cityscapes_paper")]
    ours = [
        (
            "×".join(map(str, r.crop)), r.optimizer, f"{r.lr:g}", r.schedule, f"{r.momentum:g}", f"{r.freeze_epochs:g}",
            f"{r.epochs - r.freeze_epochs:g}", f"{r.epochs:g}", r.loss,
        )
        for r in recipes
    ]  # fmt: skip
    rows = [
        (name.replace("_", " "), str(voc).replace("x", "×"), here_voc, str(city).replace("x", "×"), here_city)
        for (name, voc, city), here_voc, here_city in zip(
            PRINTED["improved_hrnet"]["table2_hyperparameters"]["rows"], *ours, strict=True
        )
    ]
    return markdown(("", "VOC2012 + SBD", "`hrnet_voc_paper`", "Cityscapes", "`hrnet_cityscapes_paper`"), rows)
