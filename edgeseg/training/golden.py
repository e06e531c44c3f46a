"""Golden output: what a weight gives for one fixed image, kept in its record, and `verify_weight`, which compares.

A hash proves that a file is the right one. The golden output proves that the code around it still does with it what it
did when the weight was published: network, normalisation, resizing. The image is a rendered scene, the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeseg.data.streets import Streets
from edgeseg.data.streets.dataset import GENERATOR_VERSION
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.models.records import checked_file, get_record, record_faults, record_folder

SCENE = "streets test, scene 0"
SIZE = (96, 128)
GRID = (3, 4)
# In logits. Another number of threads, another memory format or float64 moves them by 4e-6, one grey level in five
# pixels by 0.006; bfloat16 by 0.07, one grey level in every pixel by 0.07. Measured on cross_cbam_m.streets.
TOLERANCE = 0.02


def golden_output(segmenter: Segmenter) -> dict[str, Any]:
    """The logits of a fixed scene at a coarse grid of points, for a record.

    Args:
        segmenter: a trained network with its preprocessing and class table, on the CPU in float32.

    Returns:
        ``logits``: for every class its values at the points, row by row, rounded to 3 decimals; and what they are of:
        ``scene``, ``size`` (H, W), ``grid`` (rows, columns), ``generator``, ``image_sha256``, ``tolerance``.
    """
    assert segmenter.table is not None  # loaded weights always say their classes
    image = _scene(SIZE)
    values = _at_points(segmenter, image, GRID)
    logits = {n: [round(float(v), 3) for v in row] for n, row in zip(segmenter.table.names, values, strict=True)}
    return {
        "scene": SCENE, "size": list(SIZE), "grid": list(GRID), "generator": GENERATOR_VERSION,
        "image_sha256": _digest(image), "tolerance": TOLERANCE, "logits": logits,
    }  # fmt: skip


def golden_fault(segmenter: Segmenter, golden: Mapping[str, Any]) -> str | None:
    """What is wrong with a network's output, measured against `golden_output` of earlier; ``None``: nothing."""
    image = _scene(tuple(golden["size"]))
    values = _at_points(segmenter, image, tuple(golden["grid"]))
    recorded = np.array(list(golden["logits"].values()))
    if recorded.shape != values.shape:
        return (
            f"gives {values.shape[0]} classes at {values.shape[1]} points, its golden output has {recorded.shape[0]} "
            f"at {recorded.shape[1]}; get record and file anew from one place"
        )
    off = float(np.abs(values - recorded).max())
    if off <= golden["tolerance"]:
        return None
    if _digest(image) != golden["image_sha256"]:
        return (
            f"its logits are off by {off:.3g} ({golden['tolerance']} is allowed), but {golden['scene']} is drawn "
            f"otherwise here (generator {GENERATOR_VERSION}, recorded with {golden['generator']}), so this says "
            "nothing of the weight; measure anew: edgeseg weights golden NAME"
        )
    return (
        f"its logits are off by {off:.3g} ({golden['tolerance']} is allowed) on the recorded scene: the code around it "
        "has changed; reinstall edgeseg (pip install --force-reinstall --no-deps edgeseg), and report it if that is no "
        "help"
    )


def verify_weight(name: str) -> list[str]:
    """Everything that is wrong with a weight, each with its cure; empty: nothing.

    The file has the recorded hash, describes itself as the record does, loads, and gives the golden output.

    Args:
        name: of a record.
    """
    try:
        record = get_record(name)
        segmenter = load_segmenter(checked_file(name))
    except (ValueError, RuntimeError, OSError) as error:
        return [str(error)]
    meta: dict[str, Any] = segmenter.model.meta  # type: ignore[assignment]
    faults = record_faults(record, meta)
    if record.golden is None:
        return faults
    try:
        fault = golden_fault(segmenter, record.golden)
    except (KeyError, TypeError, ValueError) as error:
        fault = f"its golden output cannot be read ({error!r}); measure it anew: edgeseg weights golden {name}"
    return faults if fault is None else [*faults, fault]


def add_golden(name: str) -> Path:
    """Measure the golden output of a weight and write it into its record; returns the record's path.

    Raises:
        WeightError: no such weight, or not the file that the record names.
    """
    golden = golden_output(load_segmenter(checked_file(name)))
    return replace(get_record(name), golden=golden).write(record_folder(name))


def _scene(size: tuple[int, int]) -> np.ndarray:
    return Streets("test", 1, size, cache=False)[0][0]


def _digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


@torch.inference_mode()
def _at_points(segmenter: Segmenter, image: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(classes, points) logits at the middles of a grid's cells."""
    logits = segmenter.logits(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
    rows, columns = (
        [(2 * i + 1) * side // (2 * count) for i in range(count)]
        for side, count in zip(image.shape[:2], grid, strict=True)
    )
    return logits[:, rows][:, :, columns].reshape(len(logits), -1)
