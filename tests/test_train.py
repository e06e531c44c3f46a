"""The training loop: it learns, logs, resumes bit for bit, and stops with a cure when it must."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgeseg.data.labels import VOID
from edgeseg.data.pairs import DataError
from edgeseg.inference import load_segmenter
from edgeseg.models.registry import create_model
from edgeseg.training import train
from edgeseg.training.checkpoint import CheckpointError, read_checkpoint
from edgeseg.training.run import compute_type
from edgeseg.training.train import TrainingError, evaluate, fit
from toy_runs import TABLE, TINY, Toy, assert_same, log_rows, tensors

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TWO_STEPS = replace(TINY, iterations=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run of two steps; to be copied before it is changed."""
    folder = tmp_path_factory.mktemp("finished")
    fit(TWO_STEPS, Toy(), None, folder, progress=False)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize(("every", "steps"), [(0.5, [2, 4, 6, 8]), (1.5, [6, 8]), (0.0, [8])])
def test_evaluations_come_when_they_are_due_within_epochs_too(tmp_path, every, steps):
    fit(replace(TINY, iterations=8, batch=2, eval_every=every), Toy(8), Toy(1), tmp_path, progress=False)
    assert [row["step"] for row in log_rows(tmp_path) if "miou" in row] == steps


def test_a_run_learns_and_leaves_its_files(tmp_path):
    recipe = replace(TINY, iterations=150, lr=0.1, scale=(1.0, 1.0), brightness=0.0, precise_bn=4)
    report = fit(recipe, Toy(), Toy(4), tmp_path, progress=False)
    assert report["scores"]["miou"] > 75
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(report))
    for name in ("log.jsonl", "checkpoint.safetensors", "weights.safetensors", "curves.png", "samples.png"):
        assert (tmp_path / name).stat().st_size > 0, name
    rows = log_rows(tmp_path)
    assert rows[0]["recipe"]["lr"] == 0.1
    assert rows[1]["loss"] > rows[-2]["loss"]
    segmenter = load_segmenter(tmp_path / "weights.safetensors")
    assert segmenter.table.names == TABLE.names
    assert evaluate(segmenter.model, Toy(4), recipe, progress=False).as_dict(TABLE.names) == {
        k: v for k, v in report["scores"].items() if k not in ("step", "epoch")
    }


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_leaves_a_model_in_its_mode(training):
    model = create_model("cross_cbam_m", 3, **TINY.switches).train(training)
    evaluate(model, Toy(1), TINY, progress=False)
    assert {module.training for module in model.modules()} == {training}


def test_two_runs_of_one_recipe_are_bit_identical_and_seeds_differ(finished, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        fit(replace(TWO_STEPS, seed=seed), Toy(), None, tmp_path / name, progress=False)
    assert_same(tensors(tmp_path / "same"), tensors(finished))
    first = "model.classifier.weight"
    assert not torch.equal(tensors(tmp_path / "other")[first], tensors(finished)[first])


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "ohem + 0.5 dice", "aux_loss": "focal", "boundary_weight": 0.5, "accumulate": 2, "clip": 1.0},
        {"optimizer": "adamw", "lr": 1e-3, "schedule": "cosine", "warmup": 2, "class_weights": "enet", "amp": "bf16"},
        {"batch": 1, "class_weights": "median", "minutes": 0.02, "iterations": 0},
        {"ema": 0.0, "channels_last": False, "epochs": 2.0, "iterations": 0},
    ],
)
@pytest.mark.filterwarnings("ignore:this processor has no bfloat16")
def test_every_option_of_a_recipe_runs(tmp_path, change):
    report = fit(replace(TINY, **{"iterations": 2, **change}), Toy(4), None, tmp_path, progress=False)
    assert report["steps"] >= 1


def test_all_void_images_train_and_are_scored_without_nan(tmp_path, capsys):
    class AllVoid(Toy):
        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return image, np.full_like(label, VOID)

    report = fit(replace(TINY, iterations=10), AllVoid(), AllVoid(1), tmp_path, progress=False)
    assert all(torch.isfinite(v).all() for k, v in tensors(tmp_path).items() if k.startswith("model."))
    assert report["scores"]["pixel_accuracy"] is None


# stopping and going on ------------------------------------------------------------------------------------------------

