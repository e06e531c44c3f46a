"""Broken inputs: each must be refused in one line that names it, or give the very numbers that sound input gives.

    python benchmarks/fuzz.py [--count 200] [--seed 0] [--only labels] [--verbose]

Every case breaks one thing of a small sound set-up (own pictures, labels, class file, weight, ONNX artefact, recipe,
options) and runs the command line as a user would. Faults are: a traceback, another exit code than 0 or 2, a refusal
that does not name the broken file, a result other than that of the sound input, and a minute without an end. Case n of
a seed is always the same, whichever are run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sound import COLORS, LIMIT, NAMES, PICTURES, SIDE, TRAIN, class_file, make_sound, run

from edgeseg.training.recipe import FIELDS


@dataclass(frozen=True)
class Case:
    """One broken input.

    Attributes:
        what: what was broken, in words.
        command: arguments of ``edgeseg``; run in the case's folder.
        named: what a refusal has to name; empty: nothing.
        must_fail: whether a result, be it the sound one, is a fault: the input means nothing.
    """

    what: str
    command: tuple[str, ...]
    named: str = ""
    must_fail: bool = True


# judging --------------------------------------------------------------------------------------------------------------

EVAL = ("eval", "run/weights.safetensors", "--data", "data", "--split", "all", "--json", "result.json")
EVAL_ARTEFACT = ("eval", "artefact", "--data", "data", "--split", "all", "--json", "result.json")


def scores(folder: Path) -> dict[str, Any]:
    """What an evaluation found, by class."""
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {key: found[key] for key in ("miou", "per_class_iou", "pixel_accuracy")}


def fault(case: Case, code: int, text: str, folder: Path, sound: dict[str, Any]) -> str:
    """What is wrong with how a case ended; empty if nothing is."""
    if code == -1:
        return f"hung for {LIMIT} s"
    if "Traceback" in text:
        return "a traceback"
    if code not in (0, 2):
        return f"exit code {code}"
    if code == 2:
        last = text.strip().splitlines()[-1] if text.strip() else ""
        if case.named and case.named not in text:
            return f"the refusal does not name {case.named}: {last[:200]}"
        return "" if last else "refused without a word"
    if case.must_fail:
        return "accepted"
    if case.command[0] != "eval":
        return ""
    return "" if scores(folder) == sound[case.command[1]] else f"other numbers: {scores(folder)}"


# pictures and labels --------------------------------------------------------------------------------------------------


def _spoil(path: Path, rng: np.random.Generator) -> str:
    """Break a file's bytes."""
    blob = bytearray(path.read_bytes())
    way = int(rng.integers(5))
    if way == 0:
        kept = int(rng.integers(len(blob)))
        path.write_bytes(blob[:kept])
        return f"cut to {kept} of {len(blob)} bytes"
    if way == 1:
        path.write_bytes(b"")
        return "emptied"
    if way == 2:
        path.write_bytes(rng.bytes(len(blob)))
        return "random bytes"
    if way == 3:
        path.write_text("<html>404 Not Found</html>")
        return "a web page"
    for place in rng.integers(0, min(64, len(blob)), 4):
        blob[place] ^= int(rng.integers(1, 256))
    path.write_bytes(blob)
    return "four bytes of its head flipped"


def pictures(folder: Path, rng: np.random.Generator) -> Case:
    """A picture that is broken, or that says the same in another way."""
    path = folder / "data" / "images" / f"p{rng.integers(PICTURES)}.png"
    image = Image.open(path).copy()
    way = int(rng.integers(10))
    if way < 4:
        return Case(f"{path.name}: {_spoil(path, rng)}", EVAL, path.name, must_fail=False)
    sound: dict[int, tuple[str, Callable[[], Any]]] = {
        4: ("RGBA", lambda: image.convert("RGBA").save(path)),
        5: ("TIFF", lambda: image.save(path.with_suffix(".tif"))),
        6: ("BMP", lambda: image.save(path.with_suffix(".bmp"))),
        7: ("16 bits a channel", lambda: _png16(path, np.asarray(image))),
        8: ("turned by EXIF", lambda: _turned(path, image, int(rng.integers(2, 9)))),
    }
    if way in sound:
        what, write = sound[way]
        write()
        if way in (5, 6):
            path.unlink()
        return Case(f"{path.name} as {what}", EVAL, path.stem, must_fail=False)
    image.convert("F").save(path.with_suffix(".tif"))
    path.unlink()
    return Case(f"{path.stem}.tif of floats", EVAL, path.stem)


