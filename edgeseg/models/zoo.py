"""Finished weights: which there are, where their files lie, whether a file is the right one; and how others come in.

A weight is a file and its record, ``NAME.json`` beside it. The file says itself what it is of, see
`edgeseg.models.weights`; the record adds what only its maker knows: hash, recipe, data, seeds, metric with protocol,
licence. What both say is written from the file, and checked whenever a weight comes in or is verified.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from edgeseg.files import atomic_write, cache_folder, fetch, file_hash, parse_json, read_text, write_text
from edgeseg.models.weights import WeightError, is_size, preprocessing_faults, read_weights, weights_from_bytes
from edgeseg.text import unknown

PACKAGED = Path(__file__).parent / "pretrained"
# What a metric is worth nothing without; null where there is nothing to say, e.g. "tta": null.
PROTOCOL = ("data", "split", "size", "definition", "seeds", "ema", "tta")
PACKAGE_LICENCE = "Apache-2.0"
_OPTIONAL = {"url", "licence_file", "golden"}
_announced: set[str] = set()  # licence files that this process has spoken of


@dataclass(frozen=True)
class WeightRecord:
    """What is known about one trained weight.

    Args:
        name: architecture and tag, e.g. ``"cross_cbam_m.streets"``.
        arch: name of the architecture in the registry.
        file: the weight file's name, in the record's folder.
        sha256: of that file, in hexadecimal digits.
        classes: class names in the order of the logits.
        definition: which definition of the classes, e.g. ``"A"`` for CamVid.
        size: (H, W) of the training crops.
        mean: per-channel mean, RGB in 0…1.
        std: per-channel divisor.
        recipe: name of the recipe, with the fields that were changed.
        data: what it was trained on.
        seeds: every seed that was run.
        metric: ``miou`` (percent) and whatever else was measured, with all of `PROTOCOL`.
        licence: of the weights, in a few words.
        url: where the file can be fetched, or ``None``.
        licence_file: name of the file with the licence's text, in the record's folder; ``None``: the package's licence.
        golden: what the network gives for a fixed image, see `edgeseg.training.publish`; ``None``: not measured.
    """

    name: str
    arch: str
    file: str
    sha256: str
    classes: tuple[str, ...]
    definition: str
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    recipe: str
    data: str
    seeds: tuple[int, ...]
    metric: Mapping[str, Any]
    licence: str
    url: str | None = None
    licence_file: str | None = None
    golden: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if fault := next(self._faults(), None):
            raise WeightError(f"record {self.name!r:.60}: {fault}; restore the record")
        check_name(self.name, self.arch)
        if Path(self.file).name != self.file or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise WeightError(f"record {self.name}: needs a bare file name and a SHA-256 of 64 digits")
        if self.licence_file is not None:
            _check_word(self.name, self.licence_file)
        absent = [k for k in ("miou", *PROTOCOL) if k not in self.metric]
        if absent:
            raise WeightError(f"record {self.name}: its metric lacks {', '.join(absent)}; null says that there is none")

    def _faults(self) -> Iterator[str]:
        """Values that a field cannot have."""
        for key in ("name", "arch", "file", "sha256", "definition", "recipe", "data", "licence"):
            if not isinstance(getattr(self, key), str):
                yield f"{key} = {getattr(self, key)!r:.60}, not a text"
        for key in ("url", "licence_file"):
            if not isinstance(getattr(self, key), str | None):
                yield f"{key} = {getattr(self, key)!r:.60}, not a text or null"
        if not isinstance(self.metric, Mapping):
            yield f"metric = {self.metric!r:.60}, not names and values"
        if not isinstance(self.golden, Mapping | None):
            yield f"golden = {self.golden!r:.60}, not names and values, nor null"
        if not isinstance(self.seeds, tuple) or any(type(seed) is not int for seed in self.seeds):
            yield f"seeds = {self.seeds!r:.60}, not a list of whole numbers"
        if not is_size(self.size):
            yield f"size = {self.size!r:.60}, not a height and a width"
        texts = isinstance(self.classes, tuple) and all(isinstance(name, str) for name in self.classes)
        named = [{"name": name, "color": [0, 0, 0]} for name in self.classes] if texts else self.classes
        yield from preprocessing_faults({"mean": self.mean, "std": self.std, "classes": named})

    @classmethod
    def read(cls, path: str | Path) -> WeightRecord:
        """Read a record file.

        Raises:
            WeightError: no JSON object, fields missing or unknown, or a value that a field cannot have; names the file.
        """
        try:
            values: Any = parse_json(read_text(Path(path)))
        except (OSError, ValueError) as error:
            raise WeightError(f"{path}: no readable weight record ({error}); restore it") from error
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or values.keys() - known or known - _OPTIONAL - values.keys():
            raise WeightError(
                f"{path}: a weight record has the fields {', '.join(sorted(known))}, and only "
                f"{', '.join(sorted(_OPTIONAL))} may be absent"
            )
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            return cls(**plain)
        except (TypeError, AttributeError) as error:
            raise WeightError(f"{path}: a field holds a value of another kind ({error}); restore the record") from error
        except WeightError as error:
            raise WeightError(f"{path}: {error}") from error

    def write(self, folder: str | Path) -> Path:
        """Write the record as ``NAME.json`` into a folder; returns its path."""
        path = Path(folder) / f"{self.name}.json"
        write_text(path, _readable(asdict(self)) + "\n")
        return path


def check_name(name: str, arch: str) -> None:
    """Refuse a name that a weight of this architecture cannot have.

    Raises:
        WeightError: with the cure.
    """
    if name.partition(".")[0] != arch or not name.partition(".")[2]:
        raise WeightError(f"record {name}: its architecture is {arch}; name it {arch}.TAG")
    _check_word(name, name)


def _check_word(name: str, word: str) -> None:
    if not re.fullmatch(r"[\w.-]+", word):
        raise WeightError(f"record {name}: {word!r} becomes a file's name; use letters, digits, - and _")


def _readable(value: Any, indent: int = 0) -> str:
    """JSON with a line per entry of an object, and lists on one line."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    space = " " * (indent + 1)
    lines = (f"{space}{json.dumps(k, ensure_ascii=False)}: {_readable(v, indent + 1)}" for k, v in value.items())
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"


