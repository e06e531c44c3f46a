"""Lesson 15 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "15.1": [
        Style(
            "einsum",
            """
def heat_map(maps, rest, class_id, region):
    leaf = maps.clone().detach()
    leaf.requires_grad = True
    score = (rest(leaf)[0, class_id] * region).sum()
    slope = torch.autograd.grad(score, leaf)[0]
    alpha = slope[0].flatten(1).mean(1)
    return torch.einsum("k,khw->hw", alpha, leaf.detach()[0]).clamp(min=0)
""",
            Slip("no ReLU", ".clamp(min=0)", "", names=("relu",)),
            Slip("whole picture", " * region).sum()", ").sum()", names=("whole picture",)),
            Slip(
                "sum of the slopes",
                "slope[0].flatten(1).mean(1)",
                "slope[0].flatten(1).sum(1)",
                names=("yours is their sum",),
            ),
        ),
        Style(
            "backward on a fresh leaf",
            """
def heat_map(maps, rest, class_id, region):
    a = maps.detach().clone().requires_grad_(True)
    logits = rest(a)
    logits[0][class_id].masked_select(region).sum().backward()
    g = a.grad[0]
    heat = torch.zeros_like(g[0])
    for k in range(len(g)):
        heat = heat + g[k].mean() * a[0, k].detach()
    return torch.maximum(heat, torch.zeros_like(heat))
""",
            Slip(
                "no copy",
                "maps.detach().clone().requires_grad_(True)",
                "maps.requires_grad_(True)",
                names=("asked twice",),
            ),
            Slip(
                "mean over the region",
                "masked_select(region).sum()",
                "masked_select(region).mean()",
                names=("yours takes their mean",),
            ),
            Slip("last channel alone", "heat = heat + g[k]", "heat = g[k]"),
            Slip("place by place", "g[k].mean() * a", "g[k] * a", names=("place by place",)),
        ),
        Style(
            "numpy in the end",
            """
def heat_map(maps, rest, class_id, region):
    with torch.enable_grad():
        z = maps.detach().requires_grad_()
        asked = rest(z)[:, class_id]
        d, = torch.autograd.grad(asked[:, region].sum(), [z])
    weights = d.numpy().mean(axis=(2, 3))[0]
    values = np.tensordot(weights, maps.detach().numpy()[0], axes=1)
    return np.where(values > 0, values, 0)
""",
            Slip("below 0 kept", "np.where(values > 0, values, 0)", "np.abs(values)", names=("the other sign (abs)",)),
            Slip("all classes", "asked = rest(z)[:, class_id]", "asked = rest(z).sum(1)", names=("all classes",)),
        ),
        Style(
            "relu of a matrix product",
            """
def heat_map(maps, rest, class_id, region):
    K, h, w = maps.shape[1:]
    source = maps.detach().requires_grad_()
    picked = rest(source)[0, class_id, region]
    slopes = torch.autograd.grad(picked.sum(), source)[0].view(K, h * w)
    pooled = slopes.sum(dim=1) / (h * w)
    flat = pooled @ source.detach().view(K, h * w)
    return torch.relu(flat).view(h, w)
""",
            Slip(
                "ReLU of the weights",
                "torch.relu(flat)",
                "(torch.relu(pooled) @ source.detach().view(K, h * w))",
                names=("only negative weights set to 0",),
            ),
            Slip(
                "divided by the channels",
                "slopes.sum(dim=1) / (h * w)",
                "slopes.sum(dim=1) / K",
                names=("divides by that of the channels",),
            ),
            Slip("transposed", ".view(h, w)", ".view(h, w).T", names=("has the shape",)),
        ),
        Style(
            "gradient of the logits, given as grad_outputs",
            """
def heat_map(maps, rest, class_id, region):
    x = maps.detach().requires_grad_()
    out = rest(x)
    ask = torch.zeros_like(out)
    ask[0, class_id] = region.to(out.dtype)
    (dx,) = torch.autograd.grad(out, x, grad_outputs=ask)
    per_channel = torch.nn.functional.adaptive_avg_pool2d(dx, 1)
    weighted = per_channel * x
    return weighted.sum(dim=1).squeeze(0).relu().detach()
