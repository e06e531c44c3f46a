"""Lesson 10: one slot of a trained network for five attention blocks; what they let pass, cost, and reach."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from edgeseg.course.lessons.lesson_09 import _Fed, logged, verdict
from edgeseg.inference import Segmenter
from edgeseg.metrics import VOID, ConfusionMatrix, LabelledImages
from edgeseg.models.attention import AAM, ATTENTIONS
from edgeseg.models.counts import count, count_operations
from edgeseg.models.layers import init_weights, resize
from edgeseg.models.papers import AttentionCost
from edgeseg.models.registry import create_model
from edgeseg.plots import BLUE, DARK_GREY, GREY, HEAT, ORANGE

JETSON = (512, 1024)
_WIDTHS, _PLACES = (18, 36, 72, 144), ("all", "concat")
Scores = dict[str, dict[int, float]]  # block → seed → mIoU in per cent


# The slot -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Maps:
    """What arrives at the slot, for a set of scenes.

    Args:
        values: (N, C, H/8, W/8).
        labels: (N, H, W) int64, void 255.
    """

    values: Tensor
    labels: Tensor

    @property
    def size(self) -> str:
        """Of the images, ``"192x256"``."""
        return f"{self.labels.shape[1]}x{self.labels.shape[2]}"


@torch.inference_mode()
def slot_maps(segmenter: Segmenter, scenes: LabelledImages) -> Maps:
    """Run a Cross-CBAM and catch what its decoder hands to the head.

    Args:
        segmenter: with a `CrossCBAM` of width 256.
        scenes: images and labels of one size.
    """
    caught: list[Tensor] = []
    model: Any = segmenter.model
    hook = model.reduce.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    labels = []
    try:
        for i in range(len(scenes)):
            image, label = scenes[i]
            segmenter.logits(torch.from_numpy(image).permute(2, 0, 1)[None])
            labels.append(torch.from_numpy(label.astype(np.int64)))
    finally:
        hook.remove()
    return Maps(torch.cat(caught), torch.stack(labels))


def head_of(segmenter: Segmenter) -> nn.Sequential:
    """A copy of what follows the slot: (N, 256, h, w) → (N, classes, h, w)."""
    model: Any = segmenter.model
    return nn.Sequential(copy.deepcopy(model.reduce), copy.deepcopy(model.classifier))


def train_in_slot(block: nn.Module, head: nn.Module, maps: Maps, steps: int, seed: int) -> nn.Sequential:
    """Train a block and the head behind it on caught maps, all else frozen; returns both, in eval mode.

    AdamW, rate 0.003 falling to zero, batches of 8 drawn by ``seed``, cross-entropy at 1/8; batch normalisation of the
    head keeps its statistics.
    """
    net = nn.Sequential(block, head).train()
    head.eval()
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-4)
    draw = torch.Generator().manual_seed(seed)
    targets = maps.labels[:, 4::8, 4::8]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        chosen = torch.randint(0, len(targets), (8,), generator=draw)
        loss = functional.cross_entropy(net(maps.values[chosen].clone()), targets[chosen], ignore_index=VOID)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


@torch.inference_mode()
def masks(net: nn.Module, maps: Maps) -> Tensor:
    """(N, H, W) uint8 class ids of what stands behind the slot."""
    logits = (net(x[None]) for x in maps.values)
    return torch.cat([resize(y, maps.labels.shape[1:]).argmax(1).to(torch.uint8) for y in logits])


def miou(net: nn.Module, maps: Maps, classes: int = 11) -> float:
    """In per cent, over all scenes in one confusion matrix."""
    matrix = ConfusionMatrix(classes)
    for mask, label in zip(masks(net, maps), maps.labels, strict=True):
        matrix.update(mask.numpy(), label.to(torch.uint8).numpy())
    return 100 * matrix.compute().miou


def bench(
    blocks: Mapping[str, Callable[[int], nn.Module]],
    segmenter: Segmenter,
    training: Maps,
    tests: Sequence[Maps],
    steps: int,
    seeds: Sequence[int],
) -> tuple[dict[str, Scores], dict[str, nn.Sequential]]:
    """Train every block in the slot with every seed.

    Returns:
        size of the test images → block → seed → mIoU; and the nets of the last seed, by block.
    """
    found: dict[str, Scores] = {test.size: {name: {} for name in blocks} for test in tests}
    nets = {}
    runs = [(name, seed) for seed in seeds for name in blocks]
    for name, seed in tqdm(runs, desc="bench", unit="run", leave=False):
        torch.manual_seed(seed)
        block = blocks[name](training.values.shape[1])
        init_weights(block)
        nets[name] = train_in_slot(block, head_of(segmenter), training, steps, seed)
        for test in tests:
            found[test.size][name][seed] = miou(nets[name], test)
    return found, nets


def bench_picture(found: Mapping[str, Scores], against: str = "none") -> Figure:
    """Every block minus ``against``, paired by seed: dots are seeds, diamonds their means; one panel a size."""
    figure = Figure((9.2, 2.7), layout="constrained", dpi=90)
    for axis, (size, scores) in zip(figure.subplots(1, len(found), sharey=True), found.items(), strict=True):
        names = [name for name in scores if name != against]
        for place, name in enumerate(names):
            each = [value - scores[against][seed] for seed, value in scores[name].items()]
            axis.plot(each, [place] * len(each), "o", color=GREY, ms=5)
            axis.plot(sum(each) / len(each), place, "D", color=BLUE, ms=7)
        axis.axvline(0, color=DARK_GREY, lw=1)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_title(
            f"{size}: {against} has {sum(scores[against].values()) / len(scores[against]):.1f} %", fontsize=10
        )
        axis.set_xlabel(f"points of mIoU against {against}", fontsize=9)
    return figure


# What a block lets pass -----------------------------------------------------------------------------------------------


@torch.inference_mode()
def passed(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What comes out of a block, as a share of what goes in.

    Args:
        block: (1, C, h, w) → (1, C, h, w).
        x: (1, C, h, w).

    Returns:
        by place (h, w), summed over the channels; and by channel (C,), summed over the places. Of absolute values.
    """
    given, left = x.abs(), block(x.clone()).abs()
    return (left.sum(1) / given.sum(1).clamp_min(1e-6))[0], left.sum((0, 2, 3)) / given.sum((0, 2, 3)).clamp_min(1e-6)