# Which there are, and where -------------------------------------------------------------------------------------------


def weight_folders() -> list[Path]:
    """Folders that are searched for weights, in this order: ``EDGESEG_WEIGHTS``, the package, the user's cache."""
    own = os.environ.get("EDGESEG_WEIGHTS")
    return [*([Path(own).expanduser()] if own else []), PACKAGED, cache_folder("weights")]


def own_folder() -> Path:
    """The user's folder for weights: ``EDGESEG_WEIGHTS``, or else the cache."""
    return next(folder for folder in weight_folders() if folder != PACKAGED)


def list_weights() -> list[str]:
    """Names of the weights that are here or can be fetched, sorted."""
    return sorted(name for name, (record, folder) in _records().items() if record.url or _local(record, folder))


def get_record(name: str) -> WeightRecord:
    """The record of a weight.

    Raises:
        WeightError: there is none; the message lists those that there are.
    """
    return _record(name)[0]


def record_folder(name: str) -> Path:
    """The folder that the weight's record lies in; raises as `get_record`."""
    return _record(name)[1]


def local_file(name: str) -> Path | None:
    """The weight's file on this machine, not checked; ``None``: it would have to be fetched. Raises as `get_record`."""
    return _local(*_record(name))


def find_weights(name: str) -> Path:
    """The file of a weight for use: `checked_file`, and a licence of its own is spoken of, once in a process."""
    path, record = checked_file(name), get_record(name)
    if record.licence_file is not None and record.licence_file not in _announced:
        _announced.add(record.licence_file)
        print(
            f"edgeseg: {name} has a licence of its own ({record.licence}); read it: edgeseg weights licence {name}",
            file=sys.stderr,
        )
    return path


