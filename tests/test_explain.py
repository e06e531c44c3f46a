"""Explanations are arithmetic: each equals what a small network of known weights must give, and none leaves a trace."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgeseg.data.labels import CAMVID, VOID, ClassTable
from edgeseg.explain import (
    HeatStrips,
    class_heat,
    compare,
    distance_figure,
    effective_receptive_field,
    error_by_distance,
    failure_gallery,
    field_figure,
    gates,
    gates_figure,
    grad_cam,
    heat_figure,
    shown_classes,
)
from edgeseg.explain.boundary import boundary_distance
from edgeseg.explain.frames import measure, worst_of
from edgeseg.inference import Segmenter
from edgeseg.metrics import boundary_classes
from edgeseg.models.registry import ARCHS, create_model
from edgeseg.plots import heat_over
from small_networks import small_switches, stir

TWO = ClassTable("two", ("ground", "thing"), ((0, 0, 0), (9, 9, 9)))
PLAIN = {"mean": (0.5,) * 3, "std": (0.25,) * 3}


def noise(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def network(name: str, **switches) -> Segmenter:
    torch.manual_seed(0)
    model = create_model(name, 11, **{**small_switches(name), **switches}).eval()
    stir(model)
    return Segmenter(model, (0.5,) * 3, (0.25,) * 3, table=CAMVID)


class Pair(nn.Module):
    """Two 1×1 convolutions with an activation between them that works in place; a head that eval mode leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = nn.Conv2d(4, 2, 1)
        self.aux_head = nn.Conv2d(4, 2, 1)
        self.none = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.relu(self.first(x)))


@pytest.fixture
def pair() -> Pair:
    torch.manual_seed(4)  # one that gives both classes pixels, and a heat map values
    return Pair()


# heat maps ------------------------------------------------------------------------------------------------------------


def by_formula(maps: torch.Tensor, slopes: torch.Tensor) -> np.ndarray:
    """ReLU of the channels (K, h, w) summed under the mean over the map of their slopes (K, h, w)."""
    return (slopes.mean((1, 2))[:, None, None] * maps).sum(0).clamp(min=0).numpy()


def test_a_heat_map_is_the_formula_on_both_sides_of_a_module_that_works_in_place(pair):
    image, region = noise(6, 5), np.zeros((6, 5), bool)
    region[1:4, 2:] = True
    maps = grad_cam(Segmenter(pair, **PLAIN, table=TWO), image, "thing", "relu", region)
    x = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    with torch.no_grad():
        before = pair.first(x)[0]
        # slopes of the logits summed over the region
        after_slopes = pair.classifier.weight[1, :, 0, 0][:, None, None] * torch.from_numpy(region).float()
        np.testing.assert_allclose(maps.after[0], by_formula(before.relu(), after_slopes), rtol=1e-4)
        np.testing.assert_allclose(maps.before[0], by_formula(before, after_slopes * (before > 0)), rtol=1e-4)
    assert min(maps.before[0].max(), maps.after[0].max()) > 0
    assert (maps.class_name, maps.module) == ("thing", "relu")


def test_the_region_is_by_default_what_the_network_gives_the_class(pair):
    segmenter = Segmenter(pair, **PLAIN, table=TWO)
    image = noise(8, 8)
    own = segmenter.predict(image) == 1
    maps = grad_cam(segmenter, image, 1, "first")
    assert (maps.region == own).all()
    assert 0 < own.sum() < own.size
    np.testing.assert_array_equal(maps.before[0], grad_cam(segmenter, image, "thing", "first", own).before[0])


def test_a_module_of_two_maps_has_two_heat_maps_before_it(tmp_path):
    segmenter, image = network("cross_cbam_m"), noise()
    maps = grad_cam(segmenter, image, int(segmenter.predict(image)[0, 0]), "decoder.fuse8")
    assert [heat.shape for heat in (*maps.before, *maps.after)] == [(8, 12)] * 3
    lists = grad_cam(network("hrnet"), image, "Sky", "backbone.stage4.0", np.ones((64, 96), bool))
    assert [heat.shape for heat in lists.before] == [heat.shape for heat in lists.after]
    assert len(lists.after) == 4
    figure = heat_figure([maps, lists], ["a", "b"])
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[2:5] == ["before 1, 8×12", "before 2, 8×12", "after, 8×12"]
    assert titles.count("after 4, 2×3") == 1


