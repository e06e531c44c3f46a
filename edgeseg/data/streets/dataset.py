"""`Streets`: procedural scenes as a data set, one by one or rendered as a whole by several processes.

A scene is a pure function of (seed, split, index): the layout comes from one random stream, the weather from another,
so that ``Streets(night=True)[3]`` is the same street as ``Streets()[3]``, at another hour.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.data.labels import CAMVID, ClassTable
from edgeseg.data.streets.scene import Scene, check_factors, check_size, make_scene, render
from edgeseg.data.streets.workers import Drawn, draw_in_processes
from edgeseg.files import atomic_write, cache_folder

GENERATOR_VERSION = 10
"""Goes up with every change of what is drawn: cached scenes of another version are never used."""

SPLITS = {"train": 1000, "val": 200, "test": 200}
"""Split name → number of scenes when `Streets` is given no `n`. The position of the name keys the random streams."""

_WORTH_A_PROCESS = 16  # starting one costs as much time as drawing some ten scenes


class Streets(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Seeded street scenes with the eleven CamVid classes.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``; splits never share a scene.
        n: number of scenes; default as in `SPLITS`. Scene i does not depend on n.
        size: (H, W) in pixels, each ≥ 32. The same scene is drawn at every size.
        seed: another seed is another world.
        cache: folder for what `arrays` renders; ``None`` is the user's cache folder (or ``$EDGESEG_CACHE``), ``False``
            keeps nothing.
        **factors: switches of `FACTORS`, e.g. ``fog="dense"``, ``night=True``, ``traffic="right"``. The defaults
            are the training distribution: clear to light fog, day to dusk, traffic on the left as in CamVid.

    Raises:
        ValueError: unknown split or factor, size below 32, n < 1, negative seed; the message lists what is valid.
    """

    table: ClassTable = CAMVID

    def __init__(
        self,
        split: str = "train",
        n: int | None = None,
        size: tuple[int, int] = (360, 480),
        seed: int = 0,
        cache: str | Path | bool | None = None,
        **factors: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"no split {split!r} of street scenes; choose one of {', '.join(SPLITS)}")
        count = SPLITS[split] if n is None else int(n)
        if count < 1:
            raise ValueError(f"n = {n}: a data set needs at least one scene")
        if seed < 0:
            raise ValueError(f"seed = {seed}: give an integer ≥ 0")
        self.split = split
        self.size = check_size(size)
        self.seed = int(seed)
        self.factors = check_factors(factors)
        self.cache = cache
        self._count = count

    @property
    def names(self) -> list[str]:
        """One readable name per scene, e.g. ``"streets_train_000012"``."""
        return [f"streets_{self.split}_{i:06d}" for i in range(len(self))]

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        height, width = self.size
        return f"Streets({self.split!r}, n={len(self)}, size=({height}, {width}), seed={self.seed}, {self.factors})"

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        """Scene `index`: image (H, W, 3) uint8 RGB and label (H, W) uint8, void 255."""
        return render(self.scene(index), self.size)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self[i] for i in range(len(self)))

    def scene(self, index: int) -> Scene:
        """What stands in scene `index`, not yet drawn."""
        return make_scene(self.seed, list(SPLITS).index(self.split), self._position(index), **self.factors)

    def metadata(self, index: int) -> dict[str, Any]:
        """Factors, weather, camera and object counts of scene `index`, ready for JSON; draws no pixel."""
        position = self._position(index)
        head = {
            "name": f"streets_{self.split}_{position:06d}",
            "split": self.split,
            "index": position,
            "seed": self.seed,
        }
        return {**head, "generator_version": GENERATOR_VERSION, **self.scene(position).metadata()}

    def arrays(self, workers: int | None = None, progress: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """All scenes at once, from the cache where it holds them.

        Args:
            workers: processes; ``None`` is one per CPU, 0 renders in this process.
            progress: show a progress bar on stderr.

        Returns:
            images (N, H, W, 3) uint8 and labels (N, H, W) uint8.
        """
        path = self.cache_file()
        if path is not None:
            found = _read_cache(path, self._key(), self._shape())
            if found is not None:
                return found
        images, labels = self._render_all(_worker_count(workers, len(self)), progress)
        if path is not None:
            _write_cache(path, self._key(), images, labels)
        return images, labels

    def cache_file(self) -> Path | None:
        """Where `arrays` keeps these scenes, ``None`` without a cache."""
        if self.cache is False:
            return None
        folder = cache_folder() if self.cache is None or self.cache is True else Path(self.cache)
        digest = hashlib.sha256(self._key().encode()).hexdigest()[:12]
        return folder / "streets" / f"{self.split}_{len(self)}_{self.size[0]}x{self.size[1]}_{digest}.npz"

    def _shape(self) -> tuple[int, int, int]:
        return (len(self), *self.size)

    def _key(self) -> str:
        parts = {"version": GENERATOR_VERSION, "split": self.split, "n": len(self), "size": self.size}
        return json.dumps({**parts, "seed": self.seed, **self.factors}, sort_keys=True)

    def _position(self, index: int) -> int:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"scene {index} of {len(self)}: street scenes of split {self.split!r} end before it")
        return int(position)

    def _render_all(self, workers: int, progress: bool) -> tuple[np.ndarray, np.ndarray]:
        from tqdm import tqdm  # only here: one scene at a time needs no progress bar

        images = np.empty((*self._shape(), 3), np.uint8)
        labels = np.empty(self._shape(), np.uint8)
        drawn: Iterator[Drawn]
        if workers > 1:
            own = {"split": self.split, "n": len(self), "size": self.size, "seed": self.seed}
            drawn = draw_in_processes({**own, **self.factors}, len(self), self.size, workers)
        else:
            drawn = ((index, *self[index]) for index in range(len(self)))
        for index, image, label in tqdm(drawn, total=len(self), desc="street scenes", unit="img", disable=not progress):
            images[index], labels[index] = image, label
        return images, labels


def _worker_count(workers: int | None, scenes: int) -> int:
    if workers is None:
        affinity = getattr(os, "sched_getaffinity", None)
        workers = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    if workers < 0:
        raise ValueError(f"workers = {workers}: give 0 (this process) or a number of processes")
    return min(workers, scenes // _WORTH_A_PROCESS)


# cache ----------------------------------------------------------------------------------------------------------------


def _read_cache(path: Path, key: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """The cached arrays, or ``None`` when there are none or the file is damaged (zip checks a CRC of every array)."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            images, labels = stored["images"], stored["labels"]
            right = stored["key"].tobytes().decode() == key and labels.shape == shape and images.shape == (*shape, 3)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, MemoryError) as error:
        warnings.warn(f"{path}: damaged cache file, made again ({error})", stacklevel=3)
        return None
    return (images, labels) if right and images.dtype == labels.dtype == np.uint8 else None


def _write_cache(path: Path, key: str, images: np.ndarray, labels: np.ndarray) -> None:
    """A reader never sees half a file. A full disk costs the cache only."""
    try:
        with atomic_write(path) as file:
            np.savez(file, images=images, labels=labels, key=np.frombuffer(key.encode(), np.uint8))
    except OSError as error:
        warnings.warn(f"{path}: scenes not cached ({error}); free space or set EDGESEG_CACHE", stacklevel=3)
