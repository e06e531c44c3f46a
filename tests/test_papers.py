"""Every number that a paper prints about its networks comes out of ours."""

import pytest
import torch

from edgeseg.models.baselines import STDCFCN
from edgeseg.models.counts import count_as_cross_cbam_paper, format_tables, paper_tables
from edgeseg.models.cross_cbam import CCBAM, SEASPP, CrossCBAM
from edgeseg.models.registry import create_model
from edgeseg.models.stdc import stdc1, stdc2


@pytest.fixture(autouse=True)
def _meta():
    """Shapes are enough to count, so no value is computed here."""
    with torch.device("meta"):
        yield


def size(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Cross-CBAM, Tables 5 and 6: M at 512×1024, 19 classes. Dilations, width, GFLOPs, million parameters as printed.
TABLES_5_AND_6 = [
    ((1, 3), 256, "11.31", "12.21"),
    ((2, 4), 256, "12.39", "14.31"),
    ((3, 5), 256, "12.39", "14.31"),
    ((1, 3, 5), 256, "12.52", "14.57"),
    ((2, 4, 6), 256, "13.60", "16.67"),
    ((1, 3), 512, "14.77", "19.54"),
    ((1, 3), 256, "11.31", "12.21"),
    ((1, 3), 128, "9.67", "8.92"),
]


@pytest.mark.parametrize(("dilations", "width", "gflops", "params"), TABLES_5_AND_6)
def test_tables_5_and_6_of_cross_cbam(dilations, width, gflops, params):
    model = create_model("cross_cbam_m", 19, dilations=dilations, aspp_channels=width)
    ours = count_as_cross_cbam_paper(model, (512, 1024))
    assert tuple(f"{v:.2f}" for v in ours) == (gflops, params)


def test_the_printed_table_holds_all_sixteen_numbers_and_they_agree():
    rows = paper_tables()
    assert [(f"{r.paper[0]:.2f}", f"{r.paper[1]:.2f}") for r in rows] == [r[2:] for r in TABLES_5_AND_6]
    assert all(row.agrees for row in rows)
    text = format_tables(rows)
    assert len(text.splitlines()) == 9
    assert "differs" not in text


# What inference needs, and GFLOPs as the paper counts, at sizes that it does not print.
OTHER_SIZES = [
    ("cross_cbam_m", 19, (768, 1536), 11_616_895, "25.454"),
    ("cross_cbam_m", 11, (720, 960), 11_615_863, "15.044"),
    ("cross_cbam_l", 19, (512, 1024), 15_647_359, "17.915"),
    ("cross_cbam_l", 19, (768, 1536), 15_647_359, "40.307"),
    ("cross_cbam_l", 11, (720, 960), 15_646_327, "23.779"),
]


@pytest.mark.parametrize(("name", "classes", "image", "params", "gflops"), OTHER_SIZES)
def test_sizes_of_m_and_l(name, classes, image, params, gflops):
    assert size(create_model(name, classes, aux=False)) == params
    assert f"{count_as_cross_cbam_paper(create_model(name, classes), image)[0]:.3f}" == gflops


def test_budget_of_m():
    model = CrossCBAM(19)
    squeeze_excite = size(model.context.squeeze) + size(model.context.excite)
    assert size(model.backbone) == 5_318_304
    assert size(model.context.branches) == 2_622_464
    assert squeeze_excite == 525_568
    assert size(model.context.project) == 2_949_632
    assert size(model.decoder.lateral16) == 131_584
    assert size(model.decoder.lateral8) == 0  # stage 3 has 256 channels already
    assert size(model.reduce) == 33_024
    assert size(model.classifier) == 2_451
    assert size(model.aux_head) == 591_187


@pytest.mark.parametrize(("width", "params"), [(128, 4_374), (256, 16_934), (512, 66_630)])
def test_ccbam_size(width, params):
    assert size(CCBAM(width)) == params


def test_se_aspp_size_does_not_depend_on_dilations_above_1():
    assert size(SEASPP(1024, 256, (2, 4))) == size(SEASPP(1024, 256, (3, 5))) > size(SEASPP(1024, 256, (1, 3)))


def test_stdc_sizes():
    assert size(stdc1()) == 5_318_304
    assert size(stdc2()) == 9_348_768


def test_table_4_rows_differ_by_their_modules_only():
    alone = CrossCBAM(19, use_ccbam=False, decoder=False, aux=False)
    assert size(alone) == 5_318_304 + 2_622_464 + 525_568 + 2_949_632 + 256 * 19 + 19
    without = CrossCBAM(19, use_se_aspp=False)
    assert size(without.context) == 1024 * 256 + 2 * 256
    assert size(CrossCBAM(19)) - size(CrossCBAM(19, use_ccbam=False)) == 2 * 16_934
    assert size(STDCFCN(19, aux=False)) == 5_318_304 + 1024 * 256 * 9 + 2 * 256 + 256 * 19 + 19


def test_counting_the_papers_way_needs_the_aux_head():
    with pytest.raises(ValueError, match="aux=True"):
        count_as_cross_cbam_paper(CrossCBAM(19, aux=False))
