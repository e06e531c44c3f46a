"""What lessons call: `check` judges by what is computed and says where an answer goes astray; `progress` keeps it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgeseg import course
from edgeseg.course import learner, start
from edgeseg.course.lessons.lesson_05 import take_weights
from edgeseg.course.syllabus import SYLLABUS
from edgeseg.models.cross_cbam import CCBAM
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


def test_an_unwritten_block_is_no_error_but_in_strict_mode(capsys, monkeypatch):
    found, text = said(capsys, Unwritten)
    assert found is CCBAM
    assert "not written yet" in text
    monkeypatch.setenv("EDGESEG_COURSE_STRICT", "1")
    with pytest.raises(AssertionError, match="not written yet"):
        course.check(Unwritten, CCBAM, PAIR, exercise="05.3")


# the STDC module: layers that are missing, set wrongly, hidden


class Module(nn.Module):
    norm, third = True, 3

    def __init__(self, m, n, stride=1):
        super().__init__()
        self.a, self.b = ConvBNReLU(m, n // 2, 1), ConvBNReLU(n // 2, n // 4)
        self.c, self.d = ConvBNReLU(n // 4, n // 8, self.third), ConvBNReLU(n // 8, n // 8)
        norms = [nn.BatchNorm2d(n // 2)] if self.norm else []
        conv = nn.Conv2d(n // 2, n // 2, 3, stride, 1, groups=n // 2, bias=False)
        self.down = nn.Sequential(conv, *norms) if stride == 2 else nn.Identity()
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else nn.Identity()

    def forward(self, x):
        a = self.a(x)
        b = self.b(self.down(a))
        c = self.c(b)
        return self.join(self.pool(a), b, c, self.d(c))

    def join(self, *maps):
        return torch.cat(maps, 1)


class WithoutNorm(Module):
    norm = False


class WrongKernel(Module):
    third = 1


class WrongOrder(Module):
    def join(self, a, b, c, d):
        return torch.cat([b, a, c, d], 1)


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
        (WithoutNorm, "the package's down.bn  BatchNorm2d 32 has no counterpart"),
        (WithoutDown, "the package's down.conv  Conv2d 3×3, 32→32, stride 2, 32 groups, no bias has no counterpart"),
        (WrongKernel, "1×1"),
        (WrongOrder, "cat of 4 tensors"),
        (Hidden, "nn.ModuleList"),
        (OtherMomentum, "momentum"),
    ],
)
def test_missing_wrong_and_hidden_layers_are_named(wrong, word, capsys):
    found, text = said(capsys, wrong, STDCModule, STDC_CASES, "03.3")
    assert found is STDCModule
    assert word in text


def test_a_right_module_with_other_names_passes(capsys):
    assert said(capsys, Module, STDCModule, STDC_CASES, "03.3")[0] is Module


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


# progress


def test_progress_counts_solved_and_tried_exercises_and_keeps_what_was_once_right(capsys):
    number = next(n for n, e in SYLLABUS.items() if len(e.exercises) >= 2)
    for mine, exercise in ((Right, f"{number}.1"), (Swapped, f"{number}.1"), (Swapped, f"{number}.2")):
        said(capsys, mine, exercise=exercise)
    table = repr(course.progress())
    assert f"1 of {len(SYLLABUS[number].exercises)}" in table
    assert "●◐" in table
    assert "<table>" in course.progress()._repr_html_()


def test_progress_of_several_learners_is_one_table(tmp_path, capsys, monkeypatch):
    number = next(n for n, e in SYLLABUS.items() if e.exercises)
    for name in ("ada", "grace"):
        monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / name))
        said(capsys, Right, exercise=f"{number}.1")
    table = repr(course.progress(tmp_path / "ada", tmp_path / "grace"))
    assert "ada" in table
    assert "grace" in table


def test_a_damaged_progress_file_is_put_aside_and_told(capsys):
    learner.folder().mkdir(parents=True)
    (learner.folder() / "progress.json").write_text("{", encoding="utf-8")
    said(capsys, CCBAM)
    assert (learner.folder() / "progress.damaged.json").exists()
    assert json.loads((learner.folder() / "progress.json").read_text(encoding="utf-8"))["exercises"]["05.3"]


def test_a_right_block_is_kept_with_all_that_it_uses_and_found_by_a_later_lesson(capsys):
    from lesson_cells import execute

    scope: dict = {"__name__": "__main__", "course": course, "CCBAM": CCBAM, "PAIR": PAIR}
    execute("import torch\nfrom torch import nn\nfrom torch.nn import functional as F\nHALF = 16", "setup", scope)
    execute(_source_of(LinearGate).replace("// 16", "// HALF"), "gate", scope)
    execute(_source_of(PixelGate), "pixel", scope)
    scope |= {"low": torch.zeros(1), "a": torch.zeros(1)}  # a notebook's variables, named like the block's own
    execute(_source_of(Rewritten), "block", scope)
    execute("Rewritten = course.check(Rewritten, CCBAM, PAIR, exercise='05.3')", "check", scope)
    text = (learner.folder() / "blocks" / "exercise_05_3.py").read_text(encoding="utf-8")
    assert "class LinearGate" in text
    assert "HALF = 16" in text
    capsys.readouterr()
    found = course.mine("05.3", CCBAM)
    assert "yours" in capsys.readouterr().out
    assert found is not CCBAM
    assert found(64)(*[torch.zeros(1, 64, 4, 4)] * 2).shape == (1, 64, 4, 4)
    assert course.mine("05.2", CCBAM) is CCBAM


def _source_of(thing) -> str:
    import inspect

    return inspect.getsource(thing)


# begin and the pictures


def test_begin_refuses_another_version_and_an_unknown_lesson(monkeypatch):
    monkeypatch.setattr(start, "__version__", "9.9.0")
    with pytest.raises(start.LessonError, match="written for edgeseg 0.1 and 9.9.0 is installed"):
        course.begin("05", version="0.1")
    with pytest.raises(start.LessonError, match="no lesson '77'.* there are 00"):
        course.begin("77", version="0.1")


def test_begin_seeds_and_chooses_the_mode(monkeypatch, capsys):
    monkeypatch.setenv("EDGESEG_FAST", "1")
    monkeypatch.setenv("EDGESEG_DEVICE", "cpu")
    first = (course.begin("05", version="0.1"), torch.rand(1), np.random.rand())
    second = (course.begin("05", version="0.1"), torch.rand(1), np.random.rand())
    assert first == second
    assert first[0].pick(100, 2) == 2
    assert "Fast mode" in capsys.readouterr().out


def test_the_map_colours_todays_parts_and_knows_its_parts():
    figure = course.network_map("CCBAM", built=("backbone",))
    colors = {tuple(p.get_facecolor()) for p in figure.axes[0].patches}
    assert len(colors) == 3
    with pytest.raises(ValueError, match=r"no part of the map 'decoderr' \(did you mean decoder"):
        course.network_map("decoderr")


def test_before_after_is_one_piece_of_html_and_wants_one_size():
    image = np.zeros((20, 30, 3), np.uint8)
    page = course.before_after(image, image + 255, ("image", "mask"))._repr_html_()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "stopPropagation" in page
    with pytest.raises(ValueError, match="one size"):
        course.before_after(image, image[:10])
