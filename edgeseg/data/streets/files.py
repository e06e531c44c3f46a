"""Street scenes as files, for tools that read folders."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from edgeseg.data.labels import VOID
from edgeseg.data.streets.dataset import Streets

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
