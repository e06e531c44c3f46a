"""From a run's folder to a finished weight: half-size file, score of that very file, golden output, licence, record.

The golden output is what a network gives for a fixed scene. Kept in the record, it tells later whether the code around
a weight still computes what it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeseg.data import NAMES, recognise
from edgeseg.data.labels import match_classes
from edgeseg.data.pairs import Dataset
from edgeseg.data.streets import Streets
from edgeseg.data.streets.dataset import GENERATOR_VERSION
from edgeseg.files import atomic_write, parse_json, read_text
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.metrics import score
from edgeseg.models.registry import create_model
from edgeseg.models.weights import WeightError, save_weights
from edgeseg.models.zoo import (
    PACKAGE_LICENCE,
    PACKAGED,
    WeightRecord,
    check_name,
    checked_file,
    get_record,
    record_faults,
    record_folder,
)
from edgeseg.training.network import RANDOM
from edgeseg.training.recipes import get_recipe, list_recipes

CAMVID_LICENCE = ("CamVid research use", PACKAGED / "LICENSE-camvid-weights.txt")


def publish_run(
    run: str | Path,
    name: str,
    data: Dataset,
    protocol: dict[str, Any],
    folder: str | Path,
    licence: str | None = None,
    licence_file: str | Path | None = None,
) -> WeightRecord:
    """Write ``NAME.safetensors`` (fp16, without training-only heads) and its record ``NAME.json``.

    Metric and golden output in the record are measured here, on the file that was written, by the code that users run.

    Args:
        run: folder of a finished run.
        name: e.g. ``"cross_cbam_m.streets"``.
        data: what the weight is scored on.
        protocol: ``data``, ``split`` and ``definition`` of that data, for the record.
        folder: where to write.
        licence: of the weight, in a few words; default: by what the run was trained on, where that decides it.
        licence_file: text of a licence of its own, copied beside the record.

    Raises:
        WeightError, OSError: the run has no weights or report, the name does not begin with its architecture, or its
            data leave the licence open. Nothing is written then.
        LabelError: ``data`` has other classes than the run, or has them in another order.
    """
    run, folder = Path(run), Path(folder)
    report = parse_json(read_text(run / "report.json"))
    model = create_model(str(run / "weights.safetensors"))
    check_name(name, model.meta["arch"])  # type: ignore[index, arg-type]
    recipe, start = report["recipe"], report["start"]
    last = {**recipe, **dict(*recipe.get("stages", ())[-1:])}  # what held at the end of a run in stages
    if licence is None:
        licence, licence_file = _licence_of(recipe["data"], start, recipe.get("teacher"))
    terms = None if licence_file is None else Path(licence_file).read_bytes()
    known = [c["name"] for c in model.meta["classes"]]  # type: ignore[index]
    match_classes(known, data.table.names, str(run), "the data", "Score it on data of its own classes (--data).")
    path = folder / f"{name}.safetensors"
    sha256 = save_weights(path, model, model.meta, dtype=torch.float16, drop_aux=True)  # type: ignore[arg-type]
    segmenter = load_segmenter(path)
    meta: dict[str, Any] = segmenter.model.meta  # type: ignore[assignment]  # what file and record both say is the file's
    scores = score(segmenter.predict, data)
    metric = {
        **protocol, **scores.as_dict(data.table.names), "images": len(data),
        "size": list(segmenter.size) if segmenter.size else scores.scored_at, "scored_at": scores.scored_at,
        "seeds": [recipe["seed"]],
        "ema": last["ema"], "tta": None,
    }  # fmt: skip
    record = WeightRecord(
        name=name,
        arch=meta["arch"],
        file=path.name,
        sha256=sha256,
        classes=tuple(c["name"] for c in meta["classes"]),
        definition=protocol["definition"],
        size=tuple(last["crop"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        recipe=_recipe_text(recipe),
        data=_data_text(recipe, start),
        seeds=(recipe["seed"],),
        metric=metric,
        licence=licence,
        licence_file=None if licence_file is None else Path(licence_file).name,
        golden=golden_output(segmenter),
    )
    if licence_file is not None and terms is not None:
        with atomic_write(folder / Path(licence_file).name) as file:
            file.write(terms)
    record.write(folder)
    return record


def _licence_of(data: str, start: str, teacher: str | None = None) -> tuple[str, Path | None]:
    """Licence, and the file with its text, of a weight trained on this data from this start, by this teacher."""
    known = recognise(data)
    if known == "camvid":
        return CAMVID_LICENCE
    if known == "streets" and start == RANDOM and teacher is None:
        return PACKAGE_LICENCE, None
    taught = f" by teacher {Path(teacher).name}" if teacher else ""
    raise WeightError(
        f"trained on {data} from {start}{taught}: its licence follows from neither; state it (--licence, and "
        "--licence-file where it is not the package's)"
    )


def _recipe_text(recipe: dict[str, Any]) -> str:
    """A recipe's name, and the fields in which it is not the package's: ``"streets_cpu with epochs=50"``."""
    name = recipe["name"]
    if name not in list_recipes():
        return name
    usual = get_recipe(name).as_json()
    told = {**recipe, "teacher": recipe.get("teacher") and Path(recipe["teacher"]).name}
    changed = [f"{k}={v}" for k, v in told.items() if k not in ("seed", "data") and v != usual.get(k)]
    return f"{name} with {', '.join(changed)}" if changed else name


def _data_text(recipe: dict[str, Any], start: str) -> str:
    """What a run learned from: data, split, and what it started from; of a folder its last name."""
    data = recipe["data"] if recipe["data"] in NAMES else Path(recipe["data"]).name
    text = f"{data}, {recipe['split']}"
    return text if start == RANDOM else f"{text}; start: {start}"


# golden output --------------------------------------------------------------------------------------------------------

SCENE = "streets test, scene 0"
SIZE = (96, 128)
GRID = (3, 4)
# In logits. Another number of threads, another memory format or float64 moves them by 4e-6, one grey level in five
# pixels by 0.006; bfloat16 by 0.07, one grey level in every pixel by 0.07. Measured on cross_cbam_m.streets.
TOLERANCE = 0.02


def golden_output(segmenter: Segmenter) -> dict[str, Any]:
    """The logits of a fixed scene at a coarse grid of points, for a record.

    Args:
        segmenter: a trained network with its preprocessing and class table, on the CPU in float32.

    Returns:
        ``logits``: for every class its values at the points, row by row, rounded to 3 decimals; and what they are of:
        ``scene``, ``size`` (H, W), ``grid`` (rows, columns), ``generator``, ``image_sha256``, ``tolerance``.
    """
    assert segmenter.table is not None  # loaded weights always say their classes
    image = _scene(SIZE)
    values = _at_points(segmenter, image, GRID)
    logits = {n: [round(float(v), 3) for v in row] for n, row in zip(segmenter.table.names, values, strict=True)}
    return {
        "scene": SCENE, "size": list(SIZE), "grid": list(GRID), "generator": GENERATOR_VERSION,
        "image_sha256": _digest(image), "tolerance": TOLERANCE, "logits": logits,
    }  # fmt: skip


def golden_fault(segmenter: Segmenter, golden: Mapping[str, Any]) -> str | None:
    """What is wrong with a network's output, measured against `golden_output` of earlier; ``None``: nothing."""
    image = _scene(tuple(golden["size"]))
    values = _at_points(segmenter, image, tuple(golden["grid"]))
    recorded = np.array(list(golden["logits"].values()))
    if recorded.shape != values.shape:
        return (
            f"gives {values.shape[0]} classes at {values.shape[1]} points, its golden output has {recorded.shape[0]} "
            f"at {recorded.shape[1]}; get record and file anew from one place"
        )
    off = float(np.abs(values - recorded).max())
    if off <= golden["tolerance"]:
        return None
    if _digest(image) != golden["image_sha256"]:
        return (
            f"its logits are off by {off:.3g} ({golden['tolerance']} is allowed), but {golden['scene']} is drawn "
            f"otherwise here (generator {GENERATOR_VERSION}, recorded with {golden['generator']}), so this says "
            "nothing of the weight; measure anew: edgeseg weights golden NAME"
        )
    return (
        f"its logits are off by {off:.3g} ({golden['tolerance']} is allowed) on the recorded scene: the code around it "
        "has changed; reinstall edgeseg (pip install --force-reinstall --no-deps edgeseg), and report it if that is no "
        "help"
    )


