# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Cross-CBAM whole
# At the end you have the whole network in your own words, it gives the paper's Tables 5 and 6 to the digit, and it draws
# a mask.
#
# **80 minutes to work through** · 0.2 min of computing on two CPU cores · 1 GB of memory · data: rendered scenes, no download · needs lesson 03, 04, 05 · 5 exercises

# %% tags=["setup"]
import ipywidgets
import torch
from torch import Tensor, nn

from edgeseg import course, create_model
from edgeseg.course.lessons import lesson_06 as ours
from edgeseg.course.lessons.lesson_05 import picture_row, take_weights
from edgeseg.data.streets import Streets
from edgeseg.inference import Segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models import cross_cbam, stdc
from edgeseg.models.counts import count, count_by_rules
from edgeseg.models.layers import ConvBNReLU, FCNHead, init_weights, resize
from edgeseg.models.papers import MMCV_SYNCBN_RULES
from edgeseg.plots import colorize, overlay

lesson = course.begin("06", version="0.1")

# %% [markdown]
# Today everything comes together. Orange is new, blue is built:

# %%
course.network_map("decoder", "aux", built=("backbone", "SE-ASPP"))

# %% [markdown]
# ## Where we are
#
# ```python
# f8, f16, f32 = backbone(x)        # lesson 03
# y = context(f32)                  # lesson 04: SE-ASPP
# y = decoder(f8, f16, y)           # today, around lesson 05's CCBAM
# logits = head(y)                  # today
# aux_logits = aux_head(f32)        # today, in training only
# ```
#
# Your own blocks join where you have solved their exercises; elsewhere the package's stand in.

# %% tags=["reference"]
STDC = course.mine("03.5", stdc.STDC)
SEASPP = course.mine("04.4", cross_cbam.SEASPP)
CCBAM = course.mine("05.3", cross_cbam.CCBAM)


def size_of(part: nn.Module) -> int:
    """Parameters."""
    return sum(p.numel() for p in part.parameters())


# %% [markdown]
# Inference needs 11,616,895 parameters with 19 classes. We keep a bill: what is there, and what is still missing.


# %% tags=["nbval-check-output"]
def bill() -> None:
    """Parameters of the parts, and what is missing."""
    for name, part in parts.items():
        print(f"{name:9}{size_of(part):>12,}")
    print(f"{'missing':9}{11_616_895 - sum(map(size_of, parts.values())):>12,}")


parts = {"backbone": STDC((2, 2, 2)), "context": SEASPP(1024, 256)}
bill()

# %% [markdown]
# ## The paper
# Section 3.4 and Fig. 1. At an input of H×W:
#
# | paper | variable | shape |
# |---|---|---|
# | output of stage 3, 4, 5 | `f8`, `f16`, `f32` | (N, 256, H/8, W/8), (N, 512, H/16, W/16), (N, 1024, H/32, W/32) |
# | SE-ASPP | `context` | (N, c, H/32, W/32), c = 256 |
# | Conv&BN | `lateral16` | 1×1, 512 → c |
# | Resize | `resize(x, size)` | bilinear |
# | CCBAM, twice | `fuse16`, `fuse8` | (N, 256, …) |
# | auxiliary head | `aux_head` | (N, classes, H/32, W/32) |

# %% [markdown]
# **What the paper does not say, and what we chose.** Change any of it but the dropout, and a printed number is missed.
#
# - At 1/8 the backbone's map enters **raw**, as it has 256 channels already. A 1×1 there would add 66,048 parameters.
# - c = 512: `f16` enters raw, and 512 → 256 follows the first fusion. c = 128: both maps get a 1×1.
# - Before the classifier: 1×1 to 128 channels where they are not 128 already; dropout 0.1.
# - Auxiliary head: 3×3 to 64 channels, dropout 0.1, classifier.

# %% [markdown] tags=["predict"]
# **Predict.** Table 5 prints 12.21 M parameters, and inference needs 11.62 M. What are the other 0.6 M? (a) The
# optimiser's memory, (b) something for training only, (c) something that nobody uses.
#
# <details><summary>Answer</summary>
#
# (b) and (c). The auxiliary head has 591,187, though the paper drops it for testing. And 4,883 belong
# to a classifier that no pixel ever passes. You will find both below.
#
# </details>

