# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 15 · Seeing what it sees
# At the end you can draw what a class is seen by, test whether such a drawing means anything, and say of an error: border
# or inside, network or label.
#
# **90 minutes to work through** · 0.5 min of computing on two CPU cores · 1.2 GB of memory · data: rendered scenes, no download · needs lesson 05, 14 · 6 exercises

# %% tags=["setup"]
import copy

import numpy as np
import torch

from edgeseg import course, explain
from edgeseg.course.lessons import lesson_15 as ours
from edgeseg.course.lessons import lesson_15_frames as frames
from edgeseg.data.streets import Streets
from edgeseg.explain.boundary import boundary_distance as package_distance
from edgeseg.inference import load_segmenter
from edgeseg.metrics import ConfusionMatrix, score
from edgeseg.plots import panel

lesson = course.begin("15", version="0.1")

# %% [markdown]
# Nothing is built today. We look into the finished network, mostly at its last fusion and its classifier:

# %%
course.network_map("decoder")

# %% [markdown]
# ## Where we are: a person who is read as a cyclist
# A test street, never trained on. A person stands on the road, to the right. Above, the mask of Cross-CBAM **M**; below,
# that of **S**, a smaller network whose backbone had learnt from ImageNet before.

# %%
size = lesson.pick((288, 384), (96, 128))
streets = Streets("test", n=lesson.pick(12, 9), size=size)
table, (image, truth) = streets.table, streets[8]
big, small = map(load_segmenter, ("cross_cbam_m.streets", "cross_cbam_s.streets"))
person = ours.largest(truth, table.index("Pedestrian"))
masks = {"M": big.predict(image), "S": small.predict(image)}
for name, mask in masks.items():
    said = ours.said_of(mask, person, table)
    print(f"{name} says of {person.sum()} pixels: {said}")
ours.smaller(
    panel([(image, truth, m) for m in masks.values()], table, names=list(masks))
)

# %% [markdown]
# M gives not one pixel to Pedestrian. Four questions that one can ask of any error:
#
# 1. What speaks for the wrong class?
# 2. How far around does the network look?
# 3. Is an outline off, or a whole thing?
# 4. Is it the network, or the label?
#
# ## The paper
# Improved HRNet, Fig. 8: heat maps "before the fully connected classification layer". Ours are **Seg-Grad-CAM** (2020):
#
# $$y=\sum_{p\in R}z_c(p)\qquad\alpha_k=\frac1{hw}\sum_{i,j}\frac{\partial y}{\partial A^k_{ij}}\qquad
# L=\mathrm{ReLU}\Big(\sum_k\alpha_kA^k\Big)$$
#
# | symbol | here | is |
# |---|---|---|
# | $A$ | `maps` | (1, K, h, w), what a module gives |
# | $z_c$ | `rest(maps)[0, class_id]` | (H, W), logits of one class |
# | $R$ | `region` | (H, W), which pixels are asked |
# | $\alpha_k$ | weights | mean slope of channel k |
# | $L$ | heat map | (h, w), 0 and up |
#
# **What the paper does not say**: method, class, region, scale, number of trainings. **What we chose**: this formula, one
# class a map, the region in orange, each map on its own scale.
#
# ## 1 · What a class is seen by
# `ours.cut` cuts a network in two behind a module: its maps, and the rest, from maps to logits.

# %% tags=["nbval-check-output"]
maps, rest = ours.cut(big, image, "reduce")  # the maps before the classifier
print(maps.shape[1], "channels;", "the rest gives", rest(maps).shape[1], "classes")

# %% [markdown]
# ### Exercise 15.1 · Heat map   ●●○○○ · 12 minutes
# Write `heat_map(maps, rest, class_id, region)`, the three formulas. `torch.autograd.grad(y, a)` gives a tuple of
# slopes ∂y/∂a, for an `a` that y was computed from and that requires a gradient. Leave the given maps as they are.


