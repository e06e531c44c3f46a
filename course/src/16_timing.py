# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 16 · Timing honestly
# At the end you have a timer that is hard to fool, a time of your network that you can defend, and you know how much a
# faster runtime could still save.
#
# **75 minutes to work through** · 1 min of computing on two CPU cores · 1.2 GB of memory · data: rendered scenes, no download · needs lesson 00, 06 · 6 exercises

# %% tags=["setup"]
import time

import ipywidgets
import numpy as np
import torch
from torch import nn

from edgeseg import course
from edgeseg.bench.roofline import Peaks, measure_roofline
from edgeseg.course.lessons import lesson_16 as ours
from edgeseg.course.lessons.lesson_05 import picture_row
from edgeseg.course.lessons.lesson_08 import find_log
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.plots import colorize, with_legend

lesson = course.begin("16", version="0.1")

# %% [markdown]
# Nothing new is built today. The whole network is timed:

# %%
course.network_map("all")

# %% [markdown]
# ## Where we are
# The board asks for 30 frames a second: 33.3 ms for one. Lesson 00 left out the first calls and took the median. That
# was a beginning. Today three people time *one* network on *one* street, and all three are wrong.
#
# Everything here runs on the CPU. **No GPU was used for any number of this lesson.** All times are in milliseconds.

# %%
size = (288, 384)
image, truth = Streets("test", n=24, size=size)[9]
segmenter = load_segmenter("cross_cbam_m.streets")
net = segmenter.model
x = segmenter.normalise(
    torch.from_numpy(image).permute(2, 0, 1)[None]
)  # (1, 3, 288, 384)


def clock():
    """Milliseconds, from the finest clock that there is."""
    return 1000 * time.perf_counter()


def once(run):
    """What one call takes."""
    started = clock()
    run()
    return clock() - started


# %% [markdown]
# ## 1 · Three wrong times
# **A** loads the network, calls it once, and writes the time down. The bars are that call (orange) and the next ones.

# %%
with torch.inference_mode():
    calls = [once(lambda: net(x)) for _ in range(12)]
said = {"A: the first call": calls[0]}
ours.first_calls(calls)

# %% [markdown]
# The first call pays for what later calls find ready: memory, threads, the choice of kernels.
#
# **B** knows that. B makes twenty calls and takes the mean. Any numbers will do for a time, B thinks, and feeds random
# ones. But B forgets `net.eval()`: batch normalisation takes its statistics from the input, and the auxiliary head
# computes too.

# %% [markdown] tags=["predict"]
# **Predict.** B only measured. On test scenes the network had about 66 % mIoU. And after B's twenty calls?
#
# <details><summary>Answer</summary>
#
# About 22 % (24 scenes, noise of seed 0). In training mode each call also *updates* the running mean and variance of every batch normalisation.
# After twenty calls with noise they are those of noise. B's time is a little too long. B's network is ruined, and
# no error message says so.
#
# </details>

# %%
scenes = Streets("test", n=lesson.pick(24, 3), size=size)
before, mask = (
    score(segmenter.predict, scenes, progress=False),
    segmenter.predict(image),
)
noise = torch.randn(1, 3, *size)
net.train()
took = [once(lambda: net(noise)) for _ in range(20)]
net.eval()
said["B: training mode"] = float(np.mean(took))

# %%
after, ruined = (
    score(segmenter.predict, scenes, progress=False),
    segmenter.predict(image),
)
for name, found in (("before", before), ("after", after)):
    pedestrian = found.per_class_iou[scenes.table.names.index("Pedestrian")]
    print(
        f"{name:7} mIoU {found.miou:.1%}, Pedestrian {pedestrian:.1%}, "
        f"{len(scenes)} scenes"
    )

# %%
drawn = {
    "street": image,
    "before": colorize(mask, scenes.table),
    "after B's timing": colorize(ruined, scenes.table),
}
with_legend(picture_row(drawn), scenes.table)

# %% [markdown]
# The stopwatch has lost the people on this street. So a timer must put the network into evaluation mode, and put
# back what it found.
#
# **C** does all that, at 144×192, and writes the time beside the mIoU of 288×384. It happens wherever two tables are
# joined. A time belongs to one size, and the mIoU beside it must be of the same size.

