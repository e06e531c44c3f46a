"""Lesson 12: resizes of perfect maps, what the exercises are compared with, the paper's tables and their bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor, nn
from torch.nn import functional

from edgeseg.course.answers import Readings
from edgeseg.course.lessons.lesson_08 import find_log
from edgeseg.data.pairs import Dataset
from edgeseg.files import parse_json
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models import improved_hrnet
from edgeseg.models.attention import ATTENTIONS
from edgeseg.models.counts import count_by_rules, count_operations
from edgeseg.models.improved_hrnet import CCSF, ConcatMaps, LayerScale, SlowBatchNorm
from edgeseg.models.layers import resize
from edgeseg.models.papers import THOP_RULES
from edgeseg.plots import BLUE, GREEN, GREY, ORANGE, PURPLE
from edgeseg.void import VOID

# Resizes --------------------------------------------------------------------------------------------------------------


def grown_back(truth: np.ndarray, how: str, cell: int = 4, classes: int = 11) -> np.ndarray:
    """A label averaged over cells and resized to its size again: what a perfect map at 1/4 can give.

    Args:
        truth: (H, W) ids, void 255; the sides are multiples of ``cell``.
        how: mode of the resize.
        cell: side of a cell in pixels.
        classes: how many.

    Returns:
        (H, W) uint8 ids; void where the truth is void.
    """
    ids = torch.from_numpy(np.where(truth == VOID, classes, truth)).long()
    shares = functional.one_hot(ids, classes + 1)[..., :classes].permute(2, 0, 1)[None].float()
    logits = resize(functional.avg_pool2d(shares, cell), truth.shape, how)
    return np.where(truth == VOID, VOID, logits.argmax(1)[0].numpy()).astype(np.uint8)


def iou_grown_back(data: Dataset, how: str) -> dict[str, float]:
    """IoU in percent of each class, and their mean, of `grown_back` over a data set."""
    matrix = ConfusionMatrix(len(data.table))
    for i in range(len(data)):
        truth = data[i][1]
        grown = grown_back(truth, how)
        matrix.update(np.where(grown == VOID, 0, grown).astype(np.uint8), truth)
    scores = matrix.compute()
    return {"mIoU": 100 * scores.miou} | {
        n: 100 * v for n, v in zip(data.table.names, scores.per_class_iou, strict=True)
    }


# What the exercises are compared with ---------------------------------------------------------------------------------


class FUSM(improved_hrnet.FUSM):
    """The package's, its maps as four arguments: finest first → (N, Σ channels, h1, w1)."""

    def forward(self, *maps: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(maps)


class Concat(ConcatMaps):
    """The package's bilinear concatenation, its maps as arguments."""

    def forward(self, *maps: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(maps)


class HRDecoder(nn.Module):
    """Attention on four maps, FUSM, CCSF, attention: four maps → (N, Σ channels, h1, w1)."""

    def __init__(
        self, channels: Sequence[int], ccsf: bool = False, attention: str = "aam", attention_at: str = "all"
    ) -> None:
        super().__init__()
        width = sum(channels)
        self.attention = nn.ModuleList(ATTENTIONS[attention if attention_at == "all" else "none"](c) for c in channels)
        self.fusm = FUSM(channels)
        self.ccsf = CCSF(width, width) if ccsf else nn.Identity()
        self.last = ATTENTIONS[attention](width)

    def forward(self, *maps: Tensor) -> Tensor:
        attended = [attend(x) for attend, x in zip(self.attention, maps, strict=True)]
        return self.last(self.ccsf(self.fusm(*attended)))


class CheapCCSF(nn.Module):
    """Two thin layers in a row: (N, C, h, w) → (N, C, h, w) for a quarter of a 1×1 convolution's work."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(CCSF(channels, channels // 8), CCSF(channels // 8, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _tried(mine: Callable[[int], nn.Module], channels: int = 32) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    block = mine(channels)
    x = torch.randn(2, channels, 8, 12)
    with torch.no_grad():
        block.train()(x)  # statistics to normalise by
    return block.eval(), x


def keeps_the_shape(mine: Callable[[int], nn.Module]) -> None:
    """(N, C, h, w) comes out as it went in, and not below 0."""
    block, x = _tried(mine)
    with torch.no_grad():
        y = block(x)
    assert y.shape == x.shape, f"The shape changes: {tuple(x.shape)} goes in, {tuple(y.shape)} comes out."
    assert float(y.min()) >= 0, "Something negative comes out: ReLU at the end."


def costs_a_quarter(mine: Callable[[int], nn.Module]) -> None:
    """Multiply-adds of all convolutions at most a quarter of a 1×1 convolution's from C to C."""
    with torch.device("meta"):
        block = mine(720).eval()
    work = count_operations(block, (1, 720, 128, 256))["convolution"] / (720**2 * 128 * 256)
    assert work > 0, "Nothing is multiplied: no convolution was seen."
    assert work <= 0.25, (
        f"Too much work: {work:.0%} of the 1×1 convolution's multiply-adds at 720 channels, not a quarter."
    )


def mixes_all_channels(mine: Callable[[int], nn.Module]) -> None:
    """Every channel that goes in can change every channel that comes out, at the same place."""
    channels = 64
    block, _ = _tried(mine, channels)
    reached = torch.zeros(channels, channels, dtype=torch.bool)  # in, out
    for _ in range(60):  # what a ReLU shuts for one map is open for another
        maps = 3 * torch.randn(1, channels, 6, 8).repeat(channels + 1, 1, 1, 1)
        maps[range(channels), range(channels), 2, 3] += 5  # map i differs from the last in channel i at one place
        with torch.no_grad():
            y = block(maps)[:, :, 2, 3]
        reached |= y[:-1] != y[-1:]
    missing = (~reached).nonzero()
    if len(missing):
        first = f"channel {int(missing[0, 0])} does not reach channel {int(missing[0, 1])}"
        raise AssertionError(f"{len(missing):,} of 4,096 pairs of channels do not meet, e.g. {first}.")


CHEAP = (keeps_the_shape, costs_a_quarter, mixes_all_channels)

TABLE_V = Readings(
    right="d",
    because={
        "a": "Count all four rows and compare three decimals: one GFLOPs figure is not what comes out.",
        "b": "Then its parameters would differ as well; they agree, and so does this network in Table III.",
        "c": "The difference is 0.063, which is 63 units of the last digit: no rounding.",
    },
)


# The paper's tables ---------------------------------------------------------------------------------------------------

_NAMES = ("bfem", "fusm", "ccsf", "eca", "aam")
Printed = tuple[str, str]  # million parameters, GFLOPs

TABLE_3: Mapping[str, Printed] = {  # ticks as printed
    "·     ·     ·     ·     ·": ("65.860", "376.184"),
    "✓     ·     ·     ·     ·": ("84.342", "402.918"),
    "·     ·     ·     ✓     ·": ("65.860", "376.232"),
    "·     ·     ·     ·     ✓": ("66.128", "376.291"),
    "·     ✓     ·     ·     ·": ("66.646", "384.996"),
    "·     ✓     ✓     ·     ·": ("67.166", "419.158"),
    "·     ✓     ✓     ✓     ·": ("67.166", "419.205"),
    "✓     ·     ✓     ✓     ·": ("85.647", "445.939"),
    "·     ✓     ·     ·     ✓": ("66.914", "385.102"),
    "·     ✓     ✓     ·     ✓": ("67.434", "419.265"),
}


TABLE_5: Mapping[str, Printed] = {  # VOC: 21 classes, 512×512
    "HRNet": ("65.861", "188.116"),
    "HRNet_S": ("85.648", "222.993"),
    "HRNet_M": ("67.435", "209.674"),
    "HRNet_L": ("66.915", "192.529"),
}


def switches(ticks: str) -> dict[str, Any]:
    """A row's ticks as arguments of `ImprovedHRNet`; what has no tick is left out."""
    on = [name for name, tick in zip(_NAMES, ticks.split(), strict=True) if tick == "✓"]
    found: dict[str, Any] = {name: True for name in on if name not in ("eca", "aam")}
    if "eca" in on:
        return found | {"attention": "eca", "attention_at": "concat"}
    return found | ({"attention": "aam"} if "aam" in on else {})


def counted(net: nn.Module, size: tuple[int, int]) -> tuple[float, float]:
    """Million parameters and GFLOPs of a network as the paper's tool counts them, see `edgeseg.models.papers`."""
    unseen = [m for m in net.modules() if isinstance(m, (SlowBatchNorm, LayerScale))]
    params = sum(p.numel() for p in net.parameters()) - sum(p.numel() for m in unseen for p in m.parameters())
    return params / 1e6, 2 * count_by_rules(net, size, THOP_RULES) / 1e9


def line(name: str, printed: Printed, found: tuple[float, float]) -> str:
    """A row of a table: as printed, as counted, and whether they agree to the digit."""
    own = tuple(f"{value:.3f}" for value in found)
    verdict = "to the digit" if own == printed else "DIFFERS"
    return f"{name}   {printed[0]:>7} {own[0]:>7}   {printed[1]:>8} {own[1]:>8}   {verdict}"


def one_ccsf(places: int, channels: int = 720) -> float:
    """GFLOPs of a CCSF that keeps the width, by the paper's count."""
    return 2 * places * (channels**2 + 4 * channels) / 1e9


def costs(count: Callable[..., tuple[float, float]], given: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Million parameters and GFLOPs of a network's parts: what each switch adds to the ones before.

    Args:
        count: switches → (million parameters, GFLOPs) of the whole.
        given: the network's switches.
    """
    steps = {"HRNet": (), "BFEM": ("bfem",), "FUSM": ("fusm",), "CCSF on 720": ("ccsf",)}
    parts: dict[str, tuple[float, float]] = {}
    on: dict[str, Any] = {}
    before = (0.0, 0.0)
    for name, keys in (*steps.items(), ("attention", ("attention", "attention_at"))):
        if keys and not any(key in given for key in keys):
            continue
        on |= {key: given[key] for key in keys if key in given}
        after = count(**on)
        parts[name] = (after[0] - before[0], after[1] - before[1])
        before = after
    return parts


_COLORS = {"HRNet": GREY, "BFEM": BLUE, "FUSM": GREEN, "CCSF on 720": ORANGE, "attention": PURPLE}


def cost_bars(networks: Mapping[str, Mapping[str, tuple[float, float]]]) -> Figure:
    """What networks have beside the plain HRNet: parameters and GFLOPs of their parts, stacked.

    Args:
        networks: name → parts of `costs`.
    """
    figure = Figure((9.4, 2.9), layout="constrained", dpi=90)
    axes = figure.subplots(1, 2, sharey=True)
    for k, (axis, unit) in enumerate(zip(axes, ("million parameters", "GFLOPs at 512×1024"), strict=True)):
        for row, parts in enumerate(networks.values()):
            left = 0.0
            for part, cost in list(parts.items())[1:]:
                axis.barh(row, cost[k], left=left, color=_COLORS[part], ec="white", height=0.6)
                left += cost[k]
            axis.text(left, row, f" +{left:.1f}", va="center", fontsize=9)
        plain = next(iter(networks.values()))["HRNet"][k]
        axis.set_xlabel(f"{unit} beside HRNet's {plain:.1f}", fontsize=9)
        axis.margins(x=0.15)
    axes[0].set_yticks(range(len(networks)), list(networks), fontsize=10)
    axes[0].invert_yaxis()
    names = [part for part in _COLORS if any(part in parts for parts in networks.values())][1:]
    handles = [Patch(color=_COLORS[part], label=part) for part in names]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    return figure


# Runs -----------------------------------------------------------------------------------------------------------------


def last_line(network: str) -> str:
    """Steps, seed and mIoU of a stored run on streets, from its log."""
    rows = [parse_json(text) for text in find_log(f"{network}_streets_seed0.jsonl").read_text("utf-8").splitlines()]
    recipe, last = rows[0]["recipe"], rows[-1]
    return f"seed {recipe['seed']}, {recipe['minutes']:g} minutes, {last['step']} steps: mIoU {last['miou']:.2f}"
