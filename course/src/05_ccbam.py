# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · CCBAM
# At the end you have the block that fuses fine and coarse maps in Cross-CBAM, with trained weights in it, and you know
# what each of its gates does on a street.
#
# **75 minutes to work through** · 0.2 min of computing on two CPU cores · 1 GB of memory · data: rendered scenes, no download · needs lesson 03, 04 · 5 exercises

# %% tags=["setup"]
import ipywidgets
import numpy as np
import torch
from torch import Tensor, nn

from edgeseg import course
from edgeseg.course.lessons import lesson_05 as ours
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models import cross_cbam
from edgeseg.models.layers import GlobalAvgPool, GlobalMaxPool
from edgeseg.plots import colorize, with_legend

lesson = course.begin("05", version="0.1")

# %% [markdown]
# The network, with today's block in orange and what you have built in blue:

# %%
course.network_map("CCBAM", built=("backbone", "SE-ASPP"))

# %% [markdown]
# ## Where we are
# The backbone gives fine maps that know edges. SE-ASPP gives a coarse map that knows things. The decoder joins them,
# twice:
#
#     y = resize(context, size of f16)
#     y = fuse16(lateral16(f16), y)      # fuse16 is today's placeholder
#     y = resize(y, size of f8)
#     y = fuse8(f8, y)                   # and fuse8
#
# Each fusion gets two maps of one shape. **Low** comes from the backbone, **high** from the decoder. Adding them would
# be enough to run; CCBAM does better, says the paper. Take a trained network and a street, and catch what arrives at
# both places.

# %%
segmenter = load_segmenter("cross_cbam_m.streets")
decoder = segmenter.model.decoder
fusions = {"1/16": decoder.fuse16, "1/8": decoder.fuse8}
scenes = Streets("test", n=lesson.pick(8, 3), size=(288, 384))
image, truth = scenes[0]

# %% tags=["nbval-check-output"]
arrived = {}
hooks = []
for place, fusion in fusions.items():

    def catch(block, maps, result, place=place):
        arrived[place] = maps

    hooks.append(fusion.register_forward_hook(catch))
mask = segmenter.predict(image)
for hook in hooks:
    hook.remove()
for place, both in arrived.items():
    print(f"{place:>4}: low {tuple(both[0].shape)}, high {tuple(both[1].shape)}")

# %% [markdown]
# What do they hold? Below is the mean over the channels, light where values are large. At 1/8 low draws outlines. High
# draws areas with soft borders, since it was resized from half the size.

# %%
drawn = {"frame": image}
for place, (low, high) in arrived.items():
    drawn[f"low at {place}"] = low[0].mean(0)
    drawn[f"high at {place}"] = high[0].mean(0)
    drawn.setdefault("its mask", colorize(mask, scenes.table))
with_legend(ours.picture_row(drawn), scenes.table)

# %% [markdown]
# ## The paper
# Section 3.2, Figs. 3 to 5, Equations 2 to 4. A **gate** is a number between 0 and 1 that multiplies. Channel attention
# says *what* matters: one gate a channel. Spatial attention says *where*: one gate a place.
#
# | paper | variable | shape | holds |
# |---|---|---|---|
# | $Input_{low}$ | `low` | (N, C, h, w) | the backbone's map |
# | $Input_{high}$ | `high` | (N, C, h, w) | the decoder's map |
# | $C_{low}$, $C_{high}$ | `channel_low(low)`, `channel_high(high)` | (N, C, 1, 1) | channel gates |
# | $F_{high} = Input_{low} · C_{high}$ | `fused_high` | (N, C, h, w) | **low**, gated by high |
# | $F_{low} = Input_{high} · C_{low}$ | `fused_low` | (N, C, h, w) | **high**, gated by low |
# | $S_{high}$, $S_{low}$ | `spatial_high(fused_high)`, `spatial_low(fused_low)` | (N, 1, h, w) | spatial gates |
# | $Output = F_{low} · S_{high} + F_{high} · S_{low}$ | returned | (N, C, h, w) | the sum |
#
# Look at the index: $F_{high}$ is named after the map that *guides*, and holds low's content.

