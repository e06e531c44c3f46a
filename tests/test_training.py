"""The training loop: it learns, logs, resumes bit for bit, and stops with a cure when it must."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.inference import load_segmenter
from edgeseg.training.batches import Resident, Stream, Streamed, augmented, load_samples
from edgeseg.training.checkpoint import CheckpointError, read_checkpoint
from edgeseg.training.losses import Objective
from edgeseg.training.recipes import Recipe, RecipeError
from edgeseg.training.train import TrainingError, fit

TABLE = ClassTable("toy", ("left", "right", "dot"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
TINY = Recipe(
    "tiny",
    switches={"width": 8, "aspp_channels": 16},
    crop=(64, 64),
    batch=4,
    iterations=6,
    lr=0.02,
    ema=0.9,
    scale=(0.8, 1.25),
    brightness=0.2,
    class_crop=0.5,
    eval_every=0.0,
)


class Toy:
    """Left half dark, right half bright, a blue dot: learnable in seconds. Sizes may differ."""

    def __init__(self, n=6, sizes=((64, 64),)):
        self.table, self.names, self.sizes = TABLE, [f"toy{i}" for i in range(n)], sizes

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        h, w = self.sizes[i % len(self.sizes)]
        rng = np.random.default_rng(i)
        label = np.zeros((h, w), np.uint8)
        label[:, w // 2 :] = 1
        y, x = rng.integers(8, h - 24), rng.integers(8, w - 24)
        label[y : y + 16, x : x + 16] = 2
        image = np.uint8([[60, 60, 60], [190, 190, 190], [40, 40, 230]])[label]
        image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
        label[:2] = VOID
        return image, label


def weights(folder):
    return read_checkpoint(folder / "checkpoint.safetensors")[1]


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize(("every", "steps"), [(0.5, [2, 4, 6, 8]), (1.5, [6, 8]), (0.0, [8])])
def test_evaluations_come_when_they_are_due_within_epochs_too(tmp_path, every, steps):
    fit(replace(TINY, iterations=8, batch=2, eval_every=every), Toy(8), Toy(1), tmp_path, progress=False)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "miou" in row] == steps


def test_a_run_learns_and_leaves_its_files(tmp_path):
    recipe = replace(TINY, iterations=150, lr=0.1, scale=(1.0, 1.0), brightness=0.0, precise_bn=4)
    report = fit(recipe, Toy(), Toy(4), tmp_path / "run", progress=False)
    assert report["scores"]["miou"] > 75
    for name in (
        "log.jsonl",
        "checkpoint.safetensors",
        "weights.safetensors",
        "report.json",
        "curves.png",
        "samples.png",
    ):
        assert (tmp_path / "run" / name).stat().st_size > 0, name
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["recipe"]["lr"] == 0.1
    assert rows[1]["loss"] > rows[-2]["loss"]


def test_written_weights_load_and_predict_as_the_run_scored(tmp_path):
    fit(replace(TINY, iterations=4), Toy(), None, tmp_path / "run", progress=False)
    segmenter = load_segmenter(tmp_path / "run" / "weights.safetensors")
    mask = segmenter.predict(Toy()[0][0])
    assert mask.shape == (64, 64)
    assert mask.dtype == np.uint8
    assert segmenter.table.names == TABLE.names


def test_two_runs_of_one_recipe_are_bit_identical_and_seeds_differ(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(replace(TINY, seed=seed), Toy(), None, tmp_path / name, progress=False)
    assert_same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not torch.equal(
        weights(tmp_path / "a")["model.classifier.weight"], weights(tmp_path / "c")["model.classifier.weight"]
    )


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from pathlib import Path
from pathlib import Path
import test_training as t
from edgeseg.training import checkpoint, train
mode, out = sys.argv[1], Path(sys.argv[2])
die = lambda: os._exit(137)  # what a kill -9 leaves: no handler, no cleanup
if mode == "epoch":
    step = train.training_step
    def dying(run, keys, raw):
        if run.step == 11:
            die()
        return step(run, keys, raw)
    train.training_step = dying
if mode == "checkpoint":
    write, count = checkpoint.atomic_write, [0]
    class Half:
        def __init__(self, file): self.file = file
        def write(self, data):
            count[0] += 1
            if count[0] == 3:
                self.file.write(data[: len(data) // 2]); self.file.flush(); die()
            self.file.write(data)
    import contextlib
    @contextlib.contextmanager
    def dying(path):
        with write(path) as file:
            yield Half(file)
    checkpoint.atomic_write = dying
recipe = replace(t.TINY, iterations=14)
t.fit(recipe, t.Toy(8), None, out, resume=mode == "resume", checkpoint_seconds=0, progress=False)
"""


