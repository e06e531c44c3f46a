"""Public checkpoints of STDC and HRNet load by name, whole or not at all, and compute what they did."""

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from edgeseg.models.hrnet import HRNet
from edgeseg.models.public import load_public_backbone, load_public_state
from edgeseg.models.registry import create_model
from edgeseg.models.stdc import stdc1, stdc2
from edgeseg.models.weights import WeightError, read_public_checkpoint
from small_networks import stir

# STDC -----------------------------------------------------------------------------------------------------------------


def public_stdc(layers: tuple[int, int, int], base: int = 64) -> dict[str, torch.Tensor]:
    """A state dict with the names and shapes of the public ImageNet checkpoint, random values."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}

    def norm(name: str, width: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.rand(width) + 0.5, torch.randn(width) * 0.1
        state[f"{name}.running_mean"], state[f"{name}.running_var"] = torch.randn(width) * 0.1, torch.rand(width) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def conv(name: str, c_in: int, c_out: int, kernel: int) -> None:
        state[f"{name}.conv.weight"] = torch.randn(c_out, c_in, kernel, kernel) * (2 / (c_in * kernel**2)) ** 0.5
        norm(f"{name}.bn", c_out)

    conv("features.0", 3, base // 2, 3)
    conv("features.1", base // 2, base, 3)
    i, c_in = 2, base
    for stage, modules in enumerate(layers):
        c_out = base * 4 * 2**stage
        for first in [True] + [False] * (modules - 1):
            widths = (c_in, c_out // 2, c_out // 4, c_out // 8, c_out // 8)
            for j in range(4):
                conv(f"features.{i}.conv_list.{j}", widths[j], widths[j + 1], 1 if j == 0 else 3)
            if first:
                state[f"features.{i}.avd_layer.0.weight"] = torch.randn(c_out // 2, 1, 3, 3) / 3
                norm(f"features.{i}.avd_layer.1", c_out // 2)
            i, c_in = i + 1, c_out
    conv("conv_last", base * 16, base * 16, 1)
    state["fc.weight"] = torch.zeros(base * 16, base * 16)
    norm("bn", base * 16)
    state["linear.weight"] = torch.zeros(1000, base * 16)
    return state


def public_forward(state: dict[str, torch.Tensor], layers: tuple[int, int, int], x: torch.Tensor) -> list[torch.Tensor]:
    """What the public network computes, written with plain functions from its names."""

    def norm(name: str, y: torch.Tensor) -> torch.Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(y, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])

    def conv(name: str, y: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.conv.weight"]
        return norm(f"{name}.bn", F.conv2d(y, weight, stride=stride, padding=weight.shape[-1] // 2)).relu()

    x = conv("features.1", conv("features.0", x, 2), 2)
    maps, i = [], 2
    for modules in layers:
        for first in [True] + [False] * (modules - 1):
            name = f"features.{i}"
            wide = y = conv(f"{name}.conv_list.0", x)
            if first:
                weight = state[f"{name}.avd_layer.0.weight"]
                y = norm(f"{name}.avd_layer.1", F.conv2d(y, weight, stride=2, padding=1, groups=len(weight)))
                wide = F.avg_pool2d(wide, 3, stride=2, padding=1)
            chain = [wide]
            for j in (1, 2, 3):
                y = conv(f"{name}.conv_list.{j}", y)
                chain.append(y)
            x, i = torch.cat(chain, 1), i + 1
        maps.append(x)
    return maps


STDCS = {"stdc1": (stdc1, (2, 2, 2), 8_443_552), "stdc2": (stdc2, (4, 5, 3), 12_474_016)}


@pytest.mark.parametrize("name", STDCS)
def test_a_public_checkpoint_loads_whole_and_computes_what_it_did(name, capsys):
    build, layers, size = STDCS[name]
    state = public_stdc(layers)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(v.numel() for k, v in state.items() if not k.endswith(statistics)) == size
    backbone = build()
    report = load_public_state(backbone, state)
    assert (len(report.loaded), report.missing) == (len(backbone.state_dict()), [])
    assert {k.split(".")[0] for k in report.ignored} == {"conv_last", "fc", "bn", "linear"}
    assert "missing 0, ignored 13 (conv_last.conv.weight" in capsys.readouterr().out
    x = torch.randn(1, 3, 70, 90)
    with torch.inference_mode():
        for ours, theirs in zip(backbone.eval()(x), public_forward(state, layers, x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_prefixes_second_names_and_old_batch_norms_are_understood():
    state = public_stdc((2, 2, 2), base=16)
    second = {f"x8.0.{k.removeprefix('features.')}": v for k, v in state.items() if k.startswith("features.2")}
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    whole = {**{f"cp.backbone.{k}": v for k, v in state.items()}, "ffm.convblk.conv.weight": torch.zeros(1)}
    for given in ({f"module.{k}": v for k, v in state.items()}, state | second, old, whole):
        backbone = stdc1(width=16)
        assert not load_public_state(backbone, given).missing
        assert torch.equal(backbone.stage5[1].branch4.conv.weight, state["features.7.conv_list.3.conv.weight"])


def test_a_checkpoint_of_another_stdc_or_width_is_refused_and_changes_nothing():
    one, two = public_stdc((2, 2, 2), base=16), public_stdc((4, 5, 3), base=16)
    damaged = {k: v for k, v in one.items() if k != "features.3.conv_list.2.conv.weight"}
    longer = {**one, "features.8.conv_list.0.conv.weight": torch.zeros(1)}
    wrong = ((stdc1, two, 16), (stdc2, one, 16), (stdc1, one, 32), (stdc1, damaged, 16), (stdc1, longer, 16))
    for build, state, width in wrong:
        backbone = build(width=width)
        before = {k: v.clone() for k, v in backbone.state_dict().items()}
        with pytest.raises(
            WeightError, match="not the weights of this backbone.*Build the one that the checkpoint is for"
        ):
            load_public_state(backbone, state, source="STDC.tar")
        assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())


# HRNet ----------------------------------------------------------------------------------------------------------------


def public_state(width: int = 18) -> dict[str, torch.Tensor]:
    """An ImageNet checkpoint in the public layout, head included, made by timm, which kept the official names."""
    timm = pytest.importorskip("timm", reason="timm has the public layout: pip install 'edgeseg[peers]'")
    model = timm.create_model(f"hrnet_w{width}")
    stir(model)
    return model.state_dict()


def test_a_public_checkpoint_loads_whole_and_the_head_is_listed_as_ignored(capsys, tmp_path):
    state = public_state()
    model = create_model("hrnet_w18", 5)
    path = tmp_path / "hrnetv2_w18_imagenet_pretrained.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    report = load_public_backbone(model, path)
    assert (len(report.loaded), report.missing) == (1830, [])
    assert {k.split(".")[0] for k in report.ignored} == {
        "incre_modules", "downsamp_modules", "final_layer", "classifier",
    }  # fmt: skip
    assert "loaded 1830, new 0, missing 0, ignored" in capsys.readouterr().out
    # timm's order is ours, so the names must give what the order gives
    by_order = list(state.values())[:1830]
    assert all(torch.equal(a, b) for a, b in zip(model.backbone.state_dict().values(), by_order, strict=True))


def test_timms_safetensors_files_load_too(tmp_path):
    state = public_state()
    save_file(state, tmp_path / "model.safetensors")
    model = create_model("hrnet_l_w18", 5)
    assert not load_public_backbone(model, tmp_path / "model.safetensors").missing
    assert torch.equal(model.backbone.stem2.conv.weight, state["conv2.weight"])


def test_weights_of_another_width_or_depth_are_refused_and_change_nothing():
    state = public_state()
    damaged = {k: v for k, v in state.items() if k != "stage4.2.fuse_layers.3.0.1.0.weight"}
    wrong = (
        (HRNet(32), state, r"the checkpoint has width 18, this backbone width 32 \(a switch of the hrnet models\)"),
        (HRNet(18, modules=(1, 3, 2), blocks=2), state, r"[1-9]\d* entries too many"),
        (HRNet(18), damaged, r"missing 1 \(stage4.2.exchange.paths.3.0.1.conv.weight\)"),
        (HRNet(18), {"features.0.conv.weight": torch.zeros(1)}, "has no known width"),
    )
    for backbone, given, message in wrong:
        before = {k: v.clone() for k, v in backbone.state_dict().items()}
        with pytest.raises(WeightError, match=message):
            load_public_state(backbone, given, source="w18.pth")
        assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_model_without_such_a_backbone_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightError, match=re.escape("Conv2d has no STDC or HRNet backbone")):
        load_public_backbone(nn.Conv2d(1, 1, 1), tmp_path / "a.safetensors")


class Evil:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_public_checkpoints_are_read_without_running_code(tmp_path):
    path = tmp_path / "STDCNet813M.tar"
    state = public_stdc((2, 2, 2), base=16)
    torch.save({"epoch": 1, "state_dict": state}, path)
    assert read_public_checkpoint(path).keys() == state.keys()
    torch.save({"state_dict": state, "more": Evil(tmp_path / "written")}, path)
    with pytest.raises(WeightError, match=r"STDCNet813M.tar: torch's safe reader refuses it"):
        read_public_checkpoint(path)
    assert not (tmp_path / "written").exists()


def test_unreadable_public_checkpoints_are_refused(tmp_path):
    path = tmp_path / "STDC.tar"
    with pytest.raises(WeightError, match="cannot be read"):
        read_public_checkpoint(path)
    torch.save(public_stdc((2, 2, 2), base=16), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightError, match="Fetch it again"):
        read_public_checkpoint(path)
    torch.save({"epoch": 1}, path)
    with pytest.raises(WeightError, match="holds no state_dict"):
        read_public_checkpoint(path)
