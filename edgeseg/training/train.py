"""The training loop: `fit`, a run from recipe to weights; `train_one_epoch`, `training_step` and `evaluate`, its parts.

A run lives in one folder: ``log.jsonl``, ``checkpoint.safetensors``, ``curves.png``, ``samples.png``, and at the end
``weights.safetensors`` and ``report.json``. Started under ``torchrun`` it uses every process that torchrun made.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from edgeseg.data.labels import ClassTable, LabelError, match_classes
from edgeseg.data.pairs import DataError, Dataset
from edgeseg.inference import Segmenter
from edgeseg.metrics import Scores, score
from edgeseg.training.batches import (
    RawBatch,
    WorkerError,
    augmented,
    dead_worker,
)
from edgeseg.training.checkpoint import (
    CheckpointError,
    checkpoint_meta,
    data_differences,
    data_identity,
    load_checkpoint,
    save_checkpoint,
)
from edgeseg.training.compiled import gradient_fault
from edgeseg.training.distributed import global_loss, join_group, mean_over_ranks, same_buffers, slowest_clock
from edgeseg.training.losses import class_weights
from edgeseg.training.network import (
    RANDOM,
    backbone_of,
    is_other_backbone,
    normalisation_fault,
    start_text,
)
from edgeseg.training.optim import (
    learning_rate,
    precise_bn,
    set_learning_rate,
    unweight,
)
from edgeseg.training.recipe import BUDGETS, Recipe, differing
from edgeseg.training.run import Run, start_run
from edgeseg.training.runlog import RunLog
from edgeseg.training.suspicions import find_suspicions

CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"
_RESUME_ON = "Resume on the data that the run was started on, or train into another folder (--out)."
_PRECISE_BN_EPOCH = 2**31  # an epoch number that no run reaches: its augmentations are keyed by it


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to change."""


def fit(
    recipe: Recipe,
    data: Dataset,
    val: Dataset | None = None,
    out: str | Path = "runs/latest",
    *,
    device: str | torch.device | None = None,
    init: str | Path | None = None,
    backbone: str | Path | None = None,
    resume: bool = False,
    workers: int = 2,
    checkpoint_seconds: float = 300.0,
    tensorboard: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model from recipe to weights.

    Args:
        recipe: every number of the run.
        data: training set.
        val: scored every `recipe.eval_every` epochs and at the end.
        out: folder of the run; must be new unless `resume`.
        device: default: CUDA where there is one, else the CPU.
        init: a weight's name or file to start from; where its class names, or their order, are not those of the data,
            its heads start anew, which is printed.
        backbone: ImageNet weights to start the backbone from: a file, a package or ``"timm"``, see
            `edgeseg.models.backbones.load_backbone`; instead of `init`.
        resume: go on from the folder's checkpoint, bit for bit as if never interrupted (on a CPU; a budget in minutes
            follows the clock and cannot be repeated exactly). The budget may be another: the schedule follows the new
            one from there on, and the log says so. `backbone` is then compared and not loaded: the checkpoint holds all
            weights.
        workers: reading processes, where the set does not fit into memory.
        checkpoint_seconds: time between checkpoints; they do not influence the result.
        tensorboard: also write the log for TensorBoard.
        progress: show progress bars.

    Returns:
        The report, also in ``report.json``: the recipe, steps, minutes, and the scores on `val` in percent.

    Raises:
        TrainingError: the folder holds another run, or another process trains in it; the loss is no longer finite.
        CheckpointError: the run to resume was started on other data, or its file is damaged.
        RecipeError: the recipe asks for a head or a backbone that the model does not have.
        WeightError: `init` or `backbone` is damaged or for another network.
        LabelError: `val`, the teacher or the run to resume has other classes than `data`.
    """
    if val is not None:
        cure = "Give both the same class file."
        match_classes(val.table.names, data.table.names, "the validation data", "the training data", cure)
    if init is not None and backbone is not None:
        raise TrainingError("init brings a backbone of its own: give either init (a trained weight) or backbone")
    rank, world, device = join_group(device)
    out, progress = Path(out), progress and rank == 0
    there = (out / CHECKPOINT).exists()
    if there and not resume:
        raise TrainingError(f"{out} holds a run already; go on with it (--resume), or choose another folder (--out)")
    if there:
        _check_same_run(out / CHECKPOINT, recipe, data, val, init, backbone)
    with alone_in(out) if rank == 0 else nullcontext():
        log = RunLog(out, enabled=rank == 0, progress=progress, tensorboard=tensorboard)
        backbone = None if there else backbone
        run = start_run(recipe, data, device, rank, world, init, backbone, workers, progress)
        if val is not None:
            run.identity["validation"] = data_identity(val)
        if there:
            _resume(run, log)
        else:
            _begin(run, log, data, val)
        _to_the_end(run, val, log, checkpoint_seconds, progress)
        return _finish(run, val, log, progress, _usual_size(data))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder: two runs in one would write over each other's checkpoints.

    Raises:
        TrainingError: somebody holds it already. What a killed process held is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        with suppress(NotImplementedError):  # a file system without locks: as before there were any
            lock.acquire()
    except Timeout:
        cure = "wait for it, stop it, or choose another folder (--out)"
        raise TrainingError(f"another process is training in {folder}: {cure}") from None
    try:
        yield
    finally:
        lock.release()


def _to_the_end(run: Run, val: Dataset | None, log: RunLog, checkpoint_seconds: float, progress: bool) -> None:
    """Train until the budget is spent; keep what is there when the data fail on the way."""
    batches, saved = run.samples.batches(run.stream, run.step), time.perf_counter()
    try:
        while run.progress < 1:
            before = run.epoch
            train_one_epoch(run, batches, log)
            if val is not None and _due(run.recipe.eval_every, before, run.epoch) and run.progress < 1:
                _score(run, val, log, progress)
            if run.stream.rank == 0 and time.perf_counter() - saved > checkpoint_seconds:
                saved = time.perf_counter()
                _save(run, log)
    except (DataError, LabelError, WorkerError):  # between two steps: nothing is half-done
        if run.stream.rank == 0 and run.step:
            _save(run, log)
            kept = log.folder / CHECKPOINT
            print(f"{run.step} steps are kept in {kept}: mend what is named next, and go on with --resume")
        raise
    except RuntimeError as error:  # perhaps in the middle of a step: the last checkpoint stays
        if fault := dead_worker(error):
            raise fault from None
        raise


# its start ------------------------------------------------------------------------------------------------------------


def _begin(run: Run, log: RunLog, data: Dataset, val: Dataset | None) -> None:
    """Write a fresh log's first line; warn of what is probably not meant."""
    log.start(
        recipe=run.recipe.as_json(),
        start=run.start,
        computes=str(run.dtype).removeprefix("torch."),
        images=run.stream.length,
        parameters=sum(p.numel() for p in run.model.parameters()),
    )
    if run.stream.rank:
        return
    odd = find_suspicions(run.recipe, data, val, run.samples)
    odd += normalisation_fault(run.model, run.recipe, run.start)
    if run.recipe.freeze_epochs and run.start == RANDOM:
        odd.append(
            f"the backbone stays at its random weights for {run.recipe.freeze_epochs:g} epochs; give trained ones "
            "(backbone or init), or set freeze_epochs=0"
        )
    for sentence in odd:
        warnings.warn(sentence, stacklevel=3)


