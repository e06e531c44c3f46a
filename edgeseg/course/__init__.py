"""What the lessons call: `begin` a lesson, `check`, `choose` or `prove` an exercise, go on with `mine`; and pictures.

`progress` shows what is solved, `board` what one's own networks reach.

Lazy like the package's face: a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.course.answers import Readings, choose, prove
    from edgeseg.course.cases import case
    from edgeseg.course.checking import check
    from edgeseg.course.learner import mine, progress, whose
    from edgeseg.course.mission import board
    from edgeseg.course.pictures import before_after, network_map
    from edgeseg.course.start import begin

__all__ = [
    "Readings",
    "before_after",
    "begin",
    "board",
    "case",
    "check",
    "choose",
    "mine",
    "network_map",
    "progress",
    "prove",
    "whose",
]

_MODULES = {
    "Readings": "answers",
    "before_after": "pictures",
    "begin": "start",
    "board": "mission",
    "case": "cases",
    "check": "checking",
    "choose": "answers",
    "mine": "learner",
    "network_map": "pictures",
    "progress": "learner",
    "prove": "answers",
    "whose": "learner",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'edgeseg.course' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"edgeseg.course.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
