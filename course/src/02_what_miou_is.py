# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · What mIoU is
# At the end you have written the count that every score of this course comes from, and you can tell mIoU from the
# numbers that look like it.
#
# **60 minutes to work through** · 0.2 min of computing on two CPU cores · 1.1 GB of memory · data: rendered scenes, no download · needs lesson 01 · 6 exercises

# %% tags=["setup"]
from dataclasses import replace
from fractions import Fraction

import numpy as np
from ipywidgets import IntSlider, interact
from tqdm.auto import tqdm

from edgeseg import course
from edgeseg.course.lessons import lesson_02 as ours
from edgeseg.data.labels import VOID
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.metrics import BoundaryF1, ConfusionMatrix

lesson = course.begin("02", version="0.1")

# %% [markdown]
# The map of the network, with today's place in orange: what comes out, and whether it is any good.

# %%
course.network_map("mask")

# %% [markdown]
# ## Where we are
# A finished network (it comes with the package) labels streets that it has never seen. This lesson needs its answers
# and the truth beside them. Below, one scene; black is void. Look at the errors: long thin lines along every outline,
# and a few things that are missing as a whole.

# %%
scenes = Streets("test", n=lesson.pick(40, 8), size=(288, 384))
names, classes = scenes.table.names, len(scenes.table)
segmenter = load_segmenter("cross_cbam_m.streets", lesson.device)
images, truths = zip(*tqdm(scenes, desc="scenes", leave=False), strict=True)
predictions = [
    segmenter.predict(image)
    for image in tqdm(images, desc="predictions", leave=False)
]
ours.scene(images[0], truths[0], predictions[0], scenes.table)

# %% [markdown]
# ## The papers
# Both papers report mIoU. Cross-CBAM (section 4.1) calls it the mean of the classes' intersection over union, and
# neither paper writes the formula. It is this: count the pixels of true class $t$ that were called $p$, for all
# pairs. Then, for class $c$,
#
# $$\mathrm{IoU}_c=\frac{TP_c}{TP_c+FN_c+FP_c},\qquad \mathrm{mIoU}=\frac1C\sum_c\mathrm{IoU}_c.$$
#
# | symbol | variable | meaning |
# |---|---|---|
# | $C$ | `classes` | number of classes |
# | $n_{tp}$ | `matrix[t, p]` | pixels of true class $t$ called $p$ |
# | $TP_c$ | `matrix[c, c]` | found |
# | $FN_c$ | rest of row $c$ | missed: class $c$, called otherwise |
# | $FP_c$ | rest of column $c$ | invented: called $c$, and is not |

# %% [markdown]
# By hand, on twenty pixels of three classes. Go through the left two grids pixel by pixel; where they differ, the
# frame is orange. The right grid is the matrix: its diagonal is what was right.

# %%
by_hand = np.array(
    [[0, 0, 0, 1, 1], [0, 0, 2, 1, 1], [2, 2, 2, 1, 1], [2, 2, 2, 2, 1]], np.uint8
)
called = np.array(
    [[0, 0, 1, 1, 1], [0, 0, 0, 1, 1], [2, 2, 2, 2, 1], [2, 2, 2, 2, 1]], np.uint8
)
ours.counted(by_hand, called, 3)

# %% [markdown]
# **What the papers do not say, and what we chose.** Each choice moves the number:
#
# - *Over what?* One matrix over all images, then one division.
# - *Void pixels* (255, no class applies) are left out, whatever is predicted there.
# - *A class that is neither in the truth nor predicted* has 0/0: no IoU. It is left out of the mean and named.
# - *A class that is only predicted* has IoU 0, and counts.
# - *At which size?* The label's own.
#
# None of this is rare:

# %%
void = np.mean([t == VOID for t in truths])
lacking = sum(len(set(range(classes)) - set(np.unique(t))) > 0 for t in truths)
print(f"{void:.1%} of all pixels are void", end="; ")
print(f"{lacking} of {len(truths)} scenes lack at least one of {classes} classes")

