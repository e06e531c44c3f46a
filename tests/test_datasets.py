"""The records of the data sets: everything that is asked by name goes through them, options included."""

import dataclasses
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from edgeseg.data import NAMES, datasets, open_data, recognise
from edgeseg.data.datasets import (
    DATASETS,
    FOLDER,
    Action,
    DataSet,
    find_source,
    known_options,
    open_splits,
    prepare,
)
from edgeseg.data.labels import CAMVID, VOC, LabelError
from edgeseg.data.local import data_home, get_source, write_copy
from edgeseg.data.pairs import DataError, Pairs
from edgeseg.data.streets import Streets
from edgeseg.text import Field
from picture_files import save

GUIDE = Path(__file__).parent.parent / "docs" / "data.md"
SOURCES = {name: source for record in DATASETS.values() for name, source in record.sources.items()}


@pytest.fixture(scope="module")
def scenes() -> dict[str, Streets]:
    return {split: Streets(split, 2, size=(32, 48), cache=False) for split in ("train", "test")}


@pytest.fixture
def folder(scenes, tmp_path) -> Path:
    """A folder of pairs with two splits."""
    return write_copy(tmp_path / "mine", scenes, (32, 48), {}, "scenes", progress=False)


# opening --------------------------------------------------------------------------------------------------------------


def test_streets_take_size_count_seed_and_factors():
    ds = open_data("streets", "val", size=[32, 48], count=2, seed=3, fog="dense")
    assert np.array_equal(ds[1][0], Streets("val", 2, (32, 48), 3, fog="dense")[1][0])
    assert len(open_data("streets", "val", count=None)) == 200


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_a_data_set_does_not_have_is_refused_by_name(name):
    with pytest.raises(DataError, match=f"no option of {name} 'rain'.*; there are"):
        open_data(name, rain=True)


def test_options_are_not_ignored_where_they_mean_nothing(folder):
    for name, options in {"camvid": {"count": 3}, "voc": {"definition": "B"}, folder: {"count": 3}}.items():
        with pytest.raises(DataError, match=f"no option of .* '{next(iter(options))}'"):
            open_data(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("camvid", {"definition": "C"}, "definition='C': give one of A, B"),
        ("streets", {"count": 0}, "count=0: give a whole number of 1 or more"),
        ("streets", {"fog": "thick"}, "fog='thick': give one of mixed, none, light, dense"),
        ("cityscapes", {"partial": 1}, "partial=1: give true or false"),
    ],
)
def test_a_value_out_of_range_says_what_is_wanted(name, options, words):
    with pytest.raises(ValueError, match=words):
        open_data(name, **options)


def test_settings_for_several_data_sets_are_cut_to_what_one_has(folder):
    settings = {"size": (32, 48), "count": 2, "definition": "B"}
    assert known_options("streets", **settings) == {"size": (32, 48), "count": 2}
    assert known_options("camvid", **settings) == {"size": (32, 48), "definition": "B"}
    assert known_options(folder, **settings) == {}


def test_a_folder_opens_by_split_and_with_another_class_file(folder, tmp_path):
    assert (len(open_data(folder, "test")), open_data(str(folder), "test").split) == (2, "test")
    assert set(open_splits(folder)) == {"train", "test"}
    (folder / "classes.json").rename(tmp_path / "mine.json")
    with pytest.raises(LabelError, match="classes.json: not a class file"):
        open_data(folder)
    assert open_data(folder, classes=tmp_path / "mine.json").table.names == CAMVID.names
    assert set(open_splits(folder, classes=tmp_path / "mine.json")) == {"train", "test"}


def test_a_folder_without_splits_is_one_whole(folder):
    for file in folder.glob("*.txt"):
        file.unlink()
    for kind in ("images", "labels"):
        (folder / "train" / kind).rename(folder / kind)
    (folder / "train").rmdir()
    (folder / "test").rename(folder / "other")
    assert {split: (len(ds), ds.split) for split, ds in open_splits(folder).items()} == {"all": (2, None)}
    assert len(open_data(folder)) == 2
    with pytest.raises(DataError, match="has no splits, so no 'val' either: list names in val.txt, or train with"):
        open_data(folder, "val")
    with pytest.warns(UserWarning, match=r"has no splits: all of its 2 pairs are taken, .*list names in train.txt"):
        assert len(open_data(folder, "test")) == 2


