"""Lesson 19: late masks, queues and mailboxes on a made-up clock, stages in threads, and the pictures of all that."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from edgeseg.course.answers import Readings
from edgeseg.data.streets import drive
from edgeseg.metrics import ConfusionMatrix
from edgeseg.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

# a street that moves on ----------------------------------------------------------------------------------------------


def ride(frames: int, size: tuple[int, int], fps: float = 30.0, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of a drive.

    Returns:
        (T, H, W, 3) uint8 images and (T, H, W) uint8 labels.
    """
    images, labels = zip(*islice(drive(seed, size, fps), frames), strict=True)
    return np.stack(images), np.stack(labels)


def late_miou(labels: np.ndarray, frames: int) -> float:
    """mIoU in per cent of masks that are right and come `frames` frames late: one matrix over the ride.

    Args:
        labels: (T, H, W) true class ids, void 255; all of them are masks, too.
        frames: how many later the mask is used.
    """
    matrix = ConfusionMatrix(11)
    for shown, now in zip(labels, labels[frames:], strict=False):
        matrix.update(shown, np.where(shown == 255, 255, now))  # void in either: not scored
    return 100 * matrix.compute().miou


def short_ride(move: int = 3, frames: int = 8, void: bool = True) -> np.ndarray:
    """A made-up ride for checks: three classes, whose border moves by `move` pixels a frame, and void that moves, too.

    Args:
        move: pixels.
        frames: how many.
        void: whether there is void.

    Returns:
        (frames, 12, 40) uint8 labels.
    """
    columns = np.arange(40)[None]
    labels = np.stack([np.broadcast_to((columns < 5 + move * t).astype(np.uint8), (12, 40)) for t in range(frames)])
    labels[:, 9:][labels[:, 9:] == 0] = 2
    for t, label in enumerate(labels):
        label[: (1 + t % 3) * void] = 255
    return labels


LateMiou = Callable[[np.ndarray, int], float]


def scores_late_masks(mine: LateMiou) -> None:
    """Per cent, one matrix for the whole ride; without void."""
    for move, frames in ((3, 0), (3, 1), (2, 3)):
        _late(mine, short_ride(move, void=False), frames, "A ride of three classes, without void")


def leaves_out_void(mine: LateMiou) -> None:
    """Void in the mask or in the truth is not scored."""
    for move, frames in ((3, 0), (3, 1), (2, 3)):
        _late(mine, short_ride(move), frames, "The same ride with void that moves")


def leaves_labels_alone(mine: LateMiou) -> None:
    """What was given is not written to."""
    labels = short_ride()
    mine(labels, 1)
    assert np.array_equal(labels, short_ride()), "After it labels are others than before: copy what you write to."


def _late(mine: LateMiou, labels: np.ndarray, frames: int, ride: str) -> None:
    found, wanted = float(mine(labels.copy(), frames)), late_miou(labels, frames)
    others = {"that is a share, not per cent": wanted / 100} | _other_scores(labels, frames)
    said = next((f": {name}" for name, score in others.items() if np.isclose(found, score)), "")
    assert np.isclose(found, wanted), (
        f"{ride}, {frames} frame{'s' * (frames != 1)} late: the mIoU is {wanted:.4g} per cent, and yours is "
        f"{found:.4g}{said}."
    )


def _other_scores(labels: np.ndarray, frames: int) -> dict[str, float]:
    """What is easily taken for the score of `late_miou`, in per cent."""
    one = _matrix(labels, frames)
    pairs = [_matrix(labels[t : t + frames + 1], frames) for t in range(len(labels) - frames)]
    ious = [100 * m.diagonal()[m.any(0) | m.any(1)] / _unions(m)[m.any(0) | m.any(1)] for m in (one, *pairs)]
    there = _unions(one) > 0
    twice = 100 * one.diagonal()[there] / (one.sum(0) + one.sum(1))[there]
    return {
        "that is the pixel accuracy": 100 * float(one.trace() / one.sum()),
        "that is the mean of the scores of single pairs": float(np.mean([iou.mean() for iou in ious[1:]])),
        "that is a mean over eleven classes, with 0 for those that occur nowhere": float(ious[0].sum() / len(one)),
        "that counts the intersection twice in the union": float(twice.mean()),
        **{f"that scores void of the mask as class {k}": _mean_iou(_matrix(labels, frames, k)) for k in (0, 10)},
        "that counts void of the mask as missed": _with_void_missed(labels, frames),
        "that is one frame more than asked for": late_miou(labels, frames + 1),
        **({"that is without delay": late_miou(labels, 0)} if frames else {}),
    }


