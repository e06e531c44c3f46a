"""The papers' ablation tables as data: which networks, what the papers print for them, and what they say of them.

`edgeseg ablate TABLE` trains a table's rows on paired seeds; `findings` holds each claim against what came out. The
attention selection is a figure in its paper and a table here; the two tables of controls are ours: what a reader would
want to see beside CCBAM and SE-ASPP and the paper does not show.

A variant that stands in several tables has one name, so that its runs are shared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from edgeseg.models.registry import create_model
from edgeseg.models.weights import is_aux_key
from edgeseg.plots import BLUE, DARK_GREY, GREY, ORANGE
from edgeseg.text import table as text_table
from edgeseg.text import unknown
from edgeseg.training.ablate import MEASURES, Row, Size, Variant, paired, size_key
from edgeseg.training.recipe import Recipe, RecipeError, override

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SURE = 0.05
"""A finding counts where chance alone would show as much in fewer than one of twenty tables."""
LEAST = 3
"""Paired seeds that a verdict takes: of two, Student's t has one degree of freedom, and nearly everything is noise."""

MARGIN = 0.5
"""Points of mIoU that "no worse" may lose: about the standard deviation between seeds of one network in these tables
(0.54 for M on streets), and a third of what Table 4 gives SE-ASPP beside CCBAM (74.02 − 72.63), so that whatever passes
keeps most of a module's gain."""


@dataclass(frozen=True)
class Entry:
    """One row of a table.

    Args:
        variant: the network, as a change of the table's recipe.
        label: what the table calls it.
        printed: mIoU in percent as the paper prints it, at H×W and, where it gives that, at 2H×2W.
    """

    variant: Variant
    label: str
    printed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One sentence about two rows, as a difference that can be measured.

    Args:
        text: the sentence.
        where: the section of the paper, or ``"control"``: asked here, not claimed there.
        row, against: names of variants; the claim is about ``row − against``.
        measure: a key of `MEASURES`.
        large: at 2H×2W instead of H×W.
        sign: 1 where the paper has the first above the second, −1 where below.
        margin: points that the first may lose for "no worse", see `MARGIN`; 0 where it is said to be better.
    """

    text: str
    where: str
    row: str
    against: str
    measure: str = "miou"
    large: bool = False
    sign: int = 1
    margin: float = 0.0


@dataclass(frozen=True)
class PaperTable:
    """An experiment of one of the papers.

    Args:
        title: what it asks.
        source: paper, table or figure.
        changes: what all rows change in the recipe, e.g. the network.
        entries: the rows; differences in pictures are to the first.
        claims: what is held against the rows.
    """

    title: str
    source: str
    changes: tuple[str, ...]
    entries: tuple[Entry, ...]
    claims: tuple[Claim, ...]

    @property
    def variants(self) -> list[Variant]:
        """The rows' variants, in the table's order."""
        return [entry.variant for entry in self.entries]

    def chosen(self, names: Sequence[str]) -> list[Variant]:
        """The variants of some rows, by name.

        Raises:
            RecipeError: no such row; lists those that exist.
        """
        own = {variant.name: variant for variant in self.variants}
        for name in names:
            if name not in own:
                raise RecipeError(unknown("row", name, own))
        return [own[name] for name in dict.fromkeys(names)]

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """Those of a record that are of this table's variants."""
        names = {variant.name for variant in self.variants}
        return [row for row in rows if row["variant"] in names]


