"""One verb for every runtime: `compile` gives an `Artefact`, which segments images and can be saved and loaded.

An artefact is a folder::

    artefact.json   runtime, precision, size, what of its input is open, classes, weights, what each graph takes and
                    gives and what it turned out to be, SHA-256 of every file
    labels.*        uint8 image → class map: the whole `Segmenter`, preprocessing and argmax inside ("e2e")
    logits.*        normalised float image → logits: the network alone ("net")

Some runtimes' files are machine code (AOTInductor, TensorRT, ExecuTorch): open artefacts that you or people you trust
have made. The hashes tell damage, not malice.
"""

from __future__ import annotations

import errno
import os
import platform
import secrets
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg import __version__
from edgeseg.data.labels import ClassTable
from edgeseg.deploy.dynamic import STRIDE, checked_dynamic, export_dims, nearest, open_axes, sides, size_step
from edgeseg.deploy.runtimes import get_runtime
from edgeseg.deploy.runtimes.base import DYNAMIC, DeployError, Graph, Runner, Runtime, silenced
from edgeseg.deploy.runtimes.graph import AXES
from edgeseg.files import file_hash, no_space, parse_json, read_text, write_json
from edgeseg.inference import Segmenter, as_pixels, load_segmenter
from edgeseg.models.registry import SUFFIX
from edgeseg.models.weights import is_size, preprocessing_faults
from edgeseg.models.zoo import find_weights
from edgeseg.text import unknown

if TYPE_CHECKING:
    from PIL.Image import Image

DESCRIPTION = "artefact.json"
GRAPHS = ("labels", "logits")
_FORMAT = 1
_LITTLE = 1 << 20  # bytes: with so few left on a disk, that is why a file could not be written
_NEEDED = (
    "runtime", "precision", "size", "network_size", "batch", "graphs", "files", "classes", "table", "mean", "std",
)  # fmt: skip


