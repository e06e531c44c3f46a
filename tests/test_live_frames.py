"""Live frames: what every source gives, what is counted as missing, and one clear line when there is nothing."""

from __future__ import annotations

import os
import sys
import threading
import wave
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.live.frames import Capture, SourceError, VideoSource, open_source, without_password
from frame_makers import cut, damage, make_video, network_camera


def read(source):
    """All frames, and the error that ended them."""
    frames = []
    try:
        for frame in source.frames():
            frames.append(frame)
    except SourceError as error:
        return frames, str(error)
    return frames, ""


@pytest.fixture
def serve():
    """Serves with a handler class until the test ends; returns the address."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# the drive and folders


def test_the_drive_is_endless_and_keeps_its_clock():
    source = open_source("streets", (64, 96), fps=10, seed=3)
    frames = list(islice(source.frames(), 3))
    assert [frame.time for frame in frames] == [0.0, 0.1, 0.2]
    assert all(
        frame.image.shape == (64, 96, 3) and frame.image.dtype == np.uint8 and frame.work > 0 for frame in frames
    )
    assert source.paced
    assert not source.live
    assert not open_source("streets", (64, 96), fps=0).paced


def test_a_folder_gives_its_pictures_in_natural_order(tmp_path):
    for number in (10, 2, 1):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    frames, error = read(open_source(str(tmp_path)))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
    assert error == ""
    assert read(open_source(str(tmp_path), (60, 80)))[0][0].image.shape == (60, 80, 3)
    assert len(read(open_source(str(tmp_path / "frame2.png")))[0]) == 1


def test_a_broken_picture_is_named(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    frames, error = read(open_source(str(tmp_path)))
    assert len(frames) == 1
    assert "b.png" in error


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nowhere.mp4", "nowhere.mp4: no such file.*camera's number"),
        (".", "holds no pictures.*Give the folder"),
    ],
)
def test_a_word_that_names_nothing_gets_a_cure(word, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=message):
        open_source(word)


@pytest.mark.parametrize("fps", [-1, 2000])
def test_an_impossible_pace_is_refused(fps):
    with pytest.raises(ValueError, match="fps"):
        open_source("streets", fps=fps)


# video files


def test_a_video_gives_every_frame_with_its_time(tmp_path):
    source = open_source(str(make_video(tmp_path / "a.mp4", 30)))
    frames, error = read(source)
    assert error == ""
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(30) / 25, atol=1e-3)
    np.testing.assert_allclose([frame.image[10, 10].mean() for frame in frames], 4 * np.arange(30), atol=6)
    assert (source.live, source.paced) == (False, True)


def test_frames_are_scaled_to_the_wished_size_and_another_pace(tmp_path):
    frames, _ = read(open_source(str(make_video(tmp_path / "a.mp4", 5)), (64, 64), fps=100))
    assert {frame.image.shape for frame in frames} == {(64, 64, 3)}
    assert [frame.time for frame in frames] == [0.0, 0.01, 0.02, 0.03, 0.04]


@pytest.mark.parametrize("size", [None, (120, 60)])
def test_a_video_that_lies_on_its_side_is_turned_upright(tmp_path, size):
    av = pytest.importorskip("av")
    if not hasattr(av.VideoFrame, "rotation"):
        pytest.skip("this PyAV does not tell a frame's rotation")
    path = make_video(tmp_path / "phone.mp4", 5)
    content = path.read_bytes()
    upright = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()  # the track's display matrix
    turned = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()  # a quarter turn clockwise
    track = content.index(b"tkhd")
    assert upright in content[track:]
    path.write_bytes(content[:track] + content[track:].replace(upright, turned, 1))
    image = read(open_source(str(path), size))[0][4].image
    assert image.shape == ((*size, 3) if size else (128, 96, 3))
    height, width = image.shape[:2]
    assert image[: height // 5].mean() < 25  # what was left is on top now, grey 16
    assert image[height // 2 :, : width // 3].mean() > 60  # what was below is on the left, noise


def test_a_video_without_its_index_cannot_be_opened(tmp_path):
    frames, error = read(open_source(str(cut(make_video(tmp_path / "a.mp4"), 0.6))))
    assert frames == []
    assert "a.mp4: cannot be opened" in error
    assert "Copy or record it again" in error


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", None), ("a.avi", None)])
def test_a_truncated_video_gives_what_is_there_and_then_says_so(tmp_path, name, options):
    path = cut(make_video(tmp_path / name, options=options), 0.6)
    frames, error = read(open_source(str(path)))
    assert 20 <= len(frames) <= 35
    assert f"{name}: ended after {len(frames)} frames" in error
    assert "truncated" in error


def test_whole_videos_of_every_container_are_not_called_truncated(tmp_path):
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    for name, options in (("a.mp4", None), ("b.mp4", fragments), ("a.mkv", None), ("a.avi", None), ("a.ts", None)):
        source = open_source(str(make_video(tmp_path / name, options=options)))
        frames, error = read(source)
        assert (len(frames), error, source.missing) == (50, "", 0)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.avi", "a.mkv"])
def test_frames_that_damage_took_away_are_counted(tmp_path, name):
    source = open_source(str(damage(make_video(tmp_path / name, 200))))
    frames, error = read(source)
    assert error == ""
    assert len(frames) + source.missing == 200
    assert (source.missing > 0) == (name != "a.avi")  # there the damage hits pixels, but no beginning of a frame


@pytest.mark.parametrize(
    ("name", "codec", "places"),
    [("a.mp4", "libx264", 40), ("a.ts", "libx264", 40), ("a.avi", "mpeg4", 20), ("a.mkv", "libx264", 20)],
)
def test_a_badly_damaged_video_says_how_many_frames_it_lost(tmp_path, name, codec, places):
    source = open_source(str(damage(make_video(tmp_path / name, 200, codec=codec), places)))
    frames, _ = read(source)
    assert 20 < len(frames) < 198
    assert len(frames) + source.missing == 200


def test_a_truncated_video_counts_what_is_not_there(tmp_path):
    for name in ("a.mkv", "a.avi"):
        source = open_source(str(cut(make_video(tmp_path / name, 200), 0.6)))
        frames, error = read(source)
        assert "truncated" in error
        assert len(frames) + source.missing == pytest.approx(200, abs=1)


def test_packets_lost_on_the_way_are_counted(tmp_path):
    path = make_video(tmp_path / "a.ts", 200)
    content, packet = bytearray(path.read_bytes()), 188
    for start in range(200, 2000, 200):
        del content[start * packet : (start + 40) * packet]
    path.write_bytes(content)
    source = open_source(str(path))
    frames, error = read(source)
    assert error == ""
    assert source.missing > 9
    assert len(frames) + source.missing == 200


def test_a_jump_of_the_clock_is_no_gap(tmp_path):
    source = open_source(str(make_video(tmp_path / "a.mkv", 100, times=[*range(50), *range(1000, 1050)])))
    assert len(read(source)[0]) == 100
    assert source.missing == 0


def test_a_rate_that_varies_leaves_no_gaps(tmp_path):
    times = np.random.default_rng(0).integers(1, 4, 100).cumsum().tolist()
    source = open_source(str(make_video(tmp_path / "a.mkv", 100, times=times)))
    frames, error = read(source)
    assert (len(frames), error, source.missing) == (100, "", 0)


def test_a_video_trimmed_without_encoding_is_whole(tmp_path):
    av = pytest.importorskip("av")
    make_video(tmp_path / "long.mp4", 100)
    with (
        av.open(str(tmp_path / "long.mp4")) as whole,
        av.open(str(tmp_path / "short.mp4"), "w", options={"avoid_negative_ts": "disabled"}) as trimmed,
    ):
        stream = trimmed.add_stream_from_template(whole.streams.video[0])
        start = round(1.2 / whole.streams.video[0].time_base)  # an edit list will hide the frames before it
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, stream
                trimmed.mux(packet)
    source = open_source(str(tmp_path / "short.mp4"))
    frames, error = read(source)
    assert (len(frames), error, source.missing) == (70, "", 0)


def test_files_that_are_no_video_are_named(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "letter.mp4").write_text("dear video")
    assert "letter.mp4: cannot be opened" in read(open_source(str(tmp_path / "letter.mp4")))[1]
    with wave.open(str(tmp_path / "song.wav"), "wb") as song:
        song.setparams((1, 2, 8000, 0, "NONE", ""))
        song.writeframes(bytes(16000))
    assert "song.wav: holds no video" in read(open_source(str(tmp_path / "song.wav")))[1]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux tells them")
def test_a_video_left_early_is_closed(tmp_path):
    path = str(make_video(tmp_path / "a.mp4"))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with closing(open_source(path).frames()) as frames:
            next(frames)
    assert len(os.listdir("/proc/self/fd")) == before


# cameras and addresses


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/video is Linux's")
@pytest.mark.parametrize("word", ["97", "/dev/video97"])
def test_an_absent_camera_is_named_with_what_to_check(word):
    pytest.importorskip("av")
    _, error = read(open_source(word))
    assert word in error
    assert "plugged in" in error


def test_a_device_gives_live_frames():
    av = pytest.importorskip("av")
    if "lavfi" not in av.formats_available:
        pytest.skip("this FFmpeg has no test device")
    source = VideoSource("testsrc=size=128x96:rate=25", (48, 64), device="lavfi")
    with closing(source.frames()) as frames:
        images = [frame.image for frame in islice(frames, 3)]
    assert {image.shape for image in images} == {(48, 64, 3)}
    assert images[0].std() > 20
    assert (source.live, source.paced) == (True, False)


def test_passwords_stay_out_of_names_and_messages():
    assert without_password("rtsp://me:s@cret@host:554/a/b") == "rtsp://***@host:554/a/b"
    assert without_password("http://host/video?user=me&pwd=secret") == "http://host/video?***"
    assert without_password("http://host/a@b") == "http://host/a@b"
    pytest.importorskip("av")
    source = open_source("rtsp://me:secret@127.0.0.1:9/x", stall=2)
    _, error = read(source)
    assert source.name == "rtsp://***@127.0.0.1:9/x"
    assert "rtsp://***@127.0.0.1:9/x: cannot be opened" in error
    assert "secret" not in error
    assert "address, network and sender" in error


def test_a_file_on_a_server_is_a_file(tmp_path, serve):
    make_video(tmp_path / "a.mp4", options={"movflags": "faststart"})

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    source = open_source(serve(partial(Quiet, directory=str(tmp_path))) + "/a.mp4")
    frames, error = read(source)
    assert (len(frames), error) == (50, "")
    assert (source.live, source.paced) == (False, True)


def test_a_stream_that_falls_silent_is_given_up_in_time(tmp_path, serve):
    content = make_video(tmp_path / "a.ts", 300).read_bytes()
    silence, spoke_first = threading.Event(), threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self.wfile.write(content)
            if not silence.wait(60):
                spoke_first.set()

        def log_message(self, *args):
            pass

    source = open_source(serve(Silent), stall=0.5)
    frames, error = read(source)
    silence.set()
    assert len(frames) > 200
    assert "no data for 0.5 s" in error
    assert not spoke_first.is_set()
    assert source.live


def test_a_network_cameras_pictures_come_at_once_and_in_order():
    pytest.importorskip("av")
    with network_camera() as (address, _):
        source = open_source(address, (24, 32), stall=5)
        frames, error = read(source)
    assert source.live
    assert {frame.image.shape for frame in frames} == {(24, 32, 3)}
    greys = [float(frame.image.mean()) for frame in frames]
    assert greys[:6] == pytest.approx(range(0, 24, 4), abs=2)
    assert len(frames) <= 7  # half a picture may be shown as one, grey where it ends
    assert error == "" or "secret" not in error


def test_a_network_camera_that_is_cut_off_is_opened_again_and_given_up_when_it_is_gone(capsys):
    pytest.importorskip("av")
    greys = []

    def follow(capture: Capture) -> None:
        while True:
            if (frame := capture.take()) is not None:
                greys.append(float(frame.image.mean()))

    with (
        network_camera() as (address, camera),
        closing(Capture(open_source(address), tries=2)) as capture,
        pytest.raises(SourceError, match=r"\*\*\*@127.*Given up after 2 tries to reconnect"),
    ):
        follow(capture)
    assert camera.visitors == 3
    assert min(greys) < 22  # of the first connection
    assert any(58 < grey < 82 for grey in greys)  # and of the second
    told = capsys.readouterr().err
    assert "(try 1 of 2)" in told
    assert "(try 2 of 2)" in told
    assert "secret" not in told


def test_a_network_camera_whose_password_is_wrong_says_so_without_it():
    pytest.importorskip("av")
    with network_camera() as (address, _):
        frames, error = read(open_source(address.replace("secret", "wrongword"), stall=5))
    assert frames == []
    assert "cannot be opened" in error
    assert "401" in error or "authorization" in error.lower()
    assert "wrongword" not in error


def test_without_pyav_the_pip_line_is_given(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"0")
    with pytest.raises(ImportError, match='pip install "edgeseg\\[video\\]"'):
        open_source(str(tmp_path / "a.mp4"))


def test_cameras_are_opened_by_the_systems_own_name(monkeypatch):
    pytest.importorskip("av")
    seen = {}
    for system, word in (("linux", "1"), ("darwin", "1"), ("win32", "video=Webcam")):
        monkeypatch.setattr(sys, "platform", system)
        source = open_source(word, fps=15)
        seen[system] = (source._address, source._device, source._options, source.live)
    assert seen["linux"] == ("/dev/video1", "v4l2", {"framerate": "15"}, True)
    assert seen["darwin"][:2] == ("1", "avfoundation")
    assert seen["win32"][:2] == ("video=Webcam", "dshow")
    with pytest.raises(ValueError, match="video=NAME"):
        open_source("0")


# what a source is asked for, and a board's own camera


@pytest.mark.parametrize(
    ("text", "option", "message"),
    [
        ("streets", "video_size=96x128", "streets has no option 'video_size'; it has none"),
        ("0", "rtsp_transport=udp", "0 has no option 'rtsp_transport'; it has input_format, video_size"),
        ("0", "video_siz=96x128", "did you mean video_size|near: video_size"),
        ("rtsp://me:secret@a/b", "rtsp_transport=http", "rtsp_transport=http: give one of tcp, udp"),
        ("0", "video_size=big", "big"),
        ("csi://first", "", "csi://first: give the number of the camera, e.g. csi://0"),
    ],
)
def test_an_option_that_a_source_does_not_have_is_refused(text, option, message):
    pytest.importorskip("av")
    with pytest.raises(ValueError, match=message) as error:
        open_source(text, options=[option] if option else [])
    assert "secret" not in str(error.value)


@pytest.mark.skipif(sys.platform != "linux", reason="cameras have other names")
def test_options_reach_ffmpeg_in_its_own_words():
    pytest.importorskip("av")
    camera = open_source("0", (48, 64), 30, options=["input_format=mjpeg", "video_size=720x1280"])
    assert camera._options == {"framerate": "30", "input_format": "mjpeg", "video_size": "1280x720"}
    assert open_source("rtsp://a/b", options=["rtsp_transport=udp"])._options["rtsp_transport"] == "udp"
    assert open_source("rtsp://a/b")._options["rtsp_transport"] == "tcp"


STAND_IN = """#!{python}
import pathlib, shutil, sys, time
pathlib.Path({told!r}).write_text(" ".join(sys.argv[1:]))
with open({video!r}, "rb") as file:
    shutil.copyfileobj(file, sys.stdout.buffer)
