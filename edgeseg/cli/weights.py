"""``edgeseg weights``: what there is, whether it is right, its licence and card; weights from elsewhere, from a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill, shorten
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.text import parse_size, table

if TYPE_CHECKING:
    from edgeseg.models.zoo import WeightRecord

app = typer.Typer(no_args_is_help=True, help="Finished weights: list, show, verify, import, publish, model cards.")

_Name = Annotated[str, typer.Argument(help="of a weight")]
_Data = Annotated[str, typer.Option(help="what to score it on: a name or a folder")]
_Split = Annotated[str, typer.Option(help="part of the data set")]


@app.command("list")
def list_all() -> None:
    """Every weight with its metric, what that was measured on, its size and its licence."""
    from edgeseg.models.zoo import get_record, list_weights, local_file

    rows = []
    for name in list_weights():
        record, file = get_record(name), local_file(name)
        size = f"{file.stat().st_size / 1e6:.1f}" if file else "–"
        licence = shorten(record.licence, 20, placeholder="…")
        rows.append((name, _cell(record.metric["miou"]), _protocol(record), size, licence))
    print(table(("weight", "mIoU %", "scored on (network input→label size)", "MB", "licence"), rows, "<><><"))


@app.command()
def show(name: _Name) -> None:
    """The whole record of a weight, and where its file is."""
    from edgeseg.models.zoo import get_record, local_file

    record, file = get_record(name), local_file(name)
    place = f"{file} ({file.stat().st_size / 1e6:.1f} MB)" if file else f"not here yet, from {record.url}"
    facts = {
        "weight": name, "file": place, "SHA-256": record.sha256, "licence": record.licence,
        "licence text": f"edgeseg weights licence {name}", "architecture": record.arch, "trained on": record.data,
        "recipe": record.recipe, "training crop": _size(record.size), "seeds": ", ".join(map(str, record.seeds)),
        "classes": ", ".join(record.classes), "definition": record.definition, "mean": record.mean, "std": record.std,
        "address": record.url or "none",
    }  # fmt: skip
    _print_facts(facts)
    print("\nscore")
    per_class = {key: values for key, values in record.metric.items() if isinstance(values, dict)}
    _print_facts({key: value for key, value in record.metric.items() if key not in per_class})
    rows = [(one, *(_cell(values.get(one)) for values in per_class.values())) for one in record.classes]
    print("\n" + table(("class", *per_class), rows))
    if golden := record.golden:
        print(f"\ngolden output: logits of {golden['scene']} at {_size(golden['size'])}, rows of points by class")
        _print_facts({key: " ".join(f"{v:.3f}" for v in values) for key, values in golden["logits"].items()})


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="of weights; default: all that are here")] = None,
) -> None:
    """Check hash, description, loading and golden output; exit status 1 where something is wrong."""
    from edgeseg.models.zoo import get_record, list_weights, local_file
    from edgeseg.training.publish import verify_weight

    faulty = False
    for name in names or list_weights():
        if not names and local_file(name) is None:
            print(f"– {name}: not on this machine, fetched when it is first used")
            continue
        faults = verify_weight(name)
        faulty |= bool(faults)
        for fault in faults:
            print(f"✗ {name}: {fault}")
        if not faults:
            golden = get_record(name).golden
            output = f"golden output within {golden['tolerance']}" if golden else "no golden output in its record"
            print(f"✓ {name}: hash, description, {output}")
    raise typer.Exit(int(faulty))


@app.command()
def licence(name: _Name) -> None:
    """Print the text of a weight's licence."""
    from edgeseg.models.zoo import licence_text

    print(licence_text(name), end="")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="a weight file with its record beside it, or a folder of such")],
    replace: Annotated[bool, typer.Option("--replace", help="an own weight of the same name")] = False,
) -> None:
    """Copy weights with their records into your own folder, EDGESEG_WEIGHTS or the cache; all is checked first."""
    from edgeseg.models.zoo import import_weights, own_folder

    for record in import_weights(source, replace):
        print(f"{record.name} → {own_folder() / record.file}: mIoU {_cell(record.metric['miou'])} %, {record.licence}")


