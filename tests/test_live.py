"""Live segmentation: latency stays bounded, lost sources come back or end with a clear line, nothing leaks."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
import tracemalloc

import pytest
import torch
import typer
from typer.testing import CliRunner

from edgeseg.cli.live import live
from edgeseg.inference import Segmenter
from edgeseg.live.display import Recorder
from edgeseg.live.frames import SourceError, open_source
from edgeseg.live.loop import watch
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta
from frame_makers import TABLE, Blinks, Looks, cut, make_video, split


class Hangs(Blinks):
    """A driver that never comes back, until the test lets it."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()
        self.back = False

    def shots(self):
        yield from Blinks(2).shots()
        self.free.wait(60)
        self.back = True


class Counts(Blinks):
    """Knows how many frames it has made."""

    made = 0

    def shots(self):
        for shot in super().shots():
            self.made += 1
            yield shot


class Waits(Blinks):
    """Makes a frame when the last one has been seen."""

    def __init__(self, count):
        super().__init__(count)
        self.seen = threading.Semaphore(0)

    def shots(self):
        for shot in super().shots():
            yield shot
            self.seen.acquire(timeout=60)


def slowly(seconds):
    def segment(image):
        time.sleep(seconds)
        return split(image)

    return segment


def toy_segmenter():
    return Segmenter(create_model("cross_cbam_m", 2, width=8, aspp_channels=16), (0.5,) * 3, (0.2,) * 3, table=TABLE)


# latency and dropping


def test_latency_stays_bounded_when_the_source_is_faster_than_the_network():
    source, lines, made = Counts(pause=0.001), [], []

    def segment(image):
        until = source.made + 5
        while source.made < until:
            time.sleep(0.001)
        made.append(source.made)
        return split(image)

    watch(source, segment, TABLE, lines=lines.append, frames=20)
    numbers = [line["frame"] for line in lines]
    # the next frame is the newest: counted from 0, and the very last may still be on its way
    assert all(number >= before - 2 for number, before in zip(numbers[1:], made[-len(lines) :], strict=False))
    assert numbers == sorted(set(numbers))
    assert lines[-1]["dropped"] + len(lines) >= numbers[-1]


def test_nothing_is_dropped_when_the_source_is_slower():
    source = Waits(5)
    summary = watch(source, split, TABLE, lines=lambda _: source.seen.release())
    assert (summary.frames, summary.dropped, summary.ok, summary.ended) == (5, 0, True, "the source ended")


def test_every_frame_of_a_file_is_seen_when_asked():
    lines = []
    summary = watch(Blinks(30), slowly(0.005), TABLE, lines=lines.append, every_frame=True)
    assert [line["frame"] for line in lines] == list(range(30))
    assert summary.dropped == 0
    with pytest.raises(ValueError, match="is live and cannot wait"):
        watch(Blinks(live=True), split, TABLE, every_frame=True)


def test_a_file_is_played_at_its_own_pace():
    source = Blinks(10)
    source.paced = True
    began = time.perf_counter()
    summary = watch(source, split, TABLE)
    assert time.perf_counter() - began > 0.3  # 9 intervals of 40 ms
    assert summary.frames + summary.dropped == 10


def test_times_add_up_to_the_latency_and_a_segmenter_has_parts():
    lines = []
    segmenter = toy_segmenter()
    watch(Blinks(4), segmenter, screens=[Looks()], lines=lines.append, every_frame=True)
    for line in lines:
        parts = sum(line[f"{name}_ms"] for name in ("capture", "wait", "segment", "draw"))
        assert line["latency_ms"] == pytest.approx(parts, abs=0.01)
        inner = sum(line[f"{name}_ms"] for name in ("preprocess", "net", "post"))
        assert line["segment_ms"] == pytest.approx(inner, abs=0.01)
    assert not segmenter.model._forward_hooks
    assert not segmenter.model._forward_pre_hooks
    plain = []
    watch(Blinks(2), split, TABLE, lines=plain.append)
    assert "net_ms" not in plain[0]
    assert plain[0]["draw_ms"] == 0  # nobody looks
    assert plain[0]["classes"] == {"dark": 0.5, "bright": 0.5}


def test_the_summary_has_percentiles_of_every_stage():
    summary = watch(Blinks(20), slowly(0.002), TABLE, every_frame=True)
    row = summary.stages["latency"]
    assert 2 < row["median"] <= row["p90"] <= row["p99"] <= row["max"]
    assert summary.fps > 0
    assert "20 frames" in summary.table()
    assert json.loads(json.dumps(summary.as_dict()))["stages"]["segment"]["median"] >= 2


def test_it_stops_by_time_by_count_and_by_an_event():
    assert watch(Blinks(pause=0.005), split, TABLE, seconds=0.3).ended == "stopped as asked"
    assert watch(Blinks(pause=0.005), split, TABLE, frames=5).frames == 5
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert watch(Blinks(pause=0.005), split, TABLE, stop=stop).ended == "stopped as asked"


# lost sources


def test_a_source_that_hangs_ends_with_a_clear_line_and_does_not_hold_up():
    source = Hangs()
    summary = watch(source, split, TABLE, stall=0.2)
    assert not source.back
    assert not summary.ok
    assert summary.frames >= 1
    assert "blinks: no frame for 0.2 s" in summary.ended
    assert "--stall" in summary.ended
    source.free.set()


