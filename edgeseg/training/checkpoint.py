"""Checkpoints of a run: one safetensors file, written atomically, resumed exactly, never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from edgeseg.data.pairs import Dataset
from edgeseg.files import atomic_write


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or does not belong to this run."""


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    ema: nn.Module,
    optimizer: torch.optim.Optimizer,
    classes: Sequence[str],
    meta: dict[str, Any],
    scaler: torch.amp.GradScaler,
) -> None:
    """Write everything that a run needs to go on, in one step: a kill at any moment leaves the old file or the new one.

    Args:
        path: target file.
        model, ema: their parameters and buffers are stored.
        optimizer: its state tensors are stored.
        classes: names of the model's classes.
        meta: JSON-able state such as step and elapsed seconds.
        scaler: of fp16 training; its state is empty in any other.
    """
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in ema.state_dict().items()}
    state = optimizer.state_dict()["state"]
    tensors |= {
        f"optimizer.{i}.{k}": torch.as_tensor(v) for i, s in state.items() for k, v in s.items() if v is not None
    }
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    meta = {**meta, "classes": list(classes), "scaler": scaler.state_dict()}
    data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, {"edgeseg": json.dumps(meta)})
    with atomic_write(path) as file:
        file.write(data)


def load_checkpoint(
    path: str | Path,
    model: nn.Module,
    ema: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> dict[str, Any]:
    """Put a run back into the state of `save_checkpoint`; returns its `meta`.

    Raises:
        CheckpointError: the file is cut short, no checkpoint, or of another network; names the file and the cure.
    """
    meta, tensors = read_checkpoint(path)
    try:
        model.load_state_dict(_part(tensors, "model."))
        ema.load_state_dict(_part(tensors, "ema."))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: belongs to another network ({str(error).splitlines()[-1].strip()}). Resume with the recipe and "
            "switches it was started with, or train into another folder."
        ) from error
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    for parameter, own in optimizer.state.items():  # in the parameter's own order in memory, which fused kernels assume
        for name, value in own.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                own[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    torch.set_rng_state(tensors["rng.cpu"])
    if "rng.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    if meta["scaler"]:  # empty in one of another recipe, which the caller refuses by name
        scaler.load_state_dict(meta["scaler"])
    return meta


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Meta data and tensors of a checkpoint file."""
    with _opened(path) as file:
        return _meta(file), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def checkpoint_meta(path: str | Path) -> dict[str, Any]:
    """Meta data of a checkpoint file alone, without reading its tensors."""
    with _opened(path) as file:
        return _meta(file)


def _meta(file: Any) -> dict[str, Any]:
    meta = json.loads((file.metadata() or {})["edgeseg"])
    missing = {"recipe", "step", "seconds", "loss_sum", "log_bytes", "scaler"} - set(meta)
    if missing:
        raise ValueError(f"it does not say {', '.join(sorted(missing))}")
    return meta


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """An open checkpoint; what goes wrong while it is read becomes a `CheckpointError`."""
    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint; start the run without --resume") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({error}). It was cut short or is another kind of file; delete it and "
            "start the run again, or copy back a good one."
        ) from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


# which data -----------------------------------------------------------------------------------------------------------

_DIFFERENCES = {
    "images": "{} images then, {} now",
    "names": "as many images, but of other names or in another order",
    "values": "label values or colours have another meaning (the class file's ids, colours or void)",
    "pixels": "the labels themselves are others (pixels of each class)",
}


def data_identity(data: Dataset) -> dict[str, Any]:
    """What tells a data set from another with the same class names: how many images, which, and what labels mean.

    Args:
        data: nothing of it is read but its names.

    Returns:
        ``images``, their number; ``names``, a hash of their names in order; ``values``, a hash of what the class table
        makes of every file value and colour.
    """
    table = data.table
    values = [sorted(table.ids.items()), sorted(table.rgb.items()), table.rgb_other]
    return {"images": len(data), "names": _digest(list(data.names)), "values": _digest(values)}


def data_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what two `data_identity` differ, in words; empty where they do not. What one does not know is not compared."""
    different = [key for key in _DIFFERENCES if key in then and key in now and then[key] != now[key]]
    if "images" in different:  # then names and pixels differ for that reason
        different = [key for key in different if key not in ("names", "pixels")]
    return "; ".join(_DIFFERENCES[key].format(then[key], now[key]) for key in different)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
