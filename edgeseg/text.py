"""Words from outside: ``field=value``, sizes, names that are nearly right; and tables for a terminal.

The one parser behind recipes (``lr=0.02``), runtimes' options (``--option opset=18``, ``onnx:int8:keep=head``)
and sizes (``360x480``); the one "did you mean"; the one table printer. Knows nothing of the rest of the package.
"""

from __future__ import annotations

import ast
import difflib
import io
import math
import re
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NOTHING = ("none", "null")


# names ----------------------------------------------------------------------------------------------------------------


def unknown(what: str, word: str, known: Collection[str]) -> str:
    """``no runtime 'onx' (did you mean onnx?); there are eager, onnx, …``: the message for a name that does not exist.

    Args:
        what: the kind of thing, e.g. ``"runtime"``.
        word: what was asked for.
        known: all there are, in the order to show them.
    """
    near = difflib.get_close_matches(word, known, 3, 0.5)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"no {what} {word!r}{hint}; there are {', '.join(known) or 'none'}"


def first_few(items: Sequence[str], count: int = 5) -> str:
    """The first of many names, for a message: ``a, b, …``."""
    return f"{', '.join(items[:count])}{', …' if len(items) > count else ''}"


# values ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """What one setting may be.

    Args:
        kind: ``bool``, ``int``, ``float``, ``str``, ``dict``, ``tuple[float, float]``, ``tuple[str, ...]``, or one of
            these ``| None``.
        default: its value where nothing is said.
        low, high: the range of a number, and of every number of a tuple; both ends allowed.
        choices: the only words or numbers allowed; empty: any.
    """

    kind: Any
    default: Any = None
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Any, ...] = ()

    @property
    def optional(self) -> bool:
        """Whether ``none`` is a value."""
        return type(None) in typing.get_args(self.kind)

    def parse(self, name: str, text: str) -> Any:
        """The value that a command line's text stands for.

        Args:
            name: of the field, for the message.
            text: as typed: ``0.02``, ``true``, ``none``, ``288,384``, ``head,decoder.last``, ``{'width': 32}``.

        Raises:
            ValueError: no such value; says what is wanted.
        """
        if self.optional and text.strip().lower() in _NOTHING:
            return None
        kind = self._plain_kind()
        if kind is str:
            return self._settled(name, text, text)
        if kind is bool:
            return self._settled(name, _TRUTH.get(text.strip().lower()), text)
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            value = [word.strip() for word in text.split(",") if word.strip()]
        if typing.get_origin(kind) is tuple and not isinstance(value, tuple | list):
            value = (str(value) if str in typing.get_args(kind) else value,)
        return self._settled(name, value, text)

    def check(self, name: str, value: Any) -> Any:
        """A Python value in the field's own type: whole numbers become floats, lists tuples, numpy's numbers Python's.

        Raises:
            ValueError: another type, or out of range; says what is wanted.
        """
        return None if value is None and self.optional else self._settled(name, value, repr(value))

    def wanted(self) -> str:
        """What may be given, in words: ``a number from 0 to 1``."""
        if self.choices:
            words = f"one of {', '.join(map(str, self.choices))}"
        else:
            words = _words(self._plain_kind())
            finite = math.isfinite(self.low), math.isfinite(self.high)
            if all(finite):
                words += f" from {self.low:.12g} to {self.high:.12g}"
            elif any(finite):
                words += f" of {self.low:.12g} or more" if finite[0] else f" of {self.high:.12g} or less"
        return f"{words}, or none" if self.optional else words

    def _settled(self, name: str, value: Any, given: str) -> Any:
        """The value in the field's own type, or an error that shows it as it was ``given``."""
        found = _as_kind(value, self._plain_kind())
        if found is None or not self._allowed(found):
            raise ValueError(f"{name}={given}: give {self.wanted()}; the default is {_shown(self.default)}")
        return found

    def _plain_kind(self) -> Any:
        if isinstance(self.kind, UnionType) or typing.get_origin(self.kind) is typing.Union:
            return next(k for k in typing.get_args(self.kind) if k is not type(None))
        return self.kind

    def _allowed(self, value: Any) -> bool:
        if self.choices and value not in self.choices:
            return False
        values = value if isinstance(value, tuple) else (value,)
        return all(self.low <= v <= self.high for v in values if _is_number(v))


