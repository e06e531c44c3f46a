"""Pictures: class maps in colour, overlays, image/truth/prediction/error panels, training curves; and all colours.

Every function returns a PIL image, an array or a matplotlib figure; nothing is shown, and no global matplotlib state is
touched, so that they work alike in a script, a server and a notebook.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.data.local import indexed_picture
from edgeseg.files import parse_json, read_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

# the colours of Okabe and Ito, which stay apart for colour-blind readers
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GREY, DARK_GREY = "#999999", "#777777"

HEAT = "inferno"
"""Colour map of all heat maps: dark is nothing, light is most, in grey print too."""

# error maps, in RGB
RIGHT, WRONG, NOT_SCORED = (226, 232, 240), ImageColor.getrgb(VERMILION), (255, 255, 255)

# live pictures, in RGB
DISPLAY_BACKGROUND, DISPLAY_TEXT, DISPLAY_LINE = (24, 26, 30), (235, 235, 235), (110, 114, 120)


def colorize(label: np.ndarray, table: ClassTable) -> np.ndarray:
    """(H, W) class ids → (H, W, 3) uint8 in the classes' colours, void black."""
    return table.palette[label]


def overlay(image: np.ndarray, label: np.ndarray, table: ClassTable, alpha: float = 0.55) -> np.ndarray:
    """(H, W, 3) uint8 image under the colours of (H, W) class ids; void shows the image. Returns (H, W, 3) uint8."""
    mixed = (1 - alpha) * image + alpha * colorize(label, table)
    return np.where((label == VOID)[..., None], image, mixed).astype(np.uint8)


