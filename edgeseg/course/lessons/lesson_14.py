"""Lesson 14: the tables' log as plain lines, what its exercises are held to, and pictures of seeds and error bars."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import nct, t

from edgeseg.course.answers import Readings
from edgeseg.course.lessons.lesson_08 import find_log
from edgeseg.plots import BLUE, DARK_GREY, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from edgeseg.training.ablate import Row, read_record, size_key
from edgeseg.training.recipes import get_recipe
from edgeseg.training.tables import LEAST, SURE, TABLES, Finding, findings, scored_sizes, table_recipe

Line = Mapping[str, Any]
"""A line of a plain log: ``variant``, ``seed``, ``miou``."""
Claim = tuple[str, str, str]
"""What is said, and the two variants of which the first is said to be better."""
Question = tuple[str, str, int]
"""Two variants, and how many paired seeds it takes to tell them apart."""

SURVIVES, REVERSED, NOISE, NONE = "survives", "reversed", "within noise", "no verdict"
_MODULES = ("cross_cbam_4", "ccbam_controls", "se_aspp_controls", "hrnet_3", "hrnet_attention")  # not settings
_COLOURS = {SURVIVES: GREEN, REVERSED: VERMILION, NOISE: DARK_GREY}
_MARKS = {SURVIVES: "D", REVERSED: "X", NOISE: "o"}


def record() -> list[Row]:
    """The committed log of the papers' tables on streets, one row a run."""
    return read_record(find_log("tables_streets.jsonl"))


def plain(rows: Iterable[Row], seeds: int, large: bool = False, of: str = "miou") -> list[dict[str, Any]]:
    """Rows as lines of a plain log.

    Args:
        rows: of `record`.
        seeds: those from 0 to here are taken, so that a growing log changes nothing.
        large: at 2H×2W instead of H×W.
        of: ``"miou"``, or the name of a class: its IoU.
    """
    size = size_key(_sizes("cross_cbam_4")[large])
    lines = []
    for row in rows:
        scores = row["at"][size]
        score = scores["miou"] if of == "miou" else scores["per_class_iou"][of]
        if row["seed"] < seeds:
            lines.append({"variant": row["variant"], "seed": row["seed"], "miou": score})
    return lines


def minutes(rows: Iterable[Row], names: Sequence[str]) -> dict[str, float]:
    """Minutes of one run of each variant, the median of its runs: some shared their core with others."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for row in rows:
        if row["variant"] in found:
            found[row["variant"]].append(row["minutes"])
    return {name: round(statistics.median(times), 1) for name, times in found.items()}


def tell(found: tuple[float, float, int]) -> str:
    """An effect in words: difference, standard error, seeds."""
    difference, error, seeds = found
    spread = "" if math.isnan(error) else f" ± {error:.2f}"
    return f"{difference:+.2f}{spread}, n = {seeds}".replace("-", "−")


def _sizes(table: str) -> tuple[tuple[int, int], tuple[int, int]]:
    return scored_sizes(table_recipe(TABLES[table], get_recipe("tables_streets")))


# What the exercises are held to ---------------------------------------------------------------------------------------


def effect(log: Sequence[Line], row: str, against: str) -> tuple[float, float, int]:
    """Mean of row − against over the seeds that both have, its standard error, and how many they are.

    NaN for what too few seeds do not give: the error of one, both of none.
    """
    own, other = ({line["seed"]: line["miou"] for line in log if line["variant"] == name} for name in (row, against))
    d = [own[seed] - other[seed] for seed in sorted(own) if seed in other]
    error = statistics.stdev(d) / math.sqrt(len(d)) if len(d) > 1 else math.nan
    return (statistics.fmean(d) if d else math.nan), error, len(d)


def p_value(difference: float, error: float, seeds: int) -> float:
    """How often chance alone would show such a mean difference, either way: Student's t of paired differences."""
    if not error:
        return 0.0 if difference else 1.0
    return float(2 * t.sf(abs(difference) / error, seeds - 1))