""",
            Slip(
                "mean over the channels",
                "weighted.sum(dim=1)",
                "weighted.mean(dim=1)",
                names=("yours takes their mean",),
            ),
            Slip(
                "maximum pool",
                "adaptive_avg_pool2d(dx, 1)",
                "adaptive_max_pool2d(dx, 1)",
                names=("yours is the largest",),
            ),
            Slip(
                "ReLU before",
                "weighted = per_channel * x",
                "weighted = (per_channel * x).relu()",
                names=("yours comes before",),
            ),
            Slip("without the maps", "weighted = per_channel * x", "weighted = dx", names=("map itself is missing",)),
        ),
    ],
    "15.2": [
        Style(
            "list comprehension with a helper",
            """
def sanity(model, heat, layers):
    first = heat(model)
    spoilt = copy.deepcopy(model)

    def after(name):
        ours.randomise(spoilt, name)
        return ours.alike(first, heat(spoilt))

    return [after(name) for name in layers]
""",
            Slip("no copy", "copy.deepcopy(model)", "model", names=("make a copy",)),
            Slip("flat copy", "copy.deepcopy(model)", "copy.copy(model)", names=("deepcopy",)),
            Slip(
                "map of the spoilt one",
                "ours.alike(first, heat(spoilt))",
                "ours.alike(heat(spoilt), heat(spoilt))",
                names=("one and the same network",),
            ),
        ),
        Style(
            "a fresh copy each time, all layers up to here",
            """
def sanity(model, heat, layers):
    likeness = []
    for end in range(1, len(layers) + 1):
        other = copy.deepcopy(model)
        for name in layers[:end]:
            ours.randomise(other, name)
        likeness.append(ours.alike(heat(model), heat(other)))
    return likeness
""",
            Slip("each by itself", "layers[:end]", "layers[end - 1 : end]", names=("by itself",)),
            Slip("one layer behind", "range(1, len(layers) + 1)", "range(len(layers))", names=("one layer behind",)),
            Slip("one too few", "range(1, len(layers) + 1)", "range(1, len(layers))", names=("has 2 numbers",)),
        ),
        Style(
            "maps first, likeness afterwards",
            """
def sanity(model, heat, layers):
    twin, maps = copy.deepcopy(model), [heat(model)]
    for layer in layers:
        ours.randomise(twin, layer)
        maps.append(heat(twin))
    reference, *others = maps
    return [ours.alike(reference, m) for m in others]
""",
            Slip(
                "to the map before",
                "ours.alike(reference, m) for m in others",
                "ours.alike(a, b) for a, b in zip(maps, others)",
                names=("compared with the trained",),
            ),
            Slip("trained map counted, too", "for m in others", "for m in maps", names=("has 4 numbers",)),
            Slip(
                "from the end", "for layer in layers:", "for layer in reversed(layers):", names=("begins at its end",)
            ),
        ),
        Style(
            "weights put back",
            """
def sanity(model, heat, layers):
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    trained = heat(model)
    found = np.zeros(len(layers))
    for k, name in enumerate(layers):
        ours.randomise(model, name)
        found[k] = ours.alike(trained, heat(model))
    model.load_state_dict(kept)
    return found
""",
            Slip("values not copied", "value.clone()", "value", names=("make a copy",)),
            Slip(
                "put back too early",
                "found[k] = ours.alike(trained, heat(model))\n",
                "found[k] = ours.alike(trained, heat(model))\n        model.load_state_dict(kept)\n",
                names=("by itself",),
            ),
            Slip("not put back", "    model.load_state_dict(kept)\n", "", names=("given is random",)),
        ),
        Style(
            "a generator",
            """
def sanity(model, heat, layers):
    def steps():
        random = copy.deepcopy(model)
        for name in layers:
            ours.randomise(random, name)
            yield heat(random)

    return tuple(map(lambda h: ours.alike(heat(model), h), steps()))
""",
            Slip(
                "one number",
                "return tuple(map(lambda h: ours.alike(heat(model), h), steps()))",
                "return np.mean([ours.alike(heat(model), h) for h in steps()])",
                names=("give a list",),
            ),
            Slip(
                "heat before the layer",
                "ours.randomise(random, name)\n            yield heat(random)",
                "yield heat(random)\n            ours.randomise(random, name)",
            ),
        ),
    ],
    "15.3": readings("fig_8", "c", a="column Car", b="no effect"),
    "15.4": [
        Style(
            "scipy's chessboard distance",
            """
