"""Metrics against brute force, on splits, on void and absent classes, and with bad input."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist

from edgeseg.metrics import BoundaryF1, ConfusionMatrix, Objects, Scores, score, size_words
from edgeseg.void import VOID

CLASSES = 5
NAMES = ("road", "sky", "tree", "car", "pole")


def maps(seed: int, shape: tuple[int, ...] = (3, 20, 30), classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Predictions that are right for about half of the pixels, and targets with a tenth void."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, shape).astype(np.uint8)
    pred = np.where(rng.random(shape) < 0.5, target, rng.integers(0, classes, shape)).astype(np.uint8)
    target[rng.random(shape) < 0.1] = VOID
    return pred, target


def brute_matrix(pred: np.ndarray, target: np.ndarray, classes: int = CLASSES) -> np.ndarray:
    matrix = np.zeros((classes, classes), np.int64)
    for p, t in zip(pred.ravel().tolist(), target.ravel().tolist(), strict=True):
        if t != VOID:
            matrix[t, p] += 1
    return matrix


def counted(pred: np.ndarray, target: np.ndarray, classes: int = CLASSES) -> ConfusionMatrix:
    matrix = ConfusionMatrix(classes)
    matrix.update(pred, target)
    return matrix


# the confusion matrix


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [1, 2, 19, 254])
def test_the_matrix_equals_a_brute_force_count(seed, classes):
    pred, target = maps(seed, classes=classes)
    matrix = counted(pred, target, classes).matrix
    assert matrix.dtype == np.int64
    assert np.array_equal(matrix, brute_matrix(pred, target, classes))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64])
def test_any_integer_type_as_array_or_tensor_counts_the_same(dtype):
    pred, target = maps(0)
    target = np.where(target == VOID, 0, target) if dtype == np.int8 else target  # int8 has no 255
    expected = brute_matrix(pred, target)
    assert np.array_equal(counted(pred.astype(dtype), target.astype(dtype)).matrix, expected)
    if dtype != np.uint16:  # torch counts little with it
        as_tensors = torch.from_numpy(pred.astype(dtype)), torch.from_numpy(target.astype(dtype))
        assert np.array_equal(counted(*as_tensors).matrix, expected)
    assert np.array_equal(counted(torch.from_numpy(pred), target.astype(dtype)).matrix, expected)


def test_the_scores_are_the_formulas():
    pred, target = maps(1)
    scores = counted(pred, target).compute()
    valid = target != VOID
    iou = []
    for c in range(CLASSES):
        p, t = (pred == c) & valid, target == c
        iou.append((p & t).sum() / (p | t).sum())
    recall = [((pred == c) & (target == c)).sum() / (target == c).sum() for c in range(CLASSES)]
    assert scores.per_class_iou == pytest.approx(iou)
    assert scores.miou == pytest.approx(np.mean(iou))
    assert scores.pixel_accuracy == pytest.approx((pred == target)[valid].mean())
    assert scores.mean_accuracy == pytest.approx(np.mean(recall))
    assert scores.support == tuple((target == c).sum() for c in range(CLASSES))
    assert scores.absent == ()


def test_any_split_of_the_images_gives_the_same_scores_to_the_last_digit():
    pred, target = maps(2, (7, 16, 16))
    whole = counted(pred, target)
    one_by_one, merged = ConfusionMatrix(CLASSES), counted(pred[5:], target[5:])
    for p, t in zip(pred, target, strict=True):
        one_by_one.update(p, t)
    merged.merge(counted(pred[:5], target[:5]))
    assert whole.compute() == one_by_one.compute() == merged.compute()


def test_counts_beyond_32_bits_stay_exact():
    matrix = ConfusionMatrix(2)
    matrix.matrix[:] = [[2**53, 1], [0, 2**40]]
    matrix.merge(matrix)
    assert matrix.compute().support == (2**54 + 2, 2**41)


def test_void_pixels_do_not_count_whatever_is_predicted_there():
    pred, target = maps(3)
    expected = counted(pred, target).compute()
    for anything in (0, CLASSES - 1, 200, VOID):
        assert counted(np.where(target == VOID, anything, pred), target).compute() == expected


def test_a_perfect_prediction_scores_one_and_a_shifted_one_zero():
    _, target = maps(4)
    assert counted(target, target).compute().miou == 1.0
    shifted = np.where(target == VOID, 0, (target + 1) % CLASSES)
    assert counted(shifted, target).compute().miou == 0.0


def test_an_absent_class_is_nan_and_listed_and_an_invented_one_is_zero():
    target = np.array([[0, 0, 1, VOID]])
    scores = counted(np.array([[0, 0, 1, 3]]), target).compute()
    assert scores.per_class_iou[:2] == (1.0, 1.0)
    assert all(math.isnan(v) for v in scores.per_class_iou[2:])
    assert (scores.absent, scores.miou, scores.mean_accuracy) == ((2, 3, 4), 1.0, 1.0)
    invented = counted(np.array([[0, 2, 1, 3]]), target).compute()
    assert invented.per_class_iou[2] == 0.0
    assert invented.absent == (3, 4)
    assert invented.miou == pytest.approx((0.5 + 1 + 0) / 3)


def test_nothing_counted_gives_nan_everywhere_without_a_warning():
    for matrix in (ConfusionMatrix(3), counted(np.zeros((2, 2), int), np.full((2, 2), VOID), 3)):
        scores = matrix.compute()
        assert math.isnan(scores.miou)
        assert math.isnan(scores.pixel_accuracy)
        assert math.isnan(scores.mean_accuracy)
        assert scores.absent == (0, 1, 2)


# bad input


@pytest.mark.parametrize(
    ("pred", "target", "error", "text"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), int), TypeError, "prediction is float64.*argmax"),
        (torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.long), TypeError, "prediction is torch.float32"),
        (np.zeros((2, 2), int), np.zeros((2, 2), bool), TypeError, "target is bool"),
        (np.zeros((2, 3), int), np.zeros((2, 2), int), ValueError, r"\(2, 3\) and target \(2, 2\).*resize logits"),
        (np.zeros((1, 2, 2), int), np.zeros((2, 2), int), ValueError, "two"),
        (np.zeros(4, int), np.zeros(4, int), ValueError, "two"),
        (np.zeros((2, 2), int), np.full((2, 2), 11), ValueError, "target holds the value 11 .4 pixels.*0 to 4"),
        (np.zeros((2, 2), int), np.full((2, 2), 254), ValueError, "target holds the value 254"),
        (np.zeros((2, 2), int), np.full((2, 2), -1), ValueError, "target holds the value -1"),
        (np.full((2, 2), 5), np.zeros((2, 2), int), ValueError, "prediction holds the value 5 .4 pixels"),
        (np.full((2, 2), 255), np.zeros((2, 2), int), ValueError, "prediction holds the value 255"),
        (np.full((2, 2), 256), np.zeros((2, 2), int), ValueError, "prediction holds the value 256"),
        (torch.full((2, 2), -7), torch.zeros(2, 2, dtype=torch.long), ValueError, "prediction holds the value -7"),
    ],
)
def test_bad_input_is_refused_by_name_and_leaves_the_counts_alone(pred, target, error, text):
    matrix, boundary = ConfusionMatrix(CLASSES), BoundaryF1(CLASSES)
    for metric in (matrix, boundary):
        with pytest.raises(error, match=text):
            metric.update(pred, target)
    assert not matrix.matrix.any()
    assert not boundary.counts.any()


def test_class_counts_that_do_not_fit_are_refused():
    for classes in (0, 255):
        with pytest.raises(ValueError, match="1 to 254"):
            ConfusionMatrix(classes)
    with pytest.raises(ValueError, match="cannot be added"):
        ConfusionMatrix(2).merge(ConfusionMatrix(3))


# boundaries


def brute_boundary_f1(pred: np.ndarray, target: np.ndarray, classes: int, radius: int) -> list[float]:
    counts = np.zeros((4, classes))
    for p, t in zip(pred, target, strict=True):
        points = []
        for label in (np.where(t == VOID, VOID, p), t):
            found = []
            for y, x in np.argwhere(label != VOID):
                around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                inside = [q for q in around if 0 <= q[0] < label.shape[0] and 0 <= q[1] < label.shape[1]]
                if any(label[q] not in (VOID, label[y, x]) for q in inside):
                    found.append((y, x, label[y, x]))
            points.append(np.array(found).reshape(-1, 3))
        for i, (mine, other) in enumerate((points, points[::-1])):
            for y, x, c in mine:
                same = other[other[:, 2] == c]
                near = ((same[:, 0] - y) ** 2 + (same[:, 1] - x) ** 2 <= radius**2).any()
                counts[2 * i, c] += 1
                counts[2 * i + 1, c] += near
    with np.errstate(all="ignore"):
        precision, recall = counts[1] / counts[0], counts[3] / counts[2]
        f1 = np.where(counts[1] + counts[3] > 0, 2 * precision * recall / (precision + recall), 0)
    return np.where(counts[0] + counts[2] > 0, f1, np.nan).tolist()


def blocky(seed: int, n: int = 2) -> tuple[np.ndarray, np.ndarray]:
    pred, target = maps(seed, (n, 5, 6))
    return pred.repeat(5, 1).repeat(4, 2), target.repeat(5, 1).repeat(4, 2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("radius", [0, 1, 3])
def test_boundary_f1_equals_brute_force(seed, radius):
    pred, target = blocky(seed)
    pred[0, :, :5] = 0
    metric = BoundaryF1(CLASSES + 1, radius)
    metric.update(pred, target)
    assert metric.compute() == pytest.approx(brute_boundary_f1(pred, target, CLASSES + 1, radius), nan_ok=True)


def moved_square(by: int) -> np.ndarray:
    image = np.zeros((60, 60), np.uint8)
    image[20:40, 20 + by : 40 + by] = 1
    return image


def test_a_square_moved_within_the_radius_is_right_and_beyond_it_is_not():
    results = []
    for by in (0, 3, 4, 8):
        metric = BoundaryF1(2, radius=3)
        metric.update(moved_square(by), moved_square(0))
        results.append(metric.compute()[1])
    assert results[0] == results[1] == 1.0
    assert 1.0 > results[2] > results[3] > 0.0


def test_boundaries_beside_void_or_the_image_border_do_not_count():
    target = np.full((20, 20), VOID, np.uint8)
    target[:, :10] = 1
    metric = BoundaryF1(3)
    metric.update(np.where(target == VOID, 2, 1), target)
    assert all(math.isnan(v) for v in metric.compute())


def test_a_boundary_on_one_side_only_scores_zero():
    metric = BoundaryF1(2)
    metric.update(np.zeros((60, 60), int), moved_square(0))
    assert metric.compute() == (0.0, 0.0)


def test_boundary_counts_add_up_over_images():
    pred, target = blocky(7, n=4)
    whole, one_by_one = BoundaryF1(CLASSES), BoundaryF1(CLASSES)
    whole.update(pred, target)
    for p, t in zip(pred, target, strict=True):
        one_by_one.update(torch.from_numpy(p).long(), torch.from_numpy(t))
    assert whole.compute() == one_by_one.compute()


# scores and reports


def test_json_has_percent_with_two_decimals_and_null_for_nan():
    target = np.array([[0, 0, 0, 1]])
    scores = counted(np.array([[0, 0, 1, 1]]), target).compute()
    result = json.loads(json.dumps(scores.as_dict(NAMES)))
    assert result["miou"] == 58.33
    assert result["per_class_iou"] == {"road": 66.67, "sky": 50.0, "tree": None, "car": None, "pole": None}
    assert result["pixel_accuracy"] == 75.0
    assert result["mean_accuracy"] == 83.33
    assert result["support"] == {"road": 3, "sky": 1, "tree": 0, "car": 0, "pole": 0}
    assert result["absent"] == ["tree", "car", "pole"]
    assert "boundary_f1" not in result


def test_the_table_has_a_line_per_class_and_names_the_absent():
    scores = counted(np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0, 1]])).compute()
    text = scores.table(NAMES)
    assert [line.split()[0] for line in text.splitlines()[1:6]] == list(NAMES)
    assert "66.67" in text
    assert "58.33" in text
    assert text.endswith("tree, car, pole")
    with pytest.raises(ValueError, match="2 class names"):
        scores.table(NAMES[:2])


class Samples:
    """A data set of the shape that `score` takes, in memory."""

    def __init__(self, labels: np.ndarray, table: tuple[str, ...] = NAMES) -> None:
        self.labels, self.table = labels, table
        self.names = [f"frame_{i}" for i in range(len(labels))]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        label = self.labels[index]
        return np.repeat(label[..., None], 3, 2), label


def read_back(image: np.ndarray) -> np.ndarray:
    """A segmenter that reads the class off the image, but takes poles for trees."""
    return np.where(image[..., 0] >= 4, 2, image[..., 0])


def test_score_runs_a_segmenter_over_a_data_set(capsys):
    _, target = blocky(8, n=3)
    scores = score(read_back, Samples(target), boundary=True, progress=False)
    assert isinstance(scores, Scores)
    assert scores.per_class_iou[:2] == (1.0, 1.0)
    assert scores.per_class_iou[4] == 0.0
    assert scores.boundary_f1[4] == 0.0
    assert scores.as_dict(NAMES)["per_class_boundary_f1"]["pole"] == 0.0
    assert "boundary F1 %" in scores.table(NAMES)
    assert capsys.readouterr().err == ""


def test_score_names_the_sample_that_does_not_fit():
    labels = maps(9)[1]
    with pytest.raises(ValueError, match="frame_0.*resize logits"):
        score(lambda image: image[:10, :10, 0], Samples(labels), progress=False)
    with pytest.raises(TypeError, match="frame_0.*argmax"):
        score(lambda image: image[..., 0] / 2, Samples(labels), progress=False)

    def refuse(image):
        raise RuntimeError("too large for this network")

    with pytest.raises(RuntimeError, match="frame_0: too large"):
        score(refuse, Samples(labels), progress=False)
    with_files = Samples(labels)
    with_files.images = ["photos/first.png", "photos/second.png"]
    with pytest.raises(RuntimeError, match="photos/first.png: too large"):
        score(refuse, with_files, progress=False)


def test_scores_know_every_size_that_was_scored():
    matrix, other = ConfusionMatrix(2), ConfusionMatrix(2)
    assert matrix.compute().scored_at == []
    for height, width in ((40, 30), (10, 30)):
        matrix.update(np.zeros((height, width), int), np.zeros((height, width), int))
    other.update(np.zeros((2, 30, 40), int), np.zeros((2, 30, 40), int))
    assert other.compute().scored_at == [30, 40]
    assert size_words(other.compute().scored_at) == "30×40"
    matrix.merge(other)
    assert matrix.compute().scored_at == {"smallest": [10, 30], "largest": [40, 30], "sizes": 3}
    assert size_words(matrix.compute().scored_at) == "3 sizes from 10×30 to 40×30"


# ranks


def _rank(rank: int, world: int, file: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file:///{file.lstrip('/')}", rank=rank, world_size=world)
    pred, target = blocky(11, n=5)
    matrix, boundary = ConfusionMatrix(CLASSES), BoundaryF1(CLASSES)
    matrix.update(pred[rank::world], target[rank::world])
    boundary.update(pred[rank::world], target[rank::world])
    matrix.all_reduce()
    boundary.all_reduce()
    np.savez(f"{out}/{rank}.npz", matrix=matrix.matrix, boundary=boundary.counts)
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="this torch is built without torch.distributed")
def test_two_ranks_sum_to_the_counts_of_one_process(tmp_path):
    args = (2, (tmp_path / "store").as_posix(), str(tmp_path))
    torch.multiprocessing.spawn(_rank, args=args, nprocs=2)
    pred, target = blocky(11, n=5)
    boundary = BoundaryF1(CLASSES)
    boundary.update(pred, target)
    for rank in range(2):
        got = np.load(tmp_path / f"{rank}.npz")
        assert np.array_equal(got["matrix"], brute_matrix(pred, target))
        assert np.array_equal(got["boundary"], boundary.counts)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_counts_equal_the_cpus():
    pred, target = maps(13)
    on_gpu = counted(torch.from_numpy(pred).cuda(), torch.from_numpy(target).cuda().long())
    assert np.array_equal(on_gpu.matrix, brute_matrix(pred, target))


# thin classes and objects ---------------------------------------------------------------------------------------------


class Stripes:
    """One image: class 1 is a strip of `width` pixels on class 0, class 2 a square of 30."""

    def __init__(self, width=4, size=(120, 160)):
        label = np.zeros(size, np.uint8)
        label[:, 40 : 40 + width] = 1
        label[20:50, 80:110] = 2
        self.label, self.table, self.names = label, ("a", "b", "c"), ["stripes"]

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return np.zeros((*self.label.shape, 3), np.uint8), self.label


@pytest.mark.parametrize("width", [2, 3, 6])
def test_the_width_of_a_strip_is_measured_and_a_thin_one_named(width):
    pairs = Stripes(width)
    scores = score(lambda _: pairs.label, pairs, boundary=True, progress=False)
    assert scores.widths[1] == width
    assert scores.thin == ((1,) if width < 120 / 30 else ())
    told = scores.as_dict(pairs.table)
    assert told["thin"] == [pairs.table[i] for i in scores.thin]
    assert told["thin_iou"] == (100.0 if scores.thin else None)


def test_thin_classes_do_not_depend_on_the_prediction():
    pairs = Stripes(3)
    blank = score(lambda _: np.zeros_like(pairs.label), pairs, boundary=True, progress=False)
    assert blank.thin == (1,)
    assert blank.as_dict(pairs.table)["thin_iou"] == 0


def object_shares(pred, target, **sizes):
    objects = Objects(3, **sizes)
    objects.update(pred, target)
    return objects.compute()


def test_a_small_object_is_found_by_half_of_its_pixels_and_a_large_one_whole_by_nine_tenths():
    target = np.zeros((100, 100), np.uint8)
    target[:4, :4] = 1  # 16 pixels, small
    target[50:70, 50:70] = 2  # 400 pixels, 4 % of the image, large; what is left of class 0 is large, too
    for small, large in ((8, 360), (7, 360), (8, 359)):
        pred = target.copy()
        pred[:4, :4].flat = 0
        pred.reshape(-1)[np.flatnonzero(target == 1)[:small]] = 1
        pred.reshape(-1)[np.flatnonzero(target == 2)[large:]] = 0
        assert object_shares(pred, target) == (float(small >= 8), (1 + (large >= 360)) / 2)


def test_objects_are_connected_by_sides_and_void_is_none():
    target = np.full((40, 40), 255, np.uint8)
    target[0, 0] = target[1, 1] = 1  # two objects: corners do not connect
    pred = np.zeros_like(target)
    pred[0, 0] = 1
    assert object_shares(pred, target) == pytest.approx((0.5, np.nan), nan_ok=True)


def test_objects_add_up_over_images_whatever_their_order():
    rng = np.random.default_rng(0)
    images = [(rng.integers(0, 3, (24, 32), np.uint8), rng.integers(0, 3, (24, 32), np.uint8)) for _ in range(4)]
    counts = []
    for order in (images, images[::-1]):
        objects = Objects(3)
        for pred, target in order:
            objects.update(pred, target)
        counts.append(objects.counts.tolist())
    assert counts[0] == counts[1]


def test_without_scipy_objects_name_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r'pip install "edgeseg\[ablate\]"'):
        Objects(2).update(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
