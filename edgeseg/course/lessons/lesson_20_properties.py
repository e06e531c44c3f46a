"""Lesson 20: what its exercises' answers are held to, one sentence for each way to miss it; the readings of its log."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.course.answers import Readings
from edgeseg.course.drawing import Shape
from edgeseg.course.lessons.lesson_20 import Own, Photos, Report
from edgeseg.data.class_file import read_class_file
from edgeseg.data.labels import CAMVID, VOID, ClassTable, LabelError

# class file -----------------------------------------------------------------------------------------------------------

ClassFile = Callable[[Sequence[str], Own], Mapping[str, Any]]
_OTHER_NAMES = ("floor", "wall", "door", "lamp", "cat", "dog")
_TABLES: tuple[tuple[Sequence[str], Own], ...] = (
    (CAMVID.names, {"way": ["Road", "Pavement"], "people": ["Pedestrian", "Bicyclist"]}),
    (_OTHER_NAMES, {"pet": ["dog", "cat"], "exit": ["door"]}),
)


def _table(mine: ClassFile, old: Sequence[str], own: Own) -> ClassTable:
    spec = mine(list(old), {name: list(names) for name, names in own.items()})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "classes.json"
        try:
            path.write_text(json.dumps(spec), encoding="utf-8")
        except (TypeError, ValueError) as error:
            raise AssertionError(f"It cannot be written as JSON: {error}.") from None
        try:
            return read_class_file(path)
        except LabelError as error:
            raise AssertionError(f"edgeseg refuses the class file: {str(error).removeprefix(f'{path}: ')}") from None


def can_be_read(mine: ClassFile) -> None:
    """The package reads it, and its classes are the own ones and `other`."""
    for old, own in _TABLES:
        names = _table(mine, old, own).names
        assert sorted(names) == sorted(["other", *own]), (
            f"For own classes {', '.join(own)} the file should name these and other; yours names {', '.join(names)}."
        )


def keeps_every_value(mine: ClassFile) -> None:
    """Each value of the old files becomes the right class."""
    for old, own in _TABLES:
        table = _table(mine, old, own)
        for value, name in enumerate(old):
            wanted = next((new for new, names in own.items() if name in names), "other")
            got = table.ids.get(value)
            said = "no class" if got is None else "void" if got == VOID else table.names[got]
            assert said == wanted, f"Value {value} is {name} in the files; it should become {wanted}, and is {said}."


def keeps_void(mine: ClassFile) -> None:
    """255 is nothing, as before."""
    for old, own in _TABLES:
        table = _table(mine, old, own)
        got = table.ids.get(VOID)
        said = "no value that the file knows" if got is None else table.names[got] if got != VOID else ""
        assert got == VOID, f'255 is void in the files; with yours it is {said}. Write "void": [255].'


CLASS_FILE = (can_be_read, keeps_every_value, keeps_void)


# outlines -------------------------------------------------------------------------------------------------------------

ToLabel = Callable[[Sequence[Shape], tuple[int, int], Mapping[str, int]], np.ndarray]
_IDS = {"other": 0, "way": 1, "people": 2, "void": VOID}
_SIZE = (40, 60)


def _outline(label: str, *corners: tuple[float, float]) -> Shape:
    return {"label": label, "points": [list(corner) for corner in corners]}


def _box(label: str, left: float, top: float, right: float, bottom: float) -> Shape:
    return _outline(label, (left, top), (right, top), (right, bottom), (left, bottom))


def _drawn(mine: ToLabel, *shapes: Shape) -> np.ndarray:
    label = mine([{**s, "points": [[*p] for p in s["points"]]} for s in shapes], _SIZE, dict(_IDS))
    found = np.asarray(label)
    assert found.shape == _SIZE, f"A photograph of {_SIZE} (H, W) needs a label of {_SIZE}; yours is {found.shape}."
    assert found.dtype.kind in "iu", f"Class ids are integers; yours are {found.dtype}."
    return found


def _at(label: np.ndarray, x: int, y: int, wanted: int, why: str) -> None:
    got = int(label[y, x])
    assert got == wanted, f"{why}: at x {x}, y {y} it should be {wanted}, and is {got}."


def fills_the_outline(mine: ToLabel) -> None:
    """Inside, not only its edge; x runs to the right, y down."""
    label = _drawn(mine, _box("way", 10.2, 4.0, 50.0, 15.7))
    for x, y in ((12, 6), (30, 10), (48, 13)):
        _at(label, x, y, 1, "Inside an outline of way from x 10, y 4 to x 50, y 16")


def is_void_elsewhere(mine: ToLabel) -> None:
    """What nobody drew is unknown, and not a class."""
    label = _drawn(mine, _box("way", 10, 4, 50, 16))
    for x, y in ((3, 3), (30, 30), (56, 10)):
        _at(label, x, y, VOID, "Where nothing was drawn")
    assert (_drawn(mine) == VOID).all(), "Without any outline all of it is void, 255."


def puts_later_ones_above(mine: ToLabel) -> None:
    """As on paper, whatever their ids."""
    road, person = _box("way", 5, 5, 55, 35), _box("people", 20, 10, 40, 30)
    _at(_drawn(mine, road, person), 30, 20, 2, "people was drawn after way, and lies above it")
    _at(_drawn(mine, person, road), 30, 20, 1, "way was drawn after people, and lies above it")
    _at(_drawn(mine, road, _box("void", 20, 10, 40, 30)), 30, 20, VOID, "An outline of void, drawn last, lies above")


def is_cut_at_the_frame(mine: ToLabel) -> None:
    """Outlines may reach out of the picture."""
    try:
        label = _drawn(mine, _box("other", -20, -20, 90, 90), _box("way", 40, 25, 80, 70))
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(
            f"An outline that reaches out of the picture is cut at its edge; yours stops with {type(error).__name__}."
        ) from None
    _at(label, 0, 0, 0, "Under an outline of other that is larger than the picture")
    _at(label, 59, 39, 1, "In the corner, under an outline of way that reaches out of it")
    _at(label, 2, 37, 0, "Left of that outline")


def keeps_hollows(mine: ToLabel) -> None:
    """An outline is no box and no hull."""
    label = _drawn(mine, _outline("people", (5, 5), (55, 5), (55, 35), (45, 35), (45, 15), (15, 15), (15, 35), (5, 35)))
    _at(label, 10, 30, 2, "Inside the left leg of an outline like a table")
    _at(label, 30, 28, VOID, "Between the legs of an outline like a table")


def refuses_other_words(mine: ToLabel) -> None:
    """A slip of the pen is no class."""
    try:
        label = mine([_box("peopel", 20, 10, 40, 30)], _SIZE, dict(_IDS))
    except NotImplementedError:
        raise
    except Exception:
        return
    raise AssertionError(
        f"The label peopel is none of {', '.join(_IDS)}: that must be an error. Yours makes "
        f"{int(np.asarray(label)[20, 30])} of it, and nobody will notice."
    )


OUTLINES = (
    fills_the_outline, is_void_elsewhere, puts_later_ones_above, is_cut_at_the_frame, keeps_hollows,
    refuses_other_words,
)  # fmt: skip


# the split ------------------------------------------------------------------------------------------------------------

Split = Callable[[Photos, int], tuple[Sequence[str], Sequence[str]]]


_SEEDS = 12


def _town(second: Mapping[int, int] | None = None, recordings: int = 20) -> dict[str, tuple[str, str]]:
    """Recordings of four photographs; some pass two places or come back: they hang together in chains.

    Args:
        second: recording → the place of its last two photographs, where that is not its own.
        recordings: how many.
    """
    second = {4: 5, 7: 8, 8: 9, 11: 11, 12: 11, 15: 16} if second is None else second
    return {
        f"rec{n:02}_{k}": (f"rec{n:02}", f"place{second.get(n, n) if k > 1 or n == 12 else n:02}")
        for n in range(recordings)
        for k in range(4)
    }


def _towns() -> tuple[dict[str, tuple[str, str]], ...]:
    """Towns whose chains run upwards, downwards and through the middle: no order of joining is right by luck."""
    return _town(), _town({3: 2, 9: 8, 10: 9, 14: 3, 19: 18}), _town({0: 23, 5: 17, 16: 17, 2: 1, 21: 2}, 24)


def _parts(mine: Split, photos: Photos, seed: int) -> tuple[list[str], list[str]]:
    train, val = mine(dict(photos), seed)
    return list(train), list(val)


def holds_every_photograph(mine: Split) -> None:
    """Each one in one part, once."""
    for photos in _towns():
        for seed in range(_SEEDS):
            train, val = _parts(mine, photos, seed)
            assert sorted(train + val) == sorted(photos), (
                f"Every photograph belongs to one part, once: {len(photos)} came in, {len(train)} + {len(val)} came "
                "out."
            )


def parts_no_recording(mine: Split) -> None:
    """Frames of one recording are nearly the same picture."""
    _apart(mine, 0, "recording")


def parts_no_place(mine: Split) -> None:
    """Nor is a street new because it was ridden again."""
    _apart(mine, 1, "place")


def _apart(mine: Split, part: int, what: str) -> None:
    for photos in _towns():
        for seed in range(_SEEDS):
            train, val = ({photos[name][part] for name in names} for names in _parts(mine, photos, seed))
            both = sorted(train & val)
            assert not both, f"Seed {seed}: photographs of one {what} are on both sides, e.g. of {both[0]}."


def takes_about_a_quarter(mine: Split) -> None:
    """Enough to score, enough to learn from."""
    for photos in _towns():
        for seed in range(_SEEDS):
            share = len(_parts(mine, photos, seed)[1]) / len(photos)
            assert 0.1 <= share <= 0.4, f"Seed {seed}: val has {share:.0%} of the photographs; a quarter was asked for."


def is_repeatable(mine: Split) -> None:
    """The same photographs and seed, the same split."""
    photos = _town()
    one = [sorted(part) for part in _parts(mine, photos, 0)]
    turned = [sorted(part) for part in _parts(mine, dict(reversed(photos.items())), 0)]
    assert one == turned, "The same photographs in another order give another split: sort before you draw."
    assert one == [sorted(part) for part in _parts(mine, photos, 0)], "Called twice with one seed, it gives two splits."
    drawn = {tuple(sorted(_parts(mine, photos, seed)[1])) for seed in range(6)}
    assert len(drawn) > 1, "Six seeds give one split: the seed does nothing."


SPLIT = (holds_every_photograph, parts_no_recording, parts_no_place, takes_about_a_quarter, is_repeatable)


# may it be released? --------------------------------------------------------------------------------------------------

OpenPoints = Callable[[Report], Sequence[str]]
_FINE = {
    "train": ["street01", "street02"], "val": ["street03"], "miou": 80.0, "baseline": 75.0, "file_miou": 79.8,
    "seeds": 3, "ms": 30.0, "overlooked": (0, 41),
}  # fmt: skip
_FAULTS: tuple[tuple[str, Mapping[str, Any], str], ...] = (
    ("split", {"val": ["street02", "street03"]}, "street02 is in train and in val"),
    ("baseline", {"baseline": 80.4}, "the best baseline has 80.4, the network 80.0"),
    ("file", {"file_miou": 61.0}, "the exported file has 61.0, the network 80.0"),
    ("seeds", {"seeds": 1}, "one seed is no error bar"),
    ("speed", {"ms": 40.0}, "a frame takes 40 ms, and 30 a second leave 33.3"),
    ("people", {"overlooked": (3, 41)}, "3 of 41 people are overlooked"),
)


def _open(mine: OpenPoints, changes: Mapping[str, Any]) -> list[str]:
    return sorted(mine({**_FINE, **changes}))


def lets_a_good_one_pass(mine: OpenPoints) -> None:
    """Nothing open, an empty list; also just on the line."""
    for changes in ({}, {"ms": 33.3, "file_miou": 79.5}, {"overlooked": (0, 0), "seeds": 5}):
        got = _open(mine, changes)
        assert got == [], f"Everything is fine in {_FINE | changes}; yours finds {', '.join(map(str, got))}."


def finds_each_fault(mine: OpenPoints) -> None:
    """One fault, one point."""
    for point, changes, words in _FAULTS:
        got = _open(mine, changes)
        assert got == [point], f"Here {words}: the only open point is {point}; yours are {got}."


def finds_all_faults(mine: OpenPoints) -> None:
    """It does not stop at the first."""
    changes = {key: value for _, change, _ in _FAULTS for key, value in change.items() if key != "baseline"}
    wanted = sorted(point for point, *_ in _FAULTS if point != "baseline")
    got = _open(mine, changes)
    assert got == wanted, f"Five points are open at once ({', '.join(wanted)}); yours are {got}."


def asks_for_what_is_not_measured(mine: OpenPoints) -> None:
    """What nobody measured is open."""
    keys = [(point, next(iter(changes))) for point, changes, _ in _FAULTS]
    for point, key in [*keys, ("split", "train")]:
        try:
            got = _open(mine, {key: None})
        except TypeError as error:
            raise AssertionError(f"{key} is None, which means not measured; yours stops: {error}.") from None
        assert got == [point], f"{key} is None, not measured: {point} is open, and nothing else; yours are {got}."


RELEASE = (lets_a_good_one_pass, finds_each_fault, finds_all_faults, asks_for_what_is_not_measured)


# nobody overlooked ----------------------------------------------------------------------------------------------------


Overlooked = Callable[..., tuple[int, int]]
_PERSON = 2
_Box = tuple[int, int, int, int]  # top, left, height, width


def _picture(*boxes: _Box, class_id: int = _PERSON) -> np.ndarray:
    picture = np.zeros((30, 50), np.uint8)
    for top, left, high, wide in boxes:
        picture[top : top + high, left : left + wide] = class_id
    return picture


def _counts(
    mine: Overlooked, mask: np.ndarray, label: np.ndarray, wanted: tuple[int, int], what: str, **least: int
) -> None:
    found = mine(mask.copy(), label.copy(), _PERSON, **least)
    pair = isinstance(found, (tuple, list)) and len(found) == 2
    assert pair, f"Two numbers are asked for, (overlooked, all); yours gives {found!r}."
    for got, right, which in zip(found, wanted, ("overlooked", "all"), strict=True):
        assert got == right, f"{what}. {which.capitalize()} should be {right}, and yours is {got}."


def counts_regions_of_the_label(mine: Overlooked) -> None:
    """Regions lie in the label; what the mask has besides is no region."""
    people = ((2, 2, 10, 4), (2, 10, 8, 6), (2, 20, 12, 4))
    label = _picture(*people)
    _counts(mine, label, label, (0, 3), "Three people, all found")
    mask = _picture(*people, (20, 5, 8, 8), (20, 30, 8, 8))
    _counts(mine, mask, label, (0, 3), "Three people, all found; the mask sees two more, where the label has none")
    _counts(mine, label, _picture(), (0, 0), "Nobody in the label, three people in the mask")
    label[20:28, 5:13], label[20:28, 30:38] = 1, VOID
    _counts(mine, _picture(*people), label, (0, 3), "Three people, all found, a region of another class, and void")
    got = tuple(mine(_picture(*people), label.copy(), 1))
    assert got == (1, 1), (
        f"The same, asked for class 1 in place of 2: one region, lost. That is (1, 1), and yours is {got}."
    )


def passes_over_small_ones(mine: Overlooked) -> None:
    """`least` is handed on."""
    small, large = (20, 2, 3, 5), (2, 2, 10, 4)
    label, empty = _picture(small, large), _picture()
    what = "A region of 15 pixels and one of 40, both lost"
    _counts(mine, empty, label, (1, 1), f"{what}; only the large one has 20 pixels")
    _counts(mine, empty, label, (2, 2), f"{what}; with least=15 both count", least=15)
    _counts(mine, empty, label, (1, 1), f"{what}; with least=40 the large one counts", least=40)
    _counts(mine, empty, label, (0, 0), f"{what}; with least=41 none counts", least=41)


def asks_for_half_of_it(mine: Overlooked) -> None:
    """Less than half of its pixels found: overlooked."""
    for rows, lost in ((0, 1), (1, 1), (4, 1), (5, 0), (6, 0), (9, 0), (10, 0)):
        what = f"One person of 40 pixels, {4 * rows} of them are found"
        half = "less than half" if lost else "just half" if rows == 5 else "more than half"
        mask = _picture((2, 2, rows, 4))
        _counts(mine, mask, _picture((2, 2, 10, 4)), (lost, 1), f"{what}, {half}")


def asks_each_by_its_own_pixels(mine: Overlooked) -> None:
    """What is found of one person helps no other; another class is not found."""
    left, right = (2, 2, 10, 4), (2, 20, 10, 4)
    label = _picture(left, right)
    _counts(mine, _picture(left), label, (1, 2), "Two people; the mask has the left one alone")
    _counts(mine, _picture(right), label, (1, 2), "Two people; the mask has the right one alone")
    near = _picture(left, (15, 0, 15, 50))
    _counts(mine, near, label, (1, 2), "Two people; the mask has the left one, and a large area that is nobody's")
    other = _picture(right, class_id=1) + _picture(left)
    _counts(mine, other, label, (1, 2), "Two people; the mask gives the right one's pixels to another class")
    three = _picture(left, right, (16, 30, 6, 6))
    _counts(
        mine,
        _picture((2, 2, 3, 4), (16, 30, 4, 6)),
        three,
        (2, 3),
        "Three people; only of the third more than half is found",
    )


NOBODY_OVERLOOKED = (
    counts_regions_of_the_label, passes_over_small_ones, asks_for_half_of_it, asks_each_by_its_own_pixels,
)  # fmt: skip

TWENTY_PHOTOGRAPHS = Readings(
    "c",
    {
        "a": "Seeds 0, 1 and 2 differ by +2.05, +1.26 and -2.36: the mean is +0.3 with a standard error of 1.4.",
        "b": "A mean of +0.3 with a standard error of 1.4 rules out neither three points more nor three less.",
        "d": "way is lower in all three seeds, by 0.8 to 2.5; people lie between 4 points less and 10 more.",
    },
)
