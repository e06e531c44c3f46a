# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Check your machine, first segmentation
# At the end, a finished network has named every pixel of a street on your own machine, and all that stands around the
# network is your own code.
#
# **45 minutes to work through** · 0.3 min of computing on two CPU cores · 1 GB of memory · data: rendered scenes, no download · needs nothing · 5 exercises

# %% tags=["setup"]
import platform
import time
from importlib.metadata import version

import ipywidgets
import numpy as np
import torch

from edgeseg import course, metrics, plots, predict
from edgeseg.course.lessons import lesson_00 as ours
from edgeseg.data.streets import Streets
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.models.counts import count
from edgeseg.models.layers import resize
from edgeseg.models.zoo import get_record

lesson = course.begin("00", version="0.1")

# %% [markdown]
# ## Where we are
# This is the network that you will build in lessons 03 to 06, box by box: Cross-CBAM. Today we do not look into the grey
# boxes. They have been trained for you, and you use them as they are.
#
# Orange is today's part: what goes in, and what comes out. The fractions say how small a map is: at 1/32, one cell
# stands for 32 × 32 pixels of the image.

# %%
course.network_map("image", "mask")

# %% [markdown]
# ## 1 · Your machine
# First, what is installed here. If you ever ask for help with an error, send these lines along.

# %%
for package in (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "matplotlib",
    "ipywidgets",
):
    print(f"{package:<12}{version(package)}")
system = f"{platform.system()} {platform.machine()}"
gpu = "none found: all runs on the CPU"
if torch.cuda.is_available():
    gpu = torch.cuda.get_device_name()
print(f"{'Python':<12}{platform.python_version()} on {system}")
print(f"{'GPU':<12}{gpu}")

# %% [markdown]
# Now the network and one image. The image is rendered: a street that no camera has seen, and that the network has not
# seen in training. Lesson 01 shows how such streets are made.
#
# We take the time of two calls. It covers everything from the pixels to the finished class map in the CPU's memory,
# so that even a GPU cannot look finished before it is. It is a first impression and no benchmark: one image, two
# calls.

# %%
segmenter = load_segmenter("cross_cbam_m.streets", lesson.device)
table = segmenter.table
scenes = Streets("test", n=200, size=(288, 384))
image, truth = scenes[9]
for call in ("first", "second"):
    started = time.perf_counter()
    mask = segmenter.predict(image)
    seconds = time.perf_counter() - started
    print(f"{call} call: {seconds:.3f} s for {len(image)}×{len(image[0])} pixels")

# %% [markdown]
# The first call is often the slower one: memory is taken, and libraries prepare themselves. Exercise 00.5 deals with
# that.
#
# ## 2 · The first segmentation
# Move the slider under the picture. Left of the cut is the image, right of it the colours of the classes that the
# network gives to each pixel, laid over the image.

# %%
over = plots.overlay(image, mask, table)
course.before_after(image, over, ("image", "classes"), table)

# %% [markdown] tags=["predict"]
# **Predict before you go on.** There are eleven classes: Sky, Building, Pole, Road, Pavement, Tree, SignSymbol,
# Fence, Car, Pedestrian, Bicyclist. Which two will the network find worst, and why?
#
# <details><summary>Answer</summary>
#
# Pole and Pedestrian. Both are thin: most of their pixels lie at an edge, and the network answers at 1/8 of the
# image's size, where a distant pole is narrower than one cell. They are also rare, so there was little to learn from.
# The next figure has the numbers.
#
# </details>

# %% [markdown]
# The next picture shows four views of two scenes: image, truth, prediction, and in orange the pixels where these two
# differ. Look where the orange is: seldom an area, mostly a line. The black box in the first truth is a container. It
# belongs to none of the eleven classes (*void*), so nothing that is said there counts.

# %%
chosen = [scenes[i] for i in (9, 23)]
rows = [(pixels, label, segmenter.predict(pixels)) for pixels, label in chosen]
figure = plots.panel(rows, table)
figure.set_size_inches(9.6, 4.6)
figure

# %% [markdown]
# With the weights lies a record of how they were scored: 200 test scenes, none of them seen in training. IoU is the
# measure of lesson 02. For now: 100 is perfect, and a class's pixels that are missed and those that are falsely
# claimed both make it smaller. The bars show it for each class.

