"""Cityscapes from the official folders: 19 and 20 classes, whole and in part, prepared copies, and every mistake."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeseg.data import open_data, recognise
from edgeseg.data.cityscapes import CITYSCAPES_CITIES, cityscapes_pairs, find_cityscapes, prepare_cityscapes
from edgeseg.data.labels import CITYSCAPES, CITYSCAPES20, CITYSCAPES20_LABEL_IDS, CITYSCAPES_LABEL_IDS, VOID, LabelError
from edgeseg.data.pairs import DataError, folder_pairs
from edgeseg.data.streets import Streets, write_streets
from picture_files import encoded, fill

pytestmark = pytest.mark.usefixtures("no_flush")

LABEL_IDS = [[0, 7, 8, 26], [23, 33, 3, 9]]
IDS_19 = [[VOID, 0, 1, 13], [10, 18, VOID, VOID]]
IDS_20 = [[19, 0, 1, 13], [10, 18, 19, 19]]
SCENES = 22  # more than train has cities
IMAGE = encoded(np.full((2, 4, 3), 9))


def make_official(root: Path) -> Path:
    """The official folders, whole but for the pictures' size, with label ids only, as they are downloaded."""
    for split, cities in CITYSCAPES_CITIES.items():
        for city, count in cities.items():
            frames = [f"{city}_{i:06d}_000019" for i in range(count)]
            fill(root / "leftImg8bit" / split / city, frames, "_leftImg8bit.png", IMAGE)
            fill(root / "gtFine" / split / city, frames, "_gtFine_labelIds.png", encoded(LABEL_IDS))
    return root


def add_train_ids(root: Path) -> None:
    """What csCreateTrainIdLabelImgs writes beside the label ids."""
    for path in root.glob("gtFine/*/*/*_labelIds.png"):
        ids = CITYSCAPES_LABEL_IDS.encode(np.asarray(Image.open(path)))
        path.with_name(path.name.replace("labelIds", "labelTrainIds")).write_bytes(encoded(ids))


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """A whole copy; to be read only."""
    return make_official(tmp_path_factory.mktemp("home") / "cityscapes")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Street scenes in Cityscapes' folders, a part of each split; to be read only."""
    root = tmp_path_factory.mktemp("drawn") / "cityscapes"
    for split in CITYSCAPES_CITIES:
        write_streets(Streets(split, n=SCENES, size=(32, 64), cache=False), root, False, layout="cityscapes")
    return root


@pytest.fixture
def part(drawn, tmp_path) -> Path:
    """A copy of `drawn` to change."""
    return shutil.copytree(drawn, tmp_path / "part")


# reading --------------------------------------------------------------------------------------------------------------


def test_a_whole_copy_has_the_official_frames_and_19_classes(official):
    for split, count in (("train", 2975), ("val", 500)):
        ds = cityscapes_pairs(official, split)
        assert len(ds) == len(set(ds.names)) == count
        assert list(ds.names) == sorted(ds.names)
        image, label = pickle.loads(pickle.dumps(ds))[-1]
        assert (image == 9).all()
        assert label.tolist() == IDS_19
        assert ds.table.names == CITYSCAPES.names
    assert {n.split("_")[0] for n in cityscapes_pairs(official, "val").names} == {"frankfurt", "lindau", "munster"}


def test_background_is_the_20th_class_and_everything_that_was_void(official):
    ds = cityscapes_pairs(official, "val", classes=20)
    assert ds[0][1].tolist() == IDS_20
    assert ds.table.names == CITYSCAPES20.names == (*CITYSCAPES.names, "background")
    every_value = np.array([[*range(34), VOID]], np.uint8)
    void = CITYSCAPES_LABEL_IDS.encode(every_value) == VOID
    assert ((CITYSCAPES20_LABEL_IDS.encode(every_value) == 19) == void).all()
    assert CITYSCAPES20.encode(np.array([[0, 18, VOID]], np.uint8)).tolist() == [[0, 18, 19]]
    with pytest.raises(LabelError):
        CITYSCAPES20.encode(np.full((1, 1), 19, np.uint8))  # in such a file a label id: traffic light
    with pytest.raises(DataError, match="no 11 classes; choose 19, or 20"):
        cityscapes_pairs(official, classes=11)


