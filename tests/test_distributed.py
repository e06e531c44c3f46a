"""Several processes train as one: same loss, gradients and weights, and metrics that count every sample once."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from edgeseg.metrics import ConfusionMatrix, score
from edgeseg.training import train
from edgeseg.training.run import start_run
from edgeseg.training.runlog import RunLog
from toy_runs import TINY, Toy, tensors

RECIPE = replace(TINY, switches={**TINY.switches, "dropout": 0.0}, class_weights="enet", loss="ce", batch=4)
STEPS = 5


class Uneven(Toy):
    """Half of the samples are mostly void, so that ranks see very different numbers of valid pixels."""

    def __getitem__(self, i):
        image, label = super().__getitem__(i)
        if i % 2:
            label[:50] = 255
        return image, label


def five_steps(rank: int, world: int) -> dict:
    """Losses, last gradients and weights after five steps, batch normalisation in eval mode."""
    run = start_run(RECIPE, Uneven(), torch.device("cpu"), rank, world)
    run.forward.train()
    for module in run.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    gradients, losses = {}, []
    run.optimizer.register_step_pre_hook(  # after the ranks' gradients were averaged
        lambda *_: gradients.update({n: p.grad.clone() for n, p in run.model.named_parameters()})
    )
    for keys, raw in islice(run.samples.batches(run.stream, 0), STEPS):
        losses.append(train.training_step(run, keys, raw).item())
    return {"losses": losses, "gradients": gradients, "weights": run.model.state_dict()}


def across_the_boundary(rank: int, world: int, out: str) -> dict:
    """Weights in the frozen phase's last step and at the end, all batch normalisation in eval mode throughout."""
    recipe = replace(RECIPE, iterations=6, freeze_epochs=2.0)  # steps 0 to 2 are frozen
    run = start_run(recipe, Uneven(), torch.device("cpu"), rank, world)
    for module in run.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval().train = lambda mode=True, module=module: module
    log, states = RunLog(Path(out) / f"log{world}{rank}", progress=False), []
    batches = run.samples.batches(run.stream, 0)
    while run.progress < 1:
        train.train_one_epoch(run, batches, log)  # one step: an epoch of six images has one whole batch of four
        states.append({k: v.clone() for k, v in run.model.state_dict().items()})
    return {"frozen": states[2], "end": states[5]}


def score_shares(rank: int, world: int) -> dict:
    """A matrix over this rank's share of the images, added up, and what `score` makes of all of them."""
    matrix = ConfusionMatrix(3)
    for i in range(rank, 5, world):
        label = torch.from_numpy(Toy(5)[i][1])
        matrix.update(label * 0, label)
    matrix.all_reduce()
    shared = score(lambda image: image[..., 0] // 128, Toy(5), progress=False)
    return {"matrix": torch.from_numpy(matrix.matrix), "miou": shared.miou, "support": list(shared.support)}


def worker(rank: int, world: int, port: int, out: str) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank)
    )
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    recipe = replace(TINY, iterations=8, eval_every=2.0, precise_bn=2)
    try:
        results = {
            "steps": five_steps(rank, world),
            "boundary": across_the_boundary(rank, world, out),
            "score": score_shares(rank, world),
            "report": train.fit(recipe, Toy(), Toy(5), f"{out}/run", progress=False),
        }
    finally:
        dist.destroy_process_group()
    torch.save(results, f"{out}/{rank}.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def ranks(folder):
    """What two processes that train together find, rank by rank."""
    if not dist.is_gloo_available():
        pytest.skip("this torch was built without gloo")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(worker, (2, port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_ranks_equal_one_process_at_twice_the_batch(ranks):
    one = five_steps(0, 1)
    for two in (rank["steps"] for rank in ranks):
        assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
        torch.testing.assert_close(two["gradients"], one["gradients"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(two["weights"], one["weights"], rtol=1e-4, atol=1e-6)


def test_two_ranks_equal_one_process_while_frozen_and_after(ranks, tmp_path):
    one = across_the_boundary(0, 1, str(tmp_path))
    moved = [k for k in one["end"] if k.startswith("backbone") and not torch.equal(one["end"][k], one["frozen"][k])]
    assert moved
    for rank in ranks:
        for when in ("frozen", "end"):
            torch.testing.assert_close(rank["boundary"][when], one[when], rtol=1e-4, atol=1e-6)


def test_metrics_over_two_ranks_are_exact_and_count_no_sample_twice(ranks):
    alone = score_shares(0, 1)
    for got in (rank["score"] for rank in ranks):
        assert torch.equal(got.pop("matrix"), alone["matrix"])
        assert got == {key: alone[key] for key in got}


def test_a_whole_run_on_two_ranks_writes_once_and_reports_alike(ranks, folder):
    one, two = (rank["report"]["scores"] for rank in ranks)
    assert one == two
    assert tensors(folder / "run")


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="synchronised batch normalisation exists on CUDA only; no GPU here"
)
def test_batch_normalisation_is_synchronised_on_cuda():
    asks = pytest.raises((RuntimeError, ValueError), match="process group")  # for the one that two ranks would have
    with asks:
        start_run(RECIPE, Toy(), torch.device("cuda"), world=2)
