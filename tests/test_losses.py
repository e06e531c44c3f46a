"""Losses: formula, void, sums over batches, gradients, and the facts about hard pixels and boundaries."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgeseg.data.labels import VOID
from edgeseg.training.losses import (
    OHEM,
    Boundary,
    CrossEntropy,
    Dice,
    Distillation,
    Focal,
    Loss,
    Objective,
    class_weights,
    edges,
    subsample,
)
from toy_runs import TINY

CLASSES = 4
WEIGHT = (1.0, 2.0, 0.5, 4.0)
CLASS_LOSSES = {
    "ce": CrossEntropy(),
    "ce weighted": CrossEntropy(WEIGHT),
    "ce stride 2": CrossEntropy(stride=2),
    "focal": Focal(),
    "focal weighted": Focal(gamma=0.5, alpha=0.25, weight=WEIGHT),
    "focal sigmoid": Focal(alpha=0.25, form="sigmoid"),
    "dice": Dice(),
    "ohem": OHEM(),
    "ohem weighted": OHEM(weight=WEIGHT, stride=2),
}
ALL_LOSSES = {**CLASS_LOSSES, "boundary": Boundary(stride=4), "boundary stride 1": Boundary(stride=1)}
ADDITIVE = [name for name in ALL_LOSSES if name != "dice"]


def batch(loss: Loss, n: int = 4, size: tuple[int, int] = (16, 20), seed: int = 0, dtype: torch.dtype = torch.float64):
    """Logits that need gradients and a blocky target, void spread unevenly over the images."""
    g = torch.Generator().manual_seed(seed)
    channels = 1 if isinstance(loss, Boundary) else CLASSES
    logits = torch.randn(n, channels, *size, generator=g, dtype=dtype).requires_grad_()
    target = torch.randint(0, CLASSES, (n, size[0] // 2, size[1] // 2), generator=g)
    target = target.repeat_interleave(2, 1).repeat_interleave(2, 2)
    for i in range(n):
        target[i, : i * 3, : size[1] - 3 * i] = VOID
    return logits, target


def true_probability(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(P,) softmax probability of the true class of every valid pixel."""
    valid = target != VOID
    return logits.softmax(1).permute(0, 2, 3, 1)[valid].gather(1, target[valid][:, None])[:, 0]


# formulas


def test_cross_entropy_equals_pytorch_weighted_or_not():
    logits, target = batch(CrossEntropy())
    for weight in (None, WEIGHT):
        tensor = None if weight is None else torch.tensor(weight, dtype=torch.float64)
        expected = F.cross_entropy(logits, target, tensor, ignore_index=VOID)
        torch.testing.assert_close(CrossEntropy(weight)(logits, target), expected)


def test_focal_softmax_is_the_formula_and_gamma_zero_is_cross_entropy():
    logits, target = batch(Focal())
    p = true_probability(logits, target)
    torch.testing.assert_close(Focal(2, alpha=0.3)(logits, target), (-0.3 * (1 - p) ** 2 * p.log()).mean())
    torch.testing.assert_close(Focal(0)(logits, target), CrossEntropy()(logits, target))


def elementwise(logits: torch.Tensor, target: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    """(P, CLASSES) sigmoid focal losses of the valid pixels, by torchvision; α −1 is none."""
    from torchvision.ops import sigmoid_focal_loss

    valid = target != VOID
    truth = F.one_hot(target[valid], CLASSES).to(logits.dtype)
    return sigmoid_focal_loss(logits.permute(0, 2, 3, 1)[valid], truth, alpha=alpha, gamma=gamma)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [0.5, 0.25, 0.9, None])
def test_focal_sigmoid_is_torchvisions_summed_over_classes_and_so_is_its_gradient(alpha, gamma):
    logits, target = batch(Focal())
    expected = elementwise(logits, target, -1 if alpha is None else alpha, gamma).sum(1).mean()
    value = Focal(gamma, alpha, form="sigmoid")(logits, target)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v, logits)[0] for v in (value, expected)))


def test_the_term_sigmoid_focal_has_gamma_2_and_alpha_a_half_and_keeps_class_weights():
    logits, target = batch(Focal(), dtype=torch.float32)
    outputs, recipe = {"out": logits, "aux": []}, replace(TINY, loss="0.5 ce + 0.25 sigmoid_focal")
    each = elementwise(logits, target, 0.5, 2.0).sum(1)
    expected = 0.5 * CrossEntropy()(logits, target) + 0.25 * each.mean()
    torch.testing.assert_close(Objective(recipe)(outputs, target), expected)
    weight = torch.tensor(WEIGHT)
    weighted = (each * weight[target[target != VOID]]).sum() / weight[target[target != VOID]].sum()
    expected = 0.5 * CrossEntropy(WEIGHT)(logits, target) + 0.25 * weighted
    torch.testing.assert_close(Objective(recipe, weight)(outputs, target), expected)