def _check_same_run(
    path: Path,
    recipe: Recipe,
    data: Dataset,
    val: Dataset | None,
    init: str | Path | None,
    backbone: str | Path | None,
) -> None:
    """Refuse a checkpoint of another recipe, start or data, before anything is built or read."""
    meta = checkpoint_meta(path)
    changes = differing(meta["recipe"], recipe)
    others = ", ".join(text for name, text in changes.items() if name not in BUDGETS)
    if others:
        raise TrainingError(f"{path.parent} was started with another recipe ({others}); resume with the same")
    start = meta.get("start")
    if init is not None and start not in (None, start_text(init)):
        raise TrainingError(
            f"{path.parent} was started from {start}, not from {start_text(init)}; leave --init out, which a run to "
            "resume does not need, or train into another folder (--out)"
        )
    if backbone is not None and start is not None and is_other_backbone(start, backbone):
        raise TrainingError(
            f"{path.parent} was started from {start}, not from the backbone {backbone}; leave --backbone out, which a "
            "run to resume does not need, or train into another folder (--out)"
        )
    if "classes" in meta:
        match_classes(meta["classes"], data.table.names, str(path), "the training data", _RESUME_ON)
    _check_same_data(path, meta, "training", data_identity(data))
    if val is not None:
        _check_same_data(path, meta, "validation", data_identity(val))


def _check_same_data(path: Path, meta: dict[str, Any], part: str, now: dict[str, Any]) -> None:
    others = data_differences(meta.get("data", {}).get(part, {}), now)
    if others:
        raise CheckpointError(f"{path}: the run was started on other {part} data ({others}). {_RESUME_ON}")


