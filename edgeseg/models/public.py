"""The way in for public ImageNet backbones: STDC's, HRNet's and other libraries' checkpoints, by tables of names.

Nothing is loaded by halves: an entry that is missing, superfluous or of another shape is an error that says which
network the checkpoint is for. What was loaded and ignored is printed.

STDC: the layout of the STDC-Seg repository (github.com/MichaelFan01/STDC-Seg).

========================================  =======================================
there                                     here
========================================  =======================================
``features.0.conv``, ``.bn``              ``stage1.conv``, ``.bn``
``features.1.conv``, ``.bn``              ``stage2.conv``, ``.bn``
``features.I.conv_list.J.conv``, ``.bn``  ``stageS.K.branch(J+1).conv``, ``.bn``
``features.I.avd_layer.0``, ``.1``        ``stageS.K.down.conv``, ``.bn``
========================================  =======================================

``features.2`` to ``.7`` (STDC1) or ``.13`` (STDC2) are the modules of stages 3, 4 and 5 in a row. Ignored: the ImageNet
classifier (``conv_last``, ``fc``, ``bn``, ``linear``), the second names of the same layers (``x2`` … ``x32``) and a
whole network's decoder.

HRNet: the layout of the public HRNet repositories, which is also timm's.

=============================================  =========================================================
there                                          here
=============================================  =========================================================
``conv1``, ``bn1``, ``conv2``, ``bn2``         ``stem1.conv``, ``stem1.bn``, ``stem2.conv``, ``stem2.bn``
``….convK``, ``….bnK`` of a residual block     ``….convK.conv``, ``….convK.bn``
``….downsample.0``, ``.1``                     ``….downsample.conv``, ``.bn``
``transition1.0.0``, ``.1``                    ``transition1.0.conv``, ``.bn``
``transitionT.J.0.0``, ``.0.1``                ``transitionT.J.conv``, ``.bn``
``stageS.M.fuse_layers.I.J.…0``, ``.…1``       ``stageS.M.exchange.paths.I.J.….conv``, ``.bn``
=============================================  =========================================================

Ignored: the ImageNet head (``incre_modules``, ``downsamp_modules``, ``final_layer``, ``classifier``) or a whole
segmentation network's ``last_layer``.

Other people's networks (`edgeseg.models.peers`): their encoders take the files of the libraries that they come from.

==========================================================  ================================
there                                                       here
==========================================================  ================================
torchvision's ResNet and MobileNetV2, NVIDIA's MiT: ``…``   ``…``
torchvision's MobileNetV3: ``features.…``                   ``…``
timm's: ``blocks.1.…``, ``stem.0.…``, ``conv_stem``         ``model.blocks_1.…`` or ``model.blocks.1.…``, …
==========================================================  ================================

Ignored: the ImageNet head (``fc``, ``classifier``, ``head``, ``conv_head``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from edgeseg.models.hrnet import HRNet
from edgeseg.models.peers import Peer
from edgeseg.models.stdc import STDC
from edgeseg.models.weights import LoadReport, WeightError, read_public_checkpoint

_PREFIXES = ("module.", "cp.", "model.", "backbone.")  # of parallel wrappers and of whole networks
_OPTIONAL = "num_batches_tracked"  # absent from checkpoints of old PyTorch versions
_STDC_PARTS = ("features.",)
_HRNET_PARTS = ("conv1.", "conv2.", "bn1.", "bn2.", "layer1.", "transition", "stage")
_HEADS = ("fc.", "classifier.", "head.", "conv_head.")  # of other libraries' classification networks
# HRNet's names here → there: each pattern is replaced wherever it stands, from top to bottom.
_HRNET_NAMES = (
    (r"^stem(\d)\.conv\.", r"conv\1."),
    (r"^stem(\d)\.bn\.", r"bn\1."),
    (r"\.conv(\d)\.conv\.", r".conv\1."),
    (r"\.conv(\d)\.bn\.", r".bn\1."),
    (r"\.exchange\.paths\.", ".fuse_layers."),
    (r"^(transition\d\.[1-9])\.", r"\1.0."),
    (r"\.conv\.", ".0."),
    (r"\.bn\.", ".1."),
)


def load_public_backbone(model: nn.Module, path: str | Path) -> LoadReport:
    """Load a public ImageNet checkpoint file into a model's backbone.

    Args:
        model: from `edgeseg.create_model`; its ``.backbone`` is filled in place.
        path: a file of the public STDC-Seg or HRNet repositories (read without running code), of timm or torchvision.

    Returns:
        What was loaded, missing and ignored; it is printed too.

    Raises:
        WeightError: an unreadable file, weights of another network, or a model without such a backbone.
    """
    backbone = getattr(model, "backbone", None)
    if isinstance(model, Peer):
        return load_public_state(model.backbone, read_public_checkpoint(path), str(path), model.encoder)
    if not isinstance(backbone, STDC | HRNet):
        raise WeightError(f"{path}: {type(model).__name__} has no STDC or HRNet backbone that it could go into")
    return load_public_state(backbone, read_public_checkpoint(path), str(path))


def load_public_state(
    backbone: nn.Module, state_dict: Mapping[str, Tensor], source: str = "public checkpoint", encoder: str = ""
) -> LoadReport:
    """Load weights in the layout of the public repositories into a backbone; see this module's tables.

    Args:
        backbone: an STDC, an HRNet or a peer's, of the checkpoint's kind and size; filled in place.
        state_dict: names to tensors. The prefixes ``module.``, ``cp.``, ``model.`` and ``backbone.`` are taken off.
        source: what to call the checkpoint in messages.
        encoder: what the backbone is called in its library, for messages, where it is a peer's.

    Returns:
        What was loaded, missing and ignored; it is printed too.

    Raises:
        WeightError: entries missing, too many, or of another shape. Nothing is loaded then.
    """
    given = {_bare(k): v for k, v in state_dict.items()}
    own = backbone.state_dict()
    theirs = _names(backbone)
    fits = {k: given[theirs[k]] for k in own if theirs[k] in given and given[theirs[k]].shape == own[k].shape}
    known = set(theirs.values())
    report = LoadReport(
        source=source,
        loaded=list(fits),
        missing=[k for k in own if k not in fits and not k.endswith(_OPTIONAL)],
        ignored=[k for k in given if k not in known],
    )
    surplus = [k for k in report.ignored if _belongs(k, backbone)]
    if report.missing or surplus:
        raise WeightError(
            f"{report}: not the weights of this backbone ({len(surplus)} entries too many): "
            f"{_sizes(backbone, given, encoder)}. Build the one that the checkpoint is for"
        )
    backbone.load_state_dict(fits, strict=False)
    print(report)
    return report


def _bare(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _belongs(key: str, backbone: nn.Module) -> bool:
    """Whether a checkpoint's entry is a backbone's, and no head's."""
    if isinstance(backbone, STDC | HRNet):
        return key.startswith(_STDC_PARTS if isinstance(backbone, STDC) else _HRNET_PARTS)
    return not key.startswith(_HEADS)