# %% [markdown]
# ## 1 · Sizes that do not double
# The decoder climbs from 1/32 to 1/8. Why not double? Take CamVid's 720×960:

# %% tags=["nbval-check-output"]
with torch.device("meta"):  # shapes without numbers
    maps = stdc.STDC((2, 2, 2))(torch.empty(2, 3, 720, 960))
for name, m in zip(("f8", "f16", "f32"), maps, strict=True):
    print(f"{name:4} {m.shape[2]}×{m.shape[3]}   doubled: {2 * m.shape[2]}×{2 * m.shape[3]}")

# %% [markdown]
# 720/32 is 22.5, so `f32` has 23 rows. Doubled they are 46, and `f16` has 45: the product with a gate would fail.
#
# ### Exercise 06.1 · Where a factor fails   ●●○○○ · 8 minutes
# For which image sizes would a factor of two do at **both** steps of the decoder? Write it as a function of height and
# width. Every halving rounds up, so f8 has ⌈H/8⌉ rows. Careful: "a multiple of 32" is not the answer. Try 60.


# %% tags=["exercise"]
def factor_fits(height: int, width: int) -> bool:
    """Whether doubling leads from f32's size to f16's, and from there to f8's."""
    ### BEGIN SOLUTION
    f8 = [-(-side // 8) for side in (height, width)]  # rounded up
    return all(side % 4 == 0 for side in f8)  # two more halvings without a rest
    ### END SOLUTION


# %% tags=["check"]
sizes = [(512, 1024), (720, 960), (60, 96), (505, 64), (40, 64), (64, 72), (500, 512), (33, 33)]
cases = [course.case(*size) for size in sizes]
factor_fits = course.check(factor_fits, ours.factor_fits, *cases, exercise="06.1")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *(60, 96) fails*: 60 is no multiple of 32. Its maps have 8, 4 and 2 rows.
# - *(64, 72) fails*: both sides count.
# - *(500, 512) fails*: one step fits, the other does not.
# - Rounding up in integers: `-(-a // b)`.
#
# </details>

# %% [markdown]
# ## 2 · The decoder
# So every resize goes to a **target size**, that of the map it will meet. One helper is given: a 1×1 convolution where
# the widths differ, and nothing where they do not.


# %% tags=["reference"]
def match(in_channels: int, out_channels: int) -> nn.Module:
    """A 1×1 Conv-BN-ReLU where the widths differ."""
    return nn.Identity() if in_channels == out_channels else ConvBNReLU(in_channels, out_channels, kernel=1)


# %% [markdown]
# ### Exercise 06.2 · Decoder   ●●●○○ · 15 minutes
# `c8` and `c16` are the channels of `f8` and `f16`, `channels` is c, the width of the context.
#
# - Resize the context to f16's size; fuse it with f16, brought to c by `match`.
# - `match` the result to min(c, `c8`) channels; resize it to f8's size; fuse it with f8, matched as well.
# - `CCBAM(w)` takes `(low, high)`: which of the two is the backbone's?
#
# One rule covers c = 128, 256 and 512: try it on paper for each before you write.


# %% tags=["exercise"]
class Decoder(nn.Module):
    """f8 (N, c8, …), f16 (N, c16, …), context (N, channels, …) → (N, min(channels, c8), H/8, W/8)."""

    def __init__(self, c8: int, c16: int, channels: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        out = min(channels, c8)
        self.lateral16, self.fuse16 = match(c16, channels), CCBAM(channels)
        self.narrow = match(channels, out)
        self.lateral8, self.fuse8 = match(c8, out), CCBAM(out)
        ### END SOLUTION

    def forward(self, f8: Tensor, f16: Tensor, context: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        y = resize(context, f16.shape[-2:])  # (N, c, H/16, W/16)
        y = self.narrow(self.fuse16(self.lateral16(f16), y))  # (N, min(c, c8), H/16, W/16)
        y = resize(y, f8.shape[-2:])  # (N, min(c, c8), H/8, W/8)
        return self.fuse8(self.lateral8(f8), y)
        ### END SOLUTION


# %% tags=["check"]
def sizes_for(c8, c16, c):
    return [(2, c8, 9, 12), (2, c16, 5, 6), (2, c, 3, 3)]


Decoder = course.check(
    Decoder,
    ours.Decoder,
    *(course.case(32, 64, c, inputs=sizes_for(32, 64, c)) for c in (32, 64, 16)),
    exercise="06.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *The size of tensor a must match*: resize to `f16.shape[-2:]`, not by a factor.
# - *a layer "has no counterpart"*: with c = 32 here, f8 enters raw. `match` sees to it, if you give it both widths.
# - *right shape, other numbers, at `interpolate`*: `resize(x, size)` as it is, bilinear.
# - *right shape, other numbers, in a CCBAM*: low is the backbone's map.
# - *only c = 64 fails*: the width changes between the two fusions.
#
# </details>

# %% tags=["nbval-check-output"]
parts["decoder"] = Decoder(256, 512, 256)
bill()

# %% [markdown]
# 35,475 are missing: 256 → 128 with its batch normalisation (33,024), and 19 classes from 128 channels (2,451).
#
# ## 3 · The network
# ### Exercise 06.3 · CrossCBAM   ●●●●○ · 20 minutes
# Put it together; 64 = `width` gives the paper's channels: f8, f16, f32 have 4, 8 and 16 times `width`.
#
# - `STDC((2, 2, 2), width)` for `"stdc1"`, `STDC((4, 5, 3), width)` for `"stdc2"`.
# - `SEASPP(16 * width, aspp_channels, dilations)` on f32, then your `Decoder`.
# - The head: `match` to half of f8's channels, `nn.Dropout2d(0.1)`, a 1×1 convolution with bias to the classes.
# - `aux_head`, with this name: `FCNHead(in_channels, 64, num_classes)`, on f32.
# - **In evaluation mode** return logits at the image's size. **In training mode** return `{"out": …, "aux": [ … ]}`, each
#   at its own size: a loss resizes them itself, and training moves no full-size maps that it does not need.
#
# `self.training` tells the mode. End `__init__` with `init_weights(self)`, the package's starting values.


# %% tags=["exercise", "build"]
class CrossCBAM(nn.Module):
    """(N, 3, H, W) → logits (N, classes, H, W); in training mode a dict of logits at 1/8 and at 1/32."""

    def __init__(self, num_classes=19, backbone="stdc1", dilations=(1, 3), aspp_channels=256, width=64):
        super().__init__()
        ### BEGIN SOLUTION
        c8, c16, c32, c = 4 * width, 8 * width, 16 * width, aspp_channels
        self.backbone = STDC((2, 2, 2) if backbone == "stdc1" else (4, 5, 3), width)
        self.context, self.decoder = SEASPP(c32, c, dilations), Decoder(c8, c16, c)
        self.head = nn.Sequential(match(min(c, c8), c8 // 2), nn.Dropout2d(0.1), nn.Conv2d(c8 // 2, num_classes, 1))
        self.aux_head = FCNHead(c32, 64, num_classes)
        init_weights(self)
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        f8, f16, f32 = self.backbone(x)
        logits = self.head(self.decoder(f8, f16, self.context(f32)))  # (N, classes, H/8, W/8)
        return {"out": logits, "aux": [self.aux_head(f32)]} if self.training else resize(logits, x.shape[-2:])
        ### END SOLUTION


# %% tags=["check"]
CrossCBAM = course.check(
    CrossCBAM,
    cross_cbam.CrossCBAM,
    course.case(5, aspp_channels=32, width=8, inputs=[(2, 3, 64, 96)]),
    course.case(4, "stdc2", (1, 3, 5), aspp_channels=16, width=8, inputs=[(2, 3, 45, 61)]),
    course.case(3, aspp_channels=64, width=8, inputs=[(2, 3, 40, 64)]),
    exercise="06.3",
    names=("aux_head",),
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a listing with ≠*: read from the top; the layer that it names is missing, too wide, or without bias.
# - *a shape (2, 5, 8, 12) instead of (2, 5, 64, 96)*: in evaluation mode the logits are resized.
# - *a dict is expected in training mode*: `"aux"` holds a **list**, even of one.
# - *the last case fails*: the head starts from min(c, 4·width) channels, not from c.
# - *numbers agree, dropout differs*: one before each classifier, 0.1 each; `FCNHead` brings its own.
#
# </details>

# %% [markdown]
# The bill with your own network, and what it returns in both modes.

# %% tags=["nbval-check-output"]
net = CrossCBAM()
inference = sum(p.numel() for name, p in net.named_parameters() if not name.startswith("aux"))
print(f"needed for inference: {inference:,}; with the auxiliary head: {size_of(net):,}")
batch = torch.zeros(2, 3, 72, 100)
with torch.no_grad():
    train, test = net.train()(batch), net.eval()(batch)
print("training:  ", {"out": tuple(train["out"].shape), "aux": [tuple(a.shape) for a in train["aux"]]})
print("evaluation:", tuple(test.shape))

# %% [markdown]
# ## 4 · Tables 5 and 6
# ### Exercise 06.4 · Parameters that nobody needs   ●●●○○ · 10 minutes
# The paper's parameters hold two things that inference does without. Add them up by formula:
#
# - the auxiliary head: a 3×3 convolution without bias from 1024 to 64 channels, batch normalisation, a 1×1 classifier
#   with bias;
# - a classifier inside SE-ASPP that nothing uses: 1×1 with bias, from `channels` to the classes. The authors' framework
#   builds one into every head.


# %% tags=["exercise"]
def spare_parameters(channels: int = 256, classes: int = 19) -> int:
    """Parameters that the paper prints and inference does not need; 596,070 for the adopted network."""
    ### BEGIN SOLUTION
    aux_head = 9 * 1024 * 64 + 2 * 64 + 64 * classes + classes
    never_used = channels * classes + classes
    return aux_head + never_used
    ### END SOLUTION


# %% tags=["check"]
cases = [course.case(), course.case(classes=11), course.case(channels=512), course.case(128, 2)]
spare_parameters = course.check(spare_parameters, ours.spare_parameters, *cases, exercise="06.4")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *too few by 128*: batch normalisation has two parameters a channel.
# - *too few by 38 or 19*: both classifiers have a bias for each class.
# - *right for 19 classes only*: the classes stand in both classifiers.
#
# </details>

# %% [markdown]
# "FLOPs" are multiply-adds here, by the rules of the tool that the authors' framework brings. Each rule says what a
# module of one kind costs; what has no rule costs nothing. Now the two tables, from your own class, at 512×1024:


# %%
def as_printed(dilations=(1, 3), channels=256) -> tuple[float, float]:
    """GFLOPs and million parameters, counted as the paper counts."""
    with torch.device("meta"):
        net = CrossCBAM(19, dilations=dilations, aspp_channels=channels)
    needed = sum(p.numel() for name, p in net.named_parameters() if not name.startswith("aux"))
    flops = count_by_rules(net, (512, 1024), MMCV_SYNCBN_RULES)
    return flops / 1e9, (needed + spare_parameters(channels)) / 1e6


table5 = {(1, 3): (11.31, 12.21), (2, 4): (12.39, 14.31), (3, 5): (12.39, 14.31), (1, 3, 5): (12.52, 14.57),
          (2, 4, 6): (13.60, 16.67)}  # fmt: skip
table6 = {512: (14.77, 19.54), 256: (11.31, 12.21), 128: (9.67, 8.92)}

# %% [markdown]
# Paper on the left, yours on the right.

# %% tags=["nbval-check-output"]
print("                 GFLOPs  yours      M params  yours")
for name, table in (("dilations", table5), ("channels", table6)):
    for key, (gflops, params) in table.items():
        counted = as_printed(**{name: key})
        same = (f"{gflops:.2f}", f"{params:.2f}") == (f"{counted[0]:.2f}", f"{counted[1]:.2f}")
        verdict = "to the digit" if same else "differs"
        print(f"{key!s:15} {gflops:7.2f} {counted[0]:10.6f} {params:7.2f} {counted[1]:10.6f}  {verdict}")

# %% [markdown]
# All sixteen numbers. (If a GFLOPs figure of yours is 0.01 too small: pools or ReLUs written as functions cannot be seen
# by the counter.)
#
# **What the tables hide.** Every bar below is in the printed 12.21 M. Inference does without the hatched ones.

# %%
shares = {name: size_of(part) for name, part in net.named_children()}
shares["never used, in SE-ASPP"] = 19 * 256 + 19
ours.parameter_bars(shares, unneeded=("aux_head", "never used, in SE-ASPP"))

# %% [markdown]
# And the operations, rule by rule. Resizes, products with gates, sums and batch normalisations have no rule and count
# nothing. A multiply-add is one multiplication **and** one addition: the other paper of this course counts it twice. So never
# compare "FLOPs" of two papers before you know who counted how.

# %% tags=["nbval-check-output"]
for kind, rule in MMCV_SYNCBN_RULES.items():
    print(f"{kind.__name__:14}{count_by_rules(net, (512, 1024), {kind: rule}) / 1e6:>10,.1f} M")
macs = count(net, (512, 1024)).macs
print(
    f"multiply-adds of all convolutions, biases left out: {macs / 1e9:.3f} G, or {2 * macs / 1e9:.3f} G counted twice"
)

# %% [markdown]
# ## 5 · Slips, with their arithmetic
# A paper is written by people. Check what you rely on; most slips show with a pocket calculator.
#
# ### Exercise 06.5 · How much faster   ●○○○○ · 5 minutes
# The paper calls Cross-CBAM-L2 31.9 % faster than LSPANet: 88.6 against 60.3 frames per second. Write the function that
# gives the percentage that "faster" means.


# %% tags=["exercise"]
def faster(speed: float, other: float) -> float:
    """By how many percent the first is faster; 120 against 100 frames per second → 20."""
    ### BEGIN SOLUTION
    return 100 * (speed / other - 1)
    ### END SOLUTION


# %% tags=["check"]
cases = [course.case(*pair) for pair in ((88.6, 60.3), (120.0, 100.0), (50.0, 50.0), (30.0, 60.0))]
faster = course.check(faster, ours.faster, *cases, exercise="06.5")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *31.94 instead of 46.93*: the paper's way. It divides the gain by the **faster** speed.
# - *146.9*: twice as fast is "100 % faster", not 200 %.
# - *30 against 60 fails*: half as fast is −50.
#
# </details>

# %%
claims = {"LSPANet, Cityscapes": (88.6, 60.3, 31.9), "SegNeXt": (88.6, 25.0, 71.8), "SegFormer": (88.6, 15.2, 82.8),
          "LSPANet, CamVid": (146.8, 73.5, 49.9)}  # fmt: skip
for name, (speed, other, printed) in claims.items():
    wrong = 100 * (speed - other) / speed
    print(f"{name:20} printed {printed} %, gain / faster speed = {wrong:.1f} %, really {faster(speed, other):+.1f} %")

# %% [markdown]
# All four are divided by the wrong number, and are larger in truth. More, each with its place:
#
# | place | printed | arithmetic |
# |---|---|---|
# | Table 4 | SE-ASPP brings 4.48 points | 68.74 − 52.26 = 16.48; with 4.48 the baseline would be 64.26 |
# | Table 4 | CCBAM brings 3.89 points | 72.63 − 68.74: against the row with SE-ASPP alone, not the baseline |
# | Table 6 | 512 channels reach 74.18, says the text | the table gives 512 channels 73.86; 256 have 74.19 |
# | Tables 2, 5, 6, text | M1: 74.18 and 74.19; 240.9 and 241.1 FPS | one network, two numbers each |
# | SegFormer | from 25 to 88.6 FPS, 82.8 % | 25 is SegNeXt's speed; 82.8 belongs to 15.2 |
# | section 3.4 | the backbone is called decoder | it is the encoder |

# %% [markdown]
# And the choice itself: Table 5 has a row with a better mIoU than the adopted one. See the two marked points. The trade
# may be right; but each point is one run, and how far two runs of one network lie apart, nobody says (lesson 14).

# %%
printed = {"(1,3)": (74.19, 241.1), "(2,4)": (74.20, 229.5), "(3,5)": (75.30, 229.4), "(1,3,5)": (74.61, 226.4),
           "(2,4,6)": (74.15, 225.1)}  # fmt: skip
ours.speed_and_accuracy(printed, chosen="(1,3)", best="(3,5)")

# %% [markdown]
# ## 6 · It draws
# Trained weights for the eleven street classes go into **your** network, layer by layer; then a frame that it has never
# seen. `take_weights` compares both networks' logits before it lets you go on.

# %%
trained = create_model("cross_cbam_m.streets", aux=True)
scenes = Streets("test", n=12, size=(288, 384))
image, truth = scenes[5]
net = take_weights(CrossCBAM(11), trained, torch.randn(1, 3, 96, 128))
segmenter = Segmenter(net, trained.meta["mean"], trained.meta["std"])
mask = segmenter.predict(image)
course.before_after(image, overlay(image, mask, scenes.table), names=("image", "your network's mask"))

# %% [markdown]
# Because every resize has a target size, the network takes images of any size, odd ones too (the package asks for 32×32 at least). Here the frame is
# made smaller before the network and its mask larger after. See what goes first: poles and signs.


# %%
def at_height(height: int):
    """Mask in colours of the frame, seen at a smaller height; and its mIoU on this frame."""
    segmenter.size = (height, height * 4 // 3)
    seen = segmenter.predict(image)
    matrix = ConfusionMatrix(11)
    matrix.update(seen, truth)
    return colorize(seen, scenes.table), f"{height}×{height * 4 // 3}: mIoU {matrix.compute().miou:.0%}"


picture_row({name: picture for picture, name in map(at_height, (288, 145, 73))})

# %% tags=["slider"]
knob = ipywidgets.IntSlider(101, min=33, max=288, continuous_update=False)


@ipywidgets.interact(height=knob)
def smaller(height: int):
    picture, name = at_height(height)
    return picture_row({"frame": image, "truth": colorize(truth, scenes.table), name: picture})


# %% [markdown]
# What is done so far:

# %%
course.progress()

# %% [markdown]
# ## The end
# The whole network stands in two cells, exercises 06.2 and 06.3. `check` has compared it with the package's in both
# modes, and it gives the package's logits with trained weights.
#
# **In five lines**
# 1. Backbone → SE-ASPP → resize, fuse at 1/16 → resize, fuse at 1/8 → head → resize.
# 2. Always resize to a target size: sizes are rounded up at each halving.
# 3. Training returns a dict with an auxiliary map; inference one tensor, and drops that head.
# 4. Printed counts are only comparable with their rules: here multiply-adds, an auxiliary head and a dead classifier.
# 5. Recompute what you cite.
#
# <details><summary>Five review questions</summary>
#
# 1. *Why does f8 need no convolution before its fusion?* It has 256 channels, as the decoder.
# 2. *What would a lateral convolution there do to Table 5?* 66,048 more: 12.28 M, not 12.21.
# 3. *Why are the training outputs not resized?* The loss does it; nothing else needs full-size maps.
# 4. *Two papers print 11.3 and 22.6 GFLOPs. Which network is dearer?* Perhaps neither: ask what was counted.
# 5. *Why does dilation (2,4) cost more than (1,3), if dilation is free?* Rate 1 is a 1×1 convolution, rate 2 a 3×3.
#
# </details>
#
# **Beyond.** Build L with `backbone="stdc2"`: 15.65 M for inference. Put a ReLU before each sigmoid and count again: what
# changes?
#
# **Papers.** Zhang et al., *Cross-CBAM*, arXiv:2306.02306, sections 3.4 and 4; Fan et al., *Rethinking BiSeNet*, CVPR 2021.
#
# **Next.** Lesson 07 trains it.
