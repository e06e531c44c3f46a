"""What it costs to feed an ONNX artefact wrongly: mIoU on test scenes with one mistake at a time.

    python benchmarks/traps.py [--weights cross_cbam_m.streets] [--size 360x480] [--count 32]

The table of docs/onnx.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

from edgeseg.data.streets import Streets
from edgeseg.deploy import compile
from edgeseg.inference import load_segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.text import parse_size, table

Feed = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
FEEDS: dict[str, Feed] = {
    "right": lambda pixels, mean, std: (pixels / 255 - mean) / std,
    "BGR for RGB": lambda pixels, mean, std: (pixels[:, :, ::-1] / 255 - mean) / std,
    "mean and std left out": lambda pixels, mean, std: pixels / 255,
    "mean and std in the order of BGR": lambda pixels, mean, std: (pixels / 255 - mean[::-1]) / std[::-1],
    "scaled to -1…1": lambda pixels, mean, std: pixels / 127.5 - 1,
    "/255 forgotten": lambda pixels, mean, std: (pixels - mean) / std,
    "nothing done to the pixels": lambda pixels, mean, std: pixels,
    "/255 twice": lambda pixels, mean, std: (pixels / 255 / 255 - mean) / std,
    "reshaped instead of transposed": lambda pixels, mean, std: _reshaped((pixels / 255 - mean) / std),
}


def _reshaped(x: np.ndarray) -> np.ndarray:
    """(H, W, 3) memory read as (3, H, W); given back as (H, W, 3)."""
    height, width, _ = x.shape
    return x.reshape(3, height, width).transpose(1, 2, 0)


def main() -> None:
    """Parse the command line, score every mistake, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="cross_cbam_m.streets")
    parser.add_argument("--size", default="360x480", help="HxW")
    parser.add_argument("--count", type=int, default=32, help="test scenes")
    a = parser.parse_args()
    scenes = Streets("test", a.count, size=parse_size(a.size))
    artefact = compile(load_segmenter(a.weights), "onnx", size=parse_size(a.size), graphs=("logits",))
    mean, std = (np.array(artefact.about[key]) for key in ("mean", "std"))
    matrices = {name: ConfusionMatrix(len(scenes.table)) for name in FEEDS}
    for image, label in scenes:
        for name, feed in FEEDS.items():
            x = np.ascontiguousarray(feed(image.astype(np.float64), mean, std).transpose(2, 0, 1)[None], np.float32)
            matrices[name].update(artefact.logits(torch.from_numpy(x))[0].argmax(0), label)
    scores = {name: 100 * matrix.compute().miou for name, matrix in matrices.items()}
    rows = [(name, f"{miou:.2f}", f"{scores['right'] - miou:.2f}") for name, miou in scores.items()]
    print(table(("what is fed", "mIoU %", "points lost"), rows))


if __name__ == "__main__":
    main()
