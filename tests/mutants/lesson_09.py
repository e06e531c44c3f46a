"""Wrong answers to lesson 09's exercises, and a few that are right in another way."""

from mutants import Mutant

_BLOCK = "return (self.conv2(self.conv1(x)) + x).relu()"
_CONV2 = "self.conv2 = ConvBNReLU(channels, channels, relu=False)"
_DOWN = "down = [ConvBNReLU(wide, wide, stride=2) for _ in halvings]"
_LAST = "ConvBNReLU(wide, wanted, stride=2, relu=False)"
_UP = "ConvBNReLU(wide, wanted, kernel=1, relu=False)"
_MOVED = "moved = [path(x) for path, x in zip(paths, maps, strict=True)]"
_ALIGNED = "aligned = [resize(x, own.shape[-2:], align_corners=True) for x in moved]"
_SUM = "received.append(sum(aligned).relu())"
_KEPT = "kept = [nn.Identity() if b == a else ConvBNReLU(b, a) for b, a in pairs]"
_NEW = "new = ConvBNReLU(before[-1], after[-1], stride=2)"
_GROWN = "grown = [resize(x, size, align_corners=True) for x in maps]"
_JOINED = "joined = torch.cat(grown, dim=1)"
_LOGITS = "return self.classifier(self.bn(self.conv(joined)).relu())"
_ANSWER = 'return "c"'

