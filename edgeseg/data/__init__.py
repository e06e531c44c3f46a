"""Data sets: sequences of (H, W, 3) uint8 images and (H, W) uint8 labels with a class table.

`open_data` turns the name that a recipe or a command line gives into one of them. It is imported when it is first used:
class tables alone need no readers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.data.datasets import NAMES, open_data, recognise

__all__ = ["NAMES", "open_data", "recognise"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("edgeseg.data.datasets"), name)
    raise AttributeError(f"module 'edgeseg.data' has no attribute {name!r}")
