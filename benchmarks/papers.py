"""Write docs/papers.md: every table, figure and equation of both papers, where it lives here, and what came out.

    python benchmarks/papers.py              the page and its pictures, from the rows in course/results
    python benchmarks/papers.py --check      nothing is written; fails where the page is not what would be written

Rows are made by `edgeseg ablate TABLE --json course/results/tables_streets.jsonl`. What the papers print is in
benchmarks/paper_tables.json, where the networks of their comparisons live in benchmarks/paper_networks.json.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paper_comparisons import (
    HOME,
    PRINTED,
    RECORDS,
    classes_table,
    comparisons,
    costs,
    forward_macs,
    markdown,
    pace,
    settings_table,
)
from torch import nn

from edgeseg.course.lessons.lesson_14 import which_modules
from edgeseg.data.labels import CAMVID
from edgeseg.explain.strips import FRAME
from edgeseg.files import read_rows
from edgeseg.metrics import mean_of_present
from edgeseg.models.controls import ASPP
from edgeseg.models.cross_cbam import CCBAM, SEASPP
from edgeseg.models.papers import TableRow, attention_costs, count_peer_as_improved_hrnet_paper, paper_tables
from edgeseg.models.peers import PRINTED as PEERS
from edgeseg.models.peers import PrintedPeer
from edgeseg.models.registry import create_model
from edgeseg.plots import save
from edgeseg.training.ablate import Row
from edgeseg.training.recipes import Recipe, get_recipe
from edgeseg.training.tables import (
    MARGIN,
    TABLES,
    PaperTable,
    finding_cells,
    findings,
    scored_sizes,
    table_cells,
    table_picture,
    table_recipe,
)  # fmt: skip

PAGE = HOME / "docs" / "papers.md"

# where everything lives -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """An equation, table or figure of a paper: what it is, where it lives, and how one gets or draws it."""

    what: str
    is_about: str
    lives: str
    shown: str


def _code(path: str, name: str) -> str:
    return f"[`{name}`](../{path})"


def _lesson(number: str, name: str) -> str:
    return f"lesson [{number}](../course/{number}_{name}.ipynb)"


_ATTENTION, _CROSS = "edgeseg/models/attention.py", "edgeseg/models/cross_cbam.py"
_HRNET, _LOSSES = "edgeseg/models/improved_hrnet.py", "edgeseg/training/losses.py"
_MAP, _COMPARE = "`course.network_map()`", "`edgeseg compare IMAGE --model A --model B`"
_DRAWN = "`edgeseg.explain`, [pictures](explain.md)"

CROSS_CBAM = (
    Item("Fig. 1", "the network", _code(_CROSS, "CrossCBAM"), f"{_MAP}, {_lesson('06', 'cross_cbam')}"),
    Item("Fig. 2, Eq. 1, Table 1", "STDC", _code("edgeseg/models/stdc.py", "STDC"), _lesson("03", "stdc")),
    Item("Fig. 3, Eq. 2", "CCBAM", _code(_CROSS, "CCBAM"), _lesson("05", "ccbam")),
    Item("Fig. 4, Eq. 3", "channel attention", _code(_ATTENTION, "ChannelAttention"), _lesson("05", "ccbam")),
    Item("Fig. 5, Eq. 4", "spatial attention", _code(_ATTENTION, "SpatialAttention"), _lesson("05", "ccbam")),
    Item("Fig. 6", "SE-ASPP", _code(_CROSS, "SEASPP"), _lesson("04", "se_aspp")),
    Item("Eqs. 5, 6", "focal loss", _code(_LOSSES, "Focal"), _lesson("07", "losses_and_training")),
    Item("Table 2", "Cityscapes", "recipe `cross_cbam_cityscapes_paper`", "below"),
    Item("Table 3", "CamVid", "recipe `cross_cbam_camvid_paper`", "below"),
    Item("Fig. 7", "results on frames", _code("edgeseg/explain/frames.py", "compare"), _COMPARE),
    Item("Fig. 8", "Table 4's rows on frames", _code("edgeseg/explain/frames.py", "compare"), "below"),
    Item("Table 4", "modules", "`edgeseg ablate cross_cbam_4`", "below"),
    Item("Table 5", "dilations", "`edgeseg ablate cross_cbam_5`", "below"),
    Item("Table 6", "channels", "`edgeseg ablate cross_cbam_6`", "below"),
)

IMPROVED_HRNET = (
    Item("Fig. 1", "the networks", _code(_HRNET, "ImprovedHRNet"), _MAP),
    Item("Eq. 1", "CCSF", _code(_HRNET, "CCSF"), "tests"),
    Item("Fig. 2, Eq. 2", "MSCA and MSCAN", _code(_HRNET, "MSCA"), "tests"),
    Item("Eq. 3", "FUSM", _code(_HRNET, "FUSM"), "tests"),
    Item("Fig. 3, Eqs. 4, 5", "AAM", _code(_ATTENTION, "AAM"), _DRAWN),
    Item("Fig. 4", "spatial attention", _code(_ATTENTION, "CBAM"), _DRAWN),
    Item("Eqs. 6, 7", "what they cost", _code("edgeseg/models/papers.py", "attention_costs"), "below"),
    Item("Eq. 8, Table II", "the recipe", _code("edgeseg/training/recipes.py", "hrnet_cityscapes_paper"), "below"),
    Item("Table I", "their machine", "none of ours", "–"),
    Item("Figs. 5, 6", "where attention stands, which is best", "`edgeseg ablate hrnet_attention`", "below"),
    Item("Table III, Fig. 7", "modules", "`edgeseg ablate hrnet_3`", "below"),
    Item("Fig. 8", "heat maps", _code("edgeseg/explain/heat.py", "grad_cam"), "`edgeseg ablate hrnet_3 --heat FOLDER`"),
    Item("Table IV", "Cityscapes", "recipes `hrnet_cityscapes_paper`, `hrnet_cityscapes_published`", "below"),
    Item("Table V", "VOC2012 + SBD", "recipe `hrnet_voc_paper`", "below"),
    Item("Table VI", "classes", "`edgeseg eval RUN --data cityscapes20`", "below"),
    Item("Figs. 9–11", "results on frames", _code("edgeseg/explain/frames.py", "compare"), _COMPARE),
)


def index(items: Sequence[Item]) -> str:
    """Where everything of a paper lives."""
    rows = [(i.what, i.is_about, i.lives, i.shown) for i in items]
    return markdown(("in the paper", "", "lives in", "see"), rows)


# experiments ----------------------------------------------------------------------------------------------------------


def experiment(name: str, table: PaperTable) -> Iterator[str]:
    """A table: what the paper prints beside what came out on every data set that there are rows of."""
    yield f"### {table.source}: {table.title}"
    for on, record in RECORDS.items():
        recipe, rows = table_recipe(table, get_recipe(f"tables_{on}")), table.rows(read_rows(record))
        head, cells = table_cells(table, rows, recipe, len(CAMVID))
        yield f"`edgeseg ablate {name} --on {on}`: {ran(rows, recipe, table)}"
        yield markdown(head, cells)
        if is_drawn(rows):
            yield f"![{table.source} on {on}](images/table_{name}_{on}.png)"
        yield from heat_maps(name, table, on)
        if name == "cross_cbam_4":
            yield prose(_FRAMES)
            yield "![Table 4's rows on two scenes that they have not seen](images/table_4_frames.png)"


def heat_maps(name: str, table: PaperTable, on: str) -> Iterator[str]:
    """What every row sees its classes by, of those whose strip was kept when they were trained."""
    folder = Path("images", f"heat_{on}")
    labels = {e.label: folder / f"{e.variant.name}.jpg" for e in table.entries}
    drawn = [(label, f"![{label}]({path})") for label, path in labels.items() if (PAGE.parent / path).exists()]
    if len(drawn) > 1:
        yield prose(_HEAT, name=name, on=on, folder=f"docs/{folder}")
        yield markdown(("", f"![the scene and its classes]({folder / FRAME})"), drawn)


def is_drawn(rows: Sequence[Row]) -> bool:
    """Whether there are rows to compare."""
    return len({row["variant"] for row in rows}) > 1


def ran(rows: Sequence[Row], recipe: Recipe, table: PaperTable) -> str:
    """What was run of a table, or what it would cost."""
    seeds = {v.name: sum(row["variant"] == v.name for row in rows) for v in table.variants}
    minutes = sum(row["minutes"] for row in rows)
    if not rows:
        return f"not run. A seed trains {steps(recipe, table)}."
    fewest, most = min(seeds.values()), max(seeds.values())
    often = f"{fewest} to {most} seeds" if fewest < most else f"{most} seed{'s' * (most > 1)}"
    missing = [e.label for e in table.entries if not seeds[e.variant.name]]
    lacks = f" Not run yet: {'; '.join(missing)}." if missing else ""
    return (
        f"{often} a row, {rows[0]['steps']} steps each, {minutes:.0f} minutes of training on one thread in all.{lacks}"
    )


def steps(recipe: Recipe, table: PaperTable) -> str:
    """How much training one seed of a table is."""
    macs = sum(forward_macs(v.recipe(recipe, 0)) for v in table.variants)
    crops = recipe.iterations * recipe.batch
    return f"{len(table.variants)} networks on {crops:,} crops, {3 * macs * crops / 1e15:.1f}·10¹⁵ multiply-adds"


def draw() -> None:
    """The pictures of the tables that there are rows of."""
    for on, record in RECORDS.items():
        for name, table in TABLES.items():
            recipe, rows = table_recipe(table, get_recipe(f"tables_{on}")), table.rows(read_rows(record))
            if is_drawn(rows):
                note = (
                    f"{on}, {rows[0]['steps']} steps of {recipe.batch}; dots: seeds, bar: standard error, ring: printed"
                )
                figure = table_picture(table, rows, scored_sizes(recipe), note=note)
                print(save(figure, PAGE.parent / "images" / f"table_{name}_{on}.png"))
    print(save(which_modules(read_rows(RECORDS["streets"])), PAGE.parent / "images" / "which_modules.png"))


# claims ---------------------------------------------------------------------------------------------------------------


def measured_claims() -> str:
    """Every claim of the tables with its verdict."""
    lines = []
    head: list[str] = []
    for on, record in RECORDS.items():
        for table in TABLES.values():
            sizes = scored_sizes(table_recipe(table, get_recipe(f"tables_{on}")))
            head, cells = finding_cells(findings(table, table.rows(read_rows(record)), sizes), sizes)
            lines += [[table.source, *cells_of_claim] for cells_of_claim in cells]
    return markdown(["of", *head], lines)


def counted_claims(counts: Sequence[TableRow]) -> str:
    """Claims that counting or the papers' own tables decide."""
    rows = [
        (text, where, shown, "holds" if holds else "does not hold") for text, where, shown, holds in _counted(counts)
    ]
    return markdown(("claim", "where", "what decides", "verdict"), rows)


