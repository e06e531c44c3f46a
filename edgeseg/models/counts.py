"""What a network costs: parameters, multiply-adds, activations, bytes moved, and memory in training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgeseg.models.weights import is_aux_key


@dataclass
class ModuleCount:
    """The share of one module, without its children's.

    Args:
        name: path of the module in the network; empty for the network itself.
        kind: its class.
        params: parameters.
        macs: multiply-adds of its convolutions and matrix products.
        activations: elements that its operations write.
        bytes_moved: bytes that its operations read and write.
    """

    name: str
    kind: str
    params: int
    macs: int = 0
    activations: int = 0
    bytes_moved: int = 0


@dataclass(frozen=True)
class Counts:
    """The cost of one forward pass in eval mode.

    Args:
        size: (H, W) of the input.
        params: parameters that inference needs.
        params_with_aux: the same with the training-only heads.
        macs: multiply-adds of convolutions and matrix products, biases left out. "FLOPs" are twice as many, or this
            very number, depending on who counts.
        activations: elements written by all operations that write, the in-place ones included.
        bytes_moved: bytes read and written when no two operations are fused: inputs, weights and outputs of each. A
            compiler that fuses moves less; the ratio to ``macs`` says whether a network waits for memory or for
            arithmetic.
        modules: the same by module; the sums are the totals.
    """

    size: tuple[int, int]
    params: int
    params_with_aux: int
    macs: int
    activations: int
    bytes_moved: int
    modules: tuple[ModuleCount, ...]

    def __str__(self) -> str:
        return (
            f"{self.size[0]}x{self.size[1]}: {self.params:,} parameters ({self.params_with_aux:,} with aux heads), "
            f"{self.macs / 1e9:.3f} G multiply-adds, {self.activations / 1e6:.1f} M activations, "
            f"{self.bytes_moved / 1e6:.1f} MB moved unfused"
        )


def count(model: nn.Module, size: tuple[int, int] = (512, 1024)) -> Counts:
    """Count one forward pass of one image, in eval mode; bytes are those of float32.

    Args:
        model: any network here, on any device; it is copied, never run.
        size: (H, W) of the input.

    Raises:
        ValueError: a size that the network refuses.
    """
    with _meta_copy(model) as twin:
        rows = {name: ModuleCount(name, type(m).__name__, _own_params(m)) for name, m in twin.named_modules()}
        image = torch.empty(1, 3, *size, device="meta")
        with _OpCounter(twin, rows):
            twin(image)
        modules = tuple(row for row in rows.values() if row.params or row.activations)
    params = {name: p.numel() for name, p in model.named_parameters()}
    return Counts(
        size=size,
        params=sum(n for name, n in params.items() if not is_aux_key(name)),
        params_with_aux=sum(params.values()),
        macs=sum(row.macs for row in modules),
        activations=sum(row.activations for row in modules),
        bytes_moved=sum(row.bytes_moved for row in modules),
        modules=modules,
    )


# By operation ---------------------------------------------------------------------------------------------------------


class _ShapesOnly(TorchDispatchMode):
    """Gives two operations their output at once: torch's kernels without values are, for these, much slow Python."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operation = str(func.overloadpacket)
        if operation == "aten.native_batch_norm":  # in eval mode
            return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
        if operation.startswith("aten.upsample"):
            return args[0].new_empty((*args[0].shape[:2], *args[1]))
        return func(*args, **(kwargs or {}))


class _OpCounter(_ShapesOnly):
    """Sees every operation and books it on the innermost module that is running."""

    def __init__(self, model: nn.Module, rows: Mapping[str, ModuleCount]) -> None:
        super().__init__()
        self.stack = [rows[""]]
        for name, module in model.named_modules():
            module.register_forward_pre_hook(partial(self._enter, rows[name]))
            module.register_forward_hook(self._leave)

    def _enter(self, row: ModuleCount, *_: Any) -> None:
        self.stack.append(row)

    def _leave(self, *_: Any) -> None:
        self.stack.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        outputs = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        if not func._schema.is_mutable and _shares_memory(inputs, outputs):
            return out  # a view: nothing moves
        if "batch_norm" in str(func.overloadpacket):
            outputs = outputs[:1]  # the others are training's batch statistics, empty in eval mode
        row = self.stack[-1]
        row.macs += _macs(str(func.overloadpacket), inputs, outputs)
        row.activations += sum(t.numel() for t in outputs)
        row.bytes_moved += sum(t.numel() * t.element_size() for t in inputs + outputs)
        return out


