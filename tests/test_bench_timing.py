"""Benchmarks take turns, count what they say they count, and refuse what cannot be compared. No test asks for speed.

One run of ``edgeseg bench`` serves all: a small weight, eager in float32 and bfloat16, three rounds, throughput of
three images at once, and the roofline.
"""

import json
import os
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from compiled_networks import needs, tiny_segmenter
from edgeseg.bench.plan import Choice, Network, make_variant
from edgeseg.bench.roofline import Peaks
from edgeseg.bench.table import bench_picture, bench_text
from edgeseg.bench.timing import FULL, QUICK, Variant, bench, best, stages, turns
from edgeseg.bench.worker import Worker
from edgeseg.cli import app
from edgeseg.data.labels import CAMVID
from edgeseg.deploy import DeployError, compile
from edgeseg.deploy.parity import Sample
from edgeseg.inference import Segmenter
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta

SIZE = (64, 96)
ROUNDS, BATCH = 3, 3
PEAKS = Peaks({"fp32": 100.0, "bf16": 200.0}, 10.0, {"fp32": "a", "bf16": "b", "memory": "c"}, 1, "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder that the command wrote into, what it printed, and the hash of the weight."""
    folder = tmp_path_factory.mktemp("bench")
    torch.manual_seed(0)
    meta = weight_meta(CAMVID.names, CAMVID.colors, "toy", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    sha256 = save_weights(folder / "small.safetensors", create_model("stdc1_fcn", 11, width=16), meta)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("edgeseg.bench.plan.measure_peaks", lambda device: PEAKS)
        words = (
            "bench small.safetensors --runtime eager --runtime eager:bf16 --size 64x96 --quick --roofline --threads 1 "
            f"--batch {BATCH} --rounds {ROUNDS} --json b.json --picture b.png"
        )
        done = CliRunner().invoke(app, words.split(), catch_exceptions=False)
    assert done.exit_code == 0
    return folder, done.output, sha256


@pytest.fixture(scope="module")
def whole(run):
    return json.loads((run[0] / "b.json").read_text())


@pytest.fixture(scope="module")
def report(whole):
    return whole["runs"][0]


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    model = create_model("stdc1_fcn", 11, width=16)
    segmenter = Segmenter(model, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), table=CAMVID)
    return compile(segmenter, "eager", size=SIZE).save(tmp_path_factory.mktemp("artefacts") / "eager")


def test_every_variant_has_both_numbers_of_the_rounds_it_ran(report):
    assert [v["name"] for v in report["variants"]] == ["small eager fp32", "small eager bf16"]
    for variant in report["variants"]:
        for measure in ("net", "e2e"):
            told = variant[measure]
            assert len(told["rounds"]) == ROUNDS
            assert told["n"] == sum(len(b["ms"]) for b in told["rounds"]) == QUICK.block_iterations * ROUNDS
            assert 0 < told["min_ms"] <= told["median_ms"] <= told["p90_ms"] <= told["p99_ms"]
            assert told["fps"] == pytest.approx(1000 / told["median_ms"], abs=0.01)
            assert 0 < told["speedup"]["p10"] <= told["speedup"]["median"] <= told["speedup"]["p90"]
    assert report["variants"][0]["net"]["speedup"] == {"median": 1, "p10": 1, "p90": 1}


def test_ratios_are_formed_within_each_round(report):
    base, other = (v["net"]["rounds"] for v in report["variants"])
    ratios = [np.median(a["ms"]) / np.median(b["ms"]) for a, b in zip(base, other, strict=True)]
    assert report["variants"][1]["net"]["speedup"]["median"] == pytest.approx(np.median(ratios), abs=1e-4)


def test_variants_and_measures_take_turns(report):
    starts = [[v[m]["rounds"][r]["at_s"] for v in report["variants"] for m in ("net", "e2e")] for r in range(ROUNDS)]
    assert all(max(a) <= min(b) for a, b in pairwise(starts))
    first = [min(report["variants"], key=lambda v: v["net"]["rounds"][r]["at_s"])["name"] for r in range(2)]
    assert len(set(first)) == 2


def test_throughput_counts_images_and_stands_beside_one_image_after_the_other(run, report):
    assert (report["throughput_batch"], report["measures"]) == (BATCH, ["net", "e2e", "throughput"])
    for variant in report["variants"]:
        told, alone = variant["throughput"], variant["e2e"]
        assert told["images_per_second"] == pytest.approx(1000 * BATCH / told["median_ms"], rel=1e-3)
        gains = [
            BATCH * np.median(a["ms"]) / np.median(b["ms"])
            for a, b in zip(alone["rounds"], told["rounds"], strict=True)
        ]
        assert told["gain"]["median"] == pytest.approx(np.median(gains), rel=1e-3)
        assert told["how"] == f"batch {BATCH}"
        (line,) = [text for text in run[1].splitlines() if text.startswith(f"{variant['name']}  ")]
        assert f"{told['images_per_second']:.1f}" in line
        assert f"{told['gain']['median']:.2f}" in line
        assert f"batch {BATCH}" in line


def test_throughput_says_how_it_was_computed(artefact, tmp_path):
    """Nothing is compiled anew for a saved artefact: it takes several images as it can."""
    model = create_model("stdc1_fcn", 11, width=16)
    segmenter = Segmenter(model, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), table=CAMVID)
    opened = compile(segmenter, "eager", size=SIZE, dynamic=("batch",)).save(tmp_path / "open")
    variants = [Variant("alone", "small", artefact), Variant("open", "small", opened)]
    protocol = replace(QUICK, rounds=1, warmup_seconds=0.0, warmup_iterations=1)
    images = [np.full((*SIZE, 3), value, np.uint8) for value in (0, 99)]
    report = bench(variants, images, threads=1, load_before=0.0, protocol=protocol, batch=5)
    assert [v["throughput"]["how"] for v in report["variants"]] == ["one by one", "open batch"]
    assert "5 images that are given at once" in bench_text(report)
    assert bench_picture(report).axes[-1].get_title("left").startswith("throughput: 5 images")


