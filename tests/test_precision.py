"""Number formats of a run: the recipe's, and float32 where a processor would only imitate bfloat16."""

from __future__ import annotations

import json
import platform
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgeseg.training import precision
from edgeseg.training.train import fit
from test_training import TINY, Toy, assert_same, weights

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("amp", "device", "able", "expected"),
    [
        ("none", CPU, True, torch.float32),
        ("bf16", CPU, True, torch.bfloat16),
        ("fp16", CPU, False, torch.float16),
        ("bf16", CUDA, False, torch.bfloat16),
    ],
)
def test_a_recipe_computes_in_what_it_names(monkeypatch, amp, device, able, expected):
    monkeypatch.setattr(precision, "has_bf16", lambda: able)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert precision.compute_type(amp, device) == expected


def test_a_processor_without_bfloat16_computes_in_float32_and_says_so(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    with pytest.warns(UserWarning, match="no bfloat16 instructions.*amp=none"):
        assert precision.compute_type("bf16", CPU) == torch.float32


@pytest.mark.filterwarnings("ignore:this processor has no bfloat16")
def test_such_a_run_is_the_float32_run_bit_for_bit_and_its_log_names_the_type(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    for amp in ("bf16", "none"):
        fit(replace(TINY, iterations=2, amp=amp), Toy(4), None, tmp_path / amp, progress=False)
        assert json.loads((tmp_path / amp / "log.jsonl").read_text().splitlines()[0])["computes"] == "float32"
    assert_same(weights(tmp_path / "bf16"), weights(tmp_path / "none"))


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64", reason="reads Linux's list of x86 features"
)
def test_the_answer_is_that_of_the_operating_system():
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    assert precision.has_bf16() == bool({"avx512_bf16", "amx_bf16"} & set(flags))
