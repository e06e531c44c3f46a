"""Files: never half-written, fetched whole or not at all, unpacked safely; and the one cache folder.

Two promises: a file under its final name is whole, because it is written beside it first, checked, and then renamed;
and a download that was cut goes on where it stopped, from the same source or from the next. An archive
writes nothing outside its own folder and no more than its limit, and a folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import json
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

CHUNK = 1 << 18
DISK_MARGIN = 64 << 20
"""Bytes that stay free on the disk after a download."""
_STALE_SECONDS = 3600


class DownloadError(RuntimeError):
    """A download or an archive that cannot be used; the message says why and what to do."""


class _NextSource(Exception):  # noqa: N818  (not an error, a decision)
    """This source is of no use (gone, wrong size, wrong bytes); trying it again would not help."""


class _WrongBytes(_NextSource):
    """The whole file came, and it is not the right one."""


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
    """Write a JSON file whole or not at all; nothing without a path."""
    if path is not None:
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_lines(path: Path | None, lines: Sequence[str]) -> None:
    """Write lines of text whole or not at all; nothing without a path."""
    if path is not None:
        write_text(path, "".join(f"{line}\n" for line in lines))


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
    """A folder in this user's cache, where weights, data and compiled engines are kept. It need not exist.

    ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows, else ``$XDG_CACHE_HOME`` where it is an absolute path
    (as its specification asks), else ``~/.cache``; in it ``edgeseg``.
    """
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
    *,
    retries: int = 4,
    timeout: float = 30.0,
    backoff: float = 1.0,
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
        retries: attempts in a row without a new byte before a source is given up.
        timeout: seconds without a byte before a connection counts as dead.
        backoff: seconds before the second attempt; doubled each time, at most 30.

    Returns:
        ``target``.

    Raises:
        DownloadError: no source worked, the hash is wrong everywhere, or the disk is full. After a full disk or a dead
            connection the ``.part`` file stays for the next call; after a wrong hash it is removed.
    """
    urls = [urls] if isinstance(urls, str) else list(urls)
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise DownloadError(f"{url}: only http and https addresses are fetched")
    job = _Job(Path(target), size, {"md5": md5, "sha256": sha256}, progress, retries, timeout, backoff)
    if job.target.is_file() and job.fault(job.target) is None:
        return job.target
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        return job.run(urls)
    except OSError as error:
        if no_space(error):
            kept = job.part.stat().st_size if job.part.exists() else 0
            raise DownloadError(
                f"{job.target.parent}: the disk is full after {readable_bytes(kept)} of {job.target.name}. Free some "
                "space and run the same command again: it goes on from there. Or choose a folder on another disk."
            ) from error
        raise DownloadError(
            f"{job.target}: cannot be written ({error}). Choose a folder that you may write to."
        ) from error


class _Job:
    """One target with what is known of it."""

    def __init__(
        self,
        target: Path,
        size: int | None,
        hashes: dict[str, str | None],
        progress: bool,
        retries: int,
        timeout: float,
        backoff: float,
    ) -> None:
        self.target, self.size = target, size
        self.hashes = {kind: value.lower() for kind, value in hashes.items() if value}
        self.progress, self.retries, self.timeout, self.backoff = progress, max(1, retries), timeout, backoff
        self.part = target.with_name(target.name + ".part")
        self.validator = ""  # ETag or date of the version that .part is a piece of

    def fault(self, path: Path) -> str | None:
        """What is wrong with a file, or ``None``."""
        got = path.stat().st_size
        if self.size is not None and got != self.size:
            return f"has {got} bytes where {self.size} are right"
        for kind, want in self.hashes.items():
            digest = hashlib.new(kind, usedforsecurity=False)
            with open(path, "rb") as file:
                while block := file.read(CHUNK):
                    digest.update(block)
            if digest.hexdigest() != want:
                return f"has {kind} {digest.hexdigest()} where {want} is right"
        return None

    def run(self, urls: Sequence[str]) -> Path:
        if self.hashes and self.part.exists() and self.fault(self.part) is None:  # all but renamed the last time
            os.replace(self.part, self.target)
            return self.target
        reasons = []
        for url in urls:
            old = self._have() > 0
            try:
                try:
                    self._fetch(url)
                except _WrongBytes:
                    if not old:
                        raise
                    self._fetch(url)  # the bytes kept from before may be what was wrong
                os.replace(self.part, self.target)
                return self.target
            except _NextSource as reason:
                reasons.append(f"{url} {reason}")
        raise DownloadError(
            f"{self.target.name}: no source worked: {'; '.join(reasons)}. Check the network (a proxy or a login page "
            f"may answer instead), or fetch the file by hand and put it at {self.target}."
        )

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fetch(self, url: str) -> None:
        """Fill ``.part`` from one source and check it."""
        self.validator = ""  # another source has its own
        failures, furthest, reason = 0, self._have(), ""
        while failures < self.retries:
            if not self.hashes and not self.validator:
                self.part.unlink(missing_ok=True)  # nothing would prove that old and new bytes are of one file
            try:
                if self.size is None or self._have() != self.size:
                    self._attempt(url, self._have())
                fault = self.fault(self.part)
                if fault is None:
                    return
                self.part.unlink(missing_ok=True)
                raise _WrongBytes(f"sent a file that {fault} (it was removed)")
            except _TryAgain as error:
                reason = str(error)
                failures = 0 if self._have() > furthest else failures + 1
                furthest = max(furthest, self._have())
                if failures < self.retries:
                    time.sleep(min(30.0, self.backoff * 2 ** max(0, failures - 1)))
        raise _NextSource(f"failed {self.retries} times in a row ({reason})")

    def _attempt(self, url: str, have: int) -> None:
        """One connection: append to ``.part`` from byte ``have`` on."""
        headers = {"User-Agent": "edgeseg", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.validator:
                headers["If-Range"] = self.validator
        try:
            response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # our part is longer than the file there: it is another file
                self.part.unlink(missing_ok=True)
            if error.code >= 500 or error.code in (408, 416, 425, 429):
                raise _TryAgain(f"HTTP {error.code}") from error
            raise _NextSource(f"answered HTTP {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:  # no route, refused, cut, timed out, TLS
            raise _TryAgain(str(getattr(error, "reason", error)) or type(error).__name__) from error
        with response:
            have, total = self._begin(response, have)
            self._check_space(total, have)
            etag = response.headers.get("ETag", "")
            self.validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
            self._copy(response, have, total)

    def _begin(self, response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
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

    def _check_space(self, total: int | None, have: int) -> None:
        free = shutil.disk_usage(self.part.parent).free + (self._have() if have == 0 else 0)
        if total is not None and total - have + DISK_MARGIN > free:
            raise DownloadError(
                f"{self.part.parent}: {readable_bytes(total - have)} are needed for {self.target.name} and "
                f"{readable_bytes(free)} are free. Free some space, or choose a folder on another disk."
            )

    def _copy(self, response: http.client.HTTPResponse, have: int, total: int | None) -> None:
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
                if not block:
                    break
                file.write(block)
                have += len(block)
                bar.update(len(block))
                if total is not None and have > total:
                    break  # it will fail the size check below
            file.flush()
            os.fsync(file.fileno())
        if total is not None and have < total:  # http.client ends a cut body without an error
            raise _TryAgain(f"the connection was cut after {have} of {total} bytes")
        if total is not None and have > total:
            self.part.unlink(missing_ok=True)
            raise _NextSource(f"sends more than the {total} bytes it announced")


def readable_bytes(count: float) -> str:
    """``598913237`` → ``"599 MB"``."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


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
