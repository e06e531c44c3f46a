"""``edgeseg live``."""

from __future__ import annotations

import json as json_module
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.files import check_targets, write_json
from edgeseg.text import parse_size

if TYPE_CHECKING:
    from edgeseg.deploy import Artefact
    from edgeseg.inference import Segmenter


def live(
    source: Annotated[
        str,
        typer.Argument(help="camera number, video file, rtsp:// or http:// address, folder of pictures, or streets"),
    ],
    model: Annotated[
        str, typer.Option(help="a weight's name or file, or an artefact's folder")
    ] = "cross_cbam_m.streets",
    size: Annotated[
        str | None, typer.Option(help="HxW that frames are scaled to; default: the artefact's, or the source's own")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="pace of files, folders and streets (0: as fast as possible), or of the camera")
    ] = None,
    every_frame: Annotated[bool, typer.Option("--every-frame", help="a file whole, without dropping frames")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="no page in the browser")] = False,
    serve: Annotated[int, typer.Option(help="port of the page on this machine; 0: any free one")] = 8080,
    record: Annotated[Path | None, typer.Option(help="write the picture to this .mp4, .mkv, .mov or .avi")] = None,
    json: Annotated[
        str | None, typer.Option(help="one JSON line per frame to this file; - for standard output")
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="also write the summary here, as JSON")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="stop after this time")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="stop after this many segmented frames")] = None,
    stall: Annotated[float, typer.Option(help="seconds without a frame that count as a stalled source")] = 5.0,
    tries: Annotated[int, typer.Option(help="how often a lost camera or stream is opened again")] = 5,
    seed: Annotated[int, typer.Option(help="another street")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, …; of a weight, an artefact knows its own")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="processor threads of the network")] = None,
) -> None:
    """Segment a camera, a video, a stream or an endless street, live; Ctrl-C ends it.

    The picture appears on a page of this machine (another machine: ssh -L 8080:127.0.0.1:8080 BOARD). Frames that come
    faster than the network are dropped, so that the picture is never old.
    """
    from edgeseg.live.display import Page, Recorder
    from edgeseg.live.frames import open_source
    from edgeseg.live.loop import watch

    files = {source: source, "--record": record, "--json": None if json == "-" else json, "--summary": summary}
    check_targets(((k, Path(v)) for k, v in files.items() if v is not None), "Give each a file of its own.")
    segment, fixed = _open_model(model, device, threads)
    wished = parse_size(size) if size else None
    if fixed and wished and wished != fixed:
        raise ValueError(f"{model} takes {fixed[0]}x{fixed[1]} only: leave --size away, or export it for {size}")
    frames_from = open_source(source, wished or fixed, fps, stall, seed)
    with ExitStack() as stack:
        stop = stack.enter_context(_signals())
        write = stack.enter_context(_lines(json, stop))
        screens = []
        if not headless:
            page = stack.enter_context(Page(serve, f"edgeseg live: {frames_from.name}"))
            print(f"watch it at {page.url} (Ctrl-C ends)", file=sys.stderr, flush=True)
            screens.append(page)
        recorder = stack.enter_context(Recorder(record)) if record else None
        result = watch(
            frames_from,
            segment,
            screens=screens,
            recorder=recorder,
            lines=write,
            every_frame=every_frame,
            seconds=seconds,
            frames=frames,
            stall=stall,
            tries=tries,
            stop=stop,
        )
    print(result.table(), file=sys.stderr)
    write_json(summary, {"model": model, **result.as_dict()})
    if not result.ok:
        raise RuntimeError(result.ended)


def _open_model(model: str, device: str, threads: int | None) -> tuple[Segmenter | Artefact, tuple[int, int] | None]:
    """What segments, and the only size that it takes."""
    if Path(model).is_dir():
        from edgeseg.deploy import Artefact

        artefact = Artefact.load(model, threads)
        return artefact, artefact.size
    from edgeseg.inference import load_segmenter

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return load_segmenter(model, device), None


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and a service manager's polite end set: the frame at hand and the recording get finished."""
    stop = threading.Event()
    old = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _lines(target: str | None, stop: threading.Event) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Writes each line at once, for whoever follows the file; ends the run when a pipe's reader has gone."""
    if target is None:
        yield None
        return
    with ExitStack() as stack:
        if target == "-":
            file = sys.stdout
        else:
            try:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(open(target, "w", encoding="utf-8"))
            except OSError as error:
                raise OSError(f"{target}: cannot be written ({error.strerror}). Choose another place.") from error

        def write(line: dict[str, Any]) -> None:
            try:
                print(json_module.dumps(line, ensure_ascii=False), file=file, flush=True)
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
                stop.set()

        yield write
