"""Whether two answers are the same, and in words where they are not."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

import numpy as np
from torch import Tensor, nn

_MOST_SHOWN = 4  # of a list of arrays
_DOUBLE, _SINGLE = 1e-7, 1e-5  # of the largest number: adding in another order stays below


def tensors(value: Any) -> list[Tensor]:
    """All tensors of fractions in an output."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Mapping):
        return [t for v in value.values() for t in tensors(v)]
    return [t for v in value for t in tensors(v)] if isinstance(value, (list, tuple)) else []


def plain_data(value: Any) -> list[Any]:
    """What a function could have changed in what it was given: tensors, arrays, modules, and the values of lists."""
    if isinstance(value, (Tensor, np.ndarray)):
        return [value]
    if isinstance(value, nn.Module):
        return list(value.state_dict().values())
    if not isinstance(value, (Mapping, list, tuple)):
        return []
    inside = list(value.values()) if isinstance(value, Mapping) else list(value)
    plain = [v for v in inside if v is None or isinstance(v, (bool, int, float, str))]
    return [plain, *(x for v in inside for x in plain_data(v))]


def unequal(got: Any, wanted: Any) -> list[tuple[Any, Any]]:
    """Pairs of tensors and arrays of two results that differ; nothing where their structure does."""
    if isinstance(wanted, (Tensor, np.ndarray)):
        return [(got, wanted)] if difference(got, wanted, "") else []
    if isinstance(wanted, Mapping) and isinstance(got, Mapping) and set(got) == set(wanted):
        return [pair for key in wanted for pair in unequal(got[key], wanted[key])]
    if isinstance(wanted, (list, tuple)) and isinstance(got, (list, tuple)) and len(got) == len(wanted):
        return [pair for g, w in zip(got, wanted, strict=True) for pair in unequal(g, w)]
    return []


def newly_shared(given: tuple[Any, Any], its: tuple[Any, Any]) -> str:
    """Whether two things that a function was given share memory after it, and after the package's do not; in words.

    Args:
        given, its: positional and keyword arguments after the learner's function, and after the package's.
    """
    (args, kwargs), (its_args, its_kwargs) = given, its
    for held, others in _pairs({**dict(enumerate(args)), **kwargs}):
        for name, tensor in held[1].items():
            twin = next((n for n, t in others[1].items() if _same_memory(tensor, t)), None)
            if twin is not None and not _shares({**dict(enumerate(its_args)), **its_kwargs}, held[0], others[0]):
                return (
                    f"{held[0]}'s {name} and {others[0]}'s {twin} share their memory now: what changes one changes the "
                    "other. Copy the numbers (copy_, clone)."
                )
    return ""


def _pairs(given: Mapping[Any, Any]) -> list[tuple[tuple[Any, dict[str, Tensor]], tuple[Any, dict[str, Tensor]]]]:
    held = [(k, dict(v.state_dict())) for k, v in given.items() if isinstance(v, nn.Module)]
    return [(a, b) for i, a in enumerate(held) for b in held[i + 1 :]]


