"""What all runtimes have in common: their names, what they say of this machine, and how their options are given."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from compiled_networks import (
    CONVOLUTIONS,
    HALF_THE_DIGITS,
    LARGER,
    SIZE,
    batch_of,
    compiled,
    miou,
    needs,
    same_where_decided,
    spoilt,
    street_images,
    tiny_segmenter,
    trained_segmenter,
    worst_error,
)
from edgeseg.deploy import Artefact, DeployError, compile, get_runtime, list_runtimes
from edgeseg.deploy.runtimes.base import torch_threads

GUIDE = Path(__file__).parent.parent / "docs" / "deployment.md"
SLOW = ("aoti", "executorch", "inductor")  # to build, or at the first call


def on_a_cpu(*left_out: str) -> list[Any]:
    """Every runtime but TensorRT and the page, which have tests of their own, and those that are left out."""
    names = [name for name in list_runtimes() if name not in ("tensorrt", "web", *left_out)]
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in names]


INT8 = [pytest.param(name, marks=needs(name, "int8")) for name in ("onnx", "openvino")]

# options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list_runtimes())
def test_a_runtime_says_of_every_precision_whether_it_can_run_here(name):
    runtime = get_runtime(name)
    assert runtime.name == name
    for precision in runtime.precisions:
        reason = runtime.why_not(precision)
        assert reason is None or len(reason) > 20


@pytest.mark.parametrize("name", list_runtimes())
def test_an_option_is_the_same_from_a_command_line_as_from_python(name):
    runtime = get_runtime(name)
    defaults = runtime.checked_options({})
    assert defaults.keys() == runtime.options.keys()
    for option, value in defaults.items():
        text = ",".join(value) if isinstance(value, tuple) else str(value).lower()
        assert runtime.parse_options([f"{option}={text}"]) == {option: value}
        assert runtime.checked_options({option: value}) == defaults


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("eager", "channel_last=true", "eager has no option 'channel_last'; near: channels_last"),
        ("eager", "channels_last=maybe", "channels_last=maybe: give true or false"),
        ("eager", "channels_last", "'channels_last': write option=value"),
        ("onnx", "opset=9", "opset=9: give a whole number from 18 to 20"),
        ("onnx", "opset=18.5", "opset=18.5: give a whole number"),
        ("openvino", "rest=fp8", "rest=fp8: give one of fp32, bf16"),
        ("tensorrt", "optimization_level=6", "give a whole number from 0 to 5, or none"),
        ("executorch", "keep=head", "executorch has no option 'keep'; it has none"),
    ],
)
def test_an_unknown_option_or_a_wrong_value_is_refused_in_one_line(name, text, message):
    with pytest.raises(DeployError, match=message) as error:
        get_runtime(name).parse_options([text])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "value"), [("channels_last", "false"), ("channels_last", 0), ("device", None)])
def test_a_value_of_another_type_is_refused_from_python(name, value):
    with pytest.raises(DeployError, match=f"{name}="):
        get_runtime("eager").checked_options({name: value})


@pytest.mark.parametrize("name", list_runtimes())
def test_no_option_bears_the_name_of_what_compile_itself_is_told(name):
    runtime = get_runtime(name)
    own = [p.name for p in inspect.signature(compile).parameters.values() if p.kind != p.VAR_KEYWORD]
    assert not set(own) & set(runtime.options)
    for parameter in own:
        with pytest.raises(DeployError, match=f"{name} has no option '{parameter}'"):
            runtime.parse_options([f"{parameter}=3"])


@pytest.mark.parametrize("name", list_runtimes())
def test_the_guide_has_a_row_for_every_runtime_with_its_precisions(name):
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1, f"docs/deployment.md, 'What an artefact is': one row for `{name}`"
    assert rows[0][2].split() == list(get_runtime(name).precisions)


def test_an_unknown_runtime_lists_the_near_ones():
    with pytest.raises(DeployError, match="did you mean onnx"):
        get_runtime("onxx")


# what a runtime makes of a network ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=on_a_cpu())
def tiny(request) -> Artefact:
    """Three convolutions, as this runtime runs them on the CPU."""
    if reason := get_runtime(request.param).why_not("fp32"):
        pytest.skip(reason)
    return compiled(tiny_segmenter(), request.param)


@pytest.mark.parametrize("runtime", on_a_cpu("eager", "inductor"))  # both run PyTorch's own graph
def test_the_trained_network_is_the_same_in_float32(runtime):
    if reason := get_runtime(runtime).why_not("fp32"):
        pytest.skip(reason)
    segmenter = trained_segmenter()
    both = runtime in ("onnx", "openvino")  # the others take minutes for the second
    artefact = compiled(segmenter, runtime, "fp32", *(("labels", "logits") if both else ("logits",)))
    assert worst_error(artefact, segmenter) <= HALF_THE_DIGITS
    assert artefact.about["graphs"]["logits"]["dtypes"] == {"float32": CONVOLUTIONS}
    assert not both or same_where_decided(artefact, segmenter)


def test_classes_are_the_segmenters_own(tiny):
    image = street_images("test", 1)[0]
    assert (tiny(image) == tiny_segmenter().predict(image)).mean() > 0.999


def test_the_result_of_one_call_outlives_the_next(tiny):
    first, second = (batch_of(i) for i in street_images("test", 2))
    kept = tiny.labels(first)
    copy = kept.clone()
    assert not torch.equal(tiny.labels(second), copy)
    assert torch.equal(kept, copy)


def test_a_damaged_or_absent_file_is_named(tiny, tmp_path):
    folder = tiny.save(tmp_path / "artefact")
    file = folder / f"labels{get_runtime(tiny.runtime).suffix}"
    whole, image = file.read_bytes(), street_images("test", 1)[0]
    for content in (b"not a model", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(DeployError, match=r"labels\.\w+: cannot be opened .*Export the model again"):
            Artefact(folder, tiny.about)(image)
    file.unlink()
    with pytest.raises(DeployError, match=r"labels\.\w+: missing. Export the model again"):
        Artefact(folder, tiny.about)(image)


def test_building_and_opening_say_nothing(tiny, capfd):
    Artefact(tiny.folder, tiny.about).logits(torch.zeros(1, 3, *SIZE))
    assert capfd.readouterr() == ("", "")


# several threads ------------------------------------------------------------------------------------------------------


@pytest.fixture
def threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(call: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
    """The results of a call with each argument, from threads that begin together."""
    together = threading.Barrier(len(arguments))

    def run(argument: Any) -> Any:
        together.wait()
        return call(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


INPUTS = [torch.full((1, 3, *SIZE), float(i)) for i in range(4)]  # far apart


@pytest.mark.usefixtures("threads_take_turns_often")
def test_each_thread_gets_what_it_would_get_alone(tiny):
    alone = [tiny.logits(x) for x in INPUTS]
    found = at_once(lambda x: [tiny.logits(x) for _ in range(25)], INPUTS)
    for expected, results in zip(alone, found, strict=True):
        assert sum(not torch.equal(expected, result) for result in results) == 0


@pytest.mark.usefixtures("threads_take_turns_often")
def test_first_calls_from_several_threads_open_the_file_once_and_leave_the_process_as_it_was(tiny, monkeypatch):
    fresh, opened, before = Artefact(tiny.folder, tiny.about, threads=1), [], (sys.stdout, sys.stderr)
    kind = type(get_runtime(tiny.runtime))
    open_file = kind.open
    monkeypatch.setattr(kind, "open", lambda self, *a: opened.append(a[0]) or open_file(self, *a))
    results = at_once(fresh.logits, INPUTS)
    assert len(opened) == 1
    assert (sys.stdout, sys.stderr) == before
    for x, result in zip(INPUTS, results, strict=True):
        assert torch.equal(result, tiny.logits(x))


def test_threads_that_ask_for_different_numbers_of_torch_threads_leave_the_number_as_it_was():
    before = torch.get_num_threads()

    def run(number: int) -> int:
        with torch_threads(number):
            time.sleep(0.01)  # long enough for the others to begin
            return torch.get_num_threads()

    numbers = [before + 1 + i for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, numbers)) == numbers
    with ThreadPoolExecutor(1) as pool:  # a thread takes over the process's number when it first asks
        assert pool.submit(torch.get_num_threads).result() == before


class ThreadsSeen(TorchDispatchMode):
    """Notes with how many threads operations run."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.numbers.add(torch.get_num_threads())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["eager", "inductor"])
