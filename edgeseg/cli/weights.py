"""``edgeseg weights``: what there is, and how a run becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.options import parse_size

app = typer.Typer(no_args_is_help=True, help="List finished weights; turn a run into one.")


@app.command("list")
def list_all() -> None:
    """Every weight with its metric, protocol and licence."""
    from edgeseg.models.records import get_record, list_weights

    for name in list_weights():
        record = get_record(name)
        m = record.metric
        protocol = ", ".join(
            f"{key} {m[key]}" for key in ("data", "split", "definition", "size", "seeds", "ema", "tta")
        )
        print(f"{name:<26} mIoU {m['miou']:.2f} % ({protocol}); licence {record.licence}")


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="folder of a finished run")],
    name: Annotated[str, typer.Argument(help="ARCHITECTURE.TAG, e.g. cross_cbam_m.streets")],
    to: Annotated[Path, typer.Option(help="folder to write to")],
    data: Annotated[str, typer.Option(help="what to score it on")] = "streets",
    split: Annotated[str, typer.Option(help="part of the data set")] = "test",
    data_size: Annotated[str | None, typer.Option(help="HxW of rendered scenes")] = None,
    count: Annotated[int | None, typer.Option(help="number of rendered scenes")] = None,
    licence: Annotated[str, typer.Option(help="of the weight")] = "Apache-2.0",
) -> None:
    """Write a run's averaged weights as fp16 with a record; the metric is measured on the written file."""
    from edgeseg.data import open_data
    from edgeseg.training.publish import publish_run

    pairs = open_data(data, split, size=parse_size(data_size) if data_size else None, count=count)
    record = publish_run(run, name, pairs, {"data": data, "split": split, "definition": "A"}, licence, to)
    print(f"{to / record.file}: mIoU {record.metric['miou']:.2f} %, sha256 {record.sha256}")
