"""Download CamVid: ``python data_scripts/get_camvid.py [--source fastai|segnet|owners] [--to DIR]``."""

import sys

from edgeseg.cli.data import app

if __name__ == "__main__":
    app(["get", "camvid", *sys.argv[1:]])