def test_pytorchs_own_runtimes_use_as_many_threads_as_they_are_told(name, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)  # what is compiled shows no operations
    plain, before = compiled(tiny_segmenter(), "eager"), torch.get_num_threads()
    graphs = {graph: {**facts, "cudagraphs": False} for graph, facts in plain.about["graphs"].items()}
    for threads, seen in ((None, before), (before + 1, before + 1)):
        artefact = Artefact(plain.folder, {**plain.about, "runtime": name, "graphs": graphs}, threads)
        artefact.logits(INPUTS[0])  # opens the file
        with ThreadsSeen() as mode:
            artefact.logits(INPUTS[0])
        assert mode.numbers == {seen}
    assert torch.get_num_threads() == before


# int8 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", INT8)
def test_int8_wants_images_of_its_size_and_only_int8_keeps_layers(runtime):
    segmenter = tiny_segmenter()
    for none in (None, []):
        with pytest.raises(DeployError, match="int8 takes its ranges from images: give calibration="):
            compile(segmenter, runtime, "int8", SIZE, calibration=none)
    with pytest.raises(DeployError, match=r"must be 64x96 \(HxW\), as the artefact"):
        compile(segmenter, runtime, "int8", SIZE, calibration=street_images("train", 1, (48, 80)))
    with pytest.raises(DeployError, match="fp32 has none to keep"):
        compile(segmenter, runtime, "fp32", SIZE, keep=("0",))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", INT8)