# %% [markdown]
# <details><summary>What the paper does not say, and what we chose</summary>
#
# - Equations 3 and 4 end without a sigmoid. The text puts one into spatial attention, CBAM has both: so both get one.
# - Do low and high share modules? The parameters printed in Tables 5 and 6 say no: four modules.
# - Equation 3's convolution with one hidden layer is a two-layer perceptron (MLP). Both pools share it, as in CBAM; it
#   has biases.
# - The text gives both inputs to the decoder. Low must be the *encoder's*; the paper mixes the two up more than once.
#
# </details>

# %% [markdown] tags=["predict"]
# **Predict.** In a trained network, undo the crossing without training again. Every map now gets (a) its own *channel*
# gates, (b) its own *spatial* gates, (c) both its own. Which way loses most mIoU, which least? Write it down.
#
# <details><summary>Answer</summary>
#
# (a) loses most: in the full run the mIoU of eight scenes falls from 66.2 % to 44.7 %. (b) loses least, 65.6 % stay.
# And (c), which undoes more than (a), loses *less* than (a): 47.7 %. You will measure it in exercise 05.5.
#
# </details>

# %% [markdown]
# What and where, on three channels that you know, red, green and blue. In the middle, red passes; on the right, one place.

# %%
channel_gate = np.array([1.0, 0.3, 0.3])  # (3,): let red pass
rows, columns = np.mgrid[0:288, 0:384]
distance = ((rows - 200) ** 2 + (columns - 190) ** 2) ** 0.5
place_gate = np.exp(-((distance / 60) ** 2))[
    ..., None
]  # (H, W, 1): look at one place
drawn = {"frame": image}
drawn["what: one gate a channel"] = (image * channel_gate).astype(np.uint8)
drawn["where: one gate a place"] = (image * place_gate).astype(np.uint8)
ours.picture_row(drawn)

# %% [markdown]
# ### Exercise 05.1 · ChannelAttention   ●●○○○ · 12 minutes
# One gate per channel, $C = σ(MLP(maxpool) + MLP(avgpool))$.
#
# - Both global pools give (N, C, 1, 1). Put them side by side along the last dimension, so that **one** call of the MLP
#   is enough for both. (A module that is called twice makes trouble for quantisation tools later.)
# - The MLP: a 1×1 convolution to `channels // reduction` channels, but at least 4; ReLU; a 1×1 convolution back. Both
#   with bias.
# - Add the two columns, then the sigmoid.
#
# Use the modules `GlobalMaxPool()`, `GlobalAvgPool()`, `nn.ReLU()`, `nn.Sigmoid()`, not functions: a counter in lesson
# 06 sees modules only. `counted=True` in a check asks for this.


