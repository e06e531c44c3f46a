# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · HRNet
# At the end you have HRNetV2 in your own blocks, equal to the package's network, and you know where its weights, its
# work and its bytes lie.
#
# **90 minutes to work through** · 0.2 min of computing on two CPU cores · 1 GB of memory · data: rendered scenes, no download · needs lesson 03 · 6 exercises

# %% tags=["setup"]
import torch
from torch import Tensor, nn

from edgeseg import course, create_model
from edgeseg.course.lessons import lesson_09 as ours
from edgeseg.course.lessons.lesson_05 import picture_row, take_weights
from edgeseg.course.transfer import randomise
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.models import hrnet
from edgeseg.models.layers import ConvBNReLU, resize
from edgeseg.plots import colorize, with_legend

lesson = course.begin("09", version="0.1")

# %% [markdown]
# A new network, for the second paper. Rows are resolutions, numbers the channels at the paper's width 48; thin grey
# lines are exchanges. Today: all of it.

# %%
course.network_map("backbone", "concat", "head", network="hrnet")

# %% [markdown]
# ## Where we are: a lamp post in pieces
# Cross-CBAM's finest map has 1/8 of the image's height and width. Look at the lamp post in the middle of this piece of
# a street.

# %%
scenes = Streets("test", n=13, size=(288, 384))
image, truth = scenes[12]
piece = slice(0, 160), slice(210, 384)
mask = load_segmenter("cross_cbam_m.streets").predict(image)
seen = {"truth": truth, "Cross-CBAM's mask": mask}
seen |= {f"truth kept at 1/{s}": ours.averaged(truth, s, 11) for s in (4, 8, 16)}
drawn = {name: colorize(ids, scenes.table)[piece] for name, ids in seen.items()}
figure = picture_row({"frame": image[piece], **drawn}, columns=3, width=9.2)
with_legend(figure, scenes.table, void=True)

# %% [markdown]
# The mask has its lamp and two short pieces. In the second row: the *truth*, averaged over cells of 4×4, 8×8 and 16×16
# pixels and resized back. At 1/4 the post stands, at 1/8 it is gone. A trained network does better than that at 1/8, as
# its channels can hold some shape. But at 1/4 it has to guess less.

# %% tags=["nbval-check-output"]
pole = scenes.table.names.index("Pole")
for name, ids in list(seen.items())[1:]:
    both = ((ids == pole) & (truth == pole)).sum()
    either = ((ids == pole) | (truth == pole)).sum()
    print(f"{name:20} IoU of Pole in this scene {100 * both / either:4.0f} %")

# %% [markdown]
# Most networks go down to a small map and climb up again. HRNet **keeps** the 1/4 map to its last stage. Coarser maps
# come to its side, one a stage, and all exchange what they see, again and again.
#
# ## The paper
# The Improved HRNet paper (III-A) takes HRNetV2 as it is, by Wang et al., section 3:
#
# | there | variable | what it does |
# |---|---|---|
# | residual unit | `BasicBlock` | two 3×3 convolutions beside a shortcut |
# | stream r | branch i | maps of width C·2^i at 1/4 … 1/32; C = 48 in the paper, 18 here |
# | multi-resolution fusion | `Exchange` | each map receives the sum of all |
# | modularized block | `HRModule` | four `BasicBlock`s a branch, one exchange |
# | new stream | `Transition` | one coarser map more |
# | representation head V2 | `ConcatHead` | all maps at 1/4, concatenated |

# %% [markdown]
# <details><summary>What the paper does not say, and what we chose</summary>
#
# - It cites HRNet by its paper on human poses, whose head reads the 1/4 map alone. The printed 65.860 M parameters
#   force V2's head on the concatenation.
# - How maps are resized: bilinear, corners aligned. This is in the authors' published code, which was consulted.
# - The head's first convolution has a bias although batch normalisation follows: forced by the same number.
#
# </details>