def test_a_trained_network_loses_at_most_a_point_in_int8(runtime):
    segmenter = trained_segmenter()
    calibration = street_images("train", 16, LARGER)
    settings = {"calibration": calibration, "graphs": ("labels",), "threads": 1}
    int8 = compile(segmenter, runtime, "int8", LARGER, **settings)
    assert abs(miou(segmenter.predict, 8, LARGER) - miou(int8.predict, 8, LARGER)) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "kept"),
    # NNCF needs the layer before too: what it changes in that one, stage 2 alone cannot mend
    [
        pytest.param("onnx", ("backbone.stage2.conv",), marks=needs("onnx", "int8")),
        pytest.param("openvino", ("backbone.stage1.conv", "backbone.stage2.conv"), marks=needs("openvino", "int8")),
    ],
)
def test_a_trained_network_that_int8_ruins_is_mended_by_the_layers_in_float(runtime, kept):
    broken = spoilt(trained_segmenter())
    settings = {"calibration": street_images("train", 4, LARGER), "graphs": ("labels",), "threads": 1}
    wanted = miou(broken.predict, 4, LARGER)
    ruined = compile(broken, runtime, "int8", LARGER, **settings)
    assert wanted - miou(ruined.predict, 4, LARGER) > 20
    mended = compile(broken, runtime, "int8", LARGER, keep=kept, **settings)
    assert wanted - miou(mended.predict, 4, LARGER) <= 1
    facts = mended.about["graphs"]["labels"]
    assert facts["kept"] == [f"model.{name}" for name in kept]
    assert facts["dtypes"]["int8"] >= 40


# their makers ---------------------------------------------------------------------------------------------------------

_BUILD = """
import sys
import numpy as np, torch
from edgeseg.deploy import compile
from edgeseg.inference import Segmenter
images = [np.full((32, 32, 3), value, np.uint8) for value in (0, 99)]
network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU())
artefact = compile(Segmenter(network, (0.5,) * 3, (0.25,) * 3), sys.argv[1], "int8", (32, 32), calibration=images,
                   graphs=("labels",))
artefact(images[0])
"""


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_runtime_leaves_no_id_of_its_user(runtime, tmp_path):
    """As they come, ONNX Runtime, OpenVINO and NNCF write one into the home folder, and look up where to report."""
    if reason := get_runtime(runtime).why_not("int8"):
        pytest.skip(reason)
    unsaid = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    homes = dict.fromkeys(("HOME", "LOCALAPPDATA", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    subprocess.run([sys.executable, "-c", _BUILD, runtime], env={**unsaid, **homes}, check=True, capture_output=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
