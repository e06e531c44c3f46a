"""The tables of what is trivial, against counting by hand and against every other decision there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgeseg.data.labels import VOID
from edgeseg.metrics import ConfusionMatrix
from edgeseg.training import trivial
from edgeseg.training.trivial import fit_lookup_tables

CLASSES = 3


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(trivial, "BITS", (1, 2))
    monkeypatch.setattr(trivial, "GRID", (2, 3))


def scenes(seed=0, count=4, size=(8, 12), colours=6):
    """Random pixels of a few colours, which say something about the class, in one of ten void."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (colours, 3), np.uint8)
    which = rng.integers(0, colours, (count, *size))
    labels = (rng.random(which.shape) * (1 + which % CLASSES)).astype(np.uint8)
    labels[rng.random(which.shape) < 0.1] = VOID
    return palette[which], labels


def pixels(images, labels):
    """(colour, row, column, class) of every pixel that has a class."""
    for image, label in zip(images, labels, strict=True):
        for (row, column), c in np.ndenumerate(label):
            if c != VOID:
                yield tuple(int(v) for v in image[row, column]), row, column, int(c)


def shares_by_hand(images, labels, colour):
    """Of a colour's bin: its own pixels, and those of the coarser bin around it for so many as they are trusted."""
    trust = trivial._TRUST * labels[0].size
    shares = np.full(CLASSES, 1 / CLASSES)
    for bits in trivial.BITS:
        own = np.zeros(CLASSES)
        for other, *_, c in pixels(images, labels):
            own[c] += all(a >> (8 - bits) == b >> (8 - bits) for a, b in zip(colour, other, strict=True))
        shares = (own + trust * shares) / (own.sum() + trust)
    return shares


def test_the_shares_of_a_colour_are_those_of_counting_by_hand_with_back_off():
    images, labels = scenes()
    by_colour, _ = fit_lookup_tables(images, labels, CLASSES)
    seen = {tuple(int(v) for v in colour) for colour in images.reshape(-1, 3)}
    for colour in (*seen, (255, 0, 255), (0, 0, 0), (130, 120, 7)):  # the last three in bins with few pixels or none
        found = by_colour.shares(np.array(colour, np.uint8).reshape(1, 1, 3))[0, 0]
        np.testing.assert_allclose(found, shares_by_hand(images, labels, colour), rtol=1e-5)


def test_with_the_place_they_are_multiplied_by_what_the_place_says():
    images, labels = scenes()
    by_colour, by_place = fit_lookup_tables(images, labels, CLASSES)
    trust = trivial._TRUST * labels[0].size
    total = np.ones(CLASSES)
    here = np.zeros((2, 3, CLASSES))
    for _, row, column, c in pixels(images, labels):
        total[c] += 1
        here[row * 2 // 8, column * 3 // 12, c] += 1
    overall = total / total.sum()
    there = (here + trust * overall) / (here.sum(-1, keepdims=True) + trust)
    for row, column in itertools.product(range(8), range(12)):
        expected = by_colour.shares(images[0])[row, column] * there[row * 2 // 8, column * 3 // 12] / overall
        found = by_place.shares(images[0])[row, column]
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-5)


def miou(predictions, labels):
    matrix = ConfusionMatrix(CLASSES)
    matrix.update(predictions, labels)
    return matrix.compute().miou


@pytest.mark.parametrize("seed", range(6))
def test_no_other_decision_about_the_colours_scores_higher_on_the_scenes_that_were_counted(seed, monkeypatch):
    monkeypatch.setattr(trivial, "_TRUST", 1e-9)  # every bin by its own pixels
    images, labels = scenes(seed)
    table, _ = fit_lookup_tables(images, labels, CLASSES)
    bins = trivial._bins(images, 2)
    used = np.unique(bins)
    assert len(used) > 3
    best = 0.0
    for decision in itertools.product(range(CLASSES), repeat=len(used)):
        lookup = np.zeros(64, np.uint8)
        lookup[used] = decision
        best = max(best, miou(lookup[bins], labels))
    assert miou(np.stack([table.predict(image) for image in images]), labels) == pytest.approx(best, rel=0.01)


def test_a_class_that_is_not_there_is_never_chosen_and_void_does_not_count():
    images, labels = scenes()
    tables = fit_lookup_tables(images, labels, CLASSES + 2)
    for table in tables:
        assert set(np.unique(table.predict(images[0]))) <= set(range(CLASSES))
    images[labels == VOID] = 255 - images[labels == VOID]
    for before, after in zip(tables, fit_lookup_tables(images, labels, CLASSES + 2), strict=True):
        np.testing.assert_array_equal(before.colour, after.colour)
        np.testing.assert_array_equal(before.place, after.place)


def test_counting_in_parts_counts_the_same():
    images, labels = scenes(count=7)
    for whole, parts in zip(
        trivial._count(images, labels, CLASSES, 50), trivial._count(images, labels, CLASSES, 3), strict=True
    ):
        np.testing.assert_array_equal(whole, parts)
        assert whole.sum() == (labels != VOID).sum()
