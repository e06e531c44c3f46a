# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · The STDC backbone
# At the end you have built STDC1 and STDC2, the part of Cross-CBAM that turns an image into three maps of features, and
# you know how far each of its branches sees.
#
# **90 minutes to work through** · 0.2 min of computing on two CPU cores · 1.5 GB of memory · data: rendered scenes, no download · needs nothing · 5 exercises

# %% tags=["setup"]
import ipywidgets
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import edgeseg.models.stdc as package
from edgeseg import course
from edgeseg.course.lessons import lesson_03 as ours
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.models.cross_cbam import CrossCBAM
from edgeseg.models.layers import ConvBNReLU, resize
from edgeseg.models.papers import count_as_cross_cbam_paper

lesson = course.begin("03", version="0.1")

# %% [markdown]
# Today's part is orange: the upper row, from the image down to 1/32 of its size.

# %%
course.network_map("backbone")

# %% [markdown]
# ## Where we are
#
# The whole network is four lines. Today we write the first; the parts of later lessons are the package's until then.
#
# ```python
# f8, f16, f32 = backbone(image)   # today: maps at 1/8, 1/16, 1/32
# y = context(f32)                 # lesson 04: SE-ASPP
# y = decoder(f8, f16, y)          # lessons 05, 06: CCBAM twice
# mask = classifier(y)             # lesson 06
# ```
#
# Here are the parts of the finished network, with their parameters. Nearly half of what it needs is the backbone.


# %% tags=["nbval-check-output"]
def size_of(part):
    """Parameters."""
    return sum(p.numel() for p in part.parameters())


net = load_segmenter("cross_cbam_m.streets", lesson.device)
for name, part in net.model.named_children():
    print(f"{name:<12}{size_of(part):>12,}")

# %% [markdown]
# ## The paper
#
# Section 3.1 of the Cross-CBAM paper takes the backbone from Fan et al. (STDC). It is made of *short-term dense
# concatenate* modules: a short chain of convolutions, and **every** result of the chain goes into the output:
#
# $$x_\text{output} = F(x_1, x_2, \dots, x_n) \tag{1}$$
#
# | symbol | here | meaning |
# |---|---|---|
# | $M$, $N$ | `in_channels`, `out_channels` | channels in, channels out |
# | $x_i$ | `x1` … `x4` | result of block $i$: convolution, batch normalisation, ReLU |
# | $F$ | `torch.cat(…, dim=1)` | concatenation along the channels |
# | $N/2^i$ | `out_channels // 2**i` | channels of block $i$; the last has as many as the one before |
# | S, R, C (Table 1) | `stride`, `modules`, … | stride, repetitions, channels of a stage |
#
# Block 1 is 1×1, the others are 3×3.

# %% [markdown]
# Table 1 gives a stage's stride-2 module a line of its own. Added up, the stages are:
#
# | stage | made of | size | channels | STDC1 | STDC2 |
# |---|---|---|---|---|---|
# | 1 | 3×3 convolution, stride 2 | 1/2 | 32 | 1 | 1 |
# | 2 | 3×3 convolution, stride 2 | 1/4 | 64 | 1 | 1 |
# | 3 | STDC modules, the first with stride 2 | 1/8 | 256 | 2 | 4 |
# | 4 | the same | 1/16 | 512 | 2 | 5 |
# | 5 | the same | 1/32 | 1024 | 2 | 3 |

# %% tags=["nbval-check-output"]
backbone = net.model.backbone  # Cross-CBAM-M has STDC1
stages = backbone.stage3, backbone.stage4, backbone.stage5
print("modules:", [len(stage) for stage in stages])
print("channels:", backbone.channels)

# %% [markdown]
# <details><summary>What the paper does not say, and what we chose</summary>
#
# | open | chosen | why |
# |---|---|---|
# | $n$ in Eq. 1 | 4 blocks | the printed parameters |
# | which maps are pooled with stride 2 | only $x_1$ | the printed FLOPs, see section 3 |
# | how the others become smaller | after block 1, a depthwise 3×3 convolution with stride 2 and batch norm, no ReLU | the same |
# | anything after the concatenation | nothing | the printed parameters |
#
# </details>

