"""``edgeseg bench``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.files import write_json
from edgeseg.text import parse_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bench(
    models: Annotated[
        list[str],
        typer.Argument(help="weights (name or file), architectures or peers (random weights), artefact folders"),
    ],
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="runtime[:precision[:option=value,…]], may be repeated; default: what this machine runs"),
    ] = None,
    size: Annotated[list[str] | None, typer.Option(help="HxW, may be repeated; default 512x1024")] = None,
    batch: Annotated[
        int,
        typer.Option(min=1, help="also measure throughput: images a second where so many are given at once"),
    ] = 1,
    rounds: Annotated[int | None, typer.Option(min=1, help="turns of every variant; default: the protocol's")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="of the CPU; default: the physical cores")] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="add other people's networks, each under every runtime")
    ] = False,
    reference: Annotated[str | None, typer.Option(help="variant that ratios are over; default: the first")] = None,
    roofline: Annotated[
        bool, typer.Option("--roofline", help="also time every module against the machine's peaks")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="a first look: fewer iterations than the protocol's")] = False,
    json: Annotated[Path | None, typer.Option(help="write everything here")] = None,
    picture: Annotated[Path | None, typer.Option(help="draw the times here (.png)")] = None,
) -> None:
    """Time networks under runtimes against each other, and say beside each time what was computed.

    Two numbers, never mixed: net (tensor → logits) and e2e (uint8 image → class map). Variants take turns, each in a
    process of its own; ratios are formed within each round. Measure on a quiet machine.

    Both are of one image after the other. --batch 8 adds images a second with 8 at once, each network compiled for that
    batch too; a runtime's streams are its own option, as in --runtime openvino:fp32:streams=2.
    """
    from edgeseg import plots
    from edgeseg.bench.plan import Plan
    from edgeseg.bench.roofline import roofline_picture
    from edgeseg.bench.table import bench_picture, bench_text
    from edgeseg.inference import find_model

    def draw(figure: Callable[[Any], Figure], what: Any, suffix: str) -> None:
        if picture is not None:
            print(f"picture: {plots.save(figure(what), picture.with_stem(picture.stem + suffix))}")

    sizes = [parse_size(text) for text in size or ()]
    plan = Plan(
        [find_model(model) for model in models],
        runtime or (),
        sizes,
        with_peers=peers,
        threads=threads,
        rounds=rounds,
        quick=quick,
        batch=batch,
    )
    result: dict[str, Any] = {"format": 1, "runs": [], "rooflines": [], "left_out": plan.left_out}
    for height, width in plan.sizes:
        report = plan.run((height, width), reference)
        print(bench_text(report))
        draw(bench_picture, report, f".{height}x{width}" if len(plan.sizes) > 1 else "")
        result["runs"].append(report)
        write_json(json, result)  # what was measured is kept, whatever becomes of the next size
    for r in plan.rooflines() if roofline else ():
        shares = r.shares(next(run["variants"] for run in result["runs"] if tuple(run["size"]) == r.size))
        print(f"\n{r.text()}")
        for name, share in shares.items():
            print(f"{name}: {100 * share:.0f} % of the peak that PyTorch's kernels reach in its precision")
        draw(roofline_picture, r, f".roofline.{r.network.replace('/', '_')}.{r.size[0]}x{r.size[1]}")
        result["rooflines"].append({**r.as_dict(), "runtimes": shares})
    write_json(json, result)
