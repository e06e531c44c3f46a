"""Parameters and FLOPs as the two papers count them, and their tables beside what comes out here.

Both papers used a tool, and each tool has its own idea of an operation. Written as rules by kind of layer they give
the printed numbers to the last digit, which is how the networks are known to be built as the authors built theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg import text
from edgeseg.models.attention import AAM, REDUCTION, SpatialAttention
from edgeseg.models.counts import Rule, count_by_rules, count_operations
from edgeseg.models.cross_cbam import SEASPP, CrossCBAM
from edgeseg.models.improved_hrnet import ImprovedHRNet, LayerScale, SlowBatchNorm
from edgeseg.models.layers import GlobalAvgPool, GlobalMaxPool
from edgeseg.models.peers import PrintedPeer
from edgeseg.models.registry import create_model
from edgeseg.models.weights import is_aux_key


@dataclass(frozen=True)
class TableRow:
    """One row of a paper's table beside what comes out here.

    Args:
        table: e.g. ``"Table 5"``.
        row: what distinguishes the row.
        paper: GFLOPs and million parameters, to the digit as printed; ``None``: the paper prints none.
        ours: the same from the built model, counted the paper's way.
        inference_params: parameters that inference really needs.
        note: what is wrong with the printed row, if anything.
    """

    table: str
    row: str
    paper: tuple[str, str] | None
    ours: tuple[float, float]
    inference_params: int
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Whether both numbers agree to the decimals that the paper prints; nothing printed agrees with anything."""
        if self.paper is None:
            return True
        return all(f"{ours:.{len(p.partition('.')[2])}f}" == p for p, ours in zip(self.paper, self.ours, strict=True))


def paper_tables() -> list[TableRow]:
    """Every count that the papers print: Tables 5 and 6 of Cross-CBAM, Tables III to V of Improved HRNet."""
    rows = []
    for table, switches, paper in _CROSS_CBAM:
        label = "M, " + ", ".join(f"{k} {v}" for k, v in switches.items())
        rows.append(_counted(table, label, CrossCBAM, 19, (512, 1024), switches, paper))
    for printed, classes, size in ((_ON_CITYSCAPES, 20, (512, 1024)), (_ON_VOC, 21, (512, 512))):
        for table, label, switches, paper, note in printed:
            rows.append(_counted(table, label, ImprovedHRNet, classes, size, switches, paper, note))
    for name in _FIG_6:
        label = f"HRNet + {name.upper()} at five places"
        rows.append(_counted("Fig. 6", label, ImprovedHRNet, 20, (512, 1024), {"attention": name}))
    return rows


def format_tables(rows: Sequence[TableRow]) -> str:
    """The rows as text, one line each: as printed, as counted here in the same way, and the true parameters."""
    notes = list(dict.fromkeys(r.note for r in rows if r.note))
    cells = []
    for r in rows:
        flops, params = r.paper or ("–", "–")
        note = f"[{notes.index(r.note) + 1}]" if r.note else ""
        remark = "  ".join(word for word in ("" if r.agrees else "differs", note) if word)
        true = f"{r.inference_params:,}"
        cells.append((f"{r.table}, {r.row}", flops, f"{r.ours[0]:.4f}", params, f"{r.ours[1]:.6f}", true, remark))
    head = ("", "GFLOPs", "here", "params M", "here", "true params", "")
    return "\n".join([text.table(head, cells, "<>>>>><"), *(f"[{i}] {note}" for i, note in enumerate(notes, 1))])


# Cross-CBAM -----------------------------------------------------------------------------------------------------------


def _conv_with_bias(conv: nn.Conv2d, _: Tensor, output: Tensor) -> int:
    return output.numel() * (conv.weight[0].numel() + (conv.bias is not None))


def _inputs(_: nn.Module, x: Tensor, __: Tensor) -> int:
    return x.numel()


def _outputs(_: nn.Module, __: Tensor, output: Tensor) -> int:
    return output.numel()


# mmcv 1.x's get_model_complexity_info on a network whose batch norms are SyncBN, which it does not know: they count 0.
MMCV_SYNCBN_RULES: Mapping[type[nn.Module], Rule] = {
    nn.Conv2d: _conv_with_bias,
    nn.ReLU: _outputs,
    nn.AvgPool2d: _inputs,
    GlobalAvgPool: _inputs,
    GlobalMaxPool: _inputs,
}


def count_as_cross_cbam_paper(model: CrossCBAM, size: tuple[int, int] = (512, 1024)) -> tuple[float, float]:
    """FLOPs and parameters as Tables 5 and 6 of the Cross-CBAM paper give them.

    "FLOPs" are multiply-adds by `MMCV_SYNCBN_RULES`. The parameters include the auxiliary head, which inference does
    without, and a classifier inside SE-ASPP that nothing uses; this package does not build it, so it is added here.

    Args:
        model: a `CrossCBAM` with its auxiliary head.
        size: (H, W) of the input.

    Returns:
        (GFLOPs, million parameters).

    Raises:
        ValueError: the model has no auxiliary head.
    """
    if model.aux_head is None:
        raise ValueError("the paper's parameters include the auxiliary head; build the model with aux=True")
    flops = count_by_rules(model, size, MMCV_SYNCBN_RULES)
    unused = 0
    if isinstance(model.context, SEASPP):
        unused = (model.context.squeeze.out_channels + 1) * model.num_classes
    return flops / 1e9, (sum(p.numel() for p in model.parameters()) + unused) / 1e6


