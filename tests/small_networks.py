"""Switches that make a network small enough for a test of milliseconds."""

from __future__ import annotations

from typing import Any

from edgeseg.models.registry import ARCHS


def small(name: str) -> dict[str, Any]:
    """Narrow where the name leaves the width open, shallow where it leaves the depth open."""
    switches = ARCHS[name].switches
    narrow = {"width": 8 if "blocks" in switches else 16} if "width" in switches else {}
    return narrow | ({"modules": (1, 1, 1), "blocks": 1} if "blocks" in switches else {})
