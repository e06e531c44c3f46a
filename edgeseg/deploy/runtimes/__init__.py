"""The one table of runtimes, opened when asked for: none is imported before."""

from __future__ import annotations

from importlib import import_module

from edgeseg.deploy.runtimes.base import DeployError, Runtime
from edgeseg.text import unknown

# name → (module of this package, class)
_CLASSES = {
    "eager": ("pytorch", "Eager"),
    "inductor": ("pytorch", "Inductor"),
    "onnx": ("onnx", "OnnxRuntime"),
    "openvino": ("openvino", "OpenVINO"),
    "aoti": ("aoti", "AOTInductor"),
    "tensorrt": ("tensorrt", "TensorRT"),
    "executorch": ("executorch", "ExecuTorch"),
}


def list_runtimes() -> list[str]:
    """Names of all runtimes, whether they can run here or not."""
    return list(_CLASSES)


def get_runtime(name: str) -> Runtime:
    """A runtime by name.

    Raises:
        DeployError: there is none of that name; lists those that exist.
    """
    if name not in _CLASSES:
        raise DeployError(unknown("runtime", name, _CLASSES))
    module, kind = _CLASSES[name]
    return getattr(import_module(f"edgeseg.deploy.runtimes.{module}"), kind)()
