"""`check`: does a learner's class or function compute what the package's does? And if not, where does it leave the way?

A block is built like the package's, given the same random weights (batch normalisation's statistics too) and run on
the same inputs in float64, in evaluation and in training mode: outputs, gradients and statistics must agree. Names, the
order of the layers and the way of writing are free.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from edgeseg.course import comparing, trace, transfer
from edgeseg.course.comparing import short
from edgeseg.course.message import conclude, tell

T = TypeVar("T")
_SPOILT = "The answer is right, but the function has changed what it was given: copy it."
_NOT_IN_PLACE = "The answer is right, but what was given should be changed in place, too, and is not, or otherwise."
_EXCHANGED = "It agrees only if layers change their roles from case to case: is the wrong one of two like layers used?"
_CUT_OFF = "Is something cut off (detach, no_grad)?"


@dataclass(frozen=True)
class Case:
    """One way to try an exercise, see `case`."""

    args: tuple[Any, ...] = ()
    inputs: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    method: str = "forward"


def case(*args: Any, inputs: Sequence[Any] | None = None, method: str = "forward", **kwargs: Any) -> Case:
    """One way to try an exercise.

    Args:
        args, kwargs: of a function; or of a block's constructor.
        inputs: of a block: shapes, which become random tensors, or tensors.
        method: of a block that is called with them.
    """
    return Case(args, None if inputs is None else tuple(inputs), kwargs, method)


def check(mine: T, package: T, *cases: Case, exercise: str, names: Sequence[str] = ()) -> T:
    """Compare an exercise with the package's own, say what was found, and give back what the notebook goes on with.

    Args:
        mine: the learner's class of a block, or function; unwritten as long as it raises `NotImplementedError`.
        package: what it should compute like.
        cases: ways to try it, at least one; all must agree.
        exercise: its number, ``"05.3"``.
        names: attributes of a block that later cells use.

    Returns:
        ``mine`` if it is right, else ``package``: a notebook always runs to its end.

    Raises:
        AssertionError: it is unwritten or wrong, and ``EDGESEG_COURSE_STRICT=1``.
    """
    if not cases:
        raise ValueError("give at least one course.case(…)")
    judge = _judge_blocks if isinstance(package, type) and issubclass(package, nn.Module) else _judge_functions
    try:
        if mine is package:  # the name was bound to it by an earlier run of this very cell
            raise NotImplementedError
        with torch.random.fork_rng(devices=[]):
            judge(mine, package, cases)
            _require_names(mine, cases[0], names)
    except NotImplementedError:
        return conclude(exercise, mine, package, "open")
    except _WrongError as wrong:
        return conclude(exercise, mine, package, "wrong", str(wrong))
    tried = f"{len(cases)} case{'s' if len(cases) > 1 else ''}"
    return conclude(exercise, mine, package, "right", f"yours computes the same as the package's ({tried}).")


class _WrongError(Exception):
    """The exercise differs; the message teaches where."""


def _require_names(mine: Any, one: Case, names: Sequence[str]) -> None:
    absent = [n for n in names if not hasattr(_build(mine, one), n)]
    if absent:
        raise _WrongError(
            f"It computes the same, but later cells use its {', '.join(absent)}: give that part this name."
        )


# Blocks ---------------------------------------------------------------------------------------------------------------


def _judge_blocks(mine: Any, package: Any, cases: Sequence[Case]) -> None:
    @cache
    def trial(place: int) -> _Trial:  # a wrong answer is seldom right in the first case: the others need no networks
        return _prepare(mine, package, cases[place])

    faults: list[tuple[int, _Fault]] = []
    if not _all_agree(trial, len(cases), {}, faults):
        furthest = max(place for place, _ in faults)
        worst = max((f for place, f in faults if place == furthest), key=lambda f: f.agreeing)
        raise _WrongError(_tried(cases[furthest]) + worst.text)
    for theirs, own in (trial(place).dropouts for place in range(len(cases))):
        if theirs != own:
            raise _WrongError(
                f"The numbers agree, but dropout differs: yours drops with probabilities {own or 'nothing'}, "
                f"the package's with {theirs or 'nothing'}."
            )


@dataclass(frozen=True)
class _Trial:
    """A case, prepared: my block, ways to give it the package's weights, and what the package's block then does."""

    own: nn.Module
    ways: list[transfer.Pairing]
    inputs: list[Any]
    wanted: Mapping[bool, _Ran]
    dropouts: tuple[list[float], list[float]]
    method: str


def _prepare(mine: Any, package: Any, one: Case) -> _Trial:
    torch.manual_seed(0)
    theirs, own = package(*one.args, **one.kwargs).double(), _build(mine, one).double()
    dropouts = _without_dropout(theirs), _without_dropout(own)
    transfer.randomise(theirs)
    generator = torch.Generator().manual_seed(2)
    inputs = [_input(x, generator) for x in one.inputs or ()]
    try:
        ways = transfer.pairings(own, theirs, inputs)
    except transfer.MisfitError as misfit:
        _refuse_unwritten(_run(own, inputs, False, one.method))
        raise _WrongError(str(misfit)) from None
    wanted = {training: _run(theirs, inputs, training, one.method) for training in (False, True)}
    return _Trial(own, ways, inputs, wanted, dropouts, one.method)


def _all_agree(
    trial: Callable[[int], _Trial],
    cases: int,
    names: Mapping[str, str],
    faults: list[tuple[int, _Fault]],
    place: int = 0,
) -> bool:
    """Whether one way of pairing weights, the same in all cases, makes my block compute like the package's.

    Args:
        trial: a case by its place, prepared.
        cases: how many there are.
        names: of my weights → of the package's, as the cases before have settled it.
        faults: place of a case, and what was wrong there; filled.
        place: the case to try now.
    """
    if place == cases:
        return True
    for way in trial(place).ways:
        pairs = {own.name: theirs.name for own, theirs in way}
        if any(names.get(own, theirs) != theirs for own, theirs in pairs.items()):
            continue
        transfer.copy(way)
        fault = _compare(trial(place), way)
        if fault is not None:
            faults.append((place, fault))
        elif _all_agree(trial, cases, {**names, **pairs}, faults, place + 1):
            return True
    if all(p < place for p, _ in faults):
        faults.append((place, _Fault(_EXCHANGED, 0)))
    return False


@dataclass(frozen=True)
class _Fault:
    text: str
    agreeing: int


def _build(mine: Any, one: Case) -> nn.Module:
    if not (isinstance(mine, type) and issubclass(mine, nn.Module)):
        raise _WrongError("This must be a class derived from nn.Module. Did an earlier cell overwrite the name?")
    try:
        return mine(*one.args, **one.kwargs)
    except NotImplementedError:
        raise
    except Exception as error:
        raise _WrongError(f"It cannot be built with {_call(one)}. {tell(error)}") from None


def _refuse_unwritten(ran: _Ran) -> None:
    if isinstance(ran.error, NotImplementedError):
        raise ran.error


def _compare(trial: _Trial, way: transfer.Pairing) -> _Fault | None:
    for training, its in trial.wanted.items():
        ours = _run(trial.own, trial.inputs, training, trial.method)
        _refuse_unwritten(ours)
        if ours.error is not None:
            return _Fault(f"It cannot be run. {tell(ours.error)}", 0)
        difference = comparing.difference(ours.output, its.output, "output")
        if difference:
            agreeing, where = _where(ours.steps, its.steps)
            mode = "training" if training else "evaluation"
            return _Fault(f"In {mode} mode the {difference}\n{where}", agreeing)
        found = _gradients_or_statistics(ours, its, way, training)
        if found:
            return _Fault(found, len(ours.steps))
    return None


@dataclass(frozen=True)
class _Ran:
    output: Any = None
    steps: Sequence[trace.Step] = ()
    gradients: Sequence[Tensor | None] = ()
    weights: Mapping[str, Tensor | None] = field(default_factory=dict)
    error: Exception | None = None


def _run(block: nn.Module, inputs: list[Any], training: bool, method: str) -> _Ran:
    """Output, steps, and gradients of all inputs and weights under a fixed random loss."""
    block = copy.deepcopy(block).train(training)
    given = [x.clone().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    try:
        output, steps = trace.record(block if method == "forward" else getattr(block, method), given)
    except Exception as error:
        return _Ran(error=error)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        ((t * torch.randn(t.shape, dtype=t.dtype, generator=generator)).sum() for t in comparing.tensors(output)),
        torch.zeros((), dtype=torch.float64),
    )
    if loss.requires_grad:
        loss.backward()
    gradients = [x.grad for x in given if isinstance(x, Tensor) and x.requires_grad]
    weights = {e.name: e.tensor.grad if e.tensor.requires_grad else e.tensor for e in transfer.entries(block)}
    return _Ran(output, steps, gradients, weights)


def _gradients_or_statistics(ours: _Ran, its: _Ran, way: transfer.Pairing, training: bool) -> str:
    for i, (a, b) in enumerate(zip(ours.gradients, its.gradients, strict=True)):
        if not comparing.close(a, b):
            return f"The outputs agree, but the gradient of input {i} does not. {_CUT_OFF}"
    for mine, package in way:
        if comparing.close(ours.weights[mine.name], its.weights[package.name]):
            continue
        if mine.tensor.requires_grad:
            return f"The outputs agree, but the gradient of {mine.name} does not. {_CUT_OFF}"
        if training:
            return (
                f"The outputs agree, but after a training step {mine.name} holds other statistics: look at the "
                f"momentum of that {type(mine.owner).__name__}, and at what it normalises."
            )
    return ""


def _where(ours: Sequence[trace.Step], its: Sequence[trace.Step]) -> tuple[int, str]:
    agreeing, mine, package = trace.first_difference(ours, its)
    lines = [f"{agreeing} of your {len(ours)} steps give numbers that the package's block has too."]
    if mine is not None:
        lines.append(f"The first that does not:   {mine}{_which(mine, ours)}")
        if mine.line:
            lines.append(f"    your line:             {mine.line}")
        if mine.caller != mine.line:
            lines.append(f"    called from:           {mine.caller}")
    if package is not None:
        head = "The package has there:     " if mine is not None else "The package also has:      "
        lines.append(f"{head}{package}")
    if mine is not None and package is not None:
        lines.append(_advice(mine, package, _fed_alike(mine, ours, package, its)))
    return agreeing, "\n".join(lines)


def _which(step: trace.Step, steps: Sequence[trace.Step]) -> str:
    """Which of several steps of one name in one layer it is."""
    alike = [s for s in steps if (s.operation, s.layer) == (step.operation, step.layer)]
    place = next(i for i, s in enumerate(alike) if s is step)
    return f", number {place + 1} of {len(alike)}" if len(alike) > 1 else ""


def _fed_alike(mine: trace.Step, ours: Sequence[trace.Step], package: trace.Step, its: Sequence[trace.Step]) -> bool:
    """Whether two steps were given the same numbers in the same order."""
    given = [ours[p] for p in mine.parents], [its[p] for p in package.parents]
    return len(given[0]) == len(given[1]) > 0 and all(a.same_numbers(b) for a, b in zip(*given, strict=True))


def _advice(mine: trace.Step, package: trace.Step, fed_alike: bool) -> str:
    if mine.operation != package.operation:
        return f"Is {package.operation} missing before {mine.operation}, or does another operation stand in its place?"
    if trace.describe(mine) != trace.describe(package):
        return "The same operation with other settings."
    if mine.shape != package.shape:
        return "The same operation, another shape: look at the dimension, the size and the order of what goes in."
    if fed_alike:
        return "The same operation on the same numbers: look at its settings (dimension, size, mode, padding)."
    return "The same operation, other numbers: look at which tensors go into it, along which dimension, in which order."


def _without_dropout(block: nn.Module) -> list[float]:
    """Switch dropout off; returns the probabilities that it had, in order of size."""
    layers = [m for m in block.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    found = sorted(layer.p for layer in layers)
    for layer in layers:
        layer.p = 0.0
    return found


def _input(given: Any, generator: torch.Generator) -> Any:
    if isinstance(given, Tensor):
        return given.double() if given.is_floating_point() else given
    return torch.randn(tuple(given), dtype=torch.float64, generator=generator)


# Functions ------------------------------------------------------------------------------------------------------------


def _judge_functions(mine: Any, package: Any, cases: Sequence[Case]) -> None:
    if not callable(mine):
        raise _WrongError("This must be a function. Did an earlier cell overwrite the name?")
    for one in cases:
        _judge_function(mine, package, one)


def _judge_function(mine: Any, package: Any, one: Case) -> None:
    given = [copy.deepcopy((one.args, dict(one.kwargs))) for _ in range(3)]
    (args, kwargs), (its_args, its_kwargs), first = given
    torch.manual_seed(0)
    wanted, its_steps = trace.record(lambda: package(*its_args, **its_kwargs), ())
    torch.manual_seed(0)
    try:
        got, steps = trace.record(lambda: mine(*args, **kwargs), ())
    except NotImplementedError:
        raise
    except Exception as error:
        raise _WrongError(f"It cannot be run on {_call(one)}. {tell(error)}") from None
    difference = comparing.difference(got, wanted, "answer")
    if difference:
        where = "\n" + _where(steps, its_steps)[1] if steps and its_steps else ""
        raise _WrongError(f"{_tried(one)}The {difference}{where}")
    now, wanted_now, before = map(comparing.plain_data, ((args, kwargs), (its_args, its_kwargs), first))
    for a, b, c in zip(now, wanted_now, before, strict=True):
        if comparing.difference(a, b, "x"):
            raise _WrongError(_tried(one) + (_SPOILT if not comparing.difference(b, c, "x") else _NOT_IN_PLACE))


# Words ----------------------------------------------------------------------------------------------------------------


def _tried(one: Case) -> str:
    return f"Tried with {_call(one)}. "


def _call(one: Case) -> str:
    given = [short(a) for a in one.args] + [f"{k}={short(v)}" for k, v in one.kwargs.items()]
    if one.inputs is None:
        return f"({', '.join(given)})"
    return f"({', '.join(given)}) on inputs {', '.join(map(short, one.inputs))}"
