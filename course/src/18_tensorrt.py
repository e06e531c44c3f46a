# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 18 · Torch-TensorRT
# At the end you can tell from a graph, without a GPU, whether TensorRT will compute in half precision, whether it will
# take the network in one piece, and what you may carry to another board.
#
# **70 minutes to work through** · 0.6 min of computing on two CPU cores · 1.2 GB of memory · data: rendered scenes, no download · needs lesson 06, 17 · 5 exercises

# %% tags=["setup"]
import inspect
from collections import Counter

import torch
from torch import Tensor, nn

from edgeseg import course
from edgeseg.course.lessons import lesson_18 as ours
from edgeseg.course.lessons.lesson_05 import picture_row
from edgeseg.data.streets import Streets
from edgeseg.deploy.fp16 import fp16_report
from edgeseg.deploy.runtimes import get_runtime
from edgeseg.inference import load_segmenter
from edgeseg.models import layers
from edgeseg.plots import colorize, with_legend

lesson = course.begin("18", version="0.1")

# %% [markdown]
# > **Read, not run, without a GPU.** TensorRT needs an NVIDIA GPU. No engine was built where this course was written:
# > no speed of one is printed here. Everything up to the engine runs on any machine, and that is where the mistakes
# > are made. The last section runs for real where there is a GPU.
#
# The whole network is the subject:

# %%
course.network_map("all")

# %% [markdown]
# ## Where we are
# Lesson 17 made the network several times faster on a CPU. A Jetson has a GPU, and NVIDIA's compiler for it is
# TensorRT. It takes a graph and makes an **engine**: machine code for one GPU. Torch-TensorRT is the bridge from
# PyTorch: `torch.export` turns a module into a graph, a **converter** translates each of its operations, and a
# partitioner puts as many of them as it can into each engine.

# %%
segmenter = load_segmenter("cross_cbam_m.streets")
network = segmenter.model
example = torch.zeros(1, 3, *lesson.pick((288, 384), (96, 128)))
steps = ours.steps_of(ours.export(network, example))
weights = sum(p.numel() for p in network.parameters()) * 4 / 1e6
road = [
    ("the network", f"{weights:.0f} MB"),
    ("exported graph", f"{len(steps)} steps"),
]
ours.road_to_engine([*road, ("engine", "for one GPU"), ("mask", "30 a second?")])

# %% [markdown]
# A step has a name, an operation, its parents, and the type of the numbers that it gives:

# %% tags=["nbval-check-output"]
for step in steps[:4]:
    print(
        f"{step.name:14} {step.operation:12} {step.gives:9} "
        f"from {', '.join(step.parents) or 'the input'}"
    )
for operation, count in Counter(step.operation for step in steps).most_common():
    print(f"{count:4} × {operation}")

# %% [markdown]
# ## The papers
# | | Cross-CBAM, 4.2 | Improved HRNet | here |
# |---|---|---|---|
# | way to the device | ONNX, TensorRT 8.2 | none | ONNX, or Torch-TensorRT |
# | device | GTX 1080 Ti | RTX 3090, training | yours |
# | number type | **not given** | **not given** | read from the graph |
# | what is timed | batch 1; copies not said | FLOPs only | *net* and *e2e*, lesson 16 |
#
# **What the papers do not say, and what we chose.** A speed without its number type is half a number. Here the type is
# never what somebody asked for: it is counted in the graph that was compiled.

# %% [markdown] tags=["predict"]
# **Predict.** You call version 2.14 as a tutorial for 2.9 does:
#
# ```python
# torch_tensorrt.dynamo.compile(program, inputs, enabled_precisions={torch.half})
# ```
#
# It returns an engine, without a warning. In which type does the engine compute?
#
# <details><summary>Answer</summary>
#
# In float32. 2.8 and 2.9 honour the option, 2.10 to 2.12 refuse it, 2.13 and 2.14 swallow it: `compile` ends in
# `**kwargs`, and whatever it does not know is dropped without a word. (Read in the packages' source, and 2.14 tried.)
# The benchmark that follows is labelled FP16, and is wrong.
#
# </details>

# %% [markdown]
# ## 1 · Which type?
# ### Exercise 18.1 · Types in a graph   ●●○○○ · 8 minutes
# Half precision halves what is moved and is what a GPU's matrix units want. So count where the work is: among a graph's
# steps take those whose operation is `conv1d`, `conv2d`, `linear` or `matmul`, and return how many give which type, for
# example `{"float16": 49}`.


