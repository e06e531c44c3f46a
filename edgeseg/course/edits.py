"""Small changes of somebody's code, one at a time: the slips that people make, turned back.

Which of them makes an answer right is found in `edgeseg.course.repair`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, permutations
from typing import Any

_SIBLINGS = (  # names that are written for one another
    ("max", "min", "mean", "sum", "median", "prod", "std"),
    ("amax", "amin", "mean", "sum"),
    ("maximum", "minimum", "add"),
    ("argmax", "argmin"),
    ("nanmean", "mean", "nansum", "sum"),
    ("relu", "sigmoid", "tanh", "gelu"),
    ("softmax", "log_softmax"),
    ("exp", "log"),
    ("sum", "logsumexp"),
    ("cat", "stack"),
    ("floor", "ceil", "round", "trunc"),
    ("any", "all"),
    ("ReLU", "Sigmoid", "Identity", "GELU"),
    ("MaxPool2d", "AvgPool2d"),
    ("GlobalMaxPool", "GlobalAvgPool"),
    ("max_pool2d", "avg_pool2d"),
    ("append", "extend"),
    ("add", "sub", "mul", "div"),
    ("zeros_like", "ones_like"),
    ("zeros", "ones"),
    ("named_parameters", "named_buffers"),
    ("mean", "median"),
    ("stdev", "pstdev"),
    ("union", "intersection"),
    ("issubset", "issuperset"),
    ("float64", "float32"),
    ("int64", "uint8"),
)
_OPERATORS: dict[type, tuple[str, tuple[str, ...]]] = {  # as it is written, and what may stand in its place
    ast.Add: ("+", ("-", "*", "/")),
    ast.Sub: ("-", ("+", "*", "/")),
    ast.Mult: ("*", ("+", "-", "/", "//")),  # no power: of whole numbers it can fill the memory
    ast.Div: ("/", ("*", "//", "-", "+")),
    ast.FloorDiv: ("//", ("/", "%", "*")),
    ast.Mod: ("%", ("//",)),
    ast.Pow: ("**", ("*",)),
    ast.MatMult: ("@", ("*",)),
    ast.BitAnd: ("&", ("|",)),
    ast.BitOr: ("|", ("&",)),
    ast.Lt: ("<", ("<=", ">", ">=")),
    ast.LtE: ("<=", ("<", ">=", ">", "==")),
    ast.Gt: (">", (">=", "<", "<=")),
    ast.GtE: (">=", (">", "<=", "<", "==")),
    ast.Eq: ("==", ("!=", "<=", ">=")),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
_STRINGS = (("bilinear", "nearest", "area"), ("sum", "mean", "none"), ("replicate", "zeros", "reflect"))
_KEYWORDS = ("bias=False", "keepdim=True", "padding=1", "stride=2", "ddof=1", 'reduction="sum"', "ceil_mode=True")
# In these @ stands for the expression in brackets, ? for a variable or an attribute.
_AROUND = ("-@", "1 - @", "1 / @", "@ + 1", "@ - 1", "2 * @", "@ / 2", "@ ** 2", "@[::-1]", "not @", "~@")
_CALLED = (
    *("sorted@", "set@", "len@", "abs@", "int@", "float@", "list@", "sum@", "@.clone()", "@.detach()", "@.copy()"),
    *("@.float()", "@.sum()", "@.mean()", "@.exp()", "@.log()", "@.relu()", "@.sigmoid()", "@.softmax(1)"),
    *("@.tolist()", "@.item()", "@.long()", "@.T", "@.mT", "100 * @", "@ / 100", "@ ** 0.5", "@ + 2", "@ - 2"),
    *("max(@, 0)", "max(@, 1)", "max(@, 4)", "min(@, 1)", "@.byte()", '@.astype("uint8")', "@.abs()"),
)
_JOINED = (
    "@ + ?",
    "@ * ?",
    "@ - ?",
    "@ / ?",
    "? - @",
    "? / @",
    "@[?]",
    "?[@]",
    "@[?:]",
    "@[:?]",
    "max(@, ?)",
    "min(@, ?)",
    "@ / len(?) ** 0.5",
)
_TESTS = (
    *("@ and ?", "@ or ?", "@ & ?", "@ | ?", "@ and ? > 0", "@ or ? < 0", "@ and ? != 0", "@ or ? == 0"),
    "@ & (? != 255)",
)
_MOST_NAMES = 10
_MOST_TOGETHER, _MOST_TWINS = 1, 3  # rank of changes that are made in several places at once; places
_SKIPPED = ("annotation", "returns", "decorator_list", "targets", "target", "bases", "type_comment")


@dataclass(frozen=True)
class Edit:
    """One change of a text.

    Args:
        line: number of the line where it begins, from 1.
        start, end: what is taken out, in bytes of the UTF-8 text.
        text: what is put there.
        rank: how far-fetched; lower ones are tried first.
        others: the same change in other places, made together with this one.
    """

    line: int
    start: int
    end: int
    text: str
    rank: int = 0
    others: tuple[Edit, ...] = ()

    @property
    def lines(self) -> tuple[int, ...]:
        """All lines that are changed, in order."""
        return tuple(sorted({self.line, *(e.line for e in self.others)}))

    @property
    def is_new_line(self) -> bool:
        """Whether nothing is changed but a line put in, after `line`."""
        return self.start == self.end and self.text.startswith("\n")

    def of(self, source: bytes) -> bytes:
        """The text with the change in it."""
        for edit in sorted((self, *self.others), key=lambda e: e.start, reverse=True):
            source = source[: edit.start] + edit.text.encode() + source[edit.end :]
        return source


def changes(source: str, definitions: Sequence[ast.stmt]) -> list[Edit]:
    """All changes of some functions and classes that are worth a try, the likeliest first.

    Args:
        source: of a file, or of a notebook's cell.
        definitions: statements in it.
    """
    writer = _Writer(source.encode())
    found: dict[tuple[int, int, str], Edit] = {}
    for definition in definitions:
        for edit in sorted(writer.of_definition(definition), key=lambda e: e.rank):
            found.setdefault((edit.start, edit.end, edit.text), edit)
    return sorted([*found.values(), *_together(list(found.values()), source.encode())], key=lambda e: e.rank)


def _together(edits: Sequence[Edit], source: bytes) -> Iterator[Edit]:
    """The same change in several places at once: who thinks wrongly once often writes it twice."""
    alike: dict[tuple[bytes, str], list[Edit]] = {}
    for edit in edits:
        if edit.rank <= _MOST_TOGETHER and edit.end > edit.start:
            alike.setdefault((source[edit.start : edit.end], edit.text), []).append(edit)
    for group in alike.values():
        apart = all(a.end <= b.start for a, b in pairwise(sorted(group, key=lambda e: e.start)))
        if apart and 2 <= len(group) <= _MOST_TWINS:
            for count in {2, len(group)}:
                for first, *others in combinations(group, count):
                    yield replace(first, others=tuple(others), rank=first.rank + 2)


class _Writer:
    """Writes changes of a text's nodes."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def of_definition(self, definition: ast.stmt) -> Iterator[Edit]:
        fields = sorted({n.attr for n in ast.walk(definition) if isinstance(n, ast.Attribute) and _is_self(n.value)})
        functions = [n for n in ast.walk(definition) if isinstance(n, (ast.FunctionDef, ast.Lambda))]
        inner = {id(n) for f in functions for n in ast.walk(f) if n is not f}
        for function in (f for f in functions if id(f) not in inner):  # one in another has the outer one's names, too
            names = _names(function)
            for node in _walk(function):
                others = [n for n, since in names.items() if since <= getattr(node, "lineno", 0)]
                others += [f"self.{f}" for f in fields]
                yield from self.of_block(node)
                yield from self.of_node(node)
                yield from self.with_another(node, others)
                for expression in _read(node):
                    others = [n for n, since in names.items() if since <= expression.lineno]
                    others += [f"self.{f}" for f in fields]
                    for rank, text in self.instead(expression, others):
                        yield self.edit(expression, text, rank)

    def edit(self, node: Any, text: str, rank: int = 0, last: Any = None) -> Edit:
        """Put a text in a node's place, or in that of all from it to another one."""
        start, end = self.span(node)
        return Edit(node.lineno, start, self.span(last)[1] if last is not None else end, text, rank)

    def span(self, node: Any) -> tuple[int, int]:
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: Any) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    # expressions ------------------------------------------------------------------------------------------------------

    def instead(self, node: ast.expr, others: Sequence[str]) -> Iterator[tuple[int, str]]:
        """What may stand in an expression's place, with its rank.

        Args:
            node: the expression.
            others: variables and attributes that can be named there.
        """
        yield from ((0, f"({text})") for text in self.parts(node))
        if isinstance(node, ast.Constant):
            yield from ((0, repr(v) if v == v else 'float("nan")') for v in _constants(node.value))
            yield from ((2, other) for other in others)
            if type(node.value) is int:
                yield from ((3, f"len({other})") for other in others)
                yield 3, "(2, 3)"  # both sides of a map
            return
        own = self.text(node)
        if isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_self(node.value)):
            near = own.startswith("self.")
            yield from ((1 if other.startswith("self.") == near else 2, other) for other in others if other != own)
        if isinstance(node, (ast.Tuple, ast.List)) and all(isinstance(n, ast.Constant) for n in node.elts):
            yield from ((1, other) for other in others)
        if isinstance(node, ast.Name):
            yield from ((4, number) for number in "10")
            yield from ((4, f"len({other})") for other in others if not other.startswith("self."))
        inside = f"({own})"
        yield from ((3, f"({pattern.replace('@', inside)})") for pattern in _AROUND)
        yield from ((4, f"{other}{inside}") for other in others if other.startswith("self."))
        yield from ((4, f"({pattern.replace('@', inside)})") for pattern in _CALLED)
        joined = (*_JOINED, *(_TESTS if isinstance(node, (ast.Compare, ast.BoolOp)) else ()))
        yield from ((5, f"({p.replace('?', other).replace('@', inside)})") for other in others for p in joined)

    def parts(self, node: ast.expr) -> Iterator[str]:
        """An expression without one of its parts, or with two of them exchanged, or by another operator."""
        if isinstance(node, ast.BinOp):
            yield from self.of_operator(node.left, node.op, node.right)
            yield from (f"({self.text(side)})" for side in (node.left, node.right))
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from self.of_operator(node.left, node.ops[0], node.comparators[0])
        elif isinstance(node, ast.BoolOp):
            values = [f"({self.text(v)})" for v in node.values]
            yield (" or " if isinstance(node.op, ast.And) else " and ").join(values)
            yield from values
        elif isinstance(node, ast.UnaryOp):
            yield f"({self.text(node.operand)})"
        elif isinstance(node, ast.IfExp):
            body, test, orelse = (f"({self.text(n)})" for n in (node.body, node.test, node.orelse))
            yield from (body, orelse, f"({orelse} if {test} else {body})")
        elif isinstance(node, ast.Subscript):
            yield self.text(node.value)
            if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
                yield f"{self.text(node.value)}[{self.text(node.slice)}:].numel()"
        elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
            yield self.text(node.value)
        elif isinstance(node, ast.Call):
            yield from (f"({self.text(a)})" for a in node.args if not isinstance(a, ast.Starred))
            if isinstance(node.func, ast.Attribute):
                yield self.text(node.func.value)

    def of_operator(self, left: ast.expr, operator: ast.AST, right: ast.expr) -> Iterator[str]:
        written, others = _OPERATORS.get(type(operator), ("", ()))
        a, b = f"({self.text(left)})", f"({self.text(right)})"
        yield from (f"{a} {other} {b}" for other in others)
        if written:
            yield f"{b} {written} {a}"
        if isinstance(operator, ast.Add):
            yield from (f"{name}({a}, {b})" for name in ("max", "min"))
        if isinstance(operator, ast.FloorDiv):
            yield from (f"max({a} // {b}, {least})" for least in (1, 4))

    # parts of expressions that are none -------------------------------------------------------------------------------

    def of_node(self, node: ast.AST) -> Iterator[Edit]:
        """Changes of names of functions, of the order and number of arguments and elements, of slices and loops."""
        if isinstance(node, (ast.Attribute, ast.Name)) and not isinstance(node.ctx, ast.Store):
            old = node.attr if isinstance(node, ast.Attribute) else node.id
            new = dict.fromkeys(s for group in _SIBLINGS if old in group for s in group if s != old)
            yield from (self.edit(node, f"{self.text(node)[: -len(old)]}{name}") for name in new)
        elif isinstance(node, ast.Call):
            yield from self.of_items([*node.args, *node.keywords])
            yield from self.with_keyword(node)
            yield from self.exchanged(node)
        elif isinstance(node, ast.Subscript):
            yield from self.exchanged(node)
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            yield from self.of_items(node.elts)
        elif isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield self.edit(test, "True")
        elif isinstance(node, ast.Slice):
            ends = [self.text(n) if n is not None else "" for n in (node.lower, node.upper)]
            yield self.edit(node, f"{ends[1]}:{ends[0]}")
            yield from (self.edit(n, "") for n in (node.lower, node.upper) if n is not None)

    def of_items(self, items: Sequence[Any]) -> Iterator[Edit]:
        texts = [self.text(item) for item in items]
        for i, item in enumerate(items):
            for j in range(i + 1, len(items)):
                between = self.source[self.span(item)[1] : self.span(items[j])[0]].decode()
                yield self.edit(item, f"{texts[j]}{between}{texts[i]}", 0 if j == i + 1 else 2, items[j])
            if len(items) > 1:  # left out, with the comma on one side
                first, last = (items[i - 1], item) if i else (item, items[1])
                yield Edit(item.lineno, self.span(first)[1 if i else 0], self.span(last)[1 if i else 0], "")

        if len(items) == 3:
            first, second = (self.source[self.span(a)[1] : self.span(b)[0]].decode() for a, b in pairwise(items))
            for a, b, c in ((1, 2, 0), (2, 0, 1)):  # each one further
                yield self.edit(items[0], f"{texts[a]}{first}{texts[b]}{second}{texts[c]}", 1, items[2])

    def with_another(self, node: Any, others: Sequence[str]) -> Iterator[Edit]:
        """A name more in a call, a list, a tuple; a name for the whole of an axis."""
        if isinstance(node, ast.Slice) and node.lower is node.upper is node.step is None:
            start, end = self.span(node)
            yield from (Edit(node.lineno, start, end, other, 1) for other in others)
        items: list[Any] = [*node.args, *node.keywords] if isinstance(node, ast.Call) else getattr(node, "elts", [])
        if items and not any(isinstance(item, ast.GeneratorExp) for item in items):
            last: Any = node.args[-1] if isinstance(node, ast.Call) and node.args else items[-1]
            end = self.span(last)[1]
            yield from (Edit(last.end_lineno or last.lineno, end, end, f", {other}", 3) for other in others)

    def with_keyword(self, node: ast.Call) -> Iterator[Edit]:
        end = self.span(node)[1]
        given = {k.arg for k in node.keywords}
        comma = ", " if node.args or node.keywords else ""
        for keyword in _KEYWORDS:
            if keyword.partition("=")[0] not in given and self.source[end - 1 : end] == b")":
                yield Edit(node.end_lineno or node.lineno, end - 1, end - 1, f"{comma}{keyword}", 3)

    # statements -------------------------------------------------------------------------------------------------------

    def of_block(self, node: ast.AST) -> Iterator[Edit]:
        """Statements left out, exchanged, moved into a loop or out of it; conditions turned, or dropped."""
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(block, list):
                for statement, follower in zip(block, [*block[1:], None], strict=False):
                    if not _is_text(statement):
                        yield from self.of_statement(statement, follower)

    def of_statement(self, statement: ast.stmt, follower: ast.stmt | None) -> Iterator[Edit]:
        yield self.edit(statement, "pass", 1)
        if not hasattr(statement, "body"):
            yield from self.exchanged(statement)
        if follower is not None:
            between = self.source[self.span(statement)[1] : self.span(follower)[0]].decode()
            yield self.edit(statement, f"{self.text(follower)}{between}{self.text(statement)}", 2, follower)
        if isinstance(statement, ast.If):
            yield self.edit(statement.test, f"not ({self.text(statement.test)})")
            yield self.edit(statement.test, "True", 1)
            yield self.edit(statement.test, "False", 1)
        if isinstance(statement, (ast.Assign, ast.AugAssign)):
            yield from self.of_assignment(statement)
        if isinstance(statement, (ast.For, ast.With, ast.If)) and not getattr(statement, "orelse", None):
            yield from self.moved(statement, follower)
        if isinstance(statement, (ast.For, ast.While)):
            yield from self.added_up(statement)

    def exchanged(self, whole: ast.stmt | ast.expr) -> Iterator[Edit]:
        """Two names, or two attributes, that are read in a statement or an expression, each in the other's places."""
        nodes = [n for n in ast.walk(whole) if isinstance(getattr(n, "ctx", None), ast.Load)]
        names = [n for n in nodes if isinstance(n, ast.Name) and n.id != "self"]
        for read in (names, [n for n in nodes if isinstance(n, ast.Attribute) and _is_self(n.value)]):
            for a, b in combinations(dict.fromkeys(map(self.text, read)), 2):
                text, (start, end) = self.source, self.span(whole)
                for node in sorted((n for n in read if self.text(n) in (a, b)), key=self.span, reverse=True):
                    at, until = self.span(node)
                    other = (b if self.text(node) == a else a).encode()
                    text, end = text[:at] + other + text[until:], end + len(other) - (until - at)
                yield self.edit(whole, text[start:end].decode(), 1 if isinstance(whole, ast.stmt) else 2)

    def of_assignment(self, statement: ast.Assign | ast.AugAssign) -> Iterator[Edit]:
        value = self.text(statement.value)
        if isinstance(statement, ast.AugAssign):
            name, (_, others) = self.text(statement.target), _OPERATORS.get(type(statement.op), ("", ()))
            yield from (self.edit(statement, f"{name} {other}= {value}") for other in others)
            yield self.edit(statement, f"{name} = {value}", 1)
        elif len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Tuple):
            yield from self.of_items(statement.targets[0].elts)
        elif len(statement.targets) > 1:
            ends = [*statement.targets[1:], statement.value]
            for target, following in zip(statement.targets, ends, strict=True):  # one of several left out
                yield Edit(target.lineno, self.span(target)[0], self.span(following)[0], "")
        else:
            name = self.text(statement.targets[0])
            yield from (self.edit(statement, f"{name} {o}= {value}", 1) for o in "+*")

    def added_up(self, loop: ast.For | ast.While) -> Iterator[Edit]:
        """A line at a loop's end that adds one variable to another; not to what is looped over, which would not end."""
        last = loop.body[-1]
        fixed = {n.id for n in ast.walk(loop.iter) if isinstance(n, ast.Name)} if isinstance(loop, ast.For) else set()
        names = list(dict.fromkeys(n.id for n in ast.walk(loop) if isinstance(n, ast.Name)))[:_MOST_NAMES]
        if last.lineno > loop.lineno:
            begin, at = f"\n{' ' * last.col_offset}", self.span(last)[1]
            for a, b in permutations(names, 2):
                if a not in fixed:
                    yield Edit(last.end_lineno or last.lineno, at, at, f"{begin}{a} += {b}", 4)

    def moved(self, loop: Any, follower: ast.stmt | None) -> Iterator[Edit]:
        """The last statement of a loop after it, or the one after a loop into it."""
        outer, inner, last = b" " * loop.col_offset, b" " * loop.body[-1].col_offset, loop.body[-1]
        if len(loop.body) > 1 and last.lineno > loop.lineno:
            text = self.text(last).replace(f"\n{inner.decode()}", f"\n{outer.decode()}")
            yield Edit(last.lineno, self.starts[last.lineno - 1], self.span(last)[1], f"{outer.decode()}{text}", 2)
        if follower is not None and last.lineno > loop.lineno:
            text = self.text(follower).replace(f"\n{outer.decode()}", f"\n{inner.decode()}")
            start = self.starts[follower.lineno - 1]
            yield Edit(follower.lineno, start, self.span(follower)[1], f"{inner.decode()}{text}", 2)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(function: ast.AST) -> dict[str, int]:
    """A function's arguments and local variables, with the line from which on each is there.

    To name a variable in its own first assignment is no slip that anybody makes; with an iterator of itertools, which
    would then feed itself, it can bring the interpreter down (seen in Python 3.11).
    """
    found = {n.arg: 0 for n in ast.walk(function) if isinstance(n, ast.arg) and n.arg != "self"}
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        assigned = isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        for name in (n for t in targets if t is not None for n in ast.walk(t) if isinstance(n, ast.Name)):
            since = getattr(node, "end_lineno", 0) + 1 if assigned else name.lineno
            found[name.id] = min(since, found.get(name.id, since))
    return dict(list(found.items())[:_MOST_NAMES])


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        found = [c for c in (value if isinstance(value, list) else [value]) if isinstance(c, ast.AST)]
        yield from (c for c in found if name not in _SKIPPED or (name == "targets" and isinstance(c, ast.Subscript)))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but annotations, decorators, docstrings and the call of the parent's constructor."""
    yield node
    for child in _children(node):
        if not _is_text(child) and not _is_super(child):
            yield from _walk(child)


