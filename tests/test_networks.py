"""What is written down about every network, for `edgeseg models` and docs/networks.md, is what the networks are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeseg import cli
from edgeseg.cli.info import COUNTED
from edgeseg.models import registry
from edgeseg.models.counts import count
from edgeseg.models.registry import ARCHS, create_model

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import networks

CURE = "write both anew: python benchmarks/networks.py"
KNOWN = json.loads(COUNTED.read_text(encoding="utf-8"))
SMALL = ("stdc1_fcn", "cross_cbam_m", "pp_liteseg_t")


def test_every_name_is_counted_described_and_on_the_page():
    assert sorted(KNOWN["networks"]) == sorted(ARCHS) == sorted(networks.ABOUT), CURE
    assert {ARCHS[name].build for name in ARCHS} == networks.FAMILIES.keys()
    assert COUNTED.read_text(encoding="utf-8") == networks.as_json(KNOWN["networks"]), CURE
    assert networks.PAGE.read_text(encoding="utf-8") == networks.page(KNOWN["networks"]), CURE


@pytest.mark.parametrize("name", SMALL)
def test_what_is_written_down_is_what_a_network_with_values_gives(name):
    counts = count(create_model(name), networks.SIZE)
    assert KNOWN["networks"][name] == {"params": counts.params, "macs": counts.macs}, CURE


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ARCHS))
def test_all_of_it_is_what_the_networks_give(name):
    if reason := ARCHS[name].why_not():
        pytest.skip(reason)
    assert KNOWN["networks"][name] == networks.counts(name), CURE


def test_a_switch_whose_default_differs_between_names_says_so():
    assert networks.defaults("aspp_channels", ["cross_cbam_m", "cross_cbam_s"]) == "256; 96 in `cross_cbam_s`"
    assert networks.defaults("dropout", ["cross_cbam_m", "cross_cbam_s"]) == "0.1"


@pytest.fixture
def models(monkeypatch, capsys):
    """Standard output and standard error of ``edgeseg models WORDS``."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["edgeseg", "models", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        return capsys.readouterr()

    return run


def refuse(*_, **__):
    raise AssertionError("a network was built")


def test_the_command_lists_every_network_and_builds_none(models, monkeypatch):
    monkeypatch.setattr(registry, "create_model", refuse)
    out = models().out
    for name in ARCHS:
        params, macs = KNOWN["networks"][name].values()
        assert f"\n{name} " in out
        assert f" {params / 1e6:.4f} " in out
        assert f"{macs / 1e9:.3f}" in out


def test_at_another_size_it_counts_and_says_what_it_is_at(models):
    out, err = models("stdc1_fcn", "--size", "256x512")
    quarter = KNOWN["networks"]["stdc1_fcn"]["macs"] / 4  # convolutions alone: in proportion to the places
    assert f"{quarter / 1e9:.3f}" in out
    assert "at 256x512" in out
    assert "counting stdc1_fcn" in err


def test_the_memory_of_training_is_estimated_at_any_size_under_a_bar(models):
    out, err = models("stdc1_fcn", "--memory", "--size", "64x64")
    assert "crop 64x64" in out
    assert "estimating stdc1_fcn" in err
