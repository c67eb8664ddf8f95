from pathlib import Path

import pandas as pd

from darkroom.index.assembly.rows import (
    assemble_index,
    image_rows,
)
from darkroom.index.card import Card
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of


def archives(tmp_path: Path) -> Archives:
    return Archives(tmp_path, tmp_path / "spool")


def test_training_rows_are_sorted_and_test_rows_are_not(tmp_path: Path) -> None:
    folder_of(tmp_path / "t", {f"{name}.jpg": name.encode() for name in "abcxy"})
    train = [
        image_rows(
            "train",
            ids=list(ids),
            images=[f"t/{name}.jpg" for name in ids],
            targets=pd.DataFrame({"v": v}),
        )
        for ids, v in (("ca", [3.0, 1.0]), ("b", [2.0]))
    ]
    test = image_rows(
        "test",
        ids=["y", "x"],
        images=["t/y.jpg", "t/x.jpg"],
        targets=pd.DataFrame({"v": [5.0, 4.0]}),
    )
    card = Card("regression", ("v",), header=("id", "v"))
    index = assemble_index(archives(tmp_path), train, test, card)
    assert index.rows["id"].tolist() == ["a", "b", "c", "y", "x"]
    assert index.rows["v"].tolist() == [1.0, 2.0, 3.0, 5.0, 4.0]
    assert index.rows["image"].tolist() == [f"t/{name}.jpg" for name in "abcyx"]
