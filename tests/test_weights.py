"""Weight files: what is right loads exactly, what is not is refused."""

import hashlib
import json
import re

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

import edgeseg
from edgeseg.models.registry import create_model
from edgeseg.models.weights import (
    WeightError,
    load_weights,
    read_weights,
    save_weights,
    weight_meta,
)

NAMES = ("Sky", "Road", "Car")
COLORS = ((128, 128, 128), (128, 64, 128), (64, 0, 128))
META = weight_meta(NAMES, COLORS, "toy3", (0.4, 0.5, 0.6), (0.2, 0.2, 0.2), seed=7)


def small(num_classes: int = 3, **switches) -> nn.Module:
    return create_model("cross_cbam_m", num_classes, width=16, aspp_channels=32, **switches)


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(0)
    model = small()
    model(torch.randn(2, 3, 64, 64))  # moves the running statistics
    return model


@pytest.fixture
def file(tmp_path, trained):
    path = tmp_path / "toy.safetensors"
    save_weights(path, trained, META)
    return path


def logits(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(torch.linspace(-2, 2, 3 * 40 * 50).reshape(1, 3, 40, 50))


def test_a_file_alone_rebuilds_the_model_bit_for_bit(file, trained):
    model = edgeseg.create_model(str(file))
    assert torch.equal(logits(model), logits(trained))
    assert model.switches == {"width": 16, "aspp_channels": 32}
    assert model.meta["classes"][1] == {"name": "Road", "color": [128, 64, 128]}
    assert (model.meta["mean"], model.meta["input_size"], model.meta["provenance"]) == (
        [0.4, 0.5, 0.6],
        None,
        {"seed": 7},
    )


def test_save_returns_the_hash_of_the_file(tmp_path, trained):
    path = tmp_path / "a.safetensors"
    assert save_weights(path, trained, META) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert save_weights(tmp_path / "b.safetensors", trained, META) == save_weights(path, trained, META)


def test_half_precision_halves_the_file_and_loads_into_float32(tmp_path, file, trained):
    half = tmp_path / "half.safetensors"
    save_weights(half, trained, META, dtype=torch.float16)
    assert half.stat().st_size < 0.6 * file.stat().st_size
    model = create_model(str(half))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    state = read_weights(half)[1]
    exact, roundings = logits(trained), sum(v.dtype == torch.float16 for v in state.values())
    error = (logits(model) - exact).abs().max() / exact.abs().max()
    assert error <= roundings**0.5 * torch.finfo(torch.float16).eps
    assert state["classifier.weight"].dtype == torch.float16
    assert state["backbone.stage1.bn.running_var"].dtype == torch.float32


def test_a_file_without_aux_heads_rebuilds_a_model_without_them(tmp_path, trained, capsys):
    path = tmp_path / "lean.safetensors"
    save_weights(path, trained, META, drop_aux=True)
    assert not [k for k in read_weights(path)[1] if k.startswith("aux")]
    model = create_model(str(path))
    assert model.aux_head is None
    assert torch.equal(logits(model), logits(trained))
    again = create_model(str(path), aux=True)  # to go on training
    assert again.aux_head is not None
    report = load_weights(again, path)
    assert {k.split(".")[0] for k in report.missing} == {"aux_head"}
    assert re.search(r"lean.safetensors: loaded \d+, new 0, missing 8 \(aux_head", capsys.readouterr().out)


def test_another_class_count_is_refused_and_a_new_head_is_the_way(file, trained, capsys):
    with pytest.raises(WeightError, match=r"toy.safetensors: made for 3 classes .* new_head=True"):
        create_model(str(file), 5)
    model = create_model(str(file), 5, new_head=True)
    assert "new 4 (classifier.weight, classifier.bias, aux_head.classifier.weight, …)" in capsys.readouterr().out
    assert logits(model).shape[1] == 5
    assert not hasattr(model, "meta")
    assert torch.equal(model.backbone.stage1.conv.weight, trained.backbone.stage1.conv.weight)


def test_a_new_head_starts_anew_even_where_the_old_one_would_fit(file, trained):
    model = create_model(str(file), new_head=True)
    assert not torch.equal(model.classifier.weight, trained.classifier.weight)
    trained.classifier.bias.data.fill_(3)
    load_weights(trained, file, new_head=True, verbose=False)
    assert not trained.classifier.bias.any()


def test_weights_of_another_network_are_refused_and_leave_the_model_unchanged(file):
    for model, message in (
        (small(fusion="add"), "without a place"),
        (small(dilations=(1, 3, 5)), "entries missing"),
        (create_model("cross_cbam_m", 3, width=16), "has shape"),
        (create_model("cross_cbam_l", 3, width=16, aspp_channels=32), "entries missing"),
    ):
        before = {k: v.clone() for k, v in model.state_dict().items()}
        with pytest.raises(WeightError, match=rf"toy.safetensors.*{message}.*uild the model"):
            load_weights(model, file)
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_switches_that_change_inference_cannot_be_changed_over_a_weight(file):
    with pytest.raises(ValueError, match=r"was trained with aspp_channels=32; leave aspp_channels out"):
        create_model(str(file), aspp_channels=64)
    with pytest.raises(ValueError, match="no switch 'dilation'"):
        create_model(str(file), dilation=3)
    assert create_model(str(file), aspp_channels=32, dilations=(1, 3), dropout=0.5).dropout.p == 0.5


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 500, 20_000, -1, -4096])
def test_a_truncated_file_is_refused(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(WeightError, match=r"toy.safetensors: .*fetch or copy it again"):
        read_weights(file)


def test_a_flipped_bit_in_any_tensor_is_found_without_a_known_hash(file):
    blob = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(blob[:8], "little")
    for place in (start, (start + len(blob)) // 2, len(blob) - 1):
        blob[place] ^= 1
        file.write_bytes(blob)
        with pytest.raises(WeightError, match="its tensors are not those that were saved"):
            create_model(str(file))
        blob[place] ^= 1


def test_a_known_hash_is_checked_over_the_whole_file(file):
    good = hashlib.sha256(file.read_bytes()).hexdigest()
    read_weights(file, good)
    file.write_bytes(file.read_bytes().replace(b"Road", b"Roam"))
    with pytest.raises(WeightError, match="its SHA-256 is not the recorded"):
        read_weights(file, good)


def test_a_pickle_is_refused_whatever_its_name(tmp_path, trained):
    for name, kind in (("a.pth", True), ("b.safetensors", True), ("c.safetensors", False)):
        torch.save(trained.state_dict(), tmp_path / name, _use_new_zipfile_serialization=kind)
        with pytest.raises(WeightError, match=rf"{name}: a pickle, which can run code"):
            read_weights(tmp_path / name)


def test_a_header_whose_length_looks_like_a_pickle_is_none(tmp_path, trained):
    path, tried = tmp_path / "unlucky.safetensors", 0
    while tried < 64:
        save_weights(path, trained, {**META, "provenance": {"note": "x" * 8 * tried}})
        tried += 1
        if path.read_bytes()[:1] == b"\x80":
            read_weights(path)
            return
    pytest.fail("no header length of this kind was reached")


def test_files_that_are_no_weights_are_refused_with_the_cure(tmp_path, trained):
    tensors = {k: v.contiguous() for k, v in trained.state_dict().items()}
    save_file(tensors, tmp_path / "foreign.safetensors")
    save_file(tensors, tmp_path / "last.safetensors", {"edgeseg": json.dumps({"step": 3, "scaler": {}})})
    (tmp_path / "text.safetensors").write_text("not a weight at all")
    for name, cure in (
        ("foreign.safetensors", "save_weights"),
        ("last.safetensors", "a training checkpoint"),
        ("text.safetensors", "fetch or copy it again"),
        ("absent.safetensors", "No such file"),
    ):
        with pytest.raises(WeightError, match=rf"{name}: .*{cure}"):
            create_model(str(tmp_path / name))
    with pytest.raises(WeightError, match="give the path of a .safetensors file"):
        read_weights(tmp_path)


def test_a_model_that_diverged_is_not_saved_and_the_old_file_stays(file, trained):
    before = file.read_bytes()
    trained.classifier.weight.data[0, 0] = 1e6
    with pytest.raises(WeightError, match=r"classifier.weight .* not finite in torch.float16.*dtype=None"):
        save_weights(file, trained, META, dtype=torch.float16)
    trained.classifier.weight.data[0, 0] = torch.nan
    with pytest.raises(WeightError, match="diverged"):
        save_weights(file, trained, META)
    assert file.read_bytes() == before


def test_a_description_must_be_whole_and_fit_the_classes(tmp_path, trained):
    with pytest.raises(WeightError, match="lacks mean"):
        save_weights(tmp_path / "x.safetensors", trained, {k: v for k, v in META.items() if k != "mean"})
    with pytest.raises(WeightError, match="3 class names for a model of 4 classes"):
        save_weights(tmp_path / "x.safetensors", small(4), META)
    assert not list(tmp_path.iterdir())


# descriptions that cannot be -----------------------------------------------------------------------------------------

WRONG = [
    ("mean", [float("nan"), 0.4, 0.4]), ("mean", [0.4]), ("mean", "grey"), ("mean", [True, 0, 0]), ("std", [0, 0, 0]),
    ("std", [-1, 1, 1]), ("std", [float("inf")] * 3), ("input_size", [64]), ("input_size", [0, 64]),
    ("input_size", [64.0, 64.0]), ("input_size", "64x64"), ("num_classes", "3"), ("num_classes", True),
    ("num_classes", 0), ("classes", ["Sky", "Road", "Car"]), ("classes", [{"name": "Sky"}] * 3),
    ("classes", [{"name": n, "color": [1, 2, 300]} for n in NAMES]), ("classes", {"0": "Sky"}),
    ("classes", [{"name": n, "color": [1, 2, 3]} for n in ("Sky", "Sky", "Car")]),
    ("classes", [{"name": n, "color": [1, 2, 3]} for n in ("Sky", " ", "Car")]), ("table", 3),
    ("arch", ["cross_cbam_m"]), ("switches", [["width", 16]]), ("provenance", "mine"),
]  # fmt: skip


def described(file, description: str):
    """The same tensors with another description."""
    blob = file.read_bytes()
    size = int.from_bytes(blob[:8], "little")
    header = {**json.loads(blob[8 : 8 + size]), "__metadata__": {"edgeseg": description}}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + blob[8 + size :])
    return file


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_description_that_cannot_be_is_refused_by_file_and_key(file, key, value):
    blob = file.read_bytes()
    size = int.from_bytes(blob[:8], "little")
    meta = json.loads(json.loads(blob[8 : 8 + size])["__metadata__"]["edgeseg"])
    described(file, json.dumps({**meta, key: value}))
    words = f"{key.rstrip('s')}|class name twice|no number in JSON"
    with pytest.raises(WeightError, match=f"toy.safetensors: .*({words})") as refusal:
        create_model(str(file))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("switches", [{"nonsense": 1}, {"width": "wide"}, {"backbone": "stdc2"}, {"width": 0}])
def test_switches_that_cannot_be_are_refused_by_file(file, switches):
    blob = file.read_bytes()
    meta = json.loads(json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])["__metadata__"]["edgeseg"])
    described(file, json.dumps({**meta, "switches": switches}))
    with pytest.raises(ValueError, match=rf"toy.safetensors: .*{next(iter(switches))}"):
        create_model(str(file))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 10**5])
