"""Lesson 08 in other styles."""

from styles import Slip, Style

STYLES = {
    "08.1": [
        Style(
            "a loop",
            """
def last_and_best(lines):
    last = best = None
    for line in lines:
        row = json.loads(line)
        if "miou" not in row:
            continue
        last = (row["epoch"], row["miou"])
        if best is None or last[1] > best[1]:
            best = last
    return {"last": last, "best": best}
""",
            Slip("worst", "last[1] > best[1]", "last[1] < best[1]"),
            Slip(
                "step for epoch",
                '(row["epoch"], row["miou"])',
                '(row["step"], row["miou"])',
                names=("steps are told and not epochs",),
            ),
        ),
    ],
    "08.2": [
        Style(
            "numpy",
            """
def mean_and_error(scores):
    a = np.asarray(scores)
    return a.mean(), a.std(ddof=1) / np.sqrt(a.size)
""",
            Slip("over n", "ddof=1", "ddof=0"),
            Slip("deviation", " / np.sqrt(a.size)", ""),
        ),
        Style(
            "statistics",
            """
import statistics

def mean_and_error(scores):
    return statistics.fmean(scores), statistics.stdev(scores) / len(scores) ** 0.5
""",
            Slip("over n", "** 0.5", "** 1"),
            Slip("median", "statistics.fmean", "statistics.median"),
        ),
    ],
    "08.3": [
        Style(
            "a loop",
            """
def paired(a, b):
    differences = []
    for seed in a:
        if seed in b:
            differences.append(b[seed] - a[seed])
    n = len(differences)
    mean = sum(differences) / n
    s2 = sum((d - mean) ** 2 for d in differences) / (n - 1)
    return mean, (s2 / n) ** 0.5
""",
            Slip("a - b", "b[seed] - a[seed]", "a[seed] - b[seed]"),
            Slip("over n", "/ (n - 1)", "/ n"),
        ),
    ],
    "08.4": [
        Style(
            "deep copies",
            """
import copy

def resumed(seed, kill_at, steps):
    run = ToyRun(seed)
    run.go_on(kill_at)
    fresh = ToyRun(seed)
    for name in ("weights", "velocity", "average", "step", "random"):
        setattr(fresh, name, copy.deepcopy(getattr(run, name)))
    return fresh.go_on(steps - kill_at)
""",
            Slip("random forgotten", ', "random")', ")"),
            Slip("too many steps", "steps - kill_at", "steps", names=("the second part runs for all",)),
        ),
    ],
    "08.5": [
        Style(
            "numpy's flip",
            """
def flip_average(logits, image):
    def ask(picture):
        x = torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0)
        return logits(x).softmax(dim=1)[0].numpy()
    p = ask(image) + ask(image[:, ::-1])[:, :, ::-1]
    return p.argmax(0).astype(np.uint8)
""",
            Slip(
                "not flipped back",
                "ask(image[:, ::-1])[:, :, ::-1]",
                "ask(image[:, ::-1])",
                names=("the mirrored answer is not mirrored",),
            ),
            Slip(
                "upside down",
                "image[:, ::-1])[:, :, ::-1]",
                "image[::-1])[:, ::-1]",
                names=("the image is turned upside down",),
            ),
        ),
        Style(
            "as one batch",
            """
def flip_average(logits, image):
    x = torch.from_numpy(image).permute(2, 0, 1)
    a = logits(x[None])
    b = logits(x.flip(-1)[None]).flip(-1)
    p = (a.softmax(1) + b.softmax(1)) / 2
    return p.max(1).indices[0].byte().numpy()
""",
            Slip("logits averaged", "p = (a.softmax(1) + b.softmax(1)) / 2", "p = (a + b) / 2", names=("softmax",)),
            Slip("one twice", "a.softmax(1) + b.softmax(1)", "b.softmax(1) + b.softmax(1)"),
        ),
    ],
}
