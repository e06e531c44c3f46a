"""Lesson 19: wrong answers that `check` must refuse, and a few right ones in other words."""

from mutants import Mutant

_TAKE = """with self._changed:
            self._changed.wait_for(lambda: self._frames)
            return self._frames.pop()"""
_ONE_BY_ONE = """there = sum(t <= now for t in waiting)
            waiting = waiting[there - 1 :]"""

_GROUPS = """groups = [[]]
    for name, seconds in stages.items():
        if sum(stages[n] for n in groups[-1]) + seconds > 1 / fps:
            groups.append([])
        groups[-1].append(name)"""

MUTANTS = {
    "19.1": [
        Mutant("no delay", "labels[frames:]", "labels", "that is without delay"),
        Mutant("one frame, whatever is asked", "labels[frames:]", "labels[1:]", "that is one frame more"),
        Mutant(
            "right: the other way round, IoU being symmetric",
            "zip(labels, labels[frames:]",
            "zip(labels[frames:], labels",
        ),
        Mutant("void of the mask in the truth", "np.where(shown == 255, 255, now)", "now", "cannot be run"),
        Mutant(
            "void of the mask scored",
            "(shown, np.where(shown == 255, 255, now))",
            "(np.where(shown == 255, 0, shown), now)",
            "that scores void of the mask as class 0",
        ),
        Mutant("share, not per cent", "100 * matrix", "matrix", "that is a share, not per cent"),
        Mutant("pixel accuracy", "compute().miou", "compute().pixel_accuracy", "that is the pixel accuracy"),
        Mutant(
            "labels written to",
            "return 100 * matrix",
            "labels[:] = 0\n    return 100 * matrix",
            "After it labels are others",
        ),
        Mutant(
            "right: places in a loop",
            "for shown, now in zip(labels, labels[frames:], strict=False):",
            "for t in range(len(labels) - frames):\n        shown, now = labels[t], labels[t + frames]",
        ),
        Mutant(
            "right: all at once",
            "for shown, now in zip(labels, labels[frames:], strict=False):\n        matrix",
            "now = labels[frames:]\n    shown = labels[: len(now)]\n    if True:\n        matrix",
        ),
    ],
    "19.2": [
        Mutant("changes what it was given", "list(arrivals)", "arrivals", "changed what it was given"),
        Mutant("work alone", "ages.append(now - taken)", "ages.append(work)", "answer"),
        Mutant("waiting alone", "ages.append(now - taken)", "ages.append(now - work - taken)", "answer"),
        Mutant("never waits for a frame", "now = max(now, waiting[0])", "pass", "answer"),
        Mutant("always the newest", "if newest:", "if True:", "answer"),
        Mutant("always the oldest", "if newest:", "if False:", "answer"),
        Mutant(
            "newest by the end of the work",
            "sum(t <= now for t in waiting)",
            "max(1, sum(t <= now + work for t in waiting))",
            "answer",
        ),
        Mutant("one frame too old", "waiting[there - 1 :]", "waiting[max(there - 2, 0) :]", "answer"),
        Mutant(
            "right: dropped one by one",
            _ONE_BY_ONE,
            "while len(waiting) > 1 and waiting[1] <= now:\n                waiting.pop(0)",
        ),
        Mutant("right: a copy by slice", "list(arrivals)", "arrivals[:]"),
    ],
    "19.3": [
        Mutant("the oldest stays", "self._frames = [frame]", "self._frames = self._frames or [frame]", "take gave 'a'"),
        Mutant("a queue", "self._frames = [frame]", "self._frames = [frame, *self._frames]", "the newest is c"),
        Mutant("every put counts", "+= len(self._frames)", "+= 1", "dropped should be 2, and is 3"),
        Mutant("nothing counts", "+= len(self._frames)", "+= 0", "dropped should be 2, and is 0"),
        Mutant("given twice", "self._frames.pop()", "self._frames[-1]", "the place is empty after one take"),
        Mutant(
            "None where there is none",
            _TAKE,
            "return self._frames.pop() if self._frames else None",
            "wait for the next frame, and gave None",
        ),
        Mutant("nobody is told", "            self._changed.notify()\n", "", "put must wake it (notify)"),
        Mutant(
            "in circles",
            _TAKE,
            "while not self._frames:\n            pass\n        return self._frames.pop()",
            "looks again and again",
        ),
        Mutant(
            "in circles, and keeps the lock",
            _TAKE,
            "with self._changed:\n            while not self._frames:\n                pass\n"
            "            return self._frames.pop()",
            "put('d') did not end within 2 seconds",
        ),
        Mutant(
            "sleeps, and keeps the lock",
            _TAKE,
            "with self._changed:\n            while not self._frames:\n                threading.Event().wait(0.01)\n"
            "            return self._frames.pop()",
            "put('d') did not end within 2 seconds",
        ),
        Mutant(
            "a put that never ends",
            "self._frames = [frame]",
            "self._frames = [frame]\n            while self._frames:\n                pass",
            "put('a') did not end within 2 seconds",
        ),
        Mutant(
            "an error where it should wait",
            "            self._changed.wait_for(lambda: self._frames)\n",
            "",
            "take must wait where nothing lies, and yours stops: IndexError",
        ),
        Mutant("right: notify all", "notify()", "notify_all()"),
        Mutant(
            "right: wait in a loop",
            "self._changed.wait_for(lambda: self._frames)",
            "while not self._frames:\n                self._changed.wait()",
        ),
    ],
    "19.4": [
        Mutant("one thread", "if sum(stages[n] for n in groups[-1]) + seconds > 1 / fps:", "if False:", "has 33"),
        Mutant(
            "one thread a stage",
            "if sum(stages[n] for n in groups[-1]) + seconds > 1 / fps:",
            "if groups[-1]:",
            "threads do for",
        ),
        Mutant("looks too late", "+ seconds > 1 / fps", "> 1 / fps", "and a frame at"),
        Mutant("sorted", "stages.items()", "sorted(stages.items(), key=lambda s: s[1])", "in this order"),
        Mutant("rate for time", "> 1 / fps", "> fps", "has 33"),
        Mutant(
            "a stage lost",
            "groups.append([])\n        groups[-1].append(name)",
            "groups.append([])\n        else:\n            groups[-1].append(name)",
            "in this order",
        ),
        Mutant(
            "right: a running sum",
            _GROUPS,
            "groups, used = [[]], 0.0\n    for name, seconds in stages.items():\n        if used + seconds > 1 / fps:\n"
            "            groups.append([])\n            used = 0.0\n        used += seconds\n"
            "        groups[-1].append(name)",
        ),
        Mutant("right: without a first empty one", "return groups", "return [group for group in groups if group]"),
    ],
    "19.5": [
        Mutant("heat", 'return "b"', 'return "a"', "segment_ms is 24 in all lines"),
        Mutant("dropping", 'return "b"', 'return "c"', "nothing was thrown away"),
        Mutant("drawing", 'return "b"', 'return "d"', "draw_ms is 3"),
        Mutant("no such letter", 'return "b"', 'return "e"', "no reading 'e'"),
        Mutant("a sentence", 'return "b"', 'return "the queue"', "no reading 'the queue'"),
        Mutant("right: by a variable", 'return "b"', 'letter = "abcd"[1]\n    return letter'),
    ],
}
