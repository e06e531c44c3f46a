"""What several commands read in the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from edgeseg.download import atomic_write


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``"360x480"`` → (360, 480): height times width, in pixels."""
    if text is None:
        return None
    height, _, width = text.lower().replace("×", "x").partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise typer.BadParameter(f"{text!r}: write height x width, e.g. 360x480")
    return int(height), int(width)


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all; nothing without a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
