"""Lesson 18: graphs as steps, builders that swallow what they do not know, a network that half precision ruins."""

from __future__ import annotations

import contextlib
import copy
import inspect
import operator
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from edgeseg.course.answers import Readings
from edgeseg.deploy.runtimes.graph import compute_dtypes, dtype_name
from edgeseg.inference import Segmenter, as_pixels
from edgeseg.models.cross_cbam import CCBAM
from edgeseg.models.layers import GlobalMaxPool
from edgeseg.plots import BLUE, GREY, ORANGE

# graphs ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One operation of an exported graph.

    Args:
        name: its own, e.g. ``"conv2d_3"``.
        operation: what it does, e.g. ``"conv2d"``.
        parents: names of the steps whose results it takes.
        gives: type of its numbers, e.g. ``"float32"``.
    """

    name: str
    operation: str
    parents: tuple[str, ...]
    gives: str


def steps_of(program: ExportedProgram) -> list[Step]:
    """The operations of an exported graph, each after those that it needs."""
    calls = [n for n in program.graph.nodes if n.op == "call_function" and n.target is not operator.getitem]
    calls = [n for n in calls if n.meta["val"] is not None]  # an assertion gives nothing
    names = {node.name for node in calls}
    found = []
    for node in calls:
        value = node.meta["val"]
        value = value if isinstance(value, Tensor) else value[0]
        inputs = (
            p.args[0] if p.target is operator.getitem else p for p in node.all_input_nodes
        )  # one of several results
        parents = tuple(p.name for p in inputs if isinstance(p, Node) and p.name in names)
        operation = str(node.target).partition(".")[2].split(".")[0]
        found.append(Step(node.name, operation, parents, dtype_name(value.dtype)))
    return found


def export(module: nn.Module, *inputs: Tensor) -> ExportedProgram:
    """``torch.export`` of a module in eval mode."""
    with torch.no_grad():
        return torch.export.export(module.eval(), inputs)


def multiplying_types(steps: Sequence[Step]) -> dict[str, int]:
    """How many convolutions and matrix products give which type: the package's count, by steps."""
    return dict(Counter(step.gives for step in steps if step.operation in ("conv1d", "conv2d", "linear", "matmul")))


class _Mixed(nn.Module):
    """A half block with one convolution that somebody kept in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.kept = nn.Conv2d(4, 4, 1).half(), nn.Conv2d(4, 4, 1)
        self.last = nn.Linear(4, 2).half()

    def forward(self, x: Tensor) -> Tensor:
        y = self.kept(self.first(x).float()).half().relu()
        return self.last(y.mean((2, 3)))


Counts = Callable[[Sequence[Step]], Mapping[str, int]]


def counts_what_multiplies(answer: Counts) -> None:
    """Each of the four operations counts."""
    for operation in ("conv1d", "conv2d", "linear", "matmul"):
        found = answer([Step("a", "relu", (), "float32"), Step("b", operation, ("a",), "float16")])
        assert found == {"float16": 1}, (
            f"in a graph of relu and {operation} the {operation} multiplies and gives float16: the count should be "
            f"{{'float16': 1}}, and yours is {found}"
        )


def counts_no_others(answer: Counts) -> None:
    """Casts, pools and sums multiply nothing."""
    for operation in ("relu", "to", "mean", "add", "cat"):
        found = answer([Step("a", operation, (), "float32")])
        assert not found, f"a graph of one {operation} has nothing to count, and your count is {found}"


def adds_up(answer: Counts) -> None:
    """Steps of one type are counted together, others apart."""
    of_half = ("conv2d", "linear", "conv2d")
    steps = [Step("a", "conv2d", (), "float32"), *(Step(f"b{i}", o, ("a",), "float16") for i, o in enumerate(of_half))]
    found, wanted = answer(steps), multiplying_types(steps)
    assert found == wanted, (
        f"one convolution gives float32; two convolutions and a linear give float16: the count should be {wanted}, and "
        f"yours is {found}"
    )


def counts_a_graph(answer: Counts) -> None:
    """The same for exported blocks."""
    for module, x in ((CCBAM(16), [torch.zeros(1, 16, 4, 5)] * 2), (_Mixed(), [torch.zeros(1, 4, 3, 3).half()])):
        program = export(module, *x)
        found, wanted = answer(steps_of(program)), multiplying_types(steps_of(program))
        assert wanted == compute_dtypes(program)
        assert found == wanted, f"for {type(module).__name__.strip('_')} your count is {found}, and should be {wanted}"


# builders -------------------------------------------------------------------------------------------------------------


def compile_2_9(
    program: Any, inputs: Sequence[Any] = (), *, enabled_precisions: Collection[str] = ("float32",),
    min_block_size: int = 5, dryrun: bool = False, **kwargs: Any,
) -> str:  # fmt: skip
    """A stand-in for Torch-TensorRT 2.9's: it honours ``enabled_precisions``."""
    return "float16" if "float16" in enabled_precisions else "float32"