def launch(mode, out):
    code = KILLED.format(tests=os.path.dirname(__file__))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code, mode, str(out)], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("mode", ["epoch", "checkpoint"])
def test_a_killed_run_resumes_bit_for_bit(tmp_path, mode):
    killed = launch(mode, tmp_path / "run")
    assert killed.returncode == 137, killed.stderr
    before = read_checkpoint(tmp_path / "run" / "checkpoint.safetensors")[0]["step"]
    assert 0 < before < 14
    resumed = launch("resume", tmp_path / "run")
    assert resumed.returncode == 0, resumed.stderr
    whole = launch("whole", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert_same(weights(tmp_path / "run"), weights(tmp_path / "whole"))
    ours, theirs = (
        [json.loads(row) for row in (tmp_path / d / "log.jsonl").read_text().splitlines()] for d in ("run", "whole")
    )
    assert [(r.get("step"), r.get("loss")) for r in ours] == [(r.get("step"), r.get("loss")) for r in theirs]
    assert not [p for p in (tmp_path / "run").iterdir() if "tmp" in p.name or p.name.startswith(".")]


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    fit(replace(TINY, iterations=1), Toy(), None, tmp_path, progress=False)
    with pytest.raises(TrainingError, match="--resume"):
        fit(replace(TINY, iterations=1), Toy(), None, tmp_path, progress=False)


def test_resuming_with_another_recipe_is_refused_and_names_the_field(tmp_path):
    fit(replace(TINY, iterations=2), Toy(), None, tmp_path, progress=False)
    with pytest.raises(TrainingError, match="lr: 0.02"):
        fit(replace(TINY, iterations=2, lr=0.5), Toy(), None, tmp_path, resume=True, progress=False)


def test_training_goes_on_from_a_weight_with_its_heads_where_the_classes_are_the_same(tmp_path, capsys):
    fit(replace(TINY, iterations=2), Toy(), None, tmp_path / "first", progress=False)
    first = tmp_path / "first" / "weights.safetensors"
    fit(replace(TINY, iterations=1, lr=0.0, min_lr=0.0), Toy(), None, tmp_path / "second", init=first, progress=False)
    assert "new 0, missing 0" in capsys.readouterr().out
    before, after = (load_segmenter(tmp_path / d / "weights.safetensors").model for d in ("first", "second"))
    assert torch.equal(before.classifier.weight, after.classifier.weight)


def test_training_for_other_classes_starts_the_heads_anew_and_lists_them(tmp_path, capsys):
    class Other(Toy):
        def __init__(self):
            super().__init__()
            self.table = replace(TABLE, names=("a", "b", "c", "d"), colors=((9, 9, 9),) * 4, ids={})

    fit(replace(TINY, iterations=2), Toy(), None, tmp_path / "first", progress=False)
    first = tmp_path / "first" / "weights.safetensors"
    fit(replace(TINY, iterations=1), Other(), None, tmp_path / "second", init=first, progress=False)
    assert "classifier.weight" in capsys.readouterr().out
    assert load_segmenter(tmp_path / "second" / "weights.safetensors").model.num_classes == 4


def test_a_run_can_be_lengthened_and_its_log_says_so(tmp_path):
    fit(replace(TINY, iterations=2), Toy(), None, tmp_path, progress=False)
    report = fit(replace(TINY, iterations=5), Toy(), None, tmp_path, resume=True, progress=False)
    assert report["steps"] == 5
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"step": 2, "budget_changed": "iterations: 2 → 5"} in rows


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle"])
def test_a_damaged_checkpoint_is_refused_with_its_name(tmp_path, damage):
    fit(replace(TINY, iterations=1), Toy(), None, tmp_path, progress=False)
    path = tmp_path / "checkpoint.safetensors"
    data = path.read_bytes()
    if damage == "pickle":
        torch.save({"a": torch.zeros(1)}, path)
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors"):
        fit(replace(TINY, iterations=2), Toy(), None, tmp_path, resume=True, progress=False)


