"""Wrong answers to lesson 11's exercises, and a few that are right in another way."""

from mutants import Mutant

_PAIRS = "pairs = sum((2 * k + 2) * channels for k in lengths)"
_TWO = "(depthwise(c, 1, k), depthwise(c, k, 1))"
_LOCAL = "self.local = depthwise(c, 5, 5)"
_TOTAL = "total = local + sum(pair(seen) for pair in self.pairs)"
_FIRST = "x = x + self.scale1(self.attend(self.norm1(x)))"
_SECOND = "return x + self.scale2(self.ffn(self.norm2(x)))"
_FUSED = "return self.fuse3(y3), self.fuse4(y4)"

MUTANTS = {
    "11.1": [
        Mutant("no bias in the pairs", "(2 * k + 2) * channels", "2 * k * channels", "57024"),
        Mutant("one bias a pair", "(2 * k + 2) * channels", "(2 * k + 1) * channels", "57600"),
        Mutant("squares, not strips", "(2 * k + 2) * channels", "(k * k + 1) * channels", "159936"),
        Mutant("not depthwise", "(5 * 5 + 1) * channels", "(5 * 5 * channels + 1) * channels", "974976"),
        Mutant("lengths fixed", "for k in lengths", "for k in (7, 11, 21)", "lengths=(3,)"),
        Mutant("the 1×1 forgotten", "return local + pairs + mix", "return local + pairs", "21120"),
        Mutant("written at once, right as well", _PAIRS, "pairs = 2 * channels * (sum(lengths) + len(lengths))"),
        Mutant("the 1×1 factored, right as well", "channels * channels + channels", "channels * (channels + 1)"),
    ],
    "11.2": [
        Mutant("k×1 first", _TWO, "(depthwise(c, k, 1), depthwise(c, 1, k))", "other numbers"),
        Mutant("no product with the input", "return self.mix(total) * x", "return self.mix(total)", "mul"),
        Mutant("a sigmoid", "return self.mix(total) * x", "return torch.sigmoid(self.mix(total)) * x", "sigmoid"),
        Mutant(
            "local left out of the sum",
            _TOTAL,
            "total = sum(pair(seen) for pair in self.pairs)",
            "is not added to what the strips give",
        ),
        Mutant("always serial", "seen = local if self.serial else x", "seen = local", "strips='parallel'"),
        Mutant("always parallel", "seen = local if self.serial else x", "seen = x", "seen = x"),
        Mutant("a 3×3 for the 5×5", _LOCAL, _LOCAL.replace("5, 5", "3, 3"), "local"),
        Mutant("not depthwise", _LOCAL, "self.local = nn.Conv2d(c, c, 5, padding=2)", "local"),
        Mutant("1×k twice", _TWO, "(depthwise(c, 1, k), depthwise(c, 1, k))", "conv2d 7×1"),
        Mutant("no bias at the end", "nn.Conv2d(c, c, 1)", "nn.Conv2d(c, c, 1, bias=False)", "mix"),
        Mutant(
            "cross: both strips read the same map",
            _TOTAL,
            "total = local + sum(pair[0](seen) + pair[1](seen) for pair in self.pairs)",
            "your line",
        ),
        Mutant("sum in another order, right as well", _TOTAL, "total = sum((p(seen) for p in self.pairs), local)"),
        Mutant("product the other way, right as well", "self.mix(total) * x", "x * self.mix(total)"),
    ],
    "11.3": [
        Mutant("serial by the parameters", 'return "c"', 'return "a"', "equal"),
        Mutant("parallel by the FLOPs", 'return "c"', 'return "b"', "multiply-adds"),
        Mutant("it does not matter", 'return "c"', 'return "d"', "25"),
        Mutant("no such letter", 'return "c"', 'return "e"', "reading"),
        Mutant("the word", 'return "c"', 'return "switch"', "reading"),
        Mutant("from a variable, right as well", 'return "c"', 'letter = "c"\n    return letter'),
        Mutant("by index, right as well", 'return "c"', 'return "abcd"[2]'),
    ],
    "11.4": [
        Mutant(
            "the colleague's",
            _SECOND,
            "x = self.norm2(x)\n        return x + self.scale2(self.ffn(x))",
            "add",
        ),
        Mutant(
            "the same in the first half",
            _FIRST,
            "x = self.norm1(x)\n        x = x + self.scale1(self.attend(x))",
            "add",
        ),
        Mutant("normalised after the sum", _FIRST, "x = self.norm1(x + self.scale1(self.attend(x)))", "attend"),
        Mutant("no second shortcut", _SECOND, _SECOND.replace("x + ", ""), "other numbers"),
        Mutant("no first scale", _FIRST, "x = x + self.attend(self.norm1(x))", "x = x + self.attend(self.norm1(x))"),
        Mutant("no normalisation of the FFN", _SECOND, "return x + self.scale2(self.ffn(x))", "Is batch_norm missing"),
        Mutant("FFN not depthwise", "depthwise(4 * c, 3, 3)", "nn.Conv2d(4 * c, 4 * c, 3, padding=1)", "groups"),
        Mutant(
            "usual batch normalisation",
            "SlowBatchNorm(c), SlowBatchNorm(c)",
            "nn.BatchNorm2d(c), nn.BatchNorm2d(c)",
            "momentum",
        ),
        Mutant("strips not handed on", "MSCA(c, strips)", "MSCA(c)", "strips='parallel'"),
        Mutant(
            "in two steps, right as well", _SECOND, "y = self.scale2(self.ffn(self.norm2(x)))\n        return y + x"
        ),
        Mutant("sum turned round, right as well", _FIRST, "x = self.scale1(self.attend(self.norm1(x))) + x"),
    ],
    "11.5": [
        Mutant("one 3×3", 'return "b"', 'return "a"', "84.341"),
        Mutant("with stride 2", 'return "b"', 'return "c"', "FLOPs"),
        Mutant("a wider FFN", 'return "b"', 'return "d"', "2.772"),
        Mutant("no such letter", 'return "b"', 'return "f"', "reading"),
        Mutant("two letters", 'return "b"', 'return "ab"', "reading"),
        Mutant("from a variable, right as well", 'return "b"', 'letter = "b"\n    return letter'),
        Mutant("by index, right as well", 'return "b"', 'return "abcd"[1]'),
    ],
    "11.6": [
        Mutant(
            "no front at the coarse map",
            "nn.Sequential(front(c4), row_of(c4, blocks, strips))",
            "row_of(c4, blocks, strips)",
            "rows4",
        ),
        Mutant(
            "a front in the bridge", "row_of(c4, bridge, strips))", "front(c4), row_of(c4, bridge, strips))", "bridge"
        ),
        Mutant("bridge from the raw map", "self.bridge(a)", "self.bridge(x3)", "conv2d"),
        Mutant("bridge as deep as the rows", "row_of(c4, bridge, strips)", "row_of(c4, blocks, strips)", "bridge.1.1"),
        Mutant("enhanced map first", "torch.cat([x3, a], dim=1)", "torch.cat([a, x3], dim=1)", "cat"),
        Mutant("d before b", "[x4, b, d]", "[x4, d, b]", "cat"),
        Mutant("the map itself left out", "CCSF(2 * c3, c3)", "CCSF(c3, c3)", "fuse3"),
        Mutant("strips not handed on", "row_of(c3, blocks, strips)", 'row_of(c3, blocks, "serial")', "'parallel'"),
        Mutant("no fusion at the fine map", "self.fuse3(y3)", "x3 + a", "your"),
        Mutant(
            "as a list, other order of building, right as well",
            _FUSED,
            _FUSED.replace("return ", "out = ") + "\n        return out",
        ),
        Mutant(
            "d first, right as well", "b, d = self.rows4(x4), self.bridge(a)", "d, b = self.bridge(a), self.rows4(x4)"
        ),
    ],
}