@pytest.mark.parametrize(
    ("name", "classifier"),
    [("cross_cbam_m", "classifier"), ("hrnet", "head.classifier"), ("stdc1_seg", None), ("lraspp_mobilenet_v3", None)],
)
def test_without_a_module_it_is_what_the_classifier_sees(name, classifier):
    if name not in ARCHS:
        pytest.skip(f"no {name} here")
    segmenter, image, region = network(name), noise(), np.ones((64, 96), bool)
    maps = grad_cam(segmenter, image, "Sky", None, region)
    assert classifier in (None, maps.module)
    assert segmenter.model.get_submodule(maps.module).weight.shape[0] == 11
    np.testing.assert_array_equal(maps.before[0], grad_cam(segmenter, image, "Sky", maps.module, region).before[0])


def test_a_network_without_a_classifier_is_asked_for_its_module():
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.conv(x)[:, :2]

    with pytest.raises(ValueError, match="name the module"):
        grad_cam(Segmenter(Wide(), **PLAIN, table=TWO), noise(6, 5), 1, None, np.ones((6, 5), bool))


class Quiet:
    """Three labelled images; the second shows most classes, the third as many."""

    table = TWO

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        label = np.full((60, 50), VOID, np.uint8)
        label[:30] = 0
        if i:
            label[30, :20] = 1
        label[31, 0] = 1  # under a thousandth
        return noise(60, 50, i), label


def test_strips_are_of_the_frame_that_shows_most_and_are_drawn_once(pair, tmp_path):
    strips, network = HeatStrips(Quiet(), tmp_path / "heat"), Segmenter(pair, **PLAIN, table=TWO)
    assert strips.index == 1
    image, label = Quiet()[1]
    assert shown_classes(Quiet()[0][1]) == [0]
    maps = class_heat(network, image, label)
    assert list(maps) == ["ground", "thing"]
    one = grad_cam(network, image, "thing", "classifier", label == 1).before[0]
    np.testing.assert_array_equal(maps["thing"], heat_over(image, one))
    path = strips.add("pair", network)
    with Image.open(path) as strip, Image.open(tmp_path / "heat" / "frame.jpg") as frame:
        assert strip.width == frame.width == 3 * 150
        assert frame.height - strip.height == 16  # the names
        drawn = np.asarray(strip.crop((300, 0, 450, 180)).resize((50, 60)), float)
    off = {name: np.abs(drawn - heat).mean() for name, heat in maps.items()}  # a JPEG, enlarged and back
    assert off["thing"] < off["ground"] / 2
    path.write_bytes(b"kept")
    assert HeatStrips(Quiet(), tmp_path / "heat").add("pair", network).read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("relo", r"no module 'relo' \(did you mean relu\?\); there are first, relu, classifier, aux_head"),
        ("first.deeper", "no module 'first.deeper'; there are none"),
        ("aux_head", "module 'aux_head' does not run in eval mode"),
    ],
)
def test_a_module_that_cannot_be_watched_is_refused_with_what_there_is(pair, module, words):
    with pytest.raises(ValueError, match=words):
        grad_cam(Segmenter(pair, **PLAIN, table=TWO), noise(6, 5), 1, module, np.ones((6, 5), bool))


def test_a_class_or_region_that_cannot_be_is_refused(pair):
    segmenter, image = Segmenter(pair, **PLAIN, table=TWO), noise(6, 5)
    for wrong, words in (("sky", "no class 'sky' in two"), (2, "class 2: the network has the classes 0 to 1")):
        with pytest.raises(ValueError, match=words):
            grad_cam(segmenter, image, wrong, "first")
    with pytest.raises(ValueError, match=r"region is \(5, 6\), the image \(6, 5\)"):
        grad_cam(segmenter, image, 1, "first", np.ones((5, 6), bool))
    with pytest.raises(ValueError, match="region holds no pixel"):
        grad_cam(segmenter, image, 1, "first", np.zeros((6, 5), bool))
    with torch.no_grad():
        pair.classifier.bias[0] += 1e6
    with pytest.raises(ValueError, match="gives no pixel of this image the class thing"):
        grad_cam(segmenter, image, "thing", "first")
    with pytest.raises(ValueError, match="knows no names; give the id, 0 to 1"):
        grad_cam(Segmenter(pair, **PLAIN), image, "thing", "first")
    with pytest.raises(ValueError, match="wrap your model"):
        grad_cam(pair, image, 1, "first")


# gates ----------------------------------------------------------------------------------------------------------------

