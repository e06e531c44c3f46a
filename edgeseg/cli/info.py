"""``edgeseg check`` and ``edgeseg models``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from edgeseg.text import parse_size

_EXTRAS = {
    "course": "jupyterlab",
    "export": "onnxruntime",
    "executorch": "executorch",
    "tensorrt": "torch-tensorrt",
    "video": "av",
    "peers": "timm",
    "docs": "sphinx",
    "dev": "pytest",
}


def check() -> None:
    """Show versions, devices and folders, and run the network once: is this machine ready?"""
    import os
    import platform
    import time

    import torch

    import edgeseg
    from edgeseg.data.sources import data_home
    from edgeseg.machine import has_bf16

    print(f"edgeseg {edgeseg.__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in ("torch", "torchvision", "numpy", "pillow", "safetensors", "matplotlib"):
        print(f"  {package:<14} {_version(package) or 'missing: pip install -U edgeseg'}")
    for extra, package in _EXTRAS.items():
        print(
            f"  [{extra}]".ljust(16)
            + (
                f" {package} {_version(package)}"
                if _version(package)
                else f" not installed: pip install 'edgeseg[{extra}]'"
            )
        )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    bf16 = "computes in bfloat16" if has_bf16() else "no bfloat16 instructions: recipes with bf16 train in float32"
    print(f"GPU: {gpu}; CPU: {os.cpu_count()} cores, {torch.get_num_threads()} threads in use, {bf16}")
    state = "exists" if data_home().is_dir() else "not there yet; edgeseg data get camvid makes it"
    print(f"data folder: {data_home()} ({state})")
    model = edgeseg.create_model("cross_cbam_m", num_classes=11).eval()
    started = time.perf_counter()
    with torch.inference_mode():
        shape = tuple(model(torch.zeros(1, 3, 360, 480)).shape)
    print(f"cross_cbam_m: (1, 3, 360, 480) → {shape} in {time.perf_counter() - started:.2f} s, first call: ready")


def models(
    pattern: Annotated[str, typer.Argument(help="shell pattern")] = "*",
    size: Annotated[str, typer.Option(help="HxW to count at")] = "512x1024",
    paper: Annotated[bool, typer.Option("--paper", help="print the papers' counts beside ours")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="estimate the memory of training instead")] = False,
    batch: Annotated[int, typer.Option(min=1, help="samples per step, for --memory")] = 2,
) -> None:
    """List models with their parameters and multiply-adds."""
    import edgeseg
    from edgeseg.models.counts import count
    from edgeseg.models.papers import format_tables, paper_tables

    if paper:
        print(format_tables(paper_tables()))
        return
    height_width = parse_size(size)
    if memory:
        _print_memory(pattern, height_width, batch)
        return
    print(f"{'model':<28}{'params M':>10}{'GMAC':>9}   at {size}, 19 classes, inference only")
    for name in edgeseg.list_models(pattern):
        if "." in name:
            print(name)
            continue
        counted = count(edgeseg.create_model(name), height_width)
        print(f"{name:<28}{counted.params / 1e6:>10.4f}{counted.macs / 1e9:>9.3f}")


def _print_memory(pattern: str, size: tuple[int, int], batch: int) -> None:
    """One line per architecture, and a second where activations can be computed twice instead of kept."""
    import torch

    from edgeseg.models.counts import training_memory
    from edgeseg.models.registry import ARCHS, create_model, list_models

    for name in (n for n in list_models(pattern) if n in ARCHS):
        for switches in ({}, {"checkpointing": True}) if "checkpointing" in ARCHS[name].switches else ({},):
            with torch.device("meta"):
                model = create_model(name, **switches)
            print(f"{name:<14}{'checkpointing' if switches else '':<15}{training_memory(model, size, batch)}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