@pytest.mark.parametrize(
    ("runtime", "words", "how"),
    [
        pytest.param("ncnn", "ncnn", "one by one", marks=needs("ncnn")),
        pytest.param("openvino", "openvino:fp32:streams=2", "2 streams", marks=needs("openvino")),
    ],
)
def test_a_runtime_that_takes_one_image_at_a_time_is_given_one_at_a_time(runtime, words, how, tmp_path):
    network = Network("small", tiny_segmenter(), "a" * 64)
    samples = [Sample(np.zeros((*SIZE, 3), np.uint8), None, "nothing")]
    variant = make_variant(network, Choice.parse(words), SIZE, tmp_path / "0", samples, batch=4)
    assert variant.many is None
    protocol = replace(QUICK, rounds=1, warmup_seconds=0.0, warmup_iterations=1)
    report = bench([variant], [samples[0].image], threads=1, load_before=0.0, protocol=protocol, batch=4)
    assert report["variants"][0]["throughput"]["how"] == how


def test_turns_give_every_variant_one_place_in_each_round_and_the_first_in_turn():
    assert list(turns(3, 4)) == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]


def test_the_report_says_what_was_computed_and_on_what(run, report):
    exact, rounded = (v["quality"] for v in report["variants"])
    assert exact["disagreement"] == 0
    assert exact["miou"] == exact["miou_reference"]
    assert rounded["max_abs_error"] > exact["max_abs_error"] >= 0
    assert exact["compared_with"] == "small eager fp32"
    for variant in report["variants"]:
        assert variant["weights_sha256"] == run[2]
        assert variant["artefact"]["graphs"]["logits"]["dtypes"]
        assert variant["build_seconds"] > 0
        assert variant["memory"]["process_mb"] >= variant["memory"]["before_opening_mb"] > 0
        assert variant["memory"]["of"] == "e2e"
    assert report["environment"]["cpu"]["threads"] == report["threads"] == 1
    assert report["foreign_cores"] >= 0
    assert (report["quick"], report["size"], report["batch"]) == (True, list(SIZE), 1)