def _matrix(labels: np.ndarray, frames: int, instead_of_void: int | None = None) -> np.ndarray:
    """(11, 11) counts, truth by mask; void of a mask is left out, or taken for a class."""
    masks, truths = labels[: len(labels) - frames].astype(int), labels[frames:].astype(int)
    if instead_of_void is not None:
        masks = np.where(masks == 255, instead_of_void, masks)
    scored = (masks != 255) & (truths != 255)
    return np.bincount(11 * truths[scored] + masks[scored], minlength=121).reshape(11, 11)


def _with_void_missed(labels: np.ndarray, frames: int) -> float:
    masks, truths = labels[: len(labels) - frames], labels[frames:]
    pairs = [((masks == k) & (truths != 255), truths == k) for k in np.unique(truths[truths != 255])]
    return 100 * float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs]))


def _unions(matrix: np.ndarray) -> np.ndarray:
    return matrix.sum(0) + matrix.sum(1) - matrix.diagonal()


def _mean_iou(matrix: np.ndarray) -> float:
    there = _unions(matrix) > 0
    return 100 * float((matrix.diagonal()[there] / _unions(matrix)[there]).mean())


# queues ---------------------------------------------------------------------------------------------------------------


def latencies(arrivals: Sequence[float], work: float, newest: bool) -> list[float]:
    """Age of each mask when it is done, in the order in which they are done.

    Args:
        arrivals: when frames come, in seconds, rising.
        work: seconds for one frame.
        newest: frames that wait are dropped but for the newest; else all are worked off in order.
    """
    waiting, now, ages = list(arrivals), 0.0, []
    while waiting:
        now = max(now, waiting[0])
        if newest:
            there = [t for t in waiting if t <= now]
            waiting = waiting[len(there) - 1 :]
        taken = waiting.pop(0)
        now += work
        ages.append(now - taken)
    return ages


class Newest:
    """One place for a frame: what comes replaces what nobody has taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Any = None
        self._full = False
        self.dropped = 0

    def put(self, frame: Any) -> None:
        """Leave a frame; one that still lies there is dropped."""
        with self._changed:
            self.dropped += self._full
            self._frame, self._full = frame, True
            self._changed.notify()

    def take(self) -> Any:
        """Wait for a frame that nobody has taken yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._full)
            self._full = False
            return self._frame


_SECONDS = 2.0  # after which a call that has no reason to wait has not ended


def gives_the_newest(answer: type) -> None:
    """Of several frames the last is taken."""
    box = answer()
    _put(box, *"abc")
    taken = _within(box.take, "a frame lies there, and take")
    assert taken == "c", f"after put a, b, c the newest is c; take gave {taken!r}"


def gives_no_frame_twice(answer: type) -> None:
    """A frame that was taken is gone: a second take waits for the next, also where others were replaced before."""
    for frames, put in (("a", "a was put"), ("abc", "a, b, c were put")):
        box = answer()
        _put(box, *frames)
        taken = _within(box.take, "a frame lies there, and take")
        with _Waiting(box) as second:
            early = second.early()
            assert not early, (
                f"{put} and {taken} was taken; the second take should wait for the next frame, and gave {early[0]!r}: "
                "the place is empty after one take"
            )
            _put(box, "d")
            second.thread.join(_SECONDS)
            assert second.found, f"{put} and {taken} was taken; then d was put, and {_NOT_WOKEN}"
            assert second.found == ["d"], f"d was put last; the take that waited for it gave {second.found[0]!r}"


def counts_what_it_drops(answer: type) -> None:
    """`dropped` counts frames that nobody took, and no others."""
    box = answer()
    _put(box, *"abc")
    assert box.dropped == 2, f"a and b were replaced; dropped should be 2, and is {box.dropped}"
    _within(box.take, "a frame lies there, and take")
    _put(box, "d")
    assert box.dropped == 2, f"c was taken, so d replaces nothing; dropped should still be 2, and is {box.dropped}"