def test_a_mean_over_all_pixels_and_classes_is_less_by_the_classes_and_the_share_of_valid_pixels():
    logits, target = batch(Focal())
    mean = elementwise(logits, target, 0.5, 2.0).sum() / (CLASSES * target.numel())  # mmsegmentation's
    valid = (target != VOID).double().mean()
    torch.testing.assert_close(Focal(2, 0.5, form="sigmoid")(logits, target) * valid / CLASSES, mean)


def test_focal_has_a_finite_slope_on_certain_pixels_for_any_gamma():
    for gamma in (0.0, 0.3, 1.0, 2.0):
        logits = torch.tensor([[[[200.0]], [[-200.0]]]], requires_grad=True)
        Focal(gamma)(logits, torch.zeros(1, 1, 1, dtype=torch.long)).backward()
        assert torch.isfinite(logits.grad).all()


def test_dice_is_the_formula_over_present_classes():
    logits, target = batch(Dice())
    target[target == 3] = VOID
    p = logits.softmax(1).permute(0, 2, 3, 1)[target != VOID]
    t = F.one_hot(target[target != VOID], CLASSES).double()
    dice = (2 * (p * t).sum(0) + 1) / (p.sum(0) + t.sum(0) + 1)
    torch.testing.assert_close(Dice()(logits, target), (1 - dice)[:3].mean())


def test_the_objective_is_the_weighted_sum_over_terms_and_heads():
    logits, target = batch(CrossEntropy(), dtype=torch.float32)
    aux = [logits.flip(0), logits.flip(1)]
    recipe = replace(TINY, loss="ce + 0.5 dice", aux_loss="2 focal", aux_weight=0.3, aux_stride=1)
    expected = CrossEntropy()(logits, target) + 0.5 * Dice()(logits, target)
    expected = expected + sum(0.6 * Focal()(each, target) for each in aux)
    torch.testing.assert_close(Objective(recipe)({"out": logits, "aux": aux}, target), expected)


# void


@pytest.mark.parametrize("name", ALL_LOSSES)
def test_an_all_void_target_gives_zero_loss_and_zero_gradient(name):
    loss = ALL_LOSSES[name]
    logits, target = batch(loss, dtype=torch.float32)
    value = loss(logits, torch.full_like(target, VOID))
    value.backward()
    assert value.item() == 0.0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize(
    "name", [n for n in ALL_LOSSES if "stride 2" not in n and n not in ("ohem weighted", "boundary")]
)
def test_void_pixels_get_no_gradient_and_have_no_say(name):
    loss = ALL_LOSSES[name]
    logits, target = batch(loss)
    value = loss(logits, target)
    value.backward()
    void = (target == VOID)[:, None].expand_as(logits)
    assert (logits.grad[void] == 0).all()
    assert (logits.grad[~void] != 0).any()
    changed = torch.where(void, torch.randn_like(logits) * 10, logits.detach())
    torch.testing.assert_close(loss(changed, target), value.detach())


# sums over batches and ranks


@pytest.mark.parametrize("name", ADDITIVE)
def test_terms_of_half_batches_add_up_to_the_whole(name):
    loss = ALL_LOSSES[name]
    logits, target = batch(loss)
    halves = [loss.terms(logits[s], target[s]) for s in (slice(0, 1), slice(1, 4))]
    total, count = (sum(pair[i] for pair in halves) for i in (0, 1))
    torch.testing.assert_close(total / count, loss(logits, target))
    torch.testing.assert_close(count, loss.terms(logits, target)[1])


def test_the_counts_are_the_valid_pixels_or_their_weights():
    logits, target = batch(CrossEntropy())
    valid = target[target != VOID]
    assert CrossEntropy().terms(logits, target)[1] == len(valid)
    torch.testing.assert_close(CrossEntropy(WEIGHT).terms(logits, target)[1].item(), sum(WEIGHT[i] for i in valid))


# gradients, types, sizes


@pytest.mark.parametrize("name", [n for n in ALL_LOSSES if "ohem" not in n])
def test_gradients_are_those_of_the_value(name):
    loss = ALL_LOSSES[name]
    logits, target = batch(loss, n=2, size=(4, 6))
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@pytest.mark.parametrize("name", ALL_LOSSES)
def test_small_logits_uint8_labels_and_half_precision_are_welcome(name):
    loss = ALL_LOSSES[name]
    logits, target = batch(loss, size=(9, 13), dtype=torch.float32)
    big = target.repeat_interleave(7, 1).repeat_interleave(5, 2)[:, :-3, :-2].to(torch.uint8)  # no multiple of anything
    exact, half = loss(logits, big), loss(logits.bfloat16(), big)
    assert exact.dtype == half.dtype == torch.float32
    assert torch.isfinite(exact)
    assert abs(exact - half) < 0.05 * (1 + abs(exact))


