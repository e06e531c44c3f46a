# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Street scenes and labels
# At the end you can paint a street together with its labels, read any label file without mixing up its numbers, and
# you know two ways in which published scores of "11 classes" cannot be compared.
#
# **80 minutes to work through** · 0.2 min of computing on two CPU cores · 1 GB of memory · data: rendered scenes, no download · needs nothing · 6 exercises

# %% tags=["setup"]
import ipywidgets
import numpy as np
from PIL import Image, ImageDraw

from edgeseg import course, metrics, plots
from edgeseg.course.lessons import lesson_01 as ours
from edgeseg.data.labels import CAMVID32, CITYSCAPES, VOID, camvid
from edgeseg.data.labels import CITYSCAPES_LABEL_IDS as LABEL_IDS
from edgeseg.data.streets import Streets
from edgeseg.data.streets.canvas import Camera

lesson = course.begin("01", version="0.1")

# %% [markdown]
# ## Where we are
# Today is about the two ends of the map: the image, and the class map that a network should give for it. A network
# learns from pairs of these. A fault in the pairs becomes a fault of the network, and no error message says so.

# %%
course.network_map("image", "mask")

# %% [markdown]
# ## 1 · Streets without a download
# `Streets` renders pairs: an image, and a label that is exact to the pixel, since the same program draws both. Scene
# *i* depends on three things alone: seed, split and index. Nobody has to store it.
#
# The picture shows three training scenes above their labels.

# %%
table = camvid("A")
scenes = Streets("train", n=100, size=(144, 192))
pairs = [scenes[i] for i in (3, 11, 26)]
again = Streets("train", n=50, size=(144, 192))[11]
assert (again[0] == pairs[1][0]).all()  # the same scene, whatever n is
images = [image for image, _ in pairs]
labels = [plots.colorize(label, table) for _, label in pairs]
titles = [f"train scene {i}" for i in (3, 11, 26)]
figure = ours.grid([images, labels], titles, ("image", "label"))
plots.with_legend(figure, table, void=True)

# %% [markdown]
# Black is *void*: pixels of no class, such as the bonnet of one's own car or things too far to be told. In files it
# is written in many ways; inside this package it is always 255.
#
# Some conditions can be switched: fog, night, the side of the road. The street itself stays. Compare the pictures,
# and then the printed lines: which switch changes the label?

# %%
switches = {"as it comes": {}, "dense fog": {"fog": "dense"}}
switches |= {"night": {"night": True}, "traffic right": {"traffic": "right"}}
seen = {}
for name, chosen in switches.items():
    seen[name] = Streets("train", n=100, size=(144, 192), **chosen)[26]
    same = (seen[name][1] == seen["as it comes"][1]).mean()
    print(f"{name:<14}{same:.0%} of the label as before")
ours.grid([[image for image, _ in seen.values()]], list(seen))

# %% [markdown]
# ## 2 · The camera
# How do metres become pixels? By similar triangles: what is twice as far looks half as large. A pinhole camera needs no
# other rule:
#
# $$u = c_u W + f H\,\frac{x - x_c}{z - z_c} \qquad v = c_v H + f H\,\frac{y_c - y}{z - z_c}$$
#
# | symbol | here | meaning |
# |---|---|---|
# | $x, y, z$ | a point | metres to the right, up, ahead |
# | $x_c, y_c, z_c$ | `camera.x`, `.height`, `.z` | where the camera is |
# | $f$ | `camera.focal` | focal length in image heights |
# | $c_u, c_v$ | `camera.vanish`, `.horizon` | vanishing point in image widths, horizon in image heights |
# | $u, v$ | a pixel | to the right, **down** |

# %% [markdown] tags=["predict"]
# **Predict before you go on.** A person 10 m ahead is 60 pixels tall. How tall at 20 m, and how many pixels does the
# person have there? And where do the eyes of all people as tall as the camera lie?
#
# <details><summary>Answer</summary>
#
# 30 pixels tall, and a quarter of the pixels. All eyes at camera height lie on the horizon, near or far: for $y =
# y_c$ the second formula gives $v = c_v H$ whatever $z$ is.
#
# </details>