# %% tags=["exercise"]
def multiplying_types(steps):
    """{type: how many convolutions and matrix products give it}, of a graph."""
    ### BEGIN SOLUTION
    multiplying = ("conv1d", "conv2d", "linear", "matmul")
    given = [step.gives for step in steps if step.operation in multiplying]
    return dict(Counter(given))
    ### END SOLUTION


# %% tags=["check"]
multiplying_types = course.prove(
    multiplying_types,
    ours.multiplying_types,
    ours.counts_what_multiplies,
    ours.counts_no_others,
    ours.adds_up,
    ours.counts_a_graph,
    exercise="18.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a graph of one relu*: you count every step. Look at `step.operation` first.
# - *a graph of relu and linear*: `linear` multiplies, too.
# - *AttributeError*: a step has `.operation` and `.gives`; both are words.
#
# </details>

# %% [markdown]
# Asked in words, the network below is "half". Asked by its graph, one of the two is:

# %% tags=["nbval-check-output"]
asked = ours.export(
    network, example
)  # and enabled_precisions={torch.half} for the compiler
half = ours.export(
    load_segmenter("cross_cbam_m.streets").model.half(), example.half()
)
print("asked by an option:", multiplying_types(ours.steps_of(asked)))
print("model.half():      ", multiplying_types(ours.steps_of(half)))

# %% [markdown]
# TensorRT 11 is *strongly typed*: it computes in the graph's own types and in no others. So `model.half()` with half
# inputs is the way, in all versions, and the count above is the proof. `edgeseg export --precision fp16` does both.

# %% [markdown]
# ## 2 · Options that nobody reads
# Two stand-ins have the signatures that matter of 2.9 and 2.14. They build nothing: they return the type that an engine
# of theirs would have.

# %% tags=["nbval-check-output"]
for build in (ours.compile_2_9, ours.compile_2_14):
    print(f"{build.__name__}({', '.join(inspect.signature(build).parameters)})")
    print(
        "  asked for half, gives", build("a graph", enabled_precisions={"float16"})
    )

# %% [markdown]
# ### Exercise 18.2 · A call that refuses   ●●●○○ · 12 minutes
# Write `call_checked(build, *args, **options)`: it calls `build` with both and returns what that returns. But an option
# that the signature of `build` does not *name* raises a `TypeError` with its name, before anything is built.
# `inspect.signature(build).parameters` is a dictionary by name.


# %% tags=["exercise"]
def call_checked(build, *args, **options):
    """Call `build`; a TypeError names an option that it would swallow."""
    ### BEGIN SOLUTION
    known = inspect.signature(build).parameters
    swallowed = [name for name in options if name not in known]
    if swallowed:
        raise TypeError(f"{build.__name__} would ignore {', '.join(swallowed)}")
    return build(*args, **options)
    ### END SOLUTION


# %% tags=["check"]
call_checked = course.prove(
    call_checked,
    ours.call_checked,
    ours.hands_on_what_is_known,
    ours.refuses_what_is_swallowed,
    ours.refuses_before_building,
    exercise="18.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *you return None*: hand back what `build` returns.
# - *lets it through*: a builder with `**kwargs` takes everything; ask its signature, not the builder.
# - *the builder was called all the same*: look for unknown names first, then call.
# - *the error should name…*: put the option's name into the message.
#
# </details>

# %%
try:
    call_checked(ours.compile_2_14, "a graph", enabled_precisions={"float16"})
except TypeError as error:
    print("TypeError:", error)

# %% [markdown]
# ## 3 · A street in half
# Half precision has numbers up to 65,504 and about three decimal digits. Is that enough? Here is a street in float32
# and in half. And a third network: its last maps are 100,000 times as large and its classifier 100,000 times smaller.
# In exact arithmetic that is the same network.

# %%
scenes = Streets("test", n=8, size=lesson.pick((288, 384), (96, 128)))
image, truth = scenes[2]
exact = ours.predict_in(segmenter, image, torch.float32)
in_half = ours.predict_in(segmenter, image, torch.float16)
stretched = ours.stretched(segmenter, 1e5)
masks = {"frame": image, "float32": exact, "half": in_half}
masks |= {
    f"stretched, {t}": ours.predict_in(stretched, image, getattr(torch, t))
    for t in ("float32", "float16")
}
drawn = {
    k: m if m.ndim == 3 else colorize(m, scenes.table) for k, m in masks.items()
}
with_legend(picture_row(drawn), scenes.table, void=True)

# %%
for name in ("half", "stretched, float32", "stretched, float16"):
    other, lost = (masks[name] != exact).sum(), (masks[name] == 255).sum()
    print(
        f"{name:19} {other:7,} of {exact.size:,} pixels have another class, "
        f"{lost:,} of them none at all"
    )

# %% [markdown]
# Black is void: no finite score. So "FP16 is safe" is no property of a type, it is one of a network **and** its weights.
# `fp16_report` runs the graph in both types over your own images and shows which values come nearest to the limit:

# %%
small = Streets("test", n=8, size=lesson.pick((192, 256), (64, 96)))
report = fp16_report(segmenter, [small[2][0]])
print(report.table(rows=5))
print("safe" if report.passed else "not safe", "on this one image")

# %% [markdown]
# The largest value lies well below the limit. Where it does not, bf16 is the way out: float32's range, two
# or three digits.
#
# ## 4 · In one piece?
# An operation without a converter stays in PyTorch. The engine ends before it, another begins after it, and between
# them maps travel. PyTorch's global max pool, `nn.AdaptiveMaxPool2d`, is such an operation. The package avoids it; put it
# back, and look.

# %% tags=["nbval-check-output"]
split = ours.steps_of(
    ours.export(ours.with_pools(network, ours.SplitMaxPool), example)
)
supported = {step.operation for step in steps}
outside = Counter(
    step.operation for step in split if step.operation not in supported
)
print("without a converter:", dict(outside))

# %% [markdown]
# That every operation of the unchanged graph has one is shown in the repository without a GPU: `make coverage` runs
# Torch-TensorRT's own registry, validators and partitioner on it.
#
# ### Exercise 18.3 · How many engines   ●●●●○ · 18 minutes
# Four pools: five engines? No: two pools that both only wait for the same engine leave together. Give each step a
# **level**:
#
# - a step without parents: 0;
# - else the largest over its parents of the parent's level, plus 1 for a parent that is not supported.
#
# All supported steps of one level fit into one engine. Return how many levels hold a supported step. `supported` is a
# set of operations; `step.parents` are names, and every parent stands before its step in the list.


# %% tags=["exercise"]
def engines(steps, supported):
    """Number of engines of a graph; `supported`: operations with a converter."""
    ### BEGIN SOLUTION
    known = {step.name: step for step in steps}
    level = {}
    for step in steps:
        parents = [known[name] for name in step.parents]
        before = [level[p.name] + (p.operation not in supported) for p in parents]
        level[step.name] = max(before, default=0)
    return len({level[step.name] for step in steps if step.operation in supported})
    ### END SOLUTION


# %% tags=["check"]
engines = course.prove(
    engines,
    ours.engines,
    ours.counts_levels,
    ours.leaves_out_empty_levels,
    ours.shares_levels,
    ours.takes_the_largest,
    exercise="18.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *Two odd steps in a row*: a level that holds no supported step is no engine. Count levels of supported steps only.
# - *Two branches*: you count pieces along the list. A level is a property of the parents.
# - *the largest decides*: `max` over all parents, whatever their order.
# - *ValueError: max() of an empty sequence*: a step without parents; `max(…, default=0)`.
# - *Two odd steps and nothing else*: then there is no engine at all.
# - *AttributeError of a parent*: a parent is a name. `{step.name: step for step in steps}` finds its step.
#
# </details>

# %% tags=["nbval-check-output"]
print("as the package has it:  ", engines(steps, supported), "engine")
print("with AdaptiveMaxPool2d: ", engines(split, supported), "engines")

# %% [markdown]
# Torch-TensorRT's own partitioner finds the same two numbers (`make coverage`, the test with the split pool). The four
# orange steps below lie between three engines:

# %%
ours.engine_map(split, supported)

# %% [markdown]
# ### Exercise 18.4 · Find what splits   ●●○○○ · 8 minutes
# Here is the block that split the graph:
#
# ```python
# class GlobalMaxPool(nn.Module):
#     def __init__(self):
#         super().__init__()
#         self.pool = nn.AdaptiveMaxPool2d(1)
#
#     def forward(self, x):
#         return self.pool(x)
# ```
#
# Repair it: the same numbers and the same shape, (N, C, H, W) → (N, C, 1, 1), and no operation that ends an engine.
# `torch.max(x, dim)` gives values *and places*; TensorRT's converters take neither the pool nor the places.


# %% tags=["exercise", "build"]
class GlobalMaxPool(nn.Module):
    """Maximum over height and width: (N, C, H, W) → (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return x.amax((2, 3), keepdim=True)
        ### END SOLUTION


# %% tags=["check"]
GlobalMaxPool = course.prove(
    GlobalMaxPool,
    layers.GlobalMaxPool,
    ours.gives_the_maxima,
    ours.has_converters,
    exercise="18.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *its graph holds max*: `x.max(3).values` still computes the places. `amax` does not.
# - *the shape should be (2, 3, 1, 1)*: keep the two dimensions: `keepdim=True`.
# - *max_pool2d*: a pool of the map's size is a pool, and knows one size only.
#
# </details>

# %% tags=["nbval-check-output"]
repaired = ours.steps_of(
    ours.export(ours.with_pools(network, GlobalMaxPool), example)
)
print("with the block of 18.4:", engines(repaired, supported), "engine")

# %% [markdown]
# ## 5 · What may travel
# An engine is built on your PC. Its description, which `edgeseg export` writes beside it:
#
# | | on the PC | on the board |
# |---|---|---|
# | GPU | NVIDIA GeForce RTX 3090 | Orin |
# | TensorRT | 11.1 | 10.3 |
# | torch-tensorrt | 2.14.0 | 2.8.0 |
# | hardware_compatible | False | |
#
# `hardware_compatible=True` makes an engine of one version of TensorRT that runs on all desktop GPUs from Ampere on.
#
# ### Exercise 18.5 · What to ship   ●●○○○ · 5 minutes
# The board shall run the same network. Return the letter of what you carry over:
#
# - `"a"`: the engine's file, as it is;
# - `"b"`: the engine, built again on the PC with `hardware_compatible=True`;
# - `"c"`: the weights or the ONNX file, and the engine is built on the board;
# - `"d"`: the engine's file, and the PC's PyTorch version for the board.


# %% tags=["exercise"]
def to_ship():
    """One of "a", "b", "c", "d"."""
    ### BEGIN SOLUTION
    return "c"
    ### END SOLUTION


# %% tags=["check"]
to_ship = course.choose(to_ship, ours.WHAT_TO_SHIP, exercise="18.5")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - An engine holds machine code for one GPU, written by one version of TensorRT.
# - Weights and ONNX files hold numbers and names of operations; they belong to no machine.
#
# </details>

# %% [markdown]
# ## 6 · For real, where there is a GPU
# The next cell asks this machine. Where it can, it compiles the network in half and proves that the masks are the same;
# building takes minutes. Where it cannot, it says why.

# %%
runtime = get_runtime("tensorrt")
reason = runtime.why_not("fp16")
if reason:
    print("not here:", reason)
else:
    from edgeseg.deploy import compile as build

    artefact = build("cross_cbam_m.streets", "tensorrt", "fp16", size=(512, 1024))
    print(artefact)

# %% [markdown]
# On a board the three commands are those of [the Jetson page](../docs/jetson.md), which says of every line whether it
# was measured, read or untested. The mission's board keeps waiting for your device:

# %%
course.board()

# %% [markdown]
# ## The end
# The tools of this lesson, `call_checked`, `multiplying_types` and `engines`, are what the package's TensorRT runtime
# does before it lets an engine be built; `prove` has held yours to the same properties.
#
# **In five lines**
# 1. A number type is read from the graph, never from the option that asked for it.
# 2. Versions swallow options: a call should refuse what the signature does not name.
# 3. Half is safe for a network and its weights on given images, or it is not; the largest value says how far.
# 4. One operation without a converter splits an engine; levels over the graph say into how many.
# 5. An engine belongs to one GPU and one TensorRT. Weights and graphs travel.
#
# <details><summary>Five review questions</summary>
#
# 1. *A table says "FP16: 1.0× the FP32 speed". What do you ask first?* The types in the compiled graph.
# 2. *Why does `**kwargs` make a function dangerous?* A misspelt or removed option is taken and dropped.
# 3. *The stretched network is equal in float32 to the last pixel. How can half lose it?* A value above 65,504 is
#    infinite in half, and infinity minus infinity is no number.
# 4. *Two unsupported operations stand in a row. How many engines more?* One: nothing supported lies between them.
# 5. *Why is a proof "one engine" worth little without the split pool?* A test that cannot fail proves nothing.
#
# </details>
#
# **Beyond.** Export HRNet_L at width 18 and count its types and levels. Keep one convolution of the stretched network in
# float32: which one saves the street, and what does `multiplying_types` then say?
#
# **Sources.** Torch-TensorRT 2.8 to 2.14 (signatures read in the packages' source); NVIDIA, *TensorRT documentation*, on
# strong typing and hardware compatibility; Zhang et al., *Cross-CBAM*, section 4.2.
#
# **Next.** Lesson 19 puts a camera in front, and asks where the milliseconds go.
