# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Train on CamVid
# At the end you have read a real run, made a short one, interrupted it and resumed it with the same numbers to the last
# bit, and you know which of a run's numbers may be believed.
#
# **75 minutes to work through** · 2 min of computing on two CPU cores · 1.8 GB of memory · data: rendered scenes, no download · needs lesson 02, 07 · 5 exercises

# %% tags=["setup"]
import json
import math
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from edgeseg import course
from edgeseg.course.lessons import lesson_08 as ours
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score

lesson = course.begin("08", version="0.1")

# %% [markdown]
# The whole network is built, and today all of it is trained:

# %%
course.network_map("all")

# %% [markdown]
# ## Where we are
# Lesson 07 has the losses and the loop. What is left is the run: 367 street photographs with labels, and about a
# hundred minutes of a CPU core. You need neither here: the run was made, its log is part of the repository, and
# you read it. A short run on rendered scenes you make yourself. If CamVid is on this machine, its frames appear. The
# real run is four commands:
#
# ```bash
# edgeseg data get camvid                               # or: export EDGESEG_DATA=FOLDER
# edgeseg train camvid_cpu --out runs/camvid            # Ctrl-C, a power cut: it can go on
# edgeseg train camvid_cpu --out runs/camvid --resume
# edgeseg eval runs/camvid/weights.safetensors --data camvid --split test      # once
# ```
#
# `camvid_cpu` is a recipe: every number of the run, as data. Some of its fields:

# %%
from edgeseg.training.recipes import get_recipe

fields = "epochs batch crop scale lr power min_lr warmup loss aux_weight ema seed"
for field in fields.split():
    print(f"{field:11}{getattr(get_recipe('camvid_cpu'), field)}")

# %% [markdown]
# ## The paper
# Cross-CBAM, sections 4.1, 4.2 and Table 3. Its learning rate is
# $\mathrm{lr}_0(1-\mathit{iter}/\mathit{max\_iter})^{power}$.
#
# | symbol, field | the paper | our run |
# |---|---|---|
# | `crop`, `scale` | 960×720; 0.5–2.5 | 384×288 out of 480×360; 1–2.5 |
# | `batch` × steps ($max\_iter$) | 24 × 10,000 | 8 × 7,340 |
# | `lr` ($lr_0$), `power`, `min_lr` | 0.01, 0.9, 1e-4 | 0.03, 0.9, 1e-4 |
# | `loss` | α·CE + (1−α)·focal | weighted CE, auxiliary CE × 0.4 |
# | start | never said | random |
# | mIoU | 73.8 | see below |
#
# **What the paper does not say, and what we chose.** An ImageNet backbone (the networks in its tables have one; we have
# none).
# Whether val was trained on (we: train only). Which checkpoint is scored (the last averaged weights). How many seeds
# (one, named in advance). α and γ.

# %% [markdown] tags=["predict"]
# **Before you go on.** The run ends with 65.0 on the 101 frames of val. The same weights on the 233 frames of test?
#
# <details><summary>Answer</summary>
#
# 56.9. Eight points less, and without any mistake in the run. Section 2 shows why.
# </details>

# %% [markdown]
# ## 1 · Read a run
# A run writes one JSON object a line: first the recipe and the machine, then a training line every ten steps, and a
# score line at each evaluation. Here is the beginning of one line of each kind:

# %%
log = ours.find_log("camvid_cpu_seed0.jsonl")
lines = log.read_text(encoding="utf-8").splitlines()
rows = [json.loads(line) for line in lines]
print(len(lines), "lines")
for kind in ("recipe", "loss", "miou"):
    first = next(i for i, row in enumerate(rows) if kind in row)
    print(f"{lines[first][:105]} …")

# %% [markdown]
# ### Exercise 08.1 · Read a log   ●●○○○ · 5 minutes
# Write `last_and_best(lines)`: a dict with the keys `"last"` and `"best"`, each (epoch, mIoU) of a score line. There
# are other lines in between, and a log need not end with a score.


# %% tags=["exercise"]
def last_and_best(lines):
    """{"last": (epoch, miou), "best": (epoch, miou)} of lines, strings of JSON."""
    ### BEGIN SOLUTION
    scores = []
    for row in map(json.loads, lines):
        if "miou" in row:
            scores.append((row["epoch"], row["miou"]))
    return {"last": scores[-1], "best": max(scores, key=lambda pair: pair[1])}
    ### END SOLUTION


