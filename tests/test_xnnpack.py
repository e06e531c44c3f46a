"""ExecuTorch: the same result from a ``.pte`` file, most of it computed by XNNPACK."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from edgeseg.deploy import Artefact, DeployError, compile, get_runtime
from edgeseg.inference import Segmenter, load_segmenter
from small_segmenters import (
    SHOWN,
    SIZE,
    as_input,
    assert_bad_files_are_named,
    assert_same_in_float32,
    images,
    small_segmenter,
)

PRESENT = importlib.util.find_spec("executorch") is not None
needs_executorch = pytest.mark.skipif(
    not PRESENT, reason='executorch is not installed: pip install "edgeseg[executorch]"'
)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return small_segmenter()


@pytest.fixture(scope="module")
def plain(segmenter) -> Artefact:
    return compile(segmenter, "executorch", "fp32", SIZE)


@pytest.mark.skipif(PRESENT, reason="executorch is installed")
def test_an_absent_package_is_named_with_the_line_that_installs_it(segmenter):
    with pytest.raises(DeployError, match=r'executorch not installed: pip install "edgeseg\[executorch\]"'):
        compile(segmenter, "executorch", "fp32", SIZE)


def test_it_has_float32_only_and_no_options():
    room = get_runtime("executorch")
    with pytest.raises(DeployError, match="executorch has no int8; it builds fp32"):
        room.check("int8")
    with pytest.raises(DeployError, match="executorch has no option 'keep'"):
        room.checked_options({"keep": ("context",)})


@needs_executorch
def test_the_small_network_is_the_same_and_few_operators_are_left_outside(plain, segmenter):
    assert_same_in_float32(plain, segmenter)
    facts = plain.describe()["graphs"]["logits"]
    assert facts["dtypes"] == {"float32": 50}
    assert set(facts["ops_outside"]) <= {"amax.default", "mean.dim", "sum.dim_IntList", "avg_pool2d.default"}


@needs_executorch
def test_the_result_of_one_call_outlives_the_next(plain):
    first, second = (as_input(i) for i in images("test", 2))
    kept = plain.labels(first)
    copy = kept.clone()
    plain.labels(second)
    assert torch.equal(kept, copy)


@needs_executorch
def test_bad_files_are_named(plain, tmp_path):
    assert_bad_files_are_named(plain, ".pte", tmp_path)


@needs_executorch
@pytest.mark.slow
def test_the_trained_network_is_the_same():
    segmenter = load_segmenter("cross_cbam_m.streets")
    assert_same_in_float32(compile(segmenter, "executorch", "fp32", SHOWN), segmenter)
