"""Lesson 20 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "20.1": [
        Style(
            "loops",
            """
def class_file(old, own):
    values = {name: [] for name in ["other", *own]}
    for value, name in enumerate(old):
        for new in own:
            if name in own[new]:
                values[new].append(value)
                break
        else:
            values["other"].append(value)
    return {"classes": [{"name": n, "id": v} for n, v in values.items()], "void": [255]}
""",
            Slip("counted from 1", "enumerate(old)", "enumerate(old, 1)", names=("Value 0",)),
            Slip("no void", '"void": [255]', '"void": []', names=("void",)),
        ),
        Style(
            "the inverse dictionary",
            """
def class_file(old, own):
    new_of = {o: n for n, olds in own.items() for o in olds}
    classes = []
    for new in (*own, "other"):
        ids = [i for i, o in enumerate(old) if new_of.get(o, "other") == new]
        classes.append({"name": new, "id": ids})
    return dict(classes=classes, void=[255])
""",
            Slip("no other", '(*own, "other")', "own", names=("these and other",)),
            Slip("names for values", "[i for i, o", "[o for i, o", names=("'Road' is no file value",)),
            Slip("void 0", "void=[255]", "void=[0]", names=("and to void",)),
        ),
        Style(
            "positions by index, what is left over by sets",
            """
def class_file(old, own):
    spec = {"void": [255], "classes": []}
    left = set(range(len(old)))
    for name in own:
        ids = sorted(old.index(n) for n in own[name])
        left -= set(ids)
        spec["classes"].append({"name": name, "id": ids})
    spec["classes"].insert(0, {"name": "other", "id": sorted(left)})
    return spec
""",
            Slip("left over is not lessened", "        left -= set(ids)\n", "", names=("given to 'other'",)),
            Slip("only the first", "own[name])", "own[name][:1])", names=("Pavement",)),
            Slip("a set", '"id": sorted(left)', '"id": left', names=("type set",)),
        ),
        Style(
            "numpy",
            """
def class_file(old, own):
    table = np.zeros(len(old), int)
    for k, names in enumerate(own.values(), start=1):
        table[np.isin(old, names)] = k
    names = ["other"] + list(own)
    return {
        "classes": [{"name": n, "id": np.flatnonzero(table == k).tolist()} for k, n in enumerate(names)],
        "void": [255],
    }
""",
            Slip("arrays in JSON", ".tolist()", "", names=("type ndarray",)),
            Slip("names moved by one", '["other"] + list(own)', 'list(own) + ["other"]', names=("and is way",)),
            Slip("other begins at 0, too", "start=1", "start=0", names=("is empty",)),
        ),
        Style(
            "a generator of pairs",
            """
def class_file(old, own):
    def pairs():
        rest = list(old)
        for new, names in own.items():
            for name in names:
                rest.remove(name)
            yield new, [old.index(name) for name in names]
        yield "other", list(map(old.index, rest))

    return {"classes": [{"id": ids, "name": new} for new, ids in pairs()], "void": [255]}
""",
            Slip("places in the rest", "list(map(old.index, rest))", "list(range(len(rest)))", names=("'other'",)),
            Slip("another key", '{"id": ids', '{"value": ids', names=("'value'",)),
            Slip("other's name", 'yield "other"', 'yield "rest"', names=("rest",)),
        ),
    ],
    "20.2": [
        Style(
            "Pillow, one drawing",
            """
from PIL import Image, ImageDraw

def to_label(shapes, size, ids):
    board = Image.new("L", size[::-1], color=255)
    draw = ImageDraw.Draw(board)
    for shape in shapes:
        draw.polygon([tuple(p) for p in shape["points"]], fill=ids[shape["label"]])
    return np.asarray(board)
""",
            Slip("width first", "size[::-1]", "tuple(size)", names=("yours is (60, 40)",)),
            Slip("y before x", "[tuple(p) for p in shape", "[tuple(p[::-1]) for p in shape"),
            Slip("ground is class 0", "color=255", "color=0", names=("nothing was drawn",)),
        ),
        Style(
            "matplotlib's paths",
            """
from matplotlib.path import Path as Outline

