"""Wrong answers to lesson 02."""

from mutants import Mutant

_COUNT = """    valid = target != VOID
    pairs = target[valid].astype(np.int64) * classes + pred[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)"""
_IOU = """    right = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - right
    iou = np.full(len(matrix), np.nan)
    return np.divide(right, union, out=iou, where=union > 0)"""
_STRANGERS = "if not 0 <= v < classes and v != VOID"
_MEAN = "float(iou[~absent].mean())"
_EACH = "each = [mean_iou(matrix)[0] for matrix in matrices]"

MUTANTS = {
    "02.1": [
        Mutant("uint8 overflows", ".astype(np.int64)", "", names="19). The answer"),
        Mutant(
            "rows and columns exchanged",
            "pairs = target[valid].astype(np.int64) * classes + pred[valid]",
            "pairs = pred[valid].astype(np.int64) * classes + target[valid]",
            names="other numbers",
        ),
        Mutant("void counted", "valid = target != VOID", "valid = target >= 0", names="reshape"),
        Mutant(
            "void taken for class 0",
            _COUNT,
            "    found = np.minimum(pred.ravel(), classes - 1)\n"
            "    pairs = (target % VOID).ravel().astype(np.int64) * classes + found\n"
            "    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)",
            names="at [0, 0]",
        ),
        Mutant("as many as the largest pair", ", minlength=classes**2", "", names="reshape"),
        Mutant("pairs that share a number", "* classes +", "* (classes - 1) +", names="other numbers"),
        Mutant(
            "shares instead of counts",
            ".reshape(classes, classes)",
            ".reshape(classes, classes) / valid.sum()",
            names="0.4 instead of 2",
        ),
        Mutant(
            "added pixel by pixel",
            _COUNT,
            "    matrix = np.zeros((classes, classes), np.int64)\n"
            "    valid = target != VOID\n"
            "    np.add.at(matrix, (target[valid], pred[valid]), 1)\n"
            "    return matrix",
        ),
    ],
    "02.2": [
        Mutant("one class too many", "v < classes", "v <= classes", names="11"),
        Mutant("negative ids pass", "not 0 <= v < classes", "not v < classes", names="-1"),
        Mutant("void refused", " and v != VOID", "", names="255"),
        Mutant("everything above void passes", _STRANGERS, "if classes < v < VOID", names="11"),
        Mutant("only the values", _STRANGERS + "}", _STRANGERS + "}.keys()", names="a dict"),
        Mutant(
            "rows instead of pixels",
            "np.unique(ids, return_counts=True)",
            "np.unique(np.unique(ids), return_counts=True)",
            names="is 1, and should be 3",
        ),
        Mutant(
            "counted one by one",
            "    values, counts = np.unique(ids, return_counts=True)\n"
            "    pairs = zip(values.tolist(), counts.tolist(), strict=True)\n",
            "    pairs = [(v, int((ids == v).sum())) for v in set(ids.ravel().tolist())]\n",
        ),
    ],
    "02.3": [
        Mutant("intersection counted twice", " - right", "", names="0.4 instead of 0.666667"),
        Mutant("recall", "matrix.sum(0) + matrix.sum(1) - right", "matrix.sum(1)", names="0.75 instead of 0.5"),
        Mutant(
            "precision", "matrix.sum(0) + matrix.sum(1) - right", "matrix.sum(0)", names="0.857143 instead of 0.666667"
        ),
        Mutant("absent class is 0", "np.full(len(matrix), np.nan)", "np.zeros(len(matrix))", names="instead of nan"),
        Mutant("absent class is 1", "np.full(len(matrix), np.nan)", "np.ones(len(matrix))", names="instead of nan"),
        Mutant("only predicted is absent", "where=union > 0", "where=matrix.sum(1) > 0", names="nan instead of 0"),
        Mutant(
            "the mean at once",
            _IOU,
            "    right = np.diag(matrix)\n    return float(np.mean(right / (matrix.sum(0) + matrix.sum(1) - right)))",
            names="should be a ndarray",
        ),
        Mutant(
            "class by class",
            _IOU,
            "    iou = []\n"
            "    for c in range(len(matrix)):\n"
            "        union = matrix[c].sum() + matrix[:, c].sum() - matrix[c, c]\n"
            "        iou.append(matrix[c, c] / union if union else np.nan)\n"
            "    return np.array(iou)",
        ),
    ],
    "02.4": [
        Mutant("nan in the mean", "iou[~absent]", "iou", names="nan"),
        Mutant("absent counts as 0", _MEAN, "float(np.nan_to_num(iou).mean())", names="answer[0]"),
        Mutant("absent counts as 1", _MEAN, "float(np.where(absent, 1.0, iou).mean())", names="answer[0]"),
        Mutant(
            "only predicted is dropped", "absent = np.isnan(iou)", "absent = np.nan_to_num(iou) == 0", names="answer"
        ),
        Mutant("present ids listed", "np.flatnonzero(absent)", "np.flatnonzero(~absent)", names="answer[1]"),
        Mutant(
            "exchanged",
            "return float(iou[~absent].mean()), np.flatnonzero(absent).tolist()",
            "return np.flatnonzero(absent).tolist(), float(iou[~absent].mean())",
            names="answer[0] should be a number",
        ),
        Mutant("numpy's own mean", _MEAN, "np.nanmean(iou)"),
    ],
    "02.5": [
        Mutant("accuracy itself", "accuracy / (2 - accuracy)", "accuracy", names="0.5, and should be 0.333333"),
        Mutant("errors counted once", "(2 - accuracy)", "(accuracy + 1 - accuracy)", names="0.333333"),
        Mutant("Dice", "accuracy / (2 - accuracy)", "2 * accuracy / (1 + accuracy)", names="0.666667"),
        Mutant("a sum below", "2 - accuracy", "2 + accuracy", names="and should be 1"),
        Mutant("errors counted three times", "2 - accuracy", "3 - 2 * accuracy", names="0.25, and should be 0.333333"),
        Mutant("in percent", "accuracy / (2 - accuracy)", "100 * accuracy / (2 - accuracy)", names="is 100"),
        Mutant("written out", "accuracy / (2 - accuracy)", "accuracy / (accuracy + 2 * (1 - accuracy))"),
    ],
    "02.6": [
        Mutant(
            "exchanged",
            "return float(np.mean(each)), mean_iou(matrices.sum(0))[0]",
            "return mean_iou(matrices.sum(0))[0], float(np.mean(each))",
            names="answer[0]",
        ),
        Mutant("the average twice", "mean_iou(matrices.sum(0))[0]", "float(np.mean(each))", names="answer[1]"),
        Mutant("added over the wrong axis", "matrices.sum(0)", "matrices.sum(1)", names="answer[1]"),
        Mutant(
            "classes first",
            "float(np.mean(each))",
            "float(np.mean(np.nan_to_num(np.mean([iou_per_class(m) for m in matrices], axis=0))))",
            names="answer[0]",
        ),
        Mutant(
            "absent counts as 0",
            _EACH,
            "each = [np.nan_to_num(iou_per_class(m)).mean() for m in matrices]",
            names="answer[0]",
        ),
        Mutant("accuracy of each image", _EACH, "each = [np.trace(m) / m.sum() for m in matrices]", names="answer[0]"),
        Mutant("averaged counts give the same whole", "matrices.sum(0)", "matrices.mean(0)"),
    ],
}
