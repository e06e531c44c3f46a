"""TensorRT takes every operation of every network, in one engine: shown without TensorRT and without a GPU.

What is shown: each operation of the exported graph, argmax included, passes a converter's registration and validator in
Torch-TensorRT, and its partitioner makes one engine. What is not: the converters' bodies, the builder, numbers, speed.

The tests take a minute and a half of one core. All networks at all sizes, in both precisions and with a dynamic batch
take twenty minutes: ``python tests/test_tensorrt_coverage.py``, which is what `make coverage-all` does. With patterns
behind it (``"stdc*" "pp_*"``) it takes the networks of these names only.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from small_networks import OURS, small_switches

SCRIPT = Path(__file__).with_name("tensorrt_standin.py")
SIZES = [(512, 1024), (360, 480), (720, 960), (768, 1536)]
SMALL = (360, 480)  # 360 / 32 is no integer
HRNETS = [name for name in OURS if name.startswith("hrnet")]

needs_torch_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None or importlib.util.find_spec("tensorrt") is not None,
    reason="needs torch-tensorrt without TensorRT: make coverage installs it",
)


def job(model: str, size: tuple[int, int] = SMALL, precision: str = "fp16", **more: Any) -> dict[str, Any]:
    return {"model": model, "size": size, "precision": precision, **more}


# every kind of block of every HRNet is there at a depth of one
SHALLOW = [
    job(name, SIZES[i % 4], ("fp32", "fp16")[i % 2], switches=small_switches(name)) for i, name in enumerate(HRNETS)
]
QUICK = {
    "cross_cbam": [
        *(job("cross_cbam_m", size, precision) for size in SIZES for precision in ("fp32", "fp16")),
        *(job("cross_cbam_m", precision=precision, dynamic=True) for precision in ("fp32", "fp16")),
        job("cross_cbam_m", graph="logits"),
        *(job(name) for name in OURS if name not in HRNETS and name != "cross_cbam_m"),
    ],
    "hrnet": [
        job("hrnet_l_w18"),
        *SHALLOW,
        *(job(name, switches=small_switches(name), dynamic=True) for name in ("hrnet_s", "hrnet_l")),
        *(
            job("hrnet_w18", switches={**small_switches("hrnet_w18"), "attention": a})
            for a in ("se", "eca", "cbam", "sp")
        ),
    ],
}


def partition(jobs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What became of the jobs' graphs, one after another as they finish."""
    command = [sys.executable, str(SCRIPT), json.dumps(jobs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as run,
    ):
        yield from map(json.loads, run.stdout)
        code = run.wait()
        errors.seek(0)
        assert code == 0, errors.read()[-3000:]


def is_whole(found: dict[str, Any]) -> bool:
    """One engine, nothing outside, and every convolution in it of the type that was asked for."""
    dtype = {"fp32": "torch.float32", "fp16": "torch.float16"}[found["precision"]]
    return found["engines"] == 1 and not found["outside"] and set(found["types"]) == {dtype}


def test_no_network_is_forgotten():
    assert {j["model"] for jobs in QUICK.values() for j in jobs} == set(OURS)


@needs_torch_tensorrt
@pytest.mark.slow
@pytest.mark.parametrize("group", QUICK)
def test_the_graph_with_argmax_is_one_engine_of_the_asked_type(group):
    found = list(partition(QUICK[group]))
    assert len(found) == len(QUICK[group])
    assert not [f for f in found if not is_whole(f)]


@needs_torch_tensorrt
def test_a_max_pool_that_tensorrt_does_not_have_splits_it_into_three():
    """The negative control: without it, the tests above could not fail."""
    (found,) = partition([job("cross_cbam_m", precision="fp32", control=True)])
    assert found["engines"] == 3
    assert set(found["outside"]) == {"aten.adaptive_max_pool2d.default"}


def main() -> None:
    """All networks, or those of the patterns on the command line, in all sizes and precisions."""
    names = [name for name in OURS if any(fnmatch.fnmatch(name, pattern) for pattern in sys.argv[1:] or ["*"])]
    if not names:
        sys.exit(f"no network {' '.join(sys.argv[1:])}; there are {', '.join(OURS)}")
    jobs = [
        job(name, size, precision, dynamic=dynamic)
        for name in names
        for precision in ("fp32", "fp16")
        for size, dynamic in [*((size, False) for size in SIZES), (SIZES[0], True)]
    ]
    whole = 0
    for found in partition(jobs):
        whole += is_whole(found)
        height, width = found["size"]
        print(
            f"{found['model']:<14}{height:>4}x{width:<5}{found['precision']:<5}{'1-8' if found['dynamic'] else '1':<4}"
            f"{found['engines']} engine, {found['operations']} operations inside, {sum(found['outside'].values())} "
            f"outside, {found['types']}, {found['seconds']} s",
            flush=True,
        )
    print(f"{whole} of {len(jobs)} graphs are one engine with nothing outside")
    sys.exit(whole != len(jobs))


if __name__ == "__main__":
    main()