# %% tags=["exercise", "build"]
class ChannelAttention(nn.Module):
    """What matters, a gate a channel: (N, C, h, w) → (N, C, 1, 1), each in 0…1."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        hidden = max(4, channels // reduction)
        self.max_pool, self.avg_pool = GlobalMaxPool(), GlobalAvgPool()
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.relu = nn.ReLU()
        self.excite = nn.Conv2d(hidden, channels, 1)
        self.sigmoid = nn.Sigmoid()
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        pooled = torch.cat([self.max_pool(x), self.avg_pool(x)], dim=3)
        logits = self.excite(self.relu(self.squeeze(pooled)))  # (N, C, 1, 2)
        return self.sigmoid(logits.sum(dim=3, keepdim=True))  # (N, C, 1, 1)
        ### END SOLUTION


# %% tags=["check"]
ChannelAttention = course.check(
    ChannelAttention,
    cross_cbam.ChannelAttention,
    course.case(64, inputs=[(2, 64, 9, 12)]),
    course.case(96, reduction=8, inputs=[(1, 96, 5, 7)]),
    course.case(32, inputs=[(3, 32, 4, 4)]),
    exercise="05.1",
    counted=True,
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"squeeze stands where…"*: look at the hidden width of the case named. 32 // 16 is 2, and 4 is the least.
# - *a shape (N, C, 1, 2) comes out*: the two columns are still apart: `sum(dim=3, keepdim=True)`.
# - *"sigmoid" is missing, or stands too early*: one sigmoid, after the sum.
# - *the numbers differ at `amax` or `mean`*: the pools go over height and width, dimensions 2 and 3.
#
# </details>

# %% [markdown]
# ### Exercise 05.2 · SpatialAttention   ●●○○○ · 8 minutes
# One gate per place. Describe every place by two numbers, the maximum and the mean **over the channels** (in this
# order), and let a convolution with bias turn two maps into one; then the sigmoid. CBAM takes a 7×7 convolution here,
# this paper 1×1: a place is judged without its neighbours.


# %% tags=["exercise", "build"]
class SpatialAttention(nn.Module):
    """Where it matters, a gate a place: (N, C, h, w) → (N, 1, h, w), in 0…1."""

    def __init__(self) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.conv = nn.Conv2d(2, 1, 1)
        self.sigmoid = nn.Sigmoid()
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        largest, mean = x.amax(1, keepdim=True), x.mean(1, keepdim=True)
        described = torch.cat([largest, mean], dim=1)  # (N, 2, h, w)
        return self.sigmoid(self.conv(described))  # (N, 1, h, w)
        ### END SOLUTION


# %% tags=["check"]
SpatialAttention = course.check(
    SpatialAttention,
    cross_cbam.SpatialAttention,
    course.case(inputs=[(2, 8, 9, 12)]),
    course.case(inputs=[(1, 3, 7, 5)]),
    exercise="05.2",
    counted=True,
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a shape (N, h, w) comes out*: `keepdim=True` keeps the dimension of the channels.
# - *a tuple came out*: `x.max(1, keepdim=True)` gives values and places; take `.values`, or `x.amax(…)`.
# - *the gate has shape (N, 1, 1, 1) or (N, C, 1, 1)*: you pooled over places; here dimension 1 is pooled.
# - *"conv stands where…"*: 2 channels in, 1 out, kernel 1, with bias.
# - *right shape, other numbers*: the maximum comes first, the mean second.
#
# </details>

# %% [markdown]
# ### Exercise 05.3 · CCBAM   ●●●○○ · 15 minutes
# Four attention modules, and Equation 2. Take the names of the symbol table: `channel_low`, `channel_high`,
# `spatial_low`, `spatial_high`. Before you type, draw the two maps on paper and follow one channel gate and one spatial
# gate: which map makes it, which map does it multiply? There are two crossings.


# %% tags=["exercise", "build"]
class CCBAM(nn.Module):
    """Two maps (N, C, h, w) gate each other and are added: (N, C, h, w)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.channel_low = ChannelAttention(channels, reduction)
        self.channel_high = ChannelAttention(channels, reduction)
        self.spatial_low, self.spatial_high = SpatialAttention(), SpatialAttention()
        ### END SOLUTION

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        fused_high = low * self.channel_high(high)  # low under high's channel gates
        fused_low = high * self.channel_low(low)  # high under low's channel gates
        gate_high = self.spatial_high(fused_high)  # (N, 1, h, w)
        gate_low = self.spatial_low(fused_low)  # (N, 1, h, w)
        return fused_low * gate_high + fused_high * gate_low  # (N, C, h, w)
        ### END SOLUTION


