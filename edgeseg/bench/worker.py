"""One artefact in a process of its own, timed on request: ``python -m edgeseg.bench.worker`` (started by benchmark).

It reads one JSON object per line and answers each with one. Between two requests it waits blocked, without using a
core, so that many such processes can take turns without disturbing each other.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import torch

from edgeseg.deploy.artefact import Artefact, normalised
from edgeseg.inference import Segmenter
from edgeseg.machine import peak_memory

MEASURES = ("net", "e2e")
ACTIONS = ("warm", "block", "memory")


class Worker:
    """An artefact, opened, with its inputs at hand.

    Args:
        folder: of the artefact.
        images: ``.npy`` file of (n, H, W, 3) uint8 images, used in turn.
        threads: of the CPU runtimes; ``None``: their choice.
    """

    def __init__(self, folder: str, images: str, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.before = peak_memory()
        self.artefact = Artefact.load(folder, threads)
        self.images = list(np.load(images, allow_pickle=False))
        self.cuda = self.artefact.device.startswith("cuda")
        self.inputs = [_network_input(self.artefact, image) for image in self.images]
        self.turn = 0

    def warm(self, measure: str, iterations: int, seconds: float) -> dict[str, Any]:
        """Run at least so often and so long; says what one iteration takes by now."""
        run = self._iteration(measure)
        times: list[float] = []
        started = time.perf_counter()
        while len(times) < iterations or time.perf_counter() - started < seconds:
            times.append(run())
        gc.collect()
        gc.freeze()  # so that no later collection walks through all that was loaded
        return {"iterations": len(times), "ms": float(np.median(times[len(times) // 2 :]))}

    def block(self, measure: str, iterations: int) -> dict[str, Any]:
        """Time so many iterations, after one that is not counted: it wakes the threads and fills the caches."""
        run = self._iteration(measure)
        gc.disable()
        try:
            run()
            return {"ms": [round(run(), 4) for _ in range(iterations)]}
        finally:
            gc.enable()

    def memory(self) -> dict[str, Any]:
        """Peak memory so far in MB: of this process, before the artefact was opened, and on the GPU."""
        facts: dict[str, Any] = {"process_mb": peak_memory(), "before_opening_mb": self.before}
        if self.cuda:
            facts["gpu_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
        return facts

    def _iteration(self, measure: str) -> Callable[[], float]:
        """A function that runs the next input once and returns the milliseconds that it took."""
        if measure == "net" and self.cuda:
            return self._net_by_events
        run: Callable[[int], Any]
        if measure == "net":
            run = lambda i: self.artefact.logits(self.inputs[i])  # noqa: E731
        else:  # ends with the copy to the host, which waits for the GPU
            run = lambda i: self.artefact(self.images[i])  # noqa: E731

        def timed() -> float:
            i = self._next()
            started = time.perf_counter_ns()
            run(i)
            return (time.perf_counter_ns() - started) / 1e6

        return timed

    def _net_by_events(self) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        x = self.inputs[self._next()]
        torch.cuda.synchronize()
        start.record()
        self.artefact.logits(x)
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    def _next(self) -> int:
        self.turn = (self.turn + 1) % len(self.images)
        return self.turn


def _network_input(artefact: Artefact, image: np.ndarray) -> torch.Tensor:
    """What the network inside an artefact sees of an image, on its device."""
    about = artefact.about
    size = tuple(about["network_size"])
    preparation = Segmenter(torch.nn.Identity(), about["mean"], about["std"], size)
    x = normalised(preparation, torch.from_numpy(image).permute(2, 0, 1)[None])
    return x.contiguous().to(artefact.device)


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until they end; an error is an answer too."""
    worker: Worker | None = None
    for line in requests:
        try:
            request = json.loads(line)
            action = request.pop("do")
            if action == "open":
                worker = Worker(**request)
                answer: dict[str, Any] = {}
            elif action in ACTIONS and worker is not None:
                answer = getattr(worker, action)(**request)
            else:
                raise ValueError(f"no {action!r}; open first, then {', '.join(ACTIONS)}")
        except Exception as error:  # whatever a runtime raises: the parent names the variant and ends the run
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serve standard input; what libraries print on standard output goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
