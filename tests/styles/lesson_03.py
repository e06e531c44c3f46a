"""Lesson 03 in other styles."""

from styles import Slip, Style

STYLES = {
    "03.1": [
        Style(
            "one formula",
            """
def conv_size(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) // stride + 1
""",
            Slip("padding at one end", "2 * padding", "padding"),
            Slip("one too few", " // stride + 1", " // stride"),
        ),
        Style(
            "count the places",
            """
def conv_size(size, kernel, stride, padding):
    places, start = 0, -padding
    while start + kernel <= size + padding:
        places += 1
        start += stride
    return places
""",
            Slip("never touches the end", "<= size", "< size"),
            Slip(
                "hangs over",
                "start + kernel <= size + padding",
                "start < size + padding",
                names=("a place counts wherever the kernel",),
            ),
        ),
        Style(
            "length of a range",
            """
def conv_size(size, kernel, stride, padding):
    return len(range(0, size + 2 * padding - kernel + 1, stride))
""",
            Slip("end of the range", "kernel + 1", "kernel"),
            Slip("stride forgotten", ", stride))", "))"),
        ),
        Style(
            "floor of a quotient",
            """
import math

def conv_size(size, kernel, stride, padding):
    padded = size + 2 * padding
    return math.floor((padded - kernel) / stride) + 1
""",
            Slip("rounded up", "math.floor", "math.ceil", names=("the kernel's last place may hang",)),
            Slip("kernel minus one", "padded - kernel", "padded - (kernel - 1)"),
        ),
        Style(
            "with dilation 1, as in PyTorch's page",
            """
def conv_size(size, kernel, stride, padding, dilation=1):
    return int((size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1)
""",
            Slip("without the -1", "(kernel - 1) - 1", "(kernel - 1)"),
            Slip("a fraction", "int(", "float("),
        ),
    ],
    "03.2": [
        Style(
            "from the last layer back",
            """
def receptive_field(layers):
    side = 1
    for kernel, stride in reversed(layers):
        side = (side - 1) * stride + kernel
    return side
""",
            Slip("from the first on", "reversed(layers)", "layers"),
            Slip("side for side - 1", "(side - 1) * stride", "side * stride"),
        ),
        Style(
            "sum and product",
            """
from math import prod

def receptive_field(layers):
    strides = [s for _, s in layers]
    return 1 + sum((k - 1) * prod(strides[:i]) for i, (k, _) in enumerate(layers))
""",
            Slip("own stride too", "strides[:i]", "strides[:i + 1]"),
            Slip("k for k - 1", "(k - 1)", "k"),
        ),
        Style(
            "recursion",
            """
def receptive_field(layers):
    if not layers:
        return 1
    kernel, stride = layers[0]
    return kernel + stride * (receptive_field(layers[1:]) - 1)
""",
            Slip("ends at 0", "return 1", "return 0"),
            Slip("minus one forgotten", "(receptive_field(layers[1:]) - 1)", "receptive_field(layers[1:])"),
        ),
        Style(
            "the set of seen places",
            """
def receptive_field(layers):
    seen = {0}
    for kernel, stride in layers[::-1]:
        seen = {stride * place + k for place in seen for k in range(kernel)}
    return max(seen) - min(seen) + 1
""",
            Slip("not one more", "min(seen) + 1", "min(seen)"),
            Slip("wrong way round", "layers[::-1]", "layers"),
        ),
        Style(
            "reduce",
            """
from functools import reduce

def receptive_field(layers):
    def grow(state, layer):
        field, jump = state
        return field + (layer[0] - 1) * jump, jump * layer[1]
    return reduce(grow, layers, (1, 1))[0]
""",
            Slip("begins at 0", "(1, 1))[0]", "(0, 1))[0]"),
            Slip("strides added", "jump * layer[1]", "jump + layer[1]"),
        ),
    ],
    "03.3": [
        Style(
            "a list of blocks, a loop",
            """
class STDCModule(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        widths = [in_channels, out_channels // 2, out_channels // 4, out_channels // 8, out_channels // 8]
        self.blocks = nn.ModuleList()
        for i in range(4):
            self.blocks.append(ConvBNReLU(widths[i], widths[i + 1], 1 if i == 0 else 3))
        self.stride = stride
        if stride == 2:
            half = out_channels // 2
            self.shrink = ConvBNReLU(half, half, 3, 2, groups=half, relu=False)
            self.pool = nn.AvgPool2d(3, 2, 1)

    def forward(self, x):
        outs = []
        for i, block in enumerate(self.blocks):
            if i == 1 and self.stride == 2:
                x = self.shrink(x)
            x = block(x)
            outs.append(x)
        if self.stride == 2:
            outs[0] = self.pool(outs[0])
        return torch.cat(outs, 1)
""",
            Slip("ReLU after the depthwise", "groups=half, relu=False)", "groups=half)", names=("shrink",)),
            Slip("pooled without padding's size", "nn.AvgPool2d(3, 2, 1)", "nn.MaxPool2d(3, 2, 1)", names=("pool",)),
            Slip("order of the concatenation", "torch.cat(outs, 1)", "torch.cat(outs[::-1], 1)"),
        ),
        Style(
            "plain layers in Sequential, written out",
            """
class STDCModule(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        h, q, e = out_channels // 2, out_channels // 4, out_channels // 8
        self.c1 = nn.Sequential(nn.Conv2d(in_channels, h, 1, bias=False), nn.BatchNorm2d(h), nn.ReLU())
        self.c2 = nn.Sequential(nn.Conv2d(h, q, 3, padding=1, bias=False), nn.BatchNorm2d(q), nn.ReLU())
        self.c3 = nn.Sequential(nn.Conv2d(q, e, 3, padding=1, bias=False), nn.BatchNorm2d(e), nn.ReLU())
        self.c4 = nn.Sequential(nn.Conv2d(e, e, 3, padding=1, bias=False), nn.BatchNorm2d(e), nn.ReLU())
        if stride == 2:
            self.dw = nn.Sequential(nn.Conv2d(h, h, 3, 2, 1, groups=h, bias=False), nn.BatchNorm2d(h))
            self.ap = nn.AvgPool2d(3, 2, 1)
        else:
            self.dw = self.ap = nn.Sequential()

    def forward(self, x):
        y1 = self.c1(x)
        y2 = self.c2(self.dw(y1))
        y3 = self.c3(y2)
        y4 = self.c4(y3)
        return torch.cat((self.ap(y1), y2, y3, y4), dim=1)
""",
            Slip(
                "no batch norm in the third",
                "nn.BatchNorm2d(e), nn.ReLU())\n        self.c4",
                "nn.ReLU())\n        self.c4",
                names=("c3", "branch3"),
            ),
            Slip("a ReLU missing", "nn.BatchNorm2d(q), nn.ReLU())", "nn.BatchNorm2d(q))", names=("c2", "relu")),
            Slip("third fed by the first", "self.c4(y3)", "self.c4(y3.detach())", names=("gradient",)),
        ),
        Style(
            "other order of the layers",
            """
class STDCModule(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        eighth = out_channels // 8
        self.fourth = ConvBNReLU(eighth, eighth)
        self.third = ConvBNReLU(2 * eighth, eighth)
        self.second = ConvBNReLU(4 * eighth, 2 * eighth)
        self.first = ConvBNReLU(in_channels, 4 * eighth, 1)
        self.small = stride == 2
        if self.small:
            self.mean = nn.AvgPool2d(3, 2, 1)
            self.shrink = ConvBNReLU(4 * eighth, 4 * eighth, stride=2, groups=4 * eighth, relu=False)

    def forward(self, x):
        a = self.first(x)
        b = self.second(self.shrink(a) if self.small else a)
        c = self.third(b)
        d = self.fourth(c)
        if self.small:
            a = self.mean(a)
        return torch.cat([a, b, c, d], 1)
""",
            Slip("maximum for mean", "self.mean(a)", "F.max_pool2d(a, 3, 2, 1)"),
            Slip("a function, which is not counted", "self.mean(a)", "F.avg_pool2d(a, 3, 2, 1)", names=("AvgPool2d",)),
            Slip("first of kernel 3", "4 * eighth, 1)", "4 * eighth)", names=("first",)),
            Slip("chain broken", "self.fourth(c)", "self.fourth(self.third(b) + c)"),
        ),
        Style(
            "stem and chain as two Sequentials",
            """
class STDCModule(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        n = out_channels
        self.first = ConvBNReLU(in_channels, n // 2, 1)
        steps = [ConvBNReLU(n // 2, n // 4)]
        if stride == 2:
            steps.insert(0, ConvBNReLU(n // 2, n // 2, 3, 2, groups=n // 2, relu=False))
        self.second = nn.Sequential(*steps)
        self.rest = nn.ModuleList([ConvBNReLU(n // 4, n // 8), ConvBNReLU(n // 8, n // 8)])
        self.skip = nn.AvgPool2d(3, 2, 1) if stride == 2 else nn.Identity()

    def forward(self, x):
        x = self.first(x)
        result = [self.skip(x)]
        for part in (self.second, *self.rest):
            x = part(x)
            result.append(x)
        return torch.cat(result, dim=1)
""",
            Slip("not depthwise", "3, 2, groups=n // 2, relu=False", "3, 2, relu=False", names=("second.0",)),
            Slip("halved after, not before", "steps.insert(0, ", "steps.insert(1, ", names=("second",)),
            Slip("the input kept", "result = [self.skip(x)]\n        for", "result = [self.skip(x) * 2]\n        for"),
        ),
        Style(
            "a helper function, a switch in forward",
            """
def cbr(a, b, k=3, **more):
    return ConvBNReLU(a, b, k, **more)


class STDCModule(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        w = out_channels
        self.stride = stride
        self.b1, self.b2 = cbr(in_channels, w // 2, 1), cbr(w // 2, w // 4)
        self.b3, self.b4 = cbr(w // 4, w // 8), cbr(w // 8, w // 8)
        self.pool = nn.AvgPool2d(kernel_size=3, stride=2, padding=1)
        self.down = cbr(w // 2, w // 2, stride=2, groups=w // 2, relu=False) if stride > 1 else None

    def forward(self, x):
        one = self.b1(x)
        if self.stride == 1:
            two = self.b2(one)
        else:
            two = self.b2(self.down(one))
            one = self.pool(one)
        three = self.b3(two)
        return torch.cat([one, two, three, self.b4(three)], 1)
""",
            Slip("border not counted", "padding=1)", "padding=1, count_include_pad=False)"),
            Slip("two and three exchanged", "[one, two, three,", "[one, three, two,"),
        ),
    ],
    "03.4": [
        Style(
            "a sum over layers",
            """
def module_parameters(m, n, stride=1):
    shapes = [(m, n // 2, 1), (n // 2, n // 4, 3), (n // 4, n // 8, 3), (n // 8, n // 8, 3)]
    total = sum(a * b * k * k + 2 * b for a, b, k in shapes)
    if stride == 2:
        total += n // 2 * (9 + 2)
    return total
""",
            Slip("norms forgotten", " + 2 * b", ""),
            Slip("depthwise without its norm", "(9 + 2)", "9"),
        ),
        Style(
            "collected fractions of n",
            """
def module_parameters(m, n, stride=1):
    weights = m * n // 2 + 9 * (n * n // 8 + n * n // 32 + n * n // 64)
    norms = 2 * (n // 2 + n // 4 + n // 8 + n // 8)
    extra = 11 * n // 2 if stride == 2 else 0
    return weights + norms + extra
""",
            Slip("last one as the third", "n * n // 64", "n * n // 32"),
            Slip("stride turned", "stride == 2", "stride == 1"),
        ),
        Style(
            "a helper",
            """
def module_parameters(m, n, stride=1):
    def layer(i, o, k, groups=1):
        return i // groups * o * k * k + 2 * o
    parts = [layer(m, n // 2, 1), layer(n // 2, n // 4, 3), layer(n // 4, n // 8, 3), layer(n // 8, n // 8, 3)]
    if stride == 2:
        parts.append(layer(n // 2, n // 2, 3, groups=n // 2))
    return sum(parts)
""",
            Slip("not depthwise", ", groups=n // 2)", ")"),
            Slip("first with kernel 3", "layer(m, n // 2, 1)", "layer(m, n // 2, 3)"),
        ),
    ],
    "03.5": [
        Style(
            "stages in a list",
            """
class STDC(nn.Module):
    def __init__(self, modules=(2, 2, 2), width=64):
        super().__init__()
        self.stem = nn.Sequential(ConvBNReLU(3, width // 2, stride=2), ConvBNReLU(width // 2, width, stride=2))
        self.stages = nn.ModuleList()
        before = width
        for number, factor in zip(modules, (4, 8, 16)):
            parts = [STDCModule(before, factor * width, 2)]
            parts += [STDCModule(factor * width, factor * width) for _ in range(number - 1)]
            self.stages.append(nn.Sequential(*parts))
            before = factor * width

    def forward(self, x):
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
""",
            Slip("one module too many", "range(number - 1)", "range(number)", names=("stages.0",)),
            Slip(
                "stem without a half",
                "ConvBNReLU(width // 2, width, stride=2)",
                "ConvBNReLU(width // 2, width)",
                names=("stem.1",),
            ),
            Slip("maps turned", "return maps", "return maps[::-1]", names=("the maps come in reverse order",)),
        ),
        Style(
            "written out, no helper",
            """
class STDC(nn.Module):
    def __init__(self, modules=(2, 2, 2), width=64):
        super().__init__()
        w = width
        a, b, c = modules
        self.s1, self.s2 = ConvBNReLU(3, w // 2, 3, 2), ConvBNReLU(w // 2, w, 3, 2)
        self.s3 = nn.Sequential(STDCModule(w, 4 * w, 2), *[STDCModule(4 * w, 4 * w) for _ in range(1, a)])
        self.s4 = nn.Sequential(STDCModule(4 * w, 8 * w, 2), *[STDCModule(8 * w, 8 * w) for _ in range(1, b)])
        self.s5 = nn.Sequential(STDCModule(8 * w, 16 * w, 2), *[STDCModule(16 * w, 16 * w) for _ in range(1, c)])

    def forward(self, x):
        x = self.s2(self.s1(x))
        out = []
        out.append(self.s3(x))
        out.append(self.s4(out[-1]))
        out.append(self.s5(out[-1]))
        return out
""",
            Slip("counts exchanged", "a, b, c = modules", "b, a, c = modules", names=("s3", "s4", "stage3")),
            Slip(
                "stage 1 as wide as stage 2",
                "ConvBNReLU(3, w // 2, 3, 2), ConvBNReLU(w // 2, w, 3, 2)",
                "ConvBNReLU(3, w, 3, 2), ConvBNReLU(w, w, 3, 2)",
                names=("s1", "s2", "stage1"),
            ),
        ),
        Style(
            "one long Sequential, read at three places",
            """
class STDC(nn.Module):
    def __init__(self, modules=(2, 2, 2), width=64):
        super().__init__()
        layers = [ConvBNReLU(3, width // 2, stride=2), ConvBNReLU(width // 2, width, stride=2)]
        self.ends, c = [], width
        for i, n in enumerate(modules):
            for j in range(n):
                out = width * 4 * 2**i
                layers.append(STDCModule(c, out, 2 if j == 0 else 1))
                c = out
            self.ends.append(len(layers) - 1)
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        maps = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.ends:
                maps.append(x)
        return maps
""",
            Slip("ends too early", "len(layers) - 1", "len(layers) - 2"),
            Slip("no stride", "2 if j == 0 else 1", "1 if j == 0 else 1", names=("layers.2", "stage3.0.down")),
        ),
    ],
}