def to_label(shapes, size, ids):
    h, w = size
    y, x = np.mgrid[:h, :w]
    places = np.column_stack([x.ravel(), y.ravel()])
    label = np.full(h * w, 255, np.uint8)
    for shape in shapes:
        inside = Outline(np.array(shape["points"])).contains_points(places, radius=0.01)
        label[inside] = ids[shape["label"]]
    return label.reshape(h, w)
""",
            Slip("y first", "[x.ravel(), y.ravel()]", "[y.ravel(), x.ravel()]"),
            Slip("first ones above", "for shape in shapes", "for shape in shapes[::-1]", names=("lies above it",)),
            Slip("fractions", "np.uint8", "np.float32", names=("integers",)),
        ),
        Style(
            "a scan line for every row",
            """
def to_label(shapes, size, ids):
    h, w = size
    out = np.full((h, w), 255, dtype=np.uint8)
    columns = np.arange(w) + 0.5
    for shape in shapes:
        p, value = np.array(shape["points"], float), ids[shape["label"]]
        q = np.roll(p, -1, axis=0)
        for r in range(h):
            y = r + 0.5
            crosses = (p[:, 1] <= y) != (q[:, 1] <= y)
            a, b = p[crosses], q[crosses]
            xs = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
            odd = (xs[:, None] < columns).sum(0) % 2 == 1
            out[r, odd] = value
    return out
""",
            Slip("to the right of any edge", ".sum(0) % 2 == 1", ".sum(0) >= 1", names=("nothing was drawn",)),
            Slip("outline not closed", "q = np.roll(p, -1, axis=0)", "q = np.vstack([p[1:], p[-1:]])"),
            Slip("void wins", "out[r, odd] = value", "out[r, odd & (out[r] == 255)] = value", names=("lies above it",)),
        ),
        Style(
            "a mask for each outline, stacked",
            """
from PIL import Image, ImageDraw

def to_label(shapes, size, ids):
    height, width = size
    label = np.full(size, 255, np.uint8)
    for shape in shapes:
        if shape["label"] not in ids:
            raise ValueError(f"{shape['label']} is no class")
        one = Image.new("1", (width, height))
        flat = [c for point in shape["points"] for c in point]
        ImageDraw.Draw(one).polygon(flat, fill=1)
        label = np.where(np.array(one), ids[shape["label"]], label)
    return label.astype(np.uint8)
""",
            Slip(
                "outline, not filled", "polygon(flat, fill=1)", "polygon(flat, outline=1)", names=("Inside an outline",)
            ),
            Slip(
                "skips what it does not know",
                "raise ValueError(f\"{shape['label']} is no class\")",
                "continue",
                names=("must be an error",),
            ),
        ),
        Style(
            "from the last to the first",
            """
from PIL import Image, ImageDraw

def to_label(shapes, size, ids):
    free = np.ones(size, bool)
    label = np.full(size, 255)
    for shape in reversed(shapes):
        layer = Image.new("L", (size[1], size[0]), 0)
        ImageDraw.Draw(layer).polygon(list(map(tuple, shape["points"])), fill=1)
        new = (np.array(layer) > 0) & free
        label[new] = ids[shape["label"]]
        free &= ~new
    return label.astype("uint8")
""",
            Slip("from the first", "reversed(shapes)", "shapes", names=("lies above it",)),
            Slip("rest is other", "np.full(size, 255)", "np.zeros(size)", names=("nothing was drawn",)),
        ),
    ],
    "20.3": [
        Style(
            "flood from group to group",
            """
def split(photos, seed=0):
    left, groups = sorted(photos), []
    while left:
        group, keys = [], set(photos[left[0]][:1])
        grown = True
        while grown:
            joined = [n for n in left if photos[n][0] in keys or photos[n][1] in keys]
            left = [n for n in left if n not in joined]
            group += joined
            grown = bool(joined)
            keys |= {k for n in joined for k in photos[n]}
        groups.append(group)
    order = np.random.default_rng(seed).permutation(len(groups))
    train, val = [], []
    for i in order:
        part = val if 4 * (len(val) + len(groups[i])) <= 1.2 * len(photos) else train
        part += groups[i]
    return train, val
""",
            Slip("joined once", "grown = bool(joined)", "grown = False", names=("one place",)),
            Slip("places do not join", " or photos[n][1] in keys", "", names=("one place",)),
            Slip(
                "order of the dictionary",
                "left, groups = sorted(photos)",
                "left, groups = list(photos)",
                names=("sort before",),
            ),
        ),
        Style(
            "union and find",
            """
