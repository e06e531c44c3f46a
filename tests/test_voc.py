"""PASCAL VOC2012 with SBD: the splits' sizes, .mat and PNG labels, what wins, what is refused, get and prepare."""

import hashlib
import io
import os
import pickle
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data import open_data, recognise
from edgeseg.data.labels import VOC, VOID, LabelError
from edgeseg.data.pairs import DataError
from edgeseg.data.voc import (
    SBD_SOURCE,
    VOC_SOURCE,
    VOC_SPLITS,
    find_sbd,
    find_voc,
    paper_split,
    prepare_voc_sbd,
    read_sbd_label,
    voc_pairs,
)
from picture_files import encoded, fill

pytestmark = pytest.mark.usefixtures("no_flush")
scipy_io = pytest.importorskip("scipy.io", reason="needs scipy: pip install 'edgeseg[voc]'")

# stand-ins of the official lengths: 1464 + 1449 names of VOC, 11355 of SBD, of which 1103 are also VOC's train and 1134
# its val, so that (SBD ∪ train) − val has 10582
TRAIN = [f"2007_{i:06d}" for i in range(1464)]
VAL = [f"2008_{i:06d}" for i in range(1449)]
SBD = [f"2010_{i:06d}" for i in range(11355 - 1103 - 1134)] + TRAIN[:1103] + VAL[:1134]
OWN = np.array([[0, 15, 255], [7, 7, 0]], np.uint8)  # what VOC's labels say
THEIRS = np.array([[0, 15, 15], [20, 7, 0]], np.uint8)  # what SBD's labels say


def mat(label: object = THEIRS, key: str = "GTcls", field: str = "Segmentation") -> bytes:
    """A file as MATLAB saves SBD's."""
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, {key: {field: label, "CategoriesPresent": [7.0]}}, do_compression=True)
    return buffer.getvalue()