def test_train_ids_and_label_ids_give_the_same_labels_and_train_ids_win(part):
    by_label_ids = [cityscapes_pairs(part, "val", classes, partial=True)[5][1] for classes in (19, 20)]
    add_train_ids(part)
    for classes, expected in zip((19, 20), by_label_ids, strict=True):
        ds = cityscapes_pairs(part, "val", classes, partial=True)
        assert ds.labels[5].name.endswith("_gtFine_labelTrainIds.png")
        assert np.array_equal(ds[5][1], expected)


def test_folders_of_the_archives_names_are_looked_into(part):
    for kind in ("leftImg8bit", "gtFine"):
        (part / f"{kind}_trainvaltest").mkdir()
        (part / kind).rename(part / f"{kind}_trainvaltest" / kind)
    assert len(cityscapes_pairs(part, "val", partial=True)) == SCENES
    assert find_cityscapes(part.parent) is None
    part.rename(part.parent / "cityscapes")
    assert find_cityscapes(part.parent).root == part.parent / "cityscapes"


def test_without_a_path_the_data_home_is_searched_by_name_and_size(official, drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no cityscapes\* folder.*EDGESEG_DATA.*csDownload"):
        cityscapes_pairs()
    monkeypatch.setenv("EDGESEG_DATA", str(official.parent))
    assert len(open_data("cityscapes", "val")) == 500
    assert len(open_data("cityscapes20").table) == 20
    with pytest.raises(DataError, match=r"Img8bit.png: is 2x4 .*, where 1024x2048 was asked for. Give the official"):
        open_data("cityscapes", "val", size=(1024, 2048))
    with pytest.raises(DataError, match="frames of 1024x2048, not of 512x1024. Write it: .*prepare .*--size 512x1024"):
        open_data("cityscapes", size=(512, 1024))
    assert (recognise(official), recognise("cityscapes20"), recognise(tmp_path)) == ("cityscapes", "cityscapes20", None)
    assert len(open_data(str(drawn), "val", partial=True)) == SCENES


# mistakes -------------------------------------------------------------------------------------------------------------


def test_label_ids_in_a_file_named_after_train_ids_are_refused_with_the_cure(part):
    for path in part.glob("gtFine/*/*/*_labelIds.png"):
        shutil.copy(path, path.with_name(path.name.replace("labelIds", "labelTrainIds")))
    words = r"labelTrainIds.png: is named labelTrainIds but holds label ids \(values 19 to 33.*csCreateTrainIdLabelImgs"
    for classes in (19, 20):
        ds = cityscapes_pairs(part, "train", classes, partial=True)
        with pytest.raises(LabelError, match=words):
            ds[0]
    ds.labels[0].write_bytes(encoded([[99] * 64] * 32))  # neither
    with pytest.raises(LabelError, match=r"99.* are no label of cityscapes20"):
        ds[0]


def test_half_converted_train_ids_are_refused(part):
    add_train_ids(part)
    for path in (part / "gtFine" / "train" / "ulm").glob("*_labelTrainIds.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"1 of 22 frames have \*_labelIds.png but no \*_labelTr.*\(ulm_.*delete"):
        cityscapes_pairs(part, "train", partial=True)
    assert len(cityscapes_pairs(part, "val", partial=True)) == SCENES


def test_a_missing_city_and_a_wrong_count_are_named(official, tmp_path):
    root = tmp_path / "copy"
    for kind in ("leftImg8bit", "gtFine"):
        shutil.copytree(official / kind / "val", root / kind / "val")
    lindau = root / "gtFine" / "val" / "lindau"
    for i in range(3):
        (lindau / f"lindau_{i:06d}_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match=r"gtFine.val: 497 frames where 500 are right: lindau has 56 of 59. Unp"):
        cityscapes_pairs(root, "val")
    shutil.rmtree(lindau)
    with pytest.raises(DataError, match=r"gtFine.val: 1 of 3 cities are missing: lindau. Unpack gtF.*--partial"):
        cityscapes_pairs(root, "val")
    with pytest.raises(DataError, match=r"59 of 500 val images have no label \(lindau_000000_000019, .*…\)"):
        cityscapes_pairs(root, "val", partial=True)
    shutil.rmtree(root / "leftImg8bit" / "val" / "lindau")
    assert len(cityscapes_pairs(root, "val", partial=True)) == 441
    shutil.rmtree(root / "leftImg8bit" / "val" / "munster")
    with pytest.raises(DataError, match="174 of 441 val labels have no image"):
        cityscapes_pairs(root, "val", partial=True)


def test_a_city_of_another_split_is_refused_even_in_a_part(part):
    shutil.copytree(part / "leftImg8bit" / "val" / "munster", part / "leftImg8bit" / "train" / "munster")
    with pytest.raises(DataError, match="munster is no city of Cityscapes' train split"):
        cityscapes_pairs(part, "train", partial=True)


def test_what_cannot_be_read_says_why(tmp_path, drawn):
    with pytest.raises(DataError, match=r"test labels are not public.*Score on val, or .*submit"):
        cityscapes_pairs(drawn, "test")
    with pytest.raises(DataError, match="no split 'dev'; choose one of train, val"):
        cityscapes_pairs(drawn, "dev")
    with pytest.raises(DataError, match=r"no Cityscapes \(folders leftImg8bit and gtFine\)"):
        cityscapes_pairs(tmp_path)
    (tmp_path / "leftImg8bit").mkdir()
    with pytest.raises(DataError, match="train: no frames. Unpack leftImg8bit_trainvaltest.zip"):
        cityscapes_pairs(tmp_path, partial=True)


# prepare --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(drawn, tmp_path_factory) -> Path:
    """`drawn` at half its size; to be read only."""
    folder = tmp_path_factory.mktemp("prepared") / "small"
    return prepare_cityscapes(drawn, folder, (16, 32), progress=False, partial=True)


def test_a_prepared_copy_is_read_as_cityscapes_and_as_a_plain_folder(drawn, prepared):
    source = cityscapes_pairs(drawn, "val", partial=True)
    assert {cityscapes_pairs(prepared, "val").split, source.split} == {"val"}
    for ds in (cityscapes_pairs(prepared, "val"), folder_pairs(prepared, split="val"), open_data(str(prepared), "val")):
        assert tuple(ds.names) == tuple(source.names)
        assert ds.table.names == CITYSCAPES.names
        image, label = ds[3]
        assert image.shape == (16, 32, 3)
        assert np.array_equal(label, source[3][1][1::2, 1::2])  # nearest neighbour at half the size
    with pytest.raises(DataError, match="prepared already"):
        prepare_cityscapes(prepared)
    with pytest.raises(DataError, match="holds frames of 16x32, not of 1024x2048. Give the official folders"):
        open_data(str(prepared), size=(1024, 2048))


def test_halving_by_area_is_halving_by_bilinear_interpolation(drawn, prepared):
    image = torch.from_numpy(cityscapes_pairs(drawn, "val", partial=True)[0][0]).permute(2, 0, 1)[None].double()
    bilinear = torch.nn.functional.interpolate(image, (16, 32), mode="bilinear", align_corners=False)
    error = bilinear[0].permute(1, 2, 0).numpy() - cityscapes_pairs(prepared, "val")[0][0]
    assert np.abs(error).max() <= 1  # grey level: Pillow rounds rows and columns apart


def test_19_and_20_classes_are_read_from_either_preparation(drawn, prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    with20 = prepare_cityscapes(drawn, None, (16, 32), 20, progress=False, partial=True)
    assert with20 == tmp_path / "cityscapes20_32x16"
    for classes in (19, 20):
        first, second = (cityscapes_pairs(root, "val", classes) for root in (prepared, with20))
        assert first.table.names == second.table.names
        assert all(np.array_equal(first[i][1], second[i][1]) for i in range(SCENES))
    assert recognise(with20) == "cityscapes20"
    assert open_data(str(with20)).table.names == folder_pairs(with20, split="val").table.names == CITYSCAPES20.names
    assert open_data("cityscapes", size=(16, 32)).table.names == CITYSCAPES.names


def test_an_unfinished_preparation_and_one_of_other_choices_are_refused(drawn, prepared, tmp_path):
    cut = shutil.copytree(prepared, tmp_path / "cut")
    for name in cityscapes_pairs(prepared, "val").names[-9:]:
        (cut / "val" / "labels" / f"{name}.png").unlink()
    with pytest.raises(DataError, match="9 of 22 names are not one image and one label"):
        cityscapes_pairs(cut, "val")
    (cut / "val.txt").unlink()
    with pytest.raises(DataError, match="preparation was not finished.*again: it goes on where it was"):
        cityscapes_pairs(cut, "val")
    prepare_cityscapes(drawn, cut, (16, 32), progress=False, partial=True)
    assert len(cityscapes_pairs(cut, "val")) == SCENES
    with pytest.raises(DataError, match="holds something else than Cityscapes 16x32 of 20 classes"):
        prepare_cityscapes(drawn, cut, (16, 32), 20, progress=False, partial=True)
    with pytest.raises(DataError, match=r"leftImg8bit.train: 22 frames where 2975 are right"):
        prepare_cityscapes(drawn, cut, (16, 32), progress=False)


def test_a_whole_prepared_copy_must_list_all_frames(prepared, tmp_path):
    root = shutil.copytree(prepared, tmp_path / "whole")
    about = json.loads((root / "classes.json").read_text())
    (root / "classes.json").write_text(json.dumps({**about, "partial": False}))
    with pytest.raises(DataError, match="lists 22 frames where 500 are right"):
        cityscapes_pairs(root, "val")
    (root / "classes.json").write_text('{"data": "cityscapes"}')
    with pytest.raises(DataError, match=r"classes.json: not as edgeseg data prepare cityscapes writes it"):
        find_cityscapes(root)


def test_a_part_without_train_is_prepared_as_it_is(part, tmp_path):
    shutil.rmtree(part / "leftImg8bit" / "train")
    folder = prepare_cityscapes(part, tmp_path / "val_only", (16, 32), progress=False, partial=True)
    assert len(cityscapes_pairs(folder, "val")) == SCENES
    with pytest.raises(DataError, match="part of Cityscapes without train"):
        cityscapes_pairs(folder, "train")
    shutil.rmtree(part / "leftImg8bit" / "val")
    with pytest.raises(DataError, match="neither train nor val"):
        prepare_cityscapes(part, tmp_path / "none", partial=True)


# street scenes in these folders ---------------------------------------------------------------------------------------


def test_street_scenes_keep_their_pixels_and_classes(drawn):
    scenes, ds = Streets("val", n=SCENES, size=(32, 64), cache=False), cityscapes_pairs(drawn, "val", partial=True)
    assert ds.names[0] == "frankfurt_000000_000019"
    image, label = ds[0]
    assert np.array_equal(image, scenes[0][0])
    assert np.array_equal(label == VOID, scenes[0][1] == VOID)
    for street, city in ((0, "sky"), (3, "road"), (8, "car"), (10, "rider")):
        assert np.array_equal(label == CITYSCAPES.index(city), scenes[0][1] == street)
    with pytest.raises(ValueError, match="test split has no public labels; write train or val"):
        write_streets(Streets("test", n=1, size=(32, 32), cache=False), drawn, False, layout="cityscapes")
    with pytest.raises(ValueError, match="no layout 'kitti'; there are pairs, cityscapes, voc"):
        write_streets(scenes, drawn, False, layout="kitti")
