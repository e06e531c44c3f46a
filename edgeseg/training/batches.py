"""Batches of a training run: which samples, from where, augmented.

The run is one endless stream of samples: shuffled epoch after shuffled epoch. With batches of B, step k takes the
positions kB to (k+1)B − 1, and a stage of other batches takes over where the one before ends. So the step alone says
which samples come next: there is no partial batch, no worker or rank changes it, and resuming is exact.
"""

from __future__ import annotations

import functools
import itertools
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from edgeseg.data.datasets import known_options, open_data
from edgeseg.data.labels import VOID
from edgeseg.data.pairs import Dataset
from edgeseg.machine import total_memory
from edgeseg.training.augment import Augment, class_points
from edgeseg.training.recipe import Recipe, RecipeError
from edgeseg.training.stages import Stage, stage_at


def open_recipe(recipe: Recipe) -> tuple[Dataset, Dataset | None]:
    """The data that a recipe trains on, and those that it is scored on, ``None`` where it is not.

    Raises:
        RecipeError: it names a size or a count, or accepts a part, and its data have none to choose.
        DataError: as in `edgeseg.data.open_data`.
    """
    wanted = {"size": recipe.data_size, "count": recipe.data_count, "partial": recipe.data_partial or None}
    known = known_options(recipe.data, **wanted)
    for option, value in wanted.items():
        if value is not None and option not in known:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise RecipeError(
                f"recipe {recipe.name}: data_{option}={shown}, but {recipe.data} has no {option} to choose; set "
                f"data_{option}={'false' if option == 'partial' else 'none'}, which takes the data as they are"
            )
    train = open_data(recipe.data, recipe.split, **known)
    known = {**known, "count": None}  # of scenes to train on
    return train, None if recipe.val_split is None else open_data(recipe.data, recipe.val_split, **known)


class WorkerError(RuntimeError):
    """A process that reads for the training run is gone; the message says what to change."""


@dataclass(frozen=True)
class Stream:
    """The endless, shuffled stream of samples, as one rank sees it.

    Args:
        length: samples in the data set.
        stages: of the run; each with its own batch, the samples of a step over all ranks.
        seed: of the shuffling.
        rank, world: this process and their number; rank r takes every world-th sample of a batch, starting at r.
    """

    length: int
    stages: tuple[Stage, ...]
    seed: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError("the data set is empty: nothing to train on")
        for batch in (stage.recipe.batch for stage in self.stages):
            if batch % self.world:
                raise ValueError(f"batch {batch} is no multiple of the {self.world} ranks; change batch or the ranks")

    def samples(self, step: int) -> int:
        """Samples that all ranks have seen after `step` steps."""
        return stage_at(self.stages, step).samples(step)

    def positions(self, step: int) -> range:
        """Positions in the stream of this rank's samples of the step after `step` others."""
        first = self.samples(step)
        return range(first + self.rank, first + stage_at(self.stages, step).recipe.batch, self.world)

    def keys(self, step: int) -> list[tuple[int, int]]:
        """(epoch, sample) of this rank's samples of a step."""
        places = (divmod(position, self.length) for position in self.positions(step))
        return [(epoch, int(_order(self.length, self.seed, epoch)[place])) for epoch, place in places]


