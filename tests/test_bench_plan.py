"""What is compared: choices of runtimes as typed, networks with as many classes, artefacts under their own names."""

from dataclasses import replace

import pytest
import torch

from compiled_networks import needs
from edgeseg.bench.plan import UNKNOWN, Choice, Network, Plan, default_choices, open_variant
from edgeseg.data.labels import CAMVID
from edgeseg.deploy import Artefact, DeployError, compile
from edgeseg.deploy.parity import mini_set
from edgeseg.inference import Segmenter
from edgeseg.models.registry import create_model
from edgeseg.models.weights import save_weights, weight_meta

SIZE = (64, 96)


def segmenter(seed=0):
    torch.manual_seed(seed)
    model = create_model("stdc1_fcn", 11, width=16)
    return Segmenter(model, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), table=CAMVID)


@pytest.fixture(scope="module")
def network():
    return Network("small", segmenter(), "a" * 64)


@pytest.fixture(scope="module")
def samples(network):
    return mini_set(network.segmenter, SIZE, 1)[:1]


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    return compile(network.segmenter, "eager", size=SIZE).save(tmp_path_factory.mktemp("artefacts") / "eager")


def test_a_choice_is_read_and_named_as_it_was_typed():
    choice = Choice.parse("eager:bf16:channels_last=False,device=cpu")
    assert (choice.runtime, choice.precision) == ("eager", "bf16")
    assert choice.options == {"channels_last": False, "device": "cpu"}
    assert str(choice) == "eager bf16 channels_last=False,device=cpu"
    assert str(Choice.parse("eager")) == "eager fp32"


def test_a_list_keeps_its_commas():
    pytest.importorskip("onnxruntime")
    choice = Choice.parse("onnx:int8:keep=head,classifier,opset=18")
    assert choice.options == {"keep": ("head", "classifier"), "opset": 18}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onx", "did you mean onnx"),
        pytest.param("web", "web runs in a browser, so its times cannot be taken here", marks=needs("web")),
        ("eager:fp31", "eager has no fp31; it builds fp32, fp16, bf16"),
        ("eager:fp32:channels_last", "write option=value"),
        ("eager:fp32:chanels_last=no", "near: channels_last"),
    ],
)
def test_a_wrong_choice_is_refused_in_one_line(text, message):
    with pytest.raises(DeployError, match=message) as error:
        Choice.parse(text)
    assert "\n" not in str(error.value)


def test_the_default_runtimes_can_run_here_or_say_why_not():
    chosen, left_out = default_choices()
    assert str(chosen[0]) == "eager fp32"
    assert len(chosen) + len(left_out) == 4
    assert all("cannot run here" in reason for reason in left_out)


def test_networks_without_weights_are_random_and_have_the_classes_of_the_trained_one():
    plan = Plan(["cross_cbam_m.streets", "stdc1_fcn", "lraspp_mobilenet_v3", "stdc1_fcn"], ["eager"])
    assert [n.name for n in plan.networks] == ["cross_cbam_m.streets", "stdc1_fcn", "lraspp_mobilenet_v3"]
    assert [n.weights.startswith("random") for n in plan.networks] == [False, True, True]
    assert [n.peer for n in plan.networks] == [False, False, True]
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with torch.inference_mode():
        assert {n.segmenter.logits(image).shape[1] for n in plan.networks} == {11}


def test_a_peer_that_a_runtime_cannot_compile_is_left_out_and_a_network_of_ours_is_an_error(samples, tmp_path):
    plan = Plan([], ["eager"], [SIZE])
    broken = Segmenter(torch.nn.Linear(1, 1), (0.5,) * 3, (0.2,) * 3)
    plan.networks = [Network("broken", broken, "random", peer=True)]
    assert plan._variants(SIZE, samples, tmp_path) == []
    assert plan.left_out[0].startswith("broken eager fp32: ")
    plan.networks = [Network("ours", broken, "random")]
    with pytest.raises(RuntimeError):
        plan._variants(SIZE, samples, tmp_path)


def test_artefacts_alone_are_compared_at_their_own_size_and_others_must_be_asked_for(folder):
    assert Plan([str(folder)]).sizes == [SIZE]
    assert Plan([str(folder)], sizes=[(96, 96), SIZE]).sizes == [(96, 96), SIZE]
    with pytest.raises(ValueError, match="add --size 64x96"):
        Plan([str(folder)], sizes=[(96, 96)])


def test_an_artefact_for_batches_is_refused_before_anything_is_compiled(network, tmp_path):
    batch = compile(network.segmenter, "eager", size=SIZE, batch=2).save(tmp_path / "batch")
    with pytest.raises(DeployError, match="made for batches of 2; times here are of one image"):
        Plan([str(batch)])


def test_somebody_elses_artefact_never_gets_a_networks_name_and_hash(folder, network, samples):
    stranger = open_variant(folder, [network], samples)
    assert (stranger.network, stranger.weights) == (str(folder), UNKNOWN)
    assert stranger.quality["compared_with"] == "small eager fp32"
    assert stranger.quality["disagreement"] == 0
    alone = open_variant(folder, [], samples)
    assert alone.quality["miou"] == pytest.approx(stranger.quality["miou"])
    assert "disagreement" not in alone.quality


def test_an_artefact_that_names_its_weights_is_compared_with_these_alone(network, samples, tmp_path):
    file = tmp_path / "small.safetensors"
    meta = weight_meta(CAMVID.names, CAMVID.colors, "camvid", (0.5,) * 3, (0.2,) * 3)
    sha256 = save_weights(file, network.segmenter.model, meta)
    known = compile(file, "eager", size=SIZE).save(tmp_path / "known")
    assert Artefact.load(known).about["weights"] == "small.safetensors"
    mine, other = replace(network, weights=sha256), Network("other", segmenter(1), "b" * 64)
    found = open_variant(known, [other, mine], samples)
    assert (found.network, found.weights) == ("small", sha256)
    assert found.quality["disagreement"] == 0
    stranger = open_variant(known, [other], samples)
    assert (stranger.network, stranger.weights) == (str(known), sha256)
    assert "disagreement" not in stranger.quality
