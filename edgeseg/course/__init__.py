"""What the lessons call: `begin` a lesson, `check` an exercise, go on with `mine`, see the `progress`; and pictures.

Lazy like the package's face: a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.course.checking import case, check
    from edgeseg.course.learner import mine, progress
    from edgeseg.course.pictures import before_after, network_map
    from edgeseg.course.start import begin

__all__ = ["before_after", "begin", "case", "check", "mine", "network_map", "progress"]

_MODULES = {
    "before_after": "pictures",
    "begin": "start",
    "case": "checking",
    "check": "checking",
    "mine": "learner",
    "network_map": "pictures",
    "progress": "learner",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'edgeseg.course' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"edgeseg.course.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
