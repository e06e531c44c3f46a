"""Benchmarks as pictures: bars of times, and the roofline. Dark ink on an opaque white ground, for any page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeseg.bench.roofline import ModuleTime, Roofline, group_by_kind
from edgeseg.bench.table import threads_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, apart for colour-blind readers
_RUNTIMES = {
    "eager": "#7a8288",
    "inductor": "#CC79A7",
    "aoti": "#E69F00",
    "onnx": "#0072B2",
    "openvino": "#009E73",
    "executorch": "#56B4E9",
    "tensorrt": "#D55E00",
}
_SHADES = {"fp32": 1.0, "fp16": 0.75, "bf16": 0.75, "int8": 0.5, "fp8": 0.5}
_KINDS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_TITLES = {"net": "net: tensor → logits", "e2e": "e2e: uint8 image → class map"}
_INK, _GRID = "#20262c", "#c9d0d6"


def bench_picture(report: Mapping[str, Any]) -> Figure:
    """Medians as bars with whiskers to p90, labelled with milliseconds and the speed-up over the reference variant.

    Args:
        report: of `edgeseg.bench.timing.bench`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows, measures = _sorted_rows(report["variants"]), report["measures"]
    figure = Figure((6.2 * len(measures) + 2.4, 0.34 * len(rows) + 2.4), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    for axis, measure in zip(axes, measures, strict=True):
        _bars(axis, rows, measure, report["reference"])
    axes[0].set_yticks(range(len(rows)), [r["name"] for r in rows], fontsize=8)
    axes[0].invert_yaxis()
    runtimes = list(dict.fromkeys(r["runtime"] for r in rows))
    handles = [Patch(color=_RUNTIMES.get(r, "#333333"), label=r) for r in runtimes]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=8, frameon=False, title_fontsize=8)
    figure.suptitle("\n".join(_heading(report)), fontsize=9.5, color=_INK)
    return figure


