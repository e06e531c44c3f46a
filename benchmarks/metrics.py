"""Confusion matrix against torchmetrics' JaccardIndex: ten 1024×2048 maps of 19 classes, equal results, ratio of times.

    python benchmarks/metrics.py            (needs the dev extra)

Both count the same uint8 maps on the CPU, image by image and alternately, with as many threads as OMP_NUM_THREADS
says; the best of five passes is taken. The result is checked against a brute-force count too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torchmetrics import JaccardIndex

from edgeseg.metrics import VOID, BoundaryF1, ConfusionMatrix

IMAGES, SIZE, CLASSES, PASSES = 10, (1024, 2048), 19, 5
TARGET_RATIO = 20


def make_maps() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Street-like maps: targets of large blocks with a tenth void, predictions right for about four pixels in five."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(IMAGES):
        target = rng.integers(0, CLASSES, (SIZE[0] // 32, SIZE[1] // 32)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
        pred = np.where(rng.random(SIZE) < 0.8, target, rng.integers(0, CLASSES, SIZE)).astype(np.uint8)
        target[rng.random(SIZE) < 0.1] = VOID
        pairs.append((torch.from_numpy(pred), torch.from_numpy(target)))
    return pairs


def seconds(run: Callable[[], object]) -> tuple[float, object]:
    """Time of one call, and what it gave."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def ours(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> ConfusionMatrix:
    """One matrix over all maps."""
    matrix = ConfusionMatrix(CLASSES)
    for pred, target in pairs:
        matrix.update(pred, target)
    matrix.compute()
    return matrix


def theirs(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
    """Per-class IoU by torchmetrics."""
    metric = JaccardIndex(task="multiclass", num_classes=CLASSES, ignore_index=VOID, average="none")
    for pred, target in pairs:
        metric.update(pred, target)
    return metric.compute().numpy()


def brute_force(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
    """Each cell of the matrix by a comparison of its own."""
    matrix = np.zeros((CLASSES, CLASSES), np.int64)
    for pred, target in pairs:
        for true in range(CLASSES):
            found = pred[target == true].numpy()
            matrix[true] += [(found == c).sum() for c in range(CLASSES)]
    return matrix


def main() -> None:
    """Print times and ratio; a wrong result or a ratio below the target ends with an error."""
    pairs = make_maps()
    runs = [(seconds(lambda: ours(pairs)), seconds(lambda: theirs(pairs))) for _ in range(PASSES)]
    time_ours, time_theirs = (min(run[i][0] for run in runs) for i in (0, 1))
    matrix, iou = runs[0][0][1], runs[0][1][1]
    assert isinstance(matrix, ConfusionMatrix)
    assert np.array_equal(matrix.matrix, brute_force(pairs)), "the matrix differs from the brute-force count"
    np.testing.assert_allclose(matrix.compute().per_class_iou, iou, rtol=1e-6)  # theirs is float32
    ratio = time_theirs / time_ours
    threads = torch.get_num_threads()
    print(f"{IMAGES} maps of {SIZE[0]}×{SIZE[1]}, {CLASSES} classes, {threads} thread(s), best of {PASSES}")
    print(f"  edgeseg ConfusionMatrix    {time_ours:7.3f} s   equal to the brute-force count")
    print(f"  torchmetrics JaccardIndex  {time_theirs:7.3f} s   {ratio:.1f} times as long, equal IoU")
    boundary = BoundaryF1(CLASSES)
    elapsed, _ = seconds(lambda: boundary.update(*pairs[0]))
    print(f"  edgeseg BoundaryF1         {elapsed:7.3f} s for one of these maps")
    if ratio < TARGET_RATIO:
        raise SystemExit(f"ratio {ratio:.1f} is below {TARGET_RATIO}")


if __name__ == "__main__":
    main()
