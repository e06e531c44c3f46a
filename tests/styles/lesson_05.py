"""Lesson 05 in other styles."""

from styles import Slip, Style

STYLES = {
    "05.1": [
        Style(
            "a Sequential MLP",
            """
class ChannelAttention(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        hidden = max(4, channels // reduction)
        self.maximum, self.mean = GlobalMaxPool(), GlobalAvgPool()
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        both = torch.cat([self.maximum(x), self.mean(x)], 3)
        both = self.mlp(both)
        return self.sigmoid(both[..., :1] + both[..., 1:])
""",
            Slip("no ReLU", "nn.ReLU(), ", "", names=("relu",)),
            Slip("a function, which is not counted", "self.mean(x)", "x.mean((2, 3), True)", names=("GlobalAvgPool",)),
            Slip(
                "sigmoid each",
                "self.sigmoid(both[..., :1] + both[..., 1:])",
                "self.sigmoid(both[..., :1]) + self.sigmoid(both[..., 1:])",
            ),
            Slip("difference", "both[..., :1] + both", "both[..., :1] - both"),
        ),
        Style(
            "mean first, sum by split",
            """
class ChannelAttention(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        width = channels // reduction
        if width < 4:
            width = 4
        self.up = nn.Conv2d(width, channels, 1)
        self.down = nn.Conv2d(channels, width, 1)
        self.avg, self.max, self.act, self.gate = GlobalAvgPool(), GlobalMaxPool(), nn.ReLU(), nn.Sigmoid()

    def forward(self, x):
        a = self.avg(x)
        m = self.max(x)
        y = self.up(self.act(self.down(torch.cat([a, m], dim=-1))))
        left, right = y.split(1, dim=-1)
        return self.gate(left + right)
""",
            Slip("least width forgotten", "width = 4\n", "width = 8\n", names=("down", "up")),
            Slip("maximum twice", "a = self.avg(x)", "a = self.max(x)"),
            Slip("one column", "left + right", "left"),
            Slip("product of the columns", "left + right", "left * right"),
        ),
        Style(
            "side by side along the height",
            """
class ChannelAttention(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        mid = max(channels // reduction, 4)
        self.pools = nn.ModuleList([GlobalMaxPool(), GlobalAvgPool()])
        self.fc1, self.relu, self.fc2 = nn.Conv2d(channels, mid, 1), nn.ReLU(), nn.Conv2d(mid, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        v = torch.cat([pool(x) for pool in self.pools], dim=2)
        v = self.fc2(self.relu(self.fc1(v)))
        v = v.sum(2, keepdim=True)
        return self.sigmoid(v)
""",
            Slip("mean for sum", "v.sum(2, keepdim=True)", "v.mean(2, keepdim=True)"),
            Slip(
                "sigmoid inside",
                "self.relu, self.fc2 = nn.Conv2d(channels, mid, 1), nn.ReLU()",
                "self.relu, self.fc2 = nn.Conv2d(channels, mid, 1), nn.Sigmoid()",
                names=("relu",),
            ),
            Slip("maximum of the two", "v.sum(2, keepdim=True)", "v.amax(2, keepdim=True)"),
        ),
        Style(
            "stacked as a batch",
            """
class ChannelAttention(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        n = max(4, channels // reduction)
        self.a, self.b = GlobalMaxPool(), GlobalAvgPool()
        self.first, self.second = nn.Conv2d(channels, n, 1), nn.Conv2d(n, channels, 1)
        self.r, self.s = nn.ReLU(), nn.Sigmoid()

    def forward(self, x):
        together = torch.cat([self.a(x), self.b(x)])
        h = self.r(self.first(together))
        out = self.second(h)
        one, two = out.chunk(2)
        return self.s(one + two)
""",
            Slip("no sigmoid", "self.s(one + two)", "one + two", names=("sigmoid",)),
            Slip("ReLU twice", "out = self.second(h)", "out = self.r(self.second(h))"),
            Slip(
                "no bias at the end",
                "nn.Conv2d(n, channels, 1)",
                "nn.Conv2d(n, channels, 1, bias=False)",
                names=("second",),
            ),
        ),
    ],
    "05.2": [
        Style(
            "max with its values",
            """
class SpatialAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(2, 1, kernel_size=1)
        self.gate = nn.Sigmoid()

    def forward(self, x):
        highest, _ = x.max(dim=1, keepdim=True)
        mean = x.mean(dim=1, keepdim=True)
        return self.gate(self.mix(torch.cat((highest, mean), dim=1)))
""",
            Slip("mean first", "torch.cat((highest, mean), dim=1)", "torch.cat((mean, highest), dim=1)"),
            Slip("minimum", "x.max(dim=1", "x.min(dim=1"),
            Slip("3×3", "kernel_size=1)", "kernel_size=3, padding=1)", names=("mix",)),
        ),
        Style(
            "stack of two maps, Sequential",
            """
class SpatialAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.judge = nn.Sequential(nn.Conv2d(2, 1, 1), nn.Sigmoid())

    def forward(self, x):
        both = torch.stack([x.amax(1), x.mean(1)], 1)
        return self.judge(both)
""",
            Slip("a sum for the mean", "x.mean(1)", "x.sum(1)"),
            Slip("no sigmoid", ", nn.Sigmoid())", ")", names=("sigmoid",)),
        ),
        Style(
            "torch.max, torch.mean, a buffer filled",
            """
class SpatialAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        m = torch.max(x, 1, keepdim=True).values
        a = torch.mean(x, 1, keepdim=True)
        z = self.conv(torch.cat([m, a], 1))
        return torch.sigmoid(z)
""",
            Slip("hard gate", "torch.sigmoid(z)", "torch.relu(z)"),
            Slip("standard deviation", "torch.mean(x, 1", "torch.std(x, 1"),
        ),
        Style(
            "mean by sum",
            """
class SpatialAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Conv2d(2, 1, 1, bias=True)
        self.out = nn.Sigmoid()

    def forward(self, x):
        n = x.shape[1]
        average = x.sum(1, keepdim=True) / n
        top = x.amax(1, keepdim=True)
        pair = torch.cat([top, average], 1)
        pair = self.weight(pair)
        return self.out(pair)
""",
            Slip("divided by the rows", "n = x.shape[1]", "n = x.shape[2]"),
            Slip("top twice", "torch.cat([top, average], 1)", "torch.cat([top, top], 1)"),
            Slip("no bias", "bias=True", "bias=False", names=("weight", "conv")),
        ),
    ],
    "05.3": [
        Style(
            "one line for each map",
            """
class CCBAM(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.channel_low, self.channel_high = (ChannelAttention(channels, reduction) for _ in range(2))
        self.spatial_low, self.spatial_high = SpatialAttention(), SpatialAttention()

    def forward(self, low, high):
        a = self.channel_low(low) * high
        b = self.channel_high(high) * low
        return a * self.spatial_high(b) + b * self.spatial_low(a)
""",
            Slip(
                "spatial gates uncrossed",
                "a * self.spatial_high(b) + b * self.spatial_low(a)",
                "a * self.spatial_low(a) + b * self.spatial_high(b)",
            ),
            Slip("channel gate of itself", "self.channel_low(low) * high", "self.channel_low(high) * high"),
            Slip("not added", "* self.spatial_high(b) + b", "* self.spatial_high(b) - b"),
        ),
        Style(
            "a dict of modules",
            """
class CCBAM(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.spatial = nn.ModuleDict({"high": SpatialAttention(), "low": SpatialAttention()})
        self.channel = nn.ModuleDict({k: ChannelAttention(channels, reduction) for k in ("high", "low")})

    def forward(self, low, high):
        gates_high = self.channel["high"](high)
        gates_low = self.channel["low"](low)
        mixed_high = low * gates_high
        mixed_low = high * gates_low
        place_high = self.spatial["high"](mixed_high)
        place_low = self.spatial["low"](mixed_low)
        return mixed_low * place_high + mixed_high * place_low
""",
            Slip(
                "channel crossing undone",
                "mixed_high = low * gates_high\n        mixed_low = high * gates_low",
                "mixed_high = low * gates_low\n        mixed_low = high * gates_high",
            ),
            Slip("gate of the raw map", 'self.spatial["low"](mixed_low)', 'self.spatial["low"](high)'),
            Slip("one forgotten", " + mixed_high * place_low", ""),
        ),
        Style(
            "lists, loops",
            """
class CCBAM(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.what = nn.ModuleList([ChannelAttention(channels, reduction), ChannelAttention(channels, reduction)])
        self.where = nn.ModuleList([SpatialAttention(), SpatialAttention()])

    def forward(self, low, high):
        maps = [low, high]
        fused = [maps[1 - i] * self.what[i](maps[i]) for i in range(2)]
        places = [self.where[i](fused[i]) for i in range(2)]
        return fused[0] * places[1] + fused[1] * places[0]
""",
            Slip("own gates", "maps[1 - i] * self.what[i](maps[i])", "maps[i] * self.what[i](maps[i])"),
            Slip(
                "own places",
                "fused[0] * places[1] + fused[1] * places[0]",
                "fused[0] * places[0] + fused[1] * places[1]",
            ),
            Slip(
                "reduction forgotten",
                "[ChannelAttention(channels, reduction), ChannelAttention(channels, reduction)]",
                "[ChannelAttention(channels), ChannelAttention(channels)]",
                names=("what",),
            ),
        ),
        Style(
            "in two steps with helper methods",
            """
class CCBAM(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.spatial_high = SpatialAttention()
        self.channel_high = ChannelAttention(channels, reduction)
        self.spatial_low = SpatialAttention()
        self.channel_low = ChannelAttention(channels, reduction)

    def cross_channels(self, low, high):
        return high * self.channel_low(low), low * self.channel_high(high)

    def cross_space(self, a, b):
        return a * self.spatial_high(b), b * self.spatial_low(a)

    def forward(self, low, high):
        a, b = self.cross_channels(low, high)
        a, b = self.cross_space(a, b)
        return a + b
""",
            Slip("arguments exchanged", "return a + b", "return a * b"),
            Slip("own spatial gate", "a * self.spatial_high(b), b", "a * self.spatial_high(a), b"),
            Slip(
                "gated twice",
                "a, b = self.cross_space(a, b)\n",
                "a, b = self.cross_space(a, b)\n        a = a * self.channel_low(low)\n",
            ),
        ),
    ],
    "05.4": [
        Style(
            "one formula",
            """
def ccbam_parameters(channels, reduction=16):
    h = max(4, channels // reduction)
    return 2 * (channels * h + h + h * channels + channels + 3)
""",
            Slip("one of two", "return 2 * (", "return ("),
            Slip("biases of the hidden layer", "channels * h + h + h", "channels * h + h"),
        ),
        Style(
            "layer by layer",
            """
def ccbam_parameters(channels, reduction=16):
    def conv(i, o):
        return i * o + o
    hidden = channels // reduction if channels // reduction > 4 else 4
    one = conv(channels, hidden) + conv(hidden, channels)
    return 2 * one + 2 * conv(2, 1)
""",
            Slip("no biases", "i * o + o", "i * o"),
            Slip("7×7", "conv(2, 1)", "conv(98, 1)"),
        ),
        Style(
            "a sum of a list",
            """
def ccbam_parameters(channels, reduction=16):
    h = max(channels // reduction, 4)
    shapes = [(channels, h), (h, channels), (2, 1)]
    return sum(2 * (a + 1) * b for a, b in shapes)
""",
            Slip("bias a channel of the input", "(a + 1) * b", "a * (b + 1)"),
            Slip("least width forgotten", "max(channels // reduction, 4)", "channels // reduction"),
        ),
    ],
    "05.5": [
        Style(
            "conditional expressions",
            """
class SwitchedCCBAM(CCBAM):
    def __init__(self, channels, cross_channels=True, cross_space=True):
        super().__init__(channels)
        self.cc, self.cs = cross_channels, cross_space

    def forward(self, low, high):
        gl, gh = self.channel_low(low), self.channel_high(high)
        a = low * (gh if self.cc else gl)
        b = high * (gl if self.cc else gh)
        sa, sb = self.spatial_high(a), self.spatial_low(b)
        a = a * (sb if self.cs else sa)
        b = b * (sa if self.cs else sb)
        return a + b
""",
            Slip("switch turned", "a = low * (gh if self.cc else gl)", "a = low * (gl if self.cc else gh)"),
            Slip("one map without its switch", "b = b * (sa if self.cs else sb)", "b = b * sa"),
            Slip("wrong switch", "a = a * (sb if self.cs else sa)", "a = a * (sb if self.cc else sa)"),
        ),
        Style(
            "four cases written out",
            """
class SwitchedCCBAM(CCBAM):
    def __init__(self, channels, cross_channels=True, cross_space=True):
        super().__init__(channels)
        self.cross_channels = cross_channels
        self.cross_space = cross_space

    def forward(self, low, high):
        if self.cross_channels:
            x = low * self.channel_high(high)
            y = high * self.channel_low(low)
        else:
            x = low * self.channel_low(low)
            y = high * self.channel_high(high)
        px = self.spatial_high(x)
        py = self.spatial_low(y)
        if self.cross_space:
            return x * py + y * px
        return x * px + y * py
""",
            Slip(
                "uncrossed wrongly",
                "            y = high * self.channel_high(high)\n        px",
                "            y = high * self.channel_low(low)\n        px",
            ),
            Slip("cross space always", "return x * px + y * py", "return x * py + y * px"),
            Slip("gates of the inputs", "px = self.spatial_high(x)", "px = self.spatial_high(low)"),
        ),
        Style(
            "flip of a list",
            """
class SwitchedCCBAM(CCBAM):
    def __init__(self, channels, cross_channels=True, cross_space=True):
        super().__init__(channels)
        self.steps = (-1 if cross_channels else 1), (-1 if cross_space else 1)

    def forward(self, low, high):
        gates = [self.channel_low(low), self.channel_high(high)][:: self.steps[0]]
        maps = [m * g for m, g in zip((low, high), gates)]
        places = [self.spatial_high(maps[0]), self.spatial_low(maps[1])][:: self.steps[1]]
        return sum(m * p for m, p in zip(maps, places))
""",
            Slip("one switch for both", "[:: self.steps[1]]", "[:: self.steps[0]]"),
            Slip("signs turned", "(-1 if cross_channels else 1)", "(1 if cross_channels else -1)"),
            Slip("added gates", "m * p for m, p", "m + p for m, p"),
        ),
    ],
}
