"""Live pictures: legend, page and recording."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from contextlib import closing
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.labels import CAMVID, CITYSCAPES, ClassTable
from edgeseg.live.display import Page, Painter, Recorder
from edgeseg.live.frames import VideoSource, open_source
from frame_makers import TABLE, GreySource, watch_source

# pictures


def blank(size):
    return np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)


def colours(picture):
    packed = np.unique(picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32))
    return {(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in packed}


@pytest.mark.parametrize("size", [(360, 480), (97, 33), (1080, 1920)])
@pytest.mark.parametrize("table", [CAMVID, CITYSCAPES], ids=lambda table: table.name)
def test_the_legend_names_the_classes_in_sight_and_no_other(size, table):
    painter = Painter(table, size)
    image, label = blank(size)
    label[:] = 255
    bare = painter.paint(image, label, {255: 1.0}, "1.0 FPS")
    named = painter.paint(image, label, {3: 0.5, 7: 0.4999, 9: 0.0001}, "1.0 FPS")
    assert bare.shape == named.shape
    assert bare.shape[0] % 2 == bare.shape[1] % 2 == 0
    new = colours(named) - colours(bare)
    assert {tuple(table.colors[3]), tuple(table.colors[7])} <= new
    assert tuple(table.colors[9]) not in new - {tuple(table.colors[3]), tuple(table.colors[7])}


def test_a_class_keeps_its_place_in_the_legend():
    painter = Painter(CAMVID, (360, 480))
    image, label = blank((360, 480))
    alone = painter.paint(image, label, {5: 1.0}, "")
    among = painter.paint(image, label, {0: 0.3, 5: 0.4, 10: 0.3}, "")
    where = (alone == CAMVID.colors[5]).all(2)
    assert where.sum() > 50
    assert (among[where] == CAMVID.colors[5]).all()


def test_many_classes_with_long_names_fit():
    colors = tuple((i + 50, 2 * i, 3 * i) for i in range(60))
    table = ClassTable("many", tuple(f"{'very ' * 30}long {i}" for i in range(60)), colors)
    picture = Painter(table, (120, 160)).paint(*blank((120, 160)), {i: (i + 1) / 1830 for i in range(60)}, "x" * 500)
    assert picture.shape[1] == 320
    shown = colours(picture)
    assert colors[59] in shown  # the largest are named
    assert colors[0] not in shown


def test_a_recording_can_be_played_and_keeps_the_sources_time(tmp_path):
    av = pytest.importorskip("av")
    with closing(Recorder(tmp_path / "new" / "out.mp4")) as recorder:
        summary = watch_source(GreySource(30, (120, 322)), recorder=recorder, every_frame=True)
    assert summary.stages["record"]["median"] > 0
    with av.open(str(tmp_path / "new" / "out.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 30
    assert frames[-1].time - frames[0].time == pytest.approx(29 / 25, abs=0.01)
    image = frames[-1].to_ndarray(format="rgb24")
    want = 0.45 * np.array([200, 200, 200]) + 0.55 * np.array(TABLE.colors[1])
    np.testing.assert_allclose(image[10:50, 10:300].mean((0, 1)), want, atol=6)


def test_an_interrupted_recording_can_be_played(tmp_path):
    pytest.importorskip("av")
    recorder = Recorder(tmp_path / "out.mp4")
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    for number in range(120):
        recorder.write(picture, number / 25)
    content = (tmp_path / "out.mp4").read_bytes()  # what is on the disk when the power fails
    recorder.close()
    (tmp_path / "cut.mp4").write_bytes(content)
    assert sum(1 for _ in VideoSource(str(tmp_path / "cut.mp4"), fps=25).frames()) >= 50


def test_a_recording_says_what_it_cannot_do(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(ValueError, match="out.gif: a recording is .mp4"):
        Recorder(tmp_path / "out.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="out.mp4: cannot be written.*another place"):
        Recorder(tmp_path / "file" / "out.mp4")
    Recorder(tmp_path / "none.mp4").close()
    assert not (tmp_path / "none.mp4").exists()


# the page


def get(page, path, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(page.url).port, timeout=60)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


def read_jpeg(stream):
    """The next part of a multipart answer."""
    while (line := stream.readline()) != b"\r\n":
        if line.startswith(b"Content-Length"):
            length = int(line.partition(b":")[2])
    picture = np.asarray(Image.open(io.BytesIO(stream.read(length))))
    assert (stream.readline(), stream.readline()) == (b"\r\n", b"--frame\r\n")
    return picture


def test_the_page_serves_pictures_while_they_come_and_stops():
    threads = threading.active_count()
    with closing(Page(0, "street & co")) as page:
        assert b"<title>street &amp; co" in get(page, "/").read()
        assert get(page, "/else").status == 404
        assert get(page, "/", "evil.example:80").status == 403
        assert page.token == ""
        with pytest.raises(OSError, match="port .* cannot be used.*--serve 0"):
            Page(int(page.url.rpartition(":")[2]))
        assert not page.watched
        page.show(np.full((48, 64, 3), 50, np.uint8))
        stream = get(page, "/stream")
        assert "multipart" in stream.headers["Content-Type"]
        assert stream.readline() == b"--frame\r\n"
        assert read_jpeg(stream).shape == (48, 64, 3)
        assert page.watched
        page.show(np.full((48, 64, 3), 200, np.uint8))
        np.testing.assert_allclose(read_jpeg(stream), 200, atol=2)
    assert stream.read() == b""
    assert not page.watched
    with pytest.raises(ConnectionError):
        get(page, "/")
    assert threading.active_count() == threads


def test_beyond_this_machine_nobody_sees_anything_without_the_token():
    with closing(Page(0, host="0.0.0.0")) as page:
        port = urlsplit(page.url).port
        assert page.url == f"http://{socket.gethostname()}:{port}/?token={page.token}"
        assert len(page.token) >= 20
        for path in ("/", "/stream", "/?token=", f"/?token={page.token[:-1]}", "/stream?token=x", "/?token=é"):
            assert get(page, quote(path, "/?=")).status == 403
        text = get(page, f"/?token={page.token}", "board:8080").read().decode()
        assert f'src="stream?token={page.token}"' in text
        page.show(np.full((48, 64, 3), 50, np.uint8))
        stream = get(page, f"/stream?token={page.token}")
        assert stream.readline() == b"--frame\r\n"
        assert read_jpeg(stream).shape == (48, 64, 3)
        with closing(Page(0, host="0.0.0.0")) as other:
            assert other.token != page.token


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(OSError, match="--host an address of this machine"):
        Page(0, host="192.0.2.1")


def test_the_page_of_one_program_is_a_live_source_of_another(monkeypatch, capsys):
    pytest.importorskip("av")
    monkeypatch.setattr("edgeseg.live.frames._LONGEST_PAUSE", 0)
    page, stop = Page(0), threading.Event()

    def send():
        while not stop.wait(0.01):
            page.show(np.full((96, 128, 3), 200, np.uint8))
        page.close()

    sender = threading.Thread(target=send)
    sender.start()
    source = open_source(page.url + "/stream", (48, 64), stall=1)
    summary = watch_source(source, lines=lambda line: line["frame"] < 6 or stop.set(), stall=1, tries=1)
    sender.join()
    assert summary.frames > 1
    assert not summary.ok
    assert "Given up after 1 try" in summary.ended
    assert source.live
