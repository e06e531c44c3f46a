"""`check`: does a learner's class or function compute what the package's does? And if not, where does it leave the way?

A block is built like the package's, given the same random weights (batch normalisation's statistics too) and run on
the same inputs in float64, in evaluation and in training mode: outputs, gradients and statistics must agree. Names, the
order of the layers and the way of writing are free.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.course import marks, trace, transfer
from edgeseg.course.show import Verdict
from edgeseg.course.start import is_strict

T = TypeVar("T")
_CUT_OFF = "Is something cut off (detach, no_grad)?"
_DOUBLE, _SINGLE = 1e-7, 1e-5  # of the largest number: adding in another order stays below


@dataclass(frozen=True)
class Case:
    """One way to try an exercise, see `case`."""

    args: tuple[Any, ...] = ()
    inputs: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def case(*args: Any, inputs: Sequence[Any] | None = None, **kwargs: Any) -> Case:
    """One way to try an exercise.

    Args:
        args, kwargs: of a function; or of a block's constructor.
        inputs: of a block: shapes, which become random tensors, or tensors.
    """
    return Case(args, None if inputs is None else tuple(inputs), kwargs)


def check(mine: T, package: T, *cases: Case, exercise: str) -> T:
    """Compare an exercise with the package's own, say what was found, and give back what the notebook goes on with.

    Args:
        mine: the learner's class of a block, or function; unwritten as long as it raises `NotImplementedError`.
        package: what it should compute like.
        cases: ways to try it, at least one; all must agree.
        exercise: its number, ``"05.3"``.

    Returns:
        ``mine`` if it is right, else ``package``: a notebook always runs to its end.

    Raises:
        AssertionError: it is unwritten or wrong, and ``EDGESEG_COURSE_STRICT=1``.
    """
    if not cases:
        raise ValueError("give at least one course.case(…)")
    judge = _judge_block if isinstance(package, type) and issubclass(package, nn.Module) else _judge_function
    name = getattr(package, "__name__", str(package))
    try:
        with torch.random.fork_rng(devices=[]):
            for one in cases:
                judge(mine, package, one)
        verdict = Verdict("right", f"{exercise} {name}", _praise(len(cases)))
    except NotImplementedError:
        verdict = Verdict("open", f"{exercise} {name}", "not written yet; going on with the package's own.")
    except _WrongError as wrong:
        rest = "\n\nGoing on with the package's own, so that the rest of the notebook runs."
        verdict = Verdict("wrong", f"{exercise} {name}", f"{wrong}{rest}")
    marks.note(exercise, verdict.state, mine)
    if is_strict() and verdict.state != "right":
        raise AssertionError(str(verdict))
    verdict.show()
    return mine if verdict.state == "right" else package


class _WrongError(Exception):
    """The exercise differs; the message teaches where."""


def _praise(cases: int) -> str:
    return f"yours computes the same as the package's ({cases} case{'s' if cases > 1 else ''}). Going on with yours."


# Blocks ---------------------------------------------------------------------------------------------------------------


def _judge_block(mine: Any, package: Any, one: Case) -> None:
    torch.manual_seed(0)
    theirs = _without_dropout(package(*one.args, **one.kwargs).double())
    own = _build(mine, one)
    dropouts = [sorted(p for _, p in _dropouts(block)) for block in (package(*one.args, **one.kwargs), own)]
    own = _without_dropout(own.double())
    transfer.randomise(theirs)
    inputs = _inputs(one)
    try:
        ways = transfer.pairings(own, theirs, inputs)
    except transfer.MisfitError as misfit:
        _refuse_unwritten(_run(own, inputs, training=False))
        raise _WrongError(str(misfit)) from None
    wanted = {training: _run(theirs, inputs, training) for training in (False, True)}
    faults = []
    for way in ways:
        transfer.copy(way)
        fault = _compare(own, wanted, way, inputs)
        if fault is None:
            break
        faults.append(fault)
    else:
        raise _WrongError(_tried(one) + max(faults, key=lambda f: f.agreeing).text)
    if dropouts[0] != dropouts[1]:
        raise _WrongError(
            f"The numbers agree, but dropout differs: yours drops with probabilities {dropouts[1] or 'nothing'}, the "
            f"package's with {dropouts[0] or 'nothing'}."
        )


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
        raise _WrongError(f"It cannot be built with {_call(one)}. {_tell(error)}") from None


def _refuse_unwritten(ran: _Ran) -> None:
    if isinstance(ran.error, NotImplementedError):
        raise ran.error


def _compare(own: nn.Module, wanted: Mapping[bool, _Ran], way: transfer.Pairing, inputs: list[Any]) -> _Fault | None:
    for training, its in wanted.items():
        ours = _run(own, inputs, training)
        _refuse_unwritten(ours)
        if ours.error is not None:
            return _Fault(f"It cannot be run. {_tell(ours.error)}", 0)
        difference = _difference(ours.output, its.output, "output")
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


def _run(block: nn.Module, inputs: list[Any], training: bool) -> _Ran:
    """Output, steps, and gradients of all inputs and weights under a fixed random loss."""
    block = copying.deepcopy(block).train(training)
    given = [x.clone().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    try:
        output, steps = trace.record(block, given)
    except Exception as error:
        return _Ran(error=error)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        ((t * torch.randn(t.shape, dtype=t.dtype, generator=generator)).sum() for t in _tensors(output)),
        torch.zeros((), dtype=torch.float64),
    )
    if loss.requires_grad:
        loss.backward()
    gradients = [x.grad for x in given if isinstance(x, Tensor) and x.requires_grad]
    weights = {e.name: e.tensor.grad if e.tensor.requires_grad else e.tensor for e in transfer.entries(block)}
    return _Ran(output, steps, gradients, weights)


def _gradients_or_statistics(ours: _Ran, its: _Ran, way: transfer.Pairing, training: bool) -> str:
    for i, (a, b) in enumerate(zip(ours.gradients, its.gradients, strict=True)):
        if not _close(a, b):
            return f"The outputs agree, but the gradient of input {i} does not. {_CUT_OFF}"
    for mine, package in way:
        if _close(ours.weights[mine.name], its.weights[package.name]):
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
        lines.append(f"The first that does not:   {mine}")
        if mine.line:
            lines.append(f"    your line:             {mine.line}")
        if mine.caller != mine.line:
            lines.append(f"    called from:           {mine.caller}")
    if package is not None:
        head = "The package has there:     " if mine is not None else "The package also has:      "
        lines.append(f"{head}{package}")
    if mine is not None and package is not None:
        lines.append(_advice(mine, package))
    return agreeing, "\n".join(lines)


def _advice(mine: trace.Step, package: trace.Step) -> str:
    if mine.operation != package.operation:
        return f"Is {package.operation} missing before {mine.operation}, or does another operation stand in its place?"
    if trace.describe(mine) != trace.describe(package):
        return "The same operation with other settings."
    if mine.shape != package.shape:
        return "The same operation, another shape: look at the dimension, the size and the order of what goes in."
    return "The same operation, other numbers: look at which tensors go into it, along which dimension, in which order."


def _dropouts(block: nn.Module) -> list[tuple[str, float]]:
    return [(n, m.p) for n, m in block.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd)]


def _without_dropout(block: nn.Module) -> nn.Module:
    for module in block.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    return block


def _inputs(one: Case) -> list[Any]:
    generator = torch.Generator().manual_seed(2)
    return [_input(x, generator) for x in one.inputs or ()]


def _input(given: Any, generator: torch.Generator) -> Any:
    if isinstance(given, Tensor):
        return given.double() if given.is_floating_point() else given
    return torch.randn(tuple(given), dtype=torch.float64, generator=generator)


# Functions ------------------------------------------------------------------------------------------------------------


def _judge_function(mine: Any, package: Any, one: Case) -> None:
    if not callable(mine):
        raise _WrongError("This must be a function. Did an earlier cell overwrite the name?")
    given = [copying.deepcopy((one.args, dict(one.kwargs))) for _ in range(2)]
    (args, kwargs), (its_args, its_kwargs) = given
    torch.manual_seed(0)
    wanted, its_steps = trace.record(lambda: package(*its_args, **its_kwargs), ())
    torch.manual_seed(0)
    try:
        got, steps = trace.record(lambda: mine(*args, **kwargs), ())
    except NotImplementedError:
        raise
    except Exception as error:
        raise _WrongError(f"It cannot be run on {_call(one)}. {_tell(error)}") from None
    difference = _difference(got, wanted, "answer")
    if difference:
        where = "\n" + _where(steps, its_steps)[1] if steps and its_steps else ""
        raise _WrongError(f"{_tried(one)}The {difference}{where}")
    if _difference(args, its_args, "x"):
        raise _WrongError(f"{_tried(one)}The answer is right, but the function has changed what it was given: copy it.")


# Comparing ------------------------------------------------------------------------------------------------------------


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Mapping):
        return [t for v in value.values() for t in _tensors(v)]
    return [t for v in value for t in _tensors(v)] if isinstance(value, (list, tuple)) else []


def _difference(got: Any, wanted: Any, what: str) -> str:
    """Empty, or how two values differ, in words that continue "the …"."""
    if isinstance(wanted, (Tensor, np.ndarray)):
        return _array_difference(got, wanted, what)
    if isinstance(wanted, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(wanted):
            keys = sorted(got) if isinstance(got, Mapping) else type(got).__name__
            return f"{what} should be a dict with the keys {sorted(wanted)}, and is {keys}."
        return next(filter(None, (_difference(got[k], wanted[k], f"{what}[{k!r}]") for k in wanted)), "")
    if isinstance(wanted, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(wanted):
            size = f"{len(got)} things" if isinstance(got, (list, tuple)) else type(got).__name__
            return f"{what} should be {len(wanted)} things, and is {size}."
        pairs = enumerate(zip(got, wanted, strict=True))
        return next(filter(None, (_difference(g, w, f"{what}[{i}]") for i, (g, w) in pairs)), "")
    if isinstance(wanted, (bool, str, type(None))):
        return "" if got == wanted else f"{what} is {got!r}, and should be {wanted!r}."
    if isinstance(wanted, (int, float, np.number)):
        return _number_difference(got, wanted, what)
    return "" if got == wanted else f"{what} is not equal to the package's {type(wanted).__name__}."


def _number_difference(got: Any, wanted: Any, what: str) -> str:
    try:
        value = float(got)
    except (TypeError, ValueError):
        return f"{what} should be a number, and is {type(got).__name__}."
    same = np.isclose(value, float(wanted), rtol=1e-6, atol=1e-12, equal_nan=True)
    return "" if same else f"{what} is {value:.6g}, and should be {float(wanted):.6g}."


def _array_difference(got: Any, wanted: Tensor | np.ndarray, what: str) -> str:
    if not isinstance(got, (Tensor, np.ndarray)):
        return (
            f"{what} should be a {type(wanted).__name__} of shape {tuple(wanted.shape)}, and is {type(got).__name__}."
        )
    if tuple(got.shape) != tuple(wanted.shape):
        return f"{what} has the shape {tuple(got.shape)}, and should have {tuple(wanted.shape)}."
    own, its = (x.detach().cpu().numpy() if isinstance(x, Tensor) else x for x in (got, wanted))
    a, b = own.astype(float), its.astype(float)
    tolerance = _SINGLE if its.dtype == np.float32 else _DOUBLE
    if _same(a, b, tolerance):
        same_kind = (own.dtype.kind in "fc") == (its.dtype.kind in "fc")
        return "" if same_kind else f"{what} has the right values as {own.dtype}, and should be {its.dtype}."
    apart = np.nan_to_num(np.abs(a - b), nan=np.inf)
    place = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
    count = int((apart > _scale(b, tolerance)).sum())
    return (
        f"{what} has the right shape {a.shape} and other numbers: {count} of {a.size} differ, most at {list(place)}: "
        f"{a[place]:.6g} instead of {b[place]:.6g}."
    )


def _close(a: Tensor | None, b: Tensor | None) -> bool:
    """Equal up to rounding; no gradient at all is as good as zeros."""
    if a is None or b is None:
        return all(t is None or not t.any() for t in (a, b))
    return _same(a.detach().numpy().reshape(-1), b.detach().numpy().reshape(-1), _DOUBLE)


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=_scale(b, tolerance), equal_nan=True))


def _scale(wanted: np.ndarray, tolerance: float) -> float:
    finite = wanted[np.isfinite(wanted)]
    return tolerance * float(np.abs(finite).max(initial=1e-6))


# Words ----------------------------------------------------------------------------------------------------------------


def _tried(one: Case) -> str:
    return f"Tried with {_call(one)}. "


def _call(one: Case) -> str:
    given = [_short(a) for a in one.args] + [f"{k}={_short(v)}" for k, v in one.kwargs.items()]
    if one.inputs is None:
        return f"({', '.join(given)})"
    return f"({', '.join(given)}) on inputs {', '.join(_short(x) for x in one.inputs)}"


def _short(value: Any) -> str:
    if isinstance(value, (Tensor, np.ndarray)):
        small = value.size if isinstance(value, np.ndarray) else value.numel()
        return str(value.tolist()) if small <= 12 else f"{type(value).__name__}{tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _tell(error: Exception) -> str:
    """An error's message with the learner's own line."""
    frame, line = error.__traceback__, ""
    while frame is not None:
        owner = frame.tb_frame.f_globals.get("__name__", "")
        if owner.partition(".")[0] not in ("torch", "edgeseg"):
            line = trace.linecache.getline(frame.tb_frame.f_code.co_filename, frame.tb_lineno).strip()
        frame = frame.tb_next
    where = f"\n    your line: {line}" if line else ""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{where}"