KINDS = {
    "cross_cbam_m": ("cross_cbam_m", {}, {"channels": 5, "pixels": 4}),
    "aam": ("hrnet", {"attention": "aam"}, {"rows": 5, "columns": 5}),
    "cbam": ("hrnet", {"attention": "cbam"}, {"channels": 5, "pixels": 5}),
    "se": ("hrnet", {"attention": "se"}, {"channels": 5}),
    "eca": ("hrnet", {"attention": "eca"}, {"channels": 5}),
    "pp_liteseg_t": ("pp_liteseg_t", {}, {"pixels": 3}),
}


@pytest.mark.parametrize("case", KINDS)
def test_gates_are_what_a_hook_on_the_sigmoids_sees(case):
    name, switches, kinds = KINDS[case]
    segmenter, image = network(name, **switches), noise()
    seen = []
    twin = copy.deepcopy(segmenter)
    for module in twin.modules():
        if isinstance(module, nn.Sigmoid):
            module.register_forward_hook(lambda _, __, gate: seen.append(gate))
    twin.predict(image)
    found = gates(segmenter, image)
    for gate, value in zip(found.values(), seen, strict=True):
        np.testing.assert_array_equal(gate.values, value.numpy().reshape(gate.values.shape))
        assert 0 <= gate.values.min() <= gate.values.max() <= 1
    assert any(np.ptp(gate.values) > 0.01 for gate in found.values())
    assert {kind: [g.kind for g in found.values()].count(kind) for kind in kinds} == kinds
    assert len(found) == sum(kinds.values())


def test_gates_have_their_modules_names_and_shapes():
    found = gates(network("cross_cbam_m"), noise())
    assert found["decoder.fuse8.spatial_low"].values.shape == (8, 12)
    assert found["decoder.fuse16.channel_high"].values.ndim == found["context"].values.ndim == 1
    axial = gates(network("hrnet", attention="aam"), noise())
    shapes = [axial[f"attention.0 {kind}"].values.shape for kind in ("rows", "columns")]
    assert shapes == [(8, 16), (8, 24)]
    figure = gates_figure({**axial, **found}, noise())
    assert "attention.0 rows" in figure.axes[0].get_title()
    with pytest.raises(ValueError, match="no gates to draw"):
        gates_figure(gates(network("hrnet"), noise()), noise())


# no trace -------------------------------------------------------------------------------------------------------------


def state(model: nn.Module) -> list:
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in model.modules()]
    return [
        hooks,
        [(p.requires_grad, p.grad, p.clone()) for p in model.parameters()],
        [b.clone() for b in model.buffers()],
    ]


def same(a, b) -> bool:
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(torch.equal(a, b)) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("as_model", [True, False])
def test_nothing_of_the_callers_changes(as_model):
    segmenter = network("cross_cbam_m")
    given = segmenter
    if as_model:
        given = segmenter.model
        classes = [{"name": n, "color": c} for n, c in zip(CAMVID.names, CAMVID.colors, strict=True)]
        given.meta = {"mean": [0.5] * 3, "std": [0.25] * 3, "classes": classes, "table": "camvid11"}
    given.train()
    next(given.parameters()).requires_grad_(False)
    before, image = state(given), noise()
    with torch.no_grad():
        first = grad_cam(given, image, 3, "decoder.fuse8", np.ones((64, 96), bool))
        gates(given, image)
    with torch.inference_mode():
        second = grad_cam(given, image, 3, "decoder.fuse8", np.ones((64, 96), bool))
        effective_receptive_field(given, "decoder.fuse8", (64, 96), n=1)
    assert same(before, state(given))
    assert first.after[0].max() > 0
    np.testing.assert_array_equal(first.after[0], second.after[0])


def test_a_frozen_network_can_be_explained():
    segmenter = network("cross_cbam_m")
    free = grad_cam(segmenter, noise(), 3, "backbone", np.ones((64, 96), bool))
    segmenter.requires_grad_(False)
    frozen = grad_cam(segmenter, noise(), 3, "backbone", np.ones((64, 96), bool))
    assert all(map(np.array_equal, free.after, frozen.after))
    assert len(free.after) == 3


# frames ---------------------------------------------------------------------------------------------------------------


class Frames:
    """Labels of four quarters and of one class, as pictures; the network of `reads` gets some frames wrong."""

    table = TWO
    names = ("a", "b", "c")

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        label = np.zeros((8, 8), np.uint8)
        label[:, 4:] = 1
        return np.repeat((label * 200)[..., None], 3, axis=2) + np.uint8(index), label


