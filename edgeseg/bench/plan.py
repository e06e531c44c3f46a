"""What a benchmark compares: a network under a runtime, compiled, checked against its model, and lying in a folder."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.data.labels import CAMVID
from edgeseg.deploy.artefact import Artefact, compile
from edgeseg.deploy.parity import Sample, check_parity
from edgeseg.deploy.runtimes import get_runtime
from edgeseg.deploy.runtimes.base import PRECISIONS, DeployError
from edgeseg.inference import Segmenter
from edgeseg.metrics import ConfusionMatrix

CPU_RUNTIMES = ("eager", "onnx", "openvino", "openvino:bf16")
GPU_RUNTIMES = ("eager", "eager:fp16", "inductor:fp16", "tensorrt:fp16")
Images = Callable[[tuple[int, int]], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Network:
    """A segmenter to compile.

    Args:
        name: as it is shown.
        segmenter: model and preprocessing.
        weights: what its weights are: a file's SHA-256, or that they are random.
        peer: somebody else's network, compared with.
    """

    name: str
    segmenter: Segmenter
    weights: str
    peer: bool = False


@dataclass(frozen=True)
class Choice:
    """A runtime, a precision and the runtime's options, see `parse_choice`.

    Args:
        runtime, precision: names.
        options: of the runtime.
    """

    runtime: str
    precision: str = "fp32"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        changed = ",".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.runtime} {self.precision}" + (f" {changed}" if changed else "")


@dataclass(frozen=True)
class Variant:
    """One line of a benchmark.

    Args:
        name: of network and runtime together; no two alike.
        network: name of the network.
        folder: of the artefact.
        quality: what the artefact computes, see `quality`; empty where it was not compared.
        weights: see `Network`.
        peer: see `Network`.
    """

    name: str
    network: str
    folder: Path
    quality: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    peer: bool = False


def parse_choice(text: str) -> Choice:
    """``"runtime[:precision[:option=value,…]]"`` → `Choice`: ``"onnx"``, ``"eager:fp32:channels_last=False"``.

    Raises:
        DeployError: a runtime or precision that does not exist.
    """
    runtime, _, rest = text.partition(":")
    precision, _, options = rest.partition(":")
    precision = precision or "fp32"
    get_runtime(runtime)
    if precision not in PRECISIONS:
        raise DeployError(f"--runtime {text}: no precision {precision!r}; choose from {', '.join(PRECISIONS)}")
    found: dict[str, Any] = {}
    for part in filter(None, options.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise DeployError(f"--runtime {text}: write options as name=value, e.g. eager:fp32:channels_last=False")
        try:
            found[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key] = value
    return Choice(runtime, precision, found)


def default_choices() -> tuple[list[Choice], list[str]]:
    """The runtimes that this machine can compare at once, and why the others of the list cannot run here."""
    import torch

    chosen, left_out = [], []
    for choice in map(parse_choice, GPU_RUNTIMES if torch.cuda.is_available() else CPU_RUNTIMES):
        try:
            get_runtime(choice.runtime).check(choice.precision)
            chosen.append(choice)
        except DeployError as error:
            left_out.append(str(error))
    return chosen, left_out


def make_variant(
    network: Network,
    choice: Choice,
    size: tuple[int, int],
    folder: Path,
    samples: Sequence[Sample],
    calibration: Images | None = None,
) -> Variant:
    """Compile a network, save it to a new folder and compare it with its model.

    Args:
        network: what to compile.
        choice: for which runtime.
        size: (H, W) of the images.
        folder: is made.
        samples: to compare on; none: it is not compared.
        calibration: training images of a size, for int8 and fp8.
    """
    images = calibration(size) if calibration and choice.precision in ("int8", "fp8") else None
    artefact = compile(
        network.segmenter, choice.runtime, choice.precision, size, calibration=images, **dict(choice.options)
    )
    found = quality(artefact, network.segmenter, samples, network.name) if samples else {}
    artefact.save(folder)
    return Variant(f"{network.name} {choice}", network.name, folder, found, network.weights, network.peer)


def open_variant(folder: Path, networks: Sequence[Network], samples: Sequence[Sample]) -> Variant:
    """A saved artefact as a variant; compared with the first network of its architecture and classes, if there is one.

    Raises:
        DeployError: no artefact, or one of a batch.
    """
    artefact = Artefact.load(folder)
    if artefact.batch != 1:
        raise DeployError(
            f"{folder}: made for batches of {artefact.batch}; times here are of one image. Export batch 1"
        )
    alike = [n for n in networks if _same_model(artefact, n.segmenter)]
    name = f"{folder} {artefact.runtime} {artefact.precision}"
    if alike:
        found = quality(artefact, alike[0].segmenter, samples, alike[0].name) if samples else {}
        return Variant(name, alike[0].name, folder, found, alike[0].weights)
    return Variant(name, str(folder), folder, _own_quality(artefact, samples))


def quality(artefact: Artefact, segmenter: Segmenter, samples: Sequence[Sample], reference: str) -> dict[str, Any]:
    """What an artefact computes: mIoU in percent, disagreement 0…1, largest error of a logit; and of what, on what."""
    told = check_parity(artefact, segmenter, samples).as_dict()
    lists = {key: list(value) for key, value in told.items() if isinstance(value, tuple)}  # as JSON gives them back
    return {**told, **lists, "compared_with": f"{reference} eager fp32"}


def _own_quality(artefact: Artefact, samples: Sequence[Sample]) -> dict[str, Any]:
    """The mIoU alone, of an artefact whose model is not at hand."""
    labelled = [s for s in samples if s.label is not None]
    if artefact.table is None or artefact.table.names != CAMVID.names or not labelled:
        return {}
    matrix = ConfusionMatrix(len(artefact.table))
    for sample in labelled:
        assert sample.label is not None
        matrix.update(artefact(sample.image), sample.label)
    sources = list(dict.fromkeys(s.source for s in labelled))
    return {"miou": 100 * matrix.compute().miou, "images": len(labelled), "sources": sources, "compared_with": None}


def _same_model(artefact: Artefact, segmenter: Segmenter) -> bool:
    about = artefact.about
    names = [c["name"] for c in about["classes"]]
    mine = list(segmenter.table.names) if segmenter.table else []
    return (
        bool(names)
        and names == mine
        and about["arch"] == getattr(segmenter.model, "arch", type(segmenter.model).__name__)
    )
