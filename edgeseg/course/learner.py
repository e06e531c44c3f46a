"""What a learner has done: a small local file, and their own blocks as Python files that later lessons go on with.

Both lie in ``progress/`` beside the notebooks, or in the folder that ``EDGESEG_PROGRESS`` names. Delete it to begin
anew, send it to hand work in. Nothing leaves the machine.
"""

from __future__ import annotations

import ast
import builtins
import html
import importlib.util
import linecache
import os
import symtable
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from edgeseg import __version__
from edgeseg.course.syllabus import SYLLABUS
from edgeseg.files import parse_json, read_text, write_json, write_text
from edgeseg.text import table

T = TypeVar("T")
_FILE = "progress.json"
_LEGEND = "● solved   ◐ tried   ○ open"
_BUILTIN = frozenset(dir(builtins))


def folder() -> Path:
    """Where progress is kept."""
    return Path(os.environ.get("EDGESEG_PROGRESS") or "progress")


def note(exercise: str, state: str, attempt: Any) -> None:
    """Keep what `check` found; a block that is right is kept as source, too."""
    done = _read(folder())
    old = done.get(exercise, {})
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    entry = {"state": state, "tries": old.get("tries", 0) + (state != "open"), "edgeseg": __version__}
    if first := old.get("right_at") or (now if state == "right" else None):
        entry["right_at"] = first
    done[exercise] = entry
    if state == "right":
        _keep(exercise, attempt)
    write_json(folder() / _FILE, {"format": 1, "exercises": dict(sorted(done.items()))})


def mine(exercise: str, package: T) -> T:
    """The learner's own answer of an earlier lesson where `check` found it right, else the package's; says which.

    Args:
        exercise: e.g. ``"05.3"``.
        package: the package's own.
    """
    path = _source_file(exercise)
    name = getattr(package, "__name__", str(package))
    if not path.is_file():
        print(f"{exercise} {name}: the package's own (yours joins here once exercise {exercise} is solved)")
        return package
    found = _load(path)
    print(f"{exercise} {name}: yours, from {path.name}")
    return found


def whose(answer: Any) -> str:
    """Of what a notebook goes on with: ``"yours"``, or ``"the package's"`` where the exercise is open or wrong.

    Args:
        answer: a class or a function, as `check`, `choose`, `prove` or `mine` gave it.
    """
    module = str(getattr(answer, "__module__", ""))
    return "the package's" if module.partition(".")[0] == "edgeseg" else "yours"


def progress(*folders: str | Path) -> Progress:
    """Which exercises are solved, as a table; a notebook shows it.

    Args:
        folders: that hold a ``progress.json`` each, e.g. those that students handed in; default: one's own.
    """
    return Progress([(Path(f).as_posix(), _read(Path(f))) for f in folders or (folder(),)])


