"""``edgeseg weights``: what is typed, what comes back, and the exit status."""

from __future__ import annotations

import pytest

from edgeseg.models.zoo import get_record
from edgeseg.training.publish import verify_weight
from finished_weights import LICENCE, METRIC, camvid_licence, isolate_weights, put_weight
from test_cli import edgeseg

NAME = "cross_cbam_m.toy"


@pytest.fixture
def run(monkeypatch, capsys):
    return lambda *words: edgeseg(monkeypatch, capsys, "weights", *words)


@pytest.fixture
def package(monkeypatch, tmp_path):
    isolate_weights(monkeypatch, tmp_path)
    put_weight(tmp_path / "packaged")
    return tmp_path / "packaged"


def test_list_names_protocol_size_and_licence_and_never_cuts_a_name(run, package):
    sizes = {"size": [720, 960], "scored_at": [360, 480], "data": "camvid", "definition": "A", "seeds": [0, 1, 2]}
    metric = {**METRIC, **sizes}
    put_weight(package, "cross_cbam_m.camvid", licence="CamVid research use", licence_file=LICENCE, metric=metric)
    put_weight(package, long := "cross_cbam_m." + "long" * 12, licence="a licence with a very long name " * 3)
    code, out, _ = run("list")
    assert code == 0
    assert "61.25" in out
    assert "camvid test A, 720×960→360×480, 3 seeds" in out
    assert "CamVid research use" in out
    assert len(out.splitlines()) == 4
    assert f"{long}  " in out
    assert "a licence with a…" in out


def test_list_of_the_packages_own_weights_fits(run):
    code, out, _ = run("list")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    assert "cross_cbam_m.streets" in out


def test_show_says_all_that_the_record_says(run, package):
    code, out, _ = run("show", NAME)
    assert code == 0
    record = get_record(NAME)
    for part in (record.sha256, record.licence, record.data, "Bicyclist", "miou", "golden output", str(package)):
        assert part in out


def test_verify_is_silent_about_nothing_and_ends_with_0_or_1(run, package):
    code, out, _ = run("verify")
    assert (code, out) == (0, f"✓ {NAME}: hash, description, golden output within 0.02\n")
    put_weight(package, "cross_cbam_m.bad", seed=1, mean=(0.0, 0.0, 0.0))
    code, out, _ = run("verify")
    assert code == 1
    assert out.startswith("✗ cross_cbam_m.bad: its record says mean")
    assert f"✓ {NAME}" in out
    assert run("verify", NAME)[0] == 0
    assert run("verify", NAME, "cross_cbam_m.bad")[0] == 1


def test_verify_of_an_unknown_weight_lists_those_there_are(run, package):
    code, out, _ = run("verify", "cross_cbam_m.none")
    assert code == 1
    assert f"there are {NAME}" in out


def test_verify_does_not_fetch_what_nobody_asked_for(run, package):
    put_weight(package, "cross_cbam_m.far", url="http://127.0.0.1:9/far.safetensors")
    (package / "cross_cbam_m.far.safetensors").unlink()
    code, out, _ = run("verify")
    assert code == 0
    assert "– cross_cbam_m.far: not on this machine" in out
    assert "–" in run("list")[1]


def test_licence_prints_the_text(run, package):
    camvid_licence(package)
    put_weight(package, "cross_cbam_m.camvid", licence="CamVid research use", licence_file=LICENCE)
    assert run("licence", "cross_cbam_m.camvid")[1] == (package / LICENCE).read_text(encoding="utf-8")
    assert "Apache License" in run("licence", NAME)[1]


def test_import_says_where_the_weight_went(run, package, tmp_path):
    put_weight(tmp_path / "given", "cross_cbam_m.new")
    code, out, err = run("import", tmp_path / "given")
    assert code == 0, err
    assert str(tmp_path / "cache" / "weights" / "cross_cbam_m.new.safetensors") in out
    assert verify_weight("cross_cbam_m.new") == []


def test_import_of_nothing_useful_is_one_line_with_the_cure(run, package, tmp_path):
    code, _, err = run("import", tmp_path)
    assert code == 2
    assert "no record" in err
    assert err.count("\n") == 1


def test_golden_is_measured_by_a_command(run, package):
    put_weight(package, golden=None)
    assert run("verify")[1] == f"✓ {NAME}: hash, description, no golden output in its record\n"
    assert run("golden", NAME)[0] == 0
    assert "golden output within" in run("verify")[1]
