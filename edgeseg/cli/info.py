"""``edgeseg check`` and ``edgeseg models``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.files import parse_json, read_text
from edgeseg.text import first_few, parse_size, table, unknown

COUNTED = Path(__file__).parents[1] / "models" / "networks.json"
"""Parameters and multiply-adds of every named network at one size, written by benchmarks/networks.py."""

_CORE = ("torch", "numpy", "pillow", "safetensors", "matplotlib")
_SIZE = "512x1024"
_SHOWN = 6  # packages of an extra; dev has many


def check() -> None:
    """Show versions, devices and folders, and run the network once: is this machine ready?"""
    import os
    import platform
    import time

    import torch

    import edgeseg
    from edgeseg.data.datasets import folders_at_home
    from edgeseg.data.local import data_home
    from edgeseg.machine import has_bf16, versions

    extras = _extras()
    found = versions(*_CORE, *(package for packages in extras.values() for package in packages))
    rows = [(f"  {package}", found.get(package, "missing: pip install -U edgeseg")) for package in _CORE]
    rows += [("  torchvision", _torchvision())]
    for extra, packages in extras.items():
        lacking = [package for package in packages if package not in found]
        held = [f"{package} {found[package]}" for package in packages if package in found]
        cure = f"lacks {first_few(lacking, _SHOWN)}: pip install 'edgeseg[{extra}]'"
        rows.append((f"  [{extra}]", cure if lacking else first_few(held, _SHOWN)))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    bf16 = "computes in bfloat16" if has_bf16() else "no bfloat16 instructions: recipes with bf16 train in float32"
    print(f"edgeseg {edgeseg.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(table(("", ""), rows, "<<"))
    print(f"GPU: {gpu}; CPU: {os.cpu_count()} cores, {torch.get_num_threads()} threads in use, {bf16}")
    print(f"data folder: {data_home()}")
    places = {name: ", ".join(folder.name for folder in folders) for name, folders in folders_at_home().items()}
    print(table(("", ""), [(f"  {n}", held or f"not there: edgeseg data get {n}") for n, held in places.items()], "<<"))
    model = edgeseg.create_model("cross_cbam_m", num_classes=11).eval()
    started = time.perf_counter()
    with torch.inference_mode():
        shape = tuple(model(torch.zeros(1, 3, 360, 480)).shape)
    print(f"cross_cbam_m: (1, 3, 360, 480) → {shape} in {time.perf_counter() - started:.2f} s, first call: ready")


def _extras() -> dict[str, list[str]]:
    """Extra → the packages that it brings, as the installed edgeseg states them; empty in a bare checkout."""
    extras: dict[str, list[str]] = {}
    with suppress(metadata.PackageNotFoundError):
        for line in metadata.requires("edgeseg") or ():
            if found := re.match(r"([\w.-]+).*\bextra == ['\"]([\w-]+)['\"]", line):
                extras.setdefault(found[2], []).append(found[1])
    return extras


def _torchvision() -> str:
    """Its version, and whether it goes with this torch: each is built for one release, and indexes mix them up."""
    import torch

    from edgeseg.machine import versions

    found = versions("torchvision").get("torchvision")
    if found is None:
        return "not installed, and only other people's networks need it: pip install 'edgeseg[peers]'"
    try:
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)  # its own compiled code
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        return f"{found} does not go with torch {torch.__version__} ({reason}): take both from one index"
    return found


def models(
    pattern: Annotated[str, typer.Argument(help="shell pattern")] = "*",
    size: Annotated[str, typer.Option(help="HxW to count at; another than the default is counted on the spot")] = _SIZE,
    paper: Annotated[bool, typer.Option("--paper", help="print the papers' counts beside ours")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="estimate the memory of training instead")] = False,
    batch: Annotated[int, typer.Option(min=1, help="samples per step, for --memory")] = 2,
) -> None:
    """List models with their parameters and multiply-adds."""
    from edgeseg.models.registry import ARCHS, list_models

    if paper:
        from edgeseg.models.papers import format_tables, paper_tables

        print(format_tables(paper_tables()))
        return
    height_width, names = parse_size(size), list_models(pattern)
    if not names:
        raise ValueError(unknown("model", pattern, list_models()))
    known = parse_json(read_text(COUNTED))
    if not memory and list(height_width) == known["size"]:
        counts, left_out = known["networks"], False
    else:
        # other people's libraries are imported, and their large networks built, only where the pattern asks for them
        built = [n for n in names if n in ARCHS and (pattern != "*" or not ARCHS[n].package)]
        counts, left_out = {} if memory else _counted(built, height_width), pattern == "*"
    if memory:
        print(table(("model", "", "memory of training"), _memory(built, height_width, batch), "<<<"))
    else:
        rows = [(n, *(_in_millions(counts[n]) if n in counts else ("", ""))) for n in names]
        print(table(("model", "params M", "GMAC"), rows))  # a weight counts as its architecture
        print(f"at {size}, {known['classes']} classes, inference only")
    if left_out:
        print("other people's networks are built when named: edgeseg models 'smp_*', edgeseg models '*_mobilenet_v3'")


def _in_millions(counts: Mapping[str, int]) -> tuple[str, str]:
    return f"{counts['params'] / 1e6:.4f}", f"{counts['macs'] / 1e9:.3f}"


def _counted(names: Sequence[str], size: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Parameters and multiply-adds at a size that is not written down."""
    import torch

    from edgeseg.models.counts import count
    from edgeseg.models.registry import create_model

    found = {}
    for name in _shown(names, "counting"):
        with torch.device("meta"):  # only shapes count
            counts = count(create_model(name), size)
        found[name] = {"params": counts.params, "macs": counts.macs}
    return found


def _memory(names: Sequence[str], size: tuple[int, int], batch: int) -> Iterator[tuple[str, str, str]]:
    """One line per architecture, and a second where activations can be computed twice instead of kept."""
    import torch

    from edgeseg.models.counts import training_memory
    from edgeseg.models.registry import ARCHS, create_model

    for name in _shown(names, "estimating"):
        for checkpointing in (False, True) if "checkpointing" in ARCHS[name].switches else (False,):
            with torch.device("meta"):
                model = create_model(name, **({"checkpointing": True} if checkpointing else {}))
            yield name, "checkpointing" if checkpointing else "", str(training_memory(model, size, batch))


def _shown(names: Sequence[str], doing: str) -> Iterator[str]:
    """The names, with a bar on standard error that says which one is being worked on."""
    from tqdm import tqdm

    with tqdm(names, unit="network", leave=False) as bar:
        for name in bar:
            bar.set_description(f"{doing} {name}")
            yield name
