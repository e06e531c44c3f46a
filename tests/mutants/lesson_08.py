"""Wrong answers to lesson 08."""

from mutants import Mutant

_SCORES = """    scores = []
    for row in map(json.loads, lines):
        if "miou" in row:
            scores.append((row["epoch"], row["miou"]))
"""
_VARIANCE = "variance = sum((x - mean) ** 2 for x in scores) / (len(scores) - 1)"
_DIFFERENCES = "[b[seed] - a[seed] for seed in common]"
_CARRY = """    fresh.weights = run.weights.copy()
    fresh.velocity = run.velocity.copy()
    fresh.average = run.average.copy()
    fresh.step = run.step
    fresh.random.bit_generator.state = run.random.bit_generator.state"""

MUTANTS = {
    "08.1": [
        Mutant("every line is taken for a score", 'if "miou" in row:', "if True:", names="KeyError: 'epoch'"),
        Mutant(
            "best is the latest", "max(scores, key=lambda pair: pair[1])", "max(scores)", names="answer['best'][0] is 7"
        ),
        Mutant("best is the worst", "max(", "min(", names="answer['best'][0] is 2"),
        Mutant("last is the first", "scores[-1]", "scores[0]", names="answer['last'][0] is 2"),
        Mutant(
            "steps instead of epochs", 'row["epoch"]', 'row["step"]', names="answer['last'][0] is 70, and should be 7"
        ),
        Mutant(
            "only the numbers",
            '{"last": scores[-1],',
            '{"last": scores[-1][1],',
            names="answer['last'] should be a tuple of length 2",
        ),
        Mutant(
            "exchanged", '{"last": scores[-1], "best":', '{"best": scores[-1], "last":', names="answer['last'][0] is 4"
        ),
        Mutant(
            "without a loop",
            _SCORES,
            '    scores = [(r["epoch"], r["miou"]) for r in map(json.loads, lines) if "miou" in r]\n',
        ),
    ],
    "08.2": [
        Mutant("over n", "(len(scores) - 1)", "len(scores)", names="answer[1] is 0.392523"),
        Mutant(
            "the deviation itself",
            "math.sqrt(variance / len(scores))",
            "math.sqrt(variance)",
            names="answer[1] is 0.83",
        ),
        Mutant("no root", "math.sqrt(variance / len(scores))", "variance / len(scores)", names="answer[1] is 0.23"),
        Mutant(
            "over n twice",
            "math.sqrt(variance / len(scores))",
            "math.sqrt(variance) / len(scores)",
            names="answer[1] is 0.27",
        ),
        Mutant(
            "absolute deviations",
            _VARIANCE,
            "variance = sum(abs(x - mean) for x in scores) / (len(scores) - 1)",
            names="answer[1]",
        ),
        Mutant(
            "the median",
            "mean = sum(scores) / len(scores)",
            "mean = sorted(scores)[len(scores) // 2]",
            names="answer[0] is 54.6",
        ),
        Mutant(
            "with numpy",
            "return mean, math.sqrt(variance / len(scores))",
            "return np.mean(scores), np.std(scores, ddof=1) / len(scores) ** 0.5",
        ),
    ],
    "08.3": [
        Mutant("the wrong sign", _DIFFERENCES, "[a[seed] - b[seed] for seed in common]", names="answer[0] is -0.4"),
        Mutant("by position", _DIFFERENCES, "[y - x for x, y in zip(a.values(), b.values())]", names="answer[1] is"),
        Mutant("all seeds", "set(a) & set(b)", "set(a) | set(b)", names="KeyError"),
        Mutant("the first one's seeds", "set(a) & set(b)", "a", names="KeyError: 7"),
        Mutant(
            "two independent means",
            "    return mean_and_error([b[seed] - a[seed] for seed in common])",
            "    (x, dx), (y, dy) = (mean_and_error([d[s] for s in common]) for d in (a, b))\n"
            "    return y - x, math.hypot(dx, dy)",
            names="answer[1] is 0.64",
        ),
        Mutant("relative", _DIFFERENCES, "[b[seed] / a[seed] - 1 for seed in common]", names="answer[0] is 0.007"),
        Mutant(
            "sizes of the differences",
            _DIFFERENCES,
            "[-abs(b[seed] - a[seed]) for seed in common]",
            names="answer[0] is -0.4",
        ),
        Mutant("over one dict, with a test", "sorted(set(a) & set(b))", "[seed for seed in b if seed in a]"),
    ],
    "08.4": [
        Mutant(
            "no weights",
            "    fresh.weights = run.weights.copy()\n",
            "",
            names="answer['weights']",
        ),
        Mutant(
            "no momentum",
            "    fresh.velocity = run.velocity.copy()\n",
            "",
            names="answer['weights']",
        ),
        Mutant(
            "no average",
            "    fresh.average = run.average.copy()\n",
            "",
            names="answer['average']",
        ),
        Mutant("no step", "    fresh.step = run.step\n", "", names="answer['weights']"),
        Mutant(
            "no random state",
            "    fresh.random.bit_generator.state = run.random.bit_generator.state\n",
            "",
            names="answer['weights']",
        ),
        Mutant(
            "the seed again",
            "fresh.random.bit_generator.state = run.random.bit_generator.state",
            "fresh.random = np.random.default_rng(seed + 1)",
            names="answer['weights']",
        ),
        Mutant("one step too many", "fresh.step = run.step", "fresh.step = run.step + 1", names="answer['weights']"),
        Mutant("everything at once", _CARRY, "    vars(fresh).update(vars(run))"),
    ],
    "08.5": [
        Mutant("not mirrored back", "logits(x.flip(3)).flip(3)", "logits(x.flip(3))", names="flip"),
        Mutant("upside down", "logits(x.flip(3)).flip(3)", "logits(x.flip(2)).flip(2)", names="flip"),
        Mutant("logits averaged", "logits(x).softmax(1)", "logits(x)", names="softmax"),
        Mutant(
            "softmax over the rows", "direct = logits(x).softmax(1)", "direct = logits(x).softmax(2)", names="softmax"
        ),
        Mutant("the image not mirrored", "logits(x.flip(3)).flip(3)", "logits(x).flip(3)", names="flip"),
        Mutant("only the mirror image", "(direct + mirrored) / 2", "mirrored", names="differ"),
        Mutant("the larger one", "(direct + mirrored) / 2", "torch.maximum(direct, mirrored)", names="maximum"),
        Mutant(
            "one at a time, flipped after the softmax",
            "logits(x.flip(3)).flip(3).softmax(1)",
            "logits(x.flip(3)).softmax(1).flip(3)",
        ),
    ],
}
