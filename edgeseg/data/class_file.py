"""Class files: how a user says what the values and colours of own labels mean.

A class file is read strictly. What it says in a word that is not known here (``trainId``, ``ignore_index``) would have
changed the meaning of every label, so that it is refused and not passed over.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from edgeseg.data.labels import RGB, ClassTable, LabelError, bit_palette
from edgeseg.files import parse_json, read_text
from edgeseg.text import first_few, unknown
from edgeseg.void import VOID

FORM = '{"classes": [{"name": "road", "color": [128, 64, 128]}, …], "void": [255]}'
"""The form of a class file, for messages."""
_KEYS = ("classes", "void")
_PREPARED = ("size", "definition", "data", "partial")  # what `edgeseg.data.local.write_copy` is told to add
_CLASS_KEYS = ("name", "color", "id")
_MODEL = ("model_type", "architectures")  # by either a model's config.json from the Hugging Face hub is known
_VOID_IN_MODEL = {"semantic_loss_ignore_index": VOID, "reduce_labels": False, "do_reduce_labels": False}


def read_class_file(path: str | Path) -> ClassTable:
    """Class table for own data from a JSON file.

    ``{"classes": [{"name": "road", "color": [128, 64, 128]}, {"name": "other"}], "void": [255]}``. ``color`` is
    optional and also the colour expected in RGB and palette label files; ``id`` (a value or a list) gives the file
    value where it is not the position; ``void`` lists the file values, and the colours, that count as void. A bare name
    stands for a class without extras.

    Read as well is what Hugging Face writes, ``{"id2label": {"0": "road", "1": "other"}}``, alone, as the bare inner
    object, or in a model's ``config.json``: numbers 0…C−1 are the file values, and 255 is void.

    Nothing else is: an unknown key may change the meaning of what is known.

    Raises:
        LabelError: the file is missing or is no class file, has a key or a form that is not known, a name that is no
            text, or two classes share a name, value or colour. Names the file and what to write.
    """
    path = Path(path)
    try:
        spec = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise LabelError(f"{path}: not a class file ({reason}). Write {FORM}") from error
    try:
        return _table_from_spec(path.stem, spec)
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from None


def _table_from_spec(name: str, spec: object) -> ClassTable:
    if not isinstance(spec, dict):
        raise LabelError(f"not a class file (no object in it). Write {FORM}")
    labels = _numbered_labels(spec)
    if labels is not None:
        return _table_from_entries(name, labels, [{}] * len(labels), [VOID])
    if "classes" not in spec:
        raise LabelError(f'not a class file (no "classes" in it). Write {FORM}')
    for key in spec:
        if key not in (*_KEYS, *_PREPARED):
            raise LabelError(f"{unknown('key of a class file', key, _KEYS)}. Write {FORM}")
    if not isinstance(spec["classes"], list):
        form = '"classes" is a list: ["road", "other"]; numbers and names go into {"id2label": {"0": "road", …}}'
        raise LabelError(f"{_shown(spec['classes'])} is no list of classes; {form}")
    classes = [entry if isinstance(entry, dict) else {"name": entry} for entry in spec["classes"]]
    for number, entry in enumerate(classes):
        for key in entry:
            if key not in _CLASS_KEYS:
                raise LabelError(f"{unknown(f'key of a class (number {number})', key, _CLASS_KEYS)}. Write {FORM}")
        if "name" not in entry:
            raise LabelError(f"not a class file (class number {number} has no name). Write {FORM}")
    void = spec.get("void", [VOID])
    return _table_from_entries(
        name, tuple(_name(entry["name"]) for entry in classes), classes, void if isinstance(void, list) else [void]
    )


def read_class_csv(path: str | Path) -> ClassTable:
    """Class table from Roboflow's ``_classes.csv``: a line ``0, background`` for each file value; 255 is void.

    Raises:
        LabelError: the file is missing or in another form.
    """
    path = Path(path)
    try:
        rows = [row for row in csv.reader(read_text(path).splitlines(), skipinitialspace=True) if row]
        head = [column.strip().lower() for column in rows[0]]
        if head != ["pixel value", "class"]:
            raise ValueError(f"its columns are {first_few(head)}")
        classes = [{"id": int(value), "name": name.rstrip()} for value, name in rows[1:]]
    except (OSError, ValueError, IndexError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        form = '"Pixel Value, Class" and lines such as "0, background"'
        raise LabelError(
            f"{path}: no list of classes ({reason}). It has {form}; or write a classes.json: {FORM}"
        ) from error
    try:
        void = [VOID] if all(entry["id"] != VOID for entry in classes) else []
        return _table_from_entries(path.stem, tuple(_name(entry["name"]) for entry in classes), classes, void)
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from None


def _numbered_labels(spec: dict[str, Any]) -> tuple[str, ...] | None:
    """The names of Hugging Face's ``id2label`` in the order of their numbers; ``None`` where the form is another."""
    if "id2label" in spec:
        labels = spec["id2label"]
        _check_around_labels(spec)
        if not isinstance(labels, dict):
            raise LabelError(f"id2label {_shown(labels)} is no object; write {_LABELS}")
    elif spec and all(key.isdecimal() for key in spec):
        labels = spec
    else:
        return None
    numbers = [str(number) for number in range(len(labels))]
    if sorted(labels) != sorted(numbers):
        raise LabelError(
            f"id2label has the keys {first_few(list(labels))}; its {len(labels)} classes are numbered 0 to "
            f'{len(labels) - 1}: write {_LABELS}, or {FORM} with an "id" for each'
        )
    return tuple(_name(labels[number]) for number in numbers)