def write_lists(folder: Path, train: list[str], val: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.txt").write_text("".join(f"{name}\n" for name in train))
    (folder / "val.txt").write_text("".join(f"{name}\n" for name in val))


def make_voc(root: Path, train: list[str], val: list[str], others: Iterable[str]) -> Path:
    voc = root / "VOCdevkit" / "VOC2012"
    fill(voc / "JPEGImages", {*train, *val, *others}, ".jpg", encoded(np.full((2, 3, 3), 50, np.uint8), "jpeg"))
    fill(voc / "SegmentationClass", (*train, *val), ".png", encoded(OWN, "png", palette=True))
    write_lists(voc / "ImageSets" / "Segmentation", train, val)
    return root


def make_sbd(root: Path, names: list[str], cut: int) -> Path:
    dataset = root / "benchmark_RELEASE" / "dataset"
    fill(dataset / "cls", names, ".mat", mat())
    write_lists(dataset, names[:cut], names[cut:])
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A data home with VOC2012 and SBD of the official lengths, and tiny pictures; to be read only."""
    home = tmp_path_factory.mktemp("home")
    make_voc(home / "voc2012", TRAIN, VAL, SBD)
    make_sbd(home / "sbd", SBD, 8498)
    return home


@pytest.fixture
def small(tmp_path) -> Path:
    """A small part to change: 4 + 3 pictures of VOC, 6 of SBD (two in VOC train, one in its val)."""
    train, val = TRAIN[:4], VAL[:3]
    sbd = ["2010_000001", "2010_000002", "2010_000003", train[0], train[3], val[0]]
    make_sbd(make_voc(tmp_path / "voc", train, val, sbd), sbd, 4)
    return tmp_path / "voc"


# splits ---------------------------------------------------------------------------------------------------------------


def test_every_split_has_its_published_size(home, monkeypatch):
    monkeypatch.setenv("EDGESEG_DATA", str(home))
    names = {split: voc_pairs(split=split).names for split in VOC_SPLITS}
    assert [len(set(names[split])) for split in VOC_SPLITS] == [1464, 1449, 2913, 10582, 10827, 1204]
    assert set(names["train_aug"]) == {*SBD, *TRAIN} - {*VAL}
    assert not set(names["paper_train"]) & set(names["paper_val"])
    assert {*names["paper_train"], *names["paper_val"]} == {*names["train_aug"], *VAL}
    assert {*names["paper_val"]} & {*VAL}  # it mixes: no score on it compares with one on VOC val
    assert {*names["paper_val"]} - {*VAL}
    assert voc_pairs(split="paper_val", seed=1).names != names["paper_val"]


def test_the_papers_split_is_the_same_everywhere_and_another_for_another_seed():
    names = [f"{i:05d}" for i in range(12031)]
    train, val = paper_split(reversed(names))
    assert (len(train), len(val)) == (int(12031 * 0.9), 12031 - int(12031 * 0.9)) == (10827, 1204)
    assert sorted(train + val) == names
    digest = hashlib.sha256("\n".join(val).encode()).hexdigest()
    assert digest == "69a2a13f6530cc08cef67430b49a6cf673d9478d2f96fc9025141c1096bdda1b"
    assert set(paper_split(names, seed=1)[1]) != set(val)


def test_vocs_own_label_wins_and_mat_labels_read_like_png(small):
    ds = voc_pairs(small, "train_aug", partial=True)
    assert ds.names == (*TRAIN[:4], "2010_000001", "2010_000002", "2010_000003")
    for i, (image, label) in enumerate(pickle.loads(pickle.dumps(ds))):
        assert image.shape == (2, 3, 3)
        assert label.dtype == np.uint8
        assert label.tolist() == (OWN if i < 4 else THEIRS).tolist()
    assert OWN[0, 2] == VOID
    for split in ("train", "val", "trainval", "paper_train", "paper_val"):
        ds = open_data(str(small), split, partial=True)
        assert ds.table.names == VOC.names
        assert ds.split == split
        for i, name in enumerate(ds.names):
            assert ds.images[i].stem == ds.labels[i].stem == name
            assert ds[i][1].tolist() == (THEIRS if name.startswith("2010") else OWN).tolist()


def test_a_seg_class_aug_folder_stands_in_for_the_mat_files(small, home, tmp_path):
    """As it is passed around: grey PNG files of all pictures, VOC's train and val among them."""
    folder = tmp_path / "SegmentationClassAug"
    fill(folder, {*SBD[:3], *TRAIN[:4], *VAL[:3]}, ".png", encoded(THEIRS, "png"))
    fill(small / "VOCdevkit" / "VOC2012" / "JPEGImages", SBD[:3], ".jpg", encoded(OWN, "jpeg"))
    for given in (folder, tmp_path):
        ds = voc_pairs(small, "train_aug", given, partial=True)
        assert ds.names == (*TRAIN[:4], *SBD[:3])
        assert [label.parent.name[17:] for label in ds.labels] == [""] * 4 + ["Aug"] * 3
        assert ds[-1][1].tolist() == THEIRS.tolist()
    words = (
        "gives 1467 names with VOC's train list .* 10582 are right. If edgeseg data prepare voc was cut, run it again"
    )
    with pytest.raises(DataError, match=words):
        voc_pairs(home / "voc2012", "train_aug", folder)


def test_layouts_are_found_from_above_and_beside(small, home, tmp_path, monkeypatch):
    voc = small / "VOCdevkit" / "VOC2012"
    assert find_voc(small) == find_voc(small / "VOCdevkit") == find_voc(voc) == voc
    assert recognise(small) == recognise(voc) == "voc"
    assert find_voc(home / "sbd") is None
    dataset = small / "benchmark_RELEASE" / "dataset"
    assert find_sbd(small) == find_sbd(dataset) == find_sbd(small / "benchmark_RELEASE")
    assert len(voc_pairs(voc, "train_aug", partial=True)) == 7  # SBD is found beside VOCdevkit
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "empty"))
    shutil.rmtree(small / "benchmark_RELEASE")
    with pytest.raises(DataError, match=r"no SBD \(a folder SegmentationClassAug .*edgeseg data get sbd"):
        voc_pairs(voc, "train_aug", partial=True)
    with pytest.raises(DataError, match=r"no voc\* folder .*EDGESEG_DATA.*edgeseg data get voc"):
        voc_pairs()
    with pytest.raises(DataError, match=r"no VOC2012 \(folders JPEGImages"):
        voc_pairs(tmp_path)
    with pytest.raises(DataError, match="no split 'test'; choose one of train, val, trainval, train_aug"):
        voc_pairs(voc, "test")


def test_lists_of_wrong_length_and_missing_files_are_named(small):
    lists = small / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation"
    with pytest.raises(DataError, match=r"train.txt: lists 4 names where 1464 are right.*partial=True"):
        voc_pairs(small)
    write_lists(lists, TRAIN, VAL)
    with pytest.raises(DataError, match=r"dataset.train.txt: lists 4 names where 8498 are right"):
        voc_pairs(small, "train_aug")
    with pytest.raises(DataError, match=r"1460 of 1464 listed files are missing \(.*2007_000004.jpg, .*, …\).*get voc"):
        voc_pairs(small)
    write_lists(lists, TRAIN[:4], VAL[:3])
    (small / "benchmark_RELEASE" / "dataset" / "cls" / "2010_000002.mat").unlink()
    with pytest.raises(DataError, match=r"1 of 7 listed files are missing \(.*2010_000002.mat\).*get sbd"):
        voc_pairs(small, "train_aug", partial=True)
    (lists / "val.txt").unlink()
    with pytest.raises(DataError, match="val.txt: no such file"):
        voc_pairs(small, partial=True)