def _is_super(node: ast.AST) -> bool:
    """Whether a statement calls the parent's constructor and gives it nothing, so that nothing can be wrong there."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or call.args or call.keywords:
        return False
    return any(isinstance(n, ast.Name) and n.id == "super" for n in ast.walk(call.func))


def _read(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions of a node whose value is read; not the functions of others, nor modules that names are taken from."""
    for child in _children(node):
        if not isinstance(child, ast.expr) or isinstance(child, (ast.Slice, ast.Starred)):
            continue
        stored = isinstance(getattr(child, "ctx", None), (ast.Store, ast.Del))
        prefix = isinstance(node, ast.Attribute) and isinstance(child, ast.Name)
        own = isinstance(child, ast.Attribute) and _is_self(child.value)
        called = isinstance(node, ast.Call) and child is node.func
        if not stored and not prefix and (own or not called):
            yield child


def _constants(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        near = (value + 1, value - 1, 0, 1, 2, 3, -1, 4, 2 * value, -value, value // 2, 8, 16, 32, 64, 255)
        yield from (v for v in dict.fromkeys(near) if v != value)
        yield from (None, float("nan"))
    elif isinstance(value, float):
        yield from (1 - value, -value, 0.0, 1.0, 0.5, 2 * value, value / 2, 10 * value, value / 10, float("nan"))
    elif isinstance(value, str):
        yield from (s for group in _STRINGS if value in group for s in group if s != value)
    elif value is None:
        yield from (0, 1, -1, True)
