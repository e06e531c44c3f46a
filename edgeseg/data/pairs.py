"""Pairs of images and labels on disk: any folder with a class file, read lazily and checked.

A data set, here and in every other room, is a sequence: ``len(ds)``, ``ds[i] → (image, label)`` with image (H, W, 3)
uint8 RGB and label (H, W) uint8 class ids (void 255), ``ds.table``, ``ds.names``. What a file may hold is settled here,
once:

* Images: JPEG, PNG, BMP, TIFF, WebP, GIF (first frame), PPM, up to `MAX_PIXELS`. Grey, palette and CMYK become RGB;
  alpha is dropped; 16-bit values keep their high byte (v // 256), grey or colour; an EXIF orientation is applied. What
  Pillow has opened already is read in the same way.
* Labels: the same formats but JPEG, which blurs ids. Palette files give their indices, unless their colours are those
  of other classes; RGB files go through the class table's colours. Never interpolated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageFile

from edgeseg.data.class_file import read_class_csv, read_class_file
from edgeseg.data.labels import ClassTable, LabelError
from edgeseg.files import read_text
from edgeseg.text import first_few

MAX_PIXELS = 89_478_485
"""Largest picture that is read, Pillow's own warning line: some 9459×9459, 268 MB as RGB."""

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
LABEL_ENDINGS = (
    "_L", "_P", "_label", "_labels", "_labelIds", "_labelTrainIds", "_mask", "_gt", "_gtFine_labelIds",
    "_gtFine_labelTrainIds",
)  # fmt: skip
"""What a label's stem may carry after its image's stem."""

LABEL_FOLDERS = ("labels", "masks")
CLASS_CSV = "_classes.csv"
"""Roboflow's list of classes."""

SPLITS = ("train", "val", "valid", "validation", "test")

_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM")  # not EPS and the like, which start other programs
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation → what puts the picture upright


class DataError(ValueError):
    """A file or folder that cannot be used as data; the message names it and says what to do."""


class Dataset(Protocol):
    """What every data set offers."""

    @property
    def table(self) -> ClassTable: ...
    @property
    def names(self) -> Sequence[str]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> tuple[np.ndarray, np.ndarray]: ...


# one file -------------------------------------------------------------------------------------------------------------


def read_image(source: str | Path | Image.Image) -> np.ndarray:
    """One picture as (H, W, 3) uint8 RGB, upright.

    Args:
        source: a file, or what Pillow opened or made: of several frames that which it shows; it stays as it is.

    Raises:
        DataError: missing, empty, truncated, corrupt, too large, no picture, or of float or 32-bit values.
    """
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or "the picture"
        with _named_faults(name):
            _check_size(source)
            return _rgb(source, name)
    path = Path(source)
    with _opened(path) as file:
        return _rgb(file, path)


