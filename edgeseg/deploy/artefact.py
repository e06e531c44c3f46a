"""One verb for every runtime: `compile` gives an `Artefact`, which segments images and can be saved and loaded.

An artefact is a folder::

    artefact.json   runtime, precision, size, classes, facts about the graphs, SHA-256 of every file
    labels.*        uint8 image → class map: the whole `Segmenter`, preprocessing and argmax inside ("e2e")
    logits.*        normalised float image → logits: the network alone ("net")

Some runtimes' files are machine code (AOTInductor, TensorRT, ExecuTorch): open artefacts that you or people you trust
have made. The hashes tell damage, not malice.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg import __version__
from edgeseg.deploy.runtimes import get_runtime
from edgeseg.deploy.runtimes.base import DeployError, Runner, Runtime
from edgeseg.inference import Segmenter, as_pixels, load_segmenter

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgeseg.data.labels import ClassTable

DESCRIPTION = "artefact.json"
GRAPHS = ("labels", "logits")
_FORMAT = 1


class Artefact:
    """A compiled segmenter.

    Made by `compile` and `Artefact.load`. Its input has one size: an image of another is refused.

    Attributes:
        about: the content of ``artefact.json``.
        folder: where its files are.
        size: (H, W) of the images it takes.
        table: its classes.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], threads: int | None = None) -> None:
        self.folder, self.about = folder, dict(about)
        self.size = (int(about["size"][0]), int(about["size"][1]))
        self.batch = int(about["batch"])
        self.table = _table(about["classes"], about["table"])
        self._runtime = get_runtime(about["runtime"])
        self._threads = threads
        self._runners: dict[str, Runner] = {}

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return str(self.about["runtime"])

    @property
    def precision(self) -> str:
        """What it was built as: fp32, fp16, bf16, int8 or fp8."""
        return str(self.about["precision"])

    @property
    def device(self) -> str:
        """Where its graphs take their tensors."""
        facts = next(iter(self.about["graphs"].values()))
        return str(facts.get("device", self._runtime.device))

    def __call__(self, image: Image | np.ndarray) -> np.ndarray:
        """Segment one image: PIL or (H, W, 3) uint8 RGB of the artefact's size → (H, W) uint8 class ids.

        Raises:
            DeployError: an image of another size, or an artefact of a larger batch.
        """
        pixels = torch.from_numpy(as_pixels(image)).permute(2, 0, 1)[None]
        return self.labels(pixels.to(self.device))[0].to(torch.uint8).cpu().numpy()

    predict = __call__

    def labels(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 on the artefact's device → (N, H, W) int32 class ids."""
        return self._run("labels", images)

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) float32, normalised, on the artefact's device → (N, classes, h, w) float32.

        h and w are the network's input, ``about["network_size"]``: the artefact's own size unless the weight says
        otherwise.
        """
        return self._run("logits", x)

    def describe(self) -> dict[str, Any]:
        """All that is known about it, JSON-able: what was asked for, and what the graphs turned out to be."""
        return json.loads(json.dumps(self.about))

    def save(self, path: str | Path) -> Path:
        """Copy it to a new folder, whole or not at all.

        Raises:
            DeployError: the folder exists, or cannot be written.
        """
        target = Path(os.path.abspath(path))
        if target.exists():
            raise DeployError(f"{target}: is there already. Remove it, or choose another folder.")
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(self.folder, temporary)
            os.rename(temporary, target)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise DeployError(f"{target}: cannot be written ({error.strerror}). Choose another folder.") from error
        return target

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> Artefact:
        """Open a saved artefact.

        Args:
            path: its folder.
            threads: for CPU runtimes; ``None``: the runtime's choice.

        Raises:
            DeployError: no artefact, a damaged one, or one whose runtime cannot run here.
        """
        folder = Path(path)
        about = _read_description(folder)
        get_runtime(about["runtime"]).check(about["precision"], building=False)
        for name, digest in about["files"].items():
            file = folder / name
            if file.parent != folder or not file.is_file() or _sha256(file) != digest:
                raise DeployError(
                    f"{file}: missing, or not the file that the artefact was saved with. Copy or export it again."
                )
        return cls(folder, about, threads)

    def _run(self, graph: str, x: Tensor) -> Tensor:
        shape = tuple(self.about["graphs"][graph]["input"]) if graph in self.about["graphs"] else None
        if shape is None:
            raise DeployError(f"this artefact was built without its {graph} graph; export it with graphs=labels,logits")
        if tuple(x.shape) != shape:
            raise DeployError(
                f"this artefact takes {_shape(shape)} and was given {_shape(tuple(x.shape))}: its size is fixed. "
                "Resize the image, or export it for that size (and batch)"
            )
        if graph not in self._runners:
            facts = self.about["graphs"][graph]
            self._runners[graph] = self._runtime.open(self.folder / graph, facts, self._threads)
        with torch.inference_mode():
            return self._runners[graph](x)


def compile(
    segmenter: Segmenter | str | Path | nn.Module,
    runtime: str = "onnx",
    precision: str = "fp32",
    size: tuple[int, int] = (512, 1024),
    *,
    batch: int = 1,
    calibration: Sequence[np.ndarray] | None = None,
    graphs: Sequence[str] = GRAPHS,
    threads: int | None = None,
    **options: Any,
) -> Artefact:
    """Compile a segmenter for one runtime, precision and size.

    Args:
        segmenter: a `Segmenter`, or what `edgeseg.inference.load_segmenter` takes: a weight's name or file.
        runtime: a name of `edgeseg.deploy.runtimes.list_runtimes`.
        precision: ``"fp32"``, ``"fp16"``, ``"bf16"``, ``"int8"`` or ``"fp8"``, as the runtime offers.
        size: (H, W) of the images.
        batch: images at a time.
        calibration: (H, W, 3) uint8 training images for int8, see `edgeseg.deploy.quantise.calibration_images`.
        graphs: which graphs to build; both by default.
        threads: for CPU runtimes, when it runs; ``None``: the runtime's choice.
        options: the runtime's own; an unknown one is refused.

    Returns:
        The artefact, built into temporary files and opened from them; `Artefact.save` keeps it.

    Raises:
        DeployError: a runtime that cannot run here, an unknown option, int8 without calibration images.
    """
    room = get_runtime(runtime)
    room.check(precision)
    chosen = room.checked_options(options)
    if precision in ("int8", "fp8") and not calibration:
        raise DeployError(
            f"{precision} takes its ranges from images: give calibration=calibration_images(segmenter, size), or "
            "--calibration on the command line"
        )
    segmenter = load_segmenter(segmenter)
    folder = Path(mkdtemp(prefix="edgeseg-"))
    try:
        about = _build(room, segmenter, precision, size, batch, calibration, graphs, chosen, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    artefact = Artefact(folder, about, threads)
    weakref.finalize(artefact, shutil.rmtree, folder, ignore_errors=True)
    return artefact


def _build(
    room: Runtime,
    segmenter: Segmenter,
    precision: str,
    size: tuple[int, int],
    batch: int,
    calibration: Sequence[np.ndarray] | None,
    graphs: Sequence[str],
    options: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Write the graphs and their description into an empty folder; returns the description."""
    built = {}
    for graph in graphs:
        module, example, inputs = _graph(segmenter, graph, size, batch, calibration)
        started = time.perf_counter()
        facts = room.build(module, example, folder / graph, precision, inputs, **options)
        seconds = round(time.perf_counter() - started, 2)
        built[graph] = {**facts, "input": list(example.shape), "build_seconds": seconds}
    about = _description(segmenter, room.name, precision, size, batch, options, built)
    about["files"] = {p.name: _sha256(p) for p in sorted(folder.iterdir()) if p.is_file()}
    (folder / DESCRIPTION).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return about


