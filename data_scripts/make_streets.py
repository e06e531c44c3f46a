"""Write procedural street scenes as files: image and label PNG pairs, metadata as JSON lines, and a class file.

    python data_scripts/make_streets.py --out streets --split train --n 100 --height 360 --width 480
    python data_scripts/make_streets.py --out streets_fog --split test --n 50 --fog dense --night

The folder can then be read like any folder of image and label pairs. The work is in `edgeseg.data.streets`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeseg.data.streets import FACTORS, SPLITS, Streets, write_streets


def main() -> None:
    """Parse the command line and write the scenes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write; images/, labels/ … are made in it")
    parser.add_argument("--split", default="train", choices=list(SPLITS))
    parser.add_argument("--n", type=int, default=20, help="number of scenes")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fog", default="mixed", choices=FACTORS["fog"])
    parser.add_argument("--night", action="store_true")
    parser.add_argument("--traffic", default="left", choices=FACTORS["traffic"])
    a = parser.parse_args()
    factors = {"fog": a.fog, "night": a.night, "traffic": a.traffic}
    scenes = Streets(a.split, n=a.n, size=(a.height, a.width), seed=a.seed, cache=False, **factors)
    folder = write_streets(scenes, a.out)
    print(f"{len(scenes)} scenes in {folder}")


if __name__ == "__main__":
    main()
