"""Put one block's weights into another that was written by somebody else: by name, by order, by use, by shape.

A learner's block may have other names, another order of layers, a linear layer where the package has a 1×1 convolution.
It is the same block if under one of these pairings it computes the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain, permutations, product
from math import prod

import torch
from torch import Tensor, nn

from edgeseg.course.trace import conv_settings
from edgeseg.text import table


@dataclass(frozen=True)
class Entry:
    """A parameter or buffer of a block.

    Args:
        name: dotted.
        tensor: itself.
        owner: the module that holds it.
    """

    name: str
    tensor: Tensor
    owner: nn.Module

    @property
    def path(self) -> str:
        """Of the layer; empty for the block itself."""
        return self.name.rpartition(".")[0]

    @property
    def field(self) -> str:
        """Its name in the layer."""
        return self.name.rpartition(".")[2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Without trailing ones, as a linear layer and a 1×1 convolution hold the same numbers."""
        shape = tuple(self.tensor.shape)
        while len(shape) > 2 and shape[-1] == 1:
            shape = shape[:-1]
        return shape


Pairing = list[tuple[Entry, Entry]]
Code = tuple[str, int, int, int, int]  # of difflib
_MOST_ORDERS = 16  # each is run: two modes, forward and backward


class MisfitError(ValueError):
    """The two blocks do not hold the same weights; the message lists them side by side."""


def entries(block: nn.Module) -> list[Entry]:
    """Weights in the order in which they were registered; counters of batch normalisation are left out."""
    found = []
    for path, module in block.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        found += [Entry(f"{path}.{n}".lstrip("."), t, module) for n, t in own if t.is_floating_point()]
    return found


def pairings(mine: nn.Module, package: nn.Module, inputs: Sequence[Tensor]) -> list[Pairing]:
    """Ways to pair my weights with the package's, likeliest first.

    Raises:
        MisfitError: there is none.
    """
    theirs, own = entries(package), entries(mine)
    ways = [_by_name(own, theirs), _in_order(own, theirs)]
    ways += [_in_order(_by_use(mine, own, inputs), _by_use(package, theirs, inputs)), *_by_kind(own, theirs)]
    distinct: dict[tuple[tuple[str, str], ...], Pairing] = {}
    for way in ways:
        if way is not None:
            distinct.setdefault(tuple(sorted((a.name, b.name) for a, b in way)), way)
    if not distinct:
        raise MisfitError(_listing(mine, _by_use(mine, own, inputs), _by_use(package, theirs, inputs)))
    return list(distinct.values())


def copy(pairing: Pairing) -> None:
    """Give my weights the package's numbers."""
    with torch.no_grad():
        for own, theirs in pairing:
            own.tensor.copy_(theirs.tensor.reshape(own.tensor.shape))


def randomise(block: nn.Module, seed: int = 0) -> None:
    """Weights, and batch normalisation's statistics, that leave nothing equal by chance: no ones, no zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for entry in entries(block):
            t = entry.tensor
            if entry.field == "running_var" or (t.ndim == 1 and entry.field == "weight"):
                t.uniform_(0.5, 1.5, generator=generator)
            else:
                t.normal_(0, 0.5 if t.ndim < 2 else (2 * t.shape[0] / t.numel()) ** 0.5, generator=generator)


@contextmanager
def evaluating(*blocks: nn.Module) -> Iterator[None]:
    """While this is open, blocks are in evaluation mode; then each of their modules is in the mode that it was in."""
    modes = [(module, module.training) for block in blocks for module in block.modules()]
    for block in blocks:
        block.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


# Ways ---------------------------------------------------------------------------------------------------------------


def _by_name(own: list[Entry], theirs: list[Entry]) -> Pairing | None:
    places = {e.name: place for place, e in enumerate(own)}
    if {e.name for e in theirs} != set(places):
        return None
    return _in_order(own, sorted(theirs, key=lambda e: places[e.name]))


def _in_order(own: list[Entry], theirs: list[Entry]) -> Pairing | None:
    fits = [e.shape for e in own] == [e.shape for e in theirs]
    return list(zip(own, theirs, strict=True)) if fits else None


def _by_kind(own: list[Entry], theirs: list[Entry]) -> list[Pairing]:
    """Layers of one kind go with layers of that kind, in every order as long as these are few, else in theirs."""
    mine, package = _layers(own), _layers(theirs)
    if Counter(a.kind for a in mine) != Counter(b.kind for b in package):
        return []
    kinds = list(dict.fromkeys(b.kind for b in package))
    alike = [[b for b in package if b.kind == kind] for kind in kinds]
    orders = [list(permutations(group)) if len(group) < 4 else [tuple(group)] for group in alike]
    if prod(map(len, orders)) > _MOST_ORDERS:
        orders = [o[:1] for o in orders]
    placed = [a for kind in kinds for a in mine if a.kind == kind]
    return [
        [pair for a, b in zip(placed, chain(*chosen), strict=True) for pair in zip(a.entries, b.entries, strict=True)]
        for chosen in product(*orders)
    ]


def _by_use(block: nn.Module, found: list[Entry], inputs: Sequence[Tensor]) -> list[Entry]:
    """Weights in the order in which their layers are first called; layers that are not called come last."""
    called: dict[int, int] = {}

    def note(module: nn.Module, _: object) -> None:
        called.setdefault(id(module), len(called))

    hooks = [m.register_forward_pre_hook(note) for m in block.modules()]
    try:
        with evaluating(block), torch.no_grad():
            block(*inputs)
    except Exception:  # it will be run, and its error told, by who compares
        return found
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(found, key=lambda e: called.get(id(e.owner), len(called)))


# Words --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    """A module with weights of its own, as a line of the listing."""

    entries: list[Entry]

    @property
    def kind(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What it holds: name and shape of each weight."""
        return tuple((e.field, e.shape) for e in self.entries)

    def __str__(self) -> str:
        owner, shape = self.entries[0].owner, self.entries[0].shape
        settings = str(shape[0]) if shape else ""
        if isinstance(owner, nn.Conv1d | nn.Conv2d):
            settings = conv_settings(owner)
        elif isinstance(owner, nn.Linear):
            settings = f"{owner.in_features}→{owner.out_features}"
        return f"{self.entries[0].path or 'block'}  {type(owner).__name__} {settings}".rstrip()


