"""Lesson 01: a small street to paint by hand, what the exercises are compared with, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageDraw

from edgeseg.data.labels import CAMVID32, RGB, VOID, ClassTable
from edgeseg.data.streets.canvas import Camera, Canvas
from edgeseg.data.streets.light import sample_light
from edgeseg.plots import BLUE, ORANGE
from edgeseg.training.losses import class_weights

Point = tuple[float, float, float]

CAMVID_SHARES = (17.538, 24.215, 1.023, 32.960, 4.671, 10.124, 1.221, 1.173, 6.107, 0.666, 0.304)
"""Percent of CamVid's training pixels by class, void left out: 367 frames of the SegNet copy, definition A."""

CAMVID_WEIGHTS = (0.2793, 0.2017, 4.7865, 0.1490, 1.0, 0.4217, 3.8467, 1.9736, 0.7889, 6.3747, 8.8587)
"""Median-frequency weights from the same frames."""

SKY: RGB = (196, 212, 232)
"""What the hand-painted street shows where nothing is painted."""


# A street to paint ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quad:
    """A flat thing with four corners.

    Args:
        name: one of CamVid's 32 raw classes.
        color: what the camera sees.
        corners: (x, y, z) in metres: right of the road's middle, up from the ground, ahead.
    """

    name: str
    color: RGB
    corners: tuple[Point, Point, Point, Point]


def ground(name: str, color: RGB, x: tuple[float, float], z: tuple[float, float]) -> Quad:
    """A rectangle on the ground."""
    return Quad(name, color, ((x[0], 0.0, z[0]), (x[1], 0.0, z[0]), (x[1], 0.0, z[1]), (x[0], 0.0, z[1])))


def board(name: str, color: RGB, x: tuple[float, float], y: tuple[float, float], z: float) -> Quad:
    """An upright rectangle that faces the camera."""
    return Quad(name, color, ((x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)))


def wall(name: str, color: RGB, x: float, y: tuple[float, float], z: tuple[float, float]) -> Quad:
    """An upright rectangle along the street."""
    return Quad(name, color, ((x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])))


def street() -> list[Quad]:
    """A street of some forty quads in no order, with classes that definitions A and B treat differently."""
    quads = [
        ground("Road", (104, 104, 108), (-4.1, 4.1), (2.0, 95.0)),
        ground("Sidewalk", (150, 146, 140), (-7.4, -4.1), (2.0, 94.6)),
        ground("Sidewalk", (150, 146, 140), (4.1, 7.4), (2.0, 94.8)),
        board("VegetationMisc", (96, 120, 84), (-30.0, 30.0), (0.0, 5.5), 96.0),
        wall("Building", (150, 96, 78), -7.1, (0.0, 9.3), (6.0, 34.0)),
        wall("Building", (196, 178, 142), -7.2, (0.0, 7.4), (36.0, 88.0)),
        wall("Wall", (126, 88, 74), 7.1, (0.0, 1.6), (3.0, 17.0)),
        wall("Building", (182, 172, 160), 7.3, (0.0, 8.2), (17.5, 60.0)),
        wall("Building", (134, 112, 104), 7.2, (0.0, 11.0), (61.0, 90.0)),
        board("Archway", (120, 116, 112), (-7.2, 7.2), (5.4, 7.8), 70.0),
        board("SUVPickupTruck", (52, 74, 110), (0.9, 2.9), (0.0, 1.9), 11.3),
        board("Truck_Bus", (186, 60, 48), (-3.4, -0.9), (0.0, 3.1), 31.0),
        board("Car", (212, 212, 208), (1.0, 2.7), (0.0, 1.45), 24.0),
        board("Column_Pole", (76, 78, 80), (4.5, 4.65), (0.0, 5.2), 13.0),
        board("TrafficLight", (36, 38, 40), (4.35, 4.8), (3.6, 4.9), 12.9),
        board("Column_Pole", (90, 92, 94), (-4.75, -4.6), (0.0, 6.0), 19.0),
        board("SignSymbol", (184, 42, 46), (-5.2, -4.2), (3.2, 4.1), 18.9),
        board("Pedestrian", (70, 54, 88), (-5.9, -5.35), (0.0, 1.75), 8.7),
        board("Child", (196, 128, 64), (-5.3, -4.9), (0.0, 1.15), 8.6),
        board("MotorcycleScooter", (44, 46, 60), (-2.5, -1.8), (0.0, 1.5), 14.2),
        board("TrafficCone", (226, 104, 40), (3.4, 3.8), (0.0, 0.7), 7.4),
        board("Tree", (92, 74, 58), (5.6, 5.9), (0.0, 2.6), 21.5),
        board("Tree", (74, 104, 60), (4.3, 7.1), (2.4, 5.9), 21.4),
    ]
    quads += [ground("LaneMkgsDriv", (226, 226, 222), (-0.1, 0.1), (3.1 + 6 * k, 5.7 + 6 * k)) for k in range(15)]
    return [quads[i] for i in np.random.default_rng(4).permutation(len(quads))]


# What the exercises are compared with ---------------------------------------------------------------------------------


