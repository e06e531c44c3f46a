"""Lesson 00: wrong answers that `check` must refuse, and a few right ones in other words."""

from mutants import Mutant

MUTANTS = {
    "00.1": [
        Mutant(
            "reshape for permute",
            "colors.permute(2, 0, 1)[None]",
            "colors.reshape(1, 3, *image.shape[:2])",
            "most at [0, 0, 0, 1]: 3 instead of -1",
        ),
        Mutant(
            "height and width swapped",
            "permute(2, 0, 1)",
            "permute(2, 1, 0)",
            "(1, 3, 9, 6), and should have (1, 3, 6, 9)",
        ),
        Mutant("no batch dimension", "[None]", "", "(3, 6, 9), and should have (1, 3, 6, 9)"),
        Mutant("not divided by 255", ".float() / 255", ".float()", "sub"),
        Mutant("divided by 256", "/ 255", "/ 256", "div"),
        Mutant("deviation missing", " / std", "", "div"),
        Mutant("mean and deviation swapped", "- mean) / std", "- std) / mean", "colors = (colors - std) / mean"),
        Mutant(
            "red and blue swapped",
            "torch.from_numpy(image)",
            "torch.from_numpy(image[:, :, ::-1].copy())",
            "most at [0, 0, 0, 6]: -1 instead of 1",
        ),
        Mutant(
            "right: permuted first", "return colors.permute(2, 0, 1)[None]", "return colors[None].permute(0, 3, 1, 2)"
        ),
    ],
    "00.2": [
        Mutant(
            "classes chosen before the resize",
            "fine = resize(logits, size)",
            "fine = torch.eye(11)[logits.argmax(1)].permute(0, 3, 1, 2)\n    fine = resize(fine, size, 'nearest')",
            "torch.eye(11)[logits.argmax(1)]",
        ),
        Mutant("nearest for bilinear", "resize(logits, size)", "resize(logits, size, mode='nearest')", "interpolate"),
        Mutant("corners aligned", "resize(logits, size)", "resize(logits, size, align_corners=True)", "interpolate"),
        Mutant("smallest wins", "argmax", "argmin", "argmin"),
        Mutant(
            "height and width swapped",
            "resize(logits, size)",
            "resize(logits, size[::-1])",
            "(45, 38), and should have (38, 45)",
        ),
        Mutant("batch dimension kept", "argmax(1)[0]", "argmax(1)", "(1, 38, 45), and should have (38, 45)"),
        Mutant("largest along the rows", "argmax(1)", "argmax(2)", "shape"),
        Mutant("right: probabilities first", "fine = resize(logits, size)", "fine = resize(logits, size).softmax(1)"),
    ],
    "00.3": [
        Mutant("overflow", "(logits - highest)", "logits", "nan"),
        Mutant("smallest taken off", "logits.amax(1, keepdim=True)", "logits.amin(1, keepdim=True) - 800", "amin"),
        Mutant("sum over the image", "powers.sum(1)[0]", "powers.sum((2, 3))[0].sum()", "sum"),
        Mutant("least likely class", "powers.amax(1)", "powers.amin(1)", "amin"),
        Mutant(
            "a logit, no probability",
            "return powers.amax(1)[0] / powers.sum(1)[0]",
            "return logits.amax(1)[0]",
            "8.22844 instead of 0.978752",
        ),
        Mutant(
            "first class, not the likeliest",
            "powers.amax(1)[0]",
            "powers[0, 0]",
            "most at [3, 4]: 4.2167e-06 instead of 0.986733",
        ),
        Mutant(
            "all classes",
            "powers.amax(1)[0] / powers.sum(1)[0]",
            "(powers / powers.sum(1))[0]",
            "(11, 5, 6), and should have (5, 6)",
        ),
        Mutant("right: one over the sum", "powers.amax(1)[0] / powers.sum(1)[0]", "1 / powers.sum(1)[0]"),
        Mutant(
            "right: PyTorch's own",
            "return powers.amax(1)[0] / powers.sum(1)[0]",
            "return torch.softmax(logits, 1).amax(1)[0]",
        ),
    ],
    "00.4": [
        Mutant("lower pixel only", "edge[:-1] |= down", "pass", "0 instead of 1"),
        Mutant("upper pixel only", "edge[1:] |= down", "pass", "0 instead of 1"),
        Mutant("rows only", "edge[:, 1:] |= right\n    edge[:, :-1] |= right", "pass", "0 instead of 1"),
        Mutant("void below makes an edge", " & (ids[1:] != 255)", "", "1 instead of 0"),
        Mutant("void at the left makes an edge", " & (ids[:, :-1] != 255)", "", "1 instead of 0"),
        Mutant(
            "the border wraps round",
            "down = (ids[1:] != ids[:-1])",
            "edge[0] |= ids[0] != ids[-1]\n    down = (ids[1:] != ids[:-1])",
            "1 instead of 0",
        ),
        Mutant("inside out", "return edge", "return ~edge", "most at [0, 0]: 1 instead of 0"),
        Mutant("one row too few", "return edge", "return edge[1:]", "(2, 4), and should have (3, 4)"),
        Mutant("right: exclusive or for unequal", "(ids[1:] != ids[:-1])", "((ids[1:] ^ ids[:-1]) > 0)"),
    ],
    "00.5": [
        Mutant("mean", "np.median", "np.mean", "and should be 9.52"),
        Mutant("warm-up counted", "seconds[warm_up:]", "seconds", "and should be 9.52"),
        Mutant("always three", "seconds[warm_up:]", "seconds[3:]", "and should be 40"),
        Mutant("sorted first", "seconds[warm_up:]", "sorted(seconds)[warm_up:]", "and should be 9.52"),
        Mutant(
            "median of the rates",
            "1 / float(np.median(seconds[warm_up:]))",
            "float(np.median(1 / np.array(seconds[warm_up:])))",
            "and should be 9.52",
        ),
        Mutant("seconds, not frames", "1 / float", "float", "and should be 9.52"),
        Mutant("best call", "np.median", "np.min", "and should be 9.52"),
        Mutant("last calls dropped", "seconds[warm_up:]", "seconds[:-warm_up]", "and should be 9.52"),
        Mutant("right: numpy's quantile", "np.median(seconds[warm_up:])", "np.quantile(seconds[warm_up:], 0.5)"),
    ],
}