def checked_file(name: str) -> Path:
    """The checked file of a weight: local where it can be, fetched into the user's cache otherwise.

    Raises:
        WeightError: no such record, no file and no address, or a file with another hash.
        DownloadError: it cannot be fetched.
    """
    record, folder = _record(name)
    file = _local(record, folder)
    if file is None and record.url is None:
        raise WeightError(
            f"{record.file} is in none of {', '.join(map(str, weight_folders()))}, and its record gives no address; "
            "copy it into one of them, or bring it in from a folder that has it: edgeseg weights import FOLDER"
        )
    if file is None:
        file = fetch(str(record.url), cache_folder("weights") / record.file, sha256=record.sha256)
    if file_hash(file) != record.sha256:
        raise WeightError(
            f"{file}: not the file that its record names (SHA-256 differs); delete it and fetch or copy it again"
        )
    return file


def record_faults(record: WeightRecord, meta: Mapping[str, Any]) -> list[str]:
    """Where a record and a file's own description (see `weights.read_weights`) say different things."""
    pairs = {
        "architecture": (record.arch, meta["arch"]),
        "classes": (tuple(record.classes), tuple(c["name"] for c in meta["classes"])),
        "mean": (tuple(record.mean), tuple(meta["mean"])),
        "std": (tuple(record.std), tuple(meta["std"])),
    }
    return [
        f"its record says {what} {recorded}, its file {own}; get record and file anew from one place"
        for what, (recorded, own) in pairs.items()
        if recorded != own
    ]


def _records() -> dict[str, tuple[WeightRecord, Path]]:
    """Every record by name, with its folder; the folder that is searched first wins."""
    found: dict[str, tuple[WeightRecord, Path]] = {}
    for folder in weight_folders():
        for path in sorted(folder.glob("*.*.json")):  # ARCH.TAG.json; a user's folder may hold other JSON
            record = WeightRecord.read(path)
            found.setdefault(record.name, (record, folder))
    return found


def _record(name: str) -> tuple[WeightRecord, Path]:
    records = _records()
    if name not in records:
        raise WeightError(unknown("weight", name, sorted(records)))
    return records[name]


def _local(record: WeightRecord, folder: Path) -> Path | None:
    files = (place / record.file for place in (folder, *weight_folders()))
    return next((file for file in files if file.is_file()), None)


# Licences -------------------------------------------------------------------------------------------------------------


def licence_text(name: str) -> str:
    """The text of a weight's licence.

    Raises:
        WeightError: no such record, or the text is not here.
    """
    record, folder = _record(name)
    if record.licence_file is not None:
        return _licence_path(name, record.licence_file, folder).read_text(encoding="utf-8")
    if record.licence != PACKAGE_LICENCE:
        raise WeightError(f"{name}: its record brings no text of its licence, {record.licence}; ask its maker for it")
    try:
        text = metadata.distribution("edgeseg").read_text("licenses/LICENSE")
    except metadata.PackageNotFoundError:  # run from a checkout
        text = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")
    return text or f"{PACKAGE_LICENCE}: https://www.apache.org/licenses/LICENSE-2.0\n"


def _licence_path(name: str, file: str, folder: Path) -> Path:
    """Where the text of a weight's own licence lies: in its record's folder, or where weights are searched."""
    for place in (folder, *weight_folders()):
        if (place / file).is_file():
            return place / file
    raise WeightError(f"{name}: {file}, the text of its licence, is missing; copy it to {folder}")


# Parts, for ways that carry small files only --------------------------------------------------------------------------


