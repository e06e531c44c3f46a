"""From uint8 images to class maps: one graph, own size, honest about what it cannot do."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import edgeseg
from edgeseg.data.pairs import DataError
from edgeseg.inference import Segmenter, as_pixels, load_segmenter, predict
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def make_model(classes=5):
    torch.manual_seed(0)
    return create_model("cross_cbam_m", classes, width=8, aspp_channels=16).eval()


def make_image(height=70, width=100, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def weight_file(tmp_path):
    meta = weight_meta(list("abcde"), [(i, 0, 0) for i in range(5)], "toy", MEAN, STD, (64, 96))
    save_weights(tmp_path / "toy.safetensors", make_model(), meta)
    return tmp_path / "toy.safetensors"


def test_preprocessing_inside_equals_preprocessing_by_hand():
    model, image = make_model(), make_image()
    x = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(
        STD
    ).view(1, 3, 1, 1)
    with torch.inference_mode():
        want = model(x).argmax(1)[0].numpy()
    np.testing.assert_array_equal(Segmenter(model, MEAN, STD).predict(image), want)


@pytest.mark.parametrize("size", [None, (64, 96), (128, 64)])
def test_masks_have_the_images_own_size_whatever_the_network_sees(size):
    mask = Segmenter(make_model(), MEAN, STD, size).predict(make_image(71, 93))
    assert mask.shape == (71, 93)
    assert mask.dtype == np.uint8


def test_the_graph_takes_uint8_batches_and_gives_int32_labels():
    segmenter = Segmenter(make_model(), MEAN, STD)
    batch = torch.stack([torch.from_numpy(make_image(seed=i)).permute(2, 0, 1) for i in range(3)])
    with torch.inference_mode():
        labels = segmenter(batch)
    assert labels.shape == (3, 70, 100)
    assert labels.dtype == torch.int32
    for i in range(3):
        np.testing.assert_array_equal(labels[i].numpy(), segmenter.predict(make_image(seed=i)))


def test_files_pil_images_and_arrays_give_the_same_mask(weight_file, tmp_path):
    image = make_image()
    Image.fromarray(image).save(tmp_path / "street.png")
    masks = [
        predict(weight_file, form)
        for form in (image, Image.fromarray(image), tmp_path / "street.png", str(tmp_path / "street.png"))
    ]
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])
    np.testing.assert_array_equal(edgeseg.predict(str(weight_file), image), masks[0])


def test_a_loaded_model_brings_its_preprocessing(weight_file):
    image = make_image()
    segmenter = load_segmenter(create_model(str(weight_file)))
    assert segmenter.size == (64, 96)
    assert segmenter.table.names == tuple("abcde")
    np.testing.assert_array_equal(segmenter.predict(image), predict(weight_file, image))


def test_flipping_the_image_flips_the_mask_of_a_flip_average():
    segmenter, image = Segmenter(make_model(), MEAN, STD), make_image(64, 64)
    np.testing.assert_array_equal(
        segmenter.predict(image[:, ::-1], flip=True), segmenter.predict(image, flip=True)[:, ::-1]
    )


def test_the_segmenter_exports_with_everything_inside():
    segmenter = Segmenter(make_model(), MEAN, STD, (64, 96))
    batch = torch.from_numpy(make_image()).permute(2, 0, 1)[None]
    exported = torch.export.export(segmenter, (batch,)).module()
    assert torch.equal(exported(batch), segmenter(batch))


def test_a_model_without_trained_weights_says_how_to_be_used():
    with pytest.raises(ValueError, match=r"Segmenter\(model, mean, std\)"):
        predict(make_model(), make_image())


@pytest.mark.parametrize(
    ("shape", "dtype", "cure"),
    [
        ((64, 96), np.uint8, "Image.fromarray"),
        ((64, 96, 1), np.uint8, "Image.fromarray"),
        ((64, 96, 4), np.uint8, "Image.fromarray"),
        ((3, 64, 96), np.uint8, "transpose"),
        ((1, 64, 96, 3), np.uint8, "uint8 RGB"),
        ((64, 96, 3), np.float32, "255"),
        ((64, 96, 3), np.float64, "255"),
        ((64, 96, 3), np.int16, "uint8 RGB"),
        ((64, 96, 3), np.uint16, "uint8 RGB"),
        ((64, 96, 3), bool, "uint8 RGB"),
        ((0, 96, 3), np.uint8, "uint8 RGB"),
    ],
)
def test_arrays_of_another_kind_are_refused_with_the_cure(shape, dtype, cure):
    with pytest.raises(ValueError, match="uint8 RGB") as refusal:
        Segmenter(make_model(), MEAN, STD, (64, 96)).predict(np.zeros(shape, dtype))
    assert cure in str(refusal.value)
    assert str(shape) in str(refusal.value)


def test_the_cures_for_arrays_work():
    image = make_image()
    channels_first, fractions = np.ascontiguousarray(image.transpose(2, 0, 1)), image / 255
    np.testing.assert_array_equal(as_pixels(channels_first.transpose(1, 2, 0)), image)
    np.testing.assert_array_equal(as_pixels((fractions * 255).round().astype(np.uint8)), image)
    np.testing.assert_array_equal(as_pixels(Image.fromarray(np.dstack([image, image[..., 0]]))), image)
    np.testing.assert_array_equal(as_pixels(Image.fromarray(image[..., 0])), image[..., [0, 0, 0]])


def test_arrays_of_any_memory_layout_are_read_and_none_is_changed():
    image = make_image()
    segmenter, kept = Segmenter(make_model(), MEAN, STD), image.copy()
    frozen = image.copy()
    frozen.flags.writeable = False
    mirrored_twice = np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1]
    want = segmenter.predict(image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns about memory that it must not write to
        for same in (frozen, mirrored_twice, np.asfortranarray(image), np.pad(image, ((0, 0), (0, 9), (0, 0)))[:, :-9]):
            np.testing.assert_array_equal(segmenter.predict(same, flip=False), want)
            np.testing.assert_array_equal(same, kept)
    np.testing.assert_array_equal(image, kept)


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
        return as_pixels(image).tolist()
    except DataError as refusal:
        return str(refusal).rpartition(": ")[2]


def saved(picture, path, **options):
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
        path = saved(picture, tmp_path / f"a.{suffix}")
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
    off = np.abs(as_pixels(picture_of_mode(mode)).astype(int) - want)
    assert off.mean() < 3, "alpha is dropped, never mixed in"


@pytest.mark.parametrize("mode", MODES_OF_16_BITS)
def test_16_bit_pictures_keep_their_high_byte_however_they_come(mode):
    rows, columns = np.mgrid[0:40, 0:56]
    want = ((rows * 1500 + columns) >> 8).astype(np.uint8)
    np.testing.assert_array_equal(as_pixels(picture_of_mode(mode)), want[..., None].repeat(3, 2))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pictures_of_unknown_range_are_refused_however_they_come(tmp_path, mode):
    path = saved(picture_of_mode(mode), tmp_path / "depth.tiff")
    with Image.open(path) as opened:
        for image in (path, opened, picture_of_mode(mode)):
            with pytest.raises(DataError, match="values of unknown range. Save it with 8 bits"):
                as_pixels(image)


@pytest.mark.parametrize("transparency", [0, bytes(range(0, 250, 10))])
def test_palette_pictures_with_transparency_keep_their_colours(tmp_path, transparency):
    palette = picture_of_mode("RGB").quantize(25)
    want = np.asarray(palette.convert("RGB"))
    path = saved(palette, tmp_path / "a.png", transparency=transparency)
    with warnings.catch_warnings(), Image.open(path) as opened:
        warnings.simplefilter("error")
        np.testing.assert_array_equal(as_pixels(path), want)
        np.testing.assert_array_equal(as_pixels(opened), want)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phones_picture_is_upright_however_it_comes(weight_file, tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(make_image()), tmp_path / f"phone.{suffix}", exif=exif)
    upright = as_pixels(path)
    assert upright.shape == ((70, 100, 3) if orientation < 5 else (100, 70, 3))
    with Image.open(path) as opened:
        np.testing.assert_array_equal(as_pixels(opened.copy()), upright)
        np.testing.assert_array_equal(as_pixels(opened), upright)
        np.testing.assert_array_equal(as_pixels(opened), upright, "the picture was turned by the first reading")
        np.testing.assert_array_equal(predict(weight_file, opened), predict(weight_file, path))


def test_a_picture_on_a_phone_lying_on_its_side_is_not_changed_by_reading_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(saved(Image.fromarray(make_image()), tmp_path / "phone.png", exif=exif)) as opened:
        before = (opened.size, opened.tobytes(), dict(opened.getexif()))
        as_pixels(opened)
        assert (opened.size, opened.tobytes(), dict(opened.getexif())) == before


@pytest.mark.parametrize("suffix", ["gif", "tiff"])
def test_of_many_pictures_in_a_file_the_first_counts_and_of_an_open_one_that_which_it_shows(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), color) for color in ((250, 0, 0), (0, 250, 0))]
    path = tmp_path / f"many.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as opened:
        np.testing.assert_array_equal(as_pixels(opened), as_pixels(path))
        assert as_pixels(path)[0, 0].tolist() == [250, 0, 0]
        opened.seek(1)
        assert as_pixels(opened)[0, 0].tolist() == [0, 250, 0]
        assert opened.tell() == 1


def test_a_damaged_picture_is_named_however_it_comes(tmp_path):
    whole = saved(Image.fromarray(make_image()), tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with Image.open(tmp_path / "half.png") as opened:
        assert outcome(opened) == outcome(tmp_path / "half.png")
        with pytest.raises(DataError, match=r"half.png: truncated or corrupt"):
            as_pixels(opened)


# a caller's model -----------------------------------------------------------------------------------------------------


def test_a_callers_model_keeps_its_modes_device_and_type_and_yet_eval_mode_computes():
    model, image = make_model(), make_image()
    want = Segmenter(model, MEAN, STD).predict(image)
    model.train()
    model.decoder.eval()
    modes = [m.training for m in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    segmenter = Segmenter(model, MEAN, STD)
    np.testing.assert_array_equal(segmenter.predict(image), want)
    segmenter.bfloat16().to("meta")
    assert [m.training for m in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_a_segmenter_sees_what_the_callers_model_learns_and_holds_no_second_copy():
    model, image = make_model().train(), make_image()
    segmenter = Segmenter(model, MEAN, STD)
    for own, callers in zip(segmenter.model.parameters(), model.parameters(), strict=True):
        assert own.data_ptr() == callers.data_ptr()
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.arange(5.0))
    model(torch.randn(2, 3, 64, 64))  # moves the statistics of the batch norms
    for own, callers in zip(segmenter.model.buffers(), model.buffers(), strict=True):
        assert torch.equal(own, callers)
    assert (segmenter.predict(image) == 4).all()


def test_a_model_that_keeps_what_it_computed_can_be_wrapped():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1))
    model.seen = model(torch.zeros(1, 3, 32, 32))  # hangs on a graph: copy.deepcopy alone refuses it
    assert Segmenter(model, MEAN, STD).predict(make_image()).shape == (70, 100)


def test_a_callers_segmenter_stays_where_it_is():
    segmenter = Segmenter(make_model(), MEAN, STD, (64, 96))
    assert load_segmenter(segmenter) is segmenter
    moved = load_segmenter(segmenter, "meta")
    assert moved.size == (64, 96)
    assert {t.device.type for t in (*moved.parameters(), *moved.buffers())} == {"meta"}
    assert {t.device.type for t in (*segmenter.parameters(), *segmenter.buffers())} == {"cpu"}


def test_threads_may_share_a_segmenter_of_a_model_in_training():
    segmenter = Segmenter(make_model().train(), MEAN, STD)
    images = [make_image(seed=seed) for seed in range(8)]
    want = [segmenter.predict(image) for image in images]
    with ThreadPoolExecutor(4) as threads:
        for mask, expected in zip(threads.map(segmenter.predict, images), want, strict=True):
            np.testing.assert_array_equal(mask, expected)


def test_an_object_that_is_no_image_is_refused():
    with pytest.raises(TypeError, match="PIL image"):
        Segmenter(make_model(), MEAN, STD).predict([1, 2, 3])


def test_images_smaller_than_the_stride_are_refused():
    with pytest.raises(ValueError, match="32"):
        Segmenter(make_model(), MEAN, STD).predict(make_image(20, 100))


def test_pixels_are_normalised_in_float32_whatever_the_network_computes_in():
    segmenter = Segmenter(torch.nn.Conv2d(3, 2, 1), (0.4119, 0.4251, 0.4327), (0.3071, 0.3116, 0.3072)).bfloat16()
    assert segmenter.model.weight.dtype == torch.bfloat16
    assert segmenter.mean.dtype == segmenter.std.dtype == torch.float32
    torch.testing.assert_close(segmenter.mean.flatten() / 255, torch.tensor([0.4119, 0.4251, 0.4327]))
    assert segmenter.logits(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).dtype == torch.bfloat16
