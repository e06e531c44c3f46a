"""edgeseg: real-time semantic segmentation, built block by block from two papers.

The public face is lazy: a name is imported when it is first used, so that ``import edgeseg`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.inference import predict
    from edgeseg.models.registry import create_model, list_models

    __version__: str

__all__ = ["__version__", "create_model", "list_models", "predict"]

_HOMES = {
    "create_model": "edgeseg.models.registry",
    "list_models": "edgeseg.models.registry",
    "predict": "edgeseg.inference",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        metadata = import_module("importlib.metadata")
        try:
            return metadata.version("edgeseg")
        except metadata.PackageNotFoundError:
            return "0+source"  # run from a folder, without pip install
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeseg' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
