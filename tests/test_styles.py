"""`check` accepts right answers in any style, and what it says about a slip is true. The data: ``tests/styles``.

python tests/test_styles.py [NN …] [-v]     prints the table: named, elsewhere, numbers only, misleading
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason='lessons are read with jupytext: pip install -e ".[dev]"')

from lesson_cells import SOURCES, execute, for_checks
from styles import ELSEWHERE, MISLEADING, NAMED, NUMBERS, Slip, Style, worth

LESSONS = [p for p in SOURCES if (p.parents[2] / "tests" / "styles" / f"lesson_{p.stem[:2]}.py").exists()]


def judged(source: Path, only: str = "") -> Iterator[tuple[str, Style, Slip | None, str]]:
    """Every style, and every slip in it, with what `check` says."""
    number = source.stem[:2]
    styles = importlib.import_module(f"styles.lesson_{number}").STYLES
    scope: dict = {"__name__": "__main__"}
    for i, cell in for_checks(source):
        for exercise in cell.exercises if "check" in cell.tags else ():
            for k, style in enumerate(styles.get(exercise, ()) if only in exercise else ()):
                for slip in (None, *style.slips):
                    where = f"lesson {number}, cell {i}, style {k}, {slip.what if slip else 'right'}"
                    own = dict(scope)
                    execute(style.code if slip is None else style.wrong(slip), where, own)
                    with contextlib.redirect_stdout(io.StringIO()) as said:
                        execute(cell.text, f"{where}, check", own)
                    text = said.getvalue()
                    yield exercise, style, slip, text[min((p for p in map(text.find, "✓✗○") if p >= 0), default=0) :]
        with contextlib.redirect_stdout(io.StringIO()):
            execute(cell.text, f"lesson {number}, cell {i}", scope)


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setenv("EDGESEG_FAST", "1")
    monkeypatch.delenv("EDGESEG_COURSE_STRICT", raising=False)


def _held(source, seconds, monkeypatch):
    """To what is asked of every style, with so many seconds for trying changed answers."""
    monkeypatch.setattr("edgeseg.course.repair._SECONDS", seconds)
    for exercise, style, slip, said in judged(source):
        what = f"{exercise}, {style.what}"
        if slip is None:
            assert said.startswith("✓"), f"{what}: is right, and is refused:\n{said}"
        else:
            assert said.startswith("✗"), f"{what}, {slip.what}: passes, and is wrong"
            assert worth(said, style, slip) != MISLEADING, f"{what}, {slip.what}:\n{style.wrong(slip)}\n{said}"


@pytest.mark.parametrize("source", [p for p in LESSONS if p.stem[:2] != "12"], ids=lambda p: p.stem)  # whole networks
def test_every_style_is_accepted_and_no_message_misleads(source, monkeypatch):
    _held(source, 0.0, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("source", [p for p in LESSONS if p.stem[:2] in ("05", "12")], ids=lambda p: p.stem)
def test_nor_does_what_is_found_by_trying(source, monkeypatch):
    """Of two lessons, in less time than a learner's; the table by hand gives that, to all. 12 is held to both here."""
    _held(source, 0.3, monkeypatch)


def main(arguments: list[str]) -> None:
    """Print the table; with -v, the messages too."""
    wanted = [a for a in arguments if a.isdigit()]
    os.environ |= {"EDGESEG_PROGRESS": tempfile.mkdtemp(), "EDGESEG_FAST": "1", "EDGESEG_COURSE_STRICT": "0"}
    counts: Counter = Counter()
    begin = time.perf_counter()
    for source in LESSONS:
        if wanted and source.stem[:2] not in wanted:
            continue
        for exercise, style, slip, said in judged(source):
            fine = said.startswith("✓") == (slip is None)
            verdict = worth(said, style, slip) if slip and fine else "right" if fine else "WRONG VERDICT"
            counts[exercise[:2], verdict] += 1
            if "-v" in arguments and (verdict in (MISLEADING, "WRONG VERDICT") or ("-vv" in arguments and slip)):
                print(f"--- {exercise}, {style.what}, {slip.what if slip else 'right'}: {verdict}\n{said}")
                print(f"    the slip: {slip.new if slip else ''}\n")
    columns = ("right", NAMED, ELSEWHERE, NUMBERS, MISLEADING, "WRONG VERDICT")
    print("lesson  " + "  ".join(f"{c:>13}" for c in columns))
    for number in sorted({n for n, _ in counts}):
        print(f"{number}      " + "  ".join(f"{counts[number, c]:13}" for c in columns))
    print("all     " + "  ".join(f"{sum(n for (_, v), n in counts.items() if v == c):13}" for c in columns))
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
