"""Draw a data set's scenes in several processes.

Plain child processes that import this module and nothing of the caller's: unlike `multiprocessing`, they need no
``if __name__ == "__main__":``, work from notebooks and from standard input, and do not import torch because the
caller's script does. Parameters go in as JSON, pixels come out as raw bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from typing import IO, Any

import numpy as np

# Ctrl-C reaches the children too: they leave it to the caller, which ends them
_CODE = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "from edgeseg.data.streets import Streets, workers; workers.serve(Streets)"
)
Drawn = tuple[int, np.ndarray, np.ndarray]


def draw_in_processes(parameters: dict[str, Any], count: int, size: tuple[int, int], workers: int) -> Iterator[Drawn]:
    """Scenes 0 … count − 1, in whatever order they are ready.

    Args:
        parameters: keyword arguments of `Streets`, ready for JSON.
        count: number of scenes.
        size: (H, W) of the scenes.
        workers: number of processes.

    Returns:
        Iterator of index, image (H, W, 3) uint8, label (H, W) uint8.

    Raises:
        RuntimeError: a process ended early; what it said is on stderr.
    """
    children = [_start(parameters, first, workers) for first in range(workers)]
    ready: Queue[Drawn | None] = Queue(maxsize=4 * workers)
    closed = threading.Event()
    readers = [
        threading.Thread(target=_read, args=(child, range(first, count, workers), size, ready, closed), daemon=True)
        for first, child in enumerate(children)
    ]
    for reader in readers:
        reader.start()
    try:
        for _ in range(count):
            drawn = ready.get()
            if drawn is None:
                raise RuntimeError(
                    "a process that draws street scenes ended early (its error is above): free some memory, or draw in "
                    "this process with workers=0"
                )
            yield drawn
    finally:
        closed.set()
        _stop(children, readers, ready)


def _start(parameters: dict[str, Any], first: int, step: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    job = json.dumps({"parameters": parameters, "first": first, "step": step})
    command = [sys.executable, "-c", _CODE, job]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment)


def _stop(children: list[subprocess.Popen[bytes]], readers: list[threading.Thread], ready: Queue[Drawn | None]) -> None:
    for child in children:
        child.kill()
    while any(reader.is_alive() for reader in readers):  # one may wait for room in the queue
        while not ready.empty():
            ready.get()
        for reader in readers:
            reader.join(0.01)
    for child in children:
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _read(
    child: subprocess.Popen[bytes],
    indices: range,
    size: tuple[int, int],
    ready: Queue[Drawn | None],
    closed: threading.Event,
) -> None:
    height, width = size
    stream: IO[bytes] = child.stdout  # type: ignore[assignment]
    for index in indices:
        data = stream.read(height * width * 4)
        if len(data) < height * width * 4 or closed.is_set():
            ready.put(None)
            return
        pixels = np.frombuffer(data, np.uint8)
        split = height * width * 3
        ready.put((index, pixels[:split].reshape(height, width, 3), pixels[split:].reshape(height, width)))


def serve(data_set: Callable[..., Sequence[tuple[np.ndarray, np.ndarray]]]) -> None:
    """What a child does: draw every step-th scene of the job in ``sys.argv[1]`` and write it to stdout."""
    job = json.loads(sys.argv[1])
    scenes = data_set(**job["parameters"])
    try:
        for index in range(job["first"], len(scenes), job["step"]):
            image, label = scenes[index]
            sys.stdout.buffer.write(image.tobytes())
            sys.stdout.buffer.write(label.tobytes())
            sys.stdout.buffer.flush()
    except BrokenPipeError:  # the caller has stopped listening
        os._exit(0)
