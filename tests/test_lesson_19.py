"""Lesson 19's check of a place for one frame: it ends, whatever the answer does, and leaves no thread that works."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from edgeseg import course
from edgeseg.course.lessons import lesson_19


class _Box:
    def __init__(self):
        self.lock, self.frames, self.dropped = threading.Lock(), [], 0

    def put(self, frame):
        with self.lock:
            self.dropped += len(self.frames)
            self.frames = [frame]


class SpinsInItsLock(_Box):
    def take(self):
        with self.lock:
            while not self.frames:
                pass
            return self.frames.pop()


class SpinsWithoutIt(_Box):
    def take(self):
        while not self.frames:
            pass
        return self.frames.pop()


class NeverPuts(_Box):
    def put(self, frame):
        while True:
            pass

    def take(self):
        return None


PROPERTIES = (
    lesson_19.gives_the_newest,
    lesson_19.gives_no_frame_twice,
    lesson_19.counts_what_it_drops,
    lesson_19.waits_for_a_frame,
)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (SpinsInItsLock, "put('d') did not end within 2 seconds"),
        (SpinsWithoutIt, "looks again and again"),
        (NeverPuts, "put('a') did not end within 2 seconds"),
    ],
)
def test_an_answer_that_runs_in_circles_is_refused_and_ended(answer, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path))
    before = set(threading.enumerate())
    begin = time.perf_counter()
    course.prove(answer, lesson_19.Newest, *PROPERTIES, exercise="19.3")
    said = capsys.readouterr().out
    assert said.startswith("✗")
    assert words in said
    assert time.perf_counter() - begin < 30, "a few waits of two seconds, on a busy machine too"
    assert not _running(set(threading.enumerate()) - before)


def _running(threads: set[threading.Thread]) -> list[str]:
    """Threads that are in this file's loops, and not asleep."""
    time.sleep(0.05)
    frames = sys._current_frames()
    return [t.name for t in threads if t.is_alive() and frames[t.ident].f_code.co_filename == __file__]


@pytest.mark.parametrize("stage", PROPERTIES, ids=lambda p: p.__name__)
def test_the_packages_own_place_is_held_to_the_same(stage):
    before = threading.active_count()
    stage(lesson_19.Newest)
    assert threading.active_count() == before