def _resume(run: Run, log: RunLog) -> None:
    """Put a fresh run where its folder's checkpoint is; the budget alone may be another."""
    path, recipe, stream = log.folder / CHECKPOINT, run.recipe, run.stream
    meta = load_checkpoint(path, run.model, run.ema.model, run.optimizer, run.scaler)
    _check_same_data(path, meta, "training", run.identity["training"])  # again, now that its pixels are counted
    if "data" not in meta and stream.rank == 0:
        print(f"{path}: of a version that did not note its data; that these are the same is taken on trust")
    changes = differing(meta["recipe"], recipe)
    run.step, run.seconds, run.loss_sum = meta["step"], meta["seconds"], meta["loss_sum"]
    run.start = meta.get("start", run.start)
    run.enter_phase()
    if stream.world > 1:  # the stored random state is the first rank's; dropout must differ between ranks
        torch.manual_seed(recipe.seed + stream.world * run.step + stream.rank)
    log.rewind(meta["log_bytes"])
    if changes:
        log.write(step=run.step, budget_changed=", ".join(changes.values()))


# its steps ------------------------------------------------------------------------------------------------------------


def train_one_epoch(run: Run, batches: Iterator[tuple[list[tuple[int, int]], RawBatch]], log: RunLog) -> None:
    """Train to the end of the current epoch or of the budget, or to an evaluation that is due before.

    Args:
        run: is changed in place.
        batches: endless, from `Resident.batches` or `Streamed.batches`, positioned at `run.step`.
        log: takes a line every few steps and shows the progress bar.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    run.train_mode()
    recipe, on_gpu, started = run.recipe, run.device.type == "cuda", time.perf_counter()
    for keys, raw in batches:
        run.enter_phase()
        stage = run.stage
        if recipe.stages and run.step == stage.first_step:
            log.write(step=run.step, epoch=round(run.epoch, 3), stage=stage.number, **recipe.stages[stage.number - 1])
        lr = learning_rate(stage.recipe, run.step - stage.first_step, run.stage_progress)
        set_learning_rate(run.optimizer, lr)
        loss = training_step(run, keys, raw)
        run.ema.update(run.model, run.step)
        run.step += 1
        run.loss_sum += loss if on_gpu else loss.item()  # type: ignore[assignment]
        spent, started = run.seconds + time.perf_counter() - started, time.perf_counter()
        run.seconds = slowest_clock(spent, run.device) if recipe.minutes else spent
        speed = run.stream.samples(run.step) / run.seconds
        log.bar(run.progress, run.step, speed, None if on_gpu else loss.item())
        if run.step % log.every == 0:
            mean_loss, run.loss_sum = float(run.loss_sum) / log.every, 0.0
            log.step(step=run.step, epoch=round(run.epoch, 3), loss=mean_loss, lr=lr, seconds=round(run.seconds, 1))
            _require_finite(mean_loss, run, log)
        due = _due(recipe.eval_every, run.epoch_at(run.step - 1), run.epoch)
        steps_per_epoch = max(1, run.stream.length // stage.recipe.batch)
        if run.step % steps_per_epoch == 0 or run.progress >= 1 or due:
            return


def training_step(run: Run, keys: list[tuple[int, int]], raw: RawBatch) -> Tensor:
    """One optimiser step on one batch; returns the loss, 0-dim, without waiting for the device."""
    recipe = run.stage.recipe
    parts = recipe.accumulate
    x, y = augmented(raw, keys, run.augment)
    if recipe.channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    if run.unproven:
        _prove(run, x.chunk(parts)[0], y.chunk(parts)[0])
    total = torch.zeros((), device=run.device)
    for x_part, y_part in zip(x.chunk(parts), y.chunk(parts), strict=True):
        loss = _loss(run, x_part, y_part, run.forward, run.dtype) / parts
        run.scaler.scale(loss).backward()
        total += loss.detach()
    if recipe.clip:
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), recipe.clip)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    return mean_over_ranks(total)


def _loss(run: Run, x: Tensor, y: Tensor, forward: nn.Module, dtype: torch.dtype) -> Tensor:
    """The loss of a batch, or a part of it, through `forward` with matrix products in `dtype`."""
    with torch.autocast(run.device.type, dtype, enabled=dtype != torch.float32):
        outputs = forward(x)
        if run.teacher is not None:
            outputs |= run.teacher.told(x)
    return global_loss(run.objective, outputs, y)


def _prove(run: Run, x: Tensor, y: Tensor) -> None:
    """Refuse compiled code whose gradients are not eager's, before it takes a step."""
    fault = gradient_fault(run.model, run.forward, partial(_loss, run, x, y), run.dtype, run.device)
    if fault:
        raise TrainingError(f"{fault}: the compiler on this machine makes wrong code; train with compile=false")
    run.unproven = False


def _require_finite(loss: float, run: Run, log: RunLog) -> None:
    if not math.isfinite(loss):
        kept = log.folder / CHECKPOINT
        saved = f"{kept} is of an earlier step" if kept.exists() else "nothing was saved"
        raise TrainingError(
            f"the loss is {loss} at step {run.step}; {saved}. Lower lr, lengthen warmup, set clip=1, or take amp=bf16 "
            "instead of fp16; then start anew"
        )