def reach(spread: float, seeds: int) -> float:
    """Half the width of the 95 % interval of a mean of differences.

    Args:
        spread: standard deviation of one seed's difference.
        seeds: how many, at least two.
    """
    return float(t.ppf(0.975, seeds - 1)) * spread / math.sqrt(seeds)


def seeds_needed(spread: float, gain: float, reach: Callable[[float, int], float] = reach) -> int:
    """Fewest seeds, from three on, whose 95 % interval reaches no further than the gain to either side."""
    seeds = LEAST
    while reach(spread, seeds) > gain:
        seeds += 1
    return seeds


def found_share(spread: float, gain: float, seeds: int) -> float:
    """In how many of all experiments (0…1) with these seeds a true gain comes out above zero at 95 %."""
    bar = t.ppf(0.975, seeds - 1)
    return float(nct.sf(bar, seeds - 1, gain * math.sqrt(seeds) / spread))


def plan(budget: float, questions: Sequence[Question], minutes: Mapping[str, float]) -> dict[str, int]:
    """Seeds of every variant that answer as many questions as the budget allows.

    Args:
        budget: minutes.
        questions: each is answered when both its variants have its seeds.
        minutes: of one run of each variant.
    """
    best: dict[str, int] = {}
    for count in range(len(questions) + 1):
        for chosen in combinations(questions, count):
            seeds: dict[str, int] = {}
            for row, against, n in chosen:
                seeds |= {name: max(n, seeds.get(name, 0)) for name in (row, against)}
            if _cost(seeds, minutes) <= budget:
                best = seeds
    return best


def _cost(seeds: Mapping[str, int], minutes: Mapping[str, float]) -> float:
    return sum(n * minutes[name] for name, n in seeds.items())


def answered(seeds: Mapping[str, int], questions: Sequence[Question]) -> list[Question]:
    """The questions that these seeds answer."""
    return [q for q in questions if min(seeds.get(q[0], 0), seeds.get(q[1], 0)) >= q[2]]


