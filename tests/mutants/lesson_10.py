"""Wrong answers to lesson 10's exercises, and a few that are right in another way."""

from mutants import Mutant

_HIDDEN = "hidden = max(4, channels // 8)\n        self.pool = GlobalAvgPool()"
_SQUEEZE = "self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)"
_SE = "return x * self.excite(hidden).sigmoid()"
_MLP = "hidden = self.squeeze(self.pool(x)).relu()"
_ODD = "kernel += kernel % 2 == 0"
_KERNEL = "kernel = int(abs((math.log2(channels) + 1) / 2))"
_CONV = "self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)"
_GATE = "gate = self.conv(row).sigmoid()[:, 0]"
_ROW = "row = self.pool(x).flatten(1)[:, None]"
_SHARED = "self.squeeze = ConvBNReLU(channels, hidden, kernel=1)"
_COLUMNS = "columns = x.mean(2, keepdim=True).transpose(2, 3)"
_JOINED = "hidden = self.squeeze(torch.cat([rows, columns], dim=2))"
_SPLIT = "h, w = hidden.split(x.shape[2:], dim=2)"
_BY_ROWS = "x = x * self.excite_rows(h).sigmoid()"
_BY_COLUMNS = "return x * self.excite_columns(w).sigmoid().transpose(2, 3)"
_COUNT = "return 2 * channels * hidden * (height + width)"
_C = 'return "c"'
_SWITCHES = 'switches = {"attention": "aam", "attention_at": "concat"}'
_REASON = '"Of those that see places it moves least: 4.3 % more bytes."'


def _switch(attention: str, at: str) -> str:
    return f'switches = {{"attention": "{attention}", "attention_at": "{at}"}}'


