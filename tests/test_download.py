"""Downloads against a server that cuts, lies and refuses; files that stay whole."""

import errno
import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

import edgeseg.files as module
from edgeseg.files import DownloadError, atomic_write, fetch

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


def get(urls, target, **options):
    return fetch(urls, target, progress=False, backoff=0.001, timeout=5, **options)


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


# download -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "proof", [{}, {"size": len(BODY)}, {"md5": MD5}, {"sha256": SHA256.upper(), "size": len(BODY)}]
)
def test_a_file_arrives_whole_and_leaves_no_part(server, tmp_path, proof):
    target = tmp_path / "new folder" / "file.bin"
    assert get(server.url, target, **proof) == target
    assert target.read_bytes() == BODY
    assert os.listdir(target.parent) == ["file.bin"]


def test_a_file_that_is_there_and_right_is_not_fetched_again(server, tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(BODY)
    get(server.url, target, md5=MD5)
    assert server.seen == []


def test_a_file_that_is_there_and_wrong_is_replaced(server, tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    get(server.url, target, md5=MD5)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("proof", [{}, {"md5": MD5}])
def test_a_cut_download_goes_on_where_it_stopped(server, tmp_path, proof):
    server.cuts = [100_000, 200_000]
    get(server.url, tmp_path / "file.bin", **proof)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-", "bytes=300000-"]


def test_a_cut_download_of_a_server_without_ranges_starts_over(server, tmp_path):
    server.cuts, server.ranges = [100_000], False
    get(server.url, tmp_path / "file.bin", md5=MD5)
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_a_part_left_by_an_earlier_run_is_taken_up(server, tmp_path):
    part_of(tmp_path / "file.bin").write_bytes(BODY[:1000])
    get(server.url, tmp_path / "file.bin", sha256=SHA256)
    assert server.seen == [("file", "bytes=1000-")]
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_without_a_hash_an_old_part_is_not_trusted(server, tmp_path):
    part_of(tmp_path / "file.bin").write_bytes(b"x" * 1000)
    get(server.url, tmp_path / "file.bin", size=len(BODY))
    assert (tmp_path / "file.bin").read_bytes() == BODY


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
    server.cuts = [100_000, 0, 0]
    get([server.url, server.url + "/mirror"], tmp_path / "file.bin", md5=MD5, retries=2)
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
    server.errors_first = 3
    get(server.url, tmp_path / "file.bin", md5=MD5)
    assert len(server.seen) == 4


def test_a_server_that_always_cuts_at_once_is_given_up_and_the_part_kept(server, tmp_path):
    server.cuts = [1000] + [0] * 50
    with pytest.raises(DownloadError, match=r"3 times in a row \(the connection was cut after 1000 of 512000"):
        get(server.url, tmp_path / "file.bin", md5=MD5, retries=3)
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
        get("http://127.0.0.1:9/file", tmp_path / "file.bin", retries=2)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/x", "data.tgz"])
def test_only_http_addresses_are_fetched(url, tmp_path):
    with pytest.raises(DownloadError, match="only http"):
        get(url, tmp_path / "file.bin")


def test_too_little_space_is_noticed_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match="512 KB are needed for file.bin and 1 KB are free"):
        get(server.url, tmp_path / "file.bin")
    assert os.listdir(tmp_path) == []


def run_on_full_disk(folder: Path, megabytes: float, code: str) -> str:
    """Run Python code with a real file system of that size mounted at ``folder``; skip where that is not permitted."""
    folder.mkdir()
    mount = f'mount -t tmpfs -o size={int(megabytes * 2**20)} tmpfs "{folder}"'
    script = f'{mount} || exit 77; exec "{sys.executable}" -c "$CODE"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env={**os.environ, "CODE": code},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("mounting a small file system is not permitted here")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="needs root on Linux to mount a small file system"
)
def test_a_disk_that_fills_up_leaves_a_part_and_a_clear_message(server, tmp_path):
    code = f"""
import os, edgeseg.files as d
from pathlib import Path
d.DISK_MARGIN = -10**9  # as if another program had filled the disk after the check
folder = Path({str(tmp_path / "disk")!r})
try:
    d.fetch({server.url!r}, folder / "file.bin", md5={MD5!r}, progress=False)
except d.DownloadError as error:
    print(error)
print(sorted(p.name for p in folder.iterdir()))
(folder / "file.bin.part").unlink()
(folder / "old.txt").write_text("old")
try:
    with d.atomic_write(folder / "old.txt") as file:
        file.write(bytes(10**6))
except OSError as error:
    print(d.no_space(error), (folder / "old.txt").read_text(), os.listdir(folder))
"""
    out = run_on_full_disk(tmp_path / "disk", 0.25, code).splitlines()
    assert "the disk is full after" in out[0]
    assert "run the same command again" in out[0]
    assert out[1:] == ["['file.bin.part']", "True old ['old.txt']"]


def test_a_full_disk_while_writing_keeps_the_part_for_the_next_run(server, tmp_path, monkeypatch):
    """The same without root: the disk is made to refuse the flush, because no small disk can be mounted."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        with pytest.raises(DownloadError, match="the disk is full after 512 KB of file.bin"):
            get(server.url, tmp_path / "file.bin", md5=MD5)
    assert os.listdir(tmp_path) == ["file.bin.part"]
    get(server.url, tmp_path / "file.bin", md5=MD5)
    assert len(server.seen) == 1  # the part was whole: only the check was missing


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
