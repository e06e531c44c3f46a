"""Live segmentation: latency stays bounded, lost sources come back or end with a clear line, nothing leaks."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
import tracemalloc
from contextlib import closing

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from edgeseg.cli.live import live
from edgeseg.inference import Segmenter
from edgeseg.live.display import Recorder
from edgeseg.live.frames import SourceError, open_source
from edgeseg.live.loop import stop_signals, timed
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta
from frame_makers import (
    TABLE,
    GreySource,
    LostCamera,
    Spectator,
    cut,
    damage,
    make_video,
    network_camera,
    split,
    watch_source,
)


@pytest.fixture
def no_pause(monkeypatch):
    """Lost connections are opened again at once."""
    monkeypatch.setattr("edgeseg.live.frames._LONGEST_PAUSE", 0)


@pytest.fixture
def no_grace(monkeypatch):
    """A source that says nothing is given up after exactly `stall` seconds."""
    monkeypatch.setattr("edgeseg.live.frames._GRACE", 0)


# latency and dropping


def test_latency_stays_bounded_when_the_source_is_faster_than_the_network():
    source, lines, made = GreySource(), [], []

    def segment(image):
        with source.another:
            until = source.made + 5
            source.another.wait_for(lambda: source.made >= until, timeout=60)
        made.append(source.made)
        return split(image)

    summary = watch_source(source, segment, lines=lines.append, frames=20)
    numbers = [line["frame"] for line in lines]
    # the next frame is the newest: counted from 0, and the very last may still be on its way
    assert all(number >= before - 2 for number, before in zip(numbers[1:], made[-len(lines) :], strict=False))
    assert numbers == sorted(set(numbers))
    assert lines[-1]["dropped"] + len(lines) >= numbers[-1]
    assert summary.missing == 0


def test_every_frame_of_a_file_is_seen_when_asked():
    lines = []
    summary = watch_source(GreySource(30), lines=lines.append, every_frame=True)
    assert [line["frame"] for line in lines] == list(range(30))
    assert (summary.frames, summary.dropped, summary.ok, summary.ended) == (30, 0, True, "the source ended")
    with pytest.raises(ValueError, match="is live and cannot wait"):
        watch_source(LostCamera("end"), every_frame=True)


def test_a_file_is_played_at_its_own_pace():
    began = time.perf_counter()
    summary = watch_source(GreySource(10, paced=True))
    assert time.perf_counter() - began > 0.3  # 9 intervals of 40 ms
    assert summary.frames + summary.dropped == 10


def test_frames_that_a_damaged_stream_lacks_are_told_apart_from_dropped_ones(tmp_path):
    path = str(damage(make_video(tmp_path / "a.mp4", 200)))
    lines = []
    whole = watch_source(open_source(path), lines=lines.append, every_frame=True)
    assert whole.ok
    assert whole.missing > 0
    assert whole.frames + whole.missing == 200
    assert whole.dropped == 0
    assert f"0 dropped, {whole.missing} missing in the source" in whole.table()
    assert (lines[-1]["frame"], lines[-1]["missing"]) == (199, whole.missing)
    hasty = watch_source(open_source(path, fps=0))
    assert hasty.missing == whole.missing
    assert hasty.frames + hasty.dropped + hasty.missing == 200


# times


def toy_segmenter():
    return Segmenter(create_model("cross_cbam_m", 2, width=8, aspp_channels=16), (0.5,) * 3, (0.2,) * 3, table=TABLE)


def test_times_add_up_to_the_latency_and_a_segmenter_has_parts():
    lines, segmenter = [], toy_segmenter()
    watch_source(GreySource(4), segmenter, page=Spectator(), lines=lines.append, every_frame=True)
    for line in lines:
        parts = sum(line[f"{name}_ms"] for name in ("capture", "wait", "segment", "draw"))
        assert line["latency_ms"] == pytest.approx(parts, abs=0.01)
        inner = sum(line[f"{name}_ms"] for name in ("preprocess", "net", "post"))
        assert line["segment_ms"] == pytest.approx(inner, abs=0.01)
    assert not segmenter.model._forward_hooks
    assert not segmenter.model._forward_pre_hooks
    plain = []
    watch_source(GreySource(2), lines=plain.append, every_frame=True)
    assert "net_ms" not in plain[0]
    assert plain[0]["draw_ms"] == 0  # nobody looks
    assert plain[0]["classes"] == {"dark": 0.5, "bright": 0.5}


class Meeting(torch.nn.Module):
    """A network in which two threads are at the same time."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.meet = threading.Barrier(2, timeout=60).wait

    def __deepcopy__(self, memo):
        return self

    def forward(self, x):
        self.meet()
        x = x[:, :2] * self.weight
        self.meet()
        return x


