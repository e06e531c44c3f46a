"""The README's picture: a photograph and a rendered scene under the finished networks, neither chosen by anybody.

EDGESEG_DATA=FOLDER python benchmarks/front.py docs/images/front.jpg

Of each test split it is the frame whose score is the median: half of the frames come out better, half worse.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edgeseg import plots
from edgeseg.data import open_data
from edgeseg.explain.frames import measure
from edgeseg.inference import load_segmenter

SHOWN = (
    ("cross_cbam_m.camvid", "camvid", "a photograph of CamVid"),
    ("cross_cbam_m.streets", "streets", "a rendered scene"),
)


def main(path: Path) -> None:
    """Find the two frames, draw them, say which they are."""
    pictures, heads = [], []
    for weight, data, kind in SHOWN:
        frames, segmenter = open_data(data, "test"), load_segmenter(weight)
        _, scores = measure(segmenter, frames, data)
        chosen = int(np.argsort(scores)[len(scores) // 2])
        image = frames[chosen][0]
        named = f"{data} test, frame {chosen} ({frames.names[chosen]})"
        print(f"{named}: mIoU {100 * scores[chosen]:.1f} %, the median of {len(scores)}")
        pictures += [image, plots.overlay(image, segmenter.predict(image), frames.table)]
        heads += [kind, f"what {weight} sees"]
    figure = plots.picture_grid([pictures], [heads])
    figure.legend(
        handles=plots.class_patches(range(len(frames.table)), frames.table),
        loc="outside lower center",
        ncols=11,
        fontsize=9,
        frameon=False,
    )
    figure.savefig(path, dpi=110, pil_kwargs={"quality": 88})
    with Image.open(path) as picture:
        print(f"{path}: {picture.width}x{picture.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