_LABELS = '{"id2label": {"0": "road", "1": "other", …}}'


def _check_around_labels(spec: dict[str, Any]) -> None:
    """Beside ``id2label`` may stand what repeats it, and in a model's config what says nothing of label files."""
    labels, reverse = spec["id2label"], spec.get("label2id")
    others = [key for key in spec if key not in ("id2label", "label2id", "num_labels")]
    says_more = [key for key in others if key in _KEYS or (key in _VOID_IN_MODEL and spec[key] != _VOID_IN_MODEL[key])]
    unclear = says_more or ([] if any(key in spec for key in _MODEL) else others)
    if unclear:
        raise LabelError(f"id2label beside {unclear[0]!r} may mean several things. Write {_LABELS} alone, or {FORM}")
    if isinstance(labels, dict):
        forward = {str(name): str(number) for number, name in labels.items()}
        if reverse is not None and (
            not isinstance(reverse, dict) or {name: str(number) for name, number in reverse.items()} != forward
        ):
            raise LabelError(f"label2id contradicts id2label. Write {_LABELS} alone")
        if spec.get("num_labels", len(labels)) != len(labels):
            raise LabelError(f"num_labels {spec['num_labels']} contradicts id2label. Write {_LABELS} alone")


def _name(value: object) -> str:
    """A class name that can be printed and told from all others."""
    if not isinstance(value, str) or not value.strip():
        raise LabelError(f"{_shown(value)} is no class name; give a text that is not empty. Write {FORM}")
    if value != value.strip() or not value.isprintable():
        raise LabelError(f"the class name {value!r} begins or ends with a space, or holds a sign that does not print")
    return value


def _shown(value: object) -> str:
    """A JSON value as the file has it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _table_from_entries(name: str, names: tuple[str, ...], classes: list[dict], void: list) -> ClassTable:
    ids: dict[int, int] = {}
    rgb: dict[RGB, int] = {}
    colors = list(bit_palette(len(names) + 1)[1:])  # unless given; black is left to void
    for i, entry in enumerate(classes):
        values = entry.get("id", i)
        if values == []:
            raise LabelError(f'{names[i]!r} has no file value: "id" is empty. Give a whole number 0 to 255, or a list')
        for value in values if isinstance(values, list) else [values]:
            _give(ids, _byte(value), i, names)
        if "color" in entry:
            colors[i] = _color(entry["color"])
            _give(rgb, colors[i], i, names)
    if len(void) == 3 and all(isinstance(value, int) for value in void) and len(set(void)) < 3:
        raise LabelError(f'"void": {void} lists a file value twice; a colour is a list of its own: [{void}]')
    for value in void:
        if isinstance(value, list):
            _give(rgb, _color(value), VOID, names)
        else:
            _give(ids, _byte(value), VOID, names)
    return ClassTable(name, names, tuple(colors), ids=ids, rgb=rgb)


def _give(owners: dict[Any, int], key: int | RGB, owner: int, names: tuple[str, ...]) -> None:
    """Map a file value or colour to a class, once."""
    if owners.setdefault(key, owner) != owner:
        what = "colour" if isinstance(key, tuple) else "file value"
        first, second = ("void" if o == VOID else repr(names[o]) for o in (owners[key], owner))
        cure = 'give each its own, classes by "id"'
        if VOID in (owners[key], owner):
            cure = f'where it is the class write "void": [] (or what is void instead; default: [{VOID}]), else {cure}'
        raise LabelError(f"{what} {key} is given to {first} and to {second}; {cure}")


def _byte(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise LabelError(f"{value!r} is no file value; give a whole number 0 to 255")
    return value


def _color(value: object) -> RGB:
    if not isinstance(value, list) or len(value) != 3:
        raise LabelError(f"{value!r} is no colour; give [red, green, blue], each 0 to 255")
    red, green, blue = (_byte(v) for v in value)
    return red, green, blue
