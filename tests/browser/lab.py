"""A real JupyterLab in a real browser: start it, open a notebook, run it, write into a cell, move a slider, look.

`jupyterlab` starts a server on this machine with settings of its own, `chromium` a browser, and `Notebook` does with
the page what a person does: menus, keys and the mouse. Needs the packages jupyterlab and playwright, and a Chromium or
Chrome that is installed already: Playwright's own browsers are never downloaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
_PROMPTS = f"{PANEL} .jp-CodeCell .jp-InputPrompt"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Where the browser is: what ``CHROMIUM`` names, or the first on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)), None)


def lay_out(notebook: Path, folder: Path) -> str:
    """Copy a lesson as it lies in a clone, with logs and pictures that it shows; returns its path below `folder`."""
    (folder / "course").mkdir()
    shutil.copy(notebook, folder / "course")
    shutil.copytree(ROOT / "course" / "results", folder / "course" / "results")
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images")
    return f"course/{notebook.name}"


# The server -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    url: str
    token: str

    def address(self, notebook: str) -> str:
        """The page that opens one notebook in an empty workspace."""
        return f"{self.url}/lab/tree/{notebook}?token={self.token}&reset"


@contextlib.contextmanager
def jupyterlab(root: Path, env: Mapping[str, str] | None = None, dark: bool = False) -> Iterator[Lab]:
    """A JupyterLab that nobody else can enter, and that neither reads nor changes anybody's settings.

    Args:
        root: the folder that it serves.
        env: further variables of its environment and its kernels'.
        dark: JupyterLab's dark theme.
    """
    with TemporaryDirectory(prefix="edgeseg-lab-") as folder:
        home = Path(folder)
        _write_settings(home / "settings", dark)
        port, token = _free_port(), secrets.token_hex(16)
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
        command += [f"--ServerApp.root_dir={root}", "--ServerApp.terminals_enabled=False"]
        command += ["--LabApp.news_url=", "--LabApp.extension_manager=readonly"]
        with open(home / "log", "w+", encoding="utf-8") as log:
            server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=_environment(home, env))
            try:
                lab = Lab(f"http://127.0.0.1:{port}", token)
                _wait_until_it_answers(lab, server, home / "log")
                yield lab
            finally:
                server.terminate()  # the server ends its kernels
                try:
                    server.wait(20)
                except subprocess.TimeoutExpired:
                    server.kill()


def _environment(home: Path, env: Mapping[str, str] | None) -> dict[str, str]:
    """The kernels import this checkout; what Jupyter and IPython keep goes into the temporary folder."""
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": paths, **{k: str(home / v) for k, v in places.items()}, **(env or {})}


def _write_settings(folder: Path, dark: bool) -> None:
    theme = "JupyterLab Dark" if dark else "JupyterLab Light"
    settings: dict[str, dict[str, Any]] = {
        # neither a question about news nor a look for updates: there is no network
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
        "apputils-extension/themes": {"theme": theme, "adaptive-theme": False},
        # every cell is in the page, also those that are out of sight
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, values in settings.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(lab: Lab, server: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with {server.returncode}:\n{log.read_text(encoding='utf-8')[-2000:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{lab.url}/api?token={lab.token}", timeout=2):
            return
        time.sleep(0.2)
    raise TimeoutError(f"JupyterLab did not answer in {seconds:.0f} s:\n{log.read_text(encoding='utf-8')[-2000:]}")


# The browser ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """A browser without a window.

    Args:
        more: further flags.

    Raises:
        RuntimeError: no Chromium on this machine.
    """
    path = find_chromium()
    if path is None:
        raise RuntimeError(f"no {' or '.join(_BROWSERS)} on the path; install one, or name it: CHROMIUM=/path/to/it")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--disable-extensions", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=[*flags, *more])
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Shown:
    """A code cell as the page shows it.

    Args:
        prompt: ``[3]:``; ``[*]:`` while it runs, ``[ ]:`` before.
        first: its first line.
        faults: last lines of exceptions and of what was written to stderr; figures and widgets that did not come up.
        outputs: kinds of its outputs, e.g. ``image/png``.
    """

    prompt: str
    first: str
    faults: list[str]
    outputs: list[str]


class Notebook:
    """A notebook that is open in a page of JupyterLab, its kernel ready.

    Args:
        page: of the browser.
        lab: the server.
        name: path of the notebook below the server's folder.

    Attributes:
        elsewhere: addresses on other machines that the page asked for.
        complaints: errors that the browser reported.
    """

    def __init__(self, page: Page, lab: Lab, name: str, seconds: float = 90) -> None:
        self.page, self.elsewhere, self.complaints = page, [], []
        page.set_default_timeout(seconds * 1e3)
        page.on("request", lambda r: self._note_address(r.url, lab.url))
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.goto(lab.address(name), wait_until="domcontentloaded")
        page.wait_for_selector("#jupyterlab-splash", state="detached")
        page.wait_for_selector(f"{PANEL} .jp-Cell")
        page.wait_for_selector(f"{PANEL} .jp-Spinner", state="detached")
        # before the kernel is there, Run All asks for one
        page.wait_for_function("() => /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.textContent ?? '')")

    def _note_address(self, url: str, own: str) -> None:
        if url.startswith(("http", "ws")) and url.split("://")[1].split("/")[0] != own.split("://")[1]:
            self.elsewhere.append(url)

    def cell(self, index: int) -> Locator:
        """The cell at a place in the file, text cells counted."""
        return self.page.locator(f"{PANEL} .jp-Notebook .jp-Cell").nth(index)

    def run_all(self, seconds: float = 300) -> None:
        """Run > Run All Cells, and wait until the last cell is done."""
        self.page.locator(".lm-MenuBar-item", has_text="Run").first.click()
        self.page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
        started = "[...document.querySelectorAll(selector)].some(e => /\\[(\\*|\\d+)\\]/.test(e.textContent))"
        self.page.wait_for_function(f"selector => {started}", arg=_PROMPTS, timeout=30e3)
        self._wait_for_quiet(seconds)

    def _wait_for_quiet(self, seconds: float, quiet: float = 1.0) -> None:
        """No [*] for a while: between two cells there is none for a moment, and the last output comes after it."""
        self.page.wait_for_function(
            """([selector, quiet]) => {
                const busy = [...document.querySelectorAll(selector)].some(e => e.textContent.includes('[*]'));
                if (busy || window.quietSince === undefined) window.quietSince = performance.now();
                return performance.now() - window.quietSince > quiet;
            }""",
            arg=[_PROMPTS, quiet * 1e3],
            timeout=seconds * 1e3,
        )
        self.page.evaluate("() => { delete window.quietSince }")

    def run(self, index: int, seconds: float = 120) -> str:
        """Run one cell by its keys; returns the text of its outputs."""
        cell = self.cell(index)
        prompt = cell.locator(".jp-InputPrompt")
        before = prompt.inner_text()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(prompt).not_to_have_text(before, timeout=30e3)
        self._wait_for_quiet(seconds)
        return cell.locator(".jp-Cell-outputArea").inner_text()

    def write(self, index: int, text: str) -> None:
        """Replace what stands in a cell.

        Raises:
            AssertionError: the editor shows something else.
        """
        editor = self.cell(index).locator(".cm-content")
        editor.scroll_into_view_if_needed()
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)
        found = "\n".join(editor.locator(".cm-line").all_inner_texts())
        assert [x.rstrip() for x in found.splitlines() if x.strip()] == [
            x.rstrip() for x in text.splitlines() if x.strip()
        ], f"wrote\n{text}\nand the cell holds\n{found}"

    def code_cells(self) -> list[Shown]:
        """All code cells, as they are shown now."""
        found = self.page.evaluate(
            """panel => [...document.querySelectorAll(`${panel} .jp-CodeCell`)].map(cell => {
                const all = (selector) => [...cell.querySelectorAll(selector)];
                const kind = (e) => e.dataset.mimeType ?? '';
                const bad = all('.jp-OutputArea-output').filter(e => /vnd.jupyter.(error|stderr)$/.test(kind(e)));
                const lost = all('.jp-OutputArea-output').filter(e => /^<Figure size/.test(e.textContent.trim()));
                const last = (e) => kind(e).split('.').pop() + ': ' + e.textContent.trim().split('\\n').pop();
                return {
                    prompt: cell.querySelector('.jp-InputPrompt')?.textContent.trim() ?? '',
                    first: cell.querySelector('.cm-line')?.textContent ?? '',
                    faults: [
                        ...bad.map(last),
                        ...lost.map(() => 'a figure is shown as text'),
                        ...all('.jupyter-widgets-error-widget').map(() => 'a widget did not come up'),
                    ],
                    outputs: all('.jp-OutputArea-output').map(kind),
                };
            })""",
            PANEL,
        )
        return [Shown(**cell) for cell in found]

    def move_slider(self, index: int, steps: int = 3) -> None:
        """Arrow keys on the first slider of a cell, away from its end, until its figure is another one.

        Raises:
            AssertionError: the figure stays as it is.
        """
        cell = self.cell(index)
        handle = cell.locator(".widget-slider .noUi-handle").first
        handle.scroll_into_view_if_needed()
        picture = cell.locator("img").last
        before = picture.get_attribute("src") or ""
        at, last = (float(handle.get_attribute(name) or 0) for name in ("aria-valuenow", "aria-valuemax"))
        handle.focus()
        for _ in range(steps):
            handle.press("ArrowLeft" if at >= last else "ArrowRight")
        expect(picture, "the slider does not change the figure").not_to_have_attribute("src", before, timeout=30e3)

    def hide_sidebar(self) -> None:
        """More room for the notebook."""
        if self.page.locator("#jp-left-stack").is_visible():
            self.page.keyboard.press("Control+B")

    def unfold(self) -> None:
        """Open every answer, help and solution."""
        self.page.evaluate("() => document.querySelectorAll('details').forEach(e => { e.open = true })")

    def choose_theme(self, name: str) -> None:
        """Settings > Theme > …"""
        self.page.locator(".lm-MenuBar-item", has_text="Settings").first.click()
        self.page.locator(".lm-Menu-item", has_text="Theme").first.hover()
        self.page.locator(".lm-Menu-item[data-command='apputils:change-theme']", has_text=name).first.click()
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def pale_texts(self, least: float = 4.5) -> list[str]:
        """Texts of lesson and outputs whose contrast with their ground is below ``least`` (WCAG AA asks for 4.5).

        The colours of code are JupyterLab's own and are left out.
        """
        return self.page.evaluate(_PALE_TEXTS, [f"{PANEL} :is(.jp-RenderedMarkdown, .jp-OutputArea-output)", least])

    def screens(self) -> Iterator[Page]:
        """The page at every screenful of the notebook, from its top to its end."""
        scroller = self.page.locator(f"{PANEL} .jp-WindowedPanel-outer")
        height, seen = scroller.evaluate(
            """e => {
                e.scrollTop = 0;
                const last = [...e.querySelectorAll('.jp-Cell')].at(-1);
                return [last.getBoundingClientRect().bottom - e.getBoundingClientRect().top, e.clientHeight];
            }"""
        )
        for top in range(0, max(1, int(height) - 80), int(seen) - 80):
            scroller.evaluate("(e, top) => { e.scrollTop = top }", top)
            self.page.wait_for_timeout(150)  # pictures come into view a moment later
            yield self.page


_PALE_TEXTS = """([selector, least]) => {
    const rgba = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const color = rgba(getComputedStyle(e).backgroundColor);
            if (color.length < 4 || color[3] > 0.5) return color;
        }
        return [255, 255, 255];
    };
    const found = new Set();
    for (const area of document.querySelectorAll(selector)) {
        for (const e of [area, ...area.querySelectorAll('*')]) {
            const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent).join(' ').trim();
            if (!text || !e.checkVisibility() || e.closest('pre code')) continue;
            const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))];
            const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (contrast < least) found.add(`${contrast.toFixed(1)}: ${text.slice(0, 60)}`);
        }
    }
    return [...found];
}"""
