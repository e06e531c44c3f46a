"""The line that one small change would make right is found by trying, and trying leaves nothing behind."""

from __future__ import annotations

import ast
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from edgeseg import course
from edgeseg.course import repair
from edgeseg.course.edits import changes
from lesson_cells import execute


@pytest.fixture(autouse=True)
def _however_busy_the_machine_is(monkeypatch):
    monkeypatch.setattr(repair, "_PATIENCE", 120.0)  # processor time bounds what is tried; the clock is for what hangs


def _one(number):
    return number


def _all_texts(text):
    tree = ast.parse(text)
    for edit in changes(text, tree.body):
        try:
            yield ast.unparse(ast.parse(edit.of(text.encode())))
        except SyntaxError:
            continue


SLIPS = {  # wrong, right; the change between them is among those that are tried
    "operator": ("return a - b", "return a + b"),
    "comparison": ("return a < b", "return a <= b"),
    "number": ("return a[:, 0]", "return a[:, 1]"),
    "sign": ("return a", "return -a"),
    "neighbour": ("return torch.max(a)", "return torch.min(a)"),
    "variable": ("return a + a", "return a + b"),
    "attribute": ("return self.one(self.one(a))", "return self.one(self.two(a))"),
    "order of arguments": ("return f(b, a)", "return f(a, b)"),
    "a layer forgotten": ("return self.one(a)", "return self.one(self.two(a))"),
    "a call too many": ("return sorted(set(a))", "return sorted(a)"),
    "a term forgotten": ("return a * b", "return a * b + b"),
    "a condition forgotten": ("return [v for v in a if v > b]", "return [v for v in a if v > b or v < 0]"),
    "both swapped": ("return f(a) * a + b", "return f(b) * b + a"),
    "two lines exchanged": ("a = f(a)\na = g(a)\nreturn a", "a = g(a)\na = f(a)\nreturn a"),
    "out of the loop": ("for v in a:\n    b += v\n    c = b\nreturn c", "for v in a:\n    b += v\nc = b\nreturn c"),
    "into the loop": ("for v in a:\n    b += v\nc = b\nreturn c", "for v in a:\n    b += v\n    c = b\nreturn c"),
    "condition turned": ("if a:\n    return b\nreturn 0", "if not a:\n    return b\nreturn 0"),
    "sum for assignment": ("for v in a:\n    b = v\nreturn b", "for v in a:\n    b += v\nreturn b"),
    "in a product": ("return sum(a * f(b))", "return sum((a - 1) * f(b))"),
    "the same slip twice": ("c = a[0] + 1\nreturn c * b[0]", "c = a[1] + 1\nreturn c * b[1]"),
    "each one further": ("return c, a, b", "return a, b, c"),
    "one target too many": ("a[0] = a[1] = 0", "a[0] = 0"),
    "transposed": ("return a.T.ravel()", "return a.ravel()"),
    "transposed too little": ("return f(a)", "return f(a.mT)"),
    "a sum for the larger": ("a = a + b\nreturn a", "a = max(a, b)\nreturn a"),
    "an argument forgotten": ("return f(a)", "return f(a, b)"),
    "an argument before a named one": ("return f(a, n=1)", "return f(a, b, n=1)"),
    "a place for what is there": ("return b", "return a[b]"),
    "a length": ("return i", "return len(a)"),
    "the root of how many": ("return i", "return i / len(a) ** 0.5"),
    "in the parent's constructor": ("super().__init__(nn.GELU())", "super().__init__(nn.ReLU())"),
    "at least four": ("return a // b", "return max(a // b, 4)"),
    "an element forgotten": ("return [a, a * b]", "return [a, a * b, b]"),
    "all for some": ("a[:] = 0\nreturn a", "a[b] = 0\nreturn a"),
    "inner and outer index": ("return b + a[b][i](a)", "return b + a[i][b](a)"),
    "two layers exchanged": ("return self.one(self.two(a))", "return self.two(self.one(a))"),
    "first for last": ("a.insert(0, b)", "a.insert(len(a), b)"),
    "one axis for two": ("return a.mean(1)", "return a.mean((2, 3))"),
    "one side for the area": ("return a / a.shape[2]", "return a / a.shape[2:].numel()"),
    "a variable for one": ("return f(a, a)", "return f(1, a)"),
    "numbers for what is given": ("return [k for k in (7, 11)]", "return [k for k in b]"),
    "a line that adds up": ("for i in a:\n    f(b)", "for i in a:\n    f(b)\n    b += i"),
    "umlauts before it": ("ä = 'größer'\nreturn a - b", "ä = 'größer'\nreturn a + b"),
}


@pytest.mark.parametrize(("wrong", "right"), SLIPS.values(), ids=SLIPS)
def test_each_kind_of_slip_is_turned_back(wrong, right):
    def function(body):
        return "def answer(self, a, b, c, i):\n    self.one, self.two\n" + textwrap.indent(body, "    ")

    wanted = ast.unparse(ast.parse(function(right)))  # which leaves out brackets that change nothing
    assert wanted in set(_all_texts(function(wrong)))


