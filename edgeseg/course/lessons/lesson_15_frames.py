"""Lesson 15, its second half: distances to a border, which frame is the worst, and a label that was moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from edgeseg.data import open_data
from edgeseg.data.camvid import FAULTY_LABELS
from edgeseg.data.labels import ClassTable
from edgeseg.data.pairs import DataError, Dataset
from edgeseg.data.streets import Streets
from edgeseg.explain.boundary import boundary_distance
from edgeseg.explain.frames import mean_of_held
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.plots import BLUE, ORANGE
from edgeseg.void import VOID

# border or inside -----------------------------------------------------------------------------------------------------

Distance = Callable[[np.ndarray, int], np.ndarray]


def _halves(height: int = 6, width: int = 10) -> np.ndarray:
    label = np.zeros((height, width), np.uint8)
    label[:, width // 2 :] = 1
    return label


def _away(answer: Distance, label: np.ndarray, farthest: int) -> np.ndarray:
    kept = label.copy()
    found = np.asarray(answer(label, farthest))
    assert (label == kept).all(), "your function changes the label that it was given: copy it"
    assert found.shape == label.shape, f"the label is {label.shape}, and your distances are {found.shape}"
    return found


def counts_from_the_border(answer: Distance) -> None:
    """Both sides of a border are at 1, the next pixels at 2."""
    row, wanted = _away(answer, _halves(), 9)[3].tolist(), [5, 4, 3, 2, 1, 1, 2, 3, 4, 5]
    others = {
        "counted from 0: the pixels at the border are at 1": [d - 1 for d in wanted],
        "the pixels at the border on one side alone are at 1": [5, 4, 3, 2, 1, 2, 3, 4, 5, 6],
        "the pixels at the border on the other side alone are at 1": [6, 5, 4, 3, 2, 1, 2, 3, 4, 5],
        "larger towards the border, and it should be smaller": [10 - d for d in wanted],
        "no border was found": [10] * 10,
        "two pixels a step": [(d + 2) // 2 for d in wanted],
        "twice as far": [2 * d for d in wanted],
        "where the border is, and how far it is was asked for": [int(d == 1) for d in wanted],
    }
    said = next((f": {name}" for name, other in others.items() if row == other), "")
    assert row == wanted, f"five pixels of one class beside five of another are {wanted}; yours are {row}{said}"
    tall = _away(answer, _halves().T, 9)[:, 3].tolist()
    assert tall == wanted, (
        f"the same, one class above the other, are {wanted} from top to bottom; yours are {tall}: look at borders "
        "between rows, too"
    )


def moves_like_a_king(answer: Distance) -> None:
    """Diagonal steps count 1, too; but a border is between neighbours in a row or column."""
    label = np.zeros((7, 7), np.uint8)
    label[3, 3] = 1
    found = _away(answer, label, 9)
    assert found[2, 2] == 2, (
        f"another class at (3, 3) alone: (2, 2) touches it at a corner only and is at 2; yours says {found[2, 2]}"
    )
    assert found[1, 2] == 2, (
        f"another class at (3, 3) alone: (2, 3) is at 1, and (1, 2), a diagonal step from there, at 2; yours says "
        f"{found[1, 2]}"
    )


def void_is_no_border(answer: Distance) -> None:
    """Void has 0 and makes none."""
    label = _halves()
    label[:, 8:] = VOID
    found = _away(answer, label, 9)
    assert (found[:, 8:] == 0).all(), f"void pixels are 0; yours are {found[0, 8:].tolist()}"
    assert found[0, 7] == 3, f"beside void is no border of classes: this pixel is at 3, and yours says {found[0, 7]}"


def ends_at_the_farthest(answer: Distance) -> None:
    """All beyond are one more, and so is everything where there is no border."""
    found = _away(answer, _halves(), 3)[0].tolist()
    assert found == [4, 4, 3, 2, 1, 1, 2, 3, 4, 4], f"with farthest=3 all beyond are 4; your row is {found}"
    alone = _away(answer, np.zeros((4, 5), np.uint8), 6)
    assert (alone == 7).all(), f"without a border all are farthest + 1 = 7; yours are {alone[0].tolist()}"


def agrees_everywhere(answer: Distance) -> None:
    """On made-up labels, with the package's."""
    for seed in range(3):
        random = np.random.default_rng(seed)
        label = np.kron(random.integers(0, 3, (5, 6)), np.ones((7, 6))).astype(np.uint8)
        label[random.random(label.shape) < 0.05] = VOID
        found, wanted = _away(answer, label, 5), boundary_distance(label, 5)
        if (found != wanted).any():
            y, x = map(int, np.argwhere(found != wanted)[0])
            raise AssertionError(
                f"a made-up label of blocks: pixel ({y}, {x}) is at {wanted[y, x]}, and yours says {found[y, x]}"
            )


