"""Other people's networks keep this package's contract: they train, are saved, opened, tuned and frozen as ours."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from edgeseg.inference import load_segmenter
from edgeseg.models import registry
from edgeseg.models.papers import count_peer_as_improved_hrnet_paper
from edgeseg.models.peers import PRINTED, Peer
from edgeseg.models.public import load_public_backbone
from edgeseg.models.registry import ARCHS, Arch, create_model
from edgeseg.models.weights import WeightError, is_aux_key, read_weights, save_weights
from edgeseg.training.train import fit
from small_networks import images
from toy_runs import TABLE, TINY, Toy

CLASSES = 11
LARGE = ("resnet50", "xception65", "b3")
NEEDS = {name: arch.why_not() for name, arch in ARCHS.items() if arch.package}
QUICK = ["lraspp_mobilenet_v3", "smp_deeplabv3plus_mobilenet_v2", "smp_segformer_b0"]
"""One of each library and of each kind of head that is small."""
TWO_STEPS = replace(TINY, switches={}, iterations=2, batch=2, crop=(64, 64), optimizer="adamw", lr=1e-3)


def cases(names):
    """Each network, skipped with the pip line where its library is missing, slow where it is large."""
    marks = {
        n: [
            *([pytest.mark.skip(reason=NEEDS[n])] if NEEDS[n] else []),
            *([pytest.mark.slow] if n.endswith(LARGE) else []),
        ]
        for n in names
    }
    return pytest.mark.parametrize("name", [pytest.param(n, marks=marks[n]) for n in names])


def build(name):
    torch.manual_seed(0)
    return create_model(name, CLASSES)


@cases(NEEDS)
def test_it_keeps_the_contract_at_an_odd_size(name):
    model, x = build(name), images(2, 97, 131)
    assert (model.arch, model.switches, model.num_classes) == (name, {}, CLASSES)
    out = model(x)
    assert set(out) == {"out", "aux"}
    assert (out["out"].shape, out["aux"]) == ((2, CLASSES, 97, 131), [])
    out["out"].square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    model.eval()
    with torch.inference_mode():
        logits = model(x[:1])
        small = model(images(1, 32, 32))
    assert logits.shape == (1, CLASSES, 97, 131)
    assert small.shape == (1, CLASSES, 32, 32)
    assert logits.isfinite().all()


@cases(QUICK)
def test_a_run_trains_it_and_its_weight_goes_on_with_names_logits_and_for_other_classes(name, tmp_path):
    with pytest.warns(UserWarning, match="backbone stays at its random weights"):  # which shows that it can be frozen
        fit(
            replace(TWO_STEPS, model=name, freeze_epochs=0.5),
            Toy(4), None, tmp_path, device="cpu", progress=False,
        )  # fmt: skip
    path = str(tmp_path / "weights.safetensors")
    segmenter, again = load_segmenter(path), create_model(path).eval()
    assert segmenter.table.names == TABLE.names
    assert (again.arch, again.num_classes) == (name, len(TABLE))
    with torch.inference_mode():
        assert torch.equal(again(images(1, 64, 64)), segmenter.model.eval()(images(1, 64, 64)))
    tuned = create_model(path, num_classes=2, new_head=True).eval()
    kept = again.state_dict()
    assert all(v.equal(kept[k]) for k, v in tuned.state_dict().items() if not k.startswith("classifier"))
    with torch.inference_mode():
        assert tuned(images(1, 32, 32)).shape == (1, 2, 32, 32)


@cases(["smp_segformer_b0"])
def test_padding_and_cropping_leave_what_is_inside_alone(name):
    model, x = build(name).eval(), images(1, 64, 96)
    with torch.inference_mode():
        padded = torch.zeros(1, 3, 96, 96)
        padded[:, :, :64] = x
        padded[:, :, 64:66] = 1.0
        assert torch.equal(model(padded[:, :, :66]), model(padded)[:, :, :66])
        assert not torch.equal(model(x), model(padded)[:, :, :64])  # it does see what stands below


def test_a_network_that_asks_for_multiples_is_padded_and_cropped_and_a_small_map_is_resized():
    class Strict(Peer):
        multiple, backbone = 32, nn.Identity()

        def logits(self, x):
            assert x.shape[2] % 32 == x.shape[3] % 32 == 0
            return x[:, :1, ::2, ::2]

    net = Strict().eval()
    assert net(torch.zeros(1, 3, 40, 70)).shape == (1, 1, 40, 70)
    assert torch.equal(net(torch.full((1, 3, 64, 32), 2.0)), torch.full((1, 1, 64, 32), 2.0))
    assert net.train()(torch.zeros(2, 3, 40, 70))["out"].shape == (2, 1, 40, 70)


@cases(["deeplabv3_mobilenet_v3", "smp_deeplabv3plus_mobilenet_v2"])
def test_one_image_cannot_train_deeplab_and_the_message_says_what_can(name):
    model = build(name)
    with pytest.raises(ValueError, match="image pooling.*take a batch of two or more"):
        model(images(1, 64, 64))
    for module in model.modules():  # frozen batch norm can
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert model(images(1, 64, 64))["out"].isfinite().all()


@cases(["lraspp_mobilenet_v3", "smp_segformer_b0"])
def test_one_image_trains_the_others_and_too_small_a_one_is_refused(name):
    model = build(name)
    assert model(images(1, 64, 33))["out"].isfinite().all()
    with pytest.raises(ValueError, match="at least 32x32"):
        model(images(1, 31, 64))


@cases(["smp_segformer_b0"])
def test_it_is_built_without_values_too(name):
    with torch.device("meta"):
        model = build(name)
    assert {t.device.type for t in model.state_dict().values()} == {"meta"}


# Other libraries' ImageNet weights ------------------------------------------------------------------------------------


def public(encoder):
    """The network of timm or torchvision that an encoder comes from, with random weights."""
    if encoder.startswith("tf_"):
        return pytest.importorskip("timm").create_model(encoder).eval()
    return pytest.importorskip("torchvision").models.get_model(encoder).eval()


@cases(["lraspp_mobilenet_v3", "smp_unet_resnet18", "smp_fpn_mobilenet_v3", "smp_deeplabv3plus_mobilenet_v2"])
def test_an_encoder_takes_the_file_of_its_library(name, tmp_path):
    model = build(name)
    torch.save(public(model.encoder).state_dict(), tmp_path / "public.pth")
    report = load_public_backbone(model, tmp_path / "public.pth")
    assert len(report.loaded) == len(model.backbone.state_dict())
    assert {key.partition(".")[0] for key in report.ignored} <= {"fc", "classifier", "conv_head"}


@cases(["smp_unet_resnet18", "smp_fpn_mobilenet_v3"])
def test_with_that_file_it_computes_what_its_library_does(name, tmp_path):
    model, x = build(name).eval(), images(1, 64, 64)
    theirs = public(model.encoder)
    torch.save(theirs.state_dict(), tmp_path / "public.pth")
    load_public_backbone(model, tmp_path / "public.pth")
    below = [theirs.conv_stem, theirs.bn1, theirs.blocks] if hasattr(theirs, "blocks") else list(theirs.children())[:-2]
    with torch.inference_mode():
        torch.testing.assert_close(model.backbone(x)[-1], nn.Sequential(*below)(x))


@cases(["smp_unet_resnet18"])
def test_the_file_of_another_encoder_is_refused_by_name(name, tmp_path):
    path = tmp_path / "resnet34.pth"
    torch.save(public("resnet34").state_dict(), path)
    with pytest.raises(WeightError, match=r"resnet34.pth: .*96 entries too many\): this one is resnet18"):
        load_public_backbone(build(name), path)


# Libraries that are missing -------------------------------------------------------------------------------------------


def test_a_missing_library_gives_the_pip_line(monkeypatch):
    monkeypatch.setattr(registry, "ARCHS", {"far": Arch(nn.Identity, package="no_such_package")})
    with pytest.raises(ImportError, match=r'^far: it needs no_such_package: pip install "edgeseg\[peers\]"$'):
        create_model("far")


def test_names_are_listed_and_ours_are_built_without_other_peoples_libraries():
    code = (
        "import sys; from edgeseg.models.registry import *; assert set(ARCHS) <= set(list_models()); "
        "[a.switches for a in ARCHS.values()]; create_model('stdc1_fcn', width=8); "
        "print({'torchvision', 'timm', 'segmentation_models_pytorch'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"


# Training-only heads --------------------------------------------------------------------------------------------------


@cases(["deeplabv3_mobilenet_v3", "smp_pspnet_resnet50", "smp_deeplabv3plus_mobilenet_v2", "smp_segformer_b0"])
def test_an_auxiliary_head_is_for_training_only(name):
    torch.manual_seed(0)
    model, x = create_model(name, CLASSES, aux=True), images(2, 97, 131)
    out = model(x)
    assert [a.shape for a in out["aux"]] == [(2, CLASSES, 97, 131)]
    (out["out"].square().mean() + out["aux"][0].square().mean()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    kept = {k: v for k, v in model.state_dict().items() if not is_aux_key(k)}
    plain = create_model(name, CLASSES).eval()
    assert len(kept) < len(model.state_dict())
    plain.load_state_dict(kept)
    with torch.inference_mode():
        assert torch.equal(plain(x), model.eval()(x))


@cases(["smp_pspnet_resnet50"])
def test_the_auxiliary_head_of_pspnet_is_the_papers_in_size(name):
    """A 3×3 convolution to 256 channels, batch normalisation, and a classifier, on 1,024 channels."""
    with torch.device("meta"):
        head = create_model(name, 20, aux=True).aux_head
    assert sum(p.numel() for p in head.parameters()) == 9 * 1024 * 256 + 2 * 256 + 257 * 20


@cases(["deeplabv3_mobilenet_v3"])
def test_a_run_trains_the_auxiliary_head_and_its_weight_goes_on_with_it_without_it_and_for_other_classes(
    name, tmp_path
):
    recipe = replace(TWO_STEPS, model=name, switches={"aux": True})
    fit(recipe, Toy(4), None, tmp_path, device="cpu", progress=False)
    path, small = tmp_path / "weights.safetensors", tmp_path / "small.safetensors"
    again = create_model(str(path)).eval()
    assert again.aux_head.classifier[1].num_batches_tracked  # it has seen images
    save_weights(small, again, read_weights(path)[0], drop_aux=True)
    without, x = create_model(str(small)).eval(), images(1, 64, 64)
    assert (without.aux_head, without.switches) == (None, {"aux": False})
    with torch.inference_mode():
        assert torch.equal(without(x), again(x))
    for weight in (path, small):
        tuned = create_model(str(weight), num_classes=2, new_head=True, aux=True)
        assert [a.shape for a in tuned(images(2, 64, 64))["aux"]] == [(2, 2, 64, 64)]


@cases(["lraspp_mobilenet_v3"])
def test_lr_aspp_has_none(name):
    with pytest.raises(ValueError, match="lraspp_mobilenet_v3: torchvision's LR-ASPP has no auxiliary head; leave aux"):
        create_model(name, aux=True)


# Through the commands -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@cases(["lraspp_mobilenet_v3"])
def test_a_run_goes_through_train_eval_export_and_bench(name, tmp_path):
    pytest.importorskip("onnxruntime", reason='needs pip install "edgeseg[export]"')
    run, size = str(tmp_path / "run"), "64x96"
    scenes = ("--data", "streets", "--split", "val", "--data-size", size, "--count", "2")
    small = ["data_size=64,96", "data_count=4", "crop=64,96", "iterations=2", "batch=2", "precise_bn=0", "warmup=0"]
    quick = ("--size", size, "--quick", "--rounds", "1", "--threads", "1")
    for words, said in (
        (("train", "streets_cpu", f"model={name}", *small, "--out", run), "edgeseg export"),
        (("eval", run, *scenes, "--json", str(tmp_path / "eval.json")), "2 images of streets val"),
        (("export", run, "--size", size, "--runtime", "onnx", "--out", str(tmp_path / "made")), "within tolerance"),
        (("bench", run, str(tmp_path / "made"), "--runtime", "eager", *quick), "onnx fp32"),
    ):
        done = subprocess.run([sys.executable, "-m", "edgeseg", *words], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout + done.stderr


# Printed numbers ------------------------------------------------------------------------------------------------------

KEPT = [row for row in PRINTED if row.name]
# the paper's Tables IV and V: million parameters, GFLOPs at 512×1024 and 512×512, TFLOPs at 1024×2048
TABLES = {
    ("DeepLabv3+_R", "Table IV"): ("40.354", "732.532", "2.930"),
    ("PSPNet", "Table IV"): ("48.957", "749.149", "2.996"),
    ("SegFormer", "Table IV"): ("47.238", "286.349", "1.145"),
    ("DeepLabv3+_R", "Table V"): ("40.354", "366.275", ""),
    ("DeepLabv3+_X", "Table V"): ("54.714", "486.773", ""),
    ("PSPNet", "Table V"): ("48.958", "374.634", ""),
    ("SegFormer", "Table V"): ("47.239", "143.199", ""),
}


def test_what_is_said_to_be_printed_is():
    assert {(row.printed, row.table): (row.params, row.gflops, row.tflops) for row in KEPT} == TABLES


@pytest.mark.slow
@pytest.mark.parametrize("row", KEPT, ids=lambda row: f"{row.printed}-{row.classes}")
def test_what_differs_brings_every_printed_number_to_the_last_digit(row):
    if NEEDS[row.name]:
        pytest.skip(NEEDS[row.name])
    gflops, params = count_peer_as_improved_hrnet_paper(row, row.size)
    assert (f"{gflops:.3f}", f"{params:.3f}") == (row.gflops, row.params)
    if row.tflops:
        assert f"{count_peer_as_improved_hrnet_paper(row, (1024, 2048))[0] / 1000:.3f}" == row.tflops
