"""What is told about this machine: JSON-able facts, memory, cores, and whose work was whose."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgeseg import machine
from edgeseg.machine import (
    Watch,
    describe_environment,
    free_memory,
    peak_memory,
    physical_cores,
    resident_memory,
    total_memory,
    warnings,
)


def test_the_environment_is_json_and_the_cores_are_those_allowed():
    facts = describe_environment(2)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"]["model"]
    assert facts["cpu"]["threads"] == 2
    assert facts["versions"]["torch"]
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


def test_a_checkout_names_its_commit():
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        pytest.skip("no checkout")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    assert describe_environment(1)["commit"].removesuffix("+changes") == head.stdout.strip()


def test_memory_is_what_psutil_says_it_is():
    assert total_memory() == pytest.approx(psutil.virtual_memory().total, rel=0.01)
    assert 0 < free_memory() < 1
    assert 0 < resident_memory() <= peak_memory() * 1.01


def test_peak_memory_of_a_process_does_not_start_from_its_parents():
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    command = "from edgeseg.machine import peak_memory; print(peak_memory())"

    def of_a_child() -> float:
        told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        return float(told.stdout)

    large = np.ones(int(2 * of_a_child() * 1e6 / 8))  # twice what it takes on this machine
    assert of_a_child() < large.nbytes / 1e6 < peak_memory()


def test_work_of_others_is_told_from_work_of_our_own():
    busy = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        busy.stdout.readline()
        stranger, ours = Watch(), Watch([busy.pid])
        time.sleep(1)
        seen, known = stranger.foreign_cores(), ours.foreign_cores()
    finally:
        busy.kill()
        busy.wait()
        busy.stdout.close()
    assert seen > known >= 0


def test_warnings_name_load_and_strangers_and_too_many_threads():
    assert warnings(1, 0.3, 0.0) == []
    told = " ".join(warnings(physical_cores() + 1, 99.0, 0.5))
    for words in ("load average was 99.00", "others kept 0.50 cores busy", "physical cores"):
        assert words in told


def test_without_psutil_measuring_names_the_cure_and_what_runs_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ImportError, match=r'pip install "edgeseg\[bench\]"'):
        machine.load_average()
    assert resident_memory() is None
    assert total_memory() > 0


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64", reason="reads Linux's list of x86 features"
)
def test_whether_a_processor_has_bfloat16_is_what_the_operating_system_says():
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    assert machine.has_bf16() == bool({"avx512_bf16", "amx_bf16"} & set(flags))
