"""Lesson 14 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "14.1": [
        Style(
            "statistics",
            """
import statistics


def effect(log, row, against):
    scores = {(line["variant"], line["seed"]): line["miou"] for line in log}
    seeds = [seed for variant, seed in scores if variant == row and (against, seed) in scores]
    d = [scores[row, s] - scores[against, s] for s in seeds]
    return statistics.mean(d), statistics.stdev(d) / len(d) ** 0.5, len(d)
""",
            Slip(
                "sign",
                "scores[row, s] - scores[against, s]",
                "scores[against, s] - scores[row, s]",
                names=("other sign",),
            ),
            Slip("over n", "statistics.stdev", "statistics.pstdev"),
            Slip("the spread", " / len(d) ** 0.5", "", names=("the spread of a single seed",)),
        ),
        Style(
            "numpy, common seeds",
            """
def effect(log, row, against):
    a = {x["seed"]: x["miou"] for x in log if x["variant"] == row}
    b = {x["seed"]: x["miou"] for x in log if x["variant"] == against}
    seeds = np.intersect1d(list(a), list(b))
    d = np.array([a[s] for s in seeds]) - np.array([b[s] for s in seeds])
    return d.mean(), d.std(ddof=1) / np.sqrt(d.size), d.size
""",
            Slip("three best seeds", "d.mean(), d", "np.sort(d)[-3:].mean(), d"),
            Slip("ddof forgotten", "d.std(ddof=1)", "d.std()"),
            Slip("one less in the root", "np.sqrt(d.size)", "np.sqrt(d.size - 1)"),
        ),
        Style(
            "a loop with running sums",
            """
def effect(log, row, against):
    n, total, squares = 0, 0.0, 0.0
    for x in log:
        for y in log:
            if x["variant"] == row and y["variant"] == against and x["seed"] == y["seed"]:
                d = x["miou"] - y["miou"]
                n, total, squares = n + 1, total + d, squares + d * d
    mean = total / n
    variance = (squares - n * mean**2) / (n - 1)
    return mean, math.sqrt(variance / n), n
""",
            Slip("every pair of runs", ' and x["seed"] == y["seed"]', "", names=("every run is set against every",)),
            Slip("over n", "/ (n - 1)", "/ n"),
            Slip("absolute differences", 'x["miou"] - y["miou"]', 'abs(x["miou"] - y["miou"])'),
        ),
        Style(
            "a table with gaps",
            """
def effect(log, row, against):
    seeds = 1 + max(x["seed"] for x in log)
    table = np.full((2, seeds), np.nan)
    for x in log:
        if x["variant"] in (row, against):
            table[int(x["variant"] == against), x["seed"]] = x["miou"]
    d = table[0] - table[1]
    d = d[~np.isnan(d)]
    return float(d.mean()), float(np.sqrt(d.var(ddof=1) / len(d))), len(d)
""",
            Slip("gaps kept", "    d = d[~np.isnan(d)]\n", "", names=("nan",)),
            Slip("variance", "float(np.sqrt(d.var(ddof=1) / len(d)))", "float(d.var(ddof=1) / len(d))"),
            Slip("all seeds", "/ len(d))), len(d)", "/ len(d))), seeds"),
        ),
        Style(
            "seed by seed from sorted lines",
            """
from collections import defaultdict


def effect(log, row, against):
    by_seed = defaultdict(dict)
    for line in sorted(log, key=lambda line: line["seed"]):
        by_seed[line["seed"]][line["variant"]] = line["miou"]
    pairs = [found for found in by_seed.values() if row in found and against in found]
    gains = [found[row] - found[against] for found in pairs]
    mean = math.fsum(gains) / len(gains)
    s = math.sqrt(math.fsum((g - mean) ** 2 for g in gains) / (len(gains) - 1))
    return mean, s / math.sqrt(len(gains)), len(gains)
""",
            Slip("seeds of the log", ", len(gains)\n", ", len(by_seed)\n"),
            Slip(
                "relative",
                "found[row] - found[against]",
                "found[row] / found[against] - 1",
                names=("differences are told as shares of",),
            ),
            Slip(
                "no root of n", "s / math.sqrt(len(gains))", "s / len(gains)", names=("the spread is divided by the",)
            ),
        ),
    ],
    "14.2": [
        Style(
            "itertools.count",
            """
from itertools import count


def seeds_needed(spread, gain, reach=reach):
    return next(n for n in count(3) if reach(spread, n) <= gain)
""",
            Slip("from two", "count(3)", "count(2)"),
            Slip("that is not enough", "<= gain", ">= gain"),
            Slip("less than the gain", "<= gain", "< gain"),
        ),
        Style(
            "recursion",
            """