def _shares(given: Mapping[Any, Any], one: Any, other: Any) -> bool:
    a, b = (given[k].state_dict().values() for k in (one, other))
    return any(_same_memory(x, y) for x in a for y in b)


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a.numel() > 0 and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def difference(got: Any, wanted: Any, what: str, strict_types: bool = False) -> str:
    """Empty, or how two values differ, in words that continue "the …".

    Args:
        got, wanted: the values.
        what: a name for them.
        strict_types: whether tensors of fractions must have the same number of bits.
    """

    def inner(g: Any, w: Any, place: str) -> str:
        return difference(g, w, place, strict_types)

    if isinstance(wanted, (Tensor, np.ndarray)):
        return _array_difference(got, wanted, what, strict_types)
    if isinstance(wanted, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(wanted):
            keys = sorted(got) if isinstance(got, Mapping) else type(got).__name__
            return f"{what} should be a dict with the keys {sorted(wanted)}, and is {keys}."
        return next(filter(None, (inner(got[k], wanted[k], f"{what}[{k!r}]") for k in wanted)), "")
    if isinstance(wanted, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(wanted):
            kind = type(wanted).__name__
            size = f"one of length {len(got)}" if isinstance(got, (list, tuple)) else f"a {type(got).__name__}"
            return f"{what} should be a {kind} of length {len(wanted)}, and is {size}: {short(got)}."
        pairs = enumerate(zip(got, wanted, strict=True))
        return next(filter(None, (inner(g, w, f"{what}[{i}]") for i, (g, w) in pairs)), "")
    if isinstance(wanted, (bool, str, type(None))):
        return "" if got == wanted else f"{what} is {got!r}, and should be {wanted!r}."
    if isinstance(wanted, int) and isinstance(got, (int, np.integer)):
        return "" if got == wanted else f"{what} is {got}, and should be {wanted}."
    if isinstance(wanted, (int, float, np.number)):
        return _number_difference(got, wanted, what)
    return "" if got == wanted else f"{what} is not equal to the package's {type(wanted).__name__}."


def short(value: Any) -> str:
    """How a value looks, cut to what fits into a line; of a large tensor or array its shape."""
    if isinstance(value, (Tensor, np.ndarray)):
        large = np.prod(value.shape) > 12
        return f"{type(value).__name__}{tuple(value.shape)}" if large else str(value.tolist())
    if isinstance(value, nn.Module):
        return f"a {type(value).__name__}"
    if isinstance(value, (list, tuple)) and any(map(_holds_arrays, value)):
        many = [f"… {len(value) - _MOST_SHOWN} more"] if len(value) > _MOST_SHOWN else []
        inside = ", ".join([*map(short, value[:_MOST_SHOWN]), *many])
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, FunctionType):
        return "a function" if value.__name__ == "<lambda>" else f"the function {value.__name__}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_arrays, value))
    return isinstance(value, (Tensor, np.ndarray))


def _number_difference(got: Any, wanted: Any, what: str) -> str:
    try:
        value = float(got)
    except (TypeError, ValueError):
        return f"{what} should be a number, and is {type(got).__name__}."
    same = np.isclose(value, float(wanted), rtol=1e-6, atol=1e-12, equal_nan=True)
    if same:
        return ""
    relation = _relation(value, float(wanted))
    return f"{what} is {_digits(value, wanted)}, and should be {_digits(wanted, value)}{relation}."


def _digits(number: Any, other: Any) -> str:
    """A number with as many digits as it takes to tell it from another."""
    return next((f"{number:.{n}g}" for n in (6, 9, 12) if f"{number:.{n}g}" != f"{other:.{n}g}"), repr(float(number)))


def _array_difference(got: Any, wanted: Tensor | np.ndarray, what: str, strict_types: bool = False) -> str:
    if not isinstance(got, type(wanted)):
        return (
            f"{what} should be a {type(wanted).__name__} of shape {tuple(wanted.shape)}, and is {type(got).__name__}."
        )
    if tuple(got.shape) != tuple(wanted.shape):
        return f"{what} has the shape {tuple(got.shape)}, and should have {tuple(wanted.shape)}."
    own, its = (x.detach().cpu().numpy() if isinstance(x, Tensor) else x for x in (got, wanted))
    a, b = own.astype(float), its.astype(float)
    tolerance = _SINGLE if its.dtype == np.float32 else _DOUBLE
    if _same(a, b, tolerance):
        whole = its.dtype.kind not in "fc"
        wrong = whole and (own.dtype.kind in "fc" or (its.itemsize == 1 and own.dtype != its.dtype))
        if strict_types and isinstance(wanted, Tensor) and own.dtype.kind == its.dtype.kind == "f":
            wrong = own.dtype != its.dtype
        return f"{what} has the right values as {own.dtype}, and should be {its.dtype}." if wrong else ""
    apart = np.nan_to_num(np.abs(a - b), nan=np.inf)
    if a.ndim == 0:
        return f"{what} is {_digits(a, b)}, and should be {_digits(b, a)}{_relation(a, b)}."
    place = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
    count = int((apart > _scale(b, tolerance)).sum())
    return (
        f"{what} has the right shape {a.shape} and other numbers: {count} of {a.size} differ, most at {list(place)}: "
        f"{a[place]:.6g} instead of {b[place]:.6g}{_relation(a, b)}."
    )


def _relation(own: Any, its: Any) -> str:
    """What is wrong with all of the numbers in the same way, where that can be said in a few words."""
    a, b = np.ravel(own), np.ravel(its)
    if not (np.isfinite(a).all() and np.isfinite(b).all() and np.abs(b).max(initial=0) > 0):
        return ""
    factors = {"the other sign": -1.0, "twice the number": 2.0, "half the number": 0.5}
    factors |= {"a hundredth of the number": 0.01, "a hundred times the number": 100.0}
    for words, factor in factors.items():
        if _same(a, factor * b, _SINGLE):
            return f": {words}" if a.size == 1 else f": {words} everywhere"
    if a.size > 2 and np.ptp(b) > 0:
        if _same(a - b, np.full(b.shape, float(np.mean(a - b))), _SINGLE):
            return f": everywhere {np.mean(a - b):+.6g}"
        if _same(np.sort(a), np.sort(b), _SINGLE) and np.unique(b).size > max(4, b.size // 2):
            return ": the same numbers in other places"
    return ""


def close(a: Tensor | None, b: Tensor | None) -> bool:
    """Equal up to rounding; no gradient at all is as good as zeros."""
    if a is None or b is None:
        return all(t is None or not t.any() for t in (a, b))
    return _same(a.detach().numpy().reshape(-1), b.detach().numpy().reshape(-1), _DOUBLE)


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=_scale(b, tolerance), equal_nan=True))


def _scale(wanted: np.ndarray, tolerance: float) -> float:
    finite = wanted[np.isfinite(wanted)]
    return tolerance * float(np.abs(finite).max(initial=1e-6))
