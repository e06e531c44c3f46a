"""Finished weights: found, checked, fetched, brought in and licensed; and those that come with the package."""

from __future__ import annotations

import errno
import functools
import http.server
import json
import re
import shutil
import threading
from dataclasses import replace

import pytest
import torch

import edgeseg
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.models import zoo
from edgeseg.models.registry import create_model
from edgeseg.models.weights import WeightError
from edgeseg.models.zoo import (
    PACKAGED,
    checked_file,
    find_weights,
    get_record,
    import_weights,
    licence_text,
    list_weights,
    own_folder,
    record_folder,
    split_file,
    weight_folders,
)
from edgeseg.training.publish import verify_weight
from finished_weights import LICENCE, camvid_licence, isolate_weights, put_weight

NAME = "cross_cbam_m.toy"
PACKAGED_NAMES = [path.name.removesuffix(".json") for path in sorted(PACKAGED.glob("*.json"))]


@pytest.fixture
def cache(monkeypatch, tmp_path):
    return isolate_weights(monkeypatch, tmp_path)


@pytest.fixture
def given(tmp_path, cache):
    """A folder that somebody gave us, with one weight."""
    put_weight(tmp_path / "given")
    return tmp_path / "given"


# Found and checked ----------------------------------------------------------------------------------------------------


@pytest.fixture
def own(given, monkeypatch):
    """That folder, set as the user's own."""
    monkeypatch.setenv("EDGESEG_WEIGHTS", str(given))
    return given


def test_a_recorded_weight_loads_by_name(own):
    assert NAME in edgeseg.list_models("cross_cbam_m*")
    named, from_file = create_model(NAME), create_model(str(own / f"{NAME}.safetensors"))
    assert all(
        torch.equal(a, b) for a, b in zip(named.state_dict().values(), from_file.state_dict().values(), strict=True)
    )
    with pytest.raises(ValueError, match=f"did you mean {NAME}"):
        create_model(f"{NAME}s")


def test_a_record_is_read_as_it_was_written(own):
    record = get_record(NAME)
    replace(record, seeds=(1, 2), url="https://example.org/x").write(own)
    assert get_record(NAME) == replace(record, seeds=(1, 2), url="https://example.org/x")