# %% tags=["exercise"]
def heat_map(maps, rest, class_id, region):
    """(h, w), 0 and up; region is (H, W) bool."""
    ### BEGIN SOLUTION
    maps = maps.detach().requires_grad_()
    y = rest(maps)[0, class_id][region].sum()
    (slopes,) = torch.autograd.grad(y, maps)
    weights = slopes.mean((2, 3), keepdim=True)  # (1, K, 1, 1)
    return (weights * maps).sum(1)[0].relu().detach()
    ### END SOLUTION


# %% tags=["check"]
heat_map = course.prove(heat_map, ours.heat_map, *ours.HEAT_MAP, exercise="15.1")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *does not require grad*: `maps.detach().requires_grad_()` is a new tensor on the same numbers.
# - *multiplies place by place*: first the mean over h and w, then times the map.
# - *values below 0*: `relu()` last, after the sum over channels.
# - *two answers when asked twice*: `backward()` adds up in `.grad`.
#
# </details>

# %% tags=["nbval-check-output"]
ids = {name: table.index(name) for name in ("Pedestrian", "Bicyclist")}
mine = heat_map(maps, rest, ids["Bicyclist"], torch.from_numpy(person))
theirs = explain.grad_cam(big, image, "Bicyclist", "reduce", person).after[0]
same = np.allclose(torch.as_tensor(mine).detach(), theirs, atol=1e-4)
print("as explain.grad_cam:", same)

# %% [markdown]
# `explain.grad_cam` finds both sides of any module by hooks. Here of the last CCBAM in M: *before 1* is the backbone's
# map at 1/8, *before 2* comes from the decoder. Asked are the person's pixels, for the right class and for the wrong.

# %%
asked = [explain.grad_cam(big, image, n, "decoder.fuse8", person) for n in ids]
ours.Photo(explain.heat_figure(asked, list(ids)), 0.6)

# %% [markdown]
# For Bicyclist, the cyclist on the left lights up as well: M uses the same channels for both. And the fine map, *before
# 1*, names no person at all: it looks alike at poles and house corners. Now before the classifier, and as a number: how
# much of the heat lies on the person?

# %%
for name, net in {"M": big, "S": small}.items():
    maps_of = {n: explain.grad_cam(net, image, n, None, person) for n in ids}
    shares = {n: ours.on_the_class(m.before[0], person) for n, m in maps_of.items()}
    print(name, {n: f"{share:.0%}" for n, share in shares.items()})

# %% [markdown]
# M: 11 % for Pedestrian, 20 % for Bicyclist. S: 17 % and 10 %. The maps agree with the masks. They must: before the
# classifier, heat is close to the logits. It *describes* the error; it is no cause.

# %% [markdown] tags=["predict"]
# ## 2 · A picture that looks right proves nothing
# **Predict.** We forget the classifier: its weights become random, all else stays trained. Three methods draw "what
# the network sees": Seg-Grad-CAM, the size of the pixels' slopes |∂y/∂x|, and an edge filter. Which pictures change?
#
# <details><summary>Answer</summary>
#
# Seg-Grad-CAM changes wholly (rank correlation 0.12 with the trained map). The slopes hardly change: 0.76, and 0.51
# when **every** layer is random. The edges do not change: no network takes part. So a picture may look convincing and
# say nothing about what a network has learnt.
#
# </details>

# %% [markdown]
# This is the **sanity check** of Adebayo et al. (2018): make layer after layer random, from the last to the first, and
# compare with the trained network's map. Somebody wrote it, and reports that heat maps do not depend on the network:


# %% tags=["reference"]
def faulty_sanity(model, heat, layers):
    """Likeness of the trained network's map with ever more random ones."""
    random, found = model, []
    for name in layers:
        ours.randomise(random, name)
        found.append(ours.alike(heat(model), heat(random)))
    return found


# %% tags=["nbval-check-output"]
layers = ["classifier", "reduce", "decoder", "context", "backbone"]
layers = layers[: lesson.pick(5, 2)]
methods = ours.methods(big, image, ids["Bicyclist"], person)
given = copy.deepcopy(big.model)
said = faulty_sanity(given, methods["Seg-Grad-CAM"], layers[:2])
print([f"{x:.2f}" for x in said])

