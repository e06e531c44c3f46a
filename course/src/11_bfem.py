# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · BFEM
# At the end you have the block that lets HRNet's two coarsest maps look far, and you have found a layer that its paper
# does not mention, by counting.
#
# **90 minutes to work through** · 0.3 min of computing on two CPU cores · 1.2 GB of memory · data: rendered scenes, no download · needs lesson 03, 09 · 6 exercises

# %% tags=["setup"]
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeseg import course, explain
from edgeseg.course.lessons import lesson_11 as ours
from edgeseg.course.lessons.lesson_05 import picture_row
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.models import improved_hrnet
from edgeseg.models.improved_hrnet import CCSF, LayerScale, SlowBatchNorm
from edgeseg.plots import colorize, with_legend

lesson = course.begin("11", version="0.1")

# %% [markdown]
# HRNet_S, with today's block in orange:

# %%
course.network_map("BFEM", built=("backbone", "attention"), network="hrnet_s")

# %% [markdown]
# ## A street
# A finished network (the Cross-CBAM of lesson 06) on a street that it has not learnt from. On the right, the wall around
# trunk and rider, drawn larger. It is one wall, in dark red.

# %%
streets = Streets("val", n=1, size=(384, 512))
image, truth = streets[0]
mask = load_segmenter("cross_cbam_m.streets").predict(image)
near = (slice(120, 255), slice(60, 240))  # rows, columns
truth_, mask_ = (colorize(ids[near], streets.table) for ids in (truth, mask))
drawn = {"frame": image, "truth, near the rider": truth_, "its mask": mask_}
with_legend(picture_row(drawn), streets.table, void=True)

# %% tags=["nbval-check-output"]
box = (slice(130, 250), slice(100, 200))
wall = truth[box] == streets.table.names.index("Building")
right = mask[box][wall] == truth[box][wall]
print(f"the wall: {wall.sum():,} pixels, {right.mean():.0%} of them right")

# %% [markdown]
# A large object breaks into parts: half of this wall became tree, rider and pedestrian. One possible cause: to decide about
# a pixel, one must see enough of what stands around it. Here are four windows around one pixel of the wall. In which of
# them would *you* say "wall"?

# %%
ours.windows(image, at=(208, 112), sides=(21, 63, 189, 378))

# %% [markdown]
# The Improved HRNet paper names two faults of segmentation networks: small objects are lost, large ones are incomplete.
# BFEM is its answer to the second.
#
# ## The paper
# Section III-B, Fig. 2, Equation 2. The block comes from SegNeXt (2022).
#
# | paper | variable | shape |
# |---|---|---|
# | $F$ | `x` | (N, C, h, w) |
# | 5×5 depthwise | `local` | (N, C, h, w) |
# | $Scale_i$, k = 7, 11, 21 | a 1×k, then a k×1 convolution, depthwise | (N, C, h, w) each |
# | $Att$ | 1×1 convolution of the sum of all four | (N, C, h, w) |
# | $Out = Att ⊗ F$ | returned | (N, C, h, w) |
# | two lowest resolutions | `x3`, `x4` | (N, 4w, H/16, W/16), (N, 8w, H/32, W/32) |

# %% [markdown]
# <details><summary>What the paper does not say, and what we chose</summary>
#
# - It writes "strided" convolutions and means *strip* convolutions.
# - Biases, the width inside, batch normalisation after a row of blocks: forced by the printed numbers, or taken from the
#   authors' published code, which was read for this package.
# - What the strips read, and one layer more: you will judge both.
#
# </details>

# %% [markdown] tags=["predict"]
# **Predict.** Table III prints 65.860 M parameters for HRNet and 84.342 M with BFEM. You will build BFEM exactly as the
# text says, and count. Will your count be right? If not: too many or too few, and by how much? Write it down.
#
# <details><summary>Answer</summary>
#
# 1.66 M too few, about a tenth of BFEM. Something stands in the network that stands nowhere in the text. Section 4 finds
# out what.
#
# </details>

# %% [markdown]
# ## 1 · Two strips for one square
# A 1×21 convolution, then a 21×1 one: what does the pair see? A cross? Let us do it on the grey street, and beside it
# with one 21×21 kernel, the product of column and row.

