"""Street scenes: determinism, exact labels, shares like CamVid's, factors, cache, processes, and the drive."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.class_file import read_class_file
from edgeseg.data.labels import CAMVID, VOID
from edgeseg.data.streets import FACTORS, GENERATOR_VERSION, SPLITS, Streets, drive, write_streets

SMALL = (96, 128)

# CamVid's train split, percent of all non-void pixels
CAMVID_SHARES = {
    "Sky": 17.538, "Building": 24.215, "Pole": 1.023, "Road": 32.960, "Pavement": 4.671, "Tree": 10.124,
    "SignSymbol": 1.221, "Fence": 1.173, "Car": 6.107, "Pedestrian": 0.666, "Bicyclist": 0.304,
}  # fmt: skip
CAMVID_VOID = 3.948


def digest(scenes: Streets, indices: list[int]) -> str:
    sha = hashlib.sha256()
    for index in indices:
        for array in scenes[index]:
            sha.update(array.tobytes())
    return sha.hexdigest()


@pytest.fixture(scope="module")
def population() -> np.ndarray:
    """(150, 256) label counts of training scenes."""
    scenes = Streets("train", n=150, size=(360, 480), cache=False)
    return np.stack([np.bincount(label.ravel(), minlength=256) for _, label in scenes])


def test_is_a_data_set_with_camvids_classes():
    scenes = Streets("val", n=3, size=SMALL)
    image, label = scenes[1]
    assert (image.shape, image.dtype) == ((96, 128, 3), np.uint8)
    assert (label.shape, label.dtype) == ((96, 128), np.uint8)
    assert len(scenes) == len(scenes.names) == len(set(scenes.names)) == 3
    assert scenes.table is CAMVID
    assert set(np.unique(label)) <= {*range(11), VOID}
    assert [len(Streets(split)) for split in SPLITS] == list(SPLITS.values())


def test_same_scene_in_any_order_and_from_a_copy():
    scenes = Streets("train", n=6, size=SMALL, seed=3)
    forward = [scenes[i] for i in range(6)]
    copy = pickle.loads(pickle.dumps(scenes))
    for index in (5, 0, 3, -1):
        for a, b in zip(forward[index], copy[index], strict=True):
            np.testing.assert_array_equal(a, b)


def test_same_scene_in_another_process():
    code = (
        "import hashlib, sys; sys.path[:0] = sys.argv[1:]\n"
        "from edgeseg.data.streets import Streets\n"
        "scenes, sha = Streets('test', n=4, size=(96, 128), seed=5), hashlib.sha256()\n"
        "for i in (2, 0):\n"
        "    for a in scenes[i]: sha.update(a.tobytes())\n"
        "print(sha.hexdigest())"
    )
    root = str(Path(__file__).parents[1])
    out = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest(Streets("test", n=4, size=SMALL, seed=5), [2, 0])


def test_scenes_differ_by_index_split_and_seed_but_not_by_n():
    choices = [("train", 0), ("val", 0), ("test", 0), ("train", 1)]
    digests = {digest(Streets(split, n=2, size=SMALL, seed=seed), [i]) for split, seed in choices for i in (0, 1)}
    assert len(digests) == 8
    assert digest(Streets("train", n=2, size=SMALL), [1]) == digest(Streets("train", n=500, size=SMALL), [1])


def test_shares_are_within_a_factor_one_and_a_half_of_camvid(population):
    counts = population.sum(0)
    shares = 100 * counts[:11] / counts[:11].sum()
    ratios = {name: shares[CAMVID.index(name)] / share for name, share in CAMVID_SHARES.items()}
    assert {name: round(r, 2) for name, r in ratios.items() if not 1 / 1.5 <= r <= 1.5} == {}
    assert CAMVID_VOID / 1.5 <= 100 * counts[VOID] / counts.sum() <= CAMVID_VOID * 1.5


def test_every_class_is_in_at_least_half_of_the_scenes(population):
    present = (population[:, :11] > 0).mean(0)
    assert {CAMVID.names[i]: p for i, p in enumerate(present) if p < 0.5} == {}


def test_same_scene_at_every_size():
    shares = []
    pictures = []
    for size in ((192, 256), (360, 480), (720, 960)):
        image, label = Streets("train", n=8, size=size)[7]
        shares.append(np.bincount(label.ravel(), minlength=256) / label.size)
        pictures.append(np.asarray(Image.fromarray(image).resize((64, 48), Image.Resampling.BOX), np.float32))
    assert np.abs(shares[0] - shares[2]).max() < 0.01
    assert np.abs(shares[1] - shares[2]).max() < 0.01
    assert np.abs(pictures[0] - pictures[2]).mean() < 3.0
    assert np.abs(pictures[1] - pictures[2]).mean() < 3.0


def test_thin_poles_survive_small_pictures():
    poles = [
        (Streets("train", n=20, size=size)[i][1] == CAMVID.index("Pole")).mean()
        for size in (SMALL, (360, 480))
        for i in range(20)
    ]
    small, large = np.mean(poles[:20]), np.mean(poles[20:])
    assert 0.7 * large < small < 2.0 * large


@pytest.mark.parametrize("size", [(32, 32), (33, 57), (100, 40), (32, 200)])
def test_any_size_from_32(size):
    image, label = Streets(n=1, size=size)[0]
    assert image.shape == (*size, 3)
    assert label.shape == size


def test_night_and_fog_change_the_light_and_not_the_street():
    choices: list[dict] = [{"fog": "none"}, {"night": True}, {"fog": "dense"}]
    plain, night, dense = (Streets("test", n=6, size=SMALL, **factors) for factors in choices)
    for index in range(6):
        image, label = plain[index]
        for other in (night, dense):
            other_image, other_label = other[index]
            np.testing.assert_array_equal(label, other_label)
            assert np.abs(image.astype(int) - other_image).mean() > 3
        assert night.metadata(index)["hour"] == "night"
        assert dense.metadata(index)["fog_per_meter"] > 0.03
    dark, fair = (np.mean([s[i][0].mean() for i in range(6)]) for s in (night, plain))
    assert dark < 0.6 * fair


def test_traffic_on_the_right_is_the_mirrored_world():
    left, right = Streets("test", n=2, size=SMALL)[1], Streets("test", n=2, size=SMALL, traffic="right")[1]
    np.testing.assert_array_equal(left[0][:, ::-1], right[0])
    np.testing.assert_array_equal(left[1][:, ::-1], right[1])


def test_training_scenes_have_no_held_out_factor():
    scenes = Streets("train", n=60)
    metadata = [scenes.metadata(i) for i in range(60)]
    assert {m["hour"] for m in metadata} == {"day", "dusk"}
    assert max(m["fog_per_meter"] for m in metadata) < 0.013
    assert {m["factors"]["traffic"] for m in metadata} == {"left"}
    assert 0.2 < np.mean([m["same_asphalt"] for m in metadata]) < 0.8


def test_metadata_is_json_and_counts_what_is_there():
    scenes = Streets("val", n=30, size=SMALL, seed=2)
    for index in range(10):
        entry = json.loads(json.dumps(scenes.metadata(index)))
        assert entry["name"] == scenes.names[index]
        assert entry["generator_version"] == GENERATOR_VERSION
        assert set(entry["factors"]) == set(FACTORS)
        assert 1.0 < entry["camera"]["height_m"] < 2.0
        label = scenes[index][1]
        if (label == CAMVID.index("Pedestrian")).sum() > 30:
            assert entry["counts"]["pedestrian"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "train, val, test"),
        ({"n": 0}, "at least one"),
        ({"n": -3}, "at least one"),
        ({"size": (31, 64)}, "32"),
        ({"size": (64, 16)}, "32"),
        ({"seed": -1}, "seed"),
        ({"rain": True}, "fog, night, traffic"),
        ({"fog": "thick"}, "'dense'"),
        ({"traffic": "middle"}, "'right'"),
    ],
)
def test_bad_arguments_name_the_cure(arguments, message):
    with pytest.raises(ValueError, match=message):
        Streets(**arguments)


def test_index_out_of_range():
    scenes = Streets(n=2, size=SMALL)
    for index in (2, -3):
        with pytest.raises(IndexError):
            scenes[index]
        with pytest.raises(IndexError):
            scenes.metadata(index)
    assert len(list(scenes)) == 2


def test_arrays_equal_single_scenes_with_and_without_processes(tmp_path):
    scenes = Streets("train", n=33, size=(32, 48), cache=False)
    alone = scenes.arrays(workers=0, progress=False)
    together = scenes.arrays(workers=2, progress=False)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)
    for index in (0, 20, 32):
        np.testing.assert_array_equal(alone[0][index], scenes[index][0])
        np.testing.assert_array_equal(alone[1][index], scenes[index][1])


def test_arrays_come_from_the_cache_and_a_damaged_file_is_made_again(tmp_path):
    scenes = Streets("val", n=3, size=(32, 48), cache=tmp_path)
    images, labels = scenes.arrays(progress=False)
    path = scenes.cache_file()
    assert path is not None
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file left
    whole = path.read_bytes()
    time = path.stat().st_mtime_ns
    again = scenes.arrays(progress=False)
    np.testing.assert_array_equal(images, again[0])
    assert path.stat().st_mtime_ns == time
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for damage in (b"", b"no zip at all", whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(damage)
        with pytest.warns(UserWarning, match="made again"):
            repaired = scenes.arrays(progress=False)
        np.testing.assert_array_equal(images, repaired[0])
        np.testing.assert_array_equal(labels, repaired[1])
        assert path.read_bytes() == whole


def test_cache_files_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "home"))
    variants = [
        {},
        {"n": 5},
        {"seed": 1},
        {"size": (32, 32)},
        {"night": True},
        {"fog": "none"},
        {"split": "val", "n": 1000},
    ]
    files = {Streets(**v).cache_file() for v in variants}
    assert len(files) == len(variants)
    assert all(f is not None and f.is_relative_to(tmp_path / "home") for f in files)
    assert Streets(cache=tmp_path).cache_file().is_relative_to(tmp_path)
    assert Streets(cache=False).cache_file() is None


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="not cached"):
        images, _ = Streets(n=1, size=(32, 32), cache=tmp_path / "file").arrays(progress=False)
    assert images.shape == (1, 32, 32, 3)


def test_written_folder_reads_back(tmp_path):
    scenes = Streets("test", n=2, size=SMALL)
    folder = write_streets(scenes, tmp_path / "out", progress=False)
    table = read_class_file(folder / "classes.json")
    assert table.names == CAMVID.names
    for index, name in enumerate(scenes.names):
        image = np.asarray(Image.open(folder / "images" / f"{name}.png"))
        label = table.encode(np.asarray(Image.open(folder / "labels" / f"{name}.png")))
        np.testing.assert_array_equal(image, scenes[index][0])
        np.testing.assert_array_equal(label, scenes[index][1])
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["name"] for line in lines] == scenes.names


def test_import_needs_no_torch():
    root = str(Path(__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); import edgeseg.data.streets; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_drive_is_seeded():
    first = [next(d) for d in (drive(1, SMALL), drive(1, SMALL), drive(2, SMALL))]
    np.testing.assert_array_equal(first[0][0], first[1][0])
    assert (first[0][1] != first[2][1]).mean() > 0.05


def test_drive_moves_smoothly_and_gets_somewhere():
    frames = list(itertools.islice(drive(4, SMALL, fps=12, speed=9), 100))
    labels = np.stack([label for _, label in frames])
    assert set(np.unique(labels)) <= {*range(11), VOID}
    changes = (labels[1:] != labels[:-1]).mean((1, 2))
    far_apart = (labels[60:] != labels[:-60]).mean((1, 2)).mean()
    assert changes.max() < 0.2
    assert far_apart > 2 * changes.mean()
    assert np.mean([np.abs(a[0].astype(int) - b[0]).mean() for a, b in itertools.pairwise(frames[:20])]) < 15


def test_nothing_large_appears_in_the_middle_of_a_drive():
    # whatever is new near the vanishing point is a few pixels wide: no frame changes much there
    labels = np.stack([label for _, label in itertools.islice(drive(5, (192, 256), fps=10), 60)])
    window = labels[:, 70:120, 108:148]
    assert (window[1:] != window[:-1]).mean((1, 2)).max() < 0.35


def test_drive_forgets_what_has_passed():
    from edgeseg.data.streets.ride import _Ride

    ride = _Ride(0, fps=1.0, speed=20.0, factors={name: values[0] for name, values in FACTORS.items()})
    sizes = []
    for _ in range(120):  # 2.4 km, without drawing
        ride.advance()
        sizes.append(len(ride.scene().things))
    assert max(sizes[60:]) < 1.5 * max(sizes[:30])


@pytest.mark.parametrize(
    "bad", [{"fps": 0}, {"speed": -1}, {"seed": -1}, {"size": (16, 16)}, {"fog": "thick"}, {"snow": 1}]
)
def test_drive_refuses_bad_arguments_at_once(bad):
    with pytest.raises(ValueError, match=r".+"):
        drive(**bad)


def test_no_warning_from_numpy_or_pillow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for factors in ({}, {"night": True}, {"fog": "dense"}):
            for index in range(3):
                Streets("train", n=3, size=SMALL, **factors)[index]


def test_processes_need_no_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from edgeseg.data.streets import Streets\n"
        "images, _ = Streets(n=32, size=(32, 32), cache=False).arrays(workers=2, progress=False)\n"
        "print(images.shape)\n"
    )
    root = str(Path(__file__).parents[1])
    out = subprocess.run([sys.executable, str(script), root], capture_output=True, text=True, check=True)
    assert out.stdout.split("\n")[0] == "(32, 32, 32, 3)"


def test_a_process_that_dies_is_an_error_with_a_cure(monkeypatch):
    from edgeseg.data.streets import workers

    monkeypatch.setattr(workers, "_CODE", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="workers=0"):
        Streets(n=32, size=(32, 32), cache=False).arrays(workers=2, progress=False)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches processes in another way there")
def test_ctrl_c_ends_the_drawing_without_a_word_from_the_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from edgeseg.data.streets.workers import draw_in_processes\n"
        "def slowly(*_):\n"  # time for the processes to say something before they are ended
        "    time.sleep(1)\n"
        "    raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGINT, slowly)\n"
        "try:\n"
        "    for _ in draw_in_processes({'n': 4000, 'size': [96, 128]}, 4000, (96, 128), 2):\n"
        "        print('drawing', flush=True)\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped', flush=True)\n"
    )
    command = [sys.executable, str(script), str(Path(__file__).parents[1])]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stdout.readline() == "drawing\n"
        os.killpg(run.pid, signal.SIGINT)
        said, complaints = run.communicate(timeout=60)
    assert said.endswith("stopped\n")
    assert complaints == ""
