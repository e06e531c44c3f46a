"""How much memory training takes: an estimate from the tensors that autograd keeps, counted without computing.

A copy of the network runs forward on the meta device, where tensors have shapes and no values. What a real device needs
on top (the context of CUDA, workspaces of convolutions, fragments, the optimiser's temporaries) is not in the figure.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class TrainingMemory:
    """Estimated bytes of one training step in float32.

    Args:
        size: (H, W) of the crop.
        batch: samples per step.
        state: parameters, gradients and the optimiser's state.
        kept: activations kept from the forward to the backward pass.
        recomputed: most activations that a checkpointed part brings back at a time; 0 without checkpointing.
    """

    size: tuple[int, int]
    batch: int
    state: int
    kept: int
    recomputed: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.state + self.kept + self.recomputed

    def __str__(self) -> str:
        parts = (self.total, self.state, self.kept, self.recomputed)
        total, state, kept, recomputed = (f"{n / 2**30:.2f}" for n in parts)
        return (
            f"batch {self.batch}, crop {self.size[0]}x{self.size[1]}, float32: about {total} GiB (estimate: weights, "
            f"gradients and optimiser {state}, kept activations {kept}, recomputed at a time {recomputed})"
        )


def training_memory(
    model: nn.Module, size: tuple[int, int] = (512, 1024), batch: int = 1, optimizer_slots: int = 1
) -> TrainingMemory:
    """Estimate the memory of a training step.

    Args:
        model: any network here, on any device; it is copied, never run.
        size: (H, W) of the crop.
        batch: samples per step.
        optimizer_slots: tensors the optimiser holds per parameter: 1 for SGD with momentum, 2 for Adam.
    """
    twin = copy.deepcopy(model).to("meta").train()
    # Modules say themselves what they checkpoint; here all of it runs plainly, so that every tensor is seen.
    parts = [part for m in twin.modules() for part in getattr(m, "checkpointed", ())]
    for module in twin.modules():
        if hasattr(module, "checkpointing"):
            module.checkpointing = False  # type: ignore[assignment]
    ledger = _Ledger({t.untyped_storage()._cdata for t in (*twin.parameters(), *twin.buffers())})
    for number, part in enumerate(parts):
        part.register_forward_pre_hook(ledger.entering(number))
        part.register_forward_hook(ledger.leaving)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(ledger.save, lambda t: t):
        outputs = twin(torch.empty(batch, 3, *size, device="meta"))
    kept = {**ledger.inputs, **ledger.saved[None]}
    inside = [sum(n for k, n in saved.items() if k not in kept) for p, saved in ledger.saved.items() if p is not None]
    del outputs  # it held the graph, and the graph the storages that were counted
    weights = sum(p.numel() * 4 for p in twin.parameters())
    return TrainingMemory(size, batch, weights * (2 + optimizer_slots), sum(kept.values()), max(inside, default=0))


@dataclass
class _Ledger:
    """Bytes of every storage that autograd saves, by the checkpointed part it was saved in."""

    ignored: set[int]  # parameters and buffers
    part: int | None = None
    saved: dict[int | None, dict[int, int]] = field(default_factory=lambda: {None: {}})
    inputs: dict[int, int] = field(default_factory=dict)  # of checkpointed parts

    def save(self, tensor: Tensor) -> Tensor:
        self._book(tensor, self.saved.setdefault(self.part, {}))
        return tensor

    def entering(self, number: int) -> Any:
        def hook(_: nn.Module, args: Sequence[Any]) -> None:
            self.part = number
            for tensor in (t for t in tree_leaves(args) if isinstance(t, Tensor)):
                self._book(tensor, self.inputs)

        return hook

    def leaving(self, *_: Any) -> None:
        self.part = None

    def _book(self, tensor: Tensor, page: dict[int, int]) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.ignored:
            page[storage._cdata] = storage.nbytes()
