"""First version: prototype renderer behind the final interface."""
from __future__ import annotations
from typing import Any
import numpy as np
from edgeseg.data.streets._proto import Scene as _P

FACTORS: dict[str, tuple[Any, ...]] = {
    "fog": ("mixed", "none", "light", "dense"),
    "night": (False, True),
    "traffic": ("left", "right"),
}

def check_factors(factors: dict[str, Any]) -> dict[str, Any]:
    """Complete a choice of factors; unknown names and values are errors that list the valid ones."""
    for name, value in factors.items():
        if name not in FACTORS:
            raise ValueError(f"no factor {name!r} of street scenes; choose from {', '.join(FACTORS)}")
        if value not in FACTORS[name]:
            raise ValueError(f"factor {name} = {value!r}: choose from {', '.join(map(repr, FACTORS[name]))}")
    return {name: factors.get(name, values[0]) for name, values in FACTORS.items()}

def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) as integers, each at least 32."""
    height, width = (int(v) for v in size)
    if min(height, width) < 32:
        raise ValueError(f"size = ({height}, {width}): street scenes need (H, W) of at least 32 pixels each")
    return height, width

class Scene:
    def __init__(self, state: int, factors: dict[str, Any]) -> None:
        self.state, self.factors = state, factors
    def metadata(self) -> dict[str, Any]:
        return {"factors": self.factors}

def make_scene(seed: int, split: int, index: int, **factors: Any) -> Scene:
    s = np.random.SeedSequence(seed, spawn_key=(split, index))
    return Scene(int(s.generate_state(1)[0]), check_factors(factors))

def render(scene: Scene, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    im, lab = _P(scene.state, *size).build()
    lab = lab.copy(); lab[lab == 11] = 255
    return np.ascontiguousarray(im), lab
