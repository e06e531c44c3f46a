"""Street scenes as files, for tools that read folders: our own layout, and those of Cityscapes and VOC."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from edgeseg.data.cityscapes import CITYSCAPES_CITIES
from edgeseg.data.labels import CAMVID, CITYSCAPES, CITYSCAPES_LABEL_IDS, VOC, VOID, ClassTable
from edgeseg.data.streets.dataset import Streets

# A rider and the bicycle are one class in CamVid and two in Cityscapes; VOC calls both parts of a rider by their names.
_TO_CITYSCAPES = {
    "Sky": "sky", "Building": "building", "Pole": "pole", "Road": "road", "Pavement": "sidewalk", "Tree": "vegetation",
    "SignSymbol": "traffic sign", "Fence": "fence", "Car": "car", "Pedestrian": "person", "Bicyclist": "rider",
}  # fmt: skip
_TO_VOC = {"Car": "car", "Pedestrian": "person", "Bicyclist": "bicycle"}  # all else is background
_VOC_YEARS = {"train": 2010, "val": 2011}


def write_as_cityscapes(scenes: Streets, folder: Path, progress: bool) -> None:
    """Write ``leftImg8bit`` and ``gtFine`` with ``*_labelIds.png``, over the split's official cities in turn.

    Eight of the 19 classes never occur: wall, traffic light, terrain, truck, bus, train, motorcycle, bicycle.
    """
    label_ids = {c: v for v, c in CITYSCAPES_LABEL_IDS.ids.items() if c != VOID}
    lut = _lut({street: label_ids[CITYSCAPES.index(name)] for street, name in _TO_CITYSCAPES.items()}, 0, 0)
    cities = list(CITYSCAPES_CITIES[_labelled(scenes, "cityscapes")])
    for index in _scenes(scenes, progress):
        city = cities[index % len(cities)]
        frame = f"{city}_{index // len(cities):06d}_000019"  # most official frames are the 19th of their sequence
        image, label = scenes[index]
        _save(Image.fromarray(image), folder / "leftImg8bit" / scenes.split / city / f"{frame}_leftImg8bit.png")
        _save(Image.fromarray(lut[label]), folder / "gtFine" / scenes.split / city / f"{frame}_gtFine_labelIds.png")


def write_as_voc(scenes: Streets, folder: Path, progress: bool) -> None:
    """Write ``VOCdevkit/VOC2012``: JPEG pictures, palette labels, and the split's list."""
    lut = _lut({street: VOC.index(name) for street, name in _TO_VOC.items()}, VOC.index("background"), VOID)
    year, root = _VOC_YEARS[_labelled(scenes, "voc")], folder / "VOCdevkit" / "VOC2012"
    names = [f"{year}_{index:06d}" for index in range(len(scenes))]
    for index in _scenes(scenes, progress):
        image, label = scenes[index]
        _save(Image.fromarray(image), root / "JPEGImages" / f"{names[index]}.jpg")
        _save(_indexed(lut[label], VOC), root / "SegmentationClass" / f"{names[index]}.png")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{scenes.split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _lut(values: dict[str, int], other: int, void: int) -> np.ndarray:
    """(256,) uint8: street class id → file value."""
    lut = np.full(256, other, np.uint8)
    lut[VOID] = void
    for street, value in values.items():
        lut[CAMVID.index(street)] = value
    return lut


def _labelled(scenes: Streets, layout: str) -> str:
    if scenes.split not in ("train", "val"):
        raise ValueError(f"layout {layout}: its {scenes.split} split has no public labels; write train or val")
    return scenes.split


def _scenes(scenes: Streets, progress: bool) -> tqdm:
    return tqdm(range(len(scenes)), desc="street scenes", unit="img", disable=not progress)


def _indexed(label: np.ndarray, table: ClassTable) -> Image.Image:
    image = Image.fromarray(label)
    palette = table.palette
    palette[VOID] = (224, 224, 192)  # VOC's colour of the void border
    image.putpalette(palette.ravel().tolist())  # turns the grey picture into an indexed one; the values stay
    return image


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


LAYOUTS = ("pairs", "cityscapes", "voc")


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
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    folder = Path(folder)
    if layout != "pairs":
        from edgeseg.data.streets import folders  # only here: the readers of those data sets come with it

        write = folders.write_as_cityscapes if layout == "cityscapes" else folders.write_as_voc
        write(scenes, folder, progress)
        return folder
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    palette = scenes.table.palette.ravel().tolist()
    names = scenes.names
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as lines:
        for index in tqdm(range(len(scenes)), desc="street scenes", unit="img", disable=not progress):
            image, label = scenes[index]
            Image.fromarray(image).save(folder / "images" / f"{names[index]}.png")
            indexed = Image.fromarray(label)
            indexed.putpalette(palette)  # turns the grey picture into an indexed one; the values stay class ids
            indexed.save(folder / "labels" / f"{names[index]}.png")
            lines.write(json.dumps(scenes.metadata(index)) + "\n")
    _write_class_file(scenes, folder / "classes.json")
    return folder


def _write_class_file(scenes: Streets, path: Path) -> None:
    table = scenes.table
    classes = [{"name": name, "color": list(color)} for name, color in zip(table.names, table.colors, strict=True)]
    path.write_text(json.dumps({"classes": classes, "void": [VOID]}, indent=1) + "\n", encoding="utf-8")
