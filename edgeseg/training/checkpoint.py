"""Checkpoints of a run: one safetensors file, written atomically, resumed exactly, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from edgeseg.data.labels import match_classes
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
    classes: Sequence[str],
    scaler: torch.amp.GradScaler,
) -> dict[str, Any]:
    """Put a run back into the state of `save_checkpoint`; returns its `meta`.

    Raises:
        LabelError: the run's classes are not ``classes``; one of a version that did not note them is taken on trust.
        CheckpointError: the file is cut short, no checkpoint, or of another network; names the file and the cure.
    """
    meta, tensors = read_checkpoint(path)
    if "classes" in meta:
        cure = "Resume on the data that the run was started on, or train into another folder (--out)."
        match_classes(meta["classes"], classes, str(path), "the training data", cure)
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
    torch.set_rng_state(tensors["rng.cpu"])
    if "rng.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    if meta["scaler"]:  # empty in one of another recipe, which the caller refuses by name
        scaler.load_state_dict(meta["scaler"])
    return meta


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Meta data and tensors of a checkpoint file."""
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {})["edgeseg"])
            return meta, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint; start the run without --resume") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({error}). It was cut short or is another kind of file; delete it and "
            "start the run again, or copy back a good one."
        ) from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
