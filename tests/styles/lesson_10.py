"""Lesson 10 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "10.1": [
        Style(
            "the gate as a Sequential",
            """
class SE(nn.Module):
    def __init__(self, channels):
        super().__init__()
        r = max(4, channels // 8)
        down, up = nn.Conv2d(channels, r, 1, bias=False), nn.Conv2d(r, channels, 1, bias=False)
        self.gate = nn.Sequential(GlobalAvgPool(), down, nn.ReLU(), up, nn.Sigmoid())

    def forward(self, x):
        return self.gate(x) * x
""",
            Slip("no ReLU", "nn.ReLU(), ", "", names=("relu",)),
            Slip("added", "self.gate(x) * x", "self.gate(x) + x", names=("mul",)),
            Slip("the gate alone", "self.gate(x) * x", "self.gate(x)", names=("mul",)),
        ),
        Style(
            "linear layers",
            """
class SE(nn.Module):
    def __init__(self, channels):
        super().__init__()
        few = channels // 8
        if few < 4:
            few = 4
        self.fc1 = nn.Linear(channels, few, bias=False)
        self.fc2 = nn.Linear(few, channels, bias=False)

    def forward(self, x):
        n, c = x.shape[:2]
        means = x.reshape(n, c, -1).mean(-1)
        s = torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))
        return x * s.reshape(n, c, 1, 1)
""",
            Slip("maximum", ".mean(-1)", ".amax(-1)", names=("mean",)),
            Slip(
                "no sigmoid",
                "torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))",
                "self.fc2(torch.relu(self.fc1(means)))",
                names=("sigmoid",),
            ),
            Slip("at least 8", "few = 4\n", "few = 8\n", names=("fc1", "squeeze")),
        ),
        Style(
            "weights of one's own, einsum",
            """