@app.command()
def golden(names: Annotated[list[str], typer.Argument(help="of weights")]) -> None:
    """Measure a weight's golden output and write it into its record."""
    from edgeseg.training.publish import add_golden

    for name in names:
        print(f"golden output of {name} written to {add_golden(name)}")


@app.command()
def card(
    name: _Name,
    data: _Data = "streets",
    split: _Split = "test",
    count: Annotated[int, typer.Option(help="number of rendered scenes, for each condition")] = 200,
    data_size: Annotated[str | None, typer.Option(help="HxW of rendered scenes; default: as in the record")] = None,
    out: Annotated[Path, typer.Option(help="folder for NAME.md and its pictures")] = Path("docs/models"),
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Write a weight's model card: scores taken anew, confusion, failures, held-out conditions, limits."""
    from edgeseg.training.card import write_card

    print(write_card(name, data, split, out, count, parse_size(data_size) if data_size else None, device))


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="folder of a finished run")],
    name: Annotated[str, typer.Argument(help="ARCHITECTURE.TAG, e.g. cross_cbam_m.streets")],
    to: Annotated[Path, typer.Option(help="folder to write to")],
    data: _Data = "streets",
    split: _Split = "test",
    data_size: Annotated[
        str | None, typer.Option(help="HxW of rendered scenes, or of the copy of CamVid or Cityscapes to take")
    ] = None,
    count: Annotated[int | None, typer.Option(help="number of rendered scenes")] = None,
    licence: Annotated[str | None, typer.Option(help="of the weight; default: by its training data")] = None,
    licence_file: Annotated[Path | None, typer.Option(help="with the text, where it is not the package's")] = None,
    part_mb: Annotated[
        float | None, typer.Option(min=0.001, help="cut the file into parts of at most so many MB; import joins them")
    ] = None,
) -> None:
    """Write a run's averaged weights as fp16 with a record; the metric is measured on the written file."""
    from edgeseg.data import open_data
    from edgeseg.data.labels import CAMVID
    from edgeseg.models.zoo import split_file
    from edgeseg.training.publish import publish_run

    pairs = open_data(data, split, size=parse_size(data_size) if data_size else None, count=count)
    # streets have CamVid's classes, too; other data sets have no definitions to tell apart
    definition = "A" if pairs.table.names == CAMVID.names else pairs.table.name
    protocol = {"data": data, "split": split, "definition": definition}
    record = publish_run(run, name, pairs, protocol, to, licence, licence_file)
    if part_mb is not None:
        print("parts: " + ", ".join(part.name for part in split_file(to / record.file, int(part_mb * 1e6))))
    print(f"{to / record.file}: mIoU {_cell(record.metric['miou'])} %, sha256 {record.sha256}, {record.licence}")


def _protocol(record: WeightRecord) -> str:
    """``"camvid test A, 720×960→360×480, seed 0"``."""
    m = record.metric
    sizes = "→".join(dict.fromkeys(_size(m[key]) for key in ("size", "scored_at") if m.get(key)))
    seeds = m["seeds"] or []
    said = f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}" if seeds else "seed unknown"
    return f"{m['data']} {m['split']} {m['definition']}, {sizes or '–'}, {said}" + (", TTA" if m["tta"] else "")


def _size(size: Any) -> str:
    if isinstance(size, Mapping):  # a score on images of many sizes
        return f"{_size(size['smallest'])}…{_size(size['largest'])}"
    return "×".join(map(str, size))


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _print_facts(facts: dict[str, Any]) -> None:
    for key, value in facts.items():
        shown = f"{key:<16}{'–' if value is None else value}"
        print(fill(shown, 100, subsequent_indent=" " * 16, break_on_hyphens=False))
