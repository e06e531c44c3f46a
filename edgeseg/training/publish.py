"""From a run's folder to a finished weight: half-size file, score of that very file, golden output, licence, record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from edgeseg.data import NAMES, recognise
from edgeseg.data.labels import match_classes
from edgeseg.data.pairs import Dataset
from edgeseg.download import atomic_write
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.models.records import PACKAGE_LICENCE, PACKAGED, WeightRecord
from edgeseg.models.registry import create_model
from edgeseg.models.weights import WeightError, save_weights
from edgeseg.training.golden import golden_output
from edgeseg.training.recipes import get_recipe, list_recipes
from edgeseg.training.run import RANDOM

CAMVID_LICENCE = ("CamVid research use", PACKAGED / "LICENSE-camvid-weights.txt")


def publish_run(
    run: str | Path,
    name: str,
    data: Dataset,
    protocol: dict[str, Any],
    licence: str | None = None,
    folder: str | Path = PACKAGED,
    licence_file: str | Path | None = None,
) -> WeightRecord:
    """Write ``NAME.safetensors`` (fp16, without training-only heads) and its record ``NAME.json``.

    Metric and golden output in the record are measured here, on the file that was written, by the code that users run.

    Args:
        run: folder of a finished run.
        name: e.g. ``"cross_cbam_m.streets"``.
        data: what the weight is scored on.
        protocol: ``data``, ``split`` and ``definition`` of that data, for the record.
        licence: of the weight, in a few words; default: by what the run was trained on, where that decides it.
        folder: where to write; default: the package.
        licence_file: text of a licence of its own, copied beside the record.

    Raises:
        WeightError, OSError: the run has no weights or report, or its data leave the licence open.
        LabelError: ``data`` has other classes than the run, or has them in another order.
    """
    run, folder = Path(run), Path(folder)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    model = create_model(str(run / "weights.safetensors"))
    recipe, start = report["recipe"], report.get("start", RANDOM)
    if licence is None:
        licence, licence_file = _licence_of(recipe["data"], start, recipe.get("teacher"))
    meta: dict[str, Any] = model.meta  # type: ignore[assignment]
    known, cure = [c["name"] for c in meta["classes"]], "Score it on data of its own classes (--data)."
    match_classes(known, data.table.names, str(run), "the data", cure)
    path = folder / f"{name}.safetensors"
    sha256 = save_weights(path, model, meta, dtype=torch.float16, drop_aux=True)
    segmenter = load_segmenter(path)
    scores = score(segmenter.predict, data)
    scored_at = list(data[0][1].shape)
    metric = {
        **protocol, **scores.as_dict(data.table.names), "images": len(data), "size": list(segmenter.size or scored_at),
        "scored_at": scored_at, "seeds": [recipe["seed"]], "ema": recipe["ema"], "tta": None,
    }  # fmt: skip
    record = WeightRecord(
        name, model.arch, path.name, sha256, tuple(data.table.names), protocol["definition"], tuple(recipe["crop"]),  # type: ignore[arg-type]
        tuple(meta["mean"]), tuple(meta["std"]), _recipe_text(recipe), _data_text(recipe, start),
        (recipe["seed"],), metric, licence, None, None if licence_file is None else Path(licence_file).name,
        golden_output(segmenter),
    )  # fmt: skip
    if licence_file is not None:
        _copy(Path(licence_file), folder)
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


def _copy(file: Path, folder: Path) -> None:
    text = file.read_bytes()
    if (folder / file.name).resolve() != file.resolve():
        with atomic_write(folder / file.name) as out:
            out.write(text)


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
