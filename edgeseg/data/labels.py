"""Class tables: what a label file's values mean.

Inside the package a label is a (H, W) uint8 array of class ids 0…C−1, and 255 (`VOID`) where no class applies.
Files say it in other ways: CamVid's owners paint 32 colours, the SegNet copy writes 0…10 and 11 for void, Cityscapes
has 34 label ids of which 19 count. A `ClassTable` holds one such vocabulary and turns file values into class ids; a
value that the table does not know is an error, never a silent class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeseg.void import VOID

RGB = tuple[int, int, int]


class LabelError(ValueError):
    """A label file or class file holds something that its class table does not allow."""


@dataclass(frozen=True)
class ClassTable:
    """Names, colours and file codes of the classes of one data set.

    Args:
        name: short name, used in reports, e.g. ``"camvid11"``.
        names: the C class names; the position is the class id.
        colors: C RGB colours for pictures.
        ids: file value → class id or `VOID`, for single-channel label files. Default: 0…C−1 and 255.
        rgb: colour → class id or `VOID`, for colour-coded label files; empty when there are none.
        rgb_other: class id (or `VOID`) of a colour that `rgb` does not list; ``None`` makes it an error.
    """

    name: str
    names: tuple[str, ...]
    colors: tuple[RGB, ...]
    ids: Mapping[int, int] = field(default_factory=dict)
    rgb: Mapping[RGB, int] = field(default_factory=dict)
    rgb_other: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.names, str) or not all(isinstance(name, str) and name.strip() for name in self.names):
            raise LabelError(f"class table {self.name!r} has the names {self.names!r}; give texts that are not empty")
        if not 1 <= len(self.names) <= 254:
            raise LabelError(f"class table {self.name!r} has {len(self.names)} classes; 1 to 254 fit beside void = 255")
        if len(set(self.names)) != len(self.names):
            raise LabelError(f"class table {self.name!r} repeats a class name; give each class its own")
        if len(self.colors) != len(self.names):
            raise LabelError(f"class table {self.name!r} has {len(self.names)} names and {len(self.colors)} colours")
        if not self.ids:
            object.__setattr__(self, "ids", {**{i: i for i in range(len(self.names))}, VOID: VOID})
        bad = {v for v in (*self.ids.values(), *self.rgb.values()) if v != VOID and not 0 <= v < len(self.names)}
        if bad:
            last = len(self.names) - 1
            raise LabelError(f"class table {self.name!r} maps to class ids {sorted(bad)}; it has 0 to {last}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def palette(self) -> np.ndarray:
        """(256, 3) uint8: colour of every class id; void and unused ids are black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = self.colors
        return palette

    def index(self, name: str) -> int:
        """Class id of a class name, upper and lower case alike where only one class is meant then."""
        alike = [i for i, known in enumerate(self.names) if known.lower() == name.lower()]
        if name in self.names:
            return self.names.index(name)
        if len(alike) != 1:
            raise LabelError(f"no class {name!r} in {self.name}; it has {', '.join(self.names)}")
        return alike[0]

    def encode(self, raw: np.ndarray, source: str | Path = "label") -> np.ndarray:
        """File values to class ids.

        Args:
            raw: (H, W) integer (or bool) values, or (H, W, 3) uint8 colours; a fourth, alpha channel is ignored.
            source: the file's name, for the error message.

        Returns:
            (H, W) uint8, class ids and `VOID`.

        Raises:
            LabelError: a value or colour that the table does not list, or no label at all; names the file and the cure.
        """
        if raw.dtype == bool:  # a 1-bit image
            raw = raw.astype(np.uint8)
        if np.issubdtype(raw.dtype, np.integer) and raw.ndim == 2:
            return self._encode_ids(raw, source)
        if raw.dtype == np.uint8 and raw.ndim == 3 and raw.shape[2] in (3, 4):
            return self._encode_rgb(raw, source)
        raise LabelError(
            f"{source}: no label (shape {raw.shape}, {raw.dtype}); give (H, W) integers or (H, W, 3) uint8 colours"
        )

    def encode_indexed(self, raw: np.ndarray, palette: np.ndarray, source: str | Path = "label") -> np.ndarray:
        """Palette indices to class ids: as file values, or by their colours where those say something else.

        A label painted in a drawing program has a palette in whatever order the program found; its indices mean nothing
        then, and its colours are the classes'. Where no colour in use is a class's, the indices are the file values.

        Args:
            raw: (H, W) uint8 indices.
            palette: (256, 3) uint8 colour of each index.
            source: the file's name, for the error message.

        Returns:
            (H, W) uint8, class ids and `VOID`.

        Raises:
            LabelError: as `encode`; or colours contradict indices, and some colour in use is no class's either.
        """
        if not self.rgb or self.rgb_other is not None:
            return self._encode_ids(raw, source)
        used = np.flatnonzero(np.bincount(raw.ravel(), minlength=256)).tolist()
        colors = {index: (int(r), int(g), int(b)) for index, (r, g, b) in enumerate(palette)}
        shown = {index: self.rgb.get(colors[index]) for index in used}
        wrong = [index for index in used if self._contradicts(index, colors, used)]
        if not wrong:
            return self._encode_ids(raw, source)
        lut = np.full(256, VOID, np.uint8)
        for index, class_id in shown.items():
            if self.ids.get(index) == VOID and index not in wrong:
                continue  # void stays void, whatever colour shows it
            if class_id is None or self.ids.get(index) == VOID or not self._painted(colors):
                first, owner = wrong[0], self._owner(shown[wrong[0]])
                raise LabelError(
                    f"{source}: its palette contradicts the classes: value {first} stands for "
                    f"{self._owner(self.ids.get(first))} and has the colour of {owner}, {colors[first]}; "
                    f"by colour alone it cannot be read, as value {index} has {colors[index]}. Save it as grey with "
                    "the file values, or as RGB in the classes' colours; or correct the colours of the class file."
                )
            lut[index] = class_id
        return lut[raw]

    def _contradicts(self, index: int, colors: Mapping[int, RGB], used: Sequence[int]) -> bool:
        """Whether an index stands for something else than the class whose colour shows it."""
        class_id, value = self.rgb.get(colors[index]), self.ids.get(index)
        if class_id is None or class_id == value:
            return False
        # void's entry is seldom set: what is black, or has a colour that another value in use has, says nothing
        unset = colors[index] == (0, 0, 0) or sum(colors[other] == colors[index] for other in used) > 1
        return not (value == VOID and unset)

    def _painted(self, colors: Mapping[int, RGB]) -> bool:
        """Whether a palette is in another order than the classes; one that is merely left black in places is not."""
        return any(
            self.rgb.get(color) not in (None, self.ids.get(i)) for i, color in colors.items() if color != (0, 0, 0)
        )

    def _owner(self, class_id: int | None) -> str:
        return "no class" if class_id is None else "void" if class_id == VOID else repr(self.names[class_id])

    def _encode_ids(self, raw: np.ndarray, source: str | Path) -> np.ndarray:
        low, high = (int(raw.min()), int(raw.max())) if raw.size else (0, 0)
        lut = np.full(256, 254, np.uint8)  # 254 is no class id: __post_init__ allows ids 0…253
        for value, class_id in self.ids.items():
            if 0 <= value <= 255:
                lut[value] = class_id
        if low >= 0 and high <= 255:
            out = lut[raw]
            if not (out == 254).any():
                return out
        strange = sorted(int(v) for v in np.unique(raw) if not 0 <= v <= 255 or lut[v] == 254)
        cure = "Is this the right class table, and a label rather than a colour or instance map?"
        if strange == [VOID]:
            cure = f'Where {VOID} is a class, its class file needs "id": {VOID} and "void": []; else "void": [{VOID}].'
        raise LabelError(
            f"{source}: value(s) {strange[:8]} are no label of {self.name} ({len(self)} classes; it knows "
            f"{_ranges(self.ids)}). {cure}"
        )

    def _encode_rgb(self, raw: np.ndarray, source: str | Path) -> np.ndarray:
        if not self.rgb:
            raise LabelError(
                f"{source}: a colour label, but {self.name} lists no label colours. Give single-channel labels with "
                f"values {_ranges(self.ids)}, or a class file whose classes have colours."
            )
        colors = sorted(self.rgb)
        keys, values = _color_codes(np.array(colors)), np.array([self.rgb[color] for color in colors], np.uint8)
        codes = _color_codes(raw)
        place = np.searchsorted(keys, codes).clip(max=len(keys) - 1)
        known = keys[place] == codes
        if self.rgb_other is not None:
            return np.where(known, values[place], np.uint8(self.rgb_other))
        if not known.all():
            first = tuple(raw[~known][0, :3].tolist())
            raise LabelError(
                f"{source}: colour {first} is no label of {self.name} ({(~known).sum()} pixels). Was the label saved "
                "as JPEG or resized with interpolation?"
            )
        return values[place]


