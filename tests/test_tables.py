"""The papers' tables as data: that they are the papers', what is read out of rows, and that a cut changes nothing."""

from __future__ import annotations

import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg import cli
from edgeseg.data.streets import Streets, write_streets
from edgeseg.training.ablate import MEASURES, Variant, read_record, run_variants, size_key
from edgeseg.training.recipes import RecipeError, get_recipe
from edgeseg.training.tables import (
    MARGIN,
    TABLES,
    Claim,
    Entry,
    PaperTable,
    finding_cells,
    findings,
    network_parameters,
    scored_sizes,
    seed_scores,
    table_picture,
    table_recipe,
    table_text,
)  # fmt: skip
from edgeseg.training.train import TrainingError
from toy_runs import TINY, Toy, write_pairs

SIZES = ((64, 64), (128, 128))
every_table = pytest.mark.parametrize("name", TABLES)


# as data --------------------------------------------------------------------------------------------------------------


@every_table
def test_every_row_is_a_network_and_every_claim_is_about_two_rows(name):
    table = TABLES[name]
    recipe = table_recipe(table, get_recipe("tables_streets"))
    names = [variant.name for variant in table.variants]
    assert len(set(names)) == len(names) >= 3
    assert all(network_parameters(variant, recipe, 11) > 1e6 for variant in table.variants)
    for claim in table.claims:
        assert {claim.row, claim.against} <= set(names)
        assert claim.row != claim.against
        assert claim.measure in MEASURES
        assert claim.sign in (1, -1)


def test_one_name_is_one_network_in_all_tables():
    seen: dict[str, tuple] = {}
    for table in TABLES.values():
        for variant in table.variants:
            own = (table.changes, variant)
            assert seen.setdefault(variant.name, own) == own


