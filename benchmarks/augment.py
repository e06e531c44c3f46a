"""Batched augmentation against a per-image torchvision v2 pipeline: the same operations, probabilities and threads.

    python benchmarks/augment.py [--batch 8] [--rounds 12] [--train]

Prints the time of both and their ratio, round by round in turn, so that a drifting machine hurts both alike.
``--train`` also times whole training steps of Cross-CBAM-M with either.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from edgeseg.data.labels import VOID
from edgeseg.models.registry import create_model
from edgeseg.training.augment import Augment, class_points
from edgeseg.training.losses import CrossEntropy
from edgeseg.training.recipe import Recipe

SOURCE, CROP = (360, 480), (288, 384)
MEAN, STD = (0.41, 0.43, 0.43), (0.31, 0.31, 0.31)
RECIPE = Recipe(
    "benchmark", iterations=1, crop=CROP, scale=(0.5, 2.0), flip=0.5, mean=MEAN, std=STD,
    brightness=0.4, contrast=0.4, saturation=0.4, hue=0.02, grey=0.1, blur=0.1,
)  # fmt: skip
OURS = Augment(RECIPE)


class RandomScale(v2.Transform):
    """Log-uniform zoom of image (bilinear, antialias) and mask (nearest): torchvision's own ScaleJitter is uniform."""

    def transform(self, inpt: Tensor, params: dict) -> Tensor:
        return v2.functional.resize(inpt, params["size"])

    def make_params(self, flat_inputs: list) -> dict:
        scale = math.exp(np.random.uniform(math.log(0.5), math.log(2.0)))
        return {"size": [round(side * scale) for side in SOURCE]}


def per_image() -> v2.Compose:
    """The usual torchvision pipeline of one sample."""
    fill = {tv_tensors.Image: 0, tv_tensors.Mask: VOID}
    return v2.Compose(
        [
            RandomScale(),
            v2.RandomCrop(CROP, pad_if_needed=True, fill=fill),
            v2.RandomHorizontalFlip(0.5),
            v2.ColorJitter(0.4, 0.4, 0.4, 0.02),
            v2.RandomGrayscale(0.1),
            v2.RandomApply([v2.GaussianBlur(7, (0.3, 1.5))], 0.1),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def main() -> None:
    """Read the options, make a batch, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--train", action="store_true", help="also whole training steps")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = (
        rng.integers(0, 11, (options.batch, SOURCE[0] // 8, SOURCE[1] // 8)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    )
    images = torch.from_numpy(rng.integers(0, 256, (options.batch, 3, *SOURCE), np.uint8))
    masks, points = torch.from_numpy(labels), np.stack([class_points(y, 11, i) for i, y in enumerate(labels)])
    pipeline, sizes, epoch = per_image(), np.full((options.batch, 2), SOURCE), iter(range(10**9))

    def batched() -> tuple[Tensor, Tensor]:
        e = next(epoch)
        draw = OURS.draw([e] * options.batch, range(options.batch), sizes, points)
        return OURS.apply(images, masks, draw)

    def one_by_one() -> tuple[Tensor, Tensor]:
        pairs = [pipeline(tv_tensors.Image(x), tv_tensors.Mask(y)) for x, y in zip(images, masks, strict=True)]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs]).long()

    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), batch {options.batch}, {SOURCE} → {CROP}")
    compare("augmentation", batched, one_by_one, options.rounds)
    if options.train:
        compare("training step", *(training(source) for source in (batched, one_by_one)), max(4, options.rounds // 2))


def training(source: Callable[[], tuple[Tensor, Tensor]]) -> Callable[[], None]:
    """A whole training step of Cross-CBAM-M in bf16 on what `source` gives."""
    model, loss = create_model("cross_cbam_m", 11).to(memory_format=torch.channels_last), CrossEntropy(stride=2)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)

    def step() -> None:
        x, y = source()
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x.contiguous(memory_format=torch.channels_last))
        (loss(out["out"].float(), y) + 0.4 * loss(out["aux"][0].float(), y)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def compare(what: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> None:
    """Both in turn, after one warm-up each; medians and the median of the ratios."""
    times: dict[Callable[[], object], list[float]] = {ours: [], theirs: []}
    for i in range(rounds + 1):
        for function in (ours, theirs):
            started = time.perf_counter()
            function()
            if i:
                times[function].append(time.perf_counter() - started)
    ratio = statistics.median(b / a for a, b in zip(times[ours], times[theirs], strict=True))
    mine, other = (1000 * statistics.median(t) for t in times.values())
    print(f"{what}: batched {mine:.1f} ms, per image (torchvision v2) {other:.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
