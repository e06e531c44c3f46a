"""Lesson 09 in other styles."""

from styles import Slip, Style
from styles.choices import readings

_EXCHANGE = """
class Exchange(nn.Module):
    def __init__(self, channels):
        super().__init__()
        n = range(len(channels))
        rows = [[Path(channels, j, i) for j in n] for i in n]
        self.paths = nn.ModuleList(nn.ModuleList(row) for row in rows)
"""

STYLES = {
    "09.1": [
        Style(
            "a Sequential",
            """
class BasicBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.f = nn.Sequential(ConvBNReLU(channels, channels), ConvBNReLU(channels, channels, relu=False))

    def forward(self, x):
        return torch.relu(x + self.f(x))
""",
            Slip("no shortcut", "x + self.f(x)", "self.f(x)", names=("add",)),
            Slip("ReLU before the sum", "torch.relu(x + self.f(x))", "x + torch.relu(self.f(x))", names=("relu",)),
            Slip("second with ReLU", ", relu=False", "", names=("relu",)),
            Slip("product", "x + self.f(x)", "x * self.f(x)", names=("add",)),
        ),
        Style(
            "convolutions and norms written out",
            """
class BasicBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.na = nn.BatchNorm2d(channels)
        self.b = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.nb = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.na(self.a(x))
        y = torch.relu(y)
        y = self.nb(self.b(y))
        return torch.relu(y + x)
""",
            Slip("no ReLU between", "        y = torch.relu(y)\n", "", names=("relu",)),
            Slip("one norm twice", "y = self.nb(self.b(y))", "y = self.na(self.b(y))"),
            Slip("no ReLU at the end", "torch.relu(y + x)", "y + x", names=("relu",)),
            Slip("one convolution twice", "self.nb(self.b(y))", "self.nb(self.a(y))"),
        ),
        Style(
            "a list and a loop",
            """
class BasicBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.convs = nn.ModuleList(ConvBNReLU(channels, channels, relu=first) for first in (True, False))
        self.act = nn.ReLU()

    def forward(self, x):
        out = x
        for conv in self.convs:
            out = conv(out)
        return self.act(out + x)
""",
            Slip("the second reads x", "out = conv(out)", "out = conv(x)"),
            Slip("minus", "out + x", "out - x"),
            Slip("ReLUs exchanged", "(True, False)", "(False, True)", names=("relu",)),
            Slip("no ReLU at the end", "self.act(out + x)", "out + x", names=("relu",)),
        ),
        Style(
            "clamp, step by step",
            """
class BasicBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        c = channels
        self.second = ConvBNReLU(c, c, kernel=3, relu=False)
        self.first = ConvBNReLU(c, c)

    def forward(self, x):
        shortcut = x
        x = self.first(x)
        x = self.second(x)
        total = shortcut + x
        return total.clamp(min=0)
""",
            Slip("1×1", "kernel=3", "kernel=1", names=("second", "conv2")),
            Slip("shortcut taken too late", "shortcut = x\n        x = self.first(x)", "x = shortcut = self.first(x)"),
            Slip("sigmoid", "total.clamp(min=0)", "total.sigmoid()", names=("relu",)),
            Slip(
                "in the other order",
                "x = self.first(x)\n        x = self.second(x)",
                "x = self.second(x)\n        x = self.first(x)",
            ),
        ),
        Style(
            "a class for the shortcut",
            """
class Beside(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + x


class BasicBlock(nn.Sequential):
    def __init__(self, channels):
        two = [ConvBNReLU(channels, channels, relu=r) for r in (1, 0)]
        super().__init__(Beside(*two), nn.ReLU())
""",
            Slip("GELU", "nn.ReLU()", "nn.GELU()", names=("relu",)),
            Slip("ReLUs exchanged", "in (1, 0)", "in (0, 1)", names=("relu",)),
            Slip("no shortcut", "super().forward(x) + x", "super().forward(x)", names=("add",)),
        ),
    ],
    "09.2": [
        Style(
            "layers in a list, an empty one for the same map",
            """
class Path(nn.Module):
    def __init__(self, channels, source, target):
        super().__init__()
        a, b = channels[source], channels[target]
        layers = []
        for step in range(source, target):
            last = step == target - 1
            layers.append(ConvBNReLU(a, b if last else a, stride=2, relu=not last))
        if source > target:
            layers = [ConvBNReLU(a, b, kernel=1, relu=False)]
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x)
""",
            Slip("3×3 upwards", "kernel=1, ", "", names=("net", "convs")),
            Slip("ReLU after the last", ", relu=not last", "", names=("relu",)),
            Slip("one too few", "range(source, target)", "range(source + 1, target)", names=("net", "convs")),
        ),
        Style(
            "widths in pairs",
            """
class Path(nn.Module):
    def __init__(self, channels, source, target):
        super().__init__()
        c, last, n = channels[source], channels[target], target - source
        widths = [c] * n + [last]
        self.steps = nn.ModuleList()
        for k, (a, b) in enumerate(zip(widths, widths[1:])):
            self.steps.append(ConvBNReLU(a, b, 3, 2, relu=k + 1 < n))
        if n < 0:
            self.steps.append(ConvBNReLU(c, last, 1, relu=False))

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x
""",
            Slip("ReLU after the last", "relu=k + 1 < n", "relu=True", names=("relu",)),
            Slip("stride forgotten", "(a, b, 3, 2, relu", "(a, b, 3, relu", names=("stride",)),
            Slip("widened first", "[c] * n + [last]", "[c] + [last] * n", names=("steps", "convs")),
            Slip("3×3 upwards", "(c, last, 1, relu", "(c, last, relu", names=("steps", "convs")),
        ),
        Style(
            "raw layers, early return",
            """
class Path(nn.Module):
    def __init__(self, channels, source, target):
        super().__init__()
        self.layers = nn.Sequential()
        c, last = channels[source], channels[target]
        if source == target:
            return
        if source > target:
            self.layers.extend([nn.Conv2d(c, last, 1, bias=False), nn.BatchNorm2d(last)])
            return
        for _ in range(target - source - 1):
            conv = nn.Conv2d(c, c, 3, stride=2, padding=1, bias=False)
            self.layers.extend([conv, nn.BatchNorm2d(c), nn.ReLU()])
        self.layers.extend([nn.Conv2d(c, last, 3, 2, 1, bias=False), nn.BatchNorm2d(last)])

    def forward(self, x):
        return self.layers(x)
""",
            Slip("no norm", "last, 1, bias=False), nn.BatchNorm2d(last)", "last, 1, bias=False)", names=("convs",)),
            Slip("a bias", "2, 1, bias=False", "2, 1", names=("layers", "convs")),
        ),
        Style(
            "by recursion",
            """
class Path(nn.Module):
    def __init__(self, channels, source, target):
        super().__init__()
        a, b = channels[source], channels[target]
        if target > source + 1:
            near = [*channels]
            near[source + 1] = a
            self.net = nn.Sequential(ConvBNReLU(a, a, stride=2), Path(near, source + 1, target))
        elif target == source + 1:
            self.net = ConvBNReLU(a, b, stride=2, relu=False)
        else:
            self.net = ConvBNReLU(a, b, kernel=1, relu=False) if source > target else nn.Identity()

    def forward(self, x):
        return self.net(x)
""",
            Slip("no halving in between", "ConvBNReLU(a, a, stride=2)", "ConvBNReLU(a, a)", names=("net", "convs")),
            Slip("a 1×1 for the same map", "if source > target else", "if source >= target else", names=("net",)),
            Slip(
                "ReLU at the end",
                "ConvBNReLU(a, b, stride=2, relu=False)",
                "ConvBNReLU(a, b, stride=2)",
                names=("relu",),
            ),
        ),
        Style(
            "the two directions in two methods",
            """
class Path(nn.Module):
    def __init__(self, channels, source, target):
        super().__init__()
        self.body, a, b = None, channels[source], channels[target]
        if source < target:
            self.body = self.down(a, b, target - source)
        elif source > target:
            self.body = self.up(a, b)

    @staticmethod
    def up(a, b):
        return ConvBNReLU(a, b, 1, relu=False)

    @staticmethod
    def down(a, b, halvings):
        keep = (ConvBNReLU(a, a, stride=2) for _ in range(halvings - 1))
        return nn.Sequential(*keep, ConvBNReLU(a, b, stride=2, relu=False))

    def forward(self, x):
        return x if self.body is None else self.body(x)
""",
            Slip("ReLU after the last", "a, b, stride=2, relu=False", "a, b, stride=2", names=("relu",)),
            Slip("one halving too many", "range(halvings - 1)", "range(halvings)", names=("body", "convs")),
            Slip("directions exchanged", "self.up(a, b)", "self.up(b, a)", names=("body", "convs")),
        ),
    ],
    "09.3": [
        Style(
            "two loops, added up",
            _EXCHANGE
            + """
    def forward(self, *maps):
        out = []
        for i in range(len(maps)):
            total = 0
            for j in range(len(maps)):
                y = self.paths[i][j](maps[j])
                total = total + resize(y, maps[i].shape[-2:], align_corners=True)
            out.append(torch.relu(total))
        return out
""",
            Slip(
                "resized before the path",
                "y = self.paths[i][j](maps[j])\n"
                "                total = total + resize(y, maps[i].shape[-2:], align_corners=True)",
                "y = resize(maps[j], maps[i].shape[-2:], align_corners=True)\n"
                "                total = total + self.paths[i][j](y)",
            ),
            Slip("align_corners forgotten", ", align_corners=True", ""),
            Slip("row and column exchanged", "self.paths[i][j](maps[j])", "self.paths[j][i](maps[j])"),
        ),
        Style(
            "stacked, summed",
            _EXCHANGE
            + """
    def forward(self, *maps):
        def gather(row, size):
            return torch.stack([resize(p(x), size, align_corners=True) for p, x in zip(row, maps)]).sum(0)

        return [gather(row, x.shape[2:]).relu() for row, x in zip(self.paths, maps)]
""",
            Slip("mean", ".sum(0)", ".mean(0)", names=("sum", "add")),
            Slip("no ReLU", ".shape[2:]).relu()", ".shape[2:])", names=("relu",)),
            Slip("ReLU each", "align_corners=True) for", "align_corners=True).relu() for", names=("relu",)),
            Slip("nearest", "size, align_corners=True", "size, 'nearest'"),
        ),
        Style(
            "own map first, then the others",
            _EXCHANGE
            + """
    def forward(self, *maps):
        return [self.meet(i, maps) for i in range(len(maps))]

    def meet(self, i, maps):
        mine = maps[i]
        for j, x in enumerate(maps):
            if j != i:
                moved = self.paths[i][j](x)
                mine = mine + (resize(moved, mine.shape[-2:], align_corners=True) if j > i else moved)
        return mine.clamp(min=0)
""",
            Slip("coarser maps only", "if j != i:", "if j > i:"),
            Slip("no ReLU", "return mine.clamp(min=0)", "return mine", names=("relu", "clamp")),
        ),
        Style(
            "source by source",
            _EXCHANGE
            + """
    def forward(self, *maps):
        import torch.nn.functional as F

        sums = [torch.zeros_like(m) for m in maps]
        for j, x in enumerate(maps):
            for i, target in enumerate(maps):
                y = self.paths[i][j](x)
                sums[i] = sums[i] + F.interpolate(y, target.shape[2:], mode="bilinear", align_corners=True)
        return [F.relu(s) for s in sums]
""",
            Slip("bicubic", '"bilinear"', '"bicubic"'),
            Slip("multiplied", "sums[i] + F", "sums[i] * F", names=("add",)),
        ),
        Style(
            "reduce",
            _EXCHANGE
            + """
    def forward(self, *maps):
        from functools import reduce

        answers = []
        for own, row in zip(maps, self.paths):
            h, w = own.shape[-2:]
            parts = (resize(path(m), (h, w), align_corners=True) for path, m in zip(row, maps))
            answers.append(nn.functional.relu(reduce(torch.add, parts)))
        return answers
""",
            Slip("maximum", "torch.add", "torch.maximum", names=("add",)),
            Slip("width for height", "(h, w), align", "(w, h), align"),
            Slip("maps turned round", "zip(row, maps))", "zip(row, maps[::-1]))"),
        ),
    ],
    "09.4": [
        Style(
            "kept ones and the new one apart",
            """
class Transition(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.kept = nn.ModuleList()
        for b, a in zip(before, after):
            self.kept.append(ConvBNReLU(b, a) if a != b else nn.Identity())
        self.new = ConvBNReLU(before[-1], after[-1], stride=2)

    def forward(self, *maps):
        out = [keep(x) for keep, x in zip(self.kept, maps)]
        out.append(self.new(maps[-1]))
        return out
""",
            Slip("the new one reads what goes on", "self.new(maps[-1])", "self.new(out[-1])"),
            Slip("stride forgotten", ", stride=2", "", names=("new", "layers")),
            Slip("new one first", "out.append(self.new(maps[-1]))", "out.insert(0, self.new(maps[-1]))"),
        ),
        Style(
            "a conversion only where it is needed",
            """
class Transition(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        changed = {str(i): ConvBNReLU(b, a) for i, (b, a) in enumerate(zip(before, after)) if b != a}
        self.change = nn.ModuleDict(changed)
        self.more = ConvBNReLU(before[-1], after[-1], 3, 2)

    def forward(self, *maps):
        passed = [self.change[str(i)](x) if str(i) in self.change else x for i, x in enumerate(maps)]
        return [*passed, self.more(maps[-1])]
""",
            Slip("always one", " if b != a}", "}", names=("change", "layers")),
            Slip("from the finest", "self.more(maps[-1])", "self.more(maps[0])"),
            Slip("new one forgotten", "[*passed, self.more(maps[-1])]", "passed", names=("more", "layers")),
        ),
        Style(
            "the given maps go into a list, one after another",
            """
class Transition(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        sources = before + before[-1:]
        layers = []
        for i, (b, a) in enumerate(zip(sources, after)):
            fresh = i == len(before)
            layers.append(nn.Sequential() if a == b and not fresh else ConvBNReLU(b, a, stride=2 if fresh else 1))
        self.layers = nn.ModuleList(layers)

    def forward(self, *maps):
        last = len(maps) - 1
        return [layer(maps[min(i, last)]) for i, layer in enumerate(self.layers)]
""",
            Slip("1×1", "ConvBNReLU(b, a, stride", "ConvBNReLU(b, a, 1, stride", names=("layers",)),
            Slip("from the second last", "min(i, last)", "min(i, max(last - 1, 0))"),
        ),
        Style(
            "raw layers",
            """
def conv(a, b, stride):
    return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Transition(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.down = conv(before[-1], after[-1], 2)
        same = [b == a for b, a in zip(before, after)]
        self.rest = nn.ModuleList(nn.Identity() if s else conv(b, a, 1) for s, b, a in zip(same, before, after))

    def forward(self, *maps):
        new = self.down(maps[-1])
        return [rest(x) for rest, x in zip(self.rest, maps)] + [new]
""",
            Slip("no ReLU", ", nn.ReLU())", ")", names=("relu",)),
            Slip("a bias", "1, bias=False", "1", names=("down", "rest", "layers")),
        ),
        Style(
            "what changes is exchanged in a list",
            """
class Transition(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        n = len(before)
        layers = {i: ConvBNReLU(before[i], after[i]) for i in range(n) if before[i] != after[i]}
        self.places = [*layers, n]
        self.convs = nn.ModuleList([*layers.values(), ConvBNReLU(before[-1], after[-1], stride=2)])

    def forward(self, *maps):
        maps = [*maps, maps[-1]]
        for place, conv in zip(self.places, self.convs):
            maps[place] = conv(maps[place])
        return maps
""",
            Slip("a ReLU too few", "stride=2)", "stride=2, relu=False)", names=("relu",)),
            Slip("the coarsest exchanged", "[*layers, n]", "[*layers, n - 1]"),
            Slip("one too many", "[*maps, maps[-1]]", "[*maps, maps[-1], maps[-1]]"),
        ),
    ],
    "09.5": [
        Style(
            "a Sequential",
            """
class ConcatHead(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        c = sum(channels)
        self.head = nn.Sequential(nn.Conv2d(c, c, 1), nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, num_classes, 1))

    def forward(self, *maps):
        h, w = maps[0].shape[-2:]
        return self.head(torch.cat([resize(m, (h, w), align_corners=True) for m in maps], 1))
""",
            Slip("no ReLU", "nn.ReLU(), ", "", names=("relu",)),
            Slip("coarsest first", "for m in maps]", "for m in maps[::-1]]"),
            Slip("no bias", "nn.Conv2d(c, c, 1)", "nn.Conv2d(c, c, 1, bias=False)", names=("head", "conv")),
            Slip("norm forgotten", "nn.BatchNorm2d(c), ", "", names=("head.bn", "bn", "batch_norm")),
        ),
        Style(
            "the finest kept, the others grown",
            """
class ConcatHead(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        total = sum(channels)
        self.classify = nn.Conv2d(total, num_classes, 1)
        self.norm = nn.BatchNorm2d(total)
        self.mix = nn.Conv2d(total, total, 1)

    def forward(self, finest, *coarser):
        size = finest.shape[2:]
        y = finest
        for m in coarser:
            y = torch.cat([y, resize(m, size, align_corners=True)], dim=1)
        y = self.norm(self.mix(y))
        return self.classify(torch.relu(y))
""",
            Slip("corners not aligned", "size, align_corners=True", "size"),
            Slip("ReLU at the end", "self.classify(torch.relu(y))", "torch.relu(self.classify(y))", names=("relu",)),
            Slip("norm before the convolution", "self.norm(self.mix(y))", "self.mix(self.norm(y))"),
        ),
        Style(
            "interpolate called directly",
            """
import torch.nn.functional as F


class ConcatHead(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        n = 0
        for c in channels:
            n += c
        self.one = nn.Conv2d(n, n, kernel_size=1, bias=True)
        self.bn = nn.BatchNorm2d(n)
        self.two = nn.Conv2d(n, num_classes, kernel_size=1, bias=True)

    def forward(self, *maps):
        size = tuple(maps[0].shape[-2:])
        maps = [F.interpolate(m, size, mode="bilinear", align_corners=True) for m in maps]
        x = F.relu(self.bn(self.one(torch.concat(maps, dim=1))))
        return self.two(x)
""",
            Slip("classifier left out", "return self.two(x)", "return x", names=("two", "classifier", "conv2d")),
            Slip("nearest", 'mode="bilinear", align_corners=True', 'mode="nearest"'),
            Slip("finest last", "torch.concat(maps, dim=1)", "torch.concat([*maps[1:], maps[0]], dim=1)"),
        ),
        Style(
            "linear layers at every place",
            """
class ConcatHead(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        width = sum(channels)
        self.hidden = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.out = nn.Linear(width, num_classes)

    def forward(self, *maps):
        n, _, h, w = maps[0].shape
        grown = [resize(x, (h, w), align_corners=True).movedim(1, 3) for x in maps]
        rows = torch.cat(grown, dim=3).reshape(n * h * w, -1)
        logits = self.out(self.norm(self.hidden(rows)).relu())
        return logits.reshape(n, h, w, -1).movedim(3, 1)
""",
            Slip("columns first", "reshape(n, h, w, -1)", "reshape(n, w, h, -1).transpose(1, 2)"),
            Slip("ReLU before the norm", ".hidden(rows)).relu()", ".hidden(rows).relu())", names=("relu",)),
            Slip("norm left out", "self.norm(self.hidden(rows)).relu()", "self.hidden(rows).relu()", names=("norm",)),
        ),
        Style(
            "one tensor, filled",
            """
class ConcatHead(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.channels = list(channels)
        self.layers = nn.ModuleList([
            nn.Conv2d(sum(channels), sum(channels), 1),
            nn.BatchNorm2d(sum(channels)),
            nn.Conv2d(sum(channels), num_classes, 1),
        ])

    def forward(self, *maps):
        top = maps[0]
        room = top.new_zeros(len(top), sum(self.channels), *top.shape[2:])
        start = 0
        for c, m in zip(self.channels, maps):
            room[:, start : start + c] = resize(m, top.shape[2:], align_corners=True)
            start += c
        conv, norm, last = self.layers
        return last(norm(conv(room)).clamp(min=0))
""",
            Slip("written over", "            start += c\n", ""),
            Slip("detached", "= resize(m, top", "= resize(m.detach(), top", names=("detach",)),
            Slip("norm first", "norm(conv(room))", "conv(norm(room))"),
        ),
    ],
    "09.6": readings("where_to_cut", "c", a="compare orange at 1/32 with blue", d="which of the four bars"),
}
