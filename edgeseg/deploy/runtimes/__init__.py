"""The runtimes: one module each, named as users name it, and imported when it is asked for."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from edgeseg.deploy.runtimes.base import DeployError, Runtime
from edgeseg.text import unknown

_SHARED = ("base", "graph")  # modules of this package that are no runtimes


def list_runtimes() -> list[str]:
    """Names of all runtimes, whether they can run here or not."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _SHARED)


def get_runtime(name: str) -> Runtime:
    """A runtime by name.

    Raises:
        DeployError: there is none of that name; lists those that exist.
    """
    if name not in list_runtimes():
        raise DeployError(unknown("runtime", name, list_runtimes()))
    module = import_module(f"{__name__}.{name}")
    return next(kind for kind in vars(module).values() if getattr(kind, "name", None) == name)()