def split_file(file: Path, most: int) -> list[Path]:
    """Replace a file by parts of at most `most` bytes; one that is small enough stays as it is.

    Returns:
        The parts in order, ``NAME.1of3`` and so on, or the file alone.
    """
    blob = file.read_bytes()
    count = -(-len(blob) // most)
    if count <= 1:
        return [file]
    parts = [file.with_name(f"{file.name}.{i + 1}of{count}") for i in range(count)]
    for i, part in enumerate(parts):
        with atomic_write(part) as out:
            out.write(blob[i * most : (i + 1) * most])
    file.unlink()  # last: at no moment is there neither the file nor all its parts
    return parts


def _joined(file: Path) -> bytes | None:
    """Content of a file that is here whole or in parts; ``None`` where there is neither."""
    if file.is_file():
        return file.read_bytes()
    beside = [path.name for path in file.parent.glob(f"{file.name}.*of*")]
    names = sorted(name for name in beside if re.fullmatch(r"\.\d+of\d+", name[len(file.name) :]))
    if not names:
        return None
    count = int(names[0].rpartition("of")[2])
    parts = [f"{file.name}.{i + 1}of{count}" for i in range(count)]
    if sorted(parts) != names:
        raise WeightError(
            f"{file}: here are the parts {', '.join(names)}, which do not make it whole; copy all parts of one "
            "splitting, and no others, into one folder"
        )
    return b"".join(file.with_name(part).read_bytes() for part in parts)


# Import ---------------------------------------------------------------------------------------------------------------


def import_weights(source: str | Path, replace_other: bool = False) -> list[WeightRecord]:
    """Copy a weight, or all of a folder, into `own_folder`; from then on each is known by its name.

    Everything is checked before anything is written. Parts (`split_file`) are joined. A copy is called
    ``NAME.safetensors``, whatever it was called.

    Args:
        source: a weight file with its record ``NAME.json`` beside it, such a record, or a folder of both.
        replace_other: put it in the place of another weight of the same name, if that lies in the user's folder.

    Returns:
        The records as written.

    Raises:
        WeightError: a pickle, a damaged file, one that is not its record's, no record or no file, or a name that is
            taken; the message names the file and the cure.
    """
    target = own_folder()
    weights = [_checked_weight(path) for path in _record_paths(Path(source).expanduser())]
    for record, _ in weights:
        _refuse_taken_name(record, target, replace_other)
    for record, files in weights:
        for name, content in files.items():
            with atomic_write(target / name) as file:
                file.write(content)
        record.write(target)  # last: a record never names a file that is not there
    return [record for record, _ in weights]


def _record_paths(source: Path) -> list[Path]:
    if source.is_dir():
        found = sorted(source.glob("*.*.json"))
        if not found:
            raise WeightError(
                f"{source}: no record (ARCHITECTURE.TAG.json) in this folder; ask the weights' maker for it, or make "
                "one of a run: edgeseg weights publish RUN NAME --to FOLDER"
            )
        return found
    if source.suffix == ".json":
        return [source]
    read_weights(source)  # says what is wrong with a file that is no weight, record or not
    record = source.with_suffix(".json")
    if not record.is_file():
        raise WeightError(
            f"{source}: its record {record.name} is not beside it, so neither hash nor licence are known; get it from "
            "the weight's maker, or use the file as it is, by its path"
        )
    return [record]


def _checked_weight(path: Path) -> tuple[WeightRecord, dict[str, bytes]]:
    """A record as it is to be written, and its files by name: the weight, and its licence's text if it has one."""
    record = WeightRecord.read(path)
    file = path.parent / record.file
    blob = _joined(file)
    if blob is None:
        raise WeightError(f"{path}: the record names {record.file}, which is not beside it; copy both into one folder")
    if not file.is_file() and hashlib.sha256(blob).hexdigest() != record.sha256:
        raise WeightError(f"{file}: its parts are not those of the record's file; copy all of them again")
    meta, _ = weights_from_bytes(blob, file, record.sha256)
    faults = record_faults(record, meta)
    if faults:
        raise WeightError(f"{path}: {'; '.join(faults)}")
    record = replace(record, file=f"{record.name}.safetensors")
    files = {record.file: blob}
    if record.licence_file is not None:
        files[record.licence_file] = _licence_path(record.name, record.licence_file, path.parent).read_bytes()
    return record, files


def _refuse_taken_name(record: WeightRecord, target: Path, replace_other: bool) -> None:
    """A weight of this name with other bytes stays, unless it is the user's own and may be replaced."""
    if record.name not in list_weights() or get_record(record.name).sha256 == record.sha256:
        return
    place = record_folder(record.name)
    if place == target:
        allowed, cure = replace_other, "add --replace to put this one in its place"
    else:
        allowed = target == weight_folders()[0]  # searched first
        cure = "which is searched first; set EDGESEG_WEIGHTS to a folder of your own, and it will be"
    if not allowed:
        raise WeightError(f"{record.name}: another weight of this name is in {place}; {cure}")
