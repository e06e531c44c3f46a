"""Lesson 11: kernels, receptive fields and bills of BFEM, its stored runs, and the readings that exercises offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor, nn

from edgeseg.course.answers import Readings
from edgeseg.course.lessons.lesson_08 import find_log
from edgeseg.explain import ReceptiveField, effective_receptive_field
from edgeseg.files import read_rows
from edgeseg.inference import Segmenter
from edgeseg.models.improved_hrnet import BFEM, MSCA, ImprovedHRNet, LayerScale
from edgeseg.models.papers import count_as_improved_hrnet_paper
from edgeseg.plots import ORANGE
from edgeseg.training.ablate import paired
from edgeseg.training.tables import LEAST, seed_scores

STRIPS = Readings(
    right="c",
    because={
        "a": "Look at the parameters in the two lines: they are equal, so they cannot speak for one of the two.",
        "b": "Look at the multiply-adds in the two lines: they are equal; the same layers run on equal maps.",
        "d": "Look at the cells: 25 a side are not 21. Two functions that read different cells are not the same.",
    },
)
FORGOTTEN = Readings(
    right="b",
    because={
        "a": "Very near, and not it: 84.341 M would be printed, and 84.342 is. One 3×3 has too few biases.",
        "c": "The parameters fit, the FLOPs do not: at a quarter of the places it costs a quarter of 2.72 G.",
        "d": "One more C inside costs 2.772 M parameters, and 1.660 are missing; no whole number of them fits.",
    },
)


# What the exercises are compared with ---------------------------------------------------------------------------------


def msca_parameters(channels: int, lengths: tuple[int, ...] = (7, 11, 21)) -> int:
    """Parameters of an MSCA with strips of these lengths, counted on built layers."""
    whole = MSCA(channels)
    strips = [nn.Conv2d(channels, channels, (1, k), groups=channels) for k in lengths for _ in range(2)]
    return sum(p.numel() for part in (whole.local, whole.mix, *strips) for p in part.parameters())


# Counting -------------------------------------------------------------------------------------------------------------


def _halved(c: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c, c // 2, 3, stride=2, padding=1), nn.Conv2d(c // 2, c, 3, padding=1), nn.Upsample(scale_factor=2)
    )


FRONTS: Mapping[str, Callable[[int], nn.Module]] = {
    "a": lambda c: nn.Conv2d(c, c, 3, padding=1),
    "b": lambda c: nn.Sequential(nn.Conv2d(c, c // 2, 3, padding=1), nn.Conv2d(c // 2, c, 3, padding=1)),
    "c": _halved,
}
"""Readings "a" to "c" of exercise 11.5 as layers before the MSCAN blocks."""


def cost(part: nn.Module, places: int) -> str:
    """Parameters and multiply-adds of the convolutions of a part whose maps all have this many places."""
    macs = places * sum(m.weight.numel() for m in part.modules() if isinstance(m, nn.Conv2d))
    return f"{sum(p.numel() for p in part.parameters()):,} parameters, {macs / 1e6:.1f} M multiply-adds"


def _seen_by_the_tool(part: nn.Module, places: int) -> tuple[int, int]:
    """Parameters and "FLOPs" as the paper's tool counts them, see `edgeseg.models.papers`."""
    params = operations = 0
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d) or type(layer) is nn.BatchNorm2d:
            params += sum(p.numel() for p in layer.parameters())
            operations += layer.weight.numel() * (1 if isinstance(layer, nn.Conv2d) else 4)
    return params, 2 * places * operations


def bill(parts: Mapping[str, tuple[nn.Module, int]], printed: tuple[float, float]) -> None:
    """Print parameters and "FLOPs" of parts, and what is missing of the printed ones.

    Args:
        parts: name → (part, places of its maps).
        printed: million parameters and GFLOPs of the whole.
    """
    sums = np.zeros(2)
    print(f"{'':18}{'params':>12}{'GFLOPs':>9}")
    for name, (part, places) in parts.items():
        params, flops = _seen_by_the_tool(part, places)
        sums += (params, flops)
        print(f"{name:18}{params:>12,}{flops / 1e9:>9.3f}")
    print(f"{'together':18}{int(sums[0]):>12,}{sums[1] / 1e9:>9.3f}")
    print(f"{'Table III':18}{printed[0]:>10.3f} M{printed[1]:>9.3f}")
    print(f"{'missing':18}{printed[0] - sums[0] / 1e6:>10.3f} M{printed[1] - sums[1] / 1e9:>9.3f}")