def _turned(path: Path, image: Image.Image, orientation: int) -> None:
    """The same picture stored turned, with an EXIF tag that turns it upright."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.transpose(back[orientation]).save(path, exif=exif)


def _png16(path: Path, rgb: np.ndarray) -> None:
    """(H, W, 3) uint8 as a PNG of 16 bits a channel, which Pillow does not write."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    wide = (rgb.astype(">u2") * 257).reshape(rgb.shape[0], -1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    head = struct.pack(">IIBBBBB", rgb.shape[1], rgb.shape[0], 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def labels(folder: Path, rng: np.random.Generator) -> Case:
    """A label that is broken, means something else, or says the same in another way."""
    path = folder / "data" / "labels" / f"p{rng.integers(PICTURES)}.png"
    ids = np.array(Image.open(path))
    way = int(rng.integers(11))
    if way == 0:
        return Case(f"{path.name}: {_spoil(path, rng)}", EVAL, path.name, must_fail=False)
    if way == 1:
        value = int(rng.integers(3, 255))
        ids[int(rng.integers(SIDE)), int(rng.integers(SIDE))] = value
        Image.fromarray(ids).save(path)
        return Case(f"one pixel of {path.name} is {value}", EVAL, path.name)
    if way == 2:
        path.unlink()
        Image.fromarray(ids).save(path.with_suffix(".jpg"))
        return Case("a label as JPEG", EVAL, path.stem)
    if way == 3:
        Image.fromarray(ids[: SIDE - int(rng.integers(1, 32))]).save(path)
        return Case("a label that is lower than its picture", EVAL, path.name)
    if way == 4:
        path.unlink()
        return Case("a label missing", EVAL, path.stem)
    if way == 5:
        shutil.copy(path, path.with_name(f"{path.stem}_mask.png"))
        return Case("two labels of one picture", EVAL, path.stem)
    if way == 6:
        Image.fromarray(ids.astype(np.uint16)).save(path)
        return Case("a label of 16 bits", EVAL, path.name, must_fail=False)
    palette = np.zeros((256, 3), np.uint8)
    palette[:3] = COLORS
    if way == 7:
        order = rng.permutation(3)
        back = np.arange(256, dtype=np.uint8)
        back[order] = np.arange(3)
        _palette_picture(back[ids], _permuted(palette, order)).save(path)
        return Case(f"a palette in the order {order.tolist()}", EVAL, path.name, must_fail=False)
    if way == 8:
        rgb = palette[ids]
        spec = class_file()
        spec["void"] = [255, [0, 0, 0]]
        (folder / "data" / "classes.json").write_text(json.dumps(spec))
        Image.fromarray(rgb).save(path)
        return Case("a label in colours", EVAL, path.name, must_fail=False)
    if way == 9:
        rgb = palette[ids]
        rgb[5, 5] = (1, 2, 3)
        Image.fromarray(rgb).save(path)
        return Case("a label with a colour of no class", EVAL, path.name)
    Image.fromarray(ids[None, ...].repeat(3, 0).transpose(1, 2, 0)).save(path)
    return Case("ids written into three channels", EVAL, path.name, must_fail=False)


def _permuted(palette: np.ndarray, order: np.ndarray) -> np.ndarray:
    other = palette.copy()
    other[:3] = palette[order]
    return other


def _palette_picture(ids: np.ndarray, palette: np.ndarray) -> Image.Image:
    picture = Image.fromarray(ids)
    picture.putpalette(palette.ravel().tolist())
    return picture


