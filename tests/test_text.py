"""The one parser of ``field=value``, "did you mean", sizes and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeseg.text import Field, known_field, parse_fields, parse_size, split_assignments, table, unknown

FIELDS = {
    "lr": Field(float, 0.01, 0, 10),
    "count": Field(int, 3, 0),
    "crop": Field(tuple[int, int], (288, 384), 32),
    "keep": Field(tuple[str, ...], ()),
    "channels_last": Field(bool, True),
    "teacher": Field(str | None),
    "optimizer": Field(str, "sgd", choices=("sgd", "adamw")),
    "switches": Field(dict[str, Any], {}),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lr=1", 1.0),
        ("lr=2e-4", 2e-4),
        ("count=0", 0),
        ("crop=64,96", (64, 96)),
        ("crop=(64, 96)", (64, 96)),
        ("keep=head,decoder.last", ("head", "decoder.last")),
        ("keep=['head']", ("head",)),
        ("keep=head", ("head",)),
        ("keep=", ()),
        ("channels_last=false", False),
        ("channels_last=False", False),
        ("channels_last=0", False),
        ("channels_last=yes", True),
        ("teacher=none", None),
        ("teacher=runs/a=b.safetensors", "runs/a=b.safetensors"),
        ("optimizer=adamw", "adamw"),
        ("switches={'width': 32}", {"width": 32}),
    ],
)
def test_a_text_becomes_a_value_of_the_fields_own_type(text, value):
    (found,) = parse_fields([text], FIELDS, "a recipe").values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lr=fast", "lr=fast: give a number from 0 to 10; the default is 0.01"),
        ("lr=true", "give a number"),
        ("lr=11", "from 0 to 10"),
        ("lr=nan", "give a number"),
        ("lr=1e999", "give a number"),
        ("count=1.5", "a whole number of 0 or more"),
        ("count=true", "a whole number"),
        ("crop=64", "2 numbers with a comma of 32 or more"),
        ("crop=64,96,3", "2 numbers"),
        ("crop=64.5,96", "2 numbers"),
        ("crop=64,16", "of 32 or more"),
        ("channels_last=2", "true or false"),
        ("channels_last=flase", "true or false"),
        ("optimizer=sdg", "one of sgd, adamw"),
        ("switches=3", "a dict"),
        ("optimiser=sgd", "a recipe has no field 'optimiser'; near: optimizer"),
        ("zzz=1", "it has lr, count"),
        ("lr", "'lr': write field=value, e.g. lr=0.01"),
        ("0.02", "'0.02': write field=value, e.g. lr=0.01"),
    ],
)
def test_what_is_no_value_is_refused_with_what_is_wanted(text, told):
    with pytest.raises(ValueError) as error:
        parse_fields([text], FIELDS, "a recipe")
    assert told in str(error.value)


def test_a_field_given_twice_is_refused():
    with pytest.raises(ValueError, match="lr is given twice"):
        parse_fields(["lr=1", "lr=2"], FIELDS, "a recipe")


def test_python_values_are_held_to_the_same_rules():
    assert known_field("lr", FIELDS, "a recipe").check("lr", 1) == 1.0
    assert FIELDS["crop"].check("crop", [64, 96]) == (64, 96)
    assert FIELDS["teacher"].check("teacher", None) is None
    for name, value in (("lr", "1"), ("channels_last", "false"), ("keep", "head"), ("count", True), ("lr", None)):
        with pytest.raises(ValueError, match=f"{name}={value!r}: give"):
            FIELDS[name].check(name, value)


def test_numpys_numbers_are_numbers_and_become_pythons():
    for name, value, plain in (("count", np.int64(3), 3), ("lr", np.float32(0.5), 0.5), ("lr", np.int32(2), 2.0)):
        found = FIELDS[name].check(name, value)
        assert (found, type(found)) == (plain, type(plain))


def test_large_bounds_are_shown_whole():
    assert Field(int, 0, 0, 2**31 - 1).wanted() == "a whole number from 0 to 2147483647"


def test_where_there_are_no_fields_none_is_given_as_an_example():
    with pytest.raises(ValueError, match="eager has no option 'threads'; it has none"):
        parse_fields(["threads"], {}, "eager", "option")


def test_commas_part_assignments_only_before_the_next_name():
    assert split_assignments("keep=a,b,opset=18") == ["keep=a,b", "opset=18"]
    assert split_assignments("crop=1,2") == ["crop=1,2"]
    assert split_assignments("") == []


def test_an_unknown_name_is_told_with_the_near_one_and_all_there_are():
    assert unknown("runtime", "onx", ["eager", "onnx"]) == (
        "no runtime 'onx' (did you mean onnx?); there are eager, onnx"
    )
    assert unknown("weight", "x", []) == "no weight 'x'; there are none"


def test_sizes_are_height_times_width():
    assert parse_size("360x480") == parse_size("360×480") == (360, 480)
    for wrong in ("360", "360x", "31x64", "64x8193", "a x b", "-64x64", "6٤x64x", ""):
        with pytest.raises(ValueError, match="height x width"):
            parse_size(wrong)


def test_a_table_keeps_brackets_and_long_cells_and_ends_no_line_in_blanks():
    drawn = table(["class", "IoU %"], [["[red]Road[/red] :smile:", "90.1"], ["x" * 300, "9.0"]])
    head, first, second = drawn.splitlines()
    assert head.split() == ["class", "IoU", "%"]
    assert first.startswith("[red]Road[/red] :smile:")
    assert second.startswith("x" * 300)
    assert first.endswith(" 90.1")
    assert all(line == line.rstrip() for line in (head, first, second))
    assert table(["", ""], [["a", "1"]]) == "a  1"


def test_a_table_is_given_back_in_a_notebook_too(monkeypatch):
    import builtins

    shell = type("ZMQInteractiveShell", (), {})()  # by its name rich knows a notebook's kernel
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    assert table(["", ""], [["a", "1"]]) == "a  1"
