"""``edgeseg export``: parity beside every artefact, failures kept aside, wrong input refused before compiling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from edgeseg import cli
from edgeseg.data import pairs
from edgeseg.data.pairs import read_image
from edgeseg.deploy import Artefact, parity
from edgeseg.models.zoo import get_record
from test_finetune import own_data

MODEL = "cross_cbam_m.streets"


def run(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["edgeseg", *map(str, words)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0


def test_an_export_ends_with_its_parity(monkeypatch, tmp_path, capsys):
    out, report = tmp_path / "m", tmp_path / "m.json"
    code = run(monkeypatch, "export", MODEL, "--runtime", "eager", "--option", "device=cpu", "--size", "64x96",
               "--out", out, "--json", report)  # fmt: skip
    assert code == 0
    about = json.loads(report.read_text())
    assert {"max_abs_error", "disagreement", "miou_gap"} <= set(about["parity"])
    assert about["parity"]["max_abs_error"] < 1e-4 * max(1, about["parity"]["largest_logit"])
    assert about["folder"] == str(out)
    assert (about["weights"], about["weights_sha256"]) == (MODEL, get_record(MODEL).sha256)
    assert Artefact.load(out).size == (64, 96)
    assert "within tolerance" in capsys.readouterr().out


def test_the_logits_graph_can_be_left_out_and_own_data_be_checked_on(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "home"))  # without CamVid's frames
    data, out, report = tmp_path / "data", tmp_path / "m", tmp_path / "m.json"
    own_data(data, 2, (64, 96))
    words = ("export", MODEL, "--runtime", "eager", "--option", "device=cpu", "--size", "64x96", "--out", out)
    assert run(monkeypatch, *words, "--graphs", "labels", "--data", data, "--json", report) == 0
    assert sorted(p.name for p in out.iterdir()) == ["artefact.json", "labels.pt2"]
    about = json.loads(report.read_text())
    assert list(about["graphs"]) == ["labels"]
    assert about["parity"]["sources"] == ["streets test", f"{data} test"]
    assert "max abs error –" in capsys.readouterr().out
    assert run(monkeypatch, "bench", out, "--quick") == 2
    assert f"{out}: built without its logits graph" in capsys.readouterr().err


def test_a_polite_end_leaves_neither_an_artefact_nor_what_it_was_built_in(tmp_path):
    """SIGTERM: a job's time is up, a container is stopped."""
    for name in ("temporary", "out"):
        (tmp_path / name).mkdir()
    words = ("export", MODEL, "--runtime", "onnx", "--size", "64x96", "--out", tmp_path / "out" / "m")
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen([sys.executable, "-m", "edgeseg", *map(str, words)], env=environment) as process:
        deadline = time.monotonic() + 120
        while not any((tmp_path / "temporary").glob("edgeseg-*")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        assert process.wait(60) == 143
    assert list(tmp_path.rglob("*edgeseg-*")) == []
    assert list((tmp_path / "out").iterdir()) == []


def test_outside_the_tolerance_the_artefact_is_kept_aside(monkeypatch, tmp_path, capsys):
    strict = {**parity.TOLERANCES, "bf16": parity.Tolerance(0.0, 0.0, -100.0)}
    monkeypatch.setattr(parity, "TOLERANCES", strict)
    words = ("export", MODEL, "--runtime", "eager", "--precision", "bf16", "--option", "device=cpu", "--size", "64x96",
             "--out", tmp_path / "m", "--json", tmp_path / "m.json")  # fmt: skip
    assert run(monkeypatch, *words) == 2
    assert not (tmp_path / "m").exists()
    assert Artefact.load(tmp_path / "m.rejected").precision == "bf16"
    assert json.loads((tmp_path / "m.json").read_text())["parity"]["passed"] is False
    assert "does not compute what the model does (max_abs_error, disagreement, miou_gap" in capsys.readouterr().err
    assert run(monkeypatch, *words) == 2
    assert (tmp_path / "m.rejected2").is_dir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--runtime", "onxx"), "did you mean onnx"),
        (("--runtime", "eager", "--option", "cuda_graphs=True"), "no option 'cuda_graphs'"),
        (("--runtime", "eager", "--option", "channels_last=2"), "channels_last=2: give true or false"),
        (("--runtime", "eager", "--precision", "int8"), "eager has no int8; it builds fp32, fp16, bf16"),
        (("--size", "640"), "write height x width"),
        (("--runtime", "eager", "--graphs", "logits"), "labels is what segments"),
        (("--runtime", "eager", "--graphs", "label"), "did you mean labels?"),
        (("--runtime", "eager", "--graphs", ""), "there are labels, logits"),
        (("--runtime", "eager", "--calibration", "streets"), "to check fp32 on your data: --data streets"),
        (("--runtime", "eager", "--data", "nowhere"), "nowhere"),
    ],
)
def test_wrong_words_end_in_one_line_with_the_cure(monkeypatch, tmp_path, capsys, words, message):
    assert run(monkeypatch, "export", MODEL, "--out", tmp_path / "m", *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert not (tmp_path / "m").exists()


def test_a_folder_that_exists_is_refused_before_compiling(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, "export", MODEL, "--runtime", "eager", "--out", tmp_path) == 2
    captured = capsys.readouterr()
    assert "is there already" in captured.err
    assert "compiling" not in captured.out


def test_an_artefact_is_scored_as_it_is(monkeypatch, tmp_path, capsys):
    run(monkeypatch, "export", MODEL, "--runtime", "eager", "--option", "device=cpu", "--size", "64x96",
        "--out", tmp_path / "m")  # fmt: skip
    scores = {}
    for model in (MODEL, tmp_path / "m"):
        words = ("--data", "streets", "--data-size", "64x96", "--count", "3", "--json", tmp_path / "score.json")
        assert run(monkeypatch, "eval", model, *words) == 0
        scores[model] = json.loads((tmp_path / "score.json").read_text())
    weight, artefact = scores.values()
    assert artefact["miou"] == weight["miou"]
    assert (artefact["runtime"], artefact["precision"], artefact["size"]) == ("eager", "fp32", [64, 96])
    assert artefact["artefact_sha256"]
    capsys.readouterr()
    for words in (("--flip",), ("--size", "64x96")):
        assert run(monkeypatch, "eval", tmp_path / "m", "--data", "streets", *words) == 2
        assert "leave --size and --flip away" in capsys.readouterr().err
    assert run(monkeypatch, "eval", tmp_path / "m", "--data", "streets", "--count", "1") == 2  # scenes of 360×480
    assert "its size is fixed" in capsys.readouterr().err
    assert run(monkeypatch, "eval", tmp_path, "--data", "streets") == 2


def test_a_fine_tuned_network_of_own_classes_becomes_an_int8_artefact(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "home"))  # without CamVid's frames
    data, run_folder, out = tmp_path / "data", tmp_path / "run", tmp_path / "artefact"
    own_data(data, 4, (64, 96))
    reads = []
    monkeypatch.setattr(pairs, "read_image", lambda path: reads.append(path) or read_image(path))
    train = ("data_size=none", "val_split=none", "minutes=0", "iterations=3", "batch=2", "crop=64,96", "precise_bn=0",
             "amp=none", "class_weights=none")  # fmt: skip
    words = ("train", "streets_cpu", f"data={data}", *train, "--init", MODEL, "--out", run_folder, "--device", "cpu")
    assert run(monkeypatch, *words) == 0
    weight = run_folder / "weights.safetensors"
    int8 = ("--runtime", "onnx", "--precision", "int8", "--size", "64x96", "--out", out)
    reads.clear()
    assert run(monkeypatch, "export", weight, *int8) == 2
    assert "--calibration" in capsys.readouterr().err
    assert run(monkeypatch, "export", weight, *int8, "--calibration", data, "--calibration-count", "4") == 0
    read = [(data / split / "images").iterdir() for split in ("train", "test")]  # calibrates, and is checked on
    assert sorted(p for p in reads if data in p.parents) == sorted(p for folder in read for p in folder)
    assert f"(streets test, {data} test): within" in capsys.readouterr().out
    score = ("eval", out, "--data", data, "--split", "test", "--json", tmp_path / "score.json")
    assert run(monkeypatch, *score) == 0
    result = json.loads((tmp_path / "score.json").read_text())
    assert list(result["per_class_iou"]) == ["flat", "other"]
    assert (result["runtime"], result["precision"], result["images"]) == ("onnx", "int8", 4)
    capsys.readouterr()
    words = ("live", data / "test" / "images", "--model", out, "--headless", "--fps", "0", "--json", "-")
    assert run(monkeypatch, *words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert {name for line in lines for name in line["classes"]} <= {"flat", "other"}
    assert all(sum(line["classes"].values()) == pytest.approx(1, abs=1e-3) for line in lines)
