"""Lesson 19 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "19.1": [
        Style(
            "all pixels at once",
            """
def late_miou(labels, frames):
    n = len(labels) - frames
    masks, truths = labels[:n], labels[frames:]
    both = (masks != 255) & (truths != 255)
    matrix = ConfusionMatrix(11)
    matrix.update(masks[both][None], truths[both][None])
    return matrix.compute().miou * 100
""",
            Slip("a share", ".miou * 100", ".miou", names=("a share, not per cent",)),
            Slip(
                "masks and truths exchanged in time",
                "masks, truths = labels[:n], labels[frames:]",
                "masks, truths = labels[:n], labels[:n]",
                names=("without delay",),
            ),
        ),
        Style(
            "by index, a copied truth",
            """
def late_miou(labels, frames):
    cm = ConfusionMatrix(11)
    for t in range(len(labels) - frames):
        truth = labels[t + frames].copy()
        truth[labels[t] == 255] = 255
        mask = np.minimum(labels[t], 10)
        cm.update(mask, truth)
    return 100.0 * cm.compute().miou
""",
            Slip(
                "void of the mask is scored",
                "        truth[labels[t] == 255] = 255\n",
                "",
                names=("scores void of the mask as class 10",),
            ),
            Slip("always one frame late", "labels[t + frames]", "labels[t + 1 if t + 1 < len(labels) else t]"),
            Slip("not copied", "labels[t + frames].copy()", "labels[t + frames]", names=("copy what you write to",)),
        ),
        Style(
            "IoU by hand",
            """
def late_miou(labels, frames):
    shown, now = labels[: len(labels) - frames].ravel(), labels[frames:].ravel()
    keep = (shown < 255) & (now < 255)
    shown, now = shown[keep], now[keep]
    ious = []
    for c in range(11):
        a, b = shown == c, now == c
        if (a | b).any():
            ious.append((a & b).sum() / (a | b).sum())
    return 100 * float(np.mean(ious))
""",
            Slip(
                "one void forgotten",
                "(shown < 255) & (now < 255)",
                "(now < 255)",
                names=("counts void of the mask as missed",),
            ),
            Slip("over all eleven", "np.mean(ious)", "(np.sum(ious) / 11)", names=("a mean over eleven classes",)),
        ),
        Style(
            "bincount",
            """
def late_miou(labels, frames):
    pairs = [(labels[i - frames], labels[i]) for i in range(frames, len(labels))]
    table = np.zeros((11, 11), int)
    for before, today in pairs:
        ok = np.maximum(before, today) != 255
        code = 11 * today[ok].astype(int) + before[ok]
        table += np.bincount(code, minlength=121).reshape(11, 11)
    union = table.sum(0) + table.sum(1) - np.diag(table)
    return float(100 * (np.diag(table)[union > 0] / union[union > 0]).mean())
""",
            Slip(
                "pixel accuracy",
                "(np.diag(table)[union > 0] / union[union > 0]).mean()",
                "(table.trace() / table.sum())",
                names=("the pixel accuracy",),
            ),
            Slip("the diagonal twice", "- np.diag(table)", "+ 0", names=("the intersection twice in the union",)),
        ),
        Style(
            "zip and where",
            """
def late_miou(labels, frames):
    total = ConfusionMatrix(11)
    early = iter(labels)
    for truth in labels[frames:]:
        mask = next(early)
        total.update(np.where(mask == 255, 0, mask), np.where(mask == 255, mask, truth))
    result = total.compute()
    return 100 * result.miou
""",
            Slip(
                "a matrix a pair",
                "    for truth in labels[frames:]:\n",
                "    for truth in labels[frames:]:\n        total = ConfusionMatrix(11)\n",
            ),
            Slip(
                "void becomes road",
                "np.where(mask == 255, mask, truth)",
                "truth",
                names=("scores void of the mask as class 0",),
            ),
            Slip("accuracy", "result.miou", "result.pixel_accuracy", names=("the pixel accuracy",)),
        ),
    ],
    "19.2": [
        Style(
            "two functions, indices",
            """
def latencies(arrivals, work, newest):
    found, free, i = [], 0.0, 0
    while i < len(arrivals):
        start = max(free, arrivals[i])
        if newest:
            while i + 1 < len(arrivals) and arrivals[i + 1] <= start:
                i += 1
        free = start + work
        found.append(free - arrivals[i])
        i += 1
    return found