# class files and lists ------------------------------------------------------------------------------------------------


def classes(folder: Path, rng: np.random.Generator) -> Case:
    """A class file or a list of names that is wrong."""
    path = folder / "data" / "classes.json"
    entries = class_file()["classes"]
    choices: list[tuple[str, Any]] = [
        ("an unknown key of a class", {"classes": [{**entries[0], "trainId": 0}, *entries[1:]]}),
        ("value for id", {"classes": [{**entries[0], "value": 1}, {**entries[1], "value": 0}, entries[2]]}),
        ("colour for color", {"classes": [{"name": n, "colour": list(c)} for n, c in zip(NAMES, COLORS, strict=True)]}),
        ("ignore_index", {**class_file(), "ignore_index": 0}),
        ("a text for a list", {"classes": "left"}),
        ("null for a name", {"classes": [None, "right", "dot"]}),
        ("an empty name", {"classes": ["", "right", "dot"]}),
        ("a blank name", {"classes": ["  ", "right", "dot"]}),
        ("a number for a name", {"classes": [1, 2, 3]}),
        ("a name twice", {"classes": ["left", "right", "left"]}),
        ("an id twice", {"classes": [{"name": n, "id": 1} for n in NAMES]}),
        ("an id of 300", {"classes": [{**entries[0], "id": 300}, *entries[1:]]}),
        ("an id of true", {"classes": [{**entries[0], "id": True}, *entries[1:]]}),
        ("no id", {"classes": [{**entries[0], "id": []}, *entries[1:]]}),
        ("two colours", {"classes": [{**entries[0], "color": [255, 0]}, *entries[1:]]}),
        ("a colour in words", {"classes": [{**entries[0], "color": "red"}, *entries[1:]]}),
        ("a colour of floats", {"classes": [{**entries[0], "color": [1.0, 0.0, 0.0]}, *entries[1:]]}),
        ("a list alone", list(NAMES)),
        ("null", None),
        ("no classes", {"classes": []}),
        ("other classes", {"classes": ["sky", "ground", "dot"]}),
        ("too many classes", {"classes": [*NAMES, "more"]}),
        ("a void that is a class", {**class_file(), "void": [2]}),
        ("a void in words", {**class_file(), "void": "none"}),
        ("an object for the classes", {"classes": {"a": "left", "b": "right", "c": "dot"}}),
        ("a gap in id2label", {"id2label": {"0": "left", "2": "right", "3": "dot"}}),
        ("a contradiction", {**class_file(), "id2label": {"0": "right", "1": "left", "2": "dot"}}),
    ]
    way = int(rng.integers(len(choices) + 6))
    if way < len(choices):
        what, content = choices[way]
        path.write_text(json.dumps(content))
        return Case(f"class file: {what}", EVAL, "data" if what in ("other classes", "too many classes") else path.name)
    way -= len(choices)
    if way == 0:
        path.write_text(json.dumps(class_file()).replace("255", "Infinity"))
        return Case("class file: Infinity", EVAL, path.name)
    if way == 1:
        return Case(f"class file: {_spoil(path, rng)}", EVAL, path.name, must_fail=False)
    if way == 2:
        order = rng.permutation(3)
        spec = [{"name": NAMES[i], "color": list(COLORS[i]), "id": int(i)} for i in order]
        path.write_text(json.dumps({"classes": spec}))
        return Case(f"classes in the order {order.tolist()}, with ids", EVAL, path.name, must_fail=False)
    if way == 3:
        path.write_text(json.dumps({"id2label": {str(i): n for i, n in enumerate(NAMES)}}))
        return Case("class file: id2label", EVAL, path.name, must_fail=False)
    listing = folder / "data" / "test.txt"
    command = tuple("test" if word == "all" else word for word in EVAL)
    if way == 4:
        names = [f"p{i}" for i in range(PICTURES)]
        text = ["\n".join([*names, names[0]]), "\n".join([*names, "p77"]), "", "# only a comment"][int(rng.integers(4))]
        listing.write_text(text)
        return Case(f"a list: {text!r}", command, "data")
    encoding = ("utf-16", "utf-8-sig", "latin-1")[int(rng.integers(3))]
    umlaut = "pö" if encoding == "latin-1" else "p0"
    for kind in ("images", "labels"):
        if umlaut != "p0":
            (folder / "data" / kind / "p0.png").rename(folder / "data" / kind / f"{umlaut}.png")
    listing.write_bytes("\n".join([umlaut, "p1", "p2"]).encode(encoding))
    return Case(f"a list in {encoding}", command, listing.name, must_fail=False)


