"""`Viewer`: live segmentation in a notebook, with a start and stop button.

>>> viewer = Viewer("0", load_segmenter("cross_cbam_m.streets"))
>>> viewer  # the last line of a cell shows it

Needs ipywidgets, the extra ``edgeseg[course]``.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from edgeseg.data.labels import ClassTable
from edgeseg.deploy.live import Segment, Summary, watch
from edgeseg.deploy.screen import jpeg
from edgeseg.deploy.sources import Source, open_source
from edgeseg.inference import Segmenter

_SHORTEST = 1 / 15  # seconds between two pictures: a notebook is no video player
_running: list[Viewer] = []  # at most one: a cell that is run again must not find its own camera busy


class Viewer:
    """A widget that shows what `watch` sees.

    Args:
        source: what `open_source` takes, opened anew at each start; or a function that makes a source.
        segment: see `watch`. An artefact's size is the size of the frames.
        table: the classes; default: those of ``segment``.
        width: pixels on the page.
        size: (H, W) of the frames.
        options: further ones of `watch`, e.g. ``seconds``.

    Attributes:
        widget: the ipywidgets box.
        summary: of the last run, once it has ended.

    Raises:
        ImportError: ipywidgets is missing; gives the pip line.
    """

    def __init__(
        self,
        source: str | Callable[[], Source],
        segment: Segmenter | Segment,
        table: ClassTable | None = None,
        width: int = 720,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> None:
        widgets = _import_widgets()
        self._source, self._segment, self._table, self._size, self._options = source, segment, table, size, options
        self._image = widgets.Image(value=_blank(width), format="jpeg", width=width)
        self._button = widgets.Button(description="Start", icon="play")
        self._text = widgets.Label(value="stopped")
        self._button.on_click(lambda _: self.stop() if self.running else self.start())
        self.widget = widgets.VBox([widgets.HBox([self._button, self._text]), self._image])
        self.summary: Summary | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._shown = 0.0

    @property
    def running(self) -> bool:
        """Whether frames are being read."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def text(self) -> str:
        """The line beside the button: what goes on, or what went wrong."""
        return str(self._text.value)

    @property
    def watched(self) -> bool:
        """Whether it is time for another picture."""
        return time.monotonic() - self._shown >= _SHORTEST

    def show(self, picture: np.ndarray) -> None:
        """Put a picture, (H, W, 3) uint8, on the page."""
        self._shown = time.monotonic()
        self._image.value = jpeg(picture)

    def start(self) -> None:
        """Read and show, in a thread; another viewer that still runs is stopped first."""
        if self.running:
            return
        while _running:
            _running[0].stop()
        _running.append(self)
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="edgeseg-viewer", daemon=True)
        self._button.description, self._button.icon, self._text.value = "Stop", "stop", "opening …"
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until the source is closed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self in _running:
            _running.remove(self)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)

    def _run(self) -> None:
        try:
            size = self._size
            if size is None and not isinstance(self._segment, Segmenter):
                size = getattr(self._segment, "size", None)  # an artefact takes one size only
            source = open_source(self._source, size) if isinstance(self._source, str) else self._source()
            self.summary = watch(
                source,
                self._segment,
                self._table,
                screens=[self],
                lines=self._tell,
                stop=self._stop,
                say=self._say,
                **self._options,
            )
            text = self.summary.ended if not self.summary.ok else f"{self.summary.frames} frames; {self.summary.ended}"
        except Exception as error:  # a thread's traceback would go where nobody looks
            text = str(error)
        self._text.value = text
        self._button.description, self._button.icon = "Start", "play"

    def _tell(self, line: dict[str, Any]) -> None:
        if line["draw_ms"]:
            self._text.value = (
                f"frame {line['frame']} · segment {line['segment_ms']:.0f} ms · latency {line['latency_ms']:.0f} ms"
                f" · {line['dropped']} dropped"
            )

    def _say(self, line: str) -> None:
        self._text.value = line


def _blank(width: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, width * 3 // 4), (24, 26, 30)).save(file, "JPEG")
    return file.getvalue()


def _import_widgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise ImportError('the viewer needs ipywidgets: pip install "edgeseg[course]"') from error
    return ipywidgets