def test_a_description_that_is_no_object_is_refused_by_file(file, text):
    with pytest.raises(WeightError, match=r"toy.safetensors: .*descri") as refusal:
        read_weights(described(file, text))
    assert "\n" not in str(refusal.value)


def test_values_that_are_not_finite_are_refused_also_where_they_were_saved_so(tmp_path, file):
    """Another program may write a file of this form: its hash is right, and every pixel would be class 0."""
    meta, state = read_weights(file)
    key = next(iter(state))
    state[key].view(-1)[0] = float("nan")
    digest = hashlib.sha256(_bytes_of(state)).hexdigest()
    save_file(state, tmp_path / "nan.safetensors", {"edgeseg": json.dumps({**meta, "data_sha256": digest})})
    with pytest.raises(WeightError, match=f"nan.safetensors: {key} holds values that are not finite"):
        read_weights(tmp_path / "nan.safetensors")


def test_whole_numbers_are_no_weights(file, trained):
    _, state = read_weights(file)
    key = next(k for k, v in state.items() if v.ndim == 4)
    with pytest.raises(WeightError, match=f"{key} is of torch.int32, the model needs torch.float32"):
        load_weights(small(), {**state, key: state[key].int()})


def _bytes_of(state) -> bytes:
    blob = save(state)
    return blob[8 + int.from_bytes(blob[:8], "little") :]
