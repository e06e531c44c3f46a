"""Executes a notebook and keeps what a reader of its page needs: text and small figures. Called by build.py."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from edgeseg.course import kernel

LARGEST = 500_000  # bytes of a notebook
PATIENCE = 1800  # seconds for one cell
FIGURE = "<Figure size"  # how a figure that is not drawn looks
_WIDGET = "application/vnd.jupyter.widget-view+json"


class CourseError(Exception):
    """A source or a notebook is not as it must be; the message names file and cell."""


def text_of(book: NotebookNode) -> str:
    """A notebook as it is written to disk."""
    nbformat.validate(book)
    return nbformat.writes(book).rstrip("\n") + "\n"


def run(book: NotebookNode, path: Path, fast: bool, strict: bool) -> list[str]:
    """Execute a notebook in a fresh kernel, in its own folder, with progress kept elsewhere; new outputs replace old.

    Args:
        book: changed in place.
        path: where it will be written.
        fast: small sizes, few steps.
        strict: an exercise that is not right is an error.

    Returns:
        What is wrong with the outputs, in words: standard error, size.

    Raises:
        CourseError: a cell failed.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as progress:
        memory, seconds = _execute(book, path, _environment(fast, strict, progress))
    faults = []
    for i, cell in enumerate(book.cells):
        if cell.cell_type != "code":
            continue
        noise = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr")
        if noise:
            faults.append(f"{path.name}, cell {i} writes to standard error (left out): {noise.strip()[:300]}")
        cell.outputs = [_small(o) for o in cell.outputs if _is_kept(o)]
        if any(_is_lost_figure(o) for o in cell.outputs):
            faults.append(f"{path.name}, cell {i} shows its figure as text only: {FIGURE}, and no picture")
    book.metadata["edgeseg"] = {"code": code_of(book), "mode": "fast" if fast else "full"}
    book.metadata.pop("widgets", None)
    faults += too_large(book, path)
    slowest = sorted(seconds.items(), key=lambda item: -item[1])[:3]
    print(
        f"{path.parent.name}/{path.name}: {time.perf_counter() - start:.0f} s with kernel start, {memory}"
        f"{_bytes(book) / 1000:.0f} kB; slowest cells {', '.join(f'{i} ({s:.1f} s)' for i, s in slowest)}"
    )
    return faults


def code_of(book: NotebookNode) -> str:
    """A fingerprint of all code cells: stored outputs are of this code."""
    text = "\n\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def too_large(book: NotebookNode, path: Path) -> list[str]:
    """Says which cells make a notebook too large."""
    size = _bytes(book)
    if size <= LARGEST:
        return []
    cells = [(len(str(cell.get("outputs", ""))), i) for i, cell in enumerate(book.cells)]
    biggest = ", ".join(f"cell {i} {bytes_ / 1000:.0f} kB" for bytes_, i in sorted(cells, reverse=True)[:4])
    return [f"{path.name} has {size / 1000:.0f} kB, {LARGEST // 1000} are allowed. Smaller figures, please: {biggest}"]


def _bytes(book: NotebookNode) -> int:
    return len(text_of(book).encode())


def _environment(fast: bool, strict: bool, progress: str) -> dict[str, str]:
    """The kernel's: this checkout's package, nobody's progress, nothing that outputs would depend on."""
    checkout = str(Path(__file__).resolve().parent.parent)
    changes = {
        "EDGESEG_PROGRESS": progress,
        "PYTHONPATH": os.pathsep.join(p for p in (checkout, os.environ.get("PYTHONPATH", "")) if p),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel's debugger warns
    }
    changes |= {"EDGESEG_FAST": str(int(fast)), "EDGESEG_COURSE_STRICT": str(int(strict))}
    left_out = ("EDGESEG_DATA", "MPLBACKEND")  # pictures of data sets with a licence of their own must not get in
    return {k: v for k, v in os.environ.items() if k not in left_out} | changes


def _execute(book: NotebookNode, path: Path, env: dict[str, str]) -> tuple[str, dict[int, float]]:
    """Run all cells; the kernel's peak memory in words, and each cell's seconds."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from tqdm import tqdm

    client = kernel.client(book, path.parent, PATIENCE)
    seconds = {}
    with client.setup_kernel(env=env):
        for i, cell in enumerate(tqdm(book.cells, desc=path.stem, unit="cell", leave=False)):
            begin = time.perf_counter()
            try:
                client.execute_cell(cell, i)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                raise CourseError(f"{path.parent.name}/{path.name}, cell {i} fails:\n{error}") from None
            seconds[i] = time.perf_counter() - begin
            _look_into_widgets(client.widget_state, f"{path.parent.name}/{path.name}, cell {i}")
        memory = _peak_memory(getattr(client.km.provisioner, "pid", None))
    return memory, seconds


def _look_into_widgets(states: dict, where: str) -> None:
    """A slider keeps its function's error to itself; the cell goes on as if all were well."""
    outputs = [output for state in states.values() for output in state.get("outputs", ())]
    for output in outputs:
        if output["output_type"] == "error":
            raise CourseError(f"{where} fails in its slider: {output['ename']}: {output['evalue']}")


def _peak_memory(pid: int | None) -> str:
    """Of a process, where the system tells."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return ""
    line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), "")
    return f"peak {int(line.split()[1]) / 1e6:.1f} GB, " if line else ""


def _is_kept(output: NotebookNode) -> bool:
    """A widget shows nothing without its kernel; standard error is noise."""
    return _WIDGET not in output.get("data", {}) and output.get("name") != "stderr"


def _is_lost_figure(output: NotebookNode) -> bool:
    data = output.get("data", {})
    return FIGURE in data.get("text/plain", "") and "image/png" not in data


def _small(output: NotebookNode) -> NotebookNode:
    """The output with its picture reduced to a palette, where that is smaller."""
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = _reduced(data["image/png"])
    return output


def _reduced(encoded: str) -> str:
    from PIL import Image

    raw = base64.b64decode(encoded)
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(raw)).convert("RGB")
    picture.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    smaller = min(raw, buffer.getvalue(), key=len)
    return base64.b64encode(smaller).decode()
