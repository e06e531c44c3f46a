"""An artefact: one interface, files that tell damage, options and sizes that are refused and never swallowed."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest
import torch
from torch import nn

from edgeseg.data.labels import ClassTable
from edgeseg.deploy import Artefact, DeployError, compile, get_runtime, list_runtimes
from edgeseg.deploy.artefact import DESCRIPTION, normalised
from edgeseg.deploy.parity import Sample, Tolerance, check_parity, mini_set
from edgeseg.deploy.runtimes.graph import compute_dtypes, export_graph
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.models.registry import create_model

SIZE = (64, 96)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    names = tuple("abcde")
    table = ClassTable("five", names, tuple((i, i, i) for i in range(5)))
    return Segmenter(create_model("cross_cbam_m", 5, width=16), (0.4, 0.4, 0.4), (0.3, 0.3, 0.3), None, table)


@pytest.fixture(scope="module")
def artefact(segmenter) -> Artefact:
    return compile(segmenter, "eager", "fp32", SIZE, device="cpu")


def picture(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_an_artefact_segments_images_and_gives_logits(artefact, segmenter):
    assert np.array_equal(artefact(picture()), segmenter.predict(picture()))
    x = torch.from_numpy(picture()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        torch.testing.assert_close(artefact.logits(normalised(segmenter, x)), segmenter.logits(x), rtol=1e-4, atol=1e-4)
    assert (artefact.runtime, artefact.precision, artefact.size) == ("eager", "fp32", SIZE)
    assert artefact.table.names == tuple("abcde")


def test_the_network_may_see_another_size_than_the_image(segmenter):
    inner = Segmenter(segmenter.model, (0.4, 0.4, 0.4), (0.3, 0.3, 0.3), (96, 128), segmenter.table)
    compiled = compile(inner, "eager", size=SIZE, device="cpu")
    assert compiled.about["network_size"] == [96, 128]
    assert np.array_equal(compiled(picture()), inner.predict(picture()))
    assert compiled.logits(torch.zeros(1, 3, 96, 128)).shape == (1, 5, 96, 128)


def test_a_batch_is_fixed_too(segmenter):
    two = compile(segmenter, "eager", size=SIZE, batch=2, device="cpu")
    assert two.labels(torch.zeros(2, 3, *SIZE, dtype=torch.uint8)).shape == (2, *SIZE)
    with pytest.raises(DeployError, match=r"takes \(2, 3, 64, 96\) and was given \(1, 3, 64, 96\)"):
        two(picture())


def test_an_image_of_another_size_is_refused_with_the_cure(artefact):
    with pytest.raises(DeployError, match="its size is fixed. Resize the image, or export it for that size"):
        artefact(picture((64, 64)))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_what_the_graph_really_computes_in(segmenter, precision):
    half = compile(segmenter, "eager", precision, SIZE, device="cpu")
    for graph in ("labels", "logits"):
        assert set(half.about["graphs"][graph]["dtypes"]) == {{"fp16": "float16", "bf16": "bfloat16"}[precision]}
    assert half.logits(torch.zeros(1, 3, *SIZE)).dtype == torch.float32
    assert next(segmenter.model.parameters()).dtype == torch.float32  # the model itself is left as it was


def test_a_graph_that_computes_in_another_precision_is_an_error():
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return nn.functional.conv2d(x.float(), self.conv.weight.float())

    with pytest.raises(DeployError, match=r"asked for fp16, but the graph computes in \{'float32': 1\}"):
        export_graph(Stubborn(), torch.zeros(1, 3, 8, 8), "fp16")
    assert compute_dtypes(export_graph(Stubborn(), torch.zeros(1, 3, 8, 8))) == {"float32": 1}


# files ----------------------------------------------------------------------------------------------------------------


def test_a_saved_artefact_loads_and_computes_the_same(artefact, tmp_path):
    folder = artefact.save(tmp_path / "deep" / "m.eager")
    loaded = Artefact.load(folder)
    assert np.array_equal(loaded(picture()), artefact(picture()))
    assert loaded.describe() == artefact.describe()
    assert sorted(os.listdir(folder)) == ["artefact.json", "labels.pt2", "logits.pt2"]


def test_an_existing_folder_is_never_overwritten(artefact, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(DeployError, match="is there already"):
        artefact.save(tmp_path / "taken")


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write everywhere")
def test_a_read_only_folder_is_named(artefact, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(DeployError, match="cannot be written"):
        artefact.save(tmp_path / "new")


def test_damaged_and_foreign_folders_are_refused(artefact, tmp_path):
    folder = artefact.save(tmp_path / "a")
    blob = bytearray((folder / "labels.pt2").read_bytes())
    blob[len(blob) // 2] ^= 1
    (folder / "labels.pt2").write_bytes(blob)
    with pytest.raises(DeployError, match=r"labels.pt2: missing, or not the file that the artefact was saved with"):
        Artefact.load(folder)
    (folder / "labels.pt2").unlink()
    with pytest.raises(DeployError, match="missing"):
        Artefact.load(folder)
    about = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**about, "format": 99}))
    with pytest.raises(DeployError, match="Export the model again"):
        Artefact.load(folder)
    (folder / DESCRIPTION).write_text("{")
    for place in (folder, tmp_path / "nowhere"):
        with pytest.raises(DeployError, match="no artefact"):
            Artefact.load(place)


def test_a_description_cannot_point_out_of_its_folder(artefact, tmp_path):
    folder = artefact.save(tmp_path / "a")
    (tmp_path / "secret").write_bytes(b"x")
    about = json.loads((folder / DESCRIPTION).read_text())
    about["files"] = {"../secret": about["files"]["labels.pt2"]}
    (folder / DESCRIPTION).write_text(json.dumps(about))
    with pytest.raises(DeployError, match="missing, or not the file"):
        Artefact.load(folder)


# refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "onxx"}, "did you mean onnx"),
        ({"runtime": "eager", "precision": "int8"}, "eager has no int8; it builds fp32, fp16, bf16"),
        ({"runtime": "eager", "channel_last": True}, "eager has no option 'channel_last'; near: channels_last"),
        ({"runtime": "eager", "graphs": ("label",)}, "no graph 'label'; choose from labels, logits"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_near_names(segmenter, arguments, message):
    with pytest.raises(DeployError, match=message):
        compile(segmenter, size=SIZE, **arguments)


def test_a_device_that_is_not_there_is_refused(segmenter):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DeployError, match="take device=cpu"):
        compile(segmenter, "eager", size=SIZE, device="cuda")


def test_a_graph_that_was_not_built_is_named(segmenter):
    only = compile(segmenter, "eager", size=SIZE, graphs=("labels",), device="cpu")
    with pytest.raises(DeployError, match="built without its logits graph"):
        only.logits(torch.zeros(1, 3, *SIZE))
    assert check_parity(only, segmenter, [Sample(picture(), None, "noise")]).max_abs_error is None


def test_every_runtime_says_whether_it_can_run_here():
    for name in list_runtimes():
        room = get_runtime(name)
        for precision in room.precisions:
            reason = room.why_not(precision)
            assert reason is None or len(reason) > 20, name


# parity ---------------------------------------------------------------------------------------------------------------


def test_an_artefact_of_another_model_is_outside_the_tolerance(artefact, segmenter):
    torch.manual_seed(1)
    other = Segmenter(
        create_model("cross_cbam_m", 5, width=16), (0.4, 0.4, 0.4), (0.3, 0.3, 0.3), None, segmenter.table
    )
    label = np.random.default_rng(1).integers(0, 5, SIZE, dtype=np.uint8)
    samples = [Sample(picture(), label, "noise")]
    good, bad = check_parity(artefact, segmenter, samples), check_parity(artefact, other, samples)
    assert good.passed
    assert good.miou_gap == 0
    assert good.disagreement == 0
    assert not bad.passed
    assert {"max_abs_error", "disagreement"} <= set(bad.exceeded)
    assert "OUTSIDE TOLERANCE" in str(bad)
    assert bad.as_dict()["passed"] is False
    lenient = Tolerance(np.inf, 1.0, 100.0)
    assert check_parity(artefact, other, samples, lenient).passed


def test_the_mini_set_has_labels_where_the_classes_are_camvids(segmenter):
    assert all(s.label is None for s in mini_set(segmenter, SIZE, 2))
    samples = mini_set(load_segmenter("cross_cbam_m.streets"), SIZE, 2)
    assert all(s.label.shape == SIZE and s.image.shape == (*SIZE, 3) for s in samples)
    assert samples[0].source == "streets test"


def test_nan_is_no_parity(segmenter):
    class Broken:
        precision, size, batch, device, table = "fp32", SIZE, 1, "cpu", segmenter.table
        about = {"graphs": {"logits": {}}}  # noqa: RUF012

        def labels(self, images):
            return segmenter(images)

        def logits(self, x):
            return segmenter.model(x) * float("nan")

    parity = check_parity(Broken(), segmenter, [Sample(picture(), None, "noise")])
    assert parity.exceeded == ("max_abs_error",)