def boundary_distance(label, farthest):
    from scipy.ndimage import distance_transform_cdt
    known = label != 255
    edge = np.zeros(label.shape, dtype=bool)
    beside = (label[:, 1:] != label[:, :-1]) & known[:, 1:] & known[:, :-1]
    edge[:, 1:] |= beside
    edge[:, :-1] |= beside
    below = (label[1:] != label[:-1]) & known[1:] & known[:-1]
    edge[1:] |= below
    edge[:-1] |= below
    if not edge.any():
        return np.where(known, farthest + 1, 0)
    steps = distance_transform_cdt(~edge, metric="chessboard") + 1
    return np.where(known, np.minimum(steps, farthest + 1), 0)
""",
            Slip("steps round the corner", '"chessboard"', '"taxicab"', names=("diagonal step",)),
            Slip("border at 0", 'metric="chessboard") + 1', 'metric="chessboard")', names=("counted from 0",)),
            Slip("one side", "    edge[1:] |= below\n", "", names=("borders between rows",)),
            Slip("void makes a border", "& known[:, 1:] & known[:, :-1]", "", names=("beside void is no border",)),
        ),
        Style(
            "by shifted copies",
            """
def boundary_distance(label, farthest):
    H, W = label.shape
    wide = np.pad(label.astype(int), 1, constant_values=255)
    middle = wide[1:-1, 1:-1]
    border = np.zeros((H, W), bool)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other = wide[1 + dy : 1 + dy + H, 1 + dx : 1 + dx + W]
        border |= (other != middle) & (other != 255) & (middle != 255)
    result = np.full((H, W), farthest + 1)
    reached = border
    for d in range(1, farthest + 1):
        result[reached & (result > farthest)] = d
        grown = np.pad(reached, 1)
        reached = np.any([grown[y : y + H, x : x + W] for y in range(3) for x in range(3)], axis=0)
    result[label == 255] = 0
    return result
""",
            Slip("last ring forgotten", "range(1, farthest + 1)", "range(1, farthest)", names=("farthest=3",)),
            Slip(
                "corners make a border",
                "((0, 1), (0, -1), (1, 0), (-1, 0))",
                "((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1))",
                names=("at a corner only",),
            ),
            Slip("void at the farthest", "    result[label == 255] = 0\n", "", names=("void pixels are 0",)),
            Slip(
                "grown by a cross",
                "for y in range(3) for x in range(3)]",
                "for y, x in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1))]",
                names=("diagonal step",),
            ),
        ),
        Style(
            "torch, growing and counting",
            """
def boundary_distance(label, farthest):
    t = torch.from_numpy(label.astype(np.int64))
    ok = t != 255
    near = torch.zeros_like(ok)
    for axis in (0, 1):
        n = t.shape[axis]
        a, b = t.narrow(axis, 0, n - 1), t.narrow(axis, 1, n - 1)
        cut = (a != b) & (a != 255) & (b != 255)
        near.narrow(axis, 0, n - 1).logical_or_(cut)
        near.narrow(axis, 1, n - 1).logical_or_(cut)
    count = near.long()
    grown = near[None, None].float()
    for _ in range(farthest - 1):
        grown = torch.nn.functional.max_pool2d(grown, 3, 1, 1)
        count += grown[0, 0].long()
    return torch.where(ok, farthest + 1 - count, 0).numpy()
""",
            Slip("grown once too often", "range(farthest - 1)", "range(farthest)"),
            Slip("rows alone", "for axis in (0, 1)", "for axis in (0,)", names=("no border was found",)),
            Slip("5×5", "max_pool2d(grown, 3, 1, 1)", "max_pool2d(grown, 5, 1, 2)", names=("two pixels a step",)),
            Slip("counted upwards", "farthest + 1 - count", "count", names=("larger towards the border",)),
        ),
        Style(
            "breadth first",
            """
def boundary_distance(label, farthest):
    h, w = label.shape
    far = np.full((h, w), farthest + 1)
    front = set()
    for y in range(h):
        for x in range(w):
            for v, u in ((y, x + 1), (y + 1, x)):
                if v < h and u < w and label[y, x] != label[v, u] and 255 not in (label[y, x], label[v, u]):
                    front |= {(y, x), (v, u)}
    for d in range(1, farthest + 1):
        for place in front:
            far[place] = d
        around = {(y + i, x + j) for y, x in front for i in (-1, 0, 1) for j in (-1, 0, 1)}
        front = {(y, x) for y, x in around if 0 <= y < h and 0 <= x < w and far[y, x] > farthest}
    far[label == 255] = 0
    return far