MUTANTS = {
    "09.1": [
        Mutant("no shortcut", _BLOCK, "return self.conv2(self.conv1(x)).relu()", "add"),
        Mutant("ReLU before the sum", _CONV2, "self.conv2 = ConvBNReLU(channels, channels)", "relu"),
        Mutant("no ReLU at the end", _BLOCK, "return self.conv2(self.conv1(x)) + x", "relu"),
        Mutant(
            "no ReLU between",
            "= ConvBNReLU(channels, channels)\n",
            "= ConvBNReLU(channels, channels, relu=False)\n",
            "relu",
        ),
        Mutant("one convolution twice", _BLOCK, _BLOCK.replace("conv2", "conv1"), "self.conv1(self.conv1(x)) + x"),
        Mutant(
            "shortcut after the first convolution",
            _BLOCK,
            "y = self.conv1(x)\n        return (self.conv2(y) + y).relu()",
            "add",
        ),
        Mutant("1×1", _CONV2, "self.conv2 = ConvBNReLU(channels, channels, kernel=1, relu=False)", "conv2"),
        Mutant("average of the two", _BLOCK, "return ((self.conv2(self.conv1(x)) + x) / 2).relu()", "div"),
        Mutant(
            "torch.relu and another order, right as well", _BLOCK, "return torch.relu(x + self.conv2(self.conv1(x)))"
        ),
        Mutant(
            "written out, right as well",
            _CONV2,
            "conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)\n"
            "        self.conv2 = nn.Sequential(conv, nn.BatchNorm2d(channels))",
        ),
    ],
    "09.2": [
        Mutant("ReLU at the end of the way down", _LAST, "ConvBNReLU(wide, wanted, stride=2)", "relu"),
        Mutant("ReLU on the way up", _UP, "ConvBNReLU(wide, wanted, kernel=1)", "relu"),
        Mutant("one halving too few", "source - 1)", "source - 2)", "convs"),
        Mutant("one halving too many", "source - 1)", "source)", "convs"),
        Mutant("3×3 on the way up", _UP, "ConvBNReLU(wide, wanted, relu=False)", "3×3"),
        Mutant(
            "no ReLU between halvings", _DOWN, _DOWN.replace("stride=2", "stride=2, relu=False"), "Is relu missing?"
        ),
        Mutant("wide at once", _DOWN, _DOWN.replace("(wide, wide", "(wide, wanted"), "convs"),
        Mutant("up and down exchanged", "elif source > target:", "elif source < target:", "convs"),
        Mutant("a convolution from a map to itself", "self.convs = nn.Identity()", f"self.convs = {_UP}", "convs"),
        Mutant(
            "last step without stride",
            _LAST,
            "ConvBNReLU(wide, wanted, relu=False)",
            "(2, 32, 6, 8), and should have (2, 32, 3, 4)",
        ),
        Mutant("empty Sequential, right as well", "self.convs = nn.Identity()", "self.convs = nn.Sequential()"),
        Mutant(
            "list of widths, right as well",
            _DOWN,
            "steps = [wide] * (target - source)\n"
            "            down = [ConvBNReLU(a, b, stride=2) for a, b in zip(steps, steps[1:])]",
        ),
    ],
    "09.3": [
        Mutant("corners not aligned", _ALIGNED, _ALIGNED.replace("True", "False"), "align_corners=False"),
        Mutant("nearest", _ALIGNED, _ALIGNED.replace("align_corners=True", 'mode="nearest"'), 'mode="nearest"'),
        Mutant(
            "bicubic", _ALIGNED, _ALIGNED.replace("align_corners", 'mode="bicubic", align_corners'), 'mode="bicubic"'
        ),
        Mutant("no ReLU", _SUM, "received.append(sum(aligned))", "relu"),
        Mutant(
            "ReLU before the sum",
            _SUM,
            "received.append(sum(x.relu() for x in aligned))",
            "sum(x.relu() for x in aligned)",
        ),
        Mutant(
            "mean for sum", _SUM, "received.append((sum(aligned) / len(aligned)).relu())", "sum(aligned) / len(aligned)"
        ),
        Mutant(
            "resized before the path",
            _MOVED,
            "size = own.shape[-2:]\n"
            "            up = [resize(x, size, align_corners=True) if x.shape[2] < size[0] else x for x in maps]\n"
            "            moved = [path(x) for path, x in zip(paths, up, strict=True)]",
            "training",
        ),
        Mutant("all to the finest size", _ALIGNED, _ALIGNED.replace("own", "maps[0]"), "shape"),
        Mutant(
            "own map left out",
            _SUM,
            "received.append(sum(x for x, m in zip(aligned, maps) if m is not own).relu())",
            "if m is not own",
        ),
        Mutant(
            "a factor of two",
            _ALIGNED,
            "double = torch.nn.Upsample(scale_factor=2)\n"
            "            aligned = [double(x) if x.shape[2] < own.shape[2] else x for x in moved]",
            "size",
        ),
        Mutant(
            "only the coarser are resized, right as well",
            _ALIGNED,
            "size = own.shape[-2:]\n"
            "            aligned = [x if x.shape[-2:] == size else resize(x, size, align_corners=True) for x in moved]",
        ),
        Mutant("sum from the other end, right as well", _SUM, "received.append(torch.relu(sum(reversed(aligned))))"),
    ],
    "09.4": [
        Mutant("no stride", _NEW, "new = ConvBNReLU(before[-1], after[-1])", "shape"),
        Mutant(
            "new map from the narrowed one",
            "inputs = [*maps, maps[-1]]",
            "inputs = [*maps, self.layers[-2](maps[-1])]",
            "channels",
        ),
        Mutant("new map from the finest", _NEW, "new = ConvBNReLU(before[0], after[-1], stride=2)", "layers"),
        Mutant("every map through a convolution", _KEPT, "kept = [ConvBNReLU(b, a) for b, a in pairs]", "layers"),
        Mutant("1×1", _KEPT, _KEPT.replace("ConvBNReLU(b, a)", "ConvBNReLU(b, a, kernel=1)"), "layers"),
        Mutant("no ReLU", _NEW, "new = ConvBNReLU(before[-1], after[-1], stride=2, relu=False)", "relu"),
        Mutant(
            "new map forgotten",
            "inputs = [*maps, maps[-1]]",
            "return [layer(x) for layer, x in zip(self.layers, maps)]",
            "3",
        ),
        Mutant("written as a sum, right as well", "[*kept, new]", "kept + [new]"),
        Mutant("tuple, right as well", "inputs = [*maps, maps[-1]]", "inputs = maps + maps[-1:]"),
    ],
    "09.5": [
        Mutant("coarsest first", _JOINED, _JOINED.replace("grown", "grown[::-1]"), "cat"),
        Mutant("corners not aligned", _GROWN, _GROWN.replace("True", "False"), "align_corners=False"),
        Mutant(
            "first convolution without bias",
            "nn.Conv2d(width, width, 1)",
            "nn.Conv2d(width, width, 1, bias=False)",
            "bias",
        ),
        Mutant("no ReLU", _LOGITS, "return self.classifier(self.bn(self.conv(joined)))", "relu"),
        Mutant("no batch normalisation", _LOGITS, "return self.classifier(self.conv(joined).relu())", "batch_norm"),
        Mutant("3×3", "nn.Conv2d(width, width, 1)", "nn.Conv2d(width, width, 3, padding=1)", "3×3"),
        Mutant(
            "narrow",
            "nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)",
            "nn.Conv2d(width, channels[0], 1), nn.BatchNorm2d(channels[0])",
            "28→4",
        ),
        Mutant("the finest map alone", _JOINED, "joined = maps[0]", "channels"),
        Mutant(
            "ReLU before the normalisation",
            _LOGITS,
            "return self.classifier(self.bn(self.conv(joined).relu()))",
            "relu",
        ),
        Mutant(
            "finest map not resized, right as well",
            _JOINED,
            "joined = torch.cat([maps[0], *(resize(x, size, align_corners=True) for x in maps[1:])], dim=1)",
        ),
        Mutant("torch.relu, right as well", _LOGITS, "return self.classifier(torch.relu(self.bn(self.conv(joined))))"),
    ],
    "09.6": [
        Mutant("most weights", _ANSWER, 'return "a"', "weights"),
        Mutant("equal multiply-adds", _ANSWER, 'return "b"', "third panel"),
        Mutant("weights on top", _ANSWER, 'return "d"', "longest"),
        Mutant("no such reading", _ANSWER, 'return "e"', "reading"),
        Mutant("capital", _ANSWER, 'return "C"', "reading"),
        Mutant("a branch, not a key", _ANSWER, 'return "1/4"', "reading"),
        Mutant("by a name, right as well", _ANSWER, 'answer = "c"\n    return answer'),
        Mutant("by the figures, right as well", _ANSWER, 'return dict(zip((141.6, 71.2, 36.9, 23.7), "cxyz"))[141.6]'),
    ],
}