def project(points: Sequence[Point] | np.ndarray, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """Where the renderer's own camera sees world points: (N, 3) metres → (N, 2) pixels (right, down)."""
    canvas = Canvas(camera, sample_light(Random(0), {"fog": "none", "night": False}), size)
    return np.array([canvas.point(*(float(v) for v in point)) for point in points]) / canvas.factor


def paint(quads: Sequence[Quad], camera: Camera, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Quads, far ends first, into a picture and into a label of raw colours: both (H, W, 3) uint8."""
    image, label = Image.new("RGB", size[::-1], SKY), Image.new("RGB", size[::-1], CAMVID32["Sky"][0])
    for quad in sorted(quads, key=lambda q: max(z for _, _, z in q.corners), reverse=True):
        points = [(x, y) for x, y in project(quad.corners, camera, size).tolist()]
        ImageDraw.Draw(image).polygon(points, fill=quad.color)
        ImageDraw.Draw(label).polygon(points, fill=CAMVID32[quad.name][0])
    return np.asarray(image), np.asarray(label)


def encode(rgb: np.ndarray, codes: Mapping[RGB, int]) -> np.ndarray:
    """Label colours to class ids by the package's `ClassTable`; a colour without a code is void."""
    names = tuple(f"class {i}" for i in range(max(c for c in codes.values() if c != VOID) + 1))
    table = ClassTable("codes", names, ((0, 0, 0),) * len(names), rgb=codes, rgb_other=VOID)
    return table.encode(rgb)


def to_train_ids(raw: np.ndarray, train_ids: Mapping[int, int]) -> np.ndarray:
    """Raw label ids to train ids by a table of all 256 values; what has none is void."""
    lookup = np.full(256, VOID, np.uint8)
    for label_id, train_id in train_ids.items():
        lookup[label_id] = train_id
    return lookup[raw]


def resize_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest pixel for each new pixel's centre: (H, W) → size."""
    rows, columns = ((2 * np.arange(n) + 1) * old // (2 * n) for n, old in zip(size, label.shape, strict=True))
    return label[rows[:, None], columns]


def shares_and_weights(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of all pixels that are not void, and median-frequency weights by `class_weights`; labels (N, H, W)."""
    counts = np.stack([np.bincount(label.ravel(), minlength=256)[:classes] for label in labels])
    weights = class_weights(counts, "median")
    assert weights is not None
    return counts.sum(0) / counts.sum(), weights.double().numpy()


# Pictures -------------------------------------------------------------------------------------------------------------


def grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], side: Sequence[str] = ()) -> Figure:
    """Pictures of one size in rows, titles above the columns, names left of the rows."""
    height, width = rows[0][0].shape[:2]
    cell = 9.4 / max(3, len(titles))
    figure = Figure((cell * len(titles), len(rows) * cell * height / width + 0.35), layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            axes[i, j].imshow(picture, interpolation="nearest")
            axes[i, j].set(xticks=[], yticks=[])
            axes[i, j].spines[:].set_visible(False)
            if i == 0:
                axes[i, j].set_title(titles[j], fontsize=10)
        if side:
            axes[i, 0].set_ylabel(side[i], fontsize=9)
    return figure


def groups(table: ClassTable) -> Figure:
    """The 32 raw colours, each row a class of definition A; B keeps the first of a row, which has a thick frame."""
    rows = [[n for n, (_, group, _) in CAMVID32.items() if group == name] for name in table.names]
    rows = [sorted(row, key=lambda n: not CAMVID32[n][2]) for row in rows] + [["Void"]]
    figure = Figure((9.6, 4.6), layout="constrained")
    axis = figure.subplots()
    for i, (name, row) in enumerate(zip([*table.names, "void"], rows, strict=True)):
        axis.text(-0.1, i + 0.5, name, ha="right", va="center", fontsize=9, weight="bold")
        for j, raw in enumerate(row):
            color, _, head = CAMVID32[raw]
            axis.add_patch(Rectangle((j, i + 0.12), 0.2, 0.76, fc=_unit(color), ec="black", lw=2.5 if head else 0.5))
            axis.text(j + 0.24, i + 0.5, raw, va="center", fontsize=8)
    axis.set(xlim=(-1.1, 5.1), ylim=(12, 0))
    axis.axis("off")
    return figure


def palettes(table: ClassTable) -> Figure:
    """The classes' colours as most people see them, and as with no working green cones (deuteranopia)."""
    figure = Figure((9.6, 1.7), layout="constrained")
    axis = figure.subplots()
    for row, colors in enumerate((np.array(table.colors), deuteranopia(np.array(table.colors)))):
        for i, color in enumerate(colors):
            axis.add_patch(Rectangle((i, row), 0.95, 0.9, fc=_unit(color)))
    axis.set(xlim=(0, len(table)), ylim=(2, -0.05), yticks=(0.45, 1.45), yticklabels=("most people", "deuteranopia"))
    axis.set_xticks(np.arange(len(table)) + 0.48, table.names, fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def deuteranopia(colors: np.ndarray) -> np.ndarray:
    """Colours (…, 3) 0…255 as seen without green cones; the matrix is of Machado and others, 2009."""
    linear = np.where(colors / 255 <= 0.04045, colors / 255 / 12.92, ((colors / 255 + 0.055) / 1.055) ** 2.4)
    matrix = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
    seen = np.clip(linear @ np.array(matrix).T, 0, 1)
    return np.round(255 * np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)).astype(np.uint8)


def share_bars(names: Sequence[str], shares: Mapping[str, Sequence[float]]) -> Figure:
    """Shares of the classes in percent on a logarithmic axis, one colour a data set."""
    figure = Figure((9.6, 3.0), layout="constrained")
    axis = figure.subplots()
    width = 0.8 / len(shares)
    for k, ((name, values), color) in enumerate(zip(shares.items(), (BLUE, ORANGE), strict=False)):
        axis.bar(np.arange(len(names)) + (k - 0.5) * width, values, width, label=name, color=color)
    axis.set_xticks(range(len(names)), names, fontsize=8)
    axis.set(yscale="log", ylabel="percent of pixels", ylim=(0.1, 50))
    axis.set_yticks((0.1, 1, 10), ("0.1", "1", "10"))
    axis.legend(frameon=False, fontsize=9)
    return figure


def _unit(color: Sequence[int] | np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (float(v) / 255 for v in color)
    return red, green, blue
