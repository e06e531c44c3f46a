"""Image and label files of every kind, good and bad; folders of pairs."""

import json
import os
import pickle
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal as assert_equal
from PIL import Image

from edgeseg.data.labels import CAMVID, VOID, ClassTable, LabelError
from edgeseg.data.pairs import DataError, Pairs, find_splits, folder_pairs, read_image, read_label
from picture_files import save

TABLE = ClassTable("three", ("road", "car", "sky"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
IDS = np.array([[0, 1, 2], [2, VOID, 0]], np.uint8)


def png(path: Path, rows: list[bytes], width: int, bits: int, color: int) -> Path:
    """A PNG of any bit depth, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


# images ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm"])
def test_an_rgb_file_is_read_exactly_and_may_be_written_to(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a.{suffix}", RGB))
    assert image.dtype == np.uint8
    assert np.array_equal(image, RGB)
    image[:] = 0  # torch.from_numpy wants a writable array


def test_a_cmyk_jpeg_becomes_rgb_of_the_same_look(tmp_path):
    red = Image.new("RGB", (16, 16), (200, 30, 40))
    image = read_image(save(tmp_path / "a.jpg", red.convert("CMYK"), quality=95))
    assert np.abs(image.astype(int) - np.array([200, 30, 40])).max() < 12


def test_16_bit_values_keep_their_high_byte_in_grey_and_colour_alike(tmp_path):
    values = np.array([[0, 255, 256], [511, 32768, 65535]], np.uint16)
    want = (values >> 8).astype(np.uint8)
    grey = read_image(save(tmp_path / "grey.png", values))
    assert np.array_equal(grey, np.repeat(want[..., None], 3, axis=2))
    rows = [np.repeat(row, 3).astype(">u2").tobytes() for row in values]
    assert np.array_equal(read_image(png(tmp_path / "color.png", rows, 3, 16, 2)), grey)
    assert np.array_equal(read_image(save(tmp_path / "grey.tiff", values)), grey)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_not_spoil_a_sound_picture(tmp_path):
    path = save(tmp_path / "a.jpg", Image.new("RGB", (8, 8), (9, 9, 9)), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_image(path).shape == (8, 8, 3)


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name → file that cannot be read, and the words that say so."""
    big = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    whole_png, whole_jpg = save(folder / "whole.png", big).read_bytes(), save(folder / "whole.jpg", big).read_bytes()
    content = {
        "empty.png": (b"", "is empty"),
        "truncated.png": (whole_png[: len(whole_png) // 2], "truncated or corrupt"),
        "truncated.jpg": (whole_jpg[: len(whole_jpg) // 2], "truncated or corrupt"),
        "header_only.png": (whole_png[:40], "truncated or corrupt|not a picture"),
        "flipped.png": (whole_png[:200] + bytes(500) + whole_png[700:], "truncated or corrupt"),
        "text.png": (b"this is no picture", "not a picture"),
        "page.jpg": (b"<html>404 not found</html>", "not a picture"),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not a picture"),
    }
    for name, (data, _) in content.items():
        (folder / name).write_bytes(data)
    found = {name: (folder / name, words) for name, (_, words) in content.items()}
    found["missing"] = folder / "missing.png", "no such file"
    found["folder"] = folder, "is a folder"
    return found


@pytest.mark.parametrize("read", [read_image, lambda path: read_label(path, TABLE)], ids=["image", "label"])
def test_a_file_that_cannot_be_read_is_named_with_the_cure(tmp_path, read):
    for path, words in bad_files(tmp_path).values():
        if path.suffix == ".jpg" and "truncated" in words and read is not read_image:
            continue  # a label of that kind is refused before it is decoded
        with pytest.raises(DataError, match=f"(?s)^{path}: .*({words}).*\\.$"):
            read(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_huge_picture_is_refused_before_it_is_unpacked(tmp_path, side):
    path = png(tmp_path / "huge.png", [b"\0"], side, 1, 0)
    head = bytearray(path.read_bytes())
    head[20:24] = struct.pack(">I", side)
    head[29:33] = struct.pack(">I", zlib.crc32(bytes(head[12:29])))
    path.write_bytes(head)
    with pytest.raises(DataError, match=r"huge.png: too large to be read .*Cut it into tiles"):
        read_image(path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user that permissions bind")
def test_a_file_without_permission_says_so(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    path.chmod(0)
    with pytest.raises(DataError, match="may not be read"):
        read_image(path)


# one picture as a file, as Pillow opens it, and in memory -------------------------------------------------------------

MODES = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16L",
    "I;16B", "I;16N", "F",
)  # fmt: skip
LOSSLESS = ("png", "tiff", "bmp", "gif", "ppm")
MODES_OF_16_BITS = [mode for mode in MODES if mode.startswith("I;16")]


def picture_of_mode(mode):
    """A coloured ramp, where the mode has alpha half of it half transparent; 16 bits: with a high and a low byte."""
    rows, columns = np.mgrid[0:40, 0:56]
    rgb = Image.fromarray(np.stack([rows * 6, columns * 4, 255 - rows * 3], 2).astype(np.uint8))
    if mode in MODES_OF_16_BITS:
        values = (rows * 1500 + columns).astype(">u2" if mode == "I;16B" else "<u2")
        return Image.frombytes(mode, (56, 40), values.tobytes())
    if mode in ("La", "RGBa", "LA", "RGBA"):
        clear = rgb.convert(mode.upper())
        clear.putalpha(Image.fromarray((255 - (columns > 28) * 127).astype(np.uint8)))
        return clear.convert(mode)
    return {"PA": rgb.convert("P"), "I": rgb.convert("L"), "F": rgb.convert("L")}.get(mode, rgb).convert(mode)


def outcome(image):
    """Pixels, or the words with which the picture is refused, without its name."""
    try:
        return read_image(image).tolist()
    except DataError as refusal:
        return str(refusal).rpartition(": ")[2]


def write(picture, path, **options):
    """The file; ``None`` where Pillow has no way to write this mode in this format."""
    try:
        picture.save(path, **options)
    except (OSError, ValueError, KeyError):
        return None
    return path


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_the_same_as_a_file_and_as_pillow_opens_it(tmp_path, mode):
    picture = picture_of_mode(mode)
    assert picture.mode == mode
    before = picture.tobytes()
    for suffix in (*LOSSLESS, "jpg", "webp"):
        path = write(picture, tmp_path / f"a.{suffix}")
        if path is not None:
            with Image.open(path) as opened:
                assert outcome(opened) == outcome(path), suffix
                # "I" in memory may hold anything; in a PPM file it is 16-bit grey
                same = opened.mode == mode and opened.tobytes() == before and (mode, suffix) != ("I", "ppm")
                if suffix in LOSSLESS and same:
                    assert outcome(picture) == outcome(path), suffix
    assert (picture.mode, picture.tobytes()) == (mode, before)


@pytest.mark.parametrize("mode", sorted({*MODES} - {"1", "P", "PA", "I", "F", *MODES_OF_16_BITS}))
def test_a_picture_of_any_mode_shows_its_colours(mode):
    rgb = picture_of_mode("RGB")
    want = np.asarray(rgb.convert("L").convert("RGB") if mode in ("L", "LA", "La") else rgb)
    off = np.abs(read_image(picture_of_mode(mode)).astype(int) - want)
    assert off.mean() < 3, "alpha is dropped, never mixed in"


@pytest.mark.parametrize("mode", MODES_OF_16_BITS)
def test_16_bit_pictures_keep_their_high_byte_however_they_come(mode):
    rows, columns = np.mgrid[0:40, 0:56]
    want = ((rows * 1500 + columns) >> 8).astype(np.uint8)
    assert_equal(read_image(picture_of_mode(mode)), want[..., None].repeat(3, 2))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pictures_of_unknown_range_are_refused_however_they_come(tmp_path, mode):
    path = write(picture_of_mode(mode), tmp_path / "depth.tiff")
    with Image.open(path) as opened:
        for image in (path, opened, picture_of_mode(mode)):
            with pytest.raises(DataError, match="values of unknown range. Save it with 8 bits"):
                read_image(image)


@pytest.mark.parametrize("transparency", [0, bytes(range(0, 250, 10))])
def test_palette_pictures_with_transparency_keep_their_colours(tmp_path, transparency):
    palette = picture_of_mode("RGB").quantize(25)
    want = np.asarray(palette.convert("RGB"))
    path = write(palette, tmp_path / "a.png", transparency=transparency)
    with warnings.catch_warnings(), Image.open(path) as opened:
        warnings.simplefilter("error")
        assert_equal(read_image(path), want)
        assert_equal(read_image(opened), want)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied_however_a_picture_comes_and_the_picture_stays(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = read_image(save(tmp_path / f"plain.{suffix}", RGB))
    turned = plain.transpose(1, 0, 2)
    want = {
        1: plain, 2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1],
        5: turned, 6: turned[:, ::-1], 7: turned[::-1, ::-1], 8: turned[::-1],
    }[orientation]  # fmt: skip
    path = save(tmp_path / f"phone.{suffix}", RGB, exif=exif)
    assert_equal(read_image(path), want)
    with Image.open(path) as opened:
        before = (opened.size, opened.tobytes(), dict(opened.getexif()))
        for _ in range(2):  # the first reading must not turn it for the second
            assert_equal(read_image(opened), want)
        assert (opened.size, opened.tobytes(), dict(opened.getexif())) == before


@pytest.mark.parametrize("suffix", ["gif", "tiff"])
def test_of_many_pictures_in_a_file_the_first_counts_and_of_an_open_one_that_which_it_shows(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), color) for color in ((250, 0, 0), (0, 250, 0))]
    path = tmp_path / f"many.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as opened:
        assert_equal(read_image(opened), read_image(path))
        assert read_image(path)[0, 0].tolist() == [250, 0, 0]
        opened.seek(1)
        assert read_image(opened)[0, 0].tolist() == [0, 250, 0]
        assert opened.tell() == 1


def test_a_damaged_picture_is_named_when_pillow_has_opened_it_too(tmp_path):
    whole = save(tmp_path / "whole.png", np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with (
        Image.open(tmp_path / "half.png") as opened,
        pytest.raises(DataError, match=r"half.png: truncated or corrupt"),
    ):
        read_image(opened)


# labels ---------------------------------------------------------------------------------------------------------------


def test_grey_palette_and_16_bit_labels_give_the_same_ids(tmp_path):
    palette = Image.fromarray(IDS).convert("P")
    palette.putpalette(list(np.random.default_rng(2).integers(0, 256, 768)))
    for name, picture in {
        "grey.png": IDS,
        "palette.png": palette,
        "bits16.png": IDS.astype(np.uint16),
        "bits16.tiff": IDS.astype(np.uint16),
        "bits32.tiff": IDS.astype(np.int32),
        "grey.bmp": IDS,
        "alpha.png": np.dstack([IDS, np.full_like(IDS, 255)]),
    }.items():
        label = read_label(save(tmp_path / name, picture), TABLE)
        assert label.dtype == np.uint8, name
        assert np.array_equal(label, IDS), name


def test_a_palette_in_another_order_than_the_classes_is_read_by_colour(tmp_path):
    table = ClassTable("own", ("bg", "lane"), ((0, 0, 0), (255, 0, 0)), rgb={(0, 0, 0): 0, (255, 0, 0): 1})
    picture = Image.fromarray(np.uint8([[1, 1, 0]]))
    picture.putpalette([255, 0, 0, 0, 0, 0])
    for name, kept in {"a.png": picture, "a.bmp": picture, "a.gif": picture, "pa.tiff": picture}.items():
        assert read_label(save(tmp_path / name, kept), table).tolist() == [[0, 0, 1]], name


def test_a_gif_is_read_by_its_greys_or_colours_as_its_writers_reorder_palettes(tmp_path):
    ids = np.array([[0, 2, 2, VOID]], np.uint8)
    assert read_label(save(tmp_path / "grey.gif", ids), TABLE).tolist() == ids.tolist()
    picture = Image.fromarray(ids)
    picture.putpalette(list(np.random.default_rng(2).integers(0, 256, 768)))
    with pytest.raises(DataError, match=r"color.gif: a GIF, whose writers reorder palettes.*Save labels as PNG"):
        read_label(save(tmp_path / "color.gif", picture), TABLE)


@pytest.mark.parametrize(
    ("bits", "row", "values"), [(1, 0b01100000, [0, 1, 1]), (2, 0b00100100, [0, 2, 1, 0]), (4, 0x12, [1, 2])]
)
def test_labels_packed_in_few_bits_keep_their_values(tmp_path, bits, row, values):
    path = png(tmp_path / "packed.png", [bytes([row])], len(values), bits, 0)
    assert read_label(path, TABLE).tolist() == [values]


def test_colour_labels_go_through_the_class_table(tmp_path):
    colors = np.array([[CAMVID.colors[3], (0, 0, 192), (0, 0, 0), (128, 0, 192)]], np.uint8)
    assert read_label(save(tmp_path / "a.png", colors), CAMVID).tolist() == [[3, 4, VOID, 3]]
    rgba = np.dstack([colors, np.full((1, 4), 255, np.uint8)])
    assert read_label(save(tmp_path / "b.png", rgba), CAMVID).tolist() == [[3, 4, VOID, 3]]


@pytest.mark.parametrize("value", [3, 254, 300])
def test_a_label_value_out_of_range_names_its_file(tmp_path, value):
    path = save(tmp_path / "bad.png", np.full((2, 2), value, np.uint16))
    with pytest.raises(LabelError, match=rf"bad.png: value\(s\) \[{value}\]"):
        read_label(path, TABLE)


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [("a.jpg", "L", "saved as JPEG"), ("a.tiff", "F", "mode F"), ("a.tiff", "CMYK", "mode CMYK")],
)
def test_a_label_in_an_unfit_format_is_refused(tmp_path, name, mode, words):
    path = save(tmp_path / name, Image.new(mode, (4, 4)))
    with pytest.raises(DataError, match=words + ".*Save labels as"):
        read_label(path, TABLE)


# pairs ----------------------------------------------------------------------------------------------------------------


def make_folder(root: Path, names=("a", "b", "c"), size=(4, 6), ending="", classes=True) -> Path:
    for name in names:
        save(root / "images" / f"{name}.png", np.full((*size, 3), 100, np.uint8))
        save(root / "labels" / f"{name}{ending}.png", np.zeros(size, np.uint8))
    if classes:
        (root / "classes.json").write_text(json.dumps({"classes": [{"name": n} for n in TABLE.names]}))
    return root


def test_pairs_are_a_sequence_with_names_and_table_that_pickles(tmp_path):
    ds = folder_pairs(make_folder(tmp_path))
    again = pickle.loads(pickle.dumps(ds))
    for pairs in (ds, again):
        assert len(pairs) == 3
        assert list(pairs.names) == ["a", "b", "c"]
        assert pairs.table.names == TABLE.names
        image, label = pairs[np.int64(-1)]
        assert (image.shape, image.dtype, label.shape, label.dtype) == ((4, 6, 3), np.uint8, (4, 6), np.uint8)
    with pytest.raises(IndexError):
        ds[3]
    assert len(list(ds)) == 3


def test_files_are_read_only_when_asked_for(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    ds = Pairs([tmp_path / "a.png"], [tmp_path / "nowhere.png"], TABLE)
    assert len(ds) == 1
    with pytest.raises(DataError, match="is empty"):
        ds[0]


def test_image_and_label_of_two_sizes_name_both(tmp_path):
    image = save(tmp_path / "a.png", RGB)
    label = save(tmp_path / "a_L.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(DataError, match=r"a.png is 6×4 .*a_L.png is 5×4. Resize the label"):
        Pairs([image], [label], TABLE)[0]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_label_that_exif_has_not_turned_is_not_to_be_resized(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = save(tmp_path / "a.jpg", RGB, exif=exif)
    label = save(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(DataError, match=rf"a.jpg is 4×6 .*its EXIF orientation .{orientation}. turns .*do not resize"):
        Pairs([image], [label], TABLE)[0]
    assert Pairs([image], [save(tmp_path / "a.png", np.zeros((6, 4), np.uint8))], TABLE)[0][1].shape == (6, 4)


def test_a_label_on_its_side_is_not_to_be_resized(tmp_path):
    image = save(tmp_path / "a.png", RGB)
    label = save(tmp_path / "a_L.png", np.zeros((6, 4), np.uint8))
    with pytest.raises(DataError, match="turn the label by 90° .*do not resize it"):
        Pairs([image], [label], TABLE)[0]


def test_unequal_numbers_of_files_are_refused():
    with pytest.raises(DataError, match="2 images, 1 labels"):
        Pairs(["a", "b"], ["a"], TABLE)


@pytest.mark.parametrize("ending", ["", "_L", "_P", "_label", "_labelIds", "_gtFine_labelTrainIds"])
def test_usual_label_endings_are_matched(tmp_path, ending):
    ds = folder_pairs(make_folder(tmp_path, ending=ending))
    assert [p.name for p in ds.labels] == [f"{n}{ending}.png" for n in "abc"]


def test_an_image_whose_name_looks_like_a_label_ending_keeps_its_own_label(tmp_path):
    ds = folder_pairs(make_folder(tmp_path, names=("a", "a_L", "x.y")))
    assert [(i.stem, t.stem) for i, t in zip(ds.images, ds.labels, strict=True)] == [
        ("a", "a"),
        ("a_L", "a_L"),
        ("x.y", "x.y"),
    ]


def test_hidden_files_and_other_files_do_not_count(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "images" / "._a.png").write_bytes(b"macOS")
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"Windows")
    (tmp_path / "labels" / ".DS_Store").write_bytes(b"macOS")
    assert len(folder_pairs(tmp_path)) == 3


def test_a_missing_partner_and_a_second_one_are_listed(tmp_path):
    make_folder(tmp_path, names="abcdefghij")
    (tmp_path / "labels" / "a.png").unlink()
    (tmp_path / "images" / "b.png").unlink()
    save(tmp_path / "labels" / "c_L.png", IDS)
    with pytest.raises(
        DataError, match=r"3 of 10 .*a: no label; b: no image; c: 2 labels \(c.png, c_L.png\)\. Add or remove"
    ):
        folder_pairs(tmp_path)
    for name in "defghij":
        (tmp_path / "labels" / f"{name}.png").unlink()
    with pytest.raises(DataError, match="e: no label; …"):
        folder_pairs(tmp_path)


def test_masks_beside_images_are_labels_and_two_kinds_of_labels_are_refused(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "masks")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("boxes")
    assert {path.parent.name for path in folder_pairs(tmp_path).labels} == {"masks"}
    save(tmp_path / "labels" / "a.png", IDS)
    with pytest.raises(DataError, match="has pictures in labels and masks. Keep the right labels in one"):
        folder_pairs(tmp_path)
    for split in ("train", "val"):
        save(tmp_path / "split" / split / "images" / "a.png", RGB)
        save(tmp_path / "split" / split / "masks" / "a_mask.png", np.zeros((4, 6), np.uint8))
    assert find_splits(tmp_path / "split") == ["train", "val"]
    assert folder_pairs(tmp_path / "split", TABLE, "val").labels == (tmp_path / "split/val/masks/a_mask.png",)


def test_a_folder_of_labels_under_another_name_is_named(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "annotations")
    with pytest.raises(DataError, match=r"no folder labels. Make it .the folder holds annotations, images"):
        folder_pairs(tmp_path)


def make_voc(root: Path, names=("a", "b", "c")) -> Path:
    for name in names:
        save(root / "JPEGImages" / f"{name}.jpg", np.full((4, 6, 3), 100, np.uint8))
        save(root / "SegmentationClass" / f"{name}.png", np.full((4, 6), 1, np.uint8))
    for split, part in {"train": names[:-1], "val": names[-1:]}.items():
        (root / "ImageSets" / "Segmentation").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(part))
    return root


@pytest.mark.parametrize("inner", ["", "VOCdevkit/VOC2012"])
def test_own_classes_in_vocs_folders_are_own_classes(tmp_path, inner):
    make_voc(tmp_path / inner)
    (tmp_path / "classes.json").write_text('{"classes": ["bg", "lane"]}')
    assert find_splits(tmp_path) == ["train", "val"]
    assert folder_pairs(tmp_path, split="train").names == ("a", "b")
    assert folder_pairs(tmp_path, split="val").table.names == ("bg", "lane")
    with pytest.raises(DataError, match="it has the splits train, val: ask for one"):
        folder_pairs(tmp_path)


def test_segnets_folders_are_read_as_own_data(tmp_path):
    for split in ("train", "val"):
        save(tmp_path / split / f"{split}0.png", RGB)
        save(tmp_path / f"{split}annot" / f"{split}0.png", np.zeros((4, 6), np.uint8))
    assert find_splits(tmp_path) == ["train", "val"]
    assert folder_pairs(tmp_path, TABLE, "val").names == ("val0",)


def make_roboflow(folder: Path, rows="Pixel Value, Class\n0, background\n1, lane\n") -> Path:
    save(folder / "x.rf.1.jpg", RGB)
    save(folder / "x.rf.1_mask.png", np.full((4, 6), 1, np.uint8))
    (folder / "_classes.csv").write_text(rows)
    return folder


def test_roboflows_masks_beside_their_pictures_are_read_with_its_classes(tmp_path):
    for split in ("train", "valid"):
        make_roboflow(tmp_path / split)
    assert find_splits(tmp_path) == ["train", "valid"]
    ds = folder_pairs(tmp_path, split="valid")
    assert (ds.table.names, ds.names) == (("background", "lane"), ("x.rf.1",))
    assert (ds[0][1] == 1).all()
    assert len(folder_pairs(make_roboflow(tmp_path / "flat"))) == 1
    (tmp_path / "valid" / "_classes.csv").write_text("Pixel Value, Class\n0, lane\n1, background\n")
    with pytest.raises(LabelError, match=r"valid._classes.csv: other classes or values than in .*train._classes.csv"):
        folder_pairs(tmp_path, split="valid")
    (tmp_path / "train" / "x.rf.1_mask.png").unlink()
    with pytest.raises(DataError, match=r"x.rf.1: no label"):
        folder_pairs(tmp_path, TABLE, split="train")


@pytest.mark.parametrize(
    "rows", ["", "filename, lane\na.jpg, 1\n", "Pixel Value, Class\nx, lane\n", "Pixel Value, Class\n0, a, b\n",
             "Pixel Value, Class\n0, a\n0, b\n", "Pixel Value, Class\n0,\n"]
)  # fmt: skip
def test_a_list_of_classes_in_another_form_is_refused_by_name(tmp_path, rows):
    with pytest.raises(LabelError, match=r"_classes.csv: "):
        folder_pairs(make_roboflow(tmp_path, rows))


@pytest.mark.parametrize("empty", ["images", "labels"])
def test_an_empty_folder_is_an_error(tmp_path, empty):
    make_folder(tmp_path)
    for path in (tmp_path / empty).iterdir():
        path.unlink()
    with pytest.raises(DataError, match=f"{empty}: holds no picture"):
        folder_pairs(tmp_path)


def test_a_missing_folder_or_class_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        folder_pairs(tmp_path / "nowhere")
    make_folder(tmp_path / "a", classes=False)
    with pytest.raises(LabelError, match=r"classes.json: not a class file"):
        folder_pairs(tmp_path / "a")
    assert len(folder_pairs(tmp_path / "a", classes=TABLE)) == 3
    with pytest.raises(DataError, match="no folder pictures"):
        folder_pairs(tmp_path / "a", classes=TABLE, images="pictures")


def test_splits_are_found_as_sub_folders_and_as_lists(tmp_path):
    make_folder(tmp_path / "one" / "train", ("a", "b"), classes=False)
    make_folder(tmp_path / "one" / "val", ("c",), classes=False)
    assert find_splits(tmp_path / "one") == ["train", "val"]
    train = folder_pairs(tmp_path / "one", TABLE, "train")
    assert (train.names, train.split) == (("a", "b"), "train")
    with pytest.raises(DataError, match="It has the splits train, val"):
        folder_pairs(tmp_path / "one", TABLE)
    with pytest.raises(DataError, match="It has the splits train, val"):
        folder_pairs(tmp_path / "one", TABLE, "test")

    for split in ("train", "test"):
        save(tmp_path / "two" / "images" / split / "a.png", RGB)
        save(tmp_path / "two" / "labels" / split / "a_gt.png", np.zeros((4, 6), np.uint8))
    assert folder_pairs(tmp_path / "two", TABLE, "test").labels == (tmp_path / "two/labels/test/a_gt.png",)

    three = make_folder(tmp_path / "three", ("a", "b", "my photo"))
    (three / "labels" / "b.png").unlink()  # not listed, so no fault
    (three / "train.txt").write_text("\ufeff# comment\r\nmy photo\n\n/data/images/a.png /data/labels/a.png\n", "utf-8")
    assert folder_pairs(three, split="train").names == ("my photo", "a")


def test_a_list_with_repeated_unknown_or_no_names_is_refused(tmp_path):
    make_folder(tmp_path)
    for text, words in {
        "a\nb\na\n": "lists 1 name.*twice",
        "a\nz\n": "z: no image",
        "# none\n": "lists no name",
    }.items():
        (tmp_path / "val.txt").write_text(text)
        with pytest.raises(DataError, match=words):
            folder_pairs(tmp_path, split="val")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_is_read_in_the_encodings_that_editors_write(tmp_path, encoding):
    make_folder(tmp_path, ("pö", "b"))
    (tmp_path / "val.txt").write_bytes("pö\r\n".encode(encoding))
    assert folder_pairs(tmp_path, split="val").names == ("pö",)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "cp437"])
def test_a_list_in_another_encoding_is_refused_by_name_with_the_cure(tmp_path, encoding):
    make_folder(tmp_path, ("pö", "b"))
    (tmp_path / "val.txt").write_bytes("pö\n".encode(encoding))
    with pytest.raises(DataError, match=r"val.txt: not a text in UTF-8 .*Save it anew in UTF-8"):
        folder_pairs(tmp_path, split="val")
