"""Every number that a paper prints about its networks comes out of ours."""

import doctest
import functools
import json
from pathlib import Path

import pytest
import torch

from edgeseg.models.attention import AAM, CBAM, ECA, SE
from edgeseg.models.baselines import STDCFCN
from edgeseg.models.counts import count, count_by_rules, count_operations
from edgeseg.models.cross_cbam import CCBAM, SEASPP, CrossCBAM
from edgeseg.models.hrnet import HRNet
from edgeseg.models.improved_hrnet import BFEM, CCSF, FUSM, ImprovedHRNet
from edgeseg.models.papers import (
    THOP_RULES,
    AttentionCost,
    TableRow,
    attention_costs,
    count_as_cross_cbam_paper,
    count_as_improved_hrnet_paper,
    format_tables,
    paper_tables,
)
from edgeseg.models.peers import PRINTED
from edgeseg.models.registry import ARCHS, create_model
from edgeseg.models.stdc import stdc1, stdc2


@pytest.fixture(autouse=True)
def _meta():
    """Shapes are enough to count, so no value is computed here."""
    with torch.device("meta"):
        yield


@functools.cache
def hrnet(classes: int = 20, **switches) -> ImprovedHRNet:
    """Built without values, and once: no test changes it."""
    with torch.device("meta"):
        return ImprovedHRNet(classes, **switches)


@pytest.fixture(scope="module")
def tables() -> list[TableRow]:
    """All rows, built and counted once."""
    return paper_tables()


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


def test_tables_5_and_6_of_cross_cbam_come_out_in_all_sixteen_numbers(tables):
    rows = [row for row in tables if row.table in ("Table 5", "Table 6")]
    assert [tuple(f"{v:.2f}" for v in row.ours) for row in rows] == [row[2:] for row in TABLES_5_AND_6]
    assert [row.paper for row in rows] == [row[2:] for row in TABLES_5_AND_6]
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
    alone = CrossCBAM(19, fusion="none", aux=False)
    assert size(alone) == 5_318_304 + 2_622_464 + 525_568 + 2_949_632 + 256 * 19 + 19
    without = CrossCBAM(19, context="conv")
    assert size(without.context) == 1024 * 256 + 2 * 256
    assert size(CrossCBAM(19)) - size(CrossCBAM(19, fusion="add")) == 2 * 16_934
    assert size(STDCFCN(19, aux=False)) == 5_318_304 + 1024 * 256 * 9 + 2 * 256 + 256 * 19 + 19


def test_counting_the_papers_way_needs_the_aux_head():
    with pytest.raises(ValueError, match="aux=True"):
        count_as_cross_cbam_paper(CrossCBAM(19, aux=False))


# Improved HRNet, Tables III to V. Switches, GFLOPs, million parameters and TFLOPs at 1024×2048 as printed, and the true
# parameters: BFEM's rows are printed 27,840 too low.
ECA_LAST = {"attention": "eca", "attention_at": "concat"}
S = {"bfem": True, "fusm": True, "ccsf": True, **ECA_LAST}
M = {"fusm": True, "ccsf": True, "attention": "aam"}
L = {"fusm": True, "attention": "aam"}
TABLE_III = [
    ({}, "376.184", "65.860", "1.505", 65_860_100),
    ({"bfem": True}, "402.918", "84.342", "1.612", 84_369_572),
    (ECA_LAST, "376.232", "65.860", "1.505", 65_860_105),
    ({"attention": "aam"}, "376.291", "66.128", "1.505", 66_128_300),
    ({"fusm": True}, "384.996", "66.646", "1.540", 66_645_956),
    ({"fusm": True, "ccsf": True}, "419.158", "67.166", "1.677", 67_165_796),
    ({"fusm": True, "ccsf": True, **ECA_LAST}, "419.205", "67.166", "1.677", 67_165_801),
    (S, "445.939", "85.647", "1.784", 85_675_273),
    (L, "385.102", "66.914", "1.540", 66_914_156),
    (M, "419.265", "67.434", "1.677", 67_433_996),
]
TABLE_V = [
    ({}, "188.116", "65.861", 65_860_821),
    (S, "222.993", "85.648", 85_675_994),
    (M, "209.674", "67.435", 67_434_717),
    (L, "192.592", "66.915", 66_914_877),  # printed as 192.529
]


def test_tables_iii_and_iv_of_improved_hrnet(tables):
    rows = [row for row in tables if "Table III" in row.table or "Tables III" in row.table]
    counted = [(*(f"{v:.3f}" for v in row.ours), row.inference_params) for row in rows]
    assert counted == [(gflops, params, true) for _, gflops, params, _, true in TABLE_III]
    assert [row.paper for row in rows] == [row[1:3] for row in TABLE_III]


