"""The report on a data set: exact counts, every problem, and what a terminal shows of it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from edgeseg.data import open_data
from edgeseg.data.check import check_data
from edgeseg.data.labels import VOID, ClassTable
from edgeseg.data.pairs import Pairs, folder_pairs
from edgeseg.training.batches import Resident
from edgeseg.training.suspicions import find_suspicions
from picture_files import save
from toy_runs import TINY, write_pairs

TABLE = ClassTable("three", ("road", "car", "sky"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))


def test_the_report_counts_exactly_and_does_not_stop_at_a_bad_pair(tmp_path):
    rng = np.random.default_rng(3)
    images, labels = rng.integers(0, 256, (5, 8, 8, 3), np.uint8), rng.integers(0, 2, (5, 8, 8), np.uint8)
    labels[1] = VOID
    labels[2, :4] = VOID
    for i in range(5):
        save(tmp_path / "images" / f"{i}.png", images[i])
        save(tmp_path / "labels" / f"{i}.png", labels[i])
    (tmp_path / "images" / "3.png").write_bytes(b"")
    save(tmp_path / "labels" / "4.png", np.full((8, 8), 7, np.uint8))
    report = check_data(folder_pairs(tmp_path, TABLE), progress=False)
    assert report.samples == 5
    assert [p.split(":")[0] for p in report.problems] == ["3", "4"]
    good = labels[:3]
    assert report.pixels.tolist() == [(good == 0).sum(), (good == 1).sum(), 0, (good == VOID).sum()]
    assert report.images_with_class.tolist() == [2, 2, 0, 2]
    assert report.share[:3].sum() == pytest.approx(100)
    assert report.all_void == ["1"]
    assert report.sizes == {(8, 8): 3}
    assert report.mean == pytest.approx((images[:3] / 255).mean((0, 1, 2)), abs=1e-9)
    assert report.std == pytest.approx((images[:3] / 255).std((0, 1, 2)), abs=1e-9)
    shares = json.loads(json.dumps(report.to_dict()))["classes"]
    assert shares["void"]["share"] == round(100 * (good == VOID).mean(), 2)


def test_a_report_on_nothing_but_bad_pairs_divides_by_nothing(tmp_path):
    ds = Pairs([tmp_path / "a.png"], [tmp_path / "a.png"], TABLE)
    report = check_data(ds, progress=False)
    assert len(report.problems) == 1
    assert np.isfinite([*report.share, *report.mean, *report.std]).all()


def test_a_data_set_whose_reader_gives_impossible_ids_is_reported():
    class Broken:
        table, names = TABLE, ("x",)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 9, np.uint8)

    assert "class ids over 2" in check_data(Broken(), progress=False).problems[0]


def test_the_text_has_sizes_as_height_x_width_and_shares_and_notes(tmp_path):
    for i, size in enumerate(((8, 6), (8, 6), (4, 4))):
        save(tmp_path / "images" / f"{i}.png", np.zeros((*size, 3), np.uint8))
        save(tmp_path / "labels" / f"{i}.png", np.full(size, VOID if i == 2 else i, np.uint8))
    text = check_data(folder_pairs(tmp_path, TABLE), progress=False).text()
    assert text.startswith("3 pairs, 8x6 (2), 4x4 (1)\n")
    rows = [line.split() for line in text.splitlines()]
    assert ["car", "50.00", "1"] in rows
    assert ["void", "14.29", "1"] in rows
    assert "  warning: no pixel of sky. 14.3 % of the pixels are void: where they are a class" in text
    assert "  note: 1 images are void throughout: 2" in text


def test_masks_of_0_and_255_whose_255_is_meant_as_a_class_are_warned_of_with_the_cure(tmp_path):
    for i in range(2):
        save(tmp_path / "images" / f"{i}.png", np.zeros((4, 4, 3), np.uint8))
        save(tmp_path / "labels" / f"{i}.png", np.uint8([[0, 255]] * 4).repeat(2, 1))
    (tmp_path / "classes.json").write_text('{"classes": ["bg", "lane"]}')
    (warning,) = check_data(folder_pairs(tmp_path), progress=False).warnings
    assert warning.startswith("no pixel of lane. 50.0 % of the pixels are void")
    assert '"id": 255' in warning
    assert '"void": []' in warning
    (tmp_path / "classes.json").write_text('{"classes": ["bg", {"name": "lane", "id": 255}], "void": []}')
    report = check_data(folder_pairs(tmp_path), progress=False)
    assert (report.warnings, report.pixels.tolist()) == ([], [16, 16, 0])
    assert report.to_dict()["warnings"] == []
    (tmp_path / "classes.json").write_text('{"classes": ["bg"]}')
    report = check_data(folder_pairs(tmp_path), progress=False)
    assert len(report.warnings) == 1
    assert "bg is the only class" in report.text()


def test_a_run_that_is_scored_on_what_it_trains_on_is_suspected(tmp_path):
    write_pairs(tmp_path)
    train = open_data(tmp_path, "train")
    samples = Resident(train, torch.device("cpu"), progress=False)
    (said,) = find_suspicions(TINY, train, open_data(tmp_path, "all"), samples)
    assert said.startswith("4 images are in both the training data and the validation data (0.png, 1.png")
    assert find_suspicions(TINY, train, None, samples) == []


def test_pictures_that_exif_turns_are_told(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    save(tmp_path / "images" / "a.jpg", np.zeros((4, 4, 3), np.uint8), exif=exif)
    save(tmp_path / "labels" / "a.png", np.uint8([[0, 1, 2, 2]] * 4))
    assert "1 images are turned by their EXIF orientation (a)" in check_data(folder_pairs(tmp_path, TABLE)).warnings[0]
