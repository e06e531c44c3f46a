"""Where a wrong answer leaves the way: which of the learner's lines, and how surely.

Somebody who writes otherwise than the package has steps that the package lacks, and is right all the same. So no step
is blamed for being different. Two things are known for sure:

- a wrong result comes from the steps between it and the last numbers that the package has too;
- if one step is made to give a number of the package's, and what follows then falls into place, the fault lies in that
  step or in those before it that the package lacks.

The lines of these steps are named, and what they use, if they are few. If not, nothing is named. A line that runs a
container is not to blame for what stands in it: there the layer is named, where its settings or its place are wrong.
"""

from __future__ import annotations

import ast
import linecache
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor, nn

from edgeseg.course import comparing
from edgeseg.course.trace import Line, Step, Trace, alike, describe, file_of

_WORDS = {  # what a learner writes; anything else, the package's inner workings among them, is never asked for
    *("conv2d", "linear", "batch_norm", "relu", "sigmoid", "softmax", "log_softmax", "cross_entropy", "cat", "stack"),
    *("add", "mul", "sub", "rsub", "div", "mean", "sum", "amax", "amin", "exp", "log", "interpolate", "avg_pool2d"),
    *("max_pool2d", "pow", "flip", "permute", "argmax", "sort"),
}
_SINGLE = {"relu", "gelu", "sigmoid", "batch_norm"}  # nobody writes them as several steps of another kind
_DESCRIBED = (nn.Conv2d, nn.BatchNorm2d)  # by all that they are set to
_PLAIN = {"rsub": "1 − …", "interpolate": "resize"}
_MOST_LINES, _MOST_USED = 3, 4  # more than these name nothing
_SECONDS = 2.0
_MOST_RUNS, _MOST_TWINS = 120, 4

Rerun = Callable[[Mapping[int, Tensor]], Trace | None]


@dataclass(frozen=True)
class _Spot:
    """A step that should give the package's numbers; ``steps``: it, and those before it that the package lacks."""

    mine: int
    package: int | None
    steps: frozenset[int]


def agreeing(ours: Sequence[Step], its: Sequence[Step]) -> int:
    """How many of the package's steps have numbers that mine have too."""
    return int(_same(ours, its).any(0).sum()) if ours and its else 0


def explain(ours: Trace, its: Trace, answer: Any, rerun: Rerun) -> str:
    """In words where the fault lies; empty where that is not sure.

    Args:
        ours: what my answer did.
        its: what the package's did, results kept.
        answer: my class or function.
        rerun: runs my answer again, with some steps' results exchanged; ``None`` if it then fails.
    """
    if not ours.steps or not its.steps:
        return ""
    same = _same(ours.steps, its.steps)
    pairs = comparing.unequal(ours.result, its.result)
    roots = [(m, p) for got, wanted in pairs for m, p in _made(ours, its, got, wanted)]
    if not roots:
        return ""
    if all(same[m].any() for m, _ in roots):
        return _stopped(roots, same, ours, its)
    region = _before([m for m, _ in roots], ours.steps, _unknown(same))
    said = _too_much(roots, same, ours) or _other_settings(region, ours, its)
    if said:
        return said
    spot = _repaired(region, same, ours, its, rerun)
    if spot is None:
        spot = _Spot(max(region), None, frozenset(region))
    return _told(spot, same, ours, its, rerun, file_of(answer)) or _fewer(same, ours, its)


def _same(these: Sequence[Step], those: Sequence[Step]) -> np.ndarray:
    same: np.ndarray = alike([s.sums for s in these], [s.sums for s in those])
    there = np.array([s.sums[1] != 0 for s in these], dtype=bool)  # nothing but zeros says nothing
    return same & there[:, None]


def _unknown(same: np.ndarray) -> np.ndarray:
    """(steps,) whether a step of mine has numbers that no step of the package has."""
    return np.asarray(~same.any(axis=1))


