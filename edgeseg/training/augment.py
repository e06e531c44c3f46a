"""Augmentation of a whole batch at once, on the device that trains.

Every sample draws its own scale, crop, flip and colours; the draw depends on (seed, epoch, sample) alone, so that a
resumed run, another number of workers or ranks, or another device sees the same samples. The geometry is one window
per sample, turned if so asked, sampled bilinearly for the image and by nearest neighbour for the label; all colour
changes of a sample are one 3×4 matrix. torchvision v2 draws one set of parameters for a whole batch, which is why it is
not used here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgeseg.data.labels import VOID
from edgeseg.training.recipe import Recipe

POINTS = 16
"""Pixels remembered per class and image as possible centres of class-centred crops."""

_LUMA = (0.299, 0.587, 0.114)
_DRAWS = 18  # random numbers a sample, all drawn at once: switching one augmentation off leaves the others as they were
_HALF_BELOW = 0.7  # below this scale, shrinking by area, the image is read from a half-size copy
_BLUR_TAPS = 7
_OUTSIDE = -1e4  # stands for any place outside the image


@dataclass(frozen=True)
class Turn:
    """What rotation adds to the places of a `Draw`: a row of the output then shows a slanted line of the input."""

    across: np.ndarray  # (B, W) added to the row's place from column to column, in input pixels
    down: np.ndarray  # (B, H) added to the column's place from row to row
    sizes: np.ndarray  # (B, 2) true height and width of every image


@dataclass(frozen=True)
class Draw:
    """What a batch drew, on the CPU. All arrays have the batch size B as their first dimension."""

    rows: np.ndarray  # (B, H) place in the input, in pixels, that each row of the output shows; without a turn negative
    #   where outside
    columns: np.ndarray  # (B, W) the same for the columns
    scale: np.ndarray  # (B,) output pixels per input pixel
    color: np.ndarray  # (B, 3, 4) RGB in 0…1 → RGB
    sigma: np.ndarray  # (B,) blur in output pixels, 0 for none
    turn: Turn | None = None  # where samples are rotated


class Augment:
    """How the samples of a run vary.

    Args:
        recipe: its crop, seed, mean and std, and its fields from ``scale`` to ``rotate``.
        device: of the images.
    """

    def __init__(self, recipe: Recipe, device: torch.device | str = "cpu") -> None:
        self.recipe = recipe
        self._mean, self._std = (torch.tensor(v, device=device).view(3, 1) for v in (recipe.mean, recipe.std))

    def draw(self, epochs: Sequence[int], samples: Sequence[int], sizes: np.ndarray, points: np.ndarray) -> Draw:
        """Draw the parameters of one batch.

        Args:
            epochs, samples: (B,) epoch and index of every sample: the key of its draw.
            sizes: (B, 2) true height and width of every image, in pixels.
            points: (B, C, `POINTS`, 2) pixels (y, x) of every class, −1 where the class is absent.
        """
        recipe = self.recipe
        keyed = [np.random.Philox(key=[(recipe.seed << 32) + e, s]) for e, s in zip(epochs, samples, strict=True)]
        u = np.stack([np.random.Generator(key).random(_DRAWS) for key in keyed])
        scale = np.exp(_between(u[:, 0], math.log(recipe.scale[0]), math.log(recipe.scale[1])))
        stretch = np.exp(_between(u[:, 1], -1, 1) * math.log1p(recipe.aspect))
        window = np.stack([recipe.crop[0] / scale, recipe.crop[1] / (scale * stretch)], 1)  # in input pixels
        low, high = np.minimum(window, 2 * sizes - window) / 2, np.maximum(window, 2 * sizes - window) / 2
        center = low + u[:, 2:4] * (high - low)
        for i in np.flatnonzero(u[:, 4] < recipe.class_crop):
            point = _class_pixel(points[i], u[i, 5], u[i, 6])
            if point is not None:
                center[i] = np.clip(point + 0.5 + (u[i, 2:4] - 0.5) * 0.9 * window[i], low[i], high[i])
        span = window * np.stack([np.ones(len(u)), np.where(u[:, 7] < recipe.flip, -1, 1)], 1)
        rows, columns, turn = self._geometry(center, span, u[:, 15], sizes)
        sigma = np.where(u[:, 13] < recipe.blur, _between(u[:, 14], 0.3, 1.5), 0.0)
        return Draw(rows, columns, scale, self._color(u[:, 8:13]), sigma, turn)

    def _geometry(
        self, center: np.ndarray, span: np.ndarray, u: np.ndarray, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Turn | None]:
        """Places of the rows and columns of windows (B, 2) with `center` and `span`, turned by the draws `u`."""
        crop, rotate = self.recipe.crop, self.recipe.rotate
        angle = np.radians(_between(u, -rotate, rotate))  # positive turns the content anticlockwise
        rows, columns = (_places(center[:, i], span[:, i] * np.cos(angle), crop[i]) for i in (0, 1))
        if rotate:
            side = span / crop * np.sin(angle)[:, None]  # input pixels per output pixel, aslant
            across = _places(np.zeros(len(u)), side[:, 0] * crop[1], crop[1])
            down = _places(np.zeros(len(u)), -side[:, 1] * crop[0], crop[0])
            return _float(rows), _float(columns), Turn(_float(across), _float(down), sizes)
        # outside its own image a sample must not read the padding that a batch of many sizes has
        rows, columns = (
            np.where((p >= 0) & (p < n[:, None]), p, _OUTSIDE) for p, n in ((rows, sizes[:, 0]), (columns, sizes[:, 1]))
        )
        return _float(rows), _float(columns), None

    def _color(self, u: np.ndarray) -> np.ndarray:
        recipe = self.recipe
        brightness, contrast = (1 + _between(u[:, i], -w, w) for i, w in ((0, recipe.brightness), (1, recipe.contrast)))
        saturation = np.where(u[:, 4] < recipe.grey, 0.0, 1 + _between(u[:, 2], -recipe.saturation, recipe.saturation))
        angle = 2 * math.pi * _between(u[:, 3], -recipe.hue, recipe.hue)
        s, grey = saturation[:, None, None], np.broadcast_to(np.array(_LUMA), (3, 3))
        linear = (s * np.eye(3) + (1 - s) * grey) @ _hue_rotation(angle)
        matrix = np.empty((len(u), 3, 4), np.float32)
        matrix[:, :, :3] = (brightness * contrast)[:, None, None] * linear
        matrix[:, :, 3] = ((1 - contrast) * 0.5)[:, None]  # contrast pivots on mid-grey
        return matrix

    def apply(self, images: Tensor, labels: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Crop, scale, flip, rotate, colour and normalise a batch.

        Args:
            images: (B, 3, h, w) uint8 RGB; labels: (B, h, w) uint8, void 255; both on the training device.
            draw: from `draw`.

        Returns:
            (B, 3, H, W) float32, normalised, zero outside the image; (B, H, W) uint8, void 255 there.
        """
        device = images.device
        rows, columns = _grid(draw, device)
        y, inside = _picked(labels, rows, columns)
        x = _blurred(self._sampled(images, rows, columns, draw.scale), draw.sigma)
        matrix = torch.from_numpy(draw.color).to(device)  # (B, 3, HW) = (B, 3, 3) @ (B, 3, HW) + (B, 3, 1)
        x = torch.bmm(matrix[:, :, :3] / 255, x.flatten(2)).add_(matrix[:, :, 3:]).clamp_(0, 1)
        x = x.sub_(self._mean).div_(self._std).view(len(images), 3, *self.recipe.crop)
        return x.mul_(inside[:, None]), y

    def _sampled(self, images: Tensor, rows: Tensor, columns: Tensor, scale: np.ndarray) -> Tensor:
        """Bilinear samples (B, 3, H, W) float32 in 0…255 at the places of `_grid`, in pixels."""
        height, width = images.shape[2:]
        y, x = 2 * rows / height - 1, 2 * columns / width - 1  # grid_sample's coordinates: −1…1 between the outer edges
        grid = torch.stack(torch.broadcast_tensors(x, y), -1)
        out = torch.empty(len(images), 3, *self.recipe.crop, device=images.device)
        small = (scale < _HALF_BELOW) & (self.recipe.shrink == "area")
        for chosen, shrink in ((~small, False), (small, True)):
            if chosen.any():
                index = torch.from_numpy(np.flatnonzero(chosen)).to(images.device)
                source = images.index_select(0, index).float()
                source = _halved(source) if shrink else source
                part = F.grid_sample(source, grid.index_select(0, index), "bilinear", "border", align_corners=False)
                out.index_copy_(0, index, part)
        return out


