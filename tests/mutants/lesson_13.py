"""Wrong answers to lesson 13's exercises, and a few that are right in another way."""

from mutants import Mutant

_ROW = "valid[-1] = 0"
_OWN = "nineteen = iou_per_class(valid)[:-1]"
_ADD = "matrix += confusion(predict(image), label, classes)"
_HELD = "held = {streets[i] for i in order[: max(1, round(len(streets) / 10))]}"
_VAL = 'val = [name for name in sorted(names) if name.split("_")[0] in held]'

MUTANTS = {
    "13.1": [
        Mutant("the column instead", _ROW, "valid[:, -1] = 0", "answer[2]"),
        Mutant("row and column", _ROW, "valid[-1] = 0\n    valid[:, -1] = 0", "answer[2]"),
        Mutant("nothing is void", _ROW, "pass", "answer[2]"),
        Mutant("given matrix changed", "matrix.copy()", "matrix", "changed"),
        Mutant("no nan", "means = np.nanmean(twenty),", "means = np.mean(twenty),", "answer[0]"),
        Mutant("absent as zero", "means = np.nanmean(twenty),", "means = np.nan_to_num(twenty).mean(),", "answer[0]"),
        Mutant("background in the third", _OWN, "nineteen = iou_per_class(valid)", "answer[2]"),
        Mutant("first left out", "twenty[:-1]", "twenty[1:]", "answer[1]"),
        Mutant("19 fixed, not the last", "twenty[:-1]", "twenty[:19]", "answer[1]"),
        Mutant("cut out, with the column as misses, right as well", _ROW, "valid[len(matrix) - 1, :] = 0"),
        Mutant("another copy, right as well", "matrix.copy()", "np.array(matrix)"),
    ],
    "13.2": [
        Mutant("against SCTNet", 'return "d"', 'return "a"', "20 classes"),
        Mutant("background", 'return "d"', 'return "b"', "1.59"),
        Mutant("every class", 'return "d"', 'return "c"', "bars"),
        Mutant("no letter", 'return "d"', 'return "few"', "reading"),
        Mutant("upper case", 'return "d"', 'return "D"', "reading"),
        Mutant("single quotes, right as well", 'return "d"', "return 'd'"),
        Mutant("two steps, right as well", 'return "d"', 'answer = "abcd"[-1]\n    return answer'),
    ],
    "13.3": [
        Mutant(
            "mean over images",
            "return mean_iou(matrix)[0]",
            "return float(np.mean([mean_iou(confusion(predict(i), x, classes))[0] for i, x in frames]))",
            "answer",
        ),
        Mutant(
            "cropped", _ADD, "matrix += confusion(predict(image[3:-3, 4:-4]), label[3:-3, 4:-4], classes)", "answer"
        ),
        Mutant(
            "whole image in, middle scored",
            _ADD,
            "matrix += confusion(predict(image)[3:-3, 4:-4], label[3:-3, 4:-4], classes)",
            "answer",
        ),
        Mutant("the last frame only", _ADD, "matrix = confusion(predict(image), label, classes)", "answer"),
        Mutant("the pair", "return mean_iou(matrix)[0]", "return mean_iou(matrix)", "answer"),
        Mutant(
            "prediction and truth exchanged",
            _ADD,
            "matrix += confusion(np.where(label == VOID, 0, label), predict(image), classes)",
            "answer",
        ),
        Mutant("percent", "return mean_iou(matrix)[0]", "return 100 * mean_iou(matrix)[0]", "answer"),
        Mutant(
            "absent as zero",
            "return mean_iou(matrix)[0]",
            "return float(np.nan_to_num(iou_per_class(matrix)).mean())",
            "answer",
        ),
        Mutant(
            "sum of a list, right as well",
            "return mean_iou(matrix)[0]",
            "return mean_iou(sum([confusion(predict(i), x, classes) for i, x in frames]))[0]",
        ),
        Mutant(
            "nanmean, right as well", "return mean_iou(matrix)[0]", "return float(np.nanmean(iou_per_class(matrix)))"
        ),
    ],
    "13.4": [
        Mutant(
            "random frames",
            'streets = sorted({name.split("_")[0] for name in names})',
            "cut = len(names) // 10\n"
            "    mixed = list(np.random.default_rng(seed).permutation(sorted(names)))\n"
            "    return mixed[cut:], mixed[:cut]\n"
            "    streets = []",
            "both sides",
        ),
        Mutant("a half", "/ 10", "/ 2", "tenth"),
        Mutant("val empty", _HELD, "held = set()", "tenth"),
        Mutant(
            "val in train, too",
            'train = [name for name in sorted(names) if name.split("_")[0] not in held]',
            "train = sorted(names)",
            "once",
        ),
        Mutant("frames lost", _VAL, _VAL.replace("sorted(names)", "sorted(names)[::2]"), "once"),
        Mutant("seed ignored", "default_rng(seed)", "default_rng(0)", "the seed does nothing"),
        Mutant("no seed at all", "default_rng(seed)", "default_rng()", "split"),
        Mutant(
            "in the order given",
            'streets = sorted({name.split("_")[0] for name in names})',
            'streets = list(dict.fromkeys(name.split("_")[0] for name in names))',
            "another order",
        ),
        Mutant(
            "choice, right as well",
            _HELD,
            "held = set(np.random.default_rng(seed).choice(streets, len(streets) // 10, replace=False).tolist())",
        ),
        Mutant("any order of frames, right as well", _VAL, _VAL.replace("sorted(names)", "reversed(list(names))")),
    ],
    "13.5": [
        Mutant("rival better", 'return "c"', 'return "a"', "other pictures"),
        Mutant("rival worse", 'return "c"', 'return "b"', "measures"),
        Mutant("trained on", 'return "c"', 'return "d"', "both sides"),
        Mutant("no letter", 'return "c"', 'return "none"', "reading"),
        Mutant("upper case", 'return "c"', 'return "C"', "reading"),
        Mutant("single quotes, right as well", 'return "c"', "return 'c'"),
        Mutant("two steps, right as well", 'return "c"', 'answer = "abc"[-1]\n    return answer'),
    ],
}
