"""Lesson 06 in other styles."""

from styles import Slip, Style

STYLES = {
    "06.1": [
        Style(
            "sizes compared, step by step",
            """
def factor_fits(height, width):
    def halved(n, times):
        for _ in range(times):
            n = (n + 1) // 2
        return n
    return all(2 * halved(n, 5) == halved(n, 4) and 2 * halved(n, 4) == halved(n, 3) for n in (height, width))
""",
            Slip(
                "first step only",
                "2 * halved(n, 5) == halved(n, 4) and 2 * halved(n, 4)",
                "2 * halved(n, 4)",
                names=("only the last step is looked",),
            ),
            Slip("rounded down", "(n + 1) // 2", "n // 2"),
        ),
        Style(
            "ceil, and the rest by four",
            """
import math

def factor_fits(height, width):
    return math.ceil(height / 8) % 4 == 0 and math.ceil(width / 8) % 4 == 0
""",
            Slip("a multiple of 32", "math.ceil(height / 8) % 4 == 0", "height % 32 == 0"),
            Slip("or for and", " and ", " or "),
        ),
        Style(
            "the rest of a division by 32",
            """
def factor_fits(height, width):
    return not any(0 < side % 32 <= 24 for side in (height, width))
""",
            Slip("height alone", "(height, width))", "(height, height))"),
            Slip("24 taken for one that fits", "<= 24", "< 24"),
        ),
        Style(
            "chain of comparisons",
            """
def factor_fits(height, width):
    for side in (height, width):
        f8 = -(-side // 8)
        f16 = -(-f8 // 2)
        f32 = -(-f16 // 2)
        if f32 * 2 != f16 or f16 * 2 != f8:
            return False
    return True
""",
            Slip("only at both", " or f16", " and f16"),
            Slip(
                "returned too early",
                "            return False\n    return True",
                "            return False\n        return True",
            ),
        ),
    ],
    "06.2": [
        Style(
            "interpolate called directly",
            """
import torch.nn.functional as F

class Decoder(nn.Module):
    def __init__(self, c8, c16, channels):
        super().__init__()
        w = channels if channels < c8 else c8
        self.l16 = match(c16, channels)
        self.l8 = match(c8, w)
        self.n = match(channels, w)
        self.a16 = CCBAM(channels)
        self.a8 = CCBAM(w)

    def forward(self, f8, f16, context):
        up = F.interpolate(context, size=f16.shape[2:], mode="bilinear", align_corners=False)
        mid = self.a16(self.l16(f16), up)
        mid = self.n(mid)
        up = F.interpolate(mid, size=f8.shape[2:], mode="bilinear", align_corners=False)
        return self.a8(self.l8(f8), up)
""",
            Slip(
                "align_corners",
                'up = F.interpolate(context, size=f16.shape[2:], mode="bilinear", align_corners=False)',
                'up = F.interpolate(context, size=f16.shape[2:], mode="bilinear", align_corners=True)',
            ),
            Slip("low and high exchanged", "self.a8(self.l8(f8), up)", "self.a8(up, self.l8(f8))"),
            Slip(
                "nearest",
                'up = F.interpolate(mid, size=f8.shape[2:], mode="bilinear", align_corners=False)',
                'up = F.interpolate(mid, size=f8.shape[2:], mode="nearest")',
            ),
        ),
        Style(
            "a helper method",
            """
class Decoder(nn.Module):
    def __init__(self, c8, c16, channels):
        super().__init__()
        small = min(channels, c8)
        self.fuse = nn.ModuleList([CCBAM(channels), CCBAM(small)])
        self.side = nn.ModuleList([match(c16, channels), match(c8, small)])
        self.between = match(channels, small)

    def step(self, i, low, high):
        return self.fuse[i](self.side[i](low), resize(high, low.shape[-2:]))

    def forward(self, f8, f16, context):
        y = self.step(0, f16, context)
        y = self.between(y)
        return self.step(1, f8, y)
""",
            Slip("narrow forgotten", "        y = self.between(y)\n", "", names=("between", "narrow")),
            Slip(
                "low and high exchanged",
                "self.fuse[i](self.side[i](low), resize(high, low.shape[-2:]))",
                "self.fuse[i](resize(high, low.shape[-2:]), self.side[i](low))",
            ),
            Slip(
                "c8 always",
                "small = min(channels, c8)",
                "small = c8",
                names=("side", "fuse", "between", "lateral8", "narrow", "fuse8"),
            ),
        ),
        Style(
            "resized after narrowing, in another order",
            """
class Decoder(nn.Module):
    def __init__(self, c8, c16, channels):
        super().__init__()
        out = min(channels, c8)
        self.to_context = match(c16, channels)
        self.first = CCBAM(channels)
        self.to_out = match(channels, out)
        self.to_f8 = match(c8, out)
        self.second = CCBAM(out)

    def forward(self, f8, f16, context):
        low16 = self.to_context(f16)
        low8 = self.to_f8(f8)
        high16 = resize(context, low16.shape[2:])
        fused16 = self.first(low16, high16)
        high8 = resize(self.to_out(fused16), low8.shape[2:])
        return self.second(low8, high8)
""",
            Slip("f16 twice", "self.first(low16, high16)", "self.first(low16, low16)"),
            Slip(
                "resized first, then narrowed",
                "resize(self.to_out(fused16), low8.shape[2:])",
                "self.to_out(resize(fused16, low8.shape[2:]))",
            ),
            Slip("fusion left out", "fused16 = self.first(low16, high16)", "fused16 = low16 + high16"),
        ),
    ],
    "06.3": [
        Style(
            "everything in forward, classifier apart",
            """
class CrossCBAM(nn.Module):
    def __init__(self, num_classes=19, backbone="stdc1", dilations=(1, 3), aspp_channels=256, width=64):
        super().__init__()
        numbers = {"stdc1": (2, 2, 2), "stdc2": (4, 5, 3)}[backbone]
        self.stdc = STDC(numbers, width)
        self.aspp = SEASPP(16 * width, aspp_channels, dilations)
        self.dec = Decoder(4 * width, 8 * width, aspp_channels)
        self.reduce = match(min(aspp_channels, 4 * width), 2 * width)
        self.drop = nn.Dropout2d(0.1)
        self.cls = nn.Conv2d(2 * width, num_classes, 1)
        self.aux_head = FCNHead(16 * width, 64, num_classes)
        init_weights(self)

    def forward(self, x):
        a, b, c = self.stdc(x)
        y = self.dec(a, b, self.aspp(c))
        y = self.cls(self.drop(self.reduce(y)))
        if self.training:
            return {"out": y, "aux": [self.aux_head(c)]}
        return resize(y, x.shape[2:])
""",
            Slip("aux on the context", "[self.aux_head(c)]", "[self.aux_head(b)]"),
            Slip("resized in training too", '{"out": y, "aux"', '{"out": resize(y, x.shape[2:]), "aux"'),
            Slip("no dropout", "self.cls(self.drop(self.reduce(y)))", "self.cls(self.reduce(y))", names=("dropout",)),
            Slip(
                "dilations forgotten",
                "SEASPP(16 * width, aspp_channels, dilations)",
                "SEASPP(16 * width, aspp_channels)",
                names=("aspp", "context"),
            ),
        ),
        Style(
            "head first, names of one letter",
            """
class CrossCBAM(nn.Module):
    def __init__(self, num_classes=19, backbone="stdc1", dilations=(1, 3), aspp_channels=256, width=64):
        super().__init__()
        w, c = width, aspp_channels
        self.aux_head = FCNHead(16 * w, 64, num_classes)
        self.h = nn.Sequential(match(min(c, 4 * w), 2 * w), nn.Dropout2d(0.1), nn.Conv2d(2 * w, num_classes, 1))
        self.d = Decoder(4 * w, 8 * w, c)
        self.s = SEASPP(16 * w, c, dilations)
        self.b = STDC((4, 5, 3) if backbone == "stdc2" else (2, 2, 2), w)
        init_weights(self)

    def forward(self, x):
        size = x.shape[-2:]
        f8, f16, f32 = self.b(x)
        x = self.s(f32)
        x = self.d(f8, f16, x)
        x = self.h(x)
        if not self.training:
            return resize(x, size)
        return dict(out=x, aux=[self.aux_head(f32)])
""",
            Slip(
                "aux not in a list", "aux=[self.aux_head(f32)]", "aux=self.aux_head(f32)", names=("should be a list",)
            ),
            Slip(
                "size of the map",
                "size = x.shape[-2:]\n        f8, f16, f32 = self.b(x)",
                "f8, f16, f32 = self.b(x)\n        size = f8.shape[-2:]",
                names=("should have (2, 5, 64, 96)",),
            ),
            Slip(
                "head of 3×3",
                "nn.Conv2d(2 * w, num_classes, 1)",
                "nn.Conv2d(2 * w, num_classes, 3, padding=1)",
                names=("h.2", "classifier"),
            ),
            Slip(
                "context left out",
                "x = self.s(f32)\n        x = self.d(f8, f16, x)",
                "x = self.s(f32)\n        x = self.d(f8, f16, x.relu() * 0 + x.mean())",
            ),
        ),
    ],
    "06.4": [
        Style(
            "a sum of named parts",
            """
def spare_parameters(channels=256, classes=19):
    conv = 1024 * 64 * 3 * 3
    norm = 64 + 64
    classifier = (64 + 1) * classes
    unused = (channels + 1) * classes
    return conv + norm + classifier + unused
""",
            Slip("one number a norm", "64 + 64", "64", names=("batch normalisation has one parameter a",)),
            Slip("no bias", "(channels + 1) * classes", "channels * classes", names=("one classifier has no bias",)),
        ),
        Style(
            "one expression",
            """
def spare_parameters(channels=256, classes=19):
    return 589952 + classes * (65 + channels + 1)
""",
            Slip("norm left out", "589952", "589824", names=("batch normalisation is left out",)),
            Slip("a bias too few", "channels + 1)", "channels)", names=("one classifier has no bias",)),
        ),
        Style(
            "a loop",
            """
def spare_parameters(channels=256, classes=19):
    total = 2 * 64
    for n, m, k, bias in ((1024, 64, 3, 0), (64, classes, 1, 1), (channels, classes, 1, 1)):
        total += n * m * k * k + bias * m
    return total
""",
            Slip("with a bias", "(1024, 64, 3, 0)", "(1024, 64, 3, 1)"),
            Slip("kernel once", "k * k + bias", "k + bias"),
        ),
    ],
    "06.5": [
        Style(
            "difference over the other",
            "def faster(speed, other):\n    return (speed - other) / other * 100\n",
            Slip("over the first", "/ other", "/ speed", names=("the time that is saved is",)),
            Slip("no percent", " * 100", ""),
        ),
        Style(
            "by times",
            "def faster(speed, other):\n    slow, fast = 1 / other, 1 / speed\n    return 100 * (slow / fast - 1)\n",
            Slip("saving of time", "slow / fast - 1", "1 - fast / slow", names=("the time that is saved is",)),
            Slip("one forgotten", "slow / fast - 1", "slow / fast", names=("the speed is told as percent",)),
        ),
    ],
}