# mIoU as the papers print it: Table 4 in its order, Tables 5 and 6, Table III at both sizes
PRINTED = {
    "cross_cbam_4": [(52.26,), (68.74,), (72.63,), (74.02,), (74.19,)],
    "cross_cbam_5": [(74.19,), (74.20,), (75.30,), (74.61,), (74.15,)],
    "cross_cbam_6": [(74.19,), (73.86,), (72.21,)],
    "hrnet_3": [
        (72.34, 71.79), (72.46, 72.67), (73.28, 73.35), (73.11, 74.62), (73.25, 72.23),
        (73.47, 73.29), (73.70, 74.37), (73.75, 73.93), (73.37, 74.84), (73.75, 74.49),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", PRINTED)
def test_printed_scores_are_the_papers(name):
    assert [entry.printed for entry in TABLES[name].entries] == PRINTED[name]


def test_the_figures_gains_are_those_of_the_text():
    first, *others = TABLES["hrnet_attention"].entries
    gains = {e.label: round(e.printed[0] - first.printed[0], 2) for e in others if e.printed}
    assert gains == {"ECA": 1.12, "AAM": 0.77}  # section IV-C-1; AAM's is Table III's


# inference parameters at 11 classes: what is compared has the size that its label says
def test_controls_have_the_sizes_that_they_are_compared_at():
    sizes = {}
    for name in ("ccbam_controls", "se_aspp_controls"):
        recipe = table_recipe(TABLES[name], get_recipe("tables_streets"))
        sizes |= {v.name: network_parameters(v, recipe, 11) for v in TABLES[name].variants}
    full = sizes["cross_cbam_m"]
    assert sizes["fusion_uncrossed"] == full
    assert full - sizes["fusion_add"] == 2 * 16_934
    assert sizes["fusion_concat"] - sizes["fusion_add"] == 2 * 131_584
    assert abs(sizes["context_plain"] - full) < 3_000


def test_a_table_takes_changes_but_no_other_network():
    table = TABLES["cross_cbam_4"]
    assert table_recipe(table, get_recipe("tables_streets"), ["lr=0.002"]).lr == 0.002
    with pytest.raises(RecipeError, match="baseline is a network of its own"):
        table_recipe(table, get_recipe("tables_streets"), ["model=cross_cbam_l"])
    wide = table_recipe(TABLES["hrnet_3"], get_recipe("tables_streets"), ["model=hrnet"])
    assert network_parameters(TABLES["hrnet_3"].variants[0], wide, 20) == 65_860_100


def test_rows_are_chosen_by_name():
    table = TABLES["cross_cbam_4"]
    assert [v.name for v in table.chosen(["ccbam", "baseline", "ccbam"])] == ["ccbam", "baseline"]
    with pytest.raises(RecipeError, match="did you mean baseline"):
        table.chosen(["basline"])


# findings -------------------------------------------------------------------------------------------------------------


def rows_of(scores: dict[str, list[float]], size=SIZES[0]) -> list[dict]:
    """One row per variant and seed, the same score in every measure at one size, and 10 less at the other."""
    at = lambda score: dict.fromkeys(MEASURES, score)  # noqa: E731
    other = SIZES[1] if size == SIZES[0] else SIZES[0]
    return [
        {"variant": name, "seed": seed, "at": {size_key(size): at(score), size_key(other): at(score - 10)}}
        for name, values in scores.items()
        for seed, score in enumerate(values)
    ]


def table_of(*claims: Claim) -> PaperTable:
    names = dict.fromkeys(name for c in claims for name in (c.against, c.row))
    return PaperTable("toy", "here", (), tuple(Entry(Variant(n), n) for n in names), claims)


def test_a_finding_is_students_t_of_the_paired_differences():
    table = table_of(Claim("b is better", "1", "b", "a"))
    (found,) = findings(table, rows_of({"a": [50, 60, 40], "b": [52, 61, 43]}), SIZES)
    assert (found.difference, found.seeds) == (2.0, 3)
    assert found.error == pytest.approx(1 / math.sqrt(3))
    # t = 2√3 with two degrees of freedom, whose distribution function has a closed form
    t = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert found.verdict == "within noise"


def test_verdicts():
    scores = {"a": [50, 60, 40, 55], "b": [53, 63.1, 43, 58], "one": [1.0], "two": [61.0, 72.0]}
    for row, against, sign, verdict in (
        ("b", "a", 1, "holds"),
        ("b", "a", -1, "does not hold"),
        ("a", "b", 1, "does not hold"),
        ("a", "b", -1, "holds"),
        ("one", "a", 1, "too few seeds"),
        ("two", "a", 1, "too few seeds"),
        ("b", "absent", 1, "not run"),
    ):
        (found,) = findings(table_of(Claim("", "1", row, against, sign=sign)), rows_of(scores), SIZES)
        assert found.verdict == verdict


def test_no_worse_is_better_than_a_loss_of_the_margin():
    """The interval of the paired difference decides: whole above −margin, whole below, or across."""
    base = [50.0, 60.0, 40.0, 55.0]
    shifted = lambda *by: [b + d for b, d in zip(base, by, strict=True)]  # noqa: E731
    scores = {
        "a": base,
        "same": shifted(0.1, -0.1, 0.05, -0.05),
        "a little worse": shifted(-0.2, -0.3, -0.25, -0.2),
        "worse": shifted(-0.9, -1.1, -1.0, -1.0),
        "unsure": shifted(2.0, -2.0, 1.0, -1.0),
        "better": shifted(3.0, 3.1, 2.9, 3.0),
    }
    for row, no_worse, better in (
        ("same", "holds", "within noise"),
        ("a little worse", "holds", "does not hold"),
        ("worse", "does not hold", "does not hold"),
        ("unsure", "within noise", "within noise"),
        ("better", "holds", "holds"),
    ):
        for margin, verdict in ((0.5, no_worse), (0.0, better)):
            claim = Claim("", "1", row, "a", margin=margin)
            (found,) = findings(table_of(claim), rows_of(scores), SIZES)
            assert found.verdict == verdict, (row, margin)
            turned = replace(claim, row="a", against=row, sign=-1)  # the same sentence, said of the other
            (again,) = findings(table_of(turned), rows_of(scores), SIZES)
            assert (again.verdict, again.p) == (verdict, pytest.approx(found.p))


def test_the_interval_of_the_difference_and_the_verdict_are_one():
    """Three seeds: the quantile of Student's t with two degrees of freedom is (2p − 1) / √(2p (1 − p))."""
    step = 0.1 * math.sqrt(3)
    rows = rows_of({"a": [50.0, 60.0, 40.0], "b": [50.2 - step, 60.2, 40.2 + step]})  # 0.2 ± 0.1
    lower = 0.2 - 0.1 * 0.95 / math.sqrt(2 * 0.975 * 0.025)
    for margin, verdict in ((-lower + 0.01, "holds"), (-lower - 0.01, "within noise")):
        (found,) = findings(table_of(Claim("", "1", "b", "a", margin=margin)), rows, SIZES)
        assert found.verdict == verdict
        assert found.difference == pytest.approx(0.2)


def test_what_no_worse_may_lose_is_said_and_counts_in_the_same_family():
    table = TABLES["se_aspp_controls"]
    margins = {c.text: c.margin for t in TABLES.values() for c in t.claims if c.margin}
    assert margins == dict.fromkeys(
        ("a 7×7 kernel is not needed", "reduction 16 is no worse than 4",
         "adding and SE keep ASPP's accuracy", "wide rates are not needed"), MARGIN,
    )  # fmt: skip
    _, cells = finding_cells(findings(table, [], SIZES), SIZES)
    assert [cell[2] for cell in cells][1:3] == ["+ mIoU at 64×64", "≥ −0.5 mIoU at 64×64"]
    rows = rows_of({"a": [50, 60, 40], "b": [51.1, 61.0, 41.2], "c": [50.2, 60.1, 40.3]})
    claims = Claim("", "1", "b", "a"), Claim("", "1", "c", "a", margin=0.5)
    alone = [findings(table_of(claim), rows, SIZES)[0].p for claim in claims]
    both = [found.p for found in findings(table_of(*claims), rows, SIZES)]
    assert min(both) == pytest.approx(2 * min(alone))


def test_looking_often_asks_for_more():
    """Holm: the smallest of m probabilities times m, the next times m − 1, and none below the one before."""
    rows = rows_of({"a": [50, 60, 40], "b": [51.1, 61.0, 41.2], "c": [50.9, 61.4, 40.8], "d": [49, 61, 42]})
    alone = [findings(table_of(Claim("", "1", n, "a")), rows, SIZES)[0].p for n in "bcd"]
    together = [f.p for f in findings(table_of(*(Claim("", "1", n, "a") for n in "bcd")), rows, SIZES)]
    assert sorted(alone) == alone
    expected = [3 * alone[0], max(3 * alone[0], 2 * alone[1]), max(2 * alone[1], alone[2])]
    assert together == pytest.approx(expected)


def test_the_order_of_seeds_and_variants_changes_nothing():
    rng = random.Random(0)
    table = TABLES["cross_cbam_6"]
    recipe = table_recipe(table, get_recipe("tables_streets"))
    sizes = scored_sizes(recipe)
    scores = {v.name: [rng.gauss(50, 3) for _ in range(5)] for v in table.variants}
    rows = rows_of(scores, sizes[0])
    for row in rows:
        row["at"] = {size_key(s): row["at"][k] for s, k in zip(sizes, map(size_key, (sizes[0], SIZES[0])), strict=True)}
    text = table_text(table, rows, recipe, 11)
    assert "74.19" in text
    for _ in range(3):
        rng.shuffle(rows)
        assert table_text(table, rows, recipe, 11) == text


def test_a_seed_without_a_score_is_left_out():
    rows = rows_of({"a": [50, 60], "b": [51, 62]})
    rows[0]["at"]["64x64"]["miou"] = None
    assert seed_scores(rows, "a", "miou", SIZES[0]) == {1: 60}
    (found,) = findings(table_of(Claim("", "1", "b", "a")), rows, SIZES)
    assert (found.difference, found.seeds, found.verdict) == (2, 1, "too few seeds")


def test_the_picture_has_a_row_for_every_variant_but_the_first_and_rings_where_the_paper_prints():
    table = TABLES["hrnet_3"]
    recipe = table_recipe(table, get_recipe("tables_streets"))
    figure = table_picture(table, [], scored_sizes(recipe))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [e.label for e in table.entries[1:]]
    for axis, column in zip(figure.axes, (0, 1), strict=True):
        rings = [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 9]
        assert rings == pytest.approx([e.printed[column] - table.entries[0].printed[column] for e in table.entries[1:]])


# runs -----------------------------------------------------------------------------------------------------------------

SHORT = TINY.__class__(**{**TINY.__dict__, "iterations": 2})
PLAIN, SLOW = Variant("plain"), Variant("slow", ("lr=0.001",))


def run(folder, **more):
    seeds = more.pop("seeds", (0, 1))
    return list(run_variants(SHORT, [PLAIN, SLOW], seeds, Toy(), Toy(3), folder, progress=False, sizes=SIZES, **more))


def timeless(rows):
    return sorted(({**row, "minutes": None} for row in rows), key=lambda row: (row["variant"], row["seed"]))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return folder, run(folder)


def test_a_run_is_scored_at_both_sizes_in_every_measure(done):
    for row in done[1]:
        assert list(row["at"]) == ["64x64", "128x128"]
        for scores in row["at"].values():
            assert set(MEASURES) <= scores.keys()
    small, large = (done[1][0]["at"][key]["per_class_iou"] for key in ("64x64", "128x128"))
    assert small != large  # the network saw other pixels


def test_two_orders_of_seeds_give_the_same_rows(done, tmp_path):
    assert timeless(run(tmp_path, seeds=(1, 0))) == timeless(done[1])


def test_known_rows_are_not_trained_again(done, tmp_path):
    rows = json.loads(json.dumps(done[1]))
    assert run(tmp_path, known=rows) == rows
    assert not list(tmp_path.iterdir())
    (again,) = [r for r in run(tmp_path, known=rows[1:]) if (r["variant"], r["seed"]) == ("plain", 0)]
    assert timeless([again]) == timeless(done[1][:1])


def test_known_rows_of_other_runs_are_refused(done, tmp_path):
    row = done[1][0]
    for change, words in (
        ({"recipe": {**row["recipe"], "lr": 0.5}}, "another recipe or start .lr: 0.5"),
        ({"start": "weight x"}, "another recipe or start"),
        ({"data": {**row["data"], "validation": {"images": 9}}}, "other validation data"),
    ):
        with pytest.raises(TrainingError, match=f"record of plain, seed 0.*{words}.*--json"):
            run(tmp_path, known=[{**row, **change}])


def test_a_record_of_something_else_is_refused_with_its_line(done, tmp_path):
    record = tmp_path / "record.jsonl"
    lines = [json.dumps(done[1][0]), '{"variant": "plain", "seed": 0}']
    record.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"record.jsonl, line 2: .*lacks start, classes, data, recipe"):
        read_record(record)
    record.write_text(lines[0] + '\n{"variant": "cut of')  # what was cut off is left out
    assert read_record(record) == json.loads(json.dumps(done[1][:1]))
    assert read_record(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["cross_cbam_44"], "did you mean cross_cbam_4"),
        (["camvid_fol"], "did you mean camvid_fold"),
        (["camvid_fold", "--on", "camvid", "--variant", "a", "--variant", "b"], "--on chooses the data of a table"),
        (["hrnet_3", "--on", "kitti"], "tables_kitti"),
        (["hrnet_3", "--variant", "hrnet_all"], "no row"),
    ],
)
def test_wrong_words_are_answered_in_a_line(words, answer, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["edgeseg", "ablate", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert answer in capsys.readouterr().err


def command(tmp_path: Path) -> list[str]:
    """A whole table on toy data, from the command line."""
    if not (tmp_path / "toy").exists():
        write_pairs(tmp_path / "toy")
    changes = [f"data={tmp_path / 'toy'}", "split=all", "val_split=all", "iterations=2", "batch=2", "crop=64,64",
               "precise_bn=0", "warmup=0", "class_weights=none"]  # fmt: skip
    return [sys.executable, "-m", "edgeseg", "ablate", "cross_cbam_6", *changes, "--seeds", "1"]


def test_a_table_draws_what_each_variant_sees_and_says_what_a_record_already_holds(tmp_path, monkeypatch, capsys):
    words = [*command(tmp_path)[3:], "--variant", "channels_128", "--heat", str(tmp_path / "heat")]
    words += ["--json", str(tmp_path / "rows.jsonl"), "switches={'width':8}"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["edgeseg", *words])

    def run() -> str:
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        return capsys.readouterr().out

    said = run()
    strips = [tmp_path / "heat" / f"{name}.jpg" for name in ("frame", "channels_128")]
    assert all(strip.stat().st_size > 1000 for strip in strips)
    assert f"heat maps: {strips[1]}" in said
    # rows of the record whose runs are on another machine have no folder to look into
    shutil.rmtree(tmp_path / "runs")
    strips[1].unlink()
    assert "channels_128, seed 0: mIoU" in run()
    assert not strips[1].exists()


@pytest.mark.parametrize(
    ("on", "size", "sizes"),
    [pytest.param("cityscapes", (1024, 2048), "64x128", marks=pytest.mark.slow), ("voc", (96, 128), "64x64")],
)
def test_tables_run_on_data_in_their_official_layouts(on, size, sizes, tmp_path, monkeypatch, capsys):
    """Streets, written as Cityscapes and VOC have their files; what is there is a part, and meant so."""
    for split in ("train", "val"):
        write_streets(Streets(split, 2, size), tmp_path / on, progress=False, layout=on)
    crop = sizes.replace("x", ",")
    changes = [f"crop={crop}", "iterations=2", "batch=2", "precise_bn=0", "warmup=0", "class_weights=none", "amp=none"]
    changes += ["switches={'width':8}", *([] if on == "cityscapes" else ["split=train", "val_split=val"])]
    words = ["edgeseg", "ablate", "cross_cbam_6", "--on", on, "--variant", "channels_128", "--seeds", "1", *changes]
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(words: list[str]) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    code, _, error = run(words)
    assert code == 2
    assert "data_partial=true" in error
    code, out, error = run([*words, "data_partial=true", "--json", "rows.jsonl"])
    assert code == 0, error
    (row,) = read_record(Path("rows.jsonl"))
    assert list(row["at"]) == [sizes, "x".join(str(2 * int(side)) for side in sizes.split("x"))]
    assert f"{on} " in out
    weights = next(Path("runs").glob("**/seed0"))
    code, _, error = run(["edgeseg", "eval", str(weights), "--data", on, "--split", "val"])
    assert (code, "--partial" in error) == (2, True)
    assert run(["edgeseg", "eval", str(weights), "--data", on, "--split", "val", "--partial"])[0] == 0


@pytest.mark.slow
def test_a_table_that_was_killed_and_started_again_is_the_same_table(tmp_path):
    files = lambda where: ["--out", str(tmp_path / where), "--json", str(tmp_path / f"{where}.jsonl")]  # noqa: E731
    whole = subprocess.run([*command(tmp_path), *files("whole")], capture_output=True, text=True, timeout=300)
    assert whole.returncode == 0, whole.stderr
    first = subprocess.Popen([*command(tmp_path), *files("cut")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record, deadline = tmp_path / "cut.jsonl", time.monotonic() + 120
    while not (record.exists() and record.read_text().count("\n") >= 1):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    lines = record.read_text().count("\n")
    assert 1 <= lines < 3
    with record.open("a") as file:
        file.write('{"variant": "half')  # as if it had been killed while it wrote
    again = subprocess.run([*command(tmp_path), *files("cut")], capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    table = lambda out: out.partition("Table 6")[2]  # noqa: E731
    assert table(again.stdout) == table(whole.stdout) != ""
    rows = [[json.loads(line) for line in (tmp_path / f"{n}.jsonl").read_text().splitlines()] for n in ("whole", "cut")]
    assert timeless(rows[0]) == timeless(rows[1])


@pytest.mark.slow
def test_the_page_of_both_papers_is_what_its_rows_make_of_it():
    pytest.importorskip("segmentation_models_pytorch", reason='needs pip install "edgeseg[peers]"')
    home = Path(__file__).parent.parent
    checked = subprocess.run(
        [sys.executable, "benchmarks/papers.py", "--check"], cwd=home, capture_output=True, text=True, timeout=300
    )
    assert checked.returncode == 0, checked.stderr
