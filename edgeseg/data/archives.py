"""Unpacking of zip and tar files that nobody needs to trust: `extract`.

An archive writes nothing outside its own folder and no more than its limit, and a folder appears whole or not at all.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from edgeseg.download import CHUNK, DownloadError, no_space, readable_bytes

EXTRACT_LIMIT = 20 << 30
"""Bytes that an archive may unpack to, unless the caller says otherwise: 20 GiB, over ten times CamVid."""
MEMBER_LIMIT = 1_000_000


def extract(archive: str | Path, target: str | Path, limit: int = EXTRACT_LIMIT, progress: bool = False) -> Path:
    """Unpack a zip or tar (plain, gz, bz2, xz) into a new folder, all of it or nothing.

    Members are written one by one by this function, regular files and folders only. Absolute paths, ``..``, every kind
    of link, devices, two members of one name, and more than ``limit`` bytes are refused. Permissions and times of the
    archive are not taken over.

    Args:
        archive: the file.
        target: the folder to make; it must not exist, or be empty.
        limit: most bytes that may be unpacked.
        progress: show a bar that counts members.

    Returns:
        ``target``.

    Raises:
        DownloadError: the archive is damaged or unsafe, the disk is full, or ``target`` holds something. Nothing stays.
    """
    archive, target = Path(archive), Path(os.path.abspath(target))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DownloadError(f"{target}: is there already. Remove it, or choose another folder.")
    if not archive.is_file():
        raise DownloadError(f"{archive}: no such file. Download it first.")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        _unpack(archive, temporary, limit, progress)
        if target.exists():
            target.rmdir()
        os.rename(temporary, target)
        return target
    except DownloadError:
        raise
    except Exception as error:  # on bad bytes the readers of zip, tar, gz, bz2 and xz raise a dozen kinds
        if isinstance(error, OSError) and no_space(error):
            cure = "the disk is full. Free some space, or choose a folder on another disk; nothing was left behind"
            raise DownloadError(f"{target}: {cure}.") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DownloadError(
            f"{archive}: cannot be unpacked to {target} ({reason}). If the file is damaged, "
            "delete it and download it again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(archive: Path, folder: Path, limit: int, progress: bool) -> None:
    from tqdm import tqdm

    left = limit
    members = _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive, folder)
    for number, (name, stream) in enumerate(tqdm(members, desc=archive.name, unit=" files", disable=not progress)):
        if number >= MEMBER_LIMIT:
            raise DownloadError(_too_large(archive, f"{MEMBER_LIMIT} files"))
        path = folder.joinpath(*_safe_parts(name, archive))
        if stream is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():  # on some systems also a name that differs in case alone
            raise DownloadError(f"{archive}: two members are called {name!r}. It was not unpacked.")
        with stream, open(path, "xb") as output:
            while block := stream.read(CHUNK):
                left -= len(block)
                if left < 0:
                    raise DownloadError(_too_large(archive, readable_bytes(limit)))
                output.write(block)


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DownloadError(_refused(archive, info.filename, "a link or a device"))
            yield info.filename, None if info.is_dir() else file.open(info)


def _tar_members(archive: Path, folder: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    # Python 3.12, and late 3.10 and 3.11: the standard library's own judgement comes on top
    library_check = getattr(tarfile, "data_filter", None)
    with tarfile.open(archive) as file:
        for member in file:
            if not (member.isreg() or member.isdir()):
                raise DownloadError(_refused(archive, member.name, "a link or a device"))
            _safe_parts(member.name, archive)
            if library_check is not None:
                library_check(member, str(folder))
            yield member.name, None if member.isdir() else file.extractfile(member)


def _safe_parts(name: str, archive: Path) -> tuple[str, ...]:
    """The parts of a member's path, once it is certain that they stay below the target folder on every system."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise DownloadError(_refused(archive, name, "a path that may lead out of its folder"))
    return path.parts


def _too_large(archive: Path, limit: str) -> str:
    return (
        f"{archive}: unpacks to more than {limit}. It was not unpacked; if it is meant to be that large, do it by hand."
    )


def _refused(archive: Path, name: str, what: str) -> str:
    return f"{archive}: member {name!r} is {what}. It was not unpacked; do not trust this file."
