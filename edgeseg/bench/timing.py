"""The timing protocol: two numbers, interleaved variants, percentiles, and beside each time what was computed.

**net** is the network alone: a normalised tensor on the device → logits at the input's size. **e2e** is what an
application calls: a uint8 image on the host → a uint8 class map on the host, normalisation, copies and argmax included.
They are never mixed.

Every variant lives in a process of its own (`edgeseg.bench.worker`), so that no runtime's threads disturb another's,
and its memory can be told. The processes take turns: in each round every variant runs one block, and its ratio to the
reference variant is formed within the round, so that a machine that grows slower or faster meanwhile does not favour
one of them. Each round starts with another variant.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import numpy as np

from edgeseg.bench.plan import Variant
from edgeseg.bench.worker import MEASURES
from edgeseg.deploy.artefact import Artefact
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.machine import Watch, describe_environment, free_memory, load_average, physical_cores, warnings

JETSON_WARMUP = 30.0
LEAST_FREE_MEMORY = 0.05


@dataclass(frozen=True)
class Protocol:
    """How long and how often.

    Args:
        warmup_iterations, warmup_seconds: at least both, before the first round.
        rounds: turns of every variant.
        block_iterations, block_seconds: of one turn on a CPU, at least both.
        gpu_iterations, gpu_seconds: of all turns together on a GPU, at least both.
        quick: allow less than the protocol asks for. Its numbers are for trying things out.

    Raises:
        DeployError: less than the protocol asks for.
    """

    warmup_iterations: int = 50
    warmup_seconds: float = 3.0
    rounds: int = 30
    block_iterations: int = 3
    block_seconds: float = 0.25
    gpu_iterations: int = 1024
    gpu_seconds: float = 60.0
    quick: bool = False

    def __post_init__(self) -> None:
        if min(self.rounds, self.block_iterations, self.warmup_iterations) < 1:
            raise DeployError("a benchmark needs at least one round, one iteration and one warm-up")
        if self.quick:
            return
        wanted = {"warmup_iterations": 50, "warmup_seconds": 3, "rounds": 30, "gpu_iterations": 1024, "gpu_seconds": 60}
        short = [f"{name} of {least} or more" for name, least in wanted.items() if getattr(self, name) < least]
        if short:
            raise DeployError(f"the protocol asks for {', '.join(short)}; for a quick look take --quick")


FULL = Protocol()
QUICK = Protocol(5, 0.3, 5, 2, 0.0, 64, 1.0, quick=True)


def bench(
    variants: Sequence[Variant],
    images: Sequence[np.ndarray],
    *,
    reference: str | None = None,
    threads: int | None = None,
    protocol: Protocol = FULL,
    measures: Sequence[str] = MEASURES,
    load_before: float | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Time variants against each other.

    Args:
        variants: saved artefacts of one size and of batch 1, of any networks and runtimes.
        images: (H, W, 3) uint8 of that size, real ones, used in turn.
        reference: name of the variant that ratios are formed to; default: the first.
        threads: of the CPU runtimes; default: the physical cores allowed.
        protocol: how long and how often.
        measures: ``"net"``, ``"e2e"`` or both.
        load_before: load average before anything was compiled, for the warning; default: as it is now.
        progress: show a bar on standard error.

    Returns:
        JSON-able: ``protocol``, ``environment``, ``size``, ``reference``, ``threads``, ``warnings``, ``best`` (per
        network the fastest variant), and ``variants``, each with ``net`` and ``e2e`` (median_ms, p90_ms, p99_ms,
        min_ms, n, fps, speedup over the reference with its spread over the rounds, and all times by round), ``memory``,
        ``quality``, ``stages`` and the artefact's own facts.

    Raises:
        DeployError: nothing to measure, variants of several sizes, two of one name, or one that fails.
    """
    threads = physical_cores() if threads is None else threads
    load_before = load_average() if load_before is None else load_before
    names = [v.name for v in variants]
    abouts = _check(variants, images, measures)
    if reference is not None and reference not in names:
        raise DeployError(f"no variant {reference!r} to compare with; there are: {'; '.join(names)}")
    reference = names[0] if reference is None else reference
    with ExitStack() as stack:
        file = Path(stack.enter_context(TemporaryDirectory(prefix="edgeseg-bench-"))) / "images.npy"
        np.save(file, np.stack(images))
        children = []
        for variant in variants:  # one after the other, and all before the first is warmed up: nobody disturbs anybody
            children.append(stack.enter_context(_Child(variant, threads)))
            children[-1].ask("open", folder=str(variant.folder), images=str(file), threads=threads)
        warmed = [c.warm_up(measures, protocol) for c in children]
        watch = Watch(c.pid for c in children)
        started = time.perf_counter()
        times = _rounds(children, [w["blocks"] for w in warmed], measures, protocol.rounds, progress)
        seconds, foreign = time.perf_counter() - started, watch.foreign_cores()
        about_machine = describe_environment(threads)  # at the end: the clocks and temperatures of a machine at work
    rows = [
        {**_facts(v, a), "memory": w["memory"], "warmup": w["warmup"], **{m: _summary(t[m]) for m in measures}}
        for v, a, w, t in zip(variants, abouts, warmed, times, strict=True)
    ]
    _add_speedups(rows, names.index(reference), measures)
    found = warnings(threads, load_before, foreign)
    return {
        "format": 1,
        "quick": protocol.quick,
        "protocol": asdict(protocol),
        "size": abouts[0]["size"],
        "batch": 1,
        "threads": threads,
        "images": len(images),
        "measures": list(measures),
        "reference": reference,
        "seconds": round(seconds, 1),
        "load_before": load_before,
        "foreign_cores": foreign,
        "warnings": found,
        "environment": about_machine,
        "best": best(rows, measures),
        "variants": rows,
    }