# Improved HRNet -------------------------------------------------------------------------------------------------------


def _conv_without_bias(conv: nn.Conv2d, _: Tensor, output: Tensor) -> int:
    return output.numel() * conv.weight[0].numel()


def _norm(_: nn.Module, x: Tensor, __: Tensor) -> int:
    return 4 * x.numel()


def _pool(_: nn.Module, x: Tensor, output: Tensor) -> int:
    return x.numel() + output.numel()  # for every output its window, a fraction too, and a division


def _linear(linear: nn.Linear, _: Tensor, output: Tensor) -> int:
    return output.numel() * linear.in_features


# thop 0.1.1 in eval mode. It looks a layer's exact class up and finds neither the synchronised batch normalisation
# inside BFEM (here `SlowBatchNorm`) nor resizes, products and activations: they count 0. The paper doubles its result.
THOP_RULES: Mapping[type[nn.Module], Rule] = {
    nn.Conv2d: _conv_without_bias,
    nn.Conv1d: _conv_without_bias,
    nn.Linear: _linear,
    nn.BatchNorm2d: _norm,
    nn.LayerNorm: _norm,
    nn.AdaptiveAvgPool2d: _pool,
    GlobalAvgPool: _pool,
}


def count_as_improved_hrnet_paper(model: ImprovedHRNet, size: tuple[int, int] = (512, 1024)) -> tuple[float, float]:
    """FLOPs and parameters as Tables III, IV and V of the Improved HRNet paper give them.

    "FLOPs" are twice the operations of `THOP_RULES`. Parameters are those of layers that the tool knows: BFEM's batch
    normalisation and layer scales, 27,840 of them at width 48, are missing in the paper.

    Args:
        model: an `ImprovedHRNet`.
        size: (H, W) of the input.

    Returns:
        (GFLOPs, million parameters).
    """
    unseen = [m for m in model.modules() if isinstance(m, (SlowBatchNorm, LayerScale))]
    params = sum(p.numel() for p in model.parameters()) - sum(p.numel() for m in unseen for p in m.parameters())
    return 2 * count_by_rules(model, size, THOP_RULES) / 1e9, params / 1e6


def count_peer_as_improved_hrnet_paper(peer: PrintedPeer, size: tuple[int, int]) -> tuple[float, float]:
    """FLOPs and parameters of another network of Tables IV and V: the library's, and what differs.

    The libraries derive classes of their own from batch and layer normalisation, the paper's networks do not: here a
    derived class counts as what it is.

    Args:
        peer: one that a library has.
        size: (H, W) of the input.

    Returns:
        (GFLOPs, million parameters).
    """
    with torch.device("meta"):
        model = create_model(peer.name, peer.classes, **({"aux": True} if peer.aux else {}))
    rules = {type(m): r for m in model.modules() for layer, r in THOP_RULES.items() if isinstance(m, layer)}
    operations = count_by_rules(model, size, rules) + sum(d.operations_at(size) for d in peer.differs)
    params = sum(p.numel() for p in model.parameters()) + sum(d.params for d in peer.differs)
    return 2 * operations / 1e9, params / 1e6


# What the papers print ------------------------------------------------------------------------------------------------

# (table, switches, (GFLOPs, million parameters)): Cross-CBAM-M, 512×1024, 19 classes
_CROSS_CBAM: tuple[tuple[str, dict[str, Any], tuple[str, str]], ...] = (
    ("Table 5", {"dilations": (1, 3)}, ("11.31", "12.21")),
    ("Table 5", {"dilations": (2, 4)}, ("12.39", "14.31")),
    ("Table 5", {"dilations": (3, 5)}, ("12.39", "14.31")),
    ("Table 5", {"dilations": (1, 3, 5)}, ("12.52", "14.57")),
    ("Table 5", {"dilations": (2, 4, 6)}, ("13.60", "16.67")),
    ("Table 6", {"aspp_channels": 512}, ("14.77", "19.54")),
    ("Table 6", {"aspp_channels": 256}, ("11.31", "12.21")),
    ("Table 6", {"aspp_channels": 128}, ("9.67", "8.92")),
)

