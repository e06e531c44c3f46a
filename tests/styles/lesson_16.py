"""Lesson 16 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "16.1": [
        Style(
            "both readings through one helper",
            """
def stopwatch(run, wait, clock):
    def idle():
        wait()
        return clock()

    begin = idle()
    run()
    return idle() - begin
""",
            Slip("no wait at all", "        wait()\n", "", names=("second time",)),
            Slip("negative", "idle() - begin", "begin - idle()", names=("the other sign",)),
            Slip("twice", "    run()\n", "    run()\n    run()\n", names=("two runs",)),
        ),
        Style(
            "a list of readings",
            """
def stopwatch(run, wait, clock):
    at = []
    wait()
    at.append(clock())
    run()
    wait()
    at.append(clock())
    first, last = at
    return last - first
""",
            Slip("waits at the end alone", "    at = []\n    wait()\n", "    at = []\n", names=("first time",)),
            Slip("waits at the start alone", "    run()\n    wait()\n", "    run()\n", names=("second time",)),
            Slip("half of it", "last - first", "(last - first) / 2", names=("half the time",)),
        ),
        Style(
            "a context manager",
            """
import contextlib

def stopwatch(run, wait, clock):
    spent = []

    @contextlib.contextmanager
    def timed():
        wait()
        t = clock()
        yield
        wait()
        spent.append(clock() - t)

    with timed():
        run()
    return spent[0]
""",
            Slip(
                "clock before the wait",
                "wait()\n        t = clock()\n",
                "t = clock()\n        wait()\n",
                names=("first time",),
            ),
            Slip(
                "waits after reading",
                "wait()\n        spent.append(clock() - t)",
                "spent.append(clock() - t)\n        wait()",
                names=("second time",),
            ),
        ),
        Style(
            "in a loop of one",
            """
def stopwatch(run, wait, clock):
    total = 0.0
    for act in (run,):
        wait()
        total -= clock()
        act()
        wait()
        total += clock()
    return total
""",
            Slip("warms up", "total -= clock()\n        act()\n", "act()\n        total -= clock()\n        act()\n"),
            Slip("wrong sign", "total -= clock()", "total += clock()"),
            Slip("runs before the clock", "total -= clock()\n        act()\n", "act()\n        total -= clock()\n"),
        ),
        Style(
            "a tuple, evaluated from left to right",
            """
def stopwatch(run, wait, clock):
    _, before, _, _, after = wait(), clock(), run(), wait(), clock()
    return after - before
""",
            Slip(
                "wait forgotten",
                "wait(), clock(), run(), wait(), clock()",
                "None, clock(), run(), wait(), clock()",
                names=("first time",),
            ),
            Slip("seconds", "after - before", "(after - before) / 1000", names=("seconds, and the clock",)),
            Slip("wait before run", "run(), wait(), clock()", "wait(), run(), clock()", names=("second time",)),
        ),
    ],
    "16.2": [
        Style(
            "decorated inner function",
            """
def measure(model, run, wait, clock, warm_up=3, calls=20):
    @torch.inference_mode()
    def timed():
        for _ in range(warm_up):
            run()
        found = []
        while len(found) < calls:
            found.append(stopwatch(run, wait, clock))
        return found

    was = model.training
    model.train(False)
    try:
        return timed()
    finally:
        model.train(was)
""",
            Slip("gradients", "    @torch.inference_mode()\n", "", names=("inference_mode",)),
            Slip("training mode", "model.train(False)", "model.train(True)", names=("training mode",)),
            Slip("one call too many", "len(found) < calls", "len(found) <= calls", names=("has 5 numbers",)),
            Slip("left in evaluation", "model.train(was)", "model.eval()", names=("afterwards it is False",)),
        ),
        Style(
            "all runs timed, the first cut off",
            """
def measure(model, run, wait, clock, warm_up=3, calls=20):
    training = model.training
    try:
        model.eval()
        with torch.inference_mode():
            every = [stopwatch(run, wait, clock) for _ in range(warm_up + calls)]
    finally:
        if training:
            model.train()
    return every[warm_up:]
""",
            Slip("warm-up counts", "return every[warm_up:]", "return every", names=("what warms up has none",)),
            Slip(
                "the last ones cut off",
                "return every[warm_up:]",
                "return every[:calls]",
                names=("first runs are cold",),
            ),
            Slip("sorted", "return every[warm_up:]", "return sorted(every[warm_up:])", names=("in another order",)),
            Slip("turned round", "if training:", "if not training:", names=("afterwards it is False",)),
        ),
        Style(
            "its own context manager",
            """
