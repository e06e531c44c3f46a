"""``edgeseg bench``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from edgeseg.files import write_json
from edgeseg.text import parse_size

if TYPE_CHECKING:
    from edgeseg.bench.plan import Choice, Network, Variant
    from edgeseg.bench.roofline import Roofline
    from edgeseg.bench.timing import Protocol
    from edgeseg.deploy.parity import Sample
    from edgeseg.inference import Segmenter

Size = tuple[int, int]


def bench(
    models: Annotated[
        list[str],
        typer.Argument(help="weights (name or file), architectures or peers (random weights), artefact folders"),
    ],
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="runtime[:precision[:option=value,…]], may be repeated; default: what this machine runs"),
    ] = None,
    size: Annotated[list[str] | None, typer.Option(help="HxW, may be repeated; default 512x1024")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="turns of every variant; default 30")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="of the CPU; default: the physical cores")] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="add other people's networks, each under every runtime")
    ] = False,
    reference: Annotated[str | None, typer.Option(help="variant that ratios are over; default: the first")] = None,
    roofline: Annotated[
        bool, typer.Option("--roofline", help="also time every module against the machine's peaks")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="a first look: fewer iterations than the protocol's")] = False,
    json: Annotated[Path | None, typer.Option(help="write everything here")] = None,
    picture: Annotated[Path | None, typer.Option(help="draw the times here (.png)")] = None,
) -> None:
    """Time networks under runtimes against each other, and say beside each time what was computed.

    Two numbers, never mixed: net (tensor → logits) and e2e (uint8 image → class map). Variants take turns, each in a
    process of its own; ratios are formed within each round. Measure on a quiet machine.
    """
    from edgeseg.bench.roofline import using_threads
    from edgeseg.machine import load_average, physical_cores

    plan = _Plan(models, runtime, size, threads or physical_cores(), quick, load_average())
    protocol = _protocol(rounds, quick)
    if peers:
        plan.add_peers()
    reports = []
    for height_width in plan.sizes:
        with TemporaryDirectory(prefix="edgeseg-bench-") as folder:
            with using_threads(plan.threads):
                variants = plan.variants(height_width, Path(folder))
            reports.append(_run(plan, variants, height_width, reference, protocol, picture))
        _write(json, plan, reports)  # what was measured is kept, whatever becomes of the next size
    rooflines = _rooflines(plan, reports, picture) if roofline else []
    _write(json, plan, reports, rooflines)


def _write(
    json: Path | None, plan: _Plan, reports: Sequence[dict[str, Any]], rooflines: Sequence[dict[str, Any]] = ()
) -> None:
    write_json(json, {"format": 1, "runs": reports, "rooflines": list(rooflines), "left_out": plan.left_out})


@dataclass
class _Plan:
    """What is to be compared: networks × runtimes, and artefacts from folders."""

    models: Sequence[str]
    runtimes: Sequence[str] | None
    size_texts: Sequence[str] | None
    threads: int
    quick: bool
    load_before: float | None
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        from edgeseg.bench.plan import default_choices, parse_choice
        from edgeseg.deploy.artefact import DESCRIPTION

        self.folders = [Path(m) for m in self.models if (Path(m) / DESCRIPTION).is_file()]
        self.choices: list[Choice] = [parse_choice(r) for r in self.runtimes or ()]
        if not self.choices:
            self.choices, reasons = default_choices()
            self.leave_out(*reasons)
        self.networks = self._networks([m for m in self.models if Path(m) not in self.folders])
        self.sizes = self._sizes()
        self._samples: dict[Size, list[Sample]] = {}
        self._training_images: dict[Size, list[np.ndarray]] = {}

    def leave_out(self, *reasons: str) -> None:
        """Note, and say, what is not measured."""
        for reason in reasons:
            print(f"left out: {reason}")
        self.left_out += reasons

    def add_peers(self) -> None:
        """Every peer that can be built here, with as many classes as the first network."""
        from edgeseg.bench.peers import PEERS, peer, why_not

        classes = getattr(self.networks[0].segmenter.model, "num_classes", 19) if self.networks else 19
        taken = {n.name for n in self.networks}
        for name, known in PEERS.items():
            if reason := why_not(name):
                self.leave_out(f"peer {name}: {reason}")
            elif name not in taken:
                print(f"peer {name}: {known.source}, random weights, {classes} classes")
                self.networks.append(peer(name, classes))

    def samples(self, network: Network | None, size: Size) -> list[Sample]:
        """Images to compare on, with labels where they are of the network's classes."""
        from edgeseg.data.labels import CAMVID
        from edgeseg.deploy.parity import MINI_SET, mini_set

        if size not in self._samples:
            self._samples[size] = mini_set(_with_camvids_classes(), size, 1 if self.quick else MINI_SET)
        table = network.segmenter.table if network else CAMVID
        labelled = table is not None and table.names == CAMVID.names
        return self._samples[size] if labelled else [replace(s, label=None) for s in self._samples[size]]

    def variants(self, size: Size, folder: Path) -> list[Variant]:
        """Compile and check everything of one size."""
        from edgeseg.bench.plan import open_variant
        from edgeseg.deploy.artefact import Artefact

        found = []
        for number, (network, choice) in enumerate((n, c) for n in self.networks for c in self.choices):
            variant = self._make(network, choice, size, folder / str(number))
            found += [variant] if variant else []
        for path in self.folders:
            if Artefact.load(path).size == size:
                found.append(open_variant(path, self.networks, self.samples(None, size)))
        return found

    def _make(self, network: Network, choice: Choice, size: Size, folder: Path) -> Variant | None:
        """One variant; a peer that a runtime cannot compile is left out, a network of ours is an error."""
        from edgeseg.bench.plan import make_variant

        print(f"compiling {network.name} {choice} {size[0]}x{size[1]}", file=sys.stderr)
        try:
            return make_variant(network, choice, size, folder, self.samples(network, size), self._calibration)
        except Exception as error:  # compilers raise anything
            if not network.peer:
                raise
            self.leave_out(f"{network.name} {choice}: {str(error).splitlines()[0]}")
            return None

    def _calibration(self, size: Size) -> Sequence[np.ndarray]:
        """Training scenes, the same for every network."""
        from edgeseg.deploy.quantise import calibration_images

        if size not in self._training_images:
            self._training_images[size] = calibration_images(_with_camvids_classes(), size)
        return self._training_images[size]

    def _networks(self, names: Sequence[str]) -> list[Network]:
        """Trained networks by weight; architectures and peers with random weights, as many classes as the trained."""
        import torch

        from edgeseg.bench.peers import list_peers, peer, untrained
        from edgeseg.bench.plan import Network
        from edgeseg.cli.evaluate import _sha256
        from edgeseg.inference import load_segmenter
        from edgeseg.models.registry import ARCHS, DEFAULT_CLASSES, create_model

        trained = {n: load_segmenter(n) for n in names if n not in ARCHS and n not in list_peers()}
        classes: Any = next((s.model.num_classes for s in trained.values()), DEFAULT_CLASSES)
        found = []
        for name in dict.fromkeys(names):
            if name in trained:
                found.append(Network(name.removesuffix(".safetensors"), trained[name], _sha256(name)))
            elif name in ARCHS:
                torch.manual_seed(0)
                found.append(untrained(name, create_model(name, classes), 0))
            else:
                found.append(peer(name, classes))
        return found

    def _sizes(self) -> list[Size]:
        from edgeseg.deploy.artefact import Artefact

        own = {path: Artefact.load(path).size for path in self.folders}
        if self.size_texts:
            sizes = [parse_size(text) for text in self.size_texts]
        else:
            sizes = [(512, 1024)] if self.networks else sorted(set(own.values()))
        for path, size in own.items():
            if size not in sizes:
                raise ValueError(f"{path} takes images of {size[0]}x{size[1]}: add --size {size[0]}x{size[1]}")
        return list(dict.fromkeys(sizes))


