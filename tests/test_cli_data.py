"""``edgeseg data`` and the scripts: get from a local server, prepare, check; an error is one line and exit code 2."""

import ast
import contextlib
import dataclasses
import functools
import hashlib
import http.server
import io
import json
import os
import re
import runpy
import shutil
import sys
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from edgeseg import cli
from edgeseg.data.camvid import CAMVID_SOURCES, camvid_frames, camvid_pairs
from edgeseg.data.labels import CAMVID32, VOC, VOID
from edgeseg.data.streets import Streets, write_streets
from edgeseg.data.voc import voc_pairs
from picture_files import save

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("no_flush")


def edgeseg_data(*arguments: object) -> SimpleNamespace:
    """Run ``edgeseg data …`` in this process: its exit code, and all that it printed."""
    printed = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["edgeseg", "data", *map(str, arguments)]),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return SimpleNamespace(exit_code=code, output=printed.getvalue())


def make_folder(root: Path, splits=("",)) -> Path:
    for number, split in enumerate(splits):
        for i in range(3):
            save(root / split / "images" / f"{number}{i}.png", np.full((40, 40, 3), 10, np.uint8))
            save(root / split / "labels" / f"{number}{i}.png", np.full((40, 40), i % 2, np.uint8))
    (root / "classes.json").write_text('{"classes": ["road", "car", "sky"], "void": 255}')
    return root


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """fast.ai's archive in small, as a server would offer it."""
    root = tmp_path_factory.mktemp("archives")
    save(root / "image.png", np.full((72, 96, 3), 90, np.uint8))
    save(root / "label.png", np.full((72, 96), list(CAMVID32).index("Road"), np.uint8))
    (root / "codes.txt").write_text("\n".join(CAMVID32))
    with tarfile.open(root / "camvid.tgz", "w:gz", compresslevel=1) as tar:
        tar.add(root / "codes.txt", "camvid/codes.txt")
        for split in ("train", "val", "test"):
            for frame in camvid_frames(split):
                tar.add(root / "image.png", f"camvid/images/{frame}.png")
                tar.add(root / "label.png", f"camvid/labels/{frame}_P.png")
    return root


@pytest.fixture
def served(archives, tmp_path, monkeypatch):
    """The sources point at a local server, the data home at an empty folder; gives the paths that were asked for."""
    seen: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            seen.append(self.path)
            super().do_GET()

    handler = functools.partial(Handler, directory=str(archives))
    content = (archives / "camvid.tgz").read_bytes()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        archive = dataclasses.replace(
            CAMVID_SOURCES["fastai"].archives[0],
            urls=(f"{url}/gone.tgz", f"{url}/camvid.tgz"),
            size=len(content),
            md5=hashlib.md5(content).hexdigest(),
        )
        fastai = dataclasses.replace(CAMVID_SOURCES["fastai"], archives=(archive,))
        monkeypatch.setitem(CAMVID_SOURCES, "fastai", fastai)
        monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "home"))
        yield seen
        server.shutdown()
        thread.join()


# get and prepare ------------------------------------------------------------------------------------------------------


def test_get_then_prepare_then_check_needs_no_other_word(served, tmp_path):
    got = edgeseg_data("get", "camvid")
    home = tmp_path / "home"
    assert got.exit_code == 0, got.output
    assert f"data home: {home}" in got.output
    assert "state no licence" in got.output
    assert "train 367, val 101, test 233" in got.output
    assert served == ["/gone.tgz", "/camvid.tgz"]
    assert os.listdir(home) == ["camvid_fastai"]  # the archive is gone, nothing half-unpacked stays

    again = edgeseg_data("get", "camvid")
    assert again.exit_code == 0
    assert len(served) == 2  # nothing was fetched a second time

    done = edgeseg_data("prepare", "camvid", home / "camvid_fastai", "--size", "36x48")
    assert done.exit_code == 0, done.output
    assert f"written: {home / 'camvid_48x36'}" in done.output
    assert camvid_pairs(home / "camvid_48x36", "val")[0][1].shape == (36, 48)

    checked = edgeseg_data("check", "camvid", "--json", tmp_path / "report.json")
    assert checked.exit_code == 0, checked.output
    assert "val: 101 pairs, 36x48" in checked.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["splits"]["test"]["samples"] == 233
    assert report["splits"]["test"]["classes"]["Road"] == {"share": 100.0, "pixels": 233 * 48 * 36, "images": 233}


