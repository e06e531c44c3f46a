"""Names to networks: the one table, and `create_model`.

An architecture is named ``cross_cbam_m``; a trained weight for it ``cross_cbam_m.streets``. A record of a weight brings
its own switches and class count, so that the second name alone rebuilds the network.
"""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from edgeseg.models.baselines import STDCFCN, PPLiteSeg, STDCSeg
from edgeseg.models.cross_cbam import CrossCBAM
from edgeseg.models.improved_hrnet import ImprovedHRNet
from edgeseg.models.peers import SMP, TORCHVISION, SMPNetwork, TorchvisionNetwork
from edgeseg.models.weights import load_weights, read_weights
from edgeseg.models.zoo import find_weights, list_weights
from edgeseg.text import Field, unknown

DEFAULT_CLASSES = 19
SUFFIX = ".safetensors"
# Switches that change what training sees and never what inference computes: a trained weight may be opened with others.
TRAINING_SWITCHES = frozenset({"aux", "aux_boundary", "dropout", "checkpointing"})


class UnknownModelError(ValueError):
    """A model, weight or switch that does not exist; the message lists those that do, the near ones first."""


# A constructor's type → what `Field` takes; a weight file's JSON brings lists.
_KINDS = {Sequence[int]: tuple[int, ...], Sequence[int] | None: tuple[int, ...] | None}


@dataclass(frozen=True)
class Arch:
    """How one architecture is built.

    Args:
        build: the network's class; its constructor takes ``num_classes`` and switches.
        fixed: the switches that make this name what it is, and that a caller cannot change.
        package: the library that builds it, somebody else's; empty for the networks of this package.
        defaults: of switches, where they are not the constructor's.
    """

    build: type[nn.Module]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    package: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def switches(self) -> dict[str, Field]:
        """The switches a caller may set: type, as the constructor has it, and default."""
        parameters = inspect.signature(self.build, eval_str=True).parameters.values()
        free = [p for p in parameters if p.name != "num_classes" and p.name not in self.fixed]
        return {p.name: _switch(p.annotation, self.defaults.get(p.name, p.default)) for p in free}

    def why_not(self) -> str | None:
        """Why it cannot be built here, with the pip line; ``None`` if it can."""
        if self.package and find_spec(self.package) is None:
            return f'it needs {self.package}: pip install "edgeseg[peers]"'
        return None


def _switch(kind: Any, default: Any) -> Field:
    """Whole numbers are widths and counts, from 1 to what no machine trains; the others are probabilities."""
    if kind is float:
        return Field(kind, default, 0, 1)
    return Field(_KINDS.get(kind, kind), default, low=1, high=4096)


_HRNET_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "hrnet": {},
    "hrnet_s": {"bfem": True, "fusm": True, "ccsf": True, "attention": "eca", "attention_at": "concat"},
    "hrnet_m": {"bfem": False, "fusm": True, "ccsf": True, "attention": "aam", "attention_at": "all"},
    "hrnet_l": {"bfem": False, "fusm": True, "ccsf": False, "attention": "aam", "attention_at": "all"},
}

_LITE = "efficientnet_lite0"

ARCHS: Mapping[str, Arch] = MappingProxyType(
    {
        "cross_cbam_m": Arch(CrossCBAM, {"backbone": "stdc1"}),
        "cross_cbam_l": Arch(CrossCBAM, {"backbone": "stdc2"}),
        # not the paper's: its decoder, narrow and of one width, on a backbone with public weights, and on any
        "cross_cbam_s": Arch(CrossCBAM, {"backbone": _LITE, "one_width": True}, defaults={"aspp_channels": 96}),
        "cross_cbam": Arch(CrossCBAM, {"one_width": True}, defaults={"aspp_channels": 96, "backbone": _LITE}),
        "stdc1_fcn": Arch(STDCFCN, {"backbone": "stdc1"}),
        "stdc2_fcn": Arch(STDCFCN, {"backbone": "stdc2"}),
        "stdc1_seg": Arch(STDCSeg, {"backbone": "stdc1"}),
        "stdc2_seg": Arch(STDCSeg, {"backbone": "stdc2"}),
        "pp_liteseg_t": Arch(PPLiteSeg, {"backbone": "stdc1"}),
        "pp_liteseg_b": Arch(PPLiteSeg, {"backbone": "stdc2"}),
        **{name: Arch(ImprovedHRNet, fixed) for name, fixed in _HRNET_VARIANTS.items()},
        **{f"{name}_w18": Arch(ImprovedHRNet, {**fixed, "width": 18}) for name, fixed in _HRNET_VARIANTS.items()},
        **{name: Arch(TorchvisionNetwork, {"network": name}, "torchvision") for name in TORCHVISION},
        **{name: Arch(SMPNetwork, {"network": name}, "segmentation_models_pytorch") for name in SMP},
    }
)


def list_models(pattern: str = "*") -> list[str]:
    """Names that `create_model` knows: architectures, then weights that are present or can be fetched.

    Args:
        pattern: a shell-style pattern such as ``"cross_cbam*"``.
    """
    return [name for name in (*sorted(ARCHS), *list_weights()) if fnmatch.fnmatchcase(name, pattern)]


