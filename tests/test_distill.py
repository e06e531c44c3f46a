"""Distillation: the teacher's own preprocessing and classes, and that a student learns from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgeseg.data.labels import ClassTable, LabelError
from edgeseg.inference import load_segmenter
from edgeseg.training.distill import Teacher
from edgeseg.training.losses import Distillation
from edgeseg.training.train import fit
from toy_runs import TABLE, TINY, Toy


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    recipe = replace(TINY, iterations=60, lr=0.1, scale=(1.0, 1.0), brightness=0.0, precise_bn=4)
    fit(recipe, Toy(), None, folder, progress=False)
    return folder / "weights.safetensors"


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