def test_a_lost_camera_is_opened_again(monkeypatch):
    monkeypatch.setattr("edgeseg.live.frames._LONGEST_PAUSE", 0.02)
    said = []
    source = Blinks(20, 0.002, live=True, fails=["error", "refuse", "end", ""])
    summary = watch(source, split, TABLE, say=said.append, frames=15)
    assert summary.ok
    assert source.opened == 4
    assert source.closed == 3  # every one that was opened
    assert "No such device" in said[0]
    assert "try 1 of 5" in said[0]
    assert "try 2 of 5" in said[1]
    assert "the stream ended" in said[2]


def test_a_camera_that_stays_away_is_given_up(monkeypatch):
    monkeypatch.setattr("edgeseg.live.frames._LONGEST_PAUSE", 0.02)
    source = Blinks(live=True, pause=0.01, fails=["error", "refuse", "refuse", "refuse"])
    summary = watch(source, split, TABLE, say=lambda line: None, tries=2)
    assert not summary.ok
    assert "Plug it in. Given up after 2 tries" in summary.ended
    assert source.opened == 3


def test_a_source_that_never_worked_is_not_tried_again():
    source = Blinks(live=True, fails=["refuse"])
    with pytest.raises(SourceError, match="Plug it in"):
        watch(source, split, TABLE)
    assert source.opened == 1


def test_a_truncated_video_is_processed_as_far_as_it_goes(tmp_path):
    path = cut(make_video(tmp_path / "a.mp4", options={"movflags": "faststart"}), 0.6)
    summary = watch(open_source(str(path)), split, TABLE, every_frame=True)
    assert 20 <= summary.frames <= 35
    assert not summary.ok
    assert "truncated" in summary.ended


# nothing leaks


def test_memory_is_flat_and_threads_end(tmp_path):
    pytest.importorskip("av")
    threads = threading.active_count()
    marks = {}

    def measure(line):
        if line["frame"] in (100, 399):
            gc.collect()
            marks[line["frame"]] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        with Recorder(tmp_path / "out.mp4") as recorder:
            source = Blinks(400)
            watch(source, split, TABLE, screens=[Looks()], recorder=recorder, lines=measure, every_frame=True)
    finally:
        tracemalloc.stop()
    assert marks[399] - marks[100] < 300_000  # a kept frame a turn would be 2.7 MB, a kept picture 60
    assert threading.active_count() == threads


def test_an_error_in_the_network_closes_everything():
    threads = threading.active_count()
    source = Blinks(pause=0.001)
    with pytest.raises(ValueError, match=r"class map is uint8 \(24, 64\).*segment must give \(H, W\) uint8"):
        watch(source, lambda image: split(image)[::2], TABLE)
    assert source.closed == 1
    assert threading.active_count() == threads


def test_classes_without_names_are_refused():
    with pytest.raises(ValueError, match="give table="):
        watch(Blinks(), split)


# the command


@pytest.fixture
def command(tmp_path):
    meta = weight_meta(list(TABLE.names), list(TABLE.colors), "toy", (0.5,) * 3, (0.2,) * 3, None)
    model = create_model("cross_cbam_m", 2, width=8, aspp_channels=16)
    save_weights(tmp_path / "toy.safetensors", model, meta)
    app = typer.Typer()
    app.command()(live)

    def run(*words):
        common = ["--model", str(tmp_path / "toy.safetensors"), "--size", "64x96", "--headless"]
        return CliRunner().invoke(app, [*common, *map(str, words)])

    return run


def test_the_command_writes_lines_summary_and_recording(command, tmp_path):
    pytest.importorskip("av")
    done = command(
        "streets", "--frames", 4, "--json", "-", "--summary", tmp_path / "s.json", "--record", tmp_path / "o.mkv"
    )
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 4
    assert {"frame", "time_s", "capture_ms", "segment_ms", "net_ms", "draw_ms", "latency_ms", "dropped"} <= set(
        lines[0]
    )
    assert json.loads((tmp_path / "s.json").read_text())["frames"] == 4
    assert "4 frames in" in done.stderr
    assert (tmp_path / "o.mkv").stat().st_size > 1000


def test_ctrl_c_ends_the_run_politely(command, tmp_path):
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    done = command("streets", "--json", tmp_path / "x.jsonl")
    assert done.exit_code == 0
    assert "stopped as asked" in done.stderr
    assert all(json.loads(line)["latency_ms"] > 0 for line in (tmp_path / "x.jsonl").read_text().splitlines())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_lost_source_ends_the_command_with_its_line(command, tmp_path):
    path = cut(make_video(tmp_path / "a.mp4", options={"movflags": "faststart"}), 0.6)
    done = command(path, "--every-frame")
    assert isinstance(done.exception, RuntimeError)
    assert "truncated" in str(done.exception)
    assert "frames in" in done.stderr


def test_an_artefact_brings_its_size(tmp_path):
    from edgeseg.deploy import compile

    segmenter = Segmenter(torch.nn.Conv2d(3, 2, 1), (0.5,) * 3, (0.2,) * 3, table=TABLE)
    folder = compile(segmenter, "eager", size=(64, 96), graphs=["labels"]).save(tmp_path / "artefact")
    app = typer.Typer()
    app.command()(live)
    words = ["streets", "--model", str(folder), "--headless", "--frames", "3", "--json", "-"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout.splitlines()[0])
    assert line["segment_ms"] > 0
    assert "net_ms" not in line  # one graph
    wrong = CliRunner().invoke(app, [*words, "--size", "128x128"])
    assert "takes 64x96 only" in str(wrong.exception)
