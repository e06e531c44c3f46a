"""What of an artefact's input may be left open: how many images it takes, and of which height and width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import Dim

from edgeseg.deploy.runtimes import get_runtime, list_runtimes
from edgeseg.deploy.runtimes.base import DYNAMIC, DeployError, Runtime
from edgeseg.deploy.runtimes.graph import AXES
from edgeseg.inference import Segmenter
from edgeseg.text import unknown

STRIDE = 32
"""Of the networks here; some of other people take only multiples of it."""
LEAST_SIDE = 33
"""Pixels of an open height or width: of 32 stride 32 leaves one, which torch.export takes for a constant."""


def checked_dynamic(runtime: Runtime, names: Sequence[str], batch: int = 1) -> tuple[str, ...]:
    """What of the input is to be left open, each once.

    Args:
        runtime: that will build the graphs.
        names: of `DYNAMIC`.
        batch: images at a time, where that is asked for.

    Raises:
        DeployError: what cannot be open at all or under this runtime (lists those that can), an open batch of more
            than one image, or a runtime that takes only one.
    """
    for name in names:
        if name not in DYNAMIC:
            raise DeployError(unknown("part of the input that can be open called", name, DYNAMIC))
        if name not in runtime.dynamic:
            able = [other for other in list_runtimes() if name in get_runtime(other).dynamic]
            raise DeployError(
                f"{runtime.name} builds for one {name} only. Leave --dynamic {name} away, or take one of "
                f"{', '.join(able)}"
            )
    if batch != 1 and not runtime.takes_batches:
        raise DeployError(f"{runtime.name} takes one image at a time, not {batch}; export batch 1")
    if "batch" in names and batch != 1:
        raise DeployError(f"batch = {batch} is a fixed batch, and dynamic leaves it open: ask for one of the two")
    return tuple(dict.fromkeys(names))


def open_axes(dynamic: Sequence[str]) -> list[int]:
    """Axes of the input, (N, 3, H, W), that are open."""
    return [axis for axis in AXES if ("batch" if axis == 0 else "size") in dynamic]


def export_dims(dynamic: Sequence[str], step: int) -> dict[int, Any]:
    """Open axes → their ``torch.export.Dim``.

    Args:
        dynamic: of `DYNAMIC`.
        step: that heights and widths are multiples of, see `size_step`.
    """

    def side(name: str) -> Any:
        return Dim(name, min=LEAST_SIDE) if step == 1 else step * Dim(name, min=-(-LEAST_SIDE // step))

    return {axis: Dim(AXES[axis]) if axis == 0 else side(AXES[axis]) for axis in open_axes(dynamic)}


def nearest(size: tuple[int, int], step: int) -> tuple[int, int]:
    """The (H, W) nearest to a size whose sides are multiples of ``step`` and at least `LEAST_SIDE`."""
    least = -(-LEAST_SIDE // step)
    height, width = (max(least, round(side / step)) * step for side in size)
    return height, width


@torch.inference_mode()
def size_step(segmenter: Segmenter, size: tuple[int, int]) -> int:
    """1 where a network takes any height and width, `STRIDE` where it fails on what is no multiple of that.

    Args:
        segmenter: float32, on the CPU.
        size: (H, W) that it will be exported with.

    Raises:
        DeployError: the network sees one size whatever the image's is, or cannot take this size.
    """
    if segmenter.size is not None:
        height, width = segmenter.size
        raise DeployError(f"this network sees {height}x{width} whatever the image's size is: leave --dynamic size away")
    odd = torch.zeros(1, 3, 2 * STRIDE + 1, 3 * STRIDE + 1)
    try:
        step = 1 if segmenter.model(odd).shape[2:] == odd.shape[2:] else STRIDE
    except Exception:  # each network has its own words for it
        step = STRIDE
    if (fits := nearest(size, step)) != tuple(size):
        raise DeployError(f"size {size[0]}x{size[1]}: {sides(step)}. Take {fits[0]}x{fits[1]}")
    return step


def sides(step: int) -> str:
    """Which sizes an open one may be, in words."""
    multiples = "" if step == 1 else f" and are multiples of {step}"
    return f"with an open size, height and width have {LEAST_SIDE} pixels or more{multiples}"