def test_the_best_of_a_network_is_its_fastest_and_float32_is_told_apart(report):
    medians = {v["name"]: v["net"]["median_ms"] for v in report["variants"]}
    found = best(report["variants"])["small"]
    assert found == report["best"]["small"]
    assert found["net"] == {"variant": min(medians, key=medians.get), "median_ms": min(medians.values())}
    assert found["net_fp32"]["variant"] == found["e2e_fp32"]["variant"] == "small eager fp32"


def test_the_command_prints_and_draws_what_it_writes(run, whole):
    folder, output, _ = run
    assert "QUICK LOOK" in output
    (roofline,) = whole["rooflines"]
    assert roofline["network"] == "small"
    macs = sum(m["macs"] for m in roofline["modules"])
    for variant in whole["runs"][0]["variants"]:
        peak = PEAKS.gflops[variant["precision"]]
        share = 2e-6 * macs / peak / variant["net"]["median_ms"]
        assert roofline["runtimes"][variant["name"]] == pytest.approx(share)
        assert f"{variant['name']}: {100 * share:.0f} % of the peak" in output
    for name in ("b.png", "b.roofline.small.64x96.png"):
        assert (folder / name).stat().st_size > 10_000


def test_less_than_the_protocol_is_refused_unless_it_is_called_quick():
    assert (FULL.rounds, FULL.warmup_iterations, FULL.gpu_iterations) == (30, 50, 1024)
    with pytest.raises(DeployError, match="rounds of 30 or more; for a quick look take --quick"):
        replace(FULL, rounds=10)
    with pytest.raises(DeployError, match="gpu_seconds of 60"):
        replace(FULL, gpu_seconds=1.0)
    assert replace(QUICK, rounds=1).rounds == 1
    with pytest.raises(DeployError, match="at least one round"):
        replace(QUICK, rounds=0)


def test_a_turn_has_as_many_iterations_as_the_protocol_asks_for():
    assert FULL.iterations(1000.0, gpu=False) == FULL.block_iterations
    assert FULL.iterations(1.0, gpu=False) == 1000 * FULL.block_seconds
    assert FULL.iterations(1e6, gpu=True) * FULL.rounds >= FULL.gpu_iterations
    assert 0 <= FULL.iterations(1.0, gpu=True) * FULL.rounds - 1000 * FULL.gpu_seconds < FULL.rounds


def test_what_cannot_be_compared_is_refused(artefact):
    images, known = [np.zeros((*SIZE, 3), np.uint8)], {"threads": 1, "load_before": 0.0}
    variant = Variant("small eager fp32", "small", artefact)
    with pytest.raises(DeployError, match="at least one variant"):
        bench([], images, **known)
    with pytest.raises(DeployError, match="two variants are called small eager fp32"):
        bench([variant, variant], images, **known)
    with pytest.raises(DeployError, match="no variant 'onnx' to compare with; there are: small eager fp32"):
        bench([variant], images, reference="onnx", **known)
    with pytest.raises(DeployError, match="no artefact"):
        bench([Variant("x", "x", Path("nowhere"))], images, **known)


def test_a_process_that_fails_or_dies_is_named(artefact, tmp_path):
    file = tmp_path / "images.npy"
    np.save(file, np.zeros((1, 32, 32, 3), np.uint8))
    before = dict(os.environ)
    with Worker("small eager", artefact, file, 1) as worker:
        assert dict(os.environ) == before
        with pytest.raises(DeployError, match="small eager: this artefact takes"):
            worker.ask("block", measure="e2e", iterations=1)
        assert worker.ask("memory")["process_mb"] > 0
        os.kill(worker.pid, signal.SIGTERM)
        with pytest.raises(DeployError, match="small eager: its process has ended"):
            worker.ask("warm", measure="net", iterations=1, seconds=600)


def test_stages_name_the_copies_and_resizes_that_an_artefact_has():
    about = {"size": [360, 480], "network_size": [360, 480], "graphs": {"labels": {"device": "cpu"}}}
    plain = " → ".join(stages(about)["e2e"])
    assert "360x480x3 on the host" in plain
    assert "copy" not in plain
    told = stages({**about, "network_size": [180, 240], "graphs": {"labels": {"device": "cuda"}}})["e2e"]
    assert told.index("copy to the GPU") < told.index("resize to 180x240") < told.index("copy to the host")
    assert "logits resized to 360x480" in told
