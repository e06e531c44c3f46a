# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 19 · On a Jetson, live
# At the end frames come in, masks come out, and you know how old they are, what was dropped, and which millisecond went
# where.
#
# **75 minutes to work through** · 0.6 min of computing on two CPU cores · 1 GB of memory · data: rendered scenes, no download · needs lesson 16, 17 · 5 exercises

# %% tags=["setup"]
import threading
from contextlib import closing

import numpy as np

from edgeseg import course
from edgeseg.course.lessons import lesson_19 as ours
from edgeseg.course.lessons.lesson_05 import picture_row
from edgeseg.inference import load_segmenter
from edgeseg.live.frames import Capture, open_source
from edgeseg.live.loop import watch
from edgeseg.metrics import ConfusionMatrix
from edgeseg.plots import colorize, with_legend

lesson = course.begin("19", version="0.1")

# %% [markdown]
# > **Read, not run, without a board.** What a Jetson's power modes do is told at the end and was not measured here. All
# > else runs on any machine, without a camera: a rendered ride takes its place.
#
# The network is finished; today it is one box among several:

# %%
course.network_map("all")

# %% [markdown]
# ## Where we are: a mask that comes too late
# Every score so far compared a mask with the truth *of its own frame*. A device uses the mask later: after capture,
# transport, network and drawing. Meanwhile the street has moved on. Here is a ride at 30 frames a second and nine
# metres a second; the masks are the truth itself, without a single error.

# %%
images, labels = ours.ride(
    lesson.pick(31, 10), size=lesson.pick((180, 240), (64, 96))
)
table = load_segmenter("cross_cbam_m.streets").table
last = len(images) - 1
old = last // 3  # frames
drawn = {
    "now": images[last],
    "truth now": colorize(labels[last], table),
    f"a right mask, {1000 * old / 30:.0f} ms old": colorize(
        labels[last - old], table
    ),
}
with_legend(picture_row(drawn), table, void=True)

# %% [markdown] tags=["predict"]
# **Predict.** The masks are right. What mIoU do they reach against the street of the moment when they are used: one
# frame late (33 ms), three frames late (100 ms)? The finished network, on time, has 66 on such streets.
#
# <details><summary>Answer</summary>
#
# On this ride 84 and 67. So a network without one error, 100 ms late, is hardly better than ours on time. You measure it
# in exercise 19.1. Slower rides lose less; thin things lose most.
#
# </details>

# %% [markdown]
# ## The papers
# | | Cross-CBAM, 4.2 | Improved HRNet | here |
# |---|---|---|---|
# | what is timed | the network, batch 1 | nothing; operations are counted | every stage of a frame |
# | number | frames a second | FLOPs | age of a mask, and frames a second |
# | late frames | not said | not said | counted |
#
# **What the papers do not say, and what we chose.** A rate says nothing about age: 30 masks a second may all be a second
# old.
#
# ### Exercise 19.1 · What delay costs   ●●○○○ · 8 minutes
# Write `late_miou(labels, frames)`: mIoU in per cent. Mask t meets the truth of t + `frames`, all pairs in **one**
# confusion matrix of 11 classes. Void (255) in either of the two is not scored; the matrix leaves out what is 255 in
# the truth.


# %% tags=["exercise"]
def late_miou(labels, frames):
    """mIoU, per cent, of right masks, `frames` late; labels (T, H, W), void 255."""
    ### BEGIN SOLUTION
    matrix = ConfusionMatrix(11)
    for shown, now in zip(labels, labels[frames:], strict=False):
        matrix.update(shown, np.where(shown == 255, 255, now))
    return 100 * matrix.compute().miou
    ### END SOLUTION


