"""The README's first command: watch the real network learn street scenes in minutes, and measure what it learnt.

Scenes are rendered, two trivial classifiers are fitted to say what is easy, Cross-CBAM-M is trained, and all three are
scored on scenes that none of them has seen.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg import plots
from edgeseg.data import open_data
from edgeseg.data.labels import CAMVID, ClassTable
from edgeseg.data.pairs import Dataset
from edgeseg.files import write_json
from edgeseg.inference import load_segmenter
from edgeseg.training.recipes import Recipe, get_recipe
from edgeseg.training.train import CHECKPOINT, evaluate, fit
from edgeseg.training.trivial import fit_pixel_mlp

TEST_SCENES = 200


@dataclass(frozen=True)
class _Rendered:
    """Scenes that are in memory already, as a data set."""

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    table: ClassTable = CAMVID

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.images[index], self.labels[index]

    def arrays(self, progress: bool = True) -> tuple[np.ndarray, np.ndarray]:
        return self.images, self.labels


def run_quickstart(
    out: str | Path = "runs/quickstart", minutes: float | None = None, seed: int = 0, device: str | None = None
) -> dict[str, Any]:
    """Render, train, score, draw.

    Args:
        out: folder for everything that is written; an earlier quickstart in it is replaced.
        minutes: of training; default: the recipe's.
        seed: of the scenes' order, the augmentation and the weights.
        device: default: CUDA where there is one, else the CPU.

    Returns:
        The report, also in ``report.json``: mIoU in percent of the network and of both baselines.
    """
    started, out = time.perf_counter(), Path(out)
    recipe = replace(get_recipe("streets_cpu"), seed=seed)
    if minutes is not None:
        recipe = replace(recipe, minutes=minutes)
    for name in (CHECKPOINT, "log.jsonl"):
        (out / name).unlink(missing_ok=True)
    print(f"1/4  rendering {recipe.data_count} training and {TEST_SCENES} test scenes, {_by(recipe.data_size)} pixels")
    train, test = _render("train", recipe, recipe.data_count), _render("test", recipe, TEST_SCENES)
    print("2/4  what is easy: fitting classifiers that see one pixel's colour, then colour and position")
    colour, position = (_baseline(train, test, recipe, position) for position in (False, True))
    print(f"3/4  training {recipe.model} for {recipe.minutes:g} minutes on {os.cpu_count()} cores")
    report = fit(recipe, train, test, out, device=device, checkpoint_seconds=1e9)
    print("4/4  drawing")
    scores = report["scores"]
    _draw(out, test, scores["miou"])
    summary = {
        **{key: scores[key] for key in ("miou", "pixel_accuracy", "per_class_iou")},
        "baseline_colour": colour, "baseline_position": position,
        "model": recipe.model, "data": "streets", "split": "test", "images": len(test),
        "size": list(recipe.data_size or ()), "seed": seed, "steps": report["steps"],
        "training_minutes": report["minutes"], "total_minutes": round((time.perf_counter() - started) / 60, 2),
        "recipe": report["recipe"],
    }  # fmt: skip
    write_json(out / "report.json", summary)
    print(_story(summary, out))
    return summary


def _render(split: str, recipe: Recipe, count: int | None) -> _Rendered:
    scenes = open_data("streets", split, size=recipe.data_size, count=count)
    images, labels = scenes.arrays(progress=True)  # type: ignore[union-attr]
    return _Rendered(images, labels, list(scenes.names))


def _baseline(train: _Rendered, test: Dataset, recipe: Recipe, position: bool) -> float:
    model = fit_pixel_mlp(train.images, train.labels, len(train.table), recipe.mean, recipe.std, position)
    return evaluate(model, test, recipe, progress=False).as_dict(train.table.names)["miou"]


def _draw(out: Path, test: _Rendered, miou: float) -> None:
    segmenter = load_segmenter(out / "weights.safetensors")
    chosen = np.linspace(0, len(test) - 1, 4).astype(int)
    rows = [(test.images[i], test.labels[i], segmenter.predict(test.images[i])) for i in chosen]
    title = f"Cross-CBAM-M on street scenes it has not seen: mIoU {miou:.1f} %"
    plots.save(plots.panel(rows, test.table, title), out / "quickstart.png")


def _story(r: dict[str, Any], out: Path) -> str:
    classes = "  ".join(f"{name} {iou:.0f}" for name, iou in r["per_class_iou"].items() if iou is not None)
    return f"""
mIoU on {r["images"]} unseen scenes, eleven classes, {_by(r["size"])} pixels, seed {r["seed"]}
  one pixel's colour      {r["baseline_colour"]:6.2f} %
  colour and position     {r["baseline_position"]:6.2f} %
  {r["model"]:<22}  {r["miou"]:6.2f} %   after {r["training_minutes"]:.1f} minutes, {r["steps"]} steps
  {classes}
{r["total_minutes"]:.1f} minutes in all. Written to {out}/
  quickstart.png          image, truth, prediction and errors: look at it first
  curves.png              loss and learning rate
  weights.safetensors     the trained network
  report.json, log.jsonl  every number
Next
  edgeseg predict PICTURE.jpg --model {out}/weights.safetensors
  edgeseg train streets_cpu minutes=20 --out runs/longer
"""


def _by(size: Any) -> str:
    return "×".join(str(v) for v in size)