@cache
def _hrnet() -> ImprovedHRNet:
    """The paper's plain HRNet, without values."""
    with torch.device("meta"):
        return ImprovedHRNet(20)


def in_hrnet(block: nn.Module) -> str:
    """What Table III would print for HRNet with this BFEM: million parameters, GFLOPs at 512×1024."""
    net = _hrnet()
    net.bfem = block.to("meta")  # type: ignore[assignment]
    gflops, params = count_as_improved_hrnet_paper(net)
    net.bfem = None
    return f"{params:.3f} M, {gflops:.3f} G"


def printed(front: Callable[[int], nn.Module], mscan: Callable[[int], nn.Module]) -> str:
    """The same with other layers before both rows of blocks, and with a learner's blocks.

    Args:
        front: channels → layer that keeps the shape.
        mscan: channels → block.
    """
    with torch.device("meta"):
        block = BFEM((192, 384))
        rows: tuple[tuple[nn.Sequential, int, int], ...] = ((block.rows3, 192, 5), (block.rows4, 384, 5))
        for row, channels, count in rows:
            row[0], row[1] = front(channels), nn.Sequential(*(mscan(channels) for _ in range(count)))
        block.bridge[1] = nn.Sequential(*(mscan(384) for _ in range(3)))
    return in_hrnet(block)


# Looking --------------------------------------------------------------------------------------------------------------


def blocks(mscan: Callable[[int], nn.Module], channels: int, count: int, strength: float = 0.01) -> nn.Module:
    """Two 3×3 convolutions and a number of blocks with one layer scale throughout: (N, C, h, w) → the same."""
    torch.manual_seed(0)
    front = [nn.Conv2d(channels, channels, 3, padding=1), nn.GELU(), nn.Conv2d(channels, channels, 3, padding=1)]
    net = nn.Sequential(*front, *(mscan(channels) for _ in range(count)))
    for module in net.modules():
        if isinstance(module, LayerScale):
            nn.init.constant_(module.scale, strength)
    return net


def seen(block: nn.Module, cells: int, n: int) -> ReceptiveField:
    """The effective receptive field of a block's centre cell, on noise.

    Args:
        block: (N, C, h, w) → (N, C, h, w).
        cells: side of the map.
        n: maps of noise.
    """
    first = next(m for m in block.modules() if isinstance(m, nn.Conv2d))
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, first.in_channels, 1), block)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randn(2, 3, 64, 64))  # statistics to normalise by
    return effective_receptive_field(Segmenter(net.eval(), (0.5,) * 3, (0.25,) * 3), "", (cells, cells), n=n)


def reach(field: ReceptiveField) -> int:
    """Cells in a row of the map that have any gradient at all."""
    return int((field.mass > 0).any(0).sum())


def strengths(x: Tensor) -> str:
    """Standard deviations of the first and the last channel of (N, C, h, w)."""
    return " and ".join(f"{float(x[:, c].std()):.1f}" for c in (0, -1))


# Pictures -------------------------------------------------------------------------------------------------------------