# %% [markdown] tags=["predict"]
# **Before you go on.** A network makes only one kind of error: it calls every Pole and every SignSymbol Building. In
# CamVid's training frames these two are 2.2 % of all pixels. What are its pixel accuracy and its mIoU, about?
#
# <details><summary>Answer</summary>
#
# Accuracy: about 98 %. mIoU: two of eleven classes have IoU 0, so at most 9/11 = 82 %. Section 4 counts it.
# </details>

# %% [markdown]
# ## 1 · Count pairs
# Each valid pixel is a pair (true class, predicted class). Give every pair a number of its own, $t·C+p$, and count
# the numbers: `numpy.bincount` does that in one pass. Labels are `uint8`, and that is a danger. Here is one pixel of
# class 18 out of 19, labelled right:

# %% tags=["nbval-check-output"]
t = p = np.array([18], dtype=np.uint8)
print("as uint8:", t * 19 + p, "  as int64:", t.astype(np.int64) * 19 + p)

# %% [markdown]
# No warning, and a wrong number: `uint8` ends at 255 and begins anew at 0, so pair 360 is counted as pair 104. With
# eleven classes the largest pair is 120 and nothing happens; with Cityscapes' 19 the fault appears. For the count
# itself, 64 bits: a data set has billions of pixels.
#
# ### Exercise 02.1 · Confusion matrix   ●●●○○ · 10 minutes
# Write `confusion(pred, target, classes)`: two maps (H, W) `uint8` in, counts (C, C) `int64` out, true class in the
# row, predicted class in the column. Pixels whose target is `VOID` are left out; under void, `pred` may hold
# anything.


