"""Many pictures at once, and inputs of any batch and size: the masks are those of one picture after the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compiled_networks import HALF_THE_DIGITS, SIZE, compiled, needs, street_images, tiny_segmenter, trained_segmenter
from edgeseg.deploy import Artefact, DeployError, compile, get_runtime, list_runtimes
from edgeseg.deploy.artefact import DESCRIPTION
from edgeseg.deploy.parity import check_parity, mini_set
from edgeseg.inference import Segmenter

GUIDE = Path(__file__).parent.parent / "docs" / "deployment.md"
SIZES = ((64, 96), (90, 121), (33, 47))  # as exported; no multiple of anything; hardly more than the least
OPEN = {part: [name for name in list_runtimes() if part in get_runtime(name).dynamic] for part in ("batch", "size")}
SLOW = ("aoti", "inductor")  # to build, or at the first call


def runtimes(*names: str) -> list:
    slow = {name: (pytest.mark.slow,) if name in SLOW else () for name in names}
    return [pytest.param(name, marks=(needs(name), *slow[name])) for name in names]


def noise(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(number, H, W, 3) uint8, always the same."""
    return np.random.default_rng(0).integers(0, 256, (number, *size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def eager() -> Artefact:
    return compiled(tiny_segmenter(), "eager")


# many pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", runtimes("eager", "onnx", "openvino", "ncnn"))
def test_a_batch_of_pictures_has_the_masks_of_each_alone(runtime):
    artefact, images = compiled(tiny_segmenter(), runtime), noise(3)
    together = artefact.predict_batch(list(images))
    assert (together.shape, together.dtype) == ((3, *SIZE), np.uint8)
    assert np.array_equal(together, [artefact(image) for image in images])
    assert np.array_equal(artefact.predict_batch(images), together)


@pytest.mark.parametrize("runtime", runtimes("eager", "onnx", "openvino"))
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_fixed_batch_takes_any_number_of_pictures(runtime, number):
    one, images = compiled(tiny_segmenter(), runtime), noise(number)
    two = compiled(tiny_segmenter(), runtime, batch=2)
    masks = two.predict_batch(images)
    assert masks.shape == (number, *SIZE)
    assert (masks == one.predict_batch(images)).mean() > 0.999  # another order of adding up, at most


def test_pictures_that_cannot_be_segmented_together_are_refused_with_the_cure(eager):
    with pytest.raises(DeployError, match="have one size, and these have 64x96, 48x80: resize them, or give them one"):
        eager.predict_batch([noise(1)[0], noise(1, (48, 80))[0], noise(1)[0]])
    with pytest.raises(DeployError, match="was given .1, 3, 48, 80.: its size is fixed. Resize the image, or export"):
        eager.predict_batch(noise(2, (48, 80)))
    with pytest.raises(DeployError, match="no image to segment: give at least one"):
        eager.predict_batch([])


@needs("openvino")
def test_streams_give_what_one_gives_in_the_same_order():
    one, images = compiled(tiny_segmenter(), "openvino"), noise(7)
    three = compiled(tiny_segmenter(), "openvino", streams=3)
    assert (one.at_once, three.at_once) == (1, 3)
    assert (three.predict_batch(images) == one.predict_batch(images)).mean() > 0.999
    assert np.array_equal(three.predict_batch(images), [three(image) for image in images])


# open batch and size --------------------------------------------------------------------------------------------------


@torch.inference_mode()
def differs(artefact: Artefact, segmenter: Segmenter, images: np.ndarray) -> tuple[float, float]:
    """Share of pixels of another class, and the largest error of a logit by the largest logit."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    x = segmenter.normalise(pixels)
    expected = segmenter.model(x)
    error = (artefact.logits(x) - expected).abs().max() / expected.abs().max()
    return float((artefact.labels(pixels) != segmenter(pixels)).float().mean()), float(error)


@pytest.mark.parametrize("runtime", runtimes(*OPEN["size"]))
def test_one_artefact_takes_every_batch_and_size(runtime, tmp_path):
    segmenter, dynamic = tiny_segmenter(), get_runtime(runtime).dynamic
    built = compiled(segmenter, runtime, dynamic=dynamic)
    artefact = Artefact.load(built.save(tmp_path / "a"))
    assert (artefact.dynamic, artefact.size, artefact.batch) == (dynamic, SIZE, 1)
    for size in SIZES:
        for number in (1, 2, 3) if "batch" in dynamic else (1,):
            images = noise(number, size)
            disagreement, error = differs(artefact, segmenter, images)
            assert disagreement < 1e-3, (size, number)
            assert error <= HALF_THE_DIGITS, (size, number)
            assert np.array_equal(artefact.predict_batch(images)[-1], artefact(images[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", runtimes("onnx", "openvino", "ncnn"))
def test_the_trained_network_takes_every_batch_and_size(runtime):
    """With its resizes to another map's size and its global pools, whose sizes must not be baked in."""
    segmenter, dynamic = trained_segmenter(), get_runtime(runtime).dynamic
    artefact = compiled(segmenter, runtime, dynamic=dynamic)
    for size, number in zip(SIZES, (1, 2, 3) if "batch" in dynamic else (1, 1, 1), strict=True):
        disagreement, error = differs(artefact, segmenter, np.stack(street_images("test", number, size)))
        assert disagreement < 1e-3
        assert error <= HALF_THE_DIGITS


@pytest.mark.parametrize("runtime", runtimes("onnx", "openvino"))
def test_int8_may_be_open_too(runtime):
    if reason := get_runtime(runtime).why_not("int8"):
        pytest.skip(reason)
    segmenter = tiny_segmenter()
    artefact = compiled(segmenter, runtime, "int8", "labels", dynamic=("batch", "size"))
    assert artefact.about["graphs"]["labels"]["dtypes"]["int8"] >= 2
    for size in SIZES:
        images = noise(2, size)
        assert (artefact.predict_batch(images) == [segmenter.predict(image) for image in images]).mean() > 0.8


@needs("onnx")
def test_an_onnx_file_names_its_open_axes():
    onnx = pytest.importorskip("onnx")
    for dynamic, shape in ((("batch",), ["batch", 3, *SIZE]), (("size",), [1, 3, "height", "width"])):
        artefact = compiled(tiny_segmenter(), "onnx", "fp32", "labels", dynamic=dynamic)
        (tensor,) = onnx.load(artefact.folder / "labels.onnx").graph.input
        assert [side.dim_param or side.dim_value for side in tensor.type.tensor_type.shape.dim] == shape
        assert artefact.about["dynamic"] == artefact.about["graphs"]["labels"]["dynamic"] == list(dynamic)


def test_what_is_not_open_stays_fixed():
    batch, size = (compiled(tiny_segmenter(), "eager", dynamic=(name,)) for name in ("batch", "size"))
    assert batch.predict_batch(noise(3)).shape == (3, *SIZE)
    with pytest.raises(DeployError, match=r"takes \(batch, 3, 64, 96\) and was given \(1, 3, 90, 121\)"):
        batch(noise(1, (90, 121))[0])
    with pytest.raises(DeployError, match=r"takes \(1, 3, height, width\) and was given \(2, 3, 64, 96\)"):
        size.labels(torch.zeros(2, 3, *SIZE, dtype=torch.uint8))
    assert size.predict_batch(noise(3, (90, 121))).shape == (3, 90, 121)
    assert (batch.nearest_size((90, 121)), size.nearest_size((90, 20))) == (SIZE, (90, 33))


def test_the_guide_names_the_runtimes_that_can_be_open():
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    for part, names in OPEN.items():
        (row,) = [line.split("|") for line in lines if line.startswith(f"| `--dynamic {part}` |")]
        assert row[3].strip() == ", ".join(f"`{name}`" for name in names)


# refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "runtime"), [(part, name) for part in OPEN for name in list_runtimes() if name not in OPEN[part]]
)
def test_a_runtime_that_cannot_refuses_by_name_with_those_that_can(part, runtime, monkeypatch):
    monkeypatch.setattr(type(get_runtime(runtime)), "why_not", lambda *_, **__: None)
    with pytest.raises(DeployError, match=f"{runtime} builds for one {part} only.*take one of {', '.join(OPEN[part])}"):
        compile(tiny_segmenter(), runtime, size=SIZE, dynamic=(part,))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dynamic": ("sizes",)}, r"called 'sizes' \(did you mean size\?\); there are batch, size"),
        ({"dynamic": ("batch",), "batch": 4}, "batch = 4 is a fixed batch, and dynamic leaves it open"),
        ({"dynamic": ("size",), "size": (32, 96)}, "size 32x96: .*33 pixels or more. Take 33x96"),
    ],
)
def test_what_cannot_be_open_is_refused(settings, message):
    with pytest.raises(DeployError, match=message):
        compile(tiny_segmenter(), "eager", **{"size": SIZE, **settings}, device="cpu")


