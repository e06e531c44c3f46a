"""`check` judges by what is computed, says where an answer goes astray, and gives back what a notebook goes on with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgeseg import course
from edgeseg.course.lessons.lesson_05 import take_weights
from edgeseg.models.attention import AAM
from edgeseg.models.cross_cbam import CCBAM
from edgeseg.models.improved_hrnet import CCSF, LayerScale
from edgeseg.models.layers import ConvBNReLU
from edgeseg.models.stdc import STDCModule

PAIR = course.case(64, inputs=[(2, 64, 9, 12)] * 2)


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("EDGESEG_COURSE_STRICT", raising=False)


class Right(CCBAM):
    pass


class LinearGate(nn.Module):
    """Channel attention with linear layers in place of 1×1 convolutions, and all names changed."""

    def __init__(self, channels):
        super().__init__()
        self.narrow, self.widen = nn.Linear(channels, channels // 16), nn.Linear(channels // 16, channels)

    def forward(self, x):
        pooled = [self.widen(F.relu(self.narrow(p))) for p in (x.amax((2, 3)), x.mean((2, 3)))]
        return torch.sigmoid(sum(pooled))[..., None, None]


class PixelGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        return torch.sigmoid(self.mix(torch.cat([x.max(1, keepdim=True)[0], x.mean(1, keepdim=True)], 1)))


class Rewritten(nn.Module):
    """CCBAM with other names, in another order, written differently."""

    def __init__(self, channels):
        super().__init__()
        self.where_high, self.where_low = PixelGate(), PixelGate()
        self.what_high, self.what_low = LinearGate(channels), LinearGate(channels)

    def forward(self, low, high):
        a, b = self.what_high(high) * low, self.what_low(low) * high
        return a * self.where_low(b) + b * self.where_high(a)


class Swapped(Rewritten):
    def forward(self, low, high):
        a, b = self.what_high(high) * low, self.what_low(low) * high
        return a * self.where_high(a) + b * self.where_low(b)


class Joined(Rewritten):
    def forward(self, low, high):
        a, b = self.what_high(high) * low, self.what_low(low) * high
        return torch.cat([a * self.where_low(b), b * self.where_high(a)], 1)


class CutOff(Rewritten):
    def forward(self, low, high):
        return super().forward(low, high.detach())


class Broken(Rewritten):
    def forward(self, low, high):
        return low @ self.what_high(high)


class Unwritten(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, low, high):
        raise NotImplementedError("your turn")


def said(capsys, mine, package=CCBAM, cases=(PAIR,), exercise="05.3"):
    found = course.check(mine, package, *cases, exercise=exercise)
    return found, capsys.readouterr().out


def test_the_packages_own_class_under_another_name_passes(capsys):
    found, text = said(capsys, Right)
    assert found is Right
    assert text.startswith("✓ 05.3 Right: ")


def test_running_the_check_again_does_not_make_an_open_exercise_solved(capsys):
    found, _ = said(capsys, Unwritten)
    again, text = said(capsys, found)
    assert again is CCBAM
    assert "run the cell with your answer" in text
    assert "1 of" not in repr(course.progress())


def test_a_block_that_is_renamed_reordered_and_rewritten_passes_and_is_gone_on_with(capsys):
    found, text = said(capsys, Rewritten)
    assert found is Rewritten, text


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (Swapped, "return a * self.where_high(a) + b * self.where_low(b)"),
        (Joined, "shape (2, 128, 9, 12)"),
        (CutOff, "gradient of input 1"),
        (Broken, "your line: return low @ self.what_high(high)"),
    ],
)
def test_a_wrong_block_is_refused_with_the_place_and_the_package_is_gone_on_with(wrong, word, capsys):
    found, text = said(capsys, wrong)
    assert found is CCBAM
    assert text.startswith(f"✗ 05.3 {wrong.__name__}")
    assert word in text


def test_a_fault_that_only_training_shows_is_told_of_training_though_layers_can_be_paired_in_several_ways(capsys):
    class Apart(nn.Module):
        def __init__(self, channels):
            super().__init__()
            hidden = max(4, channels // 8)
            self.squeeze = ConvBNReLU(channels, hidden, kernel=1)
            self.one, self.other = (nn.Conv2d(hidden, channels, 1, bias=False) for _ in range(2))

        def forward(self, x):  # the shared layer sees rows and columns one after the other: other statistics
            rows, columns = self.squeeze(x.mean(3, keepdim=True)), self.squeeze(x.mean(2, keepdim=True))
            return x * self.one(rows).sigmoid() * self.other(columns).sigmoid()

    text = said(capsys, Apart, AAM, [course.case(48, inputs=[(2, 48, 6, 9)])], "10.3")[1]
    assert "In training mode" in text


def test_an_unwritten_block_is_no_error_but_in_strict_mode(capsys, monkeypatch):
    found, text = said(capsys, Unwritten)
    assert found is CCBAM
    assert "not written yet" in text
    monkeypatch.setenv("EDGESEG_COURSE_STRICT", "1")
    with pytest.raises(AssertionError, match="not written yet"):
        course.check(Unwritten, CCBAM, PAIR, exercise="05.3")


# the STDC module: layers that are missing, set wrongly, hidden


class Module(nn.Module):
    norm = True

    def __init__(self, m, n, stride=1):
        super().__init__()
        self.a, self.b = ConvBNReLU(m, n // 2, 1), ConvBNReLU(n // 2, n // 4)
        self.c, self.d = ConvBNReLU(n // 4, n // 8), ConvBNReLU(n // 8, n // 8)
        norms = [nn.BatchNorm2d(n // 2)] if self.norm else []
        conv = nn.Conv2d(n // 2, n // 2, 3, stride, 1, groups=n // 2, bias=False)
        self.down = nn.Sequential(conv, *norms) if stride == 2 else nn.Identity()
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else nn.Identity()

    def forward(self, x):
        a = self.a(x)
        b = self.b(self.down(a))
        c = self.c(b)
        return torch.cat([self.pool(a), b, c, self.d(c)], 1)


class WithoutNorm(Module):
    norm = False


class Hidden(nn.Module):
    def __init__(self, m, n, stride=1):
        super().__init__()
        self.layers = [ConvBNReLU(m, n // 2, 1)]

    def forward(self, x):
        return self.layers[0](x)


class OtherMomentum(Module):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.a.bn.momentum = 0.5


STDC_CASES = (course.case(32, 64, inputs=[(2, 32, 9, 12)]), course.case(32, 64, stride=2, inputs=[(2, 32, 9, 13)]))


class WithoutDown(Module):
    def __init__(self, m, n, stride=1):
        super().__init__(m, n, stride)
        self.down, self.b = nn.Identity(), ConvBNReLU(n // 2, n // 4, stride=stride)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (WithoutNorm, "The package's down.bn  BatchNorm2d 32 has no counterpart"),
        (WithoutDown, "The package's down.conv  Conv2d 3×3, 32→32, stride 2, 32 groups, no bias has no counterpart"),
        (Hidden, "nn.ModuleList"),
        (OtherMomentum, "momentum"),
    ],
)
def test_missing_wrong_and_hidden_layers_are_named(wrong, word, capsys):
    found, text = said(capsys, wrong, STDCModule, STDC_CASES, "03.3")
    assert found is STDCModule
    assert word in text


class OneRole(nn.Module):
    """Two like layers, and a switch that says which of them is used."""

    def __init__(self, first=True):
        super().__init__()
        self.one, self.two, self.first = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), first

    def forward(self, x):
        return self.two(self.one(x)) if self.first else self.one(x) * self.two(x).sigmoid()


class ChangingRole(OneRole):
    def forward(self, x):
        return self.two(self.one(x)) if self.first else self.two(x) * self.one(x).sigmoid()


def test_a_layer_that_changes_its_role_from_case_to_case_is_refused(capsys):
    cases = [course.case(first, inputs=[(1, 2, 3, 3)]) for first in (True, False)]
    assert said(capsys, ChangingRole, OneRole, cases, "05.5")[1].startswith("✗")
    assert said(capsys, type("Same", (OneRole,), {}), OneRole, cases, "05.5")[1].startswith("✓")


def test_missing_dropout_is_named(capsys):
    class Head(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Dropout2d(0.1), nn.Conv2d(8, 2, 1))

    class NoDropout(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(8, 2, 1))

    _, text = said(capsys, NoDropout, Head, [course.case(inputs=[(2, 8, 4, 4)])], "06.4")
    assert "dropout" in text


def test_a_learners_network_takes_weights_and_comes_back_in_the_modes_that_it_was_in():
    own, trained = (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)) for _ in range(2))
    own[1].eval()  # frozen statistics in a network that trains
    trained[2].eval()
    modes = [m.training for network in (own, trained) for m in network.modules()]
    assert take_weights(own, trained, torch.randn(2, 3, 5, 5)) is own
    assert torch.equal(own[0].weight, trained[0].weight)
    assert [m.training for network in (own, trained) for m in network.modules()] == modes


# functions, and the rest that an exercise may ask for


def shares(label, classes):
    return np.bincount(label.ravel(), minlength=classes) / label.size


def test_ids_of_another_type_are_told(capsys):
    def ids(label):
        return label.astype(np.uint8)

    one = course.case(np.array([[0, 1], [1, 3]]))
    assert "as int64, and should be uint8" in said(capsys, lambda x: x.copy(), ids, [one], "01.4")[1]
    assert "as float64, and should be uint8" in said(capsys, lambda x: x / 1, ids, [one], "01.4")[1]


def test_a_function_of_a_list_of_maps_that_gives_one_is_compared_map_by_map(capsys):
    def halved(maps):
        return [F.avg_pool2d(m, 2) for m in maps]

    def other(maps):
        return [F.avg_pool2d(maps[0], 2), F.max_pool2d(maps[1], 2)]

    two = course.case([torch.randn(1, 3, 8, 8), torch.randn(1, 3, 4, 4)])
    by_area = [F.interpolate(m, scale_factor=0.5, mode="area") for m in two.args[0]]
    assert said(capsys, halved, lambda maps: by_area, [two])[1].startswith("✓")
    text = said(capsys, other, halved, [two])[1]
    assert "Tried with ([Tensor(1, 3, 8, 8), Tensor(1, 3, 4, 4)])" in text
    assert "answer[1] has the right shape" in text


def test_a_function_that_changes_its_input_is_refused(capsys):
    def spoils(label, classes):
        result = shares(label, classes)
        label[:] = 0
        return result

    _, text = said(capsys, spoils, shares, [course.case(np.array([[0, 1], [1, 3]]), 4)], "00.1")
    assert "has changed what it was given" in text


def test_a_function_that_should_change_its_input_is_held_to_it(capsys):
    def double(module):
        with torch.no_grad():
            module.weight.mul_(2)
        return {"weight": module.weight.detach().clone()}

    def answers_only(module):
        return {"weight": 2 * module.weight.detach()}

    one = course.case(nn.Linear(2, 1, bias=False))
    assert said(capsys, lambda module: double(module), double, [one], "07.6")[1].startswith("✓")
    assert "should be changed in place" in said(capsys, answers_only, double, [one], "07.6")[1]


def test_later_cells_names_and_other_methods_can_be_asked_for(capsys):
    class Own(nn.Linear):
        def twice(self, x):
            return 2 * self(x)

    class Half(Own):
        def twice(self, x):
            return self(x)

    one = course.case(2, 3, inputs=[(4, 2)], method="twice")
    assert said(capsys, Half, Own, [one], "07.1")[1].startswith("✗")
    same = type("Same", (Own,), {})
    course.check(same, Own, one, exercise="07.1", names=("weight", "head"))
    assert "later cells use its head" in capsys.readouterr().out


def test_the_same_operation_on_the_same_numbers_is_about_its_settings(capsys):
    class Bilinear(nn.Module):
        mode = "bilinear"

        def forward(self, x):
            return F.interpolate(x.relu(), size=(5, 5), mode=self.mode)

    class Nearest(Bilinear):
        mode = "nearest"

    text = said(capsys, Nearest, Bilinear, [course.case(inputs=[(1, 2, 3, 3)])], "06.2")[1]
    assert "look at its settings" in text


class Chain(nn.Module):
    """Layers that one line of a loop runs."""

    strides, last = (2, 2), False

    def __init__(self):
        super().__init__()
        relus = (True, self.last)
        self.steps = nn.ModuleList(ConvBNReLU(4, 4, 3, s, relu=r) for s, r in zip(self.strides, relus, strict=True))

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"last": True}, "right until the last step, which is too much:   relu in steps.1."),
        ({"strides": (2, 1)}, "The package has there:   conv2d 3×3, 4→4, stride 2"),
    ],
)
def test_a_line_that_runs_a_container_is_not_to_blame_for_what_stands_in_it(change, words, capsys, monkeypatch):
    monkeypatch.setattr("edgeseg.course.repair._SECONDS", 0.0)
    text = said(capsys, type("Wrong", (Chain,), change), Chain, [course.case(inputs=[(2, 4, 16, 16)])], "09.2")[1]
    assert words in text
    assert "your line" not in text


def test_a_function_is_no_module_where_a_later_lesson_counts(capsys):
    def checked(**more):
        course.check(Rewritten, CCBAM, PAIR, exercise="05.3", **more)
        return capsys.readouterr().out

    assert checked().startswith("✓")
    assert "Use the module" in checked(counted=True)


class OwnNorm(nn.Module):
    """Convolution and batch normalisation, all as functions of one's own weights."""

    def __init__(self, i, o):
        super().__init__()
        self.weight, self.bn = nn.Parameter(torch.zeros(o, i, 1, 1)), nn.BatchNorm2d(o, eps=1e-3, momentum=0.03)

    def forward(self, x):
        return self.bn(F.conv2d(x, self.weight)).relu()