# %%
score = get_record("cross_cbam_m.streets").metric
print(f"{score['pixel_accuracy']} % of all pixels are right")
ours.iou_bars(score["per_class_iou"], score["miou"])

# %% [markdown]
# ## 3 · What 12 million parameters are
# "Cross-CBAM-M has 12 M parameters" is what the paper's Tables 5 and 6 say: 12.21. It includes an auxiliary head that
# is not needed after training, and 19 classes. What we have loaded is what prediction needs.

# %% [markdown] tags=["predict"]
# **Predict before you go on.** A photo from a 12-megapixel phone holds 3 × 12 million numbers. Does the network hold
# more or fewer? And where in the network are most of them: in the backbone, in SE-ASPP, or in the CCBAMs that gave it
# its name?
#
# <details><summary>Answer</summary>
#
# Fewer: a third. The network is as many numbers as one photo of 4 megapixels. SE-ASPP holds more than half of them,
# the backbone almost all of the rest, and the CCBAMs hardly any. The next cell counts.
#
# </details>

# %% tags=["nbval-check-output"]
model = segmenter.model
parts = {
    "backbone": model.backbone,
    "SE-ASPP": model.context,
    "CCBAM ×2 + 1×1": model.decoder,
    "classifier": torch.nn.ModuleList([model.reduce, model.classifier]),
}
parameters = {
    name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()
}
total = sum(p.numel() for p in model.parameters())
assert total == sum(parameters.values())
for name, number in parameters.items():
    print(f"{name:<16}{number:>12,}   {number / total:6.1%}")
print(f"{'together':<16}{total:>12,}   a photo of {total / 3 / 1e6:.1f} megapixels")

# %% [markdown]
# A parameter is a number that training has found. In memory each takes 4 bytes (float32); the shipped file has 2
# bytes for each (float16). The right side of the figure sets that beside pictures: grey bars are raw pixels, one byte
# a colour. Look at the axis: each step is ten times the one before.

# %%
megabytes = {
    "weights, float32": total * 4 / 1e6,
    "weights, float16 (the file)": total * 2 / 1e6,
    "weights, int8": total / 1e6,
    "one 12-megapixel photo": 12 * 3,
    "1 s of video, 1080×1920, 30 FPS": 1080 * 1920 * 3 * 30 / 1e6,
    "its 20,000 training scenes": 20_000 * 288 * 384 * 3 / 1e6,
}
pixels = 20_000 * 288 * 384
print(f"pixels with a label in training, for each parameter: {pixels / total:.0f}")
ours.sizes(parameters, megabytes)

# %% [markdown]
# **The surprise.** The file is smaller than one raw photo and far smaller than what it was trained on: it cannot hold
# those scenes themselves. What fits into it is how roads, trees and cars look in any light, well enough to name nine of
# ten pixels of a new street.
#
# ## 4 · The way in
# The paper's Fig. 1 is a drawing without symbols. The tensors on its way, and what we call them:
#
# | in Fig. 1 | here | shape | type |
# |---|---|---|---|
# | the image | `image` | (H, W, 3) | uint8, 0…255 |
# | not drawn | `x` | (1, 3, H, W) | float32, about −2…2 |
# | before the last "Resize" | `coarse` | (1, 11, H/8, W/8) | float32, logits |
# | the result in colours | `mask` | (H, W) | uint8, class ids |

# %% [markdown]
# **What the paper does not say** is how pixels become input: the order of the colours, mean and standard deviation.
# We take RGB and the mean and deviation of the training scenes, and keep them with the weights. If you guess them, you
# get a worse mask and no error message.

# %% tags=["nbval-check-output"]
meta = model.meta
print("mean", meta["mean"], " std", meta["std"])
print("image", image.shape, image.dtype)

# %% [markdown]
# ### Exercise 00.1 · To a tensor   ●●○○○ · 6 minutes
# Turn an image (H, W, 3), uint8, into what the network takes: (1, 3, H, W), float32. Each colour: divided by 255,
# minus its mean, divided by its deviation. `mean` and `std` are three numbers each.


# %% tags=["exercise"]
def to_tensor(image, mean, std):
    """(H, W, 3) uint8 → (1, 3, H, W) float32; mean and std are of values in 0…1."""
    ### BEGIN SOLUTION
    mean, std = torch.tensor(mean), torch.tensor(std)
    colors = torch.from_numpy(image).float() / 255
    colors = (colors - mean) / std
    return colors.permute(2, 0, 1)[None]
    ### END SOLUTION


