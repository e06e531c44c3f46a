"""Wrong answers to lesson 16's exercises, and a few that are right in another way."""

from mutants import Mutant

_STOPWATCH = """    wait()
    started = clock()
    run()
    wait()
    return clock() - started"""
_TIMED = "return [stopwatch(run, wait, clock) for _ in range(calls)]"
_WARM = """            for _ in range(warm_up):
                run()
"""
_TURN = "for name in names[first:] + names[:first]:"
_ROUNDS = """    for r in range(rounds):
        first = r % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(stopwatch(runs[name], wait, clock))"""
_RATIOS = "ratios = np.array(reference) / np.array(other)"
_READING = 'return "d"'

MUTANTS = {
    "16.1": [
        Mutant("as given", _STOPWATCH, _STOPWATCH.replace("wait()", "pass", 1), "Three runs were still in the queue"),
        Mutant(
            "waits too late",
            "wait()\n    return clock() - started",
            "stopped = clock()\n    wait()\n    return stopped - started",
            "yours says 0.5",
        ),
        Mutant("never waits", _STOPWATCH, _STOPWATCH.replace("wait()", "pass"), "yours says 0.5"),
        Mutant(
            "reads, then waits", "wait()\n    started = clock()", "started = clock()\n    wait()", "yours says 79.5"
        ),
        Mutant(
            "warms up as well",
            "started = clock()\n    run()",
            "run()\n    started = clock()\n    run()",
            "yours says 40",
        ),
        Mutant("and even waits for it", "wait()\n    started", "run()\n    wait()\n    started", "ran 2 times"),
        Mutant("in seconds", "return clock() - started", "return (clock() - started) / 1000", "yours says 0.0205"),
        Mutant("no answer", "return clock() - started", "clock() - started", "yours says None"),
        Mutant("sign", "return clock() - started", "return started - clock()", "yours says -20.5"),
        Mutant(
            "named otherwise, right as well",
            "return clock() - started",
            "stopped = clock()\n    return stopped - started",
        ),
        Mutant("waits once more, right as well", "    run()\n", "    wait()\n    run()\n"),
    ],
    "16.2": [
        Mutant("the warm-up is noted", _WARM, "", "warm_up=3 and calls=4 are 7 runs; yours made 4"),
        Mutant(
            "in the list", f"{_TIMED}", _TIMED.replace("range(calls)", "range(warm_up + calls)"), "One call, one number"
        ),
        Mutant("always three", "range(warm_up)", "range(3)", "warm_up=1"),
        Mutant(
            "the mean of all",
            _TIMED,
            "return [sum(stopwatch(run, wait, clock) for _ in range(calls)) / calls] * calls",
            "yours is [35.0, 35.0, 35.0, 35.0]",
        ),
        Mutant("one number", _TIMED, "return stopwatch(run, wait, clock)", "a float came"),
        Mutant("sorted", _TIMED, _TIMED.replace("[", "sorted([").replace("]", "])"), "must begin with 60"),
        Mutant("no wait", _TIMED, _TIMED.replace("wait,", "lambda: None,"), "Call 5 of 10"),
        Mutant("training mode", "    model.eval()\n", "", "the model was in training mode"),
        Mutant("with gradients", "with torch.inference_mode():", "if True:", "all that a gradient needs"),
        Mutant("mode not put back", "model.train(mode)", "pass", "afterwards it is False"),
        Mutant("always training mode", "model.train(mode)", "model.train()", "afterwards it is True"),
        Mutant("always evaluation mode", "model.train(mode)", "model.eval()", "afterwards it is False"),
        Mutant(
            "not after an error",
            "    finally:\n        model.train(mode)",
            "    except ZeroDivisionError:\n        pass",
            "afterwards it is False",
        ),
        Mutant(
            "the error is swallowed",
            "    finally:",
            "    except MemoryError:\n        pass\n    finally:",
            "let the error pass",
        ),
        Mutant("no_grad, right as well", "torch.inference_mode()", "torch.no_grad()"),
        Mutant(
            "with a loop, right as well",
            _TIMED,
            "found = []\n            while len(found) < calls:\n"
            "                found.append(stopwatch(run, wait, clock))\n            return found",
        ),
    ],
    "16.3": [
        Mutant(
            "one after the other",
            _ROUNDS,
            "    for name in names:\n        for r in range(rounds):\n"
            "            found[name].append(stopwatch(runs[name], wait, clock))",
            "Round 0 ran ['a', 'a', 'a']",
        ),
        Mutant("always the same first", _TURN, "for name in names:", "The rounds begin with ['a', 'a', 'a', 'a', 'a']"),
        Mutant("back and forth", _TURN, "for name in names[:: 1 - 2 * (r % 2)]:", "['a', 'c', 'a', 'c', 'a']"),
        Mutant(
            "turned the other way", _TURN, "for name in names[-first:] + names[:-first]:", "['a', 'c', 'b', 'a', 'c']"
        ),
        Mutant("no circle", "first = r % len(names)", "first = r", "['a', 'b', 'c', 'a', 'a']"),
        Mutant("one round less", "range(rounds)", "range(rounds - 1)", "4 rounds of 3 variants are 12 runs"),
        Mutant(
            "runs twice",
            "            found[name]",
            "            runs[name]()\n            found[name]",
            "yours made 24",
        ),
        Mutant(
            "does not wait",
            "stopwatch(runs[name], wait, clock)",
            "stopwatch(runs[name], lambda: None, clock)",
            "Use stopwatch",
        ),
        Mutant(
            "only the medians",
            "return found",
            "return {n: float(np.median(t)) for n, t in found.items()}",
            "must hold 4 numbers",
        ),
        Mutant("the list alone", "return found", "return list(found.values())", "a list came"),
        Mutant(
            "with an index, right as well",
            _ROUNDS,
            "    for r in range(rounds):\n        for k in range(len(names)):\n"
            "            name = names[(r + k) % len(names)]\n"
            "            found[name].append(stopwatch(runs[name], wait, clock))",
        ),
        Mutant(
            "a list that is turned, right as well",
            _ROUNDS,
            "    for _ in range(rounds):\n        for name in names:\n"
            "            found[name] += [stopwatch(runs[name], wait, clock)]\n"
            "        names.append(names.pop(0))",
        ),
    ],
    "16.4": [
        Mutant("turned round", _RATIOS, "ratios = np.array(other) / np.array(reference)", "the ratios turned round"),
        Mutant(
            "ratio of the medians",
            _RATIOS,
            "ratios = np.median(reference) / np.median(other)",
            "the ratio of the two medians",
        ),
        Mutant("sorted first", _RATIOS, "ratios = np.sort(reference) / np.sort(other)", "rounds are torn apart"),
        Mutant("quartiles", "(10, 50, 90)", "(25, 50, 75)", "another percentile, the 25th"),
        Mutant("the other end first", "(10, 50, 90)", "(90, 50, 10)", "the percentile of the other end"),
        Mutant("shares", "(10, 50, 90)", "(0.1, 0.5, 0.9)", "np.percentile takes per cent"),
        Mutant("the mean", "float(median)", "float(ratios.mean())", "the mean of the ratios"),
        Mutant(
            "the median alone", "return float(low), float(median), float(high)", "return float(median)", "Three numbers"
        ),
        Mutant(
            "quantiles, right as well", "np.percentile(ratios, (10, 50, 90))", "np.quantile(ratios, (0.1, 0.5, 0.9))"
        ),
        Mutant("a list, right as well", _RATIOS, "ratios = [r / o for r, o in zip(reference, other)]"),
    ],
    "16.5": [
        Mutant("one operation", "1e3 * 2 * macs", "1e3 * macs", "a multiply-add is two operations"),
        Mutant("seconds", "max(arithmetic, memory)", "max(arithmetic, memory) / 1e3", "seconds, not milliseconds"),
        Mutant("the sum", "max(arithmetic, memory)", "arithmetic + memory", "their sum"),
        Mutant("the shorter one", "max(arithmetic, memory)", "min(arithmetic, memory)", "the shorter one"),
        Mutant("names exchanged", "if arithmetic > memory", "if arithmetic < memory", "yours says 'memory'"),
        Mutant("peaks exchanged", "(1e9 * gflops)", "(1e9 * gigabytes)", "the least time is"),
        Mutant("four bytes each", "1e3 * moved", "1e3 * 4 * moved", "and yours is"),
        Mutant("arithmetic alone", "max(arithmetic, memory)", "arithmetic", "the shorter one"),
        Mutant("written shorter, right as well", "1e3 * 2 * macs / (1e9 * gflops)", "2e-6 * macs / gflops"),
        Mutant(
            "pairs, right as well",
            'return longer, "arithmetic" if arithmetic > memory else "memory"',
            'return max((arithmetic, "arithmetic"), (memory, "memory"))',
        ),
    ],
    "16.6": [
        Mutant("two medians", _READING, 'return "a"', "from below 1 to well above"),
        Mutant("a lucky median", _READING, 'return "b"', "the lower end lies below 1"),
        Mutant("two machines", _READING, 'return "c"', "AVX-512"),
        Mutant("no such reading", _READING, 'return "e"', "reading"),
        Mutant("in capitals", _READING, 'return "D"', "reading"),
        Mutant("no answer", _READING, "pass", "returns nothing"),
        Mutant("two quotes, right as well", _READING, "return 'd'"),
        Mutant("after a look, right as well", _READING, 'answer = "d"\n    return answer'),
    ],
}
