"""The boxes in which the course speaks: what a page shows of them."""

from __future__ import annotations

import re

import pytest

from edgeseg.course.message import Verdict

ROWS = "     yours                 package's\n≠    gate  Conv2d 64→4     gate  Conv2d 64→8"
TOLD = f"The layers differ & more.\n\n{ROWS}\n\nGoing on with the package's own."
BLOCK = re.compile(r'<div style="([^"]*)">((?:<b>.*?</b>: )?[^<]*)</div>')


@pytest.fixture
def blocks():
    """Style and text of each block of a box."""
    return BLOCK.findall(Verdict("wrong", "05.3 <CCBAM>", TOLD)._repr_html_())


def test_rows_of_a_table_keep_their_columns_and_a_wide_one_can_be_scrolled(blocks):
    style, text = blocks[1]
    assert text == ROWS.replace("'", "&#x27;"), "not a space may be lost"
    assert "white-space:pre;" in style
    assert "overflow-x:auto" in style


def test_running_words_break_at_the_boxs_edge_and_are_escaped(blocks):
    assert [style for style, _ in blocks[::2]] == ["white-space:pre-wrap"] * 2
    assert blocks[0][1] == "<b>✗ 05.3 &lt;CCBAM&gt;</b>: The layers differ &amp; more."
    assert blocks[2][1] == "Going on with the package&#x27;s own."


def test_a_box_takes_its_colours_from_the_page_so_that_a_dark_one_can_be_read():
    page = Verdict("open", "05.3 CCBAM", "text")._repr_html_()
    assert set(re.findall(r"(?<![-\w])(?:color|background[-\w]*):([^;\"]+)", page)) == {
        "var(--jp-ui-font-color1,inherit)"
    }
