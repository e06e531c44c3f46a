"""Other people's networks keep our conventions once they are wrapped, or say what is missing."""

import pytest
import torch
from torch import nn

from edgeseg.bench import peers
from edgeseg.bench.peers import PEERS, Peer, PlainLogits, list_peers, peer, untrained, why_not
from edgeseg.deploy import DeployError
from edgeseg.deploy.runtimes.graph import export_graph

HERE = [name for name in list_peers() if why_not(name) is None]


@pytest.mark.parametrize("name", HERE)
def test_a_peer_gives_one_map_of_logits_at_input_size(name):
    network = peer(name, 5)
    assert network.peer
    assert network.weights == "random, seed 0"
    assert not network.segmenter.training
    with torch.inference_mode():
        logits = network.segmenter.model(torch.randn(1, 3, 97, 131))
        labels = network.segmenter(torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8))
    assert logits.shape == (1, 5, 97, 131)
    assert logits.isfinite().all()
    assert (labels.shape, labels.dtype) == ((1, 64, 96), torch.int32)


def test_torchvisions_and_our_baselines_need_no_further_package():
    assert {"lraspp_mobilenet_v3", "deeplabv3_mobilenet_v3", "stdc1_seg", "stdc2_seg", "pp_liteseg_t"} <= set(HERE)


def test_an_unknown_peer_and_a_missing_package_are_refused_with_the_cure(monkeypatch):
    with pytest.raises(DeployError, match="did you mean lraspp_mobilenet_v3"):
        peer("lraspp")
    monkeypatch.setattr(peers, "PEERS", {"far": Peer("nobody", nn.Identity, "no_such_package")})
    with pytest.raises(DeployError, match=r'peer far: it needs no_such_package: pip install "edgeseg\[peers\]"'):
        peer("far")


def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, second, other = (peer("lraspp_mobilenet_v3", 3, seed).segmenter.state_dict() for seed in (0, 0, 7))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert any(not torch.equal(v, other[k]) for k, v in first.items())


def test_batch_normalisation_is_settled_and_its_momentum_given_back():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=0.03))
    network = untrained("net", net, 0)
    norm = network.segmenter.model[1]
    assert norm.momentum == 0.03
    assert not torch.equal(norm.running_var, torch.ones(4))
    assert network.segmenter.model.arch == "net"


def test_a_net_that_asks_for_multiples_is_padded_and_cropped():
    class Strict(nn.Module):
        def forward(self, x):
            assert x.shape[2] % 32 == x.shape[3] % 32 == 0
            return {"out": x[:, :1, ::2, ::2]}

    net = PlainLogits(Strict(), multiple=32)
    assert net(torch.zeros(1, 3, 40, 70)).shape == (1, 1, 40, 70)
    constant = PlainLogits(Strict(), multiple=32)(torch.full((1, 3, 64, 32), 2.0))
    assert torch.equal(constant, torch.full((1, 1, 64, 32), 2.0))


def test_a_wrapped_peer_exports():
    network = peer("lraspp_mobilenet_v3", 5)
    program = export_graph(network.segmenter, torch.zeros(1, 3, 90, 120, dtype=torch.uint8))
    image = torch.randint(0, 256, (1, 3, 90, 120), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(program.module()(image), network.segmenter(image))


def test_every_peer_names_its_source():
    assert all(p.source for p in PEERS.values())