def _counted(counts: Sequence[TableRow]) -> Iterator[tuple[str, str, str, bool]]:
    params = {name: _module_params(name) for name in ("se_aspp", "aspp", "ccbam")}
    se_aspp, aspp = params["se_aspp"], params["aspp"]
    yield (
        "SE-ASPP has fewer parameters than ASPP", "Cross-CBAM 3.3",
        f"{se_aspp / 1e6:.2f} M at (1, 3), {aspp / 1e6:.2f} M for ASPP at (1, 12, 24, 36)", se_aspp < aspp,
    )  # fmt: skip
    share = params["ccbam"] / sum(p.numel() for p in create_model("cross_cbam_m", aux=False).parameters())
    yield (
        "CCBAM fuses at hardly any cost", "Cross-CBAM 1",
        f"{params['ccbam']:,} parameters, {100 * share:.2f} % of M's", share < 0.01,
    )  # fmt: skip
    agreeing = [row for row in counts if row.paper is not None]
    for paper, tables in (("Cross-CBAM", ("Table 5", "Table 6")), ("Improved HRNet", ("Table",))):
        own = [r for r in agreeing if (r.table in ("Table 5", "Table 6")) == (paper == "Cross-CBAM")]
        right = sum(row.agrees for row in own)
        unit = "multiply-adds, not twice that" if paper == "Cross-CBAM" else "twice the multiply-adds"
        said = "Tables 5, 6" if len(tables) > 1 else "Tables III to V"
        yield (
            "printed FLOPs and parameters", f"{paper} {said}",
            f"{right} of {len(own)} rows come out to the last digit; \"FLOPs\" are {unit}", right == len(own),
        )  # fmt: skip
    others = [peer_agrees(peer) for peer in PEERS if peer.name]
    yield (
        "printed FLOPs and parameters of the other networks", "Improved HRNet Tables IV, V",
        f"{sum(others)} of {len(others)} rows come out to the last digit from the libraries' networks and what differs",
        all(others),
    )  # fmt: skip
    table4 = {tuple(row[:3]): row[3] for row in PRINTED["cross_cbam"]["table4_ablation"]["rows"]}
    gain = table4[1, 0, 0] - table4[0, 0, 0]
    yield (
        "SE-ASPP gains 4.48", "Cross-CBAM 4.4",
        f"Table 4 prints {table4[1, 0, 0]} over a baseline of {table4[0, 0, 0]}: {gain:.2f}", abs(gain - 4.48) < 0.01,
    )  # fmt: skip
    table2 = {row[0]: row for row in PRINTED["cross_cbam"]["table2_cityscapes"]["rows"]}
    fastest = table2["Cross-CBAM-L2"][5]
    for other, percent in (("LSPANet", 31.9), ("SegNeXt-T", 71.8), ("SegFormer", 82.8)):
        slower = table2[other][5]
        faster, of_its_own = 100 * (fastest / slower - 1), 100 * (fastest - slower) / fastest
        frames = f"{fastest} against {slower} frames a second"
        yield (
            f"L2 is {percent} % faster than {other}", "Cross-CBAM 4.3",
            f"{frames}: {faster:.1f} %; the difference is {of_its_own:.1f} % of its own", abs(faster - percent) < 0.1,
        )  # fmt: skip
    accuracy, of_segformer = (table2[name][4] for name in ("Cross-CBAM-L2", "SegFormer"))
    yield (
        "L2 is slightly inferior to SegFormer in accuracy", "Cross-CBAM 4.3",
        f"Table 2 prints {accuracy} and {of_segformer} on test", accuracy < of_segformer,
    )  # fmt: skip
    classes = PRINTED["improved_hrnet"]["table6_per_class_1024x2048"]["rows"]
    best = sum(row[5] == max(row[1:]) for row in classes[:-1])
    yield (
        "HRNet_L is the best in 15 of 19 classes", "Improved HRNet abstract",
        f"Table VI has it first in {best} of 19", best == 15,
    )  # fmt: skip
    voc = {row[0]: row[1] for row in PRINTED["improved_hrnet"]["table5_voc"]["rows"]}
    gain = voc["HRNet_S"] - voc["HRNet"]
    yield (
        "HRNet_S gains 1.54 on VOC", "Improved HRNet abstract",
        f"Table V: {voc['HRNet_S']} − {voc['HRNet']} = {gain:.2f}", abs(gain - 1.54) < 0.005,
    )  # fmt: skip
    cityscapes = {row[0]: row[2] for row in PRINTED["improved_hrnet"]["table4_cityscapes"]["rows"]}
    nineteen = [mean_of_present([row[i] for row in classes[:-1]]) for i in (4, 5)]
    yield (
        "HRNet_L gains 3.05 mIoU on Cityscapes", "Improved HRNet abstract",
        f"a mean over 20 classes, background included; over the usual 19: {nineteen[0]:.2f} → {nineteen[1]:.2f}, "
        f"{nineteen[1] - nineteen[0]:+.2f}", abs(cityscapes["HRNet_L"] - cityscapes["HRNet"] - 3.05) < 0.005,
    )  # fmt: skip
    costs = attention_costs(384, (16, 32))
    aam, spatial = (sum(c.counted for c in costs if c.module == name) for name in ("AAM", "spatial attention"))
    yield (
        "AAM costs hardly more than spatial attention (Eqs. 6, 7)", "Improved HRNet III-D",
        f"on the 384-channel map of a 512×1024 image {aam:,} against {spatial:,} operations", bool(aam < 1.5 * spatial),
    )  # fmt: skip