# weights and artefacts ------------------------------------------------------------------------------------------------


def weights(folder: Path, rng: np.random.Generator) -> Case:
    """A weight file that is damaged, or whose description cannot be."""
    path = folder / "run" / "weights.safetensors"
    blob = path.read_bytes()
    size = int.from_bytes(blob[:8], "little")
    way = int(rng.integers(5))
    if way == 0:
        return Case(f"weight: {_spoil(path, rng)}", EVAL, path.name)
    if way == 1:
        spoilt = bytearray(blob)
        spoilt[int(rng.integers(8 + size, len(blob)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        return Case("weight: one bit flipped", EVAL, path.name)
    if way == 2:
        torch.save({"a": torch.zeros(1)}, path)
        return Case("weight: a pickle under its name", EVAL, path.name)
    header = json.loads(blob[8 : 8 + size])
    meta = json.loads(header["__metadata__"]["edgeseg"])
    what = _break_meta(meta, rng)
    header["__metadata__"]["edgeseg"] = json.dumps(meta)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + blob[8 + size :])
    return Case(f"weight: {what}", EVAL, path.name)


_WRONG: tuple[tuple[str, Any], ...] = (
    ("mean", None), ("mean", [0.4]), ("mean", ["a", "b", "c"]), ("mean", [float("nan")] * 3), ("std", [0, 0, 0]),
    ("std", [-1, 1, 1]), ("input_size", [0, 0]), ("input_size", "big"), ("input_size", [64]), ("num_classes", 4),
    ("num_classes", "3"), ("num_classes", 0), ("classes", []), ("classes", ["left", "right", "dot"]),
    ("classes", [{"name": "left"}] * 3), ("arch", "no_such_net"), ("arch", None), ("arch", 3),
    ("switches", {"nonsense": 1}), ("switches", {"width": "wide"}), ("switches", []), ("switches", {"width": 16}),
    ("table", None),
)  # fmt: skip


def _break_meta(meta: dict[str, Any], rng: np.random.Generator) -> str:
    if rng.random() < 0.3:
        key = sorted(set(meta) - {"provenance", "data_sha256"})[int(rng.integers(len(meta) - 2))]
        del meta[key]
        return f"no {key}"
    key, value = _WRONG[int(rng.integers(len(_WRONG)))]
    meta[key] = value
    return f"{key} is {value!r}"


def artefacts(folder: Path, rng: np.random.Generator) -> Case:
    """An artefact that is damaged, or whose description cannot be."""
    path = folder / "artefact" / "artefact.json"
    way = int(rng.integers(4))
    if way == 0:
        files = sorted(p for p in path.parent.iterdir() if p != path)
        file = files[int(rng.integers(len(files)))]
        return Case(f"artefact, {file.name}: {_spoil(file, rng)}", EVAL_ARTEFACT, file.name)
    if way == 1:
        return Case(f"artefact: {_spoil(path, rng)}", EVAL_ARTEFACT, "artefact")
    about = json.loads(path.read_text())
    if way == 2:
        key = sorted(set(about) & {"runtime", "precision", "size", "graphs", "files", "classes", "format"})
        gone = key[int(rng.integers(len(key)))]
        del about[gone]
        path.write_text(json.dumps(about))
        return Case(f"artefact: no {gone}", EVAL_ARTEFACT, "artefact")
    wrong: tuple[tuple[str, Any], ...] = (
        ("runtime", "toaster"), ("runtime", 3), ("precision", "int3"), ("size", "big"), ("size", [64]), ("batch", "x"),
        ("files", {"../run/weights.safetensors": "0" * 64}), ("files", []), ("files", {}), ("graphs", {}),
        ("graphs", []), ("classes", [{"name": "left"}]), ("classes", "left"), ("format", 99), ("size", [0, 0]),
        ("network_size", None),
    )  # fmt: skip
    key, value = wrong[int(rng.integers(len(wrong)))]
    about[key] = value
    path.write_text(json.dumps(about))
    return Case(f"artefact: {key} is {value!r}", EVAL_ARTEFACT, "artefact")


# recipes and options --------------------------------------------------------------------------------------------------

_GARBAGE = (
    "",
    "nan",
    "inf",
    "-1",
    "1e99",
    "x",
    "[]",
    "{}",
    "()",
    "1,2,3,4",
    "'",
    "None,None",
    "0x",
    "__import__('os')",
)


def recipes(folder: Path, rng: np.random.Generator) -> Case:
    """A field of a recipe with a value that it can hardly have. One that it can have trains for a step."""
    names = sorted(set(FIELDS) - {"name"})
    name = names[int(rng.integers(len(names)))]
    value = _GARBAGE[int(rng.integers(len(_GARBAGE)))]
    budget = () if name in ("iterations", "epochs", "minutes") else ("iterations=1",)
    given = tuple(one for one in TRAIN if one.partition("=")[0] != name)
    command = ("train", "camvid_cpu", *given, *budget, f"{name}={value}", "--out", "other")
    return Case(f"train … {name}={value}", command, name, must_fail=False)


_OPTIONS: tuple[tuple[str, ...], ...] = (
    ("eval", "run/weights.safetensors", "--data", "data", "--split", "no_such"),
    ("eval", "run/weights.safetensors", "--data", "data", "--split", "all", "--size", "0x0"),
    ("eval", "run/weights.safetensors", "--data", "data", "--split", "all", "--size", "big"),
    ("eval", "run/weights.safetensors", "--data", "data", "--split", "all", "--size", "16x16"),
    ("eval", "run/weights.safetensors", "--data", "data", "--split", "all", "--definition", "B"),
    ("eval", "run/weights.safetensors", "--data", "nowhere"),
    ("eval", "run/weights.safetensors", "--data", "streets", "--count", "0"),
    ("eval", "run/weights.safetensors", "--data", "streets", "--count", "1"),
    ("eval", "run/weights.safetensors", "--data", "data", "--split", "all", "--device", "toaster"),
    ("eval", "run/weights.safetensors", "--data", "data", "--split", "all", "--json", "data/classes.json/x.json"),
    ("eval", "cross_cbam_m.stretes"),
    ("eval", "data"),
    ("eval", "artefact", "--data", "data", "--split", "all", "--flip"),
    ("eval", "artefact", "--data", "streets", "--count", "1", "--data-size", "96x96"),
    ("export", "run/weights.safetensors", "--runtime", "toaster"),
    ("export", "run/weights.safetensors", "--precision", "int3"),
    ("export", "run/weights.safetensors", "--precision", "int8", "--size", "64x64", "--calibration", "nowhere"),
    ("export", "run/weights.safetensors", "--size", "64"),
    ("export", "run/weights.safetensors", "--size", "-64x64"),
    ("export", "run/weights.safetensors", "--size", "64x64", "--option", "opset"),
    ("export", "run/weights.safetensors", "--size", "64x64", "--option", "opset=many"),
    ("export", "run/weights.safetensors", "--size", "64x64", "--option", "size=3"),
    ("export", "run/weights.safetensors", "--size", "64x64", "--option", "no_such=1"),
    ("export", "run/weights.safetensors", "--size", "64x64", "--out", "artefact"),
    ("export", "artefact", "--size", "64x64"),
    ("predict", "nothing.png"),
    ("predict", "data"),
    ("predict", "data/images/p0.png", "data/labels/p0.png", "--model", "run/weights.safetensors"),
    ("predict", "data/classes.json", "--model", "run/weights.safetensors"),
    ("predict", "data/images/p0.png", "--model", "run/log.jsonl"),
    ("predict", "data/images/p0.png", "--model", "run/weights.safetensors", "--out", "data/classes.json"),
    ("predict", "data/images/p0.png", "--model", "run/weights.safetensors", "--device", "cuda:9"),
    ("train", "no_such_recipe"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "--out", "run"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "--out", "data/classes.json"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "--out", "other", "--init", "nowhere.safetensors"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "--out", "other", "--backbone", "data/classes.json"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "seed=1", "--out", "run", "--resume"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "nonsense", "--out", "other"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "lr=1", "lr=2", "--out", "other"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "switches={'dilations': 5}", "--out", "other"),
    ("train", "camvid_cpu", *TRAIN, "iterations=1", "model=artefact", "--out", "other"),
    ("bench", "run/weights.safetensors", "--runtime", "toaster", "--size", "64x64"),
    ("bench", "nothing", "--size", "64x64"),
    ("bench", "run/weights.safetensors", "--runtime", "onnx:int3", "--size", "64x64"),
    ("live", "nowhere.mp4", "--model", "run/weights.safetensors"),
    ("data", "check", "nowhere"),
    ("data", "check", "run"),
    ("data", "prepare", "camvid", "data"),
    ("data", "get", "nothing"),
    ("streets", "--count", "0"),
    ("models", "no_such_thing"),
    ("weights", "import", "data"),
    ("weights", "publish", "data"),
    ("ablate", "camvid_cpu", "--variant", "x"),
)  # fmt: skip


def options(folder: Path, rng: np.random.Generator) -> Case:
    """A command that asks for what there is not."""
    command = _OPTIONS[int(rng.integers(len(_OPTIONS)))]
    return Case("edgeseg " + " ".join(word for word in command if word not in TRAIN), command)


# the lot --------------------------------------------------------------------------------------------------------------

WINGS = (pictures, labels, classes, weights, artefacts, recipes, options)


def cases(count: int, seed: int, only: str | None) -> Iterator[tuple[int, Callable[..., Case], np.random.Generator]]:
    """Number, maker and random numbers of each case; the wings take turns."""
    for number in range(count):
        wing = WINGS[number % len(WINGS)]
        if only is None or wing.__name__ == only:
            yield number, wing, np.random.default_rng([seed, number])


def main() -> None:
    """Print the faults and the count; exit code 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[wing.__name__ for wing in WINGS])
    parser.add_argument("--case", type=int, help="this one alone, with its output")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of os.fork beside threads, of which there are none
    torch.set_num_threads(1)
    found, done, refused = 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "sound").mkdir()
        make_sound(home / "sound")
        sound = {}
        for command in (EVAL, EVAL_ARTEFACT):
            code, text = run(command, home / "sound")
            assert code == 0, text
            sound[command[1]] = scores(home / "sound")
            (home / "sound" / "result.json").unlink()
        for number, wing, rng in cases(arguments.count, arguments.seed, arguments.only):
            if arguments.case is not None and number != arguments.case:
                continue
            folder = home / "case"
            shutil.copytree(home / "sound", folder)
            case = wing(folder, rng)
            code, text = run(case.command, folder)
            wrong = fault(case, code, text, folder, sound)
            done, refused, found = done + 1, refused + (code == 2), found + bool(wrong)
            if wrong or arguments.verbose or arguments.case is not None:
                last = text.strip().splitlines()[-1] if text.strip() else ""
                print(f"{'FAULT' if wrong else 'ok':5} {number:3} {wing.__name__}: {case.what}: {wrong or last[:160]}")
            if arguments.case is not None:
                print(text)
            shutil.rmtree(folder)
    print(f"{done} broken inputs: {refused} refused, {done - refused - found} taken rightly, {found} faults")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
