"""Count every network that has a name, and write what `edgeseg models` and docs/networks.md show.

    python benchmarks/networks.py              edgeseg/models/networks.json and the page; needs the extra peers
    python benchmarks/networks.py --check      nothing is written; fails where either is not what would be written

Counting builds each network without values and runs it on shapes, which takes seconds a network; the command is to
answer at once. Hence a file, and a test that holds it to the networks (tests/test_networks.py).
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from edgeseg.cli.info import COUNTED
from edgeseg.files import write_text
from edgeseg.models.baselines import STDCFCN, PPLiteSeg, STDCSeg
from edgeseg.models.counts import count
from edgeseg.models.cross_cbam import CrossCBAM
from edgeseg.models.improved_hrnet import ImprovedHRNet
from edgeseg.models.peers import SMP, SMPNetwork, TorchvisionNetwork
from edgeseg.models.registry import ARCHS, DEFAULT_CLASSES, create_model

PAGE = Path(__file__).parent.parent / "docs" / "networks.md"
SIZE = (512, 1024)

FAMILIES: Mapping[type[nn.Module], tuple[str, str]] = {
    CrossCBAM: (
        "Cross-CBAM",
        "Zhang et al., Cross-CBAM: A Lightweight network for Scene Segmentation, "
        "[arXiv:2306.02306](https://arxiv.org/abs/2306.02306)",
    ),
    ImprovedHRNet: (
        "HRNet and Improved HRNet",
        "Feng and Zhong, Backbone Feature Enhancement and Decoder Improvement in HRNet for Semantic Segmentation; "
        "HRNetV2 itself: Wang et al., [arXiv:1908.07919](https://arxiv.org/abs/1908.07919)",
    ),
    STDCFCN: ("STDC with an FCN head", "The baseline of the Cross-CBAM paper's Table 4"),
    STDCSeg: ("STDC-Seg", "Fan et al., Rethinking BiSeNet for Real-time Semantic Segmentation, CVPR 2021"),
    PPLiteSeg: ("PP-LiteSeg", "Peng et al., PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model, 2022"),
    TorchvisionNetwork: (
        "From torchvision",
        "LR-ASPP: Howard et al., Searching for MobileNetV3, ICCV 2019; DeepLabV3: Chen et al., 2017",
    ),
    SMPNetwork: ("From segmentation_models_pytorch", "Each network's own; built as that library builds it"),
}
"""Class that builds it → heading, and the paper."""

ABOUT = {
    "cross_cbam_m": "the paper's M: STDC1, SE-ASPP and two CCBAMs",
    "cross_cbam_l": "the paper's L: STDC2, SE-ASPP and two CCBAMs",
    "cross_cbam_s": "small: the paper's decoder, of one width, on EfficientNet-Lite0; not in the paper",
    "cross_cbam": "the same decoder on any backbone; not in the paper",
    "hrnet": "HRNetV2-W48, what the paper starts from",
    "hrnet_s": "the paper's S, for the lower size",
    "hrnet_m": "the paper's M",
    "hrnet_l": "the paper's L, for the higher size",
    "hrnet_w18": "HRNetV2-W18",
    "hrnet_s_w18": "S at width 18",
    "hrnet_m_w18": "M at width 18",
    "hrnet_l_w18": "L at width 18",
    "stdc1_fcn": "STDC1",
    "stdc2_fcn": "STDC2",
    "stdc1_seg": "STDC1-Seg",
    "stdc2_seg": "STDC2-Seg",
    "pp_liteseg_t": "T, on STDC1",
    "pp_liteseg_b": "B, on STDC2",
    "lraspp_mobilenet_v3": "LR-ASPP on MobileNetV3-Large",
    "deeplabv3_mobilenet_v3": "DeepLabV3 on MobileNetV3-Large",
    **{name: f"{network} on {encoder.removeprefix('tu-')}" for name, (network, encoder, _) in SMP.items()},
}
"""What each name is."""

HEAD = f"""# Every network

