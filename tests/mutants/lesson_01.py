"""Lesson 01: wrong answers that `check` must refuse, and a few right ones in other words."""

from mutants import Mutant

MUTANTS = {
    "01.1": [
        Mutant("pixels count upwards", "camera.height - y", "y - camera.height", "most at [0, 1]"),
        Mutant("focal length in widths", "camera.focal * height", "camera.focal * width", "most at [0, 0]"),
        Mutant("camera at z = 0", "(z - camera.z)", "z", "Camera(x=0.71, z=5.3"),
        Mutant("camera in the middle", "(x - camera.x)", "x", "most at [0, 0]"),
        Mutant("height of the camera forgotten", "scale * (camera.height - y)", "scale * -y", "most at [0, 1]"),
        Mutant("horizon in widths", "camera.horizon * height", "camera.horizon * width", "most at [0, 1]"),
        Mutant("vanishing point in heights", "camera.vanish * width", "camera.vanish * height", "most at [0, 0]"),
        Mutant("v before u", "np.stack([u, v], axis=1)", "np.stack([v, u], axis=1)", "most at [0, 0]"),
        Mutant("coordinates first", "axis=1", "axis=0", "(2, 1), and should have (1, 2)"),
        Mutant("size taken as width, height", "height, width = size", "width, height = size", "most at [0, 1]"),
        Mutant(
            "right: division last", "scale * (x - camera.x)", "camera.focal * height * (x - camera.x) / (z - camera.z)"
        ),
    ],
    "01.2": [
        Mutant("near to far", "-max(z for", "max(z for", "answer[0]"),
        Mutant("by the near end", "-max(z for", "-min(z for", "answer[0]"),
        Mutant("by the middle", "max(z for _, _, z in q.corners)", "sum(z for _, _, z in q.corners)", "answer[0]"),
        Mutant("by the height", "max(z for _, _, z", "max(z for _, z, _", "answer[0]"),
        Mutant(
            "not sorted",
            "sorted(quads, key=lambda q: -max(z for _, _, z in q.corners))",
            "quads",
            "answer[0]",
        ),
        Mutant("the seen colour in the label", "CAMVID32[quad.name][0])\n", "quad.color)\n", "answer[1]"),
        Mutant("rows before columns", "[(u, v) for", "[(v, u) for", "answer[0]"),
        Mutant(
            "outlines only",
            "ImageDraw.Draw(image).polygon(points, fill=",
            "ImageDraw.Draw(image).polygon(points, outline=",
            "answer[0]",
        ),
        Mutant("label forgotten", "ImageDraw.Draw(label).polygon", "ImageDraw.Draw(label.copy()).polygon", "answer[1]"),
        Mutant(
            "right: sorted backwards",
            "-max(z for _, _, z in q.corners)",
            "max(z for _, _, z in q.corners), reverse=True",
        ),
    ],
    "01.3": [
        Mutant("any channel agrees", ".all(axis=2)", ".any(axis=2)", "most at [0, 3]: 0 instead of 255"),
        Mutant(
            "what is not listed is class 0",
            "np.full(rgb.shape[:2], 255, np.uint8)",
            "np.zeros(rgb.shape[:2], np.uint8)",
            "0 instead of 255",
        ),
        Mutant("what is not listed is 11", "255, np.uint8)", "11, np.uint8)", "11 instead of 255"),
        Mutant("blue before red", "(rgb == color)", "(rgb[..., ::-1] == color)", "most at [0, 1]: 255 instead of 1"),
        Mutant(
            "first channel only",
            "(rgb == color).all(axis=2)",
            "(rgb[..., 0] == color[0])",
            "most at [0, 3]: 0 instead of 255",
        ),
        Mutant(
            "sums of the channels",
            "(rgb == color).all(axis=2)",
            "(rgb.astype(int).sum(2) == sum(color))",
            "most at [0, 2]: 2 instead of 255",
        ),
        Mutant(
            "position for id",
            "for color, class_id in codes.items()",
            "for class_id, color in enumerate(codes)",
            "most at [0, 10]: 30 instead of 255",
        ),
        Mutant(
            "right: one number a colour",
            "(rgb == color).all(axis=2)",
            "((rgb.astype(int) @ (65536, 256, 1)) == color[0] * 65536 + color[1] * 256 + color[2])",
        ),
    ],
    "01.4": [
        Mutant(
            "forgotten ids are class 0", "np.full(256, 255, np.uint8)", "np.zeros(256, np.uint8)", "0 instead of 255"
        ),
        Mutant("forgotten ids stay", "np.full(256, 255, np.uint8)", "np.arange(256, dtype=np.uint8)", "instead of 255"),
        Mutant(
            "table the wrong way",
            "lookup[label_id] = train_id",
            "lookup[train_id] = label_id",
            "most at [0, 1]: 7 instead of 255",
        ),
        Mutant("table of 34", "np.full(256, 255", "np.full(34, 255", "IndexError"),
        Mutant(
            "read as they are",
            "return lookup[raw]",
            "return np.where(raw < 19, raw, 255)",
            "most at [0, 1]: 0 instead of 255",
        ),
        Mutant(
            "replaced in place",
            "return lookup[raw]",
            "raw = np.where(np.isin(raw, list(train_ids)), raw, 255)\n    for old, new in train_ids.items():\n"
            "        raw[raw == old] = new\n    return raw",
            "most at [0, 1]: 4 instead of 0",
        ),
        Mutant(
            "what was given is changed",
            "return lookup[raw]",
            "raw[:] = lookup[raw]\n    return raw",
            "changed what it was given",
        ),
        Mutant("bytes with a sign", "np.full(256, 255, np.uint8)", "np.full(256, -1, np.int8)", "-1 instead of 255"),
        Mutant("right: one comparison a class", "return lookup[raw]", "return np.stack([lookup[i] for i in raw])"),
    ],
    "01.5": [
        Mutant(
            "corner for centre", "(np.arange(size[0]) + 0.5)", "np.arange(size[0])", "most at [0, 0]: 1 instead of 5"
        ),
        Mutant(
            "corner for centre, columns",
            "(np.arange(size[1]) + 0.5)",
            "np.arange(size[1])",
            "most at [0, 0]: 4 instead of 5",
        ),
        Mutant(
            "rounded up and down",
            "columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)",
            "columns = np.rint((np.arange(size[1]) + 0.5) * width / size[1]).astype(int) % width",
            "most at [0, 7]: 0 instead of 3",
        ),
        Mutant(
            "corners aligned",
            "columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)",
            "columns = np.linspace(0, width - 1, size[1]).astype(int)",
            "most at [0, 0]: 4 instead of 5",
        ),
        Mutant(
            "averaged",
            "return label[rows[:, None], columns]",
            "return np.asarray(Image.fromarray(label).resize(size[::-1], Image.Resampling.BILINEAR))",
            "most at [0, 1]: 6 instead of 7",
        ),
        Mutant(
            "width before height",
            "return label[rows[:, None], columns]",
            "return label[rows[:, None], columns].T",
            "(2, 1), and should have (1, 2)",
        ),
        Mutant("rows and columns as pairs", "label[rows[:, None], columns]", "label[rows, columns]", "shape"),
        Mutant(
            "right: Pillow's nearest",
            "return label[rows[:, None], columns]",
            "return np.asarray(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))",
        ),
        Mutant(
            "right: whole numbers",
            "rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)",
            "rows = (2 * np.arange(size[0]) + 1) * height // (2 * size[0])",
        ),
    ],
    "01.6": [
        Mutant(
            "void in the shares",
            "return pixels / pixels.sum(), weights",
            "return pixels / labels.size, weights",
            "answer[0]",
        ),
        Mutant("void in the images' pixels", "counts.sum(axis=1, keepdims=True)", "labels[0].size", "answer[1]"),
        Mutant(
            "all images",
            "(images_with * counts.sum(axis=1, keepdims=True)).sum(axis=0)",
            "np.full(classes, counts.sum())",
            "answer[1]",
        ),
        Mutant("mean for median", "np.median(frequency)", "np.mean(frequency)", "answer[1]"),
        Mutant(
            "weights upside down", "np.median(frequency) / frequency", "frequency / np.median(frequency)", "answer[1]"
        ),
        Mutant("absent class gets 0", "np.ones(classes)", "np.zeros(classes)", "answer[1]"),
        Mutant(
            "absent class in the median", "np.median(frequency) /", "np.median(np.append(frequency, 0)) /", "answer[1]"
        ),
        Mutant(
            "void leaks into the last class",
            "np.bincount(label.ravel(), minlength=256)",
            "np.bincount(np.minimum(label.ravel(), classes - 1), minlength=classes)",
            "answer[0]",
        ),
        Mutant(
            "mean of the images' shares",
            "return pixels / pixels.sum(), weights",
            "return (counts / counts.sum(1, keepdims=True)).mean(0), weights",
            "answer[0]",
        ),
        Mutant(
            "right: dividing by the share", "np.median(frequency) / frequency", "1 / (frequency / np.median(frequency))"
        ),
    ],
}
