"""Noise, cut from fixed sheets: fresh random numbers for every picture would cost as much as the scene."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image

SHEET = 512
"""Side of the noise sheets in cells; they tile."""


@functools.cache
def fine_sheet() -> np.ndarray:
    """(SHEET, SHEET) float32 white noise, mean 0, deviation 1, clipped at ±2.5. Tiles."""
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((SHEET, SHEET), dtype=np.float32)
    return np.clip(noise, -2.5, 2.5)


@functools.cache
def cloud_sheet() -> np.ndarray:
    """(SHEET, SHEET) float32 fractal noise, mean 0, deviation 1. Tiles."""
    generator = np.random.Generator(np.random.PCG64(2))
    total = np.zeros((SHEET, SHEET), np.float32)
    for octave in range(6):
        cells = 8 * 2**octave
        total += _tiling_octave(generator, cells) * 0.62**octave
    return ((total - total.mean()) / total.std()).astype(np.float32)


def _tiling_octave(generator: np.random.Generator, cells: int) -> np.ndarray:
    grid = generator.standard_normal((cells, cells), dtype=np.float32)
    wrapped = np.pad(grid, 2, mode="wrap")
    step = SHEET // cells
    large = Image.fromarray(wrapped).resize(((cells + 4) * step,) * 2, Image.Resampling.BICUBIC)
    return np.asarray(large)[2 * step : 2 * step + SHEET, 2 * step : 2 * step + SHEET]


def smooth_noise(seed: int, rows: int, columns: int, stretch: float = 1.0) -> np.ndarray:
    """(rows, columns) float32 window of the cloud sheet, at a place that the seed chooses; `stretch` widens it."""
    top, left = seed % SHEET, (seed // SHEET) % SHEET
    down = (top + np.arange(rows) * 2) % SHEET
    across = (left + (np.arange(columns) * 2 / stretch).astype(np.intp)) % SHEET
    return cloud_sheet()[np.ix_(down, across)]
