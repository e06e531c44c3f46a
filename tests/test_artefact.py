"""An artefact: one interface, files that tell damage, and sizes and graphs that are refused and never swallowed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compiled_networks import SIZE, batch_of, compiled, left_as_it_was, narrow_segmenter, tiny_segmenter
from edgeseg.deploy import Artefact, DeployError, compile, get_runtime
from edgeseg.deploy.artefact import DESCRIPTION
from edgeseg.deploy.runtimes.graph import compute_dtypes, export_graph
from edgeseg.inference import Segmenter
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta

DESCRIPTIONS = json.loads(Path(__file__).with_name("artefact_descriptions.json").read_text())


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return tiny_segmenter()


@pytest.fixture(scope="module")
def artefact(segmenter) -> Artefact:
    return compiled(segmenter, "eager")


def picture(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_an_artefact_segments_images_and_gives_logits():
    segmenter = narrow_segmenter()
    artefact, x = compiled(segmenter, "eager"), batch_of(picture())
    assert np.array_equal(artefact(picture()), segmenter.predict(picture()))
    with torch.inference_mode():
        torch.testing.assert_close(artefact.logits(segmenter.normalise(x)), segmenter.logits(x), rtol=1e-4, atol=1e-4)
    assert (artefact.runtime, artefact.precision, artefact.size) == ("eager", "fp32", SIZE)
    assert artefact.table.names == segmenter.table.names


def test_the_network_may_see_another_size_than_the_image(segmenter):
    inner = Segmenter(segmenter.model, (0.5,) * 3, (0.25,) * 3, (96, 128), segmenter.table)
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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_callers_segmenter_comes_back_as_it_was(precision):
    with left_as_it_was(narrow_segmenter()) as callers:
        compile(callers, "eager", precision, SIZE, device="cpu")


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


def test_an_artefact_knows_the_weight_that_it_was_made_from(tmp_path):
    """By name and hash; the weights of a network in memory may have been changed since they were read."""
    file, segmenter = tmp_path / "mine.safetensors", narrow_segmenter()
    table = segmenter.table
    meta = weight_meta(table.names, table.colors, table.name, (0.4,) * 3, (0.3,) * 3)
    sha256 = save_weights(file, segmenter.model, meta)
    settings = {"runtime": "eager", "size": SIZE, "graphs": ("labels",), "device": "cpu"}
    about = compile(file, **settings).about
    assert (about["weights"], about["weights_sha256"]) == ("mine.safetensors", sha256)
    assert not {"weights", "weights_sha256"} & compile(create_model(str(file)), **settings).about.keys()


# files ----------------------------------------------------------------------------------------------------------------


def test_a_saved_artefact_loads_and_computes_the_same(artefact, tmp_path):
    folder = artefact.save(tmp_path / "deep" / "m.eager")
    loaded = Artefact.load(folder)
    assert np.array_equal(loaded(picture()), artefact(picture()))
    assert loaded.about == artefact.about
    assert sorted(os.listdir(folder)) == ["artefact.json", "labels.pt2", "logits.pt2"]


@pytest.mark.parametrize("runtime", DESCRIPTIONS)
def test_what_the_first_release_wrote_still_opens(runtime, tmp_path):
    """Its description of this network, beside files of today: those were the same."""
    if reason := get_runtime(runtime).why_not("fp32"):
        pytest.skip(reason)
    ours = compiled(tiny_segmenter(), runtime)
    folder = ours.save(tmp_path / "a")
    (folder / DESCRIPTION).write_text(json.dumps({**DESCRIPTIONS[runtime], "files": ours.about["files"]}))
    theirs = Artefact.load(folder)
    assert np.array_equal(theirs(picture()), ours(picture()))
    assert theirs.table.names == ours.table.names
    written_now = ours.about
    assert DESCRIPTIONS[runtime].keys() <= written_now.keys()
    for graph, facts in DESCRIPTIONS[runtime]["graphs"].items():
        assert facts.keys() <= written_now["graphs"][graph].keys()


def test_a_description_says_what_goes_in_and_what_comes_out(artefact, segmenter):
    about = artefact.about
    assert (about["layout"], about["channel_order"]) == ("NCHW", "RGB")
    assert ([c["name"] for c in about["classes"]], about["mean"], about["std"]) == (
        list("abcde"),
        [0.5] * 3,
        [0.25] * 3,
    )
    pixels = batch_of(picture())
    for graph, wanted in (("labels", pixels), ("logits", segmenter.normalise(pixels))):
        facts = about["graphs"][graph]
        x = pixels.numpy().astype(np.float64)
        if facts["input_values"] != "pixels as they are, 0 to 255":
            assert facts["input_values"] == "(pixels * input_scale - mean) / std"
            x = (x * facts["input_scale"] - about["mean"][0]) / about["std"][0]
        np.testing.assert_allclose(x.astype(facts["input_dtype"]), wanted.numpy(), atol=1e-6)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_saved_artefact_has_the_permissions_of_any_new_folder(artefact, tmp_path, mask):
    before = os.umask(mask)
    try:
        folder = artefact.save(tmp_path / "deep" / "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o666 & ~mask}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full. Free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full. Free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), r"cannot be written \(Permission denied\)"),
        (shutil.Error([("a", "b", "the reason")]), "the reason"),
    ],
)
def test_what_cannot_be_written_says_why_and_leaves_nothing(artefact, tmp_path, monkeypatch, error, reason):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(DeployError, match=f"a: .*{reason}"):
        artefact.save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("edgeseg.deploy.artefact.write_json", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(DeployError, match=f"edgeseg-.*{reason}.*TMPDIR"):
        compile(tiny_segmenter(), "eager", size=SIZE, graphs=("labels",), device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_the_reason_whatever_a_library_calls_it(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed\nframe #0: c10::Error")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(type(get_runtime("eager")), "build", fail)
    usage = shutil.disk_usage(tmp_path)
    for free, reason in ((5000, "the disk is full. Free some space, or set TMPDIR"), (1 << 30, "PytorchStreamWriter")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        with pytest.raises(RuntimeError, match=reason):
            compile(tiny_segmenter(), "eager", size=SIZE, device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_end_from_outside_leaves_no_half_of_an_artefact(artefact, tmp_path, monkeypatch, end):
    """The command line makes such an end of SIGTERM too."""
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(end))
    with pytest.raises(end):
        artefact.save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(type(get_runtime("eager")), "build", lambda *_: (_ for _ in ()).throw(end))
    with pytest.raises(end):
        compile(tiny_segmenter(), "eager", size=SIZE, device="cpu")
    assert list(tmp_path.iterdir()) == []


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


WRONG = [
    ("runtime", 3), ("runtime", "toaster"), ("precision", "int3"), ("precision", None), ("size", [0, 0]),
    ("size", "big"), ("size", [64]), ("size", [64.0, 96.0]), ("size", [96, 64]), ("network_size", None),
    ("network_size", [32, 32]), ("batch", "x"), ("batch", 0), ("batch", True), ("batch", 2), ("graphs", {}),
    ("graphs", []), ("graphs", {"labels": None}), ("graphs", {"masks": {}}), ("files", {}), ("files", []),
    ("classes", "abcde"), ("classes", list("abcde")), ("classes", [{"name": "a"}]), ("classes", None), ("table", None),
    ("mean", [float("nan")] * 3), ("mean", None), ("std", [0, 1, 1]), ("format", None),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_description_that_cannot_be_is_refused_by_its_file(artefact, tmp_path, key, value):
    folder = artefact.save(tmp_path / "a")
    about = json.loads((folder / DESCRIPTION).read_text())
    for broken in ({**about, key: value}, {k: v for k, v in about.items() if k != key}):
        (folder / DESCRIPTION).write_text(json.dumps(broken))
        with pytest.raises(DeployError, match=r"artefact.json: ") as refusal:
            Artefact.load(folder)
        assert "\n" not in str(refusal.value)


# refusals -------------------------------------------------------------------------------------------------------------


def test_a_precision_or_graph_that_does_not_exist_is_refused_with_those_that_do(segmenter):
    with pytest.raises(DeployError, match="eager has no int8; it builds fp32, fp16, bf16"):
        compile(segmenter, "eager", "int8", SIZE)
    with pytest.raises(DeployError, match=r"no graph 'label' \(did you mean labels\?\); there are labels, logits"):
        compile(segmenter, "eager", size=SIZE, graphs=("label",))
    with pytest.raises(DeployError, match="graphs: none is asked for; there are labels, logits"):
        compile(segmenter, "eager", size=SIZE, graphs=())


def test_a_device_that_is_not_there_is_refused(segmenter):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DeployError, match="take device=cpu"):
        compile(segmenter, "eager", size=SIZE, device="cuda")


def test_a_graph_that_was_not_built_is_named(segmenter):
    only = compile(segmenter, "eager", size=SIZE, graphs=("labels",), device="cpu")
    with pytest.raises(DeployError, match="built without its logits graph; export it with --graphs labels,logits"):
        only.logits(torch.zeros(1, 3, *SIZE))
