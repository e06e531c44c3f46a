"""What about a run's data is probably not meant is said, with its cure, before it trains."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.training import suspicions as module
from edgeseg.training.batches import Resident, Streamed
from edgeseg.training.suspicions import find_suspicions
from edgeseg.training.train import fit
from toy_runs import TABLE, TINY, Toy

CPU = torch.device("cpu")


class Relabelled(Toy):
    """The toy data with other ids: ``becomes[i]`` for class i."""

    def __init__(self, becomes, n=6, sizes=((64, 64),), table=TABLE):
        super().__init__(n, sizes)
        self.becomes, self.table = np.full(256, VOID, np.uint8), table
        self.becomes[: len(becomes)] = becomes

    def __getitem__(self, i):
        image, label = super().__getitem__(i)
        return image, self.becomes[label]


def found(data, val=None, recipe=TINY, streamed=False):
    samples = Streamed(data, CPU, 0, progress=False) if streamed else Resident(data, CPU, progress=False)
    return find_suspicions(recipe, data, val, samples)


@pytest.mark.parametrize("streamed", [False, True])
def test_sound_data_are_not_suspected(streamed):
    assert found(Toy(), Toy(2), streamed=streamed) == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("gone", range(3))
def test_a_class_without_a_pixel_is_named_with_the_cure(gone, streamed):
    (said,) = found(Relabelled([VOID if i == gone else i for i in range(3)]), Toy(2), streamed=streamed)
    assert TABLE.names[gone] in said
    assert not any(name in said for i, name in enumerate(TABLE.names) if i != gone)
    assert '"id": 255' in said
    assert '"void": []' in said


def test_training_data_that_are_all_void_say_so():
    (said,) = found(Relabelled([VOID] * 3))
    assert "no pixel of any class in the 6 labels" in said


def test_one_class_alone_is_named_with_the_class_file_that_is_meant():
    alone = ClassTable("alone", ("lane",), ((255, 0, 0),))
    (said,) = found(Relabelled([VOID, VOID, 0], table=alone))
    assert "one class alone, lane" in said
    assert '{"name": "lane", "id": 255}], "void": []' in said


def test_validation_data_without_a_class_say_that_there_will_be_no_score():
    (said,) = found(Toy(), Relabelled([VOID] * 3, 2))
    assert "validation data have no pixel of any class" in said
    assert "no score" in said


@pytest.mark.parametrize(
    ("crop", "scale", "sizes", "suspected"),
    [
        ((64, 64), (0.5, 1.0), ((64, 64),), False),
        ((96, 64), (0.5, 1.0), ((64, 64),), True),
        ((64, 96), (0.5, 1.0), ((64, 64),), True),
        ((96, 96), (0.5, 1.5), ((64, 64),), False),
        ((96, 96), (0.5, 1.4), ((64, 64),), True),
        ((96, 96), (0.5, 1.0), ((64, 64), (96, 96)), False),
        ((96, 96), (0.5, 1.0), ((64, 96), (96, 64)), True),
    ],
)
def test_a_crop_that_no_image_fills_is_named_with_the_largest_image(crop, scale, sizes, suspected):
    recipe = replace(TINY, crop=crop, scale=scale)
    said = found(Toy(6, sizes), recipe=recipe, streamed=len(sizes) > 1)
    assert bool(said) == suspected
    assert all(f"crop={crop[0]},{crop[1]} is larger than every image" in sentence for sentence in said)


def test_of_many_labels_that_are_streamed_some_are_looked_at_and_that_is_said(monkeypatch):
    monkeypatch.setattr(module, "LOOKED_AT", 3)
    read = []

    class Watched(Relabelled):
        def __getitem__(self, i):
            read.append(i)
            return super().__getitem__(i)

    (said,) = found(Watched([0, 1, VOID], 9), streamed=True)
    assert read == [0, 4, 8]
    assert "no pixel of dot in 3 of the 9 labels" in said


def test_a_run_warns_before_it_trains_and_not_again_when_it_is_resumed(tmp_path):
    data, recipe = Relabelled([0, 1, VOID]), replace(TINY, iterations=1)
    with pytest.warns(UserWarning, match="no pixel of dot"):
        fit(recipe, data, None, tmp_path, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(replace(recipe, iterations=2), data, None, tmp_path, resume=True, progress=False)
