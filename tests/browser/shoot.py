"""Pictures of a notebook as a person sees it: run it in JupyterLab, then take every screenful.

    python tests/browser/shoot.py course/05_ccbam.ipynb --out shots
    python tests/browser/shoot.py course/05_ccbam.ipynb --out shots --dark --unfold --full

The notebook runs in a copy in a temporary folder, in fast mode unless ``--full`` is given. Exit code 1: a cell failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lab import Notebook, chromium, jupyterlab, lay_out  # beside this file


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures")
    parser.add_argument("--dark", action="store_true", help="JupyterLab's dark theme")
    parser.add_argument("--unfold", action="store_true", help="open every answer, help and solution")
    parser.add_argument("--full", action="store_true", help="without fast mode")
    parser.add_argument("--width", type=int, default=1100, help="of the window (%(default)s)")
    parser.add_argument("--seconds", type=float, default=900, help="limit of the run (%(default)s)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        name = lay_out(options.notebook, Path(folder))
        env = {"EDGESEG_PROGRESS": f"{folder}/progress", "EDGESEG_FAST": str(int(not options.full))}
        with jupyterlab(Path(folder), env, options.dark) as lab, chromium() as browser:
            page = browser.new_page(viewport={"width": options.width, "height": 1000})
            notebook = Notebook(page, lab, name)
            notebook.hide_sidebar()
            notebook.run_all(options.seconds)
            if options.unfold:
                notebook.unfold()
            for k, screen in enumerate(notebook.screens()):
                screen.screenshot(path=str(options.out / f"screen_{k:02d}.png"))
            return _tell(notebook, options.out)


def _tell(notebook: Notebook, out: Path) -> int:
    """Print what a test would refuse."""
    faults = [f"{cell.prompt} {cell.first}: {fault}" for cell in notebook.code_cells() for fault in cell.faults]
    print(*faults, *notebook.complaints, sep="\n")
    print(f"{len(list(out.glob('screen_*.png')))} pictures in {out}")
    print(*(f"pale text, contrast {text}" for text in notebook.pale_texts()), sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
