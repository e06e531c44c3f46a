"""The way in for public ImageNet backbones: STDC's and HRNet's checkpoints, by documented tables of names.

Nothing is loaded by halves: an entry that is missing, superfluous or of another shape is an error that says which
network the checkpoint is for, unless ``partial=True`` asks for what fits. What was loaded and ignored is printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgeseg.models.hrnet import HRNet
from edgeseg.models.stdc import STDC
from edgeseg.models.weights import LoadReport, WeightError, read_public_checkpoint

_PREFIXES = ("module.", "cp.", "model.", "backbone.")  # of parallel wrappers and of whole networks
_OPTIONAL = "num_batches_tracked"  # absent from checkpoints of old PyTorch versions


def load_public_backbone(model: nn.Module, path: str | Path, partial: bool = False) -> LoadReport:
    """Load a public ImageNet checkpoint file into a model's backbone.

    Args:
        model: from `edgeseg.create_model`; its ``.backbone`` is filled in place.
        path: a file of the public STDC-Seg or HRNet repositories (read without running code), or of timm.
        partial: take what fits and leave the rest as it is.

    Returns:
        What was loaded, missing and ignored; it is printed too.

    Raises:
        WeightError: an unreadable file, weights of another network, or a model without such a backbone.
    """
    backbone = getattr(model, "backbone", None)
    state = read_public_checkpoint(path)
    if isinstance(backbone, STDC):
        return load_public_stdc(backbone, state, partial, str(path))
    if isinstance(backbone, HRNet):
        return load_public_hrnet(backbone, state, partial, str(path))
    raise WeightError(f"{path}: {type(model).__name__} has no STDC or HRNet backbone that it could go into")


# STDC -----------------------------------------------------------------------------------------------------------------


def load_public_stdc(
    backbone: STDC, state_dict: Mapping[str, Any], partial: bool = False, source: str = "public STDC checkpoint"
) -> LoadReport:
    """Load weights in the layout of the public STDC-Seg repository (github.com/MichaelFan01/STDC-Seg) into a backbone.

    ========================================  =======================================
    there                                     here
    ========================================  =======================================
    ``features.0.conv``, ``.bn``              ``stage1.conv``, ``.bn``
    ``features.1.conv``, ``.bn``              ``stage2.conv``, ``.bn``
    ``features.I.conv_list.J.conv``, ``.bn``  ``stageS.K.branch(J+1).conv``, ``.bn``
    ``features.I.avd_layer.0``, ``.1``        ``stageS.K.down.conv``, ``.bn``
    ========================================  =======================================

    ``features.2`` to ``.7`` (STDC1) or ``.13`` (STDC2) are the modules of stages 3, 4 and 5 in a row. Ignored: the
    ImageNet classifier (``conv_last``, ``fc``, ``bn``, ``linear``), the second names of the same layers (``x2`` …
    ``x32``) and a whole network's decoder. A nesting under ``"state_dict"`` and the prefixes ``module.``, ``cp.``,
    ``backbone.`` are taken off.

    Args:
        backbone: an `STDC` of the checkpoint's size, e.g. ``model.backbone``; filled in place.
        state_dict: from `edgeseg.models.weights.read_public_checkpoint`, or any mapping of names to tensors.
        partial: take what fits and leave the rest as it is.
        source: what to call the checkpoint in messages.

    Returns:
        What was loaded, missing and ignored; it is printed too.

    Raises:
        WeightError: entries missing, of another shape or of another STDC, unless ``partial``. Nothing is loaded then.
    """
    return _load(
        backbone,
        _bare(state_dict),
        _stdc_names(backbone),
        lambda key: key.startswith("features."),
        "STDC1 is STDCNet813, STDC2 is STDCNet1446, both at width 64",
        partial,
        source,
    )


def _stdc_names(backbone: STDC) -> dict[str, str]:
    """Our state entries → the public repository's names."""
    modules = [m for stage in (backbone.stage3, backbone.stage4, backbone.stage5) for m in stage]
    paths = {id(m): name for name, m in backbone.named_modules()}
    layers = {"stage1": "features.0", "stage2": "features.1"}
    down: dict[str, str] = {}
    for i, module in enumerate(modules, start=2):
        ours = paths[id(module)]
        layers |= {f"{ours}.branch{j + 1}": f"features.{i}.conv_list.{j}" for j in range(4)}
        down |= {f"{ours}.down.conv": f"features.{i}.avd_layer.0", f"{ours}.down.bn": f"features.{i}.avd_layer.1"}
    layers = {f"{a}.{part}": f"{b}.{part}" for a, b in layers.items() for part in ("conv", "bn")} | down
    entries = (key.rpartition(".") for key in backbone.state_dict())
    return {f"{layer}.{entry}": f"{layers[layer]}.{entry}" for layer, _, entry in entries}


