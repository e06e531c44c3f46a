"""Where the wrong pixels lie: at the outlines, or inside of things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from edgeseg.data.pairs import Dataset
from edgeseg.explain.frames import Segment
from edgeseg.metrics import boundary_classes
from edgeseg.plots import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from edgeseg.void import VOID

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)


@dataclass(frozen=True)
class DistanceErrors:
    """Wrong pixels by their distance to the nearest class boundary.

    Attributes:
        wrong: int64; at 0 the pixels at distance 1, and so on; the last place is everything farther away.
        pixels: the same of all pixels but void.
    """

    wrong: np.ndarray
    pixels: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """Share of the pixels at each distance that is wrong, 0…1; NaN where there are none."""
        return np.divide(self.wrong, self.pixels, out=np.full(len(self.pixels), np.nan), where=self.pixels > 0)


def error_by_distance(segment: Segment, data: Dataset, farthest: int = 32) -> DistanceErrors:
    """Count a network's wrong pixels by their distance to the nearest class boundary of the label.

    Distance is in pixels of the label, along rows, columns and diagonals alike (a king's moves): 1 has a pixel whose
    neighbour above, below, left or right is of another class. Void makes no boundary and is not counted.

    Args:
        segment: (H, W, 3) uint8 → (H, W) class ids, e.g. ``load_segmenter("cross_cbam_m.streets").predict``.
        data: with the same classes.
        farthest: largest distance that is counted by itself.

    Raises:
        ValueError: a largest distance below 1, or a prediction of another size than its label.
    """
    if not 1 <= farthest < VOID - 1:
        raise ValueError(f"farthest={farthest}: give a distance of 1 to {VOID - 2} pixels")
    wrong, pixels = np.zeros((2, farthest + 2), np.int64)  # at 0: void
    for i in tqdm(range(len(data)), desc="errors by distance", unit="img", leave=False):
        image, label = data[i]
        mask = segment(image)
        if mask.shape != label.shape:
            raise ValueError(f"{data.names[i]}: prediction {mask.shape}, label {label.shape}; both must have one size")
        away = boundary_distance(label, farthest)
        pixels += np.bincount(away.ravel(), minlength=farthest + 2)
        wrong += np.bincount(away[mask != label], minlength=farthest + 2)
    return DistanceErrors(wrong[1:], pixels[1:])


def boundary_distance(label: np.ndarray, farthest: int) -> np.ndarray:
    """(H, W) uint8: distance of each pixel to the nearest class boundary, see `error_by_distance`.

    Args:
        label: (H, W) uint8 class ids, void 255.
        farthest: all beyond are ``farthest + 1``; void is 0.
    """
    near = torch.from_numpy(boundary_classes(label) != VOID)[None, None].float()
    away = np.full(label.shape, farthest + 1, np.uint8)
    for distance in range(1, farthest + 1):
        away[(near[0, 0].numpy() > 0) & (away > distance)] = distance
        near = F.max_pool2d(near, 3, stride=1, padding=1)
    away[label == VOID] = 0
    return away


def distance_figure(errors: Mapping[str, DistanceErrors]) -> Figure:
    """Error rate against the distance to the boundary, and the share of all errors up to there; a line per network.

    Args:
        errors: by the network's name, all with the same largest distance.
    """
    from matplotlib.figure import Figure

    figure = Figure((9.2, 3.3), layout="constrained")
    rates, shares = figure.subplots(1, 2)
    for i, (name, found) in enumerate(errors.items()):
        away = np.arange(1, len(found.wrong))  # the last place is no distance
        style = {"color": _COLORS[i % len(_COLORS)], "lw": 1.6, "label": name, "ls": ("-", "--")[i // len(_COLORS) % 2]}
        rates.plot(away, 100 * found.rate[:-1], **style)
        shares.plot(away, 100 * found.wrong[:-1].cumsum() / max(found.wrong.sum(), 1), **style)
    rates.set(ylabel="% of the pixels there that are wrong", ylim=(0, None))
    shares.set(ylabel="% of all errors that lie as near", ylim=(0, 101))
    for axis in (rates, shares):
        axis.set(xlabel="pixels to the nearest class boundary", xlim=(1, None))
        axis.grid(alpha=0.25)
    rates.legend(frameon=False, fontsize=8)
    return figure
