"""A larger test set has the pictures, rows and answers of several drawings; few rows are left."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from benchmarks.drawing import APART, draw_larger, keep_rows

DATA = {"test": {"image": "test/{id}.png", "table": "test.csv"}}


def contest(name: str = "{seed}_{at}") -> Any:
    """Return a contest of four training and three test images, whose pictures are their names."""

    def draw(folder: Path, seed: int) -> None:
        tables: dict[str, list[str]] = {"train": [], "test": []}
        for part, count in (("train", 4), ("test", 3)):
            (folder / "raw" / part).mkdir(parents=True)
            for at in range(count):
                tables[part].append(name.format(seed=seed, at=at))
                (folder / f"raw/{part}/{tables[part][-1]}.png").write_text(tables[part][-1])
        (folder / "answers").mkdir()
        for path, part in (
            ("raw/train.csv", "train"),
            ("raw/test.csv", "test"),
            ("raw/sample.csv", "test"),
            ("answers/truth.csv", "test"),
        ):
            pd.DataFrame({"id": tables[part], "y": ""}).to_csv(folder / path, index=False)

    return SimpleNamespace(draw=draw, SAMPLE="sample.csv")


def ids(path: Path) -> list[str]:
    return pd.read_csv(path, dtype=str, keep_default_na=False)["id"].tolist()


def test_the_test_images_of_drawings_come_together(tmp_path: Path) -> None:
    draw_larger(contest(), DATA, tmp_path, 1, 2)
    both = [f"{seed}_{at}" for seed in (1, 1 + APART) for at in range(3)]
    assert sorted(path.stem for path in (tmp_path / "raw/test").iterdir()) == sorted(both)
    for table in ("raw/test.csv", "raw/sample.csv", "answers/truth.csv"):
        assert ids(tmp_path / table) == both
    assert ids(tmp_path / "raw/train.csv") == [f"1_{at}" for at in range(4)]
    assert len(list((tmp_path / "raw/train").iterdir())) == 4


def test_drawings_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two drawings have a test image 0"):
        draw_larger(contest("{at}"), DATA, tmp_path / "a", 0, 2)
    with pytest.raises(ValueError, match="no folder of test images"):
        draw_larger(contest(), {"test": {"image": "{id}.png"}}, tmp_path / "b", 0, 2)


def test_a_few_rows_are_left_in_their_order(tmp_path: Path) -> None:
    contest().draw(tmp_path, 0)
    raw = tmp_path / "raw"
    keep_rows(raw, {"table": "train.csv"}, 2, seed=3)
    left = ids(raw / "train.csv")
    assert len(left) == 2
    assert left == sorted(left)
    pd.DataFrame({"id": ["a_1", "a_2", "b_1", "b_2"]}).to_csv(raw / "labels.csv", index=False)
    keep_rows(raw, {"table": "labels.csv", "cells": {"id": "{image}_{label}"}}, 1, seed=3)
    assert ids(raw / "labels.csv") in (["a_1", "a_2"], ["b_1", "b_2"])
    keep_rows(raw, {"files": "train/{id}.png"}, 3, seed=3)
    assert len(list((raw / "train").iterdir())) == 3
    with pytest.raises(ValueError, match=r"train\.json is no CSV file"):
        keep_rows(raw, {"table": "train.json"}, 2, seed=3)
