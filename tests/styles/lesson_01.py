"""Lesson 01 in other styles."""

from styles import Slip, Style

STYLES = {
    "01.1": [
        Style(
            "point by point",
            """
def project(points, camera, size):
    result = []
    for x, y, z in points:
        depth = z - camera.z
        u = camera.vanish * size[1] + camera.focal * size[0] * (x - camera.x) / depth
        v = camera.horizon * size[0] + camera.focal * size[0] * (camera.height - y) / depth
        result.append((u, v))
    return np.array(result)
""",
            Slip("width as unit", "camera.focal * size[0] * (x", "camera.focal * size[1] * (x"),
            Slip("depth from 0", "z - camera.z", "z", names=("depth is measured from the world's",)),
        ),
        Style(
            "a column each",
            """
def project(points, camera, size):
    p = np.asarray(points, float)
    scale = camera.focal * size[0] / (p[:, 2] - camera.z)
    out = np.empty((len(p), 2))
    out[:, 0] = camera.vanish * size[1] + (p[:, 0] - camera.x) * scale
    out[:, 1] = camera.horizon * size[0] - (p[:, 1] - camera.height) * scale
    return out
""",
            Slip("upside down", "size[0] - (p[:, 1]", "size[0] + (p[:, 1]"),
            Slip("u and v exchanged", "return out", "return out[:, ::-1]"),
        ),
    ],
    "01.2": [
        Style(
            "sorted copy, two painters",
            """
def paint(quads, camera, size):
    height, width = size
    picture = Image.new("RGB", (width, height), ours.SKY)
    truth = Image.new("RGB", (width, height), CAMVID32["Sky"][0])
    pens = ImageDraw.Draw(picture), ImageDraw.Draw(truth)
    order = sorted(quads, key=lambda quad: -max(corner[2] for corner in quad.corners))
    for quad in order:
        where = [tuple(p) for p in project(quad.corners, camera, size)]
        pens[0].polygon(where, fill=quad.color)
        pens[1].polygon(where, fill=CAMVID32[quad.name][0])
    return np.array(picture), np.array(truth)
""",
            Slip("near to far", "-max(corner[2]", "max(corner[2]"),
            Slip("near end", "-max(corner[2]", "-min(corner[2]"),
            Slip(
                "label in the image's colours",
                "fill=CAMVID32[quad.name][0]",
                "fill=quad.color",
                names=("the label is painted in the",),
            ),
        ),
    ],
    "01.3": [
        Style(
            "pixel by pixel",
            """
def encode(rgb, codes):
    h, w, _ = rgb.shape
    ids = np.empty((h, w), np.uint8)
    for y in range(h):
        for x in range(w):
            ids[y, x] = codes.get(tuple(int(v) for v in rgb[y, x]), 255)
    return ids
""",
            Slip("else 0", ", 255)", ", 0)"),
            Slip("blue first", "rgb[y, x])", "rgb[y, x][::-1])"),
        ),
        Style(
            "one number a colour",
            """
def encode(rgb, codes):
    key = rgb[..., 0].astype(np.int64) * 65536 + rgb[..., 1].astype(np.int64) * 256 + rgb[..., 2]
    ids = np.full(key.shape, 255, np.uint8)
    for (r, g, b), i in codes.items():
        ids[key == r * 65536 + g * 256 + b] = i
    return ids
""",
            Slip("green twice", "+ rgb[..., 2]", "+ rgb[..., 1]"),
            Slip("int64", "np.full(key.shape, 255, np.uint8)", "np.full(key.shape, 255, np.int64)"),
        ),
    ],
    "01.4": [
        Style(
            "mask by mask",
            """
def to_train_ids(raw, train_ids):
    out = np.full_like(raw, 255)
    for label_id, train_id in train_ids.items():
        out[raw == label_id] = train_id
    return out
""",
            Slip("in place", "np.full_like(raw, 255)", "raw", names=("the raw map itself is written",)),
            Slip("else 0", "np.full_like(raw, 255)", "np.zeros_like(raw)"),
        ),
        Style(
            "vectorize",
            """
def to_train_ids(raw, train_ids):
    return np.vectorize(lambda v: train_ids.get(int(v), 255), otypes=[np.uint8])(raw)
""",
            Slip("unknown stays", "get(int(v), 255)", "get(int(v), v)", names=("a value without a train id",)),
            Slip("int64", "otypes=[np.uint8]", "otypes=[np.int64]"),
        ),
    ],
    "01.5": [
        Style(
            "loops",
            """
def resize_label(label, size):
    h, w = size
    out = np.zeros(size, label.dtype)
    for i in range(h):
        for j in range(w):
            out[i, j] = label[int((i + 0.5) * label.shape[0] / h), int((j + 0.5) * label.shape[1] / w)]
    return out
""",
            Slip("corner, not centre", "int((i + 0.5) *", "int(i *", names=("the upper edge of each new",)),
            Slip("columns by height", "label.shape[1] / w", "label.shape[0] / h"),
        ),
        Style(
            "np.ix_",
            """
def resize_label(label, size):
    index = [((2 * np.arange(n) + 1) * old // (2 * n)) for n, old in zip(size, label.shape)]
    return label[np.ix_(*index)]
""",
            Slip(
                "no plus one", "(2 * np.arange(n) + 1)", "(2 * np.arange(n))", names=("the corner of each new pixel",)
            ),
            Slip("exchanged", "zip(size, label.shape)", "zip(size, label.shape[::-1])"),
        ),
    ],
    "01.6": [
        Style(
            "class by class",
            """
def shares_and_weights(labels, classes):
    total = (labels != 255).sum()
    shares, freq = np.zeros(classes), {}
    for c in range(classes):
        n = (labels == c).sum()
        shares[c] = n / total
        images = [image for image in labels if (image == c).any()]
        if images:
            freq[c] = n / sum((image != 255).sum() for image in images)
    median = np.median(list(freq.values()))
    weights = np.array([median / freq[c] if c in freq else 1.0 for c in range(classes)])
    return shares, weights
""",
            Slip(
                "void in the total",
                "total = (labels != 255).sum()",
                "total = labels.size",
                names=("void pixels are in the total",),
            ),
            Slip(
                "void in m", "(image != 255).sum() for", "image.size for", names=("void pixels are among the pixels",)
            ),
            Slip("mean", "np.median", "np.mean"),
        ),
    ],
}
