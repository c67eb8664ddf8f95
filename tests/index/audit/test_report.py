"""The report: each count on a small set with one fault at a time, then real banknotes."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from darkroom.errors import ArtifactError
from darkroom.index.audit import report as reports
from darkroom.index.card import MOVED_PLANES, SIMILAR_GROUPS, UNLIKE_ANSWERS, Card
from darkroom.index.table import Index
from tests.support.realdata import REALDATA, needs_realdata

Tables = tuple[Index, pd.DataFrame, pd.DataFrame]


def build_report(index: Index, facts: pd.DataFrame, folds: pd.DataFrame) -> reports.Report:
    """Return the report on tables of which the facts hold the thumbnails."""
    thumbs = np.frombuffer(b"".join(facts["thumb"]), np.uint8).reshape(-1, 256)
    return reports.build_report(index, facts.drop(columns="thumb"), folds, thumbs)


def thumb(seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, 256).astype(np.uint8).tobytes()


def tables(task: str = "segmentation", train: int = 8, test: int = 4) -> Tables:
    """Return sound tables: all images differ, masks cover a quarter, classes alternate."""
    parts = ["train"] * train + ["test"] * test
    ids = [f"img{i:02}" for i in range(train)] + [f"t{i:02}" for i in range(test)]
    rows = pd.DataFrame({"id": ids, "part": parts})
    rows = rows.assign(image=rows["id"] + ".jpg", mask="", group="", official="")
    rows["digest"] = [hashlib.sha256(each.encode()).hexdigest()[:32] for each in ids]
    facts = rows[["part", "id"]].assign(height=20, width=30, format="JPEG", mode="RGB")
    facts = facts.assign(bytes=1000, exif=1, peak=250, raw_low=3.0, raw_high=250.0)
    facts = facts.assign(thumb=[thumb(i) for i in range(len(ids))])
    masked = (facts["part"] == "train") & (task == "segmentation")
    facts["mask_pixels"] = np.where(masked, 150, -1)
    facts["mask_values"] = np.where(masked, 255, -1)
    facts["stored_mask_digest"] = np.where(masked, rows["digest"], "")
    folds = pd.DataFrame({"id": ids[:train], "fold": np.arange(train) // 2 % 2})
    card = Card(task=task, header=("id", "y"))
    if task != "segmentation":
        rows["y"] = np.where(rows["part"] == "train", np.arange(len(ids)) % 2.0, np.nan)
        names = ("five", "ten") if task == "multiclass" else ()
        card = replace(card, targets=("y",), classes=names)
    return Index(rows, card), facts, folds


def test_a_sample_without_a_label_of_training_is_a_warning() -> None:
    index, facts, folds = tables("multiclass")
    index = Index(index.rows, replace(index.card, declared={UNLIKE_ANSWERS: 4}))
    (warning,) = build_report(index, facts, folds)["warnings"]
    assert warning.startswith("4 answers of the sample submission, and none is like what will be")
    assert "say what they mean in data.values" in warning


def test_counts_that_are_hardly_meant_are_warnings() -> None:
    index, facts, folds = tables("multiclass")
    groups, planes = f"{SIMILAR_GROUPS} P0, p0", f"test {MOVED_PLANES} blue, red"
    declared = {groups: 2, planes: 2, "test rows left out by where": 3}
    index = Index(index.rows, replace(index.card, declared=declared))
    one, other = build_report(index, facts, folds)["warnings"]
    assert one.startswith(f"2 {groups}: if they are one, write it in one way")
    assert other == f"2 {planes}: list data.test.image and data.valid.image as data.train.image."


def test_sound_data_gives_no_warning() -> None:
    report = build_report(*tables())
    assert report["warnings"] == []
    assert report["counts"]["found"] == {
        "train images": 8,
        "test images": 4,
        "images": 12,
        "groups": 0,
    }
    assert report["sizes"]["train"] == {
        "different": 1,
        "common": [{"height": 20, "width": 30, "images": 8}],
    }
    assert report["formats"] == {"train": {"JPEG": 8}, "test": {"JPEG": 4}}
    assert report["orientations"] == {"train": {}, "test": {}}
    none = {"count": 0, "first": []}
    assert report["ranges"]["test"] == {
        "values": {"low": 3.0, "high": 250.0},
        "sixteen_bits": 0,
        "narrow": none,
        "bits": None,
        "dark": none,
    }
    assert report["folds"] == {"0": 4, "1": 4}
    assert report["masks"]["share"] == {"mean": 0.25, "smallest": 0.25, "largest": 0.25}
    assert report["masks"]["values"] == {"255": 8}
    assert "targets" not in report


def test_several_mask_classes_each_have_their_shares() -> None:
    index, facts, folds = tables()
    cells = ["150 0 60", "0 0 0", "600 0 0", "150 0 0", *["150 30 0"] * 4, *["-1"] * 4]
    facts["mask_pixels"], facts["mask_values"] = cells, "values 0 1|run lengths"
    facts.loc[1, "stored_mask_digest"] = ""
    card = replace(
        index.card,
        targets=("road", "car"),
        values=((1, "road"), (2, "car"), (255, None)),
        unknown=True,
    )
    report = build_report(replace(index, card=card), facts, folds)
    masks = report["masks"]
    assert masks["images"] == 8
    assert masks["values"] == {"run lengths": 8, "values 0 1": 8}
    assert masks["empty"] == {"count": 1, "first": ["img01"]}
    assert masks["full"] == {"count": 1, "first": ["img02"]}
    assert masks["classes"] == {
        "road": {
            "images": 7,
            "share": {"mean": 0.3125, "smallest": 0.0, "largest": 1.0},
            "images_by_fold": {"0": 3, "1": 4},
        },
        "car": {
            "images": 4,
            "share": {"mean": 0.025, "smallest": 0.0, "largest": 0.05},
            "images_by_fold": {"0": 2, "1": 2},
        },
    }
    assert masks["unknown"] == {"mean": 0.0125, "smallest": 0.0, "largest": 0.1}
    json.dumps(report)


def test_a_mask_class_that_no_image_or_no_fold_shows_is_told() -> None:
    index, facts, folds = tables()
    train = facts["part"] == "train"
    facts["mask_pixels"] = np.where(train, "9 0 9", "-1")
    first = folds.loc[folds["fold"] == 0, "id"]
    facts.loc[facts["id"].isin(first), "mask_pixels"] = "9 0 0"
    card = replace(index.card, targets=("road", "car", "tree"))
    warnings = build_report(replace(index, card=card), facts, folds)["warnings"]
    assert warnings == [
        "No training image shows car.",
        "Fold 0 has no image that shows tree.",
    ]


def test_the_report_is_plain_json_and_does_not_depend_on_the_order_of_the_split() -> None:
    index, facts, folds = tables("multiclass")
    report = build_report(index, facts, folds)
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text) == report
    assert json.dumps(build_report(index, facts, folds.iloc[::-1])) == text
    with pytest.raises(ArtifactError, match="or in another order"):
        build_report(index, facts.iloc[::-1], folds)


def test_counts_that_differ_from_the_declared() -> None:
    index, facts, folds = tables()
    card = replace(index.card, declared={"train images": 9, "test images": 4, "cars": 3})
    report = build_report(Index(index.rows, card), facts, folds)
    assert report["counts"]["declared"] == {"cars": 3, "test images": 4, "train images": 9}
    assert report["warnings"] == ["8 train images are there, 9 are declared."]


def test_masks_missing_empty_and_full() -> None:
    index, facts, folds = tables()
    facts.loc[:2, "mask_pixels"] = [-1, 0, 600]
    report = build_report(index, facts, folds)
    assert report["masks"]["without"] == {"count": 1, "first": ["img00"]}
    assert report["masks"]["empty"] == {"count": 1, "first": ["img01"]}
    assert report["masks"]["full"] == {"count": 1, "first": ["img02"]}
    assert report["masks"]["images"] == 7
    assert report["warnings"] == [
        "1 training image without a mask (such as img00).",
        "1 training image with an empty mask (such as img01).",
        "1 training image all covered by the mask (such as img02).",
    ]


def test_exact_duplicates_by_where_they_are() -> None:
    index, facts, folds = tables("multiclass")
    digest = index.rows["digest"].tolist()
    digest[1] = digest[0]  # one fold, two classes
    digest[3] = digest[7] = digest[5]  # folds 1, 1 and 0, one class
    digest[8] = digest[2]  # train and test
    digest[10] = digest[9]  # test only
    report = build_report(Index(index.rows.assign(digest=digest), index.card), facts, folds)
    exact = report["exact_duplicates"]
    assert exact["within_train"]["sets"] == 2
    assert exact["across_folds"]["first"] == [["train img03", "train img05", "train img07"]]
    assert exact["contradictory"]["first"] == [["train img00", "train img01"]]
    assert exact["train_test"]["first"] == [["train img02", "test t00"]]
    assert report["warnings"] == [
        "1 set of byte-identical images are in more than one fold: their validation score "
        "cannot be trusted (train img03 = train img05).",
        "1 set of byte-identical images are in both train and test: the answer to a test image "
        "is known (train img02 = test t00).",
        "1 set of byte-identical images have different targets in train "
        "(train img00 = train img01).",
        "1 set of byte-identical images are in train, all in one fold (train img00 = train img01).",
    ]


def test_equal_images_with_different_masks_contradict_each_other() -> None:
    index, facts, folds = tables()
    digest, masks = index.rows["digest"].tolist(), facts["stored_mask_digest"].tolist()
    digest[1] = digest[0]  # two masks
    digest[5] = digest[4]  # one mask
    masks[5] = masks[4]
    twins = Index(index.rows.assign(digest=digest), index.card)
    report = build_report(twins, facts.assign(stored_mask_digest=masks), folds)
    exact = report["exact_duplicates"]
    assert exact["within_train"]["sets"] == 2
    assert exact["contradictory"] == {"sets": 1, "first": [["train img00", "train img01"]]}
    assert (
        "1 set of byte-identical images have different masks in train (train img00 = train img01)."
        in report["warnings"]
    )


def test_near_duplicates_across_folds_and_train_and_test() -> None:
    index, facts, folds = tables()
    one = facts["thumb"][0]
    facts.loc[2, "thumb"] = bytes([min(255, value + 1) for value in one])
    facts.loc[9, "thumb"] = one
    report = build_report(index, facts, folds)
    near = report["near_duplicates"]
    assert near["across_folds"]["pairs"] == 1
    assert near["across_folds"]["closest"][0]["images"] == ["train img00", "train img02"]
    assert near["train_test"]["pairs"] == 2
    assert near["train_test"]["closest"][0] == {"rms": 0.0, "images": ["train img00", "test t01"]}
    assert report["warnings"][0].startswith(
        "1 pair of near duplicates across folds, the closest train img00 and train img02 ("
    )
    assert report["warnings"][1].startswith("2 pairs of near duplicates across train and test")


def test_balance_of_classes_a_part_and_a_fold() -> None:
    index, facts, folds = tables("multiclass")
    report = build_report(index, facts, folds)
    assert report["targets"]["train"] == {"y": {"five": 4, "ten": 4}}
    assert report["targets"]["test"] == {"y": {"five": 0, "ten": 0}}
    assert report["targets_by_fold"] == {
        "0": {"y": {"five": 2, "ten": 2}},
        "1": {"y": {"five": 2, "ten": 2}},
    }
    assert report["warnings"] == []
    folds["fold"] = [0, 1, 0, 1, 0, 1, 1, 1]
    assert build_report(index, facts, folds)["warnings"] == ["Fold 0 has no image of ten."]


def test_soft_classes_count_by_their_greatest_share() -> None:
    index, facts, folds = tables("multiclass")
    five = np.where(index.rows["y"] == 0, 0.9, index.rows["y"] * 0.4)  # NaN in test
    rows = index.rows.drop(columns="y").assign(five=five, ten=1 - five)
    card = replace(index.card, targets=("five", "ten"), soft=True)
    report = build_report(Index(rows, card), facts, folds)
    assert report["targets"] == {
        "train": {"the greatest share": {"five": 4, "ten": 4}},
        "test": {"the greatest share": {"five": 0, "ten": 0}},
    }
    assert report["warnings"] == []
    facts["height"] = np.where(np.arange(len(facts)) % 2 == 0, 20, 24)
    shortcut = build_report(Index(rows, card), facts, folds)["size_shortcut"]
    assert (shortcut["target"], shortcut["accuracy"]) == ("the greatest share", 1)


def test_soft_labels_count_as_there_above_one_half() -> None:
    index, facts, folds = tables("multilabel")
    index.rows["y"] = index.rows["y"] * 0.4 + 0.3  # 0.3 and 0.7
    card = replace(index.card, label_values=("no", "yes"))
    report = build_report(Index(index.rows, card), facts, folds)
    assert report["targets"]["train"] == {"y": {"no": 4, "yes": 4}}
    assert report["warnings"] == []


def test_a_class_that_is_only_trained_on() -> None:
    index, facts, folds = tables("multiclass")
    index.rows.loc[:7, "y"] = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 2.0, 2.0]
    index = Index(index.rows, replace(index.card, classes=("five", "ten", "twenty")))
    folds["fold"] = [0, 0, 1, 1, 1, 1, -1, -1]
    assert build_report(index, facts, folds)["warnings"] == [
        "No fold validates images of twenty: they are only trained on, and no score is of them."
    ]


def test_a_label_that_no_training_image_has() -> None:
    index, facts, folds = tables("multilabel")
    rows = index.rows.assign(y=np.where(index.rows["part"] == "train", 0.0, np.nan))
    report = build_report(Index(rows, index.card), facts, folds)
    assert report["warnings"] == ["No training image with y."]


def test_a_label_that_all_images_of_a_fold_have() -> None:
    index, facts, folds = tables("multilabel")
    folds["fold"] = [0, 1, 0, 1, 0, 1, 1, 1]
    rows = index.rows.assign(y=1 - index.rows["y"])
    report = build_report(Index(rows, index.card), facts, folds)
    assert report["warnings"] == ["Fold 0 has no image without y."]


def test_the_spread_of_numbers() -> None:
    index, facts, folds = tables("regression")
    report = build_report(index, facts, folds)
    assert report["targets"]["train"]["y"]["mean"] == 0.5
    assert report["targets"]["test"]["y"] == {
        "images": 0,
        "mean": None,
        "std": None,
        "min": None,
        "max": None,
    }
    assert report["size_shortcut"] is None


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_a_fold_whose_training_images_know_nothing_of_a_target(task: str) -> None:
    index, facts, folds = tables(task)
    folds["fold"] = [0, 0, 1, 1, 1, 1, -1, -1]
    index.rows.loc[[0, 1, 6, 7], "y"] = np.nan
    card = replace(index.card, label_values=("no", "yes"))
    warnings = build_report(Index(index.rows, card), facts, folds)["warnings"]
    unlearned = "Fold 1 can't be trained: no training image of it has a known value of y."
    assert warnings[0] == unlearned
    index.rows.loc[6, "y"] = 1.0
    assert unlearned not in build_report(Index(index.rows, card), facts, folds)["warnings"]


def test_size_that_gives_the_class_away() -> None:
    index, facts, folds = tables("binary", train=40)
    facts["height"] = np.where(np.arange(len(facts)) % 2 == 0, 20, 24)
    report = build_report(index, facts, folds)
    assert report["size_shortcut"]["accuracy"] == 1
    assert report["size_shortcut"]["gives_away"] is True
    assert report["warnings"] == [
        "The size of an image alone predicts y with 100.0% accuracy (the most common class: "
        "50.0%): a shortcut that may not hold elsewhere."
    ]


def test_orientations_and_modes() -> None:
    index, facts, folds = tables()
    facts.loc[0, "exif"] = 6
    facts.loc[facts["part"] == "test", "mode"] = "L"
    report = build_report(index, facts, folds)
    assert report["orientations"]["train"] == {"6": 1}
    assert report["warnings"] == [
        "1 train image with an EXIF orientation, which is not applied: they may lie on their side.",
        "Pixels are stored differently in train and test: train RGB; test L.",
    ]


@pytest.mark.parametrize(("peak", "bits"), [(15, 12), (3, 10), (0, 8), (63, 14)])
def test_16_bit_images_of_fewer_bits(peak: int, bits: int) -> None:
    index, facts, folds = tables()
    facts["mode"], facts["raw_high"] = "I;16B", 250 * 256
    facts.loc[1:3, "peak"], facts.loc[1:3, "raw_high"] = peak, peak * 256 + 7
    report = build_report(index, facts, folds)
    assert report["ranges"]["train"]["sixteen_bits"] == 8
    assert report["warnings"] == [
        f"3 of 8 train images of 16 bits use at most {bits} of them: their high bytes, which are "
        "stored, are nearly black (such as img01). Set preprocess.levels."
    ]
    facts.loc[1:3, "peak"], facts.loc[1:3, "raw_high"] = 64, 64 * 256
    assert build_report(index, facts, folds)["warnings"] == []


def test_16_bit_images_that_levels_mapped_are_no_high_bytes() -> None:
    index, facts, folds = tables()
    facts["mode"], facts["raw_low"], facts["raw_high"] = "I;16", 200.0, 929.0
    facts["peak"] = 40
    report = build_report(index, facts, folds)
    assert report["ranges"]["train"]["values"] == {"low": 200.0, "high": 929.0}
    assert report["warnings"] == []


def test_images_that_are_nearly_black() -> None:
    index, facts, folds = tables()
    facts.loc[8, "peak"], facts.loc[9, "peak"] = 15, 16
    assert build_report(index, facts, folds)["warnings"] == [
        "1 test image nearly black, no value above 15 of 255 (such as t00)."
    ]


def test_classes_that_may_be_one_and_blanks_around_labels() -> None:
    index, facts, folds = tables("multiclass")
    for classes, expected in (
        (
            ("Dog", "dog"),
            "1 set of classes of y that differ only in the case or form of their letters "
            "('Dog' and 'dog'): are they one class?",
        ),
        (
            ("caf\u00e9", "cafe\u0301"),
            "1 set of classes of y that differ only in the case or form of their letters "
            "('caf\u00e9' and 'cafe\u0301'): are they one class?",
        ),
        (
            ("cat", " dog"),
            "Blanks around 1 class label of y (such as ' dog'): the submission will repeat them.",
        ),
    ):
        card = replace(index.card, classes=classes)
        assert build_report(Index(index.rows, card), facts, folds)["warnings"] == [expected]


@pytest.mark.parametrize("lost", ["facts", "folds"])
def test_tables_of_different_images_are_refused(lost: str) -> None:
    index, facts, folds = tables()
    tables_by_name: dict[str, Any] = {"facts": facts, "folds": folds}
    tables_by_name[lost] = tables_by_name[lost][1:]
    with pytest.raises(ArtifactError, match="not about the same images") as error:
        build_report(index, tables_by_name["facts"], tables_by_name["folds"])
    assert "12 images in the index, 8 of them for training" in str(error.value)
    assert "run the stages from index on again" in str(error.value)


@needs_realdata
@pytest.mark.slow
def test_real_banknotes_are_given_away_by_their_size() -> None:
    rows, facts = [], []
    names = {"training": "train", "validation": "valid", "test": "test"}
    for part, official in names.items():
        with tarfile.open(REALDATA / "banknotes" / f"{part}_data_pytorch.tar.gz") as archive:
            for member in sorted(archive.getmembers(), key=lambda each: each.name):
                file = archive.extractfile(member) if member.isfile() else None
                if file is None or "/._" in member.name:
                    continue
                data = file.read()
                grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
                small = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
                side = "test" if part == "test" else "train"
                y = int(member.name.split("/")[-1].split(".")[0]) // 10
                rows.append(
                    {"id": member.name, "part": side, "group": "", "official": official}
                    | {"digest": hashlib.sha256(data).hexdigest()[:32], "y": float(y)}
                )
                facts.append(
                    {"id": member.name, "part": side, "height": grey.shape[0]}
                    | {"width": grey.shape[1], "format": "JPEG", "mode": "RGB", "exif": 1}
                    | {"peak": int(grey.max()), "raw_low": 0.0, "raw_high": 255.0}
                    | {"mask_pixels": -1, "thumb": np.asarray(small).tobytes()}
                )
    table = pd.DataFrame(rows)
    train = table[table["part"] == "train"]
    folds = pd.DataFrame({"id": train["id"], "fold": (train["official"] == "valid") - 1})
    classes = ("5", "10", "20", "50", "100", "200", "500")
    card = Card(task="multiclass", targets=("y",), classes=classes, header=("id", "y"))
    report = build_report(Index(table, card), pd.DataFrame(facts), folds)
    assert report["targets"]["train"] == {"y": dict.fromkeys(classes, 20)}
    assert report["size_shortcut"]["accuracy"] == 1
    assert report["size_shortcut"]["baseline"] == pytest.approx(1 / 7, abs=1e-6)
    assert [warning[:31] for warning in report["warnings"]] == ["The size of an image alone pred"]