def _made(ours: Trace, its: Trace, got: Any, wanted: Any) -> Iterator[tuple[int, int | None]]:
    package = its.made(wanted)
    for place in ours.made(got):
        yield place, package[0] if len(package) == 1 else None


def _before(ends: Sequence[int], steps: Sequence[Step], wanted: np.ndarray) -> set[int]:
    """Steps that lead to these ends by way of wanted steps only, the ends included."""
    found: set[int] = set()
    open_ = list(ends)
    while open_:
        place = open_.pop()
        if place not in found and wanted[place]:
            found.add(place)
            open_ += steps[place].parents
    return found


def _after(place: int, steps: Sequence[Step]) -> set[int]:
    found = {place}
    for i in range(place + 1, len(steps)):
        if found.intersection(steps[i].parents):
            found.add(i)
    return found - {place}


def _repaired(region: set[int], same: np.ndarray, ours: Trace, its: Trace, rerun: Rerun) -> _Spot | None:
    """The earliest step (or all steps of one line) of a region with which all is right if it gives the package's."""
    lacking = [j for j in range(len(its.steps)) if not same[:, j].any() and its.steps[j].value is not None]
    until, runs = time.perf_counter() + _SECONDS, 0

    def tried(exchanged: Mapping[int, int]) -> Trace | None:
        nonlocal runs
        runs += 1
        if runs > _MOST_RUNS or time.perf_counter() > until:
            raise TimeoutError
        return rerun({i: value for i, j in exchanged.items() if (value := its.steps[j].value) is not None})

    def fitting(place: int) -> list[int]:
        step = ours.steps[place]
        found = [j for j in lacking if its.steps[j].sums[3] == step.sums[3]]
        return sorted(found, key=lambda j: its.steps[j].operation != step.operation)

    unknown = _unknown(same)
    try:
        for place in sorted(region):
            for j in fitting(place):
                again = tried({place: j})
                if again is not None and not comparing.difference(again.result, its.result, ""):
                    return _Spot(place, j, frozenset(_before([place], ours.steps, unknown)))
        for group in _groups(region, ours.steps):
            exchanged: dict[int, int] = {}
            for place in group:
                worth = {j: _worth(tried({**exchanged, place: j}), place, j, lacking, its) for j in fitting(place)}
                if not any(worth.values()):
                    break
                exchanged[place] = max(worth, key=lambda j: worth[j])
            again = tried(exchanged) if len(exchanged) == len(group) else None
            if again is not None and not comparing.difference(again.result, its.result, ""):
                return _Spot(group[0], exchanged[group[0]], frozenset(_before(group, ours.steps, unknown)))
    except TimeoutError:
        pass
    return None


def _groups(region: set[int], steps: Sequence[Step]) -> list[list[int]]:
    """Steps that one operation of one line made: of a loop, of a method that is called twice."""
    groups: dict[Any, list[int]] = {}
    for place in sorted(region):
        groups.setdefault((steps[place].operation, steps[place].lines[:1]), []).append(place)
    return [group for group in groups.values() if 1 < len(group) <= _MOST_TWINS]


def _worth(again: Trace | None, place: int, package: int, lacking: Sequence[int], its: Trace) -> int:
    """How much that follows falls into place with a step exchanged."""
    if again is None or len(again.steps) <= place:
        return 0
    follow, aims = sorted(_after(place, again.steps)), sorted(_after(package, its.steps).intersection(lacking))
    if not follow or not aims:
        return int(not comparing.difference(again.result, its.result, ""))
    mine = [again.steps[i] for i in follow]
    found = _same(mine, [its.steps[j] for j in aims])
    found &= ~_same(mine, [its.steps[package]])  # a step that changes nothing proves nothing
    return int(found.any(0).sum())


# Words ----------------------------------------------------------------------------------------------------------------


