"""The command line: what a user types, what comes back, and one clear line when it cannot work."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from edgeseg import cli
from edgeseg.deploy import compile
from edgeseg.inference import load_segmenter
from edgeseg.models import papers

TINY = ("batch=2", "crop=64,64", "precise_bn=0", "switches={'width': 8, 'aspp_channels': 16}", "val_split=none",
        "--device", "cpu")  # fmt: skip


def edgeseg(monkeypatch, capsys, *words):
    """Run one command in this process; returns exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["edgeseg", *map(str, words)])
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    return code, *capsys.readouterr()


@pytest.fixture
def run(monkeypatch, capsys):
    return lambda *words: edgeseg(monkeypatch, capsys, *words)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny network, trained for two steps by the command itself."""
    out = tmp_path_factory.mktemp("run")
    words = ["streets_cpu", "iterations=2", "data_size=64,96", "data_count=4", *TINY, "--out", str(out)]
    done = subprocess.run([sys.executable, "-m", "edgeseg", "train", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_help_lists_the_commands(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ("check", "quickstart", "data", "train", "eval", "predict", "streets", "models"):
        assert command in out


def test_check_runs_the_network(run):
    code, out, _ = run("check")
    assert code == 0
    assert "(1, 11, 360, 480)" in out
    assert "bfloat16" in out
    assert "does not go with" not in out


def test_check_tells_a_torchvision_that_was_built_for_another_torch(run, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)  # as its compiled part fails to load
    assert re.search(r"torchvision +\S+ does not go with torch .*: take both from one index", run("check")[1])


def test_models_prints_parameters_and_the_papers_tables(run, monkeypatch):
    for table in ("_ON_CITYSCAPES", "_ON_VOC", "_FIG_6"):  # tests/test_papers.py counts them
        monkeypatch.setattr(papers, table, ())
    code, out, _ = run("models", "cross_cbam_m")
    assert code == 0
    assert "11.6169" in out
    code, out, _ = run("models", "--paper")
    assert code == 0
    assert "11.31" in out
    assert "16.67" in out


def test_train_list_shows_the_recipes(run):
    code, out, _ = run("train", "list")
    assert code == 0
    assert "camvid_cpu" in out


def test_training_writes_a_run(trained):
    assert {"weights.safetensors", "log.jsonl", "report.json"} <= {p.name for p in trained.iterdir()}


def photo(path, size=(90, 60)):
    """A picture file of noise, width × height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60).convert("RGB").save(path)
    return path