""",
            Slip("one side", "front |= {(y, x), (v, u)}", "front |= {(y, x)}", names=("on one side alone",)),
            Slip(
                "no diagonal steps",
                "{(y + i, x + j) for y, x in front for i in (-1, 0, 1) for j in (-1, 0, 1)}",
                "{(y + i, x + j) for y, x in front for i, j in ((0, 1), (1, 0), (0, -1), (-1, 0))}",
                names=("diagonal step",),
            ),
            Slip("begins at 0", "range(1, farthest + 1)", "range(farthest + 1)", names=("counted from 0",)),
            Slip(
                "void is a class", " and 255 not in (label[y, x], label[v, u])", "", names=("beside void is no border",)
            ),
        ),
        Style(
            "every pixel's nearest border",
            """
def boundary_distance(label, farthest):
    places = []
    for (y, x), c in np.ndenumerate(label):
        cross = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        around = [label[p] for p in cross if 0 <= p[0] < label.shape[0] and 0 <= p[1] < label.shape[1]]
        if c != 255 and any(o not in (c, 255) for o in around):
            places.append((y, x))
    result = np.empty(label.shape, int)
    places = np.array(places).reshape(-1, 2)
    for y, x in np.ndindex(label.shape):
        away = np.abs(places - (y, x)).max(1).min(initial=farthest) + 1
        result[y, x] = min(away, farthest + 1) if label[y, x] != 255 else 0
    return result
""",
            Slip("rows and columns added", ".max(1).min(", ".sum(1).min(", names=("diagonal step",)),
            Slip("one short", "min(initial=farthest) + 1", "min(initial=farthest)"),
            Slip("void seen as a neighbour", "o not in (c, 255)", "o != c", names=("beside void is no border",)),
        ),
    ],
    "15.5": [
        Style(
            "IoU class by class",
            """
def badness(mask, label):
    known = label != 255
    m, t = mask[known], label[known]
    ious = []
    for c in np.unique(t):
        ious.append(np.sum((m == c) & (t == c)) / np.sum((m == c) | (t == c)))
    return 1 - sum(ious) / len(ious)
""",
            Slip("void judged", "known = label != 255", "known = label >= 0", names=("void",)),
            Slip("goodness", "return 1 - sum(ious)", "return sum(ious)", names=("more must be worse",)),
            Slip("all eleven classes", "sum(ious) / len(ious)", "sum(ious) / 11", names=("must not count",)),
        ),
        Style(
            "share lost of each class",
            """
def badness(mask, label):
    lost = [np.mean(mask[label == c] != c) for c in set(label.ravel().tolist()) - {255}]
    return float(np.mean(lost))
""",
            Slip("void is a class", " - {255}", "", names=("void",)),
            Slip("share right", "mask[label == c] != c", "mask[label == c] == c", names=("more must be worse",)),
        ),
        Style(
            "pixels weighted by the rarity of their class",
            """
def badness(mask, label):
    counts = np.bincount(label.ravel(), minlength=256)
    weight = 1.0 / np.maximum(counts, 1)
    weight[255] = 0
    wrong = (mask != label) * weight[label]
    return wrong.sum()
""",
            Slip(
                "all pixels alike",
                "weight = 1.0 / np.maximum(counts, 1)",
                "weight = np.ones(256)",
                names=("the only person is lost",),
            ),
            Slip("void wrong", "    weight[255] = 0\n", "", names=("void",)),
        ),
        Style(
            "wrong pixels, people count ten times",
            """
def badness(mask, label):
    price = {9: 10, 10: 10}
    total = 0
    for (y, x), truth in np.ndenumerate(label):
        if truth != 255 and mask[y, x] != truth:
            total += price.get(int(truth), 1)
    return total
""",
            Slip(
                "wrong class is dear",
                "price = {9: 10, 10: 10}",
                "price = {3: 10, 4: 10}",
                names=("the only person is lost",),
            ),
            Slip("void judged", "truth != 255 and ", "", names=("void",)),
            Slip(
                "road is not judged",
                "price.get(int(truth), 1)",
                "price.get(int(truth), 0)",
                names=("more must be worse",),
            ),
        ),
        Style(
            "the worst class of the frame",
            """