@pytest.mark.parametrize("runtime", ["ncnn", "web"])
def test_a_runtime_of_one_picture_at_a_time_refuses_a_batch(runtime, monkeypatch):
    monkeypatch.setattr(type(get_runtime(runtime)), "why_not", lambda *_, **__: None)
    with pytest.raises(DeployError, match=f"{runtime} takes one image at a time, not 2; export batch 1"):
        compile(tiny_segmenter(), runtime, size=SIZE, batch=2)


def test_a_picture_that_is_too_small_is_refused_with_the_size_to_take():
    artefact = compiled(tiny_segmenter(), "eager", dynamic=("size",))
    with pytest.raises(DeployError, match=r"was given 20x50 \(HxW\): .*33 pixels or more. Resize the image to 33x50"):
        artefact(noise(1, (20, 50))[0])


def test_a_network_that_sees_one_size_cannot_be_open():
    inner = Segmenter(tiny_segmenter().model, (0.5,) * 3, (0.25,) * 3, (96, 128), tiny_segmenter().table)
    with pytest.raises(DeployError, match="sees 96x128 whatever the image's size is: leave --dynamic size away"):
        compile(inner, "eager", size=SIZE, dynamic=("size",), device="cpu")


class Halved(nn.Module):
    """Takes multiples of 32 alone, as many networks of other people do: it says so, or its maps do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.last = nn.Conv2d(3, 4, 32, 32), nn.Conv2d(7, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        low = nn.functional.interpolate(self.down(x), scale_factor=32.0)
        return self.last(torch.cat([x, low], 1))


@pytest.mark.parametrize("runtime", runtimes("eager", "onnx"))
def test_a_network_of_multiples_of_32_is_open_for_these_alone(runtime):
    torch.manual_seed(0)
    segmenter = Segmenter(Halved(), (0.5,) * 3, (0.25,) * 3, None, tiny_segmenter().table)
    with pytest.raises(DeployError, match="size 90x121: .*are multiples of 32. Take 96x128"):
        compile(segmenter, runtime, size=(90, 121), dynamic=("size",))
    artefact = compile(segmenter, runtime, size=SIZE, dynamic=("batch", "size"))
    for size in ((64, 96), (128, 64)):
        disagreement, error = differs(artefact, segmenter, noise(2, size))
        assert disagreement < 1e-3
        assert error <= HALF_THE_DIGITS
    with pytest.raises(DeployError, match=r"given 90x121 .*are multiples of 32. Resize the image to 96x128"):
        artefact(noise(1, (90, 121))[0])


@pytest.mark.parametrize(
    ("key", "value"), [("dynamic", "batch"), ("dynamic", ["time"]), ("dynamic", None), ("size_step", 7)]
)
def test_a_description_that_cannot_be_is_refused(eager, tmp_path, key, value):
    folder = eager.save(tmp_path / "a")
    about = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**about, key: value}))
    with pytest.raises(DeployError, match=rf"artefact.json: {key} = .*Export the model again"):
        Artefact.load(folder)


def test_parity_tries_an_open_artefact_at_other_sizes_and_batches(monkeypatch):
    segmenter = tiny_segmenter()
    artefact = compiled(segmenter, "eager", dynamic=("batch", "size"))
    seen = set()
    labels = Artefact.labels
    monkeypatch.setattr(Artefact, "labels", lambda self, x: seen.add(tuple(x.shape)) or labels(self, x))
    samples = [sample for size in SIZES[:2] for sample in mini_set(segmenter, size, 2)]
    assert check_parity(artefact, segmenter, samples).passed
    assert {shape[0] for shape in seen} == {1, 2}
    assert {shape[2:] for shape in seen} == set(SIZES[:2])
