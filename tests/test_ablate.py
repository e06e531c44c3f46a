"""Variants on paired seeds: what may be compared, what is trained once, and the arithmetic of the differences."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import replace

import pytest
from PIL import Image

from edgeseg import cli
from edgeseg.data.labels import VOID
from edgeseg.training.ablate import Variant, effects, effects_picture, effects_table, run_variants
from edgeseg.training.recipes import RecipeError
from edgeseg.training.train import TrainingError
from toy_runs import TINY, Toy, write_pairs

SHORT = replace(TINY, iterations=2)
PLAIN, SLOW = Variant("plain"), Variant("slow", ("lr=0.001",))


def rows_of(*scores):
    return [{"variant": v, "seed": s, "miou": m} for v, s, m in scores]


def train(folder, variants, seeds=(0,), base=SHORT):
    return list(run_variants(base, variants, seeds, Toy(), Toy(3), folder, progress=False))


def test_a_variant_is_read_from_a_line():
    assert Variant.parse("plain") == PLAIN
    assert Variant.parse("a.b-c: lr=0.02 crop=64,96 init=x.safetensors") == Variant(
        "a.b-c", ("lr=0.02", "crop=64,96"), "x.safetensors"
    )
    for text in ("", "lr=0.02", "two words: lr=1", "../up: lr=1", ".hidden"):
        with pytest.raises(RecipeError, match="write NAME: field=value"):
            Variant.parse(text)


def test_what_all_must_share_cannot_be_a_variant():
    for field in ("data=streets", "split=val", "val_split=test", "seed=3"):
        with pytest.raises(RecipeError, match="compare unlike things"):
            Variant("v", (field,)).recipe(SHORT, 0)
    with pytest.raises(RecipeError, match="no field 'learning'"):
        Variant("v", ("learning=1",)).recipe(SHORT, 0)


def test_every_variant_is_checked_before_the_first_trains(tmp_path):
    with pytest.raises(RecipeError, match="no field"):
        train(tmp_path, [PLAIN, Variant("wrong", ("nothing=1",))])
    with pytest.raises(RecipeError, match="name of its own"):
        train(tmp_path, [PLAIN, PLAIN])
    for change in (
        "switches={'widht':8}",
        "switches={'dilations':5}",
        "model=cross_cbam_x",
        "boundary_weight=1 model=hrnet",
    ):
        with pytest.raises(ValueError, match="variant wrong: "):
            train(tmp_path, [PLAIN, Variant.parse(f"wrong: {change}")])
    for start in (
        "cross_cbam_m.nowhere",
        "nowhere.safetensors",
        "cross_cbam_m.streets",
    ):  # the last is of another width
        with pytest.raises((ValueError, RuntimeError), match=start):
            train(tmp_path, [PLAIN, Variant("wrong", (), start)])
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two variants on two seeds: their folder and rows; to be copied before it is changed."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(folder, [PLAIN, SLOW], (0, 1))


def test_variants_are_trained_once_and_read_again(trained):
    folder, first = trained
    assert [(r["variant"], r["seed"]) for r in first] == [("plain", 0), ("slow", 0), ("plain", 1), ("slow", 1)]
    assert first[1]["recipe"]["lr"] == 0.001
    assert first[1]["recipe"]["seed"] == 0
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("weights.safetensors")}
    assert train(folder, [PLAIN, SLOW], (0, 1)) == first
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("weights.safetensors")} == times


def test_variants_are_not_read_or_taken_up_on_other_data_or_from_another_start(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "runs")
    for data, val, part in ((Toy(7), Toy(3), "training"), (Toy(), Toy(4), "validation")):
        with pytest.raises(TrainingError, match=f"other {part} data.*--out"):
            list(run_variants(SHORT, [PLAIN], (0,), data, val, folder, progress=False))
    (folder / "plain/seed0/report.json").unlink()
    with pytest.raises(TrainingError, match="random weights, now weight seed1/weights"):
        train(folder, [Variant("plain", (), str(folder / "plain/seed1/weights.safetensors"))])


def test_a_run_that_was_cut_is_taken_up(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "runs")
    (folder / "plain/seed0/report.json").unlink()
    (again,) = train(folder, [PLAIN])
    assert {**again, "minutes": None} == {**trained[1][0], "minutes": None}


def test_a_folder_of_another_recipe_or_start_is_refused(trained, tmp_path):
    folder = trained[0]
    start = folder / "plain/seed0/weights.safetensors"
    for variant in (Variant("plain", ("lr=0.5",)), Variant("plain", (), str(start))):
        with pytest.raises(TrainingError, match="another recipe or start"):
            train(folder, [variant])
    begun = train(tmp_path, [Variant("begun", (), str(start))])
    assert begun[0]["start"] == "weight seed0/weights.safetensors"


def test_differences_are_taken_seed_by_seed():
    rows = rows_of(("a", 0, 50.0), ("b", 0, 52.0), ("a", 1, 60.0), ("b", 1, 61.0), ("a", 2, 40.0))
    base, other = effects(rows)
    assert (base.variant, base.miou, base.differences) == ("a", 50.0, (0.0, 0.0, 0.0))
    assert (other.difference, other.differences) == (1.5, (2.0, 1.0))  # of the seeds that both have
    assert other.error == pytest.approx(0.5)  # s = √0.5, n = 2


def test_the_error_bar_is_that_of_the_difference_and_not_of_the_scores():
    rows = rows_of(*((v, s, 10.0 * s + (v == "b")) for v in "ab" for s in range(4)))
    assert effects(rows)[1].error == 0  # the seeds lie ten points apart, their differences not at all


def test_one_seed_has_no_error_bar():
    assert effects(rows_of(("a", 0, 1.0), ("b", 0, 2.0)))[1].error is None


def test_text_and_picture_name_every_variant():
    found = effects(rows_of(("plain", 0, 50.0), ("ohem", 0, 52.0), ("plain", 1, 60.0), ("ohem", 1, 61.0)))
    assert [line.split() for line in effects_table(found).splitlines()[1:]] == [
        ["plain", "55.00"],
        ["ohem", "56.50", "+1.50", "±", "0.50", "+2.00", "+1.00"],
    ]
    figure = effects_picture(found, "a title")
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["ohem"]


@pytest.fixture
def edgeseg(tmp_path, monkeypatch, capsys):
    """Runs a command on the toy data, its labels replaced by void if asked to; returns exit status and both outputs."""
    root = tmp_path / "toy"
    write_pairs(root)
    tiny = [f"data={root}", "split=all", "val_split=all", "iterations=1", "batch=2", "crop=64,64", "precise_bn=0",
            "warmup=0", "class_weights=none", "switches={'width': 8, 'aspp_channels': 16}"]  # fmt: skip

    def run(command, *words, void=False):
        for label in (root / "labels").glob("*.png") if void else ():
            Image.new("L", (64, 64), VOID).save(label)
        given = {str(word).partition("=")[0] for word in words}
        usual = [change for change in tiny if change.partition("=")[0] not in given]
        line = ["edgeseg", command, "streets_cpu", *usual, "--out", tmp_path / "runs", *words]
        monkeypatch.setattr(sys, "argv", [str(word) for word in line])
        try:
            cli.main()
        except SystemExit as end:
            return end.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


def test_the_command_writes_a_line_per_run_and_a_picture(tmp_path, edgeseg):
    code, _, error = edgeseg("ablate", "--variant", "plain", "--seeds", "1")
    assert code == 2
    assert "give --variant at least twice" in error
    files = ("--json", tmp_path / "rows.jsonl", "--picture", tmp_path / "effects.png")
    code, out, _ = edgeseg("ablate", "--variant", "plain", "--variant", "ohem: loss=ohem", "--seeds", "1", *files)
    assert code == 0
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(r["variant"], r["recipe"]["loss"]) for r in rows] == [("plain", "ce"), ("ohem", "ohem")]
    assert "ohem" in out
    assert (tmp_path / "effects.png").stat().st_size > 1000


def test_a_run_ends_with_commands_that_work_as_they_stand(tmp_path, edgeseg, monkeypatch, capsys):
    for name in ("with", "without a score"):
        code, out, error = edgeseg("train", *(["val_split=none"] if name != "with" else []), "--out", tmp_path / name)
        assert code == 0, error
        assert ("mIoU" in out) == (name == "with")
        commands = [shlex.split(line, comments=True) for line in out.partition("Next\n")[2].splitlines()]
        assert [command[1] for command in commands] == ["predict", "eval", "export"]
        for command in commands[:2]:  # an export is another test's
            words = [str(tmp_path / "toy/images/0.png") if word == "PICTURE.jpg" else word for word in command]
            words += ["--out", str(tmp_path / "predictions")] if command[1] == "predict" else []
            monkeypatch.setattr(sys, "argv", words)
            with pytest.raises(SystemExit) as end:
                cli.main()
            assert end.value.code == 0
            assert "Next" not in capsys.readouterr().out


def test_images_that_are_all_void_have_no_score_and_no_report_is_lost(tmp_path, edgeseg):
    assert effects(rows_of(("a", 0, None), ("a", 1, 50.0), ("b", 0, 3.0), ("b", 1, 51.0)))[1].differences == (1.0,)
    code, out, error = edgeseg("train", void=True)
    assert (code, error.count("Traceback")) == (0, 0)
    assert "mIoU – (no labelled pixel) on all" in out
    (tmp_path / "runs" / "checkpoint.safetensors").unlink()
    files = ("--json", tmp_path / "rows.jsonl", "--picture", tmp_path / "effects.png")
    code, out, _ = edgeseg("ablate", "--variant", "plain", "--variant", "slow: lr=0.001", "--seeds", "2", *files)
    assert code == 0
    assert [line.split() for line in out.splitlines()[-3:-1]] == [["plain", "–"], ["slow", "–", "–"]]
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 4
