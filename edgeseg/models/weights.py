"""Weight files: safetensors only, hash checked, classes checked.

A weight file describes itself: beside the tensors, its header's ``edgeseg`` entry holds a JSON with the architecture,
its switches, the classes (names and colours) and the preprocessing. Its record is the business of
`edgeseg.models.zoo`. Pickles (``.pth``, ``.pt``, ``.tar``) can run code when opened, so they are
refused. The one door for public backbones is `read_public_checkpoint`, which lets torch's restricted unpickler read
tensors and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from edgeseg.files import atomic_write, parse_json
from edgeseg.models.layers import init_weights
from edgeseg.text import first_few

META_KEY = "edgeseg"
AUX_SWITCHES = {"aux": "aux_head", "aux_boundary": "aux_boundary"}  # switch → the module that it builds
State = Mapping[str, Tensor]


class WeightError(ValueError):
    """A weight that cannot be used; the message names the file and the cure."""


@dataclass(frozen=True)
class LoadReport:
    """What a load did, as names of state entries.

    Args:
        source: the file, or what else the tensors came from.
        loaded: taken over.
        new: classifiers of the model that start anew because that was asked for.
        missing: needed by the model and not found: they keep the values they had.
        ignored: found, with no place in the model.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = ((k, getattr(self, k)) for k in ("loaded", "new", "missing", "ignored"))
        counts = ", ".join(f"{k} {len(v)}{_sample(v) if k != 'loaded' else ''}" for k, v in parts)
        return f"{self.source}: {counts}"


def weight_meta(
    names: Sequence[str],
    colors: Sequence[Sequence[int]],
    table: str,
    mean: Sequence[float],
    std: Sequence[float],
    input_size: Sequence[int] | None = None,
    **provenance: Any,
) -> dict[str, Any]:
    """The part of a weight file's description that the model itself does not know.

    Args:
        names: the class names, in the order of the logits.
        colors: one RGB colour for each.
        table: the class table's short name.
        mean: per-channel mean subtracted from RGB in 0…1.
        std: per-channel divisor, likewise.
        input_size: (H, W) that images are resized to before the network, or ``None`` for their own size.
        provenance: anything else worth keeping, JSON-able: recipe, data, seed, commit.
    """
    classes = [{"name": n, "color": [int(v) for v in c]} for n, c in zip(names, colors, strict=True)]
    size = None if input_size is None else [int(v) for v in input_size]
    preprocessing = {"mean": [float(v) for v in mean], "std": [float(v) for v in std], "input_size": size}
    return {"classes": classes, "table": table, **preprocessing, "provenance": provenance}


def save_weights(
    path: str | Path,
    model: nn.Module,
    meta: Mapping[str, Any],
    dtype: torch.dtype | None = None,
    drop_aux: bool = False,
) -> str:
    """Write a self-describing weight file, atomically.

    Args:
        path: target, ``*.safetensors``.
        model: from `edgeseg.create_model`, which knows its name and switches.
        meta: from `weight_meta`.
        dtype: e.g. ``torch.float16`` halves the file: tensors of two or more dimensions are stored so. The others
            (batch norm's statistics, biases) are a percent of the file, and a variance may leave half precision's
            range.
        drop_aux: leave the training-only heads out; the file then rebuilds a model without them.

    Returns:
        The file's SHA-256, for its record.

    Raises:
        WeightError: a description that does not fit the model, or a value that is not finite in ``dtype``.
    """
    meta = {**meta, **{k: getattr(model, k) for k in ("arch", "switches", "num_classes") if hasattr(model, k)}}
    _check_meta(meta, path)
    state = model.state_dict()
    if drop_aux:
        state = {k: v for k, v in state.items() if not is_aux_key(k)}
        meta["switches"] = {**meta["switches"], **{k: False for k in AUX_SWITCHES if hasattr(model, AUX_SWITCHES[k])}}
    tensors = {k: _stored(k, v, dtype, path) for k, v in state.items()}
    digest = _data_digest(tensors_to_bytes(tensors))
    blob = tensors_to_bytes(tensors, {META_KEY: json.dumps({**meta, "data_sha256": digest})})
    with atomic_write(path) as file:
        file.write(blob)
    return hashlib.sha256(blob).hexdigest()


