"""Distillation: the term's formula, the teacher's own preprocessing, and that a student learns from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgeseg.data.labels import VOID, ClassTable, LabelError
from edgeseg.inference import load_segmenter
from edgeseg.training.distill import Teacher
from edgeseg.training.losses import Distillation, Objective
from edgeseg.training.recipes import RecipeError
from edgeseg.training.train import fit
from test_training import TABLE, TINY, Toy

SIZE = (2, 3, 8, 10)


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    recipe = replace(TINY, iterations=60, lr=0.1, scale=(1.0, 1.0), brightness=0.0, precise_bn=4)
    fit(recipe, Toy(), None, folder, progress=False)
    return folder / "weights.safetensors"


def batch(seed=0):
    g = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(SIZE, generator=g, dtype=torch.float32) for _ in range(2))
    target = torch.randint(0, 3, (SIZE[0], *SIZE[2:]), generator=g)
    target[0, :3] = VOID
    return student, teacher, target


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_term_is_the_divergence_written_out(temperature):
    student, teacher, target = batch()
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    pixel = (p * (p.log() - q.log())).sum(1)[target != VOID]
    total, count = Distillation(temperature).terms(student, teacher, target)
    assert count == (target != VOID).sum()
    assert total == pytest.approx(float(temperature**2 * pixel.sum()), rel=1e-5)


def test_it_is_zero_at_the_teacher_and_blind_to_void_and_to_a_constant():
    student, teacher, target = batch()
    assert Distillation().terms(teacher + 5, teacher, target)[0].abs() < 1e-5
    before = Distillation().terms(student, teacher, target)[0]
    student[0, :, :3] = 9.0 * torch.randn(3, 3, 10)
    assert Distillation().terms(student, teacher, target)[0] == pytest.approx(float(before), rel=1e-6)


def test_a_stride_reads_the_teacher_where_the_labels_are_read():
    student, teacher, target = batch()
    coarse = Distillation(stride=2).terms(student[:, :, ::2, ::2], teacher, target)
    assert coarse[1] == (target[:, 1::2, 1::2] != VOID).sum()
    same = Distillation(stride=2).terms(teacher[:, :, 1::2, 1::2], teacher, target)
    assert same[0].abs() < 1e-5


def test_high_temperature_keeps_the_size_of_the_gradient():
    student, teacher, target = batch()
    student.requires_grad_()
    norms = []
    for temperature in (10.0, 100.0):
        (gradient,) = torch.autograd.grad(Distillation(temperature).terms(student, teacher, target)[0], student)
        norms.append(float(gradient.norm()))
    assert norms[1] == pytest.approx(norms[0], rel=0.1)


def test_the_teacher_gets_its_own_normalisation_and_never_trains(teacher_file):
    own = load_segmenter(teacher_file)
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    x = (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    teacher = Teacher(str(teacher_file), TABLE, mean, std).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    with torch.no_grad():
        assert torch.allclose(teacher(x), own.logits(pixels), atol=1e-4)


def test_other_classes_are_refused(teacher_file):
    other = ClassTable("other", ("left", "dot", "right"), TABLE.colors)
    with pytest.raises(LabelError, match="has left, right, dot; the training data has left, dot, right"):
        Teacher(str(teacher_file), other, (0.5,) * 3, (0.5,) * 3)


def test_a_recipe_names_both_or_neither():
    for changes in ({"teacher": "x"}, {"teacher_weight": 1.0}):
        with pytest.raises(RecipeError, match="distillation needs both"):
            replace(TINY, **changes)
    assert Objective(TINY).distillation is None


def test_a_student_comes_nearer_to_its_teacher(teacher_file, tmp_path):
    recipe = replace(TINY, iterations=20, loss="ce", lr=0.05, teacher=str(teacher_file), teacher_weight=3.0)
    alone = replace(recipe, teacher=None, teacher_weight=0.0)
    kl = {}
    for name, one in (("taught", recipe), ("alone", alone)):
        fit(one, Toy(), None, tmp_path / name, progress=False)
        images = torch.stack([torch.from_numpy(Toy()[i][0]).permute(2, 0, 1) for i in range(6)])
        target = torch.stack([torch.from_numpy(Toy()[i][1]) for i in range(6)])
        student, teacher = (load_segmenter(f) for f in (tmp_path / name / "weights.safetensors", teacher_file))
        with torch.no_grad():
            total, count = Distillation().terms(student.logits(images), teacher.logits(images), target)
        kl[name] = float(total / count)
    assert kl["taught"] < kl["alone"]
