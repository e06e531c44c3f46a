"""Known mistakes of lesson 08: runs on CamVid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from edgeseg.course.mistakes import Make


def _steps_for_epochs(_: Any) -> Any:
    def mistaken(lines: Sequence[str]) -> dict[str, tuple[float, float]]:
        scores = [(row["step"], row["miou"]) for row in map(json.loads, lines) if "miou" in row]
        return {"last": scores[-1], "best": max(scores, key=lambda score: score[1])}

    return mistaken


def _flipped(way_there: tuple[int, ...], way_back: tuple[int, ...]) -> Make:
    def make(_: Any) -> Any:
        def mistaken(logits: Any, image: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(image).permute(2, 0, 1)[None]
            both = logits(x).softmax(1) + logits(x.flip(way_there)).softmax(1).flip(way_back)
            return both.argmax(1)[0].to(torch.uint8).numpy()

        return mistaken

    return make


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "08.1": {"steps are told and not epochs": _steps_for_epochs},
    "08.4": {
        "the second part runs for all steps and not for those that are left": lambda whole: (
            lambda seed, kill_at, steps: whole(seed, kill_at, kill_at + steps)
        )
    },
    "08.5": {
        "the mirrored answer is not mirrored back": _flipped((3,), ()),
        "the image is turned upside down and not left to right": _flipped((2,), (2,)),
    },
}
