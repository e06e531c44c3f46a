"""``edgeseg export``."""

from __future__ import annotations

import os
from itertools import chain, count
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.files import write_json
from edgeseg.text import parse_size


def export(
    model: Annotated[str, typer.Argument(help="a weight's name or file")],
    runtime: Annotated[str, typer.Option(help="e.g. onnx, openvino, tensorrt; an unknown name lists all")] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16, int8 or fp8, as the runtime offers")] = "fp32",
    size: Annotated[
        str, typer.Option(help="HxW of the images; the artefact takes no other without --dynamic size")
    ] = "512x1024",
    batch: Annotated[int, typer.Option(min=1, help="images that it takes at a time")] = 1,
    dynamic: Annotated[
        list[str] | None,
        typer.Option(help="batch or size: leave it open, where the runtime can; may be repeated"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder to write; default: named after all of this")] = None,
    option: Annotated[list[str] | None, typer.Option(help="name=value of the runtime's own; may be repeated")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="data set (name or folder) whose train split calibrates int8; also checked on")
    ] = None,
    calibration_count: Annotated[int, typer.Option(min=1, help="images to calibrate with")] = 64,
    data: Annotated[
        str | None, typer.Option(help="data set (name or folder) to check the artefact on; default: --calibration's")
    ] = None,
    graphs: Annotated[
        str, typer.Option(help="labels alone is half as large; the logits are for comparing and timing")
    ] = "labels,logits",
    json: Annotated[Path | None, typer.Option(help="also write what was built and how it compares here")] = None,
) -> None:
    """Compile a model for one runtime and prove that it still computes the same.

    The artefact is checked against the model, class by class, on test scenes (and CamVid's test frames where present)
    and on your own data: the val or test split of --data, or of --calibration. Outside the tolerance of its precision
    it is kept under another name, FOLDER.rejected, and the command fails.
    """
    from edgeseg.deploy import DeployError, compile, get_runtime
    from edgeseg.deploy.artefact import checked_graphs
    from edgeseg.deploy.dynamic import checked_dynamic
    from edgeseg.deploy.parity import check_parity, mini_set, own_samples
    from edgeseg.deploy.quantise import calibration_images
    from edgeseg.inference import find_model, load_segmenter

    height_width = parse_size(size)
    several = f".batch{batch}" if batch > 1 else "".join(f".{name}" for name in dynamic or ())
    folder = out or Path(f"{Path(model).name.removesuffix('.safetensors')}.{runtime}.{precision}.{size}{several}")
    backend = get_runtime(runtime)
    backend.check(precision)
    opened = checked_dynamic(backend, dynamic or (), batch)
    options = backend.parse_options(option or ())
    wanted = checked_graphs([name.strip() for name in graphs.split(",")])
    if "labels" not in wanted:
        raise DeployError("--graphs: labels is what segments, and cannot be left out; give labels or labels,logits")
    calibrates = precision in ("int8", "fp8")
    if calibration is not None and not calibrates:
        raise DeployError(f"--calibration is for int8 and fp8; to check {precision} on your data: --data {calibration}")
    _check_target(folder)
    model = find_model(model)
    segmenter = load_segmenter(model)
    images = None
    if calibrates:
        images = calibration_images(segmenter, height_width, calibration, count=calibration_count)
    samples = mini_set(segmenter, height_width)
    if (checked := data or calibration) is not None:
        samples += own_samples(segmenter, height_width, checked, calibration_count if checked == calibration else 0)
    print(f"{model} → {runtime} {precision}, {size}: compiling")
    artefact = compile(
        model, runtime, precision, height_width, batch=batch, dynamic=opened, calibration=images, graphs=wanted,
        **options,
    )  # fmt: skip
    if "size" in opened:  # nothing of the one size may have stayed in the graphs
        other = artefact.nearest_size((height_width[0] * 7 // 8, height_width[1] * 7 // 8))
        samples += mini_set(segmenter, other, 2)
    parity = check_parity(artefact, segmenter, samples)
    print(parity)
    kept = artefact.save(folder if parity.passed else _aside(folder))
    write_json(json, {**artefact.about, "model": model, "folder": str(kept), "parity": parity.as_dict()})
    megabytes = sum(f.stat().st_size for f in kept.iterdir()) / 1e6
    print(f"{kept}: {megabytes:.1f} MB")
    if not parity.passed:
        raise DeployError(
            f"{runtime} {precision} does not compute what the model does ({', '.join(parity.exceeded)} outside the "
            f"tolerance); it was kept aside as {kept}. Take a higher precision, or find the layers that cost most: "
            "edgeseg.deploy.quantise.sensitivity"
        )


def _check_target(folder: Path) -> None:
    """Refuse a folder that exists or cannot be made, before minutes are spent on compiling."""
    from edgeseg.deploy import DeployError

    if folder.exists():
        raise DeployError(f"{folder}: is there already. Remove it, or choose another folder (--out).")
    parent = next(place for place in folder.absolute().parents if place.exists())
    if not os.access(parent, os.W_OK):
        raise DeployError(f"{parent}: cannot be written to. Choose another folder (--out).")


def _aside(folder: Path) -> Path:
    """A free name beside the folder for what was rejected."""
    names = (f"{folder.name}.rejected{number}" for number in chain([""], count(2)))
    return next(path for path in map(folder.with_name, names) if not path.exists())