import random

def split(photos, seed=0):
    root = {}

    def find(x):
        while root.setdefault(x, x) != x:
            x = root[x]
        return x

    for recording, place in photos.values():
        root[find("r" + recording)] = find("p" + place)
    groups = {}
    for name in sorted(photos):
        groups.setdefault(find("r" + photos[name][0]), []).append(name)
    parts = sorted(groups.values())
    random.Random(seed).shuffle(parts)
    val = []
    while parts and len(val) + len(parts[-1]) <= 0.3 * len(photos):
        val += parts.pop()
    return [name for part in parts for name in part], val
""",
            Slip("hardly any", "<= 0.3 * len(photos)", "<= 0.03 * len(photos)", names=("val has 0%",)),
            Slip(
                "photographs drawn one by one",
                "parts = sorted(groups.values())",
                "parts = [[n] for n in sorted(photos)]",
                names=("one recording",),
            ),
        ),
        Style(
            "labels that spread until nothing changes",
            """
def split(photos, seed=0):
    names = sorted(photos)
    label = dict(zip(names, range(len(names))))
    changed = True
    while changed:
        changed = False
        for part in (0, 1):
            lowest = {}
            for n in names:
                key = photos[n][part]
                lowest[key] = min(lowest.get(key, label[n]), label[n])
            for n in names:
                low = lowest[photos[n][part]]
                changed |= low != label[n]
                label[n] = low
    ids = np.array(sorted(set(label.values())))
    np.random.RandomState(seed).shuffle(ids)
    chosen, size = set(), 0
    for i in ids:
        members = sum(v == i for v in label.values())
        if size + members <= 0.3 * len(names) and size < len(names) / 5:
            chosen.add(i)
            size += members
    return [n for n in names if label[n] not in chosen], [n for n in names if label[n] in chosen]
""",
            Slip("recordings alone", "for part in (0, 1)", "for part in (0,)", names=("one place",)),
            Slip(
                "the first groups, always",
                "    np.random.RandomState(seed).shuffle(ids)\n",
                "",
                names=("seed does nothing",),
            ),
        ),
        Style(
            "scipy's connected components",
            """
def split(photos, seed=0):
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names = np.array(sorted(photos))
    recordings, r = np.unique([photos[n][0] for n in names], return_inverse=True)
    places, p = np.unique([photos[n][1] for n in names], return_inverse=True)
    nodes = len(recordings) + len(places)
    links = coo_matrix((np.ones(len(r)), (r, p + len(recordings))), (nodes, nodes))
    count, of_node = connected_components(links, directed=False)
    group = of_node[r]
    rng = np.random.default_rng(seed)
    val = np.zeros(len(names), bool)
    for g in rng.permutation(count):
        if val.mean() < 0.2 and (val | (group == g)).mean() < 0.35:
            val |= group == g
    return names[~val].tolist(), names[val].tolist()
""",
            Slip("by place", "group = of_node[r]", "group = p", names=("one recording",)),
            Slip("by recording", "group = of_node[r]", "group = r", names=("one place",)),
        ),
        Style(
            "groups as sets that are merged",
            """