def _layers(found: list[Entry]) -> list[_Layer]:
    layers: dict[str, list[Entry]] = {}
    for entry in found:
        layers.setdefault(entry.path, []).append(entry)
    return [_Layer(held) for held in layers.values()]


def _listing(mine: nn.Module, own: list[Entry], theirs: list[Entry]) -> str:
    yours, its = _layers(own), _layers(theirs)
    codes = _aligned(yours, its)
    lines = [f"The layers do not hold the same weights: {_first_misfit(codes, yours, its)}"]
    if any(_hides_modules(m) for m in mine.modules()):
        lines.append("Some layers lie in a plain list or dict, where PyTorch does not see them: use nn.ModuleList.")
    head = ("", "yours, as they are called", "package's")
    return "\n".join([*lines, "", table(head, _rows(codes, yours, its), "<<<")])


def _aligned(yours: list[_Layer], its: list[_Layer]) -> list[Code]:
    """difflib's opcodes, every gap as far down as it can lie: a missing layer is then told by its own name."""
    own, theirs = [a.kind for a in yours], [b.kind for b in its]
    codes: list[Code] = [("equal", 0, 0, 0, 0), *SequenceMatcher(None, own, theirs, autojunk=False).get_opcodes()]
    for k in range(1, len(codes) - 1):
        (_, a, _, b, _), (tag, i, i_end, j, j_end), (after, c, c_end, d, d_end) = codes[k - 1 : k + 2]
        if tag not in ("insert", "delete") or after != "equal":
            continue
        kinds, start, end = (theirs, j, j_end) if tag == "insert" else (own, i, i_end)
        n = 0
        while n < c_end - c and kinds[start + n] == kinds[end + n]:
            n += 1
        codes[k - 1] = ("equal", a, i + n, b, j + n)
        codes[k] = (tag, i + n, i_end + n, j + n, j_end + n)
        codes[k + 1] = ("equal", c + n, c_end, d + n, d_end)
    return codes


def _rows(codes: Sequence[Code], own: list[_Layer], theirs: list[_Layer]) -> Iterator[tuple[str, str, str]]:
    """Both lists, aligned where they agree; long stretches of agreement are cut to their ends."""
    for tag, i, i_end, j, j_end in codes:
        count = max(i_end - i, j_end - j)
        for k in range(count):
            if tag == "equal" and 2 <= k < count - 2:
                if k == 2:
                    yield " ", "…", "…"
                continue
            left = str(own[i + k]) if i + k < i_end else ""
            right = str(theirs[j + k]) if j + k < j_end else ""
            yield " " if tag == "equal" else "≠", left, right


def _first_misfit(codes: Sequence[Code], own: list[_Layer], theirs: list[_Layer]) -> str:
    for tag, i, i_end, j, j_end in codes:
        if tag == "equal":
            continue
        if i < i_end and j < j_end:
            return f"your {own[i]} stands where the package has {theirs[j]}."
        if j < j_end:
            return f"the package's {theirs[j]} has no counterpart in yours."
        return f"your {own[i]} has no counterpart in the package."
    return "they are the same layers in another order."


def _hides_modules(module: nn.Module) -> bool:
    hidden = [v for v in vars(module).values() if isinstance(v, (list, tuple, dict))]
    values = [x for v in hidden for x in (v.values() if isinstance(v, dict) else v)]
    registered = {id(m) for m in module.modules()}
    return any(isinstance(x, nn.Module) and id(x) not in registered for x in values)
