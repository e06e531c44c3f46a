"""A board's own camera, on its CSI port, read through the board's own program."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgeseg.live.frames import SourceError, VideoSource

_AT_ONCE = {"probesize": "100000", "analyzeduration": "0", "fflags": "nobuffer"}  # else seconds are read before a frame


class CsiCamera(VideoSource):
    """A camera on a board's CSI port, by the board's own program, which writes to a pipe.

    ``rpicam-vid`` on a Raspberry Pi, GStreamer's ``nvarguscamerasrc`` on a Jetson; without either, an error. Tested
    with stand-ins for the two programs, on no board.

    Args:
        address: ``csi://0``, the number of the camera.
        size: (H, W) that the camera is asked for, 720×1280 by default.
        fps: that it is asked for, 30 by default.
        stall: as `VideoSource`'s.

    Raises:
        ValueError: no number of a camera. ImportError: PyAV is missing.
    """

    def __init__(
        self, address: str, size: tuple[int, int] | None = None, fps: float | None = None, stall: float = 5.0
    ) -> None:
        number = address.removeprefix("csi://")
        if not number.isdigit():
            raise ValueError(f"{address}: give the number of the camera, e.g. csi://0")
        super().__init__(address, size, None, stall)
        height, width = size or (720, 1280)
        self._commands = {
            "rpicam-vid": (
                f"--camera {number} --width {width} --height {height} --framerate {fps or 30:g} --timeout 0 "
                "--nopreview --codec mjpeg --output -"
            ),
            "gst-launch-1.0": (
                f"-q nvarguscamerasrc sensor-id={number} ! "
                f"video/x-raw(memory:NVMM),width={width},height={height},framerate={round(fps or 30)}/1 ! nvvidconv ! "
                "video/x-raw,format=I420 ! y4menc ! fdsink fd=1"
            ),
        }
        self._formats = {"rpicam-vid": "mjpeg", "gst-launch-1.0": "yuv4mpegpipe"}

    @contextmanager
    def _open(self) -> Iterator[Any]:
        program = next(filter(shutil.which, self._commands), None)
        if program is None:
            raise SourceError(
                f"{self.name}: neither {' nor '.join(self._commands)} is installed. A USB camera is a number: 0"
            )
        command = [program, *self._commands[program].split()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
            try:
                with self._av.open(process.stdout, format=self._formats[program], options=_AT_ONCE) as container:
                    yield container
            except (self._av.error.FFmpegError, OSError) as error:
                told = f"{self.name}: {program} gives no picture ({self._why(error)})"
                raise SourceError(f"{told}. Try it by itself: {' '.join(command)}") from error
            finally:
                process.kill()
