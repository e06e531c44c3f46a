"""From uint8 images to class maps: one graph, own size, honest about what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import edgeseg
from edgeseg.inference import Segmenter, load_segmenter, predict
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
    "image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3), np.float32)]
)
def test_arrays_of_another_kind_are_refused_with_the_cure(image):
    with pytest.raises(ValueError, match="uint8 RGB"):
        Segmenter(make_model(), MEAN, STD).predict(image)


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