def test_a_stride_takes_the_label_at_each_cells_centre():
    target = torch.arange(36).view(1, 6, 6)
    assert subsample(target, 3)[0].tolist() == [[7, 10], [25, 28]]
    assert subsample(target, 4).shape == (1, 2, 2)
    assert subsample(target, 1) is target


def test_wrong_inputs_are_refused_with_the_cure():
    logits, target = batch(CrossEntropy())
    with pytest.raises(ValueError, match="same N"):
        CrossEntropy()(logits[:2], target)
    with pytest.raises(TypeError, match="integer class ids"):
        CrossEntropy()(logits, target.float())
    with pytest.raises(ValueError, match="one for each class"):
        CrossEntropy((1.0, 2.0))(logits, target)
    with pytest.raises(ValueError, match="softmax"):
        Focal(form="tanh")
    with pytest.raises(ValueError, match="stride 0"):
        Dice(stride=0)
    with pytest.raises(ValueError, match="edge head"):
        Boundary()(logits, target)


def test_class_weights_move_with_the_loss_but_stay_out_of_its_state():
    loss = CrossEntropy(WEIGHT)
    assert loss.to(torch.float64).weight.dtype == torch.float64
    assert not loss.state_dict()


# hard pixels


def easy_batch(n: int = 2, size: tuple[int, int] = (96, 128)):
    """Everything right with p above 0.9, and the upper half void."""
    g = torch.Generator().manual_seed(1)
    target = torch.randint(0, CLASSES, (n, *size), generator=g)
    logits = (4 + 2 * torch.rand(n, 1, *size, generator=g)) * F.one_hot(target, CLASSES).permute(0, 3, 1, 2)
    target[:, : size[0] // 2] = VOID
    return logits, target


def kept(loss: OHEM, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return loss.kept(F.cross_entropy(logits, target, ignore_index=VOID, reduction="none"), target)


def test_ohem_equals_cross_entropy_when_every_pixel_is_hard():
    logits, target = batch(OHEM())
    logits = logits * 0.1
    torch.testing.assert_close(OHEM()(logits, target), CrossEntropy()(logits, target))
    torch.testing.assert_close(OHEM(weight=WEIGHT)(logits, target), CrossEntropy(WEIGHT)(logits, target))


def test_ohem_keeps_exactly_the_pixels_below_the_threshold_when_they_are_many():
    logits, target = batch(OHEM())
    logits = 2 * logits.detach()
    chosen = kept(OHEM(0.7), logits, target)
    assert chosen.sum() == (true_probability(logits, target) < 0.7).sum()
    assert not chosen[target == VOID].any()


@pytest.mark.parametrize("size", [(16, 20), (96, 128), (360, 480), (720, 960)])
def test_ohem_keeps_at_least_a_sixteenth_of_each_image_and_little_more(size):
    logits, target = easy_batch(size=size)
    share = kept(OHEM(), logits, target).sum((1, 2)) / (target != VOID).sum((1, 2))
    assert (share >= 1 / 16).all()
    assert (share <= 1 / 10).all()


def test_ohem_keeps_the_hardest():
    logits, target = easy_batch()
    loss = F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")
    chosen = OHEM().kept(loss, target)
    left_out = (target != VOID) & ~chosen
    for i in range(len(loss)):
        assert loss[i][chosen[i]].min() >= loss[i][left_out[i]].max()


# boundaries


def square(size: int = 12, inside: int = 1, outside: int = 0) -> torch.Tensor:
    """(1, size, size): a square of one class, from 4 to size − 4."""
    target = torch.full((1, size, size), outside)
    target[:, 4:-4, 4:-4] = inside
    return target


def brute_edges(target: torch.Tensor) -> torch.Tensor:
    _, h, w = target.shape
    out = torch.zeros(h, w)
    for y in range(h):
        for x in range(w):
            around = target[0, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            around = around[around != VOID]
            out[y, x] = float(target[0, y, x] != VOID and len(around.unique()) > 1)
    return out


def test_edges_are_found_on_both_sides_as_by_brute_force():
    target = square()
    target[0, :3, :6] = VOID
    target[0, 8:, 9:] = 3
    edge, valid = edges(target)
    assert torch.equal(edge[0], brute_edges(target))
    assert torch.equal(valid, (target != VOID).float())
    assert edge[0][target[0] == 0].any()
    assert edge[0][target[0] == 1].any()


def test_edges_do_not_depend_on_the_numbering_of_classes():
    assert torch.equal(edges(square(inside=1, outside=5))[0], edges(square(inside=5, outside=1))[0])


def test_neither_image_border_nor_void_makes_an_edge():
    target = torch.full((1, 9, 9), 2)
    target[0, 3:6, 3:6] = VOID
    edge, valid = edges(target)
    assert not edge.any()
    assert (valid == 0).sum() == 9


def test_an_edge_cell_at_stride_8_sees_a_pole_one_pixel_wide():
    target = torch.zeros(1, 30, 37, dtype=torch.long)
    target[:, :, 12] = 1
    edge, valid = edges(target, 8)
    assert edge.shape == (1, 4, 5)
    assert edge[0].sum(0).tolist() == [0, 4, 0, 0, 0]
    assert valid.all()


def test_a_right_edge_map_costs_less_than_a_wrong_one():
    _, target = batch(Boundary())
    truth = edges(target, 4)[0][:, None] * 2 - 1
    assert Boundary(stride=4)(20 * truth, target) < 0.01 < Boundary(stride=4)(-truth, target)


# distillation


def answers(seed: int = 0):
    """Logits of a student and a teacher, and a target with void in it."""
    g = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn((2, 3, 8, 10), generator=g) for _ in range(2))
    target = torch.randint(0, 3, (2, 8, 10), generator=g)
    target[0, :3] = VOID
    return student, teacher, target


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_distillation_is_the_divergence_written_out(temperature):
    student, teacher, target = answers()
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    pixel = (p * (p.log() - q.log())).sum(1)[target != VOID]
    total, count = Distillation(temperature).terms(student, teacher, target)
    assert count == (target != VOID).sum()
    assert total == pytest.approx(float(temperature**2 * pixel.sum()), rel=1e-5)


def test_distillation_is_zero_at_the_teacher_and_blind_to_void_and_to_a_constant():
    student, teacher, target = answers()
    assert Distillation().terms(teacher + 5, teacher, target)[0].abs() < 1e-5
    before = Distillation().terms(student, teacher, target)[0]
    student[0, :, :3] = 9.0 * torch.randn(3, 3, 10)
    assert Distillation().terms(student, teacher, target)[0] == pytest.approx(float(before), rel=1e-6)


def test_a_stride_reads_the_teacher_where_the_labels_are_read():
    student, teacher, target = answers()
    coarse = Distillation(stride=2).terms(student[:, :, ::2, ::2], teacher, target)
    assert coarse[1] == (target[:, 1::2, 1::2] != VOID).sum()
    same = Distillation(stride=2).terms(teacher[:, :, 1::2, 1::2], teacher, target)
    assert same[0].abs() < 1e-5


def test_high_temperature_keeps_the_size_of_the_gradient():
    student, teacher, target = answers()
    student.requires_grad_()
    norms = []
    for temperature in (10.0, 100.0):
        (gradient,) = torch.autograd.grad(Distillation(temperature).terms(student, teacher, target)[0], student)
        norms.append(float(gradient.norm()))
    assert norms[1] == pytest.approx(norms[0], rel=0.1)


# class weights


def test_enet_weights_are_the_inverse_log_of_the_share():
    weight = class_weights([50, 30, 20, 0], "enet")
    assert weight.dtype == torch.float32
    assert weight.tolist() == pytest.approx([1 / math.log(1.1 + p) for p in (0.5, 0.3, 0.2, 0.0)])


def test_median_weights_count_only_the_images_that_hold_a_class():
    counts = np.array([[90, 10, 0], [50, 25, 25]])
    frequency = np.array([140 / 200, 35 / 200, 25 / 100])
    assert class_weights(counts, "median").tolist() == pytest.approx((0.25 / frequency).tolist())
    assert class_weights(counts.sum(0), "median").tolist() == pytest.approx([0.25, 1.0, 1.4])


def test_wrong_kinds_of_weights_and_labels_without_a_pixel_are_named():
    with pytest.raises(ValueError, match="'enet' or 'median'"):
        class_weights([1, 2], "sqrt")
    with pytest.raises(ValueError, match="no pixel"):
        class_weights([0, 0], "enet")


def test_camvids_median_weights_are_the_known_ones(camvid_root):
    from PIL import Image

    files = sorted((camvid_root / "train" / "labels").glob("*.png"))
    counts = np.array([np.bincount(np.asarray(Image.open(f)).ravel(), minlength=12)[:11] for f in files])
    known = [0.2793, 0.2017, 4.7865, 0.1490, 1.0, 0.4217, 3.8467, 1.9736, 0.7889, 6.3747, 8.8587]
    # the known ones divide by all pixels of an image, void included: half a per cent apart
    assert class_weights(counts, "median").tolist() == pytest.approx(known, rel=6e-3)
