"""Write street scenes: ``python data_scripts/make_streets.py OUT [--count 100] [--size HxW] [--split test] …``."""

import typer

from edgeseg.cli.streets import streets

if __name__ == "__main__":
    typer.run(streets)