# %%
segmenter = load_segmenter("cross_cbam_m.streets")  # B's network is thrown away
net = segmenter.model
small = nn.functional.interpolate(x, scale_factor=0.5, mode="bilinear")
with torch.inference_mode():
    said["C: half the size"] = float(
        np.median([once(lambda: net(small)) for _ in range(15)][5:])
    )
for name, ms in said.items():
    print(f"{name:20}{ms:8.1f} ms {1000 / ms:8.1f} frames a second")

# %% [markdown]
# Same network, same street, same machine. At the end of the lesson an honest time stands beside them.
#
# ## The paper
# Cross-CBAM, section 4.2 and Table 2: 240.9 frames a second for M at 512×1024.
#
# | the paper | here |
# |---|---|
# | FPS | `1000 / median` of milliseconds |
# | batch size of 1 | one street after the other |
# | 512 × 1024 | `size`, of the time and of the mIoU |
# | GTX 1080 Ti, TensorRT 8.2 | machine, threads, runtime, versions |
#
# <details><summary>What the paper does not say, and what we chose</summary>
#
# - Warm-up, number of calls, mean or median, spread: not said. The same network has 240.9 in one table and 241.1 in
#   another. That is 0.003 ms, and nobody can say whether it means anything.
# - FP16 or FP32: not said. Whether the copy, the resize and the argmax count: not said.
# - We give two numbers and never mix them. **net**: normalised tensor → logits. **e2e**: pixels → classes.
# - 50 calls and 3 s to warm up, 30 rounds in turns, median, p90, ratios formed inside each round.
#
# </details>

# %% [markdown]
# ## 2 · The clock that stops too early
# On a GPU a call *returns* before the work is done. The program hands work over; the device has a queue. We show this
# on a **make-believe machine** that computes nothing and whose every millisecond is known: 0.5 ms to hand over, 20 ms
# of work. The truth is 20.5 ms.

# %% tags=["nbval-check-output"]
gpu = ours.Machine({"net": 20.0}, launch=0.5, queue=True)
started = gpu.clock()
gpu.run()
print(f"{gpu.clock() - started:g} ms, {1000 / 0.5:.0f} frames a second")
gpu.wait()
ours.timeline(gpu, "the clock is read twice while the device has hardly begun")

# %% [markdown]
# PyTorch's name for `wait` on a GPU is `torch.cuda.synchronize`. The usual cure: wait before the second reading.
# Here it is, after three runs to warm up. A time has the unit of its clock; every clock of this course gives
# milliseconds.


# %% tags=["nbval-check-output"]
def given(run, wait, clock):
    """Milliseconds of one run. One line is missing."""
    started = clock()
    run()
    wait()
    return clock() - started


gpu = ours.Machine({"net": 20.0}, launch=0.5, queue=True)
for _ in range(3):
    gpu.run()
print(f"{given(gpu.run, gpu.wait, gpu.clock):g} ms")
ours.timeline(gpu, "three runs to warm up, one run timed")

# %% [markdown]
# ### Exercise 16.1 · Find the bug: the stopwatch   ●●○○○ · 6 minutes
# 79 ms for a run of 20.5. Look at the picture: what does the device do when the clock is read the first time? Write
# the repaired stopwatch.


# %% tags=["exercise"]
def stopwatch(run, wait, clock):
    """Milliseconds of one run, whatever was handed over before."""
    ### BEGIN SOLUTION
    wait()
    started = clock()
    run()
    wait()
    return clock() - started
    ### END SOLUTION


# %% tags=["check"]
from edgeseg.course.lessons import lesson_16_properties as held