# %% [markdown]
# ### Exercise 01.1 · Project a point   ●●○○○ · 8 minutes
# Write the two formulas for many points at once: (N, 3) metres → (N, 2) pixels. `size` is (H, W). Note that $f$
# counts in image *heights* in both formulas: pixels are square.


# %% tags=["exercise"]
def project(points, camera, size):
    """(N, 3) points (x, y, z), metres → (N, 2) pixels (u, v); size is (H, W)."""
    ### BEGIN SOLUTION
    height, width = size
    x, y, z = np.asarray(points, dtype=float).T
    scale = camera.focal * height / (z - camera.z)  # pixels a metre
    u = camera.vanish * width + scale * (x - camera.x)
    v = camera.horizon * height + scale * (camera.height - y)
    return np.stack([u, v], axis=1)
    ### END SOLUTION


# %% tags=["check"]
one = Camera(x=-1.83, z=0.0, height=1.43, focal=1.17, horizon=0.463, vanish=0.52)
other = Camera(x=0.71, z=5.3, height=2.91, focal=0.83, horizon=0.41, vanish=0.37)
near_and_far = np.array(
    [[0.0, 0.0, 7.0], [-3.1, 1.43, 9.0], [4.2, 6.5, 70.0], [1.0, 2.91, 31.0]]
)
project = course.check(
    project,
    ours.project,
    course.case(near_and_far[:1], one, (96, 128)),
    course.case(near_and_far, one, (288, 384)),
    course.case(near_and_far, other, (120, 90)),
    exercise="01.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"u is wrong, v is right."* Is it `focal * height` in both, and `vanish * width`?
# - *"v is wrong."* Pixels count downwards, metres upwards: $y_c - y$, not $y - y_c$. A point on the ground must lie
#   below the horizon, so its v is larger.
# - *"Right for the first camera only."* The second one does not stand at z = 0: divide by the distance $z - z_c$.
# - *"The shape is (2, N)."* `np.stack([u, v], axis=1)`.
#
# </details>

# %% [markdown]
# ## 3 · The painter
# A street is made of flat shapes. `ours.street()` gives some forty of them, in no order: each has a class name, a
# colour and four corners in metres. Which of two shapes hides the other? The painter's answer: paint what is far away
# first, and let what is near cover it.

# %%
quads = ours.street()
for quad in quads[:4]:
    print(f"{quad.name:<16}{quad.color!s:<17}{np.round(quad.corners, 1).tolist()}")

# %% [markdown]
# ### Exercise 01.2 · Far to near   ●●●○○ · 10 minutes
# Paint every shape twice with the same corners: into the image with `quad.color`, into the label with its class's raw
# colour, `CAMVID32[quad.name][0]`. That is why the labels are exact.
#
# In which order? A road reaches from your feet to the skyline, a wall from 6 m to 34 m. Sort by the **far end**, the
# largest z of the four corners, largest first. `ImageDraw.Draw(image).polygon(points, fill=color)` fills a list of
# (u, v) tuples.


# %% tags=["exercise"]
def paint(quads, camera, size):
    """Shapes → image and label of raw colours, both (H, W, 3) uint8."""
    image = Image.new("RGB", size[::-1], ours.SKY)
    label = Image.new("RGB", size[::-1], CAMVID32["Sky"][0])
    ### BEGIN SOLUTION
    for quad in sorted(quads, key=lambda q: -max(z for _, _, z in q.corners)):
        points = [(u, v) for u, v in project(quad.corners, camera, size).tolist()]
        ImageDraw.Draw(image).polygon(points, fill=quad.color)
        ImageDraw.Draw(label).polygon(points, fill=CAMVID32[quad.name][0])
    ### END SOLUTION
    return np.asarray(image), np.asarray(label)


# %% tags=["check"]
one = Camera(x=-1.83, z=0.0, height=1.43, focal=1.17, horizon=0.463, vanish=0.52)
other = Camera(x=0.71, z=-2.3, height=2.91, focal=0.83, horizon=0.41, vanish=0.37)
paint = course.check(
    paint,
    ours.paint,
    course.case(ours.street(), one, (96, 128)),
    course.case(ours.street()[::-1], other, (121, 90)),
    exercise="01.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"answer[0] differs."* answer[0] is the image, answer[1] the label. If both differ, the order is wrong; if only
#   the label does, look at what you fill it with.
# - *"The road covers the cars."* That is the order near to far: `reverse=True`.
# - *"Poles are missing."* You sorted by the near end or the middle. A wall of 6 to 34 m is then painted after a pole
#   at 25 m, and covers it.
# - *"fill wants a tuple"*: `CAMVID32[name]` is (colour, class of definition A, head class or not); you need the
#   first.
#
# </details>

# %% [markdown]
# Four moments of the same painting, from the farthest shapes to all of them. The upper row is what the camera sees,
# the lower row the label that grows with it.

# %%
camera = Camera(x=-1.83, z=0.0, height=1.43, focal=1.17, horizon=0.463, vanish=0.52)
by_distance = sorted(quads, key=lambda q: -max(z for _, _, z in q.corners))
counts = [round(share * len(quads)) for share in (0.15, 0.5, 0.8, 1.0)]
moments = [paint(by_distance[:count], camera, (144, 192)) for count in counts]
titles = [f"the farthest {count}" for count in counts[:3]] + ["all"]
ours.grid(list(zip(*moments, strict=True)), titles, ("image", "label"))

# %% [markdown]
# `edgeseg.data.streets` does the same with better shapes: curved roads, windows, leaves; then light, fog, shadows and
# the noise of a sensor, over the image and never over the label.
#
# Now move the camera. What does its height change, what the focal length? Watch the horizon, and the vanishing point.


# %% tags=["slider"]
def look(height, focal):
    """The painted street from another camera."""
    place = {"x": -1.83, "z": 0.0, "horizon": 0.463, "vanish": 0.52}
    moved = Camera(height=height, focal=focal, **place)
    return ours.grid([paint(quads, moved, (192, 256))], ("image", "label"))


height = ipywidgets.FloatSlider(1.4, min=0.6, max=6.0, continuous_update=False)
focal = ipywidgets.FloatSlider(1.2, min=0.5, max=3.0, continuous_update=False)
_ = ipywidgets.interact(look, height=height, focal=focal)

# %% [markdown]
# ## 4 · Which eleven classes?
# The paper (section 4.1) trains on CamVid: 701 frames of 960 × 720 pixels, 367 to train, 101 to validate, 233 to
# test; 32 classes, of which 11 are used.
#
# **What the paper does not say:** what is done with the other 21. Two ways are in use, and both are called "CamVid, 11
# classes". **A, grouped**: SUVs count as Car, lane marks as Road, and so on; only Void is void (SegNet, MATLAB). **B,
# exact**: the eleven head classes count, the rest becomes void (PIDNet, RegSeg). We take A. Each row below is a class
# of A; thick frames are what B keeps.

# %%
ours.groups(table)

# %% [markdown]
# ### Exercise 01.3 · Colours to ids   ●●○○○ · 8 minutes
# CamVid's owners paint labels in colours; a network needs ids. `codes` is a dict: (red, green, blue) → class id, or
# 255. A colour that is not listed is void, too: one of the owners' files has blended colours at its edges.


# %% tags=["exercise"]
def encode(rgb, codes):
    """(H, W, 3) uint8 label colours → (H, W) uint8 ids; 255 for other colours."""
    ### BEGIN SOLUTION
    ids = np.full(rgb.shape[:2], 255, np.uint8)
    for color, class_id in codes.items():
        ids[(rgb == color).all(axis=2)] = class_id
    return ids
    ### END SOLUTION


# %% tags=["check"]
colors = [color for color, _, _ in CAMVID32.values()]
mixed = colors + [color[::-1] for color in colors] + [(1, 2, 3), (96, 32, 64)]
mixed = np.random.default_rng(0).permutation(np.array(mixed, np.uint8))
mixed = mixed.reshape(6, 11, 3)
few = {(128, 64, 128): 0, (0, 0, 192): 1, (192, 128, 64): 2}
four = [(128, 64, 128), (0, 0, 192), (64, 128, 192), (128, 64, 129)]
encode = course.check(
    encode,
    ours.encode,
    course.case(np.array([four], np.uint8), few),
    course.case(mixed, camvid("A").rgb),
    course.case(mixed, camvid("B").rgb),
    exercise="01.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - `(rgb == color)` compares three channels and gives (H, W, 3) of True and False. A pixel has the colour if **all**
#   three agree.
# - *"0 instead of 255."* Begin with an array full of 255, not of zeros: 0 is Sky.
# - *"Some colours are taken for others."* Their sums may be equal, or their channels in another order: (64, 128, 192)
#   and (192, 128, 64) are two classes.
# - A number made of the three, `65536 * r + 256 * g + b`, is faster; but in uint8 it overflows: make int first.
#
# </details>

# %% [markdown]
# Now one prediction on our painted street, scored twice. Let a network know the eleven head classes perfectly, and
# call everything of the other 21 "Building". (mIoU, the mean IoU over the classes, is lesson 02; 100 is perfect.)

# %%
_, raw_label = paint(quads, camera, (288, 384))
views = {name: encode(raw_label, camvid(name).rgb) for name in "AB"}
unknown = np.uint8(table.index("Building"))
prediction = np.where(views["B"] == VOID, unknown, views["A"])
for name, label in views.items():
    matrix = metrics.ConfusionMatrix(len(table))
    matrix.update(prediction, label)
    void, miou = (label == VOID).mean(), 100 * matrix.compute().miou
    print(
        f"definition {name}: {void:5.1%} of all pixels are void, mIoU {miou:5.1f}"
    )

# %%
views["prediction"] = prediction
drawn = [plots.colorize(m, table) for m in views.values()]
figure = ours.grid([drawn], list(views))
plots.with_legend(figure, table, void=True)

# %% [markdown]
# The same image, the same prediction, two scores. B never asks about the hard part. So **never compare an A with a B**;
# if a paper does not say which, look into its code.
#
# One more thing about colours. The upper row is CamVid's palette, the lower row the same for someone without working
# green cones. Which two classes become one?

# %%
ours.palettes(table)

# %% [markdown]
# Building and Pedestrian. We keep the palette, since all papers have it, but write names beside it, and draw errors and
# curves in colours that stay different for everybody.
#
# ## 5 · Cityscapes: ids that are not ids
# Cityscapes has 34 classes, each with a number, the *label id*. Only 19 of them are trained, and a network counts
# these from 0, the *train id*. Both kinds are called labels, both lie in PNG files with similar names.

# %% tags=["nbval-check-output"]
train_ids = {raw: train for raw, train in LABEL_IDS.ids.items() if train != VOID}
for label_id in (7, 11, 26):
    train_id = train_ids[label_id]
    name = CITYSCAPES.names[train_id]
    print(f"{name:<10}label id {label_id:>2}, train id {train_id:>2}")

# %% [markdown] tags=["predict"]
# **Predict before you go on.** Someone scores a *perfect* prediction (in train ids) against labels in label ids. What
# is the pixel accuracy: about 90, 50, 10 or 0 percent?
#
# <details><summary>Answer</summary>
#
# Exactly 0. Of the 19 classes none has the same number in both lists: label ids are always the larger. The cell after
# the exercise counts it.
#
# </details>

# %% [markdown]
# ### Exercise 01.4 · Train ids   ●●●○○ · 8 minutes
# Turn label ids into train ids. `train_ids` is a dict with the 19 classes, label id → train id; every other value
# becomes void, 255. Build a table with a place for each of the 256 possible values, and look up the whole image at
# once.


# %% tags=["exercise"]
def to_train_ids(raw, train_ids):
    """(H, W) uint8 label ids → (H, W) uint8 train ids; 255 for all others."""
    ### BEGIN SOLUTION
    lookup = np.full(256, 255, np.uint8)
    for label_id, train_id in train_ids.items():
        lookup[label_id] = train_id
    return lookup[raw]
    ### END SOLUTION


# %% tags=["check"]
train_ids = {raw: train for raw, train in LABEL_IDS.ids.items() if train != VOID}
every_value = np.random.default_rng(0).permutation(np.arange(256, dtype=np.uint8))
every_value = every_value.reshape(8, 32)
some = np.array([[7, 0, 26], [11, 1, 33], [20, 7, 255]], np.uint8)
to_train_ids = course.check(
    to_train_ids,
    ours.to_train_ids,
    course.case(some, train_ids),
    course.case(every_value, train_ids),
    course.case(every_value % 5, {4: 1, 1: 0, 0: 4}),
    exercise="01.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - `lookup[raw]` with an image as index gives an image: each value is replaced by its entry.
# - *"It worked for some dicts only."* Replacing in place, one id after the other (`raw[raw == 20] = 7`), meets its
#   own results: a later step takes the new 7 for a road. And it changes the array that was given to you.
# - *"0 instead of 255."* Fill the table with 255 first. `np.zeros` makes every forgotten class a road.
# - *"index 255 is out of bounds."* Files do hold 255. The table needs 256 places, not 34.
#
# </details>

# %% [markdown]
# We have no Cityscapes images here (its licence asks for registration), but we can write a rendered street as
# Cityscapes would. Then we misread it. Left: true classes. Right: the same file, label ids taken for train ids, in
# Cityscapes' colours. Black is what no class fits.

# %%
in_file = (23, 11, 17, 7, 8, 21, 20, 13, 26, 24, 25)  # our 11 classes' label ids
_, street = Streets("train", n=100, size=(288, 384))[26]
raw = ours.to_train_ids(street, dict(enumerate(in_file)))
raw[street == VOID] = 0  # "unlabeled"
right, misread = (
    to_train_ids(raw, train_ids),
    np.where(raw < 19, raw, np.uint8(VOID)),
)
both = (right != VOID) & (misread != VOID)
agree = (right == misread)[both].mean()
print(
    f"a perfect prediction scores {agree:.1%} where the label holds a class at all"
)
print(f"{(raw >= 19).mean():.0%} of the pixels have an id that is too large")

# %%
drawn = [plots.colorize(ids, CITYSCAPES) for ids in (right, misread)]
figure = ours.grid([drawn], ["train ids", "label ids misread"])
figure.set_figwidth(9.4)  # room for the names of 19 classes
plots.with_legend(figure, CITYSCAPES, void=True)

# %% [markdown]
# torchvision's Cityscapes reader, for example, gives label ids. What each class becomes when they are taken for train
# ids:

# %% tags=["nbval-check-output"]
for label_id, train_id in train_ids.items():
    known = label_id < len(CITYSCAPES)
    read_as = CITYSCAPES.names[label_id] if known else "no class: void, or a crash"
    print(f"{CITYSCAPES.names[train_id]:<14}{label_id:>3}  → {read_as}")
print(f"{'unlabeled':<14}  0  → {CITYSCAPES.names[0]}")

# %% [markdown]
# **The surprise**: this happens without any message. In training the loss falls as it should: a network can learn to call
# poles "motorcycle" as well as "pole". Only an id that is too large stops a GPU, with `device-side assert triggered`. The package's
# readers check every label and name the file.
#
# ## 6 · Labels are never averaged
# Images are made smaller by averaging. Labels are names, and the mean of two names is a third one.

# %% [markdown]
# ### Exercise 01.5 · Resize a label   ●●●○○ · 10 minutes
# Give a label another size by taking, for each new pixel, the old pixel that lies under its **centre**. The centre of
# new row i is at (i + 0.5) · H / h old rows; the pixel there is the whole number below. The same for columns. No loop
# over pixels is needed.


# %% tags=["exercise"]
def resize_label(label, size):
    """(H, W) class ids → size (h, w): the old pixel under each new centre."""
    ### BEGIN SOLUTION
    height, width = label.shape
    rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    return label[rows[:, None], columns]
    ### END SOLUTION


# %% tags=["check"]
numbered = np.arange(12, dtype=np.uint8).reshape(3, 4)
larger = np.random.default_rng(0).integers(0, 11, (23, 31)).astype(np.uint8)
resize_label = course.check(
    resize_label,
    ours.resize_label,
    course.case(numbered, (1, 2)),
    course.case(numbered, (6, 8)),
    course.case(larger, (9, 14)),
    exercise="01.5",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - `label[rows[:, None], columns]`: a column of row numbers against a row of column numbers gives every pair.
# - *"Shifted by one."* Without the 0.5 you take each new pixel's upper left corner, and the label moves down and to
#   the right, by half a pixel of the new image. Rounding (`np.rint`) instead of cutting off shifts it the other way.
# - *"Between two ids."* You are averaging. Ids are picked, never mixed.
# - `Image.fromarray(label).resize((w, h), Image.Resampling.NEAREST)` does this too; note that Pillow takes width
#   first.
#
# </details>

# %% [markdown]
# What if one forgets? Below, the label at half size: picked (exercise 01.5) and averaged. In the third picture orange
# pixels hold a class that none of the four old pixels under them has; the printed line says which classes were made up
# most.

# %%
small = (street.shape[0] // 2, street.shape[1] // 2)
picked = resize_label(street, small)
shrunk = Image.fromarray(street).resize(small[::-1], Image.Resampling.BOX)
averaged = np.asarray(shrunk)
four = np.stack([street[i::2, j::2] for i in (0, 1) for j in (0, 1)])
made_up = (averaged != four).all(axis=0)
classes = np.bincount(averaged[made_up], minlength=256)[:11]
none = (averaged[made_up] > 10).mean()
most = [f"{table.names[i]} {classes[i]}" for i in np.argsort(-classes)[:4]]
print(f"{made_up.mean():.1%} of the pixels are made up", end=", ")
print(f"{none:.0%} of these are no class at all; the others:", ", ".join(most))

# %%
views = [plots.colorize(ids, table) for ids in (picked, averaged)]
marks = np.where(made_up[..., None], plots.WRONG, plots.RIGHT).astype(np.uint8)
figure = ours.grid([[*views, marks]], ["picked", "averaged", "made up"])
plots.with_legend(figure, table, void=True)

# %% [markdown]
# ## 7 · How much of what?
# Most of a street is road, building and sky. Before training one looks at the shares of the classes, since a network that
# never says "Bicyclist" loses little by it. *Median-frequency* weights give rare classes more weight in the loss. With
# $n_c$ the pixels of class $c$, and $m_c$ the labelled pixels of those images that hold it:
#
# $$f_c = n_c / m_c \qquad w_c = \operatorname{median}(f) / f_c$$

# %% [markdown]
# ### Exercise 01.6 · Shares and weights   ●●●●○ · 12 minutes
# `labels` is (N, H, W) with void 255. Give two arrays of length `classes`: the share of each class among all pixels
# that are **not void**, and $w_c$ from above. Void counts in neither $n_c$ nor $m_c$. A class that no image holds
# gets weight 1 and has no part in the median.


# %% tags=["exercise"]
def shares_and_weights(labels, classes):
    """(N, H, W) ids, void 255 → shares (classes,), which add up to 1; weights."""
    ### BEGIN SOLUTION
    counts = [np.bincount(label.ravel(), minlength=256) for label in labels]
    counts = np.stack(counts)[:, :classes]
    pixels = counts.sum(axis=0)
    images_with = counts > 0
    held = (images_with * counts.sum(axis=1, keepdims=True)).sum(axis=0)
    weights, there = np.ones(classes), pixels > 0
    frequency = pixels[there] / held[there]
    weights[there] = np.median(frequency) / frequency
    return pixels / pixels.sum(), weights
    ### END SOLUTION


# %% tags=["check"]
tiny = np.array([[[0, 0, 1, 255]], [[0, 2, 2, 255]], [[0, 0, 0, 0]]], np.uint8)
rng = np.random.default_rng(0)
values, often = np.array([0, 1, 3, 4, 255], np.uint8), (0.5, 0.25, 0.1, 0.05, 0.1)
many = rng.choice(values, (5, 6, 7), p=often)
many[:2][many[:2] == 4] = 255
shares_and_weights = course.check(
    shares_and_weights,
    ours.shares_and_weights,
    course.case(tiny, 3),
    course.case(tiny, 4),
    course.case(many, 5),
    exercise="01.6",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - `np.bincount(label.ravel(), minlength=256)` counts every value of one label; the first `classes` entries are the
#   classes, entry 255 is void.
# - Keep the counts of each image: (N, classes). Its row sums are the labelled pixels of each image; $m_c$ adds up
#   only the rows whose entry c is above 0.
# - *"answer[0] does not add up to 1."* Divide by the pixels that are not void.
# - *"answer[1] is a little off."* Is void in $m_c$? Does an absent class with frequency 0 take part in the median?
#
# </details>

# %% [markdown]
# Streets beside CamVid's training frames: shares as bars (the axis is logarithmic, each line is ten times the one
# below), and the weights as printed lines.

# %%
several = Streets("train", n=lesson.pick(120, 24), size=(144, 192))
stack = np.stack([label for _, label in several])
shares, weights = shares_and_weights(stack, len(table))
print(f"{'weight of':<12}{'streets':>9}{'CamVid':>9}")
for name, *two in zip(table.names, weights, ours.CAMVID_WEIGHTS, strict=True):
    print(f"{name:<12}{two[0]:>9.2f}{two[1]:>9.2f}")
bars = {f"streets, {len(stack)} scenes": 100 * shares}
bars["CamVid, 367 frames"] = ours.CAMVID_SHARES
ours.share_bars(table.names, bars)

# %% [markdown]
# Even this small sum is wrong in public code. In the SegNet copy of CamVid, void is file value 11. `np.histogram`
# with 11 bins from 0 to 11 puts the value 11 into the **last** bin, as its upper end is closed: void is counted as
# Bicyclist. The weight that DABNet and ESPNet use for it, 7.5455, should be 9.8310.

# %%
in_file = np.where(stack == VOID, 11, stack)
leaked, _ = np.histogram(in_file, bins=11, range=(0, 11))
by_it = leaked[10] / leaked.sum()
print(f"Bicyclist: {shares[10]:.2%} of the pixels; by that histogram {by_it:.2%}")

# %% [markdown]
# ## The whole way in one cell
# Metres to pixels to raw colours to class ids to a smaller label to shares: the functions of all exercises, yours where you
# have solved them. The last line compares with the package's.


# %%
def labelled_street(camera, size):
    """A painted street: image (H, W, 3), label (H, W), ids of definition A."""
    image, raw = paint(ours.street(), camera, size)
    return image, encode(raw, camvid("A").rgb)


image, label = labelled_street(camera, (288, 384))
shares, _ = shares_and_weights(resize_label(label, (144, 192))[None], len(table))
_, theirs = ours.paint(ours.street(), camera, (288, 384))
same = (label == camvid("A").encode(theirs)).all()
large = [i for i, share in enumerate(shares) if share > 0.05]
print(", ".join(f"{table.names[i]} {shares[i]:.0%}" for i in large))
print("same as the package's:", bool(same))

# %%
course.progress()

# %% [markdown]
# ## In five lines
# 1. A label is exact when one call paints image and label; far things first, near things over them.
# 2. Void is 255 here, and counts nowhere: not in shares, not in weights, not in scores.
# 3. "CamVid, 11 classes" means A (grouped) or B (exact); an A and a B are not compared.
# 4. Cityscapes' label ids are not its train ids; misread, a perfect prediction scores 0.
# 5. Labels are picked (nearest, at the centre), never averaged.
#
# ## Questions
#
# <details><summary>1. Why does the painter sort by far ends, and when does even that fail?</summary>
#
# Long things along the street would cover what stands before them. It fails when two shapes lie each partly behind
# the other; then one must be cut.
#
# </details>
#
# <details><summary>2. Night leaves the label as it was, "right" does not. Why?</summary>
#
# Night changes light only. Traffic on the right is the world mirrored, label and all.
#
# </details>
#
# <details><summary>3. A paper reports 80 % mIoU on CamVid, yours 70 %. What do you ask?</summary>
#
# Definition A or B, image size, train or train and val, pre-training (on Cityscapes?), and only then which network.
#
# </details>
#
# <details><summary>4. Your loss on Cityscapes falls well, and the score is 0. First suspicion?</summary>
#
# Label ids and train ids are mixed between training and scoring.
#
# </details>
#
# <details><summary>5. What is wrong with a lookup table that is filled with 0?</summary>
#
# What was forgotten becomes class 0, a real class, without any message. Filled with 255 it becomes void.
#
# </details>

# %% [markdown]
# ## Beyond
# - Add a zebra crossing to `ours.street()` (ground quads of LaneMkgsDriv). Which class is it under A, and under B?
# - Find a pair of shapes for which sorting by far ends goes wrong, and show it.
# - Make the *averaged* label from the same street with its class ids in another order. Which classes are made up now,
#   and why?
#
# **Papers**: Brostow and others, *Semantic object classes in video*, 2009 (CamVid). Cordts and others, *The
# Cityscapes Dataset*, 2016. Badrinarayanan and others, *SegNet*, 2017 (definition A, median-frequency weights).
# Cross-CBAM, section 4.1.
#
# **Next**: 02, what mIoU is: how a prediction and a label become one number.