def verify_weight(name: str) -> list[str]:
    """Everything that is wrong with a weight, each with its cure; empty: nothing.

    The file has the recorded hash, describes itself as the record does, loads, and gives the golden output.

    Args:
        name: of a record.
    """
    try:
        record = get_record(name)
        segmenter = load_segmenter(checked_file(name))
    except (ValueError, RuntimeError, OSError) as error:
        return [str(error)]
    meta: dict[str, Any] = segmenter.model.meta  # type: ignore[assignment]
    faults = record_faults(record, meta)
    if record.golden is None:
        return faults
    try:
        fault = golden_fault(segmenter, record.golden)
    except (KeyError, TypeError, ValueError) as error:
        fault = f"its golden output cannot be read ({error!r}); measure it anew: edgeseg weights golden {name}"
    return faults if fault is None else [*faults, fault]


def add_golden(name: str) -> Path:
    """Measure the golden output of a weight and write it into its record; returns the record's path.

    Raises:
        WeightError: no such weight, or not the file that the record names.
    """
    golden = golden_output(load_segmenter(checked_file(name)))
    return replace(get_record(name), golden=golden).write(record_folder(name))


def _scene(size: tuple[int, int]) -> np.ndarray:
    return Streets("test", 1, size, cache=False)[0][0]


def _digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


@torch.inference_mode()
def _at_points(segmenter: Segmenter, image: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(classes, points) logits at the middles of a grid's cells."""
    logits = segmenter.logits(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
    rows, columns = (
        [(2 * i + 1) * side // (2 * count) for i in range(count)]
        for side, count in zip(image.shape[:2], grid, strict=True)
    )
    return logits[:, rows][:, :, columns].reshape(len(logits), -1)