def test_lesson_12s_tool_counts_convolutions_and_no_relu(capsys):
    class Functional(CCSF):
        def forward(self, x):
            return torch.relu(self.bn(self.conv(x)))

    class Linear(Functional):
        def __init__(self, i, o):
            super().__init__(i, o)
            self.conv = nn.Linear(i, o, bias=False)

        def forward(self, x):
            return torch.relu(self.bn(self.conv(x.movedim(1, 3)).movedim(3, 1)))

    one = course.case(3, 5, inputs=[(2, 3, 4, 6)])
    for mine, word in {Functional: "✓", Linear: "✓", OwnNorm: "lesson 12 counts operations"}.items():
        course.check(mine, CCSF, one, exercise="12.1", counted="12")
        assert word in capsys.readouterr().out
    course.check(OwnNorm, CCSF, one, exercise="12.1")
    assert capsys.readouterr().out.startswith("✓")


class Scales(nn.Module):
    """Two factors a channel, one held by a layer, around a convolution."""

    def __init__(self, c):
        super().__init__()
        self.before, self.conv, self.after = LayerScale(c), ConvBNReLU(c, c), LayerScale(c)

    def forward(self, x):
        return self.after(self.conv(self.before(x)))


class OwnScales(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.out, self.into = nn.Parameter(torch.ones(c)), nn.Parameter(torch.ones(c, 1, 1))
        self.conv = ConvBNReLU(c, c)

    def forward(self, x):
        return self.conv(x * self.into) * self.out[:, None, None]


def test_parameters_of_ones_own_are_found_by_shape_whatever_their_order(capsys):
    class Wrong(OwnScales):
        def forward(self, x):
            return self.conv(x * self.into) * self.into

    one = [course.case(5, inputs=[(2, 5, 4, 6)])]
    assert said(capsys, OwnScales, Scales, one, "11.4")[1].startswith("✓")
    text = said(capsys, Wrong, Scales, one, "11.4")[1]
    assert text.startswith("✗")
    assert "Not used for the output, though it has weights: out." in text
    assert "no counterpart" not in text


def test_like_layers_stand_beside_each_other_and_many_unlike_ones_are_cut(capsys):
    def rows(bias, wide, order=(0, 1)):
        class Row(nn.Sequential):
            def __init__(self):
                layers = [nn.Conv2d(2, 4, 3, bias=bias), nn.Conv2d(4, wide, 1, bias=bias)]
                super().__init__(*(layers[i] for i in order), *(nn.Conv2d(wide, wide, 1, bias=bias) for _ in range(30)))

        return said(capsys, Row, _row_of_thirty(), [course.case(inputs=[(1, 2, 5, 5)])], "12.4")[1]

    text = rows(True, 6)
    assert "and 24 more" in text
    assert len(text.splitlines()) < 20
    unlike = next(line for line in rows(True, 6, (1, 0)).splitlines() if "0  Conv2d 1×1, 4→6, bias" in line)
    assert "4→6, no bias" in unlike


def _row_of_thirty():
    class Package(nn.Sequential):
        def __init__(self):
            layers = [nn.Conv2d(2, 4, 3, bias=False), nn.Conv2d(4, 6, 1, bias=False)]
            super().__init__(*layers, *(nn.Conv2d(6, 6, 1, bias=False) for _ in range(30)))

    return Package


class Squares(nn.Module):
    """Squares what it is given, many times: without fitting statistics this overflows in evaluation."""

    def __init__(self, depth=12, settled=True):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(2) if settled else nn.Identity() for _ in range(depth))
        self.first = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        x = 100 * self.first(x)
        for norm in self.norms:
            x = norm(x) ** 2
        return x


def test_what_overflows_is_brought_to_numbers_that_can_be_compared_or_refused(capsys):
    class Doubled(Squares):
        def forward(self, x):
            return 2 * super().forward(x)

    deep = course.case(inputs=[(2, 2, 5, 6)])
    assert "twice the number" in said(capsys, Doubled, Squares, [deep], "12.4")[1]
    assert said(capsys, type("Same", (Squares,), {}), Squares, [deep], "12.4")[1].startswith("✓")
    with pytest.raises(ValueError, match="not finite, so anything would pass"):
        course.check(Doubled, Squares, course.case(settled=False, inputs=[(2, 2, 5, 6)]), exercise="12.4")


def test_what_was_tried_is_told_in_few_words(capsys):
    def mean(of, frames):
        return float(np.mean([of(image) for image, _ in frames]))

    def brightest(image):
        return image.max()

    frames = [(np.full((9, 9), k), np.zeros((9, 9))) for k in range(7)]
    course.check(lambda of, frames: 0.0, mean, course.case(brightest, frames), exercise="13.3")
    text = capsys.readouterr().out
    assert "the function brightest" in text
    assert "(ndarray(9, 9), ndarray(9, 9)), … 3 more]" in text
    assert len(text.splitlines()[0]) < 400