# %% tags=["nbval-check-output"]
grey = torch.from_numpy(image).float().mean(2)[None, None] / 255  # (1, 1, H, W)
row, column = torch.rand(1, 1, 1, 21) - 0.5, torch.rand(1, 1, 21, 1) - 0.5
along = functional.conv2d(grey, row, padding=(0, 10))
pair = functional.conv2d(along, column, padding=(10, 0))
square = functional.conv2d(grey, column * row, padding=10)
same = torch.allclose(pair, square, atol=1e-4)
print("pair and square are", "the same" if same else "not the same")

# %% [markdown]
# The pair **is** a square kernel, at a tenth of the weights. What is lost? Every kernel of a pair
# is a column times a row. Stripes are possible. A diagonal is not; on the right is the best that a pair can do.

# %%
ours.kernels(column.flatten(), row.flatten())

# %% [markdown]
# ### Exercise 11.1 · Strips by hand   ●●○○○ · 8 minutes
# How many parameters has the whole MSCA for C channels? A depthwise k×k convolution has one kernel a channel: k² · C
# weights and C biases. Count the 5×5, a pair for each length, and the 1×1 convolution from C to C, all with biases.
# Write a formula.


# %% tags=["exercise"]
def msca_parameters(channels: int, lengths: tuple[int, ...] = (7, 11, 21)) -> int:
    """Parameters of an MSCA, by formula."""
    ### BEGIN SOLUTION
    local = (5 * 5 + 1) * channels
    pairs = sum((2 * k + 2) * channels for k in lengths)
    mix = channels * channels + channels
    return local + pairs + mix
    ### END SOLUTION