def seeds_needed(spread, gain, reach=reach, n=3):
    if reach(spread, n) <= gain:
        return n
    return seeds_needed(spread, gain, reach, n + 1)
""",
            Slip("one too many", "        return n\n", "        return n + 1\n"),
            Slip("from two", "n=3):", "n=2):"),
            Slip(
                "its own reach forgotten",
                "seeds_needed(spread, gain, reach, n + 1)",
                "seeds_needed(spread, gain, n=n + 1)",
            ),
        ),
        Style(
            "an endless loop, left by break",
            """
def seeds_needed(spread, gain, reach=reach):
    n = 2
    while True:
        n += 1
        if not reach(spread, n) > gain:
            break
    return n
""",
            Slip("from three, and on", "n = 2\n", "n = 3\n"),
            Slip("both sides", "reach(spread, n) > gain", "2 * reach(spread, n) > gain"),
            Slip("in twos", "n += 1", "n += 2"),
        ),
        Style(
            "doubled, then halved",
            """
def seeds_needed(spread, gain, reach=reach):
    low, high = 3, 3
    while reach(spread, high) > gain:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if reach(spread, middle) <= gain:
            high = middle
        else:
            low = middle + 1
    return low
""",
            Slip("not halved", "while low < high:", "while low > high:"),
            Slip("one below", "high = middle\n", "high = middle - 1\n"),
            Slip("from two", "low, high = 3, 3", "low, high = 2, 2"),
        ),
        Style(
            "all at once",
            """
def seeds_needed(spread, gain, reach=reach):
    tried = range(3, 500)
    wide = sum(1 for n in tried if reach(spread, n) > gain)
    return tried[wide]
""",
            Slip("how many are too few", "return tried[wide]", "return wide"),
            Slip(
                "the normal distribution",
                "reach(spread, n) > gain",
                "1.96 * spread / n**0.5 > gain",
                names=("1.96 of the normal distribution stands",),
            ),
            Slip("the one before", "tried[wide]", "tried[wide - 1]"),
        ),
    ],
    "14.3": [
        Style(
            "bits of a number",
            """
def plan(budget, questions, minutes):
    best, most = {}, 0
    for bits in range(2 ** len(questions)):
        chosen = [q for k, q in enumerate(questions) if bits >> k & 1]
        need = {}
        for row, against, n in chosen:
            need[row] = max(need.get(row, 0), n)
            need[against] = max(need.get(against, 0), n)
        cost = sum(minutes[name] * n for name, n in need.items())
        if cost <= budget and len(chosen) > most:
            best, most = need, len(chosen)
    return best
""",
            Slip("added up", "need[row] = max(need.get(row, 0), n)", "need[row] = need.get(row, 0) + n"),
            Slip("the fewest", "len(chosen) > most", "len(chosen) < most", names=("yours",)),
            Slip("the last that fits", "best, most = need, len(chosen)", "best = need", names=("yours",)),
        ),
        Style(
            "with or without the first",
            """
def plan(budget, questions, minutes):
    def cost(seeds):
        return sum(n * minutes[v] for v, n in seeds.items())

    def best(rest, seeds):
        if cost(seeds) > budget:
            return -1, {}
        if not rest:
            return 0, seeds
        (row, against, n), *others = rest
        more = {**seeds, row: max(seeds.get(row, 0), n), against: max(seeds.get(against, 0), n)}
        taken, left = best(others, more), best(others, seeds)
        return (taken[0] + 1, taken[1]) if taken[0] >= 0 and taken[0] + 1 > left[0] else left

    return best(questions, {})[1]
""",
            Slip("runs of one minute", "sum(n * minutes[v] for v, n in seeds.items())", "sum(seeds.values())"),
            Slip(
                "one seed more",
                "more = {**seeds, row: max(seeds.get(row, 0), n)",
                "more = {**seeds, row: n + 1",
                names=("wasted", "takes"),
            ),
            Slip("the last question's seeds", "against: max(seeds.get(against, 0), n)", "against: n"),
        ),
        Style(
            "the largest set that can be paid, by max",
            """
def plan(budget, questions, minutes):
    def seeds(chosen):
        names = {name for q in chosen for name in q[:2]}
        return {name: max(q[2] for q in chosen if name in q[:2]) for name in names}

    def cost(chosen):
        return sum(minutes[name] * n for name, n in seeds(chosen).items())

    sets = [s for k in range(len(questions) + 1) for s in combinations(questions, k)]
    return seeds(max([s for s in sets if cost(s) <= budget], key=len))
