"""Put one block's weights into another that was written by somebody else: by name, by order, by use, by shape.

A learner's block may have other names, another order of layers, a linear layer where the package has a 1×1 convolution.
It is the same block if under one of these pairings it computes the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain, islice, permutations, product, zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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
_MOST_ORDERS = 16  # each is run: two modes, forward and backward
_MOST_ROWS = 8  # of layers without a counterpart


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
    ways += [_in_order(_by_use(mine, own, inputs), _by_use(package, theirs, inputs))]
    if not any(ways):  # else a role that the names or the order tell could be exchanged for another
        ways.append(_by_flow(mine, own, package, theirs, inputs))
    ways += _by_kind(own, theirs)
    if not any(ways):
        ways += _by_shape(_by_first_read(mine, own, inputs), _by_first_read(package, theirs, inputs))
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


def settle(block: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Bring batch normalisation's statistics near those of what it is given, still none of them equal to it.

    Random statistics leave numbers as large as they come; after many layers that multiply maps they overflow.
    """

    def near(norm: Any, given: tuple[Any, ...]) -> None:
        over = [i for i in range(given[0].ndim) if i != 1]
        mean, variance = given[0].mean(over), given[0].var(over)
        if id(norm) not in settled:
            settled.add(id(norm))
            norm.running_mean.copy_(mean + 0.5 * norm.running_mean * variance.sqrt())
            norm.running_var.mul_(variance + norm.eps)

    settled: set[int] = set()
    norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    hooks = [m.register_forward_pre_hook(near) for m in norms]
    try:
        with evaluating(block), torch.no_grad():
            block(*inputs)
    finally:
        for hook in hooks:
            hook.remove()


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
    ways = list(islice(_orders(_layers(own), _layers(theirs), lambda layer: layer.kind), _MOST_ORDERS + 1))
    return ways if len(ways) <= _MOST_ORDERS else ways[:1]


def _orders(mine: list[_Layer], package: list[_Layer], of: Callable[[_Layer], Any]) -> Iterator[Pairing]:
    """Every way to pair layers of which ``of`` says the same, theirs first; of four or more alike only theirs."""
    if Counter(map(of, mine)) != Counter(map(of, package)):
        return
    alike = [[b for b in package if of(b) == key] for key in dict.fromkeys(map(of, package))]
    orders = [list(permutations(group)) if len(group) < 4 else [tuple(group)] for group in alike]
    placed = [a for group in alike for a in mine if of(a) == of(group[0])]
    for chosen in product(*orders):
        yield [
            pair for a, b in zip(placed, chain(*chosen), strict=True) for pair in zip(a.entries, b.entries, strict=True)
        ]


def _by_shape(own: list[Entry], theirs: list[Entry]) -> list[Pairing]:
    """Weights go with weights of their shape, in whatever layers they are held; normalisations stay whole.

    For parameters of one's own, which no layer holds. Where two of one shape could be exchanged, the given orders come
    first, and then as many others as are worth a try.

    Args:
        own, theirs: in the order in which they are first read.
    """
    return list(islice(_orders(_pieces(own), _pieces(theirs), lambda piece: piece.shapes), _MOST_ORDERS))


def _pieces(found: list[Entry]) -> list[_Layer]:
    """Normalisations whole, as their statistics go with their weights; all else weight by weight."""
    held: dict[str, list[Entry]] = {}
    for entry in found:
        whole = isinstance(entry.owner, nn.modules.batchnorm._NormBase)
        held.setdefault(entry.path if whole else entry.name, []).append(entry)
    return [_Layer(sorted(group, key=lambda e: e.field)) for group in held.values()]


