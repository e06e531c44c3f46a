"""Lesson 17: eight bits by hand, a whole network in them, what a calibration set does, and files for other runtimes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import rich
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from edgeseg.course.lessons.lesson_16_properties import known_as
from edgeseg.data.streets import Streets
from edgeseg.deploy import Artefact, DeployError, compile
from edgeseg.inference import Segmenter
from edgeseg.plots import BLUE, GREEN, GREY, ORANGE, VERMILION

Codes = Callable[[Tensor], tuple[Tensor, Tensor]]
Range = Callable[[float, float], tuple[float, int]]
Quantise = Callable[[Tensor, float, int], Tensor]
Row = Mapping[str, Any]


# What the exercises are compared with ---------------------------------------------------------------------------------


def scale_and_zero(low: float, high: float) -> tuple[float, int]:
    """Step and zero point of 256 codes over low…high, widened to hold 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    return scale, round(-low / scale)


def quantise(x: Tensor, scale: float, zero: int) -> Tensor:
    """Values → codes 0…255, uint8; what lies outside gets the nearest code."""
    return ((x / scale).round() + zero).clamp(0, 255).to(torch.uint8)


def weight_codes(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (out, …) → codes −127…127, int8 of the same shape, and the step of each output channel (out,)."""
    scales = weight.flatten(1).abs().amax(1) / 127
    shape = (-1, *[1] * (weight.dim() - 1))
    return (weight / scales.view(shape)).round().to(torch.int8), scales


def conv_int8(
    codes: Tensor, scale: float, zero: int, w_codes: Tensor, w_scales: Tensor, stride: int = 1, padding: int = 0
) -> Tensor:
    """A convolution that multiplies integers: codes (N, C, H, W) and w_codes (out, C, k, k) → (N, out, h, w) values."""
    centred = codes.double() - zero  # so that the border's zeros mean 0
    sums = F.conv2d(centred, w_codes.double(), stride=stride, padding=padding)
    return sums * (scale * w_scales.double()).view(1, -1, 1, 1)


def alike(expected: np.ndarray, got: np.ndarray, least: float = 0.001) -> dict[int, float]:
    """IoU of two class maps, class by class, of those classes that cover at least that share of ``expected``."""
    found = {}
    for k in np.unique(expected):
        a, b = expected == k, got == k
        if a.mean() >= least:
            found[int(k)] = float((a & b).sum() / (a | b).sum())
    return found


def ship(rows: Sequence[Row], frame: float) -> str | None:
    """The name of the row with the highest mIoU that is fast enough and loses no class; else ``None``."""
    fit = [row for row in rows if row["ms"] <= frame and row["worst"] >= 0.5]
    return max(fit, key=lambda row: row["miou"])["name"] if fit else None


# Properties of `scale_and_zero` ---------------------------------------------------------------------------------------


def gives_plain_numbers(mine: Range) -> None:
    """A step, which may have a fraction, and a code, which has none; no tensors."""
    found = mine(-2.1, 1.9)
    kind = type(found).__name__
    assert isinstance(found, (tuple, list)), f"The answer is a pair, (step, code of 0); yours is a {kind}."
    assert len(found) == 2, f"The answer is a pair, (step, code of 0); yours has the length {len(found)}."
    scale, zero = found
    for value, what in ((scale, "step"), (zero, "code of 0")):
        assert not isinstance(value, (Tensor, np.ndarray)), (
            f"The {what} is a {type(value).__name__}, and a plain number is asked for: .item() gives it."
        )
        assert isinstance(value, Real), f"The {what} is a number; yours is a {type(value).__name__}."
    assert isinstance(zero, Integral), (
        f"The code of 0 is a whole number, an int; yours is {zero}, a {type(zero).__name__}: round it."
    )


def reaches_both_ends(mine: Range) -> None:
    """Code 0 for the low end, code 255 for the high one: 255 steps lie between."""
    for low, high in ((-1.5, 3.0), (-2.1, 1.9)):
        _is_step(mine, low, high, f"From code 0 to code 255 the codes go from {low} to {high}")


def widens_to_zero(mine: Range) -> None:
    """A range without 0 is widened until it holds it."""
    for low, high in ((0.4, 6.0), (-3.0, -1.0)):
        a, b = min(low, 0), max(high, 0)
        _is_step(mine, low, high, f"{low}…{high} does not hold 0 and becomes {a}…{b}")


def _is_step(mine: Range, low: float, high: float, what: str) -> None:
    found, (wanted, _) = 255 * mine(low, high)[0], scale_and_zero(low, high)
    assert np.isclose(found, 255 * wanted, rtol=1e-6), (
        f"Tried with ({low}, {high}). {what}, over a width of {255 * wanted:.4g}; 255 of your steps are {found:.4g}."
    )


def gives_zero_a_code(mine: Range) -> None:
    """As many steps above the low end as 0 is, rounded."""
    for low, high in ((-1.5, 3.0), (-2.1, 1.9), (0.4, 6.0), (-3.0, -1.0)):
        found, (scale, zero) = mine(low, high)[1], scale_and_zero(low, high)
        low_end = min(low, 0.0)
        assert found == zero, (
            f"Tried with ({low}, {high}). The value 0 lies {-low_end / scale:.3f} steps above {low_end:g}, which has "
            f"code 0; rounded, its code is {zero}, and yours is {found}."
        )


# Properties of `alike` ------------------------------------------------------------------------------------------------

Alike = Callable[..., Mapping[int, float]]
_BEFORE = np.array([[1, 1, 1, 5], [1, 1, 5, 5], [9, 1, 1, 1]])
_AFTER = np.array([[1, 1, 1, 1], [1, 5, 5, 5], [1, 1, 4, 1]])


def tells_every_class(mine: Alike) -> None:
    """The classes of `expected`, lost ones too; the others of `got` are none of them."""
    _has_classes(mine, _BEFORE, _AFTER, "Class 9 has 1 of 12 pixels and is lost in got; class 4 is in got alone")
    _has_classes(mine, _BEFORE % 2, _AFTER % 2, "One class, 1, on every pixel of expected")


def leaves_out_small_classes(mine: Alike) -> None:
    """`least` is a share of the pixels of `expected`; just as much is enough."""
    few = "Of 12 pixels of expected class 1 has 8, class 5 has 3 (0.25) and class 9 has 1 (0.083)"
    for least in (0.1, 0.25, 0.26, 0.7):
        _has_classes(mine, _BEFORE, _AFTER, f"{few}; least={least}", least=least)
    large = "Of 360 pixels of expected class 1 has 240, class 5 has 90 (0.25) and class 9 has 30; got has 90 of class 5"
    for least in (0.2, 0.3):
        _has_classes(mine, _BEFORE.repeat(30, 0), _AFTER.repeat(30, 0), f"{large}; least={least}", least)


def _has_classes(mine: Alike, expected: np.ndarray, got: np.ndarray, what: str, *args: float, **least: float) -> None:
    found, wanted = mine(expected.copy(), got.copy(), *args, **least), alike(expected, got, *args, **least)
    assert isinstance(found, Mapping), f"A dictionary is asked for; yours is a {type(found).__name__}."
    assert set(found) == set(wanted), f"{what}. The keys should be {sorted(wanted)}, and are {list(found)}."


def gives_the_iou(mine: Alike) -> None:
    """Pixels in both areas over pixels in one of them, or both."""
    for expected, got in (
        (_BEFORE, _AFTER),
        (10 - _BEFORE, 10 - _AFTER),
        (_BEFORE.repeat(30, 0), _AFTER.repeat(30, 0)),
    ):
        found, wanted = mine(expected.copy(), got.copy()), alike(expected, got)
        for k in sorted(wanted, key=lambda k: -int((expected == k).sum())):
            a, b = (int((m == k).sum()) for m in (expected, got))
            both = int(((expected == k) & (got == k)).sum())
            others = {
                "that is recall, of the pixels of expected": both / a,
                "that is precision, of the pixels of got": both / max(b, 1),
                "that is Dice, twice the pixels in both over the sum": 2 * both / (a + b),
                "that counts the pixels in both twice below": both / (a + b),
                "that counts pixels, and a share is asked for": float(both),
                "that is the share of the whole picture": both / expected.size,
                "that is per cent": 100 * wanted[k],
                "that is 1 - IoU": 1 - wanted[k],
            }
            value = float(found[k])
            assert np.isclose(value, wanted[k], rtol=1e-6), (
                f"Class {k} has {a} pixels in expected, {b} in got and {both} in both: the IoU is {wanted[k]:.4g}, and "
                f"yours is {value:.4g}{known_as(value, others)}."
            )


# Properties of `ship` -------------------------------------------------------------------------------------------------


def _row(name: str, ms: float, miou: float, worst: float) -> Row:
    return {"name": name, "ms": ms, "miou": miou, "worst": worst}


_SLOW, _FAST = _row("slow", 60.0, 66.0, 1.0), _row("fast", 10.0, 65.0, 0.9)
_LOST, _MIDDLE = _row("lost", 8.0, 65.9, 0.0), _row("middle", 33.0, 65.5, 0.85)

Ship = Callable[[Sequence[Row], float], Any]


def is_fast_enough(mine: Ship) -> None:
    """A frame is not too late."""
    got = mine([_SLOW, _FAST], 33.3)
    assert got == "fast", f"A frame may take 33.3 ms; slow takes 60 ms, fast takes 10. Yours ships {got!r}."


def overlooks_nobody(mine: Ship) -> None:
    """A class that is lost counts more than a mean."""
    got = mine([_LOST, _FAST], 33.3)
    assert got == "fast", (
        f"lost has the higher mIoU, and a class of which nothing is left (worst 0.0). Yours ships {got!r}."
    )


def is_the_best_of_the_rest(mine: Ship) -> None:
    """Of those that are allowed, the highest mIoU, wherever it stands."""
    for rows in ([_FAST, _MIDDLE, _SLOW, _LOST], [_LOST, _SLOW, _MIDDLE, _FAST]):
        got = mine(rows, 33.3)
        assert got == "middle", (
            "fast (65.0 % in 10 ms) and middle (65.5 % in 33 ms) are allowed: the higher mIoU is shipped. "
            f"Yours ships {got!r}."
        )


def says_none_where_none_is_allowed(mine: Ship) -> None:
    """Shipping nothing is an answer."""
    for rows, why in (([_SLOW, _LOST], "One is too slow, one loses a class"), ([], "There is nothing to choose from")):
        got = mine(rows, 33.3)
        assert got is None, f"{why}: the answer is None, and yours is {got!r}."


# A whole network in eight bits ----------------------------------------------------------------------------------------


def convolutions(segmenter: Segmenter) -> dict[str, nn.Conv2d]:
    """Every convolution of a network by its name."""
    return {name: m for name, m in segmenter.model.named_modules() if isinstance(m, nn.Conv2d)}


@torch.inference_mode()
def input_ranges(segmenter: Segmenter, images: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Smallest and largest value that enters each convolution, over some images (H, W, 3) uint8."""
    found: dict[str, tuple[float, float]] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            low, high = (float(v) for v in given[0].aminmax())
            before = found.get(name, (low, high))
            found[name] = min(low, before[0]), max(high, before[1])

        return hook

    handles = [m.register_forward_pre_hook(look(name)) for name, m in convolutions(segmenter).items()]
    for image in images:
        segmenter.predict(image)
    for handle in handles:
        handle.remove()
    return found


@contextmanager
def eight_bits(
    segmenter: Segmenter,
    ranges: Mapping[str, tuple[float, float]],
    step: Range,
    to_codes: Quantise,
    codes_of: Codes,
) -> Iterator[None]:
    """While this is open, every convolution sees only what 8 bits can hold; it computes with the codes' values.

    Args:
        segmenter: changed, and put back.
        ranges: of `input_ranges`.
        step: a `scale_and_zero`.
        to_codes: a `quantise`.
        codes_of: a `weight_codes`.
    """
    layers = {name: m for name, m in convolutions(segmenter).items() if name in ranges}
    weights = {name: m.weight.data for name, m in layers.items()}
    handles = []
    for name, layer in layers.items():
        codes, scales = codes_of(layer.weight.data)
        layer.weight.data = codes.float() * scales.view(-1, 1, 1, 1)
        scale, zero = step(*ranges[name])

        def shrink(_: nn.Module, given: tuple[Tensor, ...], s: float = scale, z: int = zero) -> tuple[Tensor, ...]:
            return ((to_codes(given[0], s, z).float() - z) * s,)

        handles.append(layer.register_forward_pre_hook(shrink))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for name, layer in layers.items():
            layer.weight.data = weights[name]


def calibration_sets(size: tuple[int, int], count: int) -> dict[str, list[np.ndarray]]:
    """Sets of pictures (H, W, 3) uint8 to take ranges from: training streets, and five that are something else."""
    height, width = size
    streets = [image for image, _ in Streets("train", n=count, size=size)]
    random = np.random.default_rng(0)
    left = width * 2 // 5
    patches = [image[: height // 6, left : left + width // 6] for image in streets[:4]]
    larger = [Image.fromarray(patch).resize((width, height), Image.Resampling.BILINEAR) for patch in patches]
    return {
        "streets": streets,
        "one street": streets[:1],
        "at night": [image for image, _ in Streets("train", n=count, size=size, night=True)],
        "dense fog": [image for image, _ in Streets("train", n=count, size=size, fog="dense")],
        "noise": [random.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(count)],
        "four patches of sky": [np.array(picture) for picture in larger],
    }


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """A convolution's weights (out, C, k, k) with the batch normalisation after it multiplied in, as runtimes do."""
    assert norm.running_var is not None
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (conv.weight * factor.view(-1, 1, 1, 1)).detach()


# Files for other runtimes ---------------------------------------------------------------------------------------------


def build(
    segmenter: Segmenter, wanted: Sequence[str], size: tuple[int, int], images: Sequence[np.ndarray]
) -> dict[str, Artefact]:
    """Compile a network for some runtimes; what is not installed is left out, with a line that says what to install.

    Args:
        segmenter: the network.
        wanted: e.g. ``"onnx int8"``.
        size: (H, W).
        images: to calibrate int8.
    """
    rich.reconfigure(force_jupyter=False)  # else NNCF's progress bars leave empty boxes in a notebook
    found = {}
    for name in wanted:
        runtime, precision = name.split()
        given = images if precision == "int8" else None
        threads = torch.get_num_threads()
        try:
            found[name] = compile(
                segmenter, runtime, precision, size, calibration=given, graphs=("labels",), threads=threads
            )
        except DeployError as reason:
            print(f"left out, the lesson goes on without it: {reason}")
    return found


def megabytes(artefact: Artefact) -> float:
    """What a device has to carry, in 1e6 bytes."""
    return float(artefact.about["graphs"]["labels"]["bytes"]) / 1e6


def save_frame(image: np.ndarray, folder: Path) -> Path:
    """A frame (H, W, 3) uint8 as a PNG file, as a camera would leave it."""
    path = folder / "frame.png"
    Image.fromarray(image).save(path)
    return path


# Pictures -------------------------------------------------------------------------------------------------------------


def staircase(step: Range, to_codes: Quantise, low: float = -1.5, high: float = 3.0, levels: int = 9) -> Figure:
    """Values and what is left of them, with few codes so that the steps can be seen, and the error with all 256.

    Args:
        step, to_codes: `scale_and_zero` and `quantise`.
        low, high: the calibrated range.
        levels: steps of the left picture.
    """
    x = torch.linspace(low - 0.8, high + 0.8, 800)
    figure = Figure((9.0, 2.7), layout="constrained", dpi=90)
    left, right = figure.subplots(1, 2)
    coarse = (high - low) / (levels - 1)
    zero = round(-low / coarse)
    left.plot(x, ((x / coarse).round() + zero).clamp(0, levels - 1).sub(zero).mul(coarse), color=BLUE, lw=1.5)
    left.set_title(f"{levels} codes, to see the steps", fontsize=9)
    scale, zero = step(low, high)
    back = (to_codes(x, scale, zero).float() - zero) * scale
    right.plot(x, back - x, color=VERMILION, lw=0.8)
    right.set_title(f"256 codes: the error, step {scale:.4f}", fontsize=9)
    for axis in (left, right):
        axis.axvspan(low, high, color=GREEN, alpha=0.12, lw=0)
        axis.set_xlabel("value (green: the calibrated range)", fontsize=9)
    left.plot(x, x, color=GREY, lw=0.8, ls="--")
    left.set_ylabel("what is left", fontsize=9)
    right.set_ylim(-0.15, 0.15)
    return figure


def maps(pictures: Mapping[str, Tensor], width: float = 6.6) -> Figure:
    """Maps (h, w) side by side on one scale of grey."""
    low = min(float(p.min()) for p in pictures.values())
    high = max(float(p.max()) for p in pictures.values())
    shape = next(iter(pictures.values())).shape
    figure = Figure((width, width / len(pictures) * shape[0] / shape[1] + 0.35), layout="constrained", dpi=90)
    for axis, (name, picture) in zip(figure.subplots(1, len(pictures)), pictures.items(), strict=True):
        axis.imshow(picture.detach().numpy(), cmap="gray", vmin=low, vmax=high)
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    return figure


def channel_steps(weight: Tensor) -> Figure:
    """Largest weight of each output channel, sorted, and the one step that a whole tensor would get."""
    largest = weight.flatten(1).abs().amax(1).sort(descending=True).values.numpy()
    figure = Figure((8.0, 2.5), layout="constrained", dpi=90)
    axis = figure.subplots()
    axis.bar(range(len(largest)), largest, width=1.0, color=BLUE, label="largest weight of a channel")
    axis.axhline(largest[0] / 127, color=VERMILION, lw=1.3, label="one step of the whole tensor")
    axis.set_yscale("log")
    axis.set_xlabel("output channels, sorted", fontsize=9)
    axis.set_xlim(-0.5, len(largest) - 0.5)
    axis.set_ylim(largest[0] / 250, 12 * largest[0])
    axis.legend(fontsize=8.5, frameon=False, loc="upper right")
    return figure


def mean_and_classes(
    found: Mapping[str, Mapping[int, float]], same: Mapping[str, float], names: Sequence[str]
) -> Figure:
    """For each calibration set the share of equal pixels as a bar, and every class's IoU with float as a dot.

    Args:
        found: of `alike`, by set.
        same: share of equal pixels, by set.
        names: of the classes.
    """
    figure = Figure((8.8, 0.42 * len(found) + 0.9), layout="constrained", dpi=90)
    axis = figure.subplots()
    for y, (name, classes) in enumerate(found.items()):
        axis.barh(y, 100 * same[name], 0.6, color=GREY, alpha=0.35)
        axis.plot([100 * v for v in classes.values()], [y] * len(classes), "o", color=BLUE, ms=5, alpha=0.7)
        worst = min(classes, key=lambda k: classes[k])
        axis.plot(100 * classes[worst], y, "o", color=VERMILION, ms=6)
        away, side = (-1.2, "right") if classes[worst] > 0.2 else (-0.5, "left")
        axis.text(100 * classes[worst] + away, y - 0.02 - 0.4 * (side == "left"), names[worst], ha=side, fontsize=8,
                  va="center")  # fmt: skip
    axis.axvline(50, color=VERMILION, lw=0.8, ls=":")
    axis.set_yticks(range(len(found)), list(found), fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 101)
    axis.set_xlabel("% as in float: grey, of all pixels; dots, of each class (orange: the worst)", fontsize=9)
    return figure


def size_and_time(rows: Sequence[Row], frame: float) -> Figure:
    """Milliseconds against mIoU, the area of a dot is its file; the line is the frame's time.

    Args:
        rows: with name, ms, miou, megabytes.
        frame: ms that a frame may take.
    """
    figure = Figure((8.0, 3.0), layout="constrained", dpi=90)
    axis = figure.subplots()
    colors = {"int8": ORANGE, "fp32": BLUE}
    for number, row in enumerate(rows):
        color = colors["int8" if "int8" in row["name"] else "fp32"]
        axis.scatter(row["ms"], row["miou"], s=8 * row["megabytes"], color=color, alpha=0.6, lw=0)
        away = (8, (12, -28, 36, -52, 60)[number % 5])  # the names of neighbours stand above each other
        text = f"{row['name']}\n{row['megabytes']:.0f} MB"
        axis.annotate(text, (row["ms"], row["miou"]), away, textcoords="offset points", fontsize=8)
    axis.axvline(frame, color=GREEN, lw=1.2, ls="--")
    axis.set_xlim(0, 1.35 * max(*(row["ms"] for row in rows), frame))
    scores = [row["miou"] for row in rows]
    axis.set_ylim(min(scores) - 2, max(scores) + 2)
    axis.set_xlabel("ms for one street, pixels to classes (green: 30 frames a second)", fontsize=9)
    axis.set_ylabel("mIoU %", fontsize=9)
    return figure
