"""Lesson 13 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "13.1": [
        Style(
            "one formula, rows weighted",
            """
def three_means(matrix):
    def ious(m):
        hits = np.diag(m)
        union = m.sum(0) + m.sum(1) - hits
        return np.where(union > 0, hits / np.maximum(union, 1), np.nan)

    real = np.ones(len(matrix), dtype=int)
    real[-1] = 0
    all_of_them, without = ious(matrix), ious(matrix * real[:, None])
    return tuple(np.nanmean(x) for x in (all_of_them, all_of_them[:-1], without[:-1]))
""",
            Slip("columns weighted", "real[:, None]", "real[None, :]"),
            Slip(
                "background still in the mean",
                "without[:-1])",
                "without)",
                names=("background, which is void by then",),
            ),
            Slip("both sums in the union", "m.sum(0) + m.sum(1) - hits", "m.sum(0) + m.sum(1)"),
        ),
        Style(
            "plain loops",
            """
def three_means(matrix):
    n = len(matrix)

    def mean(classes, truths):
        found = []
        for c in classes:
            hit = int(matrix[c, c])
            union = sum(int(matrix[c, p]) for p in range(n)) + sum(int(matrix[t, c]) for t in truths) - hit
            if union:
                found.append(hit / union)
        return sum(found) / len(found)

    return mean(range(n), range(n)), mean(range(n - 1), range(n)), mean(range(n - 1), range(n - 1))
""",
            Slip("the second as the third", "mean(range(n - 1), range(n)),", "mean(range(n - 1), range(n - 1)),"),
            Slip("absent ones counted", "sum(found) / len(found)", "sum(found) / len(classes)"),
            Slip("columns for rows", "int(matrix[t, c])", "int(matrix[c, t])"),
        ),
        Style(
            "the lesson's functions, rows cut off",
            """
def three_means(matrix):
    twenty = iou_per_class(matrix)
    without_row = np.vstack([matrix[:-1], np.zeros_like(matrix[-1:])])
    nineteen = iou_per_class(without_row)[: len(matrix) - 1]
    return float(np.nanmean(twenty)), float(np.nanmean(twenty[:-1])), float(np.nanmean(nineteen))
""",
            Slip("mean, and not nanmean", "float(np.nanmean(twenty))", "float(np.mean(twenty))", names=("nan",)),
            Slip(
                "order",
                "float(np.nanmean(twenty)), float(np.nanmean(twenty[:-1])), float(np.nanmean(nineteen))",
                "float(np.nanmean(nineteen)), float(np.nanmean(twenty)), float(np.nanmean(twenty[:-1]))",
            ),
            Slip(
                "background still in the mean", "[: len(matrix) - 1]", "", names=("background, which is void by then",)
            ),
        ),
        Style(
            "row and column taken out, misses put back",
            """
def three_means(matrix):
    inner = matrix[:-1, :-1]
    missed = matrix[:-1, -1]
    diagonal = inner.diagonal().astype(float)
    below = inner.sum(0) + inner.sum(1) + missed - diagonal
    own = np.divide(diagonal, below, out=np.full(len(diagonal), np.nan), where=below > 0)
    every = iou_per_class(matrix)
    return np.nanmean(every), np.nanmean(every[:-1]), np.nanmean(own)
""",
            Slip("misses left out", " + missed - diagonal", " - diagonal"),
            Slip("false alarms for misses", "matrix[:-1, -1]", "matrix[-1, :-1]"),
            Slip("rows twice", "inner.sum(0) + inner.sum(1)", "inner.sum(1) + inner.sum(1)"),
        ),
        Style(
            "a copy, changed in a second step, masked arrays",
            """
def three_means(matrix):
    results = []
    for cut, until in ((False, None), (False, -1), (True, -1)):
        counts = np.array(matrix, dtype=np.float64)
        if cut:
            counts[-1, :] = 0
        hits, union = counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()
        iou = np.ma.masked_invalid(hits / np.where(union == 0, np.nan, union))
        results.append(float(iou[:until].mean()))
    return tuple(results)
