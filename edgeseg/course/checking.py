"""`check`: does a learner's class or function compute what the package's does? And if not, where does it leave the way?

A block is built like the package's, given the same random weights (batch normalisation's statistics too) and run on
the same inputs in float64, in evaluation and in training mode: outputs, gradients and statistics must agree. Names, the
order of the layers and the way of writing are free.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from edgeseg.course import blame, comparing, mistakes, repair, trace, transfer
from edgeseg.course.cases import Case
from edgeseg.course.comparing import tensors
from edgeseg.course.message import conclude, tell
from edgeseg.models.papers import MMCV_SYNCBN_RULES, THOP_RULES

T = TypeVar("T")
_Structure = tuple[frozenset[str], frozenset[str]]
_SPOILT = "The answer is right, but the function has changed what it was given: copy it."
_NOT_IN_PLACE = "The answer is right, but what was given should be changed in place, too, and is not, or otherwise."
_EXCHANGED = "It agrees only if layers change their roles from case to case: is the wrong one of two like layers used?"
_LIKELIEST = 2  # pairings of weights that a changed answer is tried with
_MOST_IDLE = 3  # layers of which is told that they do nothing
_CUT_OFF = "Is something cut off (detach, no_grad)?"


def check(
    mine: T, package: T, *cases: Case, exercise: str, names: Sequence[str] = (), counted: bool | str = False
) -> T:
    """Compare an exercise with the package's own, say what was found, and give back what the notebook goes on with.

    Args:
        mine: the learner's class of a block, or function; unwritten as long as it raises `NotImplementedError`.
        package: what it should compute like.
        cases: ways to try it, at least one; all must agree.
        exercise: its number, ``"05.3"``.
        names: attributes of a block that later cells use.
        counted: whether a later lesson counts the block's operations by a paper's tool, which sees modules only: lesson
            ``"06"`` (or just ``True``), or ``"12"``. Then a function in a module's place is refused, by name.

    Returns:
        ``mine`` if it is right, else ``package``: a notebook always runs to its end.

    Raises:
        AssertionError: it is unwritten or wrong, and ``EDGESEG_COURSE_STRICT=1``.
        ValueError: no case is given, or one of a block has an answer that is not finite, with which anything agrees.
    """
    if not cases:
        raise ValueError("give at least one course.case(…)")
    judge = _Judge(package, cases, names, "06" if counted is True else counted or "")
    try:
        if mine is package:  # the name was bound to it by an earlier run of this very cell
            raise NotImplementedError
        judge(mine)
    except NotImplementedError:
        return conclude(exercise, mine, package, "open")
    except _WrongError as wrong:
        known = mistakes.told(exercise, package, lambda mistake: _agree(mine, mistake, cases))
        return conclude(exercise, mine, package, "wrong", f"{wrong}\n{known or _place(mine, wrong, judge)}".rstrip())
    tried = f"{len(cases)} case{'s' if len(cases) > 1 else ''}"
    return conclude(exercise, mine, package, "right", f"yours computes the same as the package's ({tried}).")


class _WrongError(Exception):
    """The exercise differs; the message teaches how.

    Args:
        text: the message.
        where: in which lines the fault lies, in words; called when it is told, as it takes many runs.
    """

    def __init__(self, text: str, where: Callable[[], str] = str) -> None:
        super().__init__(text)
        self.where = where


class _Judge:
    """Raises if an answer is unwritten or wrong."""

    def __init__(self, package: Any, cases: Sequence[Case], names: Sequence[str], counted: str) -> None:
        is_block = isinstance(package, type) and issubclass(package, nn.Module)
        self.compared = _BlocksJudge(package, cases) if is_block else _FunctionsJudge(package, cases)
        self.package, self.cases, self.names, self.counted = package, cases, names, counted

    def __call__(self, mine: Any) -> None:
        with torch.random.fork_rng(devices=[]):
            self.compared(mine)
            _require_names(mine, self.cases[0], self.names)
            if self.counted:
                _require_modules(mine, self.package, self.cases, self.counted)

    def accepts(self, changed: Any) -> bool:
        """Whether an answer is right; meant for many, after one that was wrong."""
        with torch.random.fork_rng(devices=[]):
            if self.compared.is_hopeless(changed):
                return False
        self(changed)
        return True


def _agree(mine: Any, mistake: Any, cases: Sequence[Case]) -> bool:
    """Whether an answer computes in all cases what a known mistake does."""
    try:
        _Judge(mistake, cases, (), "")(mine)
    except Exception:  # another one, or one that fails in cases for which it was not written
        return False
    return True


def _place(mine: Any, wrong: _WrongError, judge: _Judge) -> str:
    """In words in which lines the fault lies, first as seen by trying; empty where that is not known."""
    tried = repair.told(mine, judge.accepts)
    with torch.random.fork_rng(devices=[]):
        return tried or wrong.where()


def _require_names(mine: Any, one: Case, names: Sequence[str]) -> None:
    absent = [n for n in names if not hasattr(_build(mine, one), n)]
    if absent:
        raise _WrongError(
            f"It computes the same, but later cells use its {', '.join(absent)}: give that part this name."
        )


_Rules = Mapping[type[nn.Module], Callable[..., int]]
_TOOLS: Mapping[str, _Rules] = {"06": MMCV_SYNCBN_RULES, "12": THOP_RULES}
_LIKE = {"Conv1d": "Conv2d", "Linear": "Conv2d"}  # cost the same at each place


def _require_modules(mine: Any, package: Any, cases: Sequence[Case], lesson: str) -> None:
    for one in cases:
        generator = torch.Generator().manual_seed(2)
        inputs = one.given(generator)
        blocks = (made(*one.args, **one.kwargs).double() for made in (mine, package))
        own, its = (_counts(block, inputs, _TOOLS[lesson]) for block in blocks)
        for kind in sorted({*own, *its}):
            wanted = its.get(kind, 0)
            if own.get(kind, 0) != wanted:
                unseen = _unseen(package(*one.args, **one.kwargs), kind, _TOOLS[lesson])
                cure = (
                    f"Use the module {kind}, made in __init__, where yours has a function."
                    if own.get(kind, 0) < wanted
                    else f"Use {unseen} in its place: the paper's tool does not know that one."
                    if unseen
                    else f"Is a {kind} called more often than is needed?"
                )
                raise _WrongError(
                    f"{one.tried()}It computes the same, but lesson {lesson} counts operations, and its tool sees "
                    f"modules only. It finds {own.get(kind, 0):,} operations of {kind} in yours and {wanted:,} in the "
                    f"package's. {cure}"
                )


def _unseen(block: nn.Module, kind: str, rules: _Rules) -> str:
    """The class of a block's modules that derives from a counted one, and that the tool therefore does not know."""
    of = tuple(counted for counted in rules if counted.__name__ == kind)
    return next((type(m).__name__ for m in block.modules() if isinstance(m, of) and type(m) not in rules), "")


