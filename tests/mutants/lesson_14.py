"""Wrong answers to lesson 14's exercises, and a few that are right in another way."""

from mutants import Mutant

_DIFFERENCES = "differences = [own[seed] - other[seed] for seed in sorted(own) if seed in other]"
_ERROR = "np.std(differences, ddof=1) / math.sqrt(n)"
_LOOP = "while reach(spread, n) > gain:"
_MOST = "seeds[name] = max(n, seeds.get(name, 0))"
_BUDGET = "if sum(n * minutes[name] for name, n in seeds.items()) <= budget:"
_PLAN = "best = {}\n    for count in range(len(questions) + 1):\n        for chosen in combinations(questions, count):"
_HOLM = "highest = max(highest, min(1.0, p[place] * (len(p) - rank)))"
_JUDGED = "judged = {name: e for name, e in found.items() if e[2] >= 3}"
_WORDS = 'said[name] = "within noise" if p >= 0.05 else up'

MUTANTS = {
    "14.1": [
        Mutant("deviation over n", ", ddof=1", "", "answer[1]"),
        Mutant("deviation, not error", _ERROR, "np.std(differences, ddof=1)", "answer[1]"),
        Mutant("variance over n", _ERROR, "np.var(differences, ddof=1) / n", "answer[1]"),
        Mutant("other sign", "own[seed] - other[seed]", "other[seed] - own[seed]", "answer[0]"),
        Mutant(
            "sorted by luck",
            _DIFFERENCES,
            "differences = np.subtract(sorted(own.values())[-5:], sorted(other.values())[-5:])",
            "answer",
        ),
        Mutant(
            "paired by place in the log",
            _DIFFERENCES,
            "differences = [a - b for a, b in zip(own.values(), other.values())]",
            "answer",
        ),
        Mutant(
            "the first three pairs",
            "n = len(differences)",
            "differences = differences[:3]\n    n = len(differences)",
            "answer",
        ),
        Mutant("a seed that one lacks", " if seed in other]", "]", "KeyError"),
        Mutant(
            "unpaired error",
            _ERROR,
            "math.hypot(np.std(list(own.values()), ddof=1), np.std(list(other.values()), ddof=1)) / math.sqrt(n)",
            "answer[1]",
        ),
        Mutant("arrays, right as well", "np.mean(differences)", "float(np.array(differences).sum() / n)"),
        Mutant(
            "seeds as a set, right as well",
            _DIFFERENCES,
            "differences = [own[s] - other[s] for s in own.keys() & other.keys()]",
        ),
    ],
    "14.2": [
        Mutant("from two on", "n = 3", "n = 2", "answer"),
        Mutant("from four on", "n = 3", "n = 4", "answer"),
        Mutant("one too many", "return n", "return n + 1", "answer"),
        Mutant("the whole interval", _LOOP, "while 2 * reach(spread, n) > gain:", "answer"),
        Mutant("the normal's quantile", _LOOP, "while 1.96 * spread / math.sqrt(n) > gain:", "answer"),
        Mutant("its own reach", _LOOP, "while ours.reach(spread, n) > gain:", "a function"),
        Mutant("gain and spread exchanged", _LOOP, "while reach(gain, n) > spread:", "answer"),
        Mutant(
            "next(), right as well",
            "n = 3\n",
            "return next(k for k in range(3, 10**6) if reach(spread, k) <= gain)\n    n = 3\n",
        ),
        Mutant("other way round, right as well", _LOOP, "while not reach(spread, n) <= gain:"),
    ],
    "14.3": [
        Mutant("no budget", _BUDGET, "if True:", "takes"),
        Mutant(
            "shared rows paid twice",
            _BUDGET,
            "if sum(n * (minutes[a] + minutes[b]) for a, b, n in chosen) <= budget:",
            "answers",
        ),
        Mutant("the last question's seeds", _MOST, "seeds[name] = n", "answers"),
        Mutant("seeds added up", _MOST, "seeds[name] = n + seeds.get(name, 0)", "use"),
        Mutant("nothing", "    return best", "    return {}", "answers"),
        Mutant(
            "the same seeds for all",
            _PLAN,
            "names = {x for q in questions for x in q[:2]}\n"
            "    return {x: int(budget / sum(minutes[y] for y in names)) for x in names}\n"
            f"    {_PLAN}",
            "use",
        ),
        Mutant("one question only", "range(len(questions) + 1)", "range(2)", "answers"),
        Mutant("only whole sets", "range(len(questions) + 1)", "(len(questions),)", "answers"),
        Mutant("a list", "    return best", "    return list(best.items())", "dict"),
        Mutant(
            "rows that are not trained named with 0, right as well",
            "    return best",
            "    return dict.fromkeys(minutes, 0) | best",
        ),
        Mutant(
            "below the budget first, right as well",
            _BUDGET,
            "if budget - sum(minutes[x] * k for x, k in seeds.items()) >= 0:",
        ),
    ],
    "14.4": [
        Mutant("the gates", 'return "c"', 'return "a"', "no gate at all"),
        Mutant("harm", 'return "c"', 'return "b"', "interval"),
        Mutant("equal", 'return "c"', 'return "d"', "nothing equal"),
        Mutant("a letter that there is not", 'return "c"', 'return "e"', "reading"),
        Mutant("upper case", 'return "c"', 'return "C"', "reading"),
        Mutant("two steps, right as well", 'return "c"', 'chosen = "abcd"[2]\n    return chosen'),
        Mutant("single quotes, right as well", 'return "c"', "return 'c'"),
    ],
    "14.5": [
        Mutant("Bonferroni", "(len(p) - rank)", "len(p)", "answer"),
        Mutant("largest first", "key=lambda i: p[i])", "key=lambda i: -p[i])", "answer"),
        Mutant("may fall", _HOLM, "highest = min(1.0, p[place] * (len(p) - rank))", "answer"),
        Mutant("above one", "min(1.0, p[place] * (len(p) - rank))", "p[place] * (len(p) - rank)", "answer"),
        Mutant("in sorted order", "return raised", "return sorted(raised)", "answer"),
        Mutant("one less each", "(len(p) - rank)", "(len(p) - rank - 1)", "answer"),
        Mutant("as they were", "return raised", "return list(p)", "answer"),
        Mutant(
            "a tuple's loop, right as well",
            "enumerate(sorted(range(len(p)), key=lambda i: p[i]))",
            "enumerate(np.argsort(np.array(p)).tolist())",
        ),
        Mutant("clipped in the end, right as well", "return raised", "return [min(1.0, x) for x in raised]"),
    ],
    "14.6": [
        Mutant("two seeds are enough", ">= 3}", ">= 2}", "too few"),
        Mutant("four are needed", ">= 3}", ">= 4}", "Three seeds"),
        Mutant(
            "Holm forgotten",
            "holm([ours.p_value(*e) for e in judged.values()])",
            "[ours.p_value(*e) for e in judged.values()]",
            "beside two others",
        ),
        Mutant(
            "claims without a verdict count as looks",
            "holm([ours.p_value(*e) for e in judged.values()])",
            "[min(1.0, ours.p_value(*e) * len(found)) for e in judged.values()]",
            "no looks",
        ),
        Mutant(
            "noise and sign exchanged", _WORDS, 'said[name] = "within noise" if p < 0.05 else up', "2 points better"
        ),
        Mutant("never reversed", 'else "reversed"', 'else "survives"', "worse"),
        Mutant("sign turned", "[0] > 0", "[0] < 0", "better"),
        Mutant(
            "two standard errors",
            "holm([ours.p_value(*e) for e in judged.values()])",
            "[0.0 if abs(e[0]) > e[1] else 1.0 for e in judged.values()]",
            "beside two others",
        ),
        Mutant("another word", '"within noise" if', '"noise" if', "a verdict is one of"),
        Mutant("only those judged", "return said", "return {name: said[name] for name in judged}", "None"),
        Mutant(
            "in another style, right as well",
            'said = dict.fromkeys(found, "no verdict")',
            'said = {name: "no verdict" for name in found}',
        ),
        Mutant("n > 2, right as well", ">= 3}", "> 2}"),
    ],
}
