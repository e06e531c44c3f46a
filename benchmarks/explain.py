"""The pictures and numbers of docs/explain.md, from the shipped weights and rendered scenes.

python benchmarks/explain.py docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from edgeseg import explain
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter

STREETS, CAMVID = "cross_cbam_m.streets", "cross_cbam_m.camvid"
FRAME = 3  # of the test scenes
COUNT = 60  # scenes that errors are counted on


def main(folder: Path) -> None:
    """Draw everything and print the numbers."""
    scenes, networks = Streets("test", COUNT), {name: load_segmenter(name) for name in (STREETS, CAMVID)}
    own, image = networks[STREETS], scenes[FRAME][0]
    maps = [explain.grad_cam(own, image, name, "decoder.fuse8") for name in ("Car", "Pole")]
    keep(explain.heat_figure(maps), folder / "explain_heat.jpg", 75)
    keep(explain.gates_figure(explain.gates(own, image), image), folder / "explain_gates.jpg", 90)

    modules = {"1/8 of the backbone": "backbone.stage3", "SE-ASPP": "context", "after the last CCBAM": "decoder.fuse8"}
    pictures = [scenes[i][0] for i in range(8)]
    fields = {name: explain.effective_receptive_field(own, m, (480, 480), pictures) for name, m in modules.items()}
    for name, field in fields.items():
        print(f"receptive field, {name}: half within {field.side(0.5):.0f} px, 95 % within {field.side():.0f} px")
    keep(explain.field_figure(fields), folder / "explain_field.jpg", 80)

    errors = {name: explain.error_by_distance(network.predict, scenes) for name, network in networks.items()}
    for name, found in errors.items():
        near, rate = 100 * found.wrong[:3].sum() / found.wrong.sum(), 100 * found.rate
        print(
            f"{name}: {near:.0f} % of the errors within 3 px; wrong at 1 px {rate[0]:.0f} %, at 10 px {rate[9]:.1f} %"
        )
    keep(explain.distance_figure(errors), folder / "explain_distance.png", 80)

    keep(explain.failure_gallery(own, scenes, n=3), folder / "explain_failures.jpg", 80)
    segments = {name: network.predict for name, network in networks.items()}
    keep(explain.compare([scenes[FRAME]], segments, scenes.table, errors=True), folder / "explain_compare.jpg", 85)


def keep(figure: Figure, path: Path, dpi: int) -> None:
    """Write a picture, and say how large it is."""
    figure.savefig(path, dpi=dpi, **({"pil_kwargs": {"quality": 85}} if path.suffix == ".jpg" else {}))
    with Image.open(path) as picture:
        print(f"{path}: {picture.width}x{picture.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