# %% [markdown]
# ### Exercise 15.2 · Find the bug: a sanity check   ●●○○○ · 10 minutes
# Both are 1.00, and `given` is ruined. Write `sanity` without the fault. `heat` makes a map (h, w) from a model.
# Layers stay random once they are. `ours.randomise(model, name)` changes a model in place; `ours.alike` is the rank
# correlation.


# %% tags=["exercise"]
def sanity(model, heat, layers):
    """One likeness a layer; the model stays as it was."""
    ### BEGIN SOLUTION
    trained, random, found = heat(model), copy.deepcopy(model), []
    for name in layers:
        ours.randomise(random, name)
        found.append(ours.alike(trained, heat(random)))
    return found
    ### END SOLUTION


# %% tags=["check"]
sanity = course.prove(sanity, ours.sanity, *ours.SANITY, exercise="15.2")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *all are 1.00*: `random = model` is a second name for the same network. `copy.deepcopy` makes another.
# - *each layer is random by itself*: copy once, before the loop.
# - *the network that was given is random*: spoil the copy, not `model`.
#
# </details>

# %%
found = {name: sanity(big.model, heat, layers) for name, heat in methods.items()}
for name, values in found.items():
    print(f"{name:23}", "  ".join(f"{x:5.2f}" for x in values))
ours.likeness(found, layers)

# %%
ours.drawn_by(methods, big.model, image)

# %% [markdown]
# The slopes of a network that has learnt *nothing* still point at the person: we asked there. Seg-Grad-CAM passes: without
# the trained weights little is left of its map. That is the least one can ask. It does not show that the map names the
# *reason*.
#
# ## 3 · Fig. 8
# The paper reads its maps so: HRNet looks mostly at small things; with BFEM it begins to look at large ones, cars and
# roads; ECA is more precise; AAM raises the contrast of hot and cold. Five HRNets of ours, W18, on one
# street:

# %%
classes = {n: table.index(n) for n in ("Road", "Car", "Pedestrian", "Bicyclist")}
stored = ours.strips(ours.find_strips(), classes)
ours.strips_picture(stored, classes)

# %% [markdown]
# These weights do not ship. The pictures do, and their colours can be turned back into numbers (tried with a strip of M:
# right within 5 points). Share of the heat that lies on its own class:

# %%
print(" " * 10, *(f"{n:>11}" for n in classes))
for name, shares in ours.read_back(stored).items():
    print(f"{name:10}", *(f"{share:11.0%}" for share in shares))

# %% [markdown]
# How much does that number vary from street to street, in *one* network? M, class Car:

# %%
car, shares = table.index("Car"), []
for i in range(lesson.pick(8, 2)):
    street, label = streets[i]
    heat = explain.grad_cam(big, street, car, None, label == car).before[0]
    shares.append(ours.on_the_class(heat, label == car))
print(f"{np.mean(shares):.0%}, standard deviation {np.std(shares, ddof=1):.0%}")

# %% [markdown]
# ### Exercise 15.3 · Judge: Fig. 8   ●●○○○ · 8 minutes
# In the column Car, HRNet looks into the sky, and HRNet with BFEM does not. Seed 0, one street. Which reading stands?
#
# - `"a"`: BFEM makes HRNet look at large things, as the paper says;
# - `"b"`: modules have no effect on what HRNet looks at;
# - `"c"`: the five maps differ; whether the module is the cause cannot be judged from them;
# - `"d"`: AAM is surer than HRNet, since its maps are as light in smaller places.


# %% tags=["exercise"]
def fig_8():
    """One of "a", "b", "c", "d"."""
    ### BEGIN SOLUTION
    return "c"
    ### END SOLUTION


# %% tags=["check"]
fig_8 = course.choose(fig_8, ours.FIG_8, exercise="15.3")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Compare the five rows of the column Car, then the five numbers. Does the sky leave with BFEM alone?
# - How large is a difference beside the standard deviation over streets?
# - What would a second seed of plain HRNet look like? Who knows?
#
# </details>

