"""TensorRT, as far as a machine without it goes; the partitioning: tests/test_tensorrt_coverage.py."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from edgeseg.deploy.runtimes import tensorrt as trt
from edgeseg.deploy.runtimes.base import DeployError, Graph
from edgeseg.deploy.runtimes.graph import compute_dtypes
from edgeseg.deploy.runtimes.tensorrt import (
    TensorRT,
    check_engine,
    check_machine,
    compile_settings,
    timing_cache,
    typed_program,
)
from edgeseg.inference import Segmenter
from edgeseg.models.registry import create_model

NAMES = """exported_program inputs arg_inputs kwarg_inputs device disable_tf32 assume_dynamic_shape_support
    sparse_weights engine_capability num_avg_timing_iters workspace_size dla_sram_size dla_local_dram_size
    dla_global_dram_size truncate_double require_full_compilation min_block_size torch_executed_ops
    torch_executed_modules pass_through_build_failures max_aux_streams version_compatible optimization_level
    use_python_runtime use_fast_partitioner enable_experimental_decompositions dryrun hardware_compatible
    timing_cache_path lazy_engine_init cache_built_engines reuse_cached_engines engine_cache_dir engine_cache_size
    custom_engine_cache use_fp32_acc refit_identical_engine_weights strip_engine_weights immutable_weights
    enable_weight_streaming tiling_optimization_level l2_limit_for_tiling offload_module_to_cpu kwargs"""
ALWAYS = set(NAMES.split())  # what torch_tensorrt.dynamo.compile takes in all released wheels from 2.8 to 2.14
TYPED = ALWAYS | {"use_explicit_typing", "enabled_precisions"}
VERSIONS = {"2.8": TYPED, "2.13": ALWAYS}  # and until the next that differs
HERE = {"gpu": "Orin", "capability": "8.7", "tensorrt": "10.3.0", "torch_tensorrt": "2.8.0"}
TIMINGS = Path("timing.bin")


def segmenter_with_a_pool() -> Segmenter:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Conv2d(4, 5, 1))
    return Segmenter(net, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


# whether it can run here


@pytest.fixture
def gpu(monkeypatch) -> None:
    """An Orin, as far as `why_not` asks, with every package installed."""
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Orin")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 7))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib.metadata, "version", lambda name: torch.__version__)


@pytest.mark.parametrize("precision", TensorRT.precisions)
def test_without_a_gpu_the_reason_is_the_gpu(precision, gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "NVIDIA GPU" in TensorRT().why_not(precision)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert 'pip install "edgeseg[tensorrt]"' in TensorRT().why_not(precision)


@pytest.mark.parametrize("missing", ["torch_tensorrt", "tensorrt"])
def test_a_missing_package_is_named_with_its_pip_line(missing, gpu, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    assert TensorRT().why_not("fp16") == f'{missing} is not installed; pip install "edgeseg[tensorrt]"'


def test_on_a_jetson_the_cure_is_the_jetson_page(gpu, monkeypatch):
    monkeypatch.setattr(trt.platform, "release", lambda: "5.15.148-tegra")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "docs/jetson.md" in TensorRT().why_not("fp16")


def test_a_torch_tensorrt_of_another_torch_is_refused_before_it_is_imported(gpu, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.4.0")
    assert 'pip install "torch==1.4.*"' in TensorRT().why_not("fp16")


def test_int8_asks_for_nvidias_quantiser_and_old_gpus_have_no_fp8(gpu, monkeypatch):
    assert [TensorRT().why_not(p) for p in ("fp32", "fp16", "bf16", "int8")] == [None] * 4
    assert "Orin has no fp8" in TensorRT().why_not("fp8")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "modelopt" else object())
    assert "pip install nvidia-modelopt" in TensorRT().why_not("int8")


def test_macos_is_told_what_to_take_instead(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "macOS" in TensorRT().why_not("fp32")


# options


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_takes_all_options_and_is_strongly_typed(version):
    options = TensorRT().checked_options({"optimization_level": 5, "workspace_size": 1 << 30})
    settings = compile_settings(VERSIONS[version], options, TIMINGS, version)
    assert set(settings) <= VERSIONS[version] - {"kwargs"}
    # 2.8 and 2.9 are weakly typed unless told; 2.13 and later have no such option and are always strongly typed
    assert settings.get("use_explicit_typing", False) == (VERSIONS[version] is TYPED)
    assert "enabled_precisions" not in settings
    assert settings["require_full_compilation"] is True
    assert settings["min_block_size"] == 1
    assert settings["disable_tf32"] is True  # fp32 means fp32
    assert settings["timing_cache_path"] == str(TIMINGS)


def test_a_version_without_an_option_of_ours_says_so():
    with pytest.raises(DeployError, match="torch-tensorrt 3.0 does not have offload_module_to_cpu"):
        compile_settings(ALWAYS - {"offload_module_to_cpu"}, TensorRT().checked_options({}), TIMINGS, "3.0")


def test_timings_of_two_gpus_or_versions_never_meet(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path))
    files = {timing_cache({**HERE, **other}) for other in ({}, {"gpu": "RTX 4090 / x"}, {"tensorrt": "11.1.0"})}
    assert len(files) == 3
    assert all(f.parent.parent == tmp_path / "tensorrt" for f in files)


# the graph


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("fp16", "float16"), ("bf16", "bfloat16")])
def test_the_graph_computes_in_what_was_asked_for_and_takes_pixels_as_floats(precision, dtype):
    segmenter = segmenter_with_a_pool()
    graph = Graph("labels", segmenter, torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    program, example = typed_program(graph, precision)
    assert compute_dtypes(program) == {dtype: 2}
    assert str(example.dtype) == f"torch.{dtype}"
    assert torch.arange(256).to(example.dtype).to(torch.uint8).tolist() == list(range(256))  # every pixel is exact
    assert next(segmenter.parameters()).dtype == torch.float32  # the caller's model is as it was
    assert program.module()(example).dtype == torch.int32


def test_the_network_alone_takes_and_gives_float32_in_half_too():
    model = create_model("stdc1_fcn", 5).eval()
    program, example = typed_program(Graph("logits", model, torch.zeros(1, 3, 64, 64)), "fp16")
    assert set(compute_dtypes(program)) == {"float16"}
    assert example.dtype == torch.float32
    assert program.module()(example).dtype == torch.float32


# the engine


def partitioned(*names: str) -> torch.fx.GraphModule:
    """A graph that calls parts of the given names in turn, as a partitioner leaves it."""
    graph, root = torch.fx.Graph(), nn.Module()
    x = graph.placeholder("x")
    for name in names:
        setattr(root, name, torch.fx.symbolic_trace(nn.ReLU()) if "acc" in name else _gpu_part())
        x = graph.call_module(name, (x,))
    graph.output(x)
    return torch.fx.GraphModule(root, graph)


def _gpu_part() -> torch.fx.GraphModule:
    graph = torch.fx.Graph()
    graph.output(graph.call_function(torch.ops.aten.adaptive_max_pool2d.default, (graph.placeholder("x"), 1)))
    return torch.fx.GraphModule(nn.Module(), graph)


def test_one_engine_passes_and_anything_else_names_what_stayed_outside():
    check_engine(partitioned("_run_on_acc_0"))
    with pytest.raises(DeployError, match="2 TensorRT engines instead of one.* 1 x aten.adaptive_max_pool2d.default"):
        check_engine(partitioned("_run_on_acc_0", "_run_on_gpu_1", "_run_on_acc_2"))
    with pytest.raises(DeployError, match="0 TensorRT engines"):
        check_engine(nn.ReLU())


def test_an_engine_of_this_machine_passes_and_another_gpu_or_version_is_refused():
    facts, file = {**HERE, "hardware_compatible": False}, Path("labels.ep")
    check_machine(file, facts, HERE)
    with pytest.raises(DeployError, match=r"labels.ep: built for gpu Orin \(here RTX\).*edgeseg export"):
        check_machine(file, facts, {**HERE, "gpu": "RTX"})
    with pytest.raises(DeployError, match=r"tensorrt 10.3.0 \(here 11.1.0\)"):
        check_machine(file, facts, {**HERE, "tensorrt": "11.1.0"})


def test_a_hardware_compatible_engine_may_move_to_another_ampere_gpu_but_not_to_an_older_one():
    facts = {**HERE, "hardware_compatible": True}
    check_machine(Path("labels.ep"), facts, {**HERE, "gpu": "RTX", "capability": "8.9"})
    with pytest.raises(DeployError, match="gpu"):
        check_machine(Path("labels.ep"), facts, {**HERE, "gpu": "T4", "capability": "7.5"})


# with Torch-TensorRT's own Python half

TRAPS = """
import json, sys, torch
from tensorrt_standin import install, no_gpu, settings
torch_tensorrt = install()
from edgeseg.deploy.runtimes.base import DeployError, Graph
from edgeseg.deploy.runtimes.tensorrt import TensorRT, compile_program, compile_settings, signature, typed_program
from test_runtime_tensorrt import TIMINGS, segmenter_with_a_pool