class Artefact:
    """A compiled segmenter.

    Made by `compile` and `Artefact.load`. Its input has one size, unless that was left open: an image of another is
    refused.

    Attributes:
        about: the content of ``artefact.json``: what was asked for, and what the graphs turned out to be.
        folder: where its files are.
        size: (H, W) of the images it takes; where the size is open, of those that it was compared with its model on.
        batch: how many images its graphs take at a time; 1 where that is open.
        dynamic: what of its input is open: ``"batch"``, ``"size"``, both or nothing.
        table: its classes.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], threads: int | None = None) -> None:
        self.folder, self.about = folder, dict(about)
        self.size = (int(about["size"][0]), int(about["size"][1]))
        self.batch = int(about["batch"])
        self.dynamic = tuple(about.get("dynamic", ()))  # the first release wrote none
        self._step = int(about.get("size_step", 1))
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
    def at_once(self) -> int:
        """How many images keep it busy: its batch, in every one of its streams."""
        return self.batch * self._streams

    @property
    def device(self) -> str:
        """Where its graphs take their tensors."""
        facts = next(iter(self.about["graphs"].values()))
        return str(facts.get("device", self._runtime.device))

    def __call__(self, image: Image | np.ndarray) -> np.ndarray:
        """Segment one image: PIL or (H, W, 3) uint8 RGB of the artefact's size → (H, W) uint8 class ids.

        Raises:
            DeployError: an image of another size, or an artefact of a larger batch: `predict_batch` fills that.
        """
        pixels = torch.from_numpy(as_pixels(image)).permute(2, 0, 1)[None]
        return self.labels(pixels.to(self.device))[0].to(torch.uint8).cpu().numpy()

    predict = __call__

    def predict_batch(self, images: Sequence[Image | np.ndarray]) -> np.ndarray:
        """Segment several images of one size, in as few runs as it can.

        An open batch takes all of them in one run, whose memory grows with their number. A fixed batch takes its
        number at a time; the last run is filled up with the last image. Streams compute several runs at once.

        Args:
            images: as for `predict`, one or more; (N, H, W, 3) uint8 is such a sequence too.

        Returns:
            (N, H, W) uint8 class ids, in the images' order.

        Raises:
            DeployError: no image, images of several sizes, or of one that it does not take.
        """
        pixels = [as_pixels(image) for image in images]
        sizes = dict.fromkeys(image.shape[:2] for image in pixels)
        if len(sizes) != 1:
            found = ", ".join(f"{height}x{width}" for height, width in sizes)
            raise DeployError(
                f"images that are segmented together have one size, and these have {found}: resize them, or give them "
                "one by one to predict"
                if pixels
                else "no image to segment: give at least one"
            )
        number = len(pixels) if "batch" in self.dynamic else self.batch
        runs = [pixels[start : start + number] for start in range(0, len(pixels), number)]
        if self._streams == 1:
            return np.concatenate([self._together(run, number) for run in runs])
        with ThreadPoolExecutor(self._streams) as pool:
            return np.concatenate(list(pool.map(lambda run: self._together(run, number), runs)))

    def nearest_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) that it takes and that is nearest to another; its own where that is fixed."""
        if "size" not in self.dynamic:
            return self.size
        return nearest(size, self._step)

    def labels(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 on the artefact's device → (N, H, W) int32 class ids."""
        return self._run("labels", images)

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) float32, normalised, on the artefact's device → (N, classes, h, w) float32.

        h and w are the network's input, ``about["network_size"]``: the artefact's own size unless the weight says
        otherwise.
        """
        return self._run("logits", x)

    def save(self, path: str | Path) -> Path:
        """Copy it to a new folder, whole or not at all.

        Raises:
            DeployError: the folder exists, or cannot be written; says why.
        """
        target = Path(os.path.abspath(path))
        if target.exists():
            raise DeployError(f"{target}: is there already. Remove it, or choose another folder.")
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.mkdir(parents=True)
            for file in sorted(self.folder.iterdir()):
                # content alone: the folder that it was built in is closed to others, a saved one is as any other
                shutil.copyfile(file, temporary / file.name)
            os.rename(temporary, target)
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise DeployError(f"{target}: {_unwritten(error)}, or choose another folder.") from error
        return target

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> Artefact:
        """Open a saved artefact.

        Args:
            path: its folder.
            threads: of the processor; ``None``: the runtime's choice.

        Raises:
            DeployError: no artefact, a damaged one, or one whose runtime cannot run here.
        """
        folder = Path(path)
        about = _read_description(folder)
        try:
            get_runtime(about["runtime"]).check(about["precision"], building=False)
        except DeployError as error:
            raise DeployError(f"{folder / DESCRIPTION}: {error}") from error
        for name, digest in about["files"].items():
            file = folder / name
            if file.parent != folder or not file.is_file() or file_hash(file) != digest:
                raise DeployError(
                    f"{file}: missing, or not the file that the artefact was saved with. Copy or export it again."
                )
        suffix = get_runtime(about["runtime"]).suffix
        if unlisted := [f"{name}{suffix}" for name in about["graphs"] if f"{name}{suffix}" not in about["files"]]:
            raise DeployError(f"{folder / DESCRIPTION}: files does not list {unlisted[0]}. Export the model again.")
        return cls(folder, about, threads)

    @property
    def _streams(self) -> int:
        return int(self.about["graphs"].get("labels", {}).get("streams", 1))

    def _together(self, images: Sequence[np.ndarray], number: int) -> np.ndarray:
        """(H, W, 3) each, at most ``number`` → (their number, H, W); more are made of the last one."""
        filled = [*images, *[images[-1]] * (number - len(images))]
        x = torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2)
        return self.labels(x.to(self.device))[: len(images)].to(torch.uint8).cpu().numpy()

    def _run(self, graph: str, x: Tensor) -> Tensor:
        if graph not in self.about["graphs"]:
            raise DeployError(
                f"{self.folder}: built without its {graph} graph; export it with --graphs labels,logits "
                '(graphs=("labels", "logits"))'
            )
        self._check_shape(self.about["graphs"][graph]["input"], tuple(x.shape))
        if graph not in self._runners:
            self._open(graph)
        with torch.inference_mode():
            return self._runners[graph](x)

    def _check_shape(self, shape: Sequence[int], given: tuple[int, ...]) -> None:
        """Whatever a runtime does with another shape, perhaps without a word, becomes an error with the cure."""
        known = {axis: side for axis, side in enumerate(shape) if axis not in open_axes(self.dynamic)}
        if len(given) != len(shape) or any(given[axis] != side for axis, side in known.items()):
            takes = ", ".join(str(known.get(axis, AXES.get(axis))) for axis in range(len(shape)))
            several = "; predict_batch takes any number of images" if self.batch != 1 else ""
            raise DeployError(
                f"this artefact takes ({takes}) and was given {given}: its size is fixed. Resize the image, or export "
                f"it for that size (and batch), or with --dynamic size (batch) for any{several}"
            )
        fits = self.nearest_size((given[2], given[3]))
        if "size" in self.dynamic and fits != given[2:]:
            raise DeployError(
                f"this artefact was given {given[2]}x{given[3]} (HxW): {sides(self._step)}. Resize the image to "
                f"{fits[0]}x{fits[1]}"
            )

    def _open(self, graph: str) -> None:
        """Whatever a library raises on a missing or damaged file becomes one error that names it."""
        path = self.folder / f"{graph}{self._runtime.suffix}"
        cure = "Export the model again, with the versions that are installed here."
        with silenced():
            if graph in self._runners:  # opened by another thread meanwhile
                return
            if not path.is_file():
                raise DeployError(f"{path}: missing. {cure}")
            try:
                self._runners[graph] = self._runtime.open(path, self.about["graphs"][graph], self._threads)
            except DeployError:
                raise
            except Exception as error:  # every library has its own
                raise DeployError(f"{path}: cannot be opened ({_reason(error)}). {cure}") from error


def compile(
    segmenter: Segmenter | str | Path | nn.Module,
    runtime: str = "onnx",
    precision: str = "fp32",
    size: tuple[int, int] = (512, 1024),
    *,
    batch: int = 1,
    dynamic: Sequence[str] = (),
    calibration: Sequence[np.ndarray] | None = None,
    graphs: Sequence[str] = GRAPHS,
    threads: int | None = None,
    **options: Any,
) -> Artefact:
    """Compile a segmenter for one runtime, precision and size.

    Args:
        segmenter: a `Segmenter`, or what `edgeseg.inference.load_segmenter` takes: a weight's name or file, a model
            with its weights. It stays as it is.
        runtime: a name of `edgeseg.deploy.runtimes.list_runtimes`.
        precision: ``"fp32"``, ``"fp16"``, ``"bf16"``, ``"int8"`` or ``"fp8"``, as the runtime offers.
        size: (H, W) of the images; where the size is left open, of those that it is compared and timed with.
        batch: images at a time.
        dynamic: what of the input is left open, ``"batch"``, ``"size"`` or both, where the runtime can.
        calibration: (H, W, 3) uint8 training images for int8, see `edgeseg.deploy.quantise.calibration_images`.
        graphs: which graphs to build; both by default.
        threads: of the processor, when it runs; ``None``: the runtime's choice.
        options: the runtime's own; an unknown one is refused.

    Returns:
        The artefact, built into temporary files and opened from them; `Artefact.save` keeps it.

    Raises:
        DeployError: a runtime that cannot run here or cannot leave open what is asked for, an unknown option, int8
            without calibration images.
    """
    backend = get_runtime(runtime)
    backend.check(precision)
    chosen = backend.checked_options(options)
    inputs = [_pixels(image, batch) for image in calibration or ()]
    _check_calibration(precision, inputs, size, chosen)
    checked_graphs(graphs)
    dynamic = checked_dynamic(backend, dynamic, batch)
    backend.prepare()
    source, segmenter = segmenter, load_segmenter(segmenter).reference()
    step = size_step(segmenter, size) if "size" in dynamic else 1
    folder = Path(mkdtemp(prefix="edgeseg-"))
    try:
        about = {
            "format": _FORMAT,
            "runtime": runtime,
            "precision": precision,
            "size": list(size),
            "batch": batch,
            "dynamic": list(dynamic),
            "size_step": step,
            "options": {k: v for k, v in chosen.items() if v is not None},
            **_network_facts(segmenter, size),
            **_weight_facts(source),
        }
        built = {}
        for name in dict.fromkeys(graphs):
            graph = _graph(segmenter, name, size, batch, inputs, about)
            built[name] = _build(backend, graph, folder, precision, chosen)
        about |= {
            "graphs": built,
            "versions": {"edgeseg": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "machine": platform.machine(),
            "files": {file.name: file_hash(file) for file in sorted(folder.iterdir())},
        }
        write_json(folder / DESCRIPTION, about)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise DeployError(f"{folder}: {_unwritten(error)}, or set TMPDIR to another folder.") from error
    artefact = Artefact(folder, _read_description(folder), threads)
    weakref.finalize(artefact, shutil.rmtree, folder, ignore_errors=True)
    return artefact


def weights_hash(model: str | Path) -> str:
    """SHA-256 of a weight's file, by the weight's name, the file's or that of the run's folder that holds it."""
    path = Path(model)
    if path.is_dir():
        return file_hash(path / f"weights{SUFFIX}")
    return file_hash(path if path.suffix == SUFFIX else find_weights(str(model)))


def checked_graphs(graphs: Sequence[str]) -> tuple[str, ...]:
    """Names of graphs to build, each once.

    Raises:
        DeployError: none, or one that does not exist.
    """
    if wrong := [graph for graph in graphs if graph not in GRAPHS]:
        raise DeployError(unknown("graph", wrong[0], GRAPHS))
    if not graphs:
        raise DeployError(f"graphs: none is asked for; there are {', '.join(GRAPHS)}")
    return tuple(dict.fromkeys(graphs))


def _check_calibration(
    precision: str, images: Sequence[Tensor], size: tuple[int, int], options: Mapping[str, Any]
) -> None:
    """int8 and fp8 need images of the artefact's size, and only they have layers to keep in float."""
    if precision not in ("int8", "fp8"):
        if options.get("keep"):
            raise DeployError(f"keep names layers that int8 leaves in float; {precision} has none to keep")
    elif not images:
        raise DeployError(
            f"{precision} takes its ranges from images: give calibration=calibration_images(segmenter, size), or "
            "--calibration on the command line"
        )
    elif any(image.shape[2:] != size for image in images):
        raise DeployError(f"calibration images must be {size[0]}x{size[1]} (HxW), as the artefact; resize them")


