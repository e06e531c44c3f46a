"""What lessons call besides `check`: `begin`, `progress`, `mine`, and the pictures that they share."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from torch import nn

from edgeseg import course, create_model
from edgeseg.course import learner, start
from edgeseg.course.syllabus import SYLLABUS
from edgeseg.data.labels import ClassTable
from edgeseg.models.attention import AAM, ECA
from edgeseg.models.cross_cbam import CCBAM
from edgeseg.models.improved_hrnet import CCSF
from test_checking import PAIR, LinearGate, PixelGate, Rewritten, Right, Swapped, said


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("EDGESEG_COURSE_STRICT", raising=False)


def test_progress_counts_solved_and_tried_exercises_and_keeps_what_was_once_right(capsys):
    number = next(n for n, e in SYLLABUS.items() if len(e.exercises) >= 2)
    for mine, exercise in ((Right, f"{number}.1"), (Swapped, f"{number}.1"), (Swapped, f"{number}.2")):
        said(capsys, mine, exercise=exercise)
    table = repr(course.progress())
    assert f"1 of {len(SYLLABUS[number].exercises)}" in table
    assert "●◐" in table
    assert "<table>" in course.progress()._repr_html_()


def test_progress_of_several_learners_is_one_table(tmp_path, capsys, monkeypatch):
    number = next(n for n, e in SYLLABUS.items() if e.exercises)
    for name in ("ada", "grace"):
        monkeypatch.setenv("EDGESEG_PROGRESS", str(tmp_path / name))
        said(capsys, Right, exercise=f"{number}.1")
    table = repr(course.progress(tmp_path / "ada", tmp_path / "grace"))
    assert "ada" in table
    assert "grace" in table


def test_a_damaged_progress_file_is_put_aside_and_told(capsys):
    learner.folder().mkdir(parents=True)
    (learner.folder() / "progress.json").write_text("{", encoding="utf-8")
    said(capsys, CCBAM)
    assert (learner.folder() / "progress.damaged.json").exists()
    assert json.loads((learner.folder() / "progress.json").read_text(encoding="utf-8"))["exercises"]["05.3"]


def test_a_right_block_is_kept_with_all_that_it_uses_and_found_by_a_later_lesson(capsys):
    from lesson_cells import execute

    scope: dict = {"__name__": "__main__", "course": course, "CCBAM": CCBAM, "PAIR": PAIR}
    execute("import torch\nfrom torch import nn\nfrom torch.nn import functional as F\nHALF = 16", "setup", scope)
    execute(inspect.getsource(LinearGate).replace("// 16", "// HALF"), "gate", scope)
    execute(inspect.getsource(PixelGate), "pixel", scope)
    scope |= {"low": torch.zeros(1), "a": torch.zeros(1)}  # a notebook's variables, named like the block's own
    execute(inspect.getsource(Rewritten), "block", scope)
    execute("Rewritten = course.check(Rewritten, CCBAM, PAIR, exercise='05.3')", "check", scope)
    text = (learner.folder() / "blocks" / "exercise_05_3.py").read_text(encoding="utf-8")
    assert "class LinearGate" in text
    assert "HALF = 16" in text
    capsys.readouterr()
    found = course.mine("05.3", CCBAM)
    assert "yours" in capsys.readouterr().out
    assert found is not CCBAM
    assert found(64)(*[torch.zeros(1, 64, 4, 4)] * 2).shape == (1, 64, 4, 4)
    assert course.mine("05.2", CCBAM) is CCBAM


def test_whose_says_what_a_notebook_goes_on_with(capsys):
    assert course.whose(said(capsys, Right)[0]) == "yours"
    assert course.whose(said(capsys, Swapped)[0]) == "the package's"
    assert course.whose(course.mine("05.3", CCBAM)) == "yours", "an earlier lesson's answer, read from its file"
    assert course.whose(course.mine("05.1", CCBAM)) == "the package's"


# begin and the pictures


def test_begin_refuses_another_version_and_an_unknown_lesson(monkeypatch):
    monkeypatch.setattr(start, "__version__", "9.9.0")
    with pytest.raises(start.LessonError, match="written for edgeseg 0.1 and 9.9.0 is installed"):
        course.begin("05", version="0.1")
    with pytest.raises(start.LessonError, match="no lesson '77'.* there are 00"):
        course.begin("77", version="0.1")


def test_begin_seeds_and_chooses_the_mode(monkeypatch, capsys):
    monkeypatch.setenv("EDGESEG_FAST", "1")
    monkeypatch.setenv("EDGESEG_DEVICE", "cpu")
    first = (course.begin("05", version="0.1"), torch.rand(1), np.random.rand())
    second = (course.begin("05", version="0.1"), torch.rand(1), np.random.rand())
    assert first == second
    assert first[0].pick(100, 2) == 2
    assert "Fast mode" in capsys.readouterr().out


def test_the_map_colours_todays_parts_and_knows_its_parts():
    figure = course.network_map("CCBAM", built=("backbone",))
    colors = {tuple(p.get_facecolor()) for p in figure.axes[0].patches}
    assert len(colors) == 3
    with pytest.raises(ValueError, match=r"no part of the map 'decoderr' \(did you mean decoder"):
        course.network_map("decoderr")


@pytest.mark.parametrize("network", ["cross_cbam", "cross_cbam_s", "hrnet", "hrnet_s", "hrnet_m", "hrnet_l_w18"])
def test_no_word_of_a_map_stands_over_an_edge(network):
    figure = course.network_map("all", network=network)
    FigureCanvasAgg(figure).draw()
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches]
    texts = [t for t in figure.axes[0].texts if t.get_text()]
    for text in texts:
        words = Text.get_window_extent(text)  # an annotation's own has its arrow in it
        touched = [box for box in boxes if box.overlaps(words)]
        inside = [
            box for box in touched if box.x0 < words.x0 and words.x1 < box.x1 and box.y0 < words.y0 < words.y1 < box.y1
        ]
        assert len(touched) == len(inside) <= 1, text.get_text()


@pytest.mark.parametrize("network", ["cross_cbam_m", "cross_cbam_s"])
def test_a_cross_cbams_map_has_the_networks_widths(network):
    model = create_model(network, 19).eval()
    widths = {}
    for name in ("context", "decoder.fuse16", "decoder.fuse8"):
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: widths.update({name: out.shape[1]})
        )
    with torch.no_grad():
        maps = model.backbone(torch.zeros(1, 3, 64, 64))
        model(torch.zeros(1, 3, 64, 64))
    figure = course.network_map("all", network=network.replace("_m", ""))
    words = [text.get_text() for text in figure.axes[0].texts]
    for stage, side, found in zip((3, 4, 5), (8, 16, 32), maps, strict=True):
        assert found.shape[-1] == 64 // side
        assert any(w.startswith(f"stage {stage}") and w.endswith(f"1/{side}\n{found.shape[1]}") for w in words)
    for part, where, side in (
        ("SE-ASPP", "context", 32),
        ("CCBAM", "decoder.fuse16", 16),
        ("CCBAM", "decoder.fuse8", 8),
    ):
        assert f"{part}\n1/{side}, {widths[where]}" in words
    laterals = [name for name in ("lateral16", "lateral8") if not isinstance(getattr(model.decoder, name), nn.Identity)]
    assert words.count("1×1") == len(laterals)
    (head,) = (w for w in words if w.endswith("classifier"))
    assert head.split("\n")[0] == {"cross_cbam_m": "256→128", "cross_cbam_s": "3×3, 96"}[network]
    assert model.classifier.in_channels == {"cross_cbam_m": 128, "cross_cbam_s": 96}[network]


@pytest.mark.parametrize("network", ["hrnet", "hrnet_s", "hrnet_m", "hrnet_l", "hrnet_s_w18"])
def test_an_hrnets_map_has_the_networks_blocks_and_widths(network):
    with torch.device("meta"):
        model = create_model(network, 19)
    words = [text.get_text() for text in course.network_map("all", network=network).axes[0].texts]
    kinds = [word.partition("\n")[0] for word in words]
    in_bfem = 0 if model.bfem is None else 2
    assert kinds.count("CCSF") == sum(isinstance(m, CCSF) for m in model.modules()) - in_bfem
    assert kinds.count("AAM") == sum(isinstance(m, AAM) for m in model.modules())
    assert kinds.count("ECA") == sum(isinstance(m, ECA) for m in model.modules())
    assert kinds.count("BFEM") == in_bfem
    assert f"concat\n{sum(model.backbone.channels)}" in words
    assert [word for word in words if word.startswith("stage 4")] == [f"stage 4\n{model.backbone.channels[0]}"]


def test_a_map_that_is_not_drawn_says_which_are():
    with pytest.raises(ValueError, match=r"no map of a network 'hrnet_x' \(did you mean hrnet"):
        course.network_map(network="hrnet_x")
    with pytest.raises(ValueError, match="no part of the map 'BFEM' .*; there are backbone, attention, FUSM, head"):
        course.network_map("BFEM", network="hrnet_l")


def test_colours_of_two_pictures_are_named_below_where_a_table_is_given():
    image, table = np.zeros((20, 30, 3), np.uint8), ClassTable("t", ("Sky", "A<B"), ((1, 2, 3), (4, 5, 6)))
    page = course.before_after(image, image, table=table)._repr_html_()
    assert page.count("background:rgb") == 2
    assert "rgb(1, 2, 3)" in page
    assert "A&lt;B" in page
    assert "background:rgb" not in course.before_after(image, image)._repr_html_()


def test_before_after_is_one_piece_of_html_and_wants_one_size():
    image = np.zeros((20, 30, 3), np.uint8)
    page = course.before_after(image, image + 255, ("image", "mask"))._repr_html_()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "stopPropagation" in page
    with pytest.raises(ValueError, match="one size"):
        course.before_after(image, image[:10])
