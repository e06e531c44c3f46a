"""A folder for any web server: the network in a page, computed by ONNX Runtime in the visitor's own browser.

The page (``index.html``) takes a camera, a picture or a rendered ride, and asks no address but its own. ONNX Runtime's
JavaScript and WebAssembly come from the npm registry once, are checked against a hash and kept in the cache; pages hold
copies, so that a visitor needs nothing else. ``$NPM_CONFIG_REGISTRY`` names another registry.

    python FOLDER/serve.py     # http://localhost:8000; with the headers that allow threads

A page computes in a WebAssembly of 128-bit vectors, and on several threads only where its server sends the two headers
that ``serve.py`` sends (cross-origin isolation). Parity is measured on the same ONNX file under ONNX Runtime for
Python; a test in the repository compares the page itself, in Chromium.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.resources import files
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.data.streets import drive
from edgeseg.deploy.runtimes.base import DeployError, Graph
from edgeseg.deploy.runtimes.onnx import OnnxRuntime
from edgeseg.files import DownloadError, cache_folder, extract, fetch
from edgeseg.text import Field

VERSION = "1.30.0"  # of onnxruntime-web
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
BYTES = 33_106_585
REGISTRY = "https://registry.npmjs.org"
_WASM = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_WEBGPU = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
_PAGE = ("index.html", "serve.py", "LICENSE-onnxruntime.txt")
_RIDE, _COLUMNS = 32, 4  # frames of the ride, side by side in one picture


class Web(OnnxRuntime):
    """ONNX Runtime in a browser: WebAssembly, and where asked for WebGPU.

    Options:
        opset, keep: as `edgeseg.deploy.runtimes.onnx.OnnxRuntime`'s.
        webgpu: also copy what WebGPU needs, 27 MB; a browser without it, or with a software one, does not load them.
            Its masks were never compared: no GPU was at hand. Compare yours with ``?backend=wasm`` in the address.
    """

    name = "web"
    precisions = ("fp32", "int8")
    dynamic = ()  # a page has pictures of one size, one at a time
    takes_batches = False
    runs_in = "a browser"
    options: Mapping[str, Field] = MappingProxyType(
        {
            "opset": OnnxRuntime.options["opset"],
            "keep": OnnxRuntime.options["keep"],
            "webgpu": Field(bool, False),
        }
    )

    def prepare(self) -> None:
        javascript()

    def build(self, graph: Graph, path: Path, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
        if not graph.about.get("classes"):
            raise DeployError("a page shows its classes, and this network names none; give Segmenter a class table")
        told = {"symmetric": False, "provider": "cpu", **options}
        facts = super().build(graph, path, precision, told)
        if graph.name == "labels":
            height, width = graph.example.shape[2:]
            _write_page(path.parent, (height, width), options["webgpu"])
            facts |= {"page": {"onnxruntime_web": VERSION, "webgpu": options["webgpu"], "ride": [_RIDE, _COLUMNS]}}
        return facts


def javascript() -> Path:
    """The folder with ONNX Runtime's files for browsers, fetched at the first call.

    Raises:
        DeployError: the registry cannot be reached, or sends something else; says what to do.
    """
    folder = cache_folder("web", f"onnxruntime-web-{VERSION}")
    if folder.is_dir():
        return folder / "package" / "dist"
    registry = os.environ.get("NPM_CONFIG_REGISTRY", REGISTRY).rstrip("/")
    archive = folder.with_name(f"{folder.name}.tgz")
    try:
        fetch(f"{registry}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz", archive, BYTES, sha256=SHA256)
        extract(archive, folder, progress=True)
    except DownloadError as error:
        raise DeployError(f"{error} NPM_CONFIG_REGISTRY names another registry.") from error
    archive.unlink()
    return folder / "package" / "dist"


def _write_page(folder: Path, size: tuple[int, int], webgpu: bool) -> None:
    """The page, its ride and what it runs on, beside the graphs."""
    for name in _PAGE:
        (folder / name).write_bytes(files(__package__).joinpath(name).read_bytes())
    for name in _WASM + (_WEBGPU if webgpu else ()):
        shutil.copyfile(javascript() / name, folder / name)
    frames = [image for image, _ in islice(drive(seed=4, size=size, fps=8), _RIDE)]
    rows = [np.concatenate(frames[k : k + _COLUMNS], axis=1) for k in range(0, _RIDE, _COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(folder / "ride.jpg", quality=90)