def test_a_loss_that_is_not_finite_stops_the_run_and_saves_nothing(tmp_path):
    with pytest.raises(TrainingError, match="Lower lr"):
        fit(replace(TINY, iterations=20, lr=1e12), Toy(), None, tmp_path, progress=False)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_all_void_images_train_without_nan(tmp_path):
    class AllVoid(Toy):
        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return image, np.full_like(label, VOID)

    fit(replace(TINY, iterations=10), AllVoid(), None, tmp_path, progress=False)
    assert all(torch.isfinite(v).all() for k, v in weights(tmp_path).items() if k.startswith("model."))


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Stream(0, 4, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "ohem + 0.5 dice"},
        {"aux_loss": "focal"},
        {"boundary_weight": 0.5},
        {"accumulate": 2, "clip": 1.0},
        {"optimizer": "adamw", "lr": 1e-3, "schedule": "cosine", "warmup": 2},
        {"class_weights": "enet", "amp": "bf16"},
        {"batch": 1, "class_weights": "median"},
        {"minutes": 0.02, "iterations": 0},
        {"epochs": 2.0, "iterations": 0},
        {"ema": 0.0, "channels_last": False},
    ],
)
def test_every_option_of_a_recipe_runs(tmp_path, change):
    report = fit(replace(TINY, **{"iterations": 2, **change}), Toy(4), None, tmp_path, progress=False)
    assert report["steps"] >= 1


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on the CPU; no g++ here")
def test_compiled_half_precision_training_stays_finite_and_close_to_eager(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeseg.training.precision.has_bf16", lambda: True)  # slow where it is not so, but the same
    recipe = replace(TINY, iterations=2, batch=2, amp="bf16", switches={**TINY.switches, "dropout": 0.0})
    for name, change in (("start", {"lr": 1e-12}), ("eager", {}), ("compiled", {"compile": True})):
        fit(replace(recipe, **change), Toy(2), None, tmp_path / name, progress=False)
    start, eager, compiled = (weights(tmp_path / name) for name in ("start", "eager", "compiled"))
    layers = sum(key.startswith("model.") and value.ndim == 4 for key, value in eager.items())
    roundings = 2 * 2 * layers  # two steps, forwards and backwards
    start, eager, compiled = (state["model.classifier.weight"] for state in (start, eager, compiled))
    assert torch.isfinite(compiled).all()
    assert (compiled - eager).norm() <= roundings**0.5 * torch.finfo(torch.bfloat16).eps * (eager - start).norm()


def test_an_unknown_loss_lists_the_known_ones():
    with pytest.raises(RecipeError, match="ohem"):
        Objective(replace(TINY, loss="crossentropy"))


# the stream of samples ------------------------------------------------------------------------------------------------


def test_every_epoch_shows_every_sample_once_in_another_order():
    stream = Stream(length=10, batch=4, seed=3)
    keys = [k for step in range(10) for k in stream.keys(step)]
    for epoch in range(4):
        assert sorted(s for e, s in keys if e == epoch) == list(range(10))
    assert [s for e, s in keys if e == 0] != [s for e, s in keys if e == 1]


def test_ranks_share_out_the_batch_without_overlap():
    whole = Stream(11, 6, seed=1)
    ranks = [Stream(11, 6, 1, rank, 3) for rank in range(3)]
    for step in range(9):
        parts = [k for r in ranks for k in r.keys(step)]
        assert sorted(parts) == sorted(whole.keys(step))


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="multiple of the 4 ranks"):
        Stream(10, 6, 0, 0, 4)


def test_workers_give_the_same_batches_as_memory():
    # in a process of its own: a fork of one in which other libraries keep threads may die
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    code = "import test_training; test_training.compare_workers_with_memory()"
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def compare_workers_with_memory():
    device = torch.device("cpu")
    resident, streamed = Resident(Toy(), device, progress=False), Streamed(Toy(), device, workers=2, progress=False)
    stream, mean, std = Stream(6, 4, 0), torch.zeros(3), torch.ones(3)
    for start in (0, 3):
        pairs = zip(resident.batches(stream, start), streamed.batches(stream, start), range(3), strict=False)
        for (keys_a, a), (keys_b, b), _ in pairs:
            assert keys_a == keys_b
            xa, ya = augmented(a, keys_a, TINY.augment, 0, mean, std)
            xb, yb = augmented(b, keys_b, TINY.augment, 0, mean, std)
            assert torch.equal(xa, xb)
            assert torch.equal(ya, yb)
    np.testing.assert_array_equal(resident.pixel_counts, streamed.pixel_counts)


def test_images_of_many_sizes_and_sets_over_the_budget_are_streamed(tmp_path):
    device, mixed = torch.device("cpu"), Toy(6, ((64, 64), (80, 72)))
    assert isinstance(load_samples(mixed, device, progress=False), Streamed)
    assert isinstance(load_samples(Toy(), device, progress=False), Resident)
    assert isinstance(load_samples(Toy(), device, progress=False, budget=1000), Streamed)
    fit(replace(TINY, iterations=2), mixed, mixed, tmp_path, workers=0, progress=False)