@pytest.fixture
def segment(run, trained, monkeypatch, tmp_path):
    """``edgeseg predict`` with the tiny network, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: run("predict", *words, "--model", trained / "weights.safetensors")


def test_predict_writes_mask_and_overlay_and_says_how_to_read_them(segment, tmp_path):
    code, out, err = segment(photo(tmp_path / "photos" / "street.jpg"))
    assert code == 0, err
    with Image.open(tmp_path / "predictions" / "street.mask.png") as mask:
        assert mask.size == (90, 60)
        assert np.asarray(mask).max() < 11
    assert (tmp_path / "predictions" / "street.overlay.png").exists()
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["street.jpg"]
    assert "predictions/street.mask.png" in out.replace("\\", "/")
    assert "np.asarray(Image.open(" in out


@pytest.mark.parametrize(
    ("first", "second"), [("cam0/0001.jpg", "cam1/0001.jpg"), ("a.jpg", "a.png"), ("A.jpg", "a.png")]
)
def test_predict_refuses_two_pictures_with_one_result_before_it_starts(segment, tmp_path, first, second):
    code, _, err = segment(photo(tmp_path / first), photo(tmp_path / second), "--out", "o")
    assert code == 2
    assert str(tmp_path / first) in err
    assert str(tmp_path / second) in err
    assert "--out" in err
    assert not (tmp_path / "o").exists()


def test_predict_takes_a_picture_that_is_named_twice_once(segment, tmp_path):
    photo(tmp_path / "a.jpg")
    code, out, err = segment("a.jpg", "./a.jpg", tmp_path / "a.jpg")
    assert code == 0, err
    assert out.count("a.mask.png,") == 1


def test_predict_never_segments_its_own_results(segment, tmp_path):
    photo(tmp_path / "a.png")
    for _ in range(2):
        code, _, err = segment(*sorted(tmp_path.glob("*.png")), "--out", ".")
        assert code == 0, err
        assert sorted(p.name for p in tmp_path.glob("*.png")) == ["a.mask.png", "a.overlay.png", "a.png"]
    assert "2 result(s) of edgeseg predict" in err
    code, _, err = segment("a.mask.png")
    assert code == 2
    assert "a.mask.png" in err


def test_predicting_a_data_sets_images_leaves_it_a_data_set(run, segment, monkeypatch, tmp_path):
    assert run("streets", tmp_path / "scenes", "--count", 2, "--size", "64x96")[0] == 0
    monkeypatch.chdir(tmp_path / "scenes" / "images")
    code, _, err = segment(*sorted((tmp_path / "scenes" / "images").iterdir()))
    assert code == 0, err
    assert run("data", "check", tmp_path / "scenes")[0] == 0


def test_predict_goes_on_after_a_picture_that_fails_and_lists_the_failures(segment, tmp_path):
    good, more = photo(tmp_path / "good.jpg"), photo(tmp_path / "more.png")
    small, bad = photo(tmp_path / "small.png", (20, 20)), tmp_path / "bad.jpg"
    bad.write_bytes(good.read_bytes()[:300])
    code, out, err = segment(good, bad, small, "missing.jpg", more)
    assert code == 2
    assert "3 of 5" in err
    for words in (f"{bad}: truncated", f"{small}: ", "missing.jpg: no such file"):
        assert err.count(words) == 1, words
    assert "good.mask.png" in out
    assert "more.mask.png" in out
    assert {p.name for p in (tmp_path / "predictions").glob("*.mask.png")} == {"good.mask.png", "more.mask.png"}


def test_predict_takes_a_folder_and_the_folder_of_a_run(run, trained, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.jpg"):
        photo(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    for out in ("o", "photos", "photos"):  # the last time with its own results among them
        code, text, err = run("predict", "photos", "--model", trained, "--out", out)
        assert code == 0, err
        assert text.index("a.mask.png") < text.index("b.mask.png")
        assert sorted(p.name for p in (tmp_path / out).glob("*.mask.png")) == ["a.mask.png", "b.mask.png"]
    photo(tmp_path / "photos" / "a.png")
    code, _, err = run("predict", "photos", "--model", trained, "--out", "p")
    assert (code, (tmp_path / "p").exists()) == (2, False)
    (tmp_path / "empty").mkdir()
    code, _, err = run("predict", "empty", "--model", trained)
    assert code == 2
    assert "empty: holds no pictures" in err
    for command in (
        ["predict", "photos/b.png", "--model"],
        ["eval"],
        ["export"],
        ["bench"],
        ["live", "streets", "--model"],
    ):
        code, _, err = run(*command, "empty")
        assert code == 2
        assert "weights.safetensors" in err
        assert "artefact.json" in err


def test_predict_sees_far_larger_pictures_at_the_scale_of_training(run, trained, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load_segmenter(trained).trained_at == (64, 96)
    photo(tmp_path / "large.png", (960, 480))
    seen = {}
    for size in (None, "native", "64x128"):
        words = ("--size", size) if size else ()
        code, out, err = run("predict", "large.png", "--model", trained, *words)
        assert code == 0, err
        seen[size] = "seen at 111x222" in out
        with Image.open(tmp_path / "predictions" / "large.mask.png") as mask:
            assert mask.size == (960, 480)
    assert seen == {None: True, "native": False, "64x128": False}
    assert "UNSURE" in out  # after two steps of training


def test_predict_takes_an_artefact_and_pictures_of_any_size(run, trained, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    artefact = compile(trained, "eager", "fp32", (64, 96)).save(tmp_path / "artefact")
    for name, size in (("same", (96, 64)), ("other", (150, 90))):
        photo(tmp_path / f"{name}.png", size)
        code, out, err = run("predict", f"{name}.png", "--model", artefact)
        assert code == 0, err
        assert ("not at 90x150" in out) == (name == "other")
        with Image.open(tmp_path / "predictions" / f"{name}.mask.png") as mask:
            assert mask.size == size
    code, _, err = run("predict", "same.png", "--model", artefact, "--flip")
    assert code == 2
    assert "is compiled" in err


@pytest.mark.parametrize("device", ["toaster", "cuda:99", ""])
def test_a_device_that_there_is_not_is_refused(run, trained, tmp_path, device):
    code, _, err = run("predict", photo(tmp_path / "a.png"), "--model", trained, "--device", device)
    assert code == 2
    assert f"device {device}: cannot be used here" in err


def test_live_refuses_to_record_over_what_it_reads(run, tmp_path):
    video, both = tmp_path / "a.mp4", tmp_path / "b.mp4"
    video.write_bytes(b"a film that must survive")
    for words in (("--record", video), ("--json", video), ("--record", both, "--json", both)):
        code, _, err = run("live", video, "--headless", *words)
        assert code == 2
        assert "--record" in err or "--json" in err
        assert "of its own" in err
    assert video.read_bytes() == b"a film that must survive"
    assert not both.exists()


def test_eval_writes_percent_with_protocol(run, trained, tmp_path):
    scenes = ("--data", "streets", "--data-size", "64x96", "--count", 3)
    code, _, err = run("eval", trained / "weights.safetensors", *scenes, "--json", tmp_path / "score.json")
    assert code == 0, err
    result = json.loads((tmp_path / "score.json").read_text())
    protocol = {"data", "split", "size", "definition", "weights_sha256"}
    assert {"miou", "per_class_iou", "pixel_accuracy", *protocol} <= result.keys()
    assert 0 <= result["miou"] <= 100
    assert round(result["miou"], 2) == result["miou"]
    assert len(result["weights_sha256"]) == 64


def test_streets_writes_a_data_set_that_check_and_training_read(run, tmp_path):
    code, _, err = run("streets", tmp_path / "scenes", "--count", 3, "--size", "64x96")
    assert code == 0, err
    code, _, err = run("data", "check", tmp_path / "scenes")
    assert code == 0, err
    data, out = f"data={tmp_path / 'scenes'}", tmp_path / "run"
    code, _, err = run("train", "streets_cpu", data, "iterations=1", *TINY, "--out", out)
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["train", "camvid_gpu"], "camvid_cpu"),
        (["train", "camvid_cpu", "learning_rate=1"], "no field"),
        (["train", "camvid_cpu", "lr=fast"], "lr=fast"),
        (["train", "streets_cpu", "data=nowhere"], "nowhere"),
        (["train", "streets_cpu", "model=cross_cbam_x", "data_count=2", "data_size=64,64"], "cross_cbam_m"),
        (["predict", "missing.jpg"], "missing.jpg"),
        (["eval", "cross_cbam_m.nothing", "--data", "streets"], "cross_cbam_m.nothing"),
        (["eval", "missing.safetensors", "--data", "streets"], "missing.safetensors"),
        (["data", "check", "no/such/folder"], "no/such/folder"),
        (["streets", "out", "--size", "big"], "height x width"),
        (["models", "crosscbam*"], "did you mean"),
        (["models", "--size", "3x"], "height x width"),
        (["bench", "cross_cbam_m", "--runtime", "eager:fp32:chanels_last=no"], "near: channels_last"),
    ],
)
def test_mistakes_end_in_one_line_with_the_cure(run, monkeypatch, tmp_path, words, cure):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*words)
    assert code == 2
    assert cure in err
    assert "Traceback" not in err


def test_a_full_disk_is_named_as_such(run, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "runs/x/checkpoint.safetensors")

    monkeypatch.setattr("edgeseg.training.train.fit", full)
    code, _, err = run("train", "streets_cpu", "data_count=2", "data_size=64,64", "--out", tmp_path)
    assert code == 2
    assert "disk is full (runs/x/checkpoint.safetensors)" in err