def passed_picture(image: np.ndarray, shares: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """By place over the frame (light: most), and by channel, widest open first.

    Args:
        image: (H, W, 3) uint8.
        shares: of `passed`, by name.
    """
    figure = Figure((11, 3.9), layout="constrained", dpi=80)
    axes = figure.subplots(2, len(shares))
    extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    for (above, below), (name, (places, channels)) in zip(axes.T, shares.items(), strict=True):
        above.imshow(image.mean(2), cmap="gray")
        middle, spread = float(places.mean()), max(0.05, float(places.max() - places.min()) / 2)
        above.imshow(places.numpy(), cmap=HEAT, alpha=0.75, extent=extent, vmin=middle - spread, vmax=middle + spread)
        above.set(xticks=[], yticks=[])
        above.set_title(f"{name}\nplaces {float(places.min()):.2f} to {float(places.max()):.2f}", fontsize=9)
        values = channels.sort(descending=True).values.numpy()
        below.bar(range(len(values)), values, width=1.0, color=BLUE)
        below.axhline(1, color=ORANGE, lw=1)
        below.set(xlim=(-0.5, len(values) - 0.5), ylim=(0, max(1.1, float(values[len(values) // 20]))))
        below.tick_params(labelsize=7)
        below.set_xlabel("channels, sorted", fontsize=8)
    axes[1][0].set_ylabel("share that passes", fontsize=8)
    return figure


# What a block costs ---------------------------------------------------------------------------------------------------


def aam_multiply_adds(channels: int, height: int, width: int) -> int:
    """Of the three 1×1 convolutions of an AAM, counted on the package's."""
    with torch.device("meta"):
        block = AAM(channels).eval()
    return count_operations(block, (1, channels, height, width))["convolution"]


def terms_picture(costs: Sequence[AttentionCost]) -> Figure:
    """Eq. 6 and 7 beside the counter, term by term, in thousands of operations."""
    figure = Figure((9.2, 2.7), layout="constrained", dpi=90)
    modules = list(dict.fromkeys(c.module for c in costs))
    for axis, module, equation in zip(figure.subplots(1, 2, sharex=True), modules, ("Eq. 6", "Eq. 7"), strict=True):
        own = [c for c in costs if c.module == module]
        for shift, color, label, values in (
            (-0.2, GREY, equation, [c.formula / 1e3 for c in own]),
            (0.2, BLUE, "counted", [c.counted / 1e3 for c in own]),
        ):
            bars = axis.barh([i + shift for i in range(len(own))], values, 0.38, color=color, label=label)
            axis.bar_label(bars, [f"{v:,.0f}" for v in values], fontsize=7, padding=2)
        axis.set_yticks(range(len(own)), [c.term for c in own], fontsize=9)
        axis.set_ylim(len(own) - 0.5, -0.5)
        axis.margins(x=0.15)
        totals = [sum(values) / 1e3 for values in ([c.formula for c in own], [c.counted for c in own])]
        axis.set_title(f"{module}: {totals[0]:,.0f} by {equation}, {totals[1]:,.0f} counted", fontsize=9)
        axis.set_xlabel("thousand operations", fontsize=9)
        axis.legend(fontsize=8, loc="lower right")
    return figure


@dataclass(frozen=True)
class Cost:
    """What an attention adds to HRNet-W18 for one image of 512×1024.

    Args:
        params: parameters.
        macs: multiply-adds.
        moved: bytes read and written, no two operations fused.
    """

    params: int
    macs: int
    moved: int


@cache
def network_cost() -> Cost:
    """HRNet-W18 without attention, 11 classes."""
    found = count(create_model("hrnet_w18", 11), JETSON)
    return Cost(found.params, found.macs, found.bytes_moved)


@cache
def added_cost(attention: str, attention_at: str) -> Cost:
    """An attention at all five places or on the concatenated map alone; the block's own cost.

    Strip pooling halves the width, so what follows it becomes cheaper: that saving is left out.
    """
    places = [(sum(_WIDTHS), 4)]
    if attention_at == "all":
        places += [(width, 4 * 2**i) for i, width in enumerate(_WIDTHS)]
    total = [0, 0, 0]
    for channels, stride in places:
        found = count(_Fed(ATTENTIONS[attention](channels), channels), (JETSON[0] // stride, JETSON[1] // stride))
        own = [row for row in found.modules if row.name]
        for i, value in enumerate((found.params, found.macs, sum(row.bytes_moved for row in own))):
            total[i] += value
    return Cost(*total)


def cost_table() -> str:
    """Every attention at both sets of places, in shares of the network."""
    base = network_cost()
    lines = [f"{'':14}{'weights':>9}{'multiply-adds':>15}{'bytes moved':>13}{'':>9}"]
    for name in ("eca", "se", "aam", "cbam", "sp"):
        for at in reversed(_PLACES):
            c = added_cost(name, at)
            share = f"{c.macs / base.macs:+.3%}"
            lines.append(
                f"{name:6}{at:8}{c.params:>9,}{share:>15}{c.moved / base.moved:>+13.2%}{c.moved / 1e6:>6.0f} MB"
            )
    return "\n".join(lines)


# Choose and defend ----------------------------------------------------------------------------------------------------

BYTES, MACS = 0.06, 0.001  # of the network's


def example() -> tuple[dict[str, str], str]:
    """One answer that holds."""
    return {"attention": "aam", "attention_at": "concat"}, "AAM favours places and moves 4.3 % more bytes, CBAM 5.6 %"


def _hold(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def is_a_switch(answer: Callable[[], Any]) -> None:
    """Names of an attention and of places, and a reason."""
    given = answer()
    _hold(isinstance(given, tuple) and len(given) == 2, "Return two things: the switches, and your reason as a text.")
    switches, reason = given
    keys = isinstance(switches, dict) and set(switches) == {"attention", "attention_at"}
    _hold(keys, 'The switches are a dict: {"attention": "…", "attention_at": "…"}.')
    names = [name for name in ATTENTIONS if name != "none"]
    _hold(switches["attention"] in names, f'"attention" is one of {", ".join(names)}; none is no answer today.')
    _hold(switches["attention_at"] in _PLACES, '"attention_at" is "all" or "concat".')
    _hold(isinstance(reason, str) and len(reason.split()) >= 5, "Defend it in a sentence of at least five words.")


def favours_places(answer: Callable[[], Any]) -> None:
    """The block can weigh two places of one channel differently."""
    name = answer()[0]["attention"]
    torch.manual_seed(0)
    block, x = ATTENTIONS[name](16).eval(), torch.rand(1, 16, 24, 32) + 0.1
    init_weights(block)
    with torch.inference_mode():
        out = block(x.clone())
    share = out / x if out.shape == x.shape else out
    spread = float((share.amax((2, 3)) - share.amin((2, 3))).amax())
    _hold(
        spread > 1e-4, f"{name} gives all places of a channel one factor: it cannot favour the place of a pedestrian."
    )


def keeps_the_width(answer: Callable[[], Any]) -> None:
    """What follows stays as it is."""
    name = answer()[0]["attention"]
    _hold(
        ATTENTIONS[name](16).out_channels == 16, f"{name} changes the width: the trained weights behind it do not fit."
    )


def fits_the_budget(answer: Callable[[], Any]) -> None:
    """Multiply-adds and bytes within the budget."""
    switches = answer()[0]
    added, base = added_cost(**switches), network_cost()
    name, macs, moved = " at ".join(switches.values()), added.macs / base.macs, added.moved / base.moved
    _hold(macs <= MACS, f"{name} adds {macs:.2%} multiply-adds, {MACS:.1%} may be.")
    _hold(moved <= BYTES, f"{name} moves {moved:.2%} more bytes, {BYTES:.0%} may be.")


def is_defended(answer: Callable[[], Any]) -> None:
    """The reason holds a figure."""
    _hold(bool(re.search(r"\d", answer()[1])), "The reason names no figure. Which one of the table decided?")


# The stored log -------------------------------------------------------------------------------------------------------


def selection() -> str:
    """Attention at all five places of HRNet-W18 on streets, minus HRNet-W18, as far as it was trained."""
    names = {
        "SE": "attention_se",
        "ECA": "attention_eca",
        "CBAM": "attention_cbam",
        "SP": "attention_sp",
        "AAM": "hrnet_aam",
    }
    lines = []
    for size in ("192x256", "384x512"):
        base = logged("hrnet", size)
        lines += [f"{size}  {name:5} {verdict(logged(variant, size), base)}" for name, variant in names.items()]
    return "\n".join(lines)