def _with_camvids_classes() -> Segmenter:
    """What asks for labelled scenes and training scenes, whichever networks are compared."""
    import torch

    from edgeseg.bench.peers import IMAGENET
    from edgeseg.data.labels import CAMVID
    from edgeseg.inference import Segmenter

    return Segmenter(torch.nn.Identity(), *IMAGENET, table=CAMVID)


def _protocol(rounds: int | None, quick: bool) -> Protocol:
    from edgeseg.bench.timing import FULL, QUICK

    protocol = QUICK if quick else FULL
    return protocol if rounds is None else replace(protocol, rounds=rounds)


def _run(
    plan: _Plan, variants: list[Variant], size: Size, reference: str | None, protocol: Protocol, picture: Path | None
) -> dict[str, Any]:
    """Time the variants of one size, print the table, draw the picture."""
    from edgeseg import plots
    from edgeseg.bench import timing as benchmark
    from edgeseg.bench.pictures import bench_picture
    from edgeseg.bench.table import bench_text

    samples = plan.samples(None, size)
    images = [s.image for s in samples[:: max(1, len(samples) // 4)]]
    report = benchmark.bench(
        variants,
        images,
        reference=reference,
        threads=plan.threads,
        protocol=protocol,
        load_before=plan.load_before,
        progress=True,
    )
    print(bench_text(report))
    if picture is not None:
        file = picture if len(plan.sizes) == 1 else picture.with_stem(f"{picture.stem}.{size[0]}x{size[1]}")
        print(f"picture: {plots.save(bench_picture(report), file)}")
    return report


def _rooflines(plan: _Plan, reports: Sequence[dict[str, Any]], picture: Path | None) -> list[dict[str, Any]]:
    """Per size and network: modules against the machine's peaks, and the share of them that each runtime reached."""
    import torch

    from edgeseg import plots
    from edgeseg.bench.pictures import roofline_picture
    from edgeseg.bench.roofline import measure_peaks, measure_roofline, using_threads

    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = []
    with using_threads(plan.threads):
        peaks = measure_peaks(device)
        for report, network in ((r, n) for r in reports for n in plan.networks if not n.peer):
            size = (report["size"][0], report["size"][1])
            model, runs = network.segmenter.model, 5 if plan.quick else 20
            r = measure_roofline(model, size, network.name, runs=runs, device=device, peaks=peaks)
            print(f"\n{r.table()}")
            found.append({**r.as_dict(), "runtimes": _shares(r, report)})
            if picture is not None:
                name = f"{picture.stem}.roofline.{network.name.replace('/', '_')}.{size[0]}x{size[1]}.png"
                print(f"picture: {plots.save(roofline_picture(r), picture.with_name(name))}")
    return found


def _shares(r: Roofline, report: dict[str, Any]) -> dict[str, float]:
    """Share of the arithmetic peak by variant of one network, printed and returned."""
    macs, found = sum(m.macs for m in r.modules), {}
    for row in report["variants"]:
        share = r.peaks.share(macs, row["net"]["median_ms"], row["precision"])
        if row["network"] == r.network and share is not None:
            found[row["name"]] = share
            print(f"{row['name']}: {100 * share:.0f} % of the {row['precision']} peak that PyTorch's kernels reach")
    return found
