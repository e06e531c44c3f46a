"""How a command ends that does not come to its end: one line, the right exit code, and nothing half-written."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from edgeseg import cli
from edgeseg.metrics import score


@pytest.fixture
def end(monkeypatch, capsys):
    """Exit code and standard error of ``edgeseg models WORDS``, where listing the models does what is given."""

    def run(listing, *words):
        monkeypatch.setattr("edgeseg.models.registry.list_models", listing)
        monkeypatch.setattr(sys, "argv", ["edgeseg", "models", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr().err

    return run


def raising(error):
    def listing(*_):
        raise error

    return listing


def in_a_library(*_):
    np.zeros(3) + np.zeros(4)


def in_torch(*_):
    torch.zeros(3) @ torch.zeros(4)


def behind_a_name(*_):
    class One:
        table, names, images = ("a",), ("one",), ("one.png",)

        def __len__(self):
            return 1

        def __getitem__(self, _):
            return np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)

    score(in_torch, One(), progress=False)


@pytest.mark.parametrize("listing", [raising(KeyError("x")), in_a_library, in_torch, behind_a_name])
def test_a_fault_of_edgeseg_says_so_and_how_to_see_more(end, listing):
    code, err = end(listing, "cross cbam")
    assert code == 1
    assert err.count("\n") == 1
    assert "a fault of edgeseg itself" in err
    assert "edgeseg --traceback models 'cross cbam'" in err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.png"), "edgeseg: a.png: No such file or directory"),
        (PermissionError(13, "Permission denied", "a.png"), "a.png: Permission denied; take another place"),
        (OSError(28, "No space left on device", "a.png"), "the disk is full (a.png)"),
        (OSError("port 80 cannot be used"), "edgeseg: port 80 cannot be used"),
        (ModuleNotFoundError("No module named 'av'", name="av"), "No module named 'av'"),
        (MemoryError(), "the memory does not suffice"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB."), "take a smaller size"),
    ],
)
def test_what_the_system_refuses_is_no_fault_of_edgeseg(end, error, words):
    code, err = end(raising(error))
    assert code == 2
    assert err.count("\n") == 1
    assert words in err


def test_the_trace_is_shown_where_it_is_asked_for(end, monkeypatch):
    for listing in (raising(KeyError("x")), lambda *_: []):  # the second: no model of that name
        assert "Traceback" not in end(listing, "cross")[1]
        assert "Traceback" in end(listing, "--traceback", "cross")[1]
        assert "Traceback" in end(listing, "cross", "--traceback")[1]
        monkeypatch.setenv("EDGESEG_TRACEBACK", "1")
        assert "Traceback" in end(listing, "cross")[1]
        monkeypatch.setenv("EDGESEG_TRACEBACK", "0")
        assert "Traceback" not in end(listing, "cross")[1]
        monkeypatch.delenv("EDGESEG_TRACEBACK")


@pytest.mark.parametrize("words", [["--bogus"], ["--batch", "0"], ["--batch", "x"], ["--size"]])
def test_bad_options_end_in_one_line(end, words):
    code, err = end(lambda *_: [], *words)
    assert code == 2
    assert err.count("\n") == 1
    assert re.search(r"See edgeseg( models)? --help\.$", err)


def test_ctrl_c_is_told_in_one_line(end):
    assert end(raising(KeyboardInterrupt())) == (130, "edgeseg: stopped by Ctrl-C\n")


def test_a_terminal_without_the_signs_costs_no_result(monkeypatch):
    log = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", log)
    monkeypatch.setattr(sys, "argv", ["edgeseg", "models"])
    monkeypatch.setattr("edgeseg.models.registry.list_models", lambda *_: ["größe→"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    log.flush()
    assert b"gr??e?" in log.buffer.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, "edgeseg: ended by SIGTERM"),
        (signal.SIGHUP, 129, "edgeseg: ended by SIGHUP"),
        (signal.SIGINT, 130, "edgeseg: stopped by Ctrl-C"),
    ],
)
def test_an_end_from_outside_leaves_nothing_half_written(tmp_path, number, code, line):
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    script = f"""
import signal, sys, tempfile, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # in a shell's background it is ignored
from edgeseg import cli, files
from edgeseg.models import registry

def slow(*_):
    with files.atomic_write({str(out / "x.json")!r}), tempfile.TemporaryDirectory():
        print("writing", flush=True)
        time.sleep(60)

registry.list_models = slow
sys.argv = ["edgeseg", "models"]
cli.main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert process.stdout.readline() == "writing\n"
    time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.strip() == line
    assert [*out.iterdir(), *temporary.iterdir()] == []