def parse_fields(texts: Iterable[str], fields: Mapping[str, Field], what: str, noun: str = "field") -> dict[str, Any]:
    """``["lr=0.02", "crop=288,384"]`` → ``{"lr": 0.02, "crop": (288, 384)}``.

    Args:
        texts: one ``field=value`` each.
        fields: those that exist.
        what: whose they are, for the message, e.g. ``"a recipe"``.
        noun: what they are called there.

    Raises:
        ValueError: no ``=``, a field given twice or that does not exist (lists the near ones), or another value.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals and fields:
            example = name if name in fields else next(iter(fields))
            raise ValueError(f"{text!r}: write {noun}=value, e.g. {example}={_shown(fields[example].default)}")
        if name in found:
            raise ValueError(f"{name} is given twice; give it once")
        found[name] = known_field(name, fields, what, noun).parse(name, value)
    return found


def known_field(name: str, fields: Mapping[str, Field], what: str, noun: str = "field") -> Field:
    """A field by name.

    Raises:
        ValueError: there is none of that name; lists the near ones.
    """
    if name in fields:
        return fields[name]
    near = difflib.get_close_matches(name, fields, 3, 0.5)
    hint = f"near: {', '.join(near)}" if near else f"it has {', '.join(fields) or 'none'}"
    raise ValueError(f"{what} has no {noun} {name!r}; {hint}")


def split_assignments(text: str) -> list[str]:
    """``"keep=a,b,opset=18"`` → ``["keep=a,b", "opset=18"]``: a comma parts only where another ``name=`` follows."""
    return [part for part in re.split(r",(?=\s*\w+=)", text) if part.strip()]


def parse_size(text: str) -> tuple[int, int]:
    """``"360x480"`` → (360, 480): height times width, in pixels.

    Raises:
        ValueError: no such size, or a side outside 32 to 8192.
    """
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 32 <= int(side) <= 8192 for side in sides):
        raise ValueError(f"size {text!r}: write height x width, each 32 to 8192 pixels, e.g. 360x480")
    return int(sides[0]), int(sides[1])


def _as_kind(value: Any, kind: Any) -> Any:
    """The value in that type, or ``None`` where it is none of it."""
    if typing.get_origin(kind) is tuple:
        return _as_tuple(value, typing.get_args(kind))
    kind = typing.get_origin(kind) or kind
    if kind is float:
        return float(value) if _is_number(value) and math.isfinite(value) else None
    if kind is int:
        return int(value) if _is_number(value) and isinstance(value, Integral) else None
    return value if isinstance(value, kind) else None


def _is_number(value: Any) -> bool:
    """Python's own or numpy's; truth is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _as_tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if not isinstance(value, tuple | list):
        return None
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        return None
    found = tuple(_as_kind(v, kind) for v, kind in zip(value, kinds, strict=True))
    return None if None in found else found


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        if kinds[-1] is Ellipsis:
            each = {str: "names", int: "numbers", float: "numbers"}.get(kinds[0], "dicts as Python writes them,")
            return f"{each} with commas"
        return f"{len(kinds)} numbers with a comma" if len(kinds) == 2 else f"{len(kinds)} numbers with commas"
    named = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    return named.get(kind, "a dict as Python writes it")


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


# tables ---------------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """A table for a terminal or a log: columns as wide as they must be, two spaces apart, no lines.

    Args:
        head: the columns' titles.
        rows: one text per column each.
        align: one of ``<`` (left) and ``>`` (right) per column; default: the first left, the others right.
    """
    from rich.console import Console
    from rich.table import Table

    align = align or "<" + ">" * (len(head) - 1)
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(head))
    for title, side in zip(head, align, strict=True):
        drawn.add_column(title, justify="left" if side == "<" else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    out = io.StringIO()
    console = Console(
        file=out,
        width=10_000,
        color_system=None,
        force_jupyter=False,  # in a notebook rich would show the table there instead of writing it
        markup=False,
        highlight=False,
        emoji=False,
    )
    console.print(drawn)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