def read_orientation(path: Path) -> int:
    """A picture's EXIF orientation, 1 (upright) where it has none or cannot be read."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            orientation = image.getexif().get(0x0112, 1)
    except Exception:  # what is wrong with the file is said where it is read
        return 1
    return orientation if orientation in _TURNS else 1


def read_size(path: Path) -> tuple[int, int]:
    """A picture's (H, W) once it is upright, from its head alone.

    Raises:
        DataError: as in `read_image`.
    """
    with _opened(path) as image:
        height, width = image.height, image.width
    return (width, height) if read_orientation(path) >= 5 else (height, width)


def check_size(pairs: Pairs, size: tuple[int, int], cure: str) -> Pairs:
    """The pairs, once the heads of all their images say that they have one size.

    Args:
        pairs: the data set.
        size: (H, W) that is wanted.
        cure: what to do about another one.

    Raises:
        DataError: an image of another size; names it.
    """
    for path in pairs.images:
        if (found := read_size(path)) != size:
            raise DataError(
                f"{path}: is {found[0]}x{found[1]} (height x width), where {size[0]}x{size[1]} was asked for. {cure}"
            )
    return pairs


def _rgb(picture: Image.Image, name: str | Path) -> np.ndarray:
    image = _upright(picture)
    mode = image.mode
    # older Pillow calls 16-bit grey "I"
    if mode.startswith("I;16") or (mode == "I" and picture.format in ("PNG", "PPM")):
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if mode in ("I", "F"):
        raise DataError(
            f"{name}: holds {'32-bit' if mode == 'I' else 'float'} values of unknown range. Save it with 8 bits."
        )
    if mode in ("P", "PA"):
        image = image.convert("RGBA")  # straight to RGB, Pillow warns about palettes with transparency
    if mode == "La":
        image = image.convert("LA")  # Pillow knows no way from La to RGB
    return np.array(image.convert("RGB"))


def read_label(path: str | Path, table: ClassTable) -> np.ndarray:
    """One label file as (H, W) uint8 class ids, void 255.

    Args:
        path: single-channel file (1, 2, 4, 8 or 16 bits, or palette) with file values, or RGB file with label colours.
        table: what the values or colours mean.

    Raises:
        DataError: as in `read_image`, or a JPEG.
        LabelError: a value or colour that the table does not know; names the file.
    """
    path = Path(path)
    with _opened(path) as file:
        if file.format in ("JPEG", "MPO"):
            raise DataError(f"{path}: a label saved as JPEG, whose compression changes class ids. Save labels as PNG.")
        mode, stretch = file.mode, _grey_stretch(file)
        image = _upright(file)
        if mode in ("P", "PA"):
            indices = np.asarray(image) if mode == "P" else np.asarray(image)[..., 0]
            return _palette_label(indices, _palette(image), path, table, reordered=file.format == "GIF")
        if mode == "LA":
            raw = np.asarray(image)[..., 0]
        elif mode in ("RGB", "RGBA", "RGBX"):
            raw = np.asarray(image.convert("RGB"))
        elif mode in ("1", "L", "I") or mode.startswith("I;16"):
            raw = np.asarray(image)
            raw = raw.astype(np.uint8) if mode == "1" else raw // stretch if stretch > 1 else raw
        else:
            raise DataError(f"{path}: a label of colour mode {mode}. Save labels as 8-bit grey, palette or RGB PNG.")
    return table.encode(raw, path)


def _palette(image: Image.Image) -> np.ndarray:
    """(256, 3) uint8 colours of a palette picture; entries that it does not have are black."""
    entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    return np.pad(entries, ((0, 256 - len(entries)), (0, 0)))


def _palette_label(
    indices: np.ndarray, palette: np.ndarray, path: Path, table: ClassTable, reordered: bool
) -> np.ndarray:
    """The label of a palette picture; ``reordered``: its writers sort palettes, so the indices mean nothing."""
    if not reordered:
        return table.encode_indexed(indices, palette, path)
    colors = palette[np.unique(indices)]
    if table.rgb and all(tuple(color) in table.rgb for color in colors.tolist()):
        return table.encode(palette[indices], path)
    if (colors == colors[:, :1]).all():  # greys: a picture of file values
        return table.encode(palette[indices][..., 0], path)
    raise DataError(f"{path}: a GIF, whose writers reorder palettes: its values are not class ids. Save labels as PNG.")


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """An open picture of acceptable size; every way in which reading it can fail becomes a `DataError`."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder. Give the picture files in it.")
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path and its upper and lower case.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy or download it again.")
    with _named_faults(path), Image.open(path, formats=_FORMATS) as image:
        _check_size(image)
        yield image


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError(f"{image.width}×{image.height} pixels")


@contextmanager
def _named_faults(name: str | Path) -> Iterator[None]:
    """What goes wrong while a picture is opened or decoded becomes a `DataError` with its name and a cure."""
    try:
        yield
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{name}: too large to be read ({error}; {MAX_PIXELS} pixels are allowed). Cut it into tiles or shrink it."
        ) from error
    except PermissionError as error:
        raise DataError(f"{name}: may not be read ({error.strerror}). Change its permissions.") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(
            f"{name}: not a picture, or a damaged one (known: {', '.join(_FORMATS)}). Convert or get it again."
        ) from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds on bad bytes
        raise DataError(f"{name}: truncated or corrupt ({error}). Copy or download it again.") from error


def _upright(image: Image.Image) -> Image.Image:
    """Decode, and apply the EXIF orientation; a damaged EXIF block is no reason to refuse a sound picture."""
    image.load()
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:
        orientation = 1
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _grey_stretch(image: ImageFile.ImageFile) -> int:
    """The factor by which Pillow stretches 2- and 4-bit grey to 0…255, else 1. PNG optimisers make such files."""
    if image.mode != "L" or not image.tile:
        return 1
    raw_mode = image.tile[0][3]
    raw_mode = raw_mode[0] if isinstance(raw_mode, tuple) else raw_mode
    return {"L;2": 85, "L;4": 17}.get(str(raw_mode), 1)


