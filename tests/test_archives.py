"""Archives: sound ones unpack whole; damaged ones and those that try to escape leave nothing."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgeseg.files import DownloadError, extract

FILES = {"top/a.txt": b"one", "top/sub/b.bin": bytes(1000), "c.txt": b""}


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
        make_zip(archive, FILES)
    else:
        make_tar(archive, FILES, "w:" + kind[4:], empty={"type": tarfile.DIRTYPE})
    out = extract(archive, tmp_path / "out")
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()} == FILES
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
    with pytest.raises(DownloadError, match="unpacks to more than 1 MB"):
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
    archive = make_zip(tmp_path / "a.zip", FILES)
    (tmp_path / "empty").mkdir()
    extract(archive, tmp_path / "empty")
    with pytest.raises(DownloadError, match="is there already"):
        extract(archive, tmp_path / "empty")
    with pytest.raises(DownloadError, match="no such file"):
        extract(tmp_path / "b.zip", tmp_path / "other")
