"""The command line: ``edgeseg …``. Each command is a thin layer over one function of the package."""

from __future__ import annotations

import errno
import sys

import typer

from edgeseg.cli import ablate, bench, data, evaluate, export, info, live, predict, streets, train, weights

app = typer.Typer(
    name="edgeseg",
    help="Real-time semantic segmentation: train, evaluate, compile and run small networks on edge devices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("check")(info.check)
app.command("quickstart")(train.quickstart)
app.command("models")(info.models)
app.command("train")(train.train)
app.command("ablate")(ablate.ablate)
app.command("eval")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("bench")(bench.bench)
app.command("export")(export.export)
app.command("live")(live.live)
app.command("streets")(streets.streets)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Entry point: errors with a known cure end in one line and exit code 2, never in a traceback."""
    try:
        app()
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        print(f"edgeseg: {_cure(error)}", file=sys.stderr)
        sys.exit(2)


def _cure(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = f" ({error.filename})" if error.filename else ""
        return f"the disk is full{place}; free space and run the same command again, nothing is half-written"
    return str(error)
