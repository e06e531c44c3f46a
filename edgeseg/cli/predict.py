"""``edgeseg predict``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.files import check_targets
from edgeseg.text import parse_size

if TYPE_CHECKING:
    import numpy as np

    from edgeseg.data.labels import ClassTable
    from edgeseg.deploy import Artefact
    from edgeseg.inference import Segmenter

    Found = tuple[np.ndarray, list[str]]  # class ids of a picture, and what to say of it
    Segment = Callable[[np.ndarray], Found]
    SegmentAll = Callable[[Sequence[np.ndarray]], list[Found]]

MASK, OVERLAY = ".mask.png", ".overlay.png"


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="pictures to segment, or folders of them; earlier results are passed over")
    ],
    model: Annotated[
        str, typer.Option(help="a weight's name or file, or the folder of a run or of an artefact")
    ] = "cross_cbam_m.streets",
    out: Annotated[
        Path, typer.Option(help="folder for the results; there, those of pictures of the same name are replaced")
    ] = Path("predictions"),
    size: Annotated[
        str | None,
        typer.Option(
            help="network input HxW, or 'native'; default: as trained, far larger pictures are shrunk. Not of an "
            "artefact of one size"
        ),
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="average with the mirrored image")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …; of a weight, an artefact knows its own")] = "cpu",
    cityscapes_ids: Annotated[
        bool,
        typer.Option("--cityscapes-ids", help="instead, one file per frame as Cityscapes' test server takes it"),
    ] = False,
) -> None:
    """Segment pictures: OUT/NAME.mask.png holds the class ids, OUT/NAME.overlay.png shows them.

    The mask is a palette PNG of the picture's own size, whatever the network sees: its values are the ids, its look the
    classes' colours. Read the ids with np.asarray(Image.open("NAME.mask.png")); converted to RGB or grey they are lost.
    Pictures that cannot be segmented are listed at the end; those that the network is unsure of are marked.

    With --cityscapes-ids OUT/CITY_SEQUENCE_FRAME_labelIds.png holds label ids (road is 7) and nothing else is written:
    edgeseg predict leftImg8bit/test/* --model runs/mine --cityscapes-ids --out results
    """
    from edgeseg.data.cityscapes import label_id_lookup, label_ids_file

    pictures = _pictures(images)
    targets = [out / (label_ids_file(p) if cityscapes_ids else f"{p.stem}{MASK}") for p in pictures]
    check_targets(
        zip(map(str, pictures), targets, strict=True),
        "Rename one, or segment them in two runs, each with its own --out.",
    )
    segment, at_once, table = _open(model, size, flip, device)
    write = partial(_write_both, table)
    if cityscapes_ids:
        write = partial(_write_label_ids, label_id_lookup(table.names, model))
        _check_alone(targets)
    out.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    jobs = list(zip(pictures, targets, strict=True))
    for start in range(0, len(jobs), at_once):
        read = _read(jobs[start : start + at_once], failures)
        try:
            found = segment([pixels for _, _, pixels in read])
        except (ValueError, RuntimeError) as error:
            failures += [f"{path}: {error}" for path, _, _ in read]
            continue
        for (path, target, pixels), (mask, remarks) in zip(read, found, strict=True):
            written = write(pixels, mask, target)
            print(f"{path} → {written}: {'; '.join([_shares(mask, table), *remarks])}")
    if len(failures) < len(pictures) and not cityscapes_ids:
        print(f'class ids of a mask: np.asarray(Image.open("{out / f"NAME{MASK}"}"))')
    if failures:
        head = f"{len(failures)} of {len(pictures)} pictures were not segmented:\n" if len(pictures) > 1 else ""
        raise ValueError(head + "\n".join(failures))


def _read(jobs: Iterable[tuple[Path, Path]], failures: list[str]) -> list[tuple[Path, Path, np.ndarray]]:
    """Pictures and their targets with the pixels; what cannot be read is added to the failures."""
    from edgeseg.inference import as_pixels

    read = []
    for path, target in jobs:
        try:
            read.append((path, target, as_pixels(path)))
        except (ValueError, RuntimeError) as error:
            failures.append(str(error) if str(error).startswith(str(path)) else f"{path}: {error}")
    return read


def _write_both(table: ClassTable, pixels: np.ndarray, mask: np.ndarray, target: Path) -> str:
    """Mask and overlay; says what was written."""
    from PIL import Image

    from edgeseg import plots

    overlay = target.with_name(target.name.removesuffix(MASK) + OVERLAY)
    Image.fromarray(plots.overlay(pixels, mask, table)).save(overlay)
    return f"{plots.save_mask(mask, table, target)}, {overlay.name}"


def _write_label_ids(label_ids: np.ndarray, pixels: np.ndarray, mask: np.ndarray, target: Path) -> str:
    from PIL import Image

    from edgeseg.data.cityscapes import CITYSCAPES_SIZE
    from edgeseg.data.local import write_png

    write_png(target, Image.fromarray(label_ids[mask]))
    fits = mask.shape == CITYSCAPES_SIZE
    return str(target) if fits else f"{target} (the server wants {'x'.join(map(str, CITYSCAPES_SIZE))})"


def _check_alone(targets: Iterable[Path]) -> None:
    """The official evaluation takes the one file that begins with the frame's name, and stops where there are two."""
    for target in targets:
        frame = target.name.removesuffix("_labelIds.png")
        other = next((p for p in target.parent.glob(f"{frame}*.png") if p != target), None)
        if other is not None:
            raise ValueError(f"{other}: the test server takes one file per frame; give an empty folder: --out FOLDER")


def open_model(model: str, size: str | None, flip: bool, device: str) -> tuple[Segment, ClassTable]:
    """What segments one picture and remarks on it, and the classes; arguments as on the command line."""
    segment, _, table = _open(model, size, flip, device)
    return lambda pixels: segment([pixels])[0], table


def _open(model: str, size: str | None, flip: bool, device: str) -> tuple[SegmentAll, int, ClassTable]:
    """What segments pictures and remarks on each, how many are worth giving it at a time, and the classes."""
    from edgeseg.inference import find_model, load_segmenter

    model = find_model(model)
    if (Path(model) / "artefact.json").is_file():
        return _artefact(model, size, flip)
    wished = None if size in (None, "native") else parse_size(str(size))
    segmenter = load_segmenter(model, device)
    if size is not None:
        segmenter.size = None
    assert segmenter.table is not None  # loaded weights always say their classes
    segment = partial(_by_weight, segmenter, wished, size is None, flip)
    return lambda pictures: [segment(pixels) for pixels in pictures], 1, segmenter.table


def _by_weight(
    segmenter: Segmenter, wished: tuple[int, int] | None, by_itself: bool, flip: bool, pixels: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    from edgeseg.inference import OUT_OF_DEPTH, fitting_size

    own, remarks = pixels.shape[:2], []
    if by_itself and segmenter.size is None:
        wished = fitting_size(own, segmenter.trained_at)
        if wished:
            remarks.append(
                f"seen at {wished[0]}x{wished[1]}, nearer to its training than {own[0]}x{own[1]} (that: --size native)"
            )
    mask, sure = segmenter.predict_surely(pixels, flip, wished)
    if sure < OUT_OF_DEPTH:
        remarks.append(f"UNSURE ({sure:.0%} on average): perhaps no picture of the kind that it learnt")
    return mask, remarks


def _artefact(folder: str, size: str | None, flip: bool) -> tuple[SegmentAll, int, ClassTable]:
    from edgeseg.deploy import Artefact

    artefact = Artefact.load(folder)
    if flip or (size is not None and "size" not in artefact.dynamic):
        raise ValueError(f"{folder} is compiled: leave --size and --flip away, or take the weight it was made from")
    wished = None if size in (None, "native") else parse_size(str(size))
    if artefact.table is None:
        raise ValueError(f"{folder}: an artefact without names of classes. Export it from a weight, which has them.")
    return partial(_by_artefact, artefact, wished), artefact.at_once, artefact.table


def _by_artefact(artefact: Artefact, wished: tuple[int, int] | None, pictures: Sequence[np.ndarray]) -> list[Found]:
    """A picture is brought to a size that the artefact takes, and its mask back to the picture's."""
    import numpy as np
    from PIL import Image

    def seen(pixels: np.ndarray) -> np.ndarray:
        height, width = artefact.nearest_size(wished or pixels.shape[:2])
        if pixels.shape[:2] == (height, width):
            return pixels
        return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))

    def result(mask: np.ndarray, own: tuple[int, int]) -> Found:
        if mask.shape == own:
            return mask, []
        at = f"seen at the artefact's {mask.shape[0]}x{mask.shape[1]}, not at {own[0]}x{own[1]}"
        return np.array(Image.fromarray(mask).resize(own[::-1], Image.Resampling.NEAREST)), [at]

    masks: list[np.ndarray] = []
    for _, alike in groupby(map(seen, pictures), key=lambda pixels: pixels.shape):
        masks += list(artefact.predict_batch(list(alike)))
    return [result(mask, pixels.shape[:2]) for mask, pixels in zip(masks, pictures, strict=True)]


def _pictures(paths: Iterable[Path]) -> list[Path]:
    """Every picture once, those of folders by name, without results of this command, which patterns match, too."""
    from edgeseg.data.pairs import SUFFIXES

    given: list[Path] = []
    for path in paths:
        held = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not held:
            raise ValueError(f"{path}: holds no pictures ({', '.join(SUFFIXES)}). Give the folder with them.")
        given += held
    once = list({os.path.abspath(path): path for path in given}.values())
    pictures = [path for path in once if not path.name.lower().endswith((MASK, OVERLAY))]
    own = [str(path) for path in once if path not in pictures]
    if not pictures:
        raise ValueError(
            f"{own[0]}: a result of edgeseg predict by its name (NAME{MASK}, NAME{OVERLAY}). Give pictures; rename a "
            "picture that ends like that."
        )
    if own:
        print(f"passed over {len(own)} result(s) of edgeseg predict ({own[0]} …)", file=sys.stderr)
    return pictures


def _shares(mask: np.ndarray, table: ClassTable) -> str:
    """``"road 41%, sky 30%"``: the classes of at least half a percent, the largest first."""
    import numpy as np

    share = np.bincount(mask.ravel(), minlength=256)[: len(table)] / mask.size
    return ", ".join(f"{table.names[i]} {share[i]:.0%}" for i in np.argsort(-share) if share[i] >= 0.005)
