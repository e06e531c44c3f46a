"""Where one small change makes a wrong answer right: found by trying.

Most slips are small: a sign, an index, a name for its neighbour, a call too few. Turned back one at a time, some change
makes the answer pass. That the lines so found decide is then no guess but seen, however the answer is written. The
change itself is not told: to find it is the exercise.
"""

from __future__ import annotations

import ast
import contextlib
import faulthandler
import gc
import io
import linecache
import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import torch

from edgeseg.course.edits import changes
from edgeseg.course.trace import Line, file_of

_PATIENCE = 12.0  # seconds on the clock: where a change runs without end, what was found before it counts
_SECONDS, _SECONDS_MORE = 4.0, 1.5  # until one is found, and after that for others
_SECONDS_ONE = 0.2  # for one change, beside four times what the answer itself takes: it may loop without end
_MOST_LINES = 3  # more than these tell nothing
_STEP, _MOST_STEPS = "__step__", 100_000  # turns of loops and calls of one try: a change can make a loop endless
_CLOCK_STEPS = 300  # between two looks at the clock, which can take longer than a step
_MOST_BYTES = 2 << 30
_LASTING = {  # what is called so outlives a try: files, other programs, threads, what the learner sees
    *("open", "unlink", "rmdir", "rmtree", "remove", "rename", "mkdir", "makedirs", "touch", "write_text"),
    *("write_bytes", "save", "save_file", "savefig", "imsave", "fit", "run", "Popen", "system", "exec", "eval"),
    *("input", "sleep", "Thread", "start", "display", "manual_seed", "seed"),
}
_Place = tuple[str, tuple[int, ...]]  # kind of a change, and the lines in which it lies
_HEADS = (  # of each kind, the surest first: what is said of one line, and of several
    ("one", "One small change in this line", "One small change in any one of these lines"),
    ("new", "One more line after this one", "One more line after any one of these"),
    ("same", "One small change in this line", "One small change, the same in all of these lines,"),
)
_OUTSIDE = {"os", "shutil", "subprocess", "threading", "socket"}


def told(answer: Any, accepts: Callable[[Any], bool]) -> str:
    """In words in which lines of a wrong answer one small change would make it right; empty if none is found, or many.

    Args:
        answer: a learner's function or class.
        accepts: whether an answer is right; called with changed ones.
    """
    found = _places(answer, file_of(answer), accepts)
    for of, one, several in _HEADS:
        places = sorted(places for kind, places in found if kind == of)
        if places:
            lines = list(dict.fromkeys(n for place in (places[:1] if of == "same" else places) for n in place))
            told = [str(Line(file_of(answer), number)) for number in lines]
            head = f"{one if len(lines) == 1 else several} would make it right:"
            names = ["your line:", *(["and:" if of == "same" else "or:"] * len(told))]
            return "\n".join([head, *(f"    {name:<13}{line}" for name, line in zip(names, told, strict=False))])
    return ""


def _places(answer: Any, file: str, accepts: Callable[[Any], bool]) -> list[_Place]:
    """All changes that make an answer right: kind, and numbers of the lines; none if they are many."""
    source = "".join(linecache.getlines(file))
    scope = _scope(answer)
    name = getattr(answer, "__name__", "")
    if scope is None or scope.get(name) is not answer:
        return []
    try:
        definitions = _definitions(ast.parse(source))
    except SyntaxError:  # a magic of the notebook
        return []
    names = {d.name for d in definitions if isinstance(d, (ast.FunctionDef, ast.ClassDef))}
    if name not in names or _lasts(definitions):
        return []

    def search(tell: Callable[[str], None]) -> None:
        found: set[_Place] = set()
        until = time.thread_time() + _SECONDS
        unchanged = {**scope, _STEP: _counter(until)}
        patience = _SECONDS_ONE + 4 * _took(lambda: _passes(source.encode(), file, unchanged, name, accepts))
        for edit in changes(source, definitions):
            if time.thread_time() > until or len(found) > _MOST_LINES:
                break
            own = {**scope, _STEP: _counter(min(until, time.thread_time() + patience))}
            place = "new" if edit.is_new_line else "same" if len(edit.lines) > 1 else "one", edit.lines
            if place not in found and _passes(edit.of(source.encode()), file, own, name, accepts):
                until = min(until, time.thread_time() + _SECONDS_MORE)
                found.add(place)
                tell(" ".join([place[0], *map(str, place[1])]))

    found = [(kind, tuple(map(int, lines))) for kind, *lines in map(str.split, _apart(search) if _SECONDS else ())]
    return found if len(found) <= _MOST_LINES else []


def _took(call: Callable[[], Any]) -> float:
    """Seconds of processor time."""
    begin = time.thread_time()
    call()
    return time.thread_time() - begin


