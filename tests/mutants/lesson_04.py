"""Wrong (and other right) answers to lesson 04: dilated chains, padding, the gate, SEASPP, multiply-adds."""

from mutants import Mutant

CHAIN = [
    Mutant("only the ends of a kernel", "range(-(kernel // 2), kernel // 2 + 1)", "(-(kernel // 2), kernel // 2)",
           names="should be"),
    Mutant("only to the right", "range(-(kernel // 2), kernel // 2 + 1)", "range(kernel)", names="should be -2"),
    Mutant("dilation ignored", "d * i for", "i for", names="should be -2"),
    Mutant("each layer from the middle", "for offset in offsets for", "for offset in (0,) for", names="length 3"),
    Mutant("layers side by side, not in a chain", "offsets = {offset + step for offset in offsets for step in steps}",
           "offsets |= set(steps)", names="length 3"),
    Mutant("a list that keeps repetitions", "{offset + step for offset in offsets for step in steps}",
           "[offset + step for offset in offsets for step in steps]", names="length 5"),
    Mutant("always a kernel of 3", "range(-(kernel // 2), kernel // 2 + 1)", "(-1, 0, 1)", names="length"),
    Mutant("span for offsets: no holes", "return sorted(offsets)", "return list(range(min(offsets), max(offsets) + 1))",
           names="of length 3"),
    Mutant("last layer first", "for d in dilations:", "for d in reversed(dilations):"),
]  # fmt: skip

PADDING = [
    Mutant("dilation ignored", "dilation * (kernel - 1) + 1", "kernel", names="should be 3"),
    Mutant("the whole span", "(span - 1) // 2", "span - 1", names="should be 1"),
    Mutant("the kernel spread, not its gaps", "dilation * (kernel - 1) + 1", "dilation * kernel", names="should be"),
    Mutant("the dilation alone", "return (span - 1) // 2", "return dilation", names="should be 0"),
    Mutant("rounded up", "(span - 1) // 2", "(span + 1) // 2", names="should be 1"),
    Mutant("as the package writes it", "(span - 1) // 2", "dilation * (kernel // 2)"),
]

GATE = [
    Mutant("maximum for mean", "x.mean((2, 3))", "x.amax((2, 3))", names="mean"),
    Mutant("mean over the height only", "x.mean((2, 3))", "x.mean(2).amax(2)", names="mean"),
    Mutant("no ReLU", "torch.relu(F.linear(mean, *squeeze))", "F.linear(mean, *squeeze)", names="relu"),
    Mutant("no sigmoid", "torch.sigmoid(F.linear(hidden, *excite))", "F.linear(hidden, *excite)", names="sigmoid"),
    Mutant("softmax for sigmoid", "torch.sigmoid(F.linear(hidden, *excite))", "F.linear(hidden, *excite).softmax(1)",
           names="sigmoid"),
    Mutant("the gate alone", "return x * gate[:, :, None, None]", "return gate", names="shape"),
    Mutant("added, not multiplied", "x * gate", "x + gate", names="mul"),
    Mutant("no bias in the squeeze", "F.linear(mean, *squeeze)", "F.linear(mean, squeeze[0])", names="linear"),
    Mutant("gate on the wrong dimensions", "gate[:, :, None, None]", "gate[:, None, None, :]", names="gate[:, None"),
    Mutant("ReLU also at the end", "torch.sigmoid(F.linear(hidden, *excite))",
           "torch.sigmoid(torch.relu(F.linear(hidden, *excite)))", names="relu"),
    Mutant("as matrix products", "F.linear(mean, *squeeze)", "mean @ squeeze[0].T + squeeze[1]"),
]  # fmt: skip

MODULE = [
    Mutant("rate 1 as 3×3", "1 if d == 1 else 3", "3", names="branches.0"),
    Mutant("the first branch is 1×1, always", "1 if d == 1 else 3", "1 if d == dilations[0] else 3",
           names="branches.0"),
    Mutant("no dilation", ", dilation=d)", ")", names="dilation 3"),
    Mutant("squeeze to a sixteenth", "nn.Conv2d(n, c, 1), nn.Conv2d(c, n, 1)",
           "nn.Conv2d(n, n // 16, 1), nn.Conv2d(n // 16, n, 1)",
           names="squeeze"),
    Mutant("no bias in the gate", ", nn.Conv2d(c, n, 1)", ", nn.Conv2d(c, n, 1, bias=False)",
           names="excite"),
    Mutant("project 1×1", "ConvBNReLU(n + c, c)", "ConvBNReLU(n + c, c, 1)", names="project"),
    Mutant("concatenated branches", "sum(branch(x) for branch in self.branches)",
           "torch.cat([branch(x) for branch in self.branches], dim=1)", names="project"),
    Mutant("branches in a chain", "sum(branch(x) for branch in self.branches)",
           "self.branches[0](x) + self.branches[-1](x)", names="self.branches[0](x) + self.branches[-1](x)"),
    Mutant("branches multiplied", "sum(branch(x) for branch in self.branches)",
           "torch.stack([branch(x) for branch in self.branches]).prod(0)", names=".prod(0)"),
    Mutant("gated input first", "[pyramid, x * gate]", "[x * gate, pyramid]", names="cat"),
    Mutant("input not gated", "[pyramid, x * gate]", "[pyramid, x]", names="cat"),
    Mutant("no sigmoid", "self.sigmoid(self.excite(self.relu(self.squeeze(self.pool(x)))))",
           "self.excite(self.relu(self.squeeze(self.pool(x))))", names="sigmoid"),
    Mutant("no ReLU in the gate", "self.relu(self.squeeze(self.pool(x)))", "self.squeeze(self.pool(x))", names="relu"),
    Mutant("maximum for mean", "self.pool(x)", "x.amax((2, 3), keepdim=True)", names="mean"),
    Mutant("a function for a module", "self.pool(x)", "x.mean((2, 3), keepdim=True)", "module GlobalAvgPool"),
    Mutant("branches in a plain list", "self.branches = nn.ModuleList(", "self.branches = list(",
           names="nn.ModuleList"),
    Mutant("added in a loop by stacking", "sum(branch(x) for branch in self.branches)",
           "torch.stack([branch(x) for branch in self.branches]).sum(0)"),
]  # fmt: skip

MACS = [
    Mutant("twice", "return outputs", "return 2 * outputs", names="should be 4"),
    Mutant("input's places", "-(-side // stride)", "side", names="should be 480"),
    Mutant("rounded down", "-(-side // stride)", "side // stride", names="should be 480"),
    Mutant("groups ignored", "(in_channels // groups)", "in_channels", names="should be 8400"),
    Mutant("one side of the kernel", "outputs * kernel * kernel", "outputs * kernel", names="should be 4"),
    Mutant("input channels forgotten", " * (in_channels // groups)", "", names="should be 4"),
    Mutant("parameters, not multiply-adds", "outputs = out_channels * height * width", "outputs = out_channels",
           names="should be 4"),
    Mutant("one added for each output", "return outputs * kernel", "return outputs + outputs * kernel",
           names="should be 4"),
    Mutant("kernel squared", "kernel * kernel", "kernel**2"),
]  # fmt: skip

MUTANTS = {"04.1": CHAIN, "04.2": PADDING, "04.3": GATE, "04.4": MODULE, "04.5": MACS}
