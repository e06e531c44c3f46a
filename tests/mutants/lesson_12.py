"""Wrong answers to lesson 12's exercises, and a few that are right in another way."""

from mutants import Mutant

_BN = "nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.03)"
_CONV = "nn.Conv2d(in_channels, out_channels, 1, bias=False)"
_UP = 'up = resize(coarse, fine.shape[-2:], "bicubic", align_corners=True)'
_WAY = "return self.last(self.ccsf(self.fusm(*attended)))"
_MAPS = "maps[2:] = self.bfem(*maps[2:]) if self.bfem else maps[2:]"
_WIDEN = "return self.widen(self.squeeze(x))"
_THIN = "few = channels // 8"
_LAYERS = "self.squeeze, self.widen = CCSF(channels, few), CCSF(few, channels)"

MUTANTS = {
    "12.1": [
        Mutant("with a bias", _CONV, "nn.Conv2d(in_channels, out_channels, 1)", "bias"),
        Mutant("usual eps", _BN, "nn.BatchNorm2d(out_channels, momentum=0.03)", "eps"),
        Mutant("usual momentum", _BN, "nn.BatchNorm2d(out_channels, eps=1e-3)", "momentum"),
        Mutant("a 3×3", _CONV, "nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)", "3×3"),
        Mutant("no ReLU", "self.relu(self.bn(self.conv(x)))", "self.bn(self.conv(x))", "relu"),
        Mutant(
            "ReLU before normalising", "self.relu(self.bn(self.conv(x)))", "self.bn(self.relu(self.conv(x)))", "relu"
        ),
        Mutant("GELU", "self.relu = nn.ReLU()", "self.relu = nn.GELU()", "gelu"),
        Mutant("ReLU in place, right as well", "nn.ReLU()", "nn.ReLU(inplace=True)"),
        Mutant("as a function, right as well", "self.relu(self.bn(self.conv(x)))", "torch.relu(self.bn(self.conv(x)))"),
    ],
    "12.2": [
        Mutant("coarse map first", "torch.cat([fine, up], dim=1)", "torch.cat([up, fine], dim=1)", "and other numbers"),
        Mutant("bilinear", _UP, _UP.replace("bicubic", "bilinear"), "and other numbers"),
        Mutant("corners not aligned", _UP, _UP.replace("True", "False"), "and other numbers"),
        Mutant("by a factor", "fine.shape[-2:]", "[2 * s for s in coarse.shape[-2:]]", "[3, 4, 5, 6]"),
        Mutant("one CCSF forgotten", "y = self.fuse2(joined(x2, y))", "y = joined(x2, y)", "conv"),
        Mutant("Eq. 3 as printed: no last Up", "return joined(x1, y)", "return torch.cat([x1, y], dim=1)", "Sizes"),
        Mutant(
            "one CCSF for both places",
            "CCSF(two, two), CCSF(three, three)",
            "CCSF(two, two), CCSF(three, two)",
            "fuse2",
        ),
        Mutant("x2 before x3", "y = self.fuse3(joined(x3, x4))", "y = self.fuse3(joined(x4, x3))", "shape"),
        Mutant(
            "written in one, right as well", "return joined(x1, y)", "result = joined(x1, y)\n        return result"
        ),
        Mutant("as a method of cat, right as well", "torch.cat([fine, up], dim=1)", "torch.cat((fine, up), 1)"),
    ],
    "12.3": [
        Mutant("as published", _WAY, "return self.last(self.ccsf(self.fusm(*maps[:3], attended[3])))", "attended[3]"),
        Mutant("no attention on the maps", _WAY, "return self.last(self.ccsf(self.fusm(*maps)))", "self.fusm(*maps)"),
        Mutant(
            "only the finest attends",
            _WAY,
            "return self.last(self.ccsf(self.fusm(attended[0], *maps[1:])))",
            "attended[0]",
        ),
        Mutant("no attention at the end", _WAY, "return self.ccsf(self.fusm(*attended))", "and other numbers"),
        Mutant("attention before CCSF", _WAY, "return self.ccsf(self.last(self.fusm(*attended)))", "ccsf=True"),
        Mutant("CCSF always", "if ccsf else nn.Identity()", "", "ccsf.conv"),
        Mutant("CCSF never", "CCSF(width, width) if ccsf else nn.Identity()", "nn.Identity()", "ccsf.conv"),
        Mutant("at all places always", 'make if attention_at == "all" else ATTENTIONS["none"]', "make", "attention.0"),
        Mutant(
            "one after the other, right as well",
            "attended = [gate(x) for gate, x in zip(self.attention, maps)]",
            "attended = []\n        for i, x in enumerate(maps):\n            attended.append(self.attention[i](x))",
        ),
        Mutant(
            "in steps, right as well",
            _WAY,
            "y = self.fusm(*attended)\n        y = self.ccsf(y)\n        return self.last(y)",
        ),
    ],
    "12.4": [
        Mutant("BFEM built and not used", _MAPS, "pass", "bfem=True"),
        Mutant("BFEM on the fine maps", "BFEM((4 * width, 8 * width))", "BFEM((width, 2 * width))", "bfem"),
        Mutant("BFEM always", "if bfem else None", "if True else None", "bfem"),
        Mutant("CCSF not handed on", "(self.backbone.channels, ccsf,", "(self.backbone.channels, False,", "ccsf"),
        Mutant("Plain always", "HRDecoder if fusm else Plain", "Plain", "fuse"),
        Mutant("FUSM always", "HRDecoder if fusm else Plain", "HRDecoder", "fus"),
        Mutant(
            "attention at all places",
            "attention, attention_at)\n        self.head",
            "attention)\n        self.head",
            "attention.0",
        ),
        Mutant("head of another width", "head(15 * width, num_classes)", "head(16 * width, num_classes)", "head"),
        Mutant("classes fixed", "head(15 * width, num_classes)", "head(15 * width, 20)", "head"),
        Mutant("depth not handed on", "HRNet(width, **depth)", "HRNet(width)", "≠  backbone.layer1.1.conv1.conv"),
        Mutant(
            "maps in the other order", "return self.decoder(*maps)", "return self.decoder(*maps[::-1])", "your line"
        ),
        Mutant(
            "one by one, right as well",
            _MAPS,
            "if self.bfem:\n            maps[2], maps[3] = self.bfem(maps[2], maps[3])",
        ),
        Mutant(
            "widths written out, right as well",
            "(self.backbone.channels, ccsf,",
            "([width * 2**i for i in range(4)], ccsf,",
        ),
    ],
    "12.5": [
        Mutant("all agree", 'return "d"', 'return "a"', "three decimals"),
        Mutant("other layers", 'return "d"', 'return "b"', "parameters"),
        Mutant("rounding", 'return "d"', 'return "c"', "0.063"),
        Mutant("no such letter", 'return "d"', 'return "e"', "reading"),
        Mutant("a number", 'return "d"', 'return "192.592"', "reading"),
        Mutant("from a variable, right as well", 'return "d"', 'letter = "d"\n    return letter'),
        Mutant("by index, right as well", 'return "d"', 'return "abcd"[3]'),
    ],
    "12.6": [
        Mutant("twice as wide inside", _THIN, "few = channels // 4", "50%"),
        Mutant("as wide inside", _THIN, "few = channels", "200%"),
        Mutant("linear end", _WIDEN, "return self.widen.conv(self.squeeze(x))", "ReLU"),
        Mutant("thin map returned", _WIDEN, "return self.squeeze(x)", "shape"),
        Mutant(
            "groups that never meet",
            _LAYERS,
            "self.squeeze = nn.Conv2d(channels, channels, 1, groups=8)\n        self.widen = nn.ReLU()",
            "meet",
        ),
        Mutant("nothing at all", _WIDEN, "return x.relu()", "multiplied"),
        Mutant("size forgotten", _WIDEN, "return self.widen(self.squeeze(x[:, :, ::2, ::2]))", "shape"),
        Mutant(
            "three of four places left out",
            _WIDEN,
            "y = self.widen(self.squeeze(x[:, :, ::2, ::2]))\n        return resize(y, x.shape[-2:])",
            "meet",
        ),
        Mutant("cannot be run", _WIDEN, "return self.squeeze(self.widen(x))", "your line"),
        Mutant(
            "two grouped layers and a shuffle, right as well",
            _LAYERS,
            "self.squeeze = nn.Sequential(nn.Conv2d(channels, channels, 1, groups=8), nn.ChannelShuffle(8))\n"
            "        self.widen = nn.Sequential(nn.Conv2d(channels, channels, 1, groups=8), nn.ReLU())",
        ),
        Mutant(
            "a quarter of the places, right as well",
            _WIDEN,
            "y = self.widen(self.squeeze(nn.functional.avg_pool2d(x, 2)))\n        return resize(y, x.shape[-2:])",
        ),
    ],
}