def _macs(op: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    if op == "aten.convolution":  # weight (out, in / groups, kernel…)
        return outputs[0].numel() * inputs[1][0].numel()
    if op in ("aten.mm", "aten.bmm"):
        return outputs[0].numel() * inputs[0].shape[-1]
    if op == "aten.addmm":
        return outputs[0].numel() * inputs[1].shape[-1]
    return 0


def count_operations(run: Callable[[Tensor], Any], shape: Sequence[int]) -> dict[str, int]:
    """Elementary operations by kind, for complexity formulas that count more than multiply-adds.

    A pooling costs one for each element that it reads, a convolution its multiply-adds, all else one for each element
    that it writes; views and concatenations, which only move, cost nothing.

    Args:
        run: a module, or any function of a tensor; works on the meta device.
        shape: of its input, (N, C, H, W).

    Returns:
        ``"pooling"``, ``"convolution"``, ``"sigmoid"``, ``"product"`` and ``"other"`` → operations.
    """
    kinds = dict.fromkeys(("pooling", "convolution", "sigmoid", "product", "other"), 0)
    with torch.no_grad(), _OpKinds(kinds):
        run(torch.empty(*shape, device="meta"))
    return kinds


class _OpKinds(_ShapesOnly):
    """Books every operation by its kind."""

    def __init__(self, kinds: dict[str, int]) -> None:
        super().__init__()
        self.kinds = kinds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        outputs = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        op = str(func.overloadpacket).removeprefix("aten.").rstrip("_")
        moves = op == "cat" or (not func._schema.is_mutable and _shares_memory(inputs, outputs))
        if op in ("mean", "amax"):
            self.kinds["pooling"] += inputs[0].numel()
        elif macs := _macs(f"aten.{op}", inputs, outputs):
            self.kinds["convolution"] += macs
        elif inputs and not moves:
            kind = {"mul": "product"}.get(op, op)
            self.kinds[kind if kind in self.kinds else "other"] += outputs[0].numel()
        return out


def _shares_memory(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
    storages = {t.untyped_storage()._cdata for t in inputs}
    return any(t.untyped_storage()._cdata in storages for t in outputs)


def _own_params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters(recurse=False))


@contextmanager
def _meta_copy(model: nn.Module) -> Iterator[nn.Module]:
    """A copy without values, float32 and in eval mode; gradients are off while it is used."""
    with torch.no_grad():
        yield copy.deepcopy(model).to(device="meta", dtype=torch.float32).eval()


# By rules -------------------------------------------------------------------------------------------------------------

Rule = Callable[[Any, Tensor, Tensor], int]  # (module, its input, its output) → operations


def count_by_rules(model: nn.Module, size: tuple[int, int], rules: Mapping[type[nn.Module], Rule]) -> int:
    """Operations of one image in eval mode, by a counting tool's rules: what is no module in ``rules`` counts nothing.

    Args:
        model: a network.
        size: (H, W) of the input.
        rules: operations of a module from its input and output, by class.
    """
    total = 0

    def book(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += rules[type(module)](module, args[0], output)

    with _meta_copy(model) as twin:
        for module in twin.modules():
            if type(module) in rules:
                module.register_forward_hook(book)
        with _ShapesOnly():
            twin(torch.empty(1, 3, *size, device="meta"))
    return total


@dataclass(frozen=True)
class TrainingMemory:
    """Estimated bytes of one training step in float32.

    Args:
        size: (H, W) of the crop.
        batch: samples per step.
        state: parameters, gradients and momenta.
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


def training_memory(model: nn.Module, size: tuple[int, int] = (512, 1024), batch: int = 1) -> TrainingMemory:
    """Estimate the memory of a training step with SGD and momentum.

    Args:
        model: any network here, on any device; it is copied, never run.
        size: (H, W) of the crop.
        batch: samples per step.
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
    state = 3 * sum(p.numel() * 4 for p in twin.parameters())  # values, gradients and momenta
    return TrainingMemory(size, batch, state, sum(kept.values()), max(inside, default=0))


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
