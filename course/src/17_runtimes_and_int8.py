# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 17 · Other runtimes and INT8
# At the end you have computed a convolution in integers by hand, compiled a network for other runtimes, and you know
# which proof sees a lost class.
#
# **85 minutes to work through** · 2 min of computing on two CPU cores · 1.7 GB of memory · data: rendered scenes, no download · needs lesson 02, 16 · 6 exercises

# %% tags=["setup"]
import os

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # one runtime's idle threads sleep
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from edgeseg import course
from edgeseg.course.lessons import lesson_16 as timing
from edgeseg.course.lessons import lesson_17 as ours
from edgeseg.course.lessons.lesson_05 import picture_row
from edgeseg.course.lessons.lesson_08 import find_log

lesson = course.begin("17", version="0.1")

# %% tags=["setup"]
from edgeseg.data.streets import Streets
from edgeseg.deploy.parity import check_parity
from edgeseg.deploy.quantise import calibration_images, quantise_weight
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.plots import colorize, with_legend

take_turns = course.mine("16.3", timing.take_turns)
speed_up = course.mine("16.4", timing.speed_up)

# %% [markdown]
# The whole network leaves PyTorch today:

# %%
course.network_map("all")

# %% [markdown]
# ## Where we are
# Lesson 16 gave a time that can be defended. Now it shall become smaller. Other runtimes do the same work with better
# kernels, and numbers of 8 bits are cheaper than numbers of 32. The right mask below comes from an 8-bit network.

# %%
size = lesson.pick((288, 384), (96, 128))
scenes = Streets("test", n=lesson.pick(24, 9), size=size)
segmenter = load_segmenter("cross_cbam_m.streets")
image, truth = scenes[8]
mask = segmenter.predict(image)
sets = ours.calibration_sets(size, lesson.pick(16, 4))
ranges = ours.input_ranges(segmenter, sets["four patches of sky"])
with ours.eight_bits(
    segmenter, ranges, ours.scale_and_zero, ours.quantise, ours.weight_codes
):
    lost = segmenter.predict(image)

# %%
print(
    f"{(lost == mask).mean():.1%} of the pixels have the class "
    "that the float network gives"
)
drawn = {
    "street": image,
    "float": colorize(mask, scenes.table),
    "8 bits": colorize(lost, scenes.table),
}
with_legend(picture_row(drawn), scenes.table)

# %% [markdown]
# The lamp post is gone. Of the person on the road a spot is left. Most pixels are as before. Whoever looks at that one
# number ships this network. Today you find out what was done to it.
#
# ## The idea
# Jacob et al. (2018) write a real number as $r = S(q - Z)$.
#
# | there | here | is |
# |---|---|---|
# | $r$ | `x` | a value, float32 |
# | $q$ | `codes` | an integer, 0…255 (weights: −127…127) |
# | $S$ | `scale` | the step from one code to the next |
# | $Z$ | `zero` | the code of the value 0 |
#
# <details><summary>What our two papers do not say, and what we chose</summary>
#
# Neither says in which number type its times were taken. We take what ONNX Runtime and OpenVINO do on a CPU: weights
# with one step per output channel, maps with one range per tensor, ranges from calibration images. Only convolutions
# are quantised.
#
# </details>

# %% [markdown]
# ## 1 · 256 codes
# ### Exercise 17.1 · Scale and zero point   ●●○○○ · 8 minutes
# Values lie between `low` and `high`. Code 0 is for `low`, code 255 for `high`. Give the step (a `float`), and the code of
# the value 0 (an `int`, rounded): plain numbers, no tensors.
#
# The value 0 *must* have a code: zeros are added at the border of every padded convolution. So if 0 is not inside
# `low`…`high`, widen the range until it is.


# %% tags=["exercise"]
def scale_and_zero(low, high):
    """(scale, zero): the step, and the code of the value 0."""
    ### BEGIN SOLUTION
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    return scale, round(-low / scale)
    ### END SOLUTION