""",
            Slip("waiting alone", "free - arrivals[i]", "start - arrivals[i]"),
            Slip("starts before a frame", "max(free, arrivals[i])", "free", names=("-0.25",)),
            Slip(
                "one that comes at that moment stays",
                "arrivals[i + 1] <= start",
                "arrivals[i + 1] < start - work",
                names=("length 4",),
            ),
            Slip("always newest", "if newest:", "if True:", names=("length 3",)),
        ),
        Style(
            "queue by a recurrence, newest by a stack",
            """
def latencies(arrivals, work, newest):
    if not newest:
        ends, end = [], 0
        for t in arrivals:
            end = max(end, t) + work
            ends.append(end)
        return [e - t for e, t in zip(ends, arrivals)]
    now, ages, rest = 0, [], sorted(arrivals, reverse=True)
    while rest:
        now = max(now, rest[-1])
        waiting = [t for t in rest if t <= now]
        rest = rest[: len(rest) - len(waiting)]
        now += work
        ages.append(now - waiting[0])
    return ages
""",
            Slip("oldest of those that wait", "now - waiting[0]", "now - waiting[-1]"),
            Slip(
                "rest from the wrong side",
                "rest = rest[: len(rest) - len(waiting)]",
                "rest = rest[:-1]",
                names=("length 4",),
            ),
            Slip("queue never waits", "max(end, t) + work", "t + work"),
        ),
        Style(
            "a deque",
            """
import collections

def latencies(arrivals, work, newest):
    line, clock, ages = collections.deque(arrivals), 0.0, []
    while line:
        frame = line.popleft()
        clock = max(clock, frame)
        while newest and line and line[0] <= clock:
            frame = line.popleft()
        clock = clock + work
        ages.append(clock - frame)
    return ages
""",
            Slip("one that waits is dropped at most", "while newest and", "if newest and", names=("length 4",)),
            Slip("until it is done", "line[0] <= clock", "line[0] <= clock + work", names=("length 2",)),
            Slip("switch turned", "while newest and", "while not newest and", names=("length 3",)),
        ),
        Style(
            "recursion",
            """
def latencies(arrivals, work, newest):
    def go(frames, now):
        if not frames:
            return []
        begin = max(now, frames[0])
        n = sum(t <= begin for t in frames) if newest else 1
        return [begin + work - frames[n - 1]] + go(frames[n:], begin + work)

    return go(list(arrivals), 0.0)
""",
            Slip("next begins too early", "go(frames[n:], begin + work)", "go(frames[n:], begin)"),
            Slip(
                "dropped ones are counted, too",
                "[begin + work - frames[n - 1]] +",
                "[begin + work - t for t in frames[:n]] +",
                names=("length 4",),
            ),
        ),
        Style(
            "numpy's searchsorted",
            """
def latencies(arrivals, work, newest):
    times = np.asarray(arrivals, float)
    ages, now, k = [], 0.0, 0
    while k < len(times):
        now = max(now, times[k])
        if newest:
            k = int(np.searchsorted(times, now, side="right")) - 1
        now += work
        ages.append(float(now - times[k]))
        k += 1
    return ages
""",
            Slip("switch turned", "if newest:", "if not newest:", names=("length 3",)),
            Slip("work counted twice", "now += work\n", "now += 2 * work\n", names=("twice the number",)),
        ),
    ],
    "19.3": [
        Style(
            "a flag and wait_for",
            """
class Newest:
    def __init__(self):
        self.there, self.frame, self.dropped = False, None, 0
        self.condition = threading.Condition()

    def put(self, frame):
        self.condition.acquire()
        if self.there:
            self.dropped += 1
        self.frame, self.there = frame, True
        self.condition.notify_all()
        self.condition.release()

    def take(self):
        self.condition.acquire()
        self.condition.wait_for(lambda: self.there)
        frame, self.frame, self.there = self.frame, None, False
        self.condition.release()
        return frame
""",
            Slip("nobody is woken", "        self.condition.notify_all()\n", "", names=("must wake it (notify)",)),
            Slip(
                "every frame counts as dropped",
                "        if self.there:\n            self.dropped += 1\n",
                "        self.dropped += 1\n",
                names=("dropped should be 2",),
            ),
        ),
        Style(
            "a sentinel, wait in a loop",
            """
