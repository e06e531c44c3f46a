"""Lesson 00 in other styles."""

from styles import Slip, Style

STYLES = {
    "00.1": [
        Style(
            "numpy first",
            """
def to_tensor(image, mean, std):
    array = (image / 255 - np.array(mean)) / np.array(std)
    return torch.tensor(array.transpose(2, 0, 1), dtype=torch.float32).unsqueeze(0)
""",
            Slip(
                "reshape for transpose",
                "array.transpose(2, 0, 1)",
                "array.reshape(3, *array.shape[:2])",
                names=("the axes are reshaped and not",),
            ),
            Slip("times the deviation", ") / np.array(std)", ") * np.array(std)"),
            Slip("float64", "dtype=torch.float32", "dtype=torch.float64"),
        ),
        Style(
            "channel by channel",
            """
def to_tensor(image, mean, std):
    planes = []
    for c in range(3):
        plane = torch.from_numpy(image[:, :, c].copy()).float().div(255)
        planes.append((plane - mean[c]) / std[c])
    return torch.stack(planes)[None]
""",
            Slip("not divided", ".div(255)", ""),
            Slip("one mean for all", "mean[c]", "mean[0]"),
            Slip("last dimension", "torch.stack(planes)[None]", "torch.stack(planes, 2)[None]"),
        ),
        Style(
            "permute, then view",
            """
def to_tensor(image, mean, std):
    x = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0) / 255.0
    m = torch.tensor(mean).view(1, 3, 1, 1)
    s = torch.tensor(std).view(1, 3, 1, 1)
    return x.sub(m).div(s)
""",
            Slip("height and width exchanged", "permute(2, 0, 1)", "permute(2, 1, 0)"),
            Slip("added", "x.sub(m)", "x.add(m)"),
        ),
    ],
    "00.2": [
        Style(
            "interpolate, numpy's argmax",
            """
def class_map(logits, size):
    big = torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return big[0].numpy().argmax(0).astype(np.uint8)
""",
            Slip("nearest", 'mode="bilinear", align_corners=False', 'mode="nearest"'),
            Slip("not uint8", ".astype(np.uint8)", ""),
            Slip("least likely", "argmax(0)", "argmin(0)"),
        ),
        Style(
            "max with its places",
            """
def class_map(logits, size):
    scores = resize(logits, size).squeeze(0)
    _, ids = scores.max(dim=0)
    return ids.byte().numpy()
""",
            Slip("over the rows", "scores.max(dim=0)", "scores.max(dim=1)"),
            Slip("values for ids", "_, ids", "ids, _"),
        ),
    ],
    "00.3": [
        Style(
            "one over the sum",
            """
def confidence(logits):
    top = logits.max(1, keepdim=True).values
    return (1 / torch.exp(logits - top).sum(1))[0]
""",
            Slip("mean for sum", ".sum(1)", ".mean(1)"),
            Slip("not taken off", "logits - top", "logits", names=("sub",)),
        ),
        Style(
            "logsumexp",
            """
def confidence(logits):
    return (logits.amax(1) - torch.logsumexp(logits, 1)).exp()[0]
""",
            Slip("no exp", ".exp()[0]", "[0]"),
            Slip("minimum", "logits.amax(1)", "logits.amin(1)"),
        ),
        Style(
            "softmax step by step",
            """
def confidence(logits):
    z = logits[0]
    z = z - z.max(0).values
    e = torch.exp(z)
    p = e / e.sum(0)
    return p.max(0).values
""",
            Slip("sum over the rows", "e / e.sum(0)", "e / e.sum(1, keepdim=True)"),
            Slip("powers of two", "e = torch.exp(z)", "e = 2**z"),
        ),
    ],
    "00.4": [
        Style(
            "padded with void",
            """
def edges(ids):
    big = np.pad(ids, 1, constant_values=255)
    result = np.zeros(ids.shape, bool)
    h, w = ids.shape
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        other = big[dy : dy + h, dx : dx + w]
        result |= (other != ids) & (other != 255) & (ids != 255)
    return result
""",
            Slip("void is an edge", " & (other != 255)", ""),
            Slip("three neighbours", "(1, 0), (1, 2)", "(1, 0)"),
        ),
        Style(
            "pixel by pixel",
            """
def edges(ids):
    h, w = ids.shape
    out = np.zeros((h, w), bool)
    for y in range(h):
        for x in range(w):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < h and 0 <= u < w and 255 not in (ids[y, x], ids[v, u]):
                    out[y, x] |= ids[y, x] != ids[v, u]
    return out
""",
            Slip("last column left out", "0 <= u < w", "0 <= u < w - 1"),
            Slip("overwritten", "out[y, x] |= ", "out[y, x] = "),
        ),
    ],
    "00.5": [
        Style(
            "sorted, by hand",
            """
def frames_per_second(seconds, warm_up=3):
    rest = sorted(seconds[warm_up:])
    n = len(rest)
    middle = rest[n // 2] if n % 2 else (rest[n // 2 - 1] + rest[n // 2]) / 2
    return 1 / middle
""",
            Slip("not sorted", "sorted(seconds[warm_up:])", "seconds[warm_up:]"),
            Slip("seconds", "return 1 / middle", "return middle"),
        ),
        Style(
            "statistics",
            """
import statistics

def frames_per_second(seconds, warm_up=3):
    return 1 / statistics.median(seconds[warm_up:])
""",
            Slip("mean", "statistics.median", "statistics.mean"),
            Slip("warm-up counted", "seconds[warm_up:]", "seconds"),
        ),
    ],
}
