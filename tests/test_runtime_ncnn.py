"""NCNN: the argmax that its file leaves out, its weights in half, and what it does not take."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from compiled_networks import (
    CONVOLUTIONS,
    SIZE,
    compiled,
    needs,
    street_pairs,
    tiny_segmenter,
    trained_segmenter,
    worst_error,
)
from edgeseg.deploy import Artefact, DeployError, compile, get_runtime
from edgeseg.inference import Segmenter
from edgeseg.plots import colorize

GUIDE = Path(__file__).parent.parent / "docs" / "raspberry_pi.md"
pytestmark = needs("ncnn")


def test_int8_is_not_promised():
    with pytest.raises(DeployError, match="ncnn has no int8; it builds fp32, fp16"):
        get_runtime("ncnn").check("int8")


def test_the_file_of_labels_ends_before_the_argmax_and_says_so():
    import ncnn

    artefact = compiled(tiny_segmenter(), "ncnn")
    facts = artefact.about["graphs"]
    assert (facts["labels"]["argmax"], facts["logits"]["argmax"]) == (True, False)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    net = ncnn.Net()
    assert net.load_param(str(artefact.folder / "labels.param")) == 0
    assert net.load_model(str(artefact.folder / "labels.bin")) == 0
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    extractor = net.create_extractor()
    extractor.input(facts["labels"]["input_name"], ncnn.Mat(pixels))
    scores = np.array(extractor.extract(facts["labels"]["output_name"])[1])
    assert scores.shape == (5, *SIZE)
    assert (scores.argmax(0) == artefact(image)).all()
    assert (artefact(image) == tiny_segmenter().predict(image)).mean() > 0.999


def test_the_guides_script_gives_the_same_classes_without_edgeseg(tmp_path):
    script = GUIDE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    image, _ = street_pairs("test", 1)[0]
    artefact = compiled(trained_segmenter(), "ncnn", "fp16", "labels")
    artefact.save(tmp_path / "pi")
    Image.fromarray(image).save(tmp_path / "frame.png")
    script = script.replace("frame.jpg", "frame.png")  # the same pixels
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True)
    assert "edgeseg" not in script
    with Image.open(tmp_path / "mask.png") as mask:
        assert (np.asarray(mask) == colorize(artefact(image), artefact.table)).all()


def test_weights_in_half_take_half_the_space_and_are_close():
    whole, half = (compiled(trained_segmenter(), "ncnn", precision, "logits") for precision in ("fp32", "fp16"))
    assert [a.about["graphs"]["logits"]["dtypes"] for a in (whole, half)] == [
        {"float32": CONVOLUTIONS},
        {"float16": CONVOLUTIONS},
    ]
    sizes = [(a.folder / "logits.bin").stat().st_size for a in (whole, half)]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.02)
    assert worst_error(whole, trained_segmenter()) < 1e-4 < worst_error(half, trained_segmenter()) < 0.1


def test_many_threads_get_what_one_gets():
    artefact = compiled(tiny_segmenter(), "ncnn", "fp32", "logits")
    inputs = [torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(k)) for k in range(24)]
    alone = [artefact.logits(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(torch.equal, pool.map(artefact.logits, inputs), alone))


class Sorted(nn.Module):
    """Something that NCNN has no layer for."""

    def forward(self, x):
        return torch.sort(torch.cat([x, x], 1), dim=1).values


def test_a_network_that_cannot_be_converted_is_refused_with_the_reason():
    with pytest.raises(DeployError, match=r"ncnn has no layer for .*sort.*Take another runtime"):
        compile(Segmenter(Sorted(), (0.5,) * 3, (0.25,) * 3), "ncnn", size=SIZE)


@pytest.mark.parametrize("spoil", [lambda file: file.write_bytes(file.read_bytes()[:100]), lambda file: file.unlink()])
def test_a_damaged_file_is_refused(tmp_path, spoil):
    folder = compiled(tiny_segmenter(), "ncnn").save(tmp_path / "a")
    spoil(folder / "labels.bin")
    with pytest.raises(DeployError, match=r"labels\.bin"):
        Artefact.load(folder)
