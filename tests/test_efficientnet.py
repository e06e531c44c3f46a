"""EfficientNet-Lite: timm's maps at the same weights, a sound start, depthwise convolutions that train in float32."""

from functools import cache

import pytest
import torch
from torch import nn

from compiled_networks import HALF_THE_DIGITS, compiled, needs, street_images, worst_error
from edgeseg.data.labels import CAMVID
from edgeseg.deploy.quantise import sensitivity
from edgeseg.inference import Segmenter
from edgeseg.models.counts import count
from edgeseg.models.efficientnet import DepthwiseConv2d, EfficientNetLite
from edgeseg.models.registry import create_model
from small_networks import images, stir


def timms(name: str, **options) -> nn.Module:
    timm = pytest.importorskip("timm", reason="the independent implementation: pip install 'edgeseg[timm]'")
    return timm.create_model(name, features_only=True, out_indices=(2, 3, 4), **options).eval()


def with_weights_of(theirs: nn.Module, variant: int) -> EfficientNetLite:
    """Ours, by our table of names; every normalisation of both has statistics of its own."""
    stir(theirs)
    ours, state = EfficientNetLite(variant).eval(), theirs.state_dict()
    ours.load_state_dict({key: state[ours.timm_key(key)] for key in ours.state_dict()})
    return ours


@pytest.mark.parametrize("variant", [0, 2])
def test_at_timms_weights_it_gives_timms_maps_where_both_paddings_agree(variant):
    theirs = timms(f"tf_efficientnet_lite{variant}")
    ours = with_weights_of(theirs, variant)
    assert ours.timm_name == f"tf_efficientnet_lite{variant}"
    with torch.inference_mode():
        for own, their in zip(ours(images(1, 97, 129)), theirs(images(1, 97, 129)), strict=True):
            torch.testing.assert_close(own, their, rtol=1e-5, atol=1e-5)


def test_at_any_size_it_gives_the_maps_of_timms_network_with_fixed_padding():
    theirs = timms("efficientnet_lite0", bn_eps=1e-3)
    ours = with_weights_of(theirs, 0)
    with torch.inference_mode():
        for size in ((64, 96), (33, 47), (75, 110)):
            for own, their in zip(ours(images(1, *size)), theirs(images(1, *size)), strict=True):
                torch.testing.assert_close(own, their, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", range(5))
def test_entries_and_channels_are_timms_in_timms_order(variant):
    with torch.device("meta"):
        ours, theirs = EfficientNetLite(variant), timms(f"tf_efficientnet_lite{variant}")
    assert list(map(ours.timm_key, ours.state_dict())) == list(theirs.state_dict())
    assert [v.shape for v in ours.state_dict().values()] == [v.shape for v in theirs.state_dict().values()]
    assert list(ours.channels) == theirs.feature_info.channels()


def test_the_network_s_has_one_width_throughout():
    with torch.device("meta"):
        model = create_model("cross_cbam_s", 11)
    counted = count(model, (360, 480))
    assert (counted.params, counted.params_with_aux, round(counted.macs / 1e6)) == (3_792_111, 3_977_274, 1652)
    gated = {
        m.excite.out_channels for name, m in model.named_modules() if name.endswith(("channel_low", "channel_high"))
    }
    assert gated == {96}
    assert model.reduce.conv.weight.shape == (96, 96, 3, 3)
    assert create_model("cross_cbam_s", 3, width=16, aspp_channels=32).classifier.in_channels == 32


@pytest.mark.parametrize("width", [0, 7])
def test_a_width_that_cannot_be_is_refused(width):
    with pytest.raises(ValueError, match="even and positive"):
        EfficientNetLite(0, width)


def test_a_fresh_network_starts_with_lively_maps_that_the_decoder_does_not_draw_again():
    torch.manual_seed(0)
    model = create_model("cross_cbam_s", 3)
    deviations = []
    for module in model.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, y: deviations.append(float(y.detach().std())))
    model(images(2, 128, 128))
    assert min(deviations) > 0.9  # a start too small for the normalisation's epsilon would stay below 1


# depthwise convolutions -----------------------------------------------------------------------------------------------


def twins(kernel: int = 5, stride: int = 2) -> tuple[DepthwiseConv2d, nn.Conv2d, torch.Tensor]:
    torch.manual_seed(0)
    own, plain = (
        DepthwiseConv2d(16, kernel, stride),
        nn.Conv2d(16, 16, kernel, stride, kernel // 2, groups=16, bias=False),
    )
    plain.load_state_dict(own.state_dict())
    return own, plain, torch.randn(2, 16, 13, 18)


def gradients(conv: nn.Conv2d, x: torch.Tensor, amp: bool) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        y = conv(x)
    y.float().square().sum().backward()
    return [y.detach(), x.grad, conv.weight.grad]


def test_training_under_bfloat16_autocast_computes_in_float32_and_gives_bfloat16():
    own, plain, x = twins()
    found, exact = gradients(own, x, amp=True), gradients(plain, x, amp=False)
    assert torch.equal(found[0], exact[0].bfloat16())
    for a, b in zip(found[1:], exact[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=2**-6, atol=2**-6 * float(b.abs().max()))  # y was rounded once


@pytest.mark.parametrize("training", [True, False])
def test_without_autocast_and_in_eval_mode_it_is_the_plain_convolution_to_the_bit(training):
    own, plain, x = twins()
    own.train(training)
    for amp in (False,) if training else (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            assert torch.equal(own(x), plain(x))


def test_no_cast_enters_an_exported_graph():
    own, plain, x = twins()

    def operations(conv: nn.Module) -> list[str]:
        return [str(n.target) for n in torch.export.export(conv.eval(), (x,)).graph.nodes if n.op == "call_function"]

    assert operations(own) == operations(plain) == ["aten.conv2d.default"]


# compiled -------------------------------------------------------------------------------------------------------------


@cache
def small_segmenter() -> Segmenter:
    torch.manual_seed(0)
    model = create_model("cross_cbam_s", 11, width=16, aspp_channels=16)
    return Segmenter(model, (0.5,) * 3, (0.5,) * 3, None, CAMVID)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "precision", "bound"),
    [
        pytest.param("onnx", "fp32", HALF_THE_DIGITS, marks=needs("onnx")),
        pytest.param("onnx", "int8", 0.3, marks=needs("onnx", "int8")),
        pytest.param("openvino", "int8", 0.3, marks=needs("openvino", "int8")),
    ],
)
def test_runtimes_compute_the_network_in_float_and_in_8_bits(runtime, precision, bound):
    artefact, segmenter = compiled(small_segmenter(), runtime, precision), small_segmenter()
    layers = [n for n, m in segmenter.model.named_modules() if isinstance(m, nn.Conv2d) and not n.startswith("aux")]
    assert sum(artefact.about["graphs"]["labels"]["dtypes"].values()) == len(layers)
    assert worst_error(artefact, segmenter) < bound


def test_one_layer_at_a_time_can_be_quantised():
    segmenter = small_segmenter()
    costs = sensitivity(segmenter, street_images("test", 1), layers=["backbone.stages.0"], progress=False)
    assert {c.name for c in costs.layers} == {f"backbone.stages.0.0.{n}.conv" for n in ("depthwise", "project")}
    assert 0 < costs.together.logits_error < 0.1