_ECA: dict[str, Any] = {"attention": "eca", "attention_at": "concat"}
_S: dict[str, Any] = {"bfem": True, "fusm": True, "ccsf": True, **_ECA}
_M: dict[str, Any] = {"fusm": True, "ccsf": True, "attention": "aam"}
_L: dict[str, Any] = {"fusm": True, "attention": "aam"}
_NO_TICK = "Table III prints this row without FUSM's tick; without FUSM it would be 84.862 M and 437.127 G"
_TRANSPOSED = "two digits transposed in print: M − L is one CCSF, 17.081 G in all other tables"
# (table, row, switches, (GFLOPs, million parameters), note): Table IV repeats rows of Table III
_Printed = tuple[tuple[str, str, dict[str, Any], tuple[str, str], str], ...]
_ON_CITYSCAPES: _Printed = (
    ("Tables III, IV", "HRNet", {}, ("376.184", "65.860"), ""),
    ("Table III", "+ BFEM", {"bfem": True}, ("402.918", "84.342"), ""),
    ("Table III", "+ ECA", _ECA, ("376.232", "65.860"), ""),
    ("Table III", "+ AAM", {"attention": "aam"}, ("376.291", "66.128"), ""),
    ("Table III", "+ FUSM", {"fusm": True}, ("384.996", "66.646"), ""),
    ("Table III", "+ FUSM + CCSF", {"fusm": True, "ccsf": True}, ("419.158", "67.166"), ""),
    ("Table III", "+ FUSM + CCSF + ECA", {"fusm": True, "ccsf": True, **_ECA}, ("419.205", "67.166"), ""),
    ("Tables III, IV", "HRNet_S", _S, ("445.939", "85.647"), _NO_TICK),
    ("Tables III, IV", "HRNet_L", _L, ("385.102", "66.914"), ""),
    ("Tables III, IV", "HRNet_M", _M, ("419.265", "67.434"), ""),
)
_ON_VOC: _Printed = (
    ("Table V", "HRNet", {}, ("188.116", "65.861"), ""),
    ("Table V", "HRNet_S", _S, ("222.993", "85.648"), ""),
    ("Table V", "HRNet_M", _M, ("209.674", "67.435"), ""),
    ("Table V", "HRNet_L", _L, ("192.529", "66.915"), _TRANSPOSED),
)
_FIG_6 = ("sp", "cbam", "aam", "se", "eca")  # the attention-selection experiment: no counts are printed for it


def _counted(
    table: str,
    row: str,
    network: type[CrossCBAM] | type[ImprovedHRNet],
    classes: int,
    size: tuple[int, int],
    switches: Mapping[str, Any],
    paper: tuple[str, str] | None = None,
    note: str = "",
) -> TableRow:
    """The network, built without values, counted as its paper does."""
    with torch.device("meta"):
        model = network(classes, **switches)
    if isinstance(model, CrossCBAM):
        ours = count_as_cross_cbam_paper(model, size)
    else:
        ours = count_as_improved_hrnet_paper(model, size)
    needed = sum(p.numel() for name, p in model.named_parameters() if not is_aux_key(name))
    return TableRow(table, row, paper, ours, needed, note)


# What AAM costs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttentionCost:
    """One term of the Improved HRNet paper's Eq. 6 or 7 beside what the built module does.

    Args:
        module: ``"AAM"`` or ``"spatial attention"``.
        term: ``"pooling"``, ``"convolution"``, ``"sigmoid"``, ``"product"``, or ``"other"``, left out by the paper.
        formula: operations by the equation.
        counted: by `edgeseg.models.counts.count_operations`.
        note: why they differ; empty where they do not.
    """

    module: str
    term: str
    formula: int
    counted: int
    note: str = ""


def attention_costs(channels: int, size: tuple[int, int]) -> list[AttentionCost]:
    """Eq. 6 and 7 of the Improved HRNet paper (section III-D): AAM against spatial attention, term by term.

    Both equations are called O(C·H·W), and 4 of these units for AAM against 6 are to show that it costs hardly more.
    Counted, AAM's two convolutions cost C times what Eq. 6 says, C² / r, which on the coarse, wide maps is more than
    all the rest; and spatial attention, whose convolution and sigmoid work on two maps and one, costs 3 units, not 6.

    Args:
        channels: C of the map; r is 8 there.
        size: (H, W) of the map.

    Returns:
        AAM's terms, then spatial attention's, with its 1×1 convolution.
    """
    height, width = size
    area, sides, hidden = height * width, height + width, channels // REDUCTION
    eq6 = {"pooling": 2 * channels * area, "convolution": 2 * hidden * sides, "sigmoid": channels * sides}
    eq7 = {"pooling": 2 * channels * area, "convolution": 2 * channels * area, "sigmoid": channels * area}
    with torch.device("meta"):
        aam, spatial = AAM(channels).eval(), SpatialAttention().eval()
    costs = []
    for name, run, formula in (
        ("AAM", aam, {**eq6, "product": 2 * channels * area}),
        ("spatial attention", lambda x: x * spatial(x), {**eq7, "product": channels * area}),
    ):
        for term, counted in count_operations(run, (1, channels, *size)).items():
            note = _COST_NOTES.get((name, term), "") if counted != formula.get(term, 0) else ""
            costs.append(AttentionCost(name, term, formula.get(term, 0), counted, note))
    return costs


_COST_NOTES = {
    ("AAM", "convolution"): "a 1×1 convolution from C to C/r channels takes C · C/r multiply-adds a place, not C/r",
    ("AAM", "other"): "normalisation and ReLU of the hidden layer",
    ("spatial attention", "convolution"): "it sees two maps, the maximum and the mean over the channels, not C",
    ("spatial attention", "sigmoid"): "there is one gate per pixel, not one per channel and pixel",
}
