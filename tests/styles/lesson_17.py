"""Lesson 17 in other styles."""

from styles import Slip, Style

STYLES = {
    "17.1": [
        Style(
            "two ifs",
            """
def scale_and_zero(low, high):
    if low > 0:
        low = 0.0
    if high < 0:
        high = 0.0
    step = (high - low) / 255
    return step, int(round(-low / step))
""",
            Slip("256 steps", "(high - low) / 255", "(high - low) / 256", names=("255 of your steps are 4.482",)),
            Slip(
                "positive ranges not widened",
                "    if low > 0:\n        low = 0.0\n",
                "",
                names=("6.0 does not hold 0",),
            ),
            Slip("sign", "round(-low / step)", "round(low / step)", names=("yours is -85",)),
        ),
        Style(
            "sorted with the 0",
            """
def scale_and_zero(low, high):
    smallest, *_, largest = sorted([low, 0.0, high])
    width = largest - smallest
    return width / 255, round(255 * (0 - smallest) / width)
""",
            Slip("0 forgotten", "sorted([low, 0.0, high])", "sorted([low, high])", names=("6.0 does not hold 0",)),
            Slip("distance to the top", "(0 - smallest) / width", "largest / width"),
            Slip(
                "a fraction", "round(255 * (0 - smallest) / width)", "255 * (0 - smallest) / width", names=("133.875",)
            ),
        ),
        Style(
            "numpy: clip and interpolation",
            """
def scale_and_zero(low, high):
    a = float(np.clip(low, None, 0))
    b = float(np.clip(high, 0, None))
    zero = np.interp(0.0, [a, b], [0, 255])
    return (b - a) / 255, int(np.rint(zero))
""",
            Slip("codes from 1", "[0, 255])", "[1, 255])"),
            Slip("turned", "[0, 255])", "[255, 0])"),
            Slip("bounds exchanged", "np.clip(low, None, 0)", "np.clip(low, 0, None)"),
        ),
        Style(
            "from the middle",
            """
def scale_and_zero(low, high):
    left, right = min(0, low), max(0, high)
    centre, half = (left + right) / 2, (right - left) / 2
    scale = half / 127.5
    return scale, round(127.5 - centre / scale)
""",
            Slip("middle at 128", "half / 127.5", "half / 128", names=("255 of your steps are 4.482",)),
            Slip("plus the middle", "127.5 - centre / scale", "127.5 + centre / scale"),
            Slip("negative ranges not widened", "max(0, high)", "high", names=("-1.0 does not hold 0",)),
        ),
        Style(
            "torch",
            """
def scale_and_zero(low, high):
    ends = torch.tensor([low, high, 0.0], dtype=torch.float64)
    bottom, top = ends.aminmax()
    scale = ((top - bottom) / 255).item()
    zero = (-bottom / scale).round().int().item()
    return scale, zero
""",
            Slip("cut off, not rounded", ".round().int()", ".int()", names=("133.875 steps above -2.1",)),
            Slip("0 left out", "ends.aminmax()", "ends[:2].aminmax()", names=("6.0 does not hold 0",)),
            Slip("half the range", "(top - bottom) / 255", "top / 255"),
            Slip(
                "tensors", "(-bottom / scale).round().int().item()", "(-bottom / scale).round()", names=("is a Tensor",)
            ),
        ),
    ],
    "17.2": [
        Style(
            "torch.clamp of whole numbers",
            """
def quantise(x, scale, zero):
    whole = torch.round(x / scale) + zero
    whole = torch.clamp(whole, min=0, max=255)
    return whole.byte()
""",
            Slip("one clamp", "min=0, max=255", "max=255"),
            Slip("signed bytes", "min=0, max=255", "min=-128, max=127"),
            Slip("no byte", "whole.byte()", "whole", names=("should be uint8",)),
        ),
        Style(
            "cut in values, before the steps",
            """
def quantise(x, scale, zero):
    lowest, highest = (0 - zero) * scale, (255 - zero) * scale
    kept = x.clip(lowest, highest)
    return (kept.div(scale).round() + zero).to(torch.uint8)
""",
            Slip("zero forgotten", ".round() + zero)", ".round())"),
            Slip("not rounded", "kept.div(scale).round()", "kept.div(scale)"),
            Slip("highest without zero", "(255 - zero) * scale", "255 * scale"),
        ),
        Style(
            "minimum and maximum",
            """
def quantise(x, scale, zero):
    q = torch.round(x / scale).long() + zero
    q = torch.minimum(q, torch.full_like(q, 255))
    q = torch.maximum(q, torch.zeros_like(q))
    return q.type(torch.uint8)
""",
            Slip("256 allowed", "torch.full_like(q, 255)", "torch.full_like(q, 256)"),
            Slip("zero taken off", ".long() + zero", ".long() - zero"),
            Slip("int8", "q.type(torch.uint8)", "q.type(torch.int8)"),
        ),
        Style(
            "numpy and back",
            """
def quantise(x, scale, zero):
    steps = np.rint((x / scale).numpy())
    codes = np.clip(steps + zero, 0, 255).astype(np.uint8)
    return torch.from_numpy(codes)
""",
            Slip("an array", "torch.from_numpy(codes)", "codes", names=("is ndarray",)),
            Slip("rounded down", "np.rint(", "np.floor("),
            Slip("times the step", "x / scale", "x * scale"),
        ),
        Style(
            "where",
            """
def quantise(x, scale, zero):
    out = (x / scale).round() + zero
    out = torch.where(out < 0, torch.tensor(0.0), out)
    out = torch.where(out > 255, torch.tensor(255.0), out)
    return out.to(dtype=torch.uint8)
""",
            Slip("too bright becomes black", "torch.tensor(255.0)", "torch.tensor(0.0)"),
            Slip(
                "byte first",
                "(x / scale).round() + zero",
                "((x / scale).round() + zero).to(torch.int32).to(torch.uint8).float()",
            ),
            Slip("whole numbers too late", "(x / scale).round() + zero", "x / scale + zero"),
        ),
        Style(
            "PyTorch's own quantiser",
            """
def quantise(x, scale, zero):
    fake = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)
    return (fake / scale + zero).round().to(torch.uint8)
""",
            Slip("7 bits", "0, 255)", "0, 127)"),
            Slip("from 1", "0, 255)", "1, 255)"),
            Slip("zero point 0", "scale, zero, 0, 255)", "scale, 0, 0, 255)"),
        ),
    ],
    "17.3": [
        Style(
            "channel by channel",
            """
def weight_codes(weight):
    codes, steps = [], []
    for channel in weight:
        step = channel.abs().max() / 127
        steps.append(step)
        codes.append(torch.round(channel / step).to(torch.int8))
    return torch.stack(codes), torch.stack(steps)
""",
            Slip("128 steps", "/ 127", "/ 128"),
            Slip("largest, not of absolute", "channel.abs().max()", "channel.max()"),
            Slip("cut off", "torch.round(channel / step)", "(channel / step)", names=("-60 instead of -61",)),
        ),
        Style(
            "amax over three dimensions",
            """
def weight_codes(weight):
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True)
    q = (weight * 127 / largest).round()
    return q.char(), largest.flatten() / 127
""",
            Slip("per input channel", "dim=(1, 2, 3)", "dim=(0, 2, 3)"),
            Slip("one for the whole tensor", "dim=(1, 2, 3)", "dim=(0, 1, 2, 3)"),
            Slip("whole range as a step", "largest.flatten() / 127", "largest.flatten()", names=("div",)),
            Slip("not bytes", "q.char()", "q", names=("should be int8",)),
        ),
        Style(
            "torch.max with places, broadcasting by None",
            """
def weight_codes(weight):
    n = weight.shape[0]
    flat = weight.reshape(n, -1)
    top, _ = flat.abs().max(dim=1)
    s = top / 127
    whole = (flat / s[:, None]).round().to(torch.int8)
    return whole.reshape(weight.shape), s
""",
            Slip("mean", "top, _ = flat.abs().max(dim=1)", "top = flat.abs().mean(dim=1)"),
            Slip("unsigned", "torch.int8", "torch.uint8", names=("instead of -",)),
            Slip("flat codes", "whole.reshape(weight.shape)", "whole", names=("has the shape",)),
            Slip(
                "order of the answer",
                "return whole.reshape(weight.shape), s",
                "return s, whole.reshape(weight.shape)",
                names=("has the shape",),
            ),
        ),
        Style(
            "einsum with the inverse",
            """
def weight_codes(weight):
    steps = torch.linalg.vector_norm(weight, ord=float("inf"), dim=(1, 2, 3)) / 127
    scaled = torch.einsum("ockl,o->ockl", weight, 1 / steps)
    return scaled.round_().to(torch.int8), steps
""",
            Slip("the usual norm", 'ord=float("inf")', "ord=2"),
            Slip("multiplied", "weight, 1 / steps", "weight, steps"),
            Slip("255 steps", "dim=(1, 2, 3)) / 127", "dim=(1, 2, 3)) / 255"),
        ),
        Style(
            "larger of both ends",
            """
def weight_codes(weight):
    low, high = weight.flatten(1).aminmax(dim=1)
    bound = torch.maximum(-low, high)
    scale = bound.div(127)
    shape = [-1] + [1] * (weight.dim() - 1)
    q = torch.clamp(torch.round(weight / scale.reshape(shape)), -127, 127)
    return q.to(torch.int8), scale
""",
            Slip("smaller of both ends", "torch.maximum(-low, high)", "torch.minimum(-low, high)"),
            Slip("sign of the low end", "torch.maximum(-low, high)", "torch.maximum(low, high)"),
            Slip("range, not largest", "bound = torch.maximum(-low, high)", "bound = (high - low) / 2"),
        ),
    ],
    "17.4": [
        Style(
            "padded by hand with the zero point",
            """
def conv_int8(codes, scale, zero, w_codes, w_scales, stride=1, padding=0):
    padded = torch.nn.functional.pad(codes.double(), [padding] * 4, value=float(zero))
    total = torch.nn.functional.conv2d(padded - zero, w_codes.double(), stride=stride)
    return total * scale * w_scales.double()[None, :, None, None]
""",
            Slip("padded with code 0", "value=float(zero)", "value=0.0"),
            Slip("without the input's step", "total * scale * w_scales", "total * w_scales"),
            Slip("stride forgotten", ", stride=stride)", ")"),
            Slip(
                "steps along the wrong dimension",
                "[None, :, None, None]",
                "[:, None, None, None].mean(0, keepdim=True)",
            ),
        ),
        Style(
            "two convolutions: codes, and the zero point",
            """
def conv_int8(codes, scale, zero, w_codes, w_scales, stride=1, padding=0):
    conv = torch.nn.functional.conv2d
    w = w_codes.double()
    raw = conv(codes.double(), w, stride=stride, padding=padding)
    ones = torch.ones_like(codes, dtype=torch.float64)
    offset = zero * conv(ones, w, stride=stride, padding=padding)
    return (raw - offset) * scale * w_scales.double().reshape(-1, 1, 1)
""",
            Slip("offset added", "(raw - offset)", "(raw + offset)"),
            Slip(
                "zero point at the border, too",
                "offset = zero * conv(ones, w, stride=stride, padding=padding)",
                "offset = zero * w.sum((1, 2, 3)).view(-1, 1, 1)",
            ),
            Slip("once without zero", "offset = zero * conv", "offset = conv"),
        ),
        Style(
            "unfold and a matrix product",
            """
def conv_int8(codes, scale, zero, w_codes, w_scales, stride=1, padding=0):
    k = w_codes.shape[-1]
    x = codes.double() - zero
    columns = torch.nn.functional.unfold(x, k, padding=padding, stride=stride)
    sums = w_codes.double().flatten(1) @ columns
    height = (codes.shape[2] + 2 * padding - k) // stride + 1
    out = sums.unflatten(2, (height, -1))
    return torch.einsum("nohw,o->nohw", out, w_scales.double()) * scale
""",
            Slip("bytes subtracted", "codes.double() - zero", "(codes - zero).double()"),
            Slip("padding forgotten", "k, padding=padding, stride", "k, padding=0, stride", names=("padding=1",)),
            Slip("divided by the step", "w_scales.double()) * scale", "w_scales.double()) / scale"),
        ),
        Style(
            "the weights are scaled first",
            """
def conv_int8(codes, scale, zero, w_codes, w_scales, stride=1, padding=0):
    real_x = (codes.to(torch.float64) - zero) * scale
    real_w = torch.stack([w.to(torch.float64) * s.double() for w, s in zip(w_codes, w_scales)])
    return torch.nn.functional.conv2d(real_x, real_w, None, stride, padding)
""",
            Slip("stride and padding exchanged", "None, stride, padding)", "None, padding or 1, stride - 1)"),
            Slip("zero added", "codes.to(torch.float64) - zero", "codes.to(torch.float64) + zero"),
            Slip("step only of the first", "* s.double() for w, s", "* w_scales[0].double() for w, s"),
        ),
        Style(
            "place by place of the kernel",
            """
def conv_int8(codes, scale, zero, w_codes, w_scales, stride=1, padding=0):
    n, c, h, w = codes.shape
    out, _, k, _ = w_codes.shape
    wide = torch.zeros(n, c, h + 2 * padding, w + 2 * padding, dtype=torch.double)
    wide[:, :, padding : padding + h, padding : padding + w] = codes.double() - zero
    rows, columns = ((m + 2 * padding - k) // stride + 1 for m in (h, w))
    total = torch.zeros(n, out, rows, columns, dtype=torch.double)
    for i in range(k):
        for j in range(k):
            part = wide[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            total += torch.einsum("nchw,oc->nohw", part, w_codes[:, :, i, j].double())
    return total * (w_scales.double() * scale).view(1, out, 1, 1)
""",
            Slip("true convolution, kernel turned", "w_codes[:, :, i, j]", "w_codes[:, :, k - 1 - i, k - 1 - j]"),
            Slip("kernel transposed", "w_codes[:, :, i, j]", "w_codes[:, :, j, i]"),
            Slip(
                "padded before the zero point",
                "= codes.double() - zero",
                "= codes.double()\n    wide -= zero",
                names=("padding=1",),
            ),
        ),
        Style(
            "a module",
            """
def conv_int8(codes, scale, zero, w_codes, w_scales, stride=1, padding=0):
    out, c, k, _ = w_codes.shape
    layer = torch.nn.Conv2d(c, out, k, stride, padding, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(w_codes)
        y = layer(codes.double().sub(zero))
        y *= scale
        for o in range(out):
            y[:, o] *= w_scales[o]
    return y
""",
            Slip("step of the images", "y[:, o] *= w_scales[o]", "y[o % len(y)] *= w_scales[o]"),
            Slip("zero not taken off", ".sub(zero)", "", names=("0.02, 85,",)),
            Slip("a bias", "bias=False", "bias=True"),
        ),
    ],
    "17.5": [
        Style(
            "a comprehension",
            """
def alike(expected, got, least=0.001):
    ids, counts = np.unique(expected, return_counts=True)
    large = [int(i) for i, n in zip(ids, counts) if n / expected.size >= least]
    return {i: float(np.sum((expected == i) & (got == i)) / np.sum((expected == i) | (got == i))) for i in large}
""",
            Slip(
                "classes of the other map",
                "np.unique(expected, return_counts=True)",
                "np.unique(got, return_counts=True)",
                names=("class 4 is in got alone",),
            ),
            Slip("recall", "np.sum((expected == i) | (got == i))", "np.sum(expected == i)", names=("is recall",)),
            Slip("number, not share", "n / expected.size >= least", "n >= least", names=("(0.083); least=0.1",)),
        ),
        Style(
            "one table of pairs",
            """
def alike(expected, got, least=0.001):
    n = int(max(expected.max(), got.max())) + 1
    table = np.bincount(n * expected.ravel() + got.ravel(), minlength=n * n).reshape(n, n)
    both = table.diagonal()
    mine, other = table.sum(1), table.sum(0)
    result = {}
    for k in range(n):
        if mine[k] and mine[k] >= least * expected.size:
            result[k] = float(both[k] / (mine[k] + other[k] - both[k]))
    return result
""",
            Slip("both counted twice", "other[k] - both[k])", "other[k])", names=("in both twice below",)),
            Slip(
                "share of the other map",
                "mine[k] and mine[k] >= least",
                "mine[k] and other[k] >= least",
                names=("is lost in got",),
            ),
            Slip(
                "Dice",
                "both[k] / (mine[k] + other[k] - both[k])",
                "2 * both[k] / (mine[k] + other[k])",
                names=("is Dice",),
            ),
        ),
        Style(
            "sets of places",
            """
def alike(expected, got, least=0.001):
    def places(grid):
        found = {}
        for place, k in enumerate(grid.ravel().tolist()):
            found.setdefault(k, set()).add(place)
        return found

    a, b = places(expected), places(got)
    return {
        k: len(where & b.get(k, set())) / len(where | b.get(k, set()))
        for k, where in a.items()
        if len(where) >= least * expected.size
    }
""",
            Slip(
                "lost classes left out",
                "for k, where in a.items()\n",
                "for k, where in a.items()\n        if k in b\n",
                names=("is lost in got",),
            ),
            Slip(
                "more than, of the union",
                "if len(where) >= least",
                "if len(where | b.get(k, set())) >= least",
                names=("least=",),
            ),
            Slip("symmetric difference", "len(where & b", "len(where ^ b"),
        ),
        Style(
            "a matrix of both",
            """
def alike(expected, got, least=0.001):
    ids = np.unique(expected)
    a = expected.reshape(1, -1) == ids[:, None]
    b = got.reshape(1, -1) == ids[:, None]
    iou = (a & b).sum(1) / (a | b).sum(1)
    enough = a.mean(1) >= least
    return dict(zip(ids[enough].tolist(), iou[enough].tolist()))
""",
            Slip("limit the other way", "a.mean(1) >= least", "a.mean(1) <= least", names=("keys",)),
            Slip("limit forgotten", "a.mean(1) >= least", "a.mean(1) >= 0", names=("(0.083); least=0.1",)),
            Slip("exclusive or", "(a | b)", "(a ^ b | ~a)"),
            Slip(
                "pixels, not a share",
                "(a & b).sum(1) / (a | b).sum(1)",
                "(a & b).sum(1) + 0.0",
                names=("counts pixels",),
            ),
        ),
        Style(
            "torch",
            """
def alike(expected, got, least=0.001):
    t, p = torch.as_tensor(expected), torch.as_tensor(got)
    answer = {}
    for k in t.unique().tolist():
        x, y = (t == k).double(), (p == k).double()
        if x.mean().item() < least:
            continue
        overlap = (x * y).sum()
        answer[k] = (overlap / (x + y - x * y).sum()).item()
    return answer
""",
            Slip(
                "large classes left out", "if x.mean().item() < least", "if x.mean().item() >= least", names=("keys",)
            ),
            Slip("of the sum", "(x + y - x * y).sum()", "(x + y).sum()", names=("in both twice below",)),
            Slip("names, not ids", "answer[k] =", "answer[str(k)] =", names=("'1', '5', '9'",)),
        ),
    ],
    "17.6": [
        Style(
            "best so far",
            """
def ship(rows, frame):
    best = None
    for row in rows:
        if row["ms"] > frame or row["worst"] < 0.5:
            continue
        if best is None or row["miou"] > best["miou"]:
            best = row
    return best and best["name"]
""",
            Slip("only if both are broken", '> frame or row["worst"]', '> frame and row["worst"]', names=("'slow'",)),
            Slip("the last one", 'best is None or row["miou"] > best["miou"]', "True", names=("higher mIoU",)),
            Slip("the row itself", 'best and best["name"]', "best", names=("'name': 'fast'",)),
        ),
        Style(
            "max with a default",
            """
def ship(rows, frame):
    allowed = ((r["miou"], r["name"]) for r in rows if r["ms"] <= frame if r["worst"] >= 0.5)
    return max(allowed, default=(0, None))[1]
""",
            Slip("lowest", "max(allowed", "min(allowed", names=("higher mIoU",)),
            Slip("no default", "max(allowed, default=(0, None))", "max(allowed)", names=("max() arg",)),
            Slip("slow ones", 'r["ms"] <= frame', 'r["ms"] >= frame', names=("'slow'",)),
            Slip("the number", "(0, None))[1]", "(None, None))[0]", names=("ships 65.0",)),
        ),
        Style(
            "sorted, then the first that is allowed",
            """
def ship(rows, frame):
    for row in sorted(rows, key=lambda r: -r["miou"]):
        if row["ms"] <= frame and 2 * row["worst"] >= 1:
            return row["name"]
""",
            Slip("upwards", '-r["miou"]', 'r["miou"]', names=("higher mIoU",)),
            Slip("by time", '-r["miou"]', 'r["ms"]', names=("higher mIoU",)),
            Slip("worst ignored", " and 2 * row", " and 2 + row", names=("'lost'",)),
        ),
        Style(
            "filter",
            """
from operator import itemgetter

def ship(rows, frame):
    fast = filter(lambda r: r["ms"] <= frame, rows)
    safe = [r for r in fast if not r["worst"] < 0.5]
    if not safe:
        return None
    safe.sort(key=itemgetter("miou"))
    return safe[-1]["name"]
""",
            Slip("the lowest", "safe[-1]", "safe[0]", names=("higher mIoU",)),
            Slip("a word", "return None", 'return "none"', names=("is None, and yours",)),
            Slip("limit in seconds", 'r["ms"] <= frame', 'r["ms"] / 1000 <= frame', names=("'slow'",)),
        ),
        Style(
            "numpy",
            """
def ship(rows, frame):
    if len(rows) == 0:
        return None
    ms, worst, miou = (np.array([row[key] for row in rows]) for key in ("ms", "worst", "miou"))
    value = np.where((ms <= frame) & (worst >= 0.5), miou, -np.inf)
    winner = int(np.argmax(value))
    return rows[winner]["name"] if np.isfinite(value[winner]) else None
""",
            Slip(
                "never None",
                "if np.isfinite(value[winner]) else None",
                "if True else None",
                names=("is None, and yours",),
            ),
            Slip("empty list forgotten", "len(rows) == 0", "len(rows) < 0", names=("empty sequence",)),
            Slip("one condition or the other", "(ms <= frame) & (worst", "(ms <= frame) | (worst", names=("'slow'",)),
        ),
    ],
}
