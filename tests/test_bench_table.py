"""The published benchmark, read again: its text names every variant and says what its numbers are."""

import json
from pathlib import Path

import pytest

from edgeseg import plots
from edgeseg.bench.table import bench_picture, bench_text

PUBLISHED = Path(__file__).resolve().parent.parent / "course" / "results" / "bench_cpu.json"


@pytest.fixture(scope="module")
def report():
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))["runs"][0]


def one(report, **changes):
    """The report with its first variant alone, changed."""
    variant = report["variants"][0]
    return {**report, "best": {variant["network"]: {}}, "variants": [{**variant, **changes}]}


def line(text, name):
    return next(line for line in text.splitlines() if line.startswith(f"{name}  "))


def test_every_variant_has_a_line_with_its_numbers(report):
    text = bench_text(report)
    for variant in report["variants"]:
        cells = line(text, variant["name"])
        for measure in ("net", "e2e"):
            assert f"{variant[measure]['median_ms']:.2f}" in cells
            assert f"{variant[measure]['fps']:.1f}" in cells
        assert f"{100 * variant['quality']['disagreement']:.3f}" in cells
    for words in ("512x1024", "2 threads of 2 cores", "argmax (inside the graph)", "no throughput", "peak memory"):
        assert words in text


def test_the_best_runtime_of_each_network_is_named(report):
    text = bench_text(report)
    for network, found in report["best"].items():
        told = line(text, f"  {network}")
        assert f"net {found['net']['median_ms']:.2f} ms" in told
        assert f"e2e fp32 {found['e2e_fp32']['median_ms']:.2f} ms" in told


def test_a_quick_look_and_a_machine_that_was_not_quiet_say_so(report):
    assert "QUICK LOOK" not in bench_text(report)
    told = bench_text({**report, "quick": True, "warnings": ["others kept 1.00 cores busy"]})
    assert "QUICK LOOK" in told
    assert "warning: others kept 1.00 cores busy" in told


def test_random_weights_have_no_miou(report):
    quality = {**report["variants"][0]["quality"], "miou": 12.345}
    trained, random = (bench_text(one(report, quality=quality, weights_sha256=w)) for w in ("a", "random, seed 0"))
    assert " 12.35 " in trained or " 12.34 " in trained
    assert " 12.3" not in random
    assert "random weights" in random


def test_what_is_outside_its_tolerance_is_named(report):
    quality = {**report["variants"][0]["quality"], "exceeded": ["disagreement"]}
    told = f"OUTSIDE ITS TOLERANCE: {report['variants'][0]['name']} (disagreement)"
    assert told in bench_text(one(report, quality=quality))
    assert told not in bench_text(report)


def test_an_artefact_that_was_not_compared_has_dashes(report):
    assert line(bench_text(one(report, quality={})), report["variants"][0]["name"]).split()[-3:] == ["–"] * 3


def test_the_picture_is_drawn(report, tmp_path):
    assert plots.save(bench_picture(report), tmp_path / "bench.png").stat().st_size > 10_000