def create_model(
    name: str, num_classes: int | None = None, *, new_head: bool = False, verbose: bool = False, **switches: Any
) -> nn.Module:
    """Build a network, with its trained weight where the name has one.

    Args:
        name: ``"cross_cbam_m"`` (fresh), ``"cross_cbam_m.streets"`` (trained), or a weight file ``"….safetensors"``.
        num_classes: 19 where not given; a trained weight brings its own.
        new_head: with a trained weight: start the classifiers anew, for other classes (fine-tuning).
        verbose: with a trained weight: print what was loaded, is new and is missing; always done with ``new_head``.
        switches: the architecture's own, e.g. ``dilations=(1, 3), aspp_channels=256``.

    Returns:
        The module, in train mode as every new module. It carries ``arch``, ``switches`` and ``num_classes``; with a
        trained weight and its own head also ``meta``, the weight's description (classes, preprocessing, provenance).

    Raises:
        UnknownModelError: an unknown name or switch, or a switch that the name or the weight has settled.
        ValueError: a switch's value is of another type, or one that the network cannot be built with.
        WeightError: a weight that is damaged, or has another class count while ``new_head`` is off.
        ImportError: the library that builds this network is missing.
    """
    if name.endswith(SUFFIX):
        return _from_file(Path(name), name, num_classes, new_head, verbose, switches)
    arch, _, tag = name.partition(".")
    if arch not in ARCHS:
        raise UnknownModelError(f"{unknown('model', name, list_models())}; a weight file ends in {SUFFIX}")
    if tag:
        if name not in list_weights():
            missing = unknown("weight", name, list_models(f"{arch}*"))
            raise UnknownModelError(f"{missing}. Others come in by: edgeseg weights import FOLDER")
        return _from_file(find_weights(name), name, num_classes, new_head, verbose, switches)
    if new_head:
        raise UnknownModelError(f"{name} is no trained weight, so its head is new anyway; leave new_head out")
    return _build(arch, DEFAULT_CLASSES if num_classes is None else num_classes, switches)


def _from_file(
    path: Path, name: str, num_classes: int | None, new_head: bool, verbose: bool, switches: Mapping[str, Any]
) -> nn.Module:
    meta, state = read_weights(path)
    arch = meta["arch"]
    if arch not in ARCHS:
        raise UnknownModelError(f"{path}: made for a later version; {unknown('architecture', arch, ARCHS)}")
    refuse_other_switches(name, arch, meta["switches"], switches)
    classes = meta["num_classes"] if num_classes is None else num_classes
    try:
        model = _build(arch, classes, {**meta["switches"], **switches})
    except ValueError as error:
        raise type(error)(f"{path}: {error}") from error
    load_weights(model, state, new_head=new_head, source=path, verbose=verbose or new_head)
    if not new_head:
        model.meta = meta  # type: ignore[assignment]
    return model


def _build(name: str, num_classes: int, switches: Mapping[str, Any]) -> nn.Module:
    arch = ARCHS[name]
    if reason := arch.why_not():
        raise ImportError(f"{name}: {reason}")
    Field(int, DEFAULT_CLASSES, low=1).check("num_classes", num_classes)
    valid = arch.switches
    for key, value in switches.items():
        if key in arch.fixed:
            raise UnknownModelError(f"{name} has {key}={arch.fixed[key]!r} for good; {_same_family(name, key)}")
        if key not in valid:
            raise UnknownModelError(f"{name}: {unknown('switch', key, valid)}")
        valid[key].check(key, value)
    model = arch.build(num_classes=num_classes, **{**arch.defaults, **arch.fixed, **switches})
    model.arch, model.switches = name, dict(switches)  # type: ignore[assignment]
    return model


def refuse_other_switches(name: str, arch: str, trained: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse switches that a weight was not trained with, but for those of `TRAINING_SWITCHES`.

    Args:
        name: of the weight, for the message.
        arch: its architecture.
        trained: the switches that it brings.
        asked: those that are wanted.

    Raises:
        UnknownModelError: names the switch and what the weight has.
    """
    used = {key: switch.default for key, switch in ARCHS[arch].switches.items()} | dict(trained)
    for key in asked.keys() & used.keys() - TRAINING_SWITCHES:
        if _as_json(asked[key]) != _as_json(used[key]):
            raise UnknownModelError(
                f"{name} was trained with {key}={used[key]!r}; leave {key} out, or build the architecture anew"
            )


def _as_json(value: Any) -> Any:
    """A switch's value as a weight file gives it back: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value


def _same_family(name: str, key: str) -> str:
    mine = ARCHS[name]
    others = {n: a for n, a in ARCHS.items() if a.build is mine.build and a.fixed.get(key) != mine.fixed[key]}
    named = [f"for {a.fixed[key]!r} take {n}" for n, a in others.items() if key in a.fixed]
    free = [n for n, a in others.items() if key in a.switches]
    return "; ".join(named + [f"it is a switch of {n}" for n in free[:1]]) or "leave it out"
