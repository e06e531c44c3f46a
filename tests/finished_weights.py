"""A weight with its record for tests: a narrow network of CamVid's classes, as a finished one looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.data.labels import CAMVID
from edgeseg.inference import load_segmenter
from edgeseg.models import zoo
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta
from edgeseg.models.zoo import PROTOCOL, WeightRecord
from edgeseg.training.publish import golden_output

MEAN, STD = (0.4, 0.4, 0.4), (0.3, 0.3, 0.3)
LICENCE = "LICENSE-camvid-weights.txt"
METRIC = {"miou": 61.25, **dict.fromkeys(PROTOCOL), "data": "streets", "split": "test", "scored_at": [64, 96]}


def put_weight(folder: Path, name: str = "cross_cbam_m.toy", seed: int = 0, **fields: Any) -> WeightRecord:
    """Write ``NAME.safetensors`` and its record into a folder; `fields` replace those of the record."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = create_model("cross_cbam_m", 11, width=8, aspp_channels=16)
    file = f"{name}.safetensors"
    sha256 = save_weights(folder / file, model, weight_meta(CAMVID.names, CAMVID.colors, "toy", MEAN, STD))
    values: dict[str, Any] = {
        "name": name, "arch": "cross_cbam_m", "file": file, "sha256": sha256, "classes": CAMVID.names,
        "definition": "A", "size": (64, 64), "mean": MEAN, "std": STD, "recipe": "none", "data": "noise",
        "seeds": (0,), "metric": METRIC, "licence": "Apache-2.0",
        "golden": golden_output(load_segmenter(folder / file)),
    }  # fmt: skip
    record = WeightRecord(**{**values, **fields})
    record.write(folder)
    return record


def camvid_licence(folder: Path) -> None:
    """Put the text of the CamVid weights' terms into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LICENCE).write_text("Terms of the weights: research and teaching.\n", encoding="utf-8")


def isolate_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No weights in the package and in the cache, no folder of the user's, nothing announced; returns the cache."""
    monkeypatch.delenv("EDGESEG_WEIGHTS", raising=False)
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(zoo, "_announced", set())
    return tmp_path / "cache" / "weights"
