"""The README's first command, in small: it runs through, writes what it says, and repeats itself over an old run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from filelock import FileLock
from PIL import Image

from edgeseg import quickstart
from edgeseg.training import trivial
from edgeseg.training.recipes import get_recipe
from edgeseg.training.runlog import RunLog
from edgeseg.training.train import TrainingError

FIRST_LOOK = quickstart._first_look
STEPS = {"streets_cpu": 6, "streets_small": 4}


@pytest.fixture
def small(monkeypatch, tmp_path):
    def tiny(name):
        return replace(
            get_recipe(name), data_count=8, data_size=(64, 96), crop=(64, 64), batch=2, precise_bn=1,
            iterations=STEPS[name], switches={"width": 8, "aspp_channels": 16},
        )  # fmt: skip

    monkeypatch.setattr(quickstart, "get_recipe", tiny)
    monkeypatch.setattr(quickstart, "TEST_SCENES", 4)
    monkeypatch.setattr(quickstart, "_first_look", lambda out: out / "first_look.png")  # has a test of its own
    monkeypatch.setattr(trivial, "BITS", (2, 4))
    monkeypatch.setattr(trivial, "GRID", (4, 4))
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "run"


@pytest.fixture
def slow_machine(monkeypatch):
    """One on which a step takes a minute and a half."""
    monkeypatch.setattr(quickstart, "_step_seconds", lambda *_: 90.0)


@pytest.fixture
def interrupt_at(monkeypatch):
    """What Ctrl-C raises, when that many steps are done; a real signal could end the process that runs the tests."""

    def arrange(step):
        class Log(RunLog):
            def bar(self, progress, done, *rest):
                super().bar(progress, done, *rest)
                if done == step:
                    raise KeyboardInterrupt

        monkeypatch.setattr(quickstart, "RunLog", Log)

    return arrange


def report_of(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_quickstart_writes_report_pictures_and_weights_and_replaces_an_earlier_one(small, capsys):
    small.mkdir()
    for name in ("checkpoint.safetensors", "log.jsonl", "report.json"):
        (small / name).write_text("of an earlier quickstart")
    returned = quickstart.run_quickstart(small, seed=1)
    report, out = report_of(small), capsys.readouterr().out
    assert {"miou", "baseline_colour", "baseline_position", "per_class_iou"} <= report.keys()
    assert (report["seed"], report["images"], report["setting"]) == (1, 4, "streets_cpu")
    assert report["steps"] == report["steps_planned"] == STEPS["streets_cpu"]
    assert report["step_seconds"] > 0
    assert 0 < report["baseline_colour"] <= 100
    assert report == json.loads(json.dumps(returned))
    for name in ("quickstart.png", "curves.png", "weights.safetensors", "log.jsonl"):
        assert (small / name).stat().st_size > 0
        assert name in out
    assert not (small / "checkpoint.safetensors").exists()
    assert "after 6 steps by streets_cpu" in out


def test_the_first_look_is_there_before_anything_is_rendered_for_training(small, monkeypatch, capsys):
    monkeypatch.setattr(quickstart, "_first_look", FIRST_LOOK)
    monkeypatch.setattr(quickstart, "_render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quickstart.run_quickstart(small)
    assert str(small / "first_look.png") in capsys.readouterr().out
    with Image.open(small / "first_look.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").resize((200, 100)).getcolors(20000)) > 1000  # pictures, not blank cells


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_slow_machine_takes_the_smaller_setting_and_says_why(small, slow_machine, capsys):
    quickstart.run_quickstart(small)
    report = report_of(small)
    assert (report["setting"], report["steps"]) == ("streets_small", STEPS["streets_small"])
    assert report["recipe"]["name"] == "streets_small"
    assert report["why"].startswith("streets_cpu would take 9 minutes here, more than 6, so 4 steps by streets_small")
    assert report["why"] in capsys.readouterr().out


def test_a_limit_in_minutes_becomes_steps_before_training_starts(small, slow_machine):
    quickstart.run_quickstart(small, minutes=3)
    report = report_of(small)
    assert (report["setting"], report["steps"], report["steps_planned"]) == ("streets_small", 2, 2)


def test_steps_are_as_many_as_asked_for_however_long_they_take(small, slow_machine):
    quickstart.run_quickstart(small, steps=5)
    report = report_of(small)
    assert report["steps"] == report["steps_planned"] == 5
    assert report["setting"] == "streets_cpu"


def test_ctrl_c_in_training_scores_and_draws_what_is_there(small, interrupt_at, capsys):
    interrupt_at(3)
    quickstart.run_quickstart(small)
    report, shown = report_of(small), capsys.readouterr()
    assert (report["steps"], report["steps_planned"]) == (3, STEPS["streets_cpu"])
    assert "after 3 of 6 steps" in shown.out
    assert "ended by Ctrl-C after 3 of 6 steps" in shown.err
    for name in ("quickstart.png", "weights.safetensors"):
        assert (small / name).stat().st_size > 0


def test_a_second_ctrl_c_stops_and_the_weights_stay(small, interrupt_at, monkeypatch):
    interrupt_at(3)
    monkeypatch.setattr(quickstart, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quickstart.run_quickstart(small)
    assert (small / "weights.safetensors").stat().st_size > 0
    assert not (small / "report.json").exists()


def test_ctrl_c_before_the_first_step_stops_at_once(small, monkeypatch):
    monkeypatch.setattr(quickstart, "train_one_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quickstart.run_quickstart(small)
    assert not (small / "weights.safetensors").exists()


def test_what_another_process_trains_in_is_left_alone(tmp_path):
    held = FileLock(tmp_path / ".lock")
    (tmp_path / "report.json").write_text("theirs", encoding="utf-8")
    with held, pytest.raises(TrainingError, match="another process is training"):
        quickstart.run_quickstart(tmp_path)
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == "theirs"


def test_both_settings_are_declared_in_steps_and_the_smaller_one_is_smaller():
    whole, small = (get_recipe(name) for name in quickstart.SETTINGS)
    assert whole.iterations > small.iterations * 0.5 > 0
    assert (whole.data_size, whole.data_count) == (small.data_size, small.data_count)  # rendered once, for both
    pixels = [r.iterations * r.batch * r.crop[0] * r.crop[1] for r in (whole, small)]
    assert pixels[1] < 0.8 * pixels[0]
