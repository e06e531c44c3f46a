# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · SE-ASPP
# At the end you have built the part that gives Cross-CBAM its wide view, and you can check a paper's "FLOPs" by hand.
#
# **90 minutes to work through** · 0.3 min of computing on two CPU cores · 1 GB of memory · data: rendered scenes, no download · needs lesson 03 · 5 exercises

# %% tags=["setup"]
import ipywidgets
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import edgeseg.models.cross_cbam as package
from edgeseg import course
from edgeseg.course.lessons import lesson_04 as ours
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.models.counts import count, count_by_rules
from edgeseg.models.layers import ConvBNReLU, GlobalAvgPool, GlobalMaxPool
from edgeseg.models.papers import MMCV_SYNCBN_RULES, count_as_cross_cbam_paper

lesson = course.begin("04", version="0.1")

# %% [markdown]
# Today's part is orange: it stands between the backbone and the decoder, at 1/32.

# %%
course.network_map("SE-ASPP", built=("backbone",))

# %% [markdown]
# ## Where we are
#
# ```python
# f8, f16, f32 = backbone(image)   # lesson 03
# y = context(f32)                 # today: (N, 1024, h, w) → (N, 256, h, w)
# y = decoder(f8, f16, y)          # lessons 05, 06
# ```
#
# One small box on the map, and the largest part of the network: it has more parameters than the whole backbone. See
# which of its layers hold them.


# %% tags=["nbval-check-output"]
def size_of(part):
    """Parameters."""
    return sum(p.numel() for p in part.parameters())


net = load_segmenter("cross_cbam_m.streets", lesson.device)
context = net.model.context
for name in ("branches", "squeeze", "excite", "project"):
    print(f"{name:<10}{size_of(getattr(context, name)):>12,}")
print(f"{'together':<10}{size_of(context):>12,}")

# %% [markdown]
# ## The paper
#
# Section 3.3 and Fig. 6. DeepLab's *atrous spatial pyramid pooling* (ASPP) runs convolutions with different dilations
# side by side, so that one place sees near and far. SE-ASPP is the light version: two branches, **added**, and instead
# of a pooled and resized image branch a *squeeze and excitation* gate.
#
# | symbol | here | meaning |
# |---|---|---|
# | rate $d$ | `dilations` | distance between a kernel's weights, in cells |
# | $C$ | `in_channels` | 1024, from stage 5 |
# | $c$, "channels" in Table 6 | `out_channels` | 256; width of branches and output |
# | SE | `squeeze`, `excite` | one gate between 0 and 1 for each of the $C$ channels |
#
# $$y = \text{project}\big(\text{cat}\big[\textstyle\sum_d \text{branch}_d(x),\; x \cdot \text{gate}(x)\big]\big)$$

# %% tags=["nbval-check-output"]
f32 = torch.zeros(1, 1024, 16, 32, device=lesson.device)  # of a 512×1024 image
with torch.no_grad():
    print(tuple(f32.shape), "→", tuple(context(f32).shape))

# %% [markdown]
# <details><summary>What the paper does not say, and what we chose</summary>
#
# | open | chosen | why |
# |---|---|---|
# | a branch of rate 1 among three, as in (1, 3, 5) | 1×1; for (1, 3) the paper says so | Table 5 |
# | three branches: added, too? | yes | Table 5 |
# | width of the squeeze | $c$ = 256, not $C/16$ = 64 as SE-Net has | Tables 5 and 6 |
# | the last convolution | 3×3 over $C + c$ channels | Tables 5 and 6 |
# | biases in the gate | yes | usual; the tables cannot tell: 1,280 parameters are below their last digit |
#
# </details>

# %% [markdown] tags=["predict"]
# **Predict.** Table 5 of the paper compares rates. (1, 3) has **12.21** M parameters, (2, 4) has **14.31** M. Both have
# two branches with 256 channels each, and dilation adds no weights. Where do 2.10 M parameters come from?
#
# <details><summary>Answer</summary>
#
# A kernel of rate 1 has nothing to spread, and the paper makes it a **1×1** convolution. Rate 2 is a 3×3. That is eight
# more weights for each pair of channels: $8 \cdot 1024 \cdot 256 = 2{,}097{,}152$. So (2, 4) against (1, 3) compares
# not just rates, but a larger network with a smaller one.
#
# </details>