<!-- made by benchmarks/networks.py: change that, not this -->

What `create_model` and `edgeseg models` know by name. Parameters are those of inference, in millions, at
{DEFAULT_CLASSES} classes; GMAC are 10⁹ multiply-adds of convolutions and matrix products for one image of
{SIZE[0]}×{SIZE[1]} (height × width), biases left out. Some papers call this number FLOPs, others twice of it.
*Settled* is what makes a name what it is. A switch that the name does not settle is the caller's:
`create_model("hrnet", width=32)`, or `switches={{'width': 32}}` in a recipe.
"""


def main() -> None:
    """Write both files, or compare them."""
    counted = {name: counts(name) for name in tqdm(sorted(ARCHS), desc="counting", unit="network")}
    written = {COUNTED: as_json(counted), PAGE: page(counted)}
    for path, text in written.items():
        if "--check" not in sys.argv:
            write_text(path, text)
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is not what the networks give; write it: python benchmarks/networks.py")


def counts(name: str) -> dict[str, int]:
    """Parameters of inference and multiply-adds of a named network at `SIZE`."""
    with torch.device("meta"):
        found = count(create_model(name), SIZE)
    return {"params": found.params, "macs": found.macs}


def as_json(counted: Mapping[str, Mapping[str, int]]) -> str:
    """The file that `edgeseg models` reads: one network a line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(counted[name])}" for name in sorted(counted))
    return f'{{\n "size": {list(SIZE)},\n "classes": {DEFAULT_CLASSES},\n "networks": {{\n{lines}\n }}\n}}\n'


def page(counted: Mapping[str, Mapping[str, int]]) -> str:
    """The whole of docs/networks.md."""
    return "\n".join([HEAD, *(family(kind, counted) for kind in FAMILIES)])


def family(kind: type[nn.Module], counted: Mapping[str, Mapping[str, int]]) -> str:
    """The networks that one class builds, the paper and the switches."""
    title, paper = FAMILIES[kind]
    names = [name for name in ABOUT if ARCHS[name].build is kind]
    rows = [
        (f"`{name}`", ABOUT[name], settled(name), f"{counted[name]['params'] / 1e6:.4f}",
         f"{counted[name]['macs'] / 1e9:.3f}")
        for name in names
    ]  # fmt: skip
    switches = {switch for name in names for switch in ARCHS[name].switches}
    order = [s for s in inspect.signature(kind).parameters if s in switches]
    shown = ", ".join(f"`{switch}` ({defaults(switch, names)})" for switch in order)
    package = ARCHS[names[0]].package
    note = f" Needs {package}: `pip install 'edgeseg[peers]'`." if package else ""
    return f"""## {title}

{paper}.{note}

{_table(("name", "what it is", "settled", "parameters M", "GMAC"), rows)}

Switches and their defaults: {shown}.
"""


def defaults(switch: str, names: Sequence[str]) -> str:
    """The default of a switch, and the names that have another: ``256, 96 in cross_cbam_s``."""
    having: dict[str, list[str]] = {}
    for name in names:
        if switch in ARCHS[name].switches:
            having.setdefault(value(ARCHS[name].switches[switch].default), []).append(f"`{name}`")
    usual, *others = having
    return "; ".join([usual, *(f"{other} in {', '.join(having[other])}" for other in others)])


def settled(name: str) -> str:
    """The switches that a name settles, but for those that only repeat it."""
    return ", ".join(f"{key}={value(v)}" for key, v in ARCHS[name].fixed.items() if key != "network") or "–"


def value(given: Any) -> str:
    """A switch's value as a command line takes it."""
    if isinstance(given, tuple | list):
        return ",".join(map(str, given))
    return str(given).lower() if given is None or isinstance(given, bool) else str(given)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", "---", "---", "---:", "---:"], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