from contextlib import contextmanager

@contextmanager
def resting(model):
    before = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(before)

def measure(model, run, wait, clock, warm_up=3, calls=20):
    with resting(model):
        [run() for _ in range(warm_up)]
        return list(stopwatch(run, wait, clock) for _ in range(calls))
""",
            Slip(
                "mean",
                "return list(stopwatch(run, wait, clock) for _ in range(calls))",
                "return [np.mean([stopwatch(run, wait, clock) for _ in range(calls)])]",
                names=("One call, one number",),
            ),
            Slip("evaluation forgotten", "    model.eval()\n", "", names=("training mode",)),
            Slip("not in finally", "    finally:\n", "    finally:\n        pass\n    if True:\n", names=("finally",)),
        ),
        Style(
            "inference mode entered and left by hand",
            """
def measure(model, run, wait, clock, warm_up=3, calls=20):
    mode, times = model.training, []
    guard = torch.inference_mode()
    model.eval()
    guard.__enter__()
    try:
        for k in range(-warm_up, calls):
            ms = stopwatch(run, wait, clock)
            if k >= 0:
                times.append(ms)
    finally:
        guard.__exit__(None, None, None)
        model.train(mode)
    return times
""",
            Slip(
                "one warm run too few", "range(-warm_up, calls)", "range(1 - warm_up, calls)", names=("yours made 6",)
            ),
            Slip("one noted too early", "if k >= 0", "if k >= -1", names=("what warms up has none",)),
            Slip("a tuple", "return times", "return tuple(times)", names=("a tuple came",)),
        ),
        Style(
            "ExitStack",
            """
import contextlib

def measure(model, run, wait, clock, warm_up=3, calls=20):
    with contextlib.ExitStack() as stack:
        stack.callback(model.train, model.training)
        stack.enter_context(torch.inference_mode())
        model.eval()
        n = warm_up
        while n:
            run()
            n -= 1
        return [stopwatch(run, wait, clock) for _ in [None] * calls]
""",
            Slip(
                "mode asked too late",
                "    with contextlib.E",
                "    model.eval()\n    with contextlib.E",
                names=("afterwards it is False",),
            ),
            Slip(
                "one clock around all",
                "stopwatch(run, wait, clock) for _ in [None] * calls]",
                "stopwatch(lambda: [run() for _ in range(calls)], wait, clock) / calls] * calls",
                names=("each call is timed by itself",),
            ),
            Slip("warm-up forgotten", "n = warm_up", "n = 0", names=("yours made 4",)),
            Slip(
                "errors eaten",
                "with contextlib.ExitStack() as stack:",
                "with contextlib.suppress(Exception), contextlib.ExitStack() as stack:",
                names=("let the error pass",),
            ),
        ),
    ],
    "16.3": [
        Style(
            "a deque that turns",
            """
from collections import deque

def take_turns(runs, wait, clock, rounds):
    order = deque(runs)
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name in order:
            times[name].append(stopwatch(runs[name], wait, clock))
        order.rotate(-1)
    return times
""",
            Slip("turned the other way", "order.rotate(-1)", "order.rotate(1)", names=("rounds begin with",)),
            Slip("not turned", "        order.rotate(-1)\n", "", names=("rounds begin with",)),
            Slip(
                "one list for all",
                "{name: [] for name in runs}",
                "dict.fromkeys(runs, [])",
                names=("must hold 4 numbers",),
            ),
        ),
        Style(
            "modulo for every place",
            """
def take_turns(runs, wait, clock, rounds):
    keys, n = tuple(runs), len(runs)
    out = {}
    for r in range(rounds):
        for i in range(n):
            k = keys[(r + i) % n]
            out.setdefault(k, []).append(stopwatch(runs[k], wait, clock))
    return out
""",
            Slip("always the same order", "(r + i) % n", "i", names=("rounds begin with",)),
            Slip("backwards", "(r + i) % n", "(r - i) % n", names=("Round 1 runs",)),
            Slip(
                "variant by variant",
                "for r in range(rounds):\n        for i in range(n):",
                "for i in range(n):\n        for r in range(rounds):",
                names=("rounds begin with",),
            ),
        ),
        Style(
            "itertools",
            """
import itertools

def take_turns(runs, wait, clock, rounds):
    found = {name: [None] * rounds for name in runs}
    endless = itertools.cycle(runs)
    for r in range(rounds):
        for name in itertools.islice(endless, len(runs)):
            found[name][r] = stopwatch(runs[name], wait, clock)
        next(endless)
    return found
