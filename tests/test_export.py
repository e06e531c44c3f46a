"""Every network of both papers becomes one exported graph at the sizes that people deploy, with a dynamic batch."""

import pytest
import torch
from torch.export import Dim

from edgeseg.models.registry import create_model
from small_networks import small_switches

SIZES = [(512, 1024), (360, 480), (720, 960)]
SHALLOW = ("hrnet_w18", "hrnet_s_w18", "hrnet_m_w18", "hrnet_l_w18")  # few blocks: deep ones repeat them
WHOLE = ("cross_cbam_m", "cross_cbam_l", "cross_cbam_s", "hrnet_s")  # the last has every block
SLOW = ("hrnet_m_w18", "hrnet_l_w18", "hrnet_s")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in (*SHALLOW, *WHOLE)]
)
def test_the_network_exports_at_every_size_with_a_dynamic_batch(name):
    switches = small_switches(name) if name in SHALLOW else {}
    with torch.device("meta"):  # shapes are enough: tests/test_models.py compares the values
        model = create_model(name, 11, **switches).eval()
        for size in SIZES:
            program = torch.export.export(model, (torch.empty(2, 3, *size),), dynamic_shapes=({0: Dim("batch")},))
            for batch in (1, 3):
                assert program.module()(torch.empty(batch, 3, *size)).shape == (batch, 11, *size)