WRONG = [
    ("name", 3), ("arch", None), ("file", ["a"]), ("file", "../a.safetensors"), ("sha256", "x" * 64), ("sha256", 1),
    ("classes", "Sky"), ("classes", []), ("classes", ["Sky", "Sky"]), ("classes", [1, 2, 3]), ("size", [64]),
    ("size", "big"), ("mean", [float("nan")] * 3), ("mean", 0.5), ("std", [0, 1, 1]), ("seeds", ["a"]), ("seeds", 3),
    ("metric", None), ("metric", "miou"), ("metric", {}), ("licence", None), ("url", 3), ("golden", []), ("recipe", {}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_record_that_cannot_be_is_refused_by_its_file(own, key, value):
    path = own / f"{NAME}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(WeightError, match=rf"{NAME}.json: ") as refusal:
        get_record(NAME)
    assert "\n" not in str(refusal.value)


def test_a_weight_that_is_not_its_records_is_refused(own):
    path = find_weights(NAME)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightError, match=r"cross_cbam_m.toy.safetensors: not the file that its record names"):
        create_model(NAME)


def test_a_record_without_its_file_is_not_listed_and_says_where_it_was_looked_for(own):
    find_weights(NAME).unlink()
    assert NAME not in list_weights()
    with pytest.raises(WeightError, match=re.escape(str(weight_folders()[0]))):
        find_weights(NAME)
    with pytest.raises(WeightError, match=r"no weight 'cross_cbam_m.other' \(did you mean cross_cbam_m.toy"):
        find_weights("cross_cbam_m.other")


def test_a_missing_file_is_fetched_from_its_address_into_the_cache(own, tmp_path):
    record, file, server_folder = get_record(NAME), f"{NAME}.safetensors", tmp_path / "server"
    server_folder.mkdir()
    (own / file).rename(server_folder / file)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=server_folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        replace(record, url=f"http://127.0.0.1:{server.server_port}/{file}").write(own)
        assert NAME in list_weights()
        assert find_weights(NAME) == tmp_path / "cache" / "weights" / file
        server.shutdown()
    assert create_model(NAME).num_classes == 11  # now without the server


def test_a_record_needs_its_protocol_a_bare_file_name_and_a_fitting_name(own):
    for change, message in (
        ({"metric": {"miou": 60.0}}, "its metric lacks data, split, size, definition, seeds, ema, tta"),
        ({"file": "../elsewhere.safetensors"}, "bare file name"),
        ({"sha256": "abc"}, "SHA-256 of 64 digits"),
        ({"name": "cross_cbam_l.toy"}, "name it cross_cbam_m.TAG"),
    ):
        with pytest.raises(WeightError, match=message):
            replace(get_record(NAME), **change)


def test_a_broken_record_file_is_named(own):
    path = own / f"{NAME}.json"
    for text, message in (("{", "no readable weight record"), ("{}", "has the fields"), ("[]", "has the fields")):
        path.write_text(text)
        with pytest.raises(WeightError, match=rf"cross_cbam_m.toy.json: .*{message}"):
            list_weights()


# Import ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["", f"{NAME}.safetensors", f"{NAME}.json"])
def test_a_weight_comes_in_by_folder_file_or_record_and_works(given, cache, source):
    (record,) = import_weights(given / source)
    assert record.name == NAME
    shutil.rmtree(given)
    assert record_folder(NAME) == cache == own_folder()
    assert verify_weight(NAME) == []
    assert edgeseg.create_model(NAME).num_classes == 11


def test_a_weight_in_parts_comes_in_whole(given, cache):
    file = given / f"{NAME}.safetensors"
    blob = file.read_bytes()
    parts = split_file(file, len(blob) // 3)
    assert [p.name for p in parts] == [f"{file.name}.{i}of4" for i in (1, 2, 3, 4)]
    assert not file.exists()
    assert b"".join(p.read_bytes() for p in parts) == blob
    import_weights(given)
    assert (cache / file.name).read_bytes() == blob
    assert verify_weight(NAME) == []


def test_parts_that_do_not_make_a_whole_are_refused(given, cache):
    file = given / f"{NAME}.safetensors"
    size = file.stat().st_size
    assert split_file(file, size) == [file]
    parts = split_file(file, size // 2 + 1)
    content = parts[1].read_bytes()
    parts[1].unlink()
    with pytest.raises(WeightError, match=r"parts cross_cbam_m\.toy\.safetensors\.1of2, which do not make it whole"):
        import_weights(given)
    parts[1].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightError, match="parts are not those of the record's file"):
        import_weights(given)
    parts[1].write_bytes(content)
    (given / f"{file.name}.3of3").write_bytes(b"x")
    with pytest.raises(WeightError, match="all parts of one splitting"):
        import_weights(given)
    assert not cache.exists()


def test_the_environments_folder_is_taken_before_the_cache(given, tmp_path, monkeypatch, cache):
    monkeypatch.setenv("EDGESEG_WEIGHTS", str(tmp_path / "mine"))
    import_weights(given)
    assert checked_file(NAME) == tmp_path / "mine" / f"{NAME}.safetensors"
    assert not cache.exists()


def test_a_copy_is_called_by_its_name_so_that_two_weights_never_share_a_file(given, cache):
    other = put_weight(given, "cross_cbam_m.other", seed=1)
    for name, folder in ((NAME, "a"), (other.name, "b")):
        (given / folder).mkdir()
        shutil.copy(given / f"{name}.safetensors", given / folder / "weights.safetensors")
        text = (
            (given / f"{name}.json").read_text(encoding="utf-8").replace(f"{name}.safetensors", "weights.safetensors")
        )
        (given / folder / f"{name}.json").write_text(text, encoding="utf-8")
        import_weights(given / folder)
    assert verify_weight(NAME) == verify_weight(other.name) == []
    assert {p.name for p in cache.glob("*.safetensors")} == {f"{NAME}.safetensors", "cross_cbam_m.other.safetensors"}


def test_a_pickle_is_refused_whatever_it_is_called(given, cache):
    for name in ("model.pth", f"{NAME}.safetensors"):
        torch.save({"x": torch.zeros(3)}, given / name)
        with pytest.raises(WeightError, match="a pickle, which can run code"):
            import_weights(given / name)
    with pytest.raises(WeightError, match="a pickle, which can run code"):
        import_weights(given)
    assert not cache.exists()


@pytest.mark.parametrize("place", [40, -9])
def test_a_flipped_byte_is_refused(given, cache, place):
    path = given / f"{NAME}.safetensors"
    blob = bytearray(path.read_bytes())
    blob[place] ^= 1
    path.write_bytes(blob)
    for source in (given, path):
        with pytest.raises(WeightError, match=f"{NAME}.safetensors: .*(again|description)"):
            import_weights(source)
    assert not cache.exists()


def test_half_of_a_pair_is_refused_with_the_cure(given, cache):
    (given / f"{NAME}.safetensors").rename(given / "lone.safetensors")
    with pytest.raises(WeightError, match=rf"names {NAME}.safetensors, which is not beside it; copy both"):
        import_weights(given)
    with pytest.raises(WeightError, match="lone.json is not beside it, so neither hash nor licence are known"):
        import_weights(given / "lone.safetensors")
    (given / f"{NAME}.json").unlink()
    with pytest.raises(WeightError, match="edgeseg weights publish RUN NAME"):
        import_weights(given)
    with pytest.raises(WeightError, match="No such file"):
        import_weights(given / "absent.safetensors")
    assert not cache.exists()


def test_a_record_that_says_other_things_than_its_file_is_refused(given, cache):
    put_weight(given, mean=(0.1, 0.1, 0.1))
    with pytest.raises(WeightError, match=r"its record says mean \(0.1, 0.1, 0.1\), its file \(0.4"):
        import_weights(given)


def test_one_bad_weight_keeps_the_whole_folder_out(given, cache):
    put_weight(given, "cross_cbam_m.zzz", seed=1)  # the last to be looked at
    (given / "cross_cbam_m.zzz.safetensors").write_bytes(b"no weight")
    with pytest.raises(WeightError, match="zzz"):
        import_weights(given)
    assert not cache.exists()


def test_a_full_disk_leaves_nothing_half_written(given, cache, monkeypatch):
    def full(path, mode="wb"):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(zoo, "atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        import_weights(given)
    assert list_weights() == []


def test_another_weight_of_the_same_name_stays_unless_replacing_is_asked_for(given, cache):
    import_weights(given)
    import_weights(given)  # the same again: nothing to refuse
    old = get_record(NAME).sha256
    put_weight(given, seed=1)
    with pytest.raises(WeightError, match="another weight of this name is in .* add --replace"):
        import_weights(given)
    assert get_record(NAME).sha256 == old
    import_weights(given, replace_other=True)
    assert get_record(NAME).sha256 != old
    assert verify_weight(NAME) == []


def test_a_name_of_the_package_needs_a_folder_that_is_searched_first(given, tmp_path, cache, monkeypatch):
    put_weight(tmp_path / "packaged", seed=1)
    with pytest.raises(WeightError, match="which is searched first; set EDGESEG_WEIGHTS"):
        import_weights(given, replace_other=True)
    monkeypatch.setenv("EDGESEG_WEIGHTS", str(tmp_path / "mine"))
    import_weights(given)
    assert record_folder(NAME) == tmp_path / "mine"


# Licences -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def licensed(tmp_path, cache):
    """A package with two weights under one licence of their own, and one under the package's."""
    folder = tmp_path / "packaged"
    for seed, tag in enumerate(("camvid", "camvid2")):
        put_weight(folder, f"cross_cbam_m.{tag}", seed, licence="CamVid research use", licence_file=LICENCE)
    put_weight(folder, "cross_cbam_m.streets")
    camvid_licence(folder)
    return folder


def test_the_first_load_by_name_says_once_in_one_line_that_there_is_another_licence(licensed, capsys):
    edgeseg.create_model("cross_cbam_m.camvid")
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "CamVid research use" in err
    assert "edgeseg weights licence cross_cbam_m.camvid" in err
    edgeseg.create_model("cross_cbam_m.camvid")
    load_segmenter("cross_cbam_m.camvid2")  # under the same text
    assert capsys.readouterr().err == ""


def test_load_segmenter_says_it_too_and_the_packages_licence_is_silent(licensed, capsys):
    load_segmenter("cross_cbam_m.streets")
    assert capsys.readouterr().err == ""
    load_segmenter("cross_cbam_m.camvid2")
    assert "weights licence cross_cbam_m.camvid2" in capsys.readouterr().err


def test_checking_a_weight_is_not_loading_it(licensed, capsys):
    assert verify_weight("cross_cbam_m.camvid") == []
    assert capsys.readouterr().err == ""


def test_the_licences_texts_can_be_read(licensed):
    assert "research and teaching" in licence_text("cross_cbam_m.camvid")
    assert "Apache License" in licence_text("cross_cbam_m.streets")
    put_weight(licensed, "cross_cbam_m.mit", licence="MIT")
    with pytest.raises(WeightError, match="brings no text of its licence, MIT"):
        licence_text("cross_cbam_m.mit")


def test_a_weights_licence_comes_in_with_it(licensed, cache):
    shutil.move(licensed, licensed.with_name("given"))
    import_weights(licensed.with_name("given") / "cross_cbam_m.camvid.json")
    assert (cache / LICENCE).is_file()
    shutil.rmtree(licensed.with_name("given"))
    assert "research and teaching" in licence_text("cross_cbam_m.camvid")


def test_a_weight_whose_licence_is_missing_does_not_come_in(licensed, cache):
    given = licensed.rename(licensed.with_name("given"))
    (given / LICENCE).unlink()
    with pytest.raises(WeightError, match=f"{LICENCE}, the text of its licence, is missing; copy it to"):
        import_weights(given / "cross_cbam_m.camvid.json")


def test_the_packaged_text_asks_for_the_citation_and_claims_nothing_more():
    text = (zoo.PACKAGED / LICENCE).read_text(encoding="utf-8")
    for part in ("CamVid state no\nlicence", "research and teaching", "Brostow", "2009", "without warranty"):
        assert part in text


# A build without some weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", ["*.safetensors", "*.safetensors *.json", "*.safetensors *.json *.txt"])
def test_a_build_without_the_camvid_weights_works(licensed, left_out):
    for pattern in left_out.split():
        for path in [p for p in licensed.glob(pattern) if "camvid" in p.name]:
            path.unlink()
    assert list_weights() == ["cross_cbam_m.streets"]
    assert verify_weight("cross_cbam_m.streets") == []
    assert edgeseg.predict("cross_cbam_m.streets", torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()).shape == (64, 64)
    with pytest.raises(ValueError, match=r"no weight 'cross_cbam_m.camvid'"):
        edgeseg.create_model("cross_cbam_m.camvid")


def test_a_build_without_any_weight_still_builds_networks(cache):
    assert list_weights() == []
    assert edgeseg.create_model("cross_cbam_m", 3, width=8, aspp_channels=16).num_classes == 3


# The package's own ----------------------------------------------------------------------------------------------------


def test_the_default_weight_of_predict_is_there():
    assert "cross_cbam_m.streets" in list_weights()


@pytest.mark.parametrize("name", PACKAGED_NAMES)
def test_every_weight_of_the_package_is_whole_and_gives_its_golden_output_and_licence(name):
    assert get_record(name).golden is not None, "edgeseg weights golden NAME"
    assert verify_weight(name) == []
    assert len(licence_text(name)) > 500


def test_the_streets_weight_sees_streets():
    segmenter = load_segmenter("cross_cbam_m.streets")
    scores = score(segmenter.predict, Streets("test", 8, (288, 384), cache=False), progress=False)
    assert scores.pixel_accuracy > 0.89  # the record's is 0.933 over 200 scenes
    assert scores.miou > 0.55