def _names(backbone: nn.Module) -> dict[str, str]:
    """State entries here → there."""
    if isinstance(backbone, STDC):
        return _stdc_names(backbone)
    name = _hrnet_name if isinstance(backbone, HRNet) else _library_name
    return {key: name(key) for key in backbone.state_dict()}


def _library_name(key: str) -> str:
    if key[0].isdecimal():  # torchvision numbers the parts of MobileNetV3's `features`
        return f"features.{key}"
    return re.sub(r"_(\d+)\.", r".\1.", key.removeprefix("model."))  # timm's under segmentation_models_pytorch


def _stdc_names(backbone: STDC) -> dict[str, str]:
    """STDC's state entries here → there."""
    layers = {"stage1": "features.0", "stage2": "features.1"}
    down: dict[str, str] = {}
    stages = [(f"stage{s}", getattr(backbone, f"stage{s}")) for s in (3, 4, 5)]
    modules = [f"{stage}.{k}" for stage, blocks in stages for k in range(len(blocks))]
    for i, ours in enumerate(modules, start=2):
        layers |= {f"{ours}.branch{j + 1}": f"features.{i}.conv_list.{j}" for j in range(4)}
        down |= {f"{ours}.down.conv": f"features.{i}.avd_layer.0", f"{ours}.down.bn": f"features.{i}.avd_layer.1"}
    layers = {f"{a}.{part}": f"{b}.{part}" for a, b in layers.items() for part in ("conv", "bn")} | down
    entries = (key.rpartition(".") for key in backbone.state_dict())
    return {f"{layer}.{entry}": f"{layers[layer]}.{entry}" for layer, _, entry in entries}


def _hrnet_name(key: str) -> str:
    for pattern, theirs in _HRNET_NAMES:
        key = re.sub(pattern, theirs, key)
    return key


def _sizes(backbone: nn.Module, given: Mapping[str, Tensor], encoder: str) -> str:
    """Which network the checkpoint is for, and which this one is."""
    if not isinstance(backbone, STDC | HRNet):
        return f"this one is {encoder}"
    if isinstance(backbone, STDC):
        return "STDC1 is STDCNet813, STDC2 is STDCNet1446, both at width 64"
    first = given.get("transition1.0.0.weight")
    width = f"width {len(first)}" if first is not None else "no known width"
    return f"the checkpoint has {width}, this backbone width {backbone.channels[0]} (a switch of the hrnet models)"
