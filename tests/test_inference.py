"""From uint8 images to class maps: one graph, own size, honest about what it cannot do."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import edgeseg
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


def test_what_was_loaded_in_inference_mode_works_outside_of_it(weight_file):
    with torch.inference_mode():
        loaded = load_segmenter(weight_file)
    image = torch.from_numpy(make_image(64, 96)).permute(2, 0, 1)[None]
    loaded.reference().logits(image).sum().backward()
    assert loaded.predict(make_image()).shape == (70, 100)