def _stopped(roots: Sequence[tuple[int, int | None]], same: np.ndarray, ours: Trace, its: Trace) -> str:
    """What my result is one step short of."""
    for mine, package in roots:
        if package is None:
            continue
        last = its.steps[package]
        if last.operation == ours.steps[mine].operation:
            continue
        if last.operation in _WORDS and same[mine, list(last.parents)].any() and len(last.parents) == 1:
            return (
                f"Your result has the numbers that the package has before its last step.\n"
                f"Is {_word(last)} missing at the end?"
            )
    return ""


def _too_much(roots: Sequence[tuple[int, int | None]], same: np.ndarray, ours: Trace) -> str:
    """Which layer changes a result that was right before it."""
    for mine, package in roots:
        step = ours.steps[mine]
        if package is None or step.module is None or len(step.parents) != 1 or not same[step.parents[0], package]:
            continue
        return f"The numbers are right until the last step, which is too much:   {step}"
    return ""


def _other_settings(region: set[int], ours: Trace, its: Trace) -> str:
    """Which layer is set otherwise than the package's of the same weights on the same numbers."""
    for place in sorted(region):
        mine = ours.steps[place]
        of_its_kind = [s for s in its.steps if s.operation == mine.operation and describe(s) != describe(mine)]
        for package in of_its_kind if isinstance(mine.module, _DESCRIBED) else ():
            if isinstance(package.module, _DESCRIBED) and _fed_alike(mine, package):
                return f"The numbers part here:   {mine}\nThe package has there:   {describe(package)}"
    return ""


def _fewer(same: np.ndarray, ours: Trace, its: Trace) -> str:
    """Which operation the package goes on with from numbers that are right, and mine has less often."""
    own, theirs = (Counter(_word(s) for s in t.steps) for t in (ours, its))
    known = np.asarray(same.any(axis=0))
    for j, step in enumerate(its.steps):
        word, parents = _word(step), list(step.parents)
        if known[j] or not parents or not known[parents].all() or step.operation not in _SINGLE:
            continue
        if own[word] < theirs[word]:
            last = ours.steps[int(same[:, parents[-1]].argmax())]
            return f"Is {word} missing? The package has {theirs[word]}, yours {own[word]}. It takes:   {last}"
    return ""


def _told(spot: _Spot, same: np.ndarray, ours: Trace, its: Trace, rerun: Rerun, home: str) -> str:
    steps = [ours.steps[i] for i in sorted(spot.steps)]
    if _is_within_layers(spot, ours, home):
        return ""
    lines = list(dict.fromkeys(line for step in steps if (line := _line(step, home)) is not None))
    if not lines or len(lines) > _MOST_LINES or any(_line(s, home) is None for s in steps):
        return ""
    mine = ours.steps[spot.mine]
    after = [ours.steps[i] for i in _next(spot, ours, its, rerun)]
    lines = list(dict.fromkeys([*lines, *(line for s in after if (line := _line(s, home)) is not None)]))
    stepping = {line for s in ours.steps if (line := _line(s, home)) is not None}
    used = _used([*lines, *_misplaced(spot, ours, its, home)], stepping, lines)
    if len(lines) > _MOST_LINES or len(used) > _MOST_USED:
        return ""
    told = []
    for k, line in enumerate(lines):
        told.append(f"{'    your line:   ' if k == 0 else '    or:          '}{line}")
    told += [f"    which uses:  {line}" for line in used]
    own = len(spot.steps) == 1 and mine.lines[0].file == home
    if own:
        told.insert(0, f"The numbers part here:   {mine}{_which(mine, ours.steps)}")
    else:
        told.insert(0, "The numbers part here:")
    if own and spot.package is not None:
        told += _advice(mine, its.steps[spot.package], ours, its, same)
    return "\n".join(told)


