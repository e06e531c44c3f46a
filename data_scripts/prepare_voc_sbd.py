"""Write SBD's .mat labels as PNG beside VOC2012: ``python data_scripts/prepare_voc_sbd.py [VOC2012] [--sbd DIR]``."""

import sys

from edgeseg.cli.data import app

if __name__ == "__main__":
    app(["prepare", "voc", *sys.argv[1:]])