stopwatch = course.prove(
    stopwatch,
    ours.stopwatch,
    held.waits_at_the_end,
    held.waits_at_the_start,
    held.runs_once,
    exercise="16.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *79 or 79.5*: earlier work is still in the queue when you read the clock. Empty the queue first.
# - *0.5*: you read the clock while the device works. Wait, then read.
# - *ran 2 times*: warming up is not the stopwatch's business.
#
# </details>

# %% tags=["nbval-check-output"]
gpu = ours.Machine({"net": 20.0}, launch=0.5, queue=True)
for _ in range(3):
    gpu.run()
print(f"{stopwatch(gpu.run, gpu.wait, gpu.clock):g} ms")
ours.timeline(gpu, "waits before both readings")

# %% [markdown]
# ## 3 · A timer
# ### Exercise 16.2 · A timer   ●●●○○ · 12 minutes
# Write `measure`. A, B and C tell what it must do:
#
# - `warm_up` runs that are not noted, then `calls` runs, each timed by itself with `stopwatch`; give their list.
# - All of them in evaluation mode and in `torch.inference_mode()`.
# - Afterwards `model.training` is what it was, also if a run raises an error (`try: … finally: …`).
#
# `run()` calls the network; `model` is there for its mode. On a CPU `wait` has nothing to do.


# %% tags=["exercise"]
def measure(model, run, wait, clock, warm_up=3, calls=20):
    """A list with the milliseconds of each of so many calls."""
    ### BEGIN SOLUTION
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for _ in range(warm_up):
                run()
            return [stopwatch(run, wait, clock) for _ in range(calls)]
    finally:
        model.train(mode)
    ### END SOLUTION


# %% tags=["check"]
measure = course.prove(
    measure,
    ours.measure,
    held.leaves_out_the_warm_up,
    held.times_each_call,
    held.runs_in_evaluation,
    held.puts_the_mode_back,
    exercise="16.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"One call, one number"*: the warm-up is in the list, or the list holds a mean.
# - *"time each call by itself"*: one stopwatch around all calls hides the one that was interrupted.
# - *"PyTorch kept all that a gradient needs"*: `with torch.inference_mode():` around warm-up and calls.
# - *"left in evaluation mode"*: `model.train(mode)` belongs into `finally`. A `finally` runs on `return`, too.
# - *"let the error pass"*: no `except`.
#
# </details>

# %% [markdown]
# Now the real network, twice: **net** ends with logits, **e2e** takes pixels and ends with class ids.


# %%
def nothing():
    """A CPU has no queue: when a call returns, its work is done."""


warm, many = lesson.pick((50, 50), (2, 4))
honest = {
    "net": measure(net, lambda: net(x), nothing, clock, warm, many),
    "e2e": measure(
        net, lambda: segmenter.predict(image), nothing, clock, warm, many
    ),
}
for name, ms in honest.items():
    p10, median, p90 = np.percentile(ms, (10, 50, 90))
    print(
        f"{name}: median {median:.1f} ms, "
        f"80 % between {p10:.1f} and {p90:.1f}, n = {len(ms)}"
    )

# %% [markdown]
# That is how a time is told: net or e2e, the median, the spread, n. Without them nobody can check it.
#
# ## 4 · A noisy machine
# Other programs run on your machine, too: mail, an update. Take the make-believe machine again, now without a
# queue. `old` takes 20 ms, `new` 16: it is 1.25 times as fast. Between 600 and 1200 ms a neighbour makes everything 1.5
# times as slow.

# %%
ours.neighbour()

# %% [markdown]
# Left: first 30 runs of `old`, then 30 of `new`, who meets the neighbour. "New is slower", 0.83, and every single time
# is true. Right: in turns. The neighbour hits both, and their *ratio* stays. Move the neighbour:

# %% tags=["slider"]
begin = ipywidgets.IntSlider(300, min=0, max=900, step=100, continuous_update=False)
factor = ipywidgets.FloatSlider(
    2.0, min=1, max=3, step=0.5, continuous_update=False
)


@ipywidgets.interact(begin=begin, factor=factor)
def move(begin, factor):
    return ours.neighbour(begin, begin + 600, factor)


# %% [markdown]
# ### Exercise 16.3 · In turns   ●●●○○ · 10 minutes
# `runs` is a dict: name → function. In each round every variant runs once, timed with `stopwatch`. Round 0 begins with
# the first variant, round 1 with the second, and so on in a circle: whoever is first pays for waking the threads, and
# that shall not always be the same one. Order: a b c · b c a · c a b · a b c …


# %% tags=["exercise"]
def take_turns(runs, wait, clock, rounds):
    """{name: [milliseconds of round 0, of round 1, …]}."""
    ### BEGIN SOLUTION
    names = list(runs)
    found = {name: [] for name in names}
    for r in range(rounds):
        first = r % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(stopwatch(runs[name], wait, clock))
    return found
    ### END SOLUTION


# %% tags=["check"]
take_turns = course.prove(
    take_turns,
    ours.take_turns,
    held.everyone_runs_in_each_round,
    held.each_round_begins_with_the_next,
    held.the_ratio_outlives_a_neighbour,
    exercise="16.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *"every variant once, then the next round"*: the loop over rounds is the outer one.
# - *"The rounds begin with ['a', 'a', …"*: `names[first:] + names[:first]` turns a list.
# - *IndexError or too few runs from round 3 on*: `r % len(names)`.
# - *The times are wrong*: `stopwatch(runs[name], wait, clock)`.
#
# </details>

# %% [markdown]
# ### Exercise 16.4 · Ratio and spread   ●●○○○ · 6 minutes
# How many times as fast is `other`? Form the ratio **inside each round**, reference over other, and give three numbers
# of these ratios: the 10th percentile, the median, the 90th (`np.percentile`). 80 % of the rounds lie between the outer
# two.


# %% tags=["exercise"]
def speed_up(reference, other):
    """(p10, median, p90) of the ratios; both are milliseconds by round."""
    ### BEGIN SOLUTION
    ratios = np.array(reference) / np.array(other)
    low, median, high = np.percentile(ratios, (10, 50, 90))
    return float(low), float(median), float(high)
    ### END SOLUTION


# %% tags=["check"]
speed_up = course.prove(
    speed_up,
    ours.speed_up,
    held.divides_in_each_round,
    held.gives_the_middle_80_per_cent,
    exercise="16.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *the ratio of the two medians*: it is not the median of the ratios. Divide round by round.
# - *turned round*: twice as fast means half the time.
# - *another percentile*, or *of the other end*: 10, 50, 90.
# - *sorted times*: sorting pairs the luckiest round of one with the luckiest of the other.
#
# </details>

# %% [markdown]
# Three real variants in turns. The second changes nothing but the order of the numbers in memory (`channels_last`: the
# channels of one pixel side by side). The logits are the same.

# %%
rows, last = x.contiguous(), x.contiguous(memory_format=torch.channels_last)
runs = {
    "net, row by row": lambda: net(rows),
    "net, channels_last": lambda: net(last),
    "e2e": lambda: segmenter.predict(image),
}
with torch.inference_mode():
    take_turns(runs, nothing, clock, lesson.pick(10, 1))  # warm-up
    times = take_turns(runs, nothing, clock, lesson.pick(30, 4))
ours.rounds(times, "net, row by row")

# %% [markdown]
# Read the bars: does 1 lie inside? Then these rounds do not decide. `predict` uses `channels_last`, so a whole **e2e**
# may even be faster than a part of it that is stored in another way. So say beside a time what exactly was timed.
#
# ## 5 · What is left?
# How fast *could* it be? Two limits hold on every machine: operations a second and bytes a second. Work waits for the
# slower of the two. That is the **roofline** (Williams et al., 2009).
#
# ### Exercise 16.5 · The least time   ●●○○○ · 6 minutes
# Given multiply-adds (`macs`, two operations each), bytes `moved`, and a machine's peaks in 1e9 operations and 1e9 bytes
# a second. Give the least time in ms, and `"arithmetic"` or `"memory"`: which of the two is the longer one.


# %% tags=["exercise"]
def least_time(macs, moved, gflops, gigabytes):
    """(milliseconds, "arithmetic" or "memory")."""
    ### BEGIN SOLUTION
    arithmetic = 1e3 * 2 * macs / (1e9 * gflops)
    memory = 1e3 * moved / (1e9 * gigabytes)
    longer = max(arithmetic, memory)
    return longer, "arithmetic" if arithmetic > memory else "memory"
    ### END SOLUTION


# %% tags=["check"]
least_time = course.prove(
    least_time, ours.least_time, held.takes_the_longer_one, exercise="16.5"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *half of it*: a multiply-add is two operations.
# - *seconds*: milliseconds are asked for.
# - *their sum*: arithmetic and memory work at the same time; the longer one decides.
#
# </details>

# %% [markdown]
# First this machine's two peaks, with your own timer: a large convolution, and a copy of 128 MB. For a peak the
# *fastest* call counts: a disturbance can only make a call longer.

# %%
height = 64 * torch.get_num_threads()
conv = nn.Conv2d(128, 128, 3, padding=1, bias=False).to(
    memory_format=torch.channels_last
)
maps = torch.randn(1, 128, height, 128).contiguous(
    memory_format=torch.channels_last
)
source, copy = torch.ones(1 << 25), torch.ones(1 << 25)
tries = lesson.pick(15, 3)

# %%
best_conv = min(measure(conv, lambda: conv(maps), nothing, clock, 2, tries))
best_copy = min(measure(conv, lambda: copy.copy_(source), nothing, clock, 2, tries))
gflops = 2 * 128 * 128 * 9 * height * 128 / best_conv / 1e6
gigabytes = 2 * 4 * (1 << 25) / best_copy / 1e6
print(
    f"{gflops:.0f} GFLOP/s, {gigabytes:.1f} GB/s: "
    f"below {gflops / gigabytes:.1f} operations a byte memory decides"
)

# %% [markdown]
# The package times every module of the network, and knows its multiply-adds and bytes. Each gets *your* least time.

# %%
peaks = Peaks({"fp32": gflops}, gigabytes, {}, torch.get_num_threads(), "cpu")
found = measure_roofline(net, size, "Cross-CBAM-M", peaks, runs=lesson.pick(20, 2))
least = [
    least_time(m.macs, m.bytes_moved, gflops, gigabytes) for m in found.modules
]
for bound in ("arithmetic", "memory"):
    here = [
        (m.ms, ms) for m, (ms, why) in zip(found.modules, least) if why == bound
    ]
    took, roof = (sum(column) for column in zip(*here))
    print(
        f"{len(here):3} modules wait for {bound:10}: "
        f"{took:6.1f} ms, least {roof:6.1f} ms"
    )

# %%
floor, _ = least_time(sum(m.macs for m in found.modules), 0, gflops, gigabytes)
print(
    f"one pass {found.whole_ms:.1f} ms; "
    f"all multiply-adds at the peak {floor:.1f} ms"
)
ours.roofs(found.modules, gflops, gigabytes)

# %% [markdown]
# Every dot is a module, its area is its time; the black line is the machine. Big dots far below the line can gain most.
# Small maps move through a cache faster than through memory, so a dot may lie above the slope.
#
# The last printed line is the answer to "how much is left": a runtime that does *these* multiply-adds in float32, with
# kernels like PyTorch's best, can win that factor and no more. Whoever promises ten times must do less work or
# use smaller numbers: lesson 17.
#
# ## 6 · Judge a log
# Two logs of this protocol are in the repository, made on two machines, 30 rounds each. First what they say of
# themselves, then the noisier one at 512×1024.

# %%
shape = (512, 1024)
log, other = find_log("bench_cpu_avx2.json"), find_log("bench_cpu.json")
for path in (log, other):
    print(f"{path.name}: {ours.log_machine(path, shape)}")
    print(
        f"    eager fp32 net: median "
        f"{np.median(ours.log_rounds(path, shape)['eager fp32']):.0f} ms"
    )
logged = ours.log_rounds(log, shape)
ours.rounds(logged, "eager fp32")

# %% [markdown]
# ### Exercise 16.6 · Judge: what does the log say   ●●○○○ · 8 minutes
# One of these readings is right. Use `speed_up` on `logged` before you choose.
#
# - **a** OpenVINO in fp32 is faster than ONNX Runtime in fp32: its median is lower.
# - **b** ONNX Runtime in fp32 beat eager in at least nine of ten rounds.
# - **c** Eager PyTorch takes several times as long as in the other log: this version of PyTorch has become slower.
# - **d** OpenVINO in int8 was at least twice as fast as eager in nine of ten rounds.


# %% tags=["exercise"]
def reading():
    """One of "a", "b", "c", "d"."""
    ### BEGIN SOLUTION
    return "d"
    ### END SOLUTION


# %% tags=["check"]
reading = course.choose(reading, ours.READINGS, exercise="16.6")

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - `speed_up(logged["onnx fp32"], logged["openvino fp32"])` compares any two.
# - "In nine of ten rounds at least …" is a sentence about p10.
# - Two logs can be compared only where everything but one thing is the same. Read their first lines.
#
# </details>

# %%
for pair in (
    ("eager fp32", "onnx fp32"),
    ("onnx fp32", "openvino fp32"),
    ("eager fp32", "openvino int8"),
):
    low, median, high = speed_up(*(logged[name] for name in pair))
    print(
        f"{pair[1]:14} over {pair[0]:11}: {median:.2f} times as fast, "
        f"80 % of rounds {low:.2f} to {high:.2f}"
    )

# %% [markdown]
# ## 7 · The same street
# The three wrong times of the beginning, and yours below; the whisker holds 80 % of its calls.

# %%
ours.four_times(said, honest["net"], "net, warm, eval, n given")

# %% [markdown]
# Cured: a number that you can defend, and the network still sees the people. It holds for this network, this size,
# this machine, PyTorch in float32. On another machine it says nothing.
#
# The board gets **e2e**, since a frame begins with pixels, and the mIoU of the *same* network at the *same* size.

# %%
final = score(segmenter.predict, scenes, progress=False)
course.board(
    "Cross-CBAM-M on streets, PyTorch, 288×384",
    miou=100 * final.miou,
    pedestrian=100 * final.per_class_iou[scenes.table.names.index("Pedestrian")],
    milliseconds=float(np.median(honest["e2e"])),
)
course.progress()

# %% [markdown]
# The whole protocol, each runtime in a process of its own, with the machine's facts in the file:
#
# ```bash
# edgeseg bench cross_cbam_m.streets --runtime eager --runtime onnx --size 288x384 --roofline
# ```
#
# It warns when other programs kept the cores busy. [Deployment](../docs/deployment.md) holds what it found.
#
# **In five lines**
# 1. Warm up; evaluation mode; the size of the mIoU. Put back what you found.
# 2. A device with a queue: wait before both readings of the clock.
# 3. Time every call; give median, spread, n, and say net or e2e.
# 4. Compare in turns, by the ratio inside each round. If 80 % of the ratios hold 1, you do not know.
# 5. The roofline says what a runtime can still win, before you try one.
#
# <details><summary>Five review questions</summary>
#
# 1. *Why the median for a call, and the minimum for a peak?* A user meets the usual call. A peak is what the machine can
#    do; everything else only lengthens.
# 2. *Why is the ratio of two medians worse than the median of the ratios?* The two medians may come from rounds with
#    different neighbours.
# 3. *A colleague times 100 calls with one pair of readings. What is lost?* The spread, and the one call that took
#    three times as long: for a car that call matters.
# 4. *B took random numbers. Is that bad for the time?* Hardly. It was bad for the network, since its mode was training.
# 5. *Eight frames in one batch take 80 ms. Is that 10 ms for a frame?* That is throughput. A single frame waits 80 ms.
#
# </details>
#
# **Beyond.** Start something heavy beside this notebook and run section 4 again: what happens to the times, what to
# the ratios? · Time with 1 thread and with all (`torch.set_num_threads`): does twice the threads give half the time?
#
# **Papers.** Williams, Waterman, Patterson, *Roofline*, CACM 2009 · Zhang et al., *Cross-CBAM*, arXiv:2306.02306,
# section 4.2 · Reddi et al., *MLPerf Inference Benchmark*, 2020: its rule is p90 of at least 1024 calls.
#
# **Next.** Lesson 17 leaves PyTorch: other runtimes, and numbers of eight bits.
