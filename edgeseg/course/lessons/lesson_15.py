"""Lesson 15: heat maps and whether they mean anything, the stored ones of Fig. 8, gates held still.

What looks at labels and frames is in `lesson_15_frames`.
"""

from __future__ import annotations

import copy
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from edgeseg import explain
from edgeseg.course.answers import Readings
from edgeseg.data.labels import ClassTable
from edgeseg.explain.inside import Network, Picture, find_module, own_copy, pixels_of
from edgeseg.explain.strips import FRAME
from edgeseg.inference import Segmenter
from edgeseg.models.layers import resize
from edgeseg.plots import BLUE, GREY, HEAT, ORANGE, VERMILION, heat_over, picture_grid

Rest = Callable[[Tensor], Tensor]
Heat = Callable[[nn.Module], np.ndarray]
HeatMap = Callable[[Tensor, Rest, int, Tensor], Tensor]

# the street -----------------------------------------------------------------------------------------------------------


def largest(label: np.ndarray, class_id: int) -> np.ndarray:
    """(H, W) bool: the largest connected piece of a class in an (H, W) label."""
    from scipy.ndimage import label as pieces  # stays with the lesson: an extra

    numbered, _ = pieces(label == class_id)
    counts = np.bincount(numbered.ravel())
    counts[0] = 0
    return np.asarray((numbered == counts.argmax()) & (label == class_id))


def said_of(mask: np.ndarray, region: np.ndarray, table: ClassTable) -> str:
    """What (H, W) class ids say inside an (H, W) bool region, the most frequent first, in words."""
    counts = np.bincount(mask[region].ravel(), minlength=len(table))
    named = [f"{table.names[i]} {counts[i] / counts.sum():.0%}" for i in np.argsort(-counts) if counts[i]]
    return ", ".join(named)


# heat maps ------------------------------------------------------------------------------------------------------------


def cut(network: Network, image: Picture, module: str) -> tuple[Tensor, Rest]:
    """A network cut in two behind a module that gives one map.

    Args:
        network, image: as in `edgeseg.explain.grad_cam`.
        module: dotted name.

    Returns:
        (1, K, h, w) maps of the module on this image, and the rest: such maps → logits (1, C, H, W), by the same
        network with these maps in the module's place.
    """
    segmenter = copy.deepcopy(own_copy(network)).requires_grad_(False)
    at, x = find_module(segmenter.model, module), segmenter.normalise(pixels_of(segmenter, image)[1])

    def run(put: Tensor | None) -> tuple[Tensor, Tensor]:
        kept: list[Tensor] = []

        def hook(_: nn.Module, __: Any, output: Tensor) -> Tensor | None:
            kept.append(output)
            return put

        handle = at.register_forward_hook(hook)
        try:
            logits = segmenter.model(x)
        finally:
            handle.remove()
        return kept[0], logits

    with torch.no_grad():
        maps = run(None)[0]
    return maps, lambda other: run(other)[1]


def heat_map(maps: Tensor, rest: Rest, class_id: int, region: Tensor) -> Tensor:
    """Seg-Grad-CAM of maps that the rest of a network reads.

    Args:
        maps: (1, K, h, w).
        rest: maps → logits (1, C, H, W).
        class_id: whose logits are summed.
        region: (H, W) bool, over which pixels.

    Returns:
        (h, w), 0 and up.
    """
    return _heat(maps, _slopes(maps, rest, class_id, region))


def _slopes(maps: Tensor, rest: Rest, class_id: int, region: Tensor) -> Tensor:
    """(1, K, h, w): of the class's logits, summed over the region."""
    with torch.enable_grad():
        maps = maps.detach().clone().requires_grad_()
        return torch.autograd.grad(rest(maps)[0, class_id][region].sum(), maps)[0]


def _heat(maps: Tensor, slopes: Tensor) -> Tensor:
    return (slopes.mean((2, 3), keepdim=True) * maps).sum(1)[0].relu().detach()


def _cases() -> Iterator[tuple[Tensor, Rest, int, Tensor]]:
    """Made-up maps and rests whose heat maps are partly zero."""
    for seed, size in enumerate(((5, 7), (4, 4))):
        random = torch.Generator().manual_seed(seed)
        maps = torch.randn(1, 6, *size, generator=random, dtype=torch.float64)
        weight = torch.randn(3, 6, 3, 3, generator=random, dtype=torch.float64)

        def rest(x: Tensor, weight: Tensor = weight) -> Tensor:
            y = nn.functional.conv2d(x + x.relu() ** 2, weight, padding=1)
            return resize(y, [2 * side for side in y.shape[-2:]])

        region = torch.zeros(2 * size[0], 2 * size[1], dtype=torch.bool)
        region[1:5, 2:6] = True
        yield maps, rest, 1 + seed % 2, region


