"""Wrong (and other right) answers to lesson 03: sizes, receptive fields, the STDC module, parameters, the backbone."""

from mutants import Mutant

SIZE = [
    Mutant("padding at one end only", "2 * padding", "padding", names="should be 23"),
    Mutant("the kernel never stands still", "room // stride + 1", "room // stride", names="should be 112"),
    Mutant("rounded up", "room // stride + 1", "-(-room // stride) + 1", names="should be 112"),
    Mutant("a stride of one", "room // stride + 1", "room + 1", names="should be 112"),
    Mutant("not rounded", "room // stride + 1", "room / stride + 1", names="should be 112"),
    Mutant("as if padding always kept the size", "room // stride + 1", "-(-size // stride)", names="should be 9"),
    Mutant("measured", "room // stride + 1", "len(range(0, room + 1, stride))"),
]

FIELD = [
    Mutant("no pixel at the start", "field, jump = 1, 1", "field, jump = 0, 1", names="should be 5"),
    Mutant("the kernel, not its neighbours", "(kernel - 1) * jump", "kernel * jump", names="should be 5"),
    Mutant("strides ignored", "(kernel - 1) * jump", "(kernel - 1)", names="should be 7"),
    Mutant("strides added", "jump *= stride", "jump += stride", names="should be 5"),
    Mutant("each layer for itself", "jump *= stride", "jump = stride", names="should be 19"),
    Mutant("stride before kernel", "field += (kernel - 1) * jump\n        jump *= stride",
           "jump *= stride\n        field += (kernel - 1) * jump", names="should be 7"),
    Mutant("from the last layer backwards", "    field, jump = 1, 1\n    for kernel, stride in layers:\n"
           "        field += (kernel - 1) * jump\n        jump *= stride\n",
           "    field = 1\n    for kernel, stride in reversed(layers):\n"
           "        field = (field - 1) * stride + kernel\n"),
]  # fmt: skip

MODULE = [
    Mutant("the depthwise convolution after block 2", "self.branch2(self.down(x1))", "self.down(self.branch2(x1))",
           names="down"),
    Mutant("ReLU after the depthwise convolution", ", relu=False", "", names="self.down(x1)"),
    Mutant("a full convolution for the depthwise one", ", groups=n // 2", "", names="down"),
    Mutant("block 1 is 3×3", "n // 2, kernel=1)", "n // 2)", names="branch1"),
    Mutant("maximum for average", "nn.AvgPool2d(3", "nn.MaxPool2d(3", names="avg_pool2d"),
    Mutant("zeros at the border do not count", "padding=1)", "padding=1, count_include_pad=False)",
           names="avg_pool2d"),
    Mutant("all four pooled", "x2, x3, self.branch4(x3)]",
           "*map(self.pool, (x2, x3, self.branch4(x3)))]", names="cat"),
    Mutant("block 2 not halved", "self.branch2(self.down(x1))", "self.branch2(x1)", names="cat"),
    Mutant("order of the concatenation", "[self.pool(x1), x2, x3, self.branch4(x3)]",
           "[self.branch4(x3), x3, x2, self.pool(x1)]", names="cat"),
    Mutant("the last block as narrow as N/16", "self.branch4 = ConvBNReLU(n // 8, n // 8)",
           "self.branch4 = ConvBNReLU(n // 8, n // 16)", names="branch4"),
    Mutant("concatenated twice", "[self.pool(x1), x2, x3, self.branch4(x3)]",
           "[self.pool(x1), torch.cat([x2, x3, self.branch4(x3)], dim=1)]"),
    Mutant("a layer that is never used", "        n = out_channels\n",
           "        n = out_channels\n        self.spare = ConvBNReLU(n // 8, 8)\n", names="spare"),
    Mutant("block 4 fed by itself", "self.branch4(x3)]", "self.branch4(self.branch4(x3))]", names="branch4"),
    Mutant("no batch normalisation in block 1", "self.branch1 = ConvBNReLU(in_channels, n // 2, kernel=1)",
           "self.branch1 = nn.Sequential(nn.Conv2d(in_channels, n // 2, 1, bias=False), nn.ReLU())", names="branch1"),
]  # fmt: skip

PARAMETERS = [
    Mutant("no batch normalisation", "convs + norms + down", "convs + down", names="should be 134656"),
    Mutant("block 1 is 3×3", "convs = m * half + 9 *", "convs = 9 * m * half + 9 *", names="should be 134656"),
    Mutant("the depthwise convolution is full", "9 * half + 2 * half", "9 * half * half + 2 * half",
           names="should be 111488"),
    Mutant("the depthwise one has no batch normalisation", "9 * half + 2 * half", "9 * half", names="should be 111488"),
    Mutant("depthwise also with stride 1", " if stride == 2 else 0", "", names="should be 134656"),
    Mutant("three blocks", " + eighth * eighth", "", names="should be 134656"),
    Mutant("four numbers a channel in batch norm", "norms = 2 * n", "norms = 4 * n", names="should be 134656"),
    Mutant("one fraction", "9 * half + 2 * half", "11 * half"),
]  # fmt: skip

BACKBONE = [
    Mutant("every module has stride 2", "STDCModule(n, n) for", "STDCModule(n, n, stride=2) for", names="down"),
    Mutant("no module has stride 2", "STDCModule(m, n, stride=2)", "STDCModule(m, n)", names="down"),
    Mutant("one module too many", "range(count - 1)", "range(count)", names="stage3"),
    Mutant("stage 1 as wide as stage 2", "ConvBNReLU(3, width // 2, stride=2)", "ConvBNReLU(3, width, stride=2)",
           names="stage1"),
    Mutant("stage 2 at full size", "ConvBNReLU(width // 2, width, stride=2)", "ConvBNReLU(width // 2, width)",
           names="stride 2"),
    Mutant("modules of stages 3 and 5 swapped", "n, count):\n",
           "n, count):\n            count = {modules[0]: modules[2], modules[2]: modules[0]}.get(count, count)\n",
           names="stage"),
    Mutant("the smallest map first", "return [f8, f16, self.stage5(f16)]", "return [self.stage5(f16), f16, f8]",
           names="output[0]"),
    Mutant("only the last map", "return [f8, f16, self.stage5(f16)]", "return self.stage5(f16)", names="length 3"),
    Mutant("a tuple", "return [f8, f16, self.stage5(f16)]", "return f8, f16, self.stage5(f16)"),
]  # fmt: skip

MUTANTS = {"03.1": SIZE, "03.2": FIELD, "03.3": MODULE, "03.4": PARAMETERS, "03.5": BACKBONE}