segmenter, pixels = segmenter_with_a_pool(), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
found = {"version": torch_tensorrt.__version__}

module = torch.nn.Conv2d(3, 3, 1).eval()
program, example = typed_program(Graph("logits", module, torch.zeros(1, 3, 32, 32)), "fp32")
swallowed = {"enabled_precisions": {torch.half}, "no_such_option": 1}
with no_gpu():
    compiled = torch_tensorrt.dynamo.compile(program, inputs=[example], **settings(**swallowed))
nodes = compiled._run_on_acc_0.graph.nodes
found["swallowed"] = [str(n.meta["val"].dtype) for n in nodes if "convolution" in str(n.target)]

found["refused"] = []
for key in swallowed:
    try:
        compile_settings(signature(), {**TensorRT().checked_options({}), key: 1}, TIMINGS, torch_tensorrt.__version__)
    except DeployError as error:
        found["refused"].append(str(error))

program, example = typed_program(Graph("labels", segmenter, pixels), "fp16")
try:
    with no_gpu():
        compile_program(program, example, settings())
except DeployError as error:
    found["split"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None or importlib.util.find_spec("tensorrt") is not None,
    reason="needs torch-tensorrt without TensorRT",
)
def test_torch_tensorrt_swallows_what_we_refuse_and_a_split_is_an_error_that_names_the_operation():
    here = Path(__file__).resolve().parent
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    run = subprocess.run([sys.executable, "-c", TRAPS], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.splitlines()[-1])
    if tuple(map(int, found["version"].split(".")[:2])) >= (2, 13):
        assert found["swallowed"] == ["torch.float32"]  # asked for FP16, and got FP32 without a word
        assert len(found["refused"]) == 2
    assert "aten.adaptive_max_pool2d.default" in found["split"]
    assert "2 TensorRT engines instead of one" in found["split"]
