"""Batches: an endless stream of samples that the step alone decides, from memory or from workers alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeseg.data.labels import LabelError
from edgeseg.training import batches
from edgeseg.training.augment import Augment
from edgeseg.training.batches import Resident, Stream, Streamed, augmented, load_samples
from edgeseg.training.stages import plan
from edgeseg.training.train import fit
from toy_runs import TABLE, TINY, Toy


def test_an_empty_data_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="empty"):
        fit(TINY, Toy(0), None, tmp_path, progress=False)


def in_batches(*batches, steps=5):
    """Stages of five steps each, by their batches."""
    stages = tuple({"batch": batch, "iterations": steps} for batch in batches)
    return plan(replace(TINY, iterations=0, stages=stages), 10)


def test_stages_of_other_batches_take_over_where_one_ends():
    stream = Stream(10, in_batches(4, 6, 2), seed=3)
    assert [len(stream.keys(step)) for step in (0, 4, 5, 9, 10, 99)] == [4, 4, 6, 6, 2, 2]
    keys = [k for step in range(20) for k in stream.keys(step)]
    assert len(set(keys)) == len(keys) == 5 * (4 + 6) + 10 * 2
    assert sorted(keys) == sorted((epoch, sample) for epoch in range(7) for sample in range(10))
    with pytest.raises(ValueError, match="batch 6 is no multiple"):
        Stream(10, in_batches(4, 6), 0, 0, 4)


def test_every_epoch_shows_every_sample_once_in_another_order():
    stream = Stream(10, in_batches(4), seed=3)
    keys = [k for step in range(10) for k in stream.keys(step)]
    for epoch in range(4):
        assert sorted(s for e, s in keys if e == epoch) == list(range(10))
    assert [s for e, s in keys if e == 0] != [s for e, s in keys if e == 1]


def test_ranks_share_out_the_batch_without_overlap():
    whole = Stream(11, in_batches(6), seed=1)
    ranks = [Stream(11, in_batches(6), 1, rank, 3) for rank in range(3)]
    for step in range(9):
        parts = [k for r in ranks for k in r.keys(step)]
        assert sorted(parts) == sorted(whole.keys(step))


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="multiple of the 4 ranks"):
        Stream(10, in_batches(6), 0, 0, 4)


def test_workers_give_the_same_batches_as_memory():
    # in a process of its own: a fork of one in which other libraries keep threads may die
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    code = "import test_batches; test_batches.compare_workers_with_memory()"
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def compare_workers_with_memory():
    device, augment, stream = torch.device("cpu"), Augment(TINY), Stream(6, in_batches(4), 0)
    resident, streamed = Resident(Toy(), device, progress=False), Streamed(Toy(), device, workers=2, progress=False)
    for start in (0, 3):
        pairs = zip(resident.batches(stream, start), streamed.batches(stream, start), range(3), strict=False)
        for (keys, a), (same_keys, b), _ in pairs:
            assert keys == same_keys
            assert all(map(torch.equal, augmented(a, keys, augment), augmented(b, keys, augment)))
    np.testing.assert_array_equal(resident.pixel_counts, streamed.pixel_counts)


BAD_FILE = """
import os, signal, sys
sys.argv = ["edgeseg", "train", "camvid_cpu", "data=" + sys.argv[1], "split=all", "val_split=none", "iterations=20",
            "batch=2", "crop=64,64", "precise_bn=0", "warmup=0", "class_weights=none", "amp=none", "scale=1,1",
            "switches={'width': 8, 'aspp_channels': 16}", "--out", sys.argv[2]]
from edgeseg import cli
from edgeseg.training import batches
if sys.argv[-1].endswith("killed"):
    usual = batches._WithPoints.__getitem__
    batches._WithPoints.__getitem__ = lambda self, i: os.kill(os.getpid(), signal.SIGKILL) or usual(self, i)
cli.main()
"""


@pytest.mark.parametrize("fault", ["cut", "gone", "label", "killed"])
def test_what_goes_wrong_in_a_worker_is_one_line_that_names_the_file(tmp_path, fault):
    for i, (image, label) in enumerate(Toy(12, ((64, 64), (64, 80)))):  # of two sizes: it is streamed
        for kind, array in (("images", image), ("labels", label)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / kind / f"{i:02}.png")
    (tmp_path / "classes.json").write_text(json.dumps({"classes": list(TABLE.names), "void": [255]}))
    bad = tmp_path / ("labels" if fault == "label" else "images") / "01.png"
    if fault == "cut":
        bad.write_bytes(bad.read_bytes()[:300])
    elif fault == "gone":
        bad.unlink()
        bad.symlink_to("nowhere.png")
    elif fault == "label":
        Image.new("L", (80, 64), 77).save(bad)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BAD_FILE, str(tmp_path), str(tmp_path / fault)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    said = done.stderr.strip().splitlines()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert said[-1].startswith("edgeseg: a reading process died" if fault == "killed" else f"edgeseg: {bad}: ")


def test_an_error_that_does_not_survive_the_way_from_a_worker_keeps_its_words():
    class OddError(Exception):
        def __init__(self, first, second):
            super().__init__(f"{first} and {second}")

    assert str(batches._sendable(OddError("a", "b"))) == "OddError: a and b"
    error = LabelError("labels/a.png: value 7")
    assert batches._sendable(error) is error


def test_images_of_many_sizes_and_sets_beyond_half_of_the_memory_are_streamed(tmp_path, monkeypatch):
    device, mixed = torch.device("cpu"), Toy(6, ((64, 64), (80, 72)))
    assert isinstance(load_samples(mixed, device, progress=False), Streamed)
    assert isinstance(load_samples(Toy(), device, progress=False), Resident)
    monkeypatch.setattr(batches, "total_memory", lambda: 2 * 4 * 6 * 64 * 64 - 2)  # one byte short
    assert isinstance(load_samples(Toy(), device, progress=False), Streamed)
    fit(replace(TINY, iterations=2), mixed, mixed, tmp_path, workers=0, progress=False)