""",
            Slip("smallest need", "max(q[2] for", "min(q[2] for", names=("wasted",)),
            Slip("all but the last", "range(len(questions) + 1)", "range(len(questions))"),
            Slip("not all of the budget", "cost(s) <= budget", "cost(s) < budget", names=("yours",)),
        ),
        Style(
            "from the largest sets down",
            """
def plan(budget, questions, minutes):
    for size in range(len(questions), 0, -1):
        for chosen in combinations(questions, size):
            seeds = dict.fromkeys([v for row, against, _ in chosen for v in (row, against)], 0)
            for row, against, n in chosen:
                seeds.update({v: n for v in (row, against) if n > seeds[v]})
            if np.dot([minutes[v] for v in seeds], list(seeds.values())) <= budget:
                return seeds
    return {}
""",
            Slip("without a price", "np.dot([minutes[v] for v in seeds], list(seeds.values()))", "sum(seeds.values())"),
            Slip("what cannot be paid", "<= budget", "> budget", names=("takes",)),
            Slip("the fewest seeds", "if n > seeds[v]", "if n < seeds[v]"),
        ),
        Style(
            "grown set by set",
            """
def plan(budget, questions, minutes):
    plans = [(0, {})]
    for row, against, n in questions:
        for done, seeds in list(plans):
            grown = dict(seeds)
            for name in (row, against):
                grown[name] = max(grown.get(name, 0), n)
            if sum(minutes[name] * k for name, k in grown.items()) <= budget:
                plans.append((done + 1, grown))
    return max(plans, key=lambda found: found[0])[1]
""",
            Slip(
                "the first that fits", "max(plans, key=lambda found: found[0])[1]", "plans[min(1, len(plans) - 1)][1]"
            ),
            Slip("one row paid", "for name in (row, against):", "for name in (row,):"),
            Slip("one dict for all", "grown = dict(seeds)", "grown = seeds"),
        ),
    ],
    "14.4": readings("reading", "c", a="has no gate at all", b="zero lies well inside"),
    "14.5": [
        Style(
            "numpy",
            """