""",
            Slip("row and column", "counts[-1, :] = 0", "counts[-1, :] = counts[:, -1] = 0"),
            Slip("the given matrix changed", "np.array(matrix, dtype=np.float64)", "matrix", names=("changed",)),
            Slip("the second of all 20", "(False, None), (False, -1)", "(False, None), (False, None)"),
        ),
    ],
    "13.2": readings("three_points", "d", a="one over 19", b="background gains 1.59"),
    "13.3": [
        Style(
            "a sum of a generator",
            """
def miou(predict, frames, classes):
    total = sum(confusion(predict(image), label, classes) for image, label in frames)
    mean, _ = mean_iou(total)
    return mean
""",
            Slip("absent classes", "mean, _ = mean_iou(total)", "_, mean = mean_iou(total)"),
            Slip("one frame", "in frames)", "in frames[:1])"),
        ),
        Style(
            "all pixels in one long row",
            """
def miou(predict, frames, classes):
    guesses = np.concatenate([predict(image).ravel() for image, _ in frames])
    truths = np.concatenate([label.ravel() for _, label in frames])
    return mean_iou(confusion(guesses[None], truths[None], classes))[0]
""",
            Slip(
                "truth and guess exchanged",
                "confusion(guesses[None], truths[None],",
                "confusion(truths[None], guesses[None],",
            ),
            Slip("by columns", "label.ravel()", "label.T.ravel()"),
        ),
        Style(
            "counted without the lesson's matrix",
            """
def miou(predict, frames, classes):
    both, either = np.zeros(classes), np.zeros(classes)
    for image, label in frames:
        guess = predict(image)
        valid = label != VOID
        for c in range(classes):
            a, b = (guess == c) & valid, label == c
            both[c] += (a & b).sum()
            either[c] += (a | b).sum()
    there = either > 0
    return float((both[there] / either[there]).mean())
""",
            Slip("void counted", "(guess == c) & valid", "guess == c"),
            Slip(
                "absent classes as 0",
                "(both[there] / either[there]).mean()",
                "(both / np.maximum(either, 1)).mean()",
                names=("absent classes count as 0 in",),
            ),
        ),
        Style(
            "reduce, bincount",
            """
from functools import reduce


def miou(predict, frames, classes):
    def counts(image, label):
        keep = label < classes
        pairs = label[keep].astype(np.int64) * classes + predict(image)[keep]
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    matrix = reduce(np.add, (counts(*frame) for frame in frames))
    return float(np.nanmean(iou_per_class(matrix)))
""",
            Slip(
                "pixel accuracy",
                "float(np.nanmean(iou_per_class(matrix)))",
                "float(np.trace(matrix) / matrix.sum())",
                names=("the share of right pixels is",),
            ),
            Slip("the largest", "reduce(np.add", "reduce(np.maximum"),
        ),
        Style(
            "a stack, summed",
            """
def miou(predict, frames, classes):
    matrices = np.stack([confusion(predict(i), x, classes) for i, x in frames])
    whole = matrices.sum(axis=0)
    return mean_iou(whole)[0]
""",
            Slip(
                "mean over images",
                "whole = matrices.sum(axis=0)\n    return mean_iou(whole)[0]",
                "return np.mean([mean_iou(m)[0] for m in matrices])",
                names=("each frame has a mIoU of",),
            ),
            Slip("wrong axis", "axis=0", "axis=1"),
        ),
    ],
    "13.4": [
        Style(
            "shuffled by Python's random",
            """
import random as chance


