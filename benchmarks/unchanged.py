"""What a change of the code's layout must not move: hashes of everything that edgeseg computes.

    python benchmarks/unchanged.py before.json                     # in a checkout of the old commit (a few minutes)
    python benchmarks/unchanged.py after.json --against before.json

Both on one machine, with one set of packages, one thread and one $EDGESEG_DATA: bits, and parity's images, depend on
them. Exit code 1 where anything differs.
For a commit that does not have this file yet: ``PYTHONPATH=OLD_CHECKOUT python benchmarks/unchanged.py before.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import edgeseg
from edgeseg.data import open_data
from edgeseg.deploy import compile
from edgeseg.deploy.parity import check_parity, mini_set
from edgeseg.inference import load_segmenter
from edgeseg.metrics import ConfusionMatrix
from edgeseg.models.registry import ARCHS
from edgeseg.training.recipes import get_recipe, override
from edgeseg.training.train import fit

WEIGHTS = ("cross_cbam_m.streets", "cross_cbam_m.camvid")
SIZE = (192, 256)
RUNS = {
    "streets_cpu float32": ("streets_cpu", "amp=none"),
    "streets_cpu bf16": ("streets_cpu", "amp=bf16"),
    "hrnet_w18 focal+dice": ("hrnet_streets_cpu", "amp=none", "loss=focal + dice", "optimizer=sgd", "class_crop=0"),
    "boundary, ohem, colour": (
        "camvid_cpu", "data=streets", "amp=none", "loss=ohem", "boundary_weight=0.3", "scale=0.7,1.3", "clip=1",
    ),
}  # fmt: skip


def main() -> None:
    """Collect all facts; compare them where another file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="JSON file to write")
    parser.add_argument("--against", type=Path, help="JSON file of the other commit")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"edgeseg of {Path(edgeseg.__file__).parent}", file=sys.stderr)
    found = {}
    for name, value in facts():
        found[name] = value
        print(f"{name}: {value}", file=sys.stderr)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if arguments.against:
        compare(json.loads(arguments.against.read_text(encoding="utf-8")), found)


def compare(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Print what differs; exit code 1 if anything does."""
    moved = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    for name in moved:
        print(f"{name}: {before.get(name)} → {after.get(name)}")
    print(f"{len(before)} facts before, {len(after)} after, {len(moved)} differ")
    sys.exit(bool(moved))


def facts() -> Iterator[tuple[str, Any]]:
    """Name and value of everything that is compared."""
    for split in ("train", "test"):
        scenes = open_data("streets", split, size=SIZE, count=10)
        for index in range(len(scenes)):
            yield f"scene {split} {index}", digest(*scenes[index])
    yield from printed_numbers()
    for name in WEIGHTS:
        yield from of_weight(name)
    for name, (recipe, *changes) in RUNS.items():
        yield f"30 steps: {name}", trained(recipe, changes)


def printed_numbers() -> Iterator[tuple[str, Any]]:
    """Every number that the papers print and that is counted here."""
    for row in papers().paper_tables():
        yield f"paper: {row.table} {row.row}", [*row.ours, row.inference_params]
    yield (
        "parameters of all networks",
        {name: sum(p.numel() for p in _on_meta(name).parameters()) for name in sorted(ARCHS) if not _is_peer(name)},
    )


def papers() -> Any:
    """The module that counts as the papers do, under its old or its new name."""
    try:
        return import_module("edgeseg.models.papers")
    except ModuleNotFoundError:
        return import_module("edgeseg.models.papers")


def _is_peer(name: str) -> bool:
    """Whether somebody else's library builds it; before there were such networks, none did."""
    return bool(getattr(ARCHS[name], "package", ""))


def _on_meta(name: str) -> torch.nn.Module:
    with torch.device("meta"):
        return edgeseg.create_model(name, 19)


def of_weight(name: str) -> Iterator[tuple[str, Any]]:
    """Logits of a scene, the confusion matrix of ten, and parity of three runtimes."""
    segmenter = load_segmenter(name)
    scenes = open_data("streets", "test", size=SIZE, count=10)
    image = torch.from_numpy(scenes[0][0]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        yield f"{name}: logits", digest(segmenter.logits(image).numpy())
    matrix = ConfusionMatrix(len(scenes.table))
    for index in range(len(scenes)):
        image, label = scenes[index]
        matrix.update(segmenter.predict(image), label)
    yield f"{name}: mIoU", matrix.compute().miou
    yield f"{name}: confusion matrix", digest(np.asarray(matrix.matrix))
    samples = mini_set(segmenter, SIZE, 3)
    for runtime in ("eager", "onnx", "openvino"):
        parity = check_parity(compile(segmenter, runtime, "fp32", SIZE), segmenter, samples).as_dict()
        yield f"{name}: parity of {runtime}", {k: v for k, v in parity.items() if isinstance(v, float)}


def trained(recipe: str, changes: list[str]) -> str:
    """Hash of the weights after 30 steps."""
    small = ["iterations=30", "batch=4", "crop=96,128", "warmup=5", f"data_size={SIZE[0]},{SIZE[1]}", "eval_every=0"]
    chosen = override(get_recipe(recipe), [*small, *changes])
    data = open_data("streets", "train", size=SIZE, count=32)
    with TemporaryDirectory() as folder:
        fit(chosen, data, None, folder, device="cpu", progress=False)
        state = load_file(Path(folder) / "weights.safetensors")
    return digest(*(state[key].float().numpy() for key in sorted(state)))


def digest(*arrays: np.ndarray) -> str:
    """The first 16 digits of the SHA-256 of arrays: types, shapes and bytes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    main()