def _module_params(name: str) -> int:
    """Parameters of a module at the paper's widths; of CCBAM, of both."""
    modules: dict[str, list[nn.Module]] = {
        "se_aspp": [SEASPP(1024, 256)],
        "aspp": [ASPP(1024, 256, (1, 12, 24, 36))],
        "ccbam": [CCBAM(256), CCBAM(256)],
    }
    return sum(p.numel() for module in modules[name] for p in module.parameters())


NOT_TESTABLE = (
    (
        "frames a second, all tables",
        "both",
        "a GTX 1080 Ti with TensorRT 8.2; ours are in [deployment](deployment.md), of other machines",
    ),
    (
        "mIoU on Cityscapes test",
        "Cross-CBAM Table 2",
        "asks for a registered account on the official server; `edgeseg predict --cityscapes-ids` writes what it takes",
    ),
    ("mIoU on Cityscapes val", "both", "asks for Cityscapes and a GPU for days; the recipes are there and untried"),
    (
        "ImageNet pre-training",
        "both",
        "no such weights can be fetched where these numbers were made; all rows are from random weights",
    ),
    ("SeaFormer, SCTNet, PP-LiteSeg and others' rows", "both", "are quoted from their papers, at other settings"),
)


# not run --------------------------------------------------------------------------------------------------------------