def test_two_runs_with_one_segmenter_keep_their_times_apart():
    segmenter = Segmenter(Meeting(), (0.5,) * 3, (0.2,) * 3, table=TABLE)
    found = []

    def run():
        with timed(segmenter) as measure:
            found.append(measure(np.zeros((32, 32, 3), np.uint8))[1])
            segmenter.model.meet()  # neither takes its stopwatch away while the other still runs

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stages in found:
        assert stages["segment"] == pytest.approx(sum(stages[name] for name in ("preprocess", "net", "post")))
    assert len(found) == 2


def test_the_summary_has_percentiles_of_every_stage():
    summary = watch_source(GreySource(20), every_frame=True)
    assert set(summary.stages) == {"capture", "wait", "segment", "draw", "latency"}
    row = summary.stages["latency"]
    assert 1 <= row["median"] <= row["p90"] <= row["p99"] <= row["max"]  # a frame takes 1 ms to make
    assert summary.stages["capture"] == {"median": 1, "p90": 1, "p99": 1, "max": 1}
    assert summary.fps > 0
    assert "grey: 20 frames in" in summary.table()


# ends and lost sources


def test_it_stops_by_time_by_count_and_by_an_event():
    assert watch_source(GreySource(), every_frame=True, seconds=0.05).ended == "stopped as asked"
    assert watch_source(GreySource(), every_frame=True, frames=5).frames == 5
    stop = threading.Event()
    summary = watch_source(GreySource(), every_frame=True, lines=lambda _: stop.set(), stop=stop)
    assert (summary.frames, summary.ok, summary.ended) == (1, True, "stopped as asked")


def test_ctrl_c_and_a_polite_end_stop_it_and_what_was_there_comes_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        with stop_signals() as stop:
            signal.raise_signal(number)
            assert stop.is_set()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_source_that_hangs_ends_with_a_clear_line_and_does_not_hold_up(no_grace):
    class Hanging(GreySource):
        """A driver that never comes back, until the test lets it."""

        free, back = threading.Event(), False

        def frames(self):
            yield self.frame(0)
            self.free.wait(60)
            self.back = True

    source = Hanging()
    summary = watch_source(source, stall=0.2)
    assert not source.back
    assert not summary.ok
    assert summary.frames == 1
    assert "grey: no frame for 0.2 s" in summary.ended
    assert "--stall" in summary.ended
    source.free.set()


def test_a_lost_camera_is_opened_again_until_it_stays_away(no_pause, capsys):
    source = LostCamera("error", "refuse", "end", "end")
    summary = watch_source(source, lines=source.seen, tries=4)
    assert (summary.frames, summary.dropped) == (9, 0)
    assert (source.opened, source.closed) == (5, 3)
    said = capsys.readouterr().err.splitlines()
    assert "No such device" in said[0]
    assert "try 1 of 4" in said[0]
    assert "try 2 of 4" in said[1]
    assert "the stream ended" in said[2]
    assert len(said) == 4
    assert not summary.ok
    assert "Plug it in. Given up after 4 tries" in summary.ended


def test_a_camera_that_works_for_a_while_has_all_its_tries_again(no_pause):
    source = LostCamera(*["end"] * 6)
    summary = watch_source(source, lines=source.seen, stall=1e-6, tries=1)
    assert (summary.frames, source.opened) == (18, 7)


def test_a_source_that_never_worked_is_not_tried_again():
    source = LostCamera("refuse")
    with pytest.raises(SourceError, match="Plug it in"):
        watch_source(source)
    assert source.opened == 1


def test_a_truncated_video_is_processed_as_far_as_it_goes(tmp_path):
    path = cut(make_video(tmp_path / "a.mp4", options={"movflags": "faststart"}), 0.6)
    summary = watch_source(open_source(str(path)), every_frame=True)
    assert 20 <= summary.frames <= 35
    assert not summary.ok
    assert "truncated" in summary.ended


# nothing leaks


def test_memory_is_flat_and_threads_end(tmp_path):
    pytest.importorskip("av")
    threads = threading.active_count()
    marks = {}

    def measure(line):
        if line["frame"] in (50, 199):
            gc.collect()
            marks[line["frame"]] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        with closing(Recorder(tmp_path / "out.mp4")) as recorder:
            watch_source(GreySource(200), page=Spectator(), recorder=recorder, lines=measure, every_frame=True)
    finally:
        tracemalloc.stop()
    assert marks[199] - marks[50] < 300_000  # a kept frame a turn would be 1.4 MB, a kept picture 30
    assert threading.active_count() == threads