MUTANTS = {
    "10.1": [
        Mutant("no sigmoid", _SE, "return x * self.excite(hidden)", "sigmoid"),
        Mutant("the gate alone", _SE, "return self.excite(hidden).sigmoid()", "shape"),
        Mutant("no ReLU", _MLP, "hidden = self.squeeze(self.pool(x))", "relu"),
        Mutant("a bias", _SQUEEZE, "self.squeeze = nn.Conv2d(channels, hidden, 1)", "bias"),
        Mutant("compressed by 16", _HIDDEN, _HIDDEN.replace("// 8", "// 16"), "squeeze"),
        Mutant("no least", _HIDDEN, _HIDDEN.replace("max(4, channels // 8)", "channels // 8"), "squeeze"),
        Mutant("maximum for mean", _MLP, "hidden = self.squeeze(x.amax((2, 3), keepdim=True)).relu()", "amax"),
        Mutant("added", _SE, "return x + self.excite(hidden).sigmoid()", "add"),
        Mutant("torch.sigmoid, right as well", _SE, "return torch.sigmoid(self.excite(hidden)) * x"),
        Mutant("mean written out, right as well", _MLP, "hidden = self.squeeze(x.mean((2, 3), keepdim=True)).relu()"),
    ],
    "10.2": [
        Mutant("even kernel made smaller", _ODD, "kernel -= kernel % 2 == 0", "conv"),
        Mutant("always 3", _KERNEL, "kernel = 3", "conv"),
        Mutant("rounded, not cut", _KERNEL, "kernel = round(abs((math.log2(channels) + 1) / 2) + 0.3)", "conv"),
        Mutant("a bias", _CONV, _CONV.replace(", bias=False", ""), "bias"),
        Mutant("no sigmoid", _GATE, "gate = self.conv(row)[:, 0]", "sigmoid"),
        Mutant("no padding", _CONV, _CONV.replace("padding=kernel // 2", "padding=0"), "run"),
        Mutant("added", "return x * gate", "return x + gate", "add"),
        Mutant("maximum for mean", _ROW, "row = x.amax((2, 3))[:, None]", "amax"),
        Mutant("mean written out, right as well", _ROW, "row = x.mean((2, 3)).unsqueeze(1)"),
        Mutant("kernel made odd by a bit, right as well", _ODD, "kernel |= 1"),
    ],
    "10.3": [
        Mutant("no normalisation", _SHARED, "self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)", "squeeze"),
        Mutant(
            "no ReLU",
            _SHARED,
            "self.squeeze = ConvBNReLU(channels, hidden, kernel=1, relu=False)",
            "hidden = self.squeeze(",
        ),
        Mutant("one gate", _BY_COLUMNS, "return x", "and other numbers"),
        Mutant("gates added", _BY_ROWS, "x = x + self.excite_rows(h).sigmoid()", "add"),
        Mutant(
            "the shared layer called twice",
            _JOINED,
            "hidden = torch.cat([self.squeeze(rows), self.squeeze(columns)], dim=2)",
            "excite_rows",
        ),
        Mutant("one way back for both", _BY_COLUMNS, _BY_COLUMNS.replace("columns(w)", "rows(w)"), "excite"),
        Mutant("halves exchanged", _JOINED, "hidden = self.squeeze(torch.cat([columns, rows], dim=2))", "cat"),
        Mutant("maximum for mean", _COLUMNS, _COLUMNS.replace("mean", "amax"), "columns = x.amax(2"),
        Mutant("column gate without sigmoid", _BY_COLUMNS, _BY_COLUMNS.replace(".sigmoid()", ""), "sigmoid"),
        Mutant("rows over the wrong axis", "rows = x.mean(3, keepdim=True)", "rows = x.mean(2, keepdim=True)", "run"),
        Mutant(
            "split written out, right as well", _SPLIT, "h, w = hidden[:, :, : x.shape[2]], hidden[:, :, x.shape[2] :]"
        ),
        Mutant("other order of the product, right as well", _BY_ROWS, "x = torch.sigmoid(self.excite_rows(h)) * x"),
    ],
    "10.4": [
        Mutant("Equation 6 as printed", _COUNT, "return 2 * hidden * (height + width)", "384"),
        Mutant("the way in alone", _COUNT, "return channels * hidden * (height + width)", "384"),
        Mutant("at every place", _COUNT, "return 2 * channels * hidden * height * width", "384"),
        Mutant("three times", _COUNT, "return 3 * channels * hidden * (height + width)", "384"),
        Mutant("not compressed", _COUNT, "return 2 * channels * channels * (height + width)", "384"),
        Mutant("no least", "hidden = max(4, channels // 8)", "hidden = channels // 8", "18"),
        Mutant(
            "layer by layer, right as well",
            _COUNT,
            "inward = channels * hidden * (height + width)\n"
            "    return inward + hidden * channels * height + hidden * channels * width",
        ),
        Mutant(
            "floor of a quotient, right as well", "hidden = max(4, channels // 8)", "hidden = max(int(channels / 8), 4)"
        ),
    ],
    "10.5": [
        Mutant("rounding", _C, 'return "a"', "0.005"),
        Mutant("other places", _C, 'return "b"', "66.128"),
        Mutant("the lower size as well", _C, 'return "d"', "73.46"),
        Mutant("no such reading", _C, 'return "e"', "reading"),
        Mutant("a number", _C, "return 3", "reading"),
        Mutant("by a name, right as well", _C, 'answer = "c"\n    return answer'),
        Mutant("by a sum, right as well", _C, 'return "c" if 2.83 - 2.34 > 73.46 - 73.11 else "d"'),
    ],
    "10.6": [
        Mutant("no place", _SWITCHES, _switch("eca", "all"), "place"),
        Mutant("no place either", _SWITCHES, _switch("se", "concat"), "place"),
        Mutant("too many bytes", _SWITCHES, _switch("cbam", "all"), "bytes"),
        Mutant("another width", _SWITCHES, _switch("sp", "concat"), "width"),
        Mutant("none", _SWITCHES, _switch("none", "all"), "today"),
        Mutant("no such place", _SWITCHES, _switch("aam", "middle"), "concat"),
        Mutant("no figure", _REASON, '"Of those that see places it moves least."', "figure"),
        Mutant("no sentence", _REASON, '"4.3 %"', "five words"),
        Mutant("the switches alone", f"return switches, {_REASON}", "return switches", "two things"),
        Mutant("CBAM on the concatenation, right as well", _SWITCHES, _switch("cbam", "concat")),
        Mutant("AAM everywhere, right as well", _SWITCHES, _switch("aam", "all")),
    ],
}
