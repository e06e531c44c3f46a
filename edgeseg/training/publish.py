"""From a run's folder to a finished weight: half-size file, score of that very file, record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from edgeseg.data.pairs import Dataset
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.models.records import PACKAGED, WeightRecord
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights


def publish_run(
    run: str | Path,
    name: str,
    data: Dataset,
    protocol: dict[str, Any],
    licence: str = "Apache-2.0",
    folder: str | Path = PACKAGED,
) -> WeightRecord:
    """Write ``NAME.safetensors`` (fp16, without training-only heads) and its record ``NAME.json``.

    The metric in the record is measured here, on the file that was written, by the code that users run.

    Args:
        run: folder of a finished run.
        name: e.g. ``"cross_cbam_m.streets"``.
        data: what the weight is scored on.
        protocol: ``data``, ``split`` and ``definition`` of that data, for the record.
        licence: of the weight.
        folder: where to write; default: the package.

    Raises:
        WeightError, OSError: the run has no weights or report.
    """
    run, folder = Path(run), Path(folder)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    recipe = report["recipe"]
    model = create_model(str(run / "weights.safetensors"))
    meta: dict[str, Any] = model.meta  # type: ignore[assignment]
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
        tuple(meta["mean"]), tuple(meta["std"]), recipe["name"], f"{recipe['data']}, {recipe['split']}",
        (recipe["seed"],), metric, licence,
    )  # fmt: skip
    record.write(folder)
    return record