_SLIPS: Mapping[str, Callable[[Tensor, Rest, int, Tensor], Tensor]] = {
    "some values are below 0: what speaks against the class is left out (ReLU of the sum)": lambda m, r, c, g: (
        _slopes(m, r, c, g).mean((2, 3), keepdim=True) * m
    ).sum(1)[0],
    "the ReLU comes last, after the sum over channels; yours comes before": lambda m, r, c, g: (
        (_slopes(m, r, c, g).mean((2, 3), keepdim=True) * m).relu().sum(1)[0]
    ),
    "every channel has one weight, the mean of its slopes over the map; yours multiplies place by place": (
        lambda m, r, c, g: (_slopes(m, r, c, g) * m).sum(1)[0].relu()
    ),
    "a channel's weight is the mean of its slopes; yours is their sum": lambda m, r, c, g: (
        (_slopes(m, r, c, g).sum((2, 3), keepdim=True) * m).sum(1)[0].relu()
    ),
    "a channel that speaks against the class has a weight below 0; yours has no such weights": lambda m, r, c, g: (
        (_slopes(m, r, c, g).mean((2, 3), keepdim=True).abs() * m).sum(1)[0].relu()
    ),
    "only negative weights set to 0 is something else: the ReLU is of the weighted sum": lambda m, r, c, g: (
        (_slopes(m, r, c, g).mean((2, 3), keepdim=True).relu() * m).sum(1)[0].relu()
    ),
    "only negative weights set to 0, and nothing done to the sum: the ReLU is of the weighted sum": lambda m, r, c, g: (
        _slopes(m, r, c, g).mean((2, 3), keepdim=True).relu() * m
    ).sum(1)[0],
    "what speaks against the class is left out, at 0 (ReLU); yours gives it the other sign (abs)": lambda m, r, c, g: (
        (_slopes(m, r, c, g).mean((2, 3), keepdim=True) * m).sum(1)[0].abs()
    ),
    "a channel's weight is the mean of its slopes; yours is the largest": lambda m, r, c, g: (
        (_slopes(m, r, c, g).amax((2, 3), keepdim=True) * m).sum(1)[0].relu()
    ),
    "a channel's weight is the sum of its slopes over the number of places; yours divides by that of the channels": (
        lambda m, r, c, g: (_slopes(m, r, c, g).sum((2, 3), keepdim=True) / m.shape[1] * m).sum(1)[0].relu()
    ),
    "the channels are added up; yours takes their mean": lambda m, r, c, g: heat_map(m, r, c, g) / m.shape[1],
    "the logits are summed over the region; yours takes their mean": lambda m, r, c, g: heat_map(m, r, c, g) / g.sum(),
    "the logits are summed over the region only; yours takes the whole picture": lambda m, r, c, g: heat_map(
        m, r, c, torch.ones_like(g)
    ),
    "the map itself is missing: weights times maps": lambda m, r, c, g: _slopes(m, r, c, g).sum(1)[0].relu(),
    "the logits of one class are asked for; yours sums those of all classes": lambda m, r, c, g: _heat(
        m, torch.stack([_slopes(m, r, k, g) for k in range(3)]).sum(0)
    ),
}


def has_the_maps_size(answer: HeatMap) -> None:
    """One number for every place of the map."""
    for case in _cases():
        found = _numbers(answer(*case))
        wanted = tuple(case[0].shape[2:])
        assert found.shape == wanted, f"the maps are {wanted[0]}×{wanted[1]}; your heat map has the shape {found.shape}"


def is_the_formula(answer: HeatMap) -> None:
    """The numbers, and if they are others, which slip gives them."""
    for case in _cases():
        found, wanted = _numbers(answer(*case)), heat_map(*case).numpy()
        if not np.allclose(found, wanted):
            slip = next((words for words, other in _SLIPS.items() if np.allclose(found, other(*case).numpy())), "")
            place = np.unravel_index(np.abs(found - wanted).argmax(), wanted.shape)
            raise AssertionError(
                slip
                or f"at {tuple(map(int, place))} of a made-up map your heat is {found[place]:.4g}, and should be "
                f"{wanted[place]:.4g}"
            )


