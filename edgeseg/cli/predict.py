"""``edgeseg predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    images: Annotated[list[Path], typer.Argument(help="pictures to segment")],
    model: Annotated[str, typer.Option(help="a weight's name or file")] = "cross_cbam_m.streets",
    out: Annotated[Path | None, typer.Option(help="folder for the results; default: beside each picture")] = None,
    flip: Annotated[bool, typer.Option("--flip", help="average with the mirrored image")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Segment pictures: NAME.mask.png holds the class ids, NAME.overlay.png shows them."""
    import numpy as np
    from PIL import Image

    from edgeseg import plots
    from edgeseg.data.pairs import read_image
    from edgeseg.inference import load_segmenter

    segmenter = load_segmenter(model, device)
    table = segmenter.table
    assert table is not None  # loaded weights always say their classes
    for path in images:
        pixels = read_image(path)
        mask = segmenter.predict(pixels, flip)
        folder = out or path.parent
        folder.mkdir(parents=True, exist_ok=True)
        mask_path = plots.save_mask(mask, table, folder / f"{path.stem}.mask.png")
        Image.fromarray(plots.overlay(pixels, mask, table)).save(folder / f"{path.stem}.overlay.png")
        share = np.bincount(mask.ravel(), minlength=256)[: len(table)] / mask.size
        seen = ", ".join(f"{table.names[i]} {share[i]:.0%}" for i in np.argsort(-share) if share[i] >= 0.005)
        print(f"{path} → {mask_path} and {path.stem}.overlay.png: {seen}")
