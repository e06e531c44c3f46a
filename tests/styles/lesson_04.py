"""Lesson 04 in other styles."""

from styles import Slip, Style

STYLES = {
    "04.1": [
        Style(
            "one layer after the other, sets added",
            """
def seen_offsets(dilations, kernel=3):
    seen = {0}
    half = kernel // 2
    for d in dilations:
        seen = {s + d * k for s in seen for k in range(-half, half + 1)}
    return sorted(seen)
""",
            Slip("last weight forgotten", "half + 1)", "half)"),
            Slip("not sorted", "sorted(seen)", "list(seen)[::-1]"),
        ),
        Style(
            "all combinations",
            """
from itertools import product

def seen_offsets(dilations, kernel=3):
    steps = [[d * (k - kernel // 2) for k in range(kernel)] for d in dilations]
    return sorted({sum(choice) for choice in product(*steps)})
""",
            Slip("from 0 on", "(k - kernel // 2)", "k", names=("a kernel begins at its cell",)),
            Slip(
                "each several times",
                "{sum(choice) for choice in product(*steps)}",
                "[sum(choice) for choice in product(*steps)]",
            ),
        ),
        Style(
            "recursion",
            """
def seen_offsets(dilations, kernel=3):
    if not dilations:
        return [0]
    rest = seen_offsets(dilations[1:], kernel)
    reach = range(-(kernel // 2) * dilations[0], kernel // 2 * dilations[0] + 1, dilations[0])
    return sorted({a + b for a in rest for b in reach})
""",
            Slip("kernel not passed on", "seen_offsets(dilations[1:], kernel)", "seen_offsets(dilations[1:])"),
            Slip("every place in between", "+ 1, dilations[0])", "+ 1)", names=("a dilated kernel sees every place",)),
        ),
        Style(
            "numpy's convolution of ones",
            """
import numpy as np

def seen_offsets(dilations, kernel=3):
    line = np.ones(1)
    for d in dilations:
        comb = np.zeros(d * (kernel - 1) + 1)
        comb[::d] = 1
        line = np.convolve(line, comb)
    middle = len(line) // 2
    return [int(i) - middle for i in np.flatnonzero(line)]
""",
            Slip("not from the middle", "int(i) - middle", "int(i)", names=("a kernel begins at its cell",)),
            Slip("comb without holes", "comb[::d] = 1", "comb[:] = 1", names=("a dilated kernel sees every place",)),
        ),
    ],
    "04.2": [
        Style(
            "closed form",
            "def same_padding(kernel, dilation):\n    return dilation * (kernel - 1) // 2\n",
            Slip("without holes", "dilation * (kernel - 1) // 2", "(kernel - 1) // 2"),
            Slip("both ends together", " // 2", ""),
        ),
        Style(
            "half the kernel times the dilation",
            "def same_padding(kernel, dilation):\n    return kernel // 2 * dilation\n",
            Slip("half rounded up", "kernel // 2", "(kernel + 1) // 2"),
            Slip("added", "* dilation", "+ dilation"),
        ),
        Style(
            "try until it fits",
            """
def same_padding(kernel, dilation):
    span = 1 + dilation * (kernel - 1)
    for padding in range(100):
        if 50 + 2 * padding - span + 1 == 50:
            return padding
""",
            Slip("padding once", "2 * padding", "padding"),
            Slip("span one short", "span = 1 + ", "span = "),
        ),
    ],
    "04.3": [
        Style(
            "matrix products",
            """
def squeeze_and_excite(x, squeeze, excite):
    (w1, b1), (w2, b2) = squeeze, excite
    v = x.mean(dim=(-2, -1))
    v = (v @ w1.T + b1).clamp(min=0)
    v = (v @ w2.T + b2).sigmoid()
    return x * v.unsqueeze(-1).unsqueeze(-1)
""",
            Slip("no bias", "v @ w1.T + b1", "v @ w1.T"),
            Slip("maximum for mean", "x.mean(dim=(-2, -1))", "x.amax(dim=(-2, -1))"),
            Slip("no ReLU", ".clamp(min=0)", "", names=("relu", "ReLU")),
        ),
        Style(
            "einsum",
            """
def squeeze_and_excite(x, squeeze, excite):
    s = torch.einsum("nchw->nc", x) / (x.shape[2] * x.shape[3])
    h = F.relu(torch.einsum("nc,dc->nd", s, squeeze[0]) + squeeze[1])
    g = torch.sigmoid(torch.einsum("nd,cd->nc", h, excite[0]) + excite[1])
    return torch.einsum("nchw,nc->nchw", x, g)
""",
            Slip("a sum for the mean", " / (x.shape[2] * x.shape[3])", "", names=("the squeeze is a sum and",)),
            Slip("no sigmoid", "torch.sigmoid(", "(", names=("sigmoid",)),
            Slip("one side only", "(x.shape[2] * x.shape[3])", "x.shape[2]"),
        ),
        Style(
            "1×1 convolutions on a map of one cell",
            """
def squeeze_and_excite(x, squeeze, excite):
    gate = F.adaptive_avg_pool2d(x, 1)
    gate = F.conv2d(gate, squeeze[0][:, :, None, None], squeeze[1])
    gate = F.conv2d(F.relu(gate), excite[0][:, :, None, None], excite[1])
    return torch.sigmoid(gate) * x
""",
            Slip(
                "ReLU on the wrong side",
                "F.conv2d(F.relu(gate), excite[0][:, :, None, None], excite[1])",
                "F.relu(F.conv2d(gate, excite[0][:, :, None, None], excite[1]))",
            ),
            Slip("hard sigmoid", "torch.sigmoid(gate)", "F.hardsigmoid(gate)"),
        ),
        Style(
            "image by image",
            """
def squeeze_and_excite(x, squeeze, excite):
    results = []
    for image in x:
        mean = image.flatten(1).mean(1)
        hidden = torch.relu(squeeze[0] @ mean + squeeze[1])
        gate = torch.sigmoid(excite[0] @ hidden + excite[1])
        results.append(image * gate[:, None, None])
    return torch.stack(results)
""",
            Slip("a tanh", "torch.sigmoid(", "torch.tanh("),
            Slip("gate added", "image * gate", "image + gate"),
        ),
        Style(
            "one line each",
            """
def squeeze_and_excite(x, squeeze, excite):
    mlp = lambda v: F.linear(F.relu(F.linear(v, *squeeze)), *excite)
    return x * mlp(x.mean((2, 3))).sigmoid()[..., None, None]
""",
            Slip("softmax for sigmoid", ".sigmoid()", ".softmax(1)"),
            Slip("no ReLU", "F.relu(F.linear(v, *squeeze))", "F.linear(v, *squeeze)", names=("relu",)),
        ),
    ],
    "04.4": [
        Style(
            "a Sequential for the gate",
            """
class SEASPP(nn.Module):
    def __init__(self, in_channels, out_channels, dilations=(1, 3)):
        super().__init__()
        self.atrous = nn.ModuleList()
        for d in dilations:
            self.atrous.append(ConvBNReLU(in_channels, out_channels, 3 if d > 1 else 1, dilation=d))
        self.gate = nn.Sequential(
            GlobalAvgPool(),
            nn.Conv2d(in_channels, out_channels, 1),
            nn.ReLU(),
            nn.Conv2d(out_channels, in_channels, 1),
            nn.Sigmoid(),
        )
        self.out = ConvBNReLU(in_channels + out_channels, out_channels, 3)

    def forward(self, x):
        total = 0
        for conv in self.atrous:
            total = total + conv(x)
        gated = self.gate(x) * x
        return self.out(torch.cat((total, gated), 1))
""",
            Slip("projection of kernel 1", "out_channels, 3)\n", "out_channels, 1)\n", names=("out", "project")),
            Slip("order of the concatenation", "torch.cat((total, gated), 1)", "torch.cat((gated, total), 1)"),
            Slip("ReLU missing", "            nn.ReLU(),\n", "", names=("relu",)),
        ),
        Style(
            "project first, branches last, and fewer names",
            """
class SEASPP(nn.Module):
    def __init__(self, in_channels, out_channels, dilations=(1, 3)):
        super().__init__()
        self.project = ConvBNReLU(in_channels + out_channels, out_channels)
        self.excite = nn.Conv2d(out_channels, in_channels, kernel_size=1)
        self.squeeze = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        self.mean, self.act, self.sig = GlobalAvgPool(), nn.ReLU(), nn.Sigmoid()
        kernels = [1 if d == 1 else 3 for d in dilations]
        self.b = nn.ModuleList(ConvBNReLU(in_channels, out_channels, k, dilation=d) for k, d in zip(kernels, dilations))

    def forward(self, x):
        g = self.mean(x)
        g = self.act(self.squeeze(g))
        g = self.sig(self.excite(g))
        s = torch.stack([b(x) for b in self.b]).sum(0)
        return self.project(torch.cat([s, x * g], 1))
""",
            Slip(
                "projection of kernel 1",
                "ConvBNReLU(in_channels + out_channels, out_channels)",
                "ConvBNReLU(in_channels + out_channels, out_channels, 1)",
                names=("project",),
            ),
            Slip("mean of the branches", ".sum(0)", ".mean(0)"),
            Slip("every kernel 3", "1 if d == 1 else 3 for", "3 for", names=("b.0",)),
        ),
        Style(
            "functional gate, loop over dilations",
            """
class SEASPP(nn.Module):
    def __init__(self, in_channels, out_channels, dilations=(1, 3)):
        super().__init__()
        for i, d in enumerate(dilations):
            self.add_module(f"rate{i}", ConvBNReLU(in_channels, out_channels, 1 if d == 1 else 3, dilation=d))
        self.n = len(dilations)
        self.reduce = nn.Conv2d(in_channels, out_channels, 1)
        self.expand = nn.Conv2d(out_channels, in_channels, 1)
        self.pool, self.relu, self.sigmoid = GlobalAvgPool(), nn.ReLU(), nn.Sigmoid()
        self.final = ConvBNReLU(in_channels + out_channels, out_channels)

    def forward(self, x):
        pyramid = getattr(self, "rate0")(x)
        for i in range(1, self.n):
            pyramid = pyramid + getattr(self, f"rate{i}")(x)
        squeezed = self.pool(x)
        weights = self.sigmoid(self.expand(self.relu(self.reduce(squeezed))))
        return self.final(torch.cat([pyramid, weights * x], dim=1))
""",
            Slip(
                "squeeze to a quarter",
                "nn.Conv2d(in_channels, out_channels, 1)\n        self.expand = nn.Conv2d(out_channels, ",
                "nn.Conv2d(in_channels, out_channels // 4, 1)\n        self.expand = nn.Conv2d(out_channels // 4, ",
                names=("reduce", "expand", "squeeze"),
            ),
            Slip("gate not multiplied", "weights * x", "weights + x"),
            Slip("product for sum", "pyramid = pyramid + getattr", "pyramid = pyramid * getattr"),
        ),
        Style(
            "linear layers in the gate",
            """
class SEASPP(nn.Module):
    def __init__(self, in_channels, out_channels, dilations=(1, 3)):
        super().__init__()
        self.branches = nn.ModuleList([
            ConvBNReLU(in_channels, out_channels, 1 if d == 1 else 3, dilation=d) for d in dilations
        ])
        self.pool, self.relu, self.sigmoid = GlobalAvgPool(), nn.ReLU(), nn.Sigmoid()
        self.fc1 = nn.Conv2d(in_channels, out_channels, 1)
        self.fc2 = nn.Conv2d(out_channels, in_channels, 1)
        self.head = ConvBNReLU(out_channels + in_channels, out_channels)

    def forward(self, x):
        summed = self.branches[0](x)
        for other in list(self.branches)[1:]:
            summed = other(summed) if False else summed + other(x)
        z = self.fc2(self.relu(self.fc1(self.pool(x))))
        return self.head(torch.cat([summed, x * self.sigmoid(z)], 1))
""",
            Slip("no dilation", "1 if d == 1 else 3, dilation=d", "1 if d == 1 else 3", names=("branches.1",)),
            Slip("gate of the raw numbers", "x * self.sigmoid(z)", "x * z", names=("sigmoid",)),
            Slip(
                "biases forgotten",
                "self.fc1 = nn.Conv2d(in_channels, out_channels, 1)",
                "self.fc1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)",
                names=("fc1",),
            ),
        ),
    ],
    "04.5": [
        Style(
            "the formula, written out",
            """
def conv_macs(in_channels, out_channels, kernel, size, stride=1, groups=1):
    h, w = size
    oh, ow = (h + stride - 1) // stride, (w + stride - 1) // stride
    return oh * ow * out_channels * in_channels * kernel ** 2 // groups
""",
            Slip(
                "rounded down", "(h + stride - 1) // stride", "h // stride", names=("the height is rounded down where",)
            ),
            Slip("twice, as FLOPs", "return oh", "return 2 * oh"),
        ),
        Style(
            "ceil",
            """
import math

def conv_macs(in_channels, out_channels, kernel, size, stride=1, groups=1):
    cells = math.prod(math.ceil(s / stride) for s in size)
    weights = kernel * kernel * (in_channels // groups) * out_channels
    return cells * weights
""",
            Slip(
                "groups twice",
                "* out_channels\n",
                "* (out_channels // groups)\n",
                names=("one group is counted and not",),
            ),
            Slip("kernel once", "kernel * kernel", "kernel"),
        ),
        Style(
            "a loop over groups",
            """
def conv_macs(in_channels, out_channels, kernel, size, stride=1, groups=1):
    places = len(range(0, size[0], stride)) * len(range(0, size[1], stride))
    total = 0
    for _ in range(groups):
        total += places * (in_channels // groups) * (out_channels // groups) * kernel * kernel
    return total
""",
            Slip(
                "groups counted as one",
                "for _ in range(groups):",
                "for _ in range(1):",
                names=("one group is counted and not",),
            ),
            Slip("size once", " * len(range(0, size[1], stride))", "", names=("the places along one side are",)),
        ),
    ],
}