def roofline_picture(r: Roofline) -> Figure:
    """The roofline with a network's modules as dots, and beside it the time of each kind against its prediction.

    A dot's area is its time. Modules without arithmetic have no place on the left: they are on the right only.
    """
    from matplotlib.figure import Figure

    figure = Figure((12.5, 5.2), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _roofs(left, r)
    _dots(left, r.modules)
    _kinds(right, r.modules)
    share = 100 * r.arithmetic_ms / r.whole_ms
    figure.suptitle(
        f"{r.network}, {r.precision}, {r.size[0]}×{r.size[1]}, eager: {r.whole_ms:.0f} ms; "
        f"{share:.0f} % of the measured arithmetic peak",
        fontsize=11,
        color=_INK,
    )
    return figure


# Bars -----------------------------------------------------------------------------------------------------------------


def _sorted_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """By network as they were given."""
    networks = list(dict.fromkeys(r["network"] for r in rows))
    return sorted(rows, key=lambda r: networks.index(r["network"]))


def _bars(axis: Axes, rows: Sequence[Mapping[str, Any]], measure: str, reference: str) -> None:
    longest = max(r[measure]["p90_ms"] for r in rows)
    for y, row in enumerate(rows):
        told = row[measure]
        median, p90 = told["median_ms"], told["p90_ms"]
        color = _RUNTIMES.get(row["runtime"], "#333333")
        axis.barh(y, median, height=0.68, color=color, alpha=_SHADES[row["precision"]], zorder=2)
        axis.plot([median, p90], [y, y], color=_INK, lw=1.1, zorder=3)
        axis.plot([p90, p90], [y - 0.18, y + 0.18], color=_INK, lw=1.1, zorder=3)
        times = "" if row["name"] == reference else f"  ×{told['speedup']['median']:.2f}"
        label = f"{_milliseconds(median)} ms{times}"
        axis.text(max(median, p90) + 0.012 * longest, y, label, va="center", fontsize=7.5, color=_INK, zorder=4)
        if y and row["network"] != rows[y - 1]["network"]:
            axis.axhline(y - 0.5, color=_INK, lw=0.6, zorder=1)
    base = next(r for r in rows if r["name"] == reference)[measure]["median_ms"]
    axis.axvline(base, color=_INK, lw=0.8, ls=":", zorder=1)
    axis.set_xlim(0, 1.28 * longest)
    axis.set_xlabel("ms, median; whisker to p90", fontsize=8)
    axis.set_title(_TITLES[measure], fontsize=9.5, loc="left", color=_INK)
    _plain(axis)
    axis.grid(axis="x", color=_GRID, lw=0.6, zorder=0)


def _heading(report: Mapping[str, Any]) -> list[str]:
    height, width = report["size"]
    machine = report["environment"]
    where = machine.get("gpu", {}).get("name") or f"{machine['cpu']['model']}, {threads_text(report['threads'])}"
    lines = [f"{height}×{width}, one image at a time, {where}; × over {report['reference']}"]
    if report["quick"]:
        lines.append("QUICK LOOK: too few iterations to be published")
    if report["warnings"]:
        lines.append("the machine was not quiet: see the report's warnings")
    return lines


# Roofline -------------------------------------------------------------------------------------------------------------


def _roofs(axis: Axes, r: Roofline) -> None:
    peaks = r.peaks
    intensities = [2 * m.macs / m.bytes_moved for m in r.modules if m.macs]
    low, high = 0.5 * min(intensities), 12 * max([*intensities, max(peaks.gflops.values()) / peaks.gigabytes])
    for i, (precision, flops) in enumerate(sorted(peaks.gflops.items(), key=lambda item: item[1])):
        knee = flops / peaks.gigabytes
        mine = precision == r.precision
        axis.plot([low, knee, high], [low * peaks.gigabytes, flops, flops], color=_INK if mine else "#8a949c",
                  lw=1.8 if mine else 1.1, ls="-" if mine else "--", zorder=1)  # fmt: skip
        # labels of two roofs close together stand one left and one right of the other
        axis.text(high * 0.97 if i % 2 == 0 else knee * 1.15, flops * 1.06, f"{precision} {flops:,.0f} GFLOP/s",
                  ha="right" if i % 2 == 0 else "left", fontsize=8, color=_INK)  # fmt: skip
    middle = math.sqrt(low * min(peaks.gflops.values()) / peaks.gigabytes)
    axis.text(middle, middle * peaks.gigabytes * 1.25, f"memory {peaks.gigabytes:.0f} GB/s", fontsize=8, color=_INK,
              ha="right")  # fmt: skip
    axis.set_xlim(low, high)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("FLOP per byte (bytes unfused: an upper bound)", fontsize=9)
    axis.set_ylabel("GFLOP/s reached", fontsize=9)
    _plain(axis)
    axis.grid(which="major", color=_GRID, lw=0.6)


def _dots(axis: Axes, modules: Sequence[ModuleTime]) -> None:
    from matplotlib.patches import Patch

    busy = [m for m in modules if m.macs and m.ms]
    longest = max(m.ms for m in busy)
    kinds = [k for k, _ in group_by_kind(busy)]
    for kind, color in zip(kinds, _colors(kinds), strict=True):
        mine = [m for m in busy if m.kind == kind]
        axis.scatter(
            [2 * m.macs / m.bytes_moved for m in mine],
            [2e-6 * m.macs / m.ms for m in mine],
            s=[8 + 260 * m.ms / longest for m in mine],
            color=color, alpha=0.65, edgecolor="white", linewidth=0.5, zorder=3,
        )  # fmt: skip
    slowest = sorted(busy, key=lambda m: -m.ms)[:6]
    for number, m in enumerate(slowest, 1):  # dots may coincide, so the names stand apart
        place = (2 * m.macs / m.bytes_moved, 2e-6 * m.macs / m.ms)
        away = (5 + 8 * ((number - 1) % 3), 6)
        axis.annotate(str(number), place, away, textcoords="offset points", fontsize=7, color=_INK, zorder=4)
    names = "\n".join(f"{number}  {m.name}  {m.ms:.1f} ms" for number, m in enumerate(slowest, 1))
    axis.text(0.33, 0.03, names, transform=axis.transAxes, va="bottom", fontsize=7.5, color=_INK, linespacing=1.35)
    axis.legend(
        handles=[Patch(color=color, label=kind, alpha=0.65) for kind, color in zip(kinds, _colors(kinds), strict=True)],
        fontsize=8, frameon=False, loc="lower right", title="area: time", title_fontsize=8,
    )  # fmt: skip


def _kinds(axis: Axes, modules: Sequence[ModuleTime]) -> None:
    groups = group_by_kind(modules)[:10]
    for y, (_, group) in enumerate(groups):
        ms, roof = sum(m.ms for m in group), sum(m.predicted_ms for m in group)
        axis.barh(y - 0.19, ms, 0.36, color="#0072B2", zorder=2, label="measured" if y == 0 else None)
        axis.barh(y + 0.19, roof, 0.36, color="#E69F00", zorder=2, label="roofline" if y == 0 else None)
        axis.text(max(ms, roof), y, f"  ×{ms / roof:.1f}", va="center", fontsize=7.5, color=_INK)
    axis.set_yticks(range(len(groups)), [f"{kind} ({len(group)})" for kind, group in groups], fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_xlabel("ms, all modules of a kind", fontsize=9)
    axis.legend(fontsize=8, frameon=False, loc="lower right")
    _plain(axis)
    axis.grid(axis="x", color=_GRID, lw=0.6, zorder=0)


def _colors(names: Sequence[str]) -> list[str]:
    return [_KINDS[i % len(_KINDS)] for i in range(len(names))]


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _plain(axis: Axes) -> None:
    axis.set_facecolor("white")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, colors=_INK)
    axis.set_axisbelow(True)