def split(names, seed=0):
    rides = sorted(set(name.split("_")[0] for name in names))
    chance.Random(seed).shuffle(rides)
    held = rides[: max(1, len(rides) // 10)]
    train = [n for n in names if n.split("_")[0] not in held]
    val = [n for n in names if n.split("_")[0] in held]
    return train, val
""",
            Slip("parts exchanged", "return train, val", "return val, train", names=("a tenth",)),
            Slip("a fifth", "len(rides) // 10", "len(rides) // 5", names=("a tenth",)),
            Slip(
                "all in train",
                'train = [n for n in names if n.split("_")[0] not in held]',
                "train = list(names)",
                names=("every frame",),
            ),
            Slip("Python's own generator", "chance.Random(seed).shuffle", "chance.shuffle", names=("called twice",)),
        ),
        Style(
            "a dict of rides",
            """
def split(names, seed=0):
    rides = {}
    for name in sorted(names):
        rides.setdefault(name.partition("_")[0], []).append(name)
    draw = np.random.default_rng(seed)
    n = max(1, round(0.1 * len(rides)))
    chosen = set(draw.choice(list(rides), size=n, replace=False))
    parts = [], []
    for ride, frames in rides.items():
        parts[ride in chosen].extend(frames)
    return parts
""",
            Slip("order of the names", "sorted(names)", "names", names=("another order",)),
            Slip("seed fixed", "default_rng(seed)", "default_rng(0)", names=("seed does nothing",)),
            Slip(
                "numpy's own generator",
                "draw = np.random.default_rng(seed)",
                "draw = np.random.RandomState()",
                names=("called twice",),
            ),
        ),
        Style(
            "a hash of ride and seed",
            """
import hashlib


def split(names, seed=0):
    def number(ride):
        return hashlib.sha256(f"{seed} {ride}".encode()).hexdigest()

    rides = sorted({n.rsplit("_", 1)[0] for n in names}, key=number)
    held = set(rides[: -(-len(rides) // 10)])
    train, val = [], []
    for name in names:
        (val if name.rsplit("_", 1)[0] in held else train).append(name)
    return train, val
""",
            Slip("seed forgotten", 'f"{seed} {ride}"', 'f"{ride}"', names=("seed does nothing",)),
            Slip(
                "in both",
                '(val if name.rsplit("_", 1)[0] in held else train).append(name)',
                'train.append(name)\n        if name.rsplit("_", 1)[0] in held:\n            val.append(name)',
                names=("every frame",),
            ),
            Slip("a tenth of the frames", "-(-len(rides) // 10)", "-(-len(names) // 10)", names=("a tenth",)),
        ),
        Style(
            "a boolean array",
            """
def split(names, seed=0):
    names = np.array(sorted(names))
    of = np.array([name.split("_")[0] for name in names])
    rides = np.unique(of)
    held = np.random.RandomState(seed).permutation(rides)[: max(1, len(rides) // 10)]
    out = np.isin(of, held)
    return names[~out].tolist(), names[out].tolist()
""",
            Slip("frames drawn", 'name.split("_")[0] for name', "name for name", names=("both sides",)),
            Slip("by the frame's number", 'name.split("_")[0] for', 'name.split("_")[1] for', names=("both sides",)),
            Slip(
                "parts exchanged",
                "names[~out].tolist(), names[out].tolist()",
                "names[out].tolist(), names[~out].tolist()",
                names=("a tenth",),
            ),
        ),
        Style(
            "groupby, torch",
            """
from itertools import groupby

import torch


def split(names, seed=0):
    groups = [list(frames) for _, frames in groupby(sorted(names), key=lambda name: name.split("_")[0])]
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    many = round(0.9 * len(groups))
    train = [name for place in order[:many] for name in groups[place]]
    val = [name for place in order[many:] for name in groups[place]]
    return train, val
""",
            Slip("seed left out", ", generator=torch.Generator().manual_seed(seed)", "", names=("two splits",)),
            Slip("one ride lost", "order[many:]", "order[many + 1 :]", names=("every frame",)),
            Slip("order of the names", "groupby(sorted(names)", "groupby(names", names=("another order",)),
        ),
    ],
    "13.5": readings("beside", "c", a="of other pictures", d="Trained on is VOC's val"),
}
