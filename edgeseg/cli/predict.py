"""``edgeseg predict``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.files import check_targets

if TYPE_CHECKING:
    import numpy as np

    from edgeseg.data.labels import ClassTable

MASK, OVERLAY = ".mask.png", ".overlay.png"


def predict(
    images: Annotated[list[Path], typer.Argument(help="pictures to segment; earlier results are passed over")],
    model: Annotated[str, typer.Option(help="a weight's name or file")] = "cross_cbam_m.streets",
    out: Annotated[
        Path, typer.Option(help="folder for the results; there, those of pictures of the same name are replaced")
    ] = Path("predictions"),
    flip: Annotated[bool, typer.Option("--flip", help="average with the mirrored image")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Segment pictures: OUT/NAME.mask.png holds the class ids, OUT/NAME.overlay.png shows them.

    The mask is a palette PNG: its values are the ids, its look the classes' colours. Read the ids with
    np.asarray(Image.open("NAME.mask.png")); converted to RGB or grey they are lost. Pictures that cannot be segmented
    are listed at the end.
    """
    from PIL import Image

    from edgeseg import plots
    from edgeseg.inference import as_pixels, load_segmenter

    pictures = _pictures(images)
    check_targets(
        ((str(path), out / f"{path.stem}{MASK}") for path in pictures),
        "Rename one, or segment them in two runs, each with its own --out.",
    )
    segmenter = load_segmenter(model, device)
    table = segmenter.table
    assert table is not None  # loaded weights always say their classes
    out.mkdir(parents=True, exist_ok=True)
    failures = []
    for path in pictures:
        try:
            pixels = as_pixels(path)
            mask = segmenter.predict(pixels, flip)
        except (ValueError, RuntimeError) as error:
            failures.append(str(error) if str(error).startswith(str(path)) else f"{path}: {error}")
            continue
        Image.fromarray(plots.overlay(pixels, mask, table)).save(out / f"{path.stem}{OVERLAY}")
        written = plots.save_mask(mask, table, out / f"{path.stem}{MASK}")
        print(f"{path} → {written}, {path.stem}{OVERLAY}: {_shares(mask, table)}")
    if len(failures) < len(pictures):
        print(f'class ids of a mask: np.asarray(Image.open("{out / f"NAME{MASK}"}"))')
    if failures:
        head = f"{len(failures)} of {len(pictures)} pictures were not segmented:\n" if len(pictures) > 1 else ""
        raise ValueError(head + "\n".join(failures))


def _pictures(paths: Iterable[Path]) -> list[Path]:
    """Every picture once, without results of this command, which patterns like ``*.png`` match, too."""
    once = list({os.path.abspath(path): path for path in paths}.values())
    pictures = [path for path in once if not path.name.lower().endswith((MASK, OVERLAY))]
    own = [str(path) for path in once if path not in pictures]
    if not pictures:
        raise ValueError(
            f"{own[0]}: a result of edgeseg predict by its name (NAME{MASK}, NAME{OVERLAY}). Give pictures; rename a "
            "picture that ends like that."
        )
    if own:
        print(f"passed over {len(own)} result(s) of edgeseg predict ({own[0]} …)", file=sys.stderr)
    return pictures


def _shares(mask: np.ndarray, table: ClassTable) -> str:
    """``"road 41%, sky 30%"``: the classes of at least half a percent, the largest first."""
    import numpy as np

    share = np.bincount(mask.ravel(), minlength=256)[: len(table)] / mask.size
    return ", ".join(f"{table.names[i]} {share[i]:.0%}" for i in np.argsort(-share) if share[i] >= 0.005)
