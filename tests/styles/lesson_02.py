"""Lesson 02 in other styles."""

from styles import Slip, Style

STYLES = {
    "02.1": [
        Style(
            "np.add.at",
            """
def confusion(pred, target, classes):
    matrix = np.zeros((classes, classes), np.int64)
    keep = target != VOID
    np.add.at(matrix, (target[keep], pred[keep]), 1)
    return matrix
""",
            Slip("transposed", "(target[keep], pred[keep])", "(pred[keep], target[keep])"),
            Slip(
                "counted once",
                "np.add.at(matrix, (target[keep], pred[keep]), 1)",
                "matrix[target[keep], pred[keep]] += 1",
                names=("a pair of classes counts once",),
            ),
        ),
        Style(
            "double loop over classes",
            """
def confusion(pred, target, classes):
    rows = []
    for t in range(classes):
        rows.append([np.sum((target == t) & (pred == p)) for p in range(classes)])
    return np.array(rows, dtype=np.int64)
""",
            Slip("or", "(target == t) & (pred == p)", "(target == t) | (pred == p)"),
            Slip("fractions", "dtype=np.int64", "dtype=np.float64"),
        ),
    ],
    "02.2": [
        Style(
            "Counter",
            """
from collections import Counter

def strangers(ids, classes):
    counts = Counter(int(v) for v in ids.ravel())
    return {v: n for v, n in counts.items() if v != VOID and (v < 0 or v >= classes)}
""",
            Slip("classes itself allowed", "v >= classes", "v > classes"),
            Slip("negative forgotten", "(v < 0 or v >= classes)", "v >= classes"),
        ),
    ],
    "02.3": [
        Style(
            "loop",
            """
def iou_per_class(matrix):
    result = []
    for c in range(len(matrix)):
        tp = matrix[c, c]
        union = matrix[c].sum() + matrix[:, c].sum() - tp
        result.append(tp / union if union else float("nan"))
    return np.array(result)
""",
            Slip("right counted twice", " - tp", ""),
            Slip("0 for absent", 'float("nan")', "0.0"),
            Slip(
                "recall",
                "matrix[c].sum() + matrix[:, c].sum() - tp",
                "matrix[c].sum()",
                names=("a class's right pixels are divided",),
            ),
        ),
    ],
    "02.4": [
        Style(
            "nanmean",
            """
def mean_iou(matrix):
    iou = iou_per_class(matrix)
    return np.nanmean(iou), [c for c, value in enumerate(iou) if value != value]
""",
            Slip(
                "absent as 0", "np.nanmean(iou)", "np.nan_to_num(iou).mean()", names=("absent classes count as 0 in",)
            ),
            Slip("the present ones", "value != value", "value == value"),
        ),
    ],
    "02.5": [
        Style(
            "with wrong pixels",
            """
def micro_iou(accuracy):
    wrong = 1 - accuracy
    return accuracy / (accuracy + 2 * wrong)
""",
            Slip("wrong once", "2 * wrong", "wrong"),
            Slip("Dice", "accuracy / (accuracy", "2 * accuracy / (2 * accuracy"),
        ),
    ],
    "02.6": [
        Style(
            "loop and sum",
            """
def two_means(matrices):
    total, scores = 0, []
    for m in matrices:
        total = total + m
        scores.append(mean_iou(m)[0])
    return sum(scores) / len(scores), mean_iou(total)[0]
""",
            Slip(
                "exchanged",
                "return sum(scores) / len(scores), mean_iou(total)[0]",
                "return mean_iou(total)[0], sum(scores) / len(scores)",
            ),
            Slip("last one", "mean_iou(total)[0]", "mean_iou(m)[0]"),
        ),
    ],
}