def counts_table(rows: Sequence[TableRow]) -> str:
    """All printed counts beside ours."""
    cells = []
    for r in rows:
        flops, params = r.paper or ("–", "–")
        agrees = "–" if r.paper is None else "yes" if r.agrees else f"no: {r.note}"
        cells.append(
            (r.table, r.row, flops, f"{r.ours[0]:.4f}", params, f"{r.ours[1]:.6f}", f"{r.inference_params:,}", agrees)
        )
    return markdown(("table", "row", "GFLOPs", "here", "params M", "here", "needed to infer", "agrees"), cells)


def peers_table() -> str:
    """The other networks of the Improved HRNet paper's tables beside the library's, and what differs."""
    head = ("network", "in", "params M", "here", "GFLOPs", "here", "lives here as", "what differs: parameters; GFLOPs")
    rows = []
    for peer in PEERS:
        printed = (peer.params or "–", peer.gflops or (f"{peer.tflops} T" if peer.tflops else "–"))
        if not peer.name:
            rows.append((peer.printed, peer.table, printed[0], "–", printed[1], "–", "–", peer.why_not))
            continue
        gflops, params = _library_counts(peer)
        differs = "; ".join(
            f"{d.what} ({_signed(d.params, ',')}; {_signed(2 * d.operations_at(peer.size) / 1e9, '.3f')})"
            for d in peer.differs
        )
        rows.append(
            (
                peer.printed, peer.table, printed[0], f"{params:.3f}", printed[1], f"{gflops:.3f}",
                f"`{peer.name}`{', `aux`' * peer.aux}", differs or "nothing",
            )
        )  # fmt: skip
    return markdown(head, rows)


