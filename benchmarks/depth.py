"""How sure a finished weight is of pictures of its own kind and of others, and what a large picture should be seen at.

    python benchmarks/depth.py [--weights cross_cbam_m.streets …] [--count 16]

What `edgeseg.inference.OUT_OF_DEPTH` and `FAR_LARGER` rest on. Sureness is the mean of the largest probability over a
picture. Street scenes drawn 3 and 4 times as large are seen whole, at the size of the training images, and at 1.5 and
2 times that, and always scored at their own size. CamVid is read where it is present.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from edgeseg.data import open_data
from edgeseg.data.pairs import DataError
from edgeseg.data.streets import Streets
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.metrics import ConfusionMatrix


def pictures(count: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Pictures by kind."""
    for what, data in (
        ("streets test", Streets("test", count)),
        ("streets at night", Streets("test", count, night=True)),
    ):
        yield what, [data[i][0] for i in range(count)]
    try:
        frames = open_data("camvid", "test")
        yield "CamVid test", [frames[int(i)][0] for i in np.linspace(0, len(frames) - 1, count)]
    except DataError:
        pass
    rng = np.random.default_rng(0)
    yield "even colours", [np.full((360, 480, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(count)]
    yield "noise", [rng.integers(0, 256, (360, 480, 3), np.uint8) for _ in range(count)]


def sizes(segmenter: Segmenter, count: int) -> Iterator[tuple[int, dict[str, float]]]:
    """mIoU in percent of scenes drawn larger, by what the network sees of them."""
    height, width = segmenter.trained_at or (360, 480)
    for larger in (3, 4):
        scenes = Streets("test", count, (larger * height, larger * width), cache=False)
        seen: dict[str, tuple[int, int] | None] = {"as it is": None}
        seen |= {f"{f:g}x": (round(f * height), round(f * width)) for f in (1, 1.5, 2)}
        matrices = {name: ConfusionMatrix(len(scenes.table)) for name in seen}
        for i in tqdm(range(count), desc=f"{larger} times as large", leave=False):
            image, label = scenes[i]
            for name, size in seen.items():
                matrices[name].update(segmenter.predict_surely(image, size=size)[0], label)
        yield larger, {name: 100 * matrix.compute().miou for name, matrix in matrices.items()}


def main() -> None:
    """Print both tables for every weight."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", default=["cross_cbam_m.streets", "cross_cbam_m.camvid"])
    parser.add_argument("--count", type=int, default=16)
    arguments = parser.parse_args()
    for weight in arguments.weights:
        segmenter = load_segmenter(weight)
        print(f"{weight}, trained on images of {segmenter.trained_at}, {arguments.count} pictures of a kind")
        for what, images in pictures(arguments.count):
            sure = [segmenter.predict_surely(image)[1] for image in images]
            print(
                f"  {what:18} sure {min(sure):.2f} to {max(sure):.2f}, median {statistics.median(sure):.2f}", flush=True
            )
        if weight.endswith(".streets"):
            for larger, miou in sizes(segmenter, max(1, arguments.count // 2)):
                print(
                    f"  drawn {larger} times as large: " + ", ".join(f"{k} {v:.1f}" for k, v in miou.items()),
                    flush=True,
                )


if __name__ == "__main__":
    main()