def leaves_the_maps(answer: HeatMap) -> None:
    """The same question has the same answer, and the maps stay as they are."""
    for case in _cases():
        kept = case[0].clone()
        first, again = _numbers(answer(*case)), _numbers(answer(*case))
        assert torch.equal(kept, case[0].detach()), "the maps that were given have changed: work on a copy"
        assert np.allclose(first, again), (
            "asked twice, it gives two answers: backward() adds to what lies in maps.grad; torch.autograd.grad does not"
        )


HEAT_MAP = (has_the_maps_size, is_the_formula, leaves_the_maps)


def _numbers(found: Any) -> np.ndarray:
    assert found is not None, "it returns nothing: is the return missing?"
    return found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)


def on_the_class(heat: np.ndarray, region: np.ndarray) -> float:
    """Share of a heat map, resized bilinearly, that lies in an (H, W) bool region, 0…1; 0 of an empty one."""
    large = Image.fromarray(np.asarray(heat, np.float32)).resize(region.shape[::-1], Image.Resampling.BILINEAR)
    values = np.asarray(large, np.float64)
    return float(values[region].sum() / values.sum()) if values.sum() > 0 else 0.0


# does the picture mean anything? --------------------------------------------------------------------------------------


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation (Spearman) of two maps of one size, −1…1, whatever their scales; 0 where one is all equal."""
    from scipy.stats import rankdata

    ranks = [rankdata(np.asarray(values).ravel()) for values in (a, b)]
    return 0.0 if min(np.ptp(r) for r in ranks) == 0 else float(np.corrcoef(*ranks)[0, 1])


def randomise(model: nn.Module, name: str) -> None:
    """Make a module's layers as they were before any training, in place; the same numbers in every call.

    Args:
        name: dotted, as ``model.named_modules()`` has it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(name.encode()))
        for layer in find_module(model, name).modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()


def sanity(model: nn.Module, heat: Heat, layers: Sequence[str]) -> list[float]:
    """How far a heat map outlives the network: `alike` with the trained one's, as more and more layers are random.

    Args:
        model: is left as it is.
        heat: model → (h, w).
        layers: dotted names, in the order in which they are made random.
    """
    trained, random, found = heat(model), copy.deepcopy(model), []
    for name in layers:
        randomise(random, name)
        found.append(alike(trained, heat(random)))
    return found


_LAYERS = ("2", "1", "0")


def _little() -> nn.Module:
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model


def _weights_as_heat(model: nn.Module) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in model.parameters()])[None].numpy().copy()


Sanity = Callable[[nn.Module, Heat, Sequence[str]], Sequence[float]]


def leaves_the_network(answer: Sanity) -> None:
    """The caller's network is trained afterwards, too."""
    model = _little()
    kept = copy.deepcopy(model.state_dict())
    answer(model, _weights_as_heat, _LAYERS)
    same = all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert same, "after your test the network that was given is random: make a copy (copy.deepcopy) and spoil that"


def one_number_a_layer(answer: Sanity) -> None:
    """As many as layers, in their order."""
    found = answer(_little(), _weights_as_heat, _LAYERS)
    assert isinstance(found, (list, tuple, np.ndarray)), f"give a list of numbers; yours is a {type(found).__name__}"
    assert len(found) == len(_LAYERS), f"{len(_LAYERS)} layers are made random, and your list has {len(found)} numbers"


def is_against_the_trained(answer: Sanity) -> None:
    """Every map against the trained network's; layers stay random once they are."""
    found = [float(x) for x in answer(_little(), _weights_as_heat, _LAYERS)]
    wanted = sanity(_little(), _weights_as_heat, _LAYERS)
    if np.allclose(found, wanted):
        return
    assert not np.allclose(found, 1), "all are 1.00: both maps come from one and the same network, the random one"
    alone = [sanity(_little(), _weights_as_heat, [name])[0] for name in _LAYERS]
    assert not np.allclose(found, alone), "each layer is random by itself; go on with one copy"
    assert not np.allclose(found, sanity(_little(), _weights_as_heat, _LAYERS[::-1])), (
        "the layers are made random in the order of the list; yours begins at its end"
    )
    assert not np.allclose(found, [1, *wanted[:-1]]), (
        "one layer behind: your first number is of the trained network itself, your second of the first random layer"
    )
    raise AssertionError(
        f"a made-up network of three layers should give {_short(wanted)}, and yours gives {_short(found)}: is every "
        "map compared with the trained network's?"
    )


SANITY = (leaves_the_network, one_number_a_layer, is_against_the_trained)


def _short(numbers: Sequence[float]) -> str:
    return ", ".join(f"{x:.2f}" for x in numbers)


