"""What can be had without looking: a classifier that sees one pixel's colour, or its colour and position.

A segmentation network has to beat these by a margin before its number means anything. They are fitted on the same
scenes and scored in the same way.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.data.labels import VOID
from edgeseg.training.losses import class_weights


class PixelMLP(nn.Module):
    """Class of a pixel from its own colour, with `position` also from its row and column.

    Args:
        num_classes: C.
        position: give it the pixel's place.
        hidden: width of the two hidden layers.

    Shapes:
        (N, 3, H, W) normalised RGB → (N, C, H, W) logits.
    """

    def __init__(self, num_classes: int, position: bool, hidden: int = 64) -> None:
        super().__init__()
        self.position = position
        self.layers = nn.Sequential(
            nn.Conv2d(5 if position else 3, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, num_classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (torch.linspace(-1, 1, side, device=x.device) for side in x.shape[2:])
        return self.layers(self.placed(x, rows, columns))

    def placed(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Images (N, 3, h, w) with the places of their rows (h,) and columns (w,), −1…1, as channels if so wanted."""
        if not self.position:
            return x
        # 1.7: the deviation of a uniform −1…1 becomes 1
        grid = torch.stack(torch.meshgrid(1.7 * rows, 1.7 * columns, indexing="ij"))
        return torch.cat([x, grid.expand(len(x), -1, -1, -1)], 1)


def fit_pixel_mlp(
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    position: bool,
    steps: int = 4000,
    seed: int = 0,
) -> PixelMLP:
    """Fit a `PixelMLP` with Adam and weighted cross-entropy on random pixels of the training scenes.

    Args:
        images: (N, H, W, 3) uint8; labels: (N, H, W) uint8, void 255.
        num_classes: C.
        mean, std: of the RGB values in 0…1.
        position: see `PixelMLP`.
        steps: of 4096 pixels each, 64 of every one of 64 images.
        seed: of weights and sampling.
    """
    torch.manual_seed(seed)
    model = PixelMLP(num_classes, position)
    counts = np.bincount(labels[::8].ravel(), minlength=256)[:num_classes]
    weights = class_weights(counts, "enet")
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = np.random.default_rng(seed)
    scale = torch.tensor(mean).view(1, 3, 1, 1) * 255, torch.tensor(std).view(1, 3, 1, 1) * 255
    for _ in range(steps):
        chosen = np.sort(rng.choice(len(images), min(64, len(images)), replace=False))
        rows, columns = np.sort(rng.integers(0, images.shape[1], 8)), np.sort(rng.integers(0, images.shape[2], 8))
        x = torch.from_numpy(images[chosen][:, rows][:, :, columns]).permute(0, 3, 1, 2)
        y = torch.from_numpy(labels[chosen][:, rows][:, :, columns]).long()
        x = (x - scale[0]) / scale[1]
        places = (
            2 * torch.from_numpy(p) / (n - 1) - 1 for p, n in zip((rows, columns), images.shape[1:3], strict=True)
        )
        loss = F.cross_entropy(model.layers(model.placed(x, *places)), y, weights, ignore_index=VOID)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()
