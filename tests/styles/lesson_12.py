"""Lesson 12 in other styles."""

from styles import Slip, Style
from styles.choices import readings

_DECODER = """
class HRDecoder(nn.Module):
    def __init__(self, channels, ccsf=False, attention="aam", attention_at="all"):
        super().__init__()
"""
_NETWORK = """
class ImprovedHRNet(Whole):
    def __init__(self, num_classes=20, width=48, bfem=False, fusm=False, ccsf=False,
                 attention="none", attention_at="all", **depth):
        super().__init__()
"""

STYLES = {
    "12.1": [
        Style(
            "a Sequential",
            """
class CCSF(nn.Sequential):
    def __init__(self, in_channels, out_channels):
        conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(out_channels, 1e-3, 0.03), nn.ReLU(inplace=True))
""",
            Slip("no ReLU", ", nn.ReLU(inplace=True)", "", names=("relu",)),
            Slip("a bias", ", bias=False", "", names=("0", "conv")),
        ),
        Style(
            "three names, step by step",
            """
class CCSF(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.activate = nn.ReLU()
        self.normalise = nn.BatchNorm2d(out_channels, eps=0.001, momentum=0.03)
        self.mix = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x):
        y = self.mix(x)
        y = self.normalise(y)
        return self.activate(y)
""",
            Slip("eps as usual", "eps=0.001, ", "", names=("eps",)),
            Slip("no norm", "        y = self.normalise(y)\n", "", names=("batch_norm",)),
        ),
        Style(
            "a list, a loop",
            """
class CCSF(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels, momentum=0.03, eps=1e-3),
            nn.ReLU(),
        ])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
""",
            Slip("ten times the eps", "eps=1e-3", "eps=1e-2", names=("eps",)),
            Slip("momentum as usual", "momentum=0.03, ", "", names=("momentum",)),
        ),
        Style(
            "settings given afterwards",
            """
class CCSF(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.block = nn.Sequential()
        self.block.add_module("conv", nn.Conv2d(in_channels, out_channels, (1, 1), bias=False))
        norm = nn.BatchNorm2d(out_channels)
        norm.eps, norm.momentum = 1e-3, 3e-2
        self.block.add_module("bn", norm)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.block(x))
""",
            Slip(
                "a function, which is not counted",
                "self.act(self.block(x))",
                "self.act(self.block[1](nn.functional.conv2d(x, self.block[0].weight)))",
                names=("operations of conv2d",),
            ),
            Slip("momentum 0.3", "3e-2", "3e-1", names=("momentum",)),
            Slip("ReLU left out", "self.act(self.block(x))", "self.block(x)", names=("relu",)),
        ),
        Style(
            "a linear layer at every place",
            """
class CCSF(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.03)
        self.positive = nn.Threshold(0.0, 0.0)

    def forward(self, x):
        y = self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.positive(self.norm(y))
""",
            Slip("norm after ReLU", "self.positive(self.norm(y))", "self.norm(self.positive(y))"),
            Slip("with a bias", "out_channels, bias=False)", "out_channels)", names=("linear", "conv", "block")),
        ),
    ],
    "12.2": [
        Style(
            "written out",
            """
class FUSM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        _, c2, c3, c4 = channels
        self.low = CCSF(c3 + c4, c3 + c4)
        self.middle = CCSF(c2 + c3 + c4, c2 + c3 + c4)

    def forward(self, x1, x2, x3, x4):
        u4 = resize(x4, x3.shape[-2:], "bicubic", align_corners=True)
        y = self.low(torch.cat([x3, u4], dim=1))
        u3 = resize(y, x2.shape[-2:], "bicubic", align_corners=True)
        y = self.middle(torch.cat([x2, u3], dim=1))
        u2 = resize(y, x1.shape[-2:], "bicubic", align_corners=True)
        return torch.cat([x1, u2], dim=1)
""",
            Slip("coarser first", "torch.cat([x3, u4], dim=1)", "torch.cat([u4, x3], dim=1)"),
            Slip("bilinear at the end", 'x1.shape[-2:], "bicubic"', 'x1.shape[-2:], "bilinear"'),
        ),
        Style(
            "a loop from the coarsest on",
            """
class FUSM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fuse = nn.ModuleList()
        total = channels[-1]
        for c in channels[2:0:-1]:
            total = total + c
            self.fuse.append(CCSF(total, total))

    def forward(self, x1, x2, x3, x4):
        y = x4
        for k, fine in enumerate((x3, x2, x1)):
            grown = resize(y, tuple(fine.shape[2:]), mode="bicubic", align_corners=True)
            y = torch.cat((fine, grown), 1)
            if k < 2:
                y = self.fuse[k](y)
        return y
""",
            Slip("corners", ", align_corners=True", ""),
            Slip("fused once", "if k < 2:", "if k < 1:", names=("fuse",)),
        ),
        Style(
            "interpolate, a static method",
            """
from torch.nn import functional as F


class FUSM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        sizes = [sum(channels[k:]) for k in (2, 1)]
        self.ccsf16, self.ccsf8 = (CCSF(n, n) for n in sizes)

    @staticmethod
    def meet(fine, coarse):
        h, w = fine.shape[-2:]
        return torch.concat([fine, F.interpolate(coarse, size=(h, w), mode="bicubic", align_corners=True)], dim=1)

    def forward(self, x1, x2, x3, x4):
        return self.meet(x1, self.ccsf8(self.meet(x2, self.ccsf16(self.meet(x3, x4)))))
""",
            Slip("bilinear", '"bicubic"', '"bilinear"'),
            Slip("by a factor", "size=(h, w)", "scale_factor=2"),
        ),
        Style(
            "reduce over pairs",
            """
from functools import reduce


class FUSM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        a, b = channels[2] + channels[3], channels[1] + channels[2] + channels[3]
        self.steps = nn.ModuleDict({"16": CCSF(a, a), "8": CCSF(b, b), "4": nn.Identity()})

    def forward(self, *maps):
        def step(coarse, at):
            name, fine = at
            grown = resize(coarse, fine.shape[-2:], "bicubic", align_corners=True)
            return self.steps[name](torch.cat([fine, grown], dim=1))

        return reduce(step, zip(("16", "8", "4"), maps[2::-1]), maps[3])
""",
            Slip("nearest", '"bicubic", align_corners=True', '"nearest"'),
            Slip(
                "fused before it meets",
                "self.steps[name](torch.cat([fine, grown], dim=1))",
                "torch.cat([fine, self.steps[name](grown)], dim=1)",
            ),
            Slip(
                "one fusion too many",
                '"4": nn.Identity()',
                '"4": CCSF(channels[0] + b, channels[0] + b)',
                names=("steps",),
            ),
        ),
        Style(
            "recursion",
            """
class FUSM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        widths = {3: channels[3]}
        for i in (2, 1):
            widths[i] = widths[i + 1] + channels[i]
        self.fuse2 = CCSF(widths[1], widths[1])
        self.fuse3 = CCSF(widths[2], widths[2])

    def joined(self, maps, i):
        if i == 3:
            return maps[3]
        below = self.joined(maps, i + 1)
        below = resize(below, maps[i].shape[-2:], "bicubic", align_corners=True)
        both = torch.cat([maps[i], below], dim=1)
        return both if i == 0 else (self.fuse2 if i == 1 else self.fuse3)(both)

    def forward(self, x1, x2, x3, x4):
        return self.joined((x1, x2, x3, x4), 0)
""",
            Slip("all at 1/4", "maps[i].shape", "maps[0].shape"),
            Slip("from the raw map", "below = self.joined(maps, i + 1)", "below = maps[i + 1]"),
        ),
    ],
    "12.3": [
        Style(
            "four names for four gates",
            _DECODER
            + """
        at = attention if attention_at == "all" else "none"
        self.gate1, self.gate2, self.gate3, self.gate4 = (ATTENTIONS[at](c) for c in channels)
        self.fusm = FUSM(channels)
        n = sum(channels)
        self.mix = CCSF(n, n) if ccsf else None
        self.gate = ATTENTIONS[attention](n)

    def forward(self, x1, x2, x3, x4):
        y = self.fusm(self.gate1(x1), self.gate2(x2), self.gate3(x3), self.gate4(x4))
        if self.mix is not None:
            y = self.mix(y)
        return self.gate(y)
""",
            Slip("a raw map", "self.gate2(x2), self", "x2, self"),
            Slip("CCSF always", "CCSF(n, n) if ccsf else None", "CCSF(n, n)", names=("mix",)),
        ),
        Style(
            "tail as a Sequential",
            _DECODER
            + """
        make, width = ATTENTIONS[attention], sum(channels)
        tail = [CCSF(width, width)] if ccsf else []
        self.tail = nn.Sequential(*tail, make(width))
        self.fusm = FUSM(channels)
        self.attention = nn.ModuleList()
        if attention_at == "all":
            self.attention.extend(make(c) for c in channels)

    def forward(self, *maps):
        if self.attention:
            maps = [attend(x) for attend, x in zip(self.attention, maps)]
        return self.tail(self.fusm(*maps))
""",
            Slip("on the finest alone", "(self.attention, maps)]", "(self.attention, maps)][:1] + list(maps[1:])"),
            Slip("switch turned", 'attention_at == "all"', 'attention_at != "all"', names=("attention", "tail")),
        ),
        Style(
            "one place after another, by index",
            _DECODER
            + """
        one = ATTENTIONS["none" if attention_at == "concat" else attention]
        self.places = nn.ModuleDict({str(i): one(c) for i, c in enumerate(channels)})
        total = sum(c for c in channels)
        self.places["all"] = ATTENTIONS[attention](total)
        self.ccsf = nn.Identity()
        if ccsf:
            self.ccsf = CCSF(total, total)
        self.fusm = FUSM(channels)

    def forward(self, *maps):
        maps = list(maps)
        for i in range(4):
            maps[i] = self.places[str(i)](maps[i])
        fused = self.fusm(*maps)
        mixed = self.ccsf(fused)
        return self.places["all"](mixed)
""",
            Slip("the coarsest raw", "range(4)", "range(3)"),
            Slip("CCSF forgotten", "mixed = self.ccsf(fused)", "mixed = fused", names=("ccsf", "conv2d")),
        ),
        Style(
            "map and partial",
            _DECODER
            + """
        from functools import partial

        gate = partial(ATTENTIONS.__getitem__, attention)
        on_maps = gate() if attention_at == "all" else nn.Identity
        self.before = nn.ModuleList(map(on_maps, channels))
        self.fusm = FUSM(channels)
        self.after = nn.Sequential(
            CCSF(sum(channels), sum(channels)) if ccsf else nn.Identity(), gate()(sum(channels)))

    def forward(self, *maps):
        attended = map(lambda pair: pair[0](pair[1]), zip(self.before, maps))
        return self.after(self.fusm(*attended))
""",
            Slip("twice on each map", "pair[0](pair[1])", "pair[0](pair[0](pair[1]))"),
            Slip("added to the map", "pair[0](pair[1])", "pair[0](pair[1]) + pair[1]"),
        ),
        Style(
            "helper methods",
            _DECODER
            + """
        self.kind, self.where = attention, attention_at
        self.fusm = FUSM(channels)
        self.ccsf = self.mixer(sum(channels), ccsf)
        self.last = self.gate(sum(channels), True)
        self.gates = nn.ModuleList([self.gate(c, attention_at == "all") for c in channels])

    def gate(self, c, wanted):
        return ATTENTIONS[self.kind](c) if wanted else nn.Identity()

    def mixer(self, c, wanted):
        return CCSF(c, c) if wanted else nn.Identity()

    def forward(self, a, b, c, d):
        ga, gb, gc, gd = self.gates
        y = self.fusm(ga(a), gb(b), gc(c), gd(d))
        return self.last(self.ccsf(y))
""",
            Slip("two maps raw", "self.fusm(ga(a), gb(b), gc(c), gd(d))", "self.fusm(a, b, gc(c), gd(d))"),
            Slip("detached", "gd(d))", "gd(d.detach()))", names=("detach",)),
        ),
    ],
    "12.4": [
        Style(
            "four maps by name",
            _NETWORK
            + """
        self.backbone = HRNet(width, **depth)
        cs = self.backbone.channels
        self.bfem = BFEM((cs[2], cs[3])) if bfem else None
        if fusm:
            self.decoder = HRDecoder(cs, ccsf, attention, attention_at)
        else:
            self.decoder = Plain(cs, ccsf, attention, attention_at)
        self.head = head(sum(cs), num_classes)
        init_weights(self)

    def features(self, x):
        f1, f2, f3, f4 = self.backbone(x)
        if self.bfem is not None:
            f3, f4 = self.bfem(f3, f4)
        return self.decoder(f1, f2, f3, f4)
""",
            Slip("BFEM's maps unused", "f3, f4 = self.bfem(f3, f4)", "self.bfem(f3, f4)"),
            Slip(
                "a switch not handed on",
                "HRDecoder(cs, ccsf, attention, attention_at)",
                "HRDecoder(cs, ccsf, attention)",
                names=("decoder", "attention"),
            ),
            Slip("the input's maps", "f3, f4 = self.bfem(f3, f4)", "f3, _ = self.bfem(f3, f4)"),
        ),
        Style(
            "BFEM replaced by nothing",
            """
class Both(nn.Module):
    def forward(self, *maps):
        return maps


"""
            + _NETWORK.lstrip()
            + """
        kind = {True: HRDecoder, False: Plain}[bool(fusm)]
        channels = [width * 2**i for i in range(4)]
        self.backbone = HRNet(width, **depth)
        self.enhance = BFEM(tuple(channels[2:])) if bfem else Both()
        self.decoder = kind(channels, ccsf=ccsf, attention=attention, attention_at=attention_at)
        self.head = head(sum(channels), num_classes)
        init_weights(self)

    def features(self, x):
        *fine, c, d = self.backbone(x)
        return self.decoder(*fine, *self.enhance(c, d))
""",
            Slip("CCSF always", "ccsf=ccsf", "ccsf=True", names=("decoder",)),
            Slip("no attention", "attention=attention, ", 'attention="none", ', names=("decoder", "attention")),
            Slip(
                "FUSM turned round",
                "{True: HRDecoder, False: Plain}",
                "{False: HRDecoder, True: Plain}",
                names=("decoder",),
            ),
        ),
        Style(
            "head first, slices",
            _NETWORK
            + """
        self.head = head(15 * width, num_classes)
        net = HRNet(width, **depth)
        decoder = HRDecoder if fusm else Plain
        self.decoder = decoder(net.channels, ccsf, attention, attention_at)
        self.net = net
        self.has_bfem = bfem
        if bfem:
            self.bfem = BFEM(net.channels[-2:])
        init_weights(self)

    def features(self, x):
        maps = self.net(x)
        if self.has_bfem:
            maps = maps[:2] + list(self.bfem(*maps[2:]))
        return self.decoder(*maps)
""",
            Slip("its maps exchanged", "list(self.bfem(*maps[2:]))", "list(self.bfem(*maps[2:]))[::-1]"),
            Slip("detached", "self.net(x)", "self.net(x.detach())", names=("detach",)),
            Slip("BFEM as well as before", "maps[:2] + list(self.bfem", "maps[:2] + list(maps[2:]) or list(self.bfem"),
        ),
        Style(
            "a method for the two coarsest",
            _NETWORK
            + """
        self.backbone = HRNet(width=width, **depth)
        self.bfem = nn.ModuleList([BFEM((4 * width, 8 * width))] if bfem else [])
        options = (list(self.backbone.channels), ccsf, attention, attention_at)
        self.decoder = HRDecoder(*options) if fusm else Plain(*options)
        self.head = head(width * (1 + 2 + 4 + 8), num_classes)
        init_weights(self)

    def coarse(self, pair):
        for block in self.bfem:
            pair = block(*pair)
        return pair

    def features(self, x):
        maps = self.backbone(x)
        return self.decoder(maps[0], maps[1], *self.coarse(maps[2:]))
""",
            Slip("BFEM left out", "*self.coarse(maps[2:])", "*maps[2:]", names=("bfem",)),
            Slip("half as wide", "BFEM((4 * width, 8 * width))", "BFEM((2 * width, 4 * width))", names=("bfem",)),
            Slip("BFEM twice", "pair = block(*pair)", "pair = block(*block(*pair))"),
        ),
        Style(
            "assigned by name, channels from the backbone",
            _NETWORK
            + """
        parts = {"backbone": HRNet(width, **depth)}
        channels = parts["backbone"].channels
        if bfem:
            parts["bfem"] = BFEM((channels[2], channels[3]))
        parts["decoder"] = (HRDecoder if fusm else Plain)(channels, ccsf, attention, attention_at)
        parts["head"] = head(sum(channels), num_classes)
        for name, part in parts.items():
            self.add_module(name, part)
        init_weights(self)

    def features(self, x):
        x1, x2, *rest = self.backbone(x)
        if hasattr(self, "bfem"):
            rest = self.bfem(*rest)
        return self.decoder(x1, x2, *rest)
""",
            Slip("at all places", "attention, attention_at)", 'attention, "all")', names=("decoder", "attention")),
            Slip("BFEM never asked", 'hasattr(self, "bfem")', 'hasattr(self, "BFEM")'),
            Slip("never FUSM", "(HRDecoder if fusm else Plain)", "Plain", names=("decoder",)),
        ),
    ],
    "12.5": readings("table_5", "d", a="one GFLOPs figure", b="its parameters would differ"),
    "12.6": [
        Style(
            "thin in the middle",
            """
class CheapCCSF(nn.Module):
    def __init__(self, channels):
        super().__init__()
        thin = channels // 8
        self.down = nn.Conv2d(channels, thin, 1)
        self.up = nn.Conv2d(thin, channels, 1)

    def forward(self, x):
        return torch.relu(self.up(self.down(x)))
""",
            Slip("half as thin", "channels // 8", "channels // 4", names=("too much work",)),
            Slip("no ReLU", "torch.relu(self.up(self.down(x)))", "self.up(self.down(x))", names=("relu",)),
        ),
        Style(
            "groups, shuffled in between",
            """
class CheapCCSF(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 1, groups=8)
        self.two = nn.Conv2d(channels, channels, 1, groups=8)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.one(x)
        y = nn.functional.channel_shuffle(y, 8)
        return self.norm(self.two(y)).relu()
""",
            Slip("not shuffled", "        y = nn.functional.channel_shuffle(y, 8)\n", "", names=("do not meet",)),
            Slip("four groups", "1, groups=8)\n        self.two", "1, groups=4)\n        self.two", names=("work",)),
        ),
        Style(
            "fewer places",
            """
class CheapCCSF(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.mix = CCSF(channels, channels)

    def forward(self, x):
        small = nn.functional.avg_pool2d(x, 2)
        return resize(self.mix(small), x.shape[-2:])
""",
            Slip("at all places", "nn.functional.avg_pool2d(x, 2)", "x", names=("too much work",)),
            Slip("not resized", "resize(self.mix(small), x.shape[-2:])", "self.mix(small)", names=("shape",)),
            Slip("every second place", "nn.functional.avg_pool2d(x, 2)", "x[:, :, ::2, ::2]", names=("do not meet",)),
        ),
        Style(
            "a table of channels, rows then columns",
            """
class CheapCCSF(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.rows, self.columns = 16, channels // 16
        self.over_rows = nn.Conv2d(self.rows, self.rows, 1)
        self.over_columns = nn.Conv2d(self.columns, self.columns, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        y = self.over_rows(x.reshape(n, self.rows, self.columns * h, w))
        y = y.reshape(n, self.rows, self.columns, h, w).transpose(1, 2)
        y = self.over_columns(y.reshape(n, self.columns, self.rows * h, w))
        y = y.reshape(n, self.columns, self.rows, h, w).transpose(1, 2)
        return y.reshape(n, c, h, w).clamp(min=0)
""",
            Slip(
                "rows alone",
                "y = self.over_columns(y.reshape(n, self.columns, self.rows * h, w))",
                "y = y.reshape(n, self.columns, self.rows * h, w)",
                names=("do not meet",),
            ),
            Slip("no ReLU", ".clamp(min=0)", "", names=("relu",)),
        ),
        Style(
            "groups that also see the mean of all",
            """
class CheapCCSF(nn.Module):
    def __init__(self, channels):
        super().__init__()
        # what comes from other groups is one number for all of them
        self.mix = nn.Conv2d(channels, channels, 1, groups=4, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        seen = x + x.mean(dim=1, keepdim=True)
        return self.norm(self.mix(seen)).relu()
""",
            Slip("mean left out", "seen = x + x.mean(dim=1, keepdim=True)", "seen = x", names=("do not meet",)),
            Slip("two groups", "groups=4", "groups=2", names=("too much work",)),
        ),
        Style(
            "beside a shortcut",
            """
class CheapCCSF(nn.Module):
    def __init__(self, channels):
        super().__init__()
        few = max(1, channels // 16)
        self.change = nn.Sequential(CCSF(channels, few), nn.Conv2d(few, channels, 1))

    def forward(self, x):
        return (x + self.change(x)).relu()
""",
            Slip("ReLU first", "(x + self.change(x)).relu()", "x + self.change(x).relu()", names=("negative",)),
            Slip("beside it", "(x + self.change(x))", "torch.cat([x, self.change(x)], 1)", names=("shape",)),
        ),
    ],
}