def waits_for_a_frame(answer: type) -> None:
    """Who comes early waits, and sleeps while waiting."""
    box = answer()
    with _Waiting(box) as first:
        early = first.early()
        any(_sleeps(first.thread) for _ in range(50))  # on a busy machine it takes a while to get there
        asleep = all(_sleeps(first.thread) for _ in range(5))
        assert not early, f"nothing was put yet, and take gave {early[0]!r}: it must wait"
        assert asleep, "take looks again and again while it waits: let the Condition wake it (wait_for)"
        _put(box, "late")
        first.thread.join(_SECONDS)
        assert first.found == ["late"], f"a frame was put, and {_NOT_WOKEN}"


_NOT_WOKEN = "the take that waited still waits: put must wake it (notify)"


class _Waiting:
    """A thread that takes a frame; at the end it does not wait any more, nor run in circles, whatever it did."""

    def __init__(self, box: Any) -> None:
        self.found: list[Any] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._take, args=(box,), daemon=True)
        self._box = box

    def _take(self, box: Any) -> None:
        try:
            self.found.append(box.take())
        except BaseException as error:  # also what `_end` raises
            self.error = error

    def early(self) -> list[Any]:
        """What it has got while there is nothing to take."""
        time.sleep(0.05)
        if isinstance(self.error, NotImplementedError):
            raise self.error
        assert self.error is None, f"take must wait where nothing lies, and yours stops: {type(self.error).__name__}"
        return list(self.found)

    def __enter__(self) -> _Waiting:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.thread.is_alive():
            threading.Thread(target=_quietly, args=(self._box.put, None), daemon=True).start()
            self.thread.join(0.2)
            _end(self.thread)


def _quietly(call: Callable[..., Any], *args: Any) -> None:
    with contextlib.suppress(BaseException):
        call(*args)


def _sleeps(thread: threading.Thread) -> bool:
    """Whether a thread is in Python's own waiting just now, not in somebody's loop, be it around `Event.is_set`."""
    time.sleep(0.01)
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and (frame.f_code.co_filename, frame.f_code.co_name) == (threading.__file__, "wait")


def _put(box: Any, *frames: Any) -> None:
    for frame in frames:
        _within(partial(box.put, frame), f"put({frame!r})")


def _within(call: Callable[[], Any], what: str) -> Any:
    """What a call gives, or an error where it does not end; its thread is ended then."""
    found: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if errors:
        raise errors[0]
    if not found:
        _end(thread)
    assert found, f"{what} did not end within {_SECONDS:g} seconds: does somebody wait, and hold the lock?"
    return found[0]


def _end(thread: threading.Thread) -> None:
    """Raise `SystemExit` in a thread that may run in circles: nothing else stops one. What sleeps stays asleep."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        thread.join(0.2)


# stages ---------------------------------------------------------------------------------------------------------------


def pace(stages: Mapping[str, float], groups: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Frames a second and the age of a mask, for stages that are shared out to threads.

    Args:
        stages: seconds of each, by name, in order.
        groups: names of the stages of every thread; a frame goes through the threads one after another.

    Returns:
        frames a second, and seconds from the first stage to the last, of a camera that always has a frame. Every thread
        hands on at the pace of the slowest.
    """
    slowest = max(sum(stages[name] for name in group) for group in groups)
    return 1 / slowest, slowest * (len(groups) - 1) + sum(stages[name] for name in groups[-1])


def fewest_threads(stages: Mapping[str, float], fps: float) -> list[list[str]]:
    """The fewest threads, stages in order, that keep up with `fps`; greedy: each takes what still fits."""
    groups: list[list[str]] = [[]]
    for name, seconds in stages.items():
        if groups[-1] and sum(stages[n] for n in groups[-1]) + seconds > 1 / fps:
            groups.append([])
        groups[-1].append(name)
    return groups


def keeps_up(answer: Callable[[Mapping[str, float], float], list[list[str]]]) -> None:
    """Every thread is done within a frame's time."""
    for stages, fps in _PLANS:
        for group in answer(dict(stages), fps):
            total = sum(stages[name] for name in group)
            assert total <= 1 / fps + 1e-9, (
                f"{' + '.join(group)} takes {1000 * total:.0f} ms, and a frame at {fps:g} a second has {1000 / fps:.0f}"
            )