# %% tags=["check"]
black_white = np.random.default_rng(0).choice(
    np.array([0, 255], np.uint8), (6, 9, 3)
)
to_tensor = course.check(
    to_tensor,
    ours.to_tensor,
    course.case(black_white, (0.5, 0.25, 0.125), (0.5, 0.25, 2.0)),
    course.case(black_white[:5, :4].copy(), (0.25, 0.5, 0.75), (1.0, 0.5, 0.25)),
    exercise="00.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"The shape is wrong."* Pillow and numpy put the colours last, PyTorch puts them second. `permute` changes the
#   order of the dimensions; `[None]` adds one in front.
# - *"The shape is right, the numbers are not."* `reshape` also gives the right shape, but it cuts the same row of
#   numbers elsewhere: colours and places get mixed. Use `permute`.
# - *"Very large numbers, or 255 where −0.5 should be."* uint8 has no negative numbers and no fractions. Make floats
#   first. Divide by 255 before you take off the mean.
# - *"It cannot be run: sizes must match."* Three numbers meet the last dimension. Normalise while the colours are
#   last, or give mean and std the shape (3, 1, 1).
#
# </details>

# %% [markdown]
# Now the tensor goes into the network. A hook keeps what the last layer, the classifier, gives: there the answer still
# has 1/8 of the image's size. The line shows the three shapes: in, at the classifier, out.

# %% tags=["nbval-check-output"]
x = to_tensor(image, meta["mean"], meta["std"]).to(lesson.device, torch.float32)
caught = []
hook = model.classifier.register_forward_hook(
    lambda layer, given, answer: caught.append(answer)
)
with torch.inference_mode():
    logits = model(x)
hook.remove()
coarse = caught[0]
print(tuple(x.shape), "→", tuple(coarse.shape), "→", tuple(logits.shape))

# %% [markdown]
# ## 5 · The way out
# Eleven numbers for each cell, one a class: the *logits*. They may be any size; the largest wins. Two steps remain:
# from 36 × 48 cells up to 288 × 384 pixels, and from eleven numbers to one class id. In which order?
#
# ### Exercise 00.2 · From logits to classes   ●●○○○ · 6 minutes
# `logits` is (1, C, h, w) on any grid, `size` is the (H, W) that is wanted. Give the class ids as (H, W) uint8, a
# numpy array. `resize(x, size)` (imported above) is the package's bilinear resize of a (N, C, h, w) tensor.


# %% tags=["exercise"]
def class_map(logits, size):
    """(1, C, h, w) logits → (H, W) = size, uint8 class ids as a numpy array."""
    ### BEGIN SOLUTION
    fine = resize(logits, size)
    return fine.argmax(1)[0].to(torch.uint8).cpu().numpy()
    ### END SOLUTION


# %% tags=["check"]
random = torch.Generator().manual_seed(0)
class_map = course.check(
    class_map,
    ours.class_map,
    course.case(torch.randn(1, 11, 5, 6, generator=random), (38, 45)),
    course.case(torch.randn(1, 3, 4, 7, generator=random), (9, 11)),
    exercise="00.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"Some numbers differ."* Resize the logits and then choose. Class ids are names, not amounts: the mean of class 0
#   (Sky) and class 8 (Car) is class 4 (Pavement), which is nonsense. Logits are amounts.
# - *"A dimension too many."* `[0]` takes the only image of the batch.
# - *"Numbers differ almost everywhere."* Which dimension holds the classes? It is number 1.
#
# </details>

# %% [markdown]
# Why the order matters: on the left `class_map`, on the right the classes chosen first and enlarged afterwards.
# Look at the outlines of cars and kerbs. Two lines in the right order are all that it takes.

# %%
shape = image.shape[:2]
blocky = np.kron(coarse.argmax(1)[0].cpu().numpy(), np.ones((8, 8), int))
smooth = class_map(coarse, shape)
for name, ids in (
    ("resize, then choose", smooth),
    ("choose, then enlarge", blocky),
):
    right = (ids == truth)[truth != 255].mean()
    print(f"{name:<22}{right:.1%} of the pixels are right")
named = {"resize, then choose": smooth, "choose, then enlarge": blocky}
drawn = {name: plots.colorize(ids, table) for name, ids in named.items()}
plots.with_legend(ours.side_by_side(drawn), table)

# %% [markdown]
# ## 6 · How sure is it?
# A class id does not say how close the second class was. The softmax turns eleven logits $z_c$ into eleven
# probabilities that add up to 1:
#
# $$p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}$$
#
# ### Exercise 00.3 · How sure   ●●●○○ · 8 minutes
# Give the probability of the likeliest class for each pixel: (1, C, H, W) logits → (H, W). Write it with `exp` and
# `sum`. But $e^{1000}$ is too large for any float: what may you subtract from all $z_c$ without changing any $p_c$?


# %% tags=["exercise"]
def confidence(logits):
    """(1, C, H, W) logits, also large → (H, W): probability of the best class."""
    ### BEGIN SOLUTION
    highest = logits.amax(1, keepdim=True)
    powers = (logits - highest).exp()
    return powers.amax(1)[0] / powers.sum(1)[0]
    ### END SOLUTION


# %% tags=["check"]
random = torch.Generator().manual_seed(1)
small = 3 * torch.randn(1, 11, 5, 6, generator=random, dtype=torch.float64)
confidence = course.check(
    confidence,
    ours.confidence,
    course.case(small),
    course.case(small[:, :2] + 1000),
    exercise="00.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"nan instead of a number."* $e^{1000}$ became infinite, and infinite by infinite is not a number. Subtract the
#   largest logit of each pixel from all of its logits first: numerator and denominator shrink by the same factor.
# - *"Sizes do not match."* `amax(1, keepdim=True)` keeps a dimension of size 1, so that the subtraction finds its
#   partner.
# - *"All numbers are far too small."* The sum runs over the classes (dimension 1), not over the image.
# - `torch.softmax(logits, 1)` does all this. Use it from now on.
#
# </details>

# %% [markdown]
# ### Exercise 00.4 · Edges   ●●●○○ · 10 minutes
# In the panels above the errors looked like lines. To say it in numbers we need the lines. A pixel is at an *edge* if
# one of its four direct neighbours (up, down, left, right) has another class. Give (H, W) bool.
#
# Two rules: the image's border makes no edge, and neither does void (255, a pixel without a class): a pair of
# neighbours counts only if neither is void. A pixel beside void is still an edge if another neighbour has another class.


# %% tags=["exercise"]
def edges(ids):
    """(H, W) class ids, void 255 → (H, W) bool: a direct neighbour has another."""
    ### BEGIN SOLUTION
    edge = np.zeros(ids.shape, bool)
    down = (ids[1:] != ids[:-1]) & (ids[1:] != 255) & (ids[:-1] != 255)
    edge[1:] |= down
    edge[:-1] |= down
    right = (ids[:, 1:] != ids[:, :-1]) & (ids[:, 1:] != 255) & (ids[:, :-1] != 255)
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge
    ### END SOLUTION


# %% tags=["check"]
tiny = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [1, 3, 3, 255]], np.uint8)
areas = np.full((7, 9), 3, np.uint8)
areas[2:4, 3:6], areas[5, 7], areas[0, 2:5] = 0, 10, 255
edges = course.check(
    edges,
    ours.edges,
    course.case(tiny),
    course.case(tiny.T.copy()),
    course.case(areas),
    exercise="00.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Without a loop: `ids[1:] != ids[:-1]` compares each pixel with the one above it, for the whole image. It has one
#   row less than the image.
# - *"Edges are missing."* A step between two pixels makes both of them edge pixels. Mark `edge[1:]` and `edge[:-1]`.
# - *"The border is marked."* `np.roll` compares the first row with the last one. Slices do not.
# - *"Too many at void."* A pair counts only if neither of the two is 255.
#
# </details>

# %% [markdown]
# Now both together. The picture shows the image, how sure the network is (dark: unsure), and in orange where it is
# wrong. The printed lines compare the pixels at the edges of the truth with those inside an area.

# %%
sure = np.asarray(confidence(logits).cpu())
wrong = (class_map(logits, shape) != truth) & (truth != 255)
at_edge = edges(truth)
for name, where in (("at edges", at_edge), ("inside", ~at_edge & (truth != 255))):
    means = (
        f"mean confidence {sure[where].mean():.2f}, wrong {wrong[where].mean():.1%}"
    )
    print(f"{name:<9}{where.mean():6.1%} of the image, {means}")
ours.sure_and_unsure(image, sure, wrong)

# %% [markdown]
# The network is unsure where it is wrong, and both happen at the edges. That is useful: a car that brakes may
# ask not only *what* but also *how sure*. But do not read 0.9 as "right nine times of ten": nothing guarantees that.
#
# ## 7 · How fast?
# Below, the same image goes through the network again and again. How many frames per second is that?


# %%
def stopwatch(segmenter, image, calls):
    """Seconds of each of so many calls, pixels to class map."""
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        segmenter.predict(image)
        seconds.append(time.perf_counter() - started)
    return seconds


calls = lesson.pick(30, 9)
measured = {"288×384": stopwatch(segmenter, image, calls)}
print(" ".join(f"{1000 * s:.0f}" for s in measured["288×384"]), "ms")

# %% [markdown]
# ### Exercise 00.5 · Frames per second   ●●○○○ · 6 minutes
# From a list of seconds, one a call: leave out the first `warm_up` calls, then tell how many frames per second a
# *typical* call means. Sometimes another program interrupts a call; one such call must not change your answer.


# %% tags=["exercise"]
def frames_per_second(seconds, warm_up=3):
    """Frames per second of a typical call after the first warm_up calls."""
    ### BEGIN SOLUTION
    return 1 / float(np.median(seconds[warm_up:]))
    ### END SOLUTION


# %% tags=["check"]
frames_per_second = course.check(
    frames_per_second,
    ours.frames_per_second,
    course.case([0.9, 0.3, 0.25, 0.1, 0.12, 0.11, 0.8, 0.1, 0.09]),
    course.case([0.5, 0.02, 0.04, 0.03, 0.01], warm_up=1),
    exercise="00.5",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"Too small."* The mean follows every outlier: one call of 0.8 s among calls of 0.1 s makes the mean twice as
#   long. The median, the middle of the sorted times, does not move.
# - *"Too large."* Did you sort first and then leave out three? That throws away the fastest calls. Or the median of
#   frames per second instead of one over the median of seconds: of an even number of calls the two differ.
# - *"Right for one case only."* Use `warm_up`, not 3.
#
# </details>

# %% [markdown]
# **Half the size.** The same network can look at a smaller image: `Segmenter(…, size=(144, 192))` shrinks the image
# first and enlarges the logits at the end. A quarter of the pixels means about a quarter of the multiplications. Look
# at both panels: squares are warm-up calls, the full line is the median of the rest, the dashed line the mean of all.


# %%
def seeing(rows):
    """The same network; it sees every image at so many rows."""
    size = (rows, rows * 4 // 3)
    found = Segmenter(model, meta["mean"], meta["std"], size=size, table=table)
    return found.to(lesson.device)


half = seeing(144)
measured["144×192"] = stopwatch(half, image, calls)
for name, seconds in measured.items():
    macs = count(model, tuple(map(int, name.split("×")))).macs / 1e9
    print(f"{name}: {macs:.2f} G multiply-adds", end=", ")
    print(f"{frames_per_second(seconds):.1f} frames per second", end=" ")
    print(f"({1 / np.mean(seconds):.1f} by the mean of all)")

# %%
ours.times(measured, warm_up=3)

# %% [markdown]
# If a quarter of the work does not make it four times as fast, that is normal: some of the time does not depend on
# the size. Lesson 16 shows where the time goes.
#
# And what does it cost? Both are scored on the same scenes. Compare the mean with the row of Pole, and then with the
# row of Road.

# %%
some = Streets("test", n=lesson.pick(24, 6), size=(288, 384))
scores = [metrics.score(s.predict, some, progress=False) for s in (segmenter, half)]
print(f"IoU in percent {'full':>10}{'half':>10}   {len(some)} scenes")
for i, name in enumerate(table.names):
    full, less = (100 * s.per_class_iou[i] for s in scores)
    print(f"{name:<15}{full:>10.1f}{less:>10.1f}")
print(f"{'mean':<15}{100 * scores[0].miou:>10.1f}{100 * scores[1].miou:>10.1f}")

# %% [markdown]
# Large things stay, thin and small ones are lost: at half size a pole of four pixels is two pixels wide, and a quarter
# of a cell at 1/8. The pictures show the same scene, seen at 288, 144 and 96 rows: watch the poles, the signs and the
# people.


# %%
def seen_at(rows):
    """The class map of `image` when the network sees so many rows, in colours."""
    return plots.overlay(image, seeing(rows).predict(image), table, alpha=0.75)


drawn = {f"{rows} rows": seen_at(rows) for rows in (288, 144, 96)}
plots.with_legend(ours.side_by_side(drawn), table)

# %% [markdown]
# Find your own limit: how many rows does the network need before you would trust it with the road, the cars, the
# people? Move the slider (it needs a running kernel).


# %% tags=["slider"]
def look(rows):
    """Image and what the network makes of it at so many rows."""
    drawn = {"image": image, f"seen at {rows}×{rows * 4 // 3}": seen_at(rows)}
    return ours.side_by_side(drawn)


knob = ipywidgets.IntSlider(144, 48, 384, 48, continuous_update=False)
_ = ipywidgets.interact(look, rows=knob)

# %% [markdown]
# ## The whole way in one cell
# All functions of this lesson, yours where you have solved them, and `edgeseg.predict`, which does the same in one call. The
# last line counts the pixels on which the two agree.


# %%
def segment(image):
    """(H, W, 3) uint8 → (H, W) uint8 class ids and (H, W) probabilities."""
    x = to_tensor(image, meta["mean"], meta["std"]).to(lesson.device, torch.float32)
    with torch.inference_mode():
        logits = model(x)
    return class_map(logits, image.shape[:2]), np.asarray(confidence(logits).cpu())


ids, sure = segment(image)
agree = (ids == predict("cross_cbam_m.streets", image)).mean()
assert agree > 0.999
print(f"{ids.shape}, {agree:.2%} of the pixels as edgeseg.predict has them")

# %%
course.progress()

# %% [markdown]
# ## In five lines
# 1. An image goes in as (1, 3, H, W) floats, normalised exactly as in training; nothing warns you if it is not.
# 2. Logits come out on a coarse grid: resize them, then choose the largest.
# 3. 11.6 million parameters are 23 MB in float16, less than one raw photo, and name nine of ten pixels of new
#    streets.
# 4. The network errs at edges and on thin things, and there it is unsure.
# 5. Speed: warm up, take many calls, report the median. Half the size is faster and loses the thin things.
#
# ## Questions
#
# <details><summary>1. Why is argmax before the resize worse than after it?</summary>
#
# Class ids cannot be averaged, so only whole cells of 8 × 8 pixels could be copied. Logits can be averaged, and the
# border between two classes then runs through a cell.
#
# </details>
#
# <details><summary>2. A colleague's masks are poor, with your weights. What do you ask first?</summary>
#
# Mean and deviation, RGB or BGR, divided by 255 or not. None of these raises an error.
#
# </details>
#
# <details><summary>3. Why can the network not have stored all its scenes?</summary>
#
# There were 190 labelled pixels for each parameter, and it is scored on scenes it has not seen.
#
# </details>
#
# <details><summary>4. A call takes 100 ms, one in ten takes 1 s. Mean, median, and which one do you report?</summary>
#
# Mean 190 ms, median 100 ms. Report the median as the typical call, and beside it how slow the slow ones are: a car
# has to wait for those, too.
#
# </details>
#
# <details><summary>5. What does a confidence of 0.5 with eleven classes tell, and what not?</summary>
#
# The other ten share the other half, so none of them has more. It does not tell that such pixels are right half of
# the time.
#
# </details>

# %% [markdown]
# ## Beyond
# - Your own photo: `segment(as_pixels("street.jpg"))`; `as_pixels`, from `edgeseg.inference`, also turns it upright.
#   The network has never seen a real street. What does it still know? (The README has its score on CamVid.)
# - Swap red and blue (`image[:, :, ::-1].copy()`), or use mean 0 and std 1. How much is lost, and does anything warn
#   you?
# - Of the pixels with a confidence between 0.8 and 0.9, how many are right? And if you throw away the tenth that it
#   is least sure of, how many of the rest are wrong?
#
# **Papers**: Cross-CBAM, Fig. 1 and Tables 5 and 6. Long and others, *Fully Convolutional Networks for Semantic
# Segmentation*, 2015, for the idea of an image-sized answer.
#
# **Next**: 01, street scenes and labels: what the network was trained on, and the ways in which labels mislead.
