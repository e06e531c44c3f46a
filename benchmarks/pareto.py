"""Score against time: which network is worth its milliseconds, as a table and a picture.

    edgeseg train streets model=lraspp_mobilenet_v3 --out runs/lraspp_mobilenet_v3
    edgeseg bench cross_cbam_s.streets cross_cbam_m.streets runs/lraspp_mobilenet_v3/weights.safetensors \\
        --runtime eager --runtime openvino --runtime openvino:int8 --size 360x480 --json bench.json
    edgeseg eval runs/lraspp_mobilenet_v3 --data streets --data-size 288x384 --count 200 --json lraspp.json
    python benchmarks/pareto.py bench.json --scores lraspp.json --picture pareto.png

A finished weight's score is its record's; another network's comes from ``--scores``, matched by the weights' hash.
All scores are of the weights in float32: what int8 costs is said by ``edgeseg eval ARTEFACT``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from edgeseg.files import parse_json, read_text
from edgeseg.models.zoo import get_record, list_weights
from edgeseg.plots import BLUE, GREEN, ORANGE, save
from edgeseg.text import parse_size, table

_COLOURS = {"fp32": BLUE, "bf16": ORANGE, "int8": GREEN}
_MARKS = "oDs^vP"
Point = tuple[str, str, float, float]  # network, runtime and precision, ms end to end, mIoU in percent


def known_scores(files: Iterable[Path]) -> dict[str, float]:
    """SHA-256 of a weight → its mIoU in percent on rendered streets."""
    scores = {}
    for record in map(get_record, list_weights()):
        if record.metric["data"] == "streets":
            scores[record.sha256] = record.metric["miou"]
    for path in files:
        found = parse_json(read_text(path))
        if found["data"] != "streets" or found["split"] != "test":
            raise SystemExit(f"{path}: of {found['data']} {found['split']}; scores are compared on streets test")
        scores[found["weights_sha256"]] = found["miou"]
    return scores


def points(report: Mapping[str, Any], scores: Mapping[str, float]) -> list[Point]:
    """One for each network and runtime of a report of `edgeseg bench`."""
    found: list[Point] = []
    for variant in report["variants"]:
        weights = variant["weights_sha256"]
        if weights not in scores:
            raise SystemExit(f"{variant['network']}: no score of these weights; add --scores, from edgeseg eval --json")
        runtime = variant["name"].removeprefix(f"{variant['network']} ")
        found.append((_shown(variant["network"]), runtime, variant["e2e"]["median_ms"], scores[weights]))
    return found


def _shown(network: str) -> str:
    """A weight's name, or of a run's weight the run's folder."""
    return Path(network).parent.name or network


def picture(found: list[Point], title: str) -> Figure:
    """Up is better, left is faster; the fastest runtime of each network is named."""
    figure = Figure((7, 4.2), layout="constrained")
    axis = figure.subplots()
    handles = []
    for mark, network in zip(_MARKS, dict.fromkeys(name for name, *_ in found), strict=False):
        own = sorted((ms, score, runtime) for name, runtime, ms, score in found if name == network)
        axis.plot([ms for ms, *_ in own], [score for _, score, _ in own], color="0.8", zorder=1)
        for ms, score, runtime in own:
            axis.scatter(ms, score, marker=mark, color=_COLOURS[_precision(runtime)], s=60, zorder=2, alpha=0.8)
        ms, score, runtime = own[0]
        words = f"{network}: {score:.1f} % in {ms:.1f} ms ({runtime})"
        handles.append(Line2D([], [], marker=mark, linestyle="", color="0.4", label=words))
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set(xlabel="ms from a picture to its classes (median)", ylabel="mIoU on streets test, %", title=title)
    axis.margins(x=0.1, y=0.25)
    handles += [Line2D([], [], marker="o", linestyle="", color=c, label=name) for name, c in _COLOURS.items()]
    axis.legend(handles=handles, loc="center", frameon=False, fontsize=8)
    return figure


def _precision(runtime: str) -> str:
    return next(name for name in _COLOURS if name in runtime.split())


def main() -> None:
    """Print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--scores", type=Path, nargs="*", default=())
    parser.add_argument("--size", type=parse_size, default=(360, 480), help="HxW of the run to take")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    runs = {tuple(run["size"]): run for run in parse_json(read_text(options.bench))["runs"]}
    if options.size not in runs:
        raise SystemExit(f"{options.bench} has no run of this size; --size names one of {', '.join(map(str, runs))}")
    report = runs[options.size]
    found = points(report, known_scores(options.scores))
    least = min(ms for *_, ms, _ in found)
    rows = [(n, r, f"{ms:.1f}", f"{ms / least:.2f}", f"{score:.1f}") for n, r, ms, score in found]
    print(table(("network", "runtime", "e2e ms", "× the fastest", "mIoU"), rows, "<<>>>"))
    if options.picture:
        height, width = report["size"]
        save(picture(found, f"{report['threads']} CPU threads, {height}×{width}"), options.picture)


if __name__ == "__main__":
    main()