# a folder's own word --------------------------------------------------------------------------------------------------

OWN = '{"classes": ["bg", "lane"]}'
PAIR = {"image": np.full((4, 6, 3), 100, np.uint8), "label": np.full((4, 6), 1, np.uint8)}
LAYOUTS = {
    "voc": ("JPEGImages/{}.jpg", "SegmentationClass/{}.png", "ImageSets/Segmentation/train.txt"),
    "camvid split": ("train/images/{}.png", "train/labels/{}.png", "train.txt"),
    "camvid segnet": ("train/{}.png", "trainannot/{}.png", "train.txt"),
    "camvid fastai": ("images/{}.png", "labels/{}_P.png", "train.txt"),
}


def lay_out(root: Path, layout: str, names: tuple[str, ...]) -> Path:
    image, label, listing = (root / pattern for pattern in LAYOUTS[layout])
    for name in names:
        save(Path(str(image).format(name)), PAIR["image"])
        save(Path(str(label).format(name)), PAIR["label"])
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("\n".join(names))
    (root / "codes.txt").write_text("Column_Pole\nSky\n")
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("names", [("a", "b"), ("0001TP_006690", "0001TP_006720"), ("2007_000032", "2007_000033")])
def test_classes_of_its_own_win_over_a_layout_and_names_that_are_known(tmp_path, layout, names):
    root = lay_out(tmp_path / "camvid_and_voc", layout, names)
    (root / "classes.json").write_text(OWN)
    assert recognise(root) is None
    for ds in (open_data(root, "train"), open_splits(root)["train"]):
        assert (ds.table.names, tuple(ds.names)) == (("bg", "lane"), names)
        assert (ds[0][1] == 1).all()
    with pytest.raises(DataError, match="no option of a folder of pairs 'partial'"):
        open_data(root, "train", partial=True)
    (root / "classes.json").rename(tmp_path / "mine.json")
    assert open_data(root, "train", classes=tmp_path / "mine.json").table.names == ("bg", "lane")


@pytest.mark.parametrize("layout", ["voc", "camvid split"])
def test_a_folder_with_its_own_classes_is_no_copy_in_the_data_home(tmp_path, monkeypatch, layout):
    known = layout.split()[0]
    root = lay_out(tmp_path / f"{known}_mine", layout, ("0001TP_006690",))
    (root / "classes.json").write_text(OWN)
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"no {known}\* folder"):
        open_data(known)
    with pytest.raises(DataError, match="its classes.json names other classes"):
        DATASETS[known].open(known, root, "train")


@pytest.mark.parametrize(
    "classes",
    [
        list(reversed(VOC.names)),
        [{"name": name, "id": 20 - i} for i, name in enumerate(VOC.names)],
        {str(i): name for i, name in enumerate(VOC.names)},
    ],
)
def test_the_known_names_with_other_values_are_classes_of_its_own(tmp_path, classes):
    root = lay_out(tmp_path, "voc", ("2007_000032",))
    (root / "classes.json").write_text(json.dumps({"classes": classes}))
    assert recognise(root) is None
    (root / "classes.json").write_text(json.dumps({"classes": list(VOC.names)}))
    assert recognise(root) == "voc"


def test_strange_pictures_in_vocs_folders_ask_for_classes_even_where_a_part_is_meant(tmp_path):
    root = lay_out(tmp_path, "voc", ("lane1", "lane2"))
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("lane3")
    for partial in (False, True):
        with pytest.raises(DataError, match=r"train.txt: lane1, lane2 is no picture of PASCAL VOC.*a classes.json in"):
            open_data(root, "train", partial=partial)


def test_official_folders_with_classes_of_their_own_are_not_cityscapes(tmp_path):
    (tmp_path / "leftImg8bit" / "train").mkdir(parents=True)
    assert recognise(tmp_path) == "cityscapes"
    (tmp_path / "classes.json").write_text(OWN)
    assert recognise(tmp_path) is None
    with pytest.raises(DataError, match="no folder images.*the folder holds leftImg8bit"):
        open_data(tmp_path)


def test_neither_a_name_nor_a_folder_lists_the_names():
    with pytest.raises(DataError, match="no data set 'camvit' .did you mean camvid.*; there are camvid, cityscapes"):
        open_data("camvit")


