"""One artefact, several threads: each gets the result of its own image, as if it were alone."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from edgeseg.deploy import Artefact, compile, get_runtime
from edgeseg.deploy.runtimes.aoti import _torch_threads
from edgeseg.inference import Segmenter

SIZE, THREADS, CALLS = (32, 48), 4, 25
SLOW = ("aoti", "executorch", "inductor")  # to build
RUNTIMES = ["eager", "onnx", "openvino", *[pytest.param(name, marks=pytest.mark.slow) for name in SLOW]]


@pytest.fixture(autouse=True)
def _threads_take_turns_as_often_as_they_can() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module", params=RUNTIMES)
def artefact(request) -> Artefact:
    """A network of three convolutions, as this runtime runs it on the CPU."""
    room = get_runtime(request.param)
    if reason := room.why_not("fp32"):
        pytest.skip(reason)
    torch.manual_seed(0)
    first, second, last = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 5, 1)
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
    segmenter = Segmenter(network, (0.5,) * 3, (0.25,) * 3)
    device = {"device": "cpu"} if "device" in room.options else {}
    return compile(segmenter, room.name, size=SIZE, graphs=("logits",), threads=1, **device)


def inputs() -> list[Tensor]:
    """One for each thread, far apart."""
    return [torch.full((1, 3, *SIZE), float(i)) for i in range(THREADS)]


def test_each_thread_gets_what_it_would_get_alone(artefact):
    alone = [artefact.logits(x) for x in inputs()]
    together = threading.Barrier(THREADS)

    def call(x: Tensor) -> list[Tensor]:
        together.wait()
        return [artefact.logits(x) for _ in range(CALLS)]

    with ThreadPoolExecutor(THREADS) as pool:
        for expected, results in zip(alone, pool.map(call, inputs()), strict=True):
            assert sum(not torch.equal(expected, result) for result in results) == 0


def test_a_first_call_from_several_threads_leaves_the_process_as_it_was(artefact):
    fresh = Artefact(artefact.folder, artefact.about, threads=1)
    before = sys.stdout, sys.stderr
    together = threading.Barrier(THREADS)

    def call(x: Tensor) -> Tensor:
        together.wait()
        return fresh.logits(x)

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(call, inputs()))
    assert (sys.stdout, sys.stderr) == before
    for x, result in zip(inputs(), results, strict=True):
        assert torch.equal(result, artefact.logits(x))


def test_threads_that_ask_for_different_numbers_of_torch_threads_leave_the_number_as_it_was():
    before = torch.get_num_threads()
    together = threading.Barrier(THREADS)

    def run(number: int) -> int:
        together.wait()
        with _torch_threads(number):
            time.sleep(0.01)  # long enough for the others to begin
            return torch.get_num_threads()

    numbers = [before + 1 + i for i in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(run, numbers)) == numbers
    with ThreadPoolExecutor(1) as pool:  # a thread takes over the process's number when it first asks
        assert pool.submit(torch.get_num_threads).result() == before