def test_changes_come_likeliest_first_and_never_twice():
    text = "def answer(a, b):\n    return [x + b for x in a]\n"
    found = changes(text, ast.parse(text).body)
    assert all(a.rank <= b.rank for a, b in pairwise(found))
    assert len({e.of(text.encode()) for e in found}) > len(found) * 0.9
    assert len({(e.start, e.end, e.text) for e in found}) == len(found)


def test_no_variable_is_named_in_its_own_first_assignment():
    texts = list(_all_texts("def answer(a):\n    b = f(a)\n    ccc = g(\n        a\n    )\n    return h(ccc)\n"))
    made = {line.strip() for text in texts for line in text.splitlines() if line.strip().startswith("ccc = ")}
    assert "ccc = g(b)" in made
    assert not [line for line in made if "ccc" in line.partition("=")[2]]


def test_no_change_leaves_out_an_end_of_what_was_given():
    """That would mend an answer whenever a case's first or last element is the odd one."""
    texts = "\n".join(_all_texts("def answer(log):\n    return [f(x) for x in log]\n"))
    assert "log[::-1]" in texts
    assert "log[1:]" not in texts
    assert "log[:-1]" not in texts


def _answer(text, name="answer", **scope):
    scope |= {"__name__": "__main__", "torch": torch, "nn": nn}
    execute(textwrap.dedent(text), f"cell of {name} {hash(text)}", scope)
    return scope[name], scope


def _told(text, expected, *given):
    answer, _ = _answer(text)
    return repair.told(answer, lambda changed: changed(*given) == expected)


def test_the_line_is_named_and_the_change_is_not():
    said = _told(
        """
        def answer(numbers):
            total = 0
            for n in numbers:
                total += n * n
            return total / len(numbers) + 1
        """,
        14 / 3,
        [1, 2, 3],
    )
    assert said.splitlines()[0] == "One small change in this line would make it right:"
    assert said.splitlines()[1].split(":", 1)[1].strip() == "return total / len(numbers) + 1"
    assert len(said.splitlines()) == 2


def test_a_slip_in_a_helper_of_the_same_cell_is_found():
    said = _told(
        """
        def twice(n):
            return 3 * n

        def answer(n):
            return twice(n) + 1
        """,
        11,
        5,
    )
    assert "return 3 * n" in said


def test_one_slip_made_twice_is_told_as_such():
    said = _told("def answer(n):\n    a = n - 7\n    b = 2 * a\n    return b * (n - 7)\n", 578, 10)
    assert said.splitlines() == [
        "One small change, the same in all of these lines, would make it right:",
        "    your line:   a = n - 7",
        "    and:         return b * (n - 7)",
    ]


def test_a_line_that_is_missing_is_told_by_the_one_before_it():
    text = """
    def answer(numbers):
        found, start = [], 0
        for n in numbers:
            found.append(start)
        return found
    """
    said = _told(text, [0, 3, 7], (3, 4, 5))  # which no change can change
    assert "found.append(start)" in said
    assert said.startswith("One more line after this one would make it right:")


def test_nothing_is_said_where_no_small_change_helps_or_many_do():
    assert _told("def answer(n):\n    return n\n", "something else", 3) == ""
    four = "def answer(n):\n    a = n + 1\n    b = a + 1\n    c = b + 1\n    d = c + 1\n    return d\n"
    assert _told(four, 5, 2) == ""


def test_an_endless_change_ends():
    text = "def answer(n):\n    i = 0\n    while i < n:\n        i += 1\n    return i * 2\n"
    assert "return i * 2" in _told(text, 100, 100)


def test_an_answer_that_draws_from_an_endless_generator_is_searched():
    answer, _ = _answer("def answer(n):\n    return next(k for k in count(2) if k > n)\n", count=itertools.count)
    wanted = {0: 3, 1: 3, 5: 6}
    said = repair.told(answer, lambda changed: {n: changed(n) for n in wanted} == wanted)
    assert "count(2)" in said


def test_an_endless_change_in_a_generator_ends_without_harm():
    text = """
    def answer(n):
        def upwards(k):
            while k < n:
                yield k
                k += 1
        return max(len(str(k)) for k in upwards(0)) + 2
    """
    answer, _ = _answer(text)
    wanted = {5: 2, 100: 3, 101: 4, 2000: 5}
    said = repair.told(answer, lambda changed: {n: changed(n) for n in wanted} == wanted)
    assert "max(len(str(k)) for k in upwards(0)) + 2" in said


def test_trying_leaves_nothing_behind(tmp_path, capsys):
    text = "def answer(n):\n    print('tried')\n    return n + 2\n"
    answer, scope = _answer(text)
    names = {k: v for k, v in scope.items() if k != "__builtins__"}
    assert repair.told(answer, lambda changed: changed(1) == 2)
    assert capsys.readouterr() == ("", "")
    assert {k: v for k, v in scope.items() if k != "__builtins__"} == names


