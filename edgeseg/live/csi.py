"""Boards' own programs for the camera on their CSI port, which write to a pipe what FFmpeg reads."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_AT_ONCE = {"probesize": "100000", "analyzeduration": "0", "fflags": "nobuffer"}  # else seconds are read before a frame
PROGRAMS = {
    # of a Raspberry Pi
    "rpicam-vid": (
        "mjpeg",
        "--camera {number} --width {width} --height {height} --framerate {fps} --timeout 0 --nopreview --codec mjpeg "
        "--output -",
    ),
    # of a Jetson, whose cameras GStreamer alone can open
    "gst-launch-1.0": (
        "yuv4mpegpipe",
        "-q nvarguscamerasrc sensor-id={number} ! "
        "video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1 ! nvvidconv ! "
        "video/x-raw,format=I420 ! y4menc ! fdsink fd=1",
    ),
}
"""Program → FFmpeg's name of what it writes, and its arguments."""


def command(number: str, size: tuple[int, int], fps: float) -> tuple[list[str], str]:
    """What to run for a camera on this board, and FFmpeg's name of what it writes; an empty list: nothing is there."""
    program = next(filter(shutil.which, PROGRAMS), None)
    if program is None:
        return [], ""
    form, arguments = PROGRAMS[program]
    text = arguments.format(number=number, height=size[0], width=size[1], fps=round(fps))
    return [program, *text.split()], form


@contextmanager
def opened(av: Any, program: list[str], form: str) -> Iterator[Any]:
    """A program's pictures as a container of PyAV's; the program ends with it."""
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
        try:
            with av.open(process.stdout, format=form, options=_AT_ONCE) as container:
                yield container
        finally:
            process.kill()