def methods(segmenter: Segmenter, image: np.ndarray, class_id: int, region: np.ndarray) -> dict[str, Heat]:
    """Three ways to make a picture "of what the network sees", each model → map.

    Args:
        segmenter: gives the preprocessing.
        image: (H, W, 3) uint8.
        class_id, region: as in `edgeseg.explain.grad_cam`.

    Returns:
        Seg-Grad-CAM in the map before the classifier (h, w); sizes of the logits' slopes by pixels (H, W); edges of
        the photograph (H, W), which no network takes part in.
    """
    x = segmenter.normalise(pixels_of(segmenter, image)[1])
    chosen = torch.from_numpy(region)

    def with_model(model: nn.Module) -> Segmenter:
        mean, std = ((values.flatten() / 255).tolist() for values in (segmenter.mean, segmenter.std))
        return Segmenter(model, mean, std)

    def cam(model: nn.Module) -> np.ndarray:
        return explain.grad_cam(with_model(model), image, class_id, None, region).before[0]

    def slopes(model: nn.Module) -> np.ndarray:
        return _slopes(x, model, class_id, chosen)[0].abs().sum(0).numpy()

    def edges(_: nn.Module) -> np.ndarray:
        return np.hypot(*np.gradient(image.mean(2)))

    return {"Seg-Grad-CAM": cam, "slopes of the pixels": slopes, "edges of the photograph": edges}


def drawn_by(methods: Mapping[str, Heat], model: nn.Module, image: np.ndarray) -> Photo:
    """What methods draw of a trained network, and of the same with every layer random; square roots, own scales.

    Args:
        methods: of `methods`.
        model: trained; is left as it is.
        image: (H, W, 3) uint8, drawn below in grey.
    """
    random = copy.deepcopy(model)
    for name, _ in model.named_children():
        randomise(random, name)
    rows = [[heat_over(image, heat(one) ** 0.5) for heat in methods.values()] for one in (model, random)]
    return Photo(picture_grid(rows, [list(methods)], ["trained", "all layers random"]), 0.75)


class Photo:
    """A figure as JPEG, which keeps photographs in a fifth of the space that PNG takes.

    Args:
        figure, scale, dpi: as in `smaller`.
    """

    def __init__(self, figure: Figure, scale: float = 0.62, dpi: int = 90) -> None:
        written = io.BytesIO()
        smaller(figure, scale, dpi).savefig(
            written, format="jpeg", dpi=dpi, bbox_inches="tight", pil_kwargs={"quality": 75}
        )
        self.data = written.getvalue()

    def _repr_jpeg_(self) -> bytes:
        return self.data

    def __repr__(self) -> str:
        return "a picture"


def smaller(figure: Figure, scale: float = 0.62, dpi: int = 90) -> Figure:
    """The same figure on less space, on white.

    Args:
        scale: factor of its width and height in inches; letters keep their size.
        dpi: dots per inch.
    """
    width, height = figure.get_size_inches()
    figure.set_size_inches(width * scale, height * scale)
    figure.set_dpi(dpi)
    figure.set_facecolor("white")
    return figure


def likeness(found: Mapping[str, Sequence[float]], layers: Sequence[str]) -> Figure:
    """How far each method's map outlives the network, see `sanity`."""
    figure = Figure((7.4, 2.8), dpi=90, facecolor="white", layout="constrained")
    axis = figure.subplots()
    for (name, values), color in zip(found.items(), (BLUE, VERMILION, GREY), strict=False):
        axis.plot([1, *values], "o-", color=color, label=name)
    axis.set_xticks(range(len(layers) + 1), ["trained", *(f"+ {name}" for name in layers)], fontsize=8)
    axis.set(ylabel="likeness to the trained map", ylim=(-0.5, 1.06))
    axis.axhline(0, color="black", lw=0.8)
    axis.legend(frameon=False, fontsize=9, loc="lower left")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


# Fig. 8 ---------------------------------------------------------------------------------------------------------------

STRIPS = {
    **{"HRNet": "hrnet", "with BFEM": "hrnet_bfem", "with FUSM": "hrnet_fusm"},
    **{"with ECA": "hrnet_eca", "with AAM": "hrnet_aam"},
}
_TILE, _NAMES = 150, 16  # pixels of a strip's pictures, and of its line of names


