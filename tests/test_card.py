"""Model cards: numbers that are those of the metric, pictures that are small, sentences that follow from both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.labels import LabelError
from edgeseg.data.streets import Streets
from edgeseg.inference import load_segmenter
from edgeseg.metrics import score
from edgeseg.training import card
from edgeseg.training.card import FACTORS, confused_pairs, confusion_picture, measure, worst_of, write_card
from finished_weights import METRIC, isolate_weights, put_weight

NAME = "cross_cbam_m.toy"
SIZE = (64, 96)
COUNT = 3
MODELS = Path(__file__).resolve().parent.parent / "docs" / "models"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working folder, with a weight that the package seems to bring."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        isolate_weights(patch, home)
        put_weight(home / "packaged", data="streets, train")
        patch.chdir(home)
        yield home


@pytest.fixture(scope="module")
def written(home):
    """The file of a card, written from the folder above ``docs/models``, and what it was written from."""
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        text = card.Card.text
        patch.setattr(card.Card, "text", lambda self: kept.append(self) or text(self))
        path = write_card(NAME, out="docs/models", count=COUNT)
    return home / path, kept[0]


@pytest.fixture
def path(written):
    return written[0]


@pytest.fixture
def facts(written):
    return written[1]


def test_measuring_is_scoring_and_every_images_own_mean(home):
    segmenter, scenes = load_segmenter(NAME), Streets("test", 4, SIZE, cache=False)
    matrix, each = measure(segmenter, scenes, "scoring")
    assert matrix.compute() == score(segmenter.predict, scenes, progress=False)
    i = worst_of(each)[0]
    image, label = scenes[i]
    predicted, held = segmenter.predict(image), [c for c in range(11) if (label == c).any()]
    valid = label != 255
    union = [((predicted == c) & valid | (label == c)).sum() for c in held]
    own = np.mean([((predicted == c) & (label == c)).sum() / u for c, u in zip(held, union, strict=True)])
    assert each[i] == min(each) == pytest.approx(own)


def test_the_worst_frames_are_no_neighbours_and_none_is_all_void():
    each = (0.5, float("nan"), 0.1, 0.2, 0.3, 0.15, 0.9)
    assert worst_of(each) == [2, 5, 3, 4]
    assert worst_of(each, apart=2) == [2, 5, 0]
    assert worst_of(each, apart=9) == [2]


def test_a_card_has_every_section_and_its_pictures(path):
    text = path.read_text(encoding="utf-8")
    heads = ("Score", "Per class", "What it takes for what", "Where it fails", "Held-out conditions", "Limits", "Again")
    for head in heads:
        assert f"## {head}" in text
    for suffix in ("confusion.png", "worst.jpg"):
        picture = path.with_name(f"{NAME}.{suffix}")
        assert f"({picture.name})" in text
        Image.open(picture).verify()


@pytest.mark.parametrize("picture", sorted(MODELS.glob("*.*g")), ids=lambda p: p.name)
def test_the_repositorys_pictures_are_small(picture):
    assert picture.stat().st_size <= 300_000


def test_a_cards_numbers_are_the_metrics(path, home):
    text = path.read_text(encoding="utf-8")
    for condition, factors in {"plain": {}, **FACTORS}.items():
        scenes = Streets("test", COUNT, SIZE, cache=False, **factors)
        scores = score(load_segmenter(NAME).predict, scenes, progress=False)
        assert f"| {condition} | {100 * scores.miou:.1f} |" in text
        if not factors:
            assert f"**{100 * scores.miou:.2f} % mIoU**" in text
            for name, pixels in zip(Streets.table.names, scores.support, strict=True):
                assert f"| {name} | " in text
                assert f" | {pixels:,} | " in text


def test_a_card_says_how_to_make_it_again_and_names_no_folder_of_this_machine(path, home, tmp_path):
    text = path.read_text(encoding="utf-8")
    command = f"edgeseg weights card {NAME} --data streets --split test --count {COUNT} --data-size 64x96"
    assert f"{command} --out docs/models\n" in text
    again = write_card(NAME, out=tmp_path / "elsewhere", count=COUNT).read_text(encoding="utf-8")
    assert again == text.replace("docs/models", "FOLDER")


def test_a_card_tells_a_reproduced_score_from_another_one(facts):
    def text(**metric):
        recorded = {**METRIC, "images": COUNT, "size": [64, 96], **metric}
        return replace(facts, record=replace(facts.record, metric=recorded)).text()

    miou = 100 * facts.scores.miou
    assert "for the same images: reproduced" in text(miou=miou + 0.05)
    assert "**The record says" in text(miou=miou + 0.2)
    assert "another measurement" in text(miou=miou, images=200)
    assert "another measurement" in text(miou=miou, scored_at=[360, 480])


def test_limits_follow_from_record_and_scores(facts):
    rendered = "\n".join(facts.limits())
    assert "no photograph" in rendered
    assert "Not to be relied on" in rendered
    assert "One seed was trained" in rendered
    assert "dense fog" in rendered
    street = replace(facts.record, data="camvid, trainval; start: weight weights.safetensors", seeds=(0, 1, 2))
    taken = "\n".join(replace(facts, record=street, conditions={}).limits())
    assert "one town, one camera" in taken
    for absent in ("One seed", "dense fog", "no photograph"):
        assert absent not in taken


def test_camvids_frames_are_cited_and_few(facts):
    assert "Brostow" not in facts.text()
    assert "Brostow" in replace(facts, data="camvid").text()
    assert card.WORST <= 5


def test_data_of_other_classes_are_refused_before_anything_is_scored(home, tmp_path):
    folder = tmp_path / "own"
    for kind, array in (("images", np.zeros((64, 64, 3), np.uint8)), ("labels", np.zeros((64, 64), np.uint8))):
        (folder / kind).mkdir(parents=True)
        Image.fromarray(array).save(folder / kind / "a.png")
    (folder / "classes.json").write_text(json.dumps({"classes": [{"name": "lane"}, {"name": "other"}]}))
    with pytest.raises(LabelError, match=r"toy has Sky, .*; the data has lane, other"):
        write_card(NAME, str(folder), "train", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_of_other_classes_has_no_held_out_conditions(home):
    record = replace(card.get_record(NAME), classes=("lane", "other"))
    assert card._held_out(load_segmenter(NAME), record, 2, SIZE) == {}


def test_the_commonest_mistakes_come_first_with_both_shares():
    matrix = np.array([[80, 20, 0], [5, 15, 0], [0, 0, 60]])
    assert confused_pairs(matrix, ("a", "b", "c")) == [("a", "b", 0.8, 0.2), ("b", "a", 0.2, 0.25)]
    assert confused_pairs(np.eye(3, dtype=np.int64), ("a", "b", "c")) == []


@pytest.mark.parametrize("count", [2, 11, 20])
def test_a_confusion_matrix_is_a_picture_with_an_absent_class_too(count):
    matrix = np.eye(count, dtype=np.int64) * 7
    matrix[0, 0] = 0
    figure = confusion_picture(matrix, [f"class {i}" for i in range(count)])
    assert [number.get_text() for number in figure.axes[0].texts] == ["100"] * (count - 1)