KILLED = """
import contextlib, os, sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from edgeseg.training import checkpoint, train
from toy_runs import TINY, Toy
mode, out = sys.argv[1:]
die = lambda: os._exit(137)  # what a kill -9 leaves: no handler, no cleanup
if mode == "epoch":
    step = train.training_step
    def dying(run, keys, raw):
        if run.step == 11:
            die()
        return step(run, keys, raw)
    train.training_step = dying
else:
    write, count = checkpoint.atomic_write, [0]
    class Half:
        def __init__(self, file): self.file = file
        def write(self, data):
            count[0] += 1
            if count[0] == 3:
                self.file.write(data[: len(data) // 2]); self.file.flush(); die()
            self.file.write(data)
    @contextlib.contextmanager
    def dying(path):
        with write(path) as file:
            yield Half(file)
    checkpoint.atomic_write = dying
train.fit(replace(TINY, iterations=14), Toy(8), None, out, checkpoint_seconds=0, progress=False)
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    fit(replace(TINY, iterations=14), Toy(8), None, folder, progress=False)
    return folder


@pytest.mark.parametrize("during", ["epoch", "checkpoint"])
def test_a_killed_run_resumes_bit_for_bit(tmp_path, uninterrupted, during):
    command = [sys.executable, "-c", KILLED.format(tests=os.path.dirname(__file__)), during, str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == 137, killed.stderr
    assert 0 < read_checkpoint(tmp_path / "checkpoint.safetensors")[0]["step"] < 14
    fit(replace(TINY, iterations=14), Toy(8), None, tmp_path, resume=True, progress=False)
    assert_same(tensors(tmp_path), tensors(uninterrupted))
    ours, theirs = log_rows(tmp_path), log_rows(uninterrupted)
    assert [(r.get("step"), r.get("loss")) for r in ours] == [(r.get("step"), r.get("loss")) for r in theirs]
    assert [p.name for p in tmp_path.iterdir() if "tmp" in p.name or p.name.startswith(".")] == [".lock"]


def test_two_processes_do_not_train_in_one_folder(run):
    lock = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire()"
    holder = f"{lock}; print(1, flush=True); sys.stdin.read()"
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(run / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(TrainingError, match="another process is training"):
            fit(replace(TWO_STEPS, iterations=3), Toy(), None, run, resume=True, progress=False)
        assert {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.name != ".lock"} == {
            name: time for name, time in before.items() if name != ".lock"
        }
        other.kill()  # and nothing is left behind by a process that was killed
    assert fit(replace(TWO_STEPS, iterations=3), Toy(), None, run, resume=True, progress=False)["steps"] == 3


def test_a_run_that_failed_does_not_hold_its_folder(tmp_path):
    with pytest.raises(Exception, match="nowhere"):
        fit(TWO_STEPS, Toy(), None, tmp_path, init="nowhere.safetensors", progress=False)
    assert fit(TWO_STEPS, Toy(), None, tmp_path, progress=False)["steps"] == 2


def test_a_folder_with_a_run_is_not_overwritten(finished):
    with pytest.raises(TrainingError, match="--resume"):
        fit(TWO_STEPS, Toy(), None, finished, progress=False)


def test_resuming_with_another_recipe_is_refused_and_names_the_field(run):
    with pytest.raises(TrainingError, match="lr: 0.02"):
        fit(replace(TWO_STEPS, lr=0.5), Toy(), None, run, resume=True, progress=False)


def test_a_run_can_be_lengthened_and_its_log_says_so(run):
    report = fit(replace(TINY, iterations=5), Toy(), None, run, resume=True, progress=False)
    assert report["steps"] == 5
    assert {"step": 2, "budget_changed": "iterations: 2 → 5"} in log_rows(run)


def own(names=None, table=TABLE):
    """The toy data under other names or another class table."""
    data = Toy()
    data.names, data.table = names or data.names, table
    return data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Toy(7), "6 images then, 7 now"),
        (Toy(5), "6 images then, 5 now"),
        (own(names=[f"toy{i}" for i in (1, 0, 2, 3, 4, 5)]), "other names or in another order"),
        (own(names=[f"new{i}" for i in range(6)]), "other names or in another order"),
        (own(table=replace(TABLE, ids={1: 0, 0: 1, 2: 2, VOID: VOID})), "label values or colours"),
        (own(table=replace(TABLE, ids={0: 0, 1: 1, 2: 2, VOID: 2})), "label values or colours"),
        (own(table=replace(TABLE, rgb={(255, 0, 0): 1, (0, 255, 0): 0})), "label values or colours"),
    ],
)
@pytest.mark.parametrize("part", ["training", "validation"])
def test_a_run_is_not_resumed_on_other_data(tmp_path, data, said, part):
    longer = replace(TWO_STEPS, iterations=3)
    fit(TWO_STEPS, Toy(), Toy(), tmp_path, progress=False)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match=rf"checkpoint\.safetensors.*other {part} data.*{said}.*--out"):
        fit(longer, *((data, Toy()) if part == "training" else (Toy(), data)), tmp_path, resume=True, progress=False)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_labels_that_were_changed_under_their_names_are_other_data(run):
    class Relabelled(Toy):
        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return image, np.where(label == 2, 0, label)

    with pytest.raises(CheckpointError, match="pixels of each class"):
        fit(replace(TWO_STEPS, iterations=3), Relabelled(), None, run, resume=True, progress=False)


def test_a_checkpoint_that_does_not_know_its_data_is_taken_on_trust_and_that_is_said(run, capsys):
    meta, state = read_checkpoint(run / "checkpoint.safetensors")
    del meta["data"]
    save_file(state, run / "checkpoint.safetensors", {"edgeseg": json.dumps(meta)})
    assert fit(replace(TWO_STEPS, iterations=3), Toy(7), None, run, resume=True, progress=False)["steps"] == 3
    assert "taken on trust" in capsys.readouterr().out


def test_a_run_is_not_resumed_from_another_start(run):
    with pytest.raises(TrainingError, match="was started from random weights, not from weight cross_cbam_m.streets"):
        fit(TWO_STEPS, Toy(), None, run, init="cross_cbam_m.streets", resume=True, progress=False)


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "meta"])
def test_a_damaged_checkpoint_is_refused_with_its_name(run, damage):
    path = run / "checkpoint.safetensors"
    data = path.read_bytes()
    if damage == "meta":
        save_file(read_checkpoint(path)[1], path, {"edgeseg": "{}"})
    elif damage == "pickle":
        torch.save({"a": torch.zeros(1)}, path)
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors"):
        fit(TWO_STEPS, Toy(), None, run, resume=True, progress=False)


@pytest.mark.parametrize("steps_saved", [0, 2])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_a_checkpoint_where_there_is_one(
    run, steps_saved, monkeypatch
):
    checkpoint = run / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    if not steps_saved:
        checkpoint.unlink()
    monkeypatch.setattr(train, "training_step", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingError) as stopped:
        fit(replace(TINY, iterations=20), Toy(), None, run, resume=True, progress=False)
    assert "Lower lr" in str(stopped.value)
    assert (f"{checkpoint} is of an earlier step" in str(stopped.value)) == bool(steps_saved)
    assert ("nothing was saved" in str(stopped.value)) == (not steps_saved)
    assert checkpoint.exists() == bool(steps_saved)
    assert not steps_saved or checkpoint.read_bytes() == before
    assert log_rows(run)[-1]["loss"] is None
    assert "NaN" not in (run / "log.jsonl").read_text()


class Broken(Toy):
    """The toy data, in which one file cannot be read once so many were."""

    def __init__(self, after, n=6, sizes=((64, 64),)):
        super().__init__(n, sizes)
        self.left = after

    def __getitem__(self, i):
        self.left -= 1
        if self.left < 0 and i < len(self):
            raise DataError(f"images/{i}.png: truncated")
        return super().__getitem__(i)


def test_a_file_that_cannot_be_read_costs_no_step_that_was_taken(tmp_path, capsys):
    sizes = ((64, 64), (64, 80))
    with pytest.raises(DataError, match=r"images/\d\.png: truncated"):
        fit(TINY, Broken(8 + 6 + 8, sizes=sizes), None, tmp_path, workers=0, progress=False)
    step = read_checkpoint(tmp_path / "checkpoint.safetensors")[0]["step"]
    assert 0 < step < TINY.iterations
    assert f"{step} steps are kept" in capsys.readouterr().out
    fit(TINY, Toy(6, sizes), None, tmp_path, resume=True, workers=0, progress=False)
    fit(TINY, Toy(6, sizes), None, tmp_path / "whole", workers=0, progress=False)
    assert_same(tensors(tmp_path), tensors(tmp_path / "whole"))


def test_a_validation_file_that_cannot_be_read_costs_no_training(tmp_path, capsys):
    with pytest.raises(DataError, match="truncated"):
        fit(TWO_STEPS, Toy(), Broken(1), tmp_path, progress=False)
    assert str(tmp_path / "weights.safetensors") in capsys.readouterr().out
    assert not (tmp_path / "report.json").exists()
    assert fit(TWO_STEPS, Toy(), Toy(), tmp_path, resume=True, progress=False)["scores"]["step"] == 2


def test_weights_that_are_not_finite_are_not_saved_whatever_the_last_loss_was(tmp_path, monkeypatch):
    step = train.training_step

    def overflowing(run, keys, raw):
        loss = step(run, keys, raw)
        next(run.model.parameters()).data.fill_(float("inf"))
        return loss

    monkeypatch.setattr(train, "training_step", overflowing)
    with pytest.raises(TrainingError, match="Lower lr"):
        fit(replace(TINY, iterations=1), Toy(), None, tmp_path, progress=False)
    assert not (tmp_path / "weights.safetensors").exists()


# number formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amp", "device", "able", "expected"),
    [
        ("none", CPU, True, torch.float32),
        ("bf16", CPU, True, torch.bfloat16),
        ("fp16", CPU, False, torch.float16),
        ("bf16", CUDA, False, torch.bfloat16),
    ],
)
def test_a_recipe_computes_in_what_it_names(monkeypatch, amp, device, able, expected):
    monkeypatch.setattr("edgeseg.training.run.has_bf16", lambda: able)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compute_type(amp, device) == expected


def test_a_processor_without_bfloat16_computes_in_float32_bit_for_bit_and_says_so(monkeypatch, finished, tmp_path):
    monkeypatch.setattr("edgeseg.training.run.has_bf16", lambda: False)
    with pytest.warns(UserWarning, match="no bfloat16 instructions.*amp=none"):
        fit(replace(TWO_STEPS, amp="bf16"), Toy(), None, tmp_path, progress=False)
    assert log_rows(tmp_path)[0]["computes"] == "float32"
    assert_same(tensors(tmp_path), tensors(finished))