def _counts(block: nn.Module, inputs: Sequence[Any], rules: _Rules) -> dict[str, int]:
    """Operations of each kind of module by a paper's tool."""
    found: Counter[str] = Counter()

    def book(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        kind = type(module).__name__
        found[_LIKE.get(kind, kind)] += rules[type(module)](module, given[0], output)

    for module in block.modules():
        if type(module) in rules:
            module.register_forward_hook(book)
    with torch.no_grad():
        block.eval()(*inputs)
    return dict(found)


# Blocks ---------------------------------------------------------------------------------------------------------------


class _BlocksJudge:
    """Raises if a block does not compute like the package's in all cases."""

    def __init__(self, package: Any, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.failed: tuple[int, _Trial, list[transfer.Pairing]] | None = None  # of the first block that was wrong
        self._asked = cache(lambda place: _ask(package, cases[place]))  # the others need no networks if one differs

    def __call__(self, mine: Any) -> None:
        @cache
        def trial(place: int) -> _Trial:
            return _prepare(mine, self._asked(place), self.cases[place])

        faults: list[tuple[int, _Fault]] = []
        if not _all_agree(trial, len(self.cases), {}, faults):
            furthest = max(place for place, _ in faults)
            there = sorted((f for place, f in faults if place == furthest), key=lambda f: -f.agreeing)
            worst, ways = there[0], [f.way for f in there if f.way is not None][:_LIKELIEST]
            self.failed = self.failed or (furthest, trial(furthest), ways)
            raise _WrongError(f"{self.cases[furthest].tried()}{worst.text}", worst.where)
        for place in range(len(self.cases)):
            own, theirs = trial(place).dropped()
            if theirs != own:
                raise _WrongError(
                    f"The numbers agree, but dropout differs: yours drops with probabilities {own or 'nothing'}, "
                    f"the package's with {theirs or 'nothing'}."
                )

    def is_hopeless(self, mine: Any) -> bool:
        """Whether a block is wrong where the first one was: quickly found, so that most of many need no judgement.

        Gradients are not asked for, nor other pairings of weights than those by which most steps of the first agreed.
        """
        place = self.failed[0] if self.failed else 0
        own, one = _build(mine, self.cases[place]).double(), self.cases[place]
        found = transfer.entries(own)
        if Counter(e.shape for e in found) != Counter(e.shape for e in transfer.entries(self._asked(place).block)):
            return True
        if self.failed is None:
            return False
        _, trial, ways = self.failed
        weights = {e.name: e.tensor for e in found}
        if {n: t.shape for n, t in weights.items()} != {e.name: e.tensor.shape for e in transfer.entries(trial.own)}:
            return False
        _without_dropout(own)
        return not any(trial.agrees(own, weights, way, one.method) for way in ways)


@dataclass(frozen=True)
class _Asked:
    """A case, and what the package's block does in it."""

    block: nn.Module
    dropouts: Mapping[str, float]
    inputs: list[Any]
    wanted: Mapping[bool, _Ran]


@dataclass(frozen=True)
class _Trial:
    """A case, prepared: my block, ways to give it the package's weights, and what the package's block then does."""

    own: nn.Module
    ways: list[transfer.Pairing]
    inputs: list[Any]
    wanted: Mapping[bool, _Ran]
    dropouts: tuple[Mapping[str, float], Mapping[str, float]]
    method: str
    answer: Any

    def dropped(self) -> tuple[list[float], list[float]]:
        """Probabilities of the dropout layers that run in training, mine and the package's, in order of size."""
        runs = _run(self.own, self.inputs, True, self.method), self.wanted[True]
        own, theirs = (
            sorted(p for name, p in ps.items() if name in {s.layer for s in r.steps})
            for ps, r in zip(self.dropouts, runs, strict=True)
        )
        return own, theirs

    def agrees(self, own: nn.Module, weights: Mapping[str, Tensor], way: transfer.Pairing, method: str) -> bool:
        """Whether the output of a block with weights of my block's names is the package's, gradients aside."""
        with torch.no_grad():
            for training, its in self.wanted.items():
                for mine, package in way:
                    weights[mine.name].copy_(package.tensor.reshape(weights[mine.name].shape))
                output = getattr(own.train(training), "__call__" if method == "forward" else method)(*self.inputs)
                if comparing.difference(output, its.output, ""):
                    return False
        return True

    def where(self, ours: _Ran, its: _Ran, way: transfer.Pairing, training: bool) -> str:
        """The learner's lines in which the fault lies, in words."""
        assert ours.traced is not None
        assert its.traced is not None

        def rerun(exchanged: Mapping[int, Tensor]) -> trace.Trace | None:
            return _run(self.own, self.inputs, training, self.method, True, exchanged, forward_only=True).traced

        transfer.copy(way)
        return blame.explain(ours.traced, its.traced, self.answer, rerun)


def _ask(package: Any, one: Case) -> _Asked:
    torch.default_generator.manual_seed(0)
    block = package(*one.args, **one.kwargs).double()
    dropouts = _without_dropout(block)
    transfer.randomise(block)
    generator = torch.Generator().manual_seed(2)
    inputs = one.given(generator)
    wanted = _run_both(block, inputs, one.method)
    if not _is_finite(wanted):  # many gates in a row: evaluation normalises by statistics that are not of these numbers
        transfer.settle(block, inputs)
        wanted = _run_both(block, inputs, one.method)
    if not _is_finite(wanted):
        raise ValueError(f"case {one.call()}: the package's own answer is not finite, so anything would pass")
    return _Asked(block, dropouts, inputs, wanted)


def _run_both(block: nn.Module, inputs: list[Any], method: str) -> dict[bool, _Ran]:
    return {training: _run(block, inputs, training, method, keep=True) for training in (False, True)}


def _is_finite(wanted: Mapping[bool, _Ran]) -> bool:
    found = [t for ran in wanted.values() for t in (*tensors(ran.output), *ran.gradients, *ran.weights.values())]
    return all(bool(t.isfinite().all()) for t in found if t is not None)


def _prepare(mine: Any, asked: _Asked, one: Case) -> _Trial:
    torch.default_generator.manual_seed(0)
    own = _build(mine, one).double()
    dropouts = _without_dropout(own), asked.dropouts
    try:
        ways = transfer.pairings(own, asked.block, asked.inputs)
    except transfer.MisfitError as misfit:
        _refuse_unwritten(_run(own, asked.inputs, False, one.method))
        raise _WrongError(str(misfit)) from None
    return _Trial(own, ways, asked.inputs, asked.wanted, dropouts, one.method, mine)


def _all_agree(
    trial: Callable[[int], _Trial],
    cases: int,
    names: Mapping[_Structure, Mapping[str, str]],
    faults: list[tuple[int, _Fault]],
    place: int = 0,
) -> bool:
    """Whether one way of pairing weights, the same in all cases, makes my block compute like the package's.

    Args:
        trial: a case by its place, prepared.
        cases: how many there are.
        names: of my weights → of the package's, as the cases before have settled it for blocks of these layers.
        faults: place of a case, and what was wrong there; filled.
        place: the case to try now.
    """
    if place == cases:
        return True
    for way in trial(place).ways:
        pairs = {own.name: theirs.name for own, theirs in way}
        structure = frozenset(pairs), frozenset(pairs.values())  # with other layers a name may mean another one
        if names.get(structure, pairs) != pairs:
            continue
        transfer.copy(way)
        fault = _compare(trial(place), way)
        if fault is not None:
            faults.append((place, replace(fault, way=way)))
        elif _all_agree(trial, cases, {**names, structure: pairs}, faults, place + 1):
            return True
    if all(p < place for p, _ in faults):
        faults.append((place, _Fault(_EXCHANGED)))
    return False


@dataclass(frozen=True)
class _Fault:
    text: str
    agreeing: int = 0
    where: Callable[[], str] = str  # found when it is asked for: it takes many runs
    way: transfer.Pairing | None = None  # empty where there are no weights


def _build(mine: Any, one: Case) -> nn.Module:
    if not (isinstance(mine, type) and issubclass(mine, nn.Module)):
        raise _WrongError("This must be a class derived from nn.Module. Did an earlier cell overwrite the name?")
    try:
        return mine(*one.args, **one.kwargs)
    except NotImplementedError:
        raise
    except Exception as error:
        raise _WrongError(f"It cannot be built with {one.call()}. {tell(error)}") from None


def _refuse_unwritten(ran: _Ran) -> None:
    if isinstance(ran.error, NotImplementedError):
        raise ran.error


def _compare(trial: _Trial, way: transfer.Pairing) -> _Fault | None:
    passed = 0  # steps of the modes that agree: of several pairings, the one that fails last is told about
    for training, its in trial.wanted.items():
        ours = _run(trial.own, trial.inputs, training, trial.method)
        _refuse_unwritten(ours)
        if ours.error is not None:
            return _Fault(f"It cannot be run. {tell(ours.error)}")
        difference = comparing.difference(ours.output, its.output, "output")
        if difference:
            mode = "training" if training else "evaluation"
            where = partial(trial.where, ours, its, way, training)
            difference += _without_influence(ours, its, way)
            agreeing = passed + blame.agreeing(ours.steps, its.steps)
            return _Fault(f"In {mode} mode the {difference}", agreeing, where)
        found = _gradients_or_statistics(ours, its, way, training)
        if found:
            return _Fault(found, passed + len(ours.steps))
        passed += len(ours.steps)
    return None


@dataclass(frozen=True)
class _Ran:
    traced: trace.Trace | None = None
    gradients: Sequence[Tensor | None] = ()
    weights: Mapping[str, Tensor | None] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def output(self) -> Any:
        return self.traced.result if self.traced else None

    @property
    def steps(self) -> Sequence[trace.Step]:
        return self.traced.steps if self.traced else ()


def _run(
    block: nn.Module,
    inputs: list[Any],
    training: bool,
    method: str,
    keep: bool = False,
    exchanged: Mapping[int, Tensor] | None = None,
    forward_only: bool = False,
) -> _Ran:
    """Output, steps, and gradients of all inputs and weights under a fixed random loss; for the rest see `record`."""
    block = copy.deepcopy(block).train(training)
    given = [x.clone().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    try:
        traced = trace.record(block if method == "forward" else getattr(block, method), given, keep, exchanged)
    except Exception as error:
        return _Ran(error=error)
    if forward_only:
        return _Ran(traced)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        ((t * torch.randn(t.shape, dtype=t.dtype, generator=generator)).sum() for t in tensors(traced.result)),
        torch.zeros((), dtype=torch.float64),
    )
    if loss.requires_grad:
        loss.backward()
    gradients = [x.grad for x in given if isinstance(x, Tensor) and x.requires_grad]
    weights = {e.name: e.tensor.grad if e.tensor.requires_grad else e.tensor for e in transfer.entries(block)}
    return _Ran(traced, gradients, weights)


def _without_influence(ours: _Ran, its: _Ran, way: transfer.Pairing) -> str:
    """In words which of my layers do nothing for the output, where the package's do; empty if all do something."""
    used = [
        (a.path or a.name, ours.weights[a.name] is not None)
        for a, b in way
        if its.weights[b.name] is not None and a.tensor.requires_grad
    ]
    still = {name for name, is_used in used if is_used}
    idle = list(dict.fromkeys(name for name, _ in used if name not in still))
    if not idle or not still:
        return ""
    more = f" and {len(idle) - _MOST_IDLE} more" if len(idle) > _MOST_IDLE else ""
    return f"\nNot used for the output, though it has weights: {', '.join(idle[:_MOST_IDLE])}{more}."


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


def _without_dropout(block: nn.Module) -> dict[str, float]:
    """Switch dropout off; returns the probability that each layer of it had."""
    layers = {n: m for n, m in block.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd)}
    found = {name: layer.p for name, layer in layers.items()}
    for layer in layers.values():
        layer.p = 0.0
    return found


# Functions ------------------------------------------------------------------------------------------------------------


class _FunctionsJudge:
    """Raises if a function does not give what the package's gives in all cases."""

    def __init__(self, package: Any, cases: Sequence[Case]) -> None:
        self.cases = cases
        self._asked = cache(lambda place: _call_with(package, cases[place]))
        self._seconds = dict.fromkeys(range(len(cases)), 0.0)  # that tries of each case took lately

    def __call__(self, mine: Any) -> None:
        if not callable(mine):
            raise _WrongError("This must be a function. Did an earlier cell overwrite the name?")
        for place, one in enumerate(self.cases):
            _judge_function(mine, self._asked(place), one)

    def is_hopeless(self, mine: Any) -> bool:
        """Whether a function is wrong; cases that take long come last, as those that do not will mostly tell."""
        for place in sorted(self._seconds, key=lambda p: self._seconds[p]):
            its, begin = self._asked(place), time.thread_time()
            try:
                _judge_function(mine, its, self.cases[place])
            except _WrongError:
                return True
            finally:
                took = time.thread_time() - begin
                self._seconds[place] = 0.9 * (self._seconds[place] or took) + 0.1 * took
        return False


@dataclass(frozen=True)
class _Called:
    """A call of a function: what it did, and what it was given, as that was then."""

    traced: trace.Trace
    given: tuple[Any, Mapping[str, Any]]


def _call_with(function: Any, one: Case, keep: bool = True, exchanged: Mapping[int, Tensor] | None = None) -> _Called:
    args, kwargs = copy.deepcopy((one.args, dict(one.kwargs)))
    torch.default_generator.manual_seed(0)
    return _Called(trace.record(lambda: function(*args, **kwargs), (), keep, exchanged), (args, kwargs))


def _judge_function(mine: Any, its: _Called, one: Case) -> None:
    try:
        ours = _call_with(mine, one, keep=False)
    except NotImplementedError:
        raise
    except Exception as error:
        raise _WrongError(f"It cannot be run on {one.call()}. {tell(error)}") from None

    def rerun(exchanged: Mapping[int, Tensor]) -> trace.Trace | None:
        try:
            return _call_with(mine, one, True, exchanged).traced
        except Exception:
            return None

    difference = comparing.difference(ours.traced.result, its.traced.result, "answer", strict_types=True)
    if difference:
        where = partial(blame.explain, ours.traced, its.traced, mine, rerun)
        raise _WrongError(f"{one.tried()}The {difference}", where)
    shared = comparing.newly_shared(ours.given, its.given)
    if shared:
        raise _WrongError(f"{one.tried()}The numbers are right, but {shared}")
    now, wanted_now, before = map(comparing.plain_data, (ours.given, its.given, (one.args, dict(one.kwargs))))
    if not len(now) == len(wanted_now) == len(before):
        raise _WrongError(one.tried() + _SPOILT)
    for a, b, c in zip(now, wanted_now, before, strict=True):
        if comparing.difference(a, b, "x"):
            raise _WrongError(one.tried() + (_SPOILT if not comparing.difference(b, c, "x") else _NOT_IN_PLACE))


# Words ----------------------------------------------------------------------------------------------------------------
