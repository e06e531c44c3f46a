"""Street scenes as files, for tools that read folders: in pairs, or laid out as Cityscapes and VOC are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from edgeseg.data.cityscapes import CITYSCAPES_CITIES
from edgeseg.data.labels import CAMVID, CITYSCAPES, CITYSCAPES_LABEL_IDS, VOC, VOID
from edgeseg.data.local import class_entries, indexed_picture
from edgeseg.data.streets.dataset import Streets
from edgeseg.files import write_json, write_lines
from edgeseg.text import unknown

# A rider and the bicycle are one class in CamVid and two in Cityscapes; VOC calls both parts of a rider by their names.
_TO_CITYSCAPES = {
    "Sky": "sky", "Building": "building", "Pole": "pole", "Road": "road", "Pavement": "sidewalk", "Tree": "vegetation",
    "SignSymbol": "traffic sign", "Fence": "fence", "Car": "car", "Pedestrian": "person", "Bicyclist": "rider",
}  # fmt: skip
_TO_VOC = {"Car": "car", "Pedestrian": "person", "Bicyclist": "bicycle"}  # all else is background
_VOC_YEARS = {"train": 2010, "val": 2011}


def write_streets(scenes: Streets, folder: str | Path, progress: bool = True, layout: str = "pairs") -> Path:
    """Write every scene as ``images/NAME.png`` and ``labels/NAME.png`` (class ids in a palette PNG, void 255).

    Beside them: ``metadata.jsonl``, one line per scene, and ``classes.json``, a class file for reading own data.

    Args:
        scenes: what to draw.
        folder: made where missing; files of the same names are overwritten.
        progress: show a progress bar on stderr.
        layout: ``"pairs"`` as above; ``"cityscapes"`` or ``"voc"``: the folders, names and label values of these data
            sets, without metadata and class file. They are parts, so their readers must be told ``partial=True``.

    Returns:
        The folder.

    Raises:
        ValueError: no such layout, or a split that the layout's data set does not label (test).
    """
    if layout not in _WRITERS:
        raise ValueError(unknown("layout", layout, _WRITERS))
    if layout != "pairs" and scenes.split not in ("train", "val"):
        raise ValueError(f"layout {layout}: its {scenes.split} split has no public labels; write train or val")
    _WRITERS[layout](scenes, Path(folder), progress)
    return Path(folder)


def _write_pairs(scenes: Streets, folder: Path, progress: bool) -> None:
    names, palette = scenes.names, scenes.table.palette
    for index in _counted(scenes, progress):
        image, label = scenes[index]
        _save(Image.fromarray(image), folder / "images" / f"{names[index]}.png")
        _save(indexed_picture(label, palette), folder / "labels" / f"{names[index]}.png")
    write_lines(folder / "metadata.jsonl", [json.dumps(scenes.metadata(i)) for i in range(len(scenes))])
    write_json(folder / "classes.json", class_entries(scenes.table))


def _write_as_cityscapes(scenes: Streets, folder: Path, progress: bool) -> None:
    """``leftImg8bit`` and ``gtFine`` with ``*_labelIds.png``, over the split's official cities in turn.

    Eight of the 19 classes never occur: wall, traffic light, terrain, truck, bus, train, motorcycle, bicycle.
    """
    label_ids = {c: v for v, c in CITYSCAPES_LABEL_IDS.ids.items() if c != VOID}
    lut = _lut({street: label_ids[CITYSCAPES.index(name)] for street, name in _TO_CITYSCAPES.items()}, 0, 0)
    cities = list(CITYSCAPES_CITIES[scenes.split])
    for index in _counted(scenes, progress):
        city = cities[index % len(cities)]
        frame = f"{city}_{index // len(cities):06d}_000019"  # most official frames are the 19th of their sequence
        image, label = scenes[index]
        _save(Image.fromarray(image), folder / "leftImg8bit" / scenes.split / city / f"{frame}_leftImg8bit.png")
        _save(Image.fromarray(lut[label]), folder / "gtFine" / scenes.split / city / f"{frame}_gtFine_labelIds.png")


def _write_as_voc(scenes: Streets, folder: Path, progress: bool) -> None:
    """``VOCdevkit/VOC2012``: JPEG pictures, palette labels, and the split's list."""
    lut = _lut({street: VOC.index(name) for street, name in _TO_VOC.items()}, VOC.index("background"), VOID)
    palette = VOC.palette
    palette[VOID] = (224, 224, 192)  # VOC's colour of the void border
    root = folder / "VOCdevkit" / "VOC2012"
    names = [f"{_VOC_YEARS[scenes.split]}_{index:06d}" for index in range(len(scenes))]
    for index in _counted(scenes, progress):
        image, label = scenes[index]
        _save(Image.fromarray(image), root / "JPEGImages" / f"{names[index]}.jpg")
        _save(indexed_picture(lut[label], palette), root / "SegmentationClass" / f"{names[index]}.png")
    write_lines(root / "ImageSets" / "Segmentation" / f"{scenes.split}.txt", names)


_WRITERS = {"pairs": _write_pairs, "cityscapes": _write_as_cityscapes, "voc": _write_as_voc}


def _lut(values: dict[str, int], other: int, void: int) -> np.ndarray:
    """(256,) uint8: street class id → file value."""
    lut = np.full(256, other, np.uint8)
    lut[VOID] = void
    for street, value in values.items():
        lut[CAMVID.index(street)] = value
    return lut


def _counted(scenes: Streets, progress: bool) -> tqdm:
    return tqdm(range(len(scenes)), desc="street scenes", unit="img", disable=not progress)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