def _save(run: Run, log: RunLog) -> None:
    _require_finite(float(run.loss_sum), run, log)
    if not all(torch.isfinite(p).all() for p in run.model.parameters()):
        _require_finite(math.nan, run, log)  # the last step's loss is of the weights before it
    meta = {
        "recipe": run.recipe.as_json(),
        "step": run.step,
        "seconds": run.seconds,
        "loss_sum": float(run.loss_sum),
        "start": run.start,
        "data": run.identity,
        "log_bytes": log.size(),
    }
    path = log.folder / CHECKPOINT
    save_checkpoint(path, run.model, run.ema.model, run.optimizer, run.table.names, meta, run.scaler)


# its scores and its end -----------------------------------------------------------------------------------------------


def evaluate(model: nn.Module, data: Dataset, recipe: Recipe, progress: bool = True) -> Scores:
    """Score a model on a data set, at the images' own size.

    Args:
        model: stays as it is, its mode included.
        data: pairs of (H, W, 3) uint8 image and (H, W) uint8 label.
        recipe: says mean, std and the network's input size.
        progress: show a bar.
    """
    return score(_segmenter(model, data.table, recipe).predict, data, progress=progress)


def _segmenter(model: nn.Module, table: ClassTable, recipe: Recipe) -> Segmenter:
    segmenter = Segmenter(model, recipe.mean, recipe.std, recipe.eval_size, table)
    return segmenter.to(next(model.parameters()).device)


def _due(every: float, before: float, now: float) -> bool:
    """Whether a multiple of `every` epochs lies between two points of a run: the same answer after a resume."""
    return every > 0 and int(now // every) > int(before // every)


def _score(run: Run, val: Dataset, log: RunLog, progress: bool) -> dict[str, Any]:
    """Score the averaged weights, every rank its share of the images; write the line, curves and sample pictures."""
    same_buffers(run.ema.model)
    scores = evaluate(run.ema.model, val, run.recipe, progress)
    log.samples(_segmenter(run.ema.model, val.table, run.recipe), val)
    return log.scores(run.step, run.epoch, scores, val.table)


def _usual_size(data: Dataset, count: int = 9) -> tuple[int, int] | None:
    """The (H, W) whose area is the median of a few images spread over the data set; ``None``: none can be read."""
    sizes = []
    for i in sorted({place * (len(data) - 1) // (count - 1) for place in range(count)}):
        with suppress(DataError, LabelError, OSError):  # the run is over: no file that has gone may cost its weights
            sizes.append(data[i][1].shape)
    sizes.sort(key=lambda size: size[0] * size[1])
    return sizes[len(sizes) // 2] if sizes else None


def _finish(
    run: Run, val: Dataset | None, log: RunLog, progress: bool, trained_at: tuple[int, int] | None
) -> dict[str, Any]:
    """Precise BN, weights, final scores, pictures, report."""
    recipe, model = run.recipe, run.ema.model
    if run.stream.rank == 0:
        _save(run, log)
    if recipe.precise_bn:  # on every rank: synchronised batch normalisation waits for all of them
        frozen = run.frozen_at(max(run.step - 1, 0))  # by the last step
        precise_bn(model, plain_batches(run), backbone_of(model) if frozen else None)
    if recipe.unweight:
        unweight(model, recipe.unweight * class_weights(run.samples.pixel_counts, recipe.class_weights).log())
    log.weights(model, recipe, run.table, run.step, run.start, trained_at)
    report: dict[str, Any] = {
        "recipe": recipe.as_json(),
        "start": run.start,
        "classes": list(run.table.names),
        "steps": run.step,
        "epochs": round(run.epoch, 2),
        "minutes": round(run.seconds / 60, 2),
        "images": run.stream.length,
        "data": run.identity,
    }
    if val is not None:
        try:
            report["scores"] = _score(run, val, log, progress)
        except (DataError, LabelError):
            weights = log.folder / WEIGHTS
            print(f"training is done: {weights}; for its score mend what is named next, and go on with --resume")
            raise
    log.report(report)
    return report


def plain_batches(run: Run) -> Iterator[Tensor]:
    """Training batches for precise BN, as the last stage has them, from their own key; or of whole images."""
    stream = replace(run.stream, stages=(replace(run.stage, first_step=0, first_sample=0),))
    whole = _segmenter(run.ema.model, run.table, run.recipe)
    for keys, raw in islice(run.samples.batches(stream, 0), run.recipe.precise_bn):
        if not run.recipe.precise_bn_frames:
            yield augmented(raw, [(_PRECISE_BN_EPOCH + epoch, sample) for epoch, sample in keys], run.augment)[0]
        elif len({tuple(size) for size in raw.sizes}) == 1:
            yield whole.normalise(raw.images)
        else:
            for image, (height, width) in zip(raw.images, raw.sizes, strict=True):
                yield whole.normalise(image[None, :, :height, :width])