@functools.lru_cache(2)  # a batch may reach into the next epoch
def _order(length: int, seed: int, epoch: int) -> np.ndarray:
    """The samples of one epoch, shuffled."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(length)


@dataclass
class RawBatch:
    """Samples as stored, padded to one size. B samples, C classes."""

    images: Tensor  # (B, 3, h, w) uint8
    labels: Tensor  # (B, h, w) uint8, void 255
    sizes: np.ndarray  # (B, 2) true height and width
    points: np.ndarray  # (B, C, POINTS, 2), see augment.class_points


class Resident:
    """The whole data set as uint8 tensors on one device: nothing is read during training."""

    def __init__(self, data: Dataset, device: torch.device, progress: bool = True) -> None:
        images, labels = _arrays(data, progress)
        classes = len(data.table)
        self.points = np.stack([class_points(label, classes, i) for i, label in enumerate(labels)])
        # image by image: counting needs eight bytes a pixel for a while
        self.pixel_counts = np.sum([np.bincount(label.ravel(), minlength=256)[:classes] for label in labels], 0)
        self.images = torch.from_numpy(images).to(device)  # (N, h, w, 3), turned batch by batch: no second copy
        self.labels = torch.from_numpy(labels).to(device)

    def batches(self, stream: Stream, start: int) -> Iterator[tuple[list[tuple[int, int]], RawBatch]]:
        """Keys and samples of every step from `start` on, without end."""
        for step in itertools.count(start):
            keys = stream.keys(step)
            samples = [s for _, s in keys]
            index = torch.tensor(samples, device=self.images.device)
            sizes = np.full((len(samples), 2), self.labels.shape[1:])
            images = self.images[index].permute(0, 3, 1, 2).contiguous()
            yield keys, RawBatch(images, self.labels[index], sizes, self.points[samples])


@dataclass
class Streamed:
    """Samples read by worker processes, for data sets that do not fit into memory or have images of many sizes.

    What goes wrong with a file is raised as if it had been read here, without the worker's trace.
    """

    data: Dataset
    device: torch.device
    workers: int = 2
    progress: bool = True

    @functools.cached_property
    def pixel_counts(self) -> np.ndarray:
        """(C,) pixels per class: reads every label once."""
        counts = np.zeros(256, np.int64)
        for i in tqdm(range(len(self.data)), desc="counting classes", disable=not self.progress, file=sys.stderr):
            counts += np.bincount(self.data[i][1].ravel(), minlength=256)
        return counts[: len(self.data.table)]

    def batches(self, stream: Stream, start: int) -> Iterator[tuple[list[tuple[int, int]], RawBatch]]:
        """Keys and samples of every step from `start` on, without end."""
        loader = DataLoader(
            _WithPoints(self.data),
            batch_sampler=([sample for _, sample in stream.keys(step)] for step in itertools.count(start)),
            num_workers=self.workers,
            collate_fn=_padded,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_leave_signals_to_the_parent,
            generator=torch.Generator(),  # it draws at its start: from the run's numbers, a resumed run had others
        )
        for step, raw in enumerate(_alive(iter(loader)), start):
            if isinstance(raw, Exception):
                raise raw
            raw.images, raw.labels = (t.to(self.device, non_blocking=True) for t in (raw.images, raw.labels))
            yield stream.keys(step), raw


_Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


class _WithPoints(torch.utils.data.Dataset[Any]):
    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, index: int) -> _Sample | Exception:
        """A sample, or what went wrong: a DataLoader would wrap what is raised here into thirty lines of trace."""
        try:
            image, label = self.data[index]
            return image, label, class_points(label, len(self.data.table), index)
        except Exception as error:
            return _sendable(error)


def _sendable(error: Exception) -> Exception:
    """The error itself where it survives the way from a worker, else its words."""
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:  # a kind whose arguments are not those that it is made from
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")


def _leave_signals_to_the_parent(_: int) -> None:
    """Ctrl-C reaches every process of a terminal: the parent says what there is to say, and ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _alive(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches; that a worker was killed is said with its cure."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if fault := dead_worker(error):
                raise fault from None
            raise
        yield batch


def dead_worker(error: RuntimeError) -> WorkerError | None:
    """What to say where an error is PyTorch's word that a worker was killed: it may come in the middle of anything."""
    if "DataLoader worker" not in str(error):
        return None
    return WorkerError(
        f"a reading process died ({str(error).splitlines()[0].rstrip('. ')}), mostly for want of memory or of "
        "/dev/shm; train with fewer (--workers 1) or none (--workers 0)"
    )


def _padded(samples: list[_Sample | Exception]) -> RawBatch | Exception:
    fault = next((sample for sample in samples if isinstance(sample, Exception)), None)
    return fault or _stacked(samples)  # type: ignore[arg-type]


def _stacked(samples: list[_Sample]) -> RawBatch:
    sizes = np.array([label.shape for _, label, _ in samples])
    height, width = sizes.max(0)
    images = np.zeros((len(samples), 3, height, width), np.uint8)
    labels = np.full((len(samples), height, width), VOID, np.uint8)
    for i, (image, label, _) in enumerate(samples):
        images[i, :, : label.shape[0], : label.shape[1]] = image.transpose(2, 0, 1)
        labels[i, : label.shape[0], : label.shape[1]] = label
    return RawBatch(torch.from_numpy(images), torch.from_numpy(labels), sizes, np.stack([p for *_, p in samples]))


def _arrays(data: Dataset, progress: bool) -> tuple[np.ndarray, np.ndarray]:
    """All images (N, H, W, 3) and labels (N, H, W) of a data set whose images have one size."""
    if hasattr(data, "arrays"):
        images, labels = data.arrays(progress=progress)
        return images, labels
    pairs = [data[i] for i in tqdm(range(len(data)), desc="reading", disable=not progress, file=sys.stderr)]
    return np.stack([image for image, _ in pairs]), np.stack([label for _, label in pairs])


def load_samples(data: Dataset, device: torch.device, workers: int = 2, progress: bool = True) -> Resident | Streamed:
    """The data set resident on the device where it fits, else streamed by workers.

    It may take half of the machine's memory, shared by the processes that torchrun started on it, and on CUDA at most
    a third of the GPU's free memory.

    Args:
        data: the data set; resident needs images of one size.
        device: where training happens.
        workers: reading processes when streamed.
        progress: show a bar.
    """
    budget = total_memory() / 2 / int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device.type == "cuda":
        budget = min(budget, torch.cuda.mem_get_info(device)[0] / 3)
    probe = {data[i][1].shape for i in np.linspace(0, len(data) - 1, min(len(data), 8)).astype(int)}
    fits = 4 * len(data) * max(h * w for h, w in probe) <= budget
    if len(probe) == 1 and fits:
        try:
            return Resident(data, device, progress)
        except ValueError as error:  # np.stack: images of several sizes after all
            if "same shape" not in str(error):
                raise
    return Streamed(data, device, workers, progress)


def augmented(raw: RawBatch, keys: list[tuple[int, int]], augment: Augment) -> tuple[Tensor, Tensor]:
    """One batch as the model sees it: (B, 3, H, W) float32 normalised and (B, H, W) uint8, on the batch's device."""
    epochs, samples = zip(*keys, strict=True)
    return augment.apply(raw.images, raw.labels, augment.draw(epochs, samples, raw.sizes, raw.points))