def find_strips() -> Path:
    """The folder of stored heat maps: ``docs/images/heat_streets`` beside or above the notebook, or the package.

    Raises:
        FileNotFoundError: there is none.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, *Path(__file__).parents):
        if (found := folder / "docs" / "images" / "heat_streets").is_dir():
            return found
    raise FileNotFoundError("no docs/images/heat_streets in or above this folder: open the notebook inside the project")


def strips(folder: Path, classes: Mapping[str, int]) -> dict[str, list[np.ndarray]]:
    """Pictures (h, w, 3) uint8 of stored strips, the truth first: photograph, then one for each of the classes."""
    rows = {"truth": _tiles(folder / FRAME, _NAMES)}
    rows |= {name: _tiles(folder / f"{file}.jpg") for name, file in STRIPS.items()}
    return {name: [row[0], *(row[1 + i] for i in classes.values())] for name, row in rows.items()}


def _tiles(path: Path, above: int = 0) -> list[np.ndarray]:
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))[above:]
    return [pixels[:, left : left + _TILE] for left in range(0, pixels.shape[1], _TILE)]


def read_back(rows: Mapping[str, Sequence[np.ndarray]]) -> dict[str, list[float]]:
    """Share of the heat on its own class, read from the pictures of `strips`: colours back to values.

    Returns:
        network → one share, 0…1, for each class.
    """
    colors = (255 * colormaps[HEAT](np.linspace(0, 1, 256))[:, :3]).T
    found: dict[str, list[float]] = {}
    for name, row in rows.items():
        if name == "truth":
            continue
        shares, grey = [], row[0].mean(2, keepdims=True)
        for tile, truth in zip(row[1:], rows["truth"][1:], strict=True):
            heat = (tile - 0.3 * grey) / 0.7  # `plots.heat_over` mixed them so
            values = ((colors**2).sum(0) - 2 * heat @ colors).argmin(2) / 255  # the nearest of the colours
            region = truth[..., 0].astype(int) - truth[..., 2] > 60  # orange on grey, see `plots.marked`
            shares.append(float(values[region].sum() / max(values.sum(), 1e-9)))
        found[name] = shares
    return found


def strips_picture(rows: Mapping[str, Sequence[np.ndarray]], classes: Mapping[str, int]) -> Photo:
    """The stored heat maps as a grid: a network a row, a class a column."""
    pictures = [row[1:] for row in rows.values()]
    return Photo(picture_grid(pictures, [list(classes)], list(rows)), 0.64, 76)


FIG_8 = Readings(
    "c",
    {
        "a": "The column Car looks so. The numbers under it do not: on cars lies about a fifth of the heat with and "
        "without BFEM, and the road, large too, had its heat before.",
        "b": "These are five trainings of one seed, and one street. No effect is claimed only after several of both.",
        "d": "Each map is divided by its own largest value, so its lightest place is light in every network.",
    },
)


# gates ----------------------------------------------------------------------------------------------------------------


def channel_gates(network: Network, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Channel gates on several images: name as in `edgeseg.explain.gates` → (images, C), 0…1."""
    seen = [explain.gates(network, image) for image in images]
    kinds = {name: gate.kind for name, gate in seen[0].items()}
    return {n: np.stack([one[n].values for one in seen]) for n, kind in kinds.items() if kind == "channels"}


@contextmanager
def held_still(model: nn.Module, gates: Mapping[str, np.ndarray]) -> Iterator[None]:
    """The sigmoids of some modules give fixed numbers, whatever they see.

    Args:
        gates: name of the module that the sigmoid belongs to → (C,).
    """
    handles = []
    for name, values in gates.items():
        sigmoid = next(m for m in find_module(model, name).children() if isinstance(m, nn.Sigmoid))
        fixed = torch.from_numpy(np.asarray(values, np.float32))
        handles.append(
            sigmoid.register_forward_hook(lambda _, __, gate, fixed=fixed: fixed.view(1, -1, 1, 1).expand_as(gate))
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def gate_bands(gates: Mapping[str, np.ndarray]) -> Figure:
    """Every channel's gate, sorted: mean over the images, and a band from the smallest to the largest.

    Args:
        gates: of `channel_gates`.
    """
    figure = Figure((9.4, 2.5), dpi=90, facecolor="white", layout="constrained")
    axes = figure.subplots(1, len(gates), sharey=True, squeeze=False)[0]
    for axis, (name, values) in zip(axes, gates.items(), strict=True):
        order = values.mean(0).argsort()
        places = np.arange(len(order))
        axis.fill_between(places, values.min(0)[order], values.max(0)[order], color=ORANGE, lw=0, label="streets")
        axis.plot(places, values.mean(0)[order], color=BLUE, lw=1.2, label="mean")
        axis.set_title(name.removeprefix("decoder."), fontsize=9)
        axis.set_xlabel("channels, sorted", fontsize=8)
        axis.set(ylim=(0, 1), xlim=(0, len(order) - 1))
    axes[0].set_ylabel("gate")
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    return figure
