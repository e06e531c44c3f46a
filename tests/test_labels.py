"""Class tables: every printed mapping, and what happens to values that no table knows."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from edgeseg.data import labels
from edgeseg.data.class_file import read_class_file
from edgeseg.data.labels import (
    CAMVID,
    CAMVID32,
    CITYSCAPES,
    CITYSCAPES_LABEL_IDS,
    VOC,
    VOID,
    ClassTable,
    LabelError,
    bit_palette,
    camvid,
    camvid_from_codes,
)

# CamVid's 32 colours as grouped by definition A; the first of each line is the head class, all that definition B keeps
GROUPS = {
    "Sky": "Sky 128,128,128",
    "Building": "Building 128,0,0; Bridge 0,128,64; Wall 64,192,0; Tunnel 64,0,64; Archway 192,0,128",
    "Pole": "Column_Pole 192,192,128; TrafficCone 0,0,64",
    "Road": "Road 128,64,128; LaneMkgsDriv 128,0,192; LaneMkgsNonDriv 192,0,64",
    "Pavement": "Sidewalk 0,0,192; ParkingBlock 64,192,128; RoadShoulder 128,128,192",
    "Tree": "Tree 128,128,0; VegetationMisc 192,192,0",
    "SignSymbol": "SignSymbol 192,128,128; Misc_Text 128,128,64; TrafficLight 0,64,64",
    "Fence": "Fence 64,64,128",
    "Car": "Car 64,0,128; SUVPickupTruck 64,128,192; Truck_Bus 192,128,192; Train 192,64,128; OtherMoving 128,64,64",
    "Pedestrian": "Pedestrian 64,64,0; Child 192,128,64; CartLuggagePram 64,0,192; Animal 64,128,64",
    "Bicyclist": "Bicyclist 0,128,192; MotorcycleScooter 192,0,192",
}
RAW = [
    (group, entry.split()[0], tuple(int(v) for v in entry.split()[1].split(",")), place == 0)
    for group, entries in GROUPS.items()
    for place, entry in enumerate(entries.split("; "))
]


def pixel(color: tuple[int, ...]) -> np.ndarray:
    """(1, 1, 3) uint8 label of one colour."""
    return np.array([[color]], np.uint8)


# CamVid


def test_camvid_has_eleven_classes_in_the_known_order_and_32_raw_ones():
    assert CAMVID.names == tuple(GROUPS)
    assert CAMVID.names == camvid("B").names
    assert {name for _, name, _, _ in RAW} | {"Void"} == set(CAMVID32)
    assert len(CAMVID32) == 32


@pytest.mark.parametrize(("group", "name", "color", "head"), RAW)
def test_each_raw_colour_goes_where_both_definitions_say(group, name, color, head):
    expected = list(GROUPS).index(group)
    assert CAMVID32[name][0] == color
    assert camvid("A").encode(pixel(color))[0, 0] == expected
    assert camvid("B").encode(pixel(color))[0, 0] == (expected if head else VOID)


@pytest.mark.parametrize("definition", ["A", "B"])
def test_black_and_colours_that_camvid_does_not_list_are_void(definition):
    for color in ((0, 0, 0), (1, 2, 3), (127, 128, 128), (255, 255, 255)):
        assert camvid(definition).encode(pixel(color))[0, 0] == VOID


def test_the_480x360_copys_void_is_11():
    raw = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert CAMVID.encode(raw).ravel().tolist() == [*range(11), VOID]


def test_codes_files_map_by_line_number():
    codes = sorted(CAMVID32, key=str.lower)
    index = np.arange(32, dtype=np.uint8).reshape(4, 8)
    colors = np.array([CAMVID32[c][0] for c in codes], np.uint8).reshape(4, 8, 3)
    for definition in ("A", "B"):
        by_code = camvid_from_codes(codes, definition).encode(index)
        assert np.array_equal(by_code, camvid(definition).encode(colors))
    with pytest.raises(LabelError, match="Sky2"):
        camvid_from_codes(["Sky", "Sky2"])


def test_there_is_no_third_definition():
    with pytest.raises(LabelError, match="'A' .grouped, default. or 'B'"):
        camvid("C")


# Cityscapes and VOC


CITYSCAPES_PAIRS = (
    "7:0 8:1 11:2 12:3 13:4 17:5 19:6 20:7 21:8 22:9 23:10 24:11 25:12 26:13 27:14 28:15 31:16 32:17 33:18"
)


def test_cityscapes_label_ids_go_to_train_ids_and_the_rest_is_void():
    pairs = dict(tuple(map(int, pair.split(":"))) for pair in CITYSCAPES_PAIRS.split())
    ids = np.arange(34, dtype=np.uint8)[None]
    assert CITYSCAPES_LABEL_IDS.encode(ids)[0].tolist() == [pairs.get(i, VOID) for i in range(34)]
    assert CITYSCAPES_LABEL_IDS.encode(np.full((1, 1), 255, np.uint8))[0, 0] == VOID  # licence plate, −1 in 8 bits
    assert CITYSCAPES_LABEL_IDS.names == CITYSCAPES.names


def test_label_ids_taken_for_train_ids_are_noticed():
    with pytest.raises(LabelError, match="berlin_labelIds.png.*26.*right class table"):
        CITYSCAPES.encode(np.full((2, 2), 26, np.uint8), "berlin_labelIds.png")


def test_cityscapes_names_and_colours_are_the_official_ones():
    assert len(CITYSCAPES) == 19
    assert (CITYSCAPES.names[0], CITYSCAPES.names[11], CITYSCAPES.names[18]) == ("road", "person", "bicycle")
    assert (CITYSCAPES.colors[0], CITYSCAPES.colors[13]) == ((128, 64, 128), (0, 0, 142))


def test_vocs_palette_spreads_the_bits_of_the_id():
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0)}
    known |= {15: (192, 128, 128), 20: (0, 64, 128)}
    assert {i: VOC.colors[i] for i in known} == known
    assert bit_palette(256)[255] == (224, 224, 192)
    assert len(set(bit_palette(256))) == 256
    assert (len(VOC), VOC.names[15], VOC.index("tvmonitor")) == (21, "person", 20)
    assert VOC.encode(np.array([[0, 20, 255]], np.uint8)).tolist() == [[0, 20, VOID]]


# tables in general


def test_void_has_one_owner():
    package = Path(labels.__file__).parents[1]
    owners = [path.name for path in package.rglob("*.py") if re.search(r"(?m)^VOID\b.*=", path.read_text("utf-8"))]
    assert owners == ["void.py"]
    assert labels.VOID == 255


@pytest.mark.parametrize("table", [CAMVID, camvid("B"), CITYSCAPES, CITYSCAPES_LABEL_IDS, VOC])
def test_tables_have_names_colours_and_a_palette_and_survive_pickling(table):
    assert len(table) == len(table.names) == len(table.colors) == len(set(table.names))
    assert table.palette.shape == (256, 3)
    assert table.palette.dtype == np.uint8
    assert [tuple(c) for c in table.palette[: len(table)].tolist()] == list(table.colors)
    assert not table.palette[len(table) :].any()
    assert pickle.loads(pickle.dumps(table)) == table


def test_a_class_is_found_by_name_in_any_case_or_the_names_are_listed():
    assert CAMVID.index("bicyclist") == CAMVID.index("BICYCLIST") == 10
    with pytest.raises(LabelError, match="no class 'bike'.*Sky, Building"):
        CAMVID.index("bike")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_values_out_of_range_name_the_file_and_the_values(dtype):
    with pytest.raises(LabelError, match=r"0016E5.png: value\(s\) \[12, 99\].*0-11, 255"):
        CAMVID.encode(np.array([[0, 12], [99, 11]], dtype), "0016E5.png")


@pytest.mark.parametrize("value", [-1, 256, 70000])
def test_values_outside_a_byte_are_no_labels_either(value):
    with pytest.raises(LabelError, match=rf"\[{value}\]"):
        CAMVID.encode(np.array([[0, value]], np.int32))


def test_a_one_bit_label_counts_as_zeros_and_ones():
    two = ClassTable("mask", ("no", "yes"), ((0, 0, 0), (255, 255, 255)))
    encoded = two.encode(np.array([[True, False]]))
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == [[1, 0]]


@pytest.mark.parametrize("raw", [np.zeros((2, 2), np.float32), np.zeros((2, 2, 2), np.uint8), np.zeros(4, np.uint8)])
def test_arrays_that_are_no_label_are_refused(raw):
    with pytest.raises(LabelError, match="odd.png: no label"):
        CAMVID.encode(raw, "odd.png")


def test_an_alpha_channel_is_ignored():
    assert CAMVID.encode(np.array([[[128, 0, 0, 255]]], np.uint8))[0, 0] == 1


def test_a_colour_label_for_a_table_without_label_colours_is_refused():
    with pytest.raises(LabelError, match="x.png: a colour label"):
        VOC.encode(pixel((128, 0, 0)), "x.png")


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"names": (), "colors": ()}, "0 classes"),
        ({"names": tuple(map(str, range(255))), "colors": ((0, 0, 0),) * 255}, "255 classes"),
        ({"names": ("a", "a"), "colors": ((0, 0, 0),) * 2}, "repeats"),
        ({"names": ("a", "b"), "colors": ((0, 0, 0),)}, "2 names and 1 colours"),
        ({"names": ("a",), "colors": ((0, 0, 0),), "ids": {0: 0, 1: 1}}, r"\[1\]"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(kwargs, text):
    with pytest.raises(LabelError, match=text):
        ClassTable("mine", **kwargs)


# class files for own data


def class_file(folder: Path, spec: object) -> Path:
    path = folder / "classes.json"
    path.write_text(spec if isinstance(spec, str) else json.dumps(spec), encoding="utf-8")
    return path


def test_a_class_file_gives_names_colours_values_and_void(tmp_path):
    road = {"name": "road", "color": [128, 64, 128], "id": [7, 9]}
    table = read_class_file(class_file(tmp_path, {"classes": [road, "other"], "void": [0, 255, [0, 0, 0]]}))
    assert table.name == "classes"
    assert table.names == ("road", "other")
    assert table.colors[0] == (128, 64, 128)
    assert table.encode(np.array([[7, 9, 1, 0, 255]], np.uint8)).tolist() == [[0, 0, 1, VOID, VOID]]
    assert table.encode(pixel((128, 64, 128)))[0, 0] == 0
    assert table.encode(pixel((0, 0, 0)))[0, 0] == VOID
    with pytest.raises(LabelError, match=r"\(1, 64, 128\).*JPEG"):
        table.encode(pixel((1, 64, 128)))


def test_names_alone_are_enough_and_void_is_255(tmp_path):
    table = read_class_file(class_file(tmp_path, {"classes": ["free", "obstacle"]}))
    assert table.encode(np.array([[0, 1, 255]], np.uint8)).tolist() == [[0, 1, VOID]]
    assert (0, 0, 0) not in table.colors
    assert len(set(table.colors)) == 2


def test_void_may_be_one_number_and_the_file_may_start_with_a_byte_order_mark(tmp_path):
    table = read_class_file(class_file(tmp_path, '\ufeff{"classes": ["a", "b"], "void": 11}'))
    assert table.encode(np.array([[0, 1, 11]], np.uint8)).tolist() == [[0, 1, VOID]]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "not a class file"),
        ("[1, 2]", "not a class file"),
        ('{"names": ["a"]}', "not a class file"),
        ('{"classes": [{"color": [1, 2, 3]}]}', "not a class file"),
        ('{"classes": []}', "0 classes"),
        ('{"classes": ["a", "a"]}', "repeats"),
        ('{"classes": [{"name": "a", "color": [1, 2]}]}', "no colour"),
        ('{"classes": [{"name": "a", "color": "red"}]}', "no colour"),
        ('{"classes": [{"name": "a", "color": [1, 2, 256]}]}', "256"),
        ('{"classes": [{"name": "a", "id": 300}]}', "300"),
        ('{"classes": [{"name": "a", "id": "1"}]}', "'1'"),
        ('{"classes": [{"name": "a", "id": 1}, "b"]}', "value 1 is given to 'a' and to 'b'"),
        ('{"classes": ["a", "b"], "void": [0]}', "value 0 is given to 'a' and to void"),
        ('{"classes": [{"name": "a", "color": [1, 2, 3]}, {"name": "b", "color": [1, 2, 3]}]}', "colour"),
        ('{"classes": ["a"], "void": "none"}', "'none'"),
        (
            '{"classes": ["a"], "void": [0, 0, 0]}',
            r"lists a file value twice; a colour is a list of its own: \[\[0, 0, 0\]\]",
        ),
        (
            '{"classes": ["a", {"name": "b", "id": 255}]}',
            r'to \'b\' and to void; where it is the class write "void": \[\]',
        ),
        ('{"classes": ["a"], "void": [Infinity]}', "not a class file .Infinity is no number"),
        ('{"classes": ["a"], "classes": ["b"]}', "the key 'classes' is given twice"),
        # what is not known might change what is known
        (
            '{"classes": ["a"], "ignore_index": 0}',
            "no key of a class file 'ignore_index'.*; there are classes, void. Write",
        ),
        ('{"classes": ["a"], "viod": [0]}', "no key of a class file 'viod' .did you mean void"),
        ('{"classes": ["a"], "background": 0}', "no key of a class file 'background'"),
        (
            '{"classes": ["a", {"name": "b", "value": 1}]}',
            "no key of a class .number 1. 'value'; there are name, color, id",
        ),
        (
            '{"classes": [{"name": "a", "trainId": 0}]}',
            "no key of a class .number 0. 'trainId'.*; there are name, color, id",
        ),
        ('{"classes": [{"name": "a", "colour": [1, 2, 3]}]}', "'colour' .did you mean color"),
        ('{"classes": "road"}', '"road" is no list of classes'),
        ('{"classes": {"1": "lane", "0": "bg"}}', 'is no list of classes; .*"id2label"'),
        ('{"classes": null}', "null is no list of classes"),
        ('{"classes": ["a", null]}', "null is no class name"),
        ('{"classes": ["a", ""]}', '"" is no class name'),
        ('{"classes": ["a", " "]}', '" " is no class name'),
        ('{"classes": ["a", " b"]}', "' b' begins or ends with a space"),
        ('{"classes": ["a", 1]}', "1 is no class name"),
        ('{"classes": ["a", ["b"]]}', "is no class name"),
        ('{"classes": [{"name": "a", "id": []}]}', "'a' has no file value"),
        ('{"classes": [{"name": "a", "color": [1.0, 0.0, 0.0]}]}', "1.0 is no file value"),
        ('{"id2label": {"1": "a", "2": "b"}}', "has the keys 1, 2; its 2 classes are numbered 0 to 1"),
        ('{"id2label": {"0": "a", "2": "b"}}', "has the keys 0, 2"),
        ('{"id2label": {"a": 0, "b": 1}}', "has the keys a, b"),
        ('{"id2label": ["a", "b"]}', "is no object"),
        ('{"id2label": {"0": "a", "1": ""}}', '"" is no class name'),
        ('{"id2label": {"0": "a"}, "classes": ["a"]}', "beside 'classes' may mean several things"),
        ('{"id2label": {"0": "a"}, "ignore_index": 0}', "beside 'ignore_index' may mean"),
        ('{"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}', "label2id contradicts"),
        (
            '{"id2label": {"0": "a"}, "model_type": "segformer", "semantic_loss_ignore_index": 0}',
            "beside 'semantic_loss",
        ),
        ('{"0": "a", "01": "b"}', "has the keys 0, 01"),
        ('{"a": 0, "b": 1}', 'no "classes" in it'),
    ],
)
def test_bad_class_files_are_refused_with_their_name(tmp_path, spec, text):
    path = class_file(tmp_path, spec)
    with pytest.raises(LabelError, match=text) as caught:
        read_class_file(path)
    assert str(path) in str(caught.value)


def test_a_missing_class_file_says_what_to_write(tmp_path):
    with pytest.raises(LabelError, match=r'nowhere.json: not a class file.*"classes".*"void": \[255\]\}'):
        read_class_file(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "spec",
    [
        {"id2label": {"1": "lane", "0": "bg"}},
        {"1": "lane", "0": "bg"},
        {"id2label": {"0": "bg", "1": "lane"}, "label2id": {"bg": 0, "lane": 1}, "num_labels": 2},
        {
            "model_type": "segformer",
            "depths": [2, 2],
            "semantic_loss_ignore_index": 255,
            "id2label": {"0": "bg", "1": "lane"},
        },
    ],
)
def test_numbered_labels_as_hugging_face_writes_them_are_read_by_number(tmp_path, spec):
    table = read_class_file(class_file(tmp_path, spec))
    assert table.names == ("bg", "lane")
    assert table.encode(np.array([[0, 1, 255]], np.uint8)).tolist() == [[0, 1, VOID]]


def test_eleven_numbered_labels_are_sorted_by_number_not_as_words(tmp_path):
    names = [f"c{number}" for number in range(11)]
    spec = {"id2label": {str(number): names[number] for number in sorted(range(11), key=str)}}
    assert read_class_file(class_file(tmp_path, spec)).names == tuple(names)


def test_a_prepared_folders_class_file_is_one_of_own_data_too(tmp_path):
    spec = {"classes": ["a"], "void": [255], "definition": "A", "data": "cityscapes", "partial": False, "size": [4, 3]}
    assert read_class_file(class_file(tmp_path, spec)).names == ("a",)


def test_the_class_files_of_the_guide_are_read(tmp_path):
    guide = (Path(__file__).parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
    specs = [s for s in re.findall(r"(?<=`)\{[^`]+\}(?=`)|(?<=```json\n).+(?=\n```)", guide) if "…" not in s]
    assert len(specs) == 3
    tables = [read_class_file(class_file(tmp_path, spec)) for spec in specs]
    assert tables[0].ids == {0: 0, 7: 1, 2: 2, VOID: VOID}
    assert tables[2].ids == {0: 0, 255: 1}


def test_255_that_no_class_has_says_how_to_give_it(tmp_path):
    table = read_class_file(class_file(tmp_path, {"classes": ["bg", "lane"], "void": []}))
    with pytest.raises(
        LabelError, match=r'\[255\] are no label .* Where 255 is a class, .*"id": 255 and "void": \[\]; else'
    ):
        table.encode(np.array([[0, 255]], np.uint8))
    spec = {"classes": ["bg", {"name": "lane", "id": 255}], "void": []}
    table = read_class_file(class_file(tmp_path, spec))
    assert table.encode(np.array([[0, 255]], np.uint8)).tolist() == [[0, 1]]


@pytest.mark.parametrize("names", ["road", ("a", ""), ("a", None)])
def test_a_table_takes_names_only(names):
    with pytest.raises(LabelError, match="give texts that are not empty"):
        ClassTable("mine", names, ((1, 2, 3),) * len(names))


def test_a_class_is_found_in_any_case_unless_two_differ_in_nothing_else():
    table = ClassTable("mine", ("Road", "road", "Car"), ((1, 2, 3),) * 3)
    assert [table.index(name) for name in ("Road", "road", "car")] == [0, 1, 2]
    with pytest.raises(LabelError, match="no class 'ROAD' in mine; it has Road, road, Car"):
        table.index("ROAD")


# palettes


COLORED = ClassTable(
    "colored", ("bg", "lane", "car"), ((0, 0, 0), (255, 0, 0), (0, 0, 255)),
    rgb={(0, 0, 0): 0, (255, 0, 0): 1, (0, 0, 255): 2},
)  # fmt: skip


def palette(colors: dict[int, tuple[int, int, int]]) -> np.ndarray:
    found = np.zeros((256, 3), np.uint8)
    for index, color in colors.items():
        found[index] = color
    return found


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0), (7, 9, 4)])
def test_a_palette_in_any_order_gives_the_classes_of_its_colours(order):
    ids = np.array([[0, 1, 2, VOID], [2, 2, 1, 0]], np.uint8)
    lookup = np.arange(256, dtype=np.uint8)
    lookup[:3] = order
    colors = palette({order[i]: COLORED.colors[i] for i in range(3)})
    assert np.array_equal(COLORED.encode_indexed(lookup[ids], colors), ids)
    for part in (ids[1:], ids[:, :1], ids[:, 1:2]):  # where few classes show, too
        assert np.array_equal(COLORED.encode_indexed(lookup[part], colors), part)


@pytest.mark.parametrize(
    "colors",
    [
        {0: (9, 9, 9), 1: (8, 8, 8), 2: (7, 7, 7)},  # of no class
        {0: (9, 9, 9), 1: (255, 0, 0), 2: (0, 0, 255)},  # right as far as they are
        {1: (255, 0, 0), 2: (0, 0, 255), 255: (224, 224, 192)},
    ],
)
def test_a_palette_that_says_nothing_else_is_read_by_its_values(colors):
    ids = np.array([[0, 1, 2, VOID]], np.uint8)
    assert np.array_equal(COLORED.encode_indexed(ids, palette(colors)), ids)


@pytest.mark.parametrize(
    ("colors", "words"),
    [
        (
            {0: (255, 0, 0), 1: (1, 2, 3)},
            r"value 0 stands for 'bg' and has the colour of 'lane', .*, as value 1 has \(1, 2, 3\)",
        ),
        ({1: (255, 0, 0), 2: (0, 0, 255), 255: (255, 0, 0)}, ""),  # seldom set on purpose: stays void
        ({0: (0, 0, 0), 1: (0, 0, 0), 2: (0, 0, 255)}, "value 1 stands for 'lane' and has the colour of 'bg'"),
        ({1: (255, 0, 0), 2: (9, 9, 9), 255: (0, 0, 255)}, "value 255 stands for void and has the colour of 'car'"),
    ],
)
def test_a_palette_that_is_neither_is_refused_with_its_file_and_the_cure(colors, words):
    ids = np.array([[0, 1, 2, VOID]], np.uint8)
    if not words:
        assert np.array_equal(COLORED.encode_indexed(ids, palette(colors)), ids)
        return
    with pytest.raises(LabelError, match=rf"a.png: its palette contradicts the classes: {words}.*Save it as grey"):
        COLORED.encode_indexed(ids, palette(colors), "a.png")


def test_camvids_palettes_are_read_by_value_as_ever():
    ids = np.array([[0, 1, 10, 11]], np.uint8)
    shuffled = palette({i: CAMVID.colors[(i + 3) % 11] for i in range(11)})
    assert np.array_equal(CAMVID.encode_indexed(ids, shuffled), CAMVID.encode(ids))