def _pixels(image: np.ndarray, batch: int) -> Tensor:
    """(H, W, 3) → (batch, 3, H, W) uint8, that image over and over."""
    return torch.from_numpy(as_pixels(image)).permute(2, 0, 1)[None].expand(batch, -1, -1, -1)


def _graph(
    segmenter: Segmenter,
    name: str,
    size: tuple[int, int],
    batch: int,
    images: Sequence[Tensor],
    about: Mapping[str, Any],
) -> Graph:
    """The whole segmenter, or the network alone; ``images``, (batch, 3, H, W) uint8, are what calibrates them."""
    dims = export_dims(about["dynamic"], about["size_step"])
    shown = 2 if 0 in dims else batch  # images of the example: see `export_graph`
    if name == "labels":
        takes = {"input_dtype": "uint8", "input_scale": 1, "input_values": "pixels as they are, 0 to 255"}
        example = torch.zeros(shown, 3, *size, dtype=torch.uint8)
        return Graph(name, segmenter, example, images, {**about, **takes}, dims)
    example = torch.zeros(shown, 3, *(segmenter.size or size))
    takes = {"input_dtype": "float32", "input_scale": 1 / 255, "input_values": "(pixels * input_scale - mean) / std"}
    inputs = [segmenter.normalise(image) for image in images]
    return Graph(name, segmenter.model, example, inputs, {**about, **takes}, dims)