# HRNet ----------------------------------------------------------------------------------------------------------------

# Our names → the public ones: each pattern is replaced wherever it stands, from top to bottom.
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
_HRNET_PARTS = ("conv1.", "conv2.", "bn1.", "bn2.", "layer1.", "transition", "stage")


def load_public_hrnet(
    backbone: HRNet, state_dict: Mapping[str, Any], partial: bool = False, source: str = "public HRNet checkpoint"
) -> LoadReport:
    """Load weights in the layout of the public HRNet repositories, which is also timm's, into a backbone.

    =============================================  ===================================================
    there                                          here
    =============================================  ===================================================
    ``conv1``, ``bn1``, ``conv2``, ``bn2``         ``stem1.conv``, ``stem1.bn``, ``stem2.conv``, ``stem2.bn``
    ``….convK``, ``….bnK`` of a residual block     ``….convK.conv``, ``….convK.bn``
    ``….downsample.0``, ``.1``                     ``….downsample.conv``, ``.bn``
    ``transition1.0.0``, ``.1``                    ``transition1.0.conv``, ``.bn``
    ``transitionT.J.0.0``, ``.0.1``                ``transitionT.J.conv``, ``.bn``
    ``stageS.M.fuse_layers.I.J.…0``, ``.…1``       ``stageS.M.exchange.paths.I.J.….conv``, ``.bn``
    =============================================  ===================================================

    Ignored: the ImageNet head (``incre_modules``, ``downsamp_modules``, ``final_layer``, ``classifier``) or a whole
    segmentation network's ``last_layer``. A nesting under ``"state_dict"`` and the prefixes ``module.``, ``model.``,
    ``backbone.`` are taken off.

    Args:
        backbone: an `HRNet` of the checkpoint's width and depth, e.g. ``model.backbone``; filled in place.
        state_dict: from `edgeseg.models.weights.read_public_checkpoint`, or any mapping of names to tensors.
        partial: take what fits and leave the rest as it is.
        source: what to call the checkpoint in messages.

    Returns:
        What was loaded, missing and ignored; it is printed too.

    Raises:
        WeightError: entries missing, of another width or depth, unless ``partial``. Nothing is loaded then.
    """
    given = _bare(state_dict)
    first = given.get("transition1.0.0.weight")
    width = f"width {len(first)}" if first is not None else "no known width"
    return _load(
        backbone,
        given,
        {key: _hrnet_name(key) for key in backbone.state_dict()},
        lambda key: key.startswith(_HRNET_PARTS),
        f"the checkpoint has {width}, this backbone width {backbone.channels[0]} (a switch of the hrnet models)",
        partial,
        source,
    )


def _hrnet_name(key: str) -> str:
    for pattern, theirs in _HRNET_NAMES:
        key = re.sub(pattern, theirs, key)
    return key


# both -----------------------------------------------------------------------------------------------------------------


def _load(
    backbone: nn.Module,
    given: Mapping[str, Tensor],
    theirs: Mapping[str, str],
    is_backbone: Callable[[str], bool],
    hint: str,
    partial: bool,
    source: str,
) -> LoadReport:
    """Fill a backbone; ``theirs`` names each of its entries as the checkpoint does."""
    own = backbone.state_dict()
    fits = {k: given[theirs[k]] for k in own if theirs[k] in given and given[theirs[k]].shape == own[k].shape}
    known = set(theirs.values())
    report = LoadReport(
        source=source,
        loaded=list(fits),
        missing=[k for k in own if k not in fits and not k.endswith(_OPTIONAL)],
        ignored=[k for k in given if k not in known],
    )
    surplus = [k for k in report.ignored if is_backbone(k)]
    if (report.missing or surplus) and not partial:
        raise WeightError(
            f"{report}: not the weights of this backbone ({len(surplus)} entries too many): {hint}. Build the one that "
            "the checkpoint is for, or take what fits with partial=True"
        )
    backbone.load_state_dict(fits, strict=False)
    print(report)
    return report


def _bare(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors by name, without nesting and prefixes."""
    return {_bare_key(k): v for k, v in dict(state_dict.get("state_dict", state_dict)).items()}


def _bare_key(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key
