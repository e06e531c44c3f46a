"""A benchmark as text: one line per variant, times and what was computed side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_QUICK = "QUICK LOOK (--quick): too few iterations to be published"


def bench_text(report: Mapping[str, Any]) -> str:
    """The whole report of `edgeseg.bench.timing.bench` as text.

    Args:
        report: what `bench` returned, or its JSON read again.
    """
    return "\n".join([*_head(report), "", *_rows(report), "", *_best(report), "", *_foot(report)])


def threads_text(threads: int) -> str:
    """``"1 thread"``, ``"2 threads"``."""
    return f"{threads} thread" + "s" * (threads != 1)


def _head(report: Mapping[str, Any]) -> Iterator[str]:
    machine = report["environment"]
    height, width = report["size"]
    where = f"{machine['cpu']['model']}, {threads_text(report['threads'])} of {machine['cpu']['allowed_cores']} cores"
    if "gpu" in machine:
        where = f"{machine['gpu']['name']}, CUDA {machine['gpu']['cuda']}; {where}"
    yield f"{height}x{width}, one image at a time, {report['images']} images in turn; {where}"
    rounds = report["protocol"]["rounds"]
    yield f"{rounds} rounds, variants in turn; × is over {report['reference']}, median of the ratios per round (80 %)"
    if report["quick"]:
        yield _QUICK
    yield from (f"warning: {text}" for text in report["warnings"])


def _rows(report: Mapping[str, Any]) -> Iterator[str]:
    measures = report["measures"]
    width = max(len("variant"), *(len(r["name"]) for r in report["variants"]))
    columns = f"{'ms':>9}{'p90':>9}{'p99':>9}{'FPS':>8}{'×':>7} {'(80 %)':<13}"
    yield " " * width + "".join(f"  {_title(m):<55}" for m in measures)
    ends = f"{'e2e/net':>9}" if len(measures) == 2 else ""
    facts = f"{'MB':>6}{'(own)':>7}{'build s':>9}  {'mIoU':>6}{'differ %':>10}{'max err':>10}"
    yield f"{'variant':<{width}}" + "".join(f"  {columns}" for _ in measures) + ends + facts
    for row in report["variants"]:
        yield (
            f"{row['name']:<{width}}" + "".join(f"  {_times(row[m])}" for m in measures) + _overhead(row) + _facts(row)
        )


def _title(measure: str) -> str:
    return {"net": "net (tensor → logits)", "e2e": "e2e (uint8 image → class map)"}[measure]


def _times(told: Mapping[str, Any]) -> str:
    speedup = told["speedup"]
    spread = f"({speedup['p10']:.2f}–{speedup['p90']:.2f})"
    return (
        f"{told['median_ms']:>9.2f}{told['p90_ms']:>9.2f}{told['p99_ms']:>9.2f}{told['fps']:>8.1f}"
        f"{speedup['median']:>7.2f} {spread:<13}"
    )


def _overhead(row: Mapping[str, Any]) -> str:
    if "net" not in row or "e2e" not in row:
        return ""
    return f"{row['e2e']['median_ms'] / row['net']['median_ms']:>9.2f}"


def _facts(row: Mapping[str, Any]) -> str:
    memory, quality = row["memory"], row["quality"]
    process, before = memory.get("process_mb"), memory.get("before_opening_mb")
    own = memory.get("gpu_mb", process - before if process and before else None)
    miou = None if _random(row) else quality.get("miou")
    differ, error = quality.get("disagreement"), quality.get("max_abs_error")
    return (
        f"{_number(process, '.0f'):>6}{_number(own, '.0f'):>7}{row['build_seconds']:>9.1f}  {_number(miou, '.2f'):>6}"
        f"{_number(None if differ is None else 100 * differ, '.3f'):>10}{_number(error, '.1e'):>10}"
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _best(report: Mapping[str, Any]) -> Iterator[str]:
    """Each network under its own best runtime, of all precisions and of float32 alone."""
    measures: Sequence[str] = report["measures"]
    names = {r["name"]: r for r in report["variants"]}
    yield "each network under its own best runtime:"
    width = max(len(n) for n in report["best"])
    for network, found in report["best"].items():
        parts = []
        for measure in measures:
            for key, label in ((f"{measure}_fp32", f"{measure} fp32"), (measure, measure)):
                if key in found:
                    row = names[found[key]["variant"]]
                    parts.append(f"{label} {found[key]['median_ms']:.2f} ms ({row['runtime']} {row['precision']})")
        yield f"  {network:<{width}}  {'; '.join(parts)}"


def _foot(report: Mapping[str, Any]) -> Iterator[str]:
    """What the numbers are."""
    shown: dict[tuple[str, ...], None] = dict.fromkeys(
        tuple(f"{m} is {' → '.join(r['stages'][m])}" for m in report["measures"]) for r in report["variants"]
    )
    for told in shown:
        yield from told
    yield "FPS is 1000 / median of one image after the other, no throughput"
    kinds = dict.fromkeys(r["memory"]["of"] for r in report["variants"])
    yield (
        f"MB: peak memory of the variant's own process with only its {'/'.join(kinds)} graph open; (own): what the "
        "artefact added to Python and libraries (on a GPU: its memory there)"
    )
    compared = dict.fromkeys(r["quality"].get("compared_with") for r in report["variants"] if r["quality"])
    sources = dict.fromkeys(s for r in report["variants"] for s in r["quality"].get("sources", ()))
    images = max((r["quality"].get("images", 0) for r in report["variants"]), default=0)
    if images:
        against = ", ".join(c for c in compared if c) or "nothing"
        yield f"mIoU, differing pixels, largest error: of the same artefact, on {images} images ({', '.join(sources)}),"
        yield f"  compared with {against}"
    for row in report["variants"]:
        if row["quality"].get("exceeded") and not _random(row):
            yield f"OUTSIDE ITS TOLERANCE: {row['name']} ({', '.join(row['quality']['exceeded'])})"
    if any(_random(r) for r in report["variants"]):
        yield "– under mIoU: random weights"


def _random(row: Mapping[str, Any]) -> bool:
    return str(row["weights_sha256"]).startswith("random")