def test_an_error_in_the_network_closes_everything():
    threads = threading.active_count()
    source = GreySource()
    with pytest.raises(ValueError, match=r"class map is uint8 \(24, 64\).*segment must give \(H, W\) uint8"):
        watch_source(source, lambda image: split(image)[::2])
    assert source.closed == 1
    assert threading.active_count() == threads


def test_classes_without_names_are_refused():
    with pytest.raises(ValueError, match="give table="):
        watch_source(GreySource(1), table=None)


# the command


@pytest.fixture(scope="module")
def toy_weight(tmp_path_factory):
    path = tmp_path_factory.mktemp("weight") / "toy.safetensors"
    meta = weight_meta(list(TABLE.names), list(TABLE.colors), "toy", (0.5,) * 3, (0.2,) * 3, None)
    save_weights(path, create_model("cross_cbam_m", 2, width=8, aspp_channels=16), meta)
    return path


def run_live(*words):
    app = typer.Typer()
    app.command()(live)
    return CliRunner().invoke(app, [*map(str, words), "--headless"])


def test_the_command_writes_lines_summary_and_recording(toy_weight, tmp_path):
    pytest.importorskip("av")
    common = ("streets", "--model", toy_weight, "--size", "64x96", "--frames", 4, "--json", "-")
    done = run_live(*common, "--summary", tmp_path / "s.json", "--record", tmp_path / "o.mkv")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 4
    times = ("capture", "wait", "preprocess", "net", "post", "segment", "draw", "latency", "record")
    assert {"frame", "time_s", "dropped", "missing", "classes", *(f"{t}_ms" for t in times)} <= set(lines[0])
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["frames"] == 4
    assert summary["model"] == str(toy_weight)
    assert "4 frames in" in done.stderr
    assert (tmp_path / "o.mkv").stat().st_size > 1000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("way", ["Ctrl-C", "reader gone"])
def test_the_command_ends_politely(toy_weight, tmp_path, way):
    pipe = tmp_path / "lines.jsonl"
    os.mkfifo(pipe)
    first, rest = [], []

    def follow():
        with pipe.open() as lines:
            first.append(lines.readline())
            if way == "Ctrl-C":
                os.kill(os.getpid(), signal.SIGINT)
                rest.extend(lines)

    reader = threading.Thread(target=follow)
    reader.start()
    done = run_live("streets", "--model", toy_weight, "--size", "64x96", "--json", pipe)
    reader.join()
    assert done.exit_code == 0
    assert "stopped as asked" in done.stderr
    assert all(json.loads(line)["latency_ms"] > 0 for line in (*first, *rest))


def test_a_lost_source_ends_the_command_with_its_line(toy_weight, tmp_path):
    path = cut(make_video(tmp_path / "a.mp4", options={"movflags": "faststart"}), 0.6)
    done = run_live(path, "--model", toy_weight, "--size", "64x96", "--every-frame")
    assert isinstance(done.exception, RuntimeError)
    assert "truncated" in str(done.exception)
    assert "frames in" in done.stderr


def test_lines_that_cannot_be_written_are_refused_with_a_cure(toy_weight, tmp_path):
    (tmp_path / "file").touch()
    done = run_live("streets", "--model", toy_weight, "--json", tmp_path / "file" / "lines.jsonl")
    assert "cannot be written" in str(done.exception)
    assert "another place" in str(done.exception)


def test_a_network_camera_is_segmented_past_a_lost_connection(toy_weight, tmp_path):
    pytest.importorskip("av")
    with network_camera() as (address, camera):
        done = run_live(address, "--model", toy_weight, "--summary", tmp_path / "s.json", "--tries", 1)
    assert "Given up after 1 try to reconnect" in str(done.exception)
    assert camera.visitors == 2
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["frames"] >= 2  # of both connections the newest, at least
    assert "secret" not in (tmp_path / "s.json").read_text() + done.output + str(done.exception)


def test_an_artefact_brings_its_size(tmp_path):
    from edgeseg.deploy import compile

    segmenter = Segmenter(torch.nn.Conv2d(3, 2, 1), (0.5,) * 3, (0.2,) * 3, table=TABLE)
    folder = compile(segmenter, "eager", size=(64, 96), graphs=["labels"]).save(tmp_path / "artefact")
    words = ("streets", "--model", folder, "--frames", 3, "--json", "-")
    done = run_live(*words)
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout.splitlines()[0])
    assert line["segment_ms"] > 0
    assert "net_ms" not in line  # one graph
    assert "takes 64x96 only" in str(run_live(*words, "--size", "128x128").exception)