_NOTHING = object()

class Newest:
    def __init__(self):
        self._box = _NOTHING
        self._cond = threading.Condition()
        self.dropped = 0

    def put(self, frame):
        with self._cond:
            if self._box is not _NOTHING:
                self.dropped += 1
            self._box = frame
            self._cond.notify()

    def take(self):
        with self._cond:
            while self._box is _NOTHING:
                self._cond.wait()
            frame, self._box = self._box, _NOTHING
        return frame
""",
            Slip(
                "looks again and again",
                "self._cond.wait()",
                "self._cond.release()\n                self._cond.acquire()",
                names=("looks again and again",),
            ),
            Slip("looks, and keeps the lock", "self._cond.wait()", "pass", names=("hold the lock",)),
            Slip(
                "does not wait",
                "            while self._box is _NOTHING:\n                self._cond.wait()\n",
                "",
                names=("should wait for the next frame",),
            ),
            Slip(
                "drops when empty",
                "if self._box is not _NOTHING",
                "if self._box is _NOTHING",
                names=("dropped should be 2",),
            ),
        ),
        Style(
            "a queue of one place",
            """
import queue

class Newest:
    def __init__(self):
        self.dropped = 0
        self._lock = threading.Lock()
        self._queue = queue.Queue(maxsize=1)

    def put(self, frame):
        with self._lock:
            try:
                self._queue.get_nowait()
                self.dropped += 1
            except queue.Empty:
                pass
            self._queue.put_nowait(frame)

    def take(self):
        return self._queue.get()
""",
            Slip(
                "all are kept",
                "maxsize=1)",
                "maxsize=0)\n        self._queue.get_nowait = lambda: (_ for _ in ()).throw(queue.Empty)",
                names=("the newest is c",),
            ),
            Slip(
                "nothing when empty",
                "return self._queue.get()",
                "return None if self._queue.empty() else self._queue.get()",
                names=("gave None",),
            ),
        ),
        Style(
            "a deque that holds one",
            """
from collections import deque

class Newest:
    def __init__(self):
        self.dropped = 0
        self.frames = deque(maxlen=1)
        self.news = threading.Condition()

    def put(self, frame):
        with self.news:
            self.dropped += len(self.frames)
            self.frames.append(frame)
            self.news.notify()

    def take(self):
        with self.news:
            self.news.wait_for(lambda: len(self.frames) > 0)
            return self.frames.popleft()
""",
            Slip(
                "counted afterwards",
                "self.dropped += len(self.frames)\n            self.frames.append(frame)",
                "self.frames.append(frame)\n            self.dropped += len(self.frames)",
                names=("dropped should be 2",),
            ),
            Slip("looks, does not take", "self.frames.popleft()", "self.frames[0]", names=("empty after one take",)),
            Slip(
                "wakes without the lock",
                "        with self.news:\n            self.dropped",
                "        if True:\n            self.dropped",
                names=("un-acquired lock",),
            ),
        ),
        Style(
            "a semaphore",
            """
class Newest:
    def __init__(self):
        self._mutex, self._count = threading.Lock(), threading.Semaphore(0)
        self._frame, self._new, self.dropped = None, False, 0

    def put(self, frame):
        with self._mutex:
            self.dropped += int(self._new)
            self._frame = frame
            if not self._new:
                self._new = True
                self._count.release()

    def take(self):
        self._count.acquire()
        with self._mutex:
            self._new = False
            return self._frame
""",
            Slip("counts what was taken", "int(self._new)", "int(not self._new)", names=("dropped should be 2",)),
            Slip("never old", "            self._new = False\n", ""),
            Slip(
                "a permit for every put",
                "if not self._new:\n                self._new = True\n                self._count",
                "if True:\n                self._new = True\n                self._count",
                names=("empty after one take",),
            ),
            Slip(
                "one permit from the start",
                "threading.Semaphore(0)",
                "threading.Semaphore(1)",
                names=("should wait for the next frame",),
            ),
        ),
        Style(
            "an event, cleared",
            """
class Newest:
    def __init__(self):
        self.lock, self.full = threading.RLock(), threading.Event()
        self.dropped, self.frame = 0, None

    def put(self, frame):
        with self.lock:
            if self.full.is_set():
                self.dropped = self.dropped + 1
            self.frame = frame
            self.full.set()

    def take(self):
        while True:
            self.full.wait()
            with self.lock:
                if self.full.is_set():
                    self.full.clear()
                    return self.frame