def best(rows: Sequence[Mapping[str, Any]], measures: Sequence[str] = MEASURES) -> dict[str, dict[str, Any]]:
    """Per network and measure the fastest variant, of all precisions and of float32 alone."""
    found: dict[str, dict[str, Any]] = {}
    for network in dict.fromkeys(r["network"] for r in rows):
        mine = [r for r in rows if r["network"] == network]
        exact = [r for r in mine if r["precision"] == "fp32"]
        found[network] = {}
        for measure in measures:
            for key, group in ((measure, mine), (f"{measure}_fp32", exact)):
                if group:
                    fastest = min(group, key=lambda r: r[measure]["median_ms"])
                    found[network][key] = {"variant": fastest["name"], "median_ms": fastest[measure]["median_ms"]}
    return found


def turns(count: int, rounds: int) -> Iterator[list[int]]:
    """The order of variants in each round: round-robin, each round beginning with the next one."""
    for start in range(rounds):
        yield [(start + i) % count for i in range(count)]


def stages(about: Mapping[str, Any]) -> dict[str, list[str]]:
    """What lies inside each of the two numbers, for one artefact."""
    device = str(next(iter(about["graphs"].values())).get("device", "cpu"))
    (height, width), seen = about["size"], tuple(about["network_size"])
    resized = (height, width) != seen
    small, size = f"{seen[0]}x{seen[1]}", f"{height}x{width}"
    gpu = device.startswith("cuda")
    return {
        "net": [f"network, logits resized to {small} (inside the graph)"],
        "e2e": [
            f"uint8 image {size}x3 on the host, as (H, W, 3)",
            *(["copy to the GPU"] if gpu else []),
            "normalise",
            *([f"resize to {small}"] if resized else []),
            f"network, logits resized to {small}",
            *([f"logits resized to {size}"] if resized else []),
            "argmax (inside the graph)",
            *(["copy to the host"] if gpu else []),
            "int32 → uint8 class map",
        ],
    }


# Processes ------------------------------------------------------------------------------------------------------------