@dataclass(frozen=True)
class Progress:
    """Solved exercises of one or more learners.

    Args:
        learners: name of a folder and what it holds.
    """

    learners: list[tuple[str, dict[str, Any]]]

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Titles of the columns, and a row for every lesson that has exercises; whose it is where there are several."""
        rows = []
        for name, done in self.learners:
            for number, lesson in SYLLABUS.items():
                signs = "".join(_sign(done.get(f"{number}.{k + 1}", {})) for k in range(len(lesson.exercises)))
                if signs:
                    solved = f"{signs.count('●')} of {len(signs)}"
                    rows.append((name, f"{number} {lesson.title}", signs, solved))
        first = 0 if len(self.learners) > 1 else 1
        return ("learner", "lesson", "exercises", "solved")[first:], [row[first:] for row in rows]

    def __repr__(self) -> str:
        head, rows = self._table()
        return f"{table(head, rows, '<' * len(head))}\n{_LEGEND}"

    def _repr_html_(self) -> str:
        head, rows = self._table()
        titles = "".join(f"<th>{title}</th>" for title in head)
        cells = ("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) for row in rows)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table><small>{_LEGEND}</small>"


def _sign(entry: dict[str, Any]) -> str:
    return "●" if "right_at" in entry else "◐" if entry.get("tries") else "○"


# Files ----------------------------------------------------------------------------------------------------------------


def _read(where: Path) -> dict[str, Any]:
    path = where / _FILE
    try:
        return dict(parse_json(read_text(path))["exercises"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        put_aside(path, "progress begins anew")
        return {}


def put_aside(path: Path, then: str) -> None:
    """Rename a file that cannot be read, so that nothing is lost, and say so."""
    aside = path.with_suffix(".damaged.json")
    path.replace(aside)
    print(f"{path} could not be read; it now lies in {aside.name}, and {then}")


def _source_file(exercise: str) -> Path:
    return folder() / "blocks" / f"exercise_{exercise.replace('.', '_')}.py"


def _keep(exercise: str, attempt: Any) -> None:
    try:
        head = f'"""Exercise {exercise}, as it was when it was right."""'
        text = f"{head}\n\n{own_source(attempt)}\n\n\nANSWER = {attempt.__name__}\n"
    except (OSError, ValueError, AttributeError):
        return  # typed where Python keeps no source; later lessons take the package's
    write_text(_source_file(exercise), text)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"progress_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.ANSWER


# Source ---------------------------------------------------------------------------------------------------------------


def own_source(thing: type | FunctionType) -> str:
    """The source of a class or function with everything that it uses: imports, constants, other cells' classes.

    Raises:
        ValueError: it uses something that has no source.
        OSError: its own source is not known.
    """
    parts: dict[str, str] = {}
    _collect(thing.__name__, thing, parts)
    return "\n".join(part for part in parts.values() if part.startswith(("import ", "from "))) + "".join(
        f"\n\n\n{part}" for part in parts.values() if not part.startswith(("import ", "from "))
    )


def _collect(name: str, thing: Any, parts: dict[str, str]) -> None:
    """Add what a name stands for, after what it needs itself."""
    if name in parts:
        return
    if isinstance(thing, ModuleType):
        parts[name] = f"import {thing.__name__} as {name}" if thing.__name__ != name else f"import {name}"
    elif isinstance(thing, (int, float, str, bool, tuple, type(None))):
        parts[name] = f"{name} = {thing!r}"
    elif getattr(thing, "__module__", "__main__") not in ("__main__", None) and not _from_file(thing):
        parts[name] = f"from {thing.__module__} import {thing.__name__}" + (
            f" as {name}" if thing.__name__ != name else ""
        )
    elif isinstance(thing, (type, FunctionType)):
        text, names, scope = _definition(thing)
        parts[name] = ""  # a class may name itself
        for used in names:
            if used in scope and used != name:
                _collect(used, scope[used], parts)
        del parts[name]
        parts[name] = text if thing.__name__ == name else f"{text}\n\n\n{name} = {thing.__name__}"
    else:
        raise ValueError(f"{name} has no source")


def _from_file(thing: Any) -> bool:
    """Whether it came from an earlier lesson's kept answer, which is no importable module elsewhere."""
    return str(thing.__module__).startswith("progress_exercise_")


def _definition(thing: type | FunctionType) -> tuple[str, list[str], dict[str, Any]]:
    """Source, names that it reads, and the globals in which they are looked up."""
    functions = [f for f in vars(thing).values() if isinstance(f, FunctionType)] if isinstance(thing, type) else [thing]
    if not functions:
        raise OSError(f"{thing.__name__} has no function of its own")
    code = functions[0].__code__
    text = "".join(linecache.getlines(code.co_filename))
    kinds = (ast.ClassDef,) if isinstance(thing, type) else (ast.FunctionDef,)
    nodes = [n for n in ast.parse(text).body if isinstance(n, kinds) and n.name == thing.__name__]
    if not nodes:  # or a method, or a function in a function, which is nothing without what is around it
        raise OSError(f"no source of {thing.__name__}")
    node = nodes[-1]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    source = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    names = [n for n in dict.fromkeys(_globals_read(symtable.symtable(source, "answer", "exec"))) if n not in _BUILTIN]
    return source, names, functions[0].__globals__


def _globals_read(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that are looked up outside: no parameters, no local variables, no attributes."""
    for symbol in table.get_symbols():
        outside = symbol.is_global() or table.get_type() == "module"
        if symbol.is_referenced() and outside and not symbol.is_assigned():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals_read(child)
