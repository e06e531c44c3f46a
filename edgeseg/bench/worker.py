"""One artefact in a process of its own, timed on request.

Between two requests the process waits blocked, without using a core, so that many such processes can take turns
without disturbing each other.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeseg.deploy.artefact import Artefact
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.inference import Segmenter
from edgeseg.machine import peak_memory

MEASURES = ("net", "e2e")
THROUGHPUT = "throughput"
"""The measure of several images that are given at once: the time until the last one's class map is there."""


class Worker:
    """The process: `ask` it to ``warm``, to time a ``block``, or for its ``memory``, see `ArtefactTimer`.

    Args:
        name: of the artefact, for errors.
        folder: of the artefact.
        images: ``.npy`` file of (n, H, W, 3) uint8 images, used in turn.
        threads: of the CPU runtimes.
        many: folder of the artefact for several images at once; ``None``: the same.
        batch: how many these are.
    """

    def __init__(
        self, name: str, folder: Path, images: Path, threads: int, many: Path | None = None, batch: int = 1
    ) -> None:
        self.name = name
        self._pool = ProcessPoolExecutor(1, get_context("spawn"))
        with _quiet_threads(threads):
            opened = self.ask("open", folder=folder, images=images, threads=threads, many=many or folder, batch=batch)
            self.pid: int = opened["pid"]

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Call a method of the process's `ArtefactTimer`.

        Raises:
            DeployError: it failed, or the process has ended; names the artefact.
        """
        try:
            return self._pool.submit(_answer, action, arguments).result()
        except BrokenProcessPool as error:
            raise DeployError(f"{self.name}: its process has ended; what it said last stands above") from error
        except DeployError as error:
            raise DeployError(f"{self.name}: {error}") from error

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:  # nobody waits for what it is doing
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        self._pool.shutdown()


@contextmanager
def _quiet_threads(threads: int) -> Iterator[None]:
    """Processes started meanwhile have one set of OpenMP threads, which sleep between two uses."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)))
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", KMP_BLOCKTIME="0")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# In the process -------------------------------------------------------------------------------------------------------

_timer: ArtefactTimer


def _answer(action: str, arguments: dict[str, Any]) -> dict[str, Any]:
    global _timer
    try:
        if action != "open":
            return getattr(_timer, action)(**arguments)
        os.dup2(2, 1)  # what libraries print is no result of the command
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is answered by who started this process
        _timer = ArtefactTimer(**arguments)
        return {"pid": os.getpid()}
    except DeployError:
        raise
    except Exception as error:  # whatever a runtime raises, in a form that can be sent
        raise DeployError(f"{type(error).__name__}: {error}") from None


class ArtefactTimer:
    """An artefact, opened, with its inputs at hand; see `Worker`."""

    def __init__(self, folder: Path, images: Path, threads: int, many: Path, batch: int) -> None:
        torch.set_num_threads(threads)
        self.before = peak_memory()
        self.artefact = Artefact.load(folder, threads)
        self.many = self.artefact if many == folder else Artefact.load(many, threads)
        self.batch = batch
        self.images = list(np.load(images, allow_pickle=False))
        self.cuda = self.artefact.device.startswith("cuda")
        self.inputs = [_network_input(self.artefact, image) for image in self.images]
        self.turn = 0

    def warm(self, measure: str, iterations: int, seconds: float) -> dict[str, Any]:
        """Run at least so often and so long; says what one iteration takes by now."""
        times: list[float] = []
        started = time.perf_counter()
        while len(times) < iterations or time.perf_counter() - started < seconds:
            times.append(self._milliseconds(measure))
        gc.collect()
        gc.freeze()  # so that no later collection walks through all that was loaded
        return {"iterations": len(times), "ms": float(np.median(times[len(times) // 2 :]))}

    def block(self, measure: str, iterations: int) -> dict[str, Any]:
        """Time so many iterations, after one that is not counted: it wakes the threads and fills the caches."""
        gc.disable()
        try:
            self._milliseconds(measure)
            return {"ms": [round(self._milliseconds(measure), 4) for _ in range(iterations)]}
        finally:
            gc.enable()

    def memory(self) -> dict[str, Any]:
        """Peak memory so far in MB: of this process, before the artefact was opened, and on the GPU."""
        gpu = {"gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6, 1)} if self.cuda else {}
        return {"process_mb": peak_memory(), "before_opening_mb": self.before, **gpu}

    def _milliseconds(self, measure: str) -> float:
        """What the next input takes, or the next ``batch`` of them."""
        self.turn = (self.turn + 1) % len(self.images)
        if measure == THROUGHPUT:
            given = [self.images[(self.turn + i) % len(self.images)] for i in range(self.batch)]
            return _by_clock(self.many.predict_batch, given)
        if measure == "e2e":  # ends with the copy to the host, which waits for the GPU
            return _by_clock(self.artefact, self.images[self.turn])
        return (_by_events if self.cuda else _by_clock)(self.artefact.logits, self.inputs[self.turn])


def _by_clock(run: Callable[[Any], Any], x: Any) -> float:
    started = time.perf_counter_ns()
    run(x)
    return (time.perf_counter_ns() - started) / 1e6


def _by_events(run: Callable[[Any], Any], x: Any) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run(x)
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def _network_input(artefact: Artefact, image: np.ndarray) -> torch.Tensor:
    """What the network inside an artefact sees of an image, on its device."""
    about = artefact.about
    preparation = Segmenter(torch.nn.Identity(), about["mean"], about["std"], tuple(about["network_size"]))
    x = preparation.normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    return x.contiguous().to(artefact.device)
