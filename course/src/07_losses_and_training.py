# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Losses and the training loop
# At the end you have written four losses, a schedule and a moving average, you know the loop that uses them line by
# line, and you have seen why one training run proves nothing.
#
# **100 minutes to work through** · 2 min of computing on two CPU cores · 1.2 GB of memory · data: rendered scenes, no download · needs lesson 02, 06 · 6 exercises

# %% tags=["setup"]
import copy
import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from edgeseg import course, plots
from edgeseg.course.lessons import lesson_07 as ours
from edgeseg.models import cross_cbam
from edgeseg.training import losses, optim
from edgeseg.training.losses import VOID, Loss
from edgeseg.training.recipes import Recipe

lesson = course.begin("07", version="0.1")
CrossCBAM = course.mine("06.3", cross_cbam.CrossCBAM)

# %% [markdown]
# Lesson 06 ended with a network that has all its parts and random numbers in them. Today is about the two outputs on
# which it learns, in orange: the class map and, in training only, the aux head.

# %%
course.network_map("mask", "aux", built=("backbone", "SE-ASPP", "CCBAM", "decoder"))

# %% [markdown]
# ## The paper
# Section 3.4 adds cross-entropy (Eq. 5) and focal loss (Eq. 6): Loss = α·CE + (1 − α)·FL, where α balances "main" and
# "auxiliary".
#
# | paper | here | |
# |---|---|---|
# | $p_t$ | `p` | probability that the network gives to the true class |
# | $\gamma$ | `gamma` | in 0…5; the value used is not printed |
# | $\alpha$ | `aux_weight` | not printed |
# | $1 - iter/max\_iter$ | `1 - progress` | what is left of the run |
#
# **Not said, and chosen here**: which loss belongs to which head (CE to the main, focal to the aux head), γ = 2, void left
# out, softmax, not the yes/no question of Eq. 5 (recipes have both).

# %% [markdown] tags=["predict"]
# **A question first.** Table 4: 74.02 mIoU without the auxiliary loss, 74.19 with it; how many runs, it does not say. Does
# the auxiliary loss help?
#
# <details><summary>Answer</summary>
#
# Nobody can tell from these two numbers. The last part of this lesson trains the same network ten times and finds out how
# far apart two runs are that differ in nothing that matters.
#
# </details>

# %% [markdown]
# ## Four scenes
# First let a network learn four images completely. If it cannot, it has a fault, and you find it in a minute. Below: the
# four scenes and their labels; black is **void**, where no class applies (here the car's own bonnet, bins, boxes).

# %%
from edgeseg.data.labels import CAMVID
from edgeseg.data.streets import Streets

MEAN = torch.tensor((0.412, 0.418, 0.430)).view(3, 1, 1)
STD = torch.tensor((0.238, 0.250, 0.276)).view(3, 1, 1)


def load(split, n, size=(96, 128), **factors):
    """Scenes for the network: normalised (n, 3, H, W), labels (n, H, W)."""
    streets = Streets(split, n=n, size=size, cache=False, **factors)
    images, labels = streets.arrays(workers=0, progress=False)
    x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - MEAN) / STD
    return x.to(lesson.device), torch.from_numpy(labels).to(lesson.device)


def drawn(ids):
    """(H, W) class ids in colours."""
    return plots.colorize(ids.cpu().numpy(), CAMVID)


# %%
pairs = list(Streets("train", n=4, size=(96, 128)))
views = {f"scene {i}": image for i, (image, _) in enumerate(pairs)}
views |= {
    f"label {i}": drawn(torch.tensor(ids)) for i, (_, ids) in enumerate(pairs)
}
plots.with_legend(ours.pictures(views), CAMVID, void=True)

# %% [markdown]
# ## Cross-entropy, void exactly left out
# A loss here returns two numbers, a **sum** and a **count**: the loss is sum / count. Why not the mean at once? Because
# means cannot be added. Two half-batches (or two GPUs) with different amounts of void have means whose mean is wrong; sums
# and counts can be added and divided once.
#
# The package's `Loss` does the rest: it resizes logits to the labels, calls your `pixel_terms`, divides.
#
# ### Exercise 07.1 · Cross-entropy   ●●○○○ · 10 minutes
# Per valid pixel: the weight of its true class times −log p. Return the sum of that, and the sum of the weights (all 1
# when `self.weight` is `None`). `target` holds 255 on void; a batch that is all void must give 0, not NaN.


