"""`choose` and `prove`, which ask for a reading or for properties, and the mission's `board`."""

from __future__ import annotations

import json

import pytest

from edgeseg import course
from edgeseg.course import learner, start
from edgeseg.course.mission import Board, Row

READINGS = course.Readings("c", {"a": "Seed 3 is worse.", "b": "The two are paired."})


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setenv("EDGESEG_FAST", "0")
    monkeypatch.delenv("EDGESEG_COURSE_STRICT", raising=False)


def open_answer():
    raise NotImplementedError("your turn")


def noted(exercise: str) -> dict:
    return json.loads((learner.folder() / "progress.json").read_text(encoding="utf-8"))["exercises"][exercise]


def halves(value: float) -> float:
    return value / 2


def package_halves(value: float) -> float:
    return value * 0.5


def is_half(f) -> None:
    assert f(4) == 2, f"f(4) is {f(4)} and should be 2"


def keeps_zero(f) -> None:
    assert f(0) == 0, "nothing stays nothing"


@pytest.mark.parametrize(
    ("key", "shown"), [("a", "Seed 3 is worse."), ("b", "paired"), ("d", "no reading 'd'"), (3, "It returns an int")]
)
def test_a_wrong_reading_is_answered_with_what_contradicts_it_and_not_with_the_right_one(capsys, key, shown):
    on = course.choose(lambda: key, READINGS, exercise="08.1")
    said = capsys.readouterr().out
    assert "✗" in said
    assert shown in said
    assert on() == "c"
    assert noted("08.1")["state"] == "wrong"


def test_the_right_reading_is_kept_and_an_open_one_leaves_the_way_free(capsys):
    def mine():
        return "c"

    assert course.choose(mine, READINGS, exercise="08.1") is mine
    assert "✓" in capsys.readouterr().out
    on = course.choose(open_answer, READINGS, exercise="08.2")
    assert "○" in capsys.readouterr().out
    assert on() == "c"
    assert course.choose(on, READINGS, exercise="08.2") == on  # the check's cell run twice
    assert "This is the package's own" in capsys.readouterr().out
    assert noted("08.2")["state"] == "open"


def test_readings_want_a_reason_against_every_wrong_one():
    with pytest.raises(ValueError, match="what contradicts each wrong reading"):
        course.Readings("a", {"a": "it is right"})
    with pytest.raises(ValueError, match="at least one"):
        course.Readings("a", {})


def test_prove_wants_every_property_and_tells_the_first_that_fails(capsys):
    assert course.prove(halves, package_halves, is_half, keeps_zero, exercise="08.1") is halves
    assert "all 2 properties hold" in capsys.readouterr().out
    off = course.prove(lambda v: v / 2 + 1, halves, is_half, keeps_zero, exercise="08.1")
    assert "f(4) is 3.0 and should be 2" in capsys.readouterr().out
    assert off is halves
    with pytest.raises(ValueError, match="at least one property"):
        course.prove(halves, halves, exercise="08.1")


def test_prove_tells_an_error_with_the_learners_line_and_refuses_what_cannot_be_called(capsys):
    course.prove(lambda: 2, halves, is_half, exercise="08.1")
    assert "TypeError" in capsys.readouterr().out
    course.prove(3, halves, is_half, exercise="08.1")
    assert "must be a function or a class" in capsys.readouterr().out
    course.prove(open_answer, halves, lambda f: f(), exercise="08.1")
    assert "not written yet" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [lambda: "a", open_answer])
def test_strict_mode_makes_wrong_and_open_an_error(monkeypatch, answer):
    monkeypatch.setenv("EDGESEG_COURSE_STRICT", "1")
    with pytest.raises(AssertionError, match=r"08\.1"):
        course.choose(answer, READINGS, exercise="08.1")


def test_the_board_keeps_one_row_a_network_and_lesson_in_order(capsys):
    course.begin("07", version="0.1")
    course.board("mine", miou=41.234, milliseconds=40)
    course.begin("06", version="0.1")
    course.board("untrained", megabytes=46)
    course.begin("07", version="0.1")
    course.board("mine", miou=43, pedestrian=12.5, milliseconds=25)
    capsys.readouterr()
    course.board()
    said = capsys.readouterr().out
    assert said.index("untrained") < said.index("mine")
    assert said.count("mine") == 1
    assert "43.0" in said
    assert "41.2" not in said
    assert "40 frames a second (the aim is 30), 12.5 % of Pedestrian" in said


def test_figures_of_fast_mode_are_marked_and_do_not_count(monkeypatch, capsys):
    monkeypatch.setenv("EDGESEG_FAST", "1")
    course.begin("07", version="0.1")
    course.board("mine", milliseconds=1)
    said = capsys.readouterr().out
    assert "(fast mode)" in said
    assert "no time yet" in said


def test_the_board_refuses_what_cannot_be_and_figures_without_words():
    course.begin("07", version="0.1")
    with pytest.raises(ValueError, match="in words whose figures"):
        course.board(miou=40)
    with pytest.raises(ValueError, match="miou=4000 cannot be: give per cent"):
        course.board("mine", miou=4000)
    with pytest.raises(ValueError, match="milliseconds=nan cannot be"):
        course.board("mine", milliseconds=float("nan"))
    assert not (learner.folder() / "board.json").exists()


def test_a_class_that_no_scene_has_is_not_measured(capsys):
    course.begin("07", version="0.1")
    course.board("mine", miou=40.5, pedestrian=float("nan"))
    row = json.loads((learner.folder() / "board.json").read_text(encoding="utf-8"))["rows"][0]
    assert (row["miou"], row["pedestrian"]) == (40.5, None)
    assert "no score yet" in capsys.readouterr().out


def test_the_board_needs_a_lesson_only_for_a_new_row(monkeypatch, capsys):
    monkeypatch.setattr(start, "_running", None)
    course.board()
    assert "no time yet" in capsys.readouterr().out
    with pytest.raises(start.LessonError, match="course.begin"):
        course.board("mine", miou=40)


def test_a_damaged_board_is_put_aside(capsys):
    learner.folder().mkdir(parents=True)
    (learner.folder() / "board.json").write_text('{"rows": [{"lesson": "07"}]}', encoding="utf-8")
    course.board()
    assert "board.damaged.json" in capsys.readouterr().out
    assert (learner.folder() / "board.damaged.json").exists()


def test_the_card_is_html_with_words_escaped():
    page = Board([Row("07", "<mine>", 41.2, None, 33.0)])._repr_html_()
    assert "&lt;mine&gt;" in page
    assert page.count("<tr>") == 2
    assert "30 frames a second (the aim is 30)" in page