def test_a_wrong_hash_is_one_clear_line_and_leaves_nothing(served, tmp_path, monkeypatch):
    source = CAMVID_SOURCES["fastai"]
    wrong = dataclasses.replace(source, archives=(dataclasses.replace(source.archives[0], md5="0" * 32),))
    monkeypatch.setitem(CAMVID_SOURCES, "fastai", wrong)
    got = edgeseg_data("get", "camvid")
    assert got.exit_code == 2
    assert "where 00000000000000000000000000000000 is right" in got.output
    assert "Traceback" not in got.output
    assert os.listdir(tmp_path / "home") == []


def test_a_folder_that_holds_something_else_is_not_touched(served, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    got = edgeseg_data("get", "camvid", "--to", tmp_path / "mine")
    assert got.exit_code == 2
    assert "something else than camvid_fastai. Remove it, or choose another folder" in got.output
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


# check ----------------------------------------------------------------------------------------------------------------


def test_check_lists_every_problem_and_exits_with_1(tmp_path):
    root = make_folder(tmp_path, ("train", "val"))
    (root / "train" / "images" / "00.png").write_bytes(b"")
    save(root / "train" / "labels" / "02.png", np.full((40, 40), 9, np.uint8))
    save(root / "val" / "labels" / "11.png", np.zeros((40, 41), np.uint8))
    save(root / "val" / "labels" / "12.png", np.full((40, 40), 255, np.uint8))
    checked = edgeseg_data("check", root, "--json", tmp_path / "report.json")
    assert checked.exit_code == 1
    assert [line.split(":")[1].strip() for line in checked.output.splitlines() if "problem:" in line] == [
        "00",
        "02",
        "11",
    ]
    assert "1 images are void throughout: 12" in checked.output
    splits = json.loads((tmp_path / "report.json").read_text())["splits"]
    assert [len(splits[s]["problems"]) for s in ("train", "val")] == [2, 1]


def test_images_in_two_lists_are_a_problem(tmp_path):
    root = make_folder(tmp_path)
    (root / "train.txt").write_text("00\n01\n")
    (root / "val.txt").write_text("01\n02\n")
    checked = edgeseg_data("check", root)
    assert checked.exit_code == 1
    assert "problem: 1 images are in both train and val (01.png)" in checked.output


def test_check_takes_a_class_file_from_elsewhere(tmp_path):
    root = make_folder(tmp_path / "data")
    (root / "classes.json").rename(tmp_path / "mine.json")
    assert edgeseg_data("check", root).exit_code == 2
    assert edgeseg_data("check", root, "--classes", tmp_path / "mine.json").exit_code == 0


def test_check_warns_of_what_is_hardly_meant_and_ends_with_0(tmp_path):
    checked = edgeseg_data("check", make_folder(tmp_path))
    assert checked.exit_code == 0, checked.output
    assert "all: 3 pairs, 40x40" in checked.output
    assert "warning: no pixel of sky" in checked.output


def test_check_reads_own_classes_in_vocs_folders(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "JPEGImages" / f"{name}.jpg", np.full((40, 40, 3), 10, np.uint8))
        save(tmp_path / "SegmentationClass" / f"{name}.png", np.eye(40, dtype=np.uint8))
    (tmp_path / "classes.json").write_text('{"id2label": {"0": "bg", "1": "lane"}}')
    checked = edgeseg_data("check", tmp_path)
    assert checked.exit_code == 0, checked.output
    assert "aeroplane" not in checked.output
    assert re.search(r"lane +2.50 +2\n", checked.output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "nowhere"], "no data set 'nowhere'"),
        (["check", "camvid"], "edgeseg data get camvid"),
        (["check", "{empty}"], "no folder images"),
        (["get", "kitti"], "no data set 'kitti'"),
        (["get", "cityscapes"], "csDownload"),
        (["get", "camvid", "--source", "kaggle"], "there are fastai, segnet, owners"),
        (["prepare", "kitti", "{empty}"], "no data set 'kitti'"),
        (["prepare", "voc", "{empty}"], "no VOC2012"),
        (["prepare", "camvid", "{empty}"], "no CamVid in a known layout"),
        (["prepare", "camvid", "{empty}", "--size", "480"], "height x width"),
        (["prepare", "camvid", "{empty}", "--size", "0x99999"], "32 to 8192"),
        (["prepare", "camvid", "{empty}", "--definition", "C"], "give one of A, B"),
        (["prepare", "camvid"], "prepare camvid: give the folder that holds it"),
        (["prepare", "camvid", "{empty}", "--classes", 20], "no option of camvid 'classes'"),
        (["check", "{empty}", "--definition", "B"], "no option of a folder of pairs 'definition'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, monkeypatch, arguments, words):
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "classes.json").write_text('{"classes": ["a"]}')
    result = edgeseg_data(*(str(a).format(empty=tmp_path / "empty") for a in arguments))
    assert result.exit_code == 2
    last = result.output.strip().splitlines()[-1]  # one line says it all
    assert last.startswith("edgeseg: ")
    assert words in last
    assert "Traceback" not in result.output