# %% tags=["check"]
scale_and_zero = course.prove(
    scale_and_zero,
    ours.scale_and_zero,
    ours.gives_plain_numbers,
    ours.reaches_both_ends,
    ours.widens_to_zero,
    ours.gives_zero_a_code,
    exercise="17.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *255 of your steps are too many, or too few*: 256 codes have 255 steps between them.
# - *does not hold 0*: widen the range. `min(low, 0.0)`.
# - *the code of 0 has a fraction, or the other sign*: `round(-low / scale)`.
# - *a plain number is asked for*: of a tensor `.item()` makes one; `float(…)` and `int(…)` do, too.
#
# </details>

# %%
ours.staircase(scale_and_zero, ours.quantise)

# %% [markdown]
# Inside the range the error is at most half a step. Outside it grows: those values are cut off. A wide range cuts
# nothing and has coarse steps; a narrow one has fine steps and cuts.
#
# ### Exercise 17.2 · Find the bug: bright is black   ●●○○○ · 6 minutes
# This function makes codes. On the right, what its codes mean, for the red channel of the street and a range of −1.5…0.6.


# %%
def given(x, scale, zero):
    """Values → codes, uint8. Wrong in one place."""
    return ((x / scale).round() + zero).to(torch.int32).to(torch.uint8)


x = segmenter.normalise(
    torch.from_numpy(image).permute(2, 0, 1)[None]
)  # (1, 3, H, W)
scale, zero = scale_and_zero(-1.5, 0.6)
meant = (given(x, scale, zero).float() - zero) * scale
ours.maps({"values": x[0, 0], "what the codes mean": meant[0, 0]})

# %% [markdown]
# The sky lies above 0.6, and what should be brightest is dark. What does a byte do with 256? Repair it: a value outside
# the range gets the nearest code.


# %% tags=["exercise"]
def quantise(x, scale, zero):
    """Values (any shape) → codes 0…255 of the same shape, uint8."""
    ### BEGIN SOLUTION
    return ((x / scale).round() + zero).clamp(0, 255).to(torch.uint8)
    ### END SOLUTION


# %% tags=["check"]
values = torch.linspace(-4, 5, 40).view(2, 4, 5)
quantise = course.check(
    quantise,
    ours.quantise,
    course.case(values, 0.018, 85),
    course.case(values, 0.05, 100),
    exercise="17.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - 256 becomes 0 in a byte, 257 becomes 1: it wraps. `clamp(0, 255)`, before the type changes.
# - *"should be torch.uint8"* or the type is named: the codes are bytes.
# - *numbers differ by one*: round first, then add `zero`. `to(torch.uint8)` alone cuts the fraction off.
#
# </details>

# %%
meant = (quantise(x, scale, zero).float() - zero) * scale
ours.maps({"values": x[0, 0], "what your codes mean": meant[0, 0]})

# %% [markdown]
# ## 2 · Weights: one step, or one for each channel
# Before anything else a runtime multiplies batch normalisation into the convolution before it. That makes channels
# unequal: below, the first convolution of the network. The largest channel is ten times the smallest.

# %%
first = segmenter.model.backbone.stage1
weight = ours.folded(first.conv, first.bn)  # (32, 3, 3, 3)
ours.channel_steps(weight)

# %% [markdown]
# ### Exercise 17.3 · One step per channel   ●●●○○ · 8 minutes
# Weights lie around zero, so their zero point is 0 and the codes go from −127 to 127. Each output channel gets its own
# step: its largest absolute weight is 127 steps. Give the codes (int8) and the steps (out,). Weights are
# (out, C, k, k).


# %% tags=["exercise"]
def weight_codes(weight):
    """(out, C, k, k) → (codes int8 of the same shape, steps (out,))."""
    ### BEGIN SOLUTION
    scales = weight.flatten(1).abs().amax(1) / 127
    return (weight / scales.view(-1, 1, 1, 1)).round().to(torch.int8), scales
    ### END SOLUTION


# %% tags=["check"]
some = torch.randn(
    4, 3, 3, 3, generator=torch.Generator().manual_seed(0)
) * torch.tensor([1, 3, 0.1, 9]).view(4, 1, 1, 1)
weight_codes = course.check(
    weight_codes,
    ours.weight_codes,
    course.case(torch.tensor([127, -60.75, 12.5, -25.5]).view(2, 1, 1, 2)),
    course.case(some),
    course.case(-some[:2, :, :1, :1].abs()),
    exercise="17.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *answer[1] is one number or has another shape*: `weight.flatten(1)` has one row per output channel.
# - *only negative weights*, or a step too small: take `abs()` first.
# - *-60 instead of -61*: round, then change the type; the type alone cuts the fraction off.
# - *sizes do not match*: give the steps the shape (out, 1, 1, 1) before you divide.
# - *numbers near −128 or wrong signs*: round before you change the type.
#
# </details>

# %%
codes, steps = weight_codes(weight)
one = weight.abs().max() / 127  # one step for the whole tensor
rounded = {
    "per tensor": (weight / one).round() * one,
    "per channel": codes.float() * steps.view(-1, 1, 1, 1),
}
for name, w in rounded.items():
    print(
        f"{name:12} error {float((w - weight).norm() / weight.norm()):.2%} "
        "of the weights"
    )
print(
    "the package's has the same:",
    torch.allclose(rounded["per channel"], quantise_weight(weight), atol=1e-6),
)

# %% [markdown]
# ## 3 · One convolution in integers
# Put $x = S_x(q_x - Z)$ and $w = S_w q_w$ into a sum of products; the steps come out of it:
#
# $$\sum x w = S_x S_w \sum (q_x - Z)\, q_w$$
#
# All that is left inside are integers. That is the whole gain: a CPU with the right instructions multiplies four times as
# many bytes at once as floats.
#
# ### Exercise 17.4 · A convolution in integers   ●●●○○ · 12 minutes
# Compute it: `torch.nn.functional.conv2d` on the integers (as `double`, which holds them exactly), then the steps; each
# output channel has its own $S_w$. Mind the border: `padding` adds zeros, and the *code* 0 does not mean the value 0.


# %% tags=["exercise"]
def conv_int8(codes, scale, zero, w_codes, w_scales, stride=1, padding=0):
    """codes (N, C, …) uint8, w_codes (out, C, k, k) int8 → (N, out, …) double"""
    ### BEGIN SOLUTION
    centred = codes.double() - zero
    sums = torch.nn.functional.conv2d(
        centred, w_codes.double(), stride=stride, padding=padding
    )
    return sums * (scale * w_scales.double()).view(1, -1, 1, 1)
    ### END SOLUTION


# %% tags=["check"]
random = torch.Generator().manual_seed(1)
bytes_ = torch.randint(0, 256, (2, 3, 6, 7), generator=random, dtype=torch.uint8)
w_bytes = torch.randint(-127, 128, (4, 3, 3, 3), generator=random, dtype=torch.int8)
w_steps = torch.tensor([0.1, 0.02, 0.3, 0.004])
conv_int8 = course.check(
    conv_int8,
    ours.conv_int8,
    course.case(bytes_, 0.02, 0, w_bytes, w_steps),
    course.case(bytes_, 0.02, 85, w_bytes, w_steps),
    course.case(bytes_, 0.02, 85, w_bytes, w_steps, stride=2),
    course.case(bytes_, 0.02, 85, w_bytes, w_steps, padding=1),
    course.case(bytes_, 0.02, 85, w_bytes, w_steps, stride=2, padding=1),
    exercise="17.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *only the case with padding differs*: you padded codes and took the zero point off afterwards. Take it off first:
#   then the zeros at the border mean 0.
# - *numbers wrap, or "uint8"*: `codes - zero` in bytes has no negative numbers. `double()` first.
# - *each channel wrong by a factor*: the steps of the weights belong to dimension 1, (1, out, 1, 1).
#
# </details>

# %%
wanted = torch.nn.functional.conv2d(x, weight, stride=2, padding=1)
scale, zero = scale_and_zero(float(x.min()), float(x.max()))
got = conv_int8(
    quantise(x, scale, zero),
    scale,
    zero,
    *weight_codes(weight),
    stride=2,
    padding=1,
)
error = (got - wanted).abs()

# %%
print(
    f"largest value {float(wanted.abs().max()):.2f}, "
    f"largest error {float(error.max()):.3f}"
)
ours.maps(
    {
        "float": wanted[0, 3],
        "int8": got[0, 3].float(),
        "error × 20": 20 * error[0, 3].float(),
    }
)

# %% [markdown]
# One layer loses next to nothing. All 49 in a row?
#
# ## 4 · Where the ranges come from
# The ranges of maps come from **calibration images**. `ours.eight_bits` now runs the whole network with *your* three
# functions, and only the images change. To compare, a number per class is needed.
#
# ### Exercise 17.5 · Class by class   ●●○○○ · 8 minutes
# `expected` and `got` are class maps of one shape. For every class that covers at least the share `least` of
# `expected`: the IoU of its two areas. Give {class id: IoU}.


# %% tags=["exercise"]
def alike(expected, got, least=0.001):
    """{class id: IoU of the areas that the two maps give to it}."""
    ### BEGIN SOLUTION
    found = {}
    for k in np.unique(expected):
        a, b = expected == k, got == k
        if a.mean() >= least:
            found[int(k)] = float((a & b).sum() / (a | b).sum())
    return found
    ### END SOLUTION


# %% tags=["check"]
alike = course.prove(
    alike,
    ours.alike,
    ours.tells_every_class,
    ours.leaves_out_small_classes,
    ours.gives_the_iou,
    exercise="17.5",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Class 4 is in got alone*: go over the classes of `expected`.
# - *Class 9 … is lost in got*: its IoU is 0, and it must be told.
# - *least=…*: the share of `expected`, not of the union.
#
# </details>

# %% [markdown] tags=["predict"]
# **Predict.** Six sets: training streets; one single street; streets at night; in dense fog; random noise; four patches
# of sky, enlarged. Test images are streets by day. Which sets ruin the network?
#
# <details><summary>Answer</summary>
#
# In the full run only the sky does. Night, fog, one street and even noise drive every channel through nearly its whole
# range; 99 % of the pixels keep their class. The sky has no edge and no contrast. Channels that answer to thin things stay
# nearly silent, their ranges become narrow, and on a street they are cut off. 92 % of all pixels keep their class; of
# Pole less than half is left.
#
# </details>

# %%
frames = [frame for frame, _ in scenes]
some = frames[: lesson.pick(12, 9)]
expected = np.stack([segmenter.predict(frame) for frame in some])
classes, same = {}, {}

# %%
for name, images in sets.items():
    with ours.eight_bits(
        segmenter, ours.input_ranges(segmenter, images), scale_and_zero, quantise,
        weight_codes,
    ):  # fmt: skip
        got = np.stack([segmenter.predict(frame) for frame in some])
    classes[name], same[name] = (
        alike(expected, got), float((got == expected).mean()))  # fmt: skip
    worst = min(classes[name], key=classes[name].get)
    print(
        f"{name:20} {same[name]:6.1%} of all pixels, "
        f"worst {scenes.table.names[worst]} {classes[name][worst]:.0%}"
    )
ours.mean_and_classes(classes, same, scenes.table.names)

# %% [markdown]
# A mean over pixels is a mean over road, sky and houses. The dots tell who pays. (The mIoU notices too, but does not
# say who.) A camera that lies on a table while it is calibrated sees such pictures.
#
# ## 5 · The package's tools
# `compile` writes a file for a runtime and opens it again. What is not installed is left out, with a line that says
# what to do; the lesson goes on with what is there.

# %%
images = calibration_images(
    segmenter, size, count=lesson.pick(64, 4), progress=False
)
wanted = lesson.pick(
    ["onnx fp32", "onnx int8", "openvino fp32", "openvino int8"],
    ["onnx fp32", "openvino int8"],
)
built = ours.build(segmenter, wanted, size, images)
sky = ours.build(segmenter, ["onnx int8"], size, sets["four patches of sky"])
for name, artefact in built.items():
    print(
        f"{name:14}{ours.megabytes(artefact):6.1f} MB, "
        f"{artefact.about['graphs']['labels']['dtypes']}"
    )

# %% [markdown]
# The numbers behind the type say how many operations *really* run in it. Is it still the same network? `check_parity`
# asks for pixels, mIoU and every class. Its limits for int8: 10 % of the pixels, one point of mIoU, half of each
# class.

# %%
for name, artefact in {
    **built,
    **{f"{name}, sky": a for name, a in sky.items()},
}.items():
    parity = check_parity(artefact, segmenter)
    print(
        f"{name:15} other class {parity.disagreement:6.2%}, "
        f"{'passed' if parity.passed else 'REFUSED'}, {parity.worst}"
    )
    if not parity.passed:
        print("   ", ", ".join(parity.exceeded))

# %% [markdown]
# Read the last one: its mean over the pixels is inside the limit. Classes refuse it. `edgeseg export` makes the same
# check, and keeps a refused artefact apart. Now the times, in turns, with your functions
# of lesson 16, pixels to classes.

# %%
runs = {"eager fp32": partial(segmenter.predict, image)}
runs |= {name: partial(artefact, image) for name, artefact in built.items()}


def clock():
    return 1000 * time.perf_counter()


take_turns(runs, lambda: None, clock, lesson.pick(10, 1))  # warm-up
times = take_turns(runs, lambda: None, clock, lesson.pick(30, 3))
timing.rounds(times, "eager fp32")

# %% [markdown]
# All runtimes share one process here, so this is a first look. `edgeseg bench` gives each its own. Its log of 360×480 on
# two cores of a server says:

# %%
logged = timing.log_rounds(find_log("bench_cpu.json"), (360, 480), "e2e")
for name, found in logged.items():
    low, median, high = speed_up(logged["eager fp32"], found)
    print(
        f"{name:24}{np.median(found):5.1f} ms, "
        f"{median:.2f} times as fast ({low:.2f} to {high:.2f})"
    )

# %% [markdown]
# ## 6 · Without edgeseg
# An ONNX file needs neither PyTorch nor this package where it runs. It carries its classes, its size and its names
# along. Every import stands inside, so that you can copy this function into an empty file. (onnxruntime reports to its
# makers; `ORT_DISABLE_TELEMETRY=1` in the environment, set before the import, stops that. The package does so.)


# %%
def segment(model, picture):
    """A picture's class ids (H, W) and all names, without PyTorch and edgeseg."""
    import json

    import numpy as np
    import onnxruntime
    from PIL import Image

    session = onnxruntime.InferenceSession(
        model, providers=["CPUExecutionProvider"])  # fmt: skip
    about = session.get_modelmeta().custom_metadata_map
    height, width = json.loads(about["size"])
    rgb = Image.open(picture).convert("RGB").resize(
        (width, height), Image.Resampling.BILINEAR)  # fmt: skip
    pixels = np.asarray(rgb).transpose(2, 0, 1)[None]  # (1, 3, H, W) uint8
    (labels,) = session.run([about["output_name"]], {about["input_name"]: pixels})
    return labels[0].astype(np.uint8), json.loads(about["classes"])


# %%
if "onnx fp32" in built:
    with tempfile.TemporaryDirectory() as folder:
        artefact = built["onnx fp32"].save(Path(folder) / "street")
        alone, names = segment(
            str(artefact / "labels.onnx"), ours.save_frame(image, Path(folder))
        )
    print(
        f"{(alone == mask).mean():.2%} of the pixels as in PyTorch; "
        f"classes: {', '.join(names)}"
    )

# %% [markdown]
# What goes wrong most: BGR for RGB, no transposition, pixels normalised twice. None of them is an error message
# ([the traps, measured](../docs/onnx.md)).
#
# ## 7 · What to ship
# Every row is one file: time, mIoU on the same scenes, the worst class beside the float network, size.

# %%
everyone = {"eager fp32": segmenter.predict, **built}
expected = np.stack([segmenter.predict(frame) for frame in frames])
weights = 4 * sum(p.numel() for p in segmenter.model.parameters()) / 1e6
rows = []

# %%
for name, predict in everyone.items():
    found, got = (
        score(predict, scenes, progress=False),
        np.stack([predict(frame) for frame in frames]),
    )
    figures = {
        "ms": float(np.median(times[name])),
        "miou": 100 * found.miou,
        "worst": min(alike(expected, got).values()),
    }
    people = 100 * found.per_class_iou[scenes.table.names.index("Pedestrian")]
    mb = ours.megabytes(built[name]) if name in built else weights
    rows.append({"name": name, **figures, "pedestrian": people, "megabytes": mb})
ours.size_and_time(rows, 1000 / 30)

# %% [markdown]
# ### Exercise 17.6 · Choose what to ship   ●●○○○ · 8 minutes
# Write the rule of a team that must answer for it. Of all `rows` that take at most `frame` ms, and of whose worst class
# at least half is as in float (`worst`, 0…1), ship the one with the highest `miou`; give its `name`. If no row is
# allowed, `None`.


# %% tags=["exercise"]
def ship(rows, frame):
    """The name of the row to ship, or None; a row has name, ms, miou, worst."""
    ### BEGIN SOLUTION
    fit = [row for row in rows if row["ms"] <= frame and row["worst"] >= 0.5]
    return max(fit, key=lambda row: row["miou"])["name"] if fit else None
    ### END SOLUTION


# %% tags=["check"]
ship = course.prove(
    ship,
    ours.ship,
    ours.is_fast_enough,
    ours.overlooks_nobody,
    ours.is_the_best_of_the_rest,
    ours.says_none_where_none_is_allowed,
    exercise="17.6",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - First those that are allowed (a list), then the best of them: `max(fit, key=lambda row: row["miou"])`.
# - *"max() … empty"*: `max` of nothing is an error. Ask first.
#
# </details>

# %%
for row in rows:
    print(
        f"{row['name']:14}{row['ms']:7.1f} ms, mIoU {row['miou']:.1f}, "
        f"worst class {row['worst']:.0%}"
    )
chosen = ship(rows, 1000 / 30)
print(
    "30 frames a second:",
    chosen
    or "none of these on this machine; at 10 a second " + str(ship(rows, 100)),
)

# %% [markdown]
# ## 8 · The same street
# In the middle an 8-bit network calibrated on streets; on the right the one of the beginning.

# %%
final = next((a for name, a in built.items() if "int8" in name), None)
if final is None:  # no runtime is installed: your own eight bits
    with ours.eight_bits(
        segmenter, ours.input_ranges(segmenter, images), scale_and_zero, quantise,
        weight_codes,
    ):  # fmt: skip
        cured = segmenter.predict(image)
else:
    cured = final(image)
print(f"{(cured == mask).mean():.1%} of the pixels as in float")
drawn = {"float": mask, "8 bits, from streets": cured, "8 bits, from sky": lost}
drawn = {name: colorize(ids, scenes.table) for name, ids in drawn.items()}
with_legend(picture_row(drawn), scenes.table)

# %% [markdown]
# Cured: post and person are back, in a file of a quarter of the size. Whether int8 is *faster* is the processor's doing
# as well: it needs instructions for it (VNNI). The log above says one machine's answer, the table yours.

# %%
row = rows[-1]
figures = {k: row[k] for k in ("miou", "pedestrian", "megabytes")}
course.board(
    f"Cross-CBAM-M, {row['name']}, {size[0]}×{size[1]}",
    milliseconds=row["ms"],
    **figures,
)
course.progress()

# %% [markdown]
# **In five lines**
# 1. 8 bits are a step and a zero point; the value 0 has a code of its own.
# 2. Weights: one step per output channel. Maps: one range per tensor, from calibration images.
# 3. A convolution in integers is exact; what is lost is lost in rounding and cutting off.
# 4. Calibrate on what the network will see. Judge every class, not the mean of the pixels.
# 5. A runtime's file needs neither PyTorch nor edgeseg; beside its time stands *its own* mIoU.
#
# <details><summary>Five review questions</summary>
#
# 1. *Why is a step per channel free of cost?* It multiplies after the sum, once per output.
# 2. *Why not a step per channel for maps, too?* Then it would stand inside the sum over channels, and the sum would
#    not be one of integers.
# 3. *A range twice as wide as needed: what is lost?* One bit.
# 4. *95 % of the pixels are as before. What do you ask?* Of which classes were the other 5 %?
# 5. *int8 is slower than float on some board. How can that be?* Layers without an int8 kernel go back to float, and
#    each way back costs time.
#
# </details>
#
# **Beyond.** Calibrate on night streets and test at night. · Keep one layer in float (`keep=("classifier",)` of `compile`):
# what does it bring, what does it cost? · `edgeseg.deploy.quantise.sensitivity` asks every layer.
#
# **Papers.** Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
# Inference*, CVPR 2018 · Nagel et al., *A White Paper on Neural Network Quantization*, 2021.
#
# **Next.** Lesson 18: a GPU's compiler, Torch-TensorRT.