# %% [markdown] tags=["predict"]
# **Predict.** One step down, from a branch to the next coarser one: height and width are halved, channels doubled. What
# happens to (a) the weights, (b) the multiply-adds, (c) the bytes of the maps of one `BasicBlock`? Write down three
# factors.
#
# <details><summary>Answer</summary>
#
# (a) ×4: in and out are doubled. (b) ×1: four times the weights, at a quarter of the places. (c) ×1/2: double the
# channels at a quarter of the places. You will count it in section 4.
#
# </details>

# %% [markdown]
# ## 1 · One branch
#
# ### Exercise 09.1 · BasicBlock   ●○○○○ · 6 minutes
# $y = \mathrm{ReLU}(F(x) + x)$, where $F$ is two 3×3 convolutions, each with batch normalisation, and ReLU between
# them. `ConvBNReLU(in_channels, out_channels, kernel=3, stride=1, relu=True)` is given; its convolution has no bias.


# %% tags=["exercise", "build"]
class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut: (N, C, h, w) → (N, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1 = ConvBNReLU(channels, channels)
        self.conv2 = ConvBNReLU(channels, channels, relu=False)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return (self.conv2(self.conv1(x)) + x).relu()
        ### END SOLUTION


# %% tags=["check"]
BasicBlock = course.check(
    BasicBlock,
    hrnet.BasicBlock,
    course.case(6, inputs=[(2, 6, 9, 12)]),
    course.case(16, inputs=[(1, 16, 5, 7)]),
    exercise="09.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *the package has `add` where yours has `relu`*: the second convolution has no ReLU of its own; ReLU follows the sum.
# - *only the last step differs*: add `x` as it came in, then ReLU.
# - *a weight has no counterpart*: two `ConvBNReLU`, nothing else has weights.
#
# </details>

# %% [markdown]
# ## 2 · One exchange
# A path leads from every map j to every map i. Its convolutions bring the **width** to that of map i:
#
# - j = i: nothing, `nn.Identity()`.
# - j coarser than i: one 1×1 convolution with batch normalisation, no ReLU. The size stays; a resize follows later.
# - j finer than i: one 3×3 convolution of stride 2 for each halving. All but the last keep map j's width and have ReLU;
#   the last changes to map i's width and has none.
#
# Why strided convolutions downwards? They learn what to keep of the places that are merged.
#
# ### Exercise 09.2 · Path   ●●○○○ · 10 minutes
# Write the convolutions of one path. `channels` lists the widths of all maps, finest first: map j is coarser where
# j > i.


# %% tags=["exercise"]
class Path(nn.Module):
    """(N, channels[source], h, w) → (N, channels[target], h', w')."""

    def __init__(self, channels: list[int], source: int, target: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        wide, wanted = channels[source], channels[target]
        if source == target:
            self.convs = nn.Identity()
        elif source > target:
            self.convs = ConvBNReLU(wide, wanted, kernel=1, relu=False)
        else:
            halvings = range(target - source - 1)
            down = [ConvBNReLU(wide, wide, stride=2) for _ in halvings]
            last = ConvBNReLU(wide, wanted, stride=2, relu=False)
            self.convs = nn.Sequential(*down, last)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return self.convs(x)
        ### END SOLUTION


# %% tags=["check"]
Path = course.check(
    Path,
    ours.Path,
    course.case([4, 8, 16, 32], 0, 3, inputs=[(2, 4, 24, 32)]),
    course.case([4, 8, 16, 32], 1, 2, inputs=[(1, 8, 9, 13)]),
    course.case([4, 8, 16, 32], 3, 1, inputs=[(2, 32, 3, 4)]),
    course.case([4, 8, 16, 32], 2, 2, inputs=[(2, 16, 6, 8)]),
    exercise="09.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *weights do not match*: from map 0 to map 3 there are three convolutions, 4 → 4 → 4 → 32 channels.
# - *a `relu` too many*: no path ends with one, whether it leads up or down.
# - *wrong size*: `stride=2` downwards; upwards the map keeps its small size here.
# - For j = i the input comes out as it went in.
#
# </details>

# %% [markdown]
# Then the sum. A colleague has written it. No error is raised, and all shapes are right.


# %% tags=["reference"]
class BrokenExchange(nn.Module):
    """Maps (N, channels[i], h_i, w_i), finest first → as many, same shapes."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        n = range(len(channels))
        rows = [[Path(channels, j, i) for j in n] for i in n]
        self.paths = nn.ModuleList(nn.ModuleList(row) for row in rows)

    def forward(self, *maps: Tensor) -> list[Tensor]:
        totals = [torch.zeros_like(x) for x in maps]
        for total, paths in zip(totals, self.paths, strict=True):
            for path, x in zip(paths, maps, strict=True):
                received = path(x)
                h, w = received.shape[-2:]
                total[:, :, :h, :w] += received
        return [total.relu() for total in totals]


# %% [markdown]
# Look at what it does. Here every convolution is set to a mean, and the maps are the grey frame at 1/4, 1/8 and 1/16.
# So each path can only carry the picture. All three outputs should show one street, sharp or soft.

# %%
widths = [4, 8, 16]
maps = ours.picture_maps(image, widths)
broken = ours.averaging(BrokenExchange(widths))
with torch.no_grad():
    received = broken(*maps)
names = ("sum received at 1/4", "at 1/8", "at 1/16")
picture_row({n: m[0, 0] for n, m in zip(names, received, strict=True)}, width=9)

# %% [markdown]
# ### Exercise 09.3 · Find the bug: Exchange   ●●●○○ · 12 minutes
# Write the repaired class. Your `Path` is given, so is `resize(x, size, align_corners=True)`; a map's size is
# `x.shape[-2:]`. Before you type, say in one sentence what is wrong, and why no shape shows it.


# %% tags=["exercise", "build"]
class Exchange(nn.Module):
    """Maps (N, channels[i], h_i, w_i), finest first → as many, same shapes."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        n = range(len(channels))
        rows = [[Path(channels, j, i) for j in n] for i in n]
        self.paths = nn.ModuleList(nn.ModuleList(row) for row in rows)

    def forward(self, *maps: Tensor) -> list[Tensor]:
        ### BEGIN SOLUTION
        received = []
        for own, paths in zip(maps, self.paths, strict=True):
            moved = [path(x) for path, x in zip(paths, maps, strict=True)]
            aligned = [resize(x, own.shape[-2:], align_corners=True) for x in moved]
            received.append(sum(aligned).relu())
        return received
        ### END SOLUTION


# %% tags=["check"]
Exchange = course.check(
    Exchange,
    ours.Exchange,
    course.case([4, 8, 16], inputs=[(2, 4, 12, 16), (2, 8, 6, 8), (2, 16, 3, 4)]),
    course.case([6, 12], inputs=[(1, 6, 9, 13), (1, 12, 5, 7)]),
    exercise="09.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *What is wrong?* A small map is added before it is aligned: it lands in the upper left corner of the large one.
# - *the numbers differ at `interpolate`*: `align_corners=True`.
# - *outputs agree in evaluation, not in training*: the resize stands before the path. Batch normalisation then sees
#   other statistics.
# - *sizes 5 and 9 do not fit*: resize to the other map's size, not by a factor.
# - *`relu` differs*: one ReLU, after the sum.
#
# </details>

# %%
with torch.no_grad():
    received = ours.averaging(Exchange(widths))(*maps)
picture_row({n: m[0, 0] for n, m in zip(names, received, strict=True)}, width=9)

# %% [markdown]
# Now one street. What is the exchange good for? A 3×3 convolution sees its neighbours only. A module, given here, is
# four of your blocks on each branch and one exchange:


# %% tags=["reference"]
class HRModule(nn.Module):
    """Residual blocks on every branch, then one exchange: maps → same shapes."""

    def __init__(self, channels: list[int], blocks: int = 4) -> None:
        super().__init__()
        rows = [[BasicBlock(c) for _ in range(blocks)] for c in channels]
        self.branches = nn.ModuleList(nn.Sequential(*row) for row in rows)
        self.exchange = Exchange(channels)

    def forward(self, *maps: Tensor) -> list[Tensor]:
        after = [b(x) for b, x in zip(self.branches, maps, strict=True)]
        return self.exchange(*after)


# %% [markdown]
# Take one place of the 1/4 map and ask with the gradient: which pixels of the image can change it, after a single
# module?

# %%
module = HRModule([2, 4, 8, 16])
rows = ours.reach(module, [2, 4, 8, 16], size=(1536, 1536))
large = Streets("test", n=13, size=(576, 768))[12][0]
ours.reach_picture(large, (280, 380), alone=rows[0], rows=rows)

# %% [markdown]
# Without the exchange a place sees a square of 68 pixels, a quarter of the lamp post's height in this larger frame. The
# coarse branches see far, as one step at 1/32 is 32 pixels wide, and the exchange hands this to the fine map.

# %% [markdown]
# ## 3 · One map more, and the head
#
# ### Exercise 09.4 · Transition   ●●○○○ · 10 minutes
# Between two stages a coarser map is added. `before` lists the widths that come in, `after` those that go on, one more.
#
# - A map whose width stays passes unchanged. Where the width changes, a 3×3 `ConvBNReLU` does it. (Only before stage 2,
#   where 256 channels become 18.)
# - The new map: a 3×3 `ConvBNReLU` of stride 2 on the coarsest map, **as it came in**.


# %% tags=["exercise"]
class Transition(nn.Module):
    """Maps of widths `before`, finest first → maps of widths `after`, one more."""

    def __init__(self, before: list[int], after: list[int]) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        pairs = zip(before, after[:-1], strict=True)
        kept = [nn.Identity() if b == a else ConvBNReLU(b, a) for b, a in pairs]
        new = ConvBNReLU(before[-1], after[-1], stride=2)
        self.layers = nn.ModuleList([*kept, new])
        ### END SOLUTION

    def forward(self, *maps: Tensor) -> list[Tensor]:
        ### BEGIN SOLUTION
        inputs = [*maps, maps[-1]]
        return [layer(x) for layer, x in zip(self.layers, inputs, strict=True)]
        ### END SOLUTION


# %% tags=["check"]
three = [(2, 8, 20, 20), (2, 16, 10, 10), (2, 32, 5, 5)]
Transition = course.check(
    Transition,
    ours.Transition,
    course.case([32], [6, 12], inputs=[(2, 32, 9, 12)]),
    course.case([6, 12], [6, 12, 24], inputs=[(1, 6, 12, 16), (1, 12, 6, 8)]),
    course.case([8, 16, 32], [8, 16, 32, 64], inputs=three),
    exercise="09.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *weights do not match in the first case*: 32 → 6 with stride 1 and 32 → 12 with stride 2. The new map reads the 32.
# - *in the second case*: 6 and 12 stay, so nothing with weights stands there; only 12 → 24.
# - *a map is missing*: `after` has one width more than `before`.
#
# </details>

# %% [markdown]
# ### Exercise 09.5 · Concatenated head   ●●○○○ · 10 minutes
# HRNetV2 reads all four maps. Resize them to the finest one's size (bilinear, corners aligned), concatenate them,
# finest first; a 1×1 convolution with bias that keeps the width, batch normalisation, ReLU; and a 1×1 classifier with
# bias.


# %% tags=["exercise"]
class ConcatHead(nn.Module):
    """Maps (N, channels[i], h_i, w_i), finest first → (N, classes, h_0, w_0)."""

    def __init__(self, channels: list[int], num_classes: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        width = sum(channels)
        self.conv, self.bn = nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)
        self.classifier = nn.Conv2d(width, num_classes, 1)
        ### END SOLUTION

    def forward(self, *maps: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        size = maps[0].shape[-2:]
        grown = [resize(x, size, align_corners=True) for x in maps]
        joined = torch.cat(grown, dim=1)
        return self.classifier(self.bn(self.conv(joined)).relu())
        ### END SOLUTION


# %% tags=["check"]
three = [(2, 4, 12, 16), (2, 8, 6, 8), (2, 16, 3, 4)]
ConcatHead = course.check(
    ConcatHead,
    ours.ConcatHead,
    course.case([4, 8, 16], 5, inputs=three),
    course.case([6, 12], 3, inputs=[(1, 6, 9, 13), (1, 12, 5, 7)]),
    exercise="09.5",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *the numbers differ at `cat`*: the order, or the dimension (1, the channels).
# - *no counterpart for a bias*: both convolutions have one, though batch normalisation follows the first.
# - *`interpolate` differs*: `align_corners=True`.
#
# </details>

# %% [markdown]
# ## 4 · Where the cost lies
# Back to the prediction. One module of stage 4 of HRNet-W18, its four blocks a branch, for an image of 512×1024. The
# counter adds what every operation reads and writes; a compiler that joins operations moves less, in all branches alike.

# %%
costs = ours.branch_costs(hrnet.BasicBlock, width=18, size=(512, 1024))
ours.cost_bars(costs)

# %% tags=["nbval-check-output"]
for fine, coarse in zip(costs, costs[1:], strict=False):
    weights, macs = coarse.weights / fine.weights, coarse.macs / fine.macs
    moved = coarse.map_bytes / fine.map_bytes
    print(f"{fine.side:>4} to {coarse.side}: weights ×{weights:.2f}", end=", ")
    print(f"multiply-adds ×{macs:.2f}, bytes of maps ×{moved:.2f}")

# %% [markdown]
# (Not quite ×4: batch normalisation's weights only double.) Three quarters of the weights lie in the coarsest branch,
# half the bytes move in the finest, the multiply-adds are everywhere.
#
# ### Exercise 09.6 · Judge: where to cut   ●●○○○ · 5 minutes
# A small board can compute fast enough. Its time depends on the **bytes** that move, weights included. You may take two
# of the four blocks out of **one** branch of this module, and want to save most time at 512×1024. Return the key of the
# right reading of the figure:
#
# - `"a"`: cut at 1/32, where most of the weights are.
# - `"b"`: it does not matter, the multiply-adds are equal.
# - `"c"`: cut at 1/4, where most of the bytes are.
# - `"d"`: cut at 1/32, as its weights come on top of its maps.


# %% tags=["exercise"]
def where_to_cut():
    """One of "a", "b", "c", "d"."""
    ### BEGIN SOLUTION
    return "c"
    ### END SOLUTION


# %% tags=["check"]
readings = course.Readings(
    right="c",
    because={
        "a": "Few bytes are weights: compare orange at 1/32 with blue at 1/4.",
        "b": "Equal multiply-adds, yes. But time goes with bytes, the third panel.",
        "d": "They come on top. Yet all in all: which of the four bars is longest?",
    },
)
where_to_cut = course.choose(where_to_cut, readings, exercise="09.6")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Which of the three panels does this board's time follow?
# - Half the blocks of a branch are half of its bar, maps and weights alike.
# - For a download over a slow connection the answer would be another one: there only weights count.
#
# </details>

# %% [markdown]
# A smaller image shrinks the maps, not the weights. At 192×256, where most of our streets are trained:

# %% tags=["nbval-check-output"]
for cost in ours.branch_costs(hrnet.BasicBlock, width=18, size=(192, 256)):
    maps_mb, weights_mb = cost.map_bytes / 1e6, cost.weight_bytes / 1e6
    print(f"{cost.side:>4}: maps {maps_mb:5.1f} MB, weights {weights_mb:4.1f} MB")

# %% [markdown]
# ## 5 · The whole network
# The beginning is given: a stem that halves twice, and four bottleneck blocks. Then transitions and modules alternate:
# 1 module with two maps, 4 with three, 3 with four.


# %%
class HRNet(nn.Module):
    """(N, 3, H, W) → four maps, (N, C, H/4, W/4) to (N, 8·C, H/32, W/32)."""

    def __init__(self, width: int = 18, modules=(1, 4, 3), blocks: int = 4) -> None:
        super().__init__()
        self.channels = c = [width, 2 * width, 4 * width, 8 * width]
        self.start, self.steps = ours.stem_and_layer1(blocks), nn.ModuleList()
        widths = ([256], c[:2], c[:3], c)
        for n, before, after in zip(modules, widths, widths[1:]):
            self.steps.append(Transition(before, after))
            self.steps += [HRModule(after, blocks) for _ in range(n)]

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [self.start(x)]
        for step in self.steps:
            maps = step(*maps)
        return maps


# %% tags=["nbval-check-output"]
package = create_model("hrnet_w18", 11).eval()
randomise(package)
backbone = HRNet(18)
whole = ours.Network(backbone, ConcatHead(backbone.channels, 11))
x = torch.randn(1, 3, 64, 96)
take_weights(whole, package, x)  # refuses if the outputs differ
weights = sum(p.numel() for p in whole.parameters())
print(f"same logits as the package's: {weights:,} weights")
for m in backbone.eval()(x):
    print(tuple(m.shape))

# %% [markdown]
# At width 48 with 20 classes it must have the 65.860 M parameters that the paper prints:

# %% tags=["nbval-check-output"]
with torch.device("meta"):  # shapes without numbers
    paper = ours.Network(HRNet(48), ConcatHead([48, 96, 192, 384], 20))
print(f"{sum(p.numel() for p in paper.parameters()) / 1e6:.3f} M")

# %% [markdown]
# It does. A test of the package compares its maps with those of timm's `hrnet_w18` and `hrnet_w48`, an implementation
# by other people: 1,830 entries of the same shapes in the same order, and equal maps, once timm's resize is set to
# bilinear like here.
#
# ## 6 · Is the lamp post whole?
# The stored log holds both networks, trained from random weights on the same streets, seeds and 500 steps. IoU of Pole,
# and mIoU, HRNet-W18 minus Cross-CBAM:

# %%
for size in ("192x256", "384x512"):
    for name in ("Pole", "Pedestrian", ""):
        one, other = (ours.logged(v, size, name) for v in ("hrnet", "cross_cbam_m"))
        print(f"{size}  {name or 'mIoU':10} {ours.verdict(one, other)}")

# %% [markdown]
# Read n first. With fewer than three seeds that both have, the lesson gives no verdict, whatever the sign. And more
# than the 1/4 map differs between the two: depth, width, head. What you *know* is that 1/4 has room for a lamp post.
# Whether 500 steps are enough to use it, only seeds can tell.

# %%
course.board("HRNet-W18, untrained", megabytes=4 * weights / 1e6)
course.progress()

# %% [markdown]
# **In five lines**
# 1. HRNet keeps the 1/4 map to the end; coarser maps come to its side, up to 1/32.
# 2. Upwards 1×1 and a bilinear resize, downwards one strided 3×3 for each halving; ReLU after the sum.
# 3. Align first, then add: a slice or a broadcast hides the mistake from every check of shapes.
# 4. A step down: four times the weights, the same multiply-adds, half the bytes of maps.
# 5. One seed gives a number, and no verdict.
#
# <details><summary>Five review questions</summary>
#
# 1. *Why can the 1×1 convolution stand before the resize?* A 1×1 mixes channels, a bilinear resize mixes places with
#    weights that sum to one: in evaluation they can change places. Before, it works on fewer places.
# 2. *How many convolutions does the path from 1/4 to 1/32 have, and how many have ReLU?* Three; two.
# 3. *C grows from 18 to 48. What grows how?* Weights and multiply-adds about (48/18)² = 7.1 times, bytes of maps 2.7
#    times.
# 4. *Where would you prune for a smaller download?* In the 1/32 branch.
# 5. *An exchange is wrong and raises no error. Which test finds it?* A picture sent through fixed weights, or a
#    comparison with another implementation.
#
# </details>
#
# **Beyond.** Replace the bilinear resize by nearest and send the grey street through again: what do you see at 1/4? ·
# Build `HRNet(18, modules=(1, 1, 1), blocks=2)` and count: which of the three costs falls most?
#
# **Papers.** Wang et al., *Deep High-Resolution Representation Learning for Visual Recognition*, TPAMI 2021, section 3 ·
# He et al., *Deep Residual Learning*, CVPR 2016 · Feng and Zhong, Improved HRNet, section III-A.
#
# **Next.** Lesson 10 puts five small attention blocks into one slot of a trained network.
