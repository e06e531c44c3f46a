"""Deployment: compile a model for a runtime, prove that it is still the same model, time it, run it live."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Artefact": "artefact",
    "compile": "artefact",
    "DeployError": "runtimes.base",
    "get_runtime": "runtimes",
    "list_runtimes": "runtimes",
}
__all__ = ["Artefact", "DeployError", "compile", "get_runtime", "list_runtimes"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeseg.deploy' has no attribute {name!r}")
    return getattr(import_module(f"edgeseg.deploy.{_HOMES[name]}"), name)
