"""AOTInductor: the same result from machine code, bf16 no worse than PyTorch's own, refused on a lesser processor."""

from __future__ import annotations

import pytest
import torch

from edgeseg.deploy import Artefact, DeployError, compile, get_runtime
from edgeseg.deploy.artefact import normalised
from edgeseg.deploy.runtimes.aoti import cpu_vectors
from edgeseg.deploy.runtimes.graph import in_precision
from edgeseg.inference import Segmenter, load_segmenter
from small_segmenters import (
    SHOWN,
    SIZE,
    as_input,
    assert_bad_files_are_named,
    difference,
    images,
    miou,
    small_segmenter,
)

needs_compiler = pytest.mark.skipif(
    get_runtime("aoti").why_not("fp32") is not None, reason=str(get_runtime("aoti").why_not("fp32"))
)
pytestmark = needs_compiler


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return small_segmenter()


@pytest.fixture(scope="module")
def plain(segmenter) -> Artefact:
    return compile(segmenter, "aoti", "fp32", SIZE, graphs=("labels",))


@pytest.mark.slow
def test_the_small_network_is_the_same_for_any_number_of_threads(plain, segmenter):
    x = as_input(images("test", 1)[0])
    room, facts = get_runtime("aoti"), plain.about["graphs"]["labels"]
    before = torch.get_num_threads()
    with torch.inference_mode():
        expected = segmenter(x)
        for threads in (None, 1, 2):
            got = room.open(plain.folder / "labels", facts, threads)(x)
            assert (got == expected).float().mean() >= 0.9999
            assert got.dtype == torch.int32
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_code_for_another_processor_is_refused(plain):
    room, facts = get_runtime("aoti"), plain.about["graphs"]["labels"]
    assert facts["vectors"] == cpu_vectors()
    with pytest.raises(DeployError, match=r"instructions that this one lacks \(avx9000\).*Export it on the machine"):
        room.open(plain.folder / "labels", {**facts, "vectors": ["avx9000", *cpu_vectors()]})
    with pytest.raises(DeployError, match="machine code for z80 with another architecture"):
        room.open(plain.folder / "labels", {**facts, "machine": "z80"})


@pytest.mark.slow
def test_bad_files_are_named(plain, tmp_path):
    assert_bad_files_are_named(plain, ".pt2", tmp_path)


def test_without_a_compiler_it_can_be_run_but_not_built(monkeypatch):
    def absent() -> str:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", absent)
    room = get_runtime("aoti")
    assert "apt install g++" in str(room.why_not("fp32"))
    assert room.why_not("fp32", building=False) is None


@pytest.mark.slow
def test_the_trained_network_is_the_same_in_float32():
    segmenter = load_segmenter("cross_cbam_m.streets")
    artefact = compile(segmenter, "aoti", "fp32", SHOWN)
    error, same = difference(artefact, segmenter, 2)
    assert error <= 1e-4
    assert same >= 0.9999
    assert artefact.describe()["graphs"]["logits"]["dtypes"] == {"float32": 49}


@pytest.mark.slow
def test_compiled_bf16_is_as_near_to_float32_as_eager_bf16():
    """Compiled training once went wrong where half precision met `amax`; inference must not."""
    segmenter = load_segmenter("cross_cbam_m.streets")
    artefact = compile(segmenter, "aoti", "bf16", SHOWN)
    eager = in_precision(segmenter.model, "bf16")
    errors = []
    with torch.inference_mode():
        for image in images("test", 2, SHOWN):
            x = normalised(segmenter, as_input(image))
            reference = segmenter.model(x)
            errors.append([float((y - reference).square().mean().sqrt()) for y in (artefact.logits(x), eager(x))])
    compiled, uncompiled = torch.tensor(errors).mean(0).tolist()
    assert compiled <= 1.1 * uncompiled
    assert abs(miou(segmenter.predict, 8, SHOWN) - miou(artefact.predict, 8, SHOWN)) <= 0.5
