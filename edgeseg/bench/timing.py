"""The timing protocol: two numbers, interleaved variants, percentiles, and beside each time what was computed.

**net** is the network alone: a normalised tensor on the device → logits at the input's size. **e2e** is what an
application calls: a uint8 image on the host → a uint8 class map on the host, normalisation, copies and argmax included.
They are never mixed. Both are of one image after the other. **throughput**, where it is asked for, is of several images
that are given at once, end to end: how many a second, and how many times as many as one after the other.

Every variant lives in a process of its own (`edgeseg.bench.worker`), so that no runtime's threads disturb another's,
and its memory can be told. The processes take turns: in each round every variant runs one block, and its ratio to the
reference variant is formed within the round, so that a machine that grows slower or faster meanwhile does not favour
one of them. Each round starts with another variant.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from edgeseg.bench.worker import MEASURES, THROUGHPUT, Worker
from edgeseg.deploy.artefact import Artefact
from edgeseg.deploy.runtimes.base import DeployError
from edgeseg.machine import Watch, describe_environment, free_memory, warnings

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
        wanted = {k: getattr(Protocol, k) for k in vars(self) if k not in ("block_iterations", "block_seconds")}
        short = [f"{name} of {least:g} or more" for name, least in wanted.items() if getattr(self, name) < least]
        if short:
            raise DeployError(f"the protocol asks for {', '.join(short)}; for a quick look take --quick")

    def iterations(self, milliseconds: float, gpu: bool) -> int:
        """Of one turn, for a variant that takes so long."""
        if gpu:
            return math.ceil(max(self.gpu_iterations, 1000 * self.gpu_seconds / milliseconds) / self.rounds)
        return max(self.block_iterations, math.ceil(1000 * self.block_seconds / milliseconds))


FULL = Protocol()
QUICK = Protocol(5, 0.3, 5, 2, 0.0, 64, 1.0, quick=True)


@dataclass(frozen=True)
class Variant:
    """One line of a benchmark.

    Args:
        name: of network and runtime together; no two alike.
        network: name of the network.
        folder: of the artefact.
        quality: what the artefact computes, see `edgeseg.bench.plan`; empty where it was not compared.
        weights: what its weights are: a file's SHA-256, that they are random, or that nobody knows.
        peer: somebody else's network, compared with.
        many: folder of the same network's artefact for several images at once; ``None``: the same folder.
    """

    name: str
    network: str
    folder: Path
    quality: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    peer: bool = False
    many: Path | None = None


def bench(
    variants: Sequence[Variant],
    images: Sequence[np.ndarray],
    *,
    threads: int,
    load_before: float,
    reference: str | None = None,
    protocol: Protocol = FULL,
    batch: int = 1,
) -> dict[str, Any]:
    """Time variants against each other. A script that calls this stands under ``if __name__ == "__main__":``.

    Args:
        variants: saved artefacts of one size and of batch 1, of any networks and runtimes.
        images: (H, W, 3) uint8 of that size, real ones, used in turn.
        threads: of the CPU runtimes.
        load_before: load average before anything was compiled, for the warning.
        reference: name of the variant that ratios are formed to; default: the first.
        protocol: how long and how often.
        batch: more than 1: measure throughput too, with so many images at once.

    Returns:
        JSON-able: ``protocol``, ``environment``, ``size``, ``reference``, ``threads``, ``warnings``, ``best`` (per
        network the fastest variant), and ``variants``, each with ``net`` and ``e2e`` (median_ms, p90_ms, p99_ms,
        min_ms, n, fps, speedup over the reference with its spread over the rounds, and all times by round), ``memory``,
        ``quality``, ``stages`` and the artefact's own facts; and with a ``batch`` ``throughput``: the same of so many
        images at once, ``images_per_second`` in the place of fps, ``how`` they are computed, and the ``gain`` over e2e.

    Raises:
        DeployError: nothing to measure, two variants of one name, or one that fails or takes another size.
    """
    names = [v.name for v in variants]
    if not names:
        raise DeployError("a benchmark needs at least one variant, and all were left out")
    if twins := {n for n in names if names.count(n) > 1}:
        raise DeployError(f"two variants are called {', '.join(sorted(twins))}: give each runtime once")
    reference = names[0] if reference is None else reference
    if reference not in names:
        raise DeployError(f"no variant {reference!r} to compare with; there are: {'; '.join(names)}")
    abouts = [Artefact.load(v.folder).about for v in variants]
    measures = (*MEASURES, THROUGHPUT) if batch > 1 else MEASURES
    with ExitStack() as stack:
        file = Path(stack.enter_context(TemporaryDirectory(prefix="edgeseg-bench-"))) / "images.npy"
        np.save(file, np.stack(images))
        workers = []
        for variant in variants:  # one after the other, and all before the first is warmed up: nobody disturbs anybody
            worker = Worker(variant.name, variant.folder, file, threads, variant.many, batch)
            workers.append(stack.enter_context(worker))
        warmed = [_warmed_up(w, protocol, measures) for w in workers]
        watch, started = Watch(w.pid for w in workers), time.perf_counter()
        times = _rounds(workers, [w.pop("iterations") for w in warmed], protocol.rounds, measures)
        seconds, foreign = time.perf_counter() - started, watch.foreign_cores()
        environment = describe_environment(threads)  # at the end: clocks and temperatures of a machine at work
    rows = [
        {**_facts(v, a), **w, **{m: _summary(t[m]) for m in measures}}
        for v, a, w, t in zip(variants, abouts, warmed, times, strict=True)
    ]
    _add_speedups(rows, rows[names.index(reference)], measures)
    if batch > 1:
        for variant, row in zip(variants, rows, strict=True):
            _add_throughput(row, batch, Artefact.load(variant.many or variant.folder))
    return {
        "format": 1,
        "quick": protocol.quick,
        "protocol": asdict(protocol),
        "size": abouts[0]["size"],
        "batch": 1,
        "throughput_batch": batch if batch > 1 else None,
        "threads": threads,
        "images": len(images),
        "measures": list(measures),
        "reference": reference,
        "seconds": round(seconds, 1),
        "load_before": load_before,
        "foreign_cores": foreign,
        "warnings": warnings(threads, load_before, foreign),
        "environment": environment,
        "best": best(rows),
        "variants": rows,
    }


def best(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per network and measure the fastest variant, of all precisions and of float32 alone."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        mine = found.setdefault(row["network"], {})
        for measure in MEASURES:
            entry = {"variant": row["name"], "median_ms": row[measure]["median_ms"]}
            for key in (measure, f"{measure}_fp32") if row["precision"] == "fp32" else (measure,):
                mine[key] = min(mine.get(key, entry), entry, key=lambda e: e["median_ms"])
    return found


def turns(count: int, rounds: int) -> Iterator[list[int]]:
    """The order of variants in each round: round-robin, each round beginning with the next one."""
    for start in range(rounds):
        yield [(start + i) % count for i in range(count)]


def stages(about: Mapping[str, Any]) -> dict[str, list[str]]:
    """What lies inside each of the two numbers, for one artefact."""
    gpu = str(next(iter(about["graphs"].values())).get("device", "cpu")).startswith("cuda")
    seen, size = ("{}x{}".format(*about[key]) for key in ("network_size", "size"))
    resized = seen != size
    return {
        "net": [f"network, logits resized to {seen} (inside the graph)"],
        "e2e": [
            f"uint8 image {size}x3 on the host, as (H, W, 3)",
            *(["copy to the GPU"] if gpu else []),
            "normalise",
            *([f"resize to {seen}"] if resized else []),
            f"network, logits resized to {seen}",
            *([f"logits resized to {size}"] if resized else []),
            "argmax (inside the graph)",
            *(["copy to the host"] if gpu else []),
            "int32 → uint8 class map",
        ],
    }


def _warmed_up(worker: Worker, protocol: Protocol, measures: Sequence[str]) -> dict[str, Any]:
    """Let it run for a while; its ``memory``, its ``warmup``, and how many ``iterations`` a turn of each measure has.

    Raises:
        DeployError: hardly any memory is left.
    """
    jetson = Path("/etc/nv_tegra_release").exists() and not protocol.quick
    seconds = max(protocol.warmup_seconds, JETSON_WARMUP if jetson else 0)
    memory: dict[str, Any] = {}
    warmed = {}
    for measure in sorted(measures):  # e2e first: what an application opens, so that the memory is its alone
        warmed[measure] = worker.ask("warm", measure=measure, iterations=protocol.warmup_iterations, seconds=seconds)
        memory = memory or {**worker.ask("memory"), "of": measure}
    if (free := free_memory()) < LEAST_FREE_MEMORY:
        raise DeployError(
            f"{worker.name}: only {100 * free:.0f} % of the memory are left with this variant open, and all of them "
            "stay open at once. Compare fewer at a time."
        )
    iterations = {m: protocol.iterations(w["ms"], "gpu_mb" in memory) for m, w in warmed.items()}
    return {"memory": memory, "warmup": warmed, "iterations": iterations}


def _rounds(
    workers: Sequence[Worker], iterations: Sequence[Mapping[str, int]], rounds: int, measures: Sequence[str]
) -> list[dict[str, list[dict[str, Any]]]]:
    """Let the variants take turns; per variant and measure a list of blocks, one per round."""
    times: list[dict[str, list[dict[str, Any]]]] = [{m: [] for m in measures} for _ in workers]
    started = time.perf_counter()
    order = tqdm(turns(len(workers), rounds), total=rounds, desc="rounds", file=sys.stderr)
    for turn in order:
        for measure in measures:
            for i in turn:
                at = round(time.perf_counter() - started, 3)
                block = workers[i].ask("block", measure=measure, iterations=iterations[i][measure])
                times[i][measure].append({"at_s": at, **block})
    return times


# Numbers --------------------------------------------------------------------------------------------------------------


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
    least, median, p90, p99 = (round(float(np.percentile(all_ms, p)), 3) for p in (0, 50, 90, 99))
    return {
        "median_ms": median,
        "p90_ms": p90,
        "p99_ms": p99,
        "min_ms": least,
        "n": len(all_ms),
        "fps": round(1000 / median, 2),
        "rounds": [dict(b) for b in blocks],
    }


def _add_speedups(rows: Sequence[dict[str, Any]], reference: Mapping[str, Any], measures: Sequence[str]) -> None:
    """Ratio of the reference's time to each variant's, per round."""
    for measure in measures:
        base = _round_medians(reference[measure])
        for row in rows:
            row[measure]["speedup"] = _spread(base / _round_medians(row[measure]))


def _add_throughput(row: dict[str, Any], batch: int, artefact: Artefact) -> None:
    """Images a second, how they were computed, and how many times as many as one after the other, per round."""
    told = row[THROUGHPUT]
    told["images_per_second"] = round(batch * told.pop("fps"), 2)
    told["gain"] = _spread(batch * _round_medians(row["e2e"]) / _round_medians(told))
    told["how"] = _how(artefact)


def _how(artefact: Artefact) -> str:
    """What an artefact does with several images: ``"2 streams"``, ``"batch 8"``, ``"open batch"``, ``"one by one"``."""
    if (streams := artefact.at_once // artefact.batch) > 1:
        return f"{streams} streams" + (f" of batch {artefact.batch}" if artefact.batch > 1 else "")
    if "batch" in artefact.dynamic:
        return "open batch"
    return "one by one" if artefact.batch == 1 else f"batch {artefact.batch}"


def _spread(ratios: np.ndarray) -> dict[str, float]:
    """The median over the rounds, and 80 % of them."""
    low, median, high = (round(float(np.percentile(ratios, p)), 4) for p in (10, 50, 90))
    return {"median": median, "p10": low, "p90": high}


def _round_medians(summary: Mapping[str, Any]) -> np.ndarray:
    return np.array([np.median(b["ms"]) for b in summary["rounds"]])