def compile_2_14(
    program: Any, inputs: Sequence[Any] = (), *, min_block_size: int = 5, dryrun: bool = False,
    require_full_compilation: bool = False, **kwargs: Any,
) -> str:  # fmt: skip
    """A stand-in for 2.14's: what it does not know ends in ``kwargs``, and nobody reads that."""
    return "float32"


def call_checked(build: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a builder with options that its signature names.

    Raises:
        TypeError: an option that it would swallow; names it.
    """
    known = inspect.signature(build).parameters
    swallowed = [name for name in options if name not in known]
    if swallowed:
        raise TypeError(f"{build.__name__} does not have {', '.join(swallowed)} and would ignore it")
    return build(*args, **options)


def hands_on_what_is_known(answer: Callable[..., Any]) -> None:
    """Known options and the result go through."""
    wanted = {"program": "a graph", "inputs": ["x"], "min_block_size": 1}
    seen: dict[str, Any] = {}

    def build(program: Any = None, inputs: Any = None, *, min_block_size: int = 5) -> str:
        seen.update(program=program, inputs=inputs, min_block_size=min_block_size)
        return "an engine"

    given = _taken(answer, build, "a graph", ["x"], min_block_size=1)
    assert seen == wanted, f"the builder should be given {wanted}, and was given {seen or 'nothing'}"
    assert given == "an engine", f"the builder returns 'an engine'; you return {given!r}"
    given = _taken(answer, compile_2_9, "a graph", enabled_precisions={"float16"}, min_block_size=1)
    assert given == "float16", f"compile_2_9 knows enabled_precisions and gives 'float16'; you return {given!r}"
    assert _taken(answer, compile_2_9, "a graph") == "float32", "without options compile_2_9 gives 'float32'"


def _taken(answer: Callable[..., Any], build: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What an answer returns; to refuse is wrong here."""
    try:
        return answer(build, *args, **options)
    except TypeError as error:
        raise AssertionError(
            f"{build.__name__} names {' and '.join(options) or 'all that it is given'}, and yours refuses "
            f"{'them' if len(options) > 1 else 'it'}; it says: {error}"
        ) from None


def refuses_what_is_swallowed(answer: Callable[..., Any]) -> None:
    """An option that the signature does not name is an error that says which."""
    for name in ("enabled_precisions", "min_blok_size"):
        try:
            answer(compile_2_14, "program", min_block_size=1, **{name: 1})
        except TypeError as error:
            said = str(error)
        else:
            raise AssertionError(f"compile_2_14 has no {name}, and your call lets it through: nobody will read it")
        assert name in said, f"the error should name {name}; it says: {said}"


def refuses_before_building(answer: Callable[..., Any]) -> None:
    """An engine takes minutes: nothing is built when an option is wrong."""
    built = []

    def build(program: Any, **kwargs: Any) -> None:
        built.append(program)

    with contextlib.suppress(TypeError):
        answer(build, "program", precision="fp16")
    assert not built, "the builder was called all the same: check first, an engine takes minutes"


# engines --------------------------------------------------------------------------------------------------------------


def levels(steps: Sequence[Step], supported: Collection[str]) -> dict[str, int]:
    """By a step's name how many operations without a converter lie before it, on the way with most of them.

    Args:
        steps: each after its parents.
        supported: operations that have a converter.
    """
    found: dict[str, int] = {}
    unsupported = {step.name: step.operation not in supported for step in steps}
    for step in steps:
        found[step.name] = max((found[p] + unsupported[p] for p in step.parents), default=0)
    return found


def engines(steps: Sequence[Step], supported: Collection[str]) -> int:
    """How many engines a graph becomes: one for each level that holds a supported step.

    Args:
        steps, supported: see `levels`.
    """
    level = levels(steps, supported)
    return len({level[step.name] for step in steps if step.operation in supported})


def chain(*operations: str) -> list[Step]:
    """Steps one after another."""
    return [Step(f"s{i}", o, (f"s{i - 1}",) if i else (), "float32") for i, o in enumerate(operations)]


def side_by_side() -> list[Step]:
    """Two branches with an unsupported step each, joined: two engines, since both can wait for one."""
    steps = [Step("in", "conv2d", (), "float32")]
    steps += [Step(f"odd{i}", "odd", ("in",), "float32") for i in "ab"]
    steps += [Step(f"conv{i}", "conv2d", (f"odd{i}",), "float32") for i in "ab"]
    return [*steps, Step("sum", "add", ("conva", "convb"), "float32")]


def skipped(turned: bool = False) -> list[Step]:
    """Two branches, one without an unsupported step, joined; another such step behind them: three engines.

    Args:
        turned: the longer branch is the second parent of what joins them.
    """
    parents = ("side", "s2") if turned else ("s2", "side")
    steps = [*chain("conv2d", "odd", "conv2d"), Step("side", "relu", ("s0",), "float32")]
    steps += [Step("sum", "add", parents, "float32"), Step("odd", "odd", ("sum",), "float32")]
    return [*steps, Step("end", "relu", ("odd",), "float32")]


def apart() -> list[Step]:
    """Two chains that nothing joins, the second with an unsupported step: two engines."""
    second = [Step("t0", "conv2d", (), "float32"), Step("t1", "odd", ("t0",), "float32")]
    return [*chain("conv2d", "relu"), *second, Step("t2", "relu", ("t1",), "float32")]


Engines = Callable[[Sequence[Step], Collection[str]], int]
_SUPPORTED = frozenset({"conv2d", "relu", "add"})


def _counted(answer: Engines, steps: Sequence[Step], what: str, why: str) -> None:
    """An answer's count for a graph whose odd steps have no converter."""
    found, wanted = answer(list(steps), set(_SUPPORTED)), engines(steps, _SUPPORTED)
    level = levels(steps, _SUPPORTED)
    told = ", ".join(f"{step.name} {step.operation} {level[step.name]}" for step in steps)
    assert found == wanted, (
        f"{what}: {why}, so the answer is {wanted}, and yours is {found}.\nSteps and their levels: {told}"
    )


def counts_levels(answer: Engines) -> None:
    """One engine without an unsupported step, one more behind each in a chain."""
    _counted(answer, chain("conv2d", "relu", "conv2d"), "Three supported steps in a chain", "all have level 0")
    in_a_row = "a chain of conv2d, odd, relu, odd, conv2d"
    _counted(
        answer, chain("conv2d", "odd", "relu", "odd", "conv2d"), in_a_row, "levels 0, 1 and 2 hold a supported step"
    )


def leaves_out_empty_levels(answer: Engines) -> None:
    """A level without a supported step is no engine."""
    two = "Two odd steps in a row (conv2d, odd, odd, relu)"
    _counted(answer, chain("conv2d", "odd", "odd", "relu"), two, "level 1 holds an odd step alone and is no engine")
    _counted(answer, chain("odd", "odd"), "Two odd steps and nothing else", "no level holds a supported step")
    _counted(answer, chain("odd", "relu"), "An odd step, then relu", "only level 1 holds a supported step")


def shares_levels(answer: Engines) -> None:
    """Branches: a level is a property of the parents, not of the place in the list."""
    both = "Two branches with an odd step each"
    _counted(answer, side_by_side(), both, "what follows both has level 1, and one engine takes it")
    _counted(answer, apart(), "Two chains that nothing joins", "both begin at level 0 and share that engine")


def takes_the_largest(answer: Engines) -> None:
    """Of several parents the one with the most unsupported steps before it decides."""
    for turned, which in ((False, "first"), (True, "second")):
        what = f"Two branches; the {which} parent of sum has an odd step before it, the other has none"
        _counted(answer, skipped(turned), what, "the largest decides: sum has level 1, and end level 2")
    for seed in range(12):
        graph = _made_up(seed)
        held = sorted({levels(graph, _SUPPORTED)[step.name] for step in graph if step.operation in _SUPPORTED})
        _counted(
            answer, graph, "A made-up graph, steps with up to three parents", f"levels {held} hold a supported step"
        )


def _made_up(seed: int) -> list[Step]:
    """A random graph of nine steps."""
    random = np.random.default_rng(seed)
    steps: list[Step] = []
    for place in range(9):
        operation = str(random.choice(["conv2d", "relu", "odd"], p=[0.35, 0.3, 0.35]))
        chosen = random.permutation(place)[: random.integers(1, 4)]
        name = f"{operation}{'_' * int(random.integers(0, 3))}{place}"
        steps.append(Step(name, operation, tuple(steps[i].name for i in chosen), "float32"))
    return steps


class SplitMaxPool(nn.Module):
    """The global maximum as most would write it: (N, C, H, W) → (N, C, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveMaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


def with_pools(model: nn.Module, pool: type[nn.Module]) -> nn.Module:
    """A copy of a network whose global maxima are computed by another block."""
    twin = copy.deepcopy(model).eval()
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, GlobalMaxPool):
                setattr(module, name, pool())
    return twin


def gives_the_maxima(answer: type[nn.Module]) -> None:
    """The same numbers as PyTorch's pool, ties and negative maps included."""
    torch.manual_seed(0)
    for x in (torch.randn(2, 3, 5, 7), -torch.rand(1, 2, 4, 4) - 1, torch.zeros(1, 1, 3, 3)):
        wanted, found = nn.functional.adaptive_max_pool2d(x, 1), answer()(x)
        assert found.shape == wanted.shape, (
            f"for {tuple(x.shape)} the shape should be {tuple(wanted.shape)}, and is {tuple(found.shape)}"
        )
        assert torch.equal(found, wanted), (
            f"for {tuple(x.shape)} the first maximum should be {float(wanted[0, 0]):.4g}, and is "
            f"{float(found[0, 0]):.4g}{_instead(x, found)}"
        )


def _instead(x: Tensor, found: Tensor) -> str:
    """What was computed in the maxima's place, where that can be said."""
    flat = x.flatten(2)
    others = {"the minimum": flat.amin(2), "the minimum with the other sign": -flat.amin(2)}
    others |= {"the mean": flat.mean(2), "the sum": flat.sum(2), "the maximum with the other sign": -flat.amax(2)}
    return next((f": {name}" for name, y in others.items() if torch.allclose(found.flatten(1), y)), "")


def has_converters(answer: type[nn.Module]) -> None:
    """Nothing in its graph that ends an engine."""
    found = {step.operation for step in steps_of(export(answer(), torch.randn(2, 3, 5, 7)))}
    splits = sorted(found & {"adaptive_max_pool2d", "max", "adaptive_max_pool2d_with_indices", "max_pool2d"})
    assert not splits, (
        f"its graph holds {', '.join(splits)}, "
        + ("which gives places beside values" if "max" in splits else "which is a pool again")
        + ": is there a maximum over dimensions that gives values alone?"
    )


# half -----------------------------------------------------------------------------------------------------------------


def stretched(segmenter: Segmenter, factor: float) -> Segmenter:
    """The same network in exact arithmetic: its last maps `factor` times as large, its classifier as much smaller."""
    twin = copy.deepcopy(segmenter)
    reduce, classifier = (twin.model.get_submodule(name) for name in ("reduce", "classifier"))
    norm = next(m for m in reduce.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight.mul_(factor)
        norm.bias.mul_(factor)
        classifier.get_parameter("weight").div_(factor)
    return twin


def predict_in(segmenter: Segmenter, image: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The mask of an image when the network computes in a type; a pixel without a finite score is 255.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (H, W) uint8 class ids.
    """
    model = copy.deepcopy(segmenter.model).to(dtype).eval()
    pixels = torch.from_numpy(as_pixels(image)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = model(segmenter.normalise(pixels).to(dtype)).float()[0]
    lost = ~logits.isfinite().all(0)
    return logits.argmax(0).masked_fill(lost, 255).to(torch.uint8).numpy()


# pictures -------------------------------------------------------------------------------------------------------------


def road_to_engine(counts: Sequence[tuple[str, str]]) -> Figure:
    """Boxes from left to right, from a module to an engine; the last two need a GPU.

    Args:
        counts: name and one line for each box.
    """
    figure = Figure((9.6, 1.7), dpi=90, facecolor="white")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, len(counts)), ylim=(0, 1))
    axis.axis("off")
    for i, (name, line) in enumerate(counts):
        here = i < len(counts) - 2
        box = FancyBboxPatch((i + 0.08, 0.22), 0.8, 0.56, boxstyle="round,pad=0.02", fc="white", lw=2)
        box.set_edgecolor(BLUE if here else GREY)
        axis.add_patch(box)
        axis.text(i + 0.48, 0.6, name, ha="center", va="center", fontsize=10, color="black")
        axis.text(i + 0.48, 0.4, line, ha="center", va="center", fontsize=8, color="dimgrey")
        if i:
            axis.annotate("", (i + 0.05, 0.5), (i - 0.09, 0.5), arrowprops={"arrowstyle": "->", "color": "black"})
    axis.text(0.1, 0.06, "blue: runs on any machine    grey: needs an NVIDIA GPU", fontsize=8, color="dimgrey")
    return figure


def engine_map(steps: Sequence[Step], supported: Collection[str]) -> Figure:
    """Every operation of a graph as a tick in a row, coloured by the engine that it falls into; orange ones split."""
    level = levels(steps, supported)
    figure = Figure((9.6, 1.9), dpi=90, facecolor="white", layout="constrained")
    axis = figure.subplots()
    for i, step in enumerate(steps):
        inside = step.operation in supported
        axis.bar(i, 0.8, 1.0, bottom=level[step.name] + 0.1, color=BLUE if inside else ORANGE)
    rows = range(max(level.values()) + 1)
    axis.set_yticks([n + 0.5 for n in rows], [f"engine {n + 1}" for n in rows], fontsize=9)
    axis.set_xlabel("operations of the graph in order; orange has no converter", fontsize=9)
    axis.set_xlim(-1, len(steps))
    return figure


WHAT_TO_SHIP = Readings(
    "c",
    {
        "a": "The description says RTX 3090 and TensorRT 11.1. The board has another GPU and another TensorRT, and an "
        "engine is machine code for one of each.",
        "b": "hardware_compatible makes one engine for desktop GPUs from Ampere on. It does not join TensorRT 11.1 and "
        "10.3, and a Jetson is not among those GPUs.",
        "d": "The engine is built already. Which PyTorch opens it does not change what is in it.",
    },
)
