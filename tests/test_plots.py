"""Pictures show what they claim."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from edgeseg import plots
from edgeseg.data.labels import CAMVID, CITYSCAPES, VOID

LABEL = np.array([[0, 1, 2], [3, VOID, 10]], np.uint8)


def test_colours_are_the_tables_and_void_is_black():
    picture = plots.colorize(LABEL, CAMVID)
    assert tuple(picture[0, 1]) == CAMVID.colors[1]
    assert tuple(picture[1, 1]) == (0, 0, 0)


def test_an_overlay_shows_the_image_under_void():
    image = np.full((2, 3, 3), 90, np.uint8)
    picture = plots.overlay(image, LABEL, CAMVID)
    assert tuple(picture[1, 1]) == (90, 90, 90)
    assert tuple(picture[0, 1]) != (90, 90, 90)


def test_errors_are_marked_and_void_is_not_an_error():
    wrong = LABEL.copy()
    wrong[0, 0], wrong[1, 1] = 5, 7
    picture = plots.error_map(wrong, LABEL)
    assert (picture == plots.WRONG).all(-1).sum() == 1
    assert tuple(picture[1, 1]) == plots.NOT_SCORED


def test_a_saved_mask_reads_back_as_its_ids(tmp_path):
    path = plots.save_mask(LABEL, CAMVID, tmp_path / "mask.png")
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), LABEL)
        assert picture.mode == "P"


def test_a_contact_sheet_shows_every_sample_above_its_classes():
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    sheet = np.asarray(plots.contact_sheet([(image, LABEL)] * 3, CAMVID, columns=2))
    assert sheet.shape == (8, 6, 3)
    np.testing.assert_array_equal(sheet[:2, 3:], image)
    np.testing.assert_array_equal(sheet[6:, :3], plots.colorize(LABEL, CAMVID))
    assert (sheet[4:, 3:] == 255).all()


def test_panels_and_curves_become_pictures(tmp_path):
    image = np.zeros((2, 3, 3), np.uint8)
    panel = plots.panel([(image, LABEL, LABEL)] * 2, CAMVID, "title", ["a", "b"])
    rows = [{"recipe": {}}, *({"step": i, "epoch": i, "loss": 2.0 / (i + 1), "lr": 0.1} for i in range(3))]
    rows.append({"step": 2, "epoch": 2, "miou": 40.0, "pixel_accuracy": 80.0})
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, rows)) + "\n")
    for name, figure in (("panel.png", panel), ("curves.png", plots.curves(log))):
        plots.save(figure, tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100


def test_a_run_that_was_never_scored_has_no_empty_panel(tmp_path):
    log, step = tmp_path / "log.jsonl", {"epoch": 1, "loss": 0.5, "lr": 0.1}
    for rows, axes in (([step], 2), ([step, {"epoch": 1, "miou": 50.0, "pixel_accuracy": 80.0}], 3)):  # rate: its own
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert len(plots.curves(log).axes) == axes


@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (3, 3), (6, 4), (2, 5)])
@pytest.mark.parametrize("names", [False, True])
def test_pictures_of_a_grid_stand_close_and_their_names_can_be_read(rows, columns, names):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = plots.colorize(LABEL, CAMVID)
    sides = ["all layers random"] * rows if names else []
    figure = plots.picture_grid([[picture] * columns] * rows, [["head"] * columns], sides)
    FigureCanvasAgg(figure).draw()
    boxes = [axis.get_window_extent().transformed(figure.dpi_scale_trans.inverted()) for axis in figure.axes]
    grid = [boxes[i * columns : (i + 1) * columns] for i in range(rows)]
    gaps = [left.x0 - right.x1 for row in grid for right, left in pairwise(row)]
    gaps += [upper.y0 - lower.y1 for above, below in pairwise(grid) for upper, lower in zip(above, below, strict=True)]
    assert all(0 < gap < 0.2 for gap in gaps), f"inches between pictures: {gaps}"
    heads = figure.axes[0].title.get_fontsize()
    assert all(axis.yaxis.label.get_fontsize() >= heads for axis in figure.axes[::columns])


def test_a_legend_of_all_classes_fits_below_a_lessons_figure_and_makes_it_higher():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for table, more in ((CAMVID, {}), (CAMVID, {"void": True, "wrong": True}), (CITYSCAPES, {})):
        plain = plots.picture_grid([[plots.colorize(LABEL, CAMVID)] * 3], [("a", "b", "c")])
        plain.set_size_inches(9.0, 2.5)
        figure = plots.with_legend(plain, table, **more)
        FigureCanvasAgg(figure).draw()
        legend, page = figure.legends[0].get_window_extent(), figure.bbox
        assert [t.get_text() for t in figure.legends[0].texts][: len(table)] == list(table.names)
        assert page.x0 <= legend.x0 <= legend.x1 <= page.x1, "no name is cut off"
        assert figure.get_figheight() > 2.5


def test_figures_of_a_lesson_are_opaque_so_that_black_words_can_be_read_on_a_dark_page(tmp_path, capsys):
    import matplotlib as mpl

    from edgeseg import course

    with mpl.rc_context():
        mpl.rcParams.update({"figure.facecolor": "none", "savefig.facecolor": "none"})  # what a page's theme may set
        course.begin("00", version="0.1")
        path = plots.save(plots.picture_grid([[plots.colorize(LABEL, CAMVID)]], [("mask",)]), tmp_path / "figure.png")
    with Image.open(path) as picture:
        assert picture.convert("RGBA").getextrema()[3] == (255, 255)
