"""What about a run's data is probably not meant, found before it trains: each a sentence with its cure.

None of it stops a run, because all of it can be meant: a class that only the validation split holds, a field with void
around the image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from edgeseg.data.check import in_two_splits
from edgeseg.data.pairs import Dataset, Pairs
from edgeseg.text import first_few
from edgeseg.training.batches import Resident, Streamed
from edgeseg.training.recipe import Recipe

LOOKED_AT = 500
"""Labels that are looked at where a data set is streamed; spread over it."""


def find_suspicions(recipe: Recipe, data: Dataset, val: Dataset | None, samples: Resident | Streamed) -> list[str]:
    """Everything about the data that is probably not meant; empty: nothing.

    Args:
        recipe: its crop and scale.
        data: the training set.
        val: what it is scored on.
        samples: the training set as it is read; where it is in memory, all labels count, else up to `LOOKED_AT`.

    Raises:
        DataError, LabelError: a label that cannot be read.
    """
    counts, sizes, looked = _seen(data, samples)
    names = data.table.names
    if len(names) == 1:
        rest = json.dumps({"classes": [{"name": "background", "id": 0}, {"name": names[0], "id": 255}], "void": []})
        found = [
            f"there is one class alone, {names[0]}: every pixel that counts is of it, and mIoU is 100 % whatever the "
            f"network does. Give the rest a class of its own in the class file, e.g. {rest}"
        ]
    else:
        absent = [name for name, count in zip(names, counts, strict=True) if not count]
        found = [_absence(absent, len(names), looked)] if absent else []
    found += [crops for stage in recipe.in_stages() if (crops := _crops_beyond(stage, sizes)) is not None]
    if val is not None and not any((label < len(val.table)).any() for label in _labels(val)):
        found.append(
            f"the validation data have no pixel of any class in {_share(val)}, all is void: there will be no score. "
            f"{_OTHER_VALUE}"
        )
    if val is not None:
        shared = in_two_splits({"the training data": data, "the validation data": val})
        found += [f"{line}: scores will be too good. Choose another split or val_split" for line in shared]
    return found


_OTHER_VALUE = (
    'Where the files write a class as another value, say so in the class file: {"name": …, "id": 255}, with "void": [] '
    "where 255 is no void."
)


def _absence(absent: list[str], classes: int, looked: str) -> str:
    if len(absent) == classes:
        return (
            f"the training data have no pixel of any class in {looked}, all is void: nothing is learnt. {_OTHER_VALUE}"
        )
    return (
        f"the training data have no pixel of {first_few(absent, 8)} in {looked}: the network cannot learn what it does "
        f"not see. {_OTHER_VALUE}"
    )


def _seen(data: Dataset, samples: Resident | Streamed) -> tuple[np.ndarray, set[tuple[int, int]], str]:
    """(C,) pixels of every class, the sizes of images, and which labels these were found in, in words."""
    if isinstance(samples, Resident):
        height, width = samples.labels.shape[1:]
        return samples.pixel_counts, {(height, width)}, f"the {len(data)} labels"
    counts, sizes = np.zeros(256, np.int64), set()
    for label in _labels(data):
        counts += np.bincount(label.ravel(), minlength=256)
        sizes.add(label.shape)
    return counts[: len(data.table)], sizes, _share(data)


def _share(data: Dataset) -> str:
    return f"the {len(data)} labels" if len(data) <= LOOKED_AT else f"{LOOKED_AT} of the {len(data)} labels"


def _labels(data: Dataset) -> Iterator[np.ndarray]:
    """Up to `LOOKED_AT` labels (H, W), spread over the data set; of files the images stay unread."""
    for index in np.unique(np.linspace(0, len(data) - 1, min(len(data), LOOKED_AT)).round().astype(int)):
        yield data.read_label(data.labels[index]) if isinstance(data, Pairs) else data[int(index)][1]


def _crops_beyond(recipe: Recipe, sizes: set[tuple[int, int]]) -> str | None:
    """What to say where no image, at its largest, fills a crop."""
    largest, (height, width) = recipe.scale[1], recipe.crop
    zoomed = [(h * largest, w * largest * (1 + recipe.aspect)) for h, w in sizes]
    if any(h >= height and w >= width for h, w in zoomed):
        return None
    tallest, widest = max(h for h, _ in sizes), max(w for _, w in sizes)
    return (
        f"crop={height},{width} is larger than every image: the largest is {tallest}×{widest} (height × width), "
        f"zoomed by {largest:g} at most, and the rest of every crop is void. Set a smaller crop or a larger scale"
    )