def _signed(number: float, form: str) -> str:
    """A difference with its sign; a plain 0 where there is none."""
    return f"{number:+{form}}".replace("-", "−") if number else "0"


@functools.cache
def _library_counts(peer: PrintedPeer) -> tuple[float, float]:
    """GFLOPs and million parameters of the library's network, as the paper counts."""
    return count_peer_as_improved_hrnet_paper(replace(peer, differs=()), peer.size)


def peer_agrees(peer: PrintedPeer) -> bool:
    """Whether the library's network and what differs give what is printed, to the last digit."""
    gflops, params = _library_counts(peer)
    gflops += 2 * sum(d.operations_at(peer.size) for d in peer.differs) / 1e9
    params += sum(d.params for d in peer.differs) / 1e6
    return (f"{gflops:.3f}", f"{params:.3f}") == (peer.gflops, peer.params)


# the page -------------------------------------------------------------------------------------------------------------

_PAPERS = """
Cross-CBAM (Zhang et al., [arXiv:2306.02306](https://arxiv.org/abs/2306.02306)) and the Improved HRNet (Feng and Zhong,
Backbone Feature Enhancement and Decoder Improvement in HRNet for Semantic Segmentation). For the second, its authors'
published code was read, too; what follows from it is said in the docstrings.
"""