def _color_codes(colors: np.ndarray) -> np.ndarray:
    """(…, 3 or 4) colours → (…) uint32, one number each and in the colours' order."""
    red, green, blue = (colors[..., channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _ranges(values: Iterable[int]) -> str:
    """``[0, 1, 2, 3, 255]`` → ``"0-3, 255"``."""
    runs: list[list[int]] = []
    for v in sorted(values):
        if runs and v == runs[-1][1] + 1:
            runs[-1][1] = v
        else:
            runs.append([v, v])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


# two lists of classes -------------------------------------------------------------------------------------------------


def class_lookup(known: Sequence[str], wanted: Sequence[str]) -> np.ndarray | None:
    """Where each of the known classes stands among the wanted ones. Names are compared, never their number.

    Args:
        known: class names in the order of their ids, e.g. a model's.
        wanted: the same of what it meets, e.g. a data set.

    Returns:
        (256,) uint8: id among ``known`` → id of the same name among ``wanted``; all others, void too, stay what they
        are. ``None`` where the names are not the same.
    """
    if sorted(known) != sorted(wanted):
        return None
    lookup = np.arange(256, dtype=np.uint8)
    lookup[: len(known)] = [wanted.index(name) for name in known]
    return lookup


def match_classes(
    known: Sequence[str], wanted: Sequence[str], knower: str, wanter: str, cure: str, any_order: bool = False
) -> np.ndarray:
    """The lookup of `class_lookup`, or an error that shows both lists: every meeting of two class lists comes here.

    Args:
        known, wanted: class names in the order of their ids.
        knower, wanter: whose they are, for the message.
        cure: a sentence on what to do, for the message.
        any_order: whether another order will do, because the caller maps by the lookup.

    Raises:
        LabelError: other names, or, unless ``any_order``, the same names in another order.
    """
    lookup = class_lookup(known, wanted)
    if lookup is not None and (any_order or tuple(known) == tuple(wanted)):
        return lookup
    reordered = "" if lookup is None else " (the same names in another order)"
    lists = (", ".join(names) or "no class names" for names in (known, wanted))
    raise LabelError(f"other classes: {knower} has {next(lists)}; {wanter} has {next(lists)}{reordered}. {cure}")


# CamVid ---------------------------------------------------------------------------------------------------------------

_CAMVID_COLORS: tuple[RGB, ...] = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
_CAMVID_NAMES = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip

# The owners' 32 classes: name → (colour in their label files, class of definition A, head class?). Definition A groups
# them (SegNet, MATLAB); B keeps the eleven head colours only and voids the rest (PIDNet, RegSeg).
CAMVID32: dict[str, tuple[RGB, str | None, bool]] = {
    "Animal": ((64, 128, 64), "Pedestrian", False),
    "Archway": ((192, 0, 128), "Building", False),
    "Bicyclist": ((0, 128, 192), "Bicyclist", True),
    "Bridge": ((0, 128, 64), "Building", False),
    "Building": ((128, 0, 0), "Building", True),
    "Car": ((64, 0, 128), "Car", True),
    "CartLuggagePram": ((64, 0, 192), "Pedestrian", False),
    "Child": ((192, 128, 64), "Pedestrian", False),
    "Column_Pole": ((192, 192, 128), "Pole", True),
    "Fence": ((64, 64, 128), "Fence", True),
    "LaneMkgsDriv": ((128, 0, 192), "Road", False),
    "LaneMkgsNonDriv": ((192, 0, 64), "Road", False),
    "Misc_Text": ((128, 128, 64), "SignSymbol", False),
    "MotorcycleScooter": ((192, 0, 192), "Bicyclist", False),
    "OtherMoving": ((128, 64, 64), "Car", False),
    "ParkingBlock": ((64, 192, 128), "Pavement", False),
    "Pedestrian": ((64, 64, 0), "Pedestrian", True),
    "Road": ((128, 64, 128), "Road", True),
    "RoadShoulder": ((128, 128, 192), "Pavement", False),
    "Sidewalk": ((0, 0, 192), "Pavement", True),
    "SignSymbol": ((192, 128, 128), "SignSymbol", True),
    "Sky": ((128, 128, 128), "Sky", True),
    "SUVPickupTruck": ((64, 128, 192), "Car", False),
    "TrafficCone": ((0, 0, 64), "Pole", False),
    "TrafficLight": ((0, 64, 64), "SignSymbol", False),
    "Train": ((192, 64, 128), "Car", False),
    "Tree": ((128, 128, 0), "Tree", True),
    "Truck_Bus": ((192, 128, 192), "Car", False),
    "Tunnel": ((64, 0, 64), "Building", False),
    "VegetationMisc": ((192, 192, 0), "Tree", False),
    "Void": ((0, 0, 0), None, False),
    "Wall": ((64, 192, 0), "Building", False),
}


def _camvid_class(raw_name: str, definition: str) -> int:
    _, grouped, is_head = CAMVID32[raw_name]
    if grouped is None or (definition == "B" and not is_head):
        return VOID
    return _CAMVID_NAMES.index(grouped)


def camvid(definition: str = "A") -> ClassTable:
    """CamVid's 11 classes, for colour-coded owner files and for the 480×360 copy (0…10, void 11).

    Args:
        definition: ``"A"``, grouped: all 32 raw classes but Void count (SegNet, MATLAB; this project's default);
            ``"B"``, exact: only the eleven head colours count (PIDNet, RegSeg; easier). Never compare an A with a B.
    """
    if definition not in ("A", "B"):
        raise LabelError(f"CamVid definition {definition!r}: choose 'A' (grouped, default) or 'B' (exact 11)")
    rgb = {color: _camvid_class(raw, definition) for raw, (color, _, _) in CAMVID32.items()}
    ids = {**{i: i for i in range(11)}, 11: VOID, VOID: VOID}
    # "any colour not listed" is void by both definitions: one owner file holds anti-aliased colours
    return ClassTable(f"camvid11{definition}", _CAMVID_NAMES, _CAMVID_COLORS, ids=ids, rgb=rgb, rgb_other=VOID)


def camvid_from_codes(codes: Sequence[str], definition: str = "A") -> ClassTable:
    """CamVid's 11 classes for index labels whose values are line numbers of a ``codes.txt`` (fast.ai's archive)."""
    strange = [c for c in codes if c not in CAMVID32]
    if strange:
        raise LabelError(f"codes.txt names {strange[:5]}, no CamVid classes; use the codes.txt of the archive")
    ids = {i: _camvid_class(code, definition) for i, code in enumerate(codes)}
    return ClassTable(f"camvid11{definition}", _CAMVID_NAMES, _CAMVID_COLORS, ids=ids)


CAMVID = camvid("A")

# Cityscapes -----------------------------------------------------------------------------------------------------------

# trainId → (name, labelId in *_labelIds.png, colour); all other label ids (and −1) are void
_CITYSCAPES: tuple[tuple[str, int, RGB], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
_CITYSCAPES_LABEL_IDS = {**dict.fromkeys((*range(34), VOID), VOID), **{c[1]: i for i, c in enumerate(_CITYSCAPES)}}

CITYSCAPES = ClassTable("cityscapes19", tuple(c[0] for c in _CITYSCAPES), tuple(c[2] for c in _CITYSCAPES))
"""Cityscapes' 19 classes for ``*_labelTrainIds.png`` files (0…18, void 255)."""

CITYSCAPES_LABEL_IDS = ClassTable("cityscapes19", CITYSCAPES.names, CITYSCAPES.colors, ids=_CITYSCAPES_LABEL_IDS)
"""The same 19 classes for ``*_labelIds.png`` files (0…33): what torchvision's Cityscapes reader returns."""

_CITYSCAPES20_COLORS = (*CITYSCAPES.colors, (0, 0, 0))
_BACKGROUND = len(CITYSCAPES)

CITYSCAPES20 = ClassTable(
    "cityscapes20",
    (*CITYSCAPES.names, "background"),
    _CITYSCAPES20_COLORS,
    ids={**{i: i for i in range(_BACKGROUND)}, VOID: _BACKGROUND},
)
"""The Improved-HRNet paper's 20 classes for ``*_labelTrainIds.png`` files: the 19, and background as the last, which is
all that is void in the 19. Nothing is void then, and a 20-class mean does not compare with a 19-class mean."""

CITYSCAPES20_LABEL_IDS = ClassTable(
    "cityscapes20",
    CITYSCAPES20.names,
    _CITYSCAPES20_COLORS,
    ids={value: _BACKGROUND if class_id == VOID else class_id for value, class_id in _CITYSCAPES_LABEL_IDS.items()},
)
"""The same 20 classes for ``*_labelIds.png`` files."""

# PASCAL VOC -----------------------------------------------------------------------------------------------------------

_VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def bit_palette(n: int) -> tuple[RGB, ...]:
    """The first n colours of PASCAL VOC's palette: an id's bits spread over R, G and B. Also used for own classes."""
    colors = []
    for i in range(n):
        r = g = b = 0
        for bit in range(8):
            r |= (i >> (3 * bit) & 1) << (7 - bit)
            g |= (i >> (3 * bit + 1) & 1) << (7 - bit)
            b |= (i >> (3 * bit + 2) & 1) << (7 - bit)
        colors.append((r, g, b))
    return tuple(colors)


VOC = ClassTable("voc21", _VOC_NAMES, bit_palette(21))
"""PASCAL VOC's 21 classes, background included (0…20, border 255)."""