# %% tags=["check"]
late_miou = course.prove(
    late_miou,
    ours.late_miou,
    ours.scores_late_masks,
    ours.leaves_labels_alone,
    ours.leaves_out_void,
    exercise="19.1",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *ValueError: prediction 255*: make the truth 255 where the mask is.
# - *without delay*: the truth is `labels[frames:]`, the masks are `labels`.
# - *the scores of single pairs*: one matrix for all pairs; a mean of single scores is another number (lesson 02).
# - *a share*: 0.8 is 80 per cent.
#
# </details>

# %%
late = [f for f in (0, 1, 2, 3, 5, 8, 15) if f < len(labels) - 1]
scores = {1000 * f / 30: late_miou(labels, f) for f in late}
print("  ".join(f"{ms:.0f} ms: {score:.0f} %" for ms, score in scores.items()))
ours.delay_curve(scores)

# %% [markdown]
# ## 1 · Keep every frame?
# A camera gives 30 frames a second, the loop manages 20. What happens to the frames in between? Either they wait in a
# queue, or all but the newest are dropped. No frame is lost in the first way, and that sounds careful.
#
# ### Exercise 19.2 · Queue or newest   ●●●○○ · 15 minutes
# Write `latencies(arrivals, work, newest)` on a made-up clock. `arrivals` are the times at which frames come, rising.
# The loop takes a frame, works `work` seconds, and takes the next, at once or as soon as one comes. With
# `newest=False` it takes the oldest that waits; with `newest=True` the newest, and the others that wait by then are
# dropped. Return the age of every mask when it is done: end of its work minus arrival of its frame.


# %% tags=["exercise"]
def latencies(arrivals, work, newest):
    """Age of each mask in seconds, in the order in which they are done."""
    ### BEGIN SOLUTION
    waiting, now, ages = list(arrivals), 0.0, []
    while waiting:
        now = max(now, waiting[0])
        if newest:
            there = sum(t <= now for t in waiting)
            waiting = waiting[there - 1 :]
        taken = waiting.pop(0)
        now += work
        ages.append(now - taken)
    return ages
    ### END SOLUTION


# %% tags=["check"]
latencies = course.check(
    latencies,
    ours.latencies,
    course.case([0.0, 1.0, 2.0, 3.0], 2.5, False),
    course.case([0.0, 1.0, 2.0, 3.0], 2.5, True),
    course.case([0.5, 2.0, 8.0], 0.25, True),
    course.case([0.5, 2.0, 8.0], 0.25, False),
    course.case([0.0, 0.25, 0.5, 0.75, 1.0, 9.0], 1.5, True),
    exercise="19.2",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *ages below `work`*: an age holds waiting **and** work.
# - *the loop starts before a frame is there*: the time of taking is the later of "free" and "arrived".
# - *one mask too many with newest*: frames that wait and are not the newest are gone for good.
# - *it changes what it was given*: copy `arrivals` first.
#
# </details>

# %%
camera = [n / 30 for n in range(90)]  # three seconds
ages = {
    "queue": latencies(camera, 1 / 20, False),
    "newest only": latencies(camera, 1 / 20, True),
}
for name, seconds in ages.items():
    print(
        f"{name:12} oldest mask {1000 * max(seconds):5.0f} ms, "
        f"dropped {len(camera) - len(seconds)}"
    )
ours.age_curves(ages)

# %% [markdown]
# The queue grows for as long as the loop is slower than the camera, and no score shows it. "Newest only" keeps the age
# below two works, drops a third, and *says so*. `edgeseg live` works that way; `--every-frame` is for files.
#
# ## 2 · One place for a frame
# Camera and network run in two threads and share one place. It must be safe (both may come at once), never give a frame
# twice, let the taker sleep, and count what it drops.
#
# ### Exercise 19.3 · Find the bug: Newest   ●●●○○ · 15 minutes
# Three things are wrong with this one. Write it anew.
#
# ```python
# class Newest:
#     def __init__(self):
#         self._frame, self.dropped = None, 0
#
#     def put(self, frame):
#         if self._frame is None:
#             self._frame = frame
#         self.dropped += 1
#
#     def take(self):
#         while self._frame is None:
#             pass
#         return self._frame
# ```
#
# `threading.Condition()` is a lock that one can wait on: `with c: c.wait_for(lambda: …)` sleeps until the function is
# true and somebody called `c.notify()`.


# %% tags=["exercise"]
class Newest:
    """One place: `put` leaves a frame, `take` waits for it; `dropped` counts."""

    def __init__(self):
        ### BEGIN SOLUTION
        self._changed, self._frames, self.dropped = threading.Condition(), [], 0
        ### END SOLUTION

    def put(self, frame):
        ### BEGIN SOLUTION
        with self._changed:
            self.dropped += len(self._frames)
            self._frames = [frame]
            self._changed.notify()
        ### END SOLUTION

    def take(self):
        ### BEGIN SOLUTION
        with self._changed:
            self._changed.wait_for(lambda: self._frames)
            return self._frames.pop()
        ### END SOLUTION


# %% tags=["check"]
Newest = course.prove(
    Newest,
    ours.Newest,
    ours.gives_the_newest,
    ours.gives_no_frame_twice,
    ours.counts_what_it_drops,
    ours.waits_for_a_frame,
    exercise="19.3",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *take gave 'a'*: a newer frame replaces the one that lies there.
# - *dropped should be 2, and is 3*: only a frame that nobody took is dropped.
# - *should wait for the next frame, and gave 'a'*: empty the place when you take.
# - *did not end within 2 seconds*: a loop inside `with` keeps the lock, so that nobody can put. `wait_for` gives it back
#   while it sleeps.
# - *looks again and again*: `wait_for` sleeps; `while …: pass` burns a core, which the network needs.
# - *the take that waited still waits*: `notify` at the end of `put`, inside the `with`.
#
# </details>

# %% [markdown]
# ## 3 · Stages, threads, and two numbers
# Capture, preprocess, net, post, draw: in one thread a frame takes the sum. In several threads, one after another like
# stations of an assembly line, each works on another frame. The slowest sets the pace. Ages do not fall: every frame
# still passes all stations.
#
# ### Exercise 19.4 · Budget: fewest threads   ●●●○○ · 12 minutes
# Write `fewest_threads(stages, fps)`: share the stages out to as few threads as possible, in order, so that none needs
# more than a frame's time, 1/`fps` seconds. `stages` is a dictionary, name → seconds. Return a list of lists of names.
# Every single stage is short enough.


# %% tags=["exercise"]
def fewest_threads(stages, fps):
    """[[names of the first thread], [of the second], …]"""
    ### BEGIN SOLUTION
    groups = [[]]
    for name, seconds in stages.items():
        if sum(stages[n] for n in groups[-1]) + seconds > 1 / fps:
            groups.append([])
        groups[-1].append(name)
    return groups
    ### END SOLUTION


# %% tags=["check"]
fewest_threads = course.prove(
    fewest_threads,
    ours.fewest_threads,
    ours.keeps_the_order,
    ours.keeps_up,
    ours.uses_few_threads,
    exercise="19.4",
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - *a frame at 30 a second has 33*: before you add a stage to a thread, look whether it still fits.
# - *4 threads where 3 do*: one thread a stage is the other extreme; fill each as far as it goes.
# - *the stages should be …*: a frame goes through them in order; do not sort.
#
# </details>

# %%
stages = {
    "capture": 0.008,
    "preprocess": 0.004,
    "net": 0.030,
    "post": 0.006,
    "draw": 0.010,
}

# %% tags=["nbval-check-output"]
for groups in (
    [list(stages)],
    fewest_threads(stages, 30),
    [[name] for name in stages],
):
    rate, age = ours.pace(stages, groups)
    print(
        f"{len(groups)} threads: {rate:4.1f} frames a second, "
        f"each {1000 * age:3.0f} ms old"
    )

# %% [markdown]
# From one thread to three the rate doubles, nearly, and every mask is **older**: a station waits for the slowest. More
# threads than needed only add age. So name both numbers, always.
#
# ## 4 · A ride
# Now for real: the drive as a camera at 30 frames a second, the finished network in eager mode. `watch` is the loop of
# `edgeseg live`: it takes the newest frame, times every stage, and counts what it dropped.

# %%
segmenter = load_segmenter("cross_cbam_m.streets")
size, frames = lesson.pick((288, 384), (64, 96)), lesson.pick(40, 5)
with closing(Capture(open_source("streets", size=size, fps=30))) as capture:
    summary = watch(capture, segmenter, frames=frames)
print(summary.table())

# %%
shown = ("capture", "wait", "preprocess", "net", "post", "draw")
rows = {
    "median": {
        name: summary.stages[name]["median"]
        for name in shown
        if name in summary.stages
    },
    "slow: 90 %": {
        name: summary.stages[name]["p90"]
        for name in shown
        if name in summary.stages
    },
}
ours.stage_bars(rows)

# %% [markdown]
# Times differ from machine to machine, and from run to run where others work on it (lesson 16). What holds: *net* is
# most of it; *wait* is the price of taking frames as they come; a compiled network (lesson 17) shrinks one bar, not the
# others. What a camera, its cable or the network hold back before the frame arrives is in none of these numbers.

# %%
course.board("ride, eager", milliseconds=summary.stages["segment"]["median"])

# %% [markdown]
# ### Exercise 19.5 · Judge: what the lines say   ●●○○○ · 6 minutes
# `edgeseg live --json` writes a line a frame. Somebody reports "the mask lags behind, more and more", and sends these
# (made up for this exercise; every 20th line):


# %% tags=["nbval-check-output"]
for line in ours.LINES:
    print(line)

# %% [markdown]
# What is wrong?
#
# - `"a"`: the network becomes slower, it is getting hot;
# - `"b"`: every frame is kept, and the loop is a little slower than the camera;
# - `"c"`: too many frames are dropped;
# - `"d"`: drawing takes too long.


# %% tags=["exercise"]
def what_is_wrong():
    """One of "a", "b", "c", "d"."""
    ### BEGIN SOLUTION
    return "b"
    ### END SOLUTION


# %% tags=["check"]
what_is_wrong = course.choose(
    what_is_wrong, ours.WHAT_THE_LINES_SAY, exercise="19.5"
)

# %% [markdown] tags=["help"]
# <details><summary>Help</summary>
#
# - Which numbers change from line to line, and which do not?
# - A frame that waits longer and longer: where does it wait, and why is there room for it?
#
# </details>

# %% [markdown]
# ## 5 · On the board: read, not run
# A Jetson has **power modes**: limits in watts, and with them clocks and cores that are on. One network has another
# speed in each, so a speed without its mode is half a number:
#
# ```bash
# sudo nvpmodel -q            # the mode, by name
# sudo jetson_clocks          # clocks up to that mode's limits
# tegrastats --interval 1000  # temperature, clocks, memory, the GPU's load
# edgeseg live 0 --host …     # the camera; docs/jetson.md has each line, and whether it was tried
# ```
#
# A hot board lowers its clocks after minutes. So let 30 seconds pass before you time, and note the temperature beside
# the number. [The Jetson page](../docs/jetson.md) marks every line as measured, read or untested.

# %%
course.progress()

# %% [markdown]
# ## The end
# `latencies`, `Newest` and `fewest_threads` are the loop of `edgeseg live` in three pieces; `check` and `prove` have held
# each to what the package's does.
#
# **In five lines**
# 1. A mask has an age. On a moving street age costs mIoU, whatever the network scores.
# 2. A queue in front of a slow loop grows without end; the newest frame alone keeps the age bounded.
# 3. Dropping is right if it is counted.
# 4. Threads in a row raise the rate to that of the slowest stage and make every mask older.
# 5. Rate, age, power mode and temperature belong together.
#
# <details><summary>Five review questions</summary>
#
# 1. *30 frames a second and one second old: how can both be?* 30 frames are on their way at once, or wait in a queue.
# 2. *What is the worst age with "newest only", if the camera is fast?* A bit more than the work of the frame before and
#    of its own: two works at most.
# 3. *Why does `take` not return the last frame again when there is no new one?* Its mask is known; the work would be for
#    nothing, and its age would count twice.
# 4. *net falls from 30 to 10 ms. By how much does the age fall?* By 20 ms in one thread; in several by the slowest
#    stage's change, once for each station.
# 5. *What does a file need that a camera does not?* Every frame: nobody waits for a file.
#
# </details>
#
# **Beyond.** Run `edgeseg live streets --json lines.jsonl` for a minute and draw the ages. Compile the network as in
# lesson 17, and see which bars change. What would you predict for a ride at night speed, three metres a second?
#
# **Papers.** Zhang et al., *Cross-CBAM*, section 4.2; Li et al., *Towards Streaming Perception*, ECCV 2020, who score a
# perceiver against the world at the moment when its answer arrives.
#
# **Next.** Lesson 20: your own classes, your own clip.