def _build(runtime: Runtime, graph: Graph, folder: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Write a graph's files into a folder; returns what there is to tell of it."""
    started = time.perf_counter()
    try:
        with silenced():
            facts = runtime.build(graph, folder / f"{graph.name}{runtime.suffix}", precision, options)
    except Exception as error:
        if not isinstance(error, OSError) and shutil.disk_usage(folder).free < _LITTLE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error  # each library's own words
        raise
    return {
        **facts,
        **{key: value for key, value in graph.about.items() if key.startswith("input_")},
        "input": [graph.about["batch"], *graph.example.shape[1:]],
        "dynamic": graph.about["dynamic"],
        "bytes": sum(file.stat().st_size for file in folder.glob(f"{graph.name}.*")),
        "build_seconds": round(time.perf_counter() - started, 2),
    }


def _network_facts(segmenter: Segmenter, size: tuple[int, int]) -> dict[str, Any]:
    """What the description says of the network and its preprocessing."""
    table, model = segmenter.table, segmenter.model
    colors = zip(table.names, table.colors, strict=True) if table else ()
    return {
        "network_size": list(segmenter.size or size),
        "layout": "NCHW",
        "channel_order": "RGB",
        "arch": getattr(model, "arch", type(model).__name__),
        "classes": [{"name": name, "color": list(color)} for name, color in colors],
        "table": table.name if table else "",
        "mean": (segmenter.mean.flatten() / 255).tolist(),
        "std": (segmenter.std.flatten() / 255).tolist(),
    }


def _weight_facts(source: object) -> dict[str, str]:
    """Name and hash of the weight where the network came from one; a module's weights may have been changed since."""
    if not isinstance(source, str | Path):
        return {}
    return {"weights": Path(source).name, "weights_sha256": weights_hash(source)}


def _read_description(folder: Path) -> dict[str, Any]:
    try:
        about = parse_json(read_text(folder / DESCRIPTION))
    except (OSError, ValueError) as error:
        raise DeployError(
            f"{folder / DESCRIPTION}: no artefact ({error}). Give the folder that edgeseg export wrote."
        ) from error
    path, cure = folder / DESCRIPTION, "Export the model again."
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise DeployError(f"{path}: not of this version of edgeseg. {cure}")
    if absent := [key for key in _NEEDED if key not in about]:
        raise DeployError(f"{path}: lacks {', '.join(absent)}. {cure}")
    if fault := next(_faults(about), None):
        raise DeployError(f"{path}: {fault}. {cure}")
    return about


def _faults(about: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be in a description. A runtime or precision that does not exist is refused by the runtimes."""
    for key in ("runtime", "precision", "table"):
        if not isinstance(about[key], str):
            yield f"{key} = {about[key]!r}, which is no text"
    for key in ("size", "network_size"):
        if not is_size(about[key]):
            yield f"{key} = {about[key]!r}, which is no height and width"
    if type(about["batch"]) is not int or about["batch"] < 1:
        yield f"batch = {about['batch']!r}, which is no number of images"
    dynamic = about.get("dynamic", [])
    if not isinstance(dynamic, list) or any(name not in DYNAMIC for name in dynamic):
        yield f"dynamic = {dynamic!r}, which holds others than {', '.join(DYNAMIC)}"
    if about.get("size_step", 1) not in (1, STRIDE):
        yield f"size_step = {about['size_step']!r}, which is neither 1 nor {STRIDE}"
    yield from preprocessing_faults(about, unnamed=True)
    graphs, files = about["graphs"], about["files"]
    if not isinstance(graphs, dict) or not graphs or any(name not in GRAPHS for name in graphs):
        yield f"graphs = {graphs!r}, which holds none, or others than {', '.join(GRAPHS)}"
        return
    for name, facts in graphs.items():
        wanted = [about["batch"], 3, *about["size" if name == "labels" else "network_size"]]
        if not isinstance(facts, dict) or facts.get("input") != wanted:
            yield f"its {name} graph does not take {wanted}, as batch and size say"
    if not isinstance(files, dict):
        yield f"files = {files!r}, which lists none"


def _table(classes: Sequence[Mapping[str, Any]], name: str) -> ClassTable | None:
    if not classes:
        return None
    return ClassTable(name, tuple(c["name"] for c in classes), tuple(tuple(c["color"]) for c in classes))


def _unwritten(error: OSError) -> str:
    """Why something cannot be written, and the first half of the cure."""
    if no_space(error):
        return "cannot be written, the disk is full. Free some space"
    return f"cannot be written ({error.strerror or error}). Change its permissions"


def _reason(error: Exception) -> str:
    """The first line of an error that says something; OpenVINO's begin with places in its source."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line and not line.startswith("Exception from ")), type(error).__name__)