# %% [markdown] tags=["predict"]
# **Predict.** A module with stride 2 must give four maps of half the size, or they could not be concatenated. The paper
# writes that the maps of different blocks are brought to one size by average pooling. How many of the four go through
# the pooling: four, three, or one? Decide before you open the answer.
#
# <details><summary>Answer</summary>
#
# One: the first. A stride-2 convolution stands between block 1 and block 2, so blocks 2, 3 and 4 work on the small map
# from the start. Only $x_1$ is still large. In section 3 you will see that the paper's own numbers leave no other
# reading.
#
# </details>

# %% [markdown]
# ## 1 · Shapes by hand
#
# Much of a backbone is about sizes. It saves time, in all lessons, if you can tell a map's size without running
# anything.
#
# The next cell measures: it makes a convolution and looks. You will write the formula.


# %% tags=["reference"]
def measured_size(size, kernel, stride, padding):
    """Numbers along one side after a convolution, measured."""
    x, weight = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel)
    return F.conv1d(x, weight, stride=stride, padding=padding).shape[-1]


print("224 →", measured_size(224, kernel=3, stride=2, padding=1))

# %% [markdown]
# ### Exercise 03.1 · Size after a convolution   ●○○○○ · 8 minutes
#
# Along one side lie `size` numbers, with `padding` zeros added at **both** ends. The kernel covers `kernel` of them and
# moves on by `stride`. Count its places. It must never reach over the end.
#
# Draw it for `size=7, kernel=3, stride=2, padding=1` first.


# %% tags=["exercise"]
def conv_size(size, kernel, stride, padding):
    """Numbers along one side after a convolution: (224, 3, 2, 1) → 112."""
    ### BEGIN SOLUTION
    room = size + 2 * padding - kernel  # how far the kernel's first number can move
    return room // stride + 1
    ### END SOLUTION


# %% tags=["check"]
tries = [course.case(size, 3, 2, 1) for size in (224, 45, 90)]
tries += [course.case(*c) for c in ((31, 5, 3, 0), (12, 1, 2, 0), (9, 7, 1, 3))]
conv_size = course.check(conv_size, measured_size, *tries, exercise="03.1")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Right for even sizes only*: a place that does not fit wholly is dropped, so the division rounds down (`//`).
# - *Always one too few*: the kernel has a place before it moves at all.
# - *Off by the padding*: there are two ends.
# - *A float*: use `//`, not `/`.
#
# </details>

# %% [markdown]
# Now the five stages at a camera's 720×960. Every stage halves with a 3×3 kernel, stride 2, padding 1. Look at the last
# line: 45 is odd, so 720/32 is no integer. This is why the decoder resizes to a target size, never by a factor.

# %% tags=["nbval-check-output"]
height, width = 720, 960
for stage in range(1, 6):
    height, width = conv_size(height, 3, 2, 1), conv_size(width, 3, 2, 1)
    print(f"stage {stage}: {height}×{width}")

# %% [markdown]
# ## 2 · Why a chain, and why ever narrower
#
# Street scenes need two things at once: a pole is a few pixels wide, a bus fills half the image. Small kernels show
# detail, large views show what a thing is. A **receptive field** is the square of input pixels that one number can depend on.
#
# A chain of 3×3 convolutions widens it step by step: 3, 5, 7. Keep all intermediate results, and the output holds
# several views at once. That is the module's idea.
#
# ### Exercise 03.2 · How far a chain sees   ●●●○○ · 15 minutes
#
# Write the side of the receptive field after a list of layers, each `(kernel, stride)`, the first one first. Go along
# the list and keep two numbers: the `field` so far, and the `jump`: how many **input** pixels lie between two
# neighbours of the present map.


# %% tags=["exercise"]
def receptive_field(layers):
    """Side of the receptive field after (kernel, stride): [(3, 1), (3, 1)] → 5."""
    ### BEGIN SOLUTION
    field, jump = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field
    ### END SOLUTION