def test_a_name_is_known_in_any_case_and_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streets").mkdir()
    assert recognise("Streets") == recognise("streets") == "streets"
    assert recognise("./streets") is recognise("nowhere") is None
    assert len(open_data("Streets", "test", count=1)) == 1


# a new one ------------------------------------------------------------------------------------------------------------


def test_a_new_data_set_is_a_record(monkeypatch, tmp_path, scenes):
    def open_toy(root: Path | None, split: str, shift: int = 0) -> Pairs:
        return Pairs([f"{split}{shift}.png"], ["a.png"], CAMVID, split=split)

    toy = DataSet(
        "toy",
        "one pair",
        Action(open_toy, {"shift": Field(int, 0, low=0)}),
        lambda root, partial: ("train", "val"),
        lambda folder: folder if (folder / "toy.txt").exists() else None,
        prepare=Action(lambda source, to, progress: to),
    )
    monkeypatch.setitem(DATASETS, "toy", toy)
    assert open_data("toy", "val", shift=2).images == (Path("val2.png"),)
    assert list(open_splits("toy")) == ["train", "val"]
    (tmp_path / "toy.txt").write_text("")
    assert recognise(tmp_path) == "toy"
    assert prepare("toy", tmp_path, tmp_path / "out") == tmp_path / "out"
    with pytest.raises(DataError, match="no option of toy 'size'; there are shift"):
        open_data(tmp_path, size=(32, 32))


def test_the_guide_names_every_data_set():
    text = GUIDE.read_text(encoding="utf-8")
    assert {name for name in NAMES if f"{name}" not in text.lower()} == set()


# getting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_addresses_and_whole_hashes_and_says_what_may_be_done(name):
    for archive in SOURCES[name].archives:
        assert archive.urls
        assert all(url.startswith(("http://", "https://")) for url in archive.urls)
        assert archive.md5 is None or len(bytes.fromhex(archive.md5)) == 16
    assert "cite" in SOURCES[name].terms


def test_a_source_is_named_by_its_data_set_or_by_itself():
    assert find_source("camvid") is find_source("camvid", "fastai") is SOURCES["fastai"]
    assert find_source("SBD") is find_source("voc", "sbd") is SOURCES["sbd"]
    assert find_source("voc") is SOURCES["voc"]
    with pytest.raises(DataError, match="no source of camvid 'kaggle'; there are fastai, segnet, owners"):
        find_source("camvid", "kaggle")
    with pytest.raises(DataError, match="cannot be fetched for you: register at .*csDownload"):
        find_source("cityscapes20")


def test_an_archive_that_lies_beside_is_unpacked_kept_and_refused_where_it_is_something_else(tmp_path, monkeypatch):
    """It lies where a download would put it: `fetch` checks it and leaves the network alone."""
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    archive = tmp_path / "home" / SOURCES["voc"].archives[0].filename
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "JPEGImages", "VOCdevkit/VOC2012/JPEGImages")
        tar.add(tmp_path / "JPEGImages", "VOCdevkit/VOC2012/ImageSets/Segmentation")
    facts = {"size": archive.stat().st_size, "md5": hashlib.md5(archive.read_bytes()).hexdigest()}
    source = SOURCES["voc"]
    known = dataclasses.replace(source, archives=(dataclasses.replace(source.archives[0], **facts),))
    monkeypatch.setitem(DATASETS["voc"].sources, "voc", known)
    assert get_source(find_source("voc"), progress=False) == tmp_path / "home" / "voc2012"
    assert recognise(tmp_path / "home" / "voc2012") == "voc"
    assert archive.exists()
    held = {name: folders for name, folders in datasets.folders_at_home().items() if folders}
    assert held == {"voc": [tmp_path / "home" / "voc2012"]}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(DataError, match="mine: holds something else than voc2012. Remove it, or choose another"):
        get_source(find_source("voc"), tmp_path / "mine", progress=False)


def test_the_data_home_is_chosen_or_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))
    assert data_home() == tmp_path / "mine"
    monkeypatch.delenv("EDGESEG_DATA")
    assert data_home() == tmp_path / "cache" / "data"


def test_what_cannot_be_prepared_lists_what_can(tmp_path):
    with pytest.raises(DataError, match="no data set 'streets'; there are camvid, .* to prepare. Own"):
        prepare("streets", tmp_path)
    assert FOLDER.prepare is None