# %% [markdown]
# ## 1 · Atrous convolution
#
# *À trous* is French for "with holes". The nine weights of a 3×3 kernel move apart by the dilation $d$: more view, no
# more weights, no more work.
#
# ### Exercise 04.1 · What a chain sees   ●●●○○ · 15 minutes
#
# Along one side, an output depends on cells at certain **offsets** from its own place. A kernel of 3 with dilation 2:
# -2, 0, 2. A chain of such layers: every offset that one step from each layer can add up to. Write them as a sorted
# list, each once.


# %% tags=["exercise"]
def seen_offsets(dilations, kernel=3):
    """Offsets that a chain of dilated convolutions depends on: [2] → [-2, 0, 2]."""
    ### BEGIN SOLUTION
    offsets = {0}
    for d in dilations:
        steps = [d * i for i in range(-(kernel // 2), kernel // 2 + 1)]
        offsets = {offset + step for offset in offsets for step in steps}
    return sorted(offsets)
    ### END SOLUTION


# %% tags=["reference"]
def measured_offsets(dilations, kernel=3):
    """Offsets that a chain of dilated convolutions depends on, by gradient."""
    x = torch.ones(1, 1, 201, requires_grad=True)
    y = x
    ones = torch.ones(1, 1, kernel)
    for d in dilations:
        y = F.conv1d(y, ones, padding=d * (kernel // 2), dilation=d)
    y[0, 0, 100].backward()
    return [int(i) - 100 for i in x.grad[0, 0].nonzero()]


# %% tags=["check"]
chains = ([2], [1, 1], [2, 2], [3, 1], [4, 1], [1, 2, 5], [])
tries = [*map(course.case, chains), course.case([2, 3], kernel=5)]
seen_offsets = course.check(seen_offsets, measured_offsets, *tries, exercise="04.1")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Where to begin*: without any layer an output is its own cell: offset 0. Each layer turns every offset into three.
# - *Too few in a chain*: all combinations count: the steps of layer 2 start at **each** offset of layer 1.
# - *Too many numbers*: several ways can lead to the same offset; a `set` keeps it once.
# - *Wrong for a kernel of 5*: its steps are $-2d, -d, 0, d, 2d$.
#
# </details>

# %% [markdown]
# Left, the nine weights of dilation 3 on a scene at 512×1024: they span 7×7 cells. From cell to cell are 32 pixels, so
# that adds 6·32 = 192 pixels to what one cell sees already. Right, what three such layers in a chain see: 7 of 19 cells
# along each side. The holes are called **gridding**.

# %%
scene, _ = Streets("val", size=(512, 1024))[4]
ours.dilated(scene, 3, seen_offsets([3, 3, 3]))

# %% [markdown]
# Move the dilation. "Alone" is one layer; "then project" has SE-ASPP's own 3×3 projection behind it. Find the largest
# dilation whose holes the projection closes.

# %% tags=["slider"]
chains = {
    "alone": lambda d: [d],
    "then project": lambda d: [d, 1],
    "three alike": lambda d: [d, d, d],
}


def show(dilation=3, chain="then project"):
    return ours.dilated(scene, dilation, seen_offsets(chains[chain](dilation)))


knob = ipywidgets.IntSlider(3, min=1, max=6, continuous_update=False)
_ = ipywidgets.interact(show, dilation=knob, chain=list(chains))

# %% [markdown]
# <details><summary>Found it?</summary>
#
# It is 3, the rate that the paper takes. The paper does not give this reason; its rates come from trying.
#
# </details>
#
# Why not 12, 24, 36, as DeepLab? On a map of 16×32 cells a wide kernel reaches over the border nearly everywhere, where
# there are only zeros. See the bars fall: at 36 nothing but the weight in the middle is left, a 1×1 convolution at the
# cost of a 3×3.

# %%
ones, nine = torch.ones(1, 1, 16, 32), torch.ones(1, 1, 3, 3)
rates = (1, 2, 3, 4, 5, 6, 12, 24, 36)
inside = [F.conv2d(ones, nine, padding=d, dilation=d).mean() / 9 for d in rates]
ours.rate_bars(dict(zip(rates, map(float, inside))), (16, 32))

# %% [markdown]
# ### Exercise 04.2 · Padding that keeps the size   ●○○○○ · 8 minutes
#
# Branches can only be added if they have one size. Write the zeros to add at each end, so that a convolution with
# stride 1 keeps the size, for any odd kernel and any dilation. Start from the size formula of lesson 03; what does the
# kernel span?


# %% tags=["exercise"]
def same_padding(kernel, dilation):
    """Zeros at each end that keep the size with stride 1: (3, 1) → 1."""
    ### BEGIN SOLUTION
    span = dilation * (kernel - 1) + 1  # cells from the first weight to the last
    return (span - 1) // 2
    ### END SOLUTION


# %% tags=["reference"]
def package_padding(kernel, dilation):
    """What the package's own layer pads."""
    return ConvBNReLU(1, 1, kernel, dilation=dilation).conv.padding[0]


# %% tags=["check"]
tries = [course.case(*c) for c in ((3, 1), (3, 3), (1, 1), (1, 4), (5, 2), (7, 3))]
same_padding = course.check(same_padding, package_padding, *tries, exercise="04.2")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Right for dilation 1 only*: a 3×3 kernel of dilation 3 spans 7 cells, so it needs 3 zeros at each end.
# - *Wrong for a kernel of 1*: one weight spans one cell, however large the dilation.
# - *Twice too much*: zeros lie at both ends, so each end needs half of what the kernel takes away.
#
# </details>

# %% [markdown]
# ## 2 · Squeeze and excitation
#
# A branch looks a few cells far. A gate looks at everything at once: **squeeze** the map to one number a channel (its
# mean over all places), let two small layers compute with these numbers, and turn the answer into a factor between 0
# and 1 for each channel. "It is night" is such an answer: no single place can tell.
#
# ### Exercise 04.3 · Squeeze and excite   ●●○○○ · 12 minutes
#
# Return $x$ with each channel times its gate. `squeeze` and `excite` are pairs (weight, bias); `F.linear(v, *squeeze)`
# applies one: it does what a 1×1 convolution does on a map of one cell. Between the two stands a ReLU; a sigmoid ends
# the gate.


# %% tags=["exercise"]
def squeeze_and_excite(x, squeeze, excite):
    """x (N, C, h, w), squeeze (c, C), (c,), excite (C, c), (C,) → (N, C, h, w)."""
    ### BEGIN SOLUTION
    mean = x.mean((2, 3))  # (N, C)
    hidden = torch.relu(F.linear(mean, *squeeze))  # (N, c)
    gate = torch.sigmoid(F.linear(hidden, *excite))  # (N, C)
    return x * gate[:, :, None, None]
    ### END SOLUTION


# %% tags=["check"]
tries = []
for n, c in ((6, 4), (16, 8)):
    squeeze = torch.randn(c, n), torch.randn(c)
    excite = torch.randn(n, c), torch.randn(n)
    tries.append(course.case(torch.randn(2, n, 5, 7) + 1, squeeze, excite))
squeeze_and_excite = course.check(
    squeeze_and_excite, ours.squeeze_and_excite, *tries, exercise="04.3"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Shapes cannot be multiplied*: `F.linear` wants (N, C): `x.mean((2, 3))`.
# - *The shape is (N, C)*: that is the gate; it is to be multiplied with `x`.
# - *The size of tensor a must match*: the gate (N, C) needs two more dimensions: `gate[:, :, None, None]`.
# - *Right shape, other numbers*: mean, not maximum; ReLU in the middle, sigmoid at the end, not the other way round.
#
# </details>

# %% [markdown]
# ## 3 · The whole module
#
# ### Exercise 04.4 · SEASPP   ●●●○○ · 20 minutes
#
# Branches: `ConvBNReLU(in_channels, out_channels, kernel, dilation=d)`, one for each $d$; kernel 1 if $d = 1$, else 3.
# Add them up. The gate's 1×1 `nn.Conv2d` have biases and the squeeze is `out_channels` wide. For its mean, ReLU and
# sigmoid take the modules `GlobalAvgPool()`, `nn.ReLU()`, `nn.Sigmoid()`: a counter in lesson 06 sees modules only, and
# `counted=True` in the check asks for them. Concatenate the sum and the gated input, in this order, and project with a 3×3 `ConvBNReLU`.


# %% tags=["exercise", "build"]
class SEASPP(nn.Module):
    """Squeeze-and-excitation atrous pyramid pooling: (N, C, h, w) → (N, c, …)."""

    def __init__(self, in_channels, out_channels, dilations=(1, 3)):
        super().__init__()
        ### BEGIN SOLUTION
        n, c = in_channels, out_channels
        self.branches = nn.ModuleList(
            ConvBNReLU(n, c, 1 if d == 1 else 3, dilation=d) for d in dilations
        )
        self.squeeze, self.excite = nn.Conv2d(n, c, 1), nn.Conv2d(c, n, 1)
        self.pool, self.relu, self.sigmoid = (
            GlobalAvgPool(),
            nn.ReLU(),
            nn.Sigmoid(),
        )
        self.project = ConvBNReLU(n + c, c)
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        pyramid = sum(branch(x) for branch in self.branches)  # (N, c, h, w)
        gate = self.sigmoid(self.excite(self.relu(self.squeeze(self.pool(x)))))
        return self.project(torch.cat([pyramid, x * gate], dim=1))  # (N, c, h, w)
        ### END SOLUTION


# %% tags=["check"]
SEASPP = course.check(
    SEASPP,
    package.SEASPP,
    course.case(32, 8, inputs=[(2, 32, 9, 12)]),
    course.case(16, 12, (1, 3, 5), inputs=[(2, 16, 7, 5)]),
    course.case(16, 4, dilations=(2, 4), inputs=[(2, 16, 6, 9)]),
    exercise="04.4",
    counted=True,
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *size of tensor … must match*: a number without a name landed on another argument: write `dilation=d`.
# - *Layers in a plain list*: PyTorch sees them only in `nn.ModuleList(…)`.
# - *The layers do not hold the same weights*: the first line with ≠ tells which convolution has another kernel or
#   width.
# - *Right for (1, 3), not for (2, 4)*: ask whether $d$ is 1, not whether it is the first branch.
# - *Differs at cat*: first the sum, then the gated input, along `dim=1`.
#
# </details>

# %% [markdown]
# ### Why it must be so
#
# Each choice that the paper leaves open changes the parameters, and Table 5 prints them: **12.21** M for (1, 3). Build
# the other readings. For the concatenation, the class needs another end:


# %%
class Concatenated(package.SEASPP):
    def forward(self, x):
        gate = self.sigmoid(self.excite(self.relu(self.squeeze(self.pool(x)))))
        parts = [branch(x) for branch in self.branches]
        return self.project(torch.cat([*parts, x * gate], dim=1))


# %% [markdown]
# Only the first line gives both printed numbers, 11.31 and 12.21.


# %%
def counted(name, **parts):
    """The whole network's printed numbers with other parts in its SE-ASPP."""
    whole = package.CrossCBAM(19)
    for part, other in parts.items():
        setattr(whole.context, part, other)
    gflops, params = count_as_cross_cbam_paper(whole)
    print(f"{name:<26}{gflops:6.2f} GFLOPs {params:6.2f} M")


# %% tags=["nbval-check-output"]
with torch.device("meta"):  # shapes without numbers
    counted("as built")
    thin = {"squeeze": nn.Conv2d(1024, 64, 1), "excite": nn.Conv2d(64, 1024, 1)}
    counted("squeeze to 1024/16", **thin)
    counted("project 1×1", project=ConvBNReLU(1280, 256, 1))
    square = nn.ModuleList(ConvBNReLU(1024, 256) for _ in range(2))
    counted("rate 1 as 3×3", branches=square)
    wide = {"__class__": Concatenated, "project": ConvBNReLU(1536, 256)}
    counted("concatenated, not added", **wide)

# %% [markdown]
# ## 4 · What "FLOPs" are
#
# The word means floating-point operations. A convolution multiplies and adds; PyTorch's own counter calls that two
# operations, many papers call it one. So first count **multiply-adds**, then ask what was printed.
#
# ### Exercise 04.5 · Multiply-adds of a convolution   ●●○○○ · 10 minutes
#
# Write the multiply-adds of a convolution on one input of `size` (height, width), padded so that stride 1 keeps the
# size. How many numbers come out, and how many products does each need?


# %% tags=["exercise"]
def conv_macs(in_channels, out_channels, kernel, size, stride=1, groups=1):
    """Multiply-adds of a convolution: (64, 128, 3, (8, 8)) → 4,718,592."""
    ### BEGIN SOLUTION
    height, width = (-(-side // stride) for side in size)  # rounded up
    outputs = out_channels * height * width
    return outputs * kernel * kernel * (in_channels // groups)
    ### END SOLUTION


# %% tags=["reference"]
def counted_macs(in_channels, out_channels, kernel, size, stride=1, groups=1):
    """Counted by PyTorch while a layer runs; it takes a multiply-add for two."""
    layer = ConvBNReLU(in_channels, out_channels, kernel, stride, groups=groups)
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(2, in_channels, *size))
    return counter.get_total_flops() // (2 * 2)  # two images, two operations


# %% tags=["check"]
tries = [
    course.case(64, 128, 3, (8, 8)),
    course.case(8, 4, 1, (9, 5), stride=2),
    course.case(8, 8, 5, (6, 7), groups=8),
]
tries.append(course.case(4, 8, 3, (7, 10), 2, groups=2))
conv_macs = course.check(conv_macs, counted_macs, *tries, exercise="04.5")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Twice as large*: one multiply-add is one here.
# - *Wrong with stride*: there are fewer places to compute: the size is divided and rounded **up**.
# - *Wrong with groups*: each output looks at `in_channels / groups` channels only.
# - *Too few by a factor of the kernel*: a kernel of 3 has 3·3 places.
#
# </details>

# %% [markdown]
# Now Table 5's first row, part by part. The paper's tool (mmcv) goes through the layers and has a rule for each kind it
# knows: a convolution costs its multiply-adds, plus one for each output if it has a bias; a ReLU its outputs; a pooling
# its *inputs*; batch normalisation, in the synchronised form that the authors used, nothing. The sum is the printed
# **11.31**.

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    whole = package.CrossCBAM(19)
kinds = {"convolutions, with biases": (nn.Conv2d,), "ReLU": (nn.ReLU,)}
kinds["average pooling"] = (nn.AvgPool2d,)
kinds["global pooling"] = (GlobalAvgPool, GlobalMaxPool)
total, size = 0, (512, 1024)
for name, classes in kinds.items():
    rules = {kind: MMCV_SYNCBN_RULES[kind] for kind in classes}
    operations = count_by_rules(whole, size, rules)
    total += operations
    print(f"{name:<26}{operations / 1e6:>10,.1f} million")
print(f"{'together':<26}{total / 1e6:>10,.1f} million = {total / 1e9:.2f} G")
print(f"multiply-adds alone: {count(whole, size).macs / 1e9:.2f} G", end=", ")
print(f"so true FLOPs: {2 * total / 1e9:.1f} G or more")

# %% [markdown]
# So "11.31 GFLOPs" are multiply-adds. Whoever compares them with a network that was counted the other way is wrong by a
# factor of 2.
#
# Now all of Table 5, from one switch. The paper's parameters include the auxiliary head and a classifier inside SE-ASPP
# that nothing uses ($19 \cdot 256 + 19$); the last column is what inference needs.

# %% tags=["nbval-check-output"]
printed = {(1, 3): "11.31 12.21", (2, 4): "12.39 14.31", (3, 5): "12.39 14.31"}
printed |= {(1, 3, 5): "12.52 14.57", (2, 4, 6): "13.60 16.67"}
for dilations, paper in printed.items():
    with torch.device("meta"):
        whole = package.CrossCBAM(19, dilations=dilations)
        own = SEASPP(1024, 256, dilations)
    here = "{:.2f} {:.2f}".format(*count_as_cross_cbam_paper(whole))
    same = here == paper and size_of(own) == size_of(whole.context)
    print(f"{dilations!s:<10} paper {paper}   here {here}", end="   ")
    print("same" if same else "differs", f"  {count(whole, (512, 1024)).params:,}")

# %% [markdown]
# Where do 12.39 − 11.31, 1.08 with both rounded, come from? `conv_macs` tells: from one branch that is 3×3 instead of
# 1×1, at 16×32 places. The mIoU in the same table, 74.19 for (1, 3) and 75.30 for (3, 5), is one training run each, and the second is the
# larger network.

# %% tags=["nbval-check-output"]
wide, narrow = (conv_macs(1024, 256, kernel, (16, 32)) for kernel in (3, 1))
more = (wide - narrow) / 1e9
print(f"3×3: {wide:,}   1×1: {narrow:,}   difference: {more:.4f} G")

# %% [markdown]
# ## 5 · The gates at work
#
# What did the trained network make of its 1024 gates? Take some streets by day (or dusk), and the **same** streets in
# dense fog and at night. How far do the gates move from one street to the next, and how far with the weather?

# %%
n = lesson.pick(12, 5)
weathers = {"day": {}, "dense fog": {"fog": "dense"}, "night": {"night": True}}
scenes, gates = {}, {}
for name, factors in weathers.items():
    streets = Streets("val", size=(288, 384), **factors)
    scenes[name] = [streets[i] for i in range(n)]  # image and label each
    every = [ours.gates_of(net, image) for image, _ in scenes[name]]
    gates[name] = torch.stack(every)  # (n, 1024)
others = {"another street": gates["day"].roll(1, dims=0), **gates}
for name in ("another street", "dense fog", "night"):
    distance = (others[name] - gates["day"]).abs().mean()
    print(f"{name:<15} mean distance of a gate: {distance:.3f}")

# %% [markdown]
# Bottom left: how many channels have which gate. Most are nearly shut, some wide open: a strong choice. Then, channel
# by channel, each scene's gates against the first one's. See how another street stays near the line, while fog and
# night move channels away from it.

# %%
shown = {"day": ("day", 4), "another street": ("day", 1)}
shown |= {weather: (weather, 4) for weather in ("dense fog", "night")}
images = {title: scenes[name][i][0] for title, (name, i) in shown.items()}
clouds = {title: gates[name][i] for title, (name, i) in shown.items()}
ours.gate_clouds(images, clouds)

# %% [markdown]
# Are the gates *needed*? Fix them, and count right pixels: once with the mean gates of the day scenes in all weathers,
# once with all gates open.


# %%
def accuracy(pairs, gate=None):
    """Right pixels in percent, with a fixed gate or with the network's own."""
    hook = ours.with_gate(net, gate)
    right = total = 0
    for image, label in pairs:
        right += (net.predict(image) == label)[label != 255].sum()
        total += (label != 255).sum()
    hook.remove()
    return 100 * right / total


# %%
mean = gates["day"].mean(0)
choices = {"own gates": None, "day's mean gates": mean}
choices["all open"] = torch.ones_like(mean)
for weather, pairs in scenes.items():
    found = [
        f"{name} {accuracy(pairs, gate):.1f}" for name, gate in choices.items()
    ]
    print(f"{weather:<10}", "   ".join(found))

# %% [markdown]
# By day and in dense fog one fixed choice is as good: whatever the gate computes, it is nearly the same every time. At
# night the own gates gain less than half a point. All gates open cost two points and more: a choice is needed, but a new
# choice for each image hardly is. Neither night nor dense fog was in the training scenes, and this is one network from
# one run: it shows this network, and proves nothing about others.
#
# ## The end
#
# The whole class stands in exercise 04.4. Here is the one that this notebook goes on with, beside the package's, at the
# sizes of Table 6.

# %% tags=["nbval-check-output"]
for channels in (128, 256, 512):
    with torch.device("meta"):
        here, theirs = SEASPP(1024, channels), package.SEASPP(1024, channels)
    same = "same" if size_of(here) == size_of(theirs) else "not the same"
    print(f"{channels} channels: {size_of(here):>10,} parameters, {same}")

# %% [markdown]
# **Five lines to keep**
#
# 1. Dilation moves weights apart: wider view, no more weights, but holes.
# 2. A rate-1 atrous convolution is here a 1×1. So Table 5 compares networks of different size.
# 3. Branches are added; the gated input is concatenated; a 3×3 projects.
# 4. The gate is a choice of channels that hardly changes from street to street.
# 5. This paper's FLOPs are multiply-adds, by one tool's rules.
#
# <details><summary>Five questions</summary>
#
# 1. *Why may branches only be added if they have one size and one width?* Addition goes number by number.
# 2. *What does a gate of 0 do to a channel?* The projection no longer sees it; the branches still do.
# 3. *Why is the gate cheap although it has half a million parameters?* It works on one number a channel, not on a map.
# 4. *Your map has 9×12 cells. Is a dilation of 12 of use?* No: all weights but the middle one lie in the padding.
# 5. *A table says 22.6 GFLOPs, another 11.3, for one network. Who is right?* Both, if one counts a multiply-add as two.
#
# </details>
#
# **Go on.** Which channels open at night? Look at what they show in lesson 03's way.
#
# **Read.** Chen et al., *Rethinking Atrous Convolution*, 2017. Hu et al., *Squeeze-and-Excitation Networks*, CVPR 2018.
#
# **Next.** Lesson 05: CCBAM joins this map with a finer one.

# %%
course.progress()