# %% tags=["exercise"]
def confusion(pred, target, classes):
    """Pixels by true class (row) and predicted class (column): (C, C) int64."""
    ### BEGIN SOLUTION
    valid = target != VOID
    pairs = target[valid].astype(np.int64) * classes + pred[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    ### END SOLUTION


# %% tags=["check"]
pred = np.array([[0, 1, 1], [1, 1, 0]], np.uint8)
target = np.array([[0, 0, 0], [1, 1, 255]], np.uint8)
random = np.random.default_rng(0)
many = random.integers(0, 19, (2, 40, 50)).astype(np.uint8)
voided = np.where(random.random((40, 50)) < 0.2, VOID, many[1]).astype(np.uint8)
wild = np.where(voided == VOID, 200, many[0]).astype(np.uint8)
confusion = course.check(
    confusion,
    ours.confusion,
    course.case(pred, target, 3),
    course.case(*many, 19),
    course.case(wild, voided, 19),
    exercise="02.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *cannot reshape*: `bincount` returns as many numbers as the largest pair needs. `minlength` asks for more. If
#   there are too many, void was counted.
# - *right with 3 classes, wrong with 19*: the product overflowed. Change the type before you multiply.
# - *rows and columns exchanged*: the true class is the row, so it is the one that is multiplied.
# - Leaving out: a boolean mask, `target[target != VOID]`, gives a flat array; take the same pixels of both maps.
# </details>

# %% [markdown]
# All scenes go into one matrix, since counts can be added. Each row of the picture shows what becomes of 100 pixels
# of a true class. Find the classes whose diagonal is pale, and where their pixels go.

# %%
pairs = list(zip(predictions, truths, strict=True))
matrices = np.array([confusion(p, t, classes) for p, t in pairs])
matrix = matrices.sum(0)
print(f"{matrix.sum():,} valid pixels in {len(matrices)} scenes", end=", ")
print(f"{np.trace(matrix) / matrix.sum():.1%} of them right")
ours.heat(matrix, names)

# %% [markdown]
# ## 2 · Refuse what cannot be
# Now a model of twelve classes is scored by mistake with a table of eleven. It calls a pixel of class 3 "11". Where
# does this pixel land?

# %% tags=["nbval-check-output"]
print("pair", 3 * 11 + 11, "is the pair of classes", divmod(3 * 11 + 11, 11))

# %% [markdown]
# A Road pixel that was called "11" now counts as a Pavement pixel that was called Sky. No error, and a score that is a
# little wrong. So look at the values before you count. Void written as 11, as −1, raw Cityscapes ids up to 33: all this is met
# in practice.
#
# ### Exercise 02.2 · Refuse what cannot be   ●●○○○ · 5 minutes
# Write `strangers(ids, classes)`: which values of a label are neither a class nor `VOID`, and how many pixels of
# each? A dict {value: pixels}, empty if all is well. `ids` may be of any integer type.


# %% tags=["exercise"]
def strangers(ids, classes):
    """Value → pixels, for every value that is neither 0 … classes − 1 nor VOID."""
    ### BEGIN SOLUTION
    values, counts = np.unique(ids, return_counts=True)
    pairs = zip(values.tolist(), counts.tolist(), strict=True)
    return {v: n for v, n in pairs if not 0 <= v < classes and v != VOID}
    ### END SOLUTION


# %% tags=["check"]
strangers = course.check(
    strangers,
    ours.strangers,
    course.case(np.array([[0, 10, 255], [3, 4, 255]], np.uint8), 11),
    course.case(np.array([[0, 11, 11], [11, 4, 254]], np.uint8), 11),
    course.case(np.array([[-1, -1, 0], [33, 7, 255]], np.int16), 19),
    exercise="02.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - `np.unique(ids, return_counts=True)` gives each value once, with its count.
# - *11 is missing*: with eleven classes the last id is 10.
# - *−1 is missing*: below 0 is no class either.
# - *255 should not be there*: void is allowed.
# </details>

# %% [markdown]
# ## 3 · From counts to IoU
# IoU asks of one class: of all pixels that are this class *or* were called so, how many are both? Below, cars: blue
# was found, orange missed, purple invented. Both kinds of error make the union larger; accuracy knows only one.

# %%
ours.overlap(images[0], truths[0], predictions[0], scenes.table, "Car")

# %% [markdown]
# ### Exercise 02.3 · IoU of each class   ●●○○○ · 10 minutes
# Write `iou_per_class(matrix)`: (C, C) counts in, (C,) IoU out, `nan` for an absent class (neither true nor
# predicted). Not a class too many: one that is predicted and never true is not absent.


# %% tags=["exercise"]
def iou_per_class(matrix):
    """TP / (TP + FN + FP) of each class: (C, C) → (C,) float, nan if absent."""
    ### BEGIN SOLUTION
    right = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - right
    iou = np.full(len(matrix), np.nan)
    return np.divide(right, union, out=iou, where=union > 0)
    ### END SOLUTION


# %% tags=["check"]
iou_per_class = course.check(
    iou_per_class,
    ours.iou_per_class,
    course.case(np.array([[6, 2], [1, 3]])),
    course.case(np.array([[6, 0, 2], [0, 0, 0], [1, 0, 3]])),
    course.case(np.array([[6, 2, 0], [0, 0, 0], [1, 0, 3]])),
    exercise="02.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Row sum = TP + FN, column sum = TP + FP. Their sum holds TP twice.
# - *0.75 instead of 0.5*: that is TP / (TP + FN), recall. The column is missing.
# - *0 instead of nan*, or a warning about a division: `np.divide(a, b, out=…, where=b > 0)` leaves `out` as it was
#   where the condition is false.
# - *nan instead of 0*: absent means union 0, not row sum 0.
# </details>

# %% [markdown]
# ### Exercise 02.4 · The mean, and the absent   ●●○○○ · 5 minutes
# Score one image that shows no bicyclist, and nobody finds one: 0/0. Some tools say 0, some 1. Both are wrong: it is
# no evidence at all. Write `mean_iou(matrix)`: the mean over the classes that are not absent, and the list of the
# absent ids. Use `iou_per_class`.


# %% tags=["exercise"]
def mean_iou(matrix):
    """(mIoU over the classes that are not absent, list of the absent class ids)."""
    ### BEGIN SOLUTION
    iou = iou_per_class(matrix)
    absent = np.isnan(iou)
    return float(iou[~absent].mean()), np.flatnonzero(absent).tolist()
    ### END SOLUTION


# %% tags=["check"]
mean_iou = course.check(
    mean_iou,
    ours.mean_iou,
    course.case(np.array([[6, 2], [1, 3]])),
    course.case(np.array([[6, 0, 2], [0, 0, 0], [1, 0, 3]])),
    course.case(np.array([[6, 2, 0], [0, 0, 0], [1, 0, 3]])),
    exercise="02.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *answer[0] is nan*: one nan makes the mean nan. Choose the others first, or use `np.nanmean`.
# - *answer[0] is too small*: the absent class was counted as 0; *too large*: as 1, or a class that is only predicted
#   was dropped.
# - *answer[1]*: a plain list of ids, `np.flatnonzero(…).tolist()`.
# </details>

# %%
miou, absent = mean_iou(matrix)
print(f"mIoU {miou:.1%}, absent: {[names[i] for i in absent] or 'none'}")
for name, value in zip(names, iou_per_class(matrix), strict=True):
    print(f"{name:11} {100 * value:5.1f}  {'▇' * round(50 * value)}")

# %% [markdown]
# ## 4 · A class that shrinks
# First the prediction from above, counted on the scenes' own labels: right everywhere, but blind to poles and signs.

# %%
pole, sign, building = map(scenes.table.index, ("Pole", "SignSymbol", "Building"))
blind = [np.where(np.isin(t, (pole, sign)), building, t) for t in truths]
counts = sum(confusion(p, t, classes) for p, t in zip(blind, truths, strict=True))
right = np.trace(counts) / counts.sum()
print(f"pixel accuracy {right:.1%}, mIoU {mean_iou(counts)[0]:.1%}")

# %% [markdown]
# Now one pole in a small street, predicted two pixels too far to the right. Make it thinner, and the number of wrong
# pixels stays the same: so does accuracy. The pole's IoU falls from near 1 to 0, and mIoU falls by a fourth of that
# (four classes). Read the right-hand plot from left to right: the pole shrinks.

# %%
ours.shrink(width=12, shift=2)

# %% [markdown]
# Your turn: at which width does a shift of one pixel halve the pole's IoU? Try the thinnest pole with shift 1.

# %% tags=["slider"]
width = IntSlider(12, 1, 40, continuous_update=False)
shift = IntSlider(2, 0, 8, continuous_update=False)
_ = interact(ours.shrink, width=width, shift=shift)

# %% [markdown]
# In mIoU a thin thing counts as much as the road, so each of its pixels weighs more. Where labels themselves are two
# pixels wrong, an mIoU near 100 is not possible.

# %% [markdown]
# ## 5 · One IoU over everything at once
# There is another way to have one number: add up TP, FN and FP of *all* classes, then divide once. It is called micro
# IoU. What does it know that pixel accuracy does not?
#
# ### Exercise 02.5 · Micro IoU   ●●●○○ · 10 minutes
# You are given pixel accuracy, and nothing else. Write `micro_iou(accuracy)`. Take pencil and paper: of $N$ valid
# pixels, how many TP are there in all? And one wrong pixel, of which class is it an FN, and of which an FP?


# %% tags=["exercise"]
def micro_iou(accuracy):
    """sum TP / sum (TP + FN + FP) over all classes, from the right pixels, 0…1."""
    ### BEGIN SOLUTION
    return accuracy / (2 - accuracy)
    ### END SOLUTION


# %% tags=["check"]
micro_iou = course.check(
    micro_iou,
    ours.micro_iou,
    *(course.case(a) for a in (1.0, 0.0, 0.5, 0.9)),
    exercise="02.5",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Let $N=100$ and accuracy 0.9. Right: 90 pixels, the sum of TP. Wrong: 10.
# - A wrong pixel is missed by its true class *and* invented by its predicted class. It stands in FN once and in FP
#   once.
# - So the union is not $N$. How large is it?
# </details>

# %% [markdown]
# <details><summary>Derivation, after your own try</summary>
#
# Of $N$ pixels $aN$ are right, so $\sum TP=aN$. Each of the $(1-a)N$ wrong ones is an FN of one class and an FP of
# another, so $\sum FN=\sum FP=(1-a)N$, and
#
# $$\mathrm{IoU}_{\mathrm{micro}}=\frac{aN}{aN+2(1-a)N}=\frac{a}{2-a}.$$
#
# </details>
#
# The classes are no longer in it: micro IoU and pixel accuracy hold the same information, one can be computed from the
# other. On the network's real predictions, in exact fractions, so that nothing is rounded:

# %%
found = np.diag(matrix)
missed, invented = matrix.sum(1) - found, matrix.sum(0) - found
micro = Fraction(int(found.sum()), int((found + missed + invented).sum()))
accuracy = Fraction(int(found.sum()), int(matrix.sum()))
print(f"sum TP / sum (TP + FN + FP) = {micro} = {float(micro):.15f}")
formula = accuracy / (2 - accuracy)
print(f"accuracy / (2 - accuracy)   = {formula} = {float(formula):.15f}")

# %% tags=["nbval-check-output"]
print("the same to the last digit:", micro == formula)

# %% [markdown]
# This matters: the multiclass CamVid notebook of `segmentation_models_pytorch`, a widely used library, logs
# `iou_score(…, reduction="micro")` as `dataset_iou`. Its stored output says 0.7415 on test, which looks like Table 3
# of Cross-CBAM (73.8). Correct code, another number (its `reduction="macro"` averages over classes). Below, its accuracy
# from its micro IoU; and the micro IoU of lesson 08's run from its accuracy:

# %% tags=["nbval-check-output"]
print(f"micro IoU 0.7415 is a pixel accuracy of {2 * 0.7415 / (1 + 0.7415):.3f}")
print(f"lesson 08: accuracy 0.870, so micro IoU {micro_iou(0.870):.3f}; mIoU 0.569")

# %% [markdown]
# ## 6 · First the mean, or first the sum?
# One more choice that changes the number: score each image on its own, and average the scores.
#
# ### Exercise 02.6 · Per image, or over all   ●●○○○ · 5 minutes
# `matrices` is (N, C, C), one count for each image. Write `two_means(matrices)`: the mean of the images' mIoU, and
# the mIoU of all images together.


# %% tags=["exercise"]
def two_means(matrices):
    """(mean of the images' mIoU, mIoU of all images as one); (N, C, C) counts."""
    ### BEGIN SOLUTION
    each = [mean_iou(matrix)[0] for matrix in matrices]
    return float(np.mean(each)), mean_iou(matrices.sum(0))[0]
    ### END SOLUTION


# %% tags=["check"]
both = np.array([[[90, 0], [0, 0]], [[40, 5], [10, 5]]])
three = random.integers(0, 50, (3, 4, 4)) * np.array([1, 1, 1, 0])
two_means = course.check(
    two_means,
    ours.two_means,
    course.case(both),
    course.case(three),
    exercise="02.6",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *answer[0]*: one `mean_iou(…)[0]` for each matrix, then the mean of these. An IoU of averaged counts is something
#   else.
# - *answer[1]*: add the matrices over the first axis, `matrices.sum(0)`, then divide.
# - *exchanged*: per image first.
# </details>

# %% [markdown]
# On the network's predictions, below: each dot is one scene. In the average over images every scene leaves out the
# classes it lacks, and a pedestrian of ten pixels in an empty street weighs as much as a crowd. It may be higher or
# lower: it answers another question. Published numbers on CamVid and Cityscapes come from one matrix.

# %%
per_image, over_all = two_means(matrices)
ours.images_apart([mean_iou(m)[0] for m in matrices], per_image, over_all)

# %% [markdown]
# So, one network, one set of predictions, five numbers. Only the blue ones are means over classes of IoU. And only the
# last one may be compared with published numbers.

# %%
values = {"pixel accuracy": float(accuracy), "micro IoU": float(micro)}
values["mean accuracy of the classes"] = float(np.nanmean(found / matrix.sum(1)))
values |= {"mIoU averaged over images": per_image, "mIoU, one matrix": over_all}
ours.bars(values, "The same predictions")

# %% [markdown]
# ## 7 · Boundary F1, in short
# IoU does not see whether an outline is exact. Boundary F1 looks at outlines only: a boundary pixel is right if a true
# boundary pixel of the same class lies within 3 pixels. For the pole of 4 pixels, moved by 2:

# %% tags=["nbval-check-output"]
prediction, truth = ours.pole(width=4, shift=2)
edges = BoundaryF1(num_classes=4, radius=3)
edges.update(prediction, truth)
iou = iou_per_class(confusion(prediction, truth, 4))
print(f"IoU of Pole {iou[2]:.2f}, boundary F1 {edges.compute()[2]:.2f}")

# %% [markdown]
# IoU says poor, boundary F1 says perfect, since it allows 3 pixels. Use it beside mIoU, never instead. Here both, for the
# network:

# %%
edges = BoundaryF1(classes)
for p, t in zip(predictions, truths, strict=True):
    edges.update(p, t)
package = ConfusionMatrix(classes)
package.update(np.stack(predictions), np.stack(truths))
print(replace(package.compute(), boundary_f1=edges.compute()).table(names))

# %% [markdown]
# ## The whole, and the package's
# `edgeseg.metrics.ConfusionMatrix` is the count of exercise 02.1, with checks, for tensors and several processes. The
# functions of this lesson give its numbers, on every pixel of all scenes:

# %% tags=["nbval-check-output"]
scores = package.compute()
print("counts the same:", bool((matrix == package.matrix).all()))
here, theirs = iou_per_class(matrix), scores.per_class_iou
print("IoU the same:   ", np.allclose(here, theirs, equal_nan=True))
print("mIoU the same:  ", bool(np.isclose(mean_iou(matrix)[0], scores.miou)))

# %%
course.progress()

# %% [markdown]
# **In five lines.** 1. Count pairs in 64 bits, void left out, unknown values refused. 2. IoU divides by everything that is
# or was called the class. 3. In mIoU a pole weighs as much as the road; an absent class has no IoU. 4. Micro IoU is
# $a/(2-a)$: accuracy. 5. Sum over all images first, divide once.
#
# **Which mean?** A mean over other classes is another number, too. The Improved HRNet paper's Table VI lists 20
# classes, background among them, and its Table IV prints their mean, 74.84 for HRNet_L. The 19 official classes give
# 75.25. The rows beside it that were copied from other papers are 19-class means (lesson 13).

# %% [markdown]
# **Review**
#
# <details><summary>1. Accuracy is 96 %, mIoU 9 % of eleven classes. What does the network do?</summary>
#
# It has learnt one class: 0.96/11 ≈ 0.087. Everything is called the class that covers nearly all pixels.</details>
#
# <details><summary>2. Can one more image, without an error in it, lower mIoU?</summary>
#
# No: TP grows, FN and FP stay. At most a class that was absent joins, with an IoU of 1.</details>
#
# <details><summary>3. Why is a class that is only predicted not absent?</summary>
#
# Its pixels are errors of this class. If it were left out, such errors would cost nothing.</details>
#
# <details><summary>4. Two halves of a test set score 60 and 70. And the whole?</summary>
#
# Not known from these: add the matrices.</details>
#
# <details><summary>5. A network predicts at half the label's size. Shrink the label, or enlarge the answer?</summary>
#
# Enlarge the logits, then argmax. A shrunken label has lost its thin things.</details>

# %% [markdown]
# **Beyond.** Score the same network on `Streets("test", fog="dense")`: which classes fall most? · Which accuracy must
# a network have for a micro IoU of 0.75? · Weigh each class's IoU by its share of pixels (frequency-weighted IoU):
# between which two numbers of the picture above does it land?
#
# **Papers.** Everingham et al., PASCAL VOC, 2010 (IoU per class over all images) · Csurka et al., *What is a good
# evaluation measure for semantic segmentation?*, 2013 (per image, and boundaries).
#
# **Next:** lesson 03 builds the backbone.