# %% tags=["check"]
CCBAM = course.check(
    CCBAM,
    cross_cbam.CCBAM,
    course.case(64, inputs=[(2, 64, 9, 12), (2, 64, 9, 12)]),
    course.case(96, reduction=8, inputs=[(1, 96, 5, 7), (1, 96, 5, 7)]),
    exercise="05.3",
    counted=True,
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a weight of the package "has no counterpart in yours"*: four modules; low and high share none.
# - *right shape, other numbers, first at a `mul`*: a gate of the wrong map. $F_{high}$ is low times high's channel
#   gates.
# - *only the last `mul` or `add` differs*: the second crossing. $F_{low}$ meets $S_{high}$, not its own $S_{low}$.
# - *the output has 2·C channels*: the two halves are added, not concatenated.
#
# </details>

# %% [markdown]
# ## The block in a trained network
# CCBAM (yours, if 05.3 is solved) now gets the trained weights and takes the place of both fusions in the trained
# network. The frame goes through again. The mask must not change.

# %% tags=["nbval-check-output"]
own = [ours.take_weights(CCBAM(256), fusions[k], *arrived[k]) for k in fusions]
decoder.fuse16, decoder.fuse8 = own
again = segmenter.predict(image)
decoder.fuse16, decoder.fuse8 = fusions.values()
same = np.mean(again == mask) > 0.999
print(f"mask with exchanged blocks: {'the same' if same else 'another'}")

# %% [markdown]
# Now open the trained blocks and look at the four gates of each.


# %%
@torch.no_grad()
def gates(block: nn.Module, low: Tensor, high: Tensor) -> dict[str, Tensor]:
    """The four gates of a CCBAM on two maps."""
    c_low, c_high = block.channel_low(low), block.channel_high(high)
    s_low, s_high = (
        block.spatial_low(high * c_low),
        block.spatial_high(low * c_high),
    )
    return {"C_low": c_low, "C_high": c_high, "S_low": s_low, "S_high": s_high}


def named(*names: str) -> dict[str, Tensor]:
    """Some of the gates, at 1/16 and at 1/8."""
    return {f"{name} at {k}": found[k][name] for k in found for name in names}


found = {k: gates(block, *arrived[k]) for k, block in fusions.items()}
ours.gate_maps(image, named("S_low", "S_high"))

# %% [markdown]
# Every map has its own scale; read the numbers beside it. At 1/8 $S_{high}$ lets the road pass and weakens what
# stands beside it. No spatial gate shuts: on this frame all at 1/8 lie between 0.25 and 0.55, all at 1/16 above 0.55.
#
# Channel gates have no place, only a strength. Sorted, they look like this; the orange line is 0.5, the sigmoid of 0.
# $C_{low}$ works like a switch: channels are open or shut. $C_{high}$ at 1/8 halves them all.

# %%
ours.gate_bars(named("C_low", "C_high"))

# %% [markdown]
# ### Exercise 05.4 · Parameters by hand   ●●○○○ · 8 minutes
# How many parameters has a CCBAM of width w? Write the formula, not a sum over a built block. Count one channel
# attention (two 1×1 convolutions with bias), one spatial attention, and ask how many of each there are. The paper's
# network has two CCBAMs of width 256. On paper first: is it nearer to 1 % or to 0.3 % of its 11.6 M parameters?


# %% tags=["exercise"]
def ccbam_parameters(channels: int, reduction: int = 16) -> int:
    """Parameters of a CCBAM, by formula."""
    ### BEGIN SOLUTION
    hidden = max(4, channels // reduction)
    channel_attention = 2 * channels * hidden + hidden + channels
    spatial_attention = 2 + 1
    return 2 * channel_attention + 2 * spatial_attention
    ### END SOLUTION


# %% tags=["check"]
ccbam_parameters = course.check(
    ccbam_parameters,
    ours.ccbam_parameters,
    course.case(256),
    course.case(512),
    course.case(128),
    course.case(32),
    course.case(96, reduction=8),
    exercise="05.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *16,384 for 256*: biases and spatial attention are missing.
# - *half of what it should be*: two of each, one for low, one for high.
# - *only 32 differs*: the hidden layer has at least 4 channels.
# - A 1×1 convolution from a to b channels has a·b weights, and b biases.
#
# </details>

# %% tags=["nbval-check-output"]
for width in (128, 256, 512):
    print(f"CCBAM of width {width}: {ccbam_parameters(width):>6,} parameters")
print(f"two of 256 in 11,616,895: {2 * ccbam_parameters(256) / 11_616_895:.2%}")

# %% [markdown]
# ### Exercise 05.5 · Who guides whom   ●●●○○ · 12 minutes
# Give your CCBAM a switch for each crossing. `cross_channels=False`: low is multiplied by
# `channel_low(low)`, high by `channel_high(high)`: each by the gates that it made **itself**. `cross_space=False`: make
# both spatial gates as before, but multiply each map by the gate that was made from it. No new weights, and with both
# switches on it is CCBAM. `spatial_high` always judges the map that holds low's content, `spatial_low` the other.


# %% tags=["exercise"]
class SwitchedCCBAM(CCBAM):
    """CCBAM with crossings that can be undone: two (N, C, h, w) → one."""

    def __init__(
        self, channels: int, cross_channels: bool = True, cross_space: bool = True
    ) -> None:
        super().__init__(channels)
        self.cross_channels, self.cross_space = cross_channels, cross_space

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        for_high, for_low = self.channel_low(low), self.channel_high(high)
        if not self.cross_channels:
            for_high, for_low = for_low, for_high
        of_low, of_high = low * for_low, high * for_high
        by_low, by_high = self.spatial_high(of_low), self.spatial_low(of_high)
        if self.cross_space:
            return of_high * by_low + of_low * by_high
        return of_high * by_high + of_low * by_low
        ### END SOLUTION


# %% tags=["check"]
maps = [(2, 64, 5, 7), (2, 64, 5, 7)]
SwitchedCCBAM = course.check(
    SwitchedCCBAM,
    ours.SwitchedCCBAM,
    course.case(64, inputs=maps),
    course.case(64, cross_channels=False, inputs=maps),
    course.case(64, cross_space=False, inputs=maps),
    course.case(64, cross_channels=False, cross_space=False, inputs=maps),
    exercise="05.5",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *the first case fails*: with both switches on, nothing but CCBAM.
# - *`cross_channels=False` fails*: low is multiplied by `channel_low(low)`; swap the two gates, not the two maps.
# - *`cross_space=False` fails*: make both spatial gates as before, and only swap which map they multiply.
# - *an attribute is missing*: call the four modules as you did in 05.3.
#
# </details>

# %% [markdown]
# Undo the crossings in both fusions of the trained network, and score it on a few street scenes.


# %%
def new(k: str) -> nn.Module:
    """A switched CCBAM with the trained weights of one place."""
    return ours.take_weights(SwitchedCCBAM(256), fusions[k], *arrived[k])


switched = [new(k) for k in fusions]
ways = {"as trained": (1, 1), "own channels": (0, 1), "own places": (1, 0)}
ways["both own"] = (0, 0)

# %%
decoder.fuse16, decoder.fuse8 = switched
masks, scores = {}, {}
for name, (channels, space) in ways.items():
    for block in switched:
        block.cross_channels, block.cross_space = bool(channels), bool(space)
    matrix = ConfusionMatrix(len(scenes.table))
    for frame, label in scenes:
        matrix.update(segmenter.predict(frame), label)
    masks[name], scores[name] = segmenter.predict(image), matrix.compute().miou
    print(f"{name:12}: mIoU {scores[name]:.1%} on {len(scenes)} scenes")
decoder.fuse16, decoder.fuse8 = fusions.values()

# %% [markdown]
# One frame four times; the numbers are the mIoU of all scenes. With their own channel gates, both maps let other channels
# pass than the next layer has learnt to read: poles become thicker, a sign becomes a car, small pieces of the road are
# called building. Large areas stay right.
#
# **What this shows, and what not.** These weights were trained with the crossing, so they need it. That crossing
# is *better* than self-gating would only follow from training both, on several seeds: lesson 14.

# %%
drawn = {"frame": image, "truth": colorize(truth, scenes.table)}
for name, ids in masks.items():
    drawn[f"{name}: {scores[name]:.1%}"] = colorize(ids, scenes.table)
with_legend(ours.picture_row(drawn), scenes.table, void=True)

# %% [markdown]
# ## How much do gates select?
# Draw every gate towards its own mean. At strength 1 it is as trained; at 0 it is one number for all channels or
# places, and selects nothing. First "what" and "where" apart, both at strength 0:


# %%
def mask_at(strength: float = 1.0, gates: str = "both") -> np.ndarray:
    """The frame's mask in colours, gates drawn towards their mean."""
    with ours.gate_strength(fusions.values(), strength, gates):
        return colorize(segmenter.predict(image), scenes.table)


settings = (("both", 1), ("what", 0), ("where", 0))
drawn = {f"{g}: strength {s}": mask_at(s, g) for g, s in settings}
with_legend(ours.picture_row(drawn), scenes.table)

# %% [markdown]
# Now move it yourself, and watch poles and house walls. At strength 0, "what" costs 7 % of this frame's pixels, "where"
# 0.6 %: in this network, trained once on rendered scenes, the choice of channels does nearly all the work.


# %% tags=["slider"]
knob = ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.1, continuous_update=False)


@ipywidgets.interact(strength=knob, gates=["both", "what", "where"])
def turn(strength: float, gates: str):
    name = f"{gates}: strength {strength:.1f}"
    drawn = {"frame": image, name: mask_at(strength, gates)}
    return with_legend(ours.picture_row(drawn, columns=2), scenes.table)


# %% [markdown]
# ## A gate that cannot shut
# One published variant puts a ReLU before each sigmoid. A logit below 0 becomes 0, and σ(0) = ½: no gate falls below
# one half. In the bars above, all that lies under the orange line would rise to it. How many gates is that here?

# %%
for kind in ("channel", "spatial"):
    letter = kind[0].upper()
    some = torch.cat(
        [g.flatten() for g in named(f"{letter}_low", f"{letter}_high").values()]
    )
    below = (some < 0.5).float().mean()
    print(
        f"{below:.0%} of {len(some):,} {kind} gates of this frame: below one half"
    )
variant = cross_cbam.CCBAM(256, relu_before_sigmoid=True)
lowest = min(float(gate.min()) for gate in gates(variant, *arrived["1/8"]).values())
print(f"lowest gate of the variant, untrained: {lowest:.2f}")

# %% [markdown]
# The paper has no such ReLU. The package keeps it as a switch, `relu_before_sigmoid`, for an ablation.
#
# What is done so far:

# %%
course.progress()

# %% [markdown]
# ## The end
# The whole block stands in exercise 05.3, one cell; that it equals the package's, `check` has shown in float64, and the
# street has shown once more: same weights, same mask.
#
# **In five lines**
# 1. A gate multiplies by 0…1: per channel it says what, per place it says where.
# 2. Channel gates see maximum and mean of a whole channel; spatial gates see maximum and mean of one place only.
# 3. Two crossings: low's channel gates act on high and high's on low; then the spatial gates cross as well.
# 4. The four modules are separate. Together they cost 16,934 parameters at width 256: 0.15 % of the network.
# 5. The trained network needs the channel crossing; its spatial gates change little.
#
# <details><summary>Five review questions</summary>
#
# 1. *Which map's content does $F_{high}$ hold?* Low's. The index names the guide.
# 2. *Why must both inputs have one shape?* Gates of one multiply the other, channel by channel and place by place.
# 3. *What would a 7×7 convolution in spatial attention cost, and change?* 2·49 + 1 = 99 parameters instead of 3; and
#    every gate would see 49 places, not one.
# 4. *What do all gates at 0.5 do?* Each product holds two gates, so everything is a quarter of low + high.
# 5. *A colleague shares one ChannelAttention for both maps. Which printed number tells that the paper did not?* The
#    parameters in Tables 5 and 6.
#
# </details>
#
# **Beyond.** Give a street the channel gates of *another* street. How much is lost, and what does that say about the
# word attention? Build the 7×7 variant with the package's `SpatialAttention(kernel=7)` and count.
#
# **Papers.** Zhang et al., *Cross-CBAM*, arXiv:2306.02306, section 3.2; Woo et al., *CBAM*, ECCV 2018; Hu et al.,
# *Squeeze-and-Excitation Networks*, CVPR 2018.
#
# **Next.** Lesson 06 puts backbone, SE-ASPP and CCBAM together, and counts.