@pytest.mark.parametrize(("switches", "tflops"), [(row[0], row[3]) for row in TABLE_III])
def test_the_same_at_1024x2048(switches, tflops):
    assert f"{count_as_improved_hrnet_paper(hrnet(**switches), (1024, 2048))[0] / 1000:.3f}" == tflops


def test_table_v_of_improved_hrnet(tables):
    rows = [row for row in tables if row.table == "Table V"]
    counted = [(*(f"{v:.3f}" for v in row.ours), row.inference_params) for row in rows]
    assert counted == [(gflops, params, true) for _, gflops, params, true in TABLE_V]


@pytest.mark.parametrize(("name", "switches"), [("hrnet", {}), ("hrnet_s", S), ("hrnet_m", M), ("hrnet_l", L)])
def test_the_named_networks_are_the_tables_rows(name, switches):
    shallow = {"modules": (1, 1, 1), "blocks": 1}  # the name settles neither, so a small one shows it
    for full, width in ((name, 48), (f"{name}_w18", 18)):
        named, row = create_model(full, 20, **shallow), hrnet(width=width, **switches, **shallow)
        assert [(k, v.shape) for k, v in named.state_dict().items()] == [
            (k, v.shape) for k, v in row.state_dict().items()
        ]


def test_row_8_of_table_iii_needs_the_tick_that_is_missing():
    as_printed = count_as_improved_hrnet_paper(hrnet(**{**S, "fusm": False}))
    assert tuple(f"{v:.3f}" for v in as_printed) == ("437.127", "84.862")


def test_the_one_transposed_number_of_table_v_is_flagged(tables):
    rows = [row for row in tables if row.table not in ("Table 5", "Table 6")]
    assert [(r.table, r.row, r.paper[0]) for r in rows if not r.agrees] == [("Table V", "HRNet_L", "192.529")]
    flops = {r.row: r.ours[0] for r in rows if r.table == "Table V"}
    assert f"{flops['HRNet_M'] - flops['HRNet_L']:.3f}" == "17.081"
    line = next(t for t in format_tables(rows).splitlines() if "192.529" in t)
    assert line.endswith("differs  [2]")


def test_the_networks_of_the_attention_selection(tables):
    """Fig. 6 prints no counts; these came out when the experiment was rebuilt from the authors' code."""
    ours = {r.row.split()[2]: (f"{r.ours[0]:.3f}", r.inference_params) for r in tables if r.table == "Fig. 6"}
    assert ours["SE"] == ("376.238", 66_038_660)
    assert ours["CBAM"] == ("376.253", 66_039_150)
    assert ours["ECA"] == ("376.238", 65_860_121)
    assert ours["SP"][1] == 66_621_770


def test_sizes_of_the_improved_blocks():
    assert size(HRNet(48)) == 65_325_120
    assert size(BFEM((192, 384))) == 18_509_472
    assert size(FUSM((48, 96, 192, 384))) == 785_856
    assert size(CCSF(720, 720)) == 519_840
    assert sum(size(AAM(c)) for c in (48, 96, 192, 384, 720)) == 268_200
    assert [size(ECA(c)) for c in (48, 96, 192, 384, 720)] == [3, 3, 5, 5, 5]
    for c in (48, 720):
        assert size(AAM(c)) == 3 * c * c // 8 + c // 4
        assert size(SE(c)) == c * c // 4
        assert size(CBAM(c)) == c * c // 4 + 2 * 49


def test_the_authors_dead_branches_of_hrnet_l_count_and_do_nothing():
    dead = hrnet(**L, dead_attention=True)
    assert sum(size(a) for a in dead.attention[:3]) == 18_228
    assert size(dead) == size(hrnet(**L))


@pytest.mark.parametrize("switches", [M, {"attention": "sp"}])  # SP pools into windows that are no whole numbers
def test_our_rules_are_those_of_the_papers_tool(switches):
    thop = pytest.importorskip("thop", reason="the paper's counting tool: pip install thop")
    one_of_each = {**switches, "modules": (1, 1, 1)}  # all kinds of layers, fewer of them
    model, image = ImprovedHRNet(20, **one_of_each), torch.zeros(1, 3, 512, 1024)
    with torch.device("cpu"):  # where it keeps its counters
        operations, params = thop.profile(model, (image,), verbose=False)
    ours = count_as_improved_hrnet_paper(hrnet(**one_of_each))
    assert (2 * operations / 1e9, params / 1e6) == pytest.approx(ours, rel=1e-12)


