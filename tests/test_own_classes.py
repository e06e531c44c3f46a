"""Lesson 20 on a folder of one's own: outlines become labels, a copy is split by place, the original stays as it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from edgeseg.course.drawing import read_shapes
from edgeseg.course.lessons import lesson_20 as lesson

IDS = {"other": 0, "lamp": 1, "void": 255}


@pytest.fixture
def own(tmp_path):
    """Eight photographs of four places, one recorded twice, with LabelMe's JSON beside each and a class file."""
    folder = tmp_path / "mine"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for recording in ("park", "bridge", "station", "park2"):
        for number in range(2):
            name = f"{recording}_{number}"
            Image.new("RGB", (40, 30), (9, 9, 90)).save(folder / "images" / f"{name}.jpg")
            frame = {"label": "other", "points": [[0, 0], [40, 0], [40, 30], [0, 30]], "shape_type": "polygon"}
            lamp = {"label": "lamp", "points": [[10, 5], [20, 5], [20, 25], [10, 25]], "shape_type": "polygon"}
            spec = {"shapes": [frame, lamp], "imageHeight": 30, "imageWidth": 40}
            (folder / "images" / f"{name}.json").write_text(json.dumps(spec), encoding="utf-8")
    (folder / "classes.json").write_text(json.dumps({"classes": ["other", "lamp"]}), encoding="utf-8")
    (folder / "places.json").write_text(json.dumps({"park2": "park"}), encoding="utf-8")
    return folder


def test_a_folder_of_one_s_own_goes_the_lesson_s_way(own, tmp_path):
    for path in (own / "images").glob("*.json"):
        label = lesson.to_label(*read_shapes(path), IDS)
        Image.fromarray(label).save(own / "labels" / f"{path.stem}.png")
    before = sorted(own.rglob("*"))
    folder = lesson.own_copy(own, tmp_path / "copy")
    table = lesson.write_classes(folder, lesson.class_file(("a", "b"), {"lamp": ["b"]}))
    assert table.names == ("other", "lamp")
    assert json.loads((folder / "classes.json").read_text(encoding="utf-8")) == {"classes": ["other", "lamp"]}
    photos = lesson.photos_of(folder)
    assert len(photos) == 8
    assert photos["park2_1"] == ("park2", "park")
    assert photos["bridge_0"] == ("bridge", "bridge")
    train, val = lesson.write_split(folder, *lesson.split(photos))
    assert len(train) + len(val) == 8
    assert not {photos[n][1] for n in train.names} & {photos[n][1] for n in val.names}
    image, label = val[0]
    assert image.shape == (30, 40, 3)
    assert (label[8:22, 12:18] == 1).all()
    assert lesson.overlooked(np.zeros_like(label), label, 1) == (1, 1)
    assert sorted(own.rglob("*")) == before


def test_without_a_class_file_it_says_what_to_write(own, tmp_path):
    (own / "classes.json").unlink()
    with pytest.raises(ValueError, match=r'write classes.json in it, such as \{"classes"'):
        lesson.own_copy(own, tmp_path / "copy")
