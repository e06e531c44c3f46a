"""Compiled training: eager's gradients, in whatever layout the numbers lie; other code is refused before a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.machine import has_bf16
from edgeseg.models.layers import GlobalMaxPool
from edgeseg.models.registry import create_model
from edgeseg.training import train
from edgeseg.training.compiled import compile_for_training, gradient_fault
from edgeseg.training.train import TrainingError, fit
from toy_runs import TINY, Toy, assert_same, tensors

MADE_BY = "edgeseg.training.run.compile_for_training"

CPU = torch.device("cpu")
BF16, FLOAT32 = torch.bfloat16, torch.float32
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16 instructions")


class Largest(nn.Module):
    """Batch normalisation, ReLU and a global maximum, by value or by place."""

    def __init__(self, by_place: bool) -> None:
        super().__init__()
        self.bn, self.by_place, self.pool = nn.BatchNorm2d(32, affine=False), by_place, GlobalMaxPool()

    def forward(self, x):
        x = F.relu(self.bn(x))
        return x.flatten(2).max(2).values if self.by_place else self.pool(x).flatten(1)


@needs_bf16
@pytest.mark.slow
@pytest.mark.parametrize("by_place", [False, True], ids=["amax", "max"])
def test_a_maximum_passes_back_what_it_does_in_eager(by_place):
    """NaN without the options: `amax` divides by no maxima, and g++ garbles the tiles behind `max`."""
    torch.manual_seed(0)
    x = torch.randn(2, 32, 8, 12).bfloat16().to(memory_format=torch.channels_last)
    model, gradients = Largest(by_place), []
    for forward in (model, compile_for_training(model, CPU)):
        leaf = x.clone().requires_grad_()
        forward(leaf).float().square().sum().backward()
        gradients.append(leaf.grad.float())
    eager, through_compiler = gradients
    # an element is rounded a handful of times in either, by at most half of bfloat16's eps each
    torch.testing.assert_close(through_compiler, eager, rtol=8 * 2**-8, atol=8 * 2**-8 * float(eager.abs().max()))


def network() -> nn.Module:
    torch.manual_seed(0)
    return create_model(TINY.model, 3, **TINY.switches).train()


def loss_of_a_batch() -> Callable[[nn.Module, torch.dtype], Tensor]:
    torch.manual_seed(1)
    x, y = torch.randn(2, 3, 64, 96), torch.randint(3, (2, 8, 12))

    def loss(forward: nn.Module, dtype: torch.dtype) -> Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != FLOAT32):
            return F.cross_entropy(forward(x)["out"].float(), y)

    return loss


class WithBackwardOf(nn.Module):
    """A network whose backward pass through one convolution is multiplied: code that a compiler got wrong."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x):
        conv = self.model.get_submodule("decoder.fuse8.channel_low.squeeze")
        hook = conv.register_forward_hook(self._multiply)
        try:
            return self.model(x)
        finally:
            hook.remove()

    def _multiply(self, conv, inputs, out):
        out.register_hook(lambda gradient: gradient * self.factor)


@pytest.mark.parametrize("dtype", [FLOAT32, pytest.param(BF16, marks=needs_bf16)], ids=str)
def test_equal_gradients_pass_and_the_run_does_not_notice(dtype):
    model, loss = network(), loss_of_a_batch()
    before, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    assert gradient_fault(model, model, loss, dtype, CPU) == ""
    assert_same(model.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert model.training
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("dtype", "factor", "words"),
    [
        (FLOAT32, math.nan, "(eager ones in 0)"),
        (FLOAT32, 1.2, "decoder.fuse8.channel_low.squeeze.weight are 20 % off"),
        pytest.param(BF16, math.inf, "not finite", marks=needs_bf16),
        pytest.param(BF16, -2.0, "decoder.fuse8.channel_low.squeeze.weight are", marks=needs_bf16),
    ],
)
def test_a_wrong_backward_pass_of_a_single_convolution_is_found_and_named(dtype, factor, words):
    model, loss = network(), loss_of_a_batch()
    fault = gradient_fault(model, WithBackwardOf(model, factor), loss, dtype, CPU)
    assert words in fault
    assert "\n" not in fault


@pytest.mark.parametrize("dtype", [FLOAT32, pytest.param(BF16, marks=needs_bf16)], ids=str)
def test_a_gradient_that_is_nothing_but_rounding_may_be_any(dtype):
    """A bias before batch normalisation: its gradient is 0, and what is left of it another in any other order."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 3, 1))
    x, y = torch.randn(4, 3, 34, 34), torch.randint(3, (4, 32, 32))

    def loss(forward: nn.Module, dtype: torch.dtype) -> Tensor:
        order = slice(None) if forward is not backwards else [3, 2, 1, 0]
        with torch.autocast("cpu", dtype, enabled=dtype != FLOAT32):
            return F.cross_entropy(forward(x[order]).float(), y[order])

    backwards = nn.Sequential(*model)
    assert gradient_fault(model, backwards, loss, dtype, CPU) == ""


def test_a_parameter_without_a_gradient_is_found():
    model, loss = network(), loss_of_a_batch()

    class Detached(nn.Module):
        def forward(self, x):
            return {"out": model.classifier(model.classifier.weight.new_zeros(2, model.classifier.in_channels, 8, 12))}

    fault = gradient_fault(model, Detached(), loss, FLOAT32, CPU)
    assert fault.startswith("2 parameters have gradients in compiled training")


def test_compiled_code_is_compared_at_every_phase_and_changes_nothing_of_the_run(monkeypatch, tmp_path):
    """With the eager model in the compiled one's place the comparisons are all that differs from an eager run."""
    compared = []

    def comparing(*arguments):
        compared.append(fault := gradient_fault(*arguments))
        return fault

    monkeypatch.setattr(MADE_BY, lambda model, device: model)
    monkeypatch.setattr(train, "gradient_fault", comparing)
    recipe = replace(TINY, freeze_epochs=2)
    for compile in (False, True):
        with pytest.warns(UserWarning, match="random weights"):  # frozen ones learn nothing; here only the phases count
            fit(replace(recipe, compile=compile), Toy(), None, tmp_path / str(compile), progress=False, device="cpu")
    assert_same(tensors(tmp_path / "True"), tensors(tmp_path / "False"))
    assert compared == ["", ""]


def test_wrong_code_is_refused_in_one_line_before_a_step(monkeypatch, tmp_path):
    monkeypatch.setattr(MADE_BY, lambda model, device: WithBackwardOf(model, math.nan))
    with pytest.raises(TrainingError, match="not finite in .* compile=false") as refusal:
        fit(replace(TINY, compile=True), Toy(), None, tmp_path, progress=False, device="cpu")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "checkpoint.safetensors").exists()


@needs_bf16
@pytest.mark.slow
def test_a_compiled_bf16_run_passes_and_resumes_bit_for_bit(monkeypatch, tmp_path):
    recipe, step, steps = replace(TINY, iterations=3, amp="bf16", compile=True), train.training_step, []
    fit(recipe, Toy(), None, tmp_path / "whole", progress=False, device="cpu")

    def cut_off(*arguments):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(train, "training_step", cut_off)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, Toy(), None, tmp_path / "parts", checkpoint_seconds=0, progress=False, device="cpu")
    fit(recipe, Toy(), None, tmp_path / "parts", resume=True, progress=False, device="cpu")
    assert_same(tensors(tmp_path / "parts"), tensors(tmp_path / "whole"))