sys.stdout.flush()
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a first line for Unix")
@pytest.mark.parametrize(("program", "form"), [("rpicam-vid", "mjpeg"), ("gst-launch-1.0", "yuv4mpegpipe")])
def test_a_boards_own_camera_is_read_through_its_program_which_ends_with_it(tmp_path, monkeypatch, program, form):
    av = pytest.importorskip("av")
    video = tmp_path / "video"
    with av.open(str(video), "w", format=form) as container:
        stream = container.add_stream("mjpeg" if form == "mjpeg" else "wrapped_avframe", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if form == "mjpeg" else "yuv420p"
        for k in range(400):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * (k % 50), np.uint8), "rgb24"))
            )
        container.mux(stream.encode(None))
    script = tmp_path / "bin" / program
    script.parent.mkdir()
    script.write_text(STAND_IN.format(python=sys.executable, told=str(tmp_path / "told"), video=str(video)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    source = open_source("csi://1", (48, 64), fps=25)
    frames = source.frames()
    try:
        shown = [next(frames).image for _ in range(8)]
    finally:
        frames.close()
    assert [image.shape for image in shown] == [(48, 64, 3)] * 8
    assert [round(float(image.mean())) for image in shown] == pytest.approx([5 * k for k in range(8)], abs=6)
    told = (tmp_path / "told").read_text()
    assert "--camera 1 " in told or "sensor-id=1 " in told
    assert source.live


def test_without_a_boards_program_the_message_names_both(monkeypatch, tmp_path):
    pytest.importorskip("av")
    monkeypatch.setenv("PATH", str(tmp_path))
    _, error = read(open_source("csi://0"))
    assert "csi://0: neither rpicam-vid nor gst-launch-1.0 is installed" in error
