"""What a network says of street scenes that were shrunk in different ways.

    python benchmarks/shrink.py [--weights cross_cbam_m.streets] [--count 100] [--size 512x1024]

Test scenes are drawn at `--size` and shrunk, at each zoom, as a recipe's ``shrink=area`` and ``shrink=bilinear`` do it,
as ``edgeseg data prepare`` does (Pillow's box, rounded to whole grey levels), and by Pillow's bilinear, which smooths.
mIoU in percent, against labels taken at the nearest pixel; and the share of pixels whose class is another than by area.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from edgeseg.data.streets import Streets
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.text import parse_size, table
from edgeseg.training.augment import Augment, class_points
from edgeseg.training.recipe import Recipe

ZOOMS = (0.625, 0.5, 0.375, 0.25)
PLAIN = Recipe("shrink", iterations=1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), flip=0.0)
PILLOW = {"prepared copy": Image.Resampling.BOX, "Pillow's bilinear": Image.Resampling.BILINEAR}


def shrunk(image: np.ndarray, label: np.ndarray, zoom: float) -> tuple[dict[str, Tensor], np.ndarray]:
    """Way of shrinking → (1, 3, h, w) in 0…255, and the label (h, w), the same for all."""
    height, width = (round(zoom * side) for side in label.shape)
    pixels, labels = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(label)[None]
    points, ways = class_points(label, 1, 0)[None], {}
    for shrink in ("area", "bilinear"):
        augment = Augment(replace(PLAIN, crop=(height, width), scale=(zoom, zoom), shrink=shrink))
        x, small = augment.apply(pixels, labels, augment.draw([0], [0], np.array([label.shape]), points))
        ways[f"shrink={shrink}"] = 255 * x
    for way, filtering in PILLOW.items():
        resized = np.array(Image.fromarray(image).resize((width, height), filtering))
        ways[way] = torch.from_numpy(resized).permute(2, 0, 1)[None]
    return ways, small[0].numpy()


@torch.inference_mode()
def rows(segmenter: Segmenter, scenes: Streets, zoom: float) -> list[list[str]]:
    """One row of the table for every way of shrinking."""
    matrices: dict[str, ConfusionMatrix] = {}
    other, pixels = Counter[str](), 0
    for i in tqdm(range(len(scenes)), desc=f"zoom {zoom:g}", leave=False):
        ways, small = shrunk(*scenes[i], zoom)
        by_area = segmenter(ways["shrink=area"])[0].numpy()
        pixels += by_area.size
        for way, x in ways.items():
            mask = segmenter(x)[0].numpy()
            matrices.setdefault(way, ConfusionMatrix(len(scenes.table))).update(mask, small)
            other[way] += int((mask != by_area).sum())
    return [
        [f"{zoom:g}", way, f"{100 * matrix.compute().miou:.2f}", f"{100 * other[way] / pixels:.3f} %"]
        for way, matrix in matrices.items()
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="cross_cbam_m.streets")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--size", type=parse_size, default=(512, 1024))
    options = parser.parse_args()
    segmenter = load_segmenter(options.weights)
    scenes = Streets("test", options.count, options.size)
    found = [row for zoom in ZOOMS for row in rows(segmenter, scenes, zoom)]
    print(table(("zoom", "shrunk by", "mIoU", "other class"), found, "<<>>"))


if __name__ == "__main__":
    main()
