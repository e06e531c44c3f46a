"""Heat maps of many networks on one frame, a strip of pictures each: made where and when a network is trained, and put
below one another afterwards, on another machine perhaps (Improved HRNet, Fig. 8)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeseg.data.pairs import Dataset
from edgeseg.explain.heat import class_heat, shown_classes
from edgeseg.explain.inside import Network
from edgeseg.files import atomic_write
from edgeseg.plots import marked, strip

FRAME = "frame.jpg"
_LOOKED_AT = 20


class HeatStrips:
    """Draws `class_heat` of networks into a folder: ``NAME.jpg`` each, and once what they are to be held against.

    ``frame.jpg`` has the photograph and every class's pixels in truth, with their names. Nobody chooses the frame: it
    is the one among the first twenty that shows most classes.

    Args:
        data: images and labels that the networks have not learnt from.
        folder: is made; what stands there already is kept.
    """

    def __init__(self, data: Dataset, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.index = max(range(min(len(data), _LOOKED_AT)), key=lambda i: (len(shown_classes(data[i][1])), -i))
        self.image, self.label = data[self.index]
        ids = shown_classes(self.label)
        truth = [marked(self.image, self.label == i) for i in ids]
        self._keep(FRAME, [self.image, *truth], ["photograph", *(data.table.names[i] for i in ids)])

    def add(self, name: str, network: Network) -> Path:
        """Draw a network's strip, where there is none of its name.

        Raises:
            ValueError: as in `edgeseg.explain.grad_cam`.
        """
        target = self.folder / f"{name}.jpg"
        if target.exists():
            return target
        return self._keep(target.name, [self.image, *class_heat(network, self.image, self.label).values()])

    def _keep(self, file: str, pictures: Sequence[np.ndarray], names: Sequence[str] = ()) -> Path:
        target = self.folder / file
        if not target.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as out:
                strip(pictures, names).save(out, "JPEG", quality=85)
        return target
