"""What a benchmark compares: networks under runtimes, compiled and checked against their models, and artefacts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from edgeseg.bench.peers import IMAGENET, PEERS, RANDOM, untrained
from edgeseg.bench.roofline import Roofline, measure_peaks, measure_roofline
from edgeseg.bench.timing import FULL, QUICK, Variant, bench
from edgeseg.data.labels import CAMVID
from edgeseg.deploy.artefact import DESCRIPTION, Artefact, compile, weights_hash
from edgeseg.deploy.parity import MINI_SET, Sample, check_parity, mini_set
from edgeseg.deploy.quantise import calibration_images
from edgeseg.deploy.runtimes import get_runtime
from edgeseg.deploy.runtimes.base import DeployError, torch_threads
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.machine import load_average, physical_cores
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models.registry import ARCHS, DEFAULT_CLASSES, SUFFIX, create_model
from edgeseg.text import split_assignments

CPU_RUNTIMES = ("eager", "onnx", "openvino", "openvino:bf16")
GPU_RUNTIMES = ("eager", "eager:fp16", "inductor:fp16", "tensorrt:fp16")
NEED_IMAGES = ("int8", "fp8")
UNKNOWN = "not known"
"""What stands in the place of a hash where an artefact does not say from which weights it was made."""
Size = tuple[int, int]


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
    """A runtime, a precision and the runtime's options.

    Args:
        runtime, precision: names.
        typed: the options as they were typed, ``"opset=18,keep=head"``.
        options: in their own types, for `edgeseg.deploy.compile`.
    """

    runtime: str
    precision: str
    typed: str
    options: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Read ``"runtime[:precision[:option=value,…]]"``: ``"onnx"``, ``"eager:fp32:channels_last=false"``.

        Raises:
            DeployError: a runtime, precision or option that does not exist, or that cannot run here.
        """
        name, precision, typed = (*text.split(":", 2), "", "")[:3]
        runtime, precision = get_runtime(name), precision or "fp32"
        runtime.check(precision)
        _check_runs_here(name)
        return cls(name, precision, typed, runtime.parse_options(split_assignments(typed)))

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision} {self.typed}".strip()


def default_choices() -> tuple[list[Choice], list[str]]:
    """The runtimes that this machine can compare at once, and why the others of the list cannot run here."""
    chosen, left_out = [], []
    for text in GPU_RUNTIMES if torch.cuda.is_available() else CPU_RUNTIMES:
        try:
            chosen.append(Choice.parse(text))
        except DeployError as error:
            left_out.append(str(error))
    return chosen, left_out