# %% tags=["reference"]
def measured_field(layers):
    """Receptive field, one side, of (kernel, stride) layers, by gradient."""
    x = torch.ones(1, 1, 801, requires_grad=True)
    y = x
    for kernel, stride in layers:
        ones = torch.ones(1, 1, kernel)
        y = F.conv1d(y, ones, stride=stride, padding=kernel // 2)
    y[0, 0, y.shape[2] // 2].backward()  # one number in the middle
    seen = x.grad[0, 0].nonzero()  # the inputs that it depends on
    return int(seen.max() - seen.min()) + 1


# %% tags=["check"]
chains = [[(3, 1), (3, 1)], [(5, 1)], [(3, 2), (3, 1)]]
chains += [[(3, 2), (1, 1), (5, 2), (3, 1)], [(3, 2)] * 5, [(1, 1)] * 3]
tries = map(course.case, chains)
receptive_field = course.check(
    receptive_field, measured_field, *tries, exercise="03.2"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *4 instead of 5 or 6 instead of 5*: with no layer at all, one number sees one pixel. A kernel of 3 adds **two**
#   neighbours.
# - *Wrong as soon as there is a stride*: a neighbour is `jump` pixels away, not one. So a kernel adds `(kernel - 1) *
#   jump`.
# - *Still wrong with strides*: a layer's stride widens the jump for the layers **after** it. Two strides of 2 make 4,
#   not 3.
# - *7 instead of 5*: you added `kernel * jump`. A kernel covers its own place already: it adds `kernel - 1` neighbours.
#
# </details>

# %% [markdown]
# And the widths? A 3×3 convolution costs $9 \cdot \text{in} \cdot \text{out}$ weights, so half the width on both sides
# costs a quarter. The picture takes a module with $M = N = 256$.
#
# See how branch 1 gives half of the channels for a quarter of the weights, since it is 1×1. From branch 2 on each
# branch sees farther and costs less, since it is narrower.

# %%
m = n = 256
widths = [n // 2, n // 4, n // 8, n // 8]
weights = [m * widths[0]] + [9 * widths[i] * widths[i + 1] for i in range(3)]
views = [receptive_field([(1, 1)] + [(3, 1)] * i) for i in range(4)]
print(f"all four: {sum(weights):,} weights; a plain 3×3 convolution: {9 * m * n:,}")
ours.branch_bars(widths, weights, views)

# %% [markdown]
# ## 3 · The module
#
# With stride 1 the module is Eq. 1 as it stands. With stride 2 there are two additions:
#
# ```
#              ┌─ average pooling 3×3, stride 2 ──────────────────────┐
# x ─ block 1 ─┤                                                      ├ cat
#              └─ depthwise 3×3, stride 2 ─ block 2 ─┬─ block 3 ─┬─ block 4
#                 (batch norm, no ReLU)              └─ cat      └─ cat
# ```
#
# Block 1 runs at full size. *Depthwise* means that every channel has a kernel of its own: `groups=channels`.
#
# ### Exercise 03.3 · The STDC module   ●●●○○ · 20 minutes
#
# Write it for both strides, (batch, M, H, W) → (batch, N, ⌈H/s⌉, ⌈W/s⌉). The pooling is the module `nn.AvgPool2d(3,
# stride=2, padding=1)`, not a function: lesson 06 counts modules, so the check asks for them (`counted=True`).
# `ConvBNReLU(in_channels, out_channels, kernel=3,
# stride=1, *, groups=1, relu=True)` is given (the last two by name); it pads so that stride 1 keeps the size.
# `nn.Identity()` does nothing.


# %% tags=["exercise", "build"]
class STDCModule(nn.Module):
    """Four convolutions in a chain, all four results concatenated (Eq. 1)."""

    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        ### BEGIN SOLUTION
        n = out_channels
        self.down = self.pool = nn.Identity()
        if stride == 2:
            self.down = ConvBNReLU(n // 2, n // 2, 3, 2, groups=n // 2, relu=False)
            self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.branch1 = ConvBNReLU(in_channels, n // 2, kernel=1)
        self.branch2 = ConvBNReLU(n // 2, n // 4)
        self.branch3 = ConvBNReLU(n // 4, n // 8)
        self.branch4 = ConvBNReLU(n // 8, n // 8)
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        x1 = self.branch1(x)  # (N, n/2, H, W): always full size
        x2 = self.branch2(self.down(x1))  # (N, n/4, H/s, W/s)
        x3 = self.branch3(x2)  # (N, n/8, H/s, W/s)
        return torch.cat([self.pool(x1), x2, x3, self.branch4(x3)], dim=1)
        ### END SOLUTION


# %% tags=["check"]
STDCModule = course.check(
    STDCModule,
    package.STDCModule,
    course.case(16, 32, inputs=[(2, 16, 9, 12)]),
    course.case(16, 32, 2, inputs=[(2, 16, 9, 12)]),
    course.case(32, 64, stride=2, inputs=[(2, 32, 8, 7)]),
    exercise="03.3",
    counted=True,
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Sizes of tensors must match*: something is concatenated at full size. Which branch is still large? Or is it one too
#   small, from a pooling without padding?
# - *The layers do not hold the same weights*: read both columns from the top; the first line with ≠ tells. A
#   convolution with as many groups as channels is depthwise.
# - *A relu in your depthwise convolution*: it has `relu=False`.
# - *Other numbers at the end, all layers right*: the order of the concatenation is $x_1 … x_4$; the pooling is an
#   average, its zeros at the border count.
#
# </details>

# %% [markdown]
# ### The surprise, checked
#
# Is it really only one branch? Tables 5 and 6 print **11.31** GFLOPs and **12.21** M parameters for the whole network.
# So we build three other readings of the text and count each in the paper's way (lesson 04 shows that way). In the
# reading closest to the sentence, all four blocks work at full size and all are pooled:


# %%
class AllPooled(package.STDCModule):
    def forward(self, x):
        maps = [self.branch1(x)]
        for branch in (self.branch2, self.branch3, self.branch4):
            maps.append(branch(maps[-1]))
        return torch.cat([self.pool(x) for x in maps], dim=1)


def pool_all(module):
    module.__class__, module.down = AllPooled, nn.Identity()


def stride_in_branch2(module):
    module.branch2.conv.stride, module.down = (2, 2), nn.Identity()


def with_relu(module):
    module.down.append(nn.ReLU())


# %% [markdown]
# Only one line below gives both printed numbers. Without the depthwise convolution, parameters are missing; with all
# four blocks at full size, the network costs two thirds more; and even one ReLU too many shows in the last digit.

# %% tags=["nbval-check-output"]
readings = {"only x1 pooled, depthwise conv": lambda module: None}
readings["all four pooled"] = pool_all
readings["stride 2 inside block 2"] = stride_in_branch2
readings["ReLU after the depthwise conv"] = with_relu
for name, change in readings.items():
    with torch.device("meta"):  # shapes without numbers: counting needs no more
        whole = CrossCBAM(19)
    for stage in ("stage3", "stage4", "stage5"):
        change(getattr(whole.backbone, stage)[0])
    found = "{:6.2f} GFLOPs {:6.2f} M".format(*count_as_cross_cbam_paper(whole))
    verdict = "   as printed" if found.split()[::2] == ["11.31", "12.21"] else ""
    print(f"{name:<32}{found}{verdict}")

# %% [markdown]
# ## 4 · Parameters to the digit
#
# If you can count a block on paper, you have understood it. A convolution without bias has $k^2 \cdot \text{in} \cdot
# \text{out}$ weights; divided by its groups. Batch normalisation has two numbers a channel.
#
# ### Exercise 03.4 · Parameters by formula   ●●○○○ · 12 minutes
#
# Write the number of parameters of a module from $M$ to $N$ channels, for both strides, without building anything. $N$
# is a multiple of 8.


# %% tags=["exercise"]
def module_parameters(m, n, stride=1):
    """Parameters of an STDC module from m to n channels: (64, 256, 2) → 111,488."""
    ### BEGIN SOLUTION
    half, quarter, eighth = n // 2, n // 4, n // 8
    convs = m * half + 9 * (half * quarter + quarter * eighth + eighth * eighth)
    norms = 2 * n  # the four branches have n channels together
    down = 9 * half + 2 * half if stride == 2 else 0  # depthwise: a 3×3 a channel
    return convs + norms + down
    ### END SOLUTION


# %% tags=["reference"]
def counted_parameters(m, n, stride=1):
    """Parameters of an STDC module from m to n channels, counted in a built one."""
    return sum(p.numel() for p in package.STDCModule(m, n, stride).parameters())


# %% tags=["check"]
tries = [course.case(256, 256), course.case(64, 256, 2), course.case(24, 8)]
tries.append(course.case(512, 1024, stride=2))
module_parameters = course.check(
    module_parameters, counted_parameters, *tries, exercise="03.4"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Far too many with stride 1*: block 1 is 1×1; the last block goes from $N/8$ to $N/8$.
# - *Too few by $2N$*: every branch has a batch normalisation; together they have $N$ channels.
# - *Far too many with stride 2*: a depthwise convolution sees one channel each: $9 \cdot N/2$ weights, not $9 \cdot
#   (N/2)^2$.
# - *Too few by $N$ with stride 2*: the depthwise convolution has a batch normalisation, too.
#
# </details>

# %% [markdown]
# Two single `ConvBNReLU` (stages 1 and 2) and the stages of Table 1, added up. The paper prints no parameters for its
# backbones; with these totals the whole network has the printed number.


# %% tags=["nbval-check-output"]
def backbone_parameters(modules):
    """Parameters of a backbone with so many modules in stages 3, 4 and 5."""
    total = 9 * 3 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64  # stages 1 and 2
    for m, n, count in zip((64, 256, 512), (256, 512, 1024), modules, strict=True):
        total += module_parameters(m, n, stride=2)
        total += (count - 1) * module_parameters(n, n)
    return total


for name, modules in (("STDC1", (2, 2, 2)), ("STDC2", (4, 5, 3))):
    print(f"{name}: {backbone_parameters(modules):,}")

# %% [markdown]
# ## 5 · The backbone
#
# ### Exercise 03.5 · The backbone   ●●●○○ · 15 minutes
#
# Put the stages together. `modules` says how many STDC modules stages 3, 4 and 5 have; `width` is the number of
# channels after stage 2, 64 in the paper. Stages 1 and 2 are one `ConvBNReLU` of stride 2 each. Stages 3, 4 and 5 have 4,
# 8 and 16 times as many channels, stage 1 half as many. Return the maps of stages 3, 4 and 5 as a list, the largest
# first. `nn.Sequential(*list_of_modules)` makes a stage.


# %% tags=["exercise", "build"]
class STDC(nn.Module):
    """(N, 3, H, W) → maps at 1/8, 1/16, 1/32 of 4, 8, 16 times `width` channels."""

    def __init__(self, modules=(2, 2, 2), width=64):
        super().__init__()

        ### BEGIN SOLUTION
        def stage(m, n, count):
            others = [STDCModule(n, n) for _ in range(count - 1)]
            return nn.Sequential(STDCModule(m, n, stride=2), *others)

        self.stage1 = ConvBNReLU(3, width // 2, stride=2)
        self.stage2 = ConvBNReLU(width // 2, width, stride=2)
        self.stage3 = stage(width, 4 * width, modules[0])
        self.stage4 = stage(4 * width, 8 * width, modules[1])
        self.stage5 = stage(8 * width, 16 * width, modules[2])
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        f8 = self.stage3(self.stage2(self.stage1(x)))
        f16 = self.stage4(f8)
        return [f8, f16, self.stage5(f16)]
        ### END SOLUTION


# %% tags=["check"]
STDC = course.check(
    STDC,
    package.STDC,
    course.case((2, 2, 2), 8, inputs=[(2, 3, 64, 96)]),
    course.case((1, 3, 2), width=16, inputs=[(2, 3, 70, 97)]),
    exercise="03.5",
    counted=True,
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Maps too small*: only the **first** module of a stage has stride 2.
# - *Channels do not fit*: the first module goes from the stage before to this one, the others from $N$ to $N$.
# - *It stops with fewer or more layers*: a stage of `count` modules is one with stride 2 and `count - 1` others.
# - *a layer has no counterpart, and you wrote `[module] * n`*: that is one module n times, with one set of weights; make
#   n of them, in a list comprehension.
# - *should be 3 things*: return stages 3, 4 and 5 only.
#
# </details>

# %% [markdown]
# ## 6 · How far each branch sees
#
# The formula of exercise 03.2 gives the receptive field of every branch in the image. The path into a module's output is
# the longest one; the pooling and the depthwise convolution both are `(3, 2)`.


# %%
def fields_by_formula(modules):
    """Receptive field in the image of each module's four branches."""
    path, fields = [(3, 2), (3, 2)], {}  # stages 1 and 2
    for stage, count in zip((3, 4, 5), modules, strict=True):
        for i in range(count):
            path += [(1, 1)] + [(3, 2)] * (i == 0)
            each = [receptive_field(path + [(3, 1)] * b) for b in range(4)]
            fields[f"stage {stage}.{i + 1}"] = each
            path += [
                (3, 1)
            ] * 3  # the next module takes all; branch 4 sees farthest
    return fields


fields = fields_by_formula((2, 2, 2))

# %% [markdown]
# A formula may be wrong in the same way as its author. So we measure, too: set all weights positive, so that nothing
# can cancel, choose one number of a branch, and ask by gradient which pixels it depends on. The width of the network
# does not matter here, so a narrow one is enough.


# %%
def seen_side(f):
    """How many columns of `strip` the middle of a map f (1, C, h, w) depends on."""
    middle = f[0, :, 0, f.shape[3] // 2].sum()
    (grad,) = torch.autograd.grad(middle, strip, retain_graph=True)
    seen = grad.abs().sum((0, 1, 2)).nonzero()
    return int(seen.max() - seen.min()) + 1


# %% tags=["nbval-check-output"]
plain = package.STDC((2, 2, 2), width=8).eval()
for m in plain.modules():
    if isinstance(m, nn.Conv2d):
        nn.init.constant_(m.weight, 1 / m.weight[0].numel())
strip = torch.ones(1, 3, 32, 1024, requires_grad=True)
for name, maps in ours.branch_maps(plain, strip).items():
    sides = [seen_side(f) for f in maps]  # of what each branch gives to the concat
    same = sides == fields[name]
    print(name, sides, "same" if same else f"formula: {fields[name]}")

# %% [markdown]
# In the picture, see two things. In the first module of a stage the four branches differ most: 15 to 63 pixels in stage
# 3. And at the end a number in the middle could see the whole of a 360×480 image; one at the left border could not.

# %%
ours.field_bars(fields, (360, 480))

# %% [markdown]
# *Could* see. Take the trained network and a real scene, and ask again by gradient, now with the weights as they are.
# The solid square is what the layers allow, the dashed one holds 90 % of the influence. Practice is much smaller than
# theory: the middle can be reached by many paths through the layers, the border by one.

# %%
scene, truth = Streets("val", size=(288, 384))[4]
image = torch.from_numpy(scene).to(lesson.device).permute(2, 0, 1)[None]
image = (image - net.mean) / net.std  # (1, 3, 288, 384)


def influence(stage=5, row=0.6, column=0.5):
    """One place of a stage's map: which pixels does it depend on, and how much?"""
    pixels = image.clone().requires_grad_()
    f = backbone(pixels)[stage - 3]
    y, x = int(row * f.shape[2]), int(column * f.shape[3])
    (grad,) = torch.autograd.grad(f[0, :, y, x].sum(), pixels)
    heat, side = grad[0].abs().sum(0).cpu(), fields[f"stage {stage}.2"][3]
    middle = (y * 2**stage, x * 2**stage)
    return ours.field_on_image(scene, heat, side, middle, stage)


influence()

# %% [markdown]
# Move the place and go down the stages. Watch the dashed square: does it grow as fast as the solid one?

# %% tags=["slider"]
how = {"min": 0, "max": 0.98, "step": 0.02, "continuous_update": False}
row, column = (ipywidgets.FloatSlider(value, **how) for value in (0.6, 0.5))
stage = ipywidgets.IntSlider(5, min=3, max=5, continuous_update=False)
_ = ipywidgets.interact(influence, stage=stage, row=row, column=column)

# %% [markdown]
# ## 7 · What the stages hold
#
# A map has 256 to 1024 channels, an eye has three. Principal components find the three directions in which a map varies
# most; as red, green and blue they show what a stage tells apart. Same colour means: looks the same to the network.
# Colours of two stages cannot be compared.


# %%
def as_colours(f):
    """A map's three strongest directions as an image: (1, C, h, w) → (h, w, 3)."""
    flat = f[0].flatten(1).T  # (h·w, C)
    flat = flat - flat.mean(0)
    _, _, directions = torch.pca_lowrank(flat, q=3, center=False)
    rgb = flat @ directions
    low, high = rgb.quantile(0.02, dim=0), rgb.quantile(0.98, dim=0)
    scaled = ((rgb - low) / (high - low)).clamp(0, 1)
    return scaled.view(*f.shape[2:], 3).cpu().numpy()


# %%
with torch.no_grad():
    maps = backbone(image)
pictures = {"scene": scene}
for i, f in enumerate(maps, start=3):
    _, c, h, w = f.shape
    pictures[f"stage {i}: {c} channels, {h}×{w}"] = as_colours(f)
ours.in_a_row(pictures)

# %% [markdown]
# Stage 3 keeps every outline. Stage 5 has 9×12 cells, and hardly a shape is left. But what does it *know*? A test:
# which single channel follows a class best? We choose it on some scenes and judge it on others, so that luck does not
# count. All maps are brought to 1/8.

# %%
count = lesson.pick(8, 3)
streets = Streets("val", size=(288, 384))
pairs = [streets[i] for i in range(2 * count)]
stacks = (torch.from_numpy(np.stack(each)) for each in zip(*pairs, strict=True))
pixels, labels = (stack.to(lesson.device) for stack in stacks)
with torch.no_grad():
    maps = backbone((pixels.permute(0, 3, 1, 2) - net.mean) / net.std)
maps = [resize(f, maps[0].shape[2:]) for f in maps]  # all (2n, C, H/8, W/8)


def follow(f, mask):
    """Correlation of each channel with a mask: (n, C, h, w), (n, h, w) → (C,)."""
    a, b = f.transpose(0, 1).flatten(1), mask.flatten()
    a, b = a - a.mean(1, keepdim=True), b - b.mean()
    return (a @ b) / (a.norm(dim=1) * b.norm() + 1e-9)


# %% [markdown]
# 1 would be a channel that *is* the class. The number above each picture was measured on scenes that had no part in the
# choice. See it rise from stage to stage, while the shapes are lost: depth knows *what*, and no longer *where*. Joining
# both is the decoder's work.

# %%
rows, names = {}, net.table.names
for name in ("Road", "Car", "Tree"):
    is_class = (labels == names.index(name)).float()
    mask = F.avg_pool2d(is_class[:, None], 8)[:, 0]  # its share, (2n, H/8, W/8)
    row = {"share of the class": mask[-1].cpu().numpy()}
    for stage, f in enumerate(maps, start=3):
        best = int(follow(f[:count], mask[:count]).argmax())
        r = float(follow(f[count:], mask[count:])[best])
        row[f"stage {stage}, channel {best}: {r:.2f}"] = f[-1, best].cpu().numpy()
    rows[name] = row
ours.grid(rows)

# %% [markdown]
# ## The end
#
# The classes stand in exercises 03.3 and 03.5. Here is what this notebook goes on with, at the paper's size, beside the
# package's.

# %% tags=["nbval-check-output"]
for name, modules in (("STDC1", (2, 2, 2)), ("STDC2", (4, 5, 3))):
    found = []
    for block in (STDC(modules).eval(), package.STDC(modules).eval()):
        with torch.no_grad():
            maps = block(torch.zeros(1, 3, 90, 120))
        shapes = ", ".join("×".join(map(str, f.shape[1:])) for f in maps)
        found.append(f"{size_of(block):,} parameters, maps {shapes}")
    print(
        f"{name}: {found[0]}: {'same' if found[0] == found[1] else 'not the same'}"
    )

# %% [markdown]
# **Five lines to keep**
#
# 1. An STDC module chains four convolutions and concatenates all results: several views in one output.
# 2. Width falls along the chain, so that the deep branches cost little.
# 3. With stride 2 only $x_1$ is pooled; the others are small already. The paper's numbers say so, its sentence does
#    not.
# 4. STDC1 is (2, 2, 2) with 5,318,304 parameters, STDC2 (4, 5, 3) with 9,348,768.
# 5. The receptive field that layers allow (735 pixels) is far larger than the one that a trained network uses.
#
# <details><summary>Five questions</summary>
#
# 1. *Why is block 1 a 1×1 convolution?* It sets the width. At full width a 3×3 would cost nine times as much.
# 2. *What would be lost if only $x_4$ were returned?* The small views, and seven eighths of the channels.
# 3. *A 361×481 image: how large is f32?* 12×16: each stage rounds up.
# 4. *Why does the receptive field grow faster in stage 5 than in stage 3?* One step there is 32 pixels long, not 8.
# 5. *STDC2 has more modules but the same widths. What changes?* Depth: larger fields, and 76 % more parameters.
#
# </details>
#
# **Go on.** Measure the 90 % square of an untrained backbone: does training widen it?
#
# **Read.** Fan et al., *Rethinking BiSeNet for Real-time Semantic Segmentation*, CVPR 2021. Luo et al., *Understanding
# the Effective Receptive Field*, NeurIPS 2016.
#
# **Next.** Lesson 04 widens the view of f32 again: SE-ASPP.

# %%
course.progress()
