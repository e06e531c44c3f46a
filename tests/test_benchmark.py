"""Benchmarks take turns, count what they say they count, and refuse what cannot be compared. No test asks for speed."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from edgeseg import plots
from edgeseg.bench.pictures import bench_picture
from edgeseg.bench.plan import (
    Network,
    Variant,
    default_choices,
    make_variant,
    open_variant,
    parse_choice,
)
from edgeseg.bench.table import bench_text
from edgeseg.bench.timing import FULL, QUICK, Protocol, _Child, bench, best, stages, turns
from edgeseg.bench.worker import serve
from edgeseg.cli.bench import bench as bench_command
from edgeseg.data.labels import CAMVID
from edgeseg.deploy import DeployError
from edgeseg.deploy.parity import mini_set
from edgeseg.inference import Segmenter
from edgeseg.machine import Watch, describe_environment, peak_memory, physical_cores, warnings
from edgeseg.models.registry import create_model

SIZE = (64, 96)
ROUNDS = 3
PROTOCOL = Protocol(2, 0.0, ROUNDS, 2, 0.0, quick=True)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = create_model("stdc1_fcn", 11, width=16)
    return Network("small", Segmenter(model, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), table=CAMVID), "a" * 64)


@pytest.fixture(scope="module")
def samples(network):
    return mini_set(network.segmenter, SIZE, 1)


@pytest.fixture(scope="module")
def variants(network, samples, tmp_path_factory):
    home = tmp_path_factory.mktemp("artefacts")
    return [make_variant(network, parse_choice(f"eager:{p}"), SIZE, home / p, samples) for p in ("fp32", "bf16")]


@pytest.fixture(scope="module")
def report(variants, samples):
    return bench(variants, [s.image for s in samples], threads=1, protocol=PROTOCOL)


def test_every_variant_has_both_numbers_of_the_rounds_it_ran(report):
    assert [v["name"] for v in report["variants"]] == ["small eager fp32", "small eager bf16"]
    for variant in report["variants"]:
        for measure in ("net", "e2e"):
            told = variant[measure]
            assert told["n"] == sum(len(b["ms"]) for b in told["rounds"]) == 2 * ROUNDS
            assert 0 < told["min_ms"] <= told["median_ms"] <= told["p90_ms"] <= told["p99_ms"]
            assert told["fps"] == pytest.approx(1000 / told["median_ms"], abs=0.01)
            assert 0 < told["speedup"]["p10"] <= told["speedup"]["median"] <= told["speedup"]["p90"]
    assert report["variants"][0]["net"]["speedup"] == {"median": 1, "p10": 1, "p90": 1}


def test_ratios_are_formed_within_each_round(report):
    base, other = (v["net"]["rounds"] for v in report["variants"])
    ratios = [np.median(a["ms"]) / np.median(b["ms"]) for a, b in zip(base, other, strict=True)]
    assert report["variants"][1]["net"]["speedup"]["median"] == pytest.approx(np.median(ratios), abs=1e-4)


def test_variants_and_measures_take_turns(report):
    starts = [
        [b["at_s"] for v in report["variants"] for m in ("net", "e2e") for b in [v[m]["rounds"][r]]]
        for r in range(ROUNDS)
    ]
    assert all(max(a) <= min(b) for a, b in pairwise(starts))
    first = [min(report["variants"], key=lambda v: v["net"]["rounds"][r]["at_s"])["name"] for r in range(2)]
    assert len(set(first)) == 2


def test_turns_give_every_variant_one_place_in_each_round_and_the_first_in_turn():
    order = list(turns(3, 4))
    assert order == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]


def test_the_report_says_what_was_computed_and_on_what(report):
    exact, rounded = (v["quality"] for v in report["variants"])
    assert exact["disagreement"] == 0
    assert exact["miou"] == exact["miou_reference"]
    assert rounded["max_abs_error"] > exact["max_abs_error"] >= 0
    assert exact["compared_with"] == "small eager fp32"
    for variant in report["variants"]:
        assert variant["weights_sha256"] == "a" * 64
        assert variant["artefact"]["graphs"]["logits"]["dtypes"]
        assert variant["build_seconds"] > 0
        assert variant["memory"]["process_mb"] >= variant["memory"]["before_opening_mb"] > 0
        assert variant["memory"]["of"] == "e2e"
    assert report["environment"]["cpu"]["threads"] == 1
    assert report["environment"]["versions"]["torch"]
    assert json.loads(json.dumps(report)) == report


def test_the_best_of_a_network_is_its_fastest_and_float32_is_told_apart(report):
    found = report["best"]["small"]
    medians = {v["name"]: v["net"]["median_ms"] for v in report["variants"]}
    assert found["net"]["variant"] == min(medians, key=medians.get)
    assert found["net_fp32"]["variant"] == "small eager fp32"
    assert best(report["variants"], ["e2e"])["small"].keys() == {"e2e", "e2e_fp32"}


def only(report, variant):
    return {**report, "variants": [variant], "best": best([variant])}


def test_the_text_names_every_variant_and_says_that_it_was_a_quick_look(report):
    text = bench_text(report)
    assert "QUICK LOOK" in text
    for variant in report["variants"]:
        assert f"{variant['net']['median_ms']:.2f}" in text
        assert f"{variant['quality']['miou']:.2f}" in text
        assert variant["name"] in text
    for words in ("argmax (inside the graph)", "no throughput", "peak memory"):
        assert words in text


def test_the_text_shows_no_miou_of_random_weights(report):
    quality = {**report["variants"][0]["quality"], "miou": 12.345}
    variants = [{**report["variants"][0], "quality": quality, "weights_sha256": w} for w in ("a", "random, seed 0")]
    trained, random = (bench_text(only(report, v)) for v in variants)
    assert " 12.35 " in trained
    assert " 12.35 " not in random
    assert "random weights" in random


def test_the_text_names_what_is_outside_its_tolerance(report):
    wrong = {**report["variants"][1], "quality": {**report["variants"][1]["quality"], "exceeded": ["disagreement"]}}
    assert "OUTSIDE ITS TOLERANCE: small eager bf16 (disagreement)" in bench_text(only(report, wrong))


def test_the_picture_is_drawn(report, tmp_path):
    assert plots.save(bench_picture(report), tmp_path / "bench.png").stat().st_size > 10_000


# Refusals -------------------------------------------------------------------------------------------------------------


def test_less_than_the_protocol_is_refused_unless_it_is_called_quick():
    assert FULL.rounds >= 30
    assert FULL.warmup_iterations >= 50
    with pytest.raises(DeployError, match="rounds of 30 or more; for a quick look take --quick"):
        replace(FULL, rounds=10)
    with pytest.raises(DeployError, match="gpu_seconds of 60"):
        replace(FULL, gpu_seconds=1.0)
    assert replace(QUICK, rounds=1).rounds == 1
    with pytest.raises(DeployError, match="at least one round"):
        replace(QUICK, rounds=0)


def test_what_cannot_be_compared_is_refused(variants, samples):
    images = [s.image for s in samples]
    with pytest.raises(DeployError, match="at least one variant"):
        bench([], images)
    with pytest.raises(DeployError, match=r"several sizes \(64x96, 64x97\)"):
        bench(variants, [np.zeros((64, 97, 3), np.uint8)])
    with pytest.raises(DeployError, match="two variants are called small eager fp32"):
        bench([variants[0], variants[0]], images)
    with pytest.raises(DeployError, match="no variant 'onnx' to compare with; there are: small eager fp32; small"):
        bench(variants, images, reference="onnx")
    with pytest.raises(DeployError, match="no measure fps; there are net, e2e"):
        bench(variants, images, measures=["fps"])
    with pytest.raises(DeployError, match="no artefact"):
        bench([Variant("x", "x", Path("nowhere"))], images)


def test_a_variant_whose_process_dies_is_named(variants):
    with _Child(variants[0], 1) as child:
        child._process.kill()
        child._process.wait()
        with pytest.raises(DeployError, match="small eager fp32: its process ended with code"):
            child.ask("memory")


def test_a_worker_answers_errors_and_goes_on():
    answers = io.StringIO()
    serve(io.StringIO('{"do": "block"}\n{"do": "open", "folder": "nowhere", "images": "x"}\nno json\n'), answers)
    told = [json.loads(line)["error"] for line in answers.getvalue().splitlines()]
    assert "open first" in told[0]
    assert "nowhere: no artefact" in told[1]
    assert len(told) == 3


def test_choices_of_runtimes_are_read_and_wrong_ones_refused():
    choice = parse_choice("eager:bf16:channels_last=False,device=cpu")
    assert (choice.runtime, choice.precision) == ("eager", "bf16")
    assert choice.options == {"channels_last": False, "device": "cpu"}
    assert str(choice) == "eager bf16 channels_last=False,device=cpu"
    assert parse_choice("onnx").precision == "fp32"
    for text, words in (
        ("onx", "did you mean onnx"),
        ("onnx:fp31", "choose from fp32"),
        ("eager:fp32:channels_last", "name=value"),
    ):
        with pytest.raises(DeployError, match=words):
            parse_choice(text)


def test_the_default_runtimes_can_run_here_or_say_why_not():
    chosen, left_out = default_choices()
    assert str(chosen[0]) == "eager fp32"
    assert len(chosen) + len(left_out) == 4
    assert all("cannot run here" in reason for reason in left_out)


def test_a_saved_artefact_is_compared_with_a_network_of_its_kind_and_else_scored_alone(network, variants, samples):
    samples = samples[:1]
    known = open_variant(variants[0].folder, [network], samples)
    assert known.network == "small"
    assert known.quality["disagreement"] == 0
    alone = open_variant(variants[0].folder, [], samples)
    assert alone.quality["miou"] == pytest.approx(known.quality["miou"])
    assert "disagreement" not in alone.quality


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_times_a_saved_artefact(variants, tmp_path):
    app = typer.Typer()
    app.command()(bench_command)
    files = {name: tmp_path / name for name in ("b.json", "b.png")}
    arguments = ["--quick", "--rounds", "2", "--threads", "1", "--json", files["b.json"], "--picture", files["b.png"]]
    done = CliRunner().invoke(app, [str(variants[0].folder), *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "QUICK LOOK" in done.output
    (run,) = json.loads(files["b.json"].read_text())["runs"]
    assert run["size"] == list(SIZE)
    assert len(run["variants"][0]["e2e"]["rounds"]) == 2
    assert files["b.png"].stat().st_size > 10_000


def test_the_command_asks_for_the_size_of_a_folder(variants):
    app = typer.Typer()
    app.command()(bench_command)
    with pytest.raises(ValueError, match="add --size 64x96"):
        CliRunner().invoke(app, [str(variants[0].folder), "--size", "96x96"], catch_exceptions=False)


# Stages and surroundings ----------------------------------------------------------------------------------------------


def test_stages_name_the_copies_and_resizes_that_an_artefact_has():
    about = {"size": [360, 480], "network_size": [360, 480], "graphs": {"labels": {"device": "cpu"}}}
    plain = " → ".join(stages(about)["e2e"])
    assert "360x480x3 on the host" in plain
    assert "copy" not in plain
    resized = {**about, "network_size": [180, 240], "graphs": {"labels": {"device": "cuda"}}}
    told = stages(resized)["e2e"]
    assert told.index("copy to the GPU") < told.index("resize to 180x240") < told.index("copy to the host")
    assert "logits resized to 360x480" in told


def test_the_environment_is_json_and_the_cores_are_those_allowed():
    facts = describe_environment(2)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"]["model"]
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


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
    if not Path("/proc/stat").exists():
        pytest.skip("needs /proc")
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        stranger, ours = Watch(), Watch([busy.pid])
        busy_wait = subprocess.run([sys.executable, "-c", "import time; time.sleep(1)"], check=True)
        assert busy_wait.returncode == 0
        seen, known = stranger.foreign_cores(), ours.foreign_cores()
    finally:
        busy.kill()
        busy.wait()
    assert seen > known >= 0


def test_warnings_name_load_and_strangers_and_too_many_threads():
    assert warnings(1, 0.3, 0.0) == []
    told = " ".join(warnings(physical_cores() + 1, 99.0, 0.5))
    for words in ("load average was 99.00", "others kept 0.50 cores busy", "physical cores"):
        assert words in told
