"""Notebooks in a kernel, so that nothing waits for ever: for the course's builder and for marking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode


def client(book: NotebookNode, folder: Path, timeout: int | None) -> NotebookClient:
    """What runs a notebook's cells; open it with ``setup_kernel(env=…)``.

    Args:
        book: gets the outputs.
        folder: where the kernel works.
        timeout: seconds for one cell; ``None`` for who stops it otherwise.
    """
    from nbclient import NotebookClient
    from nbclient.output_widget import OutputWidget

    class Silent(OutputWidget):  # takes what a slider shows; telling the kernel, too, may hang (jupyter/nbclient#312)
        def sync_state(self) -> None:
            pass

    made = NotebookClient(
        book,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    made.widget_registry["@jupyter-widgets/output"]["OutputModel"] = Silent
    return made
