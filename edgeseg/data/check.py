"""What a data set holds and what is wrong with it, for any data set of the package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from edgeseg.data.labels import VOID, ClassTable
from edgeseg.data.pairs import Dataset, Pairs, read_orientation
from edgeseg.text import first_few, table

_SHOWN_SIZES = 8  # VOC has some thousand


@dataclass
class Report:
    """What `check_data` found in a data set of C classes.

    Attributes:
        table: the classes.
        samples: pairs in the set, readable or not.
        problems: one line per pair that cannot be used.
        pixels: (C + 1,) int64, pixels per class, void last.
        images_with_class: (C + 1,) int64, images that show the class, void last.
        mean: (3,) mean of R, G, B in 0…1, over the pixels of all readable pairs.
        std: (3,) their standard deviation.
        all_void: names of the images without a labelled pixel (usable; nothing is learnt from them).
        sizes: (H, W) → number of images.
        turned: names of the images that an EXIF orientation turns.
    """

    table: ClassTable
    samples: int
    problems: list[str]
    pixels: np.ndarray
    images_with_class: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    all_void: list[str] = field(default_factory=list)
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    turned: list[str] = field(default_factory=list)

    @property
    def share(self) -> np.ndarray:
        """(C + 1,) percent: each class of the labelled pixels, and last void of all pixels."""
        labelled, void = int(self.pixels[:-1].sum()), int(self.pixels[-1])
        return 100.0 * np.append(self.pixels[:-1] / max(1, labelled), void / max(1, labelled + void))

    @property
    def warnings(self) -> list[str]:
        """What can be used and is hardly meant: classes without a pixel, one class alone, labels on their side."""
        found = []
        absent = [n for n, images in zip(self.table.names, self.images_with_class, strict=False) if images == 0]
        if absent and self.pixels.any():
            void = ""
            if self.pixels[-1]:
                void = (
                    f". {self.share[-1]:.1f} % of the pixels are void: where they are a class, give it their "
                    'file value ("id": 255) and write "void": [] in the class file'
                )
            found.append(f"no pixel of {', '.join(absent)}{void}")
        if len(self.table) == 1:
            found.append(
                f"{self.table.names[0]} is the only class: whatever a network gives is right, 100 % of it. Name what "
                'else there is as a class too, and where that is void today give it "id": 255 and write "void": []'
            )
        if self.turned:
            found.append(
                f"{len(self.turned)} images are turned by their EXIF orientation ({first_few(self.turned)}): their "
                "labels must have been drawn on the upright picture"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; shares in percent with two decimals."""
        names = (*self.table.names, "void")
        return {
            "samples": self.samples,
            "sizes": {f"{h}x{w}": n for (h, w), n in sorted(self.sizes.items())},
            "classes": {
                name: {"share": round(float(s), 2), "pixels": int(p), "images": int(i)}
                for name, s, p, i in zip(names, self.share, self.pixels, self.images_with_class, strict=True)
            },
            "mean": [round(float(v), 5) for v in self.mean],
            "std": [round(float(v), 5) for v in self.std],
            "all_void": self.all_void,
            "warnings": self.warnings,
            "problems": self.problems,
        }

    def text(self) -> str:
        """For a terminal: number and sizes (height x width) of the pairs, the classes, notes and problems."""
        names = (*self.table.names, "void")
        rows = [
            (name, f"{share:.2f}", str(images))
            for name, share, images in zip(names, self.share, self.images_with_class, strict=True)
        ]
        lines = [
            *table(("class", "share %", "images"), rows).splitlines(),
            f"mean {' '.join(f'{v:.4f}' for v in self.mean)}  std {' '.join(f'{v:.4f}' for v in self.std)}",
        ]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.all_void:
            lines.append(f"note: {len(self.all_void)} images are void throughout: {first_few(self.all_void)}")
        lines += [f"problem: {problem}" for problem in self.problems]
        return "\n  ".join([f"{self.samples} pairs, {self._sizes_text()}", *lines])

    def _sizes_text(self) -> str:
        most = sorted(self.sizes, key=lambda size: -self.sizes[size])
        shown = [f"{h}x{w}" + (f" ({self.sizes[h, w]})" if len(most) > 1 else "") for h, w in most[:_SHOWN_SIZES]]
        others = [f"and {len(most) - _SHOWN_SIZES} other sizes"] if len(most) > _SHOWN_SIZES else []
        return ", ".join([*shown, *others]) or "none readable"


def in_two_splits(splits: Mapping[str, Dataset]) -> list[str]:
    """A line for every two splits that share image files: scores would be too good."""
    problems = []
    files = {name: set(ds.images) for name, ds in splits.items() if isinstance(ds, Pairs)}
    for first, second in combinations(files, 2):
        both = sorted(path.name for path in files[first] & files[second])
        if both:
            problems.append(f"{len(both)} images are in both {first} and {second} ({first_few(both)})")
    return problems


def check_data(ds: Dataset, progress: bool = True) -> Report:
    """Read every pair of a data set, and report all that is wrong or worth knowing.

    Args:
        ds: any data set.
        progress: show a bar.
    """
    from tqdm import tqdm

    classes = len(ds.table)
    pixels, images_with_class = np.zeros(classes + 1, np.int64), np.zeros(classes + 1, np.int64)
    levels = np.zeros((3, 256), np.int64)
    problems, all_void, turned, sizes = [], [], [], Counter[tuple[int, int]]()
    for index in tqdm(range(len(ds)), desc="check", unit=" pairs", disable=not progress):
        try:
            image, label = ds[index]
        except (ValueError, OSError) as error:
            problems.append(f"{ds.names[index]}: {error}")
            continue
        counts = np.bincount(label.ravel(), minlength=256)
        if counts[classes:VOID].any():
            problems.append(f"{ds.names[index]}: class ids over {classes - 1}; the reader of this data set is at fault")
            continue
        counts = np.append(counts[:classes], counts[VOID])
        pixels += counts
        images_with_class += counts > 0
        levels += [np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(3)]
        sizes[label.shape] += 1
        if isinstance(ds, Pairs) and read_orientation(ds.images[index]) != 1:
            turned.append(ds.names[index])
        if not counts[:classes].any():
            all_void.append(ds.names[index])
    mean, std = _moments(levels)
    return Report(ds.table, len(ds), problems, pixels, images_with_class, mean, std, all_void, dict(sizes), turned)


def _moments(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation in 0…1 of each row of a (3, 256) histogram; zeros where nothing was counted."""
    values, count = np.arange(256) / 255.0, np.maximum(1, levels.sum(axis=1))
    mean = levels @ values / count
    return mean, np.sqrt(np.maximum(0.0, levels @ values**2 / count - mean**2))
