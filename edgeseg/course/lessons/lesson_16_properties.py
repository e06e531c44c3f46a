"""Lesson 16: what its exercises' answers are held to, and the names of what is easily taken for the right number."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from edgeseg.course.lessons.lesson_16 import Act, Clock, Machine, Stopwatch, least_time, speed_up


def _shown(value: object) -> str:
    """A number as the messages show it."""
    return f"{value:g}" if isinstance(value, (int, float)) else repr(value)


def known_as(value: object, others: Mapping[str, float]) -> str:
    """What a wrong number is, where that can be said: ``": name"``, or nothing.

    Args:
        value: a learner's.
        others: what comes out of likely slips, by what to say of it.
    """
    if not isinstance(value, (int, float, np.number)):
        return ""
    found = [name for name, other in others.items() if np.isclose(float(value), other, rtol=1e-6)]
    return f": {', or '.join(found)}" if found else ""


def _units(wanted: float) -> dict[str, float]:
    return {
        "the other sign": -wanted,
        "twice the time": 2 * wanted,
        "half the time": wanted / 2,
        "seconds, and the clock gives milliseconds": wanted / 1000,
        "the clock's milliseconds, taken for seconds": 1000 * wanted,
    }


def _is(value: object, wanted: float) -> bool:
    return isinstance(value, (int, float)) and abs(value - wanted) < 1e-6


def waits_at_the_end(mine: Stopwatch) -> None:
    """The work is done when the clock is read the second time."""
    gpu = Machine({"net": 20.0}, launch=0.5, queue=True)
    got = mine(gpu.run, gpu.wait, gpu.clock)
    assert _is(got, 20.5), (
        f"Nothing was in the queue. 0.5 ms to launch and 20 ms of work make 20.5 ms, and yours says {_shown(got)}"
        f"{known_as(got, _units(20.5) | {'two runs': 40.5, 'the launch alone': 0.5})}. "
        "What must have happened when the clock is read the second time?"
    )


def waits_at_the_start(mine: Stopwatch) -> None:
    """What was handed over before is not counted."""
    gpu = Machine({"net": 20.0}, launch=0.5, queue=True)
    for _ in range(3):
        gpu.run()
    got = mine(gpu.run, gpu.wait, gpu.clock)
    assert _is(got, 20.5), (
        f"Three runs were still in the queue, and yours says {_shown(got)} ms for one of 20.5. What must have happened "
        "when the clock is read the first time?"
    )


def runs_once(mine: Stopwatch) -> None:
    """One run, on a machine without a queue as well."""
    cpu = Machine({"net": 8.0})
    got = mine(cpu.run, cpu.wait, cpu.clock)
    assert len(cpu.ran) == 1, f"A stopwatch runs once; yours ran {len(cpu.ran)} times."
    assert _is(got, 8.0), f"On a machine without a queue a run takes 8 ms, and yours says {_shown(got)}."


Measure = Callable[..., Any]


def _measured(mine: Measure, machine: Machine, model: nn.Module | None = None, **settings: int) -> list[float]:
    """What a timer says of a machine; it must be a list of as many numbers as calls were asked for."""
    got = mine(model or nn.Identity(), machine.run, machine.wait, machine.clock, **settings)
    assert isinstance(got, list), f"A list of milliseconds is asked for, and a {type(got).__name__} came."
    assert len(got) == settings["calls"], (
        f"{settings['calls']} calls were asked for, and the list has {len(got)} numbers. One call, one number; "
        "what warms up has none."
    )
    return got


def times_each_call(mine: Measure) -> None:
    """One number a call, of that call alone."""
    machine = Machine({"net": 20.0}, launch=0.5, queue=True, hiccups={6: 30.0})
    got = _measured(mine, machine, warm_up=2, calls=10)
    wanted = [20.5] * 4 + [50.5] + [20.5] * 5
    assert np.allclose(got, wanted), (
        f"Call 5 of 10 was interrupted and took 50.5 ms, the others 20.5. Yours says {[round(t, 1) for t in got]}: "
        "time each call by itself, with stopwatch."
    )


def leaves_out_the_warm_up(mine: Measure) -> None:
    """Runs before the timed ones, as many as asked for."""
    for warm_up in (3, 1):
        machine = Machine({"net": 20.0}, cold=(5, 3, 2))
        got = _measured(mine, machine, warm_up=warm_up, calls=4)
        assert len(machine.ran) == warm_up + 4, (
            f"warm_up={warm_up} and calls=4 are {warm_up + 4} runs; yours made {len(machine.ran)}."
        )
        wanted = [20.0 * f for f in (5, 3, 2)[warm_up:]] + [20.0] * 4
        assert np.allclose(got, wanted[:4]), (
            f"The first runs are cold: 100, 60, 40 ms, then 20. With warm_up={warm_up} the list must begin with "
            f"{wanted[0]:g}; yours is {[round(t, 1) for t in got]}{_of_a_list(got, wanted[:4])}."
        )


def _of_a_list(got: Sequence[float], wanted: Sequence[float]) -> str:
    if np.allclose(np.sort(got), np.sort(wanted)):
        return ": the right times in another order"
    if len(set(got)) == 1 and np.isclose(sum(got), sum(wanted)):
        return ": their mean, and each call is timed by itself"
    return ""


def runs_in_evaluation(mine: Measure) -> None:
    """In evaluation mode, and without what a gradient needs."""
    model, seen = nn.Dropout().train(), []
    machine = Machine({"net": 20.0})

    def watched() -> None:
        machine.run()
        seen.append((model.training, torch.is_grad_enabled()))

    mine(model, watched, machine.wait, machine.clock, warm_up=1, calls=2)
    assert not any(training for training, _ in seen), "While it ran, the model was in training mode: model.eval()."
    assert not any(gradient for _, gradient in seen), (
        "While it ran, PyTorch kept all that a gradient needs: torch.inference_mode(), warm-up included."
    )


def puts_the_mode_back(mine: Measure) -> None:
    """The mode is what it was, also where a run fails."""
    for mode in (True, False):
        model, machine = nn.Dropout().train(mode), Machine({"net": 20.0})
        _measured(mine, machine, model, warm_up=0, calls=1)
        assert model.training == mode, f"Before, model.training was {mode}; afterwards it is {model.training}."
    model = nn.Dropout().train()

    def failing() -> None:
        raise MemoryError

    try:
        mine(model, failing, machine.wait, machine.clock, warm_up=0, calls=1)
    except MemoryError:
        assert model.training, "A run failed, and the model was left in evaluation mode: try … finally."
    else:
        raise AssertionError("A run failed (MemoryError), and nobody was told: let the error pass.")


Turns = Callable[[Mapping[str, Act], Act, Clock, int], Mapping[str, Sequence[float]]]
_THREE = {"a": 20.0, "b": 10.0, "c": 5.0}


def _turns(mine: Turns, machine: Machine, names: Iterable[str], rounds: int) -> Mapping[str, Sequence[float]]:
    """What take_turns says of pieces of work of a machine."""
    runs = {name: (lambda name=name: machine.run(name)) for name in names}
    got = mine(runs, machine.wait, machine.clock, rounds)
    assert isinstance(got, dict), f"A dict is asked for, and a {type(got).__name__} came."
    assert set(got) == set(runs), f"The keys must be {sorted(runs)}, and are {sorted(map(str, got))}."
    return got


def everyone_runs_in_each_round(mine: Turns) -> None:
    """Every variant once a round, timed by itself."""
    machine = Machine(_THREE, launch=0.5, queue=True)
    got = _turns(mine, machine, _THREE, 4)
    ran = machine.ran
    assert len(ran) == 12, f"4 rounds of 3 variants are 12 runs; yours made {len(ran)}."
    for r in range(4):
        now = ran[3 * r : 3 * r + 3]
        assert sorted(now) == ["a", "b", "c"], f"Round {r} ran {now}: every variant once, then the next round."
    for name, work in _THREE.items():
        assert np.shape(got[name]) == (4,), f"got['{name}'] must hold 4 numbers, one a round, and is {got[name]!r}."
        assert np.allclose(got[name], [work + 0.5] * 4), (
            f"{name} takes {work + 0.5:g} ms in each of 4 rounds; yours says {list(got[name])}. Use stopwatch."
        )


def each_round_begins_with_the_next(mine: Turns) -> None:
    """Nobody is always first."""
    machine = Machine(_THREE)
    _turns(mine, machine, _THREE, 5)
    firsts = machine.ran[::3]
    assert firsts == ["a", "b", "c", "a", "b"], (
        f"The rounds begin with {firsts}. Whoever is first pays for waking the machine: round 0 begins with a, "
        "round 1 with b, round 2 with c, round 3 with a again."
    )
    assert machine.ran[3:6] == ["b", "c", "a"], f"Round 1 runs {machine.ran[3:6]}; after b come c and a."


def the_ratio_outlives_a_neighbour(mine: Turns) -> None:
    """A machine that is slow for a while does not change who is faster."""
    machine = Machine({"old": 20.0, "new": 16.0}, busy=[(600.0, 1200.0, 1.5)])
    got = _turns(mine, machine, ("old", "new"), 30)
    ratio = float(np.median(np.asarray(got["old"]) / np.asarray(got["new"])))
    assert abs(ratio - 1.25) < 0.01, (
        f"20 ms over 16 ms are 1.25; with a neighbour on the machine yours gives {ratio:g}."
    )


SpeedUp = Callable[[Sequence[float], Sequence[float]], Sequence[float]]
_ROUNDS = (
    ((31.0, 34.0, 36.0, 14.0, 35.0, 24.0, 37.0), (17.0, 19.0, 10.0, 38.0, 9.0, 17.0, 18.0)),  # each slip another number
    ((20.0, 30.0, 20.0, 40.0, 21.0), (16.0, 24.0, 17.0, 31.0, 16.0)),
    ((10.0, 10.0, 30.0), (30.0, 5.0, 10.0)),
)  # milliseconds of two variants, by round


def divides_in_each_round(mine: SpeedUp) -> None:
    """The middle number is the median of the rounds' ratios."""
    for a, b in _ROUNDS:
        ratios = np.divide(a, b)
        _is_of_the_ratios(mine, a, b, 1, "median", {
            "the ratio of the two medians": np.median(a) / np.median(b),
            "the ratios turned round, the other over the reference": np.median(1 / ratios),
            "the mean of the ratios": float(ratios.mean()),
            "the ratio of the two means": float(np.mean(a) / np.mean(b)),
            "the ratio of sorted times: rounds are torn apart": np.median(np.divide(np.sort(a), np.sort(b))),
            "the median of the differences": np.median(np.subtract(a, b)),
            "the median without sorting": float(ratios[len(ratios) // 2]),
            "per cent, and a factor is asked for": 100 * np.median(ratios),
            "a share, and np.percentile takes per cent": np.percentile(ratios, 0.5),
        })  # fmt: skip


def gives_the_middle_80_per_cent(mine: SpeedUp) -> None:
    """The outer two are the 10th and the 90th percentile, in this order."""
    for a, b in _ROUNDS:
        ratios, torn = np.divide(a, b), np.divide(np.sort(a), np.sort(b))
        for place, share in ((0, 10), (2, 90)):
            _is_of_the_ratios(mine, a, b, place, f"{share}th percentile", {
                "another percentile, the 25th": np.percentile(ratios, 25),
                "another percentile, the 75th": np.percentile(ratios, 75),
                "the smallest of all": ratios.min(),
                "the largest of all": ratios.max(),
                "the percentile of the other end": np.percentile(ratios, 100 - share),
                "the percentile of sorted times: rounds are torn apart": np.percentile(torn, share),
                "a share, and np.percentile takes per cent": np.percentile(ratios, share / 100),
                "another percentile, the 5th": np.percentile(ratios, 5),
                "another percentile, the 95th": np.percentile(ratios, 95),
                "a ratio itself, not between two neighbours": np.percentile(ratios, share, method="lower"),
                'the percentile of a larger sample: method="inclusive" stays inside this one': (
                    statistics.quantiles(ratios.tolist(), n=10)[0 if share == 10 else -1]
                ),
                "the median": np.median(ratios),
            })  # fmt: skip


def _is_of_the_ratios(
    mine: SpeedUp, a: Sequence[float], b: Sequence[float], place: int, what: str, others: Mapping[str, float]
) -> None:
    found, wanted = mine(list(a), list(b)), speed_up(a, b)
    three = isinstance(found, (tuple, list, np.ndarray)) and len(found) == 3
    assert three, f"Three numbers are asked for, (p10, median, p90); yours gives {found!r}."
    got = float(found[place])
    ratios = ", ".join(f"{x:.3f}" for x in np.divide(a, b))
    assert np.isclose(got, wanted[place], rtol=1e-6), (
        f"Tried with {list(a)} and {list(b)}. The ratios of the rounds are {ratios}; their {what} is "
        f"{wanted[place]:.4f}, and yours is {got:.4f}{known_as(got, others)}."
    )


LeastTime = Callable[[float, float, float, float], tuple[float, str]]


def takes_the_longer_one(mine: LeastTime) -> None:
    """Arithmetic and memory work at the same time: the longer one decides, in milliseconds, and is named."""
    for macs, moved, gflops, gigabytes in ((84e6, 4e6, 500.0, 40.0), (3e6, 9e6, 500.0, 40.0), (42e6, 4e6, 500.0, 5.0)):
        found = mine(macs, moved, gflops, gigabytes)
        pair = isinstance(found, (tuple, list)) and len(found) == 2
        assert pair, f"Two things are asked for, (milliseconds, a word); yours gives {found!r}."
        assert not isinstance(found[0], str), f"The first of the two should be a number; yours is {found[0]!r}."
        arithmetic, memory = 1e3 * 2 * macs / (gflops * 1e9), 1e3 * moved / (gigabytes * 1e9)
        wanted, which = least_time(macs, moved, gflops, gigabytes)
        others = {
            "the shorter one": min(arithmetic, memory),
            "their sum": arithmetic + memory,
            "seconds, not milliseconds": wanted / 1e3,
            "arithmetic's time in microseconds": 1e3 * arithmetic,
            "memory's time in microseconds": 1e3 * memory,
            "a multiply-add is two operations": max(arithmetic / 2, memory),
            "with the peaks exchanged": max(1e3 * 2 * macs / (gigabytes * 1e9), 1e3 * moved / (gflops * 1e9)),
            "half of it": wanted / 2,
        }
        assert np.isclose(float(found[0]), wanted, rtol=1e-6), (
            f"Tried with macs={macs:g}, moved={moved:g}, gflops={gflops:g}, gigabytes={gigabytes:g}. Arithmetic takes "
            f"{arithmetic:g} ms, memory {memory:g} ms; the least time is {wanted:g} ms, and yours is {found[0]:g}"
            f"{known_as(found[0], others)}."
        )
        assert found[1] == which, (
            f"Arithmetic takes {arithmetic:g} ms, memory {memory:g} ms; the longer one is {which}, and yours says "
            f"{found[1]!r}."
        )
