"""Street scenes in numbers: speed, class shares beside CamVid's training split, presence, and what is trivial.

    python benchmarks/streets.py [--scenes 200]

Images per CPU-second of one process at 360×480; shares of all pixels in percent; mIoU of tables that know one
pixel, counted on 300 and scored on 120 other scenes of 192×256. Less than a minute.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from edgeseg.data.labels import CAMVID
from edgeseg.data.streets import GENERATOR_VERSION, Streets
from edgeseg.metrics import score
from edgeseg.training.trivial import fit_lookup_tables

CAMVID_TRAIN = (17.54, 24.21, 1.02, 32.96, 4.67, 10.12, 1.22, 1.17, 6.11, 0.67, 0.30)
"""Percent of the pixels of CamVid's 367 training labels (480×360), in the order of the classes; void 3.95."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200, help="for speed, shares and presence")
    count = parser.parse_args().scenes
    scenes, counts, present = (
        Streets("train", count, (360, 480), cache=False),
        np.zeros(256, np.int64),
        np.zeros(256, int),
    )
    started = time.process_time()
    for i in range(count):
        pixels = np.bincount(scenes[i][1].ravel(), minlength=256)
        counts += pixels
        present += pixels > 0
    speed = count / (time.process_time() - started)
    print(f"generator version {GENERATOR_VERSION}, {count} scenes of 360×480: {speed:.1f} images per CPU-second")
    print(f"{'class':<12}{'share %':>9}{'CamVid':>8}{'ratio':>7}{'in % of images':>16}")
    for i, name in enumerate(CAMVID.names):
        share, theirs = 100 * counts[i] / counts.sum(), CAMVID_TRAIN[i]
        print(f"{name:<12}{share:9.2f}{theirs:8.2f}{share / theirs:7.2f}{100 * present[i] / count:16.0f}")
    print(f"{'void':<12}{100 * counts[255] / counts.sum():9.2f}{3.95:8.2f}")
    for name, miou in trivial_mious().items():
        print(f"mIoU of a table that knows one pixel's {name}: {miou:.1f} %")


def trivial_mious() -> dict[str, float]:
    """mIoU in percent of what needs no looking, counted on training scenes and scored on test scenes."""
    size = (192, 256)
    tables = fit_lookup_tables(*Streets("train", 300, size).arrays(progress=False), len(CAMVID))
    test = Streets("test", 120, size)
    names = ("colour", "colour and place")
    return {
        name: 100 * score(table.predict, test, progress=False).miou for name, table in zip(names, tables, strict=True)
    }


if __name__ == "__main__":
    main()