""",
            Slip("nobody skipped", "        next(endless)\n", "", names=("rounds begin with",)),
            Slip(
                "two skipped",
                "        next(endless)\n",
                "        next(endless)\n        next(endless)\n",
                names=("rounds begin with",),
            ),
            Slip(
                "one too few a round",
                "islice(endless, len(runs))",
                "islice(endless, len(runs) - 1)",
                names=("yours made 8",),
            ),
        ),
        Style(
            "an array, filled",
            """
def take_turns(runs, wait, clock, rounds):
    names = list(runs)
    ms = np.zeros((len(names), rounds))
    for r in range(rounds):
        for i in np.roll(np.arange(len(names)), -r):
            ms[i, r] = stopwatch(runs[names[i]], wait, clock)
    return {name: row.tolist() for name, row in zip(names, ms)}
""",
            Slip("rolled to the right", "-r)", "r)", names=("rounds begin with",)),
            Slip(
                "warm-up before each",
                "ms[i, r] = stopwatch",
                "runs[names[i]]()\n            ms[i, r] = stopwatch",
                names=("yours made 24",),
            ),
            Slip("rows and columns", "zip(names, ms)", "zip(names, ms.T)", names=("must hold 4 numbers",)),
        ),
        Style(
            "pop from the front, append at the end",
            """
def take_turns(runs, wait, clock, rounds):
    result = {name: [] for name in runs}
    waiting = list(runs.items())
    for _ in range(rounds):
        for name, run in waiting:
            result[name] += [stopwatch(run, wait, clock)]
        waiting.append(waiting.pop(0))
    return result
""",
            Slip(
                "pop at the end",
                "waiting.append(waiting.pop(0))",
                "waiting.insert(0, waiting.pop())",
                names=("rounds begin with",),
            ),
            Slip(
                "own clock, no wait",
                "stopwatch(run, wait, clock)",
                "-clock() + (run() or 0) + clock()",
                names=("Use stopwatch",),
            ),
            Slip("one round too many", "range(rounds)", "range(rounds + 1)", names=("yours made 15",)),
            Slip("items, not a dict", "return result", "return list(result.items())", names=("a list came",)),
        ),
    ],
    "16.4": [
        Style(
            "zip, and three percentiles",
            """
def speed_up(reference, other):
    each = [a / b for a, b in zip(reference, other)]
    return tuple(float(np.percentile(each, p)) for p in (10, 50, 90))
""",
            Slip("turned round", "a / b for", "b / a for", names=("the ratios turned round",)),
            Slip("quartiles", "(10, 50, 90)", "(25, 50, 75)", names=("the 25th",)),
            Slip(
                "mean in the middle",
                "float(np.percentile(each, p)) for p in (10, 50, 90)",
                "float(np.mean(each)) if p == 50 else float(np.percentile(each, p)) for p in (10, 50, 90)",
                names=("the mean of the ratios",),
            ),
        ),
        Style(
            "quantile, tolist",
            """
def speed_up(reference, other):
    r = np.divide(reference, other)
    p10, p50, p90 = np.quantile(r, [0.1, 0.5, 0.9]).tolist()
    return p10, p50, p90
""",
            Slip("highest first", "return p10, p50, p90", "return p90, p50, p10", names=("of the other end",)),
            Slip("ends for percentiles", "[0.1, 0.5, 0.9]", "[0, 0.5, 1]", names=("the smallest of all",)),
            Slip(
                "sorted first",
                "np.divide(reference, other)",
                "np.divide(np.sort(reference), np.sort(other))",
                names=("rounds are torn apart",),
            ),
        ),
        Style(
            "sorted by hand, between two neighbours",
            """
def speed_up(reference, other):
    ratios = sorted(x / y for x, y in zip(reference, other, strict=True))

    def at(share):
        place = share * (len(ratios) - 1)
        low = int(place)
        high = min(low + 1, len(ratios) - 1)
        return ratios[low] + (place - low) * (ratios[high] - ratios[low])

    return at(0.1), at(0.5), at(0.9)
""",
            Slip("length for last place", "(len(ratios) - 1)\n        low", "len(ratios)\n        low"),
            Slip(
                "not between",
                "return ratios[low] + (place - low) * (ratios[high] - ratios[low])",
                "return ratios[low]",
                names=("not between two neighbours",),
            ),
            Slip(
                "not sorted",
                "sorted(x / y for x, y in zip(reference, other, strict=True))",
                "[x / y for x, y in zip(reference, other, strict=True)]",
                names=("the median without sorting",),
            ),
        ),
        Style(
            "torch",
            """