def error_map(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where a prediction is wrong: (H, W, 3) uint8, wrong orange, right light grey, void white."""
    out = np.where((prediction != target)[..., None], np.array(WRONG, np.uint8), np.array(RIGHT, np.uint8))
    out[target == VOID] = NOT_SCORED
    return out


def panel(
    rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    table: ClassTable,
    title: str = "",
    names: Sequence[str] = (),
) -> Figure:
    """Image, truth, prediction and error of several samples, with a legend of the classes.

    Args:
        rows: (image, truth, prediction) each; (H, W, 3) uint8 and twice (H, W) class ids.
        table: names and colours.
        title: above everything.
        names: one per row, on the left.
    """
    cells = [(i, colorize(t, table), colorize(p, table), error_map(p, t)) for i, t, p in rows]
    handles = class_patches(range(len(table)), table, void=True, wrong=True)
    below = 0.3 + 0.22 * math.ceil(len(handles) / 7) + (0.3 if title else 0.0)
    figure = picture_grid(cells, [("image", "truth", "prediction", "errors")], names, below=below)
    figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def comparison(
    rows: Sequence[tuple[np.ndarray, np.ndarray | None, Sequence[np.ndarray]]],
    heads: Sequence[Sequence[str]],
    table: ClassTable,
    names: Sequence[str] = (),
    errors: bool = False,
) -> Figure:
    """The same frames under several networks: photograph, truth where there is one, one class map per network.

    Args:
        rows: (image, truth or ``None``, class maps) each; (H, W, 3) uint8 and (H, W) class ids. Truth of all or none.
        heads: of every row, one text per network.
        table: names and colours.
        names: one per row, on the left.
        errors: below every class map show where it is wrong; asks for truth.
    """
    cells: list[list[np.ndarray | None]] = []
    titles: list[list[str]] = []
    sides: list[str] = []
    for i, ((image, truth, masks), row_heads) in enumerate(zip(rows, heads, strict=True)):
        known = [] if truth is None else [truth]
        cells.append([image, *(colorize(mask, table) for mask in (*known, *masks))])
        titles.append(["photograph", *(["truth"] * len(known)), *row_heads])
        sides.append(names[i] if names else "")
        if errors and truth is not None:
            cells.append([None, None, *(error_map(mask, truth) for mask in masks)])
            titles.append([""] * len(titles[-1]))
            sides.append("")
    seen = {
        int(c) for _, truth, masks in rows for m in (*masks, *([] if truth is None else [truth])) for c in np.unique(m)
    }
    handles = class_patches(sorted(seen - {VOID}), table, void=VOID in seen, wrong=errors)
    figure = picture_grid(cells, titles, sides, least=0.2 * len(handles), beside=1.3)
    figure.legend(handles=handles, loc="outside right center", fontsize=8, frameon=False)
    return figure


def picture_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    heads: Sequence[Sequence[str]],
    names: Sequence[str] = (),
    least: float = 0.0,
    beside: float = 0.0,
    below: float = 0.0,
) -> Figure:
    """Pictures in rows and columns, each under its head.

    Args:
        rows: (H, W, 3) uint8 each, those of a row of one size; ``None``: an empty place.
        heads: one text per picture; a single row of heads stands above the first row alone.
        names: one per row, on the left.
        least: height of the figure in inches that it has at least, for a legend.
        beside, below: width or height in inches to leave for it.
    """
    from matplotlib.figure import Figure

    cell, columns = 2.9, max(map(len, rows))
    shapes = [next(picture.shape for picture in row if picture is not None) for row in rows]
    lines = [max((head.count("\n") + 1 for head in row if head), default=0) for row in heads]
    heights = [cell * height / width for height, width, _ in shapes]
    size = (columns * cell + beside + 0.25 * bool(names), max(least, sum(heights) + 0.2 * sum(lines) + below))
    figure = Figure(size, layout="compressed")  # as "constrained", and no gaps between pictures of a fixed shape
    axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for i, row in enumerate(rows):
        for j, axis in enumerate(axes[i]):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            picture = row[j] if j < len(row) else None
            if picture is not None:
                axis.imshow(picture, interpolation="nearest")
            if i < len(heads) and j < len(heads[i]):
                axis.set_title(heads[i][j], fontsize=10 if len(heads) == 1 else 9)
        if names:
            axes[i, 0].set_ylabel(names[i], fontsize=10)
    return figure


def heat_over(image: np.ndarray, heat: np.ndarray, alpha: float = 0.7) -> np.ndarray:
    """A heat map over the grey picture: dark is nothing, light its own maximum.

    Args:
        image: (H, W, 3) uint8.
        heat: (h, w) values of 0 and up, of any size; resized bilinearly.
        alpha: share of the heat map's colours.

    Returns:
        (H, W, 3) uint8.
    """
    from matplotlib import colormaps

    scaled = heat / max(float(heat.max()), 1e-30)
    large = Image.fromarray(scaled.astype(np.float32)).resize(image.shape[1::-1], Image.Resampling.BILINEAR)
    colors = 255 * colormaps[HEAT](np.asarray(large))[..., :3]
    return ((1 - alpha) * image.mean(2, keepdims=True) + alpha * colors).astype(np.uint8)


def marked(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 image in grey, the pixels of an (H, W) bool region in orange. Returns (H, W, 3) uint8."""
    grey = image.mean(2, keepdims=True)
    return (grey + region[..., None] * 0.75 * (np.array(ImageColor.getrgb(ORANGE)) - grey)).astype(np.uint8)


def strip(pictures: Sequence[np.ndarray], names: Sequence[str] = (), width: int = 150) -> Image.Image:
    """Pictures side by side, each brought to a width, in a row that goes below others of its kind.

    Args:
        pictures: (H, W, 3) uint8 each, all of one size.
        names: one above each; none: the pictures alone.
        width: of one, in pixels.
    """
    from matplotlib import get_data_path

    height, above = round(width * pictures[0].shape[0] / pictures[0].shape[1]), 16 if names else 0
    row = Image.new("RGB", (width * len(pictures), above + height), "white")
    for i, picture in enumerate(pictures):
        row.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), (width * i, above))
    # the font that comes with matplotlib: the same everywhere
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf")), 11)
    for i, name in enumerate(names):
        ImageDraw.Draw(row).text((width * i + width // 2, above // 2), name, "black", font, anchor="mm")
    return row


def class_patches(classes: Iterable[int], table: ClassTable, void: bool = False, wrong: bool = False) -> list[Patch]:
    """Entries of a legend: a colour and a name for each class id, and for void and errors if asked."""
    from matplotlib.patches import Patch

    patches = [Patch(color=_hex(table.colors[i]), label=table.names[i]) for i in classes]
    patches += [Patch(color="black", label="void")] if void else []
    return patches + ([Patch(color=_hex(WRONG), label="wrong")] if wrong else [])


def with_legend(figure: Figure, table: ClassTable, void: bool = False, wrong: bool = False) -> Figure:
    """The same figure, a little higher, with a legend of all classes below; for figures of 9 inches and more.

    Args:
        figure: in the constrained layout; changed.
        table: names and colours.
        void, wrong: whether void and errors are in the picture, too.
    """
    handles = class_patches(range(len(table)), table, void, wrong)
    rows = math.ceil(len(handles) / 11)
    figure.set_figheight(figure.get_figheight() + 0.25 * rows)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=math.ceil(len(handles) / rows),
        fontsize=8,
        frameon=False,
        handlelength=0.9,
        columnspacing=0.8,
        handletextpad=0.4,
    )
    return figure


def contact_sheet(pairs: Sequence[tuple[np.ndarray, np.ndarray]], table: ClassTable, columns: int = 4) -> Image.Image:
    """Samples of a data set side by side: a row of images above a row of their class maps, and so on.

    Args:
        pairs: (H, W, 3) uint8 image and (H, W) class ids each, all of one size.
        table: the colours.
        columns: samples in a row.
    """
    rows = []
    for start in range(0, len(pairs), columns):
        chosen = pairs[start : start + columns]
        blank = [np.full_like(pairs[0][0], 255)] * (columns - len(chosen))
        rows.append(np.hstack([image for image, _ in chosen] + blank))
        rows.append(np.hstack([colorize(label, table) for _, label in chosen] + blank))
    return Image.fromarray(np.vstack(rows))


def curves(log: str | Path) -> Figure:
    """Loss and learning rate of a run over its epochs, and mIoU where it was scored, from its ``log.jsonl``.

    Dotted lines part the stages of a run that has some.
    """
    from matplotlib.figure import Figure

    steps, scores = read_log(log)
    stages = [r["epoch"] for r in _log_rows(log) if "stage" in r][1:]
    figure = Figure((10 if scores else 5.4, 3.2), layout="constrained")
    axes = figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
    _loss_curve(axes[0], steps)
    if scores:
        _score_curve(axes[1], scores)
    for axis in axes:
        axis.grid(alpha=0.25)
        for epoch in stages:
            axis.axvline(epoch, color=DARK_GREY, lw=0.8, ls=":")
    return figure


def _loss_curve(axis: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    axis.plot([r["epoch"] for r in steps], [r["loss"] for r in steps], color=BLUE, lw=1)
    axis.set(xlabel="epoch", ylabel="training loss")
    if any(r["loss"] > 0 for r in steps):
        axis.set_yscale("log")
    lr_axis = axis.twinx()
    lr_axis.plot([r["epoch"] for r in steps], [r["lr"] for r in steps], color=GREY, lw=1, ls="--")
    lr_axis.set_ylabel("learning rate (dashed)", color=DARK_GREY)


def _score_curve(axis: Axes, scores: Sequence[Mapping[str, Any]]) -> None:
    epochs = [r["epoch"] for r in scores]
    axis.plot(epochs, [r["miou"] for r in scores], "o-", color=VERMILION, label="mIoU")
    axis.plot(epochs, [r["pixel_accuracy"] for r in scores], "s--", color=GREEN, ms=4, label="pixel accuracy")
    last = (epochs[-1], scores[-1]["miou"])
    axis.annotate(f"{last[1]:.1f}", last, (-4, 6), textcoords="offset points", ha="right")
    axis.legend(frameon=False, fontsize=8)
    axis.set(xlabel="epoch", ylabel="percent", ylim=(0, 100))


def read_log(log: str | Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Training lines and score lines of a run's ``log.jsonl``; a null in it is NaN."""
    rows = _log_rows(log)
    return [r for r in rows if "loss" in r], [r for r in rows if "miou" in r]


def _log_rows(log: str | Path) -> list[dict[str, Any]]:
    lines = [parse_json(line) for line in read_text(Path(log)).splitlines()]
    return [{key: math.nan if value is None else value for key, value in line.items()} for line in lines]


def save(figure: Figure, path: str | Path, dpi: int = 110) -> Path:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=dpi)
    return Path(path)


def save_mask(label: np.ndarray, table: ClassTable, path: str | Path) -> Path:
    """Write (H, W) class ids as a palette PNG: its values are the ids, its look the classes' colours."""
    indexed_picture(label, table.palette).save(path, format="PNG")
    return Path(path)


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
