"""Splits: small ones by hand, what is refused, then what must hold for any rows."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from darkroom.errors import ArtifactError, DataError, ParamsError
from darkroom.index import split
from darkroom.index.card import Card
from darkroom.index.table import shown_classes


def table(count: int, **columns: Any) -> pd.DataFrame:
    """Return training rows img00, img01, ... each its own group, byte for byte different."""
    ids = [f"img{i:02}" for i in range(count)]
    plain: dict[str, Any] = {"id": ids, "group": "", "official": "", "digest": ids}
    return pd.DataFrame(plain | columns)


def fold_by_id(frame: pd.DataFrame) -> dict[str, int]:
    return {str(i): int(f) for i, f in zip(frame["id"], frame["fold"], strict=True)}


def test_each_group_is_in_one_fold_and_folds_are_equal() -> None:
    rows = table(12, group=["a", "b", "c", "d"] * 3)
    frame = split.assign_folds(rows, by="group", count=2, seed=7, task="segmentation")
    assert list(frame.columns) == ["id", "fold"]
    assert frame["id"].tolist() == sorted(rows["id"])
    assert frame["fold"].value_counts().to_dict() == {0: 6, 1: 6}
    assert frame["fold"].groupby(rows["group"]).nunique().tolist() == [1] * 4


def test_equal_digests_join_groups_even_by_way_of_a_third_image() -> None:
    # img00 - img01 share a group, img01 - img02 bytes, img02 - img03 another group
    rows = table(8, group=["a", "a", "b", "b", "", "", "", ""], digest=list("pqqrstuv"))
    for seed in range(10):
        frame = split.assign_folds(rows, by="group", count=2, seed=seed, task="segmentation")
        assert frame["fold"][:4].nunique() == 1
        assert frame["fold"].value_counts().to_dict() == {0: 4, 1: 4}


def test_stratify_gives_every_fold_its_share_of_each_class() -> None:
    rows = table(20, y=[0.0] * 10 + [1.0] * 6 + [2.0] * 4)
    frame = split.assign_folds(
        rows, by="stratify", count=2, seed=7, task="multiclass", targets=["y"]
    )
    shares = pd.crosstab(frame["fold"], rows["y"])
    assert shares.to_numpy().tolist() == [[5, 3, 2], [5, 3, 2]]


def test_stratify_respects_groups() -> None:
    rows = table(24, y=[0.0, 0.0, 1.0] * 8, group=[f"g{i // 3}" for i in range(24)])
    frame = split.assign_folds(rows, by="stratify", count=4, seed=7, task="binary", targets=["y"])
    assert frame["fold"].groupby(rows["group"]).nunique().max() == 1
    assert pd.crosstab(frame["fold"], rows["y"]).to_numpy().tolist() == [[4, 2]] * 4


def test_stratify_spreads_a_rare_attribute() -> None:
    rows = table(30, common=[1.0, 0.0] * 15, rare=[1.0] * 3 + [0.0] * 27)
    for seed in range(10):
        frame = split.assign_folds(
            rows, by="stratify", count=3, seed=seed, task="multilabel", targets=["common", "rare"]
        )
        assert sorted(frame["fold"][:3]) == [0, 1, 2]
        assert frame["fold"][rows["common"] == 1].value_counts().tolist() == [5, 5, 5]


def test_stratify_evens_out_the_tenths_of_a_number() -> None:
    values = np.arange(100.0) ** 2
    rows = table(100, y=values)
    frame = split.assign_folds(
        rows, by="stratify", count=5, seed=7, task="regression", targets=["y"]
    )
    lowest, highest = frame["fold"][:10], frame["fold"][90:]
    assert lowest.value_counts().tolist() == highest.value_counts().tolist() == [2] * 5


def test_stratify_without_targets_is_as_by_group() -> None:
    rows = table(12, group=["a", "b", "c", "d"] * 3)
    given_seed: dict[str, Any] = {"count": 2, "seed": 7, "task": "segmentation"}
    pd.testing.assert_frame_equal(
        split.assign_folds(rows, by="stratify", **given_seed),
        split.assign_folds(rows, by="group", **given_seed),
    )


def test_stratify_gives_every_fold_its_share_of_each_mask_class() -> None:
    shows = [["[]", '["rle:row 1 1"]'][n < 4] for n in range(12)]
    shows_other = [["[]", '["a.png"]'][n in (3, 4, 11)] for n in range(12)]
    masks = [f"[{one}, {other}]" for one, other in zip(shows, shows_other, strict=True)]
    card = Card("segmentation", targets=("self", "other"))
    rows, targets = shown_classes(table(12, mask=masks), card)
    assert targets == ("self", "other")
    assert [rows[name].sum() for name in targets] == [4, 3]
    for seed in range(10):
        frame = split.assign_folds(
            rows, by="stratify", count=2, seed=seed, task="segmentation", targets=targets
        )
        assert frame["fold"][rows["self"] == 1].value_counts().tolist() == [2, 2]
        assert sorted(frame["fold"][rows["other"] == 1].value_counts()) == [1, 2]
        assert frame["fold"].value_counts().tolist() == [6, 6]


def test_of_one_mask_class_and_of_pictures_of_values_only_images_are_balanced() -> None:
    rows = table(4, mask="a.png")
    values = Card("segmentation", targets=("road", "car"), values=((1, "road"), (2, "car")))
    for card in (Card("segmentation"), values):
        assert shown_classes(rows, card) == (rows, ())


def test_official_validates_the_official_part_once() -> None:
    rows = table(4, official=["train", "valid", "train", "valid"])
    frame = split.assign_folds(rows, by="official", count=0, seed=7, task="segmentation")
    assert fold_by_id(frame) == {"img00": -1, "img01": 0, "img02": -1, "img03": 0}


def test_official_without_an_official_partition() -> None:
    with pytest.raises(ParamsError) as error:
        split.assign_folds(table(4), by="official", count=2, seed=7, task="segmentation")
    assert "there is no official partition to split by" in str(error.value)
    assert "4 images of no part" in str(error.value)
    assert "set split.by to group or stratify" in str(error.value)


def test_official_with_images_of_no_part() -> None:
    rows = table(4, official=["train", "valid", "train", ""])
    with pytest.raises(DataError, match="outside the official parts train and valid") as error:
        split.assign_folds(rows, by="official", count=2, seed=7, task="segmentation")
    assert "img03: no part" in str(error.value)


def test_official_with_one_image_on_both_sides() -> None:
    rows = table(4, official=["train", "valid", "train", "valid"], digest=list("abcc"))
    with pytest.raises(DataError) as error:
        split.assign_folds(rows, by="official", count=2, seed=7, task="segmentation")
    assert "in both train and valid" in str(error.value)
    assert "img02 (fold -1) and img03 (fold 0): byte-identical" in str(error.value)


def test_official_with_a_group_on_both_sides() -> None:
    rows = table(4, official=["train", "valid", "train", "valid"], group=["", "z", "z", "z"])
    with pytest.raises(DataError) as error:
        split.assign_folds(rows, by="official", count=2, seed=7, task="segmentation")
    assert "img01 (fold 0) and img02 (fold -1): both of group z" in str(error.value)


def test_fewer_groups_than_folds() -> None:
    rows = table(12, group=["a", "b", "c"] * 4)
    with pytest.raises(ParamsError) as error:
        split.assign_folds(rows, by="group", count=5, seed=7, task="segmentation")
    assert "more folds than groups of images that must stay together" in str(error.value)
    assert "5 folds, 3 groups (12 images)" in str(error.value)
    assert "at most 3 folds\n  to do: lower split.folds" in str(error.value)


def test_one_group_can_not_be_split_by_lowering_the_folds() -> None:
    rows = table(4, group=["a"] * 4)
    with pytest.raises(ParamsError) as error:
        split.assign_folds(rows, by="group", count=2, seed=7, task="segmentation")
    assert str(error.value).endswith(
        "found: 2 folds, 1 groups (4 images)\n  expected: 2 groups or more\n"
        "  to do: group by a column that differs, or leave group out"
    )


@pytest.mark.parametrize("count", [1, 0, -3])
def test_fewer_than_two_folds(count: int) -> None:
    with pytest.raises(ParamsError, match="too few folds") as error:
        split.assign_folds(table(4), by="group", count=count, seed=7, task="segmentation")
    assert f"found: {count}" in str(error.value)


def test_a_way_to_split_that_does_not_exist() -> None:
    with pytest.raises(ParamsError, match="unknown method to split"):
        split.assign_folds(table(4), by="magic", count=2, seed=7, task="segmentation")  # type: ignore[arg-type]


def test_a_class_with_fewer_images_than_folds_is_only_trained_on() -> None:
    rows = table(23, y=[0.0] * 12 + [1.0] * 8 + [2.0] * 3)
    choices: dict[str, Any] = {"by": "stratify", "seed": 7, "task": "multiclass", "targets": ["y"]}
    frame = split.assign_folds(rows, count=4, **choices)
    shares = pd.crosstab(rows["y"], frame["fold"])
    assert shares.columns.equals(pd.Index(range(-1, 4)))
    assert shares.to_numpy().tolist() == [[0, 3, 3, 3, 3], [0, 2, 2, 2, 2], [3, 0, 0, 0, 0]]
    others = split.assign_folds(rows[:20], count=4, **choices)
    assert frame[:20].equals(others), "the others are split as if it were not there"
    assert -1 not in split.assign_folds(rows, count=3, **choices)["fold"].tolist()


def test_a_small_class_stays_with_its_group() -> None:
    rows = table(12, y=[0.0, 1.0] * 5 + [0.0, 2.0], group=[f"g{n // 2}" for n in range(12)])
    methods: tuple[split.By, ...] = ("stratify", "group")
    for by in methods:
        frame = split.assign_folds(rows, by=by, count=2, seed=7, task="multiclass", targets=["y"])
        assert [fold == -1 for fold in frame["fold"]] == [False] * 10 + [True] * 2


@given(st.lists(st.integers(0, 5), min_size=12, max_size=60), st.integers(2, 4), st.booleans())
def test_no_class_is_validated_that_is_not_trained_on(
    numbers: list[int], count: int, stratified: bool
) -> None:
    rows = table(len(numbers), y=np.array(numbers, float))
    by: Any = "stratify" if stratified else "group"
    try:
        frame = split.assign_folds(
            rows, by=by, count=count, seed=1, task="multiclass", targets=["y"]
        )
    except (DataError, ParamsError):
        return
    folds = frame["fold"].to_numpy()
    for each in set(numbers):
        own = folds[np.array(numbers) == each]
        assert len(set(own)) > 1 or own[0] == -1
        if (own == -1).any():
            assert (own == -1).all()
            assert len(own) < count
    assert set(range(count)) <= set(folds)


@pytest.mark.parametrize(
    ("count", "fix"),
    [
        (5, "lower split.folds to 3, or add images of these classes"),
        (
            2,
            "add images of these classes; or name others to validate on in data.valid, and set "
            "split.by to official",
        ),
    ],
)
def test_at_least_two_classes_must_be_validated(count: int, fix: str) -> None:
    rows = table(12, y=[0.0] * 11 + [1.0] if count == 2 else [0.0] * 9 + [1.0] * 3)
    with pytest.raises(DataError, match="fewer than two classes can be validated") as error:
        split.assign_folds(rows, by="stratify", count=count, seed=7, task="binary", targets=["y"])
    assert str(error.value).endswith(f"\n  to do: {fix}")


def test_a_class_of_one_group_is_absent_while_it_is_validated() -> None:
    rows = table(12, y=[0.0] * 9 + [1.0] * 3, group=list("abcdefghi") + ["z"] * 3)
    with pytest.raises(DataError, match="a class is absent from training") as error:
        split.assign_folds(rows, by="group", count=3, seed=7, task="multiclass", targets=["y"])
    assert "class 1: all its images are validated in fold" in str(error.value)
    assert "set split.by to stratify" in str(error.value)


def test_a_class_only_in_the_official_validation() -> None:
    rows = table(4, official=["train", "train", "valid", "valid"], y=[0.0, 0.0, 0.0, 1.0])
    with pytest.raises(DataError, match="class 1: all its images are validated in fold 0"):
        split.assign_folds(rows, by="official", count=2, seed=7, task="binary", targets=["y"])
    rows["y"] = [0.0, 1.0, 0.0, 0.0]
    assert (
        len(split.assign_folds(rows, by="official", count=2, seed=7, task="binary", targets=["y"]))
        == 4
    )


def test_a_class_without_any_image() -> None:
    rows = table(8, y=[0.0, 1.0] * 4)
    folds = split.assign_folds(
        rows,
        by="stratify",
        count=2,
        seed=7,
        task="multiclass",
        targets=["y"],
        classes=("five", "ten", "twenty"),  # the judge has a column for it
    )
    assert folds["fold"].value_counts().to_dict() == {0: 4, 1: 4}


def test_check_finds_a_stale_split() -> None:
    rows = table(4)
    frame = split.assign_folds(rows, by="group", count=2, seed=7, task="segmentation")
    with pytest.raises(ArtifactError, match="name different images") as error:
        split.check_split(table(5), frame)
    assert "img04" in str(error.value)
    assert "4 images in the split, 5 in the index" in str(error.value)
    with pytest.raises(ArtifactError, match="names images twice"):
        split.check_split(rows, pd.concat([frame, frame[:1]]))


@pytest.mark.parametrize(
    ("column", "words"), [("group", "both of group z"), ("digest", "byte-identical")]
)
def test_check_finds_a_leak(column: str, words: str) -> None:
    rows = table(4, **{column: ["z", "y", "z", "x"]})
    frame = pd.DataFrame({"id": rows["id"], "fold": [0, 0, 1, 1]})
    with pytest.raises(ArtifactError, match="both sides of a fold") as error:
        split.check_split(rows, frame)
    assert f"img00 (fold 0) and img02 (fold 1): {words}" in str(error.value)


@st.composite
def any_rows(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(12, 60))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    digests = [draw(st.sampled_from([f"d{i}", f"d{i}", f"d{i // 2}"])) for i in range(count)]
    return table(
        count,
        group=column(st.sampled_from(["", "", "", "a", "b", "c"])),
        digest=digests,
        one=column(st.sampled_from([0.0, 1.0])),
        two=column(st.sampled_from([0.0, 0.0, 1.0])),
    )


@given(rows=any_rows(), by=st.sampled_from(["group", "stratify"]), seed=st.integers(0, 5))
def test_the_order_of_rows_does_not_matter_and_no_unit_is_in_two_folds(
    rows: pd.DataFrame, by: split.By, seed: int
) -> None:
    assume(split._units(rows).max() >= 2)  # groups that share images may be one or two
    options: dict[str, Any] = {"by": by, "count": 3, "seed": seed, "task": "multilabel"}
    options["targets"] = ["one", "two"]
    frame = split.assign_folds(rows, **options)
    mixed = rows.sample(frac=1, random_state=seed).set_index(np.arange(100, 100 + len(rows)))
    pd.testing.assert_frame_equal(split.assign_folds(mixed, **options), frame)
    split.check_split(rows, frame)
    assert set(frame["fold"]) == {0, 1, 2}
    if by == "group":
        largest = max(np.bincount(split._units(rows)))
        images = frame["fold"].value_counts()
        assert images.max() - images.min() <= largest


def test_another_seed_gives_another_split() -> None:
    rows = table(40, group=[f"g{i % 20}" for i in range(40)])
    splits = {
        tuple(split.assign_folds(rows, by="group", count=5, seed=seed, task="segmentation")["fold"])
        for seed in range(10)
    }
    assert len(splits) == 10


def test_the_split_of_a_known_table_stays_what_it_is() -> None:
    rows = table(10, group=["a", "a", "b", "b", "c", "c", "", "", "", ""])
    frame = split.assign_folds(rows, by="group", count=3, seed=7, task="segmentation")
    assert frame["fold"].tolist() == [0, 0, 2, 2, 1, 1, 0, 2, 0, 1]


def balanced(sizes: list[int], labels: list[list[int]], count: int, seed: int = 0) -> list[int]:
    shape = (len(sizes), max(map(len, labels), default=0))
    counts = csr_array(np.array(labels, np.int64).reshape(shape))
    folds = split.balance_units(
        np.array(sizes, np.int64), counts, count, np.random.default_rng(seed)
    )
    return [int(fold) for fold in folds]


def test_the_largest_unit_is_placed_first() -> None:
    folds = balanced([1, 1, 1, 3], [[]] * 4, 2)
    assert folds[3] == 0
    assert folds[:3] == [1, 1, 1]


def test_two_classes_are_halved() -> None:
    labels = [[1, 0]] * 4 + [[0, 1]] * 2
    folds = balanced([1] * 6, labels, 2)
    assert sorted(folds[:4]) == [0, 0, 1, 1]
    assert sorted(folds[4:]) == [0, 1]


def test_rows_without_a_label_fill_up_the_smaller_folds() -> None:
    folds = balanced([1] * 6, [[1], [1], [0], [0], [0], [0]], 3)
    assert np.bincount(folds).tolist() == [2, 2, 2]
    assert folds[0] != folds[1]


def test_a_rare_label_goes_before_a_common_one() -> None:
    labels = [[1, 1], [1, 1]] + [[1, 0]] * 4
    for seed in range(20):
        folds = balanced([1] * 6, labels, 2, seed)
        assert folds[0] != folds[1]
        assert sorted(folds) == [0, 0, 0, 1, 1, 1]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=60),
    count=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_without_labels_folds_differ_by_a_unit_at_most(
    sizes: list[int], count: int, seed: int
) -> None:
    folds = balanced(sizes, [[]] * len(sizes), count, seed)
    images = np.bincount(folds, weights=sizes, minlength=count)
    assert images.max() - images.min() <= max(sizes)
    assert images.sum() == sum(sizes)


@given(
    classes=st.lists(st.integers(0, 3), min_size=6, max_size=80),
    count=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_each_class_is_spread_to_within_one_image(
    classes: list[int], count: int, seed: int
) -> None:
    labels = [[int(each == k) for k in range(4)] for each in classes]
    folds = np.array(balanced([1] * len(classes), labels, count, seed))
    for k in range(4):
        spread = np.bincount(folds[np.array(classes) == k], minlength=count)
        assert spread.max() - spread.min() <= 1
    assert np.bincount(folds, minlength=count).min() >= 1


@given(seed=st.integers(0, 1000), count=st.integers(2, 5))
def test_attributes_of_many_images_are_shared_evenly(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.02, 0.9, 12)
    labels = (rng.random((400, 12)) < shares).astype(np.int64)
    folds = split.balance_units(np.ones(400, np.int64), csr_array(labels), count, rng)
    sizes = np.bincount(folds, minlength=count)
    assert sizes.max() - sizes.min() <= 10
    for k in range(12):
        spread = np.bincount(folds[labels[:, k] == 1], minlength=count)
        assert np.abs(spread - labels[:, k].sum() / count).max() <= 5


def test_thousands_of_classes_take_no_room_of_their_own() -> None:
    """A dense table of images and classes would be 32 MB here, and 100 GB of Herbarium 2022."""
    count, classes = 4000, 1000
    rows = table(count, y=np.arange(count) % classes * 1.0)
    tracemalloc.start()
    frame = split.assign_folds(
        rows, by="stratify", count=4, seed=3, task="multiclass", targets=["y"]
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    fold_of = frame.set_index("id")["fold"].reindex(rows["id"])
    assert fold_of.groupby(rows["y"].to_numpy()).nunique().eq(4).all()  # one of each in each fold
    assert peak < 8e6


@given(
    groups=st.lists(st.sampled_from(["", "", "a", "b", "c"]), min_size=1, max_size=12),
    data=st.data(),
)
def test_units_are_the_images_that_groups_and_digests_join(
    groups: list[str], data: st.DataObject
) -> None:
    count = len(groups)
    digests = data.draw(st.lists(st.sampled_from("uvwxyz"), min_size=count, max_size=count))
    units = list(range(count))
    for _ in range(count):  # the lowest number spreads until nothing changes
        for keys in (groups, digests):
            for row, key in enumerate(keys):
                alike = [units[other] for other in range(count) if key and keys[other] == key]
                units[row] = min([units[row], *alike])
    numbers = {unit: number for number, unit in enumerate(sorted(set(units)))}
    rows = table(count, group=groups, digest=digests).astype({"group": "str", "digest": "str"})
    assert split._units(rows).tolist() == [numbers[unit] for unit in units]
