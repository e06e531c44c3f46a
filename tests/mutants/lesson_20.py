"""Lesson 20: wrong answers that `check` must refuse, and a few right ones in other words."""

from mutants import Mutant

_GROUPS = """whole = {name}.union(
            *(group.get(key, ()) for key in enumerate(photos[name]))
        )
        for other in whole:
            group.update(dict.fromkeys(enumerate(photos[other]), whole))"""
_DRAWN = """picture = Image.new("L", (width, height), 255)
    for shape in shapes:
        points = [(x, y) for x, y in shape["points"]]
        ImageDraw.Draw(picture).polygon(points, fill=ids[shape["label"]])
    return np.array(picture)"""
_PATHS = """from matplotlib.path import Path as Outline

    y, x = np.mgrid[:height, :width]
    label = np.full(size, 255)
    for shape in shapes:
        inside = Outline(shape["points"]).contains_points(np.c_[x.ravel(), y.ravel()])
        label[inside.reshape(size)] = ids[shape["label"]]
    return label"""
_TREE = """parent = {}

    def root(key):
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for recording, place in photos.values():
        a, b = root(("recording", recording)), root(("place", place))
        parent[max(a, b)] = min(a, b)
    of = {name: root(("recording", photos[name][0])) for name in sorted(photos)}
    keys = sorted(set(of.values()))
    order = np.random.RandomState(seed).permutation(len(keys))
    held, chosen = 0, set()
    for k in order:
        if held < len(photos) / 5:
            chosen.add(keys[k])
            held += sum(key == keys[k] for key in of.values())
    return {n for n in of if of[n] not in chosen}, {n for n in of if of[n] in chosen}"""
_SPLIT = """group = {}  # recording or place → the set of names that hang together with it
    for name in sorted(photos):
        whole = {name}.union(
            *(group.get(key, ()) for key in enumerate(photos[name]))
        )
        for other in whole:
            group.update(dict.fromkeys(enumerate(photos[other]), whole))
    wholes = sorted({tuple(sorted(whole)) for whole in group.values()})
    train, val = [], []
    for k in np.random.default_rng(seed).permutation(len(wholes)):
        fits = len(val) + len(wholes[k]) / 2 <= len(photos) / 4
        (val if fits else train).extend(wholes[k])
    return train, val"""
_OPEN = "return [p for p, v in values.items() if None in v or not rules[p][1](*v)]"

