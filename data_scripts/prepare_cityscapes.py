"""Write Cityscapes small: ``python data_scripts/prepare_cityscapes.py SRC [--to DIR] [--size HxW] [--classes 20]``.

For this machine only: the licence forbids passing the data on, changed or not.
"""

import sys

from edgeseg.cli.data import app

if __name__ == "__main__":
    app(["prepare", "cityscapes", *sys.argv[1:]])