class SE(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = channels // 8 if channels >= 32 else 4
        self.w1 = nn.Parameter(torch.randn(hidden, channels) / channels**0.5)
        self.w2 = nn.Parameter(torch.randn(channels, hidden) / hidden**0.5)

    def forward(self, x):
        squeezed = torch.einsum("nchw->nc", x) / (x.shape[2] * x.shape[3])
        excited = torch.einsum("nh,ch->nc", torch.einsum("nc,hc->nh", squeezed, self.w1).relu(), self.w2)
        return torch.einsum("nchw,nc->nchw", x, excited.sigmoid())
""",
            Slip("a sum for the mean", " / (x.shape[2] * x.shape[3])", "", names=("mean", "div")),
            Slip("height alone", "(x.shape[2] * x.shape[3])", "x.shape[2]"),
            Slip("tanh", ".sigmoid())", ".tanh())", names=("sigmoid",)),
        ),
        Style(
            "pooled by torch, in place",
            """
import torch.nn.functional as F


class SE(nn.Module):
    def __init__(self, channels):
        super().__init__()
        mid = max(channels // 8, 4)
        self.reduce = nn.Conv2d(channels, mid, kernel_size=1, bias=False)
        self.expand = nn.Conv2d(mid, channels, kernel_size=1, bias=False)

    def forward(self, x):
        g = F.adaptive_avg_pool2d(x, 1)
        g = self.reduce(g)
        g = F.relu(g, inplace=True)
        g = self.expand(g)
        return x.mul(g.sigmoid_())
""",
            Slip(
                "a bias",
                "nn.Conv2d(channels, mid, kernel_size=1, bias=False)",
                "nn.Conv2d(channels, mid, kernel_size=1)",
                names=("reduce", "squeeze"),
            ),
            Slip("ReLU at the end", "x.mul(g.sigmoid_())", "F.relu(x.mul(g.sigmoid_()))", names=("relu",)),
            Slip("a sixteenth", "channels // 8", "channels // 16", names=("reduce", "squeeze")),
        ),
        Style(
            "a method for the gate, layers in a list",
            """
class SE(nn.Module):
    def __init__(self, channels):
        super().__init__()
        sizes = [channels, max(4, channels // 8), channels]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in zip(sizes, sizes[1:]))
        self.acts = [torch.relu, torch.sigmoid]

    def gate(self, x):
        y = x.mean(dim=(2, 3), keepdim=True)
        for layer, act in zip(self.layers, self.acts):
            y = act(layer(y))
        return y

    def forward(self, x):
        return x * self.gate(x).expand_as(x)
""",
            Slip("over the channels", "x.mean(dim=(2, 3), keepdim=True)", "x.mean(dim=1, keepdim=True)"),
            Slip("activation first", "act(layer(y))", "layer(act(y))"),
            Slip("sigmoid twice", "[torch.relu, torch.sigmoid]", "[torch.sigmoid, torch.sigmoid]", names=("relu",)),
        ),
    ],
    "10.2": [
        Style(
            "transposed there and back",
            """
class ECA(nn.Module):
    def __init__(self, channels):
        super().__init__()
        k = int((math.log2(channels) + 1) / 2)
        if k % 2 == 0:
            k = k + 1
        self.pool = GlobalAvgPool()
        self.conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)

    def forward(self, x):
        y = self.pool(x).squeeze(-1).transpose(1, 2)
        y = self.conv(y)
        y = torch.sigmoid(y)
        return x * y.transpose(1, 2).unsqueeze(-1)
""",
            Slip("no sigmoid", "        y = torch.sigmoid(y)\n", "", names=("sigmoid",)),
            Slip("even kernels one shorter", "k = k + 1", "k = k - 1", names=("conv",)),
            Slip("a bias", ", bias=False", "", names=("conv",)),
            Slip("not turned back", "y.transpose(1, 2).unsqueeze(-1)", "y.unsqueeze(-1)"),
        ),
        Style(
            "einsum, the least odd number by a bit",
            """
class ECA(nn.Module):
    def __init__(self, channels):
        super().__init__()
        k = int(abs(math.log2(channels) + 1) / 2) | 1
        self.neighbours = nn.Conv1d(1, 1, k, padding=(k - 1) // 2, bias=False)

    def forward(self, x):
        means = x.mean((2, 3)).unsqueeze(1)
        gates = self.neighbours(means).squeeze(1).sigmoid()
        return torch.einsum("nchw,nc->nchw", x, gates)
""",
            Slip("natural logarithm", "math.log2", "math.log", names=("neighbours", "conv")),
            Slip("half forgotten", " / 2)", ")", names=("neighbours", "conv")),
            Slip("maximum", "x.mean((2, 3))", "x.amax((2, 3))", names=("mean",)),
        ),
        Style(
            "a two-dimensional convolution",
            """
class ECA(nn.Module):
    def __init__(self, channels):
        super().__init__()
        size = 2 * (int((math.log2(channels) + 1) / 2) // 2) + 1
        self.along = nn.Conv2d(1, 1, (size, 1), padding=(size // 2, 0), bias=False)

    def forward(self, x):
        column = x.mean((2, 3)).reshape(len(x), 1, -1, 1)
        gate = self.along(column).sigmoid().reshape(len(x), -1, 1, 1)
        return gate * x
""",
            Slip("floor twice", "+ 1) / 2) // 2) + 1", "+ 1) / 2) // 2)", names=("along", "conv")),
            Slip("ReLU for sigmoid", ".sigmoid()", ".relu()", names=("sigmoid",)),
            Slip("added", "gate * x", "gate + x", names=("mul",)),
        ),
        Style(
            "a window slides over the means",
            """
import torch.nn.functional as F


class ECA(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.k = math.floor((math.log2(channels) + 1) / 2)
        while self.k % 2 != 1:
            self.k += 1
        self.weight = nn.Parameter(torch.zeros(1, 1, self.k))

    def forward(self, x):
        half = self.k // 2
        padded = F.pad(x.mean((2, 3)), (half, half))
        windows = padded.unfold(1, self.k, 1)
        gate = torch.sigmoid(windows @ self.weight[0, 0])
        return x * gate[..., None, None]
""",
            Slip("padded to the left", "(half, half)", "(2 * half, 0)"),
            Slip("turned round", "self.weight[0, 0]", "self.weight[0, 0].flip(0)"),
            Slip(
                "a ring of channels",
                "F.pad(x.mean((2, 3)), (half, half))",
                "F.pad(x.mean((2, 3))[None], (half, half), mode='circular')[0]",
            ),
        ),
        Style(
            "functional, channel by channel",
            """
class ECA(nn.Module):
    def __init__(self, channels):
        super().__init__()
        t = abs((math.log2(channels) + 1) / 2) // 1
        self.kernel = int(t + 1 - t % 2)
        self.conv = nn.Conv1d(1, 1, self.kernel, padding="same", bias=False)

    def forward(self, x):
        sums = x.sum(dim=3).sum(dim=2)
        means = sums / x[0, 0].numel()
        logits = self.conv(means[:, None])
        factors = 1 / (1 + torch.exp(-logits))
        return torch.stack([x[:, c] * factors[:, 0, c, None, None] for c in range(x.shape[1])], dim=1)
""",
            Slip("two too long", "t + 1 - t % 2", "t + 3 - t % 2", names=("conv",)),
            Slip("sign", "torch.exp(-logits)", "torch.exp(logits)"),
            Slip("rows alone", "x[0, 0].numel()", "x.shape[2]"),
        ),
    ],
    "10.3": [
        Style(
            "sliced, gates multiplied first",
            """
class AAM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        r = max(4, channels // 8)
        self.shared = ConvBNReLU(channels, r, kernel=1)
        self.f_rows = nn.Conv2d(r, channels, 1, bias=False)
        self.f_columns = nn.Conv2d(r, channels, 1, bias=False)
        self.s = nn.Sigmoid()

    def forward(self, x):
        h = x.size(2)
        a = torch.cat((x.mean(-1, True), x.mean(-2, True).mT), 2)
        a = self.shared(a)
        a1 = self.s(self.f_rows(a[:, :, :h]))
        a2 = self.s(self.f_columns(a[:, :, h:])).mT
        return x * (a1 * a2)
""",
            Slip("gates added", "(a1 * a2)", "(a1 + a2)", names=("mul",)),
            Slip("split at the width", "h = x.size(2)", "h = x.size(3)"),
            Slip(
                "no sigmoid on rows", "self.s(self.f_rows(a[:, :, :h]))", "self.f_rows(a[:, :, :h])", names=("sigmoid",)
            ),
            Slip("the rows' gate twice", "(a1 * a2)", "(a1 * a1)"),
        ),
        Style(
            "one-dimensional layers",
            """
class AAM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = max(channels // 8, 4)
        self.conv = nn.Conv1d(channels, hidden, 1, bias=False)
        self.bn = nn.BatchNorm1d(hidden)
        self.rows = nn.Conv1d(hidden, channels, 1, bias=False)
        self.columns = nn.Conv1d(hidden, channels, 1, bias=False)

    def forward(self, x):
        n, c, h, w = x.shape
        profile = torch.cat([x.mean(3), x.mean(2)], dim=2)
        profile = torch.relu(self.bn(self.conv(profile)))
        y, z = profile.split([h, w], dim=2)
        y = torch.sigmoid(self.rows(y))
        z = torch.sigmoid(self.columns(z))
        return torch.einsum("nchw,nch,ncw->nchw", x, y, z)
""",
            Slip("no ReLU", "torch.relu(self.bn(self.conv(profile)))", "self.bn(self.conv(profile))", names=("relu",)),
            Slip("columns alone", "torch.cat([x.mean(3), x.mean(2)]", "torch.cat([x.mean(3), x.amax(2)]"),
            Slip("softmax", "torch.sigmoid(self.columns(z))", "torch.softmax(self.columns(z), 2)", names=("sigmoid",)),
            Slip("columns above rows", "torch.cat([x.mean(3), x.mean(2)]", "torch.cat([x.mean(2), x.mean(3)]"),
        ),
        Style(
            "columns first, side by side along the width",
            """
class AAM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = channels // 8
        if hidden < 4:
            hidden = 4
        self.columns = nn.Sequential(nn.Conv2d(hidden, channels, 1, bias=False), nn.Sigmoid())
        self.rows = nn.Sequential(nn.Conv2d(hidden, channels, 1, bias=False), nn.Sigmoid())
        self.squeeze = ConvBNReLU(channels, hidden, 1)

    def forward(self, x):
        w = x.shape[3]
        columns = x.mean(dim=2, keepdim=True)
        rows = x.mean(dim=3, keepdim=True).transpose(2, 3)
        both = self.squeeze(torch.cat([columns, rows], dim=3))
        x = x * self.columns(both[..., :w])
        return x * self.rows(both[..., w:]).transpose(2, 3)
""",
            Slip("not turned", "self.rows(both[..., w:]).transpose(2, 3)", "self.rows(both[..., w:])"),
            Slip("3×3", "ConvBNReLU(channels, hidden, 1)", "ConvBNReLU(channels, hidden)", names=("squeeze",)),
            Slip("means exchanged", "columns = x.mean(dim=2", "columns = x.mean(dim=3"),
            Slip(
                "the rows' gate alone",
                "x = x * self.columns(both[..., :w])\n        return x",
                "return x",
                names=("only the rows' gate is applied",),
            ),
        ),
        Style(
            "pools of PyTorch, a dict of layers",
            """
class AAM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        few = max(4, channels // 8)
        self.pools = nn.ModuleList([nn.AdaptiveAvgPool2d((None, 1)), nn.AdaptiveAvgPool2d((1, None))])
        self.down = nn.Sequential(nn.Conv2d(channels, few, 1, bias=False), nn.BatchNorm2d(few), nn.ReLU())
        self.up = nn.ModuleDict({name: nn.Conv2d(few, channels, 1, bias=False) for name in ("rows", "columns")})

    def forward(self, x):
        rows, columns = (pool(x) for pool in self.pools)
        joined = self.down(torch.cat([rows, columns.permute(0, 1, 3, 2)], dim=2))
        rows, columns = torch.split(joined, [x.shape[2], x.shape[3]], dim=2)
        gate = self.up["rows"](rows).sigmoid() * self.up["columns"](columns.permute(0, 1, 3, 2)).sigmoid()
        return gate * x
""",
            Slip("norm forgotten", "nn.BatchNorm2d(few), ", "", names=("squeeze", "batch_norm")),
            Slip("the rows' layer twice", 'self.up["columns"](columns', 'self.up["rows"](columns'),
            Slip("one sigmoid", "3, 2)).sigmoid()", "3, 2))", names=("sigmoid",)),
            Slip("split the other way round", "[x.shape[2], x.shape[3]], dim=2", "[x.shape[3], x.shape[2]], dim=2"),
        ),
        Style(
            "a helper for each axis",
            """
def profile(x, axis):
    return x.sum(axis, keepdim=True) / x.shape[axis]


class AAM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.hidden = max(4, channels // 8)
        self.enter = ConvBNReLU(channels, self.hidden, kernel=1)
        self.leave = nn.ModuleList(nn.Conv2d(self.hidden, channels, 1, bias=False) for _ in range(2))

    def forward(self, x):
        height, width = x.shape[2:]
        side = self.enter(torch.cat([profile(x, 3), profile(x, 2).swapaxes(2, 3)], 2))
        parts = side[:, :, :height], side[:, :, -width:].swapaxes(2, 3)
        for layer, part in zip(self.leave, parts):
            x = x * torch.sigmoid(layer(part))
        return x
""",
            Slip(
                "entered one by one",
                "self.enter(torch.cat([profile(x, 3), profile(x, 2).swapaxes(2, 3)], 2))",
                "torch.cat([self.enter(profile(x, 3)), self.enter(profile(x, 2).swapaxes(2, 3))], 2)",
            ),
            Slip("halves exchanged", "zip(self.leave, parts)", "zip(self.leave, parts[:1] * 2)"),
            Slip("least width forgotten", "max(4, channels // 8)", "channels // 8", names=("enter", "squeeze")),
            Slip("sums for means", " / x.shape[axis]", "", names=("mean", "div")),
        ),
    ],
    "10.4": [
        Style(
            "layer by layer",
            """
def aam_multiply_adds(channels, height, width):
    r = max(4, channels // 8)
    shared = channels * r * (height + width)
    rows = r * channels * height
    columns = r * channels * width
    return shared + rows + columns
""",
            Slip("columns forgotten", " + columns", "", names=("only one of the two gates'",)),
            Slip("shared at all places", "(height + width)", "(height * width)"),
            Slip(
                "width for height",
                "r * channels * height",
                "r * channels * width",
                names=("the width is counted for both",),
            ),
        ),
        Style(
            "a loop over layers",
            """
def aam_multiply_adds(channels, height, width):
    hidden = channels // 8
    if hidden < 4:
        hidden = 4
    total = 0
    for a, b, places in ((channels, hidden, height + width), (hidden, channels, height), (hidden, channels, width)):
        total += a * b * places
    return total
""",
            Slip("the last alone", "total += a", "total = a"),
            Slip("input forgotten", "a * b * places", "b * places"),
        ),
        Style(
            "weights times places",
            """
def aam_multiply_adds(channels, height, width):
    def weights(a, b):
        return a * b

    h = weights(channels, max(channels // 8, 4))
    return (h + h) * height + (h + h) * width
""",
            Slip("Equation 6", "return a * b", "return b"),
            Slip("a sixteenth", "channels // 8", "channels // 16"),
        ),
        Style(
            "twice what goes in",
            """
def aam_multiply_adds(channels, height, width):
    one_way = sum(channels * max(4, channels // 8) for _ in range(height + width))
    return 2 * one_way
""",
            Slip("one way", "2 * one_way", "one_way", names=("the gates' convolutions are left out",)),
            Slip("doubled as FLOPs", "2 * one_way", "4 * one_way"),
        ),
        Style(
            "counted on real layers",
            """
def aam_multiply_adds(channels, height, width):
    few = max(4, channels // 8)
    down, up = nn.Conv2d(channels, few, 1, bias=False), nn.Conv2d(few, channels, 1, bias=False)
    places = {down: height + width, up: height + width}
    return sum(layer.weight.numel() * n for layer, n in places.items())
""",
            Slip(
                "with biases",
                "nn.Conv2d(few, channels, 1, bias=False)\n",
                "nn.Conv2d(few, channels + 1, 1, bias=False)\n",
            ),
            Slip("least width forgotten", "max(4, channels // 8)", "channels // 8"),
        ),
    ],
    "10.5": readings("two_gains", "c", a="moves a figure by 0.005", d="at the lower"),
    "10.6": [
        Style(
            "AAM on the concatenation",
            """
def my_choice():
    return {"attention": "aam", "attention_at": "concat"}, "Rows and columns have gates, for 4.3 % more bytes."
""",
            Slip("one factor a channel", '"aam"', '"eca"', names=("eca",)),
            Slip("no figure", "for 4.3 % more bytes", "for few more bytes", names=("figure",)),
        ),
        Style(
            "CBAM",
            """
def my_choice():
    switches = dict(attention="cbam", attention_at="concat")
    reason = "A gate for each single place, and still below the 6 % of bytes that are allowed."
    return switches, reason
""",
            Slip("width halved", '"cbam"', '"sp"', names=("sp",)),
            Slip("reason first", "return switches, reason", "return reason, switches", names=("dict",)),
            Slip("at all places", '"concat"', '"all"', names=("cbam at all",)),
        ),
        Style(
            "a sentence put together",
            """
def my_choice():
    attention, share = "aam", 4.3
    return {"attention": attention, "attention_at": "concat"}, f"It sees rows and columns and moves {share} % more."
""",
            Slip("SE", '"aam"', '"se"', names=("se gives",)),
            Slip("no reason", ', f"It sees rows and columns and moves {share} % more."', "", names=("reason",)),
        ),
        Style(
            "a filter over all",
            """
def my_choice():
    bytes_more = {("cbam", "concat"): 5.6, ("aam", "concat"): 4.3}
    (name, at), share = min(bytes_more.items(), key=lambda item: item[1])
    return {"attention": name, "attention_at": at}, f"{name} at {at} moves least of those that see places: {share} %"
""",
            Slip("keys", '"attention_at": at', '"at": at', names=("attention_at",)),
            Slip(
                "too short",
                "{name} at {at} moves least of those that see places: {share} %",
                "{share} %",
                names=("five words",),
            ),
        ),
        Style(
            "a lambda",
            'my_choice = lambda: ({"attention": "cbam", "attention_at": "concat"}, '
            '"It looks at 7×7 places around each one")\n',
            Slip("none", '"cbam"', '"none"', names=("none",)),
            Slip("in capitals", '"cbam"', '"CBAM"', names=("cbam",)),
        ),
    ],
}