# many files -----------------------------------------------------------------------------------------------------------


class Pairs:
    """A data set over files: image i belongs to label i. Files are read when asked for; it pickles.

    Args:
        images: N picture files.
        labels: N label files, of the same sizes.
        table: what the labels' values mean.
        names: N readable names; the images' stems by default.
        split: which part of its data set this is, where that is known.
    """

    def __init__(
        self,
        images: Sequence[str | Path],
        labels: Sequence[str | Path],
        table: ClassTable,
        names: Sequence[str] | None = None,
        split: str | None = None,
    ) -> None:
        self.images = tuple(Path(p) for p in images)
        self.labels = tuple(Path(p) for p in labels)
        self.table = table
        self.split = split
        self.names: Sequence[str] = tuple(p.stem for p in self.images) if names is None else tuple(names)
        if not len(self.images) == len(self.labels) == len(self.names):
            raise DataError(
                f"{len(self.images)} images, {len(self.labels)} labels, {len(self.names)} names: give as many of each"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB and label (H, W) uint8; `DataError` or `LabelError` name the file at fault."""
        image, label = read_image(self.images[index]), self.read_label(self.labels[index])
        if image.shape[:2] != label.shape:
            transposed = image.shape[1::-1] == label.shape
            raise DataError(
                f"{self.images[index]} is {image.shape[1]}×{image.shape[0]} (width × height) and {self.labels[index]} "
                f"is {label.shape[1]}×{label.shape[0]}. {self.size_cure(index, transposed)}"
            )
        return image, label

    def size_cure(self, index: int, transposed: bool) -> str:
        """What to do about an image and a label of two sizes.

        Args:
            index: which pair.
            transposed: whether the one's width is the other's height.
        """
        turn = read_orientation(self.images[index]) if transposed else 1
        if turn != 1:
            return (
                f"The picture lies on its side and its EXIF orientation ({turn}) turns it upright; the label was drawn "
                "on it untold. Turn the label as the picture is turned, or save both anew upright; do not resize it."
            )
        if transposed:
            return "Width and height are exchanged: turn the label by 90° as the picture is turned; do not resize it."
        return "Resize the label (nearest neighbour), or pair the right files."

    def read_label(self, path: Path) -> np.ndarray:
        """One of the label files as (H, W) uint8: where a data set has files of its own kind."""
        return read_label(path, self.table)

    def __repr__(self) -> str:
        return f"Pairs({len(self)} pairs, {self.table.name})"


@dataclass(frozen=True)
class _Layout:
    """Where a folder of own data holds what.

    Attributes:
        root: its folder.
        images, labels: sub-folders of a split, as patterns.
        whole: sub-folders of images and of labels without splits, or with lists; ``None``: there are none.
        lists: the folder of ``SPLIT.txt``.
        beside: whether a label lies beside its image and is told by ``_mask``.
    """

    root: Path
    images: tuple[str, ...]
    labels: tuple[str, ...]
    whole: tuple[str, str] | None
    lists: Path
    beside: bool = False

    def splits(self) -> list[str]:
        """The usual splits that are there."""
        return [split for split in SPLITS if self.listing(split).is_file() or self.place(self.images, split)]

    def listing(self, split: str) -> Path:
        """The list of a split, which need not exist."""
        return self.lists / f"{split}.txt"

    def place(self, patterns: Sequence[str], split: str) -> Path | None:
        """The first folder of these that is there."""
        places = (self.root / pattern.format(split) for pattern in patterns)
        return next((place for place in places if place.is_dir()), None)

    def part(self, kind: str, split: str | None, listed: bool) -> Path:
        """The folder that holds the ``images`` (or ``labels``) of a split."""
        patterns = [*getattr(self, kind)] if split else []
        if self.whole is not None and (split is None or listed):
            patterns.append(self.whole[kind == "labels"])
        found = self.place(patterns, split or "")
        if found is not None:
            return found
        wanted = [pattern.format(split) for pattern in patterns] or [p.format("SPLIT") for p in getattr(self, kind)]
        splits = self.splits()
        if splits:
            cure = f"It has the splits {', '.join(splits)}: ask for one of them."
        else:
            held = sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))
            cure = f"Make it (the folder holds {first_few(held) or 'no folder'}), or check the path."
        raise DataError(f"{self.root}: no folder {' or '.join(wanted)}. {cure}")


def _layout(root: Path, images: str = "images", labels: str | None = None) -> _Layout:
    """The layout of a folder; `folder_pairs` lists them."""
    places = (images, *(f"{split}/{images}" for split in SPLITS))
    plain = any((root / place).is_dir() for place in places)
    if not plain and images == "images" and labels is None:
        for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
            if (folder / "JPEGImages").is_dir():
                whole = ("JPEGImages", "SegmentationClass")
                return _Layout(folder, (), (), whole, folder / "ImageSets" / "Segmentation")
        if any((root / f"{split}annot").is_dir() for split in SPLITS):
            return _Layout(root, ("{}",), ("{}annot",), None, root)
        if any(_masks_beside(folder) for folder in (root, *(root / split for split in SPLITS))):
            return _Layout(root, ("{}",), ("{}",), (".", "."), root, beside=True)
    kinds: tuple[str, ...] = (labels,) if labels else LABEL_FOLDERS
    found = [kind for kind in kinds if _holds_pictures(root, kind)]
    if len(found) > 1:
        both = " and ".join(found)
        raise DataError(f"{root}: has pictures in {both}. Keep the right labels in one, and move the other away.")
    kinds = tuple(found) or kinds
    label_places = [pattern for kind in kinds for pattern in (f"{{}}/{kind}", f"{kind}/{{}}")]
    return _Layout(root, (f"{{}}/{images}", f"{images}/{{}}"), tuple(label_places), (images, kinds[0]), root)


def _holds_pictures(root: Path, kind: str) -> bool:
    """Whether there are pictures in ``root/KIND``, ``root/KIND/SPLIT`` or ``root/SPLIT/KIND``."""
    places = [root / kind, *(root / kind / split for split in SPLITS), *(root / split / kind for split in SPLITS)]
    return any(path.suffix.lower() in SUFFIXES for place in places if place.is_dir() for path in place.iterdir())


def _masks_beside(folder: Path) -> bool:
    """Whether a folder holds labels beside their images, told by ``_mask``, as Roboflow writes them."""
    if not folder.is_dir():
        return False
    if (folder / CLASS_CSV).is_file():
        return True
    stems = {path.stem for path in folder.iterdir() if path.suffix.lower() in SUFFIXES}
    return any(f"{stem}_mask" in stems for stem in stems)


def _table(root: Path, layout: _Layout, classes: ClassTable | str | Path | None) -> ClassTable:
    """The classes that are given, or those that the folder itself names."""
    if isinstance(classes, ClassTable):
        return classes
    places = [folder / "classes.json" for folder in (root, layout.root)]
    file = classes or next((place for place in places if place.is_file()), None)
    listed = [place for place in (root, *(root / split for split in SPLITS)) if (place / CLASS_CSV).is_file()]
    if file is not None or not listed:
        return read_class_file(file or places[0])
    tables = [read_class_csv(place / CLASS_CSV) for place in listed]
    for place, table in zip(listed, tables, strict=True):
        if table != tables[0]:
            raise LabelError(
                f"{place / CLASS_CSV}: other classes or values than in {listed[0] / CLASS_CSV}. Export them together."
            )
    return tables[0]


def folder_pairs(
    root: str | Path,
    classes: ClassTable | str | Path | None = None,
    split: str | None = None,
    images: str = "images",
    labels: str | None = None,
) -> Pairs:
    """Any folder of images and labels, paired by stem.

    ``root/images/a.jpg`` belongs to ``root/labels/a.png``, or ``a_L.png`` and the other `LABEL_ENDINGS`; the labels'
    folder may be called ``masks``. With a split, the files lie in ``root/SPLIT/images``, ``root/images/SPLIT`` or
    ``root/images``, and ``root/SPLIT.txt``, where it exists, lists the names that count, in order (one per line; a line
    may also hold paths, of which the first counts).

    Where there is no ``images``, these layouts are read too: PASCAL VOC's (``JPEGImages``, ``SegmentationClass``,
    ``ImageSets/Segmentation/SPLIT.txt``), SegNet's (``SPLIT``, ``SPLITannot``) and Roboflow's (``a.jpg`` and
    ``a_mask.png`` in the folder or in ``SPLIT``, with ``_classes.csv``).

    Args:
        root: the folder.
        classes: class table or class file (see `edgeseg.data.class_file.read_class_file`); default
            ``root/classes.json``, or Roboflow's ``_classes.csv``.
        split: which part, e.g. ``"train"``.
        images: name of the folder of pictures.
        labels: name of the folder of labels; default ``labels`` or ``masks``, whichever is there.

    Raises:
        DataError: a folder is missing or empty, or an image or label has no partner or several; lists the first few.
        LabelError: the class file is missing or wrong.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Check the path.")
    layout = _layout(root, images, labels)
    table = _table(root, layout, classes)
    listing = layout.listing(split or "train")
    wanted = read_list(listing) if split and listing.is_file() else None
    if wanted is None and split is None and layout.splits() and layout.lists != root:
        raise DataError(f"{root}: it has the splits {', '.join(layout.splits())}: ask for one of them.")
    image_files = _by_stem(layout.part("images", split, listed=wanted is not None))
    label_files = _by_stem(layout.part("labels", split, listed=wanted is not None))
    if layout.beside:
        masks = {stem for stem in label_files if stem.endswith("_mask") and f"{stem}_mask" not in label_files}
        image_files = {stem: files for stem, files in image_files.items() if stem not in masks}
        label_files = {stem: files for stem, files in label_files.items() if stem in masks}
    label_files = _by_image(label_files, image_files)
    if wanted is None:
        wanted = sorted(image_files.keys() | label_files.keys())
    faults = [f"{name}: {fault}" for name in wanted if (fault := _fault(name, image_files, label_files))]
    if faults:
        raise DataError(
            f"{root}: {len(faults)} of {len(wanted)} names are not one image and one label: {'; '.join(faults[:5])}"
            f"{'; …' if len(faults) > 5 else ''}. Add or remove files, or list the names that count in "
            f"{layout.listing(split or 'train').relative_to(root).as_posix()} and ask for that split."
        )
    return Pairs([image_files[n][0] for n in wanted], [label_files[n][0] for n in wanted], table, wanted, split)