""",
            Slip("not cleared", "                    self.full.clear()\n", "", names=("empty after one take",)),
            Slip("no sleep", "            self.full.wait()\n", "            pass\n", names=("looks again and again",)),
            Slip(
                "not set",
                "            self.full.set()\n",
                "            self.full.clear()\n",
                names=("take did not end",),
            ),
        ),
    ],
    "19.4": [
        Style(
            "sum so far",
            """
def fewest_threads(stages, fps):
    limit = 1 / fps
    result, used = [], limit
    for name in stages:
        if used + stages[name] > limit or not result:
            result.append([name])
            used = stages[name]
        else:
            result[-1].append(name)
            used += stages[name]
    return result
""",
            Slip(
                "not begun anew",
                "used = stages[name]\n        else",
                "used += stages[name]\n        else",
                names=("3 threads do",),
            ),
            Slip("rate for a time", "limit = 1 / fps", "limit = fps", names=("takes 58 ms",)),
        ),
        Style(
            "milliseconds in a while loop",
            """
def fewest_threads(stages, fps):
    names = list(stages)
    threads = []
    while names:
        n = 1
        while n < len(names) and sum(1000 * stages[s] for s in names[: n + 1]) <= 1000 / fps:
            n += 1
        threads.append(names[:n])
        names = names[n:]
    return threads
""",
            Slip("one more than fits", "names[: n + 1]) <= 1000", "names[:n]) <= 1000", names=("takes 42 ms",)),
            Slip("one stage a thread", "n += 1\n", "break\n", names=("3 threads do",)),
            Slip("from the end", "names = list(stages)", "names = list(stages)[::-1]", names=("in this order",)),
        ),
        Style(
            "recursion",
            """
def fewest_threads(stages, fps):
    items = list(stages.items())
    if not items:
        return []
    room, group = 1 / fps, []
    while items and items[0][1] <= room:
        name, seconds = items.pop(0)
        room -= seconds
        group.append(name)
    return [group, *fewest_threads(dict(items), fps)]
""",
            Slip("room not used up", "        room -= seconds\n", "", names=("takes 58 ms",)),
            Slip(
                "later ones first",
                "return [group, *fewest_threads(dict(items), fps)]",
                "return [*fewest_threads(dict(items), fps), group]",
                names=("in this order",),
            ),
            Slip(
                "rate halved each time",
                "fewest_threads(dict(items), fps)]",
                "fewest_threads(dict(items), fps / 2)]",
                names=("takes 46 ms",),
            ),
        ),
        Style(
            "all cuts are tried, the fewest first",
            """
from itertools import combinations

def fewest_threads(stages, fps):
    names = list(stages)
    for cuts in range(len(names)):
        for places in combinations(range(1, len(names)), cuts):
            ends = [0, *places, len(names)]
            groups = [names[a:b] for a, b in zip(ends, ends[1:])]
            if all(sum(stages[n] for n in g) <= 1 / fps for g in groups):
                return groups
""",
            Slip("any thread", "if all(sum", "if any(sum", names=("takes 50 ms",)),
            Slip(
                "most threads first",
                "in range(len(names)):",
                "in reversed(range(len(names))):",
                names=("3 threads do",),
            ),
            Slip(
                "total time",
                "for n in g) <= 1 / fps for g in groups",
                "for n in names) <= len(groups) / fps for g in groups",
                names=("takes 50 ms",),
            ),
        ),
        Style(
            "reduce",
            """
from functools import reduce

def fewest_threads(stages, fps):
    def add(groups, name):
        *done, last = groups
        if sum(map(stages.get, last), stages[name]) <= 1 / fps:
            return [*done, [*last, name]]
        return [*groups, [name]]

    return reduce(add, stages, [[]])
""",
            Slip("twice the time", "<= 1 / fps", "<= 2 / fps", names=("takes 58 ms",)),
            Slip(
                "without the new one",
                "sum(map(stages.get, last), stages[name])",
                "sum(map(stages.get, last))",
                names=("takes 42 ms",),
            ),
        ),
    ],
    "19.5": readings("what_is_wrong", "b", a="segment_ms is 24", c="dropped stays 0"),
}