class Plan:
    """Networks × runtimes, and saved artefacts, at some sizes.

    Args:
        models: weights (name or file), architectures (random weights), folders of artefacts.
        runtimes: see `Choice.parse`; none: those that this machine can run.
        sizes: (H, W) of the images; none: 512×1024, or with artefacts alone theirs.
        with_peers: add every peer that can be built here, with as many classes as the first network.
        threads: of the CPU; default: the physical cores.
        rounds: turns of every variant; default: the protocol's.
        quick: a first look, with fewer images and iterations than the protocol asks for.
        batch: more than 1: measure throughput too, with so many images at once.

    Attributes:
        networks: to be compiled.
        sizes: (H, W) each.
        left_out: what is not measured, and why.

    Raises:
        DeployError, ValueError: a model, runtime or option that does not exist, or an artefact of another size.
    """

    def __init__(
        self,
        models: Sequence[str],
        runtimes: Sequence[str] = (),
        sizes: Sequence[Size] = (),
        *,
        with_peers: bool = False,
        threads: int | None = None,
        rounds: int | None = None,
        quick: bool = False,
        batch: int = 1,
    ) -> None:
        self._batch = batch
        self._load_before = load_average()
        self.left_out: list[str] = []
        self._threads, self._quick = threads or physical_cores(), quick
        protocol = QUICK if quick else FULL
        self._protocol = protocol if rounds is None else replace(protocol, rounds=rounds)
        self._artefacts = {Path(m): _size_of(m) for m in models if (Path(m) / DESCRIPTION).is_file()}
        self._choices = [Choice.parse(text) for text in runtimes]
        if not runtimes:
            self._choices, reasons = default_choices()
            self._leave_out(*reasons)
        self.networks = _networks([m for m in models if Path(m) not in self._artefacts])
        if with_peers:
            self._add_peers()
        self.sizes = self._all_sizes(sizes)

    def run(self, size: Size, reference: str | None = None) -> dict[str, Any]:
        """Compile, check and time everything of one size; see `edgeseg.bench.timing.bench`.

        Args:
            size: one of `sizes`.
            reference: name of the variant that ratios are over; default: the first.
        """
        samples = mini_set(_with_camvids_classes(), size, 1 if self._quick else MINI_SET)
        with TemporaryDirectory(prefix="edgeseg-bench-") as folder:
            with torch_threads(self._threads):
                variants = self._variants(size, samples, Path(folder))
            return bench(
                variants,
                [s.image for s in samples[:: max(1, len(samples) // 4)]],
                threads=self._threads,
                load_before=self._load_before,
                reference=reference,
                protocol=self._protocol,
                batch=self._batch,
            )

    def rooflines(self) -> Iterator[Roofline]:
        """Per size and network, peers left out: every module against the machine's peaks."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        with torch_threads(self._threads):
            peaks = measure_peaks(device)
            for size, network in product(self.sizes, [n for n in self.networks if not n.peer]):
                runs = 5 if self._quick else 20
                yield measure_roofline(network.segmenter.model, size, network.name, peaks, runs, device)

    def _variants(self, size: Size, samples: Sequence[Sample], folder: Path) -> list[Variant]:
        """A peer that a runtime cannot compile is left out, a network of ours is an error."""
        needed = self.networks and any(c.precision in NEED_IMAGES for c in self._choices)
        calibration = calibration_images(_with_camvids_classes(), size) if needed else None
        found = []
        for number, (network, choice) in enumerate(product(self.networks, self._choices)):
            print(f"compiling {network.name} {choice} {size[0]}x{size[1]}", file=sys.stderr)
            try:
                place = folder / str(number)
                found.append(make_variant(network, choice, size, place, samples, calibration, self._batch))
            except Exception as error:  # compilers raise anything
                if not network.peer:
                    raise
                self._leave_out(f"{network.name} {choice}: {(str(error) or type(error).__name__).splitlines()[0]}")
        return found + [open_variant(f, self.networks, samples) for f, own in self._artefacts.items() if own == size]

    def _leave_out(self, *reasons: str) -> None:
        for reason in reasons:
            print(f"left out: {reason}")
        self.left_out += reasons

    def _add_peers(self) -> None:
        first = self.networks[0].segmenter.model if self.networks else None
        classes = getattr(first, "num_classes", DEFAULT_CLASSES)
        for name, source in PEERS.items():
            if reason := ARCHS[name].why_not():
                self._leave_out(f"peer {name}: {reason}")
            elif all(name != n.name for n in self.networks):
                print(f"peer {name}: {source}, random weights, {classes} classes")
                self.networks.append(replace(_random(name, classes), peer=True))

    def _all_sizes(self, wanted: Sequence[Size]) -> list[Size]:
        own = sorted(set(self._artefacts.values()))
        sizes = list(dict.fromkeys(wanted)) or ([(512, 1024)] if self.networks else own)
        for folder, (height, width) in self._artefacts.items():
            if (height, width) not in sizes:
                raise ValueError(f"{folder} takes images of {height}x{width}: add --size {height}x{width}")
        return sizes


def make_variant(
    network: Network,
    choice: Choice,
    size: Size,
    folder: Path,
    samples: Sequence[Sample],
    calibration: Sequence[np.ndarray] | None = None,
    batch: int = 1,
) -> Variant:
    """Compile a network, compare it with its model on some samples and save it to a new folder.

    Where throughput is to be measured, the same for a fixed ``batch``, beside it; but not where the runtime takes one
    image at a time, or was asked for streams, which take one each.
    """
    images = calibration if choice.precision in NEED_IMAGES else None
    what = (network.segmenter, choice.runtime, choice.precision, size)
    artefact = compile(*what, calibration=images, **choice.options)
    found = quality(artefact, network, samples)
    many = None
    if batch > 1 and artefact.at_once == 1 and get_runtime(choice.runtime).takes_batches:
        several = compile(*what, batch=batch, calibration=images, graphs=("labels",), **choice.options)
        several_found = quality(several, network, samples[:1])
        found["exceeded"] = (*found["exceeded"], *(f"batch {batch}: {name}" for name in several_found["exceeded"]))
        many = several.save(folder.with_name(f"{folder.name}.batch"))
    name, kept = f"{network.name} {choice}", artefact.save(folder)
    return Variant(name, network.name, kept, found, network.weights, network.peer, many)


def open_variant(folder: Path, networks: Sequence[Network], samples: Sequence[Sample]) -> Variant:
    """A saved artefact as a variant, compared with the network that it was made from.

    An artefact that does not say from which weights it was made is compared with the first network of its
    architecture and classes, and never gets that network's name and hash.
    """
    artefact = Artefact.load(folder)
    weights = artefact.about.get("weights_sha256", UNKNOWN)
    alike = [n for n in networks if _same_network(artefact, n) and weights in (n.weights, UNKNOWN)]
    found = quality(artefact, alike[0], samples) if alike else _own_quality(artefact, samples)
    network = str(folder) if weights == UNKNOWN or not alike else alike[0].name
    return Variant(f"{folder} {artefact.runtime} {artefact.precision}", network, folder, found, weights)


def quality(artefact: Artefact, network: Network, samples: Sequence[Sample]) -> dict[str, Any]:
    """What an artefact computes: mIoU in percent, disagreement 0…1, largest error of a logit; and of what, on what."""
    table = network.segmenter.table
    if table is None or table.names != CAMVID.names:
        samples = [replace(s, label=None) for s in samples]
    parity = check_parity(artefact, network.segmenter, samples)
    return {**parity.as_dict(), "compared_with": f"{network.name} eager fp32"}


def _own_quality(artefact: Artefact, samples: Sequence[Sample]) -> dict[str, Any]:
    """The mIoU alone, of an artefact whose model is not at hand."""
    if artefact.table is None or artefact.table.names != CAMVID.names:
        return {}
    matrix = ConfusionMatrix(len(CAMVID))
    for sample in samples:
        assert sample.label is not None
        matrix.update(artefact(sample.image), sample.label)
    sources = list(dict.fromkeys(s.source for s in samples))
    return {"miou": 100 * matrix.compute().miou, "images": len(samples), "sources": sources, "compared_with": None}


def _same_network(artefact: Artefact, network: Network) -> bool:
    """Whether architecture and classes are the same; the weights may be others."""
    mine, model = artefact.table, network.segmenter.model
    theirs = network.segmenter.table
    known = mine is not None and theirs is not None and mine.names == theirs.names
    return known and artefact.about["arch"] == getattr(model, "arch", type(model).__name__)


def _networks(names: Sequence[str]) -> list[Network]:
    """Trained networks by weight; architectures with random weights, as many classes as the trained."""
    trained = {n: load_segmenter(n) for n in names if n not in ARCHS}
    classes: Any = next((s.model.num_classes for s in trained.values()), DEFAULT_CLASSES)
    found = []
    for name in dict.fromkeys(names):
        if name in trained:
            found.append(Network(name.removesuffix(SUFFIX), trained[name], weights_hash(name)))
        else:
            found.append(_random(name, classes))
    return found


def _random(name: str, classes: int) -> Network:
    """An architecture with random weights; a peer where somebody else's library builds it."""
    segmenter = untrained(name, partial(create_model, name), classes)
    return Network(name, segmenter, RANDOM, peer=bool(ARCHS[name].package))


def _check_runs_here(runtime: str) -> None:
    if place := get_runtime(runtime).runs_in:
        raise DeployError(f"{runtime} runs in {place}, so its times cannot be taken here; it tells them itself")


def _size_of(folder: str) -> Size:
    artefact = Artefact.load(folder)
    _check_runs_here(artefact.runtime)
    if artefact.batch != 1:
        raise DeployError(
            f"{folder}: made for batches of {artefact.batch}; times here are of one image. Export batch 1"
        )
    if "logits" not in artefact.about["graphs"]:
        raise DeployError(
            f"{folder}: built without its logits graph, which is what net times; export it with --graphs labels,logits"
        )
    return artefact.size


def _with_camvids_classes() -> Segmenter:
    """What asks for labelled scenes and training scenes, whichever networks are compared."""
    return Segmenter(nn.Identity(), *IMAGENET, table=CAMVID)
