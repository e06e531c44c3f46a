"""`check` on functions: answers, types, what is changed in place; and the rest that an exercise may ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgeseg import course


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("EDGESEG_COURSE_STRICT", raising=False)


def said(capsys, mine, package, cases, exercise):
    found = course.check(mine, package, *cases, exercise=exercise)
    return found, capsys.readouterr().out


def shares(label, classes):
    return np.bincount(label.ravel(), minlength=classes) / label.size


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda label, classes: np.bincount(label.ravel(), minlength=classes), "instead of"),
        (lambda label, classes: shares(label, classes)[:-1], "shape"),
        (lambda label, classes: list(shares(label, classes)), "should be a ndarray"),
        (lambda label, classes: label[99], "IndexError"),
    ],
)
def test_a_wrong_function_is_told_which_value_differs(wrong, word, capsys):
    one = course.case(np.array([[0, 1], [1, 3]]), 4)
    found, text = said(capsys, wrong, shares, [one], "00.1")
    assert found is shares
    assert word in text


def test_ids_of_another_type_are_told(capsys):
    def ids(label):
        return label.astype(np.uint8)

    one = course.case(np.array([[0, 1], [1, 3]]))
    assert "as int64, and should be uint8" in said(capsys, lambda x: x.copy(), ids, [one], "01.4")[1]
    assert "as float64, and should be uint8" in said(capsys, lambda x: x / 1, ids, [one], "01.4")[1]


def test_a_single_number_is_told_without_a_place(capsys):
    one = course.case(torch.ones(3))
    assert "answer is 3, and should be 1." in said(capsys, torch.sum, torch.mean, [one], "07.1")[1]


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


def test_nan_counts_as_a_value(capsys):
    def iou(x):
        return x / x

    one = course.case(torch.tensor([0.0, 1.0]))
    assert said(capsys, iou, lambda x: x / x, [one], "02.2")[1].startswith("✓")
    assert said(capsys, lambda x: torch.nan_to_num(x / x), iou, [one], "02.2")[1].startswith("✗")


def test_whole_numbers_are_compared_exactly_and_modules_may_be_given(capsys):
    def parameters(module):
        return 12_212_965

    one = course.case(nn.Conv2d(1, 1, 1))
    assert said(capsys, parameters, lambda m: 12_212_965, [one], "06.4")[1].startswith("✓")
    assert "12212965, and should be 12212966" in said(capsys, parameters, lambda m: 12_212_966, [one], "06.4")[1]
