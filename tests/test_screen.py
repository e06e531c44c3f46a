"""Live pictures: legend, page, recording and notebook viewer."""

from __future__ import annotations

import http.client
import sys
import threading
import time

import numpy as np
import pytest

from edgeseg.data.labels import CAMVID, CITYSCAPES, ClassTable
from edgeseg.live.display import Page, Painter, Recorder
from edgeseg.live.frames import VideoSource, open_source
from edgeseg.live.loop import watch
from frame_makers import TABLE, Blinks, split

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
    with Recorder(tmp_path / "new" / "out.mp4") as recorder:
        summary = watch(Blinks(30, size=(120, 322)), split, TABLE, recorder=recorder, every_frame=True)
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
    assert sum(1 for _ in VideoSource(str(tmp_path / "cut.mp4"), fps=25).shots()) >= 50


def test_a_recording_says_what_it_cannot_do(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(ValueError, match="out.gif: a recording is .mp4"):
        Recorder(tmp_path / "out.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="out.mp4: cannot be written.*another place"):
        Recorder(tmp_path / "file" / "out.mp4")
    with Recorder(tmp_path / "none.mp4"):
        pass
    assert not (tmp_path / "none.mp4").exists()


# the page


def get(page, path, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", int(page.url.rpartition(":")[2]), timeout=5)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


def test_the_page_serves_pictures_while_they_come_and_stops():
    threads = threading.active_count()
    stop = threading.Event()
    with Page(0) as page:
        runner = threading.Thread(
            target=watch, args=(Blinks(pause=0.01), split, TABLE), kwargs={"screens": [page], "stop": stop}
        )
        runner.start()
        assert b"<img" in get(page, "/").read()
        assert get(page, "/frame.jpg").read()[:2] == b"\xff\xd8"
        stream = get(page, "/stream")
        assert "multipart" in stream.headers["Content-Type"]
        assert stream.read(5000).count(b"Content-Type: image/jpeg") >= 1
        assert get(page, "/else").status == 404
        assert get(page, "/frame.jpg", "evil.example:80").status == 403
        with pytest.raises(OSError, match="port .* cannot be used.*--serve 0"):
            Page(int(page.url.rpartition(":")[2]))
        stop.set()
        runner.join()
        stream.close()
    with pytest.raises(ConnectionError):
        get(page, "/")
    assert threading.active_count() == threads


def test_the_page_of_one_program_is_a_live_source_of_another(monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setattr("edgeseg.live.frames._LONGEST_PAUSE", 0.02)
    page, stop = Page(0), threading.Event()
    sender = threading.Thread(
        target=watch, args=(Blinks(pause=0.01), split, TABLE), kwargs={"screens": [page], "stop": stop}
    )
    sender.start()
    source = open_source(page.url + "/stream", (48, 64), stall=1)
    closer = threading.Thread(target=page.close)
    summary = watch(
        source,
        split,
        TABLE,
        lines=lambda line: closer.start() if line["frame"] >= 6 and not closer.ident else None,
        say=lambda line: None,
        stall=1,
        tries=1,
    )
    stop.set()
    sender.join()
    closer.join()
    assert summary.frames > 1
    assert not summary.ok
    assert "Given up after 1 try" in summary.ended


# notebook


def test_the_viewer_shows_pictures_until_it_is_stopped():
    pytest.importorskip("ipywidgets", reason='needs ipywidgets: pip install "edgeseg[course]"')
    from edgeseg.deploy.viewer import Viewer

    viewer = Viewer(lambda: Blinks(pause=0.005), split, TABLE)
    first = viewer._image.value
    viewer._button.click()
    other = Viewer(lambda: Blinks(pause=0.005), split, TABLE)
    deadline = time.monotonic() + 60
    while viewer._image.value == first and time.monotonic() < deadline:
        time.sleep(0.01)
    assert viewer._image.value[:2] == b"\xff\xd8"
    assert viewer.running
    other.start()
    assert not viewer.running  # one camera, one viewer
    other._button.click()
    assert not other.running
    assert viewer.summary.ok
    assert "stopped as asked" in viewer.text
    assert viewer._button.description == "Start"


def test_the_viewer_says_what_went_wrong():
    pytest.importorskip("ipywidgets")
    from edgeseg.deploy.viewer import Viewer

    viewer = Viewer("nowhere.mp4", split, TABLE)
    viewer.start()
    viewer._thread.join()
    assert "nowhere.mp4: no such file" in viewer.text


def test_without_ipywidgets_the_pip_line_is_given(monkeypatch):
    from edgeseg.deploy.viewer import Viewer

    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match='pip install "edgeseg\\[course\\]"'):
        Viewer("streets", split, TABLE)
