"""Write CamVid small: ``python data_scripts/prepare_camvid.py SRC [--to DIR] [--size HxW] [--definition A|B]``."""

import sys

from edgeseg.cli.data import app

if __name__ == "__main__":
    app(["prepare", "camvid", *sys.argv[1:]])