# %% [markdown]
# So, as measured here: on Road and Car, BFEM does not move heat to its class (76 after 78 %, 21 after 24 %). HRNet had
# its heat on large things before. And "more contrast" cannot be seen on maps of their own scale. One seed, one street:
# the claim is neither confirmed nor refuted.
#
# ## 4 · Gates, and how far it looks
# Lesson 05 looked at gates on one street. Here are the channel gates of M on several; orange is all that they move.

# %%
known = Streets("train", n=lesson.pick(8, 2), size=size)
gates = ours.channel_gates(big, [known[i][0] for i in range(len(known))])
for name, values in gates.items():
    channels, moved = values.mean(0).std(), np.median(values.std(0))
    print(f"{name:28} over channels ±{channels:.3f}, over streets ±{moved:.4f}")
ours.gate_bands(gates)

# %% [markdown] tags=["predict"]
# **Predict.** An attention gate should look at the picture. What happens to the mIoU on test streets if each channel gate is
# held at its mean over these training streets? And if all gates of a module get *one* number?
#
# <details><summary>Answer</summary>
#
# Held at their means: 66.6 becomes 66.4. One number: 55.9. In this network the channel gates **choose channels**, and
# choose nearly the same on every street. A list of constants would do.
#
# </details>

# %%
still = {name: values.mean(0) for name, values in gates.items()}
one = {name: np.full_like(values, values.mean()) for name, values in still.items()}
ways = {"as trained": {}, "held at their means": still, "one number": one}
for name, held in ways.items():
    with ours.held_still(big.model, held):
        print(f"{name:20} {score(big.predict, streets, progress=False).miou:.1%}")

# %% [markdown]
# One network, one training, rendered streets: do not carry it further than that.
#
# **How far does it look?** The slope of one unit with respect to every pixel is its **effective receptive field** (Luo
# et al., 2016). Blue: the square that holds 95 % of it.

# %%
side = lesson.pick(480, 96)
places = {
    "1/8 map": "backbone.stage3",
    "SE-ASPP": "context",
    "last CCBAM": "decoder.fuse8",
}
two = [known[i][0] for i in range(2)]
far = explain.effective_receptive_field
fields = {name: far(big, at, (side, side), two) for name, at in places.items()}
for name, field in fields.items():
    half, most = field.side(0.5), field.side()
    print(f"{name:11} half within {half:.0f} pixels, 95 % within {most:.0f}")
ours.Photo(explain.field_figure(fields), 0.75)

# %% [markdown]
# The person is some 50 pixels tall. Half of what the last fusion heeds lies within 132: the person, the road around it
# and the cars behind. The 95 % come near the border of this input, so in truth it looks farther.
#
# ## 5 · At a border, or inside?
# An outline that is off by two pixels is another fault than a lost person. So measure each wrong pixel's distance to
# the nearest border between two classes.
#
# ### Exercise 15.4 · Distance to the border   ●●●○○ · 15 minutes
# Write `boundary_distance(label, farthest)`, (H, W) whole numbers. A pixel beside another class (above, below, left or
# right) is at 1. From there every step adds 1, diagonal steps too: grow the border with a 3×3 square, again and again.
# All beyond `farthest` are `farthest + 1`. Void (255) makes no border, and gets 0. Properties are checked.


# %% tags=["exercise"]
def boundary_distance(label, farthest):
    """1 at a border, farthest + 1 beyond all, 0 where void."""
    ### BEGIN SOLUTION
    near = np.zeros(label.shape, bool)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (label[a] != label[b]) & (label[a] != 255) & (label[b] != 255)
        near[a] |= differ
        near[b] |= differ
    away = np.full(label.shape, farthest + 1)
    for distance in range(1, farthest + 1):
        away[near & (away > distance)] = distance
        wide = torch.from_numpy(near)[None, None].float()
        near = torch.nn.functional.max_pool2d(wide, 3, 1, 1)[0, 0].numpy() > 0
    return np.where(label == 255, 0, away)
    ### END SOLUTION


