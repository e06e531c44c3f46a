"""Records of trained weights: where the file is, that it is the right one, how it came about and what it scores.

A record is ``NAME.json``, with ``NAME`` like ``cross_cbam_m.streets``, beside the weight file that it names. Records
are looked for in the folder that the environment variable ``EDGESEG_WEIGHTS`` names and then in the package; files
there, in the user's cache, and last at the record's address. Whatever the place, the hash is checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgeseg.models.weights import WeightError

PACKAGED = Path(__file__).parent / "pretrained"
# What a metric is worth nothing without; null where there is nothing to say, e.g. "tta": null.
PROTOCOL = ("data", "split", "size", "definition", "seeds", "ema", "tta")


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
        licence: of the weights.
        url: where the file can be fetched, or ``None``.
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

    def __post_init__(self) -> None:
        if self.name.partition(".")[0] != self.arch:
            raise WeightError(f"record {self.name}: its architecture is {self.arch}; name it {self.arch}.TAG")
        if Path(self.file).name != self.file or len(self.sha256) != 64:
            raise WeightError(f"record {self.name}: needs a bare file name and a SHA-256 of 64 digits")
        absent = [k for k in ("miou", *PROTOCOL) if k not in self.metric]
        if absent:
            raise WeightError(f"record {self.name}: its metric lacks {', '.join(absent)}; null says that there is none")

    @classmethod
    def read(cls, path: str | Path) -> WeightRecord:
        """Read a record file.

        Raises:
            WeightError: no JSON object, or fields missing or unknown.
        """
        try:
            values: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WeightError(f"{path}: no readable weight record ({error}); restore it") from error
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or values.keys() - known or known - {"url"} - values.keys():
            raise WeightError(
                f"{path}: a weight record has the fields {', '.join(sorted(known))}, and only url may be absent"
            )
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)

    def write(self, folder: str | Path) -> Path:
        """Write the record as ``NAME.json`` into a folder; returns its path."""
        from edgeseg.download import atomic_write

        path = Path(folder) / f"{self.name}.json"
        with atomic_write(path) as file:
            file.write((json.dumps(asdict(self), indent=1) + "\n").encode())
        return path


def list_weights() -> list[str]:
    """Names of the weights that are here or can be fetched, sorted."""
    return sorted(name for name, (record, path) in _records().items() if record.url or _local(record, path) is not None)


def get_record(name: str) -> WeightRecord:
    """The record of a weight.

    Raises:
        WeightError: there is none; the message lists those that there are.
    """
    return _record(name)[0]


def find_weights(name: str) -> Path:
    """The checked file of a weight: local where it can be, fetched into the user's cache otherwise.

    Args:
        name: a record's name.

    Raises:
        WeightError: no such record, no file and no address, or a file with another hash.
    """
    record, path = _record(name)
    local = _local(record, path)
    if local is None:
        local = _fetch(record)
    if hashlib.sha256(local.read_bytes()).hexdigest() != record.sha256:
        raise WeightError(
            f"{local}: not the file that its record names (SHA-256 differs); delete it and fetch or copy it again"
        )
    return local


def weight_folders() -> list[Path]:
    """Folders that are searched for weight files: ``EDGESEG_WEIGHTS``, the package, the user's cache."""
    own = os.environ.get("EDGESEG_WEIGHTS")
    return [*([Path(own).expanduser()] if own else []), PACKAGED, _cache()]


def _records() -> dict[str, tuple[WeightRecord, Path]]:
    found: dict[str, tuple[WeightRecord, Path]] = {}
    for folder in weight_folders():
        for path in sorted(folder.glob("*.*.json")):  # ARCH.TAG.json; a user's folder may hold other JSON
            record = WeightRecord.read(path)
            found.setdefault(record.name, (record, path))
    return found


def _record(name: str) -> tuple[WeightRecord, Path]:
    records = _records()
    if name not in records:
        raise WeightError(f"no weight {name!r}; there are: {', '.join(sorted(records)) or 'none'}")
    return records[name]


def _local(record: WeightRecord, path: Path) -> Path | None:
    candidates = (folder / record.file for folder in (path.parent, *weight_folders()))
    return next((c for c in candidates if c.is_file()), None)


def _fetch(record: WeightRecord) -> Path:
    if record.url is None:
        folders = ", ".join(str(f) for f in weight_folders())
        raise WeightError(
            f"{record.file} is in none of {folders}, and its record gives no address; copy it into one of them"
        )
    from edgeseg.download import fetch

    return fetch(record.url, _cache() / record.file, sha256=record.sha256)


def _cache() -> Path:
    """The user's cache folder for weights, as each system has it."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "edgeseg" / "weights"