def split(photos, seed=0):
    islands = []
    for keys in sorted(set(photos.values())):
        touching = [i for i in islands if i & set(keys)]
        islands = [i for i in islands if not i & set(keys)]
        islands.append(set(keys).union(*touching))
    named = [sorted(n for n in photos if photos[n][0] in island) for island in sorted(islands, key=sorted)]
    rng, val = np.random.default_rng(seed), []
    draws = [rng.permutation(len(named))[: len(named) // 4] for _ in range(5)]
    for i in min(draws, key=lambda draw: abs(sum(len(named[i]) for i in draw) / len(photos) - 0.25)):
        val += named[i]
    return sorted(set(photos) - set(val)), val
""",
            Slip("not merged", ".union(*touching)", "", names=("one place",)),
            Slip("seed forgotten", "default_rng(seed), []", "default_rng(0), []", names=("seed does nothing",)),
            Slip("three quarters", "[: len(named) // 4]", "[len(named) // 4 :]", names=("75%",)),
        ),
    ],
    "20.4": [
        Style(
            "a loop with two counters",
            """
def overlooked(mask, label, class_id, least=20):
    lost = total = 0
    for region in ours.groups(label == class_id, least):
        total += 1
        hit = np.count_nonzero(mask[region] == class_id)
        if 2 * hit < np.count_nonzero(region):
            lost += 1
    return lost, total
""",
            Slip("half is lost", "2 * hit < np", "2 * hit <= np", names=("just half",)),
            Slip(
                "regions of the mask",
                "ours.groups(label == class_id",
                "ours.groups(mask == class_id",
                names=("the mask sees two more",),
            ),
            Slip(
                "least forgotten",
                "class_id, least):\n        total",
                "class_id):\n        total",
                names=("only the large one has 20 pixels",),
            ),
        ),
        Style(
            "shares in an array",
            """
def overlooked(mask, label, class_id, least=20):
    found = mask == class_id
    shares = np.array([found[r].mean() for r in ours.groups(label == class_id, least=least)])
    return int((shares < 0.5).sum()), len(shares)
""",
            Slip("found", "shares < 0.5", "shares >= 0.5"),
            Slip("not found at all", "shares < 0.5", "shares == 0", names=("4 of them are found, less than half",)),
            Slip("order", "int((shares < 0.5).sum()), len(shares)", "len(shares), int((shares < 0.5).sum())"),
        ),
        Style(
            "sums over the whole picture",
            """
def overlooked(mask, label, class_id, least=20):
    right = (mask == class_id) & (label == class_id)
    regions = [*ours.groups(label == class_id, least)]
    return sum(1 for r in regions if (right & r).sum() / r.sum() < 1 / 2), len(regions)
""",
            Slip("of the mask's pixels", "(right & r).sum() / r.sum()", "(mask == class_id).sum() / r.sum()"),
            Slip("those that are found", "len(regions)", "len(regions) - 1"),
            Slip("any class", "right = (mask == class_id) & (label == class_id)", "right = mask == label.max()"),
        ),
        Style(
            "medians",
            """
def overlooked(mask, label, class_id, least=20):
    verdicts = []
    for region in ours.groups(label == class_id, least):
        agree = (mask == class_id)[region]
        verdicts.append(agree.sum() < agree.size - agree.sum())
    return sum(map(int, verdicts)), len(verdicts)
""",
            Slip("label for mask", "agree = (mask == class_id)", "agree = (label == class_id)"),
            Slip(
                "every wrong pixel",
                "agree.sum() < agree.size - agree.sum()",
                "not agree.all()",
                names=("20 of them are found, just half",),
            ),
            Slip(
                "regions alone",
                "return sum(map(int, verdicts)), len(verdicts)",
                "return sum(map(int, verdicts))",
                names=("Two numbers are asked for",),
            ),
        ),
        Style(
            "bincount of a numbered picture",
            """
def overlooked(mask, label, class_id, least=20):
    numbers = np.zeros(label.shape, int)
    n = 0
    for n, region in enumerate(ours.groups(label == class_id, least), 1):
        numbers[region] = n
    area = np.bincount(numbers.ravel(), minlength=n + 1)[1:]
    hit = np.bincount(numbers[mask == class_id], minlength=n + 1)[1:]
    return int(np.sum(hit * 2 < area)), n
""",
            Slip("ground is a region", "minlength=n + 1)[1:]\n    return", "minlength=n + 1)[:-1]\n    return"),
            Slip("a tenth", "hit * 2 < area", "hit * 10 < area"),
            Slip("one region", "numbers[region] = n", "numbers[region] = 1"),
        ),
    ],
    "20.5": readings("twenty_photographs", "c", a="standard error", b="rules out neither"),
    "20.6": [
        Style(
            "ifs, one after another",
            """
def open_points(report):
    r, found = report, []
    if r["train"] is None or r["val"] is None or set(r["train"]).intersection(r["val"]):
        found.append("split")
    if r["miou"] is None or r["baseline"] is None or r["miou"] <= r["baseline"]:
        found.append("baseline")
    if r["miou"] is None or r["file_miou"] is None or r["miou"] - r["file_miou"] > 0.5:
        found.append("file")
    if r["seeds"] is None or r["seeds"] < 3:
        found.append("seeds")
    if r["ms"] is None or r["ms"] > 1000 / 30:
        found.append("speed")
    if r["overlooked"] is None or r["overlooked"][0] > 0:
        found.append("people")
    return found
""",
            Slip("more than three", 'r["seeds"] < 3', 'r["seeds"] <= 3', names=("finds seeds",)),
            Slip("how many there are", 'r["overlooked"][0] > 0', 'r["overlooked"][1] > 0', names=("finds people",)),
        ),
        Style(
            "try",
            """
def open_points(report):
    tests = dict(
        split=lambda r: set(r["train"]).isdisjoint(r["val"]),
        baseline=lambda r: r["miou"] > r["baseline"],
        file=lambda r: r["miou"] - r["file_miou"] <= 0.5,
        seeds=lambda r: r["seeds"] >= 3,
        speed=lambda r: r["ms"] <= 1000 / 30,
        people=lambda r: not r["overlooked"][0],
    )

    def met(test):
        try:
            return test(report)
        except TypeError:
            return False

    return [point for point, test in tests.items() if not met(test)]
""",
            Slip("not measured is met", "return False", "return True", names=("not measured",)),
            Slip("better than the file", "<= 0.5", "<= 0.0", names=("finds file",)),
        ),
        Style(
            "what is met is taken away",
            """
def open_points(report):
    points = {"split", "baseline", "file", "seeds", "speed", "people"}
    g = report.get
    has = lambda *keys: None not in map(g, keys)
    if has("train", "val") and not any(place in g("val") for place in g("train")):
        points.discard("split")
    if has("miou", "baseline") and g("baseline") < g("miou"):
        points.discard("baseline")
    if has("miou", "file_miou") and g("file_miou") + 0.5 >= g("miou"):
        points.discard("file")
    if has("seeds") and g("seeds") > 2:
        points.discard("seeds")
    if has("ms") and g("ms") <= 1000 / 30:
        points.discard("speed")
    if has("overlooked") and 0 == g("overlooked")[0]:
        points.discard("people")
    return points
""",
            Slip("any place differs", "not any(place in", "not all(place in", names=("is split",)),
            Slip(
                "baseline turned", 'g("baseline") < g("miou")', 'g("baseline") > g("miou")', names=("finds baseline",)
            ),
            Slip("30 ms", "1000 / 30", "30 - 1", names=("finds speed",)),
        ),
        Style(
            "nan for None",
            """
def open_points(report):
    def value(key):
        return float("nan") if report[key] is None else report[key]

    lost = (report["overlooked"] or [float("nan")])[0]
    places = [report[k] for k in ("train", "val")]
    fine = {
        "split": None not in places and len(set(places[0] + places[1])) == len(set(places[0])) + len(set(places[1])),
        "baseline": value("miou") > value("baseline"),
        "file": value("file_miou") >= value("miou") - 0.5,
        "seeds": value("seeds") >= 3,
        "speed": value("ms") <= 1000 / 30,
        "people": lost == 0,
    }
    return [name for name in fine if not fine[name]]
""",
            Slip("0 for nan", 'return float("nan") if', "return 0 if", names=("not measured",)),
            Slip("those that are fine", "if not fine[name]", "if fine[name]", names=("Everything is fine",)),
            Slip("file must be better", "- 0.5,", "+ 0.5,", names=("finds file",)),
        ),
        Style(
            "a generator, early for None",
            """
NEEDS = {"split": "train val", "baseline": "miou baseline", "file": "miou file_miou", "seeds": "seeds"}
NEEDS.update(speed="ms", people="overlooked")

def open_points(report):
    def look():
        for point, keys in NEEDS.items():
            values = [report[key] for key in keys.split()]
            if any(v is None for v in values):
                yield point
            elif point == "split" and set(values[0]) & set(values[1]):
                yield point
            elif point == "baseline" and values[0] <= values[1]:
                yield point
            elif point == "file" and values[1] < values[0] - 0.5:
                yield point
            elif (point, True) in (("seeds", values[0] in (0, 1, 2)), ("people", str(values[0])[:2] != "(0")):
                yield point
            elif point == "speed" and values[0] > 1000 / 30:
                yield point

    return tuple(look())
""",
            Slip("only the first", "return tuple(look())", "return list(look())[:1]", names=("open at once",)),
            Slip("all missing", "if any(v is None", "if all(v is None", names=("not measured",)),
            Slip("a frame at 20 a second", "1000 / 30", "1000 / 20", names=("is speed",)),
        ),
    ],
}