_HOW = """
**How the rows of this page were made.** `edgeseg ablate TABLE` trains every row on the same seeds from random weights:
{steps} steps of {batch} crops of {small}, from {scenes:,} rendered street scenes of {size} (recipe `tables_streets`).
It scores the averaged weights on the 200 scenes of `val`, labels at {size}, with the network's input at {small} (the
papers' H×W) and at {large} (2H×2W). HRNets are W18 here, W48 in the paper. Boundary F1 is at 3 pixels; thin classes
are those narrower than a thirtieth of the height; a small object has fewer than 100 pixels and is found if half of it
is right; a large one has 2 % of the image and is whole if nine tenths are; these four are of {large}. ± is one standard
error over seeds. So short a training tells what a module does for a network that has seen little. It does not tell
what the module would do after the papers' trainings.
"""

_CLAIMS = """
Differences are paired by seed. p is Student's, two-sided, multiplied after Holm for all claims about one table; *within
noise* means that 0.05 was not reached, not that there is no difference. A claim of "no worse" asks for less: it holds
where the 95 % interval of the difference, so adjusted, lies above a loss of {margin:g} points, and does not where it
lies below; p is then against a loss of just so much. "Control" was asked here; the paper does not claim it. Table 4's
row "CCBAM" brings the whole decoder with it, the maps at 1/16 and 1/8 included: what of its gain is the module's own
stands among the controls of CCBAM.
"""

_COMPARED = """
The tables of comparison: every network as printed, what it is called here, and our score or the time that one training
would take on one thread ([how that is reckoned](#what-the-papers-own-trainings-would-cost)); one network at two inputs
is one training. "No": not in the libraries kept here, torchvision and segmentation_models_pytorch; others that have it
stand in brackets. Frames a second are of a GTX 1080 Ti; ours are in [deployment](deployment.md).
"""

_CLASSES = """
IoU at 1024×2048 as printed, the best in bold. Eight names are wrong in print, "wall" is missing and "diningtable" was
put in: the order of Cityscapes' classes settles which is which. Ours: `edgeseg eval RUN --data cityscapes20 --split
val --size 1024x2048`, RUN being one of Table IV's; not run.
"""

