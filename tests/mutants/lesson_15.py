"""Lesson 15: wrong answers that `check` must refuse, and a few right ones in other words."""

from mutants import Mutant

_SUM = "(weights * maps).sum(1)[0].relu().detach()"
_GRAD = "(slopes,) = torch.autograd.grad(y, maps)"
_SCORE = "y = rest(maps)[0, class_id][region].sum()"
_BADNESS = """held = [iou for iou, n in zip(scores.per_class_iou, scores.support) if n]
    return 1 - np.mean(held)"""
_LOOP = """shares = []
    for k in range(label.shape[1]):
        rolled = np.roll(label, k, axis=1)
        shares.append((rolled == mask)[rolled != 255].mean())
    return int(np.argmax(shares))"""
_BORDER = """near = np.zeros(label.shape, bool)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (label[a] != label[b]) & (label[a] != 255) & (label[b] != 255)
        near[a] |= differ
        near[b] |= differ"""
_GROW = """away = np.full(label.shape, farthest + 1)
    for distance in range(1, farthest + 1):
        away[near & (away > distance)] = distance
        wide = torch.from_numpy(near)[None, None].float()
        near = torch.nn.functional.max_pool2d(wide, 3, 1, 1)[0, 0].numpy() > 0"""

MUTANTS = {
    "15.1": [
        Mutant("no ReLU", ".relu().detach()", ".detach()", "some values are below 0"),
        Mutant("ReLU before the sum", _SUM, "(weights * maps).relu().sum(1)[0].detach()", "yours comes before"),
        Mutant("ReLU of the weights", "(weights * maps)", "(weights.relu() * maps)", "only negative weights set to 0"),
        Mutant("size of the weights", "(weights * maps)", "(weights.abs() * maps)", "has no such weights"),
        Mutant("slopes times map", "(weights * maps)", "(slopes * maps)", "yours multiplies place by place"),
        Mutant("slopes alone", "(weights * maps)", "slopes", "the map itself is missing"),
        Mutant("sum of slopes", ".mean((2, 3), keepdim=True)", ".sum((2, 3), keepdim=True)", "yours is their sum"),
        Mutant("mean over channels", ".sum(1)[0]", ".mean(1)[0]", "yours takes their mean"),
        Mutant("mean over the region", "[region].sum()", "[region].mean()", "the logits are summed over the region"),
        Mutant("whole picture", "[region].sum()", ".sum()", "yours takes the whole picture"),
        Mutant("all classes", "[0, class_id][region]", "[0, :, region]", "sums those of all classes"),
        Mutant("another class", "[0, class_id]", "[0, class_id - 1]", "of a made-up map your heat is"),
        Mutant("with the batch", ".sum(1)[0]", ".sum(1)", "your heat map has the shape (1, 5, 7)"),
        Mutant("no gradient asked", "maps = maps.detach().requires_grad_()", "pass", "does not require grad"),
        Mutant("nothing returned", f"return {_SUM}", _SUM, "is the return missing"),
        Mutant(
            "gradients add up",
            f"maps = maps.detach().requires_grad_()\n    {_SCORE}\n    {_GRAD}",
            f"maps.requires_grad_()\n    {_SCORE}\n    y.backward()\n    slopes = maps.grad",
            "asked twice, it gives two answers",
        ),
        Mutant(
            "the maps are spoilt",
            "maps = maps.detach().requires_grad_()",
            "maps.mul_(2)\n    maps = maps.detach().requires_grad_()",
            "changed",
        ),
        Mutant(
            "right: backward on a copy",
            f"maps = maps.detach().requires_grad_()\n    {_SCORE}\n    {_GRAD}",
            f"maps = maps.clone().detach().requires_grad_()\n    {_SCORE}\n    y.backward()\n    slopes = maps.grad",
        ),
        Mutant("right: einsum", _SUM, 'torch.einsum("nkab,nkij->ij", weights, maps).clamp(min=0).detach()'),
        Mutant("right: with its gradient, unasked", ".relu().detach()", ".relu()"),
        Mutant("right: a mask instead of an index", "[region].sum()", ".mul(region).sum()"),
        Mutant("right: an array", ".relu().detach()", ".relu().detach().numpy()"),
    ],
    "15.2": [
        Mutant("no copy", "copy.deepcopy(model)", "model", "make a copy"),
        Mutant("shallow copy", "copy.deepcopy(model)", "copy.copy(model)", "make a copy"),
        Mutant(
            "both random", "ours.alike(trained, heat(random))", "ours.alike(heat(random), heat(random))", "all are 1.00"
        ),
        Mutant(
            "a new copy for every layer",
            "ours.randomise(random, name)",
            "random = copy.deepcopy(model)\n        ours.randomise(random, name)",
            "go on with one copy",
        ),
        Mutant(
            "from the first layer on", "for name in layers:", "for name in layers[::-1]:", "in the order of the list"
        ),
        Mutant(
            "against the map before",
            "found.append(ours.alike(trained, heat(random)))",
            "now = heat(random)\n        found.append(ours.alike(trained, now))\n        trained = now",
            "is every map compared with the trained network's",
        ),
        Mutant(
            "the last one only",
            "        found.append(ours.alike(trained, heat(random)))",
            "        pass\n    found.append(ours.alike(trained, heat(random)))",
            "your list has 1 numbers",
        ),
        Mutant("one number", "return found", "return found[-1]", "give a list of numbers"),
        Mutant(
            "right: the trained map anew every time",
            "ours.alike(trained, heat(random))",
            "ours.alike(heat(random), heat(model))",
        ),
        Mutant(
            "right: a new copy, all layers so far",
            "ours.randomise(random, name)",
            "random = copy.deepcopy(model)\n        for n in layers[: len(found) + 1]:\n"
            "            ours.randomise(random, n)",
        ),
        Mutant("right: an array", "return found", "return np.array(found)"),
    ],
    "15.3": [
        Mutant("as the paper says", 'return "c"', 'return "a"', "about a fifth of the heat"),
        Mutant("no effect", 'return "c"', 'return "b"', "five trainings of one seed"),
        Mutant("lightness", 'return "c"', 'return "d"', "divided by its own largest value"),
        Mutant("no such letter", 'return "c"', 'return "e"', "no reading 'e'"),
        Mutant("a sentence", 'return "c"', 'return "cannot be judged"', "no reading"),
        Mutant("right: by a variable", 'return "c"', 'letter = "abcd"[2]\n    return letter'),
    ],
    "15.4": [
        Mutant("one side of a border", "near[b] |= differ", "pass", "five pixels of one class beside five"),
        Mutant(
            "counted from 0", "range(1, farthest + 1)", "range(0, farthest + 1)", "are [5, 4, 3, 2, 1, 1, 2, 3, 4, 5]"
        ),
        Mutant(
            "void makes a border",
            " & (label[a] != 255) & (label[b] != 255)",
            "",
            "beside void is no border",
        ),
        Mutant("void has a distance", "np.where(label == 255, 0, away)", "away", "void pixels are 0"),
        Mutant(
            "a cross for a square",
            _GROW,
            "from scipy.ndimage import distance_transform_cdt as far\n    away = np.full(label.shape, farthest + 1)\n"
            '    if near.any():\n        away = np.minimum(far(~near, "taxicab") + 1, farthest + 1)',
            "a diagonal step from there, at 2; yours says 3",
        ),
        Mutant(
            "corners are neighbours",
            "near = np.zeros(label.shape, bool)",
            "near = np.zeros(label.shape, bool)\n    a, b = label[1:, 1:], label[:-1, :-1]\n"
            "    corner = (a != b) & (a != 255) & (b != 255)\n    near[1:, 1:] |= corner\n    near[:-1, :-1] |= corner",
            "touches it at a corner only",
        ),
        Mutant(
            "farthest itself",
            "np.full(label.shape, farthest + 1)",
            "np.full(label.shape, farthest)",
            "all beyond are 4",
        ),
        Mutant(
            "columns only",
            "((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1]))",
            "((np.s_[:, 1:], np.s_[:, :-1]),)",
            "look at borders between rows, too",
        ),
        Mutant(
            "the label is spoilt",
            "near = np.zeros(label.shape, bool)",
            "label[label == 255] = 0\n    near = np.zeros(label.shape, bool)",
            "changes the label",
        ),
        Mutant(
            "right: a distance transform",
            _GROW,
            "from scipy.ndimage import distance_transform_cdt as far\n    away = np.full(label.shape, farthest + 1)\n"
            '    if near.any():\n        away = np.minimum(far(~near, "chessboard") + 1, farthest + 1)',
        ),
        Mutant(
            "right: scipy grows",
            "wide = torch.from_numpy(near)[None, None].float()\n"
            "        near = torch.nn.functional.max_pool2d(wide, 3, 1, 1)[0, 0].numpy() > 0",
            "from scipy.ndimage import binary_dilation\n        near = binary_dilation(near, np.ones((3, 3)))",
        ),
        Mutant(
            "right: pixel by pixel",
            _BORDER,
            "near = np.zeros(label.shape, bool)\n    for y, x in np.ndindex(label.shape):\n"
            "        for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):\n"
            "            if 0 <= v < label.shape[0] and 0 <= u < label.shape[1]:\n"
            "                near[y, x] |= label[y, x] != label[v, u] and 255 not in (label[y, x], label[v, u])",
        ),
        Mutant(
            "right: small numbers",
            "np.where(label == 255, 0, away)",
            "np.where(label == 255, 0, away).astype(np.uint8)",
        ),
    ],
    "15.5": [
        Mutant(
            "share of wrong pixels",
            _BADNESS,
            "return (mask != label)[label != 255].mean()",
            "the only person is lost (8 pixels)",
        ),
        Mutant(
            "void is judged",
            _BADNESS,
            "return (mask != label).mean() + (mask != label)[label == 9].sum()",
            "whose lower part is void",
        ),
        Mutant(
            "over all eleven",
            _BADNESS,
            "ious = [iou for iou, n in zip(scores.per_class_iou, scores.support) if n]\n    return 1 - sum(ious) / 11",
            "Classes that a street does not hold must not count",
        ),
        Mutant("absent ones too", _BADNESS, "return 1 - np.mean(scores.per_class_iou)", "a frame's badness is nan"),
        Mutant("goodness", "return 1 - np.mean(held)", "return np.mean(held)", "more must be worse"),
        Mutant(
            "persons only",
            _BADNESS,
            "return 1 - scores.per_class_iou[9] if scores.support[9] else 0.0",
            "more must be worse",
        ),
        Mutant(
            "right: the worst class",
            "return 1 - np.mean(held)",
            "return 1 - min(held)",
        ),
        Mutant(
            "right: error of each class",
            _BADNESS,
            "return float(np.mean([(mask != label)[label == c].mean() for c in np.unique(label) if c != 255]))",
        ),
        Mutant(
            "right: persons count a hundred times",
            _BADNESS,
            "wrong = (mask != label) & (label != 255)\n    return int(wrong.sum() + 99 * wrong[label == 9].sum())",
        ),
    ],
    "15.6": [
        Mutant("to the left", "np.roll(label, k, axis=1)", "np.roll(label, -k, axis=1)", "roll it to the right"),
        Mutant("up and down", "axis=1", "axis=0", "yours says"),
        Mutant("rolled without an axis", "np.roll(label, k, axis=1)", "np.roll(label, 3 * k)", "yours says"),
        Mutant("near shifts only", "range(label.shape[1])", "range(10)", "moved 31 of 40 pixels"),
        Mutant("the void of the label as given", "[rolled != 255]", "[label != 255]", "void moves, too"),
        Mutant("least agreement", "np.argmax(shares)", "np.argmin(shares)", "this label is right, so the answer is 0"),
        Mutant("the share, not the place", "int(np.argmax(shares))", "max(shares)", "give a whole number of pixels"),
        Mutant(
            "the label is spoilt",
            "rolled = np.roll(label, k, axis=1)",
            "label[label == 255] = 254\n        rolled = np.roll(label, k, axis=1)",
            "changes the label",
        ),
        Mutant(
            "right: most pixels",
            _LOOP,
            "width = label.shape[1]\n    return max(range(width), key=lambda k: (np.roll(label, k, 1) == mask).sum())",
        ),
        Mutant(
            "right: to the left, counted below 0",
            _LOOP,
            "width = label.shape[1]\n    found = [(np.roll(label, -k, 1) == mask).sum() for k in range(width)]\n"
            "    return -int(np.argmax(found))",
        ),
        Mutant(
            "right: the mask is rolled",
            _LOOP,
            "found = [(np.roll(mask, -k, 1) == label).sum() for k in range(label.shape[1])]\n"
            "    return np.argmax(found)",
        ),
    ],
}
