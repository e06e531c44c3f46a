"""ExecuTorch: most of the network is XNNPACK's, and what is absent is named."""

from __future__ import annotations

import importlib.util

import pytest

from compiled_networks import SIZE, compiled, needs, tiny_segmenter, trained_segmenter
from edgeseg.deploy import DeployError, compile, get_runtime


@pytest.mark.skipif(importlib.util.find_spec("executorch") is not None, reason="executorch is installed")
def test_an_absent_package_is_named_with_the_line_that_installs_it():
    with pytest.raises(DeployError, match=r'executorch not installed: pip install "edgeseg\[executorch\]"'):
        compile(tiny_segmenter(), "executorch", "fp32", SIZE)


def test_it_has_float32_only():
    with pytest.raises(DeployError, match="executorch has no int8; it builds fp32"):
        get_runtime("executorch").check("int8")


@needs("executorch")
@pytest.mark.slow
def test_few_operators_are_left_outside():
    facts = compiled(trained_segmenter(), "executorch", "fp32", "logits").about["graphs"]["logits"]
    assert set(facts["ops_outside"]) <= {"amax.default", "mean.dim", "sum.dim_IntList", "avg_pool2d.default"}