# %% tags=["exercise", "build"]
class CrossEntropy(Loss):
    def __init__(self, weight=None, stride=1):
        super().__init__(stride)
        self.register_buffer("weight", weight, persistent=False)

    def pixel_terms(self, logits, target):
        """Logits (N, C, H, W), target (N, H, W) int64 → sum, count, both 0-dim."""
        ### BEGIN SOLUTION
        valid = target != VOID
        known = target.masked_fill(~valid, 0)
        log_p = logits.log_softmax(1).gather(1, known[:, None])[:, 0]
        weight = valid.to(logits.dtype)
        if self.weight is not None:
            weight = weight * self.weight[known]
        return (-log_p * weight).sum(), weight.sum()
        ### END SOLUTION


# %% tags=["reference"]
torch.manual_seed(7)
labels = torch.randint(0, 5, (2, 9, 13))
labels[0, :6] = VOID  # much void in one image, little in the other
labels[1, 0, :3] = VOID
hint = F.one_hot(labels.clamp(max=4), 5).permute(0, 3, 1, 2).float()
logits = 2 * torch.randn(2, 5, 9, 13) + 3 * hint  # a network that knows something
sure = logits + torch.tensor([12.0, 0.0]).view(2, 1, 1, 1) * hint  # sure of image 0
certain = 900 * hint
certain[:, :, 8, 12] = 0  # all losses are exactly 0 but one