def _is_within_layers(spot: _Spot, ours: Trace, home: str) -> bool:
    """Whether one line only runs a container, and the numbers part in it: how it was put together is wrong."""
    steps = [ours.steps[i] for i in spot.steps]
    before = [ours.steps[p] for s in steps for p in s.parents if p not in spot.steps]
    around = [*steps, *before]
    layers, lines = {s.layer for s in around}, {_line(s, home) for s in around}
    line = lines.pop()
    return bool(before) and not lines and len(layers) > 1 and "" not in layers and _calls(line) == 1


def _calls(line: Line | None) -> int:
    """How many things a line calls; ``super()`` is none."""
    try:
        nodes = list(ast.walk(ast.parse(str(line))))
    except SyntaxError:  # a piece of a statement
        return 0
    return sum(isinstance(n, ast.Call) and getattr(n.func, "id", "") != "super" for n in nodes)


def _next(spot: _Spot, ours: Trace, its: Trace, rerun: Rerun) -> set[int]:
    """Later steps that may be at fault in a step's stead: what is missing may be missing between them."""
    if spot.package is None:
        return set()
    mine, package = ours.steps[spot.mine], its.steps[spot.package]
    again = rerun({})
    if again is None or len(again.steps) <= spot.mine or _is_masked(package.value, again.steps[spot.mine].value):
        return _after(spot.mine, ours.steps)
    if len(spot.steps) == 1 and (mine.operation == package.operation or _fed_alike(mine, package)):
        return set()
    return {i for i, s in enumerate(ours.steps) if spot.mine in s.parents}


def _is_masked(package: Tensor | None, mine: Tensor | None) -> bool:
    """Whether mine are the package's numbers but for a factor, a sign, and zeros: these can be put in later as well."""
    if package is None or mine is None or package.numel() < 2:
        return False
    a, b = mine.double().flatten().abs(), package.double().flatten().abs()
    ratio = a[b != 0] / b[b != 0]
    return bool(ratio.numel() and (ratio - ratio[0]).abs().max() <= 1e-6 * ratio[0])


def _fed_alike(mine: Step, package: Step) -> bool:
    if len(mine.given) != len(package.given) or not mine.given:
        return False
    return bool(alike(mine.given, package.given).any(1).all())


def _which(step: Step, steps: Sequence[Step]) -> str:
    """Which of several steps of one name in one layer it is."""
    twins = [s for s in steps if (s.operation, s.layer) == (step.operation, step.layer)]
    place = next(i for i, s in enumerate(twins) if s is step)
    return f", number {place + 1} of {len(twins)}" if len(twins) > 1 else ""


def _word(step: Step) -> str:
    return _PLAIN.get(step.operation, step.operation)


def _advice(mine: Step, package: Step, ours: Trace, its: Trace, same: np.ndarray) -> list[str]:
    """What the package has in a step's place, as far as a learner would write it."""
    if package.operation not in _WORDS:
        return []
    fed_alike = _fed_alike(mine, package)
    if mine.operation != package.operation:
        word = describe(package).replace(package.operation, _word(package), 1)
        return [f"The package has there:   {word} → {package.shape}"] if fed_alike else []
    if describe(mine) != describe(package):
        return [f"The package has there:   {describe(package)}", "The same operation with other settings."]
    if fed_alike and alike(mine.given, package.given).diagonal().all():
        return ["The same operation on the same numbers: look at its settings (dimension, size, mode, padding)."]
    for parent in package.parents:
        between: int | None = parent
        while between is not None and not same[:, between].any() and len(its.steps[between].parents) <= 1:
            step = its.steps[between]
            if (
                step.operation in _WORDS
                and step.operation not in {ours.steps[p].operation for p in mine.parents}
                and alike(mine.given, step.given).any()
            ):
                return [f"Is {_word(step)} missing before {_word(mine)}?"]
            between = step.parents[0] if step.parents else None
    return ["The same operation, other numbers: look at which tensors go into it, and in which order."]


# Lines ----------------------------------------------------------------------------------------------------------------