# %% tags=["check"]
msca_parameters = course.check(
    msca_parameters,
    ours.msca_parameters,
    course.case(192),
    course.case(384),
    course.case(8, lengths=(3,)),
    course.case(8, lengths=()),
    exercise="11.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *57,600 for 192*: no biases. Each depthwise convolution has C of them, the 1×1 as well.
# - *far too many*: depthwise means that a kernel sees one channel only: 5·5·C weights, not 5·5·C².
# - *only a case with `lengths` fails*: sum over the lengths that are given.
#
# </details>

# %% tags=["nbval-check-output"]
for c in (192, 384):
    squares = msca_parameters(c) + sum((k * k - 2 * k - 1) * c for k in (7, 11, 21))
    print(f"C = {c}: {msca_parameters(c):,}; with square kernels {squares:,}")

# %% [markdown]
# ### Exercise 11.2 · MSCA   ●●●○○ · 15 minutes
# `depthwise(c, height, width)` is given; it keeps the size.
#
# - `local`: 5×5 of `x`.
# - Three strip pairs, **1×k first, then k×1**.
# - With `strips="serial"` the pairs read `local`, with `"parallel"` they read `x`.
# - A 1×1 convolution of the sum of `local` and all three pairs; the product with `x`.
#
# There is no sigmoid: this attention may also be negative.


# %% tags=["reference"]
def depthwise(c: int, height: int, width: int) -> nn.Conv2d:
    """One kernel a channel, with bias: (N, c, h, w) → (N, c, h, w)."""
    padding = (height // 2, width // 2)
    return nn.Conv2d(c, c, (height, width), padding=padding, groups=c)


# %% tags=["exercise", "build"]
class MSCA(nn.Module):
    """A factor for every value, from four scales: (N, C, h, w) → (N, C, h, w)."""

    def __init__(self, channels: int, strips: str = "serial") -> None:
        super().__init__()
        ### BEGIN SOLUTION
        c, self.serial = channels, strips == "serial"
        self.local = depthwise(c, 5, 5)
        pairs = [(depthwise(c, 1, k), depthwise(c, k, 1)) for k in (7, 11, 21)]
        self.pairs = nn.ModuleList(nn.Sequential(*pair) for pair in pairs)
        self.mix = nn.Conv2d(c, c, 1)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        local = self.local(x)  # (N, C, h, w)
        seen = local if self.serial else x
        total = local + sum(pair(seen) for pair in self.pairs)  # (N, C, h, w)
        return self.mix(total) * x
        ### END SOLUTION


# %% tags=["check"]
MSCA = course.check(
    MSCA,
    improved_hrnet.MSCA,
    course.case(6, inputs=[(2, 6, 14, 23)]),
    course.case(4, strips="parallel", inputs=[(1, 4, 24, 9)]),
    exercise="11.2",
    counted="12",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a 1×7 "stands where" 7×1 should*: 1×k first. With a bias in between the order matters.
# - *only `parallel` fails*: then the pairs read `x`; `local` still joins the sum.
# - *the first wrong step is `add`*: four maps are in the sum, `local` is one of them.
# - *layers in a plain list*: `nn.ModuleList`.
#
# </details>

# %% [markdown]
# ## 2 · What do the strips read?
# Equation 2 and SegNeXt let the strips read `local`, one after the other: **serial**. The authors' code lets them read
# $F$: **parallel**. First the counts, as the paper's tool makes them, then how far one output cell looks: all cells
# with a gradient, measured.

# %% tags=["nbval-check-output"]
extent = {}
for strips in ("serial", "parallel"):
    print(f"{strips:9}", ours.cost(MSCA(192, strips), places=32 * 64), end=" · ")
    extent[strips] = ours.seen(MSCA(16, strips), cells=41, n=lesson.pick(8, 2))
    print(f"looks at {ours.reach(extent[strips])} cells a side")

# %%
explain.field_figure(extent)

# %% [markdown]
# ### Exercise 11.3 · Judge: serial or parallel   ●●○○○ · 5 minutes
# What do these measurements say about the paper's network? Return one letter.
#
# - **"a"** Serial: only so the printed parameters come out.
# - **"b"** Parallel: it needs fewer multiply-adds, and the printed FLOPs show it.
# - **"c"** The printed numbers fit both, and the two do not compute the same. Numbers cannot decide; text and code
#   disagree. A faithful package has a switch.
# - **"d"** The numbers are equal, so both are the same function, and it does not matter.


# %% tags=["exercise"]
def strips_read() -> str:
    """One of "a", "b", "c", "d"."""
    ### BEGIN SOLUTION
    return "c"
    ### END SOLUTION


# %% tags=["check"]
strips_read = course.choose(strips_read, ours.STRIPS, exercise="11.3")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Compare the two printed lines, column by column: what is equal, what is not?
# - Would two equal functions look at areas of different size?
#
# </details>

# %% [markdown]
# ## 3 · A block, and a bug
# MSCAN has two halves: attention, then a feed-forward part (FFN), each beside a shortcut. `LayerScale` multiplies each
# channel by a learned factor, at first 0.01: a new block changes its input little, so five in a row do no harm.
# `SlowBatchNorm` is batch normalisation whose statistics move slowly. A colleague wrote this:


# %% tags=["reference"]
class ColleaguesMSCAN(nn.Module):
    def __init__(self, channels: int, strips: str = "serial") -> None:
        super().__init__()
        c = channels
        self.norm1, self.norm2 = SlowBatchNorm(c), SlowBatchNorm(c)
        self.scale1, self.scale2 = LayerScale(c), LayerScale(c)
        enter, leave = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.attend = nn.Sequential(enter, nn.GELU(), MSCA(c, strips), leave)
        widen, narrow = nn.Conv2d(c, 4 * c, 1), nn.Conv2d(4 * c, c, 1)
        self.ffn = nn.Sequential(widen, depthwise(4 * c, 3, 3), nn.GELU(), narrow)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1(self.attend(self.norm1(x)))
        x = self.norm2(x)
        return x + self.scale2(self.ffn(x))


# %% [markdown]
# It runs, the parameters are the paper's. Is it a block that changes little? Channels here have different strengths, as in
# a real network. After five new blocks:

# %% tags=["nbval-check-output"]
x = torch.randn(4, 16, 24, 24) * torch.linspace(0.2, 3, 16).view(1, -1, 1, 1) + 1
with torch.no_grad():
    y = nn.Sequential(*(ColleaguesMSCAN(16) for _ in range(5))).train()(x)
print(f"strength, channels 0 and 15: {ours.strengths(x)}, then {ours.strengths(y)}")
print(f"changed: {float((y - x).norm() / x.norm()):.0%} of the input")

# %% [markdown]
# ### Exercise 11.4 · Find the bug: MSCAN   ●●●○○ · 10 minutes
# Find the one wrong place and write the block as it should be. You may copy all the rest. And say in one sentence, in a
# comment, why no count and no shape could show it.


# %% tags=["exercise", "build"]
class MSCAN(nn.Module):
    """Attention, then an FFN, each beside a shortcut: (N, C, h, w) → the same."""

    def __init__(self, channels: int, strips: str = "serial") -> None:
        super().__init__()
        ### BEGIN SOLUTION
        c = channels
        self.norm1, self.norm2 = SlowBatchNorm(c), SlowBatchNorm(c)
        self.scale1, self.scale2 = LayerScale(c), LayerScale(c)
        enter, leave = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.attend = nn.Sequential(enter, nn.GELU(), MSCA(c, strips), leave)
        widen, narrow = nn.Conv2d(c, 4 * c, 1), nn.Conv2d(4 * c, c, 1)
        self.ffn = nn.Sequential(widen, depthwise(4 * c, 3, 3), nn.GELU(), narrow)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        x = x + self.scale1(self.attend(self.norm1(x)))  # (N, C, h, w)
        # the normalised map must not go on by the shortcut; no shape differs by it
        return x + self.scale2(self.ffn(self.norm2(x)))
        ### END SOLUTION


# %% tags=["check"]
MSCAN = course.check(
    MSCAN,
    improved_hrnet.MSCAN,
    course.case(4, inputs=[(2, 4, 9, 12)]),
    course.case(6, strips="parallel", inputs=[(1, 6, 8, 7)]),
    exercise="11.4",
    counted="12",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *All channels came out equally strong.* Which layer makes that, and on which path does it lie?
# - A shortcut carries its input **unchanged** past a half. Follow `x` through both halves.
# - *other numbers at `add`*: look at which tensor is added.
# - *only `parallel` fails*: hand `strips` on to MSCA.
#
# </details>

# %% tags=["nbval-check-output"]
with torch.no_grad():
    y = nn.Sequential(*(MSCAN(16) for _ in range(5))).train()(x)
print(f"strength, channels 0 and 15: {ours.strengths(x)}, then {ours.strengths(y)}")
print(f"changed: {float((y - x).norm() / x.norm()):.0%} of the input")

# %% [markdown]
# So a new BFEM changes nearly nothing, and training must make it stronger. That shows in how far it *looks*, too. Its
# kernels reach 131 cells. What counts, the effective receptive field, is the square that holds 95 % of the gradient. Two
# 3×3 convolutions stand in front, which alone see 5 cells. (A pixel of these pictures is a cell.)

# %%
width, n = lesson.pick(24, 4), lesson.pick(4, 1)
fields = {"two 3×3 alone": ours.seen(ours.blocks(MSCAN, width, 0), cells=161, n=n)}
for name, strength in (("+ five MSCAN, new", 0.01), ("+ five, scale 1", 1.0)):
    fields[name] = ours.seen(ours.blocks(MSCAN, width, 5, strength), cells=161, n=n)
    reach, side = ours.reach(fields[name]), fields[name].side()
    print(f"{name}: could look at {reach}, 95 % within {side:.0f} cells")
explain.field_figure(fields)

# %% [markdown]
# Random weights, so this is about form, not about a finished network: "it has 21×21 kernels" says what a block *could* look
# at. On small maps even that is cut. A 1/32 map of a 192×256 crop has 6×8 cells; most of a strip then lies outside the
# border and multiplies zeros. How many weights of a 21-strip ever meet the map:

# %% tags=["nbval-check-output"]
for height, width in ((192, 256), (384, 512), (512, 1024)):
    touched = [min(21, 2 * (side // 32) - 1) for side in (height, width)]
    print(f"{height}×{width}: {touched[0]} of 21 down, {touched[1]} of 21 across")

# %% [markdown]
# ## 4 · As the paper tells it
# Five MSCAN beside each map. A stride-2 convolution and three more from the finer to the coarser. CCSF (1×1, batch
# normalisation, ReLU; lesson 12) on the concatenations. The sum, counted as the paper's tool counts: it does
# not see `SlowBatchNorm` and `LayerScale`, and "FLOPs" are multiply-adds × 2.

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    fine = [MSCAN(192) for _ in range(5)]
    coarse, bridge = ([MSCAN(384) for _ in range(n)] for n in (5, 3))
    down = nn.Conv2d(192, 384, 3, stride=2, padding=1)
    parts = {
        "5 MSCAN at 1/16": (nn.Sequential(*fine), 32 * 64),
        "5 MSCAN at 1/32": (nn.Sequential(*coarse), 16 * 32),
        "down, 3 MSCAN": (nn.Sequential(down, *bridge), 16 * 32),
        "CCSF 384 → 192": (CCSF(384, 192), 32 * 64),
        "CCSF 1152 → 384": (CCSF(1152, 384), 16 * 32),
    }
ours.bill(parts, printed=(84.342 - 65.860, 402.918 - 376.184))

# %% [markdown]
# There it is: **1.660 M parameters and 2.72 G** are in the table, and not in the text. What could they be?
# `printed(front)` gives what Table III would print if `front(channels)` stood before the first MSCAN beside each map. Try
# what you like:


# %% tags=["reference"]
def printed(front) -> str:
    """Table III's row "+ BFEM" with a layer before both rows of blocks."""
    return ours.printed(front, MSCAN)


print("paper:            ", "84.342 M, 402.918 G")
print("as told:          ", printed(lambda c: nn.Identity()))
print("a 1×1 convolution:", printed(lambda c: nn.Conv2d(c, c, 1)))

# %% [markdown]
# ### Exercise 11.5 · Judge: what the paper forgot   ●●●○○ · 15 minutes
# One reading gives both printed numbers **to the last digit**. All convolutions have biases. Which?
#
# - **"a"** a 3×3 convolution C → C
# - **"b"** two 3×3 convolutions, C → C/2 → C
# - **"c"** the same two, the first with stride 2 and a resize at the end
# - **"d"** nothing in front; the FFN is wider: 5·C inside instead of 4·C (count it: MSCAN has no other part with the
#   factor 4)
#
# Write each as a `front`, or count on paper. "To the last digit" is meant: two of them are close.


# %% tags=["exercise"]
def forgotten() -> str:
    """One of "a", "b", "c", "d"."""
    ### BEGIN SOLUTION
    return "b"
    ### END SOLUTION


# %% tags=["check"]
forgotten = course.choose(forgotten, ours.FORGOTTEN, exercise="11.5")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - `printed(lambda c: nn.Conv2d(c, c, 3, padding=1))` is reading "a". Compare all three decimals.
# - Two layers: `nn.Sequential(nn.Conv2d(c, c // 2, 3, padding=1), …)`.
# - "c": `nn.Upsample(scale_factor=2)` costs nothing by the tool's rules.
# - "d": the FFN has 2·C·rC + 9·rC + rC + C parameters at ratio r. What does one more r cost, for five blocks of 192 and
#   eight of 384?
#
# </details>

# %% tags=["nbval-check-output"]
print("paper 84.342 M, 402.918 G")
for name, front in ours.FRONTS.items():
    print(f'"{name}"  {printed(front)}')

# %% [markdown]
# "a" and "b" have equally many weights. They differ by 288 biases: one unit of the third decimal. "b" is SegNeXt's
# *stem*, with stride 1. Batch normalisation and GELU inside it the tool does not see: they follow SegNeXt and the
# authors' code. Do not stop at "about right": the last digit tests a reconstruction.
#
# ### Exercise 11.6 · BFEM   ●●●●○ · 20 minutes
# `front` and `row_of` are given below. Build:
#
# - a: `blocks` MSCAN in a row on `front(x3)`; b: the same on `front(x4)`
# - d: a 3×3 convolution with stride 2 and bias brings a to C4 channels; then a row of `bridge` MSCAN. No front here
# - return CCSF of (x3, a) and CCSF of (x4, b, d), concatenated in this order


# %% tags=["reference"]
def front(c: int) -> nn.Sequential:
    """The stem: (N, C, h, w) → (N, C, h, w)."""
    half = c // 2
    first = nn.Conv2d(c, half, 3, padding=1)
    second = nn.Conv2d(half, c, 3, padding=1)
    norms = SlowBatchNorm(half), SlowBatchNorm(c)
    return nn.Sequential(first, norms[0], nn.GELU(), second, norms[1])


def row_of(c: int, blocks: int, strips: str) -> nn.Sequential:
    """MSCAN blocks and a normalisation: (N, C, h, w) → (N, C, h, w)."""
    row = [MSCAN(c, strips) for _ in range(blocks)]
    return nn.Sequential(*row, SlowBatchNorm(c))


# %% tags=["exercise", "build"]
class BFEM(nn.Module):
    """x3 (N, C3, h, w), x4 (N, C4, h/2, w/2) → two maps of the same shapes."""

    def __init__(self, channels, blocks=5, bridge=3, strips="serial"):
        super().__init__()
        c3, c4 = channels
        ### BEGIN SOLUTION
        self.rows3 = nn.Sequential(front(c3), row_of(c3, blocks, strips))
        down = nn.Conv2d(c3, c4, 3, stride=2, padding=1)
        self.bridge = nn.Sequential(down, row_of(c4, bridge, strips))
        self.rows4 = nn.Sequential(front(c4), row_of(c4, blocks, strips))
        self.fuse3, self.fuse4 = CCSF(2 * c3, c3), CCSF(3 * c4, c4)
        ### END SOLUTION

    def forward(self, x3: Tensor, x4: Tensor) -> tuple[Tensor, Tensor]:
        ### BEGIN SOLUTION
        a = self.rows3(x3)  # (N, C3, h, w)
        b, d = self.rows4(x4), self.bridge(a)  # (N, C4, h/2, w/2) each
        y3, y4 = torch.cat([x3, a], dim=1), torch.cat([x4, b, d], dim=1)
        return self.fuse3(y3), self.fuse4(y4)
        ### END SOLUTION


# %% tags=["check"]
BFEM = course.check(
    BFEM,
    improved_hrnet.BFEM,
    course.case((4, 6), 1, 1, inputs=[(2, 4, 8, 10), (2, 6, 4, 5)]),
    course.case((2, 4), 2, 1, "parallel", inputs=[(1, 2, 7, 9), (1, 4, 4, 5)]),
    exercise="11.6",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a size does not match, (7, 9)*: padding 1 at stride 2 gives half, rounded up.
# - *the bridge's layers misfit*: it reads a, which has C3 channels, and has no front.
# - *other numbers at `cat`*: the order is (x3, a) and (x4, b, d).
# - *more blocks than wanted*: `blocks` beside the maps, `bridge` between them.
#
# </details>

# %% [markdown]
# The BFEM of exercise 11.6 in the paper's HRNet, on PyTorch's meta device (shapes without numbers):

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    block = BFEM((192, 384))
print("paper 84.342 M, 402.918 G · counted", ours.in_hrnet(block))
exist = 65_860_100 + sum(p.numel() for p in block.parameters())
print(f"parameters that exist: {exist:,}")

# %% [markdown]
# 27,840 exist that the paper's tool did not see. True parameters are what `numel` says.
#
# ## 5 · Does it help?
# The paper: mIoU +0.12 at 512×1024, +0.88 at 1024×2048, one run each. Ours: narrow HRNets (W18), 500 steps on rendered
# streets, same seeds with and without BFEM. The log grows; this cell reads it as it is now.

# %%
ours.compare("hrnet_bfem", "hrnet")

# %% [markdown]
# And our street, in networks of that log, seed 0: what the classes are seen by, just before the classifier
# (Seg-Grad-CAM, light is much). Top without BFEM, bottom with it.

# %%
ours.heat(["hrnet", "hrnet_bfem"], ["Building", "Tree", "Car", "Bicyclist"])

# %% [markdown]
# Look at Car: without BFEM some heat lies on the rider and the sky, with it a little on the tree. It is one seed of a
# short training: a picture, no verdict. **Was the wall cured?** The heat on Building is nearly the same in both; the table
# above decides, and it says itself whether it can yet.

# %%
course.progress()

# %% [markdown]
# ## The end
# The whole block stands in exercise 11.6; that it equals the package's, `check` has shown in float64.
#
# **In five lines**
# 1. A 1×k and a k×1 convolution see a k×k square for 2k weights; what they cannot draw is a diagonal.
# 2. Equal counts do not mean equal functions: serial looks at 25 cells, parallel at 21.
# 3. A shortcut carries its input unchanged. Shapes and counts do not show a broken one.
# 4. Reach is not use: kernels over 135 cells, 95 % of the gradient within 5 when new.
# 5. The stem stands in no sentence of the paper. Two printed numbers, to the last digit, show it.
#
# <details><summary>Five review questions</summary>
#
# 1. *42 against 441: is every 21×21 kernel a pair?* No, only a column times a row.
# 2. *Why does serial look at 25 cells?* 21 + 5 − 1: each strip reads what a 5×5 has read.
# 3. *Why is LayerScale 0.01 at first?* Five new blocks then leave a pretrained backbone's maps nearly as they are.
# 4. *Which printed column excludes a stem with stride 2?* FLOPs: a quarter of the places.
# 5. *BFEM adds 28 % to HRNet's parameters. What must be shown before one says "the strips help"?* That as many
#    parameters of another kind help less, on several seeds.
#
# </details>
#
# **Beyond.** Draw kernels of a 1×21 strip after training. Let `strips="parallel"` and `"serial"` train on the same seeds
# (`edgeseg ablate`).
#
# **Papers.** Feng and Zhong, *Backbone Feature Enhancement and Decoder Improvement in HRNet for Semantic Segmentation*,
# section III-B; Guo et al., *SegNeXt*, NeurIPS 2022.
#
# **Next.** Lesson 12: FUSM and CCSF, and the three networks.
