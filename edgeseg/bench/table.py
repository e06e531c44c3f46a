"""A benchmark as text and as a picture: one line per variant, times and what was computed side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeseg.bench.worker import MEASURES, THROUGHPUT
from edgeseg.plots import BLUE, DARK_GREY, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from edgeseg.text import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUICK = "QUICK LOOK (--quick): too few iterations to be published"
_TITLES = {"net": "net: tensor → logits", "e2e": "e2e: uint8 image → class map"}
_RATES = ("img/s", "× e2e", "(80 %)", "computed as")
_TIMES = ("p90", "p99", "FPS", "×", "(80 %)")
_COLUMNS = ("variant", *(c for m in MEASURES for c in (f"{m} ms", *_TIMES)), "e2e/net")
_QUALITY = ("MB", "(own)", "build s", "mIoU", "differ %", "max err")
_RUNTIME_COLORS = {"eager": GREY, "inductor": PURPLE, "aoti": ORANGE, "onnx": BLUE, "openvino": GREEN,
                   "executorch": SKY, "ncnn": DARK_GREY, "tensorrt": VERMILION}  # fmt: skip
_SHADES = {"fp32": 1.0, "fp16": 0.75, "bf16": 0.75, "int8": 0.5, "fp8": 0.5}


def bench_text(report: Mapping[str, Any]) -> str:
    """The whole report of `edgeseg.bench.timing.bench`, or of its JSON read again, as text."""
    columns = (*_COLUMNS, *(_RATES if _batch(report) else ()), *_QUALITY)
    rows = table(columns, [tuple(_cells(row)) for row in report["variants"]])
    return "\n".join([*_head(report), "", rows, "", *_best(report), "", *_foot(report)])


def _batch(report: Mapping[str, Any]) -> int | None:
    """How many images at once the throughput is of, where it was measured; the first release did not write of it."""
    return report.get("throughput_batch")


def _head(report: Mapping[str, Any]) -> Iterator[str]:
    height, width = report["size"]
    machine, cores = report["environment"], report["environment"]["cpu"]["allowed_cores"]
    gpu = f"{machine['gpu']['name']}, CUDA {machine['gpu']['cuda']}; " if "gpu" in machine else ""
    where = f"{gpu}{_processor(report)} of {cores} cores"
    yield f"{height}x{width}, one image at a time, {report['images']} images in turn; {where}"
    rounds = report["protocol"]["rounds"]
    yield f"{rounds} rounds, variants in turn; × is over {report['reference']}, median of the ratios per round (80 %)"
    if batch := _batch(report):
        yield f"img/s is of {batch} images that are given at once; × e2e: over one image after the other, same variant"
    if report["quick"]:
        yield _QUICK
    yield from (f"warning: {text}" for text in report["warnings"])


def _processor(report: Mapping[str, Any]) -> str:
    threads = report["threads"]
    return f"{report['environment']['cpu']['model']}, {threads} thread" + "s" * (threads != 1)


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    """The texts of all columns for one variant."""
    yield row["name"]
    for told in (row[measure] for measure in MEASURES):
        yield from (f"{told[key]:.2f}" for key in ("median_ms", "p90_ms", "p99_ms"))
        yield f"{told['fps']:.1f}"
        yield f"{told['speedup']['median']:.2f}"
        yield f"({told['speedup']['p10']:.2f}–{told['speedup']['p90']:.2f})"
    yield f"{row['e2e']['median_ms'] / row['net']['median_ms']:.2f}"
    if told := row.get(THROUGHPUT):
        gain = told["gain"]
        yield f"{told['images_per_second']:.1f}"
        yield f"{gain['median']:.2f}"
        yield f"({gain['p10']:.2f}–{gain['p90']:.2f})"
        yield told["how"]
    memory, quality = row["memory"], row["quality"]
    process, before = memory["process_mb"], memory["before_opening_mb"]
    yield _number(process, ".0f")
    yield _number(memory.get("gpu_mb", process - before if process and before else None), ".0f")
    yield f"{row['build_seconds']:.1f}"
    yield _number(None if _random(row) else quality.get("miou"), ".2f")
    differ = quality.get("disagreement")
    yield _number(None if differ is None else 100 * differ, ".3f")
    yield _number(quality.get("max_abs_error"), ".1e")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _best(report: Mapping[str, Any]) -> Iterator[str]:
    """Each network under its own best runtime, of all precisions and of float32 alone."""
    names = {r["name"]: r for r in report["variants"]}
    yield "each network under its own best runtime:"
    width = max(len(n) for n in report["best"])
    for network, found in report["best"].items():
        parts = []
        for key in (k for m in MEASURES for k in (f"{m}_fp32", m) if k in found):
            row = names[found[key]["variant"]]
            told = f"{found[key]['median_ms']:.2f} ms ({row['runtime']} {row['precision']})"
            parts.append(f"{key.replace('_', ' ')} {told}")
        yield f"  {network:<{width}}  {'; '.join(parts)}"


def _foot(report: Mapping[str, Any]) -> Iterator[str]:
    """What the numbers are."""
    variants = report["variants"]
    yield from dict.fromkeys(f"{m} is {' → '.join(v['stages'][m])}" for v in variants for m in MEASURES)
    yield "FPS is 1000 / median of one image after the other, no throughput"
    yield (
        "MB: peak memory of the variant's own process with only its e2e graph open; (own): what the artefact added to "
        "Python and libraries (on a GPU: its memory there)"
    )
    checked = [v["quality"] for v in variants if v["quality"]]
    if checked:
        sources = dict.fromkeys(s for q in checked for s in q["sources"])
        against = ", ".join(dict.fromkeys(q["compared_with"] for q in checked if q["compared_with"])) or "nothing"
        images = max(q["images"] for q in checked)
        yield f"mIoU, differing pixels, largest error: of the same artefact, on {images} images ({', '.join(sources)}),"
        yield f"  compared with {against}"
    for row in variants:
        if row["quality"].get("exceeded") and not _random(row):
            yield f"OUTSIDE ITS TOLERANCE: {row['name']} ({', '.join(row['quality']['exceeded'])})"
    if any(_random(v) for v in variants):
        yield "– under mIoU: random weights"


def _random(row: Mapping[str, Any]) -> bool:
    return str(row["weights_sha256"]).startswith("random")


def bench_picture(report: Mapping[str, Any]) -> Figure:
    """Medians as bars with whiskers to p90, labelled with milliseconds and the speed-up over the reference variant."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    networks = list(dict.fromkeys(r["network"] for r in report["variants"]))
    rows = sorted(report["variants"], key=lambda r: networks.index(r["network"]))
    figure = Figure((7.4 * len(report["measures"]), 0.34 * len(rows) + 2.4), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(report["measures"]), sharey=True)
    for axis, measure in zip(axes, MEASURES, strict=False):
        _draw_bars(axis, rows, measure, report["reference"])
    if batch := _batch(report):
        _draw_rates(axes[-1], rows, batch)
    axes[0].set_yticks(range(len(rows)), [r["name"] for r in rows], fontsize=8)
    axes[0].invert_yaxis()
    runtimes = dict.fromkeys(r["runtime"] for r in rows)
    handles = [Patch(color=_RUNTIME_COLORS.get(r, DARK_GREY), label=r) for r in runtimes]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
    figure.suptitle("\n".join(_heading(report)), fontsize=9.5)
    return figure