DISTANCE = (counts_from_the_border, void_is_no_border, moves_like_a_king, ends_at_the_farthest, agrees_everywhere)

# the worst frames -----------------------------------------------------------------------------------------------------

Badness = Callable[[np.ndarray, np.ndarray], float]
_ROAD, _PAVEMENT, _PERSON = 3, 4, 9


def badness(mask: np.ndarray, label: np.ndarray) -> float:
    """0 of a right mask, up to 1: one minus the mean IoU of the classes that the label holds.

    Args:
        mask, label: (H, W) class ids of 11; label with void.
    """
    matrix = ConfusionMatrix(11)
    matrix.update(mask, label)
    return 1 - mean_of_held(matrix.compute())


def _street(person: bool = True) -> np.ndarray:
    label = np.full((20, 30), _ROAD, np.uint8)
    label[:, :6] = _PAVEMENT
    if person:
        label[8:12, 20:22] = _PERSON  # 8 pixels
    return label


def _bad(answer: Badness, mask: np.ndarray, label: np.ndarray) -> float:
    found = float(answer(mask.copy(), label.copy()))
    assert np.isfinite(found), f"a frame's badness is {found}: what if a class is not in the frame?"
    return found


def right_is_least(answer: Badness) -> None:
    """Right masks of all streets are equally good, and any error is worse."""
    one, other, kerb = _street(), _street(person=False), _street(person=False)
    kerb[:8, 6] = _PAVEMENT
    a, b, c = _bad(answer, one, one), _bad(answer, other, other), _bad(answer, kerb, other)
    assert np.isclose(a, b), (
        f"two masks without an error: the street with a person has {a:.3g}, the one without has {b:.3g}. Classes that "
        "a street does not hold must not count"
    )
    assert c > b, f"eight wrong pixels at the kerb have {c:.3g}, no wrong pixel has {b:.3g}: more must be worse"


def void_is_not_judged(answer: Badness) -> None:
    """What is void in the label is nothing."""
    label = _street()
    label[15:] = VOID
    guess = _street()
    guess[15:] = 8
    right, other = _bad(answer, np.where(label == VOID, _ROAD, label), label), _bad(answer, guess, label)
    least = _bad(answer, _street(), _street())
    assert np.isclose(right, least), (
        f"two masks without an error: that of a street whose lower part is void has {right:.3g}, the other {least:.3g}"
    )
    assert np.isclose(right, other), f"only void pixels differ, and the badness is {right:.3g} or {other:.3g}"


def nobody_is_overlooked(answer: Badness) -> None:
    """A person lost is worse than as many pixels of kerb."""
    label = _street()
    lost, kerb = label.copy(), label.copy()
    lost[label == _PERSON] = _ROAD
    kerb[:8, 6] = _PAVEMENT
    a, b = _bad(answer, lost, label), _bad(answer, kerb, label)
    assert a > b, (
        f"the only person is lost (8 pixels): {a:.3g}; 8 pixels of road became pavement at the kerb: {b:.3g}. On the "
        "board it says: nobody overlooked"
    )


BADNESS = (right_is_least, void_is_not_judged, nobody_is_overlooked)

# network or label -----------------------------------------------------------------------------------------------------

FAULTY = next(iter(FAULTY_LABELS))
MOVED = 88
"""Of 480 pixels: how far that label is moved, see `edgeseg.data.camvid.FAULTY_LABELS`."""


@dataclass(frozen=True)
class Frames:
    """Some frames as a data set.

    Args:
        pairs: (H, W, 3) uint8 and (H, W) class ids.
    """

    pairs: Sequence[tuple[np.ndarray, np.ndarray]]
    names: Sequence[str]
    table: ClassTable

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, np.ndarray]:
        return self.pairs[index]


