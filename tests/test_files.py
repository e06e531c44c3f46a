"""Files that stay whole; downloads against a server that cuts, lies and refuses; archives; the cache folder."""

import hashlib
import http.server
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from edgeseg import files
from edgeseg.files import DownloadError, atomic_write, cache_folder, extract, fetch, read_json, read_text, write_json

# atomic_write ---------------------------------------------------------------------------------------------------------


def test_atomic_write_replaces_a_file_in_one_step(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path, "w") as file:
        file.write("ä\n")
    assert path.read_bytes() == "ä\n".encode()
    with atomic_write(path) as file:
        file.write(b"second")
        file.flush()
        assert path.read_bytes() == "ä\n".encode()
    assert path.read_bytes() == b"second"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_exception_the_old_file_remains_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write_and_fail():
        with atomic_write(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_writer_killed_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a[1].bin"
    path.write_bytes(b"old")
    code = f"""
import os, signal
from edgeseg.files import atomic_write
with atomic_write({str(path)!r}) as file:
    file.write(b"half"); file.flush(); os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert path.read_bytes() == b"old"
    (left,) = tmp_path.glob(".*.tmp")
    with atomic_write(path) as file:  # a young one may be another writer's
        file.write(b"new")
    assert left.exists()
    os.utime(left, (0, 0))
    with atomic_write(path) as file:
        file.write(b"new")
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_an_atomic_file_has_the_permissions_of_a_plain_one(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "atomic") as file:
        file.write(b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_atomic_write_refuses_to_append(tmp_path):
    with pytest.raises(ValueError, match="choose 'wb'"), atomic_write(tmp_path / "a", "ab"):
        pass


# texts and JSON -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_text_is_read_as_utf_8_or_as_utf_16_that_says_so(tmp_path, encoding):
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    (tmp_path / "a.json").write_bytes(mark + '{"a": "ä"}\r\n'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"a": "ä"}


@pytest.mark.parametrize("blob", ["pö".encode("latin-1"), "p0".encode("utf-16-le"), b"\xff\xfea", b"\x80\0\0"])
def test_a_text_in_another_encoding_is_refused_by_name_with_the_cure(tmp_path, blob):
    (tmp_path / "a.txt").write_bytes(blob)
    with pytest.raises(ValueError, match=r"a\.txt: not a text in UTF-8 .*Save it anew in UTF-8"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ('{"a": Infinity}', "Infinity is no number in JSON"),
        ('{"a": [-Infinity]}', "-Infinity is no number"),
        ('{"a": {"b": NaN}}', "NaN is no number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is given twice"),
        ("[" * 100_000, "too many brackets"),
    ],
)
def test_json_that_other_programs_would_read_otherwise_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json: not a JSON file \({words}.*\)\. Write or get it anew"):
        read_json(tmp_path / "a.json")


def test_what_is_no_finite_number_is_written_as_null(tmp_path):
    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], "b": {"c": (float("inf"),)}})
    assert read_json(tmp_path / "a.json") == {"a": [None, 1.5], "b": {"c": [None]}}


def test_the_package_reads_json_by_one_function():
    package = Path(files.__file__).parent
    readers = {path.name for path in package.rglob("*.py") if re.search(r"json\.loads?\b", path.read_text("utf-8"))}
    own = {"workers.py", "recipe.py", "checkpoint.py", "lesson_08.py"}  # what the package itself wrote a moment ago
    assert readers - own == {"files.py"}


BODY = bytes(range(256)) * 2000  # 512 000 bytes: two chunks
MD5 = hashlib.md5(BODY).hexdigest()
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Behaves as the server's attributes say."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        server, path = self.server, self.path.strip("/")
        asked = self.headers.get("Range")
        server.seen.append((path, asked))
        if path == "gone":
            self.send_error(404)
            return
        if server.errors_first > 0:
            server.errors_first -= 1
            self.send_error(503)
            return
        body = b"<html>log in</html>" if path == "login" else server.body
        start = int(asked[6:].split("-")[0]) if asked and server.ranges else 0
        unchanged = self.headers.get("If-Range", server.etag) == server.etag
        start = start if unchanged else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.announce:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        part = body[start:]
        if server.cuts:  # send so many bytes, then drop the connection
            part = part[: server.cuts.pop(0)]
        self.wfile.write(part)


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.body, server.ranges, server.cuts, server.errors_first = BODY, True, [], 0
        server.seen, server.etag, server.announce = [], '"v1"', True
        server.url = f"http://127.0.0.1:{server.server_address[1]}/file"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(files, "PAUSE", 0.001)
    monkeypatch.setattr(files, "ATTEMPTS", 3)
    monkeypatch.setattr(files, "TIMEOUT", 5.0)


def get(urls, target, **options):
    return fetch(urls, target, progress=False, **options)


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


# downloads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "proof", [{}, {"size": len(BODY)}, {"md5": MD5}, {"sha256": SHA256.upper(), "size": len(BODY)}]
)
def test_a_file_arrives_whole_and_leaves_no_part(server, tmp_path, proof):
    target = tmp_path / "new folder" / "file.bin"
    assert get(server.url, target, **proof) == target
    assert target.read_bytes() == BODY
    assert os.listdir(target.parent) == ["file.bin"]


@pytest.mark.parametrize(("there", "requests"), [(BODY, 0), (b"old", 1)])
def test_a_file_that_is_there_is_fetched_again_only_where_it_is_wrong(server, tmp_path, there, requests):
    target = tmp_path / "file.bin"
    target.write_bytes(there)
    get(server.url, target, md5=MD5)
    assert target.read_bytes() == BODY
    assert len(server.seen) == requests


@pytest.mark.parametrize("proof", [{}, {"md5": MD5}])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_goes_on_where_it_stopped_or_starts_over(server, tmp_path, proof, ranges):
    server.cuts, server.ranges = [100_000, 200_000], ranges
    get(server.url, tmp_path / "file.bin", **proof)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    second = "bytes=300000-" if ranges else "bytes=200000-"
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-", second]


@pytest.mark.parametrize(
    ("part", "proof", "asked"),
    [
        (BODY[:1000], {"sha256": SHA256}, ["bytes=1000-"]),
        (BODY, {"md5": MD5}, []),  # all but checked and renamed
        (b"x" * 1000, {"size": len(BODY)}, [None]),  # nothing would prove that old and new bytes are of one file
    ],
)
def test_a_part_left_by_an_earlier_run_is_taken_up_where_a_hash_proves_it(server, tmp_path, part, proof, asked):
    part_of(tmp_path / "file.bin").write_bytes(part)
    get(server.url, tmp_path / "file.bin", **proof)
    assert [wanted for _, wanted in server.seen] == asked
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 5)])
def test_a_wrong_old_part_costs_one_more_try_and_no_more(server, tmp_path, stale):
    part_of(tmp_path / "file.bin").write_bytes(stale)
    get(server.url, tmp_path / "file.bin", sha256=SHA256, size=len(BODY))
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert len(server.seen) <= 2


def test_a_file_that_changed_between_two_connections_is_not_stitched(server, tmp_path):
    server.cuts = [100_000]
    other = bytes(reversed(BODY))

    class Changing(Handler):
        def do_GET(self):
            super().do_GET()
            self.server.body, self.server.etag = other, '"v2"'

    server.RequestHandlerClass = Changing
    get(server.url, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == other


def test_the_second_source_goes_on_with_the_part_of_the_first(server, tmp_path):
    server.cuts = [100_000, 0, 0, 0]
    get([server.url, server.url + "/mirror"], tmp_path / "file.bin", md5=MD5)
    assert server.seen[-1] == ("file/mirror", "bytes=100000-")
    assert (tmp_path / "file.bin").read_bytes() == BODY


@pytest.mark.parametrize("first", ["gone", "login"])
def test_a_source_that_is_gone_or_wrong_gives_way_to_the_next(server, tmp_path, first):
    bad = server.url.replace("file", first)
    get([bad, server.url], tmp_path / "file.bin", md5=MD5)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert [path for path, _ in server.seen] == [first, "file"]


def test_a_source_of_another_size_is_left_before_its_bytes_are_fetched(server, tmp_path):
    with pytest.raises(DownloadError, match="offers 512000 bytes where 7 are right"):
        get(server.url, tmp_path / "file.bin", size=7)


def test_a_wrong_hash_removes_the_part_and_says_what_to_do(server, tmp_path):
    with pytest.raises(DownloadError, match=r"md5 \w{32} where 0{32} is right.*by hand and put it at"):
        get(server.url, tmp_path / "file.bin", md5="0" * 32)
    assert os.listdir(tmp_path) == []
    assert len(server.seen) == 1


def test_server_errors_are_tried_again(server, tmp_path):
    server.errors_first = 2
    get(server.url, tmp_path / "file.bin", md5=MD5)
    assert len(server.seen) == 3


def test_a_server_that_always_cuts_at_once_is_given_up_and_the_part_kept(server, tmp_path):
    server.cuts = [1000] + [0] * 50
    with pytest.raises(DownloadError, match=r"3 times in a row \(the connection was cut after 1000 of 512000"):
        get(server.url, tmp_path / "file.bin", md5=MD5)
    assert os.listdir(tmp_path) == ["file.bin.part"]
    assert part_of(tmp_path / "file.bin").read_bytes() == BODY[:1000]
    server.cuts = []
    get(server.url, tmp_path / "file.bin", md5=MD5)
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_a_body_of_unannounced_length_is_proved_by_its_hash(server, tmp_path):
    server.announce, server.cuts = False, [1000]
    get([server.url, server.url], tmp_path / "file.bin", md5=MD5)
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_no_server_at_all_is_one_clear_error(tmp_path):
    with pytest.raises(DownloadError, match="no source worked.*Check the network"):
        get("http://127.0.0.1:9/file", tmp_path / "file.bin")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/x", "data.tgz"])
def test_only_http_addresses_are_fetched(url, tmp_path):
    with pytest.raises(DownloadError, match="only http"):
        get(url, tmp_path / "file.bin")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_named_with_the_cure(server, tmp_path):
    part_of(tmp_path / "file.bin").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="the disk is full. Free some space and run the same command again"):
        get(server.url, tmp_path / "file.bin", md5=MD5, size=len(BODY))
    assert not (tmp_path / "file.bin").exists()


# archives -------------------------------------------------------------------------------------------------------------

MEMBERS = {"top/a.txt": b"one", "top/sub/b.bin": bytes(1000), "c.txt": b""}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz", **special: dict) -> Path:
    """``special``: member name → attributes of a member that is no plain file."""
    with tarfile.open(path, mode) as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for name, attributes in special.items():
            info = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            file.addfile(info)
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_sound_archive_unpacks_whole(tmp_path, kind):
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        make_zip(archive, MEMBERS)
    else:
        make_tar(archive, MEMBERS, "w:" + kind[4:], empty={"type": tarfile.DIRTYPE})
    out = extract(archive, tmp_path / "out")
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()} == MEMBERS
    assert sorted(os.listdir(tmp_path)) == [archive.name, "out"]


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "\\\\host\\evil", "C:evil"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_member_that_leads_out_is_refused_and_nothing_is_written(tmp_path, make, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = make(inner / "a", {"good.txt": b"x", name: b"evil"})
    with pytest.raises(DownloadError, match=r"may lead out of its folder. It was not unpacked; do not trust"):
        extract(archive, inner / "out")
    assert os.listdir(inner) == ["a"]
    assert os.listdir(tmp_path) == ["inner"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"type": tarfile.SYMTYPE, "linkname": "../../etc/passwd"},
        {"type": tarfile.SYMTYPE, "linkname": "good.txt"},
        {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
        {"type": tarfile.FIFOTYPE},
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, attributes):
    archive = make_tar(tmp_path / "a.tgz", {"good.txt": b"x"}, evil=attributes)
    with pytest.raises(DownloadError, match="'evil' is a link or a device"):
        extract(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.tgz"]


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("evil")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(DownloadError, match="is a link"):
        extract(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_an_archive_that_unpacks_to_too_much_is_stopped(tmp_path, make):
    archive = make(tmp_path / "bomb", {"zeros": bytes(5_000_000)})
    assert archive.stat().st_size < 10_000
    with pytest.raises(DownloadError, match="unpacks to more than 1000000 bytes"):
        extract(archive, tmp_path / "out", limit=1_000_000)
    assert os.listdir(tmp_path) == ["bomb"]


def test_two_members_of_one_name_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for content in (b"1", b"2"):
            info = tarfile.TarInfo("same")
            info.size = 1
            file.addfile(info, io.BytesIO(content))
    with pytest.raises(DownloadError, match="two members are called 'same'"):
        extract(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "html"])
def test_a_damaged_archive_leaves_nothing(tmp_path, kind):
    archive = tmp_path / f"a.{kind}"
    noise = {"a": os.urandom(50_000), "b": os.urandom(50_000)}
    if kind == "html":
        archive.write_bytes(b"<html>404</html>")
    else:
        make_zip(archive, noise) if kind == "zip" else make_tar(archive, noise, "w:" + kind[4:])
        content = bytearray(archive.read_bytes())
        content[60_000:60_100] = bytes(100)
        archive.write_bytes(content if kind == "zip" else content[:60_000])
    with pytest.raises(DownloadError, match="cannot be unpacked.*delete it and download it again"):
        extract(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == [archive.name]


def test_a_folder_that_holds_something_is_not_overwritten(tmp_path):
    archive = make_zip(tmp_path / "a.zip", MEMBERS)
    (tmp_path / "empty").mkdir()
    extract(archive, tmp_path / "empty")
    with pytest.raises(DownloadError, match="is there already"):
        extract(archive, tmp_path / "empty")
    with pytest.raises(DownloadError, match="no such file"):
        extract(tmp_path / "b.zip", tmp_path / "other")


# the cache folder -----------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_system(monkeypatch):
    """A Linux where nothing is chosen."""
    for name in ("EDGESEG_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return monkeypatch


def test_the_cache_is_where_each_system_keeps_caches(plain_system, tmp_path):
    assert cache_folder("weights") == Path.home() / ".cache" / "edgeseg" / "weights"
    plain_system.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "edgeseg"
    plain_system.setattr(sys, "platform", "win32")
    assert cache_folder() == Path.home() / "AppData" / "Local" / "edgeseg"
    plain_system.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "edgeseg"


@pytest.mark.parametrize("unfit", ["", "caches", "./caches"])
def test_an_empty_or_relative_xdg_cache_home_does_not_count(plain_system, tmp_path, unfit):
    plain_system.chdir(tmp_path)
    plain_system.setenv("XDG_CACHE_HOME", unfit)
    assert cache_folder() == Path.home() / ".cache" / "edgeseg"
    plain_system.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "edgeseg"


def test_one_variable_moves_all_caches(plain_system, tmp_path):
    plain_system.setenv("EDGESEG_CACHE", str(tmp_path))
    plain_system.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert cache_folder("data") == tmp_path / "data"