def _draw_bars(axis: Axes, rows: Sequence[Mapping[str, Any]], measure: str, reference: str) -> None:
    longest = max(r[measure]["p90_ms"] for r in rows)
    for y, row in enumerate(rows):
        told = row[measure]
        median, p90 = told["median_ms"], told["p90_ms"]
        color = _RUNTIME_COLORS.get(row["runtime"], DARK_GREY)
        axis.barh(y, median, 0.68, color=color, alpha=_SHADES[row["precision"]], zorder=2)
        axis.errorbar(median, y, xerr=[[0], [p90 - median]], color="black", elinewidth=1.1, capsize=3, zorder=3)
        times = "" if row["name"] == reference else f"  ×{told['speedup']['median']:.2f}"
        place = max(median, p90) + 0.012 * longest
        axis.text(place, y, f"{_short(median)} ms{times}", va="center", fontsize=7.5, zorder=4)
        if row["name"] == reference:
            axis.axvline(median, color="black", lw=0.8, ls=":", zorder=1)
        if y and row["network"] != rows[y - 1]["network"]:
            axis.axhline(y - 0.5, color="black", lw=0.6, zorder=1)
    axis.set_xlim(0, 1.28 * longest)
    axis.set_xlabel("ms, median; whisker to p90", fontsize=8)
    _dress(axis, _TITLES[measure])


def _draw_rates(axis: Axes, rows: Sequence[Mapping[str, Any]], batch: int) -> None:
    """Images a second as bars, with the gain over one image after the other and how they were computed."""
    most = max(r[THROUGHPUT]["images_per_second"] for r in rows)
    for y, row in enumerate(rows):
        told = row[THROUGHPUT]
        rate, color = told["images_per_second"], _RUNTIME_COLORS.get(row["runtime"], DARK_GREY)
        axis.barh(y, rate, 0.68, color=color, alpha=_SHADES[row["precision"]], zorder=2)
        text = f"{_short(rate)} /s  ×{told['gain']['median']:.2f}, {told['how']}"
        axis.text(rate + 0.012 * most, y, text, va="center", fontsize=7.5, zorder=4)
        if y and row["network"] != rows[y - 1]["network"]:
            axis.axhline(y - 0.5, color="black", lw=0.6, zorder=1)
    axis.set_xlim(0, 1.6 * most)
    axis.set_xlabel("images a second, median; × over e2e, one image after the other", fontsize=8)
    _dress(axis, f"throughput: {batch} images at once → their class maps")


def _dress(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=9.5, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.grid(axis="x", alpha=0.25, zorder=0)


def _heading(report: Mapping[str, Any]) -> Iterator[str]:
    height, width = report["size"]
    where = report["environment"].get("gpu", {}).get("name") or _processor(report)
    yield f"{height}×{width}, one image at a time, {where}; × over {report['reference']}"
    if report["quick"]:
        yield _QUICK
    if report["warnings"]:
        yield "the machine was not quiet: see the report's warnings"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