def test_our_rules_for_transformers_are_those_of_the_papers_tool():
    thop = pytest.importorskip("thop", reason="the paper's counting tool: pip install thop")
    model, image = torch.nn.Sequential(torch.nn.Linear(40, 24), torch.nn.LayerNorm(24)), torch.zeros(1, 3, 32, 40)
    ours = count_by_rules(model, (32, 40), THOP_RULES)
    with torch.device("cpu"):
        assert thop.profile(model, (image,), verbose=False)[0] == ours


# What AAM costs: Improved HRNet, Eq. 6 and 7 --------------------------------------------------------------------------


def costs(channels: int, size: tuple[int, int]) -> dict[tuple[str, str], AttentionCost]:
    return {(row.module, row.term): row for row in attention_costs(channels, size)}


@pytest.mark.parametrize(("channels", "height", "width"), [(48, 128, 256), (384, 16, 32), (720, 64, 64)])
def test_eq_6_lacks_a_factor_c_and_eq_7_counts_one_gate_as_c(channels, height, width):
    area, sides, hidden = height * width, height + width, channels // 8
    found = costs(channels, (height, width))
    for module in ("AAM", "spatial attention"):
        for term in ("pooling", "product"):  # in these they agree
            row = found[module, term]
            assert row.formula == row.counted
            assert not row.note
    assert found["AAM", "sigmoid"].formula == found["AAM", "sigmoid"].counted == channels * sides
    assert found["AAM", "convolution"].formula == 2 * hidden * sides
    assert found["AAM", "convolution"].counted == channels * found["AAM", "convolution"].formula
    assert found["AAM", "other"].counted == 2 * hidden * sides
    assert sum(row.formula for key, row in found.items() if key[0] == "AAM") == (
        4 * channels * area + 2 * hidden * sides + channels * sides
    )
    assert sum(row.formula for key, row in found.items() if key[0] != "AAM") == 6 * channels * area
    assert found["spatial attention", "convolution"].counted == 2 * area
    assert found["spatial attention", "sigmoid"].counted == area
    assert {key for key, row in found.items() if row.note} == {
        ("AAM", "convolution"), ("AAM", "other"),
        ("spatial attention", "convolution"), ("spatial attention", "sigmoid"),
    }  # fmt: skip


def test_on_the_coarse_maps_aam_costs_what_its_convolutions_cost():
    """So it is not of the order C·H·W, and at none of its five places the cheaper one."""
    for channels, size in zip((48, 96, 192, 384, 720), (4, 8, 16, 32, 4), strict=True):
        found = costs(channels, (512 // size, 1024 // size))
        total = {m: sum(r.counted for key, r in found.items() if key[0] == m) for m in ("AAM", "spatial attention")}
        assert total["AAM"] > 1.3 * total["spatial attention"]
    found = costs(384, (16, 32))
    assert found["AAM", "convolution"].counted > sum(found["AAM", t].counted for t in ("pooling", "sigmoid", "product"))


def test_counted_operations_are_those_that_the_counter_of_multiply_adds_counts():
    model = create_model("cross_cbam_m", 11)
    assert count_operations(model.eval(), (1, 3, 64, 96))["convolution"] == count(model, (64, 96)).macs


# Networks that the papers compare with --------------------------------------------------------------------------------


def test_every_network_of_the_comparisons_is_placed_once_and_where_it_is_said_to_live():
    home = Path(__file__).parent.parent / "benchmarks"
    printed, placed = (json.loads((home / f"paper_{what}.json").read_text()) for what in ("tables", "networks"))
    for paper, tables in (
        ("cross_cbam", ("table2_cityscapes", "table3_camvid")),
        ("improved_hrnet", ("table4_cityscapes", "table5_voc")),
    ):
        assert set(placed[paper]) == {row[0] for table in tables for row in printed[paper][table]["rows"]}
        for network in placed[paper].values():
            assert network.keys() <= {"here", "switches", "remark", "elsewhere"}
            assert not {"here", "elsewhere"} <= network.keys()
            if "here" in network:
                assert network.get("switches", {}).keys() <= ARCHS[network["here"]].switches.keys()
    peers = {peer.printed: peer.name for peer in PRINTED}
    assert {name: placed["improved_hrnet"][name].get("here", "") for name in peers} == peers


def test_every_slip_of_the_papers_is_arithmetic_that_runs(monkeypatch):
    home = Path(__file__).resolve().parent.parent
    monkeypatch.chdir(home)
    failed, tried = doctest.testfile(str(home / "docs" / "slips.md"), module_relative=False, encoding="utf-8")
    assert failed == 0
    assert tried > 40
