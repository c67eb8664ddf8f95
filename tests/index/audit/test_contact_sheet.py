"""The contact sheet: which images it shows, what it says of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from darkroom.images import class_pictures, sheets
from darkroom.index.audit import contact_sheet
from tests.index.audit.test_report import build_report, tables


def test_choose_takes_one_of_each_stretch() -> None:
    rows = pd.DataFrame({"id": range(100)})
    assert contact_sheet.choose_rows(rows, 4) == [12, 27, 68, 83]
    assert contact_sheet.choose_rows(rows[:3], 4) == [0, 1, 2]


@pytest.mark.parametrize("period", [2, 5, 10, 16])
def test_choose_shows_several_places_of_a_period(period: int) -> None:
    chosen = contact_sheet.choose_rows(pd.DataFrame({"id": range(160)}), 16)
    assert chosen == sorted(set(chosen))
    assert [place // 10 for place in chosen] == list(range(16))
    assert len({place % period for place in chosen}) >= min(period, 6)


def test_choose_gives_each_class_its_share() -> None:
    rows = pd.DataFrame({"y": [0.0] * 90 + [1.0] * 6 + [2.0] * 4})
    chosen = contact_sheet.choose_rows(rows, 7, by="y")
    assert rows["y"][chosen].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert len(contact_sheet.choose_rows(rows, 200, by="y")) == 100


@pytest.mark.parametrize(
    ("task", "values", "fold", "expected"),
    [
        ("segmentation", {}, 2, "a.jpg\nfold 2"),
        ("segmentation", {}, None, "a.jpg\ntest"),
        ("multiclass", {"y": 1.0}, 0, "a.jpg\nfold 0 · ten"),
        ("multiclass", {"y": np.nan}, None, "a.jpg\ntest"),
        ("multilabel", {"Big_Nose": 1.0, "Bald": 0.0}, -1, "a.jpg\ntrain\nBig Nose"),
        ("multilabel", {"Bald": 0.0}, 1, "a.jpg\nfold 1\nnone"),
        ("multilabel", dict.fromkeys("abcdefg", 1.0), 1, "a.jpg\nfold 1\na\nb\nc\nd\nand 3 more"),
        ("regression", {"y": 3.14159}, 0, "a.jpg\nfold 0 · 3.142"),
        ("regression", {"y": 3.14159, "x": 2.0}, 0, "a.jpg\nfold 0\ny 3.142\nx 2"),
    ],
)
def test_captions(task: str, values: dict[str, float], fold: int | None, expected: str) -> None:
    row = pd.Series({"id": "a.jpg", **values})
    caption = contact_sheet.caption(
        row, task=task, targets=list(values), classes=["five", "ten"], fold=fold
    )
    assert caption == expected


def test_the_sheet_shows_images_outlines_and_grows_with_warnings() -> None:
    index, facts, folds = tables()
    report = build_report(index, facts, folds)
    grey = np.full((60, 90, 3), 128, np.uint8)
    mask = np.zeros((1, 60, 90), np.uint8)
    mask[0, 20:40, 30:60] = 1
    page = contact_sheet.contact_sheet("cars", report, [grey, grey], [mask, None], ["a", "b"])
    reddish = page[..., 0].astype(int) - page[..., 1] > 60
    assert reddish[10:].sum() > 100
    facts.loc[0, "mask_pixels"] = 0
    warned = contact_sheet.contact_sheet(
        "cars", build_report(index, facts, folds), [grey, grey], [mask, None], ["a", "b"]
    )
    assert warned.shape[0] > page.shape[0]


def test_several_classes_have_a_colour_and_a_legend_each() -> None:
    index, facts, folds = tables()
    facts["mask_pixels"] = np.where(facts["part"] == "train", "150 30", "-1")
    card = replace(index.card, targets=("road", "car"))
    report = build_report(replace(index, card=card), facts, folds)
    assert "2 mask classes" in contact_sheet._summary(report)
    grey = np.full((60, 90, 3), 128, np.uint8)
    mask = np.zeros((2, 60, 90), np.uint8)
    mask[0, 10:50, 10:40], mask[1, 20:40, 50:80] = 1, 1
    page = contact_sheet.contact_sheet("town", report, [grey], [mask], ["a"], card.targets)
    for number in (0, 1):
        of_class = (page == class_pictures.class_colour(number)).all(axis=2)
        assert of_class.sum() >= 15 * 15, "a square in the legend"
    values = contact_sheet.contact_sheet("sizes", report, [grey], [None], ["a"], card.targets)
    assert not (values == class_pictures.class_colour(0)).all(axis=2).any(), "no masks, no colours"


def test_the_summary_has_the_main_counts() -> None:
    report = build_report(*tables())
    assert contact_sheet._summary(report) == (
        "segmentation · 8 train · 4 test · 2 folds · 30×20 px · masks cover 25.0%"
    )
    report["warnings"] = [f"warning {k}" for k in range(9)]
    grey = np.full((60, 90, 3), 128, np.uint8)
    assert contact_sheet.contact_sheet("cars", report, [grey], [None], ["a"]).shape[1] >= (
        sheets.HEADED_WIDTH_PX
    )