def _apart(search: Callable[[Callable[[str], None]], None]) -> list[str]:
    """The words that a search tells, run in a copy of this process; nothing where there are no such copies (Windows).

    A changed call can bring a library down, run without end, or fill the memory: that then ends the copy alone.

    Args:
        search: called with what takes a line of text.
    """
    if not hasattr(os, "fork"):
        return []
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that threads are not copied: the copy uses none
        child = os.fork()
    if child == 0:
        _search_and_exit(search, write)
    os.close(write)
    told, until = b"", time.monotonic() + _PATIENCE
    with open(read, "rb", buffering=0) as words:
        while (left := until - time.monotonic()) > 0 and select.select([words], [], [], left)[0]:
            part = words.read(1024)
            if not part:
                break
            told += part
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return told.decode().splitlines()


def _search_and_exit(search: Callable[[Callable[[str], None]], None], write: int) -> None:
    """In the copy: search, and end without a word, whatever happens."""
    try:
        faulthandler.disable()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        torch.set_num_threads(1)
        gc.freeze()  # a collection that visits what was there before would copy the whole process, page by page
        _bound_memory()
        with _quiet():
            search(lambda text: _send(write, text))
    finally:
        os._exit(0)


def _send(write: int, text: str) -> None:
    os.write(write, f"{text}\n".encode())


def _scope(answer: Any) -> dict[str, Any] | None:
    """The names among which an answer was written."""
    made = vars(answer).values() if isinstance(answer, type) else [answer]
    return next((f.__globals__ for f in made if isinstance(f, FunctionType)), None)


def _lasts(definitions: Sequence[ast.stmt]) -> bool:
    """Whether a try could do more than compute."""
    nodes = [n for d in definitions for n in ast.walk(d)]
    names = {n.id for n in nodes if isinstance(n, ast.Name)}
    calls = [n for n in nodes if isinstance(n, ast.Call)]
    given = {n.arg for n in nodes if isinstance(n, ast.arg)}  # what a check hands over is made to be called
    called = {n.func.id for n in calls if isinstance(n.func, ast.Name)} - given
    called |= {
        n.attr for n in nodes if isinstance(n, ast.Attribute) and n.attr != "remove"
    }  # of lists; os stays outside
    moves = any(getattr(n.func, "attr", "") == "replace" and len(n.args) == 1 for n in calls)  # a path, and no text
    others = any(isinstance(n, (ast.Global, ast.Nonlocal, ast.Await)) for n in nodes)
    return bool(names & _OUTSIDE or called & _LASTING) or moves or others


def _passes(text: bytes, file: str, scope: dict[str, Any], name: str, accepts: Callable[[Any], bool]) -> bool:
    """Whether an answer is right that is written like this; `scope` is filled with what is defined."""
    try:
        tree = _Bounded().visit(ast.Module(_definitions(ast.parse(text)), []))
        exec(compile(tree, file, "exec"), scope)
        return accepts(scope[name])
    except (Exception, _EndlessError):
        return False


def _definitions(tree: ast.Module) -> list[ast.stmt]:
    return [s for s in tree.body if isinstance(s, (ast.FunctionDef, ast.ClassDef))]


class _EndlessError(BaseException):
    """Not an `Exception`, so that no answer catches it."""


class _Bounded(ast.NodeTransformer):
    """Puts a call of `_STEP` at the head of every function, loop and comprehension.

    A trace function (`sys.settrace`) would not touch the text, but an error raised by one inside a generator can bring
    the interpreter down (seen in Python 3.11).
    """

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, (ast.FunctionDef, ast.For, ast.While)):
            step = ast.Expr(ast.Call(ast.Name(_STEP, ast.Load()), [], []))
            node.body.insert(0, ast.fix_missing_locations(ast.copy_location(step, node.body[0])))
        elif isinstance(node, ast.comprehension):
            turn = ast.Compare(ast.Call(ast.Name(_STEP, ast.Load()), [], []), [ast.Is()], [ast.Constant(None)])
            node.ifs.insert(0, ast.fix_missing_locations(ast.copy_location(turn, node.iter)))
        return node


def _counter(until: float) -> Callable[[], None]:
    """What raises after so many calls, or when the time is up."""
    left = _MOST_STEPS

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0 or (left % _CLOCK_STEPS == 0 and time.thread_time() > until):
            raise _EndlessError

    return step


def _bound_memory() -> None:
    """Let this process grow by `_MOST_BYTES` and no more. On Linux; elsewhere nothing is bounded."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [b for b in (soft, hard) if b != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([pages * resource.getpagesize() + _MOST_BYTES, *bounds]), hard))


@contextmanager
def _quiet() -> Iterator[None]:
    unseen = io.StringIO()
    with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