def speed_up(reference, other):
    a, b = (torch.tensor(v, dtype=torch.float64) for v in (reference, other))
    q = torch.quantile(a / b, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    return q[0].item(), q[1].item(), q[2].item()
""",
            Slip("differences", "a / b", "a - b", names=("the median of the differences",)),
            Slip(
                "ratio of the medians",
                "q[1].item()",
                "(a.median() / b.median()).item()",
                names=("the ratio of the two medians",),
            ),
            Slip("the same end twice", "q[2].item()", "q[0].item()", names=("of the other end",)),
        ),
        Style(
            "statistics",
            """
import statistics

def speed_up(reference, other):
    quotients = list(map(lambda pair: pair[0] / pair[1], zip(reference, other)))
    tenths = statistics.quantiles(quotients, n=10, method="inclusive")
    return tenths[0], statistics.median(quotients), tenths[-1]
""",
            Slip("exclusive", '"inclusive"', '"exclusive"', names=("stays inside this one",)),
            Slip("twentieths", "n=10", "n=20", names=("the 5th",)),
            Slip(
                "per cent",
                "statistics.median(quotients)",
                "100 * statistics.median(quotients)",
                names=("per cent, and a factor",),
            ),
        ),
    ],
    "16.5": [
        Style(
            "seconds first, then an if",
            """
def least_time(macs, moved, gflops, gigabytes):
    computing = 2 * macs / gflops / 1e9
    moving = moved / gigabytes / 1e9
    if computing > moving:
        return computing * 1000, "arithmetic"
    return moving * 1000, "memory"
""",
            Slip("one operation each", "2 * macs", "macs", names=("two operations",)),
            Slip("seconds", "moving * 1000", "moving", names=("seconds, not",)),
            Slip("the shorter", "if computing > moving", "if computing < moving"),
        ),
        Style(
            "max of pairs",
            """
def least_time(macs, moved, gflops, gigabytes):
    times = [(2e-6 * macs / gflops, "arithmetic"), (1e-6 * moved / gigabytes, "memory")]
    return max(times)
""",
            Slip("min", "max(times)", "min(times)", names=("the shorter one",)),
            Slip(
                "microseconds",
                '(1e-6 * moved / gigabytes, "memory")',
                '(1e-3 * moved / gigabytes, "memory")',
                names=("memory's time in microseconds",),
            ),
            Slip("peaks exchanged", "2e-6 * macs / gflops", "2e-6 * macs / gigabytes"),
        ),
        Style(
            "a dict, max with a key",
            """
def least_time(macs, moved, gflops, gigabytes):
    ms = {"arithmetic": 2 * macs / (gflops * 1e6), "memory": moved / (gigabytes * 1e6)}
    bound = max(ms, key=ms.get)
    return ms[bound], bound
""",
            Slip("the sum", "return ms[bound], bound", "return sum(ms.values()), bound", names=("their sum",)),
            Slip(
                "order of the answer",
                "return ms[bound], bound",
                "return bound, ms[bound]",
                names=("should be a number",),
            ),
            Slip("longest name", "key=ms.get", "key=len", names=("the shorter one",)),
        ),
        Style(
            "compares intensity with the knee",
            """
def least_time(macs, moved, gflops, gigabytes):
    operations = macs * 2
    intensity, knee = operations / moved, gflops / gigabytes
    if intensity > knee:
        return operations / (1e9 * gflops) * 1e3, "arithmetic"
    return moved / (1e9 * gigabytes) * 1e3, "memory"
""",
            Slip("knee upside down", "gflops / gigabytes", "gigabytes / gflops"),
            Slip(
                "macs over the bytes",
                "intensity, knee = operations / moved",
                "intensity, knee = 0.02 * operations / moved",
            ),
            Slip("words exchanged", '1e3, "arithmetic"', '1e3, "memory"', names=("yours says 'memory'",)),
        ),
        Style(
            "numpy",
            """
def least_time(macs, moved, gflops, gigabytes):
    both = np.array([2.0 * macs, moved]) / np.array([gflops, gigabytes])
    which = int(both.argmax())
    return float(both[which]) / 1e6, ("arithmetic", "memory")[which]
""",
            Slip("mean", "float(both[which])", "float(both.mean())"),
            Slip("1e9", "/ 1e6", "/ 1e9", names=("seconds, not",)),
            Slip(
                "names exchanged",
                '("arithmetic", "memory")',
                '("memory", "arithmetic")',
                names=("yours says 'memory'",),
            ),
        ),
    ],
    "16.6": readings("reading", "d", a="two medians", b="lower end"),
}