def keeps_the_order(answer: Callable[[Mapping[str, float], float], list[list[str]]]) -> None:
    """Every stage once, in order."""
    for stages, fps in _PLANS:
        names = [name for group in answer(dict(stages), fps) for name in group]
        assert names == list(stages), f"the stages should be {', '.join(stages)} in this order; yours are {names}"


def uses_few_threads(answer: Callable[[Mapping[str, float], float], list[list[str]]]) -> None:
    """No thread more than needed."""
    for stages, fps in _PLANS:
        found, wanted = answer(dict(stages), fps), fewest_threads(stages, fps)
        assert len(found) == len(wanted), (
            f"{len(wanted)} threads do for {dict(stages)} at {fps:g}; yours has {len(found)}"
        )


_PLANS: tuple[tuple[Mapping[str, float], float], ...] = (
    ({"capture": 0.008, "preprocess": 0.004, "net": 0.030, "post": 0.006, "draw": 0.010}, 30.0),
    ({"capture": 0.008, "preprocess": 0.004, "net": 0.030, "post": 0.006, "draw": 0.010}, 15.0),
    ({"capture": 0.010, "net": 0.010, "draw": 0.010}, 40.0),
    ({"net": 0.02}, 30.0),
)

WHAT_THE_LINES_SAY = Readings(
    "b",
    {
        "a": "segment_ms is 24 in all lines: the network keeps its pace of 40 a second, faster than the camera.",
        "c": "dropped stays 0: nothing was thrown away. That is the trouble.",
        "d": "draw_ms is 3: the picture costs little, and the same in every line.",
    },
)
LINES = tuple(
    {"frame": n, "capture_ms": 6.0, "wait_ms": 30.0 + 9.0 * n, "segment_ms": 24.0, "draw_ms": 3.0, "dropped": 0}
    for n in (0, 20, 40, 60, 80)
)
"""Made up for the exercise: a camera of 30 frames a second, a loop of 33 ms and a little more, every frame kept."""


# pictures -------------------------------------------------------------------------------------------------------------


def delay_curve(scores: Mapping[float, float]) -> Figure:
    """mIoU of a right mask over its delay.

    Args:
        scores: milliseconds → per cent.
    """
    figure = Figure((7.4, 2.8), dpi=90, facecolor="white", layout="constrained")
    axis = figure.subplots()
    axis.plot(list(scores), list(scores.values()), "o-", color=BLUE)
    axis.axvline(1000 / 30, color=ORANGE, lw=1.5)
    axis.text(1000 / 30 + 4, 97, "one frame", color="black", fontsize=9, va="top")
    axis.set(xlabel="age of a mask without a single error, ms", ylabel="mIoU %", ylim=(0, 104))
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def age_curves(ages: Mapping[str, Sequence[float]]) -> Figure:
    """Age of every mask, in the order in which they come out.

    Args:
        ages: name → seconds.
    """
    figure = Figure((7.4, 2.8), dpi=90, facecolor="white", layout="constrained")
    axis = figure.subplots()
    for (name, seconds), color in zip(ages.items(), (VERMILION, BLUE, GREEN), strict=False):
        axis.plot(1000 * np.asarray(seconds), color=color, label=f"{name}: {len(seconds)} masks")
    axis.set(xlabel="mask number", ylabel="age, ms")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def stage_bars(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """Where the milliseconds of a frame go, one bar a row; a line marks a frame's time at 30 a second.

    Args:
        rows: name → stage → milliseconds.
    """
    names = list(dict.fromkeys(stage for row in rows.values() for stage in row))
    colors = dict(zip(names, (SKY, GREY, GREEN, BLUE, PURPLE, ORANGE), strict=False))
    figure = Figure((8.6, 0.9 + 0.5 * len(rows)), dpi=90, facecolor="white", layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(rows.values()):
        left = 0.0
        for stage, ms in row.items():
            label = stage if place == 0 else None
            axis.barh(place, ms, left=left, color=colors[stage], edgecolor="white", label=label)
            left += ms
    axis.axvline(1000 / 30, color="black", lw=1, ls=":")
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    axis.set_xlabel("milliseconds of one frame; dotted: what a frame has at 30 a second", fontsize=9)
    axis.legend(frameon=False, fontsize=8, ncols=len(names), loc="lower left", bbox_to_anchor=(0, 1))
    axis.spines[["top", "right"]].set_visible(False)
    return figure
