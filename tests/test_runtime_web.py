"""The page's folder: fetched once from a registry, checked, and served with the headers that allow threads."""

from __future__ import annotations

import hashlib
import http.server
import io
import subprocess
import sys
import tarfile
import threading
from functools import partial
from urllib.request import urlopen

import pytest
from PIL import Image

from compiled_networks import SIZE, needs, tiny_segmenter
from edgeseg import files
from edgeseg.deploy import Artefact, DeployError, compile
from edgeseg.deploy.parity import check_parity, mini_set
from edgeseg.deploy.runtimes import web
from edgeseg.inference import Segmenter

pytestmark = needs("web")

NAMES = web._WASM + web._WEBGPU


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry on this machine with a package of the real names; lists the paths that were asked for."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in NAMES:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    package = tmp_path / "registry" / "onnxruntime-web" / "-" / f"onnxruntime-web-{web.VERSION}.tgz"
    package.parent.mkdir(parents=True)
    package.write_bytes(stream.getvalue())
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *_):
            asked.append(self.path)

    handler = partial(Handler, directory=tmp_path / "registry")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_address[1]}/")
        monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(web, "BYTES", len(stream.getvalue()))
        monkeypatch.setattr(web, "SHA256", hashlib.sha256(stream.getvalue()).hexdigest())
        yield asked
        server.shutdown()
        thread.join()


def test_a_folder_holds_all_that_its_page_asks_for_and_nothing_is_fetched_twice(registry, tmp_path):
    folders = [compile(tiny_segmenter(), "web", "fp32", SIZE, webgpu=True).save(tmp_path / name) for name in "ab"]
    assert len(registry) == 1
    for folder in folders:
        assert {*NAMES, "index.html", "serve.py", "ride.jpg", "LICENSE-onnxruntime.txt"} <= {
            file.name for file in folder.iterdir()
        }
        assert (folder / NAMES[0]).read_text() == NAMES[0]
        frames, columns = Artefact.load(folder).about["graphs"]["labels"]["page"]["ride"]
        with Image.open(folder / "ride.jpg") as sheet:
            assert sheet.size == (SIZE[1] * columns, SIZE[0] * frames // columns)


def test_a_page_computes_what_the_network_does_by_the_file_that_it_loads(registry):
    segmenter = tiny_segmenter()
    parity = check_parity(compile(segmenter, "web", "fp32", SIZE), segmenter, mini_set(segmenter, SIZE, 2))
    assert parity.passed


def test_what_only_webgpu_needs_is_left_out_where_nobody_asked_for_it(registry, tmp_path):
    folder = compile(tiny_segmenter(), "web", "fp32", SIZE, graphs=("labels",)).save(tmp_path / "page")
    names = {file.name for file in folder.iterdir()}
    assert names & set(NAMES) == set(web._WASM)
    assert "logits.onnx" not in names


def test_a_page_asks_no_address_but_its_own():
    page = web.files(web.__name__).joinpath("index.html").read_text()
    assert "http" not in page.replace("http-equiv", "").replace("over https only", "")
    assert "default-src 'none'" in page
    assert "connect-src 'self' blob:;" in page


def test_a_package_that_is_not_the_known_one_is_refused_and_not_kept(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "SHA256", "0" * 64)
    with pytest.raises(DeployError, match=r"onnxruntime-web.*NPM_CONFIG_REGISTRY names another registry"):
        compile(tiny_segmenter(), "web", "fp32", SIZE)
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []


def test_a_registry_that_cannot_be_reached_says_how_to_name_another(monkeypatch, tmp_path):
    for name, value in {"PAUSE": 0.001, "ATTEMPTS": 1, "TIMEOUT": 1.0}.items():
        monkeypatch.setattr(files, name, value)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path))
    with pytest.raises(DeployError, match="NPM_CONFIG_REGISTRY"):
        compile(tiny_segmenter(), "web", "fp32", SIZE)


def test_a_network_without_names_of_classes_has_no_page(registry):
    with pytest.raises(DeployError, match="give Segmenter a class table"):
        compile(Segmenter(tiny_segmenter().model, (0.5,) * 3, (0.25,) * 3), "web", "fp32", SIZE)


def test_serve_sends_the_headers_that_allow_threads(registry, tmp_path):
    folder = compile(tiny_segmenter(), "web", "fp32", SIZE, graphs=("labels",)).save(tmp_path / "page")
    with subprocess.Popen([sys.executable, folder / "serve.py", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as server:  # fmt: skip
        try:
            address = server.stdout.readline().split()[0]
            reply = urlopen(f"{address}/{web._WASM[0]}", timeout=10)
        finally:
            server.kill()
    assert reply.headers["Content-Type"] == "text/javascript"
    assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert reply.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