# Cityscapes and VOC, on street scenes in their folders ----------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty data home."""
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


def draw(folder: Path, layout: str, count: int) -> dict[str, Streets]:
    scenes = {split: Streets(split, count, size=(32, 64), cache=False) for split in ("train", "val")}
    for part in scenes.values():
        write_streets(part, folder, False, layout=layout)
    return scenes


def test_cityscapes_is_explained_prepared_and_checked(home, tmp_path):
    told = edgeseg_data("get", "cityscapes")
    assert told.exit_code == 2
    last = told.output.strip().splitlines()[-1]
    assert "csDownload leftImg8bit_trainvaltest.zip gtFine_trainvaltest.zip" in last
    assert str(home / "cityscapes") in last

    draw(tmp_path / "part", "cityscapes", 3)
    whole = edgeseg_data("check", tmp_path / "part")
    assert whole.exit_code == 2
    assert "3 frames where 2975 are right" in whole.output or "15 of 18 cities are missing" in whole.output
    assert "--partial" in whole.output
    squashed = edgeseg_data("prepare", "cityscapes", tmp_path / "part", "--size", "64x32", "--partial")
    assert squashed.exit_code == 2
    assert "it would be squashed. Give 64x128" in squashed.output
    done = edgeseg_data(
        "prepare", "cityscapes", tmp_path / "part", "--size", "32x48", "--classes", 20, "--partial", "--stretch"
    )
    assert done.exit_code == 0, done.output
    assert "cityscapes20_48x32" in done.output
    for name in (home / "cityscapes20_48x32", "cityscapes20"):
        checked = edgeseg_data("check", name)
        assert checked.exit_code == 0, checked.output
        assert "train: 3 pairs, 32x48" in checked.output
        assert "background" in checked.output

    (home / "cityscapes20_48x32" / "val.txt").unlink()
    (home / "cityscapes20_48x32" / "val").rename(tmp_path / "gone")
    checked = edgeseg_data("check", "cityscapes", "--json", tmp_path / "report.json")
    assert checked.exit_code == 0, checked.output
    assert list(json.loads((tmp_path / "report.json").read_text())["splits"]) == ["train"]


def test_voc_is_checked_and_sbds_labels_are_prepared(home):
    savemat = pytest.importorskip("scipy.io", reason="needs scipy: pip install 'edgeseg[voc]'").savemat
    scenes = draw(home / "voc_streets", "voc", 4)
    ds = voc_pairs(home / "voc_streets", "val", partial=True)
    for i, (_, label) in enumerate(ds):
        street = scenes["val"][i][1]
        assert np.array_equal(label == VOID, street == VOID)
        assert np.array_equal(label == VOC.index("car"), street == 8)
        assert np.array_equal(label == VOC.index("background"), street < 8)
    checked = edgeseg_data("check", "voc", "--partial")
    assert checked.exit_code == 0, checked.output
    assert "train: 4 pairs, 32x64" in checked.output

    sbd = home / "sbd" / "benchmark_RELEASE" / "dataset"
    (sbd / "cls").mkdir(parents=True)
    shutil.copy(ds.images[0], ds.images[0].with_name("2010_009999.jpg"))
    savemat(sbd / "cls" / "2010_009999.mat", {"GTcls": {"Segmentation": np.zeros((32, 64), np.uint8)}})
    (sbd / "train.txt").write_text("2010_009999\n")
    (sbd / "val.txt").write_text("2010_000000\n")
    done = edgeseg_data("prepare", "voc", "--partial")
    assert done.exit_code == 0, done.output
    assert "SegmentationClassAug" in done.output
    assert 'next: edgeseg data check "voc"' in done.output
    checked = edgeseg_data("check", home / "voc_streets", "--partial")
    assert checked.exit_code == 0, checked.output
    assert "train_aug: 5 pairs, 32x64" in checked.output
    refused = edgeseg_data("check", "voc")
    assert refused.exit_code == 2
    assert "lists 4 names where 1464 are right" in refused.output


# the scripts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", sorted((ROOT / "data_scripts").glob("*.py")), ids=lambda path: path.stem)
def test_a_script_takes_the_options_that_its_first_lines_name(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert end.value.code == 0
    first = ast.get_docstring(ast.parse(script.read_text())) or ""
    assert set(re.findall(r"--size (\w+)", first)) <= {"HxW"}  # height first, as everywhere
    options = set(re.findall(r"--[a-z]+", first))
    assert options <= set(re.findall(r"--[a-z]+", capsys.readouterr().out))