# %% tags=["check"]
written = """{"recipe": {"epochs": 9}, "images": 80}
{"step": 10, "epoch": 1.0, "loss": 3.1, "lr": 0.01}
{"step": 20, "epoch": 2.0, "miou": 31.5, "absent": []}
{"step": 40, "epoch": 4.0, "miou": 44.2, "absent": []}
{"step": 40, "budget_changed": "epochs: 9 to 7"}
{"step": 70, "epoch": 7.0, "miou": 43.8, "absent": []}
{"step": 70, "epoch": 7.0, "loss": 0.4, "lr": 0.0}""".splitlines()
tries = [course.case(written), course.case(written[:4])]
last_and_best = course.check(
    last_and_best, ours.last_and_best, *tries, exercise="08.1"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *KeyError*: only score lines have `"miou"`. Test for it before you read it.
# - *answer['best'] is the last one*: `max` of pairs looks at the epoch first. Give it `key=lambda pair: pair[1]`.
# - *answer['last']*: the last *score* line, not the last line.
# </details>

# %% tags=["nbval-check-output"]
print(last_and_best(lines))

# %% [markdown]
# Now the curves. In the middle, black is the learning rate as logged. It leaves the orange schedule and jumps to the
# green one. Before you read on: what happened at epoch 82?

# %%
for row in rows:
    if row.get("step") in (3780, 3790):
        print(row)
ours.run(log, {210: "planned for 210 epochs", 160: "for 160 epochs"})

# %% [markdown]
# The run was planned for 210 epochs. At epoch 82 it was shortened to 160, because there was too little time. `poly`
# depends on the *share* of the budget that is spent: that share grew at once, so the rate fell from 0.0192 to 0.0157. Loss
# and mIoU hardly show it. Still, such a run is not "160 epochs of poly". A report must say so, and the log does.

# %% [markdown]
# ## 2 · Val is unlike test
# Which frames are val? The split is a list of names (sequence and frame number, 30 frames a second), so no image is
# needed:

# %% tags=["nbval-check-output"]
from collections import Counter

from edgeseg.data.camvid import camvid_frames

val, test = camvid_frames("val"), camvid_frames("test")
same = [frame for frame in camvid_frames("train") if frame.startswith("0016E5")]
print(f"val:   {len(val)} frames, {val[0]} to {val[-1]}, every second one")
before, after = (
    max(f for f in same if f < val[0]),
    min(f for f in same if f > val[-1]),
)
print("train: nearest before", before, "and after", after)
sequences = Counter(frame.split("_")[0] for frame in test)
print(f"test:  {len(test)} frames:", dict(sequences))

# %% [markdown]
# Val is one drive of seven seconds, and training frames lie about one second before and after it. So it shows streets
# that the network has nearly seen. Most of test is sequence Seq05VD, which is nowhere in train. On the left, each
# class on val (circle) and on test (square); on the right, how much of each split it covers. Look at Bicyclist,
# Fence, Car and Pole.

# %%
ours.classes(rows[-1])

# %% [markdown]
# Bicyclist covers ten times as much of val as of test: the car follows two riders. For Pole the opposite is true, and it
# is 21 points worse. What covers half a percent of 101 nearly equal frames is very few real objects. A gain of one
# point on such a val may be one lamp post.
#
# See for yourself: three frames, and what the shipped network says, which has seen rendered streets only.

# %%
from edgeseg.data import open_data
from edgeseg.data.pairs import DataError

try:
    shown = open_data("camvid", "val")
except DataError:
    shown = Streets("val", n=9, size=(288, 384))
    print("CamVid is not on this machine (README, Data): rendered scenes instead")
segmenter = load_segmenter("cross_cbam_m.streets", lesson.device)
ours.frames(shown, (0, len(shown) // 2, len(shown) - 1), segmenter.predict)

# %% [markdown]
# A split that differs can be made on purpose. The same test streets in other weather, for the same weights:

# %%
weathers = {
    "as trained": {},
    "dense fog": {"fog": "dense"},
    "night": {"night": True},
}
for name, weather in weathers.items():
    scenes = Streets("test", n=lesson.pick(24, 4), size=(288, 384), **weather)
    scored = score(segmenter.predict, scenes, progress=False)
    print(f"{name:11} mIoU {100 * scored.miou:4.1f}", end="   ")
    print(f"pixel accuracy {100 * scored.pixel_accuracy:4.1f}")

# %% [markdown]
# ## 3 · Beside other people's numbers
# CamVid test, 233 frames, 11 classes by definition A unless it says B. TV: trained on train + val.
#
# | setting | mIoU |
# |---|---|
# | from scratch, 480×360 | ENet 51.3 · EDANet 66.4 · DABNet 66.7 TV · FBSNet 68.9 TV · LMFFNet 69.1 TV · LETNet 70.5 TV |
# | from scratch, 960×720 | LMFFNet 72.0 TV · BiSeNetV2-L 73.2 TV |
# | ImageNet backbone, 960×720 | STDC1/2-Seg 73.0/73.9 · PP-LiteSeg-T/B 73.3/75.1 · Cross-CBAM-M/L 73.8/75.6 |
# | Cityscapes first, 960×720, **B** | PIDNet-S 80.1 · RegSeg 80.9 |
# | **our run**: from scratch, train only, 160 epochs on a CPU | 56.9 (540×720 in) · 51.0 (360×480 in) |
# | **our shipped weight**: rendered streets first, then TV, 150 epochs on a CPU | 61.3 (540×720 in) · 55.9 (360×480 in) |
#
# Ours are low, and the likeliest reason is time: LMFFNet and DABNet train 1000 epochs. Such settings, and what a network has
# seen before, change the number more than most modules do. B makes void of what A puts into a class (trucks, walls,
# children): never compare it with A.

# %% [markdown]
# ## 4 · The best epoch is a trap
# Why not keep the epoch that is best on val? Suppose a network that is *always* worth 60, and evaluations that
# scatter around it. The last one is right on average. The best of ten is not, since you chose it for being lucky:

# %%
ours.best_of(looks=10, noise=0.8)

# %% [markdown]
# Move the sliders. How many looks cost a full point at noise 0.5? (Neighbouring epochs are alike, so in real runs the
# error is a little smaller.)

# %% tags=["slider"]
from ipywidgets import FloatSlider, IntSlider, interact

looks = IntSlider(10, 1, 100, continuous_update=False)
noise = FloatSlider(value=0.8, min=0.1, max=3.0, continuous_update=False)
_ = interact(ours.best_of, looks=looks, noise=noise)

# %% [markdown]
# The Improved HRNet authors' published scripts keep the checkpoint that is best on the very val set they report.
# Here: the schedule is fixed, and the last averaged weights count.

# %% [markdown]
# ## 5 · Seeds and error bars
# The quickstart, trained with seeds 0, 1 and 2, reaches 54.6, 53.4 and 55.0 on the same 200 scenes (its first version).
# One recipe, three numbers. Which one is *the* number?
#
# ### Exercise 08.2 · Mean and standard error   ●●○○○ · 5 minutes
# Write `mean_and_error(scores)`: the mean, and its standard error $s/\sqrt n$, where
# $s^2=\frac1{n-1}\sum_i(x_i-\bar x)^2$.


# %% tags=["exercise"]
def mean_and_error(scores):
    """(mean, standard error of the mean) of a sequence of n scores."""
    ### BEGIN SOLUTION
    mean = sum(scores) / len(scores)
    variance = sum((x - mean) ** 2 for x in scores) / (len(scores) - 1)
    return mean, math.sqrt(variance / len(scores))
    ### END SOLUTION


# %% tags=["check"]
mean_and_error = course.check(
    mean_and_error,
    ours.mean_and_error,
    course.case([54.6, 53.4, 55.0]),
    course.case([60.0, 61.0]),
    course.case([50.0, 50.0, 50.0, 50.0, 51.0]),
    exercise="08.2",
)
mean, error = mean_and_error([54.6, 53.4, 55.0])
print(f"mean {mean:.2f}, standard error {error:.2f}")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *answer[1] too large*, about 0.83 for the first case: that is $s$, not yet divided by $\sqrt n$.
# - *answer[1] a little too small*: `numpy.std` divides by $n$; `ddof=1` makes it $n-1$.
# - *answer[1] is 0.23*: the variance over $n$. The root is missing.
# </details>

# %% [markdown]
# With three seeds the standard error itself is not well known: an interval that holds the truth in 95 % of cases reaches
# 4.3 standard errors to each side (Student's t, two degrees of freedom), not 2. So 54.3 ± 2.1.
#
# Now somebody has an idea and trains with the same seeds: 55.0, 53.9, 55.3 (**invented**, for the exercise). Did it
# help? The error bars overlap widely. But a seed fixes the initial weights, the order of the images and the dropout:
# what is lucky for one run is, in part, lucky for the other.
#
# ### Exercise 08.3 · Paired differences   ●●○○○ · 10 minutes
# Write `paired(a, b)`: two dicts {seed: score}; the mean of b − a over the seeds that both have, and its standard
# error.


# %% tags=["exercise"]
def paired(a, b):
    """(mean of b − a, its standard error) over the seeds that both dicts have."""
    ### BEGIN SOLUTION
    common = sorted(set(a) & set(b))
    return mean_and_error([b[seed] - a[seed] for seed in common])
    ### END SOLUTION


# %% tags=["check"]
quickstart = {0: 54.6, 1: 53.4, 2: 55.0}
idea = {2: 55.3, 0: 55.0, 1: 53.9}
paired = course.check(
    paired,
    ours.paired,
    course.case(quickstart, idea),
    course.case(quickstart | {7: 90.0}, idea | {3: 1.0}),
    exercise="08.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *the second dict is in another order*: go over the seeds, not over the values.
# - *answer[1] about 0.6*: that is the error of two independent means. Take differences first, then `mean_and_error`.
# - *the sign*: b − a, so that an improvement is positive.
# - *KeyError*: seeds 7 and 3 stand on one side only. `set(a) & set(b)`.
# </details>

# %%
ours.seeds(quickstart, idea, ("quickstart", "idea (invented)"))

# %% [markdown]
# On the left two groups that overlap, on the right one clear answer: +0.40, standard error 0.06 (95 %: ± 0.25). Pairing
# helps only if the lines on the left are nearly parallel: look, do not assume. And three seeds are few; five are better,
# and a difference of one seed proves nothing.

# %% [markdown]
# ## 6 · How to choose without touching test
# After every look at test you may choose by it, even if you do not want to. So decisions (rate, loss, crop) are taken on a
# fold of *train*: the sequence 0006R0 is held out as a whole, since neighbouring frames are nearly the same.

# %% tags=["nbval-check-output"]
for split in ("fold_train", "fold_val"):
    found = camvid_frames(split)
    sequences = sorted({frame.split("_")[0] for frame in found})
    print(f"{split:10} {len(found)} frames of {sequences}")
shared = set(camvid_frames("fold_train")) & set(found)
print("in both:", len(shared), end=" · ")
print("fold frames in test:", len(set(found) & set(test)))

# %% [markdown]
# ```bash
# edgeseg ablate camvid_fold --variant plain --variant "streets: init=cross_cbam_m.streets" \
#   --variant "ohem: loss=ohem class_weights=none" --seeds 3
# ```
#
# trains each variant on seeds 0, 1 and 2, 20 epochs a run, and gives the paired differences. OHEM in place of class
# weights: −1.5 ± 0.7, so it was not taken. Starting from rendered streets: +7.2 ± 0.7 after so few epochs. The best
# variant is trained once more, on all frames, and scored on test once.

# %% [markdown]
# ## 7 · A short run of your own
# The same loop on rendered scenes, short enough to wait for. `streets_cpu` is the quickstart's recipe; its budget
# becomes a few epochs. A line appears at each evaluation. See the loss fall, and mIoU stay behind accuracy: the road
# is learnt first, the poles last.

# %%
import tempfile
from pathlib import Path

from edgeseg.training.train import fit

home, size = Path(tempfile.mkdtemp()), lesson.pick((192, 256), (96, 128))
epochs, batch = lesson.pick(8.0, 4.0), lesson.pick(8, 4)
how = {"warmup": 10, "ema": 0.97, "precise_bn": 4, "amp": "none", "eval_every": 2.0}
recipe = replace(
    get_recipe("streets_cpu"), iterations=0, epochs=epochs, batch=batch
)
recipe = replace(recipe, crop=size, **how)
train = Streets("train", lesson.pick(160, 24), size)
held_out = Streets("val", lesson.pick(16, 4), size)
options = {"device": lesson.device, "progress": False}
report = fit(recipe, train, held_out, home / "short", **options)
ours.run(home / "short" / "log.jsonl")

# %% [markdown]
# What this network sees, after so little training. Compare with the finished one in section 2.

# %%
own = load_segmenter(home / "short" / "weights.safetensors", lesson.device)
ours.frames(held_out, (0, 1, 2), own.predict)

# %% [markdown]
# This is a network that you have trained on this machine, so it goes onto the board of lesson 06: mIoU and Pedestrian on
# the scenes that were held out, and the time of a typical call by exercise 00.5 (a first impression; lesson 16 measures
# with care).

# %%
import time

from edgeseg.course.lessons import lesson_00

frames_per_second = course.mine("00.5", lesson_00.frames_per_second)
found, seconds = score(own.predict, held_out, progress=False), []
for image, _ in [*held_out] * 2:
    started = time.perf_counter()
    own.predict(image)
    seconds.append(time.perf_counter() - started)
course.board(
    f"Cross-CBAM, trained here in {epochs:g} epochs, {size[0]}×{size[1]}",
    miou=100 * found.miou,
    pedestrian=100 * found.per_class_iou[held_out.table.index("Pedestrian")],
    milliseconds=1000 / frames_per_second(seconds),
)

# %% [markdown]
# ## 8 · A run is interrupted
# Long runs are interrupted. To go on *exactly*, everything that changes while a run goes on must be on disk. What is
# everything? Here is a very small run, with all the parts of a real one:


# %% tags=["reference"]
class ToyRun:
    """A line through noisy points: momentum, a falling rate, averaged weights."""

    def __init__(self, seed):
        self.random, self.step = np.random.default_rng(seed), 0
        self.weights, self.velocity, self.average = np.zeros((3, 2))

    def go_on(self, steps):
        for _ in range(steps):
            x, noise = self.random.normal(size=(2, 8))
            y, (a, b) = 3 * x + 1 + 0.1 * noise, self.weights
            slope = np.mean([(a * x + b - y) * x, a * x + b - y], axis=1)
            self.velocity = 0.9 * self.velocity + slope
            self.weights = self.weights - 0.1 / (1 + self.step) * self.velocity
            self.average = 0.9 * self.average + 0.1 * self.weights
            self.step += 1
        return {"weights": self.weights, "average": self.average}


# %% [markdown]
# ### Exercise 08.4 · Resume exactly   ●●●○○ · 10 minutes
# The run has done `kill_at` steps, and the power fails. `fresh` is a new run with the same seed. Carry over from
# `run` to `fresh` what it takes to end with the same numbers, as if nothing had happened. One part cannot be seen in
# the weights at all.


# %% tags=["exercise"]
def resumed(seed, kill_at, steps):
    """Weights and average after `steps` steps, interrupted after `kill_at`."""
    run, fresh = ToyRun(seed), ToyRun(seed)
    run.go_on(kill_at)
    ### BEGIN SOLUTION
    fresh.weights = run.weights.copy()
    fresh.velocity = run.velocity.copy()
    fresh.average = run.average.copy()
    fresh.step = run.step
    fresh.random.bit_generator.state = run.random.bit_generator.state
    ### END SOLUTION
    return fresh.go_on(steps - kill_at)


# %% tags=["reference"]
def uninterrupted(seed, kill_at, steps):
    """What the interrupted run must end with."""
    return ToyRun(seed).go_on(steps)


# %% tags=["check"]
resumed = course.check(
    resumed,
    uninterrupted,
    course.case(0, 5, 12),
    course.case(3, 1, 30),
    exercise="08.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Go through `__init__`: what does it set, and what does `go_on` change?
# - *only answer['average'] differs*: the average has a memory of its own.
# - *answer['weights'] is far off*: the step, from which the rate follows; or the velocity.
# - *answer['weights'] differs by little*: the random numbers. A fresh generator begins anew, and the batches come again. Its
#   state is `run.random.bit_generator.state`.
# - Do not call `go_on` on `run` again: after a real power cut it is gone.
# </details>

# %% [markdown]
# Now with a real network: Cross-CBAM, narrow, on the CPU, with the recipe's own optimiser. These validation scenes end the
# run in the middle of the third evaluation. The last checkpoint is then one epoch old.


# %%
class PulledPlug(Streets):
    """Scenes that end the run, without warning, in the third evaluation."""

    looks = 0

    def __getitem__(self, index):
        self.looks += 1
        if self.looks == 7:  # two looks before the first step, two in an evaluation
            raise KeyboardInterrupt
        return super().__getitem__(index)


# %%
import shutil

from edgeseg.training.checkpoint import read_checkpoint

how = {
    "epochs": 6.0,
    "batch": 4,
    "crop": (64, 64),
    "scale": (1.0, 1.5),
    "warmup": 4,
}
how |= {"ema": 0.9, "precise_bn": 0, "eval_size": None, "eval_every": 1.0}
narrow = {"width": 8, "aspp_channels": 16}
tiny = replace(get_recipe("camvid_cpu"), switches=narrow, amp="none", **how)
few = Streets("train", 16, (96, 128))
options = {"device": "cpu", "checkpoint_seconds": 0, "progress": False}

# %%
try:
    fit(tiny, few, PulledPlug("val", 1, (96, 128)), home / "cut", **options)
except KeyboardInterrupt:
    written = (home / "cut" / "log.jsonl").read_text(encoding="utf-8")
    print("no more power; the log ends with", written.splitlines()[-1])
shutil.copytree(home / "cut", home / "resumed")
meta, tensors = read_checkpoint(home / "cut" / "checkpoint.safetensors")
print(f"on disk: step {meta['step']}, with")
for part in ("model", "ema", "optimizer", "rng"):
    sizes = [t.numel() for name, t in tensors.items() if name.startswith(part)]
    print(f"  {part:9} {sum(sizes):,} numbers")

# %% [markdown]
# Each part has its reason: `ema` is the average, `optimizer` the momentum, `rng` the dropout. The order of the images
# and their augmentation need no place: here they are a function of (seed, step). Resume, and compare with a run that
# was not interrupted:

# %% tags=["nbval-check-output"]
fit(tiny, few, None, home / "resumed", resume=True, **options)
fit(tiny, few, None, home / "whole", **options)
ends = []
for name in ("resumed", "whole"):
    meta, tensors = read_checkpoint(home / name / "checkpoint.safetensors")
    print(f"{name:8} step {meta['step']}")
    ends.append(tensors)
a, b = ends
same = a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
print("every tensor the same, bit for bit:", same)

# %% [markdown]
# What if a checkpoint lacks a part? Take one away at a time, resume, and measure how far the run ends from the one that was
# not interrupted. Predict first: which missing parts change nothing in the *trained* weights, and only the average?

# %%
from safetensors.torch import save_file

torch.manual_seed(99)
other_random = torch.get_rng_state()


def forget(part, meta, t):
    """A checkpoint's tensors without one part; the step is taken out of meta."""
    if part == "the step":
        meta["step"] = 0
    if part == "momentum":
        return {k: v for k, v in t.items() if not k.startswith("optimizer")}
    if part == "random state":
        return {**t, "rng.cpu": other_random}
    if part == "average":  # it begins anew, at the trained weights
        return {k: t[k.replace("ema.", "model.")] for k in t}
    return t


# %%
def distance(one, two, part):
    """Relative distance of the weights of one part of two checkpoints."""
    statistics = ("running", "num_batches")
    names = [k for k in two if k.startswith(part)]
    names = [k for k in names if not any(word in k for word in statistics)]
    a, b = (torch.cat([t[k].double().flatten() for k in names]) for t in (one, two))
    return float((a - b).norm() / b.norm())


# %%
found = {}
for name in ("nothing", "the step", "momentum", "random state", "average"):
    shutil.copytree(home / "cut", home / name)
    file = home / name / "checkpoint.safetensors"
    meta, tensors = read_checkpoint(file)
    left = {k: v.clone() for k, v in forget(name, meta, tensors).items()}
    save_file(left, file, {"edgeseg": json.dumps(meta)})
    fit(tiny, few, None, home / name, resume=True, **options)
    end = read_checkpoint(file)[1]
    found[name] = tuple(distance(end, b, part) for part in ("model.", "ema."))
ours.forgotten(found)

# %% [markdown]
# The random state, a few bytes, changes every weight: another dropout, another run. The lost average differs little only
# because it follows quickly in so short a run. None of this raises an error. So one of the package's tests interrupts a
# run and compares, bit for bit.

# %% [markdown]
# ## 9 · A flip, and back
# One way to a higher number: predict the image and its mirror image, and average. It costs a second pass, so for a
# real-time network such a number is reported apart, if at all.
#
# ### Exercise 08.5 · A flip, and back   ●●●○○ · 10 minutes
# `logits` is a function: (1, 3, H, W) `uint8` tensor in, (1, C, H, W) float out. Write `flip_average(logits, image)`:
# image (H, W, 3) `uint8` array in, class ids (H, W) `uint8` array out, of the two *probabilities* averaged.


# %% tags=["exercise"]
def flip_average(logits, image):
    """(H, W) uint8 ids, from mean probabilities of an image and its mirror one."""
    ### BEGIN SOLUTION
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    direct = logits(x).softmax(1)
    mirrored = logits(x.flip(3)).flip(3).softmax(1)
    return ((direct + mirrored) / 2).argmax(1)[0].to(torch.uint8).numpy()
    ### END SOLUTION


# %% tags=["check"]
kernel = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def lopsided(images):
    """Logits that depend on what lies left and right."""
    return functional.conv2d((images - 127.5) / 300, kernel, padding=2)


noise = np.random.default_rng(0).integers(0, 256, (2, 20, 32, 3)).astype(np.uint8)
tries = [course.case(lopsided, x) for x in (noise[0], noise[1, :13, :17])]
flip_average = course.check(
    flip_average, ours.flip_average, *tries, exercise="08.5"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - (H, W, 3) → (1, 3, H, W): `torch.from_numpy(image).permute(2, 0, 1)[None]`.
# - Width is dimension 3. The mirrored *answer* must be mirrored back before it is added.
# - *some pixels differ*: logits were averaged; `softmax(1)` first. Over dimension 1, the classes.
# - In the end `argmax(1)`, the first (and only) image, `uint8`, `.numpy()`.
# </details>

# %%
scenes = Streets("test", n=lesson.pick(24, 4), size=(288, 384))
finished = load_segmenter("cross_cbam_m.streets")
ways = {"one pass": finished.predict}
ways["with its mirror image"] = lambda image: flip_average(finished.logits, image)
for name, predict in ways.items():
    with torch.inference_mode():
        scored = score(predict, scenes, progress=False)
    print(f"{name:22} mIoU {100 * scored.miou:.2f}")

# %%
shutil.rmtree(home)
course.progress()

# %% [markdown]
# **In five lines.** 1. A log says what was really done, a recipe what was planned. 2. CamVid's val is seven seconds
# beside its training frames; most of test is another drive. 3. Fix the schedule, take the last averaged weights,
# score test once. 4. Several seeds, paired, with an error bar. 5. A checkpoint holds weights, statistics, average,
# momentum, step and random state.

# %% [markdown]
# **Review**
#
# <details><summary>1. Why did the learning rate jump, and not the loss?</summary>
#
# The rate follows the share of the budget, which changed at once. The weights go on from where they are.</details>
#
# <details><summary>2. 65.0 on val, 56.9 on test: is that overfitting?</summary>
#
# To the drive, one could say. Val comes from a training drive, test in part from another one, with other shares of the
# classes.</details>
#
# <details><summary>3. Ten recipes are tried on test, the best is published. What is wrong?</summary>
#
# Test was used to choose. Its number is now the best of ten: too high, as in section 4.</details>
#
# <details><summary>4. Two recipes, one seed each, 0.7 apart. What do you know?</summary>
#
# Hardly anything: the quickstart's seeds are 1.6 apart with one recipe.</details>
#
# <details><summary>5. Which forgotten part of a checkpoint would never show in the training loss?</summary>
#
# The average: the loss is that of the trained weights.</details>

# %% [markdown]
# **Beyond.** Start the real run tonight, and stop it once on purpose. · Twice the batch at the same number of epochs:
# how must `lr`, `warmup` and `ema` change? (The average should reach back over as many *images*: 0.9995².) · Compare
# `--size native` with 540×720: why does an enlargement alone give six points?
#
# **Papers.** Brostow et al., CamVid, 2009 · Bouthillier et al., *Accounting for variance in machine learning
# benchmarks*, 2021 · Wu and Johnson, *Rethinking "batch" in BatchNorm*, 2021 (precise BN).
#
# **Next:** lesson 09 leaves Cross-CBAM for HRNet.