class _Child:
    """A worker process for one variant, waiting on a pipe unless it is asked."""

    def __init__(self, variant: Variant, threads: int) -> None:
        self.name = variant.name
        self._errors = TemporaryFile()  # noqa: SIM115  closed by __exit__
        home = str(Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeseg.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env=_child_environment(threads, home),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, action: str, **request: Any) -> dict[str, Any]:
        """One request and its answer.

        Raises:
            DeployError: the process failed; names the variant.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps({"do": action, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:  # it has ended
            line = ""
        if not line:
            raise DeployError(f"{self.name}: its process ended with code {self._process.wait()}:\n{self._tail()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DeployError(f"{self.name}: {answer['error']}")
        return answer

    def warm_up(self, measures: Sequence[str], protocol: Protocol) -> dict[str, Any]:
        """Run it for a while; says its memory and how many iterations a block has."""
        seconds = protocol.warmup_seconds
        if Path("/etc/nv_tegra_release").exists() and not protocol.quick:
            seconds = max(seconds, JETSON_WARMUP)
        found: dict[str, Any] = {"blocks": {}, "warmup": {}}
        for measure in sorted(measures):  # e2e first: what an application opens, so that the memory is its alone
            warmed = self.ask("warm", measure=measure, iterations=protocol.warmup_iterations, seconds=seconds)
            if "memory" not in found:
                found["memory"] = {**self.ask("memory"), "of": measure}
            found["warmup"][measure] = warmed
            found["blocks"][measure] = _block(warmed["ms"], "gpu_mb" in found["memory"], protocol)
        if (free := free_memory()) is not None and free < LEAST_FREE_MEMORY:
            raise DeployError(
                f"{self.name}: only {100 * free:.0f} % of the memory are left with this variant open, and all of them "
                "stay open at once. Compare fewer at a time."
            )
        return found

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        try:  # it ends when its requests do
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _tail(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-2000:].strip()


def _child_environment(threads: int, home: str) -> dict[str, str]:
    """OpenMP threads that sleep between two uses, one set of them, and the package of this very process."""
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return {**os.environ, **numbers, "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "PYTHONPATH": path}


def _block(milliseconds: float, gpu: bool, protocol: Protocol) -> int:
    """Iterations of one turn."""
    if gpu:
        total = max(protocol.gpu_iterations, 1000 * protocol.gpu_seconds / milliseconds)
        return math.ceil(total / protocol.rounds)
    return max(protocol.block_iterations, math.ceil(1000 * protocol.block_seconds / milliseconds))


def _rounds(
    children: Sequence[_Child],
    blocks: Sequence[Mapping[str, int]],
    measures: Sequence[str],
    rounds: int,
    progress: bool,
) -> list[dict[str, list[dict[str, Any]]]]:
    """Let the variants take turns; per variant and measure a list of blocks, one per round."""
    from tqdm import tqdm

    times: list[dict[str, list[dict[str, Any]]]] = [{m: [] for m in measures} for _ in children]
    started = time.perf_counter()
    order = tqdm(turns(len(children), rounds), total=rounds, disable=not progress, desc="rounds", file=sys.stderr)
    for turn in order:
        for measure in measures:
            for i in turn:
                at = round(time.perf_counter() - started, 3)
                block = children[i].ask("block", measure=measure, iterations=blocks[i][measure])
                times[i][measure].append({"at_s": at, **block})
    return times


# Numbers --------------------------------------------------------------------------------------------------------------


def _check(variants: Sequence[Variant], images: Sequence[np.ndarray], measures: Sequence[str]) -> list[dict[str, Any]]:
    """The artefacts' descriptions; refuses what cannot be compared."""
    if not variants or not images or not measures:
        raise DeployError("a benchmark needs at least one variant, one image and one measure")
    if unknown := set(measures) - set(MEASURES):
        raise DeployError(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    names = [v.name for v in variants]
    if twins := {n for n in names if names.count(n) > 1}:
        raise DeployError(f"two variants are called {', '.join(sorted(twins))}: give each runtime once")
    abouts = [Artefact.load(v.folder).describe() for v in variants]
    sizes = {tuple(a["size"]) for a in abouts} | {i.shape[:2] for i in images}
    if len(sizes) > 1:
        found = ", ".join(f"{h}x{w}" for h, w in sorted(sizes))
        raise DeployError(f"variants and images of several sizes ({found}): compare one size at a time")
    if any(a["batch"] != 1 for a in abouts):
        raise DeployError("times are of one image at a time: export the artefacts with batch 1")
    return abouts


def _facts(variant: Variant, about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": variant.name,
        "network": variant.network,
        "peer": variant.peer,
        "runtime": about["runtime"],
        "precision": about["precision"],
        "weights_sha256": variant.weights,
        "quality": dict(variant.quality),
        "stages": stages(about),
        "build_seconds": round(sum(g["build_seconds"] for g in about["graphs"].values()), 2),
        "artefact": about,
    }


def _summary(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Percentiles over all iterations of all rounds; FPS is that of one image after the other, no throughput."""
    all_ms = np.concatenate([b["ms"] for b in blocks])
    median, p90, p99 = (round(float(np.percentile(all_ms, p)), 3) for p in (50, 90, 99))
    return {
        "median_ms": median,
        "p90_ms": p90,
        "p99_ms": p99,
        "min_ms": round(float(all_ms.min()), 3),
        "n": len(all_ms),
        "fps": round(1000 / median, 2),
        "rounds": [dict(b) for b in blocks],
    }


def _add_speedups(rows: Sequence[dict[str, Any]], reference: int, measures: Sequence[str]) -> None:
    """Ratio of the reference's time to each variant's, per round: the median over the rounds, and 80 % of them."""
    for measure in measures:
        base = _round_medians(rows[reference][measure])
        for row in rows:
            ratios = base / _round_medians(row[measure])
            low, median, high = (round(float(np.percentile(ratios, p)), 4) for p in (10, 50, 90))
            row[measure]["speedup"] = {"median": median, "p10": low, "p90": high}


def _round_medians(summary: Mapping[str, Any]) -> np.ndarray:
    return np.array([np.median(b["ms"]) for b in summary["rounds"]])