MUTANTS = {
    "20.1": [
        Mutant("other forgotten", ", **own}", ", **own}; groups.pop('other')", "the file should name these and other"),
        Mutant("other takes all", "if name not in taken", "", "refuses the class file"),
        Mutant(
            "places in the own list", "[old.index(n) for n in names]", "list(range(len(names)))", "refuses the class"
        ),
        Mutant("names for values", "[old.index(n) for n in names]", "list(names)", "is no file value"),
        Mutant("no void", 'classes, "void": [255]', 'classes, "void": []', "255 is void in the files"),
        Mutant(
            "another key for void", 'classes, "void": [255]', 'classes, "ignore_index": 255', "no key of a class file"
        ),
        Mutant("no classes", '{"classes": classes,', '{"names": classes,', "refuses the class file"),
        Mutant("a set", "[old.index(n) for n in names]", "{old.index(n) for n in names}", "cannot be written as JSON"),
        Mutant(
            "CamVid's own values",
            "[old.index(n) for n in names]",
            '{"way": [3, 4], "people": [9, 10]}.get(new, [0, 1, 2, 5, 6, 7, 8])',
            "refuses the class file",
        ),
        Mutant("one value a class", "[old.index(n) for n in names]", "old.index(names[0])", "it should become"),
        Mutant("right: with colours", '{"name": new,', '{"name": new, "color": [len(new), 0, 9],'),
        Mutant("right: void left out, as 255 is the default", 'classes, "void": [255]', "classes"),
        Mutant(
            "right: other last",
            '{"other": [name for name in old if name not in taken], **own}',
            '{**own, "other": [name for name in old if name not in taken]}',
        ),
    ],
    "20.2": [
        Mutant("width before height", "(width, height), 255)", "(height, width), 255)", "needs a label of (40, 60)"),
        Mutant("other elsewhere", "(width, height), 255)", "(width, height), 0)", "Where nothing was drawn"),
        Mutant("first ones above", "for shape in shapes:", "for shape in shapes[::-1]:", "was drawn after"),
        Mutant(
            "highest id above",
            "for shape in shapes:",
            'for shape in sorted(shapes, key=lambda s: ids[s["label"]]):',
            "was drawn after",
        ),
        Mutant("edges alone", "fill=ids", "outline=ids", "Inside an outline"),
        Mutant("any word", 'ids[shape["label"]]', 'ids.get(shape["label"], 0)', "label peopel"),
        Mutant("any word is void", 'ids[shape["label"]]', 'ids.get(shape["label"], 255)', "label peopel"),
        Mutant("y before x", "(x, y) for x, y in", "(y, x) for x, y in", "Inside an outline"),
        Mutant(
            "its box",
            "points, fill",
            "[(min(p[0] for p in points), min(p[1] for p in points)), "
            "(max(p[0] for p in points), min(p[1] for p in points)), (max(p[0] for p in points), "
            "max(p[1] for p in points)), (min(p[0] for p in points), max(p[1] for p in points))], fill",
            "Between the legs",
        ),
        Mutant("shares", "np.array(picture)", "np.array(picture) / 255", "Class ids are integers"),
        Mutant("cut by hand, wrongly", "(x, y) for x, y in", "(x % width, y % height) for x, y in", "at x"),
        Mutant("right: with matplotlib", _DRAWN, _PATHS),
        Mutant(
            "right: a flat list",
            '[(x, y) for x, y in shape["points"]]',
            '[float(v) for point in shape["points"] for v in point]',
        ),
    ],
    "20.3": [
        Mutant("by frame", _GROUPS, "group[name] = {name}", "of one recording are on both sides"),
        Mutant(
            "by recording", _GROUPS, "group.setdefault(photos[name][0], set()).add(name)", "of one place are on both"
        ),
        Mutant(
            "by place", _GROUPS, "group.setdefault(photos[name][1], set()).add(name)", "of one recording are on both"
        ),
        Mutant(
            "by the pair", _GROUPS, "group.setdefault(photos[name], set()).add(name)", "of one recording are on both"
        ),
        Mutant("one group too short", "for other in whole:", "for other in [name]:", "belongs to one part, once"),
        Mutant("half", "len(photos) / 4", "len(photos) / 2", "a quarter was asked for"),
        Mutant("nothing held out", "(val if fits else train)", "train", "val has 0%"),
        Mutant(
            "in both",
            "(val if fits else train).extend(wholes[k])",
            "train.extend(wholes[k])\n        if fits:\n            val.extend(wholes[k])",
            "belongs to one part, once",
        ),
        Mutant(
            "what does not fit is lost",
            "(val if fits else train).extend(wholes[k])",
            "if fits:\n            val.extend(wholes[k])",
            "belongs to one part, once",
        ),
        Mutant("no seed", "default_rng(seed)", "default_rng(0)", "Six seeds give one split"),
        Mutant("chance alone", "default_rng(seed)", "default_rng()", "another split"),
        Mutant(
            "drawn from the order given",
            "permutation(len(wholes))",
            "permutation(len(wholes)) if list(photos)[0] < list(photos)[-1] else range(len(wholes))",
            "in another order",
        ),
        Mutant("right: a tree of keys, sets, another generator", _SPLIT, _TREE),
        Mutant("right: fewer in val", "len(photos) / 4", "len(photos) / 5"),
    ],
    "20.4": [
        Mutant(
            "regions of the mask", "ours.groups(label == class_id", "ours.groups(mask == class_id", "where the label"
        ),
        Mutant("least forgotten", ", least))", "))", "only the large one has 20 pixels"),
        Mutant("least fixed", ", least))", ", 20))", "with least=15 both count"),
        Mutant("half is not enough", "< 0.5", "<= 0.5", "20 of them are found, just half"),
        Mutant("not one pixel", "< 0.5", "== 0", "4 of them are found, less than half"),
        Mutant("not whole", "< 0.5", "< 1", "20 of them are found"),
        Mutant("anything at all", "mask[r] == class_id", "mask[r] > 0", "to another class"),
        Mutant("one class for all", "label == class_id", "label == 2", "asked for class 1"),
        Mutant("share of the picture", "np.mean(mask[r] == class_id)", "np.mean((mask == class_id) & r)", "all found"),
        Mutant(
            "all of the mask for each",
            "np.mean(mask[r] == class_id)",
            "(mask == class_id).sum() / r.sum()",
            "the mask has the left one alone",
        ),
        Mutant("found for overlooked", "len(missed), len", "len(regions) - len(missed), len", "Overlooked should be 0"),
        Mutant(
            "the wrong way round",
            "return len(missed), len(regions)",
            "return len(regions), len(missed)",
            "Overlooked should be 0",
        ),
        Mutant("one number", "return len(missed), len(regions)", "return len(missed)", "Two numbers are asked for"),
        Mutant(
            "right: in a loop",
            "missed = [r for r in regions if np.mean(mask[r] == class_id) < 0.5]",
            "missed = []\n    for r in regions:\n        if 2 * ((mask == class_id) & r).sum() < r.sum():\n"
            "            missed.append(r)",
        ),
        Mutant("right: a list", "return len(missed), len(regions)", "return (np.int64(len(missed)), len(regions))"),
    ],
    "20.5": [
        Mutant("a", 'return "c"', 'return "a"', "+2.05, +1.26 and -2.36"),
        Mutant("b", 'return "c"', 'return "b"', "rules out neither"),
        Mutant("d", 'return "c"', 'return "d"', "way is lower in all three"),
        Mutant("no such letter", 'return "c"', 'return "e"', "no reading 'e'"),
        Mutant("a sentence", 'return "c"', 'return "people gain"', "no reading 'people gain'"),
        Mutant("right: by a variable", 'return "c"', 'letter = "abcd"[2]\n    return letter'),
    ],
    "20.6": [
        Mutant(
            "the first alone",
            _OPEN,
            "return [p for p, v in values.items() if None in v or not rules[p][1](*v)][:1]",
            "Five points are open at once",
        ),
        Mutant(
            "what is fine",
            "None in v or not rules[p][1](*v)",
            "None not in v and rules[p][1](*v)",
            "Everything is fine",
        ),
        Mutant(
            "unmeasured is fine",
            "None in v or not rules[p][1](*v)",
            "None not in v and not rules[p][1](*v)",
            "not measured: split is open",
        ),
        Mutant("unmeasured is an error", "None in v or not", "not", "None"),
        Mutant("equal to the baseline is above", "own > other", "own > other - 1", "the best baseline has 80.4"),
        Mutant("no tolerance", "file >= own - 0.5", "file >= own", "Everything is fine"),
        Mutant("any file", "file >= own - 0.5", "file > 0", "the exported file has 61.0"),
        Mutant("two seeds", "n >= 3", "n >= 1", "one seed is no error bar"),
        Mutant("four seeds", "n >= 3", "n > 3", "Everything is fine"),
        Mutant("rounded down", "ms <= 1000 / 30", "ms <= 33", "Everything is fine"),
        Mutant("seconds", "ms <= 1000 / 30", "ms <= 1 / 30", "Everything is fine"),
        Mutant("some may be overlooked", "pair[0] == 0", "pair[0] < 5", "3 of 41 people are overlooked"),
        Mutant("all of them", "pair[0] == 0", "pair[0] < pair[1]", "Everything is fine"),
        Mutant(
            "one place may be shared", "not set(a) & set(b)", "len(set(a) & set(b)) < 2", "street02 is in train and"
        ),
        Mutant("lists compared", "not set(a) & set(b)", "a != b", "street02 is in train and"),
        Mutant("the truth alone", _OPEN, "return [p for p, v in values.items()]", "Everything is fine"),
        Mutant("right: a set", _OPEN, "return {p for p, v in values.items() if None in v or not rules[p][1](*v)}"),
        Mutant("right: disjoint", "not set(a) & set(b)", "set(a).isdisjoint(b)"),
    ],
}
