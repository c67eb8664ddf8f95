"""The rows of each image, whether images have one row or several."""

from collections import Counter

import pytest

from darkroom.errors import DataError
from darkroom.index.assembly.gather import gather, refuse_repeats
from darkroom.index.assembly.part import Part
from darkroom.index.assembly.pictures import Pictures
from darkroom.params.data import Rows
from darkroom.raw.tables.table import Table


def part(ids: list[str], images: list[str] | None = None) -> Part:
    images = [f"t/{name}.jpg" for name in ids] if images is None else images
    table = Table("t.csv", ("id",), [[name] for name in ids], range(2, len(ids) + 2))
    pictures = Pictures(images, {}, range(len(ids)))
    groups = [""] * len(ids)
    rows = Rows(table="t.csv")
    return Part(
        "train", rows, table, ids, images, groups, pictures, frozenset(), table, Counter[str]()
    )


def test_images_of_one_row_each_have_their_own_place() -> None:
    gathered = gather(part(["b", "a", "c"]))
    assert gathered.ids == ["b", "a", "c"]
    assert list(gathered.first) == [0, 1, 2]
    assert [list(several) for several in gathered.places] == [[0], [1], [2]]
    assert [list(several) for several in gathered.places[1:]] == [[1], [2]]
    assert list(gathered.places[-1]) == [2]


def test_rows_of_one_image_stand_together_in_the_order_of_the_first() -> None:
    gathered = gather(part(["b", "a", "b", "c", "a"]))
    assert gathered.ids == ["b", "a", "c"]
    assert list(gathered.first) == [0, 1, 3]
    assert [list(several) for several in gathered.places] == [[0, 2], [1, 4], [3]]


def test_rows_of_one_id_are_of_one_image() -> None:
    with pytest.raises(DataError, match="rows of one id that are of different images") as caught:
        gather(part(["a", "b", "a"], ["t/1.jpg", "t/2.jpg", "t/3.jpg"]))
    assert "t.csv, row 4: " in str(caught.value)


def test_repeated_rows_are_counted_if_they_are_the_same() -> None:
    several = part(["a", "b", "a", "a"])
    refuse_repeats(several, gather(several), lambda _: "same")
    assert several.counts == {"train rows that repeat another": 2}
    with pytest.raises(DataError, match="rows repeat an id"):
        refuse_repeats(several, gather(several), lambda place: place)
    alone = part(["a", "b"])
    refuse_repeats(alone, gather(alone), lambda place: place)
    assert not alone.counts
