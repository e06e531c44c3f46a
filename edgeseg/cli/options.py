"""What several commands read in the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.download import atomic_write


def parse_size(text: str) -> tuple[int, int]:
    """``"360x480"`` → (360, 480): height times width, in pixels."""
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isdigit() and 32 <= int(side) <= 8192 for side in sides):
        raise ValueError(f"size {text!r}: write height x width, each 32 to 8192 pixels, e.g. 360x480")
    return int(sides[0]), int(sides[1])


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all; nothing without a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def write_lines(path: Path | None, lines: Sequence[str]) -> None:
    """Write lines of text whole or not at all; nothing without a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "w") as file:
            file.write("".join(f"{line}\n" for line in lines))
