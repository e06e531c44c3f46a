"""Files: never half-written, fetched whole or not at all, unpacked safely; and the one cache folder.

Two promises: a file under its final name is whole, because it is written beside it first, checked, and then renamed;
and a download that was cut goes on where it stopped, from the same source or from the next. An archive
writes nothing outside its own folder and no more than its limit, and a folder appears whole or not at all.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import http.client
import json
import math
import os
import re
import secrets
import shutil
import stat
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

CHUNK = 1 << 18
EXTRACT_LIMIT = 20 << 30
"""Bytes that an archive may unpack to: 20 GiB, over ten times CamVid."""
ATTEMPTS = 4
"""Connections in a row that bring no new byte, before a source is given up."""
TIMEOUT = 30.0
"""Seconds without a byte, before a connection counts as dead."""
PAUSE = 1.0
"""Seconds before the second attempt; doubled each time, at most 30."""
_STALE_SECONDS = 3600


class DownloadError(RuntimeError):
    """A download or an archive that cannot be used; the message says why and what to do."""


class _NextSource(Exception):  # noqa: N818  (not an error, a decision)
    """This source is of no use (gone, wrong size, wrong bytes); trying it again would not help."""


class _TryAgain(Exception):  # noqa: N818
    """The connection failed or was cut; the same source may work in a moment."""


def no_space(error: OSError) -> bool:
    """Whether an `OSError` says that the disk or the quota is full."""
    return error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


# writing --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file to write to that appears under its name only when it is complete.

    ``with atomic_write("last.pt") as file: …``. The bytes go to a hidden file in the same folder, are forced to the
    disk, and replace ``path`` in one step. After an exception, a full disk or a kill, ``path`` is what it was before.
    Text is UTF-8, with one line feed at a line's end on every system.

    Args:
        path: the file to write; its folder is made.
        mode: ``"wb"`` or ``"w"``.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"atomic_write: mode {mode!r}; choose 'wb' (bytes) or 'w' (text)")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _open_temporary(path, mode)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except BaseException:  # KeyboardInterrupt too: the temporary file must not stay
        with contextlib.suppress(OSError):
            os.unlink(file.name)
        raise


def _open_temporary(path: Path, mode: str) -> IO[Any]:
    """A new hidden file beside ``path``; takes over what a killed process left there more than an hour ago."""
    # opened plainly, not by tempfile.mkstemp, so that the file gets the permissions that every other file gets
    options = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    usual = path.with_name(f".{path.name}.tmp")
    with contextlib.suppress(OSError):
        if time.time() - usual.stat().st_mtime > _STALE_SECONDS:
            usual.unlink()
    try:
        return open(usual, mode.replace("w", "x"), **options)  # type: ignore[call-overload]
    except FileExistsError:  # another process is writing the same file, or was killed just now
        other = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        return open(other, mode.replace("w", "x"), **options)  # type: ignore[call-overload]


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all; nothing without a path. What is no finite number becomes ``null``."""
    if path is not None:
        text = json.dumps(with_nulls(content), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(path, text + "\n")


def with_nulls(content: Any) -> Any:
    """NaN and infinity, which JSON does not know, as ``None``."""
    if isinstance(content, Mapping):
        return {key: with_nulls(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [with_nulls(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


# reading --------------------------------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """A text file, its line ends as they are: UTF-8, or UTF-16 that says so in its first bytes (as PowerShell writes).

    Raises:
        OSError: it cannot be read.
        ValueError: another encoding; names the file.
    """
    blob = path.read_bytes()
    encoding = "utf-16" if blob.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = blob.decode(encoding)
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is {blob[error.start]:#04x}"
        raise ValueError(f"{path}: not a text in UTF-8 ({where}). Save it anew in UTF-8.") from error
    if "\0" in text:  # UTF-16 without its first bytes, or no text at all
        raise ValueError(f"{path}: not a text in UTF-8 (it holds zero bytes). Save it anew in UTF-8.")
    return text


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds, read strictly: Python's reader lets pass what no other program reads alike.

    Raises:
        ValueError: no JSON; ``NaN`` or ``Infinity``, which JSON does not know, or a number too large for a float; a key
            that an object gives twice; brackets in brackets without end.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number in JSON")

    try:
        return json.loads(text, parse_constant=refuse, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("too many brackets in brackets") from error


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits} is too large for a number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty where there is no such file, or no object in it.

    Raises:
        ValueError: the file is no JSON, see `parse_json`; names it.
    """
    if not path.is_file():
        return {}
    text = read_text(path)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file ({error}). Write or get it anew.") from error
    return content if isinstance(content, dict) else {}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one JSON object a line; none where there is no such file.

    A last line without its end was cut off while it was written, and is left out.

    Raises:
        ValueError: a line that is no JSON object; names file and line.
    """
    if not path.is_file():
        return []
    rows = []
    for number, line in enumerate(read_text(path).split("\n")[:-1], 1):
        try:
            row = parse_json(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: no JSON ({error}). Take the line out.") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: no object in braces. Take the line out.")
        rows.append(row)
    return rows


def file_hash(path: Path, kind: str = "sha256") -> str:
    """A file's digest, hexadecimal, read piece by piece; ``kind`` as `hashlib.new` takes it."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def write_lines(path: Path | None, lines: Sequence[str]) -> None:
    """Write lines of text whole or not at all; nothing without a path."""
    if path is not None:
        write_text(path, "".join(f"{line}\n" for line in lines))


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line to a file of `read_rows`, in one piece: several processes may add to the same file.

    What of a last line was cut off is ended first, so that nothing else is lost with it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(with_nulls(row), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with path.open("ab+") as file:
        whole = file.tell() == 0 or (file.seek(-1, os.SEEK_END), file.read(1))[1] == b"\n"
        if not whole:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)


def check_targets(targets: Iterable[tuple[str, Path]], cure: str) -> None:
    """Refuse two results in one file before either is written.

    Args:
        targets: what a result belongs to, and its file. ``A.png`` and ``a.png`` count as one: on many disks they are.
        cure: what to do about it.

    Raises:
        ValueError: names both, and the file.
    """
    owners: dict[str, str] = {}
    for owner, path in targets:
        file = os.path.abspath(path).casefold()
        if file in owners:
            raise ValueError(f"{owners[file]} and {owner}: both would have the file {path}. {cure}")
        owners[file] = owner


def cache_folder(*parts: str) -> Path:
    """A folder in this user's cache, where weights, data, scenes and compiled engines are kept. It need not exist.

    ``$EDGESEG_CACHE``; else ``edgeseg`` in ``~/Library/Caches`` on macOS, in ``%LOCALAPPDATA%`` on Windows, and
    elsewhere in ``$XDG_CACHE_HOME`` where that is an absolute path (as its specification asks), else in ``~/.cache``.
    """
    if chosen := os.environ.get("EDGESEG_CACHE"):
        return Path(chosen).expanduser().joinpath(*parts)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "")
        base = base if base.is_absolute() else Path.home() / ".cache"
    return base.joinpath("edgeseg", *parts)


# downloading ----------------------------------------------------------------------------------------------------------


def fetch(
    urls: str | Sequence[str],
    target: str | Path,
    size: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
    progress: bool = True,
) -> Path:
    """Fetch one file, from the first source that has it right.

    The bytes go to ``target`` + ``.part``. A cut connection is taken up where it stopped; so is a ``.part`` left by an
    earlier call, provided that a hash is given to prove the joined file. Size and hash are checked before the file gets
    its name. A ``target`` that is there and agrees with size and hash is left alone. One process per target.

    Args:
        urls: http(s) addresses of the same file, in order of preference.
        target: the file to write; its folder is made.
        size: the file's bytes, if known.
        md5: hexadecimal digest, if known; `sha256` is better.
        sha256: hexadecimal digest, if known.
        progress: show a bar.

    Returns:
        ``target``.

    Raises:
        DownloadError: no source worked, the hash is wrong everywhere, or the disk is full. After a full disk or a dead
            connection the ``.part`` file stays for the next call; after a wrong hash it is removed.
    """
    urls, target = [urls] if isinstance(urls, str) else list(urls), Path(target)
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise DownloadError(f"{url}: only http and https addresses are fetched")
    hashes = {kind: value.lower() for kind, value in (("md5", md5), ("sha256", sha256)) if value}
    try:
        _Transfer(target, size, hashes, progress).run(urls)
    except OSError as error:
        if no_space(error):
            cure = "the disk is full. Free some space and run the same command again: it goes on from there; or choose"
            raise DownloadError(f"{target.parent}: {cure} a folder on another disk.") from error
        raise DownloadError(f"{target}: cannot be written ({error}). Choose a folder that you may write to.") from error
    return target


class _Transfer:
    """One target, what is known of it, and ``.part``: the bytes that have come so far."""

    def __init__(self, target: Path, size: int | None, hashes: Mapping[str, str], progress: bool) -> None:
        self.target, self.size, self.hashes, self.progress = target, size, hashes, progress
        self.part = target.with_name(target.name + ".part")
        self.validator = ""  # ETag or date of the version that .part is a piece of

    def run(self, urls: Sequence[str]) -> None:
        if self.target.is_file() and self._fault(self.target) is None:
            return
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if self.hashes and self.part.exists() and self._fault(self.part) is None:  # all but renamed the last time
            os.replace(self.part, self.target)
            return
        reasons = []
        for url in urls:
            try:
                self._fill(url)
                os.replace(self.part, self.target)
                return
            except _NextSource as reason:
                reasons.append(f"{url} {reason}")
        raise DownloadError(
            f"{self.target.name}: no source worked: {'; '.join(reasons)}. Check the network (a proxy or a login page "
            f"may answer instead), or fetch the file by hand and put it at {self.target}."
        )

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fault(self, path: Path) -> str | None:
        """What is wrong with a file, or ``None``."""
        got = path.stat().st_size
        if self.size is not None and got != self.size:
            return f"has {got} bytes where {self.size} are right"
        for kind, want in self.hashes.items():
            if (got_hash := file_hash(path, kind)) != want:
                return f"has {kind} {got_hash} where {want} is right"
        return None

    def _fill(self, url: str) -> None:
        """Complete ``.part`` from one source and check it."""
        self.validator = ""  # another source has its own
        kept = furthest = self._have()
        failures, reason = 0, ""
        while failures < ATTEMPTS:
            if not self.hashes and not self.validator:
                self.part.unlink(missing_ok=True)  # nothing would prove that old and new bytes are of one file
            try:
                if self.size is None or self._have() != self.size:
                    self._connect(url, self._have())
                fault = self._fault(self.part)
                if fault is None:
                    return
                self.part.unlink(missing_ok=True)
                if not kept:
                    raise _NextSource(f"sent a file that {fault} (it was removed)")
                kept = furthest = 0  # the bytes of an earlier call may be what was wrong: once more without them
            except _TryAgain as error:
                reason = str(error)
                failures = 0 if self._have() > furthest else failures + 1
                furthest = max(furthest, self._have())
                if failures < ATTEMPTS:
                    time.sleep(min(30.0, PAUSE * 2 ** max(0, failures - 1)))
        raise _NextSource(f"failed {ATTEMPTS} times in a row ({reason})")

    def _connect(self, url: str, have: int) -> None:
        """One connection: append to ``.part`` from byte ``have`` on."""
        headers = {"User-Agent": "edgeseg", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.validator:
                headers["If-Range"] = self.validator
        try:
            response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # our part is longer than the file there: it is another file
                self.part.unlink(missing_ok=True)
            if error.code >= 500 or error.code in (408, 416, 425, 429):
                raise _TryAgain(f"HTTP {error.code}") from error
            raise _NextSource(f"answered HTTP {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:  # no route, refused, cut, timed out, TLS
            raise _TryAgain(str(getattr(error, "reason", error)) or type(error).__name__) from error
        with response:
            have, total = self._answer(response, have)
            etag = response.headers.get("ETag", "")
            self.validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
            self._append(response, have, total)

    def _answer(self, response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
        """First byte and total length of what the server is about to send."""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        if response.status == 206:
            match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not match or int(match[1]) != have:
                self.part.unlink(missing_ok=True)
                raise _TryAgain("the server sent another range than was asked for")
            total = int(match[2]) if match[2] != "*" else self.size
        else:
            have = 0  # the server knows no ranges, or the file there has changed: start over
        if self.size is not None and total is not None and total != self.size:
            raise _NextSource(f"offers {total} bytes where {self.size} are right")
        return have, total if total is not None else self.size

    def _append(self, response: http.client.HTTPResponse, have: int, total: int | None) -> None:
        from tqdm import tqdm

        bar = tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=self.target.name, disable=not self.progress
        )
        with bar, open(self.part, "ab" if have else "wb") as file:
            while True:
                try:
                    block = response.read(CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise _TryAgain(f"the connection was cut: {error or type(error).__name__}") from error
                have += file.write(block)
                bar.update(len(block))
                if not block or (total is not None and have > total):
                    break
            file.flush()
            os.fsync(file.fileno())
        if total is not None and have < total:  # http.client ends a cut body without an error
            raise _TryAgain(f"the connection was cut after {have} of {total} bytes")
        if total is not None and have > total:
            self.part.unlink(missing_ok=True)
            raise _NextSource(f"sends more than the {total} bytes it announced")


# unpacking ------------------------------------------------------------------------------------------------------------


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
        cure = "If the file is damaged, delete it and download it again"
        raise DownloadError(f"{archive}: cannot be unpacked to {target} ({reason}). {cure}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(archive: Path, folder: Path, limit: int, progress: bool) -> None:
    from tqdm import tqdm

    left = limit
    members = _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)
    for name, stream in tqdm(members, desc=archive.name, unit=" files", disable=not progress):
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
                    cure = "It was not unpacked; if it is meant to be that large, do it by hand"
                    raise DownloadError(f"{archive}: unpacks to more than {limit} bytes. {cure}.")
                output.write(block)


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename, "a link or a device")
            yield info.filename, None if info.is_dir() else file.open(info)


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(archive) as file:
        for member in file:
            if not (member.isreg() or member.isdir()):
                raise _refused(archive, member.name, "a link or a device")
            yield member.name, None if member.isdir() else file.extractfile(member)


def _safe_parts(name: str, archive: Path) -> tuple[str, ...]:
    """The parts of a member's path, once it is certain that they stay below the target folder on every system."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise _refused(archive, name, "a path that may lead out of its folder")
    return path.parts


def _refused(archive: Path, name: str, what: str) -> DownloadError:
    return DownloadError(f"{archive}: member {name!r} is {what}. It was not unpacked; do not trust this file.")