class _Readings(TorchFunctionMode):
    """Notes the tensors that PyTorch's functions are given, in the order in which they are first read."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[int, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for given in (*args, *(kwargs or {}).values()):
            self.places.setdefault(id(given), len(self.places))
        return func(*args, **(kwargs or {}))


def _by_first_read(block: nn.Module, found: list[Entry], inputs: Sequence[Tensor]) -> list[Entry]:
    with _Readings() as readings:
        _run_with(lambda *_: None, block, inputs)
    return sorted(found, key=lambda e: readings.places.get(id(e.tensor), len(readings.places)))


def _by_flow(
    mine: nn.Module, own: list[Entry], package: nn.Module, theirs: list[Entry], inputs: Sequence[Tensor]
) -> Pairing | None:
    """While my block runs, each of its layers takes the weights of the package's like layer that is fed the same."""
    mine_layers, package_layers = _layers(own), _layers(theirs)
    if Counter(a.kind for a in mine_layers) != Counter(b.kind for b in package_layers):
        return None
    fed: dict[int, tuple[float, ...]] = {}

    def note(module: nn.Module, given: tuple[Any, ...]) -> None:
        fed.setdefault(id(module), _fingerprint(given))

    if not _run_with(note, package, inputs):
        return None
    left = sorted(package_layers, key=lambda b: list(fed).index(id(b.owner)) if id(b.owner) in fed else len(fed))
    waiting = {id(a.owner): a for a in mine_layers}
    pairs: list[tuple[_Layer, _Layer]] = []

    def take(module: nn.Module, given: tuple[Any, ...]) -> None:
        layer = waiting.pop(id(module), None)
        if layer is None:
            return
        numbers = _fingerprint(given)
        alike = [b for b in left if b.kind == layer.kind]
        same = [b for b in alike if _same_numbers(fed.get(id(b.owner)), numbers)]
        best = min(same or alike, key=lambda b: b.settings != layer.settings)
        left.remove(best)
        pairs.append((layer, best))
        copy([*zip(layer.entries, best.entries, strict=True)])

    _run_with(take, mine, inputs)
    for layer in waiting.values():  # never called
        best = next(b for b in left if b.kind == layer.kind)
        left.remove(best)
        pairs.append((layer, best))
    return [pair for a, b in pairs for pair in zip(a.entries, b.entries, strict=True)]


def _run_with(note: Callable[[nn.Module, tuple[Any, ...]], None], block: nn.Module, inputs: Sequence[Tensor]) -> bool:
    """Run a block in evaluation mode with something called before each of its layers; whether it could be run."""
    hooks = [m.register_forward_pre_hook(note) for m in block.modules()]
    try:
        with evaluating(block), torch.no_grad():
            block(*inputs)
    except Exception:  # it will be run, and its error told, by who compares
        return False
    finally:
        for hook in hooks:
            hook.remove()
    return True


def _fingerprint(given: tuple[Any, ...]) -> tuple[float, ...]:
    """Numbers of what a layer was given first, that do not depend on the order of its values."""
    if not given or not isinstance(given[0], Tensor):
        return ()
    return float(given[0].numel()), float(given[0].sum()), float(given[0].abs().sum())


def _same_numbers(a: tuple[float, ...] | None, b: tuple[float, ...]) -> bool:
    same = a is not None and len(a) == len(b)
    return same and all(abs(x - y) <= 1e-8 * (1 + abs(y)) for x, y in zip(a or (), b, strict=True))


def _by_use(block: nn.Module, found: list[Entry], inputs: Sequence[Tensor]) -> list[Entry]:
    """Weights in the order in which their layers are first called; layers that are not called come last."""
    called: dict[int, int] = {}

    def note(module: nn.Module, _: object) -> None:
        called.setdefault(id(module), len(called))

    if not _run_with(note, block, inputs):
        return found
    return sorted(found, key=lambda e: called.get(id(e.owner), len(called)))


