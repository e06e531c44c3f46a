"""Modules are timed where they run, predictions follow the roofline's formula, and the model stays as it was."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from edgeseg import plots
from edgeseg.bench.roofline import (
    NOTE,
    Peaks,
    group_by_kind,
    measure_peaks,
    measure_roofline,
    roofline_picture,
)
from edgeseg.models.counts import count
from edgeseg.models.registry import create_model

PEAKS = Peaks({"fp32": 100.0, "bf16": 200.0}, 10.0, {"fp32": "a", "bf16": "b", "memory": "c"}, 1, "cpu")
SIZE = (64, 96)


@pytest.fixture(scope="module")
def model():
    return create_model("cross_cbam_m", 5, width=16)


@pytest.fixture(scope="module")
def measured(model):
    return measure_roofline(model, SIZE, "small", PEAKS, runs=2)


def test_modules_carry_the_counts_and_a_time(model, measured):
    counts = count(model, SIZE)
    assert sum(m.macs for m in measured.modules) == counts.macs
    assert sum(m.bytes_moved for m in measured.modules) == counts.bytes_moved
    assert all(m.ms > 0 for m in measured.modules)
    for m in measured.modules:
        assert m.predicted_ms == pytest.approx(1e-6 * max(2 * m.macs / 100, m.bytes_moved / 10))
        assert m.bound == ("arithmetic" if 2 * m.macs / 100 > m.bytes_moved / 10 else "memory")
        assert m.gap == pytest.approx(m.ms / m.predicted_ms)
    assert measured.arithmetic_ms == pytest.approx(2e-6 * counts.macs / 100)
    assert measured.predicted_ms >= measured.arithmetic_ms


def test_time_is_booked_on_the_module_that_runs_and_not_on_its_parents(monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr("edgeseg.bench.roofline.time", clock)

    class Slow(nn.Module):
        def forward(self, x):
            clock.now += 0.03
            return x + 1

    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(Slow(), nn.ReLU()))
    times = {m.name: m.ms for m in measure_roofline(net, (32, 32), "net", PEAKS, runs=2).modules}
    assert times["1.0"] == pytest.approx(30)
    assert times["0"] == times["1.1"] == 0


def test_kinds_tell_convolutions_apart(measured):
    kinds = {m.name: m.kind for m in measured.modules}
    assert kinds["backbone.stage1.conv"] == "conv 3×3"
    assert kinds["classifier"] == "conv 1×1"
    assert kinds["backbone.stage3.0.down.conv"] == "depthwise 3×3"
    assert kinds["backbone.stage1.bn"] == "BatchNorm2d"
    groups = group_by_kind(measured.modules)
    assert sum(len(g) for _, g in groups) == len(measured.modules)
    totals = [sum(m.ms for m in g) for _, g in groups]
    assert totals == sorted(totals, reverse=True)


def test_measuring_leaves_the_model_and_the_threads_as_they_were(model):
    before = torch.get_num_threads()
    measure_roofline(model, (32, 32), "net", PEAKS, runs=1)
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.get_num_threads() == before


def test_peaks_are_positive_and_name_their_kernels(monkeypatch):
    monkeypatch.setattr("edgeseg.bench.roofline._TRIES", 1)
    monkeypatch.setattr("edgeseg.bench.roofline._LEAST_SECONDS", 0)
    peaks = measure_peaks()
    assert set(peaks.gflops) == {"fp32", "bf16"}
    assert min(*peaks.gflops.values(), peaks.gigabytes) > 0
    assert set(peaks.kernels) == {"fp32", "bf16", "memory"}
    assert peaks.threads == torch.get_num_threads()


def test_text_json_and_picture_tell_the_same(measured, tmp_path):
    text = measured.text()
    worst = max(measured.modules, key=lambda m: m.ms - m.predicted_ms)
    assert (worst.name or "(itself)")[-30:] in text
    assert NOTE in text
    told = json.loads(json.dumps(measured.as_dict()))
    assert told["sum_of_modules_ms"] == pytest.approx(sum(m.ms for m in measured.modules))
    assert len(told["modules"]) == len(measured.modules)
    assert plots.save(roofline_picture(measured), tmp_path / "roofline.png").stat().st_size > 20_000


def test_the_share_of_the_peak_is_that_of_the_precision_and_integers_have_none(measured):
    time = {"median_ms": 2 * measured.arithmetic_ms}
    variants = [
        {"name": f"{name} {precision}", "network": name, "precision": precision, "net": time}
        for name, precision in (("small", "fp32"), ("small", "bf16"), ("small", "int8"), ("other", "fp32"))
    ]
    assert measured.shares(variants) == {"small fp32": pytest.approx(0.5), "small bf16": pytest.approx(0.25)}
