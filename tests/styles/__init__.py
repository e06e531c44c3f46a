"""Right answers in other styles than the package's, each with typical slips; and what a message of `check` is worth.

One file a lesson: ``STYLES = {"05.3": [Style(…), …]}``, written without looking at how the package computes it.
``python tests/test_styles.py`` prints the table.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Slip:
    """One mistake: a piece of a style's text replaced.

    Args:
        what: in words.
        old: found in the style's text exactly once.
        new: what stands in its place.
        names: words that name the fault as truly as its line does: a layer (yours or the package's), an operation that
            is really missing, what is wrong with a value.
    """

    what: str
    old: str
    new: str
    names: tuple[str, ...] = ()


class Style:
    """A right answer, the whole cell, and its slips."""

    def __init__(self, what: str, code: str, *slips: Slip) -> None:
        self.what, self.code, self.slips = what, code.lstrip("\n"), slips
        for slip in slips:
            if self.code.count(slip.old) != 1:
                raise ValueError(f"{what}, {slip.what}: {slip.old!r} stands there {self.code.count(slip.old)} times")

    def wrong(self, slip: Slip) -> str:
        """The text with a slip in it."""
        return self.code.replace(slip.old, slip.new)


_LAYERS = (  # how a message says that something is missing, or does not fit
    r"Is (.+) missing",
    r"[Tt]he package's (\S+)  \S.* has no counterpart",
    r"[Yy]our (\S+)  \S.* (?:has no counterpart|stands where)",
    r"Without a counterpart: your (\S+)  .*; of the package's (\S+)  ",
)
_POINTER = r"^ +(?:your line|or|and|called from|which uses): +(.*)$"
_TRIED = re.compile(r"^One (?:small change|more line)", re.MULTILINE)  # how it begins what was found by trying
NAMED, ELSEWHERE, NUMBERS, MISLEADING = "named", "elsewhere", "numbers", "misleading"


def worth(message: str, style: Style, slip: Slip) -> str:
    """What a refusal is worth to who made the slip.

    ``misleading``: it points to a line of the answer that is right, says that an operation is missing which is there,
    or that a layer does not fit which does. ``named``: it points to the wrong line, or names what is wrong.
    ``elsewhere``: it says truly that one small change in another line would mend the answer, and the slip is not there.
    ``numbers``: neither; case, size and place of the difference, or Python's own error, alone.

    A line is wrong if the slip changed it, if it is part of a changed statement, or if it calls the attribute that a
    changed line of ``__init__`` makes. Where text was only taken away, the lines beside the gap count. The line in
    which Python raised an error is a fact, not a pointer; lines in which a small change mends it are pointers.
    """
    faults, hits = [], []
    wrong = _wrong_lines(style, slip)
    tried = _TRIED.search(message)
    pointing = message if "Error: " not in message else message[tried.start() :] if tried else ""
    pointed = re.findall(_POINTER, pointing, re.MULTILINE)
    if pointed:
        (hits if any(_is_wrong(line, wrong) for line in pointed) else faults).append("line")
    for pattern in _LAYERS:
        for found in re.findall(pattern, message):
            layers = [found] if isinstance(found, str) else found
            (hits if any(_named(layer, slip) for layer in layers) else faults).append(layers)
    told = message.lower()
    if any(name.lower() in told for name in slip.names):
        hits.append("name")
    if tried and faults == ["line"]:
        return NAMED if hits else ELSEWHERE
    return MISLEADING if faults else NAMED if hits else NUMBERS


def _named(word: str, slip: Slip) -> bool:
    word = re.sub(r" (?:before|after) .*| at the end", "", word)
    return any(word.lower() == n.lower() or word.startswith(n + ".") for n in slip.names)


def _wrong_lines(style: Style, slip: Slip) -> set[str]:
    code = style.wrong(slip)
    start = style.code.index(slip.old)
    first = code[:start].count("\n") + 1
    last = first + slip.new.rstrip("\n").count("\n")
    lines = code.splitlines()
    numbers = set(range(first, last + 1))
    if not slip.new.strip() and "\n" in slip.old:  # whole lines were taken away
        numbers |= {first - 1, first}
    old_lines, attributes = set(style.code.splitlines()), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            own = set(range(node.lineno, node.end_lineno + 1))
            if own & numbers:
                numbers |= own
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.lineno in numbers:
            attributes.add(f"self.{node.attr}")
    wrong = {lines[n - 1].strip() for n in numbers if 0 < n <= len(lines)}
    gone = not slip.new.strip() and "\n" in slip.old
    changed = {line for line in wrong if gone or line not in {o.strip() for o in old_lines}} or wrong
    return changed | attributes


def _is_wrong(line: str, wrong: set[str]) -> bool:
    attributes = [w for w in wrong if re.fullmatch(r"self\.\w+", w)]
    return line.strip() in wrong or any(re.search(rf"{re.escape(a)}\b", line) for a in attributes)
