"""The live page in a real browser: the picture fills the window and keeps its shape."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright", reason='drives the browser: pip install -e ".[browser]"')

from lab import chromium, find_chromium

from edgeseg.live.display import Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium or Chrome, e.g. apt-get install chromium"),
]


def test_the_picture_keeps_its_shape_in_every_window():
    picture, stop = np.full((438, 480, 3), 255, np.uint8), threading.Event()

    def send():
        while not stop.wait(0.02):
            page.show(picture)

    with closing(Page(0)) as page, chromium() as browser, ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        thread.submit(send)
        stack.callback(stop.set)
        for width, height in ((1280, 600), (1280, 900), (400, 900)):
            window = browser.new_page(viewport={"width": width, "height": height})
            window.goto(page.url, wait_until="commit")
            window.wait_for_function("document.images[0]?.naturalWidth > 0")
            shown = np.asarray(Image.open(io.BytesIO(window.screenshot())).convert("L")) > 128
            rows, columns = shown.any(1).sum(), shown.any(0).sum()
            assert columns / rows == pytest.approx(480 / 438, rel=0.01)
            assert rows == height or columns == width
            assert window.evaluate("document.documentElement.scrollHeight") == height
            window.close()
