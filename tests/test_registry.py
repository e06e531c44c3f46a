"""Names and switches: what is right is built, what is not is refused with the near names or what is wanted."""

import re

import pytest

import edgeseg
from edgeseg.models.registry import ARCHS, UnknownModelError, create_model, list_models


def test_public_face_builds_and_lists_models():
    assert {"cross_cbam_m", "cross_cbam_l", "stdc1_fcn", "stdc2_fcn"} <= set(edgeseg.list_models())
    assert edgeseg.list_models("*_l") == ["cross_cbam_l", "hrnet_l"]
    model = edgeseg.create_model("cross_cbam_m", num_classes=7, dilations=(2, 4), width=16)
    assert (model.arch, model.num_classes, model.switches) == ("cross_cbam_m", 7, {"dilations": (2, 4), "width": 16})
    assert edgeseg.create_model("cross_cbam_m", width=16).num_classes == 19


@pytest.mark.parametrize(
    ("name", "switches", "message"),
    [
        ("cross_cbam_x", {}, "did you mean cross_cbam_s or cross_cbam_m or cross_cbam_l"),
        ("resnet", {}, "there are cross_cbam, cross_cbam_l, cross_cbam_m"),
        ("cross_cbam_m.nowhere", {}, "no weight 'cross_cbam_m.nowhere'"),
        ("cross_cbam_m", {"dilation": (1, 3)}, "did you mean dilations"),
        ("cross_cbam_m", {"zzz": 1}, "there are dilations, aspp_channels"),
        ("cross_cbam_m", {"backbone": "stdc2"}, "for 'stdc2' take cross_cbam_l"),
        ("cross_cbam_s", {"backbone": "stdc1"}, "for 'stdc1' take cross_cbam_m"),
        ("cross_cbam_m", {"backbone": "timm:resnet18"}, "it is a switch of cross_cbam"),
        ("cross_cbam", {"backbone": "stdc3"}, "(did you mean stdc2 or stdc1?); there are stdc1, stdc2, efficientnet_"),
        ("hrnet_l_w18", {"width": 48}, "hrnet_l_w18 has width=18 for good; it is a switch of hrnet"),
        ("hrnet_s", {"attention": "aam"}, "for 'aam' take hrnet_m"),
        ("hrnet", {"attention": "axial"}, "(did you mean aam?); there are none, se, eca, cbam, aam, sp"),
        ("hrnet", {"attention": "se", "attention_at": "last"}, "choose 'all' (five places) or 'concat'"),
        ("hrnet", {"dead_attention": True}, "an attention that keeps the width"),
        ("hrnet", {"bfem": True, "strips": "both"}, "choose 'serial' (the paper) or 'parallel'"),
        ("cross_cbam_m", {"new_head": True}, "leave new_head out"),
        ("cross_cbam_m", {"num_classes": 0}, "1 or more"),
        ("cross_cbam_m", {"fusion": "adds"}, "did you mean add"),
        ("cross_cbam_m", {"width": 15}, "even and positive"),
    ],
)
def test_a_wrong_name_or_switch_is_refused_with_the_near_ones(name, switches, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        create_model(name, **switches)


def test_unknown_model_error_is_a_value_error():
    assert issubclass(UnknownModelError, ValueError)
    assert list_models("no such pattern") == []


@pytest.mark.parametrize(
    ("name", "switches", "wanted"),
    [
        ("cross_cbam_m", {"dilations": 5}, "dilations=5: give numbers with commas"),
        ("cross_cbam_m", {"dilations": (1, "a")}, "dilations=(1, 'a'): give numbers"),
        ("cross_cbam_m", {"width": "a"}, "width='a': give a whole number from 1 to 4096; the default is 64"),
        ("cross_cbam_m", {"width": True}, "width=True: give a whole number"),
        ("cross_cbam_m", {"aspp_channels": 0}, "aspp_channels=0: give a whole number from 1 to 4096"),
        ("cross_cbam_m", {"dropout": 2}, "dropout=2: give a number from 0 to 1"),
        ("cross_cbam_m", {"aux": 1}, "aux=1: give true or false"),
        ("cross_cbam_m", {"num_classes": "11"}, "num_classes='11': give a whole number"),
        ("pp_liteseg_t", {"channels": (32, 64)}, "channels=(32, 64): give three"),
        ("hrnet", {"attention": 3}, "attention=3: give a word"),
        ("hrnet", {"modules": 4}, "modules=4: give numbers with commas"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_one_line_that_names_the_switch(name, switches, wanted):
    with pytest.raises(ValueError, match=re.escape(wanted)) as refused:
        create_model(name, **switches)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ARCHS)
def test_every_default_is_a_value_that_its_switch_takes(name):
    for switch, field in ARCHS[name].switches.items():
        assert field.check(switch, field.default) == field.default