_HEAT = """
Heat maps in the map before the classifier (Seg-Grad-CAM; the Improved HRNet's Fig. 8), seed 0, on the scene of val that
shows most classes, each on its own scale: `edgeseg ablate {name} --on {on} --heat {folder}`, which draws a row as it
ends.
"""
_FRAMES = """
The rows on frames, as Fig. 8 has them (seed 0; in the folder of the runs): `edgeseg compare --data streets --split test
--data-size 384x512 --index 3 --index 11 --size 384x512 --model baseline/seed0 --model se_aspp/seed0 --model ccbam/seed0
--model se_aspp+ccbam/seed0 --model cross_cbam_m/seed0`.
"""

_COUNTS = """
As each paper counts: Cross-CBAM with mmcv's tool, the Improved HRNet with thop, doubled. `edgeseg models --paper`
prints the same.
"""

_PEERS = """
They train, are scored and compared by the same commands as ours (`pip install "edgeseg[peers]"`, then for example
`edgeseg train tables_streets model=smp_segformer_b0`). What differs was found by counting, and what runs and what the
tool sees in the authors' published code: with it, every printed number comes out to the last digit, the TFLOPs at
1024×2048 too, which tests hold. Of these networks only PSPNet has an auxiliary head in the paper; `aux` is the same
head, torchvision's, which inference leaves out. segmentation_models_pytorch has none of its own.
"""

_COSTS = """
Cross-CBAM's Tables 2 and 3 and the Improved HRNet's IV to VI are not run by the papers' recipes. Multiply-adds are
three passes, one forward and twice as much backward, over all crops; hours are theirs at the pace at which
Cross-CBAM-M was trained for Table 4 on one thread, {pace:.0f}·10⁹ a second.
"""


def prose(text: str, **values: Any) -> str:
    """A paragraph in one line."""
    return " ".join(text.format(**values).split())


def page() -> str:
    """The whole of docs/papers.md."""
    counts, recipe = paper_tables(), get_recipe("tables_streets")
    small, large = (f"{h}×{w}" for h, w in scored_sizes(recipe))
    height, width = recipe.data_size or (0, 0)
    how = {"steps": recipe.iterations, "batch": recipe.batch, "scenes": recipe.data_count or 0}
    cross = [part for name, table in TABLES.items() if not table.changes for part in experiment(name, table)]
    hrnet = [part for name, table in TABLES.items() if table.changes for part in experiment(name, table)]
    parts = [
        "# Both papers, row by row",
        "<!-- made by benchmarks/papers.py: change that, not this -->",
        prose(_PAPERS),
        prose(_HOW, **how, size=f"{height}×{width}", small=small, large=large),
        "## What the papers claim, and what came out",
        prose(_CLAIMS, margin=MARGIN),
        measured_claims(),
        "Decided by counting, or by the papers' own figures:",
        counted_claims(counts),
        "Not testable here:",
        markdown(("what", "where", "why"), NOT_TESTABLE),
        "## Cross-CBAM",
        index(CROSS_CBAM),
        prose(_COMPARED),
        *comparisons("cross_cbam"),
        *cross,
        "## Improved HRNet",
        index(IMPROVED_HRNET),
        "### Improved HRNet, Table II: settings",
        "Printed, and the recipes, which follow the text where it contradicts the table:",
        settings_table(),
        *hrnet,
        *comparisons("improved_hrnet"),
        "### Improved HRNet, Table VI: classes",
        prose(_CLASSES),
        classes_table(),
        "## Counts",
        prose(_COUNTS),
        counts_table(counts),
        "## The other networks of Tables IV and V",
        prose(_PEERS),
        peers_table(),
        "## What the papers' own trainings would cost",
        prose(_COSTS, pace=pace() / 1e9),
        costs(),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page, or hold it against its rows."""
    text = page()
    if "--check" in sys.argv:
        if text != PAGE.read_text(encoding="utf-8"):
            sys.exit(f"{PAGE} is not what its rows make of it: run python benchmarks/papers.py")
        return
    PAGE.write_text(text, encoding="utf-8")
    draw()
    print(PAGE)


if __name__ == "__main__":
    main()