@dataclass(frozen=True)
class Finding:
    """What came out of a claim. Differences in points of its measure.

    Args:
        difference: mean over the paired seeds, NaN without any.
        error: its standard error, ``None`` with fewer than two seeds.
        seeds: how many pairs.
        p: probability of such a difference, either way, by chance alone (Student's t of the paired differences),
            multiplied after Holm (1979) for the number of claims in the table. ``None`` with fewer than `LEAST` seeds.
            For a claim with a margin, chance is a true loss of just that margin: p is below 0.05 where the two-sided
            95 % confidence interval leaves the margin out, which for "no worse" is a one-sided test at 2.5 % (ICH E9).
    """

    claim: Claim
    difference: float
    error: float | None
    seeds: int
    p: float | None = None

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold`` (the opposite is seen), ``within noise``, ``too few seeds`` or ``not run``.

        The opposite of "no worse" is a loss of more than the margin.
        """
        if self.p is None:
            return "too few seeds" if self.seeds else "not run"
        if self.p >= SURE:
            return "within noise"
        return "holds" if self.difference * self.claim.sign > -self.claim.margin else "does not hold"


def table_recipe(table: PaperTable, base: Recipe, changes: Sequence[str] = ()) -> Recipe:
    """What the rows of a table change: a recipe with the table's own network, and then the caller's changes.

    Raises:
        RecipeError: a change that is none, or another network than a row names.
    """
    named = [v.name for v in table.variants if any(c.startswith("model=") for c in v.changes)]
    if named and any(c.startswith("model=") for c in changes):
        raise RecipeError(f"{named[0]} is a network of its own in this table; leave model out")
    return override(override(base, table.changes), changes)


def scored_sizes(recipe: Recipe) -> tuple[Size, Size]:
    """H×W and 2H×2W, at which every row is scored: the network's input at the crop's size, and at twice that."""
    height, width = recipe.crop
    return (height, width), (2 * height, 2 * width)


# findings -------------------------------------------------------------------------------------------------------------


def findings(table: PaperTable, rows: Sequence[Row], sizes: tuple[Size, Size]) -> list[Finding]:
    """Every claim of a table beside what came out.

    Args:
        rows: of `run_variants`, in any order; those of other tables do not matter.
        sizes: see `scored_sizes`.

    Raises:
        ImportError: SciPy, which knows Student's t, is missing.
    """
    found = [_found(claim, rows, sizes[claim.large]) for claim in table.claims]
    sure = sorted((f for f in found if f.p is not None), key=lambda f: f.p or 0)
    raised, highest = {}, 0.0
    for place, finding in enumerate(sure):
        highest = max(highest, min(1.0, (finding.p or 0) * (len(sure) - place)))
        raised[id(finding)] = highest
    return [replace(f, p=raised[id(f)]) if f.p is not None else f for f in found]


def _found(claim: Claim, rows: Sequence[Row], size: Size) -> Finding:
    own, other = (seed_scores(rows, name, claim.measure, size) for name in (claim.row, claim.against))
    difference, error, each = paired(own, other)
    beyond = difference + claim.sign * claim.margin
    p = None if error is None or len(each) < LEAST else _chance(beyond, error, len(each))
    return Finding(claim, difference, error, len(each), p)


def _chance(difference: float, error: float, seeds: int) -> float:
    """Two-sided p of a mean difference by Student's t."""
    try:
        from scipy.stats import t
    except ImportError as missing:
        raise ImportError('the tables need SciPy, which is missing: pip install "edgeseg[ablate]"') from missing
    if not error:
        return 0.0 if difference else 1.0
    return float(2 * t.sf(abs(difference) / error, seeds - 1))


def seed_scores(rows: Sequence[Row], variant: str, measure: str, size: Size) -> dict[int, float]:
    """Seed → score in percent of one variant; seeds without a score are left out."""
    own = {row["seed"]: row["at"][size_key(size)][measure] for row in rows if row["variant"] == variant}
    return {seed: score for seed, score in own.items() if score is not None}


def mean_and_error(scores: Mapping[int, float]) -> tuple[float, float | None]:
    """Mean over seeds and its standard error; NaN of none, ``None`` of fewer than two."""
    mean, error, _ = paired(scores, dict.fromkeys(scores, 0.0))
    return mean, error


# as text --------------------------------------------------------------------------------------------------------------