def find_splits(root: str | Path) -> list[str]:
    """The usual splits (train, val, test) that a folder has, as a list file or a sub-folder."""
    return _layout(Path(root)).splits()


def read_list(listing: Path) -> list[str]:
    """The names of a list file: one per line, or the stem of the line's first path; ``#`` starts a comment line.

    Raises:
        DataError: in no encoding that `edgeseg.files.read_text` reads, without a name, or with one twice; names it.
    """
    try:
        lines = [line.strip() for line in read_text(listing).splitlines()]
    except OSError as error:
        raise DataError(f"{listing}: cannot be read ({error.strerror}). Change its permissions.") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    names = [_listed_name(line) for line in lines if line and not line.startswith("#")]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{listing}: lists {len(twice)} name(s) twice ({first_few(twice)}). Remove the repeated lines.")
    if not names:
        raise DataError(f"{listing}: lists no name. Write one image name per line.")
    return names


def _listed_name(line: str) -> str:
    """``"a/frame.01.png b/frame.01.png"`` → ``"frame.01"``; ``"my photo"``, no picture file's name, stays whole."""
    first = line.split()[0]
    entry = first if first.lower().endswith(SUFFIXES) else line
    name = entry.replace("\\", "/").rsplit("/", 1)[-1]
    return name.rpartition(".")[0] if name.lower().endswith(SUFFIXES) else name


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """Stem → picture files of a folder; hidden files (macOS leaves some) do not count."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    if not found:
        raise DataError(f"{folder}: holds no picture ({', '.join(SUFFIXES)}). Put the files there, or check the path.")
    return found


def _by_image(label_files: dict[str, list[Path]], image_files: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Label files under the stem of the image that they belong to; under their own where there is none."""
    found: dict[str, list[Path]] = {}
    for stem, paths in label_files.items():
        owners = [stem.removesuffix(ending) for ending in ("", *LABEL_ENDINGS) if stem.endswith(ending)]
        owner = next((o for o in owners if o in image_files), stem)
        found.setdefault(owner, []).extend(paths)
    return found


def _fault(name: str, image_files: dict[str, list[Path]], label_files: dict[str, list[Path]]) -> str | None:
    for kind, files in (("image", image_files.get(name, [])), ("label", label_files.get(name, []))):
        if len(files) != 1:
            return f"no {kind}" if not files else f"{len(files)} {kind}s ({', '.join(p.name for p in files)})"
    return None
