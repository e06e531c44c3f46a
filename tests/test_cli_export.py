"""``edgeseg export``: parity beside every artefact, failures kept aside, wrong input refused before compiling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeseg import cli
from edgeseg.data import pairs
from edgeseg.data.labels import CAMVID
from edgeseg.data.pairs import read_image
from edgeseg.deploy import Artefact, parity
from edgeseg.inference import load_segmenter
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta
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
        (("--runtime", "eager", "--dynamic", "sizes"), "did you mean size?"),
        (("--runtime", "eager", "--dynamic", "batch", "--batch", "2"), "batch = 2 is a fixed batch"),
        (("--runtime", "eager", "--dynamic", "size", "--size", "32x64"), "Take 33x64"),
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


EAGER = ("--runtime", "eager", "--option", "device=cpu", "--size", "64x96", "--graphs", "labels")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A weight of a narrow network, random."""
    torch.manual_seed(0)
    meta = weight_meta(CAMVID.names, CAMVID.colors, "toy", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    file = tmp_path_factory.mktemp("weight") / "small.safetensors"
    save_weights(file, create_model("stdc1_fcn", 11, width=16), meta)
    return file


def pictures_of(folder: Path, *sizes: tuple[int, int]) -> list[Path]:
    """Noise, one picture of each (H, W)."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for number, size in enumerate(sizes):
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def masks_of(monkeypatch, model: Path, pictures: Path) -> list[np.ndarray]:
    """What ``edgeseg predict`` writes for a folder of pictures."""
    out = pictures.with_name(f"{model.name} masks")
    assert run(monkeypatch, "predict", pictures, "--model", model, "--out", out) == 0
    return [np.asarray(Image.open(file)) for file in sorted(out.glob("*.mask.png"))]


@pytest.mark.slow
def test_an_open_artefact_takes_pictures_of_any_size(small, monkeypatch, tmp_path, capsys):
    out, report = tmp_path / "open", tmp_path / "m.json"
    words = ("export", small, *EAGER, "--dynamic", "batch", "--dynamic", "size", "--out", out, "--json", report)
    assert run(monkeypatch, *words) == 0
    about = json.loads(report.read_text())
    assert (about["dynamic"], about["parity"]["passed"]) == (["batch", "size"], True)
    assert about["parity"]["images"] > len(parity.mini_set(load_segmenter(small), (64, 96)))  # and at another size
    pictures = pictures_of(tmp_path / "pictures", (70, 101), (64, 96), (20, 80))
    artefact, masks = Artefact.load(out), masks_of(monkeypatch, out, tmp_path / "pictures")
    assert [mask.shape for mask in masks] == [(70, 101), (64, 96), (20, 80)]
    for picture, mask in zip(pictures[:2], masks[:2], strict=True):
        assert np.array_equal(mask, artefact(Image.open(picture)))
    told = capsys.readouterr().out
    assert told.count("seen at the artefact's") == told.count("seen at the artefact's 33x80, not at 20x80") == 1
    assert run(monkeypatch, "predict", pictures[0], "--model", out, "--size", "48x64", "--out", tmp_path / "p") == 0
    assert "seen at the artefact's 48x64, not at 70x101" in capsys.readouterr().out
    assert run(monkeypatch, "eval", out, "--data", "streets", "--data-size", "48x64", "--count", "1") == 0
    assert "scored at 48×64" in capsys.readouterr().out
    seen = set()
    labels = Artefact.labels
    monkeypatch.setattr(Artefact, "labels", lambda self, x: seen.add(tuple(x.shape)) or labels(self, x))
    for size in ((), ("--size", "40x64")):
        assert run(monkeypatch, "live", "streets", "--model", out, "--headless", "--frames", "2", *size) == 0
    assert seen == {(1, 3, 360, 480), (1, 3, 40, 64)}


def test_an_artefact_of_a_batch_segments_any_number_of_pictures(small, monkeypatch, tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(monkeypatch, "export", small, *EAGER, "--out", one) == 0
    assert run(monkeypatch, "export", small, *EAGER, "--batch", "2", "--out", two) == 0
    pictures_of(tmp_path / "pictures", (64, 96), (30, 40), (64, 96))
    (tmp_path / "pictures" / "0a.png").write_bytes(b"no picture")
    shapes = []
    labels = Artefact.labels
    monkeypatch.setattr(Artefact, "labels", lambda self, x: shapes.append(tuple(x.shape)) or labels(self, x))
    for folder in (one, two):
        out = tmp_path / f"{folder.name} masks"
        assert run(monkeypatch, "predict", tmp_path / "pictures", "--model", folder, "--out", out) == 2
        assert "1 of 4 pictures were not segmented" in capsys.readouterr().err
    assert shapes == [(1, 3, 64, 96)] * 3 + [(2, 3, 64, 96)] * 2
    for name in ("0", "1", "2"):
        masks = [np.asarray(Image.open(tmp_path / f"{which} masks" / f"{name}.mask.png")) for which in ("one", "two")]
        assert (masks[0] == masks[1]).mean() > 0.999  # another order of adding up, at most
    assert run(monkeypatch, "eval", two, "--data", "streets", "--data-size", "64x96", "--count", "1") == 0
    assert run(monkeypatch, "live", "streets", "--model", two, "--headless", "--frames", "1") == 2
    assert "takes 2 images at a time, and live has one: export it for batch 1" in capsys.readouterr().err


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
