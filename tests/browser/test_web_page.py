"""The page of ``--runtime web`` in a real browser: the package's own mask, no growth, both themes, narrow and wide."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("playwright", reason='drives the browser: pip install -e ".[browser]"')
pytest.importorskip("onnxscript", reason='exports the network: pip install -e ".[export]"')
pytest.importorskip("psutil", reason='reads the memory: pip install -e ".[bench]"')

import psutil
from lab import chromium, find_chromium

from edgeseg.data.streets import Streets
from edgeseg.deploy import DeployError, compile
from edgeseg.deploy.runtimes.web import javascript
from edgeseg.inference import load_segmenter

SIZE = (96, 128)
MOST_OTHERS = 0.001  # share of pixels
_SOFTWARE_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium or Chrome, e.g. apt-get install chromium"),
]


@pytest.fixture(scope="module")
def registry():
    """npm can be reached, or what is needed of it is kept already."""
    try:
        javascript()
    except DeployError as error:
        pytest.skip(f"needs the npm registry: {error}")


@pytest.fixture(scope="module", params=["fp32", "int8"])
def page_folder(request, tmp_path_factory, registry):
    """The finished small network as a page."""
    from edgeseg.deploy.quantise import calibration_images

    segmenter = load_segmenter("cross_cbam_s.streets")
    images = calibration_images(segmenter, SIZE, count=8) if request.param == "int8" else None
    artefact = compile(segmenter, "web", request.param, SIZE, graphs=("labels",), calibration=images)
    return artefact.save(tmp_path_factory.mktemp("pages") / request.param), artefact


@contextmanager
def opened(folder, width=1200, dark=False, query="", flags=()):
    """The page, once it has drawn a frame; what it asked for elsewhere, and what it complained of."""
    command = [sys.executable, folder / "serve.py", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server,
        chromium(*flags) as browser,
    ):
        try:
            address = server.stdout.readline().split()[0]
            scheme = "dark" if dark else "light"
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            faults = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("request", lambda r: r.url.startswith((address, "blob:", "data:")) or faults.append(r.url))
            page.goto(address + query)
            page.locator("#figures", has_text="frames a second").wait_for(timeout=240_000)
            yield page
            assert faults == []
        finally:
            server.kill()


def masks(page, images):
    """The page's own class maps of images of its size."""
    for image in images:
        rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        ids = page.evaluate("async bytes => [...await edgeseg.segment(Uint8Array.from(bytes))]", rgba.ravel().tolist())
        yield np.array(ids, np.uint8).reshape(image.shape[:2])


def differing(page, artefact):
    """Share of the pixels of four scenes that get another class from the page, once its ride is halted."""
    page.click("#ride[aria-pressed=true]")
    scenes = [image for image, _ in Streets("test", 4, SIZE)]
    return np.mean([found != artefact(image) for found, image in zip(masks(page, scenes), scenes, strict=True)])


def test_the_mask_is_the_packages_and_a_hundred_frames_take_no_more_memory(page_folder):
    folder, artefact = page_folder
    with opened(folder) as page:
        assert "WebAssembly" in page.inner_text("#about")
        assert differing(page, artefact) <= MOST_OTHERS
        run = "async frames => { for (let k = 0; k < frames; k++) await edgeseg.segment(new Uint8Array(4 * %d)); }"
        page.evaluate(run % (SIZE[0] * SIZE[1]), 150)  # heaps grow to their working size
        grown = []
        for _ in range(3):  # a hundred results kept, with their inputs and logits, would be more each time
            before = memory()
            page.evaluate(run % (SIZE[0] * SIZE[1]), 100)
            grown.append(memory() - before)
            if grown[-1] < 24e6:
                break
        assert min(grown) < 24e6  # Chromium starts a process of its own now and then: 130 MB seen once


@pytest.mark.usefixtures("registry")
def test_webgpu_gives_the_same_mask_on_chromiums_software_adapter(tmp_path):
    segmenter = load_segmenter("cross_cbam_s.streets")
    artefact = compile(segmenter, "web", "fp32", SIZE, graphs=("labels",), webgpu=True)
    with opened(artefact.save(tmp_path / "page"), query="?backend=webgpu", flags=_SOFTWARE_WEBGPU) as page:
        assert "WebGPU" in page.inner_text("#about")
        assert differing(page, artefact) <= MOST_OTHERS
        both = "Promise.all([1, 2].map(() => edgeseg.segment(new Uint8Array(4 * %d))))"  # two at once
        one, other = page.evaluate(f"async () => (await {both % (SIZE[0] * SIZE[1])}).map(ids => ids.join())")
        assert one == other


def memory() -> int:
    """Bytes that the browser's processes hold, and this test's server."""
    return sum(child.memory_full_info().uss for child in psutil.Process().children(recursive=True))


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1200, False)])
def test_nothing_sticks_out_and_every_class_is_named(page_folder, width, dark):
    folder, artefact = page_folder
    with opened(folder, width=width, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [text.split("\n")[0] for text in page.locator("#legend li").all_inner_texts()] == list(
            artefact.table.names
        )
        dark_ground = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert dark_ground == dark


def test_a_picture_of_another_shape_is_cut_to_the_networks_and_no_picture_is_told(page_folder, tmp_path):
    from PIL import Image

    folder, _ = page_folder
    Image.new("RGB", (300, 700), "grey").save(tmp_path / "tall.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    with opened(folder) as page:
        page.set_input_files("#picture", tmp_path / "tall.png")
        page.locator("#figures", has_not_text="frames").wait_for(timeout=60_000)
        assert page.inner_text("#note") == ""
        page.set_input_files("#picture", tmp_path / "none.png")
        page.locator("#note", has_text="none.png is no picture").wait_for(timeout=60_000)