# Words --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Layer:
    """A module with weights of its own, as a line of the listing."""

    entries: list[Entry]

    @property
    def kind(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What it holds: name and shape of each weight."""
        return tuple((e.field, e.shape) for e in self.entries)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of its weights; sides of length one say nothing, as one's own parameter may lie in another direction."""
        return tuple(tuple(n for n in e.shape if n != 1) for e in self.entries)

    @property
    def owner(self) -> nn.Module:
        return self.entries[0].owner

    @property
    def settings(self) -> str:
        """Without its name: two layers of the same settings are the same layer."""
        owner, shape = self.owner, self.entries[0].shape
        settings = str(shape[0]) if shape else ""
        if isinstance(owner, nn.Conv1d | nn.Conv2d):
            settings = conv_settings(owner)
        elif isinstance(owner, nn.Linear):
            settings = f"{owner.in_features}→{owner.out_features}"
        return f"{type(owner).__name__} {settings}".rstrip()

    def __str__(self) -> str:
        return f"{self.entries[0].path or 'block'}  {self.settings}"


def _layers(found: list[Entry]) -> list[_Layer]:
    layers: dict[str, list[Entry]] = {}
    for entry in found:
        layers.setdefault(entry.path, []).append(entry)
    return [_Layer(held) for held in layers.values()]


def _listing(mine: nn.Module, own: list[Entry], theirs: list[Entry]) -> str:
    """What cannot be paired, identical layers put aside first, wherever they stand."""
    yours, its = _layers(own), _layers(theirs)
    pairs = _paired(yours, its)
    left = _together([a for a in yours if a not in [p for p, _ in pairs]], [a for a, _ in pairs])
    lacking = _together([b for b in its if b not in [p for _, p in pairs]], [b for _, b in pairs])
    pairs = _paired([a for a in yours if a not in left], [b for b in its if b not in lacking])
    lacking = _beside(left, lacking)
    lines = [f"The layers do not hold the same weights. {_misfit(left, lacking, len(its))}".rstrip()]
    if any(_hides_modules(m) for m in mine.modules()):
        lines.append("Some layers lie in a plain list or dict, where PyTorch does not see them: use nn.ModuleList.")
    return "\n".join([*lines, "", table(("", "yours", "package's"), _rows(pairs, left, lacking), "<<<")])


def _paired(yours: list[_Layer], its: list[_Layer]) -> list[tuple[_Layer, _Layer]]:
    """The same layers, in the package's order: of the same settings first, then of the same weights.

    Where several of mine could be meant, those that keep the order of both lists are taken.
    """
    found: list[tuple[_Layer, _Layer]] = []
    for key in (lambda a: (a.kind, a.settings), lambda a: a.kind):
        left = [a for a in yours if a not in [p for p, _ in found]]
        lacking = [b for b in its if b not in [p for _, p in found]]
        keys: tuple[list[Any], list[Any]] = [key(a) for a in left], [key(b) for b in lacking]
        for i, j, size in SequenceMatcher(None, *keys, autojunk=False).get_matching_blocks():
            found += zip(left[i : i + size], lacking[j : j + size], strict=True)
        for a in (a for a in left if a not in [p for p, _ in found]):
            free = [b for b in lacking if key(b) == key(a) and b not in [p for _, p in found]]
            found += [(a, free[0])] if free else []
    return sorted(found, key=lambda pair: its.index(pair[1]))


def _together(left: list[_Layer], paired: list[_Layer]) -> list[_Layer]:
    """Of several like layers, those are left that stand beside another that is: a norm goes with its convolution."""
    found = list(left)
    beside = {a.entries[0].path.rpartition(".")[0] for a in left if isinstance(a.owner, nn.Conv2d)}
    for k, a in enumerate(found):
        if a.entries[0].path.rpartition(".")[0] not in beside:
            twins = [b for b in paired if (b.kind, b.settings) == (a.kind, a.settings) and b not in found]
            nearer = [b for b in twins if b.entries[0].path.rpartition(".")[0] in beside]
            found[k] = nearer[0] if nearer else a
    return found


def _beside(left: list[_Layer], lacking: list[_Layer]) -> list[_Layer]:
    """The package's layers in the order of those of mine that they have most in common with; the others come last."""
    rest, found = list(lacking), []
    for a in left[: len(lacking)]:
        best = max(rest, key=lambda b: (len({*a.kind} & {*b.kind}), type(a.owner) is type(b.owner)))
        rest.remove(best)
        found.append(best)
    return [*found, *rest]


def _misfit(left: list[_Layer], lacking: list[_Layer], count: int) -> str:
    """The first layers that have no counterpart; nothing if these are the most, as then there is no telling."""
    if max(len(left), len(lacking)) > count / 2 and count > 4:
        return "Most of them differ; compare the lists from the top."
    if left and lacking:
        return f"Without a counterpart: your {left[0]}; of the package's {lacking[0]}."
    if lacking:
        return f"The package's {lacking[0]} has no counterpart in yours."
    return f"Your {left[0]} has no counterpart in the package."


def _rows(
    pairs: list[tuple[_Layer, _Layer]], left: list[_Layer], lacking: list[_Layer]
) -> Iterator[tuple[str, str, str]]:
    """First those without a counterpart, then the pairs; of many the first are shown, of pairs their ends."""
    unlike = list(zip_longest(left, lacking))
    for a, b in unlike[:_MOST_ROWS]:
        yield "≠", str(a or ""), str(b or "")
    if len(unlike) > _MOST_ROWS:
        yours, its = (f"… and {max(0, len(of) - _MOST_ROWS)} more" for of in (left, lacking))
        yield "≠", yours, its
    for k, (a, b) in enumerate(pairs):
        if len(pairs) <= 6 or k < 2 or k >= len(pairs) - 2:
            yield " ", str(a), str(b)
        elif k == 2:
            yield " ", "…", "…"


def _hides_modules(module: nn.Module) -> bool:
    hidden = [v for v in vars(module).values() if isinstance(v, (list, tuple, dict))]
    values = [x for v in hidden for x in (v.values() if isinstance(v, dict) else v)]
    registered = {id(m) for m in module.modules()}
    return any(isinstance(x, nn.Module) and id(x) not in registered for x in values)