def table_cells(
    table: PaperTable, rows: Sequence[Row], recipe: Recipe, classes: int
) -> tuple[list[str], list[list[str]]]:
    """Head and cells of a table with what came out: parameters, printed mIoU, and every measure.

    Args:
        table, rows: see `findings`.
        recipe: see `table_recipe`.
        classes: how many the data have; parameters depend on it.
    """
    sizes = scored_sizes(recipe)
    small, large = (f"{height}×{width}" for height, width in sizes)
    measures = [("miou", sizes[0]), *((measure, sizes[1]) for measure in MEASURES)]
    head = ["row", "params M", "printed", "seeds", f"mIoU {small}", f"mIoU {large}", *list(MEASURES.values())[1:]]
    cells = []
    for entry in table.entries:
        scores = [seed_scores(rows, entry.variant.name, measure, size) for measure, size in measures]
        printed = " / ".join(f"{p:.2f}" for p in entry.printed) or "–"
        shown = [_with_error(*mean_and_error(s)) for s in scores]
        parameters = f"{network_parameters(entry.variant, recipe, classes) / 1e6:.3f}"
        cells.append([entry.label, parameters, printed, str(len(scores[0])), *shown])
    return head, cells


def finding_cells(found: Sequence[Finding], sizes: tuple[Size, Size]) -> tuple[list[str], list[list[str]]]:
    """Head and cells of the claims of a table."""
    cells = []
    for f in found:
        height, width = sizes[f.claim.large]
        asked = f"{_asked(f.claim)} {MEASURES[f.claim.measure]} at {height}×{width}"
        p = "–" if f.p is None else f"{f.p:.3f}"
        difference = "–" if math.isnan(f.difference) else _with_error(f.difference, f.error, "+")
        cells.append([f.claim.text, f.claim.where, asked, difference, str(f.seeds), p, f.verdict])
    return ["claim", "where", "asks for", "difference", "seeds", "p", "verdict"], cells


def _asked(claim: Claim) -> str:
    """The sign of the difference that a claim asks for, or what it may lose."""
    if claim.margin:
        return f"≥ −{claim.margin:g}" if claim.sign > 0 else f"≤ +{claim.margin:g}"
    return "+" if claim.sign > 0 else "−"


def table_text(table: PaperTable, rows: Sequence[Row], recipe: Recipe, classes: int) -> str:
    """The whole of a table for a terminal: rows, then claims. Arguments as in `table_cells`."""
    sizes = scored_sizes(recipe)
    head, cells = table_cells(table, rows, recipe, classes)
    claims = text_table(*finding_cells(findings(table, rows, sizes), sizes), "<<<>>><")
    return f"{text_table(head, cells)}\n\n{claims}"


def network_parameters(variant: Variant, recipe: Recipe, classes: int) -> int:
    """Parameters that inference with a variant's network needs."""
    own = variant.recipe(recipe, 0)
    with torch.device("meta"):
        model = create_model(own.model, classes, **own.switches)
    return sum(p.numel() for name, p in model.named_parameters() if not is_aux_key(name))


def _with_error(mean: float, error: float | None, sign: str = "") -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:{sign}.2f}".replace("-", "−") + ("" if error is None else f" ± {error:.2f}")


# as a picture ---------------------------------------------------------------------------------------------------------


