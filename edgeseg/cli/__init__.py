"""The command line: ``edgeseg …``. Each command is a thin layer over one function of the package."""

from __future__ import annotations

import errno
import io
import os
import shlex
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.cli import (
    ablate,
    bench,
    compare,
    course,
    data,
    evaluate,
    export,
    info,
    live,
    predict,
    streets,
    train,
    weights,
)
from edgeseg.files import no_space

HOME = Path(__file__).resolve().parents[1]

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
app.command("compare")(compare.compare)
app.command("bench")(bench.bench)
app.command("export")(export.export)
app.command("live")(live.live)
app.command("streets")(streets.streets)
app.add_typer(course.app, name="course")
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


@app.callback()
def _options(
    traceback: Annotated[
        bool, typer.Option("--traceback", help="show where an error came from; also EDGESEG_TRACEBACK=1")
    ] = False,
) -> None:
    """`main` reads it: an error may come before any command runs."""


def main() -> None:
    """Entry point: whatever goes wrong ends in one line.

    Exit codes: 2 for an error with a known cure, 1 for a fault of edgeseg itself, 130 for Ctrl-C, 143 for a polite end
    from outside (129 for a lost terminal); then, too, everything half-done is tidied up. ``--traceback``, anywhere, or
    ``EDGESEG_TRACEBACK=1`` shows the trace as well.
    """
    words = [word for word in sys.argv[1:] if word != "--traceback"]
    with_trace = words != sys.argv[1:] or os.environ.get("EDGESEG_TRACEBACK", "0") not in ("", "0")
    warnings.formatwarning = lambda message, *_, **__: f"edgeseg: {message}\n"  # no path and no line of source
    for stream in (sys.stdout, sys.stderr):  # a terminal or a log that lacks a sign must not cost a result
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with _tidy_ends():
            code = app(words, prog_name="edgeseg", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if with_trace:
            traceback.print_exc()
        line, code = _last_line(error, words)
        print(line, file=sys.stderr)
    if code == 130:
        print("edgeseg: stopped by Ctrl-C", file=sys.stderr)
    sys.exit(code or 0)


@contextmanager
def _tidy_ends() -> Iterator[None]:
    """Meanwhile a polite end from outside, or the end of the terminal, is an exception: files half-written are removed.

    Not under torchrun, where a rank may wait for the others in a library that hears no exception.
    """

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # asked twice, it ends at once
        print(f"edgeseg: ended by {signal.Signals(number).name}", file=sys.stderr)
        sys.exit(128 + number)

    usual = threading.current_thread() is threading.main_thread() and "RANK" not in os.environ
    ends = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)] if usual else []
    ends = [number for number in ends if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores one
    for number in ends:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ends:
            signal.signal(number, signal.SIG_DFL)


def _last_line(error: Exception, words: Sequence[str]) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    if hasattr(error, "format_message"):  # typer's own, of options and arguments; which class that is depends on it
        return _misuse(error)
    if isinstance(error, OSError):
        return f"edgeseg: {_of_system(error)}", 2
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        first = str(error).strip().partition("\n")[0] or "no more of it"
        return f"edgeseg: the memory does not suffice ({first}); take a smaller size, batch or model", 2
    if _known(error):
        return f"edgeseg: {error}", 2
    first = str(error).strip().partition("\n")[0]
    return (
        f"edgeseg: a fault of edgeseg itself ({type(error).__name__}: {first}). Please report it with what this shows: "
        f"edgeseg --traceback {shlex.join(words)}"
    ), 1


def _misuse(error: Any) -> tuple[str, int]:
    message, context = error.format_message().strip(), error.ctx
    if "\n" in message or not message:  # no command at all: the help
        return message, error.exit_code
    return (
        f"edgeseg: {message.rstrip('.')}. See {context.command_path if context else 'edgeseg'} --help.",
        error.exit_code,
    )


def _of_system(error: OSError) -> str:
    if no_space(error):
        place = f" ({error.filename})" if error.filename else ""
        return f"the disk is full{place}; free space and run the same command again, nothing is half-written"
    if error.filename is None or error.strerror is None:
        return str(error)
    cures = {
        errno.EACCES: "; take another place, or the right to use this one",
        errno.EROFS: "; take another place, this one cannot be written to",
        errno.ENOTDIR: "; a file stands where a folder should be, take another name",
        errno.EISDIR: "; a folder stands where a file should be, take another name",
    }
    return f"{error.filename}: {error.strerror}{cures.get(error.errno or 0, '')}"


def _known(error: BaseException) -> bool:
    """Whether edgeseg foresaw it: an error of its own kinds, or one that its own code raised, in its own words."""
    cause = error.__cause__
    if cause is not None and type(cause) is type(error) and str(error).endswith(str(cause)):
        return _known(cause)  # only a name was put before it
    if type(error).__module__.partition(".")[0] == "edgeseg":
        return True
    if isinstance(error, ModuleNotFoundError):
        return not (error.name or "").startswith("edgeseg")
    if not isinstance(error, ValueError | RuntimeError | ImportError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    # what numpy or torch raise in a line of edgeseg is no word of edgeseg's
    return Path(last.filename).is_relative_to(HOME) and (last.line or "").startswith("raise ")
