"""Wrong answers to lesson 05's exercises, and a few that are right in another way."""

from mutants import Mutant

_POOLED = "pooled = torch.cat([self.max_pool(x), self.avg_pool(x)], dim=3)"
_LOGITS = "logits = self.excite(self.relu(self.squeeze(pooled)))  # (N, C, 1, 2)"
_GATE = "return self.sigmoid(logits.sum(dim=3, keepdim=True))"
_DESCRIBED = "torch.cat([largest, mean], dim=1)"
_RESULT = "fused_low * gate_high + fused_high * gate_low"
_SPATIAL = "self.spatial_low, self.spatial_high = SpatialAttention(), SpatialAttention()"
_CHANNEL = "self.channel_high = ChannelAttention(channels, reduction)"

MUTANTS = {
    "05.1": [
        Mutant("no sigmoid", _GATE, "return logits.sum(dim=3, keepdim=True)", "sigmoid"),
        Mutant("mean twice, no maximum", _POOLED, _POOLED.replace("max_pool", "avg_pool"), "pooled ="),
        Mutant("no ReLU in the MLP", _LOGITS, "logits = self.excite(self.squeeze(pooled))", "relu"),
        Mutant("no bias", "nn.Conv2d(channels, hidden, 1)", "nn.Conv2d(channels, hidden, 1, bias=False)", "bias"),
        Mutant("hidden layer too narrow", "max(4, channels // reduction)", "channels // reduction", "squeeze"),
        Mutant("reduction ignored", "max(4, channels // reduction)", "max(4, channels // 16)", "squeeze"),
        Mutant("pooled over channels", "self.max_pool(x), self.avg_pool(x)", "x.amax(1), x.mean(1)", "pooled ="),
        Mutant("sigmoid before the sum", _GATE, "return self.sigmoid(logits).sum(dim=3, keepdim=True)", "sigmoid"),
        Mutant("mean of the two, not their sum", _GATE, _GATE.replace("sum", "mean"), "mean"),
        Mutant("sigmoid in the MLP", "self.relu = nn.ReLU()", "self.relu = nn.Sigmoid()", "relu"),
        Mutant("mean first, right as well", _POOLED, "pooled = torch.cat([self.avg_pool(x), self.max_pool(x)], dim=3)"),
        Mutant(
            "the MLP called twice, right as well",
            f"{_POOLED}\n        {_LOGITS}\n        {_GATE}",
            "a, b = (self.excite(self.relu(self.squeeze(p))) for p in (self.max_pool(x), self.avg_pool(x)))\n"
            "        return torch.sigmoid(a + b)",
        ),
        Mutant("a function for a module", "self.avg_pool(x)", "x.mean((2, 3), keepdim=True)", "module GlobalAvgPool"),
        Mutant(
            "each pool called twice",
            _GATE,
            "a, b = (self.excite(self.relu(self.squeeze(p))) for p in (self.max_pool(x), self.avg_pool(x)))\n"
            "        return torch.sigmoid(a + b)",
            "more often than is needed",
        ),
    ],
    "05.2": [
        Mutant("no sigmoid", "return self.sigmoid(self.conv(described))", "return self.conv(described)", "sigmoid"),
        Mutant("7×7, as in CBAM", "nn.Conv2d(2, 1, 1)", "nn.Conv2d(2, 1, 7, padding=3)", "7×7"),
        Mutant("no bias", "nn.Conv2d(2, 1, 1)", "nn.Conv2d(2, 1, 1, bias=False)", "no bias"),
        Mutant("mean first", _DESCRIBED, "torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)", "cat"),
        Mutant("minimum for maximum", "x.amax(1, keepdim=True)", "x.amin(1, keepdim=True)", "amin"),
        Mutant(
            "pooled over places", _DESCRIBED, "torch.cat([x.amax((2, 3), True), x.mean((2, 3), True)], dim=1)", "conv"
        ),
        Mutant(
            "sum for concat",
            "described = torch.cat([largest, mean], dim=1)",
            "described = (largest + mean).expand(-1, 2, -1, -1)",
            "described =",
        ),
        Mutant("keepdim forgotten, right as well", _DESCRIBED, "torch.stack([x.amax(1), x.mean(1)], dim=1)"),
    ],
    "05.3": [
        Mutant("spatial crossing undone", _RESULT, "fused_low * gate_low + fused_high * gate_high", "_low * gate_low"),
        Mutant(
            "channel crossing undone",
            "fused_high = low * self.channel_high(high)",
            "fused_high = low * self.channel_low(low)",
            "fused_high =",
        ),
        Mutant("product for sum", _RESULT, "fused_low * gate_high * (fused_high * gate_low)", "add"),
        Mutant("concat for sum", _RESULT, "torch.cat([fused_low * gate_high, fused_high * gate_low], 1)", "shape"),
        Mutant(
            "one spatial module for both",
            _SPATIAL,
            "self.spatial_low = self.spatial_high = SpatialAttention()",
            "spatial_",
        ),
        Mutant("one channel module for both", _CHANNEL, "self.channel_high = self.channel_low", "channel_high"),
        Mutant("reduction forgotten", _CHANNEL, "self.channel_high = ChannelAttention(channels)", "channel_high"),
        Mutant("spatial gates of the inputs", "self.spatial_high(fused_high)", "self.spatial_high(high)", "(high)"),
        Mutant("low left out", _RESULT, "fused_low * gate_high", "other numbers"),
        Mutant("sum in the other order, right as well", _RESULT, "fused_high * gate_low + fused_low * gate_high"),
    ],
    "05.4": [
        Mutant("no biases", "2 * channels * hidden + hidden + channels", "2 * channels * hidden", "16390"),
        Mutant("one channel attention", "return 2 * channel_attention", "return channel_attention", "8470"),
        Mutant("MLP per pool", "return 2 * channel_attention", "return 4 * channel_attention", "33862"),
        Mutant("7×7", "spatial_attention = 2 + 1", "spatial_attention = 2 * 49 + 1", "17126"),
        Mutant("hidden layer without its least", "max(4, channels // reduction)", "channels // reduction", "(32)"),
        Mutant("reduction fixed", "channels // reduction)", "channels // 16)", "reduction=8"),
    ],
    "05.5": [
        Mutant("switch of the channels turned", "if not self.cross_channels", "if self.cross_channels", "if self."),
        Mutant(
            "switch of the places turned", "if self.cross_space", "if not self.cross_space", "return of_high * by_high"
        ),
        Mutant("channels always cross", "for_high, for_low = for_low, for_high", "pass", "cross_channels=False"),
        Mutant("places always cross", "if self.cross_space:", "if True:", "cross_space=False"),
        Mutant("one switch for both", "if self.cross_space:", "if self.cross_channels:", "cross_channels=False"),
        Mutant("maps swapped, too", "low * for_low, high * for_high", "low * for_high, high * for_low", "* for_high"),
        Mutant(
            "spatial gates of the inputs",
            "self.spatial_high(of_low), self.spatial_low(of_high)",
            "self.spatial_high(low), self.spatial_low(high)",
            "self.spatial_high(low)",
        ),
        Mutant(
            "spatial modules exchanged throughout, right as well",
            "self.spatial_high(of_low), self.spatial_low(of_high)",
            "self.spatial_low(of_low), self.spatial_high(of_high)",
        ),
    ],
}
