"""Distillation: the teacher's own preprocessing and classes, and that a student learns from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgeseg import create_model
from edgeseg.data.labels import ClassTable, LabelError
from edgeseg.inference import load_segmenter
from edgeseg.models.weights import read_weights, save_weights
from edgeseg.training import train
from edgeseg.training.distill import Teacher
from edgeseg.training.losses import Distillation, map_terms
from edgeseg.training.network import check_network
from edgeseg.training.recipe import RecipeError
from edgeseg.training.train import fit
from toy_runs import TABLE, TINY, Toy, assert_same, start, tensors


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


# the backbones' maps


def test_two_maps_differ_by_their_directions_alone():
    own, its = torch.randn(2, 2, 5, 3, 4).unbind()
    total, count = map_terms(own, its)
    by_hand = sum(
        1 - float(a @ b / (a.norm() * b.norm()))
        for x, y in zip(own, its, strict=True)
        for a, b in zip(x.flatten(1).T, y.flatten(1).T, strict=True)
    )
    assert float(total) == pytest.approx(by_hand, rel=1e-5)
    assert float(count) == 2 * 3 * 4
    scaled = its * torch.rand(2, 1, 3, 4).add(0.1)
    assert float(map_terms(own, scaled)[0]) == pytest.approx(by_hand, rel=1e-5)
    assert float(map_terms(its, scaled)[0]) == pytest.approx(0, abs=1e-4)


def likeness(folder, teacher_file) -> float:
    """1 − cosine of the trained student's adapted maps to the teacher's, a mean over places and both maps."""
    run = start(replace(TINY, teacher=str(teacher_file), teacher_maps_weight=1.0))
    run.model.load_state_dict(tensors_of(folder), strict=True)
    images = torch.stack([torch.from_numpy(Toy()[i][0]).permute(2, 0, 1) for i in range(6)]).float() / 255 - 0.5
    with torch.no_grad():
        outputs = run.model.train()(images) | run.teacher.told(images)
    pairs = [map_terms(a, b) for a, b in zip(outputs["maps"], outputs["teacher_maps"], strict=True)]
    return float(sum(total for total, _ in pairs) / sum(count for _, count in pairs))


def tensors_of(folder) -> dict:
    return {k.removeprefix("model."): v for k, v in tensors(folder).items() if k.startswith("model.")}


def test_a_student_learns_its_teachers_maps_and_its_weight_opens_and_publishes_without_adapters(teacher_file, tmp_path):
    alike = {}
    for steps in (1, 30):
        recipe = replace(TINY, iterations=steps, lr=0.05, teacher=str(teacher_file), teacher_maps_weight=5.0)
        fit(recipe, Toy(), None, tmp_path / str(steps), progress=False)
        alike[steps] = likeness(tmp_path / str(steps), teacher_file)
    assert alike[30] < 0.7 * alike[1]
    model = create_model(str(tmp_path / "30" / "weights.safetensors")).eval()
    assert not any("adapter" in name for name, _ in model.named_modules())
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)
    save_weights(tmp_path / "small.safetensors", start(recipe).model, model.meta, drop_aux=True)
    assert not any("adapter" in key for key in read_weights(tmp_path / "small.safetensors")[1])


def test_a_student_of_maps_that_was_cut_goes_on_to_the_bit(teacher_file, tmp_path, monkeypatch):
    recipe = replace(TINY, teacher=str(teacher_file), teacher_weight=1.0, teacher_maps_weight=1.0)
    fit(recipe, Toy(), None, tmp_path / "whole", progress=False)
    step = train.training_step

    def dying(run, keys, raw):
        if run.step == 3:
            raise KeyboardInterrupt
        return step(run, keys, raw)

    with monkeypatch.context() as patch:
        patch.setattr(train, "training_step", dying)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, Toy(), None, tmp_path / "cut", checkpoint_seconds=0, progress=False)
    fit(recipe, Toy(), None, tmp_path / "cut", resume=True, progress=False)
    assert_same(tensors(tmp_path / "whole"), tensors(tmp_path / "cut"))
    assert any("aux_adapters" in key for key in tensors(tmp_path / "cut"))


def test_the_average_follows_its_own_adapters(teacher_file):
    run = start(replace(TINY, teacher=str(teacher_file), teacher_maps_weight=1.0))
    x = torch.randn(2, 3, 64, 64)
    assert "maps" in run.model.train()(x)
    averaged = run.ema.model.train()
    averaged.aux_adapters.convs[0].weight.data.zero_()
    assert float(averaged(x)["maps"][0].abs().max()) == 0
    assert float(run.model(x)["maps"][0].detach().abs().max()) > 0
    assert run.model.eval()(x).shape == (2, 3, 64, 64)


def test_networks_without_such_maps_are_refused_before_data_are_read(teacher_file):
    recipe = replace(TINY, model="lraspp_mobilenet_v3", switches={}, teacher=str(teacher_file), teacher_maps_weight=1.0)
    with pytest.raises(RecipeError, match="lraspp_mobilenet_v3 has no backbone with maps at 1/16 and 1/32"):
        check_network(recipe, TABLE)
    with pytest.raises(RecipeError, match="needs a teacher and a weight"):
        replace(TINY, teacher_maps_weight=1.0)


@pytest.mark.slow
def test_a_student_of_maps_can_be_compiled(teacher_file, tmp_path):
    recipe = replace(TINY, iterations=2, teacher=str(teacher_file), teacher_maps_weight=1.0)
    for compiled in (False, True):
        fit(replace(recipe, compile=compiled), Toy(), None, tmp_path / str(compiled), progress=False)
    eager, fast = (tensors(tmp_path / name) for name in ("False", "True"))
    adapters = [key for key in eager if "aux_adapters" in key]
    assert adapters
    for key in adapters:
        assert torch.allclose(eager[key].float(), fast[key].float(), atol=1e-3), key
