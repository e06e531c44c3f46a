"""Parity: what an artefact computes beside its model, on which images, and when that is too far off."""

from __future__ import annotations

import numpy as np
import torch

from compiled_networks import SIZE, compiled, left_as_it_was, narrow_segmenter, tiny_segmenter, trained_segmenter
from edgeseg.deploy.parity import Sample, check_parity, mini_set

LABELLED = Sample(
    np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8),
    np.random.default_rng(1).integers(0, 5, SIZE, dtype=np.uint8),
    "noise",
)


def test_an_artefact_of_another_model_is_outside_the_tolerance():
    segmenter = tiny_segmenter()
    artefact = compiled(segmenter, "eager")
    torch.manual_seed(1)
    other = segmenter.reference()
    other.model[4] = torch.nn.Conv2d(32, 5, 1)
    good, bad = check_parity(artefact, segmenter, [LABELLED]), check_parity(artefact, other, [LABELLED])
    assert good.passed
    assert good.miou_gap == 0
    assert good.disagreement == 0
    assert not bad.passed
    assert {"max_abs_error", "disagreement"} <= set(bad.exceeded)
    assert "OUTSIDE TOLERANCE" in str(bad)
    assert bad.as_dict()["passed"] is False


def test_a_callers_segmenter_comes_back_as_it_was():
    artefact = compiled(narrow_segmenter(), "eager")
    with left_as_it_was(narrow_segmenter()) as callers:
        check_parity(artefact, callers, [LABELLED])


def test_the_mini_set_has_labels_where_the_classes_are_camvids():
    assert all(s.label is None for s in mini_set(tiny_segmenter(), SIZE, 2))
    samples = mini_set(trained_segmenter(), SIZE, 2)
    assert all(s.label.shape == SIZE and s.image.shape == (*SIZE, 3) for s in samples)
    assert samples[0].source == "streets test"


def test_nan_is_no_parity():
    segmenter = tiny_segmenter()
    broken = segmenter.reference()
    broken.model[4].bias = torch.nn.Parameter(torch.full((5,), float("nan")))
    parity = check_parity(compiled(broken, "eager"), segmenter, [LABELLED])
    assert "max_abs_error" in parity.exceeded
    assert parity.max_abs_error == float("inf")


def test_without_the_logits_graph_classes_alone_are_compared():
    artefact = compiled(tiny_segmenter(), "eager", "fp32", "labels")
    parity = check_parity(artefact, tiny_segmenter(), [LABELLED])
    assert (parity.max_abs_error, parity.disagreement) == (None, 0)
