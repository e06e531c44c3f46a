"""Wrong answers to lesson 06's exercises, and a few that are right in another way."""

from mutants import Mutant

_FITS = "return all(side % 4 == 0 for side in f8)  # two more halvings without a rest"
_FIRST = "y = resize(context, f16.shape[-2:])"
_LAST = "return self.fuse8(self.lateral8(f8), y)"
_AUX = "aux_head = 9 * 1024 * 64 + 2 * 64 + 64 * classes + classes"

MUTANTS = {
    "06.1": [
        Mutant("a multiple of 32", _FITS, "return height % 32 == 0 and width % 32 == 0", "(60, 96)"),
        Mutant("rounded down", "-(-side // 8)", "side // 8", "(60, 96)"),
        Mutant("height only", "for side in (height, width)]", "for side in (height, height)]", "(64, 72)"),
        Mutant("upper step only", "side % 4 == 0", "side % 2 == 0", "(720, 960)"),
        Mutant("lower step only", "side % 4 == 0", "-(-side // 2) % 2 == 0", "(500, 512)"),
        Mutant(
            "a remainder of 24 taken for one that fits",
            _FITS,
            "return all(side % 32 == 0 or side % 32 >= 24 for side in (height, width))",
            "(64, 56)",
        ),
        Mutant("one side is enough", "return all(", "return any(", "(720, 960)"),
        Mutant(
            "sizes compared, right as well",
            _FITS,
            "up = [(-(-s // 2), -(-s // 4)) for s in f8]\n"
            "    return all(2 * b == a and 2 * a == s for s, (a, b) in zip(f8, up, strict=True))",
        ),
    ],
    "06.2": [
        Mutant("low and high swapped", _LAST, "return self.fuse8(y, self.lateral8(f8))", "fuse8"),
        Mutant("by a factor", _FIRST, "y = nn.functional.interpolate(context, scale_factor=2)", "your line"),
        Mutant("nearest", _FIRST, 'y = resize(context, f16.shape[-2:], "nearest")', "interpolate"),
        Mutant("corners aligned", _FIRST, "y = resize(context, f16.shape[-2:], align_corners=True)", "interpolate"),
        Mutant("a convolution on f8, too", "match(c8, out)", "ConvBNReLU(c8, out, 1)", "lateral8"),
        Mutant("no narrowing", "self.narrow = match(channels, out)", "self.narrow = nn.Identity()", "narrow"),
        Mutant("sum for the second fusion", _LAST, "return self.lateral8(f8) + y", "return self.lateral8(f8) + y"),
        Mutant("one CCBAM twice", "match(c8, out), CCBAM(out)", "match(c8, out), self.fuse16", "fuse8"),
        Mutant("lateral 3×3", "match(c16, channels), CCBAM", "ConvBNReLU(c16, channels, 3), CCBAM", "3×3"),
        Mutant("right as well", "out = min(channels, c8)", "out = channels if channels < c8 else c8"),
    ],
    "06.3": [
        Mutant("no resize in evaluation", "return resize(logits, x.shape[-2:])", "return logits", "(2, 5, 8, 12)"),
        Mutant("resized in training", '"out": logits,', '"out": resize(logits, x.shape[-2:]),', "training mode"),
        Mutant("always a dict", "if self.training:", "if True:", "dict"),
        Mutant("aux no list", "[self.aux_head(f32)]", "self.aux_head(f32)", "'aux'"),
        Mutant("aux on f16", "FCNHead(c32, 64, num_classes)", "FCNHead(c16, 64, num_classes)", "aux_head"),
        Mutant("no 256 → 128", "match(min(c, c8), c8 // 2)", "match(min(c, c8), c8)", "head"),
        Mutant("no dropout", "nn.Dropout2d(0.1)", "nn.Identity()", "dropout"),
        Mutant("stdc2 ignored", '(2, 2, 2) if backbone == "stdc1" else (4, 5, 3)', "(2, 2, 2)", "backbone"),
        Mutant("dilations ignored", "SEASPP(c32, c, dilations)", "SEASPP(c32, c)", "context"),
        Mutant("classifier without bias", "num_classes, 1)\n", "num_classes, 1, bias=False)\n", "bias"),
        Mutant("maps in the wrong order", "f8, f16, f32 = self.backbone(x)", "f32, f16, f8 = self.backbone(x)", "run"),
        Mutant("other starting values, right as well", "init_weights(self)", "nn.init.ones_(self.head[-1].bias)"),
    ],
    "06.4": [
        Mutant("no batch normalisation", "9 * 1024 * 64 + 2 * 64", "9 * 1024 * 64", "595942"),
        Mutant("1×1 in the head", "9 * 1024 * 64", "1024 * 64", "71782"),
        Mutant("classifier without bias", "64 * classes + classes", "64 * classes", "596051"),
        Mutant("never-used one forgotten", "return aux_head + never_used", "return aux_head", "591187"),
        Mutant(
            "classes fixed", "never_used = channels * classes + classes", "never_used = channels * 19 + 19", "(256, 11)"
        ),
        Mutant("channels fixed", "never_used = channels * classes", "never_used = 256 * classes", "(512)"),
        Mutant("bias of the 3×3 instead of its norm", "+ 2 * 64 +", "+ 64 +", "596006"),
    ],
    "06.5": [
        Mutant("as the paper", "100 * (speed / other - 1)", "100 * (speed - other) / speed", "31.9413"),
        Mutant("the ratio", "100 * (speed / other - 1)", "100 * speed / other", "146.932"),
        Mutant("a share", "100 * (speed / other - 1)", "speed / other - 1", "0.46932"),
        Mutant("the other way round", "speed / other", "other / speed", "-31.9413"),
        Mutant("never slower", "100 * (speed / other - 1)", "100 * abs(speed / other - 1)", "-50"),
        Mutant("frames, not percent", "100 * (speed / other - 1)", "speed - other", "28.3"),
        Mutant("right as well", "100 * (speed / other - 1)", "(speed - other) / other * 100"),
    ],
}