def windows(image: np.ndarray, at: tuple[int, int], sides: Sequence[int]) -> Figure:
    """Windows of several sizes around one pixel, moved inside at the border; an orange square marks the pixel.

    Args:
        image: (H, W, 3) uint8.
        at: row and column of the pixel.
        sides: of the windows, in pixels.
    """
    figure = Figure((9.4, 2.6), layout="constrained", dpi=90)
    for axis, side in zip(figure.subplots(1, len(sides)), sides, strict=True):
        top, left = (min(max(0, m - side // 2), whole - side) for m, whole in zip(at, image.shape, strict=False))
        axis.imshow(image[top : top + side, left : left + side])
        mark = max(2.0, side / 30)
        corner = (at[1] - left - mark / 2, at[0] - top - mark / 2)
        axis.add_patch(Rectangle(corner, mark, mark, fill=False, ec=ORANGE, lw=2))
        axis.set_title(f"{side}×{side} pixels", fontsize=9)
        axis.axis("off")
    return figure


def kernels(column: Tensor, row: Tensor) -> Figure:
    """The square kernel of a strip pair, a diagonal, and the pair that is nearest to the diagonal.

    Args:
        column, row: (k,) each.
    """
    k = len(row)
    wanted = torch.eye(k) + 0.5 * (torch.eye(k).roll(1, 0) + torch.eye(k).roll(-1, 0)).tril(2).triu(-2)
    left, strength, right = torch.linalg.svd(wanted)
    nearest = strength[0] * torch.outer(left[:, 0], right[0])
    share = float(1 - (wanted - nearest).norm() ** 2 / wanted.norm() ** 2)
    drawn = {
        f"column × row: {2 * k} weights": torch.outer(column, row),
        f"a diagonal: {k * k} weights": wanted,
        f"the nearest pair: {share:.0%} of it": nearest,
    }
    figure = Figure((8.4, 2.9), layout="constrained", dpi=90)
    for axis, (name, kernel) in zip(figure.subplots(1, 3), drawn.items(), strict=True):
        limit = float(kernel.abs().max())
        axis.imshow(kernel, cmap="PuOr", vmin=-limit, vmax=limit)
        axis.set_title(name, fontsize=9)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)
    return figure


# Stored runs ----------------------------------------------------------------------------------------------------------

_TIMES = {3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}  # standard errors to each side of a 95 % interval
_ASKED = {
    "mIoU at 192×256": ("miou", (192, 256)),
    "mIoU at 384×512": ("miou", (384, 512)),
    "large objects whole": ("large_whole", (384, 512)),
    "small objects found": ("small_found", (384, 512)),
    "IoU of thin classes": ("thin_iou", (384, 512)),
    "boundary F1": ("boundary_f1", (384, 512)),
}


def verdict(mean: float, error: float | None, n: int) -> str:
    """What n paired differences say: better, worse or within noise by the 95 % interval; nothing below three."""
    if error is None or n < LEAST:
        return "no verdict: fewer than three paired seeds"
    reach_ = _TIMES.get(n, 2.3) * error
    found = "within noise" if abs(mean) <= reach_ else "better" if mean > 0 else "worse"
    return f"{found} (95 %: {mean - reach_:+.2f} to {mean + reach_:+.2f})"


def compare(variant: str, against: str, measures: Sequence[str] = tuple(_ASKED)) -> None:
    """Print a variant's paired differences to another in the stored runs on streets, with their number.

    Args:
        variant, against: names of rows of `edgeseg.training.tables`.
        measures: names of measures; those without a size are at 384×512.
    """
    rows = read_rows(find_log("tables_streets.jsonl"))
    print(f"{variant} − {against}, points:")
    for name in measures:
        measure, size = _ASKED[name]
        own, other = (seed_scores(rows, v, measure, size) for v in (variant, against))
        mean, error, each = paired(own, other)
        if not each:
            print(f"  {name:20} not run yet")
            continue
        spread = "" if error is None else f" ± {error:.2f}"
        print(f"  {name:20} {mean:+6.2f}{spread}   n = {len(each)}   {verdict(mean, error, len(each))}")


def heat(networks: Sequence[str], classes: Sequence[str]) -> Figure | str:
    """Stored heat maps of some classes on scene 0 of val, a network a row; says so where the pictures are not at hand.

    Args:
        networks: rows of Table III, as the files are called.
        classes: names.
    """
    folder = _pictures()
    if folder is None:
        return (
            "The stored pictures lie in docs/images/heat_streets of the repository, which is not above this notebook."
        )
    strips = [np.asarray(Image.open(folder / f"{name}.jpg")) for name in ("frame", *networks)]
    order = ["photograph", "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car"]
    columns = [[*order, "Pedestrian", "Bicyclist"].index(name) for name in ("photograph", *classes)]
    width = strips[0].shape[1] // 12
    figure = Figure((9.4, 0.35 + 1.42 * len(strips)), layout="constrained", dpi=90)
    axes = figure.subplots(len(strips), len(columns), squeeze=False)
    for row, (name, strip) in enumerate(zip(("truth", *networks), strips, strict=True)):
        for axis, column, label in zip(axes[row], columns, ("frame", *classes), strict=True):
            axis.imshow(strip[-112:, column * width : (column + 1) * width])
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_title(label, fontsize=9)
        axes[row, 0].set_ylabel(name, fontsize=9)
    return figure


def _pictures() -> Path | None:
    here = Path.cwd()
    folders = (folder / "docs" / "images" / "heat_streets" for folder in (here, *here.parents))
    return next((folder for folder in folders if folder.is_dir()), None)
