"""Weights from elsewhere, a file or a folder, into the user's own folder: checked, then copied whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from edgeseg.download import atomic_write
from edgeseg.models.parts import joined
from edgeseg.models.records import (
    WeightRecord,
    get_record,
    licence_path,
    list_weights,
    own_folder,
    record_faults,
    record_folder,
    weight_folders,
)
from edgeseg.models.weights import WeightError, read_weights


@dataclass(frozen=True)
class _Parcel:
    """A weight that was checked: what is to be written."""

    record: WeightRecord
    blob: bytes
    licence: bytes | None


def import_weights(source: str | Path, replace_other: bool = False) -> list[WeightRecord]:
    """Copy a weight, or all of a folder, into `records.own_folder`; from then on each is known by its name.

    Everything is checked before anything is written. Parts (`edgeseg.models.parts`) are joined. A copy is called
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
    source = Path(source).expanduser()
    target = own_folder()
    parcels = [_parcel(path) for path in _record_paths(source)]
    for parcel in parcels:
        _refuse_taken_name(parcel.record, target, replace_other)
    for parcel in parcels:
        _write(parcel, target)
    return [parcel.record for parcel in parcels]


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


def _parcel(path: Path) -> _Parcel:
    record = WeightRecord.read(path)
    file = path.parent / record.file
    blob = joined(file)
    if blob is None:
        raise WeightError(f"{path}: the record names {record.file}, which is not beside it; copy both into one folder")
    if not file.is_file() and hashlib.sha256(blob).hexdigest() != record.sha256:
        raise WeightError(f"{file}: its parts are not those of the record's file; copy all of them again")
    with TemporaryDirectory() as folder:
        whole = file if file.is_file() else Path(folder) / file.name
        if whole is not file:
            whole.write_bytes(blob)
        meta, _ = read_weights(whole, record.sha256)
    if hashlib.sha256(blob).hexdigest() != record.sha256:  # of the very bytes that will be written
        raise WeightError(f"{file}: changed while it was read; import it again when nothing writes to it")
    faults = record_faults(record, meta)
    if faults:
        raise WeightError(f"{path}: {'; '.join(faults)}")
    licence = None if record.licence_file is None else licence_path(record, path.parent).read_bytes()
    return _Parcel(replace(record, file=f"{record.name}.safetensors"), blob, licence)


def _refuse_taken_name(record: WeightRecord, target: Path, replace_other: bool) -> None:
    """A weight of this name with other bytes stays, unless it is the user's own and may be replaced."""
    if record.name not in list_weights() or get_record(record.name).sha256 == record.sha256:
        return
    place = record_folder(record.name)
    if place == target and replace_other:
        return
    folders = weight_folders()
    if place != target and folders.index(target) < folders.index(place):
        return  # the user's folder is searched first
    cure = (
        "add --replace to put this one in its place"
        if place == target
        else "which is searched first; set EDGESEG_WEIGHTS to a folder of your own, and it will be"
    )
    raise WeightError(f"{record.name}: another weight of this name is in {place}; {cure}")


def _write(parcel: _Parcel, target: Path) -> None:
    with atomic_write(target / parcel.record.file) as file:
        file.write(parcel.blob)
    if parcel.licence is not None and parcel.record.licence_file is not None:
        with atomic_write(target / parcel.record.licence_file) as file:
            file.write(parcel.licence)
    parcel.record.write(target)  # last: a record never names a file that is not there
