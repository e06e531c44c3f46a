"""The parity matrix: every model × every runtime and precision that runs here, against the model in float32.

    python benchmarks/parity.py [--size 360x480] [--weights FILE …] [--models "hrnet*"] [--runtimes onnx openvino:int8]

Trained weights (`cross_cbam_m.streets`, and files given) are compared on test scenes of streets, and CamVid's test
frames where present, with their labels. The other models have random weights and no meaning but their arithmetic: for
them the error counts, and disagreement says how close random logits lie. Rows are appended to ``--json``, and those
that it holds already are not made again.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from edgeseg.bench.peers import untrained
from edgeseg.data.labels import CAMVID
from edgeseg.deploy import DeployError, compile, get_runtime, list_runtimes
from edgeseg.deploy.parity import check_parity, mini_set
from edgeseg.inference import Segmenter, load_segmenter
from edgeseg.models.registry import ARCHS, create_model, list_models
from edgeseg.text import parse_size

HEAD = "| model | weights | runtime | precision | max error | largest logit | disagreement % | mIoU lost | build s |"


def main() -> None:
    """Parse the command line, make the missing rows, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="360x480", help="HxW")
    parser.add_argument("--weights", nargs="*", default=["cross_cbam_m.streets"], help="names or files of weights")
    parser.add_argument("--models", default="*", help="pattern of models with random weights")
    parser.add_argument("--runtimes", nargs="*", help="runtime or runtime:precision; default: all")
    parser.add_argument("--count", type=int, default=8, help="images of each source")
    parser.add_argument("--json", type=Path, default=Path("runs/parity.jsonl"))
    a = parser.parse_args()
    size, done = parse_size(a.size), _read(a.json)
    random = [name for name in list_models(a.models) if "." not in name and not ARCHS[name].package]
    for name in [*a.weights, *random]:
        segmenter = None
        for runtime, precision in _wanted(a.runtimes):
            key = [name, runtime, precision, a.size]
            if any(row["key"] == key for row in done) or (precision == "int8" and name in random):
                continue
            segmenter = segmenter or _segmenter(name, name in random)
            row = {"key": key, **_row(segmenter, runtime, precision, size, a.count, name in random)}
            done.append(row)
            a.json.parent.mkdir(parents=True, exist_ok=True)
            with a.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(_line(row), flush=True)
    print("\n".join([HEAD, "|" + "---|" * 9, *(_line(row) for row in done if row["key"][3] == a.size)]))


def _segmenter(name: str, random: bool) -> Segmenter:
    if not random:
        return load_segmenter(name)
    return untrained(name, partial(create_model, name), len(CAMVID))


def _wanted(texts: list[str] | None) -> list[tuple[str, str]]:
    pairs = [(name, precision) for name in list_runtimes() for precision in get_runtime(name).precisions]
    return pairs if texts is None else [p for p in pairs if p[0] in texts or ":".join(p) in texts]


def _row(
    segmenter: Segmenter, runtime: str, precision: str, size: tuple[int, int], count: int, random: bool
) -> dict[str, object]:
    try:
        images = None
        if precision in ("int8", "fp8"):
            from edgeseg.deploy.quantise import calibration_images

            images = calibration_images(segmenter, size)
        artefact = compile(segmenter, runtime, precision, size, calibration=images)
        samples = mini_set(segmenter, size, 1 if random else count)
        parity = check_parity(artefact, segmenter, samples)
    except (DeployError, NotImplementedError) as error:
        return {"refused": str(error).splitlines()[0], "random": random}
    seconds = sum(g["build_seconds"] for g in artefact.about["graphs"].values())
    return {"parity": parity.as_dict(), "random": random, "build_seconds": round(seconds, 1)}


def _read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _line(row: dict) -> str:
    name, runtime, precision, _ = row["key"]
    head = f"| {Path(name).parent.name if name.endswith('.safetensors') else name} | "
    head += f"{'random' if row['random'] else 'trained'} | {runtime} | {precision} |"
    if "refused" in row:
        return f"{head} {row['refused']} | | | | |"
    p = row["parity"]
    gap = "–" if row["random"] or p["miou_gap"] is None else f"{p['miou_gap']:+.2f} of {p['miou_reference']:.1f}"
    error = "–" if p["max_abs_error"] is None else f"{p['max_abs_error']:.1e}"
    verdict = "" if p["passed"] or row["random"] else " **outside**"
    return (
        f"{head} {error} | {p['largest_logit']:.1f} | {100 * p['disagreement']:.4f} | {gap}{verdict} | "
        f"{row['build_seconds']} |"
    )


if __name__ == "__main__":
    main()