def class_points(label: np.ndarray, num_classes: int, key: int) -> np.ndarray:
    """Random pixels of every class of one label map, for class-centred crops.

    Args:
        label: (H, W) uint8 class ids.
        num_classes: C.
        key: index of the sample: the same key gives the same pixels.

    Returns:
        (C, `POINTS`, 2) int32 (y, x); −1 where the class is absent.
    """
    flat = label.ravel()
    order = np.argsort(flat, kind="stable")  # radix sort for uint8: pixels grouped by class
    count = np.bincount(flat, minlength=256)[:num_classes]
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    u = np.random.Generator(np.random.Philox(key=[key, 0])).random((num_classes, POINTS))
    pixel = order[np.minimum(start[:, None] + (u * count[:, None]).astype(np.int64), len(flat) - 1)]
    points = np.stack(np.divmod(pixel, label.shape[1]), -1).astype(np.int32)
    points[count == 0] = -1
    return points


def _places(center: np.ndarray, window: np.ndarray, count: int) -> np.ndarray:
    """(B, count) centres of `count` equal parts of a window, in input pixels; a negative window runs backwards."""
    return center[:, None] + window[:, None] * ((np.arange(count) + 0.5) / count - 0.5)


def _grid(draw: Draw, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places (y, x) in the input: (B, H, 1) and (B, 1, W), or (B, H, W) both where turned; outside one is negative."""
    y, x = torch.from_numpy(draw.rows).to(device)[:, :, None], torch.from_numpy(draw.columns).to(device)[:, None, :]
    if draw.turn is None:
        return y, x
    across, down, sizes = (torch.from_numpy(a).to(device) for a in (draw.turn.across, draw.turn.down, draw.turn.sizes))
    y, x = y + across[:, None, :], x + down[:, :, None]
    inside = (y >= 0) & (y < sizes[:, 0, None, None]) & (x >= 0) & (x < sizes[:, 1, None, None])
    return y.where(inside, _OUTSIDE), x


def _picked(labels: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest labels (B, H, W) uint8 at the places of `_grid`, void outside, and where inside is."""
    height, width = labels.shape[1:]
    row, column = rows.clamp(0, height - 1).long(), columns.clamp(0, width - 1).long()
    index = row * width + column
    inside = (rows >= 0) & (columns >= 0)
    found = labels.flatten(1).gather(1, index.flatten(1)).view(index.shape)
    return found.masked_fill_(~inside, VOID), inside


def _halved(x: Tensor) -> Tensor:
    """Half-size copy, (B, C, ⌈h/2⌉, ⌈w/2⌉): the adaptive pool keeps odd sizes in place, the plain one is faster."""
    height, width = x.shape[2:]
    if height % 2 or width % 2:
        return F.adaptive_avg_pool2d(x, (-(-height // 2), -(-width // 2)))
    return F.avg_pool2d(x, 2)


def _float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _between(u: np.ndarray, low: float, high: float) -> np.ndarray:
    return low + u * (high - low)


def _class_pixel(points: np.ndarray, u_class: float, u_point: float) -> np.ndarray | None:
    present = np.flatnonzero(points[:, 0, 0] >= 0)
    if not len(present):
        return None
    return points[present[int(u_class * len(present))], int(u_point * POINTS)].astype(np.float64)


def _hue_rotation(angle: np.ndarray) -> np.ndarray:
    """(B, 3, 3) rotations around the grey axis (1, 1, 1) by `angle` in radians (Rodrigues' formula)."""
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return cos * np.eye(3) + sin * cross + (1 - cos) / 3


def _blurred(x: Tensor, sigma: np.ndarray) -> Tensor:
    """Gaussian blur of the samples whose sigma (in pixels) is positive."""
    chosen = np.flatnonzero(sigma > 0)
    if not len(chosen):
        return x
    index = torch.from_numpy(chosen).to(x.device)
    offset = np.arange(_BLUR_TAPS) - _BLUR_TAPS // 2
    kernel = np.exp(-0.5 * (offset / sigma[chosen, None]) ** 2)
    kernel = torch.from_numpy((kernel / kernel.sum(1, keepdims=True)).astype(np.float32)).to(x.device)
    blurred, pad = x.index_select(0, index), _BLUR_TAPS // 2
    for dim, padding in ((3, (pad, pad, 0, 0)), (2, (0, 0, pad, pad))):
        wide, size = F.pad(blurred, padding, "replicate"), blurred.shape[dim]
        # a sum of shifted copies: faster than a grouped convolution, which each sample's own kernel would need
        blurred = torch.zeros_like(blurred)
        for t in range(_BLUR_TAPS):
            blurred.addcmul_(wide.narrow(dim, t, size), kernel[:, t, None, None, None])
    return x.index_copy_(0, index, blurred)