# .mat files that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no MATLAB file, or a truncated one"),
        (b"<!DOCTYPE html><title>404</title>" * 20, "no MATLAB file"),
        (encoded(THEIRS, "png"), "no MATLAB file"),
        (mat()[:200], "truncated"),
        (mat()[:-20], "truncated"),
        (mat(key="GTinst"), "no GTcls.Segmentation. Take the files of SBD's folder cls"),
        (mat(field="Boundaries"), "no GTcls.Segmentation"),
        (mat(label="hello"), "no GTcls.Segmentation"),
        (mat(label=THEIRS + 0.5), "no GTcls.Segmentation"),
        (mat(label=THEIRS + 1), "holds values 1 to 21; VOC's classes are 0 to 20"),
        (mat(label=THEIRS.astype(np.int16) - 1), "holds values -1 to 19"),
        (mat(label=OWN), "holds values 0 to 255"),
    ],
)
def test_a_mat_file_that_is_none_is_named_with_the_cure(tmp_path, data, words):
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DataError, match=f"a.mat: .*{words}.*edgeseg data get sbd"):
        read_sbd_label(tmp_path / "a.mat")


def test_a_mat_file_of_another_picture_is_refused(small):
    path = small / "benchmark_RELEASE" / "dataset" / "cls" / "2010_000001.mat"
    path.write_bytes(mat(THEIRS.T.copy()))
    cure = "get both data sets again .edgeseg data get sbd, get voc"
    with pytest.raises(DataError, match=rf"2010_000001.jpg is 3×2 .*2010_000001.mat is 2×3. .*{cure}"):
        voc_pairs(small, "train_aug", partial=True)[4]
    path.unlink()
    with pytest.raises(DataError, match="2010_000001.mat: no such file"):
        read_sbd_label(path)


def test_without_scipy_the_pip_line_is_given(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    ds = voc_pairs(small, "train_aug", partial=True)
    assert ds[0][1].tolist() == OWN.tolist()
    with pytest.raises(ImportError, match=r'2010_000001.mat: .*pip install "edgeseg\[voc\]"'):
        ds[4]


# prepare ------------------------------------------------------------------------------------------------------


def test_prepare_writes_the_mat_files_once_and_then_nothing_needs_scipy(small, monkeypatch):
    by_mat = [label.tolist() for _, label in voc_pairs(small, "train_aug", partial=True)]
    folder = prepare_voc_sbd(small, progress=False, partial=True)
    assert folder == small / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    assert sorted(p.name for p in folder.iterdir()) == [f"2010_00000{i}.png" for i in (1, 2, 3)]
    with Image.open(folder / "2010_000001.png") as file:
        assert file.mode == "P"
        assert file.getpalette()[15 * 3 : 16 * 3] == [192, 128, 128]
    before = (folder / "2010_000001.png").stat().st_mtime_ns
    whole = (folder / "2010_000002.png").read_bytes()
    (folder / "2010_000002.png").unlink()
    prepare_voc_sbd(small, progress=False, partial=True)  # goes on
    assert (folder / "2010_000002.png").read_bytes() == whole
    assert (folder / "2010_000001.png").stat().st_mtime_ns == before
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    ds = voc_pairs(small, "train_aug", partial=True)
    assert ds.labels[-1].parent == folder
    assert [label.tolist() for _, label in ds] == by_mat


def test_prepare_stops_at_a_bad_file_and_at_a_wrong_place(small, tmp_path):
    with pytest.raises(DataError, match="call the folder SegmentationClassAug"):
        prepare_voc_sbd(small, to=tmp_path / "labels", partial=True)
    with pytest.raises(DataError, match="no SBD .benchmark_RELEASE"):
        prepare_voc_sbd(small, sbd=small / "VOCdevkit", partial=True)
    cls = small / "benchmark_RELEASE" / "dataset" / "cls"
    (cls / "2010_000002.mat").write_bytes(b"none")
    with pytest.raises(DataError, match="2010_000002.mat: no MATLAB file"):
        prepare_voc_sbd(small, progress=False, partial=True)
    left = small / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    assert os.listdir(left) == ["2010_000001.png"]


def test_an_own_label_file_with_a_colour_picture_is_refused(small):
    path = small / "VOCdevkit" / "VOC2012" / "SegmentationClass" / f"{TRAIN[0]}.png"
    path.write_bytes(encoded(np.full((2, 3, 3), 128, np.uint8), "png"))
    with pytest.raises(LabelError, match=f"{TRAIN[0]}.png: a colour label, but voc21 lists no label colours"):
        voc_pairs(small, partial=True)[0]


def test_the_sources_are_those_of_torchvision():
    datasets = pytest.importorskip("torchvision.datasets")
    voc, sbd = VOC_SOURCE.archives[0], SBD_SOURCE.archives[0]
    theirs = datasets.voc.DATASET_YEAR_DICT["2012"]
    assert theirs["url"] in voc.urls
    assert theirs["md5"] == voc.md5
    assert (datasets.SBDataset.url, datasets.SBDataset.md5) == (sbd.urls[0], sbd.md5)
