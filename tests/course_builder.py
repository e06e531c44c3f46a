"""The course's builder as modules. Loaded by path, since PyPA's ``build`` goes by the same name."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from lesson_cells import ROOT


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("course_build", ROOT / "course" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "course"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "course"))
    return module


build = _load()
execution = sys.modules["execution"]
