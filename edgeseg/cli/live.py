"""``edgeseg live``."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
        str, typer.Option(help="a weight's name or file, or the folder of a run or of an artefact")
    ] = "cross_cbam_m.streets",
    size: Annotated[
        str | None, typer.Option(help="HxW that frames are scaled to; default: an artefact's one, or the source's own")
    ] = None,
    source_option: Annotated[
        list[str] | None,
        typer.Option(help="of a camera: input_format=mjpeg, video_size=720x1280 (HxW); of rtsp://: rtsp_transport=udp"),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="pace of files, folders and streets (0: as fast as possible), or of the camera")
    ] = None,
    every_frame: Annotated[bool, typer.Option("--every-frame", help="a file whole, without dropping frames")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="no page in the browser")] = False,
    serve: Annotated[int, typer.Option(help="port of the page on this machine; 0: any free one")] = 8080,
    host: Annotated[
        str, typer.Option(help="address of this machine to serve on; beyond 127.0.0.1 visitors need the printed token")
    ] = "127.0.0.1",
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

    The picture appears on a page of this machine (another machine: ssh -L 8080:127.0.0.1:8080 BOARD, or --host 0.0.0.0,
    plain http, in a network that you trust). Frames that come faster than the network are dropped, so that the picture
    is never old.
    """
    from edgeseg.live.display import Page, Recorder, json_lines
    from edgeseg.live.frames import Capture, open_source
    from edgeseg.live.loop import stop_signals, watch

    files = {source: source, "--record": record, "--json": None if json == "-" else json, "--summary": summary}
    check_targets(((k, Path(v)) for k, v in files.items() if v is not None), "Give each a file of its own.")
    segment, fixed = _open_model(model, device, threads)
    wished = parse_size(size) if size else fixed
    if fixed and wished != fixed:
        raise ValueError(f"{model} takes {fixed[0]}x{fixed[1]} only: leave --size away, or export it for {size}")
    frames_from = open_source(source, wished, fps, stall, seed, source_option or ())
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        lines = stack.enter_context(json_lines(json, stop)) if json else None
        page = None
        if not headless:
            page = stack.enter_context(closing(Page(serve, f"edgeseg live: {frames_from.name}", host)))
            print(f"watch it at {page.url} (Ctrl-C ends)", file=sys.stderr, flush=True)
        recorder = stack.enter_context(closing(Recorder(record))) if record else None
        capture = stack.enter_context(closing(Capture(frames_from, every_frame, stall, tries)))
        result = watch(
            capture, segment, page=page, recorder=recorder, lines=lines, seconds=seconds, frames=frames, stop=stop
        )
    print(result.table(), file=sys.stderr)
    write_json(summary, {"model": model, **asdict(result)})
    if not result.ok:
        raise RuntimeError(result.ended)


def _open_model(model: str, device: str, threads: int | None) -> tuple[Segmenter | Artefact, tuple[int, int] | None]:
    """What segments, and the only size that it takes."""
    from edgeseg.inference import find_model, load_segmenter

    model = find_model(model)
    if Path(model).is_dir():
        from edgeseg.deploy import Artefact

        artefact = Artefact.load(model, threads)
        if artefact.batch != 1:
            raise ValueError(
                f"{model} takes {artefact.batch} images at a time, and live has one: export it for batch 1"
            )
        return artefact, None if "size" in artefact.dynamic else artefact.size
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return load_segmenter(model, device), None