def badness(mask, label):
    matrix = ConfusionMatrix(11)
    matrix.update(mask, label)
    scores = matrix.compute()
    held = np.array(scores.support) > 0
    return 1 - np.min(np.array(scores.per_class_iou)[held])
""",
            Slip("the best class", "np.min(", "np.max(", names=("the only person is lost",)),
            Slip(
                "absent classes",
                "np.array(scores.per_class_iou)[held]",
                "np.array(scores.per_class_iou)",
                names=("not in the frame",),
            ),
            Slip(
                "the first class",
                "held = np.array(scores.support) > 0",
                "held = np.arange(11) == 9",
                names=("not in the frame",),
            ),
        ),
    ],
    "15.6": [
        Style(
            "best so far",
            """
def shift(mask, label):
    best, place = -1.0, 0
    for k in range(label.shape[1]):
        moved = np.roll(label, k, 1)
        judged = moved != 255
        agree = np.count_nonzero(moved[judged] == mask[judged]) / np.count_nonzero(judged)
        if agree > best:
            best, place = agree, k
    return place
""",
            Slip("to the left", "np.roll(label, k, 1)", "np.roll(label, -k, 1)", names=("roll it to the right",)),
            Slip("rows rolled", "np.roll(label, k, 1)", "np.roll(label, k, 0)"),
            Slip("void where it was", "judged = moved != 255", "judged = label != 255", names=("void moves, too",)),
            Slip("half the width", "range(label.shape[1])", "range(label.shape[1] // 4)"),
        ),
        Style(
            "max with a key",
            """
def shift(mask, label):
    def share(k):
        rolled = np.roll(label, k, axis=1)
        return np.average(rolled == mask, weights=rolled != 255)

    return max(range(label.shape[1]), key=share)
""",
            Slip("minimum", "return max(", "return min("),
            Slip("flattened", "np.roll(label, k, axis=1)", "np.roll(label, -k)"),
            Slip("starts at 1", "range(label.shape[1])", "range(1, label.shape[1])", names=("the answer is 0",)),
        ),
        Style(
            "the mask is rolled the other way",
            """
def shift(mask, label):
    known = label != 255
    hits = [np.sum(np.roll(mask, -k, axis=1)[known] == label[known]) for k in range(mask.shape[1])]
    return hits.index(max(hits))
""",
            Slip(
                "the same way", "np.roll(mask, -k, axis=1)", "np.roll(mask, k, axis=1)", names=("roll it to the right",)
            ),
            Slip("misses", "== label[known]", "!= label[known]"),
            Slip("the largest number itself", "hits.index(max(hits))", "int(max(hits))"),
        ),
        Style(
            "columns taken by index",
            """
def shift(mask, label):
    W = label.shape[1]
    columns = (np.arange(W)[None] - np.arange(W)[:, None]) % W
    all_rolled = label[:, columns].transpose(1, 0, 2)
    valid = all_rolled != 255
    right = ((all_rolled == mask) & valid).sum((1, 2))
    return int(np.argmax(right / valid.sum((1, 2))))
""",
            Slip(
                "sign of the columns",
                "np.arange(W)[None] - np.arange(W)[:, None]",
                "np.arange(W)[None] + np.arange(W)[:, None]",
                names=("roll it to the right",),
            ),
            Slip(
                "a number with a fraction",
                "return int(np.argmax(right / valid.sum((1, 2))))",
                "return float(np.argmax(right / valid.sum((1, 2))))",
                names=("whole number",),
            ),
            Slip("not wrapped", " % W\n", "\n    columns = columns.clip(0, W - 1)\n"),
        ),
        Style(
            "by Fourier transform, class by class",
            """
def shift(mask, label):
    total = np.zeros(label.shape[1])
    for c in np.unique(label[label != 255]):
        a = np.fft.fft(mask == c, axis=1)
        b = np.fft.fft(label == c, axis=1)
        total += np.fft.ifft(a * b.conj(), axis=1).real.sum(0)
    return int(total.round().argmax())
""",
            Slip("conjugate of the other", "a * b.conj()", "a.conj() * b", names=("roll it to the right",)),
            Slip("convolution", "a * b.conj()", "a * b"),
        ),
    ],
}