def _line(step: Step, home: str) -> Line | None:
    """The innermost line of a step that stands in the answer itself, else the outermost that is the learner's."""
    own = [line for line in step.lines if line.file == home]
    return own[0] if own else step.lines[-1] if step.lines else None


def _misplaced(spot: _Spot, ours: Trace, its: Trace, home: str) -> list[Line]:
    """Lines that make numbers which the package has too, but does not take here."""
    taken = its.steps[spot.package].given if spot.package is not None else ()
    parents = [ours.steps[p] for p in ours.steps[spot.mine].parents if p not in spot.steps]
    wrong = [s for s in parents if not taken or not alike([s.sums], taken).any()]
    return [line for s in wrong if (line := _line(s, home)) is not None]


def _used(lines: Sequence[Line], stepping: set[Line], told: Sequence[Line]) -> list[Line]:
    """Lines of the same functions that make what lines use; of plain numbers, what makes them, in turn.

    Args:
        lines: where to begin.
        stepping: lines in which steps are made.
        told: lines that are told already.
    """
    found: dict[Line, None] = {line: None for line in lines if line not in told}
    open_ = list(lines)
    while open_:
        line = open_.pop(0)
        for maker in _makers(line):
            if maker not in found and maker not in told and str(maker):
                found[maker] = None
                if maker not in stepping:
                    open_.append(maker)
    return sorted(found, key=lambda maker: (maker.file, maker.number))


def _makers(line: Line) -> Iterator[Line]:
    """Lines of a line's function, and for ``self.name`` of its class, that assign what it reads."""
    tree = _tree(line.file)
    around = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and _holds(n, line.number)]
    functions = [n for n in around if isinstance(n, ast.FunctionDef)]
    if not functions:
        return
    statements = [s for s in ast.walk(functions[-1]) if isinstance(s, ast.stmt) and s is not functions[-1]]
    here = [s for s in statements if _holds(s, line.number)]
    if not here:
        return
    read = [n for head in _heads(max(here, key=lambda s: s.lineno)) for n in ast.walk(head)]
    names = {n.id for n in read if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    fields = {n.attr for n in read if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
    for s in statements:
        parts = [n for head in _heads(s) for n in ast.walk(head)]
        if names & {n.id for n in parts if isinstance(n, ast.Name) and _changes(n, s)}:
            yield Line(line.file, s.lineno)
            deciding = [c for c in statements if isinstance(c, (ast.If, ast.While)) and c is not s]
            yield from (Line(line.file, c.lineno) for c in deciding if _holds(c, s.lineno))
    for node in (n for c in around if isinstance(c, ast.ClassDef) for n in ast.walk(c)):
        if isinstance(node, ast.Assign) and not any(map(_makes_layer, ast.walk(node.value))):
            made = {n.attr for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Attribute)}
            if made & fields and not _copies(node):
                yield Line(line.file, node.lineno)


def _changes(name: ast.Name, statement: ast.stmt) -> bool:
    """Whether a statement assigns a name, or calls a method of it and nothing more, like ``found.append(x)``."""
    called = statement.value.func if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) else None
    return isinstance(name.ctx, ast.Store) or (isinstance(called, ast.Attribute) and called.value is name)


def _heads(statement: ast.stmt) -> list[ast.AST]:
    """A statement without the statements in it."""
    if not hasattr(statement, "body"):
        return [statement]
    return [c for c in ast.iter_child_nodes(statement) if not isinstance(c, (ast.stmt, ast.excepthandler))]


def _holds(node: Any, number: int) -> bool:
    return bool(node.lineno <= number <= node.end_lineno)


def _makes_layer(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name[:1].isupper()


def _copies(node: ast.Assign) -> bool:
    """``self.a, self.b = a, b``: nothing to be wrong there."""
    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    return all(isinstance(v, ast.Name) for v in values)


@cache
def _tree(file: str) -> ast.AST:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return ast.Module([], [])
