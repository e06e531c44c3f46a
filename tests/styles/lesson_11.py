"""Lesson 11 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "11.1": [
        Style(
            "one formula",
            """
def msca_parameters(channels, lengths=(7, 11, 21)):
    return channels * (26 + 2 * (sum(lengths) + len(lengths)) + channels + 1)
""",
            Slip(
                "no biases of strips",
                "(sum(lengths) + len(lengths))",
                "sum(lengths)",
                names=("the strips' biases are left out",),
            ),
            Slip("one strip a length", "2 * (sum", "(sum"),
            Slip("5 + 5", "(26 +", "(11 +"),
        ),
        Style(
            "layer by layer",
            """
def msca_parameters(channels, lengths=(7, 11, 21)):
    def depthwise(h, w):
        return channels * h * w + channels

    total = depthwise(5, 5)
    for k in lengths:
        total += depthwise(1, k)
        total += depthwise(k, 1)
    return total + channels * channels + channels
""",
            Slip("squares", "depthwise(1, k)", "depthwise(k, k)"),
            Slip("lengths fixed", "for k in lengths", "for k in (7, 11, 21)"),
            Slip("not depthwise", "channels * h * w + channels", "channels * channels * h * w + channels"),
        ),
        Style(
            "real layers, counted",
            """
def msca_parameters(channels, lengths=(7, 11, 21)):
    c = channels
    layers = [nn.Conv2d(c, c, 5, groups=c), nn.Conv2d(c, c, 1)]
    for k in lengths:
        layers += [nn.Conv2d(c, c, size, groups=c) for size in ((1, k), (k, 1))]
    return sum(p.numel() for layer in layers for p in layer.parameters())
""",
            Slip("1×1 depthwise", "nn.Conv2d(c, c, 1)", "nn.Conv2d(c, c, 1, groups=c)"),
            Slip("no bias", "size, groups=c", "size, groups=c, bias=False", names=("the strips' biases are left out",)),
        ),
        Style(
            "weights and biases apart",
            """
def msca_parameters(channels, lengths=(7, 11, 21)):
    weights = 25 * channels + channels**2
    biases = 2 * channels
    for k in lengths:
        weights, biases = weights + 2 * k * channels, biases + 2 * channels
    return weights + biases
""",
            Slip("no biases", "return weights + biases", "return weights", names=("all biases are left out",)),
            Slip("a bias for the 5×5 alone", "biases = 2 * channels", "biases = channels"),
        ),
        Style(
            "a table of kernels, a sum with map",
            """
def msca_parameters(channels, lengths=(7, 11, 21)):
    areas = [5 * 5, *lengths, *lengths, channels]
    return channels * sum(map(lambda area: area + 1, areas))
""",
            Slip("the 1×1 forgotten", ", channels]", "]"),
            Slip("multiplied by the channels at once", "area + 1, areas", "area * channels + 1, areas"),
        ),
    ],
    "11.2": [
        Style(
            "six strips written out",
            """
