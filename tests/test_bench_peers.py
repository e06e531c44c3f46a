"""What stands beside ours in a benchmark: random weights, always the same ones, batch normalisation settled."""

import pytest
import torch
from torch import nn

from edgeseg.bench.peers import PEERS, untrained
from edgeseg.bench.plan import Plan
from edgeseg.deploy.runtimes.graph import export_graph
from edgeseg.models import registry
from edgeseg.models.registry import ARCHS, Arch, create_model


def test_every_peer_is_an_architecture_and_our_baselines_need_no_further_package():
    assert set(PEERS) <= set(ARCHS)
    assert {name for name in PEERS if not ARCHS[name].package} == {
        "stdc1_seg", "stdc2_seg", "pp_liteseg_t", "pp_liteseg_b",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["pp_liteseg_t", "lraspp_mobilenet_v3", "smp_segformer_b0"])
def test_a_peer_is_a_segmenter_of_finite_logits(name):
    if reason := ARCHS[name].why_not():
        pytest.skip(reason)
    segmenter = untrained(name, lambda n: create_model(name, n), 5)
    assert not segmenter.training
    with torch.inference_mode():
        logits = segmenter.model(torch.randn(1, 3, 97, 131))
        labels = segmenter(torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8))
    assert logits.shape == (1, 5, 97, 131)
    assert logits.isfinite().all()
    assert (labels.shape, labels.dtype) == ((1, 64, 96), torch.int32)


def test_peers_whose_library_is_missing_are_left_out_with_the_pip_line(monkeypatch):
    far = {name: Arch(nn.Identity, package="no_such_package") for name in PEERS}
    monkeypatch.setattr("edgeseg.bench.plan.ARCHS", far)
    plan = Plan(["cross_cbam_m.streets"], ["eager"], with_peers=True)
    assert [n.name for n in plan.networks] == ["cross_cbam_m.streets"]
    assert plan.left_out == [
        f'peer {name}: it needs no_such_package: pip install "edgeseg[peers]"' for name in PEERS
    ]  # fmt: skip


def test_a_named_network_of_another_library_counts_as_a_peer_and_ours_does_not(monkeypatch):
    near = {**ARCHS, "far": Arch(ARCHS["stdc1_seg"].build, {"backbone": "stdc1", "width": 8}, "torch")}
    monkeypatch.setattr("edgeseg.bench.plan.ARCHS", near)
    monkeypatch.setattr(registry, "ARCHS", near)
    plan = Plan(["far", "stdc1_seg"], ["eager"])
    assert [(n.name, n.peer) for n in plan.networks] == [("far", True), ("stdc1_seg", False)]


def test_the_weights_are_always_the_same_and_the_global_generator_is_left_alone():
    def build(classes):
        return create_model("stdc1_seg", classes, width=8)

    torch.manual_seed(1)
    expected = torch.rand(3)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(untrained("stdc1_seg", build, 3).state_dict())
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
    torch.manual_seed(1)
    untrained("stdc1_seg", build, 3)
    assert torch.equal(torch.rand(3), expected)


def test_batch_normalisation_is_settled_and_its_momentum_given_back():
    network = untrained("net", lambda n: nn.Sequential(nn.Conv2d(3, n, 1), nn.BatchNorm2d(n, momentum=0.03)), 4)
    norm = network.model[1]
    assert norm.momentum == 0.03
    assert not torch.equal(norm.running_var, torch.ones(4))
    assert network.model.arch == "net"


@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3", "smp_segformer_b0"])
def test_a_peer_exports(name):
    if reason := ARCHS[name].why_not():
        pytest.skip(reason)
    segmenter = untrained(name, lambda n: create_model(name, n), 5)
    program = export_graph(segmenter, torch.zeros(1, 3, 90, 120, dtype=torch.uint8))
    image = torch.randint(0, 256, (1, 3, 90, 120), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(program.module()(image), segmenter(image))