def table_picture(
    table: PaperTable, rows: Sequence[Row], sizes: tuple[Size, Size], measure: str = "miou", note: str = ""
) -> Figure:
    """A table at its two sizes: every row's difference to the first, paired seed by seed.

    Grey dots are seeds, the diamond their mean, the bar one standard error; an orange ring is what the paper prints.

    Args:
        table, rows, sizes: see `findings`.
        measure: a key of `MEASURES`; rings are drawn for ``"miou"`` only.
        note: what the runs were, under the picture.
    """
    from matplotlib.figure import Figure

    others = table.entries[1:]
    figure = Figure((9.6, 1.9 + 0.36 * len(others)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, size, column in zip(axes, sizes, (0, 1), strict=True):
        _draw_size(axis, table, rows, size, measure, column)
        axis.set_title(f"network input {size[0]}×{size[1]}", fontsize=10)
        axis.set_xlabel(f"points of {MEASURES[measure]} against {table.entries[0].label}", fontsize=9)
    axes[0].set_yticks(range(len(others)), [entry.label for entry in others], fontsize=9)
    axes[0].set_ylim(len(others) - 0.5, -0.5)
    figure.suptitle(f"{table.source}: {table.title}", fontsize=11)
    if note:
        figure.supxlabel(note, fontsize=8, color=DARK_GREY)
    return figure


def _draw_size(axis: Axes, table: PaperTable, rows: Sequence[Row], size: Size, measure: str, column: int) -> None:
    first = table.entries[0]
    base = seed_scores(rows, first.variant.name, measure, size)
    axis.axvline(0, color=DARK_GREY, lw=1)
    for place, entry in enumerate(table.entries[1:]):
        mean, error, each = paired(seed_scores(rows, entry.variant.name, measure, size), base)
        axis.plot(each, [place] * len(each), "o", color=GREY, ms=4)
        if each:
            axis.errorbar(mean, place, xerr=error, fmt="D", color=BLUE, ms=6, capsize=4, lw=1.5)
        if measure == "miou" and column < min(len(entry.printed), len(first.printed)):
            printed = entry.printed[column] - first.printed[column]
            axis.plot(printed, place, "o", mfc="none", mec=ORANGE, ms=9, mew=1.5)
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


# the tables -----------------------------------------------------------------------------------------------------------


def _entry(name: str, label: str, *printed: float, model: str = "", **switches: object) -> Entry:
    changes = (*([f"model={model}"] if model else []), *([f"switches={switches!r}"] if switches else []))
    return Entry(Variant(name, changes), label, printed)


_M = _entry("cross_cbam_m", "SE-ASPP + CCBAM + auxiliary loss (M)", 74.19)
_M_PLAIN = replace(_M, label="CCBAM, as in the paper", printed=())
_BASELINE = _entry("baseline", "STDC1 + FCN head", 52.26, model="stdc1_fcn", aux=False)

_CROSS_CBAM_4 = PaperTable(
    "what SE-ASPP, CCBAM and the auxiliary loss add",
    "Cross-CBAM, Table 4",
    (),
    (
        _BASELINE,
        _entry("se_aspp", "SE-ASPP", 68.74, fusion="none", aux=False),
        _entry("ccbam", "CCBAM", 72.63, context="conv", aux=False),
        _entry("se_aspp+ccbam", "SE-ASPP + CCBAM", 74.02, aux=False),
        _M,
    ),
    (
        Claim("SE-ASPP is better than the FCN head", "4.4", "se_aspp", "baseline"),
        Claim("CCBAM is better than the FCN head", "4.4", "ccbam", "baseline"),
        Claim("SE-ASPP adds to CCBAM", "4.4", "se_aspp+ccbam", "ccbam"),
        Claim("CCBAM adds to SE-ASPP", "4.4", "se_aspp+ccbam", "se_aspp"),
        Claim("the auxiliary loss adds a little", "4.4", "cross_cbam_m", "se_aspp+ccbam"),
        Claim("with CCBAM, more detail", "4.4", "se_aspp+ccbam", "se_aspp", "boundary_f1", True),
        Claim("with SE-ASPP, more detail", "4.4", "se_aspp+ccbam", "ccbam", "boundary_f1", True),
    ),
)

_CCBAM_CONTROLS = PaperTable(
    "what stands in CCBAM's place",
    "Controls of CCBAM",
    (),
    (
        _M_PLAIN,
        _entry("fusion_add", "addition (no parameters)", fusion="add"),
        _entry("fusion_concat", "concatenation + 1×1", fusion="concat"),
        _entry("fusion_high_guides", "high gates low only", fusion="high_guides"),
        _entry("fusion_low_guides", "low gates high only", fusion="low_guides"),
        _entry("fusion_uncrossed", "each gates itself (equal parameters)", fusion="uncrossed"),
        _entry("ccbam_kernel_7", "spatial kernel 7×7, as CBAM", spatial_kernel=7),
        _entry("ccbam_reduction_8", "reduction 8", reduction=8),
        _entry("ccbam_reduction_4", "reduction 4", reduction=4),
        _entry("ccbam_relu", "ReLU before the sigmoids", relu_before_sigmoid=True),
    ),
    (
        Claim("CCBAM is better than addition", "3.2", "cross_cbam_m", "fusion_add"),
        Claim("CCBAM is better than concatenation", "3.2", "cross_cbam_m", "fusion_concat"),
        Claim("crossing is better than not crossing", "3.2", "cross_cbam_m", "fusion_uncrossed"),
        Claim("high guiding low is worth it", "1", "fusion_high_guides", "fusion_add"),
        Claim("both directions are better than one", "control", "cross_cbam_m", "fusion_high_guides"),
        Claim("a 7×7 kernel is not needed", "control", "cross_cbam_m", "ccbam_kernel_7", margin=MARGIN),
        Claim("reduction 16 is no worse than 4", "control", "cross_cbam_m", "ccbam_reduction_4", margin=MARGIN),
    ),
)

_CONTEXT_CONTROLS = PaperTable(
    "what stands in SE-ASPP's place",
    "Controls of SE-ASPP",
    (),
    (
        replace(_M, label="SE-ASPP (1, 3), as in the paper", printed=()),
        _entry("context_conv", "a 1×1 convolution", context="conv"),
        _entry("context_plain", "two 3×3 (equal parameters)", context="plain"),
        _entry("context_aspp_1_3", "ASPP (1, 3)", context="aspp"),
        _entry("context_aspp", "ASPP (1, 12, 24, 36)", context="aspp", dilations=(1, 12, 24, 36)),
    ),
    (
        Claim("SE-ASPP is better than nothing", "4.4", "cross_cbam_m", "context_conv"),
        Claim("SE-ASPP is better than plain layers", "control", "cross_cbam_m", "context_plain"),
        Claim("adding and SE keep ASPP's accuracy", "3.3", "cross_cbam_m", "context_aspp_1_3", margin=MARGIN),
        Claim("wide rates are not needed", "3.3", "cross_cbam_m", "context_aspp", margin=MARGIN),
    ),
)

_CROSS_CBAM_5 = PaperTable(
    "SE-ASPP's dilations",
    "Cross-CBAM, Table 5",
    (),
    (
        replace(_M, label="(1, 3)"),
        _entry("dilations_2_4", "(2, 4)", 74.20, dilations=(2, 4)),
        _entry("dilations_3_5", "(3, 5)", 75.30, dilations=(3, 5)),
        _entry("dilations_1_3_5", "(1, 3, 5)", 74.61, dilations=(1, 3, 5)),
        _entry("dilations_2_4_6", "(2, 4, 6)", 74.15, dilations=(2, 4, 6)),
    ),
    (
        Claim("(3, 5) is the most accurate", "4.4", "dilations_3_5", "cross_cbam_m"),
        Claim("(3, 5) is better than (2, 4, 6)", "4.4", "dilations_3_5", "dilations_2_4_6"),
        Claim("(1, 3, 5) is better than (1, 3)", "4.4", "dilations_1_3_5", "cross_cbam_m"),
    ),
)

_CROSS_CBAM_6 = PaperTable(
    "SE-ASPP's channels",
    "Cross-CBAM, Table 6",
    (),
    (
        replace(_M, label="256"),
        _entry("channels_512", "512", 73.86, aspp_channels=512),
        _entry("channels_128", "128", 72.21, aspp_channels=128),
    ),
    (
        Claim("256 channels are better than 128", "4.4", "cross_cbam_m", "channels_128"),
        Claim("256 channels are better than 512", "4.4", "cross_cbam_m", "channels_512"),
    ),
)

_ECA = {"attention": "eca", "attention_at": "concat"}
_HRNET = ("model=hrnet_w18",)
_PLAIN_HRNET = _entry("hrnet", "HRNet", 72.34, 71.79)
_AAM = _entry("hrnet_aam", "+ AAM", 73.11, 74.62, attention="aam")

_HRNET_3 = PaperTable(
    "what BFEM, FUSM, CCSF, ECA and AAM add",
    "Improved HRNet, Table III",
    _HRNET,
    (
        _PLAIN_HRNET,
        _entry("hrnet_bfem", "+ BFEM", 72.46, 72.67, bfem=True),
        _entry("hrnet_eca", "+ ECA", 73.28, 73.35, **_ECA),
        _AAM,
        _entry("hrnet_fusm", "+ FUSM", 73.25, 72.23, fusm=True),
        _entry("hrnet_fusm_ccsf", "+ FUSM + CCSF", 73.47, 73.29, fusm=True, ccsf=True),
        _entry("hrnet_fusm_ccsf_eca", "+ FUSM + CCSF + ECA", 73.70, 74.37, fusm=True, ccsf=True, **_ECA),
        _entry("hrnet_s", "HRNet_S", 73.75, 73.93, bfem=True, fusm=True, ccsf=True, **_ECA),
        _entry("hrnet_l", "HRNet_L", 73.37, 74.84, fusm=True, attention="aam"),
        _entry("hrnet_m", "HRNet_M", 73.75, 74.49, fusm=True, ccsf=True, attention="aam"),
    ),
    (
        Claim("FUSM adds 0.91 at the lower size", "IV-C-2", "hrnet_fusm", "hrnet"),
        Claim("CCSF adds to FUSM at the lower size", "IV-C-2", "hrnet_fusm_ccsf", "hrnet_fusm"),
        Claim("ECA adds to both at the lower size", "IV-C-2", "hrnet_fusm_ccsf_eca", "hrnet_fusm_ccsf"),
        Claim("BFEM adds to all three at the lower size", "IV-C-2", "hrnet_s", "hrnet_fusm_ccsf_eca"),
        Claim("AAM adds 2.83 at the higher size", "IV-C-2", "hrnet_aam", "hrnet", large=True),
        Claim("FUSM adds to AAM at the higher size", "IV-C-2", "hrnet_l", "hrnet_aam", large=True),
        Claim("CCSF takes from it at the higher size", "IV-C-2", "hrnet_m", "hrnet_l", large=True, sign=-1),
        Claim("HRNet_S is the better at the lower size", "abstract", "hrnet_s", "hrnet_l"),
        Claim("HRNet_L is the better at the higher size", "abstract", "hrnet_l", "hrnet_s", large=True),
        Claim("FUSM restores detail", "III-C", "hrnet_fusm", "hrnet", "boundary_f1", True),
        Claim("BFEM keeps large objects whole", "III-B", "hrnet_bfem", "hrnet", "large_whole", True),
        Claim("BFEM loses fewer small objects", "I", "hrnet_bfem", "hrnet", "small_found", True),
        Claim("HRNet_L segments elongated objects better", "IV-C-3", "hrnet_l", "hrnet", "thin_iou", True),
    ),
)

_ATTENTION = PaperTable(
    "attention at five places",
    "Improved HRNet, Fig. 6",
    _HRNET,
    (
        replace(_PLAIN_HRNET, label="none"),
        _entry("attention_sp", "SP", attention="sp"),
        _entry("attention_cbam", "CBAM", attention="cbam"),
        replace(_AAM, label="AAM"),
        _entry("attention_se", "SE", attention="se"),
        _entry("attention_eca", "ECA", 73.46, attention="eca"),
    ),
    (
        Claim("ECA adds 1.12 at the lower size", "IV-C-1", "attention_eca", "hrnet"),
        Claim("AAM adds at the higher size", "IV-C-1", "hrnet_aam", "hrnet", large=True),
        Claim("CBAM adds at the lower size", "IV-C-1", "attention_cbam", "hrnet"),
        Claim("channels win at the lower size", "IV-C-1", "attention_eca", "hrnet_aam"),
        Claim("places win at the higher size", "IV-C-1", "hrnet_aam", "attention_eca", large=True),
    ),
)

TABLES: Mapping[str, PaperTable] = {
    "cross_cbam_4": _CROSS_CBAM_4,
    "cross_cbam_5": _CROSS_CBAM_5,
    "cross_cbam_6": _CROSS_CBAM_6,
    "ccbam_controls": _CCBAM_CONTROLS,
    "se_aspp_controls": _CONTEXT_CONTROLS,
    "hrnet_3": _HRNET_3,
    "hrnet_attention": _ATTENTION,
}
