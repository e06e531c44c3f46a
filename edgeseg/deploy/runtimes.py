"""The one table of runtimes, opened when asked for: none is imported before."""

from __future__ import annotations

import difflib
from importlib import import_module

from edgeseg.deploy.runtime import DeployError, Runtime

# name → (room, class)
_ROOMS = {
    "eager": ("eager", "Eager"),
    "inductor": ("eager", "Inductor"),
    "onnx": ("ort", "OnnxRuntime"),
    "openvino": ("ov", "OpenVINO"),
    "aoti": ("aoti", "AOTInductor"),
    "tensorrt": ("trt", "TensorRT"),
    "executorch": ("xnnpack", "ExecuTorch"),
}


def list_runtimes() -> list[str]:
    """Names of all runtimes, whether they can run here or not."""
    return list(_ROOMS)


def get_runtime(name: str) -> Runtime:
    """A runtime by name.

    Raises:
        DeployError: there is none of that name; lists those that exist.
    """
    if name not in _ROOMS:
        near = difflib.get_close_matches(name, _ROOMS, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise DeployError(f"no runtime {name!r}; {hint}There are {', '.join(_ROOMS)}")
    room, kind = _ROOMS[name]
    return getattr(import_module(f"edgeseg.deploy.{room}"), kind)()