class MSCA(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        self.strips = strips
        self.five = depthwise(channels, 5, 5)
        self.a1, self.a2 = depthwise(channels, 1, 7), depthwise(channels, 7, 1)
        self.b1, self.b2 = depthwise(channels, 1, 11), depthwise(channels, 11, 1)
        self.c1, self.c2 = depthwise(channels, 1, 21), depthwise(channels, 21, 1)
        self.one = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        y = self.five(x)
        z = x if self.strips == "parallel" else y
        a = self.a2(self.a1(z))
        b = self.b2(self.b1(z))
        c = self.c2(self.c1(z))
        return x * self.one(y + a + b + c)
""",
            Slip("columns first", "self.a2(self.a1(z))", "self.a1(self.a2(z))"),
            Slip("local left out", "self.one(y + a + b + c)", "self.one(a + b + c)", names=("add",)),
            Slip("the factor alone", "x * self.one(y", "self.one(y", names=("mul",)),
            Slip("23 for 21", "depthwise(channels, 21, 1)", "depthwise(channels, 23, 1)", names=("c2", "strips")),
        ),
        Style(
            "raw convolutions, a loop that adds",
            """
class MSCA(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        c = channels
        self.parallel = strips == "parallel"
        self.near = nn.Conv2d(c, c, 5, padding=2, groups=c)
        self.along = nn.ModuleList(nn.Conv2d(c, c, (1, k), padding=(0, k // 2), groups=c) for k in (7, 11, 21))
        self.across = nn.ModuleList(nn.Conv2d(c, c, (k, 1), padding=(k // 2, 0), groups=c) for k in (7, 11, 21))
        self.project = nn.Conv2d(c, c, 1)

    def forward(self, x):
        near = self.near(x)
        given = x if self.parallel else near
        total = near
        for row, column in zip(self.along, self.across):
            total = total + column(row(given))
        return self.project(total).mul(x)
""",
            Slip("one after another", "column(row(given))", "column(row(total))"),
            Slip("only the last", "total = total + column", "total = near + column"),
            Slip("a sigmoid", "self.project(total).mul(x)", "self.project(total).sigmoid().mul(x)"),
            Slip(
                "not depthwise",
                "nn.Conv2d(c, c, 5, padding=2, groups=c)",
                "nn.Conv2d(c, c, 5, padding=2)",
                names=("near", "local"),
            ),
        ),
        Style(
            "stacked, summed at once",
            """
class MSCA(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        self.serial = strips != "parallel"
        self.mix = nn.Conv2d(channels, channels, kernel_size=1)
        self.scales = nn.ModuleList([depthwise(channels, 5, 5)])
        for k in (7, 11, 21):
            self.scales.append(nn.Sequential(depthwise(channels, 1, k), depthwise(channels, k, 1)))

    def forward(self, x):
        first, *others = self.scales
        local = first(x)
        source = local if self.serial else x
        maps = torch.stack([local] + [scale(source) for scale in others])
        return torch.mul(self.mix(maps.sum(0)), x)
""",
            Slip("mean", "maps.sum(0)", "maps.mean(0)", names=("sum", "add")),
            Slip("turned round", "local if self.serial else x", "x if self.serial else local"),
            Slip("times local", "self.mix(maps.sum(0)), x)", "self.mix(maps.sum(0)), local)"),
        ),
        Style(
            "names in a dict, functools.reduce",
            """
from functools import reduce


class MSCA(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        layers = {"5x5": depthwise(channels, 5, 5)}
        for k in (7, 11, 21):
            layers[f"1x{k}"] = depthwise(channels, 1, k)
            layers[f"{k}x1"] = depthwise(channels, k, 1)
        self.layers = nn.ModuleDict(layers)
        self.weigh = nn.Conv2d(channels, channels, 1)
        self.from_input = {"serial": False, "parallel": True}[strips]

    def forward(self, x):
        near = self.layers["5x5"](x)
        start = x if self.from_input else near
        far = [self.layers[f"{k}x1"](self.layers[f"1x{k}"](start)) for k in (7, 11, 21)]
        return self.weigh(reduce(torch.add, far, near)) * x
""",
            Slip(
                "rows and columns exchanged",
                'self.layers[f"{k}x1"](self.layers[f"1x{k}"](start))',
                'self.layers[f"1x{k}"](self.layers[f"{k}x1"](start))',
            ),
            Slip("multiplied", "torch.add", "torch.mul", names=("add",)),
            Slip("always serial", "x if self.from_input else near", "near"),
        ),
        Style(
            "the 1×1 on each map, its bias once",
            """
import torch.nn.functional as F


class MSCA(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        self.mode = strips
        self.local = depthwise(channels, 5, 5)
        pairs = [[depthwise(channels, 1, k), depthwise(channels, k, 1)] for k in (7, 11, 21)]
        self.pairs = nn.ModuleList(nn.ModuleList(pair) for pair in pairs)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        local = self.local(x)
        attention = self.mix(local)
        for row, column in self.pairs:
            seen = column(row(local if self.mode == "serial" else x))
            attention = attention + F.conv2d(seen, self.mix.weight)
        return attention * x
""",
            Slip("its bias four times", "F.conv2d(seen, self.mix.weight)", "self.mix(seen)"),
            Slip("not mixed", "F.conv2d(seen, self.mix.weight)", "seen"),
            Slip("added to x", "attention * x", "attention + x", names=("mul",)),
        ),
    ],
    "11.3": readings("strips_read", "c", a="they cannot speak for one", d="25 a side are not 21"),
    "11.4": [
        Style(
            "a class for a half",
            """
class Half(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.norm = SlowBatchNorm(channels)
        self.inner = inner
        self.scale = LayerScale(channels)

    def forward(self, x):
        return x + self.scale(self.inner(self.norm(x)))


class MSCAN(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        c, wide = channels, 4 * channels
        attend = nn.Sequential(nn.Conv2d(c, c, 1), nn.GELU(), MSCA(c, strips=strips), nn.Conv2d(c, c, 1))
        feed = nn.Sequential(nn.Conv2d(c, wide, 1), depthwise(wide, 3, 3), nn.GELU(), nn.Conv2d(wide, c, 1))
        self.halves = nn.Sequential(Half(c, attend), Half(c, feed))

    def forward(self, x):
        return self.halves(x)
""",
            Slip("no shortcut", "return x + self.scale", "return self.scale", names=("add",)),
            Slip(
                "the colleague's bug in both",
                "return x + self.scale(self.inner(self.norm(x)))",
                "x = self.norm(x)\n        return x + self.scale(self.inner(x))",
            ),
            Slip(
                "twice the width",
                "wide = channels, 4 * channels",
                "wide = channels, 2 * channels",
                names=("halves", "feed_forward"),
            ),
        ),
        Style(
            "every layer by itself",
            """
class MSCAN(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        self.norm_a, self.norm_b = SlowBatchNorm(channels), SlowBatchNorm(channels)
        self.enter = nn.Conv2d(channels, channels, 1)
        self.msca = MSCA(channels, strips)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.widen = nn.Conv2d(channels, 4 * channels, 1)
        self.spread = depthwise(4 * channels, 3, 3)
        self.narrow = nn.Conv2d(4 * channels, channels, 1)
        self.scale_a, self.scale_b = LayerScale(channels), LayerScale(channels)
        self.gelu = nn.GELU()

    def forward(self, x):
        y = self.gelu(self.enter(self.norm_a(x)))
        y = self.leave(self.msca(y))
        x = x + self.scale_a(y)
        y = self.widen(self.norm_b(x))
        y = self.gelu(self.spread(y))
        y = self.narrow(y)
        return x + self.scale_b(y)
""",
            Slip("no GELU in the FFN", "self.gelu(self.spread(y))", "self.spread(y)", names=("gelu",)),
            Slip("GELU before the 3×3", "self.gelu(self.spread(y))", "self.spread(self.gelu(y))"),
            Slip(
                "strips not handed on", "MSCA(channels, strips)", "MSCA(channels)", names=("strips is not handed on",)
            ),
            Slip("second norm forgotten", "self.widen(self.norm_b(x))", "self.widen(x)", names=("batch_norm",)),
        ),
        Style(
            "two methods, functional GELU",
            """
class MSCAN(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        c = channels
        self.n1, self.p1, self.m, self.p2, self.s1 = (
            SlowBatchNorm(c), nn.Conv2d(c, c, 1), MSCA(c, strips), nn.Conv2d(c, c, 1), LayerScale(c))
        self.n2, self.f1, self.d, self.f2, self.s2 = (
            SlowBatchNorm(c), nn.Conv2d(c, 4 * c, 1), depthwise(4 * c, 3, 3), nn.Conv2d(4 * c, c, 1), LayerScale(c))

    def attention(self, x):
        return self.p2(self.m(functional.gelu(self.p1(x))))

    def ffn(self, x):
        return self.f2(functional.gelu(self.d(self.f1(x))))

    def forward(self, x):
        half = x + self.s1(self.attention(self.n1(x)))
        return half + self.s2(self.ffn(self.n2(half)))
""",
            Slip("the first input goes on", "return half + self.s2", "return x + self.s2"),
            Slip("the FFN reads the input", "self.n2(half)", "self.n2(x)"),
            Slip("ReLU", "self.p2(self.m(functional.gelu(", "self.p2(self.m(functional.relu(", names=("gelu",)),
            Slip("one scale twice", "half + self.s2(", "half + self.s1("),
        ),
        Style(
            "a loop over both halves",
            """
class MSCAN(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        c = channels
        first = [nn.Conv2d(c, c, 1), nn.GELU(), MSCA(c, strips), nn.Conv2d(c, c, 1)]
        second = [nn.Conv2d(c, 4 * c, 1), depthwise(4 * c, 3, 3), nn.GELU(), nn.Conv2d(4 * c, c, 1)]
        self.parts = nn.ModuleList(
            nn.Sequential(SlowBatchNorm(c), *layers, LayerScale(c)) for layers in (first, second)
        )

    def forward(self, x):
        for part in self.parts:
            x = part(x) + x
        return x
""",
            Slip("minus", "part(x) + x", "part(x) - x", names=("add",)),
            Slip("no scale", "*layers, LayerScale(c))", "*layers)", names=("scale1", "scale2")),
            Slip(
                "a shortcut from the start",
                "        for part in self.parts:\n            x = part(x) + x\n",
                "        y = x\n        for part in self.parts:\n            x = part(x) + y\n",
            ),
        ),
        Style(
            "a normalisation of one's own, shortcuts by name",
            """
class Norm(nn.BatchNorm2d):
    def __init__(self, c, momentum=3e-4):
        super().__init__(c, momentum=momentum)


class MSCAN(nn.Module):
    def __init__(self, channels, strips="serial"):
        super().__init__()
        c = channels
        self.norm1 = Norm(c)
        self.attend = nn.Sequential(nn.Conv2d(c, c, 1), nn.GELU(), MSCA(c, strips), nn.Conv2d(c, c, 1))
        self.scale1 = LayerScale(c)
        self.norm2 = Norm(c)
        self.feed = nn.Sequential(
            nn.Conv2d(c, 4 * c, 1), nn.Conv2d(4 * c, 4 * c, 3, padding=1, groups=4 * c), nn.GELU(),
            nn.Conv2d(4 * c, c, 1))
        self.scale2 = LayerScale(c)

    def forward(self, x):
        shortcut = x
        x = self.scale1(self.attend(self.norm1(x)))
        x = shortcut + x
        shortcut = x
        x = self.scale2(self.feed(self.norm2(x)))
        return shortcut + x
""",
            Slip(
                "shortcut not renewed", "        x = shortcut + x\n        shortcut = x\n", "        x = shortcut + x\n"
            ),
            Slip(
                "normalised first",
                "shortcut = x\n        x = self.scale1(self.attend(self.norm1(x)))",
                "shortcut = x = self.norm1(x)\n        x = self.scale1(self.attend(x))",
            ),
            Slip(
                "a momentum as usual",
                "self.norm1 = Norm(c)",
                "self.norm1 = Norm(c, 0.1)",
                names=("momentum",),
            ),
        ),
    ],
    "11.5": readings("forgotten", "b", a="too few biases", c="the FLOPs do not"),
    "11.6": [
        Style(
            "written out",
            """
class BFEM(nn.Module):
    def __init__(self, channels, blocks=5, bridge=3, strips="serial"):
        super().__init__()
        fine, coarse = channels
        self.front3, self.front4 = front(fine), front(coarse)
        self.blocks3 = row_of(fine, blocks, strips)
        self.blocks4 = row_of(coarse, blocks, strips)
        self.halve = nn.Conv2d(fine, coarse, kernel_size=3, stride=2, padding=1)
        self.between = row_of(coarse, bridge, strips)
        self.out3 = CCSF(2 * fine, fine)
        self.out4 = CCSF(3 * coarse, coarse)

    def forward(self, x3, x4):
        a = self.blocks3(self.front3(x3))
        b = self.blocks4(self.front4(x4))
        d = self.between(self.halve(a))
        return self.out3(torch.cat((x3, a), 1)), self.out4(torch.cat((x4, b, d), 1))
""",
            Slip("the bridge reads x3", "self.halve(a)", "self.halve(x3)"),
            Slip("order of the three", "(x4, b, d)", "(x4, d, b)"),
            Slip("front left out", "self.blocks4(self.front4(x4))", "self.blocks4(x4)"),
            Slip("strips not handed on", "row_of(coarse, bridge, strips)", "row_of(coarse, bridge, 'serial')"),
        ),
        Style(
            "a dict of paths",
            """
class BFEM(nn.Module):
    def __init__(self, channels, blocks=5, bridge=3, strips="serial"):
        super().__init__()
        c3, c4 = channels
        self.path = nn.ModuleDict({
            "3": nn.Sequential(front(c3), row_of(c3, blocks, strips)),
            "4": nn.Sequential(front(c4), row_of(c4, blocks, strips)),
            "3 to 4": nn.Sequential(nn.Conv2d(c3, c4, 3, 2, 1), row_of(c4, bridge, strips)),
        })
        self.mix3, self.mix4 = CCSF(c3 + c3, c3), CCSF(c4 + c4 + c4, c4)

    def forward(self, x3, x4):
        seen3, seen4 = self.path["3"](x3), self.path["4"](x4)
        handed = self.path["3 to 4"](seen3)
        y3 = torch.cat([x3, seen3], dim=1)
        y4 = torch.cat([x4, seen4, handed], dim=1)
        return self.mix3(y3), self.mix4(y4)
""",
            Slip("the input last", "[x3, seen3]", "[seen3, x3]"),
            Slip("added", "torch.cat([x3, seen3], dim=1)", "torch.cat([x3, seen3 + x3], dim=1)"),
            Slip("maps exchanged", "return self.mix3(y3), self.mix4(y4)", "return self.mix4(y4), self.mix3(y3)"),
            Slip(
                "a bridge as long as the rows",
                "row_of(c4, bridge, strips)",
                "row_of(c4, blocks, strips)",
                names=("path", "bridge"),
            ),
        ),
        Style(
            "flat Sequentials",
            """
class BFEM(nn.Module):
    def __init__(self, channels, blocks=5, bridge=3, strips="serial"):
        super().__init__()
        c3, c4 = channels
        self.up = nn.Sequential(*front(c3), *row_of(c3, blocks, strips))
        self.low = nn.Sequential(*front(c4), *row_of(c4, blocks, strips))
        self.down = nn.Sequential(nn.Conv2d(c3, c4, 3, stride=2, padding=1), *row_of(c4, bridge, strips))
        self.last = nn.ModuleList([CCSF(2 * c3, c3), CCSF(3 * c4, c4)])

    def forward(self, x3, x4):
        a = self.up(x3)
        maps = [[x3, a], [x4, self.low(x4), self.down(a)]]
        y3, y4 = (fuse(torch.cat(m, dim=1)) for fuse, m in zip(self.last, maps))
        return y3, y4
""",
            Slip("no stride", "3, stride=2, padding=1)", "3, padding=1)"),
            Slip("x4 twice", "[x4, self.low(x4), self.down(a)]", "[x4, x4, self.down(a)]"),
            Slip(
                "1×1",
                "nn.Conv2d(c3, c4, 3, stride=2, padding=1)",
                "nn.Conv2d(c3, c4, 1, stride=2)",
                names=("down", "bridge"),
            ),
        ),
        Style(
            "its own front and rows, blocks in lists",
            """
class BFEM(nn.Module):
    def __init__(self, channels, blocks=5, bridge=3, strips="serial"):
        super().__init__()
        self.fronts = nn.ModuleList(front(c) for c in channels)
        self.rows = nn.ModuleList(row_of(c, blocks, strips) for c in channels)
        self.down = nn.Conv2d(*channels, 3, stride=2, padding=1)
        self.bridge = nn.ModuleList(MSCAN(channels[1], strips) for _ in range(bridge))
        self.norm = SlowBatchNorm(channels[1])
        self.ccsf = nn.ModuleList(CCSF(n * c, c) for n, c in zip((2, 3), channels))

    def forward(self, x3, x4):
        a, b = (row(f(x)) for row, f, x in zip(self.rows, self.fronts, (x3, x4)))
        d = self.down(a)
        for block in self.bridge:
            d = block(d)
        d = self.norm(d)
        return self.ccsf[0](torch.cat([x3, a], 1)), self.ccsf[1](torch.cat([x4, b, d], 1))
""",
            Slip("norm forgotten", "        d = self.norm(d)\n", "", names=("batch_norm",)),
            Slip("norm before the blocks", "        d = self.down(a)\n", "        d = self.norm(self.down(a))\n"),
            Slip("no bias", "3, stride=2, padding=1)", "3, stride=2, padding=1, bias=False)", names=("down", "bridge")),
            Slip("all from the fine map", "torch.cat([x4, b, d], 1)", "torch.cat([x4, d, d], 1)"),
        ),
        Style(
            "two classes, one for each map",
            """
class Fine(nn.Module):
    def __init__(self, c, blocks, strips):
        super().__init__()
        self.front, self.row = front(c), row_of(c, blocks, strips)

    def forward(self, x):
        return self.row(self.front(x))


class BFEM(nn.Module):
    def __init__(self, channels, blocks=5, bridge=3, strips="serial"):
        super().__init__()
        c3, c4 = channels
        self.fuse4 = CCSF(3 * c4, c4)
        self.fuse3 = CCSF(2 * c3, c3)
        self.bridge = nn.Sequential(nn.Conv2d(c3, c4, (3, 3), (2, 2), (1, 1)), row_of(c4, bridge, strips))
        self.coarse = Fine(c4, blocks, strips)
        self.fine = Fine(c3, blocks, strips)

    def forward(self, x3, x4):
        a = self.fine(x3)
        wide = torch.cat([self.coarse(x4), self.bridge(a)], dim=1)
        y4 = self.fuse4(torch.cat([x4, wide], dim=1))
        return self.fuse3(torch.cat([x3, a], dim=1)), y4
""",
            Slip("front after the row", "self.row(self.front(x))", "self.front(self.row(x))"),
            Slip("detached", "self.bridge(a)], dim=1", "self.bridge(a.detach())], dim=1", names=("detach",)),
            Slip(
                "one block too many", "row_of(c4, bridge, strips)", "row_of(c4, bridge + 1, strips)", names=("bridge",)
            ),
        ),
    ],
}