def puzzle(count: int, size: tuple[int, int]) -> tuple[Segmenter, Dataset, str]:
    """A network and frames, one of which is a puzzle: CamVid's where it is at hand, else rendered.

    Args:
        count: frames.
        size: (H, W) of rendered ones.

    Returns:
        the network, the frames, and in a line what they are.
    """
    try:
        test = open_data("camvid", "test")
        places = np.linspace(0, len(test) - 1, count - 1).round().astype(int).tolist()
        places = sorted({*places, list(test.names).index(FAULTY)})
        data = Frames([test[i] for i in places], [test.names[i] for i in places], test.table)
        return load_segmenter("cross_cbam_m.camvid"), data, "frames of CamVid's test, and the weight of CamVid"
    except (DataError, ValueError):  # none here, or another copy of it
        scenes = Streets("test", n=count, size=size)
        pairs, odd = [scenes[i] for i in range(count)], count // 2
        image, label = pairs[odd]
        pairs[odd] = image, np.roll(label, -round(MOVED * size[1] / 480), 1)
        data = Frames(pairs, scenes.names, scenes.table)
        return (
            load_segmenter("cross_cbam_m.streets"),
            data,
            "CamVid is not at hand: rendered streets",
        )


def shift(mask: np.ndarray, label: np.ndarray) -> int:
    """How far a label must be rolled to the right to agree best with a mask: the share of pixels that are not void.

    Args:
        mask, label: (H, W) class ids, the label with void.

    Returns:
        0 to W − 1; the smallest of the best.
    """
    rolled = (np.roll(label, k, axis=1) for k in range(label.shape[1]))
    return int(np.argmax([(one == mask)[one != VOID].mean() for one in rolled]))


Shift = Callable[[np.ndarray, np.ndarray], int]


def _scene(void: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A network's mask with noise, and the right label."""
    random = np.random.default_rng(3)
    label = np.repeat(random.integers(0, 5, (4, 40)), 6, axis=0).astype(np.uint8)
    noise = random.random(label.shape) < 0.15
    mask = np.where(noise, random.integers(0, 5, label.shape), label).astype(np.uint8)
    if void:
        label[:, 3:27] = VOID
    return mask, label


def _found(answer: Shift, mask: np.ndarray, label: np.ndarray) -> int:
    kept = label.copy()
    found = answer(mask, label)
    assert (kept == label).all(), "your function changes the label that it was given: np.roll gives a new one"
    assert isinstance(found, (int, np.integer)), f"give a whole number of pixels; yours is {found!r}"
    return int(found) % label.shape[1]


def finds_no_shift(answer: Shift) -> None:
    """Where the label is right."""
    found = _found(answer, *_scene())
    assert found == 0, f"this label is right, so the answer is 0; yours is {found}"


def finds_a_shift(answer: Shift) -> None:
    """To the left, near and far; and the part that left the picture is looked for at the other edge."""
    mask, label = _scene()
    for k in (7, 31):
        found = _found(answer, mask, np.roll(label, -k, 1))
        hint = "; roll it to the right" if found == 40 - k else ""
        assert found == k, f"a label that was moved {k} of 40 pixels to the left: yours says {found}{hint}"
    for rows in (slice(0, 6), slice(18, 24)):
        misled = mask.copy()
        misled[rows] = np.roll(label, 5, 1)[rows]
        found = _found(answer, misled, np.roll(label, -7, 1))
        assert found == 7, f"a quarter of the rows says 12, all others say 7; yours says {found}: count all pixels"


def does_not_count_void(answer: Shift) -> None:
    """Void agrees with nothing and disagrees with nothing."""
    mask, label = _scene(void=True)
    guessed = mask.copy()
    guessed[:, 3:27] = 200  # whatever the network says there
    for given, k in ((mask, 7), (guessed, 7), (mask, 20)):
        found = _found(answer, given, np.roll(label, -k, 1))
        assert found == k, f"a label that is void in a part, moved by {k}: yours says {found}; void moves, too"


SHIFT = (finds_no_shift, finds_a_shift, does_not_count_void)


def agreement(mask: np.ndarray, label: np.ndarray) -> Figure:
    """Agreement of a mask with a label that is rolled to the right by every number of pixels."""
    rolled = (np.roll(label, k, axis=1) for k in range(label.shape[1]))
    shares = [100 * (one == mask)[one != VOID].mean() for one in rolled]
    best = int(np.argmax(shares))
    figure = Figure((7.4, 2.5), dpi=90, facecolor="white", layout="constrained")
    axis = figure.subplots()
    axis.plot(shares, color=BLUE)
    axis.axvline(best, color=ORANGE, lw=1.5)
    axis.text(best + 4, 6, f"{best} pixels: {max(shares):.0f} %", fontsize=9)
    axis.set(xlabel="label rolled to the right, pixels", ylabel="agrees with the mask, %", ylim=(0, 104))
    axis.spines[["top", "right"]].set_visible(False)
    return figure