# %% tags=["check"]
boundary_distance = course.prove(
    boundary_distance, package_distance, *frames.DISTANCE, exercise="15.4"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a wrong row of halves*: both sides of a border are at 1. Compare `label[:, 1:]` with `label[:, :-1]`, and mark both.
# - *(2, 2) touches at a corner*: the first border is by rows and columns; only the growing is diagonal.
# - *void*: no border where one of the two is 255; set void to 0 last. Growing passes through void.
# - Growing: `max_pool2d(x, 3, stride=1, padding=1)`, or `scipy.ndimage.distance_transform_cdt` of what is no border.
#
# </details>

# %% [markdown] tags=["predict"]
# **Predict.** 18 % of all pixels lie within 3 pixels of a border. Which share of M's errors lies there? And of its errors
# on our person?
#
# <details><summary>Answer</summary>
#
# Of all M's errors 72 %; of those on the person 71 %. The number does not notice that a whole person is lost.
#
# </details>

# %%
away = np.asarray(boundary_distance(truth, 32))
for name, mask in masks.items():
    lost = person & (mask != truth)
    near = (away[lost] <= 3).mean()
    print(f"{name}: {lost.sum()} of the person wrong, {near:.0%} within 3 pixels")
nets = {"M": big, "S": small}
errors = {n: explain.error_by_distance(s.predict, streets) for n, s in nets.items()}
for name, e in errors.items():
    near, usual = (n[:3].sum() / n.sum() for n in (e.wrong, e.pixels))
    print(f"{name}: within 3 pixels {near:.0%} of errors, {usual:.0%} of all")
explain.distance_figure(errors)

# %% [markdown]
# A person is thin: nearly all of it is near a border, right or wrong. Distance tells outlines from insides of *thick*
# things only. S has a larger share near borders since it loses fewer insides: see the left curves.
#
# ## 6 · The worst frames
# Which frames do you look at first? Each measure of a bad frame overlooks something.
#
# ### Exercise 15.5 · Choose and defend: the worst frame   ●●○○○ · 10 minutes
# Write `badness(mask, label)`, a number of your own: 0 where all is right, larger is worse. It must not judge void, must
# treat all right masks alike whatever a street holds, and must find a lost person worse than as many pixels of kerb. `ConfusionMatrix(11)` is at hand: `update(mask, label)`, then `compute()`, with `per_class_iou`
# and `support` (true pixels of a class). Pedestrian is 9.


# %% tags=["exercise"]
def badness(mask, label):
    """0 of a right mask, larger is worse."""
    ### BEGIN SOLUTION
    matrix = ConfusionMatrix(11)
    matrix.update(mask, label)
    scores = matrix.compute()
    held = [iou for iou, n in zip(scores.per_class_iou, scores.support) if n]
    return 1 - np.mean(held)
    ### END SOLUTION


# %% tags=["check"]
badness = course.prove(badness, frames.badness, *frames.BADNESS, exercise="15.5")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *the person lost is not worse*: a share of pixels does not know whose they are. Count by class.
# - *nan*: a class that is not in the frame has no IoU. Leave it out, rather than count it as 0.
# - *void*: look at `label != 255` only; `ConfusionMatrix.update` does so.
#
# </details>

# %%
frame_size = lesson.pick((360, 480), (96, 128))
segmenter, shown, what = frames.puzzle(lesson.pick(8, 3), frame_size)
print(what)
guesses = [segmenter.predict(shown[i][0]) for i in range(len(shown))]
pairs = [(guess, shown[i][1]) for i, guess in enumerate(guesses)]
yours, ious = ([way(*pair) for pair in pairs] for way in (badness, frames.badness))
for i in np.argsort(yours)[::-1][:3]:
    print(f"{shown.names[i]}: {yours[i]:.2f} by yours, {ious[i]:.2f} by mean IoU")
odd, other = np.argsort(ious)[::-1][:2]
two = [(*shown[i], guesses[i]) for i in (odd, other)]
ours.smaller(panel(two, shown.table, names=[shown.names[i] for i in (odd, other)]))

# %% [markdown]
# By mean IoU one frame is far worse than all others. Look at the top row before you read on: photograph, truth,
# prediction. Who is wrong?
#
# ### Exercise 15.6 · Network or label   ●●●○○ · 12 minutes
# The mask fits the photograph; the *truth* looks moved to the left, and what left the picture has come in at the right.
# Write `shift(mask, label)`: by how many pixels must the label be rolled to the right (`np.roll`, axis 1) to agree with
# the mask in the largest share of its pixels? Void in the label agrees with nothing, and is not counted. Checked on a
# made-up scene.


# %% tags=["exercise"]
def shift(mask, label):
    """0 to W − 1."""
    ### BEGIN SOLUTION
    shares = []
    for k in range(label.shape[1]):
        rolled = np.roll(label, k, axis=1)
        shares.append((rolled == mask)[rolled != 255].mean())
    return int(np.argmax(shares))
    ### END SOLUTION


# %% tags=["check"]
shift = course.prove(shift, frames.shift, *frames.SHIFT, exercise="15.6")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *roll it to the right*: `np.roll(label, +k, axis=1)` moves right.
# - *void*: choose with `rolled != 255`, of the **rolled** label.
# - *never found*: try all `label.shape[1]` places; a far shift is a near one from the other edge.
#
# </details>

# %%
(street, label), guess = shown[odd], guesses[odd]
k = shift(guess, label) % label.shape[1]
back = np.roll(label, k, axis=1)
print(f"{shown.names[odd]}: {k} of {label.shape[1]} pixels")
then = badness(guess, back)
print(f"badness {badness(guess, label):.2f}, with the label rolled back {then:.2f}")
frames.agreement(guess, label)

# %%
ours.smaller(panel([(street, back, guess)], shown.table, names=["rolled back"]))

# %% [markdown]
# CamVid's test frame Seq05VD_f02610 is such a label: 88 of 480 pixels to the left, and wrapped round. Where you have
# CamVid, you saw it; else a rendered street, whose label we moved likewise. On the real frame M's mask finds 87, the
# label of the frame before 88; the mean IoU of its classes rises from 18.8 to 52.5 %. Its two neighbours have 0.
#
# What now? Who scores the test set as it was published counts this frame; so do we. We say so, and repair nothing in
# silence.

# %%
course.progress()

# %% [markdown]
# ## The end: the person again
# - *What speaks for it?* The channels that light up at the real cyclist. A description, no cause.
# - *How far does it look?* Farther than the person.
# - *Border or inside?* The whole person, though the distance alone says "border".
# - *Network or label?* The network: this label was drawn with the picture, and S reads most of the person.
#
# Not cured. To look tells where to ask; only training with one change, on seeds, tells what helps (lesson 14).
#
# **In five lines**
# 1. Seg-Grad-CAM: mean slope a channel, weighted sum, ReLU. It describes to first order.
# 2. Make the weights random. A picture that stays says nothing about the network.
# 3. Each map has its own scale: never compare lightness between maps.
# 4. Outlines and lost things are two faults. Distance tells them apart in thick things only.
# 5. The worst frame may be a wrong label. Look before you train.
#
# <details><summary>Five review questions</summary>
#
# 1. *Why a ReLU?* What speaks against the class would be mixed with what speaks for it.
# 2. *Why do the pixels' slopes survive random weights?* What is near the asked pixels matters to them, trained or not.
# 3. *Heat on the object: is the network right for the right reason?* Before the classifier heat follows the logits; it
#    says the same again.
# 4. *A gate that is the same on every picture: is it useless?* No: one number for all costs ten points. But it need not
#    be computed.
# 5. *Would pixel accuracy find the lost person?* Hardly: 678 of 110,592 pixels.
#
# </details>
#
# **Beyond.** Repeat section 2 at `decoder.fuse8`. · Ask S about its gates. · Search your own data by `shift`, with
# rows, too. · `explain.failure_gallery` draws the worst of a whole set.
#
# **Papers.** Vinogradova et al., *Seg-Grad-CAM*, 2020 · Adebayo et al., *Sanity checks for saliency maps*, 2018 · Luo et al.,
# *Effective receptive field*, 2016 · Northcutt et al., *Pervasive label errors in test sets*, 2021.
#
# **Next.** Lesson 16: the same network, three wrong times.