def reads(image: np.ndarray) -> np.ndarray:
    """Right in frame a, a quarter wrong in b, half of it in c."""
    mask = (image[..., 0] >= 200).astype(np.uint8)
    wrong = int(image[0, 0, 0]) * 2
    mask[:wrong] = 0
    return mask


def test_a_comparison_has_a_row_per_frame_and_says_each_networks_score():
    frames = [Frames()[i] for i in (0, 2)]
    figure = compare(
        frames, {"right": lambda image: (image[..., 0] >= 200).astype(np.uint8), "other": reads}, TWO, ["a", "c"]
    )
    titles = [axis.get_title() for axis in figure.axes]
    c = 100 * (32 / 48 + 16 / 32) / 2  # ground: 32 of 48, thing: 16 of 32
    assert titles == [
        *("photograph", "truth", "right\nmIoU 100.0 %", "other\nmIoU 100.0 %"),
        *("photograph", "truth", "right\nmIoU 100.0 %", f"other\nmIoU {c:.1f} %"),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ground", "thing"]
    with_errors = compare(frames, {"other": reads}, TWO, errors=True)
    wrong = with_errors.axes[11].images[0].get_array()  # of the second frame
    assert (wrong == (213, 94, 0)).all(-1).sum() == 16
    without = compare([(frames[0][0], None)], {"other": reads}, TWO)
    assert [axis.get_title() for axis in without.axes] == ["photograph", "other"]


def test_a_comparison_that_makes_no_sense_is_refused():
    image, label = Frames()[0]
    for frames, networks, errors, words in (
        ([], {"a": reads}, False, "needs a frame and a network"),
        ([(image, None)], {}, False, "needs a frame and a network"),
        ([(image, None), (image, label)], {"a": reads}, False, "truth of 1 of 2 frames"),
        ([(image, None)], {"a": reads}, True, "leave errors out"),
    ):
        with pytest.raises(ValueError, match=words):
            compare(frames, networks, TWO, errors=errors)


def test_the_gallery_shows_the_worst_frames_worst_first():
    reader = type("Reader", (), {"predict": staticmethod(reads)})()
    matrix, each = measure(reader, Frames(), "")
    assert each == pytest.approx([1.0, (32 / 40 + 24 / 32) / 2, (32 / 48 + 16 / 32) / 2])
    assert matrix.matrix.tolist() == [[96, 0], [24, 72]]
    assert worst_of(each, 2) == [2, 1]
    figure = failure_gallery(reader, Frames(), n=2)
    assert [axis.get_ylabel() for axis in figure.axes[::4]] == ["c\nmIoU 58.3 %", "b\nmIoU 77.5 %"]


# receptive fields -----------------------------------------------------------------------------------------------------


def stack(*layers: nn.Conv2d) -> Segmenter:
    """Convolutions whose weights are all those of the binomial kernel, every channel alike."""
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    for layer in layers:
        nn.init.zeros_(layer.bias)
        with torch.no_grad():
            layer.weight.copy_(torch.outer(row, row) if layer.kernel_size == (3, 3) else torch.ones(2, 2))
    return Segmenter(nn.Sequential(*layers), **PLAIN)


def binomial(n: int, size: int) -> np.ndarray:
    """n over k, of unit sum, in the middle of a row of this size."""
    profile = np.array([math.comb(n, k) for k in range(n + 1)]) / 2**n
    return np.pad(profile, (size - n) // 2)


@pytest.mark.parametrize("images", [None, [noise(), noise(32, 32, 1)]])
def test_the_field_of_stacked_convolutions_is_the_binomial(images):
    segmenter = stack(nn.Conv2d(3, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    for module, depth in (("0", 1), ("1", 2), ("2", 3), ("", 3)):
        field = effective_receptive_field(segmenter, module, (21, 21), images, n=2)
        profile = binomial(2 * depth, 21)
        np.testing.assert_allclose(field.mass, np.outer(profile, profile), atol=1e-7)
        assert field.centre == (10, 10)
    inner = [profile[10 - r : 11 + r].sum() ** 2 for r in range(4)]  # of squares of side 1, 3, 5 and 7
    assert [field.side(share) for share in (inner[0], inner[1], inner[2], 1.0, inner[1] + 1e-6)] == [1, 3, 5, 7, 5]
    assert field.side() == 7  # 93.8 % within 5


def test_a_dilated_convolution_has_a_comb():
    segmenter = stack(nn.Conv2d(3, 1, 3, padding=3, dilation=3), nn.Conv2d(1, 1, 3, padding=3, dilation=3))
    field = effective_receptive_field(segmenter, "1", (21, 21), n=1)
    comb = np.zeros(21)
    comb[4:17:3] = binomial(4, 5)
    np.testing.assert_allclose(field.mass, np.outer(comb, comb), atol=1e-7)


def test_a_unit_of_a_coarse_map_lies_between_pixels():
    field = effective_receptive_field(stack(nn.Conv2d(3, 2, 2, stride=2)), "0", (8, 12), n=4)
    assert field.centre == (4.5, 6.5)
    assert field.side(1.0) == 2
    np.testing.assert_allclose(field.mass[4:6, 6:8], 0.25, atol=1e-7)


def test_activations_that_work_in_place_do_not_reach_back():
    model = stack(nn.Conv2d(3, 1, 3, padding=1)).model
    model.append(nn.ReLU(inplace=True))
    with torch.no_grad():
        model[0].bias -= 1000  # the activation lets nothing through
    segmenter = Segmenter(model, **PLAIN)
    assert effective_receptive_field(segmenter, "0", (9, 9), n=1).side(1.0) == 3
    with pytest.raises(ValueError, match="module '1': its centre depends on no pixel"):
        effective_receptive_field(segmenter, "1", (9, 9), n=1)


def test_a_real_networks_field_grows_with_depth_and_can_be_drawn():
    segmenter = network("cross_cbam_m")
    fields = {
        name or "logits": effective_receptive_field(segmenter, name, (64, 96), n=2) for name in ("backbone.stage3", "")
    }
    assert fields["backbone.stage3"].side() < fields["logits"].side()
    figure = field_figure(fields)
    assert figure.axes[1].get_title() == f"logits\n95 % within {fields['logits'].side():.0f} px"
    with pytest.raises(ValueError, match="module 'backbone' gives no single map"):
        effective_receptive_field(segmenter, "backbone", (64, 96), n=1)
    with pytest.raises(ValueError, match="module 'aux_head' does not run in eval mode"):
        effective_receptive_field(segmenter, "aux_head", (64, 96), n=1)
    with pytest.raises(ValueError, match="give at least one"):
        effective_receptive_field(segmenter, "", (64, 96), [])


# errors by distance ---------------------------------------------------------------------------------------------------


class Halves:
    """One frame: left and right of different classes, a row of void."""

    table = TWO
    names = ("halves",)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        label = np.zeros((6, 20), np.uint8)
        label[:, 10:] = 1
        label[2] = 255
        return np.zeros((6, 20, 3), np.uint8), label


def shifted(image: np.ndarray) -> np.ndarray:
    """The halves, three pixels too far to the right."""
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:, 13:] = 1
    return mask


def test_a_boundary_drawn_three_pixels_off_is_wrong_up_to_there_and_no_farther():
    errors = error_by_distance(shifted, Halves(), farthest=6)
    assert errors.pixels.tolist() == [10] * 6 + [40]  # five rows count, both sides
    assert errors.rate.tolist() == [0.5, 0.5, 0.5, 0, 0, 0, 0]
    figure = distance_figure(
        {"shifted": errors, "right": error_by_distance(lambda image: Halves()[0][1] % 255, Halves(), 6)}
    )
    rates, shares = (axis.lines[0].get_ydata() for axis in figure.axes)
    assert rates.tolist() == [50, 50, 50, 0, 0, 0]
    np.testing.assert_allclose(shares, [100 / 3, 200 / 3, 100, 100, 100, 100])


def test_distance_is_that_of_a_kings_moves():
    label = np.random.default_rng(0).integers(0, 2, (3, 4)).astype(np.uint8).repeat(7, 0).repeat(7, 1)
    label[3:5, 3:9] = 255
    edge = np.argwhere(boundary_classes(label) != 255)
    cells = np.argwhere(np.ones_like(label))
    brute = np.abs(cells[:, None] - edge[None]).max(2).min(1).reshape(label.shape) + 1
    expected = np.where(label == 255, 0, np.minimum(brute, 5))
    np.testing.assert_array_equal(boundary_distance(label, 4), expected)
    assert (boundary_distance(np.zeros((4, 4), np.uint8), 3) == 4).all()  # no boundary at all


def test_errors_that_cannot_be_counted_are_refused():
    with pytest.raises(ValueError, match="farthest=0: give a distance of 1 to 253"):
        error_by_distance(shifted, Halves(), farthest=0)
    with pytest.raises(ValueError, match=r"halves: prediction \(3, 20\), label \(6, 20\)"):
        error_by_distance(lambda image: shifted(image)[:3], Halves())