def holm(p):
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    out = np.empty_like(p)
    out[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return out.tolist()
""",
            Slip("sorted", "out[order] = ", "out[:] = "),
            Slip(
                "not raised to those before", "np.maximum.accumulate(scaled)", "scaled", names=("a p is not raised to",)
            ),
        ),
        Style(
            "from the definition, claim by claim",
            """
def holm(p):
    def factor(x):
        return sum(other >= x for other in p)

    return [min(1.0, max(x * factor(x) for x in p if x <= own)) for own in p]
""",
            Slip("Bonferroni", "sum(other >= x for other in p)", "len(p)", names=("each p is multiplied by the",)),
            Slip("one too few", "other >= x", "other > x"),
        ),
        Style(
            "sorted pairs, itertools.accumulate",
            """
from itertools import accumulate


def holm(p):
    ranked = sorted((value, place) for place, value in enumerate(p))
    raised = accumulate(((len(p) - k) * value for k, (value, _) in enumerate(ranked)), max)
    back = {place: min(value, 1.0) for (_, place), value in zip(ranked, raised)}
    return [back[place] for place in range(len(p))]
""",
            Slip("the smallest so far", ", max)", ", min)"),
            Slip("one less", "(len(p) - k) * value", "(len(p) - k - 1) * value"),
        ),
        Style(
            "the smallest taken out again and again",
            """
def holm(p):
    left = list(range(len(p)))
    result = [None] * len(p)
    so_far = 0
    while left:
        i = min(left, key=lambda place: p[place])
        so_far = max(so_far, p[i] * len(left))
        result[i] = so_far if so_far < 1 else 1.0
        left.remove(i)
    return result
""",
            Slip("the largest first", "i = min(left", "i = max(left"),
            Slip("above 1", "so_far if so_far < 1 else 1.0", "so_far"),
        ),
        Style(
            "recursion over the sorted ones",
            """
def holm(p):
    places = sorted(range(len(p)), key=p.__getitem__)

    def go(k, floor):
        if k == len(places):
            return {}
        value = max(floor, min(1.0, p[places[k]] * (len(p) - k)))
        return {places[k]: value, **go(k + 1, value)}

    found = go(0, 0.0)
    return [found[i] for i in range(len(p))]
""",
            Slip("floor forgotten", "go(k + 1, value)", "go(k + 1, 0.0)", names=("a p is not raised to",)),
            Slip("divided", "p[places[k]] * (len(p) - k)", "p[places[k]] / (len(p) - k)"),
        ),
    ],
    "14.6": [
        Style(
            "three passes, lists",
            """
def verdicts(log, claims):
    effects = [effect(log, row, against) for _, row, against in claims]
    enough = [k for k, (_, _, n) in enumerate(effects) if n >= 3]
    raised = holm([ours.p_value(*effects[k]) for k in enough])
    words = ["no verdict"] * len(claims)
    for k, p in zip(enough, raised):
        if p < 0.05:
            words[k] = "survives" if effects[k][0] > 0 else "reversed"
        else:
            words[k] = "within noise"
    return {claim[0]: word for claim, word in zip(claims, words)}
""",
            Slip("two seeds are enough", "n >= 3", "n >= 2", names=("no verdict",)),
            Slip(
                "no Holm",
                "holm([ours.p_value(*effects[k]) for k in enough])",
                "[ours.p_value(*effects[k]) for k in enough]",
                names=("becomes",),
            ),
        ),
        Style(
            "dicts, one comprehension a pass",
            """
def verdicts(log, claims):
    e = {name: effect(log, a, b) for name, a, b in claims}
    p = {name: ours.p_value(*values) for name, values in e.items() if values[2] > 2}
    p = dict(zip(p, holm(list(p.values()))))
    word = {True: "survives", False: "reversed"}
    return {
        name: "no verdict" if name not in p else "within noise" if p[name] >= 0.05 else word[e[name][0] > 0]
        for name, _, _ in claims
    }
""",
            Slip("more than three", "values[2] > 2", "values[2] > 3", names=("three seeds",)),
            Slip(
                "one claim at a time",
                "p = dict(zip(p, holm(list(p.values()))))",
                "p = {name: holm([value])[0] for name, value in p.items()}",
                names=("becomes",),
            ),
        ),
        Style(
            "a helper for a word, claims without a verdict dropped first",
            """
def verdicts(log, claims):
    def word(difference, p):
        if p >= 0.05:
            return "within noise"
        return ("reversed", "survives")[int(difference > 0)]

    answer, waiting = {}, []
    for name, row, against in claims:
        d, error, n = effect(log, row, against)
        answer[name] = "no verdict"
        if n >= 3:
            waiting.append((name, d, ours.p_value(d, error, n)))
    for (name, d, _), p in zip(waiting, holm([p for *_, p in waiting])):
        answer[name] = word(d, p)
    return answer
""",
            Slip(
                "row and against exchanged",
                "effect(log, row, against)",
                "effect(log, against, row)",
                names=("survives", "reversed"),
            ),
            Slip("a level of 1 %", "if p >= 0.05", "if p >= 0.01", names=("p = 0.02",)),
        ),
        Style(
            "numpy arrays and select",
            """
def verdicts(log, claims):
    names = [name for name, _, _ in claims]
    d, error, n = (np.array(x) for x in zip(*(effect(log, a, b) for _, a, b in claims)))
    p = np.full(len(names), np.nan)
    can = np.flatnonzero(n >= 3)
    p[can] = holm([ours.p_value(d[i], error[i], n[i]) for i in can])
    said = np.select([n < 3, p >= 0.05, d > 0], ["no verdict", "within noise", "survives"], "reversed")
    return dict(zip(names, said.tolist()))
""",
            Slip(
                "all claims are looks", "can = np.flatnonzero(n >= 3)", "can = np.arange(len(n))", names=("no looks",)
            ),
            Slip("sign", "d > 0]", "d < 0]", names=("survives",)),
        ),
        Style(
            "effects and p of one's own",
            """
from scipy import stats


def verdicts(log, claims):
    def differences(row, against):
        of = {v: {x["seed"]: x["miou"] for x in log if x["variant"] == v} for v in (row, against)}
        return [of[row][s] - of[against][s] for s in of[row].keys() & of[against].keys()]

    all_d = {name: differences(row, against) for name, row, against in claims}
    judged = [name for name, d in all_d.items() if len(d) >= 3]
    raised = holm([float(stats.ttest_1samp(all_d[name], 0).pvalue) for name in judged])
    found = dict.fromkeys(all_d, "no verdict")
    for name, p in zip(judged, raised):
        found[name] = "within noise" if p >= 0.05 else "survives" if sum(all_d[name]) > 0 else "reversed"
    return found
""",
            Slip(
                "unpaired",
                "stats.ttest_1samp(all_d[name], 0)",
                "stats.ttest_ind(all_d[name], [0.0, 20.0, -20.0])",
                names=("within noise",),
            ),
            Slip("claims without a verdict left out", 'dict.fromkeys(all_d, "no verdict")', "{}", names=("none",)),
        ),
    ],
}