def read_weights(path: str | Path, sha256: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a weight file.

    Args:
        path: a file of `save_weights`.
        sha256: the hash it must have, where one is known. The tensors' own hash, kept in the header, is checked always.

    Returns:
        The description (``arch``, ``switches``, ``num_classes``, ``classes``, ``table``, ``mean``, ``std``,
        ``input_size``, ``provenance``) and the state entries by name.

    Raises:
        WeightError: missing, cut short, changed, a pickle, a training checkpoint, or no weight of edgeseg.
    """
    return weights_from_bytes(_read_bytes(path), path, sha256)


def weights_from_bytes(
    blob: bytes, path: str | Path, sha256: str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A weight file's content, checked as `read_weights` does; ``path`` is what messages call it."""
    # bytes 0 to 7 of safetensors are a length and may be anything, also a pickle's first ones; byte 8 is always "{"
    if blob[8:9] != b"{" and blob.startswith((b"PK", b"\x80")):
        raise WeightError(
            f"{path}: a pickle, which can run code when it is opened, and is refused; give a .safetensors file (public "
            "ImageNet backbones come in through edgeseg.models.public.load_public_backbone)"
        )
    if sha256 is not None and hashlib.sha256(blob).hexdigest() != sha256:
        raise WeightError(f"{path}: its SHA-256 is not the recorded {sha256}; delete it and fetch or copy it again")
    state = _tensors(blob, path)
    meta = _description(blob, path)
    if "arch" not in meta:
        raise WeightError(
            f"{path}: a training checkpoint (weights, optimiser and counters), no weight; take the weight file that "
            "the run wrote beside it, or resume the run with it"
        )
    _check_meta(meta, path)
    if meta.pop("data_sha256", None) != _data_digest(blob):
        raise WeightError(f"{path}: its tensors are not those that were saved; delete it and fetch or copy it again")
    for key, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise WeightError(f"{path}: {key} holds values that are not finite; train it again, or take another weight")
    return meta, state


def load_weights(
    model: nn.Module,
    weights: str | Path | State,
    new_head: bool = False,
    *,
    source: str | Path | None = None,
    verbose: bool = True,
) -> LoadReport:
    """Load a weight file or a state into a model, whatever their float types are.

    Training-only heads may be absent on either side: a weight file usually drops them.

    Args:
        model: the model, filled in place.
        weights: a file of `save_weights`, or its state entries.
        new_head: start every classifier anew, also where its shape would fit: other classes, other meaning.
        source: what to call the weights in messages, where ``weights`` is a state.
        verbose: print the report.

    Returns:
        The names of what was loaded, is new, is missing and was ignored.

    Raises:
        WeightError: another class count, or entries missing, too many or of another shape. The model is then unchanged.
    """
    if isinstance(weights, (str, Path)):
        source, (_, weights) = weights, read_weights(weights)
    name = str(source or "state")
    own = model.state_dict()
    new = [k for k in own if new_head and is_head_key(k)]
    fits = [k for k in own if k in weights and k not in new and own[k].shape == weights[k].shape]
    absent = [k for k in own if k not in fits and k not in new]
    report = LoadReport(name, fits, new, absent, [k for k in weights if k not in own])
    _refuse_misfits(report, own, weights)
    model.load_state_dict({k: weights[k] for k in fits}, strict=False)
    if new:
        for module_name, module in model.named_modules():
            if module_name.split(".")[-1] == "classifier":
                init_weights(module)
    if verbose:
        print(report)
    return report


def read_public_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """State entries of a public backbone checkpoint, read without running code from it.

    Files in PyTorch's own format or safetensors. For backbones trained elsewhere only, see `edgeseg.models.public`.

    Raises:
        WeightError: no such file, or one that holds more than tensors and plain values.
    """
    blob = _read_bytes(path)
    if blob[8:9] == b"{":
        return _tensors(blob, path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises a dozen kinds, from EOFError to pickle.UnpicklingError
        raise WeightError(
            f"{path}: torch's safe reader refuses it ({type(error).__name__}): no checkpoint, a damaged one, or one "
            "that holds more than tensors and plain values, which could run code. Fetch it again from its authors, or "
            "let them re-save its state_dict"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)}
    if not tensors:
        raise WeightError(f"{path}: holds no state_dict; give the checkpoint file of a backbone")
    return tensors


def is_head_key(key: str) -> bool:
    """Whether a state entry belongs to a classifier, whose shape follows the classes."""
    return "classifier" in key.split(".")


def is_aux_key(key: str) -> bool:
    """Whether a state entry belongs to a training-only head: each is named ``aux*``."""
    return key.startswith("aux")


def _refuse_misfits(report: LoadReport, own: State, weights: State) -> None:
    shapes = [k for k in report.missing if k in weights]
    for key in filter(is_head_key, shapes):
        raise WeightError(
            f"{report.source}: made for {weights[key].shape[0]} classes ({key}), the model has {own[key].shape[0]}; "
            "build the model with the weight's num_classes, or start its head anew with new_head=True"
        )
    for key in shapes:
        raise WeightError(
            f"{report.source}: {key} has shape {tuple(weights[key].shape)}, the model needs {tuple(own[key].shape)}; "
            "build the model with the weight's switches"
        )
    for key in report.loaded:
        if own[key].is_floating_point() != weights[key].is_floating_point():
            raise WeightError(
                f"{report.source}: {key} is of {weights[key].dtype}, the model needs {own[key].dtype}; fetch or copy "
                "it again"
            )
    missing = [k for k in report.missing if not is_aux_key(k)]
    ignored = [k for k in report.ignored if not is_aux_key(k)]
    if missing or ignored:
        raise WeightError(
            f"{report.source}: another network; {len(missing)} entries missing{_sample(missing)}, {len(ignored)} "
            f"without a place{_sample(ignored)}. Build the model that the weight was made for"
        )


def _stored(key: str, value: Tensor, dtype: torch.dtype | None, path: str | Path) -> Tensor:
    value = value.detach().cpu().contiguous()
    if dtype is not None and value.is_floating_point() and value.ndim > 1:
        value = value.to(dtype)
    if value.is_floating_point() and not bool(value.isfinite().all()):
        raise WeightError(
            f"{path}: not written, {key} holds values that are not finite in {value.dtype}; the training diverged, or "
            "float16 is too narrow for it: save with dtype=None"
        )
    return value


def _check_meta(meta: Mapping[str, Any], path: str | Path) -> None:
    needed = ("arch", "switches", "num_classes", "classes", "table", "mean", "std", "input_size")
    absent = [k for k in needed if k not in meta or (meta[k] is None and k != "input_size")]
    if absent:
        raise WeightError(
            f"{path}: the description lacks {', '.join(absent)}; build models with create_model and describe with "
            "weight_meta"
        )
    if fault := next(_faults(meta), None):
        raise WeightError(f"{path}: the description has {fault}; fetch or copy it again, or describe with weight_meta")
    if len(meta["classes"]) != meta["num_classes"]:
        raise WeightError(
            f"{path}: {len(meta['classes'])} class names for a model of {meta['num_classes']} classes; give one name "
            "per class"
        )


def _description(blob: bytes, path: str | Path) -> dict[str, Any]:
    """What the header of a safetensors file says of the weight in it."""
    try:
        header = parse_json(blob[8 : 8 + _header_size(blob)])
        description = header.get("__metadata__", {}).get(META_KEY)
        meta = None if description is None else parse_json(description)
    except ValueError as error:
        raise WeightError(f"{path}: its description is no JSON ({error}); fetch or copy it again") from error
    if meta is None:
        raise WeightError(f"{path}: safetensors without edgeseg's description; write weights with save_weights")
    if not isinstance(meta, dict):
        raise WeightError(f"{path}: its description is {meta!r:.60}, no JSON object; fetch or copy it again")
    return meta


def _faults(meta: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be in a description; architecture and switches are judged by who builds the network."""
    for key, kind, wanted in (
        ("arch", str, "a text"),
        ("table", str, "a text"),
        ("switches", dict, "names and values"),
    ):
        if not isinstance(meta[key], kind):
            yield f"{key} = {meta[key]!r:.60}, not {wanted}"
    if type(meta["num_classes"]) is not int or not 1 <= meta["num_classes"] <= 254:
        yield f"num_classes = {meta['num_classes']!r:.60}, not a whole number from 1 to 254"
    if meta["input_size"] is not None and not is_size(meta["input_size"]):
        yield f"input_size = {meta['input_size']!r:.60}, not a height and a width, nor none"
    if not isinstance(meta.get("provenance", {}), dict):
        yield f"provenance = {meta['provenance']!r:.60}, not names and values"
    yield from preprocessing_faults(meta)


def is_size(value: object) -> bool:
    """Whether this is a height and a width, as JSON gives them."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)


def preprocessing_faults(about: Mapping[str, Any], unnamed: bool = False) -> Iterator[str]:
    """What ``mean``, ``std`` and ``classes`` cannot be, one text for each; of a weight's description or an artefact's.

    Args:
        about: the description.
        unnamed: whether an empty list of classes will do.
    """
    for key in ("mean", "std"):
        numbers = about[key] if isinstance(about[key], list | tuple) else ()
        plain = len(numbers) == 3 and all(type(v) in (int, float) and math.isfinite(v) for v in numbers)
        if not plain or (key == "std" and min(numbers) <= 0):
            wanted = "three finite numbers" + (" above 0" if key == "std" else "")
            yield f"{key} = {about[key]!r:.60}, not {wanted}"
    classes = about["classes"]
    if unnamed and classes == []:
        return
    if not isinstance(classes, list) or not classes or not all(map(_is_class, classes)):
        yield f"classes = {classes!r:.60}, not a list of a name and a color each"
    elif len({entry["name"] for entry in classes}) < len(classes):
        yield "a class name twice"


def _is_class(entry: Any) -> bool:
    """``{"name": "road", "color": [128, 64, 128]}``."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        return False
    color = entry.get("color")
    return isinstance(color, list) and len(color) == 3 and all(type(v) is int and 0 <= v <= 255 for v in color)


def _read_bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WeightError(
            f"{path}: cannot be read ({error.strerror or error}); give the path of a .safetensors file"
        ) from error


def _tensors(blob: bytes, path: str | Path) -> dict[str, Tensor]:
    try:
        return tensors_from_bytes(blob)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightError(
            f"{path}: no readable weight file ({error}); it was cut short, fetch or copy it again"
        ) from error


def _header_size(blob: bytes) -> int:
    return int.from_bytes(blob[:8], "little")


def _data_digest(blob: bytes) -> str:
    """SHA-256 of the tensors' bytes, which do not depend on the description in the header."""
    return hashlib.sha256(memoryview(blob)[8 + _header_size(blob) :]).hexdigest()


def _sample(keys: Sequence[str]) -> str:
    return f" ({first_few(keys, 3)})" if keys else ""