def test_a_change_that_makes_a_comprehension_explode_ends():
    text = """
    def answer(layers):
        seen = {0}
        for side in layers:
            seen = {a + b for a in seen for b in range(side)}
        return len(seen) + 1
    """
    answer, _ = _answer(text)
    wanted = {(3, 3): 5, (9,) * 9: 73}
    said = repair.told(answer, lambda changed: {given: changed(given) for given in wanted} == wanted)
    assert "return len(seen) + 1" in said


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is bounded on Linux only")
def test_a_change_that_takes_all_memory_fails_by_itself():
    answer, _ = _answer("def answer(n):\n    return n + 2\n")
    assert repair.told(answer, lambda changed: len(bytearray(6 << 30)) > 0) == ""


def test_a_change_that_brings_a_library_down_ends_the_search_alone(monkeypatch):
    answer, _ = _answer("def answer(n):\n    a = n + 3\n    return a + 2\n")
    tried = []

    def accepts(changed):
        tried.append(changed)
        if changed(1) == 5:  # 1 less: in the first line that is tried
            return True
        if len(tried) > 40:
            os.kill(os.getpid(), signal.SIGSEGV)
        return False

    assert "One small change" in repair.told(answer, accepts)
    assert not tried  # here


def test_a_change_without_an_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(repair, "_PATIENCE", 1.0)
    answer, _ = _answer("def answer(n):\n    return n + 2\n")
    begin = time.monotonic()
    assert repair.told(answer, lambda changed: time.sleep(60) or True) == ""
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    "call", ["open(path, 'w').close()", "path.unlink()", "os.replace(path, path)", "path.replace(n)", "time.sleep(n)"]
)
def test_what_outlives_a_try_is_not_tried(call, monkeypatch):
    tried = []
    monkeypatch.setattr(repair, "_apart", tried.append)
    answer, _ = _answer(f"def answer(n, path=None):\n    if path:\n        {call}\n    return n + 2\n")
    assert repair.told(answer, lambda changed: changed(1) == 2) == ""
    assert not tried


def test_what_is_handed_over_may_be_called_whatever_its_name():
    answer, _ = _answer("def answer(run):\n    return run() + run()\n")
    assert "return run() + run()" in repair.told(answer, lambda changed: changed(lambda: 3) == 0)


def test_answers_that_are_not_in_a_cell_are_left_alone():
    def inner(n):
        return n + 2

    for answer in (lambda n: n + 2, inner, len, _one):
        assert repair.told(answer, lambda changed: changed(1) == 2) == ""


def _checked_in_a_kernel(cell, package, call, folder):
    """What `check` says of a cell in a process of its own, as a learner's kernel is: this one has run other tests."""
    script = f"""
import torch
from torch import nn
from edgeseg import course
from edgeseg.course import repair
from lesson_cells import execute

repair._PATIENCE = 120.0
scope = {{"__name__": "__main__", "torch": torch, "nn": nn, "course": course}}
for text in ({textwrap.dedent(package)!r}, {textwrap.dedent(cell)!r}, {call!r}):
    execute(text, f"cell {{len(text)}}", scope)
"""
    environment = {**os.environ, "EDGESEG_PROGRESS": str(folder), "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_check_says_the_line_of_a_block_and_keeps_the_random_numbers(tmp_path):
    package = """
    class Package(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

        def forward(self, x):
            return x + torch.relu(self.bn(self.conv(x)))
    """
    cell = """
    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.c, self.b = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels, momentum=0.2)

        def forward(self, x):
            return x + self.b(self.c(x)).clamp(min=0)

    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    """
    call = (
        "assert course.check(Block, Package, course.case(4, inputs=[(2, 4, 5, 6)]), exercise='03.1') is Package\n"
        "assert torch.equal(torch.rand(1), wanted)\n"
    )
    said = _checked_in_a_kernel(cell, package, call, tmp_path)
    assert "other statistics" in said
    assert "momentum=0.2)" in said.split("One small change in this line would make it right:")[1]


def test_check_says_the_line_of_a_block_without_weights(tmp_path):
    cell = """
    class Answer(nn.Module):
        def forward(self, x):
            return x - x.mean()
    """
    package = cell.replace("Answer", "Right").replace("-", "+")
    call = "course.check(Answer, Right, course.case(inputs=[(2, 3)]), exercise='07.1')"
    said = _checked_in_a_kernel(cell, package, call, tmp_path)
    assert "One small change in this line would make it right:" in said
    assert "return x - x.mean()" in said


def test_prove_says_the_line_too(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path))

    def halves(answer):
        if answer(8) != 4:
            raise AssertionError("8 is not halved.")

    mine, _ = _answer("def answer(n):\n    return n // 3\n")
    assert course.prove(mine, _one, halves, exercise="16.1") is _one
    assert "8 is not halved.\nOne small change in this line would make it right:\n    your line:   return n // 3" in (
        capsys.readouterr().out
    )
