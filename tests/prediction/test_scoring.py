"""Known predictions scored as a whole: out of fold, at original size, beside the baselines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from darkroom.images.geometry import FITS, Fit, fit_mask
from darkroom.index.table import Card
from darkroom.prediction import scoring
from darkroom.prediction.predict import Prediction
from darkroom.prediction.scoring import Side
from darkroom.raw.archives import Archives
from darkroom.store.store import Row, Store, pack_image, pack_mask, shard_name, write_shard
from tests.support.packed import zip_of
from tests.support.tiny import png

LEFT = np.repeat([[1, 0]], 4, axis=1).repeat(4, axis=0).astype(np.uint8)  # 4 x 8
TOP = np.repeat([[1], [0]], 2, axis=0).repeat(8, axis=1).astype(np.uint8)
MASKS = {"a": LEFT, "b": TOP, "c": LEFT, "d": LEFT}


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    zip_of(tmp_path / "raw/m.zip", {f"{name}.png": png(mask) for name, mask in MASKS.items()})
    return Archives(tmp_path / "raw", tmp_path / "spool")


def store(folder: Path, fit: Fit = "stretch") -> Store:
    """Return a store of 4 x 4 px of the four masks; the pictures are black."""
    folder.mkdir()
    black = pack_image(np.zeros((4, 4, 3), np.uint8), "raw", 90)
    rows = [Row(n, black, pack_mask(fit_mask(m, 4, 4, fit)), 4, 8) for n, m in MASKS.items()]
    path = folder / shard_name("train", 0)
    write_shard(path, rows, height=4, width=4, fit=fit, image="raw")
    return Store(folder, "train")


def index_rows(*ids: str, **targets: list[float]) -> pd.DataFrame:
    images = {"image": [f"{i}.jpg" for i in ids], "mask": [f"m.zip/{i}.png" for i in ids]}
    return pd.DataFrame({"id": list(ids)} | images | targets)


def predicted(ids: str, values: Any, size: tuple[int, int] = (4, 8)) -> Iterator[Prediction]:
    """Yield one prediction a batch."""
    for name, value in zip(ids, np.asarray(values, np.float32), strict=True):
        yield [name], value[None], np.array([size])


def test_masks_are_scored_at_their_original_size(tmp_path: Path, archives: Archives) -> None:
    shards = store(tmp_path / "s")
    exact = [[[0.75, 0.75, 0.25, 0.25]] * 4]  # at 4 x 4 px; half way between them lies the edge
    wrong = [[[0.25, 0.25, 0.25, 0.25]] * 4]  # nothing
    sides = [
        Side(index_rows("a"), index_rows("b", "c"), predicted("a", exact)),
        Side(index_rows("b"), index_rows("a", "d"), predicted("b", wrong)),
    ]
    done: list[int] = []
    made = scoring.segmentation(sides, shards, archives, threshold=0.5, progress=done.append)
    assert made.rows["id"].tolist() == ["a", "b"]
    assert made.rows["score"].tolist() == [1, 0]
    assert made.rows["covered"].tolist() == [0.5, 0.5]
    assert made.metrics["dice"] == 0.5
    assert made.threshold == 0.5
    assert done == [1, 1]
    assert made.metrics["baseline_all_foreground"] == pytest.approx(2 / 3)


def test_the_mean_mask_is_that_of_the_images_learned_from(
    tmp_path: Path, archives: Archives
) -> None:
    shards = store(tmp_path / "s")
    nothing = np.zeros((1, 4, 4))

    def baseline(*learned: str) -> float | None:
        side = Side(index_rows("a"), index_rows(*learned), predicted("a", nothing))
        made = scoring.segmentation(
            [side], shards, archives, threshold=None, progress=lambda _: None
        )
        return made.metrics["baseline_mean_mask"]

    assert baseline("c", "d") == 1, "their masks are a's own"
    assert baseline("b") == pytest.approx(0.5), "8 of 16 + 16 pixels, twice"


@pytest.mark.parametrize("fit", FITS)
def test_the_mean_of_one_mask_is_that_mask_again_whatever_the_fit(tmp_path: Path, fit: Fit) -> None:
    ys, xs = np.mgrid[:240, :480]
    disc = ((ys - 120) ** 2 + (xs - 240) ** 2 < 80**2).astype(np.uint8)
    zip_of(tmp_path / "raw/m.zip", {"a.png": png(disc)})
    black = pack_image(np.zeros((160, 160, 3), np.uint8), "raw", 90)
    rows = [Row("a", black, pack_mask(fit_mask(disc, 160, 160, fit)), 240, 480)]
    path = tmp_path / shard_name("train", 0)
    write_shard(path, rows, height=160, width=160, fit=fit, image="raw")
    made = scoring.segmentation(
        [
            Side(
                index_rows("a"), index_rows("a"), predicted("a", [np.zeros((160, 160))], (240, 480))
            )
        ],
        Store(tmp_path, "train"),
        Archives(tmp_path / "raw", tmp_path / "spool"),
        threshold=0.5,
        progress=lambda _: None,
    )
    baseline = made.metrics["baseline_mean_mask"]
    assert baseline is not None
    assert baseline > 0.99


def test_what_was_cropped_away_is_background(tmp_path: Path, archives: Archives) -> None:
    shards = store(tmp_path / "s", "crop")
    full = np.ones((1, 4, 4))  # columns 2 to 5 of 8
    side = Side(index_rows("a"), index_rows("b"), predicted("a", full))
    made = scoring.segmentation([side], shards, archives, threshold=0.5, progress=lambda _: None)
    assert made.rows["score"].tolist() == pytest.approx([2 * 8 / (16 + 16)])


CARDS = {
    "multiclass": Card("multiclass", ("y",), ("five", "ten")),
    "binary": Card("binary", ("y",), label_values=("no", "yes")),
    "regression": Card("regression", ("y",)),
    "multilabel": Card("multilabel", ("y", "z")),
}


def sides(values: list[Any], **targets: list[float]) -> list[Side]:
    """Return two folds: a and b, then c; each learned from d and e, which bear 1."""
    learned = index_rows("d", "e", **{name: [1.0, 1.0] for name in targets})
    return [
        Side(
            index_rows(*ids, **{name: each[part] for name, each in targets.items()}),
            learned,
            predicted(ids, values[part]),
        )
        for ids, part in (("ab", slice(2)), ("c", slice(2, 3)))
    ]


def test_classes_of_all_folds_count_as_one_set() -> None:
    probabilities = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
    made = scoring.labels(
        sides(probabilities, y=[0.0, 1.0, 1.0]), CARDS["multiclass"], threshold=None
    )
    assert made.rows["id"].tolist() == ["a", "b", "c"]
    assert made.rows["actual"].tolist() == ["five", "ten", "ten"]
    assert made.rows["predicted"].tolist() == ["five", "ten", "five"]
    assert made.metrics["accuracy"] == pytest.approx(2 / 3)
    assert made.metrics["baseline_accuracy"] == pytest.approx(2 / 3), "always ten"
    assert made.threshold is None


def test_yes_and_no() -> None:
    made = scoring.labels(
        sides([[0.9], [0.4], [0.2]], y=[1.0, 1.0, 0.0]), CARDS["binary"], threshold=None
    )
    assert made.metrics["accuracy"] == 1
    assert made.threshold == pytest.approx(102 / 256), "below 0.4, as near to one half as can be"
    assert made.metrics["baseline_accuracy"] == pytest.approx(2 / 3)
    fixed = scoring.labels(
        sides([[0.9], [0.4], [0.2]], y=[1.0, 1.0, 0.0]), CARDS["binary"], threshold=0.5
    )
    assert fixed.metrics["accuracy"] == pytest.approx(2 / 3)
    assert fixed.rows["predicted"].tolist() == ["yes", "no", "no"]


def test_several_labels() -> None:
    values = [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2]]
    made = scoring.labels(
        sides(values, y=[1.0, 0.0, 1.0], z=[0.0, 1.0, 1.0]), CARDS["multilabel"], threshold=0.5
    )
    assert made.metrics["accuracy"] == pytest.approx(5 / 6)
    assert made.metrics["baseline_accuracy"] == pytest.approx(4 / 6), "d and e have both"
    assert made.rows["wrong"].tolist() == ["", "", "z"]


def test_numbers() -> None:
    made = scoring.labels(
        sides([[1.0], [3.0], [6.0]], y=[1.0, 2.0, 3.0]), CARDS["regression"], threshold=None
    )
    assert made.metrics["mae"] == pytest.approx(4 / 3)
    assert made.metrics["baseline_mae"] == pytest.approx(1), "always the 1 of d and e"
    assert made.rows["score"].idxmin() == 2