# %% tags=["check"]
weight = torch.tensor([0.2, 1.0, 3.0, 0.5, 2.0])
CrossEntropy = course.check(
    CrossEntropy,
    losses.CrossEntropy,
    course.case(inputs=[logits, labels]),
    course.case(weight=weight, inputs=[logits, labels]),
    course.case(inputs=[(2, 5, 3, 4), labels]),
    course.case(inputs=[logits, torch.full_like(labels, VOID)]),
    course.case(inputs=[logits, labels], method="terms"),
    exercise="07.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Index 255 is out of bounds*: give void pixels some class to look up (`masked_fill`), and take them out afterwards.
# - *Right without weights, wrong with them*: the count is the sum of the weights, not of the pixels.
# - *Wrong from the first case on*: the softmax runs over the classes, dimension 1.
# - *The message names a step of mine that looks right*: you write it in another way than the package. Look at the numbers
#   only: a wrong sign, a mean for a sum, a count that is too large.
#
# </details>

# %% [markdown]
# The same batch whole, as the mean of two halves, and as sums over counts. Only the last equals the first.

# %% tags=["nbval-check-output"]
loss = CrossEntropy()
whole = loss(logits, labels)
halves = [loss.terms(logits[i : i + 1], labels[i : i + 1]) for i in range(2)]
mean_of_means = sum(total / count for total, count in halves) / 2
added = sum(total for total, _ in halves) / sum(count for _, count in halves)
print(f"whole batch {whole:.4f}   mean of means {mean_of_means:.4f}", end="   ")
print(f"sums over counts {added:.4f}")

# %% [markdown]
# **Class weights** give rare classes more influence. Left: what the pixels of 40 scenes are. Right: two rules. ENet's,
# 1/ln(1.1 + share), cannot exceed 1/ln 1.1; median frequency has no bound: compare Bicyclist with Road. From here on we
# use PyTorch's `F.cross_entropy(…, ignore_index=255)`, which gives 0 on void.

# %%
_, many = load("train", 40)
each = [label[label != VOID].long() for label in many.cpu()]
counts = torch.stack([torch.bincount(label, minlength=11) for label in each])
shares = counts.sum(0) / counts.sum()
rules = {rule: losses.class_weights(counts, rule) for rule in ("enet", "median")}
ours.shares_and_weights(CAMVID.names, shares, rules)

# %% [markdown]
# ## Focal loss
# Most pixels are road and sky, and soon right. Each costs little; together they cost more than all others. Focal loss
# (Eq. 6) multiplies a pixel's cross-entropy by $(1-p)^\gamma$: at p = 0.9 and γ = 2 that is 0.01.
#
# ### Exercise 07.2 · Focal loss   ●●○○○ · 10 minutes
# Sum over the valid pixels of $(1-p)^\gamma \cdot (-\log p)$, and their number, both as 0-dim tensors: a count is
# `mask.sum()`, not a Python number. You need p only of the true class, and cross-entropy already holds it.


# %% tags=["exercise", "build"]
class Focal(Loss):
    def __init__(self, gamma=2.0, stride=1):
        super().__init__(stride)
        self.gamma = gamma

    def pixel_terms(self, logits, target):
        """Logits (N, C, H, W), target (N, H, W) int64 → sum, count, both 0-dim."""
        ### BEGIN SOLUTION
        pixel = F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")
        p = torch.exp(-pixel)
        return ((1 - p) ** self.gamma * pixel).sum(), (target != VOID).sum()
        ### END SOLUTION


# %% tags=["check"]
Focal = course.check(
    Focal,
    losses.Focal,
    course.case(inputs=[logits, labels]),
    course.case(gamma=0.0, inputs=[logits, labels]),
    course.case(gamma=5.0, inputs=[(2, 5, 4, 6), labels]),
    exercise="07.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *How do I get p?* With `reduction="none"` cross-entropy is −log p for each pixel.
# - *The outputs agree, the gradient does not*: p depends on the logits; do not detach it.
# - *γ = 0 differs*: then it must be cross-entropy, divided by the number of valid pixels.
#
# </details>

# %% [markdown]
# A trained network looks at a scene that it has not seen. Left: the loss of one pixel. Middle: the factor $(1-p)^\gamma$,
# bright where a pixel still counts: outlines, poles, far things. Right: how few pixels make half of the loss.

# %%
from edgeseg.inference import load_segmenter

segmenter = load_segmenter("cross_cbam_m.streets")
image, label = Streets("test", n=8, size=(192, 256))[3]
target = torch.from_numpy(label).long()
with torch.inference_mode():
    trained = segmenter.logits(torch.from_numpy(image).permute(2, 0, 1)[None])
per_pixel = {"ignore_index": VOID, "reduction": "none"}
pixel = F.cross_entropy(trained, target[None], **per_pixel)[0]
p = torch.exp(-pixel).masked_fill(target == VOID, torch.nan).numpy()
ours.focus(image, p, gamma=2)

# %% [markdown]
# Move γ. At 0 every pixel counts by its cross-entropy. At which γ is the road dark?

# %% tags=["slider"]
import ipywidgets

knob = ipywidgets.FloatSlider(2.0, min=0, max=5, step=0.5, continuous_update=False)
_ = ipywidgets.interact(lambda gamma: ours.focus(image, p, gamma), gamma=knob)

# %% [markdown]
# ## Dice
# Dice asks per class: how much of the mask overlaps with the truth? Each class counts the same, however small:
#
# $$1 - \frac{2\sum p\,t + s}{\sum p + \sum t + s}$$
#
# with $p$ the softmax, $t$ the truth (0 or 1), $s$ = `smooth`.
#
# ### Exercise 07.3 · Dice loss   ●●●○○ · 15 minutes
# Sums run over the valid pixels of the whole batch. Return the sum over the classes **present** in the target, and how
# many they are, both as 0-dim tensors.


# %% tags=["exercise", "build"]
class Dice(Loss):
    def __init__(self, smooth=1.0, stride=1):
        super().__init__(stride)
        self.smooth = smooth

    def pixel_terms(self, logits, target):
        """Logits (N, C, H, W), target (N, H, W) int64 → sum, count, both 0-dim."""
        ### BEGIN SOLUTION
        classes = torch.arange(logits.shape[1], device=target.device)[:, None, None]
        truth = (target[:, None] == classes).to(logits.dtype)
        p = logits.softmax(1) * (target != VOID)[:, None]
        overlap, mine, true = ((x).sum((0, 2, 3)) for x in (p * truth, p, truth))
        dice = (2 * overlap + self.smooth) / (mine + true + self.smooth)
        return ((1 - dice) * (true > 0)).sum(), (true > 0).sum()
        ### END SOLUTION


# %% tags=["check"]
only_three = labels.clone()
only_three[labels == 4] = 1
only_three[labels == 0] = VOID
Dice = course.check(
    Dice,
    losses.Dice,
    course.case(inputs=[logits, labels]),
    course.case(smooth=0.1, inputs=[logits, only_three]),
    course.case(inputs=[(2, 5, 4, 6), only_three]),
    course.case(inputs=[logits, labels], method="terms"),
    exercise="07.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *`F.one_hot` fails at 255*: compare `target[:, None]` with `torch.arange(C).view(1, C, 1, 1)` (on the logits' device)
#   instead; void is then 0 in every class.
# - *Too large by a constant*: the probabilities on void pixels must be 0, too.
# - *Wrong only where classes are absent*: their dice is about 0 whatever the network says; leave them out of sum **and**
#   count.
#
# </details>

# %% [markdown]
# ## OHEM: only the hard pixels
# Online hard example mining keeps the pixels whose p is below a threshold, and leaves out the others. But a good network
# leaves few such pixels, and a loss over very few pixels is noise. So a minimum share is kept of every image: the bar
# falls as far as needed.
#
# ### Exercise 07.4 · OHEM   ●●●●○ · 15 minutes
# `kept` says which pixels count. A pixel is kept if its loss reaches a **bar**: −log(threshold), or, in an image where
# that keeps fewer than k = ⌈`keep` · valid pixels⌉, its k-th largest valid loss. Ties with the bar are kept.


# %% tags=["exercise", "build"]
class OHEM(Loss):
    def __init__(self, threshold=0.7, keep=1 / 16, stride=1):
        super().__init__(stride)
        self.threshold, self.keep = threshold, keep

    def pixel_terms(self, logits, target):
        pixel = F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")
        kept = self.kept(pixel.detach(), target)
        return (pixel * kept).sum(), kept.sum()

    def kept(self, pixel, target):
        """Losses (N, H, W) and target (N, H, W) → (N, H, W) bool."""
        ### BEGIN SOLUTION
        valid = target != VOID
        losses = pixel.masked_fill(~valid, -1).flatten(1)  # (N, H·W), void last
        hardest = losses.sort(1, descending=True).values
        place = (self.keep * valid.sum((1, 2))).ceil().long() - 1
        bar = hardest.gather(1, place.clamp(min=0)[:, None])
        bar = bar.clamp(max=-math.log(self.threshold))
        return valid & (pixel >= bar[:, None])
        ### END SOLUTION


# %% tags=["check"]
OHEM = course.check(
    OHEM,
    losses.OHEM,
    course.case(inputs=[logits, labels]),
    course.case(inputs=[sure, labels]),
    course.case(threshold=0.5, keep=0.25, inputs=[(2, 5, 4, 6), only_three]),
    course.case(inputs=[certain, labels]),
    course.case(inputs=[logits, torch.full_like(labels, VOID)]),
    exercise="07.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Which way round?* p below 0.7 is a loss above −log 0.7. Of the two bars the **lower** one holds.
# - *One image is right, the other not*: each image has a bar of its own; sort (or `topk`) image by image.
# - *Nearly right*: the share is of the valid pixels. Give void pixels a loss of −1, so that they sort last.
# - *All void*: place −1 must not be looked up; `clamp(min=0)`.
#
# </details>

# %% [markdown]
# Kept pixels are light. First an untrained network: nearly everything is hard, and OHEM is cross-entropy. Then the trained
# one with the usual threshold; with 0.1, as few as a much better network would leave; and the same with at least 1/4.

# %%
x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
with torch.inference_mode():
    naive = CrossCBAM(11, width=16, aspp_channels=64).eval()(x)
ways = {"untrained, p < 0.7": (naive, 0.7, 1 / 16)}
ways["trained, p < 0.7"] = (trained, 0.7, 1 / 16)
ways["p < 0.1"] = (trained, 0.1, 1e-6)
ways["p < 0.1, at least 1/4"] = (trained, 0.1, 1 / 4)
kept = {}
for name, (scores, threshold, least) in ways.items():
    each = F.cross_entropy(scores, target[None], **per_pixel)
    mask = OHEM(threshold, least).kept(each, target[None])[0]
    share = mask.sum() / (target != VOID).sum()
    kept[f"{name}: {share:.0%}"] = mask.float().numpy()
ours.pictures(kept)

# %% [markdown]
# Published code sorts every loss of the batch for this, and waits for the answer. The package takes the bar from 1/64 of
# the pixels. For one 720×960 crop:

# %%
import time

crop = torch.rand(720 * 960)
for name, some in (("all pixels", crop), ("1/64 of them", crop[::64])):
    start = time.perf_counter()
    bar = some.sort(descending=True).values[len(some) // 16]
    took = 1000 * (time.perf_counter() - start)
    print(f"{name:<13} sorted in {took:7.2f} ms, bar {bar:.3f}")

# %% [markdown]
# ## The rate
# *Poly* falls like a power of what is left, *cosine* like half a wave (Eq. 8 of the HRNet paper). Warm-up begins small,
# while the batch norms' statistics are still those of random weights.
#
# ### Exercise 07.5 · Learning rate   ●●○○○ · 10 minutes
# From `recipe.lr` down to `recipe.min_lr`, by `recipe.schedule`: poly takes (1 − progress) to the power `recipe.power`;
# cosine ½(1 + cos(π·progress)). In the first `recipe.warmup` steps (0: none) multiply by (step + 1)/warmup. A run that
# follows a clock may go on too long: progress 1.01 means 1.


# %% tags=["exercise"]
def learning_rate(recipe, step, progress):
    """Step 0, 1, …; progress 0…1 → the learning rate of this step."""
    ### BEGIN SOLUTION
    progress = min(progress, 1.0)
    if recipe.schedule == "cosine":
        share = 0.5 * (1 + math.cos(math.pi * progress))
    else:
        share = (1 - progress) ** recipe.power
    rate = recipe.min_lr + (recipe.lr - recipe.min_lr) * share
    return rate * min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else rate
    ### END SOLUTION


# %% tags=["check"]
poly = Recipe("poly", iterations=100, lr=0.01, min_lr=1e-4)
cosine = replace(poly, name="cosine", schedule="cosine", warmup=20)
learning_rate = course.check(
    learning_rate,
    optim.learning_rate,
    *[course.case(poly, step, step / 100) for step in (0, 50, 99)],
    *[course.case(cosine, step, step / 100) for step in (0, 19, 20, 60)],
    course.case(Recipe("overshoot", minutes=1.0, power=2.5), 70, 1.01),
    exercise="07.5",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Wrong from step 50 on*: the rate falls to `min_lr`, not to 0; only the difference is scaled.
# - *Wrong at step 0 or 20*: the factor is (step + 1)/warmup while step < warmup, and there may be no warm-up at all.
# - *A complex number*: a negative number to the power 0.9. Cut progress at 1.
#
# </details>

# %% [markdown]
# Poly (solid) is nearly a straight line. Cosine (dashed), once warm, runs above it until about the middle, then below.

# %%
curves = {}
for recipe in (poly, cosine):
    rates = [learning_rate(recipe, step, step / 100) for step in range(100)]
    curves[recipe.name] = rates
ours.lines(curves, "step", "learning rate")

# %% [markdown]
# ## The moving average
# The last steps jump from side to side of the minimum; their average lies nearer to it. After every step the average moves
# a little towards the model: average ← r·average + (1 − r)·model.
#
# ### Exercise 07.6 · Moving average   ●●○○○ · 10 minutes
# r rises as (1 + step)/(10 + step) up to `decay`, so that the random start soon has no weight. Parameters are averaged;
# buffers (batch norm's statistics, counters) are copied. Change `average` in place, without gradients; return its
# `state_dict()`. Copy numbers, not tensors: what changes the model later must not change the average.


# %% tags=["exercise"]
def ema_update(average, model, step, decay):
    """Two modules of one kind; step 0, 1, … → average.state_dict()."""
    ### BEGIN SOLUTION
    rate = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        pairs = zip(average.parameters(), model.parameters(), strict=True)
        for own, latest in pairs:
            own.copy_(rate * own + (1 - rate) * latest)
        for own, latest in zip(average.buffers(), model.buffers(), strict=True):
            own.copy_(latest)
    return average.state_dict()
    ### END SOLUTION


# %% tags=["reference"]
def moving_average(average, model, step, decay):
    """The package's class, asked for one update."""
    ema = optim.EMA(torch.nn.Identity(), decay)
    ema.model = average
    ema.update(model, step)
    return average.state_dict()


def small_net():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    net.double()
    net(torch.randn(2, 3, 8, 8).double())  # in train mode: its statistics move
    return net


pair = {"average": small_net(), "model": small_net()}

# %% tags=["check"]
ema_update = course.check(
    ema_update,
    moving_average,
    course.case(**pair, step=0, decay=0.99),
    course.case(**pair, step=50, decay=0.99),
    course.case(**pair, step=5000, decay=0.9),
    exercise="07.6",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a leaf Variable that requires grad … in-place*: work under `torch.no_grad()`.
# - *should be changed in place*: `own = …` gives a name to a new tensor; `own.copy_(…)` changes the module's.
# - *weight differs*: the average keeps the share r of itself, and takes 1 − r of the newest.
# - *running_mean differs*: buffers are copied, not averaged.
# - *Wrong late only*: r stops rising at `decay`.
#
# </details>

# %% [markdown]
# A toy: one weight that should be 0 takes noisy steps. Its averages are calm; the slower one is calmer. None of them keeps
# the start for long, since r begins at 0.1.

# %%
torch.manual_seed(0)
walker = torch.nn.Linear(1, 1, bias=False).requires_grad_(False)
walker.weight.fill_(3.0)
averages = {decay: copy.deepcopy(walker) for decay in (0.9, 0.99)}
path = {"weight": []} | {f"average, decay {decay}": [] for decay in averages}
for step in range(300):
    walker.weight -= 0.1 * (walker.weight + 2 * torch.randn(1, 1))
    path["weight"].append(walker.weight.item())
    for decay, average in averages.items():
        ema_update(average=average, model=walker, step=step, decay=decay)
        path[f"average, decay {decay}"].append(average.weight.item())
ours.lines(path, "step", "weight", level=(0, "the goal"))

# %% [markdown]
# ## The loop
# Fourteen lines are all of training. Pick a batch, set the rate, forward, loss, backward, step, average.


# %%
def train(model, data, recipe, loss, seed=0):
    (images, labels), order = data, torch.Generator().manual_seed(seed)
    optimizer = optim.make_optimizer(model, recipe)
    average, history = copy.deepcopy(model.train()).eval(), []
    for step in tqdm(range(recipe.iterations), leave=False):
        pick = torch.randperm(len(images), generator=order)[: recipe.batch]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, step / recipe.iterations)
        value = loss(model(images[pick]), labels[pick])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        ema_update(average=average, model=model, step=step, decay=recipe.ema)
        history.append(value.item())
    return average, history


# %% [markdown]
# The paper's loss, as we read it: CE on the main head plus `aux_weight` times focal on the aux head. That is α·CE +
# (1 − α)·FL with α = 1/(1 + aux_weight), times a constant; and with SGD a constant only changes the learning rate (weight
# decay is another matter). The network is Cross-CBAM-M at a quarter of its width: it trains in seconds.

# %%
main, aux, AUX_WEIGHT = CrossEntropy(), Focal(stride=8), 0.4


def paper_loss(outputs, target):
    first = main(outputs["out"], target)
    return first + AUX_WEIGHT * aux(outputs["aux"][0], target)


def new_net(classes=11, seed=0):
    torch.manual_seed(seed)
    return CrossCBAM(classes, width=16, aspp_channels=64).to(lesson.device)


# %% [markdown]
# Below, its loss on four scenes. A network that knows nothing of 11 classes would have a loss of ln 11 on the main head.

# %%
steps, no_idea = lesson.pick(400, 40), (math.log(11), "ln 11")
adamw = {"optimizer": "adamw", "lr": 5e-3, "warmup": 10, "ema": 0.95}
few = Recipe("four", iterations=steps, batch=4, **adamw)
four = load("train", 4, lesson.pick((192, 256), (96, 128)))
average, history = train(new_net(), four, few, paper_loss)
ours.lines({"four scenes": history}, "step", "loss", log=True, level=no_idea)

# %% [markdown]
# Before and after, and mIoU on these very scenes. Why not 100? The network answers at 1/8 of the size. The third picture is
# what becomes of the labels themselves on their way through a 1/8 map: thin poles get lost. Logits that are chosen well
# lose a little less.

# %%
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models.layers import resize


def miou(classes, target, known=11):
    """Percent, over the eleven classes, whatever else the network knows."""
    matrix = ConfusionMatrix(known)
    matrix.update(classes.cpu(), target.cpu().long())
    return 100 * torch.tensor(matrix.compute().per_class_iou[:11]).nanmean().item()


def answer(model, images):
    with torch.inference_mode():
        return model.eval()(images).argmax(1)


# %%
truth = F.one_hot(four[1].long().clamp(max=11), 12)[..., :11]
truth = truth.permute(0, 3, 1, 2).float()  # (N, 11, H, W)
coarse = resize(F.avg_pool2d(truth, 8), truth.shape[2:]).argmax(1)
answers = {
    "random": answer(new_net(), four[0]),
    "trained": answer(average, four[0]),
}
answers["labels, through 1/8"] = coarse
views = {}
for name, ids in answers.items():
    views[f"{name}: mIoU {miou(ids, four[1]):.0f}"] = drawn(ids[0])
views["truth"] = drawn(four[1][0])
plots.with_legend(ours.pictures(views), CAMVID, void=True)

# %% [markdown]
# Four scenes it knows. What is that worth on streets that it has not seen? The board of lesson 06 asks just this:

# %%
others = load("val", lesson.pick(12, 6), tuple(four[1].shape[1:]))
matrix = ConfusionMatrix(11)
matrix.update(answer(average, others[0]).cpu(), others[1].cpu().long())
found = matrix.compute()
course.board(
    "Cross-CBAM, a quarter wide, four scenes",
    miou=100 * found.miou,
    pedestrian=100 * found.per_class_iou[CAMVID.index("Pedestrian")],
    megabytes=4 * sum(p.numel() for p in average.parameters()) / 1e6,
)

# %% [markdown]
# ## Break it, one thing at a time
# **Eval mode forgotten.** In train mode batch norm uses the batch's own statistics, and dropout is on. Here one scene gets
# three answers: in eval mode; in train mode, alone; in train mode, beside two night scenes. Last, eval mode again: train
# mode has also changed the stored statistics.

# %%
size, scene, spoilt = four[1].shape[1:], four[0][:1], copy.deepcopy(average)
night = load("test", 2, tuple(size), night=True)[0]


def in_train_mode(images):
    with torch.inference_mode():
        return resize(spoilt.train()(images)["out"], size).argmax(1)[:1]


ways = {"eval mode": answer(average, scene), "train mode": in_train_mode(scene)}
ways["beside night scenes"] = in_train_mode(torch.cat([scene, night]))
ways["eval mode again"] = answer(spoilt, scene)
views = {}
for name, ids in ways.items():
    same = (ids == ways["eval mode"]).float().mean()
    views[f"{name}: {same:.0%} same"] = drawn(ids[0])
plots.with_legend(ours.pictures(views), CAMVID)

# %% [markdown]
# The opposite, `model.train()` forgotten after a test, stops the statistics from changing. Our networks do not hide either
# mistake: train mode gives a dict, eval mode a tensor, and the loss fails on the wrong one.
#
# **A rate 100 times too high.** Two optimisers, each at a good rate and at 100 times that.

# %%
small = load("train", 4)
base = replace(few, iterations=lesson.pick(100, 25))
tries = {"SGD": ("sgd", 0.1), "SGD × 100": ("sgd", 10.0)}
tries |= {"AdamW": ("adamw", 0.005), "AdamW × 100": ("adamw", 0.5)}
curves = {}
for name, (optimizer, lr) in tries.items():
    recipe = replace(base, optimizer=optimizer, lr=lr)
    _, curves[name] = train(new_net(), small, recipe, paper_loss)
ours.lines(curves, "step", "loss", log=True, level=no_idea)

# %% [markdown]
# SGD ends far away from a solution. AdamW loses little: it divides its step by the gradient's size, and after batch norm
# the size of the weights does not matter. So "the loss falls" does not tell that the rate is right.
#
# **Void as a class.** Someone maps 255 to a twelfth class so that an error message goes away, and trains. The same
# answers are then scored in two ways.

# %%
labels12 = torch.where(small[1] == VOID, 11, small[1].long())
mistaken, _ = train(new_net(12), (small[0], labels12), base, paper_loss)
answer12, matrix = answer(mistaken, small[0]), ConfusionMatrix(12)
matrix.update(answer12.cpu(), labels12.cpu())
iou = 100 * torch.tensor(matrix.compute().per_class_iou)
print(f"mIoU of eleven classes {miou(answer12, small[1], 12):.1f}", end=", ")
print(f"of twelve {iou.nanmean():.1f} (void {iou[11]:.1f})")
lost = ((answer12 == 11) & (small[1] != VOID)).sum()
print(f"{lost} valid pixels are called void")

# %% [markdown]
# In the full run the car's own bonnet, always at the same place, is soon learned, and as a class it makes the mean higher: a
# better number and a worse network, since every valid pixel that it calls void is lost.

# %% [markdown]
# ## One seed proves nothing
# Now the promised experiment. Five seeds for the starting weights; for each, two runs that differ **only in the order of
# the images**, which nobody would call an improvement. Call the second order "new".

# %%
learn = replace(
    few, name="learn", iterations=lesson.pick(120, 12), batch=8, ema=0.9
)
seen, unseen = load("train", lesson.pick(64, 16)), load("val", lesson.pick(32, 8))
scores = {"old order": [], "new order": []}
for seed in tqdm(range(5), leave=False):
    for name, shift in (("old order", 0), ("new order", 100)):
        model, _ = train(
            new_net(seed=seed), seen, learn, paper_loss, seed=seed + shift
        )
        scores[name].append(miou(answer(model, unseen[0]), unseen[1]))

# %% [markdown]
# Left: each dot is a run, lines join the runs of one seed, squares are mean ± standard error. Right: what "new" brings, seed
# by seed. With one seed, you would have published one of these bars.
#
# Can chance alone do this? That all five bars point the same way, up or down, happens by chance in one case of sixteen
# (2 · ½⁵). For a result that chance gives in only one case of twenty, the mean of five pairs must be 2.8 standard errors
# away from 0 (a t-test). Your bars may differ from those of another computer: different rounding is enough.

# %%
ours.seeds(scores)

# %% [markdown]
# How many seeds would show a gain as small as the paper's 0.17 points, if runs there spread as ours do? It must be about
# twice its standard error, so $n \approx (2s/0.17)^2$ pairs, with $s$ the standard deviation of the differences. (Long runs
# may spread less. But issue 255 of mmsegmentation reports 0.7 points between two runs of one command and one seed.)

# %%
gains = torch.tensor(scores["new order"]) - torch.tensor(scores["old order"])
low, high, s = gains.min(), gains.max(), gains.std()
print(
    f"one seed: from {low:+.2f} to {high:+.2f} points; "
    f"five: {gains.mean():+.2f} ± {s / 5**0.5:.2f}"
)
print(f"to see 0.17 points: about {math.ceil((2 * s / 0.17) ** 2)} pairs of runs")

# %% [markdown]
# ## All of it, and equal to the package's
# The package's `Objective`, `learning_rate` and `EMA` in a loop of the same steps. `twins` begin with the same weights, and
# dropout is off.


# %%
def package_train(model, data, recipe):
    loss, average = losses.Objective(recipe), optim.EMA(model, recipe.ema)
    optimizer = optim.make_optimizer(model.train(), recipe)
    for step in range(recipe.iterations):
        for group in optimizer.param_groups:
            rate = optim.learning_rate(recipe, step, step / recipe.iterations)
            group["lr"] = rate
        optimizer.zero_grad()
        loss(model(data[0]), data[1]).backward()
        optimizer.step()
        average.update(model, step)
    return average.model


# %% [markdown]
# Three steps with this lesson's loop, three with the package's, the same batch:

# %%
how = {"aux_loss": "focal", "aux_weight": AUX_WEIGHT, "lr": 0.01, "warmup": 2}
recipe = Recipe("both", iterations=3, batch=4, ema=0.5, **how)
twins = [new_net().cpu().double() for _ in range(2)]
for part in (*twins[0].modules(), *twins[1].modules()):
    if isinstance(part, torch.nn.Dropout2d):
        part.p = 0
batch = small[0].double().cpu(), small[1].cpu()
here, _ = train(twins[0], batch, recipe, paper_loss)
theirs = package_train(twins[1], batch, recipe)

# %% tags=["nbval-check-output"]
pairs = list(zip(here.parameters(), theirs.parameters()))
same = all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)
print("same weights" if same else "other weights")

# %%
course.progress()

# %% [markdown]
# ## In five lines
# 1. A loss is a sum and a count; void is in neither; divide once.
# 2. Focal makes right pixels count little, OHEM leaves them out, Dice asks each class, weights raise the rare.
# 3. First let the network learn four scenes to the last pixel.
# 4. Train and eval mode are different networks.
# 5. A difference without its standard error proves nothing.
#
# <details><summary>Five questions</summary>
#
# 1. *Two GPUs, one batch almost all void: what does averaging their losses do?* Its few pixels weigh as much as all of the
#    other's.
# 2. *With γ = 0.5 the loss is NaN after one step. Why?* At p = 1 the slope of $(1-p)^{0.5}$ is infinite. Void pixels have a
#    loss of 0, so their p is exactly 1, and infinite times 0 is NaN. The package keeps p a little below 1.
# 3. *Why is Dice over the batch not a sum over its images?* Its sums are divided before they are added.
# 4. *OHEM without a minimum share, late in training?* Very few pixels, often with wrong labels, decide how the network
#    changes.
# 5. *Why copy batch norm's statistics into the average?* They are averages already.
#
# </details>
#
# ## Beyond
# Train `paper_loss` with `OHEM` instead of CE, five seeds: does it help? · Make `train` take `accumulate=2` with sums and
# counts. · Papers: Lin 2017 (focal), Milletari 2016 (Dice), Shrivastava 2016 (OHEM), Bouthillier 2021 (variance of
# benchmarks). **Next**: lesson 08, the real run on CamVid.
