"""AOTInductor: bf16 no worse than PyTorch's own, any number of threads, refused on a lesser processor."""

from __future__ import annotations

import pytest
import torch

from compiled_networks import SIZE, batch_of, compiled, needs, street_images, tiny_segmenter, trained_segmenter
from edgeseg.deploy import Artefact, DeployError, get_runtime
from edgeseg.deploy.runtimes.aoti import cpu_vectors
from edgeseg.deploy.runtimes.graph import in_precision

needs_aoti = needs("aoti")


@needs_aoti
@pytest.mark.slow
def test_the_result_is_the_same_for_any_number_of_threads():
    plain, before, x = compiled(tiny_segmenter(), "aoti"), torch.get_num_threads(), torch.rand(1, 3, *SIZE)
    expected = tiny_segmenter().model(x)
    for threads in (None, 1, 2):
        torch.testing.assert_close(Artefact(plain.folder, plain.about, threads).logits(x), expected)
    assert torch.get_num_threads() == before


@needs_aoti
@pytest.mark.slow
def test_code_for_another_processor_is_refused():
    plain = compiled(tiny_segmenter(), "aoti")

    def opened_with(**changes: object) -> None:
        graphs = {name: {**facts, **changes} for name, facts in plain.about["graphs"].items()}
        Artefact(plain.folder, {**plain.about, "graphs": graphs}).logits(torch.zeros(1, 3, *SIZE))

    assert plain.about["graphs"]["logits"]["vectors"] == cpu_vectors()
    with pytest.raises(DeployError, match=r"instructions that this one lacks \(avx9000\).*Export it on the machine"):
        opened_with(vectors=["avx9000", *cpu_vectors()])
    with pytest.raises(DeployError, match="machine code for z80 with another architecture"):
        opened_with(machine="z80")


def test_without_a_compiler_it_can_be_run_but_not_built(monkeypatch):
    def absent() -> str:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", absent)
    runtime = get_runtime("aoti")
    assert "apt install g++" in str(runtime.why_not("fp32"))
    assert runtime.why_not("fp32", building=False) is None
    assert "apt install g++" in str(get_runtime("inductor").why_not("fp32")) or torch.cuda.is_available()


@needs_aoti
@pytest.mark.slow
@torch.inference_mode()
def test_compiled_bf16_is_as_near_to_float32_as_eager_bf16():
    """Compiled training once went wrong where half precision met `amax`; inference must not."""
    segmenter = trained_segmenter()
    artefact = compiled(segmenter, "aoti", "bf16", "logits")
    eager = in_precision(segmenter.model, "bf16")
    errors = []
    for image in street_images("test", 4):
        x = segmenter.normalise(batch_of(image))
        reference = segmenter.model(x)
        errors.append([float((y - reference).square().mean().sqrt()) for y in (artefact.logits(x), eager(x))])
    fused, unfused = torch.tensor(errors).mean(0).tolist()
    assert fused <= 2**0.5 * unfused  # as if every layer rounded once more than in eager, independently
