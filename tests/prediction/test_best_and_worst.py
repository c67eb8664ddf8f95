"""The page of the best and worst images: which images, in what order, with which captions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from darkroom.images import sheets
from darkroom.images.class_pictures import ERRORS_LEGEND, class_legend, mask_panels
from darkroom.index.card import Card
from darkroom.prediction import best_and_worst
from darkroom.prediction.decision import Decision
from darkroom.prediction.label_scores import Evaluation
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard
from tests.support import drawn

SCORES = {"a": 0.5, "b": 0.9, "c": 0.1, "d": 0.7, "e": 0.1}


def scores(**values: float) -> pd.DataFrame:
    return pd.DataFrame({"id": list(values), "score": list(values.values())})


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, "cb"), (2, "cebd"), (3, "cebd"), (8, "cebd")],
)
def test_the_worst_first_then_the_best(count: int, expected: str) -> None:
    assert best_and_worst.select(scores(**SCORES), count) == list(expected)


def test_one_image_or_two() -> None:
    assert best_and_worst.select(scores(a=0.5), 8) == ["a"]
    assert best_and_worst.select(scores(a=0.5, b=0.1), 8) == ["b", "a"]


def test_no_image_is_shown_twice_and_the_order_of_rows_does_not_matter() -> None:
    values = {f"i{n}": float(n % 5) for n in range(17)}
    selected = best_and_worst.select(scores(**values), 8)
    assert len(selected) == len(set(selected)) == 16
    assert selected == best_and_worst.select(scores(**dict(reversed(values.items()))), 8)


def captured(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Return a dictionary that receives the arguments of the grid when it is drawn."""
    arguments: dict[str, object] = {}
    draw = sheets.grid

    def grid(tiles: list[sheets.Pixels], captions: list[str], **options: object) -> sheets.Pixels:
        arguments.update(options, tiles=tiles, captions=captions)
        return draw(tiles, captions, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sheets, "grid", grid)
    return arguments


def test_masks_are_compared_at_the_chosen_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = drawn.discs(tmp_path / "s", 3)
    truth = shards.mask(1)
    assert truth is not None
    predictions = {"001": truth * np.float32(0.3), "002": np.zeros((1, 32, 32), np.float32)}
    rows = pd.DataFrame({"id": ["000", "001", "002"], "fold": [1, 0, 0]})
    evaluation = Evaluation(
        {"dice": 0.5, "images": 2}, scores(**{"001": 1.0, "002": 0.0}), {}, decision=Decision(0.25)
    )
    arguments = captured(monkeypatch)
    card = Card("segmentation", header=("id", "rle"))
    page = best_and_worst.draw_page(
        "cars", evaluation, ["002", "001"], predictions, rows, card, shards
    )
    assert page.dtype == np.uint8
    assert arguments["captions"] == ["002\n0.0000", "001\n1.0000"]
    assert arguments["title"] == "cars: the worst, then the best"
    assert arguments["text"] == ["dice 0.5000"], "counts are not figures"
    assert arguments["legend"] == sheets.COMPARE_LEGEND
    missing = shards.mask(2)
    assert missing is not None
    missed = sheets.compare(shards.image(2), missing[0], np.zeros((32, 32), np.uint8))
    hit = sheets.compare(shards.image(1), truth[0], truth[0])
    tiles = arguments["tiles"]
    assert isinstance(tiles, list)
    assert np.array_equal(tiles[0], missed)
    assert np.array_equal(tiles[1], hit)


def test_classes_are_captioned_with_the_colour_of_right_and_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = drawn.colours(tmp_path / "s", 3)
    predictions = {
        "000": np.array([0.8, 0.1, 0.1], np.float32),
        "002": np.array([0.1, 0.7, 0.2], np.float32),
    }
    rows = pd.DataFrame({"id": ["000", "001", "002"], "class": [0.0, 1.0, 2.0]})
    evaluation = Evaluation(
        {"accuracy": 0.5}, scores(**{"000": 0.8, "002": 0.2}), {}, Decision(None)
    )
    arguments = captured(monkeypatch)
    card = Card("multiclass", ("class",), ("red", "green", "blue"), header=("id", "class"))
    best_and_worst.draw_page("notes", evaluation, ["002", "000"], predictions, rows, card, shards)
    assert arguments["captions"] == ["002\ngreen 70%, is blue", "000\nred 80%"]
    assert arguments["marks"] == [sheets.EXCESS, sheets.RIGHT]
    assert arguments["legend"] == ()


GRADES = Card("multiclass", ("g",), ("0", "1"), header=("id", "g"))
VALUES = Card("regression", ("a", "b"), header=("id", "a", "b"))
LABELS = Card("multilabel", ("a", "b"), header=("id", "a", "b"))


@pytest.mark.parametrize(
    ("card", "decision", "shares", "caption", "text"),
    [
        # The grade expected is 0.45.
        (GRADES, Decision(None, cuts=(0.4,)), (0.55, 0.45), "1 45%", []),
        (LABELS, Decision(at_least_one=True), (0.1, 0.4), "2 of 2 right", [best_and_worst.SIGNS]),
        (LABELS, Decision(), (0.9, 0.4), "0 of 2: +a −b", [best_and_worst.SIGNS]),
        (VALUES, Decision(None), (0.9, 2.0), "a 0.9 (is 0), b 2 (is 1)", []),
    ],
)
def test_captions_say_what_was_decided(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    card: Card,
    decision: Decision,
    shares: tuple[float, float],
    caption: str,
    text: list[str],
) -> None:
    shards = drawn.colours(tmp_path / "s", 1)
    rows = pd.DataFrame({"id": ["000"], "g": [1.0], "a": [0.0], "b": [1.0]})
    evaluation = Evaluation({"accuracy": 1.0}, scores(**{"000": 0.8}), {}, decision)
    arguments = captured(monkeypatch)
    predictions = {"000": np.array(shares, np.float32)}
    best_and_worst.draw_page("x", evaluation, ["000"], predictions, rows, card, shards)
    assert arguments["captions"] == [f"000\n{caption}"]
    assert arguments["text"] == ["accuracy 1.0000", *text]


def test_several_mask_classes_are_shown_as_truth_answer_and_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = np.zeros((2, 8, 9), np.uint8)
    masks[0, :4], masks[1, 4:6] = 1, 1
    image = np.full((8, 9, 3), 90, np.uint8)
    row = StoredImage("a", pack_image(image, "raw", 95), pack_mask(masks), 8, 9)
    write_shard(
        tmp_path / shard_name("train", 0), [row], ShardFormat(8, 9, "stretch", "raw", planes=2)
    )
    prediction = np.array([[[0.4]], [[0.5]]], np.float32) * np.ones((2, 8, 9), np.float32)
    arguments = captured(monkeypatch)
    values = ((1, "road"), (2, "car"))
    card = Card("segmentation", ("road", "car"), header=("id", "rle"), values=values)
    best_and_worst.draw_page(
        "town",
        Evaluation({"dice": 0.5}, scores(a=0.5)),
        ["a"],
        {"a": prediction},
        pd.DataFrame({"id": ["a"]}),
        card,
        Store(tmp_path, "train"),
    )
    everywhere = np.stack([masks[0] * 0, masks[0] * 0 + 1])  # 0.5 is the greatest of 0.1, 0.4, 0.5
    tiles = arguments["tiles"]
    assert isinstance(tiles, list)
    assert np.array_equal(tiles[0], mask_panels(image, masks, everywhere))
    assert arguments["legend"] == (*class_legend(["road", "car"]), *ERRORS_LEGEND)
    assert arguments["text"] == ["dice 0.5000", best_and_worst.PANELS]
