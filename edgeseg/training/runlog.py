"""What a run leaves behind: JSON lines, a progress bar, pictures, weights, the report."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from edgeseg import __version__
from edgeseg.data.labels import ClassTable
from edgeseg.files import with_nulls, write_json
from edgeseg.inference import Segmenter
from edgeseg.metrics import Scores
from edgeseg.models.weights import save_weights, weight_meta
from edgeseg.plots import curves, panel, save
from edgeseg.training.recipes import Recipe

_BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


class RunLog:
    """The files of one run.

    Args:
        folder: of the run; made when missing.
        enabled: off on all ranks but the first: nothing is written.
        progress: show a bar.
        tensorboard: also write an event file.

    Attributes:
        every: steps between lines of the log.
    """

    every = 10

    def __init__(self, folder: Path, enabled: bool = True, progress: bool = True, tensorboard: bool = False) -> None:
        self.folder, self.enabled = folder, enabled
        self.path = folder / "log.jsonl"
        self._show = progress and enabled
        self._bar: tqdm | None = None  # made when there is something to show: what fails before leaves no bar
        if enabled:
            folder.mkdir(parents=True, exist_ok=True)
            for half_written in folder.glob(".*.tmp"):  # by a run that was killed
                half_written.unlink()
        self._board = _tensorboard(folder) if tensorboard and enabled else None

    def start(self, **facts: Any) -> None:
        """Begin a fresh log with the facts of the run and of the machine."""
        if self.enabled:
            self.path.unlink(missing_ok=True)
        self.write(**facts, environment=environment())

    def write(self, **row: Any) -> None:
        """Append one line; a number that is not finite, which JSON does not know, becomes null."""
        if self.enabled:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(with_nulls(row), allow_nan=False) + "\n")

    def size(self) -> int:
        """Bytes written so far: a checkpoint remembers them."""
        return self.path.stat().st_size

    def rewind(self, size: int) -> None:
        """Drop what an interrupted run wrote after its last checkpoint."""
        if self.enabled and self.path.exists():
            with self.path.open("r+b") as file:
                file.truncate(size)

    def step(self, **row: Any) -> None:
        """Append a line of training: step, epoch, loss, lr, seconds."""
        self.write(**row)
        if self._board is not None:
            for key in ("loss", "lr"):
                self._board.add_scalar(key, row[key], row["step"])

    def bar(self, progress: float, step: int, speed: float, loss: float | None) -> None:
        """Move the progress bar to the share of the budget that is spent; speed in images per second."""
        if self._bar is None:
            self._bar = tqdm(total=100, desc="training", bar_format=_BAR, disable=not self._show, file=sys.stderr)
        facts = {"step": step, "img/s": f"{speed:.1f}", **({} if loss is None else {"loss": f"{loss:.3f}"})}
        self._bar.n = round(100 * progress, 2)
        self._bar.set_postfix(facts, refresh=False)
        self._bar.update(0)

    def scores(self, step: int, epoch: float, scores: Scores, table: ClassTable) -> dict[str, Any]:
        """Append a line of scores in percent, redraw the curves, and return the line."""
        row = {"step": step, "epoch": round(epoch, 3), **scores.as_dict(table.names)}
        self.write(**row)
        if self.enabled:
            miou, accuracy = 100 * scores.miou, 100 * scores.pixel_accuracy
            tqdm.write(f"step {step}, epoch {epoch:.1f}: mIoU {miou:.2f}, pixel accuracy {accuracy:.2f}")
            save(curves(self.path), self.folder / "curves.png")
        if self._board is not None:
            self._board.add_scalar("mIoU", 100 * scores.miou, step)
        return row

    def samples(self, segmenter: Segmenter, data: Any, count: int = 4) -> None:
        """Draw image, truth, prediction and errors of a few samples spread over the data set."""
        if not self.enabled:
            return
        chosen = np.unique(np.linspace(0, len(data) - 1, count).round().astype(int))
        rows = [(image, label, segmenter.predict(image)) for image, label in (data[int(i)] for i in chosen)]
        figure = panel(rows, data.table, names=[data.names[int(i)] for i in chosen])
        save(figure, self.folder / "samples.png")

    def weights(
        self,
        model: nn.Module,
        recipe: Recipe,
        table: ClassTable,
        step: int,
        start: str,
        trained_at: tuple[int, int] | None,
    ) -> None:
        """Write ``weights.safetensors``: the averaged weights with all that is needed to use them.

        Args:
            model, recipe, table, step, start: of the run.
            trained_at: (H, W) of its images, where known: prediction shrinks far larger pictures.
        """
        if not self.enabled:
            return
        meta = weight_meta(
            table.names, table.colors, table.name, recipe.mean, recipe.std, recipe.eval_size,
            recipe=recipe.name, data=recipe.data, split=recipe.split, seed=recipe.seed, start=start, steps=step,
            trained_at=trained_at and list(trained_at),
        )  # fmt: skip
        save_weights(self.folder / "weights.safetensors", model, meta)

    def report(self, report: dict[str, Any]) -> None:
        """Write ``report.json`` and the final curves, and end the bar."""
        if self._bar is not None:
            self._bar.close()
        if self.enabled:
            save(curves(self.path), self.folder / "curves.png")
            write_json(self.folder / "report.json", report)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError("TensorBoard is not installed: pip install tensorboard") from error
    return SummaryWriter(str(folder))


def told(percent: float | None) -> str:
    """A score of a report as text: ``"61.25 %"``."""
    return "– (no labelled pixel)" if percent is None else f"{percent:.2f} %"


def environment() -> dict[str, Any]:
    """What a run's numbers may depend on: versions, processor, threads."""
    return {
        "edgeseg": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