def network_size(segmenter: Segmenter, size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) that the network inside sees for images of ``size``."""
    return size if segmenter.size is None else (segmenter.size[0], segmenter.size[1])


def normalised(segmenter: Segmenter, images: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 → what the network inside the segmenter sees: (N, 3, h, w) float32."""
    from edgeseg.models.layers import resize

    x = (images.to(segmenter.mean.dtype) - segmenter.mean) / segmenter.std
    size = network_size(segmenter, (images.shape[2], images.shape[3]))
    return x if size == tuple(x.shape[2:]) else resize(x, size)


def _graph(
    segmenter: Segmenter, graph: str, size: tuple[int, int], batch: int, calibration: Sequence[np.ndarray] | None
) -> tuple[nn.Module, Tensor, list[Tensor] | None]:
    """Module, example input and calibration inputs of one graph."""
    inputs = None
    if calibration is not None:
        inputs = [torch.from_numpy(as_pixels(i)).permute(2, 0, 1)[None].expand(batch, -1, -1, -1) for i in calibration]
        if any(tuple(i.shape[2:]) != size for i in inputs):
            raise DeployError(f"calibration images must be {size[0]}x{size[1]} (HxW), as the artefact; resize them")
    if graph == "labels":
        return segmenter, torch.zeros(batch, 3, *size, dtype=torch.uint8), inputs
    if graph == "logits":
        prepared = None if inputs is None else [normalised(segmenter, i) for i in inputs]
        return segmenter.model, torch.zeros(batch, 3, *network_size(segmenter, size)), prepared
    raise DeployError(f"no graph {graph!r}; choose from {', '.join(GRAPHS)}")


def _description(
    segmenter: Segmenter,
    runtime: str,
    precision: str,
    size: tuple[int, int],
    batch: int,
    options: Mapping[str, Any],
    graphs: Mapping[str, Any],
) -> dict[str, Any]:
    table, model = segmenter.table, segmenter.model
    return {
        "format": _FORMAT,
        "runtime": runtime,
        "precision": precision,
        "size": list(size),
        "network_size": list(network_size(segmenter, size)),
        "batch": batch,
        "options": {k: v for k, v in options.items() if v is not None},
        "arch": getattr(model, "arch", type(model).__name__),
        "classes": _classes(table),
        "table": table.name if table else "",
        "mean": (segmenter.mean.flatten() / 255).tolist(),
        "std": (segmenter.std.flatten() / 255).tolist(),
        "graphs": dict(graphs),
        "versions": {"edgeseg": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "machine": platform.machine(),
    }


def _read_description(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeployError(f"{folder}: no artefact ({error}). Give the folder that edgeseg export wrote.") from error
    needed = ("runtime", "precision", "size", "batch", "graphs", "files", "classes", "table")
    if not isinstance(about, dict) or about.get("format") != _FORMAT or any(k not in about for k in needed):
        raise DeployError(f"{folder / DESCRIPTION}: not of this version of edgeseg. Export the model again.")
    return about


def _classes(table: ClassTable | None) -> list[dict[str, Any]]:
    if table is None:
        return []
    return [{"name": n, "color": list(c)} for n, c in zip(table.names, table.colors, strict=True)]


def _table(classes: Sequence[Mapping[str, Any]], name: str) -> ClassTable | None:
    from edgeseg.data.labels import ClassTable

    if not classes:
        return None
    return ClassTable(name, tuple(c["name"] for c in classes), tuple(tuple(c["color"]) for c in classes))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