def holm(p: Sequence[float]) -> list[float]:
    """p values of several claims, raised after Holm, in the order given."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    raised, highest = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p[place] * (len(p) - rank)))
        raised[place] = highest
    return raised


def verdicts(log: Sequence[Line], claims: Sequence[Claim]) -> dict[str, str]:
    """What a log says of every claim: one of four words, at p < 0.05 after Holm; nothing of fewer than three seeds."""
    found = {name: effect(log, row, against) for name, row, against in claims}
    judged = {name: e for name, e in found.items() if e[2] >= LEAST}
    raised = dict(zip(judged, holm([p_value(*e) for e in judged.values()]), strict=True))
    words = dict.fromkeys(found, NONE)
    for name, p in raised.items():
        words[name] = NOISE if p >= SURE else SURVIVES if judged[name][0] > 0 else REVERSED
    return words


# Properties of a plan -------------------------------------------------------------------------------------------------

_MINUTES = {"m": 4.0, "add": 3.0, "cat": 3.5, "own": 4.0, "big": 9.0}
_PLANS: tuple[tuple[float, tuple[Question, ...]], ...] = (
    (150, (("m", "add", 13), ("m", "cat", 10), ("m", "own", 11))),
    (1000, (("m", "add", 13), ("m", "cat", 10), ("m", "own", 11))),
    (20, (("m", "add", 13), ("m", "cat", 10))),
    (100, (("big", "m", 9), ("m", "add", 6), ("cat", "own", 5))),
    (62, (("m", "add", 8), ("own", "cat", 8))),
    (45, (("m", "add", 4), ("m", "cat", 4), ("own", "big", 3))),  # the last alone can be paid, and so can the others
    (80, (("m", "add", 8), ("own", "add", 5))),
    (80, (("own", "add", 5), ("m", "add", 8))),
    (84, (("own", "big", 4), ("m", "add", 8), ("m", "cat", 8))),  # two of which one variant is shared fill it exactly
)


def fits(mine: Callable[..., Mapping[str, int]]) -> None:
    """A plan costs no more than the budget."""
    for budget, questions in _PLANS:
        seeds = mine(budget, questions, dict(_MINUTES))
        assert isinstance(seeds, Mapping), "Return a dict {variant: seeds}."
        cost = _cost(seeds, _MINUTES)
        assert cost <= budget, f"A budget of {budget:g} minutes, and the plan takes {cost:g}: {dict(seeds)}."


def wastes_nothing(mine: Callable[..., Mapping[str, int]]) -> None:
    """No run of a plan is without use."""
    for budget, questions in _PLANS:
        seeds = mine(budget, questions, dict(_MINUTES))
        done = answered(seeds, questions)
        for name, n in seeds.items():
            used = max((q[2] for q in done if name in q[:2]), default=0)
            assert n <= used, (
                f"A budget of {budget:g} minutes: {name} has {n} seeds, and the questions that are answered use {used}."
                " A run that answers nothing is wasted."
            )


def answers_most(mine: Callable[..., Mapping[str, int]]) -> None:
    """No other plan within the budget answers more questions."""
    for budget, questions in _PLANS:
        got = len(answered(mine(budget, questions, dict(_MINUTES)), questions))
        most = len(answered(plan(budget, questions, _MINUTES), questions))
        assert got >= most, f"A budget of {budget:g} minutes answers {most} of {len(questions)} questions; yours {got}."


PLAN = (fits, wastes_nothing, answers_most)

# Properties of verdicts -----------------------------------------------------------------------------------------------

_NOISE = (0.1, -0.1, 0.2, -0.2, 0.0)


def _log(rows: Mapping[str, Sequence[float]]) -> list[Line]:
    return [{"variant": n, "seed": s, "miou": x} for n, scores in rows.items() for s, x in enumerate(scores)]


def _pair(gain: float, seeds: int = 5, wobble: float = 1.0) -> list[Line]:
    base = [40.0, 43.0, 41.0, 44.0, 42.0][:seeds]
    return _log({"b": base, "a": [x + gain + wobble * e for x, e in zip(base, _NOISE, strict=False)]})


_ONE: tuple[Claim, ...] = (("a is better", "a", "b"),)
Judge = Callable[[Sequence[Line], Sequence[Claim]], Mapping[str, str]]


def _says(mine: Judge, log: Sequence[Line], claims: Sequence[Claim] = _ONE) -> Mapping[str, str]:
    said = mine(log, claims)
    assert isinstance(said, Mapping), "Return a dict {claim's name: verdict}."
    for name, _, _ in claims:
        assert said.get(name) in (SURVIVES, REVERSED, NOISE, NONE), (
            f"Of {name!r} it says {said.get(name)!r}; a verdict is one of {SURVIVES}, {REVERSED}, {NOISE}, {NONE}."
        )
    return said


def _holds(mine: Judge, log: Sequence[Line], word: str, why: str) -> None:
    said = _says(mine, log)["a is better"]
    assert said == word, f"{why}: {word!r} is right, yours says {said!r}."


def _knows_four(mine: Judge) -> None:
    _holds(mine, _pair(2.0), SURVIVES, "Five seeds, each about 2 points better")
    _holds(mine, _pair(-2.0), REVERSED, "Five seeds, each about 2 points worse")
    _holds(mine, _pair(0.02), NOISE, "Five seeds, on average the same")
    _holds(mine, _pair(9.0, 2), NONE, "Two seeds, however far apart, are too few")
    _holds(mine, _pair(9.0, 3), SURVIVES, "Three seeds, each about 9 points better")


def _pairs_by_seed(mine: Judge) -> None:
    log = _pair(2.0)
    _holds(mine, random.Random(0).sample(log, len(log)), SURVIVES, "The order of the lines does not matter")
    alone = [{"variant": "a", "seed": 7, "miou": 5.0}, {"variant": "c", "seed": 0, "miou": 5.0}]
    _holds(mine, [*log, *alone], SURVIVES, "A seed that only one of both has, and another variant, change nothing")
    lucky = [{**line, "miou": line["miou"] + 20 * line["seed"]} for line in log]
    _holds(mine, lucky, SURVIVES, "What is lucky for both runs of a seed changes nothing")


def _counts_claims(mine: Judge) -> None:
    log = _pair(0.25)  # p is 0.02
    _holds(mine, log, SURVIVES, "One claim with p = 0.02")
    others = {name: [x + e for x, e in zip([40.0, 43.0, 41.0, 44.0, 42.0], _NOISE[::-1], strict=True)] for name in "cd"}
    claims = [*_ONE, ("c is better", "c", "b"), ("d is better", "d", "b")]
    said = _says(mine, [*log, *_log(others)], claims)["a is better"]
    assert said == NOISE, f"The same claim beside two others: p = 0.02 becomes 0.06, and yours still says {said!r}."
    two = _log({name: scores[:2] for name, scores in others.items()})
    said = _says(mine, [*log, *two], claims)["a is better"]
    assert said == SURVIVES, (
        f"Claims without a verdict are no looks: p stays 0.02 beside two of them, and yours says {said!r}."
    )


VERDICTS = (_knows_four, _pairs_by_seed, _counts_claims)

SIX_POINTS = Readings(
    right="c",
    because={
        "a": "The network of the second line has no gate at all, and stands as high above SE-ASPP alone.",
        "b": "-0.61 with an error of 0.47 and three seeds: zero lies well inside its 95 % interval.",
        "d": "Zero lies inside the interval, and so do a loss of two points and a gain of one: nothing equal is shown.",
    },
)

# Pictures -------------------------------------------------------------------------------------------------------------


def by_seed(log: Sequence[Line], names: Mapping[str, str]) -> Figure:
    """Scores of several variants, the runs of one seed joined.

    Args:
        log: plain lines.
        names: variant → what stands under it.
    """
    figure = Figure((8.6, 3.3), layout="constrained", facecolor="white")
    axis = figure.subplots()
    seeds = sorted({line["seed"] for line in log})
    for seed, colour, mark in zip(seeds, (BLUE, VERMILION, GREEN, PURPLE, ORANGE), "osD^v", strict=False):
        own = {line["variant"]: line["miou"] for line in log if line["seed"] == seed}
        axis.plot(
            [own.get(name, math.nan) for name in names], f"{mark}-", color=colour, lw=1, ms=6, label=f"seed {seed}"
        )
    axis.set_xticks(range(len(names)), list(names.values()), fontsize=9)
    axis.set_ylabel("mIoU, %")
    axis.grid(axis="y", alpha=0.25)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def power(gain: float = 0.5, spread: float = 0.8) -> Figure:
    """How far the 95 % interval reaches, and how often a true gain is found, by the number of seeds.

    Args:
        gain: the true one, points.
        spread: standard deviation of one seed's difference, points.
    """
    figure = Figure((8.6, 2.9), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    seeds = np.arange(LEAST, 41)
    left.plot(seeds, [reach(spread, int(n)) for n in seeds], color=BLUE, lw=2)
    left.axhline(gain, color=VERMILION, lw=1.5, ls="--", label=f"gain {gain:g}")
    left.set(ylim=(0, 4 * max(gain, spread)), xlabel="paired seeds", ylabel="± of the 95 % interval, points")
    right.plot(seeds, [100 * found_share(spread, gain, int(n)) for n in seeds], color=BLUE, lw=2)
    right.axhline(80, color=GREY, lw=1, ls=":")
    right.set(ylim=(0, 100), xlabel="paired seeds", ylabel="experiments that find it, %")
    for axis in (left, right):
        axis.axvline(seeds_needed(spread, gain), color=ORANGE, lw=1.5, label="interval = gain")
        axis.grid(alpha=0.25)
        axis.set_xlim(LEAST, 40)
    left.legend(fontsize=8, frameon=False)
    figure.suptitle(f"true gain {gain:g}, spread of one seed's difference {spread:g} points", fontsize=10)
    return figure


def error_bars(log: Sequence[Line], claims: Sequence[Claim]) -> Figure:
    """Claims of a plain log with their paired differences, 95 % intervals and verdicts."""
    said = verdicts(log, claims)
    bars = [(name, *effect(log, row, against), said[name]) for name, row, against in claims]
    figure = Figure((8.6, 1.0 + 0.34 * len(bars)), layout="constrained", facecolor="white")
    _draw_bars(figure.subplots(), [bar for bar in bars if bar[3] >= LEAST])
    return figure


Bar = tuple[str, float, float, int, str]
"""What is claimed, the difference, its standard error, seeds, verdict."""


def which_modules(rows: Sequence[Row]) -> Figure:
    """Which modules of both papers survive their error bar: every claim about a module's mIoU, judged table by table.

    Verdicts are those of `edgeseg.training.tables.findings`, after Holm for all claims of a table; what has fewer than
    three paired seeds has none, and is named below.

    Args:
        rows: of `record`.
    """
    groups, waiting = [], []
    for name in _MODULES:
        table = TABLES[name]
        found = [f for f in findings(table, table.rows(rows), _sizes(name)) if _about_a_module(f)]
        waiting += [f"{f.claim.text} ({f.seeds})" for f in found if f.seeds < LEAST]
        bars = [_bar(f) for f in found if f.seeds >= LEAST]
        if bars:
            groups.append((table.source, bars))
    heights = [len(bars) + 0.9 for _, bars in groups]
    lines = _wrapped(waiting)
    figure = Figure((9.2, 1.0 + 0.31 * sum(heights) + 0.15 * len(lines)), layout="constrained", facecolor="white")
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (source, bars) in zip(axes, groups, strict=True):
        _draw_bars(axis, bars)
        axis.set_title(source, fontsize=9, loc="left", color=DARK_GREY)
        if axis is not axes[-1]:
            axis.set_xlabel("")
    figure.suptitle("Which modules survive their error bar? Rendered streets, paired seeds", fontsize=11)
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=7.5, color=DARK_GREY, x=0.02, ha="left")
    return figure


def _about_a_module(found: Finding) -> bool:
    return found.claim.measure == "miou" and not found.claim.margin


def _bar(found: Finding) -> Bar:
    word = {"holds": SURVIVES, "does not hold": REVERSED}.get(found.verdict, NOISE)
    return found.claim.text, found.difference, found.error or 0.0, found.seeds, word


def _wrapped(waiting: Sequence[str], width: int = 175) -> list[str]:
    """The claims that wait for seeds, as lines of text."""
    lines: list[str] = []
    line = "Fewer than three seeds, no verdict (seeds): " if waiting else ""
    for place, text in enumerate(waiting):
        piece = text + ("." if place == len(waiting) - 1 else ", ")
        if len(line) + len(piece) > width:
            lines.append(line)
            line = ""
        line += piece
    return [*lines, line] if line else lines


def _draw_bars(axis: Axes, bars: Sequence[Bar]) -> None:
    """One line a claim: diamond, cross or dot with its 95 % interval, and in words."""
    axis.axvline(0, color="black", lw=1)
    for place, (_, difference, error, seeds, word) in enumerate(bars):
        half = float(t.ppf(0.975, seeds - 1)) * error
        axis.errorbar(
            difference, place, xerr=half, fmt=_MARKS[word], color=_COLOURS[word], ms=7, capsize=4, lw=2,
        )  # fmt: skip
        text = f"{difference:+.2f} ± {error:.2f}, n = {seeds}: {word}".replace("-", "−")
        axis.text(1.01, place, text, transform=axis.get_yaxis_transform(), va="center", fontsize=8.5)
    axis.set_yticks(range(len(bars)), [bar[0] for bar in bars], fontsize=9)
    axis.set_ylim(len(bars) - 0.4, -0.6)
    axis.set_xlabel("points of mIoU; bar: 95 % interval of this claim alone; ±: standard error", fontsize=9)
    axis.grid(axis="x", color=SKY, alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
