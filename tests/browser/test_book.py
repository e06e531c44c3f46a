"""The book: it builds without a warning, its links lead somewhere, and no page asks another machine for anything."""

from __future__ import annotations

import html.parser
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx-mathjax-offline")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason='builds the book: pip install -e ".[docs]"'),
]


@pytest.fixture(scope="module")
def book() -> Path:
    """The folder of its pages, built where and as `make book` does: what it has built already is not built again."""
    folder = ROOT / "docs" / "_build"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "-d", str(folder / "doctrees")]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):  # two builds in one folder take each other's files away
        done = subprocess.run([*command, ".", str(folder / "html")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


class Links(html.parser.HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        loads = [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        if tag == "link" and given.get("rel") not in ("canonical", "alternate"):
            loads += [given["href"]]
        self.loaded += loads
        self.links += loads + ([given["href"]] if tag == "a" and "href" in given else [])


def pages(book: Path) -> Iterator[tuple[str, Links]]:
    for page in sorted(book.rglob("*.html")):
        if "_static" not in page.parts:
            yield page.relative_to(book).as_posix(), Links(page)


def test_no_page_loads_anything_from_another_host(book):
    elsewhere = [f"{name}: {url[:80]}" for name, page in pages(book) for url in page.loaded if urlsplit(url).netloc]
    for style in book.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)", style.read_text(encoding="utf-8"))
        elsewhere += [f"{style.name}: {address}" for address in found]
    assert not elsewhere


def test_every_link_inside_the_book_leads_to_a_file(book):
    lost = []
    for name, page in pages(book):
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            if not (book / name).parent.joinpath(unquote(parts.path)).exists():
                lost.append(f"{name}: {address}")
    assert not lost


def test_every_lesson_guide_and_module_has_a_page(book):
    solved = {p.stem for p in (ROOT / "course" / "solutions").glob("*.ipynb")}
    assert {p.stem for p in (book / "course" / "solutions").glob("*.html")} == solved
    assert {p.stem for p in (ROOT / "docs").glob("*.md")} == {p.stem for p in (book / "docs").glob("*.html")}
    assert (book / "course" / "README.html").exists()
    reference = book / "docs" / "api" / "edgeseg.models.cross_cbam.html"
    assert 'id="edgeseg.models.cross_cbam.CCBAM"' in reference.read_text(encoding="utf-8")


def test_solutions_are_folded(book):
    for page in (book / "course" / "solutions").glob("*.html"):
        cells = re.findall(r'<div class="cell ([^"]*)"', page.read_text(encoding="utf-8"))
        exercises = [c for c in cells if "tag_exercise" in c]
        assert all("tag_hide-input" in c for c in exercises)


def test_pages_ask_for_nothing_elsewhere_in_a_browser_and_draw_their_formulae(book):
    pytest.importorskip("playwright", reason='drives the browser: pip install -e ".[browser]"')
    from lab import chromium, find_chromium

    if find_chromium() is None:
        pytest.skip("needs Chromium or Chrome, e.g. apt-get install chromium")
    asked: list[str] = []
    complaints: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda r: asked.append(r.url))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        for path in [book / "docs" / "index.html", *sorted((book / "course" / "solutions").glob("*.html"))]:
            page.goto(path.as_uri(), wait_until="load")
            if page.locator("span.math, div.math").count():
                page.wait_for_selector("mjx-container", state="attached")  # a folded one is drawn, too
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert not complaints
