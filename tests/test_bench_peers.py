"""Other people's networks keep our conventions once they are wrapped, or say what is missing."""

import pytest
import torch
from torch import nn

from edgeseg.bench import peers
from edgeseg.bench.peers import PEERS, Peer, PlainLogits, peer, untrained
from edgeseg.deploy import DeployError
from edgeseg.deploy.runtimes.graph import export_graph

HERE = [name for name, known in PEERS.items() if known.why_not() is None]


@pytest.mark.parametrize("name", HERE)
def test_a_peer_gives_one_map_of_logits_at_input_size(name):
    segmenter = peer(name, 5)
    assert not segmenter.training
    with torch.inference_mode():
        logits = segmenter.model(torch.randn(1, 3, 97, 131))
        labels = segmenter(torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8))
    assert logits.shape == (1, 5, 97, 131)
    assert logits.isfinite().all()
    assert (labels.shape, labels.dtype) == ((1, 64, 96), torch.int32)


def test_our_baselines_need_no_further_package():
    assert {"stdc1_seg", "stdc2_seg", "pp_liteseg_t", "pp_liteseg_b"} <= set(HERE)


def test_an_unknown_peer_and_a_missing_package_are_refused_with_the_cure(monkeypatch):
    with pytest.raises(DeployError, match="did you mean lraspp_mobilenet_v3"):
        peer("lraspp_mobilenet", 5)
    monkeypatch.setattr(peers, "PEERS", {"far": Peer("nobody", nn.Identity, "no_such_package")})
    with pytest.raises(DeployError, match=r'peer far: it needs no_such_package: pip install "edgeseg\[peers\]"'):
        peer("far", 5)


def test_the_weights_are_always_the_same_and_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(peer("stdc1_seg", 3).state_dict())
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
    torch.manual_seed(1)
    peer("stdc1_seg", 3)
    assert torch.equal(torch.rand(3), expected)


def test_batch_normalisation_is_settled_and_its_momentum_given_back():
    network = untrained("net", lambda n: nn.Sequential(nn.Conv2d(3, n, 1), nn.BatchNorm2d(n, momentum=0.03)), 4)
    norm = network.model[1]
    assert norm.momentum == 0.03
    assert not torch.equal(norm.running_var, torch.ones(4))
    assert network.model.arch == "net"


def test_a_net_that_asks_for_multiples_is_padded_and_cropped():
    class Strict(nn.Module):
        def forward(self, x):
            assert x.shape[2] % 32 == x.shape[3] % 32 == 0
            return {"out": x[:, :1, ::2, ::2]}

    net = PlainLogits(Strict(), multiple=32)
    assert net(torch.zeros(1, 3, 40, 70)).shape == (1, 1, 40, 70)
    assert torch.equal(net(torch.full((1, 3, 64, 32), 2.0)), torch.full((1, 1, 64, 32), 2.0))


def test_a_wrapped_peer_exports():
    pytest.importorskip("torchvision")
    segmenter = peer("lraspp_mobilenet_v3", 5)
    program = export_graph(segmenter, torch.zeros(1, 3, 90, 120, dtype=torch.uint8))
    image = torch.randint(0, 256, (1, 3, 90, 120), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(program.module()(image), segmenter(image))
